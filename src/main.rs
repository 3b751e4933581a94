use gradsweep::{engine::cpu::CpuEngine, engine::gpu, engine::*, index::*, model, sweep::*};
fn main() {
    for a in gpu::adapters() {
        println!("{:?}", a.summary);
    }
    let path = std::env::args().nth(1).unwrap();
    let problem = match model::load(path.as_ref()) {
        Ok(p) => p,
        Err(e) => {
            println!("ERR {e}");
            std::process::exit(2)
        }
    };
    let g = gpu::GpuEngine::open(&gpu::find(None).unwrap()).unwrap();
    let s = Settings { rtol: 1e-8, atol: 1e-12, max_steps: 10000, steps: StepMode::Shared };
    let np = problem.parameters.len();
    let mut seed = 12345u64;
    let mut rnd = || {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 11) as f64 / (1u64 << 53) as f64
    };
    let pts: Vec<Vec<f64>> = (0..64)
        .map(|i| {
            problem
                .parameters
                .iter()
                .map(|p| {
                    if i == 0 {
                        p.nominal_scaled.unwrap()
                    } else {
                        p.lower_scaled + rnd() * (p.upper_scaled - p.lower_scaled)
                    }
                })
                .collect()
        })
        .collect();
    let ps: Vec<ParameterIdx> = (0..np).map(ParameterIdx::from_position).collect();
    let mut all = vec![];
    for eng in [&CpuEngine as &dyn Engine, &g as &dyn Engine] {
        let now = std::time::Instant::now();
        let ev = Evaluator::new(&problem, s, eng, Some(eng)).unwrap();
        println!(
            "{} compile {:?} ops {} tangent {}",
            eng.describe(),
            now.elapsed(),
            ev.step_ops,
            ev.tangent_ops
        );
        let now = std::time::Instant::now();
        let r = ev.evaluate(&pts, &ps, &[1e-1, 1e-3, 1e-5, 1e-7, 1e-9]).unwrap();
        println!(
            "{:?} lanes {} steps {} obj {:?}",
            now.elapsed(),
            r.lanes,
            r.steps,
            r.points[0].objective
        );
        all.push(r);
    }
    let (mut wo, mut wg) = (0f64, 0f64);
    for (a, b) in all[0].points.iter().zip(&all[1].points) {
        if let (Ok(x), Ok(y)) = (a.objective, b.objective) {
            wo = wo.max(((x - y) / x).abs());
            let (ga, gb) = (a.gradient.as_ref().unwrap(), b.gradient.as_ref().unwrap());
            for (p, q) in ga.iter().zip(gb) {
                wg = wg.max(((p - q) / p).abs());
            }
        } else {
            println!("{:?} {:?}", a.objective, b.objective);
        }
    }
    println!("worst objective {wo:e} gradient {wg:e}");
    let mut worst = vec![0f64; np];
    for p in &all[0].points {
        if let Some(g) = &p.gradient {
            for j in 0..np {
                let pr = &p.probes[j * 5 + 2];
                worst[j] = worst[j].max(((pr.paired_central - g[j]) / g[j]).abs());
            }
        }
    }
    println!("worst rel paired(1e-5) vs grad {:?}", worst);
}
