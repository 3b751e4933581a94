//! What a rounded logarithm lacks.

use super::parts::decompose;

/// ln 2 in two parts, to 107 bits.
const LN_2: f64 = std::f64::consts::LN_2;
const LN_2_LOW: f64 = 2.3190468138462996e-17;
/// Terms of the series: the next is 2^-98 of the sum.
const TERMS: usize = 20;
/// Those that need two parts: from the next on they are below 2^-52 of the sum.
const LONG_TERMS: usize = 11;

/// `log(x) - y` for a `y` close to `log(x)`, with an error of about 2^-96 of the logarithm and of its
/// parts `k log(2)` and `log(m)`, where `x = 2^k m`. NaN where x is not positive and finite.
///
/// `log(m) = 2 s (1 + s^2/3 + s^4/5 + ...)` with `s = (m - 1)/(m + 1)`, in pairs of doubles. For the CPU
/// only: products are taken apart by fused multiply-adds.
#[inline(always)]
pub fn log_lacks(x: f64, y: f64) -> f64 {
    let (m, k) = decompose(x);
    let f = m - 1.0;
    let (sum, sum_low) = two_sum(m, 1.0);
    let s = f / sum;
    let s_low = ((-s).mul_add(sum, f) - s * sum_low) / sum;
    let z = s * s;
    let z_low = s.mul_add(s, -z) + 2.0 * s * s_low;

    let mut short = 0.0;
    for n in (LONG_TERMS..TERMS).rev() {
        short = z * short + 1.0 / (2 * n + 1) as f64;
    }
    let (mut series, mut series_low) = (short, 0.0);
    for n in (0..LONG_TERMS).rev() {
        let odd = (2 * n + 1) as f64;
        let c = 1.0 / odd;
        let c_low = (-c).mul_add(odd, 1.0) / odd;
        let product = series * z;
        let product_low = series.mul_add(z, -product) + (series * z_low + series_low * z);
        let (total, error) = two_sum(c, product);
        (series, series_low) = (total, error + (c_low + product_low));
    }
    let log = 2.0 * s * series;
    let log_low = (2.0 * s).mul_add(series, -log) + 2.0 * (s * series_low + s_low * series);

    let multiple = k * LN_2;
    let multiple_low = k.mul_add(LN_2, -multiple) + k * LN_2_LOW;
    let (rest, rest_low) = two_sum(multiple, -y);
    let (total, total_low) = two_sum(rest, log);
    let lacks = total + (total_low + rest_low + (multiple_low + log_low));
    if x > 0.0 && x <= f64::MAX { lacks } else { f64::NAN }
}

/// `a + b` rounded, and what that lost (Knuth).
#[inline(always)]
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let b_part = sum - a;
    (sum, (a - (sum - b_part)) + (b - b_part))
}
