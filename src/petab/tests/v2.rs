use super::*;
use crate::math::Expr;

pub(super) fn problem() -> Files {
    Files::new(&[
        (
            "p.yaml",
            "format_version: 2.0.0\n\
             id: example\n\
             parameter_files: [par.tsv]\n\
             model_files:\n  \
               m:\n    \
                 location: m.xml\n    \
                 language: sbml\n\
             measurement_files: [mes.tsv]\n\
             observable_files: [obs.tsv]\n\
             condition_files: [con.tsv]\n\
             experiment_files: [exp.tsv]\n\
             mapping_files: [map.tsv]\n\
             extensions:\n  \
               harmless:\n    \
                 version: 1.0.0\n    \
                 required: false\n",
        ),
        (
            "par.tsv",
            "parameterId\tlowerBound\tupperBound\tnominalValue\testimate\tpriorDistribution\t\
             priorParameters\n\
             k1\t0\tinf\t0.1\ttrue\tgamma\t3;5\n\
             k2\t1\t3\t\tTrue\n\
             k3\t0\tinf\t1\ttrue\n\
             fixed\t\t\t3\tfalse\n",
        ),
        (
            "con.tsv",
            "conditionId\ttargetId\ttargetValue\n\
             c0\tA\tk1 + 2 * A\n\
             c1\tB\t4\n\
             c0\tdose\t1\n",
        ),
        (
            "exp.tsv",
            "experimentId\ttime\tconditionId\n\
             e0\t5\tc0\n\
             e0\t-inf\tc1\n\
             e0\t5\tc1\n\
             e1\t-20\t\n",
        ),
        (
            "obs.tsv",
            "observableId\tobservableFormula\tnoiseFormula\tnoiseDistribution\t\
             observablePlaceholders\tnoisePlaceholders\n\
             y\tfactor * A + offset\tsd * y\tlaplace\tfactor; offset\tsd\n\
             z\tA\t0.5\tlog-normal\n",
        ),
        (
            "mes.tsv",
            "modelId\tobservableId\texperimentId\ttime\tmeasurement\tobservableParameters\t\
             noiseParameters\n\
             \ty\te0\t5\t1\tk2;1\t0.1\n\
             m\tz\t\t0\t2\n\
             \tz\te1\t-20\t2\n",
        ),
        ("map.tsv", "petabEntityId\tmodelEntityId\tname\nr1_k\tr1.k\trate\nA\t\tannotated\n"),
    ])
}

#[test]
fn a_problem_is_read() {
    let problem = problem().load();
    assert_eq!((problem.format, problem.id.as_deref()), (FormatVersion::V2, Some("example")));
    let prior = |id: &str| problem.parameter(id).unwrap().objective_prior;
    let linear = |distribution| Some(Prior { space: PriorSpace::Linear, distribution });
    assert_eq!(prior("k1"), linear(Distribution::Gamma { shape: 3.0, scale: 5.0 }));
    // Implied by the prior of k1, where the bounds are finite.
    assert_eq!(prior("k2"), linear(Distribution::Uniform { lower: 1.0, upper: 3.0 }));
    assert_eq!((prior("k3"), prior("fixed")), (None, None));
    assert_eq!(problem.parameter("k1").unwrap().scale, ParameterScale::Lin);

    let [model] = &problem.models[..] else { panic!() };
    let [y, z] = &model.observables[..] else { panic!() };
    assert_eq!(y.observable_placeholders, ["factor", "offset"]);
    assert_eq!(y.noise_placeholders, ["sd"]);
    assert_eq!(y.noise_formula.symbols(), ["sd", "y"]);
    assert_eq!(
        (y.transformation, y.distribution),
        (Transformation::Lin, NoiseDistribution::Laplace)
    );
    assert_eq!(
        (z.transformation, z.distribution),
        (Transformation::Log, NoiseDistribution::Normal)
    );
    let [c0, c1] = &model.conditions[..] else { panic!() };
    let targets: Vec<_> = c0.changes.iter().map(|change| change.target.as_str()).collect();
    assert_eq!(targets, ["A", "dose"]);
    assert_eq!(c0.changes[0].value.symbols(), ["k1", "A"]);
    assert_eq!(c1.changes[0].value, Expr::Number(4.0));

    let [e0, e1, unnamed] = &model.experiments[..] else { panic!() };
    let period = |time, conditions: &[usize]| Period {
        time,
        conditions: conditions.iter().map(|index| ConditionIdx(*index)).collect(),
    };
    assert_eq!(e0.periods, [period(f64::NEG_INFINITY, &[1]), period(5.0, &[0, 1])]);
    assert_eq!((e0.start(), e1.start()), (Some(5.0), Some(-20.0)));
    assert_eq!(e1.periods, [period(-20.0, &[])]);
    assert_eq!((unnamed.id.as_str(), &unnamed.periods[..]), ("", &[period(0.0, &[])][..]));
    let experiments: Vec<_> = model.measurements.iter().map(|m| m.experiment).collect();
    assert_eq!(experiments, [ExperimentIdx(0), ExperimentIdx(2), ExperimentIdx(1)]);

    assert_eq!(model.mapping[0].model_entity.as_deref(), Some("r1.k"));
    assert_eq!(model.mapping[1].model_entity, None);
}

#[test]
fn measurements_are_assigned_to_models() {
    let two = problem().with(
        "p.yaml",
        "measurement_files",
        "  n: {location: n.xml, language: sbml}\nmeasurement_files",
    );
    assert_eq!(
        two.error(),
        "mes.tsv:2: measurement of `y`, column `modelId`: is empty; expected the id of a model, \
         as the problem has several"
    );
    let problem = two.with("mes.tsv", "\n\t", "\nn\t").load();
    let found: Vec<_> = problem
        .models
        .iter()
        .map(|model| (model.model_id.as_str(), model.measurements.len()))
        .collect();
    assert_eq!(found, [("m", 1), ("n", 2)]);
    assert_eq!(problem.models[1].measurements[1].row, 2);
}

#[test]
fn all_priors() {
    use Distribution as D;
    for (text, distribution) in [
        ("cauchy\t3;5", D::Cauchy { location: 3.0, scale: 5.0 }),
        ("chisquare\t4", D::ChiSquare { degrees: 4.0 }),
        ("exponential\t3", D::Exponential { scale: 3.0 }),
        ("laplace\t3;5", D::Laplace { location: 3.0, scale: 5.0 }),
        ("log-laplace\t3;5", D::LogLaplace { location: 3.0, scale: 5.0 }),
        ("log-normal\t5;2", D::LogNormal { mean: 5.0, sd: 2.0 }),
        ("log-uniform\t3;5", D::LogUniform { lower: 3.0, upper: 5.0 }),
        ("normal\t-4;2", D::Normal { mean: -4.0, sd: 2.0 }),
        ("rayleigh\t3", D::Rayleigh { scale: 3.0 }),
        ("uniform\t2;8", D::Uniform { lower: 2.0, upper: 8.0 }),
    ] {
        let problem = problem().with("par.tsv", "gamma\t3;5", text).load();
        let prior = problem.parameter("k1").unwrap().objective_prior.unwrap();
        assert_eq!(prior.distribution, distribution);
    }
}

#[test]
fn broken_problem_files() {
    problem().check_errors(&[
        (
            "p.yaml",
            "required: false",
            "required: true",
            "p.yaml: the problem requires the PEtab extension `harmless`, which gradsweep does \
             not know; no extension is supported",
        ),
        (
            "p.yaml",
            "language: sbml",
            "language: pysb",
            "p.yaml: model `m` is written in `pysb`; only `sbml` is supported",
        ),
        (
            "p.yaml",
            "  m:",
            "  m-1:",
            "p.yaml: `m-1` is not a valid identifier; expected letters, digits and underscores, \
             not beginning with a digit",
        ),
        (
            "p.yaml",
            "[par.tsv]",
            "[]",
            "p.yaml: `parameter_files` is empty; expected at least one entry",
        ),
        (
            "p.yaml",
            "mapping_files",
            "visualization_files",
            "p.yaml: unknown field `visualization_files`, expected one of format_version, id, \
             parameter_files, model_files, measurement_files, observable_files, condition_files, \
             experiment_files, mapping_files, extensions at line 12, column 1",
        ),
        (
            "p.yaml",
            "required: false",
            "other: 1",
            "p.yaml: missing field `required` at line 16, column 5",
        ),
    ]);
}

#[test]
fn the_known_identifiers_are_listed_in_part() {
    let mut files = problem();
    let experiments: String = (2..12).map(|n| format!("e{n}\t0\t\n")).collect();
    files.0[3].1.push_str(&experiments);
    assert_eq!(
        files.with("mes.tsv", "\te1\t-20", "\te\t0").error(),
        "mes.tsv:4: measurement of `z`, column `experimentId`: unknown experiment `e`; expected \
         one of e0, e1, e2, e3, e4, e5, e6, e7 and 4 more"
    );
}

#[test]
fn broken_tables() {
    problem().check_errors(&[
        (
            "par.tsv",
            "\ttrue\tgamma",
            "\t1\tgamma",
            "par.tsv:2: parameter `k1`, column `estimate`: `1` is not valid; expected true \
             (estimated) or false (fixed)",
        ),
        (
            "par.tsv",
            "gamma\t3;5",
            "gamma\t3;0",
            "par.tsv:2: parameter `k1`, column `priorParameters`: prior `gamma`: scale is 0; \
             expected a positive number",
        ),
        (
            "par.tsv",
            "gamma\t3;5",
            "log-uniform\t0;5",
            "par.tsv:2: parameter `k1`, column `priorParameters`: prior `log-uniform`: lower \
             bound is 0; expected a positive number",
        ),
        (
            "par.tsv",
            "gamma\t3;5",
            "\t3;5",
            "par.tsv:2: parameter `k1`, column `priorDistribution`: is empty; expected a \
             distribution, as parameters are given",
        ),
        (
            "par.tsv",
            "gamma\t3;5",
            "logNormal\t3;5",
            "par.tsv:2: parameter `k1`, column `priorDistribution`: `logNormal` is not valid; \
             expected cauchy, chisquare, exponential, gamma, laplace, log-laplace, log-normal, \
             log-uniform, normal, rayleigh or uniform",
        ),
        (
            "par.tsv",
            "k2\t",
            "Exp\t",
            "par.tsv:3: parameter `Exp`, column `parameterId`: `Exp` is a reserved word of PEtab \
             math; choose another identifier",
        ),
        (
            "con.tsv",
            "c0\tdose",
            "c0\tA",
            "con.tsv:4: condition `c0`, column `targetId`: `A` is set twice, also at con.tsv:2",
        ),
        (
            "con.tsv",
            "c1\tB",
            "c1\tk1",
            "con.tsv:3: condition `c1`, column `targetId`: `k1` is in the parameter table; a \
             condition may only set entities that are not",
        ),
        (
            "con.tsv",
            "c1\tB\t4",
            "c1\tB\t",
            "con.tsv:3: condition `c1`, column `targetValue`: is empty; expected a formula",
        ),
        (
            "con.tsv",
            "c1\tB\t4",
            "c1\tB\t4)",
            "con.tsv:3: condition `c1`, column `targetValue`: column 2: found `)`; expected an \
             operator, or the end of the formula",
        ),
        (
            "con.tsv",
            "c1\tB",
            "c1\tA",
            "exp.tsv:4: experiment `e0`, column `conditionId`: `A` is set twice, also at \
             exp.tsv:2",
        ),
        (
            "exp.tsv",
            "e0\t5\tc0",
            "e0\tinf\tc0",
            "exp.tsv:2: experiment `e0`, column `time`: `inf` is not valid; expected a finite \
             time, or -inf for a pre-equilibration",
        ),
        (
            "exp.tsv",
            "e0\t5\tc0",
            "e0\t5\tc7",
            "exp.tsv:2: experiment `e0`, column `conditionId`: unknown condition `c7`; expected \
             one of c0, c1",
        ),
        (
            "obs.tsv",
            "factor; offset",
            "factor; factor",
            "obs.tsv:2: observable `y`, column `observablePlaceholders`: `factor` is defined \
             twice, first at obs.tsv:2",
        ),
        (
            "obs.tsv",
            "factor; offset",
            "factor; ",
            "obs.tsv:2: observable `y`, column `observablePlaceholders`: `` is not a valid \
             identifier; expected letters, digits and underscores, not beginning with a digit",
        ),
        (
            "obs.tsv",
            "log-normal",
            "log10-normal",
            "obs.tsv:3: observable `z`, column `noiseDistribution`: `log10-normal` is not valid; \
             expected normal, log-normal, laplace or log-laplace",
        ),
        (
            "obs.tsv",
            "noisePlaceholders\n",
            "noisePlaceholders\tobservableTransformation\nx\tA\t1\t\t\t\tlog\n",
            "obs.tsv:2: observable `x`, column `observableTransformation`: the column belongs to \
             PEtab v1 and has no meaning in a v2 problem; use noiseDistribution log-normal or \
             log-laplace",
        ),
        (
            "mes.tsv",
            "\te0",
            "\te9",
            "mes.tsv:2: measurement of `y`, column `experimentId`: unknown experiment `e9`; \
             expected one of e0, e1",
        ),
        (
            "mes.tsv",
            "\te0\t5",
            "\te0\t4",
            "mes.tsv:2: measurement of `y`, column `time`: 4 is before the start of the \
             simulation, which is at 5",
        ),
        (
            "exp.tsv",
            "e1\t-20",
            "e1\t-inf",
            "mes.tsv:4: measurement of `z`, column `time`: experiment `e1` has no period with a \
             finite time; expected inf here",
        ),
        (
            "mes.tsv",
            "\nm\t",
            "\nn\t",
            "mes.tsv:3: measurement of `z`, column `modelId`: unknown model `n`; expected one of \
             m",
        ),
        (
            "map.tsv",
            "A\t",
            "r1_k\t",
            "map.tsv:3: mapping `r1_k`, column `petabEntityId`: `r1_k` is defined twice, first \
             at map.tsv:2",
        ),
    ]);
}
