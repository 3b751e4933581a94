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

/// Runs all instructions over the registers.
///
/// # Panics
/// If there are fewer registers than the program needs.
pub fn run(program: &RegisterProgram, registers: &mut [Vector]) {
    assert!(registers.len() >= program.register_count, "a register file of another program");
    debug_assert!(program.instructions.iter().all(|i| {
        [i.target, i.a, i.b, i.c].iter().all(|r| (*r as usize) < program.register_count)
    }));
    // SAFETY: `RegisterProgram::new` numbers registers below `register_count`, which the
    // assertion above holds the file to.
    unsafe { run_instructions::<BLOCK>(&program.instructions, registers.as_mut_ptr()) }
}

/// One instruction on some lanes of a register file, `registers` pointing to the first: what
/// machine code calls.
///
/// # Safety
/// The file has every register of the instruction, and so many lanes from that one on.
#[cfg(target_arch = "x86_64")]
pub unsafe extern "sysv64" fn run_one<const LANES: usize>(
    instruction: *const Instruction,
    registers: *mut f64,
) {
    // SAFETY: the caller's promise.
    unsafe { run_instructions::<LANES>(std::slice::from_ref(&*instruction), registers.cast()) }
}

/// Most lanes that are computed at a time, a register of AVX-512: operands are read before the result
/// is written, so that a result may take an operand's register.
const CHUNK: usize = 8;

/// Applies `f` lane by lane. Results go straight to their register: collected in a local array
/// first, they would be written twice, with a stall in between (measured: half the run time).
///
/// # Safety
/// All pointers are valid for so many lanes; they may be equal.
#[inline(always)]
unsafe fn apply<const LANES: usize>(
    target: *mut Vector,
    [a, b, c]: [*const Vector; 3],
    f: impl Fn(f64, f64, f64) -> f64,
) {
    // SAFETY: the caller's promise.
    unsafe {
        if LANES < CHUNK {
            apply_chunk::<LANES>(target.cast(), [a.cast(), b.cast(), c.cast()], &f);
        }
        for k in 0..LANES / CHUNK {
            let at = |vector: *const Vector| vector.cast::<[f64; CHUNK]>().add(k);
            apply_chunk(target.cast::<[f64; CHUNK]>().add(k), [at(a), at(b), at(c)], &f);
        }
    }
}

/// # Safety
/// All pointers are valid.
#[inline(always)]
unsafe fn apply_chunk<const LANES: usize>(
    target: *mut [f64; LANES],
    [a, b, c]: [*const [f64; LANES]; 3],
    f: &impl Fn(f64, f64, f64) -> f64,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let (x, y, z) = (a.read(), b.read(), c.read());
        target.write(std::array::from_fn(|w| f(x[w], y[w], z[w])));
    }
}

/// # Safety
/// `registers` points to a file that has every register of the instructions, and so many lanes
/// in each from there on.
#[multiversion::multiversion(targets(
    "x86_64+avx512f+avx512dq+avx512vl+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
unsafe fn run_instructions<const LANES: usize>(
    instructions: &[Instruction],
    registers: *mut Vector,
) {
    use Opcode as O;
    for instruction in instructions {
        // SAFETY: the caller's promise.
        unsafe {
            let at = |register: u32| registers.add(register as usize);
            let operands: [*const Vector; 3] =
                [instruction.a, instruction.b, instruction.c].map(|r| at(r).cast_const());
            let target = at(instruction.target);
            macro_rules! lanes {
                ($f:expr) => {
                    apply::<LANES>(target, operands, $f)
                };
            }
            match instruction.opcode {
                O::Ternary(Ternary::MulAdd) => lanes!(|x, y, z| x.mul_add(y, z)),
                O::Ternary(Ternary::NegMulAdd) => lanes!(|x, y, z| (-x).mul_add(y, z)),
                O::Ternary(Ternary::MulSub) => lanes!(|x, y, z| x.mul_add(y, -z)),
                O::Ternary(Ternary::Select) => lanes!(|x, y, z| if x != 0.0 { y } else { z }),
                O::Binary(Binary::Add) => lanes!(|x, y, _| x + y),
                O::Binary(Binary::Sub) => lanes!(|x, y, _| x - y),
                O::Binary(Binary::Mul) => lanes!(|x, y, _| x * y),
                O::Binary(Binary::Div) => lanes!(|x, y, _| x / y),
                O::Binary(Binary::Pow) => lanes!(|x, y, _| elementary::pow(x, y)),
                O::Binary(Binary::Min) => lanes!(|x, y, _| if y < x { y } else { x }),
                O::Binary(Binary::Max) => lanes!(|x, y, _| if x < y { y } else { x }),
                O::Binary(Binary::Lt) => lanes!(|x, y, _| if x < y { 1.0 } else { 0.0 }),
                O::Binary(Binary::Le) => lanes!(|x, y, _| if x <= y { 1.0 } else { 0.0 }),
                O::Binary(Binary::Eq) => lanes!(|x, y, _| if x == y { 1.0 } else { 0.0 }),
                O::Binary(Binary::LogLacks) => lanes!(|x, y, _| elementary::log_lacks(x, y)),
                O::Unary(Unary::Neg) => lanes!(|x, _, _| -x),
                O::Unary(Unary::Abs) => lanes!(|x, _, _| x.abs()),
                O::Unary(Unary::Sign) => lanes!(|x, _, _| sign(x)),
                O::Unary(Unary::Floor) => lanes!(|x, _, _| x.floor()),
                O::Unary(Unary::Ceil) => lanes!(|x, _, _| x.ceil()),
                O::Unary(Unary::Sqrt) => lanes!(|x, _, _| x.sqrt()),
                O::Unary(Unary::Exp) => lanes!(|x, _, _| elementary::exp(x)),
                O::Unary(Unary::Log) => lanes!(|x, _, _| elementary::log(x)),
                O::Unary(Unary::Log10) => lanes!(|x, _, _| elementary::log10(x)),
                O::Unary(Unary::Sin) => lanes!(|x, _, _| elementary::sin(x)),
                O::Unary(Unary::Cos) => lanes!(|x, _, _| elementary::cos(x)),
                O::Unary(Unary::Tan) => lanes!(|x, _, _| elementary::tan(x)),
                O::Unary(Unary::Asin) => lanes!(|x, _, _| elementary::asin(x)),
                O::Unary(Unary::Acos) => lanes!(|x, _, _| elementary::acos(x)),
                O::Unary(Unary::Atan) => lanes!(|x, _, _| elementary::atan(x)),
                O::Unary(Unary::Sinh) => lanes!(|x, _, _| elementary::sinh(x)),
                O::Unary(Unary::Cosh) => lanes!(|x, _, _| elementary::cosh(x)),
                O::Unary(Unary::Tanh) => lanes!(|x, _, _| elementary::tanh(x)),
                O::Unary(Unary::Asinh) => lanes!(|x, _, _| elementary::asinh(x)),
                O::Unary(Unary::Acosh) => lanes!(|x, _, _| elementary::acosh(x)),
                O::Unary(Unary::Atanh) => lanes!(|x, _, _| elementary::atanh(x)),
            }
        }
    }
}

/// The instruction set that the interpreter takes on this machine.
pub fn simd_name() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if std::is_x86_feature_detected!("avx512f")
            && std::is_x86_feature_detected!("avx512dq")
            && std::is_x86_feature_detected!("avx512vl")
        {
            return "AVX-512";
        }
        if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
            return "AVX2";
        }
        "SSE2"
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        "scalar or NEON"
    }
}
