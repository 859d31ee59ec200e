//! How the machine changed during the sweep: the rate of the setting that is run in every block, when it
//! was run.

use profiler::report::page::Axis;
use profiler::statistics::median;

use super::scale;
use crate::drawing::{Anchor, Drawing, Ground, Ink, Style};
use crate::sweep::summary::Summary;
use crate::sweep::words::whole;

const SIZE: (f64, f64) = (760.0, 250.0);
const LEFT: f64 = 84.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 46.0;
const BOTTOM: f64 = 60.0;

/// The drawing; `None` where it was not noted when the runs were.
pub(crate) fn draw(summary: &Summary, ground: Ground) -> Option<String> {
    let drift = summary.drift.as_ref().filter(|drift| !drift.at_s.is_empty())?;
    let (right, bottom) = (SIZE.0 - RIGHT, SIZE.1 - BOTTOM);
    let x = Axis::of_time(drift.at_s.iter().copied().fold(0.0, f64::max));
    let y = Axis::up_to(drift.samples_per_s.iter().copied().fold(0.0, f64::max), 4);
    let place = |at_s: f64, rate: f64| {
        (LEFT + (right - LEFT) * x.share(at_s), bottom - (bottom - TOP) * y.share(rate))
    };
    let mut drawing = Drawing::new(ground);
    let label = Style::new(12.5, Ink::Muted, Anchor::Middle);
    let title = format!("Samples/s of {}", drift.cell);
    let start = Style { anchor: Anchor::Start, ink: Ink::Title, ..label };
    drawing.text(&title, (LEFT, 22.0), start.bold());
    scale(&mut drawing, &y, [LEFT, TOP, right, bottom]);
    for (at_s, text) in &x.ticks {
        drawing.text(text, (place(*at_s, 0.0).0, bottom + 16.0), label);
    }
    let axis = "time since the sweep began, without pauses";
    drawing.text(axis, ((LEFT + right) / 2.0, bottom + 42.0), label);
    let middle = median(&drift.samples_per_s)?;
    drawing.line(&[place(0.0, middle), place(x.max, middle)], Ink::Muted, 1.0);
    let runs = || drift.at_s.iter().copied().zip(drift.samples_per_s.iter().copied());
    let points: Vec<(f64, f64)> = runs().map(|(at_s, rate)| place(at_s, rate)).collect();
    drawing.line(&points, Ink::Line(0), 1.75);
    for (block, (at_s, rate)) in runs().enumerate() {
        let off = 100.0 * (rate / middle - 1.0);
        let about =
            format!("run {}: {} samples/s, {off:+.1}% from the median", block + 1, whole(rate));
        drawing.dot(place(at_s, rate), 4.5, Ink::Line(0), true, &about);
    }
    Some(drawing.finish(SIZE, "Samples per second of the default setting over the sweep"))
}

#[cfg(test)]
mod tests {
    use super::super::super::cell::tests::cell;
    use super::super::super::drift::Drift;
    use super::super::super::explain::tests::summary;
    use super::*;

    #[test]
    fn there_is_a_dot_for_each_run_where_it_is_known_when_it_was() {
        let mut summary = summary(vec![cell(2, 2, 100.0)]);
        assert_eq!(draw(&summary, Ground::Page), None);
        let mut drift = Drift {
            cell: summary.default,
            samples_per_s: vec![100.0, 110.0, 95.0],
            at_s: Vec::new(),
            spread: 0.15,
            change: -0.05,
            interval: None,
        };
        summary.drift = Some(drift.clone());
        assert_eq!(draw(&summary, Ground::Page), None);
        drift.at_s = vec![2.0, 30.0, 61.0];
        summary.drift = Some(drift);
        let svg = draw(&summary, Ground::Page).unwrap();
        assert_eq!(svg.matches("<circle").count(), 3);
        for part in ["2 workers, prefetch depth 2", "run 2: 110 samples/s, +10.0%", ">20 s<"] {
            assert!(svg.contains(part), "`{part}` is not in {svg}");
        }
    }
}
