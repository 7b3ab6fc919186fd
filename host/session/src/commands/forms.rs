//! The forms (XEP-0050) that people fill in to give a command, each with its page and the values so far.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use jid::FullJid;
use parlor_base::domains::owned_together;
use parlor_stanza::types::AdHocRefusal;

use crate::deadlines::DeadlineKey;
use crate::iq::random_id;

/// Maximum number of forms that are open. Beyond it, the oldest one is dropped of the owner whose servers' people have the most.
pub(super) const MOST: usize = 64;
/// Maximum number of open forms of one person, so that a stranger does not take the places of everybody.
pub(super) const MOST_OF_ONE: usize = 8;
/// How long a form waits for its next step.
pub(super) const PATIENCE: Duration = Duration::from_mins(10);

/// A request that waits for the plugin's answer.
#[derive(Debug)]
pub(super) struct Asked {
    /// The id of the IQ.
    pub(super) id: String,
    pub(super) deadline: DeadlineKey,
}

/// The event that a form waits for.
#[derive(Debug)]
pub(super) enum Stage {
    /// The person has to fill in this page.
    Page(usize),
    /// The plugin has the command, and reported this progress.
    AtWork { asked: Option<Asked>, progress: String },
    /// The plugin has answered, or failed, and the person has not asked since.
    Ended { text: String, failed: bool },
}

/// A form that someone fills in.
#[derive(Debug)]
pub(super) struct Open {
    /// Its id, which others cannot guess.
    pub(super) session: String,
    pub(super) by: FullJid,
    pub(super) node: String,
    /// The last step.
    pub(super) since: Duration,
    /// The values that were filled in so far, by the names of the arguments.
    pub(super) values: BTreeMap<String, String>,
    pub(super) stage: Stage,
}

impl Open {
    /// Returns the domain of whoever owns the person's server.
    fn owner(&self) -> &str {
        owned_together(self.by.domain().as_str())
    }
}

/// The forms of an account, each under an id that others can neither guess nor use.
#[derive(Debug, Default)]
pub(super) struct Forms(VecDeque<Open>);

impl Forms {
    /// Begins a form. Returns its id, and the forms that were dropped to make room for it.
    pub(super) fn begin(&mut self, by: &FullJid, node: &str, now: Duration) -> (String, Vec<Open>) {
        let mut dropped = Vec::new();
        let person = by.to_bare();
        let is_theirs = |open: &Open| open.by.to_bare() == person;
        if self.0.iter().filter(|open| is_theirs(open)).count() >= MOST_OF_ONE {
            dropped.extend(self.0.iter().position(is_theirs).and_then(|place| self.0.remove(place)));
        }
        if self.0.len() >= MOST {
            let place = self.oldest_of_most();
            dropped.extend(self.0.remove(place));
        }
        let session = new_session();
        self.0.push_back(Open {
            session: session.clone(),
            by: by.clone(),
            node: node.to_owned(),
            since: now,
            values: BTreeMap::new(),
            stage: Stage::Page(0),
        });
        (session, dropped)
    }

    /// Returns the place of the oldest form on the servers of the owner with the most. The owner of a server has any number of addresses,
    /// and must not end the forms of others.
    fn oldest_of_most(&self) -> usize {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for open in &self.0 {
            *counts.entry(open.owner()).or_default() += 1;
        }
        let most = counts.values().max();
        self.0.iter().position(|open| counts.get(open.owner()) == most).unwrap_or_default()
    }

    /// Returns the form that a person continues, unless it is somebody else's or too old.
    pub(super) fn go_on(
        &mut self,
        session: &str,
        by: &FullJid,
        node: &str,
        now: Duration,
    ) -> Result<&mut Open, AdHocRefusal> {
        let is_it = |open: &Open| open.session == session && open.by == *by && open.node == node;
        let place = self.0.iter().position(is_it).ok_or(AdHocRefusal::BadSession)?;
        if now.saturating_sub(self.0[place].since) >= PATIENCE {
            self.0.remove(place);
            return Err(AdHocRefusal::SessionExpired);
        }
        let open = &mut self.0[place];
        open.since = now;
        Ok(open)
    }

    /// Returns the form of this id.
    pub(super) fn get(&mut self, session: &str) -> Option<&mut Open> {
        self.0.iter_mut().find(|open| open.session == session)
    }

    /// Ends a form.
    pub(super) fn end(&mut self, session: &str) -> Option<Open> {
        let place = self.0.iter().position(|open| open.session == session)?;
        self.0.remove(place)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Returns an id of 128 random bits.
pub(super) fn new_session() -> String {
    random_id() + &random_id()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jid(text: &str) -> FullJid {
        FullJid::new(text).unwrap()
    }

    #[test]
    fn a_form_is_its_clients_and_waits_for_a_while() {
        let (mut forms, juliet) = (Forms::default(), jid("juliet@example.org/home"));
        let (id, _) = forms.begin(&juliet, "dice.roll", Duration::ZERO);
        let refused = |forms: &mut Forms, session: &str, by: &str, node: &str, now: Duration| {
            forms.go_on(session, &jid(by), node, now).map(|_| ()).unwrap_err()
        };
        for (session, by, node) in [
            ("x", "juliet@example.org/home", "dice.roll"),
            (id.as_str(), "juliet@example.org/phone", "dice.roll"),
            (id.as_str(), "romeo@example.org/home", "dice.roll"),
            (id.as_str(), "juliet@example.org/home", "dice.throw"),
        ] {
            let refusal = refused(&mut forms, session, by, node, Duration::ZERO);
            assert_eq!(refusal, AdHocRefusal::BadSession, "{session} {by} {node}");
        }
        let almost = PATIENCE.checked_sub(Duration::from_secs(1)).unwrap();
        assert!(forms.go_on(&id, &juliet, "dice.roll", almost).is_ok());
        // Each step restarts the time limit.
        assert!(forms.go_on(&id, &juliet, "dice.roll", PATIENCE).is_ok());
        let late = PATIENCE + PATIENCE;
        let expired = refused(&mut forms, &id, "juliet@example.org/home", "dice.roll", late);
        assert_eq!(expired, AdHocRefusal::SessionExpired);
        let gone = refused(&mut forms, &id, "juliet@example.org/home", "dice.roll", late);
        assert_eq!(gone, AdHocRefusal::BadSession);
        assert_ne!(new_session(), new_session());
    }

    #[test]
    fn a_person_has_some_forms_and_all_together_more() {
        let (mut forms, juliet) = (Forms::default(), jid("juliet@example.org/home"));
        let (kept, _) = forms.begin(&juliet, "dice.roll", Duration::ZERO);
        let romeo = |number: usize| jid(&format!("romeo@example.org/{number}"));
        let begun: Vec<_> = (0..100).map(|number| forms.begin(&romeo(number), "dice.roll", Duration::ZERO)).collect();
        assert_eq!(forms.len(), 1 + MOST_OF_ONE);
        assert!(begun[..MOST_OF_ONE].iter().all(|(_, dropped)| dropped.is_empty()));
        assert_eq!(begun[MOST_OF_ONE].1[0].session, begun[0].0, "the oldest is dropped");
        assert!(forms.go_on(&kept, &juliet, "dice.roll", Duration::ZERO).is_ok(), "it is nobody else's");
        for number in 0..100 {
            forms.begin(&jid(&format!("x{number}@example.org/a")), "dice.roll", Duration::ZERO);
        }
        assert_eq!(forms.len(), MOST);
        assert!(forms.go_on(&kept, &juliet, "dice.roll", Duration::ZERO).is_err());
    }

    #[test]
    fn whoever_has_many_addresses_ends_the_forms_of_nobody_else() {
        let (mut forms, juliet) = (Forms::default(), jid("juliet@example.org/home"));
        let (kept, _) = forms.begin(&juliet, "dice.roll", Duration::ZERO);
        for number in 0..200 {
            let by = jid(&format!("x{number}@s{number}.evil.example/a"));
            let (_, dropped) = forms.begin(&by, "dice.roll", Duration::ZERO);
            assert!(dropped.iter().all(|open| open.by != juliet), "{number}");
        }
        assert_eq!(forms.len(), MOST);
        assert!(forms.go_on(&kept, &juliet, "dice.roll", Duration::ZERO).is_ok());
    }
}
