//! Pictures: SVG, and PNG of the same drawing.
//!
//! `plotters` draws SVG; `resvg` makes the PNG of it, with smooth edges, from the font that is built
//! in. A picture is drawn whatever a session holds: without samples or bottlenecks it says so.

mod bottlenecks;
mod canvas;
mod resources;
mod time;

use std::io;
use std::sync::{Arc, Once};

use plotters::style::{FontStyle, register_font};
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};

pub use self::bottlenecks::BottleneckChart;
pub use self::resources::ResourceChart;
pub use self::time::TimeChart;
use crate::extend::{Chart, PluginError, ReportFormat};
use crate::session::ProfilingSession;

/// The charts of every report.
pub fn standard() -> Vec<Arc<dyn Chart>> {
    vec![Arc::new(ResourceChart), Arc::new(BottleneckChart), Arc::new(TimeChart)]
}

/// A chart as an SVG file.
#[derive(Clone)]
pub struct SvgFile(pub Arc<dyn Chart>);

impl ReportFormat for SvgFile {
    fn file_name(&self, session: &ProfilingSession) -> String {
        format!("{}.svg", self.0.name(session))
    }

    fn write(
        &self,
        session: &ProfilingSession,
        out: &mut dyn io::Write,
    ) -> Result<(), PluginError> {
        Ok(out.write_all(self.0.svg(session)?.as_bytes())?)
    }
}

/// A chart as a PNG file, two pixels for each of the SVG's.
#[derive(Clone)]
pub struct PngFile(pub Arc<dyn Chart>);

impl ReportFormat for PngFile {
    fn file_name(&self, session: &ProfilingSession) -> String {
        format!("{}.png", self.0.name(session))
    }

    fn write(
        &self,
        session: &ProfilingSession,
        out: &mut dyn io::Write,
    ) -> Result<(), PluginError> {
        Ok(out.write_all(&png(&self.0.svg(session)?, 2.0)?.bytes)?)
    }
}

/// A picture of pixels.
pub struct Png {
    /// The file.
    pub bytes: Vec<u8>,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
}

/// The picture of `svg`, so many times its size.
///
/// # Errors
/// If it is no SVG, or its picture would be empty or too large.
pub fn png(svg: &str, scale: f32) -> Result<Png, PluginError> {
    let mut fonts = fontdb::Database::new();
    for font in [dejavu::sans::regular(), dejavu::sans::bold()] {
        fonts.load_font_source(fontdb::Source::Binary(Arc::new(font)));
    }
    fonts.set_sans_serif_family("DejaVu Sans");
    let mut options = Options { font_family: "DejaVu Sans".to_owned(), ..Options::default() };
    options.fontdb = Arc::new(fonts);
    // A picture is all that it needs: no file is read because an SVG names it.
    options.image_href_resolver.resolve_string = Box::new(|_, _| None);
    let tree = Tree::from_str(svg, &options)?;
    let size = tree.size().to_int_size().scale_by(scale);
    let pixmap = size.and_then(|size| Pixmap::new(size.width(), size.height()));
    let mut pixmap = pixmap.ok_or("the picture has no size that can be drawn")?;
    resvg::render(&tree, Transform::from_scale(scale, scale), &mut pixmap.as_mut());
    let (width, height) = (pixmap.width(), pixmap.height());
    Ok(Png { bytes: pixmap.encode_png()?, width, height })
}

/// Makes `plotters` draw `sans-serif` with the font that is built in: text has the same widths on
/// every machine, with or without fonts installed. For charts of one's own that use `plotters`.
pub fn use_own_font() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // If a font that is built in were broken, drawing would say so.
        let _ = register_font("sans-serif", FontStyle::Normal, dejavu::sans::regular());
        let _ = register_font("sans-serif", FontStyle::Bold, dejavu::sans::bold());
    });
}
