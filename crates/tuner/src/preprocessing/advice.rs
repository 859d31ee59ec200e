//! What each transform's share is, and what could be gained.

use preproc::benchmark::{PreprocessingProfile, Scaling, seconds};
use preproc::transform::{Dtype, ToTensor};
use preproc::{Compose, ImageTransform};
use profiler::stage::StageTimes;

use super::ceiling::ComposeCeiling;
use super::images::ImageFiles;
use super::{StepFindings, Suggestion};

/// A gain below this share of a sample's time is not worth a word.
const WORTH: f64 = 0.01;
/// Steps that give the same before and after a change of size, up to rounding: they are cheaper
/// where there are fewer pixels.
const OF_EACH_PIXEL: [&str; 3] = ["color_jitter", "grayscale", "random_grayscale"];

/// Sets the share of each step in the time of a sample.
///
/// By stage the shares are measured while the plan runs: decode, transform, write. The steps of a
/// stage that is several share it as their times one by one do, since planned they are one piece
/// of work; mirroring is done while writing, and counts there.
pub(super) fn shares(transforms: &mut [StepFindings], ceiling: &ComposeCeiling) {
    let stage = |name: &str, times: &StageTimes| match name {
        "decode" => times.decode_s,
        name if is_written(name) => times.write_s,
        _ => times.transform_s,
    };
    let alone = |findings: &StepFindings| {
        let name = findings.findings.transform.as_str();
        let time = findings.findings.best.map(|best| best.sample_s)?;
        (name != WHOLE).then(|| (name.to_owned(), time))
    };
    let times: Vec<Option<(String, f64)>> = transforms.iter().map(alone).collect();
    let same_stage =
        |a: &str, b: &str| (a == "decode") == (b == "decode") && is_written(a) == is_written(b);
    for (findings, time) in transforms.iter_mut().zip(&times) {
        let Some((name, time)) = time else { continue };
        let with = times.iter().flatten().filter(|(other, _)| same_stage(other, name));
        let sum: f64 = with.map(|(_, time)| time).sum();
        findings.share = Some(stage(name, &ceiling.stages) / ceiling.sample_s * time / sum);
    }
}

/// The name of the plan as a whole.
const WHOLE: &str = "compose";

/// Whether a step is done while the sample is written.
fn is_written(name: &str) -> bool {
    name.starts_with("to_tensor") || matches!(name, "horizontal_flip" | "vertical_flip")
}

/// What could be gained, most first.
pub(super) fn suggestions(
    files: &ImageFiles,
    rows: &[PreprocessingProfile],
    transforms: &[StepFindings],
    ceiling: Option<&ComposeCeiling>,
) -> Vec<Suggestion> {
    let mut suggestions = Vec::new();
    let Some(ceiling) = ceiling else { return suggestions };
    suggestions.extend(fewer_pixels(rows, transforms, ceiling));
    suggestions.extend(bytes_to_the_device(files, ceiling));
    suggestions.retain(|suggestion| {
        suggestion.saves_s.is_none_or(|saved| saved > WORTH * ceiling.sample_s)
    });
    suggestions.sort_by(|a, b| b.saves_s.unwrap_or(0.0).total_cmp(&a.saves_s.unwrap_or(0.0)));
    suggestions.extend(planned_as_one(transforms, ceiling));
    suggestions.extend(more_workers(transforms));
    suggestions.extend(at_most(ceiling));
    suggestions
}

/// Steps on each pixel that run where there are many of them.
fn fewer_pixels(
    rows: &[PreprocessingProfile],
    transforms: &[StepFindings],
    ceiling: &ComposeCeiling,
) -> Vec<Suggestion> {
    let pixels = |name: &str| {
        let row = rows
            .iter()
            .filter(|row| row.transform == name)
            .find_map(|row| Some((row.batch_size, row.measured()?.memory.input_bytes)))?;
        Some(row.1 as f64 / row.0 as f64 / 3.0)
    };
    let names = || transforms.iter().map(|step| step.findings.transform.as_str());
    let written = names().find(|name| name.starts_with("to_tensor")).and_then(pixels);
    let move_it = |step: &StepFindings| {
        let name = step.findings.transform.as_str();
        let (here, there) = (pixels(name)?, written?);
        let share = step.share.filter(|_| OF_EACH_PIXEL.contains(&name))?;
        let time = share * ceiling.sample_s;
        let saves = time * (1.0 - there / here);
        (saves > 0.0).then(|| Suggestion {
            text: format!(
                "put `{name}` behind the last crop or resize: it works on {here:.0} pixels of an \
                 image now and would on {there:.0}; that saves about {} of {} for a sample",
                seconds(saves),
                seconds(ceiling.sample_s)
            ),
            saves_s: Some(saves),
        })
    };
    transforms.iter().filter_map(move_it).collect()
}

/// Writing bytes, and making floats of them on the device: measured.
fn bytes_to_the_device(files: &ImageFiles, ceiling: &ComposeCeiling) -> Option<Suggestion> {
    /// For the size of a batch.
    const BATCH: usize = 64;
    if files.compose.dtype() == Dtype::Uint8 {
        return None;
    }
    let of_bytes = |transform: &ImageTransform| match transform {
        ImageTransform::ToTensor(format) => {
            Some(ImageTransform::ToTensor(ToTensor { dtype: Dtype::Uint8, ..*format }))
        }
        ImageTransform::Normalize(_) => None,
        other => Some(other.clone()),
    };
    let transforms = files.compose.transforms().iter().filter_map(of_bytes).collect();
    let compose = Compose::new(transforms, files.compose.options().clone()).ok()?;
    let bytes = ComposeCeiling::of(&files.with(compose)).ok()?;
    let saves = ceiling.stages.write_s - bytes.stages.write_s;
    let elements: usize = files.compose.shape().iter().product();
    let element = if files.compose.dtype() == Dtype::Float32 { 4 } else { 2 };
    let megabytes = |element: usize| (BATCH * elements * element) as f64 / 1e6;
    Some(Suggestion {
        text: format!(
            "leave samples as bytes (`to_tensor = {{ dtype = \"uint8\" }}`, no `normalize`) and make \
             floats of them on the device (`.normalize_on_device(..)`): writing takes {} then, not \
             {}, of {} for a sample, and a batch of {BATCH} is {:.1} MB to copy, not {:.1} MB",
            seconds(bytes.stages.write_s),
            seconds(ceiling.stages.write_s),
            seconds(ceiling.sample_s),
            megabytes(1),
            megabytes(element),
        ),
        saves_s: Some(saves),
    })
}

/// What the plan saves already.
fn planned_as_one(transforms: &[StepFindings], ceiling: &ComposeCeiling) -> Option<Suggestion> {
    let steps = transforms.iter().filter(|step| step.findings.transform != WHOLE);
    let alone: Vec<f64> = steps.filter_map(|step| Some(step.findings.best?.sample_s)).collect();
    let sum: f64 = alone.iter().sum();
    (alone.len() + 1 == transforms.len() && sum > ceiling.sample_s).then(|| Suggestion {
        text: format!(
            "nothing to do: planned as one, the steps take {} for a sample; one by one they take {}",
            seconds(ceiling.sample_s),
            seconds(sum)
        ),
        saves_s: None,
    })
}

/// What more workers give.
fn more_workers(transforms: &[StepFindings]) -> Option<Suggestion> {
    let whole = transforms.iter().find(|step| step.findings.transform == WHOLE)?;
    // More than there are threads: the machine was not ours while one of the two was measured.
    let sane = |scaling: &Scaling| scaling.speedup() < 1.1 * scaling.threads as f64;
    let scaling = whole.scaling.filter(|scaling| scaling.threads > 1 && sane(scaling))?;
    Some(Suggestion {
        text: format!(
            "use {} workers: together they make {:.0} samples/s, {:.2} times what one makes",
            scaling.threads,
            scaling.all_samples_per_s,
            scaling.speedup()
        ),
        saves_s: None,
    })
}

/// What is left for anything else beside the dearest stage (Amdahl's law).
fn at_most(ceiling: &ComposeCeiling) -> Option<Suggestion> {
    let StageTimes { decode_s, transform_s, write_s, .. } = ceiling.stages;
    let stages = [("decode", decode_s), ("transform", transform_s), ("write", write_s)];
    let (name, time) = stages.into_iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let share = time / ceiling.sample_s;
    (share > 0.5).then(|| Suggestion {
        text: format!(
            "`{name}` is {:.0}% of a sample's time: however cheap the rest became, a worker would \
             make at most {:.0} samples/s, {:.2} times as many as now",
            100.0 * share,
            1.0 / time,
            1.0 / share
        ),
        saves_s: None,
    })
}
