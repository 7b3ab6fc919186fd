//! The owner's view of keys, and the decisions about them.

use jid::BareJid;
use parlor_config::{OtrPeople, OtrPolicy, TrustPolicy};
use parlor_stanza::error::CallError;
use parlor_stanza::types::{DeviceTrust, OmemoForm};

use super::EndToEnd;
use super::comparing;
use super::comparisons::OpenComparison;
use super::kept::KeyChange;
use super::off_the_record;
use super::publishing;
use super::trust::{KeyKind, KnownKey, counting, of_omemo, typed};
use crate::iq::keys::Fetch;
use crate::turn::Turn;

/// The own keys, and the keys of others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyList {
    /// The own keys.
    pub own: OwnKeys,
    /// The keys of others, and of the account's other devices, by person and fingerprint.
    pub keys: Vec<KnownKey>,
    /// The pending comparisons of secrets.
    pub comparisons: Vec<OpenComparison>,
}

/// A key about which the owner has decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecidedKey {
    /// The key, as it is now.
    pub key: KnownKey,
    /// The trust in it before the decision.
    pub before: DeviceTrust,
}

/// The own keys of an account, as others see them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnKeys {
    /// The own OMEMO device. None: OMEMO is off, or the account has not been connected yet.
    pub omemo: Option<OwnOmemo>,
    /// The fingerprint of the own key for off-the-record messaging. None: no key was needed yet.
    pub otr: Option<String>,
    /// The trust in keys of others without a decision of the owner.
    pub policy: TrustPolicy,
    /// When chats are off the record, with people who have no policy of their own.
    pub otr_policy: OtrPolicy,
    /// The people with a policy of their own.
    pub otr_people: OtrPeople,
}

/// The own device of OMEMO.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnOmemo {
    /// Its id.
    pub device: u32,
    /// Its fingerprint.
    pub fingerprint: String,
    /// Whether others can find its keys.
    pub is_published: bool,
}

/// Returns the own keys.
pub(crate) fn own_keys(keys: &EndToEnd) -> OwnKeys {
    let device = keys.device.as_ref().filter(|_| keys.has_omemo());
    OwnKeys {
        omemo: device.map(|device| OwnOmemo {
            device: device.id().get(),
            fingerprint: of_omemo(device.fingerprint()),
            is_published: keys.published.is_complete(),
        }),
        otr: keys.otr.fingerprint(),
        policy: keys.config.unwrap_or_default().trust,
        otr_policy: keys.config.map_or(OtrPolicy::Never, |config| config.otr),
        otr_people: keys.otr_people.clone(),
    }
}

/// Returns the keys of one person, or of all.
pub(crate) fn list(keys: &EndToEnd, jid: Option<&BareJid>) -> Vec<KnownKey> {
    let mut all: Vec<KnownKey> = match jid {
        Some(jid) => keys.trust.of(jid).to_vec(),
        None => keys.trust.all().cloned().collect(),
    };
    for key in &mut all {
        shown(keys, key);
    }
    all.sort_by(|one, other| (&one.jid, one.kind, &one.fingerprint).cmp(&(&other.jid, other.kind, &other.fingerprint)));
    all
}

/// Fills in the fields of a kept key that depend on the present state.
fn shown(keys: &EndToEnd, key: &mut KnownKey) {
    key.trust = counting(key.trust, keys.config.unwrap_or_default().trust);
    key.is_listed = match key.kind {
        KeyKind::Omemo { device } => keys.lists.has(&key.jid, device),
        KeyKind::Otr => keys.otr.is_encrypted(&key.jid),
    };
}

/// Applies the owner's decision about keys of a person.
pub(crate) fn decide(
    keys: &mut EndToEnd,
    jid: &BareJid,
    fingerprint: Option<&str>,
    trust: DeviceTrust,
    turn: &mut Turn<'_>,
) -> Result<Vec<DecidedKey>, CallError> {
    let wanted = fingerprint.map(typed);
    let decided = keys.trust.decide(jid, wanted.as_deref(), trust);
    if decided.is_empty() {
        let what = match wanted {
            Some(wanted) => format!("a key of {jid} with the fingerprint {wanted:.64}"),
            None => format!("a key of {jid}"),
        };
        return Err(CallError::NotFound(what));
    }
    turn.keep_keys(decided.iter().map(|(key, _)| KeyChange::Key(key.clone())).collect());
    for (key, _) in &decided {
        if let KeyKind::Omemo { device } = key.kind {
            for form in OmemoForm::ALL {
                keys.fetches.may_succeed(&Fetch::Bundle(jid.clone(), device, form));
            }
        }
    }
    comparing::distrusted(keys, jid, turn);
    off_the_record::decided(keys, jid, turn);
    let policy = keys.config.unwrap_or_default().trust;
    let shown = decided.into_iter().map(|(mut key, before)| {
        shown(keys, &mut key);
        DecidedKey { key, before: counting(before, policy) }
    });
    Ok(shown.collect())
}

/// Ends sessions with a person, or with one device. Returns how many.
pub(crate) fn end_sessions(keys: &mut EndToEnd, jid: &BareJid, device: Option<u32>, turn: &mut Turn<'_>) -> usize {
    let mut changes = Vec::new();
    let ended = keys.sessions.end(jid, |held| device.is_none_or(|device| held.device == device), &mut changes);
    turn.keep_keys(changes);
    ended
}

/// Makes new own keys.
pub(crate) fn renew(keys: &mut EndToEnd, turn: &mut Turn<'_>) -> OwnKeys {
    if keys.has_omemo() && turn.own.node().is_some() {
        publishing::renew(keys, turn);
    }
    keys.otr.forget_key();
    comparing::settle_all(keys, turn);
    turn.keep_keys(vec![KeyChange::Otr(None)]);
    own_keys(keys)
}

/// Forgets a person. Returns how many keys are forgotten.
pub(crate) fn forget(keys: &mut EndToEnd, jid: &BareJid, turn: &mut Turn<'_>) -> usize {
    let mut changes = Vec::new();
    keys.sessions.end(jid, |_| true, &mut changes);
    keys.message_keys.forget(jid, &mut changes);
    let forgotten = keys.trust.forget(jid);
    let count = forgotten.len();
    changes.extend(forgotten.into_iter().map(KeyChange::NoKey));
    if keys.ways.forget(jid) {
        changes.push(KeyChange::Way(jid.clone(), None));
    }
    if *jid != turn.own.to_bare() {
        keys.lists.forget(jid);
    }
    keys.otr.remove(jid);
    comparing::settle(keys, jid, turn);
    turn.keep_keys(changes);
    count
}
