//! Actions as x86-64 instructions, for AVX-512 and for AVX2 with FMA.
//!
//! The code is a function of the System V convention on every system. Its argument points to the
//! first lane that it works on in a register file; it changes nothing but that file. The value in
//! place r has its lanes at `r · stride`, in as many vectors as a group has.

use super::allocate::Form;
use super::allocate::{Action, Fused, OfOne, Operand, Simple, VectorRegister};
use crate::engine::cpu::interpreter::Vector;
use crate::program::registers::{Instruction as Operation, Register as Place};
use iced_x86::{Code, Encoder, IcedError, Instruction, MemoryOperand, Register};

/// Instruction sets that code is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isa {
    Avx512,
    Avx2,
}

/// How a value's lanes lie in vector registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    pub isa: Isa,
    /// Vector registers that hold one value together.
    pub vectors: usize,
}

impl Layout {
    /// Lanes of one vector register.
    const fn vector_lanes(self) -> usize {
        match self.isa {
            Isa::Avx512 => 8,
            Isa::Avx2 => 4,
        }
    }

    /// Lanes that the code works on at a time.
    pub const fn lanes(self) -> usize {
        self.vector_lanes() * self.vectors
    }

    /// Groups of vector registers that there are for values. AVX2 keeps some for masks.
    pub const fn groups(self) -> usize {
        match self.isa {
            Isa::Avx512 => 32 / self.vectors,
            Isa::Avx2 => 16 / self.vectors - 1,
        }
    }
}

/// Numbers that instructions read, a vector each.
#[repr(align(64))]
struct Numbers([[u64; 8]; 4]);

static NUMBERS: Numbers =
    Numbers([[1 << 63; 8], [u64::MAX >> 1; 8], [0x3ff0_0000_0000_0000; 8], [0; 8]]);

/// Places in [`NUMBERS`].
#[derive(Debug, Clone, Copy)]
enum Number {
    SignBit,
    AllButSign,
    One,
    Zero,
}

/// What a call does: the operation on some lanes of a file.
pub type Function = unsafe extern "sysv64" fn(*const Operation, *mut f64);

/// The bytes of a function that does all actions. Calls refer to `operations` where they lie now.
///
/// # Errors
/// If an instruction cannot be encoded: a program so large that a place is beyond 2 GiB.
pub fn encode(
    actions: &[Action],
    operations: &[Operation],
    function: Function,
    layout: Layout,
) -> Result<Vec<u8>, IcedError> {
    let mut emitter = Emitter { encoder: Encoder::new(64), layout };
    use Register as R;
    for kept in [R::RBX, R::R12, R::R13] {
        emitter.emit(Instruction::with1(Code::Push_r64, kept)?)?;
    }
    emitter.emit(Instruction::with2(Code::Mov_r64_rm64, R::RBX, R::RDI)?)?;
    let numbers = NUMBERS.0.as_ptr() as u64;
    emitter.emit(Instruction::with2(Code::Mov_r64_imm64, R::R12, numbers)?)?;
    emitter.emit(Instruction::with2(Code::Mov_r64_imm64, R::R13, function as usize as u64)?)?;
    for action in actions {
        emitter.action(action, operations)?;
    }
    emitter.emit(Instruction::with(Code::VEX_Vzeroupper))?;
    for kept in [R::R13, R::R12, R::RBX] {
        emitter.emit(Instruction::with1(Code::Pop_r64, kept)?)?;
    }
    emitter.emit(Instruction::with(Code::Retnq))?;
    Ok(emitter.encoder.take_buffer())
}

struct Emitter {
    encoder: Encoder,
    layout: Layout,
}

impl Emitter {
    fn emit(&mut self, instruction: Instruction) -> Result<(), IcedError> {
        self.encoder.encode(&instruction, 0).map(|_| ())
    }

    /// The code of the instruction set at hand.
    fn code(&self, avx512: Code, avx2: Code) -> Code {
        match self.layout.isa {
            Isa::Avx512 => avx512,
            Isa::Avx2 => avx2,
        }
    }

    /// Vector v of a group.
    fn vector(&self, group: VectorRegister, v: usize) -> Register {
        let number = u32::from(group) * self.layout.vectors as u32 + v as u32;
        match self.layout.isa {
            Isa::Avx512 => Register::ZMM0 + number,
            Isa::Avx2 => Register::YMM0 + number,
        }
    }

    /// Where vector v of a value is.
    fn memory(&self, place: Place, v: usize) -> MemoryOperand {
        let at = place as usize * size_of::<Vector>() + v * self.layout.vector_lanes() * 8;
        MemoryOperand::with_base_displ(Register::RBX, at as i64)
    }

    fn number(&self, number: Number) -> MemoryOperand {
        MemoryOperand::with_base_displ(Register::R12, number as i64 * 64)
    }

    /// An instruction with a target, a register and an operand.
    fn three(
        &mut self,
        code: Code,
        to: Register,
        a: Register,
        b: Operand,
        v: usize,
    ) -> Result<(), IcedError> {
        let instruction = match b {
            Operand::Held(group) => Instruction::with3(code, to, a, self.vector(group, v))?,
            Operand::InMemory(place) => Instruction::with3(code, to, a, self.memory(place, v))?,
        };
        self.emit(instruction)
    }

    fn action(&mut self, action: &Action, operations: &[Operation]) -> Result<(), IcedError> {
        if let Action::Call { instruction } = *action {
            return self.call(&operations[instruction]);
        }
        for v in 0..self.layout.vectors {
            self.vector_action(action, v)?;
        }
        Ok(())
    }

    fn vector_action(&mut self, action: &Action, v: usize) -> Result<(), IcedError> {
        use Code as C;
        match *action {
            Action::Load { to, from } => {
                let code = self.code(C::EVEX_Vmovupd_zmm_k1z_zmmm512, C::VEX_Vmovupd_ymm_ymmm256);
                let from = self.memory(from, v);
                self.emit(Instruction::with2(code, self.vector(to, v), from)?)
            }
            Action::Store { to, from } => {
                let code = self.code(C::EVEX_Vmovupd_zmmm512_k1z_zmm, C::VEX_Vmovupd_ymmm256_ymm);
                let to = self.memory(to, v);
                self.emit(Instruction::with2(code, to, self.vector(from, v))?)
            }
            Action::Copy { to, from } => {
                let code = self.code(C::EVEX_Vmovapd_zmm_k1z_zmmm512, C::VEX_Vmovapd_ymm_ymmm256);
                self.emit(Instruction::with2(code, self.vector(to, v), self.vector(from, v))?)
            }
            Action::Simple { op, to, a, b } => {
                let (to, a) = (self.vector(to, v), self.vector(a, v));
                match self.arithmetic(op) {
                    Ok(code) => self.three(code, to, a, b, v),
                    Err(predicate) => self.compare(predicate, to, a, b, v),
                }
            }
            Action::OfOne { op, to, a } => self.of_one(op, self.vector(to, v), self.vector(a, v)),
            Action::Fused { op, form, to, second, third } => {
                let code = self.fused(op, form);
                self.three(code, self.vector(to, v), self.vector(second, v), third, v)
            }
            Action::Select { to, a, b, c } => {
                let [to, a, b, c] = [to, a, b, c].map(|group| self.vector(group, v));
                self.select(to, [a, b, c])
            }
            Action::Call { .. } => Ok(()),
        }
    }

    /// The instruction of an operation, or the predicate of a comparison.
    fn arithmetic(&self, op: Simple) -> Result<Code, u32> {
        use Code as C;
        // Ordered, without signals: false where one is not a number.
        const EQ_OQ: u32 = 0x00;
        const LT_OQ: u32 = 0x11;
        const LE_OQ: u32 = 0x12;
        let (avx512, avx2) = match op {
            Simple::Add => {
                (C::EVEX_Vaddpd_zmm_k1z_zmm_zmmm512b64_er, C::VEX_Vaddpd_ymm_ymm_ymmm256)
            }
            Simple::Sub => {
                (C::EVEX_Vsubpd_zmm_k1z_zmm_zmmm512b64_er, C::VEX_Vsubpd_ymm_ymm_ymmm256)
            }
            Simple::Mul => {
                (C::EVEX_Vmulpd_zmm_k1z_zmm_zmmm512b64_er, C::VEX_Vmulpd_ymm_ymm_ymmm256)
            }
            Simple::Div => {
                (C::EVEX_Vdivpd_zmm_k1z_zmm_zmmm512b64_er, C::VEX_Vdivpd_ymm_ymm_ymmm256)
            }
            Simple::Min => {
                (C::EVEX_Vminpd_zmm_k1z_zmm_zmmm512b64_sae, C::VEX_Vminpd_ymm_ymm_ymmm256)
            }
            Simple::Max => {
                (C::EVEX_Vmaxpd_zmm_k1z_zmm_zmmm512b64_sae, C::VEX_Vmaxpd_ymm_ymm_ymmm256)
            }
            Simple::Lt => return Err(LT_OQ),
            Simple::Le => return Err(LE_OQ),
            Simple::Eq => return Err(EQ_OQ),
        };
        Ok(self.code(avx512, avx2))
    }

    fn fused(&self, op: Fused, form: Form) -> Code {
        use Code as C;
        use Form::{Addend231, Multiplicand132, Multiplicand213};
        let (avx512, avx2) = match (op, form) {
            (Fused::MulAdd, Multiplicand132) => {
                (C::EVEX_Vfmadd132pd_zmm_k1z_zmm_zmmm512b64_er, C::VEX_Vfmadd132pd_ymm_ymm_ymmm256)
            }
            (Fused::MulAdd, Multiplicand213) => {
                (C::EVEX_Vfmadd213pd_zmm_k1z_zmm_zmmm512b64_er, C::VEX_Vfmadd213pd_ymm_ymm_ymmm256)
            }
            (Fused::MulAdd, Addend231) => {
                (C::EVEX_Vfmadd231pd_zmm_k1z_zmm_zmmm512b64_er, C::VEX_Vfmadd231pd_ymm_ymm_ymmm256)
            }
            (Fused::MulSub, Multiplicand132) => {
                (C::EVEX_Vfmsub132pd_zmm_k1z_zmm_zmmm512b64_er, C::VEX_Vfmsub132pd_ymm_ymm_ymmm256)
            }
            (Fused::MulSub, Multiplicand213) => {
                (C::EVEX_Vfmsub213pd_zmm_k1z_zmm_zmmm512b64_er, C::VEX_Vfmsub213pd_ymm_ymm_ymmm256)
            }
            (Fused::MulSub, Addend231) => {
                (C::EVEX_Vfmsub231pd_zmm_k1z_zmm_zmmm512b64_er, C::VEX_Vfmsub231pd_ymm_ymm_ymmm256)
            }
            (Fused::NegMulAdd, Multiplicand132) => (
                C::EVEX_Vfnmadd132pd_zmm_k1z_zmm_zmmm512b64_er,
                C::VEX_Vfnmadd132pd_ymm_ymm_ymmm256,
            ),
            (Fused::NegMulAdd, Multiplicand213) => (
                C::EVEX_Vfnmadd213pd_zmm_k1z_zmm_zmmm512b64_er,
                C::VEX_Vfnmadd213pd_ymm_ymm_ymmm256,
            ),
            (Fused::NegMulAdd, Addend231) => (
                C::EVEX_Vfnmadd231pd_zmm_k1z_zmm_zmmm512b64_er,
                C::VEX_Vfnmadd231pd_ymm_ymm_ymmm256,
            ),
        };
        self.code(avx512, avx2)
    }

    fn of_one(&mut self, op: OfOne, to: Register, a: Register) -> Result<(), IcedError> {
        use Code as C;
        // Down or up, whatever the mode, without a signal where the result is inexact.
        const DOWN: u32 = 0x09;
        const UP: u32 = 0x0a;
        let instruction = match op {
            OfOne::Neg => {
                let code =
                    self.code(C::EVEX_Vxorpd_zmm_k1z_zmm_zmmm512b64, C::VEX_Vxorpd_ymm_ymm_ymmm256);
                Instruction::with3(code, to, a, self.number(Number::SignBit))?
            }
            OfOne::Abs => {
                let code =
                    self.code(C::EVEX_Vandpd_zmm_k1z_zmm_zmmm512b64, C::VEX_Vandpd_ymm_ymm_ymmm256);
                Instruction::with3(code, to, a, self.number(Number::AllButSign))?
            }
            OfOne::Floor | OfOne::Ceil => {
                let code = self.code(
                    C::EVEX_Vrndscalepd_zmm_k1z_zmmm512b64_imm8_sae,
                    C::VEX_Vroundpd_ymm_ymmm256_imm8,
                );
                Instruction::with3(code, to, a, if op == OfOne::Floor { DOWN } else { UP })?
            }
            OfOne::Sqrt => {
                let code =
                    self.code(C::EVEX_Vsqrtpd_zmm_k1z_zmmm512b64_er, C::VEX_Vsqrtpd_ymm_ymmm256);
                Instruction::with2(code, to, a)?
            }
        };
        self.emit(instruction)
    }

    /// 1 where the predicate holds, else 0.
    fn compare(
        &mut self,
        predicate: u32,
        to: Register,
        a: Register,
        b: Operand,
        v: usize,
    ) -> Result<(), IcedError> {
        let one = self.number(Number::One);
        let (code, mask) = match self.layout.isa {
            Isa::Avx512 => (Code::EVEX_Vcmppd_kr_k1_zmm_zmmm512b64_imm8_sae, Register::K1),
            Isa::Avx2 => (Code::VEX_Vcmppd_ymm_ymm_ymmm256_imm8, to),
        };
        let instruction = match b {
            Operand::Held(group) => {
                Instruction::with4(code, mask, a, self.vector(group, v), predicate)?
            }
            Operand::InMemory(place) => {
                Instruction::with4(code, mask, a, self.memory(place, v), predicate)?
            }
        };
        self.emit(instruction)?;
        match self.layout.isa {
            Isa::Avx512 => {
                let code = Code::EVEX_Vmovupd_zmm_k1z_zmmm512;
                let mut instruction = Instruction::with2(code, to, one)?;
                instruction.set_op_mask(Register::K1);
                instruction.set_zeroing_masking(true);
                self.emit(instruction)
            }
            Isa::Avx2 => {
                self.emit(Instruction::with3(Code::VEX_Vandpd_ymm_ymm_ymmm256, to, to, one)?)
            }
        }
    }

    /// b where a is not 0 (a NaN is not), else c.
    fn select(&mut self, to: Register, [a, b, c]: [Register; 3]) -> Result<(), IcedError> {
        const NEQ_UQ: u32 = 0x04;
        let zero = self.number(Number::Zero);
        match self.layout.isa {
            Isa::Avx512 => {
                let code = Code::EVEX_Vcmppd_kr_k1_zmm_zmmm512b64_imm8_sae;
                self.emit(Instruction::with4(code, Register::K1, a, zero, NEQ_UQ)?)?;
                let code = Code::EVEX_Vblendmpd_zmm_k1z_zmm_zmmm512b64;
                let mut instruction = Instruction::with3(code, to, c, b)?;
                instruction.set_op_mask(Register::K1);
                self.emit(instruction)
            }
            Isa::Avx2 => {
                let mask = Register::YMM15;
                let code = Code::VEX_Vcmppd_ymm_ymm_ymmm256_imm8;
                self.emit(Instruction::with4(code, mask, a, zero, NEQ_UQ)?)?;
                let code = Code::VEX_Vblendvpd_ymm_ymm_ymmm256_ymm;
                self.emit(Instruction::with4(code, to, c, b, mask)?)
            }
        }
    }

    fn call(&mut self, operation: &Operation) -> Result<(), IcedError> {
        use Register as R;
        self.emit(Instruction::with(Code::VEX_Vzeroupper))?;
        let at = std::ptr::from_ref(operation) as u64;
        self.emit(Instruction::with2(Code::Mov_r64_imm64, R::RDI, at)?)?;
        self.emit(Instruction::with2(Code::Mov_r64_rm64, R::RSI, R::RBX)?)?;
        self.emit(Instruction::with1(Code::Call_rm64, R::R13)?)
    }
}
