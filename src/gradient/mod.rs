//! Gradients of the objective on the parameter scale.

mod forward;

pub use forward::{ForwardGradient, TangentBlock};
