//! Vector registers for a program: which values are held by the processor, and which wait in
//! their place in memory.
//!
//! A [`RegisterProgram`] has a place in memory for each value while that is needed. Here its
//! instructions become [`Action`]s of a processor with few registers, in the same order: operands
//! are loaded before they are used, and where no register is free the value goes that is needed
//! last (L. Belady, *IBM Systems Journal* 5 (1966) 78), which for a program without branches is
//! known. A value that dies in a register is never written to its place.

use crate::graph::{Binary, Ternary, Unary};
use crate::program::registers::{Opcode, Register, RegisterProgram};

/// Number of a vector register, or of a group of them that holds a block's lanes of one value.
pub type VectorRegister = u8;

/// An operand that an instruction may take from memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operand {
    Held(VectorRegister),
    InMemory(Register),
}

/// Operations with a result in a register of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Simple {
    Add,
    Sub,
    Mul,
    Div,
    /// `a < b ? a : b`, as the instruction has it: b where one is not a number.
    Min,
    /// `a > b ? a : b`.
    Max,
    Lt,
    Le,
    Eq,
}

/// Operations of one operand that processors have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfOne {
    Neg,
    Abs,
    Floor,
    Ceil,
    Sqrt,
}

/// Signs of a fused multiply-add.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fused {
    /// a·b + c
    MulAdd,
    /// a·b − c
    MulSub,
    /// c − a·b
    NegMulAdd,
}

/// Which operand the result replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// target = target·third ± second
    Multiplicand132,
    /// target = second·target ± third
    Multiplicand213,
    /// target = second·third ± target
    Addend231,
}

/// What the processor does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Load {
        to: VectorRegister,
        from: Register,
    },
    Store {
        to: Register,
        from: VectorRegister,
    },
    Copy {
        to: VectorRegister,
        from: VectorRegister,
    },
    Simple {
        op: Simple,
        to: VectorRegister,
        a: VectorRegister,
        b: Operand,
    },
    OfOne {
        op: OfOne,
        to: VectorRegister,
        a: VectorRegister,
    },
    Fused {
        op: Fused,
        form: Form,
        to: VectorRegister,
        second: VectorRegister,
        third: Operand,
    },
    Select {
        to: VectorRegister,
        a: VectorRegister,
        b: VectorRegister,
        c: VectorRegister,
    },
    /// The instruction of this number is done by a function on memory; no register survives it.
    Call {
        instruction: usize,
    },
}

const NEVER: u32 = u32::MAX;
/// An output: needed when all is done.
const AT_END: u32 = u32::MAX - 1;

/// When values are needed next, after each instruction.
struct NextUses {
    /// By instruction, of its operands.
    operands: Vec<[u32; 3]>,
    /// By instruction, of its result.
    results: Vec<u32>,
}

impl NextUses {
    fn new(program: &RegisterProgram) -> Self {
        let count = program.instructions.len();
        let mut next = vec![NEVER; program.register_count];
        for &output in &program.outputs {
            next[output as usize] = AT_END;
        }
        let mut uses = Self { operands: vec![[NEVER; 3]; count], results: vec![NEVER; count] };
        for (i, instruction) in program.instructions.iter().enumerate().rev() {
            uses.results[i] = next[instruction.target as usize];
            next[instruction.target as usize] = NEVER;
            let operands = [instruction.a, instruction.b, instruction.c];
            uses.operands[i] = operands.map(|operand| next[operand as usize]);
            for operand in operands {
                next[operand as usize] = i as u32;
            }
        }
        uses
    }
}

/// A value in a register.
#[derive(Debug, Clone, Copy)]
struct Held {
    place: Register,
    next_use: u32,
    /// Its place in memory has it, too.
    is_saved: bool,
}

struct Allocator {
    actions: Vec<Action>,
    held: Vec<Option<Held>>,
    /// By place in memory.
    register_of: Vec<Option<VectorRegister>>,
}

/// The actions of a program for a processor with so many registers, at least four.
pub fn allocate(program: &RegisterProgram, registers: usize) -> Vec<Action> {
    let uses = NextUses::new(program);
    let mut allocator = Allocator {
        actions: Vec::with_capacity(program.instructions.len() * 3 / 2),
        held: vec![None; registers],
        register_of: vec![None; program.register_count],
    };
    for (i, instruction) in program.instructions.iter().enumerate() {
        if uses.results[i] == NEVER {
            continue;
        }
        let places = [instruction.a, instruction.b, instruction.c];
        let [a, b, c] = places;
        let result = Held { place: instruction.target, next_use: uses.results[i], is_saved: false };
        let next = uses.operands[i];
        use Opcode as O;
        match instruction.opcode {
            O::Binary(Binary::Add) => allocator.either_way(Simple::Add, [a, b], next, result),
            O::Binary(Binary::Mul) => allocator.either_way(Simple::Mul, [a, b], next, result),
            O::Binary(Binary::Sub) => allocator.simple(Simple::Sub, [a, b], next, result),
            O::Binary(Binary::Div) => allocator.simple(Simple::Div, [a, b], next, result),
            O::Binary(Binary::Lt) => allocator.simple(Simple::Lt, [a, b], next, result),
            O::Binary(Binary::Le) => allocator.simple(Simple::Le, [a, b], next, result),
            O::Binary(Binary::Eq) => allocator.simple(Simple::Eq, [a, b], next, result),
            // Min is b where b < a, else a.
            O::Binary(Binary::Min) => {
                allocator.simple(Simple::Min, [b, a], [next[1], next[0], NEVER], result);
            }
            O::Binary(Binary::Max) => {
                allocator.simple(Simple::Max, [b, a], [next[1], next[0], NEVER], result);
            }
            O::Unary(Unary::Neg) => allocator.of_one(OfOne::Neg, a, next[0], result),
            O::Unary(Unary::Abs) => allocator.of_one(OfOne::Abs, a, next[0], result),
            O::Unary(Unary::Floor) => allocator.of_one(OfOne::Floor, a, next[0], result),
            O::Unary(Unary::Ceil) => allocator.of_one(OfOne::Ceil, a, next[0], result),
            O::Unary(Unary::Sqrt) => allocator.of_one(OfOne::Sqrt, a, next[0], result),
            O::Ternary(Ternary::MulAdd) => allocator.fused(Fused::MulAdd, places, next, result),
            O::Ternary(Ternary::MulSub) => allocator.fused(Fused::MulSub, places, next, result),
            O::Ternary(Ternary::NegMulAdd) => {
                allocator.fused(Fused::NegMulAdd, places, next, result);
            }
            O::Ternary(Ternary::Select) => allocator.select([a, b, c], next, result),
            O::Binary(Binary::Pow | Binary::LogLacks) | O::Unary(_) => allocator.call(i),
        }
    }
    allocator.save_all();
    allocator.actions
}

impl Allocator {
    /// A register for a new value; `locked` ones keep theirs.
    fn take(&mut self, locked: &[VectorRegister]) -> VectorRegister {
        if let Some(free) = (0..self.held.len())
            .find(|&r| self.held[r].is_none() && !locked.contains(&(r as VectorRegister)))
        {
            return free as VectorRegister;
        }
        let furthest = (0..self.held.len())
            .filter(|&r| !locked.contains(&(r as VectorRegister)))
            .max_by_key(|&r| self.held[r].map(|held| (held.next_use, held.is_saved)))
            .expect("a processor has more registers than an instruction has operands");
        let register = furthest as VectorRegister;
        self.save(register);
        self.forget(register);
        register
    }

    fn save(&mut self, register: VectorRegister) {
        if let Some(held) = &mut self.held[usize::from(register)]
            && !held.is_saved
        {
            held.is_saved = true;
            self.actions.push(Action::Store { to: held.place, from: register });
        }
    }

    fn forget(&mut self, register: VectorRegister) {
        if let Some(held) = self.held[usize::from(register)].take() {
            self.register_of[held.place as usize] = None;
        }
    }

    fn save_all(&mut self) {
        for register in 0..self.held.len() {
            self.save(register as VectorRegister);
        }
    }

    /// The register of a value, which is loaded if need be.
    fn load(&mut self, place: Register, locked: &[VectorRegister]) -> VectorRegister {
        if let Some(register) = self.register_of[place as usize] {
            return register;
        }
        let to = self.take(locked);
        self.actions.push(Action::Load { to, from: place });
        self.hold(to, Held { place, next_use: 0, is_saved: true });
        to
    }

    fn hold(&mut self, register: VectorRegister, value: Held) {
        debug_assert!(self.held[usize::from(register)].is_none());
        // What the place held before had its last use before.
        debug_assert!(self.register_of[value.place as usize].is_none());
        self.held[usize::from(register)] = Some(value);
        self.register_of[value.place as usize] = Some(register);
    }

    /// From memory where it is there only, and not needed again before all that is held.
    fn operand(&mut self, place: Register, next: u32, locked: &[VectorRegister]) -> Operand {
        if self.register_of[place as usize].is_none() && self.is_last(next, locked) {
            return Operand::InMemory(place);
        }
        Operand::Held(self.load(place, locked))
    }

    /// Whether a value that is needed next then would be the first to leave its register.
    fn is_last(&self, next: u32, locked: &[VectorRegister]) -> bool {
        let goes_before = |(register, held): (usize, &Option<Held>)| {
            locked.contains(&(register as VectorRegister))
                || held.is_some_and(|held| held.next_use < next)
        };
        next == NEVER || self.held.iter().enumerate().all(goes_before)
    }

    /// Notes when an operand is needed next; whether its register is free now.
    fn used(&mut self, register: VectorRegister, next: u32) -> bool {
        if let Some(held) = &mut self.held[usize::from(register)] {
            held.next_use = next;
        }
        if next == NEVER {
            self.forget(register);
        }
        next == NEVER
    }

    /// Puts a result into a register, one that its operands leave if there is one.
    fn result(&mut self, value: Held, operands: &[VectorRegister]) -> VectorRegister {
        let left = operands.iter().copied().find(|&r| self.held[usize::from(r)].is_none());
        let to = left.unwrap_or_else(|| self.take(operands));
        self.hold(to, value);
        to
    }

    fn simple(&mut self, op: Simple, [a, b]: [Register; 2], next: [u32; 3], result: Held) {
        let first = self.load(a, &[]);
        let b = if a == b { Operand::Held(first) } else { self.operand(b, next[1], &[first]) };
        let mut operands = vec![first];
        self.used(first, next[0]);
        if let Operand::Held(second) = b {
            operands.push(second);
            self.used(second, next[1]);
        }
        let to = self.result(result, &operands);
        self.actions.push(Action::Simple { op, to, a: first, b });
    }

    /// An operation whose operands may change places: the second may stay in memory.
    fn either_way(&mut self, op: Simple, [a, b]: [Register; 2], next: [u32; 3], result: Held) {
        let is_held = |place: Register| self.register_of[place as usize].is_some();
        let are_waiting = !is_held(a) && !is_held(b);
        if (is_held(b) && !is_held(a)) || (are_waiting && next[0] > next[1]) {
            self.simple(op, [b, a], [next[1], next[0], NEVER], result);
        } else {
            self.simple(op, [a, b], next, result);
        }
    }

    fn of_one(&mut self, op: OfOne, a: Register, next: u32, result: Held) {
        let first = self.load(a, &[]);
        self.used(first, next);
        let to = self.result(result, &[first]);
        self.actions.push(Action::OfOne { op, to, a: first });
    }

    fn select(&mut self, places: [Register; 3], next: [u32; 3], result: Held) {
        let a = self.load(places[0], &[]);
        let b = self.load(places[1], &[a]);
        let c = self.load(places[2], &[a, b]);
        for (register, next) in [a, b, c].into_iter().zip(next) {
            self.used(register, next);
        }
        // Not over an operand: it may take two instructions.
        let to = self.take(&[a, b, c]);
        self.hold(to, result);
        self.actions.push(Action::Select { to, a, b, c });
    }

    fn fused(&mut self, op: Fused, places: [Register; 3], next: [u32; 3], result: Held) {
        // All operands but at most one into registers; one of these may be left to the result.
        let mut registers: [Option<VectorRegister>; 3] =
            places.map(|place| self.register_of[place as usize]);
        let locked = |registers: &[Option<VectorRegister>; 3]| -> Vec<VectorRegister> {
            registers.iter().flatten().copied().collect()
        };
        let may_stay = |k: &usize| {
            registers[*k].is_none()
                && self.is_last(next[*k], &locked(&registers))
                && (0..3).all(|j| j == *k || places[j] != places[*k])
        };
        let in_memory = (0..3).filter(may_stay).max_by_key(|&k| next[k]);
        for k in 0..3 {
            if registers[k].is_none() && in_memory != Some(k) {
                registers[k] = Some(self.load(places[k], &locked(&registers)));
            }
        }
        for k in 0..3 {
            if let Some(register) = registers[k] {
                self.used(register, next[k]);
            }
        }
        let leaves = |k: &usize| {
            registers[*k].is_some_and(|register| self.held[usize::from(register)].is_none())
        };
        let (replaced, to) = match ((0..3).find(leaves), in_memory) {
            (Some(k), _) => (k, registers[k].expect("it is held")),
            (None, Some(k)) => {
                let to = self.take(&locked(&registers));
                self.actions.push(Action::Load { to, from: places[k] });
                registers[k] = Some(to);
                (k, to)
            }
            (None, None) => {
                let to = self.take(&locked(&registers));
                let from = registers[2].expect("it is held");
                self.actions.push(Action::Copy { to, from });
                (2, to)
            }
        };
        self.hold(to, result);
        let other = |k: usize| match registers[k] {
            Some(register) => Operand::Held(register),
            None => Operand::InMemory(places[k]),
        };
        let (form, second, third) = match replaced {
            2 => match (other(0), other(1)) {
                (Operand::Held(second), third) => (Form::Addend231, second, third),
                (third, Operand::Held(second)) => (Form::Addend231, second, third),
                _ => unreachable!("at most one operand stays in memory"),
            },
            k => match (other(1 - k), other(2)) {
                (Operand::Held(second), third) => (Form::Multiplicand213, second, third),
                (third, Operand::Held(second)) => (Form::Multiplicand132, second, third),
                _ => unreachable!("at most one operand stays in memory"),
            },
        };
        self.actions.push(Action::Fused { op, form, to, second, third });
    }

    fn call(&mut self, instruction: usize) {
        for register in 0..self.held.len() as VectorRegister {
            self.save(register);
            self.forget(register);
        }
        self.actions.push(Action::Call { instruction });
    }
}
