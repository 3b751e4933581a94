//! The functions of `shaders/math_f64.wgsl` on a Vulkan adapter with f64, software ones included,
//! against the same reference as their twins on the CPU; and the SPIR-V they become.
//!
//! Without such an adapter, or without `spirv-val`, the tests say so and pass; with
//! `GRADSWEEP_REQUIRE_GPU=1` a missing adapter is a failure.

mod elementary_reference;
mod spirv;

use std::borrow::Cow;
use std::fmt::Write as _;

use elementary_reference::{ALLOWED_ULPS, Case, Function, functions, report, worst};
use spirv::{spirv, spirv_val};

fn math_source() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/math_f64.wgsl");
    std::fs::read_to_string(path).expect("the shader library is in the repository")
}

/// `math` and a kernel that applies `expression`, of x and y, to every pair of numbers.
fn kernel(math: &str, expression: &str) -> String {
    format!(
        "{math}
@group(0) @binding(0) var<storage, read> arguments: array<vec2<f64>>;
@group(0) @binding(1) var<storage, read_write> values: array<f64>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {{
    if id.x >= arrayLength(&arguments) {{
        return;
    }}
    let x = arguments[id.x].x;
    let y = arguments[id.x].y;
    values[id.x] = {expression};
}}
"
    )
}

fn call(function: &Function) -> String {
    let arguments = if function.arity == 2 { "x, y" } else { "x" };
    format!("f64_{}({arguments})", function.name)
}

struct Gpu {
    device: wgpu::Device,
    queue: wgpu::Queue,
}

impl Gpu {
    /// The first adapter with f64, or a line saying that there is none.
    fn open() -> Option<Gpu> {
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
        let adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::VULKAN));
        let with_f64 = |a: &wgpu::Adapter| a.features().contains(wgpu::Features::SHADER_F64);
        let Some(adapter) = adapters.into_iter().find(with_f64) else {
            let required = std::env::var("GRADSWEEP_REQUIRE_GPU").is_ok_and(|v| v == "1");
            assert!(!required, "GRADSWEEP_REQUIRE_GPU=1, and no Vulkan adapter with f64");
            println!("skipped: no Vulkan adapter with f64");
            return None;
        };
        let info = adapter.get_info();
        println!("adapter: {} ({} {})", info.name, info.driver, info.driver_info);
        let descriptor = wgpu::DeviceDescriptor {
            required_features: wgpu::Features::SHADER_F64,
            required_limits: adapter.limits(),
            ..Default::default()
        };
        let (device, queue) =
            pollster::block_on(adapter.request_device(&descriptor)).expect("a device");
        Some(Gpu { device, queue })
    }

    /// The kernel's value for each pair of arguments.
    fn run(&self, source: &str, arguments: &[[f64; 2]]) -> Vec<f64> {
        use wgpu::BufferUsages as Usage;
        let module = self.device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: None,
            source: wgpu::ShaderSource::Wgsl(Cow::Borrowed(source)),
        });
        let pipeline = self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: None,
            layout: None,
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            cache: None,
        });
        let buffer = |numbers: usize, usage| {
            self.device.create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size: 8 * numbers as u64,
                usage,
                mapped_at_creation: false,
            })
        };
        let n = arguments.len();
        let input = buffer(2 * n, Usage::STORAGE | Usage::COPY_DST);
        let output = buffer(n, Usage::STORAGE | Usage::COPY_SRC);
        let readback = buffer(n, Usage::MAP_READ | Usage::COPY_DST);
        self.queue.write_buffer(&input, 0, bytemuck::cast_slice(arguments));
        let group = self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &pipeline.get_bind_group_layout(0),
            entries: &[
                wgpu::BindGroupEntry { binding: 0, resource: input.as_entire_binding() },
                wgpu::BindGroupEntry { binding: 1, resource: output.as_entire_binding() },
            ],
        });
        let mut encoder = self.device.create_command_encoder(&Default::default());
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &group, &[]);
        pass.dispatch_workgroups(n.div_ceil(64) as u32, 1, 1);
        drop(pass);
        encoder.copy_buffer_to_buffer(&output, 0, &readback, 0, 8 * n as u64);
        self.queue.submit([encoder.finish()]);
        readback.map_async(wgpu::MapMode::Read, .., |result| result.expect("a mapped buffer"));
        self.device.poll(wgpu::PollType::wait_indefinitely()).expect("the queue runs dry");
        let view = readback.get_mapped_range(..).expect("a mapped buffer");
        bytemuck::cast_slice(&view).to_vec()
    }

    fn values(&self, source: &str, cases: &[Case]) -> Vec<f64> {
        self.run(source, &cases.iter().map(|c| [c.x, c.y]).collect::<Vec<_>>())
    }
}

/// Whether two results are one, any NaN being the same.
fn same(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

#[test]
fn every_wgsl_function_is_within_two_ulps() {
    let Some(gpu) = Gpu::open() else { return };
    let math = math_source();
    let mut failures = String::new();
    for function in functions() {
        let cases = function.cases();
        let got = gpu.values(&kernel(&math, &call(&function)), &cases);
        let (error, line) = report(&function, &cases, &got);
        let pairs = cases.iter().zip(&got);
        let differing = pairs.filter(|(c, g)| !same((function.cpu)(c.x, c.y), **g)).count();
        let line = format!("{line}; {differing} differ from the CPU");
        println!("{line}");
        if error > ALLOWED_ULPS {
            writeln!(failures, "{line}").expect("a string takes all");
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

/// A coefficient wrong in its seventh digit, and a comparison of NaN with itself, must show.
#[test]
fn a_defective_shader_is_caught() {
    let Some(gpu) = Gpu::open() else { return };
    let math = math_source();
    let exp = functions().into_iter().find(|f| f.name == "exp").expect("exp");
    let cases = exp.cases();
    let right = "0.0001984126986307315lf";
    assert!(math.contains(right));
    let wrong = math.replace(right, "0.0001984127986307315lf");
    let got = gpu.values(&kernel(&wrong, &call(&exp)), &cases);
    assert!(worst(&cases, &got).0 > ALLOWED_ULPS);
    let deaf = math.replace("select(value, x, f64_is_nan(x))", "value + 0.25lf");
    assert_ne!(deaf, math);
    assert!(worst(&cases, &gpu.values(&kernel(&deaf, &call(&exp)), &cases)).0 > ALLOWED_ULPS);
}

#[test]
fn the_spirv_is_valid() {
    let math = math_source();
    // One kernel with a call of every function.
    let calls: Vec<String> = functions().iter().map(call).collect();
    if let Some(verdict) = spirv_val(&spirv(&kernel(&math, &calls.join(" + ")))) {
        assert_eq!(verdict, Ok(()));
    }
}

/// The twin: WGSL's own exp of an f64 passes naga and must not pass here.
#[test]
fn a_builtin_exp_of_f64_is_rejected() {
    if let Some(verdict) = spirv_val(&spirv(&kernel("", "exp(x) + y"))) {
        let said = verdict.expect_err("spirv-val accepts GLSL.std.450 Exp of a double");
        assert!(said.contains("Exp"), "{said}");
    }
}
