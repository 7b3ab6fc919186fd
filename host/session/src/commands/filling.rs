//! Commands with typed arguments as forms (XEP-0050), for people whose client shows them: the same permissions,
//! arguments and cooldowns apply as for commands in a chat.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jid::{BareJid, FullJid, Jid};
use parlor_base::id::{InstanceId, PluginId};
use parlor_base::permission::Permission;
use parlor_stanza::error::CallError;
use parlor_stanza::types::{
    AdHoc, AdHocAction, AdHocAnswer, AdHocRefusal, AdHocStage, COMMANDS, Disco, FormStep, Identity, Outgoing,
    RefusedValue, Reply,
};

use super::arguments::{LONGEST_PAGE, Misfit, read_fields};
use super::cooldowns::{Lengths, Tries};
use super::declaration::{Declared, Parameter};
use super::fields::{Page, line, message, pages};
use super::forms::{Asked, Open, Stage, new_session};
use super::giving::{MAX_ARGS, may_send_to, waits};
use super::people::{Around, Person};
use super::replaced::in_force;
use super::{Commands, Place, Reading, Registered, words};
use crate::command_rules::CommandPlace;
use crate::deadlines::Late;
use crate::effect::Effect;
use crate::event::{Event, Payload};
use crate::names::event_name;
use crate::permissions::Target;
use crate::turn::Turn;

/// How long a person waits for the plugin's answer before they see that it is working.
const WAIT: Duration = Duration::from_secs(5);
/// Maximum length of the id of a request that waits, in bytes. A longer one is answered at once.
const LONGEST_ID: usize = 1_024;
/// Maximum number of commands that someone is offered.
const MOST_OFFERED: usize = 200;
/// Forms are filled in outside of rooms, in private.
const NOWHERE: Place<'static> = Place::In(None);
/// The note for a person while the plugin has said nothing.
const AT_WORK: &str = "At work. Go on to see the answer.";
/// The answer to a person if the plugin has given none.
const DONE: &str = "done";

/// The same if the command was refused without a reason.
const REFUSED: &str = "It was refused.";

/// The answer to a step of a form. None: it follows when the plugin has given one.
pub(crate) type Answered = Result<Option<AdHocAnswer>, AdHocRefusal>;

/// A command as a form gives it.
struct Given<'c> {
    owner: InstanceId,
    name: Arc<str>,
    parameters: &'c [Parameter],
    /// The title of pages without their own.
    title: String,
    /// The words by which people give it in a chat.
    spelled: String,
    tries: Tries,
    lengths: Lengths,
}

impl Commands {
    /// Returns node and name of each command that this client's owner may give by a form.
    pub(crate) fn offered(&self, from: &FullJid, around: Around<'_>) -> Vec<(String, String)> {
        let bare = from.to_bare();
        let person = Person::at(from, around);
        let all = self.all.iter().flat_map(|(plugin, own)| own.iter().map(move |(name, one)| (plugin, name, one)));
        let own = all.filter_map(|(plugin, name, one)| Some((plugin, name, in_force(self, plugin, name, one)?)));
        let offered = own.filter(|(_, name, one)| may_fill(name, one, &person, &bare, around).is_some());
        let named = |one: &Registered, word: String| if one.help.is_empty() { word } else { one.help.clone() };
        offered
            .take(MOST_OFFERED)
            .map(|(plugin, name, one)| {
                (format!("{plugin}.{name}"), named(one, self.called(plugin, name, one, NOWHERE)))
            })
            .collect()
    }

    /// Returns the information about such a command, for a client that asks before it shows it (XEP-0050, section 2).
    pub(crate) fn form_node(&self, from: &FullJid, node: &str, around: Around<'_>) -> Option<Disco> {
        let (_, name, found, _) = self.form(from, node, around)?;
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

    fn form(
        &self,
        from: &FullJid,
        node: &str,
        around: Around<'_>,
    ) -> Option<(&PluginId, &str, &Registered, &Declared)> {
        let (plugin, name) = node.split_once('.')?;
        let (plugin, own) = self.all.get_key_value(plugin)?;
        let (name, found) = own.get_key_value(name)?;
        let found = in_force(self, plugin, name, found)?;
        let bare = from.to_bare();
        let declared = may_fill(name, found, &Person::at(from, around), &bare, around)?;
        Some((plugin, name, found, declared))
    }

    /// Carries out a step of a command that a person gives through a form, in the request with this id. Returns `None`
    /// if no such command is available to them.
    pub(crate) fn fill(
        &mut self,
        from: &FullJid,
        command: AdHoc,
        id: &str,
        around: Around<'_>,
        turn: &mut Turn<'_>,
    ) -> Option<Answered> {
        let (plugin, name, found, declared) = self.form(from, &command.node, around)?;
        let (owner, title) = (found.owner, if found.help.is_empty() { name.to_owned() } else { found.help.clone() });
        let spelled = format!("{}{name}", turn.settings.command_prefix);
        let lengths = found.reading.lengths(&found.names.rules(name));
        let tries = self.cooldowns.tries(plugin, name, Person::at(from, around).who(), None);
        let parameters = declared.parameters.clone();
        let name = name.into();
        let given = Given { owner, name, parameters: &parameters, title, spelled, tries, lengths };
        Some(self.step(from, command, id, &given, turn))
    }

    fn step(&mut self, from: &FullJid, command: AdHoc, id: &str, given: &Given<'_>, turn: &mut Turn<'_>) -> Answered {
        let AdHoc { node, session, action, has_form, values, refused } = command;
        if action == AdHocAction::Unknown {
            return Err(AdHocRefusal::MalformedAction);
        }
        let Some(session) = session else {
            if matches!(action, AdHocAction::Cancel | AdHocAction::Back) {
                return Err(AdHocRefusal::BadAction);
            }
            return Ok(self.begin(from, node, id, given, turn));
        };
        let open = self.forms.go_on(&session, from, &node, turn.deadlines.elapsed())?;
        let stage = match &open.stage {
            _ if action == AdHocAction::Cancel => {
                if let Some(open) = self.forms.end(&session) {
                    give_up(open, AdHocStage::Cancelled, turn);
                }
                AdHocStage::Cancelled
            }
            Stage::Page(at) => {
                let at = *at;
                let filled = self.fill_page(&session, at, &Sent { has_form, values, refused, action }, given)?;
                match filled {
                    Filled::Page(stage) => stage,
                    Filled::All(values) => match self.obey_form(&session, from, &values, id, given, turn) {
                        Ok(()) => return Ok(None),
                        Err(wrong) => shown(&pages(given.parameters), at, &given.title, &values, Some(wrong)),
                    },
                }
            }
            _ if action == AdHocAction::Back => return Err(AdHocRefusal::BadAction),
            // The form was sent twice, or the person asks again.
            Stage::AtWork { progress, .. } => at_work(progress),
            Stage::Ended { text, failed } => {
                let stage = ended(text, *failed);
                self.forms.end(&session);
                stage
            }
        };
        Ok(Some(AdHocAnswer { node, session, stage }))
    }

    /// Stores the values that were filled in on a page, and moves to another one.
    fn fill_page(&mut self, session: &str, at: usize, sent: &Sent, given: &Given<'_>) -> Result<Filled, AdHocRefusal> {
        let Sent { has_form, values, refused, action } = sent;
        let pages = pages(given.parameters);
        // The command may have been declared again since, with fewer pages.
        let at = at.min(pages.len().saturating_sub(1));
        let (Some(page), Some(open)) = (pages.get(at), self.forms.get(session)) else {
            return Err(AdHocRefusal::BadSession);
        };
        let show = |at: usize, values: &BTreeMap<String, String>, wrong: Option<String>| {
            Ok(Filled::Page(shown(&pages, at, &given.title, values, wrong)))
        };
        let wrong = page.parameters.iter().find_map(|one| {
            let label = one.label();
            Some(match refused.get(&one.name)? {
                RefusedValue::TooLong => Misfit::TooLong { label },
                RefusedValue::Several => Misfit::Several { label },
            })
        });
        // Another page that comes twice does not count for this one.
        let is_of_another = || pages.iter().enumerate().any(|(place, other)| place != at && other.has_any(values));
        if wrong.is_none() && !page.has_any(values) && is_of_another() {
            return show(at, &open.values, None);
        }
        let given_here = page.parameters.iter().filter_map(|one| values.get(&one.name));
        if given_here.map(String::len).sum::<usize>() > LONGEST_PAGE {
            return show(at, &open.values, Some(Misfit::PageTooLong.to_string()));
        }
        let is_last = at + 1 >= pages.len();
        match action {
            AdHocAction::Back if at == 0 => return Err(AdHocRefusal::BadAction),
            AdHocAction::Complete if !is_last => return Err(AdHocRefusal::BadAction),
            // The page does not offer it (XEP-0050, section 3.4). It may be the step before, sent twice without values.
            AdHocAction::Next if is_last => return Err(AdHocRefusal::BadAction),
            // A client may go back without sending the form.
            _ if !has_form => {}
            _ => put(page, values, &mut open.values),
        }
        if *action == AdHocAction::Back {
            open.stage = Stage::Page(at - 1);
            return show(at - 1, &open.values, None);
        }
        // It would count as left out.
        if let Some(wrong) = wrong {
            return show(at, &open.values, Some(wrong.to_string()));
        }
        if let Err(misfit) = read_fields(page.parameters, &open.values) {
            return show(at, &open.values, Some(misfit.to_string()));
        }
        if is_last {
            return Ok(Filled::All(open.values.clone()));
        }
        open.stage = Stage::Page(at + 1);
        show(at + 1, &open.values, None)
    }

    /// Begins a command: with its first page, or immediately if it has none. Values in this request are ignored, since
    /// the person has not seen the form.
    fn begin(
        &mut self,
        from: &FullJid,
        node: String,
        id: &str,
        given: &Given<'_>,
        turn: &mut Turn<'_>,
    ) -> Option<AdHocAnswer> {
        let now = turn.deadlines.elapsed();
        let pages = pages(given.parameters);
        if pages.is_empty()
            && let Some(wait) = self.cooldowns.wait(given.tries, given.lengths, now)
        {
            let stage = ended(&waits(&given.spelled, wait), true);
            return Some(AdHocAnswer { node, session: new_session(), stage });
        }
        let (session, dropped) = self.forms.begin(from, &node, now);
        for open in dropped {
            give_up(open, ended("You have too many forms open.", true), turn);
        }
        if !pages.is_empty() {
            let stage = shown(&pages, 0, &given.title, &BTreeMap::new(), None);
            return Some(AdHocAnswer { node, session, stage });
        }
        match self.obey_form(&session, from, &BTreeMap::new(), id, given, turn) {
            Ok(()) => None,
            Err(wrong) => {
                self.forms.end(&session);
                Some(AdHocAnswer { node, session, stage: ended(&wrong, true) })
            }
        }
    }

    /// Hands a command that is filled in to its plugin. The request of this id waits for the answer. The error says what
    /// is wrong with it.
    fn obey_form(
        &mut self,
        session: &str,
        from: &FullJid,
        filled: &BTreeMap<String, String>,
        id: &str,
        given: &Given<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), String> {
        let now = turn.deadlines.elapsed();
        if let Some(wait) = self.cooldowns.wait(given.tries, given.lengths, now) {
            return Err(waits(&given.spelled, wait));
        }
        let values = read_fields(given.parameters, filled).map_err(|misfit| misfit.to_string())?;
        let own = turn.own.try_as_full().map_err(|_| AT_WORK.to_owned())?.clone();
        let line = line(given.parameters, filled);
        self.cooldowns.begin(given.tries, given.lengths, now);
        if let Some(open) = self.forms.get(session) {
            let may_wait = id.len() <= LONGEST_ID;
            let asked = may_wait.then(|| {
                let deadline = turn.deadlines.set(WAIT, Late::Form(session.to_owned()));
                Asked { id: id.to_owned(), deadline }
            });
            if asked.is_none() {
                let (node, session) = (open.node.clone(), open.session.clone());
                reply(from.clone(), id.to_owned(), AdHocAnswer { node, session, stage: at_work("") }, turn);
            }
            open.stage = Stage::AtWork { asked, progress: String::new() };
        }
        let args = words::split(&line, MAX_ARGS);
        let text = format!("{} {line}", given.spelled).trim_end().to_owned();
        let message = message(text, &given.name, from, &own, turn.now);
        let payload = Payload::Command {
            name: Arc::clone(&given.name),
            args,
            message: Arc::new(message),
            values,
            form: Some(session.into()),
        };
        let event = Event { name: event_name("command"), at: turn.now, payload };
        turn.out.push(Effect::FireForForm(given.owner, event, session.to_owned()));
        Ok(())
    }

    /// Returns the client whose form of this id waits for this plugin's answer.
    pub(crate) fn form_of(&mut self, plugin: &PluginId, form: &str, around: Around<'_>) -> Result<FullJid, CallError> {
        let not_found = || CallError::NotFound(format!("form {form}"));
        let open = self.forms.get(form).ok_or_else(not_found)?;
        let (by, node) = (open.by.clone(), open.node.clone());
        let is_own = node.split_once('.').is_some_and(|(owner, _)| owner == plugin.as_str());
        let is_at_work = matches!(open.stage, Stage::AtWork { .. });
        // It may have lost the grant to send something to the person since.
        if !is_own || !is_at_work || self.form(&by, &node, around).is_none() {
            return Err(not_found());
        }
        Ok(by)
    }

    /// Answers a command that was given through a form, on behalf of its plugin, or notes its progress. The caller has
    /// found the form by [`Self::form_of`].
    pub(crate) fn answer_form(&mut self, form: &str, answer: FormAnswer, turn: &mut Turn<'_>) {
        let FormAnswer { text, more } = answer;
        if !more {
            self.end_form(form, text, false, turn);
        } else if let Some(Open { stage: Stage::AtWork { progress, .. }, .. }) = self.forms.get(form) {
            *progress = text;
        }
    }

    /// Notes that the plugin's handler of a command that was given through a form has ended. If the handler did not
    /// answer, the host does.
    pub(crate) fn form_handled(&mut self, form: &str, is_well: bool, turn: &mut Turn<'_>) {
        let Some(Open { stage: Stage::AtWork { progress, .. }, .. }) = self.forms.get(form) else { return };
        let said = std::mem::take(progress);
        let text = match (is_well, said.is_empty()) {
            (true, true) => DONE.to_owned(),
            (true, false) => said,
            (false, _) => {
                let words = turn.settings.failed_command_answer.clone();
                if words.is_empty() { "It failed.".to_owned() } else { words }
            }
        };
        self.end_form(form, text, !is_well, turn);
    }

    /// Ends a form whose command a hook refused.
    pub(crate) fn form_refused(&mut self, form: &str, words: Option<&str>, turn: &mut Turn<'_>) {
        self.end_form(form, words.unwrap_or(REFUSED).to_owned(), true, turn);
    }

    /// Tells a person who waits that the plugin is at work.
    pub(crate) fn form_late(&mut self, form: &str, turn: &mut Turn<'_>) {
        let Some(open) = self.forms.get(form) else { return };
        let Stage::AtWork { asked, progress } = &mut open.stage else { return };
        if let Some(asked) = asked.take() {
            let stage = at_work(progress);
            let answer = AdHocAnswer { node: open.node.clone(), session: open.session.clone(), stage };
            reply(open.by.clone(), asked.id, answer, turn);
        }
    }

    /// Ends a form with the plugin's answer: for the request that waits, or for the next one.
    fn end_form(&mut self, form: &str, text: String, failed: bool, turn: &mut Turn<'_>) {
        let Some(open) = self.forms.get(form) else { return };
        let waits = matches!(open.stage, Stage::AtWork { asked: Some(_), .. });
        if !waits {
            open.stage = Stage::Ended { text, failed };
        } else if let Some(open) = self.forms.end(form) {
            give_up(open, ended(&text, failed), turn);
        }
    }
}

/// The contents of a page that a person sent.
struct Sent {
    has_form: bool,
    values: BTreeMap<String, String>,
    /// The fields whose values were refused. They are not in `values`.
    refused: BTreeMap<String, RefusedValue>,
    action: AdHocAction,
}

/// The next step after a page was filled in.
enum Filled {
    /// Another page must be filled in, or this one again.
    Page(AdHocStage),
    /// All pages are filled in.
    All(BTreeMap<String, String>),
}

/// An answer of a plugin in a form.
#[derive(Debug)]
pub(crate) struct FormAnswer {
    pub(crate) text: String,
    /// Whether it is progress, and another one follows.
    pub(crate) more: bool,
}

/// Replaces the values of a page with those that were filled in.
fn put(page: &Page<'_>, values: &BTreeMap<String, String>, into: &mut BTreeMap<String, String>) {
    for one in page.parameters {
        into.remove(&one.name);
        if let Some(value) = values.get(&one.name) {
            into.insert(one.name.clone(), value.clone());
        }
    }
}

/// Returns the stage in which a page waits for its values.
fn shown(
    pages: &[Page<'_>],
    at: usize,
    title: &str,
    values: &BTreeMap<String, String>,
    wrong: Option<String>,
) -> AdHocStage {
    let page = pages.get(at);
    let title = page.and_then(|page| page.title).unwrap_or(title).to_owned();
    let fields = page.map(|page| page.fields(values)).unwrap_or_default();
    AdHocStage::Fill { title, fields, wrong, step: FormStep { number: at + 1, of: pages.len() } }
}

fn at_work(progress: &str) -> AdHocStage {
    AdHocStage::AtWork { note: if progress.is_empty() { AT_WORK.to_owned() } else { progress.to_owned() } }
}

fn ended(text: &str, failed: bool) -> AdHocStage {
    AdHocStage::Done { lines: text.lines().map(str::to_owned).collect(), failed }
}

/// Ends a form that is forgotten with this answer, if a request waits for one.
fn give_up(open: Open, stage: AdHocStage, turn: &mut Turn<'_>) {
    let Open { session, by, node, stage: Stage::AtWork { asked: Some(asked), .. }, .. } = open else { return };
    turn.deadlines.cancel(asked.deadline);
    reply(by, asked.id, AdHocAnswer { node, session, stage }, turn);
}

fn reply(to: FullJid, id: String, answer: AdHocAnswer, turn: &mut Turn<'_>) {
    turn.send(Outgoing::Reply { to: Some(to.into()), id, reply: Reply::AdHoc(Box::new(answer)) });
}

/// Returns the sender's client, if it belongs to a person. Occupants are excluded, since they appear under the room's
/// address. This session's own requests are excluded, since a plugin sent them.
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
        && one.acts_in(NOWHERE)
        && declared.place != Some(CommandPlace::Room)
        && person.is_among(rules.allow.as_deref().unwrap_or(&declared.allow), &one.mailbox)
        && may_send_to(one, Permission::MessagesSend, Target::Jid(bare), around.roster);
    may.then_some(&**declared)
}
