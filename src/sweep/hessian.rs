//! Differences of the gradient: what moving one parameter does to all components.
//!
//! Gradients at the probes are made as those at the point are: tangents along the steps of the
//! point, or, where probes choose their own, along these. Components are compared row by row, so
//! that rows which the moved parameter cannot change leave no rounding errors behind.

use super::curvature::{CurvatureChunk, GradientPairs, PointCurvature};
use super::evaluator::{Evaluator, MOST_BYTES, ProbeLanes, StepMode, moves_of};
use super::integrate::{LaneSet, Run};
use super::part::{Part, sums};
use super::parts::{Differences, FurtherEps, WantsFurther};
use super::result::Failure;
use super::second::hessians;
use crate::engine::{EngineError, LaneReport, LaneStatus};
use crate::gradient::{PartGradients, SimulationOutputs, TangentBlock};
use crate::index::{ParameterIdx, RowIdx, SimulationIdx};
use crate::objective::{NoiseModel, Prediction};
use crate::petab::NoiseDistribution;
use rayon::prelude::*;

/// Derivatives of all rows of a model at a point, `[component][row]`.
struct RowDerivatives {
    /// Of the likelihood.
    gradient: Vec<f64>,
    /// What a relative error of 1 in y would do to these, and they themselves.
    rounding: Vec<f64>,
    /// Of h(y), over σ.
    through_y: Vec<f64>,
    /// Of ln σ.
    through_sigma: Vec<f64>,
}

/// A model of the problem at some points.
struct Model<'m, 'e, 'p> {
    part: &'m Part<'e, 'p>,
    /// Tangents of the points' own lanes.
    tangents: Vec<Run>,
    components: &'m [ParameterIdx],
    /// By point; none where it failed.
    base: Vec<Option<RowDerivatives>>,
}

/// Where a simulation's outputs are.
struct Source<'a> {
    run: &'a Run,
    tangents: &'a [Run],
    lane: usize,
    slots: Vec<Vec<f64>>,
}

/// The likelihood's derivatives at a probe.
struct Side {
    /// `[component][row]`.
    gradient: Vec<f64>,
    /// Of the moved parameter's prior.
    prior: f64,
}

impl<'p> Evaluator<'p> {
    /// Differences of the gradient's `components` when `columns`, which must be some of them, move
    /// by each of `eps`. Where a component `wants` them, all components get differences with the
    /// `further` eps, too.
    ///
    /// # Errors
    /// An engine's failure.
    pub fn curvatures(
        &self,
        points: &[Vec<f64>],
        (columns, components): (&[ParameterIdx], &[ParameterIdx]),
        eps: &[f64],
        (further, wants): (&FurtherEps<'_>, &WantsFurther<'_>),
    ) -> Result<CurvatureChunk, EngineError> {
        let of_rows = self.problem.row_count() * components.len() * size_of::<RowDerivatives>();
        let most = (MOST_BYTES / (self.bytes_per_point(&[], 0) + of_rows).max(1)).max(1);
        let mut all = CurvatureChunk::default();
        for points in points.chunks(most) {
            let parts = std::iter::once(self)
                .chain(&self.others)
                .map(|evaluator| Part::evaluate(evaluator, points, &[], &[], (None, None)))
                .collect::<Result<Vec<Part<'_, 'p>>, EngineError>>()?;
            let results = sums(&parts).into_owned();
            let is_ok: Vec<bool> = results.iter().map(|r| r.objective.is_ok()).collect();
            let models = parts
                .iter()
                .map(|part| Model::new(part, components, &is_ok))
                .collect::<Result<Vec<_>, EngineError>>()?;
            let mut curvatures: Vec<PointCurvature> =
                (0..points.len()).map(|point| products(&models, point, columns)).collect();
            let mut requests = Vec::new();
            for point in (0..points.len()).filter(|point| is_ok[*point]) {
                for &parameter in columns {
                    requests.extend(eps.iter().map(|&step| (point, parameter, step)));
                }
            }
            self.add_pairs(&models, points, &requests, &mut curvatures, &mut all)?;
            self.add_own(&models, points, columns, &mut curvatures, &mut all)?;
            let mut requests = Vec::new();
            for (point, curvature) in curvatures.iter().enumerate() {
                for pairs in curvature.pairs.chunks(eps.len().max(1)) {
                    let parameter = pairs[0].parameter;
                    let wants = |ladder: &_| wants(&points[point], parameter, ladder);
                    if any_wants(pairs, components.len(), wants) {
                        let further = further(&points[point], parameter);
                        requests.extend(further.into_iter().map(|e| (point, parameter, e)));
                    }
                }
            }
            self.add_pairs(&models, points, &requests, &mut curvatures, &mut all)?;
            let mut results = results;
            for (result, curvature) in results.iter_mut().zip(&curvatures) {
                result.probes = curvature.pairs.iter().filter_map(GradientPairs::failed).collect();
            }
            let tangents = models.iter().flat_map(|model| &model.tangents);
            all.count(tangents);
            all.lanes += parts.iter().map(|part| part.lanes).sum::<u64>();
            all.steps += parts.iter().map(|part| part.steps).sum::<u64>();
            all.points.extend(results);
            all.curvatures.extend(curvatures);
        }
        Ok(all)
    }

    /// Adds our own second derivatives, where they are wanted.
    fn add_own(
        &self,
        models: &[Model<'_, '_, 'p>],
        points: &[Vec<f64>],
        columns: &[ParameterIdx],
        curvatures: &mut [PointCurvature],
        effort: &mut CurvatureChunk,
    ) -> Result<(), EngineError> {
        for model in models {
            let Some(second) = &model.part.evaluator.second else { continue };
            let asked = (columns, model.components);
            let mut count = (0, 0);
            let of_rows: Vec<Option<&[f64]>> =
                model.base.iter().map(|base| base.as_ref().map(|b| &*b.gradient)).collect();
            let of_points = hessians(model.part, second, &of_rows, asked, &mut count)?;
            effort.lanes += count.0;
            effort.steps += count.1;
            for (curvature, of_model) in curvatures.iter_mut().zip(of_points) {
                curvature.hessian.add(0, &of_model);
            }
        }
        let [first, ..] = models else { return Ok(()) };
        for (point, curvature) in curvatures.iter_mut().enumerate() {
            if curvature.hessian.values.is_empty() {
                continue;
            }
            for (k, column) in columns.iter().enumerate() {
                let Some(own) = first.components.iter().position(|c| c == column) else { continue };
                let place = column.position();
                let prior = &self.problem.priors.terms()[place];
                let here = (points[point][place], first.part.linear[point][place]);
                let term = prior.second_derivative(here.0, here.1);
                curvature.hessian.values[k * first.components.len() + own] += term;
            }
        }
        Ok(())
    }

    /// Adds the pairs of each (point, parameter, eps), as many at once as fit in memory.
    fn add_pairs(
        &self,
        models: &[Model<'_, '_, '_>],
        points: &[Vec<f64>],
        requests: &[(usize, ParameterIdx, f64)],
        curvatures: &mut [PointCurvature],
        effort: &mut CurvatureChunk,
    ) -> Result<(), EngineError> {
        // A pair of probes takes twice what a point does, at most.
        let most = (MOST_BYTES / (2 * self.bytes_per_point(&[], 0)).max(1)).max(1);
        for some in requests.chunks(most) {
            let mut sums: Vec<GradientPairs> = Vec::new();
            let mut before = (0, 0);
            for model in models {
                let pairs = model.pairs(points, some, effort)?;
                if sums.is_empty() {
                    sums = pairs;
                } else {
                    sums.iter_mut().zip(&pairs).for_each(|(sum, pair)| sum.add(pair, before));
                }
                let own = model.part.evaluator.problem.own_counts();
                before = (before.0 + own.0, before.1 + own.1);
            }
            for ((point, ..), pair) in some.iter().zip(sums) {
                curvatures[*point].pairs.push(pair);
            }
        }
        Ok(())
    }
}

fn any_wants(
    pairs: &[GradientPairs],
    count: usize,
    wants: impl Fn(&[(f64, Differences)]) -> bool,
) -> bool {
    (0..count).any(|component| {
        let ladder: Vec<(f64, Differences)> =
            pairs.iter().map(|pair| (pair.eps, pair.components[component])).collect();
        wants(&ladder)
    })
}

/// What a relative error of 1 in y would do to the derivatives of a row's likelihood with respect to
/// y and to σ, and these themselves.
fn rounding(model: NoiseModel, measured: f64, prediction: Prediction) -> (f64, f64) {
    let (l_y, l_sigma) = model.nllh_derivatives(measured, prediction);
    let (z_y, z_sigma) = model.residual_derivatives(measured, prediction);
    let of_z = (z_y * prediction.y).abs();
    match model.distribution {
        NoiseDistribution::Normal => {
            (l_y.abs() + z_y.abs() * of_z, l_sigma.abs() + 2.0 * z_sigma.abs() * of_z)
        }
        NoiseDistribution::Laplace => (l_y.abs(), l_sigma.abs() + of_z / prediction.sigma),
    }
}

impl<'m, 'e, 'p> Model<'m, 'e, 'p> {
    fn new(
        part: &'m Part<'e, 'p>,
        components: &'m [ParameterIdx],
        is_ok: &[bool],
    ) -> Result<Self, EngineError> {
        let evaluator = part.evaluator;
        let tangents = evaluator
            .tangents
            .iter()
            .map(|tangent| evaluator.integrate_tangents(&part.adaptive, tangent))
            .collect::<Result<Vec<Run>, EngineError>>()?;
        let mut model = Self { part, tangents, components, base: Vec::new() };
        model.base = is_ok
            .par_iter()
            .enumerate()
            .map(|(point, is_ok)| is_ok.then(|| model.derivatives_at(point)))
            .collect();
        Ok(model)
    }

    /// All rows' derivatives at a point itself.
    fn derivatives_at(&self, point: usize) -> RowDerivatives {
        let linear = &self.part.linear[point];
        let source = |s| self.own(point, s, linear);
        let of = |derivatives: &dyn Fn(NoiseModel, f64, Prediction) -> (f64, f64)| {
            self.by_row(linear, &source, derivatives)
        };
        RowDerivatives {
            gradient: of(&NoiseModel::nllh_derivatives),
            rounding: of(&rounding),
            through_y: of(&|model, measured, p| (model.residual_derivatives(measured, p).0, 0.0)),
            through_sigma: of(&|_, _, prediction| (0.0, 1.0 / prediction.sigma)),
        }
    }

    /// A simulation of the point, where the parameters have these linear values.
    fn own(&self, point: usize, simulation: SimulationIdx, linear: &[f64]) -> Source<'_> {
        let evaluator = self.part.evaluator;
        Source {
            run: &self.part.adaptive,
            tangents: &self.tangents,
            lane: point * evaluator.problem.simulations.len() + simulation.position(),
            slots: evaluator.preparation.slots(simulation, linear),
        }
    }

    /// Derivatives of a number of each row, `[component][row]`, on the parameter scale.
    fn by_row<'s>(
        &self,
        linear: &[f64],
        source: &dyn Fn(SimulationIdx) -> Source<'s>,
        derivatives: &dyn Fn(NoiseModel, f64, Prediction) -> (f64, f64),
    ) -> Vec<f64> {
        let evaluator = self.part.evaluator;
        let problem = evaluator.problem;
        let rows = problem.rows.len();
        let mut sums =
            PartGradients::new(problem, &evaluator.objective, linear, self.components, rows);
        for (s, simulation) in problem.simulations.iter().enumerate() {
            let s = SimulationIdx::from_position(s);
            let Source { run, tangents, lane, slots } = source(s);
            let starts = simulation.starts_with_output;
            let blocks: Vec<TangentBlock<'_>> = evaluator
                .tangents
                .iter()
                .zip(tangents)
                .flat_map(|(tangent, run)| {
                    let first = lane * tangent.bundles.len();
                    tangent.bundles.iter().enumerate().map(move |(b, bundle)| TangentBlock {
                        directions: &bundle.directions,
                        values: Box::new(move |output| run.values(first + b, output, starts)),
                    })
                })
                .collect();
            let states = |output| run.values(lane, output, starts);
            let outputs = SimulationOutputs {
                simulation: s,
                slots: &slots,
                states: &states,
                tangents: &blocks,
            };
            sums.add_simulation(&outputs, &RowIdx::position, derivatives);
        }
        sums.finish()
    }

    /// Differences of the gradient for each (point, parameter, eps); sums of rows, not yet divided
    /// by the step.
    fn pairs(
        &self,
        points: &[Vec<f64>],
        requests: &[(usize, ParameterIdx, f64)],
        effort: &mut CurvatureChunk,
    ) -> Result<Vec<GradientPairs>, EngineError> {
        let evaluator = self.part.evaluator;
        let moves = moves_of(points, requests);
        let ProbeLanes { lanes, own_lane, lanes_of } =
            evaluator.probe_lanes(&self.part.linear, &moves, LaneSet::default());
        let mut run = None;
        let mut tangents = Vec::new();
        if lanes.len() > 0 {
            let of = match evaluator.settings.steps {
                StepMode::Shared => {
                    let adaptive = &self.part.adaptive;
                    run = Some(evaluator.integrate_by_replay(lanes, adaptive, &own_lane)?);
                    Some((adaptive, own_lane.as_slice()))
                }
                StepMode::Adaptive => {
                    run = Some(evaluator.integrate_adaptively(lanes)?);
                    None
                }
            };
            let probes = run.iter().next();
            for (tangent, probes) in evaluator.tangents.iter().flat_map(|t| probes.map(|p| (t, p)))
            {
                tangents.push(match of {
                    Some((adaptive, of)) => evaluator.integrate_tangents_along(
                        &probes.lanes,
                        (adaptive, of),
                        tangent,
                    )?,
                    None => evaluator.integrate_tangents(probes, tangent)?,
                });
            }
        }
        effort.count(run.iter().chain(&tangents));
        let probes = Probes { run: run.as_ref(), tangents: &tangents, lanes_of: &lanes_of };
        let pairs = requests.par_iter().enumerate().map(|(i, &(point, parameter, eps))| {
            let theta = |m: usize| moves[m].theta;
            let [plus, minus] =
                [2 * i, 2 * i + 1].map(|m| self.side(&probes, (point, m), (parameter, theta(m))));
            self.pair(points, (point, parameter, eps), plus, minus)
        });
        Ok(pairs.collect())
    }

    /// The gradient at a probe, row by row, or why there is none.
    fn side(
        &self,
        probes: &Probes<'_>,
        (point, number): (usize, usize),
        (parameter, theta): (ParameterIdx, f64),
    ) -> Result<Side, Failure> {
        let problem = self.part.evaluator.problem;
        let lanes = &probes.lanes_of[number];
        if let Some(run) = probes.run {
            for (s, lane) in lanes.iter().enumerate() {
                let Some(lane) = *lane else { continue };
                let simulation = SimulationIdx::from_position(s);
                if let Some(report) = probes.failed(run, lane, self.part.evaluator) {
                    return Err(Failure::Lane { simulation, report });
                }
            }
        }
        let place = parameter.position();
        let mut linear = self.part.linear[point].clone();
        linear[place] = problem.parameters[place].scale.unscale(theta);
        let prior = &problem.priors.terms()[place];
        if !prior.value(theta, linear[place]).is_finite() {
            return Err(Failure::Prior { parameter });
        }
        let source = |s: SimulationIdx| match (probes.run, lanes[s.position()]) {
            (Some(run), Some(lane)) => {
                let slots = run.lanes.slots[lane].clone();
                Source { run, tangents: probes.tangents, lane, slots }
            }
            _ => self.own(point, s, &linear),
        };
        let gradient = self.by_row(&linear, &source, &NoiseModel::nllh_derivatives);
        let prior = prior.derivative(theta, linear[place]);
        Ok(Side { gradient, prior })
    }

    fn pair(
        &self,
        points: &[Vec<f64>],
        (point, parameter, eps): (usize, ParameterIdx, f64),
        plus: Result<Side, Failure>,
        minus: Result<Side, Failure>,
    ) -> GradientPairs {
        let evaluator = self.part.evaluator;
        let problem = evaluator.problem;
        let rows = problem.rows.len();
        let failures = [&plus, &minus].map(|side| side.as_ref().err().copied());
        let mut components = vec![Differences::default(); self.components.len()];
        let mut magnitudes = vec![0.0; self.components.len()];
        let tolerance = match evaluator.settings.steps {
            StepMode::Shared => 0.0,
            StepMode::Adaptive => evaluator.settings.rtol,
        };
        let value = |side: &Result<Side, Failure>, i: usize| {
            side.as_ref().map_or(f64::NAN, |side| side.gradient[i])
        };
        let Some(base) = &self.base[point] else {
            return GradientPairs { parameter, eps, components, magnitudes, failures };
        };
        for r in (0..rows).filter(|r| {
            let on = evaluator.objective.dependence(parameter, RowIdx::from_position(*r));
            on.y || on.sigma
        }) {
            for (c, difference) in components.iter_mut().enumerate() {
                let i = c * rows + r;
                let (above, here, below) = (value(&plus, i), base.gradient[i], value(&minus, i));
                difference.forward += above - here;
                difference.backward += here - below;
                difference.central += above - below;
                magnitudes[c] += (above - below).abs();
                let size = base.rounding[i].abs() / eps;
                difference.round_off += size * f64::EPSILON;
                if above == below {
                    difference.unmoved_round_off += size * f64::EPSILON;
                }
                difference.step_noise += size * tolerance;
            }
        }
        if let Some(own) = self.components.iter().position(|c| *c == parameter) {
            let place = parameter.position();
            let term = &problem.priors.terms()[place];
            let here = term.derivative(points[point][place], self.part.linear[point][place]);
            let of = |side: &Result<Side, Failure>| side.as_ref().map_or(f64::NAN, |s| s.prior);
            let (above, below) = (of(&plus), of(&minus));
            components[own].forward += above - here;
            components[own].backward += here - below;
            components[own].central += above - below;
            components[own].round_off += here.abs() * f64::EPSILON / eps;
            magnitudes[own] += (above - below).abs();
        }
        // A side without a value has none of any component, reached rows or not.
        for difference in &mut components {
            if plus.is_err() {
                (difference.forward, difference.central) = (f64::NAN, f64::NAN);
            }
            if minus.is_err() {
                (difference.backward, difference.central) = (f64::NAN, f64::NAN);
            }
        }
        // The steps that were really taken.
        let place = parameter.position();
        let scale = problem.parameters[place].scale;
        let here = (points[point][place], self.part.linear[point][place]);
        let [above, below] = [here.0 + eps, here.0 - eps].map(|theta| scale.unscale(theta));
        let whole = scale.distance(above, below);
        for (difference, magnitude) in components.iter_mut().zip(&mut magnitudes) {
            difference.forward /= scale.distance(above, here.1);
            difference.backward /= scale.distance(here.1, below);
            difference.central /= whole;
            *magnitude /= whole;
        }
        GradientPairs { parameter, eps, components, magnitudes, failures }
    }
}

/// Integrated probes.
struct Probes<'a> {
    /// None where no trajectory is moved.
    run: Option<&'a Run>,
    tangents: &'a [Run],
    /// For each move its lane by simulation; none where the trajectory is the point's own.
    lanes_of: &'a [Vec<Option<usize>>],
}

impl Probes<'_> {
    /// What became of a lane or its tangents, where either failed.
    fn failed(&self, run: &Run, lane: usize, evaluator: &Evaluator<'_>) -> Option<LaneReport> {
        let own = std::iter::once(run.result.reports[lane]);
        let tangents = evaluator.tangents.iter().zip(self.tangents).flat_map(|(tangent, run)| {
            let count = tangent.bundles.len();
            run.result.reports[lane * count..][..count].iter().copied()
        });
        own.chain(tangents).find(|report| report.status != LaneStatus::Ok)
    }
}

/// Both matrices of a point, summed over all models.
fn products(
    models: &[Model<'_, '_, '_>],
    point: usize,
    columns: &[ParameterIdx],
) -> PointCurvature {
    let mut curvature = PointCurvature::default();
    for model in models {
        let Some(base) = &model.base[point] else { return PointCurvature::default() };
        let problem = model.part.evaluator.problem;
        let rows = problem.rows.len();
        let count = model.components.len();
        let size = columns.len() * count;
        for of in [&mut curvature.gauss_newton, &mut curvature.fisher] {
            of.values.resize(size, 0.0);
            of.magnitudes.resize(size, 0.0);
        }
        curvature.resolution.resize(size, 0.0);
        let linear = &model.part.linear[point];
        let relative: Vec<f64> = problem
            .parameters
            .iter()
            .zip(linear)
            .map(|(parameter, &p)| (parameter.scale.derivative(p) / p).abs())
            .collect();
        let predictions = &model.part.results[point].predictions;
        for (r, row) in problem.rows.iter().enumerate() {
            let noise = problem.observables[row.observable.position()].noise_model;
            let Prediction { y, sigma } = predictions[r];
            let z = noise.residual(row.measured, y) / sigma;
            let of_sigma = match noise.distribution {
                NoiseDistribution::Normal => 2.0,
                NoiseDistribution::Laplace => 1.0,
            };
            let (l_y, l_sigma) = noise.nllh_derivatives(row.measured, predictions[r]);
            let terms = (l_y * y).abs() + (l_sigma * sigma).abs();
            let of = |c: usize| (base.through_y[c * rows + r], base.through_sigma[c * rows + r]);
            for (k, column) in columns.iter().enumerate() {
                let Some(own) = model.components.iter().position(|c| c == column) else { continue };
                let (y_j, s_j) = of(own);
                for c in 0..count {
                    let (y_i, s_i) = of(c);
                    let gauss_newton = [(y_i - z * s_i) * (y_j - z * s_j)];
                    let fisher = [y_i * y_j, of_sigma * s_i * s_j];
                    curvature.gauss_newton.add(k * count + c, &gauss_newton);
                    curvature.fisher.add(k * count + c, &fisher);
                    if (y_i, s_i) != (0.0, 0.0) && (y_j, s_j) != (0.0, 0.0) {
                        let both =
                            relative[column.position()] * relative[model.components[c].position()];
                        if both.is_finite() {
                            curvature.resolution[k * count + c] += terms * both;
                        }
                    }
                }
            }
        }
    }
    curvature
}
