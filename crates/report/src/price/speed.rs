//! How long a run takes, from the CPU time that it needs.
//!
//! ```text
//!   time = idle + ‖ busiest loop, the rest on the other cores ‖
//! ```
//!
//! Two things limit a pipeline: its busiest loop, which is on one core at a time, and all its work on all cores. Where
//! the loop takes longer than its share of the cores, the rest of the work has the others to itself. Where one limit is
//! much larger than the other, it alone is the time; where they are near each other, cores wait now and then, and it takes
//! longer than either. That is the `p`-norm of the two; `p` is what explains the sweep best, where a run that was
//! disturbed counts by its size and not by its square.

use std::collections::BTreeMap;

use super::Input;
use crate::Summary;

/// The norms that are tried: the first adds up most of the smaller limit, the last nearly nothing.
const NORMS: [f64; 7] = [2.0, 2.5, 3.0, 4.0, 6.0, 10.0, 30.0];

/// What the time of a run follows from.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Limits {
    cores: f64,
    norm: f64,
    /// Time in which there is nothing to do, whatever the work, such as until a file is on its disk: in seconds, by input.
    idle: BTreeMap<Input, f64>,
}

/// A run of the sweep.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// Whether no stage is moved out.
    pub(super) is_base: bool,
    /// Its input.
    pub(super) input: Input,
    /// CPU time of all processes, in seconds.
    pub(super) cpu: f64,
    /// How long its busiest loop was busy, in seconds.
    pub(super) busiest: f64,
    /// How long it took, in seconds.
    pub(super) wall: f64,
}

impl Limits {
    /// The limits that explain the runs of a sweep best.
    pub(super) fn of(cores: f64, seen: &[Seen]) -> Self {
        let limits = NORMS.map(|norm| Self::with(norm, cores, seen));
        let error = |limits: &Self| seen.iter().map(|seen| limits.error(seen)).sum::<f64>();
        let best = limits.into_iter().min_by(|a, b| error(a).total_cmp(&error(b)));
        best.unwrap_or_else(|| Self::with(NORMS[0], cores, seen))
    }

    fn with(norm: f64, cores: f64, seen: &[Seen]) -> Self {
        let mut limits = Self { cores, norm, idle: BTreeMap::new() };
        let mut idle = BTreeMap::<Input, Vec<f64>>::new();
        for base in seen.iter().filter(|seen| seen.is_base) {
            idle.entry(base.input).or_default().push(base.wall - limits.work(base.cpu, base.busiest));
        }
        let median = |idle: Vec<f64>| Summary::of(&idle).map_or(0.0, |idle| idle.median.max(0.0));
        limits.idle = idle.into_iter().map(|(input, idle)| (input, median(idle))).collect();
        limits
    }

    /// How long a run takes, in seconds, that needs this CPU time and whose busiest loop is busy so long; `None` for an
    /// input that was not swept.
    pub(super) fn wall(&self, input: Input, cpu: f64, busiest: f64) -> Option<f64> {
        Some(self.idle.get(&input)? + self.work(cpu, busiest))
    }

    fn work(&self, cpu: f64, busiest: f64) -> f64 {
        let (all, norm) = (cpu / self.cores, self.norm);
        let rest = if busiest > all { (cpu - busiest).max(0.0) / (self.cores - 1.0).max(1.0) } else { all };
        let larger = rest.max(busiest);
        if larger <= 0.0 {
            return 0.0;
        }
        larger * ((rest / larger).powf(norm) + (busiest / larger).powf(norm)).powf(norm.recip())
    }

    fn error(&self, seen: &Seen) -> f64 {
        let wall = self.wall(seen.input, seen.cpu, seen.busiest).unwrap_or(seen.wall);
        (wall / seen.wall).ln().abs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INPUT: Input = (10, 0);

    fn seen(norm: f64) -> Vec<Seen> {
        let limits = Limits { cores: 2.0, norm, idle: BTreeMap::new() };
        let run = |is_base, cpu, busiest| Seen {
            is_base,
            input: INPUT,
            cpu,
            busiest,
            wall: 0.5 + limits.work(cpu, busiest),
        };
        vec![run(true, 8.0, 0.1), run(false, 8.0, 4.0), run(false, 8.0, 3.0), run(false, 8.0, 5.0)]
    }

    #[test]
    fn the_larger_limit_alone_is_the_time_where_the_other_is_far() {
        let limits = Limits::of(2.0, &seen(4.0));
        for (cpu, busiest, expected) in [(8.0, 0.1, 4.5), (3.2, 3.0, 3.5), (0.0, 0.0, 0.5)] {
            let wall = limits.wall(INPUT, cpu, busiest).unwrap();
            assert!((wall - expected).abs() < 0.02, "{cpu} {busiest} {wall}");
        }
        assert_eq!(limits.wall((11, 0), 1.0, 1.0), None);
        assert_eq!(limits.wall((10, 1), 1.0, 1.0), None);
    }

    #[test]
    fn the_time_does_not_leap_where_the_loop_takes_more_than_its_share() {
        let limits = Limits::of(2.0, &seen(4.0));
        let [below, above] = [3.999, 4.001].map(|busiest| limits.wall(INPUT, 8.0, busiest).unwrap());
        assert!((below - above).abs() < 0.01, "{below} {above}");
        let one = Limits { cores: 1.0, norm: 30.0, idle: BTreeMap::from([(INPUT, 0.0)]) };
        assert!((one.wall(INPUT, 8.0, 3.0).unwrap() - 8.0).abs() < 0.01);
    }

    #[test]
    fn the_norm_behind_the_runs_is_found_though_one_was_disturbed() {
        for norm in NORMS {
            let mut seen = seen(norm);
            assert_eq!(Limits::of(2.0, &seen).norm, norm);
            seen.push(Seen { wall: 2.0 * seen[1].wall, ..seen[1] });
            assert_eq!(Limits::of(2.0, &seen).norm, norm);
        }
    }
}
