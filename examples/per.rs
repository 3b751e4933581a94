use gradsweep::engine::cpu::CpuEngine;
use gradsweep::index::ParameterIdx;
use gradsweep::sweep::*;
fn main() {
    let problem =
        gradsweep::model::load(std::path::Path::new(&std::env::args().nth(1).unwrap())).unwrap();
    let k: usize = std::env::args().nth(2).unwrap().parse().unwrap();
    let mut points = gradsweep::startpoints::nominal(&problem.parameters).unwrap().theta_scaled;
    points.extend(
        gradsweep::startpoints::random(&problem.parameters, 99, 0, 7).unwrap().theta_scaled,
    );
    let all: Vec<ParameterIdx> =
        (0..problem.parameters.len()).map(ParameterIdx::from_position).collect();
    println!("{:?}", points[k]);
    for (rtol, atol) in [(1e-8, 1e-12), (1e-10, 1e-14), (1e-12, 1e-16)] {
        let s = Settings { rtol, atol, max_steps: 100_000, steps: StepMode::Shared };
        let e = Evaluator::with_gradients(&problem, s, &CpuEngine, &CpuEngine, OwnGradients::Both)
            .unwrap();
        let r =
            e.evaluate(&[points[k].clone()], &all, &[1e-3, 1e-4, 1e-5], &no_refinement).unwrap();
        let p = &r.points[0];
        println!(
            "{rtol:e} obj {:?} steps {} fwd {:?} adj {:?}\n   mag {:?}",
            p.objective,
            p.steps,
            p.gradient.as_ref().unwrap(),
            p.adjoint_gradient.as_ref().unwrap(),
            p.gradient_magnitudes
        );
        for q in &p.probes {
            println!(
                "   {} {:e} {:e}  round {:e}",
                problem.parameters[q.parameter.position()].id,
                q.eps,
                q.paired_central,
                q.round_off
            );
        }
    }
}
