//! SPIR-V of the shaders, in which no driver may regroup arithmetic.
//!
//! Drivers may take a b + c for one operation and (a b) b for a (b b) wherever an instruction is not
//! decorated with `NoContraction` (SPIR-V specification, 3.20), for which WGSL has no word. NVIDIA's
//! does: sums kept in two parts lose the second, and pow ten of its bits.

use spirv::{Decoration, GlslStd450Op, Op};
use wgpu::naga::back::spv;
use wgpu::naga::front::wgsl;
use wgpu::naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use wgpu::naga::valid::{Capabilities, ValidationFlags, Validator};

/// Words before the first instruction.
const HEADER: usize = 5;
/// SPIR-V that every Vulkan takes.
const VERSION: (u8, u8) = (1, 0);

/// The SPIR-V of a compute shader in WGSL, as the GPU engine hands it to drivers: arithmetic of numbers
/// (the engine's shaders have no vectors or matrices of floats) is done as written, and no index leaves
/// its buffer. Its loops must end by themselves.
///
/// # Errors
/// What is wrong with the source, with the place.
pub fn spirv(source: &str) -> Result<Vec<u32>, String> {
    let module = wgsl::parse_str(source).map_err(|error| error.emit_to_string(source))?;
    let info = Validator::new(ValidationFlags::all(), Capabilities::FLOAT64)
        .validate(&module)
        .map_err(|error| error.emit_to_string(source))?;
    let restricted = BoundsCheckPolicies {
        index: BoundsCheckPolicy::Restrict,
        buffer: BoundsCheckPolicy::Restrict,
        ..BoundsCheckPolicies::default()
    };
    let options = spv::Options {
        lang_version: VERSION,
        flags: spv::WriterFlags::empty(),
        bounds_check_policies: restricted,
        force_loop_bounding: false,
        ..spv::Options::default()
    };
    let words =
        spv::write_vec(&module, &info, &options, None).map_err(|error| error.to_string())?;
    Ok(as_written(&words))
}

/// A module whose arithmetic is decorated with `NoContraction`.
fn as_written(words: &[u32]) -> Vec<u32> {
    let mut arithmetic = Vec::new();
    // Decorations stand before types, and types before all that uses them.
    let mut decorations_at = None;
    let mut at = HEADER;
    while let Some(&word) = words.get(at) {
        let is_arithmetic = match Op::from_u32(word & 0xffff) {
            Some(Op::FNegate | Op::FAdd | Op::FSub | Op::FMul | Op::FDiv | Op::FRem | Op::FMod) => {
                true
            }
            // Type, result, set, number.
            Some(Op::ExtInst) => words.get(at + 4) == Some(&(GlslStd450Op::Fma as u32)),
            Some(
                Op::Decorate
                | Op::MemberDecorate
                | Op::TypeVoid
                | Op::TypeBool
                | Op::TypeInt
                | Op::TypeFloat,
            ) => {
                decorations_at.get_or_insert(at);
                false
            }
            _ => false,
        };
        if is_arithmetic {
            arithmetic.extend(words.get(at + 2));
        }
        at += (word >> 16).max(1) as usize;
    }
    let (before, after) = words.split_at(decorations_at.unwrap_or(words.len()));
    let mut decorated = Vec::with_capacity(words.len() + 3 * arithmetic.len());
    decorated.extend_from_slice(before);
    for result in arithmetic {
        decorated.extend([3 << 16 | Op::Decorate as u32, result, Decoration::NoContraction as u32]);
    }
    decorated.extend_from_slice(after);
    decorated
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of SPIR-V as words: opcode, operands.
    fn instructions(words: &[u32]) -> Vec<(u32, Vec<u32>)> {
        let mut rest = &words[HEADER..];
        let mut list = Vec::new();
        while let Some(&word) = rest.first() {
            let (this, others) = rest.split_at((word >> 16) as usize);
            list.push((word & 0xffff, this[1..].to_vec()));
            rest = others;
        }
        list
    }

    #[test]
    fn all_arithmetic_is_decorated_and_nothing_else() {
        let source = "
@group(0) @binding(0) var<storage, read_write> v: array<f64>;
@compute @workgroup_size(1)
fn main() {
    let a = v[0];
    let b = v[1];
    v[2] = fma(a, b, -a) - (a * b + b) / sqrt(abs(a));
}
";
        let list = instructions(&spirv(source).unwrap());
        let decorated: Vec<u32> = list
            .iter()
            .filter(|(op, words)| *op == 71 && words[1] == 42)
            .map(|(_, words)| words[0])
            .collect();
        // Opcodes of the specification, 3.49.13: FNegate, FAdd, FSub, FMul, FDiv; and fma, number 50 of
        // GLSL.std.450.
        let is_arithmetic = |op: u32, words: &[u32]| {
            [127, 129, 131, 133, 136].contains(&op) || (op == 12 && words[3] == 50)
        };
        let arithmetic: Vec<u32> = list
            .iter()
            .filter(|(op, words)| is_arithmetic(*op, words))
            .map(|(_, words)| words[1])
            .collect();
        assert_eq!(arithmetic.len(), 6);
        assert_eq!(decorated, arithmetic);
        // Absolute value and square root are there, undecorated.
        for number in [4, 31] {
            assert!(list.iter().any(|(op, words)| *op == 12 && words[3] == number));
        }
    }

    #[test]
    fn errors_say_where() {
        let error =
            spirv("@compute @workgroup_size(1)\nfn main() { let x = 1.0lf + ; }").unwrap_err();
        assert!(error.contains(":2:"), "{error}");
    }
}
