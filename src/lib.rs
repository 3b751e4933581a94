//! gradsweep checks gradients of ODE parameter-estimation problems in the PEtab format, over
//! thousands of random points, on the GPU or the CPU.
//!
//! The whole numerical step of the ODE solver is one straight-line program, generated from the
//! model's equations ([`rosenbrock`]) over a hash-consed graph of expressions ([`graph`]). The
//! program is run over many lanes at once ([`engine`]) and differentiated itself ([`program`]):
//! the gradient is the exact derivative of the discrete objective. Points, their perturbed copies
//! and the problem's conditions become lanes in [`sweep`]; [`check`] turns their objectives into
//! finite-difference tables, estimates with bounds and verdicts; [`report`] writes them.

pub mod check;
pub mod cli;
pub mod elementary;
pub mod engine;
pub mod gradient;
pub mod graph;
pub mod index;
pub mod math;
pub mod model;
pub mod objective;
pub mod optimize;
pub mod petab;
pub mod program;
pub mod report;
pub mod rosenbrock;
pub mod sbml;
pub mod startpoints;
pub mod sweep;
