use gradsweep::check::*;
use gradsweep::engine::EngineError;
use gradsweep::engine::cpu::CpuEngine;
use gradsweep::index::ParameterIdx;
use gradsweep::{model, startpoints};
use gradsweep::sweep::{Evaluator, Settings, StepMode};
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let count: usize = a[2].parse().unwrap();
    let steps = if a[3] == "adaptive" { StepMode::Adaptive } else { StepMode::Shared };
    let max: usize = a[4].parse().unwrap();
    let kinds: Vec<&str> = a[5].split(',').collect();
    let problem = model::load(std::path::Path::new(&a[1])).unwrap();
    let points = startpoints::random(&problem.parameters, count, 0, 0).unwrap();
    let s = Settings { rtol: 1e-8, atol: 1e-12, max_steps: 10_000, steps };
    let ev = Evaluator::new(&problem, s, &CpuEngine, Some(&CpuEngine)).unwrap();
    let plan = CheckPlan {
        parameters: (0..problem.parameters.len()).map(ParameterIdx::from_position).collect(),
        eps: vec![1e-1, 1e-3, 1e-5, 1e-7, 1e-9], label: Label::RelErr, criteria: Criteria::default(),
        confidence: 0.95, consistent: 0.05,
    };
    let mut n = 0;
    run(&ev, &points.theta_scaled, &plan, &own_gradient, &mut |j, r| -> Result<(), EngineError> {
        for (k, c) in j.cells.iter().enumerate() {
            if kinds.contains(&c.verdict.kind.name()) && n < max {
                n += 1;
                println!("{} point {} {} grad {:.10e} est {:?} obj {:?}", c.verdict.kind, j.point.0, problem.parameters[c.parameter.position()].id, c.gradient, c.estimate, r.objective);
                let mut all: Vec<_> = r.probes[k*5..k*5+5].to_vec();
                all.extend(r.refinements.iter().filter(|p| p.parameter == c.parameter).cloned());
                all.sort_by(|a, b| b.eps.total_cmp(&a.eps));
                for p in all { println!("   {:.2e} c {:.10e} f {:.6e} b {:.6e} ro {:.2e} un {:.2e}", p.eps, p.paired_central, p.paired_forward, p.paired_backward, p.round_off, p.unmoved_round_off); }
            }
        }
        Ok(())
    }).unwrap();
}
