//! Small dense matrices, row by row.

/// A square matrix.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Matrix {
    pub size: usize,
    pub values: Vec<f64>,
}

/// a·b.
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// √(a·a).
pub fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

impl Matrix {
    pub fn zeros(size: usize) -> Self {
        Self { size, values: vec![0.0; size * size] }
    }

    pub fn row(&self, i: usize) -> &[f64] {
        &self.values[i * self.size..][..self.size]
    }

    pub fn at(&self, i: usize, j: usize) -> f64 {
        self.values[i * self.size + j]
    }

    pub fn set(&mut self, i: usize, j: usize, value: f64) {
        self.values[i * self.size + j] = value;
    }

    /// The product with a vector.
    pub fn times(&self, x: &[f64]) -> Vec<f64> {
        (0..self.size).map(|i| dot(self.row(i), x)).collect()
    }

    /// The solution of self·x = b by Gaussian elimination with partial pivoting; none where the
    /// matrix is singular.
    pub fn solve(&self, b: &[f64]) -> Option<Vec<f64>> {
        let n = self.size;
        let (mut a, mut x) = (self.values.clone(), b.to_vec());
        for k in 0..n {
            let larger = |i: &usize, j: &usize| a[i * n + k].abs().total_cmp(&a[j * n + k].abs());
            let pivot = (k..n).max_by(larger)?;
            if !(a[pivot * n + k].abs() > 0.0) {
                return None;
            }
            if pivot != k {
                for j in 0..n {
                    a.swap(k * n + j, pivot * n + j);
                }
                x.swap(k, pivot);
            }
            for i in k + 1..n {
                let factor = a[i * n + k] / a[k * n + k];
                for j in k..n {
                    a[i * n + j] -= factor * a[k * n + j];
                }
                x[i] -= factor * x[k];
            }
        }
        for i in (0..n).rev() {
            let known: f64 = (i + 1..n).map(|j| a[i * n + j] * x[j]).sum();
            x[i] = (x[i] - known) / a[i * n + i];
        }
        x.iter().all(|v| v.is_finite()).then_some(x)
    }

    /// The lower factor L of self + shift·I = L·Lᵀ; none where that is not safely positive definite.
    pub fn cholesky(&self, shift: f64) -> Option<Lower> {
        let n = self.size;
        let mut l = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..=i {
                let known = dot(&l[i * n..][..j], &l[j * n..][..j]);
                let own = self.at(i, j);
                if i == j {
                    let diagonal = own + shift;
                    let pivot = diagonal - known;
                    // What is left of the diagonal must be more than rounding.
                    if !(pivot > n as f64 * f64::EPSILON * diagonal) {
                        return None;
                    }
                    l[i * n + i] = pivot.sqrt();
                } else {
                    l[i * n + j] = (own - known) / l[j * n + j];
                }
            }
        }
        Some(Lower { size: n, values: l })
    }
}

/// A Cholesky factor.
pub struct Lower {
    size: usize,
    values: Vec<f64>,
}

impl Lower {
    /// L⁻¹·b.
    pub fn forward(&self, b: &[f64]) -> Vec<f64> {
        let n = self.size;
        let mut x = b.to_vec();
        for i in 0..n {
            let known = dot(&self.values[i * n..][..i], &x[..i]);
            x[i] = (x[i] - known) / self.values[i * n + i];
        }
        x
    }

    /// (L·Lᵀ)⁻¹·b.
    pub fn solve(&self, b: &[f64]) -> Vec<f64> {
        let n = self.size;
        let mut x = self.forward(b);
        for i in (0..n).rev() {
            let known: f64 = (i + 1..n).map(|j| self.values[j * n + i] * x[j]).sum();
            x[i] = (x[i] - known) / self.values[i * n + i];
        }
        x
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [[4, 2], [2, 3]]·[1, 2] = [8, 8].
    #[test]
    fn equations_are_solved() {
        let a = Matrix { size: 2, values: vec![4.0, 2.0, 2.0, 3.0] };
        let near = |x: &[f64], y: [f64; 2]| (x[0] - y[0]).abs() + (x[1] - y[1]).abs() < 1e-14;
        assert!(near(&a.solve(&[8.0, 8.0]).unwrap(), [1.0, 2.0]));
        assert!(near(&a.cholesky(0.0).unwrap().solve(&[8.0, 8.0]), [1.0, 2.0]));
        // (A + I)·[1, 2] = [9, 10].
        assert!(near(&a.cholesky(1.0).unwrap().solve(&[9.0, 10.0]), [1.0, 2.0]));
        // Only rows exchanged make this one solvable.
        let b = Matrix { size: 2, values: vec![0.0, 1.0, 2.0, 0.0] };
        assert!(near(&b.solve(&[2.0, 2.0]).unwrap(), [1.0, 2.0]));
    }

    #[test]
    fn singular_matrices_are_refused() {
        let a = Matrix { size: 2, values: vec![1.0, 1.0, 1.0, 1.0] };
        assert!(a.solve(&[1.0, 2.0]).is_none());
        assert!(a.cholesky(0.0).is_none());
        assert!(Matrix { size: 1, values: vec![-1.0] }.cholesky(0.0).is_none());
    }
}
