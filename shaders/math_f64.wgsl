// Elementary functions in f64.
//
// WGSL defines exp, log, sin and their kin for f32 only; given f64 they compile to invalid SPIR-V,
// with which drivers do as they please. These take the same steps with the same constants as
// `src/elementary/`, which says more about the methods, and agree with it to the bit where the
// driver neither fuses nor rearranges. `tests/gpu_math_f64.rs` holds them to 2 ulp.
//
// What a driver may do, and what is done about it:
// - fuse `a * b + c` or not: products that must be exact are those of short factors (f64_short);
// - simplify algebra (Mesa makes `(a + b) - a` b, `(x + M) - M` x, and `x != x` false):
//   errors of sums go by way of f64_short, which is not looked through; integers are rounded by
//   floor; NaNs are told by their bits; where `a + (b + c)` must not become `(a + b) + c`, it says
//   `a - (-b - c)`, which stays;
// - merge `fma(k, a, fma(k, b, x))`: no fma is written. A driver fuses by itself;
// - flush f32's subnormal numbers: none is needed.
// And naga evaluates no constant f64 expressions: constants are written out.
//
// Sources: W. Cody, W. Waite, Software Manual for the Elementary Functions (1980); K. C. Ng,
// fdlibm (1993); M. Payne, R. Hanek, SIGNUM Newsletter 18 (1983) 19; J.-M. Muller, Elementary
// Functions (3rd ed., 2016). The polynomials are interpolations at Chebyshev nodes made for this
// project, evaluated as two interleaved Horner schemes in x^2.

const F64_MAX: f64 = 1.7976931348623157e308lf;

// WGSL has no literals for these, and refuses constant expressions that make them.
var<private> f64_inf_bits: u32 = 0x7f800000u;
var<private> f64_nan_bits: u32 = 0x7fc00000u;

fn f64_inf() -> f64 {
    return f64(bitcast<f32>(f64_inf_bits));
}

fn f64_nan() -> f64 {
    return f64(bitcast<f32>(f64_nan_bits));
}

// -1, 0 or 1.
fn f64_sign(x: f64) -> f64 {
    return select(select(0.0lf, -1.0lf, x < 0.0lf), 1.0lf, x > 0.0lf);
}

fn f64_is_nan(x: f64) -> bool {
    return (bitcast<u32>(f32(x)) & 0x7fffffffu) > 0x7f800000u;
}

// The sign bit, that of a zero included.
fn f64_is_negative(x: f64) -> bool {
    return (bitcast<u32>(f32(x)) & 0x80000000u) != 0u;
}

fn f64_copysign(magnitude: f64, sign: f64) -> f64 {
    return select(magnitude, -magnitude, f64_is_negative(sign) != f64_is_negative(magnitude));
}

// x rounded to 24 bits: the product of two such numbers is exact, and so is x - f64_short(x).
fn f64_short(x: f64) -> f64 {
    return f64(f32(x));
}

// What sum = a + b lost to rounding, for |a| >= |b| within f32's range (Dekker's fast two-sum).
fn f64_sum_error(a: f64, b: f64, sum: f64) -> f64 {
    let head = f64_short(sum);
    return ((a - head) + b) - (sum - head);
}

fn f64_nearest(x: f64) -> f64 {
    return floor(x + 0.5lf);
}

// An integer n, |n| < 2^22. Adding 1.5 * 2^23 leaves it in the low bits of an f32.
fn f64_integer(n: f64) -> i32 {
    return bitcast<i32>(f32(n) + 12582912.0f) - 0x4b400000i;
}

// 2^n, -126 <= n <= 127.
fn f64_power_of_two(n: i32) -> f64 {
    return f64(bitcast<f32>((n + 127i) << 23u));
}

// 2^n = a b b for an integer n, |n| <= 1100. Drivers may form b b first (NVIDIA's does): where 2^n times
// a number near 1 is neither infinite nor 0, b b is neither. 2^16 <= a < 2^32 for n >= 0, else
// 2^-16 < a <= 1.
struct F64Factors {
    a: f64,
    b: f64,
}

fn f64_factors(n: f64) -> F64Factors {
    let k = f64_integer(n);
    let up = k >= 0i;
    // |n| = 16 (|n| / 16) + (|n| % 16)
    let sixteens = abs(k) >> 4u;
    let rest = abs(k) & 15i;
    let s = f64_power_of_two(select(-sixteens, sixteens - 1i, up));
    let s2 = s * s;
    let s4 = s2 * s2;
    return F64Factors(f64_power_of_two(select(-rest, rest + 16i, up)), s4 * s4);
}

// (1 + t) 2^n, rounded once, for |t| < 1 and an integer n, |n| <= 1100. The sum is formed times a
// power of two: drivers move a constant such as 1 to elsewhere in the sum.
fn f64_one_plus_scaled(t: f64, n: f64) -> f64 {
    let f = f64_factors(n);
    return ((f.a + f.a * t) * f.b) * f.b;
}

struct F64Parts {
    m: f64,
    k: f64,
}

// x = m 2^k with m in about [sqrt(1/2), sqrt(2)], for finite x > 0. In two steps x is brought
// within f32's range, where the exponent is in the bits.
fn f64_decompose(x: f64) -> F64Parts {
    const TWO_700: f64 = 5.260135901548374e210lf;
    const TWO_MINUS_700: f64 = 1.90109156629516e-211lf;
    const TWO_375: f64 = 7.695704335233297e112lf;
    const TWO_MINUS_375: f64 = 1.2994262207056124e-113lf;
    const TWO_250: f64 = 1.8092513943330656e75lf;
    const TWO_MINUS_250: f64 = 5.527147875260445e-76lf;
    const TWO_125: f64 = 4.253529586511731e37lf;
    const TWO_MINUS_125: f64 = 2.350988701644575e-38lf;
    let up_1 = x < TWO_MINUS_375;
    let down_1 = x >= TWO_375;
    let y = x * select(select(1.0lf, TWO_MINUS_700, down_1), TWO_700, up_1);
    let up_2 = y < TWO_MINUS_125;
    let down_2 = y >= TWO_125;
    let z = y * select(select(1.0lf, TWO_MINUS_250, down_2), TWO_250, up_2);
    let e_1 = select(select(0i, 700i, down_1), -700i, up_1);
    let e_2 = select(select(0i, 250i, down_2), -250i, up_2);
    // The exponent is one more for mantissas from sqrt(2) on (0x3f3504f3 is half of it).
    let e = (bitcast<i32>(f32(z)) + (0x3f800000i - 0x3f3504f3i)) >> 23u;
    let exponent = e - 127i;
    return F64Parts(z * f64_power_of_two(-exponent), f64(e_1 + e_2 + exponent));
}

// ---- exp ---------------------------------------------------------------------------------------

const F64_LN2_HIGH: f64 = 0.6931471803691238lf; // 32 bits
const F64_LN2_LOW: f64 = 1.9082149292705877e-10lf;

// (e^x - 1 - x - x^2/2) / x^3 for |x| <= 0.3467; times x^3 it is off by 2^-60.
fn f64_exp_series(x: f64) -> f64 {
    let square = x * x;
    var even = 2.5100399926586822e-08lf * square + 2.7557268429653227e-06lf;
    even = even * square + 0.0001984126986307315lf;
    even = even * square + 0.008333333333330058lf;
    even = even * square + 0.16666666666666669lf;
    var odd = 2.0911246935777986e-09lf * square + 2.755728294788076e-07lf;
    odd = odd * square + 2.4801587317158447e-05lf;
    odd = odd * square + 0.001388888888888655lf;
    odd = odd * square + 0.041666666666666664lf;
    return odd * x + even;
}

// e^r - 1 - r, for |r| <= 0.3467.
fn f64_exp_tail(r: f64) -> f64 {
    return (r * r) * (r * f64_exp_series(r) + 0.5lf);
}

// x = n ln 2 + high - low; high is exact.
struct F64ExpReduced {
    n: f64,
    high: f64,
    low: f64,
}

fn f64_exp_reduce(x: f64) -> F64ExpReduced {
    let n = f64_nearest(x * 1.4426950408889634lf);
    // n by way of an integer, so that the two products are not merged.
    let n_again = f64(f64_integer(n));
    return F64ExpReduced(n, x - n * F64_LN2_HIGH, n_again * F64_LN2_LOW);
}

// e^(x + shift ln 2), for |x| <= 760.
fn f64_exp_shifted(x: f64, shift: f64) -> f64 {
    let r = f64_exp_reduce(x);
    return f64_one_plus_scaled(r.high - (r.low - f64_exp_tail(r.high - r.low)), r.n + shift);
}

// e^x (Cody and Waite).
fn f64_exp(x: f64) -> f64 {
    // Beyond these the result is 0 or infinite, and stays so.
    let value = f64_exp_shifted(clamp(x, -746.0lf, 710.0lf), 0.0lf);
    return select(value, x, f64_is_nan(x));
}

// e^x - 1 = 2^n ((1 - 2^-n) + (e^r - 1)).
fn f64_expm1(x: f64) -> f64 {
    let r = f64_exp_reduce(clamp(x, -40.0lf, 710.0lf));
    let inverse = f64_power_of_two(max(-f64_integer(r.n), -100i));
    // The select keeps drivers from taking the sum's constant elsewhere.
    let sum = select(1.0lf - inverse, 0.0lf, inverse == 1.0lf) + r.high;
    let f = f64_factors(r.n);
    let value = ((sum - (r.low - f64_exp_tail(r.high - r.low))) * f.a) * f.b * f.b;
    return select(value, x, abs(x) < 1e-17lf || f64_is_nan(x));
}

// ---- log ---------------------------------------------------------------------------------------

// (log((1 + s) / (1 - s)) / s - 2) / x with x = s^2, for |s| <= 0.1716; off by 2^-59 of a log.
fn f64_log_series(x: f64) -> f64 {
    let square = x * x;
    var even = 0.14617615674513557lf * square + 0.18182892217615845lf;
    even = even * square + 0.28571428626241985lf;
    even = even * square + 0.666666666666667lf;
    var odd = 0.15331622952760332lf * square + 0.22222211091148564lf;
    odd = odd * square + 0.3999999999989894lf;
    return odd * x + even;
}

// log(m) = f - (h - t), of falling size (fdlibm): s = f / (2 + f), f = m - 1, h = f^2 / 2.
struct F64LogTerms {
    f: f64,
    h: f64,
    t: f64,
}

fn f64_log_terms(m: f64) -> F64LogTerms {
    let f = m - 1.0lf;
    let s = f / (2.0lf + f);
    let z = s * s;
    let h = 0.5lf * f * f;
    return F64LogTerms(f, h, s * (h + z * f64_log_series(z)));
}

// log(x + c) + extra ln 2 for finite x > 0 and a c beneath x's last bit.
fn f64_log_of_sum(x: f64, c: f64, extra: f64) -> f64 {
    let d = f64_decompose(x);
    let k = d.k + extra;
    let l = f64_log_terms(d.m);
    return k * F64_LN2_HIGH - ((l.h - (l.t + (k * F64_LN2_LOW + c / x))) - l.f);
}

// value where x is positive and finite; the logarithm's limit elsewhere.
fn f64_log_limits(x: f64, value: f64) -> f64 {
    let beyond = select(f64_nan(), f64_inf(), x > 0.0lf);
    let limit = select(beyond, -f64_inf(), x == 0.0lf);
    return select(limit, value, x > 0.0lf && x <= F64_MAX);
}

fn f64_log(x: f64) -> f64 {
    let d = f64_decompose(x);
    let l = f64_log_terms(d.m);
    return f64_log_limits(x, d.k * F64_LN2_HIGH - ((l.h - (l.t + d.k * F64_LN2_LOW)) - l.f));
}

// log(1 + x): the logarithm of 1 + x rounded, plus what the rounding lost, divided by it.
fn f64_log1p(x: f64) -> f64 {
    let u = 1.0lf + x;
    let small = abs(x) < 1.0lf;
    let error = f64_sum_error(select(x, 1.0lf, small), select(1.0lf, x, small), u);
    let c = select(0.0lf, error, abs(x) < 1e16lf);
    return select(f64_log_limits(u, f64_log_of_sum(u, c, 0.0lf)), x, x == 0.0lf);
}

// log(m) to about 75 bits.
struct F64Pair {
    head: f64,
    tail: f64,
}

fn f64_log_pair(m: f64) -> F64Pair {
    let l = f64_log_terms(m);
    let head = f64_short(l.f - l.h);
    return F64Pair(head, ((l.f - head) - l.h) + l.t);
}

fn f64_log2(x: f64) -> f64 {
    const INV_LN2_HIGH: f64 = 1.4426950216293335lf;
    const INV_LN2_LOW: f64 = 1.9259629911266175e-08lf;
    let d = f64_decompose(x);
    let l = f64_log_pair(d.m);
    let low = (l.head + l.tail) * INV_LN2_LOW + l.tail * INV_LN2_HIGH;
    return f64_log_limits(x, d.k + (l.head * INV_LN2_HIGH + low));
}

fn f64_log10(x: f64) -> f64 {
    const INV_LN10_HIGH: f64 = 0.4342944622039795lf;
    const INV_LN10_LOW: f64 = 1.9699272335463627e-08lf;
    const LOG10_2_HIGH: f64 = 0.30102999566361177lf;
    const LOG10_2_LOW: f64 = 3.694239077158931e-13lf;
    let d = f64_decompose(x);
    let l = f64_log_pair(d.m);
    let low = d.k * LOG10_2_LOW + ((l.head + l.tail) * INV_LN10_LOW + l.tail * INV_LN10_HIGH);
    return f64_log_limits(x, d.k * LOG10_2_HIGH + (l.head * INV_LN10_HIGH + low));
}

// ---- pow ---------------------------------------------------------------------------------------

// (3/2 log((1 + s) / (1 - s)) / s - 3 - x) / x^2 with x = s^2, for |s| <= 0.1716; off by 2^-67.
fn f64_pow_series(x: f64) -> f64 {
    let square = x * x;
    var even = 0.17559293534822049lf * square + 0.23076892401896876lf;
    even = even * square + 0.333333333324821lf;
    even = even * square + 0.6lf;
    var odd = 0.17585405434358117lf * square + 0.20002209318150904lf;
    odd = odd * square + 0.27272727503481237lf;
    odd = odd * square + 0.42857142857144054lf;
    return odd * x + even;
}

// log2(x) to about 68 bits, for finite x > 0 (after fdlibm).
fn f64_log2_pair(x: f64) -> F64Pair {
    const SCALE: f64 = 0.9617966939259756lf; // 2 / (3 ln 2)
    const SCALE_HIGH: f64 = 0.9617966413497925lf;
    const SCALE_LOW: f64 = 5.2576183124437864e-08lf;
    let d = f64_decompose(x);
    // s = f / (m + 1) in two parts: the second is what the first leaves of f.
    let f = d.m - 1.0lf;
    let sum = d.m + 1.0lf;
    let sum_head = f64_short(sum);
    let sum_tail = d.m - (sum_head - 1.0lf);
    let inverse = 1.0lf / sum;
    let s = f * inverse;
    let s_head = f64_short(s);
    let s_tail = inverse * ((f - s_head * sum_head) - s_head * sum_tail);
    // 3 + s^2 + z^2 series(z), in two parts.
    let z = s * s;
    let rest = (z * z) * f64_pow_series(z) + s_tail * (s_head + s);
    let square = s_head * s_head;
    let series = f64_short((3.0lf + square) + rest);
    let series_tail = rest - ((series - 3.0lf) - square);
    // Their product, times 2 / (3 ln 2), plus k.
    let u = s_head * series;
    let v = s_tail * series + series_tail * s;
    let p = f64_short(u + v);
    let p_tail = v - (p - u);
    let log_high = SCALE_HIGH * p;
    let log_low = SCALE_LOW * p + p_tail * SCALE;
    let head = f64_short((log_high + log_low) + d.k);
    return F64Pair(head, log_low - ((head - d.k) - log_high));
}

// x^y with C99's special values (after fdlibm).
fn f64_pow(x: f64, y: f64) -> f64 {
    const LARGE: f64 = 1180591620717411303424.0lf;
    let base = abs(x);
    let log = f64_log2_pair(base);
    // Any y beyond 2^70 does the same as 2^70: the nearest base to 1 is 1 - 2^-53.
    let t = clamp(y, -LARGE, LARGE);
    let y_head = f64_short(t);
    let low = (t - y_head) * log.head + t * log.tail;
    let high = y_head * log.head;
    let z = clamp(high + low, -1090.0lf, 1090.0lf);
    let n = f64_nearest(z);
    let fraction = select(0.0lf, (high - n) + low, abs(z) < 1090.0lf);
    let r = fraction * 0.6931471805599453lf;
    var power = f64_one_plus_scaled(r + f64_exp_tail(r), n);

    power = select(power, select(0.0lf, f64_inf(), y < 0.0lf), base == 0.0lf);
    power = select(power, select(f64_inf(), 0.0lf, y < 0.0lf), base > F64_MAX);
    let half = y * 0.5lf;
    let whole = floor(y) == y;
    let odd = whole && floor(half) < half;
    power = select(power, -power, odd && f64_is_negative(x));
    let unreal = x < 0.0lf && base <= F64_MAX && !whole;
    power = select(power, f64_nan(), unreal || f64_is_nan(x) || f64_is_nan(y));
    return select(power, 1.0lf, x == 1.0lf || y == 0.0lf);
}

// ---- sin, cos, tan -----------------------------------------------------------------------------

// x = quadrant pi/2 + head + tail modulo 2 pi, |head| at most about pi/4.
struct F64Reduced {
    quadrant: i32,
    head: f64,
    tail: f64,
}

// a - b, and what the rounding lost: 0 if the two are close, and only then could the formula for
// it be wrong.
fn f64_subtract(a: f64, b: f64) -> F64Pair {
    let d = a - b;
    return F64Pair(d, select(f64_sum_error(a, -b, d), 0.0lf, abs(d) < 0.5lf * abs(b)));
}

// For |x| <= 2^20: Cody and Waite's reduction, pi/2 in four parts, the first three of 33 bits.
fn f64_reduce_moderate(x: f64) -> F64Reduced {
    let n = f64_nearest(x * 0.6366197723675814lf);
    let a = f64_subtract(x - n * 1.5707963267341256lf, n * 6.077100506303966e-11lf);
    let b = f64_subtract(a.head, n * 2.0222662487111665e-21lf);
    let tail = (a.tail + b.tail) - n * 8.4784276603689e-32lf;
    return F64Reduced(f64_integer(n), b.head, tail);
}

fn f64_carry(g: f64) -> f64 {
    return floor(g * 5.960464477539063e-8lf);
}

// 32 bits of a and b, from bit `shift` on, 0 <= shift < 32.
fn f64_aligned(a: u32, b: u32, shift: u32) -> u32 {
    return (a << shift) | ((b >> 1u) >> (31u - shift));
}

// For finite |x| >= 2^20, by Payne and Hanek's method: of the product of x with 2/pi only the bits
// that matter modulo 4 are formed, 168 of them, in chunks of 24.
fn f64_reduce_huge(x: f64) -> F64Reduced {
    const CHUNK: f64 = 16777216.0lf;
    let parts = f64_decompose(abs(x));
    // x = M 2^(k - 53), M = m0 2^48 + m1 2^24 + m2. Bits of 2/pi that M 2^(k - 53) makes a multiple
    // of 4 are skipped; the rest is F 2^(55 - k) with 0 <= F < 1, and x 2/pi = 4 M F modulo 4.
    let skipped = u32(f64_integer(parts.k) - 20i);
    let word = skipped >> 5u;
    let shift = skipped & 31u;
    // Seven words of 2/pi, which here begins behind 35 zeros: from word `word` on, by halving.
    let skip_16 = (word & 16u) != 0u;
    let t16_0 = select(0x00000000u, 0xa5d76890u, skip_16);
    let t16_1 = select(0x145f306du, 0x9d338e04u, skip_16);
    let t16_2 = select(0xc9c882a5u, 0xd68befc8u, skip_16);
    let t16_3 = select(0x3f84eafau, 0x27323ac7u, skip_16);
    let t16_4 = select(0x3ea69bb8u, 0x306a673eu, skip_16);
    let t16_5 = select(0x1b6c52b3u, 0x93908bf1u, skip_16);
    let t16_6 = select(0x27887208u, 0x77bf2507u, skip_16);
    let t16_7 = select(0x3fca2c75u, 0x63ff12ffu, skip_16);
    let t16_8 = select(0x7bd778acu, 0xfbc0b301u, skip_16);
    let t16_9 = select(0x36e48dc7u, 0xfde5e231u, skip_16);
    let t16_10 = select(0x4849ba5cu, 0x6b414da3u, skip_16);
    let t16_11 = select(0x00c925ddu, 0xeda6cfd9u, skip_16);
    let t16_12 = select(0x413a3243u, 0xe4f96136u, skip_16);
    let t16_13 = select(0x9fc3bd63u, 0xe9e8c7ecu, skip_16);
    let t16_14 = select(0x962534e7u, 0xd3cbfd45u, skip_16);
    let t16_15 = select(0xdd1046beu, 0xaea4f758u, skip_16);
    let t16_16 = select(0xa5d76890u, 0xfd7cbe2fu, skip_16);
    let t16_17 = select(0x9d338e04u, 0x67a0e73eu, skip_16);
    let t16_18 = select(0xd68befc8u, 0xf14a525du, skip_16);
    let t16_19 = select(0x27323ac7u, 0x4d7f6bf6u, skip_16);
    let t16_20 = select(0x306a673eu, 0x23f1aba1u, skip_16);
    let t16_21 = select(0x93908bf1u, 0x0ac06608u, skip_16);
    let skip_8 = (word & 8u) != 0u;
    let t8_0 = select(t16_0, t16_8, skip_8);
    let t8_1 = select(t16_1, t16_9, skip_8);
    let t8_2 = select(t16_2, t16_10, skip_8);
    let t8_3 = select(t16_3, t16_11, skip_8);
    let t8_4 = select(t16_4, t16_12, skip_8);
    let t8_5 = select(t16_5, t16_13, skip_8);
    let t8_6 = select(t16_6, t16_14, skip_8);
    let t8_7 = select(t16_7, t16_15, skip_8);
    let t8_8 = select(t16_8, t16_16, skip_8);
    let t8_9 = select(t16_9, t16_17, skip_8);
    let t8_10 = select(t16_10, t16_18, skip_8);
    let t8_11 = select(t16_11, t16_19, skip_8);
    let t8_12 = select(t16_12, t16_20, skip_8);
    let t8_13 = select(t16_13, t16_21, skip_8);
    let skip_4 = (word & 4u) != 0u;
    let t4_0 = select(t8_0, t8_4, skip_4);
    let t4_1 = select(t8_1, t8_5, skip_4);
    let t4_2 = select(t8_2, t8_6, skip_4);
    let t4_3 = select(t8_3, t8_7, skip_4);
    let t4_4 = select(t8_4, t8_8, skip_4);
    let t4_5 = select(t8_5, t8_9, skip_4);
    let t4_6 = select(t8_6, t8_10, skip_4);
    let t4_7 = select(t8_7, t8_11, skip_4);
    let t4_8 = select(t8_8, t8_12, skip_4);
    let t4_9 = select(t8_9, t8_13, skip_4);
    let skip_2 = (word & 2u) != 0u;
    let t2_0 = select(t4_0, t4_2, skip_2);
    let t2_1 = select(t4_1, t4_3, skip_2);
    let t2_2 = select(t4_2, t4_4, skip_2);
    let t2_3 = select(t4_3, t4_5, skip_2);
    let t2_4 = select(t4_4, t4_6, skip_2);
    let t2_5 = select(t4_5, t4_7, skip_2);
    let t2_6 = select(t4_6, t4_8, skip_2);
    let t2_7 = select(t4_7, t4_9, skip_2);
    let skip_1 = (word & 1u) != 0u;
    let t1_0 = select(t2_0, t2_1, skip_1);
    let t1_1 = select(t2_1, t2_2, skip_1);
    let t1_2 = select(t2_2, t2_3, skip_1);
    let t1_3 = select(t2_3, t2_4, skip_1);
    let t1_4 = select(t2_4, t2_5, skip_1);
    let t1_5 = select(t2_5, t2_6, skip_1);
    let t1_6 = select(t2_6, t2_7, skip_1);
    let w0 = f64_aligned(t1_0, t1_1, shift);
    let w1 = f64_aligned(t1_1, t1_2, shift);
    let w2 = f64_aligned(t1_2, t1_3, shift);
    let w3 = f64_aligned(t1_3, t1_4, shift);
    let w4 = f64_aligned(t1_4, t1_5, shift);
    let w5 = f64_aligned(t1_5, t1_6, shift);
    let f0 = f64(w0 >> 8u);
    let f1 = f64(((w0 & 0xffu) << 16u) | (w1 >> 16u));
    let f2 = f64(((w1 & 0xffffu) << 8u) | (w2 >> 24u));
    let f3 = f64(w2 & 0xffffffu);
    let f4 = f64(w3 >> 8u);
    let f5 = f64(((w3 & 0xffu) << 16u) | (w4 >> 16u));
    let f6 = f64(((w4 & 0xffffu) << 8u) | (w5 >> 24u));
    let f7 = f64(w5 & 0xffffffu);
    let m0 = floor(parts.m * 32.0lf);
    let m12 = parts.m * 32.0lf - m0;
    let m1 = floor(m12 * CHUNK);
    let m2 = (m12 * CHUNK - m1) * CHUNK;

    // M F modulo 1, chunk g1 first; all sums are integers below 2^53.
    let c7 = f64_carry(m1 * f7 + m2 * f6);
    let s6 = m0 * f7 + m1 * f6 + m2 * f5 + c7;
    let c6 = f64_carry(s6);
    let s5 = m0 * f6 + m1 * f5 + m2 * f4 + c6;
    let c5 = f64_carry(s5);
    let s4 = m0 * f5 + m1 * f4 + m2 * f3 + c5;
    let c4 = f64_carry(s4);
    let s3 = m0 * f4 + m1 * f3 + m2 * f2 + c4;
    let c3 = f64_carry(s3);
    let s2 = m0 * f3 + m1 * f2 + m2 * f1 + c3;
    let c2 = f64_carry(s2);
    let s1 = m0 * f2 + m1 * f1 + m2 * f0 + c2;
    let g6 = s6 - c6 * CHUNK;
    let g5 = s5 - c5 * CHUNK;
    let g4 = s4 - c4 * CHUNK;
    let g3 = s3 - c3 * CHUNK;
    let g2 = s2 - c2 * CHUNK;
    let g1 = s1 - f64_carry(s1) * CHUNK;

    // The first two bits are the quadrant; what is left, times 2^46, is a + b + c.
    let quadrant = f64_nearest(g1 * 2.384185791015625e-7lf);
    let a = (g1 - quadrant * 4194304.0lf) * CHUNK + g2;
    let b = (g3 * CHUNK + g4) * 3.552713678800501e-15lf;
    let c = (g5 * CHUNK + g6) * 1.262177448353619e-29lf;
    let y = a + b;
    let y_tail = f64_sum_error(a, b, y) + c;

    // Times pi/2, which comes in three parts of which two are short.
    const PIO2_HIGH: f64 = 1.570796251296997lf;
    const PIO2_MIDDLE: f64 = 7.549789415861596e-08lf;
    const PIO2_LOW: f64 = 5.390302858158119e-15lf;
    const PER_UNIT: f64 = 1.4210854715202004e-14lf;
    let y_head = f64_short(y);
    let y_rest = y - y_head;
    let p = y_head * PIO2_HIGH;
    let small = y_rest * PIO2_MIDDLE + (y_head * PIO2_LOW + y_tail * PIO2_HIGH);
    let q = y_head * PIO2_MIDDLE + (y_rest * PIO2_HIGH + small);
    let product = p + q;
    let sign = select(PER_UNIT, -PER_UNIT, x < 0.0lf);
    let signed_quadrant = select(quadrant, -quadrant, x < 0.0lf);
    let error = f64_sum_error(p, q, product);
    return F64Reduced(f64_integer(signed_quadrant), product * sign, error * sign);
}

// The second reduction is long and rarely needed: a true branch.
fn f64_reduce(x: f64) -> F64Reduced {
    if abs(x) > 1048576.0lf && abs(x) <= F64_MAX {
        return f64_reduce_huge(x);
    }
    return f64_reduce_moderate(x);
}

// (sin(t) / t - 1) / x with x = t^2, for |t| <= pi/4; times x it is off by 2^-55.6.
fn f64_sin_series(x: f64) -> f64 {
    let square = x * x;
    var even = -2.5051129895962807e-08lf * square - 0.00019841269836740527lf;
    even = even * square - 0.16666666666666666lf;
    var odd = 1.5917988944318716e-10lf * square + 2.7557316093196066e-06lf;
    odd = odd * square + 0.008333333333330936lf;
    return odd * x + even;
}

// (cos(t) - 1 + x/2) / x^2 with x = t^2, for |t| <= pi/4; times x^2 it is off by 2^-60.
fn f64_cos_series(x: f64) -> f64 {
    let square = x * x;
    var even = 2.087614504910828e-09lf * square + 2.48015872987544e-05lf;
    even = even * square + 0.041666666666666664lf;
    var odd = -1.1382544623404291e-11lf * square - 2.7557317265876615e-07lf;
    odd = odd * square - 0.0013888888888887389lf;
    return odd * x + even;
}

// sin(r.head + r.tail) as an unrounded sum.
fn f64_sin_terms(r: F64Reduced) -> F64Pair {
    let z = r.head * r.head;
    let lack = r.tail * (0.5lf * z - 1.0lf) - r.head * z * f64_sin_series(z);
    return F64Pair(r.head, -lack);
}

// cos(r.head + r.tail) as an unrounded sum, whose head is exact.
fn f64_cos_terms(r: F64Reduced) -> F64Pair {
    let z = r.head * r.head;
    let half = 0.5lf * z;
    let half_head = f64_short(half);
    let lack = (half - half_head) - (z * z * f64_cos_series(z) - r.head * r.tail);
    // The select keeps drivers from taking the 1 elsewhere.
    return F64Pair(select(1.0lf - half_head, 1.0lf, half_head == 0.0lf), -lack);
}

fn f64_sin_reduced(r: F64Reduced, quadrant: i32) -> f64 {
    let s = f64_sin_terms(r);
    let c = f64_cos_terms(r);
    let value = select(c.head + c.tail, s.head + s.tail, (quadrant & 1i) == 0i);
    return select(-value, value, (quadrant & 2i) == 0i);
}

fn f64_sin(x: f64) -> f64 {
    let r = f64_reduce(x);
    let value = select(f64_sin_reduced(r, r.quadrant), x, x == 0.0lf);
    return select(f64_nan(), value, abs(x) <= F64_MAX);
}

fn f64_cos(x: f64) -> f64 {
    let r = f64_reduce(x);
    return select(f64_nan(), f64_sin_reduced(r, r.quadrant + 1i), abs(x) <= F64_MAX);
}

fn f64_tan(x: f64) -> f64 {
    let r = f64_reduce(x);
    let s = f64_sin_terms(r);
    let c = f64_cos_terms(r);
    let sin = s.head + s.tail;
    let cos = c.head + c.tail;
    let sin_error = f64_sum_error(s.head, s.tail, sin);
    let cos_error = f64_sum_error(c.head, c.tail, cos);
    let even = (r.quadrant & 1i) == 0i;
    let n = select(-cos, sin, even);
    let n_error = select(-cos_error, sin_error, even);
    let d = select(sin, cos, even);
    let d_error = select(sin_error, cos_error, even);
    let quotient = n / d;
    let value = quotient + (n_error - quotient * d_error) / d;
    return select(f64_nan(), select(value, x, x == 0.0lf), abs(x) <= F64_MAX);
}

// ---- asin, acos, atan --------------------------------------------------------------------------

const F64_PI: f64 = 3.141592653589793lf;
const F64_PIO2: f64 = 1.5707963267948966lf;
const F64_PIO2_LOW: f64 = 6.123233995736766e-17lf;
const F64_PIO4: f64 = 0.7853981633974483lf;

// (asin(t) / t - 1) / x with x = t^2, for |t| <= 1/2; times x it is off by 2^-57.
fn f64_asin_series(x: f64) -> f64 {
    let square = x * x;
    var even = 0.02878951760523137lf * square + 0.017430225337757958lf;
    even = even * square + 0.010325273770049203lf;
    even = even * square + 0.013971250242465837lf;
    even = even * square + 0.022372173042417537lf;
    even = even * square + 0.04464285714638492lf;
    even = even * square + 0.16666666666666669lf;
    var odd = -0.01489802852677114lf * square + 0.005446817535396503lf;
    odd = odd * square + 0.0114788055431574lf;
    odd = odd * square + 0.01735239028155752lf;
    odd = odd * square + 0.030381944136125105lf;
    odd = odd * square + 0.07499999999998419lf;
    return odd * x + even;
}

// (atan(t) / t - 1) / x with x = t^2, for |t| <= 7/16; times x it is off by 2^-55.5.
fn f64_atan_series(x: f64) -> f64 {
    let square = x * x;
    var even = -0.01753568258297741lf * square - 0.05033521094282974lf;
    even = even * square - 0.06663227406149912lf;
    even = even * square - 0.09090900149894032lf;
    even = even * square - 0.14285714283131665lf;
    even = even * square - 0.33333333333333326lf;
    var odd = 0.03781449489341051lf * square + 0.05847633335579025lf;
    odd = odd * square + 0.07692086398987827lf;
    odd = odd * square + 0.11111110899315962lf;
    odd = odd * square + 0.1999999999998768lf;
    return odd * x + even;
}

// What asin and acos share (fdlibm). With a = |x|, beyond 1/2 both go by asin(sqrt((1 - a) / 2)).
struct F64Arc {
    far: bool,
    excess: f64, // asin(s) - s with s being x, or that square root
    head: f64, // the root's head
    tail: f64, // what the head lacks
}

fn f64_arc(x: f64) -> F64Arc {
    let far = abs(x) > 0.5lf;
    let z = select(x * x, (1.0lf - abs(x)) * 0.5lf, far);
    let root = sqrt(z);
    let head = f64_short(root);
    let tail = select((z - head * head) / (root + head), 0.0lf, z == 0.0lf);
    return F64Arc(far, select(x, root, far) * (z * f64_asin_series(z)), head, tail);
}

fn f64_asin(x: f64) -> f64 {
    let a = f64_arc(x);
    let rest = 2.0lf * a.excess - (F64_PIO2_LOW - 2.0lf * a.tail);
    let far = F64_PIO4 - (rest - (F64_PIO4 - 2.0lf * a.head));
    let value = select(x + a.excess, f64_copysign(far, x), a.far);
    return select(f64_nan(), select(value, x, x == 0.0lf), abs(x) <= 1.0lf);
}

fn f64_acos(x: f64) -> f64 {
    let a = f64_arc(x);
    let near = F64_PIO2 - (x - (F64_PIO2_LOW - a.excess));
    let right = 2.0lf * (a.head + (a.excess + a.tail));
    let left = F64_PI - 2.0lf * (a.head + (a.excess + (a.tail - F64_PIO2_LOW)));
    let value = select(near, select(right, left, x < 0.0lf), a.far);
    return select(f64_nan(), value, abs(x) <= 1.0lf);
}

// atan(a) = atan(c) + atan((a - c) / (1 + c a)) with c one of 0, 1/2, 1, 3/2 and infinity.
fn f64_atan(x: f64) -> f64 {
    let a = abs(x);
    let from_1 = a > 0.4375lf;
    let from_2 = a > 0.6875lf;
    let from_3 = a > 1.1875lf;
    let from_4 = a > 2.4375lf;
    var n = select(a, 2.0lf * a - 1.0lf, from_1);
    var d = select(1.0lf, 2.0lf + a, from_1);
    var high = select(0.0lf, 0.4636476090008061lf, from_1);
    var low = select(0.0lf, 2.2698777452961687e-17lf, from_1);
    n = select(n, a - 1.0lf, from_2);
    d = select(d, a + 1.0lf, from_2);
    high = select(high, F64_PIO4, from_2);
    low = select(low, 3.061616997868383e-17lf, from_2);
    n = select(n, a - 1.5lf, from_3);
    d = select(d, 1.0lf + 1.5lf * a, from_3);
    high = select(high, 0.982793723247329lf, from_3);
    low = select(low, 1.3903311031230998e-17lf, from_3);
    n = select(n, -1.0lf, from_4);
    d = select(d, a, from_4);
    high = select(high, F64_PIO2, from_4);
    low = select(low, F64_PIO2_LOW, from_4);
    let t = n / d;
    let z = t * t;
    let value = high - ((t * (-z * f64_atan_series(z)) - low) - t);
    return select(f64_copysign(value, x), x, x == 0.0lf || f64_is_nan(x));
}

// ---- sinh, cosh, tanh --------------------------------------------------------------------------

// (sinh(t) / t - 1) / x with x = t^2, for |t| <= 1; times x it is off by 2^-56.6.
fn f64_sinh_series(x: f64) -> f64 {
    let square = x * x;
    var even = 7.646625361656657e-13lf * square + 2.505210836405804e-08lf;
    even = even * square + 0.00019841269841269773lf;
    even = even * square + 0.16666666666666666lf;
    var odd = 2.8445264169895285e-15lf * square + 1.6059048396350562e-10lf;
    odd = odd * square + 2.755731922404034e-06lf;
    odd = odd * square + 0.008333333333333333lf;
    return odd * x + even;
}

// (tanh(t) / t - 1) / x with x = t^2, for |t| <= 5/8: this over ...
fn f64_tanh_numerator(x: f64) -> f64 {
    let square = x * x;
    var even = -0.00019917792421746068lf * square - 0.3333333333333333lf;
    let odd = -0.020498797014128274lf;
    return odd * x + even;
}

// ... this; times x the quotient is off by 2^-57.
fn f64_tanh_denominator(x: f64) -> f64 {
    let square = x * x;
    var even = 0.023291328284948218lf * square + 1.0lf;
    var odd = 0.00020653360964084977lf * square + 0.4614963910423813lf;
    return odd * x + even;
}

// e^a / 2 for a >= 0; finite wherever sinh and cosh are.
fn f64_half_exp(a: f64) -> f64 {
    return f64_exp_shifted(min(a, 720.0lf), -1.0lf);
}

fn f64_sinh(x: f64) -> f64 {
    let a = abs(x);
    let z = x * x;
    let e = f64_half_exp(a);
    let far = f64_copysign(e - 0.25lf / e, x);
    let value = select(far, x + x * (z * f64_sinh_series(z)), a < 1.0lf);
    return select(value, x, x == 0.0lf || f64_is_nan(x));
}

fn f64_cosh(x: f64) -> f64 {
    let e = f64_half_exp(abs(x));
    return select(e + 0.25lf / e, x, f64_is_nan(x));
}

// A rational function for |x| < 5/8, else 1 - 2 / (e^(2x) + 1) (Cody and Waite).
fn f64_tanh(x: f64) -> f64 {
    let a = abs(x);
    let near = a < 0.625lf;
    let z = a * a;
    let e = f64_exp(2.0lf * min(a, 22.0lf));
    let n = select(-2.0lf, a * (z * f64_tanh_numerator(z)), near);
    let d = select(e + 1.0lf, f64_tanh_denominator(z), near);
    let value = select(1.0lf, a, near) + n / d;
    return select(f64_copysign(value, x), x, x == 0.0lf || f64_is_nan(x));
}

// ---- asinh, acosh, atanh: logarithms of numbers in two parts -----------------------------------

// Beyond this (2^28) sqrt(x^2 +- 1) is x.
const F64_LARGE: f64 = 268435456.0lf;

// What 1 + y lost to rounding, for 0 <= y <= 2^54.
fn f64_one_plus_error(y: f64, sum: f64) -> f64 {
    let small = y < 1.0lf;
    return f64_sum_error(select(y, 1.0lf, small), select(1.0lf, y, small), sum);
}

// log(1 + (a + a^2 / (1 + sqrt(1 + a^2)))) with a = |x|.
fn f64_asinh(x: f64) -> f64 {
    let a = abs(x);
    let large = a > F64_LARGE;
    let t = select(a, 1.0lf, large);
    let square = t * t;
    let part = square / (1.0lf + sqrt(1.0lf + square));
    let y = t + part;
    let u = 1.0lf + y;
    let c = f64_one_plus_error(y, u) + f64_sum_error(t, part, y);
    let extra = select(0.0lf, 1.0lf, large);
    var value = f64_log_of_sum(select(u, a, large), select(c, 0.0lf, large), extra);
    value = select(value, a, a > F64_MAX);
    return select(f64_copysign(value, x), x, x == 0.0lf || f64_is_nan(x));
}

// log(1 + (t + sqrt(2t + t^2))) with t = x - 1, the root with its residual.
fn f64_acosh(x: f64) -> f64 {
    let large = x > F64_LARGE;
    let t = select(x - 1.0lf, 1.0lf, large);
    let t_head = f64_short(t);
    let t_tail = t - t_head;
    let square = t_head * t_head + t_tail * (t_head + t);
    let double = 2.0lf * t;
    let z = double + square;
    let first = double > square;
    let z_error = f64_sum_error(select(square, double, first), select(double, square, first), z);
    let root = sqrt(z);
    let head = f64_short(root);
    let tail = root - head;
    let residual = (((z - head * head) - 2.0lf * head * tail) - tail * tail) + z_error;
    let root_tail = select(0.0lf, residual / (2.0lf * root), root > 0.0lf);
    // The root is the larger.
    let y = root + t;
    let u = 1.0lf + y;
    let c = f64_one_plus_error(y, u) + (f64_sum_error(root, t, y) + root_tail);
    let extra = select(0.0lf, 1.0lf, large);
    var value = f64_log_of_sum(select(u, x, large), select(c, 0.0lf, large), extra);
    value = select(value, x, x > F64_MAX);
    return select(f64_nan(), value, x >= 1.0lf);
}

// log(1 + 2a / (1 - a)) / 2 with a = |x|, the quotient with its residual.
fn f64_atanh(x: f64) -> f64 {
    let a = abs(x);
    let inside = a < 1.0lf;
    let t = select(0.0lf, a, inside);
    let n = 2.0lf * t;
    let d = 1.0lf - t;
    let d_error = f64_sum_error(1.0lf, -t, d);
    let q = n / d;
    let q_head = f64_short(q);
    let q_tail = q - q_head;
    let d_head = f64_short(d);
    let d_tail = (d - d_head) + d_error;
    let residual = ((n - q_head * d_head) - q_head * d_tail) - q_tail * d;
    let u = 1.0lf + q;
    let c = f64_one_plus_error(q, u) + residual / d;
    let value = 0.5lf * f64_log_of_sum(u, c, 0.0lf);
    let limit = select(f64_nan(), f64_inf(), a == 1.0lf);
    return select(f64_copysign(select(limit, value, inside), x), x, x == 0.0lf);
}
