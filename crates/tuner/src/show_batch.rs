//! What training would get, to look at: `tuner show-batch`.

use std::io;
use std::path::{Path, PathBuf};

use image::{ImageError, Rgb, RgbImage};
use loader::{Dataset, Loader, Settings};
use preproc::Transform;
use preproc::transform::Normalize;
use serde::Serialize;
use tch::{Kind, Tensor};

use crate::tensors::{self, Rows};
use crate::{Config, TunerError, dataset, files};

/// What `tuner show-batch` prints.
#[derive(Clone, Debug, Serialize)]
pub struct ShownBatches {
    /// The file of tensors.
    pub out: PathBuf,
    /// The contact sheet.
    pub png: Option<PathBuf>,
    /// Shape of `images`: `[N, 3, H, W]`.
    pub shape: Vec<i64>,
    /// Names of the classes; a label is a place in this list.
    pub classes: Vec<String>,
    /// Label of each sample.
    pub labels: Vec<i64>,
}

/// Writes the first `batches` batches of epoch 0 to `out`, as safetensors: `images` float32
/// `[N, 3, H, W]`, `labels` and `indices` int64 `[N]`. With `png`, a contact sheet of the images
/// before normalisation too.
///
/// # Errors
/// If the data set cannot be opened, an epoch has fewer batches, a sample cannot be loaded, or a
/// file cannot be written.
pub fn run(
    config: &Config,
    settings: Settings,
    batches: usize,
    out: &Path,
    png: Option<&Path>,
) -> Result<ShownBatches, TunerError> {
    let data = dataset::open(config)?;
    let classes = data.classes().to_vec();
    let (samples, batch_size) = (data.len(), settings.batch_size);
    let mut loader = Loader::builder(data).settings(settings).build()?;
    let most = loader.batches_per_epoch();
    if batches > most {
        return Err(TunerError::FewBatches { batches, most, batch_size });
    }
    let rows = samples.min(batches * batch_size);
    let (mut images, mut labels, mut indices) = (Rows::new(rows), Rows::new(rows), Vec::new());
    for batch in loader.epoch(0).take(batches) {
        let batch = batch?;
        indices.extend(batch.indices().iter().map(|index| *index as i64));
        images.push(&batch["images"])?;
        labels.push(&batch["labels"])?;
    }
    let none = || TunerError::Bug("an epoch without batches".to_owned());
    let images = images.finish()?.ok_or_else(none)?;
    let labels = labels.finish()?.ok_or_else(none)?;
    let tensors =
        [("images", &images), ("labels", &labels), ("indices", &Tensor::from_slice(&indices))];

    files::write_with(out, |path| tensors::write(&tensors, path))?;
    if let Some(png) = png {
        let sheet = contact_sheet(&images, &normalization(config))?;
        files::write_with(png, |path| {
            let saved = sheet.save_with_format(path, image::ImageFormat::Png);
            saved.map_err(|error| match error {
                ImageError::IoError(error) => error,
                error => io::Error::other(error),
            })
        })?;
    }
    Ok(ShownBatches {
        out: out.to_owned(),
        png: png.map(Path::to_owned),
        shape: images.size(),
        classes,
        labels: Vec::try_from(&labels)?,
    })
}

fn normalization(config: &Config) -> Normalize {
    let found = config.dataset.transforms.iter().find_map(|transform| match transform {
        Transform::Normalize(normalize) => Some(normalize.clone()),
        _ => None,
    });
    found.unwrap_or(Normalize::IDENTITY)
}

/// Images beside a contact sheet's widest row.
const COLUMNS: u32 = 8;
/// White between images, in pixels.
const GAP: u32 = 4;

/// The images `[N, 3, H, W]` in rows, made visible again.
fn contact_sheet(images: &Tensor, normalize: &Normalize) -> Result<RgbImage, TunerError> {
    let column = |values: [f32; 3]| Tensor::from_slice(&values).f_view([3, 1, 1]);
    let bytes = ((images * column(normalize.std)? + column(normalize.mean)?) * 255.0)
        .f_round()?
        .f_clamp(0.0, 255.0)?
        .f_to_kind(Kind::Uint8)?
        .f_permute([0, 2, 3, 1])?
        .f_contiguous()?;
    let (count, height, width, _) = bytes.size4()?;
    let (count, height, width) = (count as u32, height as u32, width as u32);
    let bytes = Vec::<u8>::try_from(bytes.f_flatten(0, -1)?)?;
    let columns = COLUMNS.min(count);
    let rows = count.div_ceil(columns);
    let side = |images: u32, length: u32| images * (length + GAP) + GAP;
    let white = Rgb([255; 3]);
    let mut sheet = RgbImage::from_pixel(side(columns, width), side(rows, height), white);
    let size = (3 * height * width) as usize;
    for (number, pixels) in (0..count).zip(bytes.chunks_exact(size)) {
        let left = side(number % columns, width);
        let top = side(number / columns, height);
        if let Some(image) = RgbImage::from_raw(width, height, pixels.to_vec()) {
            image::imageops::replace(&mut sheet, &image, left.into(), top.into());
        }
    }
    Ok(sheet)
}
