//! Taking doubles apart and putting them together: what every function here is built of.

/// `a * b + c`, rounded twice. A shader's compiler may round once instead: nothing may depend on
/// which.
#[inline(always)]
pub(super) fn madd(a: f64, b: f64, c: f64) -> f64 {
    a * b + c
}

/// The polynomial `c[0] + c[1] x + ...`, as two interleaved Horner schemes in `x^2`: half as long a
/// chain of dependent operations as one.
#[inline(always)]
pub(super) fn poly<const N: usize>(x: f64, c: [f64; N]) -> f64 {
    let square = x * x;
    let (mut a, mut b) = (c[N - 1], c[N - 2]);
    let mut i = N - 2;
    while i > 0 {
        i -= 1;
        (a, b) = (b, madd(a, square, c[i]));
    }
    madd(a, x, b)
}

/// `x` rounded to 24 bits: the product of two such numbers is exact. The remainder `x - short(x)`
/// is exact too, whatever the conversion does with numbers below f32's range.
#[inline(always)]
pub(super) fn short(x: f64) -> f64 {
    f64::from(x as f32)
}

/// What `sum = a + b` lost to rounding, for `|a| >= |b|` within f32's range (T. Dekker's fast
/// two-sum, by way of a short part so that no driver cancels it algebraically).
#[inline(always)]
pub(super) fn sum_error(a: f64, b: f64, sum: f64) -> f64 {
    let head = short(sum);
    ((a - head) + b) - (sum - head)
}

/// `floor(x + 1/2)`.
#[inline(always)]
pub(super) fn nearest(x: f64) -> f64 {
    (x + 0.5).floor()
}

/// Adding 1.5 * 2^52 leaves a small integer in a double's low bits, in two's complement.
const INTEGER_BITS: f64 = 6755399441055744.0;

/// The low bits of the integer `n`, `|n| < 2^51`.
#[inline(always)]
pub(super) fn integer_bits(n: f64) -> i64 {
    (n + INTEGER_BITS).to_bits() as i64
}

/// `2^n` for an integer n, `-1022 <= n <= 1023`.
#[inline(always)]
pub(super) fn power_of_two(n: f64) -> f64 {
    f64::from_bits((n + (INTEGER_BITS + 1023.0)).to_bits() << 52)
}

/// `x * 2^n`, rounded once, for `x` of about 1 and an integer n, `|n| <= 1100`.
#[inline(always)]
pub(super) fn scale(x: f64, n: f64) -> f64 {
    let half = (n * 0.5).floor();
    (x * power_of_two(half)) * power_of_two(n - half)
}

/// `(m, k)` with `x = m 2^k` and m in about `[sqrt(1/2), sqrt(2)]`, for finite `x > 0`.
#[inline(always)]
pub(super) fn decompose(x: f64) -> (f64, f64) {
    // The shader decides by the number rounded to f32: m is halved if that is 0x3fb504f3 or more.
    const HALVED_ABOVE: f64 = 1.4142135381698608 - 5.960464477539063e-8;
    const TWO_54: f64 = 18014398509481984.0;
    let subnormal = x < f64::MIN_POSITIVE;
    let bits = (if subnormal { x * TWO_54 } else { x }).to_bits();
    let m = f64::from_bits((bits & 0x000f_ffff_ffff_ffff) | 0x3ff0_0000_0000_0000);
    // 2^52 + e, less 2^52: there is no vector instruction from 64-bit integers in AVX2.
    let e = f64::from_bits((bits >> 52) | 0x4330_0000_0000_0000) - 4503599627370496.0;
    let e = e - if subnormal { 1077.0 } else { 1023.0 };
    let halved = m > HALVED_ABOVE;
    (if halved { m * 0.5 } else { m }, if halved { e + 1.0 } else { e })
}
