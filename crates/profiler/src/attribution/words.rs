//! A pipeline's attribution in one sentence, and numbers as people read them.

use super::{Attribution, StationAttribution, Verdict};

impl Attribution {
    /// What limits, by how much, and what would be next.
    pub(super) fn say(&self) -> String {
        let (station, stage) = self.limiting();
        let percent = |share: f64| format!("{:.0}%", 100.0 * share);
        let rate = per_second(self.items_per_s);
        let waits = percent(self.wait_share);
        let busy = |station: &StationAttribution| {
            format!("{} busy {}", plural(station.threads, "thread"), percent(station.utilization))
        };
        match self.verdict {
            Verdict::NotInputBound => format!(
                "The consumer waits for data {waits} of its time: it sets the pace itself, {rate} \
                 items/s. The busiest station, `{}` ({}), keeps up.",
                self.busiest().name,
                busy(self.busiest()),
            ),
            Verdict::Ambiguous => format!(
                "The consumer waits {waits} of its time although something was ready for it {} of \
                 the time: it waits for something else than data, such as a core. The busiest \
                 station is `{}`.",
                percent(self.queue_readiness.unwrap_or(0.0)),
                self.busiest().name,
            ),
            Verdict::ModeratelyInputBound | Verdict::HighlyInputBound => {
                let between = stage.interval.map_or(String::new(), |[low, high]| {
                    format!(" ({:.0} to {:.0}%)", 100.0 * low, 100.0 * high)
                });
                format!(
                    "The consumer waits for data {waits} of its time, at {rate} items/s. `{}` in \
                     `{}` ({}) limits: if it took none the loop would take {}{between} less time, \
                     and `{}` would limit.",
                    stage.name,
                    station.name,
                    busy(station),
                    percent(stage.optimization_potential),
                    stage.next_limiter,
                )
            }
        }
    }

    fn busiest(&self) -> &StationAttribution {
        let station = &self.stations[self.limiting_station];
        self.stations.iter().fold(station, |busiest, station| {
            if station.utilization > busiest.utilization { station } else { busiest }
        })
    }
}

/// A number of things, in words.
pub(crate) fn plural(count: usize, thing: &str) -> String {
    if count == 1 { format!("1 {thing}") } else { format!("{count} {thing}s") }
}

/// A rate for people: three digits at least, thousands apart.
pub(crate) fn per_second(rate: f64) -> String {
    if rate < 9.995 {
        return format!("{rate:.2}");
    }
    if rate < 99.95 {
        return format!("{rate:.1}");
    }
    let digits = format!("{rate:.0}");
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
