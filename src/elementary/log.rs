//! log, log1p, log2 and log10.

use super::parts::{decompose, poly, short, sum_error};

/// `(log((1 + s) / (1 - s)) / s - 2) / z` with `z = s^2`, for |s| <= 0.1716; off by 2^-59 of a log.
const LOG: [f64; 7] = [
    0.666666666666667,
    0.3999999999989894,
    0.28571428626241985,
    0.22222211091148564,
    0.18182892217615845,
    0.15331622952760332,
    0.14617615674513557,
];
const LN2_HIGH: f64 = 0.6931471803691238;
const LN2_LOW: f64 = 1.9082149292705877e-10;

/// `(f, h, t)` with `log(m) = f - (h - t)`, of falling size: `f = m - 1`, `h = f^2 / 2`.
#[inline(always)]
fn log_terms(m: f64) -> (f64, f64, f64) {
    let f = m - 1.0;
    let s = f / (2.0 + f);
    let z = s * s;
    let h = 0.5 * f * f;
    (f, h, s * (h + z * poly(z, LOG)))
}

/// `log(x + c) + extra ln 2` for finite `x > 0` and a `c` beneath x's last bit.
#[inline(always)]
pub(super) fn log_of_sum(x: f64, c: f64, extra: f64) -> f64 {
    let (m, k) = decompose(x);
    let k = k + extra;
    let (f, h, t) = log_terms(m);
    k * LN2_HIGH - ((h - (t + (k * LN2_LOW + c / x))) - f)
}

/// `value` where x is positive and finite; the logarithm's limit elsewhere.
#[inline(always)]
fn with_limits(x: f64, value: f64) -> f64 {
    let beyond = if x > 0.0 { f64::INFINITY } else { f64::NAN };
    let limit = if x == 0.0 { f64::NEG_INFINITY } else { beyond };
    if x > 0.0 && x <= f64::MAX { value } else { limit }
}

/// The natural logarithm. Within 1 ulp.
///
/// fdlibm's method: `x = 2^k m`, `s = f / (2 + f)` with `f = m - 1`, and
/// `log(m) = f - (f^2/2 - s (f^2/2 + R(s^2)))`.
#[inline(always)]
pub fn log(x: f64) -> f64 {
    let (m, k) = decompose(x);
    let (f, h, t) = log_terms(m);
    with_limits(x, k * LN2_HIGH - ((h - (t + k * LN2_LOW)) - f))
}

/// `log(1 + x)`, accurate where x is near 0. Within 1 ulp.
///
/// The logarithm of `1 + x` rounded, plus what the rounding lost, divided by it.
#[inline(always)]
pub fn log1p(x: f64) -> f64 {
    let u = 1.0 + x;
    let small = x.abs() < 1.0;
    let error = if small { sum_error(1.0, x, u) } else { sum_error(x, 1.0, u) };
    // From 2^54 on the 1 is lost, and its part in the sum may be outside f32's range.
    let c = if x.abs() < 1e16 { error } else { 0.0 };
    let value = with_limits(u, log_of_sum(u, c, 0.0));
    if x == 0.0 { x } else { value }
}

/// `log(m)` to about 75 bits: a short head and the rest.
#[inline(always)]
fn log_pair(m: f64) -> (f64, f64) {
    let (f, h, t) = log_terms(m);
    let head = short(f - h);
    (head, ((f - head) - h) + t)
}

/// The binary logarithm. Within 2 ulp; exact for powers of two.
#[inline(always)]
pub fn log2(x: f64) -> f64 {
    const INV_LN2_HIGH: f64 = 1.4426950216293335;
    const INV_LN2_LOW: f64 = 1.9259629911266175e-08;
    let (m, k) = decompose(x);
    let (head, tail) = log_pair(m);
    let low = (head + tail) * INV_LN2_LOW + tail * INV_LN2_HIGH;
    with_limits(x, k + (head * INV_LN2_HIGH + low))
}

/// The decimal logarithm. Within 1 ulp.
#[inline(always)]
pub fn log10(x: f64) -> f64 {
    const INV_LN10_HIGH: f64 = 0.4342944622039795;
    const INV_LN10_LOW: f64 = 1.9699272335463627e-08;
    const LOG10_2_HIGH: f64 = 0.30102999566361177;
    const LOG10_2_LOW: f64 = 3.694239077158931e-13;
    let (m, k) = decompose(x);
    let (head, tail) = log_pair(m);
    let low = k * LOG10_2_LOW + ((head + tail) * INV_LN10_LOW + tail * INV_LN10_HIGH);
    with_limits(x, k * LOG10_2_HIGH + (head * INV_LN10_HIGH + low))
}
