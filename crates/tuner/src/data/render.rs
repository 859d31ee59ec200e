//! From the specification of an image to the bytes of its JPEG file.

use std::error::Error;

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use rand_chacha::rand_core::Rng;
use turbojpeg::{Compressor, PixelFormat, Subsamp, compressed_buf_len};

use super::DataError;
use super::photos::Photo;
use super::spec::{Colour, Crop, Spec, generator};

/// Makes one image after the other, in memory that it keeps. Each thread has its own.
#[derive(Default)]
pub(super) struct Renderer {
    resizer: Resizer,
    compressor: Option<Compressor>,
    pixels: Vec<u8>,
    noise: Vec<u8>,
    jpeg: Vec<u8>,
}

impl Renderer {
    /// The JPEG file of image `index` of the set of `seed`, cut from `photo`.
    ///
    /// # Errors
    ///
    /// None is expected: if libjpeg-turbo or the resampler cannot do their work, say for want of
    /// memory.
    pub(super) fn render(
        &mut self,
        seed: u64,
        index: usize,
        spec: &Spec,
        photo: &Photo,
    ) -> Result<&[u8], DataError> {
        let (width, height) = (spec.width as usize, spec.height as usize);
        self.pixels.resize(width * height * 3, 0);
        self.cut(spec, photo).map_err(|source| DataError::Resize { index, source })?;
        if spec.flip {
            for row in self.pixels.chunks_exact_mut(width * 3) {
                row.as_chunks_mut::<3>().0.reverse();
            }
        }
        self.noise.resize(width * height * 4, 0);
        let mut generator = generator(seed, index);
        generator.set_stream(1); // Stream 0 drew the specification.
        generator.fill_bytes(&mut self.noise);
        develop(&mut self.pixels, &self.noise, spec);
        self.encode(spec).map_err(|source| DataError::Encode { index, source })
    }

    /// Cuts and resizes, antialiased.
    fn cut(&mut self, spec: &Spec, photo: &Photo) -> Result<(), Box<dyn Error + Send + Sync>> {
        let Crop { left, top, width, height } = spec.crop;
        let options = ResizeOptions::new()
            .resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom))
            .crop(left, top, width, height);
        // Typed: `resize` would be compiled for every type of pixel there is, which takes minutes.
        let source = TypedImageRef::<U8x3>::from_buffer(photo.width, photo.height, &photo.pixels)?;
        let mut target =
            TypedImage::<U8x3>::from_buffer(spec.width, spec.height, &mut self.pixels)?;
        Ok(self.resizer.resize_typed(&source, &mut target, &options)?)
    }

    fn encode(&mut self, spec: &Spec) -> Result<&[u8], turbojpeg::Error> {
        let (width, height) = (spec.width as usize, spec.height as usize);
        let subsamp = if spec.grey { Subsamp::Gray } else { Subsamp::Sub2x2 };
        let compressor = match &mut self.compressor {
            Some(compressor) => compressor,
            none => none.insert(Compressor::new()?),
        };
        compressor.set_quality(spec.quality)?;
        compressor.set_subsamp(subsamp)?;
        compressor.set_progressive(spec.progressive)?;
        let most = compressed_buf_len(width, height, subsamp)?;
        if self.jpeg.len() < most {
            self.jpeg.resize(most, 0);
        }
        let (pixels, pitch) = (self.pixels.as_slice(), width * 3);
        let image = turbojpeg::Image { pixels, width, pitch, height, format: PixelFormat::RGB };
        let length = compressor.compress_to_slice(image, &mut self.jpeg)?;
        Ok(&self.jpeg[..length])
    }
}

/// So many pixels are developed at once: the arithmetic below becomes vector instructions.
const LANES: usize = 16;

/// Changes the colours and adds the noise of a sensor.
///
/// `pixels` is `[height, width, 3]`; `noise` holds 4 random bytes a pixel.
fn develop(pixels: &mut [u8], noise: &[u8], spec: &Spec) {
    let tone = Tone::new(spec);
    let (blocks, last) = pixels.as_chunks_mut::<{ 3 * LANES }>();
    let (noise_blocks, last_noise) = noise.as_chunks::<{ 4 * LANES }>();
    for (block, noise) in blocks.iter_mut().zip(noise_blocks) {
        tone.apply(block, noise);
    }
    let (mut block, mut noise) = ([0; 3 * LANES], [0; 4 * LANES]);
    block[..last.len()].copy_from_slice(last);
    noise[..last_noise.len()].copy_from_slice(last_noise);
    tone.apply(&mut block, &noise);
    last.copy_from_slice(&block[..last.len()]);
}

/// What is done to each pixel.
struct Tone {
    matrix: [[f32; 3]; 3],
    offset: f32,
    /// Of the noise, in black.
    deviation: f32,
    /// Change of the noise's deviation with the value.
    slope: f32,
}

impl Tone {
    fn new(spec: &Spec) -> Self {
        let (matrix, offset) = colour_matrix(&spec.colour);
        // 82.6 is the deviation of a random byte plus half another. In gamma-coded values, dark
        // parts are noisier than bright ones.
        let unit = spec.noise / 82.6;
        Self { matrix, offset, deviation: 1.3 * unit, slope: -0.6 * unit / 255.0 }
    }

    /// The first bytes of `noise` go to all three channels: the noise that is left in a camera's
    /// image is mostly one of brightness.
    fn apply(&self, pixels: &mut [u8; 3 * LANES], noise: &[u8; 4 * LANES]) {
        let mut values = [[0.0_f32; LANES]; 3];
        for (i, pixel) in pixels.as_chunks::<3>().0.iter().enumerate() {
            for (channel, value) in values.iter_mut().zip(pixel) {
                channel[i] = f32::from(*value);
            }
        }
        let [red, green, blue] = &values;
        let (shared, own) = noise.split_at(LANES);
        let mut developed = [[0_u8; LANES]; 3];
        for ((out, row), own) in developed.iter_mut().zip(&self.matrix).zip(own.chunks(LANES)) {
            for i in 0..LANES {
                let clean = row[0] * red[i] + row[1] * green[i] + row[2] * blue[i] + self.offset;
                let noise = f32::from(shared[i]) + 0.5 * f32::from(own[i]) - 191.25;
                let value = clean + noise * (self.deviation + self.slope * clean);
                out[i] = round(value.clamp(0.0, 255.0));
            }
        }
        for (i, pixel) in pixels.as_chunks_mut::<3>().0.iter_mut().enumerate() {
            *pixel = [developed[0][i], developed[1][i], developed[2][i]];
        }
    }
}

/// The nearest integer to a value from 0 to 255, without the checks of a cast: above 2^23 a float
/// has no fraction left, and its lowest bits are the integer.
fn round(value: f32) -> u8 {
    (value + 8_388_608.0).to_bits() as u8
}

/// The matrix that a pixel is multiplied by, and what is added to each channel.
fn colour_matrix(colour: &Colour) -> ([[f32; 3]; 3], f32) {
    // Saturation and hue as in the colour matrices of SVG filters.
    const GREY: [f32; 3] = [0.213, 0.715, 0.072];
    const SINE: [[f32; 3]; 3] =
        [[-0.213, -0.715, 0.928], [0.143, 0.140, -0.283], [-0.787, 0.715, 0.072]];
    const MID_GREY: f32 = 118.0;
    // For small angles; a library's sine differs from machine to machine.
    let sine = colour.saturation * colour.hue;
    let cosine = colour.saturation * (1.0 - 0.5 * colour.hue * colour.hue);
    let mut matrix = [[0.0; 3]; 3];
    for (i, row) in matrix.iter_mut().enumerate() {
        for (j, value) in row.iter_mut().enumerate() {
            let own = if i == j { 1.0 } else { 0.0 };
            let turned = GREY[j] + cosine * (own - GREY[j]) + sine * SINE[i][j];
            *value = turned * colour.gains[i] * colour.contrast;
        }
    }
    (matrix, MID_GREY * (1.0 - colour.contrast) + colour.brightness)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNCHANGED: Colour =
        Colour { gains: [1.0; 3], brightness: 0.0, contrast: 1.0, saturation: 1.0, hue: 0.0 };

    fn developed(colour: Colour, noise: f32, pixels: &[u8]) -> Vec<u8> {
        let spec = Spec { colour, noise, ..Spec::draw(0, 0, &[(640, 480)]) };
        let mut random = vec![0; pixels.len() / 3 * 4];
        generator(0, 0).fill_bytes(&mut random);
        let mut pixels = pixels.to_vec();
        develop(&mut pixels, &random, &spec);
        pixels
    }

    #[test]
    fn nothing_asked_nothing_changed() {
        // 35 pixels: two blocks and a rest.
        let pixels: Vec<u8> = (0..105).map(|i| (i * 37 % 256) as u8).collect();
        assert_eq!(developed(UNCHANGED, 0.0, &pixels), pixels);
    }

    #[test]
    fn colours_change_as_asked() {
        let pixel = [100, 150, 200];
        let brighter = Colour { brightness: 10.0, ..UNCHANGED };
        assert_eq!(developed(brighter, 0.0, &pixel), [110, 160, 210]);
        let dimmer = Colour { gains: [0.5, 1.0, 2.0], ..UNCHANGED };
        assert_eq!(developed(dimmer, 0.0, &pixel), [50, 150, 255]);
        let flatter = Colour { contrast: 0.5, ..UNCHANGED };
        assert_eq!(developed(flatter, 0.0, &pixel), [109, 134, 159]);
        let grey = Colour { saturation: 0.0, ..UNCHANGED };
        assert_eq!(developed(grey, 0.0, &pixel), [143, 143, 143]);
        let turned = Colour { hue: 0.1, ..UNCHANGED };
        assert_ne!(developed(turned, 0.0, &pixel), pixel);
        assert_eq!(developed(turned, 0.0, &[90, 90, 90]), [90, 90, 90]);
    }

    #[test]
    fn noise_has_the_deviation_asked_for() {
        let noisy = developed(UNCHANGED, 5.0, &[128; 30_000]);
        let differences = noisy.iter().map(|value| f64::from(*value) - 128.0);
        let mean = differences.clone().sum::<f64>() / 30_000.0;
        let deviation = (differences.map(|d| d * d).sum::<f64>() / 30_000.0).sqrt();
        assert!(mean.abs() < 0.1, "{mean}");
        assert!((4.8..5.2).contains(&deviation), "{deviation}");
    }
}
