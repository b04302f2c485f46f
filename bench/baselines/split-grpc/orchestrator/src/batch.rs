//! How many events travel in one message.

use std::str::FromStr;
use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use split_wire::{Activity, LEDGER};
use tokio::time::{Instant, timeout_at};

/// When a batch is full enough to be sent; the last one may always hold less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Policy {
    /// A batch never holds more.
    pub(crate) events_max: usize,
    /// A batch never waits longer for more events. Without it, it waits until it is full.
    pub(crate) linger: Option<Duration>,
}

impl Policy {
    /// Large batches under load, small delay without.
    pub(crate) const ADAPTIVE: Self = Self { events_max: 2048, linger: Some(Duration::from_millis(10)) };
}

impl FromStr for Policy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            _ if text == "adaptive" => Ok(Self::ADAPTIVE),
            Ok(events_max @ 1..=10_000) => Ok(Self { events_max, linger: None }),
            _ => Err(format!("a batch is `adaptive` or 1 to 10000 events, not `{text}`")),
        }
    }
}

/// The same items in the same order, in groups as `policy` wants them.
pub(crate) fn regroup<T>(groups: impl Stream<Item = Vec<T>>, policy: Policy) -> impl Stream<Item = Vec<T>> {
    let start =
        Regroup { groups: Box::pin(groups), policy, pending: Vec::new(), send_at: None, is_done: false };
    stream::unfold(start, |mut regroup| async move { regroup.next().await.map(|group| (group, regroup)) })
}

struct Regroup<S, T> {
    groups: S,
    policy: Policy,
    pending: Vec<T>,
    send_at: Option<Instant>,
    is_done: bool,
}

impl<T, S: Stream<Item = Vec<T>> + Unpin> Regroup<S, T> {
    async fn next(&mut self) -> Option<Vec<T>> {
        loop {
            if self.pending.len() >= self.policy.events_max {
                return Some(self.take());
            }
            if self.is_done {
                return (!self.pending.is_empty()).then(|| self.take());
            }
            let next = match self.send_at {
                Some(at) if !self.pending.is_empty() => timeout_at(at, self.groups.next()).await,
                _ => Ok(self.groups.next().await),
            };
            match next {
                Ok(Some(group)) => self.add(group),
                Ok(None) => self.is_done = true,
                Err(_elapsed) => return Some(self.take()),
            }
        }
    }

    fn add(&mut self, group: Vec<T>) {
        if self.pending.is_empty() {
            self.send_at = self.policy.linger.map(|linger| Instant::now() + linger);
            self.pending = group;
        } else {
            LEDGER.time(Activity::Process, || self.pending.extend(group));
        }
    }

    fn take(&mut self) -> Vec<T> {
        if self.pending.len() <= self.policy.events_max {
            return std::mem::take(&mut self.pending);
        }
        LEDGER.time(Activity::Process, || {
            let rest = self.pending.split_off(self.policy.events_max);
            std::mem::replace(&mut self.pending, rest)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(groups: &[&[u32]], events_max: usize, expected: &[&[u32]]) {
        let groups = stream::iter(groups.iter().map(|group| group.to_vec()));
        let policy = Policy { events_max, linger: None };
        let regrouped: Vec<_> = regroup(groups, policy).collect().await;
        assert_eq!(regrouped, expected);
    }

    #[tokio::test]
    async fn fills_batches_and_keeps_the_order() {
        check(&[], 2, &[]).await;
        check(&[&[]], 2, &[]).await;
        check(&[&[1, 2], &[3]], 2, &[&[1, 2], &[3]]).await;
        check(&[&[1], &[], &[2, 3], &[4]], 3, &[&[1, 2, 3], &[4]]).await;
        check(&[&[1, 2, 3, 4, 5]], 2, &[&[1, 2], &[3, 4], &[5]]).await;
    }

    #[tokio::test(start_paused = true)]
    async fn sends_what_it_has_after_the_linger() {
        let slow = stream::unfold(0, |i| async move {
            tokio::time::sleep(Duration::from_millis(if i == 2 { 25 } else { 4 })).await;
            (i < 4).then_some((vec![i], i + 1))
        });
        let policy = Policy { events_max: 100, linger: Some(Duration::from_millis(10)) };
        let groups: Vec<_> = regroup(slow, policy).collect().await;
        assert_eq!(groups, [vec![0, 1], vec![2, 3]]);
    }

    #[test]
    fn a_policy_is_a_number_or_adaptive() {
        assert_eq!("adaptive".parse(), Ok(Policy::ADAPTIVE));
        assert_eq!("10".parse(), Ok(Policy { events_max: 10, linger: None }));
        for text in ["0", "10001", "-1", "many"] {
            assert!(text.parse::<Policy>().is_err(), "{text}");
        }
    }
}
