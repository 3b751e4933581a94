use gradsweep::engine::cpu::CpuEngine;
use gradsweep::sweep::*;
use std::time::Instant;
fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let count: usize = args[0].parse().unwrap();
    for path in &args[1..] {
        let problem = gradsweep::model::load(std::path::Path::new(path)).unwrap();
        let s = Settings { rtol: 1e-8, atol: 1e-12, max_steps: 100_000, steps: StepMode::Shared };
        let t = Instant::now();
        let e = Evaluator::with_gradients(&problem, s, &CpuEngine, &CpuEngine, OwnGradients::Both)
            .unwrap();
        let compile = t.elapsed().as_secs_f64();
        let plain = Evaluator::new(&problem, s, &CpuEngine, None).unwrap();
        let adj =
            Evaluator::with_gradients(&problem, s, &CpuEngine, &CpuEngine, OwnGradients::Adjoint)
                .unwrap();
        let mut points = gradsweep::startpoints::nominal(&problem.parameters).unwrap().theta_scaled;
        if count > 1 {
            points.extend(
                gradsweep::startpoints::random(&problem.parameters, count - 1, 0, 7)
                    .unwrap()
                    .theta_scaled,
            );
        }
        let t = Instant::now();
        plain.evaluate(&points, &[], &[], &no_refinement).unwrap();
        let sim = t.elapsed().as_secs_f64();
        let t = Instant::now();
        let only = adj.evaluate(&points, &[], &[], &no_refinement).unwrap();
        let ta = t.elapsed().as_secs_f64();
        let mut t_f = f64::NAN;
        let mut line = String::new();
        let mut worst = 0f64;
        let mut bad = 0;
        let mut failed = 0;
        if std::env::var("NOFWD").is_err() {
            let t = Instant::now();
            let both = e.evaluate(&points, &[], &[], &no_refinement).unwrap();
            t_f = t.elapsed().as_secs_f64() - ta;
            for (k, (r, o)) in both.points.iter().zip(&only.points).enumerate() {
                assert_eq!(
                    format!("{:?}", r.adjoint_gradient),
                    format!("{:?}", o.adjoint_gradient)
                );
                let (Some(f), Some(a)) = (&r.gradient, &r.adjoint_gradient) else {
                    failed += 1;
                    continue;
                };
                let largest = f.iter().fold(0f64, |m, x| m.max(x.abs()));
                let err = f
                    .iter()
                    .zip(a)
                    .map(|(x, y)| {
                        let e = (x - y).abs() / largest;
                        if e.is_nan() { f64::INFINITY } else { e }
                    })
                    .fold(0f64, f64::max);
                if err > worst || err.is_infinite() {
                    worst = worst.max(err);
                }
                if err > 1e-11 {
                    bad += 1;
                    if std::env::var("V").is_ok() {
                        line += &format!(
                            "  point {k}: {err:.1e} largest {largest:e} {:?}\n",
                            f.iter()
                                .zip(a)
                                .take(60)
                                .enumerate()
                                .filter(|(_, (x, y))| !((**x - **y).abs() <= 1e-11 * largest))
                                .map(|(j, (x, y))| format!(
                                    "{} {x:e} {y:e}",
                                    problem.parameters[j].id
                                ))
                                .collect::<Vec<_>>()
                        );
                    }
                }
            }
        }
        println!(
            "{}: n {} par {} worst {worst:.1e} bad {bad} failed {failed} of {}; counted: fwd {:.2} adj {:.2} sims; timed: fwd {:.2} adj {:.2} (sim {:.4} s), compile {compile:.2} s",
            problem.name,
            problem.state_ids.len(),
            problem.parameters.len(),
            points.len(),
            1.0 + e.costs.forward as f64 / e.costs.step as f64,
            1.0 + e.costs.adjoint as f64 / e.costs.step as f64,
            t_f / sim,
            ta / sim,
            sim
        );
        print!("{line}");
    }
}
