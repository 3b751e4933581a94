//! Random points from the distributions that the parameter table gives.

use super::sample::{bounds_fault, draws};
use super::{Points, StartpointError};
use crate::model::EstimatedParameter;
use crate::petab::{Distribution, FormatVersion, Parameter, Prior, PriorSpace, Problem};
use statrs::distribution::{
    Cauchy, ChiSquared, ContinuousCDF, Exp, Gamma, Laplace, Normal, Uniform,
};

/// Draws points `first` to `first + count - 1` of the seed as the parameter table says: in v1 by
/// the initialisation priors, samples beyond the bounds being put on them; in v2 by the priors,
/// truncated at the bounds. Parameters without one are drawn as by [`random`](super::random).
///
/// Each coordinate is the quantile of the number that [`random`](super::random) would have
/// scaled to the bounds.
///
/// # Errors
/// Those of [`random`](super::random), of parameters without a prior.
pub fn random_from_priors(
    problem: &Problem,
    parameters: &[EstimatedParameter],
    count: usize,
    first: usize,
    seed: u64,
) -> Result<Points, StartpointError> {
    let table: Vec<&Parameter> = problem.estimated().collect();
    let prior_of = |row: &Parameter| match problem.format {
        FormatVersion::V1 => row.initialization_prior,
        FormatVersion::V2 => row.objective_prior,
    };
    for (parameter, row) in parameters.iter().zip(&table) {
        if prior_of(row).is_none() {
            bounds_fault(parameter)?;
        }
    }
    let numbers = || (first..).take(count);
    let point = |number: usize| {
        let fractions = draws(seed, number as u64, parameters.len());
        let rows = parameters.iter().zip(&table).zip(fractions);
        rows.map(|((parameter, row), u)| coordinate(parameter, prior_of(row), u, problem.format))
            .collect()
    };
    Ok(Points {
        ids: numbers().map(|number| number.to_string()).collect(),
        theta_scaled: numbers().map(point).collect(),
    })
}

/// The coordinate on the parameter scale for a number in [0, 1).
fn coordinate(
    parameter: &EstimatedParameter,
    prior: Option<Prior>,
    u: f64,
    format: FormatVersion,
) -> f64 {
    let (lower, upper) = (parameter.lower_scaled, parameter.upper_scaled);
    let Some(Prior { space, distribution }) = prior else {
        return (lower + u * (upper - lower)).min(upper);
    };
    // The space that the distribution is one of: θ, p or ln p.
    let is_log = matches!(
        distribution,
        Distribution::LogUniform { .. }
            | Distribution::LogNormal { .. }
            | Distribution::LogLaplace { .. }
    );
    let from_linear = |p: f64| if is_log { p.max(0.0).ln() } else { p };
    let to_own_space = |theta: f64| match space {
        PriorSpace::ParameterScale => theta,
        PriorSpace::Linear => from_linear(parameter.scale.unscale(theta)),
    };
    let to_scale = |x: f64| match space {
        PriorSpace::ParameterScale => x,
        PriorSpace::Linear => parameter.scale.scale(if is_log { x.exp() } else { x }),
    };
    let drawn = match format {
        FormatVersion::V1 => quantile(distribution, u),
        FormatVersion::V2 => {
            let [low, high] = [lower, upper].map(|theta| cdf(distribution, to_own_space(theta)));
            quantile(distribution, low + u * (high - low))
        }
    };
    // A linear draw below 0 has no logarithm: NaN, which becomes the lower bound.
    let theta = to_scale(drawn);
    if theta >= lower { theta.min(upper) } else { lower }
}

/// The distribution in its own space: of ln p where it is a logarithmic one.
fn cdf(distribution: Distribution, x: f64) -> f64 {
    with(
        distribution,
        |d| d.cdf(x),
        |scale| match x > 0.0 {
            true => -(-0.5 * (x / scale) * (x / scale)).exp_m1(),
            false => 0.0,
        },
    )
}

fn quantile(distribution: Distribution, u: f64) -> f64 {
    // The ends may be infinite.
    let u = u.clamp(f64::EPSILON, 1.0 - f64::EPSILON);
    with(distribution, |d| d.inverse_cdf(u), |scale| scale * (-2.0 * (-u).ln_1p()).sqrt())
}

/// Applies one of two functions: to a distribution of statrs, or to the scale of a Rayleigh
/// distribution, which it lacks. Numbers have been checked when the table was read.
fn with(
    distribution: Distribution,
    of: impl Fn(&dyn ContinuousCDF<f64, f64>) -> f64,
    of_rayleigh: impl Fn(f64) -> f64,
) -> f64 {
    const CHECKED: &str = "numbers of a prior are checked when they are read";
    match distribution {
        Distribution::Uniform { lower, upper } => of(&Uniform::new(lower, upper).expect(CHECKED)),
        Distribution::LogUniform { lower, upper } => {
            of(&Uniform::new(lower.ln(), upper.ln()).expect(CHECKED))
        }
        Distribution::Normal { mean, sd } | Distribution::LogNormal { mean, sd } => {
            of(&Normal::new(mean, sd).expect(CHECKED))
        }
        Distribution::Laplace { location, scale }
        | Distribution::LogLaplace { location, scale } => {
            of(&Laplace::new(location, scale).expect(CHECKED))
        }
        Distribution::Cauchy { location, scale } => {
            of(&Cauchy::new(location, scale).expect(CHECKED))
        }
        Distribution::ChiSquare { degrees } => of(&ChiSquared::new(degrees).expect(CHECKED)),
        Distribution::Exponential { scale } => of(&Exp::new(1.0 / scale).expect(CHECKED)),
        Distribution::Gamma { shape, scale } => of(&Gamma::new(shape, 1.0 / scale).expect(CHECKED)),
        Distribution::Rayleigh { scale } => of_rayleigh(scale),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::petab::ParameterScale;

    fn parameter(scale: ParameterScale, lower: f64, upper: f64) -> EstimatedParameter {
        EstimatedParameter {
            id: "k".to_owned(),
            scale,
            lower_scaled: lower,
            upper_scaled: upper,
            nominal_scaled: None,
        }
    }

    fn linear(distribution: Distribution) -> Option<Prior> {
        Some(Prior { space: PriorSpace::Linear, distribution })
    }

    /// Quantiles by closed forms: normal from tables (0.6744897501960817 at 3/4), Laplace
    /// scale·ln 2 at 3/4, Cauchy scale at 3/4, exponential −scale·ln(1 − u), Rayleigh
    /// scale·√(−2 ln(1 − u)).
    #[test]
    fn quartiles() {
        let wide = parameter(ParameterScale::Lin, f64::NEG_INFINITY, f64::INFINITY);
        let ln4 = 4.0_f64.ln();
        for (distribution, expected) in [
            (Distribution::Uniform { lower: -1.0, upper: 3.0 }, 2.0),
            (Distribution::Normal { mean: 1.0, sd: 2.0 }, 1.0 + 2.0 * 0.6744897501960817),
            (Distribution::Laplace { location: 1.0, scale: 2.0 }, 1.0 + 2.0 * 2.0_f64.ln()),
            (Distribution::Cauchy { location: 1.0, scale: 2.0 }, 3.0),
            (Distribution::Exponential { scale: 2.0 }, 2.0 * ln4),
            // Two degrees of freedom: exponential of scale 2; shape 1: exponential.
            (Distribution::ChiSquare { degrees: 2.0 }, 2.0 * ln4),
            (Distribution::Gamma { shape: 1.0, scale: 3.0 }, 3.0 * ln4),
            (Distribution::Rayleigh { scale: 2.0 }, 2.0 * (2.0 * ln4).sqrt()),
            (Distribution::LogNormal { mean: 0.0, sd: 1.0 }, 0.6744897501960817_f64.exp()),
            (Distribution::LogUniform { lower: 1.0, upper: 16.0 }, 8.0),
        ] {
            for format in [FormatVersion::V1, FormatVersion::V2] {
                let found = coordinate(&wide, linear(distribution), 0.75, format);
                // statrs inverts some by bisection, to about 1e-8.
                assert!((found - expected).abs() < 1e-7 * expected, "{distribution:?}: {found}");
            }
        }
    }

    #[test]
    fn bounds_cut_in_v1_and_truncate_in_v2() {
        let log10 = parameter(ParameterScale::Log10, 0.0, 1.0);
        let normal = linear(Distribution::Normal { mean: 1.0, sd: 10.0 });
        let of = |u, format| coordinate(&log10, normal, u, format);
        // A quarter of the mass lies at or below -5.7: on the lower bound, p = 1.
        assert_eq!(of(0.25, FormatVersion::V1), 0.0);
        assert_eq!(of(0.99, FormatVersion::V1), 1.0);
        // Half of the mass between p = 1 (the mean) and 10: Φ⁻¹ of 1/2 + (Φ(0.9) − 1/2)/2, with
        // Φ(0.9) = 0.8159398746532405 and Φ⁻¹(0.6579699373266203) = 0.40690787… (bisected by hand).
        let z = (10_f64.powf(of(0.5, FormatVersion::V2)) - 1.0) / 10.0;
        let half = 0.5 * (0.5 + 0.8159398746532405);
        let reached = Normal::new(0.0, 1.0).unwrap().cdf(z);
        assert!((reached - half).abs() < 1e-9, "{z}");
        let on_scale = Some(Prior {
            space: PriorSpace::ParameterScale,
            distribution: Distribution::Uniform { lower: 0.2, upper: 0.6 },
        });
        assert!((coordinate(&log10, on_scale, 0.5, FormatVersion::V1) - 0.4).abs() < 1e-15);
    }
}
