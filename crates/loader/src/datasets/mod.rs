//! Data sets for the ways data commonly lies on disk or in memory.

pub mod image_folder;

pub use image_folder::ImageFolder;
