//! What training would get, to look at: `tuner show-batch`.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use image::{ImageError, Rgb, RgbImage};
use loader::Settings;
use loader::datasets::ToFloat32;
use preproc::ImageTransform;
use preproc::transform::Normalize;
use serde::Serialize;
use tch::{Kind, Tensor};

use crate::config::{Cifar10Config, DatasetConfig, NpyConfig, SafetensorsConfig, SplitConfig};
use crate::dataset::Opened;
use crate::tensors::{self, Rows};
use crate::{Config, TunerError, dataset, files};

/// What `tuner show-batch` prints.
#[derive(Clone, Debug, Serialize)]
pub struct ShownBatches {
    /// The file of tensors.
    pub out: PathBuf,
    /// The contact sheet.
    pub png: Option<PathBuf>,
    /// Shape of the first field: of images, `[N, 3, H, W]`.
    pub shape: Vec<i64>,
    /// Names of the fields.
    pub fields: Vec<String>,
    /// Names of the classes, where they are known; a label is a place in this list.
    pub classes: Vec<String>,
    /// Label of each sample, where there are labels.
    pub labels: Vec<i64>,
}

/// Writes the first `batches` batches of epoch 0 to `out`, as safetensors: each field `[N, ...]`,
/// such as `images` float32 `[N, 3, H, W]` and `labels` int64 `[N]`, and `indices` int64 `[N]`.
/// With `png`, a contact sheet of the images before normalisation too.
///
/// # Errors
/// If the data set cannot be opened, an epoch has fewer batches, a sample cannot be loaded, there
/// are no images to show, or a file cannot be written.
pub fn run(
    config: &Config,
    settings: Settings,
    batches: usize,
    out: &Path,
    png: Option<&Path>,
) -> Result<ShownBatches, TunerError> {
    let data = dataset::open(config)?;
    let batch_size = settings.batch_size;
    let mut loader = data.builder().settings(settings).build()?;
    let Opened { fields, classes, samples, .. } = data;
    let most = loader.batches_per_epoch();
    if batches > most {
        return Err(TunerError::FewBatches { batches, most, batch_size });
    }
    let rows = samples.min(batches * batch_size);
    let mut indices = Vec::new();
    let mut parts: Vec<Rows> = fields.iter().map(|_| Rows::new(rows)).collect();
    for batch in loader.epoch(0).take(batches) {
        let batch = batch?;
        indices.extend(batch.indices().iter().map(|index| *index as i64));
        for (part, (_, tensor)) in parts.iter_mut().zip(batch.iter()) {
            part.push(tensor)?;
        }
    }
    let names: Vec<String> = fields.into_iter().map(|field| field.name).collect();
    let none = || TunerError::Bug("an epoch without batches".to_owned());
    let tensors = parts.into_iter().map(|part| part.finish()?.ok_or_else(none));
    let tensors = tensors.collect::<Result<Vec<_>, TunerError>>()?;
    let find = |name: &str| names.iter().position(|n| n == name).map(|field| &tensors[field]);

    let sheet = match png {
        None => None,
        Some(png) => {
            let images =
                find("images").filter(|images| matches!(images.size()[..], [_, 1 | 3, _, _]));
            let what = "there are no images to draw";
            let expected = "a field `images` of shape [1, H, W] or [3, H, W]; leave out `--png`";
            let images = images.ok_or(TunerError::NoImages { what, expected })?;
            Some((png, contact_sheet(&visible(images, &config.dataset)?)?))
        }
    };
    let mut named: Vec<(&str, &Tensor)> = names.iter().map(String::as_str).zip(&tensors).collect();
    let indices = Tensor::from_slice(&indices);
    named.push(("indices", &indices));
    files::write_with(out, |path| tensors::write(&named, path))?;
    if let Some((png, sheet)) = sheet {
        files::write_with(png, |path| {
            let saved = sheet.save_with_format(path, image::ImageFormat::Png);
            saved.map_err(|error| match error {
                ImageError::IoError(error) => error,
                error => io::Error::other(error),
            })
        })?;
    }
    let labels = find("labels").filter(|labels| labels.dim() == 1 && labels.kind() == Kind::Int64);
    Ok(ShownBatches {
        out: out.to_owned(),
        png: png.map(Path::to_owned),
        shape: tensors.first().map(Tensor::size).unwrap_or_default(),
        classes,
        labels: labels.map(Vec::try_from).transpose()?.unwrap_or_default(),
        fields: names,
    })
}

/// The images `[N, C, H, W]` as bytes `[N, 3, H, W]`, their normalisation undone.
fn visible(images: &Tensor, config: &DatasetConfig) -> Result<Tensor, TunerError> {
    let images = match undo(config) {
        _ if images.kind() == Kind::Uint8 => images.shallow_clone(),
        Undo { scale, mean, std } => {
            let column = |values: &[f32]| Tensor::from_slice(values).f_view([-1, 1, 1]);
            ((images * column(&std)? + column(&mean)?) / f64::from(scale))
                .f_round()?
                .f_clamp(0.0, 255.0)?
                .f_to_kind(Kind::Uint8)?
        }
    };
    let (count, _, height, width) = images.size4()?;
    Ok(images.f_expand([count, 3, height, width], false)?)
}

/// What was done to bytes: `(byte * scale - mean) / std`.
struct Undo {
    scale: f32,
    mean: Vec<f32>,
    std: Vec<f32>,
}

fn undo(config: &DatasetConfig) -> Undo {
    let conversions = match config {
        DatasetConfig::ImageFolder(_) | DatasetConfig::Tar(_) | DatasetConfig::Parquet(_) => {
            let transforms = config.transforms().map_or(&[][..], |(transforms, _)| transforms);
            let found = transforms.iter().find_map(|transform| match transform {
                ImageTransform::Normalize(normalize) => Some(normalize.clone()),
                _ => None,
            });
            let Normalize { mean, std } = found.unwrap_or(Normalize::IDENTITY);
            return Undo { scale: 1.0 / 255.0, mean: mean.to_vec(), std: std.to_vec() };
        }
        DatasetConfig::Cifar10(Cifar10Config { to_float32, .. })
        | DatasetConfig::Cifar100(SplitConfig { to_float32, .. })
        | DatasetConfig::Mnist(SplitConfig { to_float32, .. })
        | DatasetConfig::Npy(NpyConfig { to_float32, .. })
        | DatasetConfig::Safetensors(SafetensorsConfig { to_float32, .. }) => to_float32,
        DatasetConfig::Tokens(_) | DatasetConfig::Synthetic(_) | DatasetConfig::Own(_) => {
            &BTreeMap::new()
        }
    };
    let ToFloat32 { scale, mean, std } = conversions.get("images").cloned().unwrap_or_default();
    let or = |values: Vec<f32>, default| if values.is_empty() { vec![default] } else { values };
    Undo { scale: scale.unwrap_or(1.0 / 255.0), mean: or(mean, 0.0), std: or(std, 1.0) }
}

/// Images beside a contact sheet's widest row.
const COLUMNS: u32 = 8;
/// White between images, in pixels.
const GAP: u32 = 4;

/// The images, bytes `[N, 3, H, W]`, in rows.
fn contact_sheet(images: &Tensor) -> Result<RgbImage, TunerError> {
    let bytes = images.f_permute([0, 2, 3, 1])?.f_contiguous()?;
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
