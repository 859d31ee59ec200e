//! How many images there is memory for, and what becomes of batches that are larger.

use preproc::benchmark::image::{Image, Step};
use preproc::benchmark::{Failure, Outcome, PreprocessingProfile, PreprocessingProfiler};
use profiler::machine;

use super::images::{Chosen, Fewer, ImageFiles};

/// Memory for images, all of which are held at once.
pub(super) struct Room {
    /// Bytes that they may take.
    available_bytes: u64,
    /// Set where memory is why there are not as many as asked for.
    short: bool,
}

/// At least so many images, if there are: one would say little of others.
const LEAST_IMAGES: usize = 32;

impl Room {
    /// Half of what is free, or of `limit_bytes` if that is less: copies and outputs come on top.
    pub(super) fn new(limit_bytes: Option<u64>) -> Self {
        let free = machine::available_memory();
        Self {
            available_bytes: limit_bytes.map_or(free, |limit| limit.min(free)) / 2,
            short: false,
        }
    }

    /// As many images as the largest batch takes, or as there is memory for: how much that is, a
    /// few of them tell before the others are read.
    pub(super) fn choose(&mut self, files: &ImageFiles, batch_sizes: &[usize]) -> Chosen {
        const PROBE: usize = 8;
        let largest = batch_sizes.iter().copied().max().unwrap_or(1);
        let wanted = largest.max(LEAST_IMAGES).min(files.number);
        let probe = files.choose(PROBE.min(wanted), self.available_bytes);
        let bytes: u64 = probe.images.iter().map(Image::resident_bytes).sum();
        let mean = (bytes / probe.images.len().max(1) as u64).max(1);
        let fitting = usize::try_from(self.available_bytes / mean).unwrap_or(usize::MAX).max(1);
        let chosen = files.choose(wanted.min(fitting), self.available_bytes);
        self.short = fitting < wanted || chosen.fewer == Some(Fewer::Memory);
        chosen
    }

    /// The row of `step` at `batch_size`.
    pub(super) fn row(
        &self,
        profiler: &mut PreprocessingProfiler,
        step: &Step,
        images: &[Image],
        batch_size: usize,
    ) -> PreprocessingProfile {
        let mut row = profiler.profile_samples(step, images, &[batch_size]).swap_remove(0);
        if batch_size > images.len() && self.short {
            let bytes: u64 = images.iter().map(Image::resident_bytes).sum();
            let mean = bytes / images.len().max(1) as u64;
            let failure = Failure::DoesNotFit {
                needed_bytes: mean.saturating_mul(batch_size as u64),
                available_bytes: self.available_bytes,
            };
            row.outcome = Outcome::Failed { failure };
        }
        row
    }

    /// Takes `images` through `step`, for the next one. Those that it fails on stay as they are; if
    /// it makes them so large that not all of them fit, there are fewer from then on.
    pub(super) fn advance(
        &mut self,
        profiler: &PreprocessingProfiler,
        step: &Step,
        images: &mut Vec<Image>,
    ) {
        let mut bytes = 0;
        for index in 0..images.len() {
            if let Ok(image) = profiler.apply(step, &images[index], index) {
                images[index] = image;
            }
            bytes += images[index].resident_bytes();
            if bytes > self.available_bytes && index > 0 {
                images.truncate(index);
                self.short = true;
                return;
            }
        }
    }
}
