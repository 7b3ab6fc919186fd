//! What this account asked, and whose answers count (RFC 6120, section 8.2.3).

use std::collections::HashMap;
use std::time::Duration;

use jid::{BareJid, Jid};

use crate::error::CallError;
use crate::session::deadlines::{DeadlineKey, Deadlines, Late};
use crate::session::{Answer, Session, Turn};
use crate::stanza::{self, Ask, Body, Outgoing, Query, Request};
use crate::stanza::{Disco, Identity, Reply};
use crate::xmpp::RawStanza;

/// How many questions of plugins may be open at once.
pub(super) const MAX_OUTSTANDING: usize = 1_024;
/// How long an answer may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// How long the roster may take, since everything after it waits.
pub(super) const ROSTER_PATIENCE: Duration = Duration::from_secs(20);

/// What to do with an answer.
#[derive(Debug)]
enum Waiting {
    Roster,
    ServerDisco,
    Carbons,
    RoomConfigured(BareJid),
    Plugin(Answer<RawStanza>),
}

#[derive(Debug)]
struct Question {
    to: Option<Jid>,
    waiting: Waiting,
    deadline: DeadlineKey,
}

/// Everything that was asked and not answered yet.
#[derive(Debug, Default)]
pub(super) struct Questions(HashMap<String, Question>);

impl Questions {
    fn add(&mut self, to: Option<Jid>, waiting: Waiting, patience: Duration, deadlines: &mut Deadlines) -> String {
        let id = random_id();
        let deadline = deadlines.set(patience, Late::Question(id.clone()));
        self.0.insert(id.clone(), Question { to, waiting, deadline });
        id
    }

    /// Takes the question that this answers, unless somebody else answered it.
    fn answered(&mut self, answer: &stanza::Answer, own: &Jid) -> Option<Question> {
        let question = self.0.get(&answer.id)?;
        counts(question.to.as_ref(), answer.from.as_ref(), own).then(|| self.0.remove(&answer.id)).flatten()
    }

    /// Ends all of them; what the session asked for itself is simply forgotten.
    pub(super) fn end(&mut self, deadlines: &mut Deadlines, turn: &mut Turn<'_>) {
        for (_, question) in self.0.drain() {
            deadlines.cancel(question.deadline);
            if let Waiting::Plugin(answer) = question.waiting {
                turn.answer(answer, Err(CallError::Offline));
            }
        }
    }

    pub(super) fn forget_abandoned(&mut self, deadlines: &mut Deadlines) {
        self.0.retain(|_, question| {
            let keep = !matches!(&question.waiting, Waiting::Plugin(answer) if answer.is_abandoned());
            if !keep {
                deadlines.cancel(question.deadline);
            }
            keep
        });
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// An id that nobody can guess, so that nobody can answer in another's place.
pub(super) fn random_id() -> String {
    format!("{:016x}", rand::random::<u64>())
}

/// Whether an answer from there counts for a question to there.
fn counts(to: Option<&Jid>, from: Option<&Jid>, own: &Jid) -> bool {
    let is_account = |jid: &Jid| jid == own || *jid == own.to_bare();
    match (to, from) {
        (Some(to), Some(from)) => to == from || (*to == own.to_bare() && is_account(from)),
        (Some(to), None) => is_account(to),
        (None, None) => true,
        (None, Some(from)) => is_account(from) || from.as_str() == own.domain().as_str(),
    }
}

impl Session {
    fn ask(&mut self, to: Option<Jid>, ask: Ask, waiting: Waiting, patience: Duration, turn: &mut Turn<'_>) {
        let id = self.questions.add(to.clone(), waiting, patience, &mut self.deadlines);
        turn.send(Outgoing::Ask { to, id, ask });
    }

    pub(super) fn ask_roster(&mut self, turn: &mut Turn<'_>) {
        self.ask(None, Ask::Roster { version: None }, Waiting::Roster, ROSTER_PATIENCE, turn);
    }

    pub(super) fn ask_server(&mut self, turn: &mut Turn<'_>) {
        let server = Jid::from(BareJid::from_parts(None, self.own.domain()));
        self.ask(Some(server), Ask::DiscoInfo { node: None }, Waiting::ServerDisco, PATIENCE, turn);
        if self.settings.message_carbons {
            self.ask(None, Ask::EnableCarbons, Waiting::Carbons, PATIENCE, turn);
        }
    }

    pub(super) fn ask_room_configuration(
        &mut self,
        room: BareJid,
        fields: Vec<(String, Vec<String>)>,
        turn: &mut Turn<'_>,
    ) {
        let to = Some(Jid::from(room.clone()));
        self.ask(to, Ask::ConfigureRoom { fields }, Waiting::RoomConfigured(room), PATIENCE, turn);
    }

    pub(super) fn send_iq(&mut self, iq: &RawStanza, answer: Answer<RawStanza>, turn: &mut Turn<'_>) {
        if !self.is_live() {
            return turn.answer(answer, Err(CallError::Offline));
        }
        if !iq.is_request() {
            return turn.answer(answer, Err(CallError::invalid("iq", "is not an IQ of the type get or set")));
        }
        if self.questions.len() >= MAX_OUTSTANDING {
            self.questions.forget_abandoned(&mut self.deadlines);
        }
        if self.questions.len() >= MAX_OUTSTANDING {
            return turn.answer(answer, Err(CallError::OverLimit(format!("{MAX_OUTSTANDING} IQs wait for answers"))));
        }
        let id = self.questions.add(iq.to(), Waiting::Plugin(answer), PATIENCE, &mut self.deadlines);
        turn.send(Outgoing::Raw(iq.with_id(&id)));
    }

    pub(super) fn answered(&mut self, answer: stanza::Answer, turn: &mut Turn<'_>) {
        let Some(question) = self.questions.answered(&answer, &self.own) else {
            self.ignored += 1;
            return;
        };
        self.deadlines.cancel(question.deadline);
        match question.waiting {
            Waiting::Roster => match answer.outcome {
                Ok(Body::Roster { items, .. }) => self.roster_came(items, turn),
                Ok(_) => self.roster_failed("the server's answer was no roster", turn),
                Err(error) => self.roster_failed(&error.to_string(), turn),
            },
            Waiting::ServerDisco => {
                if let Ok(Body::Disco(disco)) = answer.outcome {
                    self.server_features(disco.features, turn);
                }
            }
            // A server without carbons loses nothing else by it.
            Waiting::Carbons => {}
            Waiting::RoomConfigured(room) => {
                let result = answer.outcome.map(|_| ()).map_err(CallError::Stanza);
                self.room_configured(&room, &result, turn);
            }
            Waiting::Plugin(asker) => {
                turn.answer(asker, answer.outcome.map(|_| answer.raw).map_err(CallError::Stanza));
            }
        }
    }

    pub(super) fn question_late(&mut self, id: &str, turn: &mut Turn<'_>) {
        let Some(question) = self.questions.0.remove(id) else { return };
        match question.waiting {
            Waiting::Roster => {
                self.roster_failed("the server gave no answer in time", turn);
                self.ask_roster_again();
            }
            Waiting::ServerDisco | Waiting::Carbons => {}
            Waiting::RoomConfigured(room) => self.room_configured(&room, &Err(CallError::TimedOut), turn),
            Waiting::Plugin(asker) => turn.answer(asker, Err(CallError::TimedOut)),
        }
    }

    /// Answers what somebody asks of this account. Every request is owed an answer (RFC 6120, section 8.2.3).
    pub(super) fn requested(&mut self, request: Request, turn: &mut Turn<'_>) {
        let reply = match request.query {
            Query::Ping => Reply::Done,
            Query::DiscoInfo { node: None } => Reply::Disco { node: None, disco: own_disco() },
            Query::DiscoInfo { node: Some(_) } => Reply::Refuse { kind: "cancel", condition: "item-not-found" },
            Query::DiscoItems { node } => Reply::NoItems { node },
            Query::Version => Reply::Version,
            Query::Time => Reply::Time(turn.now),
            Query::RosterPush { item, xml, .. } => {
                self.roster_push(item, xml, turn);
                Reply::Done
            }
            Query::Other => Reply::Refuse { kind: "cancel", condition: "service-unavailable" },
        };
        turn.send(Outgoing::Reply { to: request.from, id: request.id, reply });
    }
}

fn own_disco() -> Disco {
    let features = [
        "http://jabber.org/protocol/disco#info",
        "http://jabber.org/protocol/disco#items",
        "jabber:iq:version",
        "urn:xmpp:ping",
        "urn:xmpp:time",
    ];
    Disco {
        identities: vec![Identity {
            category: "client".to_owned(),
            kind: "bot".to_owned(),
            name: Some("parlor".to_owned()),
            lang: None,
        }],
        features: features.map(str::to_owned).to_vec(),
    }
}
