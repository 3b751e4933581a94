//! `run.json` as a page needs it.

use super::ReportError;
use super::text::{clean, shortened};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use std::fmt;
use std::path::{Path, PathBuf};

/// Longer records are not read, in bytes.
const LONGEST_RECORD: u64 = 1 << 26;

/// The record of a run, its settings in the order of the file.
#[derive(Debug)]
pub(super) struct Run {
    file: PathBuf,
    pub(super) settings: Vec<(String, Value)>,
}

impl Run {
    /// Reads the record of a folder.
    pub(super) fn read(folder: &Path) -> Result<Self, ReportError> {
        let file = folder.join("run.json");
        let bytes = read_bounded(&file, LONGEST_RECORD)?;
        let settings: Settings =
            serde_json::from_slice(&bytes).map_err(|error| ReportError::Json {
                file: file.clone(),
                line: error.line(),
                column: error.column(),
                // Without the place, which stands before.
                reason: clean(error.to_string().split(" at line ").next().unwrap_or_default()),
            })?;
        Ok(Self { file, settings: settings.0 })
    }

    /// A setting that is a text.
    pub(super) fn text(&self, key: &'static str) -> Result<String, ReportError> {
        match self.get(key) {
            Some(Value::String(text)) => Ok(clean(text)),
            other => Err(self.unexpected(key, other, "a text")),
        }
    }

    /// A setting that is a number, as it is written.
    pub(super) fn number(&self, key: &'static str) -> Result<String, ReportError> {
        match self.get(key) {
            Some(Value::Number(number)) => Ok(number.to_string()),
            other => Err(self.unexpected(key, other, "a number")),
        }
    }

    fn get(&self, key: &str) -> Option<&Value> {
        self.settings.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    fn unexpected(
        &self,
        key: &'static str,
        found: Option<&Value>,
        expected: &'static str,
    ) -> ReportError {
        let found =
            found.map_or("missing".to_owned(), |v| format!("`{}`", shortened(&v.to_string(), 60)));
        ReportError::Setting { file: self.file.clone(), key, found, expected }
    }
}

/// A file's bytes, unless they are more than `limit`.
fn read_bounded(file: &Path, limit: u64) -> Result<Vec<u8>, ReportError> {
    use std::io::Read;
    let failed = |source| ReportError::Read { file: file.to_owned(), source };
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(file).map_err(failed)?;
    opened.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(ReportError::TooLong { file: file.to_owned(), limit });
    }
    Ok(bytes)
}

/// A JSON object whose members keep their order.
struct Settings(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Settings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Settings;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Settings, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Settings(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}
