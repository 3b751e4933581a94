//! Which rows a wrong derivative comes from: `--by` and `--mode residuals`.
//!
//! Derivatives of single rows are held against the closed form of data/conversion, written out
//! here, and their sums against the references of data/*, which were made without this program.
//! Wrong gradients are the closed form without a group's terms; each check must name the group.

use gradsweep::check::{
    CheckPlan, Criteria, GroupKind, GroupSummary, Groups, Label, PartGradient, PartSource,
    VerdictKind, check_residuals, localise, own_part,
};
use gradsweep::engine::EngineError;
use gradsweep::engine::cpu::CpuEngine;
use gradsweep::index::{ParameterIdx, PointIdx};
use gradsweep::model::{self, OdeProblem};
use gradsweep::objective::Measure;
use gradsweep::startpoints;
use gradsweep::sweep::{Evaluator, Partition, PointParts, Settings, StepMode, no_further_eps};
use serde_json::Value;
use std::collections::BTreeMap;
use std::f64::consts::LN_10;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

const SETTINGS: Settings =
    Settings { rtol: 1e-8, atol: 1e-12, max_steps: 10_000, steps: StepMode::Shared };

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(name)
}

fn all(problem: &OdeProblem) -> Vec<ParameterIdx> {
    (0..problem.parameters.len()).map(ParameterIdx::from_position).collect()
}

fn plan(problem: &OdeProblem) -> CheckPlan {
    CheckPlan {
        parameters: all(problem),
        eps: vec![1e-1, 1e-3, 1e-5, 1e-7, 1e-9],
        label: Label::RelErr,
        criteria: Criteria::default(),
        confidence: 0.95,
        consistent: 0.05,
    }
}

fn count(counts: &[usize], kind: VerdictKind) -> usize {
    counts[VerdictKind::ALL.iter().position(|k| *k == kind).unwrap()]
}

// ---------------------------------------------------------------------------------------------
// The closed form of data/conversion.

/// A row with its residual, and derivatives with respect to the parameters on their log10 scale.
struct Exact {
    observable: String,
    condition: String,
    time: f64,
    z: f64,
    dz: [f64; 6],
    /// Of the likelihood; of this what comes through sigma; of that what comes through ln sigma.
    dl: [f64; 6],
    dl_sigma: [f64; 6],
    dln_sigma: [f64; 6],
}

/// How sigma of obs_A comes about.
#[derive(Clone, Copy, PartialEq)]
enum Noise {
    Constant,
    /// sd_A·(0.1 + A).
    Proportional,
}

/// All rows of a measurement table at θ = log10 of (k1, k2, scale_B, sd_A, sd_B, b_frac). See
/// data/conversion/README.md.
fn exact(table: &Path, theta: &[f64], noise: Noise) -> Vec<Exact> {
    let p: Vec<f64> = theta.iter().map(|x| 10_f64.powf(*x)).collect();
    let (k1, k2) = (p[0], p[1]);
    let s = k1 + k2;
    let mut reader = csv::ReaderBuilder::new().delimiter(b'\t').from_path(table).unwrap();
    let rows = reader.deserialize().map(|row| {
        let row: BTreeMap<String, String> = row.unwrap();
        let (t, m): (f64, f64) =
            (row["time"].parse().unwrap(), row["measurement"].parse().unwrap());
        let a0 = if row["simulationConditionId"] == "high" { 5.0 } else { 1.0 };
        // 1 - exp(-s t), and the derivative of that with respect to s.
        let (gone, slope) = (-(-s * t).exp_m1(), t * (-s * t).exp());
        let b = a0 * k1 / s * gone;
        let db = [
            a0 * (k2 / (s * s) * gone + k1 / s * slope),
            a0 * (-k1 / (s * s) * gone + k1 / s * slope),
        ];
        let (mut dy, mut ds) = ([0.0; 6], [0.0; 6]);
        let (y, sigma, is_laplace) = match row["observableId"].as_str() {
            "obs_A" => {
                let a = a0 - b;
                (dy[0], dy[1]) = (-db[0], -db[1]);
                let factor = if noise == Noise::Constant { 1.0 } else { 0.1 + a };
                if noise == Noise::Proportional {
                    (ds[0], ds[1]) = (-p[3] * db[0], -p[3] * db[1]);
                }
                ds[3] = factor;
                (a, p[3] * factor, false)
            }
            "obs_B" => {
                (dy[0], dy[1], dy[2]) = (p[2] * db[0], p[2] * db[1], b);
                ds[4] = 1.0;
                (p[2] * b, p[4], false)
            }
            _ => {
                (dy[0], dy[1]) = (db[0] / a0, db[1] / a0);
                ds[5] = 1.0;
                (b / a0, p[5], true)
            }
        };
        let z = (y - m) / sigma;
        let (l_y, l_sigma) = match is_laplace {
            true => (z.signum() / sigma, (1.0 - z.abs()) / sigma),
            false => (z / sigma, (1.0 - z * z) / sigma),
        };
        let on_scale = |d: [f64; 6]| std::array::from_fn(|j| d[j] * p[j] * LN_10);
        Exact {
            observable: row["observableId"].clone(),
            condition: row["simulationConditionId"].clone(),
            time: t,
            z,
            dz: on_scale(std::array::from_fn(|j| (dy[j] - z * ds[j]) / sigma)),
            dl: on_scale(std::array::from_fn(|j| l_y * dy[j] + l_sigma * ds[j])),
            dl_sigma: on_scale(std::array::from_fn(|j| l_sigma * ds[j])),
            dln_sigma: on_scale(ds.map(|d| d / sigma)),
        }
    });
    rows.collect()
}

/// Derivatives of parts at points, `[point]`.
fn parts(problem: &OdeProblem, points: &[Vec<f64>], partition: &Partition<'_>) -> Vec<PointParts> {
    // Tighter than usual: what is left of the solver's error is below the tests' tolerances.
    let settings = Settings { rtol: 1e-10, atol: 1e-14, ..SETTINGS };
    let evaluator = Evaluator::new(problem, settings, &CpuEngine, Some(&CpuEngine)).unwrap();
    let wants = |_: &[_]| false;
    evaluator
        .evaluate_parts(points, &all(problem), &[1e-3], partition, (&no_further_eps, &wants))
        .unwrap()
        .parts
}

#[test]
fn derivatives_and_differences_of_rows_are_those_of_the_closed_form() {
    let problem = model::load(&data("conversion")).unwrap();
    let table = data("conversion").join("measurements.tsv");
    let mut points = startpoints::nominal(&problem.parameters).unwrap().theta_scaled;
    points.extend(startpoints::random(&problem.parameters, 10, 0, 5).unwrap().theta_scaled);
    let each: Vec<usize> = (0..problem.row_count()).collect();
    for measure in [Measure::Likelihood, Measure::Residual] {
        let partition =
            Partition { measure, part_of: &each, count: each.len(), prior: None, with_noise: true };
        for (theta, found) in points.iter().zip(parts(&problem, &points, &partition)) {
            let rows = exact(&table, theta, Noise::Constant);
            for j in 0..6 {
                let of = |row: &Exact| match measure {
                    Measure::Likelihood => row.dl[j],
                    Measure::Residual => row.dz[j],
                };
                let largest = rows.iter().map(|row| of(row).abs()).fold(0.0, f64::max);
                // Richardson's of the closed form would be as good; a central difference over
                // 2e-3 is off by the third derivative times 2e-7, some of which are large.
                let [up, down] = [1e-3, -1e-3].map(|step| {
                    let mut moved = theta.clone();
                    moved[j] += step;
                    exact(&table, &moved, Noise::Constant)
                });
                for (r, row) in rows.iter().enumerate() {
                    let own = found.gradient[j * each.len() + r];
                    // The solver's relative error at rtol 1e-10 is some 1e-9.
                    let allowed = 1e-7 * of(row).abs() + 1e-10 * largest;
                    assert!(
                        (own - of(row)).abs() <= allowed,
                        "{measure:?} row {r}, parameter {j} at {theta:?}: {own} for {}",
                        of(row)
                    );
                    if measure == Measure::Residual {
                        let central = found.pairs[j].parts[r].central;
                        let expected = (up[r].z - down[r].z) / 2e-3;
                        // Rounding of the closed form's residuals, each some 1e-16 of its size.
                        let allowed = 1e-7 * expected.abs() + 1e-10 * largest + 1e-12 * row.z.abs();
                        assert!(
                            (central - expected).abs() <= allowed,
                            "row {r}, parameter {j}: {central} for {expected}"
                        );
                    } else {
                        let noise = found.noise_gradient[j * each.len() + r];
                        let allowed = 1e-7 * row.dl_sigma[j].abs() + 1e-10 * largest;
                        assert!((noise - row.dl_sigma[j]).abs() <= allowed, "row {r}: {noise}");
                        let log_sigma = found.log_sigma_gradient[j * each.len() + r];
                        let expected = row.dln_sigma[j];
                        // Sums of two or three terms of rounded parameters.
                        let off = (log_sigma - expected).abs();
                        assert!(off <= 1e-12 * expected.abs(), "row {r}: {log_sigma}, {expected}");
                    }
                }
            }
        }
    }
}

/// Sums over groups are the whole, whatever the groups; so is what the residuals say of it.
#[test]
fn parts_add_up_to_the_references() {
    for name in ["stat5", "conversion", "robertson", "repressilator"] {
        let problem = model::load(&data(name)).unwrap();
        let text = fs::read_to_string(data(name).join("reference.json")).unwrap();
        let reference: Value = serde_json::from_str(&text).unwrap();
        let theta: Vec<f64> = serde_json::from_value(reference["nominal"]["x"].clone()).unwrap();
        let gradient: Vec<f64> =
            serde_json::from_value(reference["nominal"]["gradient"].clone()).unwrap();
        let mut sizes = vec![0.0; gradient.len()];
        // Rows come first here: what their derivatives' errors are relative to.
        for kind in GroupKind::ALL.into_iter().rev() {
            let groups = Groups::new(&problem, kind);
            let count = groups.names.len();
            let found =
                parts(&problem, std::slice::from_ref(&theta), &groups.partition(false)).remove(0);
            for (j, expected) in gradient.iter().enumerate() {
                let terms = &found.gradient[j * count..][..count];
                if kind == GroupKind::Row {
                    sizes[j] = terms.iter().map(|d| d.abs()).sum();
                }
                // The solver's error at rtol 1e-10, relative to what is summed; the repressilator's
                // grows over its oscillations.
                let sum: f64 = terms.iter().sum();
                assert!((sum - expected).abs() <= 1e-6 * sizes[j], "{name} {kind} {j}: {sum}");
            }
        }
        if name == "conversion" {
            // Laplace noise: the squares of residuals are no part of the likelihood.
            continue;
        }
        let each: Vec<usize> = (0..problem.row_count()).collect();
        let count = each.len();
        let measure = Measure::Residual;
        let partition =
            Partition { measure, part_of: &each, count, prior: None, with_noise: false };
        let settings = Settings { rtol: 1e-10, atol: 1e-14, ..SETTINGS };
        let evaluator = Evaluator::new(&problem, settings, &CpuEngine, Some(&CpuEngine)).unwrap();
        let points = [theta.clone()];
        let found = evaluator
            .evaluate_parts(&points, &all(&problem), &[], &partition, (&no_further_eps, &|_| false))
            .unwrap();
        for (j, expected) in gradient.iter().enumerate() {
            // dl/dθ = Σ z dz/dθ + dlnσ/dθ, and σ = 10^θ where a row has it.
            let is_sigma = problem.parameters[j].id.starts_with("sd_");
            let (mut sum, mut size) = (0.0, 0.0);
            for r in 0..count {
                let row = &problem.rows[r];
                let prediction = found.points[0].predictions[r];
                let of = |x: f64| match (name, row.observable.position()) {
                    ("repressilator", _) => x.log10(),
                    ("robertson", 1) => x.ln(),
                    _ => x,
                };
                let z = (of(prediction.y) - of(row.measured)) / prediction.sigma;
                let dz = found.parts[0].gradient[j * count + r];
                let log_sigma = if is_sigma && dz != 0.0 { LN_10 } else { 0.0 };
                sum += z * dz + log_sigma;
                size += (z * dz).abs() + log_sigma;
            }
            assert!((sum - expected).abs() <= 1e-6 * size, "{name} {j}: {sum} for {expected}");
        }
    }
}

/// Two parts of a problem with the same files: every group has twice its derivative, every row has
/// a number of its own.
#[test]
fn groups_go_through_all_models() {
    let folder = copied("conversion");
    let yaml = folder.path().join("p/conversion.yaml");
    let text = fs::read_to_string(&yaml).unwrap();
    let entry = &text[text.find("  - sbml_files").unwrap()..];
    fs::write(&yaml, format!("{text}{entry}")).unwrap();
    let (once, twice) =
        (model::load(&data("conversion")).unwrap(), model::load(&folder.path().join("p")).unwrap());
    let theta = startpoints::nominal(&once.parameters).unwrap().theta_scaled;
    for kind in [GroupKind::Condition, GroupKind::Observable, GroupKind::Time] {
        let [a, b] = [&once, &twice].map(|problem| Groups::new(problem, kind));
        assert_eq!(a.names, b.names);
        let [a, b] = [(&once, a), (&twice, b)]
            .map(|(problem, g)| parts(problem, &theta, &g.partition(false)).remove(0));
        for (a, b) in a.gradient.iter().zip(&b.gradient) {
            assert_eq!(2.0 * a, *b);
        }
        for (a, b) in a.pairs.iter().zip(&b.pairs) {
            for (a, b) in a.parts.iter().zip(&b.parts) {
                assert_eq!(2.0 * a.central, b.central);
            }
        }
    }
    let names = Groups::new(&twice, GroupKind::Row).names;
    assert_eq!(names, (1..=120).map(|n| n.to_string()).collect::<Vec<_>>());
    // Rows are named in the order of the table, conditions by their ids.
    let table = exact(&data("conversion").join("measurements.tsv"), &theta[0], Noise::Constant);
    for (row, exact) in once.rows.iter().zip(&table) {
        assert_eq!(once.simulations[row.simulation.position()].id, exact.condition);
    }
}

// ---------------------------------------------------------------------------------------------
// Own derivatives, group by group.

fn by(problem: &OdeProblem, kind: GroupKind, points: usize, g: &PartGradient<'_>) -> GroupSummary {
    let evaluator = Evaluator::new(problem, SETTINGS, &CpuEngine, Some(&CpuEngine)).unwrap();
    let points = startpoints::random(&problem.parameters, points, 0, 7).unwrap();
    let groups = Groups::new(problem, kind);
    localise(&evaluator, &points.theta_scaled, &plan(problem), &groups, g).unwrap()
}

#[test]
fn right_derivatives_fail_in_no_group() {
    for (name, points) in [("stat5", 40), ("conversion", 60), ("robertson", 20)] {
        let problem = model::load(&data(name)).unwrap();
        for kind in GroupKind::ALL {
            let summary = by(&problem, kind, points, &own_part);
            let mut passed = 0;
            for s in &summary.statistics {
                assert_eq!(s.counts.iter().sum::<usize>(), points, "{name} {kind}");
                assert_eq!(count(&s.counts, VerdictKind::Fail), 0, "{name} {kind}: {s:?}");
                assert!(s.mismatch_share.is_nan() && !s.is_consistent_failure);
                passed += count(&s.counts, VerdictKind::Pass);
            }
            let cells = points * summary.statistics.len();
            assert!(2 * passed > cells, "{name} {kind}: {passed} of {cells} pass");
        }
    }
}

/// What becomes of a right derivative.
type Change = fn(f64) -> f64;

#[test]
fn a_defect_is_found_in_its_group_and_in_no_other() {
    let problem = model::load(&data("conversion")).unwrap();
    let defects: [(&str, Change); 3] =
        [("dropped", |_| 0.0), ("sign", |d| -d), ("1 %", |d| 0.99 * d)];
    // (kind, group, parameter that it can change): condition high, obs_B, t = 1.5, row 17.
    for (kind, group, name, parameter) in [
        (GroupKind::Condition, 1, "high", 0),
        (GroupKind::Observable, 1, "obs_B", 2),
        (GroupKind::Time, 5, "1.5", 1),
        (GroupKind::Row, 16, "17", 4),
    ] {
        assert_eq!(Groups::new(&problem, kind).names[group], name);
        for (what, defect) in defects {
            let wrong = move |_: PointIdx, p: ParameterIdx, part: usize, own: f64| {
                if part == group && p.position() == parameter { defect(own) } else { own }
            };
            let summary = by(&problem, kind, 60, &wrong);
            let found: Vec<_> =
                summary.statistics.iter().filter(|s| s.is_consistent_failure).collect();
            assert_eq!(found.len(), 1, "{kind} {what}");
            let place = (found[0].parameter.position(), found[0].group);
            assert_eq!(place, (parameter, group), "{kind} {what}");
            // All of the mismatch is there, but for rounding of the others.
            assert!(found[0].mismatch_share > 0.99, "{kind} {what}: {:?}", found[0]);
            assert_eq!(summary.worst_first()[0], found[0]);
        }
    }
}

// ---------------------------------------------------------------------------------------------
// Residuals.

#[test]
fn right_derivatives_of_residuals_fail_nowhere_and_wrong_ones_where_they_are() {
    for (name, points, wrong_row) in
        [("stat5", 30, 20), ("conversion", 40, 16), ("robertson", 20, 40)]
    {
        let problem = model::load(&data(name)).unwrap();
        let evaluator = Evaluator::new(&problem, SETTINGS, &CpuEngine, Some(&CpuEngine)).unwrap();
        let theta = startpoints::random(&problem.parameters, points, 0, 11).unwrap().theta_scaled;
        let run = |gradient: &PartGradient<'_>| {
            let source = PartSource::exact(gradient);
            check_residuals(&evaluator, &theta, &plan(&problem), source, &mut |_| {
                Ok::<(), EngineError>(())
            })
            .unwrap()
        };
        let right = run(&own_part);
        let (mut cells, mut passed) = (0, 0);
        for of_parameter in &right.cells {
            let counts = &of_parameter.counts;
            assert_eq!(counts.iter().sum::<usize>(), points * of_parameter.rows, "{name}");
            assert_eq!(count(counts, VerdictKind::Fail), 0, "{name}: {of_parameter:?}");
            cells += points * of_parameter.rows;
            passed += count(counts, VerdictKind::Pass);
        }
        assert!(2 * passed > cells, "{name}: {passed} of {cells} pass");
        let of_rows = right.rows.iter().flat_map(|row| row.counts).sum::<usize>();
        assert_eq!(of_rows, cells, "{name}");
        assert!(right.points.parameters.iter().all(|p| !p.is_consistent_failure), "{name}");
        // A wrong sign in one row of one parameter.
        let wrong = move |_: PointIdx, p: ParameterIdx, part: usize, own: f64| {
            if part == wrong_row && p.position() == 1 { -own } else { own }
        };
        let summary = run(&wrong);
        for (j, statistics) in summary.points.parameters.iter().enumerate() {
            assert_eq!(statistics.is_consistent_failure, j == 1, "{name} {j}: {statistics:?}");
        }
        for (r, row) in summary.rows.iter().enumerate() {
            let failed = count(&row.counts, VerdictKind::Fail);
            assert_eq!(failed > 0, r == wrong_row, "{name} row {r}");
        }
        let (row, worst) = summary.cells[1].worst.unwrap();
        assert_eq!(row.position(), wrong_row);
        // |-d - d|/|d|.
        assert!((worst.error - 2.0).abs() < 1e-2, "{name}: {worst:?}");
    }
}

// ---------------------------------------------------------------------------------------------
// Gradients of other tools: the closed form with defects.

/// A temporary folder with a problem of data/ in `p`.
fn copied(name: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("p");
    fs::create_dir(&target).unwrap();
    for entry in fs::read_dir(data(name)).unwrap() {
        let source = entry.unwrap().path();
        if source.extension().is_some_and(|e| e == "tsv" || e == "xml" || e == "yaml") {
            fs::copy(&source, target.join(source.file_name().unwrap())).unwrap();
        }
    }
    folder
}

struct Ran {
    status: i32,
    out: String,
    err: String,
}

fn gradsweep(folder: &Path, line: &str) -> Ran {
    let output = Command::new(assert_cmd::cargo::cargo_bin!("gradsweep"))
        .current_dir(folder)
        .env("NODEVICE_SELECT", "1")
        .env("GRADSWEEP_SHADER_CACHE", "off")
        .args(line.split_whitespace())
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran {
        status: output.status.code().unwrap(),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

fn read(path: &Path) -> Vec<BTreeMap<String, String>> {
    csv::Reader::from_path(path).unwrap().deserialize().map(Result::unwrap).collect()
}

const IDS: [&str; 6] = ["k1", "k2", "scale_B", "sd_A", "sd_B", "b_frac"];

/// What a gradient has too much: (parameter, point, θ, rows).
type Defect<'a> = dyn Fn(usize, usize, &[f64], &[Exact]) -> f64 + 'a;

/// A folder with the conversion problem, 100 points and a gradient file: the closed form with
/// a defect.
struct Foreign {
    folder: TempDir,
    points: Vec<Vec<f64>>,
    noise: Noise,
    /// What the prior on k2 adds, if there is one: normal on the parameter scale, mean and sd.
    prior: Option<(f64, f64)>,
}

impl Foreign {
    fn new(noise: Noise, prior: Option<(f64, f64)>) -> Self {
        let folder = copied("conversion");
        if noise == Noise::Proportional {
            let file = folder.path().join("p/observables.tsv");
            let text = fs::read_to_string(&file).unwrap();
            let from = "\tnoiseParameter1_obs_A\t";
            assert!(text.contains(from));
            fs::write(&file, text.replace(from, "\tnoiseParameter1_obs_A * (0.1 + A)\t")).unwrap();
        }
        if let Some((mean, sd)) = prior {
            let file = folder.path().join("p/parameters.tsv");
            let lines = fs::read_to_string(&file).unwrap();
            let lines = lines.lines().enumerate().map(|(i, line)| match i {
                0 => format!("{line}\tobjectivePriorType\tobjectivePriorParameters\n"),
                2 => format!("{line}\tparameterScaleNormal\t{mean};{sd}\n"),
                _ => format!("{line}\t\t\n"),
            });
            fs::write(&file, lines.collect::<String>()).unwrap();
        }
        let ran = gradsweep(folder.path(), "startpoints p --points 100 --seed 3 --out points.csv");
        assert_eq!(ran.status, 0, "{}", ran.err);
        let points = read(&folder.path().join("points.csv"));
        let points =
            points.iter().map(|row| IDS.map(|id| row[id].parse().unwrap()).to_vec()).collect();
        Self { folder, points, noise, prior }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, defect: &Defect<'_>) {
        let table = self.path().join("p/measurements.tsv");
        let mut text = format!("point,{}\n", IDS.join(","));
        for (i, theta) in self.points.iter().enumerate() {
            let rows = exact(&table, theta, self.noise);
            text.push_str(&i.to_string());
            for j in 0..IDS.len() {
                let prior = match (self.prior, j) {
                    (Some((mean, sd)), 1) => (theta[1] - mean) / (sd * sd),
                    _ => 0.0,
                };
                let right = rows.iter().map(|row| row.dl[j]).sum::<f64>() + prior;
                text.push_str(&format!(",{:e}", right + defect(j, i, theta, &rows)));
            }
            text.push('\n');
        }
        fs::write(self.path().join("gradients.csv"), text).unwrap();
    }

    /// Diagnoses by parameter of a sweep that must end with a status.
    fn sweep(&self, options: &str, status: i32) -> BTreeMap<String, String> {
        let line = format!(
            "sweep p --at points.csv --gradient gradients.csv --engine cpu --out s --overwrite {options}"
        );
        let ran = gradsweep(self.path(), &line);
        assert_eq!(ran.status, status, "{}{}", ran.out, ran.err);
        let rows = read(&self.path().join("s/parameters.csv"));
        let diagnoses: BTreeMap<String, String> = rows
            .into_iter()
            .filter(|row| row["consistent_failure"] == "yes")
            .map(|row| (row["parameter"].clone(), row["diagnosis"].clone()))
            .collect();
        for (id, diagnosis) in &diagnoses {
            assert!(ran.out.contains(&format!("{id}: {diagnosis}")), "{}", ran.out);
        }
        diagnoses
    }

    fn attribution(&self) -> Vec<BTreeMap<String, String>> {
        read(&self.path().join("s/attribution.csv"))
    }
}

/// Σ over some rows of a parameter's derivative.
fn sum(rows: &[Exact], j: usize, is_meant: impl Fn(&Exact) -> bool) -> f64 {
    rows.iter().filter(|row| is_meant(row)).map(|row| row.dl[j]).sum()
}

#[test]
fn a_right_gradient_of_another_tool_is_attributed_to_nothing() {
    let foreign = Foreign::new(Noise::Constant, None);
    foreign.write(&|_, _, _, _| 0.0);
    for options in ["", "--by condition", "--by row"] {
        assert_eq!(foreign.sweep(options, 0), BTreeMap::new(), "{options}");
        assert!(!foreign.path().join("s/attribution.csv").exists(), "{options}");
    }
}

#[test]
fn a_dropped_condition_is_named() {
    let foreign = Foreign::new(Noise::Constant, None);
    foreign.write(&|j, _, _, rows| -sum(rows, j, |row| row.condition == "high"));
    let found = foreign.sweep("", 1);
    assert_eq!(found.keys().map(String::as_str).collect::<Vec<_>>(), {
        let mut ids = IDS;
        ids.sort_unstable();
        ids
    });
    for (id, diagnosis) in &found {
        let words = "what is missing is the contribution of condition high (";
        assert!(diagnosis.starts_with(words), "{id}: {diagnosis}");
    }
    for row in foreign.attribution().iter().filter(|row| row["group"] == "high") {
        // Every point tells so: nothing but this is wrong.
        assert_eq!(row["missing"], row["points"], "{row:?}");
        let number = |column: &str| row[column].parse::<f64>().unwrap();
        assert!((number("mismatch_over_contribution") + 1.0).abs() < 1e-2, "{row:?}");
        assert!(number("explained") > 0.99, "{row:?}");
        assert!(number("points") >= 5.0 && number("points") <= 200.0, "{row:?}");
    }
    // Asked for by time, no time is to blame.
    for (id, diagnosis) in foreign.sweep("--by time", 1) {
        assert!(!diagnosis.contains("contribution of time"), "{id}: {diagnosis}");
    }
}

#[test]
fn other_contributions_are_named() {
    let foreign = Foreign::new(Noise::Constant, None);
    foreign.write(&|j, _, _, rows| sum(rows, j, |row| row.condition == "low"));
    let twice = foreign.sweep("", 1);
    assert_eq!(twice.len(), 6);
    for diagnosis in twice.values() {
        assert!(diagnosis.contains("contribution of condition low is there twice"), "{diagnosis}");
    }
    foreign.write(&|j, _, _, rows| -sum(rows, j, |row| row.observable == "obs_B"));
    let found = foreign.sweep("", 1);
    for id in ["k1", "k2"] {
        assert!(
            found[id].contains("missing is the contribution of observable obs_B ("),
            "{found:?}"
        );
    }
    // Parameters of this observable alone are left with nothing, which is simpler to say.
    for id in ["scale_B", "sd_B"] {
        assert!(found[id].contains("gradient is 0"), "{found:?}");
    }
    assert_eq!(found.len(), 4, "{found:?}");
    foreign.write(&|j, _, _, rows| -sum(rows, j, |row| row.time == 1.5));
    let found = foreign.sweep("--by time", 1);
    assert_eq!(found.len(), 6, "{found:?}");
    for diagnosis in found.values() {
        assert!(diagnosis.contains("missing is the contribution of time 1.5 ("), "{diagnosis}");
    }
    foreign.write(&|j, _, _, rows| -rows[16].dl[j]);
    let found = foreign.sweep("--by row", 1);
    assert!(found.len() >= 2, "{found:?}");
    for diagnosis in found.values() {
        assert!(diagnosis.contains("missing is the contribution of row 17 ("), "{diagnosis}");
    }
}

#[test]
fn a_dropped_derivative_of_sigma_and_a_dropped_prior_are_named() {
    let foreign = Foreign::new(Noise::Proportional, None);
    foreign.write(&|_, _, _, _| 0.0);
    assert_eq!(foreign.sweep("", 0), BTreeMap::new());
    // Of the rates only: for sd_A there would be nothing left.
    foreign.write(&|j, _, _, rows| {
        let through_sigma: f64 = rows.iter().map(|row| row.dl_sigma[j]).sum();
        if j < 2 { -through_sigma } else { 0.0 }
    });
    let found = foreign.sweep("", 1);
    assert_eq!(found.keys().collect::<Vec<_>>(), ["k1", "k2"]);
    for diagnosis in found.values() {
        let words = "missing is the derivative through the noise parameters of all rows (";
        assert!(diagnosis.contains(words), "{diagnosis}");
    }
    // What knows sigma also lacks ln sigma: for sd_B and b_frac a constant, which says less.
    foreign.write(&|j, _, _, rows| -rows.iter().map(|row| row.dln_sigma[j]).sum::<f64>());
    let found = foreign.sweep("", 1);
    assert_eq!(found.keys().collect::<Vec<_>>(), ["b_frac", "k1", "k2", "sd_A", "sd_B"]);
    for diagnosis in found.values() {
        let words = "missing is the derivative of the term ln sigma of all rows (";
        assert!(diagnosis.contains(words), "{diagnosis}");
    }
    let foreign = Foreign::new(Noise::Constant, Some((0.5, 0.05)));
    foreign.write(&|_, _, _, _| 0.0);
    assert_eq!(foreign.sweep("", 0), BTreeMap::new());
    foreign.write(&|j, _, theta, _| if j == 1 { -(theta[1] - 0.5) / 0.0025 } else { 0.0 });
    let found = foreign.sweep("", 1);
    assert_eq!(found.keys().collect::<Vec<_>>(), ["k2"]);
    assert!(found["k2"].contains("missing is the contribution of the prior ("), "{found:?}");
}

#[test]
fn what_is_no_contribution_is_not_called_one() {
    let foreign = Foreign::new(Noise::Constant, None);
    let whole = |rows: &[Exact], j| sum(rows, j, |_| true);
    // A factor that looks random; and a condition that is dropped at every other point only.
    foreign.write(&|j, _, theta, rows| {
        if j == 0 { (0.5 + (37.0 * theta[0]).sin()) * whole(rows, j) } else { 0.0 }
    });
    let found = foreign.sweep("", 1);
    assert_eq!(found.len(), 1);
    assert!(found["k1"].contains("no known mark"), "{found:?}");
    foreign.write(&|j, i, theta, rows| match (j, i % 2) {
        (0, 0) => -sum(rows, j, |row| row.condition == "high"),
        (0, _) => (0.5 + (37.0 * theta[0]).sin()) * whole(rows, j),
        _ => 0.0,
    });
    let found = foreign.sweep("", 1);
    assert_eq!(found.len(), 1);
    assert!(found["k1"].contains("no known mark"), "{found:?}");
    // A sign is a sign, though it is twice a contribution too many.
    foreign.write(&|j, _, _, rows| if j == 0 { -2.0 * whole(rows, j) } else { 0.0 });
    assert!(foreign.sweep("", 1)["k1"].contains("sign is wrong"));
}

/// Residuals' derivatives from a file: those of the closed form pass, one row's sign is found.
#[test]
fn residual_derivatives_of_another_tool() {
    let foreign = Foreign::new(Noise::Proportional, None);
    let table = foreign.path().join("p/measurements.tsv");
    let write = |change: &dyn Fn(usize, usize, f64) -> Option<f64>| {
        let mut text = "point,row,parameter,gradient\n".to_owned();
        for (i, theta) in foreign.points.iter().enumerate() {
            for (r, row) in exact(&table, theta, Noise::Proportional).iter().enumerate() {
                for (j, id) in IDS.iter().enumerate().filter(|(j, _)| row.dz[*j] != 0.0) {
                    if let Some(value) = change(r, j, row.dz[j]) {
                        text.push_str(&format!("{i},{},{id},{value:e}\n", r + 1));
                    }
                }
            }
        }
        fs::write(foreign.path().join("jacobian.csv"), text).unwrap();
    };
    let sweep = |status: i32| {
        let line = "sweep p --at points.csv --mode residuals --gradient jacobian.csv --engine cpu \
                    --out s --overwrite";
        let ran = gradsweep(foreign.path(), line);
        assert_eq!(ran.status, status, "{}{}", ran.out, ran.err);
        let number = |row: &BTreeMap<String, String>, kind: VerdictKind| {
            row[kind.name()].parse::<usize>().unwrap()
        };
        let rows = read(&foreign.path().join("s/residuals.csv"));
        let failing = rows.iter().filter(|row| number(row, VerdictKind::Fail) > 0);
        let failing: Vec<_> =
            failing.map(|row| (row["row"].clone(), row["worst_parameter"].clone())).collect();
        let passing: usize = rows.iter().map(|row| number(row, VerdictKind::Pass)).sum();
        let missing = rows.iter().map(|row| number(row, VerdictKind::GradientMissing)).collect();
        (failing, passing, missing)
    };
    let at_start = |r: usize| [0, 1, 2, 30, 31, 32].contains(&r);
    write(&|_, _, d| Some(d));
    let (failing, passing, missing): (Vec<_>, usize, Vec<usize>) = sweep(0);
    assert_eq!(failing, []);
    // 54 rows after the start know k1 and k2, 18 of these scale_B; all 60 know their sigma.
    let cells = 100 * (54 * 2 + 18 + 60);
    assert!(5 * passing > 4 * cells, "{passing} of {cells}");
    // At the start the derivatives by the rates and by the scaling are 0: the file leaves them out.
    for (r, missing) in missing.iter().enumerate() {
        let by_scaling = usize::from(r % 3 == 1);
        let expected = if at_start(r) { 100 * (2 + by_scaling) } else { 0 };
        assert_eq!(*missing, expected, "row {r}");
    }
    write(&|r, j, d| Some(if (r, j) == (16, 1) { -d } else { d }));
    let (failing, ..) = sweep(1);
    assert_eq!(failing, [("17".to_owned(), "k2".to_owned())]);
    write(&|r, j, d| ((r, j) != (16, 1)).then_some(d));
    let (failing, _, missing) = sweep(0);
    assert_eq!((failing.len(), missing[16]), (0, 100));
}

// ---------------------------------------------------------------------------------------------
// The command line.

#[test]
fn bad_options_are_refused_before_anything_is_written() {
    let foreign = Foreign::new(Noise::Constant, None);
    foreign.write(&|_, _, _, _| 0.0);
    for (line, parts) in [
        ("check p --by colour", &["--by", "colour", "condition, observable, time, row"][..]),
        ("sweep p --points 2 --out s --mode jacobian", &["--mode", "jacobian", "residuals"]),
        ("sweep p --points 2 --out s --mode residuals --by row", &["--by", "--mode residuals"]),
        ("check p --mode residuals --detailed", &["--detailed", "--mode residuals"]),
        (
            "check p --at points.csv --mode residuals --gradient gradients.csv --out c.csv",
            &["gradients.csv:1", "`k1`", "expected `point`, `row`, `parameter`, `gradient`"],
        ),
        ("power p --points 2 --by row", &["--by"]),
    ] {
        let ran = gradsweep(foreign.path(), line);
        assert_eq!(ran.status, 2, "{line}: {}{}", ran.out, ran.err);
        for part in parts {
            assert!(ran.err.contains(part), "{line}: no {part:?} in {}", ran.err);
        }
        assert!(ran.out.is_empty(), "{line}");
        let mut names: Vec<String> = fs::read_dir(foreign.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort_unstable();
        assert_eq!(names, ["gradients.csv", "p", "points.csv"], "{line}");
    }
}

#[test]
fn tables_of_groups_and_residuals() {
    let folder = copied("conversion");
    let files = |name: &str| -> BTreeMap<String, Vec<u8>> {
        fs::read_dir(folder.path().join(name))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|p| (p.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&p).unwrap()))
            .collect()
    };
    let sweep = "sweep p --points 30 --engine cpu --overwrite";
    let run = |options: &str| {
        let ran = gradsweep(folder.path(), &format!("{sweep} {options}"));
        assert_eq!(ran.status, 0, "{options}: {}{}", ran.out, ran.err);
        ran.out
    };
    let text = run("--by observable --out a --threads 1");
    assert!(text.contains("by observable: 0 of 10 derivatives fail"), "{text}");
    run("--by observable --out b --threads 3");
    // These name the number of threads.
    let tables = |name: &str| {
        let mut files = files(name);
        files.retain(|name, _| name.ends_with(".csv"));
        files
    };
    assert!(tables("a") == tables("b"), "threads must not matter");
    let rows = read(&folder.path().join("a/groups.csv"));
    // k1 and k2 reach all three observables, the others one each.
    assert_eq!(rows.len(), 10);
    for row in &rows {
        assert_eq!((row["by"].as_str(), row["points"].as_str()), ("observable", "30"));
        let counts = VerdictKind::ALL.map(|k| row[k.name()].parse::<usize>().unwrap());
        assert_eq!(counts.iter().sum::<usize>(), 30);
        assert_eq!(row["consistent_failure"], "no");
    }
    // The same sweep without --by gives the same files but for the table and its mention.
    run("--out c");
    let (mut with, without) = (files("a"), files("c"));
    assert!(with.remove("groups.csv").is_some());
    assert!(with.keys().eq(without.keys()));
    for name in ["checks.csv", "best.csv", "points.csv", "parameters.csv", "eps.csv"] {
        assert!(with[name] == without[name], "{name}");
    }
    // What an earlier run has left does not stay beside what it does not belong to.
    run("--out a");
    assert!(!folder.path().join("a/groups.csv").exists());
    run("--mode residuals --out a --threads 1");
    run("--mode residuals --out b --threads 3");
    assert!(tables("a") == tables("b"), "threads must not matter");
    let mut expected = vec!["failures.csv", "parameters.csv", "points.csv"];
    expected.extend(["report.html", "residuals.csv", "run.json"]);
    assert!(files("a").keys().eq(expected), "{:?}", files("a").keys());
    let rows = read(&folder.path().join("a/residuals.csv"));
    assert_eq!(rows.len(), 60);
    assert_eq!(rows[16]["row"], "17");
    let place = ["observable", "condition", "time"].map(|column| rows[16][column].as_str());
    assert_eq!(place, ["obs_B", "low", "1.5"]);
    for row in read(&folder.path().join("a/parameters.csv")) {
        let cells: usize =
            VerdictKind::ALL.map(|k| row[k.name()].parse::<usize>().unwrap()).iter().sum();
        assert_eq!(cells, 30 * row["rows"].parse::<usize>().unwrap(), "{row:?}");
    }
    let record = fs::read_to_string(folder.path().join("a/run.json")).unwrap();
    let record: Value = serde_json::from_str(&record).unwrap();
    assert_eq!(record["mode"], "residuals");
    run("--out a");
    assert!(files("a").keys().eq(files("c").keys()), "residuals.csv is gone");

    // At a point, cell by cell, against the closed form.
    let ran = gradsweep(folder.path(), "check p --mode residuals --engine cpu --out r.csv");
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    let problem = model::load(&folder.path().join("p")).unwrap();
    let theta = startpoints::nominal(&problem.parameters).unwrap().theta_scaled.remove(0);
    let exact = exact(&folder.path().join("p/measurements.tsv"), &theta, Noise::Constant);
    let cells = read(&folder.path().join("r.csv"));
    assert_eq!(cells.len(), 60 * 2 + 20 * 4);
    for cell in &cells {
        let row = &exact[cell["row"].parse::<usize>().unwrap() - 1];
        let j = IDS.iter().position(|id| *id == cell["parameter"]).unwrap();
        assert_eq!((&cell["observable"], &cell["condition"]), (&row.observable, &row.condition));
        let number = |column: &str| cell[column].parse::<f64>().unwrap();
        // The solver's error at rtol 1e-8; y - m of size 1 makes z as uncertain as y/sigma.
        assert!((number("residual") - row.z).abs() < 1e-5, "{cell:?}");
        assert!((number("gradient") - row.dz[j]).abs() <= 1e-6 * row.dz[j].abs().max(1.0));
        let bound = number("bound") + 1e-6 * row.dz[j].abs().max(1.0);
        assert!((number("estimate") - row.dz[j]).abs() <= bound, "{cell:?}");
        assert!(["pass", "insensitive"].contains(&cell["verdict"].as_str()), "{cell:?}");
    }
}

#[test]
fn a_check_names_the_condition_at_a_few_points() {
    let foreign = Foreign::new(Noise::Constant, None);
    foreign.write(&|j, _, _, rows| {
        if j == 0 { -sum(rows, j, |row| row.condition == "low") } else { 0.0 }
    });
    let line = "check p --at points.csv --gradient gradients.csv --engine cpu --by condition";
    let ran = gradsweep(foreign.path(), line);
    assert_eq!(ran.status, 1, "{}", ran.err);
    let words = "k1: what is missing is the contribution of condition low (";
    assert!(ran.out.contains(words), "{}", ran.out);
    let without = gradsweep(foreign.path(), line.strip_suffix("--by condition").unwrap());
    assert_eq!(without.status, 1);
    assert!(!without.out.contains("contribution"), "{}", without.out);
}
