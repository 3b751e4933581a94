//! PEtab problems, versions 1 and 2, read into one set of types.
//!
//! A v1 problem is converted on reading: a row of its wide condition table becomes a list of
//! changes, a pre-equilibration condition a period at -inf, a simulation condition a period at
//! time 0. What v2 has dropped stays as parameter scale and log10 transformation. Nothing here
//! knows the model: [`check_names`] is told what its names mean, where both meet.

mod conditions;
mod error;
mod experiments;
mod formula;
#[doc(hidden)]
pub mod fuzzing;
mod ids;
mod lexer;
mod mapping;
mod measurements;
mod names;
mod observables;
mod parameters;
mod priors;
mod records;
mod table;
mod yaml;

pub use conditions::{Change, Condition};
pub use error::{Fault, PetabError, Place, RowError};
pub use experiments::{Experiment, Period};
pub use formula::{FormulaError, is_reserved, parse_formula};
pub use mapping::Mapping;
pub use measurements::{Measurement, Override};
pub use names::{ModelEntity, check_names};
pub use observables::{NoiseDistribution, Observable, Transformation};
pub use parameters::{Parameter, ParameterScale};
pub use priors::{Distribution, Prior, PriorSpace};
pub use records::{RecordError, Records};
pub use table::{Row, Table, is_identifier};

use ids::Ids;
use measurements::Context;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use yaml::{Group, ProblemFile};

/// Major version of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormatVersion {
    V1,
    V2,
}

/// Position in [`ModelProblem::observables`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObservableIdx(pub usize);

/// Position in [`ModelProblem::conditions`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConditionIdx(pub usize);

/// Position in [`ModelProblem::experiments`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExperimentIdx(pub usize);

/// A parameter estimation problem. Its objective is the sum over all models' measurements, plus
/// priors.
#[derive(Debug)]
pub struct Problem {
    /// The problem file.
    pub path: PathBuf,
    /// All files that make up the problem, the models among them.
    pub files: Vec<PathBuf>,
    /// v2 `id`.
    pub id: Option<String>,
    pub format: FormatVersion,
    /// Rows of the parameter table in their order, shared by all models.
    pub parameters: Vec<Parameter>,
    /// At least one. v1: the entries of `problems` in their order; v2: by model id.
    pub models: Vec<ModelProblem>,
}

impl Problem {
    /// The estimated parameters, in the order of the table: the coordinates of a point.
    pub fn estimated(&self) -> impl Iterator<Item = &Parameter> {
        self.parameters.iter().filter(|parameter| parameter.estimated)
    }

    /// The row of the parameter table that defines `id`. Takes time in the number of rows.
    pub fn parameter(&self, id: &str) -> Option<&Parameter> {
        self.parameters.iter().find(|parameter| parameter.id == id)
    }
}

/// A model with what is measured in it. The models of a v2 problem share all but measurements.
#[derive(Debug)]
pub struct ModelProblem {
    /// v1: name of the SBML file without extension.
    pub model_id: String,
    /// The SBML file; not opened here.
    pub model_location: PathBuf,
    pub observables: Arc<[Observable]>,
    pub conditions: Arc<[Condition]>,
    /// v1: one for each pair of conditions in the measurement table, in order of appearance.
    /// v2: those of the experiment table, whether measured or not, then the unnamed one, if any
    /// measurement takes the model as it is.
    pub experiments: Arc<[Experiment]>,
    /// In the order of the tables; v2: those of this model, which may be none.
    pub measurements: Vec<Measurement>,
    /// v2 only.
    pub mapping: Arc<[Mapping]>,
    /// The measurement tables with all their columns, to write simulation tables.
    pub measurement_tables: Arc<[Table]>,
}

/// Reads a PEtab problem: `path` is a problem file (YAML), or a folder that holds exactly one.
/// The model files are not opened.
///
/// # Errors
/// The first thing found that is wrong; see [`PetabError`]. Every message names the file, and the
/// line where there is one.
pub fn load(path: &Path) -> Result<Problem, PetabError> {
    let file = yaml::read(&yaml::locate(path)?)?;
    let parameters = parameters::read(&tables(&file.parameters)?, file.format)?;
    let mut models = Vec::new();
    for group in &file.groups {
        let tables = GroupTables::read(group)?;
        models.extend(read_group(&file, group, tables, &parameters)?);
    }
    Ok(Problem {
        files: file.all_files(),
        path: file.path,
        id: file.id,
        format: file.format,
        parameters: parameters.items,
        models,
    })
}

fn tables(files: &[PathBuf]) -> Result<Vec<Table>, PetabError> {
    files.iter().map(|file| Table::read(file)).collect()
}

/// The tables that a [`Group`] names.
struct GroupTables {
    measurements: Vec<Table>,
    observables: Vec<Table>,
    conditions: Vec<Table>,
    experiments: Vec<Table>,
    mappings: Vec<Table>,
}

impl GroupTables {
    fn read(group: &Group) -> Result<Self, PetabError> {
        Ok(Self {
            measurements: tables(&group.measurements)?,
            observables: tables(&group.observables)?,
            conditions: tables(&group.conditions)?,
            experiments: tables(&group.experiments)?,
            mappings: tables(&group.mappings)?,
        })
    }
}

fn read_group(
    file: &ProblemFile,
    group: &Group,
    tables: GroupTables,
    parameters: &Ids<Parameter>,
) -> Result<Vec<ModelProblem>, PetabError> {
    let observables = observables::read(&tables.observables, file.format, parameters)?;
    let conditions = conditions::read(&tables.conditions, file.format, parameters)?;
    let mut experiments = experiments::read(&tables.experiments, &conditions, parameters)?;
    let mapping = mapping::read(&tables.mappings)?;
    let context = Context {
        parameters,
        observables: &observables,
        conditions: &conditions,
        models: &group.models,
        format: file.format,
    };
    let measurements = measurements::read(&tables.measurements, &context, &mut experiments)?;
    if measurements.is_empty() {
        return Err(PetabError::NoMeasurements { file: file.path.clone() });
    }
    let mut by_model = vec![Vec::new(); group.models.len()];
    for (model, measurement) in measurements {
        by_model[model].push(measurement);
    }
    let measurement_tables: Arc<[Table]> = tables.measurements.into();
    let observables: Arc<[_]> = observables.items.into();
    let conditions: Arc<[_]> = conditions.items.into();
    let experiments: Arc<[_]> = experiments.items.into();
    let mapping: Arc<[_]> = mapping.items.into();
    let models =
        group.models.iter().zip(by_model).map(|((id, location), measurements)| ModelProblem {
            model_id: id.clone(),
            model_location: location.clone(),
            observables: observables.clone(),
            conditions: conditions.clone(),
            experiments: experiments.clone(),
            measurements,
            mapping: mapping.clone(),
            measurement_tables: measurement_tables.clone(),
        });
    Ok(models.collect())
}

#[cfg(test)]
mod tests;
