//! The compute shader of a step program, from the template in `shaders/`.

use crate::engine::EngineError;
use crate::program::Program;
use crate::program::wgsl::{literal, operand, print_body};
use crate::rosenbrock::{ReverseStep, StepProgram};
use minijinja::{Environment, UndefinedBehavior, Value, context};

const TEMPLATE: &str = include_str!("../../../shaders/integrate.wgsl");
const REVERSE: &str = include_str!("../../../shaders/reverse.wgsl");
const LIBRARY: &str = include_str!("../../../shaders/math_f64.wgsl");

/// Invocations of a workgroup.
pub const WORKGROUP_SIZE: u32 = 32;

/// A template with these values around a program, and the functions that it calls.
fn kernel(template: &str, program: &Program, values: Value) -> Result<String, EngineError> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let kernel = environment.render_str(template, values).map_err(|reason| {
        EngineError::Shader { ops: program.ops().len(), reason: format!("{reason:#}") }
    })?;
    Ok(format!("{kernel}\n{LIBRARY}"))
}

/// The WGSL source that integrates lanes by this step program.
pub fn source(step: &StepProgram) -> Result<String, EngineError> {
    let program = &step.program;
    let name = |i: usize| input_name(step, i);
    let values: Vec<String> =
        program.outputs().iter().map(|&v| operand(program, v, &name)).collect();
    kernel(
        TEMPLATE,
        program,
        context! {
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
        },
    )
}

/// The WGSL sources that take lanes forwards, writing down their states, and backwards.
pub fn reverse_sources(
    replay: &StepProgram,
    step: &ReverseStep,
) -> Result<[String; 2], EngineError> {
    let (n, m) = (step.state_count, step.slots.len());
    let render = |is_backward: bool| {
        let program = if is_backward { &step.program } else { &replay.program };
        let name = |i: usize| match is_backward {
            true => reverse_input_name(step, i),
            false => input_name(replay, i),
        };
        let values: Vec<String> =
            program.outputs().iter().map(|&v| operand(program, v, &name)).collect();
        kernel(
            REVERSE,
            program,
            context! {
                        backward => is_backward,
                        state_count => n,
                        slot_count => step.carried_count,
                        switch_count => step.switch_count,
                        adjoint_count => m,
                        workgroup_size => WORKGROUP_SIZE,
                        body => print_body(program, &name),
                        of_states => values[..n].to_vec(),
                        of_slots => values.get(n..n + m).unwrap_or_default().to_vec(),
                        of_times => values.get(n + m..).unwrap_or_default().to_vec(),
            },
        )
    };
    Ok([render(false)?, render(true)?])
}

/// What the template calls input i of the step backwards.
fn reverse_input_name(step: &ReverseStep, i: usize) -> String {
    if i < step.adjoints_at() {
        format!("x{i}")
    } else if i < step.slots_at() {
        format!("a{}", i - step.adjoints_at())
    } else if i < step.switches_at() {
        format!("p{}", i - step.slots_at())
    } else if i < step.time_at() {
        format!("s{}", i - step.switches_at())
    } else {
        ["t", "h"][i - step.time_at()].to_owned()
    }
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
