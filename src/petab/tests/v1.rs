use super::*;
use crate::math::Expr;

pub(super) fn problem() -> Files {
    Files::new(&[
        (
            "p.yaml",
            "format_version: 1\n\
             parameter_file: par.tsv\n\
             problems:\n\
             - sbml_files: [m.xml]\n  \
               measurement_files: [mes.tsv]\n  \
               condition_files: [con.tsv]\n  \
               observable_files: [obs.tsv]\n",
        ),
        (
            "par.tsv",
            "parameterId\tparameterScale\tlowerBound\tupperBound\tnominalValue\testimate\t\
             objectivePriorType\tobjectivePriorParameters\tinitializationPriorType\n\
             k1\tlog10\t0.01\t100\t0.1\t1\tparameterScaleNormal\t-1; 0.5\tparameterScaleUniform\n\
             k2\tlin\t-5\t5\t\t1.0\n\
             scale\tlog\t0.1\t10\t1\t1\tlogNormal\t0;1\n\
             fixed\tlin\t\t\t3\t0\n",
        ),
        (
            "con.tsv",
            "conditionId\tconditionName\tdose\tA\tB\n\
             pre\tbefore\t0\t\t1\n\
             c0\tcontrol\t1e-3\tk2\tNaN\n",
        ),
        (
            "obs.tsv",
            "observableId\tobservableFormula\tnoiseFormula\tobservableTransformation\t\
             noiseDistribution\n\
             y\tobservableParameter1_y * (A + B) + observableParameter2_y\t\
             noiseParameter1_y * observableParameter2_y + noiseParameter1 + noiseParameter2_z\n\
             z\tA\t0.5\tlog10\tlaplace\n",
        ),
        (
            "mes.tsv",
            "observableId\tpreequilibrationConditionId\tsimulationConditionId\ttime\tmeasurement\t\
             observableParameters\tnoiseParameters\tdatasetId\n\
             y\tpre\tc0\t0\t1.5\tscale;2\t0.1\td 1\n\
             z\t\tc0\tinf\t2\n\
             y\tpre\tc0\t10\t-1.5\t 1 ; fixed \tk1\n",
        ),
    ])
}

#[test]
fn a_problem_is_read() {
    let problem = problem().load();
    assert_eq!(problem.format, FormatVersion::V1);
    let ids: Vec<_> = problem.estimated().map(|parameter| parameter.id.as_str()).collect();
    assert_eq!(ids, ["k1", "k2", "scale"]);

    let k1 = problem.parameter("k1").unwrap();
    assert_eq!((k1.scale, k1.lower_bound, k1.nominal), (ParameterScale::Log10, 0.01, Some(0.1)));
    assert_eq!(k1.scaled_bounds(), (-2.0, 2.0));
    assert_eq!((k1.scale(1000.0), k1.unscale(-1.0)), (3.0, 0.1));
    assert_eq!(k1.place.to_string().rsplit('/').next(), Some("par.tsv:2"));
    let normal = Distribution::Normal { mean: -1.0, sd: 0.5 };
    let space = PriorSpace::ParameterScale;
    assert_eq!(k1.objective_prior, Some(Prior { space, distribution: normal }));
    let uniform = Distribution::Uniform { lower: -2.0, upper: 2.0 };
    assert_eq!(k1.initialization_prior, Some(Prior { space, distribution: uniform }));

    let k2 = problem.parameter("k2").unwrap();
    assert_eq!((k2.nominal, k2.objective_prior), (None, None));
    let fixed = problem.parameter("fixed").unwrap();
    assert!(!fixed.estimated);
    assert_eq!((fixed.lower_bound, fixed.upper_bound), (f64::NEG_INFINITY, f64::INFINITY));

    let model = &problem.models[0];
    assert_eq!(model.model_id, "m");
    assert!(model.model_location.ends_with("m.xml"));
    let [y, z] = &model.observables[..] else { panic!() };
    assert_eq!(y.observable_placeholders, ["observableParameter1_y", "observableParameter2_y"]);
    // Look-alikes are ordinary symbols.
    assert_eq!(y.noise_placeholders, ["noiseParameter1_y"]);
    assert_eq!(
        (z.transformation, z.distribution),
        (Transformation::Log10, NoiseDistribution::Laplace)
    );
    assert_eq!(z.noise_formula, Expr::Number(0.5));

    let [pre, c0] = &model.conditions[..] else { panic!() };
    let changes = |condition: &Condition| -> Vec<_> {
        condition.changes.iter().map(|c| (c.target.clone(), c.value.clone())).collect()
    };
    let number = |target: &str, value| (target.to_owned(), Expr::Number(value));
    assert_eq!(changes(pre), [number("dose", 0.0), number("B", 1.0)]);
    assert_eq!(changes(c0), [number("dose", 1e-3), ("A".to_owned(), Expr::symbol("k2"))]);
    assert_eq!(
        (&pre.kept_targets[..], &c0.kept_targets[..]),
        (&["A".into()][..], &["B".into()][..])
    );

    let [both, plain] = &model.experiments[..] else { panic!() };
    assert_eq!((both.id.as_str(), plain.id.as_str()), ("pre/c0", "c0"));
    let period = |time, condition| Period { time, conditions: vec![ConditionIdx(condition)] };
    assert_eq!(both.periods, [period(f64::NEG_INFINITY, 0), period(0.0, 1)]);
    assert_eq!(plain.periods, [period(0.0, 1)]);

    let [first, steady, last] = &model.measurements[..] else { panic!() };
    assert_eq!((first.observable, first.experiment), (ObservableIdx(0), ExperimentIdx(0)));
    let parameter = |id: &str| Override::Parameter(id.to_owned());
    assert_eq!(first.observable_parameters, [parameter("scale"), Override::Number(2.0)]);
    assert_eq!(first.noise_parameters, [Override::Number(0.1)]);
    assert_eq!((steady.time, steady.experiment), (f64::INFINITY, ExperimentIdx(1)));
    assert_eq!((last.time, last.value), (10.0, -1.5));
    assert_eq!(last.observable_parameters, [Override::Number(1.0), parameter("fixed")]);
    let table = &model.measurement_tables[first.table];
    assert_eq!(table.row(first.row).unwrap().cell(7), "d 1");
}

#[test]
fn tables_of_a_kind_are_concatenated_and_models_share_parameters() {
    let mut files = problem().with(
        "p.yaml",
        "measurement_files: [mes.tsv]",
        "measurement_files: [mes.tsv, more.tsv]",
    );
    files.0.push((
        "more.tsv",
        "simulationConditionId\tobservableId\ttime\tmeasurement\nc0\tz\t1\t3\n".to_owned(),
    ));
    let entry = "- sbml_files: [n.xml]\n  measurement_files: [more.tsv]\n  condition_files: \
                 [con.tsv]\n  observable_files: [obs.tsv]\n";
    files.0[0].1.push_str(entry);
    let problem = files.load();
    let rows: Vec<_> = problem.models.iter().map(|model| model.measurements.len()).collect();
    assert_eq!(rows, [4, 1]);
    let last = &problem.models[0].measurements[3];
    assert_eq!((last.table, last.row, last.experiment), (1, 0, ExperimentIdx(1)));
    assert_eq!(problem.models[1].model_id, "n");
}

#[test]
fn bounds_may_coincide() {
    let problem = problem().with("par.tsv", "-5\t5", "5\t5").load();
    assert_eq!(problem.parameter("k2").unwrap().scaled_bounds(), (5.0, 5.0));
}
