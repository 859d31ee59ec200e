//! A Gaussian process over settings (Rasmussen and Williams, Gaussian Processes for Machine Learning,
//! algorithm 2.1): what is known of some settings says of others what to expect, and how sure that is.
//!
//! Values at two settings have the covariance
//!
//! ```text
//! OFFSET^2 + LOCAL^2 x exp(-1/2 x sum over axes of ((x - x') / length of the axis)^2)
//! ```
//!
//! with the axes `log2(workers + 1/2)`, `log2(depth)` and `log2(batch size)`; only the first term where one
//! of them has fewer workers than keep all cores busy and the other has not, since between them the figure has
//! an edge.

use std::f64::consts::FRAC_1_SQRT_2;

use super::grid::Cell;

/// All of the settings may be off by such a factor together, as a logarithm.
const OFFSET: f64 = 0.5;
/// And each by this one beside its neighbours.
const LOCAL: f64 = 0.2;
/// With a greater uncertainty less than half of what a setting may be off by is known of others.
pub(crate) const FAR: f64 = LOCAL * FRAC_1_SQRT_2;

/// How settings lie to each other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axes {
    /// Of the axes of workers, depth and batch size, in doublings.
    pub(crate) lengths: [f64; 3],
    /// So many workers keep all cores busy: what settings with fewer are off by is another matter.
    pub(crate) enough_workers: f64,
}

/// The settings of which something is known.
#[derive(Clone, Debug)]
pub(crate) struct GaussianProcess {
    cells: Vec<Cell>,
    axes: Axes,
    factor: Vec<Vec<f64>>,
}

/// How one setting stands to those of a [`GaussianProcess`].
#[derive(Clone, Debug)]
pub(crate) struct Posterior {
    known: Vec<f64>,
    /// The standard deviation of what is expected of it.
    pub(crate) uncertainty: f64,
}

impl GaussianProcess {
    /// Of these settings, each with the variance with which its value is known.
    pub(crate) fn new(settings: &[(Cell, f64)], axes: Axes) -> Self {
        let row = |a: Cell| settings.iter().map(|(b, _)| covariance(a, *b, axes)).collect();
        let mut factor: Vec<Vec<f64>> = settings.iter().map(|(a, _)| row(*a)).collect();
        for (place, (_, variance)) in settings.iter().enumerate() {
            factor[place][place] += variance;
        }
        cholesky(&mut factor);
        Self { cells: settings.iter().map(|(cell, _)| *cell).collect(), axes, factor }
    }

    /// Values at the settings, in their order, made ready for [`Posterior::mean`].
    pub(crate) fn learn(&self, values: &[f64]) -> Vec<f64> {
        forward(&self.factor, values)
    }

    /// How `cell` stands to the settings.
    pub(crate) fn at(&self, cell: Cell) -> Posterior {
        let shared = self.cells.iter().map(|other| covariance(cell, *other, self.axes));
        let known = forward(&self.factor, &shared.collect::<Vec<f64>>());
        let explained: f64 = known.iter().map(|it| it * it).sum();
        let own = covariance(cell, cell, self.axes);
        Posterior { known, uncertainty: (own - explained).max(0.0).sqrt() }
    }
}

impl Posterior {
    /// What is expected there, of what was [learnt](GaussianProcess::learn): 0 where nothing is known.
    pub(crate) fn mean(&self, learnt: &[f64]) -> f64 {
        self.known.iter().zip(learnt).map(|(a, b)| a * b).sum()
    }
}

fn covariance(a: Cell, b: Cell, axes: Axes) -> f64 {
    let places = |cell: Cell| {
        [
            (cell.num_workers as f64 + 0.5).log2(),
            (cell.prefetch_depth as f64).log2(),
            (cell.batch_size as f64).log2(),
        ]
    };
    let distance: f64 = (places(a).into_iter().zip(places(b)).zip(axes.lengths))
        .map(|((a, b), length)| ((a - b) / length).powi(2))
        .sum();
    let few = |cell: Cell| (cell.num_workers as f64) < axes.enough_workers;
    let local = if few(a) == few(b) { LOCAL * LOCAL * (-distance / 2.0).exp() } else { 0.0 };
    OFFSET * OFFSET + local
}

/// Replaces the lower half of a positive definite matrix by its Cholesky factor.
fn cholesky(matrix: &mut [Vec<f64>]) {
    for row in 0..matrix.len() {
        for column in 0..=row {
            let done: f64 = (0..column).map(|k| matrix[row][k] * matrix[column][k]).sum();
            let left = matrix[row][column] - done;
            matrix[row][column] =
                if row == column { left.max(1e-12).sqrt() } else { left / matrix[column][column] };
        }
    }
}

/// The solution `x` of `L x = b`, `L` a lower factor.
fn forward(factor: &[Vec<f64>], b: &[f64]) -> Vec<f64> {
    let mut x: Vec<f64> = Vec::with_capacity(b.len());
    for (row, b) in factor.iter().zip(b) {
        let done: f64 = row.iter().zip(&x).map(|(a, x)| a * x).sum();
        x.push((b - done) / row[x.len()]);
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_worker_says_little_of_as_many_as_there_are_cores() {
        let cell = |num_workers| Cell { batch_size: 32, num_workers, prefetch_depth: 2 };
        let expected = |enough_workers| {
            let axes = Axes { lengths: [2.0, 3.0, 3.0], enough_workers };
            let process = GaussianProcess::new(&[(cell(1), 1e-4), (cell(4), 1e-4)], axes);
            process.at(cell(2)).mean(&process.learn(&[-0.4, 0.0]))
        };
        // A smooth function passes through the middle.
        assert!((-0.3..-0.1).contains(&expected(0.0)), "{}", expected(0.0));
        assert!(expected(2.0).abs() < 0.05, "{}", expected(2.0));
    }
}
