//! Calculus on parameter scales.

use crate::petab::ParameterScale;
use std::f64::consts::LN_10;

impl ParameterScale {
    /// dp/dθ where the linear value is p.
    pub fn derivative(self, p: f64) -> f64 {
        match self {
            Self::Lin => 1.0,
            Self::Log => p,
            Self::Log10 => p * LN_10,
        }
    }

    /// d²p/dθ² where the linear value is p.
    pub fn second_derivative(self, p: f64) -> f64 {
        match self {
            Self::Lin => 0.0,
            Self::Log => p,
            Self::Log10 => p * (LN_10 * LN_10),
        }
    }

    /// θ(to) − θ(from) for linear values, to full relative accuracy however close they are: the
    /// step that a probe really took, after rounding of its linear value.
    pub fn distance(self, to: f64, from: f64) -> f64 {
        match self {
            Self::Lin => to - from,
            Self::Log => ((to - from) / from).ln_1p(),
            Self::Log10 => ((to - from) / from).ln_1p() / LN_10,
        }
    }
}
