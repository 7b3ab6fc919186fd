//! Reads an account's archive (XEP-0313) through a log-in that serves only this purpose.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::time::timeout;
use tokio_xmpp::Stanza;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::minidom::Element;
use xmpp_parsers::ns;

use crate::client::Client;
use crate::connector::Connector;
use crate::server::Account;

/// The number of messages to ask for at once; servers may return fewer.
const PAGE: usize = 200;
/// The most pages to ask for.
const MOST_PAGES: usize = 2_000;
/// The timeout for reading the whole archive.
const LIMIT: Duration = Duration::from_mins(2);

/// Returns the ids of all messages in the archive, as their authors set them.
pub async fn ids(connector: &Connector, account: &Account) -> Result<BTreeSet<String>> {
    // Boxed, since the future of a log-in is large and the callers' futures are moved.
    timeout(LIMIT, Box::pin(ids_unbounded(connector, account)))
        .await
        .with_context(|| format!("it takes more than {LIMIT:?}"))
        .flatten()
        .with_context(|| format!("cannot read the archive of {} to its end", account.jid))
}

async fn ids_unbounded(connector: &Connector, account: &Account) -> Result<BTreeSet<String>> {
    // No presence is sent, so that messages to the account do not arrive here.
    let mut client = Client::login(connector, account, "archive").await?;
    let mut ids = BTreeSet::new();
    let mut after: Option<String> = None;
    for _ in 0..MOST_PAGES {
        let request = Iq::Set { from: None, to: None, id: String::new(), payload: query(after) };
        let fin = client.ask(request, LIMIT).await?.context("a page without an end")?;
        ids.extend(client.received().iter().filter_map(archived_id).map(str::to_owned));
        client.forget();
        after = next(&fin);
        if after.is_none() {
            return Ok(ids);
        }
    }
    bail!("it has more than {MOST_PAGES} pages")
}

/// Builds the query for a page (XEP-0313, section 4.1; XEP-0059).
fn query(after: Option<String>) -> Element {
    let part = |name: &'static str, value: String| Element::builder(name, ns::RSM).append(value).build();
    let set = Element::builder("set", ns::RSM)
        .append(part("max", PAGE.to_string()))
        .append_all(after.map(|id| part("after", id)))
        .build();
    Element::builder("query", ns::MAM).append(set).build()
}

/// Returns the id that the author set on a message from the archive.
fn archived_id(stanza: &Stanza) -> Option<&str> {
    let Stanza::Message(message) = stanza else { return None };
    let result = message.payloads.iter().find(|payload| payload.is("result", ns::MAM))?;
    result.get_child("forwarded", ns::FORWARD)?.get_child("message", ns::DEFAULT_NS)?.attr("id")
}

/// Returns the id after which the next page begins, or `None` after the last page.
fn next(fin: &Element) -> Option<String> {
    if matches!(fin.attr("complete"), Some("true" | "1")) {
        return None;
    }
    let last = fin.get_child("set", ns::RSM)?.get_child("last", ns::RSM)?.text();
    (!last.is_empty()).then_some(last)
}

#[cfg(test)]
mod tests {
    use xmpp_parsers::message::Message;

    use super::*;
    use crate::ejabberd::Ejabberd;
    use crate::server::Software;

    const SOON: Duration = Duration::from_secs(30);
    /// More messages than Prosody returns at once.
    const MANY: usize = 120;

    #[tokio::test]
    async fn an_archive_is_read_to_its_end_on_prosody() {
        is_read(Software::Prosody).await;
    }

    /// Runs only where ejabberd is installed; `cargo xtask test` and `cargo xtask api` install it.
    #[tokio::test]
    async fn an_archive_is_read_to_its_end_on_ejabberd() {
        if Ejabberd::is_installed() {
            is_read(Software::Ejabberd).await;
        }
    }

    async fn is_read(software: Software) {
        let server = software.start().await.unwrap();
        let connector = server.connector().unwrap();
        let (bot, juliet) = (server.fresh_account("bot").unwrap(), server.fresh_account("juliet").unwrap());
        let mut at_bot = Client::login(&connector, &bot, "here").await.unwrap();
        at_bot.available().await.unwrap();
        at_bot.catch_up(SOON).await.unwrap();
        assert_eq!(ids(&connector, &bot).await.unwrap(), BTreeSet::new());
        let mut at_juliet = Client::login(&connector, &juliet, "balcony").await.unwrap();
        let mut said = BTreeSet::new();
        for number in 0..MANY {
            said.insert(at_juliet.chat(bot.jid.clone(), &format!("message {number}")).await.unwrap());
        }
        for number in 0..MANY {
            at_bot.wait_body(&juliet.jid, &format!("message {number}"), SOON).await.unwrap();
        }
        assert_eq!(ids(&connector, &bot).await.unwrap(), said);
    }

    #[test]
    fn a_page_says_what_it_has_and_whether_another_follows() {
        let result = "<message xmlns='jabber:client' from='bot@localhost'><result xmlns='urn:xmpp:mam:2' id='stored'>\
                      <forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' id='given'/></forwarded>\
                      </result></message>";
        let result = Message::try_from(result.parse::<Element>().unwrap()).unwrap();
        assert_eq!(archived_id(&Stanza::Message(result)), Some("given"));
        let said = "<message xmlns='jabber:client' id='said'><body>now</body></message>";
        let said = Message::try_from(said.parse::<Element>().unwrap()).unwrap();
        assert_eq!(archived_id(&Stanza::Message(said)), None);
        let fin = |complete: &str, set: &str| {
            let rsm = ns::RSM;
            let fin = format!("<fin xmlns='urn:xmpp:mam:2' {complete}><set xmlns='{rsm}'>{set}</set></fin>");
            next(&fin.parse().unwrap())
        };
        assert_eq!(fin("", "<first>1</first><last>9</last>").as_deref(), Some("9"));
        assert_eq!(fin("complete='true'", "<first>1</first><last>9</last>"), None);
        assert_eq!(fin("", "<count>0</count>"), None);
    }
}
