//! What can go wrong with an image or a list of transforms.

use thiserror::Error;

use crate::Region;

/// Why the bytes of a file did not become pixels.
#[derive(Debug, Error)]
pub enum ImageError {
    /// The file has no bytes.
    #[error("the file is empty\nhint: replace or remove it")]
    Empty,
    /// The first bytes belong to no format known here.
    #[error(
        "not an image that can be read here (JPEG, PNG, WebP or BMP)\nhint: replace, convert or remove the file"
    )]
    UnknownFormat,
    /// The file ends before the image does.
    #[error("the image is truncated: its end is missing\nhint: replace or remove the file")]
    Truncated,
    /// More pixels than the limit, in the file or after resizing: a decompression bomb, or a limit
    /// set too low.
    #[error(
        "the image has {width}x{height} pixels, more than the limit of {limit}\nhint: raise `max_pixels` if the file is to be trusted"
    )]
    TooLarge {
        /// Width of the image.
        width: u64,
        /// Height of the image.
        height: u64,
        /// `max_pixels`.
        limit: u64,
    },
    /// libjpeg-turbo could not decode the data.
    #[error("not a readable JPEG: {0}\nhint: replace or remove the file")]
    Jpeg(String),
    /// The decoder of another format could not decode the data.
    #[error("not a readable image\nhint: replace or remove the file")]
    Decode(#[source] image::ImageError),
    /// A fixed crop does not lie in the image.
    #[error("the image has {width}x{height} pixels: `crop` of {}x{} at {}, {} does not lie in it", part.width, part.height, part.left, part.top)]
    Crop {
        /// The crop.
        part: Region,
        /// Width of the image.
        width: u32,
        /// Height of the image.
        height: u32,
    },
    /// The resampler refused.
    #[error("cannot resample the image")]
    Resample(#[from] ResampleError),
}

/// Why a transform failed.
#[derive(Debug, Error)]
pub enum TransformError {
    /// The image could not be decoded, cut or resampled.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A parameter is out of range.
    #[error(transparent)]
    Parameter(#[from] ComposeError),
    /// A transform of the program's own changed the size.
    #[error(
        "the transforms made {width}x{height} pixels of an image, not {expected_width}x{expected_height}\nhint: let `resize` or a crop follow a transform that changes the size"
    )]
    Size {
        /// Width of what they made.
        width: u32,
        /// Its height.
        height: u32,
        /// Width of a sample.
        expected_width: u32,
        /// Its height.
        expected_height: u32,
    },
    /// A tensor of a shape or type that the transform is not for.
    #[error("`{name}` got a tensor {got}, but must get {expected}")]
    Tensor {
        /// The transform.
        name: &'static str,
        /// Type and shape of the tensor.
        got: String,
        /// What it may be.
        expected: &'static str,
    },
    /// libtorch refused.
    #[error("libtorch refused")]
    Torch(#[from] tch::TchError),
    /// A transform of the program's own failed.
    #[error("`{name}` failed")]
    Custom {
        /// The transform.
        name: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Why the resampler refused.
#[derive(Debug, Error)]
pub enum ResampleError {
    /// Source or target do not have the size they claim.
    #[error(transparent)]
    Buffer(#[from] fast_image_resize::ImageBufferError),
    /// The rectangle does not lie in the source.
    #[error(transparent)]
    Crop(#[from] fast_image_resize::CropBoxError),
    /// Source or target are of another kind than the resampler's.
    #[error(transparent)]
    Resize(#[from] fast_image_resize::ResizeError),
}

/// Why a list of transforms cannot be run.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum ComposeError {
    /// `decode` is not the first transform, or there again.
    #[error("`decode` must be the first transform, and only there")]
    Decode,
    /// `to_tensor` is missing.
    #[error("`to_tensor` is missing: it ends the transforms of the image, before `normalize`")]
    NoToTensor,
    /// A transform stands where it cannot be run.
    #[error("`{name}` cannot follow `to_tensor`; only one `normalize` can")]
    AfterToTensor {
        /// The transform.
        name: String,
    },
    /// `normalize` works on tensors.
    #[error("`normalize` must come after `to_tensor`")]
    NormalizeBeforeToTensor,
    /// `random_erasing` works on samples.
    #[error("`random_erasing` must come after `to_tensor` and `normalize`")]
    ErasingBeforeToTensor,
    /// Something follows what must be last.
    #[error("`{name}` cannot follow `random_erasing`, which must be the last")]
    AfterErasing {
        /// The transform.
        name: String,
    },
    /// Bytes are not normalised.
    #[error(
        "`normalize` cannot follow `to_tensor` with `dtype = \"uint8\"`\nhint: leave it out, and normalise on the device"
    )]
    NormalizeBytes,
    /// Samples would differ in shape.
    #[error(
        "samples would have different shapes\nhint: add `center_crop` or `random_resized_crop`, or give `resize` both sides: `[height, width]`"
    )]
    NoFixedShape,
    /// A parameter has a value that makes no sense.
    #[error("`{name}`: `{parameter}` is {got}, but must be {expected}")]
    Value {
        /// The transform.
        name: String,
        /// The parameter.
        parameter: &'static str,
        /// Its value.
        got: String,
        /// What it may be.
        expected: &'static str,
    },
}
