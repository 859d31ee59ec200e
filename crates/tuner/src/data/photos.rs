//! The photographs that images are cut from, decoded once and shared by all threads.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::DataError;

/// The least width and height, in pixels, that something can be cut from.
const LEAST_SIDE: u32 = 64;

/// How much sharper photographs are made: in sixteenths of the difference between a value and its
/// neighbours.
const SHARPNESS: i32 = 6;

/// A decoded photograph.
pub(super) struct Photo {
    /// Its file's name without the ending, as the first part of a class's name.
    pub(super) name: String,
    /// In pixels.
    pub(super) width: u32,
    /// In pixels.
    pub(super) height: u32,
    /// `[height, width, 3]`, RGB.
    pub(super) pixels: Vec<u8>,
}

/// What a folder of photographs holds.
pub(super) struct Photos {
    /// Sorted by the files' names.
    pub(super) photos: Vec<Photo>,
    /// The files that say whose the photographs are: they go wherever the images go.
    pub(super) licences: Vec<PathBuf>,
}

impl Photos {
    /// Decodes all photographs in `folder`.
    ///
    /// # Errors
    ///
    /// If the folder cannot be listed or holds no photograph, if one of them cannot be decoded or
    /// is too small, or if two would have the same name.
    pub(super) fn read(folder: &Path) -> Result<Self, DataError> {
        let failed = |source| DataError::Photos { path: folder.to_path_buf(), source };
        let mut paths = fs::read_dir(folder)
            .and_then(|entries| {
                entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, _>>()
            })
            .map_err(failed)?;
        paths.sort();
        let licences = paths.iter().filter(|path| is_licence(path)).cloned().collect();
        paths.retain(|path| format(path).is_some());
        if paths.is_empty() {
            return Err(DataError::NoPhotos { path: folder.to_path_buf() });
        }
        let photos = paths.par_iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
        for (i, photo) in photos.iter().enumerate() {
            if let Some(j) = photos[..i].iter().position(|other| other.name == photo.name) {
                return Err(DataError::SameClass {
                    first: paths[j].clone(),
                    second: paths[i].clone(),
                    class: photo.name.clone(),
                });
            }
        }
        Ok(Self { photos, licences })
    }
}

#[derive(Clone, Copy)]
enum Format {
    Jpeg,
    Png,
}

fn format(path: &Path) -> Option<Format> {
    match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "jpg" | "jpeg" => Some(Format::Jpeg),
        "png" => Some(Format::Png),
        _ => None,
    }
}

fn is_licence(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    ["licen", "copying", "attribution"].iter().any(|start| name.starts_with(start))
        && path.is_file()
}

fn read(path: &Path) -> Result<Photo, DataError> {
    let (width, height, pixels) =
        decode(path).map_err(|source| DataError::Photo { path: path.to_path_buf(), source })?;
    if width.min(height) < LEAST_SIDE {
        let path = path.to_path_buf();
        return Err(DataError::SmallPhoto { path, width, height, least: LEAST_SIDE });
    }
    // A name that every file system takes and that needs no quoting in a shell.
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().to_lowercase();
    let name = stem.chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect();
    let pixels = sharpened(&pixels, width as usize * 3);
    Ok(Photo { name, width, height, pixels })
}

/// Moves every value away from the mean of its four neighbours, as cameras and photo sites do.
///
/// Without it, what is cut from a small photograph has less detail than ImageNet's images, and its
/// file is smaller. The outermost values stay as they are.
fn sharpened(pixels: &[u8], pitch: usize) -> Vec<u8> {
    let mut sharp = pixels.to_vec();
    let rows = pixels.len() / pitch;
    for (row, line) in sharp.chunks_exact_mut(pitch).enumerate().take(rows - 1).skip(1) {
        for (column, value) in line.iter_mut().enumerate().take(pitch - 3).skip(3) {
            let here = row * pitch + column;
            let at = |i: usize| i32::from(pixels[i]);
            let around = at(here - pitch) + at(here - 3) + at(here + 3) + at(here + pitch);
            let sharper = at(here) + (4 * at(here) - around) * SHARPNESS / 16;
            *value = sharper.clamp(0, 255) as u8;
        }
    }
    sharp
}

/// Width, height and RGB pixels.
///
/// JPEG goes through the libjpeg-turbo that is built with the program, so that every machine
/// cuts from the same pixels.
fn decode(path: &Path) -> Result<(u32, u32, Vec<u8>), Box<dyn Error + Send + Sync>> {
    let bytes = fs::read(path)?;
    match format(path) {
        Some(Format::Jpeg) => {
            let image = turbojpeg::decompress(&bytes, turbojpeg::PixelFormat::RGB)?;
            Ok((u32::try_from(image.width)?, u32::try_from(image.height)?, image.pixels))
        }
        _ => {
            let image = image::load_from_memory_with_format(&bytes, image::ImageFormat::Png)?;
            let image = image.into_rgb8();
            Ok((image.width(), image.height(), image.into_raw()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sharpening_keeps_flat_parts_and_steepens_edges() {
        // Four rows of five grey pixels, dark at the left and bright at the right.
        let row = [80, 80, 80, 160, 160].map(|value: u8| [value; 3]).concat();
        let sharp = sharpened(&row.repeat(4), 15);
        assert_eq!(sharp[..15], row);
        let steep: Vec<u8> = sharp[15..30].chunks(3).map(|pixel| pixel[0]).collect();
        let step = (80 * SHARPNESS / 16) as u8;
        assert_eq!(steep, [80, 80, 80 - step, 160 + step, 160]);
    }

    #[test]
    fn small_photographs_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        image::RgbImage::new(100, 63).save(dir.path().join("strip.png")).unwrap();
        let error = Photos::read(dir.path()).err().unwrap();
        assert!(matches!(error, DataError::SmallPhoto { width: 100, height: 63, .. }));
    }

    #[test]
    fn names_need_no_quoting() {
        let dir = tempfile::tempdir().unwrap();
        image::RgbImage::new(64, 64).save(dir.path().join("My cat's.PNG")).unwrap();
        assert_eq!(Photos::read(dir.path()).unwrap().photos[0].name, "my_cat_s");
    }
}
