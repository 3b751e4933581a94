//! Starts that ended at the same objective.

use super::multistart::Optimum;

/// Optima closer than this count as the same: far less than statistics could tell apart.
pub const SAME: f64 = 1e-2;

/// Optima whose objectives are at most [`SAME`] above that of the first of them; `sorted` ones, those
/// with a value only.
pub fn plateaus(sorted: &[Optimum]) -> Vec<&[Optimum]> {
    let count = sorted.partition_point(|optimum| optimum.position.value.is_finite());
    let mut plateaus = Vec::new();
    let mut rest = &sorted[..count];
    while let Some(first) = rest.first() {
        let is_same = |optimum: &Optimum| optimum.position.value <= first.position.value + SAME;
        let (plateau, others) = rest.split_at(rest.partition_point(is_same));
        plateaus.push(plateau);
        rest = others;
    }
    plateaus
}
