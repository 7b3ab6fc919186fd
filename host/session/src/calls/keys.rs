//! Commands of the owner about keys. Plugins cannot give them.

use jid::BareJid;
use parlor_e2ee::omemo::Secret;
use parlor_stanza::types::DeviceTrust;

use super::Command;
use crate::answer::Answer;
use crate::effect::Effect;
use crate::encryption::comparing;
use crate::encryption::comparisons::Compared;
use crate::encryption::deciding::{self, DecidedKey, KeyList, OwnKeys};
use crate::features::Features;
use crate::turn::Turn;

/// List what is known: the own keys, and those of one person or of all. Answered at once.
#[derive(Debug)]
pub struct ListKeys {
    /// The person. None: everybody.
    pub jid: Option<BareJid>,
}

impl Command for ListKeys {
    type Answer = KeyList;

    const SENDS: bool = false;

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        let keys = deciding::list(&features.encryption, self.jid.as_ref());
        let comparisons = comparing::open(&features.encryption, self.jid.as_ref());
        let mut own = deciding::own_keys(&features.encryption);
        if let Some(jid) = &self.jid {
            own.otr_people = own.otr_people.only(jid);
        }
        turn.answer(answer, Ok(KeyList { own, keys, comparisons }));
    }
}

/// Trust or distrust keys of a person, or take a decision back. Answered with them once that is on disk.
#[derive(Debug)]
pub struct SetTrust {
    /// The person.
    pub jid: BareJid,
    /// The fingerprint of the key, as people write it. None: all keys of the person.
    pub fingerprint: Option<String>,
    /// The decision.
    pub trust: DeviceTrust,
}

impl Command for SetTrust {
    type Answer = Vec<DecidedKey>;

    const SENDS: bool = false;

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        let Self { jid, fingerprint, trust } = self;
        let decided = deciding::decide(&mut features.encryption, &jid, fingerprint.as_deref(), trust, turn);
        turn.out.push(Effect::confirm(answer, decided));
    }
}

/// End the sessions with a person, or with one device. The next message begins a new one. Answered with their number once that is on
/// disk.
#[derive(Debug)]
pub struct ResetSessions {
    /// The person.
    pub jid: BareJid,
    /// The device. None: all of them.
    pub device: Option<u32>,
}

impl Command for ResetSessions {
    type Answer = usize;

    const SENDS: bool = false;

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        let ended = deciding::end_sessions(&mut features.encryption, &self.jid, self.device, turn);
        turn.out.push(Effect::confirm(answer, Ok(ended)));
    }
}

/// Make new own keys, with which all sessions end. Answered with them once they are on disk.
#[derive(Debug)]
pub struct ResetOwnKeys;

impl Command for ResetOwnKeys {
    type Answer = OwnKeys;

    const SENDS: bool = false;

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        let own = deciding::renew(&mut features.encryption, turn);
        turn.out.push(Effect::confirm(answer, Ok(own)));
    }
}

/// Forget a person: keys, decisions and sessions. Answered with the number of keys once that is on disk.
#[derive(Debug)]
pub struct ForgetKeys {
    /// The person.
    pub jid: BareJid,
}

impl Command for ForgetKeys {
    type Answer = usize;

    const SENDS: bool = false;

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        let count = deciding::forget(&mut features.encryption, &self.jid, turn);
        turn.out.push(Effect::confirm(answer, Ok(count)));
    }
}

/// Ask a person for a secret, off the record, to compare it with one of the owner's. Answered with the result, once that is on disk.
#[derive(Debug)]
pub struct BeginComparison {
    /// The person.
    pub jid: BareJid,
    /// The secret that the owner entered.
    pub secret: Secret,
    /// The question that tells the person what to enter.
    pub question: Option<String>,
}

impl Command for BeginComparison {
    type Answer = Compared;

    const SENDS: bool = true;

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        let Self { jid, secret, question } = self;
        comparing::begin(&mut features.encryption, &jid, &secret, question, answer, turn);
    }
}

/// Answer a person who asks for a secret. Answered with the result, once that is on disk.
#[derive(Debug)]
pub struct AnswerComparison {
    /// The person.
    pub jid: BareJid,
    /// The number of the request. None: the current one.
    pub number: Option<u64>,
    /// The secret that the owner entered.
    pub secret: Secret,
}

impl Command for AnswerComparison {
    type Answer = Compared;

    const SENDS: bool = true;

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        let Self { jid, number, secret } = self;
        comparing::answer(&mut features.encryption, &jid, number, &secret, answer, turn);
    }
}

/// Give up comparing a secret with a person, and notify their client. Answered with whether there was a comparison.
#[derive(Debug)]
pub struct AbortComparison {
    /// The person.
    pub jid: BareJid,
}

impl Command for AbortComparison {
    type Answer = bool;

    const SENDS: bool = false;

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        let aborted = comparing::abort(&mut features.encryption, &self.jid, turn);
        turn.answer(answer, Ok(aborted));
    }
}
