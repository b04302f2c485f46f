//! Two unknown prices from measured times.
//!
//! Source of the method: weighted least squares with non-negative coefficients (Lawson and Hanson, *Solving Least
//! Squares Problems*, 1974, chapter 23); with two unknowns all active sets are tried.

use super::Estimate;

/// So few batches cost by themselves, not by what is in them.
const FEW_BATCHES: f64 = 10.0;

/// One measured time and what it should follow from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) of: [f64; 2],
    pub(super) time: f64,
    /// Standard error of the time.
    pub(super) error: f64,
}

/// The non-negative coefficients that explain the samples best, with their standard errors; `None` if there are fewer
/// than three samples or they do not tell the unknowns apart.
pub(super) fn fit(samples: &[Sample]) -> Option<[Estimate; 2]> {
    if samples.len() < 3 {
        return None;
    }
    let sum = |of: &dyn Fn(&Sample) -> f64| samples.iter().map(|s| of(s) / (s.error * s.error)).sum::<f64>();
    let [aa, ab, bb] =
        [sum(&|s| s.of[0] * s.of[0]), sum(&|s| s.of[0] * s.of[1]), sum(&|s| s.of[1] * s.of[1])];
    let [at, bt] = [sum(&|s| s.of[0] * s.time), sum(&|s| s.of[1] * s.time)];
    let determinant = aa * bb - ab * ab;
    if aa <= 0.0 || bb <= 0.0 {
        return None;
    }
    if determinant <= 1e-6 * aa * bb {
        // As many batches for all samples, such as the one of results: it is all that can be told.
        let few = samples.iter().all(|s| s.of[0] < FEW_BATCHES);
        let error = (sum(&|s| (s.time - at / aa * s.of[0]).powi(2)) / (samples.len() - 1) as f64 / aa).sqrt();
        return few.then(|| [Estimate { value: (at / aa).max(0.0), error }, Estimate::default()]);
    }
    let both = [(at * bb - bt * ab) / determinant, (bt * aa - at * ab) / determinant];
    let candidates = [both, [at / aa, 0.0], [0.0, bt / bb], [0.0, 0.0]];
    let residual = |x: &[f64; 2]| {
        let off = |s: &Sample| s.time - x[0] * s.of[0] - x[1] * s.of[1];
        sum(&|s| off(s) * off(s))
    };
    let feasible = candidates.iter().filter(|x| x[0] >= 0.0 && x[1] >= 0.0);
    let best = feasible.min_by(|x, y| residual(x).total_cmp(&residual(y)))?;
    let variance = residual(best) / (samples.len() - 2) as f64;
    let errors = [(variance * bb / determinant).sqrt(), (variance * aa / determinant).sqrt()];
    Some([0, 1].map(|at| Estimate { value: best[at], error: errors[at] }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ERROR: f64 = 0.03;

    fn samples(a: f64, b: f64, noise: f64) -> Vec<Sample> {
        let sizes = [(10_000.0, 1e6), (1000.0, 1e6), (100.0, 1e6), (1000.0, 1e5), (100.0, 1e5), (10.0, 1e5)];
        sizes
            .iter()
            .enumerate()
            .map(|(at, &(batches, events))| {
                let time = a * batches + b * events;
                let off = if at % 2 == 0 { noise } else { -noise };
                Sample { of: [batches, events], time: time * (1.0 + off), error: ERROR * time.abs() }
            })
            .collect()
    }

    #[test]
    fn known_prices_are_found() {
        for (a, b) in [(50e-6, 10e-9), (0.0, 10e-9), (50e-6, 0.0)] {
            let [batch, event] = fit(&samples(a, b, 0.0)).unwrap();
            assert!((batch.value - a).abs() < 1e-9 && (event.value - b).abs() < 1e-12, "{batch:?} {event:?}");
            assert!(batch.error < 1e-8 && event.error < 1e-11, "{batch:?} {event:?}");
        }
    }

    #[test]
    fn noise_shows_in_the_errors() {
        let [batch, event] = fit(&samples(50e-6, 10e-9, 0.05)).unwrap();
        assert!((batch.value / 50e-6 - 1.0).abs() < 0.1, "{batch:?}");
        assert!((event.value / 10e-9 - 1.0).abs() < 0.1, "{event:?}");
        assert!(batch.error > 0.5e-6 && batch.error < 10e-6, "{batch:?}");
    }

    #[test]
    fn a_price_is_never_negative() {
        let cheaper = samples(50e-6, -1e-9, 0.0);
        let [batch, event] = fit(&cheaper).unwrap();
        assert!(batch.value >= 0.0 && event.value == 0.0, "{batch:?} {event:?}");
    }

    #[test]
    fn what_cannot_be_told_apart_has_no_price() {
        let same = |n: f64| Sample { of: [n, 10.0 * n], time: n, error: 0.1 };
        assert_eq!(fit(&[same(10.0), same(20.0), same(30.0)]), None);
        assert_eq!(fit(&samples(1.0, 1.0, 0.0)[..2]), None);
        let one = |time| Sample { of: [1.0, 1e6], time, error: 0.1 };
        assert_eq!(fit(&[one(2.0), one(3.0), one(4.0)]).unwrap()[0].value, 3.0);
    }
}
