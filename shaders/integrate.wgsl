// Integrates lanes, one an invocation: at most `run.attempts` steps in a dispatch, after which a
// lane leaves its state in buffers and waits for the next.
//
// A template: {{ width }} values advance, of a program with {{ slot_count }} slots and
// {{ switch_count }} switches; steps are {% if adaptive %}chosen by the error estimate{% else %}replayed from a schedule{% endif %}.
// The rules of the step control are those of src/engine/cpu/lane.rs, operation by operation.
//
// Buffers are structures of arrays: entry k of lane l is at k * run.lane_count + l.

struct Run {
    // Lanes that this dispatch advances: the first entries of `lanes`.
    active_count: u32,
    lane_count: u32,
    attempts: u32,
    max_steps: u32,
}

@group(0) @binding(0) var<uniform> run: Run;
@group(0) @binding(1) var<storage, read> lanes: array<u32>;
@group(0) @binding(2) var<storage, read> slots: array<f64>;
// Advanced values, then the fraction done of the segment, then (adaptive) the next step size.
@group(0) @binding(3) var<storage, read_write> state: array<f64>;
// SEGMENT, STEPS, STATUS, FLAGS, FRACTION, FRACTION_END, TABLE, SEGMENT_COUNT, OUTPUT.
@group(0) @binding(4) var<storage, read_write> progress: array<u32>;
// rtol, atol, then a row for each breakpoint of each timeline: time, whether it is an output,
// values of the switches before it, its derivatives along the directions that move breakpoints.
// A timeline's first row is its start.
@group(0) @binding(5) var<storage, read> tables: array<f64>;
// Replay: all schedules, one after the other. Adaptive: the steps accepted in this dispatch.
@group(0) @binding(6) var<storage, {% if adaptive %}read_write{% else %}read{% endif %}> fractions: array<f64>;
@group(0) @binding(7) var<storage, read_write> outputs: array<f64>;

const SEGMENT: u32 = 0u;
const STEPS: u32 = 1u;
const STATUS: u32 = 2u;
const FLAGS: u32 = 3u;
const FRACTION: u32 = 4u;
const FRACTION_END: u32 = 5u;
const TABLE: u32 = 6u;
const SEGMENT_COUNT: u32 = 7u;
const OUTPUT: u32 = 8u;

const RUNNING: u32 = 0u;
const OK: u32 = 1u;
const TOO_MANY_STEPS: u32 = 2u;
const STEP_TOO_SMALL: u32 = 3u;
const NOT_FINITE: u32 = 4u;

const WAS_REJECTED: u32 = 1u;
const WAS_NOT_FINITE: u32 = 2u;

const ROW: u32 = {{ 2 + switch_count + moving_count }}u;
const SMALLEST: f64 = {{ smallest }};
const SMALLEST_FRACTION: f64 = 1e-40lf;

// Whether a sum of magnitudes is infinite or NaN. Drivers may turn `!(a <= b)` into `a > b` and
// drop `a != a`: NaN is told by its bits.
fn is_broken(magnitude: f64) -> bool {
    return f64_is_nan(magnitude) || magnitude > F64_MAX;
}

@compute @workgroup_size({{ workgroup_size }})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let index = (group.y * groups.x + group.x) * {{ workgroup_size }}u + local;
    if index >= run.active_count {
        return;
    }
    let n = run.lane_count;
    let lane = lanes[index];
    let table = progress[TABLE * n + lane];
    let segment_count = progress[SEGMENT_COUNT * n + lane];
    var segment = progress[SEGMENT * n + lane];
    var steps = progress[STEPS * n + lane];
    var status = progress[STATUS * n + lane];
    var fraction_at = progress[FRACTION * n + lane];
    var output_at = progress[OUTPUT * n + lane];
{%- if adaptive %}
    var flags = progress[FLAGS * n + lane];
    var h_next = state[{{ width + 1 }}u * n + lane];
    let rtol = tables[0];
    let atol = tables[1];
{%- else %}
    let fraction_end = progress[FRACTION_END * n + lane];
{%- endif %}
    var done = state[{{ width }}u * n + lane];
{%- for i in range(width) %}
    var x{{ i }} = state[{{ i }}u * n + lane];
{%- endfor %}
{%- for i in range(slot_count) %}
    let p{{ i }} = slots[{{ i }}u * n + lane];
{%- endfor %}
    var row = table + segment * ROW;
    var t_start = tables[row];
    var length = tables[row + ROW] - t_start;
{%- for i in range(switch_count) %}
    var s{{ i }} = tables[row + ROW + {{ 2 + i }}u];
{%- endfor %}

    for (var attempt = 0u; attempt < run.attempts && status == RUNNING; attempt++) {
        let t = fma(done, length, t_start);
{%- if adaptive %}
        if steps >= run.max_steps {
            status = TOO_MANY_STEPS;
            break;
        }
        let rest = 1.0lf - done;
        let wanted = h_next / length;
        let is_last = wanted >= rest;
        let fraction = select(select(wanted, 0.5lf * rest, wanted > 0.5lf * rest), rest, is_last);
        let h = fraction * length;
        let floor = max(SMALLEST * done, SMALLEST_FRACTION);
        if !is_last && fraction <= floor {
            status = select(STEP_TOO_SMALL, NOT_FINITE, (flags & WAS_NOT_FINITE) != 0u);
            break;
        }
{%- else %}
        if fraction_at >= fraction_end {
            status = STEP_TOO_SMALL;
            break;
        }
        let signed_fraction = fractions[fraction_at];
        fraction_at += 1u;
        let is_last = signed_fraction < 0.0lf;
        let fraction = abs(signed_fraction);
        let h = fraction * length;
{%- endif %}

{%- for k in range(moving_count) %}
        let start_dot{{ k }} = tables[row + {{ 2 + switch_count + k }}u];
        let length_dot{{ k }} = tables[row + ROW + {{ 2 + switch_count + k }}u] - start_dot{{ k }};
        let t_dot{{ k }} = fma(done, length_dot{{ k }}, start_dot{{ k }});
        let h_dot{{ k }} = fraction * length_dot{{ k }};
{%- endfor %}

        // The step, as generated.
{{ body }}
        steps += 1u;
        var magnitude = 0.0lf;
{%- for value in new_values %}
        magnitude += abs({{ value }});
{%- endfor %}
{%- if adaptive %}
        let error_squared = {{ error_squared }};
        let factor = {{ factor }};
        if is_broken(magnitude) || f64_is_nan(error_squared) {
            h_next = h * 0.25lf;
            flags = WAS_REJECTED | WAS_NOT_FINITE;
            continue;
        }
        if error_squared > 1.0lf {
            h_next = h * factor;
            flags = WAS_REJECTED;
            continue;
        }
        let limited = select(factor, min(factor, 1.0lf), (flags & WAS_REJECTED) != 0u);
        let proposed = h * limited;
        h_next = select(proposed, max(h_next, proposed), is_last);
        flags = 0u;
        fractions[fraction_at * n + lane] = select(fraction, -fraction, is_last);
        fraction_at += 1u;
{%- else %}
        if is_broken(magnitude) {
            status = NOT_FINITE;
            break;
        }
{%- endif %}
{%- for value in new_values %}
        x{{ loop.index0 }} = {{ value }};
{%- endfor %}
        done += fraction;
        if is_last {
            row += ROW;
            if tables[row + 1u] != 0.0lf {
{%- for i in range(width) %}
                outputs[output_at + {{ i }}u] = x{{ i }};
{%- endfor %}
                output_at += {{ width }}u;
            }
            segment += 1u;
            done = 0.0lf;
            t_start = tables[row];
            if segment == segment_count {
                status = OK;
            } else {
                length = tables[row + ROW] - t_start;
{%- for i in range(switch_count) %}
                s{{ i }} = tables[row + ROW + {{ 2 + i }}u];
{%- endfor %}
            }
        }
    }

    progress[SEGMENT * n + lane] = segment;
    progress[STEPS * n + lane] = steps;
    progress[STATUS * n + lane] = status;
    progress[FRACTION * n + lane] = fraction_at;
    progress[OUTPUT * n + lane] = output_at;
{%- if adaptive %}
    progress[FLAGS * n + lane] = flags;
    state[{{ width + 1 }}u * n + lane] = h_next;
{%- endif %}
    state[{{ width }}u * n + lane] = done;
{%- for i in range(width) %}
    state[{{ i }}u * n + lane] = x{{ i }};
{%- endfor %}
}
