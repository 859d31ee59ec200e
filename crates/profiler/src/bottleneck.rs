//! What holds a program up: a kind, how bad it is, why it is believed, and what to do.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What kind of work or wait an operation, a stage or a bottleneck is.
///
/// In files it is a name such as `data_loading`; a name that is none of ours is
/// [`Custom`](Self::Custom).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum BottleneckType {
    /// The program waits for its next batch.
    DataLoading,
    /// Samples are decoded or transformed.
    Preprocessing,
    /// Memory is short, or allocating it takes the time.
    MemoryAllocation,
    /// Data is copied to a GPU, or the GPU's memory is short.
    GpuTransfer,
    /// The processor computes.
    CpuComputation,
    /// Storage is read or written.
    IoOperation,
    /// A peer on the network is awaited.
    NetworkLatency,
    /// Threads wait for each other, or for a core.
    Synchronization,
    /// Not said. An operation of this kind is told from what is measured while it runs, and keeps
    /// it where too little was.
    Undeclared,
    /// Anything else, by name.
    Custom(String),
}

/// In files and reports.
const UNDECLARED: &str = "undeclared";

impl BottleneckType {
    /// The kinds that have names of their own, in the order of reports.
    pub const NAMED: [Self; 8] = [
        Self::DataLoading,
        Self::Preprocessing,
        Self::MemoryAllocation,
        Self::GpuTransfer,
        Self::CpuComputation,
        Self::IoOperation,
        Self::NetworkLatency,
        Self::Synchronization,
    ];

    /// The name in files and reports.
    pub fn name(&self) -> &str {
        match self {
            Self::DataLoading => "data_loading",
            Self::Preprocessing => "preprocessing",
            Self::MemoryAllocation => "memory_allocation",
            Self::GpuTransfer => "gpu_transfer",
            Self::CpuComputation => "cpu_computation",
            Self::IoOperation => "i_o_operation",
            Self::NetworkLatency => "network_latency",
            Self::Synchronization => "synchronization",
            Self::Undeclared => UNDECLARED,
            Self::Custom(name) => name,
        }
    }
}

impl fmt::Display for BottleneckType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl From<String> for BottleneckType {
    fn from(name: String) -> Self {
        let named = Self::NAMED.into_iter().chain([Self::Undeclared]);
        named.into_iter().find(|kind| kind.name() == name).unwrap_or(Self::Custom(name))
    }
}

impl From<BottleneckType> for String {
    fn from(kind: BottleneckType) -> Self {
        kind.name().to_owned()
    }
}

/// Something that holds the program up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bottleneck {
    /// What it is, such as `high_memory_usage` or the name of a stage.
    pub name: String,
    /// Its kind, by the evidence.
    pub kind: BottleneckType,
    /// How bad it is, 0 to 1. For work: the lower end of the interval of
    /// [`optimization_potential`](Self::optimization_potential). For a resource: how far above
    /// its threshold, and for what share of the time.
    pub severity: f64,
    /// Episodes: times that it began. For an operation: its calls.
    pub frequency: u64,
    /// How long it lasted or took, over all episodes, in seconds.
    pub total_time_s: f64,
    /// The share of the program's time that would be saved if this took none, 0 to 1; `None`
    /// where that cannot be said (a resource that is short).
    pub optimization_potential: Option<f64>,
    /// Why it is believed, one sentence with figures.
    pub cause: String,
    /// What to do, most promising first.
    pub suggestions: Vec<String>,
}
