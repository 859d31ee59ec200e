//! Tar shards: the index, and the images it finds.

use std::fs;
use std::path::{Path, PathBuf};

use loader::Dataset;
use loader::datasets::TarShards;
use loader::datasets::tar::{Label, TarOptions};
use preproc::transform::{Resize, ResizeSize, ToTensor};
use preproc::{Compose, DecodeOptions, ImageTransform, SampleRng};
use rand::RngExt;

use crate::arrays::{assert_names, load};
use crate::images::MAX_PIXELS;
use crate::mutate::pick;
use crate::runner::State;

pub(crate) struct Shard {
    path: PathBuf,
    compose: Compose,
}

impl State for Shard {
    fn new(folder: &Path) -> Self {
        let resize = ImageTransform::Resize(Resize { size: ResizeSize::Exact([8, 8]) });
        let transforms =
            vec![ImageTransform::Decode, resize, ImageTransform::ToTensor(ToTensor::default())];
        let options = DecodeOptions { max_pixels: MAX_PIXELS, ..DecodeOptions::default() };
        let compose = Compose::new(transforms, options).unwrap();
        Self { path: folder.join("x.tar"), compose }
    }

    fn check(&mut self, file: &[u8], rng: &mut SampleRng) -> bool {
        fs::write(&self.path, file).unwrap();
        let json = || Label::Json("label".to_owned());
        let options = TarOptions {
            label: if rng.random() { Label::Cls } else { json() },
            image: pick(&[None, Some("png".to_owned())], rng).clone(),
        };
        let opened = TarShards::open_with(self.path.as_path(), &options, self.compose.clone());
        let data = match opened {
            Ok(data) => data,
            Err(error) => {
                assert_names(error, &self.path);
                return false;
            }
        };
        assert_eq!(data.shards(), std::slice::from_ref(&(0..data.len())));
        // Each sample takes at least two members, and each member a block.
        assert!((1..=file.len() / 1024).contains(&data.len()));
        for index in [0, data.len() - 1, rng.random_range(0..data.len())] {
            let origin = data.origin(index).unwrap();
            assert!(origin.contains(data.key(index)), "{origin}");
            if let Ok(sample) = load(&data, index) {
                assert!(sample.get::<f32>(0).iter().all(|value| (0.0..=1.0).contains(value)));
                assert!(sample.get::<i64>(1)[0] >= 0);
            }
        }
        true
    }
}
