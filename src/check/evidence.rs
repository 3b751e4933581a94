//! Evidence over points: tests of rates and of ranks, and what several tests at once are worth.

use statrs::distribution::{Binomial, ContinuousCDF, DiscreteCDF, Normal};

/// One-sided exact p-value of "the rate is at most `rate`": the probability of as many successes or
/// more. 1 of no trials.
pub fn binomial_evidence(successes: usize, trials: usize, rate: f64) -> f64 {
    if successes == 0 {
        return 1.0;
    }
    match Binomial::new(rate, trials as u64) {
        Ok(binomial) => binomial.sf(successes as u64 - 1),
        Err(_) => f64::NAN,
    }
}

/// p-values adjusted for their number (Holm, *A simple sequentially rejective multiple test
/// procedure*, Scand. J. Statist. 6, 1979): the k-th smallest of m becomes the largest of (m − j + 1)
/// times the j-th smallest, j ≤ k; at most 1.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut adjusted = vec![f64::NAN; p_values.len()];
    let mut so_far = 0.0_f64;
    for (k, &i) in order.iter().enumerate() {
        so_far = so_far.max((p_values.len() - k) as f64 * p_values[i]).min(1.0);
        adjusted[i] = so_far;
    }
    adjusted
}

/// How far two samples differ in rank (Mann & Whitney 1947).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RankTest {
    /// Probability that one of the first sample is larger than one of the second; ties count half.
    pub auc: f64,
    /// Two-sided p-value of 0.5, by the normal approximation with corrections for ties and
    /// continuity.
    pub p_value: f64,
}

/// The rank test of two samples; none if one is empty.
pub fn rank_test(first: &[f64], second: &[f64]) -> Option<RankTest> {
    if first.is_empty() || second.is_empty() {
        return None;
    }
    let own = first.iter().map(|&v| (v, true));
    let mut all: Vec<(f64, bool)> = own.chain(second.iter().map(|&v| (v, false))).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut rank_sum, mut ties, mut before) = (0.0, 0.0, 0.0);
    for group in all.chunk_by(|a, b| a.0 == b.0) {
        let size = group.len() as f64;
        let own = group.iter().filter(|(_, is_first)| *is_first).count() as f64;
        rank_sum += own * (before + 0.5 * (size + 1.0));
        ties += size * (size * size - 1.0);
        before += size;
    }
    let (n1, n2, n) = (first.len() as f64, second.len() as f64, all.len() as f64);
    let u = rank_sum - 0.5 * n1 * (n1 + 1.0);
    let variance = n1 * n2 / 12.0 * ((n + 1.0) - ties / (n * (n - 1.0)));
    let distance = ((u - 0.5 * n1 * n2).abs() - 0.5).max(0.0);
    let p_value = if variance > 0.0 {
        (2.0 * Normal::standard().sf(distance / variance.sqrt())).min(1.0)
    } else {
        1.0
    };
    Some(RankTest { auc: u / (n1 * n2), p_value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, expected: f64, relative: f64) -> bool {
        (found - expected).abs() <= relative * expected.abs()
    }

    #[test]
    fn binomial_tails_are_their_sums() {
        let q = 0.05_f64;
        // Relative 1e-12: rounding of a continued fraction of the beta function.
        for (successes, trials, expected) in [
            (1, 1, q),
            (1, 3, 1.0 - (1.0 - q).powi(3)),
            (2, 3, 3.0 * q * q * (1.0 - q) + q.powi(3)),
            (3, 3, q.powi(3)),
            (100, 100, q.powi(100)),
            (99, 100, 100.0 * q.powi(99) * (1.0 - q) + q.powi(100)),
        ] {
            let found = binomial_evidence(successes, trials, q);
            assert!(close(found, expected, 1e-12), "{successes}/{trials}: {found} {expected}");
        }
        for (successes, trials, rate, expected) in
            [(0, 10, q, 1.0), (0, 0, q, 1.0), (1, 10, 0.0, 0.0), (0, 10, 0.0, 1.0)]
        {
            assert_eq!(binomial_evidence(successes, trials, rate), expected);
        }
    }

    /// By hand: sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1 is 0.02, 0.03, 0.06, 0.04, whose
    /// running maximum is 0.02, 0.03, 0.06, 0.06.
    #[test]
    fn holm_is_as_defined() {
        let found = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (found, expected) in found.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!(close(*found, expected, 1e-15), "{found} {expected}");
        }
        assert_eq!(holm(&[0.5, 0.6]), [1.0, 1.0]);
        assert_eq!(holm(&[0.02]), [0.02]);
        assert_eq!(holm(&[]), [0.0; 0]);
    }

    #[test]
    fn ranks_by_hand() {
        // U = 3 + 3 + 1 (of 9 pairs, without ties); mean 4.5, variance 9·7/12 = 5.25:
        // z = (2.5 − 0.5)/2.2913 = 0.87287, two-sided p = 0.38273.
        let found = rank_test(&[5.0, 6.0, 2.0], &[1.0, 3.0, 4.0]).unwrap();
        assert!(close(found.auc, 7.0 / 9.0, 1e-15));
        assert!(close(found.p_value, 0.38273, 1e-4), "{found:?}");
        // Ties: pairs 2>1, 2=2 (half), 2=2, 3>all: U = 2 (from 1+½+½) + 3 = 5 of 6; ranks' ties:
        // one group of three, t³ − t = 24; variance 6/12·(6 − 24/20) = 2.4,
        // z = (5 − 3 − 0.5)/1.549193 = 0.968246, p = 0.33292.
        let found = rank_test(&[2.0, 3.0], &[1.0, 2.0, 2.0]).unwrap();
        assert!(close(found.auc, 5.0 / 6.0, 1e-15));
        assert!(close(found.p_value, 0.33292, 1e-4), "{found:?}");
        // The other way round it is the complement, with the same evidence.
        let other = rank_test(&[1.0, 2.0, 2.0], &[2.0, 3.0]).unwrap();
        assert!(close(other.auc, 1.0 / 6.0, 1e-15) && close(other.p_value, found.p_value, 1e-12));
    }

    #[test]
    fn what_is_all_the_same_says_nothing() {
        let found = rank_test(&[1.0; 5], &[1.0; 7]).unwrap();
        assert_eq!((found.auc, found.p_value), (0.5, 1.0));
        assert_eq!(rank_test(&[], &[1.0]), None);
        assert_eq!(rank_test(&[1.0], &[]), None);
    }
}
