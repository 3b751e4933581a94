//! Events (section 4.12).

use super::error::{Problem, SbmlError};
use super::model::{Event, EventAssignment, Trigger};
use super::read::{Reader, name};
use super::xml::Node;
use crate::math::Expr;

pub(super) fn read<'a>(reader: &mut Reader<'a>, model: Node<'a>) -> Result<Vec<Event>, SbmlError> {
    let nodes = reader.source.items(model, "listOfEvents", "event")?;
    nodes.into_iter().map(|node| event(reader, node)).collect()
}

fn event<'a>(reader: &mut Reader<'a>, node: Node<'a>) -> Result<Event, SbmlError> {
    const PARTS: [&str; 4] = ["trigger", "delay", "priority", "listOfEventAssignments"];
    let source = reader.source;
    source.expect_only(node, "trigger, delay, priority or listOfEventAssignments", |n| {
        PARTS.iter().any(|part| source.is_core(n, part))
    })?;
    let mut assignments = Vec::new();
    for node in source.items(node, "listOfEventAssignments", "eventAssignment")? {
        let variable = reader.ids.variable(source, node, "variable")?;
        match reader.formula(node)? {
            Some(math) => {
                assignments.push(EventAssignment { variable, math, place: source.place(node) });
            }
            None => reader.no_formula(node),
        }
    }
    Ok(Event {
        id: source.id(node, "id")?.map(str::to_owned),
        name: name(node),
        trigger: trigger(reader, node)?,
        delay: optional(reader, node, "delay")?,
        priority: optional(reader, node, "priority")?,
        use_values_from_trigger_time: source.flag(node, "useValuesFromTriggerTime", true)?,
        assignments,
        place: source.place(node),
    })
}

fn trigger<'a>(reader: &mut Reader<'a>, event: Node<'a>) -> Result<Trigger, SbmlError> {
    let source = reader.source;
    let Some(node) = source.child(event, "trigger")? else {
        if source.math_is_optional() {
            let line = source.place(event).line;
            reader.ignored.push(format!("event without a trigger (line {line})"));
            let place = source.place(event);
            return Ok(Trigger { math: None, initial_value: true, persistent: true, place });
        }
        let (parent, element) = ("event".to_owned(), "trigger");
        return Err(source.error(event, Problem::MissingElement { parent, element }));
    };
    let math = reader.formula(node)?;
    if math.is_none() {
        reader.no_formula(node);
    }
    // Level 2 has neither attribute.
    let flag =
        |attribute| if source.level == 2 { Ok(true) } else { source.flag(node, attribute, true) };
    Ok(Trigger {
        math,
        initial_value: flag("initialValue")?,
        persistent: flag("persistent")?,
        place: source.place(node),
    })
}

/// The formula of a part that need not be there.
fn optional<'a>(
    reader: &mut Reader<'a>,
    event: Node<'a>,
    part: &str,
) -> Result<Option<Expr>, SbmlError> {
    let Some(node) = reader.source.child(event, part)? else { return Ok(None) };
    let math = reader.formula(node)?;
    if math.is_none() {
        reader.no_formula(node);
    }
    Ok(math)
}
