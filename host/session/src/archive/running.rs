//! A query for a page of an archive, while its results arrive.

use std::collections::VecDeque;

use jid::BareJid;
use parlor_base::id::InstanceId;
use parlor_stanza::error::{CallError, StanzaError};
use parlor_stanza::types::{ArchiveFin, ArchiveQuery, Body, Cursor, Message};

use super::{ArchivePage, Archived, MAX_WEIGHT, Pending};
use crate::answer::Answer;

/// A query that is not complete yet.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) by: Option<InstanceId>,
    /// The queried address: the own bare JID, or the room's.
    pub(super) archive: BareJid,
    pub(super) of_room: bool,
    pub(super) query: ArchiveQuery,
    pub(super) kept: VecDeque<Archived>,
    pub(super) weight: usize,
    /// Whether more results were received than were requested or are kept.
    pub(super) cut: bool,
    pub(super) cursor_known: bool,
    pub(super) answer: Answer<ArchivePage>,
}

impl Running {
    pub(super) fn new(archive: BareJid, of_room: bool, known: bool, asked: Pending) -> Self {
        let (Pending { by, query, answer }, kept) = (asked, VecDeque::new());
        Self { by, archive, of_room, query, kept, weight: 0, cut: false, cursor_known: known, answer }
    }

    /// Keeps a result, if it was requested and there is room: the newest ones of a page that is paged backwards, else
    /// the oldest ones. Returns whether it was kept.
    pub(super) fn keep(&mut self, archived: Archived) -> bool {
        let most = self.query.max as usize;
        if let Cursor::Before(_) = self.query.cursor {
            self.weight += archived.weight;
            self.kept.push_back(archived);
            while self.kept.len() > most || (self.weight > MAX_WEIGHT && self.kept.len() > 1) {
                self.cut = true;
                self.weight -= self.kept.pop_front().map_or(0, |oldest| oldest.weight);
            }
            return !self.kept.is_empty();
        }
        let is_too_much = self.weight + archived.weight > MAX_WEIGHT && !self.kept.is_empty();
        if self.cut || self.kept.len() >= most || is_too_much {
            self.cut = true;
            return false;
        }
        self.weight += archived.weight;
        self.kept.push_back(archived);
        true
    }

    /// Returns whether a message is one of those requested: other messages from the server would show what was not
    /// granted.
    pub(super) fn wants(&self, message: &Message) -> bool {
        if self.of_room {
            return message.from.to_bare() == self.archive;
        }
        let Some(with) = &self.query.with else { return true };
        let other = if message.own { &message.to } else { &message.from };
        if with.is_full() { other == with } else { other.to_bare() == *with }
    }

    /// Returns the receiver and the result of the query.
    pub(super) fn end(
        self,
        outcome: Result<Body, Box<StanzaError>>,
    ) -> (Answer<ArchivePage>, Result<ArchivePage, CallError>) {
        let Self { of_room, query, mut kept, cut, cursor_known, answer, .. } = self;
        let result = match outcome {
            Ok(Body::ArchiveFin(fin)) if is_at_the_wrong_index(&query.cursor, &fin, kept.is_empty()) => {
                Err(cannot_begin_at_an_index())
            }
            Ok(Body::ArchiveFin(mut fin)) => {
                take_inner_ids(&mut kept, &fin);
                if cut {
                    // The archive's information is not true of the part that was kept.
                    fin.complete = false;
                    fin.index = fin.index.filter(|_| !matches!(query.cursor, Cursor::Before(_)));
                    fin.first = None;
                    fin.last = None;
                }
                fin.first = fin.first.or_else(|| kept.front().map(|first| first.id.clone()));
                fin.last = fin.last.or_else(|| kept.back().map(|last| last.id.clone()));
                Ok(ArchivePage { messages: kept, fin, of_room, cursor_known })
            }
            Ok(_) => Err(CallError::Other("the archive's answer does not say where the page ends".to_owned())),
            Err(error) => Err(refused(&query, of_room, error)),
        };
        (answer, result)
    }
}

/// Gives messages the ids by which the archive knows them. jackal gives each result a random id instead. The ids within the
/// messages count only if the archive itself says that the page begins and ends with them, and not with the ids of the results:
/// others may write such ids, too.
fn take_inner_ids(kept: &mut VecDeque<Archived>, fin: &ArchiveFin) {
    let is_meant = |archived: Option<&Archived>, edge: Option<&String>| {
        let both = archived.zip(edge);
        both.is_some_and(|(archived, edge)| archived.id != *edge && archived.inner_id.as_ref() == Some(edge))
    };
    if !is_meant(kept.front(), fin.first.as_ref()) || !is_meant(kept.back(), fin.last.as_ref()) {
        return;
    }
    for archived in kept {
        if let Some(id) = archived.inner_id.take() {
            archived.message.stanza_id = Some(id.clone());
            archived.id = id;
        }
    }
}

/// Servers that cannot begin at an index return their first page instead.
fn is_at_the_wrong_index(cursor: &Cursor, fin: &ArchiveFin, is_empty: bool) -> bool {
    match (cursor, fin.index) {
        (Cursor::Index(asked), Some(given)) => *asked != given,
        (Cursor::Index(_), None) => !is_empty,
        (Cursor::Start | Cursor::After(_) | Cursor::Before(_), _) => false,
    }
}

fn cannot_begin_at_an_index() -> CallError {
    CallError::Unsupported("this archive cannot begin at an index".to_owned())
}

/// Converts an archive's error for the plugin that made this query.
pub(super) fn refused(query: &ArchiveQuery, of_room: bool, error: Box<StanzaError>) -> CallError {
    // MongooseIM returns this if an id does not have its own format. A room returns it to people who are not in it.
    let is_misshapen = error.condition == "not-acceptable" && error.kind == "modify" && !of_room;
    let is_unknown = error.condition == "item-not-found" || is_misshapen;
    match &query.cursor {
        Cursor::After(id) | Cursor::Before(id) if is_unknown && !id.is_empty() => {
            CallError::NotFound(format!("a message with the archive id {id}"))
        }
        Cursor::Index(_) if error.condition == "feature-not-implemented" => cannot_begin_at_an_index(),
        Cursor::Start | Cursor::After(_) | Cursor::Before(_) | Cursor::Index(_) => CallError::Stanza(error),
    }
}
