//! Gradients of the objective on the parameter scale.

mod adjoint;
mod file;
mod forward;
mod hessian_file;
mod parts;
mod residual_file;
mod terms;

pub use adjoint::{SimulationAdjoints, adjoint_gradient};
pub use file::{FileGradients, GradientError, read_gradients};
pub use forward::{ForwardGradient, Gradient};
pub use hessian_file::{Asymmetry, FileHessians, read_hessians};
pub use parts::PartGradients;
pub use residual_file::{FileResiduals, read_residual_gradients};
pub use terms::{SimulationOutputs, TangentBlock, product};
