//! What a lost stream took with it, and may have arrived all the same: the server took it in, and its word of that was lost with
//! the stream. Nobody can tell but the archive, in which the server keeps what it took in (XEP-0313).

use std::collections::HashSet;
use std::sync::Arc;

use jid::BareJid;

use super::{Order, Shared};
use crate::error::CallError;
use crate::session::{Command, Pager};
use crate::stanza::{ArchiveQuery, Cursor};
use crate::xmpp::RawStanza;

/// How many messages are asked for at once.
const PAGE: u32 = 50;
/// How far it is looked back. What came meanwhile is in the archive, too.
const MOST: u32 = 2_000;

/// Whom something is for, and its id.
type Mark = (BareJid, String);

impl Shared {
    /// Has the session send what the archive has not: of these, the first `doubtful` ones may be there. Where it does not say,
    /// all of them are sent, since a message that comes twice is better than none.
    pub(super) async fn send_what_has_not_arrived(self: Arc<Self>, mut stanzas: Vec<RawStanza>, doubtful: usize) {
        let sought: HashSet<Mark> = stanzas.iter().take(doubtful).filter_map(mark).collect();
        let arrived = match self.in_archive(sought).await {
            Ok(arrived) => arrived,
            Err(error) => {
                tracing::info!(
                    account = %self.name, %error,
                    "the archive does not say whether messages of the lost stream have arrived; they are sent again"
                );
                HashSet::new()
            }
        };
        stanzas.retain(|stanza| mark(stanza).is_none_or(|mark| !arrived.contains(&mark)));
        if !arrived.is_empty() {
            tracing::info!(
                account = %self.name, messages = arrived.len(),
                "messages that the lost stream took with it have arrived, and are not sent again"
            );
        }
        // An account that ends takes them with it.
        let _ = self.order(Order::SendAgain(stanzas)).await;
    }

    /// Which of these the account has said, by its own archive.
    async fn in_archive(&self, mut sought: HashSet<Mark>) -> Result<HashSet<Mark>, CallError> {
        let newest = ArchiveQuery { cursor: Cursor::Before(String::new()), ..ArchiveQuery::default() };
        let (mut pager, mut found) = (Pager::new(newest, PAGE, Some(MOST)), HashSet::new());
        while !sought.is_empty()
            && let Some(next) = pager.next_page()
        {
            let page = self.ask(|answer| Command::QueryArchive { query: Box::new(next), answer }).await?;
            pager.took(&page)?;
            let own = page.messages.into_iter().map(|archived| archived.message).filter(|message| message.own);
            for message in own {
                let Some(id) = message.id else { continue };
                found.extend(sought.take(&(message.to.to_bare(), id)));
            }
        }
        Ok(found)
    }
}

/// By what the own archive would show it; none: it is not kept there, as what is said in rooms.
fn mark(stanza: &RawStanza) -> Option<Mark> {
    let id = stanza.id().filter(|id| !id.is_empty() && stanza.is_said_to_a_person())?;
    Some((stanza.to()?.to_bare(), id.to_owned()))
}
