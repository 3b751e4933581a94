//! Points × probes × simulations as lanes, in batches through an engine.
//!
//! A *probe* is a point with one coordinate moved. [`Evaluator`] integrates points, then their
//! probes and tangents along the points' schedules, and scores the outputs. What a moved
//! parameter cannot change is taken from the point itself: the trajectory of a simulation that it
//! does not reach, the rows that do not depend on it.

mod adjoint;
mod compensation;
mod course;
mod curvature;
mod evaluator;
mod flight;
mod gradient_rounding;
mod gradients;
mod hessian;
mod integrate;
mod journal;
mod lanes;
mod locate;
mod noise;
mod outputs;
mod part;
mod parts;
mod result;
mod score;
mod second;
mod steady;
mod tangents;
mod tighter;
mod track;
mod transposed;
mod traveller;
mod walk;

pub use curvature::{CurvatureChunk, GradientPairs, OwnHessian, PointCurvature, Products};
pub use evaluator::{
    EvaluatedChunk, Evaluator, Further, Refine, Settings, StepMode, no_refinement,
};
pub use flight::Flight;
pub use gradients::{GradientCosts, GradientEngines, OwnGradients};
pub use journal::{Grid, Journal, JournalChunk, JournalReader, Reader, Writer};
pub use lanes::{InitialTangents, LanePreparation};
pub use parts::{
    Differences, FurtherEps, PartPairs, Partition, PartsChunk, PointParts, no_further_eps,
    wants_none,
};
pub use result::{Failure, GradientMethod, PointResult, ProbePair};
pub use second::MovingTimes;
