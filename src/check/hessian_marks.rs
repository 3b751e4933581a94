//! Known mistakes of second derivatives.

use crate::petab::ParameterScale;
use std::f64::consts::LN_10;
use std::fmt;

/// A mistake that explains a wrong entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HessianMark {
    /// The diagonal lacks the gradient times the second derivative of its scale over the first.
    ScaleTerm(ParameterScale),
    GaussNewton,
    Fisher,
    Zero,
    Sign,
    Double,
    Half,
}

impl HessianMark {
    const ALL: [Self; 8] = [
        Self::ScaleTerm(ParameterScale::Log10),
        Self::ScaleTerm(ParameterScale::Log),
        Self::GaussNewton,
        Self::Fisher,
        Self::Zero,
        Self::Sign,
        Self::Double,
        Self::Half,
    ];
}

impl fmt::Display for HessianMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ScaleTerm(scale) => write!(
                f,
                "too small by {}: the second derivative of the {} scale is missing",
                match scale {
                    ParameterScale::Log10 => "ln 10 times the gradient",
                    ParameterScale::Log | ParameterScale::Lin => "the gradient",
                },
                scale.name()
            ),
            Self::GaussNewton => f.write_str("it is the Gauss-Newton approximation"),
            Self::Fisher => f.write_str("it is the Fisher information"),
            Self::Zero => f.write_str("it is 0"),
            Self::Sign => f.write_str("its sign is wrong"),
            Self::Double => f.write_str("too large by a factor of 2"),
            Self::Half => f.write_str("too small by a factor of 2"),
        }
    }
}

/// A wrong entry.
pub(super) struct Suspect {
    pub(super) value: f64,
    pub(super) estimate: f64,
    /// Deviation from what a mistake would give, up to which it counts as found.
    pub(super) tolerance: f64,
    /// On the diagonal.
    pub(super) gradient: Option<f64>,
    pub(super) scale: ParameterScale,
    /// What these matrices have here, where they are not what is asked for.
    pub(super) gauss_newton: Option<f64>,
    pub(super) fisher: Option<f64>,
}

impl Suspect {
    /// The first mistake that gives the value.
    pub(super) fn mark(&self) -> Option<HessianMark> {
        let per_gradient = match self.scale {
            ParameterScale::Lin => None,
            ParameterScale::Log => Some(1.0),
            ParameterScale::Log10 => Some(LN_10),
        };
        let scale_term = self.gradient.zip(per_gradient).map(|(g, factor)| factor * g);
        let expected = |mark: HessianMark| match mark {
            HessianMark::ScaleTerm(scale) if scale == self.scale => {
                scale_term.map(|term| self.estimate - term)
            }
            HessianMark::ScaleTerm(_) => None,
            // A 0 says little: of these matrices it may be an entry, and of others.
            HessianMark::GaussNewton => self.gauss_newton.filter(|_| self.value != 0.0),
            HessianMark::Fisher => self.fisher.filter(|_| self.value != 0.0),
            HessianMark::Zero => (self.value == 0.0).then_some(0.0),
            HessianMark::Sign => Some(-self.estimate),
            HessianMark::Double => Some(2.0 * self.estimate),
            HessianMark::Half => Some(0.5 * self.estimate),
        };
        HessianMark::ALL.into_iter().find(|mark| {
            expected(*mark).is_some_and(|wrong| (self.value - wrong).abs() <= self.tolerance)
        })
    }
}

/// Part of the failing points at which one mistake must explain an entry to be named.
const PREVAILS: f64 = 0.8;

/// How many failing points each mistake explains.
#[derive(Debug, Clone, Default)]
pub(super) struct MarkCounts {
    counts: [usize; HessianMark::ALL.len()],
    failing: usize,
}

impl MarkCounts {
    pub(super) fn add(&mut self, mark: Option<HessianMark>) {
        self.failing += 1;
        let place = HessianMark::ALL.iter().position(|m| Some(*m) == mark);
        if let Some(place) = place {
            self.counts[place] += 1;
        }
    }

    /// The mistake that explains nearly all failing points.
    pub(super) fn prevailing(&self) -> Option<HessianMark> {
        let enough = PREVAILS * self.failing as f64;
        let found = self.counts.iter().position(|n| *n > 0 && *n as f64 >= enough);
        found.map(|place| HessianMark::ALL[place])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suspect(value: f64) -> Suspect {
        Suspect {
            value,
            estimate: 10.0,
            tolerance: 0.01,
            gradient: Some(3.0),
            scale: ParameterScale::Log10,
            gauss_newton: Some(7.5),
            fisher: Some(6.0),
        }
    }

    #[test]
    fn each_mistake_is_found() {
        let log10 = HessianMark::ScaleTerm(ParameterScale::Log10);
        for (value, mark) in [
            (10.0 - 3.0 * LN_10, Some(log10)),
            (7.5, Some(HessianMark::GaussNewton)),
            (6.0, Some(HessianMark::Fisher)),
            (0.0, Some(HessianMark::Zero)),
            (-10.0, Some(HessianMark::Sign)),
            (20.0, Some(HessianMark::Double)),
            (5.0, Some(HessianMark::Half)),
            (10.0 - 3.0, None),
            (11.0, None),
        ] {
            assert_eq!(suspect(value).mark(), mark, "{value}");
        }
        let zero = Suspect { fisher: Some(0.0), ..suspect(0.0) };
        assert_eq!(zero.mark(), Some(HessianMark::Zero));
        // On the scale of the natural logarithm the term is the gradient itself.
        let on_log = Suspect { scale: ParameterScale::Log, ..suspect(10.0 - 3.0) };
        assert_eq!(on_log.mark(), Some(HessianMark::ScaleTerm(ParameterScale::Log)));
    }

    #[test]
    fn a_mistake_at_some_points_is_not_named() {
        let mut counts = MarkCounts::default();
        assert_eq!(counts.prevailing(), None);
        for i in 0..10 {
            counts.add((i < 8).then_some(HessianMark::Sign));
        }
        assert_eq!(counts.prevailing(), Some(HessianMark::Sign));
        counts.add(None);
        assert_eq!(counts.prevailing(), None);
    }
}
