//! Adapters that allow little: batches are cut until they fit, to the same bits, and a lane that
//! fits nowhere is left to the CPU engine, which says so.
//!
//! Devices are opened within limits below the adapter's, which wgpu then holds them to: a binding or
//! a dispatch beyond them is an error of the device.

mod gpu_adapter;

use gpu_adapter::adapter;
use gradsweep::engine::cpu::CpuEngine;
use gradsweep::engine::fallback::FallbackEngine;
use gradsweep::engine::gpu::{Adapter, GpuEngine};
use gradsweep::engine::{Batch, BatchResult, Control, Engine, EngineError, Segment, Timeline};
use gradsweep::graph::{Graph, Input};
use gradsweep::index::{ParameterIdx, SlotIdx, StateIdx, SwitchIdx, TimelineIdx};
use gradsweep::model;
use gradsweep::rosenbrock::{RightHandSide, StepGenerator};
use gradsweep::startpoints;
use gradsweep::sweep::{Evaluator, PointResult, Settings, StepMode, no_refinement};
use std::path::Path;

/// What WebGPU guarantees: 128 MiB a binding, 256 MiB a buffer, 8 storage buffers, 65,535
/// workgroups.
fn guaranteed() -> wgpu::Limits {
    let limits = wgpu::Limits::default();
    assert_eq!(limits.max_storage_buffer_binding_size, 128 << 20);
    assert_eq!(limits.max_buffer_size, 256 << 20);
    assert_eq!(limits.max_storage_buffers_per_shader_stage, 8);
    assert_eq!(limits.max_compute_workgroups_per_dimension, 65_535);
    limits
}

fn with_bindings(bytes: u64) -> wgpu::Limits {
    wgpu::Limits { max_storage_buffer_binding_size: bytes, ..guaranteed() }
}

fn open(adapter: &Adapter, limits: wgpu::Limits) -> GpuEngine {
    GpuEngine::open_within(adapter, limits).unwrap()
}

fn evaluate(engine: &dyn Engine, name: &str, steps: StepMode, count: usize) -> Vec<PointResult> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(name);
    let problem = model::load(&folder).unwrap();
    let settings = Settings { rtol: 1e-8, atol: 1e-12, max_steps: 10_000, steps };
    // Tangents of a small problem only: larger ones compile for seconds.
    let gradients = (name == "conversion").then_some(engine);
    let evaluator = Evaluator::new(&problem, settings, engine, gradients).unwrap();
    let points = startpoints::random(&problem.parameters, count, 0, 3).unwrap().theta_scaled;
    let parameters: Vec<_> =
        (0..problem.parameters.len()).map(ParameterIdx::from_position).collect();
    evaluator.evaluate(&points, &parameters, &[1e-3], &no_refinement).unwrap().points
}

#[test]
fn small_limits_change_no_bit() {
    let Some(adapter) = adapter() else { return };
    let whole = GpuEngine::open(&adapter).unwrap();
    let few_groups = wgpu::Limits { max_compute_workgroups_per_dimension: 2, ..guaranteed() };
    let small_buffers = wgpu::Limits { max_buffer_size: 1 << 15, ..with_bindings(1 << 15) };
    for (name, steps, count) in [
        ("stat5", StepMode::Shared, 60),
        ("stat5", StepMode::Adaptive, 40),
        ("conversion", StepMode::Shared, 60),
    ] {
        let expected = evaluate(&whole, name, steps, count);
        for (what, limits) in [
            ("those that are guaranteed", guaranteed()),
            ("64 KiB", with_bindings(1 << 16)),
            ("32 KiB, buffers too", small_buffers.clone()),
            // Four workgroups of 32 lanes.
            ("128 lanes a dispatch", few_groups.clone()),
        ] {
            let found = evaluate(&open(&adapter, limits), name, steps, count);
            assert!(found == expected, "{name}, {steps:?}: {what}");
        }
    }
}

/// x' = −k·x·s: a state, a slot, a switch.
fn decay() -> RightHandSide {
    let mut graph = Graph::new();
    let x = graph.input(Input::State(StateIdx(0)));
    let k = graph.input(Input::Slot(SlotIdx(0)));
    let s = graph.input(Input::Switch(SwitchIdx(0)));
    let flow = graph.mul(k, x);
    let flow = graph.mul(flow, s);
    let derivatives = vec![graph.neg(flow)];
    RightHandSide { graph, derivatives, slots: vec![SlotIdx(0)], switch_count: 1 }
}

/// Lanes with breakpoints of their own, as where parameters move them.
fn own_timelines(engine: &dyn Engine, lanes: usize) -> Result<BatchResult, EngineError> {
    let segment = |t_end: f64, on: f64| Segment {
        t_end,
        is_output: true,
        switches: vec![on],
        t_end_tangents: vec![],
    };
    let timeline = |lane: usize| {
        let moved = 1.0 + lane as f64 / lanes as f64;
        let segments = vec![segment(moved, 1.0), segment(moved + 0.5, 0.0), segment(3.0, 1.0)];
        Timeline { t_start: 0.0, t_start_tangents: vec![], segments }
    };
    let kernel = engine.prepare(&StepGenerator::new(&decay()).adaptive())?;
    let timelines: Vec<Timeline> = (0..lanes).map(timeline).collect();
    let of_lane: Vec<TimelineIdx> = (0..lanes).map(TimelineIdx::from_position).collect();
    let (initial, slots, first_steps) = (vec![1.0; lanes], vec![0.7; lanes], vec![1e-3; lanes]);
    kernel.run(&Batch {
        initial: &initial,
        slots: &slots,
        timelines: &timelines,
        of_lane: &of_lane,
        control: Control::Adaptive {
            rtol: 1e-8,
            atol: 1e-12,
            max_steps: 1000,
            first_steps: &first_steps,
        },
    })
}

#[test]
fn timelines_count_too() {
    let Some(adapter) = adapter() else { return };
    // Four rows of three numbers each: 384 KB in all.
    let lanes = 4000;
    let small = own_timelines(&open(&adapter, with_bindings(1 << 16)), lanes).unwrap();
    assert!(small == own_timelines(&GpuEngine::open(&adapter).unwrap(), lanes).unwrap());
    for lane in 0..lanes {
        let on = 1.0 + lane as f64 / lanes as f64 + 1.5 - lane as f64 / lanes as f64;
        let end = small.outputs[small.offsets[lane + 1] - 1];
        let expected = (-0.7 * on).exp();
        // rtol 1e-8 in each of about thirty steps.
        assert!((end / expected - 1.0).abs() < 3e-7, "lane {lane}: {end}, {expected}");
    }
}

/// A lane that needs more than a binding may hold, and a shader that needs more bindings than there
/// are: the CPU engine goes on, with its own digits, and it is said why.
#[test]
fn what_fits_nowhere_is_left_to_the_cpu_engine() {
    let Some(adapter) = adapter() else { return };
    let tiny = with_bindings(512);
    let few = wgpu::Limits { max_storage_buffers_per_shader_stage: 6, ..guaranteed() };
    assert!(matches!(
        own_timelines(&open(&adapter, with_bindings(64)), 4),
        Err(EngineError::TooLarge { needed: 65.., allowed: 64 })
    ));
    assert!(matches!(
        own_timelines(&open(&adapter, few.clone()), 4),
        Err(EngineError::Shader { .. })
    ));
    let expected = evaluate(&CpuEngine, "stat5", StepMode::Shared, 5);
    for (limits, words) in [(tiny, "bytes in one buffer, the adapter allows 512"), (few, "shader")]
    {
        let engine = FallbackEngine::new(Box::new(open(&adapter, limits)));
        assert!(evaluate(&engine, "stat5", StepMode::Shared, 5) == expected);
        let said = engine.describe();
        assert!(said.contains(words) && said.contains("cpu"), "{said}");
    }
}

/// What a device within these limits says of binding a storage buffer of so many bytes.
fn bind(limits: wgpu::Limits, bytes: u64) -> Option<wgpu::Error> {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::VULKAN;
    let instance = wgpu::Instance::new(descriptor);
    let adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::VULKAN));
    let required = wgpu::DeviceDescriptor { required_limits: limits, ..Default::default() };
    let (device, _) = pollster::block_on(adapters[0].request_device(&required)).unwrap();
    let scope = device.push_error_scope(wgpu::ErrorFilter::Validation);
    let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
        label: None,
        entries: &[wgpu::BindGroupLayoutEntry {
            binding: 0,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty: wgpu::BufferBindingType::Storage { read_only: true },
                has_dynamic_offset: false,
                min_binding_size: None,
            },
            count: None,
        }],
    });
    let buffer = device.create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: bytes,
        usage: wgpu::BufferUsages::STORAGE,
        mapped_at_creation: false,
    });
    let _bound = device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: None,
        layout: &layout,
        entries: &[wgpu::BindGroupEntry { binding: 0, resource: buffer.as_entire_binding() }],
    });
    pollster::block_on(scope.pop())
}

/// The twin of the above: a batch that is not cut would be refused, as here.
#[test]
fn devices_are_held_to_their_limits() {
    if adapter().is_none() {
        return;
    }
    assert!(bind(with_bindings(1 << 16), 1 << 16).is_none());
    assert!(bind(with_bindings(1 << 16), (1 << 16) + 8).is_some());
}
