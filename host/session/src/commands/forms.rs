//! Commands with typed arguments as forms (XEP-0050), for people whose client shows them: the same people, arguments
//! and cooldowns as for what is written in a chat.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jid::{BareJid, FullJid, Jid};
use jiff::Timestamp;
use parlor_base::permission::Permission;
use parlor_stanza::decode::filled_in;
use parlor_stanza::types::{
    AdHoc, AdHocAction, AdHocAnswer, AdHocField, AdHocRefusal, AdHocStage, COMMANDS, Disco, Identity, Message,
};

use super::arguments::{Values, read_fields};
use super::declaration::{Declared, Parameter};
use super::giving::{may_send_to, waits};
use super::kinds::Kind;
use super::people::{Around, Person};
use super::{Commands, Reading, Registered};
use crate::effect::Effect;
use crate::event::{Event, Payload};
use crate::iq::random_id;
use crate::permissions::Target;
use crate::records::command_value::CommandValue;
use crate::turn::Turn;

/// Maximum number of forms that wait to be filled in; the oldest is dropped first.
pub(super) const MOST: usize = 64;
/// How long a form waits.
const PATIENCE: Duration = Duration::from_mins(10);
/// Maximum number of commands that someone is offered.
const MOST_OFFERED: usize = 200;

/// A form that someone fills in.
#[derive(Debug)]
struct Open {
    session: String,
    by: FullJid,
    node: String,
    since: Duration,
}

/// The forms that people fill in, each under an id that nobody else can guess or use.
#[derive(Debug, Default)]
pub(super) struct Forms(VecDeque<Open>);

impl Forms {
    fn begin(&mut self, by: &FullJid, node: &str, now: Duration) -> String {
        if self.0.len() >= MOST {
            self.0.pop_front();
        }
        let session = new_session();
        self.0.push_back(Open { session: session.clone(), by: by.clone(), node: node.to_owned(), since: now });
        session
    }

    /// Returns whose form it is, unless it is somebody else's or too old.
    fn check(&mut self, session: &str, by: &FullJid, node: &str, now: Duration) -> Result<(), AdHocRefusal> {
        let is_it = |open: &Open| open.session == session && open.by == *by && open.node == node;
        let place = self.0.iter().position(is_it).ok_or(AdHocRefusal::BadSession)?;
        if now.saturating_sub(self.0[place].since) < PATIENCE {
            return Ok(());
        }
        self.0.remove(place);
        Err(AdHocRefusal::SessionExpired)
    }

    fn end(&mut self, session: &str) {
        self.0.retain(|open| open.session != session);
    }
}

/// Returns an id of 128 random bits.
fn new_session() -> String {
    random_id() + &random_id()
}

impl Commands {
    /// Returns node and name of each command that this client's owner may give by a form.
    pub(crate) fn offered(&self, from: &FullJid, around: Around<'_>) -> Vec<(String, String)> {
        let bare = from.to_bare();
        let person = Person::at(bare.clone(), around);
        let own = self.all.iter().flat_map(|(plugin, own)| own.iter().map(move |(name, one)| (plugin, name, one)));
        let offered = own.filter(|(_, name, one)| may_fill(name, one, &person, &bare, around).is_some());
        let named = |one: &Registered, word: String| if one.help.is_empty() { word } else { one.help.clone() };
        offered
            .take(MOST_OFFERED)
            .map(|(plugin, name, one)| (format!("{plugin}.{name}"), named(one, self.called(plugin, name, one))))
            .collect()
    }

    /// Returns the information about such a command, for a client that asks before it shows it (XEP-0050, section 2).
    pub(crate) fn form_node(&self, from: &FullJid, node: &str, around: Around<'_>) -> Option<Disco> {
        let (name, found, _) = self.form(from, node, around)?;
        let name = if found.help.is_empty() { name.to_owned() } else { found.help.clone() };
        let is = Identity {
            category: "automation".to_owned(),
            kind: "command-node".to_owned(),
            name: Some(name),
            lang: None,
        };
        let features = [COMMANDS, "jabber:x:data"].map(str::to_owned).to_vec();
        Some(Disco { identities: vec![is], features, ..Disco::default() })
    }

    fn form(&self, from: &FullJid, node: &str, around: Around<'_>) -> Option<(&str, &Registered, &Declared)> {
        let (plugin, name) = node.split_once('.')?;
        let (name, found) = self.all.get(plugin)?.get_key_value(name)?;
        let bare = from.to_bare();
        let declared = may_fill(name, found, &Person::at(bare.clone(), around), &bare, around)?;
        Some((name, found, declared))
    }

    /// Carries out a step of a command that someone gives by a form. None: there is no such command for them.
    pub(crate) fn fill(
        &mut self,
        from: &FullJid,
        command: AdHoc,
        around: Around<'_>,
        turn: &mut Turn<'_>,
    ) -> Option<Result<AdHocAnswer, AdHocRefusal>> {
        let (name, found, declared) = self.form(from, &command.node, around)?;
        let now = turn.deadlines.elapsed();
        let title = if found.help.is_empty() { name.to_owned() } else { found.help.clone() };
        let mut step = Step {
            fields: declared.parameters.iter().map(|one| field(one, &command.values)).collect(),
            values: read_fields(&declared.parameters, &command.values).map_err(|misfit| misfit.to_string()),
            words: words(&declared.parameters, &command.values),
            has_form: !declared.parameters.is_empty(),
            spelled: format!("{}{name}", turn.settings.command_prefix),
        };
        let person = Person::at(from.to_bare(), around);
        let (plugin, _) = command.node.split_once('.')?;
        let (plugin, _) = self.all.get_key_value(plugin)?;
        let (owner, name): (_, Arc<str>) = (found.owner, name.into());
        let lengths = found.reading.lengths(&found.names.rules(&name));
        let tries = self.cooldowns.tries(plugin, &name, person.who(), None);
        let node = command.node;
        match command.action {
            AdHocAction::Back => return Some(Err(AdHocRefusal::BadAction)),
            AdHocAction::Unknown => return Some(Err(AdHocRefusal::MalformedAction)),
            AdHocAction::Cancel | AdHocAction::Go => {}
        }
        let is_cancelled = command.action == AdHocAction::Cancel;
        let session = match command.session {
            Some(session) => match self.forms.check(&session, from, &node, now) {
                Ok(()) => session,
                Err(refusal) => return Some(Err(refusal)),
            },
            None if is_cancelled => return Some(Err(AdHocRefusal::BadAction)),
            // What is filled in already does not count: the person has not seen the form.
            None if step.has_form => {
                let session = self.forms.begin(from, &node, now);
                let stage = AdHocStage::Fill { title, fields: step.fields, wrong: None };
                return Some(Ok(AdHocAnswer { node, session, stage }));
            }
            None => new_session(),
        };
        if is_cancelled {
            self.forms.end(&session);
            return Some(Ok(AdHocAnswer { node, session, stage: AdHocStage::Cancelled }));
        }
        let values = match self.cooldowns.wait(tries, lengths, now) {
            Some(wait) => Err(waits(&step.spelled, wait)),
            None => std::mem::replace(&mut step.values, Ok(Values::new())),
        };
        let stage = match values {
            Err(wrong) if step.has_form => AdHocStage::Fill { title, fields: step.fields, wrong: Some(wrong) },
            Err(wrong) => AdHocStage::Done { lines: vec![wrong], failed: true },
            Ok(values) => {
                self.forms.end(&session);
                self.cooldowns.begin(tries, lengths, now);
                let own = turn.own.try_as_full().ok()?;
                let message = step.message(&name, from, own, turn.now);
                let payload = Payload::Command { name, args: step.words, message: Arc::new(message), values };
                let event = Event { name: turn.names.get("command"), at: turn.now, payload };
                turn.out.push(Effect::FireFor(owner, event));
                AdHocStage::Done { lines: vec!["done".to_owned()], failed: false }
            }
        };
        Some(Ok(AdHocAnswer { node, session, stage }))
    }
}

/// What a step of a command is made of.
struct Step {
    fields: Vec<AdHocField>,
    values: Result<Values, String>,
    words: Vec<String>,
    has_form: bool,
    /// What people write to give it.
    spelled: String,
}

impl Step {
    /// Returns the message that the person would have written.
    fn message(&self, name: &str, from: &FullJid, own: &FullJid, now: Timestamp) -> Message {
        let words = self.words.iter().map(|word| quoted(word));
        let text: Vec<_> = std::iter::once(self.spelled.clone()).chain(words).collect();
        let mut message = filled_in(from.clone(), text.join(" "), own, now);
        message.command = Some(name.to_owned());
        message
    }
}

/// Returns the sender's client, if it is that of a person: an occupant appears under the room's address, and what this
/// very client sends was sent by a plugin.
pub(crate) fn client(from: Option<&Jid>, around: Around<'_>, turn: &Turn<'_>) -> Option<FullJid> {
    let from = from?.try_as_full().ok()?;
    let is_person = *from != turn.own && !around.rooms.has(&from.to_bare());
    is_person.then(|| from.clone())
}

/// Returns the command as it is declared, if this person may give it by a form, and its plugin may speak to them.
fn may_fill<'r>(
    name: &str,
    one: &'r Registered,
    person: &Person<'_>,
    bare: &BareJid,
    around: Around<'_>,
) -> Option<&'r Declared> {
    let Reading::Host(declared) = &one.reading else { return None };
    let rules = one.names.rules(name);
    let may = !rules.off
        && person.is_among(rules.allow.as_deref().unwrap_or(&declared.allow))
        && may_send_to(one, Permission::MessagesSend, Target::Jid(bare), around.roster);
    may.then_some(&**declared)
}

/// Returns the field for an argument, with what was filled in, else with its default.
fn field(one: &Parameter, given: &BTreeMap<String, String>) -> AdHocField {
    let kind = match one.kind {
        Kind::Flag => "boolean",
        Kind::Choice(_) => "list-single",
        Kind::Jid => "jid-single",
        Kind::Text | Kind::Integer(..) | Kind::Number(..) | Kind::Duration | Kind::Rest => "text-single",
    };
    let options = if let Kind::Choice(words) = &one.kind { words.clone() } else { Vec::new() };
    let default = match &one.default {
        // The word as it was declared, which is among the options.
        Some((_, CommandValue::Text(word))) => Some(word.clone()),
        Some((written, _)) => Some(written.clone()),
        None => None,
    };
    let is_plain = matches!(one.kind, Kind::Text | Kind::Flag | Kind::Rest);
    let about = if is_plain { String::new() } else { one.kind.may_be() };
    AdHocField {
        var: one.name.clone(),
        kind,
        label: if one.help.is_empty() { one.name.clone() } else { one.help.clone() },
        about,
        required: !one.is_optional,
        value: given.get(&one.name).cloned().or(default),
        options,
    }
}

/// Returns what a person would have written in a chat, in words.
fn words(parameters: &[Parameter], given: &BTreeMap<String, String>) -> Vec<String> {
    let mut words = Vec::new();
    for one in parameters {
        let Some(text) = given.get(&one.name).map(|text| text.trim()).filter(|text| !text.is_empty()) else { continue };
        match one.kind {
            Kind::Flag if matches!(text, "1" | "true") => words.push(one.label()),
            Kind::Flag => {}
            _ if one.is_named => words.extend([one.label(), text.to_owned()]),
            _ => words.push(text.to_owned()),
        }
    }
    words
}

/// Returns a word in quotes, if it needs them.
fn quoted(word: &str) -> String {
    let is_plain = !word.is_empty() && !word.contains(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '\\'));
    if is_plain { word.to_owned() } else { format!("\"{}\"", word.replace('\\', r"\\").replace('"', "\\\"")) }
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
        let id = forms.begin(&juliet, "dice.roll", Duration::ZERO);
        for (session, by, node) in [
            ("x", "juliet@example.org/home", "dice.roll"),
            (id.as_str(), "juliet@example.org/phone", "dice.roll"),
            (id.as_str(), "romeo@example.org/home", "dice.roll"),
            (id.as_str(), "juliet@example.org/home", "dice.throw"),
        ] {
            let refused = forms.check(session, &jid(by), node, Duration::ZERO);
            assert_eq!(refused, Err(AdHocRefusal::BadSession), "{session} {by} {node}");
        }
        assert_eq!(
            forms.check(&id, &juliet, "dice.roll", PATIENCE.checked_sub(Duration::from_secs(1)).unwrap()),
            Ok(())
        );
        assert_eq!(forms.check(&id, &juliet, "dice.roll", PATIENCE), Err(AdHocRefusal::SessionExpired));
        assert_eq!(forms.check(&id, &juliet, "dice.roll", PATIENCE), Err(AdHocRefusal::BadSession));
        assert_ne!(new_session(), new_session());
    }

    #[test]
    fn only_so_many_wait() {
        let (mut forms, juliet) = (Forms::default(), jid("juliet@example.org/home"));
        let ids: Vec<_> = (0..100).map(|_| forms.begin(&juliet, "dice.roll", Duration::ZERO)).collect();
        assert_eq!(forms.0.len(), MOST);
        assert!(forms.check(&ids[100 - MOST - 1], &juliet, "dice.roll", Duration::ZERO).is_err());
        assert!(forms.check(&ids[100 - MOST], &juliet, "dice.roll", Duration::ZERO).is_ok());
    }

    #[test]
    fn a_word_that_needs_quotes_has_them() {
        for (word, written) in
            [("a", "a"), ("", "\"\""), ("a b", "\"a b\""), ("a\"b", r#""a\"b""#), ("a\\", r#""a\\""#)]
        {
            assert_eq!(quoted(word), written);
            assert_eq!(super::super::words::split(written, 9), [word]);
        }
    }
}
