//! `trials.jsonl`: one line for each process, appended as soon as it ends. Of a run that was made again the
//! last line counts.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use loader::error::Report;
use profiler::rules::DataLoadingBottleneck;
use profiler::stage::StageTimes;
use serde::{Deserialize, Serialize};

use super::grid::{Cell, Planned};
use super::level::leveled;
use super::score::{self, ScoreTerms};
use super::trial::TrialFailure;
use crate::TunerError;
use crate::measure::{Figures, LimitingStage};
use crate::timeline::Timeline;

/// Whether a trial gave figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It did.
    Ok,
    /// It did not; the error says why.
    Failed,
    /// It was not run since it would not fit in memory.
    Skipped,
}

/// What a trial is run for.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// To find the best setting.
    #[default]
    Sweep,
    /// To hold the best setting against the default, on fresh runs.
    Confirm,
}

/// One line of the journal. Figures are absent unless the status is `ok`; so are GPU figures
/// without a GPU.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrialRecord {
    /// What it was run for.
    pub phase: Phase,
    /// Place of the setting in the sweep's list.
    pub cell: usize,
    /// In which block, from 0.
    pub repeat: usize,
    /// Whether there are figures.
    pub status: Status,
    /// Why there are none.
    pub error: Option<String>,
    /// The sample that could not be loaded, if that is why there are none: its path, or else its
    /// number. The sweep ends with such a trial.
    #[serde(default)]
    pub bad_sample: Option<String>,
    /// The setting.
    pub batch_size: usize,
    /// The setting.
    pub num_workers: usize,
    /// The setting.
    pub prefetch_depth: usize,
    /// Whether memory was pinned in effect.
    pub pin_memory: Option<bool>,
    /// See [`Figures`].
    pub samples_per_s: Option<f64>,
    /// See [`Figures`] and [`super::level`].
    #[serde(default)]
    pub reference_samples_per_s: Option<f64>,
    /// See [`Figures`].
    pub batches_per_s: Option<f64>,
    /// See [`Figures`].
    pub first_batch_s: Option<f64>,
    /// See [`Figures`].
    pub wait_share: Option<f64>,
    /// See [`Figures`].
    pub warmup_s: Option<f64>,
    /// See [`Figures`].
    pub warmup_batches: Option<usize>,
    /// See [`Figures`].
    pub steady: Option<bool>,
    /// See [`Figures`].
    pub rss_base_bytes: Option<u64>,
    /// What was predicted for the peak above the base, before it was run.
    pub predicted_above_base_bytes: Option<u64>,
    /// See [`Figures`].
    pub rss_mean_bytes: Option<u64>,
    /// See [`Figures`].
    pub rss_peak_bytes: Option<u64>,
    /// See [`Figures`].
    pub gpu_mean_bytes: Option<u64>,
    /// See [`Figures`].
    pub cpu_percent: Option<f64>,
    /// The documented bottlenecks that were found.
    pub bottlenecks: Vec<DataLoadingBottleneck>,
    /// The documented score.
    pub score: Option<f64>,
    /// What it is the sum of.
    pub score_terms: Option<ScoreTerms>,
    /// See [`Figures`].
    pub wall_s: Option<f64>,
    /// See [`Figures`].
    pub batches: Option<usize>,
    /// See [`Figures`].
    pub stages: Option<StageTimes>,
    /// See [`Figures`].
    pub limit: Option<LimitingStage>,
    /// See [`Figures`].
    #[serde(default)]
    pub timeline: Option<Timeline>,
    /// Share of the pages of the data's files that was in memory before it, see [`super::cache`]; absent
    /// where the data is in no files.
    #[serde(default)]
    pub resident_share: Option<f64>,
    /// When the process was started, in seconds of the sweep's own time, see [`super::clock`].
    #[serde(default)]
    pub started_s: Option<f64>,
    /// From the start of the process to its end; both are absent of a run that was taken over, which took no
    /// time.
    pub duration_s: Option<f64>,
    /// The folder of the sweep that the run was taken over from; absent of this sweep's own.
    #[serde(default)]
    pub reused_from: Option<String>,
}

impl TrialRecord {
    /// The record of a trial that was run.
    pub fn new(planned: Planned, cell: Cell, outcome: Result<&Figures, &TrialFailure>) -> Self {
        let figures = match outcome {
            Ok(figures) => figures,
            Err(failure) => {
                let error = Report(failure).to_string();
                let bad_sample = match failure {
                    TrialFailure::BadSample { sample, .. } => Some(sample.clone()),
                    _ => None,
                };
                let row = Self::without_figures(planned, cell, Status::Failed, error);
                return Self { bad_sample, ..row };
            }
        };
        let bottlenecks = score::bottlenecks(cell, figures);
        let terms = ScoreTerms::new(cell, figures, bottlenecks.len());
        Self {
            pin_memory: Some(figures.pin_memory),
            samples_per_s: Some(figures.samples_per_s),
            reference_samples_per_s: figures.reference_samples_per_s,
            batches_per_s: Some(figures.batches_per_s),
            first_batch_s: Some(figures.first_batch_s),
            wait_share: figures.wait_share,
            warmup_s: Some(figures.warmup_s),
            warmup_batches: Some(figures.warmup_batches),
            steady: Some(figures.steady),
            rss_base_bytes: Some(figures.rss_base_bytes),
            rss_mean_bytes: Some(figures.rss_mean_bytes),
            rss_peak_bytes: Some(figures.rss_peak_bytes),
            gpu_mean_bytes: figures.gpu_mean_bytes,
            cpu_percent: Some(figures.cpu_percent),
            bottlenecks,
            score: Some(terms.total()),
            score_terms: Some(terms),
            wall_s: Some(figures.wall_s),
            batches: Some(figures.batches),
            stages: Some(figures.stages),
            limit: figures.limit.clone(),
            timeline: figures.timeline.clone(),
            error: None,
            ..Self::without_figures(planned, cell, Status::Ok, String::new())
        }
    }

    /// The record of a trial that gave no figures.
    pub fn without_figures(planned: Planned, cell: Cell, status: Status, error: String) -> Self {
        Self {
            phase: planned.phase,
            cell: planned.cell,
            repeat: planned.repeat,
            status,
            error: Some(error),
            bad_sample: None,
            batch_size: cell.batch_size,
            num_workers: cell.num_workers,
            prefetch_depth: cell.prefetch_depth,
            pin_memory: None,
            samples_per_s: None,
            reference_samples_per_s: None,
            batches_per_s: None,
            first_batch_s: None,
            wait_share: None,
            warmup_s: None,
            warmup_batches: None,
            steady: None,
            rss_base_bytes: None,
            predicted_above_base_bytes: None,
            rss_mean_bytes: None,
            rss_peak_bytes: None,
            gpu_mean_bytes: None,
            cpu_percent: None,
            bottlenecks: Vec::new(),
            score: None,
            score_terms: None,
            wall_s: None,
            batches: None,
            stages: None,
            limit: None,
            timeline: None,
            resident_share: None,
            started_s: None,
            duration_s: None,
            reused_from: None,
        }
    }

    /// The setting.
    pub fn setting(&self) -> Cell {
        let Self { batch_size, num_workers, prefetch_depth, .. } = *self;
        Cell { batch_size, num_workers, prefetch_depth }
    }

    /// Which trial this was.
    pub fn planned(&self) -> Planned {
        Planned { phase: self.phase, repeat: self.repeat, cell: self.cell }
    }
}

/// Puts a run on record, by phase, block and setting; what was on record of the same run goes.
pub(super) fn put(records: &mut Vec<TrialRecord>, record: TrialRecord) {
    match records.binary_search_by_key(&record.planned(), TrialRecord::planned) {
        Ok(place) => records[place] = record,
        Err(place) => records.insert(place, record),
    }
}

/// The journal of a sweep, open for appending.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    measured: Vec<TrialRecord>,
    /// The same, [leveled].
    records: Vec<TrialRecord>,
}

impl Journal {
    /// Opens the journal at `path`, made if it is missing, and reads what is in it. A last line
    /// that was not written to its end is cut off.
    ///
    /// # Errors
    /// If it cannot be opened, or a line is no record.
    pub fn open(path: &Path) -> Result<Self, TunerError> {
        let options = OpenOptions::new().read(true).append(true).create(true).open(path);
        let mut file = options.map_err(TunerError::file("open", path))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(TunerError::file("read", path))?;
        let (whole, measured) = parse(path, &bytes)?;
        file.set_len(whole as u64).map_err(TunerError::file("write", path))?;
        file.seek(SeekFrom::End(0)).map_err(TunerError::file("read", path))?;
        Ok(Self { path: path.to_owned(), records: leveled(&measured), measured, file })
    }

    /// The runs on record at `path`, by phase, block and setting, as they were measured; it is not opened for
    /// writing.
    ///
    /// # Errors
    /// If it cannot be read, or a line is no record.
    pub fn read(path: &Path) -> Result<Vec<TrialRecord>, TunerError> {
        let bytes = std::fs::read(path).map_err(TunerError::file("read", path))?;
        Ok(parse(path, &bytes)?.1)
    }

    /// The runs on record, by phase, block and setting, [leveled].
    pub fn records(&self) -> &[TrialRecord] {
        &self.records
    }

    /// The same as they were measured.
    pub fn measured(&self) -> &[TrialRecord] {
        &self.measured
    }

    /// Appends records and sees them to the disk. Where they cannot be written whole none is.
    ///
    /// # Errors
    /// If the disk is full, for example.
    pub fn append(
        &mut self,
        records: impl IntoIterator<Item = TrialRecord>,
    ) -> Result<(), TunerError> {
        let records: Vec<TrialRecord> = records.into_iter().collect();
        let mut lines = Vec::new();
        for record in &records {
            serde_json::to_writer(&mut lines, record)
                .map_err(|error| TunerError::Bug(error.to_string()))?;
            lines.push(b'\n');
        }
        let length = self.file.metadata().map(|metadata| metadata.len());
        if let Err(error) = self.file.write_all(&lines).and_then(|()| self.file.sync_data()) {
            // If this fails too, the half line is cut off when the journal is next opened.
            let _ = length.and_then(|length| self.file.set_len(length));
            return Err(TunerError::file("write", &self.path)(error));
        }
        records.into_iter().for_each(|record| put(&mut self.measured, record));
        self.records = leveled(&self.measured);
        Ok(())
    }
}

/// The runs of a journal, and how many of its bytes they take: a last line that was not written to its end is
/// none.
fn parse(path: &Path, bytes: &[u8]) -> Result<(usize, Vec<TrialRecord>), TunerError> {
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let lines = bytes[..whole].split_inclusive(|byte| *byte == b'\n').enumerate();
    let mut records = Vec::new();
    for (number, line) in lines {
        let record = serde_json::from_slice(line).map_err(|source| TunerError::Journal {
            path: path.to_owned(),
            line: number + 1,
            source,
        })?;
        put(&mut records, record);
    }
    Ok((whole, records))
}

#[cfg(test)]
mod tests {
    use super::super::headline::tests::{DEFAULT, run};
    use super::*;

    #[test]
    fn a_last_line_that_ends_within_a_letter_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trials.jsonl");
        let record = |repeat| run(Phase::Sweep, DEFAULT, repeat, 100.0);
        let failed = TrialRecord { error: Some("größer".to_owned()), ..record(2) };
        Journal::open(&path).unwrap().append([record(0), record(1), failed]).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let cut = whole.iter().position(|byte| !byte.is_ascii()).unwrap() + 1;
        std::fs::write(&path, &whole[..cut]).unwrap();
        assert_eq!(Journal::read(&path).unwrap(), [record(0), record(1)]);
        assert_eq!(Journal::open(&path).unwrap().measured(), [record(0), record(1)]);
        assert!(std::fs::read(&path).unwrap().ends_with(b"}\n"));
    }

    #[test]
    fn of_a_run_that_was_made_again_the_last_record_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trials.jsonl");
        let record = |repeat, rate| run(Phase::Sweep, DEFAULT, repeat, rate);
        let mut journal = Journal::open(&path).unwrap();
        journal.append([record(1, 10.0), record(0, 20.0), record(1, 30.0)]).unwrap();
        let expected = [record(0, 20.0), record(1, 30.0)];
        assert_eq!(journal.measured(), expected);
        assert_eq!(journal.records(), expected);
        assert_eq!(Journal::read(&path).unwrap(), expected);
        let lines = std::fs::read_to_string(&path).unwrap().lines().count();
        assert_eq!(lines, 3, "nothing that was written is lost");
    }
}
