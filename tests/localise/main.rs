//! Which rows a wrong derivative comes from: `--by` and `--mode residuals`.
//!
//! Derivatives of single rows are held against the closed form of data/conversion, written out
//! here, and their sums against the references of data/*, which were made without this program.
//! Wrong gradients are the closed form without a group's terms; each check must name the group.

mod closed_form;
mod command_line;
mod foreign;
mod other_tools;

use closed_form::*;
use foreign::*;
use gradsweep::check::{
    CheckPlan, GroupKind, GroupSummary, Groups, PartGradient, PartSource, VerdictKind,
    check_residuals, localise, own_part,
};
use gradsweep::engine::EngineError;
use gradsweep::engine::cpu::CpuEngine;
use gradsweep::index::{ParameterIdx, PointIdx};
use gradsweep::model::{self, OdeProblem};
use gradsweep::objective::Measure;
use gradsweep::startpoints;
use gradsweep::sweep::{
    Evaluator, Partition, PointParts, Settings, StepMode, no_further_eps, wants_none,
};
use serde_json::Value;
use std::f64::consts::LN_10;
use std::fs;
use std::path::{Path, PathBuf};

pub const SETTINGS: Settings =
    Settings { rtol: 1e-8, atol: 1e-12, max_steps: 10_000, steps: StepMode::Shared };

pub fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(name)
}

pub fn all(problem: &OdeProblem) -> Vec<ParameterIdx> {
    (0..problem.parameters.len()).map(ParameterIdx::from_position).collect()
}

pub fn plan(problem: &OdeProblem) -> CheckPlan {
    CheckPlan::new(all(problem), vec![1e-1, 1e-3, 1e-5, 1e-7, 1e-9])
}

pub fn count(counts: &[usize], kind: VerdictKind) -> usize {
    counts[VerdictKind::ALL.iter().position(|k| *k == kind).unwrap()]
}

/// Derivatives of parts at points, `[point]`.
fn parts(problem: &OdeProblem, points: &[Vec<f64>], partition: &Partition<'_>) -> Vec<PointParts> {
    // Tighter than usual: what is left of the solver's error is below the tests' tolerances.
    let settings = Settings { rtol: 1e-10, atol: 1e-14, ..SETTINGS };
    let evaluator = Evaluator::new(problem, settings, &CpuEngine, Some(&CpuEngine)).unwrap();
    evaluator
        .evaluate_parts(points, &all(problem), &[1e-3], partition, (&no_further_eps, &wants_none))
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
            .evaluate_parts(
                &points,
                &all(&problem),
                &[],
                &partition,
                (&no_further_eps, &wants_none),
            )
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
