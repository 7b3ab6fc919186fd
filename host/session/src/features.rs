//! The features of a session, and the inputs that each of them gets.

pub(super) mod ad_hoc;
mod chats;
mod disco;
mod early;
mod encryption;
mod focus;
mod iq;
mod lifecycle;
mod messages;
mod presence;
pub(super) mod settings;

use std::sync::Arc;

use parlor_base::id::InstanceId;
use parlor_stanza::types::Incoming;

use crate::archive::{Archives, Sources};
use crate::bookmarks::BookmarkList;
use crate::carbons::Carbons;
use crate::cards::Cards;
use crate::cards::holders::CardHolders;
use crate::chats::Chats;
use crate::commands::Commands;
use crate::deadlines::Late;
use crate::dialogs::Dialogs;
use crate::disco::Discovery;
use crate::effect::Effect;
use crate::encryption::{EndToEnd, comparing, off_the_record, owing, publishing, sending};
use crate::hushed::Hushed;
use crate::messages::numbering::Numbering;
use crate::messages::{MessageEvents, Seen};
use crate::owners::Owners;
use crate::pubsub::Subscriptions;
use crate::rooms::Rooms;
use crate::roster::{ContactViews, Roster};
use crate::snapshot::Snapshot;
use crate::status::announce;
use crate::turn::{Common, FollowUp, Link, Turn};

/// Maximum number of stanzas that are held until the roster has come. Further ones are handled without it.
pub(super) const MAX_HELD: usize = 4_096;
/// Maximum number of bytes of these stanzas in memory.
pub(super) const MAX_HELD_BYTES: usize = 16 << 20;

/// The stanzas that are held until the roster has come.
#[derive(Debug, Default)]
pub(super) struct HeldBack {
    pub(super) stanzas: Vec<Incoming>,
    bytes: usize,
}

impl HeldBack {
    /// Holds a stanza, or returns it if there is no space.
    pub(super) fn hold(&mut self, incoming: Incoming) -> Option<Incoming> {
        let bytes = self.bytes + incoming.weight();
        if self.stanzas.len() >= MAX_HELD || bytes > MAX_HELD_BYTES {
            return Some(incoming);
        }
        self.bytes = bytes;
        self.stanzas.push(incoming);
        None
    }
}

/// All features, each with the state that it owns.
#[derive(Debug)]
pub struct Features {
    pub(super) roster: Roster,
    pub(super) cards: Cards,
    pub(super) chats: Chats,
    pub(super) rooms: Rooms,
    pub(super) bookmarks: BookmarkList,
    pub(super) carbons: Carbons,
    /// Stanzas for a session that a previous process left. They are held until the roster identifies their senders.
    pub(super) held: Option<HeldBack>,
    /// Presence that came before the roster, which is awaited.
    early: HeldBack,
    pub(super) seen: Seen,
    pub(super) archives: Archives,
    pub(super) disco: Discovery,
    pub(super) commands: Commands,
    pub(super) dialogs: Dialogs,
    pub(super) numbering: Numbering,
    /// Kept apart from `names`, for the hot path.
    message_events: MessageEvents,
    pub(super) owners: Owners,
    /// The nodes of publish-subscribe to which plugins have subscribed the account.
    pub(super) pubsub: Subscriptions,
    pub(super) encryption: EndToEnd,
    pub(super) hushed: Hushed,
}

impl Features {
    pub(super) fn new() -> Self {
        Self {
            roster: Roster::default(),
            cards: Cards::default(),
            chats: Chats::default(),
            rooms: Rooms::default(),
            bookmarks: BookmarkList::default(),
            carbons: Carbons::default(),
            held: None,
            early: HeldBack::default(),
            seen: Seen::new(),
            archives: Archives::new(),
            disco: Discovery::new(),
            commands: Commands::default(),
            dialogs: Dialogs::default(),
            numbering: Numbering::default(),
            message_events: MessageEvents::new(),
            owners: Owners::default(),
            pubsub: Subscriptions::default(),
            encryption: EndToEnd::default(),
            hushed: Hushed::default(),
        }
    }

    /// Returns the roster, and the other features that show contacts.
    fn roster_and_views(&mut self) -> (&mut Roster, ContactViews<'_>) {
        let Self { roster, chats, cards, .. } = self;
        (roster, ContactViews { chats, cards })
    }

    /// Returns the archives, and the features that know where messages are archived.
    pub(super) fn archives_and_sources(&mut self) -> (&mut Archives, Sources<'_>) {
        let Self { archives, disco, rooms, roster, seen, .. } = self;
        (archives, Sources { disco, rooms, roster, seen })
    }

    /// Returns the vCards, and the features that show them.
    pub(super) fn cards_and_holders(&mut self) -> (&mut Cards, CardHolders<'_>) {
        let Self { cards, roster, chats, rooms, .. } = self;
        (cards, CardHolders { roster, chats, rooms })
    }

    /// Handles a stanza from the stream.
    pub(super) fn incoming(&mut self, incoming: Incoming, turn: &mut Turn<'_>) {
        if !turn.is_live() {
            turn.ignored += 1;
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

    pub(super) fn take_in(&mut self, incoming: Incoming, turn: &mut Turn<'_>) {
        if self.hushed.has(&incoming) {
            turn.ignored += 1;
            return;
        }
        match incoming {
            Incoming::Message(message) => self.message(message, turn),
            Incoming::Presence(presence) => {
                let Some(mut presence) = early::before_roster(self, presence, turn) else { return };
                self.disco.caps_came(&mut presence, &self.roster, &self.rooms, turn);
                self.presence(*presence, turn);
            }
            Incoming::Archived(result) => encryption::archived(self, *result, turn),
            Incoming::Request(request) => self.requested(request, turn),
            Incoming::Answer(answer) => self.answered(answer, turn),
            Incoming::Bookmarks(changes) => self.bookmarks.changed(changes, &mut self.rooms, turn),
            Incoming::Refused(_) => turn.ignored += 1,
        }
    }

    /// Handles what follows from the last step of a feature in others.
    pub(super) fn follow_up(&mut self, turn: &mut Turn<'_>) {
        while let Some(follow_up) = turn.next_follow_up() {
            match follow_up {
                FollowUp::DiscoSettled => {
                    turn.fire_once("discoInitialized");
                    turn.fire_once("rosterInitialized");
                    self.roster.ask_roster(turn);
                }
                FollowUp::RosterSettled => self.roster_settled(turn),
                FollowUp::BookmarksSettled => self.bookmarks_settled(turn),
                FollowUp::AvailableAgain => Carbons::enable_again(&self.disco, turn),
                FollowUp::NodesAgain => self.pubsub.again(turn),
                FollowUp::RoomsAutoJoined => self.auto_joined(turn),
                FollowUp::OutOfRoom(room) => {
                    self.cards.forget_occupants(&room);
                    self.disco.known.forget_occupants(&room);
                    self.dialogs.out_of_room(&room, turn);
                    self.rooms.voices.out_of_room(&room);
                    self.encryption.room_changed(&room);
                }
                FollowUp::Say(message) => sending::send(&mut self.encryption, *message, &self.rooms, turn),
                FollowUp::NotAsked(number, error) => self.dialogs.not_asked(number, error, turn),
                FollowUp::Vouched(all) => {
                    for held in all {
                        encryption::again(self, held, turn);
                    }
                }
                FollowUp::OtrChanged(jid, status) => self.chats.set_otr_status(&jid, status, turn),
                FollowUp::OccupantLeft(room, nick) => {
                    self.dialogs.occupant_left(&room, &nick, turn);
                    self.rooms.voices.occupant_left(&room, &nick);
                }
                FollowUp::AffiliationTold(room, person, affiliation) => {
                    self.encryption.affiliation_changed(&room, person, &affiliation);
                }
                FollowUp::OccupantRenamed(room, old, new) => {
                    self.dialogs.occupant_renamed(&room, &old, &new);
                    self.rooms.voices.occupant_renamed(&room, &old, &new);
                }
                FollowUp::RoomChanged(room) => {
                    self.encryption.room_changed(&room);
                    self.disco.ask_about(&room, turn);
                }
            }
        }
    }

    /// Ends everything whose deadline has passed.
    pub(super) fn tick(&mut self, turn: &mut Turn<'_>) {
        while let Some(late) = turn.deadlines.pop() {
            match late {
                Late::Iq(id) => self.iq_timed_out(&id, turn),
                Late::Room(jid) => self.rooms.one(&jid, turn).room_late(),
                Late::RoomSilent(jid) => self.rooms.one(&jid, turn).silent(),
                Late::AutoJoins => {
                    self.rooms.auto.clear();
                    turn.follow(FollowUp::RoomsAutoJoined);
                }
                Late::RosterAgain if turn.promises.is_rejected("roster") => self.roster.ask_roster(turn),
                Late::BookmarksAgain => self.bookmarks.fetch_again(turn),
                Late::AccountAgain => self.archives.ask_account_again(&mut self.disco, turn),
                Late::ServerAgain => self.archives.ask_server_again(&mut self.disco, turn),
                Late::CarbonsAgain => self.carbons.ask_again(&self.disco, turn),
                Late::PubsubAgain => self.pubsub.ask_again(turn),
                Late::RoomAgain(room) => {
                    if self.rooms.shown.get(&room).is_some_and(|room| room.is_untold()) {
                        turn.follow(FollowUp::RoomChanged(room));
                    }
                }
                Late::Discovery => self.disco.discovery_late(turn),
                Late::Doubts => self.roster.doubts_end(turn),
                Late::Dialog(number) => self.dialogs.late(number, turn),
                Late::KeysWaited(partner) => sending::waited(&mut self.encryption, &partner, &self.rooms, turn),
                Late::KeysOwed => owing::settle(&mut self.encryption, turn),
                Late::KeysChanged => publishing::publish_changed(&mut self.encryption, turn),
                Late::KeysCheck => publishing::check(&mut self.encryption, turn),
                Late::Otr(jid) => off_the_record::late(&mut self.encryption, &jid, turn),
                Late::OtrCompared(jid) => comparing::late(&mut self.encryption, &jid, turn),
                Late::Caps if turn.caps_are_due() => announce(&mut self.rooms, turn),
                Late::Form(form) => self.commands.form_late(&form, turn),
                Late::RosterAgain | Late::Caps => {}
            }
            self.follow_up(turn);
        }
    }

    /// Removes everything that a plugin's instance owned and waited for.
    pub(super) fn instance_gone(&mut self, instance: InstanceId, common: &mut Common, effects: &mut Vec<Effect>) {
        common.promises.instance_gone(instance, effects);
        common.iqs.forget_abandoned(&mut common.deadlines);
        self.archives.forget_abandoned();
        self.chats.forget_abandoned();
        self.rooms.forget_abandoned();
        self.disco.forget_abandoned();
        common.forget_own(instance);
        self.commands.instance_gone(instance);
        self.dialogs.instance_gone(instance, &mut common.deadlines);
        self.pubsub.instance_gone(instance);
        self.encryption.forget_abandoned();
        ad_hoc::announce(self, common);
    }

    /// Returns the snapshot for readers.
    pub(super) fn snapshot(&self, common: &Common) -> Snapshot {
        Snapshot {
            jid: common.own.clone(),
            connected: common.link == Link::Up,
            status: common.status.clone(),
            contacts: self.roster.contacts.clone(),
            strangers: self.roster.strangers.clone(),
            chats: self.chats.open.clone(),
            rooms: self.rooms.shown.clone(),
            room_records: self.rooms.records.clone(),
            bookmarks: self.bookmarks.known(common),
            bookmarks_older: self.bookmarks.is_older(),
            own: Arc::clone(&common.own_disco.listed),
            known: self.disco.known.clone(),
            archive: self.archives.own_archive(common),
            rooms_told: self.rooms.told,
        }
    }
}
