//! exp and expm1.

use super::parts::{nearest, poly, power_of_two, scale};

/// 1 / ln 2.
const INV_LN2: f64 = 1.4426950408889634;
/// ln 2 to 32 bits: its product with an exponent is exact.
const LN2_HIGH: f64 = 0.6931471803691238;
const LN2_LOW: f64 = 1.9082149292705877e-10;
/// `(e^r - 1 - r - r^2/2) / r^3` for |r| <= 0.3467; times r^3 it is off by 2^-60.
const EXP: [f64; 10] = [
    0.16666666666666669,
    0.041666666666666664,
    0.008333333333330058,
    0.001388888888888655,
    0.0001984126986307315,
    2.4801587317158447e-05,
    2.7557268429653227e-06,
    2.755728294788076e-07,
    2.5100399926586822e-08,
    2.0911246935777986e-09,
];

/// `e^r - 1 - r`, for |r| <= 0.3467.
#[inline(always)]
pub(super) fn exp_tail(r: f64) -> f64 {
    (r * r) * (r * poly(r, EXP) + 0.5)
}

/// `(n, high, low)` with `x = n ln 2 + high - low`; `high` is exact.
#[inline(always)]
fn reduce(x: f64) -> (f64, f64, f64) {
    let n = nearest(x * INV_LN2);
    (n, x - n * LN2_HIGH, n * LN2_LOW)
}

/// `(m, n)` with `e^x = m 2^n` and m of about 1, for |x| <= 760.
#[inline(always)]
pub(super) fn exp_parts(x: f64) -> (f64, f64) {
    let (n, high, low) = reduce(x);
    (1.0 + (high - (low - exp_tail(high - low))), n)
}

/// `e^x`. Within 1 ulp, subnormal results included.
///
/// Cody and Waite's reduction to `|r| <= ln(2)/2` and a polynomial.
#[inline(always)]
pub fn exp(x: f64) -> f64 {
    // Beyond these the result is 0 or infinite, and stays so.
    let (m, n) = exp_parts(x.clamp(-746.0, 710.0));
    scale(m, n)
}

/// `e^x - 1`, accurate where x is near 0. Within 1 ulp.
///
/// `2^n ((1 - 2^-n) + (e^r - 1))`, in which the sum's large terms are exact.
#[inline(always)]
pub fn expm1(x: f64) -> f64 {
    let t = x.clamp(-40.0, 710.0);
    let (n, high, low) = reduce(t);
    let sum = (1.0 - power_of_two((-n).max(-100.0))) + high;
    let value = scale(sum - (low - exp_tail(high - low)), n);
    // Keeps -0, and what 1 + x cannot hold.
    if x.abs() < 1e-17 { x } else { value }
}
