//! Makes a damaged file of good ones, always the same for the same case.

use preproc::SampleRng;
use rand::RngExt;

use crate::formats::{self, Format};
use crate::words::words;

/// A good file, or nearly.
pub(crate) struct Seed {
    pub(crate) format: Format,
    pub(crate) bytes: Vec<u8>,
}

/// Bytes that a damaged file has at most.
const MAX_BYTES: usize = 1 << 16;

/// Numbers at which programs go wrong.
const NUMBERS: [u64; 20] = [
    0,
    1,
    2,
    3,
    7,
    8,
    0x10,
    0x7f,
    0x80,
    0xff,
    0x100,
    0x7fff,
    0xffff,
    0x1_0000,
    (1 << 31) - 1,
    1 << 31,
    (1 << 32) - 1,
    1 << 32,
    i64::MAX as u64,
    u64::MAX,
];

/// One of `seeds`, damaged. One in fifty is left whole.
pub(crate) fn mutate(seeds: &[Seed], rng: &mut SampleRng) -> Vec<u8> {
    let Seed { format, bytes } = pick(seeds, rng);
    let mut bytes = bytes.clone();
    let times = match rng.random_range(0..50) {
        0 => 0,
        1..35 => rng.random_range(1..=3),
        _ => rng.random_range(1..=16),
    };
    for _ in 0..times {
        if rng.random() {
            formats::mutate(*format, &mut bytes, seeds, rng);
        } else {
            damage(&mut bytes, *format, seeds, rng);
        }
    }
    if rng.random_range(0..5) > 0 {
        formats::repair(*format, &mut bytes);
    }
    bytes.truncate(MAX_BYTES);
    bytes
}

pub(crate) fn pick<'a, T>(from: &'a [T], rng: &mut SampleRng) -> &'a T {
    &from[rng.random_range(0..from.len())]
}

/// One of [`NUMBERS`], or near it.
pub(crate) fn number(rng: &mut SampleRng) -> u64 {
    let near = [0, 0, 0, 1, u64::MAX];
    pick(&NUMBERS, rng).wrapping_add(*pick(&near, rng))
}

/// A place in `len` bytes: half of the time in the header.
fn place(len: usize, rng: &mut SampleRng) -> usize {
    let end = if rng.random() { len.min(64) } else { len };
    rng.random_range(0..end.max(1))
}

/// A stretch of `len` bytes, short more often than long.
fn stretch(len: usize, rng: &mut SampleRng) -> std::ops::Range<usize> {
    let start = place(len, rng).min(len);
    let longest = (len - start).min(1 << rng.random_range(0..14));
    start..start + rng.random_range(0..=longest)
}

/// Damages `bytes` somewhere, whatever they are.
pub(crate) fn damage(bytes: &mut Vec<u8>, format: Format, seeds: &[Seed], rng: &mut SampleRng) {
    let len = bytes.len();
    if len == 0 {
        bytes.push(rng.random());
        return;
    }
    let at = place(len, rng);
    match rng.random_range(0..25) {
        0..4 => bytes[at] ^= 1 << rng.random_range(0..8),
        4..7 => bytes[at] = rng.random(),
        7..11 => {
            let value = number(rng);
            let (little, big) = (value.to_le_bytes(), value.to_be_bytes());
            let size = 1 << rng.random_range(0..4);
            let value = if rng.random() { &little[..size] } else { &big[8 - size..] };
            overwrite(bytes, at, value);
        }
        11..13 => {
            let change: i8 = rng.random_range(-16..=16);
            bytes[at] = bytes[at].wrapping_add_signed(change);
        }
        13 => bytes.truncate(at),
        14 | 15 => drop(bytes.drain(stretch(len, rng))),
        16 => {
            let copy = bytes[stretch(len, rng)].to_vec();
            bytes.splice(at..at, copy);
        }
        17 => {
            let copy = bytes[stretch(len, rng)].to_vec();
            overwrite(bytes, at, &copy);
        }
        18 => {
            let noise: Vec<u8> = (0..rng.random_range(1..64)).map(|_| rng.random()).collect();
            bytes.splice(at..at, noise);
        }
        19 => {
            let range = stretch(len, rng);
            bytes[range].fill(if rng.random() { 0 } else { 0xff });
        }
        20 => {
            let other = &pick(seeds, rng).bytes;
            let range = stretch(other.len(), rng);
            let end = (at + range.len()).min(len);
            bytes.splice(at..end, other[range].iter().copied());
        }
        21 | 22 => digits(bytes, rng),
        _ => {
            let word = *pick(words(format), rng);
            if rng.random() {
                overwrite(bytes, at, word);
            } else {
                bytes.splice(at..at, word.iter().copied());
            }
        }
    }
}

fn overwrite(bytes: &mut [u8], at: usize, with: &[u8]) {
    let end = bytes.len().min(at + with.len());
    bytes[at..end].copy_from_slice(&with[..end - at]);
}

/// Puts another number where one is written in digits.
fn digits(bytes: &mut Vec<u8>, rng: &mut SampleRng) {
    let from = place(bytes.len(), rng);
    let Some(start) = bytes[from..].iter().position(u8::is_ascii_digit) else { return };
    let start = from + start;
    let length = bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let text = match rng.random_range(0..6) {
        0 => format!("-{}", number(rng)),
        1 => format!("{}{}", number(rng), number(rng)),
        2 => format!("{:o}", number(rng)),
        3 => String::new(),
        _ => number(rng).to_string(),
    };
    bytes.splice(start..start + length, text.into_bytes());
}
