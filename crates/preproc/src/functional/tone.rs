//! What happens to each byte by itself.

use multiversion::multiversion;

use super::{blend, fixed};
use crate::Pixels;

/// Makes the image darker, or, with a `factor` above 1, brighter.
pub fn adjust_brightness(pixels: &mut Pixels, factor: f64) {
    blend_with(pixels.data_mut(), 0, fixed(factor));
}

/// Every byte blended with the same degenerate one.
#[multiversion(targets("x86_64+avx2"))]
pub(super) fn blend_with(bytes: &mut [u8], degenerate: u8, factor: i32) {
    for byte in bytes {
        *byte = blend(degenerate, *byte, factor);
    }
}

/// Makes a negative.
pub fn invert(pixels: &mut Pixels) {
    for byte in pixels.data_mut() {
        *byte = !*byte;
    }
}

/// Keeps the highest `bits` of each byte; all of them from 8 on.
pub fn posterize(pixels: &mut Pixels, bits: u32) {
    let mask = !(0xFF_u32 >> bits.min(8)) as u8;
    for byte in pixels.data_mut() {
        *byte &= mask;
    }
}

/// Inverts the bytes from `threshold` on.
pub fn solarize(pixels: &mut Pixels, threshold: f64) {
    // The least whole number that is not below it; 256 where no byte is.
    let threshold = threshold.ceil().clamp(0.0, 256.0) as u16;
    let Ok(threshold) = u8::try_from(threshold) else { return };
    for byte in pixels.data_mut() {
        *byte = if *byte < threshold { *byte } else { !*byte };
    }
}

/// Stretches each channel so that its darkest value becomes 0 and its brightest 255.
pub fn autocontrast(pixels: &mut Pixels) {
    let [low, high] = extremes(pixels.data());
    look_up(pixels, |channel| {
        let (low, high) = (f64::from(low[channel]), f64::from(high[channel]));
        let scale = 255.0 / (high - low);
        move |byte| if high > low { (f64::from(byte) * scale - low * scale) as u8 } else { byte }
    });
}

/// The least and greatest values of each channel.
#[multiversion(targets("x86_64+avx2"))]
fn extremes(bytes: &[u8]) -> [[u8; 3]; 2] {
    // As many bytes as whole pixels and whole registers have in common.
    const CHUNK: usize = 96;
    let (chunks, rest) = bytes.as_chunks::<CHUNK>();
    let (mut low, mut high) = ([255; CHUNK], [0; CHUNK]);
    for chunk in chunks {
        for i in 0..CHUNK {
            low[i] = low[i].min(chunk[i]);
            high[i] = high[i].max(chunk[i]);
        }
    }
    for (i, byte) in rest.iter().enumerate() {
        low[i] = low[i].min(*byte);
        high[i] = high[i].max(*byte);
    }
    let (mut least, mut greatest) = ([255; 3], [0; 3]);
    for i in 0..CHUNK {
        least[i % 3] = low[i].min(least[i % 3]);
        greatest[i % 3] = high[i].max(greatest[i % 3]);
    }
    [least, greatest]
}

/// Makes every value of each channel as frequent as every other, as far as that can be.
pub fn equalize(pixels: &mut Pixels) {
    let histograms = histograms(pixels.data());
    look_up(pixels, |channel| {
        let histogram = &histograms[channel];
        let last = histogram.iter().rfind(|count| **count > 0).copied().unwrap_or(0);
        let step = (histogram.iter().sum::<u32>() - last) / 255;
        let mut table: [u8; 256] = std::array::from_fn(|byte| byte as u8);
        if step > 0 {
            let mut n = step / 2;
            for (entry, count) in table.iter_mut().zip(histogram) {
                *entry = (n / step).min(255) as u8;
                n += count;
            }
        }
        move |byte| table[usize::from(byte)]
    });
}

/// How often each value comes in each channel.
fn histograms(bytes: &[u8]) -> [[u32; 256]; 3] {
    // Neighbours are often alike: counted in turn in two tables, one need not wait for the other.
    let mut counts = [[[0_u32; 256]; 3]; 2];
    let [even, odd] = &mut counts;
    let (pairs, last) = bytes.as_chunks::<6>();
    for [r, g, b, r2, g2, b2] in pairs {
        even[0][usize::from(*r)] += 1;
        even[1][usize::from(*g)] += 1;
        even[2][usize::from(*b)] += 1;
        odd[0][usize::from(*r2)] += 1;
        odd[1][usize::from(*g2)] += 1;
        odd[2][usize::from(*b2)] += 1;
    }
    for (channel, byte) in last.iter().enumerate() {
        even[channel][usize::from(*byte)] += 1;
    }
    let [even, odd] = &counts;
    std::array::from_fn(|channel| {
        std::array::from_fn(|byte| even[channel][byte] + odd[channel][byte])
    })
}

/// Replaces each byte by what the function of its channel makes of it.
fn look_up<F: Fn(u8) -> u8>(pixels: &mut Pixels, of_channel: impl Fn(usize) -> F) {
    let [red, green, blue]: [[u8; 256]; 3] = std::array::from_fn(|channel| {
        let function = of_channel(channel);
        std::array::from_fn(|byte| function(byte as u8))
    });
    for [r, g, b] in pixels.data_mut().as_chunks_mut().0 {
        *r = red[usize::from(*r)];
        *g = green[usize::from(*g)];
        *b = blue[usize::from(*b)];
    }
}
