//! `--order 1` of `check` and `sweep`: second derivatives, our own or those that another tool has
//! computed.

use super::folder::result_folder;
use super::gradient::{AUTO, FORWARD, claimed_accuracy};
use super::hessian_rows::EntryLocaliser;
use super::localise::{LocaliseOptions, Mode};
use super::options::{CheckOptions, usage};
use super::outcome::{Outcome, exit_code};
use super::output::Output;
use super::plain::{PointReports, Task, check_lines, finish_table, print, sweep_lines};
use super::{CliError, Manner, check, engines, engines::Engines, report, sweep};
use crate::check::{
    CheckPlan, ForeignHessian, HessianKind, HessianSource, HessianSummary, JudgedHessian,
    check_hessian,
};
use crate::gradient::{Asymmetry, FileHessians, read_hessians};
use crate::model::OdeProblem;
use crate::report::{
    FailsWhen, HessianTable, ReportKind, Style, Things, digest, hessian_cases, hessian_table,
    write_hessian,
};
use crate::startpoints::Points;
use crate::sweep::{Evaluator, Settings};
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What the matrix in a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// All second derivatives of the objective, priors included: compared with differences of our own
    /// gradient.
    Full,
    /// The sum over the rows of dz/di * dz/dj, z = (h(y) - h(m))/sigma on the scale of the noise
    /// model; no priors. Compared with our own.
    GaussNewton,
    /// The Fisher information: the sum over the rows of (dh/di * dh/dj + c * dsigma/di *
    /// dsigma/dj)/sigma^2, c = 2 for normal and 1 for Laplace noise; no priors. Compared with our own.
    Fim,
}

/// Of which order derivatives are checked.
#[derive(Debug, Clone, Args)]
pub struct HessianOptions {
    /// 0 checks the gradient, 1 second derivatives, each against differences of our own gradient: our
    /// own, by differentiating the program twice forwards, or those in the file of --hessian.
    #[arg(long, default_value_t = 0, value_name = "0|1", value_parser = clap::value_parser!(u8).range(0..=1))]
    pub order: u8,
    /// With --order 1: a CSV file with the columns point, parameter, parameter2, hessian: another
    /// tool's second derivatives of the objective on the parameter scale. An entry may be given once,
    /// in either order of its parameters. --gradient-rtol says how accurate they are, relative to the
    /// sum of the magnitudes of the rows' parts of an entry.
    #[arg(long, value_name = "FILE.csv")]
    pub hessian: Option<PathBuf>,
    /// With --hessian: what the matrix in the file is [default: full].
    #[arg(long, value_enum)]
    pub hessian_kind: Option<Kind>,
}

/// Which second derivatives to check.
#[derive(Debug, Clone, Copy)]
pub enum Wanted<'a> {
    Own,
    File(&'a Path),
}

impl HessianOptions {
    /// What to check, where second derivatives are wanted; refuses options that do not go together.
    pub fn wanted(
        &self,
        check: &CheckOptions,
        localise: &LocaliseOptions,
        detailed: bool,
    ) -> Result<Option<Wanted<'_>>, CliError> {
        if self.order == 0 {
            let given = match (&self.hessian, self.hessian_kind) {
                (None, None) => return Ok(None),
                (Some(_), _) => "--hessian",
                (None, Some(_)) => "--hessian-kind",
            };
            return Err(usage(format!("{given}: is for --order 1")));
        }
        let refused = if check.gradient != [AUTO] && check.gradient != [FORWARD] {
            "--gradient: with --order 1 a file of second derivatives is given by --hessian"
        } else if localise.mode != Mode::Objective {
            "--mode residuals: there is no --order 1 of it"
        } else if localise.by.is_some() && self.hessian_kind.is_some_and(|k| k != Kind::Full) {
            "--by: rows are told apart in second derivatives, --hessian-kind full, not in matrices \
             made of first ones"
        } else if detailed {
            "--detailed: there are no such columns with --order 1"
        } else {
            return match (&self.hessian, self.hessian_kind) {
                (Some(file), _) => Ok(Some(Wanted::File(file))),
                (None, None) => Ok(Some(Wanted::Own)),
                (None, Some(_)) => Err(usage(
                    "--hessian-kind: says what the matrix in a file is, as --hessian FILE.csv",
                )),
            };
        };
        Err(usage(refused))
    }
}

/// A matrix from a file.
struct Foreign {
    kind: Kind,
    read: FileHessians,
    rtol: f64,
    asymmetries: Vec<Asymmetry>,
    /// For reports.
    description: String,
}

impl Foreign {
    /// Reads the file and restricts the plan to its parameters.
    fn new(
        (options, check): (&HessianOptions, &CheckOptions),
        path: &Path,
        problem: &OdeProblem,
        points: &Points,
        plan: &mut CheckPlan,
    ) -> Result<Self, CliError> {
        let rtol = claimed_accuracy(check)?;
        let read = read_hessians(path, &problem.parameters, points)?;
        let given = path.to_string_lossy();
        super::gradient::restrict(plan, check, &given, problem, &read.parameters)?;
        let kind = options.hessian_kind.unwrap_or(Kind::Full);
        if kind != Kind::Full {
            // Nothing is differenced.
            plan.eps.clear();
        }
        let word = match kind {
            Kind::Full => "second derivatives",
            Kind::GaussNewton => "Gauss-Newton matrix",
            Kind::Fim => "Fisher information",
        };
        let description = format!(
            "{word} of {} (SHA-256 {}), accurate to {rtol:e} of the terms' magnitudes",
            path.file_name().unwrap_or_default().to_string_lossy(),
            digest(path).map_err(CliError::output(path))?
        );
        let asymmetries = read.asymmetries(rtol, &plan.parameters);
        Ok(Self { kind, read, rtol, asymmetries, description })
    }
}

/// The matrix that is checked.
enum Matrix {
    Own,
    Foreign(Foreign),
}

impl Matrix {
    fn new(
        options: (&HessianOptions, &CheckOptions),
        wanted: Wanted<'_>,
        problem: &OdeProblem,
        points: &Points,
        plan: &mut CheckPlan,
    ) -> Result<Self, CliError> {
        match wanted {
            Wanted::Own => Ok(Self::Own),
            Wanted::File(path) => {
                Foreign::new(options, path, problem, points, plan).map(Self::Foreign)
            }
        }
    }

    /// For reports.
    fn description(&self) -> String {
        match self {
            Self::Own => "second derivatives of our own, forward over forward".to_owned(),
            Self::Foreign(foreign) => foreign.description.clone(),
        }
    }

    /// Entries whose values in both orders differ.
    fn asymmetries(&self) -> &[Asymmetry] {
        match self {
            Self::Own => &[],
            Self::Foreign(foreign) => &foreign.asymmetries,
        }
    }

    /// The evaluator of a problem that has what checking this takes.
    fn evaluator<'p>(
        &self,
        problem: &'p OdeProblem,
        settings: Settings,
        engines: &Engines,
    ) -> Result<Evaluator<'p>, CliError> {
        let (probes, tangents) = (engines.probes.as_ref(), engines.tangents.as_ref());
        let evaluator = Evaluator::new(problem, settings, probes, Some(tangents))?;
        match self {
            Self::Own => evaluator.with_second_order(tangents)?.map_err(|moving| {
                usage(format!("--order 1: {moving}; --hessian FILE.csv checks another tool's"))
            }),
            Self::Foreign(_) => Ok(evaluator),
        }
    }

    /// Checks it at all points.
    fn judge(
        &self,
        evaluator: &Evaluator<'_>,
        engines: &Engines,
        points: &Points,
        plan: &CheckPlan,
        sink: &mut dyn FnMut(&JudgedHessian<'_>) -> Result<(), CliError>,
    ) -> Result<HessianSummary, CliError> {
        let theta = &points.theta_scaled;
        let Self::Foreign(foreign) = self else {
            return check_hessian(evaluator, theta, plan, &HessianSource::Own, sink);
        };
        let (probes, tangents) = (engines.probes.as_ref(), engines.tangents.as_ref());
        let settings = evaluator.settings().tighter();
        let tight = Evaluator::new(evaluator.problem(), settings, probes, Some(tangents))?;
        let source = HessianSource::Foreign(ForeignHessian {
            kind: match foreign.kind {
                Kind::Full => HessianKind::Full,
                Kind::GaussNewton => HessianKind::GaussNewton,
                Kind::Fim => HessianKind::Fisher,
            },
            value: &|point, row, column| foreign.read.value(point, row, column),
            rtol: foreign.rtol,
            tight: &tight,
        });
        check_hessian(evaluator, theta, plan, &source, sink)
    }
}

/// The second derivatives at a few points.
pub(super) fn check(
    arguments: &check::Arguments,
    wanted: Wanted<'_>,
    manner: Manner,
    settings: Settings,
    (problem, mut plan, points): Task<'_>,
) -> Result<ExitCode, CliError> {
    let options = (&arguments.hessian, &arguments.check);
    let matrix = Matrix::new(options, wanted, problem, points, &mut plan)?;
    let mut localiser = EntryLocaliser::new(&arguments.localise, (problem, &plan, points))?;
    let probes = 2 * plan.eps.len() * plan.parameters.len() * points.len();
    let integrations = probes * problem.simulation_count();
    let engines = engines::choose(&arguments.solver, problem, settings, integrations)?;
    let evaluator = matrix.evaluator(problem, settings, &engines)?;
    let known = arguments.outcome.known(problem, Things::Entries)?;
    let outcome = Outcome::open(&arguments.outcome, known)?;
    let mut table = match &arguments.out {
        Some(path) => {
            let created = HessianTable::new(Output::create(path)?, problem);
            Some((created.map_err(CliError::output(path))?, path))
        }
        None => None,
    };
    let mut text = String::new();
    let mut sink = |judged: &JudgedHessian<'_>| -> Result<(), CliError> {
        let id = &points.ids[judged.point.position()];
        localiser.see(judged);
        if let (true, Err(failure)) = (judged.is_first, &judged.result.objective) {
            let failure = failure.describe(problem);
            text.push_str(&format!("point {id}: failed: {failure}\n"));
        }
        match &mut table {
            Some((table, path)) => table.add(id, judged).map_err(CliError::output(*path)),
            None => Ok(()),
        }
    };
    let mut summary = matrix.judge(&evaluator, &engines, points, &plan, &mut sink)?;
    let localisation = localiser.finish((problem, settings), &engines, &mut summary)?;
    let style = Style { colours: manner.colours, detailed: false };
    text.push_str(&hessian_table(problem, &summary, matrix.asymmetries(), &points.ids, style));
    text.extend(localisation.map(|found| found.table(problem, style)));
    let told = (&arguments.check, settings);
    text.push_str(&check_lines(problem, &summary.points, told, &engines));
    if let Some((table, path)) = table {
        table.finish().and_then(Output::finish).map_err(CliError::output(path))?;
    }
    let properties = [
        ("order".to_owned(), "1".to_owned()),
        ("second_derivatives".to_owned(), matrix.description()),
        ("engine".to_owned(), engines.probes.describe()),
        ("steps".to_owned(), arguments.check.steps.word().to_owned()),
        ("rtol".to_owned(), format!("{:e}", settings.rtol)),
        ("atol".to_owned(), format!("{:e}", settings.atol)),
    ];
    let mut cases = hessian_cases(problem, &summary, &points.ids, FailsWhen::Anywhere);
    let ended = outcome.end(NAME, &mut cases);
    text.push_str(&ended.lines());
    outcome.write(problem, &properties, &cases)?;
    print(&text, arguments.out.as_deref())?;
    Ok(exit_code(&[ended]))
}

/// Report of a sweep over second derivatives.
pub const HESSIAN: &str = "hessian.csv";
/// What second derivatives are called where gradients have names.
const NAME: &str = "hessian";
/// Reports of other sweeps.
const OTHERS: [&str; 9] = [
    "checks.csv",
    "checks.csv.zst",
    "best.csv",
    "parameters.csv",
    "eps.csv",
    "where.csv",
    "groups.csv",
    "attribution.csv",
    "residuals.csv",
];

/// The second derivatives at many points.
pub(super) fn sweep(
    arguments: &sweep::Arguments,
    wanted: Wanted<'_>,
    manner: Manner,
    settings: Settings,
    (problem, mut plan, points): Task<'_>,
) -> Result<ExitCode, CliError> {
    let options = (&arguments.hessian, &arguments.check);
    let matrix = Matrix::new(options, wanted, problem, points, &mut plan)?;
    let mut localiser = EntryLocaliser::new(&arguments.localise, (problem, &plan, points))?;
    let default = || PathBuf::from(format!("{}-hessian", problem.name));
    let folder = arguments.out.clone().unwrap_or_else(default);
    let dynamic: usize =
        problem.all().map(|m| m.dynamic_directions().len() * m.simulations.len()).sum();
    let integrations = points.len() * (problem.simulation_count() + 2 * plan.eps.len() * dynamic);
    let engines = engines::choose(&arguments.solver, problem, settings, integrations)?;
    let evaluator = matrix.evaluator(problem, settings, &engines)?;
    // The file may lie in that folder.
    let known = arguments.outcome.known(problem, Things::Entries)?;
    let _lock = result_folder(&folder, arguments.replacing())?;
    let outcome = Outcome::open(&arguments.outcome, known)?;
    if !manner.quiet {
        eprintln!("engine: {} ({})", engines.probes.describe(), engines.reason);
    }
    let mut reports = PointReports::open(&folder, (problem, points), manner)?;
    let mut sink = |judged: &JudgedHessian<'_>| {
        localiser.see(judged);
        reports.add(judged.point, judged.result, judged.is_first)
    };
    let mut summary = matrix.judge(&evaluator, &engines, points, &plan, &mut sink)?;
    let localisation = localiser.finish((problem, settings), &engines, &mut summary)?;
    let mut cases = hessian_cases(problem, &summary, &points.ids, FailsWhen::Consistently);
    let ended = outcome.end(NAME, &mut cases);
    let gradient = "own, forward tangents".to_owned();
    let counted = &summary.points;
    let mut record =
        sweep::record(arguments, problem, &plan, &engines, &evaluator, counted, gradient)?;
    record.hessian = Some(matrix.description());
    record.baseline.clone_from(&ended.record);
    let entries = Output::create(&folder.join(HESSIAN))?;
    let asymmetries = matrix.asymmetries();
    let written = write_hessian(entries, problem, &summary, asymmetries, &points.ids);
    finish_table(&folder, HESSIAN, written)?;
    reports.finish(&record, &OTHERS)?;
    if let Some(found) = &localisation {
        found.write(&folder, problem)?;
    }
    report::write(ReportKind::Hessian, &folder, &folder.join("report.html"))?;
    let properties = record
        .properties()
        .map_err(|e| CliError::output(folder.join("run.json"))(std::io::Error::other(e)))?;
    outcome.write(problem, &properties, &cases)?;

    let style = Style { colours: manner.colours, detailed: false };
    let mut text = hessian_table(problem, &summary, asymmetries, &points.ids, style);
    text.extend(localisation.map(|found| found.table(problem, style)));
    text.push_str(&sweep_lines(problem, counted, (&arguments.check, settings), &folder));
    text.push_str(&ended.lines());
    print(&text, None)?;
    Ok(exit_code(&[ended]))
}
