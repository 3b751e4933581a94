//! asinh, acosh and atanh: logarithms of numbers carried in two parts.

use super::log::log_of_sum;
use super::parts::{short, sum_error};

/// Beyond this (2^28) `sqrt(x^2 ± 1)` is x.
const LARGE: f64 = 268435456.0;

/// The inverse hyperbolic sine. Within 2 ulp.
///
/// `log(1 + (a + a^2 / (1 + sqrt(1 + a^2))))` with `a = |x|`.
#[inline(always)]
pub fn asinh(x: f64) -> f64 {
    let a = x.abs();
    let large = a > LARGE;
    let t = if large { 1.0 } else { a };
    let square = t * t;
    let part = square / (1.0 + (1.0 + square).sqrt());
    let y = t + part;
    let u = 1.0 + y;
    // The larger goes first: y is up to 2^29.
    let error = if y < 1.0 { sum_error(1.0, y, u) } else { sum_error(y, 1.0, u) };
    let c = error + sum_error(t, part, y);
    let value =
        log_of_sum(if large { a } else { u }, if large { 0.0 } else { c }, f64::from(large));
    let value = if a > f64::MAX { a } else { value };
    if x.is_nan() || x == 0.0 { x } else { value.copysign(x) }
}

/// The inverse hyperbolic cosine, not negative; NaN for x < 1. Within 2 ulp.
///
/// `log(1 + (t + sqrt(2t + t^2)))` with `t = x - 1`, the root with its residual.
#[inline(always)]
pub fn acosh(x: f64) -> f64 {
    let large = x > LARGE;
    let t = if large { 1.0 } else { x - 1.0 };
    let t_head = short(t);
    let t_tail = t - t_head;
    let square = t_head * t_head + t_tail * (t_head + t);
    let double = 2.0 * t;
    let z = double + square;
    let z_error =
        if double > square { sum_error(double, square, z) } else { sum_error(square, double, z) };
    let root = z.sqrt();
    let head = short(root);
    let tail = root - head;
    let residual = (((z - head * head) - 2.0 * head * tail) - tail * tail) + z_error;
    let root_tail = if root > 0.0 { residual / (2.0 * root) } else { 0.0 };
    // The root is the larger.
    let y = root + t;
    let u = 1.0 + y;
    let error = if y < 1.0 { sum_error(1.0, y, u) } else { sum_error(y, 1.0, u) };
    let c = error + (sum_error(root, t, y) + root_tail);
    let value =
        log_of_sum(if large { x } else { u }, if large { 0.0 } else { c }, f64::from(large));
    let value = if x > f64::MAX { x } else { value };
    if x >= 1.0 { value } else { f64::NAN }
}

/// The inverse hyperbolic tangent; infinite at ±1, NaN beyond. Within 2 ulp.
///
/// `log(1 + 2a / (1 - a)) / 2` with `a = |x|`, the quotient with its residual.
#[inline(always)]
pub fn atanh(x: f64) -> f64 {
    let a = x.abs();
    let inside = a < 1.0;
    let t = if inside { a } else { 0.0 };
    let n = 2.0 * t;
    let d = 1.0 - t;
    let d_error = sum_error(1.0, -t, d);
    let q = n / d;
    let q_head = short(q);
    let q_tail = q - q_head;
    let d_head = short(d);
    let d_tail = (d - d_head) + d_error;
    let residual = ((n - q_head * d_head) - q_head * d_tail) - q_tail * d;
    let u = 1.0 + q;
    let error = if q < 1.0 { sum_error(1.0, q, u) } else { sum_error(q, 1.0, u) };
    let value = 0.5 * log_of_sum(u, error + residual / d, 0.0);
    let limit = if a == 1.0 { f64::INFINITY } else { f64::NAN };
    let value = (if inside { value } else { limit }).copysign(x);
    if x == 0.0 { x } else { value }
}
