//! Objective priors against independent values.

use gradsweep::index::ParameterIdx;
use gradsweep::objective::{Coordinate, PriorTerm, Priors};
use gradsweep::petab::{
    Distribution, FormatVersion, Parameter, ParameterScale, Place, Prior, PriorSpace, Problem, load,
};
use std::path::{Path, PathBuf};

/// Format, parameter scale, what the prior acts on, distribution, its numbers, the bounds, a
/// linear value p; then -ln π, d(-ln π)/dθ and the difference between p·(1 + 1e-12) and
/// p·(1 - 1e-12), both rounded to f64.
///
/// Values: mpmath 1.3 at 60 digits. -ln π is minus the textbook log density plus, in v2,
/// `log(cdf(upper) - cdf(lower))` of the textbook CDFs at 1200 digits; the derivative is
/// `(f(t + h) - f(t - h))/(2h)` with `h = mpf(10)**-25`; the difference is that of two values; the
/// second derivative, in the column after it, is `(f(t + h) - 2f(t) + f(t - h))/h**2` with
/// `h = mpf(10)**-20` (times p where that is smaller than 1, on the linear scale).
/// Rows marked `scipy` agree to 1e-13 with scipy 1.17.1,
/// `-d.logpdf(x) + log(d.cdf(upper) - d.cdf(lower))`, where `d` is, of `scipy.stats`,
/// `uniform(a, b-a)`, `norm(m, s)`, `laplace(m, b)`, `cauchy(m, g)`, `chi2(nu)`,
/// `expon(scale=s)`, `gamma(k, scale=s)`, `rayleigh(scale=s)`, `loguniform(a, b)`,
/// `lognorm(s, scale=exp(m))` or `loglaplace(1/b, scale=exp(m))`, and x is p, or θ for priors on
/// the parameter scale; in the other rows its CDFs cancel or underflow.
const REFERENCE: &str = "\
V1 Lin Linear Uniform 0.5;8.0 0.01;10.0 3.7 2.0149030205422647 0.0 0.0 0.0 scipy
V1 Lin Linear Normal 1.25;0.75 0.01;10.0 3.7 5.966812016308448 4.355555555555556 3.2230494816253165e-11 1.7777777777777777 scipy
V1 Lin Linear Laplace 2.0;0.3 0.01;10.0 3.7 5.1558410429006765 3.3333333333333335 2.4666195012438646e-11 0.0 scipy
V1 Lin Linear LogNormal -1.0;1.5 0.01;10.0 3.7 3.816825440135048 0.5475474858438653 4.051773919318581e-12 -0.11552090965506626 scipy
V1 Lin Linear LogLaplace 0.5;0.7 0.01;10.0 3.7 2.7995662272002186 0.6563706563706564 4.8570499831442884e-12 -0.17739747469477196 scipy
V1 Lin ParameterScale Uniform -3.0;6.0 0.01;10.0 3.7 2.1972245773362196 0.0 0.0 0.0 scipy
V1 Lin ParameterScale Normal 0.6;0.2 0.01;10.0 3.7 119.43450062077058 77.5 5.734890340391985e-10 25.0 scipy
V1 Lin ParameterScale Laplace -0.4;3.0 0.01;10.0 3.7 3.1584261358947217 0.3333333333333333 2.4666195012438643e-12 0.0 scipy
V1 Log Linear Uniform 0.5;8.0 0.01;10.0 3.7 2.0149030205422647 0.0 0.0 0.0 scipy
V1 Log Linear Normal 1.25;0.75 0.01;10.0 3.7 5.966812016308448 16.115555555555556 3.2230494816253165e-11 40.45333333333334 scipy
V1 Log Linear Laplace 2.0;0.3 0.01;10.0 3.7 5.1558410429006765 12.333333333333334 2.4666195012438646e-11 12.333333333333334 scipy
V1 Log Linear LogNormal -1.0;1.5 0.01;10.0 3.7 3.816825440135048 2.0259256976223017 4.051773919318581e-12 0.4444444444444444 scipy
V1 Log Linear LogLaplace 0.5;0.7 0.01;10.0 3.7 2.7995662272002186 2.428571428571429 4.8570499831442884e-12 0.0 scipy
V1 Log ParameterScale Uniform -3.0;6.0 0.01;10.0 3.7 2.1972245773362196 0.0 0.0 0.0 scipy
V1 Log ParameterScale Normal 0.6;0.2 0.01;10.0 3.7 5.581192913190232 17.70832049125447 3.5415963776760485e-11 25.0 scipy
V1 Log ParameterScale Laplace -0.4;3.0 0.01;10.0 3.7 2.3612037424447814 0.3333333333333333 6.666539192550984e-13 0.0 scipy
V1 Log10 Linear Uniform 0.5;8.0 0.01;10.0 0.83 2.0149030205422647 0.0 0.0 0.0 scipy
V1 Log10 Linear Normal 1.25;0.75 0.01;10.0 0.83 0.7880564607528918 -1.4269887349648434 -1.239553644912424e-12 3.2075305368814195 scipy
V1 Log10 Linear Laplace 2.0;0.3 0.01;10.0 0.83 3.3891743762340094 -6.370485423950193 -5.533721629073322e-12 -14.668584772323568 scipy
V1 Log10 Linear LogNormal -1.0;1.5 0.01;10.0 0.83 1.2851984087493509 3.1352719302680208 2.723453699199023e-12 2.3563991602126215 scipy
V1 Log10 Linear LogLaplace 0.5;0.7 0.01;10.0 0.83 1.1306134844175673 -0.986822182711734 -8.572030062247833e-13 7.778769097326427e-22 scipy
V1 Log10 ParameterScale Uniform -3.0;6.0 0.01;10.0 0.021 2.1972245773362196 0.0 0.0 0.0 scipy
V1 Log10 ParameterScale Normal 0.6;0.2 0.01;10.0 0.021 64.16306238680112 -56.94451763165201 -4.946270418740131e-11 25.0 scipy
V1 Log10 ParameterScale Laplace -0.4;3.0 0.01;10.0 0.021 2.217686370983415 -0.3333333333333333 -2.895374084844765e-13 0.0 scipy
V1 Log10 ParameterScale Normal 0.599470870492697;0.193459292722329 0.001;1000.0 4.2 -0.7161959800246666 0.6353364918867743 5.518719847086464e-13 26.719037447384885 scipy
V2 Lin Linear Uniform 2.0;8.0 0.0;10.0 4.7 1.791759469228055 0.0 0.0 0.0 scipy
V2 Lin Linear Uniform 2.0;8.0 -inf;inf 4.9 1.791759469228055 0.0 0.0 0.0 scipy
V2 Lin Linear Normal 4.0;2.0 0.0;10.0 4.7 1.6489405262097308 0.17500000000000004 1.6450840689685724e-12 0.25 scipy
V2 Lin Linear Normal 4.0;2.0 -inf;inf 4.9 1.7133357137646181 0.2250000000000001 2.2050361536685168e-12 0.25 scipy
V2 Lin Linear LogNormal 5.0;2.0 0.0;10.0 4.7 2.2272428638963726 0.02912566535723473 2.7379524615598107e-13 0.0051203880860568925 scipy
V2 Lin Linear LogNormal 5.0;2.0 0.0;inf 4.9 4.6554854796332155 0.030063020669213313 2.946224331737743e-13 0.004277017855928977 scipy
V2 Lin Linear Cauchy 3.0;5.0 0.0;10.0 4.7 2.118254750006499 0.12190749372534959 1.1459890046597643e-12 0.05684885340028008 scipy
V2 Lin Linear Cauchy 3.0;5.0 -inf;inf 4.9 2.8890482804773185 0.13282069206571132 1.3016641242674064e-12 0.05226429116219143 scipy
V2 Lin Linear ChiSquare 4.0 0.0;10.0 4.7 2.1474642565404714 0.2872340425531915 2.700137985541121e-12 0.04526935264825713 scipy
V2 Lin Linear ChiSquare 4.0 0.0;inf 4.9 2.24705915600331 0.29591836734693877 2.9000475490424925e-12 0.04164931278633902 scipy
V2 Lin Linear Exponential 3.0 0.0;10.0 4.7 2.6289530949678697 0.3333333333333333 3.133493464702042e-12 0.0 scipy
V2 Lin Linear Exponential 3.0 0.0;inf 4.9 2.7319456220014433 0.3333333333333333 3.2667202276570606e-12 0.0 scipy
V2 Lin Linear Gamma 3.0;5.0 0.0;10.0 4.7 2.237234250679292 -0.225531914893617 -2.120108344202658e-12 0.09053870529651425 scipy
V2 Lin Linear Gamma 3.0;5.0 0.0;inf 4.9 3.3229905076290844 -0.20816326530612242 -2.04003344829196e-12 0.08329862557267805 scipy
V2 Lin Linear Laplace 3.0;5.0 0.0;10.0 4.7 2.1355783347071657 0.2 1.8800960788212253e-12 -3.8893845486632137e-22 scipy
V2 Lin Linear Laplace 3.0;5.0 -inf;inf 4.9 2.682585092994046 0.2 1.9600321365942365e-12 -3.8893845486632137e-22 scipy
V2 Lin Linear LogLaplace 3.0;5.0 0.0;10.0 4.7 3.3080049380057197 0.1702127659574468 1.6000817692095531e-12 -0.0362154821186057 scipy
V2 Lin Linear LogLaplace 3.0;5.0 0.0;inf 4.9 4.173973257087311 0.16326530612244897 1.6000262339544786e-12 -0.033319450229071214 scipy
V2 Lin Linear LogUniform 3.0;5.0 0.0;10.0 4.7 0.8758355166238909 0.2127659574468085 2.0001022115119416e-12 -0.04526935264825713 scipy
V2 Lin Linear LogUniform 3.0;5.0 0.0;inf 4.9 0.917508213024459 0.2040816326530612 2.0000327924430984e-12 -0.04164931278633902 scipy
V2 Lin Linear Rayleigh 3.0 0.0;10.0 4.7 1.8730108787185178 0.3094562647754137 2.9090375498545908e-12 0.15638046375936823 scipy
V2 Lin Linear Rayleigh 3.0 0.0;inf 4.9 1.9418782611085275 0.3403628117913833 3.3356102460634344e-12 0.15276042389745012 scipy
V2 Lin Linear Gamma 0.4;2.0 0.1;7.0 0.2 -0.2085793770891826 3.4999999999999996 1.4000467452035535e-12 -14.999999999999998 scipy
V2 Lin Linear Gamma 0.4;2.0 0.0;inf 0.2 0.2082739424653017 3.4999999999999996 1.4000467452035535e-12 -14.999999999999998 scipy
V2 Lin Linear Gamma 1.0;2.0 0.5;3.0 1.5 0.8555676154725342 0.5 1.500022328571049e-12 0.0 scipy
V2 Lin Linear ChiSquare 1.0 0.0;2.0 0.3 0.29580881580066376 2.1666666666666665 1.3000434062604427e-12 -5.555555555555556 scipy
V2 Lin Linear Gamma 250.0;0.1 10.0;40.0 22.0 3.207926738258647 -1.3181818181818188 -5.8000473111199165e-11 0.5144628099173554 scipy
V2 Lin Linear Normal -2.0;3.0 -inf;1.5 -4.0 2.110037290823884 -0.2222222222222222 1.7778371367664176e-12 0.1111111111111111 scipy
V2 Lin Linear Cauchy 3.0;5.0 -inf;-7.0 -9.0 2.751830323834363 -0.14201183431952663 2.5561880028841755e-12 -0.008333041560169462 scipy
V2 Lin Linear Cauchy 3.0;5.0 -inf;8.0 2.0 2.505706438985001 -0.07692307692307693 -3.0770258136341837e-13 0.07100591715976332 scipy
V2 Lin Linear LogUniform 1e-06;1000.0 0.001;1000000000.0 0.4 1.7095011826018558 2.5 2.0000667788622195e-12 -6.249999999999999 scipy
V2 Lin Linear Laplace 3.0;5.0 4.0;9.0 7.0 1.7507627670470185 0.2 2.8000712859466147e-12 7.778769097326427e-22 scipy
V2 Lin Linear LogNormal 0.0;1.0 0.0;inf 2.0 1.8523122207237188 0.8465735902799727 3.3864074275621787e-12 -0.17328679513998632 scipy
V2 Lin Linear Normal 0.0;1.0 40.0;45.0 41.0 36.810496519450886 41.0 3.362153222497e-09 1.0
V2 Lin Linear Normal 4.0;0.1 9.0;10.0 9.5 256.2849923007907 549.9999999999999 1.0449952014823792e-08 100.0
V2 Lin Linear Normal 4.0;0.1 -9.0;-8.0 -8.5 605.4098537318316 -1249.9999999999998 2.1251889137374746e-08 100.0
V2 Lin Linear Normal 0.0;1.0 3.0;3.0000001 3.00000005 -16.118095652594896 3.00000005 1.8000268242857057e-11 1.0
V2 Lin Linear Normal 1.0;1.0 0.9999999;1.0000002 1.0 -15.01948336281657 0.0 1.1102600943403537e-28 1.0
V2 Lin Linear Normal 0.0;1.0 8.0;inf 9.0 6.4055013732901225 9.0 1.6199841468278467e-10 1.0
V2 Lin Linear LogNormal -30.0;0.5 2.0;3.0 2.5 23.601189303022323 49.866065170998645 2.493303464846769e-10 -19.30642606839946
V2 Lin Linear LogNormal 0.0;1.0 0.0;1e-12 1e-13 33.01987553507532 -289336062089225.94 -5.787220642789052e-11 2.993360620892259e+27 scipy
V2 Lin Linear LogNormal 0.0;1.0 5.0;5.000001 5.0000005 -13.815510557824481 0.5218875502980641 5.218875934792336e-12 -0.06437750762186166
V2 Lin Linear Laplace 0.0;0.001 2.0;3.0 2.001 -5.907755278982247 1000.0 4.002131959168764e-09 1.5930919111324523e-18
V2 Lin Linear Laplace 0.0;0.001 -3.0;-2.0 -2.5 493.09224472101783 -1000.0 5.000000413701855e-09 0.0
V2 Lin Linear LogLaplace 20.0;0.01 2.0;3.0 2.5 14.543276225281526 -39.6 -1.9800001638259344e-10 15.84
V2 Lin Linear Cauchy 0.0;1.0 1000000000000.0;2000000000000.0 1500000000000.0 27.74880415158493 1.3333333333333334e-12 4.000325520833333e-12 0.0
V2 Lin Linear Cauchy 0.0;1.0 1000000000000.0;inf 1500000000000.0 28.44195133214488 1.3333333333333334e-12 4.000325520833333e-12 0.0
V2 Lin Linear Cauchy 5.0;1.0 6.0;6.0000001 6.00000005 -16.118095648154007 0.9999999999999988 1.2000178628568377e-11 -4.999999594612668e-08
V2 Lin Linear ChiSquare 3.0 3000.0;4000.0 3001.0 1.1933137084918024 0.49983338887037654 3.0001051071395067e-09 5.551853703045519e-08
";

fn numbers(text: &str) -> Vec<f64> {
    text.split(';').map(|number| number.parse().unwrap()).collect()
}

fn distribution(name: &str, numbers: &[f64]) -> Distribution {
    use Distribution as D;
    match (name, numbers) {
        ("Uniform", &[lower, upper]) => D::Uniform { lower, upper },
        ("Normal", &[mean, sd]) => D::Normal { mean, sd },
        ("Laplace", &[location, scale]) => D::Laplace { location, scale },
        ("LogUniform", &[lower, upper]) => D::LogUniform { lower, upper },
        ("LogNormal", &[mean, sd]) => D::LogNormal { mean, sd },
        ("LogLaplace", &[location, scale]) => D::LogLaplace { location, scale },
        ("Cauchy", &[location, scale]) => D::Cauchy { location, scale },
        ("ChiSquare", &[degrees]) => D::ChiSquare { degrees },
        ("Exponential", &[scale]) => D::Exponential { scale },
        ("Gamma", &[shape, scale]) => D::Gamma { shape, scale },
        ("Rayleigh", &[scale]) => D::Rayleigh { scale },
        _ => panic!("{name}"),
    }
}

/// An estimated parameter with a prior.
fn parameter(scale: ParameterScale, bounds: (f64, f64), prior: Option<Prior>) -> Parameter {
    Parameter {
        id: "p".to_owned(),
        name: None,
        scale,
        lower_bound: bounds.0,
        upper_bound: bounds.1,
        nominal: None,
        estimated: true,
        objective_prior: prior,
        initialization_prior: None,
        place: Place { file: Path::new("parameters.tsv").into(), line: 2 },
    }
}

fn linear(distribution: Distribution) -> Option<Prior> {
    Some(Prior { space: PriorSpace::Linear, distribution })
}

/// A term of a v2 problem.
fn truncated(distribution: Distribution, bounds: (f64, f64)) -> PriorTerm {
    let parameter = parameter(ParameterScale::Lin, bounds, linear(distribution));
    PriorTerm::new(&parameter, FormatVersion::V2)
}

/// A row of the table.
struct Case {
    text: &'static str,
    format: FormatVersion,
    parameter: Parameter,
    p: f64,
    value: f64,
    derivative: f64,
    difference: f64,
    second_derivative: f64,
}

impl Case {
    fn at(&self, p: f64) -> Coordinate {
        (self.parameter.scale(p), p)
    }

    fn term(&self) -> PriorTerm {
        PriorTerm::new(&self.parameter, self.format)
    }
}

fn cases() -> Vec<Case> {
    let read = |text: &'static str| {
        let cells: Vec<_> = text.split(' ').collect();
        let format = if cells[0] == "V1" { FormatVersion::V1 } else { FormatVersion::V2 };
        let scale = match cells[1] {
            "Lin" => ParameterScale::Lin,
            "Log" => ParameterScale::Log,
            _ => ParameterScale::Log10,
        };
        let space = match cells[2] {
            "Linear" => PriorSpace::Linear,
            _ => PriorSpace::ParameterScale,
        };
        let bounds = numbers(cells[5]);
        let distribution = distribution(cells[3], &numbers(cells[4]));
        let prior = Some(Prior { space, distribution });
        let [p, value, derivative, difference, second_derivative] =
            [6, 7, 8, 9, 10].map(|i| cells[i].parse().unwrap());
        let parameter = parameter(scale, (bounds[0], bounds[1]), prior);
        Case { text, format, parameter, p, value, derivative, difference, second_derivative }
    };
    REFERENCE.lines().map(read).collect()
}

/// Compares what `found` computes for the rows with one of their columns: those off by more than
/// `relative` of the larger of 1 (`floor`) and the reference.
fn mismatches(
    found: impl Fn(&Case) -> f64,
    expected: impl Fn(&Case) -> f64,
    (relative, floor): (f64, f64),
) -> Vec<String> {
    let mut wrong = Vec::new();
    for case in cases() {
        let (found, expected) = (found(&case), expected(&case));
        let error = (found - expected).abs();
        if error.is_nan() || error > relative * expected.abs().max(floor) {
            wrong.push(format!("{}: {found:e} instead of {expected:e}", case.text));
        }
    }
    wrong
}

const VALUE: (f64, f64) = (1e-13, 1.0);
const DERIVATIVE: (f64, f64) = (1e-12, 1e-3);
const DIFFERENCE: (f64, f64) = (1e-12, 1e-15);

fn value_of(case: &Case) -> f64 {
    let (theta, p) = case.at(case.p);
    case.term().value(theta, p)
}

fn derivative_of(case: &Case) -> f64 {
    let (theta, p) = case.at(case.p);
    case.term().derivative(theta, p)
}

fn difference_of(case: &Case) -> f64 {
    let [plus, minus] = [1.0 + 1e-12, 1.0 - 1e-12].map(|factor| case.at(case.p * factor));
    case.term().difference(plus, minus)
}

#[test]
fn values() {
    let wrong = mismatches(value_of, |case| case.value, VALUE);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn derivatives() {
    let wrong = mismatches(derivative_of, |case| case.derivative, DERIVATIVE);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn second_derivatives() {
    let of = |case: &Case| {
        let (theta, p) = case.at(case.p);
        case.term().second_derivative(theta, p)
    };
    let wrong = mismatches(of, |case| case.second_derivative, DERIVATIVE);
    assert!(wrong.is_empty(), "{wrong:#?}");
    // Twin: without the bend of the scale, seen wherever a prior on p is not flat on a log scale.
    let bent = |case: &Case| {
        let scale = case.parameter.scale;
        let bend = scale.second_derivative(case.p) / scale.derivative(case.p);
        let is_on_p = prior_of(case).space == PriorSpace::Linear;
        of(case) - if is_on_p { bend * derivative_of(case) } else { 0.0 }
    };
    let caught = mismatches(bent, |case| case.second_derivative, DERIVATIVE);
    let expected = cases().into_iter().filter(|case| {
        case.parameter.scale != ParameterScale::Lin
            && prior_of(case).space == PriorSpace::Linear
            && case.derivative != 0.0
    });
    assert_eq!(caught.len(), expected.count(), "{caught:#?}");
}

#[test]
fn differences_over_tiny_steps() {
    let wrong = mismatches(difference_of, |case| case.difference, DIFFERENCE);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What the comparisons above are worth: each must catch a twin with a defect.
#[test]
fn defects_are_caught() {
    let is_log_normal =
        |case: &Case| matches!(prior_of(case).distribution, Distribution::LogNormal { .. });
    let log_normal = cases().iter().filter(|case| is_log_normal(case)).count();
    assert!(log_normal > 5);

    // The factor 1/p of the log-normal density is missing.
    let value = |case: &Case| value_of(case) - f64::from(is_log_normal(case)) * case.p.ln();
    assert!(mismatches(value, |case| case.value, VALUE).len() >= log_normal);
    let derivative = |case: &Case| {
        let missing = case.parameter.scale.derivative(case.p) / case.p;
        derivative_of(case) - f64::from(is_log_normal(case)) * missing
    };
    assert_eq!(mismatches(derivative, |case| case.derivative, DERIVATIVE).len(), log_normal);
    let difference = |case: &Case| {
        let [plus, minus] = [1.0 + 1e-12, 1.0 - 1e-12].map(|factor| case.p * factor);
        let missing = ((plus - minus) / minus).ln_1p();
        difference_of(case) - f64::from(is_log_normal(case)) * missing
    };
    assert_eq!(mismatches(difference, |case| case.difference, DIFFERENCE).len(), log_normal);

    // dp/dθ is missing.
    let derivative = |case: &Case| {
        let factor = case.parameter.scale.derivative(case.p);
        derivative_of(case) / if prior_of(case).space == PriorSpace::Linear { factor } else { 1.0 }
    };
    let caught = mismatches(derivative, |case| case.derivative, DERIVATIVE);
    assert_eq!(caught.len(), 8, "four on either logarithmic scale: {caught:#?}");

    // v2 without truncation.
    let value = |case: &Case| {
        let (theta, p) = case.at(case.p);
        PriorTerm::new(&case.parameter, FormatVersion::V1).value(theta, p)
    };
    let caught = mismatches(value, |case| case.value, VALUE);
    assert!(caught.len() > 30 && caught.iter().all(|text| text.starts_with("V2")), "{caught:#?}");

    // Differences of two values.
    let difference = |case: &Case| {
        let [plus, minus] = [1.0 + 1e-12, 1.0 - 1e-12].map(|factor| case.at(case.p * factor));
        case.term().value(plus.0, plus.1) - case.term().value(minus.0, minus.1)
    };
    assert!(mismatches(difference, |case| case.difference, DIFFERENCE).len() > 50);
}

fn prior_of(case: &Case) -> Prior {
    case.parameter.objective_prior.unwrap()
}

#[test]
fn differences_over_long_steps_are_those_of_values() {
    for case in cases() {
        let term = case.term();
        for factor in [1.0, 1.0001, 0.9, 1.3, 0.1, 20.0, 1e-6, 1e9] {
            let (plus, minus) = (case.at(case.p * factor), case.at(case.p));
            let values = [plus, minus].map(|(theta, p)| term.value(theta, p));
            for (difference, expected) in [
                (term.difference(plus, minus), values[0] - values[1]),
                (term.difference(minus, plus), values[1] - values[0]),
            ] {
                let size = values[0].abs().max(values[1].abs()).max(1.0);
                let same = difference == expected || (difference - expected).abs() <= 1e-12 * size;
                assert!(same, "{}, {factor}: {difference} instead of {expected}", case.text);
            }
        }
    }
}

#[test]
fn outside_the_support() {
    use Distribution as D;
    let zero_one = (0.0, 1.0);
    let rayleigh = D::Rayleigh { scale: 3.0 };
    let exponential = D::Exponential { scale: 0.5 };
    for (term, inside, outside) in [
        (truncated(D::Normal { mean: 0.0, sd: 1.0 }, zero_one), 0.0, -1e-9),
        (truncated(D::Normal { mean: 0.0, sd: 1.0 }, zero_one), 1.0, 1.0 + 1e-9),
        (truncated(D::Uniform { lower: 0.5, upper: 2.0 }, zero_one), 0.5, 0.4999),
        (truncated(D::LogUniform { lower: 0.5, upper: 2.0 }, zero_one), 0.5, 0.4999),
        (truncated(exponential, (-1.0, 5.0)), 0.0, -1e-9),
        (truncated(rayleigh, (-1.0, 5.0)), 1e-300, 0.0),
        (truncated(D::LogNormal { mean: 0.0, sd: 1.0 }, zero_one), 1e-300, 0.0),
        (truncated(D::Gamma { shape: 2.0, scale: 1.0 }, (0.0, 5.0)), 1e-300, 0.0),
        (truncated(D::Gamma { shape: 1.0, scale: 1.0 }, (0.0, 5.0)), 0.0, -1.0),
    ] {
        assert!(term.value(inside, inside).is_finite() && term.derivative(inside, inside) < 1e301);
        assert_eq!(term.value(outside, outside), f64::INFINITY);
        assert_eq!(term.difference((outside, outside), (inside, inside)), f64::INFINITY);
        assert_eq!(term.difference((inside, inside), (outside, outside)), f64::NEG_INFINITY);
        assert!(term.value(f64::NAN, f64::NAN).is_nan());
    }
    let term = truncated(exponential, zero_one);
    assert!(term.derivative(2.0, 2.0).is_nan());
    assert!(term.difference((2.0, 2.0), (3.0, 3.0)).is_nan());

    // No mass between the bounds, and all of it on one value.
    let nowhere = truncated(D::Uniform { lower: 2.0, upper: 3.0 }, zero_one);
    assert!([0.5, 1.0, 2.5].iter().all(|&p| nowhere.value(p, p) == f64::INFINITY));
    let pinned = truncated(exponential, (2.0, 2.0));
    assert_eq!((pinned.value(2.0, 2.0), pinned.value(2.1, 2.1)), (0.0, f64::INFINITY));
}

/// 10^log10(p) may be one ulp beyond a bound p.
#[test]
fn a_bound_is_inside_on_every_scale() {
    for scale in [ParameterScale::Lin, ParameterScale::Log, ParameterScale::Log10] {
        for i in 1..200 {
            let (lower, upper) = (0.0037 * f64::from(i), 17.3 * f64::from(i));
            let prior = linear(Distribution::Uniform { lower, upper });
            let term = PriorTerm::new(&parameter(scale, (lower, upper), prior), FormatVersion::V1);
            for bound in [lower, upper] {
                let theta = scale.scale(bound);
                assert!(term.value(theta, scale.unscale(theta)).is_finite(), "{scale:?} {bound}");
            }
        }
    }
}

#[test]
fn kinks_and_no_prior() {
    let prior = linear(Distribution::Laplace { location: 0.0, scale: 3.0 });
    let mut parameter = parameter(ParameterScale::Lin, (-3.0, 3.0), prior);
    let term = PriorTerm::new(&parameter, FormatVersion::V1);
    assert_eq!(term.derivative(0.0, 0.0), 0.0);
    assert_eq!(term.difference((1e-9, 1e-9), (0.0, 0.0)), 1e-9 / 3.0);
    assert_eq!(term.difference((0.0, 0.0), (-1e-9, -1e-9)), -1e-9 / 3.0);
    assert!(!term.is_absent());

    parameter.estimated = false;
    let fixed = PriorTerm::new(&parameter, FormatVersion::V1);
    (parameter.estimated, parameter.objective_prior) = (true, None);
    for term in [fixed, PriorTerm::new(&parameter, FormatVersion::V1)] {
        assert!(term.is_absent());
        let results = [term.value(9.0, 9.0), term.derivative(9.0, 9.0)];
        assert_eq!(results, [0.0; 2]);
        assert_eq!(term.difference((9.0, 9.0), (1.0, 1.0)), 0.0);
    }
}

fn folder(variable: &str) -> Option<PathBuf> {
    let folder = std::env::var_os(variable).map(PathBuf::from);
    if folder.is_none() {
        println!("skipped: {variable} is not set");
    }
    folder
}

/// Nominal values on the parameters' scales, and linear.
fn nominal(problem: &Problem) -> (Vec<f64>, Vec<f64>) {
    let linear: Vec<_> = problem.estimated().map(|p| p.nominal.unwrap()).collect();
    let theta = problem.estimated().zip(&linear).map(|(p, &value)| p.scale(value)).collect();
    (theta, linear)
}

/// References: an inventory of the collection made with another program, which also has the
/// references of PEtab.jl.
#[test]
fn benchmarks_at_their_nominal_values() {
    let Some(collection) = folder("PETAB_BENCHMARKS_DIR") else { return };
    for (name, expected) in [
        ("Isensee_JCB2018", 4.452999704602743),
        ("Schwen_PONE2014", 12.519137073132821),
        ("Bachmann_MSB2011", -0.7237496289672233),
        ("Raimundez_PCB2020", 72.96582503404615),
        ("Lang_PLOSComputBiol2024", -84.47361003834479),
        ("Boehm_JProteomeRes2014", 0.0),
    ] {
        let folder = collection.join(name);
        if !folder.is_dir() {
            println!("skipped: {name} is not there");
            continue;
        }
        let problem = load(&folder).unwrap();
        let priors = Priors::new(&problem);
        let (theta, linear) = nominal(&problem);
        let value = priors.value(&theta, &linear);
        println!("{name}: {value:?} (reference {expected:?})");
        assert!((value - expected).abs() <= 1e-13 * expected.abs().max(1.0), "{name}: {value}");
        assert_eq!(priors.are_absent(), expected == 0.0);

        // The sum and its derivative belong together: steps of one parameter at a time. Nominal
        // values on a kink of a Laplace prior count with the mean of both sides.
        let mut gradient = vec![1.0; theta.len()];
        priors.add_gradient(&theta, &linear, &mut gradient);
        for (i, (parameter, term)) in problem.estimated().zip(priors.terms()).enumerate() {
            let step = 1e-5 * if theta[i] == 0.0 { 1.0 } else { theta[i].abs() };
            let [plus, minus] =
                [theta[i] + step, theta[i] - step].map(|t| (t, parameter.unscale(t)));
            let idx = ParameterIdx::from_position(i);
            let slope = priors.difference(idx, plus, minus) / (plus.0 - minus.0);
            if slope.is_finite() {
                let error = (gradient[i] - 1.0 - slope).abs();
                assert!(error <= 1e-9 * slope.abs().max(1.0), "{}: {slope}", parameter.id);
            } else {
                assert_eq!(term.derivative(theta[i], linear[i]), 0.0, "{}", parameter.id);
            }
        }
    }
}

/// `log_prior` of PEtab test suite case v2/0024: all distributions, truncated, and an implicit
/// uniform prior.
#[test]
fn test_suite_case_of_truncated_priors() {
    let Some(suite) = folder("PETAB_TEST_SUITE_DIR") else { return };
    for case in ["0024", "0025"] {
        let folder = suite.join("v2").join(case);
        if !folder.is_dir() {
            println!("skipped: v2/{case} is not there");
            continue;
        }
        let problem = load(&folder.join(format!("_{case}.yaml"))).unwrap();
        let solution = std::fs::read_to_string(folder.join(format!("_{case}_solution.yaml")));
        let solution = solution.unwrap();
        let number = |id: &str| -> f64 {
            let line = solution.lines().find_map(|l| l.trim().strip_prefix(&format!("{id}: ")));
            line.unwrap_or_else(|| panic!("{id}")).parse().unwrap()
        };
        let priors = Priors::new(&problem);
        let (theta, linear) = nominal(&problem);
        assert_eq!(priors.terms().len(), 12);
        for (i, parameter) in problem.estimated().enumerate() {
            let log_prior = -priors.terms()[i].value(theta[i], linear[i]);
            let error = (log_prior - number(&parameter.id)).abs();
            // The solution has 14 decimals.
            assert!(error <= number("tol_log_prior"), "{}: {log_prior}", parameter.id);
        }
        let log_posterior = number("llh") - priors.value(&theta, &linear);
        assert!((log_posterior - number("unnorm_log_posterior")).abs() < 1e-12);
    }
}

/// PEtab test suite case v2/0025 is 0024 without truncation; its log posterior is -30.8539 with a
/// log-likelihood of -0.9189 (`PETAB_SBML.md`). All digits:
/// `sum(d.logpdf(5.) for d in [uniform(2,6), norm(4,2), lognorm(2,scale=exp(5)), cauchy(3,5),
/// chi2(4), expon(scale=3), gamma(3,scale=5), laplace(3,5), loglaplace(1/5,scale=exp(3)),
/// loguniform(3,5), rayleigh(scale=3)]) - log(2) - 0.91893853320467` with scipy 1.17.1.
#[test]
fn untruncated_priors_of_the_test_suite() {
    use Distribution as D;
    let whole = (f64::NEG_INFINITY, f64::INFINITY);
    let distributions = [
        D::Uniform { lower: 2.0, upper: 8.0 },
        D::Normal { mean: 4.0, sd: 2.0 },
        D::LogNormal { mean: 5.0, sd: 2.0 },
        D::Cauchy { location: 3.0, scale: 5.0 },
        D::ChiSquare { degrees: 4.0 },
        D::Exponential { scale: 3.0 },
        D::Gamma { shape: 3.0, scale: 5.0 },
        D::Laplace { location: 3.0, scale: 5.0 },
        D::LogLaplace { location: 3.0, scale: 5.0 },
        D::LogUniform { lower: 3.0, upper: 5.0 },
        D::Rayleigh { scale: 3.0 },
    ];
    let sum: f64 = distributions.map(|d| truncated(d, whole).value(5.0, 5.0)).iter().sum();
    let p1 = truncated(D::Uniform { lower: 0.0, upper: 2.0 }, (0.0, 2.0)).value(1.0, 1.0);
    let log_posterior = -sum - p1 - 0.91893853320467;
    assert!((log_posterior + 30.8538).abs() < 1e-4);
    assert!((log_posterior + 30.85385872214565).abs() < 1e-13 * 31.0, "{log_posterior}");
}
