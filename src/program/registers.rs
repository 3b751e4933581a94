//! Registers by live range: the form of a program that an interpreter runs.
//!
//! Registers 0.. hold the inputs, then the constants; both keep their place for the program's
//! whole life, so that it can be run again without reloading them. Results share registers whose
//! value is no longer needed.

use super::{Op, Program};
use crate::graph::{Binary, Ternary, Unary};

/// A register of an interpreter.
pub type Register = u32;

/// What an instruction does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    Unary(Unary),
    Binary(Binary),
    Ternary(Ternary),
}

/// An operation over registers; unused operands repeat the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    pub opcode: Opcode,
    pub target: Register,
    pub a: Register,
    pub b: Register,
    pub c: Register,
}

/// A program over registers.
#[derive(Debug, Clone)]
pub struct RegisterProgram {
    pub instructions: Vec<Instruction>,
    /// Constants and their registers.
    pub constants: Vec<(Register, f64)>,
    /// Number of inputs; input i is in register i.
    pub input_count: usize,
    /// Where each output is at the end.
    pub outputs: Vec<Register>,
    /// Number of registers needed.
    pub register_count: usize,
}

impl RegisterProgram {
    /// Assigns registers to the values of a program.
    pub fn new(program: &Program) -> Self {
        let pinned = program.first_op();
        let value_count = pinned + program.ops().len();
        // The last operation that reads each value; outputs live to the end.
        let mut last_use = vec![0_usize; value_count];
        for (index, op) in program.ops().iter().enumerate() {
            for operand in op.operands() {
                last_use[operand.position()] = index;
            }
        }
        for output in program.outputs() {
            last_use[output.position()] = usize::MAX;
        }

        let mut register_of: Vec<Register> = (0..value_count as u32).collect();
        let mut free: Vec<Register> = Vec::new();
        let mut register_count = pinned as u32;
        let mut instructions = Vec::with_capacity(program.ops().len());
        for (index, op) in program.ops().iter().enumerate() {
            let value = pinned + index;
            // Operands that die here give their register to the result.
            let mut freed = op.operands().collect::<Vec<_>>();
            freed.sort_unstable();
            freed.dedup();
            for operand in freed {
                if operand.position() >= pinned && last_use[operand.position()] == index {
                    free.push(register_of[operand.position()]);
                }
            }
            let target = free.pop().unwrap_or_else(|| {
                register_count += 1;
                register_count - 1
            });
            let at = |v: super::ValueId| register_of[v.position()];
            instructions.push(match *op {
                Op::Unary(op, a) => {
                    Instruction { opcode: Opcode::Unary(op), target, a: at(a), b: at(a), c: at(a) }
                }
                Op::Binary(op, a, b) => {
                    Instruction { opcode: Opcode::Binary(op), target, a: at(a), b: at(b), c: at(a) }
                }
                Op::Ternary(op, a, b, c) => Instruction {
                    opcode: Opcode::Ternary(op),
                    target,
                    a: at(a),
                    b: at(b),
                    c: at(c),
                },
            });
            register_of[value] = target;
        }
        Self {
            instructions,
            constants: program
                .constants()
                .iter()
                .enumerate()
                .map(|(i, &c)| ((program.inputs().len() + i) as Register, c))
                .collect(),
            input_count: program.inputs().len(),
            outputs: program.outputs().iter().map(|o| register_of[o.position()]).collect(),
            register_count: register_count as usize,
        }
    }
}
