//! Who has the next event.

use crate::{Distribution, Rng};

/// A run starts when `r` is below 0.02, that is when the 32 bits drawn are at most this.
const BURST_STARTS_MAX: u32 = 85_899_345;

/// Draws users by one [`Distribution`].
#[derive(Clone, Debug)]
pub(crate) struct Users {
    count: u32,
    distribution: Distribution,
    burst: Burst,
}

/// What is left of a run of events of one user.
#[derive(Clone, Debug, Default)]
struct Burst {
    user: u32,
    events_left: u32,
}

impl Users {
    pub(crate) fn new(count: u32, distribution: Distribution) -> Self {
        Self { count, distribution, burst: Burst::default() }
    }

    #[inline]
    pub(crate) fn draw(&mut self, rng: &mut Rng) -> u32 {
        match self.distribution {
            Distribution::Uniform => rng.below(self.count),
            Distribution::Zipf => {
                let r = rng.ratio();
                (r * r * r * f64::from(self.count)) as u32
            }
            Distribution::Burst => self.draw_in_bursts(rng),
        }
    }

    fn draw_in_bursts(&mut self, rng: &mut Rng) -> u32 {
        if self.burst.events_left == 0 {
            let events = if rng.draw() <= BURST_STARTS_MAX { 50 + rng.below(200) } else { 1 };
            self.burst = Burst { events_left: events, user: rng.below(self.count) };
        }
        self.burst.events_left -= 1;
        self.burst.user
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_starts_below_two_in_a_hundred() {
        assert!(f64::from(BURST_STARTS_MAX) / 4_294_967_296.0 < 0.02);
        assert!(f64::from(BURST_STARTS_MAX + 1) / 4_294_967_296.0 >= 0.02);
    }

    #[test]
    fn zipf_gives_the_first_tenth_of_the_users_almost_half_of_the_events() {
        let (mut users, mut rng) = (Users::new(1000, Distribution::Zipf), Rng::new(1));
        let first_tenth = (0..100_000).filter(|_| users.draw(&mut rng) < 100).count();
        assert!((46_000..47_000).contains(&first_tenth), "{first_tenth}"); // 0.1 to the power of 1/3
    }

    #[test]
    fn bursts_are_runs_of_one_user_and_of_the_right_length() {
        let (mut users, mut rng) = (Users::new(u32::MAX, Distribution::Burst), Rng::new(1));
        let drawn: Vec<u32> = (0..100_000).map(|_| users.draw(&mut rng)).collect();
        let runs: Vec<usize> = drawn.chunk_by(|a, b| a == b).map(<[u32]>::len).collect();
        let bursts = runs.iter().filter(|&&run| run > 1).count();
        assert!(runs[..runs.len() - 1].iter().all(|run| *run == 1 || (50..250).contains(run)));
        let share = bursts as f64 / runs.len() as f64;
        assert!((0.015..0.025).contains(&share), "{share}");
    }
}
