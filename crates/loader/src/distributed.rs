//! One epoch shared among several processes, each with its own part of every step.
//!
//! The batches of all ranks at one step make a *global batch*: `batch_size x world_size` samples
//! that follow each other in the order of the epoch, rank 0's first. So what a global batch holds
//! does not depend on how many ranks share it, as long as its size stays the same.

use std::str::FromStr;

use thiserror::Error;

/// Which of how many processes this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rank {
    rank: usize,
    local_rank: usize,
    world_size: usize,
}

impl Default for Rank {
    /// The only one.
    fn default() -> Self {
        Self { rank: 0, local_rank: 0, world_size: 1 }
    }
}

impl Rank {
    /// Process number `rank`, from 0, of `world_size`.
    ///
    /// # Errors
    /// If there is no such process.
    pub fn new(rank: usize, world_size: usize) -> Result<Self, RankError> {
        if rank >= world_size {
            return Err(RankError::OutOfRange { rank, world_size });
        }
        Ok(Self { rank, local_rank: rank, world_size })
    }

    /// As the launcher says: torchrun (`RANK`, `WORLD_SIZE`, `LOCAL_RANK`), Slurm's `srun`
    /// (`SLURM_PROCID`, `SLURM_NTASKS`, `SLURM_LOCALID`, in a step) or Open MPI (`OMPI_COMM_WORLD_RANK`,
    /// `OMPI_COMM_WORLD_SIZE`, `OMPI_COMM_WORLD_LOCAL_RANK`), the first of them that is there;
    /// the only process if none is.
    ///
    /// # Errors
    /// If a variable is missing beside another, or no number that makes sense.
    pub fn from_env() -> Result<Self, RankError> {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    /// As [`from_env`](Self::from_env), with the value of each variable asked of `variable`.
    ///
    /// # Errors
    /// See there.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self, RankError> {
        for [rank, world_size, local_rank] in LAUNCHERS {
            // A batch script has Slurm's variables too, but is no task of its own.
            if rank == SLURM_PROCID && variable("SLURM_STEP_ID").is_none() {
                continue;
            }
            let (Some(of_rank), of_world) = (variable(rank), variable(world_size)) else {
                continue;
            };
            let Some(of_world) = of_world else {
                return Err(RankError::Missing { name: world_size, beside: rank });
            };
            let this = Self::new(number(rank, &of_rank)?, number(world_size, &of_world)?)?;
            let local_rank = match variable(local_rank) {
                Some(value) => number(local_rank, &value)?,
                None => this.rank,
            };
            return Ok(Self { local_rank, ..this });
        }
        Ok(Self::default())
    }

    /// The number of this process, from 0.
    pub fn rank(self) -> usize {
        self.rank
    }

    /// The number of this process on its machine, from 0: which GPU to take. Where the launcher
    /// does not say it, [`rank`](Self::rank).
    pub fn local_rank(self) -> usize {
        self.local_rank
    }

    /// How many processes there are.
    pub fn world_size(self) -> usize {
        self.world_size
    }
}

const SLURM_PROCID: &str = "SLURM_PROCID";

/// Rank, world size, rank on the machine: as torchrun, Slurm and Open MPI name them.
const LAUNCHERS: [[&str; 3]; 3] = [
    ["RANK", "WORLD_SIZE", "LOCAL_RANK"],
    [SLURM_PROCID, "SLURM_NTASKS", "SLURM_LOCALID"],
    ["OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"],
];

fn number(name: &'static str, value: &str) -> Result<usize, RankError> {
    usize::from_str(value.trim())
        .map_err(|_| RankError::NotANumber { name, value: value.to_owned() })
}

/// What to do with samples at the end of an epoch that are not enough for all ranks: every rank
/// gets the same number of batches, and at each step batches of one size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Uneven {
    /// The first samples of the epoch come again at its end.
    #[default]
    Pad,
    /// They are left out.
    Drop,
    /// Refuse.
    Error,
}

/// What is wrong with rank or world size.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RankError {
    /// No such process.
    #[error("rank {rank} of {world_size} processes: ranks go from 0 to `world_size` - 1")]
    OutOfRange {
        /// The rank.
        rank: usize,
        /// How many there are.
        world_size: usize,
    },
    /// One variable without the other.
    #[error(
        "the environment variable `{beside}` is set, but `{name}` is not\nhint: set both, or neither"
    )]
    Missing {
        /// Not set.
        name: &'static str,
        /// Set.
        beside: &'static str,
    },
    /// A variable that is no number.
    #[error("the environment variable `{name}` is `{value}`, which is no number from 0")]
    NotANumber {
        /// The variable.
        name: &'static str,
        /// Its value.
        value: String,
    },
    /// [`Uneven::Error`].
    #[error(
        "the last {left} {what} of an epoch cannot be shared evenly by {world_size} processes\nhint: use `drop_last`, `Uneven::Pad` or `Uneven::Drop`"
    )]
    Uneven {
        /// How many there are.
        left: usize,
        /// Samples or batches.
        what: &'static str,
        /// Processes.
        world_size: usize,
    },
}
