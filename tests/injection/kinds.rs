//! The kinds of defects: those of real bug reports, and what limited precision does.

use super::{MOVES, Material, Of};
use gradsweep::check::{Claim, Contributor, Mark};
use gradsweep::petab::ParameterScale;
use std::f64::consts::LN_10;

/// Conditions and observables that are dropped, at most; of more, evenly chosen ones.
const MOST_GROUPS: usize = 8;
/// Relative sizes of the factor 1 + δ.
const SIZES: [f64; 5] = [1e-1, 1e-2, 1e-3, 1e-4, 1e-5];
/// Relative distance from a factor or a change that still is it.
const SAME: f64 = 1e-2;
/// Relative rounding error of a sum of thousands of terms.
const ROUNDING: f64 = 1e-12;

/// A column of the gradient that is not as it should be.
pub struct Column {
    pub place: usize,
    /// By point.
    pub values: Vec<f64>,
}

/// Whether a mark is right for the parameter at a place.
type Judge = Box<dyn Fn(usize, &Mark) -> bool>;

/// How a diagnosis is right.
pub enum Signature {
    /// There is none.
    None,
    /// Cells are called missing where they are.
    Missing,
    /// By its mark, by place of the parameter.
    Mark(Judge),
    /// What it says explains the change; other marks that say the same.
    Change(fn(&Mark) -> bool),
}

/// One defect: what it changes.
pub struct Injection {
    pub columns: Vec<Column>,
    pub signature: Signature,
}

/// All defects of one kind in a problem.
pub struct Kind {
    pub name: String,
    pub injections: Vec<Injection>,
    /// Why there is none.
    pub absence: &'static str,
}

/// A defect in each parameter by itself: its component from place and point.
fn in_each(
    material: &Material<'_>,
    concerns: impl Fn(usize) -> bool,
    component: impl Fn(usize, usize) -> f64,
    signature: impl Fn(usize) -> Signature,
) -> Vec<Injection> {
    let points = 0..material.theta.len();
    (0..material.right.len())
        .filter(|place| concerns(*place))
        .map(|place| Injection {
            columns: vec![Column {
                place,
                values: points.clone().map(|i| component(place, i)).collect(),
            }],
            signature: signature(place),
        })
        .collect()
}

/// A defect in all of the gradient: one injection, if it changes anything.
fn in_all(
    material: &Material<'_>,
    component: impl Fn(usize, usize) -> f64,
    signature: Signature,
) -> Vec<Injection> {
    let points = 0..material.theta.len();
    let column = |place: usize| -> Column {
        Column { place, values: points.clone().map(|i| component(place, i)).collect() }
    };
    let is_changed = |column: &Column| {
        let right = &material.right[column.place];
        column.values.iter().zip(right).any(|(v, g)| v != g && !g.is_nan())
    };
    let columns: Vec<Column> = (0..material.right.len()).map(column).filter(is_changed).collect();
    if columns.is_empty() { Vec::new() } else { vec![Injection { columns, signature }] }
}

fn factor(expected: f64) -> Signature {
    Signature::Mark(Box::new(move |_, mark| match mark {
        Mark::Factor(f) => (f - expected).abs() <= SAME * (expected - 1.0).abs(),
        _ => false,
    }))
}

/// Every kind of defect.
pub fn kinds(material: &Material<'_>) -> Vec<Kind> {
    let right = |place: usize, point: usize| material.right[place][point];
    let all = |_: usize| true;
    let scale = |place: usize| material.problem.parameters[place].scale;
    let is_log10 = |place: usize| scale(place) == ParameterScale::Log10;
    let mut kinds = Vec::new();
    let mut add = |name: String, injections, absence| {
        kinds.push(Kind { name, injections, absence });
    };
    let by_factor = |f: f64| in_each(material, all, |j, i| f * right(j, i), |_| factor(f));
    add("sign".into(), by_factor(-1.0), "");
    add("factor 2".into(), by_factor(2.0), "");
    for size in SIZES {
        add(format!("factor 1 + {size:e}"), by_factor(1.0 + size), "");
    }
    let without_ln10 = |j, i| right(j, i) / LN_10;
    let injections = in_each(material, is_log10, without_ln10, |_| factor(1.0 / LN_10));
    add("ln 10 missing".into(), injections, "no parameter on the log10 scale");
    let on_other_scale = |j: usize, i: usize| {
        let theta = material.theta[i][j];
        match scale(j) {
            // As if it were on the log10 scale.
            ParameterScale::Lin => right(j, i) * theta * LN_10,
            scale => right(j, i) / scale.derivative(scale.unscale(theta)),
        }
    };
    let signature = |j: usize| {
        let (is_linear, is_log10) = (scale(j) == ParameterScale::Lin, is_log10(j));
        Signature::Mark(Box::new(move |_, mark| {
            let with_ln10 = is_linear || is_log10;
            *mark == Mark::Scale { with_ln10, is_inverse: !is_linear }
        }))
    };
    add("scale of one parameter".into(), in_each(material, all, on_other_scale, signature), "");
    let zero = |_| Signature::Mark(Box::new(|_, mark| *mark == Mark::Zero));
    add("zero column".into(), in_each(material, all, |_, _| 0.0, zero), "");
    add("swapped columns".into(), swapped(material), "one parameter only");
    for (of, what) in [(Of::Sigma, "derivative of sigma"), (Of::LogSigma, "term ln sigma")] {
        let without = |j, i| right(j, i) - material.sum(of, j, i);
        let injections = in_all(material, without, Signature::Change(|_| false));
        add(format!("{what} dropped"), injections, "no parameter moves a sigma");
    }
    for (by, what) in ["condition", "observable"].into_iter().enumerate() {
        let injections = dropped_groups(material, by);
        add(format!("one {what} dropped"), injections, "there is one only");
    }
    let injections = match material.by[0].0.partition(false).prior {
        None => Vec::new(),
        Some(prior) => in_all(
            material,
            |j, i| right(j, i) - material.part(Of::All, (0, prior), j, i),
            // A normal prior's derivative is linear in the parameter, a Laplace prior's constant.
            Signature::Change(|mark| matches!(mark, Mark::LinearOffset { .. } | Mark::Offset(_))),
        ),
    };
    add("prior dropped".into(), injections, "no prior");
    let injections = material
        .unsettled
        .as_ref()
        .map_or_else(Vec::new, |columns| in_all(material, |j, i| columns[j][i], Signature::None));
    add(
        "pre-equilibration dropped".into(),
        injections,
        "no pre-equilibration that parameters move",
    );
    let single = |j: usize, i: usize| f64::from(right(j, i) as f32);
    add("rounded to f32".into(), in_all(material, single, Signature::None), "");
    for (step, columns) in MOVES.into_iter().zip(&material.moved) {
        let injections = in_all(material, |j, i| columns[j][i], Signature::None);
        add(format!("at points moved by {step:e}"), injections, "");
    }
    let with_gaps = |j, i| if i % 10 == 0 { f64::NAN } else { right(j, i) };
    let injections = in_each(material, all, with_gaps, |_| Signature::Missing);
    add("NaN at a tenth of the points".into(), injections, "");
    kinds
}

/// Each parameter's component in the next one's place, and the other way round.
fn swapped(material: &Material<'_>) -> Vec<Injection> {
    let count = material.right.len();
    let pair = |first: usize| {
        let second = first + 1;
        let column =
            |place: usize, other: usize| Column { place, values: material.right[other].clone() };
        Injection {
            columns: vec![column(first, second), column(second, first)],
            signature: Signature::Mark(Box::new(move |place, mark| {
                let other = if place == first { second } else { first };
                matches!(mark, Mark::Swapped(p) if p.position() == other)
            })),
        }
    };
    (0..count.saturating_sub(1)).map(pair).collect()
}

/// The gradient without one group of rows each.
fn dropped_groups(material: &Material<'_>, by: usize) -> Vec<Injection> {
    let groups = &material.by[by].0;
    let count = groups.names.len() - usize::from(groups.partition(false).prior.is_some());
    if count < 2 {
        return Vec::new();
    }
    let chosen = count.min(MOST_GROUPS);
    (0..chosen)
        .map(|k| k * count / chosen)
        .flat_map(|group| {
            in_all(
                material,
                |j, i| material.right[j][i] - material.part(Of::All, (by, group), j, i),
                Signature::Change(|_| false),
            )
        })
        .collect()
}

impl Material<'_> {
    /// What a mark says that the gradient has too much at a point; none where it does not say it of
    /// a contribution.
    fn claimed(&self, mark: &Mark, place: usize, point: usize) -> Option<f64> {
        match mark {
            Mark::Zero => Some(-self.right[place][point]),
            Mark::Contribution(claim, source) => {
                let of = match claim {
                    Claim::Missing | Claim::Doubled => Of::All,
                    Claim::NoiseMissing => Of::Sigma,
                    Claim::LogSigmaMissing => Of::LogSigma,
                };
                let sum = |source: &Contributor| -> Option<f64> {
                    let (by, group) = match source {
                        Contributor::AllRows => return Some(self.sum(of, place, point)),
                        Contributor::Prior => (0, self.by[0].0.partition(false).prior?),
                        Contributor::Rows(kind, name) => {
                            let by = self.by.iter().position(|(groups, _)| groups.kind == *kind)?;
                            (by, self.by[by].0.names.iter().position(|n| n == name)?)
                        }
                    };
                    Some(self.part(of, (by, group), place, point))
                };
                let sign = if *claim == Claim::Doubled { 1.0 } else { -1.0 };
                Some(sign * sum(source)?)
            }
            _ => None,
        }
    }

    /// Whether a mark tells what was done to a column.
    pub fn is_told(&self, mark: &Mark, column: &Column, signature: &Signature) -> bool {
        match signature {
            Signature::None | Signature::Missing => true,
            Signature::Mark(is_right) => is_right(column.place, mark),
            Signature::Change(is_right) => {
                let explains = |(point, value): (usize, &f64)| {
                    let right = self.right[column.place][point];
                    let change = value - right;
                    let claimed = self.claimed(mark, column.place, point);
                    let off = claimed.map(|c| (c - change).abs());
                    // What is taken from a sum is known to the sum's rounding.
                    let allowed = SAME * change.abs() + ROUNDING * right.abs();
                    change.is_nan() || off.is_some_and(|off| off <= allowed)
                };
                let told = column.values.iter().enumerate().filter(|c| explains(*c)).count();
                is_right(mark) || told as f64 >= 0.9 * column.values.len() as f64
            }
        }
    }
}
