//! Checking another tool's second derivatives: each (point, parameter, parameter) is a cell.
//!
//! An entry of a Hessian is compared with differences of our own gradient's component, its row, when
//! the parameter of its column moves. A Gauss–Newton or Fisher matrix is compared with our own.

use super::attribution::Finding;
use super::estimate::{Differences as Kind, Estimate, NOISE_FACTOR, Rung};
use super::hessian_marks::{HessianMark, MarkCounts, Suspect};
use super::parts::{PartCell, WorstCell, checked_estimate, part_rung};
use super::refinement::{unit_step, wide_step};
use super::run::{CheckPlan, CheckSummary, DISCRETISATION_FACTOR};
use super::statistics::{CellSummary, ParameterStatistics, adjust, parameter_statistics};
use super::verdict::{Cell, Side, Verdict, VerdictKind, judge, negligible};
use crate::engine::EngineError;
use crate::index::{ParameterIdx, PointIdx};
use crate::sweep::{
    CurvatureChunk, Differences, Evaluator, Failure, GradientPairs, PointCurvature, PointResult,
    Products, no_further_eps, wants_none,
};
use rayon::prelude::*;

/// What a matrix of second derivatives is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HessianKind {
    /// All second derivatives of the objective.
    Full,
    /// Σ ∂z/∂θᵢ·∂z/∂θⱼ over the residuals z = (h(y) − h(m))/σ.
    GaussNewton,
    /// The Fisher information of the likelihood.
    Fisher,
}

/// The matrix to judge.
pub enum HessianSource<'a> {
    /// The second derivatives that the evaluator has of its own.
    Own,
    /// Another tool's.
    Foreign(ForeignHessian<'a>),
}

impl HessianSource<'_> {
    fn kind(&self) -> HessianKind {
        match self {
            Self::Own => HessianKind::Full,
            Self::Foreign(foreign) => foreign.kind,
        }
    }

    /// Accuracy that is claimed, relative to the magnitudes of the terms of an entry.
    fn rtol(&self) -> f64 {
        match self {
            Self::Own => 0.0,
            Self::Foreign(foreign) => foreign.rtol,
        }
    }
}

/// A matrix from another tool.
pub struct ForeignHessian<'a> {
    pub kind: HessianKind,
    /// (point, row, column); NaN where it is absent.
    pub value: &'a (dyn Fn(PointIdx, ParameterIdx, ParameterIdx) -> f64 + Sync),
    /// Accuracy that is claimed, relative to the magnitudes of the terms of an entry.
    pub rtol: f64,
    /// Our own at tighter tolerances: what it changes by, twice, a right matrix may be off by.
    pub tight: &'a Evaluator<'a>,
}

/// One cell (point × row × column), judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HessianCell {
    pub row: ParameterIdx,
    pub column: ParameterIdx,
    /// NaN where it is absent.
    pub value: f64,
    pub estimate: Option<Estimate>,
    /// Error that the value may have where it is right.
    pub allowance: f64,
    pub verdict: Verdict,
    /// The mistake that would explain a failing value.
    pub mark: Option<HessianMark>,
}

/// A point with the cells of some columns.
pub struct JudgedHessian<'a> {
    pub point: PointIdx,
    pub result: &'a PointResult,
    /// Whether these are the first columns of the point.
    pub is_first: bool,
    /// `[column][row]`, each in the order of the plan.
    pub cells: Vec<HessianCell>,
}

/// What all points say of an entry.
#[derive(Debug, Clone, PartialEq)]
pub struct PairStatistics {
    pub row: ParameterIdx,
    pub column: ParameterIdx,
    pub statistics: ParameterStatistics,
    /// The cell that deviates most.
    pub worst: Option<WorstCell>,
    /// What is likely wrong, where it fails consistently.
    pub mark: Option<HessianMark>,
    /// Which rows it comes from, where it fails consistently and that was found.
    pub finding: Option<Finding>,
}

/// What all points together say.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HessianSummary {
    /// How points were simulated; no statistics of parameters.
    pub points: CheckSummary,
    /// `[column][row]`, each in the order of the plan.
    pub pairs: Vec<PairStatistics>,
}

impl HessianSummary {
    /// The entries, those that fail most and deviate most first.
    pub fn worst_first(&self) -> Vec<&PairStatistics> {
        let mut sorted: Vec<&PairStatistics> = self.pairs.iter().collect();
        let error = |pair: &PairStatistics| pair.worst.map_or(0.0, |worst| worst.error);
        sorted.sort_by(|a, b| {
            let failing = |pair: &PairStatistics| {
                (pair.statistics.is_consistent_failure, pair.count(VerdictKind::Fail))
            };
            failing(b).cmp(&failing(a)).then(error(b).total_cmp(&error(a)))
        });
        sorted
    }
}

impl PairStatistics {
    /// What is likely wrong, in words: a known mistake, or else the rows that it comes from.
    pub fn diagnosis(&self) -> Option<String> {
        let of_rows = || self.finding.as_ref().map(|found| found.claim.of(&found.source));
        self.mark.map(|mark| mark.to_string()).or_else(of_rows)
    }

    /// Points of a class.
    pub fn count(&self, kind: VerdictKind) -> usize {
        let place = VerdictKind::ALL.iter().position(|k| *k == kind);
        place.map_or(0, |place| self.statistics.counts[place])
    }
}

/// Memory that cells and differences held at once may take; those of one column may take more.
const MOST_BYTES: usize = 1 << 28;
/// The step, of those there are, over which our own Hessian is compared with that at tighter
/// tolerances, and the terms' magnitudes are taken: its truncation is the same in both.
const PLAIN_EPS: f64 = 1e-3;

/// Part of the magnitudes of a gradient's terms below which an entry is not called wrong. Where a
/// parameter moves the states by that little, some of what it does is lost in the rounding of states
/// that are far larger, and it is lost in all differences alike: no bound shows it. With
/// Brannmark_JBC2010 estimates in both orders of the parameters, each sure to some digits more, were
/// seen to be apart by 4e-10 of the terms; this is five times that.
const HIDDEN: f64 = 2e-9;

/// Times that the rounding errors of our own first derivatives, as two programs show it, may enter an
/// entry: two samples of an error may by chance be close to each other.
const FIRST_DERIVATIVES: f64 = 10.0;

/// Checks a matrix at all points; `sink` gets every point in order, with as many columns at once as
/// fit in memory.
///
/// # Errors
/// An engine's failure, or the first error of `sink`.
pub fn check_hessian<E: From<EngineError>>(
    evaluator: &Evaluator<'_>,
    theta_scaled: &[Vec<f64>],
    plan: &CheckPlan,
    source: &HessianSource<'_>,
    sink: &mut dyn FnMut(&JudgedHessian<'_>) -> Result<(), E>,
) -> Result<HessianSummary, E> {
    let count = plan.parameters.len();
    let known = &evaluator.problem().parameters;
    let further = |theta: &[f64], parameter| plan.further_eps(unit_step(known, theta, parameter));
    // Of a column: what the statistics keep of all points, and the differences of a single one.
    let kept = theta_scaled.len() * count * size_of::<CellSummary>();
    let differences = (plan.eps.len() + plan.most_further()) * size_of::<Differences>();
    let of_point = count * (differences + size_of::<HessianCell>());
    let block = (MOST_BYTES / (kept + of_point).max(1)).clamp(1, count.max(1));
    let most = (MOST_BYTES / (of_point * block).max(1)).max(1);
    let chunk = evaluator.points_per_chunk(&plan.parameters, plan.eps.len()).min(most);
    let wants = |theta: &[f64], parameter, ladder: &[(f64, Differences)]| {
        plan.part_wants_further(ladder, unit_step(known, theta, parameter))
    };
    let distance = |eps: &f64| (eps / PLAIN_EPS).ln().abs();
    let plain_eps = plan.eps.iter().copied().min_by(|a, b| distance(a).total_cmp(&distance(b)));
    let (eps, plain): (&[f64], Vec<f64>) = match source.kind() {
        HessianKind::Full => (&plan.eps, plain_eps.into_iter().collect()),
        HessianKind::GaussNewton | HessianKind::Fisher => (&[], Vec::new()),
    };
    let mut summary = HessianSummary::default();
    for (b, columns) in plan.parameters.chunks(block).enumerate() {
        let mut tallies: Vec<Tally> = vec![Tally::default(); columns.len() * count];
        for (number, points) in theta_scaled.chunks(chunk).enumerate() {
            let asked = (columns, plan.parameters.as_slice());
            let evaluated = evaluator.curvatures(points, asked, eps, (&further, &wants))?;
            let tight = match source {
                HessianSource::Own => None,
                HessianSource::Foreign(ForeignHessian { tight, .. }) => {
                    Some(tight.curvatures(points, asked, &plain, (&no_further_eps, &wants_none))?)
                }
            };
            for CurvatureChunk { lanes, steps, .. } in std::iter::once(&evaluated).chain(&tight) {
                summary.points.effort.count(*lanes, *steps);
            }
            let judged: Vec<Vec<HessianCell>> = (0..points.len())
                .into_par_iter()
                .map(|i| {
                    let at = AtPoint {
                        point: PointIdx::from_position(number * chunk + i),
                        theta_scaled: &points[i],
                        result: &evaluated.points[i],
                        own: &evaluated.curvatures[i],
                        tight: tight.as_ref().map(|tight| &tight.curvatures[i]),
                        plain_eps: plain.first().copied(),
                        evaluator,
                        plan,
                        source,
                    };
                    at.judge(columns)
                })
                .collect();
            for (i, (cells, result)) in judged.into_iter().zip(&evaluated.points).enumerate() {
                let point = PointIdx::from_position(number * chunk + i);
                if b == 0 {
                    summary.points.points += 1;
                    summary.points.add(result);
                }
                for (tally, cell) in tallies.iter_mut().zip(&cells) {
                    tally.add(point, cell, &points[i], plan);
                }
                sink(&JudgedHessian { point, result, is_first: b == 0, cells })?;
            }
        }
        for (place, tally) in tallies.into_iter().enumerate() {
            let (row, column) = (plan.parameters[place % count], columns[place / count]);
            summary.pairs.push(tally.finish(row, column, plan));
        }
    }
    // Where the Fisher information is 0, an entry of 0 is the same mistake.
    if summary.pairs.iter().any(|pair| pair.mark == Some(HessianMark::Fisher)) {
        let zeros = summary.pairs.iter_mut().filter(|pair| pair.mark == Some(HessianMark::Zero));
        zeros.for_each(|pair| pair.mark = Some(HessianMark::Fisher));
    }
    let mut statistics: Vec<ParameterStatistics> =
        summary.pairs.iter().map(|pair| pair.statistics.clone()).collect();
    adjust(&mut statistics);
    for (pair, statistics) in summary.pairs.iter_mut().zip(statistics) {
        pair.statistics = statistics;
    }
    Ok(summary)
}

/// What is gathered of an entry.
#[derive(Debug, Clone, Default)]
struct Tally {
    cells: Vec<CellSummary>,
    worst: Option<WorstCell>,
    marks: MarkCounts,
}

impl Tally {
    fn add(&mut self, point: PointIdx, cell: &HessianCell, theta: &[f64], plan: &CheckPlan) {
        let estimate = cell.estimate;
        self.cells.push(CellSummary {
            kind: cell.verdict.kind,
            reason: cell.verdict.reason,
            is_one_sided: estimate.is_some_and(|e| e.differences != Kind::Central),
            value: theta[cell.column.position()],
            gradient: cell.value,
            estimate: estimate.map_or(f64::NAN, |e| e.value),
            threshold: estimate
                .map_or(f64::INFINITY, |e| plan.criteria.threshold(&e, cell.allowance)),
        });
        let (gradient, verdict) = (cell.value, cell.verdict);
        WorstCell::offer(
            &mut self.worst,
            point,
            &PartCell { part: 0, gradient, estimate, allowance: cell.allowance, verdict },
        );
        if verdict.kind == VerdictKind::Fail {
            self.marks.add(cell.mark);
        }
    }

    fn finish(self, row: ParameterIdx, column: ParameterIdx, plan: &CheckPlan) -> PairStatistics {
        let statistics =
            parameter_statistics(column, &self.cells, &[], plan.confidence, plan.consistent);
        let mark = self.marks.prevailing().filter(|_| statistics.is_consistent_failure);
        PairStatistics { row, column, statistics, worst: self.worst, mark, finding: None }
    }
}

/// A point to judge.
struct AtPoint<'a> {
    point: PointIdx,
    theta_scaled: &'a [f64],
    result: &'a PointResult,
    own: &'a PointCurvature,
    tight: Option<&'a PointCurvature>,
    plain_eps: Option<f64>,
    evaluator: &'a Evaluator<'a>,
    plan: &'a CheckPlan,
    source: &'a HessianSource<'a>,
}

impl AtPoint<'_> {
    /// The cells of some columns, `[column][row]`.
    fn judge(&self, columns: &[ParameterIdx]) -> Vec<HessianCell> {
        let mut cells = Vec::with_capacity(columns.len() * self.plan.parameters.len());
        for (k, &column) in columns.iter().enumerate() {
            let of_column = |pair: &&GradientPairs| pair.parameter == column;
            let pairs: Vec<&GradientPairs> = self.own.pairs.iter().filter(of_column).collect();
            let sides = [0, 1].map(|which| {
                let failures = || pairs.iter().map(|pair| pair.failures[which]);
                let first: Option<Failure> = failures().flatten().next();
                Side { failure: first, is_missing: failures().all(|f| f.is_some()) }
            });
            for (i, &row) in self.plan.parameters.iter().enumerate() {
                let (estimate, allowance) = match self.source.kind() {
                    HessianKind::Full => self.by_differences(&pairs, column, (k, i)),
                    HessianKind::GaussNewton => {
                        self.by_products((k, i), |curvature| &curvature.gauss_newton)
                    }
                    HessianKind::Fisher => self.by_products((k, i), |curvature| &curvature.fisher),
                };
                let value = match self.source {
                    HessianSource::Own => {
                        let place = k * self.plan.parameters.len() + i;
                        self.own.hessian.values.get(place).copied().unwrap_or(f64::NAN)
                    }
                    HessianSource::Foreign(foreign) => (foreign.value)(self.point, row, column),
                };
                let cell = Cell {
                    gradient: value,
                    estimate,
                    allowance,
                    negligible: negligible(
                        self.result.objective.unwrap_or_default(),
                        self.wide_step(row) * self.wide_step(column),
                    ),
                    base: self.result.objective.err(),
                    plus: sides[0],
                    minus: sides[1],
                };
                let verdict = judge(&cell, &self.plan.criteria);
                let mark = match (verdict.kind, estimate) {
                    (VerdictKind::Fail, Some(estimate)) => {
                        self.mark(value, &estimate, allowance, (k, i), (row, column))
                    }
                    _ => None,
                };
                cells.push(HessianCell { row, column, value, estimate, allowance, verdict, mark });
            }
        }
        cells
    }

    fn unit_step(&self, parameter: ParameterIdx) -> f64 {
        unit_step(&self.evaluator.problem().parameters, self.theta_scaled, parameter)
    }

    fn wide_step(&self, parameter: ParameterIdx) -> f64 {
        wide_step(&self.evaluator.problem().parameters, self.theta_scaled, parameter)
    }

    /// The estimate of the i-th component's derivative, and what a file may be off by.
    fn by_differences(
        &self,
        pairs: &[&GradientPairs],
        column: ParameterIdx,
        (k, i): (usize, usize),
    ) -> (Option<Estimate>, f64) {
        let rung = |pair: &&GradientPairs| part_rung(pair.eps, &pair.components[i]);
        let ladder: Vec<Rung> = pairs.iter().map(rung).collect();
        let estimate = checked_estimate(&ladder, self.unit_step(column));
        // Rounding errors are those of the terms' last digits over the step.
        let of_terms = pairs
            .first()
            .map_or(0.0, |pair| pair.components[i].round_off * pair.eps / f64::EPSILON);
        let place = k * self.plan.parameters.len() + i;
        // Of our own only: those of a file are held to what differences show.
        let resolution = match self.source {
            HessianSource::Own => self.own.resolution.get(place).copied().unwrap_or(0.0),
            HessianSource::Foreign(_) => 0.0,
        };
        let lost = HIDDEN * of_terms + f64::EPSILON * resolution;
        let estimate = estimate.map(|e| Estimate { floor: e.floor + lost, ..e });
        let is_plain =
            |pair: &&GradientPairs| pair.parameter == column && Some(pair.eps) == self.plain_eps;
        let of = |pair: &GradientPairs| (pair.components[i], pair.magnitudes[i]);
        let own = pairs.iter().copied().find(is_plain).map(of);
        let tight = self.tight.and_then(|tight| tight.pairs.iter().find(is_plain).map(of));
        let change = match (own, tight) {
            (Some((own, _)), Some((tight, _))) => {
                let changes = [
                    own.central - tight.central,
                    own.forward - tight.forward,
                    own.backward - tight.backward,
                ];
                changes.into_iter().find(|change| change.is_finite()).unwrap_or(0.0).abs()
            }
            _ => 0.0,
        };
        let rounding = self.own.hessian.noise.get(place).copied().unwrap_or(0.0);
        let size = estimate.map_or(0.0, |e| e.value.abs());
        let magnitude = own.map_or(size, |(_, magnitude)| magnitude).max(size);
        (
            estimate,
            DISCRETISATION_FACTOR * change
                + self.source.rtol() * magnitude
                + FIRST_DERIVATIVES * rounding,
        )
    }

    /// Our own matrix as an estimate whose error is that of rounding, and what a file may be off by.
    fn by_products(
        &self,
        (column, row): (usize, usize),
        of: impl Fn(&PointCurvature) -> &Products,
    ) -> (Option<Estimate>, f64) {
        let place = column * self.plan.parameters.len() + row;
        let own = of(self.own);
        let Some((&value, &magnitude)) = own.values.get(place).zip(own.magnitudes.get(place))
        else {
            return (None, 0.0);
        };
        let tight = self.tight.and_then(|tight| of(tight).values.get(place));
        let tight = tight.map_or(0.0, |tight| (value - tight).abs());
        let noise = NOISE_FACTOR * f64::EPSILON * magnitude;
        let estimate = Estimate {
            value,
            bound: noise,
            noise_bound: noise,
            floor: 0.0,
            eps: 0.0,
            noise: 0.0,
            explained_noise: 0.0,
            is_kink: false,
            differences: Kind::Central,
        };
        (Some(estimate), DISCRETISATION_FACTOR * tight + self.source.rtol() * magnitude)
    }

    fn mark(
        &self,
        value: f64,
        estimate: &Estimate,
        allowance: f64,
        (k, i): (usize, usize),
        (row, column): (ParameterIdx, ParameterIdx),
    ) -> Option<HessianMark> {
        let place = k * self.plan.parameters.len() + i;
        let criteria = &self.plan.criteria;
        let size = value.abs().max(estimate.value.abs());
        let is_full = self.source.kind() == HessianKind::Full;
        let of = |products: &Products| products.values.get(place).copied().filter(|_| is_full);
        let gradient = (is_full && row == column)
            .then(|| self.result.gradient.as_ref().map(|g| g[row.position()]))
            .flatten();
        Suspect {
            value,
            estimate: estimate.value,
            tolerance: criteria.rtol * size + criteria.atol + estimate.bound + allowance,
            gradient,
            scale: self.evaluator.problem().parameters[row.position()].scale,
            gauss_newton: of(&self.own.gauss_newton),
            fisher: of(&self.own.fisher),
        }
        .mark()
    }
}
