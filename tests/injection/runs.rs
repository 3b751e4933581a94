//! What sweeps over 100 points say of a defect: statistics of random subsets of the points.

use super::Material;
use super::kinds::{Column, Injection, Kind, Signature};
use gradsweep::check::{
    Cell, CellSummary, Criteria, Diagnosis, FailingPoints, JudgedCell, JudgedPoint, Sample,
    SampleCell, Side, VerdictKind, attribute_by, diagnose, findings, is_consistent, judge,
    parameter_statistics,
};
use gradsweep::index::{ParameterIdx, PointIdx};
use gradsweep::sweep::PointParts;
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;
use std::collections::HashMap;
use std::convert::Infallible;

/// Points of a run.
const POINTS: usize = 100;
/// Random runs.
const RUNS: usize = 1_000;
/// Relative size from which on a defect must be found.
const SIZE: f64 = 1e-3;
/// A size below a limit only by rounding, or above it, is at the limit.
const ROUNDING: f64 = 1e-2;

/// Verdicts on a column, by point.
type Verdicts = Vec<VerdictKind>;

/// Runs over the points of a problem.
pub struct Runs<'m, 'p> {
    material: &'m Material<'p>,
    criteria: Criteria,
    /// Random points of each run.
    samples: Vec<Vec<usize>>,
    /// Points of successive runs, in which diagnoses are made.
    successive: Vec<Vec<usize>>,
    /// On the right gradient, `[parameter][point]`.
    verdicts: Vec<Verdicts>,
    /// Whether a run calls the right gradient a consistent failure, `[parameter][run]`.
    called: Vec<Vec<bool>>,
    /// The smallest relative error that the first run says it would find, by parameter.
    detectable: Vec<f64>,
    place_of: HashMap<Vec<u64>, usize>,
}

/// What must be said of a changed column.
#[derive(PartialEq)]
enum Duty {
    /// The first run's bounds say that a run finds it, and it is large enough.
    Find,
    /// Nothing that a run may call wrong.
    Pass,
    /// It may be found: at too few points, or below what the differences can tell.
    Either,
}

/// What became of a kind of defect in a problem.
#[derive(Default)]
struct Outcome {
    injections: usize,
    /// Changed columns with a size of a thousandth somewhere, those that must be found, and those
    /// that need not.
    touched: usize,
    to_find: usize,
    apart: Apart,
    /// Runs of injections that have something to find, and those that find exactly that.
    runs: usize,
    right: usize,
    worst: f64,
    /// Runs of all injections that call a column wrong that they must not.
    wrongly_called: usize,
    /// Columns and runs diagnosed, and those whose diagnosis names the kind.
    diagnosed: usize,
    named: usize,
    has_signature: bool,
    /// Diagnoses that are not right.
    details: Vec<String>,
}

/// The same for readers.
pub struct Report {
    /// Of the table.
    pub line: String,
    /// Diagnoses that are not right.
    pub details: Vec<String>,
    /// Whether 999 of 1,000 runs find all that must be found and nothing else, and every diagnosis
    /// is right.
    pub is_right: bool,
    /// Changed columns that must be found.
    pub to_find: usize,
    /// Runs that find columns that need not be found.
    pub called_apart: usize,
}

/// Columns that need not be found.
#[derive(Default)]
struct Apart {
    columns: usize,
    /// Share of runs that call them, all together.
    called: usize,
    runs: usize,
    /// The smallest errors that would be found.
    detectable: Vec<f64>,
}

/// The head of the table.
pub const HEADER: &str = "\
| problem | kind | defects | touched | to find | runs exactly right | worst defect | false calls | \
not detectable | (detectable from) | found all the same | named right |\n\
|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|";

impl<'m, 'p> Runs<'m, 'p> {
    /// Over the points of a problem, with this tolerance.
    pub fn new(material: &'m Material<'p>, rtol: f64) -> Self {
        let count = material.theta.len();
        let mut generator = Pcg64::seed_from_u64(0);
        let samples = (0..RUNS).map(|_| sample(&mut generator, count)).collect();
        let order: Vec<usize> = (0..count).collect();
        let criteria = Criteria { rtol, ..material.plan.criteria };
        let bits = |x: &Vec<f64>| x.iter().map(|v| v.to_bits()).collect();
        let mut runs = Self {
            material,
            criteria,
            samples,
            successive: order.chunks_exact(POINTS.min(count)).map(<[usize]>::to_vec).collect(),
            verdicts: Vec::new(),
            called: Vec::new(),
            detectable: Vec::new(),
            place_of: material.theta.iter().enumerate().map(|(i, x)| (bits(x), i)).collect(),
        };
        for (place, right) in material.right.iter().enumerate() {
            let verdicts = runs.judge(place, right);
            runs.called.push(runs.called_in(&verdicts));
            runs.verdicts.push(verdicts);
            runs.detectable.push(runs.detectable(place, |_| 1.0));
        }
        runs
    }

    /// Cells that the right gradient fails, and parameters that some run calls wrong.
    pub fn false_failures(&self) -> (usize, usize) {
        let fails = |v: &&VerdictKind| **v == VerdictKind::Fail;
        let cells = self.verdicts.iter().map(|v| v.iter().filter(fails).count()).sum();
        (cells, self.called.iter().filter(|runs| runs.contains(&true)).count())
    }

    fn judge(&self, place: usize, values: &[f64]) -> Verdicts {
        let cells = values.iter().zip(&self.material.estimates[place]).enumerate();
        let kind = |(point, (&gradient, &estimate))| {
            let cell = Cell {
                gradient,
                estimate,
                allowance: self.material.allowances[place][point],
                // What neither passes nor fails does not count here.
                negligible: f64::INFINITY,
                base: self.material.failures[point],
                plus: Side::default(),
                minus: Side::default(),
            };
            judge(&cell, &self.criteria).kind
        };
        cells.map(kind).collect()
    }

    fn called_in(&self, verdicts: &Verdicts) -> Vec<bool> {
        let plan = &self.material.plan;
        let is_called = |points: &Vec<usize>| {
            let count = |kind| points.iter().filter(|&&i| verdicts[i] == kind).count();
            let failed = count(VerdictKind::Fail);
            let decided = failed + count(VerdictKind::Pass);
            is_consistent(failed, decided, plan.confidence, plan.consistent)
        };
        self.samples.iter().map(is_called).collect()
    }

    /// The smallest multiple of an error of this relative size by point that the first run says it
    /// would find: at 1 or less it would find the error itself.
    fn detectable(&self, place: usize, size: impl Fn(usize) -> f64) -> f64 {
        let material = self.material;
        let cell = |&point: &usize| {
            let estimate = material.estimates[place][point];
            let allowance = material.allowances[place][point];
            let threshold =
                estimate.map_or(f64::INFINITY, |e| self.criteria.threshold(&e, allowance));
            // A point that decides but has no error never fails.
            let multiple = (threshold / size(point)).min(f64::MAX);
            CellSummary {
                kind: self.verdicts.get(place).map_or(VerdictKind::Pass, |v| v[point]),
                reason: None,
                is_one_sided: false,
                value: f64::NAN,
                gradient: f64::NAN,
                estimate: f64::NAN,
                threshold: if threshold.is_finite() { multiple } else { threshold },
            }
        };
        let cells: Vec<CellSummary> = self.successive[0].iter().map(cell).collect();
        let parameter = material.plan.parameters[place];
        let (confidence, consistent) = (material.plan.confidence, material.plan.consistent);
        parameter_statistics(parameter, &cells, &[], confidence, consistent).detectable_error
    }

    /// Size of a change at a point, relative to the right component.
    fn size(&self, column: &Column, point: usize) -> f64 {
        let right = self.material.right[column.place][point];
        let change = (column.values[point] - right).abs();
        // Nothing of nothing is no change; one to what is missing is not seen as a failure.
        if change == 0.0 || change.is_nan() { 0.0 } else { change / right.abs() }
    }

    fn duty(&self, column: &Column) -> Duty {
        let limit = SIZE * (1.0 - ROUNDING);
        let is_decided = |point: &usize| {
            let estimate = self.material.estimates[column.place][*point];
            let allowance = self.material.allowances[column.place][*point];
            estimate.is_some_and(|e| self.criteria.threshold(&e, allowance).is_finite())
        };
        let points = 0..column.values.len();
        let sizes = || points.clone().filter(is_decided).map(|i| self.size(column, i));
        if sizes().all(|size| size < limit.min(self.criteria.rtol * (1.0 - ROUNDING))) {
            return Duty::Pass;
        }
        let large = |i: usize| Some(self.size(column, i)).filter(|s| *s >= limit).unwrap_or(0.0);
        match self.detectable(column.place, large) <= 1.0 {
            true => Duty::Find,
            false => Duty::Either,
        }
    }

    /// What becomes of the defects of a kind.
    pub fn report(&self, problem: &str, kind: &Kind) -> Report {
        let outcome = self.outcome(kind);
        let apart = &outcome.apart;
        let is_right = outcome.right as f64 >= 0.999 * outcome.runs as f64
            && outcome.wrongly_called == 0
            && outcome.named == outcome.diagnosed;
        Report {
            line: outcome.line(problem, kind),
            details: outcome.details,
            is_right,
            to_find: outcome.to_find,
            called_apart: apart.called,
        }
    }

    fn outcome(&self, kind: &Kind) -> Outcome {
        let mut outcome = Outcome { worst: 1.0, ..Outcome::default() };
        for injection in &kind.injections {
            self.add(injection, &mut outcome);
        }
        outcome
    }

    fn add(&self, injection: &Injection, outcome: &mut Outcome) {
        let columns = &injection.columns;
        let verdicts: Vec<Verdicts> =
            columns.iter().map(|c| self.judge(c.place, &c.values)).collect();
        let called: Vec<Vec<bool>> = verdicts.iter().map(|v| self.called_in(v)).collect();
        let duties: Vec<Duty> = columns.iter().map(|c| self.duty(c)).collect();
        outcome.injections += 1;
        let mut others: Vec<&Vec<bool>> = Vec::new();
        for (place, runs) in self.called.iter().enumerate() {
            if columns.iter().all(|c| c.place != place) {
                others.push(runs);
            }
        }
        for ((column, duty), called) in columns.iter().zip(&duties).zip(&called) {
            let places = 0..column.values.len();
            let is_touched =
                places.clone().any(|i| self.size(column, i) >= SIZE * (1.0 - ROUNDING));
            outcome.touched += usize::from(is_touched);
            match duty {
                Duty::Find => outcome.to_find += 1,
                Duty::Pass => others.push(called),
                Duty::Either => {
                    outcome.apart.columns += 1;
                    outcome.apart.runs += called.len();
                    outcome.apart.called += called.iter().filter(|c| **c).count();
                    outcome.apart.detectable.push(self.detectable[column.place]);
                }
            }
        }
        let is_false = |run: usize| others.iter().any(|runs| runs[run]);
        let has_missed =
            |run: usize| duties.iter().zip(&called).any(|(duty, c)| *duty == Duty::Find && !c[run]);
        let right = (0..RUNS).filter(|&run| !is_false(run) && !has_missed(run)).count();
        outcome.wrongly_called += (0..RUNS).filter(|&run| is_false(run)).count();
        if duties.contains(&Duty::Find) {
            outcome.runs += RUNS;
            outcome.right += right;
            outcome.worst = outcome.worst.min(right as f64 / RUNS as f64);
        }
        self.name(injection, (&verdicts, &duties), outcome);
    }

    /// Diagnoses the columns that must be found, in successive runs.
    fn name(
        &self,
        injection: &Injection,
        (verdicts, duties): (&[Verdicts], &[Duty]),
        outcome: &mut Outcome,
    ) {
        if matches!(injection.signature, Signature::None) {
            return;
        }
        outcome.has_signature = true;
        if matches!(injection.signature, Signature::Missing) {
            for (column, verdicts) in injection.columns.iter().zip(verdicts) {
                let is_right = |(i, v): (usize, &VerdictKind)| {
                    let known = self.verdicts[column.place][i];
                    let is_missing = column.values[i].is_nan() && known != VerdictKind::Failed;
                    *v == if is_missing { VerdictKind::GradientMissing } else { known }
                };
                outcome.diagnosed += 1;
                outcome.named += usize::from(verdicts.iter().enumerate().all(is_right));
            }
            return;
        }
        for points in &self.successive {
            let found = self.diagnoses(points, injection, verdicts);
            for ((column, duty), diagnosis) in injection.columns.iter().zip(duties).zip(found) {
                let Some(diagnosis) = diagnosis.filter(|_| *duty == Duty::Find) else { continue };
                let is_right = self.material.is_told(&diagnosis.mark, column, &injection.signature);
                outcome.diagnosed += 1;
                outcome.named += usize::from(is_right);
                if !is_right {
                    let id = &self.material.problem.parameters[column.place].id;
                    outcome.details.push(format!("{id}: {diagnosis}"));
                }
            }
        }
    }

    /// Diagnoses of the changed columns that a run calls wrong, as the program makes them.
    fn diagnoses(
        &self,
        points: &[usize],
        injection: &Injection,
        verdicts: &[Verdicts],
    ) -> Vec<Option<Diagnosis>> {
        let material = self.material;
        let (plan, parameters) = (&material.plan, &material.problem.parameters);
        let mut judged_points: Vec<(usize, JudgedPoint)> = Vec::new();
        for &point in points {
            let cell = |&parameter: &ParameterIdx| {
                let place = parameter.position();
                let changed = injection.columns.iter().position(|c| c.place == place);
                let gradient = match changed {
                    Some(c) => injection.columns[c].values[point],
                    None => material.right[place][point],
                };
                let kind = match changed {
                    Some(c) => verdicts[c][point],
                    None => self.verdicts[place][point],
                };
                let estimate = material.estimates[place][point];
                let verdict = gradsweep::check::Verdict { kind, reason: None, failure: None };
                let allowance = material.allowances[place][point];
                JudgedCell { parameter, gradient, estimate, allowance, verdict }
            };
            judged_points.push((
                point,
                JudgedPoint {
                    point: PointIdx::from_position(point),
                    rows: Vec::new(),
                    best: Vec::new(),
                    cells: plan.parameters.iter().map(cell).collect(),
                },
            ));
        }
        let samples: Vec<Sample> = judged_points
            .iter()
            .filter(|(_, j)| j.cells.iter().any(|c| c.verdict.kind == VerdictKind::Fail))
            .map(|(point, judged)| Sample {
                theta: material.theta[*point].clone(),
                cells: judged.cells.iter().map(sample_cell).collect(),
            })
            .collect();
        let count =
            |verdicts: &Verdicts, kind| points.iter().filter(|&&i| verdicts[i] == kind).count();
        let is_called = |verdicts: &Verdicts| {
            let failed = count(verdicts, VerdictKind::Fail);
            let decided = failed + count(verdicts, VerdictKind::Pass);
            is_consistent(failed, decided, plan.confidence, plan.consistent)
        };
        let called: Vec<usize> = (injection.columns.iter().zip(verdicts))
            .filter(|(_, verdicts)| is_called(verdicts))
            .map(|(column, _)| column.place)
            .collect();
        let mut failing = FailingPoints::new(&plan.parameters);
        for (point, judged) in &judged_points {
            failing.add(&material.theta[*point], judged, None);
        }
        failing.retain(|parameter| called.contains(&parameter.position()));
        let mut attributions = Vec::new();
        for (groups, parts) in &material.by {
            let count = groups.names.len();
            let Ok(found) = attribute_by(&failing, groups, usize::MAX, &mut |thetas, wanted| {
                let of_point = |theta: &Vec<f64>| {
                    let bits: Vec<u64> = theta.iter().map(|v| v.to_bits()).collect();
                    some_of(&parts[self.place_of[&bits]], wanted, count)
                };
                Ok::<_, Infallible>(thetas.iter().map(of_point).collect())
            });
            attributions.extend(found);
        }
        let found = findings(&attributions);
        let diagnosis = |column: &Column| {
            if !called.contains(&column.place) {
                return None;
            }
            let known = diagnose(column.place, &plan.parameters, parameters, &samples);
            let finding = found.iter().find(|f| f.parameter.position() == column.place);
            match finding {
                Some(finding) => Some(Diagnosis::improved(known, finding)),
                None => known,
            }
        };
        injection.columns.iter().map(diagnosis).collect()
    }
}

impl Outcome {
    fn line(&self, problem: &str, kind: &Kind) -> String {
        if kind.injections.is_empty() {
            return format!("| {problem} | {} | {} ||||||||||", kind.name, kind.absence);
        }
        let part = |a: usize, b: usize| match b {
            0 => "–".to_owned(),
            _ => format!("{:.4}", a as f64 / b as f64),
        };
        let apart = &self.apart;
        let least = apart.detectable.iter().copied().fold(f64::INFINITY, f64::min);
        let most = apart.detectable.iter().copied().fold(0.0, f64::max);
        let number = |e: f64| if e.is_finite() { format!("{e:.1e}") } else { "∞".to_owned() };
        let (least, most) = (number(least), number(most));
        let cells = [
            problem.to_owned(),
            kind.name.clone(),
            self.injections.to_string(),
            self.touched.to_string(),
            self.to_find.to_string(),
            part(self.right, self.runs),
            if self.runs == 0 { "–".to_owned() } else { format!("{:.3}", self.worst) },
            self.wrongly_called.to_string(),
            apart.columns.to_string(),
            match apart.columns {
                0 => "–".to_owned(),
                _ if least == most => least,
                _ => format!("{least} to {most}"),
            },
            part(apart.called, apart.runs),
            match self.has_signature {
                true => format!("{} of {}", self.named, self.diagnosed),
                false => "no signature".to_owned(),
            },
        ];
        format!("| {} |", cells.join(" | "))
    }
}

fn sample_cell(cell: &JudgedCell) -> SampleCell {
    SampleCell {
        gradient: cell.gradient,
        estimate: cell.estimate.map_or(f64::NAN, |e| e.value),
        bound: cell.estimate.map_or(f64::NAN, |e| e.bound + e.floor),
        has_failed: cell.verdict.kind == VerdictKind::Fail,
    }
}

/// The derivatives of some parameters.
fn some_of(parts: &PointParts, wanted: &[ParameterIdx], count: usize) -> PointParts {
    let pick = |all: &[f64]| -> Vec<f64> {
        if all.is_empty() {
            return Vec::new();
        }
        let of = |p: &ParameterIdx| all[p.position() * count..][..count].to_vec();
        wanted.iter().flat_map(of).collect()
    };
    PointParts {
        gradient: pick(&parts.gradient),
        noise_gradient: pick(&parts.noise_gradient),
        log_sigma_gradient: pick(&parts.log_sigma_gradient),
        pairs: Vec::new(),
    }
}

/// So many different points of all.
fn sample(generator: &mut Pcg64, count: usize) -> Vec<usize> {
    let mut all: Vec<usize> = (0..count).collect();
    let wanted = POINTS.min(count);
    for k in 0..wanted {
        // The bias of the remainder is below 2⁻⁵⁰.
        let other = k + (generator.next_u64() % (count - k) as u64) as usize;
        all.swap(k, other);
    }
    all.truncate(wanted);
    all
}
