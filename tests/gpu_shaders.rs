//! The shaders of step programs: every kind (adaptive, replayed, with tangents, backwards) of every problem in
//! `data/` passes naga's validator, and becomes SPIR-V that `spirv-val` accepts. naga by itself
//! accepts f64 operations that no driver defines; `gpu_math_f64.rs` shows that `spirv-val` catches
//! these. Problems of the public collection are checked too where it is there.

mod spirv;

use gradsweep::engine::gpu::{reverse_sources, shader_source};
use gradsweep::index::DirectionIdx;
use gradsweep::model::{self, OdeProblem};
use gradsweep::rosenbrock::StepGenerator;
use spirv::{spirv, spirv_val};
use std::path::Path;

/// Directions of the tangent programs checked: enough to see every rule, and quick.
const DIRECTIONS: usize = 2;

fn check(problem: &OdeProblem) {
    let generator = StepGenerator::new(&problem.rhs);
    let directions = problem.dynamic_directions();
    let directions = &directions[..directions.len().min(DIRECTIONS)];
    // Moving breakpoints are legal along any direction.
    let moving = [DirectionIdx(0)];
    let steps = [
        ("adaptive", generator.adaptive()),
        ("replay", generator.replay()),
        ("tangents", generator.replay_with_tangents(directions, &[])),
        ("tangents with moving breakpoints", generator.replay_with_tangents(directions, &moving)),
    ];
    for (kind, step) in steps {
        let source = shader_source(&step).unwrap();
        let module = spirv(&source);
        if let Some(verdict) = spirv_val(&module) {
            assert_eq!(verdict, Ok(()), "{} {kind}", problem.name);
        }
        println!("{} {kind}: {} bytes of SPIR-V", problem.name, module.len());
    }
    for has_times in [false, true] {
        let reverse = generator.reverse(&problem.dynamic_directions(), has_times);
        let sources = reverse_sources(&generator.replay(), &reverse).unwrap();
        for (kind, source) in ["forwards", "backwards"].iter().zip(sources) {
            let module = spirv(&source);
            if let Some(verdict) = spirv_val(&module) {
                assert_eq!(verdict, Ok(()), "{} {kind}, times: {has_times}", problem.name);
            }
        }
    }
}

#[test]
fn shaders_of_our_problems_are_valid() {
    for name in ["stat5", "conversion", "robertson", "repressilator"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(name);
        check(&model::load(&folder).unwrap());
    }
}

#[test]
fn shaders_of_the_collection_are_valid() {
    let Some(folder) = std::env::var_os("PETAB_BENCHMARKS_DIR") else {
        println!("skipped: PETAB_BENCHMARKS_DIR is not set");
        return;
    };
    let mut checked = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // What is not supported yet is refused by name; the loader's own tests see to that.
        let Ok(problem) = model::load(&path) else { continue };
        // Validating shaders of hundreds of states takes minutes; the CPU engine runs those.
        if problem.state_ids.len() <= 16 {
            check(&problem);
            checked += 1;
        }
    }
    assert!(checked > 0, "no problem of the collection could be loaded");
}
