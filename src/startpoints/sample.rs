//! Random and nominal points.

use super::{Points, StartpointError};
use crate::model::EstimatedParameter;
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;

/// The id of the nominal point.
const NOMINAL_ID: &str = "nominal";

/// Draws points `first` to `first + count - 1` of the seed, uniform between the bounds on the
/// parameter scale. Ids are the points' numbers.
///
/// The coordinate is `lower + u * (upper - lower)`, rounded after each operation, where u in
/// [0, 1) is the upper 53 bits of a 64-bit draw over 2^53. Every point has a generator of its own,
/// PCG XSL RR 128/64 (O'Neill 2014), which gives one draw a parameter, in the order of
/// `parameters`. With mix the finaliser of SplitMix64 (Steele, Lea and Flood 2014) and
/// G = 0x9E3779B97F4A7C15, its state and stream are the little-endian words
/// mix(key + G), …, mix(key + 4 G) of key = mix(mix(seed + G) xor point).
///
/// Priors of the parameter table do not matter here: a sweep looks for wrong gradients wherever an
/// optimiser may go. See [`random_from_priors`](super::random_from_priors).
///
/// # Errors
/// A parameter with bounds that are infinite, so far apart that their difference is, or crossing.
pub fn random(
    parameters: &[EstimatedParameter],
    count: usize,
    first: usize,
    seed: u64,
) -> Result<Points, StartpointError> {
    parameters.iter().try_for_each(bounds_fault)?;
    let numbers = || (first..).take(count);
    Ok(Points {
        ids: numbers().map(|number| number.to_string()).collect(),
        theta_scaled: numbers().map(|number| point(parameters, number as u64, seed)).collect(),
    })
}

/// Refuses bounds between which nothing can be drawn.
pub(super) fn bounds_fault(parameter: &EstimatedParameter) -> Result<(), StartpointError> {
    let (lower, upper) = (parameter.lower_scaled, parameter.upper_scaled);
    let width = upper - lower;
    if width >= 0.0 && width.is_finite() {
        return Ok(());
    }
    let (id, scale) = (parameter.id.clone(), parameter.scale);
    Err(StartpointError::Bounds { id, scale, lower, upper })
}

/// The numbers in [0, 1) of a point, one for each parameter.
pub(super) fn draws(seed: u64, number: u64, count: usize) -> Vec<f64> {
    let mut generator = generator(seed, number);
    (0..count).map(|_| fraction(generator.next_u64())).collect()
}

fn point(parameters: &[EstimatedParameter], number: u64, seed: u64) -> Vec<f64> {
    let coordinate = |(parameter, u): (&EstimatedParameter, f64)| {
        let (lower, upper) = (parameter.lower_scaled, parameter.upper_scaled);
        // Rounding can carry the sum over the bound.
        (lower + u * (upper - lower)).min(upper)
    };
    parameters.iter().zip(draws(seed, number, parameters.len())).map(coordinate).collect()
}

/// The generator of one point. PCG streams of related seeds are correlated, hence the mixing.
fn generator(seed: u64, point: u64) -> Pcg64 {
    const STRIDE: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut key = mix(mix(seed.wrapping_add(STRIDE)) ^ point);
    let mut bytes = [0; 32];
    for word in bytes.chunks_exact_mut(8) {
        key = key.wrapping_add(STRIDE);
        word.copy_from_slice(&mix(key).to_le_bytes());
    }
    Pcg64::from_seed(bytes)
}

/// The finaliser of SplitMix64, a bijection.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The upper 53 bits as a number in [0, 1).
fn fraction(bits: u64) -> f64 {
    const UNIT: f64 = 1.0 / (1u64 << 53) as f64;
    (bits >> 11) as f64 * UNIT
}

/// The point of the parameter table's nominal values, with the id `nominal`. It may lie outside
/// the bounds.
///
/// # Errors
/// Names all parameters without a nominal value, or whose nominal value has no place on their
/// scale (a negative one with log10).
pub fn nominal(parameters: &[EstimatedParameter]) -> Result<Points, StartpointError> {
    let mut theta = Vec::with_capacity(parameters.len());
    let (mut missing, mut off_scale) = (Vec::new(), Vec::new());
    for parameter in parameters {
        match parameter.nominal_scaled {
            None => missing.push(parameter.id.clone()),
            Some(value) if parameter.has_place_for(value) => theta.push(value),
            Some(_) => off_scale.push(parameter.id.clone()),
        }
    }
    if missing.is_empty() && off_scale.is_empty() {
        Ok(Points { ids: vec![NOMINAL_ID.to_owned()], theta_scaled: vec![theta] })
    } else {
        Err(StartpointError::Nominal { missing, off_scale })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::petab::ParameterScale;

    fn parameter(id: &str, lower_scaled: f64, upper_scaled: f64) -> EstimatedParameter {
        EstimatedParameter {
            id: id.to_owned(),
            scale: ParameterScale::Log10,
            lower_scaled,
            upper_scaled,
            nominal_scaled: None,
        }
    }

    fn unit(count: usize) -> Vec<EstimatedParameter> {
        (0..count).map(|i| parameter(&format!("k{i}"), 0.0, 1.0)).collect()
    }

    #[test]
    fn draws_are_those_of_the_documented_generator() {
        // From an implementation of SplitMix64 and PCG64 in Python, after their papers.
        let expected: [(u64, usize, [f64; 3]); 4] = [
            (0, 0, [0.652729302600065, 0.9182400197664036, 0.8724723226633305]),
            (0, 1, [0.8034263835667652, 0.8162815653342627, 0.7286351926874679]),
            (42, 7, [0.6321882103013473, 0.19636929699793726, 0.15639806712652182]),
            (u64::MAX, 123_456, [0.7613515433343464, 0.7971108137802664, 0.6410979624495474]),
        ];
        for (seed, number, theta) in expected {
            let points = random(&unit(3), 1, number, seed).unwrap();
            assert_eq!(points.ids, [number.to_string()]);
            assert_eq!(points.theta_scaled, [theta.to_vec()]);
        }
    }

    #[test]
    fn a_point_is_the_same_in_any_chunk() {
        let parameters = [parameter("a", -5.0, 3.0), parameter("b", 0.1, 0.7)];
        let all = random(&parameters, 100, 0, 9).unwrap();
        assert_eq!(all, random(&parameters, 100, 0, 9).unwrap());
        assert_eq!(all.len(), 100);
        let ids: Vec<_> = (0..100).map(|number| number.to_string()).collect();
        assert_eq!(all.ids, ids);
        for (first, count) in [(0, 1), (0, 17), (17, 83), (99, 1), (40, 0)] {
            let chunk = random(&parameters, count, first, 9).unwrap();
            assert_eq!(chunk.ids, all.ids[first..first + count]);
            assert_eq!(chunk.theta_scaled, all.theta_scaled[first..first + count]);
        }
        // A parameter more at the end leaves the others as they are.
        let fewer = random(&parameters[..1], 100, 0, 9).unwrap();
        assert!(fewer.theta_scaled.iter().zip(&all.theta_scaled).all(|(a, b)| a[0] == b[0]));
    }

    #[test]
    fn seeds_and_points_differ() {
        let mut values = Vec::new();
        for seed in [0, 1, 2, 1 << 32, u64::MAX] {
            values.extend(random(&unit(4), 50, 0, seed).unwrap().theta_scaled.concat());
        }
        values.sort_unstable_by(f64::total_cmp);
        // A double draw among 1,000 of 53 bits has probability 5.5e-11.
        assert!(values.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn bounds_hold() {
        let parameters = [
            parameter("narrow", 0.1, 0.1 + f64::EPSILON),
            parameter("fixed", -2.5, -2.5),
            parameter("wide", -8e307, 8e307),
        ];
        for theta in random(&parameters, 1000, 0, 3).unwrap().theta_scaled {
            for (value, parameter) in theta.iter().zip(&parameters) {
                assert!((parameter.lower_scaled..=parameter.upper_scaled).contains(value));
            }
        }
    }

    #[test]
    fn fractions() {
        assert_eq!(fraction(0), 0.0);
        assert_eq!(fraction(1 << 63), 0.5);
        assert_eq!(fraction(u64::MAX), 1.0 - f64::EPSILON / 2.0);
    }

    /// Largest distance between the empirical distribution and the uniform one on [0, 1).
    fn kolmogorov_smirnov(mut values: Vec<f64>) -> f64 {
        values.sort_unstable_by(f64::total_cmp);
        let n = values.len() as f64;
        let distance =
            |(i, value): (usize, &f64)| (value - i as f64 / n).max((i as f64 + 1.0) / n - value);
        values.iter().enumerate().map(distance).fold(0.0, f64::max)
    }

    #[test]
    fn draws_are_uniform_and_independent() {
        const N: usize = 10_000;
        // sqrt(ln(2 / alpha) / 2 n) with alpha = 1e-6: a faultless generator exceeds it for one
        // seed in a million, and the seeds here are fixed, so that a failure is a fault.
        let critical = (2e6_f64.ln() / (2.0 * N as f64)).sqrt();
        let column = |points: &Points, position: usize| -> Vec<f64> {
            points.theta_scaled.iter().map(|theta| (theta[position] + 2.0) / 8.0).collect()
        };
        // Of two independent uniform numbers, the sum modulo 1 is uniform too.
        let sums = |a: &[f64], b: &[f64]| -> Vec<f64> {
            a.iter().zip(b).map(|(a, b)| (a + b).fract()).collect()
        };
        let eight = |count| vec![parameter("k", -2.0, 6.0); count];

        let over_points = random(&eight(2), N, 0, 1).unwrap();
        let (first, second) = (column(&over_points, 0), column(&over_points, 1));
        let over_parameters = random(&unit(N), 1, 0, 1).unwrap().theta_scaled.concat();
        let over_seeds: Vec<f64> = (0..N as u64)
            .map(|seed| column(&random(&eight(1), 1, 0, seed).unwrap(), 0)[0])
            .collect();
        for (name, values) in [
            ("first parameter", first.clone()),
            ("second parameter", second.clone()),
            ("both parameters", sums(&first, &second)),
            ("neighbouring points", sums(&first, &first[1..])),
            ("parameters of one point", over_parameters.clone()),
            ("neighbouring parameters", sums(&over_parameters, &over_parameters[1..])),
            ("seeds", over_seeds.clone()),
            ("neighbouring seeds", sums(&over_seeds, &over_seeds[1..])),
        ] {
            let distance = kolmogorov_smirnov(values);
            assert!(distance < critical, "{name}: {distance} is not below {critical}");
        }
    }

    #[test]
    fn the_distance_sees_what_is_not_uniform() {
        let even: Vec<f64> = (0..100).map(|i| (f64::from(i) + 0.5) / 100.0).collect();
        assert!((kolmogorov_smirnov(even.clone()) - 0.005).abs() < 1e-12);
        let squares = even.iter().map(|u| u * u).collect();
        assert!((kolmogorov_smirnov(squares) - 0.25).abs() < 0.01);
    }

    #[test]
    fn unusable_bounds() {
        for (lower, upper, words) in [
            (f64::NEG_INFINITY, 3.0, "-inf and 3.0"),
            (0.5, f64::INFINITY, "0.5 and inf"),
            (f64::NAN, 1.0, "NaN and 1.0"),
            (2.0, 1.0, "2.0 and 1.0"),
        ] {
            let parameters = [parameter("k1", 0.0, 1.0), parameter("k2", lower, upper)];
            let message = random(&parameters, 1, 0, 0).unwrap_err().to_string();
            let expected = format!(
                "parameter `k2`: no uniform draw between {words} (log10 scale); expected a finite \
                 lowerBound and upperBound in the parameter table, or points from a file"
            );
            assert_eq!(message, expected);
        }
        let wide = [parameter("k", f64::MIN, f64::MAX)];
        assert!(matches!(random(&wide, 0, 0, 0), Err(StartpointError::Bounds { .. })));
    }

    #[test]
    fn nominal_point() {
        let with = |id: &str, nominal_scaled| EstimatedParameter {
            nominal_scaled,
            ..parameter(id, 0.0, 1.0)
        };
        let points = nominal(&[with("a", Some(-1.5)), with("b", Some(7.0))]).unwrap();
        assert_eq!(points.ids, ["nominal"]);
        assert_eq!(points.theta_scaled, [[-1.5, 7.0]]);
        // A linear value of 0.
        let points = nominal(&[with("a", Some(f64::NEG_INFINITY))]).unwrap();
        assert_eq!(points.theta_scaled, [[f64::NEG_INFINITY]]);

        let message =
            |parameters: &[EstimatedParameter]| nominal(parameters).unwrap_err().to_string();
        let expected = "expected a finite nominalValue in the parameter table, not negative \
                        where parameterScale is log or log10";
        assert_eq!(
            message(&[with("a", None), with("b", Some(0.0)), with("c", None)]),
            format!("no nominal value for `a`, `c`; {expected}")
        );
        assert_eq!(
            message(&[with("a", Some(f64::INFINITY)), with("b", Some(f64::NAN)), with("c", None)]),
            format!(
                "no nominal value for `c`, and a nominal value that is not finite on the parameter \
                 scale for `a`, `b`; {expected}"
            )
        );
    }
}
