//! Programs as machine code, for x86-64 with AVX-512 or with AVX2 and FMA.
//!
//! The operations and their order are the interpreter's, and so are the results, to the bit. What
//! is gained is the way of values through memory: most stay in a register until they are needed.

mod allocate;
mod encode;

use super::interpreter::{self, BLOCK, Vector};
use crate::program::registers::{Instruction, RegisterProgram};
use encode::{Function, Isa, Layout};
use memmap2::{Mmap, MmapMut};
use std::sync::OnceLock;

/// Instruction sets from the one that is preferred to the least wanted.
const ISAS: [Isa; 2] = [Isa::Avx512, Isa::Avx2];

/// Most instructions for which AVX-512 holds a value in two registers. Two chains of operations side
/// by side are faster while the code stays in the second-level cache (stat5, 1,215 instructions:
/// 1.45 times). Beyond, twice the registers for values make less code to fetch (Chen's adjoints,
/// 388,130 instructions: 7 MB instead of 16, 2.6 times as fast; at 27,000 to 116,000 5 to 13 %; at
/// 4,000 to 12,000 it goes either way), and lanes that are not there take no time.
const MOST_IN_TWO: usize = 16_000;

/// How a program of so many instructions is laid out.
fn layout_of(isa: Isa, instructions: usize) -> Layout {
    let in_two = isa == Isa::Avx512 && instructions <= MOST_IN_TWO;
    Layout { isa, vectors: if in_two { 2 } else { 1 } }
}

/// A program's machine code.
pub struct MachineCode {
    code: Mmap,
    /// What the code's calls refer to.
    _operations: Box<[Instruction]>,
    layout: Layout,
}

impl MachineCode {
    /// The code of a program; none where the machine has neither instruction set, or allows no
    /// memory to be made executable.
    pub fn new(program: &RegisterProgram) -> Option<Self> {
        let layout = layout_of(isa()?, program.instructions.len());
        let code = Self::with_layout(program, layout);
        if code.is_none() {
            let count = program.instructions.len();
            tracing::warn!("no machine code for a program of {count} instructions: interpreted");
        }
        code
    }

    /// The code of a program in each layout that this machine can run, and the layout's name.
    pub fn every_way(program: &RegisterProgram) -> impl Iterator<Item = (&'static str, Self)> {
        let layouts = [
            ("AVX-512, pairs of registers", Layout { isa: Isa::Avx512, vectors: 2 }),
            ("AVX-512", Layout { isa: Isa::Avx512, vectors: 1 }),
            ("AVX2", Layout { isa: Isa::Avx2, vectors: 1 }),
        ];
        layouts
            .into_iter()
            .filter(|(_, layout)| is_there(layout.isa))
            .filter_map(|(name, layout)| Some((name, Self::with_layout(program, layout)?)))
    }

    fn with_layout(program: &RegisterProgram, layout: Layout) -> Option<Self> {
        let actions = allocate::allocate(program, layout.groups());
        let operations: Box<[Instruction]> = program.instructions.clone().into();
        let bytes = encode::encode(&actions, &operations, function(layout), layout).ok()?;
        let mut memory = MmapMut::map_anon(bytes.len()).ok()?;
        memory.copy_from_slice(&bytes);
        let code = memory.make_exec().ok()?;
        Some(Self { code, _operations: operations, layout })
    }

    /// Runs all instructions over the registers, for at least the first `lanes` of a block.
    ///
    /// # Safety
    /// `registers` has every register of the program that this is the code of.
    pub unsafe fn run(&self, registers: *mut Vector, lanes: usize) {
        // SAFETY: the code was made by `encode` as a function of this type.
        let run: unsafe extern "sysv64" fn(*mut f64) =
            unsafe { std::mem::transmute(self.code.as_ptr()) };
        for first_lane in (0..lanes.min(BLOCK)).step_by(self.layout.lanes()) {
            // SAFETY: the caller's promise; a pass stays within the lanes of each register.
            unsafe { run(registers.cast::<f64>().add(first_lane)) };
        }
    }
}

/// What code is made for on this machine; none where none can be made.
pub fn name() -> Option<&'static str> {
    isa().map(|isa| match isa {
        Isa::Avx512 => "machine code for AVX-512",
        Isa::Avx2 => "machine code for AVX2",
    })
}

/// The instruction set of code on this machine, if it lets memory be executed.
fn isa() -> Option<Isa> {
    static ISA: OnceLock<Option<Isa>> = OnceLock::new();
    *ISA.get_or_init(|| {
        MmapMut::map_anon(1).ok()?.make_exec().ok()?;
        ISAS.into_iter().find(|isa| is_there(*isa))
    })
}

fn is_there(isa: Isa) -> bool {
    match isa {
        Isa::Avx512 => {
            std::is_x86_feature_detected!("avx512f") && std::is_x86_feature_detected!("avx512dq")
        }
        Isa::Avx2 => std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma"),
    }
}

/// The function that does an operation on as many lanes as the code works on.
fn function(layout: Layout) -> Function {
    match layout.lanes() {
        4 => interpreter::run_one::<4>,
        8 => interpreter::run_one::<8>,
        _ => interpreter::run_one::<16>,
    }
}
