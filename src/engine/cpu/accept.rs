//! What becomes of the new values of a block after a step, for all lanes at once.

use super::interpreter::{BLOCK, Vector};

/// Σ |value| over the outputs, for each lane: finite if all are, and their sum does not overflow.
#[multiversion::multiversion(targets(
    "x86_64+avx512f+avx512dq+avx512vl+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
pub fn magnitudes(registers: &[Vector], outputs: &[u32]) -> Vector {
    let mut sums = [0.0; BLOCK];
    for &register in outputs {
        let values = &registers[register as usize];
        for w in 0..BLOCK {
            sums[w] += values[w].abs();
        }
    }
    sums
}

/// Takes the outputs as the first registers' values, in the lanes that accept them.
#[multiversion::multiversion(targets(
    "x86_64+avx512f+avx512dq+avx512vl+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
pub fn take(registers: &mut [Vector], outputs: &[u32], accepted: &[bool; BLOCK]) {
    let are_all_accepted = *accepted == [true; BLOCK];
    for (i, &register) in outputs.iter().enumerate() {
        let new = registers[register as usize];
        let old = &mut registers[i];
        if are_all_accepted {
            *old = new;
        } else {
            for w in 0..BLOCK {
                old[w] = if accepted[w] { new[w] } else { old[w] };
            }
        }
    }
}
