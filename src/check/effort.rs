//! What a check takes.

use std::ops::AddAssign;

/// Integrations done, and attempted steps of all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Effort {
    pub lanes: u64,
    pub steps: u64,
}

impl AddAssign for Effort {
    fn add_assign(&mut self, other: Self) {
        self.lanes += other.lanes;
        self.steps += other.steps;
    }
}

impl Effort {
    pub(super) fn count(&mut self, lanes: u64, steps: u64) {
        *self += Self { lanes, steps };
    }
}
