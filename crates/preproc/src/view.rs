//! An image on its way through transforms.

use profiler::stage::{Stage, StageClock};

use crate::decode::{DecodeOptions, Decoder, Encoded};
use crate::functional::{self, PaddingMode};
use crate::resample::Resampling;
use crate::transform::{Scratch, Size};
use crate::{ImageError, Pixels, Region, TransformError};

/// An image of which only what is seen matters.
///
/// Crops move a rectangle, mirroring sets a flag, decoding and resampling wait until it is known
/// how much of the result is kept. [`pixels`](Self::pixels) does all that has been put off.
pub struct View<'a> {
    options: DecodeOptions,
    /// An image still to be decoded, as long as it is there; else it lies in `front`.
    encoded: Option<(Encoded<'a>, &'a mut Decoder)>,
    seen: Resampling,
    /// Whether what is seen is still to be mirrored; regions count in it as it lies in memory.
    mirrored: bool,
    /// Whether it is still to be turned upside down, likewise.
    flipped: bool,
    front: &'a mut Pixels,
    scratch: &'a mut Scratch,
    clock: Option<&'a mut StageClock>,
}

/// What the last step still has to do.
pub(crate) struct Seen<'a> {
    pub(crate) pixels: &'a Pixels,
    pub(crate) region: Region,
    pub(crate) mirrored: bool,
    pub(crate) flipped: bool,
    pub(crate) clock: Option<&'a mut StageClock>,
}

impl<'a> View<'a> {
    /// All of `pixels`.
    pub fn of(pixels: &'a mut Pixels, scratch: &'a mut Scratch) -> Self {
        let seen = Resampling::none(Region::whole(pixels.width(), pixels.height()));
        Self {
            options: DecodeOptions::default(),
            encoded: None,
            seen,
            mirrored: false,
            flipped: false,
            front: pixels,
            scratch,
            clock: None,
        }
    }

    /// All of an image that `decoder` will decode into `front`. Time is counted on `clock`.
    pub fn encoded(
        encoded: Encoded<'a>,
        options: &DecodeOptions,
        decoder: &'a mut Decoder,
        front: &'a mut Pixels,
        scratch: &'a mut Scratch,
        clock: &'a mut StageClock,
    ) -> Self {
        let seen = Resampling::none(Region::whole(encoded.width(), encoded.height()));
        Self {
            options: options.clone(),
            encoded: Some((encoded, decoder)),
            seen,
            mirrored: false,
            flipped: false,
            front,
            scratch,
            clock: Some(clock),
        }
    }

    /// Width of what is seen.
    pub fn width(&self) -> u32 {
        self.seen.width()
    }

    /// Height of what is seen.
    pub fn height(&self) -> u32 {
        self.seen.height()
    }

    /// Mirrors left and right.
    pub fn mirror(&mut self) {
        self.mirrored = !self.mirrored;
    }

    /// Turns upside down.
    pub fn flip(&mut self) {
        self.flipped = !self.flipped;
    }

    /// The image as it is seen, alone in memory, and memory to change it with.
    ///
    /// # Errors
    /// If it cannot be decoded.
    pub fn pixels(&mut self) -> Result<(&mut Pixels, &mut Scratch), TransformError> {
        let region = self.materialize()?;
        self.front.keep(region);
        if std::mem::take(&mut self.mirrored) {
            self.front.mirror();
        }
        if std::mem::take(&mut self.flipped) {
            self.front.flip();
        }
        self.seen = Resampling::none(Region::whole(region.width, region.height));
        Ok((&mut *self.front, &mut *self.scratch))
    }

    /// Changes the image as it is seen, perhaps its size too.
    ///
    /// # Errors
    /// If it cannot be decoded, or `change` fails.
    pub fn change(
        &mut self,
        change: impl FnOnce(&mut Pixels, &mut Scratch) -> Result<(), TransformError>,
    ) -> Result<(), TransformError> {
        let (pixels, scratch) = self.pixels()?;
        change(pixels, scratch)?;
        self.seen = Resampling::none(Region::whole(self.front.width(), self.front.height()));
        Ok(())
    }

    /// Changes the values of pixels in a way that does not depend on where they lie: mirroring and
    /// flipping stay put off.
    ///
    /// # Errors
    /// If the image cannot be decoded.
    pub fn change_values(
        &mut self,
        change: impl FnOnce(&mut Pixels),
    ) -> Result<(), TransformError> {
        let region = self.materialize()?;
        self.front.keep(region);
        change(self.front);
        self.seen = Resampling::none(Region::whole(region.width, region.height));
        Ok(())
    }

    /// Adds a border of `[left, top, right, bottom]` pixels.
    ///
    /// # Errors
    /// If the image is to be larger than the limit, or cannot be decoded.
    pub fn pad(
        &mut self,
        [left, top, right, bottom]: [u32; 4],
        fill: [u8; 3],
        mode: PaddingMode,
    ) -> Result<(), TransformError> {
        let side = |parts: [u32; 3]| parts.map(u64::from).iter().sum();
        let (width, height) =
            (side([left, self.width(), right]), side([top, self.height(), bottom]));
        self.options.check_size(width, height)?;
        self.change(|pixels, scratch| {
            functional::pad(pixels, [left, top, right, bottom], fill, mode, scratch);
            Ok(())
        })
    }

    /// Decodes and resamples what is still to be; what is left are mirroring, flipping, and the
    /// region of the image.
    pub(crate) fn finish(mut self) -> Result<Seen<'a>, TransformError> {
        let region = self.materialize()?;
        let Self { front, mirrored, flipped, clock, .. } = self;
        Ok(Seen { pixels: front, region, mirrored, flipped, clock })
    }

    /// Decodes and resamples what is still to be, and returns where in the front image the result
    /// lies.
    fn materialize(&mut self) -> Result<Region, TransformError> {
        let mut at = self.seen.needs();
        if let Some((encoded, decoder)) = self.encoded.take() {
            self.enter(Stage::Decode);
            at = decoder.decode(encoded, at, self.front)?;
        }
        self.enter(Stage::Transform);
        if !self.seen.is_none() {
            let (width, height) = (self.width(), self.height());
            self.options.check_size(width.into(), height.into())?;
            let Scratch { resizer, back, .. } = &mut *self.scratch;
            self.seen.run(resizer, self.front, at, back).map_err(ImageError::from)?;
            std::mem::swap(self.front, back);
            at = Region::whole(width, height);
        }
        self.seen = Resampling::none(at);
        Ok(at)
    }

    fn enter(&mut self, stage: Stage) {
        if let Some(clock) = &mut self.clock {
            clock.enter(stage);
        }
    }

    /// Keeps only `part` of the image, given as it would be seen after mirroring and flipping.
    pub fn crop(&mut self, part: Region) {
        let part = if self.mirrored { part.mirrored(self.width()) } else { part };
        self.seen.crop(if self.flipped { part.flipped(self.height()) } else { part });
    }

    /// As [`crop`](Self::crop).
    ///
    /// # Errors
    /// If `part` does not lie in the image.
    pub fn crop_inside(&mut self, part: Region) -> Result<(), TransformError> {
        let (width, height) = (self.width(), self.height());
        if !part.lies_in(width, height) {
            return Err(ImageError::Crop { part, width, height }.into());
        }
        self.crop(part);
        Ok(())
    }

    /// Antialiased bilinear resampling to `width` x `height`, when it is known what of that is
    /// wanted.
    ///
    /// # Errors
    /// If the image is to be larger than the limit, or cannot be decoded.
    pub fn resize(&mut self, width: u64, height: u64) -> Result<(), TransformError> {
        let (Ok(width), Ok(height)) = (u32::try_from(width), u32::try_from(height)) else {
            let limit = self.options.max_pixels;
            return Err(ImageError::TooLarge { width, height, limit }.into());
        };
        if (width, height) == (self.width(), self.height()) {
            return Ok(());
        }
        if !self.seen.is_none() {
            self.materialize()?;
        }
        self.seen = Resampling::new(self.seen.needs(), width, height);
        Ok(())
    }

    /// Cuts the middle. Where the image is smaller it is padded with black, as torchvision does:
    /// the odd pixel goes to the right and to the bottom.
    ///
    /// # Errors
    /// If the image is to be larger than the limit, or cannot be decoded.
    pub fn center_crop(&mut self, size: Size) -> Result<(), TransformError> {
        let [crop_height, crop_width] = size.sides();
        let (width, height) = (self.width(), self.height());
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
            let missing = |side: u32, crop: u32| {
                let missing = crop.saturating_sub(side);
                [missing / 2, missing - missing / 2]
            };
            let [left, right] = missing(width, crop_width);
            let [top, bottom] = missing(height, crop_height);
            self.pad([left, top, right, bottom], [0; 3], PaddingMode::Constant)?;
        }
        Ok(())
    }

    /// # Errors
    /// If an image of this size is over the limit.
    pub(crate) fn check_size(&self, width: u64, height: u64) -> Result<(), TransformError> {
        Ok(self.options.check_size(width, height)?)
    }
}
