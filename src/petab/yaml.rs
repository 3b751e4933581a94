//! The problem file: which tables and models belong together.

use super::FormatVersion;
use super::error::PetabError;
use super::table::{is_identifier, read_text};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a problem file says, with paths resolved against its folder.
#[derive(Debug)]
pub(super) struct ProblemFile {
    pub path: PathBuf,
    pub id: Option<String>,
    pub format: FormatVersion,
    pub parameters: Vec<PathBuf>,
    /// v1: one for each entry of `problems`, each with one model. v2: one.
    pub groups: Vec<Group>,
}

impl ProblemFile {
    /// The problem file itself and everything it names, each once, in order of appearance.
    pub fn all_files(&self) -> Vec<PathBuf> {
        let mut files = vec![self.path.clone()];
        let mut add = |list: &[PathBuf]| {
            for file in list {
                if !files.contains(file) {
                    files.push(file.clone());
                }
            }
        };
        add(&self.parameters);
        for group in &self.groups {
            for (_, model) in &group.models {
                add(std::slice::from_ref(model));
            }
            add(&group.measurements);
            add(&group.observables);
            add(&group.conditions);
            add(&group.experiments);
            add(&group.mappings);
        }
        files
    }
}

/// Tables that apply to the same models.
#[derive(Debug)]
pub(super) struct Group {
    /// Identifier and file; v1 takes the file's name without extension for an identifier.
    pub models: Vec<(String, PathBuf)>,
    pub measurements: Vec<PathBuf>,
    pub observables: Vec<PathBuf>,
    pub conditions: Vec<PathBuf>,
    pub experiments: Vec<PathBuf>,
    pub mappings: Vec<PathBuf>,
}

/// The problem file that an argument means: itself, or the only one in a folder.
///
/// # Errors
/// A path that does not exist, or a folder with no or several problem files.
pub(super) fn locate(path: &Path) -> Result<PathBuf, PetabError> {
    let failed = |source| PetabError::Read { file: path.to_owned(), source };
    if !std::fs::metadata(path).map_err(failed)?.is_dir() {
        return Ok(path.to_owned());
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        let extension = file.extension().and_then(|extension| extension.to_str());
        if matches!(extension, Some("yaml" | "yml")) && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    // Solutions, PEtab Select problems and the like lie beside problem files.
    let mut candidates: Vec<_> =
        files.iter().filter(|file| looks_like_problem(file)).cloned().collect();
    if candidates.is_empty() {
        candidates = files;
    }
    match candidates.len() {
        0 => Err(PetabError::NoProblemFile { folder: path.to_owned() }),
        1 => Ok(candidates.swap_remove(0)),
        _ => Err(PetabError::SeveralProblemFiles {
            folder: path.to_owned(),
            candidates: candidates.iter().map(|file| file.display().to_string()).collect(),
        }),
    }
}

fn looks_like_problem(file: &Path) -> bool {
    let has_key = |text: &str, key: &str| text.lines().any(|line| line.starts_with(key));
    read_text(file).is_ok_and(|text| {
        let text = text.trim_start_matches('\u{feff}');
        has_key(text, "format_version") && has_key(text, "parameter_file")
    })
}

#[derive(Deserialize)]
struct Head {
    format_version: String,
}

/// PEtab v1; its schema admits further keys.
#[derive(Deserialize)]
struct V1 {
    parameter_file: OneOrMore,
    problems: Vec<V1Entry>,
}

#[derive(Deserialize)]
struct V1Entry {
    sbml_files: Vec<String>,
    measurement_files: Vec<String>,
    condition_files: Vec<String>,
    observable_files: Vec<String>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a file name or a list of file names")]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

/// PEtab v2; its schema admits no further keys.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct V2 {
    #[serde(rename = "format_version")]
    _format_version: String,
    id: Option<String>,
    parameter_files: Vec<String>,
    model_files: BTreeMap<String, V2Model>,
    measurement_files: Vec<String>,
    observable_files: Vec<String>,
    #[serde(default)]
    condition_files: Vec<String>,
    #[serde(default)]
    experiment_files: Vec<String>,
    #[serde(default)]
    mapping_files: Vec<String>,
    #[serde(default)]
    extensions: BTreeMap<String, V2Extension>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct V2Model {
    location: String,
    language: String,
}

/// Extensions may have keys of their own.
#[derive(Deserialize)]
struct V2Extension {
    required: bool,
}

/// Reads a problem file.
///
/// # Errors
/// A file that cannot be read or is not YAML, missing keys, an unsupported version, extension
/// or model language, empty lists, URLs.
pub(super) fn read(path: &Path) -> Result<ProblemFile, PetabError> {
    interpret(path, &read_text(path)?)
}

/// Reads the text of a problem file; `path` is where it would stand.
///
/// # Errors
/// As [`read`].
pub(super) fn interpret(path: &Path, text: &str) -> Result<ProblemFile, PetabError> {
    let Head { format_version } = parse(path, text)?;
    match version(&format_version) {
        Some(FormatVersion::V1) => read_v1(path, parse(path, text)?),
        Some(FormatVersion::V2) => read_v2(path, parse(path, text)?),
        None => {
            let file = path.to_owned();
            Err(PetabError::UnsupportedVersion { file, found: format_version })
        }
    }
}

fn parse<T: for<'de> Deserialize<'de>>(path: &Path, text: &str) -> Result<T, PetabError> {
    let text = text.trim_start_matches('\u{feff}');
    serde_saphyr::from_str(text).map_err(|error| PetabError::Yaml {
        file: path.to_owned(),
        message: error.without_snippet().to_string(),
    })
}

/// Major versions 1 and 2 with minor and patch level 0.
fn version(text: &str) -> Option<FormatVersion> {
    match text {
        "1" | "1.0" | "1.0.0" => Some(FormatVersion::V1),
        "2" | "2.0" | "2.0.0" => Some(FormatVersion::V2),
        _ => None,
    }
}

fn read_v1(path: &Path, file: V1) -> Result<ProblemFile, PetabError> {
    let files = Files { path };
    let parameters = match file.parameter_file {
        OneOrMore::One(name) => vec![name],
        OneOrMore::More(names) => names,
    };
    if file.problems.is_empty() {
        return Err(files.empty("problems"));
    }
    let mut groups = Vec::new();
    for (index, entry) in file.problems.into_iter().enumerate() {
        let models = files.some("sbml_files", entry.sbml_files)?;
        let [model] = &models[..] else {
            let (file, count) = (path.to_owned(), models.len());
            return Err(PetabError::SbmlFileCount { file, entry: index + 1, count });
        };
        let id = model.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        groups.push(Group {
            models: vec![(id, model.clone())],
            measurements: files.some("measurement_files", entry.measurement_files)?,
            observables: files.some("observable_files", entry.observable_files)?,
            conditions: files.some("condition_files", entry.condition_files)?,
            experiments: Vec::new(),
            mappings: Vec::new(),
        });
    }
    Ok(ProblemFile {
        path: path.to_owned(),
        id: None,
        format: FormatVersion::V1,
        parameters: files.some("parameter_file", parameters)?,
        groups,
    })
}

fn read_v2(path: &Path, file: V2) -> Result<ProblemFile, PetabError> {
    let files = Files { path };
    if let Some((extension, _)) = file.extensions.into_iter().find(|(_, e)| e.required) {
        return Err(PetabError::RequiredExtension { file: path.to_owned(), extension });
    }
    if file.model_files.is_empty() {
        return Err(files.empty("model_files"));
    }
    let mut models = Vec::new();
    for (id, model) in file.model_files {
        if !is_identifier(&id) {
            return Err(PetabError::ModelId { file: path.to_owned(), name: id });
        }
        if model.language != "sbml" {
            let (file, language) = (path.to_owned(), model.language);
            return Err(PetabError::ModelLanguage { file, model: id, language });
        }
        models.push((id, files.resolve(&model.location)?));
    }
    let group = Group {
        models,
        measurements: files.some("measurement_files", file.measurement_files)?,
        observables: files.some("observable_files", file.observable_files)?,
        conditions: files.any(file.condition_files)?,
        experiments: files.any(file.experiment_files)?,
        mappings: files.any(file.mapping_files)?,
    };
    Ok(ProblemFile {
        path: path.to_owned(),
        id: file.id,
        format: FormatVersion::V2,
        parameters: files.some("parameter_files", file.parameter_files)?,
        groups: vec![group],
    })
}

/// Resolves the file names of one problem file.
struct Files<'p> {
    path: &'p Path,
}

impl Files<'_> {
    fn empty(&self, key: &str) -> PetabError {
        PetabError::EmptyList { file: self.path.to_owned(), key: key.to_owned() }
    }

    fn resolve(&self, location: &str) -> Result<PathBuf, PetabError> {
        if location.contains("://") {
            let file = self.path.to_owned();
            return Err(PetabError::Url { file, location: location.to_owned() });
        }
        Ok(self.path.parent().unwrap_or(Path::new("")).join(location))
    }

    fn any(&self, names: Vec<String>) -> Result<Vec<PathBuf>, PetabError> {
        names.iter().map(|name| self.resolve(name)).collect()
    }

    fn some(&self, key: &str, names: Vec<String>) -> Result<Vec<PathBuf>, PetabError> {
        if names.is_empty() { Err(self.empty(key)) } else { self.any(names) }
    }
}
