//! Problems of several models, and names that a mapping table gives.
//!
//! The objective of several models is by definition the sum of theirs (PEtab v1 and v2), priors
//! counted once: each model is loaded alone, too, and the sums must be the whole. The mapped
//! parameter is compared with the closed form of a decay.

use gradsweep::check::{self, CheckPlan, own_gradient};
use gradsweep::engine::EngineError;
use gradsweep::engine::cpu::CpuEngine;
use gradsweep::index::ParameterIdx;
use gradsweep::model::{self, OdeProblem};
use gradsweep::report::write_simulation_table;
use gradsweep::startpoints;
use gradsweep::sweep::{Evaluator, PointResult, Settings, StepMode, no_refinement};
use std::fs;
use std::path::Path;

const SETTINGS: Settings =
    Settings { rtol: 1e-8, atol: 1e-12, max_steps: 10_000, steps: StepMode::Shared };

fn evaluate(
    problem: &OdeProblem,
    points: &[Vec<f64>],
    eps: &[f64],
    steps: StepMode,
) -> Vec<PointResult> {
    let prepare = |settings: Settings| {
        Evaluator::new(problem, settings, &CpuEngine, Some(&CpuEngine)).unwrap()
    };
    let settings = Settings { steps, ..SETTINGS };
    let mut evaluator = prepare(settings);
    if steps == StepMode::Adaptive {
        evaluator = evaluator.with_tight(prepare(settings.tighter()));
    }
    let all: Vec<_> = (0..problem.parameters.len()).map(ParameterIdx::from_position).collect();
    evaluator.evaluate(points, &all, eps, &no_refinement).unwrap().points
}

/// A model x' = -k·x, x(0) = 1; k is a parameter, or the local parameter of the reaction.
fn decay(k: &str, is_local: bool) -> String {
    let (global, local) = match is_local {
        false => (
            format!(
                "<listOfParameters><parameter id=\"{k}\" value=\"1\" constant=\"true\"/></listOfParameters>"
            ),
            String::new(),
        ),
        true => (
            String::new(),
            format!(
                "<listOfLocalParameters><localParameter id=\"{k}\" value=\"1\"/></listOfLocalParameters>"
            ),
        ),
    };
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <sbml xmlns=\"http://www.sbml.org/sbml/level3/version2/core\" level=\"3\" version=\"2\">\
         <model id=\"decay\"><listOfCompartments><compartment id=\"c\" spatialDimensions=\"3\" \
         size=\"1\" constant=\"true\"/></listOfCompartments><listOfSpecies><species id=\"x\" \
         compartment=\"c\" initialConcentration=\"1\" hasOnlySubstanceUnits=\"false\" \
         boundaryCondition=\"false\" constant=\"false\"/></listOfSpecies>{global}\
         <listOfReactions><reaction id=\"r\" reversible=\"false\"><listOfReactants>\
         <speciesReference species=\"x\" stoichiometry=\"1\" constant=\"true\"/>\
         </listOfReactants><kineticLaw><math xmlns=\"http://www.w3.org/1998/Math/MathML\"><apply>\
         <times/><ci>{k}</ci><ci>x</ci></apply></math>{local}</kineticLaw></reaction>\
         </listOfReactions></model></sbml>\n"
    )
}

/// Rows of the parameters that these models have.
fn table(models: &[&str]) -> String {
    let mut text = "parameterId\tlowerBound\tupperBound\tnominalValue\testimate\t\
                    priorDistribution\tpriorParameters\n"
        .to_owned();
    if models.contains(&"one") {
        text.push_str("k\t0.1\t3\t1\ttrue\t\t\n");
    }
    if models.contains(&"two") {
        text.push_str("q\t0.1\t3\t0.5\ttrue\t\t\n");
    }
    text + "s\t0.1\t3\t0.2\ttrue\tnormal\t1;0.5\n"
}

fn write_all(folder: &Path, files: &[(&str, String)]) {
    for (name, text) in files {
        fs::write(folder.join(name), text).unwrap();
    }
}

/// A v2 problem of these models, rows of which measure x in one of them.
fn v2(folder: &Path, models: &[&str], rows: &[(&str, f64, f64)]) -> OdeProblem {
    let mut yaml = "format_version: 2.0.0\nparameter_files: [p.tsv]\nobservable_files: [o.tsv]\n\
                    measurement_files: [m.tsv]\nmodel_files:\n"
        .to_owned();
    for model in models {
        yaml.push_str(&format!("  {model}: {{location: {model}.xml, language: sbml}}\n"));
    }
    let mut measurements = "modelId\tobservableId\texperimentId\ttime\tmeasurement\n".to_owned();
    for (model, time, value) in rows {
        measurements.push_str(&format!("{model}\tobs\t\t{time}\t{value}\n"));
    }
    write_all(
        folder,
        &[
            ("problem.yaml", yaml),
            ("one.xml", decay("k", false)),
            ("two.xml", decay("q", false)),
            ("p.tsv", table(models)),
            ("o.tsv", "observableId\tobservableFormula\tnoiseFormula\nobs\tx\ts\n".to_owned()),
            ("m.tsv", measurements),
        ],
    );
    model::load(folder).unwrap()
}

#[test]
fn the_whole_is_the_sum_of_its_models() {
    sums_hold(StepMode::Shared);
}

#[test]
fn so_it_is_where_copies_choose_their_own_steps() {
    sums_hold(StepMode::Adaptive);
}

fn sums_hold(steps: StepMode) {
    let rows = [("one", 1.0, 0.4), ("two", 1.0, 0.7), ("one", 2.0, 0.1), ("two", 3.0, 0.2)];
    let of = |model: &str| -> Vec<_> { rows.into_iter().filter(|r| r.0 == model).collect() };
    let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let whole = v2(folders[0].path(), &["one", "two"], &rows);
    let mut parts =
        [v2(folders[1].path(), &["one"], &of("one")), v2(folders[2].path(), &["two"], &of("two"))];
    // Both know the prior; it counts once.
    parts[1].leave_out_priors();
    let points = startpoints::random(&whole.parameters, 10, 0, 1).unwrap().theta_scaled;
    let eps = [1e-2, 1e-3];
    let total = evaluate(&whole, &points, &eps, steps);
    // The second knows q and s, the first k and s.
    let places = [[0, 2], [1, 2]];
    let [one, two] = [0, 1].map(|m| {
        let of_part = |x: &Vec<f64>| places[m].map(|j| x[j]).to_vec();
        evaluate(&parts[m], &points.iter().map(of_part).collect::<Vec<_>>(), &eps, steps)
    });
    // With one prior given the others are uniform between their bounds; that of q is left out with
    // those of the second.
    let of_q = (3.0_f64 - 0.1).ln();
    // Sums in another order: a few rounding errors.
    let close = |a: f64, b: f64| (a - b).abs() <= 1e-13 * a.abs().max(1.0);
    for ((total, one), two) in total.iter().zip(&one).zip(&two) {
        let sum = one.objective.unwrap() + two.objective.unwrap() + of_q;
        assert!(close(total.objective.unwrap(), sum));
        assert!(close(total.chi2, one.chi2 + two.chi2));
        let [whole, first, second] = [total, one, two].map(|r| r.gradient.clone().unwrap());
        assert!(close(whole[0], first[0]) && close(whole[1], second[0]));
        assert!(close(whole[2], first[1] + second[1]));
        // Pairs of s, for both eps.
        for e in 0..eps.len() {
            let [whole, first, second] =
                [&total.probes[4 + e], &one.probes[2 + e], &two.probes[2 + e]];
            let sum = first.plus.unwrap() + second.plus.unwrap() + of_q;
            assert!(close(whole.plus.unwrap(), sum));
            // Differences of eps = 1e-3 lose three digits.
            let sum = first.paired_central + second.paired_central;
            assert!((whole.paired_central - sum).abs() <= 1e-10 * sum.abs().max(1.0));
            // Each model's rows are compared with its own at tighter tolerances.
            assert!(close(whole.step_noise, first.step_noise + second.step_noise));
            assert_eq!(whole.step_noise > 0.0, steps == StepMode::Adaptive);
        }
    }
    let mut table = Vec::new();
    write_simulation_table(&whole, &total[0].predictions, &mut table).unwrap();
    let text = String::from_utf8(table).unwrap();
    let (k, q) = (points[0][0], points[0][1]);
    for (line, (model, time, _)) in text.lines().skip(1).zip(rows) {
        let cells: Vec<&str> = line.split('\t').collect();
        assert_eq!((cells[0], cells[3]), (model, time.to_string().as_str()), "{text}");
        let expected = (-time * if model == "one" { k } else { q }).exp();
        // Ten times the solver's tolerance.
        assert!((cells[4].parse::<f64>().unwrap() - expected).abs() < 1e-7, "{text}");
    }
}

/// k is an entity of the first model alone, q of the second: each observable need be valid only where it
/// is measured (PEtab v2, measurement table).
#[test]
fn observables_are_those_of_the_models_they_are_measured_in() {
    let folder = tempfile::tempdir().unwrap();
    v2(folder.path(), &["one", "two"], &[("one", 1.0, 0.4), ("two", 1.0, 0.7)]);
    let fixed = "parameterId\tlowerBound\tupperBound\tnominalValue\testimate\n\
                 s\t0.1\t3\t0.2\ttrue\n";
    let observables =
        "observableId\tobservableFormula\tnoiseFormula\nof_k\tk * x\ts\nof_q\tq * x\ts\n";
    let measured = |first: &str| {
        format!(
            "modelId\tobservableId\texperimentId\ttime\tmeasurement\none\t{first}\t\t1\t0.4\n\
             two\tof_q\t\t2\t0.7\n"
        )
    };
    write_all(
        folder.path(),
        &[
            ("p.tsv", fixed.to_owned()),
            ("o.tsv", observables.to_owned()),
            ("m.tsv", measured("of_k")),
        ],
    );
    let problem = model::load(folder.path()).unwrap();
    let result = &evaluate(&problem, &[vec![0.2]], &[1e-3], StepMode::Shared)[0];
    // Both rates are 1, the models' own values: exp(-1) and exp(-2), with sigma 0.2.
    let row = |y: f64, m: f64| {
        0.5 * ((y - m) / 0.2).powi(2) + 0.5 * (2.0 * std::f64::consts::PI * 0.04).ln()
    };
    let expected = row((-1.0_f64).exp(), 0.4) + row((-2.0_f64).exp(), 0.7);
    // Ten times the solver's tolerance, over sigma.
    assert!((result.objective.unwrap() - expected).abs() < 1e-6, "{:?}", result.objective);
    // The twin: measured in a model that lacks its entity.
    write_all(folder.path(), &[("m.tsv", measured("of_q"))]);
    let message = model::load(folder.path()).unwrap_err().to_string();
    assert!(message.contains("\"q\"") && message.contains("o.tsv:3"), "{message}");
}

#[test]
fn right_gradients_of_several_models_pass_and_wrong_ones_fail() {
    let folder = tempfile::tempdir().unwrap();
    let rows = [("one", 1.0, 0.4), ("two", 1.0, 0.7), ("one", 2.0, 0.1), ("two", 3.0, 0.2)];
    let problem = v2(folder.path(), &["one", "two"], &rows);
    let evaluator = Evaluator::new(&problem, SETTINGS, &CpuEngine, Some(&CpuEngine)).unwrap();
    let plan =
        CheckPlan::new((0..3).map(ParameterIdx::from_position).collect(), vec![1e-1, 1e-3, 1e-5]);
    let points = startpoints::random(&problem.parameters, 60, 0, 2).unwrap().theta_scaled;
    let doubled = |_: gradsweep::index::PointIdx, _: &[f64], own: Option<&[f64]>| {
        let mut gradient = own?.to_vec();
        gradient[1] *= 2.0;
        Some(gradient)
    };
    for (source, is_wrong) in
        [(&own_gradient as &check::GradientSource<'_>, false), (&doubled, true)]
    {
        let summary =
            check::run(&evaluator, &points, &plan, source, &mut |_, _| Ok::<(), EngineError>(()))
                .unwrap();
        for (j, statistics) in summary.parameters.iter().enumerate() {
            assert_eq!(statistics.is_consistent_failure, is_wrong && j == 1, "parameter {j}");
            assert!(statistics.counts[0] > 50 || (is_wrong && j == 1), "{:?}", statistics.counts);
        }
    }
}

#[test]
fn the_entries_of_a_v1_problem_add_up() {
    let folder = tempfile::tempdir().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/conversion");
    let files =
        ["model.xml", "parameters.tsv", "observables.tsv", "conditions.tsv", "measurements.tsv"];
    for name in files {
        fs::copy(source.join(name), folder.path().join(name)).unwrap();
    }
    let entry = "- sbml_files: [model.xml]\n  condition_files: [conditions.tsv]\n  \
                 observable_files: [observables.tsv]\n  measurement_files: [measurements.tsv]\n";
    let yaml = format!("format_version: 1\nparameter_file: parameters.tsv\nproblems:\n{entry}");
    fs::write(folder.path().join("one.yaml"), &yaml).unwrap();
    fs::write(folder.path().join("two.yaml"), format!("{yaml}{entry}")).unwrap();
    let [one, two] =
        ["one.yaml", "two.yaml"].map(|name| model::load(&folder.path().join(name)).unwrap());
    let point = startpoints::nominal(&one.parameters).unwrap().theta_scaled;
    let [one, two] =
        [one, two].map(|problem| evaluate(&problem, &point, &[], StepMode::Shared).remove(0));
    assert_eq!(two.objective.unwrap(), 2.0 * one.objective.unwrap());
    assert_eq!(two.predictions.len(), 2 * one.predictions.len());
}

/// A row that names an entity the model does not have must be refused where it stands.
#[test]
fn a_mapped_local_parameter_is_estimated() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write_all(
        path,
        &[
            (
                "problem.yaml",
                "format_version: 2.0.0\nparameter_files: [p.tsv]\nobservable_files: [o.tsv]\n\
                 measurement_files: [m.tsv]\nmapping_files: [map.tsv]\nmodel_files:\n  \
                 m: {location: model.xml, language: sbml}\n"
                    .to_owned(),
            ),
            ("model.xml", decay("rate", true)),
            (
                "p.tsv",
                "parameterId\tlowerBound\tupperBound\tnominalValue\testimate\n\
                 k\t0.1\t3\t0.7\ttrue\n"
                    .to_owned(),
            ),
            ("o.tsv", "observableId\tobservableFormula\tnoiseFormula\nobs\tk*x\t0.1\n".to_owned()),
            (
                "m.tsv",
                "observableId\texperimentId\ttime\tmeasurement\nobs\t\t1\t0.3\nobs\t\t2\t0.2\n"
                    .to_owned(),
            ),
            ("map.tsv", "petabEntityId\tmodelEntityId\nk\tr.rate\n".to_owned()),
        ],
    );
    let problem = model::load(path).unwrap();
    let k = 0.7_f64;
    let result = evaluate(&problem, &[vec![k]], &[], StepMode::Shared).remove(0);
    let mut slope = 0.0;
    for (prediction, (t, measured)) in result.predictions.iter().zip([(1.0, 0.3), (2.0, 0.2)]) {
        let y = k * (-k * t).exp();
        // Ten times the solver's tolerance.
        assert!((prediction.y - y).abs() < 1e-7);
        slope += (y - measured) / 0.01 * (1.0 - k * t) * (-k * t).exp();
    }
    // The same, over sigma².
    assert!((result.gradient.unwrap()[0] - slope).abs() < 1e-5);

    fs::write(path.join("map.tsv"), "petabEntityId\tmodelEntityId\nk\tr.other\n").unwrap();
    let message = model::load(path).unwrap_err().to_string();
    assert!(message.contains("map.tsv:2") && message.contains("r.other"), "{message}");
}
