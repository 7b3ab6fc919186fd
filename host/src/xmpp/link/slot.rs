//! Where the library's worker waits for a connection.
//!
//! The worker panics when nobody will ever give it one, and waits for ever when nobody says so. So a slot that is dropped
//! unused gives it a dead connection: one that ends at once, after which a worker without a frontend goes.

use futures_util::FutureExt;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_xmpp::stanzastream::Connection;
use tokio_xmpp::xmlstream::{StreamHeader, Timeouts, XmppStream, initiate_stream};
use xmpp_parsers::bind::BindFeature;
use xmpp_parsers::ns;
use xmpp_parsers::sm::StreamManagement;
use xmpp_parsers::stream_features::StreamFeatures;

/// All that a dead server ever says.
const LAST_WORDS: &[u8] =
    b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' id='gone'>";

/// A worker that waits.
pub(super) struct Slot(Option<oneshot::Sender<Connection>>);

impl Slot {
    pub(super) fn new(slot: oneshot::Sender<Connection>) -> Self {
        Self(Some(slot))
    }

    /// Whether it waits no more.
    pub(super) fn is_abandoned(&self) -> bool {
        self.0.as_ref().is_none_or(oneshot::Sender::is_closed)
    }

    /// Gives it the connection that it waits for.
    pub(super) fn deliver(mut self, connection: Connection) {
        if let Some(slot) = self.0.take() {
            // A worker that is gone needs no connection; dropping it closes the socket.
            drop(slot.send(connection));
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // Outside of a runtime nothing polls the worker any more, and connections cannot be made.
        if let Some(slot) = self.0.take()
            && Handle::try_current().is_ok()
            && let Some(connection) = dead_connection()
        {
            drop(slot.send(connection));
        }
    }
}

/// A connection whose server said its header and fell silent for good. Made of memory, so it never waits.
fn dead_connection() -> Option<Connection> {
    let transport = tokio::io::join(LAST_WORDS, tokio::io::sink());
    let header = StreamHeader { to: None, from: None, id: None };
    let pending = initiate_stream(transport, ns::JABBER_CLIENT, header, Timeouts::tight()).now_or_never()?.ok()?;
    let stream: XmppStream<_> = pending.skip_features();
    // The worker panics over a stream that cannot bind, and warns about one that cannot resume.
    let features = StreamFeatures {
        bind: Some(BindFeature { required: false }),
        stream_management: Some(StreamManagement { optional: false }),
        ..StreamFeatures::default()
    };
    let identity = jid::Jid::new("nobody@invalid").ok()?;
    Some(Connection { stream: stream.box_stream(), features, identity })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_dropped_slot_gives_a_dead_connection() {
        let (sender, receiver) = oneshot::channel();
        drop(Slot::new(sender));
        let connection = receiver.await.expect("a connection comes, not an error");
        assert!(connection.features.can_bind());
    }

    #[test]
    fn a_slot_may_be_dropped_outside_of_a_runtime() {
        let (sender, mut receiver) = oneshot::channel();
        drop(Slot::new(sender));
        assert!(receiver.try_recv().is_err());
    }
}
