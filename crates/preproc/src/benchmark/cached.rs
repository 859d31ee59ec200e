//! Calls through a cache of results: hits and misses, told apart.

use std::any::Any;

use super::measure::{Batches, Calls};
use super::{CacheUse, ExecutionTime, Failure, Sample};
use crate::SampleRng;
use crate::cache::{ShapeCache, ShapeKey};

/// Results of transforms of any kind of value.
pub(super) type Results = ShapeCache<Box<dyn Any + Send>>;

/// Runs the batches again, each call through `results`: one with a shape already seen returns the
/// result that is kept, whatever the data.
///
/// # Errors
/// The first failure.
pub(super) fn measure<S: Sample>(
    calls: &mut Calls<'_, S>,
    batches: &Batches<'_, S>,
    results: &Results,
) -> Result<CacheUse, Failure> {
    let (mut hits, mut misses) = (Vec::new(), Vec::new());
    for number in 0..batches.iterations * batches.calls {
        let index = number % batches.samples.len();
        let sample = &batches.samples[index];
        let mut value = sample.fresh()?;
        let mut rng = SampleRng::new(calls.seed, 0, index as u64);
        let Calls { transform, clock, scratch, .. } = calls;
        // What failed or panicked was found by the calls before, without the cache.
        let (found, took_s) = clock.time(|| {
            let key = ShapeKey::of(*transform, sample);
            let kept = results.get(&key, |kept| kept.downcast_ref::<S>().map(S::share)).flatten();
            if let Some(kept) = kept {
                value = kept;
                return Ok(true);
            }
            transform.apply(&mut value, &mut rng, scratch)?;
            results.insert(key, Box::new(value.share()), value.bytes());
            Ok(false)
        });
        match found.map_err(Failure::Transform)? {
            true => hits.push(took_s),
            false => misses.push(took_s),
        }
    }
    Ok(CacheUse {
        hits: hits.len() as u64,
        misses: misses.len() as u64,
        hit: ExecutionTime::of(hits),
        miss: ExecutionTime::of(misses),
    })
}
