//! The functions of `shaders/math_f64.wgsl` on a Vulkan adapter with f64, software ones included,
//! against the same reference as their twins on the CPU; and the SPIR-V they become.
//!
//! Without such an adapter, or without `spirv-val`, the tests say so and pass; with
//! `GRADSWEEP_REQUIRE_GPU=1` a missing adapter is a failure.

mod elementary_reference;
mod spirv;

use std::fmt::Write as _;

use gradsweep::engine::gpu::spirv as spirv_words;

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
            required_features: wgpu::Features::SHADER_F64 | wgpu::Features::PASSTHROUGH_SHADERS,
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
        let words = spirv_words(source).unwrap_or_else(|error| panic!("{error}"));
        let entry_point =
            wgpu::PassthroughShaderEntryPoint { name: "main".into(), workgroup_size: (64, 1, 1) };
        let descriptor = wgpu::ShaderModuleDescriptorPassthrough {
            entry_points: vec![entry_point].into(),
            spirv: Some(words.into()),
            ..Default::default()
        };
        // SAFETY: the words are naga's, of valid WGSL and with bounds checks, as the engine's are.
        let module = unsafe { self.device.create_shader_module_passthrough(descriptor) };
        let entries = [(0, true), (1, false)].map(|(binding, read_only)| {
            let ty = wgpu::BufferBindingType::Storage { read_only };
            wgpu::BindGroupLayoutEntry {
                binding,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: wgpu::BindingType::Buffer {
                    ty,
                    has_dynamic_offset: false,
                    min_binding_size: None,
                },
                count: None,
            }
        });
        let layout = self.device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: None,
            entries: &entries,
        });
        let pipeline_layout = self.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            bind_group_layouts: &[Some(&layout)],
            ..Default::default()
        });
        let pipeline = self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: None,
            layout: Some(&pipeline_layout),
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
            layout: &layout,
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

/// Drivers may multiply in another order, as NVIDIA's does: a power of two that is a product of
/// factors must not overflow on the way where it does not at the end.
#[test]
fn the_order_of_multiplications_does_not_matter() {
    let Some(gpu) = Gpu::open() else { return };
    let math = math_source();
    let mut regrouped = math.clone();
    for (written, otherwise) in [
        ("((f.a + f.a * t) * f.b) * f.b", "(f.a + f.a * t) * (f.b * f.b)"),
        ("r.low))) * f.a) * f.b * f.b", "r.low))) * f.a) * (f.b * f.b)"),
    ] {
        assert!(math.contains(written));
        regrouped = regrouped.replace(written, otherwise);
    }
    // The twin: factors as they once were, 1 <= a < 2^16 for all n.
    let up = "let up = k >= 0i;";
    assert!(math.contains(up));
    let old = regrouped
        .replace(up, "let up = false;")
        .replace("abs(k) >> 4u", "-(k >> 4u)")
        .replace("abs(k) & 15i", "-(k & 15i)");
    for name in ["exp", "expm1", "pow", "exp2"] {
        let Some(function) = functions().into_iter().find(|f| f.name == name) else { continue };
        let cases = function.cases();
        let (error, line) =
            report(&function, &cases, &gpu.values(&kernel(&regrouped, &call(&function)), &cases));
        assert!(error <= ALLOWED_ULPS, "{line}");
        let error = worst(&cases, &gpu.values(&kernel(&old, &call(&function)), &cases)).0;
        assert!(error > ALLOWED_ULPS, "{name}: overflow on the way is not seen");
    }
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
