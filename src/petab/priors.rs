//! Prior distributions of parameters: which ones PEtab knows and what their numbers mean.

use super::FormatVersion;
use super::error::{Fault, PetabError};
use super::table::{Column, Row, Subject, parse_number};

/// On which value of the parameter a prior acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PriorSpace {
    /// The parameter itself, in the model's units.
    Linear,
    /// The value on the parameter's scale, θ (v1 `parameterScale*` only). The density is one of
    /// θ: there is no factor dθ/dp.
    ParameterScale,
}

/// A distribution with its numbers, all of them finite but bounds.
///
/// `Log*` are distributions of p whose natural logarithm is distributed as named; their numbers
/// are those of ln p, except for the bounds of `LogUniform`, which are values of p.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Distribution {
    /// lower < upper.
    Uniform { lower: f64, upper: f64 },
    /// sd > 0.
    Normal { mean: f64, sd: f64 },
    /// scale > 0; density exp(-|x - location|/scale)/(2 scale).
    Laplace { location: f64, scale: f64 },
    /// 0 < lower < upper (v2).
    LogUniform { lower: f64, upper: f64 },
    /// sd > 0.
    LogNormal { mean: f64, sd: f64 },
    /// scale > 0.
    LogLaplace { location: f64, scale: f64 },
    /// scale > 0 (v2).
    Cauchy { location: f64, scale: f64 },
    /// Degrees of freedom > 0 (v2).
    ChiSquare { degrees: f64 },
    /// scale > 0, the mean (v2).
    Exponential { scale: f64 },
    /// shape > 0, scale > 0; mean shape * scale (v2).
    Gamma { shape: f64, scale: f64 },
    /// scale > 0 (v2).
    Rayleigh { scale: f64 },
}

/// A prior of one parameter.
///
/// In a v2 problem it is truncated at the parameter's bounds and renormalised; in v1 it is not
/// (PEtab v2, "Parameters table"; v1 leaves it open and its tools do not).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prior {
    pub space: PriorSpace,
    pub distribution: Distribution,
}

/// Kinds of distribution before their numbers are read.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Uniform,
    Normal,
    Laplace,
    LogUniform,
    LogNormal,
    LogLaplace,
    Cauchy,
    ChiSquare,
    Exponential,
    Gamma,
    Rayleigh,
}

const V1_TYPES: &str = "uniform, normal, laplace, logNormal, logLaplace, parameterScaleUniform, \
                        parameterScaleNormal or parameterScaleLaplace";
const V2_TYPES: &str = "cauchy, chisquare, exponential, gamma, laplace, log-laplace, log-normal, \
                        log-uniform, normal, rayleigh or uniform";

fn kind_of(name: &str, format: FormatVersion) -> Option<(Kind, PriorSpace)> {
    use PriorSpace::{Linear, ParameterScale};
    Some(match (format, name) {
        (_, "uniform") => (Kind::Uniform, Linear),
        (_, "normal") => (Kind::Normal, Linear),
        (_, "laplace") => (Kind::Laplace, Linear),
        (FormatVersion::V1, "logNormal") => (Kind::LogNormal, Linear),
        (FormatVersion::V1, "logLaplace") => (Kind::LogLaplace, Linear),
        (FormatVersion::V1, "parameterScaleUniform") => (Kind::Uniform, ParameterScale),
        (FormatVersion::V1, "parameterScaleNormal") => (Kind::Normal, ParameterScale),
        (FormatVersion::V1, "parameterScaleLaplace") => (Kind::Laplace, ParameterScale),
        (FormatVersion::V2, "log-normal") => (Kind::LogNormal, Linear),
        (FormatVersion::V2, "log-laplace") => (Kind::LogLaplace, Linear),
        (FormatVersion::V2, "log-uniform") => (Kind::LogUniform, Linear),
        (FormatVersion::V2, "cauchy") => (Kind::Cauchy, Linear),
        (FormatVersion::V2, "chisquare") => (Kind::ChiSquare, Linear),
        (FormatVersion::V2, "exponential") => (Kind::Exponential, Linear),
        (FormatVersion::V2, "gamma") => (Kind::Gamma, Linear),
        (FormatVersion::V2, "rayleigh") => (Kind::Rayleigh, Linear),
        _ => return None,
    })
}

/// Names of a distribution's numbers.
fn roles(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Uniform | Kind::LogUniform => &["lower bound", "upper bound"],
        Kind::Normal | Kind::LogNormal => &["mean", "standard deviation"],
        Kind::Laplace | Kind::LogLaplace | Kind::Cauchy => &["location", "scale"],
        Kind::ChiSquare => &["degrees of freedom"],
        Kind::Exponential | Kind::Rayleigh => &["scale"],
        Kind::Gamma => &["shape", "scale"],
    }
}

/// The type that v1 parameters have where none is given.
const DEFAULT_TYPE: &str = "parameterScaleUniform";

/// Reads the prior of a row from its type and parameter columns; nothing where both are empty.
/// Without numbers v1's default type extends over the bounds on the parameter's scale.
///
/// # Errors
/// An unknown type, a wrong number of parameters, text that is no number, or numbers for which
/// the distribution is not defined.
pub(super) fn read(
    row: Row<'_>,
    [type_column, parameters_column]: [Column; 2],
    subject: Subject<'_>,
    format: FormatVersion,
    (lower, upper): (f64, f64),
) -> Result<Option<Prior>, PetabError> {
    let name = match (row.get(type_column), row.get(parameters_column)) {
        (None, None) => return Ok(None),
        (None, Some(_)) if format == FormatVersion::V2 => {
            let expected = "a distribution, as parameters are given";
            return Err(row.fail(subject, type_column.name, Fault::Missing { expected }));
        }
        (name, _) => name.unwrap_or(DEFAULT_TYPE),
    };
    let Some((kind, space)) = kind_of(name, format) else {
        let expected = if format == FormatVersion::V1 { V1_TYPES } else { V2_TYPES };
        let fault = Fault::Invalid { found: name.to_owned(), expected };
        return Err(row.fail(subject, type_column.name, fault));
    };
    let fail = |fault| row.fail(subject, parameters_column.name, fault);
    let Some(text) = row.get(parameters_column) else {
        if name == DEFAULT_TYPE {
            return Ok(Some(Prior { space, distribution: Distribution::Uniform { lower, upper } }));
        }
        return Err(fail(Fault::Missing { expected: "the prior's parameters, separated by `;`" }));
    };
    let mut numbers = Vec::new();
    for part in text.split(';').map(str::trim) {
        let number = parse_number(part).filter(|number| number.is_finite());
        let expected = "finite numbers separated by `;`";
        numbers
            .push(number.ok_or_else(|| fail(Fault::Invalid { found: text.to_owned(), expected }))?);
    }
    let expected = if roles(kind).len() == 1 { "1 number" } else { "2 numbers" };
    let distribution = build(kind, &numbers).ok_or_else(|| {
        let found = numbers.len();
        fail(Fault::PriorCount { prior: name.to_owned(), expected, found })
    })?;
    check(kind, name, &numbers).map_err(fail)?;
    Ok(Some(Prior { space, distribution }))
}

/// The distribution, if there are as many numbers as it takes.
fn build(kind: Kind, numbers: &[f64]) -> Option<Distribution> {
    use Distribution as D;
    Some(match (kind, numbers) {
        (Kind::Uniform, &[lower, upper]) => D::Uniform { lower, upper },
        (Kind::LogUniform, &[lower, upper]) => D::LogUniform { lower, upper },
        (Kind::Normal, &[mean, sd]) => D::Normal { mean, sd },
        (Kind::LogNormal, &[mean, sd]) => D::LogNormal { mean, sd },
        (Kind::Laplace, &[location, scale]) => D::Laplace { location, scale },
        (Kind::LogLaplace, &[location, scale]) => D::LogLaplace { location, scale },
        (Kind::Cauchy, &[location, scale]) => D::Cauchy { location, scale },
        (Kind::Gamma, &[shape, scale]) => D::Gamma { shape, scale },
        (Kind::ChiSquare, &[degrees]) => D::ChiSquare { degrees },
        (Kind::Exponential, &[scale]) => D::Exponential { scale },
        (Kind::Rayleigh, &[scale]) => D::Rayleigh { scale },
        _ => return None,
    })
}

/// Bounds must be in order (and positive for log-uniform), everything but means and locations
/// positive.
fn check(kind: Kind, name: &str, numbers: &[f64]) -> Result<(), Fault> {
    let fault = |what, value, expected| Fault::PriorParameter {
        prior: name.to_owned(),
        what,
        value,
        expected,
    };
    if let (Kind::Uniform | Kind::LogUniform, &[lower, upper]) = (kind, numbers) {
        if kind == Kind::LogUniform && lower <= 0.0 {
            return Err(fault("lower bound", lower, "a positive number"));
        }
        if upper <= lower {
            return Err(fault("upper bound", upper, "a number above the lower bound"));
        }
        return Ok(());
    }
    for (role, value) in roles(kind).iter().zip(numbers) {
        if !matches!(*role, "mean" | "location") && *value <= 0.0 {
            return Err(fault(role, *value, "a positive number"));
        }
    }
    Ok(())
}
