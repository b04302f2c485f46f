//! An ordered, credit-limited edge between two chains in one process.
//!
//! What it is: many senders, one receiver. Every sequence number is sent exactly once, by whichever sender holds it;
//! the receiver gets the messages in the order of their numbers.
//!
//! Guarantees: a sender without credit waits. Credit reaches a fixed number of messages beyond the oldest one that
//! the receiver has not taken, so that nothing grows while one sender is slow. A sender that is dropped without
//! [`Sender::finish`] (its thread failed) closes the link for everybody at once.
//!
//! Refuses: dropping or reordering anything, and waking a sleeping receiver for nothing: a number without a message
//! passes without its notice.
//!
//! ```text
//!   worker 1 ──seq 4──▶ ┌───┬───┬───┬───┐
//!   worker 2 ──seq 5──▶ │ 3 │ 4 │   │ 6 │──▶ 3, 4, … one receiver
//!   worker 1 ──seq 6──▶ └───┴───┴───┴───┘
//!                         └── credit ──┘
//! ```
//!
//! Neighbours: `modrun-worker` runs the loops at both ends.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use modrun_core::Seq;

/// The other end has failed or gone; this one should stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the link was closed by its other end")]
pub struct Closed;

/// A link whose senders may be up to `credit` messages ahead of its receiver.
///
/// # Panics
/// If `credit` is 0: nothing could ever pass.
pub fn ordered<T>(credit: usize) -> (Sender<T>, Receiver<T>) {
    assert!(credit > 0, "a link needs credit");
    let edge = Arc::new(Edge {
        state: Mutex::new(State { slots: VecDeque::new(), next: 0, senders: 1, closed: false }),
        credit,
        arrived: Condvar::new(),
        credited: Condvar::new(),
    });
    (Sender { edge: Some(edge.clone()) }, Receiver { edge })
}

struct Edge<T> {
    state: Mutex<State<T>>,
    credit: usize,
    arrived: Condvar,
    credited: Condvar,
}

struct State<T> {
    /// What was sent under `next` and the numbers after it.
    slots: VecDeque<Slot<T>>,
    /// The oldest number that has not passed.
    next: u64,
    senders: usize,
    closed: bool,
}

enum Slot<T> {
    Awaited,
    Nothing,
    Message(T),
}

impl<T> Edge<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // No code of a stage runs under this lock; a panic elsewhere leaves the state whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_all();
        self.credited.notify_all();
    }
}

impl<T> State<T> {
    /// Passes the numbers at the front that have no message; gives whether any did.
    fn pass_nothing(&mut self) -> bool {
        let before = self.next;
        while let Some(Slot::Nothing) = self.slots.front() {
            self.slots.pop_front();
            self.next += 1;
        }
        self.next != before
    }
}

/// The sending end. Clones share the credit.
pub struct Sender<T> {
    /// Present until it finishes.
    edge: Option<Arc<Edge<T>>>,
}

impl<T> Sender<T> {
    fn edge(&self) -> &Edge<T> {
        self.edge.as_ref().expect("a sender has its edge until it finishes, which consumes it")
    }

    /// Waits until there is credit for `seq`. Whoever holds the oldest number never waits.
    pub fn credit(&self, seq: Seq) -> Result<(), Closed> {
        let edge = self.edge();
        let mut state = edge.lock();
        while !state.closed && seq.0 >= state.next + edge.credit as u64 {
            state = edge.credited.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.closed { Err(Closed) } else { Ok(()) }
    }

    /// Sends what there is under `seq`, once there is credit for it: a message, or nothing.
    ///
    /// # Panics
    /// If `seq` was sent before.
    pub fn send(&self, seq: Seq, message: Option<T>) -> Result<(), Closed> {
        self.credit(seq)?;
        let edge = self.edge();
        let mut state = edge.lock();
        let at = seq.0.checked_sub(state.next).expect("each number is sent once") as usize;
        while state.slots.len() <= at {
            state.slots.push_back(Slot::Awaited);
        }
        assert!(matches!(state.slots[at], Slot::Awaited), "each number is sent once");
        state.slots[at] = message.map_or(Slot::Nothing, Slot::Message);
        let passed = state.pass_nothing();
        let ready = matches!(state.slots.front(), Some(Slot::Message(_)));
        drop(state);
        if passed {
            edge.credited.notify_all();
        }
        if ready {
            edge.arrived.notify_one();
        }
        Ok(())
    }

    /// This sender has sent all it will; the link ends with its last sender.
    pub fn finish(mut self) {
        if let Some(edge) = self.edge.take() {
            edge.lock().senders -= 1;
            edge.arrived.notify_one();
        }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.edge().lock().senders += 1;
        Self { edge: self.edge.clone() }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if let Some(edge) = &self.edge {
            edge.close();
        }
    }
}

/// What a receiver has before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// The next message.
    Message,
    /// Nothing yet.
    Nothing,
    /// The end of the link.
    End,
}

/// The receiving end.
pub struct Receiver<T> {
    edge: Arc<Edge<T>>,
}

impl<T> Receiver<T> {
    /// Waits until the next message is there; `Ok(false)` is the end of the link.
    pub fn ready(&self) -> Result<bool, Closed> {
        self.ready_within(None).map(|ready| ready == Readiness::Message)
    }

    /// Waits until the next message is there, for `limit` at most.
    pub fn ready_within(&self, limit: Option<Duration>) -> Result<Readiness, Closed> {
        let mut state = self.edge.lock();
        let arrived = &self.edge.arrived;
        loop {
            match state.slots.front() {
                _ if state.closed => return Err(Closed),
                Some(Slot::Message(_)) => return Ok(Readiness::Message),
                _ if state.senders == 0 => return Ok(Readiness::End),
                _ => {}
            }
            let Some(limit) = limit else {
                state = arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let (after, timeout) = arrived.wait_timeout(state, limit).unwrap_or_else(PoisonError::into_inner);
            // Whoever asks with a limit asks again; a wake-up for nothing only shortens one wait.
            if timeout.timed_out() {
                return Ok(Readiness::Nothing);
            }
            state = after;
        }
    }

    /// Whether the next message is there.
    pub fn has_message(&self) -> bool {
        matches!(self.edge.lock().slots.front(), Some(Slot::Message(_)))
    }

    /// Takes the next message and returns its credit, waiting for it if need be; `Ok(None)` is the end of the link.
    pub fn recv(&self) -> Result<Option<(Seq, T)>, Closed> {
        if !self.ready()? {
            return Ok(None);
        }
        let mut state = self.edge.lock();
        let Some(Slot::Message(message)) = state.slots.pop_front() else { return Err(Closed) };
        let seq = Seq(state.next);
        state.next += 1;
        state.pass_nothing();
        drop(state);
        self.edge.credited.notify_all();
        Ok(Some((seq, message)))
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.edge.close();
    }
}

#[cfg(test)]
mod tests;
