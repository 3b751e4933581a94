//! Machine code gives the interpreter's bits: on programs of every operation with more values
//! alive than a processor has registers, and on lanes that hold every kind of number.

use gradsweep::engine::cpu::block::BlockProgram;
use gradsweep::engine::cpu::interpreter::BLOCK;
use gradsweep::graph::{Binary, Graph, Input, NodeId, Ternary, Unary};
use gradsweep::index::StateIdx;
use gradsweep::program::{Op, Program};
use rand::{Rng, RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use std::collections::BTreeSet;

const INPUTS: u32 = 24;

const UNARY: [Unary; 21] = [
    Unary::Neg,
    Unary::Abs,
    Unary::Sign,
    Unary::Floor,
    Unary::Ceil,
    Unary::Sqrt,
    Unary::Exp,
    Unary::Log,
    Unary::Log10,
    Unary::Sin,
    Unary::Cos,
    Unary::Tan,
    Unary::Asin,
    Unary::Acos,
    Unary::Atan,
    Unary::Sinh,
    Unary::Cosh,
    Unary::Tanh,
    Unary::Asinh,
    Unary::Acosh,
    Unary::Atanh,
];

const BINARY: [Binary; 10] = [
    Binary::Add,
    Binary::Sub,
    Binary::Mul,
    Binary::Div,
    Binary::Pow,
    Binary::Min,
    Binary::Max,
    Binary::Lt,
    Binary::Le,
    Binary::Eq,
];

const TERNARY: [Ternary; 4] =
    [Ternary::MulAdd, Ternary::MulSub, Ternary::NegMulAdd, Ternary::Select];

/// A program of random operations whose operands were computed up to `reach` operations ago; every
/// seventh value is an output. Of a hundred operations `calls` are functions.
fn random_program(seed: u64, operations: usize, reach: usize, calls: u32) -> (Graph, Vec<NodeId>) {
    let mut random = Pcg64Mcg::seed_from_u64(seed);
    let mut graph = Graph::new();
    let mut nodes: Vec<NodeId> =
        (0..INPUTS).map(|i| graph.input(Input::State(StateIdx(i)))).collect();
    nodes.push(graph.constant(0.7));
    nodes.push(graph.constant(-1.3));
    let mut roots = Vec::new();
    for number in 0..operations {
        let mut operand =
            || nodes[nodes.len() - 1 - random.random_range(0..reach.min(nodes.len()))];
        let [a, b, c] = [operand(), operand(), operand()];
        // One in eight takes an operand twice.
        let b = if random.random_range(0..8) == 0 { a } else { b };
        let node = match random.random_range(0..100) {
            k if k < calls => graph.unary(UNARY[random.random_range(2..UNARY.len())], a),
            k if k < calls + 10 => graph.unary(UNARY[random.random_range(0..6)], a),
            k if k < calls + 50 => graph.binary(BINARY[random.random_range(0..BINARY.len())], a, b),
            _ => graph.ternary(TERNARY[random.random_range(0..TERNARY.len())], a, b, c),
        };
        nodes.push(node);
        if number % 7 == 0 {
            roots.push(node);
        }
    }
    (graph, roots)
}

fn number(random: &mut Pcg64Mcg) -> f64 {
    const SPECIAL: [f64; 8] =
        [0.0, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 5e-324, 1e308, 1.0];
    match random.random_range(0..8) {
        0 => SPECIAL[random.random_range(0..SPECIAL.len())],
        1 => f64::from_bits(random.next_u64()),
        _ => random.random_range(-3.0..3.0),
    }
}

#[test]
fn every_way_gives_the_interpreters_bits() {
    let mut seen = BTreeSet::new();
    let (mut compared, mut finite) = (0_u64, 0_u64);
    for seed in 0..60 {
        // Values that live briefly, and far more of them than there are registers.
        let reach = [4, 20, 60, 400][seed as usize % 4];
        let calls = [0, 2, 10][seed as usize % 3];
        let (graph, roots) = random_program(seed, 1500, reach, calls);
        let inputs = (0..INPUTS).map(|i| Input::State(StateIdx(i))).collect();
        let program = Program::new(&graph, inputs, &roots);
        for op in program.ops() {
            seen.insert(match op {
                Op::Unary(op, _) => format!("{op:?}"),
                Op::Binary(op, ..) => format!("{op:?}"),
                Op::Ternary(op, ..) => format!("{op:?}"),
            });
        }
        let ways = BlockProgram::every_way(&program);
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        let lanes: Vec<[f64; BLOCK]> =
            (0..INPUTS).map(|_| std::array::from_fn(|_| number(&mut random))).collect();
        let run = |block: &BlockProgram| -> Vec<[f64; BLOCK]> {
            let mut file = block.new_file();
            file[..lanes.len()].copy_from_slice(&lanes);
            block.run(&mut file);
            for (kept, lane) in file.iter().zip(&lanes) {
                assert_eq!(kept.map(f64::to_bits), lane.map(f64::to_bits), "an input was changed");
            }
            block.registers.outputs.iter().map(|&r| file[r as usize]).collect()
        };
        let want = run(&ways[0].1);
        for (way, block) in &ways[1..] {
            for (k, (got, want)) in run(block).iter().zip(&want).enumerate() {
                for w in 0..BLOCK {
                    compared += 1;
                    finite += u64::from(want[w].is_finite());
                    assert!(
                        got[w].to_bits() == want[w].to_bits()
                            || (got[w].is_nan() && want[w].is_nan()),
                        "program {seed}, {way}, output {k}, lane {w}: {:e}, not {:e}",
                        got[w],
                        want[w]
                    );
                }
            }
        }
    }
    if compared == 0 {
        println!("skipped: there is no machine code for this machine");
        return;
    }
    println!("{compared} numbers compared, {finite} of them finite");
    assert!(finite * 3 > compared, "too few lanes stay finite to tell");
    let all = UNARY.len() + BINARY.len() + TERNARY.len();
    assert_eq!(seen.len(), all, "operations that were tried: {seen:?}");
}
