//! Fetches for encryption: device lists, bundles and members, within limits.
//!
//! The servers of each owner have a limit of their own, so that silent ones do not block fetches from others. The account's own
//! server may use all places: without it nothing works.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use jid::{DomainRef, Jid};
use parlor_stanza::types::{Ask, OmemoForm, PubsubAsk};

use super::members::AFFILIATIONS;
use crate::iq::Waiting;
use crate::iq::keys::{Fetch, KeysIq};
use crate::turn::Turn;

/// Maximum number of concurrent requests.
pub(super) const MAX_RUNNING: usize = 64;
/// Maximum number of these for the servers of one owner.
const MAX_RUNNING_OF_ONE: usize = 16;
/// Maximum number of queued requests. Further ones count as failed.
pub(super) const MAX_QUEUED: usize = 4_096;
/// Maximum number of these for the servers of one owner.
const MAX_QUEUED_OF_ONE: usize = 2_048;
/// Maximum number of failed requests that are remembered. The oldest is forgotten first.
const MAX_FAILED: usize = 4_096;
/// Delay after a failed request before the same one may be made again.
const PAUSE: Duration = Duration::from_mins(10);
/// Time limit for an answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// The requests of an account.
#[derive(Debug, Default)]
pub(super) struct Fetches {
    /// The requests that were sent, each with its number of outstanding answers.
    running: HashMap<Fetch, usize>,
    queue: VecDeque<Fetch>,
    /// The number of queued requests to the servers of each owner, except those to the account's own server.
    queued: HashMap<String, usize>,
    failed: HashMap<Fetch, Duration>,
}

impl Fetches {
    /// Fetches this, unless it is in progress or failed a moment ago. Returns whether it is in progress.
    pub(super) fn want(&mut self, fetch: &Fetch, turn: &mut Turn<'_>) -> bool {
        if self.is_under_way(fetch) {
            return true;
        }
        if self.is_failed(fetch, turn.deadlines.elapsed()) || self.queue.len() >= MAX_QUEUED {
            return false;
        }
        let own = turn.own.domain();
        let is_own = fetch.server() == own;
        if self.running.len() < MAX_RUNNING && (is_own || !self.busy(own).contains(&fetch.owner())) {
            self.start(fetch.clone(), turn);
            return true;
        }
        if !is_own {
            let queued = self.queued.entry(fetch.owner().to_owned()).or_default();
            if *queued >= MAX_QUEUED_OF_ONE {
                return false;
            }
            *queued += 1;
        }
        self.queue.push_back(fetch.clone());
        true
    }

    /// Returns the owners whose servers reached their limit of requests.
    fn busy(&self, own: &DomainRef) -> Vec<&str> {
        let mut counts: Vec<(&str, usize)> = Vec::new();
        for owner in self.running.keys().filter(|fetch| fetch.server() != own).map(Fetch::owner) {
            match counts.iter_mut().find(|(of, _)| *of == owner) {
                Some((_, count)) => *count += 1,
                None => counts.push((owner, 1)),
            }
        }
        counts.retain(|(_, count)| *count >= MAX_RUNNING_OF_ONE);
        counts.into_iter().map(|(owner, _)| owner).collect()
    }

    /// Returns whether this is being fetched or queued.
    pub(super) fn is_under_way(&self, fetch: &Fetch) -> bool {
        self.running.contains_key(fetch) || self.queue.contains(fetch)
    }

    fn start(&mut self, fetch: Fetch, turn: &mut Turn<'_>) {
        let mut ask = |to: &jid::BareJid, ask: Ask| {
            let to = Some(Jid::from(to.clone())).filter(|to| *to != turn.own.to_bare());
            turn.ask(to, ask, Waiting::Keys(KeysIq::Fetch(fetch.clone())), PATIENCE);
        };
        let newest = |node: String| Ask::Pubsub(Box::new(PubsubAsk::Items { node, max: 1, after: None }));
        let answers = match &fetch {
            Fetch::List(jid, form) => {
                ask(jid, newest(form.list_node().to_owned()));
                1
            }
            Fetch::Bundle(jid, device, form @ OmemoForm::Older) => {
                ask(jid, newest(form.bundle_node(*device)));
                1
            }
            Fetch::Bundle(jid, device, form @ OmemoForm::Current) => {
                let (node, id) = (form.bundle_node(*device), form.bundle_item(*device));
                ask(jid, Ask::Pubsub(Box::new(PubsubAsk::Item { node, id })));
                1
            }
            Fetch::About(room) => {
                ask(room, Ask::DiscoInfo { node: None });
                1
            }
            Fetch::Members(room) => {
                for affiliation in AFFILIATIONS {
                    ask(room, Ask::Affiliations { affiliation });
                }
                AFFILIATIONS.len()
            }
        };
        self.running.insert(fetch, answers);
    }

    /// Notes an answer. Returns whether it was the last outstanding one. If it was, the next request is sent.
    pub(super) fn answered(&mut self, fetch: &Fetch, turn: &mut Turn<'_>) -> bool {
        let Some(left) = self.running.get_mut(fetch) else { return false };
        *left -= 1;
        if *left > 0 {
            return false;
        }
        self.running.remove(fetch);
        let own = turn.own.domain();
        let busy = self.busy(own);
        let next = self.queue.iter().position(|queued| queued.server() == own || !busy.contains(&queued.owner()));
        if let Some(next) = next.and_then(|at| self.queue.remove(at)) {
            if next.server() != own {
                self.left_queue(next.owner());
            }
            self.start(next, turn);
        }
        true
    }

    /// Counts one less of the queued requests to this owner's servers.
    fn left_queue(&mut self, owner: &str) {
        if let Some(queued) = self.queued.get_mut(owner) {
            *queued = queued.saturating_sub(1);
            if *queued == 0 {
                self.queued.remove(owner);
            }
        }
    }

    /// Notes that something cannot be fetched now.
    pub(super) fn fails(&mut self, fetch: Fetch, now: Duration) {
        if self.failed.len() >= MAX_FAILED {
            self.failed.retain(|_, at| now < *at + PAUSE);
        }
        if self.failed.len() >= MAX_FAILED {
            let oldest = self.failed.iter().min_by_key(|(_, at)| **at).map(|(fetch, _)| fetch.clone());
            if let Some(oldest) = oldest {
                self.failed.remove(&oldest);
            }
        }
        self.failed.insert(fetch, now);
    }

    /// Returns whether something could not be fetched a moment ago.
    pub(super) fn is_failed(&self, fetch: &Fetch, now: Duration) -> bool {
        self.failed.get(fetch).is_some_and(|at| now < *at + PAUSE)
    }

    /// Forgets that this failed.
    pub(super) fn may_succeed(&mut self, fetch: &Fetch) {
        self.failed.remove(fetch);
    }

    /// Forgets the requests of a lost stream, and returns them: they will get no answers.
    pub(super) fn stream_gone(&mut self) -> Vec<Fetch> {
        self.queued.clear();
        self.running.drain().map(|(fetch, _)| fetch).chain(self.queue.drain(..)).collect()
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use parlor_config::Settings;

    use super::*;
    use crate::turn::Common;

    fn list(number: usize, domain: &str) -> Fetch {
        Fetch::List(format!("p{number}@{domain}").parse().unwrap(), OmemoForm::Older)
    }

    #[test]
    fn the_servers_of_one_owner_have_a_part_of_the_queue_and_get_places_back() {
        let (own, mut effects) = ("bot@example.org".parse().unwrap(), Vec::new());
        let mut common = Common::new(own, Settings::default());
        let mut turn = Turn::new(&mut common, Timestamp::UNIX_EPOCH, &mut effects);
        let mut fetches = Fetches::default();
        let silent = |number: usize| list(number, &format!("s{number}.silent.example"));
        let wanted = (0..3_000).filter(|number| fetches.want(&silent(*number), &mut turn)).count();
        assert_eq!(wanted, MAX_RUNNING_OF_ONE + MAX_QUEUED_OF_ONE);
        assert!(fetches.want(&list(0, "example.net"), &mut turn) && fetches.want(&list(0, "example.org"), &mut turn));
        assert!(fetches.answered(&silent(0), &mut turn));
        assert!(fetches.want(&silent(3_000), &mut turn) && !fetches.want(&silent(3_001), &mut turn));
        assert_eq!(fetches.stream_gone().len(), MAX_RUNNING_OF_ONE + MAX_QUEUED_OF_ONE + 2);
        assert!(fetches.queued.is_empty());
    }
}
