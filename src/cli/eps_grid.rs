//! `gradsweep eps-grid`.

use super::folder::{Replacing, result_folder};
use super::options::{CONFIDENCE, DEFAULT_CONSISTENT, Draw, SolverOptions, Steps, selected, usage};
use super::output::Output;
use super::record::plan_record;
use super::sweep::progress_bar;
use super::{CliError, Manner, engines};
use crate::check::eps_grid::{EpsGrid, decades, study_eps};
use crate::check::{CheckPlan, Criteria, Label};
use crate::model::OdeProblem;
use crate::report::{
    Rasteriser, RunRecord, Style, eps_grid_name, eps_grid_plot, eps_grid_table, write_best_eps,
    write_eps_grid,
};
use crate::sweep::Evaluator;
use clap::Args;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Say which step sizes suit finite differences of a problem.
///
/// Over a grid of eps and random points: relative errors of plain and paired central differences
/// against the program's own gradient, for each parameter and for all together (`*`), with the steps of
/// their point (shared) and with steps of their own (adaptive), at those points where the check finds
/// the gradient right. Writes run.json, eps.csv, best_eps.csv (where each V bottoms) and the plot,
/// eps.svg and eps.png.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    gradsweep eps-grid data/stat5                           reports in stat5-eps-grid/\n  \
    gradsweep eps-grid data/stat5 --points 1000 --eps-from 1e-2 --eps-to 1e-8 --per-decade 4\n  \
    gradsweep eps-grid data/stat5 --rtol 1e-6 --parameters k_phos --out grid")]
pub struct Arguments {
    /// PEtab YAML file, or a folder that holds one.
    problem: PathBuf,
    /// Number of random points, uniform between the bounds on the parameter scale.
    #[arg(long, default_value_t = 200, value_name = "N")]
    points: usize,
    /// Seed of random points.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Largest step on the parameter scale.
    #[arg(long, default_value = "1e-1", value_name = "EPS", allow_negative_numbers = true)]
    eps_from: f64,
    /// Smallest step.
    #[arg(long, default_value = "1e-12", value_name = "EPS", allow_negative_numbers = true)]
    eps_to: f64,
    /// Steps a decade; powers of ten are among them.
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=20))]
    per_decade: u32,
    /// Parameters, separated by commas [default: all that are estimated].
    #[arg(long, value_delimiter = ',', value_name = "ID,...")]
    parameters: Vec<String>,
    /// Folder for the reports [default: PROBLEM-eps-grid in the current folder].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Replace reports that are in the folder already.
    #[arg(long)]
    overwrite: bool,
    #[command(flatten)]
    solver: SolverOptions,
}

/// Reports that are written.
const FILES: [&str; 5] = ["run.json", "eps.csv", "best_eps.csv", "eps.svg", "eps.png"];

pub(super) fn run(arguments: &Arguments, manner: Manner) -> Result<ExitCode, CliError> {
    let [shared, own] = [Steps::Shared, Steps::Adaptive].map(|s| arguments.solver.settings(s));
    let (shared, own) = (shared?, own?);
    if arguments.points == 0 {
        return Err(usage("--points 0: at least one point is needed"));
    }
    for (name, eps) in [("--eps-from", arguments.eps_from), ("--eps-to", arguments.eps_to)] {
        if !(eps.is_finite() && eps > 0.0) {
            return Err(usage(format!("{name} {eps}: a positive step is expected, e.g. 1e-5")));
        }
    }
    let eps = decades(arguments.eps_from, arguments.eps_to, arguments.per_decade);
    if eps.len() < 2 {
        return Err(usage(format!(
            "--eps-from {:e} --eps-to {:e}: no two steps of the grid lie between them, of which there \
             are {} a decade",
            arguments.eps_from, arguments.eps_to, arguments.per_decade
        )));
    }
    arguments.solver.start_threads()?;
    let problem = arguments.solver.load(&arguments.problem)?;
    let plan = CheckPlan {
        parameters: selected(&problem, &arguments.parameters)?,
        eps,
        label: Label::default(),
        criteria: Criteria::default(),
        confidence: CONFIDENCE,
        consistent: DEFAULT_CONSISTENT,
    };
    let points = Draw::Bounds.points(&problem, 0..arguments.points, arguments.seed)?;
    let probes = 4 * plan.eps.len() * plan.parameters.len() * points.len();
    let integrations = probes * problem.simulation_count();
    let engines = engines::choose(&arguments.solver, &problem, shared, integrations)?;
    let default = || PathBuf::from(format!("{}-eps-grid", problem.name));
    let folder = arguments.out.clone().unwrap_or_else(default);
    let replacing =
        Replacing { is_asked_for: arguments.overwrite, is_own: arguments.out.is_none() };
    let _lock = result_folder(&folder, replacing)?;
    if !manner.quiet {
        eprintln!("engine: {} ({})", engines.probes.describe(), engines.reason);
    }
    let (of_probes, of_tangents) = (engines.probes.as_ref(), engines.tangents.as_ref());
    let with_gradient = Evaluator::new(&problem, shared, of_probes, Some(of_tangents))?;
    let adaptive = Evaluator::new(&problem, own, of_probes, None)?;
    let bar = progress_bar(points.len(), manner);
    let both = (&with_gradient, &adaptive);
    let grid = study_eps(both, &points.theta_scaled, &plan, &mut |done| bar.inc(done as u64))?;
    bar.finish_and_clear();
    let record = record(arguments, &problem, &plan, &engines, &with_gradient, &grid)?;
    write(&folder, &problem, &grid, &record)?;
    let style = Style { colours: manner.colours, detailed: false };
    let mut text = eps_grid_table(&problem, &grid, style);
    text.push_str(&format!(
        "best eps and median relative error there; {} points ({} failed), {} integrations; rtol {:e}, \
         atol {:e}\nreports in {}\n",
        grid.points,
        grid.failed_points,
        grid.lanes,
        shared.rtol,
        shared.atol,
        folder.display()
    ));
    for note in &record.notes {
        text.push_str(&format!("note: {note}\n"));
    }
    std::io::stdout().write_all(text.as_bytes()).map_err(CliError::output("-"))?;
    Ok(ExitCode::SUCCESS)
}

fn write(
    folder: &Path,
    problem: &OdeProblem,
    grid: &EpsGrid,
    record: &RunRecord,
) -> Result<(), CliError> {
    let [run_json, eps, best, svg, png] = FILES.map(|name| folder.join(name));
    let plot = eps_grid_plot(grid, &|parameter| match parameter {
        Some(_) => eps_grid_name(problem, parameter),
        None => "all parameters".to_owned(),
    });
    let raster = |source| CliError::Raster { path: png.clone(), source };
    let picture = Rasteriser::default().png(&plot).map_err(raster)?;
    let mut json = serde_json::to_string_pretty(record)
        .map_err(|e| CliError::output(&run_json)(std::io::Error::other(e)))?;
    json.push('\n');
    let put = |path: &Path, bytes: &[u8]| {
        let mut file = Output::create(path)?;
        file.write_all(bytes).and_then(|()| file.finish()).map_err(CliError::output(path))
    };
    let table = write_eps_grid(Vec::new(), problem, grid).map_err(CliError::output(&eps))?;
    let bottoms = write_best_eps(Vec::new(), problem, grid).map_err(CliError::output(&best))?;
    put(&eps, &table)?;
    put(&best, &bottoms)?;
    put(&svg, plot.as_bytes())?;
    put(&png, &picture)?;
    put(&run_json, json.as_bytes())
}

fn record(
    arguments: &Arguments,
    problem: &OdeProblem,
    plan: &CheckPlan,
    engines: &engines::Engines,
    evaluator: &Evaluator<'_>,
    grid: &EpsGrid,
) -> Result<RunRecord, CliError> {
    Ok(RunRecord {
        steps: "shared and adaptive",
        gradient: "own, forward tangents along shared steps".to_owned(),
        at: format!("random:{} by {}", arguments.points, Draw::Bounds.word()),
        seed: arguments.seed,
        points: grid.points,
        failed_points: grid.failed_points,
        integrations: grid.lanes,
        attempted_steps: grid.steps,
        step_operations: evaluator.step_ops,
        tangent_step_operations: evaluator.tangent_ops,
        ..plan_record("eps-grid", problem, plan, engines, &arguments.solver)?
    })
}
