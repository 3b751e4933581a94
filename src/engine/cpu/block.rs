//! A program made ready for blocks of lanes.

use super::interpreter::{self, BLOCK, Vector};
use super::machine::{self, MachineCode};
use crate::program::Program;
use crate::program::registers::RegisterProgram;
use std::ops::{Deref, DerefMut};

/// Fewest instructions for which machine code is made; in less there is more loading and storing
/// around the program than in it.
const FEWEST_INSTRUCTIONS: usize = 8;

/// A program over registers and, where the machine allows it, the same as machine code.
pub struct BlockProgram {
    pub registers: RegisterProgram,
    code: Option<MachineCode>,
}

impl BlockProgram {
    /// Assigns registers, and makes machine code.
    pub fn new(program: &Program) -> Self {
        let registers = RegisterProgram::new(program);
        let is_worth_it = registers.instructions.len() >= FEWEST_INSTRUCTIONS;
        let code = is_worth_it.then(|| MachineCode::new(&registers)).flatten();
        Self { registers, code }
    }

    /// Assigns registers only: the program is interpreted.
    pub fn interpreted(program: &Program) -> Self {
        Self { registers: RegisterProgram::new(program), code: None }
    }

    /// The same program in every way in which this machine can run it, and how these are called.
    /// All give the same bits.
    pub fn every_way(program: &Program) -> Vec<(&'static str, Self)> {
        let interpreted = Self::interpreted(program);
        let registers = interpreted.registers.clone();
        let mut ways = vec![(interpreter::simd_name(), interpreted)];
        for (name, code) in MachineCode::every_way(&registers) {
            ways.push((name, Self { registers: registers.clone(), code: Some(code) }));
        }
        ways
    }

    /// Registers for a block, constants loaded.
    pub fn new_file(&self) -> RegisterFile {
        let mut file = RegisterFile(vec![Aligned([0.0; BLOCK]); self.registers.register_count]);
        for &(register, value) in &self.registers.constants {
            file[register as usize] = [value; BLOCK];
        }
        file
    }

    /// Runs the program over a block.
    ///
    /// # Panics
    /// If there are fewer registers than the program needs.
    pub fn run(&self, file: &mut RegisterFile) {
        self.run_lanes(file, BLOCK);
    }

    /// Runs the program over at least the first `lanes` of a block; what the others hold afterwards
    /// is not told.
    ///
    /// # Panics
    /// If there are fewer registers than the program needs.
    pub fn run_lanes(&self, file: &mut RegisterFile, lanes: usize) {
        if let Some(code) = &self.code {
            assert!(file.len() >= self.registers.register_count, "registers of another program");
            // SAFETY: the file is as large as the assertion says.
            unsafe { code.run(file.as_mut_ptr(), lanes) };
            return;
        }
        interpreter::run(&self.registers, file);
    }
}

/// How programs are run on this machine, for reports.
pub fn describe() -> &'static str {
    machine::name().unwrap_or_else(interpreter::simd_name)
}

/// Registers begin where cache lines do, so that none of their vectors lies across two.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(128))]
struct Aligned(Vector);

/// The registers of a block.
#[derive(Debug, Clone)]
pub struct RegisterFile(Vec<Aligned>);

impl Deref for RegisterFile {
    type Target = [Vector];

    fn deref(&self) -> &[Vector] {
        // SAFETY: a vector is 128 bytes, so that alignment adds none.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len()) }
    }
}

impl DerefMut for RegisterFile {
    fn deref_mut(&mut self) -> &mut [Vector] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), self.0.len()) }
    }
}

const _: () = assert!(size_of::<Aligned>() == size_of::<Vector>());
