//! Images in class folders, as torchvision's `ImageFolder`.

use std::fs::{self, DirEntry, File};
use std::hash::{Hash, Hasher};
use std::io::Read;
use std::path::{Path, PathBuf};

use preproc::Compose;
use profiler::stage::Stage;
use rayon::prelude::*;
use siphasher::sip::SipHasher13;

pub use super::labelled::ImageWorker;
use super::{labelled, readahead};
use crate::error::FolderError;
use crate::{Dataset, Field, SampleError, Slot};

/// Extensions of the files taken for images, in any case. What a file really is, its first bytes
/// tell.
pub const EXTENSIONS: [&str; 5] = ["jpg", "jpeg", "png", "webp", "bmp"];

/// Images in one folder for each class, each image one sample: `images`, `[3, H, W]`, uint8, float32
/// or bfloat16 as the transforms leave them, and `labels`, int64, the number of its class.
///
/// Classes are numbered in the order of their names; within a class, images are sorted by the
/// folder they lie in and then by name. Both by bytes, so that every machine agrees on them.
#[derive(Debug)]
pub struct ImageFolder {
    classes: Vec<String>,
    /// Each with the number of its class.
    images: Vec<(PathBuf, u32)>,
    /// Of the names of classes and images below the root.
    fingerprint: u64,
    compose: Compose,
}

impl ImageFolder {
    /// Lists the images below `root`. They are not opened.
    ///
    /// # Errors
    /// If a folder cannot be read, there is no class folder, or one holds no image.
    pub fn open(root: impl AsRef<Path>, compose: Compose) -> Result<Self, FolderError> {
        let root = root.as_ref();
        let mut folders: Vec<PathBuf> =
            entries(root)?.iter().filter(|e| what(e) == What::Folder).map(DirEntry::path).collect();
        folders.iter().try_for_each(|folder| refuse_loop(folder))?;
        folders.sort_unstable();
        if folders.is_empty() {
            return Err(FolderError::NoClasses { path: root.to_owned() });
        }
        let images: Vec<Vec<PathBuf>> =
            folders.par_iter().map(|folder| images_below(folder)).collect::<Result<_, _>>()?;
        // Here and not when it is asked for: it takes long for a million, and here are threads.
        let names: Vec<u64> =
            folders.par_iter().zip(&images).map(|(class, images)| hash(class, images)).collect();
        let classes = folders.iter().map(|folder| name(folder)).collect();
        let images = images
            .into_iter()
            .enumerate()
            .flat_map(|(class, images)| images.into_iter().map(move |path| (path, class as u32)))
            .collect();
        let mut hasher = SipHasher13::new();
        names.hash(&mut hasher);
        Ok(Self { classes, images, fingerprint: hasher.finish(), compose })
    }

    /// Names of the classes; a label is a place in this list.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Path and class of each image.
    pub fn images(&self) -> &[(PathBuf, u32)] {
        &self.images
    }

    /// The transforms.
    pub fn compose(&self) -> &Compose {
        &self.compose
    }

    /// The bytes of the file of image `index`, as it is stored.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn file(&self, index: usize) -> Result<Vec<u8>, SampleError> {
        Ok(fs::read(&self.images[index].0)?)
    }
}

impl Dataset for ImageFolder {
    type Worker = ImageWorker;

    fn len(&self) -> usize {
        self.images.len()
    }

    fn fields(&self) -> Vec<Field> {
        labelled::fields(&self.compose)
    }

    fn load(
        &self,
        index: usize,
        worker: &mut ImageWorker,
        slot: &mut Slot<'_>,
    ) -> Result<(), SampleError> {
        let (path, class) = &self.images[index];
        slot.clock.enter(Stage::Read);
        worker.bytes.clear();
        File::open(path)?.read_to_end(&mut worker.bytes)?;
        let ImageWorker { bytes, transforms } = worker;
        labelled::write(&self.compose, bytes, i64::from(*class), transforms, slot)
    }

    fn origin(&self, index: usize) -> Option<String> {
        self.images.get(index).map(|(path, _)| path.display().to_string())
    }

    fn readahead(&self, index: usize) {
        let file = File::open(&self.images[index].0);
        if let Ok(file) = file
            && let Ok(metadata) = file.metadata()
        {
            readahead::wait_for(&file, 0, metadata.len());
        }
    }

    /// By names, not by contents: a file that is mended makes no other data of it.
    fn fingerprint(&self, hasher: &mut dyn Hasher) {
        hasher.write_u64(self.fingerprint);
    }
}

/// Of the name of a class folder and of the paths of its images below it.
fn hash(class: &Path, images: &[PathBuf]) -> u64 {
    let mut hasher = SipHasher13::new();
    class.file_name().hash(&mut hasher);
    let folder = class.as_os_str().len();
    for image in images {
        image.as_os_str().as_encoded_bytes()[folder..].hash(&mut hasher);
    }
    hasher.finish()
}

fn entries(folder: &Path) -> Result<Vec<DirEntry>, FolderError> {
    let read = |source| FolderError::Read { path: folder.to_owned(), source };
    let entries = fs::read_dir(folder).map_err(read)?;
    entries.map(|entry| entry.map_err(read)).collect()
}

/// What to make of a name in a folder.
#[derive(PartialEq)]
enum What {
    Image,
    Folder,
    /// No image; or named like one, but a pipe or a device.
    Other,
}

/// Told by the listing and the name alone, but for links: a question to the file system for each of
/// a million images takes minutes on a network. A link with an image's name is one, so that where
/// it leads to nothing, loading it says so.
fn what(entry: &DirEntry) -> What {
    let path = entry.path();
    match entry.file_type() {
        Ok(kind) if kind.is_dir() => What::Folder,
        Ok(kind) if (kind.is_file() || kind.is_symlink()) && is_image(&path) => What::Image,
        Ok(kind) if kind.is_symlink() && path.is_dir() => What::Folder,
        _ => What::Other,
    }
}

/// # Errors
/// [`FolderError::Loop`] if the folder at `path` is one that it lies in: listed through a link,
/// without end, its images would get the wrong class.
fn refuse_loop(path: &Path) -> Result<(), FolderError> {
    let read = |source| FolderError::Read { path: path.to_owned(), source };
    if path.is_symlink() {
        let target = fs::canonicalize(path).map_err(read)?;
        // As it was come to: links may lead to each other.
        for folder in path.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty()) {
            if fs::canonicalize(folder).map_err(read)?.starts_with(&target) {
                return Err(FolderError::Loop { path: path.to_owned() });
            }
        }
    }
    Ok(())
}

/// All images in a class folder and the folders in it, sorted.
fn images_below(class: &Path) -> Result<Vec<PathBuf>, FolderError> {
    let mut images = Vec::new();
    let mut folders = vec![class.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in entries(&folder)? {
            let path = entry.path();
            match what(&entry) {
                What::Image => images.push(path),
                What::Folder => {
                    refuse_loop(&path)?;
                    folders.push(path);
                }
                What::Other => {}
            }
        }
    }
    if images.is_empty() {
        let extensions = EXTENSIONS.join(", ");
        return Err(FolderError::EmptyClass { path: class.to_owned(), extensions });
    }
    // As strings: a path's own order goes by its parts, which is not torchvision's.
    images.sort_unstable_by(|a, b| by_bytes(a).cmp(&by_bytes(b)));
    Ok(images)
}

fn by_bytes(path: &Path) -> (&[u8], &[u8]) {
    let folder = path.parent().map(Path::as_os_str).unwrap_or_default();
    (folder.as_encoded_bytes(), path.file_name().unwrap_or_default().as_encoded_bytes())
}

fn is_image(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|e| EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(e)))
}

fn name(folder: &Path) -> String {
    folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
