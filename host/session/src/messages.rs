//! Messages (RFC 6121, section 5): finds repetitions and senders of incoming ones, and checks whether outgoing ones may
//! be sent.

pub(super) mod numbering;

use jid::{BareJid, Jid};
use jiff::Timestamp;
use parlor_base::recent::Recent;
use parlor_stanza::draft::check_draft;
use parlor_stanza::error::CallError;
use parlor_stanza::types::{Draft, Message, MessageKind, Outgoing};

use crate::encryption::outbound::Outbound;
use crate::event::EventName;
use crate::rooms::Rooms;
use crate::rooms::membership::{Stage, Tells};
use crate::roster::Roster;
use crate::turn::{CLOCKS_DIFFER, FollowUp, Turn};

/// Number of message hashes that are remembered, so that nothing is delivered twice. A message with an archive id has
/// two.
pub(super) const REMEMBERED: usize = 8_192;

/// The archive ids of the latest messages, and the contents of those without one.
#[derive(Debug)]
pub(super) struct Seen(Recent);

impl Seen {
    pub(super) fn new() -> Self {
        Self(Recent::new(REMEMBERED))
    }

    fn hash(&self, room: Option<&Jid>, id: &str) -> u64 {
        self.0.hash((room, id))
    }

    /// Returns whether a message with this archive id was received, from the account's archive or a room's.
    pub(super) fn knows(&self, room: Option<&BareJid>, id: &str) -> bool {
        self.0.knows(self.hash(room.map(|room| &**room), id))
    }

    /// Notes a message. Returns `false` if it was received before. Only a message that may be a repetition is
    /// recognised by its contents: otherwise a person could not send the same text twice.
    pub(super) fn note(&mut self, message: &Message, again: bool) -> bool {
        // The account's archive and each room's have separate ids.
        let room = (message.kind == MessageKind::Groupchat).then_some(&message.chat);
        match &message.stanza_id {
            Some(id) if !self.note_archived(room, id, message) => false,
            // It may have come before the room announced that it numbers messages.
            Some(_) if room.is_some() && again && message.body.is_some() => !self.knows_words(message),
            None if room.is_some() && message.body.is_some() => self.note_words(message, again),
            Some(_) | None if room.is_none() && message.id.is_some() => self.note_direct(message) || !again,
            Some(_) | None if room.is_none() && message.body.is_some() && message.carbon.is_none() => {
                self.note_nameless(message, again)
            }
            Some(_) | None => true,
        }
    }

    /// Notes a direct message with an id. Servers repeat delivered messages with a delay stamp after two connections
    /// tried to resume one session, or after a session could not be resumed.
    fn note_direct(&mut self, message: &Message) -> bool {
        self.0.note(self.0.hash((&message.from, &message.id, &message.body)))
    }

    /// Notes a message without an id by sender, text and approximate time: the same text sent again later has another
    /// time. A repetition that is delivered is not noted, since the next message with the same text may be another one.
    fn note_nameless(&mut self, message: &Message, again: bool) -> bool {
        let (words, step) =
            ((&message.from, &message.body), message.at.as_second().div_euclid(CLOCKS_DIFFER.as_secs()));
        if again {
            return !(step - 1..=step + 1).any(|step| self.0.knows(self.0.hash((words, step))));
        }
        self.0.note(self.0.hash((words, step)));
        true
    }

    /// Notes a message with an archive id: a repetition has the same id and contents. Some services announce ids but do
    /// not remove ids that others wrote in their name (Metronome). With the id alone, anyone could hide a message
    /// behind an id that was used before.
    ///
    /// The first messages of a stream come before the account has announced that it numbers messages, and may be
    /// repeated. So their ids are noted, too.
    pub(super) fn note_archived(&mut self, room: Option<&Jid>, id: &str, message: &Message) -> bool {
        let number = self.hash(room, id);
        self.0.note(number);
        self.0.note(self.0.hash((number, &message.from, &message.id, &message.body)))
    }

    /// Notes a room message without an archive id. A room without an archive sends its history again when it is entered
    /// again. It is recognised by sender, id and text, and if it was history already, by its time.
    fn note_words(&mut self, message: &Message, again: bool) -> bool {
        let words = (&message.from, &message.id, &message.body);
        let said = self.0.hash(words);
        if !again {
            self.0.note(said);
            return true;
        }
        !self.0.knows(said) && self.0.note(self.0.hash((words, message.at)))
    }

    fn knows_words(&self, message: &Message) -> bool {
        let words = (&message.from, &message.id, &message.body);
        [self.0.hash(words), self.0.hash((words, message.at))].into_iter().any(|it| self.0.knows(it))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.count()
    }
}

/// The names of the events on the hot path. Each account has its own: threads that count the holders of the same one would wait for each
/// other.
#[derive(Debug)]
pub(super) struct MessageEvents {
    pub(super) message: EventName,
    pub(super) added: EventName,
    pub(super) notification: EventName,
    pub(super) sent: EventName,
}

impl MessageEvents {
    pub(super) fn new() -> Self {
        Self {
            message: EventName::from("message"),
            added: EventName::from("messageAdded"),
            notification: EventName::from("messageNotification"),
            sent: EventName::from("messageSend"),
        }
    }
}

/// Removes an empty body from a message with a subject. Some services send it, such as `MongooseIM`.
pub(super) fn drop_body_beside_subject(message: &mut Message) {
    if message.kind == MessageKind::Groupchat && message.subject.is_some() && message.thread.is_none() {
        message.body.take_if(|body| body.is_empty());
    }
}

/// Builds an outgoing message. An address alone does not show whether it is an occupant's, so the known rooms
/// decide.
pub(super) fn outgoing(rooms: &Rooms, to: Jid, kind: MessageKind, id: String, draft: Draft) -> Outgoing {
    let to_occupant = kind == MessageKind::Chat && rooms.is_known(&to.clone().into_bare());
    Outgoing::Message { to, kind, id, draft, to_occupant }
}

/// Sends a text of the host, encrypted as the chat is.
pub(super) fn say(rooms: &Rooms, to: Jid, kind: MessageKind, id: String, draft: Draft, turn: &mut Turn<'_>) {
    say_this(rooms, Outbound { to, kind, id, draft, answer: None, question: None }, turn);
}

/// Sends a message of the host in the same way.
pub(super) fn say_this(rooms: &Rooms, message: Outbound, turn: &mut Turn<'_>) {
    if turn.encrypts {
        turn.follow(FollowUp::Say(Box::new(message)));
    } else {
        let Outbound { to, kind, id, draft, .. } = message;
        turn.send(outgoing(rooms, to, kind, id, draft));
    }
}

pub(super) fn may_send(
    rooms: &Rooms,
    to: &Jid,
    kind: MessageKind,
    draft: &Draft,
    turn: &mut Turn<'_>,
) -> Result<(), CallError> {
    check_draft(draft)?;
    match kind {
        MessageKind::Groupchat if to.is_full() => {
            return Err(CallError::invalid("jid", "is an occupant's; a room has a bare JID"));
        }
        // A room that is only being entered may be anybody's address.
        MessageKind::Chat if to.is_bare() && rooms.is_known(to) => {
            return Err(CallError::invalid("jid", format!("{to} is a room; what all are to hear is said as such")));
        }
        MessageKind::Chat | MessageKind::Groupchat => {}
        MessageKind::Normal | MessageKind::Headline | MessageKind::Error => {
            return Err(CallError::invalid("kind", format!("{kind} is neither chat nor groupchat")));
        }
    }
    if !turn.is_live() {
        return Err(CallError::Offline);
    }
    let inside = || matches!(rooms.stage(to), Some(Stage::Inside | Stage::Configuring));
    if kind == MessageKind::Groupchat && !inside() {
        return Err(CallError::NotFound(format!("the room {to} among those that this account is in; open it first")));
    }
    Ok(())
}

/// Returns whether this may be a repetition. The server may have sent the message before the stream was lost,
/// without learning that it arrived: on the same session, or on one that ended, whose unacknowledged messages it
/// kept. The author's client may repeat it, too, and its stamp is not trusted. In a room only history is repeated,
/// and it ends when the room says so: later stamps of occupants do not count.
///
/// A message without an id can be recognised only by its contents, which prove nothing. So the server's own stamp must
/// be from before the loss. If a person sends the same text twice, both messages are delivered.
pub(super) fn comes_again(rooms: &Rooms, message: &Message, turn: &mut Turn<'_>) -> bool {
    if message.kind == MessageKind::Groupchat {
        return message.delayed && rooms.tells(&message.chat) != Some(Tells::Present);
    }
    let until = turn.cut_at.checked_add(CLOCKS_DIFFER).unwrap_or(turn.cut_at);
    let was_said = message.carbon.is_none() && message.at <= until;
    if message.id.is_none() {
        return message.delayed && message.claimed_at != Some(message.at) && was_said;
    }
    (message.claimed_at.is_some() && message.body.is_some())
        || (message.delayed && (was_said || turn.was_said_to_us(message)))
}

impl Turn<'_> {
    /// Returns whether the message was sent to this session and was delayed. Then it is new, as it would have been in
    /// time. There are three cases. The stream was lost meanwhile: servers stamp messages that they repeat on a resumed
    /// stream. Or the server held it back while we were inactive: Prosody stamps such messages (XEP-0352). Or it was stored
    /// until our first presence: no plugin of this process or a previous one has had it, and its author may have seen us log
    /// in. Messages older than the session were stored for any client, and so were those for a session that a previous
    /// process left, unless that was another node of a cluster a moment ago.
    ///
    /// A room stamps its history alike, so for what is said in a room, [`place_in_time`] decides.
    pub(super) fn was_said_to_us(&self, message: &Message) -> bool {
        if message.kind == MessageKind::Groupchat {
            return false;
        }
        let may_have_waited = self.resumed || self.settings.csi_waiting_time != 0;
        let waited_for_us = may_have_waited && message.at >= self.stream_since();
        // A time stamp in whole seconds may be earlier than the message. Messages from before the session are history.
        let came_as_we_did = self.arriving.as_ref().is_some_and(|arriving| arriving.contains(&message.at));
        message.carbon.is_none() && (waited_for_us || came_as_we_did)
    }
}

/// Assigns a private message from an occupant to a separate conversation (XEP-0045, section 7.5). For a room that is
/// not open here, but perhaps at another client of the account, the message itself says so; if the address is a
/// contact's, that does not count. A message to our own nickname comes back from there, and is marked as our own. Returns
/// whether it is one.
pub(super) fn name_occupant(message: &mut Message, rooms: &Rooms, roster: &Roster) -> bool {
    let other = if message.own { &message.to } else { &message.from };
    let is_told = message.of_occupant && other.is_full();
    let in_room = rooms.has(&message.chat) || (is_told && !roster.has(&message.chat.to_bare()));
    if in_room {
        message.chat = other.clone();
        // Some services send refusals from there.
        message.own |= message.kind != MessageKind::Error && is_own_nick(&message.from, rooms);
    }
    in_room
}

/// Returns whether this is the address of our own nickname in a room, from which only this account sends. If it counted as somebody
/// else's, a plugin could act towards other plugins with the account's role in the room. While we leave a room, it still passes on what
/// we sent before.
pub(super) fn is_own_nick(from: &Jid, rooms: &Rooms) -> bool {
    let (Some(nick), Some(room)) = (from.resource(), rooms.shown.get(&from.to_bare())) else { return false };
    let is_listed = || room.occupants.get(nick.as_str()).is_some_and(|occupant| occupant.own);
    (room.joined && room.is_itself(from)) || is_listed()
}

/// Returns whether a person would want to be notified: someone else wrote it here and now.
pub(super) fn is_news(message: &Message) -> bool {
    !message.own && !message.delayed && message.carbon.is_none()
}

/// Returns whether a text contains a nickname as a separate word. Case is ignored, since phones capitalise words.
pub(super) fn mentions(text: &str, nick: &str) -> bool {
    let (text, nick) = (text.to_lowercase(), nick.to_lowercase());
    let is_edge = |neighbour: Option<char>| neighbour.is_none_or(|neighbour| !neighbour.is_alphanumeric());
    !nick.is_empty()
        && text
            .match_indices(&nick)
            .any(|(at, _)| is_edge(text[..at].chars().next_back()) && is_edge(text[at + nick.len()..].chars().next()))
}

/// Decides whether a message of a room is history, and when it was sent.
pub(super) fn place_in_time(message: &mut Message, tells: Tells, is_subject: bool, now: Timestamp) {
    match tells {
        // Any stamp counts. History is stamped (XEP-0045, section 7.2.14), except that its subject may not be.
        Tells::Past if is_subject || message.delayed || message.claimed_at.is_some() => {
            // The room's own stamp is better than any other.
            if !std::mem::replace(&mut message.delayed, true) {
                message.at = message.claimed_at.unwrap_or(message.at);
            }
        }
        // Some services forward stamps that an occupant wrote in the room's name, with which someone could hide from bots.
        Tells::Present if message.delayed => {
            message.delayed = false;
            message.claimed_at = Some(std::mem::replace(&mut message.at, now));
        }
        Tells::Past | Tells::Ending | Tells::Whenever | Tells::Present => {}
    }
}
