//! What other programs take from a run: JUnit for build servers, exit status beside known failures,
//! plots as files. `sources` has several gradients side by side.
//!
//! Gradients are the program's own, which `tests/cli` holds against closed forms; the defects
//! are put into them here.

mod residuals;
mod sources;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

struct Ran {
    status: Option<i32>,
    out: String,
    err: String,
}

/// A temporary folder with points and gradients of the conversion problem.
struct Bench {
    folder: TempDir,
}

impl Bench {
    /// `map` may damage a component: (parameter, value).
    fn new(map: impl Fn(&str, f64) -> f64) -> Self {
        let bench = Self { folder: tempfile::tempdir().unwrap() };
        let ran = bench.run("sweep PROBLEM --points 30 --seed 5 --out own");
        assert_eq!(ran.status, Some(0), "{}", ran.err);
        bench.write("points.csv", &bench.read("own/points.csv"));
        bench.gradients("gradients.csv", map);
        bench
    }

    /// Writes the sweep's own gradients to a file, damaged by `map`.
    fn gradients(&self, file: &str, map: impl Fn(&str, f64) -> f64) {
        let mut text = "point,parameter,gradient\n".to_owned();
        for row in rows(&self.read("own/best.csv")) {
            let value = map(&row["parameter"], row["grad"].parse().unwrap());
            text.push_str(&format!("{},{},{value:e}\n", row["point"], row["parameter"]));
        }
        self.write(file, &text);
    }

    /// Runs a command line, split at spaces; PROBLEM stands for the problem.
    fn run(&self, line: &str) -> Ran {
        let problem = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/conversion");
        let problem = problem.to_str().unwrap();
        let words = line.split(' ').map(|word| if word == "PROBLEM" { problem } else { word });
        let engine = if line.starts_with("report") { &[][..] } else { &["--engine", "cpu"] };
        let output = Command::new(env!("CARGO_BIN_EXE_gradsweep"))
            .args(words)
            .args(engine)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ran { status: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Sweeps the gradients of the file with further options.
    fn sweep(&self, options: &str) -> Ran {
        let line = "sweep PROBLEM --at points.csv --gradient gradients.csv --out s --overwrite";
        let ran = self.run(&format!("{line}{options}"));
        assert!(ran.status == Some(0) || ran.status == Some(1), "{}", ran.err);
        ran
    }

    /// The command must be refused with one line that holds all parts; the folder `r` that it names
    /// may be there, but empty.
    fn refused(&self, line: &str, parts: &[&str]) {
        let ran = self.run(line);
        assert_eq!(ran.status, Some(2), "{line}\n{}", ran.err);
        assert_eq!(ran.out, "");
        for part in parts {
            assert!(ran.err.contains(part), "{line}: no {part:?} in\n{}", ran.err);
        }
        assert!(ran.err.starts_with("gradsweep: ") && ran.err.lines().count() == 1, "{}", ran.err);
        for (file, what) in [("r", "a folder"), ("j.xml", "a file"), ("j.xml.partial", "a file")] {
            let path = self.folder.path().join(file);
            let is_there =
                path.is_file() || fs::read_dir(path).is_ok_and(|mut f| f.next().is_some());
            assert!(!is_there, "{line} left {what}: {file}");
        }
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.folder.path().join(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.folder.path().join(file), text).unwrap();
    }
}

/// The records of a CSV text by the names of their columns.
fn rows(text: &str) -> Vec<BTreeMap<String, String>> {
    csv::Reader::from_reader(text.as_bytes()).deserialize().map(Result::unwrap).collect()
}

/// A case of a JUnit file: its element, if it is no pass, with message and text.
type Cases = BTreeMap<String, Option<(String, String, String)>>;

/// Cases by parameter, and properties. The counts of the suite must be those of its cases.
fn junit(text: &str) -> (Cases, BTreeMap<String, String>) {
    let document = roxmltree::Document::parse(text).unwrap();
    let suites: Vec<_> = document.descendants().filter(|n| n.has_tag_name("testsuite")).collect();
    assert_eq!(suites.len(), 1, "{text}");
    let attribute = |node: roxmltree::Node<'_, '_>, name: &str| {
        node.attribute(name).unwrap_or_else(|| panic!("no {name}")).to_owned()
    };
    let mut cases = Cases::new();
    for case in suites[0].children().filter(|n| n.has_tag_name("testcase")) {
        let class = attribute(case, "classname");
        let source = class.strip_prefix("gradsweep.conversion").unwrap();
        let inner: Vec<_> = case.children().filter(roxmltree::Node::is_element).collect();
        assert!(inner.len() <= 1);
        let result = inner.first().map(|node| {
            let text = node.text().unwrap_or_default().to_owned();
            (node.tag_name().name().to_owned(), attribute(*node, "message"), text)
        });
        let name = match source.strip_prefix('.') {
            Some(source) => format!("{source}: {}", attribute(case, "name")),
            None => attribute(case, "name"),
        };
        assert_eq!(cases.insert(name, result), None, "two of a name");
    }
    let of_kind = |kind: &str| {
        cases.values().filter(|r| r.as_ref().is_some_and(|r| r.0 == kind)).count().to_string()
    };
    assert_eq!(attribute(suites[0], "tests"), cases.len().to_string());
    assert_eq!(attribute(suites[0], "failures"), of_kind("failure"));
    assert_eq!(attribute(suites[0], "skipped"), of_kind("skipped"));
    assert_eq!(attribute(suites[0], "errors"), "0");
    let properties = suites[0].descendants().filter(|n| n.has_tag_name("property"));
    let properties = properties.map(|p| (attribute(p, "name"), attribute(p, "value"))).collect();
    (cases, properties)
}

/// k1 with the wrong sign, k2 missing everywhere.
fn damage(parameter: &str, value: f64) -> f64 {
    match parameter {
        "k1" => -value,
        "k2" => f64::NAN,
        _ => value,
    }
}

#[test]
fn junit_of_a_sweep_has_a_case_for_each_parameter() {
    let bench = Bench::new(damage);
    // In the folder of the reports, which is not there yet.
    let ran = bench.sweep(" --junit s/junit.xml");
    assert_eq!(ran.status, Some(1), "{}", ran.err);
    let (cases, properties) = junit(&bench.read("s/junit.xml"));
    let parameters = rows(&bench.read("s/parameters.csv"));
    assert_eq!(cases.len(), parameters.len());
    for row in &parameters {
        match (row["parameter"].as_str(), &cases[&row["parameter"]]) {
            ("k1", Some((kind, message, details))) => {
                assert_eq!(kind, "failure");
                assert!(message.starts_with("the sign is wrong"), "{message}");
                assert_eq!(*message, row["diagnosis"]);
                assert!(details.contains(&format!("fail {}", row["fail"])), "{details}");
            }
            ("k2", Some((kind, message, _))) => {
                assert_eq!(
                    (kind.as_str(), message.as_str()),
                    ("skipped", "nowhere decided: gradient_missing 30")
                );
            }
            ("k1" | "k2", None) => panic!("{row:?} is a pass"),
            (_, result) => assert_eq!(*result, None, "{row:?}"),
        }
    }
    let record: serde_json::Value = serde_json::from_str(&bench.read("s/run.json")).unwrap();
    for key in ["version", "engine", "gradient", "at", "steps", "objective"] {
        assert_eq!(properties[key], record[key].as_str().unwrap(), "{key}");
    }
    assert_eq!(properties["points"], "30");
    for (name, digest) in record["inputs"].as_object().unwrap() {
        assert_eq!(properties[&format!("inputs.{name}")], digest.as_str().unwrap());
    }
    // The same run gives the same bytes.
    let before = bench.read("s/junit.xml");
    bench.sweep(" --junit s/junit.xml");
    assert_eq!(bench.read("s/junit.xml"), before);
}

#[test]
fn junit_of_a_check_names_the_points_that_fail() {
    let bench = Bench::new(damage);
    // Ids of points are any text; this one has what XML must have escaped or cannot hold.
    let hostile = "<&\"\u{1}>";
    for file in ["points.csv", "gradients.csv"] {
        let text = bench.read(file).replace("\n0,", "\n\"<&\"\"\u{1}>\",");
        bench.write(file, &text);
    }
    let line = "check PROBLEM --at points.csv --gradient gradients.csv --junit j.xml";
    let ran = bench.run(line);
    assert_eq!(ran.status, Some(1), "{}", ran.err);
    let (cases, properties) = junit(&bench.read("j.xml"));
    assert_eq!(properties["at"], "points.csv");
    assert!(properties["gradient"].starts_with("gradients.csv"), "{properties:?}");
    let (kind, message, details) = cases["k1"].as_ref().unwrap();
    assert_eq!(kind, "failure");
    assert!(message.contains("fail "), "{message}");
    let lines = details.lines().filter(|l| l.starts_with("point ")).count();
    assert!(message.contains(&format!("fail {lines}")), "{message}\n{details}");
    let readable = hostile.replace('\u{1}', "\u{fffd}");
    assert!(details.contains(&format!("point {readable}: gradient")), "{details}");
    assert_eq!(cases["k2"].as_ref().unwrap().0, "skipped");
    assert_eq!(cases["sd_A"], None);
}

#[test]
fn known_failures_do_not_make_the_exit_status_1() {
    let bench = Bench::new(|parameter, value| match parameter {
        "k1" => -value,
        "k2" => 2.0 * value,
        _ => value,
    });
    let ran = bench.sweep("");
    assert_eq!(ran.status, Some(1));
    assert!(!bench.read("s/run.json").contains("\"baseline\""), "without a baseline no word of it");
    // All failures are known: the parameters.csv of a run is a baseline.
    fs::rename(bench.folder.path().join("s"), bench.folder.path().join("before")).unwrap();
    let ran = bench.sweep(" --baseline before/parameters.csv --junit j.xml");
    assert_eq!(ran.status, Some(0), "{}", ran.err);
    assert!(ran.out.contains("\nknown failures: k1, k2\n"), "{}", ran.out);
    assert!(!ran.out.contains("new failures"), "{}", ran.out);
    let record: serde_json::Value = serde_json::from_str(&bench.read("s/run.json")).unwrap();
    assert_eq!(record["baseline"]["known"], serde_json::json!(["k1", "k2"]));
    assert_eq!(record["baseline"]["new"], serde_json::json!([]));
    assert_eq!(record["baseline"]["file"], "parameters.csv");
    let (cases, _) = junit(&bench.read("j.xml"));
    for id in ["k1", "k2"] {
        let (kind, message, _) = cases[id].as_ref().unwrap();
        assert!(kind == "skipped" && message.starts_with("known failure: "), "{id}: {message}");
    }
    // What the tables say does not change for being known.
    for file in ["parameters.csv", "best.csv"] {
        assert_eq!(bench.read(&format!("s/{file}")), bench.read(&format!("before/{file}")));
    }

    // One of them is new, another has gone.
    bench.write("known.csv", "consistent_failure,parameter\nyes,k1\nno,k2\nyes,sd_A\n");
    let ran = bench.sweep(" --baseline known.csv");
    assert_eq!(ran.status, Some(1), "{}", ran.err);
    for line in ["new failures: k2", "known failures: k1", "known failures that have gone: sd_A"] {
        assert!(ran.out.contains(&format!("\n{line}\n")), "no {line:?} in\n{}", ran.out);
    }
    let record: serde_json::Value = serde_json::from_str(&bench.read("s/run.json")).unwrap();
    for (list, id) in [("new", "k2"), ("known", "k1"), ("gone", "sd_A")] {
        assert_eq!(record["baseline"][list], serde_json::json!([id]), "{list}");
    }
}

#[test]
fn a_known_failure_that_nothing_decides_has_not_gone() {
    let bench = Bench::new(damage);
    bench.write("known.csv", "parameter,consistent_failure\nk1,yes\nk2,yes\n");
    let ran = bench.sweep(" --baseline known.csv");
    assert_eq!(ran.status, Some(0), "{}", ran.err);
    assert!(
        ran.out.contains("\nknown failures that nothing here could decide: k2\n"),
        "{}",
        ran.out
    );
    assert!(!ran.out.contains("have gone"), "{}", ran.out);
    // One that is not checked is neither here nor gone.
    let ran = bench.sweep(" --baseline known.csv --parameters k1");
    assert!(ran.status == Some(0) && !ran.out.contains("k2"), "{}", ran.out);
}

#[test]
fn a_check_has_known_failures_too() {
    let bench = Bench::new(damage);
    let line = "check PROBLEM --at points.csv --gradient gradients.csv --baseline known.csv";
    bench.write("known.csv", "parameter,consistent_failure\nk1,yes\n");
    let ran = bench.run(line);
    assert_eq!(ran.status, Some(0), "{}", ran.err);
    assert!(ran.out.contains("\nknown failures: k1\n"), "{}", ran.out);
    bench.write("known.csv", "parameter,consistent_failure\nk1,no\nsd_A,yes\n");
    let ran = bench.run(line);
    assert_eq!(ran.status, Some(1), "{}", ran.err);
    assert!(ran.out.contains("\nnew failures: k1\n"), "{}", ran.out);
    assert!(ran.out.contains("\nknown failures that have gone: sd_A\n"), "{}", ran.out);
}

#[test]
fn bad_options_are_refused() {
    let bench = Bench::new(|_, value| value);
    bench.write("columns.csv", "parameter,failure\nk1,no\n");
    bench.write("unknown.csv", "parameter,consistent_failure\nk1,no\nk9,yes\n");
    bench.write("value.csv", "parameter,consistent_failure\nk1,perhaps\n");
    for command in ["check PROBLEM", "sweep PROBLEM --points 2 --out r"] {
        for (options, parts) in [
            ("--baseline nosuch.csv", &["nosuch.csv"][..]),
            ("--baseline columns.csv", &["columns.csv:1", "`consistent_failure`"]),
            ("--baseline unknown.csv", &["unknown.csv:3", "`k9`", "`k1`"]),
            ("--baseline value.csv", &["value.csv:2", "`perhaps`", "yes or no"]),
            ("--baseline columns.csv --junit j.xml", &["columns.csv:1"]),
            ("--junit -", &["--junit -", "name of a file"]),
            ("--junit nosuch/j.xml", &["nosuch/j.xml"]),
        ] {
            bench.refused(&format!("{command} {options}"), parts);
        }
    }
}

#[test]
fn plots_are_files_of_their_own() {
    let bench = Bench::new(|_, value| value);
    let page = bench.read("own/report.html");
    let ran = bench.run("report own --plots plots");
    assert_eq!(ran.status, Some(0), "{}", ran.err);
    assert_eq!(bench.read("own/report.html"), page, "the page is not touched");
    let mut names = Vec::new();
    for entry in fs::read_dir(bench.folder.path().join("plots")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let document = roxmltree::Document::parse(&text).unwrap();
        let root = document.root_element();
        assert!(root.has_tag_name(("http://www.w3.org/2000/svg", "svg")), "{path:?}");
        let size = ["width", "height"].map(|a| root.attribute(a).unwrap().parse::<f64>().unwrap());
        assert!(size.iter().all(|s| *s > 100.0), "{path:?}");
        // Nothing from outside, and a rule for each class.
        assert!(
            !text.contains("var(") && !text.contains("url(") && !text.contains("href"),
            "{path:?}"
        );
        let style = document.descendants().find(|n| n.tag_name().name() == "style").unwrap();
        let style = style.text().unwrap();
        for class in document.descendants().filter_map(|n| n.attribute("class")) {
            let has_rule = |c: &str| {
                let selector = format!(".{c}");
                style.split(&selector).skip(1).any(|rest| rest.starts_with([' ', ',', '.']))
            };
            assert!(class.split(' ').any(has_rule), "{path:?}: nothing for {class:?}");
        }
        // The drawing is that of the page, to the byte.
        let drawing = text.split("<svg ").nth(2).unwrap();
        let drawing = drawing.split("<title").nth(1).unwrap().split("</svg>").next().unwrap();
        assert!(page.contains(drawing), "{path:?}");
        names.push(path.file_name().unwrap().to_str().unwrap().to_owned());
    }
    let drawings = page.matches("<svg xmlns=").count();
    assert_eq!(names.len(), drawings, "{names:?}");
    assert!(ran.out.contains(&format!("{drawings} plots in plots")), "{}", ran.out);
    for name in ["verdicts.svg", "differences.svg"] {
        assert!(names.contains(&name.to_owned()), "{names:?}");
    }
    assert!(names.iter().any(|n| n.starts_with("eps-01-")), "{names:?}");
    assert!(names.iter().any(|n| n.starts_with("values-01-")), "{names:?}");
    // The same as pictures, of twice the size, with ink where the words stand.
    let ran = bench.run("report own --plots pictures --format png");
    assert_eq!(ran.status, Some(0), "{}", ran.err);
    for name in &names {
        let svg = bench.read(&format!("plots/{name}"));
        let document = roxmltree::Document::parse(&svg).unwrap();
        let size = ["width", "height"].map(|a| {
            let length: f64 = document.root_element().attribute(a).unwrap().parse().unwrap();
            2 * length.ceil() as u32
        });
        let ink = |png: &[u8]| {
            let picture = resvg::tiny_skia::Pixmap::decode_png(png).unwrap();
            let [width, height] = [picture.width(), picture.height()];
            assert!(width.abs_diff(size[0]) <= 2 && height.abs_diff(size[1]) <= 2, "{name}");
            // Of the title: two lines of text below the margin.
            let dark =
                |p: &&resvg::tiny_skia::PremultipliedColorU8| p.red() < 100 && p.green() < 100;
            picture.pixels()[..(width * 50) as usize].iter().filter(dark).count()
        };
        let path = format!("pictures/{}", name.replace(".svg", ".png"));
        let drawn = ink(&fs::read(bench.folder.path().join(path)).unwrap());
        assert!(drawn > 200, "{name}: {drawn} dark pixels");
        // Twin: without its words there is none.
        let bare = svg.replace("<text", "<desc").replace("</text>", "</desc>");
        let bare = gradsweep::report::Rasteriser::default().png(&bare).unwrap();
        assert_eq!(ink(&bare), 0, "{name}");
    }
    let pictures = fs::read_dir(bench.folder.path().join("pictures")).unwrap().count();
    assert_eq!(pictures, names.len());
    // A folder that is no sweep's is refused before anything is made.
    bench.refused("report nosuch --plots r", &["nosuch/run.json"]);
    bench.refused("report own --plots points.csv", &["points.csv"]);
}
