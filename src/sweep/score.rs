//! Objectives, gradients and differences of integrated points.

use super::evaluator::{Move, Settings};
use super::integrate::{Run, TangentKernel};
use super::result::{Failure, PointResult, ProbePair};
use super::tighter::TighterRows;
use crate::engine::LaneStatus;
use crate::gradient::{ForwardGradient, Gradient, SimulationOutputs, TangentBlock};
use crate::index::{ObservableIdx, ParameterIdx, RowIdx, SimulationIdx, StateIdx};
use crate::model::OdeProblem;
use crate::objective::{Coordinate, Dependence, Item, Objective, Prediction};
use rayon::prelude::*;

/// A way to predict rows of one observable.
type PredictBy<'a, T> = dyn Fn(ObservableIdx, &[Item<'_>], &mut Vec<T>) + 'a;

const NO_PREDICTION: Prediction = Prediction { y: f64::NAN, sigma: f64::NAN };

/// A chunk of integrated points.
pub(super) struct Scorer<'a> {
    pub(super) problem: &'a OdeProblem,
    pub(super) settings: Settings,
    pub(super) objective: &'a Objective<'a>,
    pub(super) tangents: &'a [TangentKernel],
    /// The points with their own adaptive steps: reports and step counts.
    pub(super) adaptive: &'a Run,
    /// The points as the probes are integrated.
    pub(super) base: &'a Run,
    pub(super) probes: &'a Run,
    /// For each move, its lane by simulation.
    pub(super) probe_lanes: &'a [Vec<Option<usize>>],
    pub(super) moves: &'a [Move],
    pub(super) tangent_runs: &'a [Run],
    pub(super) wants_gradient: bool,
    /// By point; empty where none were asked for.
    pub(super) adjoint_gradients: &'a [Option<Vec<f64>>],
    pub(super) is_ok: &'a [bool],
    pub(super) tighter: Option<TighterRows<'a>>,
    pub(super) below_atol: &'a [Vec<StateIdx>],
    pub(super) points: &'a [Vec<f64>],
    pub(super) linear: &'a [Vec<f64>],
    pub(super) parameters: &'a [ParameterIdx],
    pub(super) eps: &'a [f64],
}

/// A lane that stands for a simulation, and the slots that its observables see, by period.
pub(super) struct Trajectory<'a> {
    pub(super) run: &'a Run,
    pub(super) lane: usize,
    pub(super) slots: &'a [Vec<f64>],
}

/// Rows that a parameter can change.
pub(super) struct Affected {
    pub(super) rows: Vec<RowIdx>,
    /// What of each row's prediction it can change, and whether without changing a state.
    pub(super) dependences: Vec<Dependence>,
    pub(super) is_direct: Vec<bool>,
    /// Place of each row among all rows, or none.
    place: Vec<Option<usize>>,
}

impl Scorer<'_> {
    pub(super) fn score(&self) -> Vec<PointResult> {
        let affected: Vec<Affected> = self.parameters.iter().map(|&p| self.affected(p)).collect();
        let first_move = self.first_moves();
        (0..self.points.len())
            .into_par_iter()
            .map(|point| self.score_point(point, first_move[point], &affected))
            .collect()
    }

    /// The number of each point's first move: moves exist for points that did not fail, in order.
    pub(super) fn first_moves(&self) -> Vec<usize> {
        let per_point = 2 * self.parameters.len() * self.eps.len();
        let mut next = 0;
        self.is_ok
            .iter()
            .map(|ok| {
                let first = next;
                next += if *ok { per_point } else { 0 };
                first
            })
            .collect()
    }

    pub(super) fn affected(&self, parameter: ParameterIdx) -> Affected {
        let (mut rows, mut dependences, mut is_direct) = (Vec::new(), Vec::new(), Vec::new());
        let mut place = vec![None; self.problem.rows.len()];
        for r in 0..self.problem.rows.len() {
            let index = RowIdx::from_position(r);
            let dependence = self.objective.dependence(parameter, index);
            if dependence.y || dependence.sigma {
                place[r] = Some(rows.len());
                rows.push(index);
                dependences.push(dependence);
                is_direct.push(self.objective.is_direct(parameter, index));
            }
        }
        Affected { rows, dependences, is_direct, place }
    }

    fn score_point(&self, point: usize, first_move: usize, affected: &[Affected]) -> PointResult {
        let count = self.problem.simulations.len();
        let reports = &self.adaptive.result.reports[point * count..][..count];
        let mut result = PointResult {
            objective: Ok(0.0),
            prior: f64::NAN,
            chi2: f64::NAN,
            steps: reports.iter().map(|r| u64::from(r.steps)).sum(),
            retries: reports.iter().map(|r| r.retries).max().unwrap_or(0),
            below_atol: self.below_atol[point].clone(),
            gradient: None,
            adjoint_gradient: None,
            gradient_magnitudes: None,
            gradient_rounding: None,
            tight_gradient: None,
            difference_changes: None,
            probes: Vec::new(),
            refinements: Vec::new(),
            predictions: Vec::new(),
        };
        let own = &self.base.result.reports[point * count..][..count];
        for all in [reports, own] {
            if let Some(s) = all.iter().position(|r| r.status != LaneStatus::Ok) {
                let simulation = SimulationIdx::from_position(s);
                result.objective = Err(Failure::Lane { simulation, report: all[s] });
                return result;
            }
        }
        let rows: Vec<RowIdx> = (0..self.problem.rows.len()).map(RowIdx::from_position).collect();
        let predictions = self.predict(&rows, &self.linear[point], &|s| self.own(point, s));
        let contributions = self.contributions(&predictions);
        if let Some(row) = contributions.iter().position(|l| !l.is_finite()) {
            result.objective = Err(Failure::NotFinite { row: RowIdx::from_position(row) });
            result.predictions = predictions;
            return result;
        }
        let (theta, linear) = (&self.points[point], &self.linear[point]);
        result.prior = match self.prior(theta, linear) {
            Ok(value) => value,
            Err(failure) => {
                result.objective = Err(failure);
                return result;
            }
        };
        result.objective = Ok(contributions.iter().sum::<f64>() + result.prior);
        result.chi2 = rows
            .iter()
            .map(|&r| {
                let row = &self.problem.rows[r.position()];
                self.noise_model(r).chi2(row.measured, predictions[r.position()])
            })
            .sum();
        if let Some(gradient) = self.gradient(point) {
            result.gradient = Some(gradient.components);
            result.gradient_magnitudes = Some(gradient.magnitudes);
        }
        result.adjoint_gradient = self.adjoint_gradients.get(point).cloned().flatten();
        let step_noise = self.step_noise(point, &predictions);
        let mut next = first_move;
        for (&parameter, affected) in self.parameters.iter().zip(affected) {
            for &eps in self.eps {
                let pair = Pair { parameter, eps, point, first_move: next };
                next += 2;
                result.probes.push(self.pair(
                    pair,
                    affected,
                    &predictions,
                    &contributions,
                    &step_noise,
                ));
            }
        }
        result.predictions = predictions;
        result
    }

    /// Adds differences with further eps to points that are scored already: `requests` are
    /// (point, parameter, eps), a pair of moves each, in order.
    pub(super) fn score_refinements(
        &self,
        requests: &[(usize, ParameterIdx, f64)],
        points: &mut [PointResult],
    ) {
        let affected: Vec<Affected> = self.parameters.iter().map(|&p| self.affected(p)).collect();
        // Of the points that are asked about.
        let mut contributions = vec![Vec::new(); points.len()];
        let mut step_noise = vec![Vec::new(); points.len()];
        for &(point, ..) in requests {
            if contributions[point].is_empty() {
                contributions[point] = self.contributions(&points[point].predictions);
                step_noise[point] = self.step_noise(point, &points[point].predictions);
            }
        }
        let mut pairs: Vec<(usize, ProbePair)> = requests
            .par_iter()
            .enumerate()
            .filter_map(|(i, &(point, parameter, eps))| {
                let j = self.parameters.iter().position(|p| *p == parameter)?;
                let predictions = &points[point].predictions;
                let pair = Pair { parameter, eps, point, first_move: 2 * i };
                let (contributions, step_noise) = (&contributions[point], &step_noise[point]);
                let affected = &affected[j];
                Some((point, self.pair(pair, affected, predictions, contributions, step_noise)))
            })
            .collect();
        for (point, pair) in pairs.drain(..) {
            points[point].refinements.push(pair);
        }
    }

    /// Each row's contribution to the objective.
    fn contributions(&self, predictions: &[Prediction]) -> Vec<f64> {
        predictions
            .iter()
            .enumerate()
            .map(|(r, &prediction)| self.nllh(RowIdx::from_position(r), prediction))
            .collect()
    }

    pub(super) fn noise_model(&self, row: RowIdx) -> crate::objective::NoiseModel {
        let observable = self.problem.rows[row.position()].observable;
        self.problem.observables[observable.position()].noise_model
    }

    fn nllh(&self, row: RowIdx, prediction: Prediction) -> f64 {
        self.noise_model(row).nllh(self.problem.rows[row.position()].measured, prediction)
    }

    /// Predictions of rows on the trajectories of their simulations.
    fn predict<'s>(
        &'s self,
        rows: &[RowIdx],
        parameters: &[f64],
        trajectory_of: &dyn Fn(SimulationIdx) -> Trajectory<'s>,
    ) -> Vec<Prediction> {
        let plainly = |observable, items: &[Item<'_>], out: &mut Vec<Prediction>| {
            self.objective.predict(observable, items, out);
        };
        self.predict_by(rows, parameters, trajectory_of, NO_PREDICTION, &plainly)
    }

    /// The same by another way to predict rows of one observable; `none` is what stands for no prediction.
    fn predict_by<'s, T: Copy>(
        &'s self,
        rows: &[RowIdx],
        parameters: &[f64],
        trajectory_of: &dyn Fn(SimulationIdx) -> Trajectory<'s>,
        none: T,
        by: &PredictBy<'_, T>,
    ) -> Vec<T> {
        let mut predictions = vec![none; rows.len()];
        let (mut places, mut values) = (Vec::new(), Vec::new());
        for o in 0..self.problem.observables.len() {
            let observable = ObservableIdx::from_position(o);
            let mut items = Vec::new();
            places.clear();
            values.clear();
            for (place, &index) in rows.iter().enumerate() {
                let row = &self.problem.rows[index.position()];
                if row.observable == observable {
                    let Trajectory { run, lane, slots } = trajectory_of(row.simulation);
                    let starts =
                        self.problem.simulations[row.simulation.position()].starts_with_output;
                    let states = run.values(lane, row.output, starts);
                    let slots = &slots[row.period.position()];
                    items.push(Item { row: index, states, slots, parameters });
                    places.push(place);
                }
            }
            by(observable, &items, &mut values);
            for (&place, &value) in places.iter().zip(&values) {
                predictions[place] = value;
            }
        }
        predictions
    }

    /// The point's own trajectory of a simulation.
    pub(super) fn own(&self, point: usize, simulation: SimulationIdx) -> Trajectory<'_> {
        let lane = point * self.problem.simulations.len() + simulation.position();
        Trajectory { run: self.base, lane, slots: &self.base.lanes.slots[lane] }
    }

    fn gradient(&self, point: usize) -> Option<Gradient> {
        if !self.wants_gradient {
            return None;
        }
        let mut gradient = ForwardGradient::new(self.problem, self.objective, &self.linear[point]);
        self.for_each_simulation(point, |outputs| gradient.add_simulation(outputs));
        let mut gradient = gradient.finish();
        let (theta, linear) = (&self.points[point], &self.linear[point]);
        self.problem.priors.add_gradient(theta, linear, &mut gradient.components);
        Some(gradient)
    }

    /// Gives every simulation of a point at its outputs, with tangents.
    pub(super) fn for_each_simulation(
        &self,
        point: usize,
        mut each: impl FnMut(&SimulationOutputs<'_, '_>),
    ) {
        let count = self.problem.simulations.len();
        for (s, simulation) in self.problem.simulations.iter().enumerate() {
            let lane = point * count + s;
            let starts = simulation.starts_with_output;
            let blocks: Vec<TangentBlock<'_>> = self
                .tangents
                .iter()
                .zip(self.tangent_runs)
                .flat_map(|(tangent, run)| {
                    let first = lane * tangent.bundles.len();
                    tangent.bundles.iter().enumerate().map(move |(b, bundle)| TangentBlock {
                        directions: &bundle.directions,
                        values: Box::new(move |output| run.values(first + b, output, starts)),
                    })
                })
                .collect();
            let states = |output| self.base.values(lane, output, starts);
            each(&SimulationOutputs {
                simulation: SimulationIdx::from_position(s),
                slots: &self.base.lanes.slots[lane],
                states: &states,
                tangents: &blocks,
            });
        }
    }

    /// Negative log density of all priors at a point, or which parameter has none.
    fn prior(&self, theta: &[f64], linear: &[f64]) -> Result<f64, Failure> {
        let value = self.problem.priors.value(theta, linear);
        if value.is_finite() {
            return Ok(value);
        }
        let terms = self.problem.priors.terms();
        let at_fault = terms
            .iter()
            .zip(theta.iter().zip(linear))
            .position(|(term, (&theta, &p))| !term.value(theta, p).is_finite());
        let parameter = ParameterIdx::from_position(at_fault.unwrap_or(0));
        Err(Failure::Prior { parameter })
    }

    /// Predictions of the affected rows at a probe, or why there are none.
    fn probe(&self, point: usize, number: usize, affected: &Affected) -> Result<Side, Failure> {
        if let Some((simulation, lane)) = self.failed_lanes(number).next() {
            return Err(Failure::Lane { simulation, report: self.probes.result.reports[lane] });
        }
        let Moved { coordinate, parameters, predictions } =
            self.predict_moved(point, number, &affected.rows);
        let mut theta = self.points[point].clone();
        theta[self.moves[number].parameter.position()] = coordinate.0;
        let prior = self.prior(&theta, &parameters)?;
        Ok(Side { coordinate, prior, predictions })
    }

    /// Predictions of rows at a probe; those of the point where a simulation failed.
    pub(super) fn predict_moved(&self, point: usize, number: usize, rows: &[RowIdx]) -> Moved {
        let plainly = |observable, items: &[Item<'_>], out: &mut Vec<Prediction>| {
            self.objective.predict(observable, items, out);
        };
        self.predict_moved_by(point, number, rows, NO_PREDICTION, &plainly)
    }

    /// The same by another way to predict rows of one observable.
    pub(super) fn predict_moved_by<T: Copy>(
        &self,
        point: usize,
        number: usize,
        rows: &[RowIdx],
        none: T,
        by: &PredictBy<'_, T>,
    ) -> Moved<T> {
        let probe = self.moves[number];
        debug_assert_eq!(probe.point, point);
        let lanes = &self.probe_lanes[number];
        let mut parameters = self.linear[point].clone();
        let place = probe.parameter.position();
        parameters[place] = self.problem.parameters[place].scale.unscale(probe.theta);
        let slots = self.moved_slots(point, probe.parameter, &parameters);
        let is_there = |lane: &usize| self.probes.result.reports[*lane].status == LaneStatus::Ok;
        let trajectory_of =
            |s: SimulationIdx| match (lanes[s.position()].filter(is_there), &slots[s.position()]) {
                (Some(lane), _) => {
                    Trajectory { run: self.probes, lane, slots: &self.probes.lanes.slots[lane] }
                }
                (None, Some(slots)) => Trajectory { slots, ..self.own(point, s) },
                (None, None) => self.own(point, s),
            };
        let predictions = self.predict_by(rows, &parameters, &trajectory_of, none, by);
        Moved { coordinate: (probe.theta, parameters[place]), parameters, predictions }
    }

    /// Simulations that failed at a probe, with their lanes.
    pub(super) fn failed_lanes(
        &self,
        number: usize,
    ) -> impl Iterator<Item = (SimulationIdx, usize)> + '_ {
        let lanes = self.probe_lanes[number].iter().enumerate();
        lanes.filter_map(|(s, lane)| {
            let lane = lane.filter(|l| self.probes.result.reports[*l].status != LaneStatus::Ok)?;
            Some((SimulationIdx::from_position(s), lane))
        })
    }

    /// Slots of simulations that a parameter reaches only through observables.
    fn moved_slots(
        &self,
        point: usize,
        parameter: ParameterIdx,
        parameters: &[f64],
    ) -> Vec<Option<Vec<Vec<f64>>>> {
        let count = self.problem.simulations.len();
        self.problem
            .simulations
            .iter()
            .enumerate()
            .map(|(s, simulation)| {
                let mut slots: Option<Vec<Vec<f64>>> = None;
                for (k, period) in simulation.periods.iter().enumerate() {
                    for (place, &value) in period.slot_values.iter().enumerate() {
                        if self.problem.depends_on(value, parameter) {
                            let base = &self.base.lanes.slots[point * count + s];
                            slots.get_or_insert_with(|| base.clone())[k][place] =
                                self.problem.slot_value(value, parameters);
                        }
                    }
                }
                slots
            })
            .collect()
    }

    fn pair(
        &self,
        pair: Pair,
        affected: &Affected,
        predictions: &[Prediction],
        contributions: &[f64],
        step_noise: &[f64],
    ) -> ProbePair {
        let Pair { parameter, eps, point, first_move } = pair;
        let [plus, minus] = [first_move, first_move + 1].map(|m| self.probe(point, m, affected));
        let values = [&plus, &minus].map(|side| self.objective_at(side, affected, contributions));
        let mut result = ProbePair::of_values(parameter, eps, values[0], values[1]);
        let scale = self.problem.parameters[parameter.position()].scale;
        let place = parameter.position();
        let here = (self.points[point][place], self.linear[point][place]);
        let of_prior = |to, from| self.problem.priors.difference(parameter, to, from);
        let difference = |to: &dyn Fn(usize) -> Prediction, from: &dyn Fn(usize) -> Prediction| {
            let terms = affected.rows.iter().enumerate().map(|(i, &r)| {
                let measured = self.problem.rows[r.position()].measured;
                self.noise_model(r).nllh_difference(measured, to(i), from(i))
            });
            terms.sum::<f64>()
        };
        let base = |i: usize| predictions[affected.rows[i].position()];
        if let Ok(plus) = &plus {
            let step = scale.distance(plus.coordinate.1, here.1);
            let change = difference(&|i| plus.predictions[i], &base);
            result.paired_forward = (change + of_prior(plus.coordinate, here)) / step;
        }
        if let Ok(minus) = &minus {
            let step = scale.distance(here.1, minus.coordinate.1);
            let change = difference(&base, &|i| minus.predictions[i]);
            result.paired_backward = (change + of_prior(here, minus.coordinate)) / step;
        }
        if let (Ok(plus), Ok(minus)) = (&plus, &minus) {
            let step = scale.distance(plus.coordinate.1, minus.coordinate.1);
            let change = difference(&|i| plus.predictions[i], &|i| minus.predictions[i]);
            result.paired_central = (change + of_prior(plus.coordinate, minus.coordinate)) / step;
        }
        // Where one side has no value, the point itself is the other.
        if plus.is_ok() || minus.is_ok() {
            let own: Vec<Prediction> = match plus.is_ok() && minus.is_ok() {
                true => Vec::new(),
                false => (0..affected.rows.len()).map(base).collect(),
            };
            let [above, below] = [&plus, &minus]
                .map(|side| side.as_ref().map_or(own.as_slice(), |s| s.predictions.as_slice()));
            let moves =
                [plus.is_ok().then_some(first_move), minus.is_ok().then_some(first_move + 1)];
            let sides = ([above, below], moves);
            let prior = self.problem.priors.terms()[place].value(here.0, here.1);
            let sums = self.round_off(point, affected, predictions, sides, prior);
            [result.round_off, result.unmoved_round_off, result.unreached_round_off] =
                sums.map(|sum| sum / eps);
            let of_row = |r: &RowIdx| step_noise.get(r.position()).copied().unwrap_or(0.0);
            result.step_noise = affected.rows.iter().map(of_row).sum::<f64>() / eps;
        }
        result
    }

    fn objective_at(
        &self,
        side: &Result<Side, Failure>,
        affected: &Affected,
        contributions: &[f64],
    ) -> Result<f64, Failure> {
        let side = side.as_ref().map_err(|failure| *failure)?;
        let mut total = 0.0;
        for (r, &base) in contributions.iter().enumerate() {
            total += match affected.place[r] {
                Some(place) => {
                    let row = RowIdx::from_position(r);
                    let value = self.nllh(row, side.predictions[place]);
                    if !value.is_finite() {
                        return Err(Failure::NotFinite { row });
                    }
                    value
                }
                None => base,
            };
        }
        Ok(total + side.prior)
    }
}

/// A point's two probes along one parameter.
struct Pair {
    parameter: ParameterIdx,
    eps: f64,
    point: usize,
    /// Number of the upper probe's move; the lower one's follows.
    first_move: usize,
}

/// Rows at a probe.
pub(super) struct Moved<T = Prediction> {
    /// The moved parameter.
    pub(super) coordinate: Coordinate,
    /// Linear values of all parameters.
    parameters: Vec<f64>,
    pub(super) predictions: Vec<T>,
}

/// Predictions of the affected rows at a probe.
struct Side {
    /// The moved parameter.
    coordinate: Coordinate,
    /// Negative log density of all priors.
    prior: f64,
    predictions: Vec<Prediction>,
}
