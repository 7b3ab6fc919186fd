//! A mock server within the process, for authors' tests: without socket, TLS or log-in, and without users other than
//! those that a test names.
//!
//! It answers the requests of a starting session, keeps a roster and rooms, and reports in order what the account does.
//! It only reacts and never waits: a stanza is answered before the call returns.

mod action;
mod answers;
mod archive;
mod blocking;
mod filling;
mod form;
mod impossible;
mod memory;
mod mishaps;
mod nodes;
mod occupant;
mod replies;
mod rooms;
mod said;
mod sealed;
mod words;
mod written;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use jid::{BareJid, FullJid, Jid};
use jiff::Timestamp;
use minidom::Element;
use parlor_base::clock::Clock;
use parlor_config::LinkSettings;
use parlor_stanza::encode::{element, encode};
use parlor_stanza::sieve::lost::Lost;
use parlor_stanza::types::{Message, MessageKind, Offers, Outgoing};
use parlor_xmpp::{LinkEvent, LocalServer, too_old};
use xmpp_parsers::stanza::Stanza;

use self::archive::Archive;
use self::blocking::Blocked;
use self::memory::Memory;
use self::rooms::Rooms;
use self::said::Ids;
use self::words::presence;

pub use action::{Action, FormShown, Reported};
pub use filling::FormAct;
pub use impossible::Impossible;
pub use nodes::NodeRequest;
pub use occupant::Rank;
pub use rooms::RoomKind;
pub use said::{About, How, Said};
pub use sealed::Sealed;

/// An event on its way to the account.
#[derive(Debug)]
enum Coming {
    Bound,
    Cut,
    Back,
    Stanza(Element),
    Closed,
}

/// The mock server. Clones share the same server.
#[derive(Clone)]
pub struct MockServer(Arc<Mutex<Server>>);

/// A callback for the account's actions, in order.
type Witness = Box<dyn FnMut(Action) + Send>;

struct Server {
    own: FullJid,
    clock: Clock,
    witness: Witness,
    /// Whether the account is available, and has sent its presence.
    is_present: bool,
    /// When the connection was lost, while it is down: nothing passes in either direction.
    cut: Option<Timestamp>,
    /// How long messages of the account are kept while the connection is down.
    keep_unsent: Duration,
    coming: VecDeque<Coming>,
    /// The stanzas of people while the connection is down; and the account's stanzas meanwhile, with whether a plugin
    /// requested them. Both are delivered when the connection is back.
    missed: Vec<Element>,
    unsent: VecDeque<(Stanza, bool)>,
    waker: Option<Waker>,
    /// The contacts, with their roster items.
    roster: BTreeMap<BareJid, Element>,
    blocked: Blocked,
    /// The addresses that are available, with their last presence.
    present: BTreeMap<Jid, Element>,
    rooms: Rooms,
    /// Rooms that the account enters because of its settings, and not for a plugin.
    expected: BTreeSet<BareJid>,
    /// The last status of the account.
    status: Option<(String, String)>,
    /// The messages so far.
    told: Memory,
    /// The archives; `None` if this server has none.
    archive: Option<Archive>,
    /// The answers of people and services to requests.
    replies: replies::Replies,
    /// The forms of commands that people have before them.
    people: filling::People,
    /// The requests that the test has written out.
    written: written::Requests,
    /// The number of ids assigned so far.
    numbered: u64,
}

impl MockServer {
    /// Creates a server for this account, with this clock.
    pub fn new(own: FullJid, clock: Clock, witness: impl FnMut(Action) + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(Server {
            own,
            clock,
            witness: Box::new(witness),
            is_present: false,
            cut: None,
            keep_unsent: Duration::ZERO,
            coming: VecDeque::new(),
            missed: Vec::new(),
            unsent: VecDeque::new(),
            waker: None,
            roster: BTreeMap::new(),
            blocked: Blocked::default(),
            present: BTreeMap::new(),
            rooms: Rooms::default(),
            expected: BTreeSet::new(),
            status: None,
            told: Memory::default(),
            archive: Some(Archive::default()),
            replies: replies::Replies::default(),
            people: filling::People::default(),
            written: written::Requests::default(),
            numbered: 0,
        })))
    }

    /// Returns the server's clock.
    pub fn clock(&self) -> Clock {
        self.server().clock
    }

    /// Removes the archives, with all that was stored in them.
    pub fn archive_nothing(&self) {
        self.server().archive = None;
    }

    /// Sends a message from somebody to the account, or into a room that it is in. Returns the message's ids: its own,
    /// and the room's or the archive's.
    pub fn say(&self, said: &Said) -> Result<Vec<String>, Impossible> {
        let mut server = self.server();
        if let Said { from, to_room: true, .. } = said {
            server.rooms.may_speak(from)?;
        }
        let about = said.about.as_ref();
        let extensions = about.map(|about| server.told.extensions(said, about)).transpose()?.unwrap_or_default();
        let body = server.told.body(said)?;
        let ids = Ids { own: server.number("said"), rooms: said.to_room.then(|| server.number("room")) };
        let mut element = said.element(&ids, &body, extensions, &server.own);
        if let Some(id) = server.rooms.id(&said.from) {
            element.append_child(words::occupant_id(id));
        }
        let archived = server.archive_said(said, &ids, &mut element);
        server.bring(element);
        let known = std::iter::once(ids.own.clone()).chain(ids.rooms.clone()).chain(archived).collect();
        if !said.body.is_empty() {
            server.told.add(said, ids);
        }
        Ok(known)
    }

    /// Makes somebody a contact of the account, in these groups, with a subscription both ways.
    pub fn befriend(&self, jid: &BareJid, name: Option<&str>, groups: &[String]) {
        let mut server = self.server();
        let item = words::roster_item(jid, name, "both", groups);
        server.roster.insert(jid.clone(), item.clone());
        if server.is_present {
            server.push_roster(item);
        }
    }

    /// Changes somebody's presence: `show` as in RFC 6121, or `offline`.
    pub fn appear(&self, who: &FullJid, show: &str, status: Option<&str>) {
        let mut server = self.server();
        let element = words::appearance(who, show, status);
        if show == "offline" {
            server.present.remove(&Jid::from(who.clone()));
        } else {
            server.present.insert(who.clone().into(), element.clone());
        }
        if server.is_present {
            server.bring(element);
        }
    }

    /// Sends a request from somebody to subscribe to the account's presence.
    pub fn ask_to_see(&self, who: &BareJid) {
        self.server().bring(presence(Some(&who.clone().into()), Some("subscribe"), Vec::new()));
    }

    /// Announces that the account will enter this room because of its settings, which is not reported as an action.
    pub fn expect_in(&self, room: &BareJid) {
        let mut server = self.server();
        server.rooms.found(room);
        server.expected.insert(room.clone());
    }

    /// Makes somebody enter a room.
    pub fn enter_room(&self, occupant: &FullJid, user: &FullJid) -> Result<(), Impossible> {
        let mut server = self.server();
        let told = server.rooms.enter(occupant, user)?;
        server.bring_all(told);
        Ok(())
    }

    /// Makes a room of this kind.
    pub fn make_room(&self, room: &BareJid, kind: RoomKind) {
        self.server().rooms.make(room, kind);
    }

    /// Changes somebody's role or affiliation in a room.
    pub fn rank_in_room(&self, occupant: &FullJid, user: &FullJid, rank: Rank) -> Result<(), Impossible> {
        let mut server = self.server();
        let told = server.rooms.rank(occupant, user, rank)?;
        server.bring_all(told);
        Ok(())
    }

    /// Makes somebody leave a room.
    pub fn leave_room(&self, occupant: &FullJid) -> Result<(), Impossible> {
        let mut server = self.server();
        let told = server.rooms.leave(occupant)?;
        server.bring_all(told);
        Ok(())
    }

    /// Changes an occupant's nickname.
    pub fn rename_in_room(&self, occupant: &FullJid, nick: &str) -> Result<(), Impossible> {
        let mut server = self.server();
        let told = server.rooms.rename(occupant, nick)?;
        server.bring_all(told);
        Ok(())
    }

    /// Sends an invitation to a room from somebody to the account.
    pub fn invite(&self, from: &FullJid, room: &BareJid, reason: Option<&str>) {
        let mut server = self.server();
        server.rooms.found(room);
        let element = words::invitation(from, room, reason);
        server.bring(element);
    }

    /// Breaks the connection, which the account then tries to restore.
    pub fn cut(&self) -> Result<(), Impossible> {
        let mut server = self.server();
        if server.cut.is_some() {
            return Err(Impossible("the connection is cut already".to_owned()));
        }
        server.cut = Some(server.clock.now());
        server.put(Coming::Cut);
        Ok(())
    }

    /// Returns whether the connection is broken.
    pub fn is_cut(&self) -> bool {
        self.server().cut.is_some()
    }

    /// Restores the connection. Nothing is lost, except messages of the account that waited longer than `keep_unsent`.
    pub fn resume(&self) -> Result<(), Impossible> {
        let mut server = self.server();
        let Some(cut) = server.cut.take() else {
            return Err(Impossible("the connection is not cut".to_owned()));
        };
        let is_late = server.clock.now().duration_since(cut).unsigned_abs() > server.keep_unsent;
        server.put(Coming::Back);
        let (missed, unsent) = (std::mem::take(&mut server.missed), std::mem::take(&mut server.unsent));
        server.bring_all(missed);
        let (unsent, returned) = if is_late { too_old(unsent, |(stanza, _)| stanza) } else { (unsent, Vec::new()) };
        server.bring_all(returned.iter().map(element).collect());
        for (stanza, of_a_plugin) in unsent {
            server.hear(stanza, of_a_plugin);
        }
        Ok(())
    }

    fn server(&self) -> MutexGuard<'_, Server> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LocalServer for MockServer {
    /// Logs the account in, with the full JID from the settings if they have one.
    fn open(&self, settings: &LinkSettings) {
        let mut server = self.server();
        server.keep_unsent = settings.keep_unsent;
        if let Ok(full) = settings.jid.try_as_full() {
            server.own = full.clone();
        }
        server.coming.clear();
        server.missed.clear();
        server.unsent.clear();
        server.cut = None;
        server.put(Coming::Bound);
    }

    /// Logs the account out.
    fn close(&self) {
        let mut server = self.server();
        server.is_present = false;
        server.rooms.forget_us();
        server.put(Coming::Closed);
    }

    /// Returns the next event for the account.
    fn poll(&self, cx: &mut Context<'_>) -> Poll<LinkEvent> {
        let mut server = self.server();
        let own = server.own.clone();
        loop {
            return Poll::Ready(match server.coming.pop_front() {
                Some(Coming::Bound) => LinkEvent::Bound {
                    jid: own,
                    offers: Offers::default(),
                    taken_up: false,
                    again: Vec::new(),
                    doubtful: 0,
                },
                Some(Coming::Cut) => LinkEvent::Suspended { why: Lost::Cut { cause: None } },
                Some(Coming::Back) => LinkEvent::Resumed { doubtful: false },
                Some(Coming::Closed) => LinkEvent::Closed,
                Some(Coming::Stanza(element)) => match sealed::decoded(element, &own, server.clock.now()) {
                    Ok(incoming) => LinkEvent::Stanza(incoming),
                    Err(error) => {
                        tracing::debug!(%error, "a stanza that the library does not read was dropped");
                        continue;
                    }
                },
                None => {
                    server.waker = Some(cx.waker().clone());
                    return Poll::Pending;
                }
            });
        }
    }

    /// Handles what the account sends.
    fn hear(&self, outgoing: Outgoing) {
        let mut server = self.server();
        // A request of the host itself is not an action of a plugin. It arrives as a raw stanza if a plugin subscribes
        // to outgoing stanzas.
        let of_a_plugin = matches!(outgoing, Outgoing::Private(..));
        let stanza = encode(outgoing);
        if server.cut.is_some() {
            server.unsent.push_back((stanza, of_a_plugin));
        } else {
            server.hear(stanza, of_a_plugin);
        }
    }
}

impl std::fmt::Debug for MockServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MockServer(..)")
    }
}

impl Server {
    fn witness(&mut self, action: Action) {
        if let Action::Status { show, text } = &action {
            let said = Some((show.clone(), text.clone()));
            let is_first = self.status.is_none();
            if std::mem::replace(&mut self.status, said.clone()) == said || is_first {
                return;
            }
        }
        if let Action::Entered { room, .. } = &action
            && self.expected.contains(room)
        {
            return;
        }
        (self.witness)(action);
    }

    fn put(&mut self, coming: Coming) {
        self.coming.push_back(coming);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn bring(&mut self, element: Element) {
        if !self.blocked.has_sender_of(&element) {
            self.deliver(element);
        }
    }

    /// Sends a stanza to the account, also in the name of somebody who is blocked.
    fn deliver(&mut self, element: Element) {
        if self.cut.is_some() {
            self.missed.push(element);
        } else {
            self.put(Coming::Stanza(element));
        }
    }

    fn bring_all(&mut self, elements: Vec<Element>) {
        for element in elements {
            self.bring(element);
        }
    }

    /// Handles a stanza of the account that has arrived.
    fn hear(&mut self, stanza: Stanza, of_a_plugin: bool) {
        let mut number = None;
        if let Some(shown) = self.form_answer(&stanza).or_else(|| self.written_answer(&stanza)) {
            self.witness(shown);
        }
        if let Some(mut action) = action::of(&stanza, of_a_plugin, &self.own, self.clock.now()) {
            if let Action::Said(message) = &mut action {
                self.keep(message);
                number.clone_from(&message.stanza_id);
            }
            self.witness(action);
        }
        self.answer(stanza, number.as_deref());
    }

    /// Returns a unique id.
    fn number(&mut self, word: &str) -> String {
        self.numbered += 1;
        format!("{word}-{}", self.numbered)
    }

    /// Remembers a message of the account, so that people can refer to it. In a room, it gets the room's id.
    fn keep(&mut self, message: &mut Message) {
        let mut from = Jid::from(self.own.clone());
        if message.kind == MessageKind::Groupchat {
            message.stanza_id = Some(self.number("room"));
            from = self.rooms.us(&message.to.to_bare()).map_or(from, Jid::from);
        }
        self.told.add_own(message, from);
    }
}

#[cfg(test)]
mod tests {
    use parlor_base::id::InstanceId;
    use parlor_stanza::raw::RawStanza;
    use parlor_stanza::types::Ask;

    use super::*;

    #[test]
    fn what_the_host_asks_is_no_action_although_somebody_listens_to_what_leaves() {
        let actions = Arc::<Mutex<u32>>::default();
        let seen = Arc::clone(&actions);
        let own = FullJid::new("bot@example.org/here").unwrap();
        let server = MockServer::new(own, Clock::Machine, move |_| *seen.lock().unwrap() += 1);
        let request = || {
            let ask = Ask::Roster { version: None };
            RawStanza::of(Outgoing::Ask { to: None, id: "1".to_owned(), ask })
        };
        server.hear(Outgoing::Raw(request()));
        assert_eq!(*actions.lock().unwrap(), 0);
        server.hear(Outgoing::Private(request(), InstanceId::next()));
        assert_eq!(*actions.lock().unwrap(), 1);
    }

    #[test]
    fn a_room_without_the_account_is_told_with_the_lines_by_which_it_enters() {
        let own = FullJid::new("bot@example.org/here").unwrap();
        let server = MockServer::new(own, Clock::Machine, |_| {});
        let alice = FullJid::new("garden@rooms.example.org/alice").unwrap();
        let why = server.say(&Said::by(alice, true, "hello".to_owned())).unwrap_err().to_string();
        assert!(why.contains("write `room garden` at the top (/join garden in plugin dev)"), "{why}");
    }
}
