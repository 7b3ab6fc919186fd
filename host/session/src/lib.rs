//! The knowledge of one account, and the rules about reading and changing it.
//!
//! [`Session`] is fed with stanzas from the stream, commands of plugins, and the time. It changes its state and returns
//! the [`Effect`]s, in order. Readers never touch it: they hold a [`Snapshot`].
//!
//! **Owns:** roster, presence, rooms, chats, archive queries, chat commands, promises and status of one account; [`event`]s and
//! the [`router`] that hands them to plugins; [`permissions`].
//!
//! **Must not** do I/O: no network, no file, no guest. It reads no clock but is told the time, and it never waits for a plugin.
//!
//! **Begin with** [`Session`] and [`Command`], then [`router`].

mod again;
mod archive;
mod cards;
mod chats;
mod command;
pub mod command_names;
mod commands;
mod contacts;
mod deadlines;
mod disco;
mod effect;
pub mod event;
mod lifecycle;
mod messages;
mod names;
mod occupants;
mod owners;
pub mod permissions;
pub mod position;
mod presence;
mod promises;
mod questions;
mod rooms;
mod roster;
pub mod router;
mod settings;
mod snapshot;
mod status;
#[cfg(test)]
mod tests;
mod view;
mod waiters;

use std::ops::RangeInclusive;
use std::sync::Arc;

use jid::{BareJid, Jid};
use jiff::{SignedDuration, Timestamp};
use parlor_base::id::InstanceId;
use parlor_config::Settings;
use parlor_stanza::error::CallError;
use parlor_stanza::types::{Incoming, Outgoing};

use crate::event::{Event, EventName, Payload};
use crate::waiters::Waiter;

pub use archive::{ArchivePage, Archived, OwnArchive, Pager};
pub use cards::KnownCard;
pub use chats::Chat;
pub use command::{Answer, Command, Wins};
pub use commands::Spoken;
pub use contacts::ContactWish;
pub use disco::KnownDisco;
pub use effect::{Due, Effect, Sent};
pub use occupants::Occupant;
pub use owners::OWNER_COMMANDS;
pub use presence::ContactResource;
pub use questions::{MOST_IQS, PATIENCE};
pub use rooms::{Bookmarks, ConfigValue, MAX_ROOMS, NoBookmarks, Room, RoomDeed, RoomWish};
pub use roster::{Contact, Contacts, KeepRoster};
pub use snapshot::Snapshot;
pub use status::{Status, StatusValue};
pub use view::{Attribute, CHAT_FIELDS, ROOM_FIELDS, View, ViewChange, field_name};

/// Maximum number of stanzas that are held until the roster has come. Further ones are handled without it.
const MAX_HELD: usize = 4_096;
/// Maximum number of bytes of these stanzas in memory.
const MAX_HELD_BYTES: usize = 16 << 20;

/// The stanzas that are held until the roster has come.
#[derive(Debug, Default)]
struct HeldBack {
    stanzas: Vec<Incoming>,
    bytes: usize,
}

impl HeldBack {
    /// Holds a stanza, or returns it if there is no room.
    fn hold(&mut self, incoming: Incoming) -> Option<Incoming> {
        let bytes = self.bytes + incoming.weight();
        if self.stanzas.len() >= MAX_HELD || bytes > MAX_HELD_BYTES {
            return Some(incoming);
        }
        self.bytes = bytes;
        self.stanzas.push(incoming);
        None
    }
}

/// The state of one account, and the rules by which it changes.
#[derive(Debug)]
pub struct Session {
    /// The bound full JID; before the first log-in, the configured one.
    own: Jid,
    settings: Settings,
    link: lifecycle::Link,
    /// The number of streams that were bound.
    stream: u64,
    /// When the last stream was bound.
    bound_at: Timestamp,
    /// When the last stream was lost.
    cut_at: Timestamp,
    /// Whether the stream was lost and resumed since (XEP-0198).
    resumed: bool,
    deadlines: deadlines::Deadlines,
    status: Status,
    /// Whether the connect order of this stream has reached the first presence.
    announced: bool,
    /// The time between binding the stream and its first presence. The server stores messages from that time, since the
    /// account seems to be offline.
    arriving: Option<RangeInclusive<Timestamp>>,
    roster: roster::Roster,
    cards: cards::Cards,
    chats: chats::Chats,
    rooms: rooms::Rooms,
    /// The open chat or room that a person types into.
    focus: Option<view::Focus>,
    promises: promises::Promises,
    questions: questions::Questions,
    /// The timer for another attempt to switch carbons, after the server could not do it.
    carbons_again: Option<deadlines::DeadlineKey>,
    /// Stanzas for a session that a previous process left, held until the roster says from whom they are.
    held: Option<HeldBack>,
    seen: messages::Seen,
    again: again::Again,
    archives: archive::Archives,
    disco: disco::Discovery,
    commands: commands::Commands,
    names: names::Names,
    numbering: messages::Numbering,
    /// Kept apart from `names`, for the hot path.
    message_events: messages::MessageEvents,
    /// The people who may give commands to the host itself (XEP-0050).
    owners: Vec<BareJid>,
    /// Whether readers should get a new snapshot.
    changed: bool,
    ignored: u64,
}

/// The context of one call of the session: the time, and the list for the effects.
struct Turn<'a> {
    now: Timestamp,
    out: &'a mut Vec<Effect>,
}

impl Turn<'_> {
    fn send(&mut self, stanza: Outgoing) {
        self.out.push(Effect::Send(stanza));
    }

    fn answer<T: Send + 'static>(&mut self, answer: Answer<T>, result: Result<T, CallError>) {
        self.out.push(Effect::Answer(Due::new(answer, result)));
    }

    fn fire_named(&mut self, name: EventName, payload: Payload) {
        self.out.push(Effect::Fire(Event { name, at: self.now, payload }));
    }
}

impl Session {
    /// Creates the session of an account that has not connected yet.
    pub fn new(own: Jid, settings: Settings) -> Self {
        let names = names::Names::new();
        let status = Status::initial(&settings);
        Self {
            own,
            link: lifecycle::Link::Starting,
            stream: 0,
            bound_at: Timestamp::UNIX_EPOCH,
            cut_at: Timestamp::UNIX_EPOCH,
            resumed: false,
            deadlines: deadlines::Deadlines::default(),
            status,
            announced: false,
            arriving: None,
            roster: roster::Roster::default(),
            cards: cards::Cards::default(),
            chats: chats::Chats::default(),
            rooms: rooms::Rooms::default(),
            focus: None,
            promises: promises::Promises::new(&names),
            questions: questions::Questions::default(),
            carbons_again: None,
            held: None,
            seen: messages::Seen::new(),
            again: again::Again::default(),
            archives: archive::Archives::new(),
            disco: disco::Discovery::new(&settings),
            commands: commands::Commands::default(),
            numbering: messages::Numbering::default(),
            message_events: messages::MessageEvents::new(&names),
            names,
            settings,
            owners: Vec::new(),
            changed: true,
            ignored: 0,
        }
    }

    /// Handles a stanza that came over the stream.
    pub fn incoming(&mut self, incoming: Incoming, now: Timestamp, effects: &mut Vec<Effect>) {
        let turn = &mut self.turn(now, effects);
        if !self.is_live() {
            self.ignored += 1;
            return;
        }
        let incoming = match &mut self.held {
            Some(held) if matches!(incoming, Incoming::Message(_) | Incoming::Presence(_)) => held.hold(incoming),
            _ => Some(incoming),
        };
        if let Some(incoming) = incoming {
            self.take_in(incoming, turn);
        }
    }

    fn take_in(&mut self, incoming: Incoming, turn: &mut Turn<'_>) {
        match incoming {
            Incoming::Message(message) => self.message(message, turn),
            Incoming::Presence(mut presence) => {
                self.caps_came(&mut presence);
                self.presence(*presence, turn);
            }
            Incoming::Archived(result) => self.archived(*result),
            Incoming::Request(request) => self.requested(request, turn),
            Incoming::Answer(answer) => self.answered(answer, turn),
            Incoming::Bookmarks(changes) => self.bookmarks_changed(changes, turn),
            Incoming::Refused(_) => self.ignored += 1,
        }
    }

    /// Carries out a permitted command of a plugin. A command whose caller no longer waits is dropped: its plugin may
    /// be gone, and nothing would clean up after it.
    pub fn command(&mut self, command: Command, now: Timestamp, effects: &mut Vec<Effect>) {
        if command.is_abandoned() {
            return;
        }
        let turn = &mut self.turn(now, effects);
        match command {
            Command::SendMessage { to, kind, draft, answer } => self.send_message(to, kind, *draft, answer, turn),
            Command::SendRaw { by, stanza, answer } => self.send_raw(by, stanza, answer, turn),
            Command::SendIq { by, iq, answer } => self.send_iq(by, &iq, answer, turn),
            Command::QueryArchive { by, query, answer } => {
                self.query_archive(archive::Pending { by, query: *query, answer }, turn);
            }
            Command::OpenChat { by, jid, answer } => self.open_chat(jid, Waiter { by, answer }, turn),
            Command::CloseChat { jid, answer } => {
                let result = self.close_chat(&jid, turn);
                turn.answer(answer, result);
            }
            Command::ChangeChatView { jid, change, answer } => {
                let result = self.change_chat_view(&jid, change, turn);
                turn.answer(answer, result);
            }
            Command::SetChatAttribute { jid, attribute, answer } => {
                let result = self.set_chat_attribute(&jid, &attribute);
                turn.answer(answer, result);
            }
            Command::OpenRoom { by, jid, wish, answer } => self.open_room(&jid, *wish, Waiter { by, answer }, turn),
            Command::CloseRoom { by, jid, answer } => self.close_room(&jid, Waiter { by, answer }, turn),
            Command::GetCard { jid, force, answer } => self.get_card(&jid, force, answer, turn),
            Command::UpdateCard { jid, force, answer } => self.update_card(&jid, force, answer, turn),
            Command::SetCard { by, change, answer } => self.set_card(cards::Change { by, wish: change, answer }, turn),
            Command::Contact { jid, wish, answer } => self.wish_contact(jid, wish, answer, turn),
            Command::Room { jid, deed } => self.room_deed(&jid, deed, turn),
            Command::SetStatus { value, message, answer } => {
                let result = self.set_status(value, message, turn);
                turn.answer(answer, result);
            }
            Command::Emit { by, name, payload, answer } => {
                let result = self.emit(by, &name, payload, turn);
                turn.answer(answer, result);
            }
            Command::AddPromises { by, names, most, answer } => {
                let result = self.add_promises(by, &names, most);
                turn.answer(answer, result);
            }
            Command::RejectPromise { by, name, reason, answer } => {
                let result = self.reject_promise(by, &name, reason, turn);
                turn.answer(answer, result);
            }
            Command::WaitUntil { by, name, answer } => self.wait_until(by, &name, answer, turn),
            Command::AddFeature { by, name, answer } => {
                let result = self.add_feature(by, name);
                turn.answer(answer, result);
            }
            Command::AddIdentity { by, identity, answer } => {
                let result = self.add_identity(by, identity);
                turn.answer(answer, result);
            }
            Command::ClearIdentities { by, answer } => {
                self.clear_identities(by);
                turn.answer(answer, Ok(()));
            }
            Command::ChangeSettings { values, wins, answer } => {
                let result = self.change_settings(values, wins, turn);
                turn.answer(answer, result);
            }
            Command::AddCommand { mailbox, names, plugin, spoken, most, answer } => {
                let result = self.add_command(mailbox, names, plugin, spoken, most);
                turn.answer(answer, result);
            }
            Command::RemoveCommand { by, plugin, name, answer } => {
                let result = self.remove_command(by, &plugin, &name);
                turn.answer(answer, result);
            }
            Command::AnswerFailed { message, answer } => {
                let result = self.answer_failed(&message, turn);
                turn.answer(answer, result);
            }
            Command::Discover { entity, answer } => self.discover(entity, answer, turn),
        }
    }

    /// Ends everything whose deadline has passed.
    pub fn tick(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let turn = &mut self.turn(now, effects);
        while let Some(late) = self.deadlines.pop() {
            match late {
                deadlines::Late::Question(id) => self.question_late(&id, turn),
                deadlines::Late::Room(jid) => self.room_late(&jid, turn),
                deadlines::Late::RoomSilent(jid) => self.room_silent(&jid, turn),
                deadlines::Late::AutoJoins => {
                    self.give_up_auto_joins();
                    self.auto_joined(turn);
                }
                deadlines::Late::RosterAgain if self.promises.is_rejected("roster") => self.ask_roster(turn),
                deadlines::Late::RosterAgain => {}
                deadlines::Late::BookmarksAgain => self.fetch_bookmarks_again(turn),
                deadlines::Late::AccountAgain => self.ask_account_again(turn),
                deadlines::Late::ServerAgain => self.ask_server_again(turn),
                deadlines::Late::CarbonsAgain => self.ask_carbons_again(turn),
                deadlines::Late::RoomAgain(room) => self.ask_about_again(&room, turn),
                deadlines::Late::Discovery => self.discovery_late(turn),
                deadlines::Late::Doubts => self.doubts_end(turn),
                deadlines::Late::Caps => self.caps_due(turn),
            }
        }
    }

    /// Returns when [`tick`](Self::tick) is due. None: only after another input.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.next()
    }

    /// Removes everything that a plugin's instance owned and waited for.
    ///
    /// Its calls are recognised by their dropped receivers, so drop those first.
    pub fn instance_gone(&mut self, instance: InstanceId, effects: &mut Vec<Effect>) {
        self.promises.instance_gone(instance, effects);
        self.questions.forget_abandoned(&mut self.deadlines);
        self.archives.forget_abandoned();
        self.chats.forget_abandoned();
        self.rooms.forget_abandoned();
        self.disco.forget_abandoned();
        self.forget_own(instance);
        self.commands.instance_gone(instance);
    }

    /// Lets an instance register the same as another one, which it is to replace.
    pub fn instance_heir(&mut self, new: InstanceId, of: InstanceId) {
        self.promises.heir(new, of);
    }

    /// Transfers everything that one instance registered to the one that replaces it.
    pub fn instance_inherits(&mut self, new: InstanceId) {
        self.promises.inherit(new);
        self.commands.inherit(new);
    }

    /// Returns the snapshot for readers.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            jid: self.own.clone(),
            connected: self.link == lifecycle::Link::Up,
            status: self.status.clone(),
            contacts: self.roster.contacts.clone(),
            strangers: self.roster.strangers.clone(),
            chats: self.chats.open.clone(),
            rooms: self.rooms.shown.clone(),
            bookmarks: self.known_bookmarks(),
            bookmarks_older: self.rooms.bookmarks_older,
            own: Arc::clone(&self.disco.own.listed),
            known: self.disco.known.clone(),
            archive: self.own_archive(),
            rooms_told: self.rooms.told,
        }
    }

    /// Returns how many streams were bound so far. A resumed stream is the same one.
    pub fn stream(&self) -> u64 {
        self.stream
    }

    /// Returns whether the first presence on this stream was sent, or would have been if the account were not hidden.
    pub fn is_announced(&self) -> bool {
        self.announced
    }

    /// Returns whether readers should get a new [`snapshot`](Self::snapshot), since the last call.
    pub fn changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Returns how many stanzas were not trusted, were duplicates, or were more than is kept.
    pub fn ignored(&self) -> u64 {
        self.ignored
    }

    /// Adjusts to a clock that was set by this much. No deadline comes nearer or moves away.
    pub fn clock_set(&mut self, by: SignedDuration) {
        for at in [&mut self.bound_at, &mut self.cut_at] {
            *at = at.checked_add(by).unwrap_or(*at);
        }
        self.arriving = None;
        self.deadlines.clock_set(by);
    }

    fn turn<'a>(&mut self, now: Timestamp, out: &'a mut Vec<Effect>) -> Turn<'a> {
        self.deadlines.advance(now);
        Turn { now, out }
    }

    /// Returns whether stanzas reach the server, now or when the stream is resumed.
    fn is_live(&self) -> bool {
        matches!(self.link, lifecycle::Link::Up | lifecycle::Link::Suspended)
    }

    fn is_over(&self) -> bool {
        self.link == lifecycle::Link::Over
    }

    /// Fires one of the host's events, and resolves the promise of its name.
    fn fire(&mut self, name: &'static str, payload: Payload, turn: &mut Turn<'_>) {
        let resolves = self.promises.is_unresolved(name).then(|| payload.clone());
        turn.fire_named(self.names.get(name), payload);
        if let Some(payload) = resolves {
            self.promises.resolve(name, payload, turn.out);
        }
    }
}
