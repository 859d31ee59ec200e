//! A list of transforms, planned once and run on every sample.

use profiler::stage::{Stage, StageClock};

use crate::decode::Decoder;
use crate::transform::{Dtype, Element, Layout, Normalize, RandomErasing, Scratch};
use crate::view::View;
use crate::write::Writer;
use crate::{
    ComposeError, DecodeOptions, ImageTransform, Pixels, Region, SampleRng, TransformError,
};

/// Transforms from the bytes of an image file to a sample, `[3, H, W]`.
///
/// What the plan saves: crops only move a rectangle and mirroring only sets a flag, so that no
/// pixels are copied for them; decoding and resampling wait until the rectangle is known, and do
/// no more than that; layout, type, scaling, normalising, mirroring and flipping are one pass into
/// the slot.
#[derive(Clone, Debug)]
pub struct Compose {
    transforms: Vec<ImageTransform>,
    options: DecodeOptions,
    writer: Writer,
    erasing: Option<RandomErasing>,
    dtype: Dtype,
    height: u32,
    width: u32,
}

/// What one thread needs to run a [`Compose`]: decoder, resampler and the memory of images.
#[derive(Default)]
pub struct Worker {
    decoder: Decoder,
    front: Pixels,
    scratch: Scratch,
}

impl Compose {
    /// Checks and plans `transforms`.
    ///
    /// # Errors
    /// If their order makes no sense, a parameter is out of range, or samples would differ in
    /// shape.
    pub fn new(
        transforms: Vec<ImageTransform>,
        options: DecodeOptions,
    ) -> Result<Self, ComposeError> {
        let [ImageTransform::Decode, rest @ ..] = &transforms[..] else {
            return Err(ComposeError::Decode);
        };
        if options.max_pixels == 0 {
            let (name, parameter) = ("decode".to_owned(), "max_pixels");
            let (got, expected) = ("0".to_owned(), "at least 1");
            return Err(ComposeError::Value { name, parameter, got, expected });
        }
        let mut shape = None;
        let mut normalize = None;
        let mut to_tensor = None;
        let mut erasing = None;
        for transform in rest {
            transform.validate()?;
            match transform {
                ImageTransform::Decode => return Err(ComposeError::Decode),
                ImageTransform::Normalize(_) if to_tensor.is_none() => {
                    return Err(ComposeError::NormalizeBeforeToTensor);
                }
                ImageTransform::Normalize(parameters)
                    if normalize.is_none() && erasing.is_none() =>
                {
                    normalize = Some(parameters);
                }
                ImageTransform::RandomErasing(_) if to_tensor.is_none() => {
                    return Err(ComposeError::ErasingBeforeToTensor);
                }
                _ if erasing.is_some() => {
                    return Err(ComposeError::AfterErasing { name: transform.name().to_owned() });
                }
                ImageTransform::RandomErasing(parameters) => erasing = Some(parameters),
                _ if to_tensor.is_some() => {
                    return Err(ComposeError::AfterToTensor { name: transform.name().to_owned() });
                }
                ImageTransform::ToTensor(format) => to_tensor = Some(*format),
                _ => shape = transform.step().and_then(|step| step.shape(shape)),
            }
        }
        let format = to_tensor.ok_or(ComposeError::NoToTensor)?;
        if normalize.is_some() && format.dtype == Dtype::Uint8 {
            return Err(ComposeError::NormalizeBytes);
        }
        if let Some(erasing) = erasing {
            erasing.check_dtype(format.dtype)?;
        }
        let erasing = erasing.cloned();
        let [height, width] = shape.ok_or(ComposeError::NoFixedShape)?;
        let writer = Writer::new(normalize.unwrap_or(&Normalize::IDENTITY), format.layout);
        let dtype = format.dtype;
        Ok(Self { transforms, options, writer, erasing, dtype, height, width })
    }

    /// Shape of a sample: `[3, H, W]`.
    pub fn shape(&self) -> [usize; 3] {
        [3, self.height as usize, self.width as usize]
    }

    /// Type of a sample's values.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Order of a sample's values in memory.
    pub fn layout(&self) -> Layout {
        self.writer.layout()
    }

    /// The transforms, in order.
    pub fn transforms(&self) -> &[ImageTransform] {
        &self.transforms
    }

    /// How files are decoded.
    pub fn options(&self) -> &DecodeOptions {
        &self.options
    }

    /// Runs the transforms on the `bytes` of an image file and writes the sample to `out`,
    /// `[3, H, W]`, or `[H, W, 3]` if channels are last. Time is counted on `clock` by stage.
    ///
    /// # Errors
    /// If the bytes are not an image that can be decoded, or a transform fails.
    ///
    /// # Panics
    /// If `out` does not have [`shape`](Self::shape)'s number of elements, or not the type of
    /// [`dtype`](Self::dtype).
    pub fn apply<T: Element>(
        &self,
        bytes: &[u8],
        rng: &mut SampleRng,
        worker: &mut Worker,
        clock: &mut StageClock,
        out: &mut [T],
    ) -> Result<(), TransformError> {
        assert!(T::DTYPE == self.dtype, "samples are {:?}, not {:?}", self.dtype, T::DTYPE);
        clock.enter(Stage::Decode);
        let Worker { decoder, front, scratch } = worker;
        let encoded = decoder.open(bytes, &self.options)?;
        let mut image = View::encoded(encoded, &self.options, decoder, front, scratch, clock);
        for step in self.transforms.iter().filter_map(ImageTransform::step) {
            step.run(&mut image, rng)?;
        }
        let seen = image.finish()?;
        let Region { width, height, .. } = seen.region;
        if (width, height) != (self.width, self.height) {
            let (expected_width, expected_height) = (self.width, self.height);
            return Err(TransformError::Size { width, height, expected_width, expected_height });
        }
        if let Some(clock) = seen.clock {
            clock.enter(Stage::Write);
        }
        self.writer.write(seen.pixels, seen.region, [seen.mirrored, seen.flipped], out);
        if let Some(erasing) = &self.erasing {
            erasing.run(out, [width, height], self.layout(), rng);
        }
        Ok(())
    }
}
