//! Unknown prices from measured times.
//!
//! Source of the method: weighted least squares with non-negative coefficients (Lawson and Hanson, *Solving Least
//! Squares Problems*, 1974, chapter 23); the unknowns are so few that all active sets are tried.

use super::Estimate;

/// What there is a price of: batches, events and bytes.
pub(super) const UNKNOWNS: usize = 3;
const BATCHES: usize = 0;
const EVENTS: usize = 1;

/// So few batches cost by themselves, not by what is in them.
const FEW_BATCHES: f64 = 10.0;
/// What is left of an unknown that those before it do not explain, as a share of its squares, below which it cannot be
/// told apart from them.
const APART_MIN: f64 = 0.01;

type Vector = [f64; UNKNOWNS];

/// One measured time and what it should follow from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) of: Vector,
    pub(super) time: f64,
    /// Standard error of the time.
    pub(super) error: f64,
}

/// A price of each unknown, with its standard error; `None` for one that cannot be told apart from those before it,
/// whose prices hold it.
pub(super) type Fit = [Option<Estimate>; UNKNOWNS];

/// The non-negative coefficients that explain the samples best; `None` if there are fewer than three samples, or no more
/// than unknowns, or if events cannot be told apart from many batches.
pub(super) fn fit(samples: &[Sample]) -> Option<Fit> {
    let normal = Normal::of(samples);
    let told = normal.told_apart();
    // As many batches for all samples, such as the one of results: it is all that can be told.
    let few = samples.iter().all(|sample| sample.of[BATCHES] < FEW_BATCHES);
    if told.first() != Some(&BATCHES) || !(told.contains(&EVENTS) || few) {
        return None;
    }
    let freedom = samples.len().checked_sub(told.len()).filter(|&n| n > 0 && samples.len() >= 3)?;
    let sets = (0..1 << told.len()).map(|set: usize| {
        let is_in = |(at, _): &(usize, &usize)| set >> at & 1 == 1;
        told.iter().enumerate().filter(is_in).map(|(_, &unknown)| unknown).collect::<Vec<_>>()
    });
    let candidates = sets.map(|set| normal.solve(&set, &normal.right));
    let feasible = candidates.filter(|x| x.iter().all(|&x| x >= 0.0));
    let best = feasible.min_by(|x, y| residual(samples, x).total_cmp(&residual(samples, y)))?;
    let variance = residual(samples, &best) / freedom as f64;
    let estimate = |unknown: usize| {
        let mut unit = [0.0; UNKNOWNS];
        unit[unknown] = 1.0 / normal.scale[unknown];
        let inverse = normal.solve(&told, &unit)[unknown];
        Estimate { value: best[unknown], error: (variance * inverse).max(0.0).sqrt() }
    };
    Some(std::array::from_fn(|unknown| told.contains(&unknown).then(|| estimate(unknown))))
}

/// The weighted squares of what the coefficients `x` leave unexplained.
fn residual(samples: &[Sample], x: &Vector) -> f64 {
    let off = |sample: &Sample| sample.time - sample.of.iter().zip(x).map(|(of, x)| of * x).sum::<f64>();
    samples.iter().map(|sample| (off(sample) / sample.error).powi(2)).sum()
}

/// The normal equations, with the diagonal scaled to 1: prices of a batch and of a byte lie far apart.
struct Normal {
    matrix: [Vector; UNKNOWNS],
    right: Vector,
    scale: Vector,
}

impl Normal {
    fn of(samples: &[Sample]) -> Self {
        let sum = |of: &dyn Fn(&Sample) -> f64| -> f64 {
            samples.iter().map(|sample| of(sample) / (sample.error * sample.error)).sum()
        };
        let scale: Vector = std::array::from_fn(|i| sum(&|s| s.of[i] * s.of[i]).sqrt());
        let scaled = |i: usize, sum: f64| if scale[i] > 0.0 { sum / scale[i] } else { 0.0 };
        let entry = |i: usize, j: usize| scaled(i, scaled(j, sum(&|s| s.of[i] * s.of[j])));
        let matrix = std::array::from_fn(|i| std::array::from_fn(|j| entry(i, j)));
        let right = std::array::from_fn(|i| scaled(i, sum(&|s| s.of[i] * s.time)));
        Self { matrix, right, scale }
    }

    /// The unknowns that can be told apart from those before them.
    fn told_apart(&self) -> Vec<usize> {
        let mut told = Vec::new();
        for unknown in 0..UNKNOWNS {
            let with = &self.matrix[unknown];
            let explained: f64 = {
                let by = self.solve(&told, with);
                told.iter().map(|&other| by[other] * self.scale[other] * with[other]).sum()
            };
            if with[unknown] - explained > APART_MIN {
                told.push(unknown);
            }
        }
        told
    }

    /// The coefficients of the unknowns in `set`, which can be told apart, for a right-hand side; all others are 0.
    /// Elimination needs no pivots: the matrix is positive definite.
    fn solve(&self, set: &[usize], right: &Vector) -> Vector {
        let row = |&i: &usize| set.iter().map(|&j| self.matrix[i][j]).chain([right[i]]).collect();
        let mut rows: Vec<Vec<f64>> = set.iter().map(row).collect();
        for at in 0..rows.len() {
            let pivot = rows[at].clone();
            for row in &mut rows[at + 1..] {
                let factor = row[at] / pivot[at];
                row.iter_mut().zip(&pivot).for_each(|(value, pivot)| *value -= factor * pivot);
            }
        }
        let mut solved = [0.0; UNKNOWNS];
        for at in (0..rows.len()).rev() {
            let row = &rows[at];
            let known: f64 = (at + 1..rows.len()).map(|k| row[k] * solved[set[k]]).sum();
            solved[set[at]] = (row[rows.len()] - known) / row[at];
        }
        set.iter().for_each(|&unknown| solved[unknown] /= self.scale[unknown]);
        solved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ERROR: f64 = 0.03;
    /// Bytes of an event.
    const USUAL: f64 = 120.0;

    fn sample(of: Vector, prices: Vector, noise: f64) -> Sample {
        let time: f64 = of.iter().zip(prices).map(|(of, price)| of * price).sum();
        Sample { of, time: time * (1.0 + noise), error: ERROR * time.abs() }
    }

    /// Samples of usual events, and of longer ones too where there are widths.
    fn samples(prices: Vector, widths: &[f64], noise: f64) -> Vec<Sample> {
        let sizes = [(10_000.0, 1e6), (1000.0, 1e6), (100.0, 1e6), (1000.0, 1e5), (100.0, 1e5), (10.0, 1e5)];
        let of = |width: f64| sizes.map(|(batches, events)| [batches, events, width * events]);
        let all = widths.iter().flat_map(|&width| of(width));
        all.enumerate().map(|(at, of)| sample(of, prices, if at % 2 == 0 { noise } else { -noise })).collect()
    }

    fn near(estimate: Option<Estimate>, expected: f64, off: f64) {
        let value = estimate.unwrap().value;
        assert!((value - expected).abs() <= off * expected.max(1e-12), "{estimate:?} {expected}");
    }

    #[test]
    fn known_prices_are_found() {
        for (a, b) in [(50e-6, 10e-9), (0.0, 10e-9), (50e-6, 0.0)] {
            let [batch, event, byte] = fit(&samples([a, b, 0.0], &[USUAL], 0.0)).unwrap();
            near(batch, a, 1e-6);
            near(event, b, 1e-6);
            assert!(batch.unwrap().error < 1e-8 && event.unwrap().error < 1e-11, "{batch:?} {event:?}");
            assert_eq!(byte, None);
        }
    }

    #[test]
    fn events_of_another_length_tell_the_price_of_a_byte() {
        for prices in [
            [50e-6, 10e-9, 0.2e-9],
            [0.0, 10e-9, 0.2e-9],
            [50e-6, 0.0, 0.2e-9],
            [50e-6, 10e-9, 0.0],
            [0.0, 0.0, 0.2e-9],
        ] {
            let found = fit(&samples(prices, &[USUAL, 5.0 * USUAL], 0.0)).unwrap();
            found.iter().zip(prices).for_each(|(&found, price)| near(found, price, 1e-6));
        }
        let found = fit(&samples([50e-6, 10e-9, 0.2e-9], &[USUAL, 5.0 * USUAL], 0.02)).unwrap();
        found.iter().zip([50e-6, 10e-9, 0.2e-9]).for_each(|(&found, price)| near(found, price, 0.15));
        assert!(found.iter().all(|found| found.unwrap().error > 0.001 * found.unwrap().value), "{found:?}");
    }

    #[test]
    fn a_byte_of_events_of_one_length_is_in_the_price_of_an_event() {
        let [_, event, byte] = fit(&samples([50e-6, 10e-9, 0.2e-9], &[USUAL], 0.0)).unwrap();
        near(event, 10e-9 + USUAL * 0.2e-9, 1e-6);
        assert_eq!(byte, None);
        // Nor do some bytes of each batch tell it.
        let mut samples = samples([50e-6, 10e-9, 0.2e-9], &[USUAL], 0.0);
        samples.iter_mut().for_each(|sample| sample.of[2] += 64.0 * sample.of[0]);
        assert_eq!(fit(&samples).unwrap()[2], None);
    }

    #[test]
    fn noise_shows_in_the_errors() {
        let [batch, event, _] = fit(&samples([50e-6, 10e-9, 0.0], &[USUAL], 0.05)).unwrap();
        near(batch, 50e-6, 0.1);
        near(event, 10e-9, 0.1);
        let error = batch.unwrap().error;
        assert!(error > 0.5e-6 && error < 10e-6, "{batch:?}");
    }

    #[test]
    fn a_price_is_never_negative() {
        let [batch, event, _] = fit(&samples([50e-6, -1e-9, 0.0], &[USUAL], 0.0)).unwrap();
        assert!(batch.unwrap().value >= 0.0 && event.unwrap().value == 0.0, "{batch:?} {event:?}");
        let found = fit(&samples([50e-6, 100e-9, -0.1e-9], &[USUAL, 5.0 * USUAL], 0.0)).unwrap();
        assert_eq!(found[2].unwrap().value, 0.0);
    }

    #[test]
    fn what_cannot_be_told_apart_has_no_price() {
        let same = |n: f64| Sample { of: [n, 10.0 * n, 0.0], time: n, error: 0.1 };
        assert_eq!(fit(&[same(10.0), same(20.0), same(30.0)]), None);
        assert_eq!(fit(&samples([1.0, 1.0, 0.0], &[USUAL], 0.0)[..2]), None);
        let one = |time| Sample { of: [1.0, 1e6, 50.0], time, error: 0.1 };
        let [batch, event, byte] = fit(&[one(2.0), one(3.0), one(4.0)]).unwrap();
        assert_eq!((batch.unwrap().value, event, byte), (3.0, None, None));
    }
}
