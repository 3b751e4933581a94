//! Running a register program over a block of lanes, operation by operation.
//!
//! Each operation works on all lanes of the block before the next, so that its loop becomes SIMD
//! instructions; the function is compiled for several instruction sets and the best one the
//! machine has is taken at run time.

use crate::elementary;
use crate::graph::{Binary, Ternary, Unary, sign};
use crate::program::registers::{Instruction, Opcode, RegisterProgram};

/// Lanes in a block: two to four registers of AVX-512 or AVX2, and a working set that stays in
/// the first-level cache for programs of some hundred values.
pub const BLOCK: usize = 16;

/// One value of each lane of a block.
pub type Vector = [f64; BLOCK];

/// The registers of a program, constants loaded.
pub fn new_registers(program: &RegisterProgram) -> Vec<Vector> {
    let mut registers = vec![[0.0; BLOCK]; program.register_count];
    for &(register, value) in &program.constants {
        registers[register as usize] = [value; BLOCK];
    }
    registers
}

/// Runs all instructions over the registers.
///
/// # Panics
/// If there are fewer registers than the program needs.
pub fn run(program: &RegisterProgram, registers: &mut [Vector]) {
    assert!(registers.len() >= program.register_count, "a register file of another program");
    run_instructions(&program.instructions, registers);
}

macro_rules! map1 {
    ($a:expr, |$x:ident| $body:expr) => {{
        let a = $a;
        let mut result = [0.0; BLOCK];
        for w in 0..BLOCK {
            let $x = a[w];
            result[w] = $body;
        }
        result
    }};
}

macro_rules! map2 {
    ($a:expr, $b:expr, |$x:ident, $y:ident| $body:expr) => {{
        let (a, b) = ($a, $b);
        let mut result = [0.0; BLOCK];
        for w in 0..BLOCK {
            let ($x, $y) = (a[w], b[w]);
            result[w] = $body;
        }
        result
    }};
}

macro_rules! map3 {
    ($a:expr, $b:expr, $c:expr, |$x:ident, $y:ident, $z:ident| $body:expr) => {{
        let (a, b, c) = ($a, $b, $c);
        let mut result = [0.0; BLOCK];
        for w in 0..BLOCK {
            let ($x, $y, $z) = (a[w], b[w], c[w]);
            result[w] = $body;
        }
        result
    }};
}

#[multiversion::multiversion(targets(
    "x86_64+avx512f+avx512dq+avx512vl+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
fn run_instructions(instructions: &[Instruction], registers: &mut [Vector]) {
    for instruction in instructions {
        let a = registers[instruction.a as usize];
        let result: Vector = match instruction.opcode {
            Opcode::Binary(op) => {
                let b = registers[instruction.b as usize];
                match op {
                    Binary::Add => map2!(a, b, |x, y| x + y),
                    Binary::Sub => map2!(a, b, |x, y| x - y),
                    Binary::Mul => map2!(a, b, |x, y| x * y),
                    Binary::Div => map2!(a, b, |x, y| x / y),
                    Binary::Pow => map2!(a, b, |x, y| elementary::pow(x, y)),
                    Binary::Min => map2!(a, b, |x, y| if y < x { y } else { x }),
                    Binary::Max => map2!(a, b, |x, y| if x < y { y } else { x }),
                    Binary::Lt => map2!(a, b, |x, y| if x < y { 1.0 } else { 0.0 }),
                    Binary::Le => map2!(a, b, |x, y| if x <= y { 1.0 } else { 0.0 }),
                    Binary::Eq => map2!(a, b, |x, y| if x == y { 1.0 } else { 0.0 }),
                }
            }
            Opcode::Ternary(op) => {
                let b = registers[instruction.b as usize];
                let c = registers[instruction.c as usize];
                match op {
                    Ternary::MulAdd => map3!(a, b, c, |x, y, z| x.mul_add(y, z)),
                    Ternary::MulSub => map3!(a, b, c, |x, y, z| x.mul_add(y, -z)),
                    Ternary::NegMulAdd => map3!(a, b, c, |x, y, z| (-x).mul_add(y, z)),
                    Ternary::Select => map3!(a, b, c, |x, y, z| if x != 0.0 { y } else { z }),
                }
            }
            Opcode::Unary(op) => match op {
                Unary::Neg => map1!(a, |x| -x),
                Unary::Abs => map1!(a, |x| x.abs()),
                Unary::Sign => map1!(a, |x| sign(x)),
                Unary::Floor => map1!(a, |x| x.floor()),
                Unary::Ceil => map1!(a, |x| x.ceil()),
                Unary::Sqrt => map1!(a, |x| x.sqrt()),
                Unary::Exp => map1!(a, |x| elementary::exp(x)),
                Unary::Log => map1!(a, |x| elementary::log(x)),
                Unary::Log10 => map1!(a, |x| elementary::log10(x)),
                Unary::Sin => map1!(a, |x| elementary::sin(x)),
                Unary::Cos => map1!(a, |x| elementary::cos(x)),
                Unary::Tan => map1!(a, |x| elementary::tan(x)),
                Unary::Asin => map1!(a, |x| elementary::asin(x)),
                Unary::Acos => map1!(a, |x| elementary::acos(x)),
                Unary::Atan => map1!(a, |x| elementary::atan(x)),
                Unary::Sinh => map1!(a, |x| elementary::sinh(x)),
                Unary::Cosh => map1!(a, |x| elementary::cosh(x)),
                Unary::Tanh => map1!(a, |x| elementary::tanh(x)),
                Unary::Asinh => map1!(a, |x| elementary::asinh(x)),
                Unary::Acosh => map1!(a, |x| elementary::acosh(x)),
                Unary::Atanh => map1!(a, |x| elementary::atanh(x)),
            },
        };
        registers[instruction.target as usize] = result;
    }
}
