//! Bookmarks: rooms that the account has stored for all of its clients (XEP-0402, XEP-0048).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use imbl::OrdMap;
use jid::BareJid;
use parlor_config::AutoJoin;
use parlor_stanza::error::CallError;
use parlor_stanza::types::{Ask, Body, Bookmark, BookmarkChange, BookmarkPlace, MAX_BOOKMARKS};

use crate::answer::Answer;
use crate::deadlines::Late;
use crate::iq::bookmarks::{BookmarkIq, Newer, Publishing};
use crate::iq::{PATIENCE, Waiting};
use crate::rooms::Rooms;
use crate::rooms::membership::Stage;
use crate::rooms::rejoining::Listed;
use crate::turn::{Common, FollowUp, Turn};

/// Time limit for the bookmarks, since everything after them waits.
const BOOKMARKS_PATIENCE: Duration = Duration::from_secs(10);
/// Delay before they are requested again, if they did not come in time or were temporarily unavailable.
const ASK_AGAIN: Duration = Duration::from_mins(1);

/// The bookmarks of an account, by room.
pub type Bookmarks = OrdMap<BareJid, Arc<Bookmark>>;

/// The reason why the bookmarks are unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoBookmarks {
    /// They have not come yet.
    NotYet,
    /// The settings disable them.
    NotWanted,
    /// The server stores none.
    NotKept,
    /// The server may store some, and did not return them.
    NotTold,
}

impl From<NoBookmarks> for CallError {
    fn from(why: NoBookmarks) -> Self {
        match why {
            NoBookmarks::NotYet => Self::NotReady("bookmarksInitialized"),
            NoBookmarks::NotWanted => {
                Self::Unsupported("bookmarks: the setting allow_bookmarks or allow_muc is false".to_owned())
            }
            NoBookmarks::NotKept => Self::Unsupported("bookmarks: the server keeps none (XEP-0402)".to_owned()),
            NoBookmarks::NotTold => {
                let why = "bookmarks: the server did not say which there are when it was asked; try again in a minute";
                Self::Unsupported(why.to_owned())
            }
        }
    }
}

/// The place in which the server keeps the bookmarks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    /// The newer place, in which each bookmark is an item (XEP-0402).
    #[default]
    Newer,
    /// An older place alone (XEP-0048).
    Older,
    /// An older place, and by now the newer one as well.
    Both,
}

/// The bookmarks of the account, as far as the server has sent them.
#[derive(Debug, Default)]
pub(super) struct BookmarkList {
    /// None until they have come.
    all: Option<Bookmarks>,
    /// Whether they were requested, and the answers that are needed have not come.
    asked: bool,
    /// Whether a place that may have some did not answer.
    untold: bool,
    place: Place,
    /// The rooms that were set to be entered automatically between the last two times that the bookmarks came.
    newly: BTreeSet<BareJid>,
}

impl BookmarkList {
    /// Copies the other bookmarks to the newer place, which has one now: at the next log-in they would no longer be
    /// found in the older one.
    fn carry(&mut self, put_down: &BareJid, plain: bool, turn: &mut Turn<'_>) {
        if std::mem::take(&mut self.place) == Place::Newer {
            return;
        }
        let all = self.all.clone().unwrap_or_default();
        for bookmark in all.values().filter(|bookmark| bookmark.room != *put_down) {
            let ask = Ask::PublishBookmark { bookmark: Box::new(Bookmark::clone(bookmark)), plain };
            let waiting = Waiting::Bookmarks(BookmarkIq::Carry(bookmark.room.clone()));
            turn.ask(None, ask, waiting, PATIENCE);
        }
    }

    /// Returns all bookmarks, or why they are unknown.
    pub(super) fn known(&self, common: &Common) -> Result<Bookmarks, NoBookmarks> {
        self.all.clone().ok_or_else(|| {
            if self.asked || !common.promises.is_resolved("bookmarksInitialized") {
                NoBookmarks::NotYet
            } else if !common.settings.allow_muc || !common.settings.allow_bookmarks {
                NoBookmarks::NotWanted
            } else if self.untold {
                NoBookmarks::NotTold
            } else {
                NoBookmarks::NotKept
            }
        })
    }

    /// Returns whether some may be in an older place alone.
    pub(super) fn is_older(&self) -> bool {
        self.place != Place::Newer
    }

    /// Notes that nothing more comes of the request.
    pub(super) fn settled(&mut self) {
        self.asked = false;
    }

    /// Forgets the bookmarks. The account stays in the rooms that it is in, as if a plugin had entered them.
    pub(super) fn forget(&mut self, rooms: &mut Rooms) {
        self.all = None;
        rooms.forget_bookmarks();
    }

    pub(super) fn get(&self, room: &BareJid) -> Option<&Arc<Bookmark>> {
        self.all.as_ref()?.get(room)
    }

    /// Requests the bookmarks. The connect order continues once they have come, or will not.
    pub(super) fn fetch(&mut self, turn: &mut Turn<'_>) {
        if turn.settings.allow_muc && turn.settings.allow_bookmarks {
            self.asked = true;
            ask_bookmarks(BookmarkPlace::Items, Newer::Nowhere, turn);
        } else {
            turn.follow(FollowUp::BookmarksSettled);
        }
    }

    /// Requests the bookmarks again, after they did not come in time or were unavailable.
    pub(super) fn fetch_again(&mut self, turn: &mut Turn<'_>) {
        // Unnecessary if they are disabled now, or if a new stream has requested them or will.
        let wanted = turn.settings.allow_muc && turn.settings.allow_bookmarks;
        if wanted && turn.is_live() && turn.announced && !self.asked {
            self.fetch(turn);
        }
    }

    /// Sets the known bookmarks. Later changes by other clients are followed.
    fn came(&mut self, all: Vec<Bookmark>, place: BookmarkPlace, rooms: &mut Rooms, turn: &mut Turn<'_>) {
        self.place = if place == BookmarkPlace::Items { Place::Newer } else { Place::Older };
        self.untold = false;
        let all: Bookmarks = all.into_iter().map(|one| (one.room.clone(), Arc::new(one))).collect();
        let known = self.all.replace(all.clone());
        // If none were known, nothing says that one was changed.
        if let Some(known) = &known {
            let newly = all.values().filter(|now| is_newly_set(known.get(&now.room), now));
            self.newly = newly.map(|now| now.room.clone()).collect();
        }
        for before in known.unwrap_or_default().values() {
            if let Some(now) = all.get(&before.room) {
                rooms.bookmark_changed(before, now, turn);
            }
        }
        turn.changed = true;
        self.leave_unbookmarked(rooms, turn);
        turn.follow(FollowUp::BookmarksSettled);
    }

    /// Continues with an older place, because this one has no bookmarks or does not exist. If a place exists and is
    /// empty, and no other one has any either, there are none.
    fn none_in(&mut self, place: BookmarkPlace, so_far: Newer, rooms: &mut Rooms, turn: &mut Turn<'_>) {
        match (place.older(), so_far) {
            (Some(older), _) => ask_bookmarks(older, so_far, turn),
            (None, Newer::Empty) => self.came(Vec::new(), BookmarkPlace::Items, rooms, turn),
            (None, Newer::Nowhere | Newer::Unsaid) => {
                self.untold = so_far == Newer::Unsaid;
                turn.follow(FollowUp::BookmarksSettled);
            }
        }
    }

    pub(super) fn answered(
        &mut self,
        request: BookmarkIq,
        result: Result<Body, CallError>,
        rooms: &mut Rooms,
        turn: &mut Turn<'_>,
    ) {
        let wanted = turn.settings.allow_muc && turn.settings.allow_bookmarks;
        match (request, result) {
            (BookmarkIq::All { place, .. }, Ok(Body::Bookmarks(all))) if wanted => {
                self.came(all, place, rooms, turn);
            }
            // Bookmarks that are temporarily unavailable may be in this very place.
            (BookmarkIq::All { place, newer }, Err(CallError::Stanza(error))) if wanted && error.kind != "wait" => {
                self.none_in(place, newer.and(&error), rooms, turn);
            }
            (BookmarkIq::All { .. }, result) => {
                self.untold = true;
                if let Err(CallError::TimedOut | CallError::Stanza(_)) = result {
                    turn.deadlines.set(ASK_AGAIN, Late::BookmarksAgain);
                }
                turn.follow(FollowUp::BookmarksSettled);
            }
            (BookmarkIq::Carry(_), Ok(_)) => {}
            (BookmarkIq::Carry(room), Err(error)) => {
                tracing::warn!(account = turn.account(), %room, %error, "a bookmark stays where older clients keep them");
                self.place = Place::Both;
                turn.changed = true;
            }
            (
                BookmarkIq::Set { bookmark, step: Publishing::Preparing { .. } | Publishing::Creating { .. }, answer },
                Ok(_),
            ) => publish_bookmark(bookmark, Publishing::Prepared, answer, turn),
            (BookmarkIq::Set { bookmark, step, answer }, Ok(_)) => {
                self.carry(&bookmark.room, step == Publishing::Prepared, turn);
                // A plugin or the owner wants it now.
                self.apply(BookmarkChange::Set(*bookmark), Listed::Newly, rooms, turn);
                turn.answer(answer, Ok(()));
            }
            (BookmarkIq::Remove(room, answer), Ok(_)) => {
                self.apply(BookmarkChange::Removed(room), Listed::Already, rooms, turn);
                turn.answer(answer, Ok(()));
            }
            (BookmarkIq::Set { bookmark, step, answer }, Err(CallError::Stanza(error))) => {
                match step.otherwise(&error) {
                    Some(next) => publish_bookmark(bookmark, next, answer, turn),
                    None => turn.answer(answer, Err(CallError::Stanza(error))),
                }
            }
            (BookmarkIq::Set { answer, .. } | BookmarkIq::Remove(_, answer), Err(error)) => {
                turn.answer(answer, Err(error));
            }
        }
    }

    /// Enters a room that the settings list, with the nickname and password of its bookmark, if there is one.
    pub(super) fn enter_listed(&self, room: AutoJoin, listed: Listed, rooms: &mut Rooms, turn: &mut Turn<'_>) {
        rooms.one(&room.jid, turn).enter_by_itself(room.nick, self.get(&room.jid).map(Arc::as_ref), listed);
    }

    /// Tries to enter a room again that the settings or its bookmark list.
    pub(super) fn enter_again(&self, room: &BareJid, rooms: &mut Rooms, turn: &mut Turn<'_>) {
        let listed = turn.settings.auto_join_rooms.iter().find(|listed| listed.jid == *room).cloned();
        if let Some(listed) = listed {
            self.enter_listed(listed, Listed::Already, rooms, turn);
        } else if let Some(bookmark) = self.get(room).filter(|bookmark| bookmark.autojoin) {
            rooms.enter_bookmarked(bookmark, Listed::Already, turn);
        }
    }

    /// Enters the rooms that the bookmarks list for entering on connecting.
    pub(super) fn join(&mut self, rooms: &mut Rooms, turn: &mut Turn<'_>) {
        let newly = std::mem::take(&mut self.newly);
        let all = self.all.clone().unwrap_or_default();
        for bookmark in all.values().filter(|bookmark| bookmark.autojoin) {
            let listed = if newly.contains(&bookmark.room) { Listed::Newly } else { Listed::Already };
            rooms.enter_bookmarked(bookmark, listed, turn);
        }
    }

    /// Handles changes by another client of this account. `decode` has checked their sender.
    pub(super) fn changed(&mut self, changes: Vec<BookmarkChange>, rooms: &mut Rooms, turn: &mut Turn<'_>) {
        // The bookmarks that are on their way include these changes.
        if !turn.settings.allow_muc || !turn.settings.allow_bookmarks || self.all.is_none() {
            return;
        }
        for change in changes {
            if self.place == Place::Older && !matches!(change, BookmarkChange::Stored(_)) {
                self.place = Place::Both;
            }
            self.apply(change, Listed::Already, rooms, turn);
        }
    }

    /// Handles the list that another client stored in the older place (XEP-0048). Only what differs counts as changed. Once there
    /// are bookmarks in the newer place, the list may be what an older client knows of them, or the rest of what was brought there.
    fn stored(&mut self, all: Vec<Bookmark>, rooms: &mut Rooms, turn: &mut Turn<'_>) {
        let known = self.all.clone().unwrap_or_default();
        match self.place {
            Place::Older => {}
            // The server may have the first ones in both places.
            Place::Newer if known.is_empty() && !all.is_empty() => return self.fetch_again(turn),
            Place::Newer | Place::Both => return,
        }
        let listed: BTreeSet<BareJid> = all.iter().map(|bookmark| bookmark.room.clone()).collect();
        for room in known.keys().filter(|room| !listed.contains(*room)) {
            self.apply(BookmarkChange::Removed(room.clone()), Listed::Already, rooms, turn);
        }
        for bookmark in all {
            if known.get(&bookmark.room).is_none_or(|before| **before != bookmark) {
                self.apply(BookmarkChange::Set(bookmark), Listed::Already, rooms, turn);
            }
        }
    }

    /// Applies a change: enters a room with `autojoin`, and leaves one that was entered for its bookmark (XEP-0402,
    /// section 4.2). A bookmark that had `autojoin` before enters no room that we were removed from, unless `listed` says
    /// that this is asked for.
    fn apply(&mut self, change: BookmarkChange, listed: Listed, rooms: &mut Rooms, turn: &mut Turn<'_>) {
        // If the others are unknown, the bookmark that we have stored must not count as all of them.
        if !matches!(self.known(turn), Ok(_) | Err(NoBookmarks::NotKept)) {
            return;
        }
        let bookmarks = self.all.get_or_insert_with(OrdMap::new);
        turn.changed = true;
        match change {
            BookmarkChange::Set(bookmark) => {
                if bookmarks.len() >= MAX_BOOKMARKS && !bookmarks.contains_key(&bookmark.room) {
                    turn.ignored += 1;
                    return;
                }
                let bookmark = Arc::new(bookmark);
                let before = bookmarks.insert(bookmark.room.clone(), Arc::clone(&bookmark));
                if let Some(before) = &before {
                    rooms.bookmark_changed(before, &bookmark, turn);
                }
                if bookmark.autojoin {
                    let is_new = is_newly_set(before.as_ref(), &bookmark);
                    rooms.enter_bookmarked(&bookmark, if is_new { Listed::Newly } else { listed }, turn);
                } else {
                    rooms.leave_bookmarked(&bookmark.room, turn);
                }
            }
            BookmarkChange::Removed(room) => {
                bookmarks.remove(&room);
                rooms.leave_bookmarked(&room, turn);
            }
            BookmarkChange::AllRemoved => {
                for room in std::mem::take(bookmarks).keys() {
                    rooms.leave_bookmarked(room, turn);
                }
            }
            BookmarkChange::Stored(all) => self.stored(all, rooms, turn),
        }
    }

    /// Leaves the rooms whose bookmarks were removed while we were offline.
    fn leave_unbookmarked(&self, rooms: &mut Rooms, turn: &mut Turn<'_>) {
        for jid in rooms.bookmarked() {
            if !self.wants(&jid) {
                rooms.leave_bookmarked(&jid, turn);
            }
        }
    }

    /// Returns whether the room's bookmark requires entering it.
    fn wants(&self, room: &BareJid) -> bool {
        self.get(room).is_some_and(|bookmark| bookmark.autojoin)
    }

    /// Leaves a room that the settings no longer list. One that was never entered is forgotten.
    pub(super) fn leave_unlisted(&self, room: &BareJid, rooms: &mut Rooms, turn: &mut Turn<'_>) {
        if self.wants(room) {
            return;
        }
        if rooms.stage(room).is_some_and(|stage| stage != Stage::Leaving) {
            rooms.one(room, turn).leave(None);
        }
        if rooms.stage(room).is_none() {
            rooms.records.forget_unless_entered(room);
            turn.changed = true;
        }
    }

    /// Checks that the bookmarks are known before one is changed, because other clients' data in it must not be lost
    /// (XEP-0402, section 2). If the server did not return them, they are requested again.
    fn may_change(&mut self, turn: &mut Turn<'_>) -> Result<(), CallError> {
        match self.known(turn) {
            Ok(_) | Err(NoBookmarks::NotKept) => Ok(()),
            Err(unknown) => {
                if unknown == NoBookmarks::NotTold {
                    self.fetch_again(turn);
                }
                Err(unknown.into())
            }
        }
    }

    pub(super) fn set(&mut self, mut bookmark: Bookmark, answer: Answer<()>, turn: &mut Turn<'_>) {
        if !turn.settings.allow_bookmarks {
            return turn.answer(answer, Err(NoBookmarks::NotWanted.into()));
        }
        if let Err(error) = turn.needs_server("bookmarks").and_then(|()| self.may_change(turn)) {
            return turn.answer(answer, Err(error));
        }
        let known = self.get(&bookmark.room);
        if known.is_some_and(|known| known.is_cut) {
            let why = format!("other clients keep too much in the bookmark of {}: change it there", bookmark.room);
            return turn.answer(answer, Err(CallError::OverLimit(why)));
        }
        let count = self.all.as_ref().map_or(0, OrdMap::len);
        if known.is_none() && count >= MAX_BOOKMARKS {
            return turn.answer(answer, Err(CallError::OverLimit(format!("{MAX_BOOKMARKS} bookmarks"))));
        }
        bookmark.extensions = known.and_then(|known| known.extensions.clone());
        publish_bookmark(Box::new(bookmark), Publishing::AtOnce, answer, turn);
    }

    pub(super) fn remove(&mut self, room: &BareJid, answer: Answer<()>, turn: &mut Turn<'_>) {
        if let Err(error) = turn.needs_server("bookmarks").and_then(|()| self.may_change(turn)) {
            return turn.answer(answer, Err(error));
        }
        if self.get(room).is_none() {
            return turn.answer(answer, Err(CallError::NotFound(format!("a bookmark of {room}"))));
        }
        if self.is_older() {
            let why = "forgetting a bookmark where older clients keep them (XEP-0048): put one down first, which brings all \
                       of them to where each can be forgotten (XEP-0402)";
            return turn.answer(answer, Err(CallError::Unsupported(why.to_owned())));
        }
        let waiting = Waiting::Bookmarks(BookmarkIq::Remove(room.clone(), answer));
        turn.ask(None, Ask::RetractBookmark(room.clone()), waiting, PATIENCE);
    }
}

/// Returns whether a bookmark has the account enter its room, and did not before.
fn is_newly_set(before: Option<&Arc<Bookmark>>, now: &Bookmark) -> bool {
    now.autojoin && !before.is_some_and(|before| before.autojoin)
}

fn publish_bookmark(bookmark: Box<Bookmark>, step: Publishing, answer: Answer<()>, turn: &mut Turn<'_>) {
    let ask = match step {
        Publishing::AtOnce => Ask::PublishBookmark { bookmark: bookmark.clone(), plain: false },
        Publishing::Preparing { counted } => Ask::PrepareBookmarks { create: false, counted },
        Publishing::Creating { counted } => Ask::PrepareBookmarks { create: true, counted },
        Publishing::Prepared => Ask::PublishBookmark { bookmark: bookmark.clone(), plain: true },
    };
    let waiting = Waiting::Bookmarks(BookmarkIq::Set { bookmark, step, answer });
    turn.ask(None, ask, waiting, PATIENCE);
}

fn ask_bookmarks(place: BookmarkPlace, newer: Newer, turn: &mut Turn<'_>) {
    let waiting = Waiting::Bookmarks(BookmarkIq::All { place, newer });
    turn.ask(None, Ask::Bookmarks { place }, waiting, BOOKMARKS_PATIENCE);
}
