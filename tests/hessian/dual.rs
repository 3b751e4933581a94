//! Numbers that carry their derivatives.

use std::ops::{Add, Div, Mul, Neg, Sub};

/// a + b·ε₁ + c·ε₂ + d·ε₁ε₂ with ε₁² = ε₂² = 0: a value, two first derivatives and a second one
/// (Fike & Alonso 2011), exact but for rounding.
#[derive(Debug, Clone, Copy)]
pub struct Dual(pub [f64; 4]);

impl Dual {
    pub fn number(a: f64) -> Self {
        Self([a, 0.0, 0.0, 0.0])
    }

    /// f(x), where f, f' and f'' are these.
    fn map(self, f: [f64; 3]) -> Self {
        let Self([_, b, c, d]) = self;
        Self([f[0], f[1] * b, f[1] * c, f[1] * d + f[2] * b * c])
    }

    pub fn exp(self) -> Self {
        let e = self.0[0].exp();
        self.map([e, e, e])
    }

    pub fn ln(self) -> Self {
        let a = self.0[0];
        self.map([a.ln(), 1.0 / a, -1.0 / (a * a)])
    }

    pub fn abs(self) -> Self {
        if self.0[0] < 0.0 { -self } else { self }
    }
}

impl Add for Dual {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self([0, 1, 2, 3].map(|i| self.0[i] + other.0[i]))
    }
}

impl Neg for Dual {
    type Output = Self;
    fn neg(self) -> Self {
        Self(self.0.map(|x| -x))
    }
}

impl Sub for Dual {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl Mul for Dual {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        let (Self([a, b, c, d]), Self([e, f, g, h])) = (self, other);
        Self([a * e, a * f + b * e, a * g + c * e, a * h + b * g + c * f + d * e])
    }
}

impl Div for Dual {
    type Output = Self;
    fn div(self, other: Self) -> Self {
        let a = other.0[0];
        self * other.map([1.0 / a, -1.0 / (a * a), 2.0 / (a * a * a)])
    }
}

/// The hyper-dual numbers themselves: x²·exp(y)/x = x·exp(y), and ln|−x|.
#[test]
fn hyper_dual_numbers_differentiate() {
    let x = Dual([1.5, 1.0, 0.0, 0.0]);
    let y = Dual([0.5, 0.0, 1.0, 0.0]);
    let found = x * x * y.exp() / x;
    let e = 0.5_f64.exp();
    for (found, expected) in found.0.into_iter().zip([1.5 * e, e, 1.5 * e, e]) {
        assert!((found - expected).abs() < 1e-15 * 4.0 * expected, "{found} {expected}");
    }
    let twice = Dual([1.5, 1.0, 1.0, 0.0]);
    let found = (-twice).abs().ln();
    assert!((found.0[3] + 1.0 / 2.25).abs() < 1e-15, "{found:?}");
}
