//! Contributions of single measurement rows to the negative log-likelihood: the values, their
//! derivatives, and differences between two simulations without cancellation.
//!
//! Formulas: PEtab v1 specification, section "Noise distributions", with all normalisation
//! constants.

use crate::elementary::{log, log1p};
use crate::petab::{NoiseDistribution as Distribution, Transformation};
use std::f64::consts::{LN_2, LN_10, PI};

/// How measured and simulated values of an observable are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoiseModel {
    pub transformation: Transformation,
    pub distribution: Distribution,
}

/// A simulated value and its noise parameter (standard deviation or Laplace scale, on the
/// transformed scale).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    pub y: f64,
    pub sigma: f64,
}

impl Prediction {
    /// This less another, number by number.
    pub fn less(self, other: Self) -> Self {
        Self { y: self.y - other.y, sigma: self.sigma - other.sigma }
    }
}

impl NoiseModel {
    /// Simulated minus measured value on the transformed scale.
    pub fn residual(self, measured: f64, y: f64) -> f64 {
        match self.transformation {
            Transformation::Lin => y - measured,
            Transformation::Log => log(y) - log(measured),
            Transformation::Log10 => (log(y) - log(measured)) / LN_10,
        }
    }

    /// ln |d transformed / d linear| at the measurement, with its sign in the likelihood.
    fn log_jacobian(self, measured: f64) -> f64 {
        match self.transformation {
            Transformation::Lin => 0.0,
            Transformation::Log => log(measured),
            Transformation::Log10 => log(measured) + log(LN_10),
        }
    }

    /// Negative log-likelihood of a measurement. NaN where the noise parameter is not positive.
    pub fn nllh(self, measured: f64, prediction: Prediction) -> f64 {
        let Prediction { y, sigma } = prediction;
        if !(sigma > 0.0) {
            return f64::NAN;
        }
        let z = self.residual(measured, y) / sigma;
        self.log_jacobian(measured)
            + log(sigma)
            + match self.distribution {
                Distribution::Normal => 0.5 * log(2.0 * PI) + 0.5 * z * z,
                Distribution::Laplace => LN_2 + z.abs(),
            }
    }

    /// The squared weighted residual, as the PEtab test suite sums it for either distribution.
    pub fn chi2(self, measured: f64, prediction: Prediction) -> f64 {
        let z = self.residual(measured, prediction.y) / prediction.sigma;
        z * z
    }

    /// Derivatives of [`nllh`](Self::nllh) with respect to y and to sigma.
    pub fn nllh_derivatives(self, measured: f64, prediction: Prediction) -> (f64, f64) {
        let Prediction { y, sigma } = prediction;
        let z = self.residual(measured, y) / sigma;
        let dr_dy = self.slope(y);
        match self.distribution {
            Distribution::Normal => (z * dr_dy / sigma, (1.0 - z * z) / sigma),
            Distribution::Laplace => {
                (crate::graph::sign(z) * dr_dy / sigma, (1.0 - z.abs()) / sigma)
            }
        }
    }

    /// Second derivatives of [`nllh`](Self::nllh): in y twice, in y and sigma, in sigma twice; of each
    /// side of a kink.
    pub fn nllh_second_derivatives(self, measured: f64, prediction: Prediction) -> [f64; 3] {
        let Prediction { y, sigma } = prediction;
        let z = self.residual(measured, y) / sigma;
        let slope = self.slope(y) / sigma;
        // d² transformed / d linear², over sigma.
        let bend = match self.transformation {
            Transformation::Lin => 0.0,
            Transformation::Log | Transformation::Log10 => -slope / y,
        };
        match self.distribution {
            Distribution::Normal => [
                slope * slope + z * bend,
                -2.0 * z * slope / sigma,
                (3.0 * z * z - 1.0) / sigma / sigma,
            ],
            Distribution::Laplace => {
                let sign = crate::graph::sign(z);
                [sign * bend, -sign * slope / sigma, (2.0 * z.abs() - 1.0) / sigma / sigma]
            }
        }
    }

    /// Derivatives of the weighted residual, whose square is [`chi2`](Self::chi2), with respect to y
    /// and to sigma.
    pub fn residual_derivatives(self, measured: f64, prediction: Prediction) -> (f64, f64) {
        let Prediction { y, sigma } = prediction;
        let z = self.residual(measured, y) / sigma;
        (self.slope(y) / sigma, -z / sigma)
    }

    /// The weighted residual at `plus` less that at `minus`, formed from the differences of y and
    /// sigma.
    pub fn residual_difference(self, measured: f64, plus: Prediction, minus: Prediction) -> f64 {
        if !(plus.sigma > 0.0 && minus.sigma > 0.0) {
            return f64::NAN;
        }
        let z_minus = self.residual(measured, minus.y) / minus.sigma;
        self.weighted_difference(z_minus, minus.y, plus.sigma, plus.less(minus))
    }

    /// d transformed / d linear, at a simulated value.
    fn slope(self, y: f64) -> f64 {
        match self.transformation {
            Transformation::Lin => 1.0,
            Transformation::Log => 1.0 / y,
            Transformation::Log10 => 1.0 / (y * LN_10),
        }
    }

    /// z(plus) − z(minus), where z(minus) is known, and by how much y and sigma differ.
    fn weighted_difference(
        self,
        z_minus: f64,
        y_minus: f64,
        sigma_plus: f64,
        difference: Prediction,
    ) -> f64 {
        let dr = match self.transformation {
            Transformation::Lin => difference.y,
            Transformation::Log => log1p(difference.y / y_minus),
            Transformation::Log10 => log1p(difference.y / y_minus) / LN_10,
        };
        (dr - z_minus * difference.sigma) / sigma_plus
    }

    /// nllh(plus) − nllh(minus), formed from the differences of y and sigma: nothing that both
    /// share is added and taken away again.
    pub fn nllh_difference(self, measured: f64, plus: Prediction, minus: Prediction) -> f64 {
        self.nllh_difference_by(measured, plus, minus, plus.less(minus))
    }

    /// The same where the difference `plus` − `minus` of both is known better than they are.
    pub fn nllh_difference_by(
        self,
        measured: f64,
        plus: Prediction,
        minus: Prediction,
        difference: Prediction,
    ) -> f64 {
        if !(plus.sigma > 0.0 && minus.sigma > 0.0) {
            return f64::NAN;
        }
        let z_plus = self.residual(measured, plus.y) / plus.sigma;
        let z_minus = self.residual(measured, minus.y) / minus.sigma;
        let dz = self.weighted_difference(z_minus, minus.y, plus.sigma, difference);
        log1p(difference.sigma / minus.sigma)
            + match self.distribution {
                Distribution::Normal => 0.5 * dz * (z_plus + z_minus),
                // |z| is linear on either side of zero.
                Distribution::Laplace if z_plus * z_minus > 0.0 => crate::graph::sign(z_plus) * dz,
                Distribution::Laplace => z_plus.abs() - z_minus.abs(),
            }
    }
}
