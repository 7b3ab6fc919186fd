//! The comparisons of secrets that were requested or are running: at most one with each person.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use jid::{BareJid, Jid};
use jiff::Timestamp;
use parlor_e2ee::otr::Fingerprint;
use parlor_stanza::error::CallError;
use parlor_stanza::types::DeviceTrust;

use crate::answer::Answer;
use crate::deadlines::{DeadlineKey, Late};
use crate::turn::Turn;

/// Maximum number of comparisons at a time.
pub(super) const MAX_OPEN: usize = 64;
/// How often one person may ask within [`WINDOW`].
pub(super) const MAX_ASKED: usize = 4;
/// The time within which the requests of one person are counted.
pub(super) const WINDOW: Duration = Duration::from_mins(10);
/// Maximum number of people whose requests are counted. While it is reached, requests of other people are refused.
const MAX_ASKERS: usize = 1_024;
/// How long the owner, and then the other side, may take to answer.
pub(super) const PATIENCE: Duration = Duration::from_mins(5);

/// How a comparison ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ComparisonEnd {
    /// Both sides entered the same. The key is trusted, unless the other side chose the question.
    Same,
    /// The two sides entered different secrets.
    Different,
    /// One side gave up, or the conversation has ended.
    Aborted,
    /// One side did not answer in time.
    TimedOut,
}

impl ComparisonEnd {
    /// Returns its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Different => "different",
            Self::Aborted => "aborted",
            Self::TimedOut => "timed-out",
        }
    }
}

/// The result of a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// How it ended.
    pub end: ComparisonEnd,
    /// The fingerprint of the other side's key.
    pub fingerprint: String,
    /// The trust in the key before the comparison.
    pub before: DeviceTrust,
    /// The trust in the key now.
    pub trust: DeviceTrust,
}

/// A pending comparison, as the owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenComparison {
    /// Its number. An answer refers to it.
    pub number: u64,
    /// The person.
    pub jid: BareJid,
    /// The fingerprint of that person's key.
    pub fingerprint: String,
    /// The question about the secret. The person chose it.
    pub question: Option<String>,
    /// Whether the person waits for the owner's answer.
    pub is_asked: bool,
    /// When it was requested.
    pub since: Timestamp,
}

/// A pending comparison.
#[derive(Debug)]
pub(super) struct Comparison {
    /// The key of the instance that compares.
    pub(super) fingerprint: Fingerprint,
    /// The address of that instance.
    pub(super) to: Jid,
    pub(super) question: Option<String>,
    /// Whether the other side has asked.
    pub(super) is_theirs: bool,
    pub(super) since: Timestamp,
    /// The owner who waits for the result. None: the person has asked, and the owner has not answered.
    pub(super) answer: Option<Answer<Compared>>,
}

impl Comparison {
    /// Returns whether the same secret shows who the other side is. Somebody in between can ask a question to which they
    /// know the answer, such as one about the account.
    pub(super) fn proves_who_they_are(&self) -> bool {
        !self.is_theirs || self.question.is_none()
    }
}

/// One comparison, with its waiting call and deadline.
#[derive(Debug)]
struct Entry {
    number: u64,
    deadline: DeadlineKey,
    comparison: Comparison,
}

/// All comparisons of an account.
#[derive(Debug, Default)]
pub(super) struct Comparisons {
    open: HashMap<BareJid, Entry>,
    /// The times of each person's recent requests.
    asked: HashMap<BareJid, VecDeque<Duration>>,
    /// The number of the latest comparison.
    last: u64,
}

impl Comparisons {
    /// Returns the comparison with a person, and its number.
    pub(super) fn get(&self, jid: &BareJid) -> Option<(u64, &Comparison)> {
        self.open.get(jid).map(|entry| (entry.number, &entry.comparison))
    }

    /// Returns all comparisons.
    pub(super) fn all(&self) -> impl Iterator<Item = (&BareJid, u64, &Comparison)> {
        self.open.iter().map(|(jid, entry)| (jid, entry.number, &entry.comparison))
    }

    /// Returns whether there is space for one more comparison.
    pub(super) fn has_room(&self) -> bool {
        self.open.len() < MAX_OPEN
    }

    /// Adds a comparison and starts its deadline. There must be none with this person.
    pub(super) fn add(&mut self, jid: &BareJid, comparison: Comparison, turn: &mut Turn<'_>) {
        self.last += 1;
        let deadline = turn.deadlines.set(PATIENCE, Late::OtrCompared(jid.clone()));
        self.open.insert(jid.clone(), Entry { number: self.last, deadline, comparison });
    }

    /// Lets an owner wait for the result, from now on.
    pub(super) fn answered(&mut self, jid: &BareJid, answer: Answer<Compared>, turn: &mut Turn<'_>) {
        let Some(entry) = self.open.get_mut(jid) else { return };
        turn.deadlines.cancel(entry.deadline);
        entry.deadline = turn.deadlines.set(PATIENCE, Late::OtrCompared(jid.clone()));
        entry.comparison.answer = Some(answer);
    }

    /// Removes a comparison.
    pub(super) fn take(&mut self, jid: &BareJid, turn: &mut Turn<'_>) -> Option<Comparison> {
        let entry = self.open.remove(jid)?;
        turn.deadlines.cancel(entry.deadline);
        Some(entry.comparison)
    }

    /// Counts a request of a person. Returns whether it exceeds the limit.
    pub(super) fn is_too_often(&mut self, jid: &BareJid, turn: &Turn<'_>) -> bool {
        let now = turn.deadlines.elapsed();
        let is_recent = |at: &Duration| now.saturating_sub(*at) < WINDOW;
        if self.asked.len() >= MAX_ASKERS && !self.asked.contains_key(jid) {
            self.asked.retain(|_, times| times.back().is_some_and(is_recent));
            if self.asked.len() >= MAX_ASKERS {
                return true;
            }
        }
        let times = self.asked.entry(jid.clone()).or_default();
        times.retain(is_recent);
        if times.len() >= MAX_ASKED {
            return true;
        }
        times.push_back(now);
        false
    }

    /// Ends all comparisons, because the session with the server ended. Returns the people.
    pub(super) fn end(&mut self, turn: &mut Turn<'_>) -> Vec<BareJid> {
        let ended = std::mem::take(&mut self.open).into_iter().map(|(jid, entry)| {
            turn.deadlines.cancel(entry.deadline);
            if let Some(answer) = entry.comparison.answer {
                turn.answer(answer, Err(CallError::Offline));
            }
            jid
        });
        ended.collect()
    }
}
