//! Answers that an owner can rely on: none says yes where the host would say no.

use super::*;
use crate::permissions::Grants;

const CONTACT: &str = "nurse@example.org";
const ROOM: &str = "lobby@conference.example.org";

/// A plugin with these grants, which asks for all that it was granted and for `messages.read`.
struct Plugin {
    grants: Grants,
    /// The contact list has come.
    knows: bool,
    listens: bool,
}

fn plugin(grants: &str) -> Plugin {
    Plugin { grants: Grants::from_table(&grants.parse().unwrap()).unwrap(), knows: true, listens: true }
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

    fn is_room(&self, jid: &BareJid) -> bool {
        jid.as_str() == ROOM
    }

    fn acts_for(&self, jid: &Jid, is_set: bool) -> bool {
        jid.as_str() == "bot@example.org" || (is_set && jid.as_str() == "example.org")
    }

    fn listens(&self, _event: &str) -> Option<bool> {
        self.knows.then_some(self.listens)
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
    let (outcome, reason) = ask(&echo, "message", Some("nurse@example.org/house"));
    assert_eq!(outcome, Outcome::Yes);
    assert!(reason.ends_with("which is granted for contacts, and nurse@example.org/house is a contact"), "{reason}");
    let (outcome, reason) = ask(&echo, "message", None);
    assert_eq!(outcome, Outcome::Partly);
    assert!(reason.contains("granted for contacts alone; name an address"), "{reason}");
    let answer = Question::parse("message", Some("juliet@localhost")).unwrap().answer(&echo);
    assert_eq!(answer.lacks, Some((Permission::MessagesRead, Some("juliet@localhost".to_owned()))));
}

/// The router asks about the other side's bare JID, so that a grant for one of its clients covers no message of it.
#[test]
fn a_message_is_asked_about_as_the_router_asks() {
    let one = plugin("\"messages.read\" = [\"juliet@localhost/balcony\"]");
    assert_eq!(ask(&one, "message", Some("juliet@localhost/balcony")).0, Outcome::No);
    let occupant = plugin("\"messages.read\" = [\"lobby@conference.example.org/juliet\"]");
    assert_eq!(ask(&occupant, "message", Some("lobby@conference.example.org/juliet")).0, Outcome::Yes);
    assert_eq!(ask(&occupant, "message", Some(ROOM)).0, Outcome::No);
}

#[test]
fn without_the_contact_list_nobody_is_said_to_be_in_it_or_not() {
    let echo = Plugin { knows: false, ..plugin("\"messages.read\" = [\"contacts\", \"@example.net\"]") };
    assert_eq!(ask(&echo, "message", Some(CONTACT)).0, Outcome::Unknown);
    assert_eq!(ask(&echo, "message", Some("a@example.net")).0, Outcome::Yes);
}

#[test]
fn an_event_to_which_nobody_listens_is_not_heard() {
    let deaf = Plugin { listens: false, ..plugin("\"messages.read\" = [\"*\"]") };
    let (outcome, reason) = ask(&deaf, "message", None);
    assert_eq!(outcome, Outcome::No);
    assert!(reason.starts_with("it does not listen to it, although it may"), "{reason}");
    assert_eq!(ask(&deaf, "messages.read", None).0, Outcome::Yes);
}

#[test]
fn calls_are_answered_with_all_that_they_may_need() {
    let reads = plugin("\"rooms.read\" = [\"*\"]");
    let (outcome, reason) = ask(&reads, "rooms.get-or-create", None);
    assert_eq!(outcome, Outcome::Partly);
    assert!(reason.contains("for some of its uses it needs rooms.join or rooms.configure, too"), "{reason}");
    assert_eq!(ask(&reads, "rooms.get", Some(ROOM)).0, Outcome::Yes);
    assert_eq!(ask(&plugin("\"rooms.read\" = [\"a@b.c\"]"), "rooms.get", Some(ROOM)).0, Outcome::No);
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
    // An IQ to the own account does whatever its owner may, and only `iq` covers it.
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
    assert_eq!(ask(&server, "api.send", None).0, Outcome::Partly);
    assert_eq!(ask(&plugin("\"stanza.send\" = [\"iq\", \"message\", \"presence\"]"), "api.send", None).0, Outcome::Yes);
}

#[test]
fn entries_are_compared_with_what_is_granted() {
    let some = plugin("\"messages.send\" = [\"@example.org\", \"a@b\"]\nstorage = [\"1 MiB\"]");
    assert_eq!(ask(&some, "messages.send=@example.org", None).0, Outcome::Yes);
    assert_eq!(ask(&some, "messages.send=*", None).0, Outcome::Partly);
    assert_eq!(ask(&some, "messages.send=contacts", None).0, Outcome::No);
    assert_eq!(ask(&some, "messages.send=a@b", None).0, Outcome::Yes);
    assert_eq!(ask(&some, "storage=16 MiB", None).0, Outcome::Partly);
    assert_eq!(ask(&some, "messages.read=*", None).0, Outcome::No);
}

#[test]
fn what_is_no_question_is_refused_with_a_remedy() {
    let error = |what, about| Question::parse(what, about).unwrap_err().to_string();
    assert!(error("chats.sned", None).contains("did you mean \"chats.send\"?"));
    assert!(error("message", Some("a@@b")).contains("is no address"));
    assert_eq!(error("messages.read=a@b", Some("c@d")), "name the address once: either behind the =, or by itself");
    assert!(error("contacts.read=a@b", None).starts_with("\"contacts.read\": there is nothing to list"));
    assert!(error("message=a@b", None).starts_with("\"message=a@b\" is no call"));
}
