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
            k if k < calls => graph.unary(Unary::ALL[random.random_range(2..Unary::ALL.len())], a),
            k if k < calls + 10 => graph.unary(Unary::ALL[random.random_range(0..6)], a),
            k if k < calls + 50 => {
                graph.binary(Binary::ALL[random.random_range(0..Binary::ALL.len())], a, b)
            }
            _ => graph.ternary(Ternary::ALL[random.random_range(0..Ternary::ALL.len())], a, b, c),
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

/// Outputs of a program over a block; the inputs must be left as they were.
fn outputs(block: &BlockProgram, lanes: &[[f64; BLOCK]]) -> Vec<[f64; BLOCK]> {
    let mut file = block.new_file();
    file[..lanes.len()].copy_from_slice(lanes);
    block.run(&mut file);
    for (kept, lane) in file.iter().zip(lanes) {
        assert_eq!(kept.map(f64::to_bits), lane.map(f64::to_bits), "an input was changed");
    }
    block.registers.outputs.iter().map(|&r| file[r as usize]).collect()
}

/// The first number whose bits differ; a NaN is a NaN.
fn difference(got: &[[f64; BLOCK]], want: &[[f64; BLOCK]]) -> Option<String> {
    let places = (0..want.len()).flat_map(|k| (0..BLOCK).map(move |w| (k, w)));
    let differs = |&(k, w): &(usize, usize)| {
        let (got, want) = (got[k][w], want[k][w]);
        got.to_bits() != want.to_bits() && !(got.is_nan() && want.is_nan())
    };
    let (k, w) = { places }.find(differs)?;
    Some(format!("output {k}, lane {w}: {:e}, not {:e}", got[k][w], want[k][w]))
}

fn program(graph: &Graph, roots: &[NodeId]) -> Program {
    Program::new(graph, (0..INPUTS).map(|i| Input::State(StateIdx(i))).collect(), roots)
}

fn lanes(seed: u64) -> Vec<[f64; BLOCK]> {
    let mut random = Pcg64Mcg::seed_from_u64(seed);
    (0..INPUTS).map(|_| std::array::from_fn(|_| number(&mut random))).collect()
}

#[test]
fn every_way_gives_the_interpreters_bits() {
    let mut seen = BTreeSet::new();
    let (mut compared, mut finite) = (0, 0);
    for seed in 0..60 {
        // Values that live briefly, and far more of them than there are registers.
        let reach = [4, 20, 60, 400][seed as usize % 4];
        let calls = [0, 2, 10][seed as usize % 3];
        let (graph, roots) = random_program(seed, 1500, reach, calls);
        let program = program(&graph, &roots);
        for op in program.ops() {
            seen.insert(match op {
                Op::Unary(op, _) => format!("{op:?}"),
                Op::Binary(op, ..) => format!("{op:?}"),
                Op::Ternary(op, ..) => format!("{op:?}"),
            });
        }
        let (ways, lanes) = (BlockProgram::every_way(&program), lanes(seed));
        let want = outputs(&ways[0].1, &lanes);
        for (way, block) in &ways[1..] {
            let found = difference(&outputs(block, &lanes), &want);
            assert_eq!(found, None, "program {seed}, {way}");
            compared += want.len() * BLOCK;
            finite += want.iter().flatten().filter(|value| value.is_finite()).count();
        }
    }
    if compared == 0 {
        println!("skipped: there is no machine code for this machine");
        return;
    }
    println!("{compared} numbers compared, {finite} of them finite");
    assert!(finite * 3 > compared, "too few lanes stay finite to tell");
    let all = Unary::ALL.len() + Binary::ALL.len() + Ternary::ALL.len();
    assert_eq!(seen.len(), all, "operations that were tried: {seen:?}");
}

/// The comparison sees one output in two hundred whose sign is wrong.
#[test]
fn a_wrong_operation_is_seen() {
    let (mut graph, mut roots) = random_program(1, 1500, 20, 2);
    let want = outputs(&BlockProgram::interpreted(&program(&graph, &roots)), &lanes(1));
    let is_number = |values: &[f64; BLOCK]| values.iter().all(|v| v.is_finite() && *v != 0.0);
    let k = want.iter().position(is_number).expect("an output that is finite in all lanes");
    roots[k] = graph.neg(roots[k]);
    for (way, block) in BlockProgram::every_way(&program(&graph, &roots)) {
        let found = difference(&outputs(&block, &lanes(1)), &want);
        assert!(found.is_some_and(|f| f.starts_with(&format!("output {k},"))), "{way}");
    }
}

/// Lanes that a block has are computed, whether or not it has the others.
#[test]
fn some_lanes_are_as_in_a_full_block() {
    let (graph, roots) = random_program(7, 1500, 60, 2);
    let program = program(&graph, &roots);
    let inputs = lanes(7);
    let want = outputs(&BlockProgram::interpreted(&program), &inputs);
    for (way, block) in BlockProgram::every_way(&program) {
        for used in 1..=BLOCK {
            let mut file = block.new_file();
            file[..inputs.len()].copy_from_slice(&inputs);
            block.run_lanes(&mut file, used);
            // The other lanes may hold anything.
            let got = block.registers.outputs.iter().zip(&want).map(|(&output, want)| {
                let got = file[output as usize];
                std::array::from_fn(|w| if w < used { got[w] } else { want[w] })
            });
            let got: Vec<[f64; BLOCK]> = got.collect();
            assert_eq!(difference(&got, &want), None, "{way}, {used} lanes");
        }
    }
}
