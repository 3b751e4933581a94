//! Symbolic derivatives, simplification, fusing and register allocation on random expressions.
//!
//! What is proved, and by which oracle:
//!
//! - `graph::differentiate`, `program::forward::tangents` and `graph::adjoints` are right for every
//!   operation: the oracle is a central difference of the *unsimplified* expression in 320-bit arithmetic
//!   (astro-float) with a step of 2^-80. It knows no derivative rule at all. Its own error is
//!   about 2^-160 (truncation) plus 2^-240 (round-off) of the function's scale, nothing beside
//!   the rounding of the derivative in f64.
//! - Simplifying constructors and `fuse` change values by rounding only: the oracle is a
//!   hand-written evaluation of the unsimplified expression over std's functions.
//! - A compensated program's values are the program's, to the bit, and with their low parts those of exact
//!   arithmetic: the oracle is the same program in 320-bit arithmetic.
//! - Register allocation changes nothing at all: interpreter and machine code against `Graph::evaluate`, to
//!   the bit, 16 lanes at a time.
//!
//! The tolerance of every comparison in f64 is a running error bound (Higham, *Accuracy and
//! Stability of Numerical Algorithms*, section 3.3) of the very expression that was evaluated:
//! each operation adds its rounding (1 ulp for arithmetic, 2 for elementary functions) and passes
//! its operands' errors on. Comparisons whose bound is no better than 1e-6 of the result prove
//! nothing and are counted; few may be. Injected defects show what the comparison can see.

mod bounded;
mod comparison;
mod compensation;
mod exact;
mod expression;

use bounded::evaluate_bounded;
use comparison::{Tally, compare_adjoints, compare_symbolic, count_operations, samples};
use exact::Exact;
use expression::{Expr, Random, Sample, listed};
use gradsweep::engine::cpu::block::BlockProgram;
use gradsweep::engine::cpu::interpreter::BLOCK;
use gradsweep::graph::{Binary, Graph, Input, NodeId, Ternary, Unary, adjoints, differentiate};
use gradsweep::index::{DirectionIdx, SlotIdx, StateIdx};
use gradsweep::program::Program;
use gradsweep::program::forward::tangents;
use gradsweep::program::fuse::fuse;

const EXPRESSIONS: u64 = 600;

#[test]
fn symbolic_derivatives_are_those_of_the_function() {
    let samples = samples(0..EXPRESSIONS);
    let counts = count_operations(&samples);
    for name in Unary::ALL
        .map(|op| format!("{op:?}"))
        .into_iter()
        .chain(Binary::ALL.map(|op| format!("{op:?}")))
        .chain(Ternary::ALL.map(|op| format!("{op:?}")))
    {
        let count = counts.get(&name).copied().unwrap_or(0);
        assert!(count >= 20, "{name} is in {count} of the expressions only: {counts:?}");
    }
    compare_symbolic(&samples, &mut Exact::new(), None).check("symbolic derivatives");
}

#[test]
fn tangent_programs_give_directional_derivatives() {
    let mut exact = Exact::new();
    let mut tally = Tally::default();
    for (number, sample) in samples(1000..1000 + EXPRESSIONS / 2).iter().enumerate() {
        let mut random = Random(number as u64);
        let mut graph = Graph::new();
        let roots = sample.build(&mut graph);
        // Tangents of a fused program: that is what the engines run.
        let roots = fuse(&mut graph, &roots);
        let directions: Vec<SlotIdx> = sample
            .inputs
            .iter()
            .filter_map(|i| if let Input::Slot(s) = i { Some(*s) } else { None })
            .collect();
        let moving: Vec<Vec<f64>> = directions
            .iter()
            .map(|_| sample.inputs.iter().map(|_| random.between(-1.0, 1.0)).collect())
            .collect();
        let state_place = |state: StateIdx| {
            let input = Input::State(state);
            sample.inputs.iter().position(|i| *i == input).expect("a listed state")
        };
        let lookup = |input| match input {
            Input::StateTangent(state, k) => moving[k.position()][state_place(state)],
            other => sample.value_of(other),
        };
        let dense = tangents(&mut graph, &roots, &directions, &[]);
        assert_eq!(dense.len(), directions.len());
        for (k, row) in dense.iter().enumerate() {
            let direction: Vec<f64> = sample
                .inputs
                .iter()
                .enumerate()
                .map(|(i, input)| match input {
                    Input::State(_) => moving[k][i],
                    Input::Slot(s) => f64::from(u8::from(*s == directions[k])),
                    _ => 0.0,
                })
                .collect();
            let reference = sample.derivative_reference(&direction, &mut exact);
            let got = graph.evaluate(row, &lookup);
            let (list, places) = listed(&graph, row);
            let bounds = evaluate_bounded(&list, &lookup);
            for root in 0..roots.len() {
                tally.compare(got[root], reference[root], bounds[places[root]].error, || {
                    format!("expression {number}, root {root}, direction {k}")
                });
            }
        }
    }
    tally.check("tangents");
}

#[test]
fn adjoints_are_those_of_the_function() {
    compare_adjoints(&samples(5000..5000 + EXPRESSIONS), &mut Exact::new(), None).check("adjoints");
}

#[test]
fn the_comparison_of_adjoints_notices_defects() {
    let mut exact = Exact::new();
    let samples = samples(5000..5040);
    let sound = compare_adjoints(&samples, &mut exact, None);
    let scaled = compare_adjoints(&samples, &mut exact, Some(|d| d * (1.0 + 1e-5)));
    let turned = compare_adjoints(&samples, &mut exact, Some(|d| -d));
    assert!(sound.wrong.is_empty());
    // As above.
    assert!(turned.wrong.len() * 3 > sound.compared);
    assert!(scaled.wrong.len() * 10 > turned.wrong.len() * 9);
}

/// A factor that is off by 1e-5 is larger than every tolerance (10 times [`USEFUL`]) wherever the
/// derivative is not tiny, and a wrong sign always is.
#[test]
fn the_comparison_notices_defects() {
    let mut exact = Exact::new();
    let samples = samples(0..40);
    let sound = compare_symbolic(&samples, &mut exact, None);
    let scaled = compare_symbolic(&samples, &mut exact, Some(|d| d * (1.0 + 1e-5)));
    let turned = compare_symbolic(&samples, &mut exact, Some(|d| -d));
    println!(
        "of {} derivatives, {} scaled ones and {} turned ones were noticed",
        sound.compared,
        scaled.wrong.len(),
        turned.wrong.len()
    );
    assert!(sound.wrong.is_empty());
    // Derivatives that are 0 cannot tell: not every input reaches every root.
    assert!(turned.wrong.len() * 3 > sound.compared);
    assert!(scaled.wrong.len() * 10 > turned.wrong.len() * 9);
}

/// The rule of one operation broken, as a bug would: the sine of a cosine's derivative loses its
/// sign. Expressions with one cosine under a random outer function notice it each time.
#[test]
fn the_comparison_notices_a_wrong_sign_in_the_rule_of_cos() {
    let mut exact = Exact::new();
    let mut noticed = 0;
    for seed in 0..20 {
        let mut sample = Sample::new(3000 + seed);
        let input = sample.list.iter().position(|e| matches!(e, Expr::Input(_))).expect("an input");
        sample.list.push(Expr::Unary(Unary::Cos, input));
        sample.list.push(Expr::Unary(Unary::Exp, sample.list.len() - 1));
        sample.roots = vec![sample.list.len() - 1];
        let unit: Vec<f64> =
            (0..sample.inputs.len()).map(|i| f64::from(u8::from(i == input))).collect();
        let reference = sample.derivative_reference(&unit, &mut exact);
        let mut graph = Graph::new();
        let roots = sample.build(&mut graph);
        let derivative = differentiate(&mut graph, &roots, |graph, i| {
            if i == sample.inputs[input] { vec![(0, graph.constant(1.0))] } else { Vec::new() }
        });
        let (list, places) = listed(&graph, &[derivative[0][0].1]);
        let lookup = |input| sample.value_of(input);
        for breaks_rule in [false, true] {
            let mut broken: Vec<Expr> = list.clone();
            let mut place = places[0];
            if breaks_rule {
                // Every use of the sine reads its negative.
                let sine = list.iter().position(|e| matches!(e, Expr::Unary(Unary::Sin, _)));
                let sine = sine.expect("cos derives to a sine");
                broken.insert(sine + 1, Expr::Unary(Unary::Neg, sine));
                for expr in broken.iter_mut().skip(sine + 2) {
                    let moved = |o: usize| if o >= sine { o + 1 } else { o };
                    *expr = match *expr {
                        Expr::Unary(op, a) => Expr::Unary(op, moved(a)),
                        Expr::Binary(op, a, b) => Expr::Binary(op, moved(a), moved(b)),
                        Expr::Ternary(op, a, b, c) => {
                            Expr::Ternary(op, moved(a), moved(b), moved(c))
                        }
                        leaf => leaf,
                    };
                }
                place += 1;
            }
            let result = evaluate_bounded(&broken, &lookup)[place];
            let mut tally = Tally::default();
            tally.compare(result.value, reference[0], result.error, || "cos".into());
            assert_eq!(tally.compared, 1);
            if breaks_rule {
                noticed += tally.wrong.len();
            } else {
                assert!(tally.wrong.is_empty(), "{:?}", tally.wrong);
            }
        }
    }
    assert_eq!(noticed, 20);
}

#[test]
fn simplification_and_fusing_change_values_by_rounding_only() {
    let mut simplified = Tally::default();
    let mut fused_tally = Tally::default();
    let (mut removed, mut joined, mut rounded_differently) = (0, 0, 0);
    let products = |graph: &Graph, roots: &[NodeId]| {
        let (list, _) = listed(graph, roots);
        list.iter().filter(|e| matches!(e, Expr::Binary(Binary::Mul, ..))).count()
    };
    for (number, sample) in samples(2000..2000 + EXPRESSIONS).iter().enumerate() {
        let lookup = |input| sample.value_of(input);
        let plain = evaluate_bounded(&sample.list, &lookup);
        let mut graph = Graph::new();
        let roots = sample.build(&mut graph);
        let values = graph.evaluate(&roots, &lookup);
        let (list, places) = listed(&graph, &roots);
        let bounds = evaluate_bounded(&list, &lookup);
        removed += usize::from(list.len() < count_needed(sample));
        let fused = fuse(&mut graph, &roots);
        joined += products(&graph, &roots) - products(&graph, &fused);
        let fused_values = graph.evaluate(&fused, &lookup);
        for (k, &root) in sample.roots.iter().enumerate() {
            // Both sides round.
            let bound = plain[root].error + bounds[places[k]].error;
            simplified.compare(values[k], plain[root].value, bound, || {
                format!("expression {number}, root {k}")
            });
            fused_tally.compare(fused_values[k], values[k], 2.0 * bounds[places[k]].error, || {
                format!("expression {number}, root {k}, fused")
            });
            rounded_differently += usize::from(fused_values[k] != values[k]);
        }
    }
    simplified.check("simplification");
    fused_tally.check("fusing");
    println!("simplification shortened {removed} expressions");
    println!("fusing took in {joined} products; {rounded_differently} roots rounded differently");
    // Neither test is empty.
    assert!(removed > 100 && joined > 50 && rounded_differently > 10);
}

/// Distinct operations that the sample's roots need.
fn count_needed(sample: &Sample) -> usize {
    let mut is_needed = vec![false; sample.list.len()];
    sample.roots.iter().for_each(|&r| is_needed[r] = true);
    for i in (0..sample.list.len()).rev() {
        if is_needed[i] {
            sample.list[i].operands().iter().for_each(|&o| is_needed[o] = true);
        }
    }
    is_needed.into_iter().filter(|n| *n).count()
}

/// Programs of the roots and their tangents, over lanes far outside the domains too: results are
/// the same to the bit, a NaN is a NaN.
#[test]
fn blocks_agree_with_direct_evaluation_to_the_bit() {
    let (mut compared, mut not_a_number, mut shared) = (0, 0, 0);
    for (number, sample) in samples(4000..4000 + EXPRESSIONS / 2).iter().enumerate() {
        let mut random = Random(number as u64);
        let mut graph = Graph::new();
        let roots = sample.build(&mut graph);
        let mut roots = fuse(&mut graph, &roots);
        let directions: Vec<SlotIdx> = vec![SlotIdx(0), SlotIdx(1)];
        roots.extend(tangents(&mut graph, &roots.clone(), &directions, &[]).into_iter().flatten());
        let mut inputs = sample.inputs.clone();
        for state in 0..3 {
            for k in 0..2 {
                inputs.push(Input::StateTangent(
                    StateIdx::from_position(state),
                    DirectionIdx::from_position(k),
                ));
            }
        }
        // An input that nothing reads keeps its register.
        inputs.insert(1, Input::AbsoluteTolerance);
        let program = Program::new(&graph, inputs.clone(), &roots);
        let ways = BlockProgram::every_way(&program);
        let registers = &ways[0].1.registers;
        assert_eq!(registers.input_count, inputs.len());
        shared += usize::from(
            registers.register_count < program.first_op() + program.ops().len().div_ceil(2),
        );
        let mut lanes = vec![[0.0; BLOCK]; inputs.len()];
        for (i, lane_values) in lanes.iter_mut().enumerate() {
            for (w, value) in lane_values.iter_mut().enumerate() {
                *value = match w {
                    0 => sample.value_of(inputs[i]),
                    1 => 0.0,
                    2 => random.pick(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 5e-324]),
                    3 => random.between(-1e3, 1e3),
                    _ => random.between(-2.5, 2.5),
                };
            }
        }
        let want: [Vec<f64>; BLOCK] = std::array::from_fn(|w| {
            let lookup = |input| lanes[inputs.iter().position(|i| *i == input).unwrap()][w];
            graph.evaluate(&roots, &lookup)
        });
        for (way, block) in &ways {
            let mut file = block.new_file();
            // Twice over: a run must leave inputs and constants as they were.
            for _ in 0..2 {
                file[..lanes.len()].copy_from_slice(&lanes);
                block.run(&mut file);
            }
            for (i, lane_values) in lanes.iter().enumerate() {
                assert!(file[i].iter().zip(lane_values).all(|(a, b)| a.to_bits() == b.to_bits()));
            }
            for w in 0..BLOCK {
                for (k, &register) in block.registers.outputs.iter().enumerate() {
                    let (got, want) = (file[register as usize][w], want[w][k]);
                    compared += 1;
                    not_a_number += usize::from(got.is_nan());
                    assert!(
                        got.to_bits() == want.to_bits() || (got.is_nan() && want.is_nan()),
                        "expression {number}, {way}, lane {w}, output {k}: {got:e}, not {want:e}"
                    );
                }
            }
        }
    }
    println!("{compared} outputs, {not_a_number} of them NaN; {shared} programs share registers");
    assert!(not_a_number * 2 < compared && shared > 50);
}

/// One derivative of one operation over states x0, x1, x2, at a point.
fn derivative_of(build: impl Fn(&mut Graph, [NodeId; 3]) -> NodeId, at: [f64; 3], by: u32) -> f64 {
    let mut graph = Graph::new();
    let inputs = [0, 1, 2].map(|i| graph.input(Input::State(StateIdx(i))));
    let root = build(&mut graph, inputs);
    let found = differentiate(&mut graph, &[root], |graph, input| match input {
        Input::State(s) if s.0 == by => vec![(0, graph.constant(1.0))],
        _ => Vec::new(),
    });
    let Some(&(_, derivative)) = found[0].first() else { return 0.0 };
    graph.evaluate(&[derivative], &|input| match input {
        Input::State(s) => at[s.position()],
        _ => f64::NAN,
    })[0]
}

/// Points that random expressions avoid, by hand.
#[test]
fn derivatives_at_the_edges_of_domains() {
    let power = |g: &mut Graph, [x, n, _]: [NodeId; 3]| g.pow(x, n);
    // x^n at x = 0: its slope is n·0^(n−1), and it does not move with n > 0.
    assert_eq!(derivative_of(power, [0.0, 1.0, 0.0], 0), 1.0);
    assert_eq!(derivative_of(power, [0.0, 2.0, 0.0], 0), 0.0);
    assert_eq!(derivative_of(power, [0.0, 2.5, 0.0], 1), 0.0);
    assert_eq!(derivative_of(power, [2.0, 0.0, 0.0], 1), std::f64::consts::LN_2);
    // The branch that is not taken is NaN and must not show: x > 0 ? log(x)·y : y.
    let guarded = |g: &mut Graph, [x, y, _]: [NodeId; 3]| {
        let zero = g.constant(0.0);
        let positive = g.binary(Binary::Lt, zero, x);
        let logarithm = g.unary(Unary::Log, x);
        let product = g.mul(logarithm, y);
        g.select(positive, product, y)
    };
    assert_eq!(derivative_of(guarded, [-1.0, 3.0, 0.0], 0), 0.0);
    assert_eq!(derivative_of(guarded, [-1.0, 3.0, 0.0], 1), 1.0);
    assert_eq!(derivative_of(guarded, [0.0, 3.0, 0.0], 0), 0.0);
    // At a tie, one of the two one-sided slopes (2 and 1), not their sum.
    for op in [Binary::Min, Binary::Max] {
        let tied = |g: &mut Graph, [x, y, _]: [NodeId; 3]| {
            let twice = g.add(x, x);
            g.binary(op, twice, y)
        };
        assert!([0.0, 2.0].contains(&derivative_of(tied, [1.0, 2.0, 0.0], 0)));
        let by_x = derivative_of(tied, [1.0, 2.0, 0.0], 0);
        let by_y = derivative_of(tied, [1.0, 2.0, 0.0], 1);
        assert!((by_x, by_y) == (2.0, 0.0) || (by_x, by_y) == (0.0, 1.0));
    }
    // |x| at 0 has slope 0, the middle of both.
    let absolute = |g: &mut Graph, [x, ..]: [NodeId; 3]| g.unary(Unary::Abs, x);
    assert_eq!(derivative_of(absolute, [0.0; 3], 0), 0.0);
}

/// One adjoint of one operation over states x0, x1, x2, at a point.
fn adjoint_of(build: impl Fn(&mut Graph, [NodeId; 3]) -> NodeId, at: [f64; 3], by: u32) -> f64 {
    let mut graph = Graph::new();
    let inputs = [0, 1, 2].map(|i| graph.input(Input::State(StateIdx(i))));
    let root = build(&mut graph, inputs);
    let one = graph.constant(1.0);
    let found = adjoints(&mut graph, &[(root, one)], &[Input::State(StateIdx(by))]);
    graph.evaluate(&found, &|input| match input {
        Input::State(s) => at[s.position()],
        _ => f64::NAN,
    })[0]
}

/// Where a choice leaves a side out, what is infinite or undefined there must not reach the adjoints.
#[test]
fn adjoints_know_nothing_of_the_side_that_is_not_taken() {
    // 0 where y is 0, else x/y: what a guarded quotient looks like.
    let guarded = |g: &mut Graph, [x, y, _]: [NodeId; 3]| {
        let zero = g.constant(0.0);
        let is_empty = g.binary(Binary::Eq, y, zero);
        let quotient = g.div(x, y);
        g.select(is_empty, zero, quotient)
    };
    for by in [0, 1] {
        assert_eq!(adjoint_of(guarded, [0.0, 0.0, 0.0], by), 0.0);
        assert_eq!(adjoint_of(guarded, [3.0, 0.0, 0.0], by), 0.0);
    }
    assert_eq!(adjoint_of(guarded, [3.0, 2.0, 0.0], 0), 0.5);
    assert_eq!(adjoint_of(guarded, [3.0, 2.0, 0.0], 1), -0.75);
    // ln(x)·y where x > 0, else z, with further operations between.
    let piecewise = |g: &mut Graph, [x, y, z]: [NodeId; 3]| {
        let zero = g.constant(0.0);
        let is_positive = g.binary(Binary::Lt, zero, x);
        let logarithm = g.unary(Unary::Log, x);
        let product = g.ternary(Ternary::MulAdd, logarithm, y, y);
        g.select(is_positive, product, z)
    };
    for x in [0.0, -1.0] {
        assert_eq!([0, 1, 2].map(|by| adjoint_of(piecewise, [x, 2.0, 5.0], by)), [0.0, 0.0, 1.0]);
    }
    assert_eq!(adjoint_of(piecewise, [2.0, 3.0, 5.0], 0), 1.5);
    // x^y at x = 0: slope 0 where it is 0 or infinite, as for a tangent that does not move x.
    let power = |g: &mut Graph, [x, y, _]: [NodeId; 3]| g.pow(x, y);
    for exponent in [0.5, 1.5, 2.5] {
        assert_eq!([0, 1].map(|by| adjoint_of(power, [0.0, exponent, 0.0], by)), [0.0, 0.0]);
    }
    assert_eq!(adjoint_of(power, [3.0, 2.0, 0.0], 0), 6.0);
}
