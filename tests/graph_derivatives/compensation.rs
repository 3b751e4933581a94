//! Values with their low parts against the same operations in 320-bit arithmetic.

use crate::bounded::evaluate_bounded;
use crate::exact::Exact;
use crate::expression::{Expr, Random, Sample, listed};
use astro_float::BigFloat;
use gradsweep::elementary::{log, log_lacks};
use gradsweep::engine::cpu::block::BlockProgram;
use gradsweep::engine::cpu::interpreter::BLOCK;
use gradsweep::graph::{Binary, Graph, Input, Unary};
use gradsweep::index::DirectionIdx;
use gradsweep::program::Program;
use gradsweep::program::compensated::{compensate, is_compensable, low_of_states};
use gradsweep::program::fuse::fuse;

/// Those whose rounding errors can be told.
const UNARY: [Unary; 9] = [
    Unary::Neg,
    Unary::Abs,
    Unary::Sign,
    Unary::Floor,
    Unary::Ceil,
    Unary::Sqrt,
    Unary::Exp,
    Unary::Log,
    Unary::Log10,
];
/// Low parts are of first order: their own error is that of an operand, relative to it, of a value's error.
/// Operands of 26 good bits and more leave at least 20 bits of the low part, with six for what adds up.
const BITS_OF_OPERANDS: i32 = 26;
const BITS_OF_LOW_PARTS: i32 = 20;

/// How many roots are right, and in how many of these the value alone would not be.
#[derive(Debug, Default)]
struct Tally {
    right: usize,
    wrong: Vec<String>,
    wrong_without: usize,
    /// Of operands that are known too badly.
    skipped: usize,
}

/// Compares values with low parts, as `change` makes them.
fn compare(seeds: std::ops::Range<u64>, change: impl Fn(f64) -> f64) -> Tally {
    let (mut exact, mut tally) = (Exact::new(), Tally::default());
    for seed in seeds {
        let sample = Sample::with_unary(seed, &UNARY);
        let mut random = Random(seed);
        let mut graph = Graph::new();
        let roots = sample.build(&mut graph);
        let roots = fuse(&mut graph, &roots);
        let program = Program::new(&graph, sample.inputs.clone(), &roots);
        assert!(is_compensable(&program));

        // States come with low parts, slots are exact.
        let low: Vec<f64> = sample
            .at
            .iter()
            .zip(&sample.inputs)
            .map(|(x, input)| match input {
                Input::State(_) => x * random.between(-1.0, 1.0) * 2f64.powi(-53),
                _ => 0.0,
            })
            .collect();
        let lookup = |input| match input {
            Input::StateTangent(state, DirectionIdx(0)) => {
                let place = sample.inputs.iter().position(|i| *i == Input::State(state));
                place.map_or(f64::NAN, |place| low[place])
            }
            other => sample.value_of(other),
        };
        let plain = graph.evaluate(&roots, &lookup);
        let compensated = compensate(&program, roots.len(), low_of_states(0));
        let got = compensated.graph.evaluate(&compensated.roots, &lookup);
        let (values, low_parts) = got.split_at(roots.len());
        let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<u64>>();
        assert_eq!(bits(values), bits(&plain), "expression {seed}: other values");
        check_engines(&compensated.graph, &compensated.roots, &lookup, &got);

        let (list, places) = listed(&graph, &roots);
        let bounds = evaluate_bounded(&list, &lookup);
        let at: Vec<BigFloat> = sample
            .at
            .iter()
            .zip(&low)
            .map(|(&x, &low)| exact.add(&Exact::of(x), &Exact::of(low)))
            .collect();
        // What is of time and constants alone is a number that all lanes share.
        let every = graph.evaluate(&graph.reachable(&roots), &lookup);
        let mut is_common: Vec<bool> = Vec::with_capacity(list.len());
        let mut numbers = list.clone();
        for (place, expr) in list.iter().enumerate() {
            is_common.push(match expr {
                Expr::Input(input) => *input == Input::Time,
                other => other.operands().iter().all(|&o| is_common[o]),
            });
            if is_common[place] {
                numbers[place] = Expr::Constant(every[place]);
            }
        }
        let truth = exact.evaluate(&numbers, &sample.inputs, &at);
        let is_good =
            |b: &crate::bounded::Bounded| b.error <= b.value.abs() * 2f64.powi(-BITS_OF_OPERANDS);
        for (root, &place) in places.iter().enumerate() {
            if !bounds[..=place].iter().all(|b| b.error == 0.0 || is_good(b)) {
                tally.skipped += 1;
                continue;
            }
            // Low parts of the inputs, too, are as rounding errors are.
            let size = bounds[place].error + values[root].abs() * f64::EPSILON;
            let tolerance = size * 2f64.powi(-BITS_OF_LOW_PARTS);
            let mut distance = |low: f64| {
                let rest = exact.sub(&truth[place], &Exact::of(values[root]));
                Exact::to_f64(&exact.sub(&rest, &Exact::of(low))).abs()
            };
            tally.wrong_without += usize::from(distance(0.0) > tolerance);
            let error = distance(change(low_parts[root]));
            match error <= tolerance {
                true => tally.right += 1,
                false => {
                    let value = values[root];
                    tally.wrong.push(format!("expression {seed}, root {root}: {value:e} off by {error:e}, allowed {tolerance:e}"));
                }
            }
        }
    }
    println!(
        "{} right, {} wrong, {} wrong without low parts, {} skipped",
        tally.right,
        tally.wrong.len(),
        tally.wrong_without,
        tally.skipped
    );
    tally
}

/// Interpreter and machine code give the same bits.
fn check_engines(
    graph: &Graph,
    roots: &[gradsweep::graph::NodeId],
    lookup: &dyn Fn(Input) -> f64,
    expected: &[f64],
) {
    let inputs = graph.inputs_of(roots);
    let program = Program::new(graph, inputs.clone(), roots);
    for (way, program) in BlockProgram::every_way(&program) {
        let mut file = program.new_file();
        for (place, &input) in inputs.iter().enumerate() {
            file[place] = [lookup(input); BLOCK];
        }
        program.run(&mut file);
        for (&register, &value) in program.registers.outputs.iter().zip(expected) {
            let got = file[register as usize];
            // A NaN of a branch that is not taken may have any payload.
            assert!(
                got.iter()
                    .all(|g| g.to_bits() == value.to_bits() || (g.is_nan() && value.is_nan())),
                "{way}: {got:?}, not {value:e}"
            );
        }
    }
}

#[test]
fn low_parts_are_what_rounding_leaves_out() {
    let tally = compare(20_000..20_600, |low| low);
    assert!(tally.wrong.is_empty(), "{}", tally.wrong.join("\n"));
    assert!(tally.right > 600, "{tally:?}");
    // The twins: without low parts most values are wrong by more, and a low part that is off by 2^-15 is seen.
    assert!(tally.wrong_without > tally.right / 2, "{tally:?}");
    let off = compare(20_000..20_100, |low| low * (1.0 + 2f64.powi(-15)));
    assert!(off.wrong.len() > off.right / 4, "{off:?}");
}

/// Over the whole range, close to 1, and of subnormal numbers: to 2^-94 of the logarithm's larger part.
#[test]
fn what_a_rounded_logarithm_lacks() {
    let mut exact = Exact::new();
    let mut random = Random(7);
    let (mut count, mut seen) = (0, 0);
    for number in 0..3_000 {
        let x = match number % 4 {
            0 => f64::from_bits(random.next() & 0x7fff_ffff_ffff_ffff),
            1 => 1.0 + random.between(-1.0, 1.0) * 2f64.powi(-(number % 53)),
            2 => random.between(0.5, 2.0),
            _ => random.between(0.0, 1.0) * f64::MIN_POSITIVE,
        };
        if !(x > 0.0 && x.is_finite()) {
            continue;
        }
        let y = log(x);
        // astro-float 0.9 reads subnormal numbers as half of what they are.
        let normal = Exact::of(x * 2f64.powi(60));
        let x_exact = match x < f64::MIN_POSITIVE {
            true => exact.mul(&normal, &Exact::power_of_two(-60)),
            false => Exact::of(x),
        };
        let truth = Exact::to_f64(&exact.binary(Binary::LogLacks, &x_exact, &Exact::of(y)));
        let error = (log_lacks(x, y) - truth).abs();
        // The larger of log x and the logarithm of x's mantissa, which is up to log(2)/2.
        let size = y.abs().max(if x == 1.0 { 0.0 } else { (x - 1.0).abs().min(0.35) });
        assert!(error <= size * 2f64.powi(-94), "{x:e}: {:e}, not {truth:e}", log_lacks(x, y));
        count += 1;
        seen += usize::from(truth.abs() > size * 2f64.powi(-80));
    }
    // The twin: a result of 0 would be off by far more, but where the rounded logarithm is nearly exact.
    assert!(count > 2_900 && seen > count * 9 / 10, "{seen} of {count}");
    for x in [0.0, -1.0, f64::INFINITY, f64::NAN] {
        assert!(log_lacks(x, 0.0).is_nan());
    }
}
