//! A series of any length in a bounded room.

/// The first element, the latest, and evenly spaced ones between: when the room is full, every
/// second one is left out, and from then on only every second one is kept.
#[derive(Clone, Debug)]
pub(crate) struct Thinned<T> {
    /// At least 2, or 0 to keep nothing.
    room: usize,
    /// One in so many is kept.
    stride: u64,
    seen: u64,
    /// Those whose number is a multiple of `stride`.
    kept: Vec<T>,
    /// The latest, if it is not among them.
    latest: Option<T>,
}

impl<T> Thinned<T> {
    /// Room for `room` elements; for none if there is none for the first and the latest.
    pub(crate) fn new(room: usize) -> Self {
        let room = if room < 2 { 0 } else { room };
        Self { room, stride: 1, seen: 0, kept: Vec::new(), latest: None }
    }

    pub(crate) fn push(&mut self, element: T) {
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
            self.kept.push(element);
            self.latest = None;
        } else {
            self.latest = Some(element);
        }
    }

    /// What is kept, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.kept.iter().chain(&self.latest)
    }

    /// How many were left out so far.
    pub(crate) fn dropped(&self) -> u64 {
        self.seen - self.kept.len() as u64 - u64::from(self.latest.is_some())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_bounded_even_and_keeps_both_ends(room in 0usize..40, length in 1u64..2000) {
            let mut series = Thinned::new(room);
            (0..length).for_each(|number| series.push(number));
            let kept: Vec<u64> = series.iter().copied().collect();
            prop_assert!(kept.len() <= room);
            prop_assert_eq!(series.dropped(), length - kept.len() as u64);
            if room < 2 {
                return Ok(());
            }
            prop_assert_eq!((kept[0], kept[kept.len() - 1]), (0, length - 1));
            // Never thinner than it must be.
            prop_assert!(kept.len() as u64 >= length.min(room as u64 / 2));
            let steps: Vec<u64> = kept.windows(2).map(|pair| pair[1] - pair[0]).collect();
            prop_assert!(steps.iter().rev().skip(1).all(|step| *step == steps[0]));
        }
    }
}
