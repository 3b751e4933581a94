//! Points drawn, written and read.

use crate::tools::*;

#[test]
fn startpoints_lie_between_the_bounds() {
    let bench = Bench::new();
    let five = well(bench.path(), "startpoints p --points 5 --seed 3").out;
    let (header, points) = csv_of(&five);
    assert_eq!(header, "point,k1,k2,scale_B,sd_A,sd_B,b_frac");
    assert_eq!(points.len(), 5);
    // The parameter table's bounds, on log10 scale.
    let bounds = [
        ("k1", -3.0, 3.0),
        ("k2", -3.0, 3.0),
        ("scale_B", -2.0, 2.0),
        ("sd_A", -3.0, 1.0),
        ("sd_B", -3.0, 1.0),
        ("b_frac", -3.0, 1.0),
    ];
    for point in &points {
        for (id, lower, upper) in bounds {
            assert!((lower..=upper).contains(&number(point, id)), "{point:?}");
        }
    }
    let three = well(bench.path(), "startpoints p --points 3 --seed 3").out;
    assert!(five.starts_with(&three), "the same points whatever their number");
    assert_ne!(five, well(bench.path(), "startpoints p --points 5 --seed 4").out);
    well(bench.path(), "startpoints p --points 5 --seed 3 --out f.csv");
    assert_eq!(bench.read("f.csv"), five);
}

#[test]
fn points_go_round() {
    let bench = Bench::new();
    well(bench.path(), "startpoints p --points 4 --seed 7 --out at.csv");
    well(bench.path(), "sweep p --engine cpu --points 4 --seed 7 --out drawn");
    well(bench.path(), "sweep p --engine cpu --at at.csv --out read");
    well(bench.path(), "sweep p --engine cpu --at read/points.csv --out again");
    let (_, given) = csv_of(&bench.read("at.csv"));
    let (_, used) = csv_of(&bench.read("read/points.csv"));
    for (given, used) in given.iter().zip(&used) {
        for (column, cell) in given {
            assert_eq!(used[column], *cell);
        }
    }
    for file in ["points.csv", "checks.csv", "best.csv", "parameters.csv", "eps.csv", "where.csv"] {
        let drawn = bench.read(&format!("drawn/{file}"));
        assert_eq!(drawn, bench.read(&format!("read/{file}")), "{file}");
        assert_eq!(drawn, bench.read(&format!("again/{file}")), "{file}");
    }
    let checked = well(bench.path(), "check p --engine cpu --at at.csv --out -").out;
    assert_eq!(checked, bench.read("drawn/checks.csv"));
}

#[test]
fn fixed_parameters_in_a_points_file_are_dropped() {
    let bench = Bench::with("stat5");
    well(bench.path(), "startpoints p --points 2 --out at.csv");
    let plain = well(bench.path(), "check p --engine cpu --at at.csv --eps 1e-5 --out -").out;
    // `ratio` is fixed at 0.693 in the parameter table, whatever the points say.
    bench.map_lines("at.csv", |line, text| match line {
        1 => format!("{text},ratio"),
        _ => format!("{text},0.1"),
    });
    let with_fixed = well(bench.path(), "check p --engine cpu --at at.csv --eps 1e-5 --out -").out;
    assert_eq!(plain, with_fixed);
    assert!(!plain.contains("ratio"));
}
