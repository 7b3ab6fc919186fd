//! The state of one node: its session, the accounts that it runs, and those that it gives away.

mod cpu;
mod ended;
mod given;
mod health;
mod lacking;
mod loss;
mod moves;
mod reports;
mod times;
mod unreadable;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::output::{Outcome, Output, RequestId};
use crate::placement::{Place, place};
use crate::record::{Claim, Key, Revision, Session, SessionId, SessionState, Token, Value};
use crate::timing::Timing;
use crate::view::View;

use cpu::Gauge;
use ended::{end_silent_sessions, has_less, remove_what_is_over};
use given::Given;
use lacking::{compare, correct_records, look_for_twin, orphans, put_claim};
use reports::Reports;

pub use health::Health;

/// The maximum number of accounts that a node moves to others at a time.
const MOVING: usize = 4;

/// The maximum number of claims that a node writes at a time.
const CLAIMING: usize = 64;

/// The maximum number of accounts that are placed at a time. All nodes take the same ones.
const PLACING: usize = 256;

/// The session of a node.
#[derive(Debug)]
struct Tenure {
    id: SessionId,
    /// The number of the last renewal that was sent.
    beat: u64,
    /// The renewals that may be written, with the moments before they were sent.
    sent: Vec<(u64, Duration)>,
    /// When the session ends; `None` until it is known to be written.
    until: Option<Duration>,
    /// When the next renewal is due.
    next: Duration,
}

/// An account of this node.
#[derive(Debug)]
struct Hold {
    token: Token,
    phase: Phase,
    /// When it came, or stopped.
    since: Duration,
}

/// A write that is not answered.
#[derive(Debug)]
struct Sent {
    key: Key,
    value: Value,
    /// The highest revision that the store had reported or confirmed before.
    known: Revision,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    /// It is being stopped, and then given to this session if there is one.
    Stopping(Option<SessionId>),
    /// It has stopped, and never runs with this token again. Kept until the store shows a later token.
    Stopped(Option<SessionId>),
}

/// One node of a cluster. Every input returns what to do, in this order.
///
/// All moments are those of one clock of the node, which never goes back.
#[derive(Debug)]
pub struct Node {
    name: Arc<str>,
    capacity: u32,
    timing: Timing,
    process: u64,
    view: View,
    tenure: Option<Tenure>,
    tenures: u32,
    holds: BTreeMap<Arc<str>, Hold>,
    /// The accounts in `holds` that are stopping, or have stopped.
    leaving: BTreeSet<Arc<str>>,
    /// The accounts whose records changed, or all of its own after a time in which none could be started.
    news: BTreeSet<Arc<str>>,
    /// Whether accounts could be started when it was looked at last.
    was_usable: bool,
    /// The writes that are not answered.
    requests: BTreeMap<RequestId, Sent>,
    /// When a key may be written again; `None` while a write of it is not answered.
    busy: BTreeMap<Key, Option<Duration>>,
    last_request: u64,
    state: SessionState,
    /// When the node was told to leave.
    left: Option<Duration>,
    reports: Reports,
    given: Given,
    /// The CPU time of the node.
    gauge: Gauge,
    /// The accounts of the configuration of this node; `None` if it has all.
    configured: Option<BTreeSet<Arc<str>>>,
    /// The accounts whose records say something else about this node than its configuration, and when it corrects them.
    amiss: BTreeMap<Arc<str>, Duration>,
    /// The last session of another process with the name of this node of which the owner was told.
    twin: Option<SessionId>,
    /// Accounts that nobody runs are not claimed before this moment; `None` before the first input.
    claims_from: Option<Duration>,
    out: Vec<Output>,
}

impl Node {
    /// Creates a node. `process` is a random number that no other process ever has.
    pub fn new(name: &str, capacity: u32, timing: Timing, process: u64) -> Self {
        Self {
            name: name.into(),
            capacity,
            timing,
            process,
            view: View::default(),
            tenure: None,
            tenures: 0,
            holds: BTreeMap::new(),
            leaving: BTreeSet::new(),
            news: BTreeSet::new(),
            was_usable: false,
            requests: BTreeMap::new(),
            busy: BTreeMap::new(),
            last_request: 0,
            state: SessionState::Open,
            left: None,
            reports: Reports::default(),
            given: Given::default(),
            gauge: Gauge::default(),
            configured: None,
            amiss: BTreeMap::new(),
            twin: None,
            claims_from: None,
            out: Vec::new(),
        }
    }

    /// Lets the node do what is due. Call it at the time that [`wake`](Self::wake) returns, and once at the begin.
    pub fn tick(&mut self, now: Duration) -> Vec<Output> {
        self.turn(now, |_| ())
    }

    /// Takes in a write that the store reports, its own ones included; `None` is a deletion. The store reports all writes
    /// in their order. It may leave out those that later ones replaced, and may begin again. [`Self::passed`] takes in all others.
    pub fn seen(&mut self, now: Duration, key: &Key, revision: Revision, value: Option<Value>) -> Vec<Output> {
        self.turn(now, |node| {
            node.reports.arrived();
            if node.view.has_missed(key, revision) {
                node.begin_anew(now);
                return;
            }
            if revision > node.view.last(key) && node.busy.get(key).is_some_and(Option::is_some) {
                node.busy.remove(key);
            }
            if let (Key::Session(id), Some(Value::Session(session))) = (key, &value) {
                node.renewed(*id, session);
                look_for_twin(node, *id, session);
            }
            node.note(key);
            node.view.saw(now, key, revision, value);
        })
    }

    /// Takes in what the store said of a write.
    pub fn answered(&mut self, now: Duration, request: RequestId, outcome: Outcome) -> Vec<Output> {
        self.turn(now, |node| {
            let Some(Sent { key, value, known }) = node.requests.remove(&request) else { return };
            if outcome == Outcome::Lost {
                has_less(node, now, &key);
                return;
            }
            if let Outcome::Written(revision) = outcome {
                if revision <= known {
                    node.begin_anew(now);
                    return;
                }
                node.busy.remove(&key);
                if let (Key::Session(id), Value::Session(session)) = (&key, &value) {
                    node.renewed(*id, session);
                }
                node.note(&key);
                if revision > node.view.reported() {
                    node.reports.awaited(now);
                }
                node.view.wrote(now, &key, revision, value);
                return;
            }
            // A renewal is not left out because it was lost.
            if let Some(tenure) = node.tenure.as_mut().filter(|tenure| key == Key::Session(tenure.id)) {
                tenure.next = now;
            }
            // The store soon reports the present record. If there is none, the write is tried again.
            node.busy.insert(key, Some(now + node.timing.renewal() / 4));
        })
    }

    /// Takes in that an account has stopped, as it was told, or by itself since it could not run here. The next node gets it
    /// then.
    pub fn stopped(&mut self, now: Duration, account: &str, token: Token) -> Vec<Output> {
        self.turn(now, |node| {
            let Some(hold) = node.holds.get(account).filter(|hold| hold.token == token) else { return };
            let heir = match hold.phase {
                Phase::Running => node.next(now, account),
                Phase::Stopping(heir) | Phase::Stopped(heir) => heir,
            };
            node.holds.insert(Arc::from(account), Hold { token, phase: Phase::Stopped(heir), since: now });
            node.leaving.insert(Arc::from(account));
        })
    }

    /// Gives the accounts away a few at a time and takes no others, or takes accounts again.
    pub fn drain(&mut self, now: Duration, is_draining: bool) -> Vec<Output> {
        let state = if is_draining { SessionState::Draining } else { SessionState::Open };
        self.turn(now, |node| {
            if node.state != SessionState::Over {
                node.state = state;
            }
        })
    }

    /// Gives all accounts away at once and ends the session. The node is then [gone](Self::is_gone).
    pub fn leave(&mut self, now: Duration) -> Vec<Output> {
        self.turn(now, |node| {
            node.state = SessionState::Over;
            node.left.get_or_insert(now);
        })
    }

    /// Returns whether the node has left.
    pub fn is_gone(&self) -> bool {
        self.state == SessionState::Over && self.tenure.is_none()
    }

    /// Returns whether an account may act now with this token. It must be asked before each act that others can see.
    pub fn may_act(&self, now: Duration, account: &str, token: Token) -> bool {
        let runs = |hold: &Hold| hold.token == token && !matches!(hold.phase, Phase::Stopped(_));
        self.until().is_some_and(|until| now < until) && self.holds.get(account).is_some_and(runs)
    }

    /// Returns the accounts that run, with their tokens.
    pub fn running(&self) -> impl Iterator<Item = (&Arc<str>, Token)> {
        let runs = self.holds.iter().filter(|(_, hold)| !matches!(hold.phase, Phase::Stopped(_)));
        runs.map(|(account, hold)| (account, hold.token))
    }

    /// Takes in an input, after a look at the time: the process may have been suspended before it.
    fn turn(&mut self, now: Duration, input: impl FnOnce(&mut Self)) -> Vec<Output> {
        // The store may have just lost that another node has an account, which that node runs for the rest of its lease.
        self.claims_from.get_or_insert(now + self.timing.patience());
        self.end_what_is_over(now);
        input(self);
        self.busy.retain(|_, until| until.is_none_or(|until| until > now));
        self.go_by_the_view(now);
        self.keep_session(now);
        end_silent_sessions(self, now);
        self.claim(now);
        self.release(now);
        correct_records(self, now);
        std::mem::take(&mut self.out)
    }

    fn end_what_is_over(&mut self, now: Duration) {
        let Some(until) = self.until() else {
            if self.abandons_at().is_some_and(|at| now >= at) {
                self.lose();
            }
            return;
        };
        if now >= until {
            self.lose();
        } else if now + self.timing.grace() >= until {
            self.stop_all(until);
        }
    }

    /// Returns when a node that leaves gives up a session that nobody has confirmed: nothing ever ran in it. If the write comes late,
    /// other nodes end the session.
    fn abandons_at(&self) -> Option<Duration> {
        let is_unconfirmed = self.tenure.as_ref().is_some_and(|tenure| tenure.until.is_none());
        self.left.filter(|_| is_unconfirmed && self.holds.is_empty()).map(|left| left + self.timing.life())
    }

    /// Ends the session, which others may have done as well.
    fn lose(&mut self) {
        self.tenure = None;
        self.leaving.clear();
        for (account, Hold { token, phase, .. }) in std::mem::take(&mut self.holds) {
            if !matches!(phase, Phase::Stopped(_)) {
                self.out.push(Output::Kill { account, token });
            }
        }
    }

    fn stop_all(&mut self, by: Duration) {
        let running = self.holds.iter().filter(|(_, hold)| hold.phase == Phase::Running);
        let running: Vec<_> = running.map(|(account, _)| Arc::clone(account)).collect();
        for account in running {
            self.stop(&account, None, by);
        }
    }

    fn stop(&mut self, account: &Arc<str>, heir: Option<SessionId>, by: Duration) {
        if let Some(hold) = self.holds.get_mut(account).filter(|hold| hold.phase == Phase::Running) {
            hold.phase = Phase::Stopping(heir);
            self.leaving.insert(Arc::clone(account));
            self.out.push(Output::Stop { account: Arc::clone(account), token: hold.token, by });
        }
    }

    /// Takes in that a record of a session is written.
    fn renewed(&mut self, id: SessionId, session: &Session) {
        let Some(tenure) = self.tenure.as_mut().filter(|tenure| tenure.id == id) else { return };
        if session.state == SessionState::Over {
            self.lose();
        } else if let Some((_, sent)) = tenure.sent.iter().find(|(beat, _)| *beat == session.beat) {
            tenure.until = tenure.until.max(Some(*sent + self.timing.life()));
            tenure.sent.retain(|(beat, _)| *beat > session.beat);
        }
    }

    /// Notes that the record of an account is to be looked at.
    fn note(&mut self, key: &Key) {
        if let Key::Account(account) = key {
            self.news.insert(Arc::clone(account));
        }
    }

    /// Starts the accounts that are this node's, and ends those that are no longer.
    fn go_by_the_view(&mut self, now: Duration) {
        let (own, usable) = (self.tenure.as_ref().map(|tenure| tenure.id), self.usable(now));
        let was_usable = std::mem::replace(&mut self.was_usable, usable.is_some());
        if let Some(own) = usable.filter(|_| !was_usable) {
            self.news.extend(self.view.held_by(own).map(|(account, _)| Arc::clone(account)));
        }
        for account in std::mem::take(&mut self.news) {
            compare(self, now, &account);
            let claim = self.view.claim(&account);
            if let Some(hold) = self.holds.get(&account) {
                // If the store has lost claims, it gives their tokens a second time.
                let is_own = |claim: &Claim| claim.token <= hold.token && claim.session == own;
                if claim.is_some_and(is_own) {
                    continue;
                }
                let (token, is_stopped) = (hold.token, matches!(hold.phase, Phase::Stopped(_)));
                self.holds.remove(&account);
                self.leaving.remove(&account);
                if !is_stopped {
                    self.out.push(Output::Kill { account: Arc::clone(&account), token });
                }
            }
            if let Some(claim) = claim.filter(|claim| usable.is_some() && claim.session == usable) {
                let token = claim.token;
                let open = |id| self.view.session(id).is_some_and(|seen| seen.session.state == SessionState::Open);
                self.given.has(now, &account, open);
                self.holds.insert(Arc::clone(&account), Hold { token, phase: Phase::Running, since: now });
                self.out.push(Output::Start { account, token });
            }
        }
    }

    /// Returns the session, if accounts may be started in it.
    fn usable(&self, now: Duration) -> Option<SessionId> {
        let tenure = self.tenure.as_ref()?;
        (now + self.timing.grace() < tenure.until?).then_some(tenure.id)
    }

    /// Opens, renews or closes the session.
    fn keep_session(&mut self, now: Duration) {
        let is_leaving = self.state == SessionState::Over;
        let tenure = match &mut self.tenure {
            Some(tenure) => tenure,
            None if is_leaving => return,
            empty @ None => {
                self.tenures += 1;
                let id = SessionId { process: self.process, number: self.tenures };
                empty.insert(Tenure { id, beat: 0, sent: Vec::new(), until: None, next: now })
            }
        };
        let (id, key) = (tenure.id, Key::Session(tenure.id));
        if self.busy.contains_key(&key) {
            return;
        }
        let may_close = is_leaving && self.holds.is_empty() && self.view.held_by(id).next().is_none();
        let written = self.view.session(id).map(|seen| seen.session.state);
        let hears = self.reports.arrive(now, self.timing.doubt());
        let takes_none = if is_leaving { !may_close } else { !hears };
        // A leaving node that has accounts is draining for all others, and so is one that would not see which it is given.
        let state = if takes_none { SessionState::Draining } else { self.state };
        if now < tenure.next && (written == Some(state) || written.is_none()) {
            return;
        }
        tenure.beat += 1;
        tenure.sent.push((tenure.beat, now));
        tenure.next = now + self.timing.renewal();
        let (node, capacity, beat, cpu) = (Arc::clone(&self.name), self.capacity, tenure.beat, self.gauge.cpu);
        let session = Session { node, capacity, beat, state, cpu };
        self.put(key, Value::Session(session));
        self.move_accounts(now);
        remove_what_is_over(self, now);
    }

    /// Claims accounts that nobody runs, if this node is to have them.
    fn claim(&mut self, now: Duration) {
        if self.view.orphans().is_empty() || !self.may_claim(now) {
            return;
        }
        let Some(own) = self.usable(now) else { return };
        let (mut places, youth) = (self.places(now), self.youth(now));
        // A process claims nothing for a while after its start. In a later session, it does at once.
        let claims_soon = |id: SessionId| id == own || id.number > 1 || self.view.is_older(id, now, youth);
        places.retain(|place| claims_soon(place.session));
        let orphans = orphans(self, &places);
        let chosen = place(&mut places, orphans, |account, id| self.view.can_run(account, id));
        let open = self.requests.keys().len();
        let own_ones = chosen.into_iter().filter(|(_, to)| *to == own).take(CLAIMING.saturating_sub(open));
        for (account, _) in own_ones.collect::<Vec<_>>() {
            self.give(account, Some(own));
        }
    }

    /// Writes the claims on accounts that have stopped. One that was to go to a node of which nothing is heard any more goes to any other.
    fn release(&mut self, now: Duration) {
        let stopped = self.leaving.iter().filter_map(|account| match self.holds.get(account)?.phase {
            Phase::Stopped(heir) => Some((Arc::clone(account), heir)),
            Phase::Running | Phase::Stopping(_) => None,
        });
        let stopped: Vec<_> = stopped.collect();
        if stopped.is_empty() {
            return;
        }
        let places = self.places(now);
        for (account, heir) in stopped {
            let can_have = |heir: &SessionId| {
                places.iter().any(|place| place.session == *heir) && self.view.can_run(&account, *heir)
            };
            let heir = heir.filter(can_have);
            self.give(account, heir);
        }
    }

    /// Gives an account to a session, as the view has it.
    fn give(&mut self, account: Arc<str>, session: Option<SessionId>) {
        let Some(claim) = self.view.claim(&account) else { return };
        let claim = Claim { session, token: claim.token.next(), ..claim.clone() };
        put_claim(self, account, claim);
    }

    /// Returns the nodes that can take accounts, with their loads as all nodes see them.
    fn places(&self, now: Duration) -> Vec<Place> {
        let own = self.tenure.as_ref().map(|tenure| tenure.id);
        let open = self.view.sessions().filter(|(id, seen)| {
            let is_own = Some(*id) == own;
            // The own state may not be written yet.
            let state = if is_own { self.state } else { seen.session.state };
            state == SessionState::Open && (is_own || now < seen.at + self.timing.doubt())
        });
        open.map(|(id, seen)| self.view.place(id, &seen.session)).collect()
    }

    /// Returns the node after this one whose configuration has an account. One that cannot be started comes to each of them in turn.
    fn next(&self, now: Duration, account: &str) -> Option<SessionId> {
        let own = self.tenure.as_ref()?.id;
        let others = self.places(now).into_iter().map(|place| place.session);
        let others = others.filter(|id| *id != own && self.view.can_run(account, *id));
        others.min_by_key(|id| (*id < own, *id))
    }

    /// Writes a key in place of the revision that was seen last, unless a write of it is not answered yet.
    fn put(&mut self, key: Key, value: Value) {
        if self.busy.contains_key(&key) {
            return;
        }
        self.last_request += 1;
        let (request, expected) = (RequestId(self.last_request), self.view.revision(&key));
        self.busy.insert(key.clone(), None);
        let known = self.view.known();
        self.requests.insert(request, Sent { key: key.clone(), value: value.clone(), known });
        self.out.push(Output::Put { request, key, value, expected });
    }
}
