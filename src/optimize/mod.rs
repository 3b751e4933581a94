//! Multi-start local optimisation in which all starts advance together.
//!
//! A [`Minimiser`] asks for one evaluation after the other; [`minimise`] puts what all active ones ask
//! for into one batch of lanes. Two methods: [`Lbfgsb`] and [`TrustRegion`]. [`settle`] makes starts better
//! beforehand where that costs no integration.

mod bounds;
mod box_step;
pub mod dense;
mod lbfgsb;
mod line_search;
mod minimiser;
mod multistart;
mod objective;
mod plateaus;
mod record;
mod remainder;
mod settle;
mod trust_region;

pub use bounds::{Bounds, Side};
pub use lbfgsb::Lbfgsb;
pub use minimiser::{Evaluation, Limits, Minimiser, Position, Stop};
pub use multistart::{
    Effort, Iteration, Method, Observer, Optimum, Round, Rounds, minimise, sorted,
};
pub use objective::fisher_diagonals;
pub use plateaus::{SAME, plateaus};
pub use record::{StartsRecord, decode_round, encode_round};
pub use settle::{observation_parameters, settle};
pub use trust_region::TrustRegion;
