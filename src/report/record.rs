//! `run.json`: what was run, on what, with which settings.

use super::BaselineRecord;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// Everything needed to say how a result came about. Holds nothing that changes from one run of
/// the same command on the same machine to the next.
#[derive(Debug, Clone, Serialize)]
pub struct RunRecord {
    pub program: &'static str,
    pub version: &'static str,
    pub command: &'static str,
    pub problem: String,
    /// File names and SHA-256 digests of all inputs.
    pub inputs: BTreeMap<String, String>,
    pub engine: String,
    /// Why this engine.
    pub engine_reason: String,
    /// Engine of the gradient's tangents; they may run on another than the probes.
    pub gradient_engine: String,
    pub precision: &'static str,
    pub method: &'static str,
    pub rtol: f64,
    pub atol: f64,
    pub max_steps: u32,
    pub steps: &'static str,
    /// What is differentiated, in words.
    pub objective: &'static str,
    pub gradient: String,
    /// Second derivatives from a file, where these are checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hessian: Option<String>,
    /// What derivatives are checked of, where that is not the objective as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<&'static str>,
    pub at: String,
    pub seed: u64,
    pub points: usize,
    pub failed_points: usize,
    pub parameters: Vec<String>,
    pub eps: Vec<f64>,
    pub label: String,
    pub check_rtol: f64,
    pub check_atol: f64,
    pub confidence: f64,
    pub consistent: f64,
    /// Integrations done and steps attempted by all of them.
    pub integrations: u64,
    pub attempted_steps: u64,
    /// Operations of one step, and of the step with all its tangents.
    pub step_operations: usize,
    pub tangent_step_operations: usize,
    /// Approximations and parts of the input that were left out.
    pub notes: Vec<String>,
    /// Failures beside those known, where some are (`--baseline`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<BaselineRecord>,
}

impl RunRecord {
    /// All settings as names and texts; those of a group are `group.name`.
    pub fn properties(&self) -> serde_json::Result<Vec<(String, String)>> {
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let mut properties = Vec::new();
        let Value::Object(settings) = serde_json::to_value(self)? else { return Ok(properties) };
        for (name, value) in &settings {
            match value {
                Value::Object(group) => {
                    let members = group.iter().map(|(k, v)| (format!("{name}.{k}"), text(v)));
                    properties.extend(members);
                }
                Value::Array(items) => {
                    let items: Vec<String> = items.iter().map(text).collect();
                    properties.push((name.clone(), items.join(", ")));
                }
                other => properties.push((name.clone(), text(other))),
            }
        }
        Ok(properties)
    }
}

/// SHA-256 of a file, in hexadecimal.
pub fn digest(path: &Path) -> io::Result<String> {
    let hash = Sha256::digest(std::fs::read(path)?);
    Ok(hash.iter().map(|byte| format!("{byte:02x}")).collect())
}
