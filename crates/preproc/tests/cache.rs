//! The shape-keyed cache: what it keeps, what it throws out, and from many threads.

use std::sync::atomic::{AtomicU64, Ordering};

use preproc::cache::{CacheStats, ShapeCache, ShapeKey};
use proptest::prelude::*;
use tch::{Device, Kind};

fn key(side: i64) -> ShapeKey {
    ShapeKey {
        transform: "resize".to_owned(),
        parameters: "size = 8".to_owned(),
        dtype: Kind::Uint8,
        device: Device::Cpu,
        shape: vec![side, 4, 3],
    }
}

#[test]
fn every_part_of_the_key_counts() {
    let cache = ShapeCache::default();
    cache.insert(key(1), 1, 1);
    let others = [
        ShapeKey { transform: "crop".to_owned(), ..key(1) },
        ShapeKey { parameters: "size = 9".to_owned(), ..key(1) },
        ShapeKey { dtype: Kind::Float, ..key(1) },
        ShapeKey { device: Device::Cuda(0), ..key(1) },
        ShapeKey { shape: vec![4, 1, 3], ..key(1) },
    ];
    for other in others {
        assert_eq!(cache.get(&other, |value| *value), None, "{other:?}");
    }
    assert_eq!(cache.get(&key(1), |value| *value), Some(1));
}

#[test]
fn without_room_nothing_is_kept() {
    for cache in [ShapeCache::new(0, 100), ShapeCache::new(100, 7)] {
        cache.insert(key(1), (), 8);
        assert_eq!(cache.get(&key(1), |()| ()), None);
        let stats = cache.stats();
        assert_eq!((stats.entries, stats.bytes, stats.misses, stats.evictions), (0, 0, 1, 1));
    }
    let no_entries = ShapeCache::new(0, 100);
    no_entries.insert(key(1), (), 0);
    assert_eq!(no_entries.stats().entries, 0);
}

#[test]
fn the_least_recently_used_goes_first() {
    let cache = ShapeCache::new(2, 100);
    cache.insert(key(1), 1, 10);
    cache.insert(key(2), 2, 10);
    assert_eq!(cache.get(&key(1), |value| *value), Some(1));
    cache.insert(key(3), 3, 10);
    let kept = [1, 2, 3].map(|side| cache.get(&key(side), |value| *value));
    assert_eq!(kept, [Some(1), None, Some(3)]);
}

#[test]
fn a_value_that_panics_while_it_is_read_stays() {
    let cache = ShapeCache::default();
    cache.insert(key(1), 1, 1);
    let read = std::panic::AssertUnwindSafe(|| cache.get(&key(1), |_: &i32| panic!("on purpose")));
    assert!(std::panic::catch_unwind(read).is_err());
    assert_eq!(cache.get(&key(1), |value| *value), Some(1));
}

/// The same as plainly as can be: the most recently used last.
#[derive(Default)]
struct Model {
    kept: Vec<(i64, u32, u64)>,
    stats: CacheStats,
}

impl Model {
    fn get(&mut self, side: i64) -> Option<u32> {
        let place = self.kept.iter().position(|(kept, ..)| *kept == side);
        match place {
            Some(_) => self.stats.hits += 1,
            None => self.stats.misses += 1,
        }
        let found = self.kept.remove(place?);
        self.kept.push(found);
        Some(found.1)
    }

    fn insert(&mut self, side: i64, value: u32, bytes: u64, cache_size: usize, max_bytes: u64) {
        if bytes > max_bytes || cache_size == 0 {
            self.stats.evictions += 1;
            return;
        }
        self.kept.retain(|(kept, ..)| *kept != side);
        let held = |kept: &[(i64, u32, u64)]| kept.iter().map(|(.., bytes)| bytes).sum::<u64>();
        while held(&self.kept) + bytes > max_bytes || self.kept.len() == cache_size {
            self.kept.remove(0);
            self.stats.evictions += 1;
        }
        self.kept.push((side, value, bytes));
        self.stats.entries = self.kept.len();
        self.stats.bytes = held(&self.kept);
    }
}

proptest! {
    #[test]
    fn it_does_what_a_plain_list_does(
        cache_size in 0_usize..5,
        max_bytes in 0_u64..40,
        steps in prop::collection::vec((0_i64..6, prop::option::of(0_u64..20)), 0..80),
    ) {
        let (cache, mut model) = (ShapeCache::new(cache_size, max_bytes), Model::default());
        for (number, (side, insert)) in (0..).zip(steps) {
            match insert {
                Some(bytes) => {
                    cache.insert(key(side), number, bytes);
                    model.insert(side, number, bytes, cache_size, max_bytes);
                }
                None => prop_assert_eq!(cache.get(&key(side), |value| *value), model.get(side)),
            }
            prop_assert_eq!(cache.stats(), model.stats);
            prop_assert!(cache.stats().entries <= cache_size && cache.stats().bytes <= max_bytes);
        }
    }
}

#[test]
fn many_threads_share_it() {
    const THREADS: i64 = 8;
    const CALLS: i64 = 2_000;
    let cache = ShapeCache::new(10, 1_000);
    let found = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (cache, found) = (&cache, &found);
            scope.spawn(move || {
                for call in 0..CALLS {
                    let side = (thread + call) % 20;
                    match cache.get(&key(side), |value| *value) {
                        // Never the value of another key.
                        Some(value) => {
                            assert_eq!(value, side);
                            found.fetch_add(1, Ordering::Relaxed);
                        }
                        None => cache.insert(key(side), side, 50),
                    }
                }
            });
        }
    });
    let stats = cache.stats();
    assert_eq!(stats.hits, found.into_inner());
    assert_eq!(stats.hits + stats.misses, (THREADS * CALLS) as u64);
    assert!(stats.entries <= 10 && stats.bytes == 50 * stats.entries as u64);
}
