//! The box that an optimisation stays in.

use crate::model::EstimatedParameter;

/// Bounds on the parameter scale; infinite where there is none.
#[derive(Debug, Clone, PartialEq)]
pub struct Bounds {
    pub lower: Vec<f64>,
    pub upper: Vec<f64>,
}

/// A bound that a coordinate lies at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Lower,
    Upper,
}

impl Side {
    /// The word in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lower => "lower",
            Self::Upper => "upper",
        }
    }
}

impl Bounds {
    /// Those of the parameter table.
    pub fn of(parameters: &[EstimatedParameter]) -> Self {
        Self {
            lower: parameters.iter().map(|p| p.lower_scaled).collect(),
            upper: parameters.iter().map(|p| p.upper_scaled).collect(),
        }
    }

    /// Number of coordinates.
    pub fn len(&self) -> usize {
        self.lower.len()
    }

    /// Whether there is no coordinate.
    pub fn is_empty(&self) -> bool {
        self.lower.is_empty()
    }

    /// The next value in the box, for one coordinate.
    pub fn clamped(&self, i: usize, x: f64) -> f64 {
        x.max(self.lower[i]).min(self.upper[i])
    }

    /// Moves a point to the next one in the box.
    pub fn clamp(&self, x: &mut [f64]) {
        for (i, x) in x.iter_mut().enumerate() {
            *x = self.clamped(i, *x);
        }
    }

    /// The largest component of P(x − g) − x, where P is the projection into the box: 0 at a
    /// stationary point.
    pub fn projected_gradient(&self, x: &[f64], gradient: &[f64]) -> f64 {
        let component = |i: usize| (self.clamped(i, x[i] - gradient[i]) - x[i]).abs();
        (0..x.len()).map(component).fold(0.0, f64::max)
    }

    /// The bound that a coordinate lies at while descent leads out of the box.
    pub fn active(&self, i: usize, x: f64, derivative: f64) -> Option<Side> {
        if x <= self.lower[i] && derivative > 0.0 {
            Some(Side::Lower)
        } else if x >= self.upper[i] && derivative < 0.0 {
            Some(Side::Upper)
        } else {
            None
        }
    }

    /// How far one may go from x along `direction` without leaving the box; infinite where no
    /// bound is in the way.
    pub fn room(&self, x: &[f64], direction: &[f64]) -> f64 {
        let of = |i: usize| match direction[i] {
            d if d > 0.0 => (self.upper[i] - x[i]) / d,
            d if d < 0.0 => (self.lower[i] - x[i]) / d,
            _ => f64::INFINITY,
        };
        (0..x.len()).map(of).fold(f64::INFINITY, f64::min).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_projected_gradient_is_zero_where_descent_leads_out() {
        let bounds = Bounds { lower: vec![0.0, -1.0], upper: vec![1.0, f64::INFINITY] };
        assert_eq!(bounds.projected_gradient(&[0.0, 0.0], &[5.0, 0.0]), 0.0);
        assert_eq!(bounds.projected_gradient(&[0.0, 0.0], &[-5.0, 0.0]), 1.0);
        assert_eq!(bounds.projected_gradient(&[0.5, 0.0], &[0.0, -7.0]), 7.0);
        assert_eq!(bounds.active(0, 0.0, 5.0), Some(Side::Lower));
        assert_eq!(bounds.active(0, 1.0, -5.0), Some(Side::Upper));
        assert_eq!(bounds.active(0, 0.0, -5.0), None);
        assert_eq!(bounds.room(&[0.25, 0.0], &[0.5, 1.0]), 1.5);
        assert_eq!(bounds.room(&[0.25, 0.0], &[0.0, 1.0]), f64::INFINITY);
    }
}
