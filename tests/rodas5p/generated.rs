//! Steps of small ODEs, and how they are run.

use gradsweep::engine::cpu::CpuEngine;
use gradsweep::engine::{
    Batch, BatchResult, Control, Engine, LaneStatus, Schedule, Segment, Timeline,
};
use gradsweep::graph::{Graph, Input, NodeId, Unary};
use gradsweep::index::{ScheduleIdx, SlotIdx, StateIdx, SwitchIdx, TimelineIdx};
use gradsweep::rosenbrock::{RightHandSide, StepGenerator, StepProgram};

/// What a right-hand side may use.
pub struct Symbols {
    pub x: Vec<NodeId>,
    pub p: Vec<NodeId>,
    pub t: NodeId,
    pub switches: Vec<NodeId>,
}

/// The step of an ODE with n states, some slots and switches.
pub fn generator(
    [states, slots, switches]: [usize; 3],
    build: impl FnOnce(&mut Graph, &Symbols) -> Vec<NodeId>,
) -> StepGenerator {
    let mut graph = Graph::new();
    let symbols = Symbols {
        x: (0..states).map(|i| graph.input(Input::State(StateIdx::from_position(i)))).collect(),
        p: (0..slots).map(|i| graph.input(Input::Slot(SlotIdx::from_position(i)))).collect(),
        t: graph.input(Input::Time),
        switches: (0..switches)
            .map(|i| graph.input(Input::Switch(SwitchIdx::from_position(i))))
            .collect(),
    };
    let derivatives = build(&mut graph, &symbols);
    StepGenerator::new(&RightHandSide {
        graph,
        derivatives,
        slots: (0..slots).map(SlotIdx::from_position).collect(),
        switch_count: switches,
    })
}

/// One segment per end, each with an output and without switches.
pub fn timeline(t_start: f64, ends: &[f64]) -> Timeline {
    let segments = ends
        .iter()
        .map(|&t_end| Segment {
            t_end,
            is_output: true,
            switches: Vec::new(),
            t_end_tangents: Vec::new(),
        })
        .collect();
    Timeline { t_start, t_start_tangents: Vec::new(), segments }
}

/// Runs one lane.
pub fn run(
    step: &StepProgram,
    initial: &[f64],
    slots: &[f64],
    timeline: &Timeline,
    control: Control<'_>,
) -> BatchResult {
    let kernel = CpuEngine.prepare(step).expect("the CPU engine takes every program");
    let batch = Batch {
        initial,
        slots,
        timelines: std::slice::from_ref(timeline),
        of_lane: &[TimelineIdx(0)],
        control,
    };
    let result = kernel.run(&batch).expect("the CPU engine runs every batch");
    assert_eq!(result.reports[0].status, LaneStatus::Ok, "{:?}", result.reports);
    result
}

pub fn run_adaptive(
    generator: &StepGenerator,
    initial: &[f64],
    slots: &[f64],
    timeline: &Timeline,
    [rtol, atol]: [f64; 2],
) -> BatchResult {
    let control = Control::Adaptive { rtol, atol, max_steps: 100_000, first_steps: &[1e-4] };
    run(&generator.adaptive(), initial, slots, timeline, control)
}

pub fn run_replay(
    step: &StepProgram,
    initial: &[f64],
    slots: &[f64],
    timeline: &Timeline,
    schedule: &Schedule,
) -> Vec<f64> {
    let schedules = std::slice::from_ref(schedule);
    let control = Control::Replay { schedules, of_lane: &[ScheduleIdx(0)] };
    run(step, initial, slots, timeline, control).outputs
}

/// Equal steps over one segment.
pub fn equal_steps(count: usize) -> Schedule {
    let fraction = 1.0 / count as f64;
    let mut fractions = vec![fraction; count];
    fractions[count - 1] = -fraction;
    Schedule { fractions }
}

/// A rotation with speed 2 + cos t around a limit cycle of radius 1:
/// x' = x (1 − r²) − (2 + cos t) y, y' = y (1 − r²) + (2 + cos t) x. Nonlinear, nonautonomous, its
/// Jacobians at different times do not commute, and it has a closed form.
pub fn rotation() -> StepGenerator {
    generator([2, 0, 0], |g, s| {
        let (x, y) = (s.x[0], s.x[1]);
        let (one, two) = (g.constant(1.0), g.constant(2.0));
        let cosine = g.unary(Unary::Cos, s.t);
        let speed = g.add(two, cosine);
        let (xx, yy) = (g.mul(x, x), g.mul(y, y));
        let square = g.add(xx, yy);
        let growth = g.sub(one, square);
        let (gx, gy) = (g.mul(growth, x), g.mul(growth, y));
        let (sx, sy) = (g.mul(speed, x), g.mul(speed, y));
        vec![g.sub(gx, sy), g.add(gy, sx)]
    })
}

/// Its solution from (1/2, 0) at t = 0: r² is logistic, the angle 2t + sin t.
pub fn rotation_solution(t: f64) -> [f64; 2] {
    let radius = (1.0 / (1.0 + 3.0 * (-2.0 * t).exp())).sqrt();
    let angle = 2.0 * t + t.sin();
    [radius * angle.cos(), radius * angle.sin()]
}

pub fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

pub fn list(errors: &[f64]) -> String {
    errors.iter().map(|e| format!("{e:.1e}")).collect::<Vec<_>>().join(" ")
}

/// Slopes of log error over log step between halvings.
pub fn orders(errors: &[f64]) -> Vec<f64> {
    errors.windows(2).map(|pair| (pair[0] / pair[1]).log2()).collect()
}
