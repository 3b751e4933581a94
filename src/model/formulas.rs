//! Formulas of estimated parameters that conditions give to slots.

use super::{ModelError, SlotValue};
use crate::graph::{Graph, Input, Node, NodeId, differentiate};
use crate::index::{FormulaIdx, ParameterIdx, SlotIdx};
use crate::math::Expr;
use crate::model::lower::{Scope, lower};

/// All such formulas of a problem, in a graph of their own whose slot k is the linear value of
/// estimated parameter k.
#[derive(Debug, Default)]
pub struct ParameterFormulas {
    graph: Graph,
    roots: Vec<NodeId>,
    /// Derivatives of each that are not identically zero.
    derivatives: Vec<Vec<(ParameterIdx, NodeId)>>,
    /// Those of the derivatives, in their order.
    second_derivatives: Vec<Vec<Vec<(ParameterIdx, NodeId)>>>,
}

impl ParameterFormulas {
    /// Adds a formula of names that `value_of` knows, all of them numbers or parameters; returns
    /// what a slot that it sets holds.
    pub(super) fn add(
        &mut self,
        expr: &Expr,
        value_of: &dyn Fn(&str) -> Option<SlotValue>,
        place: &str,
    ) -> Result<SlotValue, ModelError> {
        let mut has_time = false;
        expr.walk(&mut |node| has_time |= matches!(node, Expr::Time));
        if has_time {
            return Err(ModelError::Unsupported {
                place: place.to_owned(),
                what: "time in a value from which a simulation starts".to_owned(),
            });
        }
        let mut scope = ParameterScope { formulas: self.roots.clone(), value_of, place };
        let root = lower(&mut self.graph, expr, &mut scope)?;
        match self.graph.node(root) {
            Node::Constant(bits) => return Ok(SlotValue::Number(f64::from_bits(bits))),
            Node::Input(Input::Slot(slot)) => {
                return Ok(SlotValue::Estimated(ParameterIdx(slot.0)));
            }
            _ => {}
        }
        if let Some(known) = self.roots.iter().position(|r| *r == root) {
            return Ok(SlotValue::Formula(FormulaIdx::from_position(known)));
        }
        let derivatives = self.differentiate(&[root]).pop().unwrap_or_default();
        let nodes: Vec<NodeId> = derivatives.iter().map(|(_, node)| *node).collect();
        let second = self.differentiate(&nodes);
        self.second_derivatives.push(second);
        self.derivatives.push(derivatives);
        self.roots.push(root);
        Ok(SlotValue::Formula(FormulaIdx::from_position(self.roots.len() - 1)))
    }

    fn differentiate(&mut self, roots: &[NodeId]) -> Vec<Vec<(ParameterIdx, NodeId)>> {
        let tangents = differentiate(&mut self.graph, roots, |graph, input| match input {
            Input::Slot(slot) => vec![(slot.0, graph.constant(1.0))],
            _ => Vec::new(),
        });
        let named = |(p, node)| (ParameterIdx(p), node);
        tangents.into_iter().map(|tangent| tangent.into_iter().map(named).collect()).collect()
    }

    /// The value of a formula where the estimated parameters have these linear values.
    pub fn value(&self, formula: FormulaIdx, parameters: &[f64]) -> f64 {
        self.evaluate(self.roots[formula.position()], parameters)
    }

    /// Parameters that a formula depends on.
    pub fn parameters(&self, formula: FormulaIdx) -> impl Iterator<Item = ParameterIdx> + '_ {
        self.derivatives[formula.position()].iter().map(|(parameter, _)| *parameter)
    }

    /// Its derivatives with respect to these.
    pub fn derivatives(&self, formula: FormulaIdx, parameters: &[f64]) -> Vec<(ParameterIdx, f64)> {
        self.derivatives[formula.position()]
            .iter()
            .map(|&(parameter, node)| (parameter, self.evaluate(node, parameters)))
            .collect()
    }

    /// Its second derivative with respect to two of these.
    pub fn second_derivative(
        &self,
        formula: FormulaIdx,
        (p, q): (ParameterIdx, ParameterIdx),
        parameters: &[f64],
    ) -> f64 {
        let place = formula.position();
        let of_p = self.derivatives[place].iter().position(|(own, _)| *own == p);
        let along = of_p.map(|k| &self.second_derivatives[place][k]);
        let node = along.and_then(|along| along.iter().find(|(own, _)| *own == q));
        node.map_or(0.0, |&(_, node)| self.evaluate(node, parameters))
    }

    fn evaluate(&self, node: NodeId, parameters: &[f64]) -> f64 {
        let lookup = |input: Input| match input {
            Input::Slot(slot) => parameters[slot.position()],
            _ => f64::NAN,
        };
        self.graph.evaluate(&[node], &lookup)[0]
    }
}

/// Numbers and estimated parameters as inputs.
struct ParameterScope<'a> {
    formulas: Vec<NodeId>,
    value_of: &'a dyn Fn(&str) -> Option<SlotValue>,
    place: &'a str,
}

impl Scope for ParameterScope<'_> {
    fn symbol(&mut self, graph: &mut Graph, id: &str) -> Result<NodeId, ModelError> {
        match (self.value_of)(id) {
            Some(SlotValue::Number(number)) => Ok(graph.constant(number)),
            Some(SlotValue::Estimated(p)) => Ok(graph.input(Input::Slot(SlotIdx(p.0)))),
            Some(SlotValue::Formula(formula)) => Ok(self.formulas[formula.position()]),
            None => {
                Err(ModelError::UnknownSymbol { place: self.place.to_owned(), id: id.to_owned() })
            }
        }
    }

    fn rate_of(&mut self, _: &mut Graph, id: &str) -> Result<NodeId, ModelError> {
        Err(ModelError::Unsupported {
            place: self.place.to_owned(),
            what: format!("rateOf({id}) in a condition"),
        })
    }

    // Refused before.
    fn time(&mut self, graph: &mut Graph) -> NodeId {
        graph.constant(f64::NAN)
    }

    fn place(&self) -> String {
        self.place.to_owned()
    }
}

/// The value of a slot where the estimated parameters have these linear values.
pub(super) fn slot_value(
    formulas: &ParameterFormulas,
    value: SlotValue,
    parameters: &[f64],
) -> f64 {
    match value {
        SlotValue::Number(number) => number,
        SlotValue::Estimated(parameter) => parameters[parameter.position()],
        SlotValue::Formula(formula) => formulas.value(formula, parameters),
    }
}

/// Whether moving a parameter changes a slot.
pub(super) fn depends_on(
    formulas: &ParameterFormulas,
    value: SlotValue,
    parameter: ParameterIdx,
) -> bool {
    match value {
        SlotValue::Number(_) => false,
        SlotValue::Estimated(p) => p == parameter,
        SlotValue::Formula(formula) => formulas.parameters(formula).any(|p| p == parameter),
    }
}

/// Parameters that set a slot.
pub(super) fn parameters_of(formulas: &ParameterFormulas, value: SlotValue) -> Vec<ParameterIdx> {
    match value {
        SlotValue::Number(_) => Vec::new(),
        SlotValue::Estimated(p) => vec![p],
        SlotValue::Formula(formula) => formulas.parameters(formula).collect(),
    }
}
