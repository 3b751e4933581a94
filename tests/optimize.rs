//! `gradsweep optimize` and checks at optima, as users meet them.
//!
//! The optimum of the STAT5 problem is known: 138.2220 (benchmark collection, and what SciPy's
//! L-BFGS-B finds with AMICI). That of the Robertson problem lies near the values from which its
//! measurements were drawn (`data/make_measurements.py`). Both optimisers are held against closed forms
//! in `tests/optimizers.rs`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

struct Ran {
    status: Option<i32>,
    out: String,
    err: String,
}

/// A temporary folder with a problem in `p`.
struct Bench {
    folder: TempDir,
}

type Row = BTreeMap<String, String>;

impl Bench {
    fn new(problem: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("p")).unwrap();
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(problem);
        for entry in fs::read_dir(data).unwrap() {
            let source = entry.unwrap().path();
            if source.extension().is_some_and(|e| e == "tsv" || e == "xml" || e == "yaml") {
                let name = source.file_name().unwrap();
                fs::copy(&source, folder.path().join("p").join(name)).unwrap();
            }
        }
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, line: &str) -> Ran {
        let output = Command::new(env!("CARGO_BIN_EXE_gradsweep"))
            .args(line.split_whitespace())
            .current_dir(self.folder.path())
            .env("NODEVICE_SELECT", "1")
            .env("GRADSWEEP_SHADER_CACHE", "off")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ran { status: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    fn ends(&self, line: &str, status: i32) -> Ran {
        let ran = self.run(line);
        assert_eq!(ran.status, Some(status), "{line}\n{}{}", ran.out, ran.err);
        ran
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    fn rows(&self, name: &str) -> Vec<Row> {
        let text = self.read(name);
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let header: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
        let row = |r: Result<csv::StringRecord, csv::Error>| {
            header.iter().cloned().zip(r.unwrap().iter().map(str::to_owned)).collect()
        };
        reader.records().map(row).collect()
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn number(row: &Row, column: &str) -> f64 {
    row[column].parse().unwrap_or_else(|_| panic!("{column}: {:?}", row[column]))
}

/// Four starts around the nominal point of STAT5, 0.3 decades away in each parameter, one beyond a
/// bound.
fn write_starts(bench: &Bench) -> usize {
    let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/stat5/reference.json");
    let reference: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(reference).unwrap()).unwrap();
    let ids: Vec<&str> = reference["parameter_ids"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_str().unwrap())
        .collect();
    let nominal: Vec<f64> =
        reference["nominal"]["x"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
    let mut text = format!("point,{}\n", ids.join(","));
    for k in 0..4_usize {
        let moved = |(i, x): (usize, &f64)| {
            (x + if (i * (k + 1)) % 3 == k % 2 { 0.3 } else { -0.3 }).to_string()
        };
        let theta: Vec<String> = nominal.iter().enumerate().map(moved).collect();
        text.push_str(&format!("s{k},{}\n", theta.join(",")));
    }
    fs::write(bench.path("starts.csv"), text).unwrap();
    4
}

#[test]
fn stat5_reaches_the_known_optimum_whatever_the_threads() {
    let bench = Bench::new("stat5");
    let count = write_starts(&bench);
    for method in ["gauss-newton", "lbfgsb"] {
        let line = format!("optimize p --at starts.csv --engine cpu --method {method}");
        let ran = bench.ends(&format!("{line} --threads 1 --out {method}-1"), 0);
        let optima = bench.rows(&format!("{method}-1/optima.csv"));
        assert_eq!(optima.len(), count);
        // 138.2220 is rounded to four digits.
        let best = number(&optima[0], "objective");
        assert!((best - 138.2220).abs() < 1e-4, "{method}: {best}\n{}", ran.out);
        assert!(ran.out.contains("best objective 138.22"), "{}", ran.out);
        // Known, too: k_exp_hetero is at its lower bound there.
        let active = &optima[0]["active_bounds"];
        assert!(active.split(' ').any(|b| b == "lower:k_exp_hetero"), "{method}: {active}");
        assert_eq!(number(&optima[0], "k_exp_hetero"), -5.0);
        for pair in optima.windows(2) {
            assert!(number(&pair[0], "objective") <= number(&pair[1], "objective"));
        }
        assert!(optima.iter().all(|row| number(row, "objective") < number(row, "start_objective")));
        // History: every start falls from its own value to its end.
        let history = bench.rows(&format!("{method}-1/history.csv"));
        for optimum in &optima {
            let own: Vec<&Row> =
                history.iter().filter(|r| r["point"] == optimum["point"]).collect();
            assert_eq!(own[0]["objective"], optimum["start_objective"]);
            assert_eq!(own.last().unwrap()["objective"], optimum["objective"]);
            for pair in own.windows(2) {
                assert!(number(pair[1], "objective") <= number(pair[0], "objective"));
            }
        }
        bench.ends(&format!("{line} --threads 2 --out {method}-2"), 0);
        for file in ["optima.csv", "history.csv", "starts.csv"] {
            let of = |threads| bench.read(&format!("{method}-{threads}/{file}"));
            assert_eq!(of(1), of(2), "{method}: {file}");
        }
        let page = bench.read(&format!("{method}-1/report.html"));
        let document = roxmltree::Document::parse_with_options(
            &page,
            roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() },
        );
        let document = document.expect("the page is well-formed");
        assert_eq!(document.descendants().filter(|n| n.has_tag_name((SVG, "svg"))).count(), 3);
        assert!(page.contains("lower:k_exp_hetero"));
    }
}

const SVG: &str = "http://www.w3.org/2000/svg";

/// At the optimum every parameter passes or is bounded; at its starts none of the gradients is wrong,
/// but they are not converged.
#[test]
fn what_is_said_at_optima() {
    let bench = Bench::new("stat5");
    write_starts(&bench);
    let ran = bench.ends("optimize p --at starts.csv --engine cpu --check --out o", 0);
    assert!(ran.out.contains("at the optimum of start"), "{}", ran.out);
    let kinds = |file: &str| -> Vec<(String, String)> {
        let rows = bench.rows(file);
        rows.iter().map(|r| (r["parameter"].clone(), r["verdict"].clone())).collect()
    };
    let best = kinds("o/at_optimum.csv");
    assert_eq!(best.len(), 9);
    for (id, kind) in &best {
        let wanted = if id == "k_exp_hetero" { ["bounded"; 2] } else { ["pass", "bounded"] };
        assert!(wanted.contains(&kind.as_str()), "{id}: {kind}\n{}", ran.out);
    }
    // The largest part of fd_err is curvature, where the parameter has any.
    for row in bench.rows("o/at_optimum.csv") {
        if row["parameter"].starts_with("sd_") {
            assert!(number(&row, "fd_err_rest") < 0.05 * number(&row, "fd_err"), "{row:?}");
            // d²/dθ² of n·ln σ + Σr²/2σ² at its minimum is 2n·ln²10: three observables of 16 rows.
            let known = 2.0 * 16.0 * std::f64::consts::LN_10.powi(2);
            assert!((number(&row, "curvature") / known - 1.0).abs() < 1e-3, "{row:?}");
            assert!((number(&row, "fisher") / known - 1.0).abs() < 1e-9, "{row:?}");
        }
    }
    // The table of optima is known by its columns; the starts are optima only if one says so.
    let line = "check p --engine cpu --optimum-out c.csv";
    bench.ends(&format!("{line} --at o/optima.csv"), 0);
    assert_eq!(kinds("c.csv").len(), 4 * 9);
    assert_eq!(&kinds("c.csv")[..9], &best[..]);
    let ran = bench.ends(&format!("{line} --at starts.csv --optimum"), 0);
    let at_starts = kinds("c.csv");
    assert!(at_starts.iter().all(|(_, kind)| kind != "wrong"), "{}", ran.out);
    let open = at_starts.iter().filter(|(_, kind)| kind == "not_converged").count();
    assert!(open > 4 * 5, "{open} of 36\n{}", ran.out);
    bench.ends("sweep p --engine cpu --at o/optima.csv --out s", 0);
    assert_eq!(&kinds("s/at_optimum.csv")[..9], &best[..]);
}

/// Another tool's gradient with a constant too many in one column, or with the sign of one that is not
/// zero reversed: at an optimum it is wrong there, and only there.
#[test]
fn a_defect_is_found_at_an_optimum() {
    let bench = Bench::new("stat5");
    write_starts(&bench);
    bench.ends("optimize p --at starts.csv --engine cpu --out o", 0);
    bench.ends("check p --engine cpu --at o/optima.csv --out own.csv", 0);
    let write = |map: &dyn Fn(&str, f64) -> f64| {
        let mut text = "point,parameter,gradient\n".to_owned();
        for row in bench.rows("own.csv").iter().filter(|row| row["eps"] == "0.001") {
            let value = map(&row["parameter"], number(row, "grad"));
            text.push_str(&format!("{},{},{value:e}\n", row["point"], row["parameter"]));
        }
        fs::write(bench.path("g.csv"), text).unwrap();
    };
    let line = "check p --engine cpu --at o/optima.csv --gradient g.csv --optimum-out c.csv";
    let wrong = |status| {
        bench.ends(line, status);
        let rows = bench.rows("c.csv");
        let wrong = rows.iter().filter(|row| row["verdict"] == "wrong");
        wrong.map(|row| row["parameter"].clone()).collect::<Vec<_>>()
    };
    write(&|_, value| value);
    assert_eq!(wrong(0), Vec::<String>::new());
    write(&|id, value| if id == "k_phos" { value + 3.0 } else { value });
    assert_eq!(wrong(1), ["k_phos"; 4]);
    // Bounded: the gradient there is 0.028.
    write(&|id, value| if id == "k_exp_hetero" { -value } else { value });
    let found = wrong(1);
    assert!(!found.is_empty() && found.iter().all(|id| id == "k_exp_hetero"), "{found:?}");
}

/// A start that fails at its first point is data: it comes last, with its reason.
#[test]
fn failed_starts_are_listed() {
    let bench = Bench::new("robertson");
    let nominal = bench.run("startpoints p --points 1").out;
    let header = nominal.lines().next().unwrap();
    assert_eq!(header, "point,k1,k2,k3,sd_frac,sd_log_y2");
    // So few steps that only the first start reaches the end.
    let starts = format!("{header}\nfar,0.6,9.4,2,0,0\nnear,-1.39,7.48,4,-1.7,-1\n");
    fs::write(bench.path("starts.csv"), starts).unwrap();
    let ran = bench.ends("optimize p --at starts.csv --engine cpu --out all", 0);
    let optima = bench.rows("all/optima.csv");
    // Drawn from k1 = 0.04, k2 = 3e7, k3 = 1e4: the estimate is within 0.1 decades of these.
    for (id, wanted) in [("k1", 0.04_f64), ("k2", 3e7), ("k3", 1e4)] {
        let found = number(&optima[0], id);
        assert!((found - wanted.log10()).abs() < 0.1, "{id}: {found}\n{}", ran.out);
    }
    bench.ends("optimize p --at starts.csv --engine cpu --max-steps 2 --out none", 0);
    let optima = bench.rows("none/optima.csv");
    for (row, id) in optima.iter().zip(["far", "near"]) {
        assert_eq!((row["point"].as_str(), row["reason"].as_str()), (id, "start_failed"));
        assert_eq!((row["status"].as_str(), row["objective"].as_str()), ("too_many_steps", "inf"));
    }
    assert!(bench.read("none/report.html").contains("No start has a value"));
    // Such a table can be read all the same.
    bench.ends("check p --engine cpu --at none/optima.csv --max-steps 2", 0);
}

#[test]
fn screening_starts_from_the_lowest() {
    let bench = Bench::new("robertson");
    let line = "optimize p --starts 2 --seed 3 --max-iterations 1 --engine cpu";
    bench.ends(&format!("{line} --screen 10 --out o"), 0);
    let starts = bench.rows("o/starts.csv");
    bench.ends("sweep p --points 20 --seed 3 --parameters k1 --eps 1e-3 --engine cpu --out s", 0);
    let mut all = bench.rows("s/points.csv");
    all.sort_by(|a, b| number(a, "objective").total_cmp(&number(b, "objective")));
    for (start, wanted) in starts.iter().zip(&all) {
        assert_eq!(start["point"], wanted["point"]);
        assert_eq!(start["k1"], wanted["k1"]);
    }
}

/// The noise parameters of the Robertson problem belong to one observable each, and no trajectory
/// depends on them: once settled, a step of the grid either way is no better. Where they were drawn it
/// is, and the others stay where they were.
#[test]
fn settling_finds_the_best_of_a_grid() {
    // Column, bounds (parameters.tsv, log10), and the grid's step, a 64th of the way between these.
    let settled = [(3, [-3.0, 0.0], 3.0 / 64.0), (4, [-3.0, 1.0], 4.0 / 64.0)];
    let bench = Bench::new("robertson");
    let line = "optimize p --starts 4 --seed 3 --max-iterations 1 --engine cpu";
    bench.ends(&format!("{line} --out drawn"), 0);
    bench.ends(&format!("{line} --settle --out settled"), 0);
    assert!(bench.read("settled/run.json").contains("settled at the start: sd_frac, sd_log_y2"));
    let neighbours_that_are_better = |folder: &str| {
        let mut csv = "k1,k2,k3,sd_frac,sd_log_y2\n".to_owned();
        for start in bench.rows(&format!("{folder}/starts.csv")) {
            let x = ["k1", "k2", "k3", "sd_frac", "sd_log_y2"].map(|id| number(&start, id));
            let mut push = |x: [f64; 5]| {
                csv.push_str(&x.map(|x| format!("{x:?}")).join(","));
                csv.push('\n');
            };
            push(x);
            for (i, [lower, upper], step) in settled {
                for by in [step, -step] {
                    let mut moved = x;
                    moved[i] = (x[i] + by).clamp(lower, upper);
                    push(moved);
                }
            }
        }
        fs::write(bench.path("near.csv"), csv).unwrap();
        let sweep =
            "sweep p --at near.csv --parameters k1 --eps 1e-3 --engine cpu --overwrite --out s";
        bench.run(sweep);
        let values: Vec<f64> =
            bench.rows("s/points.csv").iter().map(|row| number(row, "objective")).collect();
        assert_eq!(values.len(), 20);
        values.chunks(5).map(|v| v[1..].iter().filter(|n| **n < v[0]).count()).sum::<usize>()
    };
    assert_eq!(neighbours_that_are_better("settled"), 0);
    assert!(neighbours_that_are_better("drawn") > 0);
    let [drawn, settled] = ["drawn", "settled"].map(|f| bench.rows(&format!("{f}/starts.csv")));
    for (a, b) in drawn.iter().zip(&settled) {
        assert!(["k1", "k2", "k3"].iter().all(|&id| a[id] == b[id]));
    }
}

/// Each drawing of the page is a file, to the byte, with its colours inside.
#[test]
fn plots_of_optima_are_files_of_their_own() {
    let bench = Bench::new("robertson");
    bench.ends("optimize p --starts 4 --max-iterations 3 --engine cpu --out o", 0);
    let page = bench.read("o/report.html");
    let ran = bench.ends("report o --plots plots", 0);
    assert!(ran.out.contains("3 plots in plots"), "{}", ran.out);
    bench.ends("report o --plots plots --format png", 0);
    for name in ["waterfall", "parameters", "descent"] {
        let text = bench.read(&format!("plots/{name}.svg"));
        let document = roxmltree::Document::parse(&text).unwrap();
        assert!(document.root_element().has_tag_name((SVG, "svg")), "{name}");
        let drawing = text.split("<svg ").nth(2).unwrap();
        let drawing = drawing.split("<title").nth(1).unwrap().split("</svg>").next().unwrap();
        assert!(page.contains(drawing), "{name}");
        assert!(!text.contains("var(") && text.contains(".course.best { stroke: #"), "{name}");
        let png = fs::read(bench.path(&format!("plots/{name}.png"))).unwrap();
        let picture = resvg::tiny_skia::Pixmap::decode_png(&png).unwrap();
        // That of --pass, #0072b2: at least the best start's.
        let is_blue = |p: &resvg::tiny_skia::PremultipliedColorU8| {
            [p.red(), p.green(), p.blue()] == [0x00, 0x72, 0xb2]
        };
        assert!(picture.pixels().iter().filter(|p| is_blue(p)).count() > 10, "{name}");
    }
}

#[test]
fn bad_usage_is_refused_and_leaves_nothing() {
    let bench = Bench::new("robertson");
    fs::create_dir(bench.path("full")).unwrap();
    fs::write(bench.path("full/mine"), "").unwrap();
    fs::write(bench.path("zero.csv"), "k1,k2,k3,sd_frac,sd_log_y2\n-inf,7,4,-1,-1\n").unwrap();
    let before = bench.names();
    for (line, part) in [
        ("optimize nosuch --out o", "nosuch"),
        ("optimize p --starts 0 --out o", "--starts 0"),
        ("optimize p --screen 0 --out o", "--screen 0"),
        ("optimize p --gtol -1 --out o", "--gtol -1"),
        ("optimize p --ftol nan --out o", "--ftol NaN"),
        ("optimize p --xtol inf --out o", "--xtol inf"),
        ("optimize p --max-iterations 0 --out o", "--max-iterations 0"),
        ("optimize p --at nosuch.csv --out o", "nosuch.csv"),
        ("optimize p --at p/parameters.tsv --out o", "p/parameters.tsv"),
        ("optimize p --at zero.csv --out o", "start 0: k1 is 0"),
        ("optimize p --method newton --out o", "gauss-newton"),
        ("optimize p --starts 2 --at nominal --out o", "--at"),
        ("optimize p --rtol 0 --out o", "--rtol 0"),
        ("optimize p --starts 2 --out full", "--overwrite"),
        ("check p --optimum-tol 0", "--optimum-tol 0"),
        ("check p --optimum --mode residuals", "--optimum"),
        ("check p --optimum-out c.csv", "--optimum-out"),
        ("sweep p --points 2 --optimum --mode residuals --out o", "--optimum"),
    ] {
        let ran = bench.ends(line, 2);
        assert!(ran.err.contains(part), "{line}: no {part:?} in\n{}", ran.err);
        assert_eq!((ran.out.as_str(), bench.names()), ("", before.clone()), "{line}");
    }
    assert_eq!(fs::read_dir(bench.path("full")).unwrap().count(), 1);
}
