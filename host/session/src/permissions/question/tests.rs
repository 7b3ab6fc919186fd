//! Answers that an owner can rely on: none is yes if the host would refuse.

use std::collections::BTreeSet;

use parlor_base::permission::ScopeKind;
use parlor_stanza::error::CallError;
use proptest::prelude::*;

use super::*;
use crate::permissions::denial;

const CONTACT: &str = "nurse@example.org";
/// A room that the account is in.
const ROOM: &str = "lobby@conference.example.org";
/// An open room that the account is not in.
const LEFT: &str = "den@conference.example.org";
/// A room that is not open, on a service that is known to have rooms.
const CLOSED: &str = "attic@conference.example.org";

/// A room that the account is in as an ordinary participant.
const GUEST: &str = "hall@conference.example.org";
/// A contact that does not show its presence.
const SHY: &str = "shy@example.org";
/// A person who asks to see the account's presence, and is not a contact.
const ASKER: &str = "asker@example.net";
const STRANGER: &str = "juliet@localhost";

/// A plugin with these grants, and the state of its account. Its manifest requests everything but `vcard.write`.
struct Plugin {
    grants: Grants,
    /// Whether anything is known of the account.
    knows: bool,
    listens: Listening,
    /// Whether the contact list was received.
    is_ready: bool,
    bookmarks: BookmarkState,
    archive: ArchiveState,
    /// The settings that are true.
    settings: Vec<&'static str>,
}

fn plugin(grants: &str) -> Plugin {
    Plugin {
        grants: Grants::from_table(&grants.parse().unwrap()).unwrap(),
        knows: true,
        listens: Listening::All,
        is_ready: true,
        bookmarks: BookmarkState::Known { older: false },
        archive: ArchiveState::Exists,
        settings: vec![
            "allow_bookmarks",
            "allow_contact_requests",
            "allow_muc",
            "allow_non_roster_messaging",
            "expose_rid_and_sid",
        ],
    }
}

/// A plugin that is granted everything.
fn all() -> Plugin {
    Plugin { grants: Grants::all(), ..plugin("") }
}

/// The same, on an account where this setting is false.
fn unlike(missing: &str) -> Plugin {
    Plugin { settings: all().settings.into_iter().filter(|key| *key != missing).collect(), ..all() }
}

fn is_contact(jid: &BareJid) -> bool {
    jid.as_str() == CONTACT
}

impl Judge for Plugin {
    fn decide(&self, one: Use<'_>) -> Option<Decision> {
        self.grants.decide_use(one, self.knows.then_some(&is_contact))
    }

    fn scope(&self, permission: Permission) -> Option<Scope> {
        self.grants.get(permission).cloned()
    }

    fn asks_for(&self, permission: Permission) -> bool {
        permission != Permission::VcardWrite
    }

    fn is_contact(&self, jid: &BareJid) -> Option<bool> {
        self.knows.then(|| is_contact(jid))
    }

    fn state(&self) -> Option<&dyn AccountState> {
        self.knows.then_some(self)
    }

    fn elsewhere(&self, target: Target<'_>) -> Option<RoomList> {
        if self.grants.keeps_from(target, &|_| false) { self.grants.rooms().cloned() } else { None }
    }

    fn own(&self) -> Vec<BareJid> {
        vec!["bot@example.org".parse().unwrap()]
    }

    fn acts_for(&self, jid: &Jid, is_set: bool) -> bool {
        jid.as_str() == "bot@example.org" || (is_set && jid.as_str() == "example.org")
    }

    fn listens(&self, _event: &EventRule, _about: Option<&Jid>) -> Option<Listening> {
        self.knows.then(|| self.listens.clone())
    }
}

impl AccountState for Plugin {
    fn setting(&self, key: &str) -> bool {
        self.settings.contains(&key)
    }

    fn is_account(&self, jid: &BareJid) -> bool {
        jid.as_str() == "bot@example.org"
    }

    fn has_roster(&self) -> bool {
        self.is_ready
    }

    fn contact(&self, jid: &BareJid) -> Option<ContactState> {
        let contact = |is_listed, asks, shows| {
            Some(ContactState { is_listed, asks, sees_us: shows, is_seen: shows, is_asked: false })
        };
        match jid.as_str() {
            CONTACT => contact(true, false, true),
            SHY => contact(true, false, false),
            ASKER => contact(false, true, false),
            _ => None,
        }
    }

    fn has_chat(&self, jid: &BareJid) -> bool {
        is_contact(jid)
    }

    fn room(&self, jid: &BareJid) -> Option<RoomState> {
        let (is_inside, affiliation) = match jid.as_str() {
            ROOM => (true, "owner"),
            GUEST => (true, "none"),
            LEFT => (false, "none"),
            _ => return None,
        };
        let role = if affiliation == "owner" { "moderator" } else { "participant" };
        Some(RoomState { is_inside, role: role.to_owned(), affiliation: affiliation.to_owned() })
    }

    fn is_known_room(&self, jid: &BareJid) -> bool {
        jid.as_str() == CLOSED
    }

    fn bookmarks(&self) -> BookmarkState {
        self.bookmarks.clone()
    }

    fn has_bookmark(&self, room: &BareJid) -> bool {
        room.as_str() == ROOM
    }

    fn archive(&self, with: Option<&Jid>) -> ArchiveState {
        match with.map(Jid::as_str) {
            Some(LEFT) => ArchiveState::Missing,
            Some(CLOSED) => ArchiveState::Unknown,
            _ => self.archive,
        }
    }
}

fn ask(plugin: &Plugin, what: &str, about: Option<&str>) -> (Outcome, String) {
    let answer = Question::parse(what, about).unwrap().answer(plugin);
    (answer.outcome, answer.reason)
}

#[test]
fn a_scope_of_contacts_is_no_for_a_stranger_and_yes_for_a_contact() {
    let echo = plugin("\"messages.read\" = [\"contacts\"]");
    let no = (Outcome::No, "messages.read covers contacts, and juliet@localhost is none".to_owned());
    assert_eq!(ask(&echo, "message", Some("juliet@localhost")), no);
    assert_eq!(ask(&echo, "messages.read=juliet@localhost", None), no);
    assert_eq!(ask(&echo, "messages.read", Some("juliet@localhost/balcony")).0, Outcome::No);
    let (outcome, reason) = ask(&echo, "message", Some("nurse@example.org/bot"));
    assert_eq!(outcome, Outcome::Yes);
    assert!(reason.ends_with("which is granted for contacts, and nurse@example.org/bot is a contact"), "{reason}");
    let (outcome, reason) = ask(&echo, "message", None);
    assert_eq!(outcome, Outcome::Partly);
    assert!(reason.contains("granted only for contacts; name an address"), "{reason}");
    let answer = Question::parse("message", Some("juliet@localhost")).unwrap().answer(&echo);
    assert_eq!(
        answer.lacks,
        Some((Permission::MessagesRead, GrantChange::Targets(vec!["juliet@localhost".to_owned()])))
    );
}

/// The router checks the other side's bare JID, so a grant for one of its clients covers none of its messages.
#[test]
fn a_message_is_asked_about_as_the_router_asks() {
    let one = plugin("\"messages.read\" = [\"juliet@localhost/balcony\"]");
    // Only events need `messages.read`. The remedy names the address that decides.
    for (what, about) in
        [("message", Some("juliet@localhost/balcony")), ("messages.read=juliet@localhost/balcony", None)]
    {
        let answer = Question::parse(what, about).unwrap().answer(&one);
        assert_eq!(answer.outcome, Outcome::No, "{what}");
        assert!(answer.reason.ends_with("not juliet@localhost, by whose bare address it is decided"), "{answer:?}");
        assert_eq!(answer.remedy("echo").unwrap(), "parlor plugin grant echo messages.read=juliet@localhost");
    }
    // A call is about the full address.
    let sends = plugin("\"messages.send\" = [\"juliet@localhost/balcony\"]");
    assert_eq!(ask(&sends, "messages.send=juliet@localhost/balcony", None).0, Outcome::Yes);
    assert_eq!(ask(&sends, "messages.send", Some("juliet@localhost")).0, Outcome::No);
}

/// A public message of an occupant is about the room, a private one is about the occupant.
#[test]
fn an_occupant_is_heard_in_part_by_a_grant_for_him_alone() {
    let speaker = "lobby@conference.example.org/rom";
    let occupant = plugin("\"messages.read\" = [\"lobby@conference.example.org/rom\"]");
    let answer = Question::parse("message", Some(speaker)).unwrap().answer(&occupant);
    assert_eq!(answer.outcome, Outcome::Partly);
    let says = "and with that what lobby@conference.example.org/rom says to this account alone, \
                not what is said to all of lobby@conference.example.org";
    assert!(answer.reason.ends_with(says), "{answer:?}");
    assert_eq!(answer.remedy("echo").unwrap(), format!("parlor plugin grant echo messages.read={ROOM}"));
    assert_eq!(ask(&occupant, "message", Some(ROOM)).0, Outcome::No);
    let open = plugin(&format!("\"messages.read\" = [{ROOM:?}]"));
    assert_eq!(ask(&open, "message", Some(speaker)).0, Outcome::Yes);
    // It is not known which addresses are rooms.
    let unknown = Plugin { knows: false, ..plugin("\"messages.read\" = [\"lobby@conference.example.org/rom\"]") };
    assert_eq!(ask(&unknown, "message", Some(speaker)).0, Outcome::Partly);
}

#[test]
fn without_the_contact_list_nobody_is_said_to_be_in_it_or_not() {
    let echo = Plugin { knows: false, ..plugin("\"messages.read\" = [\"contacts\", \"@example.net\"]") };
    assert_eq!(ask(&echo, "message", Some(CONTACT)).0, Outcome::Unknown);
    assert_eq!(ask(&echo, "message", Some("a@example.net")).0, Outcome::Yes);
}

#[test]
fn an_event_to_which_nobody_listens_is_not_heard() {
    let listens = |listens| Plugin { listens, ..plugin("\"messages.read\" = [\"*\"]") };
    let deaf = listens(Listening::Not);
    let (outcome, reason) = ask(&deaf, "message", None);
    assert_eq!(outcome, Outcome::No);
    assert!(reason.starts_with("it does not listen to it, although it may"), "{reason}");
    assert_eq!(ask(&deaf, "messages.read", None).0, Outcome::Yes);
    // The reason names the filter, whether it excludes everything or a part.
    for (listening, outcome) in [
        (Listening::Elsewhere("kind groupchat".to_owned()), Outcome::No),
        (Listening::Part("kind groupchat".to_owned()), Outcome::Partly),
    ] {
        let (found, reason) = ask(&listens(listening), "message", Some("juliet@localhost"));
        assert_eq!(found, outcome);
        assert!(reason.contains("(kind groupchat): it needs messages.read, which is granted for *"), "{reason}");
    }
}

#[test]
fn a_call_that_depends_on_more_than_its_grant_is_no_plain_yes() {
    let all = Plugin { grants: Grants::all(), ..plugin("") };
    for (what, about, outcome, says) in [
        ("api.wait-until", None, Outcome::Partly, "what the event or promise needs that it names"),
        ("listen.on", None, Outcome::Partly, "what the event or promise needs that it names"),
        ("settings.set", None, Outcome::Partly, "no plugin changes the settings that are the operator's"),
        ("settings.get", None, Outcome::Yes, ""),
        ("chats.send", Some(ROOM), Outcome::No, "is a room, where a plugin speaks with rooms.send"),
        ("chats.send", Some("lobby@conference.example.org/rom"), Outcome::Yes, ""),
        ("chats.initiate-otr", None, Outcome::Partly, "; it works only for a chat that is open; name an address"),
        ("rooms.send", Some(ROOM), Outcome::Yes, ""),
        ("rooms.send", Some(LEFT), Outcome::No, "the account is not in den@conference.example.org; once it is: yes, "),
        ("rooms.occupants", Some(LEFT), Outcome::Yes, ""),
        ("rooms.occupants", Some("a@b"), Outcome::No, "the room a@b is not open; once it is: yes, "),
        (
            "rooms.kick",
            Some("a@b"),
            Outcome::Unknown,
            "the account is not in a@b, which may refuse it; once it is: yes, ",
        ),
        ("rooms.open", Some("a@b"), Outcome::Yes, ""),
        ("rooms.send", None, Outcome::Partly, "; it works only in a room that the account is in; name an address"),
    ] {
        let (found, reason) = ask(&all, what, about);
        assert_eq!(found, outcome, "{what}: {reason}");
        assert!(reason.contains(says), "{what}: {reason}");
    }
}

/// The calls that are allowed for a stranger with all grants, independently of the settings and the age of the
/// connection.
const YES_ABOUT_A_STRANGER: &str = "
    api.emit api.send api.send-iq archive.next archive.previous chats.get chats.get-all chats.get-many chats.send
    chatviews.get chatviews.get-many commands.add commands.answer commands.declare commands.remove dialogs.ask dialogs.begin
    dialogs.cancel dialogs.take dialogs.wait hooks.allow hooks.alter hooks.mark hooks.stop pubsub.configure pubsub.create pubsub.delete
    pubsub.item pubsub.items pubsub.publish pubsub.purge pubsub.retract pubsub.subscribe pubsub.unsubscribe connection.connected connection.disconnect
    contacts.block contacts.blocked contacts.unblock disco.get-identity disco.last-activity disco.own-features-add disco.own-features-get
    disco.own-identities-add disco.time disco.version
    disco.own-identities-clear disco.own-identities-get disco.supports files.close files.finish files.open files.read
    files.upload files.upload-encrypted files.write http.answer http.close http.fetch http.open http.read http.write iq.answer iq.refuse listen.not log.write
    plugins.answer plugins.call plugins.refuse promises.add
    promises.add-all promises.reject rooms.get rooms.get-all rooms.get-many schedules.at schedules.cancel schedules.cron
    schedules.every schedules.format schedules.list schedules.parse schedules.to-local settings.get settings.get-in storage.add
    storage.change storage.compare-and-set storage.delete storage.entries storage.get storage.list storage.range storage.set
    timers.after timers.cancel timers.every timers.sleep user.bare-jid user.get-status user.jid user.login user.logout user.set-status
    user.set-status-message vcard.get vcard.update webhooks.address webhooks.answer";
/// The calls that depend on settings, or on what was received since the account connected.
const YES_WHEN_READY: &str = "
    archive.query archive.query-all chats.open chats.open-many contacts.add contacts.get contacts.get-all
    contacts.get-many rooms.bookmarks rooms.decline rooms.get-or-create rooms.open rooms.open-many
    rooms.register rooms.reserved-nick rooms.set-bookmark rooms.unregister tokens.get";

/// About an unknown person, with any grants. A call that is new in the contract, and states no condition in the table,
/// comes here as a yes that is not listed.
#[test]
fn a_yes_about_a_stranger_is_one_of_those_that_are_listed() {
    let yes = |plugin: &Plugin| -> BTreeSet<String> {
        let calls = table::CALLS.iter().map(|call| format!("{}.{}", call.grouping, call.function));
        calls.filter(|call| ask(plugin, call, Some(STRANGER)).0 == Outcome::Yes).collect()
    };
    let listed = |lists: &[&str]| -> BTreeSet<String> {
        lists.iter().flat_map(|list| list.split_whitespace()).map(str::to_owned).collect()
    };
    let both = listed(&[YES_ABOUT_A_STRANGER, YES_WHEN_READY]);
    assert_eq!(yes(&all()), both);
    let unready = Plugin {
        settings: vec![],
        is_ready: false,
        bookmarks: BookmarkState::Unknown("the bookmarks have not come".to_owned()),
        archive: ArchiveState::Missing,
        ..all()
    };
    assert_eq!(yes(&unready), listed(&[YES_ABOUT_A_STRANGER]));
}

/// Asks of each plugin whether it may make the call for the address, and compares the outcome and words of the reason.
#[track_caller]
fn answered(cases: &[(&Plugin, &str, Option<&str>, Outcome, &str)]) {
    for &(plugin, what, about, outcome, says) in cases {
        let (found, reason) = ask(plugin, what, about);
        assert_eq!(found, outcome, "{what} {about:?}: {reason}");
        assert!(reason.contains(says), "{what} {about:?}: {reason}");
        // A change of the account has no command in plugins.toml.
        let lacks = Question::parse(what, about).unwrap().answer(plugin).lacks;
        assert_eq!(lacks, None, "{what} {about:?}");
    }
}

#[test]
fn a_call_about_people_is_no_plain_yes_where_the_account_is_not_as_it_needs() {
    use Outcome::{No, Partly, Unknown, Yes};
    let unready = Plugin { is_ready: false, ..all() };
    let strangers = "allow_non_roster_messaging";
    answered(&[
        (&all(), "chats.close", Some(CONTACT), Yes, "granted"),
        (
            &all(),
            "chats.close",
            Some(STRANGER),
            No,
            "no chat with juliet@localhost is open; once one is: yes, it needs",
        ),
        (&all(), "chats.close", None, Partly, "; it works only for a chat that is open; name an address"),
        (&all(), "chats.get-attribute", Some(STRANGER), No, "no chat with "),
        (&all(), "chats.open", Some(ROOM), No, "is a room, and no chat"),
        (&unlike(strangers), "chats.open", Some(CONTACT), Yes, ""),
        (
            &unlike(strangers),
            "chats.open",
            Some(STRANGER),
            No,
            "no contact, and the setting allow_non_roster_messaging",
        ),
        (&unlike(strangers), "chats.open", None, Partly, "for a stranger only if the setting"),
        (&unready, "chats.open", Some(CONTACT), Unknown, "the contact list has not come; once it has: yes, "),
        (&unready, "contacts.get-all", None, No, "the contact list has not come; once it has: yes, "),
        (&all(), "contacts.add", Some("bot@example.org"), No, "bot@example.org is the account itself"),
        (&unready, "contacts.add", Some(STRANGER), No, "the contact list has not come"),
        (&all(), "contacts.rename", Some(CONTACT), Yes, ""),
        (&all(), "contacts.rename", Some(ASKER), No, "asker@example.net is no contact; once it is one: yes, "),
        (&all(), "contacts.accept", Some(ASKER), Yes, ""),
        (&all(), "contacts.accept", Some(CONTACT), No, "does not ask to see the account's presence; once it does: "),
    ]);
}

#[test]
fn a_call_about_rooms_is_no_plain_yes_where_the_account_is_not_as_it_needs() {
    use Outcome::{No, Partly, Unknown, Yes};
    let older = Plugin { bookmarks: BookmarkState::Known { older: true }, ..all() };
    let unkept = Plugin { bookmarks: BookmarkState::NotKept, ..all() };
    let without = |archive| Plugin { archive, ..all() };
    answered(&[
        (&all(), "rooms.kick", Some(ROOM), Yes, ""),
        (
            &all(),
            "rooms.kick",
            Some(GUEST),
            Unknown,
            "the account is no moderator of hall@conference.example.org, which ",
        ),
        (&all(), "rooms.ban", Some(GUEST), Unknown, "the account is no admin or owner of "),
        (&all(), "rooms.configure", Some(GUEST), Unknown, "the account is no owner of "),
        (&all(), "rooms.invite", Some(GUEST), Yes, ""),
        (&all(), "rooms.open", Some("conference.example.org"), No, "is a service, and no room"),
        (&all(), "rooms.open", Some("bot@example.org"), No, "is the account itself, and no room"),
        (
            &all(),
            "rooms.open",
            Some(CONTACT),
            Unknown,
            "nurse@example.org is a contact, and may be no room; if it is one: ",
        ),
        (&unlike("allow_muc"), "rooms.open", Some(LEFT), No, "the setting allow_muc is false; once it is true: yes, "),
        (&unlike("allow_muc"), "rooms.set-subject", Some(ROOM), No, "the setting allow_muc is false"),
        (
            &unlike("allow_muc"),
            "rooms.get-or-create",
            Some(LEFT),
            Partly,
            "; it enters no room while the setting allow_muc",
        ),
        (
            &unlike("allow_bookmarks"),
            "rooms.bookmarks",
            None,
            No,
            "the setting allow_bookmarks is false; once it is true: ",
        ),
        (&unkept, "rooms.bookmarks", None, No, "the server keeps no bookmarks"),
        (&unkept, "rooms.set-bookmark", Some(ROOM), Unknown, "may refuse one"),
        (&all(), "rooms.remove-bookmark", Some(ROOM), Yes, ""),
        (&all(), "rooms.remove-bookmark", Some(LEFT), No, "there is no bookmark of den@conference.example.org"),
        (&older, "rooms.remove-bookmark", Some(ROOM), No, "where older clients keep them (XEP-0048)"),
        (&all(), "rooms.close-many", Some(CLOSED), No, "the room attic@conference.example.org is not open"),
        (&without(ArchiveState::Missing), "archive.query", None, No, "the server keeps no archive for the account"),
        (
            &without(ArchiveState::Unknown),
            "archive.query",
            None,
            Unknown,
            "it is not known yet whether there is an archive",
        ),
        (&all(), "archive.query", Some(LEFT), No, "den@conference.example.org has no archive"),
        (&unlike("expose_rid_and_sid"), "tokens.get", None, No, "the setting expose_rid_and_sid is false"),
    ]);
}

#[test]
fn a_grant_that_is_missing_comes_before_the_state_of_the_account() {
    let none = Question::parse("chats.close", Some(STRANGER)).unwrap().answer(&plugin(""));
    assert!(none.remedy("echo").is_some(), "{none:?}");
}

/// The manifest of the other tests does not request this permission.
#[test]
fn the_card_that_is_set_is_the_accounts_own() {
    let check =
        |about: &str| condition::of_call(table::Depends::OwnCard, Some(&about.parse().unwrap()), Some(&plugin("")));
    assert_eq!(check("bot@example.org/here"), condition::Check::Met);
    let condition::Check::Never(reason) = check(STRANGER) else { panic!("it is another one") };
    assert_eq!(reason, "it sets the account's own card, and never that of juliet@localhost");
}

#[test]
fn an_event_about_a_person_is_no_plain_yes_where_it_does_not_occur() {
    use Outcome::{No, Unknown, Yes};

    let unlike = |missing: &str| {
        let settings = all().settings.into_iter().filter(|key| *key != missing).collect();
        Plugin { settings, ..all() }
    };
    let granting = Plugin { settings: vec!["allow_contact_requests", "auto_subscribe"], ..all() };
    for (plugin, what, about, outcome, says) in [
        (&all(), "contactPresenceChanged", Some(CONTACT), Yes, ""),
        (&all(), "contactPresenceChanged", None, Yes, ""),
        (&all(), "contactPresenceChanged", Some(STRANGER), No, "juliet@localhost is no contact; once it is one: yes, "),
        (&all(), "contactStatusChanged", Some(ASKER), No, "is no contact"),
        (
            &all(),
            "contactStatusMessageChanged",
            Some(SHY),
            No,
            "shy@example.org does not show the account its presence",
        ),
        (&all(), "contactRemoved", Some(ASKER), Yes, ""),
        (&all(), "contactRemoved", Some(STRANGER), No, "is no contact"),
        (&all(), "contactRequest", Some(STRANGER), Yes, ""),
        (&all(), "contactRequest", Some(CONTACT), No, "sees the account's presence already"),
        (&all(), "contactRequest", Some("bot@example.org"), No, "is the account itself"),
        (&unlike("allow_contact_requests"), "contactRequest", Some(STRANGER), No, "allow_contact_requests is false; "),
        (&granting, "contactRequest", None, No, "the setting auto_subscribe is true; once it is false: "),
        (&all(), "chatBoxClosed", Some(STRANGER), Unknown, "no chat with juliet@localhost is open; once one is: yes, "),
        (
            &unlike("allow_non_roster_messaging"),
            "chatBoxOpened",
            Some(STRANGER),
            Unknown,
            "is no contact, and the setting",
        ),
        (&all(), "chatBoxOpened", Some(ROOM), No, "is a room, and no chat"),
        (&unlike("allow_muc"), "roomInviteReceived", Some(LEFT), No, "the setting allow_muc is false"),
        (&all(), "roomInviteReceived", Some(ROOM), No, "the account is in lobby@conference.example.org already"),
        (&all(), "roomInviteReceived", Some(CONTACT), No, "counts as no room"),
        (&all(), "roomInviteDeclined", Some(CLOSED), Unknown, "is not open; once it is"),
        (&all(), "vcardUpdated", Some(STRANGER), Yes, ""),
    ] {
        let (found, reason) = ask(plugin, what, about);
        assert_eq!(found, outcome, "{what} {about:?}: {reason}");
        assert!(reason.contains(says), "{what} {about:?}: {reason}");
    }
}

/// Messages of a room that the account is not in are dropped.
#[test]
fn an_event_about_a_room_is_no_plain_yes_outside_of_it() {
    let all = Plugin { grants: Grants::all(), ..plugin("") };
    let nick = format!("{LEFT}/rom");
    for (what, about, outcome) in [
        ("message", LEFT, Outcome::No),
        ("message", &nick, Outcome::No),
        ("messageNotification", LEFT, Outcome::No),
        ("command", LEFT, Outcome::No),
        ("occupantJoined", LEFT, Outcome::No),
        ("occupantChanged", &nick, Outcome::No),
        ("roomLeft", LEFT, Outcome::No),
        ("message", CLOSED, Outcome::Unknown),
        ("occupantJoined", CLOSED, Outcome::Unknown),
        ("occupantJoined", "a@b", Outcome::Unknown),
    ] {
        let (found, reason) = ask(&all, what, Some(about));
        assert_eq!(found, outcome, "{what} {about}: {reason}");
        let room = about.trim_end_matches("/rom");
        assert!(reason.starts_with(&format!("the account is not in {room}; once it is: yes, ")), "{what}: {reason}");
    }
    let (outcome, reason) = ask(&all, "roomViewChanged", Some("a@b"));
    assert_eq!(outcome, Outcome::Unknown);
    assert!(reason.starts_with("the room a@b is not open; once it is: yes, "), "{reason}");
    for (what, about) in [
        ("message", ROOM),
        ("message", CONTACT),
        ("occupantJoined", ROOM),
        ("roomViewChanged", LEFT),
        // These arrive although the account is not in the room.
        ("messageError", LEFT),
        ("chatRoomOpened", CLOSED),
        ("roomInviteReceived", LEFT),
        ("roomInviteReceived", CLOSED),
    ] {
        assert_eq!(ask(&all, what, Some(about)).0, Outcome::Yes, "{what} {about}");
    }
    // A filter or a grant that excludes it comes first.
    let no = plugin("\"rooms.read\" = [\"a@b\"]");
    assert!(ask(&no, "occupantJoined", Some(LEFT)).1.ends_with("not den@conference.example.org"));
}

#[test]
fn nothing_is_a_plain_yes_where_more_has_to_be_so() {
    let yes =
        Question::parse("timers.sleep", None).unwrap().answer(&plugin("")).only("no host runs; by the file alone");
    assert_eq!(yes.outcome, Outcome::Unknown);
    assert_eq!(yes.reason, "no host runs; by the file alone: yes, it needs no permission: every plugin may");
    let no = Question::parse("chats.send", None).unwrap().answer(&plugin(""));
    assert_eq!(no.clone().only("no host runs"), no, "what is not granted will not be by a host that runs");
}

#[test]
fn calls_are_answered_with_all_that_they_may_need() {
    let reads = plugin("\"rooms.read\" = [\"*\"]");
    let (outcome, reason) = ask(&reads, "rooms.get-or-create", None);
    assert_eq!(outcome, Outcome::Partly);
    assert!(reason.contains("for some of its uses it needs rooms.join or rooms.configure, too"), "{reason}");
    assert_eq!(ask(&reads, "rooms.get", Some(ROOM)).0, Outcome::Yes);
    // Only the stanzas of messages count.
    let archive = |more: &str| plugin(&format!("\"archive.read\" = [\"*\"]\n{more}"));
    for call in ["archive.query", "archive.query-all", "listen.on", "listen.once"] {
        let (outcome, reason) = ask(&archive("\"stanza.read\" = [\"presence\"]"), call, None);
        assert_eq!(outcome, Outcome::Partly);
        assert!(reason.ends_with("; for some of its uses it needs stanza.read, too, which it does not have in full"));
        let (outcome, reason) = ask(&archive("\"stanza.read\" = [\"message\"]"), call, None);
        assert_eq!(outcome == Outcome::Yes, call.starts_with("archive."));
        assert!(!reason.contains("stanza.read"), "{reason}");
    }
    assert_eq!(ask(&plugin("\"rooms.read\" = [\"a@b.c\"]"), "rooms.get", Some(ROOM)).0, Outcome::No);
    // A name of both a permission and a call means the call; with entries it means the permission.
    assert!(matches!(Question::parse("rooms.send", Some(ROOM)).unwrap().subject, Subject::Call(_)));
    assert!(matches!(Question::parse("rooms.send=a@b", None).unwrap().subject, Subject::Permission(_)));
    assert_eq!(
        ask(&reads, "timers.sleep", None),
        (Outcome::Yes, "it needs no permission: every plugin may".to_owned())
    );
    assert_eq!(ask(&reads, "settings.set", None).0, Outcome::Partly);
    assert_eq!(ask(&reads, "rooms.join", None), (Outcome::No, "it needs rooms.join, which is not granted".to_owned()));
    let (outcome, reason) = ask(&reads, "vcard.set", None);
    assert_eq!(outcome, Outcome::No);
    assert!(reason.contains("does not ask for in its manifest"), "{reason}");
}

#[test]
fn stanzas_are_decided_on_by_kind_and_recipient() {
    let server = plugin("\"stanza.send\" = [\"iq:bot@example.org\", \"message\"]");
    // An IQ to the own account can do whatever its owner can, and only `iq` covers it.
    assert_eq!(ask(&server, "api.send", Some("bot@example.org")).0, Outcome::Partly);
    assert_eq!(
        ask(&plugin("\"stanza.send\" = [\"iq:bot@example.org\"]"), "api.send-iq", Some("bot@example.org")).0,
        Outcome::No
    );
    let server_alone = plugin("\"stanza.send\" = [\"iq:example.org\"]");
    assert_eq!(
        ask(&server_alone, "api.send-iq", Some("example.org")).0,
        Outcome::Partly,
        "it may ask, and change nothing"
    );
    // An entry with one address is the same question.
    assert_eq!(ask(&server, "stanza.send=iq:bot@example.org", None).0, Outcome::No);
    assert_eq!(ask(&server_alone, "stanza.send=iq:example.org", None).0, Outcome::Partly);
    assert_eq!(ask(&server, "stanza.send=message:bot@example.org", None).0, Outcome::Yes);
    assert_eq!(ask(&server, "stanza.send=iq:bot@example.org,message", None).0, Outcome::Partly);
    assert_eq!(ask(&server, "api.send", None).0, Outcome::Partly);
    assert_eq!(ask(&plugin("\"stanza.send\" = [\"iq\", \"message\", \"presence\"]"), "api.send", None).0, Outcome::Yes);
}

#[test]
fn entries_are_compared_with_what_is_granted() {
    let some = plugin("\"messages.send\" = [\"@example.org\", \"a@b\"]\nstorage = [\"1 MiB\"]");
    assert_eq!(ask(&some, "messages.send=@example.org", None).0, Outcome::Yes);
    assert_eq!(ask(&some, "messages.send=*", None).0, Outcome::Partly);
    // A contact may have an address of that domain.
    let (outcome, reason) = ask(&some, "messages.send=contacts", None);
    assert_eq!(outcome, Outcome::Unknown);
    assert!(reason.ends_with("who is covered by both that and contacts depends on the contact list"), "{reason}");
    let contacts = plugin("\"messages.send\" = [\"contacts\"]\n\"stanza.send\" = [\"iq:contacts\"]");
    assert_eq!(ask(&contacts, "messages.send=@example.org", None).0, Outcome::Unknown);
    assert_eq!(ask(&contacts, "messages.send=*", None).0, Outcome::Partly);
    assert_eq!(ask(&contacts, "stanza.send=iq:@example.org", None).0, Outcome::Unknown);
    assert_eq!(ask(&contacts, "stanza.send=message:@example.org", None).0, Outcome::No);
    assert_eq!(ask(&some, "messages.send=@example.net", None).0, Outcome::No);
    assert_eq!(ask(&some, "messages.send=a@b", None).0, Outcome::Yes);
    assert_eq!(ask(&some, "storage=16 MiB", None).0, Outcome::Partly);
    assert_eq!(ask(&some, "messages.read=*", None).0, Outcome::No);
}

/// An IQ to the account itself can change its password, so only `iq` covers it.
#[test]
fn an_entry_that_takes_the_account_itself_in_is_no_plain_yes() {
    let iq = |entries: &str| plugin(&format!("\"stanza.send\" = [{entries}]"));
    let domain = iq("\"iq:@example.org\", \"message\"");
    let answer = Question::parse("stanza.send=iq:@example.org", None).unwrap().answer(&domain);
    assert_eq!((answer.outcome, &answer.lacks), (Outcome::Partly, &None));
    assert!(answer.reason.contains(", which covers no IQ to bot@example.org, the account itself; only iq does"));
    assert_eq!(ask(&domain, "stanza.send=message:@example.org", None).0, Outcome::Yes);
    assert_eq!(ask(&iq("\"iq:@example.net\""), "stanza.send=iq:@example.net", None).0, Outcome::Yes);
    assert_eq!(ask(&iq("\"iq\""), "stanza.send=iq:@example.org", None).0, Outcome::Yes);
}

#[test]
fn what_is_no_question_is_refused_with_a_remedy() {
    let error = |what, about| Question::parse(what, about).unwrap_err().to_string();
    assert!(error("chats.sned", None).contains("did you mean \"chats.send\"?"));
    assert!(error("message", Some("a@@b")).contains("is no address"));
    assert_eq!(error("messages.read=a@b", Some("c@d")), "name the address once: either behind the =, or by itself");
    assert!(error("contacts.read=a@b", None).starts_with("\"contacts.read\": there is nothing to list"));
    assert!(error("stanza.read=message:a@b", None).starts_with("\"stanza.read\" is granted by kind, not by recipient"));
    assert!(error("message=a@b", None).starts_with("\"message=a@b\" is no call"));
}

#[test]
fn a_remedy_names_what_was_asked_about() {
    let remedy = |what, about| Question::parse(what, about).unwrap().answer(&plugin("")).remedy("caller");
    for (what, about, expected) in [
        ("api.send-iq", Some("romeo@localhost"), Some("stanza.send=iq:romeo@localhost")),
        ("api.send-iq", Some("bot@example.org"), Some("stanza.send=iq")),
        // A query to the server needs a narrower grant than a change there.
        ("api.send-iq", Some("example.org"), Some("stanza.send=iq:example.org")),
        ("stanza.send=iq:example.org", None, Some("stanza.send=iq:example.org")),
        ("stanza.send=iq:bot@example.org,message", None, Some("stanza.send=iq,message")),
        ("api.send", Some("bot@example.org"), Some("stanza.send=message:bot@example.org,presence:bot@example.org")),
        (
            "stanza.send",
            Some("romeo@localhost"),
            Some("stanza.send=message:romeo@localhost,presence:romeo@localhost,iq:romeo@localhost"),
        ),
        ("stanza.send", None, Some("stanza.send=message,presence")),
        ("api.send", None, Some("stanza.send=message,presence")),
        ("api.send-iq", None, Some("stanza.send=iq")),
        ("storage=1 GiB", None, Some("'storage=1 GiB'")),
        ("storage", None, Some("storage")),
        ("messages.send=*", None, Some("'messages.send=*'")),
        ("chats.send", None, Some("'messages.send=*'")),
        ("chats.send", Some("*"), None),
        ("chats.send", Some("contacts"), None),
        ("rooms.send", Some("localhost"), None),
        ("send", None, Some("stanza.read=message,presence,iq")),
    ] {
        let expected = expected.map(|change| format!("parlor plugin grant caller {change}"));
        assert_eq!(remedy(what, about), expected, "{what} {about:?}");
    }
    let answer = Question::parse("chats.send", Some("*")).unwrap().answer(&plugin(""));
    assert!(
        answer.reason.ends_with("no grant names this address alone, since \"*\" stands for others, too"),
        "{answer:?}"
    );
    // Invisible characters are escaped wherever they are shown, so a command would name another address.
    let line = remedy("chats.send", Some("juliet@localhost/a\u{2067}b")).unwrap();
    assert_eq!(
        line,
        "in plugins.toml, under [plugin.caller.grants], in the list \"messages.send\": \"juliet@localhost/a\\U00002067b\""
    );
    assert_eq!(escape_untrusted(&line, usize::MAX), line);
}

/// `iq` covers requests that set the account's password.
#[test]
fn a_remedy_that_is_as_good_as_the_account_is_the_last_one_and_says_so() {
    let answer = |grants: &str, what, about| Question::parse(what, about).unwrap().answer(&plugin(grants));
    let asks = "\"stanza.send\" = [\"iq:example.org\"]";
    for (grants, what, about, remedy) in [
        ("", "api.send-iq", Some("example.org"), "stanza.send=iq:example.org"),
        (asks, "api.send-iq", Some("example.org"), "stanza.send=iq"),
        (asks, "stanza.send=iq:example.org", None, "stanza.send=iq"),
        ("", "api.send-iq", Some("bot@example.org"), "stanza.send=iq"),
        ("", "api.send-iq", None, "stanza.send=iq"),
        ("", "api.send", None, "stanza.send=message,presence"),
    ] {
        let found = answer(grants, what, about);
        assert_eq!(found.remedy("echo").unwrap(), format!("parlor plugin grant echo {remedy}"), "{what} {about:?}");
        let is_named = found.reason.contains("iq for every recipient is as good as the account");
        assert_eq!(is_named, remedy.ends_with("=iq"), "{found:?}");
    }
    assert!(answer("", "api.send-iq", None).reason.ends_with("; name an address to ask for less"));
    let yes = answer("\"stanza.send\" = [\"iq\"]", "api.send-iq", Some("example.org"));
    assert_eq!(yes.reason, "it needs stanza.send, which is granted for iq");
}

/// Returns the grants after their owner has followed the remedy.
fn remedied(grants: &Grants, remedy: &str) -> Grants {
    let mut grants = grants.clone();
    if let Some(rest) = remedy.strip_prefix("in plugins.toml, under [plugin.echo.grants], in the list \"") {
        let (permission, entries) = rest.split_once("\": ").unwrap();
        let list: toml::Table = format!("all = [{entries}]").parse().unwrap();
        let all = list["all"].as_array().unwrap().iter().map(|entry| entry.as_str().unwrap()).collect::<Vec<_>>();
        grants.grant_more(permission.parse().unwrap(), &all).unwrap();
        return grants;
    }
    let word = remedy.strip_prefix("parlor plugin grant echo ").unwrap_or_else(|| panic!("{remedy}"));
    let word = word.strip_prefix('\'').map_or(word, |word| word.strip_suffix('\'').unwrap()).replace("'\\''", "'");
    let (permission, entries) = word.split_once('=').map_or((&*word, None), |(name, entries)| (name, Some(entries)));
    let permission: Permission = permission.parse().unwrap();
    match (entries, permission.scope_kind()) {
        (Some(entries), _) => {
            grants.grant_more(permission, &entries.split(',').map(str::trim).collect::<Vec<_>>()).unwrap();
        }
        (None, ScopeKind::Quota) => grants.grant_more(permission, &["16 MiB"]).unwrap(),
        (None, _) => grants.grant_more::<&str>(permission, &[]).unwrap(),
    }
    grants
}

fn address() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(vec![
        "*",
        "contacts",
        "all",
        "example.org",
        "*@example.org",
        "bot@example.org",
        "nurse@example.org",
        "lobby@conference.example.org/rom",
        "a@b/c,d",
        "a@b/ it's =x",
        "a@b/\u{2067}x",
        "[::1]",
    ]);
    prop_oneof![odd.prop_map(str::to_owned), "[ab]{1,2}@(a|b)\\.ex(/[rs*,' =:]{1,3})?"]
}

fn what() -> impl Strategy<Value = String> {
    let calls = table::CALLS.iter().map(|call| format!("{}.{}", call.grouping, call.function));
    let events = table::EVENTS.iter().map(|event| event.name.to_owned());
    let permissions = Permission::ALL.iter().map(ToString::to_string);
    let entries = [
        "messages.send=*,a@b",
        "messages.read=@a.ex",
        "stanza.send=iq:a@b,message",
        "storage=1 GiB",
        "rooms.join=@a.ex",
    ];
    let all: Vec<_> = calls.chain(events).chain(permissions).chain(entries.map(str::to_owned)).collect();
    prop::sample::select(all)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn remedies_make_the_answer_a_yes(
        what in what(),
        about in prop::option::of(address()),
        held in prop::sample::select(vec![
            "",
            "\"messages.send\" = [\"a@b\"]\n\"messages.read\" = [\"contacts\"]\nstorage = [\"1 KiB\"]",
            "\"messages.read\" = [\"encrypted:*\"]\n\"archive.read\" = [\"encrypted:@a.ex\", \"a@b\"]",
            "\"stanza.send\" = [\"iq:@a.ex\"]\n\"messages.read\" = [\"a@a.ex/r\"]\n\"rooms.join\" = [\"a@b\"]",
        ]),
    ) {
        let Ok(question) = Question::parse(&what, about.as_deref().filter(|_| !what.contains('='))) else { return Ok(()) };
        let mut plugin = plugin(held);
        let mut answer = question.answer(&plugin);
        let Some(mut remedy) = answer.remedy("echo") else { return Ok(()) };
        // A remedy that grants more than the question comes last.
        for _ in 0..2 {
            plugin.grants = remedied(&plugin.grants, &remedy);
            let before = std::mem::replace(&mut answer, question.answer(&plugin));
            prop_assert_ne!(&before, &answer, "{} {:?}: {}", what, about, remedy);
            let Some(next) = answer.remedy("echo") else { break };
            remedy = next;
        }
        // Some calls need more than one permission, and some need more than permissions.
        let needs_more = match &question.subject {
            Subject::Call(call) => {
                call.depends != table::Depends::Nothing
                    || table::BESIDES.iter().any(|one| (one.grouping, one.function) == (call.grouping, call.function))
            }
            Subject::Event(rule) => rule.depends() != table::Depends::Nothing,
            _ => false,
        };
        // For all stanzas to any recipient, no remedy allows more than those that are less than the account.
        let is_of_any_stanza = question.about.is_none() && question.permission() == Some(Permission::StanzaSend);
        if needs_more || is_of_any_stanza {
            prop_assert!(answer.lacks.is_none(), "{what} {about:?}: {remedy}: {answer:?}");
        } else {
            prop_assert_eq!(answer.outcome, Outcome::Yes, "{} {:?}: {}: {:?}", what, about, remedy, answer);
        }
    }

    /// The plugin chooses the address, and the owner may well paste the command.
    #[test]
    fn the_hint_of_a_denial_grants_the_target_and_nobody_else(address in address()) {
        let Ok(jid) = Jid::new(&address) else { return Ok(()) };
        let entry = jid.to_string();
        for (permission, scope, target) in [
            (Permission::MessagesSend, entry.clone(), Target::Jid(&jid)),
            (Permission::StanzaSend, format!("message:{entry}"), Target::Stanza { kind: "message", to: Some(&jid) }),
        ] {
            let CallError::Denied { hint, .. } = denial("echo", permission, Some(scope)) else { panic!("it is denied") };
            if hint.starts_with("no grant ") {
                continue;
            }
            let grants = remedied(&Grants::default(), &hint);
            prop_assert!(grants.may_do(permission, target, &|_| false), "{hint}");
            let stranger = "stranger@elsewhere.example".parse().unwrap();
            let other = match target {
                Target::Stanza { kind, .. } => Target::Stanza { kind, to: Some(&stranger) },
                _ => Target::Jid(&stranger),
            };
            prop_assert!(!grants.may_do(permission, other, &|_| true), "{hint}");
        }
    }
}

#[test]
fn a_request_over_the_web_is_asked_about_by_its_url() {
    let plugin = plugin("\"http.fetch\" = [\"GET https://api.example.org/weather\"]");
    let answer = |what: &str, url: &str| Question::parse(what, Some(url)).unwrap().answer(&plugin);
    assert_eq!(answer("http.fetch", "https://api.example.org/weather?city=Verona").outcome, Outcome::Yes);
    assert_eq!(answer("http.open", "GET https://api.example.org/weather").outcome, Outcome::Yes);
    for (what, url) in
        [("http.fetch", "https://api.example.org/other"), ("http.fetch", "POST https://api.example.org/weather")]
    {
        let answer = answer(what, url);
        assert_eq!(answer.outcome, Outcome::No, "{url}");
        let remedy = answer.remedy("weather").unwrap();
        assert!(remedy.contains("api.example.org"), "{remedy}");
    }
    let wrong = |what: &str, url: &str| Question::parse(what, Some(url)).unwrap_err().to_string();
    assert!(wrong("chats.send", "https://example.org").contains("chats.send is not about the web"));
    assert!(wrong("http.fetch", "https:///a").contains("is no address"));
    assert_eq!(
        Question::parse("http.fetch", Some("https://example.org/a")).unwrap().words(),
        "http.fetch GET https://example.org/a"
    );
}

#[test]
fn a_plugin_that_is_kept_to_rooms_may_do_nothing_in_others_before_its_owner_adds_them() {
    let rooms = RoomList::new([RoomList::room("lounge@muc.example.org").unwrap()]);
    let kept = Plugin { grants: Grants::all().in_rooms(Some(rooms)), ..all() };
    let hall = Some("hall@muc.example.org");
    for what in ["rooms.send", "message", "messages.send", "command", "rooms.kick"] {
        let answer = Question::parse(what, hall).unwrap().answer(&kept);
        assert_eq!(answer.outcome, Outcome::No, "{what}: {answer:?}");
        let why = "it is kept to rooms (lounge@muc.example.org), and hall@muc.example.org is none of them";
        assert!(answer.reason.starts_with(why), "{what}: {answer:?}");
        // No grant helps.
        match answer.remedy("guard") {
            Some(remedy) => assert_eq!(remedy, "parlor plugin rooms guard --add hall@muc.example.org", "{what}"),
            None => assert!(answer.reason.ends_with("`parlor plugin rooms PLUGIN --add ROOM` adds one"), "{answer:?}"),
        }
        assert_eq!(answer.remedy("guard").is_some(), answer.permission.is_some(), "{what}: {answer:?}");
    }
    for (what, about) in [("messages.send", "juliet@example.org"), ("rooms.read", "lounge@muc.example.org")] {
        let answer = Question::parse(what, Some(about)).unwrap().answer(&kept);
        assert!(!answer.reason.contains("it is kept to rooms"), "{what}: {answer:?}");
    }
}

/// The host dials none of these addresses for a star.
#[test]
fn a_star_is_no_yes_about_a_server_in_the_owners_own_network() {
    let ask = |grants: &str, url: &str| {
        let judge = plugin(&format!("\"http.fetch\" = [{grants}]"));
        Question::parse("http.fetch", Some(url)).unwrap().answer(&judge)
    };
    let listed = "\"*\", \"https://127.0.0.1:37443\"";
    for (url, remedy) in [
        ("https://169.254.169.254/", "parlor plugin grant probe 'http.fetch=GET https://169.254.169.254'"),
        ("https://127.0.0.1:37444/", "parlor plugin grant probe 'http.fetch=GET https://127.0.0.1:37444'"),
        ("https://0x7f.1:37444/", "parlor plugin grant probe 'http.fetch=GET https://127.0.0.1:37444'"),
        ("https://localhost:37444/", "parlor plugin grant probe http.fetch=https://127.0.0.1:37444"),
    ] {
        let answer = ask(listed, url);
        assert_eq!(
            (answer.outcome, answer.remedy("probe").as_deref()),
            (Outcome::No, Some(remedy)),
            "{url}: {answer:?}"
        );
    }
    // The grant names the scheme, and so does the remedy.
    for (url, remedy) in [
        ("http://localhost:37080/a", "parlor plugin grant probe http.fetch=http://127.0.0.1:37080"),
        ("http://127.0.0.1:37080/a", "parlor plugin grant probe 'http.fetch=GET http://127.0.0.1:37080/a'"),
    ] {
        let answer = ask("\"http://localhost:37080\"", url);
        assert_eq!(answer.remedy("probe").as_deref(), Some(remedy), "{url}: {answer:?}");
    }
    for url in ["https://127.0.0.1:37443/a", "https://localhost:37443/a", "https://1.1.1.1/"] {
        assert_eq!(ask(listed, url).outcome, Outcome::Yes, "{url}");
    }
    // The address that a name leads to is known only at the time.
    let named = ask("\"https://api.test:37443\"", "https://api.test:37443/quote");
    assert!(
        named.outcome == Outcome::Yes && named.reason.contains("the address that a name leads to decides"),
        "{named:?}"
    );
    assert_eq!(ask("\"*\"", "https://printer.local/").outcome, Outcome::Unknown);
    assert_eq!(ask("\"https://api.test:37443\"", "https://other.test/").outcome, Outcome::No);
}
