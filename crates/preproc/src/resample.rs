//! Antialiased bilinear resampling, as PIL's: two passes in 8 bits with SIMD.

use fast_image_resize::images::{CroppedImage, Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions};

pub(crate) use fast_image_resize::Resizer;

use crate::error::ResampleError;
use crate::{Pixels, Region};

/// Resamples `region` of `from` to all of `to`, which becomes `width` x `height`.
pub(crate) fn resample(
    resizer: &mut Resizer,
    from: &Pixels,
    region: Region,
    to: &mut Pixels,
    width: u32,
    height: u32,
) -> Result<(), ResampleError> {
    let from = ImageRef::new(from.width(), from.height(), from.data(), PixelType::U8x3)?;
    // Cropped, not resized from a box in it: no pixel outside the region may count.
    let from = CroppedImage::new(&from, region.left, region.top, region.width, region.height)?;
    let to = to.reset(width, height);
    let mut to = Image::from_slice_u8(width, height, to, PixelType::U8x3)?;
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear))
        .use_alpha(false);
    resizer.resize(&from, &mut to, &options)?;
    Ok(())
}
