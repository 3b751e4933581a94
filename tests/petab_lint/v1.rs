//! Version 1.

use crate::{MODEL, check};

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
            (
                "con.tsv",
                "\tgain",
                "\ttwice",
                "con.tsv:3: \"twice\" of the model stands for no number here; accepted are numbers, ids of the parameter table, and parameters of the model that have a number which no rule, initial assignment, event or condition replaces",
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
