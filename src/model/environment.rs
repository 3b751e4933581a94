//! What the names of a model mean: at the start and along the way.
//!
//! A name's value *at the start* comes from a binding (parameter table or condition), else from
//! the model: initial assignment, assignment rule, or the number in the file. *Along the way* it
//! is a state, a formula (assignment rule), or the constant it was at the start. Values are made
//! when they are first asked for, so the order of rules in the file does not matter.

use super::ModelError;
use super::lower::{Scope, lower};
use crate::graph::{Graph, Input, NodeId, Substitution};
use crate::index::StateIdx;
use crate::math::Expr;
use crate::sbml::{self, RuleKind, Stoichiometry, Symbol};
use std::collections::{HashMap, HashSet};

/// A value that the problem gives to a name, in place of the model's own.
#[derive(Debug, Clone, Copy)]
pub(super) enum Binding {
    /// In every simulation.
    Always(NodeId),
    /// Where `flag` is not 0; the model's own value elsewhere.
    Where { flag: NodeId, value: NodeId },
}

/// Stands in for the states of a model that has none, so that there is something to carry through
/// time: a constant 0 under a name that no id can have.
const STANDING: &str = "(no state)";

/// Names of one model with the problem's bindings.
pub(super) struct Environment<'a> {
    pub(super) model: &'a sbml::Model,
    file: String,
    bindings: HashMap<String, Binding>,
    states: HashMap<String, StateIdx>,
    state_ids: Vec<String>,
    /// Compartments whose size changes along the way. In them states of species are amounts, also
    /// where the id means a concentration: what changes the size keeps the amount.
    varying: HashSet<&'a str>,
    assignment_rules: HashMap<&'a str, &'a Expr>,
    pub(super) rate_rules: HashMap<&'a str, &'a Expr>,
    initial_assignments: HashMap<&'a str, &'a Expr>,
    local_values: HashMap<&'a str, Option<f64>>,
    start_time: Option<NodeId>,
    at_start: HashMap<String, NodeId>,
    along: HashMap<String, NodeId>,
    pub(super) rates: HashMap<String, NodeId>,
    /// Names being resolved, innermost last, with whether at the start.
    open: Vec<(String, bool)>,
}

impl<'a> Environment<'a> {
    pub(super) fn new(
        model: &'a sbml::Model,
        file: String,
        bindings: HashMap<String, Binding>,
        further_states: &HashSet<String>,
    ) -> Self {
        let of_kind = |kind: RuleKind| {
            model
                .rules
                .iter()
                .filter(move |r| r.kind == kind)
                .map(|r| (r.variable.as_str(), &r.math))
                .collect::<HashMap<_, _>>()
        };
        let mut environment = Self {
            model,
            file,
            bindings,
            states: HashMap::new(),
            state_ids: Vec::new(),
            varying: HashSet::new(),
            assignment_rules: of_kind(RuleKind::Assignment),
            rate_rules: of_kind(RuleKind::Rate),
            initial_assignments: model
                .initial_assignments
                .iter()
                .map(|a| (a.symbol.as_str(), &a.math))
                .collect(),
            local_values: model
                .reactions
                .iter()
                .filter_map(|r| r.kinetic_law.as_ref())
                .flat_map(|law| &law.local_parameters)
                .map(|p| (p.symbol.as_str(), p.value))
                .collect(),
            start_time: None,
            at_start: HashMap::new(),
            along: HashMap::new(),
            rates: HashMap::new(),
            open: Vec::new(),
        };
        environment.find_states(further_states);
        environment
    }

    /// Gives the time at which simulations start; 0 unless told.
    pub(super) fn start_at(&mut self, time: NodeId) {
        self.start_time = Some(time);
    }

    /// The state that an id stands for.
    pub(super) fn state_of(&self, id: &str) -> Option<StateIdx> {
        self.states.get(id).copied()
    }

    /// Ids of the differential states, in order.
    pub(super) fn state_ids(&self) -> &[String] {
        &self.state_ids
    }

    /// Whether the model has an entity of this id, local parameters among them.
    pub(super) fn has(&self, id: &str) -> bool {
        self.model.symbols.contains_key(id) || self.local_values.contains_key(id)
    }

    /// Whether an assignment rule gives the id's value.
    pub(super) fn is_assigned(&self, id: &str) -> bool {
        self.assignment_rules.contains_key(id)
    }

    /// Species that reactions change, targets of rate rules, of events and of `further`, in the
    /// file's order; and species in compartments whose size changes.
    fn find_states(&mut self, further: &HashSet<String>) {
        let model = self.model;
        let references =
            || model.reactions.iter().flat_map(|r| r.reactants.iter().chain(&r.products));
        let changed: HashSet<&str> = references().map(|r| r.species.as_str()).collect();
        let by_events: HashSet<&str> =
            model.events.iter().flat_map(|e| &e.assignments).map(|a| a.variable.as_str()).collect();
        let is_variable = |id: &str| {
            !self.assignment_rules.contains_key(id)
                && (self.rate_rules.contains_key(id)
                    || by_events.contains(id)
                    || further.contains(id))
        };
        let compartments = || model.compartments.iter().map(|c| c.id.as_str());
        let varying: HashSet<&str> = compartments()
            .filter(|id| is_variable(id) || self.assignment_rules.contains_key(id))
            .collect();
        let mut ids: Vec<&str> = Vec::new();
        for species in &model.species {
            let id = species.id.as_str();
            let by_reactions =
                !species.boundary_condition && !species.constant && changed.contains(id);
            let by_size =
                !species.has_only_substance_units && varying.contains(species.compartment.as_str());
            if !self.assignment_rules.contains_key(id)
                && (by_reactions || by_size || is_variable(id))
            {
                ids.push(id);
            }
        }
        let parameters = model.parameters.iter().map(|p| p.id.as_str());
        let stoichiometries = references().filter_map(|r| r.id.as_deref());
        ids.extend(
            parameters.chain(compartments()).chain(stoichiometries).filter(|id| is_variable(id)),
        );
        if ids.is_empty() {
            ids.push(STANDING);
        }
        self.state_ids = ids.iter().map(|id| (*id).to_owned()).collect();
        self.states = self
            .state_ids
            .iter()
            .enumerate()
            .map(|(i, id)| (id.clone(), StateIdx::from_position(i)))
            .collect();
        self.varying = varying;
    }

    /// The compartment of a species whose state is an amount while its id means a concentration.
    pub(super) fn varying_compartment_of(&self, id: &str) -> Option<&'a str> {
        let Some(Symbol::Species(i)) = self.model.symbols.get(id) else { return None };
        let species = &self.model.species[*i];
        let is_amount = !species.has_only_substance_units
            && self.varying.contains(species.compartment.as_str())
            && self.states.contains_key(id);
        is_amount.then_some(species.compartment.as_str())
    }

    /// Species whose states are amounts in a compartment while their ids mean concentrations.
    pub(super) fn amounts_in(&self, compartment: &str) -> Vec<&'a str> {
        let ids = self.model.species.iter().map(|s| s.id.as_str());
        ids.filter(|id| self.varying_compartment_of(id) == Some(compartment)).collect()
    }

    /// Initial values of the states.
    pub(super) fn initial_values(&mut self, graph: &mut Graph) -> Result<Vec<NodeId>, ModelError> {
        let ids = self.state_ids.clone();
        ids.iter().map(|id| self.state_at_start(graph, id)).collect()
    }

    fn state_at_start(&mut self, graph: &mut Graph, id: &str) -> Result<NodeId, ModelError> {
        let value = self.value_at_start(graph, id)?;
        match self.varying_compartment_of(id) {
            Some(compartment) => {
                let size = self.value_at_start(graph, compartment)?;
                Ok(graph.mul(value, size))
            }
            None => Ok(value),
        }
    }

    /// An expression along the way with what holds at the start.
    pub(super) fn at_start(
        &mut self,
        graph: &mut Graph,
        node: NodeId,
    ) -> Result<NodeId, ModelError> {
        let mut values = HashMap::new();
        for input in graph.inputs_of(&[node]) {
            let value = match input {
                Input::State(state) => {
                    let id = self.state_ids[state.position()].clone();
                    self.state_at_start(graph, &id)?
                }
                Input::Time => self.start_time(graph),
                _ => continue,
            };
            values.insert(input, value);
        }
        let mut copy = Substitution::new(None, |graph: &mut Graph, input| {
            values.get(&input).copied().unwrap_or_else(|| graph.input(input))
        });
        Ok(copy.apply(graph, node))
    }

    fn start_time(&self, graph: &mut Graph) -> NodeId {
        self.start_time.unwrap_or_else(|| graph.constant(0.0))
    }

    /// The node of an expression, with `extra` names (placeholders) in front of all others.
    pub(super) fn expression(
        &mut self,
        graph: &mut Graph,
        expr: &Expr,
        extra: &HashMap<String, NodeId>,
        place: &str,
    ) -> Result<NodeId, ModelError> {
        lower(graph, expr, &mut Names { environment: self, is_start: false, extra, place })
    }

    pub(super) fn at_place(&self, line: Option<u32>) -> String {
        match line {
            Some(line) => format!("{}:{line}", self.file),
            None => self.file.clone(),
        }
    }

    /// Marks a name as being resolved; a name that is met again inside itself is a cycle.
    pub(super) fn enter(&mut self, id: &str, is_start: bool) -> Result<(), ModelError> {
        let met = |(name, start): &(String, bool)| name == id && *start == is_start;
        if let Some(first) = self.open.iter().position(met) {
            let mut cycle: Vec<&str> =
                self.open[first..].iter().map(|(name, _)| name.as_str()).collect();
            cycle.push(id);
            return Err(ModelError::Cycle {
                place: self.file.clone(),
                id: id.to_owned(),
                cycle: cycle.join(" -> "),
            });
        }
        self.open.push((id.to_owned(), is_start));
        Ok(())
    }

    /// Ends what [`enter`](Self::enter) began.
    pub(super) fn leave(&mut self) {
        self.open.pop();
    }

    pub(super) fn lower_here(
        &mut self,
        graph: &mut Graph,
        expr: &Expr,
        is_start: bool,
    ) -> Result<NodeId, ModelError> {
        let place = self.file.clone();
        let extra = HashMap::new();
        lower(graph, expr, &mut Names { environment: self, is_start, extra: &extra, place: &place })
    }

    /// The value of a name at the start.
    fn value_at_start(&mut self, graph: &mut Graph, id: &str) -> Result<NodeId, ModelError> {
        if let Some(&node) = self.at_start.get(id) {
            return Ok(node);
        }
        self.enter(id, true)?;
        let node = match self.bindings.get(id).copied() {
            Some(Binding::Always(value)) => value,
            Some(Binding::Where { flag, value }) => {
                let own = self.own_value_at_start(graph, id)?;
                graph.select(flag, value, own)
            }
            None => self.own_value_at_start(graph, id)?,
        };
        self.leave();
        self.at_start.insert(id.to_owned(), node);
        Ok(node)
    }

    /// The model's own value of a name at the start.
    fn own_value_at_start(&mut self, graph: &mut Graph, id: &str) -> Result<NodeId, ModelError> {
        let formula = self.initial_assignments.get(id).or_else(|| self.assignment_rules.get(id));
        if let Some(&expr) = formula {
            return self.lower_here(graph, expr, true);
        }
        if let Some(&value) = self.local_values.get(id) {
            return self.number(graph, id, value, None);
        }
        match self.model.symbols.get(id).copied() {
            None if id == STANDING => Ok(graph.constant(0.0)),
            Some(Symbol::Compartment(i)) => {
                let compartment = &self.model.compartments[i];
                self.number(graph, id, compartment.size, Some(compartment.place.line))
            }
            Some(Symbol::Parameter(i)) => {
                let parameter = &self.model.parameters[i];
                self.number(graph, id, parameter.value, Some(parameter.place.line))
            }
            Some(Symbol::Species(i)) => self.species_at_start(graph, i),
            Some(Symbol::Reaction(i)) => self.reaction_rate(graph, i, true),
            Some(Symbol::SpeciesReference { reaction, side, index }) => {
                let reference = self.species_reference(reaction, side, index);
                self.own_stoichiometry(graph, reference, true)
            }
            None => Err(ModelError::UnknownSymbol { place: self.file.clone(), id: id.to_owned() }),
        }
    }

    fn number(
        &self,
        graph: &mut Graph,
        id: &str,
        value: Option<f64>,
        line: Option<u32>,
    ) -> Result<NodeId, ModelError> {
        match value {
            Some(value) => Ok(graph.constant(value)),
            None => Err(ModelError::NoValue { place: self.at_place(line), id: id.to_owned() }),
        }
    }

    /// The initial amount or concentration that the species element gives, as its id means it.
    fn species_at_start(&mut self, graph: &mut Graph, i: usize) -> Result<NodeId, ModelError> {
        let species = &self.model.species[i];
        match (species.initial, species.has_only_substance_units) {
            (sbml::InitialValue::Amount(amount), true) => Ok(graph.constant(amount)),
            (sbml::InitialValue::Concentration(value), false) => Ok(graph.constant(value)),
            (sbml::InitialValue::Amount(amount), false) => {
                let size = self.value_at_start(graph, &species.compartment)?;
                let amount = graph.constant(amount);
                Ok(graph.div(amount, size))
            }
            (sbml::InitialValue::Concentration(value), true) => {
                let size = self.value_at_start(graph, &species.compartment)?;
                let value = graph.constant(value);
                Ok(graph.mul(value, size))
            }
            (sbml::InitialValue::None, _) => Err(ModelError::NoValue {
                place: species.place.to_string(),
                id: species.id.clone(),
            }),
        }
    }

    /// The value of a name along the way.
    pub(super) fn value_along(
        &mut self,
        graph: &mut Graph,
        id: &str,
    ) -> Result<NodeId, ModelError> {
        if let Some(&node) = self.along.get(id) {
            return Ok(node);
        }
        self.enter(id, false)?;
        let node = if let Some(&state) = self.states.get(id) {
            let state = graph.input(Input::State(state));
            match self.varying_compartment_of(id) {
                Some(compartment) => {
                    let size = self.value_along(graph, compartment)?;
                    graph.div(state, size)
                }
                None => state,
            }
        } else if let (Some(&expr), None) = (self.assignment_rules.get(id), self.bindings.get(id)) {
            self.lower_here(graph, expr, false)?
        } else if let Some(Symbol::Reaction(i)) = self.model.symbols.get(id).copied() {
            self.reaction_rate(graph, i, false)?
        } else if let Some(reference) = self.stoichiometry_formula(id) {
            self.own_stoichiometry(graph, reference, false)?
        } else {
            self.value_at_start(graph, id)?
        };
        self.leave();
        self.along.insert(id.to_owned(), node);
        Ok(node)
    }

    fn reaction_rate(
        &mut self,
        graph: &mut Graph,
        i: usize,
        is_start: bool,
    ) -> Result<NodeId, ModelError> {
        let reaction = &self.model.reactions[i];
        match &reaction.kinetic_law {
            Some(law) => self.lower_here(graph, &law.math, is_start),
            None => Err(ModelError::NoValue {
                place: reaction.place.to_string(),
                id: reaction.id.clone(),
            }),
        }
    }

    /// The species reference of this id, if a formula gives its stoichiometry at all times.
    fn stoichiometry_formula(&self, id: &str) -> Option<&'a sbml::SpeciesReference> {
        let Some(Symbol::SpeciesReference { reaction, side, index }) =
            self.model.symbols.get(id).copied()
        else {
            return None;
        };
        let reference = self.species_reference(reaction, side, index);
        matches!(reference.stoichiometry, Stoichiometry::Math(_)).then_some(reference)
    }

    fn species_reference(
        &self,
        reaction: usize,
        side: sbml::Side,
        index: usize,
    ) -> &'a sbml::SpeciesReference {
        let reaction = &self.model.reactions[reaction];
        match side {
            sbml::Side::Reactant => &reaction.reactants[index],
            sbml::Side::Product => &reaction.products[index],
        }
    }

    pub(super) fn stoichiometry(
        &mut self,
        graph: &mut Graph,
        reference: &'a sbml::SpeciesReference,
    ) -> Result<NodeId, ModelError> {
        match &reference.id {
            Some(id) => self.value_along(graph, id),
            None => self.own_stoichiometry(graph, reference, false),
        }
    }

    fn own_stoichiometry(
        &mut self,
        graph: &mut Graph,
        reference: &'a sbml::SpeciesReference,
        is_start: bool,
    ) -> Result<NodeId, ModelError> {
        match &reference.stoichiometry {
            Stoichiometry::Number(value) => Ok(graph.constant(*value)),
            Stoichiometry::Math(expr) => self.lower_here(graph, expr, is_start),
            Stoichiometry::Missing => Err(ModelError::NoValue {
                place: reference.place.to_string(),
                id: format!("stoichiometry of {}", reference.species),
            }),
        }
    }
}

/// The environment's names as a scope, at the start or along the way.
struct Names<'e, 'a> {
    environment: &'e mut Environment<'a>,
    is_start: bool,
    extra: &'e HashMap<String, NodeId>,
    place: &'e str,
}

impl Scope for Names<'_, '_> {
    fn symbol(&mut self, graph: &mut Graph, id: &str) -> Result<NodeId, ModelError> {
        if let Some(&node) = self.extra.get(id) {
            return Ok(node);
        }
        let known = self.environment.has(id) || self.environment.bindings.contains_key(id);
        if !known {
            return Err(ModelError::UnknownSymbol { place: self.place(), id: id.to_owned() });
        }
        if self.is_start {
            self.environment.value_at_start(graph, id)
        } else {
            self.environment.value_along(graph, id)
        }
    }

    fn rate_of(&mut self, graph: &mut Graph, id: &str) -> Result<NodeId, ModelError> {
        let rate = self.environment.rate(graph, id)?;
        if self.is_start { self.environment.at_start(graph, rate) } else { Ok(rate) }
    }

    fn time(&mut self, graph: &mut Graph) -> NodeId {
        if self.is_start { self.environment.start_time(graph) } else { graph.input(Input::Time) }
    }

    fn place(&self) -> String {
        self.place.to_owned()
    }
}
