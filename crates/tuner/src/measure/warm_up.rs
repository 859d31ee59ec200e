//! The warm-up before a measurement.

use profiler::statistics::{mean, standard_deviation};

use super::Measure;

/// The warm-up: goes on until the rate neither rises nor falls.
#[derive(Debug)]
pub(super) struct WarmUp {
    least_batches: usize,
    least_s: f64,
    /// Length of the windows that are held beside each other; `None` not to wait for a steady rate.
    window_s: Option<f64>,
    /// What is left out at most, steady or not.
    most_s: f64,
    /// When the window under way began, and the batches that had come by then.
    began: Option<(f64, usize)>,
    /// Batches a second of the windows before.
    rates: Vec<f64>,
}

/// A rate is steady that changes less from one half of the last windows to the other.
const STEADY: f64 = 0.05;
/// Windows in the time of a measurement: short ones, so that those that are looked at cost little.
const WINDOWS: f64 = 20.0;
/// The last windows, so many, are looked at.
const LAST: usize = 6;
/// With fewer nothing can be said.
const LEAST_WINDOWS: usize = 4;

/// The shortest warm-up that knows whether the rate is steady.
pub(crate) fn least_warmup_s(measure_s: f64) -> f64 {
    LAST as f64 * measure_s / WINDOWS
}

/// Whether the mean of the later half of the rates is that of the earlier one: but for 5%, or for what
/// such means differ by (one standard error) when rates scatter as these do.
fn is_steady(rates: &[f64]) -> bool {
    let (earlier, later) = rates.split_at(rates.len() / 2);
    let (Some(a), Some(b)) = (mean(earlier), mean(later)) else { return false };
    let error =
        |half: &[f64]| standard_deviation(half).map_or(0.0, |it| it * it / half.len() as f64);
    let error = (error(earlier) + error(later)).sqrt();
    (b - a).abs() <= (STEADY * a).max(error)
}

impl WarmUp {
    /// Before `measure`.
    pub(super) fn new(measure: &Measure) -> Self {
        Self {
            least_batches: measure.warmup_batches,
            least_s: measure.warmup_s,
            window_s: measure.until_steady.then_some(measure.measure_s / WINDOWS),
            most_s: measure.warmup_s + measure.measure_s,
            began: None,
            rates: Vec::new(),
        }
    }

    /// Told before the first batch and after each of the first `batches`, at `now_s`, whether it is
    /// over: if so, whether the rate is steady.
    pub(super) fn over(&mut self, now_s: f64, batches: usize) -> Option<bool> {
        let enough = batches >= self.least_batches && now_s >= self.least_s;
        let Some(window_s) = self.window_s else { return enough.then_some(true) };
        // Windows begin with the first batch: until then the loader is being set up.
        if batches > 0 {
            let (began_s, before) = *self.began.get_or_insert((now_s, batches));
            if now_s - began_s >= window_s && batches > before {
                self.rates.push((batches - before) as f64 / (now_s - began_s));
                self.began = Some((now_s, batches));
            }
        }
        if !enough {
            return None;
        }
        let last = &self.rates[self.rates.len().saturating_sub(LAST)..];
        if last.len() == LAST && is_steady(last) {
            return Some(true);
        }
        // As far as so few slow batches tell.
        (now_s > self.most_s).then(|| last.len() >= LEAST_WINDOWS && is_steady(last))
    }
}

#[cfg(test)]
mod tests {
    use preproc::SampleRng;
    use rand::RngExt;

    use super::*;

    /// The batch after which the warm-up is over, and whether the rate is steady; `rate` is that at a
    /// time.
    fn over(measure_s: f64, rate: impl Fn(f64) -> f64) -> (usize, bool) {
        let measure = Measure {
            warmup_batches: 5,
            warmup_s: 0.1,
            until_steady: true,
            consumer: false,
            least_batches: 3,
            measure_s,
            rests: false,
        };
        let (mut warmup, mut now_s) = (WarmUp::new(&measure), 0.0);
        for batches in 0.. {
            if let Some(steady) = warmup.over(now_s, batches) {
                return (batches, steady);
            }
            now_s += 1.0 / rate(now_s);
        }
        unreachable!("it ends")
    }

    #[test]
    fn a_steady_rate_takes_six_windows() {
        let (batches, steady) = over(1.0, |_| 100.0);
        assert!(steady && (31..=38).contains(&batches), "{batches}");
    }

    #[test]
    fn noise_neither_hides_a_trend_nor_is_taken_for_one() {
        // Each batch takes up to 30% more or less; a window holds five of them.
        let share = |rate: &dyn Fn(f64) -> f64| {
            let early = (0..200).filter(|&seed| {
                let mut random = SampleRng::of_order(seed, 3);
                let noise = std::cell::RefCell::new(move || 0.7 + 0.6 * random.random::<f64>());
                over(1.0, |now_s| rate(now_s) * (noise.borrow_mut())()).0 < 55
            });
            early.count() as f64 / 200.0
        };
        // Steady ones are soon seen to be, rising ones mostly waited for.
        let (steady, rising) =
            (share(&|_| 100.0), share(&|now_s| 50.0 * (1.0 + 4.0 * now_s.min(0.7))));
        assert!(steady > 0.9 && rising < 0.3, "{steady} {rising}");
    }

    #[test]
    fn a_rate_that_rises_is_waited_for() {
        // Until 0.7 s; the batches before are left out.
        let (batches, steady) = over(1.0, |now_s| 100.0 * (1.0 + now_s.min(0.7)));
        assert!(steady && batches > 90, "{batches}");
    }

    #[test]
    fn one_that_never_ends_to_fall_is_given_up() {
        let (_, steady) = over(1.0, |now_s| 1000.0 * (-now_s).exp());
        assert!(!steady);
    }

    #[test]
    fn slow_batches_are_not_waited_for_longer_than_they_are_measured() {
        assert_eq!(over(1.0, |_| 0.5), (5, true));
        assert_eq!(over(1.0, |now_s| 0.5 + 0.1 * now_s), (5, false));
    }
}
