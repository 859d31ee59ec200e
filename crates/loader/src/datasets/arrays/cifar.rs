//! CIFAR-10 and CIFAR-100 in their binary versions: records of one or two labels and 3072 pixels.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use super::{Array, Arrays, Split};
use crate::Dtype;
use crate::datasets::error::{DatasetError, FileError};

const PIXELS: usize = 3 * 32 * 32;

impl Arrays {
    /// CIFAR-10, from the folder `cifar-10-batches-bin`: `images`, uint8 `[3, 32, 32]`, and
    /// `labels`, int64. Read into memory, 160 MB for training.
    ///
    /// # Errors
    /// If a file is missing or is none of these.
    ///
    /// # Example
    /// ```no_run
    /// use loader::datasets::{Arrays, Split, ToFloat32};
    ///
    /// let normalize = ToFloat32 {
    ///     mean: vec![0.4914, 0.4822, 0.4465],
    ///     std: vec![0.2470, 0.2435, 0.2616],
    ///     ..ToFloat32::default()
    /// };
    /// let data = Arrays::cifar10("datasets/cifar-10-batches-bin", Split::Train)?
    ///     .to_float32("images", &normalize)?;
    /// # Ok::<(), loader::error::DatasetError>(())
    /// ```
    pub fn cifar10(folder: impl AsRef<Path>, split: Split) -> Result<Self, DatasetError> {
        let files: &[&str] = match split {
            Split::Train => &[
                "data_batch_1.bin",
                "data_batch_2.bin",
                "data_batch_3.bin",
                "data_batch_4.bin",
                "data_batch_5.bin",
            ],
            Split::Test => &["test_batch.bin"],
        };
        let hint = "unpack https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz, the binary \
                    version, and give its folder `cifar-10-batches-bin`";
        read(folder.as_ref(), files, [("labels", 10)], hint)
    }

    /// CIFAR-100, from the folder `cifar-100-binary`: `images`, uint8 `[3, 32, 32]`, and `labels`
    /// (100 classes) and `coarse_labels` (20), int64. Read into memory, 160 MB for training.
    ///
    /// # Errors
    /// If a file is missing or is none of these.
    pub fn cifar100(folder: impl AsRef<Path>, split: Split) -> Result<Self, DatasetError> {
        let file = match split {
            Split::Train => "train.bin",
            Split::Test => "test.bin",
        };
        let hint = "unpack https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz, the binary \
                    version, and give its folder `cifar-100-binary`";
        read(folder.as_ref(), &[file], [("coarse_labels", 20), ("labels", 100)], hint)
    }
}

/// Reads `files`, whose records begin with a byte for each of `labels`, given with the number of
/// its classes.
fn read<const LABELS: usize>(
    folder: &Path,
    files: &[&str],
    labels: [(&str, u8); LABELS],
    hint: &'static str,
) -> Result<Arrays, DatasetError> {
    let record_size = LABELS + PIXELS;
    let mut images = Vec::new();
    let mut numbers: [Vec<i64>; LABELS] = std::array::from_fn(|_| Vec::new());
    let mut bytes = Vec::new();
    for file in files {
        let path = folder.join(file);
        let mut open = match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let (folder, file) = (folder.to_owned(), (*file).to_owned());
                return Err(DatasetError::Missing { folder, file, hint });
            }
            opened => opened.map_err(DatasetError::read(&path))?,
        };
        bytes.clear();
        open.read_to_end(&mut bytes).map_err(DatasetError::read(&path))?;
        let wrong = DatasetError::file(&path, "a binary file of CIFAR");
        if bytes.is_empty() {
            return Err(wrong(FileError::Empty));
        }
        let (records, rest) = (bytes.chunks_exact(record_size), bytes.len() % record_size);
        if rest != 0 {
            let (got, record) = (bytes.len() as u64, record_size as u64);
            return Err(wrong(FileError::Ragged { got, record, what: "an image and its labels" }));
        }
        images.reserve_exact((files.len() * records.len() * PIXELS).saturating_sub(images.len()));
        for (record, values) in records.enumerate() {
            for ((numbers, got), (_, classes)) in numbers.iter_mut().zip(values).zip(labels) {
                if *got >= classes {
                    return Err(wrong(FileError::Label { record, got: *got, classes }));
                }
                numbers.push(i64::from(*got));
            }
            images.extend_from_slice(&values[LABELS..]);
        }
    }
    let samples = images.len() / PIXELS;
    let images = Array::from_bytes(images, vec![samples, 3, 32, 32], Dtype::Uint8)?;
    let mut arrays = vec![("images", images)];
    // Fine labels before coarse ones.
    for ((name, _), numbers) in labels.iter().zip(&numbers).rev() {
        arrays.push((*name, Array::from_values(numbers, &[samples])?));
    }
    Arrays::new(arrays)
}
