//! Why a row has no figures.

use std::error::Error;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use tch::{Kind, TchError};
use thiserror::Error;

use crate::TransformError;

/// Why a transform was not measured at a batch size.
#[derive(Debug, Error)]
pub enum Failure {
    /// It returned an error.
    #[error("the transform failed")]
    Transform(#[source] TransformError),
    /// It panicked.
    #[error("the transform panicked: {message}\nhint: return an error instead")]
    Panicked {
        /// What the panic said.
        message: String,
    },
    /// The same input gave outputs of different shapes: they make no batch.
    #[error(
        "the transform returns another shape each time: {first:?}, then {then:?}\n\
         hint: follow it with a crop or a resize, and measure both as one"
    )]
    OtherShape {
        /// Shape of the first output.
        first: Vec<i64>,
        /// Shape of a later one.
        then: Vec<i64>,
    },
    /// The same input gave outputs of different types.
    #[error("the transform returns another type each time: {first:?}, then {then:?}")]
    OtherType {
        /// Type of the first output's elements.
        first: Kind,
        /// Type of a later one's.
        then: Kind,
    },
    /// The output holds values that are not numbers.
    #[error(
        "the output holds NaN\nhint: look for a division by zero, or a logarithm or root of a negative number"
    )]
    Nan,
    /// The input holds values that are not numbers.
    #[error("the sample itself holds NaN\nhint: measure with a sample of numbers")]
    NanInput,
    /// The input has no elements.
    #[error(
        "the sample has the shape {shape:?}, that is no elements\nhint: every side must be 1 or more"
    )]
    NoElements {
        /// Its shape.
        shape: Vec<i64>,
    },
    /// A batch of no samples was asked for.
    #[error("a batch of 0 samples cannot be measured\nhint: give a batch size of 1 or more")]
    EmptyBatch,
    /// There are not as many distinct samples as a batch takes.
    #[error("there are {samples} distinct samples, too few for a batch of {batch_size}")]
    FewSamples {
        /// Samples that there are.
        samples: usize,
        /// Samples asked for.
        batch_size: usize,
    },
    /// Predicted before anything was allocated.
    #[error(
        "skipped: a batch would take about {} MiB, and {} MiB are free\n\
         hint: give a smaller batch size", needed_bytes >> 20, available_bytes >> 20
    )]
    DoesNotFit {
        /// Input, its copy, output and as much again in between.
        needed_bytes: u64,
        /// What may be taken.
        available_bytes: u64,
    },
    /// The system gave no thread to measure on.
    #[error("cannot start a thread to measure on")]
    Thread(#[source] std::io::Error),
    /// libtorch could not make the input or look at the output.
    #[error("libtorch could not prepare or check a batch")]
    Torch(#[from] TchError),
}

impl Failure {
    /// One word for it, as in files.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Transform(_) => "failed",
            Self::Panicked { .. } => "panicked",
            Self::OtherShape { .. } => "other_shape",
            Self::OtherType { .. } => "other_type",
            Self::Nan => "nan",
            Self::NanInput => "nan_input",
            Self::NoElements { .. } => "no_elements",
            Self::EmptyBatch => "empty_batch",
            Self::FewSamples { .. } => "few_samples",
            Self::DoesNotFit { .. } => "does_not_fit",
            Self::Thread(_) => "thread",
            Self::Torch(_) => "torch",
        }
    }

    /// What happened and why, all of it.
    pub fn reason(&self) -> String {
        let mut text = self.to_string();
        let mut source = self.source();
        while let Some(cause) = source {
            text += &format!(": {cause}");
            source = cause.source();
        }
        text
    }
}

impl Serialize for Failure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Failure", 2)?;
        fields.serialize_field("kind", self.kind())?;
        fields.serialize_field("reason", &self.reason())?;
        fields.end()
    }
}
