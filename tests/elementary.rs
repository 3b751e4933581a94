//! The elementary functions on the CPU against a multi-precision reference.

mod elementary_reference;

use elementary_reference::{ALLOWED_ULPS, Function, functions, report, worst};

fn of_name(name: &str) -> Function {
    functions().into_iter().find(|f| f.name == name).expect("a function of that name")
}

#[test]
fn every_function_is_within_two_ulps() {
    let mut failures = Vec::new();
    for function in functions() {
        let cases = function.cases();
        let got: Vec<f64> = cases.iter().map(|c| (function.cpu)(c.x, c.y)).collect();
        let (error, line) = report(&function, &cases, &got);
        println!("{line}");
        if error > ALLOWED_ULPS {
            failures.push(line);
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The comparison catches errors it is there to catch: 4 ulp at one argument, a constant that is
/// off in its tenth digit, a lost sign of zero, and a NaN.
#[test]
fn defects_are_caught() {
    let exp = of_name("exp");
    let cases = exp.cases();
    let mut got: Vec<f64> = cases.iter().map(|c| (exp.cpu)(c.x, c.y)).collect();
    let at = cases.iter().position(|c| c.x > 0.5 && c.x < 0.6).expect("a common argument");
    got[at] += 4.0 * (got[at].next_up() - got[at]);
    let (error, case, _) = worst(&cases, &got);
    assert!(error > ALLOWED_ULPS && error < 6.0 && case.x == cases[at].x, "{error} at {case:?}");

    // As if ln 2 were wrong where it matters for large arguments only.
    let off = |x: f64| (exp.cpu)(x, 0.0) * (1.0 + 1e-17 * x.clamp(-700.0, 700.0));
    let got: Vec<f64> = cases.iter().map(|c| off(c.x)).collect();
    assert!(worst(&cases, &got).0 > ALLOWED_ULPS);

    let sin = of_name("sin");
    let cases = sin.cases();
    let unsigned: Vec<f64> = cases.iter().map(|c| (sin.cpu)(c.x, c.y) + 0.0).collect();
    assert!(worst(&cases, &unsigned).0 > ALLOWED_ULPS);
    let lost: Vec<f64> = cases.iter().map(|_| f64::NAN).collect();
    assert!(worst(&cases, &lost).0 > ALLOWED_ULPS);
    // A reduction that knows pi to a double only.
    let naive: Vec<f64> =
        cases.iter().map(|c| (sin.cpu)(c.x % std::f64::consts::TAU, 0.0)).collect();
    assert!(worst(&cases, &naive).0 > ALLOWED_ULPS);
}

/// What may run as SIMD gives what the functions that branch give.
#[test]
fn moderate_trigonometry_is_the_same() {
    use gradsweep::elementary::{TRIG_BRANCH_FREE_MAX, cos_moderate, sin_moderate, tan_moderate};
    type OfOne = fn(f64) -> f64;
    let moderate: [OfOne; 3] = [sin_moderate, cos_moderate, tan_moderate];
    for (name, branch_free) in ["sin", "cos", "tan"].into_iter().zip(moderate) {
        let function = of_name(name);
        for case in function.cases() {
            if case.x.abs() <= TRIG_BRANCH_FREE_MAX {
                let same = branch_free(case.x).to_bits() == (function.cpu)(case.x, 0.0).to_bits();
                assert!(same, "{name}({:e})", case.x);
            }
        }
    }
}
