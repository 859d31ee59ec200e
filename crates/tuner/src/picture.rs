//! Pictures: PNG and SVG of the same drawing.

use std::io;
use std::path::Path;

use image::RgbImage;
use plotters::coord::Shift;
use plotters::prelude::*;
use profiler::report::charts::use_own_font;

use crate::{TunerError, files};

/// Something that can be drawn.
pub(crate) trait Picture {
    /// Draws it on a white `area`, in pixels.
    fn draw<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>) -> Result<(), String>;
}

/// Writes `name.svg` and `name.png` to `folder`, `width` by `height` pixels.
///
/// # Errors
/// If a file cannot be written.
pub(crate) fn write(
    folder: &Path,
    name: &str,
    (width, height): (u32, u32),
    picture: &impl Picture,
) -> Result<(), TunerError> {
    use_own_font();
    let path = folder.join(format!("{name}.svg"));
    let mut svg = String::new();
    draw(SVGBackend::with_string(&mut svg, (width, height)), picture).map_err(error(&path))?;
    files::write(&path, svg.as_bytes())?;

    let path = folder.join(format!("{name}.png"));
    let mut rgb = vec![0; (3 * width * height) as usize];
    draw(BitMapBackend::with_buffer(&mut rgb, (width, height)), picture).map_err(error(&path))?;
    let image = RgbImage::from_raw(width, height, rgb)
        .ok_or_else(|| TunerError::Bug("a picture of another size".into()))?;
    files::write_with(&path, |beside| {
        image.save_with_format(beside, image::ImageFormat::Png).map_err(io::Error::other)
    })
}

fn draw<DB: DrawingBackend>(backend: DB, picture: &impl Picture) -> Result<(), String> {
    let area = backend.into_drawing_area();
    area.fill(&WHITE).map_err(|e| e.to_string())?;
    picture.draw(&area)?;
    area.present().map_err(|e| e.to_string())
}

fn error(path: &Path) -> impl FnOnce(String) -> TunerError {
    let path = path.to_owned();
    move |message| TunerError::Chart { path, message }
}
