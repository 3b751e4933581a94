//! Version 2.

use crate::{MODEL, check};

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
