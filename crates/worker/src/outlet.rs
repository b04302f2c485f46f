//! Where a chain's batches go.

use std::sync::Arc;
use std::time::Instant;

use modrun_core::{Activity, DeadLetter, Error, Ledger, Message, Result, Seq, StageId, State};
use modrun_link::{HostSender, Sender};

use crate::{Passage, SharedHost};

/// What is done with a dead letter; an error ends the run.
pub type SetAside = Box<dyn FnMut(StageId, DeadLetter) -> Result<()> + Send>;

/// A message on its way to another chain.
pub struct Sent {
    /// What travels.
    pub message: Message,
    /// When it was sent, if that is accounted for.
    pub at: Option<Instant>,
}

/// Where a chain's batches go.
pub enum Outlet {
    /// To the chain behind.
    Link(Sender<Sent>),
    /// To the stage behind, which is a process.
    Host(HostSender),
    /// To the sink, which is a process; what comes back are dead letters.
    Sink(HostSender, Arc<SharedHost>, SetAside),
    /// Nowhere: the chain ends in the sink. Dead letters are set aside.
    End(SetAside),
}

impl Outlet {
    /// Hands on what came out of the chain under `seq`. `tail` is the place of the last stage in the chain, whose time
    /// this is; `more` says whether the chain has more to do at once.
    pub(crate) fn deliver(
        &mut self,
        seq: Seq,
        passage: Passage,
        more: bool,
        tail: usize,
        ledger: &mut Ledger,
    ) -> Result<()> {
        let Passage { rows, dead_letters } = passage;
        match self {
            Outlet::Link(_) => {
                let anything = !rows.is_empty() || !dead_letters.is_empty();
                self.send(seq, anything.then_some(Message::Batches { rows, dead_letters }), tail, ledger)
            }
            Outlet::Host(sender) => {
                sender.send(rows, dead_letters, more, &mut |activity| ledger.enter(tail, activity))
            }
            Outlet::Sink(sender, sink, set_aside) => {
                sender.send(rows, dead_letters, more, &mut |activity| ledger.enter(tail, activity))?;
                while sink.receiver().has_arrived() {
                    let letters = sink.settle(None)?.unwrap_or_default();
                    letters.into_iter().try_for_each(|(stage, letter)| set_aside(stage, letter))?;
                }
                Ok(())
            }
            Outlet::End(set_aside) => {
                dead_letters.into_iter().try_for_each(|(stage, letter)| set_aside(stage, letter))
            }
        }
    }

    /// When rows that wait for a batch must leave at the latest, by delivering nothing.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self {
            Outlet::Host(sender) | Outlet::Sink(sender, ..) => sender.deadline(),
            Outlet::Link(_) | Outlet::End(_) => None,
        }
    }

    /// Hands on the partial state of the chain's last stage.
    pub(crate) fn deliver_partial(
        &mut self,
        seq: Seq,
        state: State,
        tail: usize,
        ledger: &mut Ledger,
    ) -> Result<()> {
        self.send(seq, Some(Message::Partial(state)), tail, ledger)
    }

    fn send(&mut self, seq: Seq, message: Option<Message>, tail: usize, ledger: &mut Ledger) -> Result<()> {
        let Outlet::Link(link) = self else {
            return Err(Error::internal("a partial state has nowhere to be merged"));
        };
        let closed = |closed| Error::internal("the stages behind have failed").with_source(closed);
        ledger.enter(tail, Activity::Backpressured);
        link.credit(seq).map_err(closed)?;
        ledger.enter(tail, Activity::Send);
        let at = ledger.since();
        link.send(seq, message.map(|message| Sent { message, at })).map_err(closed)
    }

    /// The chain has sent all it will. Waits for the end of a sink that is a process.
    pub(crate) fn finish(self, tail: usize, ledger: &mut Ledger) -> Result<()> {
        match self {
            Outlet::Link(link) => link.finish(),
            Outlet::Host(sender) => sender.finish(&mut |activity| ledger.enter(tail, activity))?,
            Outlet::Sink(sender, sink, mut set_aside) => {
                sender.finish(&mut |activity| ledger.enter(tail, activity))?;
                ledger.enter(tail, Activity::Backpressured);
                while let Some(letters) = sink.settle(None)? {
                    letters.into_iter().try_for_each(|(stage, letter)| set_aside(stage, letter))?;
                }
            }
            Outlet::End(_) => {}
        }
        Ok(())
    }
}
