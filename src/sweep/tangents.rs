//! Which programs carry which tangents.

use super::integrate::{Bundle, TangentKernel};
use super::lanes::LanePreparation;
use crate::engine::{Engine, EngineError};
use crate::index::{DirectionIdx, SlotIdx};
use crate::model::OdeProblem;
use crate::program::forward::Directions;
use crate::rosenbrock::StepGenerator;

/// Operations that a tangent program should not exceed; more directions become more programs.
const LARGEST_TANGENT_PROGRAM: usize = 40_000;
/// Directions that a program has at least: each carries the whole step beside its tangents.
const LEAST_DIRECTIONS: usize = 4;
/// More programs than this become one for any directions.
const MOST_TANGENT_PROGRAMS: usize = 16;

/// Tangents along all slots that estimated parameters set, with the operations of each program:
/// programs for directions that are known beforehand while these stay small, else a single one for
/// any directions, which costs some operations and saves compiling one for each.
pub(super) fn compile_tangents(
    problem: &OdeProblem,
    generator: &StepGenerator,
    preparation: &LanePreparation<'_>,
    step_ops: usize,
    engine: &dyn Engine,
) -> Result<Vec<(TangentKernel, usize)>, EngineError> {
    let directions = problem.dynamic_directions();
    if directions.is_empty() {
        return Ok(Vec::new());
    }
    let switching = problem.moving_slots();
    let moves = |slot: &SlotIdx| switching.as_ref().is_none_or(|slots| slots.contains(slot));
    // A direction adds 0.9 to 1.1 times the step (measured on models of 75 to 500 states).
    let fitting = LARGEST_TANGENT_PROGRAM / step_ops.max(1);
    let fitting = fitting.max(LEAST_DIRECTIONS).min(directions.len());
    let has_heirs = !problem.heirs(&directions).is_empty();
    if directions.len().div_ceil(fitting) <= MOST_TANGENT_PROGRAMS || has_heirs {
        let mut kernels = Vec::new();
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
            };
            kernels.push((
                TangentKernel {
                    direction_count: bundle.directions.len(),
                    initial: preparation.compile_tangents(Directions::Slots(&bundle.directions)),
                    bundles: vec![bundle],
                    kernel: engine.prepare(&step)?,
                },
                step.program.ops().len(),
            ));
        }
        return Ok(kernels);
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
            }
        })
        .collect();
    let kernel = TangentKernel {
        direction_count: fitting,
        bundles,
        initial: preparation.compile_tangents(any),
        kernel: engine.prepare(&step)?,
    };
    Ok(vec![(kernel, step.program.ops().len())])
}
