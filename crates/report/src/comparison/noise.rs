//! Which differences are more than noise.

use super::{Column, Group};
use crate::Summary;
use crate::record::Lane;

/// How much two runs of the same thing differ.
#[derive(Clone, Debug, PartialEq)]
pub struct Noise {
    /// What was run twice.
    pub lane: Lane,
    /// How many times as fast the second was, pair by pair.
    pub speed: Summary,
}

/// What a difference in speed is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Faster than the reference, by more than the noise.
    Faster,
    /// Slower than the reference, by more than the noise.
    Slower,
    /// Under the noise: no difference was found.
    None,
    /// The middle is beyond the noise, but the pairs do not agree which is faster.
    Unclear,
    /// Nothing was run twice, so that nobody knows.
    Unknown,
}

impl Verdict {
    /// As a word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Faster => "faster",
            Verdict::Slower => "slower",
            Verdict::None => "none",
            Verdict::Unclear => "unclear",
            Verdict::Unknown => "no A/A pair",
        }
    }

    /// Judges how many times as fast one is, where two equals differ by up to `floor`, a logarithm.
    #[must_use]
    pub fn on(speed: Summary, floor: Option<f64>) -> Self {
        match floor {
            None => Verdict::Unknown,
            Some(floor) if speed.median.ln().abs() <= floor => Verdict::None,
            Some(_) if speed.min > 1.0 => Verdict::Faster,
            Some(_) if speed.max < 1.0 => Verdict::Slower,
            Some(_) => Verdict::Unclear,
        }
    }
}

impl Group {
    /// What was run again, and how much it differed.
    #[must_use]
    pub fn noise(&self) -> Vec<Noise> {
        let noise = |again: &Column| {
            let first = self.lanes.iter().find(|column| column.is_like(again))?;
            Some(Noise { lane: first.lane.clone(), speed: again.speed_against(first)? })
        };
        self.again.iter().filter_map(noise).collect()
    }

    /// The largest difference of two runs of one thing, as the logarithm of their ratio; none if nothing was run again.
    #[must_use]
    pub fn noise_floor(&self) -> Option<f64> {
        let widest = |noise: &Noise| noise.speed.min.ln().abs().max(noise.speed.max.ln().abs());
        self.noise().iter().map(widest).reduce(f64::max)
    }

    /// What the difference between a lane and the reference is worth.
    #[must_use]
    pub fn verdict(&self, column: &Column) -> Option<(Summary, Verdict)> {
        let speed = column.speed_against(self.reference()?)?;
        Some((speed, Verdict::on(speed, self.noise_floor())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_under_the_noise_is_none() {
        let floor = Some(1.1f64.ln());
        let check = |min, median, max, floor, expected| {
            assert_eq!(Verdict::on(Summary { min, median, max }, floor), expected, "{median}");
        };
        check(1.0, 1.05, 1.2, floor, Verdict::None);
        check(0.9, 0.95, 0.99, floor, Verdict::None);
        check(1.15, 1.2, 1.3, floor, Verdict::Faster);
        check(0.5, 0.6, 0.9, floor, Verdict::Slower);
        check(0.9, 1.5, 1.6, floor, Verdict::Unclear);
        check(1.15, 1.2, 1.3, None, Verdict::Unknown);
    }
}
