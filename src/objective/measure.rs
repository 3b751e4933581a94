//! Of which number of a measurement row differences and derivatives are formed.

use super::{NoiseModel, Prediction};

/// A number that each row has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Its negative log-likelihood: these add up to the objective.
    Likelihood,
    /// Its weighted residual on the transformed scale, (h(y) − h(m))/σ: the squares of these add up
    /// to chi2. σ is part of it, where parameters set σ; the term ln σ of the likelihood is not.
    Residual,
}

impl Measure {
    /// Derivatives with respect to y and to sigma.
    pub fn derivatives(
        self,
        model: NoiseModel,
        measured: f64,
        prediction: Prediction,
    ) -> (f64, f64) {
        match self {
            Self::Likelihood => model.nllh_derivatives(measured, prediction),
            Self::Residual => model.residual_derivatives(measured, prediction),
        }
    }

    /// The number at `plus` less that at `minus`, without cancellation.
    pub fn difference(
        self,
        model: NoiseModel,
        measured: f64,
        plus: Prediction,
        minus: Prediction,
    ) -> f64 {
        match self {
            Self::Likelihood => model.nllh_difference(measured, plus, minus),
            Self::Residual => model.residual_difference(measured, plus, minus),
        }
    }
}
