use super::v1::problem;

#[test]
fn broken_problem_files() {
    problem().check_errors(&[
        (
            "p.yaml",
            "format_version: 1",
            "format_version: 3.1",
            "p.yaml: format_version 3.1 is not supported; accepted are 1 and 2.0.0",
        ),
        (
            "p.yaml",
            "[m.xml]",
            "[m.xml, n.xml]",
            "p.yaml: entry 1 of `problems` lists 2 SBML files; exactly one is supported (write \
             one entry a model)",
        ),
        (
            "p.yaml",
            "[mes.tsv]",
            "[]",
            "p.yaml: `measurement_files` is empty; expected at least one entry",
        ),
        (
            "p.yaml",
            "[m.xml]",
            "['https://a.org/m.xml']",
            "p.yaml: `https://a.org/m.xml` is a URL; download it and name the local file",
        ),
        (
            "p.yaml",
            "observable_files",
            "observables",
            "p.yaml: missing field `observable_files` at line 7, column 3",
        ),
        (
            "p.yaml",
            "par.tsv",
            "{a: b}",
            "p.yaml: expected a file name or a list of file names at line 2, column 17",
        ),
    ]);
    let message = problem().with("p.yaml", "[mes.tsv]", "[mes.tsv").error();
    assert!(message.starts_with("p.yaml: "), "{message}");
    let message = problem().with("p.yaml", "par.tsv", "none.tsv").error();
    assert!(message.starts_with("none.tsv: "), "{message}");
}

#[test]
fn broken_parameters() {
    problem().check_errors(&[
        (
            "par.tsv",
            "lowerBound\tupperBound",
            "lower\tupper",
            "par.tsv:1: missing column `lowerBound`, `upperBound`; the table has `parameterId`, \
             `parameterScale`, `lower`, `upper`, `nominalValue`, `estimate`, \
             `objectivePriorType`, `objectivePriorParameters`, `initializationPriorType`",
        ),
        (
            "par.tsv",
            "k2\t",
            "k1\t",
            "par.tsv:3: parameter `k1`, column `parameterId`: `k1` is defined twice, first at \
             par.tsv:2",
        ),
        (
            "par.tsv",
            "k2\t",
            "2k\t",
            "par.tsv:3: parameter `2k`, column `parameterId`: `2k` is not a valid identifier; \
             expected letters, digits and underscores, not beginning with a digit",
        ),
        (
            "par.tsv",
            "k2\t",
            "\t",
            "par.tsv:3: parameter, column `parameterId`: is empty; expected an identifier",
        ),
        (
            "par.tsv",
            "k2\tlin",
            "k2\tlog2",
            "par.tsv:3: parameter `k2`, column `parameterScale`: `log2` is not valid; expected \
             lin, log or log10",
        ),
        (
            "par.tsv",
            "k2\tlin",
            "k2\t",
            "par.tsv:3: parameter `k2`, column `parameterScale`: is empty; expected lin, log or \
             log10",
        ),
        (
            "par.tsv",
            "0.01\t100",
            "0.01\t1O0",
            "par.tsv:2: parameter `k1`, column `upperBound`: `1O0` is not valid; expected a \
             number on the linear scale",
        ),
        (
            "par.tsv",
            "0.01\t100",
            "\t100",
            "par.tsv:2: parameter `k1`, column `lowerBound`: is empty; expected a number on the \
             linear scale",
        ),
        (
            "par.tsv",
            "0.01\t100",
            "0\t100",
            "par.tsv:2: parameter `k1`, column `lowerBound`: 0 has no log10 scale; expected a \
             positive number, or parameterScale lin",
        ),
        (
            "par.tsv",
            "0.01\t100",
            "200\t100",
            "par.tsv:2: parameter `k1`, column `lowerBound`: lower bound 200 is above upper \
             bound 100",
        ),
        (
            "par.tsv",
            "\t3\t0\n",
            "\t\t0\n",
            "par.tsv:5: parameter `fixed`, column `nominalValue`: is empty; expected the value \
             of the parameter, as it is not estimated",
        ),
        (
            "par.tsv",
            "\t3\t0\n",
            "\tinf\t0\n",
            "par.tsv:5: parameter `fixed`, column `nominalValue`: `inf` is not valid; expected \
             a finite number on the linear scale",
        ),
        (
            "par.tsv",
            "\t1.0\n",
            "\t2\n",
            "par.tsv:3: parameter `k2`, column `estimate`: `2` is not valid; expected 1 \
             (estimated) or 0 (fixed)",
        ),
        (
            "par.tsv",
            "logNormal",
            "cauchy",
            "par.tsv:4: parameter `scale`, column `objectivePriorType`: `cauchy` is not valid; \
             expected uniform, normal, laplace, logNormal, logLaplace, parameterScaleUniform, \
             parameterScaleNormal or parameterScaleLaplace",
        ),
        (
            "par.tsv",
            "\t0;1\n",
            "\t0;1;2\n",
            "par.tsv:4: parameter `scale`, column `objectivePriorParameters`: prior `logNormal` \
             takes 2 numbers, not 3",
        ),
        (
            "par.tsv",
            "\t0;1\n",
            "\t0;k1\n",
            "par.tsv:4: parameter `scale`, column `objectivePriorParameters`: `0;k1` is not \
             valid; expected finite numbers separated by `;`",
        ),
        (
            "par.tsv",
            "\t0;1\n",
            "\n",
            "par.tsv:4: parameter `scale`, column `objectivePriorParameters`: is empty; expected \
             the prior's parameters, separated by `;`",
        ),
        (
            "par.tsv",
            "-1; 0.5",
            "-1; -0.5",
            "par.tsv:2: parameter `k1`, column `objectivePriorParameters`: prior \
             `parameterScaleNormal`: standard deviation is -0.5; expected a positive number",
        ),
        (
            "par.tsv",
            "logNormal\t0;1",
            "uniform\t1;0",
            "par.tsv:4: parameter `scale`, column `objectivePriorParameters`: prior `uniform`: \
             upper bound is 0; expected a number above the lower bound",
        ),
    ]);
}

#[test]
fn broken_conditions() {
    problem().check_errors(&[
        (
            "con.tsv",
            "conditionId",
            "id",
            "con.tsv:1: missing column `conditionId`; the table has `id`, `conditionName`, \
             `dose`, `A`, `B`",
        ),
        (
            "con.tsv",
            "\nc0",
            "\npre",
            "con.tsv:3: condition `pre`, column `conditionId`: `pre` is defined twice, first at \
             con.tsv:2",
        ),
        (
            "con.tsv",
            "\tdose",
            "\tk1",
            "con.tsv:2: condition `pre`, column `k1`: `k1` is in the parameter table; a \
             condition may only set entities that are not",
        ),
        (
            "con.tsv",
            "\tdose",
            "\tthe dose",
            "con.tsv:2: condition `pre`, column `the dose`: `the dose` is not a valid \
             identifier; expected letters, digits and underscores, not beginning with a digit",
        ),
        (
            "con.tsv",
            "k2",
            "2 * k2",
            "con.tsv:3: condition `c0`, column `A`: `2 * k2` is not valid; expected a number, \
             the id of a parameter, or nothing to keep the model's value",
        ),
        ("con.tsv", "dose", "A", "con.tsv:1: column `A` occurs twice in the header"),
    ]);
}

#[test]
fn broken_observables() {
    problem().check_errors(&[
        (
            "obs.tsv",
            "z\tA",
            "z\t",
            "obs.tsv:3: observable `z`, column `observableFormula`: is empty; expected a formula",
        ),
        (
            "obs.tsv",
            "z\tA",
            "z\tA **2",
            "obs.tsv:3: observable `z`, column `observableFormula`: column 4: found `*`; \
             expected a number, an identifier, a function call, `(`, or a sign",
        ),
        (
            "obs.tsv",
            "\t0.5",
            "\t",
            "obs.tsv:3: observable `z`, column `noiseFormula`: is empty; expected a formula",
        ),
        (
            "obs.tsv",
            "\t0.5",
            "\t1-1",
            "obs.tsv:3: observable `z`, column `noiseFormula`: the noise is 0; expected a \
             positive number",
        ),
        (
            "obs.tsv",
            "\tlog10",
            "\tln",
            "obs.tsv:3: observable `z`, column `observableTransformation`: `ln` is not valid; \
             expected lin, log or log10",
        ),
        (
            "obs.tsv",
            "\tlaplace",
            "\tlog-normal",
            "obs.tsv:3: observable `z`, column `noiseDistribution`: `log-normal` is not valid; \
             expected normal or laplace",
        ),
        (
            "obs.tsv",
            "\nz",
            "\ny",
            "obs.tsv:3: observable `y`, column `observableId`: `y` is defined twice, first at \
             obs.tsv:2",
        ),
        (
            "obs.tsv",
            "observableParameter1_y",
            "observableParameter3_y",
            "obs.tsv:2: observable `y`, column `observableFormula`: placeholder \
             `observableParameter1_y` is missing; placeholders are numbered from 1 without gaps",
        ),
        (
            "par.tsv",
            "k2",
            "noiseParameter1_y",
            "obs.tsv:2: observable `y`, column `noiseFormula`: placeholder `noiseParameter1_y` \
             must not be in the parameter table (par.tsv:3)",
        ),
    ]);
}

#[test]
fn broken_measurements() {
    problem().check_errors(&[
        (
            "mes.tsv",
            "\tsimulationConditionId\ttime",
            "\tcondition\tt",
            "mes.tsv:1: missing column `simulationConditionId`, `time`; the table has \
             `observableId`, `preequilibrationConditionId`, `condition`, `t`, `measurement`, \
             `observableParameters`, `noiseParameters`, `datasetId`",
        ),
        (
            "mes.tsv",
            "\nz",
            "\nx",
            "mes.tsv:3: measurement of `x`, column `observableId`: unknown observable `x`; \
             expected one of y, z",
        ),
        (
            "mes.tsv",
            "\nz",
            "\n",
            "mes.tsv:3: measurement, column `observableId`: is empty; expected the id of an \
             observable",
        ),
        (
            "mes.tsv",
            "z\t\tc0",
            "z\t\tc1",
            "mes.tsv:3: measurement of `z`, column `simulationConditionId`: unknown condition \
             `c1`; expected one of pre, c0",
        ),
        (
            "mes.tsv",
            "z\t\tc0",
            "z\t\t",
            "mes.tsv:3: measurement of `z`, column `simulationConditionId`: is empty; expected \
             the id of a condition",
        ),
        (
            "mes.tsv",
            "z\t\tc0",
            "z\tc9\tc0",
            "mes.tsv:3: measurement of `z`, column `preequilibrationConditionId`: unknown \
             condition `c9`; expected one of pre, c0",
        ),
        (
            "mes.tsv",
            "\t2\n",
            "\tNaN\n",
            "mes.tsv:3: measurement of `z`, column `measurement`: `NaN` is not valid; expected a \
             finite number",
        ),
        (
            "mes.tsv",
            "\t2\n",
            "\tinf\n",
            "mes.tsv:3: measurement of `z`, column `measurement`: `inf` is not valid; expected \
             a finite number",
        ),
        (
            "mes.tsv",
            "\t2\n",
            "\t0\n",
            "mes.tsv:3: measurement of `z`, column `measurement`: 0 has no logarithm, which the \
             noise of observable `z` takes; expected a positive number",
        ),
        (
            "mes.tsv",
            "inf",
            "-inf",
            "mes.tsv:3: measurement of `z`, column `time`: `-inf` is not valid; expected a \
             finite time, or inf for a steady state",
        ),
        (
            "mes.tsv",
            "\tinf",
            "\t-1",
            "mes.tsv:3: measurement of `z`, column `time`: -1 is before the start of the \
             simulation, which is at 0",
        ),
        (
            "mes.tsv",
            "scale;2",
            "scale",
            "mes.tsv:2: measurement of `y`, column `observableParameters`: 1 given, but \
             observable `y` has 2 (observableParameter1_y, observableParameter2_y)",
        ),
        (
            "mes.tsv",
            "\t2\n",
            "\t2\t1;2\n",
            "mes.tsv:3: measurement of `z`, column `observableParameters`: 2 given, but \
             observable `z` has 0 (no placeholders)",
        ),
        (
            "mes.tsv",
            "scale;2",
            "scale;",
            "mes.tsv:2: measurement of `y`, column `observableParameters`: `` is not valid; \
             expected finite numbers or ids of the parameter table, separated by `;`",
        ),
        (
            "mes.tsv",
            "scale;2",
            "scale;A",
            "mes.tsv:2: measurement of `y`, column `observableParameters`: unknown parameter \
             `A`; expected one of k1, k2, scale, fixed",
        ),
        (
            "mes.tsv",
            "scale;2",
            "scale;inf",
            "mes.tsv:2: measurement of `y`, column `observableParameters`: `inf` is not valid; \
             expected finite numbers or ids of the parameter table, separated by `;`",
        ),
    ]);
    let noise = "noiseParameter1_y * observableParameter2_y + noiseParameter1 + noiseParameter2_z";
    let files = problem().with("obs.tsv", noise, "noiseParameter1_y").with("mes.tsv", "0.1", "0");
    assert_eq!(
        files.error(),
        "mes.tsv:2: measurement of `y`, column `noiseParameters`: the noise is 0; expected a \
         positive number"
    );
    let mut files = problem();
    let table = &mut files.0[4].1;
    table.truncate(table.find('\n').unwrap());
    assert_eq!(files.error(), "p.yaml: the problem has no measurements");
}
