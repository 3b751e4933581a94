//! What a v1 simulation condition does not say of a species stays as the pre-equilibration left it,
//! whether reactions change the species or not (PEtab v1, condition table: NaN).

use std::fs;
use std::process::Command;

/// A decays; nothing changes B, whose model value is 9. The condition of the pre-equilibration sets B to
/// 5 and h to 7; h is a parameter, whose model value is 3.
fn simulated(condition_table: &str) -> Vec<(String, f64)> {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    let species = |id: &str, value: f64| {
        format!(
            r#"<species id="{id}" compartment="V" initialConcentration="{value}" hasOnlySubstanceUnits="false" boundaryCondition="false" constant="false"/>"#
        )
    };
    write(
        "m.xml",
        &format!(
            r#"<?xml version="1.0" encoding="UTF-8"?>
<sbml xmlns="http://www.sbml.org/sbml/level3/version1/core" level="3" version="1"><model id="m">
<listOfCompartments><compartment id="V" size="1" spatialDimensions="3" constant="true"/></listOfCompartments>
<listOfSpecies>{}{}</listOfSpecies>
<listOfParameters><parameter id="k" value="1" constant="true"/><parameter id="h" value="3" constant="true"/></listOfParameters>
<listOfReactions><reaction id="r" reversible="false" fast="false">
<listOfReactants><speciesReference species="A" stoichiometry="1" constant="true"/></listOfReactants>
<kineticLaw><math xmlns="http://www.w3.org/1998/Math/MathML"><apply><times/><ci>V</ci><ci>k</ci><ci>A</ci></apply></math></kineticLaw>
</reaction></listOfReactions></model></sbml>"#,
            species("A", 1.0),
            species("B", 9.0)
        ),
    );
    write(
        "p.yaml",
        "format_version: 1\nparameter_file: par.tsv\nproblems:\n- sbml_files: [m.xml]\n  \
         measurement_files: [mes.tsv]\n  condition_files: [con.tsv]\n  observable_files: [obs.tsv]\n",
    );
    write("con.tsv", condition_table);
    write(
        "obs.tsv",
        "observableId\tobservableFormula\tnoiseFormula\noA\tA\t1\noB\tB\t1\noh\th\t1\n",
    );
    let header =
        "observableId\tpreequilibrationConditionId\tsimulationConditionId\tmeasurement\ttime\n";
    let rows = ["oA", "oB", "oh"].map(|id| format!("{id}\tpre\tc\t1\t1\n")).concat();
    write("mes.tsv", &format!("{header}{rows}"));
    write(
        "par.tsv",
        "parameterId\tparameterScale\tlowerBound\tupperBound\tnominalValue\testimate\n\
         k\tlin\t0.01\t10\t1\t1\n",
    );
    let output = Command::new(env!("CARGO_BIN_EXE_gradsweep"))
        .current_dir(folder.path())
        .env("NODEVICE_SELECT", "1")
        .args(["simulate", ".", "--engine", "cpu", "--out", "-"])
        .output()
        .unwrap();
    let mut reader = csv::ReaderBuilder::new().delimiter(b'\t').from_reader(&output.stdout[..]);
    let rows = reader.deserialize().map(|row| {
        let row: std::collections::BTreeMap<String, String> = row.unwrap();
        (row["observableId"].clone(), row["simulation"].parse().unwrap())
    });
    rows.collect()
}

#[test]
fn species_without_dynamics_are_kept_too() {
    let with =
        |b: &str, h: &str| simulated(&format!("conditionId\tB\th\npre\t5\t7\nc\t{b}\t{h}\n"));
    let value = |rows: &[(String, f64)], id: &str| {
        rows.iter().find(|(observable, _)| observable == id).expect("a row of each").1
    };
    for empty in ["", "NaN"] {
        let rows = with(empty, empty);
        assert_eq!(value(&rows, "oB"), 5.0, "{empty:?}");
        // A parameter has the model's value where its condition says nothing.
        assert_eq!(value(&rows, "oh"), 3.0, "{empty:?}");
        // exp(-steady state's time) of 1: nothing that is left of A is above the tolerance.
        assert!(value(&rows, "oA").abs() < 1e-8, "{empty:?}");
    }
    // The twin: what is said holds.
    let rows = with("2", "4");
    assert_eq!((value(&rows, "oB"), value(&rows, "oh")), (2.0, 4.0));
}
