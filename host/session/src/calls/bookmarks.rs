//! Storing and removing bookmarks.

use jid::BareJid;
use parlor_stanza::types::Bookmark;

use super::Command;
use crate::answer::Answer;
use crate::features::Features;
use crate::rooms::may_ask;
use crate::turn::Turn;

/// Store a bookmark. Answered when it is stored.
#[derive(Debug)]
pub struct SetBookmark {
    /// The bookmark, with its room.
    pub bookmark: Bookmark,
}

impl Command for SetBookmark {
    type Answer = ();

    const SENDS: bool = true;

    fn weight(&self) -> usize {
        self.bookmark.extensions.as_ref().map_or(0, String::len)
    }

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        if let Err(error) = may_ask(turn) {
            return turn.answer(answer, Err(error));
        }
        features.bookmarks.set(self.bookmark, answer, turn);
    }
}

/// Remove the bookmark of a room. Answered when it is removed.
#[derive(Debug)]
pub struct RemoveBookmark {
    /// The room.
    pub jid: BareJid,
}

impl Command for RemoveBookmark {
    type Answer = ();

    const SENDS: bool = true;

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        if let Err(error) = may_ask(turn) {
            return turn.answer(answer, Err(error));
        }
        features.bookmarks.remove(&self.jid, answer, turn);
    }
}
