//! Conserved moieties, and what the step makes of them.
//!
//! What is proved, and by which oracle: moieties of reaction systems whose conservation relations are
//! known from the reactions; and that a step far larger than the fast flows' time scale keeps the
//! total and comes to the steady state that detailed balance gives in closed form. The twin, in
//! which the same flows are written so that they cannot be seen to be the same, does not.

use gradsweep::engine::cpu::CpuEngine;
use gradsweep::engine::{Batch, Control, Engine, LaneStatus, Schedule, Segment, Timeline};
use gradsweep::graph::{Graph, Input, NodeId};
use gradsweep::index::{ScheduleIdx, SlotIdx, StateIdx, TimelineIdx};
use gradsweep::rosenbrock::{RightHandSide, StepGenerator, moieties};

/// A reaction: reactants and products with their stoichiometry; mass action with slot of its own.
struct Reaction<'a> {
    reactants: &'a [(usize, f64)],
    products: &'a [(usize, f64)],
}

/// Right-hand sides of concentrations in compartments of a constant or a slot's size.
fn derivatives(
    graph: &mut Graph,
    n: usize,
    reactions: &[Reaction<'_>],
    size: Option<usize>,
) -> Vec<NodeId> {
    let mut totals: Vec<NodeId> = (0..n).map(|_| graph.constant(0.0)).collect();
    for (r, reaction) in reactions.iter().enumerate() {
        let mut rate = graph.input(Input::Slot(SlotIdx::from_position(r)));
        for &(state, _) in reaction.reactants {
            let x = graph.input(Input::State(StateIdx::from_position(state)));
            rate = graph.mul(rate, x);
        }
        for (side, sign) in [(reaction.reactants, -1.0), (reaction.products, 1.0)] {
            for &(state, count) in side {
                let number = graph.constant(sign * count);
                let change = graph.mul(number, rate);
                totals[state] = graph.add(totals[state], change);
            }
        }
    }
    let Some(slot) = size else { return totals };
    let size = graph.input(Input::Slot(SlotIdx::from_position(slot)));
    totals.into_iter().map(|total| graph.div(total, size)).collect()
}

/// Members and weights, as the function under test gives them.
fn found(n: usize, reactions: &[Reaction<'_>], size: Option<usize>) -> Vec<Vec<(usize, f64)>> {
    let mut graph = Graph::new();
    let rates = derivatives(&mut graph, n, reactions, size);
    let members = |m: &gradsweep::rosenbrock::Moiety| {
        m.members.iter().map(|(state, weight)| (state.position(), *weight)).collect()
    };
    moieties(&mut graph, &rates).iter().map(members).collect()
}

#[test]
fn conservation_relations_of_reactions_are_found() {
    // E + S ⇌ ES → E + P: enzyme (E, ES) and substrate (S, ES, P).
    let enzyme = [
        Reaction { reactants: &[(0, 1.0), (1, 1.0)], products: &[(2, 1.0)] },
        Reaction { reactants: &[(2, 1.0)], products: &[(0, 1.0), (1, 1.0)] },
        Reaction { reactants: &[(2, 1.0)], products: &[(0, 1.0), (3, 1.0)] },
    ];
    let expected = vec![vec![(0, 1.0), (2, 1.0)], vec![(1, 1.0), (2, 1.0), (3, 1.0)]];
    assert_eq!(found(4, &enzyme, None), expected);
    assert_eq!(found(4, &enzyme, Some(3)), expected, "concentrations in a compartment");

    // 2 A ⇌ D → D*: A counts once, the dimers twice.
    let dimer = [
        Reaction { reactants: &[(0, 2.0)], products: &[(1, 1.0)] },
        Reaction { reactants: &[(1, 1.0)], products: &[(0, 2.0)] },
        Reaction { reactants: &[(1, 1.0)], products: &[(2, 1.0)] },
    ];
    assert_eq!(found(3, &dimer, None), [[(0, 1.0), (1, 2.0), (2, 2.0)]]);
}

#[test]
fn open_systems_have_none() {
    // → A → B →: everything comes and goes; C decays by itself.
    let open = [
        Reaction { reactants: &[], products: &[(0, 1.0)] },
        Reaction { reactants: &[(0, 1.0)], products: &[(1, 1.0)] },
        Reaction { reactants: &[(1, 1.0)], products: &[] },
        Reaction { reactants: &[(2, 1.0)], products: &[] },
    ];
    assert!(found(3, &open, None).is_empty());
    // A ⇌ B with a leak from B keeps nothing either.
    let leaking = [
        Reaction { reactants: &[(0, 1.0)], products: &[(1, 1.0)] },
        Reaction { reactants: &[(1, 1.0)], products: &[(0, 1.0)] },
        Reaction { reactants: &[(1, 1.0)], products: &[] },
    ];
    assert!(found(2, &leaking, None).is_empty());
}

/// A ⇌ B fast, B ⇌ C slow; `hidden`: the flows into B are written with a factor 1 in a slot.
fn stiff_chain(hidden: bool) -> StepGenerator {
    let mut graph = Graph::new();
    let slot = |graph: &mut Graph, s| graph.input(Input::Slot(SlotIdx(s)));
    let state = |graph: &mut Graph, s| graph.input(Input::State(StateIdx(s)));
    let mut flow = |s: u32, from: u32, factor: bool| {
        let (k, x) = (slot(&mut graph, s), state(&mut graph, from));
        let one = slot(&mut graph, 4);
        let k = if factor { graph.mul(k, one) } else { k };
        graph.mul(k, x)
    };
    let own = [flow(0, 0, false), flow(1, 1, false), flow(2, 1, false), flow(3, 2, false)];
    let into_b = [flow(0, 0, hidden), flow(1, 1, hidden), flow(2, 1, hidden), flow(3, 2, hidden)];
    let a = graph.sub(own[1], own[0]);
    let c = graph.sub(own[2], own[3]);
    let gains = graph.add(into_b[0], into_b[3]);
    let losses = graph.add(into_b[1], into_b[2]);
    let b = graph.sub(gains, losses);
    StepGenerator::new(&RightHandSide {
        graph,
        derivatives: vec![a, b, c],
        slots: (0..5).map(SlotIdx).collect(),
        switch_count: 0,
    })
}

/// Relative errors of the states and of their total after 100 steps of 10⁸ units of time.
fn errors_at_rest(generator: &StepGenerator) -> (f64, f64) {
    let slots = [1.1e3, 2.3e3, 1.3e-3, 2.9e-3, 1.0];
    let initial = [0.7, 0.2, 0.1];
    let mut fractions = vec![0.01; 100];
    fractions[99] = -0.01;
    let segment =
        Segment { t_end: 1e10, is_output: true, switches: Vec::new(), t_end_tangents: Vec::new() };
    let timeline = Timeline { t_start: 0.0, t_start_tangents: Vec::new(), segments: vec![segment] };
    let kernel = CpuEngine.prepare(&generator.replay()).expect("the CPU engine takes any program");
    let result = kernel
        .run(&Batch {
            initial: &initial,
            slots: &slots,
            timelines: &[timeline],
            of_lane: &[TimelineIdx(0)],
            control: Control::Replay {
                schedules: &[Schedule { fractions }],
                of_lane: &[ScheduleIdx(0)],
            },
        })
        .expect("the CPU engine runs every batch");
    assert_eq!(result.reports[0].status, LaneStatus::Ok);
    // Detailed balance: A : B = k₂ : k₁ and B : C = k₄ : k₃, of a total of 1.
    let b = 1.0 / (slots[1] / slots[0] + 1.0 + slots[2] / slots[3]);
    let rest = [b * slots[1] / slots[0], b, b * slots[2] / slots[3]];
    let error = |(x, want): (&f64, &f64)| ((x - want) / want).abs();
    let worst = result.outputs.iter().zip(&rest).map(error).fold(0.0, f64::max);
    (worst, (result.outputs.iter().sum::<f64>() - 1.0).abs())
}

#[test]
fn large_steps_keep_what_is_conserved() {
    let (state, total) = errors_at_rest(&stiff_chain(false));
    println!("states {state:.1e}, total {total:.1e}");
    // Fast flows of 400, rounded to 5e-14, leave slow ones of 1e-4 a relative error of 5e-10. What
    // rounding adds to the total is taken off again.
    assert!(state < 1e-9 && total < 1e-14, "{state:e} {total:e}");
    // The twin: with h·k = 10¹⁴ a pivot has one or two digits of what it should be.
    let (state, total) = errors_at_rest(&stiff_chain(true));
    println!("hidden: states {state:.1e}, total {total:.1e}");
    assert!(state > 1e-6 && total > 1e-6, "{state:e} {total:e}");
}
