//! What the elementary functions are held against: arguments over the whole range, and values
//! from the multi-precision crate astro-float.

use astro_float::{BigFloat, Consts, RoundingMode, Sign};

/// Bits of the reference values.
const PRECISION: usize = 192;
const RM: RoundingMode = RoundingMode::ToEven;
/// What the functions are held to.
pub const ALLOWED_ULPS: f64 = 2.0;

/// A function under test. Functions of one argument ignore the second.
pub struct Function {
    pub name: &'static str,
    pub arity: usize,
    pub cpu: fn(f64, f64) -> f64,
    exact: fn(f64, f64, &mut Consts) -> Exact,
    arguments: fn(&mut Draw) -> Vec<(f64, f64)>,
    /// Arguments whose value IEEE 754 or C99 fixes, with that value.
    specials: &'static [(f64, f64, f64)],
}

/// A value before rounding: `nearest - off * 2^unit`, `2^unit` being the last place of `nearest`.
#[derive(Clone, Copy, Debug)]
pub struct Exact {
    nearest: f64,
    off: f64,
    unit: i32,
}

/// One argument of a function and its value.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub x: f64,
    pub y: f64,
    pub want: Exact,
}

impl Exact {
    fn given(value: f64) -> Exact {
        Exact { nearest: value, off: 0.0, unit: -1074 }
    }

    /// Correct rounding of a big number, and by how much that is off.
    fn of(value: &BigFloat) -> Exact {
        if value.is_nan() || value.is_inf() || value.is_zero() {
            let sign = if value.is_negative() { -1.0 } else { 1.0 };
            let zero_or_inf = if value.is_zero() { 0.0 } else { f64::INFINITY };
            return Exact::given(if value.is_nan() { f64::NAN } else { sign * zero_or_inf });
        }
        let (words, _, sign, exponent, _) = value.as_raw_parts().expect("a finite number");
        let top = words.len() - 1;
        let next = if top > 0 { words[top - 1] } else { 0 };
        let mantissa = (u128::from(words[top]) << 64) | u128::from(next);
        // value = mantissa 2^(exponent - 128); its last place as a double is 2^unit.
        let unit = (exponent - 53).max(-1074);
        let drop = 128 - (exponent - unit);
        let (q, off) = if drop >= 128 {
            // Less than the smallest subnormal number.
            let part = mantissa as f64 * 2f64.powi(-128) * 2f64.powi(128 - drop.min(1000));
            if part > 0.5 { (1, 1.0 - part) } else { (0, -part) }
        } else {
            let part = (mantissa << (128 - drop)) as f64 * 2f64.powi(-128);
            let q = (mantissa >> drop) as u64;
            let up = part > 0.5 || (part == 0.5 && q & 1 == 1);
            if up { (q + 1, 1.0 - part) } else { (q, -part) }
        };
        let sign = if sign == Sign::Neg { -1.0 } else { 1.0 };
        let huge = exponent > 1024;
        let nearest = if huge { f64::INFINITY } else { scaled(q as f64, unit) };
        Exact { nearest: sign * nearest, off: sign * off, unit }
    }

    /// How many units in the last place `got` is from the exact value; infinite where a NaN, an
    /// infinity or the sign of a zero is wrong.
    pub fn error_ulps(&self, got: f64) -> f64 {
        let want = self.nearest;
        if want.is_nan() || got.is_nan() {
            return if want.is_nan() && got.is_nan() { 0.0 } else { f64::INFINITY };
        }
        if want.to_bits() == got.to_bits() && (want.is_infinite() || want == 0.0) {
            return if want == 0.0 { self.off.abs() } else { 0.0 };
        }
        if want == 0.0 && self.off == 0.0 {
            return f64::INFINITY;
        }
        if want.is_infinite() || got.is_infinite() {
            // The largest number for an infinity, or the other way round, is one last place off.
            let close = want.signum() == got.signum()
                && want.abs().min(got.abs()) >= f64::MAX
                && self.unit == 971;
            return if close { 1.0 } else { f64::INFINITY };
        }
        // The difference is exact, and a multiple of the last place.
        (scaled(got - want, -self.unit) + self.off).abs()
    }
}

/// `x 2^n` in steps that stay in range.
fn scaled(x: f64, n: i32) -> f64 {
    let step = n / 3;
    x * 2f64.powi(step) * 2f64.powi(step) * 2f64.powi(n - 2 * step)
}

fn big(x: f64) -> BigFloat {
    big_of(x, 64)
}

/// astro-float 0.9.6 halves subnormal numbers on the way in; so they come in scaled.
fn big_of(x: f64, bits: usize) -> BigFloat {
    if x.is_subnormal() {
        let mut big = BigFloat::from_f64(x * 2f64.powi(200), bits);
        big.set_exponent(big.exponent().expect("a finite number") - 200);
        return big;
    }
    BigFloat::from_f64(x, bits)
}

/// The reference of a function astro-float has.
macro_rules! direct {
    ($method:ident) => {
        |x, _, consts| Exact::of(&big(x).$method(PRECISION, RM, consts))
    };
}

/// As [`direct`], for functions whose argument has to be reduced by a multiple of pi: more bits
/// for larger arguments.
macro_rules! periodic {
    ($method:ident) => {
        |x, _, consts| {
            let bits = PRECISION + 64 + exponent(x).max(0) as usize;
            Exact::of(&big_of(x, bits).$method(bits, RM, consts))
        }
    };
}

fn exponent(x: f64) -> i32 {
    (x.abs().to_bits() >> 52) as i32 - 1023
}

fn exact_exp(x: f64, _: f64, consts: &mut Consts) -> Exact {
    // Beyond these astro-float's own exponent ends, with a signed zero.
    Exact::of(&big(x.clamp(-2000.0, 2000.0)).exp(PRECISION, RM, consts))
}

fn exact_expm1(x: f64, _: f64, consts: &mut Consts) -> Exact {
    // 2 sinh(x/2) e^(x/2)
    let half = big(x.clamp(-2000.0, 2000.0)).mul(&big(0.5), PRECISION, RM);
    let sinh = half.sinh(PRECISION, RM, consts);
    let product = sinh.mul(&half.exp(PRECISION, RM, consts), PRECISION, RM);
    Exact::of(&product.mul(&big(2.0), PRECISION, RM))
}

fn exact_log1p(x: f64, _: f64, consts: &mut Consts) -> Exact {
    if x.abs() < 2f64.powi(-40) {
        // 2 atanh(x / (2 + x))
        let quotient = big(x).div(&big(x).add(&big(2.0), 2048, RM), PRECISION, RM);
        let half = quotient.atanh(PRECISION, RM, consts);
        return Exact::of(&half.mul(&big(2.0), PRECISION, RM));
    }
    Exact::of(&big(x).add(&big(1.0), 2048, RM).ln(PRECISION, RM, consts))
}

fn exact_pow(x: f64, y: f64, consts: &mut Consts) -> Exact {
    let mut value = big(x.abs()).pow(&big(y), PRECISION, RM, consts);
    if x < 0.0 && y.rem_euclid(2.0) == 1.0 {
        value.inv_sign();
    }
    Exact::of(&value)
}

/// A small deterministic generator (G. Marsaglia's xorshift64).
pub struct Draw(u64);

impl Draw {
    fn bits(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn uniform(&mut self, from: f64, to: f64) -> f64 {
        from + (to - from) * (self.bits() >> 11) as f64 * 2f64.powi(-53)
    }

    fn sign(&mut self) -> f64 {
        if self.bits() & 4 == 0 { 1.0 } else { -1.0 }
    }

    /// Log-uniform between two powers of two.
    fn magnitude(&mut self, from: i32, to: i32) -> f64 {
        let n = from + (self.bits() % (to - from) as u64) as i32;
        scaled(self.uniform(1.0, 2.0), n)
    }
}

/// Any finite double, and the few next to what begins and ends their kinds.
fn everything(d: &mut Draw, signed: bool) -> Vec<f64> {
    let mut list: Vec<f64> = (0..700).map(|_| d.magnitude(-1074, 1024)).collect();
    list.extend((0..100).map(|_| d.magnitude(-1074, -1022)));
    for x in [f64::MIN_POSITIVE, 5e-324, 1.0, 2.0, 0.5, 3.0, 10.0, 1e22, f64::MAX] {
        list.extend([x, x.next_down(), if x == f64::MAX { x } else { x.next_up() }]);
    }
    list.retain(|x| *x != 0.0);
    if signed {
        for x in &mut list {
            *x *= d.sign();
        }
    }
    list
}

fn ones(list: Vec<f64>) -> Vec<(f64, f64)> {
    list.into_iter().map(|x| (x, 0.0)).collect()
}

/// Everything, uniform in a range, log-uniform of both signs, and the neighbours of given numbers.
fn mixed(
    d: &mut Draw,
    (from, to): (f64, f64),
    (low, high): (i32, i32),
    near: &[f64],
) -> Vec<(f64, f64)> {
    let mut list = everything(d, true);
    list.extend((0..1500).map(|_| d.uniform(from, to)));
    list.extend((0..700).map(|_| d.magnitude(low, high) * d.sign()));
    for &x in near {
        list.extend((-30..30).map(|i| x * (1.0 + f64::from(i) * f64::EPSILON)));
        list.extend((0..60).map(|_| x * (1.0 + d.magnitude(-50, -3) * d.sign())));
    }
    ones(list)
}

fn logarithmic(d: &mut Draw) -> Vec<(f64, f64)> {
    let mut list = everything(d, false);
    list.extend((0..1500).map(|_| d.magnitude(-1074, 1024)));
    list.extend((0..1000).map(|_| d.uniform(0.5, 2.0)));
    list.extend((0..400).map(|_| 1.0 + d.magnitude(-52, -1) * d.sign()));
    // Where the mantissa's halves meet.
    list.extend((-30..30).map(|i| std::f64::consts::SQRT_2 * (1.0 + f64::from(i) * 1e-8)));
    list.extend((-30..30).map(|i| 1.4142135381698608 * (1.0 + f64::from(i) * f64::EPSILON)));
    list.extend((-300..300).map(|i| 10f64.powi(i)));
    list.extend((-1074..1024).step_by(7).map(|i| scaled(1.0, i)));
    ones(list)
}

fn periodic_arguments(d: &mut Draw) -> Vec<(f64, f64)> {
    let mut list = everything(d, true);
    list.extend((0..800).map(|_| d.uniform(-7.0, 7.0)));
    list.extend((0..500).map(|_| d.magnitude(-30, 21) * d.sign()));
    list.extend((0..300).map(|_| d.magnitude(20, 60) * d.sign()));
    // Next to multiples of pi/2, where most of the argument cancels.
    let mut turns: Vec<f64> = (1..60).map(f64::from).collect();
    turns.extend((0..200).map(|_| d.magnitude(0, 21).floor()));
    for n in turns {
        let x = n * std::f64::consts::FRAC_PI_2;
        list.extend([x, x.next_up(), x.next_down(), -x]);
    }
    // pi/4, and where the reduction changes.
    for x in [std::f64::consts::FRAC_PI_4, 1048576.0, 3.0 * std::f64::consts::FRAC_PI_4] {
        list.extend((-20..20).map(|i| x * (1.0 + f64::from(i) * f64::EPSILON)));
    }
    // Doubles next to a multiple of pi/2 (Muller, Elementary Functions, 3rd ed., table 11.1: the
    // worst of all is 6381956970095103 * 2^797, at a distance of 2^-60.9), and their likes.
    list.push(6381956970095103.0 * 2f64.powi(797));
    list.push(-6381956970095103.0 * 2f64.powi(797));
    list.extend([
        5.269038738226016e15,
        8.442461040284e14,
        1.2594650898e9,
        1e300,
        9.007199254740991e15,
    ]);
    ones(list)
}

fn pow_arguments(d: &mut Draw) -> Vec<(f64, f64)> {
    let mut list = Vec::new();
    for i in 0..4000 {
        // Results over the whole range, from bases over the whole range or near 1.
        let x = match i % 4 {
            0 => d.magnitude(-1074, 1024),
            1 => 1.0 + d.magnitude(-52, -1) * d.sign(),
            2 => d.uniform(0.3, 3.0),
            _ => d.magnitude(-40, 40),
        };
        let y = d.uniform(-1080.0, 1030.0) / x.log2();
        if y.is_finite() {
            list.push((x, y));
        }
    }
    for _ in 0..500 {
        // What models use: concentrations, and Hill exponents or small integers.
        list.push((d.magnitude(-30, 20), d.uniform(-6.0, 6.0)));
        list.push((d.magnitude(-30, 20) * d.sign(), d.uniform(-9.0, 9.0).round()));
        list.push((d.magnitude(-1074, 1024), d.magnitude(-1074, 1024) * d.sign()));
        list.push((d.magnitude(-1074, 1024), d.magnitude(-80, -3) * d.sign()));
    }
    for x in [2.0, 0.5, 4.0, 3.0, 10.0, -2.0, -3.0] {
        list.extend((-400..400).step_by(3).map(|i| (x, f64::from(i))));
    }
    // The thresholds of overflow and underflow.
    for y in [1024.0f64, 1023.9999999999999, -1074.0, -1074.5, -1075.0, -1075.1, -1022.0] {
        list.extend([(2.0, y), (2.0, y.next_up()), (2.0, y.next_down()), (4.0, y / 2.0)]);
    }
    list.extend([(f64::MAX, 1.0), (5e-324, 1.0), (0.9999999999999999, 1e300), (1.5, -1e19)]);
    list.retain(|(x, y)| *x != 0.0 && *y != 0.0);
    list
}

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;
/// Odd functions without a limit of their own at infinity: only these are fixed.
const ODD_GROWING: &[(f64, f64, f64)] =
    &[(0.0, 0.0, 0.0), (-0.0, 0.0, -0.0), (INF, 0.0, INF), (-INF, 0.0, -INF), (NAN, 0.0, NAN)];
const ODD_PERIODIC: &[(f64, f64, f64)] =
    &[(0.0, 0.0, 0.0), (-0.0, 0.0, -0.0), (INF, 0.0, NAN), (-INF, 0.0, NAN), (NAN, 0.0, NAN)];
const LOGARITHM: &[(f64, f64, f64)] = &[
    (1.0, 0.0, 0.0),
    (0.0, 0.0, -INF),
    (-0.0, 0.0, -INF),
    (INF, 0.0, INF),
    (-1.0, 0.0, NAN),
    (-5e-324, 0.0, NAN),
    (-INF, 0.0, NAN),
    (NAN, 0.0, NAN),
];

macro_rules! one {
    ($name:ident, $exact:expr, $arguments:expr, $specials:expr) => {
        Function {
            name: stringify!($name),
            arity: 1,
            cpu: |x, _| gradsweep::elementary::$name(x),
            exact: $exact,
            arguments: $arguments,
            specials: $specials,
        }
    };
}

/// Every function of `gradsweep::elementary` that is also in `math_f64.wgsl`.
pub fn functions() -> Vec<Function> {
    vec![
        one!(
            exp,
            exact_exp,
            |d| {
                let edges = [709.782712893384, -708.3964185322641, -745.1332191019411, -744.44];
                mixed(d, (-746.0, 710.0), (-60, 9), &edges)
            },
            &[
                (0.0, 0.0, 1.0),
                (-0.0, 0.0, 1.0),
                (INF, 0.0, INF),
                (-INF, 0.0, 0.0),
                (NAN, 0.0, NAN),
                (1e300, 0.0, INF),
                (-1e300, 0.0, 0.0)
            ]
        ),
        one!(
            expm1,
            exact_expm1,
            |d| mixed(d, (-45.0, 3.0), (-60, 9), &[709.782712893384, 0.34657, -0.34657, 1.03972]),
            &[
                (0.0, 0.0, 0.0),
                (-0.0, 0.0, -0.0),
                (INF, 0.0, INF),
                (-INF, 0.0, -1.0),
                (NAN, 0.0, NAN)
            ]
        ),
        one!(log, direct!(ln), logarithmic, LOGARITHM),
        one!(log2, direct!(log2), logarithmic, LOGARITHM),
        one!(log10, direct!(log10), logarithmic, LOGARITHM),
        one!(
            log1p,
            exact_log1p,
            |d| {
                let mut list = mixed(d, (-1.0, 3.0), (-60, 60), &[0.41421356, -0.29289321, 1.0]);
                list.retain(|(x, _)| *x > -1.0);
                list
            },
            &[
                (0.0, 0.0, 0.0),
                (-0.0, 0.0, -0.0),
                (-1.0, 0.0, -INF),
                (-1.5, 0.0, NAN),
                (INF, 0.0, INF),
                (-INF, 0.0, NAN),
                (NAN, 0.0, NAN)
            ]
        ),
        Function {
            name: "pow",
            arity: 2,
            cpu: gradsweep::elementary::pow,
            exact: exact_pow,
            arguments: pow_arguments,
            // C99 7.12.7.4 and F.9.4.4.
            specials: &[
                (0.0, -3.0, INF),
                (-0.0, -3.0, -INF),
                (0.0, -2.5, INF),
                (-0.0, -2.0, INF),
                (-0.0, -INF, INF),
                (0.0, 3.0, 0.0),
                (-0.0, 3.0, -0.0),
                (-0.0, 4.0, 0.0),
                (-0.0, 0.3, 0.0),
                (-1.0, INF, 1.0),
                (-1.0, -INF, 1.0),
                (1.0, NAN, 1.0),
                (1.0, INF, 1.0),
                (NAN, 0.0, 1.0),
                (NAN, -0.0, 1.0),
                (0.0, 0.0, 1.0),
                (INF, 0.0, 1.0),
                (-8.0, 1.0 / 3.0, NAN),
                (-2.0, 1e-300, NAN),
                (0.5, -INF, INF),
                (-0.5, -INF, INF),
                (1.5, -INF, 0.0),
                (0.5, INF, 0.0),
                (-1.5, INF, INF),
                (-INF, -3.0, -0.0),
                (-INF, -2.5, 0.0),
                (-INF, 3.0, -INF),
                (-INF, 2.5, INF),
                (INF, -1e-300, 0.0),
                (INF, 1e-300, INF),
                (NAN, 1.0, NAN),
                (2.0, NAN, NAN),
                (NAN, NAN, NAN),
                (-1.0, 9007199254740991.0, -1.0),
                (-1.0, 9007199254740992.0, 1.0),
                (2.0, 1e308, INF),
                (2.0, -1e308, 0.0),
                (0.5, -1e308, INF),
                (-2.0, 1025.0, -INF),
                (-2.0, -1077.0, -0.0),
            ],
        },
        one!(sin, periodic!(sin), periodic_arguments, ODD_PERIODIC),
        one!(
            cos,
            periodic!(cos),
            periodic_arguments,
            &[
                (0.0, 0.0, 1.0),
                (-0.0, 0.0, 1.0),
                (INF, 0.0, NAN),
                (-INF, 0.0, NAN),
                (NAN, 0.0, NAN)
            ]
        ),
        one!(tan, periodic!(tan), periodic_arguments, ODD_PERIODIC),
        one!(
            asin,
            direct!(asin),
            |d| inside_one(d),
            &[
                (0.0, 0.0, 0.0),
                (-0.0, 0.0, -0.0),
                (1.1, 0.0, NAN),
                (-INF, 0.0, NAN),
                (NAN, 0.0, NAN)
            ]
        ),
        one!(
            acos,
            direct!(acos),
            |d| inside_one(d),
            &[
                (1.0, 0.0, 0.0),
                (1.1, 0.0, NAN),
                (-1e300, 0.0, NAN),
                (INF, 0.0, NAN),
                (NAN, 0.0, NAN)
            ]
        ),
        one!(
            atan,
            direct!(atan),
            |d| mixed(d, (-5.0, 5.0), (-40, 60), &[0.4375, 0.6875, 1.1875, 2.4375, 1.0]),
            &[
                (0.0, 0.0, 0.0),
                (-0.0, 0.0, -0.0),
                (INF, 0.0, std::f64::consts::FRAC_PI_2),
                (-INF, 0.0, -std::f64::consts::FRAC_PI_2),
                (NAN, 0.0, NAN)
            ]
        ),
        one!(
            sinh,
            direct!(sinh),
            |d| mixed(d, (-25.0, 25.0), (-40, 10), &[1.0, 710.4758600739439, 0.34657]),
            ODD_GROWING
        ),
        one!(
            cosh,
            direct!(cosh),
            |d| mixed(d, (-25.0, 25.0), (-40, 10), &[1.0, 710.4758600739439, 0.34657]),
            &[
                (0.0, 0.0, 1.0),
                (-0.0, 0.0, 1.0),
                (INF, 0.0, INF),
                (-INF, 0.0, INF),
                (NAN, 0.0, NAN)
            ]
        ),
        one!(
            tanh,
            direct!(tanh),
            |d| mixed(d, (-3.0, 3.0), (-40, 6), &[0.625, 0.55, 19.06, 22.0]),
            &[
                (0.0, 0.0, 0.0),
                (-0.0, 0.0, -0.0),
                (INF, 0.0, 1.0),
                (-INF, 0.0, -1.0),
                (NAN, 0.0, NAN)
            ]
        ),
        one!(
            asinh,
            direct!(asinh),
            |d| mixed(d, (-4.0, 4.0), (-40, 60), &[0.4142, 1.0, 2.0, 268435456.0]),
            ODD_GROWING
        ),
        one!(
            acosh,
            direct!(acosh),
            |d| {
                let mut list = mixed(d, (1.0, 5.0), (0, 60), &[1.0, 1.06, 2.0, 268435456.0]);
                list.extend((0..700).map(|_| (1.0 + d.magnitude(-52, 0), 0.0)));
                list.retain(|(x, _)| *x > 1.0);
                list
            },
            &[
                (1.0, 0.0, 0.0),
                (0.5, 0.0, NAN),
                (-5.0, 0.0, NAN),
                (0.0, 0.0, NAN),
                (INF, 0.0, INF),
                (-INF, 0.0, NAN),
                (NAN, 0.0, NAN)
            ]
        ),
        one!(
            atanh,
            direct!(atanh),
            |d| {
                let mut list = inside_one(d);
                list.retain(|(x, _)| x.abs() != 1.0);
                list
            },
            &[
                (0.0, 0.0, 0.0),
                (-0.0, 0.0, -0.0),
                (1.0, 0.0, INF),
                (-1.0, 0.0, -INF),
                (1.1, 0.0, NAN),
                (-INF, 0.0, NAN),
                (NAN, 0.0, NAN)
            ]
        ),
    ]
}

fn inside_one(d: &mut Draw) -> Vec<(f64, f64)> {
    let mut list = mixed(d, (-1.0, 1.0), (-60, 0), &[0.5, 1.0, 0.17157, 0.975]);
    list.retain(|(x, _)| x.abs() <= 1.0);
    list
}

impl Function {
    /// The arguments with their exact values; the same at every call.
    pub fn cases(&self) -> Vec<Case> {
        let mut consts = Consts::new().expect("memory for constants");
        let mut draw = Draw(0x9e37_79b9_7f4a_7c15);
        let fixed = self.specials.iter();
        let fixed = fixed.map(|&(x, y, value)| Case { x, y, want: Exact::given(value) });
        let computed = (self.arguments)(&mut draw);
        let computed = computed.into_iter();
        let computed = computed.map(|(x, y)| Case { x, y, want: (self.exact)(x, y, &mut consts) });
        fixed.chain(computed).collect()
    }
}

/// One line on the worst of `got`, and its error in ulps.
pub fn report(function: &Function, cases: &[Case], got: &[f64]) -> (f64, String) {
    let (error, case, value) = worst(cases, got);
    let y = if function.arity == 2 { format!(", {:e}", case.y) } else { String::new() };
    let line = format!(
        "{:6} {} arguments, worst {error:.3} ulp at ({:e}{y}): {value:e}, exactly {:e} {:+.3} ulp",
        function.name,
        cases.len(),
        case.x,
        case.want.nearest,
        -case.want.off,
    );
    (error, line)
}

/// The largest error of `got` over the cases in ulps, and where it is.
pub fn worst(cases: &[Case], got: &[f64]) -> (f64, Case, f64) {
    assert_eq!(cases.len(), got.len());
    let errors = cases.iter().zip(got).map(|(c, &g)| (c.want.error_ulps(g), *c, g));
    errors.max_by(|a, b| a.0.total_cmp(&b.0)).expect("at least one case")
}
