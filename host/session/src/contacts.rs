//! Changes of contacts by plugins. Each call returns when the server has answered and readers see the effect.

use jid::{BareJid, Jid};
use parlor_stanza::draft::{check_text, written_len};
use parlor_stanza::error::CallError;
use parlor_stanza::types::{Ask, Outgoing, PresenceOut, PresenceOutKind, RosterItem};

use crate::answer::Answer;
use crate::effect::{Effect, Sent};
use crate::iq::contacts::ContactIq;
use crate::iq::{PATIENCE, Waiting};
use crate::roster::online::tell_removed;
use crate::roster::{ContactViews, Roster};
use crate::turn::Turn;

/// Maximum number of groups of one contact.
const MAX_GROUPS: usize = 64;
/// Maximum total length of a contact's groups as XML.
const MAX_GROUPS_WRITTEN: usize = 64 << 10;

/// A plugin's change of a contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContactChange {
    /// Add it to the roster, with this name if one is given, and ask to see its presence.
    Add {
        /// The name to give.
        fullname: Option<String>,
    },
    /// Remove it from the roster, with both subscriptions.
    Remove,
    /// Give it another name. Empty: its address.
    Rename(String),
    /// Put it into these groups and no others.
    SetGroups(Vec<String>),
    /// Grant its request to see our presence.
    Accept,
    /// Deny its request to see our presence.
    Deny,
}

impl ContactChange {
    /// Returns about how many bytes of memory it takes.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Add { fullname: Some(name) } | Self::Rename(name) => name.len(),
            Self::SetGroups(groups) => groups.iter().map(|group| size_of::<String>() + group.len()).sum(),
            Self::Add { fullname: None } | Self::Remove | Self::Accept | Self::Deny => 0,
        }
    }

    /// Checks the arguments of the change.
    pub fn check(&self) -> Result<(), CallError> {
        match self {
            Self::Add { fullname: Some(name) } | Self::Rename(name) => {
                check_text("fullname", name, RosterItem::LONGEST_NAME)
            }
            Self::SetGroups(groups) => check_groups(groups),
            Self::Add { fullname: None } | Self::Remove | Self::Accept | Self::Deny => Ok(()),
        }
    }
}

impl Roster {
    /// Removes a subscription request that no longer exists.
    pub(super) fn request_is_over(&mut self, jid: &BareJid, turn: &mut Turn<'_>) {
        if let Some(contact) = self.remove_stranger(jid) {
            turn.changed = true;
            tell_removed(contact, turn);
        } else if self.get(jid).is_some_and(|contact| contact.requesting)
            && let Some(contact) = self.get_mut(jid)
        {
            contact.requesting = false;
            turn.changed = true;
        }
    }

    /// Returns the entry after the change, and whether to ask afterwards for a presence that is not seen.
    fn wanted_item(
        &self,
        jid: &BareJid,
        change: ContactChange,
        turn: &mut Turn<'_>,
    ) -> Result<(RosterItem, bool), CallError> {
        // A change that is on its way is part of this one, which would otherwise undo it.
        let pending = turn.iqs.last_contact(jid);
        let is_leaving = pending.is_some_and(ContactIq::removes) && !matches!(change, ContactChange::Remove);
        let pending = pending.and_then(|pending| pending.item.clone());
        let known = pending.or_else(|| self.entry(jid).map(|contact| contact.to_item())).filter(|_| !is_leaving);
        if let ContactChange::Add { fullname } = change {
            if *jid == turn.own.to_bare() {
                return Err(CallError::invalid("jid", "is this account itself"));
            }
            if known.is_none() && self.is_full() {
                return Err(CallError::OverLimit("the roster is full".to_owned()));
            }
            let mut item = known.unwrap_or_else(|| RosterItem {
                jid: jid.clone(),
                name: None,
                subscription: "none".to_owned(),
                ask: false,
                groups: Vec::new(),
            });
            if let Some(name) = fullname {
                item.name = Some(name).filter(|name| !name.is_empty());
            }
            return Ok((item, true));
        }
        let mut item = known.ok_or_else(|| CallError::NotFound(format!("{jid} in the roster")))?;
        match change {
            ContactChange::Remove => "remove".clone_into(&mut item.subscription),
            ContactChange::Rename(name) => item.name = Some(name).filter(|name| !name.is_empty()),
            ContactChange::SetGroups(groups) => item.groups = each_once(groups),
            ContactChange::Add { .. } | ContactChange::Accept | ContactChange::Deny => {}
        }
        Ok((item, false))
    }

    pub(super) fn change(&mut self, jid: BareJid, change: ContactChange, answer: Answer<()>, turn: &mut Turn<'_>) {
        if let Err(error) = change.check().and_then(|()| turn.needs_server("contacts")) {
            return turn.answer(answer, Err(error));
        }
        if !turn.is_live() {
            return turn.answer(answer, Err(CallError::Offline));
        }
        if self.contacts.is_none() {
            return match (&change, turn.promises.is_rejected("rosterContactsFetched")) {
                // A server without a roster still forwards such answers, but reports no effect.
                (ContactChange::Accept, true) => send_verdict(jid, PresenceOutKind::Subscribed, answer, turn),
                (ContactChange::Deny, true) => send_verdict(jid, PresenceOutKind::Unsubscribed, answer, turn),
                _ => turn.answer(answer, Err(CallError::NotReady("rosterContactsFetched"))),
            };
        }
        match change {
            ContactChange::Accept | ContactChange::Deny => self.answer_request(jid, &change, answer, turn),
            ContactChange::Add { .. }
            | ContactChange::Remove
            | ContactChange::Rename(_)
            | ContactChange::SetGroups(_) => match self.wanted_item(&jid, change, turn) {
                Ok((item, subscribe)) => {
                    if let Err(error) = turn.make_room_for_iq() {
                        return turn.answer(answer, Err(error));
                    }
                    let number = turn.iqs.last_contact(&jid).map_or(0, |last| last.number + 1);
                    let (pushed, overtaken, wanted) = (false, false, Some(item.clone()));
                    let pending = ContactIq { jid, item: wanted, subscribe, pushed, number, overtaken, answer };
                    turn.ask(None, Ask::SetRoster(item), Waiting::Contact(pending), PATIENCE);
                }
                Err(error) => turn.answer(answer, Err(error)),
            },
        }
    }

    fn answer_request(&mut self, jid: BareJid, change: &ContactChange, answer: Answer<()>, turn: &mut Turn<'_>) {
        if !self.get(&jid).is_some_and(|contact| contact.requesting) {
            return turn.answer(answer, Err(CallError::NotFound(format!("a request of {jid}"))));
        }
        if *change == ContactChange::Accept {
            if let Err(error) = turn.make_room_for_iq() {
                return turn.answer(answer, Err(error));
            }
            let to = Some(Jid::from(jid.clone()));
            let (subscribe, pushed, number, overtaken) = (false, false, 0, false);
            let pending = ContactIq { jid, item: None, subscribe, pushed, number, overtaken, answer };
            let kind = PresenceOutKind::Subscribed;
            // The push is the answer. The id of this request is never sent, so it cannot be answered.
            turn.expect(None, Waiting::Contact(pending), PATIENCE);
            turn.send(Outgoing::Presence(PresenceOut { to, kind, ..PresenceOut::default() }));
            return;
        }
        self.request_is_over(&jid, turn);
        // The server does not answer a denial.
        send_verdict(jid, PresenceOutKind::Unsubscribed, answer, turn);
    }

    /// Handles the server's answer to a change.
    pub(super) fn contact_answered(
        &mut self,
        pending: ContactIq,
        outcome: Result<(), CallError>,
        views: &mut ContactViews<'_>,
        turn: &mut Turn<'_>,
    ) {
        let is_removal = pending.removes();
        let ContactIq { jid, item, subscribe, pushed, number, answer, .. } = pending;
        // A server answers in the order of the requests.
        turn.common.iqs.take_contacts(&jid, &mut turn.common.deadlines, |earlier| {
            earlier.overtaken |= earlier.number < number;
            false
        });
        match outcome {
            // It is gone already (RFC 6121, section 2.5.3), and no push reported that: a server may lose data.
            Err(CallError::Stanza(error)) if is_removal && error.condition == "item-not-found" => {}
            Err(error) => return turn.answer(answer, Err(error)),
            Ok(()) => {}
        }
        // The push may come after the answer, but readers have to see the effect once the call returns.
        match item.filter(|_| !pushed) {
            Some(_) if is_removal => {
                if let Some(contact) = self.remove(&jid, None, views, turn) {
                    tell_removed(contact, turn);
                }
            }
            Some(item) => {
                // The state of the subscription does not come from this answer. A new entry has none.
                let known = self.get(&jid).map(|contact| (contact.subscription.clone(), contact.ask));
                let (subscription, ask) = known.unwrap_or_else(|| ("none".to_owned(), false));
                self.put_contact(RosterItem { subscription, ask, ..item }, None, views, turn);
            }
            None => {}
        }
        if subscribe && !self.get(&jid).is_some_and(|contact| contact.is_seen()) {
            let to = Some(Jid::from(jid.clone()));
            let kind = PresenceOutKind::Subscribe;
            turn.send(Outgoing::Presence(PresenceOut { to, kind, ..PresenceOut::default() }));
            self.ask(&jid);
            turn.changed = true;
        }
        turn.answer(answer, Ok(()));
    }

    /// Completes changes after a push of this contact. For some changes the push is the answer; for others it brings
    /// the effect of the answer.
    pub(super) fn contact_pushed(&mut self, jid: &BareJid, turn: &mut Turn<'_>) {
        let sees_us = self.get(jid).is_some_and(|contact| contact.sees_us());
        // The push of a removal says nothing of an entry that is being added again.
        let is_gone = !self.has(jid);
        let settled = turn.common.iqs.take_contacts(jid, &mut turn.common.deadlines, |pending| {
            pending.pushed |= pending.removes() == is_gone;
            pending.item.is_none() && sees_us
        });
        for pending in settled {
            turn.answer(pending.answer, Ok(()));
        }
    }
}

/// Sends an answer to a subscription request. The call is answered when it is queued.
fn send_verdict(jid: BareJid, kind: PresenceOutKind, answer: Answer<()>, turn: &mut Turn<'_>) {
    let verdict = PresenceOut { to: Some(Jid::from(jid)), kind, ..PresenceOut::default() };
    turn.out.push(Effect::SendFor(Outgoing::Presence(verdict), Sent::Raw(answer)));
}

fn check_groups(groups: &[String]) -> Result<(), CallError> {
    if groups.len() > MAX_GROUPS {
        return Err(CallError::invalid("groups", format!("more than {MAX_GROUPS} of them")));
    }
    for group in groups {
        check_text("groups", group, RosterItem::LONGEST_NAME)?;
        if group.is_empty() {
            return Err(CallError::invalid("groups", "one of them is empty"));
        }
    }
    if groups.iter().map(|group| written_len(group)).sum::<usize>() > MAX_GROUPS_WRITTEN {
        return Err(CallError::invalid("groups", format!("take more than {MAX_GROUPS_WRITTEN} bytes as XML")));
    }
    Ok(())
}

/// Servers refuse a group that is listed twice (RFC 6121, section 2.3.3).
fn each_once(groups: Vec<String>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::with_capacity(groups.len());
    for group in groups {
        if !kept.contains(&group) {
            kept.push(group);
        }
    }
    kept
}
