//! Rates of change: of states, and of what else has one.

use super::ModelError;
use super::environment::Environment;
use crate::graph::{Graph, Input, NodeId, differentiate};
use crate::index::StateIdx;
use crate::sbml::Symbol;

impl Environment<'_> {
    /// Right-hand sides of the states.
    pub(super) fn derivatives(&mut self, graph: &mut Graph) -> Result<Vec<NodeId>, ModelError> {
        let ids = self.state_ids().to_vec();
        ids.iter().map(|id| self.state_rate(graph, id)).collect()
    }

    /// The rate of change of a name, as its id means it: of a state, or zero of what is constant.
    pub(super) fn rate(&mut self, graph: &mut Graph, id: &str) -> Result<NodeId, ModelError> {
        if let Some(&node) = self.rates.get(id) {
            return Ok(node);
        }
        let node = if let Some(&expr) = self.rate_rules.get(id) {
            self.lower_here(graph, expr, false)?
        } else if let Some(compartment) = self.varying_compartment_of(id) {
            // c = n/V: c' = (n' - c·V')/V.
            let amount_rate = self.state_rate(graph, id)?;
            let size_rate = self.size_rate(graph, compartment)?;
            let value = self.value_along(graph, id)?;
            let size = self.value_along(graph, compartment)?;
            let dilution = graph.mul(value, size_rate);
            let net = graph.sub(amount_rate, dilution);
            graph.div(net, size)
        } else if self.state_of(id).is_some() {
            self.state_rate(graph, id)?
        } else if self.is_assigned(id) {
            return Err(ModelError::Unsupported {
                place: self.at_place(None),
                what: format!("rateOf of {id:?}, which an assignment rule gives"),
            });
        } else {
            graph.constant(0.0)
        };
        self.rates.insert(id.to_owned(), node);
        Ok(node)
    }

    /// The rate of change of a state.
    fn state_rate(&mut self, graph: &mut Graph, id: &str) -> Result<NodeId, ModelError> {
        if let Some(&expr) = self.rate_rules.get(id) {
            let rate = self.lower_here(graph, expr, false)?;
            let Some(compartment) = self.varying_compartment_of(id) else { return Ok(rate) };
            // n = c·V: n' = c'·V + c·V'.
            let size_rate = self.size_rate(graph, compartment)?;
            let value = self.value_along(graph, id)?;
            let size = self.value_along(graph, compartment)?;
            let (growth, own) = (graph.mul(value, size_rate), graph.mul(rate, size));
            return Ok(graph.add(own, growth));
        }
        if self.is_changed_by_reactions(id) {
            return self.reaction_balance(graph, id);
        }
        Ok(graph.constant(0.0))
    }

    /// The rate of change of a compartment's size.
    fn size_rate(&mut self, graph: &mut Graph, compartment: &str) -> Result<NodeId, ModelError> {
        if !self.is_assigned(compartment) {
            return self.rate(graph, compartment);
        }
        let size = self.value_along(graph, compartment)?;
        let name = format!("rateOf {compartment}");
        self.enter(&name, false)?;
        let time_direction = u32::MAX;
        let slopes = differentiate(graph, &[size], |graph, input| match input {
            Input::State(state) => vec![(state.0, graph.constant(1.0))],
            Input::Time => vec![(time_direction, graph.constant(1.0))],
            _ => Vec::new(),
        });
        let mut total = graph.constant(0.0);
        for (direction, slope) in slopes.into_iter().flatten() {
            let term = if direction == time_direction {
                slope
            } else {
                let id = self.state_ids()[StateIdx(direction).position()].clone();
                let rate = self.state_rate(graph, &id)?;
                graph.mul(slope, rate)
            };
            total = graph.add(total, term);
        }
        self.leave();
        Ok(total)
    }

    /// Whether reactions change the species.
    fn is_changed_by_reactions(&self, id: &str) -> bool {
        match self.model.symbols.get(id) {
            Some(Symbol::Species(i)) => {
                let species = &self.model.species[*i];
                !species.boundary_condition && !species.constant
            }
            _ => false,
        }
    }

    /// What all reactions together do to a species, in the units of its id (SBML L3V2 section
    /// 4.11.6): amount per time, over the compartment's size where the id is a concentration.
    fn reaction_balance(&mut self, graph: &mut Graph, id: &str) -> Result<NodeId, ModelError> {
        let mut total = graph.constant(0.0);
        for i in 0..self.model.reactions.len() {
            let reaction = &self.model.reactions[i];
            let mut net = graph.constant(0.0);
            let sides = [(&reaction.reactants, false), (&reaction.products, true)];
            for (references, is_product) in sides {
                for reference in references.iter().filter(|r| r.species == id) {
                    let amount = self.stoichiometry(graph, reference)?;
                    net = if is_product { graph.add(net, amount) } else { graph.sub(net, amount) };
                }
            }
            // A reaction without a kinetic law has no defined rate: SBML leaves it out.
            if graph.constant_value(net) != Some(0.0) && reaction.kinetic_law.is_some() {
                let rate = self.value_along(graph, &reaction.id)?;
                let term = graph.mul(net, rate);
                total = graph.add(total, term);
            }
        }
        let Some(Symbol::Species(i)) = self.model.symbols.get(id).copied() else {
            return Ok(total);
        };
        let species = &self.model.species[i];
        let factor = species.conversion_factor.as_ref().or(self.model.conversion_factor.as_ref());
        if let Some(factor) = factor {
            let factor = self.value_along(graph, factor)?;
            total = graph.mul(total, factor);
        }
        if species.has_only_substance_units || self.varying_compartment_of(id).is_some() {
            return Ok(total);
        }
        let size = self.value_along(graph, &species.compartment)?;
        Ok(graph.div(total, size))
    }
}
