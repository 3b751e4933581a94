use super::*;

/// Three parameters, a reaction r from a species s, and what else the model has.
fn model(more: &str) -> String {
    format!(
        "<listOfCompartments><compartment id='c' size='1' constant='true'/></listOfCompartments>\
         <listOfSpecies><species id='s' compartment='c' initialConcentration='1' constant='false' \
         boundaryCondition='false' hasOnlySubstanceUnits='false'/></listOfSpecies>\
         <listOfParameters><parameter id='a' value='1' constant='false'/>\
         <parameter id='b' value='1' constant='false'/><parameter id='d' value='1' constant='false'/>\
         </listOfParameters>{more}"
    )
}

fn law(content: &str) -> String {
    format!(
        "<listOfReactions><reaction id='r' reversible='false'>\
         <listOfReactants><speciesReference species='s' stoichiometry='1' constant='true'/></listOfReactants>\
         <kineticLaw>{}</kineticLaw></reaction></listOfReactions>",
        math(content)
    )
}

fn rule(id: &str, content: &str) -> String {
    format!("<assignmentRule variable='{id}'>{}</assignmentRule>", math(content))
}

fn rules(all: &[String]) -> String {
    format!("<listOfRules>{}</listOfRules>", all.concat())
}

fn start(id: &str, content: &str) -> String {
    format!(
        "<listOfInitialAssignments><initialAssignment symbol='{id}'>{}</initialAssignment>\
         </listOfInitialAssignments>",
        math(content)
    )
}

const CYCLE: &str = "; assignment rules, initial assignments and kinetic laws must not lead back to where they start";

#[test]
fn definitions_that_lead_back_are_refused() {
    let through_a_law =
        rules(&[rule("a", "<ci>b</ci>"), rule("b", "<ci>r</ci>")]) + &law("<ci>a</ci>");
    let at_the_start = start("d", "<ci>a</ci>") + &rules(&[rule("a", "<ci>d</ci>")]);
    for (more, names) in [
        (through_a_law, ["a", "a -> b -> r -> a"]),
        (at_the_start, ["a", "a -> d -> a"]),
        (start("d", "<ci>d</ci>"), ["d", "d -> d"]),
    ] {
        let [id, cycle] = names;
        let expected = format!("test.xml:2: `{id}` is defined by itself: {cycle}{CYCLE}");
        assert_eq!(refusal(3, 2, &model(&more)), expected);
    }
}

/// The twins: what was passed before, two ways to one name, and a state that its own rate needs.
#[test]
fn what_only_looks_like_a_cycle_is_read() {
    let twice = rules(&[
        rule("a", "<apply><plus/><ci>b</ci><ci>d</ci></apply>"),
        rule("b", "<ci>d</ci>"),
        rule("d", "<ci>s</ci>"),
    ]) + &law("<apply><times/><ci>a</ci><ci>s</ci></apply>");
    let rate = format!(
        "<listOfRules><rateRule variable='a'>{}</rateRule></listOfRules>",
        math("<apply><minus/><ci>a</ci></apply>")
    );
    for more in [twice, rate] {
        assert!(read(3, 2, &model(&more)).is_ok(), "{more}");
    }
}
