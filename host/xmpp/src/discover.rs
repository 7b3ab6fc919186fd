//! Finds the web addresses that a domain publishes for XMPP (XEP-0156): over TLS, from the domain's own server.

use minidom::Element;
use parlor_config::url::Url;
use parlor_config::{LinkSettings, WebUrl};
use parlor_https as https;
use parlor_stanza::sieve::Sieve;
use serde::Deserialize;

use super::error::ConnectError;

/// The maximum length of the document, in bytes.
const MOST: usize = 64 << 10;
/// The maximum number of addresses of each kind.
const MOST_PLACES: usize = 2;
const WEBSOCKET: &str = "urn:xmpp:alt-connections:websocket";
const BOSH: &str = "urn:xmpp:alt-connections:xbosh";
const XRD: &str = "http://docs.oasis-open.org/ns/xri/xrd-1.0";

/// The web addresses of a domain. Addresses without TLS are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Places {
    pub(super) websocket: Vec<WebUrl>,
    pub(super) bosh: Vec<Url>,
}

/// A parser of the document; it returns `None` if the document is invalid.
type Reader = fn(&[u8]) -> Option<Places>;

/// Asks the domain, or the server that is configured for it.
pub(super) async fn discover(settings: &LinkSettings, domain: &str) -> Result<Places, ConnectError> {
    let unsaid = |cause: String| ConnectError::NotDiscovered { domain: domain.to_owned(), cause };
    let server = settings.server.as_ref().map_or_else(|| domain.to_owned(), ToString::to_string);
    let at = |name: &str| format!("https://{server}/.well-known/{name}").parse::<Url>();
    let ca_file = settings.ca_file.as_deref();
    let mut last = String::new();
    let readers: [(&str, Reader); 2] = [("host-meta.json", from_json), ("host-meta", from_xml)];
    for (name, read) in readers {
        let url = at(name).map_err(|error| unsaid(error.to_string()))?;
        match https::find(&url, ca_file, MOST).await {
            Ok(bytes) => match read(&bytes) {
                Some(places) if places != Places::default() => return Ok(places),
                Some(_) => last = format!("{name} names no place within TLS"),
                None => last = format!("{name} cannot be read"),
            },
            Err(error) => last = error.to_string(),
        }
    }
    Err(unsaid(last))
}

impl Places {
    fn add(&mut self, rel: &str, href: &str) {
        match rel {
            WEBSOCKET if self.websocket.len() < MOST_PLACES => self.websocket.extend(href.parse::<WebUrl>()),
            BOSH if self.bosh.len() < MOST_PLACES => self.bosh.extend(href.parse::<Url>()),
            _ => {}
        }
    }
}

fn from_json(bytes: &[u8]) -> Option<Places> {
    #[derive(Deserialize)]
    struct Written {
        links: Vec<Link>,
    }
    #[derive(Deserialize)]
    struct Link {
        #[serde(default)]
        rel: String,
        #[serde(default)]
        href: String,
    }
    let written: Written = serde_json::from_slice(bytes).ok()?;
    let mut places = Places::default();
    for Link { rel, href } in written.links {
        places.add(&rel, &href);
    }
    Some(places)
}

fn from_xml(bytes: &[u8]) -> Option<Places> {
    let text = without_comments(std::str::from_utf8(bytes).ok()?)?;
    // The document must meet the limits for stanzas before it is parsed.
    Sieve::default().push(format!("<stream>{text}").as_bytes(), &mut Vec::new()).ok()?;
    let root: Element = text.parse().ok()?;
    let mut places = Places::default();
    for link in root.children().filter(|child| child.is("Link", XRD)) {
        places.add(link.attr("rel").unwrap_or_default(), link.attr("href").unwrap_or_default());
    }
    root.is("XRD", XRD).then_some(places)
}

/// Removes comments; returns `None` if one of them does not end.
fn without_comments(text: &str) -> Option<String> {
    let mut pieces = text.split("<!--");
    let mut rest = pieces.next()?.to_owned();
    for piece in pieces {
        rest.push_str(piece.split_once("-->")?.1);
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_within_tls_are_read_from_both_forms_and_others_are_left_out() {
        let json = r#"{"subject": "x", "links": [
            {"rel": "urn:xmpp:alt-connections:websocket", "href": "ws://example.org/ws"},
            {"rel": "urn:xmpp:alt-connections:websocket", "href": "wss://example.org/ws", "ips": ["::1"]},
            {"rel": "urn:xmpp:alt-connections:xbosh", "href": "http://example.org/bosh"},
            {"rel": "urn:xmpp:alt-connections:xbosh", "href": "https://example.org/bosh"},
            {"rel": "lrdd", "template": "https://example.org/{uri}"}]}"#;
        let both = Some(Places {
            websocket: vec!["wss://example.org/ws".parse().unwrap()],
            bosh: vec!["https://example.org/bosh".parse().unwrap()],
        });
        assert_eq!(from_json(json.as_bytes()), both);
        let xml = "<?xml version='1.0' encoding='utf-8'?><!-- <XRD/> --><XRD xmlns='http://docs.oasis-open.org/ns/xri/xrd-1.0'>
            <Link rel='urn:xmpp:alt-connections:xbosh' href='https://example.org/bosh'/><Property type='x'/>
            <Link rel='urn:xmpp:alt-connections:websocket' href='wss://example.org/ws'/></XRD>\n";
        assert_eq!(from_xml(xml.as_bytes()), both);
        assert_eq!(from_json(br#"{"links": []}"#), Some(Places::default()));
    }

    #[test]
    fn what_is_hostile_or_something_else_says_nothing() {
        for text in ["", "{}", "[]", "{\"links\": [1]}", "<html/>"] {
            assert_eq!(from_json(text.as_bytes()), None, "{text}");
        }
        let deep = format!("<XRD xmlns='{XRD}'>{}", "<a>".repeat(10_000));
        let bomb = "<!DOCTYPE x [<!ENTITY a 'b'>]><XRD/>";
        for text in ["", "<html/>", "<XRD/>", "<XRD", "<!-- x", deep.as_str(), bomb] {
            assert_eq!(from_xml(text.as_bytes()), None, "{text:.40}");
        }
        let link = format!("{{\"rel\": \"{BOSH}\", \"href\": \"https://example.org/\"}}");
        let many = format!("{{\"links\": [{}]}}", vec![link; 900].join(","));
        assert_eq!(from_json(many.as_bytes()).map(|places| places.bosh.len()), Some(MOST_PLACES));
    }
}
