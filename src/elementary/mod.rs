//! Elementary functions in f64, the same on the CPU and on the GPU.
//!
//! WGSL defines exp, log, sin and their kin for f32 only, and the platform's libm differs from
//! machine to machine. So gradsweep brings its own: the functions here and those of
//! `shaders/math_f64.wgsl` take the same steps with the same constants, and where neither compiler
//! changes the arithmetic their results agree to the bit. `tests/elementary.rs` and
//! `tests/gpu_math_f64.rs` hold both to 2 ulp of a multi-precision reference.
//!
//! Three rules shape the code:
//!
//! - *No branches on data*: selects, no tables, no loops. `for i in 0..W { d[i] = exp(a[i]) }`
//!   becomes SIMD. (The one exception is argument reduction beyond [`TRIG_BRANCH_FREE_MAX`].)
//! - *Correct however `a * b + c` is compiled*: a GPU driver may fuse it or not, so every product
//!   that must be exact is one of short factors.
//! - *Correct where a driver simplifies algebra*: Mesa rewrites `(a + b) - a` to `b` and
//!   `(x + M) - M` to `x` in shaders, which breaks the usual error-free sums and the magic-number
//!   rounding. A conversion to f32 and back (`short`) is not looked through, and is what splits
//!   a number here. It makes `a + (b + c)` `(a + b) + c`; where that would cost accuracy the code
//!   says `a - (-b - c)`, which stays.
//!
//! Polynomial coefficients are interpolations at Chebyshev nodes made for this project, their
//! errors noted where they stand. The methods are those of W. Cody and W. Waite, *Software Manual
//! for the Elementary Functions* (1980), P. Tang, *ACM TOMS* 16 (1990) 378, M. Payne and R. Hanek,
//! *SIGNUM Newsletter* 18 (1983) 19, K. C. Ng's fdlibm (1993), and J.-M. Muller, *Elementary
//! Functions* (3rd ed., 2016).

#![allow(clippy::approx_constant, reason = "constants are written as in math_f64.wgsl")]

mod exp;
mod hyperbolic;
mod inverse_hyperbolic;
mod inverse_trig;
mod log;
mod log_lacks;
mod parts;
mod pow;
mod reduction;
mod trig;

pub use exp::{exp, expm1};
pub use hyperbolic::{cosh, sinh, tanh};
pub use inverse_hyperbolic::{acosh, asinh, atanh};
pub use inverse_trig::{acos, asin, atan};
pub use log::{log, log1p, log2, log10};
pub use log_lacks::log_lacks;
pub use pow::pow;
pub use reduction::TRIG_BRANCH_FREE_MAX;
pub use trig::{cos, cos_moderate, sin, sin_moderate, tan, tan_moderate};
