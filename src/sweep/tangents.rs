//! Which programs carry which tangents.

use super::integrate::{Bundle, TangentKernel};
use super::lanes::LanePreparation;
use crate::engine::{Engine, EngineError};
use crate::index::{DirectionIdx, SlotIdx};
use crate::model::OdeProblem;
use crate::program::forward::Directions;
use crate::rosenbrock::{StepGenerator, StepProgram};

/// Operations that a tangent program should not exceed; more directions become more programs.
const LARGEST_TANGENT_PROGRAM: usize = 40_000;
/// Directions that a program has at least: each carries the whole step beside its tangents.
const LEAST_DIRECTIONS: usize = 4;
/// More programs than this become one for any directions.
const MOST_TANGENT_PROGRAMS: usize = 16;

/// A tangent program that is not compiled yet, with the bundles of directions that it serves.
pub(super) struct TangentDraft {
    bundles: Vec<Bundle>,
    direction_count: usize,
    /// Slots that lanes carry tangents of, where bundles say what a direction moves.
    carried: Option<Vec<SlotIdx>>,
    step: StepProgram,
}

impl TangentDraft {
    /// Operations of the program.
    pub(super) fn ops(&self) -> usize {
        self.step.program.ops().len()
    }

    /// Operations of a step along all directions.
    pub(super) fn all_ops(&self) -> usize {
        self.bundles.len() * self.ops()
    }

    /// Makes it ready to run.
    pub(super) fn compile(
        self,
        preparation: &LanePreparation<'_>,
        engine: &dyn Engine,
    ) -> Result<TangentKernel, EngineError> {
        let initial = preparation.compile_tangents(self.directions());
        Ok(TangentKernel {
            direction_count: self.direction_count,
            initial,
            bundles: self.bundles,
            kernel: engine.prepare(&self.step)?,
        })
    }

    /// Makes it ready to run in compensated arithmetic: low parts of the states and of all tangents are
    /// carried as further directions, which no slot moves.
    pub(super) fn compile_compensated(
        self,
        preparation: &LanePreparation<'_>,
        engine: &dyn Engine,
    ) -> Result<TangentKernel, EngineError> {
        let initial = preparation.compile_compensated(self.directions());
        let kernel = engine.prepare(&self.step.compensated())?;
        let direction_count = self.direction_count;
        let mut bundles = self.bundles;
        for bundle in &mut bundles {
            bundle.directions.resize(direction_count, Bundle::UNUSED);
            bundle.low_parts_at = Some(direction_count);
            bundle.directions.resize(2 * direction_count + 1, Bundle::UNUSED);
        }
        Ok(TangentKernel { direction_count: 2 * direction_count + 1, initial, bundles, kernel })
    }

    fn directions(&self) -> Directions<'_> {
        match &self.carried {
            Some(slots) => Directions::Any { slots, count: self.direction_count },
            None => Directions::Slots(&self.bundles[0].directions),
        }
    }
}

/// Tangents along all slots that estimated parameters set: programs for directions that are known
/// beforehand while these stay small, else a single one for any directions, which costs some
/// operations and saves compiling one for each.
pub(super) fn draft_tangents(
    problem: &OdeProblem,
    generator: &StepGenerator,
    step_ops: usize,
) -> Vec<TangentDraft> {
    let directions = problem.dynamic_directions();
    if directions.is_empty() {
        return Vec::new();
    }
    let switching = problem.moving_slots();
    let moves = |slot: &SlotIdx| switching.as_ref().is_none_or(|slots| slots.contains(slot));
    // A direction adds 0.9 to 1.1 times the step (measured on models of 75 to 500 states).
    let fitting = LARGEST_TANGENT_PROGRAM / step_ops.max(1);
    let fitting = fitting.max(LEAST_DIRECTIONS).min(directions.len());
    let has_heirs = !problem.heirs(&directions).is_empty();
    if directions.len().div_ceil(fitting) <= MOST_TANGENT_PROGRAMS || has_heirs {
        let mut drafts = Vec::new();
        for slots in directions.chunks(fitting) {
            let mut slots = slots.to_vec();
            slots.extend(problem.heirs(&slots));
            let moving: Vec<DirectionIdx> = (0..slots.len())
                .filter(|&k| moves(&slots[k]))
                .map(DirectionIdx::from_position)
                .collect();
            let step = generator.replay_with_tangents(&slots, &moving);
            let bundle = Bundle {
                moving: moving.iter().map(|k| slots[k.position()]).collect(),
                directions: slots,
                slot_tangents: Vec::new(),
                low_parts_at: None,
            };
            drafts.push(TangentDraft {
                direction_count: bundle.directions.len(),
                bundles: vec![bundle],
                carried: None,
                step,
            });
        }
        return drafts;
    }
    let carried: Vec<SlotIdx> =
        directions.iter().copied().filter(|slot| problem.rhs.slots.contains(slot)).collect();
    let any = Directions::Any { slots: &carried, count: fitting };
    let all_move: Vec<DirectionIdx> = if directions.iter().any(moves) {
        (0..fitting).map(DirectionIdx::from_position).collect()
    } else {
        Vec::new()
    };
    let step = generator.replay_with_tangents(any, &all_move);
    let bundles = directions
        .chunks(fitting)
        .map(|slots| {
            let of = |k: usize| slots.get(k).copied().unwrap_or(Bundle::UNUSED);
            let moved = |k: usize| carried.iter().map(move |s| f64::from(u8::from(*s == of(k))));
            Bundle {
                directions: slots.to_vec(),
                moving: all_move.iter().map(|k| of(k.position())).collect(),
                slot_tangents: (0..fitting).flat_map(moved).collect(),
                low_parts_at: None,
            }
        })
        .collect();
    vec![TangentDraft { bundles, direction_count: fitting, carried: Some(carried), step }]
}

/// Tangents along one slot at a time, and along the heirs of what it did: one program for any of them, where
/// only some are wanted. None where estimated parameters set no slot of a trajectory.
pub(super) fn draft_single_tangents(
    problem: &OdeProblem,
    generator: &StepGenerator,
) -> Option<TangentDraft> {
    let slots = problem.dynamic_directions();
    let with_heirs = |slot: &SlotIdx| {
        let mut directions = vec![*slot];
        directions.extend(problem.heirs(&[*slot]));
        directions
    };
    let lists: Vec<Vec<SlotIdx>> = slots.iter().map(with_heirs).collect();
    let count = lists.iter().map(Vec::len).max()?;
    let carried: Vec<SlotIdx> =
        slots.iter().copied().filter(|slot| problem.rhs.slots.contains(slot)).collect();
    let step = generator.replay_with_tangents(Directions::Any { slots: &carried, count }, &[]);
    let bundle = |directions: Vec<SlotIdx>| {
        let moves = |k: usize, slot: &SlotIdx| directions.get(k) == Some(slot);
        let moved = |k: usize| carried.iter().map(move |slot| f64::from(u8::from(moves(k, slot))));
        Bundle {
            slot_tangents: (0..count).flat_map(moved).collect(),
            directions,
            ..Bundle::default()
        }
    };
    let bundles = lists.into_iter().map(bundle).collect();
    Some(TangentDraft { bundles, direction_count: count, carried: Some(carried), step })
}
