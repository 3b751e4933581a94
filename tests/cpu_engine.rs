//! The CPU engine: how lanes end, and that a lane's result is its own.
//!
//! What is proved, and by which oracle:
//!
//! - Every status is reached by a lane made for it, and says what happened.
//! - Results are equal to the bit however lanes are grouped: together, one by one, in reverse,
//!   under pools of one and of two threads, beside lanes that fail. A lane alone is the oracle.
//! - A replayed schedule gives the adaptive run's states to the bit.
//! - Outputs lie where the offsets say: closed-form values at each lane's own times.

use gradsweep::engine::cpu::CpuEngine;
use gradsweep::engine::{
    Batch, BatchResult, Control, Engine, LaneReport, LaneStatus, Schedule, Segment, Timeline,
};
use gradsweep::graph::{Binary, Graph, Input, NodeId, Unary};
use gradsweep::index::{ScheduleIdx, SlotIdx, StateIdx, SwitchIdx, TimelineIdx};
use gradsweep::rosenbrock::{RightHandSide, StepGenerator, StepProgram};

const RTOL: f64 = 1e-8;
const ATOL: f64 = 1e-12;
const MAX_STEPS: u32 = 3_000;

/// States x and y, slots p0, p1, p2, one switch:
/// x' = p0·x + p1·x² − p2·s·y, y' = p2·x + sin t − y.
fn model() -> StepGenerator {
    let mut g = Graph::new();
    let [x, y] = [0, 1].map(|i| g.input(Input::State(StateIdx(i))));
    let p = [0, 1, 2].map(|i| g.input(Input::Slot(SlotIdx(i))));
    let switch = g.input(Input::Switch(SwitchIdx(0)));
    let t = g.input(Input::Time);
    let linear = g.mul(p[0], x);
    let square = g.mul(x, x);
    let quadratic = g.mul(p[1], square);
    let pull = g.mul(p[2], y);
    let pull = g.mul(switch, pull);
    let growth = g.add(linear, quadratic);
    let sine = g.unary(Unary::Sin, t);
    let drive = g.mul(p[2], x);
    let driven = g.add(drive, sine);
    let derivatives = vec![g.sub(growth, pull), g.sub(driven, y)];
    generator(g, derivatives, 3, 1)
}

fn generator(
    graph: Graph,
    derivatives: Vec<NodeId>,
    slots: usize,
    switch_count: usize,
) -> StepGenerator {
    let slots = (0..slots).map(SlotIdx::from_position).collect();
    StepGenerator::new(&RightHandSide { graph, derivatives, slots, switch_count })
}

/// A lane's data, to be put into batches of any order.
#[derive(Debug, Clone, PartialEq)]
struct LaneData {
    initial: Vec<f64>,
    slots: Vec<f64>,
    timeline: Timeline,
    first_step: f64,
    schedule: Schedule,
}

/// What a lane gave.
#[derive(Debug, Clone)]
struct Given {
    outputs: Vec<f64>,
    report: LaneReport,
    schedule: Schedule,
}

impl Given {
    /// Equal to the bit; NaN equals NaN.
    fn is_same(&self, other: &Self) -> bool {
        let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        let unreached = |values: &[f64]| values.iter().map(|v| v.is_nan()).collect::<Vec<_>>();
        let reached = |values: &[f64]| {
            bits(&values.iter().copied().filter(|v| !v.is_nan()).collect::<Vec<_>>())
        };
        unreached(&self.outputs) == unreached(&other.outputs)
            && reached(&self.outputs) == reached(&other.outputs)
            && bits(&self.schedule.fractions) == bits(&other.schedule.fractions)
            && self.report.status == other.report.status
            && self.report.steps == other.report.steps
            && self.report.t.to_bits() == other.report.t.to_bits()
    }
}

#[derive(Debug, Clone, Copy)]
enum Mode {
    Adaptive { max_steps: u32 },
    Replay,
}

/// Runs lanes as one batch and takes the result apart by the offsets.
fn run(step: &StepProgram, lanes: &[LaneData], mode: Mode) -> Vec<Given> {
    let initial: Vec<f64> = lanes.iter().flat_map(|l| l.initial.clone()).collect();
    let slots: Vec<f64> = lanes.iter().flat_map(|l| l.slots.clone()).collect();
    // Equal timelines are one.
    let mut timelines: Vec<Timeline> = Vec::new();
    let of_lane: Vec<TimelineIdx> = lanes
        .iter()
        .map(|l| {
            let place = timelines.iter().position(|t| *t == l.timeline).unwrap_or_else(|| {
                timelines.push(l.timeline.clone());
                timelines.len() - 1
            });
            TimelineIdx::from_position(place)
        })
        .collect();
    let first_steps: Vec<f64> = lanes.iter().map(|l| l.first_step).collect();
    let schedules: Vec<Schedule> = lanes.iter().map(|l| l.schedule.clone()).collect();
    let schedule_of_lane: Vec<ScheduleIdx> =
        (0..lanes.len()).map(ScheduleIdx::from_position).collect();
    let control = match mode {
        Mode::Adaptive { max_steps } => {
            Control::Adaptive { rtol: RTOL, atol: ATOL, max_steps, first_steps: &first_steps }
        }
        Mode::Replay => Control::Replay { schedules: &schedules, of_lane: &schedule_of_lane },
    };
    let batch = Batch {
        initial: &initial,
        slots: &slots,
        timelines: &timelines,
        of_lane: &of_lane,
        control,
    };
    let kernel = CpuEngine.prepare(step).expect("the CPU engine takes every program");
    let result: BatchResult = kernel.run(&batch).expect("the CPU engine runs every batch");
    assert_eq!(result.offsets.len(), lanes.len() + 1);
    assert_eq!(result.offsets[0], 0);
    assert_eq!(result.offsets[lanes.len()], result.outputs.len());
    assert_eq!(result.reports.len(), lanes.len());
    let keeps_schedules = matches!(mode, Mode::Adaptive { .. });
    assert_eq!(result.schedules.len(), if keeps_schedules { lanes.len() } else { 0 });
    (0..lanes.len())
        .map(|l| {
            let outputs = result.outputs[result.offsets[l]..result.offsets[l + 1]].to_vec();
            assert_eq!(outputs.len(), lanes[l].timeline.output_count() * step.width);
            Given {
                outputs,
                report: result.reports[l],
                schedule: result.schedules.get(l).cloned().unwrap_or_default(),
            }
        })
        .collect()
}

const ADAPTIVE: Mode = Mode::Adaptive { max_steps: MAX_STEPS };

fn timeline(t_start: f64, segments: &[(f64, bool, f64)]) -> Timeline {
    let segments = segments
        .iter()
        .map(|&(t_end, is_output, switch)| Segment {
            t_end,
            is_output,
            switches: vec![switch],
            t_end_tangents: Vec::new(),
        })
        .collect();
    Timeline { t_start, t_start_tangents: Vec::new(), segments }
}

/// A sound lane of the model, one of many kinds: lengths from nothing to some hundred steps.
fn sound_lane(k: usize) -> LaneData {
    let timelines = [
        timeline(0.0, &[(2.0, true, 1.0)]),
        timeline(0.0, &[(1.0, true, 1.0), (1.3, false, 0.0), (5.0, true, 1.0), (9.0, true, 0.0)]),
        timeline(-2.0, &[(0.5, false, 0.0), (0.75, true, 1.0)]),
        timeline(3.0, &[]),
        timeline(0.0, &[(4.0, false, 1.0)]),
        timeline(0.0, &[(80.0, true, 1.0), (80.5, true, 0.0)]),
    ];
    let x = 0.3 + 0.01 * (k % 37) as f64;
    LaneData {
        initial: vec![x, 1.0 - x],
        slots: vec![0.5 + 0.02 * (k % 11) as f64, -0.4 - 0.01 * (k % 7) as f64, 0.2],
        timeline: timelines[k % timelines.len()].clone(),
        first_step: 1e-3,
        schedule: Schedule::default(),
    }
}

/// Lanes that fail, by the model's slots.
fn failing_lanes() -> Vec<(LaneData, LaneStatus)> {
    let line = timeline(0.0, &[(0.5, true, 1.0), (3.0, true, 0.0)]);
    let lane = |initial: [f64; 2], slots: [f64; 3]| LaneData {
        initial: initial.to_vec(),
        slots: slots.to_vec(),
        timeline: line.clone(),
        first_step: 1e-3,
        schedule: Schedule::default(),
    };
    vec![
        // x' = x² from 1: the pole is at t = 1. Steps shrink with the distance to it, finite all
        // the while, until they are lost in the spacing of doubles around 1.
        (lane([1.0, 0.0], [0.0, 1.0, 0.0]), LaneStatus::StepTooSmall),
        (lane([1.0, 0.0], [f64::NAN, 0.0, 0.0]), LaneStatus::NotFinite),
        (lane([1.0, 0.0], [f64::INFINITY, 0.0, 0.0]), LaneStatus::NotFinite),
        (lane([f64::NAN, 0.0], [1.0, 0.0, 0.0]), LaneStatus::NotFinite),
        (lane([1.0, f64::INFINITY], [1.0, 0.0, 0.0]), LaneStatus::NotFinite),
        // x² overflows at once.
        (lane([1e200, 0.0], [0.0, 1.0, 0.0]), LaneStatus::NotFinite),
        // A fast oscillation of a million turns needs more steps than are allowed.
        (lane([1.0, 1.0], [0.0, 0.0, 2e7]), LaneStatus::TooManySteps),
    ]
}

#[test]
fn every_status_is_reached_by_its_cause() {
    let step = model().adaptive();
    for (number, (lane, status)) in failing_lanes().into_iter().enumerate() {
        let given = &run(&step, std::slice::from_ref(&lane), ADAPTIVE)[0];
        println!("{number}: {:?}, outputs {:?}", given.report, given.outputs);
        assert_eq!(given.report.status, status, "lane {number}: {lane:?}");
        assert!(given.report.t >= 0.0 && given.report.t < 3.0);
        // What was not reached is NaN; what was reached is a number.
        let reached = if given.report.t >= 0.5 { 2 } else { 0 };
        assert!(given.outputs[..reached].iter().all(|v| v.is_finite()));
        assert!(given.outputs[reached..].iter().all(|v| v.is_nan()));
        assert!(given.report.steps >= given.schedule.fractions.len() as u32);
    }
    let pole = &run(&step, &[failing_lanes()[0].0.clone()], ADAPTIVE)[0];
    // The pole of x = 1/(1 − t), to the accuracy of the solution near it.
    assert!((pole.report.t - 1.0).abs() < 1e-6, "{:?}", pole.report);
    // And before it x = 1/(1 − 0.5), to some tolerances.
    assert!((pole.outputs[0] - 2.0).abs() < 100.0 * RTOL);

    let given = &run(&step, &[sound_lane(0)], ADAPTIVE)[0];
    assert_eq!(given.report.status, LaneStatus::Ok);
    assert_eq!(given.report.t, 2.0);
}

#[test]
fn the_bound_on_steps_is_exact() {
    let step = model().adaptive();
    let lane = sound_lane(1);
    let free = &run(&step, std::slice::from_ref(&lane), ADAPTIVE)[0];
    let needed = free.report.steps;
    for max_steps in [0, 1, needed - 1, needed, needed + 1] {
        let given = &run(&step, std::slice::from_ref(&lane), Mode::Adaptive { max_steps })[0];
        let is_enough = max_steps >= needed;
        assert_eq!(given.report.status == LaneStatus::Ok, is_enough, "{max_steps} of {needed}");
        assert_eq!(given.report.steps, max_steps.min(needed));
        if is_enough {
            assert!(given.is_same(free));
        } else {
            assert_eq!(given.report.status, LaneStatus::TooManySteps);
        }
    }
}

#[test]
fn a_useless_first_step_is_reported() {
    let step = model().adaptive();
    for first_step in [0.0, -1.0] {
        let lane = LaneData { first_step, ..sound_lane(0) };
        let given = &run(&step, &[lane], ADAPTIVE)[0];
        assert_eq!(given.report.status, LaneStatus::StepTooSmall, "{first_step}");
        assert_eq!(given.report.steps, 0);
    }
    // A NaN compares with nothing; the lane ends all the same, at the bound on steps at the latest.
    let lane = LaneData { first_step: f64::NAN, ..sound_lane(0) };
    assert_ne!(run(&step, &[lane], ADAPTIVE)[0].report.status, LaneStatus::Ok);
    // Any size beyond the segment means all of it.
    for first_step in [f64::INFINITY, 1e300, 2.0] {
        let lane = LaneData { first_step, ..sound_lane(0) };
        let given = &run(&step, &[lane], ADAPTIVE)[0];
        assert_eq!(given.report.status, LaneStatus::Ok, "{first_step}");
    }
}

/// A mixture of many sound lanes and the failing ones between them.
fn mixture(count: usize) -> Vec<LaneData> {
    let failing: Vec<LaneData> = failing_lanes().into_iter().map(|(lane, _)| lane).collect();
    (0..count)
        .map(
            |k| if k % 13 == 5 { failing[(k / 13) % failing.len()].clone() } else { sound_lane(k) },
        )
        .collect()
}

fn in_pool<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
    pool.install(work)
}

fn assert_same(got: &[Given], want: &[Given], what: &str) {
    assert_eq!(got.len(), want.len());
    for (number, (got, want)) in got.iter().zip(want).enumerate() {
        assert!(got.is_same(want), "{what}, lane {number}: {got:?}, not {want:?}");
    }
}

/// 611 lanes: more than two tasks of 256, a count that no block divides.
#[test]
fn results_do_not_depend_on_the_grouping() {
    let step = model().adaptive();
    let lanes = mixture(611);
    let alone: Vec<Given> = lanes
        .iter()
        .map(|lane| run(&step, std::slice::from_ref(lane), ADAPTIVE).remove(0))
        .collect();
    let failed = alone.iter().filter(|g| g.report.status != LaneStatus::Ok).count();
    let steps: Vec<u32> = alone.iter().map(|g| g.report.steps).collect();
    println!(
        "{failed} lanes fail; steps from {:?} to {:?}",
        steps.iter().min(),
        steps.iter().max()
    );
    assert!(failed > 40 && failed < 60);
    for threads in [1, 2] {
        let together = in_pool(threads, || run(&step, &lanes, ADAPTIVE));
        assert_same(&together, &alone, &format!("{threads} threads"));
        let reversed: Vec<LaneData> = lanes.iter().rev().cloned().collect();
        let mut given = in_pool(threads, || run(&step, &reversed, ADAPTIVE));
        given.reverse();
        assert_same(&given, &alone, &format!("reversed, {threads} threads"));
    }
    for size in [2, 15, 16, 17, 100] {
        let parts: Vec<Given> =
            lanes.chunks(size).flat_map(|part| run(&step, part, ADAPTIVE)).collect();
        assert_same(&parts, &alone, &format!("batches of {size}"));
    }
    // The comparison does notice: the same lanes, one of them moved by a bit.
    let mut moved = lanes.clone();
    moved[1].initial[0] = moved[1].initial[0].next_up();
    let given = run(&step, &moved, ADAPTIVE);
    let differing = given.iter().zip(&alone).filter(|(a, b)| !a.is_same(b)).count();
    assert_eq!(differing, 1);
}

/// A sound lane beside every kind of failure in its block, on each side.
#[test]
fn failing_lanes_do_not_touch_their_neighbours() {
    let step = model().adaptive();
    let sound = sound_lane(1);
    let alone = run(&step, std::slice::from_ref(&sound), ADAPTIVE).remove(0);
    for (failing, status) in failing_lanes() {
        let mut lanes = vec![failing; 16];
        for place in 0..16 {
            let failing = std::mem::replace(&mut lanes[place], sound.clone());
            let given = run(&step, &lanes, ADAPTIVE);
            assert!(given[place].is_same(&alone), "beside {status}");
            assert!(given.iter().enumerate().all(|(k, g)| k == place || g.report.status == status));
            lanes[place] = failing;
            // One failure takes its time; one place among them is enough for it.
            if status == LaneStatus::TooManySteps {
                break;
            }
        }
    }
}

#[test]
fn a_replay_gives_the_adaptive_states_to_the_bit() {
    let generator = model();
    let lanes: Vec<LaneData> = (0..150).map(sound_lane).collect();
    let adaptive = run(&generator.adaptive(), &lanes, ADAPTIVE);
    let scheduled: Vec<LaneData> = lanes
        .iter()
        .zip(&adaptive)
        .map(|(lane, given)| LaneData { schedule: given.schedule.clone(), ..lane.clone() })
        .collect();
    let replayed = run(&generator.replay(), &scheduled, Mode::Replay);
    for (number, ((replayed, adaptive), lane)) in
        replayed.iter().zip(&adaptive).zip(&lanes).enumerate()
    {
        assert_eq!(replayed.report.status, LaneStatus::Ok);
        assert_eq!(replayed.outputs, adaptive.outputs, "lane {number}");
        assert_eq!(replayed.report.t, adaptive.report.t);
        let schedule = &adaptive.schedule.fractions;
        assert_eq!(replayed.report.steps as usize, schedule.len());
        // One last step a segment, and each segment's fractions add up to it.
        let lasts = schedule.iter().filter(|f| **f < 0.0).count();
        assert_eq!(lasts, lane.timeline.segments.len());
        let total: f64 = schedule.iter().map(|f| f.abs()).sum();
        // Each of the additions rounds once.
        let allowed = schedule.len() as f64 * f64::EPSILON * lasts.max(1) as f64;
        assert!((total - lasts as f64).abs() <= allowed, "lane {number}: {total}");
    }
    // A program with tangents advances the same states.
    let tangents = generator.replay_with_tangents(&[SlotIdx(0), SlotIdx(2)], &[]);
    let widened: Vec<LaneData> = scheduled
        .iter()
        .map(|lane| {
            let initial = lane.initial.iter().copied().chain([0.0; 4]).collect();
            LaneData { initial, ..lane.clone() }
        })
        .collect();
    for (wide, narrow) in run(&tangents, &widened, Mode::Replay).iter().zip(&replayed) {
        let states: Vec<f64> = wide.outputs.chunks(6).flat_map(|row| row[..2].to_vec()).collect();
        assert_eq!(states, narrow.outputs);
    }
}

/// A schedule that ends before its timeline ends the lane there; one that leads to a state that is
/// not finite says so.
#[test]
fn replays_fail_as_data_too() {
    let generator = model();
    let lane = sound_lane(1);
    let whole = run(&generator.adaptive(), std::slice::from_ref(&lane), ADAPTIVE).remove(0);
    // Up to the end of the third segment: both outputs before it, none after.
    let mut fractions = whole.schedule.fractions.clone();
    let ends: Vec<usize> = (0..fractions.len()).filter(|&i| fractions[i] < 0.0).collect();
    fractions.truncate(ends[2] + 1);
    let short = LaneData { schedule: Schedule { fractions }, ..lane.clone() };
    let given = &run(&generator.replay(), &[short], Mode::Replay)[0];
    assert_ne!(given.report.status, LaneStatus::Ok);
    assert_eq!(given.report.t, 5.0);
    assert_eq!(given.outputs[..4], whole.outputs[..4]);
    assert!(given.outputs[4..].iter().all(|v| v.is_nan()));

    let mut broken = LaneData { schedule: whole.schedule.clone(), ..lane };
    broken.slots[0] = f64::NAN;
    let given = &run(&generator.replay(), &[broken], Mode::Replay)[0];
    assert_eq!(given.report.status, LaneStatus::NotFinite);
    assert_eq!(given.report.steps, 1);
    assert!(given.outputs.iter().all(|v| v.is_nan()));
}

/// x' = p·(1 − 2s), exactly solved by every step: each lane's own times and switches show in its
/// outputs. Lanes of none to seven segments, of one to many steps, so that seats are refilled at
/// different times.
#[test]
fn outputs_lie_where_the_offsets_say() {
    let mut g = Graph::new();
    let (p, switch) = (g.input(Input::Slot(SlotIdx(0))), g.input(Input::Switch(SwitchIdx(0))));
    let (one, two) = (g.constant(1.0), g.constant(2.0));
    let turned = g.mul(two, switch);
    let direction = g.sub(one, turned);
    let speed = g.mul(p, direction);
    let step = generator(g, vec![speed], 1, 1).adaptive();
    let lanes: Vec<LaneData> = (0..333)
        .map(|k| {
            let segments: Vec<(f64, bool, f64)> = (0..(k * 5) % 8)
                .map(|s| (1.0 + (s + 1) as f64 * 0.5, (s + k) % 3 > 0, ((s * k) % 2) as f64))
                .collect();
            LaneData {
                initial: vec![k as f64],
                slots: vec![1.0 + k as f64 * 0.25],
                timeline: timeline(1.0, &segments),
                first_step: [1e-6, 0.1, 10.0][k % 3],
                schedule: Schedule::default(),
            }
        })
        .collect();
    let given = run(&step, &lanes, ADAPTIVE);
    assert!(given.iter().any(|g| g.outputs.is_empty()));
    for (lane, given) in lanes.iter().zip(&given) {
        assert_eq!(given.report.status, LaneStatus::Ok);
        let (mut x, mut t, mut want) = (lane.initial[0], lane.timeline.t_start, Vec::new());
        for segment in &lane.timeline.segments {
            x += lane.slots[0] * (1.0 - 2.0 * segment.switches[0]) * (segment.t_end - t);
            t = segment.t_end;
            if segment.is_output {
                want.push(x);
            }
        }
        assert_eq!(given.report.t, t);
        assert_eq!(given.outputs.len(), want.len());
        for (got, want) in given.outputs.iter().zip(&want) {
            // Some fifty steps, each of which rounds a state of size 600 at most.
            assert!((got - want).abs() < 1e-11, "{lane:?}: {got}, not {want}");
        }
    }
}

#[test]
fn empty_batches_and_empty_timelines_give_nothing() {
    let step = model().adaptive();
    assert!(run(&step, &[], ADAPTIVE).is_empty());
    let lane = sound_lane(3);
    assert!(lane.timeline.segments.is_empty());
    for given in run(&step, &vec![lane; 40], ADAPTIVE) {
        assert!(given.outputs.is_empty() && given.schedule.fractions.is_empty());
        let ok = LaneReport { status: LaneStatus::Ok, steps: 0, retries: 0, t: 3.0 };
        assert_eq!(given.report, ok);
    }
}

/// An attempt that overshoots into a region where the right-hand side is NaN is repeated smaller,
/// and the lane goes on.
#[test]
fn a_lane_recovers_from_attempts_that_are_not_finite() {
    let mut g = Graph::new();
    let x = g.input(Input::State(StateIdx(0)));
    // x' = −x·(1 + (log x)²/100) is NaN for any stage below 0; its solution stays above.
    let logarithm = g.unary(Unary::Log, x);
    let square = g.mul(logarithm, logarithm);
    let hundredth = g.constant(0.01);
    let part = g.mul(hundredth, square);
    let one = g.constant(1.0);
    let speed = g.add(one, part);
    let fall = g.mul(speed, x);
    let fall = g.neg(fall);
    let step = generator(g, vec![fall], 0, 0).adaptive();
    let lane = |first_step: f64| LaneData {
        initial: vec![1.0],
        slots: Vec::new(),
        timeline: Timeline {
            t_start: 0.0,
            t_start_tangents: Vec::new(),
            segments: vec![Segment {
                t_end: 5.0,
                is_output: true,
                switches: Vec::new(),
                t_end_tangents: Vec::new(),
            }],
        },
        first_step,
        schedule: Schedule::default(),
    };
    // With u = log x: u' = −(1 + u²/100), u = −10·tan(t/10).
    let want = (-10.0 * 0.5_f64.tan()).exp();
    for first_step in [1e-3, 5.0] {
        let given = &run(&step, &[lane(first_step)], ADAPTIVE)[0];
        println!("{:?}: {:e}, not {want:e}", given.report, given.outputs[0]);
        assert_eq!(given.report.status, LaneStatus::Ok);
        // Errors in log x do not grow along the way: some tolerances of the state itself.
        assert!((given.outputs[0] - want).abs() < 20.0 * (ATOL + RTOL * want));
    }
}

/// Relations and selects inside a right-hand side are part of the program: a lane's branch is its
/// own.
#[test]
fn lanes_of_a_block_take_different_branches() {
    let mut g = Graph::new();
    let (x, p) = (g.input(Input::State(StateIdx(0))), g.input(Input::Slot(SlotIdx(0))));
    let zero = g.constant(0.0);
    let is_negative = g.binary(Binary::Lt, p, zero);
    let root = g.unary(Unary::Sqrt, p);
    let rate = g.select(is_negative, p, root);
    let speed = g.mul(rate, x);
    let step = generator(g, vec![speed], 1, 0).adaptive();
    let lanes: Vec<LaneData> = (0..16)
        .map(|k| LaneData {
            initial: vec![1.0],
            slots: vec![if k % 2 == 0 { -1.0 } else { 0.25 }],
            timeline: Timeline {
                t_start: 0.0,
                t_start_tangents: Vec::new(),
                segments: vec![Segment {
                    t_end: 1.0,
                    is_output: true,
                    switches: Vec::new(),
                    t_end_tangents: Vec::new(),
                }],
            },
            first_step: 1e-2,
            schedule: Schedule::default(),
        })
        .collect();
    for (k, given) in run(&step, &lanes, ADAPTIVE).iter().enumerate() {
        let want = if k % 2 == 0 { (-1.0_f64).exp() } else { 0.5_f64.exp() };
        assert!((given.outputs[0] - want).abs() < 20.0 * RTOL);
    }
}
