//! sin, cos and tan.

use super::parts::{poly, short, sum_error};
use super::reduction::{Reduced, TRIG_BRANCH_FREE_MAX, reduce_huge, reduce_moderate};

/// `(sin(x) / x - 1) / z` with `z = x^2`, for |x| <= pi/4; times z it is off by 2^-55.6.
const SIN: [f64; 6] = [
    -0.16666666666666666,
    0.008333333333330936,
    -0.00019841269836740527,
    2.7557316093196066e-06,
    -2.5051129895962807e-08,
    1.5917988944318716e-10,
];
/// `(cos(x) - 1 + z/2) / z^2` with `z = x^2`, for |x| <= pi/4; times z^2 it is off by 2^-60.
const COS: [f64; 6] = [
    0.041666666666666664,
    -0.0013888888888887389,
    2.48015872987544e-05,
    -2.7557317265876615e-07,
    2.087614504910828e-09,
    -1.1382544623404291e-11,
];

/// `(a, b)` with `sin(r.head + r.tail) = a + b`.
#[inline(always)]
fn sin_terms(r: Reduced) -> (f64, f64) {
    let z = r.head * r.head;
    let lack = r.tail * (0.5 * z - 1.0) - r.head * z * poly(z, SIN);
    (r.head, -lack)
}

/// `(a, b)` with `cos(r.head + r.tail) = a + b`; a is exact.
#[inline(always)]
fn cos_terms(r: Reduced) -> (f64, f64) {
    let z = r.head * r.head;
    let half = 0.5 * z;
    let half_head = short(half);
    let lack = (half - half_head) - (z * z * poly(z, COS) - r.head * r.tail);
    (1.0 - half_head, -lack)
}

#[inline(always)]
fn sin_reduced(r: Reduced) -> f64 {
    let (s, s_tail) = sin_terms(r);
    let (c, c_tail) = cos_terms(r);
    let value = if r.quadrant & 1 == 0 { s + s_tail } else { c + c_tail };
    if r.quadrant & 2 == 0 { value } else { -value }
}

#[inline(always)]
fn cos_reduced(r: Reduced) -> f64 {
    sin_reduced(Reduced { quadrant: r.quadrant + 1, ..r })
}

#[inline(always)]
fn tan_reduced(r: Reduced) -> f64 {
    let (s, s_tail) = sin_terms(r);
    let (c, c_tail) = cos_terms(r);
    let (sin, cos) = (s + s_tail, c + c_tail);
    let (sin_error, cos_error) = (sum_error(s, s_tail, sin), sum_error(c, c_tail, cos));
    let even = r.quadrant & 1 == 0;
    let (n, n_error) = if even { (sin, sin_error) } else { (-cos, -cos_error) };
    let (d, d_error) = if even { (cos, cos_error) } else { (sin, sin_error) };
    let quotient = n / d;
    quotient + (n_error - quotient * d_error) / d
}

#[inline(always)]
fn reduce(x: f64) -> Reduced {
    if x.abs() <= TRIG_BRANCH_FREE_MAX || !x.is_finite() {
        reduce_moderate(x)
    } else {
        reduce_huge(x)
    }
}

/// `sin(x)` for `|x| <= TRIG_BRANCH_FREE_MAX`, without a branch. Within 1 ulp.
#[inline(always)]
pub fn sin_moderate(x: f64) -> f64 {
    let value = sin_reduced(reduce_moderate(x));
    if x == 0.0 { x } else { value }
}

/// `cos(x)` for `|x| <= TRIG_BRANCH_FREE_MAX`, without a branch. Within 1 ulp.
#[inline(always)]
pub fn cos_moderate(x: f64) -> f64 {
    cos_reduced(reduce_moderate(x))
}

/// `tan(x)` for `|x| <= TRIG_BRANCH_FREE_MAX`, without a branch. Within 2 ulp.
#[inline(always)]
pub fn tan_moderate(x: f64) -> f64 {
    let value = tan_reduced(reduce_moderate(x));
    if x == 0.0 { x } else { value }
}

/// The sine of any x. Within 1 ulp. Branches if x is huge: in a loop over lanes rather test them
/// together and call [`sin_moderate`].
#[inline(always)]
pub fn sin(x: f64) -> f64 {
    let value = sin_reduced(reduce(x));
    if x == 0.0 { x } else { value }
}

/// The cosine of any x. Within 1 ulp. Branches if x is huge, see [`sin`].
#[inline(always)]
pub fn cos(x: f64) -> f64 {
    cos_reduced(reduce(x))
}

/// The tangent of any x. Within 2 ulp. Branches if x is huge, see [`sin`].
#[inline(always)]
pub fn tan(x: f64) -> f64 {
    let value = tan_reduced(reduce(x));
    if x == 0.0 { x } else { value }
}
