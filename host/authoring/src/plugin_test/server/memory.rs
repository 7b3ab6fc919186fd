//! Remembers messages, so that people in a test can refer to them by how they begin.

use std::collections::VecDeque;

use jid::{FullJid, Jid};
use parlor_stanza::types::{Extensions, Fallback, Hint, Message, MessageKind, REPLY, Reactions, ReplyTo};

use super::impossible::Impossible;
use super::rooms::Rooms;
use super::said::{About, How, Ids, Said};

/// The maximum number of messages that are remembered; older ones are dropped.
const MOST: usize = 1_000;

/// A remembered message.
#[derive(Debug, Clone)]
struct Remembered {
    /// A room, or the other party of the account.
    chat: Jid,
    from: Jid,
    ids: Ids,
    body: String,
}

#[derive(Debug, Default)]
pub(super) struct Memory(VecDeque<Remembered>);

/// Returns the chat that somebody speaks in.
fn chat(other: &Jid, is_in_room: bool) -> Jid {
    // A private message of an occupant belongs to a separate chat.
    if !is_in_room && Rooms::are_at(other) { other.clone() } else { other.to_bare().into() }
}

impl Memory {
    /// Returns the extensions of a message that refers to an earlier one.
    pub(super) fn extensions(&self, said: &Said, about: &About) -> Result<Extensions, Impossible> {
        let told = self.find(said, about)?;
        let id = told.ids.reference();
        Ok(match &about.how {
            How::Reaction(emojis) => {
                let reactions = Some(Reactions { id, emojis: emojis.clone() });
                Extensions { reactions, hints: vec![Hint::Store], ..Extensions::default() }
            }
            How::Reply => {
                let length = u32::try_from(quotation(&told.body).chars().count()).unwrap_or(u32::MAX);
                let fallback = Fallback { feature: Some(REPLY.to_owned()), part: Some((0, length)) };
                let reply = Some(ReplyTo { id, to: Some(told.from.clone()) });
                Extensions { reply, fallback: vec![fallback], ..Extensions::default() }
            }
            // XEP-0308, section 3: a correction uses the author's id, in a room as well.
            How::Retraction => Extensions { retract: Some(id), hints: vec![Hint::Store], ..Extensions::default() },
            How::Correction => Extensions { replace: Some(told.ids.own.clone()), ..Extensions::default() },
        })
    }

    /// Returns the body of a message: a reply begins with a quotation, as clients write it.
    pub(super) fn body(&self, said: &Said) -> Result<String, Impossible> {
        Ok(match &said.about {
            Some(about) if about.how == How::Reply => quotation(&self.find(said, about)?.body) + &said.body,
            _ => said.body.clone(),
        })
    }

    /// Remembers a message of somebody.
    pub(super) fn add(&mut self, said: &Said, ids: Ids) {
        let corrected = said.about.as_ref().filter(|about| about.how == How::Correction);
        // A message keeps its first ids, however often it is corrected.
        let ids = corrected.and_then(|about| self.find(said, about).ok()).map_or(ids, |told| told.ids.clone());
        let from = Jid::from(said.from.clone());
        self.put(Remembered { chat: chat(&from, said.to_room), from, ids, body: said.body.clone() });
    }

    /// Remembers a message of the account; `from` is its address in a room.
    pub(super) fn add_own(&mut self, message: &Message, from: Jid) {
        let (Some(own), Some(body)) = (&message.id, &message.body) else { return };
        let replaced = message.extensions.as_ref().and_then(|extensions| extensions.replace.as_ref());
        let first = replaced.and_then(|id| self.0.iter().rev().find(|told| told.from == from && told.ids.own == *id));
        let ids =
            first.map_or_else(|| Ids { own: own.clone(), rooms: message.stanza_id.clone() }, |told| told.ids.clone());
        let chat = chat(&message.to, message.kind == MessageKind::Groupchat);
        self.put(Remembered { chat, from, ids, body: body.clone() });
    }

    /// Returns the id of the account's last message in the chat that begins like this.
    pub(super) fn own_id(&self, chat: &Jid, own: &FullJid, begins: &str) -> Result<&str, Impossible> {
        let is_own = |told: &&Remembered| told.chat == *chat && told.from == *own && told.body.starts_with(begins);
        let found = self.0.iter().rev().find(is_own);
        let none = || Impossible(format!("the plugin wrote nothing to {chat} that begins with {begins:?}"));
        found.map(|told| told.ids.own.as_str()).ok_or_else(none)
    }

    fn put(&mut self, told: Remembered) {
        if self.0.len() >= MOST {
            self.0.pop_front();
        }
        self.0.push_back(told);
    }

    /// Returns the message in the chat that begins like this; for a correction or a retraction, only one of the same author.
    fn find(&self, said: &Said, about: &About) -> Result<&Remembered, Impossible> {
        let (from, begins) = (Jid::from(said.from.clone()), &about.begins);
        let chat = chat(&from, said.to_room);
        let is_own = matches!(about.how, How::Correction | How::Retraction);
        let fits = |told: &&Remembered| {
            told.chat == chat && told.body.starts_with(begins.as_str()) && (!is_own || is_by(&told.from, &from, &chat))
        };
        let mut all = self.0.iter().filter(fits);
        let found = match about.which {
            None => all.next_back(),
            Some(which) => all.nth(which.saturating_sub(1)),
        };
        found.ok_or_else(|| {
            Impossible(match (about.which, is_own) {
                (Some(which @ 2..), true) => {
                    format!("its author said no {which} messages there that begin with {begins:?}")
                }
                (Some(which @ 2..), false) => format!("there are no {which} messages there that begin with {begins:?}"),
                (_, true) => format!("its author said nothing there that begins with {begins:?}"),
                (_, false) => format!("nobody said anything there that begins with {begins:?}"),
            })
        })
    }
}

/// Returns whether both are the same author: in a room, the same nickname.
fn is_by(one: &Jid, other: &Jid, chat: &Jid) -> bool {
    if Rooms::are_at(chat) { one == other } else { one.to_bare() == other.to_bare() }
}

fn quotation(body: &str) -> String {
    body.lines().flat_map(|line| ["> ", line, "\n"]).collect()
}
