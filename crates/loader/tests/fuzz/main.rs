//! Damaged files by the million: whatever a file holds, reading it ends soon, with samples or an
//! error, without a panic, and takes no more memory than is promised.
//!
//! `scripts/fuzz` runs a million cases of each kind; as a test each runs ten thousand. A case is
//! told by its number alone, so that one that failed can be run again.

#[cfg(test)]
mod arrays;
#[cfg(test)]
mod formats;
#[cfg(test)]
mod images;
#[cfg(test)]
mod mutate;
#[cfg(test)]
mod runner;
#[cfg(test)]
mod seeds;
#[cfg(test)]
mod shards;
#[cfg(test)]
mod words;

#[cfg(test)]
use runner::{Target, run};

/// What an image's metadata may take, as `preproc` limits it.
const METADATA: u64 = 64 << 20;

/// 16 bytes a pixel and the metadata, as `DecodeOptions::max_pixels` says; the file is copied.
fn decoded(file: u64) -> u64 {
    METADATA + 16 * images::MAX_PIXELS + 4 * file + (64 << 10)
}

#[test]
fn images() {
    run::<images::Images>(&Target { name: "images", seeds: &seeds::images(), limit: decoded });
}

/// Memory for what describes a file of so many bytes, and for a sample of it.
fn described(file: u64) -> u64 {
    (64 << 10) + 32 * file
}

#[test]
fn npy() {
    run::<arrays::Npy>(&Target { name: "npy", seeds: &seeds::npy(), limit: described });
}

#[test]
fn safetensors() {
    let target = Target { name: "safetensors", seeds: &seeds::safetensors(), limit: described };
    run::<arrays::Safetensors>(&target);
}

#[test]
fn tokens() {
    run::<arrays::TokenFile>(&Target { name: "tokens", seeds: &seeds::tokens(), limit: described });
}

#[test]
fn idx() {
    // A file may be packed a thousandfold.
    let limit = |file| (128 << 10) + 3 * 1032 * file;
    run::<arrays::Idx>(&Target { name: "idx", seeds: &seeds::idx(), limit });
}

#[test]
fn tar() {
    let limit = |file| described(file) + decoded(file);
    run::<shards::Shard>(&Target { name: "tar", seeds: &seeds::tar(), limit });
}
