//! What files are made of: damage that leaves the rest readable goes deeper.

use std::io::{Read, Write};

use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};
use preproc::SampleRng;
use rand::RngExt;

use crate::mutate::{Seed, damage, number, pick};
use crate::words::words;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Format {
    Jpeg,
    Png,
    WebP,
    Bmp,
    Npy,
    Safetensors,
    Tokens,
    Idx,
    Gzip,
    Tar,
}

/// Damages the file as what it is: a part is lost, doubled, moved, comes from another file or is
/// damaged inside, and mostly the part's own length is set right.
pub(crate) fn mutate(format: Format, bytes: &mut Vec<u8>, seeds: &[Seed], rng: &mut SampleRng) {
    if format == Format::Png && rng.random_range(0..4) == 0 {
        return damage_inside_png(bytes, seeds, rng);
    }
    if format == Format::Tar && rng.random() {
        return set_tar_field(bytes, rng);
    }
    let mut parts = split(format, bytes);
    if parts.is_empty() {
        return damage(bytes, format, seeds, rng);
    }
    let at = rng.random_range(0..parts.len());
    match rng.random_range(0..10) {
        0 => drop(parts.remove(at)),
        1 => parts.insert(rng.random_range(0..=parts.len()), parts[at].clone()),
        2 => {
            let other = rng.random_range(0..parts.len());
            parts.swap(at, other);
        }
        3 => {
            let other = pick(seeds, rng);
            let mut others = split(other.format, &other.bytes);
            if !others.is_empty() {
                parts.insert(at, others.swap_remove(rng.random_range(0..others.len())));
            }
        }
        _ => {
            for _ in 0..rng.random_range(1..=3) {
                damage(&mut parts[at], format, seeds, rng);
            }
            if rng.random_range(0..4) > 0 {
                set_length(format, &mut parts[at]);
            }
        }
    }
    *bytes = parts.concat();
}

/// Sets checksums and lengths right that are looked at before anything else.
pub(crate) fn repair(format: Format, bytes: &mut Vec<u8>) {
    match format {
        Format::Png => {
            let mut parts = split(format, bytes);
            parts.iter_mut().skip(1).for_each(|part| set_crc(part));
            *bytes = parts.concat();
        }
        Format::Tar => {
            let mut parts = split(format, bytes);
            parts.iter_mut().for_each(|part| set_tar_checksum(part));
            *bytes = parts.concat();
        }
        Format::WebP if bytes.len() >= 12 => {
            let size = (bytes.len() as u32 - 8).to_le_bytes();
            bytes[4..8].copy_from_slice(&size);
        }
        _ => {}
    }
}

/// The parts of a file, which put together are the file: segments, chunks, members; header and
/// data.
fn split(format: Format, bytes: &[u8]) -> Vec<Vec<u8>> {
    let (mut parts, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let length = length(format, rest, parts.len()).unwrap_or(rest.len());
        let (part, after) = rest.split_at(length.clamp(1, rest.len()));
        parts.push(part.to_vec());
        rest = after;
    }
    parts
}

/// Length of the part number `number`, with which `rest` begins; `None` if it is all.
fn length(format: Format, rest: &[u8], number: usize) -> Option<usize> {
    Some(match (format, number) {
        (Format::Jpeg, _) => match *rest {
            [0xFF, 0xD0..=0xD9, ..] => 2,
            // With the image data up to the next marker.
            [0xFF, 0xDA, ..] => {
                let is_marker =
                    |pair: &[u8]| pair[0] == 0xFF && !matches!(pair[1], 0 | 0xD0..=0xD7 | 0xFF);
                2 + rest[2..].windows(2).position(is_marker)?
            }
            [0xFF, _, high, low, ..] => 2 + usize::from(u16::from_be_bytes([high, low])),
            _ => rest.iter().skip(1).position(|byte| *byte == 0xFF)? + 1,
        },
        (Format::Png, 0) => 8,
        (Format::Png, _) => 12 + u32::from_be_bytes(*rest.first_chunk()?) as usize,
        (Format::WebP, 0) => 12,
        (Format::WebP, _) => {
            8 + (u32::from_le_bytes(*rest.get(4..)?.first_chunk()?) as usize).next_multiple_of(2)
        }
        (Format::Bmp, 0) => 14,
        (Format::Bmp, 1) => u32::from_le_bytes(*rest.first_chunk()?).clamp(4, 124) as usize,
        (Format::Npy, 0) => 10 + usize::from(u16::from_le_bytes(*rest.get(8..)?.first_chunk()?)),
        (Format::Safetensors, 0) => {
            usize::try_from(u64::from_le_bytes(*rest.first_chunk()?)).ok()?.saturating_add(8)
        }
        (Format::Tar, _) => {
            let digits = rest.get(124..135)?;
            let size = usize::from_str_radix(std::str::from_utf8(digits).ok()?, 8).unwrap_or(0);
            512 + size.min(1 << 20).next_multiple_of(512)
        }
        (Format::Idx, 0) => 4 * (1 + usize::from(*rest.get(3)?)),
        _ => return None,
    })
}

/// Writes the length of a part where it states it.
fn set_length(format: Format, part: &mut Vec<u8>) {
    let len = part.len();
    match format {
        Format::Jpeg if len >= 4 && part[1] != 0xDA => {
            part[2..4].copy_from_slice(&((len - 2) as u16).to_be_bytes());
        }
        Format::Png if len >= 12 => {
            part[..4].copy_from_slice(&(len as u32 - 12).to_be_bytes());
        }
        Format::WebP if len >= 8 => {
            part[4..8].copy_from_slice(&(len as u32 - 8).to_le_bytes());
            part.resize(len.next_multiple_of(2), 0);
        }
        Format::Npy if len >= 10 && part.starts_with(b"\x93NUMPY") => {
            part[8..10].copy_from_slice(&(len as u16 - 10).to_le_bytes());
        }
        Format::Safetensors if len >= 8 => {
            part[..8].copy_from_slice(&(len as u64 - 8).to_le_bytes());
        }
        Format::Tar if len >= 512 => {
            part[124..136].copy_from_slice(format!("{:011o}\0", len - 512).as_bytes());
            part.resize(len.next_multiple_of(512), 0);
        }
        _ => {}
    }
}

fn set_crc(chunk: &mut [u8]) {
    if let Some((inner, crc)) = chunk.split_last_chunk_mut()
        && inner.len() >= 8
    {
        let mut sum = Crc::new();
        sum.update(&inner[4..]);
        *crc = sum.sum().to_be_bytes();
    }
}

/// Damages the scan lines of a PNG before they are packed.
fn damage_inside_png(bytes: &mut Vec<u8>, seeds: &[Seed], rng: &mut SampleRng) {
    let mut parts = split(Format::Png, bytes);
    let Some(data) = parts.iter_mut().find(|part| part.get(4..8) == Some(b"IDAT")) else { return };
    let mut lines = Vec::new();
    let end = data.len() - 4;
    // What can be unpacked of it.
    _ = ZlibDecoder::new(&data[8..end.max(8)]).take(1 << 20).read_to_end(&mut lines);
    for _ in 0..rng.random_range(1..=4) {
        damage(&mut lines, Format::Png, seeds, rng);
    }
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&lines).unwrap();
    data.splice(8..end.max(8), packed.finish().unwrap());
    set_length(Format::Png, data);
    set_crc(data);
    *bytes = parts.concat();
}

/// Where the fields of a header begin, and their lengths.
const TAR_FIELDS: [(usize, usize); 10] = [
    (0, 100),
    (100, 8),
    (108, 8),
    (124, 12),
    (136, 12),
    (148, 8),
    (156, 1),
    (157, 100),
    (257, 8),
    (345, 155),
];

/// Writes something into a field of one of the headers.
fn set_tar_field(bytes: &mut Vec<u8>, rng: &mut SampleRng) {
    let mut parts = split(Format::Tar, bytes);
    let headers: Vec<usize> = (0..parts.len()).filter(|part| parts[*part].len() >= 512).collect();
    if headers.is_empty() {
        return;
    }
    let header = &mut parts[*pick(&headers, rng)];
    // The size and the type matter most.
    let (at, len) = if rng.random_range(0..3) == 0 {
        *pick(&TAR_FIELDS[3..7], rng)
    } else {
        *pick(&TAR_FIELDS, rng)
    };
    let mut value = match rng.random_range(0..6) {
        0 => format!("{:o}", number(rng)).into_bytes(),
        1 => format!("{:0len$o}", rng.random_range(0..4096)).into_bytes(),
        // GNU's way to write large numbers.
        2 => {
            let mut binary = vec![if rng.random() { 0x80 } else { 0xFF }; len.saturating_sub(8)];
            binary.extend(number(rng).to_be_bytes());
            binary
        }
        3 => vec![b' '; len],
        4 => (0..len).map(|_| rng.random()).collect(),
        _ => pick(words(Format::Tar), rng).to_vec(),
    };
    value.resize(len, 0);
    header[at..at + len].copy_from_slice(&value);
    *bytes = parts.concat();
}

fn set_tar_checksum(member: &mut [u8]) {
    let Some(header) = member.first_chunk_mut::<512>() else { return };
    // The end mark stays.
    if header.iter().all(|byte| *byte == 0) {
        return;
    }
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}
