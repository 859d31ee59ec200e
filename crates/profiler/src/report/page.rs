//! Parts of `report.html`, for pages of one's own in the same style: its looks, its script, and what
//! the templates `chart.html` and `table.html` show.

pub use super::axis::Axis;
pub use super::html::Prose;
pub use super::html::panel::{LineView, PanelView};
pub use super::html::tables::{Cell, Head, Table, figure, name, number, text, without_empty};
use super::palette;
pub use super::panels::Points;

/// How it looks; what is coloured names a variable of [`colours`].
pub const CSS: &str = include_str!("../../templates/report.css");

/// Tables are sorted, charts tell their values, names that do not fit are left out.
pub const SCRIPT: &str = include_str!("../../templates/report.js");

/// Every colour as a variable of the page: on light ground, or on dark.
pub fn colours(dark: bool) -> String {
    palette::variables(dark)
}
