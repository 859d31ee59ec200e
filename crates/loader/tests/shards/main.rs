//! Data sets of many samples in a file: tar shards and Parquet. What other programs wrote and read
//! is in `tests/reference/shards`.

#[cfg(test)]
mod common;
#[cfg(test)]
mod damaged;
#[cfg(test)]
mod parquet;
#[cfg(test)]
mod tar_errors;
#[cfg(test)]
mod tar_shards;
