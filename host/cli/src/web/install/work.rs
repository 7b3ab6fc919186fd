//! The installs that sessions have begun: fetching, waiting for a decision, and outcomes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use parlor_base::id::PluginId;
use parlor_window::{Problem, Session};

use super::offered::Offered;

/// The most installs at once. Each may hold the largest file in memory.
const MOST: usize = 4;
/// How long an install stays from its beginning.
const LIFE: Duration = Duration::from_mins(30);

/// The stage of an install.
#[derive(Debug)]
pub(super) enum Stage<O = Offered> {
    /// The file is fetched and examined.
    Fetching,
    /// Nothing was installed, for this reason.
    Failed(String),
    /// It waits for the owner's decision.
    Offered(Arc<O>),
    /// It is installed and started.
    Installing(PluginId),
    /// It is installed.
    Done(PluginId, String),
}

impl<O> Clone for Stage<O> {
    fn clone(&self) -> Self {
        match self {
            Self::Fetching => Self::Fetching,
            Self::Failed(why) => Self::Failed(why.clone()),
            Self::Offered(offer) => Self::Offered(Arc::clone(offer)),
            Self::Installing(id) => Self::Installing(id.clone()),
            Self::Done(id, sentence) => Self::Done(id.clone(), sentence.clone()),
        }
    }
}

impl<O> Stage<O> {
    /// Returns whether nothing more comes of it.
    fn is_over(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::Done(..))
    }
}

/// The outcome of giving up an install.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GivingUp {
    /// It is given up: nothing was installed, and nothing will be.
    GivenUp,
    /// The session has agreed to it before, so it goes on, or is over.
    Agreed,
    /// The session has no such install.
    Unknown,
}

/// Returns what tells a session from every other one, also from a later one that has its name.
pub(super) fn session_key(session: &Session) -> String {
    format!("{} {}", session.name, session.began)
}

#[derive(Debug)]
struct Install<O> {
    /// The key of the session that began it. Only this session decides about it.
    session: String,
    began: Instant,
    stage: Stage<O>,
}

#[derive(Debug)]
struct All<O> {
    last: u64,
    installs: BTreeMap<u64, Install<O>>,
}

/// All installs. They end with this program. Completed installs stay.
#[derive(Debug)]
pub(in crate::web) struct Installs<O = Offered>(Mutex<All<O>>);

impl<O> Default for Installs<O> {
    fn default() -> Self {
        Self(Mutex::new(All { last: 0, installs: BTreeMap::new() }))
    }
}

impl<O> Installs<O> {
    fn all(&self) -> MutexGuard<'_, All<O>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.installs.retain(|_, install| install.began.elapsed() < LIFE);
        all
    }

    /// Begins an install, and returns its number.
    pub(super) fn begin(&self, session: &str) -> Result<u64, Problem> {
        let mut all = self.all();
        if all.installs.len() >= MOST {
            all.installs.retain(|_, install| !install.stage.is_over());
        }
        // The session of the oldest one may have ended, and nobody else can decide about it or give it up.
        let oldest = all.installs.iter().find(|(_, one)| matches!(one.stage, Stage::Offered(_)));
        if let (true, Some(number)) = (all.installs.len() >= MOST, oldest.map(|(number, _)| *number)) {
            all.installs.remove(&number);
        }
        if all.installs.len() >= MOST {
            let sentence =
                format!("{MOST} plugins are being fetched or installed at this moment: try it again in a minute");
            return Err(Problem::new(429, sentence));
        }
        all.last += 1;
        let number = all.last;
        let install = Install { session: session.to_owned(), began: Instant::now(), stage: Stage::Fetching };
        all.installs.insert(number, install);
        Ok(number)
    }

    /// Moves an install on, unless it was given up.
    pub(super) fn set(&self, number: u64, stage: Stage<O>) {
        if let Some(install) = self.all().installs.get_mut(&number) {
            install.stage = stage;
        }
    }

    /// Returns where an install of a session is.
    pub(super) fn stage(&self, number: u64, session: &str) -> Option<Stage<O>> {
        let all = self.all();
        all.installs.get(&number).filter(|install| install.session == session).map(|install| install.stage.clone())
    }

    /// Returns the installs of a session that are not over.
    pub(super) fn of(&self, session: &str) -> Vec<u64> {
        let all = self.all();
        let own = all.installs.iter().filter(|(_, install)| install.session == session && !install.stage.is_over());
        own.map(|(number, _)| *number).collect()
    }

    /// Takes the offer that a session has decided about; none if it was decided about before.
    pub(super) fn start(&self, number: u64, session: &str, id: &PluginId) -> Option<Arc<O>> {
        let mut all = self.all();
        let install = all.installs.get_mut(&number).filter(|install| install.session == session)?;
        let Stage::Offered(offer) = &install.stage else { return None };
        let offer = Arc::clone(offer);
        install.stage = Stage::Installing(id.clone());
        Some(offer)
    }

    /// Gives up an install of a session, unless the session has agreed to it already.
    pub(super) fn give_up(&self, number: u64, session: &str) -> GivingUp {
        let mut all = self.all();
        let Some(install) = all.installs.get(&number).filter(|install| install.session == session) else {
            return GivingUp::Unknown;
        };
        let is_agreed = matches!(install.stage, Stage::Installing(_) | Stage::Done(..));
        if is_agreed {
            return GivingUp::Agreed;
        }
        all.installs.remove(&number);
        GivingUp::GivenUp
    }
}

#[cfg(test)]
mod tests {
    use parlor_window::Role;

    use super::*;

    /// Somebody else may log in as `ann` after her session has ended.
    #[test]
    fn a_later_session_of_the_same_name_is_another_one() {
        let session =
            |began: &str| Session::new("ann".parse().unwrap(), Role::Owner, None, None, began.parse().unwrap());
        let (one, later) = (session("2026-11-20T08:00:00Z"), session("2026-11-20T08:00:00.000000001Z"));
        let installs = Installs::<()>::default();
        let number = installs.begin(&session_key(&one)).unwrap();
        let mut used = one;
        used.used = later.began;
        assert!(installs.stage(number, &session_key(&used)).is_some());
        assert!(installs.stage(number, &session_key(&later)).is_none());
        assert!(installs.of(&session_key(&later)).is_empty());
    }

    #[test]
    fn a_few_installs_go_on_at_once_and_what_is_over_makes_room() {
        let installs = Installs::<()>::default();
        let numbers: Vec<_> = (0..MOST).map(|_| installs.begin("a").unwrap()).collect();
        assert_eq!(installs.begin("b").unwrap_err().status, 429);
        installs.set(numbers[0], Stage::Failed("no".to_owned()));
        assert_eq!(installs.of("a"), numbers[1..]);
        let next = installs.begin("b").unwrap();
        assert!(installs.stage(numbers[0], "a").is_none());
        assert!(matches!(installs.stage(next, "b"), Some(Stage::Fetching)));
        assert_eq!(installs.give_up(next, "a"), GivingUp::Unknown);
        assert_eq!(installs.of("b"), [next], "another session cannot give it up");
        assert_eq!(installs.give_up(next, "b"), GivingUp::GivenUp);
        assert!(installs.of("b").is_empty());
        // A later result finds no install to update.
        installs.set(next, Stage::Failed("no".to_owned()));
        assert!(installs.stage(next, "b").is_none());
    }

    #[test]
    fn an_install_that_nobody_decides_about_keeps_nobody_out() {
        let installs = Installs::<()>::default();
        let numbers: Vec<_> = (0..MOST).map(|_| installs.begin("gone").unwrap()).collect();
        for number in &numbers[1..] {
            installs.set(*number, Stage::Offered(Arc::new(())));
        }
        let next = installs.begin("b").unwrap();
        assert!(matches!(installs.stage(next, "b"), Some(Stage::Fetching)));
        assert_eq!(installs.of("gone"), [numbers[0], numbers[2], numbers[3]], "the oldest that waits makes room");
    }

    #[test]
    fn only_the_session_that_began_it_decides_and_only_once() {
        let (installs, id) = (Installs::default(), "echo".parse::<PluginId>().unwrap());
        let number = installs.begin("a").unwrap();
        assert!(installs.start(number, "a", &id).is_none(), "there is no offer yet");
        installs.set(number, Stage::Offered(Arc::new("offer")));
        assert!(installs.stage(number, "b").is_none() && installs.start(number, "b", &id).is_none());
        assert!(installs.start(number, "a", &id).is_some() && installs.start(number, "a", &id).is_none());
        assert_eq!(installs.give_up(number, "a"), GivingUp::Agreed, "it is being installed");
        assert!(matches!(installs.stage(number, "a"), Some(Stage::Installing(one)) if one == id));
    }
}
