//! SBML Level 3 packages: which may be ignored (section 4.1.3).

use std::collections::BTreeMap;

use super::error::{Problem, SbmlError};
use super::number;
use super::xml::{Node, Source, package_name};

/// Packages for drawing and grouping: they never touch the mathematics.
const HARMLESS: [&str; 3] = ["layout", "render", "groups"];

/// Refuses the use of packages that may change the mathematics: those that the document does not
/// declare as `required="false"`. A package that is declared only, with no element or attribute
/// in its namespace, is not used. Returns the names of the packages that are used but ignored.
pub(super) fn check(source: &Source, sbml: Node) -> Result<Vec<String>, SbmlError> {
    let mut verdicts: BTreeMap<&str, bool> = BTreeMap::new();
    for node in source.model_part(sbml) {
        let element = node.tag_name().namespace().map(|ns| (ns, node.tag_name().name()));
        let attributes = node
            .attributes()
            .filter(|a| !(node == sbml && a.name() == "required"))
            .filter_map(|a| a.namespace().map(|ns| (ns, a.name())));
        for (namespace, item) in element.into_iter().chain(attributes) {
            let Some(package) = package_name(namespace) else { continue };
            let harmless = *verdicts.entry(namespace).or_insert_with(|| {
                HARMLESS.contains(&package)
                    || sbml
                        .attribute((namespace, "required"))
                        .is_some_and(|value| number::boolean(value) == Some(false))
            });
            if !harmless {
                let (package, item) = (package.to_owned(), item.to_owned());
                return Err(source.error(node, Problem::Package { package, item }));
            }
        }
    }
    Ok(verdicts.into_keys().filter_map(package_name).map(str::to_owned).collect())
}
