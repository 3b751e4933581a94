//! What PEtab's own linter rejects is refused, with the file, the line and the id.
//!
//! One bad problem for each of its checks that `src/petab/tests` does not have already. With
//! `GRADSWEEP_LINT_OUT` naming a folder the problems are left there, for the linter to judge.

use gradsweep::model::{self, ModelError};
use std::path::{Path, PathBuf};

const MODEL: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<sbml xmlns="http://www.sbml.org/sbml/level3/version1/core" level="3" version="1">
  <model id="m">
    <listOfCompartments>
      <compartment id="cell" size="1" constant="true" spatialDimensions="3"/>
    </listOfCompartments>
    <listOfSpecies>
      <species id="A" compartment="cell" initialConcentration="1"
        hasOnlySubstanceUnits="false" boundaryCondition="false" constant="false"/>
      <species id="B" compartment="cell" initialConcentration="0"
        hasOnlySubstanceUnits="false" boundaryCondition="false" constant="false"/>
    </listOfSpecies>
    <listOfParameters>
      <parameter id="k1" value="0.5" constant="true"/>
      <parameter id="dose" value="0" constant="true"/>
      <parameter id="twice" constant="false"/>
    </listOfParameters>
    <listOfRules>
      <assignmentRule variable="twice">
        <math xmlns="http://www.w3.org/1998/Math/MathML">
          <apply><times/><cn> 2 </cn><ci> A </ci></apply>
        </math>
      </assignmentRule>
    </listOfRules>
    <listOfReactions>
      <reaction id="r1" reversible="false" fast="false">
        <listOfReactants>
          <speciesReference species="A" stoichiometry="1" constant="true"/>
        </listOfReactants>
        <listOfProducts>
          <speciesReference species="B" stoichiometry="1" constant="true"/>
        </listOfProducts>
        <kineticLaw>
          <math xmlns="http://www.w3.org/1998/Math/MathML">
            <apply><times/><ci> cell </ci><ci> k1 </ci><ci> A </ci></apply>
          </math>
        </kineticLaw>
      </reaction>
    </listOfReactions>
  </model>
</sbml>
"#;

const V1: [(&str, &str); 6] = [
    ("m.xml", MODEL),
    (
        "p.yaml",
        "format_version: 1\nparameter_file: par.tsv\nproblems:\n- sbml_files: [m.xml]\n  \
         measurement_files: [mes.tsv]\n  condition_files: [con.tsv]\n  observable_files: \
         [obs.tsv]\n",
    ),
    (
        "par.tsv",
        "parameterId\tparameterScale\tlowerBound\tupperBound\tnominalValue\testimate\t\
         initializationPriorType\tinitializationPriorParameters\tobjectivePriorType\t\
         objectivePriorParameters\n\
         k1\tlog10\t0.01\t100\t0.1\t1\tparameterScaleUniform\t-2;2\tnormal\t1;2\n\
         gain\tlin\t0\t10\t1\t1\t\t\t\t\n\
         sd\tlin\t0\t10\t0.5\t0\t\t\t\t\n",
    ),
    ("con.tsv", "conditionId\tconditionName\tdose\tB\nc0\tcontrol\t0\t\nc1\ttreated\t1\tgain\n"),
    (
        "obs.tsv",
        "observableId\tobservableFormula\tnoiseFormula\n\
         y\tgain * B\tnoiseParameter1_y\n\
         z\ttwice\tsd\n",
    ),
    (
        "mes.tsv",
        "observableId\tsimulationConditionId\ttime\tmeasurement\tnoiseParameters\n\
         y\tc0\t1\t0.5\t0.1\n\
         z\tc1\t2\t0.5\t\n",
    ),
];

const V2: [(&str, &str); 8] = [
    ("m.xml", MODEL),
    (
        "p.yaml",
        "format_version: 2.0.0\nparameter_files: [par.tsv]\nmodel_files:\n  m:\n    location: \
         m.xml\n    language: sbml\nmeasurement_files: [mes.tsv]\nobservable_files: [obs.tsv]\n\
         condition_files: [con.tsv]\nexperiment_files: [exp.tsv]\nmapping_files: [map.tsv]\n",
    ),
    (
        "par.tsv",
        "parameterId\tlowerBound\tupperBound\tnominalValue\testimate\tpriorDistribution\t\
         priorParameters\n\
         k1\t0\t10\t0.1\ttrue\tuniform\t2;8\n\
         gain\t0\t10\t1\ttrue\t\t\n\
         sd\t0\t10\t0.5\tfalse\t\t\n",
    ),
    (
        "con.tsv",
        "conditionId\ttargetId\ttargetValue\n\
         c0\tdose\t2 * gain\n\
         c1\tB\tA + 1\n",
    ),
    ("exp.tsv", "experimentId\ttime\tconditionId\ne0\t0\tc0\ne0\t5\tc1\n"),
    (
        "obs.tsv",
        "observableId\tobservableFormula\tnoiseFormula\tnoisePlaceholders\tnoiseDistribution\n\
         y\tgain * B\tnoise\tnoise\tnormal\n\
         z\ttwice\tsd\t\tlog-normal\n",
    ),
    (
        "mes.tsv",
        "observableId\texperimentId\ttime\tmeasurement\tnoiseParameters\n\
         y\te0\t1\t0.5\t0.1\n\
         z\te0\t6\t0.5\t\n",
    ),
    ("map.tsv", "petabEntityId\tmodelEntityId\tname\nA\t\tfirst\n"),
];

/// A folder with a problem's files.
struct Folder {
    path: PathBuf,
    _removed_at_the_end: Option<tempfile::TempDir>,
}

impl Folder {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let (path, kept) = match std::env::var_os("GRADSWEEP_LINT_OUT") {
            Some(out) => (Path::new(&out).join(name), None),
            None => {
                let folder = tempfile::tempdir().unwrap();
                (folder.path().to_owned(), Some(folder))
            }
        };
        std::fs::create_dir_all(&path).unwrap();
        for (file, text) in files {
            std::fs::write(path.join(file), text).unwrap();
        }
        Self { path, _removed_at_the_end: kept }
    }

    fn message(&self) -> String {
        let error = match model::load(&self.path) {
            Ok(_) => "no error".to_owned(),
            Err(error) => error.to_string(),
        };
        error.replace(&format!("{}/", self.path.display()), "")
    }
}

/// A check of the linter: file, old text, new text, our message.
type Case = (&'static str, &'static str, &'static str, &'static str);

fn check(kind: &str, problem: &[(&str, &str)], cases: &[Case]) {
    let good = Folder::new(&format!("{kind}-good"), problem);
    model::load(&good.path).unwrap_or_else(|error| panic!("{error}"));
    let mut wrong = Vec::new();
    for (i, (file, from, to, expected)) in cases.iter().enumerate() {
        let mut files = problem.to_vec();
        let (_, text) = files.iter_mut().find(|(name, _)| name == file).unwrap();
        assert!(text.contains(from), "{file} has no {from:?}");
        let changed = text.replace(from, to);
        *text = &changed;
        let folder = Folder::new(&format!("{kind}-{i:02}"), &files);
        let found = folder.message();
        if found != *expected {
            wrong.push(format!(
                "{file}: {from:?} to {to:?}\n  found    {found}\n  expected {expected}"
            ));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn v1_tables() {
    check(
        "v1",
        &V1,
        &[
            (
                "con.tsv",
                "\nc1",
                "\n1c",
                "con.tsv:3: condition `1c`, column `conditionId`: `1c` is not a valid identifier; expected letters, digits and underscores, not beginning with a digit",
            ),
            (
                "con.tsv",
                "\nc1",
                "\n",
                "con.tsv:3: condition, column `conditionId`: is empty; expected an identifier",
            ),
            (
                "obs.tsv",
                "\nz",
                "\nz-1",
                "obs.tsv:3: observable `z-1`, column `observableId`: `z-1` is not a valid identifier; expected letters, digits and underscores, not beginning with a digit",
            ),
            (
                "obs.tsv",
                "\tnoiseFormula",
                "\tnoise",
                "obs.tsv:1: missing column `noiseFormula`; the table has `observableId`, `observableFormula`, `noise`",
            ),
            (
                "obs.tsv",
                "\tsd",
                "\tinf",
                "obs.tsv:3: observable `z`, column `noiseFormula`: the noise is inf; expected a positive number",
            ),
            (
                "obs.tsv",
                "\tsd",
                "\tsd +",
                "obs.tsv:3: observable `z`, column `noiseFormula`: column 5: found the end of the formula; expected a number, an identifier, a function call, `(`, or a sign",
            ),
            (
                "mes.tsv",
                "\tc0\t1\t0.5",
                "\tc0\t1\thigh",
                "mes.tsv:2: measurement of `y`, column `measurement`: `high` is not valid; expected a finite number",
            ),
            (
                "mes.tsv",
                "\t0.5\t\n",
                "\t0.5\tsd\n",
                "mes.tsv:3: measurement of `z`, column `noiseParameters`: 1 given, but observable `z` has 0 (no placeholders)",
            ),
            (
                "mes.tsv",
                "\t0.5\t0.1\n",
                "\t0.5\n",
                "mes.tsv:2: measurement of `y`, column `noiseParameters`: 0 given, but observable `y` has 1 (noiseParameter1_y)",
            ),
            (
                "par.tsv",
                "nominalValue",
                "nominal",
                "par.tsv:4: parameter `sd`, column `nominalValue`: is empty; expected the value of the parameter, as it is not estimated",
            ),
            (
                "par.tsv",
                "\t0.5\t0\t",
                "\thalf\t0\t",
                "par.tsv:4: parameter `sd`, column `nominalValue`: `half` is not valid; expected a finite number on the linear scale",
            ),
            (
                "par.tsv",
                "sd\tlin",
                "sd\t",
                "par.tsv:4: parameter `sd`, column `parameterScale`: is empty; expected lin, log or log10",
            ),
            (
                "par.tsv",
                "sd\tlin\t0",
                "sd\tlin\tlow",
                "par.tsv:4: parameter `sd`, column `lowerBound`: `low` is not valid; expected a number on the linear scale",
            ),
            (
                "par.tsv",
                "0.01\t100\t",
                "-0.01\t100\t",
                "par.tsv:2: parameter `k1`, column `lowerBound`: -0.01 has no log10 scale; expected a positive number, or parameterScale lin",
            ),
            (
                "par.tsv",
                "\tparameterScaleUniform",
                "\tflat",
                "par.tsv:2: parameter `k1`, column `initializationPriorType`: `flat` is not valid; expected uniform, normal, laplace, logNormal, logLaplace, parameterScaleUniform, parameterScaleNormal or parameterScaleLaplace",
            ),
            (
                "par.tsv",
                "\t-2;2",
                "\t-2",
                "par.tsv:2: parameter `k1`, column `initializationPriorParameters`: prior `parameterScaleUniform` takes 2 numbers, not 1",
            ),
            (
                "par.tsv",
                "normal\t1;2",
                "uniform\t",
                "par.tsv:2: parameter `k1`, column `objectivePriorParameters`: is empty; expected the prior's parameters, separated by `;`",
            ),
            (
                "par.tsv",
                "normal\t1;2",
                "\t1;x",
                "par.tsv:2: parameter `k1`, column `objectivePriorParameters`: `1;x` is not valid; expected finite numbers separated by `;`",
            ),
            (
                "par.tsv",
                "normal\t1;2",
                "\t1",
                "par.tsv:2: parameter `k1`, column `objectivePriorParameters`: prior `parameterScaleUniform` takes 2 numbers, not 1",
            ),
            (
                "par.tsv",
                "\t1\t\t\t\t\n",
                "\tyes\t\t\t\t\n",
                "par.tsv:3: parameter `gain`, column `estimate`: `yes` is not valid; expected 1 (estimated) or 0 (fixed)",
            ),
            (
                "p.yaml",
                "problems:",
                "problem:",
                "p.yaml: missing field `problems` at line 3, column 1",
            ),
            (
                "p.yaml",
                "[con.tsv]",
                "con.tsv",
                "p.yaml: expected sequence start at line 6, column 20",
            ),
        ],
    );
}

#[test]
fn v1_names_of_the_model() {
    check(
        "v1-model",
        &V1,
        &[
            (
                "con.tsv",
                "\tdose",
                "\tdosis",
                "con.tsv:2: condition `c0`, column `dosis`: `dosis` is neither in the model nor in a formula; expected a parameter, species or compartment of the model, or a symbol of an observable or noise formula",
            ),
            (
                "con.tsv",
                "\tdose",
                "\tr1",
                "con.tsv:2: condition `c0`, column `r1`: `r1` is neither a parameter nor a species nor a compartment of the model; expected a parameter, species or compartment of the model, or a symbol of an observable or noise formula",
            ),
            // A column without values.
            (
                "con.tsv",
                "\tdose\tB\nc0\tcontrol\t0\t\nc1\ttreated\t1",
                "\tdosis\tB\nc0\tcontrol\t\t\nc1\ttreated\t",
                "con.tsv:2: condition `c0`, column `dosis`: `dosis` is neither in the model nor in a formula; expected a parameter, species or compartment of the model, or a symbol of an observable or noise formula",
            ),
            (
                "con.tsv",
                "\tgain",
                "\tgains",
                "con.tsv:3: condition `c1`, column `B`: unknown parameter or model entity `gains`; expected one of gain, k1, sd",
            ),
            // A condition that no measurement uses.
            (
                "con.tsv",
                "gain\n",
                "gain\nc2\t\t\tgains\n",
                "con.tsv:4: condition `c2`, column `B`: unknown parameter or model entity `gains`; expected one of gain, k1, sd",
            ),
            (
                "obs.tsv",
                "\ttwice",
                "\ttwin",
                "obs.tsv:3: \"twin\" is neither an entity of the model nor in the parameter table nor a placeholder",
            ),
            (
                "obs.tsv",
                "\tsd",
                "\tsd * sigma",
                "obs.tsv:3: \"sigma\" is neither an entity of the model nor in the parameter table nor a placeholder",
            ),
            (
                "obs.tsv",
                "\nz\t",
                "\nB\t1\t1\nz\t",
                "obs.tsv:3: observable `B`, column `observableId`: `B` is a species of the model; choose another identifier for the observable",
            ),
            (
                "par.tsv",
                "sd\tlin",
                "unused\tlin\t0\t1\t1\t1\t\t\t\t\nsd\tlin",
                "par.tsv:4: parameter `unused`, column `parameterId`: `unused` is used nowhere: it is no parameter of the model, and neither formulas nor conditions nor measurements name it; remove the row",
            ),
            (
                "par.tsv",
                "sd\tlin",
                "twice\tlin\t0\t1\t1\t1\t\t\t\t\nsd\tlin",
                "par.tsv:4: parameter `twice`, column `parameterId`: `twice` is a parameter of the model that a rule determines; expected parameters that no rule determines, and symbols that tables introduce",
            ),
            (
                "par.tsv",
                "sd\tlin",
                "A\tlin\t0\t1\t1\t1\t\t\t\t\nsd\tlin",
                "par.tsv:4: parameter `A`, column `parameterId`: `A` is a species of the model; expected parameters that no rule determines, and symbols that tables introduce",
            ),
            (
                "par.tsv",
                "sd\tlin",
                "cell\tlin\t0\t1\t1\t1\t\t\t\t\nsd\tlin",
                "par.tsv:4: parameter `cell`, column `parameterId`: `cell` is a compartment of the model; expected parameters that no rule determines, and symbols that tables introduce",
            ),
            (
                "par.tsv",
                "sd\tlin",
                "r1\tlin\t0\t1\t1\t1\t\t\t\t\nsd\tlin",
                "par.tsv:4: parameter `r1`, column `parameterId`: `r1` is neither a parameter nor a species nor a compartment of the model; expected parameters that no rule determines, and symbols that tables introduce",
            ),
        ],
    );
}

#[test]
fn v2_tables() {
    check(
        "v2",
        &V2,
        &[
            (
                "par.tsv",
                "\nk1",
                "\n1k",
                "par.tsv:2: parameter `1k`, column `parameterId`: `1k` is not a valid identifier; expected letters, digits and underscores, not beginning with a digit",
            ),
            (
                "par.tsv",
                "\nsd",
                "\ngain",
                "par.tsv:4: parameter `gain`, column `parameterId`: `gain` is defined twice, first at par.tsv:3",
            ),
            (
                "par.tsv",
                "gain\t0\t10",
                "gain\t\t10",
                "par.tsv:3: parameter `gain`, column `lowerBound`: is empty; expected a number on the linear scale",
            ),
            (
                "par.tsv",
                "gain\t0\t10",
                "gain\t0\tten",
                "par.tsv:3: parameter `gain`, column `upperBound`: `ten` is not valid; expected a number on the linear scale",
            ),
            (
                "par.tsv",
                "gain\t0\t10",
                "gain\t20\t10",
                "par.tsv:3: parameter `gain`, column `lowerBound`: lower bound 20 is above upper bound 10",
            ),
            (
                "par.tsv",
                "sd\t0\t10",
                "sd\t20\t10",
                "par.tsv:4: parameter `sd`, column `lowerBound`: lower bound 20 is above upper bound 10",
            ),
            (
                "par.tsv",
                "\t0.5\tfalse",
                "\t\tfalse",
                "par.tsv:4: parameter `sd`, column `nominalValue`: is empty; expected the value of the parameter, as it is not estimated",
            ),
            (
                "par.tsv",
                "\t1\ttrue",
                "\t1\t",
                "par.tsv:3: parameter `gain`, column `estimate`: is empty; expected true (estimated) or false (fixed)",
            ),
            (
                "par.tsv",
                "uniform\t2;8",
                "uniform\t2",
                "par.tsv:2: parameter `k1`, column `priorParameters`: prior `uniform` takes 2 numbers, not 1",
            ),
            (
                "par.tsv",
                "uniform\t2;8",
                "uniform\t",
                "par.tsv:2: parameter `k1`, column `priorParameters`: is empty; expected the prior's parameters, separated by `;`",
            ),
            (
                "par.tsv",
                "uniform\t2;8",
                "uniform\ta;8",
                "par.tsv:2: parameter `k1`, column `priorParameters`: `a;8` is not valid; expected finite numbers separated by `;`",
            ),
            (
                "par.tsv",
                "false\t\t",
                "false\tcauchi\t1;2",
                "par.tsv:4: parameter `sd`, column `priorDistribution`: `cauchi` is not valid; expected cauchy, chisquare, exponential, gamma, laplace, log-laplace, log-normal, log-uniform, normal, rayleigh or uniform",
            ),
            (
                "con.tsv",
                "c1\tB",
                "1c\tB",
                "con.tsv:3: condition `1c`, column `conditionId`: `1c` is not a valid identifier; expected letters, digits and underscores, not beginning with a digit",
            ),
            (
                "con.tsv",
                "c1\tB",
                "c1\tB[1]",
                "con.tsv:3: condition `c1`, column `targetId`: `B[1]` is not a valid identifier; expected letters, digits and underscores, not beginning with a digit",
            ),
            (
                "con.tsv",
                "2 * gain",
                "2 * A",
                "con.tsv:2: condition `c0`, column `targetValue`: `A` is not in the parameter table, but experiment `e0` starts with this condition; expected a formula of numbers, ids of the parameter table and time",
            ),
            (
                "con.tsv",
                "2 * gain",
                "2 * k0",
                "con.tsv:2: condition `c0`, column `targetValue`: `k0` is not in the parameter table, but experiment `e0` starts with this condition; expected a formula of numbers, ids of the parameter table and time",
            ),
            (
                "exp.tsv",
                "e0\t5",
                "0e\t5",
                "exp.tsv:3: experiment `0e`, column `experimentId`: `0e` is not a valid identifier; expected letters, digits and underscores, not beginning with a digit",
            ),
            (
                "exp.tsv",
                "e0\t5",
                "e0\tsoon",
                "exp.tsv:3: experiment `e0`, column `time`: `soon` is not valid; expected a finite time, or -inf for a pre-equilibration",
            ),
            (
                "exp.tsv",
                "\t5\tc1",
                "\t\tc1",
                "exp.tsv:3: experiment `e0`, column `time`: is empty; expected a finite time, or -inf for a pre-equilibration",
            ),
            (
                "obs.tsv",
                "\nz",
                "\nz z",
                "obs.tsv:3: observable `z z`, column `observableId`: `z z` is not a valid identifier; expected letters, digits and underscores, not beginning with a digit",
            ),
            (
                "obs.tsv",
                "\nz",
                "\ny",
                "obs.tsv:3: observable `y`, column `observableId`: `y` is defined twice, first at obs.tsv:2",
            ),
            (
                "obs.tsv",
                "\ttwice",
                "\ttwice,",
                "obs.tsv:3: observable `z`, column `observableFormula`: column 6: found `,`; expected an operator, or the end of the formula",
            ),
            (
                "mes.tsv",
                "\nz",
                "\nx",
                "mes.tsv:3: measurement of `x`, column `observableId`: unknown observable `x`; expected one of y, z",
            ),
            (
                "mes.tsv",
                "\t6\t0.5",
                "\t6\t-0.5",
                "mes.tsv:3: measurement of `z`, column `measurement`: -0.5 has no logarithm, which the noise of observable `z` takes; expected a positive number",
            ),
            (
                "mes.tsv",
                "\t6\t0.5",
                "\t-inf\t0.5",
                "mes.tsv:3: measurement of `z`, column `time`: `-inf` is not valid; expected a finite time, or inf for a steady state",
            ),
            (
                "mes.tsv",
                "\t6\t0.5",
                "\t6\tNaN",
                "mes.tsv:3: measurement of `z`, column `measurement`: `NaN` is not valid; expected a finite number",
            ),
            (
                "mes.tsv",
                "\t0.5\t0.1",
                "\t0.5\t0.1;2",
                "mes.tsv:2: measurement of `y`, column `noiseParameters`: 2 given, but observable `y` has 1 (noise)",
            ),
            (
                "mes.tsv",
                "\t0.5\t0.1",
                "\t0.5\tsigma",
                "mes.tsv:2: measurement of `y`, column `noiseParameters`: unknown parameter `sigma`; expected one of k1, gain, sd",
            ),
            (
                "map.tsv",
                "A\t\t",
                "A1\tA\t",
                "map.tsv:2: mapping `A1`, column `modelEntityId`: `A` is a valid identifier already; use it directly, or leave the cell empty to annotate it",
            ),
            (
                "p.yaml",
                "[obs.tsv]",
                "[]",
                "p.yaml: `observable_files` is empty; expected at least one entry",
            ),
            (
                "p.yaml",
                "parameter_files: [par.tsv]\n",
                "",
                "p.yaml: missing field `parameter_files` at line 10, column 1",
            ),
        ],
    );
}

#[test]
fn v2_names_of_the_model() {
    check(
        "v2-model",
        &V2,
        &[
            (
                "con.tsv",
                "\tdose",
                "\tdosis",
                "con.tsv:2: condition `c0`, column `targetId`: `dosis` is neither in the model nor in a formula; expected a parameter, species or compartment of the model, or a symbol of an observable or noise formula",
            ),
            (
                "con.tsv",
                "\tdose",
                "\tr1",
                "con.tsv:2: condition `c0`, column `targetId`: `r1` is neither a parameter nor a species nor a compartment of the model; expected a parameter, species or compartment of the model, or a symbol of an observable or noise formula",
            ),
            // A condition that no experiment uses.
            (
                "con.tsv",
                "c1\tB\tA + 1\n",
                "c1\tB\tA + 1\nc2\tdosis\t1\n",
                "con.tsv:4: condition `c2`, column `targetId`: `dosis` is neither in the model nor in a formula; expected a parameter, species or compartment of the model, or a symbol of an observable or noise formula",
            ),
            (
                "con.tsv",
                "c1\tB\tA + 1\n",
                "c1\tB\tA + 1 + k0\n",
                "con.tsv:3: condition `c1`, column `targetValue`: unknown parameter or model entity `k0`; expected one of gain, k1, sd",
            ),
            (
                "obs.tsv",
                "\ttwice",
                "\ttwin",
                "obs.tsv:3: \"twin\" is neither an entity of the model nor in the parameter table nor a placeholder",
            ),
            (
                "obs.tsv",
                "\nz\t",
                "\nB\t1\t1\t\tnormal\nz\t",
                "obs.tsv:3: observable `B`, column `observableId`: `B` is a species of the model; choose another identifier for the observable",
            ),
            (
                "par.tsv",
                "\nsd",
                "\nunused\t0\t1\t1\ttrue\t\t\nsd",
                "par.tsv:4: parameter `unused`, column `parameterId`: `unused` is used nowhere: it is no parameter of the model, and neither formulas nor conditions nor measurements name it; remove the row",
            ),
            (
                "par.tsv",
                "\nsd",
                "\ntwice\t0\t1\t1\ttrue\t\t\nsd",
                "par.tsv:4: parameter `twice`, column `parameterId`: `twice` is a parameter of the model that a rule determines; expected parameters that no rule determines, and symbols that tables introduce",
            ),
            (
                "par.tsv",
                "\nsd",
                "\ncell\t0\t1\t1\ttrue\t\t\nsd",
                "par.tsv:4: parameter `cell`, column `parameterId`: `cell` is a compartment of the model; expected parameters that no rule determines, and symbols that tables introduce",
            ),
        ],
    );
}

/// Nothing that the public collections contain is refused for its tables.
#[test]
fn the_tables_of_the_collections_are_accepted() {
    for (variable, subfolders) in
        [("PETAB_BENCHMARKS_DIR", &[""][..]), ("PETAB_TEST_SUITE_DIR", &["v1", "v2"])]
    {
        let Some(collection) = std::env::var_os(variable) else {
            println!("skipped: {variable} is not set");
            continue;
        };
        let mut count = 0;
        for subfolder in subfolders {
            let entries = std::fs::read_dir(Path::new(&collection).join(subfolder)).unwrap();
            let paths = entries.map(|entry| entry.unwrap().path());
            for problem in paths.filter(|path| path.is_dir()) {
                count += 1;
                // Models may well have what is not supported.
                if let Err(error @ ModelError::Petab(_)) = model::load(&problem) {
                    panic!("{error}");
                }
            }
        }
        assert!(count > 0, "{variable} names a folder without problems");
    }
}
