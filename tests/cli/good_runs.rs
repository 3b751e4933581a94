//! Files, tables and messages of runs that go well.

use crate::tools::*;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;

const CHECK_HEADER: &str = "point,parameter,eps,grad,fd_f,fd_b,fd_c,fd_err,abs_err,rel_err,\
                            paired_f,paired_b,paired_c,paired_err,estimate,bound,\
                            differences,verdict,reason,status";

#[test]
fn sweep_writes_all_reports() {
    let bench = Bench::new();
    let ran = well(bench.path(), "sweep p --engine cpu --points 12 --out reports");
    let mut files: Vec<String> = fs::read_dir(bench.path().join("reports"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort_unstable();
    let expected = "best.csv checks.csv eps.csv failures.csv parameters.csv points.csv report.html \
                    run.json where.csv";
    assert_eq!(files.join(" "), expected);

    let (header, checks) = csv_of(&bench.read("reports/checks.csv"));
    assert_eq!(header, CHECK_HEADER);
    assert_eq!(checks.len(), 12 * 6 * 5, "points, parameters, pyPESTO's five eps");
    let (header, best) = csv_of(&bench.read("reports/best.csv"));
    assert_eq!(header, CHECK_HEADER);
    assert_eq!(best.len(), 12 * 6);
    // pyPESTO's check_grad_multi_eps: for each parameter the row with the smallest rel_err.
    for (best, rows) in best.iter().zip(checks.chunks(5)) {
        let smallest = rows.iter().map(|r| number(r, "rel_err")).fold(f64::INFINITY, f64::min);
        assert_eq!(number(best, "rel_err"), smallest);
        assert!(rows.contains(best));
    }

    let (header, points) = csv_of(&bench.read("reports/points.csv"));
    assert_eq!(header, "point,objective,status,steps,k1,k2,scale_B,sd_A,sd_B,b_frac");
    assert_eq!(points.len(), 12);
    let (header, parameters) = csv_of(&bench.read("reports/parameters.csv"));
    assert_eq!(
        header,
        "parameter,points,pass,fail,inconclusive,kink,insensitive,gradient_missing,failed,\
         inconclusive_noise,inconclusive_truncation,failed_base,failed_plus,failed_minus,\
         failed_both,one_sided,failure_rate,failure_rate_low,failure_rate_high,p_value,p_holm,\
         error_median,error_mad,error_q25,error_q75,error_q90,error_max,detectable_error,best_eps,\
         plain_a,plain_p,plain_s,plain_recommended_eps,paired_a,paired_p,paired_s,\
         paired_recommended_eps,consistent_failure,diagnosis"
    );
    let ids: Vec<&str> = parameters.iter().map(|r| r["parameter"].as_str()).collect();
    assert_eq!(ids, ["k1", "k2", "scale_B", "sd_A", "sd_B", "b_frac"]);
    let kinds =
        ["pass", "fail", "inconclusive", "kink", "insensitive", "gradient_missing", "failed"];
    for record in &parameters {
        for kind in kinds {
            let of_cell =
                |r: &&BTreeMap<_, _>| r["parameter"] == record["parameter"] && r["verdict"] == kind;
            assert_eq!(number(record, kind), best.iter().filter(of_cell).count() as f64, "{kind}");
        }
        assert_eq!(kinds.iter().map(|kind| number(record, kind)).sum::<f64>(), 12.0);
        assert_eq!(record["consistent_failure"], "no");
        assert_eq!(
            (record["p_value"].as_str(), record["p_holm"].as_str()),
            ("1", "1"),
            "no failure"
        );
        // Wilson's interval for k failures of n at 95 %, z = 1.959964.
        let (k, n) = (number(record, "fail"), number(record, "pass") + number(record, "fail"));
        let (p, z2) = (k / n, 1.959_963_984_540_054_f64.powi(2));
        let centre = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
        let half = (z2 * (p * (1.0 - p) / n + z2 / (4.0 * n * n))).sqrt() / (1.0 + z2 / n);
        assert!((number(record, "failure_rate_low") - (centre - half)).abs() < 1e-12);
        assert!((number(record, "failure_rate_high") - (centre + half)).abs() < 1e-12);
    }
    let (header, eps) = csv_of(&bench.read("reports/eps.csv"));
    assert_eq!(header, "parameter,eps,points,plain_error_median,paired_error_median");
    assert_eq!(eps.len(), 6 * 5);
    assert_eq!(
        bench.read("reports/where.csv"),
        "parameter,covariate,failing,passing,auc,p_holm,range_low,range_high,sentence\n"
    );
    let failures = bench.read("reports/failures.csv");
    assert_eq!(failures, "point,parameter,eps,side,simulation,status,time,steps\n");

    let record: Value = serde_json::from_str(&bench.read("reports/run.json")).unwrap();
    assert_eq!(record["program"], "gradsweep");
    assert_eq!(record["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(record["rtol"], 1e-8);
    assert_eq!(record["atol"], 1e-12);
    assert_eq!(record["points"], 12);
    assert_eq!(record["inputs"].as_object().unwrap().len(), 6, "every file of the problem");

    for id in ids {
        assert!(ran.out.contains(id), "{}", ran.out);
    }
    assert!(!ran.out.contains('\u{1b}') && !ran.err.contains('\u{1b}'), "no colours in a pipe");
}

#[test]
fn a_default_folder_is_named_after_the_problem() {
    let bench = Bench::new();
    let line = "sweep p --engine cpu --points 2 --parameters k1 --eps 1e-5";
    well(bench.path(), line);
    assert_eq!(csv_of(&bench.read("conversion-sweep/checks.csv")).1.len(), 2);
    // It is the program's own: a second sweep replaces it.
    well(bench.path(), &line.replace("--points 2", "--points 3"));
    assert_eq!(csv_of(&bench.read("conversion-sweep/checks.csv")).1.len(), 3);
}

/// pyPESTO's formulas (`check_grad` with `detailed=True`), from the objectives in the same row.
#[test]
fn columns_are_pypestos() {
    let folder = data("");
    let std_column = "(grad-fd_c)/std({fd_f,fd_b,fd_c})";
    let mean_column = "|grad-fd_c|/mean(|fd_f-fd_b|,|fd_f-fd_c|,|fd_b-fd_c|)";
    let ran =
        well(&folder, "check conversion --engine cpu --at random:3 --seed 5 --detailed --out -");
    let (header, rows) = csv_of(&ran.out);
    assert_eq!(
        header,
        format!(
            "point,parameter,eps,fval,fval_p,fval_m,grad,fd_f,fd_b,fd_c,fd_err,abs_err,rel_err,\
             \"{std_column}\",\"{mean_column}\",paired_f,paired_b,paired_c,paired_err,estimate,\
             bound,differences,verdict,reason,status"
        )
    );
    assert_eq!(rows.len(), 3 * 6 * 5);
    for row in rows {
        let [eps, f, p, m, grad] =
            ["eps", "fval", "fval_p", "fval_m", "grad"].map(|c| number(&row, c));
        let (fd_f, fd_b, fd_c) = ((p - f) / eps, (f - m) / eps, (p - m) / (2.0 * eps));
        let abs_err = (grad - fd_c).abs();
        let mean = (fd_f + fd_b + fd_c) / 3.0;
        let variance = [fd_f, fd_b, fd_c].map(|v| (v - mean).powi(2)).iter().sum::<f64>() / 3.0;
        let spread = ((fd_f - fd_b).abs() + (fd_f - fd_c).abs() + (fd_b - fd_c).abs()) / 3.0;
        let expected = [
            ("fd_f", fd_f),
            ("fd_b", fd_b),
            ("fd_c", fd_c),
            ("fd_err", (fd_f - fd_b).abs()),
            ("abs_err", abs_err),
            ("rel_err", (abs_err / (fd_c + eps)).abs()),
            (std_column, (grad - fd_c) / variance.sqrt()),
            (mean_column, abs_err / spread),
        ];
        for (column, value) in expected {
            let found = number(&row, column);
            assert!(found == value || close(found, value, 1e-9), "{column}: {found} {value}");
        }
    }
}

#[test]
fn one_eps_gives_its_table_and_several_the_best_of_each() {
    let folder = data("");
    let ran = well(&folder, "check conversion --engine cpu --eps 1e-5 --out -");
    assert_eq!(csv_of(&ran.out).1.len(), 6);
    assert!(csv_of(&ran.out).1.iter().all(|r| number(r, "eps") == 1e-5));
    let ran = well(&folder, "check conversion --engine cpu --eps 1e-4,1e-6 --parameters k2,k1");
    for column in ["parameter", "grad", "fd_c", "rel_err", "eps", "estimate", "bound", "verdict"] {
        assert!(ran.out.contains(column), "{column}\n{}", ran.out);
    }
    assert!(!ran.out.contains("scale_B"));
    assert!(ran.out.contains("0.00000001") || ran.out.contains("1e-8"), "tolerances are stated");
}

#[test]
fn check_writes_its_rows_to_a_file() {
    let bench = Bench::new();
    let ran = well(bench.path(), "check p --engine cpu --out c.csv");
    assert!(ran.out.contains("verdict"), "the table is still printed");
    let text = bench.read("c.csv");
    assert_eq!(csv_of(&text).0, CHECK_HEADER);
    assert_eq!(well(bench.path(), "check p --engine cpu --out -").out, text);
    assert!(!bench.files().keys().any(|f| f.to_string_lossy().ends_with(".partial")));
}

#[test]
fn colours_only_on_terminals() {
    let folder = data("");
    for line in ["check conversion --engine cpu", "devices", "--help", "check --help"] {
        let piped = well(&folder, line);
        let plain = finish(gradsweep(&folder).env("NO_COLOR", "1").args(line.split_whitespace()));
        for ran in [&piped, &plain] {
            assert!(!ran.out.contains('\u{1b}') && !ran.err.contains('\u{1b}'), "{line}");
        }
        assert_eq!(piped.out, plain.out, "{line}");
    }
}

#[test]
fn quiet_says_nothing_on_stderr() {
    let bench = Bench::new();
    assert_eq!(well(bench.path(), "-q sweep p --engine cpu --points 2").err, "");
    assert_eq!(well(bench.path(), "simulate p --engine cpu -q").err, "");
}
