//! What one end of a socket knows: the batches without credit, and what came and was not dealt with yet.

use std::collections::VecDeque;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use arrow_array::RecordBatch;
use modrun_core::Seq;
use modrun_shm::Slot;
use modrun_wire::{Form, Frame, Frames};

use super::{ARRIVED_MAX, Arrived, Kept, Side, Sorted, Terms};
use crate::Traffic;
use crate::failure::Failure;

/// A batch that has no credit yet.
pub(super) struct Sent {
    pub(super) seq: Seq,
    /// Its place in the segment, free again when this is dropped.
    pub(super) _slot: Option<Slot>,
    pub(super) length: u64,
    pub(super) rows: u32,
    /// When it was sent, if that is accounted for.
    pub(super) sent_at: Option<Instant>,
    pub(super) kept: Kept,
}

pub(crate) struct State<M> {
    /// The reading half, unless somebody is reading.
    pub(super) frames: Option<Frames<UnixStream, M>>,
    /// Threads that wait for what the reader brings.
    pub(super) waiting: usize,
    pub(super) terms: Terms,
    pub(super) sent: VecDeque<Sent>,
    pub(super) sent_bytes: u64,
    pub(super) next_sent: u64,
    pub(super) next_received: u64,
    /// Received batches that have no credit yet.
    pub(super) unpaid: u32,
    pub(super) arrived: VecDeque<Arrived<M>>,
    pub(super) failure: Option<Failure>,
}

impl<M: Side> State<M> {
    /// Puts what came at `now` where it belongs, if it may come; `traffic` counts what has credit.
    pub(super) fn sort(
        &mut self,
        Frame { message, payload }: Frame<M>,
        now: Option<Instant>,
        traffic: &Traffic,
    ) -> Result<(), Failure> {
        if self.arrived.len() >= ARRIVED_MAX {
            return Err(Failure::garbage("it sent more messages than anybody can take"));
        }
        match message.sort() {
            Sorted::Batch(batch) => {
                if batch.seq.0 != self.next_received {
                    let (is, should) = (batch.seq.0, self.next_received);
                    return Err(Failure::garbage(format!("batch {is} came where batch {should} was due")));
                }
                if self.unpaid >= self.terms.window.batches {
                    return Err(Failure::garbage("more batches came than the window allows"));
                }
                self.next_received += 1;
                self.unpaid += 1;
                let rows = match batch.form {
                    Form::Table => None,
                    Form::Selection => Some(self.rows_of(batch.input)?),
                };
                self.arrived.push_back(Arrived::Batch(batch, payload, rows, now));
            }
            Sorted::Credit(credit) => {
                let sent = self.credited(credit.seq)?;
                self.sent_bytes -= sent.length;
                if let (Some(sent_at), Some(now)) = (sent.sent_at, now) {
                    traffic.passed(sent.rows.into(), sent.length, now.saturating_duration_since(sent_at));
                }
                if M::CREDIT_IS_AN_ANSWER {
                    self.arrived.push_back(Arrived::Credit(credit, sent.kept));
                }
            }
            Sorted::Other(message, None) if message.is_last() && !self.sent.is_empty() => {
                return Err(Failure::garbage("it said `Done` before it gave credit for all batches"));
            }
            Sorted::Other(message, None) => self.arrived.push_back(Arrived::Other(message, None)),
            Sorted::Other(message, about) => {
                let rows = self.rows_of(about)?;
                self.arrived.push_back(Arrived::Other(message, Some(rows)));
            }
        }
        Ok(())
    }

    /// The batch that credit came for, which is no longer on its way.
    fn credited(&mut self, seq: Seq) -> Result<Sent, Failure> {
        let at = self.sent.iter().position(|sent| sent.seq == seq);
        let sent = at.filter(|&at| at == 0 || !M::CREDIT_IS_AN_ANSWER).and_then(|at| self.sent.remove(at));
        sent.ok_or_else(|| {
            let what = if M::CREDIT_IS_AN_ANSWER { "was not next in turn" } else { "has none to get" };
            Failure::garbage(format!("credit came for batch {}, which {what}", seq.0))
        })
    }

    /// The rows of a batch on its way.
    fn rows_of(&self, seq: Option<Seq>) -> Result<RecordBatch, Failure> {
        let sent = self.sent.iter().find(|sent| Some(sent.seq) == seq);
        let rows = sent.and_then(|sent| sent.kept.rows.clone());
        rows.ok_or_else(|| Failure::garbage("an answer came to a batch that is not on its way"))
    }

    /// The next thing that came.
    pub(crate) fn take(&mut self) -> Option<Arrived<M>> {
        self.arrived.pop_front()
    }
}
