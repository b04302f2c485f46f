//! Which differences are more than noise.
//!
//! ```text
//! ratios of a lane, turn by turn ──────────┐
//! ratios of equals: the A/A pairs of the ──┴─▶ middle beyond most of them? ─▶ all of them beyond? ─▶ Verdict
//! reference and of the lane's family
//! ```
//!
//! A difference counts if its middle is larger than three in four differences of equals, so that it is worth talking of,
//! and if its turns rank so far above the differences of equals that chance would seldom do it. Both look at the order
//! of values only: one disturbed run is one value at an end, however far out.
//!
//! Source of the second: the rank-sum test (Mann and Whitney, *On a Test of Whether one of Two Random Variables is
//! Stochastically Larger than the Other*, 1947). Of equals, sizes are taken, since it is arbitrary which of the two is
//! called the first; against a size, a difference has a harder stand than against a value of either sign.

use super::{Column, Group};
use crate::Summary;
use crate::record::Lane;

/// How likely chance alone may put a difference so far above the sizes of those of equals: with five turns, one of five
/// values may be out of line. Since all turns must also lean to one side, less than one in a hundred of equals come out as
/// different, as a test shows.
const CHANCE_MAX: f64 = 0.08;
/// Up to so many pairs of values the chance is counted; beyond, the normal distribution is as good.
const COUNTED_MAX: usize = 400;

/// How much two runs of the same thing differ.
#[derive(Clone, Debug, PartialEq)]
pub struct Noise {
    /// What was run twice.
    pub lane: Lane,
    /// How many times as fast the second was, turn by turn.
    pub speeds: Vec<f64>,
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
    /// The middle is beyond the noise, but so few turns, or turns that agree so little, may come of chance.
    Unclear,
    /// Nothing was run twice, so that nobody knows.
    Unknown,
}

impl Noise {
    /// How many times as fast the second was, summarised.
    #[must_use]
    pub fn speed(&self) -> Option<Summary> {
        Summary::of(&self.speeds)
    }

    /// The factor within which three in four turns are.
    #[must_use]
    pub fn factor(&self) -> Option<f64> {
        floor(&sizes(&self.speeds)).map(f64::exp)
    }
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

    /// Judges how many times as fast one is, by turn, beside how many times as fast equals were.
    #[must_use]
    pub fn on(speeds: &[f64], equals: &[f64]) -> Self {
        let sizes = sizes(equals);
        let logarithms: Vec<f64> = speeds.iter().map(|speed| speed.ln()).collect();
        let (Some(floor), Some(all)) = (floor(&sizes), Summary::of(&logarithms)) else {
            return Verdict::Unknown;
        };
        if all.median.abs() <= floor {
            return Verdict::None;
        }
        let towards: Vec<f64> = logarithms.iter().map(|value| value * all.median.signum()).collect();
        match chance(&towards, &sizes) > CHANCE_MAX {
            true => Verdict::Unclear,
            false if all.median > 0.0 => Verdict::Faster,
            false => Verdict::Slower,
        }
    }
}

impl Group {
    /// What was run again, and how much it differed.
    #[must_use]
    pub fn noise(&self) -> Vec<Noise> {
        let noise = |again: &Column| {
            let first = self.lanes.iter().find(|column| column.is_like(again))?;
            let speeds = again.speeds_against(first);
            (!speeds.is_empty()).then(|| Noise { lane: first.lane.clone(), speeds })
        };
        self.again.iter().filter_map(noise).collect()
    }

    /// What the difference between a lane and the reference is worth.
    #[must_use]
    pub fn verdict(&self, column: &Column) -> Option<(Summary, Verdict)> {
        let speeds = column.speeds_against(self.reference()?);
        Some((Summary::of(&speeds)?, Verdict::on(&speeds, &self.equals(column))))
    }

    /// The differences of equals that say what one between a lane and the reference is worth: those of their families, or
    /// of all where the lane's has none.
    fn equals(&self, column: &Column) -> Vec<f64> {
        let noise = self.noise();
        let is_of = |noise: &Noise, column: &Column| column.lane.family() == noise.lane.family();
        let has_own = noise.iter().any(|noise| is_of(noise, column));
        let reference = self.reference();
        let counts = |noise: &&Noise| {
            !has_own || is_of(noise, column) || reference.is_some_and(|reference| is_of(noise, reference))
        };
        noise.iter().filter(counts).flat_map(|noise| noise.speeds.iter().copied()).collect()
    }
}

/// How far each is from no difference, as a logarithm.
fn sizes(speeds: &[f64]) -> Vec<f64> {
    speeds.iter().map(|speed| speed.ln().abs()).collect()
}

/// The size that three in four do not exceed.
fn floor(sizes: &[f64]) -> Option<f64> {
    let mut sorted = sizes.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get((3 * sorted.len()).div_ceil(4).checked_sub(1)?).copied()
}

/// How likely `ours` rank at least as high among `theirs` as they do, if all are of one kind; equal ones count against
/// them.
fn chance(ours: &[f64], theirs: &[f64]) -> f64 {
    let above = |value: &f64| theirs.iter().filter(|other| value > other).count();
    let (n, m, won) = (ours.len(), theirs.len(), ours.iter().map(above).sum::<usize>());
    let pairs = n * m;
    if pairs > COUNTED_MAX {
        let deviation = (pairs as f64 * (n + m + 1) as f64 / 12.0).sqrt();
        return normal_above((won as f64 - 0.5 - pairs as f64 / 2.0) / deviation);
    }
    let orders = orders(n, m);
    orders[won..].iter().sum::<f64>() / orders.iter().sum::<f64>()
}

/// In how many orders of `n` and `m` values the first win 0, 1, … of all pairs: the coefficients of the product of
/// (1 − qᵐ⁺ⁱ) / (1 − qⁱ) for i up to n.
fn orders(n: usize, m: usize) -> Vec<f64> {
    let mut orders = vec![0.0; n * m + 1];
    orders[0] = 1.0;
    for i in 1..=n {
        for won in (m + i..orders.len()).rev() {
            orders[won] -= orders[won - m - i];
        }
        for won in i..orders.len() {
            orders[won] += orders[won - i];
        }
    }
    orders
}

/// How likely a value of the standard normal distribution is above `z`, to 1e-7: Abramowitz and Stegun, *Handbook of
/// Mathematical Functions*, 1964, formula 26.2.17.
fn normal_above(z: f64) -> f64 {
    if z < 0.0 {
        return 1.0 - normal_above(-z);
    }
    const FACTORS: [f64; 5] = [1.330274429, -1.821255978, 1.781477937, -0.356563782, 0.319381530];
    let t = 1.0 / (1.0 + 0.2316419 * z);
    let density = (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    density * FACTORS.iter().fold(0.0, |sum, factor| (sum + factor) * t)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comparison::State;
    use crate::record::{Figures, Purpose};

    fn column(system: &str, batch: &str, walls: [f64; 5]) -> Column {
        let (system, batch) = (system.to_owned(), Some(batch.to_owned()));
        let (events, padding, purpose) = (1, 0, Purpose::Figure);
        let lane = Lane { system, placement: None, batch, events, padding, purpose };
        let figures = |wall_seconds| Figures { wall_seconds, ..Figures::default() };
        let turns = (1..).zip(walls).map(|(turn, wall)| ((0, turn), figures(wall)));
        Column { lane, state: State::Measured(turns.collect()), is_verified: true }
    }

    #[test]
    fn a_noisy_family_hides_its_own_differences_only() {
        let (quiet, noisy) = ([1.0, 1.01, 0.99, 1.0, 1.005], [1.4, 0.9, 1.2, 0.7, 1.0]);
        let slower = [1.05, 1.06, 1.045, 1.05, 1.055];
        let group = Group {
            events: 1,
            padding: 0,
            lanes: vec![
                column("first", "1", [1.0; 5]),
                column("first", "2", slower),
                column("noisy", "1", [1.05, 1.5, 0.85, 1.4, 0.8]),
                column("other", "1", slower),
            ],
            again: vec![column("first", "1", quiet), column("noisy", "1", noisy)],
            unmeasured: Vec::new(),
        };
        let verdicts: Vec<Verdict> =
            group.lanes[1..].iter().map(|column| group.verdict(column).unwrap().1).collect();
        // The last has no pair of its own, so that those of all count for it.
        assert_eq!(verdicts, [Verdict::Slower, Verdict::None, Verdict::None]);
    }

    #[test]
    fn a_difference_counts_beyond_the_noise_only() {
        let quiet = &[1.01, 0.99, 1.0, 1.02, 0.985][..];
        let outlier = &[1.01, 0.99, 1.0, 1.5, 0.985][..];
        let check = |speeds: &[f64], equals: &[f64], expected| {
            assert_eq!(Verdict::on(speeds, equals), expected, "{speeds:?} beside {equals:?}");
        };
        // A difference of 5 % at noise of 1 %, either way.
        check(&[1.05, 1.04, 1.06, 1.05, 1.045], quiet, Verdict::Faster);
        check(&[0.95, 0.96, 0.94, 0.95, 0.955], quiet, Verdict::Slower);
        // Equals, one run of which was disturbed.
        check(&[1.01, 0.99, 1.4, 1.0, 0.995], quiet, Verdict::None);
        check(&[1.01, 0.99, 1.0, 0.6, 0.995], quiet, Verdict::None);
        // A disturbed pair hides no difference.
        check(&[1.05, 1.04, 1.06, 1.05, 1.045], outlier, Verdict::Faster);
        check(&[1.01, 0.99, 1.0, 1.005, 0.995], outlier, Verdict::None);
        // Turns that do not agree, and turns that are too few.
        check(&[1.3, 0.7, 1.2, 0.8, 1.4], quiet, Verdict::Unclear);
        check(&[1.3, 1.3], &quiet[..2], Verdict::Unclear);
        check(&[1.3, 1.3, 1.3], &quiet[..3], Verdict::Faster);
        check(&[1.3, 1.3, 1.3], &[], Verdict::Unknown);
    }

    #[test]
    fn orders_are_counted_as_tables_say() {
        assert_eq!(orders(2, 3), [1.0, 1.0, 2.0, 2.0, 2.0, 1.0, 1.0]);
        let check = |ours: &[f64], theirs: &[f64], of: f64| {
            assert!((chance(ours, theirs) - of).abs() < 1e-12, "{ours:?} {theirs:?}");
        };
        check(&[5.0, 6.0, 7.0, 8.0, 9.0], &[0.0, 1.0, 2.0, 3.0, 4.0], 1.0 / 252.0);
        check(&[0.5, 6.0, 7.0, 8.0, 9.0], &[0.0, 1.0, 2.0, 3.0, 4.0], 12.0 / 252.0);
        check(&[1.0], &[1.0], 1.0);
        check(&[2.0], &[1.0], 0.5);
    }

    #[test]
    fn the_normal_distribution_takes_over_where_counting_ends() {
        let ours: Vec<f64> = (0..20).map(|at| f64::from(at) + 4.5).collect();
        let theirs: Vec<f64> = (0..20).map(f64::from).collect();
        let counted = chance(&ours, &theirs);
        let more: Vec<f64> = theirs.iter().copied().chain([9.75]).collect();
        assert!((counted / chance(&ours, &more) - 1.0).abs() < 0.1, "{counted} {}", chance(&ours, &more));
        assert!((normal_above(1.96) - 0.0249979).abs() < 1e-6 && normal_above(-40.0) == 1.0);
    }

    #[test]
    fn equals_are_seldom_taken_for_different() {
        let mut state = 1u64;
        let mut draw = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1u64 << 53) as f64
        };
        // One run in ten is disturbed and takes up to twice as long; the others vary by some percent.
        let mut time = || {
            let (small, disturbed, large) = (draw(), draw(), draw());
            1.0 + 0.03 * small + if disturbed < 0.1 { large } else { 0.0 }
        };
        let mut ratios = |n: usize| (0..n).map(|_| time() / time()).collect::<Vec<f64>>();
        let verdicts: Vec<Verdict> = (0..4000).map(|_| Verdict::on(&ratios(5), &ratios(10))).collect();
        let share = |of: &[Verdict]| {
            verdicts.iter().filter(|verdict| of.contains(verdict)).count() as f64 / verdicts.len() as f64
        };
        let different = share(&[Verdict::Faster, Verdict::Slower]);
        assert!(different < 0.01, "{different}");
        assert!(share(&[Verdict::None]) > 0.85, "{}", share(&[Verdict::None]));
    }
}
