//! Events, periods and rates that jump, on closed forms: values, gradients and verdicts.
//!
//! Every case is a decay A' = -k·A from A(0) = 1 beside B' = 0, B(0) = 0, in PEtab v2, with
//! something that happens; its closed form is written next to it.

use gradsweep::check::{self, CheckPlan, own_gradient};
use gradsweep::engine::EngineError;
use gradsweep::engine::cpu::CpuEngine;
use gradsweep::index::ParameterIdx;
use gradsweep::model::{self, OdeProblem};
use gradsweep::startpoints;
use gradsweep::sweep::{Evaluator, OwnGradients, Settings, StepMode, no_refinement};
use std::f64::consts::PI;
use std::fs;
use std::path::Path;

/// Outputs; none is ever at the time of an event.
const TIMES: [f64; 6] = [0.3, 1.07, 1.9, 2.63, 3.71, 5.2];
const SIGMA: f64 = 0.1;

/// Something that happens to the decay.
struct Case {
    name: &'static str,
    /// Estimated parameters with their bounds.
    parameters: &'static [(&'static str, f64, f64)],
    /// Further parameters of the model.
    constants: &'static str,
    events: String,
    /// A', where that is not -k·A.
    rate: Option<String>,
    /// Rows of the condition and of the experiment table.
    conditions: &'static str,
    experiments: &'static str,
    /// A and B at a time.
    closed_form: fn(&[f64], f64) -> [f64; 2],
}

fn ci(id: &str) -> String {
    format!("<ci>{id}</ci>")
}

fn cn(value: f64) -> String {
    format!("<cn>{value}</cn>")
}

fn apply(operator: &str, arguments: &[String]) -> String {
    format!("<apply><{operator}/>{}</apply>", arguments.concat())
}

fn time() -> String {
    "<csymbol encoding=\"text\" definitionURL=\"http://www.sbml.org/sbml/symbols/time\">t\
     </csymbol>"
        .to_owned()
}

fn math(content: &str) -> String {
    format!("<math xmlns=\"http://www.w3.org/1998/Math/MathML\">{content}</math>")
}

/// What an event element says beside its trigger and assignments.
#[derive(Clone, Copy)]
struct Flags<'a> {
    initial_value: bool,
    persistent: bool,
    from_trigger_time: bool,
    delay: Option<&'a str>,
    priority: Option<f64>,
}

const PLAIN: Flags<'static> = Flags {
    initial_value: true,
    persistent: true,
    from_trigger_time: true,
    delay: None,
    priority: None,
};

fn event(trigger: &str, flags: Flags<'_>, assignments: &[(&str, String)]) -> String {
    let mut text = format!(
        "<event useValuesFromTriggerTime=\"{}\"><trigger initialValue=\"{}\" \
         persistent=\"{}\">{}</trigger>",
        flags.from_trigger_time,
        flags.initial_value,
        flags.persistent,
        math(trigger)
    );
    if let Some(priority) = flags.priority {
        text.push_str(&format!("<priority>{}</priority>", math(&cn(priority))));
    }
    if let Some(delay) = flags.delay {
        text.push_str(&format!("<delay>{}</delay>", math(delay)));
    }
    text.push_str("<listOfEventAssignments>");
    for (variable, value) in assignments {
        text.push_str(&format!(
            "<eventAssignment variable=\"{variable}\">{}</eventAssignment>",
            math(value)
        ));
    }
    text + "</listOfEventAssignments></event>"
}

fn piecewise(value: &str, condition: &str, otherwise: &str) -> String {
    format!(
        "<piecewise><piece>{value}{condition}</piece><otherwise>{otherwise}</otherwise></piecewise>"
    )
}

fn plus(a: &str, b: &str) -> String {
    apply("plus", &[ci(a), ci(b)])
}

fn at_time(id: &str) -> String {
    apply("geq", &[time(), ci(id)])
}

fn cases() -> Vec<Case> {
    let dose_with = |flags: Flags<'_>| event(&at_time("t_on"), flags, &[("A", plus("A", "dose"))]);
    let delayed = |from_trigger_time: bool| {
        dose_with(Flags { delay: Some("<ci>d</ci>"), from_trigger_time, ..PLAIN })
    };
    let below = apply("lt", &[ci("A"), ci("threshold")]);
    let decay = |rate: &str| apply("times", &[cn(-1.0), ci(rate), ci("A")]);
    let sine = apply("sin", &[apply("times", &[ci("omega"), time()])]);
    let is_on = apply("gt", &[sine, cn(0.0)]);
    let above = apply("geq", &[ci("A"), ci("threshold")]);
    let double = apply("times", &[cn(2.0), ci("A")]);
    let window = apply("and", &[apply("geq", &[time(), cn(1.0)]), apply("lt", &[time(), cn(2.0)])]);
    let after_window = |persistent: bool| {
        let flags = Flags { persistent, delay: Some("<cn>1.5</cn>"), ..PLAIN };
        event(&window, flags, &[("B", plus("B", "dose"))])
    };
    const DOSE: &[(&str, f64, f64)] = &[("k", 0.2, 1.0), ("dose", 0.5, 2.0), ("t_on", 1.2, 1.8)];
    const DELAYED: &[(&str, f64, f64)] =
        &[("k", 0.2, 1.0), ("dose", 0.5, 2.0), ("t_on", 0.4, 0.9), ("d", 0.7, 0.95)];
    const THRESHOLD: &[(&str, f64, f64)] =
        &[("k", 0.4, 0.5), ("threshold", 0.55, 0.6), ("boost", 0.2, 0.3)];
    const TWO: &[(&str, f64, f64)] = &[("k", 0.2, 1.0), ("dose", 0.5, 2.0)];
    vec![
        Case {
            name: "a dose at an estimated time",
            parameters: DOSE,
            constants: "",
            events: dose_with(PLAIN),
            rate: None,
            conditions: "",
            experiments: "",
            closed_form: |p, t| {
                let dosed = if t > p[2] { p[1] * (-p[0] * (t - p[2])).exp() } else { 0.0 };
                [(-p[0] * t).exp() + dosed, 0.0]
            },
        },
        Case {
            name: "a delayed dose, values from the trigger's time",
            parameters: DELAYED,
            constants: "",
            events: delayed(true),
            rate: None,
            conditions: "",
            experiments: "",
            closed_form: |p, t| {
                let (k, end) = (p[0], p[2] + p[3]);
                if t < end {
                    return [(-k * t).exp(), 0.0];
                }
                [((-k * p[2]).exp() + p[1]) * (-k * (t - end)).exp(), 0.0]
            },
        },
        Case {
            name: "a delayed dose, values from the execution's time",
            parameters: DELAYED,
            constants: "",
            events: delayed(false),
            rate: None,
            conditions: "",
            experiments: "",
            closed_form: |p, t| {
                let (k, end) = (p[0], p[2] + p[3]);
                let dosed = if t > end { p[1] * (-k * (t - end)).exp() } else { 0.0 };
                [(-k * t).exp() + dosed, 0.0]
            },
        },
        Case {
            name: "a threshold, again and again",
            parameters: THRESHOLD,
            constants: "",
            events: event(
                &below,
                PLAIN,
                &[
                    ("A", plus("A", "boost")),
                    ("B", apply("plus", &[ci("B"), ci("A"), ci("boost")])),
                ],
            ),
            rate: None,
            conditions: "",
            experiments: "",
            closed_form: |p, t| {
                let (k, threshold, boost) = (p[0], p[1], p[2]);
                let (mut start, mut from, mut b) = (0.0, 1.0_f64, 0.0);
                loop {
                    let next = start + (from / threshold).ln() / k;
                    if next > t {
                        return [from * (-k * (t - start)).exp(), b];
                    }
                    (start, from, b) = (next, threshold + boost, b + threshold + boost);
                }
            },
        },
        Case {
            name: "a threshold with a delay that depends on states",
            parameters: &[("k", 0.4, 0.5), ("threshold", 0.75, 0.8), ("boost", 0.2, 0.3)],
            constants: "",
            events: event(
                &apply(
                    "and",
                    &[apply("lt", &[ci("A"), ci("threshold")]), apply("lt", &[time(), cn(1.0)])],
                ),
                Flags { delay: Some("<ci>A</ci>"), from_trigger_time: false, ..PLAIN },
                &[("B", plus("A", "boost"))],
            ),
            rate: None,
            conditions: "",
            experiments: "",
            closed_form: |p, t| {
                let executed = (1.0 / p[1]).ln() / p[0] + p[1];
                let b = if t > executed { (-p[0] * executed).exp() + p[2] } else { 0.0 };
                [(-p[0] * t).exp(), b]
            },
        },
        Case {
            name: "two events at one time, by priority",
            parameters: TWO,
            constants: "",
            events: [(1.0, plus("A", "dose")), (2.0, double)]
                .map(|(priority, value)| {
                    let flags =
                        Flags { priority: Some(priority), from_trigger_time: false, ..PLAIN };
                    event(&apply("gt", &[time(), cn(1.5)]), flags, &[("A", value)])
                })
                .concat(),
            rate: None,
            conditions: "",
            experiments: "",
            closed_form: |p, t| {
                if t < 1.5 {
                    return [(-p[0] * t).exp(), 0.0];
                }
                [(2.0 * (-p[0] * 1.5).exp() + p[1]) * (-p[0] * (t - 1.5)).exp(), 0.0]
            },
        },
        Case {
            name: "a trigger that turns false takes its event back",
            parameters: TWO,
            constants: "",
            events: after_window(false),
            rate: None,
            conditions: "",
            experiments: "",
            closed_form: |p, t| [(-p[0] * t).exp(), 0.0],
        },
        Case {
            name: "a persistent trigger does not",
            parameters: TWO,
            constants: "",
            events: after_window(true),
            rate: None,
            conditions: "",
            experiments: "",
            closed_form: |p, t| [(-p[0] * t).exp(), if t > 2.5 { p[1] } else { 0.0 }],
        },
        Case {
            name: "an event at the start",
            parameters: TWO,
            constants: "",
            events: event(
                &apply("gt", &[ci("A"), cn(0.5)]),
                Flags { initial_value: false, ..PLAIN },
                &[("A", plus("A", "dose"))],
            ),
            rate: None,
            conditions: "",
            experiments: "",
            closed_form: |p, t| [(1.0 + p[1]) * (-p[0] * t).exp(), 0.0],
        },
        Case {
            name: "three periods: a parameter passes from one to another, states by formulas",
            parameters: &[("k1", 0.2, 1.0), ("k2", 0.2, 1.0), ("dose", 0.5, 2.0)],
            constants: "<parameter id=\"k\" value=\"7\" constant=\"true\"/>",
            events: String::new(),
            rate: None,
            conditions: "first\tk\tk1\nsecond\tk\t2*k2 + 0.1*k1\nthird\tA\tA/2 + dose\n\
                         third\tB\tA\n",
            experiments: "e\t0.1\tfirst\ne\t1.5\tsecond\ne\t3\tthird\n",
            closed_form: |p, t| {
                let rate = 2.0 * p[1] + 0.1 * p[0];
                let at_second = (-p[0] * 1.4).exp();
                let at_third = at_second * (-rate * 1.5).exp();
                match t {
                    t if t < 1.5 => [(-p[0] * (t - 0.1)).exp(), 0.0],
                    t if t < 3.0 => [at_second * (-rate * (t - 1.5)).exp(), 0.0],
                    t => [(at_third / 2.0 + p[2]) * (-rate * (t - 3.0)).exp(), at_third],
                }
            },
        },
        Case {
            name: "a parameter that a period sets by a state",
            parameters: &[("k1", 0.2, 1.0)],
            constants: "<parameter id=\"k\" value=\"7\" constant=\"true\"/>",
            events: String::new(),
            rate: None,
            conditions: "first\tk\tk1\nsecond\tk\tA\n",
            experiments: "e\t0\tfirst\ne\t1.5\tsecond\n",
            closed_form: |p, t| {
                let k = (-p[0] * 1.5).exp();
                [if t < 1.5 { (-p[0] * t).exp() } else { k * (-k * (t - 1.5)).exp() }, 0.0]
            },
        },
        Case {
            name: "a rate that jumps where a state passes a threshold",
            parameters: &[("k", 0.4, 0.5), ("slow", 0.05, 0.1), ("threshold", 0.55, 0.6)],
            constants: "",
            events: String::new(),
            rate: Some(piecewise(&decay("k"), &above, &decay("slow"))),
            conditions: "",
            experiments: "",
            closed_form: |p, t| {
                let (k, slow, threshold) = (p[0], p[1], p[2]);
                let passed = (1.0 / threshold).ln() / k;
                let a = if t < passed {
                    (-k * t).exp()
                } else {
                    threshold * (-slow * (t - passed)).exp()
                };
                [a, 0.0]
            },
        },
        Case {
            name: "a rate that is on and off as a sine of time is, from an estimated frequency",
            parameters: &[("k", 0.2, 1.0), ("omega", 2.5, 2.6)],
            constants: "",
            events: String::new(),
            rate: Some(piecewise(&decay("k"), &is_on, &cn(0.0))),
            conditions: "",
            experiments: "",
            closed_form: |p, t| {
                let half = PI / p[1];
                let (whole, rest) = ((t / half).floor() as i32, t % half);
                let on =
                    half * f64::from((whole + 1) / 2) + if whole % 2 == 0 { rest } else { 0.0 };
                [(-p[0] * on).exp(), 0.0]
            },
        },
        Case {
            name: "an event on the way to a steady state",
            parameters: &[("k", 0.2, 1.0), ("dose", 0.5, 2.0), ("left", 0.1, 0.3)],
            constants: "",
            events: event(&apply("geq", &[time(), cn(900.0)]), PLAIN, &[("B", plus("B", "dose"))]),
            rate: None,
            conditions: "reset\tA\tleft\n",
            experiments: "e\t-inf\t\ne\t0\treset\n",
            closed_form: |p, t| [p[2] * (-p[0] * t).exp(), p[1]],
        },
    ]
}

fn problem(case: &Case, folder: &Path) -> OdeProblem {
    // The decay's rate is k wherever the case has it.
    let estimated: String = case
        .parameters
        .iter()
        .map(|(id, _, _)| format!("<parameter id=\"{id}\" value=\"1\" constant=\"true\"/>"))
        .collect();
    let decay = apply("times", &[cn(-1.0), ci("k"), ci("A")]);
    let rate = case.rate.clone().unwrap_or(decay);
    let rules = format!(
        "<rateRule variable=\"A\">{}</rateRule><rateRule variable=\"B\">{}</rateRule>",
        math(&rate),
        math(&cn(0.0))
    );
    let list = |name: &str, content: &str| match content {
        "" => String::new(),
        _ => format!("<listOf{name}>{content}</listOf{name}>"),
    };
    let model = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <sbml xmlns=\"http://www.sbml.org/sbml/level3/version2/core\" level=\"3\" \
         version=\"2\"><model id=\"m\"><listOfParameters>\
         <parameter id=\"A\" value=\"1\" constant=\"false\"/>\
         <parameter id=\"B\" value=\"0\" constant=\"false\"/>{estimated}{}</listOfParameters>\
         {}{}</model></sbml>",
        case.constants,
        list("Rules", &rules),
        list("Events", &case.events)
    );
    let mut parameters = "parameterId\tlowerBound\tupperBound\tnominalValue\testimate\n".to_owned();
    for (id, lower, upper) in case.parameters {
        let nominal = 0.5 * (lower + upper);
        parameters.push_str(&format!("{id}\t{lower}\t{upper}\t{nominal}\ttrue\n"));
    }
    let experiment = if case.experiments.is_empty() { "" } else { "e" };
    let mut measurements = "observableId\texperimentId\ttime\tmeasurement\n".to_owned();
    for (i, t) in TIMES.iter().enumerate() {
        for observable in ["obs_A", "obs_B"] {
            let measured = 0.3 + 0.2 * i as f64;
            measurements.push_str(&format!("{observable}\t{experiment}\t{t}\t{measured}\n"));
        }
    }
    for (name, text) in [
        ("model.xml", model),
        (
            "problem.yaml",
            "format_version: 2.0.0\nparameter_files: [parameters.tsv]\nmodel_files:\n  m:\n    \
             location: model.xml\n    language: sbml\nobservable_files: [observables.tsv]\n\
             measurement_files: [measurements.tsv]\ncondition_files: [conditions.tsv]\n\
             experiment_files: [experiments.tsv]\n"
                .to_owned(),
        ),
        ("parameters.tsv", parameters),
        (
            "observables.tsv",
            format!(
                "observableId\tobservableFormula\tnoiseFormula\nobs_A\tA\t{SIGMA}\n\
                 obs_B\tB\t{SIGMA}\n"
            ),
        ),
        ("measurements.tsv", measurements),
        ("conditions.tsv", format!("conditionId\ttargetId\ttargetValue\n{}", case.conditions)),
        ("experiments.tsv", format!("experimentId\ttime\tconditionId\n{}", case.experiments)),
    ] {
        fs::write(folder.join(name), text).unwrap();
    }
    model::load(folder).unwrap_or_else(|e| panic!("{}: {e}", case.name))
}

fn objective(case: &Case, p: &[f64]) -> f64 {
    let mut total = 0.0;
    for (i, &t) in TIMES.iter().enumerate() {
        let measured = 0.3 + 0.2 * i as f64;
        for y in (case.closed_form)(p, t) {
            let z = (y - measured) / SIGMA;
            total += 0.5 * (2.0 * PI).ln() + SIGMA.ln() + 0.5 * z * z;
        }
    }
    total
}

/// The closed form's derivative: central differences, extrapolated once. Truncation and rounding
/// together stay below 1e-8 of the objective's curvature scale.
fn derivative(case: &Case, p: &[f64], j: usize) -> f64 {
    let central = |h: f64| {
        let (mut up, mut down) = (p.to_vec(), p.to_vec());
        up[j] += h;
        down[j] -= h;
        (objective(case, &up) - objective(case, &down)) / (2.0 * h)
    };
    (4.0 * central(1e-4) - central(2e-4)) / 3.0
}

#[test]
fn values_and_gradients_are_those_of_the_closed_forms() {
    for case in cases() {
        let folder = tempfile::tempdir().unwrap();
        let problem = problem(&case, folder.path());
        let points = startpoints::random(&problem.parameters, 8, 0, 5).unwrap().theta_scaled;
        for steps in [StepMode::Shared, StepMode::Adaptive] {
            let settings = Settings { rtol: 1e-10, atol: 1e-14, max_steps: 10_000, steps };
            let both = OwnGradients::Both;
            let evaluator =
                Evaluator::with_gradients(&problem, settings, &CpuEngine, &CpuEngine, both)
                    .unwrap();
            let results = evaluator.evaluate(&points, &[], &[], &no_refinement).unwrap().points;
            for (p, result) in points.iter().zip(&results) {
                let value = result.objective;
                assert!(value.is_ok(), "{} at {p:?}: {value:?}", case.name);
                for (row, prediction) in problem.rows.iter().zip(&result.predictions) {
                    let t = problem.simulations[0].output_times[row.output];
                    let expected = (case.closed_form)(p, t)[row.observable.position()];
                    // The solver's tolerance over a handful of segments.
                    let error = (prediction.y - expected).abs();
                    assert!(
                        error <= 1e-8,
                        "{} at {p:?}, t = {t}: {} against {expected}",
                        case.name,
                        prediction.y
                    );
                }
                let gradients = [&result.gradient, &result.adjoint_gradient];
                let [forward, adjoint] = gradients.map(|g| g.as_ref().unwrap());
                let largest = forward.iter().fold(0.0_f64, |most, d| most.max(d.abs()));
                for (j, parameter) in problem.parameters.iter().enumerate() {
                    let expected = derivative(&case, p, j);
                    // The solver's tolerance times 1/sigma², and the differences' own error.
                    for gradient in [forward, adjoint] {
                        let error = (gradient[j] - expected).abs();
                        assert!(
                            error <= 3e-6 * expected.abs().max(1.0),
                            "{}, {} at {p:?}: {} against {expected}",
                            case.name,
                            parameter.id,
                            gradient[j]
                        );
                    }
                    // One is the transpose of the other: they differ by rounding.
                    let difference = (forward[j] - adjoint[j]).abs();
                    assert!(
                        difference <= 1e-11 * largest.max(1e-3),
                        "{}, {} at {p:?}: {difference:e} of {largest}",
                        case.name,
                        parameter.id
                    );
                }
            }
        }
    }
}

#[test]
fn the_right_gradient_passes_and_a_wrong_one_fails() {
    for case in cases() {
        let folder = tempfile::tempdir().unwrap();
        let problem = problem(&case, folder.path());
        let settings =
            Settings { rtol: 1e-8, atol: 1e-12, max_steps: 10_000, steps: StepMode::Shared };
        let evaluator = Evaluator::new(&problem, settings, &CpuEngine, Some(&CpuEngine)).unwrap();
        let plan = CheckPlan::new(
            (0..problem.parameters.len()).map(ParameterIdx::from_position).collect(),
            vec![1e-2, 1e-3, 1e-4, 1e-5, 1e-6],
        );
        let points = startpoints::random(&problem.parameters, 40, 0, 6).unwrap().theta_scaled;
        let last = problem.parameters.len() - 1;
        let wrong = |_: gradsweep::index::PointIdx, _: &[f64], own: Option<&[f64]>| {
            let mut gradient = own?.to_vec();
            gradient[last] *= 1.01;
            Some(gradient)
        };
        let sources = [(&own_gradient as &check::GradientSource<'_>, false), (&wrong, true)];
        for (source, is_wrong) in sources {
            let summary = check::run(&evaluator, &points, &plan, source, &mut |_, _| {
                Ok::<(), EngineError>(())
            })
            .unwrap();
            assert_eq!(summary.failed_points, 0, "{}", case.name);
            for (j, statistics) in summary.parameters.iter().enumerate() {
                let id = &problem.parameters[statistics.parameter.position()].id;
                let [passed, failed, ..] = statistics.counts;
                let is_last = j == last;
                if is_last && case.name == "a trigger that turns false takes its event back" {
                    // The dose is never given.
                    assert_eq!(statistics.counts[4], 40, "{}, {id}", case.name);
                } else if is_wrong && is_last {
                    assert!(failed >= 35, "{}, {id}: {:?}", case.name, statistics.counts);
                } else {
                    assert_eq!(failed, 0, "{}, {id}: {:?}", case.name, statistics.counts);
                    assert!(passed >= 35, "{}, {id}: {:?}", case.name, statistics.counts);
                }
            }
        }
    }
}
