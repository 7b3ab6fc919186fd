//! Explains why an instance may do something, or get an event. It answers as it would decide itself.

use std::sync::Arc;

use jid::{BareJid, Jid};
use parlor_base::id::PluginId;
use parlor_base::permission::Permission;
use parlor_config::AccountName;
use parlor_plugins::manifest::Manifest;
use parlor_plugins::policy::hooks::OnFailure;
use parlor_session::permissions::question::{
    AccountState, Answer, ArchiveState, BookmarkState, ContactState, Judge, Listening, Outcome, Question, RoomState,
};
use parlor_session::permissions::{Decision, EventRule, RoomList, Scope, Target, Use};
use parlor_session::router::{Whom, listening};
use parlor_session::{NoBookmarks, OwnArchive};
use parlor_stanza::types::MAM;

use crate::account::Connection;
use crate::account::hooks::Point;
use crate::api::acts_for;
use crate::instance::Instance;

/// The answer to a question about one plugin on one account.
#[derive(Debug, Clone)]
pub struct Explained {
    /// The account. None: the plugin may run on none.
    pub account: Option<AccountName>,
    /// The answer to the question.
    pub answer: Answer,
    /// The command or line that would allow it, if there is one.
    pub remedy: Option<String>,
}

impl Explained {
    /// Returns the answer about a plugin that its owner has disabled.
    pub fn disabled(id: &PluginId, question: &Question) -> Self {
        let remedy = format!("parlor plugin enable {id}");
        Self { remedy: Some(remedy), ..Self::no(None, question, "the plugin is disabled".to_owned()) }
    }

    /// Returns a plain no, for this reason.
    pub fn no(account: Option<&AccountName>, question: &Question, reason: String) -> Self {
        let answer = Answer { outcome: Outcome::No, permission: question.permission(), reason, lacks: None };
        Self { account: account.cloned(), answer, remedy: None }
    }
}

/// Decides about an instance by its mailbox, as the router and its calls do.
struct Running<'a> {
    instance: &'a Instance,
    manifest: &'a Manifest,
}

impl Judge for Running<'_> {
    fn decide(&self, one: Use<'_>) -> Option<Decision> {
        let snapshot = self.instance.account.snapshot();
        let is_contact = |jid: &BareJid| snapshot.is_contact(jid);
        let known = snapshot.contacts.is_some();
        self.instance.mailbox.decide(one, known.then_some(&is_contact))
    }

    fn scope(&self, permission: Permission) -> Option<Scope> {
        self.instance.mailbox.grants().get(permission).cloned()
    }

    fn asks_for(&self, permission: Permission) -> bool {
        self.manifest.permissions.contains_key(&permission)
    }

    fn is_contact(&self, jid: &BareJid) -> Option<bool> {
        let snapshot = self.instance.account.snapshot();
        let counts = snapshot.is_contact(jid) && !self.instance.mailbox.added(jid);
        snapshot.contacts.is_some().then_some(counts)
    }

    fn state(&self) -> Option<&dyn AccountState> {
        Some(self)
    }

    fn added(&self, jid: &BareJid) -> bool {
        self.instance.mailbox.added(jid)
    }

    fn elsewhere(&self, target: Target<'_>) -> Option<RoomList> {
        let mailbox = &self.instance.mailbox;
        if mailbox.keeps_from(target) { mailbox.grants().rooms().cloned() } else { None }
    }

    fn own(&self) -> Vec<BareJid> {
        let account = &self.instance.account;
        vec![account.own.clone(), account.snapshot().jid.to_bare()]
    }

    fn acts_for(&self, jid: &Jid, is_set: bool) -> bool {
        self.own().iter().any(|own| acts_for(own, jid, is_set))
    }

    fn listens(&self, event: &EventRule, about: Option<&Jid>) -> Option<Listening> {
        let account = &self.instance.account;
        let snapshot = account.snapshot();
        let bare = about.map(Jid::to_bare);
        let whom = about.zip(bare.as_ref()).map(|(jid, bare)| {
            // A room that the account is not in is no person: the answer says what holds once the account is in it.
            if !snapshot.rooms.contains_key(bare) && !self.is_known_room(bare) {
                if self.own().contains(bare) { Whom::Own(bare) } else { Whom::Person(jid) }
            } else if jid.is_full() {
                Whom::Occupant(jid)
            } else {
                Whom::Room(bare)
            }
        });
        Some(listening(&account.router.filters(self.instance.id, event.name), event, whom))
    }
}

impl AccountState for Running<'_> {
    fn setting(&self, key: &str) -> bool {
        self.instance.account.settings().get(key) == Some(true.into())
    }

    fn is_account(&self, jid: &BareJid) -> bool {
        *jid == self.instance.account.own
    }

    fn has_roster(&self) -> bool {
        self.instance.account.snapshot().contacts.is_some()
    }

    fn contact(&self, jid: &BareJid) -> Option<ContactState> {
        let snapshot = self.instance.account.snapshot();
        let contact = snapshot.contacts.as_ref()?.get(jid)?;
        Some(ContactState {
            is_listed: !snapshot.strangers.contains(jid),
            asks: contact.requesting,
            sees_us: contact.sees_us(),
            is_seen: contact.is_seen(),
            is_asked: contact.ask,
        })
    }

    fn has_chat(&self, jid: &BareJid) -> bool {
        self.instance.account.snapshot().chats.contains_key(jid)
    }

    fn room(&self, jid: &BareJid) -> Option<RoomState> {
        let snapshot = self.instance.account.snapshot();
        let room = snapshot.rooms.get(jid)?;
        let (role, affiliation) = (room.role.clone(), room.affiliation.clone());
        Some(RoomState { is_inside: room.joined, role, affiliation })
    }

    fn is_known_room(&self, jid: &BareJid) -> bool {
        let account = &self.instance.account;
        let snapshot = account.snapshot();
        self.has_bookmark(jid) || snapshot.known.is_at_rooms(jid, account.clock.now())
    }

    fn bookmarks(&self) -> BookmarkState {
        let snapshot = self.instance.account.snapshot();
        match &snapshot.bookmarks {
            Ok(_) => BookmarkState::Known { older: snapshot.bookmarks_older },
            Err(NoBookmarks::NotKept) => BookmarkState::NotKept,
            Err(NoBookmarks::NotYet | NoBookmarks::NotWanted) => {
                BookmarkState::Unknown("the bookmarks have not come".to_owned())
            }
            Err(NoBookmarks::NotTold) => {
                BookmarkState::Unknown("the server did not say which bookmarks there are".to_owned())
            }
        }
    }

    fn has_bookmark(&self, room: &BareJid) -> bool {
        self.instance.account.snapshot().bookmarks.as_ref().is_ok_and(|all| all.contains_key(room))
    }

    /// The session decides in the same way which archive to query: contacts and addresses of the own domain are not
    /// rooms, unless one is open.
    fn archive(&self, with: Option<&Jid>) -> ArchiveState {
        let account = &self.instance.account;
        let snapshot = account.snapshot();
        let own = || match snapshot.archive {
            Some(OwnArchive { exists: true, .. }) => ArchiveState::Exists,
            Some(OwnArchive { exists: false, .. }) => ArchiveState::Missing,
            None => ArchiveState::Unknown,
        };
        let Some(with) = with.filter(|with| with.is_bare()) else { return own() };
        let bare = with.to_bare();
        let is_open = snapshot.rooms.contains_key(&bare);
        let is_person = with.node().is_none() || with.domain() == snapshot.jid.domain() || snapshot.is_contact(&bare);
        if is_person && !is_open {
            return own();
        }
        let Some(known) = snapshot.known.of(with, account.clock.now()) else { return ArchiveState::Unknown };
        let is_room = is_open || known.identities.iter().any(|one| one.category == "conference");
        match (is_room, known.features.iter().any(|feature| feature == MAM)) {
            (false, _) => own(),
            (true, true) => ArchiveState::Exists,
            (true, false) => ArchiveState::Missing,
        }
    }
}

/// Answers a question about an instance that runs.
pub fn explain(account: &AccountName, instance: &Arc<Instance>, manifest: &Manifest, question: &Question) -> Explained {
    let answer = in_order(question.answer(&Running { instance, manifest }), instance, question);
    let connection = instance.account.connection();
    let answer = match apart(&connection.borrow()).filter(|_| question.needs_connection()) {
        Some(why) => answer.only(&format!("{why}; once it is connected")),
        None => answer,
    };
    let remedy = answer.remedy(instance.plugin.as_str());
    Explained { account: Some(account.clone()), answer, remedy }
}

/// Returns the answer about a hook, which also needs a place in the owner's order.
fn in_order(answer: Answer, instance: &Instance, question: &Question) -> Answer {
    let Some(point) = question.permission().and_then(Point::of_permission) else { return answer };
    if answer.outcome == Outcome::No {
        return answer;
    }
    let order = instance.account.hooks.order();
    let Some(place) = point.order(&order).iter().position(|plugin| *plugin == instance.plugin) else {
        let key = point.key();
        let reason = format!("it is not in the list `{key}` under [hooks] of plugins.toml; {}", answer.reason);
        return Answer { outcome: Outcome::No, reason, ..answer };
    };
    let (number, all) = (place + 1, point.order(&order).len());
    let otherwise = OnFailure::in_words(order.on_failure);
    let reason = format!("{}; it is asked as number {number} of {all}; {otherwise}", answer.reason);
    Answer { reason, ..answer }
}

/// Returns why the account is not connected, as a clause. None: it is connected.
fn apart(connection: &Connection) -> Option<String> {
    Some(match connection {
        Connection::Connected(_) => return None,
        Connection::Offline => "the account is logged out".to_owned(),
        Connection::Connecting => "the account is still connecting".to_owned(),
        Connection::Retrying(why) => format!("the account is not connected and tries again ({why})"),
        Connection::Left(why) | Connection::Failed(why) => format!("the account has failed ({why})"),
    })
}

#[cfg(test)]
mod tests {
    use parlor_config::Settings;
    use parlor_plugins::limits::Limits;
    use parlor_plugins::policy::hooks::HookOrder;
    use parlor_session::router::Filter;
    use parlor_session::{Bookmarks, Contact, Room, Session, Snapshot};
    use parlor_stanza::types::{Bookmark, MessageKind, RosterItem};

    use super::*;
    use crate::account::hooks::order::set_order;
    use crate::instance::tests::instance as disconnected_instance;

    fn asked(instance: &Arc<Instance>, manifest: &Manifest, what: &str, about: Option<&str>) -> Answer {
        let name = "main".parse().unwrap();
        explain(&name, instance, manifest, &Question::parse(what, about).unwrap()).answer
    }

    fn manifest(permission: &str) -> Manifest {
        let head = "[plugin]\nname = \"echo\"\nversion = \"0.1.0\"\napi = \"0.1.0\"\ndescription = \"Says it\"";
        Manifest::parse(&format!("{head}\n[permissions]\n{permission}\n")).unwrap()
    }

    /// Without a connection, nothing is sent or received.
    #[tokio::test]
    async fn a_use_that_needs_the_connection_is_no_plain_yes_without_it() {
        let grants = "\"messages.read\" = [\"*\"]\nstorage = [\"1 MiB\"]";
        let (instance, _mailbox) = disconnected_instance(grants, Limits::default());
        let asks = "\"messages.read\" = { scope = [\"*\"], reason = \"x\" }\nstorage = { scope = [\"1 MiB\"], reason = \"x\" }";
        let asks = manifest(asks);
        let filter = Filter { kinds: vec![MessageKind::Groupchat], ..Filter::default() };
        instance.account.router.subscribe(&instance.mailbox, "message", filter, false);
        for (what, about) in [("messages.read", None), ("message", None)] {
            let answer = asked(&instance, &asks, what, about);
            assert_eq!(answer.outcome, Outcome::Unknown, "{answer:?}");
            assert!(answer.reason.starts_with("the account is "), "{answer:?}");
        }
        assert_eq!(asked(&instance, &asks, "storage.set", None).outcome, Outcome::Yes);
        assert_eq!(asked(&instance, &asks, "storage=1 MiB", None).outcome, Outcome::Yes);
        // The filter is named.
        let no = asked(&instance, &asks, "message", Some("juliet@localhost"));
        assert_eq!(no.outcome, Outcome::No);
        assert!(no.reason.starts_with("it listens with a filter that leaves this out (kind groupchat): "), "{no:?}");
    }

    /// Otherwise the filter of the plugin's chats would be named, which says nothing about a room.
    #[tokio::test]
    async fn a_room_that_the_account_is_not_in_is_no_person() {
        let (instance, _mailbox) = disconnected_instance("\"messages.read\" = [\"*\"]", Limits::default());
        let asks = manifest("\"messages.read\" = { scope = [\"*\"], reason = \"x\" }");
        for kind in [MessageKind::Chat, MessageKind::Groupchat] {
            let filter = Filter { kinds: vec![kind], prefix: Some("!".to_owned()), ..Filter::default() };
            instance.account.router.subscribe(&instance.mailbox, "message", filter, false);
        }
        let hall: BareJid = "hall@muc.example.net".parse().unwrap();
        let session = Session::new("bot@example.org/here".parse().unwrap(), Settings::default());
        let bookmark = Bookmark {
            room: hall.clone(),
            name: None,
            autojoin: false,
            nick: None,
            password: None,
            extensions: None,
            is_cut: false,
        };
        let mut snapshot = session.snapshot();
        snapshot.bookmarks = Ok([(hall, Arc::new(bookmark))].into_iter().collect());
        instance.account.publish(snapshot);
        let reason = asked(&instance, &asks, "message", Some("hall@muc.example.net")).reason;
        assert!(reason.contains("kind groupchat") && !reason.contains("kind chat"), "{reason}");
    }

    #[tokio::test]
    async fn the_owner_of_a_hook_is_told_what_happens_when_it_cannot_answer() {
        let (instance, _mailbox) = disconnected_instance("\"hooks.incoming\" = [\"*\"]", Limits::default());
        let asks = manifest("\"hooks.incoming\" = { scope = [\"*\"], reason = \"x\" }");
        instance.account.router.subscribe(&instance.mailbox, "hookIncoming", Filter::default(), false);
        for on_failure in [None, Some(OnFailure::Pass), Some(OnFailure::Stop)] {
            let order = HookOrder { incoming: vec![instance.plugin.clone()], on_failure, ..HookOrder::default() };
            set_order(&instance.account, order);
            let answer = asked(&instance, &asks, "hookIncoming", None);
            let says = format!("; it is asked as number 1 of 1; {}", OnFailure::in_words(on_failure));
            assert!(answer.reason.ends_with(&says), "{answer:?}");
        }
    }

    /// The session publishes everything that decides its answer to a call.
    #[tokio::test]
    async fn the_state_of_an_account_is_that_of_its_snapshot() {
        let (instance, _mailbox) = disconnected_instance("", Limits::default());
        let session = Session::new("bot@example.org/here".parse().unwrap(), Settings::default());
        let asks = manifest("\"chats.write\" = { reason = \"x\" }");
        let state = Running { instance: &instance, manifest: &asks };
        let jid = |text: &str| text.parse::<BareJid>().unwrap();
        let (juliet, romeo, hall) = (jid("juliet@example.net"), jid("romeo@example.net"), jid("hall@muc.example.net"));
        let show = |change: &dyn Fn(&mut Snapshot)| {
            let mut snapshot = session.snapshot();
            change(&mut snapshot);
            instance.account.publish(snapshot);
        };
        show(&|_| {});
        assert!(!state.has_roster() && state.contact(&juliet).is_none() && state.room(&hall).is_none());
        assert!(state.is_account(&jid("bot@example.org")) && !state.is_account(&juliet));
        assert!(state.setting("allow_muc") && !state.setting("allow_non_roster_messaging"));
        assert_eq!(state.bookmarks(), BookmarkState::Unknown("the bookmarks have not come".to_owned()));
        assert_eq!(state.archive(None), ArchiveState::Unknown);

        show(&|snapshot| {
            let contact = |of: &BareJid, subscription: &str, requesting| {
                let item = RosterItem {
                    jid: of.clone(),
                    name: None,
                    subscription: subscription.to_owned(),
                    ask: false,
                    groups: Vec::new(),
                };
                (of.clone(), Arc::new(Contact { requesting, ..Contact::new(item) }))
            };
            snapshot.contacts =
                Some([contact(&juliet, "to", false), contact(&romeo, "none", true)].into_iter().collect());
            snapshot.strangers.insert(romeo.clone());
            let mut room = Room::new(hall.clone(), "bot".to_owned());
            (room.joined, room.role, room.affiliation) = (true, "moderator".to_owned(), "admin".to_owned());
            snapshot.rooms.insert(hall.clone(), Arc::new(room));
            snapshot.bookmarks = Ok(Bookmarks::new());
            snapshot.bookmarks_older = true;
            snapshot.archive = Some(OwnArchive { stream: 1, exists: false });
        });
        let known =
            |is_listed, asks, is_seen| Some(ContactState { is_listed, asks, sees_us: false, is_seen, is_asked: false });
        assert!(state.has_roster() && !state.has_chat(&juliet));
        assert_eq!(state.contact(&juliet), known(true, false, true));
        assert_eq!(state.contact(&romeo), known(false, true, false));
        let (role, affiliation) = ("moderator".to_owned(), "admin".to_owned());
        assert_eq!(state.room(&hall), Some(RoomState { is_inside: true, role, affiliation }));
        assert_eq!(state.bookmarks(), BookmarkState::Known { older: true });
        assert_eq!(state.archive(None), ArchiveState::Missing);
        assert_eq!(state.archive(Some(&juliet.clone().into())), ArchiveState::Missing, "it is a contact");
        // It is not known yet whether these are rooms with an archive.
        assert_eq!(state.archive(Some(&hall.into())), ArchiveState::Unknown);
        assert_eq!(state.archive(Some(&romeo.into())), ArchiveState::Unknown);
    }

    #[test]
    fn each_state_of_an_account_but_one_says_why_it_is_not_connected() {
        let jid = || "bot@example.org/here".parse().unwrap();
        let why = || "no route".to_owned();
        assert_eq!(apart(&Connection::Connected(jid())), None);
        for (state, words) in [
            (Connection::Offline, "logged out"),
            (Connection::Connecting, "connecting"),
            (Connection::Retrying(why()), "tries again (no route)"),
            (Connection::Left(why()), "has failed (no route)"),
            (Connection::Failed(why()), "has failed (no route)"),
        ] {
            assert!(apart(&state).unwrap().contains(words), "{state:?}");
        }
    }
}
