//! Definitions that lead back to themselves: assignment rules, initial assignments and kinetic laws must
//! not (SBML Level 3 Version 2, rule 20906), whether anything that is observed needs them or not.

use std::collections::HashMap;

use super::error::{Place, Problem, SbmlError};
use super::model::{Model, RuleKind};
use crate::math::Expr;

/// What gives a name its value, and where.
struct Definition<'m> {
    place: &'m Place,
    /// Names that it needs, each once.
    needs: Vec<&'m str>,
}

/// How far the search is with a name.
#[derive(Clone, Copy, PartialEq)]
enum Visit {
    Open,
    Done,
}

/// Refuses a model with such a definition.
pub(super) fn check(model: &Model) -> Result<(), SbmlError> {
    let definitions = definitions(model);
    let mut visits: HashMap<&str, Visit> = HashMap::new();
    // In the order of the file, so that the same one is reported each time.
    for start in names(model).filter(|name| definitions.contains_key(name)) {
        // Names under way, each with the next of its needs.
        let mut path: Vec<(&str, usize)> = Vec::new();
        let mut next = Some(start);
        loop {
            if let Some(name) = next.take() {
                match visits.get(name) {
                    Some(Visit::Open) => return Err(cycle(&definitions, &path, name)),
                    None if definitions.contains_key(name) => {
                        visits.insert(name, Visit::Open);
                        path.push((name, 0));
                    }
                    Some(Visit::Done) | None => {}
                }
            }
            let Some((name, place)) = path.last_mut() else { break };
            next = definitions.get(name).and_then(|d| d.needs.get(*place)).copied();
            *place += 1;
            if next.is_none() {
                visits.insert(name, Visit::Done);
                path.pop();
            }
        }
    }
    Ok(())
}

fn names(model: &Model) -> impl Iterator<Item = &str> {
    let of_rules = model.rules.iter().map(|rule| rule.variable.as_str());
    let of_starts = model.initial_assignments.iter().map(|a| a.symbol.as_str());
    of_rules.chain(of_starts).chain(model.reactions.iter().map(|r| r.id.as_str()))
}

fn definitions(model: &Model) -> HashMap<&str, Definition<'_>> {
    let rules = model.rules.iter().filter(|rule| rule.kind == RuleKind::Assignment);
    let rules = rules.map(|rule| (rule.variable.as_str(), &rule.place, &rule.math));
    let starts = model.initial_assignments.iter().map(|a| (a.symbol.as_str(), &a.place, &a.math));
    let laws = model.reactions.iter().filter_map(|reaction| {
        let law = reaction.kinetic_law.as_ref()?;
        Some((reaction.id.as_str(), &reaction.place, &law.math))
    });
    let all = rules.chain(starts).chain(laws);
    all.map(|(id, place, math)| (id, Definition { place, needs: needs(math) })).collect()
}

fn needs(math: &Expr) -> Vec<&str> {
    let mut names = Vec::new();
    math.walk(&mut |node| {
        if let Expr::Symbol(name) = node
            && !names.contains(&name.as_str())
        {
            names.push(name.as_str());
        }
    });
    names
}

fn cycle(
    definitions: &HashMap<&str, Definition<'_>>,
    path: &[(&str, usize)],
    again: &str,
) -> SbmlError {
    let first = path.iter().position(|(name, _)| *name == again).unwrap_or(0);
    let mut names: Vec<&str> = path[first..].iter().map(|(name, _)| *name).collect();
    names.push(again);
    let place = definitions[again].place.clone();
    let problem = Problem::Cycle { variable: again.to_owned(), cycle: names.join(" -> ") };
    SbmlError { place, problem }
}
