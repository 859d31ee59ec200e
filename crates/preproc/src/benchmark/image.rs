//! The transforms of a [`Compose`], one by one and as planned, on images of a data set.
//!
//! Each step gets what the steps before it make of the image. All memory that a worker keeps from
//! sample to sample is there before the clock starts, written once, so that no call pays for
//! memory that training pays for once.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use half::bf16;
use profiler::stage::{Stage, StageClock, StageCounters, StageTimes};
use tch::{Kind, TchError};

use super::Sample;
use crate::compose::Worker;
use crate::decode::Decoder;
use crate::transform::{Dtype, Element, Normalize, RandomErasing, Scratch, ToTensor};
use crate::write::Writer;
use crate::{
    Compose, DecodeOptions, ImageTransform, Pixels, Region, SampleRng, Transform, TransformError,
};

/// An image on its way through a [`Compose`], with the memory for where it goes.
#[derive(Clone, Debug)]
pub struct Image {
    at: At,
    file: Arc<[u8]>,
    pixels: Pixels,
    values: Values,
    shape: [usize; 3],
}

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    File,
    Pixels,
    Values,
}

/// A sample's values.
#[derive(Clone, Debug)]
enum Values {
    Uint8(Vec<u8>),
    Float32(Vec<f32>),
    BFloat16(Vec<bf16>),
}

impl Values {
    fn new(dtype: Dtype, elements: usize) -> Self {
        match dtype {
            Dtype::Uint8 => Self::Uint8(vec![1; elements]),
            Dtype::Float32 => Self::Float32(vec![1.0; elements]),
            Dtype::BFloat16 => Self::BFloat16(vec![bf16::ONE; elements]),
        }
    }
}

impl Image {
    /// The image whose file holds `file`, to be made a sample of `compose`.
    ///
    /// # Errors
    /// If it is not an image that can be decoded.
    pub fn open(file: impl Into<Arc<[u8]>>, compose: &Compose) -> Result<Self, TransformError> {
        let file = file.into();
        let mut pixels = Pixels::default();
        {
            let encoded = Decoder::default().open(&file, compose.options())?;
            pixels.reset(encoded.width(), encoded.height()).fill(1);
        }
        let values = Values::new(compose.dtype(), compose.shape().iter().product());
        Ok(Self { at: At::File, file, pixels, values, shape: compose.shape() })
    }

    /// Bytes that it takes in memory, however far it has come.
    pub fn resident_bytes(&self) -> u64 {
        let values = match &self.values {
            Values::Uint8(values) => values.len(),
            Values::Float32(values) => 4 * values.len(),
            Values::BFloat16(values) => 2 * values.len(),
        };
        (self.file.len() + self.pixels.data().len() + values) as u64
    }
}

impl Sample for Image {
    fn shape(&self) -> Vec<i64> {
        match self.at {
            At::File => vec![self.file.len() as i64],
            At::Pixels => self.pixels.shape(),
            At::Values => self.shape.iter().map(|side| *side as i64).collect(),
        }
    }

    fn dtype(&self) -> Kind {
        match (self.at, &self.values) {
            (At::Values, Values::Float32(_)) => Kind::Float,
            (At::Values, Values::BFloat16(_)) => Kind::BFloat16,
            _ => Kind::Uint8,
        }
    }

    fn fresh(&self) -> Result<Self, TchError> {
        Ok(self.clone())
    }

    fn share(&self) -> Self {
        self.clone()
    }

    fn has_nan(&self) -> Result<bool, TchError> {
        Ok(self.at == At::Values
            && match &self.values {
                Values::Uint8(_) => false,
                Values::Float32(values) => values.iter().any(|value| value.is_nan()),
                Values::BFloat16(values) => values.iter().any(|value| value.is_nan()),
            })
    }
}

/// One step of a [`Compose`] that can be run by itself, as a [`Transform`] of [`Image`]s.
pub struct Step {
    name: String,
    work: Work,
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parameters = self.parameters();
        f.debug_struct("Step").field("name", &self.name).field("of", &parameters).finish()
    }
}

enum Work {
    Decode(DecodeOptions),
    Pixels(ImageTransform),
    Write(Writer, Option<RandomErasing>),
    Whole(Box<Whole>),
}

impl Step {
    /// The steps of `compose`, in order. What its last pass does at once, `to_tensor` and what
    /// follows it, is one step, named `to_tensor+normalize` for example.
    pub fn all(compose: &Compose) -> Vec<Self> {
        let mut steps = Vec::new();
        let mut last: Option<Last<'_>> = None;
        for transform in compose.transforms() {
            let name = transform.name();
            match (transform, &mut last) {
                (ImageTransform::ToTensor(format), _) => {
                    let normalize = &Normalize::IDENTITY;
                    let names = vec![name];
                    last = Some(Last { names, format: *format, normalize, erasing: None });
                }
                (ImageTransform::Normalize(normalize), Some(last)) => {
                    last.names.push(name);
                    last.normalize = normalize;
                }
                (ImageTransform::RandomErasing(erasing), Some(last)) => {
                    last.names.push(name);
                    last.erasing = Some(erasing);
                }
                (ImageTransform::Decode, _) => {
                    let work = Work::Decode(compose.options().clone());
                    steps.push(Self { name: name.to_owned(), work });
                }
                _ => {
                    let work = Work::Pixels(transform.clone());
                    steps.push(Self { name: name.to_owned(), work });
                }
            }
        }
        steps.extend(last.map(|last| Self {
            name: last.names.join("+"),
            work: Work::Write(
                Writer::new(last.normalize, last.format.layout),
                last.erasing.cloned(),
            ),
        }));
        steps
    }

    /// All of `compose` as it is planned, named `compose`.
    pub fn whole(compose: &Compose) -> Self {
        let whole =
            Whole { compose: compose.clone(), workers: Mutex::default(), counters: Arc::default() };
        Self { name: "compose".to_owned(), work: Work::Whole(Box::new(whole)) }
    }

    /// Whether `name` is its name or that of a transform in it.
    pub fn is_named(&self, name: &str) -> bool {
        self.name == name || self.name.split('+').any(|part| part == name)
    }

    /// Time by stage of all calls so far; of [`whole`](Self::whole) alone, else 0.
    pub fn stages(&self) -> StageTimes {
        match &self.work {
            Work::Whole(whole) => whole.counters.times(),
            _ => StageTimes::default(),
        }
    }
}

impl Transform<Image> for Step {
    fn name(&self) -> &str {
        &self.name
    }

    fn parameters(&self) -> String {
        match &self.work {
            Work::Decode(options) => format!("{options:?}"),
            Work::Pixels(transform) => format!("{transform:?}"),
            Work::Write(writer, erasing) => format!("{writer:?}, {erasing:?}"),
            Work::Whole(whole) => format!("{:?}", whole.compose),
        }
    }

    fn apply(
        &self,
        image: &mut Image,
        rng: &mut SampleRng,
        scratch: &mut Scratch,
    ) -> Result<(), TransformError> {
        match &self.work {
            Work::Decode(options) => {
                let mut decoder = Decoder::default();
                let encoded = decoder.open(&image.file, options)?;
                let whole = Region::whole(encoded.width(), encoded.height());
                decoder.decode(encoded, whole, &mut image.pixels)?;
                image.at = At::Pixels;
            }
            Work::Pixels(transform) => {
                if let Some(transform) = transform.image() {
                    transform.apply(&mut image.pixels, rng, scratch)?;
                }
            }
            Work::Write(writer, erasing) => {
                let Image { pixels, values, .. } = image;
                let erasing = erasing.as_ref();
                match values {
                    Values::Uint8(out) => write(writer, erasing, pixels, rng, out),
                    Values::Float32(out) => write(writer, erasing, pixels, rng, out),
                    Values::BFloat16(out) => write(writer, erasing, pixels, rng, out),
                }
                image.at = At::Values;
            }
            Work::Whole(whole) => {
                whole.apply(image, rng)?;
                image.at = At::Values;
            }
        }
        Ok(())
    }
}

fn write<T: Element>(
    writer: &Writer,
    erasing: Option<&RandomErasing>,
    pixels: &Pixels,
    rng: &mut SampleRng,
    out: &mut [T],
) {
    let (width, height) = (pixels.width(), pixels.height());
    writer.write(pixels, Region::whole(width, height), [false, false], out);
    if let Some(erasing) = erasing {
        erasing.run(out, [width, height], writer.layout(), rng);
    }
}

/// What is done at once while a sample is written.
struct Last<'a> {
    names: Vec<&'a str>,
    format: ToTensor,
    normalize: &'a Normalize,
    erasing: Option<&'a RandomErasing>,
}

/// A compose with what its threads keep.
struct Whole {
    compose: Compose,
    /// Of the threads that are not at work.
    workers: Mutex<Vec<Worker>>,
    counters: Arc<StageCounters>,
}

impl Whole {
    fn apply(&self, image: &mut Image, rng: &mut SampleRng) -> Result<(), TransformError> {
        let workers = || self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut worker = workers().pop().unwrap_or_default();
        let mut clock = StageClock::new(self.counters.clone(), Stage::Other);
        let Image { file, values, .. } = image;
        let applied = match values {
            Values::Uint8(out) => self.compose.apply(file, rng, &mut worker, &mut clock, out),
            Values::Float32(out) => self.compose.apply(file, rng, &mut worker, &mut clock, out),
            Values::BFloat16(out) => self.compose.apply(file, rng, &mut worker, &mut clock, out),
        };
        clock.enter(Stage::Other);
        workers().push(worker);
        applied
    }
}
