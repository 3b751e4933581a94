//! pow.

use super::exp::exp_tail;
use super::parts::{decompose, nearest, poly, scale, short};

/// `(3/2 log((1 + s) / (1 - s)) / s - 3 - z) / z^2` with `z = s^2`, |s| <= 0.1716; off by 2^-67.
const LOG: [f64; 8] = [
    0.6,
    0.42857142857144054,
    0.333333333324821,
    0.27272727503481237,
    0.23076892401896876,
    0.20002209318150904,
    0.17559293534822049,
    0.17585405434358117,
];
/// 2 / (3 ln 2), and it in a short head and the rest.
const SCALE: f64 = 0.9617966939259756;
const SCALE_HIGH: f64 = 0.9617966413497925;
const SCALE_LOW: f64 = 5.2576183124437864e-08;
const LN2: f64 = 0.6931471805599453;

/// `log2(x)` to about 68 bits, a short head and the rest, for finite x > 0.
#[inline(always)]
fn log2_pair(x: f64) -> (f64, f64) {
    let (m, k) = decompose(x);
    // s = f / (m + 1) in two parts: the second is what the first leaves of f.
    let f = m - 1.0;
    let sum = m + 1.0;
    let sum_head = short(sum);
    let sum_tail = m - (sum_head - 1.0);
    let inverse = 1.0 / sum;
    let s = f * inverse;
    let s_head = short(s);
    let s_tail = inverse * ((f - s_head * sum_head) - s_head * sum_tail);
    // 3 + s^2 + z^2 LOG(z), in two parts.
    let z = s * s;
    let rest = (z * z) * poly(z, LOG) + s_tail * (s_head + s);
    let square = s_head * s_head;
    let series = short((3.0 + square) + rest);
    let series_tail = rest - ((series - 3.0) - square);
    // Their product, times 2 / (3 ln 2), plus k.
    let u = s_head * series;
    let v = s_tail * series + series_tail * s;
    let p = short(u + v);
    let p_tail = v - (p - u);
    let log_high = SCALE_HIGH * p;
    let log_low = SCALE_LOW * p + p_tail * SCALE;
    let head = short((log_high + log_low) + k);
    (head, log_low - ((head - k) - log_high))
}

/// `x^y` with C99's special values: `pow(x, 0)` and `pow(1, y)` are 1 even for a NaN, a negative x
/// takes integer y only, `pow(±0, -n)` is infinite. Within 1 ulp.
///
/// fdlibm's method: log2(x) in two parts of 68 bits together, times y in exact short products,
/// then 2 to that power.
#[inline(always)]
pub fn pow(x: f64, y: f64) -> f64 {
    let base = x.abs();
    let (log_head, log_tail) = log2_pair(base);
    // Any y beyond 2^70 does the same as 2^70: the nearest base to 1 is 1 - 2^-53.
    let t = y.clamp(-1180591620717411303424.0, 1180591620717411303424.0);
    let y_head = short(t);
    let low = (t - y_head) * log_head + t * log_tail;
    let high = y_head * log_head;
    let z = (high + low).clamp(-1090.0, 1090.0);
    let n = nearest(z);
    let fraction = if z.abs() < 1090.0 { (high - n) + low } else { 0.0 };
    let r = fraction * LN2;
    let power = scale(1.0 + (r + exp_tail(r)), n);

    let falling = if y < 0.0 { f64::INFINITY } else { 0.0 };
    let rising = if y < 0.0 { 0.0 } else { f64::INFINITY };
    let power = if base == 0.0 { falling } else { power };
    let power = if base > f64::MAX { rising } else { power };
    let half = y * 0.5;
    let odd = y.floor() == y && half.floor() != half;
    let magnitude = if odd { power.copysign(x) } else { power };
    let real = if x < 0.0 && base <= f64::MAX && y.floor() != y { f64::NAN } else { magnitude };
    let value = if x.is_nan() || y.is_nan() { f64::NAN } else { real };
    if x == 1.0 || y == 0.0 { 1.0 } else { value }
}
