//! Gradients of the objective on the parameter scale.

mod file;
mod forward;

pub use file::{FileGradients, GradientError, read_gradients};
pub use forward::{ForwardGradient, Gradient, TangentBlock};
