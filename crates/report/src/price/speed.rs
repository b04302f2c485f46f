//! How long a run takes, from the CPU time that it needs.
//!
//! Two things limit a pipeline: all its work on all the cores, and its slowest loop. Where one of them takes much longer
//! than the other, it alone is the time; where they are near each other, cores wait now and then, and it takes longer
//! than either. That is the `p`-norm of the two; `p` is what explains the sweep best.

use std::collections::BTreeMap;

use crate::Summary;

/// The norms that are tried: the first adds up most of the smaller limit, the last nearly nothing.
const NORMS: [f64; 7] = [2.0, 2.5, 3.0, 4.0, 6.0, 10.0, 30.0];

/// What the time of a run follows from.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Limits {
    cores: f64,
    norm: f64,
    /// Time in which there is nothing to do, whatever the work, such as until a file is on its disk: in seconds, by number
    /// of events.
    idle: BTreeMap<u64, f64>,
}

/// A run of the sweep.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// Whether no stage is moved out.
    pub(super) is_base: bool,
    /// Its input.
    pub(super) events: u64,
    /// CPU time of all processes, in seconds.
    pub(super) cpu: f64,
    /// How long its slowest loop was busy, in seconds.
    pub(super) slowest: f64,
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
        let mut idle = BTreeMap::<u64, Vec<f64>>::new();
        for base in seen.iter().filter(|seen| seen.is_base) {
            idle.entry(base.events).or_default().push(base.wall - limits.work(base.cpu, base.slowest));
        }
        let median = |idle: Vec<f64>| Summary::of(&idle).map_or(0.0, |idle| idle.median.max(0.0));
        limits.idle = idle.into_iter().map(|(events, idle)| (events, median(idle))).collect();
        limits
    }

    /// How long a run takes, in seconds, that needs this CPU time and whose slowest loop is busy so long; `None` for a
    /// number of events that was not swept.
    pub(super) fn wall(&self, events: u64, cpu: f64, slowest: f64) -> Option<f64> {
        Some(self.idle.get(&events)? + self.work(cpu, slowest))
    }

    fn work(&self, cpu: f64, slowest: f64) -> f64 {
        let (cores, norm) = (cpu / self.cores, self.norm);
        let larger = cores.max(slowest);
        if larger <= 0.0 {
            return 0.0;
        }
        larger * ((cores / larger).powf(norm) + (slowest / larger).powf(norm)).powf(norm.recip())
    }

    fn error(&self, seen: &Seen) -> f64 {
        let wall = self.wall(seen.events, seen.cpu, seen.slowest).unwrap_or(seen.wall);
        (wall / seen.wall).ln().powi(2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(norm: f64) -> Vec<Seen> {
        let work = Limits { cores: 2.0, norm, idle: BTreeMap::new() };
        let run = |is_base, cpu, slowest| Seen {
            is_base,
            events: 10,
            cpu,
            slowest,
            wall: 0.5 + work.work(cpu, slowest),
        };
        vec![run(true, 8.0, 1.0), run(false, 8.0, 4.0), run(false, 8.0, 3.0), run(false, 1.0, 4.0)]
    }

    #[test]
    fn the_larger_limit_alone_is_the_time_where_the_other_is_far() {
        let limits = Limits::of(2.0, &seen(4.0));
        for (cpu, slowest, expected) in [(8.0, 0.1, 4.5), (0.2, 3.0, 3.5), (0.0, 0.0, 0.5)] {
            let wall = limits.wall(10, cpu, slowest).unwrap();
            assert!((wall - expected).abs() < 0.02, "{cpu} {slowest} {wall}");
        }
        assert_eq!(limits.wall(11, 1.0, 1.0), None);
    }

    #[test]
    fn the_norm_behind_the_runs_is_found() {
        for norm in NORMS {
            assert_eq!(Limits::of(2.0, &seen(norm)).norm, norm);
        }
    }
}
