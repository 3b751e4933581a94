//! Gradients of the objective on the parameter scale.

mod file;
mod forward;
mod parts;
mod terms;

pub use file::{FileGradients, GradientError, read_gradients};
pub use forward::{ForwardGradient, Gradient};
pub use parts::PartGradients;
pub use terms::{SimulationOutputs, TangentBlock};
