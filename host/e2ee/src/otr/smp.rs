//! The comparison of secrets ("socialist millionaires' protocol"): both sides learn whether they have entered the same
//! secret, and nothing else.

use std::fmt;

use rand::CryptoRng;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::group::{Element, Scalar};
use super::key::Fingerprint;
use super::proofs::{Generators, Hidden, Knowledge, SameExponent, WellHidden};
use super::tlv::Kind;
use super::wire::Reader;

/// The greatest length of a question, in bytes.
pub(super) const LONGEST_QUESTION: usize = 1000;

/// How far a comparison is.
#[derive(Default)]
pub(super) enum Smp {
    #[default]
    Idle,
    /// The other side has asked, and waits for our secret.
    Asked(Box<Halves>),
    AwaitingSecond(Box<Begun>),
    AwaitingThird(Box<Answered>),
    AwaitingFourth(Box<Shown>),
}

/// The other side's halves of the generators.
pub(super) struct Halves {
    second: Element,
    third: Element,
}

/// We have begun.
pub(super) struct Begun {
    secret: Scalar,
    /// Our halves of the exponents of the generators.
    second: Scalar,
    third: Scalar,
}

/// We have hidden our secret, and wait for theirs.
pub(super) struct Answered {
    their_third: Element,
    generators: Zeroizing<Generators>,
    third: Scalar,
    hidden: Hidden,
}

/// We have hidden our secret as well.
pub(super) struct Shown {
    their_third: Element,
    third: Scalar,
    /// Our hidden secret by theirs.
    p: Zeroizing<Element>,
    q: Zeroizing<Element>,
}

/// The two keys and the conversation that a secret is bound to.
pub(super) struct Sides<'a> {
    pub(super) initiator: Fingerprint,
    pub(super) responder: Fingerprint,
    pub(super) session_id: &'a [u8; 8],
}

impl Sides<'_> {
    /// Binds a person's secret to both keys and to the conversation, so that no one on the path can relay the
    /// comparison.
    fn secret(&self, entered: &[u8]) -> Scalar {
        const VERSION: [u8; 1] = [1];
        let digest = Sha256::new()
            .chain_update(VERSION)
            .chain_update(self.initiator.as_bytes())
            .chain_update(self.responder.as_bytes())
            .chain_update(self.session_id)
            .chain_update(entered)
            .finalize();
        Scalar::of_digest(&Zeroizing::new(digest.into()))
    }
}

/// A record to send.
pub(super) struct Record {
    pub(super) kind: Kind,
    pub(super) value: Vec<u8>,
}

impl Record {
    pub(super) fn abort() -> Self {
        Self { kind: Kind::SmpAbort, value: Vec::new() }
    }
}

/// The result of a record of the other side's.
pub(super) enum Step {
    /// The other side asks for a secret.
    Asked(Option<String>),
    /// Send this.
    Send(Record),
    /// Send this, if there is anything to send: the comparison is over.
    Done { same: bool, last: Option<Record> },
    /// The other side has given up.
    Aborted,
    /// The other side did not keep to the protocol, or begins while a comparison is under way. It must give up.
    Broken,
    /// Nothing to do: nothing was under way that could be given up.
    Nothing,
}

impl Smp {
    /// Begins. A comparison that was under way is forgotten.
    pub(super) fn begin<R: CryptoRng + ?Sized>(
        &mut self,
        sides: &Sides<'_>,
        entered: &[u8],
        question: Option<&str>,
        rng: &mut R,
    ) -> Record {
        let (second, third) = (Scalar::random(rng), Scalar::random(rng));
        let g = Element::generator();
        let mut value = Vec::new();
        if let Some(question) = question {
            value.extend_from_slice(question.as_bytes());
            value.push(0);
        }
        count(&mut value, 6);
        g.pow(&second).write(&mut value);
        Knowledge::new(1, &second, rng).write(&mut value);
        g.pow(&third).write(&mut value);
        Knowledge::new(2, &third, rng).write(&mut value);
        *self = Self::AwaitingSecond(Box::new(Begun { secret: sides.secret(entered), second, third }));
        Record { kind: if question.is_some() { Kind::Smp1Q } else { Kind::Smp1 }, value }
    }

    /// Answers what the other side asked. `None` if it did not.
    pub(super) fn answer<R: CryptoRng + ?Sized>(
        &mut self,
        sides: &Sides<'_>,
        entered: &[u8],
        rng: &mut R,
    ) -> Option<Record> {
        let Self::Asked(theirs) = self else { return None };
        let secret = sides.secret(entered);
        let (second, third, exponent) = (Scalar::random(rng), Scalar::random(rng), Scalar::random(rng));
        let g = Element::generator();
        let generators = Generators::of(theirs.second.pow(&second), theirs.third.pow(&third));
        let hidden = Hidden::new(&generators, &exponent, &secret);
        let mut value = Vec::new();
        count(&mut value, 11);
        g.pow(&second).write(&mut value);
        Knowledge::new(3, &second, rng).write(&mut value);
        g.pow(&third).write(&mut value);
        Knowledge::new(4, &third, rng).write(&mut value);
        hidden.write(&mut value);
        WellHidden::new(5, &generators, (&exponent, &secret), rng).write(&mut value);
        *self = Self::AwaitingThird(Box::new(Answered { their_third: theirs.third, generators, third, hidden }));
        Some(Record { kind: Kind::Smp2, value })
    }

    /// Takes a record of the other side's. A message that is not awaited ends the comparison.
    pub(super) fn receive<R: CryptoRng + ?Sized>(&mut self, kind: Kind, value: &[u8], rng: &mut R) -> Step {
        let state = std::mem::take(self);
        let step = match (state, kind) {
            (Self::Idle, Kind::SmpAbort) => Some(Step::Nothing),
            (_, Kind::SmpAbort) => Some(Step::Aborted),
            (Self::Idle | Self::Asked(_), Kind::Smp1 | Kind::Smp1Q) => self.first(kind, value),
            (Self::AwaitingSecond(begun), Kind::Smp2) => self.second(&begun, value, rng),
            (Self::AwaitingThird(answered), Kind::Smp3) => third(&answered, value, rng),
            (Self::AwaitingFourth(shown), Kind::Smp4) => fourth(&shown, value),
            _ => None,
        };
        step.unwrap_or(Step::Broken)
    }

    fn first(&mut self, kind: Kind, value: &[u8]) -> Option<Step> {
        let (question, value) = if kind == Kind::Smp1Q {
            let end = value.iter().position(|byte| *byte == 0)?;
            (Some(&value[..end]), &value[end + 1..])
        } else {
            (None, value)
        };
        if question.is_some_and(|question| question.len() > LONGEST_QUESTION) {
            return None;
        }
        let mut reader = Reader::new(value);
        counted(&mut reader, 6)?;
        let (second, of_second) = (Element::read(&mut reader)?, Knowledge::read(&mut reader)?);
        let (third, of_third) = (Element::read(&mut reader)?, Knowledge::read(&mut reader)?);
        reader.end()?;
        if !of_second.holds(1, &second) || !of_third.holds(2, &third) {
            return None;
        }
        *self = Self::Asked(Box::new(Halves { second, third }));
        Some(Step::Asked(question.map(|question| String::from_utf8_lossy(question).into_owned())))
    }

    fn second<R: CryptoRng + ?Sized>(&mut self, begun: &Begun, value: &[u8], rng: &mut R) -> Option<Step> {
        let mut reader = Reader::new(value);
        counted(&mut reader, 11)?;
        let (second, of_second) = (Element::read(&mut reader)?, Knowledge::read(&mut reader)?);
        let (their_third, of_third) = (Element::read(&mut reader)?, Knowledge::read(&mut reader)?);
        let (theirs, of_theirs) = (Hidden::read(&mut reader)?, WellHidden::read(&mut reader)?);
        reader.end()?;
        let generators = Generators::of(second.pow(&begun.second), their_third.pow(&begun.third));
        let holds =
            of_second.holds(3, &second) && of_third.holds(4, &their_third) && of_theirs.holds(5, &generators, &theirs);
        if !holds {
            return None;
        }
        let exponent = Scalar::random(rng);
        let hidden = Hidden::new(&generators, &exponent, &begun.secret);
        let (p, q) = quotients(&hidden, &theirs)?;
        let mut out = Vec::new();
        count(&mut out, 8);
        hidden.write(&mut out);
        WellHidden::new(6, &generators, (&exponent, &begun.secret), rng).write(&mut out);
        q.pow(&begun.third).write(&mut out);
        SameExponent::new(7, &q, &begun.third, rng).write(&mut out);
        *self = Self::AwaitingFourth(Box::new(Shown { their_third, third: begun.third.clone(), p, q }));
        Some(Step::Send(Record { kind: Kind::Smp3, value: out }))
    }

    /// Forgets what was under way, and says whether anything was.
    pub(super) fn give_up(&mut self) -> bool {
        !matches!(std::mem::take(self), Self::Idle)
    }

    pub(super) fn is_asked(&self) -> bool {
        matches!(self, Self::Asked(_))
    }

    /// Says whether we have sent a secret of ours and the result is not known yet.
    pub(super) fn is_under_way(&self) -> bool {
        matches!(self, Self::AwaitingSecond(_) | Self::AwaitingThird(_) | Self::AwaitingFourth(_))
    }
}

fn third<R: CryptoRng + ?Sized>(answered: &Answered, value: &[u8], rng: &mut R) -> Option<Step> {
    let mut reader = Reader::new(value);
    counted(&mut reader, 8)?;
    let (theirs, of_theirs) = (Hidden::read(&mut reader)?, WellHidden::read(&mut reader)?);
    let (result, of_result) = (Element::read(&mut reader)?, SameExponent::read(&mut reader)?);
    reader.end()?;
    let (p, q) = quotients(&theirs, &answered.hidden)?;
    let holds =
        of_theirs.holds(6, &answered.generators, &theirs) && of_result.holds(7, &answered.their_third, &q, &result);
    if !holds {
        return None;
    }
    let mut out = Vec::new();
    count(&mut out, 3);
    q.pow(&answered.third).write(&mut out);
    SameExponent::new(8, &q, &answered.third, rng).write(&mut out);
    let same = result.pow(&answered.third) == *p;
    Some(Step::Done { same, last: Some(Record { kind: Kind::Smp4, value: out }) })
}

fn fourth(shown: &Shown, value: &[u8]) -> Option<Step> {
    let mut reader = Reader::new(value);
    counted(&mut reader, 3)?;
    let (result, of_result) = (Element::read(&mut reader)?, SameExponent::read(&mut reader)?);
    reader.end()?;
    let holds = of_result.holds(8, &shown.their_third, &shown.q, &result);
    holds.then(|| Step::Done { same: result.pow(&shown.third) == *shown.p, last: None })
}

/// Divides the hidden value of the side that began by that of the other side. Equal numbers are refused: they are
/// copies.
fn quotients(initiator: &Hidden, responder: &Hidden) -> Option<(Zeroizing<Element>, Zeroizing<Element>)> {
    if initiator.p == responder.p || initiator.q == responder.q {
        return None;
    }
    let (p, q) = (initiator.p.over(&responder.p)?, initiator.q.over(&responder.q)?);
    Some((Zeroizing::new(p), Zeroizing::new(q)))
}

fn count(out: &mut Vec<u8>, numbers: u32) {
    out.extend_from_slice(&numbers.to_be_bytes());
}

fn counted(reader: &mut Reader<'_>, numbers: u32) -> Option<()> {
    (reader.int()? == numbers).then_some(())
}

impl fmt::Debug for Smp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Smp(..)")
    }
}
