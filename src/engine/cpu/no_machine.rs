//! In place of `machine` where no machine code is made: programs are interpreted.

use super::interpreter::Vector;
use crate::program::registers::RegisterProgram;

/// There is none.
pub enum MachineCode {}

impl MachineCode {
    /// None.
    pub fn new(_: &RegisterProgram) -> Option<Self> {
        None
    }

    /// None.
    pub fn every_way(_: &RegisterProgram) -> impl Iterator<Item = (&'static str, Self)> {
        std::iter::empty()
    }

    /// # Safety
    /// It cannot be called.
    pub unsafe fn run(&self, _: *mut Vector, _: usize) {
        match *self {}
    }
}

/// None.
pub fn name() -> Option<&'static str> {
    None
}
