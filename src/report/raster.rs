//! SVG plots as PNG, with a font of our own, so that a picture does not depend on the machine's.

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb::Database};
use std::sync::Arc;

/// Pixels for a unit of a plot's size.
const ZOOM: f32 = 2.0;
/// The family of the fonts below.
const FAMILY: &str = "DejaVu Sans";

/// Why a plot could not be made a PNG file.
#[derive(Debug, thiserror::Error)]
pub enum RasterError {
    #[error("the plot cannot be read as SVG: {0}")]
    Svg(#[from] resvg::usvg::Error),
    #[error("a plot of {width} by {height} pixels is too large for a PNG file; SVG has no limit")]
    Size { width: u32, height: u32 },
    #[error("the plot cannot be written as PNG: {0}")]
    Png(String),
}

/// Draws SVG files of plots.
pub struct Rasteriser {
    options: Options<'static>,
}

impl Default for Rasteriser {
    fn default() -> Self {
        let mut fonts = Database::new();
        fonts.load_font_data(dejavu::sans_condensed::regular().to_vec());
        fonts.load_font_data(dejavu::sans_condensed::bold().to_vec());
        fonts.set_sans_serif_family(FAMILY);
        let options = Options {
            font_family: FAMILY.to_owned(),
            fontdb: Arc::new(fonts),
            ..Options::default()
        };
        Self { options }
    }
}

impl Rasteriser {
    /// A PNG file of an SVG file, twice its size in pixels.
    ///
    /// # Errors
    /// See [`RasterError`].
    pub fn png(&self, svg: &str) -> Result<Vec<u8>, RasterError> {
        let tree = Tree::from_str(svg, &self.options)?;
        let size = tree.size().to_int_size();
        let [width, height] =
            [size.width(), size.height()].map(|s| (s as f32 * ZOOM).ceil() as u32);
        let mut pixels = Pixmap::new(width, height).ok_or(RasterError::Size { width, height })?;
        resvg::render(&tree, Transform::from_scale(ZOOM, ZOOM), &mut pixels.as_mut());
        pixels.encode_png().map_err(|e| RasterError::Png(e.to_string()))
    }
}
