//! What a plugin missed, told to it out of the account's archive (XEP-0313): for plugins whose manifest says `catch_up`.
//!
//! Missed is what came after the last message that the plugin has handled (`ledger`), while the host was down, after a cut that
//! could not be resumed, or while the plugin itself was down. It is told as `message` events that are delayed, to subscriptions
//! that want such, and shows nothing that the plugin's grants would not have shown. The account's task tells it, between two
//! events, so that nothing is told twice (`router/told`).

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;

use super::instance::Instance;
use super::ledger::Books;
use crate::api::archive::first_page;
use crate::error::CallError;
use crate::router::Place;
use crate::session::{ArchivePage, Archived, OwnArchive, Pager};
use crate::stanza::{ArchiveQuery, Cursor, MessageKind};
use crate::store::{Handled, Position, StoreError};

/// How many messages are asked for at once.
const PAGE: u32 = 50;
/// How long an archive is left alone that cannot answer now; twice as long each time.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest that it is left alone.
const LONGEST: Duration = Duration::from_mins(5);
/// How often one is asked again on the same stream whose answers are no answers.
const TRIES: u32 = 3;

/// Why a plugin is not told what it missed.
#[derive(Debug, thiserror::Error)]
enum CatchUpError {
    /// There is nowhere to ask.
    #[error("the account's server keeps no archive (XEP-0313)")]
    NoArchive,
    /// Nobody knows where it has come.
    #[error("it is not known what the plugin has handled: {0}")]
    Store(#[from] StoreError),
    /// The archive did not give it.
    #[error("{0}")]
    Archive(#[from] CallError),
}

impl CatchUpError {
    /// Whether it is tried again that has been tried so often. Nothing is given up that may pass: what comes meanwhile would be
    /// taken for what comes next, and what was missed would be passed for good.
    fn is_tried_again(&self, tried: u32) -> bool {
        match self {
            Self::NoArchive => false,
            Self::Store(_) => true,
            Self::Archive(error) => error.may_pass() || tried < TRIES,
        }
    }
}

/// What became of it.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// The plugin begins here: nothing was before.
    Begun,
    /// So many messages were told.
    Told(usize),
    /// So many were, and there are more.
    TooMany(usize),
}

/// Tells an instance what it missed, after each log-in, until it is dropped. Begin with it when the instance runs.
pub(super) async fn keep_up(instance: Arc<Instance>) {
    if !instance.books.are_kept() {
        return;
    }
    let mut archive = instance.account.own_archive();
    let mut last = 0;
    loop {
        let next = archive.wait_for(|archive| archive.is_some_and(|archive| archive.stream > last)).await;
        // The account may have ended.
        let Some(now) = next.ok().and_then(|next| *next) else { return };
        last = now.stream;
        tokio::select! {
            () = on_stream(&instance, now) => {}
            // This stream is over, and what it had not told is told on the next one.
            _ = archive.wait_for(|archive| archive.is_none_or(|archive| archive.stream != now.stream)) => {}
        }
    }
}

/// What was missed until this stream.
async fn on_stream(instance: &Arc<Instance>, archive: OwnArchive) {
    let (plugin, account) = (&instance.plugin, &instance.account.name);
    for tried in 1.. {
        match catch_up(instance, &instance.books, archive).await {
            Ok(Outcome::Begun) => tracing::info!(%plugin, %account, "plugin will catch up from here on"),
            Ok(Outcome::Told(0)) => tracing::debug!(%plugin, %account, "plugin missed nothing"),
            Ok(Outcome::Told(messages)) => tracing::info!(%plugin, %account, messages, "plugin caught up"),
            Ok(Outcome::TooMany(messages)) => tracing::warn!(
                %plugin, %account, messages,
                "plugin missed more than its limit catch_up_messages; the rest stays in the archive"
            ),
            // The next stream begins with it.
            Err(CatchUpError::Archive(CallError::Offline | CallError::Stopped)) => return,
            Err(error) if error.is_tried_again(tried) => {
                if tried == 1 {
                    tracing::warn!(%plugin, %account, %error, "it cannot be said now what a plugin missed; asking again");
                }
                tokio::time::sleep(LONGEST.min(PAUSE.saturating_mul(1 << tried.min(10)) / 2)).await;
                continue;
            }
            Err(error) => tracing::warn!(%plugin, %account, %error, "plugin is not told what it missed"),
        }
        break;
    }
    // Behind all that was handed over.
    loop {
        room(instance).await;
        if instance.mailbox.pass(Place::CaughtUp(archive.stream)) {
            return;
        }
    }
}

async fn catch_up(instance: &Arc<Instance>, books: &Books, archive: OwnArchive) -> Result<Outcome, CatchUpError> {
    let Some(ledger) = books.open().await else { return Ok(Outcome::Told(0)) };
    if ledger.is_caught_up(archive.stream) {
        return Ok(Outcome::Told(0));
    }
    let (known, keeper) = (ledger.up_to().cloned(), ledger.keeper().clone());
    drop(ledger);
    if !archive.exists {
        return Err(CatchUpError::NoArchive);
    }
    let from = if let Some(from) = known {
        from
    } else if let Some(handled) = keeper.load().await? {
        begin(books, handled).await
    } else {
        begin(books, Handled { up_to: newest(instance).await?, beyond: Vec::new() }).await;
        return Ok(Outcome::Begun);
    };
    tell_after(instance, books, from).await
}

async fn begin(books: &Books, handled: Handled) -> Position {
    let from = handled.up_to.clone();
    if let Some(mut ledger) = books.open().await {
        ledger.begin(handled);
    }
    from
}

/// The end of the archive.
async fn newest(instance: &Arc<Instance>) -> Result<Position, CallError> {
    let last = ArchiveQuery { max: 1, cursor: Cursor::Before(String::new()), ..ArchiveQuery::default() };
    let page = first_page(instance, last).await?;
    let id = page.fin.last.or_else(|| page.messages.back().map(|last| last.id.clone()));
    Ok(Position { id, at: instance.account.clock.now() })
}

/// Page after page of what came after this position.
async fn tell_after(instance: &Arc<Instance>, books: &Books, from: Position) -> Result<Outcome, CatchUpError> {
    let most = instance.limits.catch_up_messages;
    let mut pager = Pager::new(query(instance, &from), PAGE, Some(most));
    let (mut told, mut is_first, mut is_complete) = (0, true, true);
    while let Some(next) = pager.next_page() {
        let asked = first_page(instance, next).await;
        let page = match asked {
            Err(CallError::NotFound(_)) if is_first => {
                tracing::info!(
                    plugin = %instance.plugin, account = %instance.account.name, since = %from.at,
                    "the archive has forgotten the message that a plugin handled last; telling what it has since then"
                );
                let since = Position { id: None, at: from.at };
                let all = ArchiveQuery { start: Some(from.at), ..query(instance, &since) };
                pager = Pager::new(all, PAGE, Some(most));
                is_first = false;
                continue;
            }
            page => page?,
        };
        is_first = false;
        pager.took(&page)?;
        is_complete = page.fin.complete || page.messages.is_empty();
        told += hand_over(instance, books, page).await?;
    }
    Ok(if is_complete { Outcome::Told(told) } else { Outcome::TooMany(told) })
}

/// What came after it, but nothing that is older than this.
fn query(instance: &Instance, from: &Position) -> ArchiveQuery {
    let age = SignedDuration::try_from(instance.limits.catch_up_age).ok();
    let oldest = age.and_then(|age| instance.account.clock.now().checked_sub(age).ok());
    let cursor = from.id.clone().map_or(Cursor::Start, Cursor::After);
    ArchiveQuery { start: oldest.filter(|oldest| from.at < *oldest), cursor, ..ArchiveQuery::default() }
}

/// Has the account's task tell it, as the plugin makes room. How many it hears.
async fn hand_over(instance: &Arc<Instance>, books: &Books, page: ArchivePage) -> Result<usize, CallError> {
    let mut left = page.messages;
    if let Some(ledger) = books.open().await {
        left.retain(|archived| is_missed(archived) && !ledger.knows(&archived.id));
    }
    let mut told = 0;
    while !left.is_empty() {
        room(instance).await;
        let (more, rest) = instance.account.tell_missed(&instance.mailbox, left).await?;
        told += more;
        left = rest;
    }
    Ok(told)
}

/// Whether it is what a plugin hears as `message`: somebody else's, and not a room's.
fn is_missed(archived: &Archived) -> bool {
    let message = &archived.message;
    !message.own && !matches!(message.kind, MessageKind::Groupchat | MessageKind::Error)
}

/// Waits until the mailbox has room for what can wait.
async fn room(instance: &Instance) {
    while !instance.mailbox.has_room_for_the_past() {
        instance.took.notified().await;
    }
}
