//! Writes and reads the element `<body/>` of BOSH (XEP-0124, XEP-0206). Pure.
//!
//! The content of an answer is not parsed here; only where it begins and ends matters, unless it uses prefixes of the body. It is
//! passed on to the intake, which enforces the limits.

use std::borrow::Cow;
use std::ops::Range;
use std::time::Duration;

use parlor_base::escape::printable;
use parlor_stanza::sieve::{MAX_BYTES, Sieve};
use xmpp_parsers::ns;

/// The namespace of `<body/>`.
const HTTPBIND: &str = "http://jabber.org/protocol/httpbind";
/// The namespace of attributes of `<body/>` (XEP-0206).
const XBOSH: &str = "urn:xmpp:xbosh";
/// The longest start tag, in bytes.
const LONGEST_HEAD: usize = 16 << 10;
/// The most prefixes that are declared for elements. The whole answer is searched for each.
const MOST_PREFIXES: usize = 16;
/// How much of an answer is read before its length is looked at again, in bytes.
const PART: usize = 64 << 10;
/// The longest id of a session, in bytes.
const LONGEST_SID: usize = 1 << 10;
/// The longest address that a server may send the account to, in bytes.
const LONGEST_PLACE: usize = 1 << 10;
/// How long the server shall hold a request back, in seconds. No proxy may close the connection as idle before; proxies
/// usually do after 50 or 60 s.
const WAIT: u64 = 45;
/// How long requests are held back in a session that another program began, in seconds; most programs ask for this
/// value.
const USUAL_WAIT: u64 = 60;
/// The number of requests that the server shall hold back.
const HOLD: u64 = 1;
/// The upper bound for the times that a server announces, in seconds.
const LONGEST: u64 = 300;

/// The content of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Saying {
    /// Elements, or nothing: an empty request lets the server send something.
    Elements(String),
    /// The restart of the stream (XEP-0206, section 5).
    Restart,
    /// The end of the session (XEP-0124, section 13).
    Terminate,
}

/// Returns the request that begins a session with the server of this domain.
pub(super) fn creation(rid: u64, domain: &str) -> String {
    let domain = escaped(domain);
    format!(
        "<body xmlns='{HTTPBIND}' xmlns:xmpp='urn:xmpp:xbosh' rid='{rid}' to='{domain}' ver='1.11' wait='{WAIT}' hold='{HOLD}' \
         content='text/xml; charset=utf-8' xml:lang='en' xmpp:version='1.0'/>"
    )
}

/// Returns a request within a session.
pub(super) fn request(sid: &str, rid: u64, domain: &str, saying: &Saying) -> String {
    let (sid, domain) = (escaped(sid), escaped(domain));
    let head = format!("<body xmlns='{HTTPBIND}' sid='{sid}' rid='{rid}'");
    match saying {
        Saying::Elements(elements) if elements.is_empty() => format!("{head}/>"),
        Saying::Elements(elements) => format!("{head}>{elements}</body>"),
        Saying::Restart => {
            format!("{head} xmlns:xmpp='urn:xmpp:xbosh' to='{domain}' xml:lang='en' xmpp:restart='true'/>")
        }
        Saying::Terminate => format!("{head} type='terminate'/>"),
    }
}

/// Names and values.
type Attributes = Vec<(String, String)>;

/// The content of one answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    attributes: Attributes,
    /// The stream elements in it, unparsed.
    pub(super) payload: String,
}

/// The reason that a text is not an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotBosh {
    /// The text is a web page.
    Page,
    /// The text has another form.
    Other,
}

/// The terms of a session (XEP-0124, section 7.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Terms {
    /// How long the server may hold a request back.
    pub(super) wait: Duration,
    /// The number of requests that the server holds back; with 0 it must be polled.
    pub(super) hold: usize,
    /// The maximum number of unanswered requests.
    pub(super) requests: usize,
    /// How long the session lives without a request.
    pub(super) inactivity: Duration,
    /// How long to wait before the next request if nothing was sent.
    pub(super) polling: Duration,
    /// Whether the later of two repeated requests is made first. Prosody needs that, but ejabberd 23.01 loses a session
    /// over it. Only ejabberd announces how long a session may pause (`maxpause`).
    pub(super) is_late_first: bool,
}

impl Default for Terms {
    /// Returns the terms of a session that another program began, about which nothing was announced.
    fn default() -> Self {
        let seconds = Duration::from_secs;
        let (inactivity, polling) = (seconds(30), seconds(5));
        Self { wait: seconds(USUAL_WAIT), hold: 1, requests: 2, inactivity, polling, is_late_first: false }
    }
}

impl Answer {
    /// Splits an answer into its attributes and its content. The content keeps the memory of the whole, which may be
    /// long.
    pub(super) fn read(whole: impl Into<String>) -> Result<Self, NotBosh> {
        let mut whole = whole.into();
        let (attributes, inside) = split(&whole)?;
        whole.truncate(inside.end);
        whole.drain(..inside.start);
        Ok(Self { payload: whole, attributes })
    }

    /// Returns the stream elements in it for a reader that does not see the body. They declare the prefixes of the body that they use,
    /// in the same way as those of a stream's header (RFC 6120, section 4.8). If that made them many times longer, they stay as they are.
    pub(super) fn elements(&self) -> Cow<'_, str> {
        let mut needed = String::new();
        let declared =
            self.attributes.iter().filter_map(|(name, namespace)| Some((name.strip_prefix("xmlns:")?, namespace)));
        for (prefix, namespace) in declared.take(MOST_PREFIXES) {
            let is_known =
                matches!(prefix, "xml" | "xmlns" | "stream") || [HTTPBIND, XBOSH].contains(&namespace.as_str());
            if !is_known && self.payload.contains(&format!("{prefix}:")) {
                needed.extend([" xmlns:", prefix, "='", &escaped(namespace), "'"]);
            }
        }
        if needed.is_empty() {
            return Cow::Borrowed(&self.payload);
        }
        let header = format!("<stream:stream xmlns='{}' xmlns:stream='{}'{needed}>", ns::JABBER_CLIENT, ns::STREAM);
        let (mut sieve, mut passed) = (Sieve::default(), Vec::new());
        let mut is_read = sieve.push(header.as_bytes(), &mut passed).is_ok();
        passed.clear();
        let most = MAX_BYTES.max(2 * self.payload.len());
        for part in self.payload.as_bytes().chunks(PART) {
            is_read = is_read && sieve.push(part, &mut passed).is_ok() && passed.len() <= most;
            if !is_read {
                break;
            }
        }
        match String::from_utf8(passed) {
            Ok(elements) if is_read && sieve.is_between_elements() => Cow::Owned(elements),
            // The intake says what is wrong with them.
            Ok(_) | Err(_) => Cow::Borrowed(&self.payload),
        }
    }

    /// Returns the meaning of an HTTP status within a session (XEP-0124, section 17.1); `None` if it has none.
    pub(super) fn of_status(status: u16) -> Option<Self> {
        let condition = match status {
            400 => "bad-request",
            403 => "policy-violation",
            404 => "item-not-found",
            _ => return None,
        };
        let attributes = [("type", "terminate"), ("condition", condition)];
        let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Some(Self { attributes, payload: String::new() })
    }

    fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.attribute(name)?.trim().parse().ok()
    }

    /// Returns the id of the session that begins.
    pub(super) fn sid(&self) -> Option<&str> {
        self.attribute("sid").filter(|sid| !sid.is_empty() && sid.len() <= LONGEST_SID)
    }

    /// Returns the terms of the session that begins, with missing or impossible values corrected.
    pub(super) fn terms(&self) -> Terms {
        let seconds = |name: &str, otherwise: u64, most: u64| {
            Duration::from_secs(self.number(name).unwrap_or(otherwise).min(most))
        };
        let hold = self.number("hold").map_or(1, |hold| usize::from(hold > 0));
        let requests = self.number("requests").map_or(hold + 1, |most| if most > 1 { 2 } else { 1 });
        let Terms { inactivity, polling, .. } = Terms::default();
        Terms {
            wait: seconds("wait", WAIT, WAIT),
            hold,
            requests,
            inactivity: seconds("inactivity", inactivity.as_secs(), LONGEST),
            polling: seconds("polling", polling.as_secs(), WAIT),
            is_late_first: self.attribute("maxpause").is_none(),
        }
    }

    /// Returns whether the session is over.
    pub(super) fn terminates(&self) -> bool {
        self.attribute("type") == Some("terminate")
    }

    /// Returns whether this is a recoverable error, after which the same request is repeated (XEP-0124, section 17.3).
    pub(super) fn is_passing(&self) -> bool {
        self.attribute("type") == Some("error")
    }

    /// Returns the reason that the session is over (XEP-0124, section 17.2); `None` if there is none.
    pub(super) fn condition(&self) -> Option<&str> {
        self.attribute("condition").filter(|_| self.terminates())
    }

    /// Returns what to change if the server wants to be asked at another address (XEP-0124, section 17.2).
    pub(super) fn moved(&self) -> Option<String> {
        self.condition().filter(|condition| *condition == "see-other-uri")?;
        let (_, rest) = self.payload.split_once("<uri").unwrap_or_default();
        let (_, rest) = rest.split_once('>').unwrap_or_default();
        let place = rest.split_once("</uri>").map(|(place, _)| unescaped(place.trim()));
        Some(match place.filter(|place| !place.is_empty() && place.len() <= LONGEST_PLACE) {
            Some(place) => format!("it wants to be asked at {}, which bosh_service_url may name", printable(&place)),
            None => "it wants to be asked at another bosh_service_url".to_owned(),
        })
    }

    /// Returns the end of the stream for a session that is over: an error, if there is one, and the footer.
    pub(super) fn farewell(&self) -> String {
        let error = match (self.condition(), self.moved()) {
            // The error is in the payload.
            (None | Some("remote-stream-error"), _) => String::new(),
            (Some(_), Some(moved)) => written_error("undefined-condition", &moved),
            (Some(condition), None) => stream_error(condition),
        };
        format!("{error}</stream:stream>")
    }
}

/// Returns the attributes of the answer that is this text, and where its content is.
fn split(whole: &str) -> Result<(Attributes, Range<usize>), NotBosh> {
    let mut text = whole.trim();
    if let Some(rest) = text.strip_prefix("<?xml") {
        text = rest.split_once("?>").ok_or(NotBosh::Other)?.1.trim_start();
    }
    let looks_like_page = || {
        let begin: String = text.chars().take(16).collect::<String>().to_ascii_lowercase();
        if begin.starts_with("<!doctype") || begin.starts_with("<html") { NotBosh::Page } else { NotBosh::Other }
    };
    let Some(Head { name, attributes, length, is_empty }) = head(text) else { return Err(looks_like_page()) };
    let prefix = name.strip_suffix("body").ok_or_else(looks_like_page)?;
    let declaration = match prefix.strip_suffix(':') {
        Some(prefix) => format!("xmlns:{prefix}"),
        None => "xmlns".to_owned(),
    };
    if !attributes.iter().any(|(name, value)| *name == declaration && value == HTTPBIND) {
        return Err(NotBosh::Other);
    }
    // The text was trimmed at its end alone, and its rest still ends where it did.
    let start = whole.trim_end().len() - (text.len() - length);
    let length = if is_empty {
        0
    } else {
        let (inside, end) = text[length..].rsplit_once("</").ok_or(NotBosh::Other)?;
        if end.strip_suffix('>').map(str::trim_end) != Some(name) {
            return Err(NotBosh::Other);
        }
        inside.len()
    };
    Ok((attributes, start..start + length))
}

/// Converts a BOSH condition to a stream error (RFC 6120, section 4.9.3).
fn stream_error(condition: &str) -> String {
    let (name, text) = match condition {
        "bad-request" => ("bad-format", "the server could not read a BOSH request"),
        "host-gone" => ("host-gone", ""),
        "host-unknown" => ("host-unknown", ""),
        "improper-addressing" => ("improper-addressing", ""),
        "internal-server-error" => ("internal-server-error", ""),
        "item-not-found" => ("connection-timeout", "the server does not know the BOSH session any more"),
        "policy-violation" => ("policy-violation", ""),
        "remote-connection-failed" => ("remote-connection-failed", ""),
        "system-shutdown" => ("system-shutdown", ""),
        _ => ("undefined-condition", "the server ended the BOSH session"),
    };
    written_error(name, text)
}

/// Writes a stream error with this text, if it is not empty.
fn written_error(name: &str, text: &str) -> String {
    let namespace = ns::XMPP_STREAMS;
    let text =
        if text.is_empty() { String::new() } else { format!("<text xmlns='{namespace}'>{}</text>", escaped(text)) };
    format!("<stream:error><{name} xmlns='{namespace}'/>{text}</stream:error>")
}

/// A start tag.
struct Head<'a> {
    name: &'a str,
    attributes: Attributes,
    /// The length of the tag in bytes.
    length: usize,
    /// Whether the element is empty, without an end tag.
    is_empty: bool,
}

/// Parses the start tag at the beginning of a text.
fn head(text: &str) -> Option<Head<'_>> {
    let inside = text.strip_prefix('<')?;
    let name = &inside[..inside.find(|one: char| one.is_ascii_whitespace() || matches!(one, '>' | '/'))?];
    let mut rest = &inside[name.len()..];
    let mut attributes = Vec::new();
    loop {
        rest = rest.trim_start();
        if text.len() - rest.len() > LONGEST_HEAD {
            return None;
        }
        let is_empty = rest.starts_with("/>");
        if let Some(behind) = rest.strip_prefix("/>").or_else(|| rest.strip_prefix('>')) {
            return Some(Head { name, attributes, length: text.len() - behind.len(), is_empty });
        }
        let (attribute, value) = rest.split_once('=')?;
        let value = value.trim_start();
        let quote = value.chars().next().filter(|one| matches!(one, '"' | '\''))?;
        let (value, behind) = value[1..].split_once(quote)?;
        attributes.push((attribute.trim_end().to_owned(), unescaped(value)));
        rest = behind;
    }
}

/// Escapes a text, also as the value of an attribute.
pub(super) fn escaped(value: &str) -> String {
    value.replace('&', "&amp;").replace('<', "&lt;").replace('\'', "&apos;").replace('"', "&quot;")
}

fn unescaped(value: &str) -> String {
    let value = value.replace("&lt;", "<").replace("&gt;", ">").replace("&apos;", "'").replace("&quot;", "\"");
    value.replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(inside: &str) -> Answer {
        Answer::read(format!("<body xmlns='{HTTPBIND}' {inside}")).unwrap()
    }

    #[test]
    fn what_is_inside_of_an_answer_is_left_as_it_is() {
        let payload = "<message xmlns='jabber:client'><body>a &lt; b</body></message><presence/>";
        assert_eq!(read(&format!("sid='x'>{payload}</body>")).payload, payload);
        assert_eq!(read("/>").payload, "");
        assert_eq!(read("></body >").payload, "");
        let prefixed =
            format!("<?xml version='1.0'?>\n<b:body xmlns:b=\"{HTTPBIND}\" sid = '&amp;lt;'><iq/></b:body>\n");
        let answer = Answer::read(prefixed).unwrap();
        assert_eq!((answer.payload.as_str(), answer.sid()), ("<iq/>", Some("&lt;")));
        // The intake rejects data that breaks out of the body.
        assert_eq!(read("></body></stream:stream></body>").payload, "</body></stream:stream>");
    }

    #[test]
    fn a_prefix_of_the_body_is_declared_in_each_element_that_uses_it() {
        let two = read("xmlns:p='urn:p' xmlns:q='urn:q'><message to='a@b'><p:x/></message><presence/></body>");
        assert_eq!(two.elements(), "<message xmlns:p='urn:p' to='a@b'><p:x/></message><presence/>");
        for (declared, payload) in [
            ("p='urn:p'", "<presence/>"),
            ("xmpp='urn:xmpp:xbosh'", "<message><body>xmpp:den@muc.localhost?join</body></message>"),
            // The intake refuses these.
            ("p='urn:p'", "<message><p:x/>"),
            ("p='urn:p'", "<p:x/></body></stream:stream>"),
        ] {
            assert_eq!(read(&format!("xmlns:{declared}>{payload}</body>")).elements(), payload);
        }
    }

    /// Otherwise an answer of some megabytes, with long namespaces and many short elements, would take gigabytes.
    #[test]
    fn declarations_do_not_make_an_answer_many_times_longer() {
        let declared = ["p", "q", "r", "s"].map(|prefix| format!(" xmlns:{prefix}='{}'", "n".repeat(250))).concat();
        let message = "<message><p:x/><q:x/><r:x/><s:x/></message>";
        let few = read(&format!("{declared}>{message}</body>"));
        assert_eq!(few.elements(), message.replacen("<message", &format!("<message{declared}"), 1));
        let payload = message.repeat(12_000);
        let much = read(&format!("{declared}>{payload}</body>"));
        assert!(much.elements() == payload, "{} bytes", much.elements().len());
        let many: Vec<_> = (0..=MOST_PREFIXES).map(|number| format!("xmlns:p{number}='urn:p' ")).collect();
        let last = format!("<message><p{MOST_PREFIXES}:x/></message>");
        assert_eq!(read(&format!("{}>{last}</body>", many.concat())).elements(), last);
    }

    #[test]
    fn what_is_no_answer_is_told_from_one_and_a_page_from_the_rest() {
        for page in ["<!DOCTYPE html><html></html>", "<html lang='en'>", "\n<HTML>", "<!doctype html>"] {
            assert_eq!(Answer::read(page), Err(NotBosh::Page), "{page}");
        }
        let long = format!("<body xmlns='{HTTPBIND}' a='{}'/>", "x".repeat(LONGEST_HEAD));
        for other in
            ["", "x", "<", "<body", "<body/>", "<body xmlns='x'/>", "<body xmlns>", "<?xml", "{}", "<body a=b/>", &long]
        {
            assert_eq!(Answer::read(other), Err(NotBosh::Other), "{other}");
        }
        let open = format!("<body xmlns='{HTTPBIND}'>");
        for end in ["", "<iq/>", "</x>", "</body", "</body>x", "</stream:stream>"] {
            assert_eq!(Answer::read(format!("{open}{end}")), Err(NotBosh::Other), "{end}");
        }
    }

    #[test]
    fn terms_that_nobody_could_keep_to_are_set_right() {
        let seconds = Duration::from_secs;
        let usual = read("wait='40' requests='2' hold='1' inactivity='45' polling='7' maxpause='120'/>").terms();
        let (inactivity, polling) = (seconds(45), seconds(7));
        let expected = Terms { wait: seconds(40), hold: 1, requests: 2, inactivity, polling, is_late_first: false };
        assert_eq!(usual, expected);
        let silent = Terms { wait: seconds(45), is_late_first: true, ..Terms::default() };
        assert_eq!(read("/>").terms(), silent);
        let wild =
            read("wait='99999999' requests='0' hold='-1' inactivity='18446744073709551615' polling='1e9'/>").terms();
        assert_eq!((wild.wait, wild.requests, wild.hold), (seconds(45), 1, 1));
        assert_eq!((wild.inactivity, wild.polling), (seconds(300), seconds(5)));
        assert_eq!(read("hold='0'/>").terms().requests, 1);
    }

    #[test]
    fn a_condition_becomes_a_stream_error_and_one_that_is_there_stays_the_only_one() {
        let over = read("type='terminate' condition='policy-violation'/>");
        assert!(over.terminates() && over.farewell().contains("<policy-violation xmlns='urn:ietf:params"), "{over:?}");
        let gone = read("type='terminate' condition='item-not-found'/>").farewell();
        assert!(gone.contains("<connection-timeout") && gone.contains("<text"), "{gone}");
        assert_eq!(read("type='terminate'/>").farewell(), "</stream:stream>");
        let inside = read("type='terminate' condition='remote-stream-error'><stream:error><x/></stream:error></body>");
        assert_eq!(inside.farewell(), "</stream:stream>");
        let odd = read("type='terminate' condition='&lt;evil/>'/>").farewell();
        assert!(odd.contains("<undefined-condition") && !odd.contains("evil"), "{odd}");
        assert_eq!(read("condition='item-not-found'/>").condition(), None);
        let passing = read("type='error'/>");
        assert!(passing.is_passing() && !passing.terminates());
        let legacy = [400, 403, 404, 500].map(|status| Answer::of_status(status).map(|answer| answer.farewell()));
        assert!(legacy[1].as_ref().is_some_and(|text| text.contains("policy-violation")) && legacy[3].is_none());
    }

    /// XEP-0124, section 17.2.
    #[test]
    fn a_server_that_is_elsewhere_says_where() {
        let said =
            |inside: &str| read(&format!("type='terminate' condition='see-other-uri'>{inside}</body>")).farewell();
        let moved = said("<uri> https://b.example/bind?a&amp;b </uri>");
        assert!(moved.contains("<undefined-condition "), "{moved}");
        assert!(
            moved.contains(">it wants to be asked at https://b.example/bind?a&amp;b, which bosh_service_url may name<"),
            "{moved}"
        );
        let declared = said(&format!("<uri xmlns='{HTTPBIND}'>https://b.example/&lt;/text>\n</uri>"));
        assert!(declared.contains("https://b.example/&lt;/text>, which"), "{declared}");
        let long = format!("<uri>https://b.example/{}</uri>", "x".repeat(LONGEST_PLACE));
        for unnamed in ["", "<uri/>", "<uri></uri>", "<uri>https://b.example", "<uri", &long] {
            let moved = said(unnamed);
            assert!(moved.contains("at another bosh_service_url<") && moved.ends_with("</stream:stream>"), "{moved}");
        }
        let other = read("type='terminate' condition='host-gone'><uri>https://b.example/</uri></body>");
        assert_eq!(other.moved(), None);
    }

    #[test]
    fn what_this_end_says_cannot_break_out_of_its_place() {
        let said = request("a'b", 7, "x", &Saying::Elements("<iq/>".to_owned()));
        assert_eq!(said, format!("<body xmlns='{HTTPBIND}' sid='a&apos;b' rid='7'><iq/></body>"));
        assert!(request("s", 8, "x", &Saying::Elements(String::new())).ends_with("rid='8'/>"));
        assert!(request("s", 8, "a'b", &Saying::Restart).contains("to='a&apos;b' xml:lang='en' xmpp:restart='true'/>"));
        assert!(request("s", 9, "x", &Saying::Terminate).ends_with("type='terminate'/>"));
        for text in [creation(5, "a<b"), said] {
            assert!(text.parse::<minidom::Element>().is_ok_and(|element| element.is("body", HTTPBIND)), "{text}");
        }
    }
}
