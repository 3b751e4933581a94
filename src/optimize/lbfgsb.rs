//! L-BFGS-B: a quasi-Newton method with bounds and limited memory.
//!
//! Byrd, Lu, Nocedal & Zhu, *A limited memory algorithm for bound constrained optimization*, SIAM J.
//! Sci. Comput. 16 (1995): generalised Cauchy point (their algorithm CP) and the direct primal method
//! for the minimum in the subspace, with the projection of Morales & Nocedal (2011). The matrix is
//! B = θI − W·K⁻¹·Wᵀ with W = [Y, θS] and K = [−D, Lᵀ; L, θSᵀS].

use super::bounds::Bounds;
use super::dense::{Matrix, dot, norm};
use super::line_search::{LineSearch, Next};
use super::minimiser::{Evaluation, Limits, Minimiser, Position, Stop};

/// Corrections that are kept, as SciPy does.
const MEMORY: usize = 10;

/// The approximation of the second derivatives.
struct Memory {
    /// Steps and the changes of the gradient over them.
    s: Vec<Vec<f64>>,
    y: Vec<Vec<f64>>,
    theta: f64,
    /// K, of twice as many rows as there are steps.
    k: Matrix,
}

/// What it waits for.
enum Phase {
    Start,
    Search(Box<Search>),
    Stopped(Stop),
}

/// A line search under way.
struct Search {
    direction: Vec<f64>,
    line: LineSearch,
    /// The best point of it so far.
    best: Option<(Vec<f64>, Evaluation)>,
}

/// A local optimisation.
pub struct Lbfgsb {
    bounds: Bounds,
    limits: Limits,
    position: Position,
    memory: Memory,
    trial: Vec<f64>,
    phase: Phase,
}

impl Lbfgsb {
    /// From a start, which is moved into the box.
    pub fn new(start: Vec<f64>, bounds: Bounds, limits: Limits) -> Self {
        let position = Position::new(start, &bounds);
        let trial = position.x.clone();
        Self { bounds, limits, position, memory: Memory::new(), trial, phase: Phase::Start }
    }

    /// Starts an iteration: a direction and its first step.
    fn begin(&mut self) {
        let direction = match self.direction() {
            Some(direction) => direction,
            None if self.memory.s.is_empty() => {
                self.phase = Phase::Stopped(Stop::NoDescent);
                return;
            }
            None => {
                self.memory = Memory::new();
                return self.begin();
            }
        };
        let slope = dot(&direction, &self.position.gradient);
        // The end of the direction lies in the box: rounding apart the room is at least 1.
        let is_first = self.memory.s.is_empty();
        let room = self.bounds.room(&self.position.x, &direction).max(1.0);
        let longest = if is_first { 1.0 } else { room.min(1e10) };
        let first = if is_first { (1.0 / norm(&direction)).min(1.0) } else { 1.0 };
        let line = LineSearch::new(self.position.value, slope, first, longest);
        self.phase = Phase::Search(Box::new(Search { direction, line, best: None }));
        self.set_trial(first);
    }

    fn set_trial(&mut self, step: f64) {
        let Phase::Search(search) = &self.phase else { return };
        let x = &self.position.x;
        self.trial = x.iter().zip(&search.direction).map(|(x, d)| x + step * d).collect();
        self.bounds.clamp(&mut self.trial);
    }

    /// To the minimum of the model in the box; none where that is no descent.
    fn direction(&self) -> Option<Vec<f64>> {
        let (x, gradient) = (&self.position.x, &self.position.gradient);
        let cauchy = self.memory.cauchy(x, gradient, &self.bounds)?;
        let end = self.memory.subspace(x, gradient, &self.bounds, cauchy);
        let direction: Vec<f64> = end.iter().zip(x).map(|(end, x)| end - x).collect();
        (dot(&direction, gradient) < 0.0).then_some(direction)
    }

    /// Goes to a point and begins the next iteration.
    fn accept(&mut self, x: &[f64], evaluation: &Evaluation) {
        let s: Vec<f64> = x.iter().zip(&self.position.x).map(|(new, old)| new - old).collect();
        let gradients = evaluation.gradient.iter().zip(&self.position.gradient);
        let y: Vec<f64> = gradients.map(|(new, old)| new - old).collect();
        let stop = self.position.move_to(
            x,
            evaluation.value,
            &evaluation.gradient,
            (&self.bounds, &self.limits),
        );
        if let Some(stop) = stop {
            self.phase = Phase::Stopped(stop);
            return;
        }
        self.memory.update(s, y);
        self.begin();
    }

    fn told(&mut self, evaluation: Evaluation) {
        let Phase::Search(search) = &mut self.phase else { return };
        let Search { direction, line, best } = search.as_mut();
        let step = line.step();
        let next = if evaluation.is_usable() {
            line.tell(evaluation.value, dot(direction, &evaluation.gradient))
        } else {
            line.fail()
        };
        if next == Next::Accept {
            let x = std::mem::take(&mut self.trial);
            return self.accept(&x, &evaluation);
        }
        if evaluation.is_usable() && line.best_step() == step {
            *best = Some((self.trial.clone(), evaluation));
        }
        match next {
            Next::Try(step) => self.set_trial(step),
            Next::GiveUp(Some(_)) | Next::Accept => match best.take() {
                Some((x, evaluation)) => self.accept(&x, &evaluation),
                None => self.phase = Phase::Stopped(Stop::NoDescent),
            },
            Next::GiveUp(None) if self.memory.s.is_empty() => {
                self.phase = Phase::Stopped(Stop::NoDescent);
            }
            // Along the negative gradient there may still be a way.
            Next::GiveUp(None) => {
                self.memory = Memory::new();
                self.begin();
            }
        }
    }
}

impl Minimiser for Lbfgsb {
    fn wanted(&self) -> Option<&[f64]> {
        (!matches!(self.phase, Phase::Stopped(_))).then_some(&self.trial)
    }

    fn tell(&mut self, evaluation: Evaluation) {
        self.position.evaluations += 1;
        match self.phase {
            Phase::Stopped(_) => {}
            Phase::Start if !evaluation.is_usable() => self.phase = Phase::Stopped(Stop::Start),
            Phase::Start => {
                let x = std::mem::take(&mut self.trial);
                let limits = (&self.bounds, &self.limits);
                let stop =
                    self.position.move_to(&x, evaluation.value, &evaluation.gradient, limits);
                match stop {
                    Some(stop) => self.phase = Phase::Stopped(stop),
                    None => self.begin(),
                }
            }
            Phase::Search(_) => self.told(evaluation),
        }
    }

    fn position(&self) -> &Position {
        &self.position
    }

    fn stop(&self) -> Option<Stop> {
        match self.phase {
            Phase::Stopped(stop) => Some(stop),
            _ => None,
        }
    }
}

/// The generalised Cauchy point.
struct Cauchy {
    x: Vec<f64>,
    /// Wᵀ·(x − the point it starts from).
    c: Vec<f64>,
}

impl Memory {
    fn new() -> Self {
        Self { s: Vec::new(), y: Vec::new(), theta: 1.0, k: Matrix::default() }
    }

    /// Takes a step in, unless its curvature is not positive.
    fn update(&mut self, s: Vec<f64>, y: Vec<f64>) {
        let (curvature, size) = (dot(&s, &y), dot(&y, &y));
        if !(curvature > f64::EPSILON * size) {
            return;
        }
        if self.s.len() == MEMORY {
            self.s.remove(0);
            self.y.remove(0);
        }
        self.s.push(s);
        self.y.push(y);
        self.theta = size / curvature;
        let m = self.s.len();
        self.k = Matrix::zeros(2 * m);
        for i in 0..m {
            for j in 0..m {
                let sy = dot(&self.s[i], &self.y[j]);
                if i == j {
                    self.k.set(i, i, -sy);
                } else if i > j {
                    self.k.set(m + i, j, sy);
                    self.k.set(j, m + i, sy);
                }
                self.k.set(m + i, m + j, self.theta * dot(&self.s[i], &self.s[j]));
            }
        }
    }

    /// Row i of W.
    fn w(&self, i: usize) -> Vec<f64> {
        let y = self.y.iter().map(|y| y[i]);
        y.chain(self.s.iter().map(|s| self.theta * s[i])).collect()
    }

    /// K⁻¹·v; none where K is singular.
    fn inverse(&self, v: &[f64]) -> Option<Vec<f64>> {
        self.k.solve(v)
    }

    /// The first minimum of the model along the negative gradient, bent at bounds.
    fn cauchy(&self, x: &[f64], gradient: &[f64], bounds: &Bounds) -> Option<Cauchy> {
        let n = x.len();
        let breakpoint = |i: usize| match gradient[i] {
            g if g < 0.0 => (x[i] - bounds.upper[i]) / g,
            g if g > 0.0 => (x[i] - bounds.lower[i]) / g,
            _ => f64::INFINITY,
        };
        let breakpoints: Vec<f64> = (0..n).map(breakpoint).collect();
        let mut direction: Vec<f64> =
            (0..n).map(|i| if breakpoints[i] > 0.0 { -gradient[i] } else { 0.0 }).collect();
        let mut order: Vec<usize> =
            (0..n).filter(|&i| breakpoints[i] > 0.0 && breakpoints[i].is_finite()).collect();
        order.sort_by(|&a, &b| breakpoints[a].total_cmp(&breakpoints[b]));
        let mut cauchy = Cauchy { x: x.to_vec(), c: vec![0.0; self.k.size] };
        let mut p = vec![0.0; self.k.size];
        for (i, d) in direction.iter().enumerate() {
            if *d != 0.0 {
                p.iter_mut().zip(self.w(i)).for_each(|(p, w)| *p += w * d);
            }
        }
        let mut slope = -dot(&direction, &direction);
        if slope == 0.0 {
            return Some(cauchy);
        }
        let mut bend = -self.theta * slope - dot(&p, &self.inverse(&p)?);
        let least_bend = f64::EPSILON * self.theta * -slope;
        let mut reached = 0.0;
        let mut left = 0;
        for (k, &b) in order.iter().enumerate() {
            let length = breakpoints[b] - reached;
            if -slope / bend.max(least_bend) < length {
                break;
            }
            left = k + 1;
            reached = breakpoints[b];
            let bound = if direction[b] > 0.0 { bounds.upper[b] } else { bounds.lower[b] };
            cauchy.x[b] = bound;
            cauchy.c.iter_mut().zip(&p).for_each(|(c, p)| *c += length * p);
            let (g, w) = (gradient[b], self.w(b));
            let of_w = self.inverse(&w)?;
            slope +=
                length * bend + g * g + self.theta * g * (bound - x[b]) - g * dot(&of_w, &cauchy.c);
            bend -= self.theta * g * g + 2.0 * g * dot(&of_w, &p) + g * g * dot(&of_w, &w);
            p.iter_mut().zip(&w).for_each(|(p, w)| *p += g * w);
            direction[b] = 0.0;
            if slope >= 0.0 || direction.iter().all(|d| *d == 0.0) {
                slope = 0.0;
                break;
            }
        }
        let length = (-slope / bend.max(least_bend)).max(0.0);
        cauchy.c.iter_mut().zip(&p).for_each(|(c, p)| *c += length * p);
        let is_left = |i: &usize| !order[..left].contains(i);
        for i in (0..n).filter(is_left).filter(|&i| direction[i] != 0.0) {
            cauchy.x[i] = bounds.clamped(i, x[i] + (reached + length) * direction[i]);
        }
        Some(cauchy)
    }

    /// The minimum of the model over the coordinates that are not at a bound at the Cauchy point,
    /// cut back to the box.
    fn subspace(&self, x: &[f64], gradient: &[f64], bounds: &Bounds, cauchy: Cauchy) -> Vec<f64> {
        let Cauchy { x: mut end, c } = cauchy;
        let is_free = |i: &usize| end[*i] > bounds.lower[*i] && end[*i] < bounds.upper[*i];
        let free: Vec<usize> = (0..x.len()).filter(is_free).collect();
        if self.s.is_empty() || free.is_empty() {
            return end;
        }
        let Some(step) = self.free_step(&free, x, gradient, &end, &c) else { return end };
        let at = |i: usize, k: usize, part: f64| end[i] + part * step[k];
        let mut projected = end.clone();
        for (k, &i) in free.iter().enumerate() {
            projected[i] = bounds.clamped(i, at(i, k, 1.0));
        }
        let slope: f64 = (0..x.len()).map(|i| (projected[i] - x[i]) * gradient[i]).sum();
        if slope < 0.0 {
            return projected;
        }
        // The projection leads upwards: as far along the step as the box allows.
        let mut whole = vec![0.0; x.len()];
        free.iter().zip(&step).for_each(|(&i, s)| whole[i] = *s);
        let part = bounds.room(&end, &whole).min(1.0);
        for (end, step) in end.iter_mut().zip(&whole) {
            *end += part * step;
        }
        bounds.clamp(&mut end);
        end
    }

    /// The step from the Cauchy point to the minimum over the free coordinates.
    fn free_step(
        &self,
        free: &[usize],
        x: &[f64],
        gradient: &[f64],
        cauchy: &[f64],
        c: &[f64],
    ) -> Option<Vec<f64>> {
        let of_c = self.inverse(c)?;
        let rows: Vec<Vec<f64>> = free.iter().map(|&i| self.w(i)).collect();
        let residual: Vec<f64> = free
            .iter()
            .zip(&rows)
            .map(|(&i, w)| gradient[i] + self.theta * (cauchy[i] - x[i]) - dot(w, &of_c))
            .collect();
        // (K − WᵀW/θ)⁻¹·Wᵀr, over free coordinates.
        let mut k = self.k.clone();
        let mut right = vec![0.0; k.size];
        for (w, r) in rows.iter().zip(&residual) {
            for i in 0..k.size {
                right[i] += w[i] * r;
                for j in 0..k.size {
                    k.values[i * k.size + j] -= w[i] * w[j] / self.theta;
                }
            }
        }
        let v = k.solve(&right)?;
        let steps = rows.iter().zip(&residual);
        Some(steps.map(|(w, r)| -(r + dot(w, &v) / self.theta) / self.theta).collect())
    }
}
