//! The parameter table.

use super::error::{Fault, PetabError, Place};
use super::formula::is_reserved;
use super::priors::{self, Distribution, Prior, PriorSpace};
use super::table::{Row, Subject, Table};
use super::{FormatVersion, Ids};

/// How a parameter is transformed for estimation (v1; always `Lin` in v2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterScale {
    /// θ = p.
    Lin,
    /// θ = ln p.
    Log,
    /// θ = log10 p.
    Log10,
}

impl ParameterScale {
    /// From the linear value p to θ; not finite where p has no logarithm.
    pub fn scale(self, p: f64) -> f64 {
        match self {
            Self::Lin => p,
            Self::Log => p.ln(),
            Self::Log10 => p.log10(),
        }
    }

    /// From θ to the linear value p.
    pub fn unscale(self, theta: f64) -> f64 {
        match self {
            Self::Lin => theta,
            Self::Log => theta.exp(),
            Self::Log10 => 10f64.powf(theta),
        }
    }

    /// PEtab's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lin => "lin",
            Self::Log => "log",
            Self::Log10 => "log10",
        }
    }
}

/// A row of the parameter table. Values and bounds are linear, in the model's units.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    pub id: String,
    /// `parameterName`; for people only.
    pub name: Option<String>,
    pub scale: ParameterScale,
    /// -inf where absent (allowed for fixed parameters only) or unbounded.
    pub lower_bound: f64,
    /// inf where absent (allowed for fixed parameters only) or unbounded. May equal
    /// `lower_bound`.
    pub upper_bound: f64,
    /// `nominalValue`; always there for fixed parameters. May lie outside the bounds,
    /// even where the scale has no value for it (0 with log10).
    pub nominal: Option<f64>,
    pub estimated: bool,
    /// The prior that counts in the objective; estimated parameters only. A v1 parameter without
    /// one contributes nothing. In a v2 problem with any prior, the remaining estimated
    /// parameters have the uniform one over their (finite) bounds.
    pub objective_prior: Option<Prior>,
    /// The distribution of start points (v1), estimated parameters only; by default uniform
    /// between the bounds on the parameter's scale.
    pub initialization_prior: Option<Prior>,
    pub place: Place,
}

impl Parameter {
    /// From the linear value to the one on this parameter's scale.
    pub fn scale(&self, p: f64) -> f64 {
        self.scale.scale(p)
    }

    /// From the value on this parameter's scale to the linear one.
    pub fn unscale(&self, theta: f64) -> f64 {
        self.scale.unscale(theta)
    }

    /// Lower and upper bound on the parameter's scale.
    pub fn scaled_bounds(&self) -> (f64, f64) {
        (self.scale(self.lower_bound), self.scale(self.upper_bound))
    }
}

const KIND: &str = "parameter";

/// Reads the parameter tables in order.
///
/// # Errors
/// See [`PetabError`].
pub(super) fn read(tables: &[Table], format: FormatVersion) -> Result<Ids<Parameter>, PetabError> {
    let mut parameters = Ids::new("parameterId", KIND);
    for table in tables {
        match format {
            FormatVersion::V1 => {
                table.required([
                    "parameterId",
                    "parameterScale",
                    "lowerBound",
                    "upperBound",
                    "estimate",
                ])?;
            }
            FormatVersion::V2 => {
                table.required(["parameterId", "lowerBound", "upperBound", "estimate"])?;
            }
        }
        for row in table.rows() {
            let parameter = read_row(table, row, format)?;
            parameters.insert(row, parameter)?;
        }
    }
    if format == FormatVersion::V2 {
        add_implicit_priors(&mut parameters.items);
    }
    Ok(parameters)
}

/// PEtab v2: once one parameter has a prior, the others have a uniform one over their bounds.
fn add_implicit_priors(parameters: &mut [Parameter]) {
    if parameters.iter().all(|parameter| parameter.objective_prior.is_none()) {
        return;
    }
    for parameter in parameters.iter_mut().filter(|parameter| parameter.estimated) {
        let (lower, upper) = (parameter.lower_bound, parameter.upper_bound);
        if (upper - lower).is_finite() {
            let distribution = Distribution::Uniform { lower, upper };
            parameter
                .objective_prior
                .get_or_insert(Prior { space: PriorSpace::Linear, distribution });
        }
    }
}

fn read_row(table: &Table, row: Row<'_>, format: FormatVersion) -> Result<Parameter, PetabError> {
    let id_column = table.column("parameterId");
    let id = row.id(id_column, KIND)?;
    let subject = Subject(KIND, id);
    if format == FormatVersion::V2 {
        if is_reserved(id) {
            let fault = Fault::ReservedId { found: id.to_owned() };
            return Err(row.fail(subject, id_column.name, fault));
        }
        refuse_v1_columns(table, row, subject)?;
    }
    let estimated = read_estimate(table, row, subject, format)?;
    let scale = read_scale(table, row, subject, format)?;
    let (lower_bound, upper_bound) = read_bounds(table, row, subject, scale, estimated)?;
    let out_of_order = lower_bound > upper_bound
        || lower_bound == f64::INFINITY
        || upper_bound == f64::NEG_INFINITY;
    // v1 leaves the bounds of fixed parameters without meaning.
    if out_of_order && (estimated || format == FormatVersion::V2) {
        let fault = Fault::CrossingBounds { lower: lower_bound, upper: upper_bound };
        return Err(row.fail(subject, "lowerBound", fault));
    }
    let nominal = read_nominal(table, row, subject, estimated)?;
    let bounds = (scale.scale(lower_bound), scale.scale(upper_bound));
    let prior = |columns: [&'static str; 2]| {
        let columns = columns.map(|name| table.column(name));
        let prior = priors::read(row, columns, subject, format, bounds)?;
        Ok::<_, PetabError>(prior.filter(|_| estimated))
    };
    let (objective_prior, initialization_prior) = match format {
        FormatVersion::V1 => (
            prior(["objectivePriorType", "objectivePriorParameters"])?,
            prior(["initializationPriorType", "initializationPriorParameters"])?,
        ),
        FormatVersion::V2 => (prior(["priorDistribution", "priorParameters"])?, None),
    };
    Ok(Parameter {
        id: id.to_owned(),
        name: row.get(table.column("parameterName")).map(str::to_owned),
        scale,
        lower_bound,
        upper_bound,
        nominal,
        estimated,
        objective_prior,
        initialization_prior,
        place: row.place(),
    })
}

/// Columns that would change the problem if v2 had kept them.
fn refuse_v1_columns(table: &Table, row: Row<'_>, subject: Subject<'_>) -> Result<(), PetabError> {
    if row.get(table.column("parameterScale")).is_some_and(|scale| scale != "lin") {
        let instead = "v2 parameters are linear";
        row.refuse(table.column("parameterScale"), subject, instead)?;
    }
    for column in ["objectivePriorType", "initializationPriorType"] {
        row.refuse(table.column(column), subject, "use priorDistribution and priorParameters")?;
    }
    Ok(())
}

fn read_estimate(
    table: &Table,
    row: Row<'_>,
    subject: Subject<'_>,
    format: FormatVersion,
) -> Result<bool, PetabError> {
    let column = table.column("estimate");
    let expected = match format {
        FormatVersion::V1 => "1 (estimated) or 0 (fixed)",
        FormatVersion::V2 => "true (estimated) or false (fixed)",
    };
    let text = row.text(column, subject, expected)?;
    let estimated = match format {
        // Spreadsheets and pandas write 1.0.
        FormatVersion::V1 => match text.parse::<f64>() {
            Ok(1.0) => Some(true),
            Ok(0.0) => Some(false),
            _ => None,
        },
        FormatVersion::V2 if text.eq_ignore_ascii_case("true") => Some(true),
        FormatVersion::V2 if text.eq_ignore_ascii_case("false") => Some(false),
        FormatVersion::V2 => None,
    };
    estimated.ok_or_else(|| {
        row.fail(subject, column.name, Fault::Invalid { found: text.to_owned(), expected })
    })
}

fn read_scale(
    table: &Table,
    row: Row<'_>,
    subject: Subject<'_>,
    format: FormatVersion,
) -> Result<ParameterScale, PetabError> {
    let column = table.column("parameterScale");
    let expected = "lin, log or log10";
    if format == FormatVersion::V2 {
        return Ok(ParameterScale::Lin);
    }
    match row.text(column, subject, expected)? {
        "lin" => Ok(ParameterScale::Lin),
        "log" => Ok(ParameterScale::Log),
        "log10" => Ok(ParameterScale::Log10),
        other => {
            let fault = Fault::Invalid { found: other.to_owned(), expected };
            Err(row.fail(subject, column.name, fault))
        }
    }
}

fn read_bounds(
    table: &Table,
    row: Row<'_>,
    subject: Subject<'_>,
    scale: ParameterScale,
    estimated: bool,
) -> Result<(f64, f64), PetabError> {
    let bound = |name, unbounded| {
        let column = table.column(name);
        let expected = "a number on the linear scale";
        let value = row.number(column, subject, expected)?;
        match value {
            None if estimated => Err(row.fail(subject, name, Fault::Missing { expected })),
            Some(value) if estimated && scale != ParameterScale::Lin && value <= 0.0 => {
                let fault = Fault::NotPositiveOnScale { value, scale: scale.name() };
                Err(row.fail(subject, name, fault))
            }
            value => Ok(value.unwrap_or(unbounded)),
        }
    };
    let lower = bound("lowerBound", f64::NEG_INFINITY)?;
    let upper = bound("upperBound", f64::INFINITY)?;
    Ok((lower, upper))
}

fn read_nominal(
    table: &Table,
    row: Row<'_>,
    subject: Subject<'_>,
    estimated: bool,
) -> Result<Option<f64>, PetabError> {
    let column = table.column("nominalValue");
    let expected = "a finite number on the linear scale";
    let fail = |fault| Err(row.fail(subject, column.name, fault));
    match row.number(column, subject, expected)? {
        None if !estimated => {
            fail(Fault::Missing { expected: "the value of the parameter, as it is not estimated" })
        }
        Some(value) if value.is_infinite() => {
            fail(Fault::Invalid { found: value.to_string(), expected })
        }
        value => Ok(value),
    }
}
