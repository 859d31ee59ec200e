//! What the loader does, seen from outside. One program for all topics: linking libtorch takes
//! longer than most of the tests.

#[cfg(test)]
mod autotune;
#[cfg(test)]
mod batch_transforms;
#[cfg(test)]
mod builder;
#[cfg(test)]
mod collate;
#[cfg(test)]
mod common;
#[cfg(test)]
mod delivery;
#[cfg(test)]
mod failures;
#[cfg(test)]
mod images;
#[cfg(test)]
mod invariance;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod normalize;
#[cfg(test)]
mod order;
#[cfg(test)]
mod policies;
#[cfg(test)]
mod resume;
#[cfg(test)]
mod settings_file;
#[cfg(test)]
mod threads;
