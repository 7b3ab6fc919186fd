//! Message archives (XEP-0313): which entities have one, the pages that are queried, and which results are trusted.
//!
//! A page is one request. Its results come before its answer, in the order of the stream. They count only if they come
//! from the queried archive, with the id of a pending query.

pub(super) mod pager;
mod running;

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use jid::{BareJid, Jid};
use jiff::Timestamp;
use parlor_base::id::InstanceId;
use parlor_base::recent::Recent;
use parlor_config::Archiving;
use parlor_stanza::error::CallError;
use parlor_stanza::types::{
    ArchiveFin, ArchivePreferences, ArchiveQuery, ArchiveResult, Ask, Body, Cursor, Disco, MAM, Message, MessageKind,
};

use crate::answer::Answer;
use crate::deadlines::Late;
use crate::disco::Discovery;
use crate::iq::{PATIENCE, Waiting, random_id};
use crate::messages::{Seen, name_occupant};
use crate::records::encryption::UndecryptableReason;
use crate::records::room::{Room, keep_trusted_ids};
use crate::rooms::Rooms;
use crate::roster::Roster;
use crate::turn::{Common, Turn};
use running::Running;

/// The error for plugins if there is no archive, or none is known.
const NO_ARCHIVE: &str = "This server does not support XEP-0313, Message Archive Management";
/// Maximum number of pages that are queried at once, for all plugins together.
pub(super) const MAX_RUNNING: usize = 256;
/// Maximum number of running and queued page queries of one plugin. It caps the limit `archive_queries`, so that one
/// plugin does not take the place of others.
pub(super) const MAX_OWN: usize = 64;
/// Maximum weight of the results of one page. The first result is always kept.
pub(super) const MAX_WEIGHT: usize = 4 << 20;
/// Maximum number of addresses that are asked at once whether they are rooms.
pub(super) const MAX_ASKED: usize = 512;
/// Number of archive ids that are remembered.
pub(super) const MAX_UIDS: usize = 4_096;
/// Time limit for an address to answer whether it is a room.
const ENTITY_PATIENCE: Duration = Duration::from_secs(10);
/// Delay before the own account is asked again after it could not announce its features.
const ASK_AGAIN: Duration = Duration::from_mins(1);

/// A message of an archive.
#[derive(Debug)]
pub struct Archived {
    /// The archive's id of the message.
    pub id: String,
    /// The id that is written in the message, until the page has come.
    inner_id: Option<String>,
    /// When it was archived. None: the server does not say.
    pub stamp: Option<Timestamp>,
    /// The message itself.
    pub message: Box<Message>,
    /// Why its contents cannot be decrypted; none if they can, or it is not encrypted.
    pub undecryptable: Option<UndecryptableReason>,
    /// About how many bytes of memory it takes.
    pub weight: usize,
}

/// A page of an archive, from the oldest message to the newest.
#[derive(Debug)]
pub struct ArchivePage {
    /// The messages of the page.
    pub messages: VecDeque<Archived>,
    /// The archive's information about the page. If it sent more than requested, this is limited to the kept part.
    pub fin: ArchiveFin,
    /// Whether it is a room's archive rather than the account's.
    pub of_room: bool,
    /// Whether the id that the page comes after or before was known to belong to this archive.
    pub cursor_known: bool,
}

/// The knowledge about the account's own archive on one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnArchive {
    /// The number of the stream, counted from the first one of this process. It changes on the same stream if that may not
    /// have brought all messages, as while the account was hidden.
    pub stream: u64,
    /// Whether there is an archive.
    pub exists: bool,
}

/// Whether an entity has an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Support {
    Unknown,
    No,
    Yes,
}

/// The place where messages exchanged with someone are archived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ArchiveOf {
    /// In the own account's archive: it is a person.
    Account,
    Room,
    /// Nowhere: it is a room without an archive.
    Nowhere,
}

/// A page that is to be queried.
#[derive(Debug)]
pub(super) struct Pending {
    /// The plugin's instance. None: the host itself.
    pub(super) by: Option<InstanceId>,
    pub(super) query: ArchiveQuery,
    pub(super) answer: Answer<ArchivePage>,
}

/// The known archives, and the queries of them.
#[derive(Debug)]
pub(super) struct Archives {
    own: Support,
    /// Queries that wait until an address has answered whether it is a room.
    waiting: HashMap<BareJid, Vec<Pending>>,
    /// The pending queries, by id.
    running: HashMap<String, Running>,
    /// The most recent archive ids.
    uids: Recent,
    /// Whether the server will be asked again for its features.
    server_again: bool,
    /// Whether the account has announced on this stream whether it has an archive, or will not.
    learnt: bool,
}

impl Archives {
    /// Returns whether the account has an archive, as far as it was announced on this stream or an earlier one.
    pub(super) fn is_there(&self) -> bool {
        self.own == Support::Yes
    }

    pub(super) fn new() -> Self {
        Self {
            own: Support::Unknown,
            waiting: HashMap::new(),
            running: HashMap::new(),
            uids: Recent::new(MAX_UIDS),
            server_again: false,
            learnt: false,
        }
    }

    /// Ends everything that only the old stream could have answered. Whether the own account has an archive is kept
    /// until it is learnt again, because no event would report it a second time.
    pub(super) fn end(&mut self, turn: &mut Turn<'_>) {
        self.learnt = false;
        self.server_again = false;
        for (_, running) in self.running.drain() {
            turn.answer(running.answer, Err(CallError::Offline));
        }
        for pending in self.waiting.drain().flat_map(|(_, waiting)| waiting) {
            turn.answer(pending.answer, Err(CallError::Offline));
        }
    }

    /// Forgets the archive: another account may be on another server.
    pub(super) fn forget(&mut self) {
        self.own = Support::Unknown;
        self.uids = Recent::new(MAX_UIDS);
    }

    pub(super) fn forget_abandoned(&mut self) {
        self.running.retain(|_, running| !running.answer.is_abandoned());
        for waiting in self.waiting.values_mut() {
            waiting.retain(|pending| !pending.answer.is_abandoned());
        }
    }

    /// Returns whether the plugin has the maximum number of queries. Abandoned ones make room, except while an address
    /// is asked whether it is a room: otherwise the plugin could have more addresses asked.
    fn is_full_of(&mut self, by: InstanceId) -> bool {
        let waiting = self.waiting.values().flatten().filter(|pending| pending.by == Some(by)).count();
        let is_full = |running: &HashMap<String, Running>| {
            waiting + running.values().filter(|running| running.by == Some(by)).count() >= MAX_OWN
        };
        if is_full(&self.running) {
            self.running.retain(|_, running| !running.answer.is_abandoned());
        }
        is_full(&self.running)
    }

    /// Returns how many pages are queried or wait to be.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.running.len() + self.waiting.values().map(Vec::len).sum::<usize>()
    }

    /// Handles the own account's answer. If it only fails for now, it has not answered whether it has an archive.
    fn account_asked(&mut self, outcome: Result<(), &CallError>, turn: &mut Turn<'_>) {
        let is_open = self.own == Support::Unknown && outcome.is_err_and(CallError::may_pass);
        if is_open {
            turn.deadlines.set(ASK_AGAIN, Late::AccountAgain);
        } else {
            self.learnt = true;
            turn.changed = true;
        }
    }

    /// Sets the preferences of the archive to the setting `message_archiving`, if it is set and there is an archive
    /// that has preferences.
    pub(super) fn ask_archive_preferences(&mut self, turn: &mut Turn<'_>) {
        if self.own == Support::Yes && turn.settings.message_archiving.is_some() {
            turn.ask(None, Ask::ArchivePreferences, Waiting::ArchivePreferences, PATIENCE);
        }
    }

    /// Handles the answer to a page. Later results of it are not accepted.
    pub(super) fn archive_answered(&mut self, queryid: &str, outcome: Result<Body, CallError>, turn: &mut Turn<'_>) {
        // The plugin may have ended meanwhile.
        let Some(running) = self.running.remove(queryid) else { return };
        let outcome = match outcome {
            Ok(body) => Ok(body),
            Err(CallError::Stanza(error)) => Err(error),
            Err(error) => return turn.answer(running.answer, Err(error)),
        };
        let archive = running.archive.clone();
        let (answer, result) = running.end(outcome);
        for archived in result.iter().flat_map(|page| &page.messages) {
            let hash = self.uids.hash((&archive, &archived.id));
            self.uids.note(hash);
        }
        turn.answer(answer, result);
    }

    /// Handles the features of the own account: the account announces the archive, not the server.
    pub(super) fn account_answered(&mut self, disco: &Disco, turn: &mut Turn<'_>) {
        let has_archive = disco.features.iter().any(|feature| feature == MAM);
        self.own = if has_archive { Support::Yes } else { Support::No };
        self.ask_archive_preferences(turn);
    }

    /// Returns whether the account has an archive, once it has announced that on this stream and messages may come.
    pub(super) fn own_archive(&self, common: &Common) -> Option<OwnArchive> {
        let exists = self.own == Support::Yes;
        (common.announced && self.learnt).then_some(OwnArchive { stream: common.stream, exists })
    }
}

fn unsupported() -> CallError {
    CallError::Unsupported(NO_ARCHIVE.to_owned())
}

/// The features that know where messages are archived.
pub(super) struct Sources<'a> {
    pub(super) disco: &'a mut Discovery,
    pub(super) rooms: &'a Rooms,
    pub(super) roster: &'a Roster,
    pub(super) seen: &'a Seen,
}

impl Sources<'_> {
    /// Returns the address if it may be a room. Contacts, the own domain and occupants of rooms are none.
    fn may_be_room(&self, with: Option<&Jid>, turn: &mut Turn<'_>) -> Option<BareJid> {
        let with = with?.clone().try_into_full().err()?;
        let is_person = with.node().is_none() || with.domain() == turn.own.domain() || self.roster.has(&with);
        (self.rooms.has(&with) || !is_person).then_some(with)
    }
}

impl Archives {
    /// Queries one page: of the room, if it is a room's archive.
    pub(super) fn query(&mut self, asked: Pending, sources: &mut Sources<'_>, turn: &mut Turn<'_>) {
        if !turn.is_live() {
            return turn.answer(asked.answer, Err(CallError::Offline));
        }
        if asked.by.is_some_and(|by| self.is_full_of(by)) {
            let error = CallError::OverLimit(format!("{MAX_OWN} pages of archives are being asked for by one plugin"));
            return turn.answer(asked.answer, Err(error));
        }
        let Some(other) = sources.may_be_room(asked.query.with.as_ref(), turn) else {
            return self.ask(None, asked, sources.seen, turn);
        };
        if let Some(waiting) = self.waiting.get_mut(&other) {
            if waiting.len() >= MAX_RUNNING {
                return turn.answer(asked.answer, Err(too_many()));
            }
            return waiting.push(asked);
        }
        match archived_at(&other, sources.disco, sources.rooms, turn) {
            Some(place) => self.ask_at(place, other, asked, sources.seen, turn),
            None if self.waiting.len() >= MAX_ASKED => turn.answer(asked.answer, Err(too_many())),
            None => {
                self.waiting.insert(other.clone(), vec![asked]);
                sources.disco.learn(Jid::from(other), ENTITY_PATIENCE, turn);
            }
        }
    }

    fn ask_at(&mut self, place: ArchiveOf, other: BareJid, asked: Pending, seen: &Seen, turn: &mut Turn<'_>) {
        match place {
            ArchiveOf::Account => self.ask(None, asked, seen, turn),
            ArchiveOf::Room => self.ask(Some(other), asked, seen, turn),
            ArchiveOf::Nowhere => turn.answer(asked.answer, Err(unsupported())),
        }
    }

    fn ask(&mut self, room: Option<BareJid>, mut pending: Pending, seen: &Seen, turn: &mut Turn<'_>) {
        if room.is_none() && self.own != Support::Yes {
            return turn.answer(pending.answer, Err(unsupported()));
        }
        if self.running.len() >= MAX_RUNNING {
            self.forget_abandoned();
        }
        if self.running.len() >= MAX_RUNNING {
            return turn.answer(pending.answer, Err(too_many()));
        }
        let query = &mut pending.query;
        query.queryid = random_id();
        let to = room.clone().map(Jid::from);
        let of_room = room.is_some();
        let archive = room.unwrap_or_else(|| turn.own.to_bare());
        let known = match &query.cursor {
            Cursor::After(id) | Cursor::Before(id) => {
                // It came from that archive, in a page or in a recent message.
                self.uids.knows(self.uids.hash((&archive, &**id))) || seen.knows(of_room.then_some(&archive), id)
            }
            Cursor::Start | Cursor::Index(_) => true,
        };
        let mut asked = query.clone();
        asked.with = asked.with.filter(|_| !of_room);
        let id = query.queryid.clone();
        self.running.insert(id.clone(), Running::new(archive, of_room, known, pending));
        let patience = Duration::from_millis(turn.settings.message_archiving_timeout.into());
        turn.ask(to, Ask::Archive(Box::new(asked)), Waiting::Archive(id), patience);
    }

    /// Returns whose archive a result is from, and whether that is a room's; `None` if it was not requested.
    pub(super) fn asked_for(&self, result: &ArchiveResult) -> Option<(BareJid, bool)> {
        let running = self.running.get(result.queryid.as_ref()?).filter(|running| running.archive == result.from)?;
        result.message.as_ref().filter(|message| running.wants(message))?;
        Some((running.archive.clone(), running.of_room))
    }

    /// Handles a result. It counts only while its query is pending, and only from the queried archive. `undecryptable`: why it cannot
    /// be decrypted.
    pub(super) fn archived(
        &mut self,
        result: ArchiveResult,
        undecryptable: Option<UndecryptableReason>,
        rooms: &Rooms,
        roster: &Roster,
        turn: &mut Turn<'_>,
    ) {
        let ArchiveResult { from, queryid, id, inner_id, stamp, message, author, weight } = result;
        let running = queryid.and_then(|queryid| self.running.get_mut(&queryid));
        let Some(running) = running.filter(|running| running.archive == from) else {
            turn.ignored += 1;
            return;
        };
        let Some(mut message) = message.filter(|message| running.wants(message)) else {
            turn.ignored += 1;
            return;
        };
        let room = rooms.shown.get(&running.archive).filter(|_| running.of_room).map(|room| &**room);
        keep_trusted_ids(room, &mut message);
        if running.of_room {
            let is_ours = room.is_some_and(|room| room.is_ours(&message));
            message.own = match author {
                // If the room shows us no addresses, somebody else may have written ours, to hide the message from plugins.
                Some(author) => {
                    author.to_bare() == turn.own.to_bare() && (is_ours || room.is_none_or(Room::names_people))
                }
                None => is_ours,
            };
        } else if message.kind != MessageKind::Groupchat {
            name_occupant(&mut message, rooms, roster);
        }
        if !running.keep(Archived { id, inner_id, stamp, message, undecryptable, weight }) {
            turn.ignored += 1;
        }
    }

    /// Handles an entity's answer to a query for its identities and features, or the failure to answer.
    pub(super) fn entity_answered(
        &mut self,
        entity: &Jid,
        outcome: Result<(), &CallError>,
        sources: &Sources<'_>,
        turn: &mut Turn<'_>,
    ) {
        if *entity == turn.own.to_bare() {
            self.account_asked(outcome, turn);
        } else if *entity == turn.server() && outcome.is_err_and(CallError::may_pass) {
            // Carbons and the server's services depend on it.
            if !std::mem::replace(&mut self.server_again, true) {
                turn.deadlines.set(ASK_AGAIN, Late::ServerAgain);
            }
        } else if outcome.is_err_and(CallError::may_pass) {
            sources.rooms.room_untold(entity, turn);
        }
        let Some((other, waiting)) = self.waiting.remove_entry(entity) else { return };
        let place = match outcome {
            Ok(()) => archived_at(&other, sources.disco, sources.rooms, turn).unwrap_or(ArchiveOf::Account),
            // The room does not answer, or its service does not have it: the caller gets the error.
            Err(error) if sources.rooms.has(&other) || sources.disco.is_no_room(&other, error, turn) => {
                for pending in waiting {
                    turn.answer(pending.answer, Err(error.clone()));
                }
                return;
            }
            // Servers reveal nothing about people to strangers.
            Err(_) => ArchiveOf::Account,
        };
        for pending in waiting.into_iter().filter(|pending| !pending.answer.is_abandoned()) {
            self.ask_at(place, other.clone(), pending, sources.seen, turn);
        }
    }

    pub(super) fn ask_account_again(&self, disco: &mut Discovery, turn: &mut Turn<'_>) {
        if turn.is_live() && !self.learnt {
            disco.learn(Jid::from(turn.own.to_bare()), PATIENCE, turn);
        }
    }

    pub(super) fn ask_server_again(&mut self, disco: &mut Discovery, turn: &mut Turn<'_>) {
        self.server_again = false;
        if turn.is_live() {
            disco.learn(turn.server(), PATIENCE, turn);
        }
    }
}

/// Returns where messages exchanged with this address are archived, as far as the address has announced what it is.
fn archived_at(other: &Jid, disco: &Discovery, rooms: &Rooms, turn: &Turn<'_>) -> Option<ArchiveOf> {
    let known = disco.known.of(other, turn.now)?;
    let is_room = rooms.has(other) || known.identities.iter().any(|one| one.category == "conference");
    match (is_room, disco.can(other, MAM, turn)?) {
        (false, _) => Some(ArchiveOf::Account),
        (true, true) => Some(ArchiveOf::Room),
        (true, false) => Some(ArchiveOf::Nowhere),
    }
}

fn too_many() -> CallError {
    CallError::OverLimit(format!("{MAX_RUNNING} pages of archives are being asked for"))
}

/// Changes the default preference, if it differs from the setting. The lists stay as they are.
pub(super) fn archive_preferences_came(outcome: Result<Body, CallError>, turn: &mut Turn<'_>) {
    let Ok(Body::ArchivePreferences(preferences)) = outcome else { return };
    let wanted = match turn.settings.message_archiving {
        None => return,
        Some(Archiving::Never) => "never",
        Some(Archiving::Always) => "always",
        Some(Archiving::Roster) => "roster",
    };
    if preferences.default != wanted {
        let changed = ArchivePreferences { default: wanted.to_owned(), ..preferences };
        turn.ask(None, Ask::SetArchivePreferences(changed), Waiting::ArchivePreferencesSet, PATIENCE);
    }
}
