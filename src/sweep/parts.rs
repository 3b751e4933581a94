//! The objective part by part: sums over some measurement rows each, and the priors.
//!
//! Differences and derivatives are those of [`score`](super::score), summed by part instead of over
//! all rows. A part whose rows a failed simulation has is NaN; the others are not lost with it.

use super::evaluator::{Evaluator, MOST_BYTES};
use super::part::{Part, sums};
use super::result::PointResult;
use super::score::{Affected, Moved, Scorer};
use crate::engine::EngineError;
use crate::gradient::PartGradients;
use crate::index::{ParameterIdx, RowIdx, SimulationIdx};
use crate::objective::{Measure, NoiseModel, Prediction};
use rayon::prelude::*;

/// Which rows make a part, and what of them is summed.
#[derive(Debug, Clone, Copy)]
pub struct Partition<'a> {
    pub measure: Measure,
    /// The part of each row, counted through all models.
    pub part_of: &'a [usize],
    pub count: usize,
    /// The part that the priors make; none where they are left out.
    pub prior: Option<usize>,
    /// Whether to tell what of the derivatives comes through sigma.
    pub with_noise: bool,
}

/// Paired differences of a part over one step, with what the rounding of predictions may do to the
/// central one; see [`ProbePair`](super::ProbePair).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Differences {
    pub forward: f64,
    pub backward: f64,
    pub central: f64,
    pub round_off: f64,
    pub unmoved_round_off: f64,
    pub unreached_round_off: f64,
    pub step_noise: f64,
}

/// All parts with one parameter moved.
#[derive(Debug, Clone, PartialEq)]
pub struct PartPairs {
    pub parameter: ParameterIdx,
    /// Step on the parameter scale.
    pub eps: f64,
    /// By part.
    pub parts: Vec<Differences>,
}

/// The parts of a point.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PointParts {
    /// Own derivatives on the parameter scale, `[parameter asked for][part]`; empty where there is
    /// no gradient or the point failed.
    pub gradient: Vec<f64>,
    /// What of them comes through sigma, where that was asked for.
    pub noise_gradient: Vec<f64>,
    /// What of that comes through the likelihood's term ln σ alone.
    pub log_sigma_gradient: Vec<f64>,
    /// By parameter and eps asked for, then the further ones; empty where the point failed.
    pub pairs: Vec<PartPairs>,
}

/// Points that were evaluated together, part by part.
#[derive(Default)]
pub struct PartsChunk {
    pub points: Vec<PointResult>,
    pub parts: Vec<PointParts>,
    /// Integrations done for them, and attempted steps of all these.
    pub lanes: u64,
    pub steps: u64,
}

/// Further eps of a parameter at a point, which is on the parameter scale.
pub type FurtherEps<'a> = dyn Fn(&[f64], ParameterIdx) -> Vec<f64> + 'a;

/// No further eps.
pub fn no_further_eps(_: &[f64], _: ParameterIdx) -> Vec<f64> {
    Vec::new()
}

/// Whether the differences of a part, as a parameter moves at a point, ask for further eps. The point is on
/// the parameter scale.
pub type WantsFurther<'a> = dyn Fn(&[f64], ParameterIdx, &[(f64, Differences)]) -> bool + 'a;

/// Never.
pub fn wants_none(_: &[f64], _: ParameterIdx, _: &[(f64, Differences)]) -> bool {
    false
}

impl Evaluator<'_> {
    /// Objective, gradient and differences of each point as [`evaluate`](Self::evaluate) gives them
    /// without refinement, and those of its parts. Where a part of a parameter `wants` them, all
    /// parts of that parameter get differences with the `further` eps, too.
    ///
    /// # Errors
    /// An engine's failure.
    pub fn evaluate_parts(
        &self,
        points: &[Vec<f64>],
        parameters: &[ParameterIdx],
        eps: &[f64],
        partition: &Partition<'_>,
        (further, wants): (&FurtherEps<'_>, &WantsFurther<'_>),
    ) -> Result<PartsChunk, EngineError> {
        let most = (MOST_BYTES / self.bytes_per_point(parameters, eps.len()).max(1)).max(1);
        let mut all = PartsChunk::default();
        for points in points.chunks(most) {
            let mut models = Vec::with_capacity(1 + self.others.len());
            let mut first = 0;
            for evaluator in std::iter::once(self).chain(&self.others) {
                let mine = (partition, first);
                models.push((
                    first,
                    Part::evaluate(evaluator, points, parameters, eps, (Some(mine), None))?,
                ));
                first += evaluator.problem.own_counts().1;
            }
            let (firsts, mut models): (Vec<usize>, Vec<Part<'_, '_>>) = models.into_iter().unzip();
            let mut requests = Vec::new();
            for (point, parts) in added(&models).iter().enumerate() {
                for pairs in parts.pairs.chunks(eps.len().max(1)) {
                    let parameter = pairs[0].parameter;
                    let wants = |ladder: &_| wants(&points[point], parameter, ladder);
                    if parts_want(pairs, partition.count, wants) {
                        let further = further(&points[point], parameter);
                        requests.extend(further.into_iter().map(|e| (point, parameter, e)));
                    }
                }
            }
            if !requests.is_empty() {
                for (model, first) in models.iter_mut().zip(firsts) {
                    model.refine_parts(points, parameters, &requests, (partition, first))?;
                }
            }
            all.lanes += models.iter().map(|part| part.lanes).sum::<u64>();
            all.steps += models.iter().map(|part| part.steps).sum::<u64>();
            all.parts.extend(added(&models));
            all.points.extend(sums(&models).into_owned());
        }
        Ok(all)
    }

    /// Whether moving the parameter can change each row, counted through all models.
    pub fn reached_rows(&self, parameter: ParameterIdx) -> Vec<bool> {
        let of_model = |evaluator: &Evaluator<'_>| -> Vec<bool> {
            (0..evaluator.problem.rows.len())
                .map(|r| {
                    let on = evaluator.objective.dependence(parameter, RowIdx::from_position(r));
                    on.y || on.sigma
                })
                .collect()
        };
        std::iter::once(self).chain(&self.others).flat_map(of_model).collect()
    }
}

fn parts_want(
    pairs: &[PartPairs],
    count: usize,
    wants: impl Fn(&[(f64, Differences)]) -> bool,
) -> bool {
    (0..count).any(|part| {
        let ladder: Vec<(f64, Differences)> =
            pairs.iter().map(|pair| (pair.eps, pair.parts[part])).collect();
        wants(&ladder)
    })
}

/// The sums over all models, point by point.
fn added(models: &[Part<'_, '_>]) -> Vec<PointParts> {
    let [first, others @ ..] = models else { return Vec::new() };
    let mut totals = first.parts.clone();
    for other in others {
        for (total, parts) in totals.iter_mut().zip(&other.parts) {
            total.add(parts);
        }
    }
    totals
}

impl Scorer<'_> {
    /// The parts of all points that have been scored.
    pub(super) fn score_parts(
        &self,
        results: &[PointResult],
        partition: &Partition<'_>,
        first_row: usize,
    ) -> Vec<PointParts> {
        let affected: Vec<Affected> = self.parameters.iter().map(|&p| self.affected(p)).collect();
        let first_move = self.first_moves();
        results
            .par_iter()
            .enumerate()
            .map(|(point, result)| {
                if result.objective.is_err() {
                    return PointParts::default();
                }
                let tolerances = self.tolerance_noise(point, partition.measure);
                let mut parts = PointParts::default();
                let mut number = first_move[point];
                for (&parameter, affected) in self.parameters.iter().zip(&affected) {
                    for &eps in self.eps {
                        let moved = MovedPair { parameter, eps, point, number };
                        number += 2;
                        let known = (result.predictions.as_slice(), tolerances.as_slice());
                        parts.pairs.push(self.part_pairs(
                            moved,
                            affected,
                            known,
                            (partition, first_row),
                        ));
                    }
                }
                if self.wants_gradient {
                    let measure = partition.measure;
                    let all = |model: NoiseModel, measured, prediction| {
                        measure.derivatives(model, measured, prediction)
                    };
                    parts.gradient = self.part_gradient(point, (partition, first_row), all);
                    self.add_priors(point, partition, &mut parts.gradient);
                    if partition.with_noise {
                        let through_sigma = |model: NoiseModel, measured, prediction| {
                            (0.0, measure.derivatives(model, measured, prediction).1)
                        };
                        parts.noise_gradient =
                            self.part_gradient(point, (partition, first_row), through_sigma);
                        let through_log_sigma =
                            |_, _, prediction: Prediction| (0.0, 1.0 / prediction.sigma);
                        parts.log_sigma_gradient =
                            self.part_gradient(point, (partition, first_row), through_log_sigma);
                    }
                }
                parts
            })
            .collect()
    }

    /// Adds differences of parts with further eps: `requests` are (point, parameter, eps), a pair of
    /// moves each, in order.
    pub(super) fn score_further_parts(
        &self,
        requests: &[(usize, ParameterIdx, f64)],
        results: &[PointResult],
        partition: (&Partition<'_>, usize),
        parts: &mut [PointParts],
    ) {
        let affected: Vec<Affected> = self.parameters.iter().map(|&p| self.affected(p)).collect();
        let mut tolerances = vec![Vec::new(); results.len()];
        for &(point, ..) in requests {
            if tolerances[point].is_empty() {
                tolerances[point] = self.tolerance_noise(point, partition.0.measure);
            }
        }
        let mut pairs: Vec<(usize, PartPairs)> = requests
            .par_iter()
            .enumerate()
            .filter_map(|(i, &(point, parameter, eps))| {
                let j = self.parameters.iter().position(|p| *p == parameter)?;
                let moved = MovedPair { parameter, eps, point, number: 2 * i };
                let known = (results[point].predictions.as_slice(), tolerances[point].as_slice());
                Some((point, self.part_pairs(moved, &affected[j], known, partition)))
            })
            .collect();
        for (point, pair) in pairs.drain(..) {
            parts[point].pairs.push(pair);
        }
    }

    fn part_gradient(
        &self,
        point: usize,
        (partition, first_row): (&Partition<'_>, usize),
        derivatives: impl Fn(NoiseModel, f64, Prediction) -> (f64, f64),
    ) -> Vec<f64> {
        let linear = &self.linear[point];
        let mut gradient = PartGradients::new(
            self.problem,
            self.objective,
            linear,
            self.parameters,
            partition.count,
        );
        let part_of = |row: RowIdx| partition.part_of[first_row + row.position()];
        self.for_each_simulation(point, |outputs| {
            gradient.add_simulation(outputs, &part_of, &derivatives);
        });
        gradient.finish()
    }

    fn add_priors(&self, point: usize, partition: &Partition<'_>, gradient: &mut [f64]) {
        let Some(part) = partition.prior else { return };
        for (of_parameter, p) in gradient.chunks_mut(partition.count).zip(self.parameters) {
            let place = p.position();
            let (theta, linear) = (self.points[point][place], self.linear[point][place]);
            of_parameter[part] += self.problem.priors.terms()[place].derivative(theta, linear);
        }
    }

    fn part_pairs(
        &self,
        MovedPair { parameter, eps, point, number }: MovedPair,
        affected: &Affected,
        (base, tolerances): (&[Prediction], &[f64]),
        (partition, first_row): (&Partition<'_>, usize),
    ) -> PartPairs {
        let moves = [number, number + 1];
        let [plus, minus] = moves.map(|m| self.predict_moved(point, m, &affected.rows));
        let failed = moves.map(|m| self.failed_lanes(m).map(|(s, _)| s).collect::<Vec<_>>());
        let place = parameter.position();
        let scale = self.problem.parameters[place].scale;
        let here = (self.points[point][place], self.linear[point][place]);
        let steps = Steps {
            forward: scale.distance(plus.coordinate.1, here.1),
            backward: scale.distance(here.1, minus.coordinate.1),
            central: scale.distance(plus.coordinate.1, minus.coordinate.1),
        };
        let mut parts = vec![Differences::default(); partition.count];
        for (i, &r) in affected.rows.iter().enumerate() {
            let row = &self.problem.rows[r.position()];
            let part = &mut parts[partition.part_of[first_row + r.position()]];
            let lost = Prediction { y: f64::NAN, sigma: f64::NAN };
            let at = |moved: &Moved, failed: &[SimulationIdx]| {
                if failed.contains(&row.simulation) { lost } else { moved.predictions[i] }
            };
            let (plus, minus) = (at(&plus, &failed[0]), at(&minus, &failed[1]));
            let here = base[r.position()];
            let model = self.noise_model(r);
            let difference = |to, from| partition.measure.difference(model, row.measured, to, from);
            part.forward += difference(plus, here);
            part.backward += difference(here, minus);
            part.central += difference(plus, minus);
            part.step_noise += tolerances.get(r.position()).copied().unwrap_or(0.0) / eps;
            let (l_y, l_sigma) = partition.measure.derivatives(model, row.measured, here);
            let is_reached = affected.is_direct[i]
                || plus != minus
                || !self.have_same_states(point, r, moves.map(Some));
            let on = affected.dependences[i];
            for (can_change, size, is_same) in [
                (on.y, l_y * here.y, plus.y == minus.y),
                (on.sigma, l_sigma * here.sigma, plus.sigma == minus.sigma),
            ] {
                let size = size.abs() * f64::EPSILON / eps;
                match (can_change, is_reached) {
                    (false, _) => {}
                    (true, false) => part.unreached_round_off += size,
                    (true, true) => {
                        part.round_off += size;
                        part.unmoved_round_off += if is_same { size } else { 0.0 };
                    }
                }
            }
        }
        if let Some(part) = partition.prior {
            let of_prior = |to, from| self.problem.priors.difference(parameter, to, from);
            let part = &mut parts[part];
            part.forward += of_prior(plus.coordinate, here);
            part.backward += of_prior(here, minus.coordinate);
            part.central += of_prior(plus.coordinate, minus.coordinate);
            let prior = self.problem.priors.terms()[place].value(here.0, here.1);
            part.round_off += prior.abs() * f64::EPSILON / eps;
        }
        for part in &mut parts {
            part.forward /= steps.forward;
            part.backward /= steps.backward;
            part.central /= steps.central;
        }
        PartPairs { parameter, eps, parts }
    }
}

/// A point's two probes along one parameter.
#[derive(Clone, Copy)]
struct MovedPair {
    parameter: ParameterIdx,
    eps: f64,
    point: usize,
    /// Number of the upper probe's move; the lower one's follows.
    number: usize,
}

/// The steps that were really taken, on the parameter scale.
struct Steps {
    forward: f64,
    backward: f64,
    central: f64,
}

impl Differences {
    pub(super) fn add(&mut self, other: &Self) {
        self.forward += other.forward;
        self.backward += other.backward;
        self.central += other.central;
        self.round_off += other.round_off;
        self.unmoved_round_off += other.unmoved_round_off;
        self.unreached_round_off += other.unreached_round_off;
        self.step_noise += other.step_noise;
    }
}

impl PointParts {
    /// Adds what a further model gives at the same point; nothing is left where either has nothing.
    fn add(&mut self, other: &Self) {
        for (own, others) in [
            (&mut self.gradient, &other.gradient),
            (&mut self.noise_gradient, &other.noise_gradient),
            (&mut self.log_sigma_gradient, &other.log_sigma_gradient),
        ] {
            if own.len() == others.len() {
                own.iter_mut().zip(others).for_each(|(a, b)| *a += b);
            } else {
                own.clear();
            }
        }
        if self.pairs.len() != other.pairs.len() {
            self.pairs.clear();
        }
        for (own, others) in self.pairs.iter_mut().zip(&other.pairs) {
            own.parts.iter_mut().zip(&others.parts).for_each(|(a, b)| a.add(b));
        }
    }
}
