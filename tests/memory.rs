//! What checking very many points takes in memory: a million points of 9 parameters with 5 eps fit in
//! 1 GiB. Points are evaluated once and judged over and over: what is kept of them is what counts.
//! The only test of its program, so that the peak is its own.

use gradsweep::check::{CheckPlan, Source, Supplied, judge_all, own_gradient};
use gradsweep::engine::EngineError;
use gradsweep::engine::cpu::CpuEngine;
use gradsweep::index::ParameterIdx;
use gradsweep::model;
use gradsweep::startpoints;
use gradsweep::sweep::{Evaluator, GradientMethod, Settings, StepMode};
use std::path::Path;

/// A million points in 1 GiB, 64 MiB of it for the program itself.
const MOST_PER_POINT: f64 = ((1 << 30) - (64 << 20)) as f64 / 1e6;

/// What the twin keeps of each point.
const TWIN: usize = 2048;

/// Peak of the resident memory so far, in bytes; none where the system does not tell.
fn peak() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kibibytes: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(1024.0 * kibibytes)
}

#[test]
fn a_million_points_fit() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/stat5");
    let problem = model::load(&folder).unwrap();
    let settings = Settings { rtol: 1e-8, atol: 1e-12, max_steps: 10_000, steps: StepMode::Shared };
    let theta = startpoints::random(&problem.parameters, 200, 0, 0).unwrap().theta_scaled;
    let plan = CheckPlan::new(
        (0..problem.parameters.len()).map(ParameterIdx::from_position).collect(),
        vec![1e-1, 1e-3, 1e-5, 1e-7, 1e-9],
    );
    let evaluator = Evaluator::new(&problem, settings, &CpuEngine, Some(&CpuEngine)).unwrap();
    let mut evaluated = plan.evaluate(&evaluator, &theta).unwrap();
    evaluated.points.iter_mut().for_each(|point| point.predictions = Vec::new());
    let mut kept: Vec<Vec<u8>> = Vec::new();
    let mut judge = |points: usize, kept_each: usize| {
        let mut left = points / theta.len();
        let mut supply = || -> Result<Option<Supplied>, EngineError> {
            let Some(fewer) = left.checked_sub(1) else { return Ok(None) };
            left = fewer;
            Ok(Some(Supplied { theta_scaled: theta.clone(), evaluated: evaluated.clone() }))
        };
        let source = [Source {
            gradient: &own_gradient,
            method: GradientMethod::Forward,
            allowance: &|_, _| None,
        }];
        let mut sink = |_: &[f64], _: &[_], _: &_| {
            kept.push(vec![1; kept_each]);
            Ok(())
        };
        let summaries =
            judge_all(&problem.parameters, &plan, &source, &mut supply, &mut sink).unwrap();
        assert_eq!(summaries[0].points, points);
    };
    judge(10_000, 0);
    let Some(before) = peak() else {
        return println!("skipped: there is no /proc/self/status here");
    };
    let points = 60_000;
    judge(points, 0);
    let each = (peak().unwrap() - before) / (points - 10_000) as f64;
    println!("{each:.0} bytes a point");
    // Nine parameters with five eps have 90 numbers in eps.csv's medians alone.
    assert!(each > 500.0, "what is measured is not the peak");
    assert!(each < MOST_PER_POINT, "{each} bytes a point");
    // The twin: two kilobytes more for each point are seen.
    let before = peak().unwrap();
    judge(points, TWIN);
    assert!((peak().unwrap() - before) / points as f64 > MOST_PER_POINT);
    if std::env::var("GRADSWEEP_FULL").is_ok_and(|v| v == "1") {
        judge(1_000_000, 0);
        let most = peak().unwrap() - (points * TWIN) as f64;
        println!("a million points: {:.0} MiB", most / f64::from(1 << 20));
        assert!(most <= f64::from(1 << 30), "{most}");
    }
}
