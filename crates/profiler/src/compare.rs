//! Two measurements side by side: what became slower, what faster, and what cannot be told.
//!
//! Each metric is compared by the ratio of its medians, with a 95% bootstrap interval (percentiles
//! of resampled ratios, with a fixed seed). It is a regression only if the whole interval lies beyond
//! the threshold, on the worse side. An interval knows the spread within the two measurements, not
//! that between runs of the same program on other days: the threshold stands for that.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::bootstrap::ratio_of_medians;
use crate::statistics::median;

mod of_session;

/// The value of [`Comparison::schema`].
pub const SCHEMA: &str = "profiler-comparison/1";

/// What is compared of a measurement, whatever it was made with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Comparable {
    /// The schema of the file that it was made from: two of different schemas are not compared.
    pub schema: String,
    /// What tells its machine from others: name and value of each property.
    pub machine: BTreeMap<String, String>,
    /// What tells its data from others, likewise.
    pub data: BTreeMap<String, String>,
    /// What was measured.
    pub metrics: Vec<Metric>,
}

/// One thing that was measured, several times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// Such as `loader: samples a second`; the same in both measurements.
    pub name: String,
    /// Of the values, such as `samples/s`.
    pub unit: String,
    /// Whether more is better.
    pub higher_is_better: bool,
    /// Independent of each other as far as can be: of repetitions, or means of sub-windows. Some
    /// dozens will do: each is drawn thousands of times.
    pub values: Vec<f64>,
}

/// How to compare.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CompareOptions {
    /// A change smaller than this share is none [default: 0.05].
    pub threshold: f64,
    /// Whether measurements of different machines or data are compared all the same.
    pub force: bool,
}

impl Default for CompareOptions {
    fn default() -> Self {
        Self { threshold: 0.05, force: false }
    }
}

/// Why two measurements were not compared.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum CompareError {
    /// They come from files of different kinds.
    #[error(
        "a measurement of schema `{a}` cannot be compared with one of `{b}`\n\
         hint: compare a session with a session, a sweep with a sweep"
    )]
    Schema {
        /// Of the first.
        a: String,
        /// Of the second.
        b: String,
    },
    /// They were made on different machines.
    #[error(
        "the measurements were made on different machines: {}\n\
         hint: --force compares them all the same",
        list(differences)
    )]
    Machine {
        /// What differs.
        differences: Vec<Difference>,
    },
    /// They were made with different data.
    #[error(
        "the measurements were made with different data: {}\n\
         hint: --force compares them all the same",
        list(differences)
    )]
    Data {
        /// What differs.
        differences: Vec<Difference>,
    },
    /// No metric is in both.
    #[error(
        "the measurements have no metric in common\n\
         hint: profile the same operations and pipelines in both"
    )]
    NothingInCommon,
    /// The threshold is no share.
    #[error("the threshold is `{threshold}`, expected a share from 0 to 1\nhint: 0.05 is 5%")]
    Threshold {
        /// What was asked for.
        threshold: f64,
    },
}

/// A property in which two measurements differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Its name.
    pub name: String,
    /// In the first; `None` where it has none.
    pub a: Option<String>,
    /// In the second.
    pub b: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
        write!(f, "{} is `{}` and `{}`", self.name, known(&self.a), known(&self.b))
    }
}

fn list(differences: &[Difference]) -> String {
    differences.iter().map(Difference::to_string).collect::<Vec<_>>().join("; ")
}

/// What became of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Worse by more than the threshold: the whole interval says so.
    Regression,
    /// The interval has room for more than one of the others, or there is none.
    Inconclusive,
    /// Better by more than the threshold: the whole interval says so.
    Improved,
    /// The whole interval lies within the threshold.
    Same,
}

impl Outcome {
    /// As tables write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Regression => "regression",
            Self::Inconclusive => "inconclusive",
            Self::Improved => "improved",
            Self::Same => "same",
        }
    }
}

/// One metric of two measurements.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// See [`Metric`].
    pub name: String,
    /// See [`Metric`].
    pub unit: String,
    /// See [`Metric`].
    pub higher_is_better: bool,
    /// Median of the first.
    pub a: f64,
    /// Median of the second.
    pub b: f64,
    /// Second by first; `None` where the first is 0.
    pub ratio: Option<f64>,
    /// 95% bootstrap interval of the ratio, lower and upper end; `None` with fewer than three values
    /// on a side.
    pub interval: Option<[f64; 2]>,
    /// What became of it.
    pub outcome: Outcome,
}

/// Two measurements side by side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// [`SCHEMA`].
    pub schema: String,
    /// A change smaller than this share is none.
    pub threshold: f64,
    /// In what machines and data differ, where that was forced.
    pub differences: Vec<Difference>,
    /// Metrics of both: regressions first, then what cannot be told.
    pub rows: Vec<Row>,
    /// Names of the metrics that only the first has.
    pub only_in_a: Vec<String>,
    /// Names of the metrics that only the second has.
    pub only_in_b: Vec<String>,
}

impl Comparison {
    /// Whether anything became worse.
    pub fn has_regression(&self) -> bool {
        self.rows.iter().any(|row| row.outcome == Outcome::Regression)
    }
}

/// Compares `b`, the later one, with `a`.
///
/// # Errors
/// If they are of different schemas or have no metric in common; if machine or data differ, unless
/// forced; if the threshold is no share.
///
/// # Example
/// ```
/// use profiler::compare::{Comparable, CompareOptions, Metric, compare};
///
/// let measured = |values: [f64; 5]| Comparable {
///     schema: "my-benchmark/1".to_owned(),
///     metrics: vec![Metric {
///         name: "decode".to_owned(),
///         unit: "ms".to_owned(),
///         higher_is_better: false,
///         values: values.to_vec(),
///     }],
///     ..Comparable::default()
/// };
/// let before = measured([1.70, 1.72, 1.71, 1.73, 1.69]);
/// let after = measured([1.92, 1.95, 1.90, 1.94, 1.93]);
/// let found = compare(&before, &after, CompareOptions::default())?;
/// assert!(found.has_regression());
/// assert_eq!(
///     found.to_string(),
///     "metric    before     after  change      95% interval\n\
///      decode  1.710 ms  1.930 ms  +12.9%  +11.0% to +14.7%  regression\n\
///      regressions: 1, improved: 0, same: 0, inconclusive: 0 (threshold 5%)"
/// );
/// # Ok::<(), profiler::compare::CompareError>(())
/// ```
pub fn compare(
    a: &Comparable,
    b: &Comparable,
    options: CompareOptions,
) -> Result<Comparison, CompareError> {
    let threshold = options.threshold;
    if !(0.0..=1.0).contains(&threshold) {
        return Err(CompareError::Threshold { threshold });
    }
    if a.schema != b.schema {
        return Err(CompareError::Schema { a: a.schema.clone(), b: b.schema.clone() });
    }
    let machine = differences(&a.machine, &b.machine);
    let data = differences(&a.data, &b.data);
    match (options.force, machine.is_empty(), data.is_empty()) {
        (false, false, _) => return Err(CompareError::Machine { differences: machine }),
        (false, _, false) => return Err(CompareError::Data { differences: data }),
        _ => {}
    }
    let find = |of: &Comparable, name: &str| of.metrics.iter().find(|m| m.name == name).cloned();
    let mut rows: Vec<Row> = a
        .metrics
        .iter()
        .filter_map(|metric| row(metric, &find(b, &metric.name)?, threshold))
        .collect();
    if rows.is_empty() {
        return Err(CompareError::NothingInCommon);
    }
    rows.sort_by_key(|row| row.outcome);
    let missing = |of: &Comparable, other: &Comparable| {
        let names = of.metrics.iter().map(|metric| metric.name.clone());
        names.filter(|name| find(other, name).is_none()).collect()
    };
    Ok(Comparison {
        schema: SCHEMA.to_owned(),
        threshold,
        differences: machine.into_iter().chain(data).collect(),
        rows,
        only_in_a: missing(a, b),
        only_in_b: missing(b, a),
    })
}

fn differences(a: &BTreeMap<String, String>, b: &BTreeMap<String, String>) -> Vec<Difference> {
    let mut names: Vec<&String> = a.keys().chain(b.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let differing = names.into_iter().filter(|name| a.get(*name) != b.get(*name));
    let difference = |name: &String| Difference {
        name: name.clone(),
        a: a.get(name).cloned(),
        b: b.get(name).cloned(),
    };
    differing.map(difference).collect()
}

/// `None` where a side has no values.
fn row(a: &Metric, b: &Metric, threshold: f64) -> Option<Row> {
    let (median_a, median_b) = (median(&a.values)?, median(&b.values)?);
    let ratio = (median_a != 0.0).then(|| median_b / median_a);
    let interval = ratio_of_medians(&a.values, &b.values);
    let both_none = median_a == 0.0 && median_b == 0.0;
    Some(Row {
        name: a.name.clone(),
        unit: a.unit.clone(),
        higher_is_better: a.higher_is_better,
        a: median_a,
        b: median_b,
        ratio,
        interval,
        outcome: match interval {
            Some(interval) => outcome(interval, a.higher_is_better, threshold),
            None if both_none => Outcome::Same,
            None => Outcome::Inconclusive,
        },
    })
}

fn outcome([low, high]: [f64; 2], higher_is_better: bool, threshold: f64) -> Outcome {
    let (fell, rose) = (high < 1.0 - threshold, low > 1.0 + threshold);
    match (fell, rose) {
        (true, _) if higher_is_better => Outcome::Regression,
        (_, true) if !higher_is_better => Outcome::Regression,
        (true, _) | (_, true) => Outcome::Improved,
        _ if low >= 1.0 - threshold && high <= 1.0 + threshold => Outcome::Same,
        _ => Outcome::Inconclusive,
    }
}

/// A table for people, without an end of line at its end.
impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let change = |ratio: f64| format!("{:+.1}%", (ratio - 1.0) * 100.0);
        let mut table =
            vec![["metric", "before", "after", "change", "95% interval", ""].map(String::from)];
        table.extend(self.rows.iter().map(|row| {
            [
                row.name.clone(),
                short(row.a, &row.unit),
                short(row.b, &row.unit),
                row.ratio.map_or_else(|| "n/a".to_owned(), change),
                row.interval.map_or_else(
                    || "n/a".to_owned(),
                    |[low, high]| format!("{} to {}", change(low), change(high)),
                ),
                row.outcome.name().to_owned(),
            ]
        }));
        let width =
            |column: usize| table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..6).map(width).collect();
        for row in &table {
            let [name, before, after, change, interval, outcome] = row;
            let line = format!(
                "{name:0$}  {before:>1$}  {after:>2$}  {change:>3$}  {interval:>4$}  {outcome}",
                widths[0], widths[1], widths[2], widths[3], widths[4],
            );
            writeln!(f, "{}", line.trim_end())?;
        }
        for (names, which) in [(&self.only_in_a, "before"), (&self.only_in_b, "after")] {
            if !names.is_empty() {
                writeln!(f, "only {which}: {}", names.join(", "))?;
            }
        }
        if !self.differences.is_empty() {
            writeln!(f, "forced although {}", list(&self.differences))?;
        }
        let count = |outcome| self.rows.iter().filter(|row| row.outcome == outcome).count();
        write!(
            f,
            "regressions: {}, improved: {}, same: {}, inconclusive: {} (threshold {}%)",
            count(Outcome::Regression),
            count(Outcome::Improved),
            count(Outcome::Same),
            count(Outcome::Inconclusive),
            self.threshold * 100.0
        )
    }
}

/// Four digits and the unit.
fn short(value: f64, unit: &str) -> String {
    let digits = value.abs().max(1e-12).log10().floor();
    let decimals = (3.0 - digits).clamp(0.0, 6.0) as usize;
    format!("{value:.decimals$} {unit}").trim_end().to_owned()
}
