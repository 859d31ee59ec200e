//! The set as a whole: which images, in which folders, and what is said about them.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::DataError;
use super::partial::PartialFolder;
use super::photos::{Photo, Photos};
use super::render::Renderer;
use super::spec::{Light, RECIPE, Spec};

/// The file beside the class folders that holds [`Made`].
const DESCRIPTION: &str = "imagenet-like.json";

/// A set of JPEG files with ImageNet's statistics, to be cut from a few photographs.
///
/// The class of an image is the photograph it was cut from and the light that it is shown in, so
/// that a small network learns to tell them apart. Image `i` depends on the seed, on `i` and on the
/// photographs, and on nothing else: the same seed gives the same bytes, and the first `n` images
/// of a larger set are those of a set of `n`.
///
/// # Example
///
/// ```no_run
/// use tuner::data::ImagenetLike;
///
/// let set = ImagenetLike {
///     out: "datasets/imagenet/train".into(),
///     photos: "datasets/photos".into(),
///     ..ImagenetLike::default()
/// };
/// let made = set.make(|| {})?;
/// println!("{} images, {} MB", made.images, made.bytes / 1_000_000);
/// # Ok::<(), tuner::data::DataError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ImagenetLike {
    /// How many images.
    pub images: usize,
    /// Another seed, other images.
    pub seed: u64,
    /// The folder to make. It must be empty, or not there yet.
    pub out: PathBuf,
    /// The folder of photographs: JPEG and PNG files, and their licences.
    pub photos: PathBuf,
}

impl Default for ImagenetLike {
    fn default() -> Self {
        Self {
            images: 2000,
            seed: 0,
            out: "datasets/imagenet/train".into(),
            photos: "datasets/photos".into(),
        }
    }
}

/// What was made; also the content of `imagenet-like.json` in the folder.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Made {
    /// The recipe and its version: the same recipe, seed and photographs give the same bytes.
    pub recipe: String,
    /// The seed.
    pub seed: u64,
    /// The number of images.
    pub images: usize,
    /// The number of classes that have images.
    pub classes: usize,
    /// Size of all JPEG files together.
    pub bytes: u64,
    /// Mean size of a file.
    pub mean_bytes: f64,
    /// Mean width in pixels.
    pub mean_width: f64,
    /// Mean height in pixels.
    pub mean_height: f64,
    /// Mean number of pixels.
    pub mean_pixels: f64,
    /// How many images are grey.
    pub grey: usize,
    /// How many files are progressive.
    pub progressive: usize,
    /// The photographs, as the classes name them.
    pub photos: Vec<String>,
}

impl ImagenetLike {
    /// Makes the set, on the threads of the current rayon pool.
    ///
    /// `on_image` is called after each image, from any of the threads. The folder appears when it
    /// is whole: an error, a panic or the end of the process leaves none.
    ///
    /// # Errors
    ///
    /// If no image is asked for, if the folder is there already and not empty, or another process
    /// is making it, if the photographs cannot be read, or if the images cannot be written.
    pub fn make(&self, on_image: impl Fn() + Sync) -> Result<Made, DataError> {
        if self.images == 0 {
            return Err(DataError::NoImages);
        }
        let Photos { photos, licences } = Photos::read(&self.photos)?;
        let folder = PartialFolder::create(&self.out)?;
        let sizes: Vec<_> = photos.iter().map(|photo| (photo.width, photo.height)).collect();
        let spec = |index| Spec::draw(self.seed, index, &sizes);

        let classes = (0..self.images.min(photos.len() * Light::ALL.len()))
            .map(|index| class(&spec(index), &photos))
            .collect::<BTreeSet<_>>();
        for class in &classes {
            let path = folder.path().join(class);
            fs::create_dir(&path).map_err(|source| DataError::write(&path, source))?;
        }

        let total = (0..self.images)
            .into_par_iter()
            .map_init(Renderer::default, |renderer, index| {
                let spec = spec(index);
                let jpeg = renderer.render(self.seed, index, &spec, &photos[spec.photo])?;
                let class = class(&spec, &photos);
                let path = folder.path().join(&class).join(format!("{class}_{index:06}.JPEG"));
                fs::write(&path, jpeg).map_err(|source| DataError::write(&path, source))?;
                on_image();
                Ok(Total::of(&spec, jpeg))
            })
            .try_reduce(Total::default, |a, b| Ok(a.and(b)))?;

        let made = self.made(&total, classes.len(), &photos);
        made.write(folder.path(), &licences)?;
        folder.finish()?;
        Ok(made)
    }

    fn made(&self, total: &Total, classes: usize, photos: &[Photo]) -> Made {
        let mean = |sum: u64| (sum as f64 / self.images as f64 * 10.0).round() / 10.0;
        Made {
            recipe: RECIPE.to_owned(),
            seed: self.seed,
            images: self.images,
            classes,
            bytes: total.bytes,
            mean_bytes: mean(total.bytes),
            mean_width: mean(total.width),
            mean_height: mean(total.height),
            mean_pixels: mean(total.pixels),
            grey: total.grey,
            progressive: total.progressive,
            photos: photos.iter().map(|photo| photo.name.clone()).collect(),
        }
    }
}

impl Made {
    /// What was made in `folder`; `None` if what is there, if anything, was not made here.
    ///
    /// # Errors
    ///
    /// If the description cannot be read.
    pub fn read(folder: &Path) -> Result<Option<Self>, DataError> {
        let path = folder.join(DESCRIPTION);
        let made = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::from),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => Err(e),
        };
        made.map(Some).map_err(|source| DataError::Description { path, source })
    }

    /// Writes what is said about the set. All of it are plain files: a folder would be a class.
    fn write(&self, folder: &Path, licences: &[PathBuf]) -> Result<(), DataError> {
        let put = |name: &str, text: &str| {
            let path = folder.join(name);
            fs::write(&path, text).map_err(|source| DataError::write(&path, source))
        };
        let json = serde_json::to_string_pretty(self).map_err(|e| {
            let path = folder.join(DESCRIPTION);
            DataError::Description { path, source: e.into() }
        })?;
        put(DESCRIPTION, &(json + "\n"))?;
        let mut names = Vec::new();
        for licence in licences {
            let name = licence.file_name().unwrap_or_default();
            let path = folder.join(name);
            fs::copy(licence, &path).map_err(|source| DataError::write(&path, source))?;
            names.push(format!("`{}`", name.to_string_lossy()));
        }
        put("README.md", &self.readme(&names))
    }

    fn readme(&self, licences: &[String]) -> String {
        let whose = match licences {
            [] => String::new(),
            names => format!(" Whose they are says {}.", names.join(", ")),
        };
        format!(
            "# A stand-in for ImageNet\n\n\
             {} JPEG images in {} classes with the sizes of ImageNet's files, to measure and to try \
             a training program with.\n\
             No research result should rest on them.\n\n\
             They are parts of a few photographs, changed by the program that wrote this file: cut, \
             scaled, mirrored,\nchanged in colour and brightness, with noise added. The class names the \
             photograph that an image is a part of,\nand the image comes under that photograph's \
             licence.{whose}\n\n\
             Recipe `{}`, seed {}; the figures are in `{DESCRIPTION}`.\n",
            self.images, self.classes, self.recipe, self.seed,
        )
    }
}

/// The class of an image, which is also its folder's name.
fn class(spec: &Spec, photos: &[Photo]) -> String {
    format!("{}_{}", photos[spec.photo].name, spec.light.name())
}

/// Sums over images. All are integers, so the order of adding does not matter.
#[derive(Default)]
struct Total {
    bytes: u64,
    width: u64,
    height: u64,
    pixels: u64,
    grey: usize,
    progressive: usize,
}

impl Total {
    fn of(spec: &Spec, jpeg: &[u8]) -> Self {
        let (width, height) = (u64::from(spec.width), u64::from(spec.height));
        Self {
            bytes: jpeg.len() as u64,
            width,
            height,
            pixels: width * height,
            grey: spec.grey.into(),
            progressive: spec.progressive.into(),
        }
    }

    fn and(self, other: Self) -> Self {
        Self {
            bytes: self.bytes + other.bytes,
            width: self.width + other.width,
            height: self.height + other.height,
            pixels: self.pixels + other.pixels,
            grey: self.grey + other.grey,
            progressive: self.progressive + other.progressive,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tempfile::{TempDir, tempdir};

    use super::*;

    const PHOTOS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../datasets/photos");

    fn set(images: usize, seed: u64, dir: &TempDir, name: &str) -> ImagenetLike {
        ImagenetLike { images, seed, out: dir.path().join(name), photos: PHOTOS.into() }
    }

    /// Every JPEG file's path in `folder`, with its bytes.
    fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        for class in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if class.is_dir() {
                for file in fs::read_dir(&class).unwrap().map(|entry| entry.unwrap().path()) {
                    let name = file.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                    files.insert(name, fs::read(file).unwrap());
                }
            }
        }
        files
    }

    fn with_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
    }

    #[test]
    fn the_seed_decides_every_byte_whatever_the_threads() {
        let dir = tempdir().unwrap();
        let (one, two) = (set(40, 1, &dir, "one"), set(40, 1, &dir, "two"));
        let made = with_threads(1, || one.make(|| {}).unwrap());
        assert_eq!(made, with_threads(2, || two.make(|| {}).unwrap()));
        let files_of_one = files(&one.out);
        assert_eq!(files_of_one.len(), 40);
        assert_eq!(files_of_one.values().map(|bytes| bytes.len() as u64).sum::<u64>(), made.bytes);
        assert!(files_of_one == files(&two.out));

        let other = set(40, 2, &dir, "other");
        other.make(|| {}).unwrap();
        let files_of_other = files(&other.out);
        assert!(files_of_one.keys().eq(files_of_other.keys()));
        assert!(files_of_one.values().zip(files_of_other.values()).all(|(a, b)| a != b));
    }

    #[test]
    fn a_larger_set_begins_with_the_smaller_one() {
        let dir = tempdir().unwrap();
        let (small, large) = (set(10, 3, &dir, "small"), set(30, 3, &dir, "large"));
        small.make(|| {}).unwrap();
        large.make(|| {}).unwrap();
        let files_of_large = files(&large.out);
        assert!(files(&small.out).iter().all(|(name, bytes)| files_of_large[name] == *bytes));
    }

    #[test]
    fn the_recipe_is_stable() {
        // FNV-1a of all files, recorded once. Whoever means to change it gives RECIPE a new number.
        let dir = tempdir().unwrap();
        let set = set(30, 0, &dir, "set");
        set.make(|| {}).unwrap();
        let hash = files(&set.out).values().flatten().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        assert_eq!(hash, 0xe19b_6c67_fb03_a444, "{hash:#x}");
    }

    #[test]
    fn what_is_made_is_like_imagenet() {
        let dir = tempdir().unwrap();
        let set = set(300, 0, &dir, "set");
        let calls = AtomicUsize::new(0);
        let made = set.make(|| _ = calls.fetch_add(1, Ordering::Relaxed)).unwrap();
        assert_eq!(calls.into_inner(), 300);
        assert_eq!((made.images, made.classes, made.photos.len()), (300, 14, 7));
        assert!((95e3..125e3).contains(&made.mean_bytes), "{made:?}");
        assert!((430.0..470.0).contains(&made.mean_width), "{made:?}");
        assert!((380.0..420.0).contains(&made.mean_height), "{made:?}");
        assert!((165e3..215e3).contains(&made.mean_pixels), "{made:?}");

        let (mut grey, mut progressive) = (0, 0);
        for (name, bytes) in files(&set.out) {
            let (class, file) = name.split_once('/').unwrap();
            assert!(file.starts_with(&format!("{class}_0")) && file.ends_with(".JPEG"), "{name}");
            let header = turbojpeg::read_header(&bytes).unwrap();
            grey += usize::from(header.subsamp == turbojpeg::Subsamp::Gray);
            progressive += usize::from(header.is_progressive);
            let image = turbojpeg::decompress(&bytes, turbojpeg::PixelFormat::GRAY).unwrap();
            let sum: u64 = image.pixels.iter().map(|value| u64::from(*value)).sum();
            let mean = sum as f64 / image.pixels.len() as f64;
            assert!((5.0..230.0).contains(&mean), "{name} has a mean of {mean}");
        }
        assert_eq!((grey, progressive), (made.grey, made.progressive));
        assert!(grey > 0 && progressive > 0);
    }

    #[test]
    fn it_says_what_it_is_in_plain_files() {
        let dir = tempdir().unwrap();
        let set = set(3, 9, &dir, "set");
        let made = set.make(|| {}).unwrap();
        assert_eq!(made.classes, 3);
        assert_eq!(Made::read(&set.out).unwrap(), Some(made));
        assert!(fs::read_to_string(set.out.join("README.md")).unwrap().contains("LICENCES.md"));
        assert!(set.out.join("LICENCES.md").is_file());
        assert_eq!(fs::read_dir(&set.out).unwrap().count(), 3 + 3);

        assert_eq!(Made::read(dir.path()).unwrap(), None);
        fs::write(dir.path().join(DESCRIPTION), "{}").unwrap();
        assert!(matches!(Made::read(dir.path()), Err(DataError::Description { .. })));
    }

    #[test]
    fn refusals_name_the_thing_and_leave_nothing() {
        let dir = tempdir().unwrap();
        let refused = |set: &ImagenetLike| set.make(|| {}).unwrap_err();
        assert!(matches!(refused(&set(0, 0, &dir, "set")), DataError::NoImages));

        let missing = dir.path().join("missing");
        let error = refused(&ImagenetLike { photos: missing, ..set(1, 0, &dir, "set") });
        assert!(error.to_string().contains("missing`"), "{error}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);

        let photos = dir.path().join("photos");
        fs::create_dir(&photos).unwrap();
        let from_these = ImagenetLike { photos: photos.clone(), ..set(1, 0, &dir, "set") };
        assert!(matches!(refused(&from_these), DataError::NoPhotos { .. }));
        fs::write(photos.join("a.jpg"), "not a photograph").unwrap();
        let error = refused(&from_these);
        assert!(error.to_string().contains("a.jpg`"), "{error}");
        fs::copy(Path::new(PHOTOS).join("chelsea.png"), photos.join("a.png")).unwrap();
        fs::copy(Path::new(PHOTOS).join("china.jpg"), photos.join("a.jpg")).unwrap();
        assert!(matches!(refused(&from_these), DataError::SameClass { .. }));

        let taken = set(1, 0, &dir, "photos");
        let error = refused(&taken);
        assert!(matches!(error, DataError::Exists { .. }), "{error}");
        let below_a_file = set(1, 0, &dir, "photos/a.jpg/set");
        assert!(matches!(refused(&below_a_file), DataError::Write { .. }));
        let on_a_file = set(1, 0, &dir, "photos/a.jpg");
        assert!(matches!(refused(&on_a_file), DataError::Exists { .. }));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_panic_leaves_nothing() {
        let dir = tempdir().unwrap();
        let set = set(5, 0, &dir, "set");
        assert!(std::panic::catch_unwind(|| set.make(|| panic!("on purpose"))).is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
