//! Files of numbers: what is accepted is compared with the file.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use loader::datasets::{Array, Arrays, Split, TokenWidth, Tokens};
use loader::error::{DatasetError, Report};
use loader::{Dataset, Field, SampleBuffer, Slot};
use preproc::SampleRng;
use profiler::stage::{Stage, StageClock, StageCounters};
use rand::RngExt;

use crate::mutate::{number, pick};
use crate::runner::State;

/// A few samples of `data`: their numbers, and what each field holds.
fn some(data: &impl Dataset, rng: &mut SampleRng) -> Vec<usize> {
    match data.len() {
        0 => Vec::new(),
        len => vec![0, len - 1, rng.random_range(0..len)],
    }
}

/// Loads sample `index` as a worker would.
pub(crate) fn load<D: Dataset>(
    data: &D,
    index: usize,
) -> Result<SampleBuffer, loader::SampleError> {
    let mut sample = SampleBuffer::new(&data.fields());
    let mut clock = StageClock::new(Arc::new(StageCounters::default()), Stage::Other);
    let (rng, fields) = (SampleRng::new(0, 0, index as u64), sample.fields());
    let mut slot = Slot { rng, clock: &mut clock, fields };
    data.load(index, &mut D::Worker::default(), &mut slot)?;
    Ok(sample)
}

/// A refusal names the file.
pub(crate) fn assert_names(error: impl std::error::Error + 'static, path: &Path) {
    let said = Report(&error).to_string();
    assert!(said.contains(path.to_str().unwrap()), "{said}");
}

/// Loads samples of what was accepted and compares each field's bytes with `expected` of the
/// sample's number and the field.
fn check_arrays<'f>(
    opened: Result<Arrays, DatasetError>,
    path: &Path,
    file: &[u8],
    rng: &mut SampleRng,
    expected: impl Fn(&Field, std::ops::Range<usize>) -> &'f [u8],
) -> bool {
    let data = match opened {
        Ok(data) => data,
        Err(error) => {
            assert_names(error, path);
            return false;
        }
    };
    let fields = data.fields();
    for index in some(&data, rng) {
        assert!(fields.iter().map(Field::bytes).sum::<usize>() <= file.len());
        let mut sample = load(&data, index).unwrap();
        for (number, field) in fields.iter().enumerate() {
            let row = index * field.bytes()..(index + 1) * field.bytes();
            let (row, mut loaded) = (expected(field, row), sample.fields());
            if field.dtype == loader::Dtype::Bool {
                let loaded = loaded.get_mut::<loader::Bool8>(number).iter();
                let same =
                    loaded.zip(row).all(|(loaded, byte)| bool::from(*loaded) == (*byte != 0));
                assert!(same, "sample {index} of `{}`", field.name);
            } else {
                assert!(loaded.bytes_mut(number) == row, "sample {index} of `{}`", field.name);
            }
        }
    }
    true
}

pub(crate) struct Npy(PathBuf);

impl State for Npy {
    fn new(folder: &Path) -> Self {
        Self(folder.join("x.npy"))
    }

    fn check(&mut self, file: &[u8], rng: &mut SampleRng) -> bool {
        fs::write(&self.0, file).unwrap();
        let opened = match Array::npy(&self.0) {
            Ok(array) => Arrays::new([("x", array)]),
            Err(error) => Err(error),
        };
        check_arrays(opened, &self.0, file, rng, |_, row| {
            let header = match file[6] {
                1 => 10 + usize::from(u16::from_le_bytes([file[8], file[9]])),
                _ => 12 + u32::from_le_bytes(*file[8..].first_chunk().unwrap()) as usize,
            };
            &file[header..][row]
        })
    }
}

pub(crate) struct Safetensors(PathBuf);

impl State for Safetensors {
    fn new(folder: &Path) -> Self {
        Self(folder.join("x.safetensors"))
    }

    fn check(&mut self, file: &[u8], rng: &mut SampleRng) -> bool {
        fs::write(&self.0, file).unwrap();
        let opened = match Arrays::safetensors(&self.0, &[]) {
            // Nothing is wrong with these but that they are no data set.
            Err(DatasetError::NoArrays | DatasetError::Lengths { .. }) => return false,
            opened => opened,
        };
        check_arrays(opened, &self.0, file, rng, |field, row| {
            let tensors = safetensors::SafeTensors::deserialize(file).unwrap();
            let data = tensors.tensor(&field.name).unwrap().data();
            &data[row]
        })
    }
}

/// Images of MNIST's format; the labels are good.
pub(crate) struct Idx(PathBuf);

impl State for Idx {
    fn new(folder: &Path) -> Self {
        let labels = [&[0, 0, 8, 1, 0, 0, 0, 3][..], &[1, 2, 3]].concat();
        fs::write(folder.join("train-labels-idx1-ubyte"), labels).unwrap();
        Self(folder.to_owned())
    }

    fn check(&mut self, file: &[u8], rng: &mut SampleRng) -> bool {
        let packed = file.starts_with(&[0x1f]);
        let [path, other] = if packed { [".gz", ""] } else { ["", ".gz"] }
            .map(|end| self.0.join(format!("train-images-idx3-ubyte{end}")));
        _ = fs::remove_file(other);
        fs::write(&path, file).unwrap();
        match Arrays::mnist(&self.0, Split::Train) {
            Ok(data) => {
                assert_eq!(data.len(), 3);
                let sample = load(&data, rng.random_range(0..3)).unwrap();
                assert_eq!(sample.get::<i64>(1).len(), 1);
                true
            }
            // The images are good, but there are more or fewer.
            Err(DatasetError::Lengths { .. }) => false,
            Err(error) => {
                assert_names(error, &path);
                false
            }
        }
    }
}

/// A file of tokens with windows of any length.
pub(crate) struct TokenFile(PathBuf);

impl State for TokenFile {
    fn new(folder: &Path) -> Self {
        Self(folder.join("tokens.bin"))
    }

    fn check(&mut self, file: &[u8], rng: &mut SampleRng) -> bool {
        fs::write(&self.0, file).unwrap();
        let width = *pick(&[TokenWidth::U16, TokenWidth::U32], rng);
        let mut side = || match rng.random_range(0..4) {
            0 => number(rng) as usize,
            _ => rng.random_range(0..200),
        };
        let (length, stride) = (side(), side());
        let opened = Tokens::open(&self.0, width, length);
        let opened =
            if rng.random() { opened } else { opened.and_then(|data| data.stride(stride)) };
        let data = match opened {
            Ok(data) => data,
            Err(DatasetError::Zero { .. }) => return false,
            Err(error) => {
                assert_names(error, &self.0);
                return false;
            }
        };
        let token = |number: usize| {
            let bytes = &file[number * width.bytes()..][..width.bytes()];
            bytes.iter().rev().fold(0, |token, byte| token << 8 | i64::from(*byte))
        };
        let samples = some(&data, rng);
        // Windows begin as far apart as the origin says.
        let first =
            |index| data.origin(index).unwrap().rsplit(' ').next().unwrap().parse().unwrap();
        for index in samples {
            let sample = load(&data, index).unwrap();
            let first: usize = first(index);
            for field in 0..2 {
                let expected = (0..length).map(|number| token(first + field + number));
                assert!(sample.get::<i64>(field).iter().copied().eq(expected));
            }
        }
        true
    }
}
