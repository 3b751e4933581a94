//! Objective priors: the negative log density of the estimated parameters, its derivative, and
//! differences between two points without cancellation.
//!
//! Sources: PEtab v1 specification, "Parameter table" (the types and what they act on), and PEtab
//! v2, "Parameters table" (the distributions, truncation at the bounds). Densities carry all their
//! constants; a parameter without a prior contributes 0. There is no Jacobian of the parameter
//! scale: a prior on the linear value is a density of p, one on the parameter scale one of θ,
//! whichever of them is estimated.
//!
//! A density is kept as exp(-E(x)) / N with an energy E and N = ∫ exp(-E) over the support, which
//! is cut to the parameter's bounds in v2. With z = (x - location) / scale:
//!
//! | distribution | E(x) | N, whole support |
//! |---|---|---|
//! | uniform | 0 | b - a |
//! | normal | z²/2 | √(2π) s |
//! | laplace | \|z\| | 2 s |
//! | cauchy | ln(1 + z²) | π s |
//! | exponential | z | s |
//! | gamma(k, s) | z - (k - 1) ln z | Γ(k) s |
//! | chisquare(ν) | that of gamma(ν/2, 2) | |
//! | rayleigh | z²/2 - ln z | s |
//! | log-… | ln x + E(ln x) | that of ln x |

mod mass;

use crate::elementary::{log, log1p};
use crate::graph::sign;
use crate::index::ParameterIdx;
use crate::petab::{
    Distribution, FormatVersion, Parameter, ParameterScale, Prior, PriorSpace, Problem,
};
use mass::log_mass;

/// A value of a parameter: on its scale, and linear.
pub type Coordinate = (f64, f64);

/// An energy as in the module's table, less what a logarithmic variable adds.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kernel {
    Flat,
    Normal { mean: f64, sd: f64 },
    Laplace { location: f64, scale: f64 },
    Cauchy { location: f64, scale: f64 },
    Exponential { scale: f64 },
    Gamma { shape: f64, scale: f64 },
    Rayleigh { scale: f64 },
}

/// What a distribution's kernel acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variable {
    /// The value on the parameter's scale.
    Theta,
    /// The linear value.
    P,
    /// The logarithm of the linear value; the density of p has the further factor 1/p.
    LogP,
}

/// A density on a parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Density {
    kernel: Kernel,
    variable: Variable,
    /// ln N.
    log_norm: f64,
    /// On the parameter's scale, so that a bound is inside however p was rounded.
    support: (f64, f64),
}

/// What one parameter's prior adds to the objective.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PriorTerm {
    density: Option<Density>,
    scale: ParameterScale,
}

/// ln(a / b) for positive numbers, to full relative accuracy however close they are.
fn log_ratio(a: f64, b: f64) -> f64 {
    let relative = (a - b) / b;
    if relative.abs() < 0.5 { log1p(relative) } else { log(a) - log(b) }
}

/// ln(1 + z²), also where z² overflows.
fn log_cauchy(z: f64) -> f64 {
    if z.abs() < 1e9 { log1p(z * z) } else { 2.0 * log(z.abs()) }
}

/// |z₊| - |z₋| from the z and their difference.
fn difference_of_moduli(plus: f64, minus: f64, dz: f64) -> f64 {
    if plus >= 0.0 && minus >= 0.0 {
        dz
    } else if plus <= 0.0 && minus <= 0.0 {
        -dz
    } else {
        plus.abs() - minus.abs()
    }
}

impl Kernel {
    fn energy(self, x: f64) -> f64 {
        match self {
            Self::Flat => 0.0,
            Self::Normal { mean, sd } => {
                let z = (x - mean) / sd;
                0.5 * z * z
            }
            Self::Laplace { location, scale } => ((x - location) / scale).abs(),
            Self::Cauchy { location, scale } => log_cauchy((x - location) / scale),
            Self::Exponential { scale } => x / scale,
            Self::Gamma { shape: 1.0, scale } => x / scale,
            Self::Gamma { shape, scale } => x / scale - (shape - 1.0) * log(x / scale),
            Self::Rayleigh { scale } => {
                let z = x / scale;
                0.5 * z * z - log(z)
            }
        }
    }

    /// dE/dx.
    fn slope(self, x: f64) -> f64 {
        match self {
            Self::Flat => 0.0,
            Self::Normal { mean, sd } => (x - mean) / sd / sd,
            Self::Laplace { location, scale } => sign(x - location) / scale,
            Self::Cauchy { location, scale } => {
                let z = (x - location) / scale;
                // 2z/(1 + z²), whose square may overflow.
                let ratio = if z.abs() < 1.0 { z / (1.0 + z * z) } else { 1.0 / (z + 1.0 / z) };
                2.0 * ratio / scale
            }
            Self::Exponential { scale } | Self::Gamma { shape: 1.0, scale } => 1.0 / scale,
            Self::Gamma { shape, scale } => 1.0 / scale - (shape - 1.0) / x,
            Self::Rayleigh { scale } => x / scale / scale - 1.0 / x,
        }
    }

    /// d²E/dx².
    fn curvature(self, x: f64) -> f64 {
        match self {
            Self::Flat
            | Self::Laplace { .. }
            | Self::Exponential { .. }
            | Self::Gamma { shape: 1.0, .. } => 0.0,
            Self::Normal { sd, .. } => 1.0 / sd / sd,
            Self::Cauchy { location, scale } => {
                let z = (x - location) / scale;
                // 2(1 − z²)/(1 + z²)², whose squares may overflow.
                let ratio = if z.abs() < 1.0 {
                    let sum = 1.0 + z * z;
                    (1.0 - z * z) / (sum * sum)
                } else {
                    let w = 1.0 / (z * z);
                    w * (w - 1.0) / ((1.0 + w) * (1.0 + w))
                };
                2.0 * ratio / scale / scale
            }
            Self::Gamma { shape, .. } => (shape - 1.0) / x / x,
            Self::Rayleigh { scale } => 1.0 / scale / scale + 1.0 / x / x,
        }
    }

    /// E(plus) - E(minus), given plus - minus = `dx`.
    fn difference(self, plus: f64, minus: f64, dx: f64) -> f64 {
        let standard = |location: f64, scale: f64| {
            ((plus - location) / scale, (minus - location) / scale, dx / scale)
        };
        match self {
            Self::Flat => 0.0,
            Self::Normal { mean, sd } => {
                let (z_plus, z_minus, dz) = standard(mean, sd);
                0.5 * dz * (z_plus + z_minus)
            }
            Self::Laplace { location, scale } => {
                let (z_plus, z_minus, dz) = standard(location, scale);
                difference_of_moduli(z_plus, z_minus, dz)
            }
            Self::Cauchy { location, scale } => {
                let (z_plus, z_minus, dz) = standard(location, scale);
                // (1 + z₊²)/(1 + z₋²) - 1
                let relative = dz * ((z_plus + z_minus) / (1.0 + z_minus * z_minus));
                if relative.abs() < 0.5 && z_minus.abs() < 1e150 {
                    log1p(relative)
                } else {
                    log_cauchy(z_plus) - log_cauchy(z_minus)
                }
            }
            Self::Exponential { scale } | Self::Gamma { shape: 1.0, scale } => dx / scale,
            Self::Gamma { shape, scale } => dx / scale - (shape - 1.0) * log_ratio(plus, minus),
            Self::Rayleigh { scale } => {
                let (z_plus, z_minus, dz) = standard(0.0, scale);
                0.5 * dz * (z_plus + z_minus) - log_ratio(plus, minus)
            }
        }
    }
}

/// Kernel and variable of a distribution, and where it is defined.
fn shape_of(distribution: Distribution, space: PriorSpace) -> (Kernel, Variable, (f64, f64)) {
    use Distribution as D;
    let itself = match space {
        PriorSpace::Linear => Variable::P,
        PriorSpace::ParameterScale => Variable::Theta,
    };
    let all = (f64::NEG_INFINITY, f64::INFINITY);
    let positive = (0.0, f64::INFINITY);
    match distribution {
        D::Uniform { lower, upper } => (Kernel::Flat, itself, (lower, upper)),
        D::Normal { mean, sd } => (Kernel::Normal { mean, sd }, itself, all),
        D::Laplace { location, scale } => (Kernel::Laplace { location, scale }, itself, all),
        D::Cauchy { location, scale } => (Kernel::Cauchy { location, scale }, itself, all),
        D::Exponential { scale } => (Kernel::Exponential { scale }, itself, positive),
        D::Gamma { shape, scale } => (Kernel::Gamma { shape, scale }, itself, positive),
        D::ChiSquare { degrees } => {
            (Kernel::Gamma { shape: 0.5 * degrees, scale: 2.0 }, itself, positive)
        }
        D::Rayleigh { scale } => (Kernel::Rayleigh { scale }, itself, positive),
        D::LogUniform { lower, upper } => (Kernel::Flat, Variable::LogP, (lower, upper)),
        D::LogNormal { mean, sd } => (Kernel::Normal { mean, sd }, Variable::LogP, positive),
        D::LogLaplace { location, scale } => {
            (Kernel::Laplace { location, scale }, Variable::LogP, positive)
        }
    }
}

/// The value on the scale, -inf for what is not in the range of p at all.
fn bound_on(scale: ParameterScale, p: f64) -> f64 {
    if scale == ParameterScale::Lin || p > 0.0 { scale.scale(p) } else { f64::NEG_INFINITY }
}

impl Density {
    /// The density of `prior`, cut to `bounds` of the variable and renormalised.
    fn new(prior: &Prior, scale: ParameterScale, bounds: (f64, f64)) -> Self {
        let (kernel, variable, own) = shape_of(prior.distribution, prior.space);
        let (low, high) = (own.0.max(bounds.0), own.1.min(bounds.1));
        let support = match variable {
            Variable::Theta => (low, high),
            Variable::P | Variable::LogP => (bound_on(scale, low), bound_on(scale, high)),
        };
        if bounds.0 == bounds.1 && low == high {
            // A point mass: certain, and without a density.
            return Self { kernel: Kernel::Flat, variable: Variable::P, log_norm: 0.0, support };
        }
        if low >= high {
            // No mass between the bounds; no value is inside.
            let support = (f64::INFINITY, f64::NEG_INFINITY);
            return Self { kernel, variable, log_norm: 0.0, support };
        }
        let log_norm = match variable {
            Variable::Theta | Variable::P => log_mass(kernel, low, high, high - low),
            Variable::LogP => {
                let width = if low > 0.0 && high < f64::INFINITY {
                    log_ratio(high, low)
                } else {
                    f64::INFINITY
                };
                log_mass(kernel, log(low), log(high), width)
            }
        };
        Self { kernel, variable, log_norm, support }
    }

    fn contains(&self, (theta, p): Coordinate) -> bool {
        let defined = self.variable != Variable::LogP || p > 0.0;
        defined && self.support.0 <= theta && theta <= self.support.1
    }
}

impl PriorTerm {
    /// The prior of a parameter that is estimated; nothing for one that is fixed or has none.
    ///
    /// In v2 the density is truncated at the bounds: divided by CDF(upper) - CDF(lower), and 0
    /// beyond them. Where the bounds are one and the same value it adds 0 there; where they leave
    /// the prior no mass the objective is infinite everywhere.
    pub fn new(parameter: &Parameter, format: FormatVersion) -> Self {
        let scale = parameter.scale;
        let bounds = match format {
            FormatVersion::V1 => (f64::NEG_INFINITY, f64::INFINITY),
            FormatVersion::V2 => (parameter.lower_bound, parameter.upper_bound),
        };
        let prior = parameter.objective_prior.as_ref().filter(|_| parameter.estimated);
        Self { density: prior.map(|prior| Density::new(prior, scale, bounds)), scale }
    }

    /// Whether there is no prior: all results are 0.
    pub fn is_absent(&self) -> bool {
        self.density.is_none()
    }

    /// -ln π; infinite outside the support, where π is 0. `p_linear` is the linear value of
    /// `theta_scaled`.
    ///
    /// Within some 1e-15 of the largest of the terms E(x), ln N and, in the far tail of a
    /// truncated normal or gamma, E at the nearest bound.
    pub fn value(&self, theta_scaled: f64, p_linear: f64) -> f64 {
        let Some(density) = &self.density else { return 0.0 };
        if theta_scaled.is_nan() || p_linear.is_nan() {
            return f64::NAN;
        }
        if !density.contains((theta_scaled, p_linear)) {
            return f64::INFINITY;
        }
        let kernel = density.kernel;
        density.log_norm
            + match density.variable {
                Variable::Theta => kernel.energy(theta_scaled),
                Variable::P => kernel.energy(p_linear),
                Variable::LogP => {
                    let u = log(p_linear);
                    u + kernel.energy(u)
                }
            }
    }

    /// d(-ln π)/dθ: the derivative of [`value`](Self::value) with respect to the scaled
    /// parameter. At the kink of a (log-)Laplace prior the mean of both sides, on a bound the
    /// side within; NaN outside the support.
    pub fn derivative(&self, theta_scaled: f64, p_linear: f64) -> f64 {
        let Some(density) = &self.density else { return 0.0 };
        if !density.contains((theta_scaled, p_linear)) {
            return f64::NAN;
        }
        let kernel = density.kernel;
        let dp_dtheta = self.scale.derivative(p_linear);
        match density.variable {
            Variable::Theta => kernel.slope(theta_scaled),
            Variable::P => kernel.slope(p_linear) * dp_dtheta,
            Variable::LogP => (1.0 + kernel.slope(log(p_linear))) * (dp_dtheta / p_linear),
        }
    }

    /// d²(-ln π)/dθ²: of each side of a kink; NaN outside the support.
    pub fn second_derivative(&self, theta_scaled: f64, p_linear: f64) -> f64 {
        let Some(density) = &self.density else { return 0.0 };
        if !density.contains((theta_scaled, p_linear)) {
            return f64::NAN;
        }
        let kernel = density.kernel;
        let dp = self.scale.derivative(p_linear);
        match density.variable {
            Variable::Theta => kernel.curvature(theta_scaled),
            Variable::P => {
                kernel.curvature(p_linear) * dp * dp
                    + kernel.slope(p_linear) * self.scale.second_derivative(p_linear)
            }
            Variable::LogP => {
                let (u, du) = (log(p_linear), dp / p_linear);
                // ln p is linear in θ on either logarithmic scale.
                let d2u = if self.scale == ParameterScale::Lin { -du * du } else { 0.0 };
                kernel.curvature(u) * du * du + (1.0 + kernel.slope(u)) * d2u
            }
        }
    }

    /// value(plus) - value(minus), formed from the differences of what the prior acts on: the
    /// constants never enter, nor is anything added that is taken away again. NaN where both are
    /// outside the support.
    ///
    /// Exact to some ulp of the larger one of the energy's terms (see the module), the linear
    /// values being taken as exact. A prior on θ takes its step from them, too
    /// ([`ParameterScale::distance`]): the step that a probe really took.
    pub fn difference(&self, plus: Coordinate, minus: Coordinate) -> f64 {
        let Some(density) = &self.density else { return 0.0 };
        if !(density.contains(plus) && density.contains(minus)) {
            return self.value(plus.0, plus.1) - self.value(minus.0, minus.1);
        }
        let kernel = density.kernel;
        match density.variable {
            Variable::Theta => {
                let step = self.scale.distance(plus.1, minus.1);
                // Over a long step nothing cancels, and linear values may over- or underflow.
                let step = if step.abs() < 0.5 { step } else { plus.0 - minus.0 };
                kernel.difference(plus.0, minus.0, step)
            }
            Variable::P => kernel.difference(plus.1, minus.1, plus.1 - minus.1),
            Variable::LogP => {
                let step = log_ratio(plus.1, minus.1);
                step + kernel.difference(log(plus.1), log(minus.1), step)
            }
        }
    }
}

/// The priors of all estimated parameters, in the order of a point's coordinates.
#[derive(Debug, Clone, PartialEq)]
pub struct Priors {
    terms: Vec<PriorTerm>,
}

impl Priors {
    /// Those of a problem, in the order of [`Problem::estimated`].
    pub fn new(problem: &Problem) -> Self {
        let terms = problem.estimated().map(|parameter| PriorTerm::new(parameter, problem.format));
        Self { terms: terms.collect() }
    }

    /// None, for the estimated parameters of a problem.
    pub fn absent(problem: &Problem) -> Self {
        let none = |parameter: &Parameter| PriorTerm { density: None, scale: parameter.scale };
        Self { terms: problem.estimated().map(none).collect() }
    }

    /// Whether no parameter has one: the objective is the likelihood alone.
    pub fn are_absent(&self) -> bool {
        self.terms.iter().all(PriorTerm::is_absent)
    }

    /// One for each estimated parameter.
    pub fn terms(&self) -> &[PriorTerm] {
        &self.terms
    }

    /// -Σ ln π at a point. Infinite as soon as one parameter is outside its support (NaN if a
    /// coordinate is, or if another density is infinite).
    pub fn value(&self, theta: &[f64], linear: &[f64]) -> f64 {
        debug_assert!(theta.len() == self.terms.len() && linear.len() == self.terms.len());
        let points = theta.iter().zip(linear);
        self.terms.iter().zip(points).map(|(term, (&theta, &p))| term.value(theta, p)).sum()
    }

    /// Adds the derivatives with respect to the scaled parameters to a gradient.
    pub fn add_gradient(&self, theta: &[f64], linear: &[f64], gradient: &mut [f64]) {
        debug_assert!(theta.len() == self.terms.len() && linear.len() == self.terms.len());
        debug_assert_eq!(gradient.len(), self.terms.len());
        let points = theta.iter().zip(linear);
        for ((term, (&theta, &p)), entry) in self.terms.iter().zip(points).zip(gradient) {
            *entry += term.derivative(theta, p);
        }
    }

    /// What moving one parameter, and no other, changes; see [`PriorTerm::difference`].
    pub fn difference(&self, parameter: ParameterIdx, plus: Coordinate, minus: Coordinate) -> f64 {
        self.terms[parameter.position()].difference(plus, minus)
    }
}
