//! From simulated states to measurement rows and the negative log-likelihood.

mod compensated;
mod jets;
mod measure;
mod noise;
mod observe;
mod prior;

pub use compensated::{CompensatedObservables, CompensatedPrediction};
pub use jets::Jets;
pub use measure::Measure;
pub use noise::{NoiseModel, Prediction};
pub use observe::{Dependence, Item, Objective};
pub use prior::{Coordinate, PriorTerm, Priors};
