//! Tells by a few numbers which events cannot concern a listener: their address is in none of its scopes.

use std::cell::OnceCell;

use jid::{BareJid, Jid};
use parlor_base::permission::Permission;

use super::filter::Classes;
use super::mailbox::Mailbox;
use super::subscription::Subscription;
use crate::event::Event;
use crate::permissions::{About, AddressKey, Target};

/// The most entries of a scope for which a listener has a screen.
const MOST: usize = 4;

/// The bounds of the events that a listener can get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Screen {
    keys: [AddressKey; MOST],
    /// The classes that one of its filters lets through.
    wanted: Classes,
    /// The classes of which its filters let some through, by address or text.
    perhaps: Classes,
    permission: Permission,
}

impl Screen {
    /// Returns the screen for events of this name; `None` if each must be compared with the grants and filters.
    pub(super) fn of<'s>(
        name: &str,
        mailbox: &Mailbox,
        subscriptions: impl Iterator<Item = &'s Subscription>,
    ) -> Option<Self> {
        if mailbox.is_shadowed() || mailbox.has_log() {
            return None;
        }
        let (permission, listed) = mailbox.grants().keys(name)?;
        let mut keys = [AddressKey::NONE; MOST];
        keys.get_mut(..listed.len())?.copy_from_slice(&listed);
        let (mut wanted, mut perhaps) = (Classes(0), Classes(0));
        for Subscription { filter, .. } in subscriptions {
            let classes = if filter.is_by_class() { &mut wanted } else { &mut perhaps };
            classes.0 |= filter.classes(name).0;
        }
        Some(Self { keys, wanted, perhaps, permission })
    }

    /// Returns whether no entry of the scope covers the address.
    pub(super) fn excludes(&self, seen: &Seen<'_>) -> bool {
        !self.keys.iter().any(|key| seen.keys.contains(key) || (*key == AddressKey::CONTACTS && seen.is_contact()))
    }

    /// Returns the classes that its filters let through.
    pub(super) fn wanted(&self) -> Classes {
        self.wanted
    }

    /// Returns the classes of which addresses or texts decide whether its filters let an event through.
    pub(super) fn doubtful(&self) -> impl Iterator<Item = Classes> + use<> {
        let classes = self.perhaps.0 & !self.wanted.0;
        (0..u32::BITS).map(|bit| Classes(1 << bit)).filter(move |class| classes & class.0 != 0)
    }

    /// Returns the permission that withholds what it excludes.
    pub(super) fn permission(&self) -> Permission {
        self.permission
    }

    /// Returns the keys that the address of an event must have one of.
    pub(super) fn keys(&self) -> impl Iterator<Item = AddressKey> + use<> {
        self.keys.into_iter().filter(|key| *key != AddressKey::NONE)
    }
}

/// An event as a screen sees it.
pub(super) struct Seen<'e> {
    /// The keys of entries that may cover the address.
    keys: [AddressKey; 2],
    class: Classes,
    jid: &'e Jid,
    /// Looks up whether the address is a contact's, which is done once if any screen needs it.
    is_contact: &'e dyn Fn(&BareJid) -> bool,
    known: OnceCell<bool>,
}

impl<'e> Seen<'e> {
    /// Returns `None` for an event that is about no address.
    pub(super) fn of(event: &'e Event, is_contact: &'e dyn Fn(&BareJid) -> bool) -> Option<Self> {
        let About::Target(target) = About::of(&event.payload) else { return None };
        let jid: &Jid = match target {
            Target::Jid(jid) | Target::Message { chat: jid, .. } => jid,
            Target::Room(room) => room,
            Target::None
            | Target::Stanza { .. }
            | Target::Web { .. }
            | Target::File { .. }
            | Target::Namespace(_)
            | Target::Plugin(_)
            | Target::Node { .. } => {
                return None;
            }
        };
        let keys = [AddressKey::of_account(jid), AddressKey::of_domain(jid.domain())];
        Some(Self { keys, class: Classes::of(&event.payload), jid, is_contact, known: OnceCell::new() })
    }

    pub(super) fn class(&self) -> Classes {
        self.class
    }

    /// Returns the keys of entries that may cover the address, except for that of all contacts.
    pub(super) fn keys(&self) -> [AddressKey; 2] {
        self.keys
    }

    /// Returns whether the address is a contact's.
    pub(super) fn is_contact(&self) -> bool {
        *self.known.get_or_init(|| match self.jid.try_as_full() {
            Ok(full) => (self.is_contact)(&full.to_bare()),
            Err(bare) => (self.is_contact)(bare),
        })
    }
}
