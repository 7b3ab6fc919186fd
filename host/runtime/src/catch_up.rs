//! Catch-up: delivering missed messages from archives (XEP-0313), the account's and those of the rooms that the account
//! is in, to plugins whose manifest says `catch_up`.
//!
//! Missed messages are those after the last one that the plugin has handled (`progress`). They arrived while the host
//! was down, after a connection loss without resumption, while the account was out of the room, or while the plugin was
//! down. They are delivered as delayed `message` events to subscriptions that want those, and only as far as the
//! plugin's grants allow. The account's task delivers them between two events, so that nothing is delivered twice
//! (`router/delivery`). Among the last messages before that point, those that a stream did not bring count as missed
//! too.

mod caught_up;
mod slots;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use jid::{BareJid, Jid};
use jiff::{SignedDuration, Timestamp};
use parlor_session::permissions::Granted;
use parlor_session::position::{Archive, Position};
use parlor_session::router::ArchivePlace;
use parlor_session::{ArchivePage, Archived, Pager};
use parlor_stanza::error::CallError;
use parlor_stanza::types::{ArchiveQuery, Cursor, MessageKind};
use parlor_store::{Handled, StoreError};

use self::caught_up::UnderWay;
use self::slots::{AllSlots, Slots};
use crate::account::hooks::incoming::shown_of_missed;
use crate::api::archive::first_page;
use crate::instance::Instance;
use crate::progress::{CatchUpProgress, LOOKED_BACK};

pub(crate) use self::caught_up::{CaughtUp, falls_behind};

/// The number of messages per request.
const PAGE: u32 = 50;
/// How many messages are read for each one that may be delivered. An archive also has messages that the account sent,
/// and those that the plugin may not receive.
const READ_FOR_EACH: u32 = 10;
/// The first pause before an archive is asked again that cannot answer now. It doubles each time.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest such pause.
const LONGEST: Duration = Duration::from_mins(5);
/// The number of attempts on the same stream if the archive's answers are invalid.
const TRIES: u32 = 3;

/// The reason why a plugin does not get missed messages.
#[derive(Debug, thiserror::Error)]
enum CatchUpError {
    /// The archive does not exist.
    #[error("the account's server keeps no archive (XEP-0313)")]
    NoArchive,
    /// The plugin's progress cannot be loaded.
    #[error("it is not known what the plugin has handled: {0}")]
    Store(#[from] StoreError),
    /// The archive returned an error.
    #[error("{0}")]
    Archive(#[from] CallError),
}

impl CatchUpError {
    /// Returns whether to retry after this many attempts. Temporary errors are always retried: otherwise newer messages
    /// would move the position, and the missed ones would be skipped for good.
    fn is_tried_again(&self, tried: u32) -> bool {
        match self {
            Self::NoArchive => false,
            Self::Store(_) => true,
            Self::Archive(error) => error.may_pass() || tried < TRIES,
        }
    }
}

/// The outcome of a catch-up.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// The plugin begins here, since there was no earlier position.
    Begun,
    /// This many messages were delivered.
    Delivered(usize),
    /// This many messages were delivered, and there are more.
    TooMany(usize),
}

/// An archive, and the point after which messages come live.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Source {
    of: Archive,
    /// The number of the stream or, in a room, of the visit.
    since: u64,
    /// Whether the archive exists.
    exists: bool,
}

impl Source {
    /// Returns whether that stream, or that visit to the room, is still the present one.
    fn is_present(&self, instance: &Instance) -> bool {
        let snapshot = instance.account.snapshot();
        match &self.of {
            Archive::Own => snapshot.archive.is_some_and(|now| now.stream == self.since),
            Archive::Room(room) => snapshot.rooms.get(room).is_some_and(|now| now.joined && now.entered == self.since),
        }
    }
}

/// Delivers missed messages to an instance after each log-in and each time that a room is entered, until it is dropped.
/// Call this when the instance runs.
pub(super) async fn keep_up(instance: Arc<Instance>) {
    if instance.progress.is_kept() {
        // Boxed: most plugins do not catch up, and need no room for it.
        Box::pin(async { tokio::join!(keep_up_with_account(&instance), keep_up_with_rooms(&instance)) }).await;
    }
}

async fn keep_up_with_account(instance: &Arc<Instance>) {
    let mut archive = instance.account.own_archive();
    let mut last = 0;
    loop {
        let next = archive.wait_for(|archive| archive.is_some_and(|archive| archive.stream > last)).await;
        // The account may have ended.
        let Some(now) = next.ok().and_then(|next| *next) else { return };
        last = now.stream;
        let source = Source { of: Archive::Own, since: now.stream, exists: now.exists };
        tokio::select! {
            () = keep_up_with(instance, source, AllSlots::new().of(&Archive::Own)) => {}
            // This stream is over. The messages that were not delivered follow on the next one.
            _ = archive.wait_for(|archive| archive.is_none_or(|archive| archive.stream != now.stream)) => {}
        }
    }
}

/// Catches up with each room separately, since a slow room must not delay the others.
async fn keep_up_with_rooms(instance: &Arc<Instance>) {
    let mut told = instance.account.rooms_told();
    let (mut begun, mut slots) = (HashMap::new(), AllSlots::new());
    let mut under_way = FuturesUnordered::new();
    loop {
        let new = entered_rooms(instance, &mut begun);
        under_way.extend(new.into_iter().map(|source| {
            let slots = slots.of(&source.of);
            keep_up_with(instance, source, slots)
        }));
        let snapshot = instance.account.snapshot().clone();
        instance.progress.keep_only(|room| snapshot.rooms.contains_key(room)).await;
        loop {
            tokio::select! {
                // The account may have ended.
                changed = told.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => return,
                },
                Some(()) = under_way.next(), if !under_way.is_empty() => {}
            }
        }
    }
}

/// Returns the rooms that were entered since the last call and from which the plugin may receive messages.
fn entered_rooms(instance: &Instance, begun: &mut HashMap<BareJid, u64>) -> Vec<Source> {
    let (snapshot, grants) = (instance.account.snapshot(), instance.mailbox.grants());
    begun.retain(|room, _| snapshot.rooms.contains_key(room));
    let is_contact = |jid: &BareJid| snapshot.is_contact(jid);
    let told = snapshot.rooms.values().filter_map(|room| Some((room, room.archived?)));
    let mut new = Vec::new();
    for (room, exists) in told {
        if begun.get(&room.jid) != Some(&room.entered) && grants.may_hear(&room.jid, &is_contact) {
            begun.insert(room.jid.clone(), room.entered);
            new.push(Source { of: Archive::Room(room.jid.clone()), since: room.entered, exists });
        }
    }
    new
}

/// Delivers the messages missed before this stream, or before this visit to the room.
async fn keep_up_with(instance: &Arc<Instance>, source: Source, slots: Slots) {
    let Some(under_way) = UnderWay::begin(instance) else { return };
    tell_missed(instance, &source, &slots).await;
    under_way.reaches(&source);
}

async fn tell_missed(instance: &Arc<Instance>, source: &Source, slots: &Slots) {
    let (plugin, account) = (&instance.plugin, &instance.account.name);
    let room = source.of.room().map(tracing::field::display);
    for tried in 1.. {
        let caught_up = {
            // The semaphores are never closed, so this only waits.
            let _slots = slots.take().await;
            if !source.is_present(instance) {
                return;
            }
            catch_up(instance, &instance.progress, source).await
        };
        match caught_up {
            Ok(Outcome::Begun) => tracing::info!(%plugin, %account, room, "plugin will catch up from here on"),
            Ok(Outcome::Delivered(0)) => tracing::debug!(%plugin, %account, room, "plugin missed nothing"),
            Ok(Outcome::Delivered(messages)) => tracing::info!(%plugin, %account, room, messages, "plugin caught up"),
            Ok(Outcome::TooMany(messages)) => tracing::warn!(
                %plugin, %account, room, messages,
                "plugin missed more than its limit catch_up_messages; the rest stays in the archive"
            ),
            // The next stream begins with catch-up.
            Err(CatchUpError::Archive(CallError::Offline | CallError::Stopped)) => return,
            // Most rooms have no archive.
            Err(CatchUpError::NoArchive) if room.is_some() => return,
            Err(error) if error.is_tried_again(tried) => {
                if tried == 1 {
                    tracing::warn!(
                        %plugin, %account, room, %error,
                        "it cannot be said now what a plugin missed; asking again"
                    );
                }
                tokio::time::sleep(LONGEST.min(PAUSE.saturating_mul(1 << tried.min(10)) / 2)).await;
                continue;
            }
            Err(error) => tracing::warn!(%plugin, %account, room, %error, "plugin is not told what it missed"),
        }
        break;
    }
    // The marker follows after everything that was handed over.
    loop {
        room_for_the_past(instance).await;
        if instance.mailbox.pass(ArchivePlace::CaughtUp(source.of.clone(), source.since)) {
            return;
        }
    }
}

async fn catch_up(
    instance: &Arc<Instance>,
    progress: &CatchUpProgress,
    source: &Source,
) -> Result<Outcome, CatchUpError> {
    let Some(mut archives) = progress.open().await else { return Ok(Outcome::Delivered(0)) };
    let archive = archives.archive(&source.of);
    if archive.is_caught_up(source.since) {
        return Ok(Outcome::Delivered(0));
    }
    archive.falls_behind();
    let (known, keeper) = (archive.up_to().cloned(), archive.keeper().clone());
    drop(archives);
    if !source.exists {
        // Without an archive, the history that the room sends when it is entered is all there is.
        if let Some((rooms, room)) = progress.rooms().zip(source.of.room()) {
            rooms.remove(room);
            keeper.forget();
        }
        return Err(CatchUpError::NoArchive);
    }
    if let Some((rooms, room)) = progress.rooms().zip(source.of.room()) {
        rooms.add(room);
    }
    let from = if let Some(from) = known {
        from
    } else if let Some(handled) = keeper.load().await? {
        begin(progress, &source.of, handled).await
    } else {
        begin_here(instance, progress, &source.of).await?;
        return Ok(Outcome::Begun);
    };
    tell_after(instance, progress, &source.of, from).await
}

async fn begin(progress: &CatchUpProgress, of: &Archive, handled: Handled) -> Position {
    let from = handled.up_to.clone();
    if let Some(mut archives) = progress.open().await {
        archives.archive(of).begin(handled);
    }
    from
}

/// Begins without an earlier position. The room's history was received when it was entered, and will be again if the
/// end of its archive cannot be determined.
async fn begin_here(instance: &Arc<Instance>, progress: &CatchUpProgress, of: &Archive) -> Result<(), CallError> {
    let newest = newest(instance, of).await;
    if let (Err(_), Some((rooms, room))) = (&newest, progress.rooms().zip(of.room())) {
        rooms.remove(room);
    }
    begin(progress, of, Handled { up_to: newest?, beyond: Vec::new() }).await;
    Ok(())
}

/// Returns the end of an archive.
async fn newest(instance: &Arc<Instance>, of: &Archive) -> Result<Position, CallError> {
    let last = ArchiveQuery { max: 1, cursor: Cursor::Before(String::new()), ..all(of) };
    let page = first_page(instance, &Granted::HOST, last).await?;
    let id = page.fin.last.or_else(|| page.messages.back().map(|last| last.id.clone()));
    Ok(Position { id, at: instance.account.clock.now() })
}

/// Returns a query for everything in an archive.
fn all(of: &Archive) -> ArchiveQuery {
    ArchiveQuery { with: of.room().cloned().map(Jid::from), ..ArchiveQuery::default() }
}

/// Delivers the messages after this position, page by page.
async fn tell_after(
    instance: &Arc<Instance>,
    progress: &CatchUpProgress,
    of: &Archive,
    from: Position,
) -> Result<Outcome, CatchUpError> {
    let may_be_told = instance.limits.catch_up_messages;
    let may_be_read = Some(may_be_told.saturating_mul(READ_FOR_EACH));
    let most = usize::try_from(may_be_told).unwrap_or(usize::MAX);
    let mut pager = Pager::new(query(instance, of, &from), PAGE, may_be_read);
    let gaps = gaps(instance, progress, of, &from).await?;
    let (mut told, mut is_first, mut is_complete) = (0, true, true);
    while told < most
        && let Some(next) = pager.next_page()
    {
        let asked = first_page(instance, &Granted::HOST, next).await;
        let page = match asked {
            Err(CallError::NotFound(_)) if is_first => {
                tracing::info!(
                    plugin = %instance.plugin, account = %instance.account.name,
                    room = of.room().map(tracing::field::display), since = %from.at,
                    "the archive has forgotten the message that a plugin handled last; telling what it has since then"
                );
                pager = Pager::new(query_since(instance, of, &from), PAGE, may_be_read);
                is_first = false;
                continue;
            }
            page => page?,
        };
        is_first = false;
        pager.took(&page)?;
        let is_last = page.fin.complete || page.messages.is_empty();
        let (more, is_all) = hand_over(instance, progress, of, page, most - told).await?;
        told += more;
        is_complete = is_last && is_all;
    }
    // These are delivered last: if the limit is reached, they are dropped rather than messages that the position would
    // skip.
    let (more, _) = tell(instance, gaps, most - told).await?;
    told += more;
    if is_complete {
        return Ok(Outcome::Delivered(told));
    }
    if let Some(mut archives) = progress.open().await {
        archives.archive(of).leave_rest();
    }
    Ok(Outcome::TooMany(told))
}

/// Returns those of the last messages before this position that the plugin lacks.
async fn gaps(
    instance: &Arc<Instance>,
    progress: &CatchUpProgress,
    of: &Archive,
    place: &Position,
) -> Result<VecDeque<Archived>, CallError> {
    let may_look_back = progress.open().await.is_some_and(|mut archives| archives.archive(of).may_look_back());
    let Some(id) = place.id.clone().filter(|_| may_look_back) else { return Ok(VecDeque::new()) };
    let max = u32::from(LOOKED_BACK).min(instance.limits.catch_up_messages.saturating_mul(READ_FOR_EACH));
    let last = ArchiveQuery { max, cursor: Cursor::Before(id), start: oldest(instance), ..all(of) };
    let mut messages = match first_page(instance, &Granted::HOST, last).await {
        Ok(page) => page.messages,
        Err(gone @ (CallError::Offline | CallError::Stopped)) => return Err(gone),
        // For instance, the archive may have forgotten the message at the position. That must not prevent delivering
        // later ones.
        Err(_) => return Ok(VecDeque::new()),
    };
    messages.retain(|archived| is_missed(of, archived) && archived.message.says_something());
    if let Some(mut archives) = progress.open().await {
        let lacks = archives.archive(of).lacks(messages.iter().map(|archived| archived.id.as_str()));
        messages.retain(|archived| lacks.contains(&archived.id));
    }
    Ok(messages)
}

/// Returns a query for the messages after a position that are not too old.
fn query(instance: &Instance, of: &Archive, from: &Position) -> ArchiveQuery {
    let cursor = from.id.clone().map_or(Cursor::Start, Cursor::After);
    ArchiveQuery { start: oldest(instance).filter(|oldest| from.at < *oldest), cursor, ..all(of) }
}

/// Returns the oldest time that is not too old.
fn oldest(instance: &Instance) -> Option<Timestamp> {
    let age = SignedDuration::try_from(instance.limits.catch_up_age).ok();
    age.and_then(|age| instance.account.clock.now().checked_sub(age).ok())
}

/// Returns a query for the messages since the time of a position that are not too old.
fn query_since(instance: &Instance, of: &Archive, from: &Position) -> ArchiveQuery {
    let query = query(instance, of, from);
    ArchiveQuery { start: query.start.max(Some(from.at)), cursor: Cursor::Start, ..query }
}

/// Delivers the messages of a page that the plugin lacks. Returns how many it received, and whether that was all.
async fn hand_over(
    instance: &Arc<Instance>,
    progress: &CatchUpProgress,
    of: &Archive,
    page: ArchivePage,
    most: usize,
) -> Result<(usize, bool), CallError> {
    let mut left = page.messages;
    if let Some(mut archives) = progress.open().await {
        let archive = archives.archive(of);
        left.retain(|archived| is_missed(of, archived) && !archive.meets(&archived.id));
    }
    tell(instance, left, most).await
}

/// Lets the account's task deliver messages that no hook hides, as the plugin makes room, until it has received as many as
/// it may. Returns how many it received, and whether that was all.
async fn tell(instance: &Arc<Instance>, mut left: VecDeque<Archived>, most: usize) -> Result<(usize, bool), CallError> {
    let mut told = 0;
    left = shown_of_missed(&instance.account, &instance.plugin, left).await;
    while !left.is_empty() && told < most {
        room_for_the_past(instance).await;
        let mut later = left.split_off(left.len().min(most - told));
        let (more, mut rest) = instance.account.tell_missed(&instance.mailbox, left).await?;
        rest.append(&mut later);
        (told, left) = (told + more, rest);
    }
    Ok((told, left.is_empty()))
}

/// Returns whether a plugin would receive it as `message` or `undecryptable`: not an own one, none that carries keys alone, and groupchat
/// only from the room's own archive.
fn is_missed(of: &Archive, archived: &Archived) -> bool {
    let message = &archived.message;
    // A decrypted message with content has a device trust.
    let has_keys_alone =
        message.encryption.is_some() && message.device_trust.is_none() && archived.undecryptable.is_none();
    let is_here = match of {
        Archive::Own => !matches!(message.kind, MessageKind::Groupchat | MessageKind::Error),
        Archive::Room(_) => message.kind == MessageKind::Groupchat,
    };
    is_here && !message.own && !has_keys_alone
}

/// Waits until the mailbox has room for events that can wait.
async fn room_for_the_past(instance: &Instance) {
    while let Some(caught_up) = &instance.caught_up
        && !instance.mailbox.has_room_for_the_past()
    {
        caught_up.took.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use parlor_plugins::limits::Limits;

    use super::*;
    use crate::instance::tests::instance as disconnected_instance;

    #[tokio::test]
    async fn an_archive_is_not_asked_for_what_is_older_than_the_limit() {
        let limits = Limits { catch_up_age: Duration::from_hours(2), ..Limits::default() };
        let (instance, _mailbox) = disconnected_instance("", limits);
        let now = instance.account.clock.now();
        let handled = |before| Position { id: Some("uid".to_owned()), at: now - SignedDuration::from_hours(before) };
        // All messages after the last handled one are recent enough.
        assert_eq!(query(&instance, &Archive::Own, &handled(1)).start, None);
        let start = query(&instance, &Archive::Own, &handled(3)).start;
        assert!(start.is_some_and(|start| start >= now - SignedDuration::from_hours(2)), "{start:?}, now {now}");
    }

    #[tokio::test]
    async fn what_is_asked_for_by_time_is_no_older_than_the_limit_says() {
        let limits = Limits { catch_up_age: Duration::from_hours(2), ..Limits::default() };
        let (instance, _mailbox) = disconnected_instance("", limits);
        let now = instance.account.clock.now();
        let start = |before| {
            let from = Position { id: Some("forgotten".to_owned()), at: now - SignedDuration::from_hours(before) };
            query_since(&instance, &Archive::Own, &from).start.unwrap()
        };
        assert_eq!(start(1), now - SignedDuration::from_hours(1));
        assert!(start(3) >= now - SignedDuration::from_hours(2));
    }
}
