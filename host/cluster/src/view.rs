//! The records of the store as a node saw them last: sessions and claims.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::placement::Place;
use crate::record::{Claim, Cpu, Key, Revision, Session, SessionId, SessionState, Value};

/// A session as it was seen last.
#[derive(Debug)]
pub(crate) struct SeenSession {
    pub(crate) session: Session,
    pub(crate) revision: Revision,
    /// When this revision was seen, by the clock of the node that saw it.
    pub(crate) at: Duration,
    /// When the session was seen first.
    since: Duration,
}

impl SeenSession {
    /// Returns a session that an account names and that has no record. The record may come yet. If it does not, the store has lost it,
    /// and nodes end the session after their patience, so that its accounts run again.
    fn without_record(now: Duration) -> Self {
        // It takes no accounts.
        let (state, cpu) = (SessionState::Draining, Cpu::default());
        let session = Session { node: "".into(), capacity: 0, beat: 0, state, cpu };
        Self { session, revision: 0, at: now, since: now }
    }
}

/// The records of a store, as they were seen last.
#[derive(Debug, Default)]
pub(crate) struct View {
    /// The sessions that have a record, or that an account names.
    sessions: BTreeMap<SessionId, SeenSession>,
    claims: BTreeMap<Arc<str>, (Claim, Revision)>,
    /// The accounts of each session that is not known to be over, with their weights.
    held: BTreeMap<SessionId, BTreeMap<Arc<str>, u32>>,
    /// The sums of these weights. A session without accounts may be missing.
    loads: BTreeMap<SessionId, u64>,
    /// The accounts that nobody runs, with their weights.
    orphans: BTreeMap<Arc<str>, u32>,
    /// The keys that are gone, with the revisions of their deletions. A store of several servers may report earlier writes again, from
    /// one that lags behind.
    gone: BTreeMap<Key, Revision>,
    /// When an account was last seen to change hands.
    changed: Duration,
    /// All writes up to this revision were seen, unless later ones replaced them.
    complete: Revision,
    /// The highest revision of a write of this node that the store confirmed.
    confirmed: Revision,
}

impl View {
    /// Takes in a write that the store reported. It reports all, in their order.
    pub(crate) fn saw(&mut self, now: Duration, key: &Key, revision: Revision, value: Option<Value>) {
        self.passed(revision);
        self.put(now, key, revision, value);
    }

    /// Takes in that the store has reported all writes up to this revision.
    pub(crate) fn passed(&mut self, revision: Revision) {
        self.complete = self.complete.max(revision);
    }

    /// Takes in the record of a session that cannot be read. The session goes on as far as it is known, and takes no accounts. It is renewed
    /// or ended by a write that expects this revision.
    pub(crate) fn saw_unreadable(&mut self, now: Duration, id: SessionId, revision: Revision) {
        self.passed(revision);
        let key = Key::Session(id);
        if revision <= self.last(&key) {
            return;
        }
        self.gone.remove(&key);
        let seen = self.sessions.entry(id).or_insert_with(|| SeenSession::without_record(now));
        (seen.revision, seen.at) = (revision, now);
        if !is_over(seen) {
            seen.session.state = SessionState::Draining;
        }
    }

    /// Takes in a write of this node, which may have been seen already.
    pub(crate) fn wrote(&mut self, now: Duration, key: &Key, revision: Revision, value: Value) {
        self.confirmed = self.confirmed.max(revision);
        if revision > self.complete {
            self.put(now, key, revision, Some(value));
        }
    }

    fn put(&mut self, now: Duration, key: &Key, revision: Revision, value: Option<Value>) {
        if revision <= self.last(key) {
            return;
        }
        if value.is_some() {
            self.gone.remove(key);
        } else {
            self.gone.insert(key.clone(), revision);
        }
        match (key, value) {
            (Key::Session(id), Some(Value::Session(session))) => {
                if session.state == SessionState::Over {
                    self.orphan_all(*id);
                }
                let since = self.sessions.get(id).map_or(now, |seen| seen.since);
                self.sessions.insert(*id, SeenSession { session, revision, at: now, since });
            }
            (Key::Account(account), Some(Value::Claim(claim))) => {
                if self.claim(account).is_none_or(|before| before.token != claim.token) {
                    self.changed = now;
                }
                self.forget(account);
                self.enter(now, account, &claim);
                self.claims.insert(Arc::clone(account), (claim, revision));
            }
            // Only sessions that are over are removed.
            (Key::Session(id), _) => {
                self.orphan_all(*id);
                self.sessions.remove(id);
            }
            (Key::Account(account), _) => self.forget(account),
        }
    }

    /// Notes where an account is.
    fn enter(&mut self, now: Duration, account: &Arc<str>, claim: &Claim) {
        let holder = claim.session.filter(|id| {
            let seen = self.sessions.entry(*id).or_insert_with(|| SeenSession::without_record(now));
            !is_over(seen)
        });
        let accounts = match holder {
            Some(id) => {
                *self.loads.entry(id).or_default() += u64::from(claim.weight);
                self.held.entry(id).or_default()
            }
            None => &mut self.orphans,
        };
        accounts.insert(Arc::clone(account), claim.weight);
    }

    fn forget(&mut self, account: &Arc<str>) {
        let Some((claim, _)) = self.claims.remove(account) else { return };
        self.orphans.remove(account);
        if let Some(id) = claim.session
            && let Some(weight) = self.held.get_mut(&id).and_then(|accounts| accounts.remove(account))
            && let Some(load) = self.loads.get_mut(&id)
        {
            *load -= u64::from(weight);
        }
    }

    fn orphan_all(&mut self, id: SessionId) {
        self.loads.remove(&id);
        self.orphans.extend(self.held.remove(&id).unwrap_or_default());
    }

    /// Forgets a session that is over and whose record is removed. An earlier report of it may come again.
    pub(crate) fn remove(&mut self, id: SessionId) {
        let key = Key::Session(id);
        let revision = self.revision(&key);
        self.gone.insert(key, revision);
        self.orphan_all(id);
        self.sessions.remove(&id);
    }

    /// Returns the revision of a key; 0 if it is not there.
    pub(crate) fn revision(&self, key: &Key) -> Revision {
        match key {
            Key::Session(id) => self.sessions.get(id).map_or(0, |seen| seen.revision),
            Key::Account(account) => self.claims.get(account).map_or(0, |(_, revision)| *revision),
        }
    }

    /// Returns the revision of the last write of a key that was seen, which may be a deletion; 0 if there was none.
    pub(crate) fn last(&self, key: &Key) -> Revision {
        self.revision(key).max(self.gone.get(key).copied().unwrap_or_default())
    }

    /// Returns the revision up to which the store has reported all writes.
    pub(crate) fn reported(&self) -> Revision {
        self.complete
    }

    /// Returns the highest revision that the store has reported or confirmed.
    pub(crate) fn known(&self) -> Revision {
        self.complete.max(self.confirmed)
    }

    /// Returns whether a write should have been reported before, and was not. The store has lost what it reported in its place.
    pub(crate) fn has_missed(&self, key: &Key, revision: Revision) -> bool {
        self.last(key) < revision && revision <= self.complete
    }

    pub(crate) fn session(&self, id: SessionId) -> Option<&SeenSession> {
        self.sessions.get(&id)
    }

    /// Returns the sessions that are not known to be over.
    pub(crate) fn sessions(&self) -> impl Iterator<Item = (SessionId, &SeenSession)> {
        self.sessions.iter().filter(|(_, seen)| !is_over(seen)).map(|(id, seen)| (*id, seen))
    }

    /// Returns the sessions that have been over for this long, with the revisions of their records.
    pub(crate) fn over(&self, now: Duration, time: Duration) -> impl Iterator<Item = (SessionId, Revision)> {
        let over = self.sessions.iter().filter(move |(_, seen)| is_over(seen) && now >= seen.at + time);
        over.map(|(id, seen)| (*id, seen.revision))
    }

    /// Returns whether a session was seen this long ago.
    pub(crate) fn is_older(&self, id: SessionId, now: Duration, time: Duration) -> bool {
        self.sessions.get(&id).is_some_and(|seen| now >= seen.since + time)
    }

    pub(crate) fn claim(&self, account: &str) -> Option<&Claim> {
        self.claims.get(account).map(|(claim, _)| claim)
    }

    /// Returns when an account was last seen to change hands.
    pub(crate) fn changed(&self) -> Duration {
        self.changed
    }

    /// Returns the accounts of a session, with their weights.
    pub(crate) fn held_by(&self, id: SessionId) -> impl Iterator<Item = (&Arc<str>, u32)> {
        self.held.get(&id).into_iter().flatten().map(|(account, weight)| (account, *weight))
    }

    /// Returns how many accounts there are.
    pub(crate) fn accounts(&self) -> usize {
        self.claims.len()
    }

    /// Returns whether the node of a session can run an account: it has not said that its configuration lacks it.
    pub(crate) fn can_run(&self, account: &str, id: SessionId) -> bool {
        self.claim(account).is_none_or(|claim| !claim.lacking.contains(&id.process))
    }

    /// Returns the names of all accounts.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.claims.keys()
    }

    /// Returns the accounts that nobody runs, with their weights.
    pub(crate) fn orphans(&self) -> &BTreeMap<Arc<str>, u32> {
        &self.orphans
    }

    /// Returns the node of a session as a place for accounts.
    pub(crate) fn place(&self, id: SessionId, session: &Session) -> Place {
        let load = self.loads.get(&id).copied().unwrap_or_default();
        // Anybody at the store may have written these.
        let capacity = session.capacity.max(1).saturating_mul(session.cpu.share.clamp(1, 100));
        Place { session: id, capacity, load }
    }
}

fn is_over(seen: &SeenSession) -> bool {
    seen.session.state == SessionState::Over
}
