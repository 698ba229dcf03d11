//! Medians and percentiles, the only two things that are made of measurements here.

/// The middle one; the lower of two.
///
/// # Panics
/// Without values: whoever measures, measures at least once.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[(sorted.len() - 1) / 2]
}

/// The smallest value that `share` (0 to 1) of all values do not exceed; without values, the largest there is.
pub(crate) fn percentile(values: &mut [u32], share: f64) -> u32 {
    values.sort_unstable();
    let rank = (values.len() as f64 * share).ceil() as usize;
    values.get(rank.saturating_sub(1)).copied().unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::{median, percentile};

    #[test]
    fn the_middle_of_an_unsorted_list_is_its_median() {
        assert!((median(&[5.0, 1.0, 3.0]) - 3.0).abs() < f64::EPSILON);
        assert!((median(&[4.0, 1.0]) - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let mut values: Vec<u32> = (1..=100).rev().collect();

        assert_eq!(percentile(&mut values, 0.99), 99);
        assert_eq!(percentile(&mut values, 1.0), 100);
        assert_eq!(percentile(&mut [], 0.99), u32::MAX);
    }
}
