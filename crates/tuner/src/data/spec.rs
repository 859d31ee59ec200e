//! What one image shall be, drawn before a pixel is touched.
//!
//! The shares and ranges below are the recipe. They give ImageNet's statistics: most photographs
//! were scaled to a long side of 500 pixels by the site they come from, some are thumbnails, a few
//! are as the camera made them. Only integers and plain sums and products of floats are used,
//! so that a (seed, index) is the same image on every machine.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// The version of the recipe: any change to what a (seed, index) becomes is a new one.
pub(super) const RECIPE: &str = "imagenet-like 1";

/// The light a photograph is shown in: together with the photograph, the class of an image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Light {
    /// Warm and bright.
    Day,
    /// Cool and dim.
    Dusk,
}

impl Light {
    pub(super) const ALL: [Self; 2] = [Self::Day, Self::Dusk];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Dusk => "dusk",
        }
    }
}

/// The drawn properties of one image.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Spec {
    /// Which photograph it is cut from.
    pub(super) photo: usize,
    pub(super) light: Light,
    /// In pixels.
    pub(super) width: u32,
    /// In pixels.
    pub(super) height: u32,
    pub(super) crop: Crop,
    /// Mirrored left to right.
    pub(super) flip: bool,
    pub(super) colour: Colour,
    /// Standard deviation of the sensor noise in mid-grey, in units of 0 to 255.
    pub(super) noise: f32,
    /// Of the JPEG file, 90 to 96.
    pub(super) quality: i32,
    /// One channel instead of three.
    pub(super) grey: bool,
    pub(super) progressive: bool,
}

/// The part of the photograph that is shown, in its pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Crop {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// How colours are changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Colour {
    /// Factors of red, green and blue: the light's colour.
    pub(super) gains: [f32; 3],
    /// Added to all, in units of 0 to 255.
    pub(super) brightness: f32,
    /// Distance from mid-grey is multiplied by it.
    pub(super) contrast: f32,
    /// Distance from the pixel's own grey is multiplied by it.
    pub(super) saturation: f32,
    /// Rotation of the colour circle, in radians; small.
    pub(super) hue: f32,
}

/// Long and short side of the usual sizes, and how many in a thousand have them.
const SIZES: [(u32, u32, u32); 13] = [
    (430, 500, 375),
    (160, 500, 333),
    (30, 500, 334),
    (30, 500, 332),
    (25, 500, 357),
    (50, 500, 400),
    (25, 500, 281),
    (30, 500, 500),
    (25, 640, 480),
    (30, 400, 300),
    (10, 400, 267),
    (20, 320, 240),
    // Long side 500 and whatever shape its owner cut it to: the short side is drawn.
    (135, 500, 0),
];

/// Long and short side of the few that nobody scaled down; all are as frequent.
const LARGE_SIZES: [(u32, u32); 6] =
    [(1024, 768), (1024, 683), (1280, 960), (1600, 1200), (1600, 1067), (2000, 1500)];

impl Spec {
    /// Draws image `index` of the set of `seed`, cut from one of the photographs whose widths and
    /// heights are `photos`.
    ///
    /// Photograph and light follow from the index alone, so that all classes are equally frequent.
    pub(super) fn draw(seed: u64, index: usize, photos: &[(u32, u32)]) -> Self {
        let photo = index % photos.len();
        let light = Light::ALL[index / photos.len() % Light::ALL.len()];
        let mut draw = Draw(generator(seed, index));
        let (width, height) = draw.size();
        Self {
            photo,
            light,
            width,
            height,
            crop: draw.crop((width, height), photos[photo]),
            flip: draw.chance(500),
            colour: draw.colour(light),
            noise: draw.noise(light),
            quality: draw.quality(),
            grey: draw.chance(15),
            progressive: draw.chance(20),
        }
    }
}

/// The generator of image `index`: its key is the two numbers.
pub(super) fn generator(seed: u64, index: usize) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&(index as u64).to_le_bytes());
    key[16..16 + RECIPE.len()].copy_from_slice(RECIPE.as_bytes());
    ChaCha8Rng::from_seed(key)
}

struct Draw(ChaCha8Rng);

impl Draw {
    /// 0 to `n - 1`.
    fn below(&mut self, n: u32) -> u32 {
        ((u64::from(self.0.next_u32()) * u64::from(n)) >> 32) as u32
    }

    /// True `per_mille` times in a thousand.
    fn chance(&mut self, per_mille: u32) -> bool {
        self.below(1000) < per_mille
    }

    /// Uniform, from `low` up to but not including `high`.
    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * (f64::from(self.0.next_u32()) / 4_294_967_296.0)
    }

    fn size(&mut self) -> (u32, u32) {
        match self.below(1000) {
            0..65 => return (110 + self.below(81), 110 + self.below(81)),
            65..79 => {
                let (long, short) = LARGE_SIZES[self.below(LARGE_SIZES.len() as u32) as usize];
                return self.turned(long, short);
            }
            _ => {}
        }
        let mut rest = self.below(1000);
        for (share, long, short) in SIZES {
            if rest < share {
                let short = if short == 0 { 300 + self.below(180) } else { short };
                return self.turned(long, short);
            }
            rest -= share;
        }
        (500, 375)
    }

    /// Three in ten stand upright.
    fn turned(&mut self, long: u32, short: u32) -> (u32, u32) {
        if self.chance(300) { (short, long) } else { (long, short) }
    }

    /// A part of the photograph with the shape of the image.
    ///
    /// Detail is what makes a file as large as a photograph's, so where the photograph allows it, the
    /// part has at least 0.8 times the image's width: little is enlarged.
    fn crop(&mut self, image: (u32, u32), photo: (u32, u32)) -> Crop {
        let (image_width, image_height) = (f64::from(image.0), f64::from(image.1));
        let (photo_width, photo_height) = (f64::from(photo.0), f64::from(photo.1));
        let widest = photo_width.min(photo_height * image_width / image_height);
        let narrowest = (0.4 * widest).max(0.8 * image_width).min(0.8 * widest);
        // Sixteenths of a pixel: their sums are exact, so nothing ever reaches over the edge.
        let sixteenths = |x: f64| (x * 16.0).floor() / 16.0;
        let width = sixteenths(self.between(narrowest, widest));
        let height = sixteenths((width * image_height / image_width).min(photo_height));
        Crop {
            left: sixteenths(self.between(0.0, photo_width - width)),
            top: sixteenths(self.between(0.0, photo_height - height)),
            width,
            height,
        }
    }

    fn colour(&mut self, light: Light) -> Colour {
        let (gains, brightness) = match light {
            Light::Day => ([1.08, 1.02, 0.92], 8.0),
            Light::Dusk => ([0.72, 0.82, 0.98], -6.0),
        };
        Colour {
            gains: gains.map(|gain| (gain * self.between(0.95, 1.05)) as f32),
            brightness: (brightness + self.between(-12.0, 12.0)) as f32,
            contrast: self.between(0.88, 1.15) as f32,
            saturation: self.between(0.8, 1.2) as f32,
            hue: self.between(-0.12, 0.12) as f32,
        }
    }

    /// 90 to 96, more often high than low: the best of three throws.
    fn quality(&mut self) -> i32 {
        let best = (0..3).map(|_| self.below(7)).max().unwrap_or(6);
        90 + best as i32
    }

    fn noise(&mut self, light: Light) -> f32 {
        let least = match light {
            Light::Day => 3.0,
            Light::Dusk => 3.5,
        };
        (least + self.between(0.0, 5.5)) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHOTOS: [(u32, u32); 3] = [(640, 427), (451, 300), (1000, 872)];

    fn specs(images: usize) -> Vec<Spec> {
        (0..images).map(|index| Spec::draw(7, index, &PHOTOS)).collect()
    }

    fn share(specs: &[Spec], is: impl Fn(&Spec) -> bool) -> f64 {
        specs.iter().filter(|spec| is(spec)).count() as f64 / specs.len() as f64
    }

    fn mean(specs: &[Spec], of: impl Fn(&Spec) -> f64) -> f64 {
        specs.iter().map(of).sum::<f64>() / specs.len() as f64
    }

    #[test]
    fn the_sizes_are_those_of_imagenet() {
        let specs = specs(20_000);
        let width = mean(&specs, |s| f64::from(s.width));
        let height = mean(&specs, |s| f64::from(s.height));
        let pixels = mean(&specs, |s| f64::from(s.width * s.height));
        assert!((440.0..460.0).contains(&width), "{width}");
        assert!((385.0..405.0).contains(&height), "{height}");
        assert!((180_000.0..200_000.0).contains(&pixels), "{pixels}");
        let long_side_500 = share(&specs, |s| s.width.max(s.height) == 500);
        assert!((0.75..0.90).contains(&long_side_500), "{long_side_500}");
        let small = share(&specs, |s| s.width.max(s.height) <= 190);
        assert!((0.06..0.08).contains(&small), "{small}");
        let large = share(&specs, |s| s.width.max(s.height) >= 1024);
        assert!((0.008..0.016).contains(&large), "{large}");
        assert_eq!(specs.iter().map(|s| s.width).max(), Some(2000));
        assert_eq!(SIZES.iter().map(|size| size.0).sum::<u32>(), 1000);
    }

    #[test]
    fn the_shares_of_grey_and_progressive_files_are_those_of_imagenet() {
        let specs = specs(20_000);
        let grey = share(&specs, |s| s.grey);
        let progressive = share(&specs, |s| s.progressive);
        assert!((0.01..0.02).contains(&grey), "{grey}");
        assert!((0.017..0.023).contains(&progressive), "{progressive}");
        assert!(specs.iter().all(|s| (90..=96).contains(&s.quality)));
    }

    #[test]
    fn every_crop_lies_within_its_photograph_and_has_the_shape_of_the_image() {
        for spec in specs(20_000) {
            let (photo, crop) = (PHOTOS[spec.photo], spec.crop);
            assert!(crop.left >= 0.0 && crop.left + crop.width <= f64::from(photo.0), "{spec:?}");
            assert!(crop.top >= 0.0 && crop.top + crop.height <= f64::from(photo.1), "{spec:?}");
            let stretch = crop.width / crop.height * f64::from(spec.height) / f64::from(spec.width);
            assert!((0.99..1.01).contains(&stretch), "{spec:?}");
        }
    }

    #[test]
    fn classes_are_equally_frequent() {
        let specs = specs(600);
        for photo in 0..PHOTOS.len() {
            for light in Light::ALL {
                let of_class = |s: &&Spec| s.photo == photo && s.light == light;
                assert_eq!(specs.iter().filter(of_class).count(), 100);
            }
        }
    }

    #[test]
    fn the_key_decides_the_draw() {
        let draw = |seed, index| Spec { photo: 0, ..Spec::draw(seed, index, &PHOTOS[..1]) };
        assert_eq!(draw(1, 2), draw(1, 2));
        assert_ne!(draw(1, 2), draw(2, 1));
        assert_ne!(draw(1, 2), draw(1, 4));
    }
}
