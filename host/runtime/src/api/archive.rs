//! `archive`: messages that servers and rooms keep (XEP-0313).
//!
//! The session handles single pages; this module requests one after the other.

mod options;
mod stream;

use std::collections::VecDeque;

use jid::{BareJid, Jid};
use parlor_base::permission::Permission;
use parlor_session::permissions::{CallName, Decision, Granted, Target, Use};
use parlor_session::{ArchivePage, Archived, Pager, QueryArchive};
use parlor_stanza::error::CallError;
use parlor_stanza::types::{ArchiveFin, ArchiveQuery, Cursor};
use wasmtime::component::{Accessor, FutureReader, StreamReader};

use self::options::{Request, Size, may_read, turned};
use super::{answer, caller, types};
use crate::bindings::parlor::plugin::archive::{ArchivedMessage, Host, HostWithStore, Options, Page as WitPage};
use crate::bindings::parlor::plugin::types::Error;
use crate::instance::{Context, Grouping, Instance};

/// A stream of messages, and how it ended.
type Messages = (StreamReader<ArchivedMessage>, FutureReader<Result<(), Error>>);

/// Maximum weight of the messages that one query collects.
const MAX_WEIGHT: usize = 8 << 20;
/// Number of neighbours of a page that are searched for the message that it comes after or before.
const NEIGHBOURS: u32 = 10;

impl Host for Context {
    fn next(&mut self, rsm: Options, max: u32) -> Options {
        let after = rsm.last.clone().or_else(|| rsm.after.clone());
        turned(rsm, max, None, after)
    }

    fn previous(&mut self, rsm: Options, max: u32) -> Options {
        // Before an empty page comes the end of the archive.
        let before = rsm.first.clone().or_else(|| rsm.before.clone()).unwrap_or_default();
        turned(rsm, max, Some(before), None)
    }
}

impl<T: Send + 'static> HostWithStore<T> for Grouping {
    async fn query(accessor: &Accessor<T, Self>, options: Options) -> Result<WitPage, Error> {
        answer(query(accessor, options).await)
    }

    async fn query_all(accessor: &Accessor<T, Self>, options: Options) -> Result<Messages, Error> {
        answer(query_all(accessor, options).await)
    }
}

async fn query<T: Send + 'static>(accessor: &Accessor<T, Grouping>, options: Options) -> Result<WitPage, CallError> {
    let (instance, _open) = caller(accessor, CallName::ArchiveQuery)?;
    let request = Request::read(&instance, CallName::ArchiveQuery, options)?;
    let _query = instance.archive_query()?;
    let request = request.in_turn(&instance).await?;
    let _waits = instance.waits_for_session();
    let page = match request.page_size()? {
        Size::OnePage(max) => {
            first_page(&instance, &request.granted, ArchiveQuery { max, ..request.query.clone() }).await?
        }
        Size::All { page, limit } => {
            collect(&instance, request.call, request.query.clone(), (page, None), limit).await?
        }
    };
    let xml = request.xml;
    let with = request.query.with.as_ref();
    let shown = page.messages.iter().filter(|one| reads(&instance, with, one));
    let messages = shown.map(|one| archived_message(one, xml)).collect();
    Ok(WitPage { messages, rsm: request.answered(page.fin) })
}

async fn query_all<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    options: Options,
) -> Result<Messages, CallError> {
    let (instance, _open) = caller(accessor, CallName::ArchiveQueryAll)?;
    let request = Request::read(&instance, CallName::ArchiveQueryAll, options)?;
    let guard = instance.archive_query()?;
    let request = request.in_turn(&instance).await?;
    let _waits = instance.waits_for_session();
    let pages = stream::Pages::begin(&instance, &request, guard).await?;
    accessor
        .with(|mut access| {
            let (messages, ended) = pages.producers();
            let mut stream = StreamReader::new(&mut access, messages)?;
            match FutureReader::new(&mut access, ended) {
                Ok(ended) => Ok((stream, ended)),
                Err(error) => {
                    stream.close(&mut access)?;
                    Err(error)
                }
            }
        })
        // The table of streams and futures is full.
        .map_err(|_: wasmtime::Error| CallError::OverLimit(format!("{} handles", instance.limits.handles)))
}

/// Requests one page.
async fn ask(instance: &Instance, granted: &Granted, query: ArchiveQuery) -> Result<ArchivePage, CallError> {
    let (by, query) = (Some(instance.id), query);
    let weigh = |page: &ArchivePage| page.messages.iter().map(|archived| archived.weight).sum();
    instance.ask_for_much(granted, QueryArchive { by, query }, weigh).await
}

/// Requests a page that does not follow a previous one, and checks that it is the right one.
pub(crate) async fn first_page(
    instance: &Instance,
    granted: &Granted,
    query: ArchiveQuery,
) -> Result<ArchivePage, CallError> {
    let page = ask(instance, granted, query.clone()).await?;
    check_cursor(instance, granted, &query, &page).await?;
    Ok(page)
}

/// Checks a page that should come after or before a message. Some servers do not report that they lack this message,
/// and return another page instead. The page is accepted if that message is indeed its neighbour.
async fn check_cursor(
    instance: &Instance,
    granted: &Granted,
    query: &ArchiveQuery,
    page: &ArchivePage,
) -> Result<(), CallError> {
    if page.cursor_known {
        return Ok(());
    }
    let (id, backwards) = match &query.cursor {
        Cursor::After(id) => (id, false),
        Cursor::Before(id) if !id.is_empty() => (id, true),
        Cursor::Start | Cursor::Before(_) | Cursor::Index(_) => return Ok(()),
    };
    // The whole archive: the id may belong to a message that the query leaves out.
    let whole = ArchiveQuery {
        with: query.with.clone().filter(|_| page.of_room),
        start: None,
        end: None,
        max: 1,
        ..query.clone()
    };
    let is_filtered = query.start.is_some() || query.end.is_some() || whole.with != query.with;
    let asked_again;
    let page = if is_filtered || query.max == 0 {
        asked_again = ask(instance, granted, whole.clone()).await?;
        &asked_again
    } else {
        page
    };
    let edge = if backwards { &page.fin.last } else { &page.fin.first }.clone();
    let cursor = match (edge, backwards) {
        (Some(last), true) => Cursor::After(last),
        (None, true) => Cursor::Start,
        (first, false) => Cursor::Before(first.unwrap_or_default()),
    };
    let neighbours = ask(instance, granted, ArchiveQuery { max: NEIGHBOURS, cursor, ..whole }).await?;
    // A message that is not shown, such as a room's invitation, may be the first or the last one.
    let is_at_the_edge =
        [&neighbours.fin.first, &neighbours.fin.last].into_iter().any(|edge| edge.as_ref() == Some(id));
    if is_at_the_edge || neighbours.messages.iter().any(|one| one.id == *id) {
        return Ok(());
    }
    Err(CallError::NotFound(format!("a message with the archive id {id}")))
}

/// Collects all matching messages, up to `most`, as one page. More than `limit` is an error.
async fn collect(
    instance: &Instance,
    call: CallName,
    query: ArchiveQuery,
    (size, most): (u32, Option<u32>),
    limit: u32,
) -> Result<ArchivePage, CallError> {
    let backwards = matches!(query.cursor, Cursor::Before(_));
    let mut pager = Pager::new(query, size, most);
    let mut all: Option<ArchivePage> = None;
    let mut weight = 0;
    while let Some(next) = pager.next_page() {
        let granted = may_read(instance, call, next.with.as_ref())?;
        let page = match &all {
            None => first_page(instance, &granted, next).await?,
            Some(_) => ask(instance, &granted, next).await?,
        };
        pager.took(&page)?;
        weight += page.messages.iter().map(|one| one.weight).sum::<usize>();
        let so_far = match &mut all {
            None => all.insert(page),
            Some(so_far) => {
                join(so_far, page, backwards);
                so_far
            }
        };
        if so_far.messages.len() > limit as usize || weight > MAX_WEIGHT {
            return Err(CallError::OverLimit(format!("more than {limit} messages, or too large ones; use query-all")));
        }
    }
    Ok(all.unwrap_or_else(|| ArchivePage {
        messages: VecDeque::new(),
        fin: ArchiveFin::default(),
        of_room: false,
        cursor_known: true,
    }))
}

fn join(all: &mut ArchivePage, mut page: ArchivePage, backwards: bool) {
    if backwards {
        page.messages.append(&mut all.messages);
        all.messages = page.messages;
        all.fin.first = page.fin.first.or(all.fin.first.take());
        all.fin.index = page.fin.index;
    } else {
        all.messages.append(&mut page.messages);
        all.fin.last = page.fin.last.or(all.fin.last.take());
    }
    all.fin.complete = page.fin.complete;
    all.fin.count = all.fin.count.or(page.fin.count);
}

/// Returns whether the plugin may read this message: its grant may cover only encrypted ones, and its owner may keep it to rooms.
/// `with` is the address of the query.
fn reads(instance: &Instance, with: Option<&Jid>, archived: &Archived) -> bool {
    let is_encrypted = archived.undecryptable.is_some() || archived.message.encryption.is_some();
    reads_of(instance, with.unwrap_or(&archived.message.chat), is_encrypted)
}

/// Returns whether the plugin may read messages of a conversation, or encrypted ones, as it is granted now. A query of the whole
/// archive also finds those with occupants of rooms that its owner keeps it from.
fn reads_of(instance: &Instance, chat: &Jid, is_encrypted: bool) -> bool {
    let wanted = Use::Call(Permission::ArchiveRead, Target::Message { chat, is_encrypted });
    let is_contact = |jid: &BareJid| instance.account.snapshot().is_contact(jid);
    instance.mailbox.decide(wanted, Some(&is_contact)).is_some_and(Decision::allows)
}

fn archived_message(archived: &Archived, xml: bool) -> ArchivedMessage {
    ArchivedMessage {
        id: archived.id.clone(),
        stamp: archived.stamp.map(types::date_time),
        message: types::message(&archived.message, xml),
        undecryptable: archived.undecryptable.map(|reason| reason.as_str().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parlor_plugins::limits::Limits;
    use parlor_session::permissions::{Grants, RoomList};

    use super::*;
    use crate::instance::tests::instance as disconnected_instance;

    /// A query of the whole archive is about nobody in particular.
    #[tokio::test]
    async fn nothing_of_other_rooms_is_read_from_the_whole_archive_encrypted_or_not() {
        for (granted, reads_plain) in [("*", true), ("encrypted:*", false)] {
            let grants = format!("\"archive.read\" = [\"{granted}\"]");
            let (instance, _mailbox) = disconnected_instance(&grants, Limits::default());
            let reads = |chat: &str| {
                let chat: Jid = chat.parse().unwrap();
                [false, true].map(|is_encrypted| reads_of(&instance, &chat, is_encrypted))
            };
            assert_eq!(reads("other@muc.example.org/juliet"), [reads_plain, true], "{granted}");
            let kept = RoomList::new([RoomList::room("lounge@muc.example.org").unwrap()]);
            let grants = Grants::clone(&instance.mailbox.grants()).in_rooms(Some(kept));
            instance.account.router.grant(&instance.mailbox, Arc::new(grants));
            assert!(may_read(&instance, CallName::ArchiveQuery, None).is_ok(), "it may ask");
            for own in ["lounge@muc.example.org/juliet", "juliet@example.org"] {
                assert_eq!(reads(own), [reads_plain, true], "{granted} {own}");
            }
            assert_eq!(reads("other@muc.example.org/juliet"), [false; 2], "{granted}");
            // The grant may be taken back while a page is on its way.
            instance.account.router.grant(&instance.mailbox, Arc::default());
            assert_eq!(reads("juliet@example.org"), [false; 2], "{granted}");
        }
    }
}
