//! Handing an incoming message to the features that it concerns.

use std::sync::Arc;

use parlor_stanza::types::{Message, MessageKind};

use super::{Features, encryption};
use crate::commands::people::Around;
use crate::dialogs::ANSWER;
use crate::effect::Effect;
use crate::encryption::answers::list_said;
use crate::encryption::off_the_record::{drop_tag, is_of_protocol};
use crate::event::{Event, Payload};
use crate::messages::{
    MessageEvents, comes_again, drop_body_beside_subject, is_news, mentions, name_occupant, place_in_time,
};
use crate::questions::{OpenQuestions, PossibleAnswer};
use crate::records::room::keep_trusted_ids;
use crate::records::view::View;
use crate::rooms::answers::wants_captcha;
use crate::rooms::invitations::invitation_declined;
use crate::rooms::membership::{Stage, Tells};
use crate::rooms::occupants::entered_without_code;
use crate::rooms::voice::voice_requested;
use crate::turn::Turn;

impl Features {
    pub(super) fn message(&mut self, mut message: Box<Message>, turn: &mut Turn<'_>) {
        let claimed = self.numbering.check(&mut message);
        drop_body_beside_subject(&mut message);
        // Messages from a room that we are not in do not count. They are not noted either, since they may come again as
        // its history.
        if message.kind == MessageKind::Groupchat
            && !self.rooms.stage(&message.chat).is_some_and(|stage| !matches!(stage, Stage::Outside { .. }))
        {
            turn.ignored += 1;
            return;
        }
        if message.kind != MessageKind::Error && !self.seen.note(&message, comes_again(&self.rooms, &message, turn)) {
            turn.ignored += 1;
            return;
        }
        if let Some(id) = claimed {
            self.seen.note_archived(None, &id, &message);
        }
        let is_sealed = !message.encrypted.is_empty() || message.sealed_by.is_some();
        let events = std::mem::take(&mut message.pubsub);
        if !events.is_empty() {
            let is_contact = self.roster.has(&message.from.to_bare());
            for event in events {
                if !list_said(&mut self.encryption, &message.from, &event, is_contact, turn) {
                    self.pubsub.said(&message.from, event, &self.roster, turn);
                }
            }
            // Servers send these for each change of a node, such as a mood or an avatar, and nobody said anything by them.
            if message.body.is_none() && !is_sealed {
                return;
            }
        }
        if is_sealed || self.encryption.is_used() || is_of_protocol(&message) {
            match encryption::taken_in(self, message, None, turn) {
                Some(opened) => message = opened,
                None => return,
            }
        }
        drop_tag(&mut message);
        match message.kind {
            MessageKind::Groupchat => self.groupchat(message, false, turn),
            MessageKind::Error => {
                self.rooms.room_refused(&message, turn);
                self.dialogs.refused(&message, &self.rooms, turn);
                name_occupant(&mut message, &self.rooms, &self.roster);
                turn.fire("messageError", Payload::Message(Arc::from(message)));
            }
            MessageKind::Chat | MessageKind::Normal | MessageKind::Headline => self.direct(message, turn),
        }
    }

    /// Handles a message that a person wrote to the account alone, or a service.
    pub(super) fn direct(&mut self, mut message: Box<Message>, turn: &mut Turn<'_>) {
        if wants_captcha(&mut self.rooms, &message, turn) {
            return;
        }
        let in_room = name_occupant(&mut message, &self.rooms, &self.roster);
        // Only the author's side delayed it: clients stamp messages that were written offline, and some, such as
        // gateways, stamp all. If the server stored it, the server's own stamp counts, which differs.
        let is_unsigned = message.claimed_at == Some(message.at);
        if message.delayed && is_unsigned && message.at >= turn.stream_since() {
            message.delayed = false;
            message.at = turn.now;
        }
        message.delayed &= !turn.was_said_to_us(&message);
        if self.rooms.is_affiliation_alone(&mut message, turn) {
            return;
        }
        if let Some(request) = message.voice.take() {
            if is_news(&message) {
                voice_requested(&mut self.rooms, &message.from.to_bare(), *request, turn);
            }
            if message.body.is_none() {
                return;
            }
        }
        let mut enters = false;
        let is_rooms_text = message.is_text_of_room();
        let (invite, declined) = (message.invite.take(), message.declined.take());
        if invite.is_some() || declined.is_some() {
            if let Some(invite) = invite.filter(|_| !message.own) {
                let bookmark = self.bookmarks.get(&invite.room).map(Arc::as_ref);
                self.rooms.invited(*invite, &self.roster, bookmark, turn);
            }
            if let Some(no) = declined.filter(|_| !message.own) {
                invitation_declined(&self.rooms, *no, turn);
            }
            if message.body.is_none() || is_rooms_text {
                return;
            }
        } else if !in_room && message.says_something() && message.kind != MessageKind::Headline {
            enters = self.said(&message, turn);
        }
        let notifies = message.says_something() && is_news(&message);
        self.tell(message, enters, notifies, turn);
    }

    /// Handles a message in a private chat. It opens the chat with a contact, or with a stranger if that is allowed.
    /// Returns whether the chat is open.
    fn said(&mut self, message: &Message, turn: &mut Turn<'_>) -> bool {
        let at = message.at.min(turn.now);
        if self.chats.chat_active(&message.chat, at, turn) {
            return true;
        }
        let is_own = message.chat.node() == turn.own.node() && message.chat.domain() == turn.own.domain();
        if is_own || !turn.promises.is_resolved("chatBoxesFetched") {
            return false;
        }
        let other = message.chat.clone().into_bare();
        let opens = turn.settings.allow_non_roster_messaging || self.roster.has(&other);
        if opens {
            self.start_chat(other, Some(at), View::new(false), turn);
        }
        opens
    }

    /// Handles a message of a room. `is_placed`: it was held, and whether it is new was decided when it was received.
    pub(super) fn groupchat(&mut self, mut message: Box<Message>, is_placed: bool, turn: &mut Turn<'_>) {
        let jid = message.chat.to_bare();
        let Some(room) = self.rooms.shown.get(&jid) else { return };
        if room.is_ours(&message) {
            message.own = true;
        }
        keep_trusted_ids(Some(&**room), &mut message);
        let mentioned = mentions(&message.said(), &room.nick);
        self.rooms.one(&jid, turn).heard();
        // With a body or in a thread it is an ordinary message (XEP-0045, section 8.1), and so is an encrypted one: the room cannot see
        // its subject, and has not checked whether its author may change it.
        let is_subject = message.subject.is_some()
            && message.body.is_none()
            && message.thread.is_none()
            && message.encryption.is_none();
        if is_subject && !is_placed {
            entered_without_code(&mut self.rooms.one(&jid, turn));
        }
        let Some(membership) = self.rooms.membership(&jid) else { return };
        if !is_placed {
            place_in_time(&mut message, membership.tells, is_subject, turn.now);
        }
        if is_subject && !is_placed {
            membership.tells = match membership.tells {
                Tells::Past | Tells::Ending => Tells::Ending,
                Tells::Whenever | Tells::Present => Tells::Present,
            };
        }
        membership.said(message.at.min(turn.now));
        if !message.room_status.is_empty() {
            self.rooms.room_changed(&message, turn);
        }
        if self.rooms.is_affiliation_alone(&mut message, turn) {
            return;
        }
        if is_subject {
            self.rooms.subject_set(&message, turn);
        }
        let (enters, notifies) = (message.says_something(), mentioned && is_news(&message));
        self.tell(message, enters, notifies, turn);
    }

    /// Delivers a message. The hot path: one allocation, shared by all listeners.
    fn tell(&mut self, mut message: Box<Message>, enters: bool, notifies: bool, turn: &mut Turn<'_>) {
        let around = Around { rooms: &self.rooms, roster: &self.roster, owners: &self.owners };
        let line = self.commands.command_in(&message, around, turn);
        let questions = match &line {
            Some(line) if !line.is_bare => OpenQuestions::default(),
            // A question that its plugin gave up would take the command, and nobody would get it.
            Some(_) => self.dialogs.wanted_from(&message, &self.rooms, &self.roster),
            None => self.dialogs.open_to(&message, &self.rooms),
        };
        // Without the prefix, a word that answers a question may be the name of a command by chance.
        let line = line.filter(|_| questions.is_empty());
        let line = line.filter(|line| !line.is_bare || self.commands.takes_bare(&message, around, turn));
        let is_answer = (!questions.is_empty()).then(|| ANSWER.to_owned());
        message.command = line.as_ref().map(|line| line.name.clone()).or(is_answer);
        let message: Arc<Message> = Arc::from(message);
        let MessageEvents { message: told, added, notification, .. } = &self.message_events;
        let names = [Some(told), enters.then_some(added), notifies.then_some(notification)].into_iter().flatten();
        let events = names.map(|name| (name.clone(), Payload::Message(Arc::clone(&message))));
        if questions.is_empty() {
            for (name, payload) in events {
                turn.fire_named(name, payload);
            }
        } else {
            let events = events.map(|(name, payload)| Event { name, at: turn.now, payload }).collect();
            let message = Arc::clone(&message);
            turn.out.push(Effect::FireAnswer(Box::new(PossibleAnswer { message, events, questions })));
        }
        if let Some(line) = line {
            self.commands.obey(&message, &line, around, turn);
        }
    }

    /// Reports an outgoing message, whether a plugin wrote it as a stanza or not.
    pub(crate) fn leaving(&mut self, mut message: Box<Message>, turn: &mut Turn<'_>) {
        let in_room = if message.kind == MessageKind::Groupchat {
            message.nick = self.rooms.shown.get(&message.chat).map(|room| room.nick.clone());
            true
        } else {
            name_occupant(&mut message, &self.rooms, &self.roster)
        };
        // A message to a room is added when the room reflects it.
        let is_chat = matches!(message.kind, MessageKind::Chat | MessageKind::Normal);
        let enters = is_chat && !in_room && message.says_something() && self.chats.open.contains_key(&message.chat);
        let message = Arc::from(message);
        turn.fire_named(self.message_events.sent.clone(), Payload::Message(Arc::clone(&message)));
        if enters {
            turn.fire_named(self.message_events.added.clone(), Payload::Message(message));
        }
    }
}
