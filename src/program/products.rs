//! Products and quotients regrouped, so that a step computes what does not change in it once.
//!
//! A right-hand side is computed at every stage. `compartment·k·x·y/volume` becomes
//! `(compartment·k·(1/volume))·(x·y)`: the factor in front has no states and is the same node at all
//! stages. No quotient is left but reciprocals, one for each divisor: a division takes a processor as
//! long as eight to thirty products, and derivatives need the reciprocal too.

use crate::graph::{Binary, Graph, Input, Node, NodeId};

/// `roots` with all products and quotients regrouped, equal to them but for rounding.
///
/// Slots and switches do not change within a step; states and time do.
pub fn regroup(graph: &mut Graph, roots: &[NodeId]) -> Vec<NodeId> {
    let order = graph.reachable(roots);
    let bound = order.last().map_or(0, |id| id.position() + 1);
    let mut old = Old {
        is_constant_in_step: vec![false; bound],
        is_inner: vec![false; bound],
        image: vec![None; bound],
    };
    let mut uses = vec![0_u32; bound];
    let mut is_in_product = vec![false; bound];
    for &id in &order {
        let node = graph.node(id);
        let is_product = is_product(node);
        for operand in node.operands() {
            uses[operand.position()] += 1;
            is_in_product[operand.position()] |= is_product;
        }
        old.is_constant_in_step[id.position()] = match node {
            Node::Constant(_) | Node::Input(Input::Slot(_) | Input::Switch(_)) => true,
            Node::Input(_) => false,
            _ => node.operands().all(|o| old.is_constant_in_step[o.position()]),
        };
    }
    for root in roots {
        uses[root.position()] += 1;
    }
    for &id in &order {
        let place = id.position();
        old.is_inner[place] =
            is_product(graph.node(id)) && uses[place] == 1 && is_in_product[place];
    }
    for &id in &order {
        if old.is_inner[id.position()] {
            continue;
        }
        let of = |n: NodeId| old.image[n.position()].expect("operands precede their users");
        let new = match graph.node(id) {
            node if is_product(node) => old.product(graph, id),
            _ => graph.with_operands(id, of),
        };
        old.image[id.position()] = Some(new);
    }
    roots.iter().map(|r| old.image[r.position()].expect("roots are not inner")).collect()
}

fn is_product(node: Node) -> bool {
    matches!(node, Node::Binary(Binary::Mul | Binary::Div, ..))
}

/// What is known of the nodes as they were.
struct Old {
    /// Whether it depends on slots and switches alone.
    is_constant_in_step: Vec<bool>,
    /// Whether it is a product whose only user is a product.
    is_inner: Vec<bool>,
    image: Vec<Option<NodeId>>,
}

/// Factors of a product: above the line, and below it.
#[derive(Default)]
struct Factors {
    numbers: [Vec<f64>; 2],
    constant_in_step: [Vec<NodeId>; 2],
    changing: [Vec<NodeId>; 2],
}

impl Old {
    /// The product or quotient with this id, regrouped.
    fn product(&self, graph: &mut Graph, id: NodeId) -> NodeId {
        let Factors { numbers, constant_in_step, changing } = self.factors(graph, id);
        let [above, below] = &numbers;
        let number = above.iter().product::<f64>() / below.iter().product::<f64>();
        let mut result = graph.constant(if number.is_normal() { number } else { 1.0 });
        for group in [&constant_in_step, &changing] {
            if let Some(factor) = quotient(graph, group) {
                result = graph.mul(result, factor);
            }
        }
        if !number.is_normal() {
            // One after the other: together they leave the range of doubles.
            for (op, numbers) in [(Binary::Mul, above), (Binary::Div, below)] {
                for &number in numbers {
                    let number = graph.constant(number);
                    result = graph.binary(op, result, number);
                }
            }
        }
        result
    }

    /// The factors of a product.
    fn factors(&self, graph: &Graph, id: NodeId) -> Factors {
        let mut factors = Factors::default();
        // With whether it is below the line.
        let mut stack = vec![(id, false)];
        while let Some((product, is_below)) = stack.pop() {
            let Node::Binary(op, a, b) = graph.node(product) else { continue };
            for (operand, is_below) in [(a, is_below), (b, is_below != (op == Binary::Div))] {
                let place = operand.position();
                if self.is_inner[place] {
                    stack.push((operand, is_below));
                } else if let Some(value) = graph.constant_value(operand) {
                    factors.numbers[usize::from(is_below)].push(value);
                } else {
                    let group = match self.is_constant_in_step[place] {
                        true => &mut factors.constant_in_step,
                        false => &mut factors.changing,
                    };
                    let image = self.image[place].expect("operands precede their users");
                    group[usize::from(is_below)].push(image);
                }
            }
        }
        cancel(&mut factors.constant_in_step);
        for group in factors.constant_in_step.iter_mut().chain(&mut factors.changing) {
            group.sort_unstable();
        }
        factors
    }
}

/// Takes out what is above and below the line.
fn cancel([above, below]: &mut [Vec<NodeId>; 2]) {
    below.retain(|divisor| match above.iter().position(|factor| factor == divisor) {
        Some(place) => {
            above.swap_remove(place);
            false
        }
        None => true,
    });
}

/// The product of those above times the reciprocal of the product of those below; none of none.
fn quotient(graph: &mut Graph, [above, below]: &[Vec<NodeId>; 2]) -> Option<NodeId> {
    let mut all = |factors: &[NodeId]| {
        factors.iter().copied().reduce(|product, factor| graph.mul(product, factor))
    };
    let (above, below) = (all(above), all(below));
    let Some(divisor) = below else { return above };
    let one = graph.constant(1.0);
    let reciprocal = graph.div(one, divisor);
    Some(match above {
        Some(factor) => graph.mul(factor, reciprocal),
        None => reciprocal,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Unary;
    use crate::index::{SlotIdx, StateIdx};
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64Mcg;

    fn inputs<const N: usize>(graph: &mut Graph, of: impl Fn(u32) -> Input) -> [NodeId; N] {
        std::array::from_fn(|i| graph.input(of(i as u32)))
    }

    fn count(graph: &Graph, roots: &[NodeId], op: Binary) -> usize {
        let is_op = |id: &NodeId| matches!(graph.node(*id), Node::Binary(o, ..) if o == op);
        graph.reachable(roots).iter().filter(|id| is_op(id)).count()
    }

    /// Rates as models have them: mass action in a compartment, Michaelis & Menten, Hill, a
    /// quotient of quotients, a chain of divisions.
    fn rates(graph: &mut Graph) -> Vec<NodeId> {
        let [x, y, z] = inputs(graph, |i| Input::State(StateIdx(i)));
        let [k, km, v] = inputs(graph, |i| Input::Slot(SlotIdx(i)));
        let number = graph.constant(0.45);
        let mass_action = [k, x, y].into_iter().fold(v, |p, f| graph.mul(p, f));
        let gain = graph.div(mass_action, v);
        let loss = graph.div(mass_action, number);
        let sum = graph.add(km, x);
        let top = graph.mul(k, x);
        let michaelis = graph.div(top, sum);
        let power = graph.mul(z, z);
        let shifted = graph.add(power, km);
        let hill = graph.div(power, shifted);
        let nested = graph.div(michaelis, hill);
        let root = graph.unary(Unary::Sqrt, gain);
        let chain = [v, y, shifted, number].into_iter().fold(root, |p, f| graph.div(p, f));
        let negative = graph.neg(chain);
        let other = graph.mul(negative, nested);
        vec![gain, loss, michaelis, hill, nested, chain, other]
    }

    #[test]
    fn values_stay_the_same_but_for_rounding() {
        let mut graph = Graph::new();
        let old = rates(&mut graph);
        let new = regroup(&mut graph, &old);
        let mut random = Pcg64Mcg::seed_from_u64(0);
        for _ in 0..1_000 {
            let values: [f64; 6] =
                std::array::from_fn(|_| 10_f64.powf(random.random_range(-5.0..5.0)));
            let lookup = |input: Input| match input {
                Input::State(i) => values[i.position()],
                Input::Slot(i) => values[3 + i.position()],
                other => panic!("{other:?}"),
            };
            let [old, new] = [&old, &new].map(|roots| graph.evaluate(roots, &lookup));
            for (a, b) in old.iter().zip(&new) {
                // At most 14 operations, each rounded to half a spacing, either way.
                assert!((a - b).abs() <= 14.0 * f64::EPSILON * a.abs(), "{a}, {b}");
            }
        }
    }

    #[test]
    fn each_divisor_has_one_reciprocal() {
        let mut graph = Graph::new();
        let old = rates(&mut graph);
        let new = regroup(&mut graph, &old);
        // v, km + x, z² + km, those of chain and of nested: no constant.
        assert_eq!(count(&graph, &old, Binary::Div), 9);
        assert!(count(&graph, &new, Binary::Div) <= 6);
        for id in graph.reachable(&new) {
            if let Node::Binary(Binary::Div, above, below) = graph.node(id) {
                assert_eq!(graph.constant_value(above), Some(1.0));
                assert_eq!(graph.constant_value(below), None);
            }
        }
    }

    #[test]
    fn what_is_constant_in_a_step_comes_first() {
        let mut graph = Graph::new();
        let [x, y] = inputs(&mut graph, |i| Input::State(StateIdx(i)));
        let [k, v] = inputs(&mut graph, |i| Input::Slot(SlotIdx(i)));
        let number = graph.constant(0.45);
        let product = [k, x, y, number].into_iter().fold(v, |p, f| graph.mul(p, f));
        let rate = graph.div(product, v);
        let [new] = regroup(&mut graph, &[rate])[..] else { panic!("one root") };
        let (front, back) = (graph.mul(number, k), graph.mul(x, y));
        assert_eq!(new, graph.mul(front, back));
        // States are not cancelled: 0/0 has no value.
        let [same, other] = [graph.mul(x, y), graph.mul(k, y)];
        let ratio = graph.div(same, other);
        let [new] = regroup(&mut graph, &[ratio])[..] else { panic!("one root") };
        assert!(graph.inputs_of(&[new]).contains(&Input::State(StateIdx(1))));
    }

    #[test]
    fn numbers_that_leave_the_range_of_doubles_are_not_multiplied() {
        let mut graph = Graph::new();
        let x = graph.input(Input::State(StateIdx(0)));
        let [small, large] = [1e-200, 1e200].map(|value| graph.constant(value));
        let product = graph.mul(small, x);
        let rate = graph.div(product, large);
        let [new] = regroup(&mut graph, &[rate])[..] else { panic!("one root") };
        let at = |x: f64| graph.evaluate(&[new], &|_| x)[0];
        assert!(at(1e200).abs() > 0.0);
    }
}
