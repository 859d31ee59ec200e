//! The types of elements.

use std::fmt;

use serde::{Deserialize, Serialize};
use tch::Kind;

/// A type of the elements of a [`Field`](crate::Field).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// One byte, 0 or 1: [`Bool8`](crate::Bool8).
    Bool,
    /// `u8`.
    Uint8,
    /// `i8`.
    Int8,
    /// `i16`.
    Int16,
    /// `i32`.
    Int32,
    /// `i64`, libtorch's type for labels and indices.
    Int64,
    /// [`half::f16`].
    Float16,
    /// [`half::bf16`].
    BFloat16,
    /// `f32`.
    Float32,
    /// `f64`.
    Float64,
}

impl Dtype {
    /// Every type.
    pub const ALL: [Dtype; 10] = [
        Dtype::Bool,
        Dtype::Uint8,
        Dtype::Int8,
        Dtype::Int16,
        Dtype::Int32,
        Dtype::Int64,
        Dtype::Float16,
        Dtype::BFloat16,
        Dtype::Float32,
        Dtype::Float64,
    ];

    /// Size of an element in bytes.
    pub fn bytes(self) -> usize {
        match self {
            Dtype::Bool | Dtype::Uint8 | Dtype::Int8 => 1,
            Dtype::Int16 | Dtype::Float16 | Dtype::BFloat16 => 2,
            Dtype::Int32 | Dtype::Float32 => 4,
            Dtype::Int64 | Dtype::Float64 => 8,
        }
    }

    /// The number in `c10/core/ScalarType.h`.
    pub(crate) fn scalar_type(self) -> i8 {
        match self {
            Dtype::Bool => 11,
            Dtype::Uint8 => 0,
            Dtype::Int8 => 1,
            Dtype::Int16 => 2,
            Dtype::Int32 => 3,
            Dtype::Int64 => 4,
            Dtype::Float16 => 5,
            Dtype::BFloat16 => 15,
            Dtype::Float32 => 6,
            Dtype::Float64 => 7,
        }
    }

    /// tch's name of the type.
    pub fn kind(self) -> Kind {
        match self {
            Dtype::Bool => Kind::Bool,
            Dtype::Uint8 => Kind::Uint8,
            Dtype::Int8 => Kind::Int8,
            Dtype::Int16 => Kind::Int16,
            Dtype::Int32 => Kind::Int,
            Dtype::Int64 => Kind::Int64,
            Dtype::Float16 => Kind::Half,
            Dtype::BFloat16 => Kind::BFloat16,
            Dtype::Float32 => Kind::Float,
            Dtype::Float64 => Kind::Double,
        }
    }

    /// The type that tch calls `kind`; `None` if a field cannot have it.
    pub fn from_kind(kind: Kind) -> Option<Self> {
        Self::ALL.into_iter().find(|dtype| dtype.kind() == kind)
    }
}

impl fmt::Display for Dtype {
    /// Its name in Python: `float32`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Dtype::Bool => "bool",
            Dtype::Uint8 => "uint8",
            Dtype::Int8 => "int8",
            Dtype::Int16 => "int16",
            Dtype::Int32 => "int32",
            Dtype::Int64 => "int64",
            Dtype::Float16 => "float16",
            Dtype::BFloat16 => "bfloat16",
            Dtype::Float32 => "float32",
            Dtype::Float64 => "float64",
        })
    }
}
