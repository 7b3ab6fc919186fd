//! Tells which listeners an event cannot concern, without asking each of them: its address is in none of their scopes.
//!
//! Most plugins of a busy account may hear a few people. Comparing an event with all grants would cost a fifth of a
//! microsecond for each of them. A screen is a few numbers beside the listener, and costs some nanoseconds.

use std::cell::OnceCell;

use jid::{BareJid, Jid};
use parlor_base::permission::Permission;

use super::Subscription;
use super::mailbox::Mailbox;
use crate::event::Event;
use crate::permissions::{About, AddressKey, Target};

/// The most entries of a scope for which a listener has a screen.
const MOST: usize = 4;

/// The classes of events that a filter distinguishes without comparing addresses or texts, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Classes(pub(super) u32);

/// The bounds of what a listener can hear.
#[derive(Debug, Clone, Copy)]
pub(super) struct Screen {
    keys: [AddressKey; MOST],
    /// The classes that one of its filters lets through.
    wanted: Classes,
    /// The classes of which its filters let some through, by address or text.
    perhaps: Classes,
    permission: Permission,
}

impl Screen {
    /// Returns the screen for events of this name; `None` if each has to be compared with the grants and filters.
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

    /// Returns the permission that withholds the event; `None` if no filter lets it through, so that nobody wanted it.
    /// `matches` compares the filters, which is only needed if addresses or texts decide.
    pub(super) fn withheld_by(&self, seen: &Seen<'_>, matches: impl FnOnce() -> bool) -> Option<Permission> {
        let is_of = |classes: Classes| classes.0 & seen.class.0 != 0;
        (is_of(self.wanted) || (is_of(self.perhaps) && matches())).then_some(self.permission)
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
            Target::Jid(jid) => jid,
            Target::Room(room) => room,
            Target::None | Target::Stanza { .. } => return None,
        };
        let keys = [AddressKey::of_account(jid), AddressKey::of_domain(jid.domain())];
        Some(Self { keys, class: Classes::of(&event.payload), jid, is_contact, known: OnceCell::new() })
    }

    fn is_contact(&self) -> bool {
        *self.known.get_or_init(|| match self.jid.try_as_full() {
            Ok(full) => (self.is_contact)(&full.to_bare()),
            Err(bare) => (self.is_contact)(bare),
        })
    }
}
