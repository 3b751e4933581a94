//! Observables on trajectories that carry the low parts of their states.

use super::Prediction;
use super::observe::{Item, Objective};
use crate::engine::cpu::block::BlockProgram;
use crate::engine::cpu::interpreter::BLOCK;
use crate::graph::Input;
use crate::index::ObservableIdx;
use crate::program::Program;
use crate::program::compensated::{compensate, is_compensable, low_of_states};

/// A prediction, and what rounding left out of it.
#[derive(Debug, Clone, Copy)]
pub struct CompensatedPrediction {
    pub value: Prediction,
    pub low: Prediction,
}

impl CompensatedPrediction {
    /// No prediction.
    pub const NONE: Self = Self {
        value: Prediction { y: f64::NAN, sigma: f64::NAN },
        low: Prediction { y: 0.0, sigma: 0.0 },
    };

    /// What y and sigma may be off by, in units of 2⁻⁵²: the last digit of their low parts, and the square of
    /// these, relative to the value. Rounding errors grow over a trajectory, and what they have made of the
    /// low parts they make of these' own; and low parts are of first order.
    pub fn uncertainty(self) -> [f64; 2] {
        [(self.value.y, self.low.y), (self.value.sigma, self.low.sigma)].map(|(value, low)| {
            let last_digit = low.abs().max(f64::EPSILON * value.abs());
            last_digit.max(low * (low / value) / f64::EPSILON).abs()
        })
    }

    /// This less another, number by number: what both share is gone before low parts are added.
    pub fn less(self, other: Self) -> Prediction {
        let (value, low) = (self.value.less(other.value), self.low.less(other.low));
        Prediction { y: value.y + low.y, sigma: value.sigma + low.sigma }
    }
}

/// Compensated programs of a problem's observables.
pub struct CompensatedObservables {
    programs: Vec<CompiledObservable>,
}

struct CompiledObservable {
    inputs: Vec<Input>,
    program: BlockProgram,
}

impl Objective<'_> {
    /// Whether rounding errors of all observables can be told.
    pub fn is_compensable(&self) -> bool {
        self.observables.iter().all(|compiled| is_compensable(&compiled.program))
    }

    /// Compiles the compensated programs.
    pub fn compensated(&self) -> CompensatedObservables {
        let low_of_state = low_of_states(0);
        let of = |program: &Program| {
            let compensated = compensate(program, program.outputs().len(), &low_of_state);
            let mut inputs = program.inputs().to_vec();
            inputs.extend(program.inputs().iter().copied().filter_map(&low_of_state));
            let program = Program::new(&compensated.graph, inputs.clone(), &compensated.roots);
            CompiledObservable { inputs, program: BlockProgram::new(&program) }
        };
        let programs = self.observables.iter().map(|compiled| of(&compiled.program));
        CompensatedObservables { programs: programs.collect() }
    }

    /// Predictions of rows that all belong to one observable, in order: [`predict`](Self::predict) where
    /// the low parts of the states lie behind them, or are 0.
    pub fn predict_compensated(
        &self,
        observables: &CompensatedObservables,
        observable: ObservableIdx,
        items: &[Item<'_>],
        out: &mut Vec<CompensatedPrediction>,
    ) {
        let CompiledObservable { inputs, program } = &observables.programs[observable.position()];
        let mut registers = program.new_file();
        let places = [0, 1, 2, 3].map(|i| program.registers.outputs[i] as usize);
        for block in items.chunks(BLOCK) {
            self.load(inputs, block, &mut registers);
            program.run(&mut registers);
            out.extend((0..block.len()).map(|w| {
                let [y, sigma, y_low, sigma_low] = places.map(|place| registers[place][w]);
                CompensatedPrediction {
                    value: Prediction { y, sigma },
                    low: Prediction { y: y_low, sigma: sigma_low },
                }
            }));
        }
    }
}
