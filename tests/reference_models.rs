//! The public benchmark problems (`PETAB_BENCHMARKS_DIR`) against AMICI: log-likelihoods at the
//! nominal parameters, objectives and gradients at the points of the reference folder
//! (`GRADSWEEP_REFERENCE_DIR`), one file a problem.
//!
//! The quick run takes all points of problems that are cheap and a few of the others;
//! `GRADSWEEP_FULL=1` takes all. Gradients are taken by adjoints, and by forward tangents where these
//! do not cost a hundred objectives of a large model.

use gradsweep::engine::cpu::CpuEngine;
use gradsweep::model::{self, OdeProblem};
use gradsweep::sweep::{
    Evaluator, Failure, GradientMethod, OwnGradients, PointResult, Settings, StepMode,
    no_refinement,
};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// What is known of a problem beside its reference file.
struct Known {
    name: &'static str,
    /// Log-likelihood at the nominal parameters, without priors.
    llh: Option<f64>,
    /// Points of the quick run, the nominal one first.
    quick_points: usize,
    /// Whether the quick run takes forward gradients; they cost a hundred objectives of a large model.
    quick_forward: bool,
}

const ALL: usize = usize::MAX;

const fn known(
    name: &'static str,
    llh: Option<f64>,
    quick_points: usize,
    quick_forward: bool,
) -> Known {
    Known { name, llh, quick_points, quick_forward }
}

/// Log-likelihoods are those of AMICI's `tests/benchmark_models/benchmark_models.yaml`, which AMICI
/// checks at rtol and atol 1e-8. Chen has a value there that AMICI itself leaves out of its check
/// and that its present version does not give; it is left out here.
const KNOWN: [Known; 22] = [
    known("Alkan_SciSignal2018", None, 2, true),
    known("Armistead_CellDeathDis2024", None, ALL, true),
    known("Bachmann_MSB2011", Some(418.40573341425295), 3, true),
    known("Beer_MolBioSystems2014", Some(58622.9145631413), ALL, true),
    known("Bertozzi_PNAS2020", None, ALL, true),
    known("Blasi_CellSystems2016", None, ALL, true),
    known("Boehm_JProteomeRes2014", Some(-138.22199693517703), ALL, true),
    known("Borghans_BiophysChem1997", Some(83.3237191357272), ALL, true),
    known("Brannmark_JBC2010", Some(-141.889113770537), ALL, true),
    known("Bruno_JExpBot2016", Some(46.688176988431806), ALL, true),
    known("Chen_MSB2009", None, 1, false),
    known("Crauste_CellSystems2017", Some(-190.96521897435176), ALL, true),
    known("Fiedler_BMCSystBiol2016", Some(58.58390161681), ALL, true),
    known("Fujita_SciSignal2010", Some(53.08377736998929), ALL, true),
    known("Giordano_Nature2020", None, ALL, true),
    known("Lang_PLOSComputBiol2024", None, 1, false),
    known("Lucarelli_CellSystems2018", Some(-1681.6059879426584), 2, true),
    known("Perelson_Science1996", None, ALL, true),
    known("Raimundez_PCB2020", None, 2, false),
    known("SalazarCavazos_MBoC2020", None, 1, true),
    known("Smith_BMCSystBiol2013", Some(-888198.436541014), 2, false),
    known("Zhao_QuantBiol2020", None, ALL, true),
];

/// AMICI's values were made at 1e-8: Crauste's is 6.5e-6 from AMICI's own at rtol 1e-12.
const LLH_TOLERANCE: f64 = 1e-5;
/// Best references were made at rtol 1e-10 to 1e-12; objectives amplify errors of predictions by
/// up to some thousand.
const OBJECTIVE_TOLERANCE: f64 = 1e-6;
/// Sensitivities are less well controlled than states, and are sums that cancel.
const GRADIENT_TOLERANCE: f64 = 1e-4;
/// Components that are smaller than this part of the largest are compared with that part.
const SMALLEST_COMPONENT: f64 = 1e-6;
/// The least accurate of the third methods is a simulated table of unknown tolerances, 1e-6 from
/// where our values converge.
const TRUTH_TOLERANCE: f64 = 3e-6;

/// As tight as the tighter references.
const SETTINGS: Settings =
    Settings { rtol: 1e-10, atol: 1e-14, max_steps: 100_000, steps: StepMode::Shared };
/// Large models, whose reference is no tighter.
const LARGE: Settings = Settings { rtol: 1e-8, atol: 1e-12, ..SETTINGS };

fn settings(problem: &str) -> Settings {
    match problem {
        // Bacteria start at 1e-20 to 1e-5 and grow exponentially: what is not resolved at the start
        // is wrong, or negative and soon minus infinity, at the end.
        "Beer_MolBioSystems2014" => Settings { atol: 1e-30, ..SETTINGS },
        "Chen_MSB2009" | "Lang_PLOSComputBiol2024" => LARGE,
        _ => SETTINGS,
    }
}

const BOTH: &[GradientMethod] = &[GradientMethod::Forward, GradientMethod::Adjoint];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quantity {
    Objective,
    Gradient,
}

/// A point at which the reference is not followed.
struct Exception {
    problem: &'static str,
    /// 0 is the nominal one.
    point: usize,
    quantity: Quantity,
    /// Objective by a third method, to be met.
    truth: Option<f64>,
    /// Largest deviation from the reference.
    bound: f64,
}

const fn exception(
    problem: &'static str,
    point: usize,
    quantity: Quantity,
    truth: Option<f64>,
    bound: f64,
) -> Exception {
    Exception { problem, point, quantity, truth, bound }
}

/// Each with who is right, and how that was found. Where it says that ours converge, objectives or
/// components at (rtol, atol) = (1e-10, 1e-14), (1e-12, 1e-16) and tighter agree to 1e-6 or better.
const EXCEPTIONS: &[Exception] = &[
    // Bacteria start at 1e-18 or less and grow exponentially, AMICI ran with atol 1e-14 and without
    // sensitivities it lost them (no objective at 1 and 3). With sensitivities, which take part in
    // its error test, it did not: its gradients are those of our objectives. Truth at 1, 3 and 4:
    // closed form of the logistic growth, the other states by SciPy's Radau at rtol 1e-10. At 7:
    // ours, the same to 16 digits at (1e-10, 1e-24), (1e-10, 1e-30) and (1e-12, 1e-36).
    exception("Beer_MolBioSystems2014", 1, Quantity::Objective, Some(2.41922389e12), 0.0),
    exception("Beer_MolBioSystems2014", 3, Quantity::Objective, Some(60797027.61), 0.0),
    exception("Beer_MolBioSystems2014", 4, Quantity::Objective, Some(1.350220227e11), 8e3),
    exception("Beer_MolBioSystems2014", 7, Quantity::Objective, Some(33174978195.338627), 130.0),
    // AMICI's adjoints, which its own differences meet to 1e-6 of the largest component. Ours converge:
    // 5e-9 from (1e-8, 1e-12) to (1e-10, 1e-14), 3e-11 from there to (1e-11, 1e-16).
    exception("Chen_MSB2009", 0, Quantity::Gradient, None, 1.5e-4),
    // The reference is of atol 1e-10 alone; predictions and gradient are far below (1e-12 to 1e-18).
    // Ours converge.
    exception("Fujita_SciSignal2010", 4, Quantity::Gradient, None, 4e-2),
    // Near the optimum, where components are sums that cancel; one tolerance alone. Ours converge.
    exception("Lucarelli_CellSystems2018", 0, Quantity::Gradient, None, 6e-4),
    // Pre-equilibrations with slow modes: AMICI's test takes them for settled too early, its
    // objective still moves with its tolerances. Ours converge. Truth: likelihood of the
    // collection's own simulated table, and the prior.
    exception("Raimundez_PCB2020", 0, Quantity::Objective, Some(623.0018081), 3e-2),
    exception("Raimundez_PCB2020", 0, Quantity::Gradient, None, 0.7),
    // As above, without a truth.
    exception("Raimundez_PCB2020", 6, Quantity::Objective, None, 2.5e-4),
    exception("Raimundez_PCB2020", 7, Quantity::Objective, None, 1e-4),
    exception("Raimundez_PCB2020", 8, Quantity::Objective, None, 1e-5),
    exception("Raimundez_PCB2020", 10, Quantity::Objective, None, 5e-5),
];

/// A number as Python writes it, where JSON has none for infinity.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Number {
    Finite(f64),
    Other(String),
}

impl Number {
    fn value(&self) -> f64 {
        match self {
            Self::Finite(value) => *value,
            Self::Other(text) => text.parse().unwrap(),
        }
    }
}

/// Objective and gradient with one pair of tolerances; absent where AMICI failed.
#[derive(Debug, Deserialize)]
struct Values {
    objective: Option<Number>,
    gradient: Option<Vec<Option<Number>>>,
}

#[derive(Debug, Deserialize)]
struct ReferencePoint {
    x: Vec<Number>,
    verytight: Option<Values>,
    tight: Option<Values>,
    mid: Option<Values>,
    default: Option<Values>,
    /// AMICI's adjoints, where its forward sensitivities took too long.
    adjoint: Option<Values>,
}

impl ReferencePoint {
    /// The best first.
    fn values(&self) -> impl Iterator<Item = &Values> {
        [&self.verytight, &self.tight, &self.mid, &self.default].into_iter().flatten()
    }

    fn objectives(&self) -> Vec<f64> {
        let finite = |v: &Values| v.objective.as_ref().map(Number::value).filter(|o| o.is_finite());
        self.values().filter_map(finite).collect()
    }

    fn gradients(&self) -> Vec<Vec<f64>> {
        let finite = |v: &Values| {
            let component = |c: &Option<Number>| {
                c.as_ref().map(Number::value).filter(|component| component.is_finite())
            };
            v.gradient.as_ref()?.iter().map(component).collect::<Option<Vec<f64>>>()
        };
        self.values().chain(&self.adjoint).filter_map(finite).collect()
    }
}

#[derive(Debug, Deserialize)]
struct Reference {
    parameter_ids: Vec<String>,
    nominal: ReferencePoint,
    points: Vec<ReferencePoint>,
}

impl Reference {
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let mut json = String::with_capacity(text.len());
        for line in text.lines() {
            let quoted = [("NaN", "nan"), ("-Infinity", "-inf"), ("Infinity", "inf")]
                .into_iter()
                .find(|(name, _)| line.contains(name))
                .map(|(name, number)| line.replace(name, &format!("\"{number}\"")));
            json.push_str(quoted.as_deref().unwrap_or(line));
            json.push('\n');
        }
        serde_json::from_str(&json).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    fn all_points(&self) -> impl Iterator<Item = &ReferencePoint> {
        std::iter::once(&self.nominal).chain(&self.points)
    }

    /// For each estimated parameter its place in the reference.
    fn places(&self, problem: &OdeProblem) -> Vec<usize> {
        assert_eq!(problem.parameters.len(), self.parameter_ids.len(), "{}", problem.name);
        let place = |id: &String| self.parameter_ids.iter().position(|other| other == id);
        problem.parameters.iter().map(|p| place(&p.id).unwrap()).collect()
    }
}

/// How far our values are from a reference, in units of what is accepted: 1 is the limit.
#[derive(Debug, Clone, Copy, Default)]
struct Deviation {
    relative: f64,
    limits: f64,
}

fn spread(values: impl Iterator<Item = f64> + Clone) -> f64 {
    values.clone().fold(f64::NEG_INFINITY, f64::max) - values.fold(f64::INFINITY, f64::min)
}

/// The spread between the references' tolerances is what they can be trusted to.
fn deviation(ours: f64, best: f64, scale: f64, tolerance: f64, spread: f64) -> Deviation {
    let error = (ours - best).abs();
    let accepted = spread.max(tolerance * scale);
    // Both may be 0, and a NaN must not pass.
    let limits = if error == 0.0 { 0.0 } else { error / accepted };
    Deviation {
        relative: if error == 0.0 { 0.0 } else { error / scale },
        limits: if limits.is_nan() { f64::INFINITY } else { limits },
    }
}

fn objective_deviation(ours: f64, references: &[f64]) -> Deviation {
    let best = references[0];
    deviation(ours, best, best.abs(), OBJECTIVE_TOLERANCE, spread(references.iter().copied()))
}

/// Of the worst component, and which that is.
fn gradient_deviation(ours: &[f64], references: &[Vec<f64>]) -> (Deviation, usize) {
    let best = &references[0];
    let largest = best.iter().fold(0.0_f64, |m, c| m.max(c.abs()));
    let components = ours.iter().enumerate().map(|(j, &component)| {
        let scale = best[j].abs().max(SMALLEST_COMPONENT * largest);
        let spread = spread(references.iter().map(|r| r[j]));
        (deviation(component, best[j], scale, GRADIENT_TOLERANCE, spread), j)
    });
    components.max_by(|a, b| a.0.limits.total_cmp(&b.0.limits)).unwrap_or_default()
}

fn folder(variable: &str) -> Option<PathBuf> {
    let folder = std::env::var_os(variable).map(PathBuf::from);
    if folder.is_none() {
        println!("skipped: {variable} is not set");
    }
    folder
}

fn is_full() -> bool {
    std::env::var_os("GRADSWEEP_FULL").is_some_and(|v| v == "1")
}

/// Every problem of the collection, with what is known of it.
fn problems(collection: &Path) -> Vec<(String, PathBuf, Option<&'static Known>)> {
    let entries = fs::read_dir(collection).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    assert!(!folders.is_empty(), "{} holds no problem", collection.display());
    let named = |path: PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let known = KNOWN.iter().find(|k| k.name == name);
        (name, path, known)
    };
    folders.into_iter().map(named).collect()
}

fn load(path: &Path) -> OdeProblem {
    model::load(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn evaluate(
    problem: &OdeProblem,
    points: &[Vec<f64>],
    settings: Settings,
    wanted: OwnGradients,
) -> Vec<PointResult> {
    let evaluator =
        Evaluator::with_gradients(problem, settings, &CpuEngine, &CpuEngine, wanted).unwrap();
    evaluator.evaluate(points, &[], &[], &no_refinement).unwrap().points
}

#[test]
fn log_likelihoods_at_nominal_parameters() {
    let Some(collection) = folder("PETAB_BENCHMARKS_DIR") else { return };
    let mut compared = 0;
    for (name, path, known) in problems(&collection) {
        let Some(expected) = known.and_then(|k| k.llh) else { continue };
        let problem = load(&path);
        let theta: Vec<f64> =
            problem.parameters.iter().map(|p| p.nominal_scaled.unwrap()).collect();
        let result = evaluate(&problem, &[theta], settings(&name), OwnGradients::None).remove(0);
        let objective = result.objective.unwrap_or_else(|e| panic!("{name}: {e}"));
        let llh = result.prior - objective;
        let error = ((llh - expected) / expected).abs();
        println!("{name}: llh {llh}, {error:.1e} from AMICI's");
        assert!(error <= LLH_TOLERANCE, "{name}: {llh} against {expected}");
        compared += 1;
    }
    assert!(compared > 0, "none of the collection's problems is known");
}

/// What a problem's points came to.
#[derive(Default)]
struct Tally {
    points: usize,
    /// Without an objective, or without a gradient, to compare with.
    without_objective: usize,
    without_gradient: usize,
    failures: BTreeMap<String, usize>,
    steps: u64,
    objective: f64,
    gradient: f64,
    exceptions: usize,
    /// Points with a finite reference, and those of them with a finite gradient here.
    expected_gradients: usize,
    finite_gradients: usize,
    complaints: Vec<String>,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let points = self.points;
        write!(f, "{points} points, {} steps a point", self.steps / points.max(1) as u64)?;
        write!(f, ", objective {:.1e}, gradient {:.1e}", self.objective, self.gradient)?;
        for (reason, count) in &self.failures {
            write!(f, ", {count} {reason}")?;
        }
        write!(
            f,
            " (no reference: {} objectives, {} gradients; exceptions: {})",
            self.without_objective, self.without_gradient, self.exceptions
        )
    }
}

/// A failure without its numbers.
fn reason(failure: &Failure) -> String {
    match failure {
        Failure::Lane { report, .. } => report.status.to_string(),
        Failure::NotFinite { .. } => "likelihood not finite".to_owned(),
        Failure::Prior { .. } => "no prior density".to_owned(),
    }
}

impl Tally {
    /// Compares one point.
    fn add(
        &mut self,
        name: &str,
        point: usize,
        result: &PointResult,
        reference: &ReferencePoint,
        places: &[usize],
        methods: &[GradientMethod],
    ) {
        self.points += 1;
        self.steps += result.steps;
        let objectives = reference.objectives();
        if let Err(failure) = &result.objective {
            *self.failures.entry(reason(failure)).or_default() += 1;
            if !objectives.is_empty() {
                self.complaints.push(format!("{name}, point {point}: {failure}"));
            }
        }
        match &result.objective {
            Ok(ours) => {
                let found =
                    (!objectives.is_empty()).then(|| objective_deviation(*ours, &objectives));
                self.without_objective += usize::from(found.is_none());
                self.judge(name, point, Quantity::Objective, found, Some(*ours), "");
            }
            Err(_) => self.without_objective += usize::from(objectives.is_empty()),
        }
        for &method in methods {
            self.add_gradient((name, point), (result, method), reference, places);
        }
    }

    fn add_gradient(
        &mut self,
        (name, point): (&str, usize),
        (result, method): (&PointResult, GradientMethod),
        reference: &ReferencePoint,
        places: &[usize],
    ) {
        let gradients = reference.gradients();
        let ours = result.own_gradient(method).map(|g| {
            let mut ours = vec![f64::NAN; g.len()];
            places.iter().zip(g).for_each(|(&place, &component)| ours[place] = component);
            ours
        });
        if !reference.objectives().is_empty() {
            self.expected_gradients += 1;
            let is_finite = ours.as_ref().is_some_and(|g| g.iter().all(|c| c.is_finite()));
            self.finite_gradients += usize::from(is_finite);
        }
        if gradients.is_empty() {
            self.without_gradient += 1;
        } else if let Some(ours) = &ours {
            let (found, worst) = gradient_deviation(ours, &gradients);
            let note = format!(
                "{method:?}, component {worst}: {} against {}",
                ours[worst], gradients[0][worst]
            );
            self.judge(name, point, Quantity::Gradient, Some(found), None, &note);
        }
    }

    /// Holds a deviation against the tolerance, or against an exception.
    fn judge(
        &mut self,
        name: &str,
        point: usize,
        quantity: Quantity,
        found: Option<Deviation>,
        ours: Option<f64>,
        note: &str,
    ) {
        let place = format!("{name}, point {point}, {quantity:?}");
        let exception =
            EXCEPTIONS.iter().find(|e| (e.problem, e.point, e.quantity) == (name, point, quantity));
        if let Some(exception) = exception {
            self.exceptions += 1;
            if found.is_some_and(|found| found.limits <= 1.0) {
                self.complaints.push(format!("{place}: no exception is needed"));
            }
            if found.is_some_and(|found| !(found.relative <= exception.bound)) {
                self.complaints.push(format!("{place}: {found:?} is more than expected; {note}"));
            }
            if let (Some(truth), Some(ours)) = (exception.truth, ours) {
                let error = ((ours - truth) / truth).abs();
                if !(error <= TRUTH_TOLERANCE) {
                    self.complaints.push(format!("{place}: {ours}, by a third method {truth}"));
                }
            }
            return;
        }
        let Some(found) = found else { return };
        let worst = match quantity {
            Quantity::Objective => &mut self.objective,
            Quantity::Gradient => &mut self.gradient,
        };
        *worst = worst.max(found.relative);
        if !(found.limits <= 1.0) {
            self.complaints.push(format!("{place}: {found:?}; {ours:?} {note}"));
        }
    }
}

/// Coordinates of points in the order of the problem.
fn coordinates(point: &ReferencePoint, places: &[usize]) -> Vec<f64> {
    places.iter().map(|&place| point.x[place].value()).collect()
}

#[test]
fn objectives_and_gradients_at_reference_points() {
    let Some(collection) = folder("PETAB_BENCHMARKS_DIR") else { return };
    let Some(references) = folder("GRADSWEEP_REFERENCE_DIR") else { return };
    let mut all = Vec::new();
    for (name, path, known) in problems(&collection) {
        let file = references.join(format!("{name}.json"));
        if !file.is_file() {
            println!("{name}: no reference");
            continue;
        }
        let reference = Reference::read(&file);
        let problem = load(&path);
        let places = reference.places(&problem);
        let (count, wants_forward) = match known {
            Some(known) if !is_full() => (known.quick_points, known.quick_forward),
            // No reference has forward sensitivities of these two.
            Some(known) => (ALL, !matches!(known.name, "Chen_MSB2009" | "Lang_PLOSComputBiol2024")),
            None => (ALL, true),
        };
        let (wanted, methods) = match wants_forward {
            true => (OwnGradients::Both, BOTH),
            false => (OwnGradients::Adjoint, &BOTH[1..]),
        };
        let chosen: Vec<&ReferencePoint> = reference.all_points().take(count).collect();
        let points: Vec<Vec<f64>> = chosen.iter().map(|p| coordinates(p, &places)).collect();
        let results = evaluate(&problem, &points, settings(&name), wanted);
        let mut tally = Tally::default();
        for (k, (result, point)) in results.iter().zip(&chosen).enumerate() {
            tally.add(&name, k, result, point, &places, methods);
        }
        println!("{name}: {tally}");
        all.push(tally);
    }
    assert!(!all.is_empty(), "no problem has a reference");
    let complaints: Vec<&str> =
        all.iter().flat_map(|t| &t.complaints).map(String::as_str).collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    let expected: usize = all.iter().map(|t| t.expected_gradients).sum();
    let finite: usize = all.iter().map(|t| t.finite_gradients).sum();
    println!("{finite} of {expected} points with a finite reference have a finite gradient");
    assert!(finite as f64 >= 0.99 * expected as f64, "{finite} of {expected}");
}

/// The comparison sees defects that are little larger than what it accepts.
#[test]
fn injected_defects_are_seen() {
    let Some(collection) = folder("PETAB_BENCHMARKS_DIR") else { return };
    let Some(references) = folder("GRADSWEEP_REFERENCE_DIR") else { return };
    let name = "Boehm_JProteomeRes2014";
    let reference = Reference::read(&references.join(format!("{name}.json")));
    let problem = load(&collection.join(name));
    let places = reference.places(&problem);
    // Away from the optimum, where the reference's own spread is small.
    let point = &reference.points[0];
    let theta = coordinates(point, &places);
    let result = evaluate(&problem, &[theta], settings(name), OwnGradients::Both).remove(0);
    let complaints = |result: &PointResult| {
        let mut tally = Tally::default();
        tally.add(name, 1, result, point, &places, BOTH);
        (tally.complaints.len(), tally.finite_gradients)
    };
    assert_eq!(complaints(&result), (0, 2));
    for &method in BOTH {
        let largest = result.own_gradient(method).unwrap().iter();
        let largest = largest.fold(0.0_f64, |m, c| m.max(c.abs()));
        for j in 0..places.len() {
            let mut wrong = result.clone();
            let gradient = match method {
                GradientMethod::Forward => &mut wrong.gradient,
                GradientMethod::Adjoint => &mut wrong.adjoint_gradient,
            };
            let component = &mut gradient.as_mut().unwrap()[j];
            let right = *component;
            // Components far below the largest are held against a part of that.
            *component += 1e-3 * right.abs().max(SMALLEST_COMPONENT * largest);
            assert_eq!(complaints(&wrong), (1, 2), "{method:?}, component {j}");
            let gradient = match method {
                GradientMethod::Forward => &mut wrong.gradient,
                GradientMethod::Adjoint => &mut wrong.adjoint_gradient,
            };
            gradient.as_mut().unwrap()[j] = f64::NAN;
            assert_eq!(complaints(&wrong), (1, 1), "{method:?}, component {j}");
        }
    }
    let mut wrong = result.clone();
    wrong.objective = wrong.objective.map(|o| o * (1.0 + 1e-5));
    assert_eq!(complaints(&wrong), (1, 2));
    let mut failed = result;
    failed.objective = Err(Failure::Prior { parameter: gradsweep::index::ParameterIdx(0) });
    failed.gradient = None;
    failed.adjoint_gradient = None;
    assert_eq!(complaints(&failed), (1, 0));
}
