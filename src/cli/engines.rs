//! Which engine integrates, and why.

use super::CliError;
use super::options::{AdapterCount, EngineChoice, SolverOptions};
use super::shader_cache::shader_cache;
use crate::engine::cpu::CpuEngine;
use crate::engine::fallback::FallbackEngine;
use crate::engine::gpu::{self, GpuEngine};
use crate::engine::several::SeveralEngines;
use crate::engine::{Engine, EngineError};
use crate::model::OdeProblem;
use crate::rosenbrock::StepGenerator;
use crate::startpoints;
use crate::sweep::{Evaluator, GradientEngines, GradientMethod, Settings, no_refinement};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Steps with more operations than this go to the CPU engine: a shader of this size takes a
/// minute to compile on a software adapter (measured: 33 thousand operations, 43 s).
const LARGEST_SHADER: usize = 30_000;
/// The same on hardware: NVIDIA's driver 580 took shaders of up to 11,289 operations (3.7 s) and refused
/// those of 13,863 and more (after 6 to 11 s).
const LARGEST_HARDWARE_SHADER: usize = 11_000;
/// Tangent programs larger than this run on the CPU engine while their probes are on the GPU:
/// compiling one takes as long as tens of thousands of gradients on the CPU.
const LARGEST_TANGENT_SHADER: usize = 4_000;
/// Operations of a step backwards over those of a step (measured on models of 8 to 500 states: 2.3 to
/// 2.5).
const REVERSE_STEP: f64 = 2.4;
/// Integrations below which finding adapters, opening one and compiling a shader cannot pay: half a second
/// and more beside an H200, whose host integrates 100,000 times in that time.
const SMALL_JOB: usize = 20_000;
/// Points of the calibration.
const CALIBRATION_POINTS: usize = 64;

/// The engines of a run.
pub struct Engines {
    pub probes: Arc<dyn Engine>,
    pub tangents: Arc<dyn Engine>,
    pub adjoints: Arc<dyn Engine>,
    /// Why these, for stderr and `run.json`.
    pub reason: String,
    /// The same for engines that give the same digits.
    pub identity: String,
    /// The engine that another stands in for where it fails.
    fallback: Option<Arc<FallbackEngine>>,
}

impl Engines {
    /// The CPU engine.
    pub fn cpu(reason: String) -> Self {
        Self {
            probes: Arc::new(CpuEngine),
            tangents: Arc::new(CpuEngine),
            adjoints: Arc::new(CpuEngine),
            reason,
            identity: CPU.to_owned(),
            fallback: None,
        }
    }

    /// A device that fails ends the run.
    pub fn insist(&self) {
        self.fallback.iter().for_each(|engine| engine.insist());
    }

    /// What the engine says of itself where it has failed.
    pub fn failure(&self) -> Option<String> {
        self.fallback.as_ref().filter(|engine| engine.has_failed()).map(|e| e.describe())
    }
}

/// Identity of the CPU engine: instruction sets and threads change no digit.
const CPU: &str = "cpu";
/// Of a device that computes adjoints, too.
const WITH_ADJOINTS: &str = ", adjoints too";

/// The engines with which a sweep began, where the command leaves them open; else those it names.
pub fn choose_again(
    options: &SolverOptions,
    problem: &OdeProblem,
    settings: Settings,
    identity: &str,
) -> Result<Engines, CliError> {
    match options.engine {
        EngineChoice::Auto if identity == CPU => Ok(Engines::cpu("as begun".to_owned())),
        EngineChoice::Auto => {
            let with_adjoints = identity.ends_with(WITH_ADJOINTS);
            let device = Adapters::find(options)?.open()?;
            Ok(on_gpu(device, problem, "as begun".to_owned(), with_adjoints))
        }
        _ => choose(options, problem, settings, 0),
    }
}

impl Engines {
    /// Those of own gradients.
    pub fn gradients(&self) -> GradientEngines<'_> {
        GradientEngines { forward: self.tangents.as_ref(), adjoint: self.adjoints.as_ref() }
    }

    /// The engine of own gradients by a method, for reports.
    pub fn describe_gradient(&self, method: GradientMethod) -> String {
        match method {
            GradientMethod::Forward => self.tangents.describe(),
            GradientMethod::Adjoint => self.adjoints.describe(),
        }
    }
}

/// Chooses the engines for a job of about this many integrations.
pub fn choose(
    options: &SolverOptions,
    problem: &OdeProblem,
    settings: Settings,
    integrations: usize,
) -> Result<Engines, CliError> {
    let cpu = Engines::cpu;
    match options.engine {
        EngineChoice::Cpu => Ok(cpu("asked for".to_owned())),
        EngineChoice::Gpu => {
            Ok(on_gpu(Adapters::find(options)?.open()?, problem, "asked for".to_owned(), true))
        }
        EngineChoice::Auto => {
            let is_small = integrations < SMALL_JOB;
            let small =
                || cpu(format!("{integrations} integrations do not pay for compiling a shader"));
            // Looking for adapters takes its time, too.
            if is_small && !options.names_adapters() {
                return Ok(small());
            }
            let adapters = match Adapters::find(options) {
                Ok(adapters) => adapters,
                Err(
                    error
                    @ (EngineError::NoSuchAdapter { .. } | EngineError::TooFewAdapters { .. }),
                ) => return Err(error.into()),
                Err(error) => return Ok(cpu(error.to_string())),
            };
            let ops = step_operations(problem);
            let largest = match adapters.are_software() {
                true => LARGEST_SHADER,
                false => LARGEST_HARDWARE_SHADER,
            };
            if ops > largest {
                return Ok(cpu(format!(
                    "a step of {ops} operations is too large for a shader (at most {largest})"
                )));
            }
            if !adapters.are_software() {
                return Ok(match adapters.open() {
                    Ok(device) => {
                        on_gpu(device, problem, "a hardware adapter with f64".to_owned(), false)
                    }
                    Err(error) => cpu(error.to_string()),
                });
            }
            if is_small {
                return Ok(small());
            }
            Ok(match calibrate(&adapters, problem, settings, integrations) {
                Ok((device, reason)) => match device {
                    Some(device) => on_gpu(device, problem, reason, false),
                    None => cpu(reason),
                },
                Err(error) => cpu(format!("the software adapter failed: {error}")),
            })
        }
    }
}

/// Adapters of one kind.
struct Adapters(Vec<gpu::Adapter>);

/// Their devices as one engine.
struct Devices {
    engine: Box<dyn Engine>,
    /// Of one of them: how many there are changes no digit.
    identity: String,
    are_software: bool,
}

impl Adapters {
    /// As many as the options want.
    fn find(options: &SolverOptions) -> Result<Self, EngineError> {
        let most = match options.adapters {
            AdapterCount::Some(count) => count,
            AdapterCount::All => usize::MAX,
        };
        let alike = gpu::find_alike(options.adapter.as_deref(), most)?;
        match options.adapters {
            AdapterCount::Some(wanted) if wanted > alike.len() => {
                let (found, name) = (alike.len(), alike[0].summary.name.clone());
                Err(EngineError::TooFewAdapters { wanted, found, name })
            }
            _ => Ok(Self(alike)),
        }
    }

    fn are_software(&self) -> bool {
        self.0[0].summary.is_software()
    }

    fn open(&self) -> Result<Devices, EngineError> {
        let options =
            gpu::DeviceOptions { shader_cache: shader_cache(), ..gpu::DeviceOptions::default() };
        let open = |adapter| GpuEngine::open_with(adapter, &options);
        let mut engines = self.0.iter().map(open).collect::<Result<Vec<_>, _>>()?;
        let identity = engines[0].identity();
        let engine: Box<dyn Engine> = match engines.len() {
            1 => Box::new(engines.remove(0)),
            _ => {
                let members = engines.into_iter().map(|engine| Box::new(engine) as Box<dyn Engine>);
                Box::new(SeveralEngines::new(members.collect())?)
            }
        };
        Ok(Devices { engine, identity, are_software: self.are_software() })
    }
}

fn on_gpu(devices: Devices, problem: &OdeProblem, reason: String, is_asked: bool) -> Engines {
    let Devices { engine, mut identity, are_software } = devices;
    let fallback = Arc::new(FallbackEngine::new(engine));
    let engine: Arc<dyn Engine> = fallback.clone();
    let directions = problem.all().map(|m| m.dynamic_directions().len()).max().unwrap_or(0);
    let step_ops = step_operations(problem);
    let choose = |fits: bool| match fits {
        true => engine.clone(),
        false => Arc::new(CpuEngine),
    };
    // Measured: one tangent adds 1 to 1.6 times the step.
    let tangent_ops = step_ops * (1 + directions);
    let fit = tangent_ops <= LARGEST_TANGENT_SHADER;
    // Two more shaders are worth their compiling where that is asked for, or quick.
    let adjoint_ops = (REVERSE_STEP * step_ops as f64) as usize;
    let adjoints_fit = adjoint_ops <= LARGEST_TANGENT_SHADER && (is_asked || !are_software);
    if adjoints_fit {
        identity.push_str(WITH_ADJOINTS);
    }
    let left = match (fit, adjoints_fit) {
        (true, true) => String::new(),
        (true, false) => "; adjoints are left to the CPU engine".to_owned(),
        (false, true) => {
            format!("; tangents of about {tangent_ops} operations are left to the CPU engine")
        }
        (false, false) => format!(
            "; tangents of about {tangent_ops} operations and adjoints are left to the CPU engine"
        ),
    };
    Engines {
        tangents: choose(fit),
        adjoints: choose(adjoints_fit),
        reason: reason + &left,
        probes: engine,
        identity,
        fallback: Some(fallback),
    }
}

/// Of the largest step among the problem's models.
fn step_operations(problem: &OdeProblem) -> usize {
    let of_model = |m: &OdeProblem| StepGenerator::new(&m.rhs).replay().program.ops().len();
    problem.all().map(of_model).max().unwrap_or(0)
}

/// Times both engines on some points of the problem, compiling included; gives the adapter's
/// engine if the whole job will be faster there.
fn calibrate(
    adapters: &Adapters,
    problem: &OdeProblem,
    settings: Settings,
    integrations: usize,
) -> Result<(Option<Devices>, String), CliError> {
    let points = match startpoints::random(&problem.parameters, CALIBRATION_POINTS, 0, 0) {
        Ok(points) => points.theta_scaled,
        // Without bounds there is nothing to draw; the nominal point will do.
        Err(_) => vec![startpoints::nominal(&problem.parameters)?.theta_scaled.remove(0)],
    };
    let parameters: Vec<_> =
        (0..problem.parameters.len()).map(crate::index::ParameterIdx::from_position).collect();
    let time = |engine: &dyn Engine| -> Result<(Duration, f64), CliError> {
        let began = Instant::now();
        let evaluator = Evaluator::new(problem, settings, engine, None)?;
        // Drivers compile at the first dispatch.
        evaluator.evaluate(&points[..1], &parameters[..1], &[1e-5], &no_refinement)?;
        let compiling = began.elapsed();
        let began = Instant::now();
        let evaluated = evaluator.evaluate(&points, &parameters, &[1e-5], &no_refinement)?;
        Ok((compiling, began.elapsed().as_secs_f64() / evaluated.lanes.max(1) as f64))
    };
    let devices = adapters.open()?;
    let (_, cpu_each) = time(&CpuEngine)?;
    let (compiling, gpu_each) = time(devices.engine.as_ref())?;
    let (cpu, gpu) =
        (cpu_each * integrations as f64, compiling.as_secs_f64() + gpu_each * integrations as f64);
    let faster = if gpu < cpu { "adapter" } else { "CPU engine" };
    let reason = format!("a calibration found the {faster} faster for this job");
    tracing::info!(
        "calibration: CPU engine {:.1} us, {} {:.1} us an integration and {:.1} s to compile",
        cpu_each * 1e6,
        adapters.0[0].summary.name,
        gpu_each * 1e6,
        compiling.as_secs_f64()
    );
    Ok(((gpu < cpu).then_some(devices), reason))
}
