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

/// Layouts from the one that is preferred to the least wanted.
const LAYOUTS: [Layout; 2] =
    [Layout { isa: Isa::Avx512, vectors: 2 }, Layout { isa: Isa::Avx2, vectors: 1 }];

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
        let layout = layout()?;
        let code = Self::with_layout(program, layout);
        if code.is_none() {
            let count = program.instructions.len();
            tracing::warn!("no machine code for a program of {count} instructions: interpreted");
        }
        code
    }

    /// The code of a program for each instruction set that is there, and its name.
    pub fn every_way(program: &RegisterProgram) -> impl Iterator<Item = (&'static str, Self)> {
        LAYOUTS
            .into_iter()
            .filter(|layout| is_there(layout.isa))
            .filter_map(|layout| Some((layout_name(layout), Self::with_layout(program, layout)?)))
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

    /// Runs all instructions over the registers.
    ///
    /// # Safety
    /// `registers` has every register of the program that this is the code of.
    pub unsafe fn run(&self, registers: *mut Vector) {
        // SAFETY: the code was made by `encode` as a function of this type.
        let run: unsafe extern "sysv64" fn(*mut f64) =
            unsafe { std::mem::transmute(self.code.as_ptr()) };
        for first_lane in (0..BLOCK).step_by(self.layout.lanes()) {
            // SAFETY: the caller's promise; a pass stays within the lanes of each register.
            unsafe { run(registers.cast::<f64>().add(first_lane)) };
        }
    }
}

/// What code is made for on this machine; none where none can be made.
pub fn name() -> Option<&'static str> {
    layout().map(layout_name)
}

/// The layout of code on this machine, if it lets memory be executed.
fn layout() -> Option<Layout> {
    static LAYOUT: OnceLock<Option<Layout>> = OnceLock::new();
    *LAYOUT.get_or_init(|| {
        MmapMut::map_anon(1).ok()?.make_exec().ok()?;
        LAYOUTS.into_iter().find(|layout| is_there(layout.isa))
    })
}

fn layout_name(layout: Layout) -> &'static str {
    match layout.isa {
        Isa::Avx512 => "machine code for AVX-512",
        Isa::Avx2 => "machine code for AVX2",
    }
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
