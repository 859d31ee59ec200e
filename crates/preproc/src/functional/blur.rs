//! What mixes a pixel with those about it.

use multiversion::multiversion;

use super::{blend, fixed};
use crate::Pixels;
use crate::transform::Scratch;

/// Blurs with a Gaussian of `sigma` pixels (across, down), cut to `size` pixels (across, down), odd
/// numbers. The image goes on mirrored beyond its edges.
///
/// torchvision weighs all pixels under the kernel in float32; here rows and columns are weighed one
/// after the other, which may round to the other neighbour.
pub fn gaussian_blur(pixels: &mut Pixels, size: [u32; 2], sigma: [f64; 2], scratch: &mut Scratch) {
    let (width, height) = (pixels.width() as usize, pixels.height() as usize);
    if width == 0 || height == 0 {
        return;
    }
    let Scratch { back, weights, line, .. } = scratch;
    let half = size.map(|size| (size / 2) as usize);
    weights.clear();
    kernel(size[0], sigma[0], weights);
    kernel(size[1], sigma[1], weights);
    let (across, down) = weights.split_at(half[0] + 1);
    let border = 3 * half[0];
    line.resize(3 * width + 2 * border, 0.0);
    let bytes = pixels.data();
    let row = |y: usize| &bytes[3 * width * y..][..3 * width];
    for (y, target) in
        back.reset(width as u32, height as u32).chunks_exact_mut(3 * width).enumerate()
    {
        let middle = &mut line[border..border + 3 * width];
        weigh(row(y), down[0], middle);
        for (distance, weight) in (1..).zip(&down[1..]) {
            let above = mirrored(y as i64 - distance as i64, height);
            let below = mirrored((y + distance) as i64, height);
            add(row(above), row(below), *weight, middle);
        }
        for x in 0..half[0] {
            let left = border + 3 * mirrored(x as i64 - half[0] as i64, width);
            line.copy_within(left..left + 3, 3 * x);
            let right = border + 3 * mirrored((width + x) as i64, width);
            line.copy_within(right..right + 3, border + 3 * (width + x));
        }
        blur_row(line, across, target);
    }
    std::mem::swap(pixels, back);
}

/// Appends the weights of the middle and of one side, so that all sum up to 1.
fn kernel(size: u32, sigma: f64, weights: &mut Vec<f32>) {
    let of = |distance: u32| (-0.5 * (f64::from(distance) / sigma).powi(2)).exp();
    let half = size / 2;
    let sum = 1.0 + 2.0 * (1..=half).map(of).sum::<f64>();
    weights.extend((0..=half).map(|distance| (of(distance) / sum) as f32));
}

/// Which of `length` pixels stands for the one at `at`, which may be outside.
fn mirrored(at: i64, length: usize) -> usize {
    let last = length as i64 - 1;
    if last == 0 {
        return 0;
    }
    let at = at.rem_euclid(2 * last);
    at.min(2 * last - at) as usize
}

#[multiversion(targets("x86_64+avx2"))]
fn weigh(row: &[u8], weight: f32, sum: &mut [f32]) {
    for (sum, byte) in sum.iter_mut().zip(row) {
        *sum = weight * f32::from(*byte);
    }
}

#[multiversion(targets("x86_64+avx2"))]
fn add(above: &[u8], below: &[u8], weight: f32, sum: &mut [f32]) {
    for ((sum, above), below) in sum.iter_mut().zip(above).zip(below) {
        *sum += weight * f32::from(u16::from(*above) + u16::from(*below));
    }
}

/// Weighs each value of `line` with those to its left and right, three apart, and rounds.
#[multiversion(targets("x86_64+avx2"))]
fn blur_row(line: &[f32], weights: &[f32], target: &mut [u8]) {
    const LANES: usize = 32;
    let border = 3 * (weights.len() - 1);
    let mut start = 0;
    while start < target.len() {
        let length = LANES.min(target.len() - start);
        let mut sum = [0.5_f32; LANES];
        for (distance, weight) in weights.iter().enumerate() {
            let left = &line[border + start - 3 * distance..][..length];
            if distance == 0 {
                for (sum, left) in sum.iter_mut().zip(left) {
                    *sum += weight * left;
                }
                continue;
            }
            let right = &line[border + start + 3 * distance..][..length];
            for ((sum, left), right) in sum.iter_mut().zip(left).zip(right) {
                *sum += weight * (left + right);
            }
        }
        for (target, sum) in target[start..start + length].iter_mut().zip(sum) {
            *target = sum as u8;
        }
        start += length;
    }
}

/// Softens the image, or, with a `factor` above 1, sharpens it. The outermost pixels stay.
pub fn adjust_sharpness(pixels: &mut Pixels, factor: f64, scratch: &mut Scratch) {
    let (width, height) = (pixels.width() as usize, pixels.height() as usize);
    if width < 3 || height < 3 {
        return;
    }
    let back = &mut scratch.back;
    let bytes = pixels.data();
    let row = |y: usize| &bytes[3 * width * y..][..3 * width];
    for (y, target) in
        back.reset(width as u32, height as u32).chunks_exact_mut(3 * width).enumerate()
    {
        target.copy_from_slice(row(y));
        if (1..height - 1).contains(&y) {
            let inner = 3..3 * width - 3;
            sharpen_row([row(y - 1), row(y), row(y + 1)], fixed(factor), &mut target[inner]);
        }
    }
    std::mem::swap(pixels, back);
}

/// PIL's `SMOOTH`: a pixel counts five times, its neighbours once each.
#[multiversion(targets("x86_64+avx2"))]
fn sharpen_row([above, row, below]: [&[u8]; 3], factor: i32, target: &mut [u8]) {
    let n = target.len();
    // Left, middle and right of each of the three rows.
    let parts = [above, row, below].map(|row| [&row[..n], &row[3..n + 3], &row[6..n + 6]]);
    for i in 0..n {
        let mut sum = 0;
        for part in &parts {
            for row in part {
                sum += u16::from(row[i]);
            }
        }
        let middle = parts[1][1][i];
        let smooth = (sum + 4 * u16::from(middle) + 6) / 13;
        target[i] = blend(smooth as u8, middle, factor);
    }
}
