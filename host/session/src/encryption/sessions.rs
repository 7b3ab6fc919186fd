//! Keeps the OMEMO sessions with devices of others.

use std::cmp::Reverse;
use std::collections::HashMap;

use jid::BareJid;
use parlor_e2ee::omemo::{Session, SessionStep, Version};
use parlor_stanza::types::OmemoForm;

use super::kept::KeyChange;

/// Maximum number of sessions with one person, in both forms.
pub(super) const MAX_OF_ONE: usize = 100;
/// Maximum number of sessions with all people. Beyond it, the least recently used one of whoever has the most is dropped.
pub(super) const MAX_SESSIONS: usize = 20_000;
/// Maximum number of bytes that their states take: one with thousands of skipped keys is large. Beyond it, the least recently
/// used one of whoever takes the most is dropped.
pub(super) const MAX_BYTES: usize = 64 << 20;

/// A session with a device.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) device: u32,
    pub(super) form: OmemoForm,
    pub(super) session: Session,
    /// The length of its state.
    bytes: usize,
    /// When it was last used, counted over all sessions.
    used: u64,
}

/// All sessions of an account.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    people: HashMap<BareJid, Vec<Held>>,
    count: usize,
    bytes: usize,
    used: u64,
}

/// Returns this form's version in `parlor-e2ee`.
pub(super) fn version(form: OmemoForm) -> Version {
    match form {
        OmemoForm::Older => Version::Axolotl,
        OmemoForm::Current => Version::Omemo2,
    }
}

impl Sessions {
    /// Returns the session with a device.
    pub(super) fn get(&self, jid: &BareJid, device: u32, form: OmemoForm) -> Option<&Session> {
        let found = self.people.get(jid)?.iter().find(|held| held.device == device && held.form == form);
        found.map(|held| &held.session)
    }

    /// Returns the person with whose device of this id there is a session. `None`: nobody has such a device, or several people have one.
    pub(super) fn owner_of(&self, device: u32, form: OmemoForm) -> Option<&BareJid> {
        let is_meant = |held: &Held| held.device == device && held.form == form;
        let mut owners = self.people.iter().filter(|(_, held)| held.iter().any(is_meant)).map(|(jid, _)| jid);
        let owner = owners.next()?;
        owners.next().is_none().then_some(owner)
    }

    /// Stores a new or changed session. Adds the changes to keep on disk.
    pub(super) fn put(
        &mut self,
        (jid, device, form): (&BareJid, u32, OmemoForm),
        session: Session,
        changes: &mut Vec<KeyChange>,
    ) {
        let state = session.to_bytes();
        self.insert((jid, device, form), session, state.as_ref().len());
        changes.push(KeyChange::Session { jid: jid.clone(), device, form, state: Some(state) });
        self.make_room(jid, changes);
    }

    /// Lets a session take the step of a message that it has encrypted. Adds the change to keep on disk.
    pub(super) fn take(
        &mut self,
        (jid, device, form): (&BareJid, u32, OmemoForm),
        step: SessionStep,
        changes: &mut Vec<KeyChange>,
    ) {
        let mut all = self.people.get_mut(jid).into_iter().flatten();
        let Some(held) = all.find(|held| held.device == device && held.form == form) else { return };
        held.session.take(step);
        let state = held.session.to_bytes();
        self.bytes -= held.bytes;
        held.bytes = state.as_ref().len();
        self.bytes += held.bytes;
        self.used += 1;
        held.used = self.used;
        changes.push(KeyChange::Session { jid: jid.clone(), device, form, state: Some(state) });
    }

    /// Loads a session that is already on disk.
    pub(super) fn insert(&mut self, (jid, device, form): (&BareJid, u32, OmemoForm), session: Session, bytes: usize) {
        self.used += 1;
        let new = Held { device, form, session, bytes, used: self.used };
        self.bytes += bytes;
        if !self.people.contains_key(jid) {
            self.people.insert(jid.clone(), Vec::new());
        }
        let Some(held) = self.people.get_mut(jid) else { return };
        if let Some(old) = held.iter_mut().find(|held| held.device == device && held.form == form) {
            self.bytes -= old.bytes;
            *old = new;
        } else {
            held.push(new);
            self.count += 1;
        }
    }

    /// Ends sessions while there are too many, those with this person first. Others end at the cost of whoever takes the most, so
    /// that nobody can end the sessions of others by beginning many.
    fn make_room(&mut self, jid: &BareJid, changes: &mut Vec<KeyChange>) {
        let own = self.people.get(jid).map_or(0, Vec::len);
        if own > MAX_OF_ONE {
            self.end_oldest(jid, changes);
        }
        while self.count > MAX_SESSIONS {
            self.end_oldest_of_most(<[Held]>::len, changes);
        }
        while self.bytes > MAX_BYTES && self.count > 1 {
            self.end_oldest_of_most(|held| held.iter().map(|held| held.bytes).sum(), changes);
        }
    }

    /// Ends the oldest session of the person with the most by this measure; of equal ones, of that who was silent for the longest.
    fn end_oldest_of_most(&mut self, measure: impl Fn(&[Held]) -> usize, changes: &mut Vec<KeyChange>) {
        let of = |held: &[Held]| (measure(held), Reverse(held.iter().map(|held| held.used).max()));
        let most = self.people.iter().max_by_key(|(_, held)| of(held));
        if let Some(jid) = most.map(|(jid, _)| jid.clone()) {
            self.end_oldest(&jid, changes);
        }
    }

    fn end_oldest(&mut self, of: &BareJid, changes: &mut Vec<KeyChange>) {
        let oldest = self.people.get(of).into_iter().flatten().min_by_key(|held| held.used);
        if let Some((device, form)) = oldest.map(|held| (held.device, held.form)) {
            self.end(of, |held| held.device == device && held.form == form, changes);
        }
    }

    /// Ends sessions with a person. Returns how many.
    pub(super) fn end(
        &mut self,
        jid: &BareJid,
        is_meant: impl Fn(&Held) -> bool,
        changes: &mut Vec<KeyChange>,
    ) -> usize {
        let Some(held) = self.people.get_mut(jid) else { return 0 };
        let ended: Vec<Held> = held.extract_if(.., |held| is_meant(held)).collect();
        if held.is_empty() {
            self.people.remove(jid);
        }
        self.count -= ended.len();
        self.bytes -= ended.iter().map(|held| held.bytes).sum::<usize>();
        changes.extend(ended.iter().map(|held| {
            let Held { device, form, .. } = *held;
            KeyChange::Session { jid: jid.clone(), device, form, state: None }
        }));
        ended.len()
    }

    /// Ends all sessions.
    pub(super) fn end_all(&mut self, changes: &mut Vec<KeyChange>) -> usize {
        let people: Vec<BareJid> = self.people.keys().cloned().collect();
        people.iter().map(|jid| self.end(jid, |_| true, changes)).sum()
    }
}

#[cfg(test)]
mod tests {
    use parlor_e2ee::omemo::{Device, start};

    use super::*;

    #[test]
    fn whoever_takes_the_most_makes_room_and_others_keep_their_sessions() {
        let mut rng = rand::rng();
        let (own, theirs) = (Device::generate(&mut rng, 0), Device::generate(&mut rng, 0));
        let session = start(&own, &theirs.bundle(Version::Omemo2), &mut rng).unwrap();
        let (mut sessions, mut changes) = (Sessions::default(), Vec::new());
        let jid = |text: &str| -> BareJid { text.parse().unwrap() };
        let (juliet, stranger) = (jid("juliet@example.org"), jid("stranger@example.net"));
        let form = OmemoForm::Current;
        sessions.insert((&juliet, 1, form), session.clone(), 4_000);
        let large = MAX_BYTES / 4;
        for device in 1..=4 {
            sessions.insert((&stranger, device, form), session.clone(), large);
        }
        sessions.put((&jid("romeo@example.org"), 1, form), session, &mut changes);
        let gone = changes.iter().filter_map(|change| match change {
            KeyChange::Session { jid, device, state: None, .. } => Some((jid, *device)),
            _ => None,
        });
        let gone: Vec<_> = gone.collect();
        assert_eq!(gone, [(&stranger, 1)]);
        assert!(sessions.get(&juliet, 1, form).is_some());
    }
}
