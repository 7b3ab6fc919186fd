//! `query-all`: an archive as a stream that is filled as it is read.
//!
//! One page at a time is in memory. The next one is requested when the guest reads and no message is left. The stream's
//! future gets the reason for its end.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Polling, Poll};

use futures_util::future::BoxFuture;
use jid::Jid;
use parlor_session::permissions::CallName;
use parlor_session::{ArchivePage, Pager};
use parlor_stanza::error::CallError;
use parlor_stanza::types::{ArchiveQuery, Cursor};
use tokio::sync::oneshot;
use wasmtime::StoreContextMut;
use wasmtime::component::{Destination, StreamProducer, StreamResult, VecBuffer};

use super::options::{Request, may_read};
use super::{archived_message, ask, collect, first_page, reads};
use crate::api::listen::may_see_xml;
use crate::bindings::parlor::plugin::archive::ArchivedMessage;
use crate::bindings::parlor::plugin::types::Error;
use crate::instance::{Instance, OpenArchiveQuery};

/// The host's end of a stream.
pub(super) struct Pages {
    instance: Arc<Instance>,
    pager: Pager,
    /// The address that the query is restricted to.
    with: Option<Jid>,
    /// The id of the message with which the stream ends.
    last: Option<String>,
    xml: bool,
    /// Received messages that were not read yet.
    ready: Vec<ArchivedMessage>,
    asking: Option<BoxFuture<'static, Result<ArchivePage, CallError>>>,
    /// None once the stream has ended.
    ended: Option<oneshot::Sender<Result<(), Error>>>,
    _query: OpenArchiveQuery,
}

impl Pages {
    /// Requests the first page. An invalid query fails here.
    pub(super) async fn begin(
        instance: &Arc<Instance>,
        request: &Request,
        guard: OpenArchiveQuery,
    ) -> Result<Self, CallError> {
        let mut query = request.query.clone();
        let mut last = None;
        if let Cursor::Before(id) = &query.cursor {
            if let Some(max) = request.max {
                return Self::last_before(instance, request, max, guard).await;
            }
            // A stream runs forwards, up to the given message.
            if !id.is_empty() {
                // The message before which it ends need not match the query.
                let page =
                    collect(instance, request.call, query.clone(), (request.page, Some(1)), request.limit).await?;
                let Some(message) = page.messages.back() else { return Ok(Self::nothing(instance, request, guard)) };
                last = Some(message.id.clone());
            }
            query.cursor = Cursor::Start;
        }
        let mut pager = Pager::new(query, request.page, request.max);
        let first = match pager.next_page() {
            Some(first) => Some(first_page(instance, &request.granted, first).await?),
            None => None,
        };
        if let Some(first) = &first {
            pager.took(first)?;
        }
        let mut begun = Self::new(instance, pager, request, guard);
        begun.last = last;
        if let Some(first) = first {
            begun.take(&first);
        }
        Ok(begun)
    }

    /// Collects the last messages before one: they are paged backwards and read forwards.
    async fn last_before(
        instance: &Arc<Instance>,
        request: &Request,
        max: u32,
        guard: OpenArchiveQuery,
    ) -> Result<Self, CallError> {
        if max > request.limit {
            let reason = format!("the last {max} messages are more than {}; use start, or fewer", request.limit);
            return Err(CallError::OverLimit(reason));
        }
        let page =
            collect(instance, request.call, request.query.clone(), (request.page, Some(max)), request.limit).await?;
        let mut collected = Self::nothing(instance, request, guard);
        collected.take(&page);
        Ok(collected)
    }

    /// Creates a stream that requests no more pages.
    fn nothing(instance: &Arc<Instance>, request: &Request, guard: OpenArchiveQuery) -> Self {
        let nothing_more = Pager::new(ArchiveQuery::default(), request.page, Some(0));
        Self::new(instance, nothing_more, request, guard)
    }

    fn new(instance: &Arc<Instance>, pager: Pager, request: &Request, guard: OpenArchiveQuery) -> Self {
        Self {
            instance: Arc::clone(instance),
            pager,
            with: request.query.with.clone(),
            last: None,
            xml: request.xml,
            ready: Vec::new(),
            asking: None,
            ended: None,
            _query: guard,
        }
    }

    /// Returns the producer of the stream, and the future of its end.
    pub(super) fn producers(
        mut self,
    ) -> (Self, impl Future<Output = wasmtime::Result<Result<(), Error>>> + Send + 'static) {
        let (ended, ends) = oneshot::channel();
        self.ended = Some(ended);
        // Dropped without a result: the guest stopped reading.
        (self, async { Ok(ends.await.unwrap_or(Err(Error::Stopped))) })
    }

    /// Makes a page ready to be read.
    fn take(&mut self, page: &ArchivePage) {
        let last = self.last.as_deref().and_then(|last| page.messages.iter().position(|one| one.id == last));
        let wanted = page.messages.iter().take(last.map_or(page.messages.len(), |last| last + 1));
        let xml = self.xml && may_see_xml(&self.instance);
        let shown = wanted.filter(|one| reads(&self.instance, self.with.as_ref(), one));
        self.ready = shown.map(|one| archived_message(one, xml)).collect();
        if last.is_some() {
            self.pager = Pager::new(ArchiveQuery::default(), 1, Some(0));
        }
    }

    fn end(&mut self, how: Result<(), CallError>) {
        if let Some(ended) = self.ended.take() {
            // The guest may have dropped the future.
            let _ = ended.send(how.map_err(Error::from));
        }
    }

    /// Requests the next page. Returns `None` after the last page.
    fn next_page(&mut self) -> Option<BoxFuture<'static, Result<ArchivePage, CallError>>> {
        let query = self.pager.next_page()?;
        let instance = Arc::clone(&self.instance);
        Some(Box::pin(async move {
            let granted = may_read(&instance, CallName::ArchiveQueryAll, query.with.as_ref())?;
            let _waits = instance.waits_for_session();
            ask(&instance, &granted, query).await
        }))
    }

    /// Waits until messages are ready to be read. Returns `false` if the stream has ended.
    fn poll_ready(&mut self, polling: &mut Polling<'_>) -> Poll<bool> {
        while self.ready.is_empty() {
            if self.asking.is_none() {
                self.asking = self.next_page();
            }
            let Some(asking) = &mut self.asking else {
                self.end(Ok(()));
                return Poll::Ready(false);
            };
            let came = std::task::ready!(asking.as_mut().poll(polling));
            self.asking = None;
            match came.and_then(|page| self.pager.took(&page).map(|()| page)) {
                Ok(page) => self.take(&page),
                Err(error) => {
                    self.end(Err(error));
                    return Poll::Ready(false);
                }
            }
        }
        Poll::Ready(true)
    }
}

impl<D> StreamProducer<D> for Pages {
    type Item = ArchivedMessage;
    type Buffer = VecBuffer<ArchivedMessage>;

    fn poll_produce<'a>(
        self: Pin<&mut Self>,
        polling: &mut Polling<'_>,
        mut store: StoreContextMut<'a, D>,
        mut destination: Destination<'a, Self::Item, Self::Buffer>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let pages = self.get_mut();
        match pages.poll_ready(polling) {
            Poll::Ready(true) => {
                // A zero-length read only waits for readiness; the messages must stay here.
                if destination.remaining(&mut store) != Some(0) {
                    destination.set_buffer(std::mem::take(&mut pages.ready).into());
                }
                Poll::Ready(Ok(StreamResult::Completed))
            }
            Poll::Ready(false) => Poll::Ready(Ok(StreamResult::Dropped)),
            // The requested page is kept for the next read.
            Poll::Pending if finish => Poll::Ready(Ok(StreamResult::Cancelled)),
            Poll::Pending => Poll::Pending,
        }
    }
}
