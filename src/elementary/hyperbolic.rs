//! sinh, cosh and tanh.

use super::exp::{exp, exp_parts};
use super::parts::{poly, scale};

/// `(sinh(x) / x - 1) / z` with `z = x^2`, for |x| <= 1; times z it is off by 2^-56.6.
const SINH: [f64; 8] = [
    0.16666666666666666,
    0.008333333333333333,
    0.00019841269841269773,
    2.755731922404034e-06,
    2.505210836405804e-08,
    1.6059048396350562e-10,
    7.646625361656657e-13,
    2.8445264169895285e-15,
];
/// `(tanh(x) / x - 1) / z` with `z = x^2`, for |x| <= 5/8: this over ...
const TANH_NUMERATOR: [f64; 3] =
    [-0.3333333333333333, -0.020498797014128274, -0.00019917792421746068];
/// ... this; times z the quotient is off by 2^-57.
const TANH_DENOMINATOR: [f64; 4] =
    [1.0, 0.4614963910423813, 0.023291328284948218, 0.00020653360964084977];

/// `e^a / 2` for `a >= 0`; finite wherever sinh and cosh are.
#[inline(always)]
fn half_exp(a: f64) -> f64 {
    let (m, n) = exp_parts(a.min(720.0));
    scale(m, n - 1.0)
}

/// The hyperbolic sine. Within 2 ulp. A polynomial for `|x| < 1`, else from exp.
#[inline(always)]
pub fn sinh(x: f64) -> f64 {
    let a = x.abs();
    let z = x * x;
    let e = half_exp(a);
    let far = (e - 0.25 / e).copysign(x);
    let value = if a < 1.0 { x + x * (z * poly(z, SINH)) } else { far };
    if x.is_nan() || x == 0.0 { x } else { value }
}

/// The hyperbolic cosine. Within 2 ulp.
#[inline(always)]
pub fn cosh(x: f64) -> f64 {
    let e = half_exp(x.abs());
    if x.is_nan() { x } else { e + 0.25 / e }
}

/// The hyperbolic tangent. Within 2 ulp.
///
/// Cody and Waite: a rational function for `|x| < 5/8`, else `1 - 2 / (e^(2x) + 1)`.
#[inline(always)]
pub fn tanh(x: f64) -> f64 {
    let a = x.abs();
    let near = a < 0.625;
    let z = a * a;
    let e = exp(2.0 * a.min(22.0));
    let n = if near { a * (z * poly(z, TANH_NUMERATOR)) } else { -2.0 };
    let d = if near { poly(z, TANH_DENOMINATOR) } else { e + 1.0 };
    let value = (if near { a } else { 1.0 }) + n / d;
    if x.is_nan() || x == 0.0 { x } else { value.copysign(x) }
}
