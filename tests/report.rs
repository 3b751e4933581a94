//! The page of a sweep: made from the folder's files, well-formed, nothing from them unescaped.
//!
//! What the page must show is what the CSV files beside it have.

#[path = "hessian/page.rs"]
mod page;

use page::{elements, parsed, text_of};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// A temporary folder with the reports of a small sweep in `s`.
struct Bench {
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        let bench = Self { folder: tempfile::tempdir().unwrap() };
        let problem = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/conversion");
        let line = "sweep --engine cpu --points 20 --seed 3 --out s";
        let output = bench.gradsweep(line.split(' ').chain([problem.to_str().unwrap()]));
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        bench
    }

    fn gradsweep<'a>(&self, arguments: impl Iterator<Item = &'a str>) -> Output {
        Command::new(env!("CARGO_BIN_EXE_gradsweep"))
            .args(arguments)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Makes the page and gives what went to standard output.
    fn report(&self, line: &str) -> String {
        let output = self.gradsweep(line.split(' '));
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The page must be refused with one line that holds all parts, and no file be touched.
    fn refused(&self, parts: &[&str]) {
        let before = self.files();
        let output = self.gradsweep(["report", "s"].into_iter());
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(output.stdout.is_empty());
        for part in parts {
            assert!(message.contains(part), "no {part:?} in\n{message}");
        }
        assert!(message.starts_with("gradsweep: ") && message.lines().count() == 1, "{message}");
        assert!(before == self.files(), "files were touched");
    }

    fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let entries = fs::read_dir(self.folder.path().join("s")).unwrap();
        let mut files: Vec<_> = entries
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.clone(), fs::read(path).unwrap()))
            .collect();
        files.sort();
        files
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.folder.path().join(file)).unwrap()
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.folder.path().join(file), text).unwrap();
    }

    /// Rewrites a file for as long as `then` runs.
    fn with(&self, file: &str, map: impl Fn(&str) -> String, then: impl Fn()) {
        let text = self.read(file);
        let changed = map(&text);
        assert_ne!(text, changed, "{file} was not changed");
        self.write(file, &changed);
        then();
        self.write(file, &text);
    }
}

/// A text with one cell of a CSV line (both from 0) replaced.
fn with_cell(text: &str, line: usize, cell: usize, value: &str) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let mut cells: Vec<&str> = lines[line].split(',').collect();
    cells[cell] = value;
    lines[line] = cells.join(",");
    lines.join("\n") + "\n"
}

#[test]
fn the_page_has_the_numbers_of_the_tables() {
    let bench = Bench::new();
    let page = bench.read("s/report.html");
    let parameters = bench.read("s/parameters.csv");
    let record: serde_json::Value = serde_json::from_str(&bench.read("s/run.json")).unwrap();
    parsed(&page, |document| {
        let table = elements(document, "table").find(|t| t.attribute("id") == Some("parameters"));
        let rows: Vec<Vec<String>> = table
            .unwrap()
            .descendants()
            .filter(|n| n.tag_name().name() == "tr")
            .map(|row| {
                let cells = row.children().filter(|n| n.is_element());
                cells.map(|c| c.attribute("data-value").map_or(text_of(c), str::to_owned)).collect()
            })
            .collect();
        let expected: Vec<Vec<String>> =
            parameters.lines().map(|l| l.split(',').map(str::to_owned).collect()).collect();
        assert_eq!(rows, expected);

        // Bars have their counts in their titles.
        let titles: Vec<String> = elements(document, "title").map(text_of).collect();
        for row in &expected[1..] {
            let title = format!("{}: {} of 20 pass", row[0], row[2]);
            assert!(row[2] == "0" || titles.contains(&title), "{title}");
        }
        // A drawing for the bars, the map, and two plots for each of six parameters, all named.
        let drawings: Vec<_> =
            elements(document, "svg").filter(|s| s.attribute("role") == Some("img")).collect();
        assert_eq!(drawings.len(), 2 + 6 + 6);
        for drawing in drawings {
            for id in drawing.attribute("aria-labelledby").unwrap().split(' ') {
                let named: Vec<_> =
                    document.descendants().filter(|n| n.attribute("id") == Some(id)).collect();
                assert!(named.len() == 1 && !text_of(named[0]).is_empty(), "{id}");
            }
        }
        // Everything of run.json.
        let settings =
            elements(document, "table").find(|t| t.attribute("class") == Some("settings"));
        let text = text_of(settings.unwrap());
        for (name, value) in record.as_object().unwrap() {
            assert!(text.contains(name), "{name}");
            if let Some(value) = value.as_str() {
                assert!(text.contains(value), "{name}: {value}");
            }
        }
        for (file, digest) in record["inputs"].as_object().unwrap() {
            assert!(text.contains(file) && text.contains(digest.as_str().unwrap()), "{file}");
        }
        let result = elements(document, "p").next().unwrap();
        assert_eq!(text_of(result), "No gradient fails consistently");
    });
    // Nothing is fetched: the only addresses are the names of XML's vocabularies.
    for (at, _) in page.match_indices("://") {
        assert!(page[..at + 10].ends_with("http://www.w3."), "{}", &page[at - 20..at + 20]);
    }
    assert!(!page.contains("src=") && !page.contains("href=") && !page.contains("url("));
}

#[test]
fn the_same_page_from_the_files_alone() {
    let bench = Bench::new();
    let page = bench.read("s/report.html");
    assert_eq!(bench.report("report s"), "report in s/report.html\n");
    assert!(page == bench.read("s/report.html"));
    fs::rename(bench.folder.path().join("s"), bench.folder.path().join("elsewhere")).unwrap();
    for file in ["checks.csv", "failures.csv", "report.html"] {
        fs::remove_file(bench.folder.path().join("elsewhere").join(file)).unwrap();
    }
    bench.report("report elsewhere --out page.html");
    assert!(page == bench.read("page.html"));
    assert!(page == bench.report("report elsewhere --out -"));
}

#[test]
fn names_from_files_are_escaped() {
    let bench = Bench::new();
    let (plain, hostile) = ("k1", "<script>alert('1')</script>&amp;");
    let sentence = "fails <script>alert('2')</script>&";
    let association = format!("k1,value,3,4,1,0.001,1,2,{sentence}\n");
    bench.write("s/where.csv", &(bench.read("s/where.csv") + &association));
    for file in ["parameters.csv", "eps.csv", "where.csv", "best.csv", "points.csv"] {
        let file = format!("s/{file}");
        let text = bench.read(&file);
        let cells = |line: &str| -> String {
            let cells: Vec<&str> =
                line.split(',').map(|c| if c == plain { hostile } else { c }).collect();
            cells.join(",")
        };
        bench.write(&file, &text.lines().map(|l| cells(l) + "\n").collect::<String>());
    }
    let record = bench.read("s/run.json").replace("\"conversion\"", "\"</title><script>\\u0007x\"");
    bench.write("s/run.json", &record);
    bench.report("report s");
    let page = bench.read("s/report.html");
    // The page's own script is the only one.
    assert_eq!(page.matches("<script").count(), 1);
    assert!(!page.contains("</title><script>"));
    parsed(&page, |document| {
        assert_eq!(elements(document, "script").count(), 1);
        let heading = elements(document, "h1").next().unwrap();
        assert_eq!(text_of(heading), "Gradient check of </title><script>\u{fffd}x");
        let located = format!("{hostile} {sentence}");
        assert!(elements(document, "li").any(|n| text_of(n) == located), "no sentence");
        for name in ["td", "figcaption", "title"] {
            assert!(
                elements(document, name).any(|n| text_of(n).contains(hostile)),
                "no {name} with the id"
            );
        }
    });
}

#[test]
fn diagnoses_are_shown_and_columns_may_be_added() {
    let bench = Bench::new();
    let text = bench.read("s/parameters.csv");
    let names: Vec<&str> = text.lines().next().unwrap().split(',').collect();
    let at = |name: &str| names.iter().position(|n| *n == name).unwrap();
    let text = with_cell(&text, 2, at("consistent_failure"), "yes");
    let text = with_cell(&text, 2, at("diagnosis"), "the sign is wrong");
    let added = |(i, line): (usize, &str)| match i {
        0 => format!("{line},colour\n"),
        _ => format!("{line},blue\n"),
    };
    bench.write("s/parameters.csv", &text.lines().enumerate().map(added).collect::<String>());
    bench.report("report s");
    parsed(&bench.read("s/report.html"), |document| {
        let id = text.lines().nth(2).unwrap().split(',').next().unwrap();
        let result = elements(document, "p").next().unwrap();
        assert_eq!(text_of(result), format!("Consistently failing: {id}"));
        let diagnosis = format!("{id}: the sign is wrong");
        assert!(elements(document, "li").any(|n| text_of(n) == diagnosis));
        let heads: Vec<String> = elements(document, "th").map(text_of).collect();
        assert!(heads.contains(&"diagnosis".to_owned()) && heads.contains(&"colour".to_owned()));
    });
}

#[test]
fn reasons_and_fits_are_those_of_the_table() {
    let bench = Bench::new();
    let mut text = bench.read("s/parameters.csv");
    let header = text.lines().next().unwrap().to_owned();
    for (name, value) in [
        ("inconclusive", "3"),
        ("inconclusive_noise", "2"),
        ("inconclusive_truncation", "1"),
        ("failed", "4"),
        ("failed_plus", "4"),
        ("plain_a", "3"),
        ("plain_p", "1"),
        ("plain_s", "3e-8"),
        ("paired_a", "NaN"),
        ("paired_p", "NaN"),
        ("paired_s", "NaN"),
    ] {
        let at = header.split(',').position(|n| n == name).unwrap();
        text = with_cell(&text, 1, at, value);
    }
    bench.write("s/parameters.csv", &text);
    bench.report("report s");
    parsed(&bench.read("s/report.html"), |document| {
        let titles: Vec<String> = elements(document, "title").map(text_of).collect();
        for part in ["3 of ", "4 of "] {
            assert!(titles.iter().any(|t| t.starts_with("k1: ") && t.contains(part)), "{titles:?}");
        }
        assert!(titles.iter().any(|t| t.ends_with("inconclusive (noise 2, truncation 1)")));
        assert!(titles.iter().any(|t| t.ends_with("failed (plus 4)")));
        // The minimum of 3·eps + 3e-8/eps is at eps² = 1e-8.
        let notes: Vec<String> = elements(document, "small").map(text_of).collect();
        assert!(notes.contains(&"best eps: 1e-4 plain (order 1)".to_owned()), "{notes:?}");
    });
}

#[test]
fn many_points_are_cut_and_it_is_said() {
    let bench = Bench::new();
    for file in ["s/points.csv", "s/best.csv"] {
        let text = bench.read(file);
        let (header, rows) = text.split_once('\n').unwrap();
        let mut long = format!("{header}\n");
        for copy in 0..110 {
            long.extend(rows.lines().map(|row| format!("{copy}_{row}\n")));
        }
        bench.write(file, &long);
    }
    bench.report("report s");
    let page = bench.read("s/report.html");
    assert!(page.contains("the first 2000 points of points.csv"));
    parsed(&page, |document| {
        let descriptions = elements(document, "desc").map(text_of);
        for text in descriptions.filter(|t| t.starts_with("Points drawn")) {
            let words = text.split([' ', '.']).filter_map(|w| w.parse::<usize>().ok());
            let drawn: usize = words.sum();
            assert!((1..=2000).contains(&drawn), "{text}");
        }
    });
}

#[test]
fn malformed_files_are_refused() {
    let bench = Bench::new();
    let refused = |parts: &'static [&'static str]| || bench.refused(parts);
    let header = bench.read("s/parameters.csv");
    let at =
        |name: &str| header.lines().next().unwrap().split(',').position(|c| c == name).unwrap();
    let parameters = "s/parameters.csv";
    let cell = |line, name: &str, value: &'static str| {
        let column = at(name);
        move |text: &str| with_cell(text, line, column, value)
    };
    bench.with(
        parameters,
        cell(2, "failure_rate", "abc"),
        refused(&["s/parameters.csv:3: column `failure_rate`", "`abc`", "expected a number"]),
    );
    bench.with(
        parameters,
        cell(4, "pass", "-1"),
        refused(&["s/parameters.csv:5: column `pass`", "`-1`", "whole number"]),
    );
    bench.with(
        parameters,
        cell(1, "consistent_failure", "maybe"),
        refused(&["s/parameters.csv:2: column `consistent_failure`", "`maybe`", "yes or no"]),
    );
    bench.with(
        parameters,
        cell(0, "kink", "knik"),
        refused(&["s/parameters.csv:1: missing column `kink`", "expected parameter, pass"]),
    );
    bench.with(
        parameters,
        cell(3, "parameter", "k1"),
        refused(&["s/parameters.csv:4: ", "`k1`", "one row each"]),
    );
    bench.with(
        parameters,
        |text| text.replacen("\nk1,", "\nk1,1,", 1),
        refused(&["s/parameters.csv:2: the row has ", " cells; expected ", "as the header"]),
    );
    bench.with(
        parameters,
        |text| text.lines().next().unwrap().to_owned(),
        refused(&["s/parameters.csv: has no rows"]),
    );
    bench.with(
        "s/eps.csv",
        |text| with_cell(text, 1, 0, "nosuch"),
        refused(&["s/eps.csv:2: column `parameter`", "`nosuch`", "parameters.csv"]),
    );
    bench.with(
        "s/eps.csv",
        |text| with_cell(text, 3, 1, "0"),
        refused(&["s/eps.csv:4: column `eps`", "`0`", "positive"]),
    );
    bench.with(
        "s/where.csv",
        |text| format!("{text}nosuch,value,3,4,1,0.001,1,2,\n"),
        refused(&["s/where.csv:2: column `parameter`", "`nosuch`", "parameters.csv"]),
    );
    bench.with(
        parameters,
        cell(1, "failed_plus", "x"),
        refused(&["s/parameters.csv:2: column `failed_plus`", "`x`", "whole number"]),
    );
    bench.with(
        parameters,
        cell(1, "paired_a", "-1"),
        refused(&["s/parameters.csv:2: column `paired_a`", "`-1`", "a positive number"]),
    );
    bench.with(
        parameters,
        cell(1, "plain_p", "0.5"),
        refused(&["s/parameters.csv:2: column `plain_", "expected a "]),
    );
    bench.with(
        "s/best.csv",
        |text| text.replacen(",pass,", ",passed,", 1),
        refused(&["s/best.csv:", "column `verdict`", "`passed`", "a verdict"]),
    );
    bench.with(
        "s/best.csv",
        |text| with_cell(text, 5, 0, "nosuch"),
        refused(&["s/best.csv:6: column `point`", "`nosuch`", "points.csv"]),
    );
    bench.with(
        "s/points.csv",
        |text| with_cell(text, 2, 4, "x"),
        refused(&["s/points.csv:3: column `k1`", "`x`", "expected a number"]),
    );
    bench.with(
        "s/run.json",
        |text| text.replacen("\"version\": ", "\"version\" ", 1),
        refused(&["s/run.json:3:", "expected"]),
    );
    bench.with(
        "s/run.json",
        |text| text.replacen("\"seed\": 3", "\"seed\": \"three\"", 1),
        refused(&["s/run.json: `seed` is `\"three\"`; expected a number"]),
    );
    bench.with(
        "s/run.json",
        |text| text.replacen("\"engine\"", "\"motor\"", 1),
        refused(&["s/run.json: `engine` is missing; expected a text"]),
    );
    fs::remove_file(bench.folder.path().join("s/eps.csv")).unwrap();
    bench.refused(&["s/eps.csv: ", "gradsweep sweep"]);
}
