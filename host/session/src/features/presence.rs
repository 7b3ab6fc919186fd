//! Handing an incoming presence to the features that it concerns.

use parlor_stanza::error::StanzaError;
use parlor_stanza::types::{Presence, PresenceKind};

use super::Features;
use crate::presence::kept_status;
use crate::records::contact::ContactResource;
use crate::status::taken_for_gone;
use crate::turn::Turn;

impl Features {
    pub(super) fn presence(&mut self, presence: Presence, turn: &mut Turn<'_>) {
        if let (PresenceKind::Available, Some(avatar)) = (&presence.kind, &presence.avatar) {
            self.cards.avatar_seen(&presence.from, avatar, &self.rooms, turn);
        }
        let bare = presence.from.to_bare();
        if self.rooms.has(&bare) {
            if presence.kind == PresenceKind::Unavailable && !presence.from.is_bare() {
                // Another person may use this nickname next.
                self.cards.remove(&presence.from);
            }
            return self.rooms.one(&bare, turn).room_presence(presence);
        }
        self.rooms.farewells.seen_off_late(&bare, &presence);
        if bare == turn.own.to_bare() {
            if presence.kind == PresenceKind::Unavailable && presence.from == turn.own {
                taken_for_gone(&mut self.rooms, turn);
            }
            // Our own clients are not contacts, and an account does not subscribe to itself.
            return;
        }
        match presence.kind {
            PresenceKind::Available => {
                let client = ContactResource {
                    name: presence.from.resource().map(ToString::to_string).unwrap_or_default(),
                    priority: presence.priority,
                    show: presence.show,
                    status: kept_status(presence.status),
                    since: presence.delay.unwrap_or(turn.now).min(turn.now),
                };
                self.roster.doubts.confirm(&bare, &client.name);
                self.roster.update_presence(&bare, turn, |contact| contact.client_came(client));
            }
            PresenceKind::Unavailable => match presence.from.resource() {
                Some(name) => self.roster.update_presence(&bare, turn, |contact| {
                    contact.resources.retain(|client| client.name != name.as_str());
                }),
                None => self.roster.update_presence(&bare, turn, |contact| contact.resources.clear()),
            },
            // Their presence is no longer known: their server is unreachable (RFC 6121, section 4.7.1).
            PresenceKind::Error(ref error) if presence.from.is_bare() && !is_of_own_rules(error) => {
                self.roster.update_presence(&bare, turn, |contact| contact.resources.clear());
            }
            PresenceKind::Subscribe => {
                let (roster, mut views) = self.roster_and_views();
                roster.subscription_asked(bare, presence.nick, &mut views, turn);
            }
            PresenceKind::Unsubscribe => self.roster.request_is_over(&bare, turn),
            PresenceKind::Unsubscribed => {
                let (roster, mut views) = self.roster_and_views();
                roster.not_shown_any_more(&bare, &mut views, turn);
            }
            // The effect on the roster comes as a roster push, and the server answers probes.
            PresenceKind::Subscribed | PresenceKind::Probe | PresenceKind::Error(_) => {}
        }
    }
}

/// Returns whether the own server refuses what the account sent, since a privacy list of the account forbids it (XEP-0016). The
/// contact may be online all the same. For a block (XEP-0191), the error has a detail, and the contact is hidden.
fn is_of_own_rules(error: &StanzaError) -> bool {
    error.condition == "not-acceptable" && !error.xml.contains("urn:xmpp:blocking:errors")
}
