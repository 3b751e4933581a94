//! Normalisation: the logarithm of ∫ exp(-E(x)) dx between bounds.
//!
//! Logarithms throughout, of the mass itself and never of a difference of two CDFs: between bounds
//! far in a tail, or close to each other, that would be 0/0 or noise. Errors are some 1e-15
//! relative to the mass, plus rounding of the energy at the bound nearest to the mode; the tests
//! hold them to a multi-precision reference.

use super::{Kernel, log_cauchy};
use crate::elementary::{atan, exp, expm1, log, log1p};
use statrs::function::gamma::ln_gamma;
use std::f64::consts::{LN_2, PI};

/// ln ∫ exp(-E(x)) dx from `low` to `high` > `low`, both where the kernel is defined. `width` is
/// their difference, to be given as exactly as it is known.
pub(super) fn log_mass(kernel: Kernel, low: f64, high: f64, width: f64) -> f64 {
    match kernel {
        Kernel::Flat => log(width),
        Kernel::Normal { mean, sd } => {
            log(sd) + log_mass_normal((low - mean) / sd, (high - mean) / sd, width / sd)
        }
        Kernel::Laplace { location, scale } => {
            let [a, b] = [low, high].map(|x| (x - location) / scale);
            log(scale) + log_mass_laplace(a, b, width / scale)
        }
        Kernel::Cauchy { location, scale } => {
            let [a, b] = [low, high].map(|x| (x - location) / scale);
            log(scale) + log_mass_cauchy(a, b, width / scale)
        }
        Kernel::Exponential { scale } => log(scale) + log_mass_decay(low / scale, width / scale),
        // In u = z²/2, du = z dz.
        Kernel::Rayleigh { scale } => {
            let [a, b] = [low, high].map(|x| x / scale);
            log(scale) + log_mass_decay(0.5 * a * a, 0.5 * (width / scale) * (a + b))
        }
        Kernel::Gamma { shape, scale } if low == 0.0 && high == f64::INFINITY => {
            log(scale) + ln_gamma(shape)
        }
        // In t = ln z, dz = z dt.
        Kernel::Gamma { shape, scale } => {
            let [a, b] = [low, high].map(|x| log(x / scale));
            let width = if low > 0.0 && high < f64::INFINITY {
                super::log_ratio(high, low)
            } else {
                f64::INFINITY
            };
            log(scale) + log_mass_gamma(shape, a, b, width)
        }
    }
}

/// ln(1 - exp(-x)), x > 0 (M. Mächler, *Accurately computing log(1 - exp(-|a|))*, 2012).
fn log1m_exp(x: f64) -> f64 {
    if x < LN_2 { log(-expm1(-x)) } else { log1p(-exp(-x)) }
}

/// ln ∫ exp(-u) du from `a` over `width`.
fn log_mass_decay(a: f64, width: f64) -> f64 {
    log1m_exp(width) - a
}

/// ln ∫ exp(-|z|) dz.
fn log_mass_laplace(a: f64, b: f64, width: f64) -> f64 {
    if a >= 0.0 {
        log_mass_decay(a, width)
    } else if b <= 0.0 {
        log_mass_decay(-b, width)
    } else {
        log(-expm1(a) - expm1(-b))
    }
}

/// ln ∫ dz/(1 + z²).
fn log_mass_cauchy(a: f64, b: f64, width: f64) -> f64 {
    if a < 0.0 && b > 0.0 {
        return log(atan(b) - atan(a));
    }
    let (a, b) = if a >= 0.0 { (a, b) } else { (-b, -a) };
    // tan(atan b - atan a) = (b - a)/(1 + a b), whose terms may overflow.
    let tangent = if b == f64::INFINITY { 1.0 / a } else { width / b / (1.0 / b + a) };
    if tangent < 1e-9 && tangent > 0.0 {
        log(tangent)
    } else if tangent > 0.0 {
        log(atan(tangent))
    } else {
        // Below the smallest number.
        log(width) - 0.5 * (log_cauchy(a) + log_cauchy(b))
    }
}

/// ln ∫ exp(-z²/2) dz.
fn log_mass_normal(a: f64, b: f64, width: f64) -> f64 {
    if a == f64::NEG_INFINITY && b == f64::INFINITY {
        return 0.5 * log(2.0 * PI);
    }
    let integral = LogConcave {
        mode: 0.0,
        longest: 1.0,
        narrow: 1.0,
        rise: |from: f64, step: f64| step * (from + 0.5 * step),
        tail: None,
    };
    let (from, mass) = integral.over(a, b, width);
    log(mass) - 0.5 * from * from
}

/// ln ∫ exp(k t - exp(t)) dt, k > 0.
fn log_mass_gamma(k: f64, a: f64, b: f64, width: f64) -> f64 {
    let integral = LogConcave {
        mode: log(k),
        longest: 0.5,
        narrow: 0.5 / k.max(1.0).sqrt(),
        rise: |from: f64, step: f64| exp(from) * expm1(step) - k * step,
        // exp(t) < 5e-18
        tail: Some(Tail { below: -40.0, rate: k }),
    };
    let (from, mass) = integral.over(a, b, width);
    log(mass) - (exp(from) - k * from)
}

/// Where, and how fast, a density falls exponentially towards -∞.
#[derive(Debug, Clone, Copy)]
struct Tail {
    below: f64,
    rate: f64,
}

/// exp(-E) with a convex E.
struct LogConcave<F> {
    mode: f64,
    /// The longest panel on which Gauss-Legendre integrates exp(-E) to working precision,
    /// provided E changes by no more than [`STEEPEST`].
    longest: f64,
    /// A width, not over `longest`, on which E changes by no more than that around the mode.
    narrow: f64,
    /// E(from + step) - E(from).
    rise: F,
    tail: Option<Tail>,
}

/// How much E may change over a panel.
const STEEPEST: f64 = 2.0;
/// How far E rises before what is left no longer counts: exp(-50) is 2e-22.
const NEGLIGIBLE: f64 = 50.0;

/// Nodes and weights of 12-point Gauss-Legendre quadrature on [-1, 1], the positive half.
const GAUSS_LEGENDRE: [(f64, f64); 6] = [
    (0.125_233_408_511_468_9, 0.249_147_045_813_402_8),
    (0.367_831_498_998_180_2, 0.233_492_536_538_354_8),
    (0.587_317_954_286_617_4, 0.203_167_426_723_065_92),
    (0.769_902_674_194_304_7, 0.160_078_328_543_346_22),
    (0.904_117_256_370_474_9, 0.106_939_325_995_318_43),
    (0.981_560_634_246_719_4, 0.047_175_336_386_511_83),
];

impl<F: Fn(f64, f64) -> f64> LogConcave<F> {
    /// The place of the largest value between the bounds, about, and ∫ exp(-E) in units of the
    /// value there.
    fn over(&self, a: f64, b: f64, width: f64) -> (f64, f64) {
        let from = if b < self.mode {
            b
        } else if a > self.mode || width < self.narrow {
            a
        } else {
            self.mode
        };
        // One bound is where it starts: the whole width lies to one side, and keeps its accuracy.
        let (left, right) = if from == a {
            (0.0, width)
        } else if from == b {
            (width, 0.0)
        } else {
            (from - a, b - from)
        };
        (from, self.side(from, -1.0, left) + self.side(from, 1.0, right))
    }

    /// ∫ exp(-(E(from + t) - E(from))) |dt| over `length` in a direction in which E rises.
    fn side(&self, from: f64, direction: f64, length: f64) -> f64 {
        let rise = |distance: f64| (self.rise)(from, direction * distance);
        let mut sum = 0.0;
        let mut start = 0.0;
        let mut panel = self.longest;
        while start < length && rise(start) < NEGLIGIBLE {
            if let Some(tail) = self.tail
                && direction < 0.0
                && from - start < tail.below
            {
                let rest = -expm1(-tail.rate * (length - start)) / tail.rate;
                return sum + exp(-rise(start)) * rest;
            }
            panel = (2.0 * panel).min(self.longest).min(length - start);
            while rise(start + panel) - rise(start) > STEEPEST {
                panel *= 0.5;
            }
            let half = 0.5 * panel;
            let middle = start + half;
            for (node, weight) in GAUSS_LEGENDRE {
                let values = exp(-rise(middle - half * node)) + exp(-rise(middle + half * node));
                sum += weight * half * values;
            }
            start = if panel == length - start { length } else { start + panel };
        }
        sum
    }
}
