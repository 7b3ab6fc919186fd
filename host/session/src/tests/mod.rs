//! The session through its public functions: inputs and their effects.

mod answers;
mod archive;
mod blocking;
mod cards;
mod chats;
mod commands;
mod connect;
mod contacts;
mod declared;
mod dialogs;
mod disco;
mod encryption;
mod forms;
mod iq;
mod limits;
mod messages;
mod otr;
mod owners;
mod people;
mod presence;
mod promises;
mod pubsub;
mod resend;
mod rooms;
mod settings;
mod status;
mod storm;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jid::{BareJid, FullJid, Jid};
use jiff::Timestamp;
use parlor_base::id::InstanceId;
use parlor_config::Settings;
use parlor_stanza::error::{CallError, StanzaError};
use parlor_stanza::raw::RawStanza;
use parlor_stanza::types::{
    self, Ask, Body, Incoming, Message, MessageKind, MucUser, Offers, Outgoing, Presence, PresenceKind, PresenceOut,
    PresenceOutKind, Query, Request, RosterItem,
};
use serde_json::Value;
use tokio::sync::oneshot::Receiver;
use tokio::sync::oneshot::error::TryRecvError;

use super::*;
use crate::event::{Event, EventName, Payload};
use crate::permissions::table;

const ROOM: &str = "room@muc.example.org";
const ROMEO: &str = "romeo@example.org";

fn jid(text: &str) -> Jid {
    Jid::new(text).unwrap()
}

fn bare(text: &str) -> BareJid {
    BareJid::new(text).unwrap()
}

fn raw(xml: &str) -> RawStanza {
    RawStanza::parse(xml, &jid("bot@example.org")).unwrap()
}

/// Returns the default settings with these values.
fn settings(values: &[(&str, Value)]) -> Settings {
    values.iter().fold(Settings::default(), |settings, (key, value)| settings.with(key, value.clone()).unwrap())
}

fn some_raw() -> RawStanza {
    raw("<message xmlns='jabber:client'/>")
}

#[expect(clippy::unnecessary_box_returns, reason = "stanzas carry it boxed")]
fn stanza_error(condition: &str) -> Box<StanzaError> {
    let (condition, kind) = (condition.to_owned(), "cancel".to_owned());
    Box::new(StanzaError { condition, kind, text: None, gone_to: None, xml: String::new() })
}

fn item(jid: &str, subscription: &str) -> RosterItem {
    RosterItem { jid: bare(jid), name: None, subscription: subscription.to_owned(), ask: false, groups: Vec::new() }
}

fn presence(from: &str, kind: PresenceKind) -> Presence {
    Presence {
        from: jid(from),
        kind,
        show: None,
        status: None,
        priority: 0,
        delay: None,
        muc: None,
        avatar: None,
        caps: None,
        nick: None,
    }
}

fn occupant(nick: &str, kind: PresenceKind, status: &[u16]) -> Presence {
    let muc = MucUser {
        affiliation: "member".to_owned(),
        role: "participant".to_owned(),
        status: status.to_vec(),
        ..MucUser::default()
    };
    Presence { muc: Some(Box::new(muc)), ..presence(&format!("{ROOM}/{nick}"), kind) }
}

fn message(from: &str, kind: MessageKind, body: &str) -> Message {
    let from = jid(from);
    Message {
        id: None,
        stanza_id: None,
        origin_id: None,
        chat: from.to_bare().into(),
        occupant_id: None,
        nick: (kind == MessageKind::Groupchat).then(|| from.resource().map(ToString::to_string)).flatten(),
        from,
        to: jid("bot@example.org"),
        kind,
        body: Some(body.to_owned()),
        subject: None,
        thread: None,
        at: Timestamp::UNIX_EPOCH,
        delayed: false,
        bodies: Vec::new(),
        command: None,
        cut: None,
        claimed_at: None,
        carbon: None,
        own: false,
        of_occupant: false,
        extensions: None,
        error: None,
        invite: None,
        declined: None,
        voice: None,
        room_status: Vec::new(),
        affiliation: None,
        labels: Vec::new(),
        encryption: None,
        device_trust: None,
        encrypted: Vec::new(),
        sealed_by: None,
        pubsub: Vec::new(),
        raw: some_raw(),
    }
}

/// Returns the payload's case as the contract calls it.
fn case(payload: &Payload) -> &'static str {
    match payload {
        Payload::None => "none",
        Payload::Text(_) => "text",
        Payload::Status(_) => "status",
        Payload::Stanza { .. } => "stanza",
        Payload::Contact(_) => "contact",
        Payload::Chat(_) => "chat",
        Payload::Message(_) => "message",
        Payload::Hook(_) => "hook",
        Payload::Room(_) => "room",
        Payload::Occupant(_) => "occupant",
        Payload::Feature { .. } => "feature",
        Payload::Invite(_) => "invite",
        Payload::Command { .. } => "command",
        Payload::Webhook(_) => "webhook",
        Payload::Schedule(_) => "schedule",
        Payload::IqRequest(_) => "iq-request",
        Payload::PluginRequest(_) => "plugin-request",
        Payload::PubsubItem(_) => "pubsub-item",
        Payload::Undecryptable(_) => "undecryptable",
        Payload::Json(_) | Payload::Field { .. } => "json",
    }
}

/// Returns the answer, as far as it was given.
fn got<T>(receiver: &mut Receiver<Result<T, CallError>>) -> Option<Result<T, CallError>> {
    match receiver.try_recv() {
        Ok(result) => Some(result),
        Err(TryRecvError::Empty) => None,
        Err(TryRecvError::Closed) => Some(Err(CallError::Stopped)),
    }
}

/// A session under test: effects are carried out, and each is recorded as one line.
struct TestSession {
    session: Session,
    now: Timestamp,
    lines: Vec<String>,
    events: Vec<Event>,
    sent: Vec<Outgoing>,
    kept: Vec<KeepRoster>,
    /// The entries that the server told, each with whether it was edited.
    entries: Vec<(Arc<Contact>, bool)>,
    room_news: Vec<RoomNews>,
    /// The changes of keys that were stored.
    keys: Vec<KeyChange>,
    /// The news about keys for the owner.
    news: Vec<KeyNews>,
    /// Whether handlers of commands from forms do not return yet.
    is_at_work: bool,
    /// The messages that hooks have not decided about yet. None: there are no hooks.
    hooked: Option<Hooked>,
}

/// Messages that wait for verdicts of hooks.
#[derive(Default)]
struct Hooked {
    answers: Vec<PossibleAnswer>,
    again: Vec<Repetition>,
}

impl TestSession {
    fn new(settings: Settings) -> Self {
        let session = Session::new(jid("bot@example.org"), settings);
        let now = "2026-11-20T06:24:00Z".parse().unwrap();
        let (lines, events, sent, kept) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (keys, news) = (Vec::new(), Vec::new());
        let (room_news, entries) = (Vec::new(), Vec::new());
        let (is_at_work, hooked) = (false, None);
        Self { session, now, lines, events, sent, kept, entries, room_news, keys, news, is_at_work, hooked }
    }

    /// Returns a connected test with Romeo and Juliet in the roster.
    fn connected(settings: Settings) -> Self {
        let mut test = Self::new(settings);
        test.run(Session::plugins_initialized);
        test.bind();
        test.roster(vec![item(ROMEO, "both"), item("juliet@example.org", "both")]);
        test.forget();
        test
    }

    fn run(&mut self, step: impl FnOnce(&mut Session, Timestamp, &mut Vec<Effect>)) {
        let (mut effects, mut returns) = (Vec::new(), Vec::new());
        step(&mut self.session, self.now, &mut effects);
        for effect in effects {
            match effect {
                Effect::Command(request) => self.lines.push(format!("command {}", request.command.node)),
                Effect::Ask(request) => self.lines.push(format!("ask {}", request.payload.namespace())),
                Effect::Send(stanza) => {
                    self.lines.push(line(&stanza));
                    self.sent.push(stanza);
                }
                Effect::SendKept(stanza) => {
                    self.lines.push(format!("{} once kept", line(&stanza)));
                    self.sent.push(stanza);
                }
                Effect::SendFor(stanza, sent) => {
                    self.lines.push(line(&stanza));
                    self.sent.push(stanza);
                    sent.queued();
                }
                Effect::Fire(event) => {
                    if let Some(rule) = table::event(&event.name) {
                        assert_eq!(case(&event.payload), rule.payload, "what {} carries", event.name);
                    }
                    self.lines.push(event.name.to_string());
                    self.events.push(event);
                }
                Effect::FireFor(instance, event) => {
                    self.lines.push(format!("{} for {instance}", event.name));
                    self.events.push(event);
                }
                Effect::FireForForm(instance, event, form) => {
                    self.lines.push(format!("{} for {instance}", event.name));
                    self.events.push(event);
                    returns.extend((!self.is_at_work).then_some(form));
                }
                Effect::FireAnswer(answer) => match &mut self.hooked {
                    Some(hooked) => hooked.answers.push(*answer),
                    None => self.comes(*answer, true),
                },
                Effect::AskAgain(again) => match &mut self.hooked {
                    Some(hooked) => hooked.again.push(*again),
                    None => self.asks_again(again.question, Ok(again.draft)),
                },
                Effect::Answer(due) | Effect::Confirm(due) => due.give(),
                Effect::Keep(change) => self.kept.push(change),
                Effect::EntryCame { contact, is_edited } => self.entries.push((contact, is_edited)),
                Effect::RoomNews(news) => self.room_news.push(news),
                Effect::KeepKeys(changes) => {
                    self.lines.extend((!changes.is_empty()).then(|| "keep keys".to_owned()));
                    self.keys.extend(changes);
                }
                Effect::KeyNews(news) => self.news.push(news),
                Effect::MakeOtrKey => self.lines.push("make an OTR key".to_owned()),
            }
        }
        for form in returns {
            self.returns(&form, true);
        }
    }

    /// Lets plugins get a message that may answer a question, unless hooks hide it.
    fn comes(&mut self, answer: PossibleAnswer, is_shown: bool) {
        let PossibleAnswer { message, events, questions } = answer;
        let mut by = None;
        self.run(|session, now, effects| {
            by = take_answer(session, &message, &questions, &|_| is_shown, now, effects);
        });
        let except = by.map(|instance| format!(" except for {instance}")).unwrap_or_default();
        for event in events.into_iter().filter(|_| is_shown) {
            self.lines.push(format!("{}{except}", event.name));
            self.events.push(event);
        }
    }

    /// Lets the choices of a question be sent again, or be stopped by this error.
    fn asks_again(&mut self, question: u64, passed: Result<types::Draft, CallError>) {
        self.run(|session, now, effects| ask_again(session, question, passed, now, effects));
    }

    /// Lets the handler of a command from this form return.
    fn returns(&mut self, form: &str, is_well: bool) {
        self.run(|session, now, effects| session.form_handled(form, is_well, now, effects));
    }

    /// Binds a stream and lets the features of the server and the account time out, so that the roster is requested.
    fn bind(&mut self) {
        self.bind_alone();
        self.go_on_to_roster();
    }

    /// Lets an entity announce these features, as far as they decide whose ids count.
    fn announces(&mut self, entity: &str, features: &[String]) {
        let Session { features: all, common } = &mut self.session;
        all.numbering.note(&jid(entity), features, &all.rooms, common);
    }

    /// Lets the features of the server and the account time out.
    fn go_on_to_roster(&mut self) {
        self.run(|session, now, effects| {
            session.input(now, effects, |features, turn| features.disco.discovery_late(turn));
        });
    }

    /// Binds a stream without any answers so far.
    fn bind_alone(&mut self) {
        let own = FullJid::new("bot@example.org/parlor").unwrap();
        self.run(|session, now, effects| session.bound(own, Offers::default(), now, effects));
    }

    fn command(&mut self, command: AnyCommand) {
        self.run(|session, now, effects| session.command(command, now, effects));
    }

    fn hear(&mut self, incoming: Incoming) {
        self.run(|session, now, effects| session.incoming(incoming, now, effects));
    }

    /// Handles stanzas in the form in which they come over the wire.
    fn hear_xml(&mut self, xml: &str) {
        let own = FullJid::new("bot@example.org/parlor").unwrap();
        let told = parlor_stanza::fuzz::told(xml.as_bytes(), xml.len().max(1), &own, self.now);
        for incoming in told {
            self.hear(incoming);
        }
    }

    fn presence(&mut self, presence: Presence) {
        self.hear(Incoming::Presence(Box::new(presence)));
    }

    fn message(&mut self, message: Message) {
        self.hear(Incoming::Message(Box::new(message)));
    }

    fn push(&mut self, item: RosterItem) {
        let query = Query::RosterPush { version: None, item, of_client: false, xml: "<iq/>".to_owned() };
        self.hear(Incoming::Request(Request { from: None, id: "push".to_owned(), query }));
    }

    /// Returns the id of the last request of this kind.
    fn asked(&self, is: impl Fn(&Ask) -> bool) -> String {
        let request = self.sent.iter().rev().find_map(|stanza| match stanza {
            Outgoing::Ask { id, ask, .. } if is(ask) => Some(id.clone()),
            _ => None,
        });
        request.expect("it was asked")
    }

    /// Returns the id of the last request of this kind to this address.
    fn asked_of(&self, who: &str, is: impl Fn(&Ask) -> bool) -> String {
        let request = self.sent.iter().rev().find_map(|stanza| match stanza {
            Outgoing::Ask { to: Some(to), id, ask } if *to == jid(who) && is(ask) => Some(id.clone()),
            _ => None,
        });
        request.expect("it was asked")
    }

    fn answer(&mut self, from: Option<&str>, id: String, outcome: Result<Body, Box<StanzaError>>) {
        self.hear(Incoming::Answer(types::Answer { from: from.map(jid), id, outcome, raw: some_raw() }));
    }

    /// Lets the own account and the server answer that they have no special features.
    fn account_told(&mut self) {
        for entity in ["bot@example.org", "example.org"] {
            let id = self.asked_of(entity, |ask| matches!(ask, Ask::DiscoInfo { .. }));
            self.answer(Some(entity), id, Err(stanza_error("service-unavailable")));
        }
    }

    /// Lets the room answer that it has no special features.
    fn room_told(&mut self) {
        let id = self.asked_of(ROOM, |ask| matches!(ask, Ask::DiscoInfo { .. }));
        self.answer(Some(ROOM), id, Err(stanza_error("service-unavailable")));
    }

    /// Lets the roster come. The requests that follow are not answered.
    fn roster_alone(&mut self, items: Vec<RosterItem>) {
        let id = self.asked(|ask| matches!(ask, Ask::Roster { .. }));
        self.answer(None, id, Ok(Body::Roster { version: None, items }));
    }

    fn roster(&mut self, items: Vec<RosterItem>) {
        let before = self.count_asked(|ask| matches!(ask, Ask::Bookmarks { .. }));
        self.roster_alone(items);
        if self.count_asked(|ask| matches!(ask, Ask::Bookmarks { .. })) > before {
            self.bookmarks(Vec::new());
        }
    }

    fn bookmarks(&mut self, bookmarks: Vec<types::Bookmark>) {
        let id = self.asked(|ask| matches!(ask, Ask::Bookmarks { .. }));
        self.answer(None, id, Ok(Body::Bookmarks(bookmarks)));
    }

    fn count_asked(&self, is: impl Fn(&Ask) -> bool) -> usize {
        self.sent.iter().filter(|stanza| matches!(stanza, Outgoing::Ask { ask, .. } if is(ask))).count()
    }

    fn wait(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        self.run(Session::tick);
    }

    fn lines(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines)
    }

    /// Changes settings of the host for a plugin that may.
    fn set(&mut self, values: &[(&str, Value)]) -> Result<(), CallError> {
        let values = values.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        let mut receiver = self.ask(ChangeSettings { values, wins: Wins::Always });
        got(&mut receiver).expect("an answer at once")
    }

    fn forget(&mut self) {
        self.lines.clear();
        self.events.clear();
    }

    fn last(&self, name: &str) -> &Payload {
        &self.events.iter().rev().find(|event| &*event.name == name).expect("it was fired").payload
    }

    fn count(&self, name: &str) -> usize {
        self.events.iter().filter(|event| &*event.name == name).count()
    }

    fn open_room(&mut self, nick: Option<&str>) -> Receiver<Result<Arc<Room>, CallError>> {
        let (answer, receiver) = Answer::channel();
        let options = RoomOptions { nick: nick.map(str::to_owned), ..RoomOptions::default() };
        self.command(AnyCommand::with(OpenRoom { by: InstanceId(1), jid: bare(ROOM), options }, answer));
        receiver
    }

    /// Lets the room send its subject, which ends its history.
    fn subject(&mut self, subject: &str) {
        let subject = Some(subject.to_owned());
        self.message(Message { subject, body: None, ..message(ROOM, MessageKind::Groupchat, "") });
    }

    /// Gives the session a command.
    fn ask<C: Command>(&mut self, command: C) -> Receiver<Result<C::Answer, CallError>> {
        let (answer, receiver) = Answer::channel();
        self.command(AnyCommand::with(command, answer));
        receiver
    }

    /// Enters the room, in which Juliet is.
    fn in_room(&mut self) {
        let mut opened = self.open_room(None);
        self.presence(occupant("juliet", PresenceKind::Available, &[]));
        self.presence(occupant("bot", PresenceKind::Available, &[110]));
        assert!(got(&mut opened).unwrap().unwrap().joined);
        self.subject("");
        self.forget();
    }

    fn wait_until(&mut self, name: &str) -> Receiver<Result<Payload, CallError>> {
        self.wait_until_as(InstanceId(1), name)
    }

    fn wait_until_as(&mut self, by: InstanceId, name: &str) -> Receiver<Result<Payload, CallError>> {
        self.ask(WaitUntil { by, name: name.into() })
    }
}

/// Describes a stanza in a few words.
fn line(stanza: &Outgoing) -> String {
    match stanza {
        Outgoing::Message { to, kind, .. } => format!("> {kind} to {to}"),
        Outgoing::Sealed(sealed) => format!("> sealed {} to {}", sealed.kind, sealed.to),
        Outgoing::Presence(PresenceOut { to, kind, show, status, priority, join, .. }) => {
            let mut words = vec![match kind {
                PresenceOutKind::Available => "> available".to_owned(),
                other => format!("> {other:?}").to_lowercase(),
            }];
            words.extend(show.map(|show| show.as_str().to_owned()));
            words.extend(status.as_ref().map(|status| format!("'{status}'")));
            words.extend(priority.map(|priority| format!("priority {priority}")));
            words.extend(to.as_ref().map(|to| format!("to {to}")));
            words.extend(join.as_ref().map(|_| "entering".to_owned()));
            words.join(" ")
        }
        Outgoing::Ask { ask: Ask::Roster { .. }, .. } => "> ask roster".to_owned(),
        Outgoing::Ask { to: Some(to), ask: Ask::DiscoInfo { .. }, .. } => format!("> ask disco of {to}"),
        Outgoing::Ask { ask: Ask::Bookmarks { .. }, .. } => "> ask bookmarks".to_owned(),
        Outgoing::Invite { to, .. } => format!("> invite to {to}"),
        Outgoing::Voice { room, voice, .. } => format!("> voice {voice:?} to {room}"),
        Outgoing::Ask { ask: Ask::EnableCarbons, .. } => "> ask carbons".to_owned(),
        Outgoing::Ask { ask: Ask::DisableCarbons, .. } => "> ask no carbons".to_owned(),
        Outgoing::Ask { ask, .. } => format!("> ask {ask:?}"),
        Outgoing::Reply { reply, .. } => format!("> reply {reply:?}"),
        Outgoing::Raw(_) => "> raw".to_owned(),
        Outgoing::Again(_) => "> again".to_owned(),
        Outgoing::Private(..) => "> private".to_owned(),
    }
}
