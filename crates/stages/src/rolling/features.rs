//! The numbers about one window.
//!
//! For a window of n values, oldest first, in whole thousandths and with every division rounded down:
//!
//! - `mean` = 1000 · sum / n
//! - `deviation` = (sum of |1000 · value − mean|) / n
//! - a value, normalised = 1000 · (1000 · value − mean) / deviation, or 0 where the deviation is 0
//! - `score` = the newest value, normalised
//! - `digest` = 0, then for each value (1000003 · digest + normalised) modulo 2^31 − 1, which is never negative
//!
//! For values up to 10^9 and 4096 of them everything between is below 2^53 (the largest is the sum of the distances, at
//! most 8.2 · 10^15), so that languages whose numbers are float64 get the same.

use super::windows::Window;

/// The largest value, and the largest below zero.
pub(super) const VALUE_MAX: u64 = 1_000_000_000;

/// One unit in fixed-point numbers.
const SCALE: i64 = 1000;
const FACTOR: i64 = 1_000_003;
const MODULUS: i64 = (1 << 31) - 1;

/// What is known of a window.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Features {
    pub(super) count: i64,
    pub(super) mean: i64,
    pub(super) deviation: i64,
    pub(super) score: i64,
    pub(super) digest: i64,
}

impl Features {
    /// The columns, in order.
    pub(super) const NAMES: [&str; 5] = ["count", "mean", "deviation", "score", "digest"];

    pub(super) fn columns(self) -> [i64; 5] {
        [self.count, self.mean, self.deviation, self.score, self.digest]
    }

    /// Of a window that has a value at least.
    #[inline]
    pub(super) fn of((old, new): Window<'_>) -> Self {
        let count = (old.len() + new.len()) as i64;
        let sum = old.iter().sum::<i64>() + new.iter().sum::<i64>();
        let mean = (SCALE * sum).div_euclid(count);
        let distances = |values: &[i64]| values.iter().map(|value| (SCALE * value - mean).abs()).sum::<i64>();
        let deviation = (distances(old) + distances(new)) / count;
        let (mut score, mut digest) = (0, 0);
        if deviation > 0 {
            for value in old.iter().chain(new) {
                score = (SCALE * (SCALE * value - mean)).div_euclid(deviation);
                digest = (FACTOR * digest + score).rem_euclid(MODULUS);
            }
        }
        Self { count, mean, deviation, score, digest }
    }
}
