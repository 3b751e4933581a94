//! asin, acos and atan.

use super::parts::{poly, short};

/// `(asin(x) / x - 1) / z` with `z = x^2`, for |x| <= 1/2; times z it is off by 2^-57.
const ASIN: [f64; 13] = [
    0.16666666666666669,
    0.07499999999998419,
    0.04464285714638492,
    0.030381944136125105,
    0.022372173042417537,
    0.01735239028155752,
    0.013971250242465837,
    0.0114788055431574,
    0.010325273770049203,
    0.005446817535396503,
    0.017430225337757958,
    -0.01489802852677114,
    0.02878951760523137,
];
/// `(atan(x) / x - 1) / z` with `z = x^2`, for |x| <= 7/16; times z it is off by 2^-55.5.
const ATAN: [f64; 11] = [
    -0.33333333333333326,
    0.1999999999998768,
    -0.14285714283131665,
    0.11111110899315962,
    -0.09090900149894032,
    0.07692086398987827,
    -0.06663227406149912,
    0.05847633335579025,
    -0.05033521094282974,
    0.03781449489341051,
    -0.01753568258297741,
];
const PIO2: f64 = 1.5707963267948966;
const PIO2_LOW: f64 = 6.123233995736766e-17;
const PIO4: f64 = 0.7853981633974483;
const PI: f64 = 3.141592653589793;

/// What asin and acos share. With `a = |x|`, beyond 1/2 both go by `asin(sqrt((1 - a) / 2))`.
struct Arc {
    far: bool,
    /// `asin(s) - s` with s being x, or that square root.
    excess: f64,
    /// The root again: its head, and what the head lacks.
    head: f64,
    tail: f64,
}

#[inline(always)]
fn arc(x: f64) -> Arc {
    let far = x.abs() > 0.5;
    let z = if far { (1.0 - x.abs()) * 0.5 } else { x * x };
    let root = z.sqrt();
    let s = if far { root } else { x };
    let head = short(root);
    let tail = if z == 0.0 { 0.0 } else { (z - head * head) / (root + head) };
    Arc { far, excess: s * (z * poly(z, ASIN)), head, tail }
}

/// The arc sine, in `[-pi/2, pi/2]`; NaN beyond [-1, 1]. Within 1 ulp.
#[inline(always)]
pub fn asin(x: f64) -> f64 {
    let a = arc(x);
    let near = x + a.excess;
    let rest = 2.0 * a.excess - (PIO2_LOW - 2.0 * a.tail);
    let far = PIO4 - (rest - (PIO4 - 2.0 * a.head));
    let value = if a.far { far.copysign(x) } else { near };
    if x == 0.0 { x } else { value }
}

/// The arc cosine, in `[0, pi]`; NaN beyond [-1, 1]. Within 1 ulp.
#[inline(always)]
pub fn acos(x: f64) -> f64 {
    let a = arc(x);
    let near = PIO2 - (x - (PIO2_LOW - a.excess));
    let right = 2.0 * (a.head + (a.excess + a.tail));
    let left = PI - 2.0 * (a.head + (a.excess + (a.tail - PIO2_LOW)));
    let far = if x < 0.0 { left } else { right };
    if a.far { far } else { near }
}

/// The arc tangent, in `[-pi/2, pi/2]`. Within 1 ulp.
///
/// `atan(a) = atan(c) + atan((a - c) / (1 + c a))` with c one of 0, 1/2, 1, 3/2 and infinity.
#[inline(always)]
pub fn atan(x: f64) -> f64 {
    let a = x.abs();
    // Each later select overrides the ones before.
    let (mut n, mut d, mut high, mut low) = (a, 1.0, 0.0, 0.0);
    if a > 0.4375 {
        (n, d) = (2.0 * a - 1.0, 2.0 + a);
        (high, low) = (0.4636476090008061, 2.2698777452961687e-17);
    }
    if a > 0.6875 {
        (n, d) = (a - 1.0, a + 1.0);
        (high, low) = (PIO4, 3.061616997868383e-17);
    }
    if a > 1.1875 {
        (n, d) = (a - 1.5, 1.0 + 1.5 * a);
        (high, low) = (0.982793723247329, 1.3903311031230998e-17);
    }
    if a > 2.4375 {
        (n, d) = (-1.0, a);
        (high, low) = (PIO2, PIO2_LOW);
    }
    let t = n / d;
    let z = t * t;
    let value = high - ((t * (-z * poly(z, ATAN)) - low) - t);
    if x == 0.0 { x } else { value.copysign(x) }
}
