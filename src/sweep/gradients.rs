//! Which own gradients are computed, by which engines, and what they cost.

use super::adjoint::transpose;
use super::result::GradientMethod;
use super::tangents::{TangentDraft, draft_tangents};
use crate::engine::Engine;
use crate::model::OdeProblem;
use crate::rosenbrock::{ReverseStep, StepGenerator, StepProgram};

/// Which own gradients are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnGradients {
    None,
    Forward,
    Adjoint,
    Both,
    /// The one that takes fewer operations.
    Cheaper,
}

/// The engines of own gradients.
#[derive(Clone, Copy)]
pub struct GradientEngines<'e> {
    pub forward: &'e dyn Engine,
    pub adjoint: &'e dyn Engine,
}

impl<'e, E: Engine> From<&'e E> for GradientEngines<'e> {
    fn from(engine: &'e E) -> Self {
        Self { forward: engine, adjoint: engine }
    }
}

/// Operations for each step of a trajectory, summed over the simulations of all models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GradientCosts {
    /// Of a plain step.
    pub step: usize,
    /// Of forward tangents along all directions; 0 where these were not generated.
    pub forward: usize,
    /// Of a step that is done once more and its transpose; 0 where that was not generated.
    pub adjoint: usize,
}

impl GradientCosts {
    /// A gradient in simulations, the point's own included; none where that was not generated.
    pub fn in_simulations(&self, method: GradientMethod) -> Option<f64> {
        let ops = match method {
            GradientMethod::Forward => self.forward,
            GradientMethod::Adjoint => self.adjoint,
        };
        (ops > 0 && self.step > 0).then(|| 1.0 + ops as f64 / self.step as f64)
    }

    /// Which takes fewer operations.
    pub fn cheaper(&self) -> GradientMethod {
        if self.adjoint < self.forward { GradientMethod::Adjoint } else { GradientMethod::Forward }
    }
}

/// The programs of a model, not compiled yet.
pub(super) struct Draft<'p> {
    pub(super) problem: &'p OdeProblem,
    pub(super) generator: StepGenerator,
    pub(super) replay: StepProgram,
    pub(super) tangents: Vec<TangentDraft>,
    pub(super) reverse: Option<ReverseStep>,
}

impl<'p> Draft<'p> {
    pub(super) fn new(problem: &'p OdeProblem, wanted: OwnGradients) -> Self {
        let generator = StepGenerator::new(&problem.rhs);
        let replay = generator.replay();
        let tangents = match wanted {
            OwnGradients::None | OwnGradients::Adjoint => Vec::new(),
            _ => draft_tangents(problem, &generator, replay.program.ops().len()),
        };
        let reverse = match wanted {
            OwnGradients::None | OwnGradients::Forward => None,
            _ => Some(transpose(problem, &generator)),
        };
        Self { problem, generator, replay, tangents, reverse }
    }

    pub(super) fn costs(&self) -> GradientCosts {
        let (simulations, step) = (self.problem.simulations.len(), self.replay.program.ops().len());
        let forward: usize = self.tangents.iter().map(TangentDraft::all_ops).sum();
        let adjoint = self.reverse.as_ref().map_or(0, |r| step + r.program.ops().len());
        GradientCosts {
            step: simulations * step,
            forward: simulations * forward,
            adjoint: simulations * adjoint,
        }
    }
}
