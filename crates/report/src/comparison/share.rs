//! How much of a run was not its stages' own work: by busy time, by CPU, and as a naive account has it.
//!
//! Waiting is nobody's overhead: of busy time, and of CPU, it is no part. [`Figures::naive_ipc`] counts it nevertheless,
//! to show what comes of that.

use modrun_core::{ActivitySeconds, Busy, RunReport};

use crate::record::{Figures, Part};

/// A share of a whole, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// The share.
    pub value: f64,
    /// What is known of it.
    pub bound: Bound,
}

/// What is known of a figure of which a part was not measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// All was measured.
    Exact,
    /// It may be more.
    AtLeast,
    /// It may be less.
    AtMost,
    /// It may be either.
    About,
}

impl Bound {
    /// What stands before the figure.
    #[must_use]
    pub fn sign(self) -> &'static str {
        match self {
            Bound::Exact => "",
            Bound::AtLeast => "≥ ",
            Bound::AtMost => "≤ ",
            Bound::About => "≈ ",
        }
    }

    fn of(may_be_more: bool, may_be_less: bool) -> Self {
        match (may_be_more, may_be_less) {
            (false, false) => Bound::Exact,
            (true, false) => Bound::AtLeast,
            (false, true) => Bound::AtMost,
            (true, true) => Bound::About,
        }
    }
}

/// Sums over what a run reports of its inside, and what of it is missing.
#[derive(Clone, Copy, Debug, Default)]
struct Account {
    processing: f64,
    /// Own work, as far as it had a core.
    processing_cpu: f64,
    ipc: f64,
    waiting: f64,
    processing_is_missing: bool,
    ipc_is_missing: bool,
}

impl Figures {
    /// Sending and receiving, encoding and decoding included, as a share of the time in which nobody waited.
    #[must_use]
    pub fn ipc_of_busy(&self) -> Option<Share> {
        let account = self.account()?;
        let value = share(account.ipc, account.ipc + account.processing)?;
        Some(Share { value, bound: Bound::of(account.ipc_is_missing, account.processing_is_missing) })
    }

    /// The CPU time that is not the stages' own work, as a share of all.
    ///
    /// Whatever no column claims, such as a library's threads, is in it.
    #[must_use]
    pub fn ipc_of_cpu(&self) -> Option<Share> {
        let account = self.account()?;
        let cpu = self.cpu_seconds.unwrap_or(self.whole_cpu_seconds);
        let value = share((cpu - account.processing_cpu).max(0.0), cpu)?;
        Some(Share { value, bound: Bound::of(false, account.processing_is_missing) })
    }

    /// Sending, receiving and waiting as a share of the sum of all, as if whoever waits were busy with messages.
    #[must_use]
    pub fn naive_ipc(&self) -> Option<Share> {
        let account = self.account()?;
        let counted = account.ipc + account.waiting;
        let value = share(counted, counted + account.processing)?;
        Some(Share { value, bound: Bound::of(account.ipc_is_missing, account.processing_is_missing) })
    }

    fn account(&self) -> Option<Account> {
        match &self.report {
            Some(report) => report.measuring.map(|_| of_report(report)),
            None => of_parts(&self.parts),
        }
    }
}

fn share(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

fn of_report(report: &RunReport) -> Account {
    let mut account = Account::default();
    let mut add = |busy: &Busy, time: &ActivitySeconds, cpu: f64| {
        account.processing += busy.processing_seconds;
        account.processing_cpu += share(busy.processing_seconds, busy.seconds).unwrap_or(0.0) * cpu;
        account.ipc += busy.ipc_send_seconds + busy.ipc_receive_seconds;
        account.waiting += time.waiting();
    };
    for stage in &report.stages {
        add(&stage.busy, &stage.activity_seconds, stage.cpu_seconds);
    }
    let forwarding = &report.forwarding;
    add(&forwarding.busy, &forwarding.activity_seconds, forwarding.cpu_seconds);
    account
}

fn of_parts(parts: &[Part]) -> Option<Account> {
    let is_silent = |part: &Part| part.process_seconds.is_none() && part.ipc_send_seconds.is_none();
    if parts.iter().all(is_silent) {
        return None;
    }
    let mut account = Account::default();
    for part in parts {
        let own = part.process_seconds;
        // A stage cannot have been busy for longer than it had a core, as far as CPU goes.
        let with_core = own.map(|own| part.cpu_seconds.map_or(own, |cpu| own.min(cpu)));
        account.processing += own.unwrap_or(0.0);
        account.processing_cpu += with_core.unwrap_or(0.0);
        account.processing_is_missing |= own.is_none();
        account.ipc += part.ipc_send_seconds.unwrap_or(0.0) + part.ipc_receive_seconds.unwrap_or(0.0);
        account.ipc_is_missing |= part.ipc_send_seconds.is_none() || part.ipc_receive_seconds.is_none();
        account.waiting += part.waiting_seconds.unwrap_or(0.0);
    }
    Some(account)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(process: Option<f64>, send: Option<f64>, receive: Option<f64>, waiting: f64) -> Part {
        Part {
            process_seconds: process,
            ipc_send_seconds: send,
            ipc_receive_seconds: receive,
            waiting_seconds: Some(waiting),
            ..Part::default()
        }
    }

    #[test]
    fn waiting_is_overhead_only_to_the_naive() {
        let parts = vec![part(Some(1.0), Some(1.0), Some(0.5), 6.0), part(Some(1.0), Some(0.5), None, 0.0)];
        let figures = Figures { parts, whole_cpu_seconds: 8.0, ..Figures::default() };
        let check = |share: Option<Share>, value: f64, bound| {
            let share = share.unwrap();
            assert!((share.value - value).abs() < 1e-9, "{share:?}");
            assert_eq!(share.bound, bound);
        };
        check(figures.ipc_of_busy(), 0.5, Bound::AtLeast);
        check(figures.ipc_of_cpu(), 0.75, Bound::Exact);
        check(figures.naive_ipc(), 0.8, Bound::AtLeast);
        assert_eq!(Figures::default().ipc_of_busy(), None);
    }
}
