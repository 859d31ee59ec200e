//! Scales with round numbers.

use crate::report::human;

/// From 0 to `max`, with round numbers to read it by.
pub struct Axis {
    /// Where it ends.
    pub max: f64,
    /// Place on the axis, and what is written there.
    pub ticks: Vec<(f64, String)>,
}

impl Axis {
    /// Up to at least `top`, with about `count` ticks.
    pub fn up_to(top: f64, count: usize) -> Self {
        let step = step(top, count);
        let last = (top / step - 1e-9).ceil().max(1.0);
        let decimals = (-step.log10().floor()).clamp(0.0, 6.0) as usize;
        let ticks = (0..=last as usize)
            .map(|tick| tick as f64 * step)
            .map(|value| (value, human::number(value, decimals)));
        Self { max: last * step, ticks: ticks.collect() }
    }

    /// From 0 to `seconds` exactly, in seconds, minutes or hours.
    pub fn of_time(seconds: f64) -> Self {
        let seconds = if seconds > 0.0 && seconds.is_finite() { seconds } else { 1.0 };
        let (unit, name) = match seconds {
            s if s < 0.5 => (1e-3, "ms"),
            s if s <= 180.0 => (1.0, "s"),
            s if s <= 10_800.0 => (60.0, "min"),
            _ => (3600.0, "h"),
        };
        let step = step(seconds / unit, 6);
        let decimals = (-step.log10().floor()).clamp(0.0, 6.0) as usize;
        let count = (seconds / unit / step + 1e-9).floor() as usize;
        let ticks = (0..=count)
            .map(|tick| tick as f64 * step)
            .map(|value| (value * unit, format!("{} {name}", human::number(value, decimals))));
        Self { max: seconds, ticks: ticks.collect() }
    }

    /// The share of the axis at which `value` lies, 0 to 1.
    pub fn share(&self, value: f64) -> f64 {
        (value / self.max).clamp(0.0, 1.0)
    }
}

/// The round number (1, 2 or 5 times a power of ten) that cuts `top` in about `count` parts.
fn step(top: f64, count: usize) -> f64 {
    let rough = top / count.max(1) as f64;
    if !(rough > 0.0 && rough.is_finite()) {
        return 1.0;
    }
    let power = 10f64.powf(rough.log10().floor());
    let times = [1.0, 2.0, 5.0, 10.0].into_iter().find(|times| times * power >= rough * 0.999);
    times.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, text)| text.as_str()).collect()
    }

    #[test]
    fn axes_have_round_numbers() {
        assert_eq!(ticks(&Axis::up_to(100.0, 5)), ["0", "20", "40", "60", "80", "100"]);
        assert_eq!(ticks(&Axis::up_to(0.0, 4)), ["0", "1"]);
        assert_eq!(ticks(&Axis::up_to(1830.0, 4)), ["0", "500", "1,000", "1,500", "2,000"]);
        assert_eq!(ticks(&Axis::up_to(0.37, 4)), ["0.0", "0.1", "0.2", "0.3", "0.4"]);
        assert_eq!(ticks(&Axis::of_time(12.3)), ["0 s", "5 s", "10 s"]);
        assert_eq!(ticks(&Axis::of_time(600.0)).last(), Some(&"10 min"));
        assert_eq!(ticks(&Axis::of_time(f64::NAN)).first(), Some(&"0.0 s"));
    }
}
