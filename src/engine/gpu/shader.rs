//! The compute shader of a step program, from the template in `shaders/`.

use crate::engine::EngineError;
use crate::program::wgsl::{literal, operand, print_body};
use crate::rosenbrock::StepProgram;
use minijinja::{Environment, UndefinedBehavior, context};

const TEMPLATE: &str = include_str!("../../../shaders/integrate.wgsl");
const LIBRARY: &str = include_str!("../../../shaders/math_f64.wgsl");

/// Invocations of a workgroup.
pub const WORKGROUP_SIZE: u32 = 32;

/// The WGSL source that integrates lanes by this step program.
pub fn source(step: &StepProgram) -> Result<String, EngineError> {
    let program = &step.program;
    let name = |i: usize| input_name(step, i);
    let values: Vec<String> =
        program.outputs().iter().map(|&v| operand(program, v, &name)).collect();
    let refused = |reason: minijinja::Error| EngineError::Shader {
        ops: program.ops().len(),
        reason: format!("{reason:#}"),
    };
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.add_template("integrate", TEMPLATE).map_err(refused)?;
    let kernel = environment
        .get_template("integrate")
        .and_then(|template| {
            template.render(context! {
                width => step.width,
                slot_count => step.slot_count,
                switch_count => step.switch_count,
                moving_count => step.moving_count,
                adaptive => step.adaptive,
                workgroup_size => WORKGROUP_SIZE,
                smallest => literal(4.0 * f64::EPSILON),
                body => print_body(program, &name),
                new_values => values[..step.width].to_vec(),
                error_squared => values.get(step.width).cloned(),
                factor => values.get(step.width + 1).cloned(),
            })
        })
        .map_err(refused)?;
    Ok(format!("{kernel}\n{LIBRARY}"))
}

/// What the template calls input i of the program.
fn input_name(step: &StepProgram, i: usize) -> String {
    let time_at = step.time_at();
    if i < step.slots_at() {
        format!("x{i}")
    } else if i < step.switches_at() {
        format!("p{}", i - step.slots_at())
    } else if i < time_at {
        format!("s{}", i - step.switches_at())
    } else if i < step.moving_at() {
        ["t", "h"][i - time_at].to_owned()
    } else if i < step.tolerances_at() {
        let k = i - step.moving_at();
        if k < step.moving_count {
            format!("t_dot{k}")
        } else {
            format!("h_dot{}", k - step.moving_count)
        }
    } else {
        ["rtol", "atol"][i - step.tolerances_at()].to_owned()
    }
}
