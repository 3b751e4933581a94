//! Second derivatives that gradsweep computes itself, against closed forms.

use super::dual::Dual;
use super::{Bench, Matrix, PARAMETERS, hessian, moved, nllh};
use gradsweep::objective::{NoiseModel, Prediction};
use gradsweep::petab::{NoiseDistribution, Transformation};
use std::collections::BTreeMap;
use std::f64::consts::LN_10;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gradsweep"));
    command.current_dir(folder).args(arguments).output().unwrap()
}

/// Cells of `check --out`: by point, row and column.
fn cells(path: &Path) -> BTreeMap<[String; 3], BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let rows = reader.deserialize().map(|row| {
        let row: BTreeMap<String, String> = row.unwrap();
        (["point", "parameter", "parameter2"].map(|name| row[name].clone()), row)
    });
    rows.collect()
}

fn number(row: &BTreeMap<String, String>, name: &str) -> f64 {
    row[name].parse().unwrap()
}

/// data/conversion: one stretch a simulation, log10 scales, placeholders, normal and Laplace noise.
#[test]
fn they_are_those_of_the_closed_form() {
    let bench = Bench::new(12);
    let exact: Vec<Matrix> = bench.all(hessian);
    let problem = super::data("conversion.yaml");
    let check = |further: &[&str]| {
        let base = ["check", problem.to_str().unwrap(), "--at", "points.csv", "--order", "1"];
        let ran = run(bench.folder.path(), &[&base, further].concat());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (ran.status.code(), text(&ran.stdout), text(&ran.stderr))
    };
    for steps in ["shared", "adaptive"] {
        let tight = ["--rtol", "1e-11", "--atol", "1e-15", "--engine", "cpu", "--steps", steps];
        let (status, out, err) = check(&[&tight[..], &["--out", "own.csv"]].concat());
        assert_eq!(status, Some(0), "{out}{err}");
        let found = cells(&bench.path("own.csv"));
        assert_eq!(found.len(), 12 * 36);
        for (point, (id, theta)) in bench.points.iter().enumerate() {
            for i in 0..6 {
                for j in 0..6 {
                    let row = &found[&[id, PARAMETERS[i], PARAMETERS[j]].map(str::to_owned)];
                    let terms = bench.rows.iter().map(|r| nllh(r, &moved(theta, i, j)).0[3].abs());
                    // Errors of some hundred steps at 1e-11 each.
                    let tolerance = 1e-8 * terms.sum::<f64>();
                    let (own, exact) = (number(row, "hessian"), exact[point][i][j]);
                    assert!((own - exact).abs() <= tolerance, "{row:?}: {exact}");
                }
            }
        }
    }
    // Whatever the threads, the same bytes.
    check(&["--out", "two.csv", "--threads", "2"]);
    check(&["--out", "one.csv", "--threads", "1"]);
    let bytes = |name: &str| fs::read(bench.path(name)).unwrap();
    assert_eq!(bytes("one.csv"), bytes("two.csv"));
    // Twin: as a file's they pass, but for the one entry that is made wrong there.
    for (factor, expected) in [(1.0, 0), (1.01, 1)] {
        let mut table = csv::Writer::from_path(bench.path("h.csv")).unwrap();
        table.write_record(["point", "parameter", "parameter2", "hessian"]).unwrap();
        for (key, row) in cells(&bench.path("two.csv")) {
            let is_wrong = (key[1].as_str(), key[2].as_str()) == ("sd_B", "sd_B");
            let value = number(&row, "hessian") * if is_wrong { factor } else { 1.0 };
            table.write_record(key.iter().chain([&format!("{value:e}")])).unwrap();
        }
        table.flush().unwrap();
        let outcome = bench.sweep(&[]);
        assert_eq!(outcome.consistent().len(), expected);
        assert_eq!(outcome.total("fail"), 12 * expected);
    }
}

/// A pool that is filled at the rate u·k1 and emptied at k2·x: pre-equilibrated with u = a·b, then
/// measured with u = c; in the second experiment x becomes d·x² on the way.
const POOL: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<sbml xmlns="http://www.sbml.org/sbml/level3/version2/core" level="3" version="2">
<model id="pool"><listOfParameters>
<parameter id="x" value="1" constant="false"/><parameter id="u" value="1" constant="false"/>
<parameter id="k1" value="1" constant="true"/><parameter id="k2" value="1" constant="true"/>
</listOfParameters><listOfRules><rateRule variable="x">
<math xmlns="http://www.w3.org/1998/Math/MathML"><apply><minus/>
<apply><times/><ci>u</ci><ci>k1</ci></apply><apply><times/><ci>k2</ci><ci>x</ci></apply>
</apply></math></rateRule></listOfRules></model></sbml>"#;

const POOL_FILES: [(&str, &str); 7] = [
    ("model.xml", POOL),
    (
        "pool.yaml",
        "format_version: 2.0.0\nparameter_files: [parameters.tsv]\nmodel_files:\n  m:\n    \
         location: model.xml\n    language: sbml\nobservable_files: [observables.tsv]\n\
         measurement_files: [measurements.tsv]\ncondition_files: [conditions.tsv]\n\
         experiment_files: [experiments.tsv]\n",
    ),
    (
        "parameters.tsv",
        "parameterId\tlowerBound\tupperBound\tnominalValue\testimate\na\t0.5\t2\t1\ttrue\n\
         b\t0.5\t2\t1\ttrue\nc\t0.5\t2\t1\ttrue\nd\t0.5\t2\t1\ttrue\nk1\t0.5\t2\t1\ttrue\n\
         k2\t0.5\t2\t1\ttrue\nsd\t0.1\t1\t0.5\ttrue\n",
    ),
    ("observables.tsv", "observableId\tobservableFormula\tnoiseFormula\no\tx\tsd*x\n"),
    (
        "measurements.tsv",
        "observableId\texperimentId\ttime\tmeasurement\no\te1\t0\t1.1\no\te1\t1\t0.9\n\
         o\te1\t3\t1.2\no\te2\t1\t0.8\no\te2\t2.5\t1.3\no\te2\t4\t0.7\n",
    ),
    (
        "conditions.tsv",
        "conditionId\ttargetId\ttargetValue\nbefore\tu\ta*b\nafter\tu\tc\nkick\tx\td*x^2\n",
    ),
    (
        "experiments.tsv",
        "experimentId\ttime\tconditionId\ne1\t-inf\tbefore\ne1\t0\tafter\n\
         e2\t-inf\tbefore\ne2\t0\tafter\ne2\t2\tkick\n",
    ),
];
const POOL_PARAMETERS: [&str; 7] = ["a", "b", "c", "d", "k1", "k2", "sd"];
/// (experiment, time, measurement).
const POOL_ROWS: [(u8, f64, f64); 6] =
    [(1, 0.0, 1.1), (1, 1.0, 0.9), (1, 3.0, 1.2), (2, 1.0, 0.8), (2, 2.5, 1.3), (2, 4.0, 0.7)];

/// The terms of the objective but for constants.
fn pool([a, b, c, d, k1, k2, sd]: [Dual; 7]) -> [Dual; 6] {
    let limit = c * k1 / k2;
    let relaxed = |start: Dual, t: f64| limit + (start - limit) * (-(k2 * Dual::number(t))).exp();
    POOL_ROWS.map(|(experiment, time, measured)| {
        let start = a * b * k1 / k2;
        let x = if experiment == 2 && time > 2.0 {
            let before = relaxed(start, 2.0);
            relaxed(d * before * before, time - 2.0)
        } else {
            relaxed(start, time)
        };
        let z = (x - Dual::number(measured)) / (sd * x);
        (sd * x).ln() + z * z * Dual::number(0.5)
    })
}

#[test]
fn they_go_through_steady_states_periods_and_assignments() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in POOL_FILES {
        fs::write(folder.path().join(name), text).unwrap();
    }
    run(folder.path(), &["startpoints", "pool.yaml", "--points", "6", "--out", "points.csv"]);
    let mut points = csv::Reader::from_path(folder.path().join("points.csv")).unwrap();
    let points: Vec<BTreeMap<String, String>> = points.deserialize().map(Result::unwrap).collect();
    let arguments = ["check", "pool.yaml", "--at", "points.csv", "--order", "1", "--rtol", "1e-11"];
    let further = ["--atol", "1e-14", "--engine", "cpu", "--out", "own.csv"];
    let ran = run(folder.path(), &[&arguments[..], &further].concat());
    println!("{}", String::from_utf8_lossy(&ran.stdout));
    assert_eq!(ran.status.code(), Some(0), "{}", String::from_utf8_lossy(&ran.stderr));
    let found = cells(&folder.path().join("own.csv"));
    assert_eq!(found.len(), 6 * 49);
    for point in &points {
        let theta = POOL_PARAMETERS.map(|id| number(point, id));
        for i in 0..7 {
            for j in 0..7 {
                let along = |k: usize, own: usize| f64::from(u8::from(k == own));
                let at = |k: usize| Dual([theta[k], along(k, i), along(k, j), 0.0]);
                let terms = pool([0, 1, 2, 3, 4, 5, 6].map(at)).map(|term| term.0[3]);
                let exact: f64 = terms.iter().sum();
                let size: f64 = terms.iter().map(|term| term.abs()).sum();
                let key = [&point["point"], POOL_PARAMETERS[i], POOL_PARAMETERS[j]];
                let row = &found[&key.map(str::to_owned)];
                // The steady state is left alone at a rate of 100 rtol; its derivatives follow.
                let own = number(row, "hessian");
                assert!((own - exact).abs() <= 1e-7 * size, "{row:?}: {exact}");
            }
        }
    }
}

/// Where times move there are none, and that is said.
#[test]
fn moving_times_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in super::events::FILES {
        fs::write(folder.path().join(name), text).unwrap();
    }
    for command in ["check", "sweep"] {
        let ran = run(folder.path(), &[command, "refill.yaml", "--order", "1", "--out", "none"]);
        let err = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(2), "{err}");
        for part in ["--order 1", "the model has events", "--hessian FILE.csv"] {
            assert!(err.contains(part), "no {part:?} in {err}");
        }
        assert!(!folder.path().join("none").exists());
    }
}

/// Second derivatives of a row's likelihood in y and σ, for every noise model, both sides of m.
#[test]
fn noise_models_have_the_second_derivatives_of_their_formulas() {
    let formula = |model: NoiseModel, measured: f64, [y, sigma]: [Dual; 2]| {
        let (y, m) = match model.transformation {
            Transformation::Lin => (y, measured),
            Transformation::Log => (y.ln(), measured.ln()),
            Transformation::Log10 => (y.ln() / Dual::number(LN_10), measured.log10()),
        };
        let z = (y - Dual::number(m)) / sigma;
        let of_z = match model.distribution {
            NoiseDistribution::Normal => z * z * Dual::number(0.5),
            NoiseDistribution::Laplace => z.abs(),
        };
        (sigma.ln() + of_z).0[3]
    };
    for transformation in [Transformation::Lin, Transformation::Log, Transformation::Log10] {
        for distribution in [NoiseDistribution::Normal, NoiseDistribution::Laplace] {
            let model = NoiseModel { transformation, distribution };
            for (measured, y, sigma) in [(1.3, 2.1, 0.4), (2.7, 0.9, 0.3), (0.02, 31.0, 2.5)] {
                let found = model.nllh_second_derivatives(measured, Prediction { y, sigma });
                let along = [[1.0, 0.0], [0.0, 1.0]];
                for (found, (i, j)) in found.into_iter().zip([(0, 0), (0, 1), (1, 1)]) {
                    let at = |k: usize, value| Dual([value, along[i][k], along[j][k], 0.0]);
                    let exact = formula(model, measured, [at(0, y), at(1, sigma)]);
                    // Some ten operations.
                    let tolerance = 1e-14 * exact.abs().max(1.0);
                    assert!((found - exact).abs() <= tolerance, "{model:?}: {found} {exact}");
                }
            }
        }
    }
}
