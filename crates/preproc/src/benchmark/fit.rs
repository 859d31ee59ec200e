//! What a call costs by itself, and what each sample in it adds.

use serde::Serialize;

use super::PreprocessingProfile;

/// `fixed_s + batch_size * sample_s`, fitted to the time of a batch.
///
/// By least squares of the relative error, so that a small batch counts as much as a large one
/// (weights 1 / time squared). A negative fixed cost is noise: it is set to 0 and the rest fitted
/// again.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct BatchFit {
    /// Seconds that a call takes however small the batch is.
    pub fixed_s: f64,
    /// Seconds that each sample adds.
    pub sample_s: f64,
    /// The largest relative error of the batch sizes that were measured.
    pub worst_error: f64,
}

impl BatchFit {
    /// Of (batch size, seconds of a batch); `None` of fewer than two sizes.
    pub fn of(points: &[(usize, f64)]) -> Option<Self> {
        let first = points.first()?.0;
        if points.iter().all(|(size, _)| *size == first) || points.iter().any(|p| p.1 <= 0.0) {
            return None;
        }
        // With weights 1 / t^2 the equation of a point is `fixed / t + sample * size / t = 1`.
        let (mut aa, mut ab, mut bb, mut a1, mut b1) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for &(size, time) in points {
            let (a, b) = (1.0 / time, size as f64 / time);
            (aa, ab, bb) = (aa + a * a, ab + a * b, bb + b * b);
            (a1, b1) = (a1 + a, b1 + b);
        }
        let determinant = aa * bb - ab * ab;
        let (mut fixed_s, mut sample_s) =
            ((a1 * bb - b1 * ab) / determinant, (aa * b1 - ab * a1) / determinant);
        if fixed_s < 0.0 {
            (fixed_s, sample_s) = (0.0, b1 / bb);
        } else if sample_s < 0.0 {
            (fixed_s, sample_s) = (a1 / aa, 0.0);
        }
        let error =
            |&(size, time): &(usize, f64)| ((fixed_s + sample_s * size as f64) / time - 1.0).abs();
        let worst_error = points.iter().map(error).fold(0.0, f64::max);
        (fixed_s.is_finite() && sample_s.is_finite()).then_some(Self {
            fixed_s,
            sample_s,
            worst_error,
        })
    }

    /// The share of a batch's time that is fixed.
    pub fn fixed_share(&self, batch_size: usize) -> f64 {
        self.fixed_s / (self.fixed_s + self.sample_s * batch_size as f64)
    }
}

/// Which batch size is worth it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct BestBatch {
    /// The size with the least time of a sample.
    pub batch_size: usize,
    /// That time.
    pub sample_s: f64,
    /// The smallest size that is within [`PAYS`] of it: a larger batch gains nothing to speak of.
    pub pays_until: usize,
}

/// A larger batch pays if a sample takes less by more than this share.
pub const PAYS: f64 = 0.05;

impl BestBatch {
    /// Of the rows that were measured; `None` of none.
    pub fn of(profiles: &[PreprocessingProfile]) -> Option<Self> {
        let times =
            || profiles.iter().filter_map(|row| Some((row.batch_size, row.measured()?.sample_s)));
        let (batch_size, sample_s) = times().min_by(|a, b| a.1.total_cmp(&b.1))?;
        let near = times().filter(|(_, time)| *time <= sample_s * (1.0 + PAYS));
        let pays_until = near.map(|(size, _)| size).min().unwrap_or(batch_size);
        Some(Self { batch_size, sample_s, pays_until })
    }
}
