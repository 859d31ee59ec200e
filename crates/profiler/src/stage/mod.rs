//! Clocks in each worker: which stage of the data's way its time goes to.
//!
//! A [`StageClock`] belongs to one thread and is told where one stage ends and the next begins. The
//! sums live in [`StageCounters`], which any thread may read while the workers run, and of which
//! [`workers_station`] and [`delivery_station`] make a pipeline's stations.

mod clock;
mod counters;

use std::ops::{AddAssign, Sub};

use serde::{Deserialize, Serialize};

pub use self::clock::StageClock;
pub use self::counters::{StageCounters, delivery_station, workers_station};
use crate::bottleneck::BottleneckType;

/// A stage of the data's way, or a wait between two of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Bytes from storage.
    Read,
    /// Compressed bytes to pixels.
    Decode,
    /// Pixels to pixels: crop, resize, flip.
    Transform,
    /// Pixels to the batch's memory: normalise, layout, type.
    Write,
    /// Anything a data set does outside the named stages.
    Other,
    /// The consumer having a batch moved to its device: pinning, and handing out the copies.
    Transfer,
    /// The consumer making floats of a batch's bytes.
    Normalize,
    /// The consumer transforming a batch as a whole.
    BatchTransform,
    /// A worker waiting for room in the batches being filled.
    WaitRoom,
    /// The consumer waiting for its next batch.
    WaitBatch,
    /// The consumer at its own work, between one batch and asking for the next.
    Consume,
}

impl Stage {
    /// Every stage, in the order of the data's way.
    pub const ALL: [Stage; 11] = [
        Stage::Read,
        Stage::Decode,
        Stage::Transform,
        Stage::Write,
        Stage::Other,
        Stage::Transfer,
        Stage::Normalize,
        Stage::BatchTransform,
        Stage::WaitRoom,
        Stage::WaitBatch,
        Stage::Consume,
    ];

    /// Those that are work on samples, as [`ALL`](Self::ALL) begins with them.
    pub const WORK: [Stage; 5] =
        [Stage::Read, Stage::Decode, Stage::Transform, Stage::Write, Stage::Other];

    /// Those that are work on whole batches.
    pub const DELIVERY: [Stage; 3] = [Stage::Transfer, Stage::Normalize, Stage::BatchTransform];

    /// Whether it is work on samples, not a wait and not the consumer's own work.
    pub fn is_work(self) -> bool {
        Self::WORK.contains(&self)
    }

    /// The name in files and reports.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Read => "read",
            Stage::Decode => "decode",
            Stage::Transform => "transform",
            Stage::Write => "write",
            Stage::Other => "other",
            Stage::Transfer => "transfer",
            Stage::Normalize => "normalize",
            Stage::BatchTransform => "batch_transform",
            Stage::WaitRoom => "wait_room",
            Stage::WaitBatch => "wait_batch",
            Stage::Consume => "consume",
        }
    }

    /// What it is by its nature.
    pub fn kind(self) -> BottleneckType {
        match self {
            Stage::Read => BottleneckType::IoOperation,
            Stage::Decode | Stage::Transform | Stage::BatchTransform => {
                BottleneckType::Preprocessing
            }
            Stage::Transfer => BottleneckType::GpuTransfer,
            Stage::Write | Stage::Other | Stage::Normalize | Stage::Consume => {
                BottleneckType::CpuComputation
            }
            Stage::WaitRoom => BottleneckType::Synchronization,
            Stage::WaitBatch => BottleneckType::DataLoading,
        }
    }
}

/// Thread-seconds by stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StageTimes {
    /// See [`Stage::Read`].
    pub read_s: f64,
    /// See [`Stage::Decode`].
    pub decode_s: f64,
    /// See [`Stage::Transform`].
    pub transform_s: f64,
    /// See [`Stage::Write`].
    pub write_s: f64,
    /// See [`Stage::Other`].
    pub other_s: f64,
    /// See [`Stage::Transfer`].
    pub transfer_s: f64,
    /// See [`Stage::Normalize`].
    pub normalize_s: f64,
    /// See [`Stage::BatchTransform`].
    pub batch_transform_s: f64,
    /// See [`Stage::WaitRoom`].
    pub wait_room_s: f64,
    /// See [`Stage::WaitBatch`].
    pub wait_batch_s: f64,
    /// See [`Stage::Consume`].
    pub consume_s: f64,
}

impl StageTimes {
    /// Thread-seconds of work on samples: no waits, nothing of the consumer's own.
    pub fn busy_s(&self) -> f64 {
        self.read_s + self.decode_s + self.transform_s + self.write_s + self.other_s
    }

    /// Seconds of work on whole batches.
    pub fn delivery_s(&self) -> f64 {
        self.transfer_s + self.normalize_s + self.batch_transform_s
    }

    fn fields_mut(&mut self) -> [&mut f64; Stage::ALL.len()] {
        [
            &mut self.read_s,
            &mut self.decode_s,
            &mut self.transform_s,
            &mut self.write_s,
            &mut self.other_s,
            &mut self.transfer_s,
            &mut self.normalize_s,
            &mut self.batch_transform_s,
            &mut self.wait_room_s,
            &mut self.wait_batch_s,
            &mut self.consume_s,
        ]
    }
}

impl AddAssign for StageTimes {
    fn add_assign(&mut self, mut other: Self) {
        for (sum, term) in self.fields_mut().into_iter().zip(other.fields_mut()) {
            *sum += *term;
        }
    }
}

impl Sub for StageTimes {
    type Output = Self;

    fn sub(mut self, mut earlier: Self) -> Self {
        for (now, before) in self.fields_mut().into_iter().zip(earlier.fields_mut()) {
            *now -= *before;
        }
        self
    }
}

#[cfg(test)]
mod tests;
