//! The only folder that names `tokio_xmpp`: from sockets to [`Incoming`](crate::stanza::Incoming), and back.

/// A whole stanza, opaque to everything above this folder. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RawStanza(std::sync::Arc<xmpp_parsers::stanza::Stanza>);
