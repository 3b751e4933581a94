//! The plots of the page as files of their own, with title, legend and colours inside.
//!
//! Colours are those of the light theme, written out: programs that draw SVG without a browser know
//! no variables.

use super::folder::{DIFFERENCES, Parameter, Sweep};
use super::page::{MOST_ROWS, MOST_VEES, bars_of};
use super::svg::{Anchor, Svg, size};
use super::template::STYLE;
use super::text::shortened;
use super::vees::Panel;
use super::{bars, heat, scatter, vees};
use crate::check::VerdictKind;

/// Room around a drawing.
pub(super) const MARGIN: f64 = 12.0;
/// Room for a line of text.
pub(super) const LINE: f64 = 18.0;
/// Room for the mark of a legend's entry.
const MARK: f64 = 16.0;
/// Room for a letter of a title, and of smaller text.
const BOLD_LETTER: f64 = 7.6;
const LETTER: f64 = 6.6;
/// Longest part of a file's name that comes from an id.
const LONGEST_NAME: usize = 80;

/// The marks of the plots' rules in a page.
const PLOTS: [&str; 2] = ["/* plots */\n", "/* end of plots */"];

/// A plot as a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plot {
    /// Of the file; letters, digits, `_`, `-` and `.` only.
    pub name: String,
    pub svg: String,
}

/// A word beside its mark.
pub(super) struct Entry {
    pub(super) class: String,
    /// Around the origin.
    pub(super) d: String,
    pub(super) word: &'static str,
}

impl Entry {
    /// A box of a verdict's colour.
    pub(super) fn of_verdict(kind: VerdictKind) -> Self {
        let d = "M-5 -5h10v10h-10z".to_owned();
        Self { class: format!("v-{}", kind.name()), d, word: kind.name() }
    }
}

/// All plots of the page, in its order.
pub(super) fn plots(sweep: &Sweep) -> Vec<Plot> {
    let style = style();
    let worst = &sweep.parameters[..sweep.parameters.len().min(MOST_ROWS)];
    let mut plots = Vec::new();
    let mut add = |name: String, titles: &[&str], legend: &[Entry], drawing: &str| {
        plots
            .push(Plot { name: format!("{name}.svg"), svg: file(titles, legend, drawing, &style) });
    };
    let seen = |kind: &VerdictKind| worst.iter().any(|p| p.count(*kind) > 0);
    let legend: Vec<Entry> =
        VerdictKind::ALL.into_iter().filter(seen).map(Entry::of_verdict).collect();
    add(
        "verdicts".to_owned(),
        &["Verdicts"],
        &legend,
        &bars::draw(&bars_of(worst), &bars::PARAMETERS),
    );
    if let Some(drawing) = heat::draw(worst) {
        let title = "Error of the differences by step size";
        add("differences".to_owned(), &[title], &[], &drawing);
    }
    let shown: Vec<&Parameter> = sweep.parameters.iter().take(MOST_VEES).collect();
    let legend = DIFFERENCES.map(|name| Entry {
        class: format!("mark {name}"),
        d: vees::mark(name, [0.0, 0.0]),
        word: name,
    });
    for (k, panel) in vees::draw(&shown).iter().enumerate() {
        let title = format!("Error against eps: {}", panel.id);
        add(name("eps", k, panel), &[&title, &panel.note], &legend, &panel.svg);
    }
    let panels = scatter::draw(&sweep.scatters);
    for (k, (panel, of)) in panels.iter().zip(&sweep.scatters).enumerate() {
        let seen = |kind: &VerdictKind| of.dots.iter().any(|dot| dot.verdict == *kind);
        let entry = |kind: VerdictKind| Entry {
            class: format!("dot d-{}", kind.name()),
            d: scatter::mark(kind, [0.0, 0.0]),
            word: kind.name(),
        };
        let legend: Vec<Entry> = VerdictKind::ALL.into_iter().filter(seen).map(entry).collect();
        let title = format!("Error of the gradient: {}", panel.id);
        add(name("values", k, panel), &[&title, &panel.note], &legend, &panel.svg);
    }
    plots
}

/// The name of a small plot's file, the worst parameter first. Ids come from files that are not
/// trusted.
fn name(kind: &str, k: usize, panel: &Panel) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let plain = |c: char| if is_plain(c) { c } else { '_' };
    let id: String = panel.id.chars().take(LONGEST_NAME).map(plain).collect();
    format!("{kind}-{:02}-{id}", k + 1)
}

/// A drawing below its titles, the first of them bold, and above its legend.
pub(super) fn file(titles: &[&str], legend: &[Entry], drawing: &str, style: &str) -> String {
    let [width, height] = size(drawing);
    let titles: Vec<&&str> = titles.iter().filter(|t| !t.is_empty()).collect();
    let top = MARGIN + LINE * titles.len() as f64;
    let places = places(legend, width);
    let lines = places.last().map_or(0.0, |[_, y]| y + LINE);
    let whole = [width + 2.0 * MARGIN, top + height + lines + MARGIN];
    let mut svg = Svg::new(whole[0], whole[1]);
    svg.path("paper", &format!("M0 0h{}v{}h-{0}z", whole[0], whole[1]));
    for (k, title) in titles.iter().enumerate() {
        let (class, letter) = if k == 0 { ("head", BOLD_LETTER) } else { ("tick", LETTER) };
        let at = [MARGIN, MARGIN + LINE * k as f64 + 10.0];
        svg.text(class, Anchor::Start, at, &shortened(title, (width / letter) as usize));
    }
    svg.nest([MARGIN, top], drawing);
    for (entry, [x, y]) in legend.iter().zip(places) {
        let at = [MARGIN + x, top + height + y + 10.0];
        svg.path_at(&entry.class, at, &entry.d);
        svg.text("tick", Anchor::Start, [at[0] + 0.7 * MARK, at[1] + 4.0], entry.word);
    }
    svg.finish_file(style)
}

/// Where the marks of a legend stand, line by line.
fn places(legend: &[Entry], width: f64) -> Vec<[f64; 2]> {
    let [mut x, mut y] = [0.5 * MARK, 0.0];
    let mut places = Vec::new();
    for entry in legend {
        let room = 1.5 * MARK + LETTER * entry.word.len() as f64;
        if x > MARK && x + room > width {
            [x, y] = [0.5 * MARK, y + LINE];
        }
        places.push([x, y]);
        x += room;
    }
    places
}

/// The rules of the page's plots, with the values of the light theme.
pub(super) fn style() -> String {
    style_with("")
}

/// Those, and the rules of the plots of another page.
pub(super) fn style_with(page: &str) -> String {
    let rules = part_of(STYLE, PLOTS[0], PLOTS[1]).expect("the style marks them");
    let theme = part_of(STYLE, ":root {", "}").expect("the style has a theme");
    let more = part_of(page, PLOTS[0], PLOTS[1]).unwrap_or_default();
    let mut rules = format!("{rules}{more}.paper {{ fill: var(--ground); }}\n");
    let colours = theme.split(';').filter_map(|line| line.split_once(':'));
    for (variable, value) in colours {
        rules = rules.replace(&format!("var({})", variable.trim()), value.trim());
    }
    rules
}

/// What stands between two marks.
fn part_of<'a>(page: &'a str, from: &str, to: &str) -> Option<&'a str> {
    let (_, rest) = page.split_once(from)?;
    Some(rest.split_once(to)?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_variable_is_left_in_the_style() {
        let style = style();
        assert!(!style.contains("var("), "{style}");
        assert!(style.contains(".v-pass { fill: #0072b2; }"), "{style}");
    }

    #[test]
    fn ids_make_no_paths() {
        let panel = |id: &str| Panel { id: id.to_owned(), svg: String::new(), note: String::new() };
        assert_eq!(name("eps", 0, &panel("../a/b\\c:é")), "eps-01-___a_b_c__");
        assert_eq!(name("eps", 11, &panel("k_1")), "eps-12-k_1");
        assert_eq!(name("eps", 0, &panel(&"x".repeat(500))).len(), 7 + LONGEST_NAME);
    }

    #[test]
    fn legends_wrap() {
        let entry = |word| Entry { class: String::new(), d: String::new(), word };
        let legend = ["pass", "inconclusive", "gradient_missing", "failed"].map(entry);
        let places = places(&legend, 200.0);
        assert!(places[0][1] == places[1][1] && places[2][1] > places[1][1], "{places:?}");
        // Nothing that stands in a line with another reaches beyond the width.
        for (entry, [x, _]) in legend.iter().zip(&places) {
            assert!(x + MARK + LETTER * entry.word.len() as f64 <= 200.0);
        }
    }
}
