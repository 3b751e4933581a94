//! The points of a sweep, of which there may be more than fit in memory.

use super::CliError;
use super::options::{Draw, points_at, usage};
use super::sweep::Arguments;
use crate::model::OdeProblem;
use crate::startpoints::{At, Points, parse_at};
use std::borrow::Cow;
use std::ops::Range;

/// Drawn as they are needed, or all there.
pub struct SweepPoints<'a> {
    problem: &'a OdeProblem,
    kind: Kind,
}

enum Kind {
    Drawn { draw: Draw, count: usize, seed: u64 },
    There(Points),
}

impl<'a> SweepPoints<'a> {
    /// Those that a command names, read or found to be drawable.
    pub fn new(arguments: &Arguments, problem: &'a OdeProblem) -> Result<Self, CliError> {
        let seed = arguments.seed;
        let drawn = |draw, count| Kind::Drawn { draw, count, seed };
        let kind = match &arguments.at {
            None if arguments.points == 0 => {
                return Err(usage("--points 0: at least one point is needed"));
            }
            None => drawn(arguments.draw, arguments.points),
            Some(at) => match parse_at(at)? {
                At::Random(count) => drawn(Draw::Bounds, count),
                _ => Kind::There(points_at(problem, at, seed)?),
            },
        };
        let points = Self { problem, kind };
        points.some(0..1)?;
        Ok(points)
    }

    pub fn len(&self) -> usize {
        match &self.kind {
            Kind::Drawn { count, .. } => *count,
            Kind::There(points) => points.len(),
        }
    }

    /// The name of a point.
    pub fn id(&self, place: usize) -> Cow<'_, str> {
        match &self.kind {
            Kind::Drawn { .. } => place.to_string().into(),
            Kind::There(points) => points.ids[place].as_str().into(),
        }
    }

    /// Some of them, on the parameter scale.
    pub fn some(&self, places: Range<usize>) -> Result<Vec<Vec<f64>>, CliError> {
        match &self.kind {
            Kind::Drawn { draw, seed, .. } => {
                Ok(draw.points(self.problem, places, *seed)?.theta_scaled)
            }
            Kind::There(points) => Ok(points.theta_scaled[places].to_vec()),
        }
    }

    /// All of them, from now on in memory.
    pub fn all(&mut self) -> Result<&Points, CliError> {
        if let Kind::Drawn { draw, count, seed } = self.kind {
            self.kind = Kind::There(draw.points(self.problem, 0..count, seed)?);
        }
        Ok(self.there())
    }

    /// Those in memory: all or none.
    pub fn there(&self) -> &Points {
        const NONE: &Points = &Points { ids: Vec::new(), theta_scaled: Vec::new() };
        match &self.kind {
            Kind::Drawn { .. } => NONE,
            Kind::There(points) => points,
        }
    }
}
