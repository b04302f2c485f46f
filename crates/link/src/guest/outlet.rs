//! The way of a source's rows to the runtime: gathered into batches, and held back while there is no credit.

use std::num::NonZeroU32;
use std::time::Duration;

use arrow_array::RecordBatch;
use modrun_core::{Activity, BatchPolicy, Error, Result};
use modrun_wire::Open;

use super::{Guest, error};
use crate::batcher::{Batcher, Facts};
use crate::peer::Kept;

/// What a source has handed over and the runtime has not got yet, in order.
pub struct Outlet {
    guest: Guest,
    /// What is left of the batch that leaves next.
    next: Option<RecordBatch>,
    batcher: Batcher,
}

impl Outlet {
    pub(super) fn new(guest: Guest, waiting: Vec<RecordBatch>) -> Self {
        let output = guest.open.output.clone().unwrap_or_default().to_arrow();
        // A source sends what it has before it looks for more.
        let batcher = Batcher::new(policy(&guest.open), Duration::ZERO, &output);
        let mut outlet = Self { next: None, batcher, guest };
        waiting.into_iter().for_each(|rows| outlet.push(rows));
        outlet
    }

    /// Adds rows behind those that wait.
    pub fn push(&mut self, rows: RecordBatch) {
        self.batcher.push(rows, self.guest.clock.now());
    }

    /// Sends what should leave now, in batches as the link's policy says, once there is credit; all of it if the source
    /// has `ended`. Gives whether it has left: if not, the runtime wants something in the meantime.
    ///
    /// # Errors
    /// Stage, if a row is too large even alone.
    pub fn send(&mut self, ended: bool, meter: &mut dyn FnMut(Activity)) -> Result<bool> {
        loop {
            if self.next.is_none() {
                self.next = self.take(ended)?;
            }
            let Some(rows) = self.next.take() else { break };
            meter(Activity::Encode);
            let Some(layout) = self.guest.part(&rows, 0)? else {
                return Err(Error::stage("a row is larger than the segment")
                    .with_hint("`limits.segment` makes it larger"));
            };
            let peer = &self.guest.peer;
            if !peer.has_room(layout.length(), meter).map_err(error)? {
                self.next = Some(rows);
                return Ok(false);
            }
            peer.send(&layout, None, Kept::default(), meter).map_err(error)?;
            let sent = layout.rows() as usize;
            self.next = (sent < rows.num_rows()).then(|| rows.slice(sent, rows.num_rows() - sent));
        }
        meter(Activity::Send);
        self.guest.flush()?;
        Ok(true)
    }

    /// The rows that were not sent yet.
    pub fn waiting(&mut self) -> Result<Vec<RecordBatch>> {
        let mut gathered = Vec::new();
        while let Some(rows) = self.take(true)? {
            gathered.push(rows);
        }
        gathered.iter().for_each(|rows| self.push(rows.clone()));
        Ok(self.next.iter().cloned().chain(gathered).collect())
    }

    fn take(&mut self, ended: bool) -> Result<Option<RecordBatch>> {
        let in_flight = self.guest.peer.in_flight();
        self.batcher.take(Facts { in_flight, more: false, ended, now: self.guest.clock.now() })
    }
}

fn policy(open: &Open) -> BatchPolicy {
    let policy = open.policy.unwrap_or_default();
    match NonZeroU32::new(policy.rows) {
        None => BatchPolicy::Adaptive,
        Some(rows) => {
            let linger = Some(Duration::from_micros(policy.linger_us)).filter(|linger| !linger.is_zero());
            BatchPolicy::Rows { rows, linger }
        }
    }
}
