//! Files of CIFAR-10's format, to measure and to try a training program with.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::DataError;
use super::partial::PartialFolder;

/// The file beside the others that holds [`Cifar10Made`].
const DESCRIPTION: &str = "cifar10-like.json";
/// Another recipe, other bytes.
const RECIPE: &str = "cifar10-like-1";
const CLASSES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];
const FILES: [&str; 6] = [
    "data_batch_1.bin",
    "data_batch_2.bin",
    "data_batch_3.bin",
    "data_batch_4.bin",
    "data_batch_5.bin",
    "test_batch.bin",
];
/// Images in one file.
const IMAGES: usize = 10_000;
/// Bytes of one channel of an image.
const PLANE: usize = 32 * 32;

/// The six files of CIFAR-10's binary version, of the same size, with random pixels about a colour
/// that tells the class, so that a small network learns something.
///
/// The same seed gives the same bytes.
///
/// # Example
///
/// ```no_run
/// use tuner::data::Cifar10Like;
///
/// Cifar10Like { seed: 0, out: "datasets/cifar-10-batches-bin".into() }.make()?;
/// # Ok::<(), tuner::data::DataError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Cifar10Like {
    /// Another seed, other images.
    pub seed: u64,
    /// The folder to make. It must be empty, or not there yet.
    pub out: PathBuf,
}

/// What was made; also the content of `cifar10-like.json` in the folder.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Cifar10Made {
    /// The recipe and its version: the same recipe and seed give the same bytes.
    pub recipe: String,
    /// The seed.
    pub seed: u64,
    /// The number of training images.
    pub images: usize,
}

impl Cifar10Like {
    /// Makes the files. The folder appears when it is whole.
    ///
    /// # Errors
    ///
    /// If the folder is there already and not empty, another process is making it, or it cannot
    /// be written.
    pub fn make(&self) -> Result<Cifar10Made, DataError> {
        let folder = PartialFolder::create(&self.out)?;
        let put = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            fs::write(&path, bytes).map_err(|source| DataError::write(&path, source))
        };
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        for name in FILES {
            put(name, &records(&mut rng))?;
        }
        put("batches.meta.txt", (CLASSES.join("\n") + "\n").as_bytes())?;
        let made = Cifar10Made {
            recipe: RECIPE.to_owned(),
            seed: self.seed,
            images: IMAGES * (FILES.len() - 1),
        };
        let json = serde_json::to_string_pretty(&made).map_err(|e| {
            let path = folder.path().join(DESCRIPTION);
            DataError::Description { path, source: e.into() }
        })?;
        put(DESCRIPTION, (json + "\n").as_bytes())?;
        folder.finish()?;
        Ok(made)
    }
}

/// The content of one file: for each image its label, then its red, green and blue pixels.
fn records(rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut bytes = vec![0; IMAGES * (1 + 3 * PLANE)];
    for record in bytes.chunks_exact_mut(1 + 3 * PLANE) {
        let (label, pixels) = record.split_at_mut(1);
        label[0] = rng.random_range(0..CLASSES.len() as u8);
        rng.fill_bytes(pixels);
        for (channel, plane) in pixels.chunks_exact_mut(PLANE).enumerate() {
            // Half noise, half the colour of the class.
            let colour = (label[0] as usize * 37 + channel * 101) % 128;
            plane.iter_mut().for_each(|pixel| *pixel = *pixel / 2 + colour as u8);
        }
    }
    bytes
}

impl Cifar10Made {
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use loader::Dataset;
    use loader::datasets::{Arrays, Split};

    #[test]
    fn it_is_read_as_cifar10_and_the_seed_decides_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let set = |seed, name| Cifar10Like { seed, out: folder.path().join(name) };
        let (one, two, other) = (set(1, "one"), set(1, "two"), set(2, "other"));
        let made = one.make().unwrap();
        assert_eq!(Cifar10Made::read(&one.out).unwrap(), Some(made));
        let file = |set: &Cifar10Like| fs::read(set.out.join("data_batch_3.bin")).unwrap();
        // Each takes 184 MB.
        let made = |set: &Cifar10Like| {
            set.make().unwrap();
            let file = file(set);
            fs::remove_dir_all(&set.out).unwrap();
            file
        };
        assert!(file(&one) == made(&two));
        assert!(file(&one) != made(&other));
        assert_eq!(Arrays::cifar10(&one.out, Split::Train).unwrap().len(), 50_000);
        assert_eq!(Arrays::cifar10(&one.out, Split::Test).unwrap().len(), 10_000);
        assert!(matches!(one.make(), Err(DataError::Exists { .. })));
    }
}
