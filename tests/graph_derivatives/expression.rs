//! Random expressions as they are written down, before anything simplifies them.

use crate::exact::{Exact, STEP_EXPONENT};
use astro_float::BigFloat;
use gradsweep::graph::{Binary, Graph, Input, Node, NodeId, Ternary, Unary};
use gradsweep::index::{SlotIdx, StateIdx};
use std::collections::BTreeMap;

/// SplitMix64 (Steele, Lea and Flood 2014): the sequence depends on the seed alone.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// Uniform between two numbers.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * (self.next() >> 11) as f64 * 2f64.powi(-53)
    }

    pub fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }
}

/// An operation of an unsimplified expression; operands are earlier entries of the list.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Expr {
    Constant(f64),
    Input(Input),
    Unary(Unary, usize),
    Binary(Binary, usize, usize),
    Ternary(Ternary, usize, usize, usize),
}

impl Expr {
    pub fn operands(&self) -> Vec<usize> {
        match *self {
            Self::Constant(_) | Self::Input(_) => Vec::new(),
            Self::Unary(_, a) => vec![a],
            Self::Binary(_, a, b) => vec![a, b],
            Self::Ternary(_, a, b, c) => vec![a, b, c],
        }
    }

    pub fn name(&self) -> String {
        match self {
            Self::Constant(_) => "Constant".into(),
            Self::Input(_) => "Input".into(),
            Self::Unary(op, _) => format!("{op:?}"),
            Self::Binary(op, ..) => format!("{op:?}"),
            Self::Ternary(op, ..) => format!("{op:?}"),
        }
    }

    /// The operation on numbers, by std's functions.
    pub fn apply(&self, x: &[f64], lookup: &dyn Fn(Input) -> f64) -> f64 {
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
                    Binary::LogLacks => a.ln() - b,
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

/// The nodes of a graph that some roots need, as a list, and the places of the roots.
pub fn listed(graph: &Graph, roots: &[NodeId]) -> (Vec<Expr>, Vec<usize>) {
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
pub struct Sample {
    pub list: Vec<Expr>,
    pub roots: Vec<usize>,
    pub inputs: Vec<Input>,
    pub at: Vec<f64>,
}

impl Sample {
    /// An expression of 10 to 34 operations over 3 to 6 inputs.
    pub fn new(seed: u64) -> Self {
        Self::with_unary(seed, &Unary::ALL)
    }

    /// With no other operations of one operand than these.
    pub fn with_unary(seed: u64, unary: &[Unary]) -> Self {
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
                0 | 1 => Expr::Unary(random.pick(unary), a),
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

    pub fn value_of(&self, input: Input) -> f64 {
        self.inputs.iter().position(|i| *i == input).map_or(f64::NAN, |i| self.at[i])
    }

    /// Whether the operation's operands keep their distance from the ends of its domain and from
    /// its kinks, so that the reference's tiny step and rounding in f64 stay on one side.
    pub fn is_inside(&self, expr: Expr, values: &[f64]) -> bool {
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
    pub fn build(&self, graph: &mut Graph) -> Vec<NodeId> {
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
    pub fn derivative_reference(&self, direction: &[f64], exact: &mut Exact) -> Vec<f64> {
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
