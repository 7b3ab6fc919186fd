//! Changing contacts, and blocking addresses.

use jid::{BareJid, Jid};
use parlor_stanza::types::{Ask, Report};

use super::Command;
use crate::answer::Answer;
use crate::blocking::{ask, check_address, may_ask};
use crate::contacts::ContactChange;
use crate::features::Features;
use crate::iq::blocking::BlockingIq;
use crate::turn::Turn;

/// Add, remove or change a contact, or answer its request. Answered when the change is made.
#[derive(Debug)]
pub struct ChangeContact {
    /// The address of the contact.
    pub jid: BareJid,
    /// The change to make.
    pub change: ContactChange,
}

impl Command for ChangeContact {
    type Answer = ();

    const SENDS: bool = true;

    fn weight(&self) -> usize {
        self.change.weight()
    }

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        features.roster.change(self.jid, self.change, answer, turn);
    }
}

/// Block an address. Answered when the server has done it.
#[derive(Debug)]
pub struct BlockAddress {
    /// The address, as the server should compare it.
    pub jid: Jid,
    /// The report for which it is blocked.
    pub report: Option<Report>,
}

impl Command for BlockAddress {
    type Answer = ();

    const SENDS: bool = true;

    fn weight(&self) -> usize {
        self.report.as_ref().map_or(0, Report::weight)
    }

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        let Self { jid, report } = self;
        let checked = check_address(&jid, turn).and_then(|()| may_ask(&features.disco, report.as_ref(), turn));
        if let Err(error) = checked {
            return turn.answer(answer, Err(error));
        }
        ask(Ask::Block { jid, report: report.map(Box::new) }, BlockingIq::Change(answer), turn);
    }
}

/// Unblock an address. Answered when the server has done it.
#[derive(Debug)]
pub struct UnblockAddress {
    /// The address.
    pub jid: Jid,
}

impl Command for UnblockAddress {
    type Answer = ();

    const SENDS: bool = true;

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        if let Err(error) = may_ask(&features.disco, None, turn) {
            return turn.answer(answer, Err(error));
        }
        ask(Ask::Unblock(self.jid), BlockingIq::Change(answer), turn);
    }
}

/// List the blocked addresses. Answered with the list.
#[derive(Debug)]
pub struct ListBlocked;

impl Command for ListBlocked {
    type Answer = Vec<Jid>;

    const SENDS: bool = true;

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        if let Err(error) = may_ask(&features.disco, None, turn) {
            return turn.answer(answer, Err(error));
        }
        ask(Ask::Blocked, BlockingIq::List(answer), turn);
    }
}
