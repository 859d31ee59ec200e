//! Samples of a session of any length in a bounded room.

use std::sync::Arc;

use crate::resources::ResourceSample;

/// The first sample, the latest, and evenly spaced ones between: when the room is full, every
/// second one is left out, and from then on only every second one is kept.
#[derive(Debug)]
pub(super) struct History {
    /// At least 2, or 0 to keep nothing.
    room: usize,
    /// One in so many is kept.
    stride: u64,
    seen: u64,
    /// Those whose number is a multiple of `stride`.
    kept: Vec<Arc<ResourceSample>>,
    /// The latest, if it is not among them.
    latest: Option<Arc<ResourceSample>>,
}

impl History {
    /// Room for `room` samples; for none if there is none for the first and the latest.
    pub(super) fn new(room: usize) -> Self {
        let room = if room < 2 { 0 } else { room };
        Self { room, stride: 1, seen: 0, kept: Vec::new(), latest: None }
    }

    pub(super) fn push(&mut self, sample: Arc<ResourceSample>) {
        let number = self.seen;
        self.seen += 1;
        if self.room == 0 {
            return;
        }
        // One place is for the latest.
        if number.is_multiple_of(self.stride) && self.kept.len() + 1 >= self.room {
            self.stride *= 2;
            let mut place = 0;
            self.kept.retain(|_| {
                place += 1;
                place % 2 == 1
            });
        }
        if number.is_multiple_of(self.stride) {
            self.kept.push(sample);
            self.latest = None;
        } else {
            self.latest = Some(sample);
        }
    }

    /// What is kept, in order of time.
    pub(super) fn samples(&self) -> Vec<ResourceSample> {
        self.kept.iter().chain(&self.latest).map(|sample| (**sample).clone()).collect()
    }

    /// How many were left out so far.
    pub(super) fn dropped(&self) -> u64 {
        self.seen - self.kept.len() as u64 - u64::from(self.latest.is_some())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn history(room: usize, samples: u64) -> History {
        let mut history = History::new(room);
        for number in 0..samples {
            let at_s = number as f64;
            history.push(Arc::new(ResourceSample { at_s, ..Default::default() }));
        }
        history
    }

    proptest! {
        #[test]
        fn it_is_bounded_even_ordered_and_keeps_both_ends(
            room in 0usize..40,
            samples in 0u64..2000,
        ) {
            let history = history(room, samples);
            let times: Vec<f64> = history.samples().iter().map(|sample| sample.at_s).collect();
            prop_assert!(times.len() <= room);
            prop_assert_eq!(history.dropped(), samples - times.len() as u64);
            prop_assert!(times.is_sorted_by(|a, b| a < b));
            if room >= 2 && samples > 0 {
                prop_assert_eq!(times[0], 0.0);
                prop_assert_eq!(times.last().copied(), Some((samples - 1) as f64));
                // Never thinner than it must be.
                prop_assert!(times.len() as u64 >= samples.min(room as u64 / 2));
                let steps: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
                let even = steps.first().copied().unwrap_or(1.0);
                prop_assert!(steps.iter().rev().skip(1).all(|step| *step == even));
            }
        }
    }

    #[test]
    fn a_million_samples_take_no_more_room_than_a_few() {
        let history = history(1000, 1_000_000);
        assert!(history.kept.capacity() <= 1024);
        assert_eq!(history.samples().len() as u64 + history.dropped(), 1_000_000);
    }
}
