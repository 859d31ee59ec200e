//! Data sets for the ways data commonly lies on disk or in memory.

mod braces;
pub mod files;
mod handles;
pub mod image_folder;
mod labelled;
pub mod tar;

pub use files::Files;
pub use image_folder::ImageFolder;
pub use labelled::ImageWorker;
pub use tar::TarShards;
