//! Compares secrets off the record ("socialist millionaires' protocol"). The owner of the account and the person on the
//! other side each enter a secret that they believe both know. They learn whether the secrets are equal, and nothing
//! else. If they are, the other side's key is trusted, as after a comparison of its fingerprint. It is not if the other side
//! chose the question: whoever asks for what they know themselves learns who answers, and proves nothing.
//!
//! Only the owner begins and answers comparisons. Plugins are not notified.

use jid::{BareJid, Jid};
use parlor_e2ee::omemo::Secret;
use parlor_e2ee::otr::{Fingerprint, SmpError, State};
use parlor_stanza::error::CallError;
use parlor_stanza::types::DeviceTrust;

use super::EndToEnd;
use super::comparisons::{Compared, Comparison, ComparisonEnd, MAX_OPEN, OpenComparison};
use super::kept::KeyChange;
use super::off_the_record::{decided, say};
use super::trust::{KeyKind, counting, of_otr};
use crate::answer::Answer;
use crate::effect::{Effect, KeyNews, KeyNewsKind};
use crate::turn::Turn;

/// Maximum length of a secret, in bytes.
const LONGEST_SECRET: usize = 1_024;

/// Returns the pending comparisons with one person, or with all.
pub(crate) fn open(keys: &EndToEnd, jid: Option<&BareJid>) -> Vec<OpenComparison> {
    let meant = keys.comparisons.all().filter(|(with, ..)| jid.is_none_or(|jid| *with == jid));
    let mut all: Vec<_> = meant
        .map(|(with, number, comparison)| OpenComparison {
            number,
            jid: with.clone(),
            fingerprint: of_otr(comparison.fingerprint),
            question: comparison.question.clone(),
            is_asked: comparison.answer.is_none(),
            since: comparison.since,
        })
        .collect();
    all.sort_by(|one, other| one.jid.cmp(&other.jid));
    all
}

/// Asks a person for a secret, to compare it with this one. Answered with the result.
pub(crate) fn begin(
    keys: &mut EndToEnd,
    jid: &BareJid,
    secret: &Secret,
    question: Option<String>,
    answer: Answer<Compared>,
    turn: &mut Turn<'_>,
) {
    match try_begin(keys, jid, secret, question.as_deref(), turn) {
        Ok((fingerprint, to)) => {
            let comparison =
                Comparison { fingerprint, to, question, is_theirs: false, since: turn.now, answer: Some(answer) };
            keys.comparisons.add(jid, comparison, turn);
        }
        Err(error) => turn.answer(answer, Err(error)),
    }
}

fn try_begin(
    keys: &mut EndToEnd,
    jid: &BareJid,
    secret: &Secret,
    question: Option<&str>,
    turn: &mut Turn<'_>,
) -> Result<(Fingerprint, Jid), CallError> {
    may_compare(secret, turn)?;
    if let Some((_, comparison)) = keys.comparisons.get(jid) {
        let state = if comparison.answer.is_none() {
            "asks already; answer by `parlor keys ACCOUNT answer`"
        } else {
            "is being compared with already; wait for the result"
        };
        return Err(CallError::Other(format!("{jid} {state}")));
    }
    if !keys.comparisons.has_room() {
        return Err(CallError::OverLimit(format!("{MAX_OPEN} comparisons of secrets at a time")));
    }
    let now = turn.deadlines.elapsed();
    let fingerprint = keys.otr.get(jid).and_then(|chat| chat.conversation.fingerprint());
    let fingerprint = fingerprint.ok_or_else(|| no_conversation(jid))?;
    is_not_distrusted(keys, jid, fingerprint)?;
    let chat = keys.otr.get_mut(jid).ok_or_else(|| no_conversation(jid))?;
    let begun = chat.conversation.smp_start(secret, question, now, &mut rand::rng());
    let (texts, to) = (begun.map_err(|error| failed(jid, error))?, chat.reader());
    for text in texts {
        say(to.clone(), text, turn);
    }
    Ok((fingerprint, to))
}

/// Answers a person who asks. `number` is the request that the owner has seen. Answered with the result.
pub(crate) fn answer(
    keys: &mut EndToEnd,
    jid: &BareJid,
    number: Option<u64>,
    secret: &Secret,
    answer: Answer<Compared>,
    turn: &mut Turn<'_>,
) {
    match try_answer(keys, jid, number, secret, turn) {
        Ok(()) => keys.comparisons.answered(jid, answer, turn),
        Err(error) => turn.answer(answer, Err(error)),
    }
}

fn try_answer(
    keys: &mut EndToEnd,
    jid: &BareJid,
    number: Option<u64>,
    secret: &Secret,
    turn: &mut Turn<'_>,
) -> Result<(), CallError> {
    may_compare(secret, turn)?;
    let asked = keys.comparisons.get(jid).filter(|(_, comparison)| comparison.answer.is_none());
    let not_asked = || CallError::Other(format!("{jid} asks for no secret now; `parlor keys` shows who does"));
    let (asked, comparison) = asked.ok_or_else(not_asked)?;
    if number.is_some_and(|number| number != asked) {
        return Err(CallError::Other(format!("{jid} has asked anew meanwhile; look at the question again")));
    }
    let (fingerprint, to) = (comparison.fingerprint, comparison.to.clone());
    is_not_distrusted(keys, jid, fingerprint)?;
    let now = turn.deadlines.elapsed();
    let chat = keys.otr.get_mut(jid).ok_or_else(|| no_conversation(jid))?;
    let texts = chat.conversation.smp_answer(secret, now, &mut rand::rng()).map_err(|error| failed(jid, error))?;
    for text in texts {
        say(to.clone(), text, turn);
    }
    Ok(())
}

fn may_compare(secret: &Secret, turn: &Turn<'_>) -> Result<(), CallError> {
    if !turn.is_live() {
        return Err(CallError::Offline);
    }
    match secret.len() {
        1..=LONGEST_SECRET => Ok(()),
        length => {
            Err(CallError::invalid("secret", format!("it has 1 to {LONGEST_SECRET} bytes, and this one {length}")))
        }
    }
}

/// A decision of the owner overrides the result of a comparison.
fn is_not_distrusted(keys: &EndToEnd, jid: &BareJid, fingerprint: Fingerprint) -> Result<(), CallError> {
    if trust(keys, jid, fingerprint) != DeviceTrust::Distrusted {
        return Ok(());
    }
    Err(CallError::Other(format!("you distrust the key of {jid}; trust it by its fingerprint, if that was a mistake")))
}

fn no_conversation(jid: &BareJid) -> CallError {
    CallError::Other(format!("there is no OTR conversation with {jid}; have that person begin one"))
}

fn failed(jid: &BareJid, error: SmpError) -> CallError {
    match error {
        SmpError::NotEncrypted => no_conversation(jid),
        SmpError::Question => CallError::invalid("question", error.to_string()),
        _ => CallError::Other(error.to_string()),
    }
}

/// Gives up a comparison. Returns whether there was one.
pub(crate) fn abort(keys: &mut EndToEnd, jid: &BareJid, turn: &mut Turn<'_>) -> bool {
    let is_open = keys.comparisons.get(jid).is_some();
    end(keys, jid, ComparisonEnd::Aborted, turn);
    is_open
}

/// Gives up a comparison whose key the owner distrusts.
pub(super) fn distrusted(keys: &mut EndToEnd, jid: &BareJid, turn: &mut Turn<'_>) {
    let fingerprint = keys.comparisons.get(jid).map(|(_, open)| open.fingerprint);
    if fingerprint.is_some_and(|fingerprint| is_not_distrusted(keys, jid, fingerprint).is_err()) {
        end(keys, jid, ComparisonEnd::Aborted, turn);
    }
}

/// Gives up a comparison that timed out.
pub(crate) fn late(keys: &mut EndToEnd, jid: &BareJid, turn: &mut Turn<'_>) {
    end(keys, jid, ComparisonEnd::TimedOut, turn);
}

/// Notes that a person asks for a comparison, and notifies the owner. Refuses people who ask too often, or from a
/// second client during a comparison.
pub(super) fn asked(
    keys: &mut EndToEnd,
    from: &Jid,
    question: Option<String>,
    fingerprint: Fingerprint,
    turn: &mut Turn<'_>,
) {
    let jid = from.to_bare();
    let is_other = keys.comparisons.get(&jid).is_some_and(|(_, open)| open.fingerprint != fingerprint);
    let is_refused = is_other
        || is_not_distrusted(keys, &jid, fingerprint).is_err()
        || keys.comparisons.is_too_often(&jid, turn)
        || (!keys.comparisons.has_room() && keys.comparisons.get(&jid).is_none());
    if is_refused {
        tracing::debug!(%jid, "a request to compare a secret was refused");
        give_up(keys, from, Some(fingerprint), turn);
        return;
    }
    // A new question of the same person replaces the former one.
    if let Some(answer) = keys.comparisons.take(&jid, turn).and_then(|former| former.answer) {
        let compared = compared(keys, &jid, fingerprint, ComparisonEnd::Aborted);
        turn.answer(answer, Ok(compared));
    }
    let comparison = Comparison {
        fingerprint,
        to: from.clone(),
        question: question.clone(),
        is_theirs: true,
        since: turn.now,
        answer: None,
    };
    keys.comparisons.add(&jid, comparison, turn);
    tell(keys, &jid, fingerprint, (KeyNewsKind::AskedToCompare, question), turn);
}

/// Notes the result of a comparison.
pub(super) fn done(keys: &mut EndToEnd, jid: &BareJid, is_same: bool, fingerprint: Fingerprint, turn: &mut Turn<'_>) {
    // If the owner is not waiting for this result, it does not concern a secret of theirs.
    let is_awaited = |open: &Comparison| open.fingerprint == fingerprint && open.answer.is_some();
    if !keys.comparisons.get(jid).is_some_and(|(_, open)| is_awaited(open)) {
        return;
    }
    end(keys, jid, if is_same { ComparisonEnd::Same } else { ComparisonEnd::Different }, turn);
}

/// Ends a comparison because its conversation has ended or the other side gave up.
pub(super) fn settle(keys: &mut EndToEnd, jid: &BareJid, turn: &mut Turn<'_>) {
    let Some((_, open)) = keys.comparisons.get(jid) else { return };
    let chat = keys.otr.get(jid).filter(|chat| chat.conversation.state() == State::Encrypted);
    if !chat.is_some_and(|chat| chat.conversation.smp_is_open(open.fingerprint)) {
        end(keys, jid, ComparisonEnd::Aborted, turn);
    }
}

/// Ends all comparisons whose conversations have ended.
pub(super) fn settle_all(keys: &mut EndToEnd, turn: &mut Turn<'_>) {
    let all: Vec<_> = keys.comparisons.all().map(|(jid, ..)| jid.clone()).collect();
    for jid in all {
        settle(keys, &jid, turn);
    }
}

/// Ends a comparison, and updates the trust in the key.
fn end(keys: &mut EndToEnd, jid: &BareJid, end: ComparisonEnd, turn: &mut Turn<'_>) {
    let Some(comparison) = keys.comparisons.take(jid, turn) else { return };
    let proves = comparison.proves_who_they_are();
    let Comparison { fingerprint, to, answer, .. } = comparison;
    give_up(keys, &to, None, turn);
    let before = trust(keys, jid, fingerprint);
    if end == ComparisonEnd::Same && proves {
        let mut changes = Vec::new();
        // The key may have been evicted in the meantime.
        keys.meet(jid, KeyKind::Otr, of_otr(fingerprint), &mut changes, turn);
        let trusted = keys.trust.decide(jid, Some(&of_otr(fingerprint)), DeviceTrust::Trusted);
        changes.extend(trusted.into_iter().map(|(key, _)| KeyChange::Key(key)));
        turn.keep_keys(changes);
        decided(keys, jid, turn);
    }
    if end == ComparisonEnd::Different {
        tell(keys, jid, fingerprint, (KeyNewsKind::ComparedDifferent, None), turn);
    }
    if let Some(answer) = answer {
        let compared = Compared { before, ..compared(keys, jid, fingerprint, end) };
        turn.out.push(Effect::confirm(answer, Ok(compared)));
    }
}

fn compared(keys: &EndToEnd, jid: &BareJid, fingerprint: Fingerprint, end: ComparisonEnd) -> Compared {
    let trust = trust(keys, jid, fingerprint);
    Compared { end, fingerprint: of_otr(fingerprint), before: trust, trust }
}

/// Notifies the other side that a comparison was aborted, if one is still running there.
fn give_up(keys: &mut EndToEnd, to: &Jid, only: Option<Fingerprint>, turn: &mut Turn<'_>) {
    let now = turn.deadlines.elapsed();
    let texts = keys.otr.get_mut(&to.to_bare()).map(|chat| chat.conversation.smp_abort(only, now));
    for text in texts.into_iter().flatten().flatten() {
        say(to.clone(), text, turn);
    }
}

/// Returns the trust in a key of off-the-record messaging.
fn trust(keys: &EndToEnd, jid: &BareJid, fingerprint: Fingerprint) -> DeviceTrust {
    let (wanted, policy) = (of_otr(fingerprint), keys.config.unwrap_or_default().trust);
    let known = keys.trust.of(jid).iter().find(|key| key.kind == KeyKind::Otr && key.fingerprint == wanted);
    known.map_or(DeviceTrust::Undecided, |key| counting(key.trust, policy))
}

fn tell(
    keys: &EndToEnd,
    jid: &BareJid,
    fingerprint: Fingerprint,
    (what, question): (KeyNewsKind, Option<String>),
    turn: &mut Turn<'_>,
) {
    turn.out.push(Effect::KeyNews(KeyNews {
        jid: jid.clone(),
        what,
        kind: KeyKind::Otr,
        fingerprint: Some(of_otr(fingerprint)),
        trust: trust(keys, jid, fingerprint),
        question,
    }));
}
