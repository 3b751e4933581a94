//! Reads the public collections: every benchmark model, and every SBML semantic case.

use std::path::{Path, PathBuf};

use gradsweep::sbml::{Model, Problem, RuleKind, Side, Stoichiometry, Symbol, read_file};

/// The folder that a variable names; says so where it is unset.
fn folder(variable: &str) -> Option<PathBuf> {
    let folder = std::env::var_os(variable).map(PathBuf::from);
    if folder.is_none() {
        println!("skipped: {variable} is not set");
    }
    folder
}

/// All files below `folder` for which `wanted` holds of the name, in order.
fn files(folder: &Path, wanted: &dyn Fn(&str) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{folder:?}: {e}"));
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            found.extend(files(&path, wanted));
        } else if path.file_name().and_then(|n| n.to_str()).is_some_and(wanted) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Compartments, species, parameters, reactions, assignment rules, rate rules, initial
/// assignments, events, function definitions.
type Counts = [usize; 9];

fn counts(model: &Model) -> Counts {
    let rules = |kind| model.rules.iter().filter(|rule| rule.kind == kind).count();
    [
        model.compartments.len(),
        model.species.len(),
        model.parameters.len(),
        model.reactions.len(),
        rules(RuleKind::Assignment),
        rules(RuleKind::Rate),
        model.initial_assignments.len(),
        model.events.len(),
        model.inlined_functions.len(),
    ]
}

/// Level, version and counts as python-libsbml gave them for the collection.
const EXPECTED: [(&str, u8, u8, Counts); 12] = [
    ("Alkan_SciSignal2018", 2, 4, [1, 36, 52, 96, 0, 0, 4, 0, 0]),
    ("Armistead_CellDeathDis2024", 3, 2, [1, 4, 11, 8, 0, 0, 0, 0, 0]),
    ("Bachmann_MSB2011", 2, 4, [2, 25, 37, 36, 0, 0, 6, 0, 0]),
    ("Bertozzi_PNAS2020", 3, 2, [1, 3, 5, 2, 0, 0, 3, 0, 0]),
    ("Blasi_CellSystems2016", 2, 4, [1, 16, 34, 32, 25, 0, 0, 0, 0]),
    ("Boehm_JProteomeRes2014", 2, 4, [2, 8, 9, 9, 1, 0, 2, 0, 0]),
    ("Chen_MSB2009", 2, 4, [1, 500, 196, 827, 8, 0, 0, 0, 0]),
    ("Giordano_Nature2020", 2, 4, [1, 13, 72, 13, 17, 0, 1, 0, 1]),
    ("Lang_PLOSComputBiol2024", 3, 1, [4, 124, 325, 669, 8, 0, 0, 0, 0]),
    ("SalazarCavazos_MBoC2020", 3, 2, [1, 75, 50, 618, 7, 0, 4, 0, 0]),
    ("Smith_BMCSystBiol2013", 2, 4, [5, 133, 391, 367, 29, 0, 0, 3, 0]),
    ("Zhao_QuantBiol2020", 2, 4, [1, 5, 37, 3, 7, 0, 4, 0, 1]),
];

/// Every symbol of every formula means something: nothing is left for later stages to find.
fn assert_closed(model: &Model) {
    let known = |name: &str| model.symbols.contains_key(name);
    let rules = model.rules.iter().map(|rule| &rule.math);
    let starts = model.initial_assignments.iter().map(|assignment| &assignment.math);
    let events = model.events.iter().flat_map(|event| {
        let own = event.trigger.math.iter().chain(&event.delay).chain(&event.priority);
        own.chain(event.assignments.iter().map(|assignment| &assignment.math))
    });
    for math in rules.chain(starts).chain(events) {
        assert!(math.symbols().into_iter().all(known));
    }
    for reaction in &model.reactions {
        let Some(law) = &reaction.kinetic_law else { continue };
        let local = |name: &str| law.local_parameters.iter().any(|p| p.symbol == name);
        assert!(law.math.symbols().into_iter().all(|name| known(name) || local(name)));
    }
    for (id, symbol) in &model.symbols {
        let named = match symbol {
            Symbol::Compartment(i) => &model.compartments[*i].id,
            Symbol::Species(i) => &model.species[*i].id,
            Symbol::Parameter(i) => &model.parameters[*i].id,
            Symbol::Reaction(i) => &model.reactions[*i].id,
            Symbol::SpeciesReference { reaction, side, index } => {
                let reaction = &model.reactions[*reaction];
                let list = match side {
                    Side::Reactant => &reaction.reactants,
                    Side::Product => &reaction.products,
                };
                list[*index].id.as_ref().unwrap()
            }
        };
        assert_eq!(id, named);
    }
}

#[test]
fn reads_every_benchmark_model() {
    let Some(folder) = folder("PETAB_BENCHMARKS_DIR") else { return };
    let models = files(&folder, &|name| name.starts_with("model") && name.ends_with(".xml"));
    assert!(!models.is_empty(), "no models below {folder:?}");
    let mut compared = 0;
    for path in &models {
        let model = read_file(path).unwrap_or_else(|e| panic!("{e}"));
        assert_closed(&model);
        let problem = path.parent().and_then(|p| p.file_name()).unwrap().to_string_lossy();
        if let Some((_, level, version, expected)) = EXPECTED.iter().find(|e| e.0 == problem) {
            assert_eq!((model.level, model.version), (*level, *version), "{problem}");
            assert_eq!(counts(&model), *expected, "{problem}");
            compared += 1;
        }
    }
    println!("read {} models, compared the counts of {compared}", models.len());
    assert!(compared > 0);
}

#[test]
fn reads_the_details_of_benchmark_models() {
    let Some(folder) = folder("PETAB_BENCHMARKS_DIR") else { return };
    let read = |name: &str| {
        let found = files(&folder.join(name), &|n| n.starts_with("model") && n.ends_with(".xml"));
        read_file(&found[0]).unwrap_or_else(|e| panic!("{e}"))
    };

    let bachmann = read("Bachmann_MSB2011");
    let sizes: Vec<_> = bachmann.compartments.iter().map(|c| c.size).collect();
    assert_eq!(sizes, [Some(0.4), Some(0.275)]);

    let smith = read("Smith_BMCSystBiol2013");
    assert!(smith.species.iter().all(|s| s.has_only_substance_units));
    assert_eq!(smith.species.iter().filter(|s| s.boundary_condition).count(), 5);
    let event = &smith.events[0];
    assert!(event.trigger.initial_value && event.trigger.persistent);
    assert!(event.use_values_from_trigger_time && event.delay.is_none());
    assert_eq!(event.assignments[0].variable, "Ins");

    let alkan = read("Alkan_SciSignal2018");
    let references = alkan.reactions.iter().flat_map(|r| r.reactants.iter().chain(&r.products));
    let other = references.filter(|r| r.stoichiometry != Stoichiometry::Number(1.0)).count();
    assert_eq!(other, 4);
}

#[test]
fn reads_every_model_of_the_petab_test_suite() {
    let Some(folder) = folder("PETAB_TEST_SUITE_DIR") else { return };
    let models = files(&folder, &|name| name.ends_with(".xml"));
    assert!(!models.is_empty(), "no models below {folder:?}");
    for path in &models {
        assert_closed(&read_file(path).unwrap_or_else(|e| panic!("{e}")));
    }
    println!("read {} models", models.len());
}

#[test]
fn reads_or_refuses_every_semantic_case() {
    let Some(folder) = folder("SBML_CASES_DIR") else { return };
    let cases = files(&folder, &|name| name.contains("-sbml-") && name.ends_with(".xml"));
    assert!(!cases.is_empty(), "no cases below {folder:?}");
    let (mut read, mut refused, mut wrong) = (0, 0, Vec::new());
    for path in &cases {
        match read_file(path) {
            Ok(model) => {
                assert_closed(&model);
                read += 1;
            }
            Err(error) => match &error.problem {
                Problem::AlgebraicRule | Problem::FastReaction { .. } | Problem::Delay => {
                    refused += 1;
                }
                Problem::Package { package, .. } if package == "comp" || package == "fbc" => {
                    refused += 1;
                }
                _ => wrong.push(error.to_string()),
            },
        }
    }
    println!("{} cases: {read} read, {refused} refused by name", cases.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
