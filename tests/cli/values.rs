//! Values, against references made without this program.

use crate::tools::*;
use serde_json::Value;
use std::fs;

const PROBLEMS: [&str; 4] = ["conversion", "stat5", "robertson", "repressilator"];

/// Points of a reference file that may be compared, the nominal one first.
struct Reference {
    ids: Vec<String>,
    points: Vec<(Vec<f64>, f64, Vec<f64>)>,
}

fn reference(problem: &str) -> Reference {
    let text = fs::read_to_string(data(problem).join("reference.json")).unwrap();
    let json: Value = serde_json::from_str(&text).unwrap();
    let numbers = |v: &Value| -> Vec<f64> {
        v.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
    };
    let ids = json["parameter_ids"].as_array().unwrap();
    Reference {
        ids: ids.iter().map(|id| id.as_str().unwrap().to_owned()).collect(),
        points: std::iter::once(&json["nominal"])
            .chain(json["points"].as_array().unwrap())
            .filter(|p| p["reliable"] == true)
            .map(|p| (numbers(&p["x"]), p["objective"].as_f64().unwrap(), numbers(&p["gradient"])))
            .collect(),
    }
}

impl Reference {
    /// Compares a sweep's objectives and gradients at these points.
    fn compare(&self, problem: &str, points: &str, checks: &str) {
        let (points, checks) = (csv_of(points).1, csv_of(checks).1);
        assert_eq!(points.len(), self.points.len());
        assert_eq!(checks.len(), self.points.len() * self.ids.len());
        let mut rows = checks.iter();
        for (i, (_, objective, gradient)) in self.points.iter().enumerate() {
            let found = number(&points[i], "objective");
            assert!(
                close(found, *objective, 1e-6),
                "{problem} r{i}: objective {found}, reference {objective}"
            );
            // The solver's relative tolerance of 1e-8 shows in a component in proportion to the
            // terms that it is the difference of: the largest component, or the objective.
            let largest = gradient.iter().fold(0.0, |m: f64, g| m.max(g.abs()));
            let floor = 1e-6 * largest + 2e-8 * objective.abs();
            for ((id, expected), row) in self.ids.iter().zip(gradient).zip(&mut rows) {
                assert_eq!((&row["point"], &row["parameter"]), (&format!("r{i}"), id));
                let found = number(row, "grad");
                assert!(
                    (found - expected).abs() <= 1e-5 * expected.abs() + floor,
                    "{problem} r{i} {id}: gradient {found}, reference {expected}"
                );
            }
        }
    }

    fn points_csv(&self) -> String {
        let mut text = format!("point,{}\n", self.ids.join(","));
        for (i, (x, _, _)) in self.points.iter().enumerate() {
            let cells: Vec<String> = x.iter().map(f64::to_string).collect();
            text.push_str(&format!("r{i},{}\n", cells.join(",")));
        }
        text
    }
}

#[test]
fn simulate_gives_the_likelihood() {
    for problem in PROBLEMS {
        let (_, objective, _) = &reference(problem).points[0];
        let ran = well(&data(""), &format!("simulate {problem} --engine cpu"));
        let line = ran.out.lines().find(|l| l.starts_with("llh")).unwrap();
        let llh: f64 = line["llh".len()..].trim().parse().unwrap();
        assert!(close(llh, -objective, 1e-6), "{problem}: llh {llh}, reference {}", -objective);
    }
}

#[test]
fn objectives_and_gradients_are_the_references() {
    for problem in PROBLEMS {
        let reference = reference(problem);
        assert!(reference.points.len() >= 4, "{problem}");
        let bench = Bench::with(problem);
        bench.write("at.csv", &reference.points_csv());
        well(bench.path(), "sweep p --engine cpu --at at.csv --eps 1e-4 --out s");
        reference.compare(problem, &bench.read("s/points.csv"), &bench.read("s/checks.csv"));
    }
}

/// The table has the columns and rows of the measurement table, `measurement` become
/// `simulation` (PEtab); the values are those of the closed form in data/conversion/README.md.
#[test]
fn simulate_writes_a_petab_simulation_table() {
    let bench = Bench::new();
    well(bench.path(), "simulate p --engine cpu --out s.tsv");
    let ran = well(bench.path(), "simulate p --engine cpu --out -");
    let text = bench.read("s.tsv");
    assert_eq!(ran.out, text);
    let table = bench.read("p/measurements.tsv");
    let split = |text: &str| -> Vec<Vec<String>> {
        text.lines().map(|l| l.split('\t').map(str::to_owned).collect()).collect()
    };
    let (found, measured) = (split(&text), split(&table));
    assert_eq!(found.len(), measured.len());
    assert_eq!(found[0].join(" "), measured[0].join(" ").replace("measurement", "simulation"));
    let (k1, k2) = (0.8_f64, 0.6_f64);
    let (mut llh, mut chi2) = (0.0, 0.0);
    for (found, measured) in found.iter().zip(&measured).skip(1) {
        let others = |row: &[String]| [&row[..3], &row[4..]].concat();
        assert_eq!(others(found), others(measured));
        let a0 = if measured[1] == "low" { 1.0 } else { 5.0 };
        let t: f64 = measured[2].parse().unwrap();
        let b = a0 * k1 / (k1 + k2) * (1.0 - (-(k1 + k2) * t).exp());
        let (y, noise) = match measured[0].as_str() {
            "obs_A" => (a0 - b, 0.05),
            "obs_B" => (2.5 * b, 0.2),
            _ => (b / a0, 0.02),
        };
        let simulated: f64 = found[3].parse().unwrap();
        assert!((simulated - y).abs() <= 1e-7 * a0, "{found:?}: {y}");
        let z = (y - measured[3].parse::<f64>().unwrap()) / noise;
        chi2 += z * z;
        llh -= match measured[0].as_str() {
            "obs_frac" => (2.0_f64 * noise).ln() + z.abs(),
            _ => 0.5 * (2.0 * std::f64::consts::PI * noise * noise).ln() + 0.5 * z * z,
        };
    }
    let sums = well(bench.path(), "simulate p --engine cpu").out;
    let sum = |name: &str| -> f64 {
        let line = sums.lines().find(|l| l.starts_with(name)).unwrap();
        line[name.len()..].trim().parse().unwrap()
    };
    assert!(close(sum("llh"), llh, 1e-6), "llh {llh}\n{sums}");
    assert!(close(sum("chi2"), chi2, 1e-6), "chi2 {chi2}\n{sums}");
    assert_eq!(sum("rows"), 60.0);
}

#[test]
fn the_gpu_engine_gives_the_same_objectives_and_gradients() {
    let reference = reference("conversion");
    let bench = Bench::new();
    bench.write("at.csv", &reference.points_csv());
    let ran = run(bench.path(), "sweep p --engine gpu --at at.csv --eps 1e-4 --out s");
    if ran.status == Some(2) && ran.err.contains("no Vulkan adapter") {
        assert!(std::env::var("GRADSWEEP_REQUIRE_GPU").as_deref() != Ok("1"), "{}", ran.err);
        println!("skipped: {}", ran.err);
        return;
    }
    assert_eq!(ran.status, Some(0), "{}{}", ran.out, ran.err);
    reference.compare("conversion", &bench.read("s/points.csv"), &bench.read("s/checks.csv"));
}
