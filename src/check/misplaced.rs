//! Gradients that stand at the wrong points: a file whose rows are shifted, or sorted otherwise than the
//! points are.

use super::diagnosis::{Diagnosis, FEWEST_POINTS, Mark, PART, Sample};

/// Components by which a point is recognised, at least: a single one may be equal by chance.
const FEWEST_COMPONENTS: usize = 2;

/// Whether each sample's gradient is what the estimates of another one say, in all components that were
/// estimated there.
fn are_of_other_points(samples: &[Sample]) -> Vec<bool> {
    let is_of = |here: &Sample, there: &Sample| {
        let mut compared = 0;
        here.cells.iter().zip(&there.cells).all(|(here, there)| {
            if !(here.gradient.is_finite() && there.bound.is_finite()) {
                return true;
            }
            compared += usize::from(here.has_failed);
            here.is_near(there.estimate, there.bound)
        }) && compared >= FEWEST_COMPONENTS
    };
    let is_misplaced = |k: usize| {
        let others = samples.iter().enumerate().filter(|(j, _)| *j != k);
        others.map(|(_, there)| there).any(|there| is_of(&samples[k], there))
    };
    (0..samples.len()).map(is_misplaced).collect()
}

/// Puts the mark into diagnoses that know none; `failing` are the places of parameters that have one.
pub(super) fn find_misplaced(
    samples: &[Sample],
    failing: &[usize],
    diagnoses: &mut [Option<Diagnosis>],
) {
    let knows_none =
        |d: &Option<Diagnosis>| d.as_ref().is_some_and(|d| matches!(d.mark, Mark::Unknown));
    if !failing.iter().any(|&place| knows_none(&diagnoses[place])) {
        return;
    }
    let is_misplaced = are_of_other_points(samples);
    for &place in failing {
        if !knows_none(&diagnoses[place]) {
            continue;
        }
        let theirs = samples.iter().zip(&is_misplaced).filter(|(s, _)| s.cells[place].has_failed);
        let failed = theirs.clone().count();
        let bearing = theirs.filter(|(_, is_misplaced)| **is_misplaced).count();
        if bearing >= FEWEST_POINTS && bearing as f64 >= PART * failed as f64 {
            diagnoses[place] = Some(Diagnosis::of_mark(Mark::OtherPoint, bearing, failed));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::diagnosis::SampleCell;
    use super::*;

    /// Two components at ten points: cosines and sines of multiples of an angle, times a size that
    /// grows. `from` tells whose gradient each point has, and what becomes of it.
    fn samples(from: impl Fn(usize, usize) -> f64) -> Vec<Sample> {
        let right = |point: usize, component: usize| {
            let angle = 2.4 * point as f64 + 1.5 * component as f64;
            (1.0 + point as f64) * angle.cos()
        };
        (0..10)
            .map(|point| Sample {
                theta: vec![0.0; 2],
                cells: (0..2)
                    .map(|c| {
                        let source = from(point, c);
                        let (whose, factor) = (source.trunc() as usize, 1.0 + source.fract());
                        let gradient = factor * right(whose, c);
                        let estimate = right(point, c);
                        let has_failed = (gradient - estimate).abs() > 1e-6;
                        SampleCell { gradient, estimate, bound: 1e-8, has_failed }
                    })
                    .collect(),
            })
            .collect()
    }

    fn unknown() -> Vec<Option<Diagnosis>> {
        (0..2).map(|_| Some(Diagnosis::of_mark(Mark::Unknown, 0, 10))).collect()
    }

    #[test]
    fn rows_that_are_shifted_or_reversed_are_recognised() {
        for (what, from) in [
            ("shifted", (|point, _| ((point + 1) % 10) as f64) as fn(usize, usize) -> f64),
            ("reversed", |point, _| (9 - point) as f64),
        ] {
            let mut found = unknown();
            find_misplaced(&samples(from), &[0, 1], &mut found);
            for diagnosis in found {
                let diagnosis = diagnosis.expect("one was there");
                assert_eq!(diagnosis.mark, Mark::OtherPoint, "{what}");
                assert_eq!((diagnosis.bearing, diagnosis.failing), (10, 10), "{what}");
            }
        }
    }

    /// The twins: the right gradient of another point is off by 5 % in one component, or only one
    /// component is of another point.
    #[test]
    fn other_gradients_are_not() {
        for from in [
            (|point, c| ((point + 1) % 10) as f64 + 0.05 * c as f64) as fn(usize, usize) -> f64,
            |point, c| ((point + c) % 10) as f64,
        ] {
            let mut found = unknown();
            find_misplaced(&samples(from), &[0, 1], &mut found);
            let is_unknown = |d: &Option<Diagnosis>| d.as_ref().unwrap().mark == Mark::Unknown;
            assert!(found.iter().all(is_unknown), "{found:?}");
        }
    }
}
