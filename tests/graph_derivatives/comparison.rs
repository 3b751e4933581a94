//! Comparing derivatives with those of the oracle.

use crate::bounded::{EPS, evaluate_bounded};
use crate::exact::Exact;
use crate::expression::{Expr, Random, Sample, listed};
use gradsweep::graph::{Graph, Input, NodeId, adjoints, differentiate};
use gradsweep::index::StateIdx;
use gradsweep::program::fuse::fuse;
use std::collections::BTreeMap;

/// 2^-320 of intermediate values up to 1e4, amplified a little, over the step.
const REFERENCE_ERROR: f64 = 1e-60;
/// The running bound is of first order and its slopes are estimates: twice it is safe.
const BOUND_SAFETY: f64 = 2.0;
/// A bound wider than this, relative to the result, proves nothing.
const USEFUL: f64 = 1e-6;

/// What comparing derivatives found.
#[derive(Debug, Default)]
pub struct Tally {
    pub compared: usize,
    pub vacuous: usize,
    pub wrong: Vec<String>,
    /// Largest deviation over its tolerance.
    pub worst: f64,
    /// Largest tolerance, relative to results above 1.
    pub widest: f64,
}

impl Tally {
    pub fn compare(&mut self, got: f64, want: f64, bound: f64, what: impl FnOnce() -> String) {
        // Rounding of the reference to f64 and its own error, beside the bound of the expression.
        let tolerance = BOUND_SAFETY * bound + EPS * want.abs() + REFERENCE_ERROR;
        if tolerance.is_nan() || tolerance > USEFUL * want.abs().max(1.0) {
            self.vacuous += 1;
            return;
        }
        self.compared += 1;
        let deviation = (got - want).abs();
        self.worst = self.worst.max(deviation / tolerance);
        self.widest = self.widest.max(tolerance / want.abs().max(1.0));
        if deviation.is_nan() || deviation > tolerance {
            self.wrong.push(format!("{}: {got:e}, not {want:e} +- {tolerance:e}", what()));
        }
    }

    pub fn check(&self, name: &str) {
        println!(
            "{name}: {} compared, {} bounds too wide, worst {:.2} of its tolerance, widest \
             tolerance {:.1e}",
            self.compared, self.vacuous, self.worst, self.widest
        );
        assert!(self.wrong.is_empty(), "{name}: {:#?}", &self.wrong[..self.wrong.len().min(5)]);
        assert!(self.vacuous * 20 < self.compared, "{name}: too many comparisons prove nothing");
    }
}

/// A change of the compared derivatives that the comparison must notice.
pub type Defect = fn(f64) -> f64;

/// Compares `graph::differentiate` along every input with the reference.
pub fn compare_symbolic(samples: &[Sample], exact: &mut Exact, defect: Option<Defect>) -> Tally {
    let mut tally = Tally::default();
    for (number, sample) in samples.iter().enumerate() {
        let mut graph = Graph::new();
        let roots = sample.build(&mut graph);
        let derivatives = differentiate(&mut graph, &roots, |graph, input| {
            let place = sample.inputs.iter().position(|i| *i == input).expect("a listed input");
            vec![(place as u32, graph.constant(1.0))]
        });
        for (k, input) in sample.inputs.iter().enumerate() {
            let unit: Vec<f64> =
                (0..sample.inputs.len()).map(|i| f64::from(u8::from(i == k))).collect();
            let reference = sample.derivative_reference(&unit, exact);
            let zero = graph.constant(0.0);
            let columns: Vec<NodeId> = derivatives
                .iter()
                .map(|d| d.iter().find(|(c, _)| *c as usize == k).map_or(zero, |(_, id)| *id))
                .collect();
            let lookup = |input| sample.value_of(input);
            let got = graph.evaluate(&columns, &lookup);
            let (list, places) = listed(&graph, &columns);
            let bounds = evaluate_bounded(&list, &lookup);
            for root in 0..roots.len() {
                let got = defect.map_or(got[root], |d| d(got[root]));
                tally.compare(got, reference[root], bounds[places[root]].error, || {
                    format!("expression {number}, root {root}, d/d{input:?}")
                });
            }
        }
    }
    tally
}

pub fn samples(seeds: std::ops::Range<u64>) -> Vec<Sample> {
    seeds.map(Sample::new).collect()
}

/// Which operations reach a root with an operand that depends on an input.
pub fn count_operations(samples: &[Sample]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for sample in samples {
        let mut is_needed = vec![false; sample.list.len()];
        for &root in &sample.roots {
            is_needed[root] = true;
        }
        for i in (0..sample.list.len()).rev() {
            if is_needed[i] {
                sample.list[i].operands().iter().for_each(|&o| is_needed[o] = true);
            }
        }
        let mut is_active = vec![false; sample.list.len()];
        for (i, expr) in sample.list.iter().enumerate() {
            is_active[i] =
                matches!(expr, Expr::Input(_)) || expr.operands().iter().any(|&o| is_active[o]);
            if is_needed[i] && is_active[i] {
                *counts.entry(expr.name()).or_insert(0) += 1;
            }
        }
    }
    counts
}

/// Compares `graph::adjoints` of a fused program with the reference: derivatives of a sum of the
/// roots with random weights.
pub fn compare_adjoints(samples: &[Sample], exact: &mut Exact, defect: Option<Defect>) -> Tally {
    let mut tally = Tally::default();
    for (number, sample) in samples.iter().enumerate() {
        let mut random = Random(number as u64);
        let mut graph = Graph::new();
        let roots = sample.build(&mut graph);
        let roots = fuse(&mut graph, &roots);
        let weights: Vec<f64> = roots.iter().map(|_| random.between(-1.0, 1.0)).collect();
        let seeded: Vec<(NodeId, NodeId)> = roots
            .iter()
            .enumerate()
            .map(|(i, &root)| (root, graph.input(Input::StateAdjoint(StateIdx::from_position(i)))))
            .collect();
        let found = adjoints(&mut graph, &seeded, &sample.inputs);
        let lookup = |input| match input {
            Input::StateAdjoint(i) => weights[i.position()],
            other => sample.value_of(other),
        };
        let got = graph.evaluate(&found, &lookup);
        let (list, places) = listed(&graph, &found);
        let bounds = evaluate_bounded(&list, &lookup);
        for (k, input) in sample.inputs.iter().enumerate() {
            let unit: Vec<f64> =
                (0..sample.inputs.len()).map(|i| f64::from(u8::from(i == k))).collect();
            let reference = sample.derivative_reference(&unit, exact);
            let terms = reference.iter().zip(&weights).map(|(d, w)| d * w);
            let magnitude: f64 = terms.clone().map(f64::abs).sum();
            let got = defect.map_or(got[k], |d| d(got[k]));
            // The sum of the reference is one of three rounded products.
            let bound = bounds[places[k]].error + 4.0 * EPS * magnitude;
            tally.compare(got, terms.sum(), bound, || {
                format!("expression {number}, adjoint of {input:?}")
            });
        }
    }
    tally
}
