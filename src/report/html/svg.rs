//! Writing SVG. Colours are classes of the page's style sheet, so that they follow its theme.

use super::scale::Scale;
use super::text::{escape, figures, shortened};
use std::fmt::Write;

/// Longer ids of rows lose their middle.
pub(super) const MOST_LETTERS: usize = 24;

/// A drawing under construction. Lengths are in its own units, of about a pixel.
pub(super) struct Svg {
    body: String,
    width: f64,
    height: f64,
}

/// Where a text stands in relation to its place.
#[derive(Debug, Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

impl Anchor {
    fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Middle => "middle",
            Self::End => "end",
        }
    }
}

impl Svg {
    pub(super) fn new(width: f64, height: f64) -> Self {
        Self { body: String::new(), width, height }
    }

    pub(super) fn line(&mut self, class: &str, [x1, y1]: [f64; 2], [x2, y2]: [f64; 2]) {
        let [x1, y1, x2, y2] = [x1, y1, x2, y2].map(place);
        self.push(&format!(
            "<line class=\"{class}\" x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"/>"
        ));
    }

    /// A rectangle that says `title` when it is pointed at.
    pub(super) fn rect(&mut self, class: &str, [x, y]: [f64; 2], size: [f64; 2], title: &str) {
        let [x, y, width, height] = [x, y, size[0], size[1]].map(place);
        self.push(&format!(
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\">\
             <title>{}</title></rect>",
            escape(title)
        ));
    }

    /// A rectangle of a colour that is the same in all themes, `#rrggbb`.
    pub(super) fn tile(&mut self, colour: &str, [x, y]: [f64; 2], size: [f64; 2], title: &str) {
        let [x, y, width, height] = [x, y, size[0], size[1]].map(place);
        self.push(&format!(
            "<rect fill=\"{colour}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\">\
             <title>{}</title></rect>",
            escape(title)
        ));
    }

    pub(super) fn text(&mut self, class: &str, anchor: Anchor, [x, y]: [f64; 2], text: &str) {
        let ([x, y], anchor) = ([x, y].map(place), anchor.word());
        self.push(&format!(
            "<text class=\"{class}\" text-anchor=\"{anchor}\" x=\"{x}\" y=\"{y}\">{}</text>",
            escape(text)
        ));
    }

    /// The id of a row, shortened to its room; all of it where it is pointed at.
    pub(super) fn row_label(&mut self, place: [f64; 2], id: &str) {
        self.label_of(place, &shortened(id, MOST_LETTERS), id);
    }

    /// A label that ends here; all of what it stands for where it is pointed at.
    pub(super) fn label_of(&mut self, [x, y]: [f64; 2], label: &str, whole: &str) {
        let [x, y] = [x, y].map(place);
        self.push(&format!(
            "<text class=\"label\" text-anchor=\"end\" x=\"{x}\" y=\"{y}\">{}\
             <title>{}</title></text>",
            escape(label),
            escape(whole)
        ));
    }

    /// A label that is read upwards from here.
    pub(super) fn upright_label(&mut self, [x, y]: [f64; 2], label: &str, whole: &str) {
        let [x, y] = [x, y].map(place);
        self.push(&format!(
            "<text class=\"label\" transform=\"translate({x} {y}) rotate(-90)\">{}\
             <title>{}</title></text>",
            escape(label),
            escape(whole)
        ));
    }

    /// A path; `d` is made of numbers only.
    pub(super) fn path(&mut self, class: &str, d: &str) {
        self.push(&format!("<path class=\"{class}\" d=\"{d}\"/>"));
    }

    /// The same, moved to a place.
    pub(super) fn path_at(&mut self, class: &str, [x, y]: [f64; 2], d: &str) {
        let [x, y] = [x, y].map(place);
        self.push(&format!("<path class=\"{class}\" transform=\"translate({x} {y})\" d=\"{d}\"/>"));
    }

    /// A frame with ticks and grid lines on both axes.
    pub(super) fn axes(&mut self, x: &Scale, y: &Scale, [x_most, y_most]: [usize; 2]) {
        let ((left, right), (low, high)) = (x.ends(), y.ends());
        let (left, right) = (x.at(left).min(x.at(right)), x.at(left).max(x.at(right)));
        let (bottom, top) = (y.at(low), y.at(high));
        for tick in y.ticks(y_most) {
            self.line("grid", [left, y.at(tick)], [right, y.at(tick)]);
            self.text("tick", Anchor::End, [left - 5.0, y.at(tick) + 3.5], &figures(tick, 3));
        }
        for tick in x.ticks(x_most) {
            self.line("grid", [x.at(tick), top], [x.at(tick), bottom]);
            self.text("tick", Anchor::Middle, [x.at(tick), bottom + 16.0], &figures(tick, 3));
        }
        self.line("axis", [left, bottom], [right, bottom]);
        self.line("axis", [left, top], [left, bottom]);
    }

    /// The element, named for those who cannot see it. `id` is unique on the page.
    pub(super) fn finish(self, id: &str, title: &str, description: &str) -> String {
        let [width, height] = [self.width, self.height].map(place);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
             role=\"img\" aria-labelledby=\"{id}-title {id}-desc\">\
             <title id=\"{id}-title\">{}</title><desc id=\"{id}-desc\">{}</desc>{}\n</svg>",
            escape(title),
            escape(description),
            self.body
        )
    }

    /// A drawing that [`Svg::finish`] made, at its own size.
    pub(super) fn nest(&mut self, [x, y]: [f64; 2], drawing: &str) {
        let [x, y] = [x, y].map(place);
        let [width, height] = size(drawing).map(place);
        let inner = drawing.trim_start_matches("<svg");
        self.push(&format!(
            "<svg x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"{inner}"
        ));
    }

    /// A file of its own, with the rules for its classes.
    pub(super) fn finish_file(self, style: &str) -> String {
        let [width, height] = [self.width, self.height].map(place);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\">\n<style>\n{style}</style>{}\n</svg>\n",
            self.body
        )
    }

    fn push(&mut self, element: &str) {
        self.body.push('\n');
        self.body.push_str(element);
    }
}

/// Width and height of a drawing that [`Svg::finish`] made.
pub(super) fn size(drawing: &str) -> [f64; 2] {
    let of = || {
        let (_, rest) = drawing.split_once("viewBox=\"0 0 ")?;
        let (width, height) = rest.split_once('"')?.0.split_once(' ')?;
        Some([width.parse().ok()?, height.parse().ok()?])
    };
    of().expect("finish writes it so")
}

/// A length with one decimal at most.
pub(super) fn place(length: f64) -> String {
    let text = format!("{length:.1}");
    match text.strip_suffix(".0") {
        Some("-0") => "0".to_owned(),
        Some(whole) => whole.to_owned(),
        None => text,
    }
}

/// A path through points.
pub(super) fn polyline(points: &[[f64; 2]]) -> String {
    let mut d = String::new();
    for (i, [x, y]) in points.iter().enumerate() {
        let command = if i == 0 { 'M' } else { 'L' };
        let _ = write!(d, "{command}{} {}", place(*x), place(*y));
    }
    d
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_titles_are_escaped() {
        let mut svg = Svg::new(10.0, 10.0);
        svg.text("t", Anchor::Start, [0.0, 1.25], "<script>");
        svg.rect("r", [0.0, 0.0], [1.0, 1.0], "a\"&<b>");
        svg.tile("#000000", [0.0, 0.0], [1.0, 1.0], "<i>");
        let text = svg.finish("x", "<b>", "&");
        assert!(!text.contains("<script") && !text.contains("<b>") && !text.contains("<i>"));
        let document = roxmltree::Document::parse(&text).unwrap();
        let has = |name: &str, content: &str| {
            let mut nodes = document.descendants();
            nodes.any(|n| n.tag_name().name() == name && n.text() == Some(content))
        };
        for (name, content) in
            [("text", "<script>"), ("title", "a\"&<b>"), ("title", "<b>"), ("desc", "&")]
        {
            assert!(has(name, content), "{content}");
        }
    }

    #[test]
    fn lengths_are_short() {
        assert_eq!([1.0, 1.25, -0.04, 2.96].map(place), ["1", "1.2", "0", "3"]);
        assert_eq!(polyline(&[[0.0, 1.0], [2.5, 3.0]]), "M0 1L2.5 3");
    }
}
