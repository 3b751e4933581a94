//! A model file without a PEtab problem: everything it computes, at given times.
//!
//! It is read as a problem that estimates nothing and observes each quantity at each time.

use super::{ModelError, OdeProblem, build};
use crate::index::RowIdx;
use crate::math::{Expr, Function};
use crate::petab::{
    Experiment, ExperimentIdx, FormatVersion, Measurement, ModelProblem, NoiseDistribution,
    Observable, ObservableIdx, Period, Place, Problem, Transformation,
};
use crate::sbml::{self, Symbol};
use std::path::Path;
use std::sync::Arc;

/// In which terms a quantity is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Terms {
    /// As the id means it in formulas: of a species the concentration, or the amount where it has
    /// only substance units.
    Formula,
    /// A species' amount.
    Amount,
    /// A species' concentration.
    Concentration,
}

/// Something that a model computes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quantity {
    pub id: String,
    pub terms: Terms,
}

/// A model by itself.
#[derive(Debug)]
pub struct Standalone {
    pub problem: OdeProblem,
    pub quantities: Vec<Quantity>,
    pub times: Vec<f64>,
}

impl Standalone {
    /// Reads an SBML file; `choose` picks the quantities, all to be given at `times` (ascending,
    /// from the start of the simulation at time 0 on).
    ///
    /// # Errors
    /// What the model room refuses, and ids that the model does not have.
    pub fn load(
        path: &Path,
        times: &[f64],
        choose: impl FnOnce(&sbml::Model) -> Vec<Quantity>,
    ) -> Result<Self, ModelError> {
        let model = sbml::read_file(path)?;
        let quantities = choose(&model);
        let place = Place { file: path.into(), line: 1 };
        let mut observables = Vec::with_capacity(quantities.len());
        for (i, quantity) in quantities.iter().enumerate() {
            observables.push(observable(&model, quantity, i, &place)?);
        }
        let measurement = |observable: usize, time: f64| Measurement {
            observable: ObservableIdx(observable),
            experiment: ExperimentIdx(0),
            time,
            value: 0.0,
            observable_parameters: Vec::new(),
            noise_parameters: Vec::new(),
            place: place.clone(),
            table: 0,
            row: 0,
        };
        let measurements = times
            .iter()
            .flat_map(|&time| (0..quantities.len()).map(move |o| measurement(o, time)))
            .collect();
        let start = Period { time: 0.0, conditions: Vec::new() };
        let experiment =
            Experiment { id: String::new(), periods: vec![start], place: place.clone() };
        let name = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        let part = ModelProblem {
            model_id: name,
            model_location: path.to_owned(),
            observables: observables.into(),
            conditions: Arc::new([]),
            experiments: Arc::new([experiment]),
            measurements,
            mapping: Arc::new([]),
            measurement_tables: Arc::new([]),
        };
        let problem = build(Problem {
            path: path.to_owned(),
            files: vec![path.to_owned()],
            id: None,
            format: FormatVersion::V2,
            parameters: Vec::new(),
            models: vec![part],
        })?;
        Ok(Self { problem, quantities, times: times.to_vec() })
    }

    /// The row of a quantity at a time, by their positions.
    pub fn row(&self, time: usize, quantity: usize) -> RowIdx {
        RowIdx::from_position(time * self.quantities.len() + quantity)
    }
}

/// All species, and what else can change: parameters, compartments and stoichiometries that are
/// not constant.
pub fn variables(model: &sbml::Model) -> Vec<Quantity> {
    let species = model.species.iter().map(|s| s.id.as_str());
    let parameters = model.parameters.iter().filter(|p| !p.constant).map(|p| p.id.as_str());
    let compartments = model.compartments.iter().filter(|c| !c.constant).map(|c| c.id.as_str());
    let stoichiometries = model
        .reactions
        .iter()
        .flat_map(|r| r.reactants.iter().chain(&r.products))
        .filter(|r| !r.constant)
        .filter_map(|r| r.id.as_deref());
    species
        .chain(parameters)
        .chain(compartments)
        .chain(stoichiometries)
        .map(|id| Quantity { id: id.to_owned(), terms: Terms::Formula })
        .collect()
}

fn observable(
    model: &sbml::Model,
    quantity: &Quantity,
    number: usize,
    place: &Place,
) -> Result<Observable, ModelError> {
    let id = &quantity.id;
    let by_itself = Expr::symbol(id);
    let formula = match (quantity.terms, model.symbols.get(id)) {
        (_, None) => {
            return Err(ModelError::UnknownSymbol { place: place.to_string(), id: id.clone() });
        }
        (Terms::Amount, Some(Symbol::Species(i)))
            if !model.species[*i].has_only_substance_units =>
        {
            let size = Expr::symbol(&model.species[*i].compartment);
            Expr::Call(Function::Mul, vec![by_itself, size])
        }
        (Terms::Concentration, Some(Symbol::Species(i)))
            if model.species[*i].has_only_substance_units =>
        {
            let size = Expr::symbol(&model.species[*i].compartment);
            Expr::Call(Function::Div, vec![by_itself, size])
        }
        _ => by_itself,
    };
    Ok(Observable {
        // No id of a model starts so: nothing is hidden.
        id: format!("({number})"),
        name: Some(id.clone()),
        formula,
        noise_formula: Expr::Number(1.0),
        transformation: Transformation::Lin,
        distribution: NoiseDistribution::Normal,
        observable_placeholders: Vec::new(),
        noise_placeholders: Vec::new(),
        place: place.clone(),
    })
}
