//! A step along a direction that meets the strong Wolfe conditions.
//!
//! Moré & Thuente, *Line search algorithms with guaranteed sufficient decrease*, ACM Trans. Math.
//! Softw. 20 (1994), as in MINPACK-2's `dcsrch` and `dcstep`, as something that asks for one value
//! after the other. Where there is no value the step is shortened.

/// Sufficient decrease, curvature condition, smallest relative width of the interval: those of
/// L-BFGS-B.
const FTOL: f64 = 1e-3;
const GTOL: f64 = 0.9;
const XTOL: f64 = 0.1;
/// How far steps may grow while no minimum is bracketed.
const EXTRAPOLATION: (f64, f64) = (1.1, 4.0);
/// Evaluations after which a search gives up.
const MOST_EVALUATIONS: usize = 20;
/// Those without a value that are allowed beside them; each makes the step four times shorter.
const MOST_FAILURES: usize = 30;

/// A step with the value and the slope there.
#[derive(Debug, Clone, Copy, PartialEq)]
struct At {
    step: f64,
    value: f64,
    slope: f64,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Next {
    /// Evaluate this step.
    Try(f64),
    /// The step that was evaluated last will do.
    Accept,
    /// No step will; the best one so far is the one given, if it is better than none.
    GiveUp(Option<f64>),
}

/// A search that is under way.
#[derive(Debug, Clone)]
pub struct LineSearch {
    start: At,
    /// The best step so far, and the other end of the interval.
    best: At,
    other: At,
    is_bracketed: bool,
    /// Whether the auxiliary function of the first stage is no longer needed.
    is_second_stage: bool,
    /// The step that is asked for.
    step: f64,
    /// The interval in which it may lie now, and ever.
    range: (f64, f64),
    longest: f64,
    /// Width of the interval now, and two steps ago.
    widths: (f64, f64),
    evaluations: usize,
    failures: usize,
}

impl LineSearch {
    /// From a point with this value and (negative) slope; `first` is tried first.
    pub fn new(value: f64, slope: f64, first: f64, longest: f64) -> Self {
        let start = At { step: 0.0, value, slope };
        Self {
            start,
            best: start,
            other: start,
            is_bracketed: false,
            is_second_stage: false,
            step: first,
            range: (0.0, first + EXTRAPOLATION.1 * first),
            longest,
            widths: (longest, 2.0 * longest),
            evaluations: 0,
            failures: 0,
        }
    }

    /// The step that is asked for.
    pub fn step(&self) -> f64 {
        self.step
    }

    fn give_up(&self) -> Next {
        Next::GiveUp((self.best.step > 0.0).then_some(self.best.step))
    }

    /// There is no value at the step that was asked for.
    pub fn fail(&mut self) -> Next {
        self.failures += 1;
        let distance = self.step - self.best.step;
        if self.failures > MOST_FAILURES || distance == 0.0 {
            return self.give_up();
        }
        if !self.is_bracketed {
            self.longest = self.best.step + 0.5 * distance;
            self.range = (self.best.step, self.longest);
        }
        self.step = self.best.step + 0.25 * distance;
        Next::Try(self.step)
    }

    /// Value and slope at the step that was asked for.
    pub fn tell(&mut self, value: f64, slope: f64) -> Next {
        self.evaluations += 1;
        let here = At { step: self.step, value, slope };
        let wanted_slope = FTOL * self.start.slope;
        let allowed = self.start.value + here.step * wanted_slope;
        let has_decreased = value <= allowed;
        if has_decreased && slope.abs() <= -GTOL * self.start.slope {
            return Next::Accept;
        }
        let (low, high) = self.range;
        let is_exhausted = self.is_bracketed
            && (here.step <= low || here.step >= high || high - low <= XTOL * high);
        let is_longest = here.step >= self.longest && has_decreased && slope <= wanted_slope;
        if is_longest || (is_exhausted && value < self.start.value) {
            return Next::Accept;
        }
        if is_exhausted || self.evaluations >= MOST_EVALUATIONS {
            if value < self.start.value && value <= self.best.value {
                return Next::Accept;
            }
            return self.give_up();
        }
        self.is_second_stage |= has_decreased && slope >= 0.0;
        if !self.is_second_stage && value <= self.best.value && !has_decreased {
            // Without the line of sufficient decrease.
            let less = |at: At| At {
                value: at.value - at.step * wanted_slope,
                slope: at.slope - wanted_slope,
                ..at
            };
            let more = |at: At| At {
                value: at.value + at.step * wanted_slope,
                slope: at.slope + wanted_slope,
                ..at
            };
            (self.best, self.other) = (less(self.best), less(self.other));
            self.narrow(less(here));
            (self.best, self.other) = (more(self.best), more(self.other));
        } else {
            self.narrow(here);
        }
        if self.is_bracketed {
            let width = (self.other.step - self.best.step).abs();
            if width >= 0.66 * self.widths.1 {
                self.step = self.best.step + 0.5 * (self.other.step - self.best.step);
            }
            self.widths = (width, self.widths.0);
            let (a, b) = (self.best.step, self.other.step);
            self.range = (a.min(b), a.max(b));
        } else {
            let grown = self.step - self.best.step;
            self.range = (self.step + EXTRAPOLATION.0 * grown, self.step + EXTRAPOLATION.1 * grown);
        }
        self.step = self.step.min(self.longest);
        let (low, high) = self.range;
        let is_narrow = high - low <= XTOL * high;
        if self.is_bracketed && (self.step <= low || self.step >= high || is_narrow) {
            // Nothing between the ends is worth a try: the best one it is.
            return self.give_up();
        }
        Next::Try(self.step)
    }

    /// The best step so far; 0 where none is better than the start.
    pub fn best_step(&self) -> f64 {
        self.best.step
    }

    /// Takes a step into the interval and chooses the next one by cubic and quadratic
    /// interpolation (`dcstep`).
    fn narrow(&mut self, here: At) {
        let (best, other) = (self.best, self.other);
        let has_other_sign = here.slope * best.slope.signum() < 0.0;
        let secant =
            || here.step + here.slope / (here.slope - best.slope) * (best.step - here.step);
        let is_closer = |a: f64, b: f64| (a - here.step).abs() < (b - here.step).abs();
        let next = if here.value > best.value {
            // A higher value: the minimum is bracketed.
            self.is_bracketed = true;
            let (theta, gamma) = cubic(best, here);
            let gamma = if here.step < best.step { -gamma } else { gamma };
            let ratio = (gamma - best.slope + theta) / (2.0 * gamma - best.slope + here.slope);
            let by_cubic = best.step + ratio * (here.step - best.step);
            let slope = (best.value - here.value) / (here.step - best.step);
            let by_square =
                best.step + best.slope / (slope + best.slope) / 2.0 * (here.step - best.step);
            if (by_cubic - best.step).abs() < (by_square - best.step).abs() {
                by_cubic
            } else {
                by_cubic + (by_square - by_cubic) / 2.0
            }
        } else if has_other_sign {
            // A lower value and a slope of the other sign: bracketed.
            self.is_bracketed = true;
            let (theta, gamma) = cubic(best, here);
            let gamma = if here.step > best.step { -gamma } else { gamma };
            let ratio = (gamma - here.slope + theta) / (2.0 * gamma - here.slope + best.slope);
            let by_cubic = here.step + ratio * (best.step - here.step);
            let by_secant = secant();
            if is_closer(by_secant, by_cubic) { by_cubic } else { by_secant }
        } else if here.slope.abs() < best.slope.abs() {
            // A lower value, a slope of the same sign, but smaller.
            let (theta, gamma) = cubic(best, here);
            let gamma = if here.step > best.step { -gamma } else { gamma };
            let ratio = (gamma - here.slope + theta) / (2.0 * gamma + (best.slope - here.slope));
            let by_cubic = if ratio < 0.0 && gamma != 0.0 {
                here.step + ratio * (best.step - here.step)
            } else {
                self.outer_end(here.step > best.step)
            };
            let by_secant = secant();
            if self.is_bracketed {
                let closer = if is_closer(by_cubic, by_secant) { by_cubic } else { by_secant };
                let limit = here.step + 0.66 * (other.step - here.step);
                if here.step > best.step { closer.min(limit) } else { closer.max(limit) }
            } else {
                let farther = if is_closer(by_secant, by_cubic) { by_cubic } else { by_secant };
                farther.max(self.range.0).min(self.range.1)
            }
        } else if self.is_bracketed {
            // A lower value, a slope of the same sign and no smaller.
            let (theta, gamma) = cubic(here, other);
            let gamma = if here.step > other.step { -gamma } else { gamma };
            let ratio = (gamma - here.slope + theta) / (2.0 * gamma - here.slope + other.slope);
            here.step + ratio * (other.step - here.step)
        } else {
            self.outer_end(here.step > best.step)
        };
        if here.value > best.value {
            self.other = here;
        } else {
            if has_other_sign {
                self.other = best;
            }
            self.best = here;
        }
        self.step = next;
    }

    fn outer_end(&self, is_upwards: bool) -> f64 {
        if is_upwards { self.range.1 } else { self.range.0 }
    }
}

/// θ and |γ| of the cubic through two values and slopes.
fn cubic(a: At, b: At) -> (f64, f64) {
    let theta = 3.0 * (a.value - b.value) / (b.step - a.step) + a.slope + b.slope;
    // Scaled against overflow.
    let size = theta.abs().max(a.slope.abs()).max(b.slope.abs());
    let under = (theta / size) * (theta / size) - (a.slope / size) * (b.slope / size);
    (theta, size * under.max(0.0).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a search; gives the step that was taken and the evaluations.
    fn search(f: impl Fn(f64) -> Option<(f64, f64)>, first: f64) -> (f64, usize) {
        let (value, slope) = f(0.0).unwrap();
        let mut search = LineSearch::new(value, slope, first, 1e10);
        let mut evaluations = 0;
        loop {
            evaluations += 1;
            let step = search.step();
            let next = match f(step) {
                Some((value, slope)) => search.tell(value, slope),
                None => search.fail(),
            };
            match next {
                Next::Try(_) => {}
                Next::Accept => return (step, evaluations),
                Next::GiveUp(best) => return (best.unwrap_or(0.0), evaluations),
            }
        }
    }

    fn is_strong_wolfe(f: impl Fn(f64) -> Option<(f64, f64)>, step: f64) -> bool {
        let ((f0, g0), (f1, g1)) = (f(0.0).unwrap(), f(step).unwrap());
        f1 <= f0 + FTOL * step * g0 && g1.abs() <= GTOL * g0.abs()
    }

    /// Moré and Thuente's first three functions (their equations 5.1 to 5.3), from steps that are
    /// too short and too long by orders of magnitude.
    #[test]
    fn test_functions_of_the_paper() {
        let first = |a: f64| {
            let b = 2.0;
            let q = a * a + b;
            Some((-a / q, (a * a - b) / (q * q)))
        };
        let second = |a: f64| {
            let s = a + 0.004;
            Some((s.powi(5) - 2.0 * s.powi(4), 5.0 * s.powi(4) - 8.0 * s.powi(3)))
        };
        let third = |a: f64| {
            let (b, l) = (0.01, 39.0);
            let (phi, slope) = if a <= 1.0 - b {
                (1.0 - a, -1.0)
            } else if a >= 1.0 + b {
                (a - 1.0, 1.0)
            } else {
                ((a - 1.0) * (a - 1.0) / (2.0 * b) + b / 2.0, (a - 1.0) / b)
            };
            let wave = l * std::f64::consts::PI / 2.0;
            let c = 2.0 * (1.0 - b) / (l * std::f64::consts::PI);
            Some((phi + c * (wave * a).sin(), slope + c * wave * (wave * a).cos()))
        };
        for start in [1e-3, 1e-1, 1e1, 1e3] {
            for (k, f) in [&first as &dyn Fn(f64) -> _, &second, &third].into_iter().enumerate() {
                let (step, evaluations) = search(f, start);
                // Two start nearly flat: there the interval becomes narrow first, around the minimum
                // at 1.6 − 0.004, and near 1.
                let minimum = [f64::NAN, 1.596, 1.0][k];
                let is_near = (step - minimum).abs() < XTOL * step;
                assert!(is_near || is_strong_wolfe(f, step), "{k} from {start}: {step}");
                // The paper needs at most 12 with harder tolerances.
                assert!(evaluations <= 15, "{k} from {start}: {evaluations}");
            }
        }
    }

    /// (a − 1)², but no value from 0.6 on: the first steps fail.
    #[test]
    fn steps_without_a_value_are_shortened() {
        let f = |a: f64| (a < 0.6).then_some(((a - 1.0) * (a - 1.0), 2.0 * (a - 1.0)));
        for start in [0.5, 1.0, 1e4] {
            let (step, _) = search(f, start);
            assert!(step > 0.0 && is_strong_wolfe(f, step), "{start}: {step}");
        }
        // Twin: nowhere but at the start is there a value.
        let nowhere = |a: f64| (a == 0.0).then_some((1.0, -1.0));
        let (step, evaluations) = search(nowhere, 1.0);
        assert_eq!((step, evaluations), (0.0, MOST_FAILURES + 1));
    }

    /// A slope that lies about its sign: nothing below the start is found, nothing taken.
    #[test]
    fn a_wrong_slope_gives_up() {
        let (step, evaluations) = search(|a| Some((a, if a == 0.0 { -1.0 } else { 1.0 })), 1.0);
        assert!(step == 0.0 && evaluations <= MOST_EVALUATIONS, "{step} {evaluations}");
    }
}
