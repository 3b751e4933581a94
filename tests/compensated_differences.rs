//! Differences in compensated arithmetic: closed forms, own gradients, and what rounding does to these.
//!
//! Two decays, dA/dt = −k1·A and dB/dt = −k2·B from 10¹⁰ and `B0`, of which only the sum is measured:
//! B is some hundred spacings of doubles at A, so that rounding hides k2 from plain differences.

use gradsweep::check::{self, CheckPlan, Differences, JudgedPoint, VerdictKind, own_gradient};
use gradsweep::engine::EngineError;
use gradsweep::engine::cpu::CpuEngine;
use gradsweep::index::ParameterIdx;
use gradsweep::model::{self, OdeProblem};
use gradsweep::startpoints;
use gradsweep::sweep::{
    Evaluator, Further, OwnGradients, PointResult, ProbePair, Settings, StepMode,
};
use std::f64::consts::LN_10;
use std::fs;
use std::path::{Path, PathBuf};

const SETTINGS: Settings =
    Settings { rtol: 1e-10, atol: 1e-14, max_steps: 10_000, steps: StepMode::Shared };
const A0: f64 = 1e10;
const B0: f64 = 3e-4;
const SIGMA: f64 = 1e6;
const TIMES: [f64; 3] = [0.5, 1.0, 2.0];
const MEASURED: f64 = 1e9;

const MODEL: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<sbml xmlns="http://www.sbml.org/sbml/level3/version2/core" level="3" version="2">
  <model id="decays">
    <listOfCompartments>
      <compartment id="vessel" spatialDimensions="3" size="1" constant="true"/>
    </listOfCompartments>
    <listOfSpecies>
      <species id="A" compartment="vessel" initialConcentration="1e10" hasOnlySubstanceUnits="false" boundaryCondition="false" constant="false"/>
      <species id="B" compartment="vessel" initialConcentration="3e-4" hasOnlySubstanceUnits="false" boundaryCondition="false" constant="false"/>
    </listOfSpecies>
    <listOfParameters>
      <parameter id="k1" value="1" constant="true"/>
      <parameter id="k2" value="1" constant="true"/>
    </listOfParameters>
    <listOfRules>
      <rateRule variable="A">
        <math xmlns="http://www.w3.org/1998/Math/MathML">
          <apply><minus/><apply><times/><ci>k1</ci><ci>A</ci></apply></apply>
        </math>
      </rateRule>
      <rateRule variable="B">
        <math xmlns="http://www.w3.org/1998/Math/MathML">
          <apply><minus/><apply><times/><ci>k2</ci><ci>B</ci></apply></apply>
        </math>
      </rateRule>
    </listOfRules>
  </model>
</sbml>
"#;

fn decays() -> OdeProblem {
    let folder = tempfile::tempdir().unwrap();
    let mut rows = "observableId\tsimulationConditionId\ttime\tmeasurement\n".to_owned();
    for t in TIMES {
        rows.push_str(&format!("total\tc\t{t}\t{MEASURED:e}\n"));
    }
    for (name, text) in [
        (
            "problem.yaml",
            "format_version: 1\nparameter_file: parameters.tsv\nproblems:\n  - sbml_files: [model.xml]\n    \
             condition_files: [conditions.tsv]\n    observable_files: [observables.tsv]\n    \
             measurement_files: [measurements.tsv]\n",
        ),
        ("model.xml", MODEL),
        ("conditions.tsv", "conditionId\nc\n"),
        ("measurements.tsv", &rows),
        (
            "observables.tsv",
            &format!("observableId\tobservableFormula\tnoiseFormula\ntotal\tA + B\t{SIGMA:e}\n"),
        ),
        (
            "parameters.tsv",
            "parameterId\tparameterScale\tlowerBound\tupperBound\tnominalValue\testimate\n\
             k1\tlog10\t1e-1\t10\t1\t1\nk2\tlog10\t1e-1\t10\t1\t1\n",
        ),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    model::load(folder.path()).unwrap()
}

/// dJ/d(log10 k2) of the sum over the rows of ½((A + B − m)/σ)².
fn closed_form(theta: &[f64]) -> f64 {
    let [k1, k2] = [theta[0], theta[1]].map(|x| 10f64.powf(x));
    let term = |t: &f64| {
        let (a, b) = (A0 * (-k1 * t).exp(), B0 * (-k2 * t).exp());
        (a + b - MEASURED) / (SIGMA * SIGMA) * -t * b * k2 * LN_10
    };
    TIMES.iter().map(term).sum()
}

fn plan(problem: &OdeProblem) -> CheckPlan {
    CheckPlan::new(
        (0..problem.parameters.len()).map(ParameterIdx::from_position).collect(),
        vec![1e-1, 1e-3, 1e-5, 1e-7, 1e-9],
    )
}

fn evaluator(problem: &OdeProblem, settings: Settings) -> Evaluator<'_> {
    Evaluator::new(problem, settings, &CpuEngine, Some(&CpuEngine)).unwrap()
}

fn judged(
    problem: &OdeProblem,
    theta: &[Vec<f64>],
    gradient: &check::GradientSource<'_>,
) -> Vec<(JudgedPoint, PointResult)> {
    let evaluator = evaluator(problem, SETTINGS);
    let mut all = Vec::new();
    check::run(&evaluator, theta, &plan(problem), gradient, &mut |point, result| {
        all.push((point.clone(), result.clone()));
        Ok::<(), EngineError>(())
    })
    .unwrap();
    all
}

#[test]
fn what_rounding_hides_is_decided() {
    let problem = decays();
    let theta: Vec<Vec<f64>> =
        (0..20).map(|i| vec![-0.5 + 0.04 * f64::from(i), 0.3 - 0.03 * f64::from(i)]).collect();
    let k2 = 1;
    let right = judged(&problem, &theta, &own_gradient);
    for ((point, _), theta) in right.iter().zip(&theta) {
        let cell = &point.cells[k2];
        let estimate = cell.estimate.expect("all probes have values");
        let truth = closed_form(theta);
        assert_eq!(cell.verdict.kind, VerdictKind::Pass, "{cell:?}");
        assert_eq!(estimate.differences, Differences::Compensated);
        // Tolerances of 1e-10 leave errors some ten times as large.
        assert!((estimate.value - truth).abs() <= 1e-8 * truth.abs(), "{truth:e}: {estimate:?}");
        assert!(estimate.bound <= 1e-5 * truth.abs(), "{estimate:?}");
    }
    // The twins: a gradient that is wrong by 0.2 %, and plain differences, which could not tell.
    let wrong = judged(&problem, &theta, &|_, _, own| {
        let mut gradient = own?.to_vec();
        gradient[k2] *= 1.002;
        Some(gradient)
    });
    let fails = |(point, _): &&(JudgedPoint, PointResult)| {
        point.cells[k2].verdict.kind == VerdictKind::Fail
    };
    assert_eq!(wrong.iter().filter(fails).count(), theta.len());
    for ((_, result), theta) in right.iter().zip(&theta) {
        let truth = closed_form(theta);
        let plain = result.probes.iter().chain(&result.refinements);
        let plain = plain.filter(|p| p.parameter.position() == k2 && !p.is_compensated);
        let error = |pair: &ProbePair| (pair.paired_central / truth - 1.0).abs();
        assert!(plain.map(error).fold(f64::INFINITY, f64::min) > 1e-4);
    }
}

/// A gradient from a file is rounded whether or not our own deviates.
#[test]
fn rounding_of_gradients_is_told_where_one_is_from_a_file() {
    let problem = decays();
    let theta = vec![vec![-0.3, 0.2], vec![0.1, -0.1]];
    let told = |evaluator: &Evaluator<'_>| {
        let evaluated = plan(&problem).evaluate(evaluator, &theta).unwrap();
        evaluated.points.into_iter().map(|point| point.gradient_rounding).collect::<Vec<_>>()
    };
    // Evaluators at tighter tolerances are for gradients from files.
    let tight = evaluator(&problem, SETTINGS.tighter());
    let for_files = told(&evaluator(&problem, SETTINGS).with_tight(tight));
    for (rounding, theta) in for_files.iter().zip(&theta) {
        let of_k2 = rounding.as_ref().expect("k2 has compensated differences")[1];
        // Some hundred steps round A, and so residuals, which are hundredths of it or more, by 1e-16 each.
        let most = 1e-12 * closed_form(theta).abs();
        assert!(of_k2 > 0.0 && of_k2 < most, "{of_k2:e}, {most:e}");
    }
    // The twin: nothing has to be told of an own gradient that agrees.
    assert_eq!(told(&evaluator(&problem, SETTINGS)), [None, None]);
}

const STEP: f64 = 1e-4;

/// Asks for a compensated difference of every cell.
fn ask(_: &[f64], pairs: &[ProbePair]) -> Further {
    match pairs.iter().any(|pair| pair.is_compensated) {
        true => Further::default(),
        false => Further { compensated_eps: vec![STEP], ..Further::default() },
    }
}

fn evaluated(problem: &OdeProblem, points: usize) -> Vec<PointResult> {
    let settings = Settings { rtol: 1e-8, atol: 1e-12, ..SETTINGS };
    let evaluator =
        Evaluator::with_gradients(problem, settings, &CpuEngine, &CpuEngine, OwnGradients::Forward)
            .unwrap();
    let parameters: Vec<ParameterIdx> = (0..problem.parameters.len())
        .map(ParameterIdx::from_position)
        .filter(|&p| evaluator.can_compensate(p))
        .collect();
    let theta = startpoints::random(&problem.parameters, points, 0, 0).unwrap().theta_scaled;
    evaluator.evaluate(&theta, &parameters, &[STEP], &ask).unwrap().points
}

/// Relative truncation of a central difference over 1e-4, f'''/f'·h²/6, of objectives that change by a few
/// orders of magnitude over a unit of a parameter.
const TRUNCATION: f64 = 1e-6;

/// Relative deviation from which on a gradient's rounding is told.
const LEAST_TOLD: f64 = 1e-4;

/// Derivative over objective up to which low parts may be rounding themselves: 2⁻¹⁰⁴, or 5e-32, over a step of
/// 1e-4, after rounding errors have grown some hundred million times, as they do in stiff systems.
const BENEATH: f64 = 1e-19;

#[derive(Debug, Default)]
struct Agreement {
    /// Components that agree with compensated differences as they are, and how many of these do not with
    /// plain ones of the same step.
    agree: usize,
    plain_do_not: usize,
    /// Those off by what rounding is said to do to them, to half of the least of it: where much cancels,
    /// truncation is larger.
    off_by_rounding: usize,
    /// Those off by more than the truncation, and by less than what rounding is told of.
    untold: usize,
    /// Those of which twice the precision, too, tells nothing.
    beneath: usize,
    /// None of these.
    disagree: usize,
}

fn agreement(points: &[PointResult]) -> Agreement {
    let mut found = Agreement::default();
    for point in points.iter().filter(|point| point.objective.is_ok()) {
        let gradient = point.gradient.as_ref().expect("forward tangents were asked for");
        let rounding =
            |p: ParameterIdx| point.gradient_rounding.as_ref().map_or(0.0, |all| all[p.position()]);
        for pair in point.refinements.iter().filter(|pair| pair.paired_central.is_finite()) {
            let own = gradient[pair.parameter.position()];
            let objective = point.objective.unwrap_or(f64::NAN).abs();
            if own.abs().max(pair.paired_central.abs()) <= BENEATH * objective {
                found.beneath += 1;
                continue;
            }
            let size = pair.paired_central.abs().max(own.abs());
            // Rounding of the low parts themselves, as the estimates allow for it.
            let floor = 32.0 * pair.round_off;
            let deviation = ((own - pair.paired_central).abs() - floor).max(0.0);
            let plain = point.probes.iter().find(|other| other.parameter == pair.parameter);
            if deviation <= TRUNCATION * size {
                found.agree += 1;
                let off = plain.map_or(0.0, |plain| (plain.paired_central - own).abs());
                found.plain_do_not += usize::from(!(off <= TRUNCATION * size));
            } else if deviation <= LEAST_TOLD * size {
                found.untold += 1;
            } else if (deviation - rounding(pair.parameter)).abs()
                <= 0.5 * LEAST_TOLD * size + floor
            {
                found.off_by_rounding += 1;
            } else {
                found.disagree += 1;
            }
        }
    }
    found
}

#[test]
fn own_gradients_agree_but_for_their_rounding() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    let points = evaluated(&model::load(&data.join("stat5")).unwrap(), 200);
    let found = agreement(&points);
    println!("stat5: {found:?}");
    // Those that rounding moves a little are a few percent.
    assert!(
        found.disagree == 0 && found.untold * 20 <= found.agree && found.beneath < found.agree,
        "{found:?}"
    );
    // The twin: with plain differences a tenth of the cells, or more, would not agree.
    assert!(found.plain_do_not * 10 > found.agree, "{found:?}");

    let Some(collection) = std::env::var_os("PETAB_BENCHMARKS_DIR").map(PathBuf::from) else {
        println!("skipped: PETAB_BENCHMARKS_DIR is not set");
        return;
    };
    let mut all = Agreement::default();
    // With pre-equilibration, periods, and slots that stand for other parameters in later ones.
    for name in [
        "Fiedler_BMCSystBiol2016",
        "Fujita_SciSignal2010",
        "Brannmark_JBC2010",
        "Zhao_QuantBiol2020",
    ] {
        let problem = model::load(&collection.join(name)).unwrap();
        let found = agreement(&evaluated(&problem, 40));
        println!("{name}: {found:?}");
        assert!(
            found.disagree == 0 && found.untold * 20 <= found.agree && found.beneath < found.agree,
            "{name}: {found:?}"
        );
        all.off_by_rounding += found.off_by_rounding;
    }
    // Without it these would be wrong by more than a ten thousandth, the least that is told.
    assert!(all.off_by_rounding > 10, "{all:?}");
}
