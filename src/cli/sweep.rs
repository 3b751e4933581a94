//! `gradsweep sweep`.

use super::comparing::Comparing;
use super::detail::DetailOptions;
use super::engines::{self, Engines};
use super::folder::{JOURNAL, Replacing, result_folder};
use super::gradient::own_of;
use super::hessian::HessianOptions;
use super::interrupt::Interrupt;
use super::journal::{self, Begun, Header, Supplier};
use super::localise::{LocaliseOptions, Localiser, Mode};
use super::optimum::{Optima, OptimumOptions};
use super::options::{CheckOptions, DEFAULT_CONSISTENT, Draw, EngineChoice, SolverOptions, usage};
use super::outcome::{Outcome, OutcomeOptions, exit_code};
use super::plain::count_lines;
use super::points::SweepPoints;
pub(super) use super::record::record;
use super::record::settings_record;
use super::reports::Reports;
use super::shard::Shard;
use super::sources::{Named, Sources};
use super::{CliError, Manner};
use crate::check::{self, CheckPlan, CheckSummary, JudgedPoint, Source};
use crate::model::OdeProblem;
use crate::report::{Style, Things, diagnosis_lines, parameter_table, sweep_cases, where_lines};
use crate::sweep::Flight;
use crate::sweep::{Evaluator, Journal, PointResult};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;

/// Check the gradient at many random points and report, for each parameter, whether it fails
/// consistently.
///
/// Writes run.json, points.csv, checks.csv, best.csv, parameters.csv, eps.csv, where.csv,
/// failures.csv and a page with plots, report.html; with --by groups.csv or attribution.csv. With
/// --mode residuals: run.json, points.csv, residuals.csv, parameters.csv, failures.csv, report.html.
/// With --order 1: run.json, points.csv, hessian.csv, failures.csv, report.html. Where points are
/// optima: at_optimum.csv. With several gradients each has such files in a folder of its own; parameters.csv
/// of all and sources.csv, which compares them, stand beside these.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    gradsweep sweep data/stat5                               1,000 points, reports in stat5-sweep/\n  \
    gradsweep sweep data/stat5 --points 10000 --seed 7 --out run7 --engine gpu\n  \
    gradsweep sweep data/stat5 --at points.csv --eps 1e-2,1e-3,1e-4 --steps adaptive\n  \
    gradsweep sweep data/stat5 --at points.csv --gradient gradients.csv --by row\n  \
    gradsweep sweep data/stat5 --at points.csv --order 1 --hessian hessian.csv\n  \
    gradsweep sweep data/stat5 --at points.csv --gradient forward --gradient amici.csv")]
pub struct Arguments {
    /// PEtab YAML file, or a folder that holds one.
    pub(super) problem: PathBuf,
    /// Number of random points, uniform between the bounds on the parameter scale.
    #[arg(long, default_value_t = 1000, value_name = "N")]
    pub(super) points: usize,
    /// Points from elsewhere instead: `nominal`, `random:N`, or a points file.
    #[arg(long, value_name = "nominal|random:N|FILE.csv", conflicts_with = "points")]
    pub(super) at: Option<String>,
    /// Seed of random points.
    #[arg(long, default_value_t = 0)]
    pub(super) seed: u64,
    /// Draw random points uniformly between the bounds, or as the parameter table says: by
    /// initialization priors (v1), by priors (v2).
    #[arg(long, value_enum, default_value = "bounds")]
    pub(super) draw: Draw,
    #[command(flatten)]
    pub(super) check: CheckOptions,
    #[command(flatten)]
    pub(super) localise: LocaliseOptions,
    #[command(flatten)]
    pub(super) hessian: HessianOptions,
    /// A failure rate whose confidence interval lies above this is called consistent.
    #[arg(long, default_value_t = DEFAULT_CONSISTENT, value_name = "RATE")]
    pub(super) consistent: f64,
    /// Folder for the reports [default: PROBLEM-sweep in the current folder, or
    /// PROBLEM-sources-sweep with several gradients].
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// Replace reports that are in the folder already.
    #[arg(long)]
    pub(super) overwrite: bool,
    /// Go on with a sweep that was killed, interrupted or failed: the same command, its folder. Points
    /// that are done are taken from the folder's journal; the reports are the same bytes as without
    /// the disturbance. Where nothing has begun, it begins.
    #[arg(long, conflicts_with = "overwrite")]
    pub(super) resume: bool,
    /// Evaluate one of n parts of the points only, and keep the results in the folder's journal;
    /// `gradsweep merge` makes the reports of all.
    #[arg(long, value_name = "i/n")]
    pub(super) shard: Option<Shard>,
    #[command(flatten)]
    detail: DetailOptions,
    #[command(flatten)]
    optimum: OptimumOptions,
    #[command(flatten)]
    pub(super) outcome: OutcomeOptions,
    #[command(flatten)]
    pub(super) solver: SolverOptions,
}

impl Arguments {
    pub(super) fn replacing(&self) -> Replacing {
        Replacing { is_asked_for: self.overwrite, is_own: self.out.is_none() }
    }

    /// Refuses what only sweeps over the objective's gradient have.
    fn refuse_parts(&self, what: &str) -> Result<(), CliError> {
        for (option, is_given) in [("--resume", self.resume), ("--shard", self.shard.is_some())] {
            if is_given {
                return Err(usage(format!("{option}: not with {what}, which keeps no journal")));
            }
        }
        Ok(())
    }
}

pub(super) fn run(arguments: &Arguments, manner: Manner) -> Result<ExitCode, CliError> {
    carry_out(arguments, manner, Vec::new())
}

/// Sweeps; where there are shards, the points are theirs.
pub(super) fn carry_out(
    arguments: &Arguments,
    manner: Manner,
    shards: Vec<Begun>,
) -> Result<ExitCode, CliError> {
    let settings = arguments.solver.settings(arguments.check.steps)?;
    let eps = arguments.check.eps_grid()?;
    let criteria = arguments.check.criteria()?;
    if !(0.0..1.0).contains(&arguments.consistent) {
        return Err(usage(format!(
            "--consistent {}: a rate from 0 to below 1 is expected",
            arguments.consistent
        )));
    }
    let localise = &arguments.localise;
    let hessian = arguments.hessian.wanted(&arguments.check, localise, false)?;
    let other = match (localise.mode, &hessian) {
        (Mode::Residuals, _) => Some("--mode residuals"),
        (_, Some(_)) => Some("--order 1"),
        _ => None,
    };
    let are_optima = arguments.optimum.are_meant(arguments.at.as_deref(), other)?;
    arguments.solver.start_threads()?;
    let problem = arguments.solver.load(&arguments.problem)?;
    let mut plan = arguments.check.plan(&problem, eps, criteria, arguments.consistent)?;
    let mut points = SweepPoints::new(arguments, &problem)?;
    if arguments.localise.mode == Mode::Residuals {
        arguments.refuse_parts("--mode residuals")?;
        let task = (&problem, plan, points.all()?);
        return super::residuals::sweep(arguments, manner, settings, task);
    }
    if let Some(wanted) = hessian {
        arguments.refuse_parts("--order 1")?;
        let task = (&problem, plan, points.all()?);
        return super::hessian::sweep(arguments, wanted, manner, settings, task);
    }
    let is_file = |given: &String| own_of(given).is_none();
    if are_optima || arguments.localise.by.is_some() || arguments.check.gradient.iter().any(is_file)
    {
        points.all()?;
    }
    let mut sources = Sources::new(&arguments.check, &problem, points.there(), &mut plan)?;
    let localisers = sources
        .all
        .iter()
        .map(|n| Localiser::for_sweep(&arguments.localise, &problem, &plan, &n.judged))
        .collect::<Result<Vec<_>, _>>()?;
    let known = arguments.outcome.known(&problem, Things::Parameters)?;
    let folder =
        arguments.out.clone().unwrap_or_else(|| default_folder(arguments, &problem, &sources));
    sources.suit(&folder)?;
    let resumed = if arguments.resume { journal::resume(&folder, JOURNAL)? } else { None };
    let (resumed_lock, begun) = resumed.unzip();
    let first = begun.as_ref().or(shards.first());
    let engines = match first {
        // Nothing is integrated any more.
        Some(_) if !shards.is_empty() && localisers.iter().all(Localiser::is_idle) => {
            Engines::cpu(String::new())
        }
        Some(first) => {
            let identity = &first.header.engine.identity;
            engines::choose_again(&arguments.solver, &problem, settings, identity)?
        }
        None => {
            let dynamic: usize =
                problem.all().map(|m| m.dynamic_directions().len() * m.simulations.len()).sum();
            let integrations =
                points.len() * (problem.simulation_count() + 2 * plan.eps.len() * dynamic);
            engines::choose(&arguments.solver, &problem, settings, integrations)?
        }
    };
    if arguments.solver.engine == EngineChoice::Gpu {
        engines.insist();
    }
    let gradients: Vec<String> = sources.all.iter().map(|n| n.judged.identity()).collect();
    let settled = settings_record(arguments, &problem, &plan, &engines, String::new())?;
    let mut header = Header::new(&settled, gradients, &points, arguments.shard, &engines)?;
    if let Some(first) = first {
        if !shards.is_empty() {
            header.engine = first.header.engine.clone();
            header.shard = first.header.shard;
        }
        header.goes_on_with(first)?;
    }
    let _lock = match resumed_lock {
        Some(lock) => lock,
        None => result_folder(&folder, arguments.replacing())?,
    };
    // The file may lie in that folder.
    let asked = match arguments.shard {
        Some(_) => OutcomeOptions { junit: None, baseline: None },
        None => arguments.outcome.clone(),
    };
    let outcome = Outcome::open(&asked, known)?;
    if !manner.quiet && shards.is_empty() {
        eprintln!("engine: {} ({})", engines.probes.describe(), header.engine.engine_reason);
        if let Some(begun) = &begun {
            eprintln!("going on with {}", begun.path.display());
        }
    }
    let wanted = (sources.wanted(arguments.localise.by.is_some()), sources.has_foreign());
    let evaluator = super::gradient::evaluator(&problem, settings, &engines, wanted)?;
    sources.settle(&evaluator);
    let path = folder.join(JOURNAL);
    let journal = if begun.is_none() && shards.is_empty() {
        let bytes = serde_json::to_vec(&header)
            .map_err(|e| CliError::output(&path)(std::io::Error::other(e)))?;
        Some(Journal::create(&path, &bytes).map_err(CliError::output(&path))?)
    } else {
        None
    };
    let is_merging = !shards.is_empty();
    let range = if is_merging { 0..points.len() } else { header.range() };
    let (start, of) = (range.start, range.len());
    let run = Run {
        arguments,
        manner,
        problem: &problem,
        plan: &plan,
        points: &points,
        sources: &sources,
        engines: &engines,
        evaluator: &evaluator,
        header: &header,
        folder: &folder,
        are_optima,
    };
    let finished = thread::scope(|scope| {
        let mut supplier = Supplier {
            evaluator: &evaluator,
            plan: &plan,
            points: &points,
            engines: &engines,
            // Merging can begin again at any time.
            interrupt: if is_merging { Interrupt::default() } else { Interrupt::listen() },
            unbegun: range.clone(),
            range,
            flight: Flight::new(scope, evaluator.chunks_in_flight()),
            readers: shards.into_iter().map(|shard| shard.reader).collect(),
            begun: begun.map(|begun| begun.reader),
            journal,
            path: path.clone(),
            failed_engine: None,
        };
        let finished = match arguments.shard {
            Some(shard) => run.shard(shard, &mut supplier),
            None => run.whole(&mut supplier, localisers, outcome),
        };
        finished.map_err(|source| (source, supplier.range.start - start))
    });
    let (text, code) = finished.map_err(|(source, done)| match is_merging {
        true => source,
        false => CliError::Unfinished {
            source: Box::new(source),
            done,
            points: of,
            journal: path.clone(),
        },
    })?;
    if arguments.shard.is_none() && !is_merging {
        fs::remove_file(&path).map_err(CliError::output(&path))?;
    }
    std::io::stdout().write_all(text.as_bytes()).map_err(CliError::output("-"))?;
    Ok(code)
}

/// A sweep that is ready to begin.
struct Run<'a> {
    arguments: &'a Arguments,
    manner: Manner,
    problem: &'a OdeProblem,
    plan: &'a CheckPlan,
    points: &'a SweepPoints<'a>,
    sources: &'a Sources,
    engines: &'a Engines,
    evaluator: &'a Evaluator<'a>,
    header: &'a Header,
    folder: &'a Path,
    are_optima: bool,
}

impl Run<'_> {
    /// Evaluates a shard's points into its journal.
    fn shard(
        &self,
        shard: Shard,
        supplier: &mut Supplier<'_, '_, '_>,
    ) -> Result<(String, ExitCode), CliError> {
        let (start, count) = (supplier.range.start, supplier.range.len());
        let progress = progress_bar(count, self.manner);
        while supplier.next()?.is_some() {
            progress.set_position((supplier.range.start - start) as u64);
        }
        progress.finish_and_clear();
        let text = format!(
            "shard {shard}: {count} of {} points in {}\n",
            self.points.len(),
            self.folder.display()
        );
        Ok((text, ExitCode::SUCCESS))
    }

    /// Judges all points and writes the reports; gives what people are told, and the exit status.
    fn whole(
        &self,
        supplier: &mut Supplier<'_, '_, '_>,
        mut localisers: Vec<Localiser>,
        outcome: Outcome,
    ) -> Result<(String, ExitCode), CliError> {
        let Self { arguments, problem, plan, sources, evaluator, folder, .. } = *self;
        let folder_of = |named: &Named| match sources.are_several() {
            true => folder.join(&named.folder),
            false => folder.to_owned(),
        };
        let mut reports = Vec::new();
        for named in &sources.all {
            let own = folder_of(named);
            fs::create_dir_all(&own).map_err(CliError::output(&own))?;
            reports.push(Reports::open(&own, problem, arguments.detail)?);
        }
        let progress = progress_bar(self.points.len(), self.manner);
        let given: Vec<_> =
            sources.all.iter().map(|n| (n.judged.source(), n.judged.allowance())).collect();
        let judging: Vec<Source<'_>> = given
            .iter()
            .zip(&sources.all)
            .map(|((gradient, allowance), named)| Source {
                gradient,
                method: named.judged.method(),
                allowance,
            })
            .collect();
        let mut optima = Vec::new();
        if self.are_optima {
            let tolerance = arguments.optimum.optimum_tol;
            let first = Optima::new(evaluator, self.points.there(), tolerance, plan.criteria)?;
            optima.resize(sources.all.len(), first);
        }
        let mut comparing = Comparing::new(sources, plan);
        let mut sink =
            |theta: &[f64], judged: &[JudgedPoint], result: &PointResult| -> Result<(), CliError> {
                let id = self.points.id(judged[0].point.position());
                for (k, judged) in judged.iter().enumerate() {
                    reports[k].add(&id, theta, judged, result)?;
                    localisers[k].see(theta, judged, result, judging[k].allowance);
                    if let Some(optima) = optima.get_mut(k) {
                        optima.see(judged, result, judging[k].allowance);
                    }
                }
                comparing.add(judged, result, &judging, plan);
                progress.inc(1);
                Ok(())
            };
        let mut summaries = check::judge_all(
            &problem.parameters,
            plan,
            &judging,
            &mut || supplier.next(),
            &mut sink,
        )?;
        progress.finish_and_clear();
        let localisations = localisers
            .into_iter()
            .zip(&mut summaries)
            .map(|(localiser, summary)| {
                localiser.finish(evaluator, self.points.there(), plan, summary)
            })
            .collect::<Result<Vec<_>, _>>()?;
        // The sweep is one, of however many gradients.
        for localisation in &localisations {
            summaries.iter_mut().for_each(|summary| summary.effort += localisation.effort);
        }

        let style = Style { colours: self.manner.colours, detailed: false };
        let (mut text, mut verdicts) = (String::new(), String::new());
        let (mut all_cases, mut all_ended, mut properties) = (Vec::new(), Vec::new(), Vec::new());
        let judged = sources.all.iter().zip(&summaries).zip(&localisations);
        for (place, (((named, summary), localisation), reports)) in judged.zip(reports).enumerate()
        {
            let mut cases = sweep_cases(problem, summary);
            let mut ended = outcome.end(&named.name, &mut cases);
            ended.is_bad |= localisation.has_consistent_failure();
            let gradient = named.judged.describe();
            let mut record =
                record(arguments, problem, plan, self.engines, evaluator, summary, gradient)?;
            record.engine = supplier.engine(self.header);
            record.engine_reason.clone_from(&self.header.engine.engine_reason);
            record.gradient_engine = self.header.engine.of_gradient(named.judged.method());
            record.notes.extend(sources.notes());
            record.baseline.clone_from(&ended.record);
            reports.finish(summary, &record)?;
            localisation.write(&folder_of(named), problem, self.points.there())?;
            let counts = match optima.get(place) {
                Some(optima) => {
                    optima.write(&folder_of(named).join("at_optimum.csv"))?;
                    format!("{}\n", optima.counts(style))
                }
                None => String::new(),
            };
            let theirs = record
                .properties()
                .map_err(|e| CliError::output(folder.join("run.json"))(std::io::Error::other(e)))?;
            let lines = counts
                + &diagnosis_lines(problem, summary)
                + &where_lines(problem, summary)
                + &localisation.table(problem, self.points.there(), style)
                + &ended.lines();
            if sources.are_several() {
                for case in &mut cases {
                    case.source = Some(named.folder.clone());
                }
                let theirs = theirs.into_iter().map(|(k, v)| (format!("{}.{k}", named.folder), v));
                properties.extend(theirs);
                let (name, kind) = (&named.name, named.judged.describe());
                text.push_str(&format!("gradient {name} ({kind}):\n"));
                text.push_str(&format!("{}\n{lines}", parameter_table(problem, summary, style)));
            } else {
                properties = theirs;
                text.push_str(&format!("{}\n", parameter_table(problem, summary, style)));
                verdicts = lines;
            }
            all_cases.extend(cases);
            all_ended.push(ended);
        }
        if sources.are_several() {
            let tables: Vec<(&str, &CheckSummary)> =
                sources.all.iter().map(|n| n.name.as_str()).zip(&summaries).collect();
            text.push_str(&comparing.finish(problem, folder, &tables, style)?);
        }
        outcome.write(problem, &properties, &all_cases)?;

        let summary = &summaries[0];
        if let [only] = sources.all.as_slice() {
            text.push_str(&format!("gradient: {}\n", only.judged.describe()));
        }
        let settings = arguments.solver.settings(arguments.check.steps)?;
        text.push_str(&count_lines(summary, (&arguments.check, settings), folder));
        text.push_str(&verdicts);
        for note in summary.notes(problem, arguments.solver.atol).iter().chain(&sources.notes()) {
            text.push_str(&format!("note: {note}\n"));
        }
        Ok((text, exit_code(&all_ended)))
    }
}

fn default_folder(arguments: &Arguments, problem: &OdeProblem, sources: &Sources) -> PathBuf {
    let kind = if sources.are_several() { "sources-sweep" } else { "sweep" };
    let shard = arguments.shard.map(|s| format!("-shard-{}-of-{}", s.number, s.of));
    PathBuf::from(format!("{}-{kind}{}", problem.name, shard.unwrap_or_default()))
}

pub(super) fn progress_bar(points: usize, manner: Manner) -> ProgressBar {
    // indicatif draws on stderr, and only where it is a terminal.
    let bar = if manner.quiet { ProgressBar::hidden() } else { ProgressBar::new(points as u64) };
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} points, {eta} left") {
        bar.set_style(style);
    }
    bar
}
