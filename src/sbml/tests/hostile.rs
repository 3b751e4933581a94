use proptest::prelude::*;

use super::*;

/// A document with one of everything.
fn small() -> String {
    let sum = math("<apply><plus/><ci>a</ci><cn type=\"e-notation\">1<sep/>2</cn></apply>");
    let choice = math(
        "<piecewise><piece><cn>1</cn><apply><lt/><csymbol encoding=\"text\" \
         definitionURL=\"http://www.sbml.org/sbml/symbols/time\">t</csymbol><ci>a</ci></apply>\
         </piece><otherwise><apply><ci>f</ci><ci>s</ci></apply></otherwise></piecewise>",
    );
    let lambda = math("<lambda><bvar><ci>x</ci></bvar><apply><exp/><ci>x</ci></apply></lambda>");
    document(
        3,
        2,
        &format!(
            "<listOfFunctionDefinitions><functionDefinition id=\"f\">{lambda}</functionDefinition>
</listOfFunctionDefinitions><listOfCompartments><compartment id=\"c\" size=\"1\" constant=\"true\"/>
</listOfCompartments><listOfSpecies><species id=\"s\" compartment=\"c\" initialAmount=\"1\"
 hasOnlySubstanceUnits=\"false\" boundaryCondition=\"false\" constant=\"false\"/></listOfSpecies>
<listOfParameters><parameter id=\"a\" value=\"1\" constant=\"false\"/></listOfParameters>
<listOfInitialAssignments><initialAssignment symbol=\"s\">{sum}</initialAssignment>
</listOfInitialAssignments><listOfRules><rateRule variable=\"a\">{choice}</rateRule></listOfRules>
<listOfReactions><reaction id=\"r\" reversible=\"false\"><listOfReactants>
<speciesReference id=\"n\" species=\"s\" stoichiometry=\"2\" constant=\"true\"/></listOfReactants>
<kineticLaw>{sum}<listOfLocalParameters><localParameter id=\"a\" value=\"3\"/>
</listOfLocalParameters></kineticLaw></reaction></listOfReactions><listOfEvents>
<event useValuesFromTriggerTime=\"true\"><trigger initialValue=\"true\" persistent=\"true\">{choice}
</trigger><listOfEventAssignments><eventAssignment variable=\"a\">{sum}</eventAssignment>
</listOfEventAssignments></event></listOfEvents>"
        ),
    )
}

#[test]
fn the_small_document_is_read() {
    let model = read_str(&small(), "test.xml").unwrap();
    assert_eq!((model.events.len(), model.reactions.len(), model.rules.len()), (1, 1, 1));
}

#[test]
fn deep_xml_is_no_danger() {
    for name in ["annotation", "listOfSpecies", "x"] {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        let nested = format!("{}{}", open.repeat(200_000), close.repeat(200_000));
        // Only that it ends matters here: annotations are accepted, the others refused.
        assert_eq!(read(3, 2, &nested).is_ok(), name == "annotation");
    }
}

#[test]
fn long_chains_of_definitions_are_no_danger() {
    let definition = |i: usize| {
        let body = format!("<apply><ci>f{}</ci><ci>x</ci></apply>", i + 1);
        let lambda = math(&format!("<lambda><bvar><ci>x</ci></bvar>{body}</lambda>"));
        format!("<functionDefinition id=\"f{i}\">{lambda}</functionDefinition>")
    };
    let last = math("<lambda><bvar><ci>x</ci></bvar><ci>x</ci></lambda>");
    let definitions: String = (0..20_000).map(definition).collect();
    let model = read(
        3,
        2,
        &format!(
            "<listOfFunctionDefinitions>{definitions}<functionDefinition id=\"f20000\">{last}\
             </functionDefinition></listOfFunctionDefinitions>"
        ),
    );
    assert_eq!(model.unwrap().inlined_functions.len(), 20_001);
}

/// Reads whatever comes; only a panic fails.
fn survive(bytes: &[u8]) {
    let _ = read_str(&String::from_utf8_lossy(bytes), "test.xml");
}

/// Pieces that keep a mutated document close to well-formed.
const PIECES: [&str; 16] = [
    "a",
    "s",
    "c",
    "f",
    "r",
    "n",
    "\"",
    "<ci>a</ci>",
    "<apply>",
    "</apply>",
    "<plus/>",
    "<sep/>",
    "constant=\"false\"",
    "NaN",
    "-1",
    "&#0;",
];

proptest! {
    #[test]
    fn truncation_never_panics(end in 0..4000_usize) {
        let text = small();
        survive(&text.as_bytes()[..end.min(text.len())]);
    }

    #[test]
    fn changed_bytes_never_panic(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)
    ) {
        let mut bytes = small().into_bytes();
        for (index, byte) in changes {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        survive(&bytes);
    }

    #[test]
    fn changed_words_never_panic(
        changes in proptest::collection::vec(
            (any::<prop::sample::Index>(), 0..PIECES.len(), 0..12_usize), 1..4)
    ) {
        let mut text = small();
        for (index, piece, removed) in changes {
            let at = index.index(text.len());
            text.replace_range(at..(at + removed).min(text.len()), PIECES[piece]);
        }
        survive(text.as_bytes());
    }

    #[test]
    fn moved_elements_never_panic(
        from in any::<prop::sample::Index>(), to in any::<prop::sample::Index>()
    ) {
        let text = small();
        // Cut at tags, so that most results are well-formed enough to be looked at.
        let tags: Vec<usize> = text.match_indices('<').map(|(i, _)| i).collect();
        let (from, to) = (tags[from.index(tags.len())], tags[to.index(tags.len())]);
        let end = text[from..].find('>').map_or(text.len(), |i| from + i + 1);
        let mut moved = text.clone();
        moved.insert_str(to, &text[from..end]);
        survive(moved.as_bytes());
    }
}
