// Takes lanes through a schedule, one an invocation, at most `run.step_count` steps in a dispatch:
// {% if backward %}backwards, from the adjoints of the states after a step to those of the states before it{% else %}forwards, writing down the states before each step{% endif %}.
//
// A template: {{ state_count }} states, {{ slot_count }} slots that lanes carry, {{ switch_count }} switches.
//
// Buffers are structures of arrays: entry k of lane l is at k * run.lane_count + l.

struct Run {
    lane_count: u32,
    // The first step of this dispatch: the earliest forwards, the latest backwards.
    first_step: u32,
    step_count: u32,
    // The step whose states are the first on the tape.
    tape_start: u32,
}

@group(0) @binding(0) var<uniform> run: Run;
@group(0) @binding(1) var<storage, read> slots: array<f64>;
// Forwards the states; backwards the adjoints of states, then those of slots.
@group(0) @binding(2) var<storage, read_write> state: array<f64>;
// States before each step of the present piece.
@group(0) @binding(3) var<storage, read_write> tape: array<f64>;
// Start and size of each step.
@group(0) @binding(4) var<storage, read> steps: array<f64>;
// Number of steps, then for each step where its switches lie among the tables, and the place after
// that of what is added to the adjoints at its end, 0 for nothing.
@group(0) @binding(5) var<storage, read> places: array<u32>;
@group(0) @binding(6) var<storage, read> tables: array<f64>;
// Adjoints of start and size of each step.
@group(0) @binding(7) var<storage, read_write> times: array<f64>;

@compute @workgroup_size({{ workgroup_size }})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let lane = (group.y * groups.x + group.x) * {{ workgroup_size }}u + local;
    let n = run.lane_count;
    if lane >= n {
        return;
    }
    let own_steps = places[lane];
{%- for i in range(slot_count) %}
    let p{{ i }} = slots[{{ i }}u * n + lane];
{%- endfor %}
{%- if backward %}
{%- for i in range(state_count) %}
    var a{{ i }} = state[{{ i }}u * n + lane];
{%- endfor %}
{%- for i in range(adjoint_count) %}
    var g{{ i }} = state[{{ state_count + i }}u * n + lane];
{%- endfor %}
{%- else %}
{%- for i in range(state_count) %}
    var x{{ i }} = state[{{ i }}u * n + lane];
{%- endfor %}
{%- endif %}

    for (var k = 0u; k < run.step_count; k++) {
        let step = run.first_step {% if backward %}-{% else %}+{% endif %} k;
        if step >= own_steps {
            {% if backward %}continue{% else %}break{% endif %};
        }
        let on_tape = (step - run.tape_start) * {{ state_count }}u * n + lane;
        let switches = places[(1u + 2u * step) * n + lane];
        let t = steps[2u * step * n + lane];
        let h = steps[(2u * step + 1u) * n + lane];
{%- for i in range(switch_count) %}
        let s{{ i }} = tables[switches + {{ i }}u];
{%- endfor %}
{%- if backward %}
        let output = places[(2u + 2u * step) * n + lane];
        if output > 0u {
{%- for i in range(state_count) %}
            a{{ i }} += tables[output - 1u + {{ i }}u];
{%- endfor %}
        }
{%- for i in range(state_count) %}
        let x{{ i }} = tape[on_tape + {{ i }}u * n];
{%- endfor %}
{%- else %}
{%- for i in range(state_count) %}
        tape[on_tape + {{ i }}u * n] = x{{ i }};
{%- endfor %}
{%- endif %}

        // The step, as generated.
{{ body }}
{%- if backward %}
{%- for value in of_states %}
        let next{{ loop.index0 }} = {{ value }};
{%- endfor %}
{%- for value in of_slots %}
        g{{ loop.index0 }} += {{ value }};
{%- endfor %}
{%- for value in of_times %}
        times[(2u * step + {{ loop.index0 }}u) * n + lane] = {{ value }};
{%- endfor %}
{%- for i in range(state_count) %}
        a{{ i }} = next{{ i }};
{%- endfor %}
{%- else %}
{%- for value in of_states %}
        let next{{ loop.index0 }} = {{ value }};
{%- endfor %}
{%- for i in range(state_count) %}
        x{{ i }} = next{{ i }};
{%- endfor %}
{%- endif %}
    }
{% if backward %}
{%- for i in range(state_count) %}
    state[{{ i }}u * n + lane] = a{{ i }};
{%- endfor %}
{%- for i in range(adjoint_count) %}
    state[{{ state_count + i }}u * n + lane] = g{{ i }};
{%- endfor %}
{%- else %}
{%- for i in range(state_count) %}
    state[{{ i }}u * n + lane] = x{{ i }};
{%- endfor %}
{%- endif %}
}
