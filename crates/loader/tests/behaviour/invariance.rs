//! What a batch holds depends on data, seed, epoch and batch size, and never on workers, depth,
//! pinning or timing: byte for byte.

use std::fs;
use std::path::Path;

use loader::{Dataset, ImageFolder, Loader, Settings};
use preproc::transform::{HorizontalFlip, Normalize, RandomResizedCrop, ToTensor};
use preproc::{Compose, DecodeOptions, ImageTransform};
use proptest::prelude::*;

use crate::common::{Content, Noise, contents, in_repository, warnings_of, within_two_minutes};

const WORKERS: [usize; 5] = [0, 1, 2, 3, 5];
const DEPTHS: [usize; 4] = [1, 2, 3, 7];

fn epochs(data: impl Dataset, settings: Settings, epochs: [u64; 2]) -> Vec<Vec<Content>> {
    let mut loader = Loader::builder(data).settings(settings).build().unwrap();
    epochs.into_iter().map(|epoch| contents(loader.epoch(epoch))).collect()
}

/// What one thread loads, one sample after the other.
fn plain(settings: &Settings) -> Settings {
    Settings { num_workers: 0, prefetch_depth: 1, pin_memory: false, ..settings.clone() }
}

#[test]
fn workers_depth_and_pinning_change_nothing() {
    within_two_minutes(|| {
        const SAMPLES: usize = 53;
        for (shuffle, drop_last) in [(false, false), (false, true), (true, false), (true, true)] {
            let settings =
                Settings { batch_size: 8, shuffle, drop_last, seed: 7, ..Settings::default() };
            let expected = epochs(Noise { samples: SAMPLES }, plain(&settings), [3, 4]);
            let sizes: Vec<_> = expected[0].iter().map(|batch| batch.indices.len()).collect();
            let last = if drop_last { &[][..] } else { &[SAMPLES % 8] };
            assert_eq!(sizes, [&[8; SAMPLES / 8], last].concat());
            for num_workers in WORKERS {
                for prefetch_depth in DEPTHS {
                    for pin_memory in [false, true] {
                        let settings = Settings {
                            num_workers,
                            prefetch_depth,
                            pin_memory,
                            ..settings.clone()
                        };
                        // Without a GPU `pin_memory` has no effect, of which it warns.
                        let (got, _) = warnings_of(|| {
                            epochs(Noise { samples: SAMPLES }, settings.clone(), [3, 4])
                        });
                        assert!(got == expected, "{settings:?}");
                    }
                }
            }
        }
    });
}

#[test]
fn epochs_and_seeds_differ_and_runs_do_not() {
    let run = |seed| {
        let settings =
            Settings { batch_size: 8, num_workers: 2, shuffle: true, seed, ..Settings::default() };
        epochs(Noise { samples: 40 }, settings, [0, 1])
    };
    let first = run(1);
    assert_ne!(first[0], first[1]);
    assert_eq!(first, run(1));
    assert_ne!(first, run(2));
}

#[test]
fn without_shuffling_the_order_stays_but_the_draws_differ_by_epoch() {
    let settings = Settings { batch_size: 8, num_workers: 2, ..Settings::default() };
    let [first, second]: [Vec<Content>; 2] =
        epochs(Noise { samples: 20 }, settings, [0, 1]).try_into().unwrap();
    let order = |batches: &[Content]| batches.iter().flat_map(|b| b.indices.clone()).collect();
    let in_order: Vec<usize> = order(&first);
    assert_eq!(in_order, Vec::from_iter(0..20));
    assert_eq!(in_order, order(&second));
    assert_ne!(first, second);
}

/// An epoch, and how many of its batches are taken before the next step.
type Step = (u64, usize);

fn walk(samples: usize, settings: &Settings, steps: &[Step]) -> Vec<Vec<Content>> {
    let data = Noise { samples };
    let mut loader = Loader::builder(data).settings(settings.clone()).build().unwrap();
    steps.iter().map(|(epoch, take)| contents(loader.epoch(*epoch).take(*take))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_shrink_iters: 16, ..Default::default() })]

    /// Any walk through the epochs with any settings gives what a fresh loader without workers
    /// gives at each step.
    #[test]
    fn any_walk_gives_the_same(
        samples in 1usize..70,
        batch_size in 1usize..20,
        num_workers in 0usize..6,
        prefetch_depth in 1usize..6,
        io_threads in 0usize..3,
        pin_workers: bool,
        shuffle: bool,
        drop_last: bool,
        seed: u64,
        steps in proptest::collection::vec((0u64..3, 0usize..8), 1..6),
    ) {
        prop_assume!(!drop_last || samples >= batch_size);
        let settings = Settings {
            batch_size, num_workers, prefetch_depth, pin_memory: false, shuffle, drop_last, seed,
            io_threads, pin_workers,
        };
        let (taken, steps) = within_two_minutes({
            let settings = settings.clone();
            move || (walk(samples, &settings, &steps), steps)
        });
        for (step, batches) in steps.iter().zip(taken) {
            let fresh = walk(samples, &plain(&settings), &[*step]);
            prop_assert_eq!(&batches, &fresh[0]);
        }
    }
}

/// A folder of class folders with every kind of file that can be read here.
fn image_folder(root: &Path) {
    for from in ["tests/reference/inputs", "datasets/photos"] {
        for entry in fs::read_dir(in_repository(from)).unwrap() {
            let path = entry.unwrap().path();
            let Some(extension) = path.extension().filter(|e| *e != "md") else { continue };
            let class = root.join(extension);
            fs::create_dir_all(&class).unwrap();
            fs::copy(&path, class.join(path.file_name().unwrap())).unwrap();
        }
    }
}

#[test]
fn images_do_not_depend_on_workers_and_depth() {
    within_two_minutes(|| {
        let root = tempfile::tempdir().unwrap();
        image_folder(root.path());
        let open = || {
            let transforms = vec![
                ImageTransform::Decode,
                ImageTransform::RandomResizedCrop(RandomResizedCrop::new(48)),
                ImageTransform::HorizontalFlip(HorizontalFlip { p: 0.5 }),
                ImageTransform::ToTensor(ToTensor::default()),
                ImageTransform::Normalize(Normalize::IMAGENET),
            ];
            let compose = Compose::new(transforms, DecodeOptions::default()).unwrap();
            ImageFolder::open(root.path(), compose).unwrap()
        };
        assert_eq!(open().classes(), ["bmp", "jpg", "png", "webp"]);
        assert!(open().len() >= 40);
        let settings =
            Settings { batch_size: 7, shuffle: true, pin_memory: false, ..Settings::default() };
        let expected = epochs(open(), plain(&settings), [0, 1]);
        assert_ne!(expected[0], expected[1]);
        for (num_workers, prefetch_depth) in [(1, 1), (2, 3), (3, 2), (5, 1), (5, 7)] {
            let settings = Settings { num_workers, prefetch_depth, ..settings.clone() };
            assert!(epochs(open(), settings.clone(), [0, 1]) == expected, "{settings:?}");
        }
    });
}
