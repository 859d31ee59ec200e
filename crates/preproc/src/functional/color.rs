//! What depends on the colour of a pixel.

use multiversion::multiversion;

use super::tone::blend_with;
use super::{blend, fixed};
use crate::Pixels;

/// Pixels that are worked on together, channel by channel: bytes in threes compilers take one by one.
const LANES: usize = 32;

/// PIL's luma, ITU-R 601-2 in 16 bits.
#[inline(always)]
fn luma([r, g, b]: [u8; 3]) -> u8 {
    let sum = u32::from(r) * 19_595 + u32::from(g) * 38_470 + u32::from(b) * 7_471;
    ((sum + 0x8000) >> 16) as u8
}

/// Of eight pixels: few enough for compilers to keep them in registers.
#[inline(always)]
fn lumas(pixels: &[u8; 24]) -> [u8; 8] {
    std::array::from_fn(|i| luma([pixels[3 * i], pixels[3 * i + 1], pixels[3 * i + 2]]))
}

/// Makes all three channels the luma.
pub fn rgb_to_grayscale(pixels: &mut Pixels) {
    grey(pixels.data_mut().as_chunks_mut().0);
}

#[multiversion(targets("x86_64+avx2"))]
fn grey(pixels: &mut [[u8; 3]]) {
    let (blocks, rest) = pixels.as_flattened_mut().as_chunks_mut();
    for block in blocks {
        let greys = lumas(block);
        *block = std::array::from_fn(|i| greys[i / 3]);
    }
    for pixel in rest.as_chunks_mut().0 {
        *pixel = [luma(*pixel); 3];
    }
}

/// Takes colour away, or, with a `factor` above 1, adds to it.
pub fn adjust_saturation(pixels: &mut Pixels, factor: f64) {
    saturate(pixels.data_mut().as_chunks_mut().0, fixed(factor));
}

#[multiversion(targets("x86_64+avx2"))]
fn saturate(pixels: &mut [[u8; 3]], factor: i32) {
    let (blocks, rest) = pixels.as_chunks_mut();
    for block in blocks {
        saturate_block(block, factor);
    }
    for pixel in rest {
        let grey = luma(*pixel);
        *pixel = pixel.map(|value| blend(grey, value, factor));
    }
}

#[inline(always)]
fn saturate_block(pixels: &mut [[u8; 3]; LANES], factor: i32) {
    let channel = |c: usize| -> [u8; LANES] { std::array::from_fn(|i| pixels[i][c]) };
    let (r, g, b) = (channel(0), channel(1), channel(2));
    let mut out = [[0_u8; LANES]; 3];
    for i in 0..LANES {
        let grey = luma([r[i], g[i], b[i]]);
        out[0][i] = blend(grey, r[i], factor);
        out[1][i] = blend(grey, g[i], factor);
        out[2][i] = blend(grey, b[i], factor);
    }
    interleave(&out, pixels);
}

#[inline(always)]
fn interleave(channels: &[[u8; LANES]; 3], pixels: &mut [[u8; 3]; LANES]) {
    for (i, pixel) in pixels.iter_mut().enumerate() {
        *pixel = [channels[0][i], channels[1][i], channels[2][i]];
    }
}

/// Draws all values to the mean luma, or, with a `factor` above 1, away from it.
pub fn adjust_contrast(pixels: &mut Pixels, factor: f64) {
    let count = u64::from(pixels.width()) * u64::from(pixels.height());
    if count > 0 {
        let sum = luma_sum(pixels.data().as_chunks().0);
        let mean = (sum as f64 / count as f64 + 0.5).floor();
        blend_with(pixels.data_mut(), mean as u8, fixed(factor));
    }
}

#[multiversion(targets("x86_64+avx2"))]
fn luma_sum(pixels: &[[u8; 3]]) -> u64 {
    let (blocks, rest) = pixels.as_flattened().as_chunks();
    let mut sum: u64 = rest.as_chunks().0.iter().map(|pixel| u64::from(luma(*pixel))).sum();
    // Sums of short runs fit 32 bits.
    for run in blocks.chunks(1 << 16) {
        let mut sums = [0; 8];
        for block in run {
            let greys = lumas(block);
            for (sum, grey) in sums.iter_mut().zip(greys) {
                *sum += u32::from(grey);
            }
        }
        sum += sums.into_iter().map(u64::from).sum::<u64>();
    }
    sum
}

/// Turns the hue by `factor` of a full circle, -0.5 to 0.5. As PIL, it goes through HSV in bytes.
pub fn adjust_hue(pixels: &mut Pixels, factor: f64) {
    let shift = ((factor * 255.0) as i32).rem_euclid(256);
    turn_hue(pixels.data_mut().as_chunks_mut().0, shift);
}

#[multiversion(targets("x86_64+avx2"))]
fn turn_hue(pixels: &mut [[u8; 3]], shift: i32) {
    let (chunks, rest) = pixels.as_chunks_mut::<LANES>();
    for chunk in chunks {
        turn_hue_of(chunk, shift);
    }
    let mut last = [[0; 3]; LANES];
    last[..rest.len()].copy_from_slice(rest);
    turn_hue_of(&mut last, shift);
    rest.copy_from_slice(&last[..rest.len()]);
}

#[inline(always)]
fn turn_hue_of(pixels: &mut [[u8; 3]; LANES], shift: i32) {
    let channel = |c: usize| -> [f32; LANES] { std::array::from_fn(|i| f32::from(pixels[i][c])) };
    let (r, g, b) = (channel(0), channel(1), channel(2));
    let mut out = [[0_u8; LANES]; 3];
    for i in 0..LANES {
        let [r, g, b] = [r[i], g[i], b[i]];
        let high = r.max(g).max(b);
        let range = high - r.min(g).min(b);
        // Hue in sixths, times the range: divided once.
        let (base, difference) = if high == r {
            (0.0, g - b)
        } else if high == g {
            (2.0, b - r)
        } else {
            (4.0, r - g)
        };
        let sixths = base * range + difference;
        let sixths = if sixths < 0.0 { sixths + 6.0 * range } else { sixths };
        let divisor = if range > 0.0 { range } else { 1.0 };
        let hue = (sixths * 255.0 / (6.0 * divisor)) as i32;
        let saturation = (range * 255.0 / if high > 0.0 { high } else { 1.0 }) as i32;
        // And back, with the hue as a byte.
        let hue = (hue + shift) & 255;
        let hue = hue as f32 * (6.0 / 255.0);
        let saturation = saturation as f32 / 255.0;
        let sector = hue as i32;
        let fraction = hue - sector as f32;
        let value = |x: f32| (high * (1.0 - saturation * x) + 0.5) as i32;
        let (p, q, t) = (value(1.0), value(fraction), value(1.0 - fraction));
        let v = high as i32;
        let sector = if sector >= 6 { 0 } else { sector };
        let red = match sector {
            0 | 5 => v,
            1 => q,
            4 => t,
            _ => p,
        };
        let green = match sector {
            0 => t,
            1 | 2 => v,
            3 => q,
            _ => p,
        };
        let blue = match sector {
            2 => t,
            3 | 4 => v,
            5 => q,
            _ => p,
        };
        out[0][i] = red as u8;
        out[1][i] = green as u8;
        out[2][i] = blue as u8;
    }
    interleave(&out, pixels);
}
