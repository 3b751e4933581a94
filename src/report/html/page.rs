//! The page: what the template `page.html` is filled with.

use super::bars::Bar;
use super::folder::{MOST_POINTS, Parameter, Sweep};
use super::svg::MOST_LETTERS;
use super::text::shortened;
use super::vees::Panel;
use super::{ReportError, bars, heat, scatter, template, vees};
use crate::check::VerdictKind;
use minijinja::context;
use minijinja::value::Value;

const PAGE: &str = include_str!("page.html");

/// Bars and heat map show the worst so many parameters.
pub(super) const MOST_ROWS: usize = 200;
/// The small plots of errors against eps show the worst so many.
pub(super) const MOST_VEES: usize = 24;
/// The heading names the worst so many.
const MOST_NAMED: usize = 12;

/// The page of a sweep.
pub(super) fn page(sweep: &Sweep) -> Result<String, ReportError> {
    let run = &sweep.run;
    let worst = &sweep.parameters[..sweep.parameters.len().min(MOST_ROWS)];
    let vees: Vec<&Parameter> = sweep.parameters.iter().take(MOST_VEES).collect();
    let named = || sweep.parameters.iter().filter(|p| p.verdicts.is_consistent).take(MOST_NAMED);
    let value = |p: &Parameter| context! { id => &p.id, diagnosis => &p.diagnosis, location => &p.location };
    let failing: Vec<Value> = named().map(value).collect();
    let diagnosed: Vec<Value> = named().filter(|p| !p.diagnosis.is_empty()).map(value).collect();
    let located = sweep.parameters.iter().filter(|p| !p.location.is_empty());
    let located: Vec<Value> = located.take(MOST_NAMED).map(value).collect();
    let consistent = sweep.parameters.iter().filter(|p| p.verdicts.is_consistent).count();
    let cells: Vec<&Vec<String>> = sweep.cells.iter().collect();
    let filled = context! {
        gradient_engine => run.text("gradient_engine")?,
        failing => failing,
        diagnosed => diagnosed,
        located => located,
        unnamed => consistent.saturating_sub(MOST_NAMED),
        all_parameters => sweep.parameters.len(),
        rows => worst.len(),
        bars => Value::from_safe_string(bars::draw(&bars_of(worst), &bars::PARAMETERS)),
        heat => heat::draw(worst).map(Value::from_safe_string),
        vees => panels(vees::draw(&vees)),
        vee_marks => vec![legend("plain", "mark plain", &vees::mark("plain", [5.0, 8.0])),
            legend("paired", "mark paired", &vees::mark("paired", [8.0, 8.0]))],
        scatters => panels(scatter::draw(&sweep.scatters)),
        is_cut => sweep.is_cut,
        most_points => MOST_POINTS,
        has_failure => sweep.parameters.iter().any(|p| p.count(VerdictKind::Fail) > 0),
        verdicts => VerdictKind::ALL.map(verdict).to_vec(),
        table_id => "parameters",
        columns => template::columns(&sweep.header, &cells),
        table => template::rows(&cells),
        settings => template::settings(run),
        ..template::facts(run)?
    };
    template::render(PAGE, filled)
}

/// A bar for each parameter.
pub(super) fn bars_of(parameters: &[Parameter]) -> Vec<Bar> {
    let bar = |p: &Parameter| Bar {
        id: p.id.clone(),
        label: shortened(&p.id, MOST_LETTERS),
        verdicts: p.verdicts,
        reasons: p.reasons,
    };
    parameters.iter().map(bar).collect()
}

fn panels(panels: Vec<Panel>) -> Vec<Value> {
    let value =
        |p: Panel| context! { id => p.id, svg => Value::from_safe_string(p.svg), note => p.note };
    panels.into_iter().map(value).collect()
}

/// An entry of a legend: a word beside its mark.
fn legend(name: &str, class: &str, d: &str) -> Value {
    context! { name => name.to_owned(), class => class.to_owned(), d => d.to_owned() }
}

pub(super) fn verdict(kind: VerdictKind) -> Value {
    let meaning = match kind {
        VerdictKind::Pass => "gradient and differences agree",
        VerdictKind::Fail => "they differ by more than tolerance and bound",
        VerdictKind::Inconclusive => "the bound is too wide to tell (noise or truncation)",
        VerdictKind::Kink => "one-sided differences differ: no derivative",
        VerdictKind::Insensitive => "both are within the bound of zero",
        VerdictKind::GradientMissing => "the gradient is NaN, infinite or absent",
        VerdictKind::Failed => {
            "no value at the point (base), or none above (plus), below (minus) or on both sides of it"
        }
    };
    let d = super::scatter::mark(kind, [7.0, 7.0]);
    context! { name => kind.name(), meaning => meaning, d => d }
}
