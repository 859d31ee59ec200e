//! The data sets that lie in memory or in mapped files, and those around others. One program for
//! all: linking libtorch takes longer than most of the tests.

#[cfg(test)]
mod around;
#[cfg(test)]
mod arrays;
#[cfg(test)]
mod common;
#[cfg(test)]
mod damaged;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod synthetic;
#[cfg(test)]
mod tokens;
