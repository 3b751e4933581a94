//! Problems that are refused, with file, row and id.

use crate::tools::*;
use std::fs;

#[test]
fn missing_problem() {
    let bench = Bench::new();
    bench.bad_problem("nosuch", &["nosuch"]);
    bench.bad_problem("p/nosuch.yaml", &["p/nosuch.yaml"]);
}

#[test]
fn folder_without_or_with_several_problem_files() {
    let bench = Bench::new();
    fs::rename(bench.path().join("p/conversion.yaml"), bench.path().join("elsewhere")).unwrap();
    bench.bad_problem("p", &["p: ", "no PEtab problem file"]);
    fs::copy(bench.path().join("elsewhere"), bench.path().join("p/one.yaml")).unwrap();
    fs::copy(bench.path().join("elsewhere"), bench.path().join("p/two.yml")).unwrap();
    bench.bad_problem("p", &["p: ", "p/one.yaml", "p/two.yml"]);
    well(bench.path(), "simulate p/two.yml --engine cpu");
}

#[test]
fn broken_yaml() {
    let bench = Bench::new();
    bench.write("p/conversion.yaml", "format_version: 1\nproblems: [\n");
    bench.bad_problem("p/conversion.yaml", &["p/conversion.yaml"]);
    // Without the key the file is no problem file to a folder; named, it is a broken one.
    let bench = Bench::new();
    bench.edit("p/conversion.yaml", "problems:", "problem:");
    bench.bad_problem("p/conversion.yaml", &["p/conversion.yaml", "problem"]);
    let bench = Bench::new();
    bench.edit("p/conversion.yaml", "measurements.tsv", "missing.tsv");
    bench.bad_problem("p", &["p/missing.tsv"]);
    let bench = Bench::new();
    bench.edit("p/conversion.yaml", "format_version: 1", "format_version: 7");
    bench.bad_problem("p", &["p/conversion.yaml", "format_version", "7"]);
}

#[test]
fn broken_xml() {
    let bench = Bench::new();
    bench.edit("p/model.xml", "</listOfSpecies>", "");
    bench.bad_problem("p", &["p/model.xml:", "XML", "listOfSpecies"]);
    let bench = Bench::new();
    bench.write("p/model.xml", "");
    bench.bad_problem("p", &["p/model.xml"]);
    let bench = Bench::new();
    bench.edit("p/model.xml", "<sbml ", "<!DOCTYPE sbml [<!ENTITY a \"b\">]>\n<sbml ");
    bench.bad_problem("p", &["p/model.xml:", "DTD"]);
}

#[test]
fn broken_tables() {
    let bench = Bench::new();
    bench.edit("p/measurements.tsv", "\tmeasurement\t", "\tmeasured\t");
    bench.bad_problem("p", &["p/measurements.tsv:1", "`measurement`"]);
    let bench = Bench::new();
    bench.edit("p/observables.tsv", "observableFormula", "formula");
    bench.bad_problem("p", &["p/observables.tsv:1", "`observableFormula`"]);
    let bench = Bench::new();
    bench.write("p/parameters.tsv", "");
    bench.bad_problem("p", &["p/parameters.tsv"]);
}

#[test]
fn unknown_names() {
    let bench = Bench::new();
    let line = bench.edit("p/measurements.tsv", "obs_B\tlow\t0.2", "obs_Q\tlow\t0.2");
    bench.bad_problem("p", &[&format!("p/measurements.tsv:{line}"), "obs_Q", "obs_B"]);

    let bench = Bench::new();
    let line = bench.edit("p/measurements.tsv", "obs_B\thigh\t3", "obs_B\thihg\t3");
    bench.bad_problem("p", &[&format!("p/measurements.tsv:{line}"), "hihg", "high"]);

    let bench = Bench::new();
    let line = bench.edit("p/observables.tsv", "B / (A + B)", "B / (A + Q)");
    bench.bad_problem("p", &[&format!("p/observables.tsv:{line}"), "\"Q\""]);

    let bench = Bench::new();
    let line = bench.edit("p/observables.tsv", "B / (A + B)", "B / (A + ");
    bench.bad_problem("p", &[&format!("p/observables.tsv:{line}"), "observableFormula"]);

    let bench = Bench::new();
    let line = bench.edit("p/model.xml", "<ci>k2</ci>", "<ci>k3</ci>");
    bench.bad_problem("p", &[&format!("p/model.xml:{line}"), "k3"]);

    let bench = Bench::new();
    let line = bench.edit("p/measurements.tsv", "scale_B\tsd_B", "scale_Q\tsd_B");
    bench.bad_problem("p", &[&format!("p/measurements.tsv:{line}"), "scale_Q"]);
}

/// PEtab v1: the columns of the condition table are entities of the model or parameters of the
/// observables.
#[test]
fn unknown_target_of_a_condition() {
    let bench = Bench::new();
    bench.edit("p/conditions.tsv", "A0", "Q0");
    bench.bad_problem("p", &["p/conditions.tsv:", "Q0"]);
}

const MATH: &str = "<math xmlns=\"http://www.w3.org/1998/Math/MathML\">";

#[test]
fn unsupported_constructs() {
    let delayed = "<csymbol encoding=\"text\" \
                   definitionURL=\"http://www.sbml.org/sbml/symbols/delay\">delay</csymbol>";
    let rule = format!(
        "<initialAssignment symbol=\"B\">{MATH}<apply>{delayed}<ci>A</ci><cn>1</cn></apply>\
         </math></initialAssignment>"
    );
    let list = "</listOfInitialAssignments>";
    let bench = Bench::new();
    let line = bench.edit("p/model.xml", list, &format!("{rule}{list}"));
    bench.bad_problem("p", &[&format!("p/model.xml:{line}"), "delay", "not supported"]);

    let rule = format!(
        "<listOfRules><algebraicRule>{MATH}<apply><minus/><ci>A</ci><ci>B</ci></apply></math>\
         </algebraicRule></listOfRules>"
    );
    let bench = Bench::new();
    let line = bench.edit("p/model.xml", "<listOfReactions>", &format!("{rule}<listOfReactions>"));
    bench.bad_problem("p", &[&format!("p/model.xml:{line}"), "algebraic rule", "not supported"]);
}

#[test]
fn priors_are_part_of_the_objective() {
    let bench = Bench::new();
    bench.map_lines("p/parameters.tsv", |line, text| match line {
        1 => format!("{text}\tobjectivePriorType\tobjectivePriorParameters"),
        3 => format!("{text}\tparameterScaleNormal\t0;2"),
        _ => format!("{text}\t\t"),
    });
    let value = |text: &str, key: &str| -> f64 {
        let line = text.lines().find(|line| line.starts_with(key)).unwrap();
        line[key.len()..].trim().parse().unwrap()
    };
    let with = well(bench.path(), "simulate p --engine cpu").out;
    let without = well(bench.path(), "simulate p --engine cpu --no-priors").out;
    assert!(!without.contains("log prior") && without.contains("left out"), "{without}");
    assert_eq!(value(&with, "llh "), value(&without, "llh "));
    // ln of the normal density with sd 2 at log10(0.6).
    let z = 0.6_f64.log10() / 2.0;
    let expected = -0.5 * z * z - (2.0 * (2.0 * std::f64::consts::PI).sqrt()).ln();
    // A few rounding errors.
    assert!((value(&with, "log prior ") - expected).abs() < 1e-14);
    let sum = value(&with, "llh ") + expected;
    assert!((value(&with, "log posterior ") - sum).abs() < 1e-13 * sum.abs());

    // The prior is differentiated with the rest: the check passes, and moving its mean moves the
    // gradient of k2 by the difference of two prior slopes, (mean' - mean)/sd^2.
    let gradient = |mean: &str| {
        bench.map_lines("p/parameters.tsv", |line, text| match line {
            3 => text.replace("\t0;2", &format!("\t{mean};2")),
            _ => text.to_owned(),
        });
        well(bench.path(), "check p --engine cpu --eps 1e-3 --out c.csv");
        let table = fs::read_to_string(bench.path().join("c.csv")).unwrap();
        let row = table.lines().find(|line| line.contains(",k2,")).unwrap();
        let grad = table.lines().next().unwrap().split(',').position(|c| c == "grad").unwrap();
        row.split(',').nth(grad).unwrap().parse::<f64>().unwrap()
    };
    let at_zero = gradient("0");
    let at_one = gradient("1");
    // Rounding errors of a sum of size |gradient|.
    assert!((at_zero - at_one - 0.25).abs() < 1e-12 * at_zero.abs().max(1.0));
}

#[test]
fn bad_values() {
    for (text, shown) in [("NaN", "measurement"), ("0.2x", "0.2x"), ("", "empty")] {
        let bench = Bench::new();
        let line = bench.edit("p/measurements.tsv", "0.286943", text);
        bench.bad_problem("p", &[&format!("p/measurements.tsv:{line}"), "`measurement`", shown]);
    }
    let bench = Bench::new();
    let line = bench.edit("p/parameters.tsv", "log10\t1e-3\t1e3\t0.6", "log10\t1e4\t1e3\t0.6");
    bench.bad_problem("p", &[&format!("p/parameters.tsv:{line}"), "`k2`", "10000", "1000"]);
    let bench = Bench::new();
    let line = bench.edit("p/parameters.tsv", "log10\t1e-3\t1e3\t0.6", "log10\t-1\t1e3\t0.6");
    bench.bad_problem("p", &[&format!("p/parameters.tsv:{line}"), "`k2`", "-1", "log10"]);
}
