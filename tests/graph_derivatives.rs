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
//! - Register allocation changes nothing at all: interpreter and machine code against `Graph::evaluate`, to
//!   the bit, 16 lanes at a time.
//!
//! The tolerance of every comparison in f64 is a running error bound (Higham, *Accuracy and
//! Stability of Numerical Algorithms*, section 3.3) of the very expression that was evaluated:
//! each operation adds its rounding (1 ulp for arithmetic, 2 for elementary functions) and passes
//! its operands' errors on. Comparisons whose bound is no better than 1e-6 of the result prove
//! nothing and are counted; few may be. Injected defects show what the comparison can see.

use astro_float::{BigFloat, Consts, RoundingMode, Sign};
use gradsweep::engine::cpu::block::BlockProgram;
use gradsweep::engine::cpu::interpreter::BLOCK;
use gradsweep::graph::{
    Binary, Graph, Input, Node, NodeId, Ternary, Unary, adjoints, differentiate,
};
use gradsweep::index::{DirectionIdx, SlotIdx, StateIdx};
use gradsweep::program::Program;
use gradsweep::program::forward::tangents;
use gradsweep::program::fuse::fuse;
use std::collections::BTreeMap;

const EXPRESSIONS: u64 = 600;
/// Bits of the reference and the exponent of its difference step.
const BITS: usize = 320;
const STEP_EXPONENT: i32 = -80;
/// 2^-320 of intermediate values up to 1e4, amplified a little, over the step.
const REFERENCE_ERROR: f64 = 1e-60;
const EPS: f64 = f64::EPSILON;
/// The running bound is of first order and its slopes are estimates: twice it is safe.
const BOUND_SAFETY: f64 = 2.0;
/// A bound wider than this, relative to the result, proves nothing.
const USEFUL: f64 = 1e-6;

/// SplitMix64 (Steele, Lea and Flood 2014): the sequence depends on the seed alone.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// Uniform between two numbers.
    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * (self.next() >> 11) as f64 * 2f64.powi(-53)
    }

    fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }
}

/// An operation of an unsimplified expression; operands are earlier entries of the list.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Expr {
    Constant(f64),
    Input(Input),
    Unary(Unary, usize),
    Binary(Binary, usize, usize),
    Ternary(Ternary, usize, usize, usize),
}

impl Expr {
    fn operands(&self) -> Vec<usize> {
        match *self {
            Self::Constant(_) | Self::Input(_) => Vec::new(),
            Self::Unary(_, a) => vec![a],
            Self::Binary(_, a, b) => vec![a, b],
            Self::Ternary(_, a, b, c) => vec![a, b, c],
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Constant(_) => "Constant".into(),
            Self::Input(_) => "Input".into(),
            Self::Unary(op, _) => format!("{op:?}"),
            Self::Binary(op, ..) => format!("{op:?}"),
            Self::Ternary(op, ..) => format!("{op:?}"),
        }
    }

    /// The operation on numbers, by std's functions.
    fn apply(&self, x: &[f64], lookup: &dyn Fn(Input) -> f64) -> f64 {
        match *self {
            Self::Constant(c) => c,
            Self::Input(input) => lookup(input),
            Self::Unary(op, _) => {
                let a = x[0];
                match op {
                    Unary::Neg => -a,
                    Unary::Abs => a.abs(),
                    Unary::Sign => f64::from(i8::from(a > 0.0) - i8::from(a < 0.0)),
                    Unary::Floor => a.floor(),
                    Unary::Ceil => a.ceil(),
                    Unary::Sqrt => a.sqrt(),
                    Unary::Exp => a.exp(),
                    Unary::Log => a.ln(),
                    Unary::Log10 => a.log10(),
                    Unary::Sin => a.sin(),
                    Unary::Cos => a.cos(),
                    Unary::Tan => a.tan(),
                    Unary::Asin => a.asin(),
                    Unary::Acos => a.acos(),
                    Unary::Atan => a.atan(),
                    Unary::Sinh => a.sinh(),
                    Unary::Cosh => a.cosh(),
                    Unary::Tanh => a.tanh(),
                    Unary::Asinh => a.asinh(),
                    Unary::Acosh => a.acosh(),
                    Unary::Atanh => a.atanh(),
                }
            }
            Self::Binary(op, ..) => {
                let (a, b) = (x[0], x[1]);
                match op {
                    Binary::Add => a + b,
                    Binary::Sub => a - b,
                    Binary::Mul => a * b,
                    Binary::Div => a / b,
                    Binary::Pow => a.powf(b),
                    Binary::Min => a.min(b),
                    Binary::Max => a.max(b),
                    Binary::Lt => f64::from(u8::from(a < b)),
                    Binary::Le => f64::from(u8::from(a <= b)),
                    Binary::Eq => f64::from(u8::from(a == b)),
                }
            }
            Self::Ternary(op, ..) => match op {
                Ternary::MulAdd => x[0] * x[1] + x[2],
                Ternary::MulSub => x[0] * x[1] - x[2],
                Ternary::NegMulAdd => x[2] - x[0] * x[1],
                Ternary::Select if x[0] != 0.0 => x[1],
                Ternary::Select => x[2],
            },
        }
    }
}

/// A value and a bound of its error.
#[derive(Debug, Clone, Copy, Default)]
struct Bounded {
    value: f64,
    error: f64,
}

/// Evaluates a list of operations with a running error bound for each.
fn evaluate_bounded(list: &[Expr], lookup: &dyn Fn(Input) -> f64) -> Vec<Bounded> {
    let mut results: Vec<Bounded> = Vec::with_capacity(list.len());
    for expr in list {
        let operands: Vec<Bounded> = expr.operands().iter().map(|&o| results[o]).collect();
        let x: Vec<f64> = operands.iter().map(|o| o.value).collect();
        let value = expr.apply(&x, lookup);
        let mut error = match *expr {
            Expr::Input(_) => 0.0,
            // Short constants are exact; others may be folded from a few.
            Expr::Constant(c) if (c * 1024.0).fract() == 0.0 && c.abs() <= 1024.0 => 0.0,
            Expr::Constant(c) => 16.0 * EPS * c.abs(),
            Expr::Unary(Unary::Neg | Unary::Abs | Unary::Sign, _)
            | Expr::Unary(Unary::Floor | Unary::Ceil, _)
            | Expr::Ternary(Ternary::Select, ..) => 0.0,
            Expr::Unary(Unary::Sqrt, _) => EPS * value.abs(),
            // Two functions of at most 2 ulp each: std's and gradsweep's.
            Expr::Unary(..) => 4.0 * EPS * value.abs(),
            // A power may be unrolled into at most 6 products and a quotient.
            Expr::Binary(Binary::Pow, ..) => 16.0 * EPS * value.abs(),
            Expr::Binary(..) => EPS * value.abs(),
            // The unfused form rounds its product as well.
            Expr::Ternary(..) => EPS * (value.abs() + (x[0] * x[1]).abs()),
        };
        for (k, operand) in operands.iter().enumerate() {
            if operand.error > 0.0 {
                // The slope from a difference wide enough to be seen in f64, both ways.
                let width = operand.error.max(operand.value.abs() * 2f64.powi(-22));
                let mut moved = x.clone();
                let mut largest = 0.0_f64;
                for side in [width, -width] {
                    moved[k] = operand.value + side;
                    largest = largest.max((expr.apply(&moved, lookup) - value).abs());
                }
                error += largest * (operand.error / width);
            }
        }
        results.push(Bounded { value, error: if error.is_nan() { f64::INFINITY } else { error } });
    }
    results
}

/// The nodes of a graph that some roots need, as a list, and the places of the roots.
fn listed(graph: &Graph, roots: &[NodeId]) -> (Vec<Expr>, Vec<usize>) {
    let mut place = BTreeMap::new();
    let mut list = Vec::new();
    for id in graph.reachable(roots) {
        let expr = match graph.node(id) {
            Node::Constant(bits) => Expr::Constant(f64::from_bits(bits)),
            Node::Input(input) => Expr::Input(input),
            Node::Unary(op, a) => Expr::Unary(op, place[&a]),
            Node::Binary(op, a, b) => Expr::Binary(op, place[&a], place[&b]),
            Node::Ternary(op, a, b, c) => Expr::Ternary(op, place[&a], place[&b], place[&c]),
        };
        place.insert(id, list.len());
        list.push(expr);
    }
    (list, roots.iter().map(|r| place[r]).collect())
}

/// A random expression with a point at which every operation is inside its domain.
struct Sample {
    list: Vec<Expr>,
    roots: Vec<usize>,
    inputs: Vec<Input>,
    at: Vec<f64>,
}

impl Sample {
    /// An expression of 10 to 34 operations over 3 to 6 inputs.
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let input_count = 3 + random.below(4);
        // States and slots by turns, and time in the larger ones.
        let inputs: Vec<Input> = (0..input_count)
            .map(|i| match i {
                5 => Input::Time,
                _ if i % 2 == 0 => Input::State(StateIdx::from_position(i / 2)),
                _ => Input::Slot(SlotIdx::from_position(i / 2)),
            })
            .collect();
        let at: Vec<f64> = (0..input_count)
            .map(|_| {
                let size = random.between(0.2, 2.5);
                if random.below(4) == 0 { -size } else { size }
            })
            .collect();
        let mut sample = Self { list: Vec::new(), roots: Vec::new(), inputs, at };
        for i in 0..input_count {
            sample.list.push(Expr::Input(sample.inputs[i]));
        }
        // Constants that simplification looks at, and two that it does not.
        for c in [0.0, 1.0, -1.0, 2.0, 0.5, -3.0, 8.0, 17.0] {
            sample.list.push(Expr::Constant(c));
        }
        for _ in 0..2 {
            let c = random.between(0.3, 3.0);
            sample.list.push(Expr::Constant(c));
        }
        let mut values: Vec<f64> = Vec::new();
        for i in 0..sample.list.len() {
            values.push(sample.list[i].apply(&[], &|input| sample.value_of(input)));
        }
        let leaves = sample.list.len();
        let mut moves: Vec<bool> = (0..leaves).map(|i| i < input_count).collect();
        let operations = 10 + random.below(25);
        let first_constant = input_count;
        while sample.list.len() < leaves + operations {
            let mut operand = || match random.below(8) {
                // Recent results make deep expressions, leaves and constants make wide ones.
                0 => first_constant + random.below(leaves - first_constant),
                1 | 2 => random.below(input_count),
                _ if sample.list.len() > leaves => {
                    let recent = (sample.list.len() - leaves).min(8);
                    let place = sample.list.len() - 1 - random.below(recent);
                    // What is piecewise constant ends most derivatives; let it be used less.
                    if moves[place] || random.below(4) == 0 { place } else { random.below(place) }
                }
                _ => random.below(input_count),
            };
            let (a, b, c) = (operand(), operand(), operand());
            let expr = match random.below(6) {
                0 | 1 => Expr::Unary(random.pick(&Unary::ALL), a),
                2 => Expr::Binary(random.pick(&Binary::ALL), a, if c == 0 { a } else { b }),
                3 | 4 => Expr::Binary(random.pick(&Binary::ALL[..4]), a, b),
                _ => Expr::Ternary(random.pick(&Ternary::ALL), a, b, c),
            };
            let only_constants =
                expr.operands().iter().all(|&o| (input_count..leaves).contains(&o));
            let folds = only_constants && random.below(8) > 0;
            if !folds && sample.is_inside(expr, &values) {
                let x: Vec<f64> = expr.operands().iter().map(|&o| values[o]).collect();
                let value = expr.apply(&x, &|input| sample.value_of(input));
                if value.abs() < 1e4 {
                    let is_flat = matches!(
                        expr,
                        Expr::Unary(Unary::Sign | Unary::Floor | Unary::Ceil, _)
                            | Expr::Binary(Binary::Lt | Binary::Le | Binary::Eq, ..)
                    );
                    moves.push(!is_flat && expr.operands().iter().any(|&o| moves[o]));
                    sample.list.push(expr);
                    values.push(value);
                }
            }
        }
        let last = sample.list.len() - 1;
        sample.roots = vec![last, last - 1, last - 2 - random.below(operations - 2)];
        sample
    }

    fn value_of(&self, input: Input) -> f64 {
        self.inputs.iter().position(|i| *i == input).map_or(f64::NAN, |i| self.at[i])
    }

    /// Whether the operation's operands keep their distance from the ends of its domain and from
    /// its kinks, so that the reference's tiny step and rounding in f64 stay on one side.
    fn is_inside(&self, expr: Expr, values: &[f64]) -> bool {
        const MARGIN: f64 = 0.02;
        match expr {
            Expr::Constant(_) | Expr::Input(_) => true,
            Expr::Unary(op, a) => {
                let a = values[a];
                match op {
                    Unary::Abs | Unary::Sign => a.abs() > MARGIN,
                    Unary::Floor | Unary::Ceil => (a - a.round()).abs() > MARGIN,
                    Unary::Sqrt | Unary::Log | Unary::Log10 => a > MARGIN,
                    Unary::Exp | Unary::Sinh | Unary::Cosh => a.abs() < 9.0,
                    Unary::Tan => a.cos().abs() > 0.1 && a.abs() < 50.0,
                    Unary::Sin | Unary::Cos => a.abs() < 50.0,
                    Unary::Asin | Unary::Acos | Unary::Atanh => a.abs() < 1.0 - MARGIN,
                    Unary::Acosh => a > 1.0 + MARGIN,
                    // Beyond, 1 − tanh² has lost all its digits.
                    Unary::Tanh => a.abs() < 6.0,
                    Unary::Neg | Unary::Atan | Unary::Asinh => true,
                }
            }
            Expr::Binary(op, a, b) => {
                let (x, y) = (values[a], values[b]);
                match op {
                    Binary::Add | Binary::Sub | Binary::Mul => true,
                    Binary::Div => y.abs() > MARGIN,
                    Binary::Pow => {
                        let is_whole =
                            matches!(self.list[b], Expr::Constant(c) if c.fract() == 0.0);
                        (x > MARGIN || (is_whole && x < -MARGIN)) && (y * x.abs().ln()).abs() < 9.0
                    }
                    _ => a == b || (x - y).abs() > MARGIN,
                }
            }
            Expr::Ternary(Ternary::Select, a, ..) => {
                let is_sure = matches!(
                    self.list[a],
                    Expr::Constant(_) | Expr::Binary(Binary::Lt | Binary::Le | Binary::Eq, ..)
                );
                is_sure || values[a].abs() > MARGIN
            }
            Expr::Ternary(..) => true,
        }
    }

    /// The roots in a graph, through the simplifying constructors.
    fn build(&self, graph: &mut Graph) -> Vec<NodeId> {
        let mut ids: Vec<NodeId> = Vec::with_capacity(self.list.len());
        for expr in &self.list {
            let id = match *expr {
                Expr::Constant(c) => graph.constant(c),
                Expr::Input(input) => graph.input(input),
                Expr::Unary(op, a) => graph.unary(op, ids[a]),
                Expr::Binary(op, a, b) => graph.binary(op, ids[a], ids[b]),
                Expr::Ternary(op, a, b, c) => graph.ternary(op, ids[a], ids[b], ids[c]),
            };
            ids.push(id);
        }
        self.roots.iter().map(|&r| ids[r]).collect()
    }

    /// Derivatives of the roots along a direction in the inputs, by multi-precision difference.
    fn derivative_reference(&self, direction: &[f64], exact: &mut Exact) -> Vec<f64> {
        let step = Exact::power_of_two(STEP_EXPONENT);
        let mut sides = [1.0, -1.0].map(|sign| {
            let at: Vec<BigFloat> = self
                .at
                .iter()
                .zip(direction)
                .map(|(&x, &d)| {
                    let moved = exact.mul(&Exact::of(sign * d), &step);
                    exact.add(&Exact::of(x), &moved)
                })
                .collect();
            exact.evaluate(&self.list, &self.inputs, &at)
        });
        let twice = Exact::power_of_two(-STEP_EXPONENT - 1);
        let [plus, minus] = &mut sides;
        self.roots
            .iter()
            .map(|&r| {
                let difference = exact.sub(&plus[r], &minus[r]);
                Exact::to_f64(&exact.mul(&difference, &twice))
            })
            .collect()
    }
}

/// Multi-precision evaluation; no derivative rule in it.
struct Exact {
    constants: Consts,
}

const ROUND: RoundingMode = RoundingMode::ToEven;

impl Exact {
    fn new() -> Self {
        Self { constants: Consts::new().expect("memory for the constants") }
    }

    fn of(x: f64) -> BigFloat {
        BigFloat::from_f64(x, BITS)
    }

    fn power_of_two(exponent: i32) -> BigFloat {
        Self::of(2f64.powi(exponent))
    }

    fn to_f64(x: &BigFloat) -> f64 {
        if x.is_zero() {
            return 0.0;
        }
        let (words, _, sign, exponent, _) = x.as_raw_parts().expect("a finite number");
        // Words of 64 bits, the most significant last; the number is 0.words · 2^exponent.
        let mut mantissa = 0.0;
        for &word in &words[words.len() - 3..] {
            mantissa = mantissa * 2f64.powi(-64) + word as f64;
        }
        let size = mantissa * 2f64.powi(-64) * 2f64.powi(exponent);
        if sign == Sign::Neg { -size } else { size }
    }

    fn add(&mut self, a: &BigFloat, b: &BigFloat) -> BigFloat {
        a.add(b, BITS, ROUND)
    }

    fn sub(&mut self, a: &BigFloat, b: &BigFloat) -> BigFloat {
        a.sub(b, BITS, ROUND)
    }

    fn mul(&mut self, a: &BigFloat, b: &BigFloat) -> BigFloat {
        a.mul(b, BITS, ROUND)
    }

    fn evaluate(&mut self, list: &[Expr], inputs: &[Input], at: &[BigFloat]) -> Vec<BigFloat> {
        let mut values: Vec<BigFloat> = Vec::with_capacity(list.len());
        for expr in list {
            let value = match *expr {
                Expr::Constant(c) => Self::of(c),
                Expr::Input(input) => {
                    let place = inputs.iter().position(|i| *i == input).expect("a listed input");
                    at[place].clone()
                }
                Expr::Unary(op, a) => self.unary(op, &values[a].clone()),
                Expr::Binary(op, a, b) => self.binary(op, &values[a].clone(), &values[b].clone()),
                Expr::Ternary(op, a, b, c) => {
                    if op == Ternary::Select {
                        values[if values[a].is_zero() { c } else { b }].clone()
                    } else {
                        let product = values[a].mul(&values[b], BITS, ROUND);
                        match op {
                            Ternary::MulAdd => product.add(&values[c], BITS, ROUND),
                            Ternary::MulSub => product.sub(&values[c], BITS, ROUND),
                            _ => values[c].sub(&product, BITS, ROUND),
                        }
                    }
                }
            };
            values.push(value);
        }
        values
    }

    fn unary(&mut self, op: Unary, a: &BigFloat) -> BigFloat {
        let cc = &mut self.constants;
        match op {
            Unary::Neg => a.neg(),
            Unary::Abs => a.abs(),
            Unary::Sign if a.is_zero() => Self::of(0.0),
            Unary::Sign => Self::of(if a.is_negative() { -1.0 } else { 1.0 }),
            Unary::Floor => a.floor(),
            Unary::Ceil => a.ceil(),
            Unary::Sqrt => a.sqrt(BITS, ROUND),
            Unary::Exp => a.exp(BITS, ROUND, cc),
            Unary::Log => a.ln(BITS, ROUND, cc),
            Unary::Log10 => a.log10(BITS, ROUND, cc),
            Unary::Sin => a.sin(BITS, ROUND, cc),
            Unary::Cos => a.cos(BITS, ROUND, cc),
            Unary::Tan => a.tan(BITS, ROUND, cc),
            Unary::Asin => a.asin(BITS, ROUND, cc),
            Unary::Acos => a.acos(BITS, ROUND, cc),
            Unary::Atan => a.atan(BITS, ROUND, cc),
            Unary::Sinh => a.sinh(BITS, ROUND, cc),
            Unary::Cosh => a.cosh(BITS, ROUND, cc),
            Unary::Tanh => a.tanh(BITS, ROUND, cc),
            Unary::Asinh => a.asinh(BITS, ROUND, cc),
            Unary::Acosh => a.acosh(BITS, ROUND, cc),
            Unary::Atanh => a.atanh(BITS, ROUND, cc),
        }
    }

    fn binary(&mut self, op: Binary, a: &BigFloat, b: &BigFloat) -> BigFloat {
        let truth = |holds: bool| Self::of(f64::from(u8::from(holds)));
        match op {
            Binary::Add => a.add(b, BITS, ROUND),
            Binary::Sub => a.sub(b, BITS, ROUND),
            Binary::Mul => a.mul(b, BITS, ROUND),
            Binary::Div => a.div(b, BITS, ROUND),
            Binary::Pow => self.pow(a, b),
            Binary::Min => {
                if b < a {
                    b.clone()
                } else {
                    a.clone()
                }
            }
            Binary::Max => {
                if a < b {
                    b.clone()
                } else {
                    a.clone()
                }
            }
            Binary::Lt => truth(a < b),
            Binary::Le => truth(a <= b),
            Binary::Eq => truth(a == b),
        }
    }

    /// |a|^b by logarithm, with the sign of an odd whole exponent.
    fn pow(&mut self, a: &BigFloat, b: &BigFloat) -> BigFloat {
        let logarithm = a.abs().ln(BITS, ROUND, &mut self.constants);
        let size = logarithm.mul(b, BITS, ROUND).exp(BITS, ROUND, &mut self.constants);
        let exponent = Self::to_f64(b);
        if a.is_negative() && exponent % 2.0 != 0.0 { size.neg() } else { size }
    }
}

/// What comparing derivatives found.
#[derive(Debug, Default)]
struct Tally {
    compared: usize,
    vacuous: usize,
    wrong: Vec<String>,
    /// Largest deviation over its tolerance.
    worst: f64,
    /// Largest tolerance, relative to results above 1.
    widest: f64,
}

impl Tally {
    fn compare(&mut self, got: f64, want: f64, bound: f64, what: impl FnOnce() -> String) {
        // Rounding of the reference to f64 and its own error, beside the bound of the expression.
        let tolerance = BOUND_SAFETY * bound + EPS * want.abs() + REFERENCE_ERROR;
        if tolerance.is_nan() || tolerance > USEFUL * want.abs().max(1.0) {
            self.vacuous += 1;
            return;
        }
        self.compared += 1;
        let deviation = (got - want).abs();
        self.worst = self.worst.max(deviation / tolerance);
        self.widest = self.widest.max(tolerance / want.abs().max(1.0));
        if deviation.is_nan() || deviation > tolerance {
            self.wrong.push(format!("{}: {got:e}, not {want:e} +- {tolerance:e}", what()));
        }
    }

    fn check(&self, name: &str) {
        println!(
            "{name}: {} compared, {} bounds too wide, worst {:.2} of its tolerance, widest \
             tolerance {:.1e}",
            self.compared, self.vacuous, self.worst, self.widest
        );
        assert!(self.wrong.is_empty(), "{name}: {:#?}", &self.wrong[..self.wrong.len().min(5)]);
        assert!(self.vacuous * 20 < self.compared, "{name}: too many comparisons prove nothing");
    }
}

/// A change of the compared derivatives that the comparison must notice.
type Defect = fn(f64) -> f64;

/// Compares `graph::differentiate` along every input with the reference.
fn compare_symbolic(samples: &[Sample], exact: &mut Exact, defect: Option<Defect>) -> Tally {
    let mut tally = Tally::default();
    for (number, sample) in samples.iter().enumerate() {
        let mut graph = Graph::new();
        let roots = sample.build(&mut graph);
        let derivatives = differentiate(&mut graph, &roots, |graph, input| {
            let place = sample.inputs.iter().position(|i| *i == input).expect("a listed input");
            vec![(place as u32, graph.constant(1.0))]
        });
        for (k, input) in sample.inputs.iter().enumerate() {
            let unit: Vec<f64> =
                (0..sample.inputs.len()).map(|i| f64::from(u8::from(i == k))).collect();
            let reference = sample.derivative_reference(&unit, exact);
            let zero = graph.constant(0.0);
            let columns: Vec<NodeId> = derivatives
                .iter()
                .map(|d| d.iter().find(|(c, _)| *c as usize == k).map_or(zero, |(_, id)| *id))
                .collect();
            let lookup = |input| sample.value_of(input);
            let got = graph.evaluate(&columns, &lookup);
            let (list, places) = listed(&graph, &columns);
            let bounds = evaluate_bounded(&list, &lookup);
            for root in 0..roots.len() {
                let got = defect.map_or(got[root], |d| d(got[root]));
                tally.compare(got, reference[root], bounds[places[root]].error, || {
                    format!("expression {number}, root {root}, d/d{input:?}")
                });
            }
        }
    }
    tally
}

fn samples(seeds: std::ops::Range<u64>) -> Vec<Sample> {
    seeds.map(Sample::new).collect()
}

/// Which operations reach a root with an operand that depends on an input.
fn count_operations(samples: &[Sample]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for sample in samples {
        let mut is_needed = vec![false; sample.list.len()];
        for &root in &sample.roots {
            is_needed[root] = true;
        }
        for i in (0..sample.list.len()).rev() {
            if is_needed[i] {
                sample.list[i].operands().iter().for_each(|&o| is_needed[o] = true);
            }
        }
        let mut is_active = vec![false; sample.list.len()];
        for (i, expr) in sample.list.iter().enumerate() {
            is_active[i] =
                matches!(expr, Expr::Input(_)) || expr.operands().iter().any(|&o| is_active[o]);
            if is_needed[i] && is_active[i] {
                *counts.entry(expr.name()).or_insert(0) += 1;
            }
        }
    }
    counts
}

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

/// Compares `graph::adjoints` of a fused program with the reference: derivatives of a sum of the
/// roots with random weights.
fn compare_adjoints(samples: &[Sample], exact: &mut Exact, defect: Option<Defect>) -> Tally {
    let mut tally = Tally::default();
    for (number, sample) in samples.iter().enumerate() {
        let mut random = Random(number as u64);
        let mut graph = Graph::new();
        let roots = sample.build(&mut graph);
        let roots = fuse(&mut graph, &roots);
        let weights: Vec<f64> = roots.iter().map(|_| random.between(-1.0, 1.0)).collect();
        let seeded: Vec<(NodeId, NodeId)> = roots
            .iter()
            .enumerate()
            .map(|(i, &root)| (root, graph.input(Input::StateAdjoint(StateIdx::from_position(i)))))
            .collect();
        let found = adjoints(&mut graph, &seeded, &sample.inputs);
        let lookup = |input| match input {
            Input::StateAdjoint(i) => weights[i.position()],
            other => sample.value_of(other),
        };
        let got = graph.evaluate(&found, &lookup);
        let (list, places) = listed(&graph, &found);
        let bounds = evaluate_bounded(&list, &lookup);
        for (k, input) in sample.inputs.iter().enumerate() {
            let unit: Vec<f64> =
                (0..sample.inputs.len()).map(|i| f64::from(u8::from(i == k))).collect();
            let reference = sample.derivative_reference(&unit, exact);
            let terms = reference.iter().zip(&weights).map(|(d, w)| d * w);
            let magnitude: f64 = terms.clone().map(f64::abs).sum();
            let got = defect.map_or(got[k], |d| d(got[k]));
            // The sum of the reference is one of three rounded products.
            let bound = bounds[places[k]].error + 4.0 * EPS * magnitude;
            tally.compare(got, terms.sum(), bound, || {
                format!("expression {number}, adjoint of {input:?}")
            });
        }
    }
    tally
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
