//! A sample's middle and its spread.

use serde::Serialize;

/// Smallest, middle and largest of a sample.
///
/// The median and the extremes, because measured times have a floor and a long tail: a mean would follow the tail.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// The smallest value.
    pub min: f64,
    /// The middle value; of an even number, the mean of the middle two.
    pub median: f64,
    /// The largest value.
    pub max: f64,
}

impl Summary {
    /// Summarises `sample`, in whatever order; none if it is empty.
    #[must_use]
    pub fn of(sample: &[f64]) -> Option<Self> {
        let mut sorted = sample.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        let middle = &sorted[(sorted.len() - 1) / 2..=sorted.len() / 2];
        Some(Self { min, median: middle.iter().sum::<f64>() / middle.len() as f64, max })
    }

    /// Applies `change` to each of the three, as when a time becomes a rate; a falling change swaps the extremes.
    #[must_use]
    pub fn map(self, change: impl Fn(f64) -> f64) -> Self {
        let (a, b) = (change(self.min), change(self.max));
        Self { min: a.min(b), median: change(self.median), max: a.max(b) }
    }

    /// The middle and, in brackets, the spread: `0.92 (0.90–0.95)`.
    #[must_use]
    pub fn show(self, unit: impl Fn(f64) -> String) -> String {
        format!("{} ({}–{})", unit(self.median), unit(self.min), unit(self.max))
    }
}

/// Divides each of `ours` by the one of `theirs` that was measured next to it.
///
/// Runs taken in turns share the machine's mood, so their ratio says more than the ratio of two medians. What has no
/// partner is left out.
#[must_use]
pub fn ratios(ours: &[f64], theirs: &[f64]) -> Vec<f64> {
    ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_has_its_extremes_and_its_middle() {
        let check = |sample: &[f64], min, median, max| {
            assert_eq!(Summary::of(sample), Some(Summary { min, median, max }), "{sample:?}");
        };
        check(&[3.0], 3.0, 3.0, 3.0);
        check(&[4.0, 1.0], 1.0, 2.5, 4.0);
        check(&[9.0, 1.0, 2.0], 1.0, 2.0, 9.0);
        check(&[4.0, 3.0, 2.0, 1.0], 1.0, 2.5, 4.0);
        assert_eq!(Summary::of(&[]), None);
    }

    #[test]
    fn a_rate_has_its_extremes_the_other_way_round() {
        let seconds = Summary { min: 1.0, median: 2.0, max: 4.0 };
        assert_eq!(seconds.map(|s| 8.0 / s), Summary { min: 2.0, median: 4.0, max: 8.0 });
    }

    #[test]
    fn ratios_are_taken_pair_by_pair() {
        assert_eq!(ratios(&[1.0, 6.0, 5.0], &[2.0, 2.0]), [0.5, 3.0]);
    }

    #[test]
    fn a_summary_shows_its_spread() {
        let ratio = Summary { min: 0.9, median: 0.92, max: 0.95 };
        assert_eq!(ratio.show(|n| format!("{n:.2}")), "0.92 (0.90–0.95)");
    }
}
