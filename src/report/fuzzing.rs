//! A sweep's folder as one text: what the fuzz target and `tests/fuzz_smoke.rs` feed.

use super::ReportKind;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// Makes page and plots of a folder whose files are parts of a text; says whether they could be made.
/// What is made is well-formed, and an error has a message.
///
/// Lines that begin with `#` and a name in small letters (`#run.json`, `#eps.csv`, …) begin a file
/// each. All files that are in the folder `at` are removed.
///
/// # Errors
/// Where the files cannot be written.
pub fn folder(text: &str, at: &Path) -> io::Result<bool> {
    for entry in std::fs::read_dir(at)? {
        std::fs::remove_file(entry?.path())?;
    }
    let mut files: BTreeMap<&str, String> = BTreeMap::new();
    let mut name = None;
    for line in text.split_inclusive('\n') {
        match line.strip_prefix('#').map(str::trim_end) {
            Some(begun) if is_name(begun) => name = Some(begun),
            _ => {
                if let Some(name) = name {
                    files.entry(name).or_default().push_str(line);
                }
            }
        }
    }
    for (name, content) in &files {
        std::fs::write(at.join(name), content)?;
    }
    let kind = ReportKind::of(at);
    let (page, plots) = match (kind.page(at), kind.plots(at)) {
        (Ok(page), Ok(plots)) => (page, plots),
        (Err(error), _) | (_, Err(error)) => {
            assert!(!error.to_string().is_empty());
            return Ok(false);
        }
    };
    for text in plots.iter().map(|plot| &plot.svg).chain([&page]) {
        let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
        if let Err(error) = roxmltree::Document::parse_with_options(text, options) {
            panic!("{error}\n{text}");
        }
    }
    Ok(true)
}

fn is_name(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || c == '.';
    (1..20).contains(&text.len()) && !text.starts_with('.') && text.chars().all(is_plain)
}
