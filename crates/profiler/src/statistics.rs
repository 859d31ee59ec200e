//! Mean, quantiles and scatter of measured values.

/// The values that are numbers, in order.
pub fn sorted(values: &[f64]) -> Vec<f64> {
    let mut known: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    known.sort_unstable_by(f64::total_cmp);
    known
}

/// The quantile at `share`, 0 to 1, of values in order: between two of them, in proportion (type 7
/// of Hyndman and Fan 1996, as numpy's). `None` of no values.
pub fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let place = share.clamp(0.0, 1.0) * sorted.len().checked_sub(1)? as f64;
    let (lower, upper) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    Some(lower + place.fract() * (upper - lower))
}

/// The middle of values in any order; of an even number, the mean of the middle two. Those that are
/// no numbers are left out. `None` of no values.
pub fn median(values: &[f64]) -> Option<f64> {
    quantile(&sorted(values), 0.5)
}

/// The arithmetic mean; `None` of no values.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The standard deviation of the population that the values are drawn from (divisor n - 1); `None`
/// of fewer than two.
pub fn standard_deviation(values: &[f64]) -> Option<f64> {
    let (mean, degrees) = (mean(values)?, values.len() - 1);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (degrees > 0).then(|| (squares / degrees as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        let values = [4.0, f64::NAN, 1.0, 2.0, 3.0];
        let sorted = sorted(&values);
        assert_eq!(sorted, [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(median(&values), Some(2.5));
        assert_eq!(quantile(&sorted, 0.75), Some(3.25));
        assert_eq!(quantile(&sorted, 1.0), Some(4.0));
        assert_eq!(mean(&sorted), Some(2.5));
        assert_eq!(standard_deviation(&sorted), Some((5.0f64 / 3.0).sqrt()));
    }

    #[test]
    fn too_few_values_have_none() {
        assert_eq!((median(&[]), mean(&[]), standard_deviation(&[])), (None, None, None));
        assert_eq!((median(&[7.0]), mean(&[7.0])), (Some(7.0), Some(7.0)));
        assert_eq!(standard_deviation(&[7.0]), None);
    }
}
