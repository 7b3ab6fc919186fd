//! The conditions of calls and events besides their permission, and whether they hold.
//!
//! An [`AccountState`] reports the state of an account. This module decides by it, and phrases the reason.

use jid::{BareJid, Jid};
use parlor_base::escape::escape_untrusted;

use super::{Answer, Outcome};
use crate::permissions::table::{Depends, EventRule, Rank};

/// The state of an account that conditions depend on.
pub trait AccountState {
    /// Returns the value of a setting that is true or false.
    fn setting(&self, key: &str) -> bool;
    /// Returns whether this is the configured address of the account.
    fn is_account(&self, jid: &BareJid) -> bool;
    /// Returns whether the contact list was received.
    fn has_roster(&self) -> bool;
    /// Returns the contact of this address, which may only ask to be one.
    fn contact(&self, jid: &BareJid) -> Option<ContactState>;
    /// Returns whether a chat with this address is open.
    fn has_chat(&self, jid: &BareJid) -> bool;
    /// Returns the open room of this address.
    fn room(&self, jid: &BareJid) -> Option<RoomState>;
    /// Returns whether this is known to be a room, open or not: by a bookmark, or by its service.
    fn is_known_room(&self, jid: &BareJid) -> bool;
    /// Returns the knowledge about the bookmarks.
    fn bookmarks(&self) -> BookmarkState;
    /// Returns whether there is a bookmark of this room.
    fn has_bookmark(&self, room: &BareJid) -> bool;
    /// Returns whether there is an archive of the messages with this address, or of all messages.
    fn archive(&self, with: Option<&Jid>) -> ArchiveState;
}

/// A contact, or somebody who asks to be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is true or false independently of the others")]
pub struct ContactState {
    /// Whether it is in the contact list, and does not only ask.
    pub is_listed: bool,
    /// Whether its request to see the account's presence is unanswered.
    pub asks: bool,
    /// Whether it may see the account's presence.
    pub sees_us: bool,
    /// Whether the account may see its presence.
    pub is_seen: bool,
    /// Whether the account has asked to see its presence, and there is no answer yet.
    pub is_asked: bool,
}

/// An open room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomState {
    /// Whether the account is in it.
    pub is_inside: bool,
    /// The role of the account (XEP-0045).
    pub role: String,
    /// The affiliation of the account (XEP-0045).
    pub affiliation: String,
}

/// The knowledge about the bookmarks of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BookmarkState {
    /// They are known. `older`: they are kept where none can be removed.
    Known {
        /// Whether they are kept where none can be removed.
        older: bool,
    },
    /// The server stores none so far.
    NotKept,
    /// They are not known, for this reason.
    Unknown(String),
}

/// The knowledge about an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveState {
    /// There is one.
    Exists,
    /// There is none.
    Missing,
    /// It is not known yet.
    Unknown,
}

/// The result of checking a condition. The texts are clauses that a colon and the answer follow.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// It holds, or nothing is known of the account.
    Met,
    /// It never holds, regardless of the grants.
    Never(String),
    /// It does not hold now.
    Until(String),
    /// It is not known whether it holds.
    Open(String),
    /// It holds for some addresses or arguments.
    Part(String),
}

impl Check {
    /// Returns the answer by the permission, restricted by this condition.
    pub(super) fn apply(self, answer: Answer) -> Answer {
        match self {
            _ if answer.outcome == Outcome::No => answer,
            Self::Met => answer,
            Self::Never(reason) => Answer { outcome: Outcome::No, reason, lacks: None, ..answer },
            Self::Until(when) => {
                let reason = format!("{when}: {}, {}", answer.outcome, answer.reason);
                Answer { outcome: Outcome::No, reason, lacks: None, ..answer }
            }
            Self::Open(when) => answer.only(&when),
            Self::Part(clause) => {
                let outcome = if answer.outcome == Outcome::Yes { Outcome::Partly } else { answer.outcome };
                Answer { outcome, reason: format!("{}; {clause}", answer.reason), ..answer }
            }
        }
    }
}

/// Checks the condition of a call about an address, or about any. Without a state, only what is so for every account
/// counts.
pub(super) fn of_call(depends: Depends, about: Option<&Jid>, state: Option<&dyn AccountState>) -> Check {
    match depends {
        Depends::Nothing | Depends::Event => return Check::Met,
        Depends::Setting => return Check::Part("no plugin changes the settings that are the operator's".to_owned()),
        _ => {}
    }
    if about.is_none()
        && let Some(only) = only(depends)
    {
        return Check::Part(format!("it works only {only}; name an address to ask about it"));
    }
    let Some(state) = state else { return Check::Met };
    of_state(depends, about, state)
}

/// Checks the condition of an event about an address, or about any. If others may change the state, the answer is
/// unknown rather than no.
pub(super) fn of_event(rule: &EventRule, about: Option<&Jid>, state: Option<&dyn AccountState>) -> Check {
    let Some(state) = state else { return Check::Met };
    let (depends, bare) = (rule.depends(), about.map(Jid::to_bare));
    match (depends, &bare) {
        (Depends::InRoom, Some(jid)) => match state.room(jid) {
            Some(room) if room.is_inside => Check::Met,
            Some(_) => Check::Until(outside(jid)),
            None if rule.is_of_a_room() || state.is_known_room(jid) => Check::Open(outside(jid)),
            // It may be a person.
            None => Check::Met,
        },
        (Depends::InRoom | Depends::OpenRoom | Depends::OpenChat | Depends::Listed | Depends::Presence, None) => {
            Check::Met
        }
        (Depends::OpenRoom | Depends::OpenChat | Depends::NewChat, Some(_)) => match of_state(depends, about, state) {
            Check::Until(when) => Check::Open(when),
            other => other,
        },
        _ => of_state(depends, about, state),
    }
}

/// Returns for which addresses alone a call works, if the state of the account tells them from others.
fn only(depends: Depends) -> Option<&'static str> {
    Some(match depends {
        Depends::OpenChat | Depends::Otr => "for a chat that is open",
        Depends::Contact => "for somebody in the contact list",
        Depends::Request => "for somebody who asks to see the account's presence",
        Depends::OpenRoom => "for a room that is open",
        Depends::InRoom | Depends::Subject => "in a room that the account is in",
        Depends::AskedOfRoom(_) => "in a room that allows it to the account",
        Depends::Bookmark => "for a room with a bookmark",
        _ => return None,
    })
}

fn of_state(depends: Depends, about: Option<&Jid>, state: &dyn AccountState) -> Check {
    let bare = about.map(Jid::to_bare);
    let jid = bare.as_ref();
    match depends {
        Depends::Nothing | Depends::Event | Depends::Setting => Check::Met,
        Depends::Tokens => required(state, "expose_rid_and_sid", true),
        Depends::Archive => archive(about, state),
        Depends::Roster if state.has_roster() => Check::Met,
        Depends::Roster => Check::Until("the contact list has not come; once it has".to_owned()),
        Depends::Addable => match jid {
            Some(jid) if state.is_account(jid) => Check::Never(format!("{} is the account itself", shown(jid))),
            _ => of_state(Depends::Roster, about, state),
        },
        Depends::Blockable => match jid {
            Some(jid) if state.is_account(jid) => Check::Never(format!("{} is the account itself", shown(jid))),
            _ => Check::Met,
        },
        Depends::Contact | Depends::Listed | Depends::Presence => contact(depends, jid, state),
        Depends::Request => request(jid, state),
        Depends::Requester => requester(jid, state),
        Depends::OwnCard => match jid {
            Some(jid) if !state.is_account(jid) => {
                Check::Never(format!("it sets the account's own card, and never that of {}", shown(jid)))
            }
            _ => Check::Met,
        },
        Depends::Person => match jid {
            Some(jid) if about.is_some_and(Jid::is_bare) && state.room(jid).is_some() => {
                Check::Never(format!("{} is a room, where a plugin speaks with rooms.send", shown(jid)))
            }
            _ => Check::Met,
        },
        Depends::NewChat => new_chat(jid, state),
        Depends::OpenChat => match jid {
            Some(jid) if !state.has_chat(jid) => {
                Check::Until(format!("no chat with {} is open; once one is", shown(jid)))
            }
            _ => Check::Met,
        },
        Depends::Otr => required(state, "allow_otr", true)
            .and(|| of_state(Depends::Person, about, state))
            .and(|| of_state(Depends::OpenChat, about, state)),
        Depends::Rooms => required(state, "allow_muc", true),
        Depends::Enterable | Depends::MayEnter => enterable(depends, jid, state),
        Depends::Invited => invited(jid, state),
        Depends::OpenRoom => match jid {
            Some(jid) if state.room(jid).is_none() => {
                Check::Until(format!("the room {} is not open; once it is", shown(jid)))
            }
            _ => Check::Met,
        },
        Depends::InRoom => match jid {
            Some(jid) if !state.room(jid).is_some_and(|room| room.is_inside) => Check::Until(outside(jid)),
            _ => Check::Met,
        },
        Depends::Subject => required(state, "allow_muc", true).and(|| of_state(Depends::InRoom, about, state)),
        Depends::AskedOfRoom(rank) => required(state, "allow_muc", true).and(|| standing(rank, jid, state)),
        Depends::Bookmarks | Depends::Bookmarkable | Depends::Bookmark => bookmark(depends, jid, state),
    }
}

impl Check {
    /// Checks another condition if this one holds.
    fn and(self, other: impl FnOnce() -> Self) -> Self {
        if self == Self::Met { other() } else { self }
    }
}

fn required(state: &dyn AccountState, key: &str, value: bool) -> Check {
    if state.setting(key) == value {
        return Check::Met;
    }
    Check::Until(format!("the setting {key} is {}; once it is {value}", !value))
}

fn archive(with: Option<&Jid>, state: &dyn AccountState) -> Check {
    let room = with.map(Jid::to_bare).filter(|jid| state.room(jid).is_some() || state.is_known_room(jid));
    match (state.archive(with), room) {
        (ArchiveState::Exists, _) => Check::Met,
        (ArchiveState::Unknown, _) => {
            Check::Open("it is not known yet whether there is an archive (XEP-0313); if there is".to_owned())
        }
        (ArchiveState::Missing, Some(room)) => {
            Check::Until(format!("{} has no archive (XEP-0313); if it had", shown(&room)))
        }
        (ArchiveState::Missing, None) => {
            Check::Until("the server keeps no archive for the account (XEP-0313); if it did".to_owned())
        }
    }
}

fn contact(depends: Depends, jid: Option<&BareJid>, state: &dyn AccountState) -> Check {
    let Some(jid) = jid else { return Check::Met };
    let is_listed = match state.contact(jid) {
        _ if !state.has_roster() => return of_state(Depends::Roster, None, state),
        Some(contact) if depends == Depends::Presence && contact.is_listed && !contact.is_seen => {
            return Check::Until(format!("{} does not show the account its presence; once it does", shown(jid)));
        }
        Some(contact) => contact.is_listed || depends == Depends::Listed,
        None => false,
    };
    if is_listed { Check::Met } else { Check::Until(format!("{} is no contact; once it is one", shown(jid))) }
}

fn request(jid: Option<&BareJid>, state: &dyn AccountState) -> Check {
    let Some(jid) = jid else { return Check::Met };
    // Without a contact list on the server, an answer to a request is sent unseen.
    if !state.has_roster() {
        return Check::Open("the contact list has not come, or the server keeps none; once it is known".to_owned());
    }
    if state.contact(jid).is_some_and(|contact| contact.asks) {
        return Check::Met;
    }
    Check::Until(format!("{} does not ask to see the account's presence; once it does", shown(jid)))
}

/// Checks whether plugins are notified of a person's request to see the account's presence. The host answers some
/// itself.
fn requester(jid: Option<&BareJid>, state: &dyn AccountState) -> Check {
    let settings = || required(state, "allow_contact_requests", true).and(|| required(state, "auto_subscribe", false));
    let Some(jid) = jid else { return settings() };
    match state.contact(jid) {
        _ if state.is_account(jid) => Check::Never(format!("{} is the account itself", shown(jid))),
        Some(contact) if contact.sees_us => {
            Check::Until(format!("{} sees the account's presence already; once it does not", shown(jid)))
        }
        Some(contact) if contact.is_seen || contact.is_asked => Check::Until(format!(
            "the account has asked to see the presence of {} itself, so that the host grants the same in return; otherwise",
            shown(jid)
        )),
        _ => settings(),
    }
}

fn new_chat(jid: Option<&BareJid>, state: &dyn AccountState) -> Check {
    let takes_strangers = state.setting("allow_non_roster_messaging");
    let Some(jid) = jid else {
        let clause = "for a stranger only if the setting allow_non_roster_messaging is true";
        return if takes_strangers { Check::Met } else { Check::Part(clause.to_owned()) };
    };
    if state.room(jid).is_some() {
        return Check::Never(format!("{} is a room, and no chat", shown(jid)));
    }
    if !state.has_roster() {
        return Check::Open("the contact list has not come; once it has".to_owned());
    }
    if takes_strangers || state.has_chat(jid) || state.contact(jid).is_some_and(|contact| contact.is_listed) {
        return Check::Met;
    }
    Check::Until(format!(
        "{} is no contact, and the setting allow_non_roster_messaging is false; once it is true",
        shown(jid)
    ))
}

fn enterable(depends: Depends, jid: Option<&BareJid>, state: &dyn AccountState) -> Check {
    let service = jid.filter(|jid| jid.node().is_none()).map(shown);
    // A call that also finds rooms works without entering any.
    let is_optional = depends == Depends::MayEnter;
    if let Some(jid) = jid.filter(|jid| !is_optional && state.room(jid).is_none() && !state.is_known_room(jid)) {
        if state.is_account(jid) {
            return Check::Never(format!("{} is the account itself, and no room", shown(jid)));
        }
        if state.contact(jid).is_some_and(|contact| contact.is_listed) {
            return Check::Open(format!("{} is a contact, and may be no room; if it is one", shown(jid)));
        }
    }
    match (service, required(state, "allow_muc", true)) {
        (Some(service), _) if is_optional => {
            Check::Part(format!("{service} is a service, where it finds and enters no room"))
        }
        (Some(service), _) => Check::Never(format!("{service} is a service, and no room")),
        (None, Check::Until(_)) if is_optional => {
            Check::Part("it enters no room while the setting allow_muc is false".to_owned())
        }
        (None, check) => check,
    }
}

fn invited(jid: Option<&BareJid>, state: &dyn AccountState) -> Check {
    let no_room = |jid: &BareJid| {
        let is_contact = || state.contact(jid).is_some_and(|contact| contact.is_listed);
        state.is_account(jid) || jid.node().is_none() || is_contact()
    };
    required(state, "allow_muc", true).and(|| match jid {
        Some(jid) if no_room(jid) => Check::Until(format!(
            "{} is a contact, the account or a service, and counts as no room; otherwise",
            shown(jid)
        )),
        Some(jid) if state.room(jid).is_some_and(|room| room.is_inside) => {
            Check::Until(format!("the account is in {} already; once it is not", shown(jid)))
        }
        _ => Check::Met,
    })
}

/// Checks whether the account has the standing in a room that it needs, as far as roles and affiliations show it.
fn standing(rank: Rank, jid: Option<&BareJid>, state: &dyn AccountState) -> Check {
    let Some(jid) = jid else { return Check::Met };
    let shown = shown(jid);
    let Some(room) = state.room(jid).filter(|room| room.is_inside) else {
        return Check::Open(format!("the account is not in {shown}, which may refuse it; once it is"));
    };
    let (is_enough, needed) = match rank {
        Rank::Occupant => (true, "occupant"),
        Rank::Moderator => (room.role == "moderator", "moderator"),
        Rank::Admin => (matches!(room.affiliation.as_str(), "admin" | "owner"), "admin or owner"),
        Rank::Owner => (room.affiliation == "owner", "owner"),
    };
    if is_enough {
        return Check::Met;
    }
    Check::Open(format!("the account is no {needed} of {shown}, which may refuse it; once it is"))
}

fn bookmark(depends: Depends, jid: Option<&BareJid>, state: &dyn AccountState) -> Check {
    let settings = || required(state, "allow_muc", true).and(|| required(state, "allow_bookmarks", true));
    settings().and(|| match (state.bookmarks(), depends, jid) {
        (_, Depends::Bookmarkable, Some(jid)) if jid.node().is_none() => {
            Check::Never(format!("{} is a service, and no room", shown(jid)))
        }
        (BookmarkState::Unknown(why), ..) => Check::Until(format!("{why}; once they are known")),
        (BookmarkState::NotKept, Depends::Bookmarks, _) => {
            Check::Until("the server keeps no bookmarks (XEP-0402); if it did".to_owned())
        }
        (BookmarkState::NotKept, Depends::Bookmarkable, _) => {
            Check::Open("the server keeps no bookmarks so far, and may refuse one (XEP-0402); otherwise".to_owned())
        }
        (_, Depends::Bookmark, Some(jid)) if !state.has_bookmark(jid) => {
            Check::Until(format!("there is no bookmark of {}; once there is", shown(jid)))
        }
        (BookmarkState::Known { older: true }, Depends::Bookmark, _) => Check::Until(
            "the bookmarks are where older clients keep them (XEP-0048), and none can be removed there; once one was set"
                .to_owned(),
        ),
        _ => Check::Met,
    })
}

fn outside(room: &BareJid) -> String {
    format!("the account is not in {}; once it is", shown(room))
}

fn shown(jid: &BareJid) -> String {
    escape_untrusted(jid.as_str(), usize::MAX)
}
