//! MNIST and the sets in its format: idx files, compressed or not.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::Path;

use flate2::bufread::GzDecoder;

use super::{Array, Arrays, Split};
use crate::Dtype;
use crate::datasets::error::{DatasetError, FileError};

const HINT: &str = "get the four files of MNIST, or of a set in its format such as Fashion-MNIST \
                    or KMNIST; they may stay compressed (`.gz`)";

impl Arrays {
    /// MNIST, or a set in its format, from the folder with `train-images-idx3-ubyte` and its
    /// fellows, each as it is or with `.gz`: `images`, uint8 `[1, 28, 28]`, and `labels`, int64.
    /// Read into memory, 47 MB for training.
    ///
    /// # Errors
    /// If a file is missing or is none of these.
    ///
    /// # Example
    /// ```no_run
    /// use loader::datasets::{Arrays, Split, ToFloat32};
    ///
    /// let data = Arrays::mnist("datasets/mnist", Split::Train)?
    ///     .to_float32("images", &ToFloat32::default())?;
    /// # Ok::<(), loader::error::DatasetError>(())
    /// ```
    pub fn mnist(folder: impl AsRef<Path>, split: Split) -> Result<Self, DatasetError> {
        let folder = folder.as_ref();
        let [images, labels] = match split {
            Split::Train => ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"],
            Split::Test => ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"],
        };
        let (sides, pixels) = read::<3>(folder, images, "images of bytes")?;
        let [samples, height, width] = sides;
        let images = Array::from_bytes(pixels, vec![samples, 1, height, width], Dtype::Uint8)?;
        let ([samples], labels) = read::<1>(folder, labels, "labels of bytes")?;
        let labels: Vec<i64> = labels.into_iter().map(i64::from).collect();
        Self::new([("images", images), ("labels", Array::from_values(&labels, &[samples])?)])
    }
}

/// Shape and content of the idx file `name`, `name.gz`, or as some mirrors have it,
/// `train-images.idx3-ubyte`.
fn read<const DIMENSIONS: usize>(
    folder: &Path,
    name: &str,
    what: &'static str,
) -> Result<([usize; DIMENSIONS], Vec<u8>), DatasetError> {
    let dotted = name.replace("-idx", ".idx");
    let names = [name.to_owned(), format!("{name}.gz"), dotted.clone(), format!("{dotted}.gz")];
    for name in names {
        let path = folder.join(&name);
        let file = match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            opened => opened.map_err(DatasetError::read(&path))?,
        };
        let wrong = DatasetError::file(&path, "an idx file");
        let file = BufReader::new(file);
        let parsed = match name.ends_with(".gz") {
            true => parse(GzDecoder::new(file), what, FileError::Gzip),
            false => match parse(file, what, FileError::Gzip) {
                Err(FileError::Gzip(source)) => return Err(DatasetError::read(&path)(source)),
                parsed => parsed,
            },
        };
        return parsed.map_err(wrong);
    }
    let (folder, file) = (folder.to_owned(), name.to_owned());
    Err(DatasetError::Missing { folder, file, hint: HINT })
}

/// Parses an idx file of bytes. Memory grows with what is really there, whatever the header
/// promises.
fn parse<const DIMENSIONS: usize>(
    mut file: impl Read,
    what: &'static str,
    failed: impl Fn(io::Error) -> FileError,
) -> Result<([usize; DIMENSIONS], Vec<u8>), FileError> {
    let mut header = Vec::new();
    let header_size = 4 + 4 * DIMENSIONS;
    file.by_ref().take(header_size as u64).read_to_end(&mut header).map_err(&failed)?;
    if let [0, 0, kind, dimensions, ..] = header[..]
        && (kind != 8 || usize::from(dimensions) != DIMENSIONS)
    {
        let kind = match kind {
            8 => "bytes".to_owned(),
            other => format!("numbers of type {other:#04x}"),
        };
        let got = format!("{kind} in {dimensions} dimensions");
        return Err(FileError::Idx { got, expected: what });
    }
    if !header.starts_with(&[0, 0]) {
        let got = header.iter().take(4).copied().collect();
        return Err(FileError::Magic { got, expected: &[0, 0] });
    }
    if header.len() < header_size {
        let (got, expected) = (header.len() as u64, header_size as u64);
        return Err(FileError::Truncated { got, expected });
    }
    let sides = header[4..].as_chunks().0.iter().map(|side| u32::from_be_bytes(*side) as usize);
    let mut shape = [0; DIMENSIONS];
    shape.iter_mut().zip(sides).for_each(|(to, side)| *to = side);
    let size = crate::datasets::error::bytes_of(&shape, Dtype::Uint8)? as u64;
    let mut bytes = Vec::new();
    file.by_ref().take(size).read_to_end(&mut bytes).map_err(&failed)?;
    let (got, expected) = ((header_size + bytes.len()) as u64, header_size as u64 + size);
    if got < expected {
        return Err(FileError::Truncated { got, expected });
    }
    // Reads on to the end, where a compressed file has its checksum.
    let beyond = io::copy(&mut file.take(1), &mut io::sink()).map_err(&failed)?;
    if beyond > 0 {
        return Err(FileError::TooLong { got: expected + beyond, expected });
    }
    Ok((shape, bytes))
}
