//! A list of transforms, planned once and run on every sample.

use profiler::stage::{Stage, StageClock};

use crate::decode::{Decoder, Encoded};
use crate::resample::{Resampling, Resizer};
use crate::transform::{CenterCrop, Normalize, RandomResizedCrop, ResizeSize, Size};
use crate::write::Writer;
use crate::{ComposeError, DecodeOptions, ImageError, Pixels, Region, SampleRng, Transform};

/// Transforms from the bytes of an image file to float32 `[3, H, W]`.
///
/// What the plan saves: crops only move a rectangle and mirroring only sets a flag, so that no
/// pixels are copied for them; decoding and resampling wait until the rectangle is known, and do
/// no more than that; layout, scaling, normalising and mirroring are one pass into the slot.
#[derive(Clone, Debug)]
pub struct Compose {
    transforms: Vec<Transform>,
    options: DecodeOptions,
    writer: Writer,
    height: u32,
    width: u32,
}

/// What one thread needs to run a [`Compose`]: decoder, resampler and the memory of two images.
#[derive(Default)]
pub struct Worker {
    decoder: Decoder,
    resizer: Resizer,
    front: Pixels,
    back: Pixels,
}

impl Compose {
    /// Checks and plans `transforms`.
    ///
    /// # Errors
    /// If their order makes no sense, a parameter is out of range, or samples would differ in
    /// shape.
    pub fn new(transforms: Vec<Transform>, options: DecodeOptions) -> Result<Self, ComposeError> {
        let [Transform::Decode, rest @ ..] = &transforms[..] else {
            return Err(ComposeError::Decode);
        };
        if options.max_pixels == 0 {
            let (name, parameter) = ("decode", "max_pixels");
            let (got, expected) = ("0".to_owned(), "at least 1");
            return Err(ComposeError::Value { name, parameter, got, expected });
        }
        let mut shape = None;
        let mut normalize = None;
        let mut tensor = false;
        for transform in rest {
            transform.validate()?;
            match transform {
                Transform::Decode => return Err(ComposeError::Decode),
                Transform::Normalize(_) if !tensor => {
                    return Err(ComposeError::NormalizeBeforeToTensor);
                }
                Transform::Normalize(parameters) if normalize.is_none() => {
                    normalize = Some(parameters);
                }
                _ if tensor => {
                    return Err(ComposeError::AfterToTensor { name: transform.name() });
                }
                Transform::ToTensor => tensor = true,
                Transform::Resize(resize) => {
                    shape = match resize.size {
                        ResizeSize::Exact([height, width]) => Some((height, width)),
                        ResizeSize::Short(_) => None,
                    };
                }
                Transform::Crop(region) => shape = Some((region.height, region.width)),
                Transform::RandomResizedCrop(RandomResizedCrop { size, .. })
                | Transform::CenterCrop(CenterCrop { size }) => {
                    let [height, width] = size.sides();
                    shape = Some((height, width));
                }
                Transform::HorizontalFlip(_) | Transform::Normalize(_) => {}
            }
        }
        if !tensor {
            return Err(ComposeError::NoToTensor);
        }
        let (height, width) = shape.ok_or(ComposeError::NoFixedShape)?;
        let writer = Writer::new(normalize.unwrap_or(&Normalize::IDENTITY));
        Ok(Self { transforms, options, writer, height, width })
    }

    /// Shape of a sample: `[3, H, W]`.
    pub fn shape(&self) -> [usize; 3] {
        [3, self.height as usize, self.width as usize]
    }

    /// The transforms, in order.
    pub fn transforms(&self) -> &[Transform] {
        &self.transforms
    }

    /// How files are decoded.
    pub fn options(&self) -> &DecodeOptions {
        &self.options
    }

    /// Runs the transforms on the `bytes` of an image file and writes the sample to `out`,
    /// float32 `[3, H, W]`. Time is counted on `clock` by stage.
    ///
    /// # Errors
    /// If the bytes are not an image that can be decoded.
    ///
    /// # Panics
    /// If `out` does not have [`shape`](Self::shape)'s number of elements.
    pub fn apply(
        &self,
        bytes: &[u8],
        rng: &mut SampleRng,
        worker: &mut Worker,
        clock: &mut StageClock,
        out: &mut [f32],
    ) -> Result<(), ImageError> {
        let mut run = self.transform(bytes, rng, worker, clock)?;
        let region = run.materialize()?;
        run.clock.enter(Stage::Write);
        self.writer.write(&run.worker.front, region, run.mirrored, out);
        Ok(())
    }

    /// Runs the transforms of the image, up to what can wait for the last.
    fn transform<'a>(
        &'a self,
        bytes: &'a [u8],
        rng: &mut SampleRng,
        worker: &'a mut Worker,
        clock: &'a mut StageClock,
    ) -> Result<Run<'a>, ImageError> {
        clock.enter(Stage::Decode);
        let encoded = worker.decoder.open(bytes, &self.options)?;
        let view = Resampling::none(Region::whole(encoded.width(), encoded.height()));
        let options = &self.options;
        let mut run = Run { options, encoded: Some(encoded), view, mirrored: false, worker, clock };
        for transform in &self.transforms {
            match transform {
                Transform::Decode | Transform::ToTensor | Transform::Normalize(_) => {}
                Transform::HorizontalFlip(flip) => run.mirrored ^= flip.draw(rng),
                Transform::RandomResizedCrop(crop) => {
                    let drawn = crop.draw(run.view.width(), run.view.height(), rng);
                    run.crop(drawn);
                    let [height, width] = crop.size.sides();
                    run.resize(width.into(), height.into())?;
                }
                Transform::Crop(part) => run.crop_inside(*part)?,
                Transform::CenterCrop(crop) => run.center_crop(crop.size)?,
                Transform::Resize(resize) => {
                    let (width, height) = resize.output_size(run.view.width(), run.view.height());
                    run.resize(width, height)?;
                }
            }
        }
        Ok(run)
    }
}

/// An image on its way through the transforms: the worker's front image or, as long as `encoded`
/// is there, an image still to be decoded; what is seen of it is `view`.
struct Run<'a> {
    options: &'a DecodeOptions,
    encoded: Option<Encoded<'a>>,
    view: Resampling,
    /// Whether the image is still to be mirrored; regions count in it as it lies in memory.
    mirrored: bool,
    worker: &'a mut Worker,
    clock: &'a mut StageClock,
}

impl Run<'_> {
    /// Decodes and resamples what is still to be, and returns where in the front image the result
    /// lies.
    fn materialize(&mut self) -> Result<Region, ImageError> {
        let Worker { decoder, resizer, front, back } = &mut *self.worker;
        let mut at = self.view.needs();
        if let Some(encoded) = self.encoded.take() {
            self.clock.enter(Stage::Decode);
            at = decoder.decode(encoded, at, front)?;
        }
        self.clock.enter(Stage::Transform);
        if !self.view.is_none() {
            let (width, height) = (self.view.width(), self.view.height());
            self.options.check_size(width.into(), height.into())?;
            self.view.run(resizer, front, at, back)?;
            std::mem::swap(front, back);
            at = Region::whole(width, height);
        }
        self.view = Resampling::none(at);
        Ok(at)
    }

    /// Keeps only `part` of the image, given as it would be seen after mirroring.
    fn crop(&mut self, part: Region) {
        self.view.crop(if self.mirrored { part.mirrored(self.view.width()) } else { part });
    }

    /// # Errors
    /// If `part` does not lie in the image.
    fn crop_inside(&mut self, part: Region) -> Result<(), ImageError> {
        let (width, height) = (self.view.width(), self.view.height());
        if !part.lies_in(width, height) {
            return Err(ImageError::Crop { part, width, height });
        }
        self.crop(part);
        Ok(())
    }

    /// Antialiased bilinear resampling to `width` x `height`, when it is known what of that is
    /// wanted.
    fn resize(&mut self, width: u64, height: u64) -> Result<(), ImageError> {
        let (Ok(width), Ok(height)) = (u32::try_from(width), u32::try_from(height)) else {
            return Err(ImageError::TooLarge { width, height, limit: self.options.max_pixels });
        };
        if (width, height) == (self.view.width(), self.view.height()) {
            return Ok(());
        }
        if !self.view.is_none() {
            self.materialize()?;
        }
        self.view = Resampling::new(self.view.needs(), width, height);
        Ok(())
    }

    /// Cuts the middle. Where the image is smaller it is padded with black, as torchvision does:
    /// the odd pixel goes to the right and to the bottom.
    fn center_crop(&mut self, size: Size) -> Result<(), ImageError> {
        let [crop_height, crop_width] = size.sides();
        let (width, height) = (self.view.width(), self.view.height());
        let margin = |side: u32, crop: u32| {
            (f64::from(side.saturating_sub(crop)) / 2.0).round_ties_even() as u32
        };
        self.crop(Region {
            left: margin(width, crop_width),
            top: margin(height, crop_height),
            width: width.min(crop_width),
            height: height.min(crop_height),
        });
        if width < crop_width || height < crop_height {
            self.pad(crop_width, crop_height)?;
        }
        Ok(())
    }

    fn pad(&mut self, width: u32, height: u32) -> Result<(), ImageError> {
        self.options.check_size(width.into(), height.into())?;
        let region = self.materialize()?;
        let Worker { front, back, .. } = &mut *self.worker;
        let inner = Region {
            left: (width - region.width) / 2,
            top: (height - region.height) / 2,
            ..region
        };
        let inner = if self.mirrored { inner.mirrored(width) } else { inner };
        let padded = back.reset(width, height);
        padded.fill(0);
        for y in 0..region.height {
            let start = 3 * ((inner.top + y) as usize * width as usize + inner.left as usize);
            let row = front.row(region, y).as_flattened();
            padded[start..start + row.len()].copy_from_slice(row);
        }
        std::mem::swap(front, back);
        self.view = Resampling::none(Region::whole(width, height));
        Ok(())
    }
}
