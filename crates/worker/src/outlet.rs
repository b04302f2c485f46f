//! Where a chain's batches go.

use modrun_core::{Activity, DeadLetter, Error, Ledger, Message, Result, Seq, StageId, State};
use modrun_link::Sender;

use crate::Passage;

/// What is done with a dead letter; an error ends the run.
pub type SetAside = Box<dyn FnMut(StageId, DeadLetter) -> Result<()> + Send>;

/// Where a chain's batches go.
pub enum Outlet {
    /// To the chain behind.
    Link {
        /// The link.
        link: Sender<Message>,
        /// The position of the last stage in the chain, whose time it is.
        tail: usize,
    },
    /// Nowhere: the chain ends in the sink. Dead letters are set aside.
    End(SetAside),
}

impl Outlet {
    /// Hands on what came out of the chain under `seq`; waiting for credit is the tail's back-pressure.
    pub(crate) fn deliver(&mut self, seq: Seq, passage: Passage, ledger: &mut Ledger) -> Result<()> {
        let Passage { rows, dead_letters } = passage;
        match self {
            Outlet::Link { .. } => {
                let anything = !rows.is_empty() || !dead_letters.is_empty();
                self.send(seq, anything.then_some(Message::Batches { rows, dead_letters }), ledger)
            }
            Outlet::End(set_aside) => {
                dead_letters.into_iter().try_for_each(|(stage, letter)| set_aside(stage, letter))
            }
        }
    }

    /// Hands on the partial state of the chain's last stage.
    pub(crate) fn deliver_partial(&mut self, seq: Seq, state: State, ledger: &mut Ledger) -> Result<()> {
        self.send(seq, Some(Message::Partial(state)), ledger)
    }

    fn send(&mut self, seq: Seq, message: Option<Message>, ledger: &mut Ledger) -> Result<()> {
        let Outlet::Link { link, tail } = self else {
            return Err(Error::internal("a chain that ends in a sink has nowhere to send to"));
        };
        let closed = |closed| Error::internal("the stages behind have failed").with_source(closed);
        ledger.enter(*tail, Activity::Backpressured);
        link.credit(seq).map_err(closed)?;
        ledger.enter(*tail, Activity::Send);
        link.send(seq, message).map_err(closed)
    }

    /// The chain has sent all it will.
    pub(crate) fn finish(self) {
        if let Outlet::Link { link, .. } = self {
            link.finish();
        }
    }
}
