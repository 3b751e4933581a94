//! Arguments of sin, cos and tan, less a multiple of pi/2.

use super::parts::{decompose, integer_bits, nearest, short, sum_error};

/// Up to this magnitude (2^20) sin, cos and tan reduce their argument without a branch.
pub const TRIG_BRANCH_FREE_MAX: f64 = 1048576.0;

/// 2 / pi.
const TWO_OVER_PI: f64 = 0.6366197723675814;
/// pi/2 in parts; the first three of 33 bits, so that their product with n < 2^20 is exact.
const PIO2_1: f64 = 1.5707963267341256;
const PIO2_2: f64 = 6.077100506303966e-11;
const PIO2_3: f64 = 2.0222662487111665e-21;
const PIO2_4: f64 = 8.4784276603689e-32;

/// An argument reduced: `x = quadrant * pi/2 + head + tail` modulo 2 pi, `|head|` at most about
/// pi/4. Only the last two bits of `quadrant` count.
#[derive(Clone, Copy)]
pub(super) struct Reduced {
    pub quadrant: i64,
    pub head: f64,
    pub tail: f64,
}

/// `(a - b, what the rounding lost)`. The loss is 0 if the two are close, and only then could the
/// formula for it be wrong.
#[inline(always)]
fn subtract(a: f64, b: f64) -> (f64, f64) {
    let d = a - b;
    (d, if d.abs() < 0.5 * b.abs() { 0.0 } else { sum_error(a, -b, d) })
}

/// For `|x| <= TRIG_BRANCH_FREE_MAX`: Cody and Waite's reduction in four parts.
#[inline(always)]
pub(super) fn reduce_moderate(x: f64) -> Reduced {
    let n = nearest(x * TWO_OVER_PI);
    let (a, a_error) = subtract(x - n * PIO2_1, n * PIO2_2);
    let (head, b_error) = subtract(a, n * PIO2_3);
    Reduced { quadrant: integer_bits(n), head, tail: (a_error + b_error) - n * PIO2_4 }
}

/// 35 zeros, then the bits of 2/pi after its binary point.
#[rustfmt::skip]
const TWO_OVER_PI_BITS: [u32; 38] = [
    0x00000000, 0x145f306d, 0xc9c882a5, 0x3f84eafa, 0x3ea69bb8, 0x1b6c52b3, 0x27887208, 0x3fca2c75,
    0x7bd778ac, 0x36e48dc7, 0x4849ba5c, 0x00c925dd, 0x413a3243, 0x9fc3bd63, 0x962534e7, 0xdd1046be,
    0xa5d76890, 0x9d338e04, 0xd68befc8, 0x27323ac7, 0x306a673e, 0x93908bf1, 0x77bf2507, 0x63ff12ff,
    0xfbc0b301, 0xfde5e231, 0x6b414da3, 0xeda6cfd9, 0xe4f96136, 0xe9e8c7ec, 0xd3cbfd45, 0xaea4f758,
    0xfd7cbe2f, 0x67a0e73e, 0xf14a525d, 0x4d7f6bf6, 0x23f1aba1, 0x0ac06608,
];

/// A chunk's 2^24 and its inverse.
const CHUNK: f64 = 16777216.0;
const CHUNK_INVERSE: f64 = 5.960464477539063e-8;

/// For finite `|x| >= TRIG_BRANCH_FREE_MAX`, by Payne and Hanek's method: of the product of x with
/// 2/pi only the bits that matter modulo 4 are formed, 168 of them, in chunks of 24.
#[cold]
#[inline(never)]
pub(super) fn reduce_huge(x: f64) -> Reduced {
    let (m, k) = decompose(x.abs());
    // x = M 2^(k - 53), M = m0 2^48 + m1 2^24 + m2. Bits of 2/pi that M 2^(k - 53) makes a multiple
    // of 4 are skipped; the rest is F 2^(55 - k) with 0 <= F < 1, and x 2/pi = 4 M F modulo 4.
    let skipped = (integer_bits(k) as u32).wrapping_sub(20);
    let (word, shift) = ((skipped >> 5) as usize, skipped & 31);
    // In two steps, as a shift by 32 is none.
    let bits = |i: usize| {
        let (a, b) = (TWO_OVER_PI_BITS[word + i], TWO_OVER_PI_BITS[word + i + 1]);
        (a << shift) | ((b >> 1) >> (31 - shift))
    };
    let chunks = |a: u32, b: u32, c: u32| {
        let low = ((b & 0xffff) << 8) | (c >> 24);
        let middle = ((a & 0xff) << 16) | (b >> 16);
        [f64::from(a >> 8), f64::from(middle), f64::from(low), f64::from(c & 0x00ff_ffff)]
    };
    let [f0, f1, f2, f3] = chunks(bits(0), bits(1), bits(2));
    let [f4, f5, f6, f7] = chunks(bits(3), bits(4), bits(5));
    let m0 = (m * 32.0).floor();
    let m12 = m * 32.0 - m0;
    let m1 = (m12 * CHUNK).floor();
    let m2 = (m12 * CHUNK - m1) * CHUNK;

    // M F modulo 1, chunk g1 first; all sums are integers below 2^53.
    let carry = |g: f64| (g * CHUNK_INVERSE).floor();
    let c7 = carry(m1 * f7 + m2 * f6);
    let g6 = m0 * f7 + m1 * f6 + m2 * f5 + c7;
    let c6 = carry(g6);
    let g5 = m0 * f6 + m1 * f5 + m2 * f4 + c6;
    let c5 = carry(g5);
    let g4 = m0 * f5 + m1 * f4 + m2 * f3 + c5;
    let c4 = carry(g4);
    let g3 = m0 * f4 + m1 * f3 + m2 * f2 + c4;
    let c3 = carry(g3);
    let g2 = m0 * f3 + m1 * f2 + m2 * f1 + c3;
    let c2 = carry(g2);
    let g1 = m0 * f2 + m1 * f1 + m2 * f0 + c2;
    let g6 = g6 - c6 * CHUNK;
    let g5 = g5 - c5 * CHUNK;
    let g4 = g4 - c4 * CHUNK;
    let g3 = g3 - c3 * CHUNK;
    let g2 = g2 - c2 * CHUNK;
    let g1 = g1 - carry(g1) * CHUNK;

    // The first two bits are the quadrant; what is left, times 2^46, is a + b + c.
    let quadrant = nearest(g1 * (1.0 / 4194304.0));
    let a = (g1 - quadrant * 4194304.0) * CHUNK + g2;
    let b = (g3 * CHUNK + g4) * (CHUNK_INVERSE * CHUNK_INVERSE);
    let c = (g5 * CHUNK + g6) * (CHUNK_INVERSE * CHUNK_INVERSE * CHUNK_INVERSE * CHUNK_INVERSE);
    let y = a + b;
    let y_tail = sum_error(a, b, y) + c;

    // Times pi/2, which comes in three parts of which two are short.
    const PIO2_HIGH: f64 = 1.570796251296997;
    const PIO2_MIDDLE: f64 = 7.549789415861596e-08;
    const PIO2_LOW: f64 = 5.390302858158119e-15;
    const PER_UNIT: f64 = 1.0 / 70368744177664.0;
    let y_head = short(y);
    let y_rest = y - y_head;
    let p = y_head * PIO2_HIGH;
    let small = y_rest * PIO2_MIDDLE + (y_head * PIO2_LOW + y_tail * PIO2_HIGH);
    let q = y_head * PIO2_MIDDLE + (y_rest * PIO2_HIGH + small);
    let product = p + q;
    let sign = if x < 0.0 { -PER_UNIT } else { PER_UNIT };
    Reduced {
        quadrant: integer_bits(if x < 0.0 { -quadrant } else { quadrant }),
        head: product * sign,
        tail: sum_error(p, q, product) * sign,
    }
}
