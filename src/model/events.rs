//! What changes a simulation at an instant: the model's events, and the assignments with which a
//! later period starts.
//!
//! All formulas lie in a small graph of their own, over states, time and slots, since every lane
//! may need them. A trigger is a logical formula of *relations* (comparisons), each of which
//! changes either at a time that slots alone set, or where its two sides meet along the way.

use crate::graph::{
    Binary, Graph, Input, Node, NodeId, SparseTangent, Substitution, differentiate,
};
use crate::index::{EventIdx, RelationIdx, SlotIdx, StateIdx, SwitchIdx};
use crate::model::switches::change_time;

/// Where a lane is.
#[derive(Debug, Clone, Copy)]
pub struct Instant<'a> {
    pub t: f64,
    pub states: &'a [f64],
    /// Values of the simulation's slots.
    pub slots: &'a [f64],
}

/// How a lane moves when parameters do, direction by direction.
#[derive(Debug, Clone, Copy)]
pub struct Motion<'a> {
    /// Slots that the directions move.
    pub directions: &'a [SlotIdx],
    /// `[direction][state]`: total derivatives, also where the instant itself moves.
    pub states: &'a [f64],
    /// Derivatives of the instant's time, by direction.
    pub t: &'a [f64],
}

/// A formula with its derivatives.
#[derive(Debug, Clone)]
pub struct Formula {
    node: NodeId,
    /// With respect to states, slots and time, where not identically zero.
    slopes: Vec<(Input, NodeId)>,
}

/// What a state becomes.
#[derive(Debug, Clone)]
pub struct Assignment {
    pub state: StateIdx,
    pub value: Formula,
    /// What the value is multiplied by when it is assigned, whenever it was evaluated: the size of
    /// the compartment of a species whose state is an amount.
    pub factor: Option<Formula>,
}

/// An assignment in the graph that its formulas were lowered to.
#[derive(Debug, Clone, Copy)]
pub(super) struct AssignmentNodes {
    pub state: StateIdx,
    pub value: NodeId,
    pub factor: Option<NodeId>,
}

/// When a relation changes.
#[derive(Debug, Clone)]
pub enum Change {
    /// Never, but when slots change.
    Never,
    /// At a time that slots set; with its derivatives.
    At(Formula),
    /// Where its sides' difference goes through zero.
    Root(Formula),
}

/// A comparison in a trigger.
#[derive(Debug, Clone)]
pub struct Relation {
    condition: NodeId,
    pub change: Change,
}

/// An event of the model (SBML L3V2 section 4.12).
#[derive(Debug, Clone)]
pub struct Event {
    pub id: String,
    trigger: NodeId,
    pub delay: Option<Formula>,
    priority: Option<NodeId>,
    pub assignments: Vec<Assignment>,
    /// Value of the trigger before the start.
    pub initial_value: bool,
    pub persistent: bool,
    pub use_values_from_trigger_time: bool,
}

/// An event's formulas in the graph they were lowered to.
#[derive(Debug)]
pub(super) struct EventNodes {
    pub id: String,
    pub trigger: NodeId,
    pub delay: Option<NodeId>,
    pub priority: Option<NodeId>,
    pub assignments: Vec<AssignmentNodes>,
    pub initial_value: bool,
    pub persistent: bool,
    pub use_values_from_trigger_time: bool,
}

/// The events of a problem and the assignments of its periods.
#[derive(Debug, Default)]
pub struct Events {
    graph: Graph,
    relations: Vec<Relation>,
    events: Vec<Event>,
    /// Relations that the right-hand side's first switches stand for.
    held: Vec<RelationIdx>,
}

impl Events {
    /// Copies events, the conditions that switches hold and, by list, the assignments of periods
    /// from the graph they are in.
    pub(super) fn new(
        source: &Graph,
        events: &[EventNodes],
        held: &[NodeId],
        assignments: &[Vec<AssignmentNodes>],
    ) -> (Self, Vec<Vec<Assignment>>) {
        let mut graph = Graph::new();
        let mut copy =
            Substitution::new(Some(source), |graph: &mut Graph, input| graph.input(input));
        let copied: Vec<EventNodes> = events
            .iter()
            .map(|event| EventNodes {
                id: event.id.clone(),
                trigger: copy.apply(&mut graph, event.trigger),
                delay: event.delay.map(|node| copy.apply(&mut graph, node)),
                priority: event.priority.map(|node| copy.apply(&mut graph, node)),
                assignments: event
                    .assignments
                    .iter()
                    .map(|a| a.map(|node| copy.apply(&mut graph, node)))
                    .collect(),
                ..*event
            })
            .collect();
        let of_periods: Vec<Vec<AssignmentNodes>> = assignments
            .iter()
            .map(|list| list.iter().map(|a| a.map(|node| copy.apply(&mut graph, node))).collect())
            .collect();

        let held: Vec<NodeId> = held.iter().map(|&node| copy.apply(&mut graph, node)).collect();
        let mut roots: Vec<NodeId> = copied.iter().map(|e| e.trigger).collect();
        roots.extend(&held);
        let conditions = comparisons(&graph, &roots);
        let relation_of = |node: &NodeId| conditions.iter().position(|c| c == node);
        let held = held.iter().filter_map(relation_of).map(RelationIdx::from_position).collect();
        let relations = conditions.iter().map(|&c| relation(&mut graph, c)).collect();
        let mut as_switches =
            Substitution::new(None, |graph: &mut Graph, input| graph.input(input));
        for (i, &condition) in conditions.iter().enumerate() {
            let switch = graph.input(Input::Switch(SwitchIdx::from_position(i)));
            as_switches.preset(condition, switch);
        }
        let mut list = Vec::with_capacity(copied.len());
        for event in copied {
            list.push(Event {
                trigger: as_switches.apply(&mut graph, event.trigger),
                delay: event.delay.map(|node| formula(&mut graph, node)),
                priority: event.priority,
                assignments: assigned(&mut graph, &event.assignments),
                id: event.id,
                initial_value: event.initial_value,
                persistent: event.persistent,
                use_values_from_trigger_time: event.use_values_from_trigger_time,
            });
        }
        let of_periods = of_periods.iter().map(|list| assigned(&mut graph, list)).collect();
        (Self { graph, relations, events: list, held }, of_periods)
    }

    /// Whether nothing happens but at times that periods and switches on time tell.
    pub fn are_absent(&self) -> bool {
        self.events.is_empty() && self.relations.is_empty()
    }

    /// The relations that the first switches of the right-hand side stand for, in their order.
    pub fn held(&self) -> &[RelationIdx] {
        &self.held
    }

    /// Number of events.
    pub fn count(&self) -> usize {
        self.events.len()
    }

    /// An event.
    pub fn event(&self, event: EventIdx) -> &Event {
        &self.events[event.position()]
    }

    /// All comparisons that triggers are made of.
    pub fn relations(&self) -> &[Relation] {
        &self.relations
    }

    /// Whether some trigger changes at a time that only the trajectory tells.
    pub fn have_roots(&self) -> bool {
        self.relations.iter().any(|r| matches!(r.change, Change::Root(_)))
    }

    /// Slots in any formula of events, ascending.
    pub(super) fn slots(&self) -> Vec<SlotIdx> {
        let all: Vec<NodeId> = (0..self.events.len())
            .flat_map(|e| {
                let event = &self.events[e];
                let values = event.assignments.iter().flat_map(Assignment::nodes);
                values.chain(event.priority).chain(event.delay.as_ref().map(|d| d.node))
            })
            .chain(self.relations.iter().map(|r| r.condition))
            .collect();
        slots_of(&self.graph, &all)
    }

    /// Slots in a period's assignments.
    pub(super) fn slots_in(&self, assignments: &[Assignment]) -> Vec<SlotIdx> {
        let nodes: Vec<NodeId> = assignments.iter().flat_map(Assignment::nodes).collect();
        slots_of(&self.graph, &nodes)
    }

    /// Slots that move the time of an event, or none if any direction may.
    pub fn moving_slots(&self) -> Option<Vec<SlotIdx>> {
        let mut slots = Vec::new();
        for relation in &self.relations {
            match &relation.change {
                Change::Never => {}
                Change::At(time) => slots.extend(time.slots()),
                Change::Root(_) => return None,
            }
        }
        for event in &self.events {
            if let Some(delay) = &event.delay {
                if delay.slopes.iter().any(|(input, _)| matches!(input, Input::State(_))) {
                    return None;
                }
                slots.extend(delay.slots());
            }
        }
        slots.sort_unstable();
        slots.dedup();
        Some(slots)
    }

    /// When a relation changes that only slots decide, NaN for any other.
    pub fn change_time(&self, relation: RelationIdx, slots: &[f64]) -> f64 {
        match &self.relations[relation.position()].change {
            Change::At(time) => self.value(time, &Instant { t: f64::NAN, states: &[], slots }),
            _ => f64::NAN,
        }
    }

    /// Times of relations that change at `t` where the slots have these values, each once.
    pub fn changes_at(&self, t: f64, slots: &[f64]) -> Vec<&Formula> {
        let mut found: Vec<&Formula> = Vec::new();
        for relation in &self.relations {
            if let Change::At(time) = &relation.change
                && self.value(time, &Instant { t: f64::NAN, states: &[], slots }) == t
                && found.iter().all(|other| other.node != time.node)
            {
                found.push(time);
            }
        }
        found
    }

    /// Whether a relation holds at an instant.
    pub fn holds(&self, relation: RelationIdx, at: &Instant<'_>) -> bool {
        self.evaluate(self.relations[relation.position()].condition, at) != 0.0
    }

    /// Whether an event's trigger holds where its relations are so.
    pub fn is_triggered(&self, event: EventIdx, relations: &[bool]) -> bool {
        let lookup = |input: Input| match input {
            Input::Switch(s) => f64::from(u8::from(relations[s.position()])),
            _ => f64::NAN,
        };
        self.graph.evaluate(&[self.events[event.position()].trigger], &lookup)[0] != 0.0
    }

    /// The priority of an event, -inf without one: it is executed after all that have one.
    pub fn priority(&self, event: EventIdx, at: &Instant<'_>) -> f64 {
        match self.events[event.position()].priority {
            Some(node) => self.evaluate(node, at),
            None => f64::NEG_INFINITY,
        }
    }

    /// The value of a formula.
    pub fn value(&self, formula: &Formula, at: &Instant<'_>) -> f64 {
        self.evaluate(formula.node, at)
    }

    /// Its derivatives along the directions, as the lane moves with them.
    pub fn derivatives(
        &self,
        formula: &Formula,
        at: &Instant<'_>,
        motion: &Motion<'_>,
    ) -> Vec<f64> {
        let n = at.states.len();
        let mut along = vec![0.0; motion.directions.len()];
        for &(input, node) in &formula.slopes {
            let slope = self.evaluate(node, at);
            if slope == 0.0 {
                continue;
            }
            for (k, along) in along.iter_mut().enumerate() {
                *along += match input {
                    Input::State(s) => slope * motion.states[k * n + s.position()],
                    Input::Time => slope * motion.t[k],
                    Input::Slot(s) if s == motion.directions[k] => slope,
                    _ => 0.0,
                };
            }
        }
        along
    }

    /// Whether an assignment takes a value as it is: a number, a slot or a state.
    pub fn is_exact(&self, assignment: &Assignment) -> bool {
        let node = self.graph.node(assignment.value.node);
        assignment.factor.is_none() && matches!(node, Node::Constant(_) | Node::Input(_))
    }

    /// A formula as an expression.
    pub fn expression(&self, formula: &Formula) -> (&Graph, NodeId) {
        (&self.graph, formula.node)
    }

    /// Its derivatives with respect to states, time and slots that are not 0 there.
    pub fn slopes(&self, formula: &Formula, at: &Instant<'_>) -> Vec<(Input, f64)> {
        let slope = |&(input, node): &(Input, NodeId)| (input, self.evaluate(node, at));
        formula.slopes.iter().map(slope).filter(|(_, slope)| *slope != 0.0).collect()
    }

    /// The derivative of a formula along a trajectory with these rates of change.
    pub fn rate(&self, formula: &Formula, at: &Instant<'_>, rates: &[f64]) -> f64 {
        let terms = formula.slopes.iter().map(|&(input, node)| match input {
            Input::State(s) => self.evaluate(node, at) * rates[s.position()],
            Input::Time => self.evaluate(node, at),
            _ => 0.0,
        });
        terms.sum()
    }

    fn evaluate(&self, node: NodeId, at: &Instant<'_>) -> f64 {
        let lookup = |input: Input| match input {
            Input::State(s) => at.states[s.position()],
            Input::Time => at.t,
            Input::Slot(s) => at.slots[s.position()],
            _ => f64::NAN,
        };
        self.graph.evaluate(&[node], &lookup)[0]
    }
}

impl Assignment {
    fn nodes(&self) -> impl Iterator<Item = NodeId> {
        std::iter::once(self.value.node).chain(self.factor.as_ref().map(|f| f.node))
    }
}

impl AssignmentNodes {
    fn map(self, mut copy: impl FnMut(NodeId) -> NodeId) -> Self {
        Self { state: self.state, value: copy(self.value), factor: self.factor.map(copy) }
    }
}

impl Formula {
    /// Whether another formula of the same events is this one.
    pub fn is_same(&self, other: &Self) -> bool {
        self.node == other.node
    }

    /// Slots that it depends on.
    fn slots(&self) -> impl Iterator<Item = SlotIdx> + '_ {
        self.slopes.iter().filter_map(|(input, _)| match input {
            Input::Slot(slot) => Some(*slot),
            _ => None,
        })
    }
}

fn slots_of(graph: &Graph, nodes: &[NodeId]) -> Vec<SlotIdx> {
    let slot = |input| match input {
        Input::Slot(slot) => Some(slot),
        _ => None,
    };
    graph.inputs_of(nodes).into_iter().filter_map(slot).collect()
}

fn comparisons(graph: &Graph, roots: &[NodeId]) -> Vec<NodeId> {
    let is_comparison = |id: &NodeId| {
        matches!(graph.node(*id), Node::Binary(Binary::Lt | Binary::Le | Binary::Eq, _, _))
    };
    graph.reachable(roots).into_iter().filter(is_comparison).collect()
}

fn relation(graph: &mut Graph, condition: NodeId) -> Relation {
    let inputs = graph.inputs_of(&[condition]);
    let has_states = inputs.iter().any(|i| matches!(i, Input::State(_)));
    let change = if !has_states && !inputs.contains(&Input::Time) {
        Change::Never
    } else {
        let time = if has_states { None } else { change_time(graph, condition).ok() };
        match (time, graph.node(condition)) {
            (Some(time), _) => Change::At(formula(graph, time)),
            (None, Node::Binary(_, left, right)) => {
                let difference = graph.sub(left, right);
                Change::Root(formula(graph, difference))
            }
            (None, _) => Change::Never,
        }
    };
    Relation { condition, change }
}

fn assigned(graph: &mut Graph, list: &[AssignmentNodes]) -> Vec<Assignment> {
    list.iter()
        .map(|a| Assignment {
            state: a.state,
            value: formula(graph, a.value),
            factor: a.factor.map(|node| formula(graph, node)),
        })
        .collect()
}

/// The formula of a node, differentiated.
fn formula(graph: &mut Graph, node: NodeId) -> Formula {
    let inputs = graph.inputs_of(&[node]);
    let seed = |graph: &mut Graph, input: Input| -> SparseTangent {
        match inputs.iter().position(|i| *i == input) {
            Some(k) if !matches!(input, Input::Switch(_)) => {
                vec![(k as u32, graph.constant(1.0))]
            }
            _ => Vec::new(),
        }
    };
    let slopes = differentiate(graph, &[node], seed).pop().unwrap_or_default();
    let slopes = slopes.into_iter().map(|(k, slope)| (inputs[k as usize], slope)).collect();
    Formula { node, slopes }
}
