//! A request: its method, its path and its query.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::str::FromStr;

use hyper::header::{HOST, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Uri};
use jid::BareJid;
use parlor_base::id::PluginId;
use parlor_config::AccountName;
use parlor_session::Secret;

use super::refusal::Refusal;

/// The header with the session in the browser that a request is made for: its name, and after a space the JID to which its
/// link was sent, escaped as a value is, or the accounts that it is limited to, as [`held_to`] writes them.
pub(super) const BY_HEADER: &str = "parlor-by";
/// The name of what stands for a session where an owner in a chat asks other nodes. No session may have it.
const CHAT: &str = "@chat";
/// The longest name of a session, in bytes.
const LONGEST_NAME: usize = 32;
/// The most accounts that a session can be limited to by name.
pub const MOST_ACCOUNTS: usize = 32;

/// A session in the browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Session {
    /// Its name.
    pub(super) name: String,
    /// The owner to whom its link was sent. None: a command printed it.
    pub(super) jid: Option<BareJid>,
    /// The accounts that it is limited to, each with its address: another one may get the name later. None: all, or those of the owner
    /// to whom its link was sent.
    pub(super) accounts: Option<BTreeMap<AccountName, BareJid>>,
}

impl Session {
    /// Returns the owner who asks in a chat with an account of another node; none if it is a session in the browser.
    pub(super) fn in_chat(&self) -> Option<&BareJid> {
        self.jid.as_ref().filter(|_| self.name == CHAT)
    }
}

/// The way of an owner in a chat to other nodes. The control socket takes none.
#[cfg(feature = "cluster")]
impl Session {
    /// Returns what stands for an owner who asks in a chat.
    pub(super) fn of_chat(owner: BareJid) -> Self {
        Self { name: CHAT.to_owned(), jid: Some(owner), accounts: None }
    }

    /// Reads what another node has passed on; none if it is a session in the browser.
    pub(super) fn read_chat(by: &str) -> Option<Self> {
        let (name, owner) = by.split_once(' ')?;
        Some(Self::of_chat(person(owner).filter(|_| name == CHAT)?))
    }
}

/// A request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// The method; `GET` for a `HEAD` request, whose response hyper cuts after its head.
    pub(super) method: Method,
    /// The path, split at its slashes.
    pub(super) path: Vec<String>,
    /// The query parameters.
    pub(super) query: BTreeMap<String, String>,
    /// The `Host` header.
    pub(super) host: Option<String>,
    /// The body. The only requests with one that matters have a secret in it.
    pub(super) body: Secret,
    /// The session in the browser that it is made for, or the owner in a chat.
    pub(super) by: Option<Session>,
    /// The node of the cluster that passed it on, escaped. None: it came by the control socket of this host.
    pub(super) passed_by: Option<String>,
}

impl Request {
    /// Takes a request apart, without its body. The path and parameter names allow no escapes; values may hold any character, escaped.
    pub(super) fn of(head: &Parts) -> Result<Self, Refusal> {
        let (path, query) = target(&head.uri).ok_or(Refusal::Target)?;
        let method = if head.method == Method::HEAD { Method::GET } else { head.method.clone() };
        let host = head.headers.get(HOST).and_then(|host| host.to_str().ok()).map(str::to_owned);
        let by = head.headers.get(BY_HEADER).map(session).transpose()?;
        Ok(Self { method, path, query, host, body: Secret::new(Vec::new()), by, passed_by: None })
    }

    /// Returns the value of a query parameter, unless it is empty.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Returns how many lines or entries it asks for, or else the usual number.
    pub(super) fn lines<T: FromStr>(&self, usual: T) -> Result<T, Refusal> {
        let most = self.value("lines").map_or(Ok(usual), str::parse);
        most.map_err(|_| Refusal::Value("`lines` is a whole number".to_owned()))
    }
}

/// The parts of a request that another node needs to carry it out.
#[cfg(feature = "cluster")]
impl Request {
    /// Returns the target that it was asked for with.
    pub(super) fn target(&self) -> String {
        let pair = |(name, value): (&String, &String)| format!("{name}={}", escaped(value));
        let query: Vec<_> = self.query.iter().map(pair).collect();
        let apart = if query.is_empty() { "" } else { "?" };
        format!("/{}{apart}{}", self.path.join("/"), query.join("&"))
    }

    /// Returns the value of its header [`BY_HEADER`].
    pub(super) fn by_header(&self) -> Option<String> {
        let Session { name, jid, accounts } = self.by.as_ref()?;
        let accounts = accounts.as_ref().map(|all| all.iter().map(|(name, jid)| (name.as_str(), jid.as_str())));
        Some(by_value(name, jid.as_ref().map(|jid| jid.as_str()), accounts))
    }
}

fn target(uri: &Uri) -> Option<(Vec<String>, BTreeMap<String, String>)> {
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte));
    // A name of a server is for proxies.
    if uri.authority().is_some() || !plain(uri.path()) {
        return None;
    }
    let pairs = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let query = pairs.map(|(name, value)| Some((name.to_owned(), unescaped(value)?)).filter(|_| plain(name)));
    let path = uri.path().split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
    Some((path, query.collect::<Option<_>>()?))
}

/// Reads a session. The audit shows its name, so it may have only characters that imitate nothing else there.
fn session(value: &HeaderValue) -> Result<Session, Refusal> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let text = value.to_str().unwrap_or_default();
    let (name, whose) = text.split_once(' ').map_or((text, None), |(name, whose)| (name, Some(whose)));
    let is_name = (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(is_plain);
    let read = match whose {
        None => Some((None, None)),
        // An escaped address has no =, and each account has one behind its name.
        Some(all) if all.contains('=') => accounts(all).map(|accounts| (None, Some(accounts))),
        Some(jid) => person(jid).map(|jid| (Some(jid), None)),
    };
    let (header, most) = (BY_HEADER, LONGEST_NAME);
    let wrong = || {
        let says = format!(
            "`{header}` is 1 to {most} letters (a to z), digits, -, _ and ., and then perhaps a space and a JID, or up to {MOST_ACCOUNTS} \
             accounts as NAME=JID with commas between them"
        );
        Refusal::Value(says)
    };
    let (jid, accounts) = read.filter(|_| is_name).ok_or_else(wrong)?;
    Ok(Session { name: name.to_owned(), jid, accounts })
}

/// Reads the JID of a person, which has no space and no colon before its @.
fn person(jid: &str) -> Option<BareJid> {
    BareJid::new(&unescaped(jid)?).ok().filter(|jid| jid.node().is_some())
}

/// Reads accounts, of which there is at least one.
fn accounts(all: &str) -> Option<BTreeMap<AccountName, BareJid>> {
    let one = |text: &str| {
        let (name, jid) = text.split_once('=')?;
        Some((name.parse::<AccountName>().ok()?, BareJid::new(&unescaped(jid)?).ok()?))
    };
    let is_short = all.split(',').count() <= MOST_ACCOUNTS;
    Some(all).filter(|_| is_short)?.split(',').map(one).collect()
}

/// Writes the value of [`BY_HEADER`] of a session with this name.
pub(super) fn by_value<'a>(
    name: &str,
    jid: Option<&str>,
    accounts: Option<impl Iterator<Item = (&'a str, &'a str)>>,
) -> String {
    match (jid, accounts) {
        (Some(jid), _) => format!("{name} {}", escaped(jid)),
        (None, Some(accounts)) => format!("{name} {}", held_to(accounts)),
        (None, None) => name.to_owned(),
    }
}

/// Writes accounts with their addresses, as [`BY_HEADER`] has them. Without any, it is a value that is refused.
fn held_to<'a>(accounts: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    // A comma in an address is not one between two accounts.
    let one = |(name, jid): (&str, &str)| format!("{name}={}", escaped(jid).replace(',', "%2C"));
    let all = accounts.map(one).collect::<Vec<_>>().join(",");
    // A space at the end of a header is cut off on its way, and without accounts the session would be one of the whole host.
    if all.is_empty() { "=".to_owned() } else { all }
}

/// Parses a plugin's id.
pub(super) fn plugin(id: &str) -> Result<PluginId, Refusal> {
    id.parse().map_err(|error| Refusal::Value(format!("{error}")))
}

/// Characters that need no escape in a value (RFC 3986, section 3.4), except the separators of values.
const UNESCAPED: &[u8] = b"-._~/@:*,";

/// Percent-encodes a value for the query of a target.
pub fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || UNESCAPED.contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Writing into a String cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// Decodes a value; none if it holds an unescaped character that needs an escape, or is not UTF-8.
pub(super) fn unescaped(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            byte if byte.is_ascii_alphanumeric() || UNESCAPED.contains(&byte) => byte,
            _ => return None,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(method: &str, target: &str) -> Result<Request, Refusal> {
        let head = hyper::Request::builder().method(method).uri(target).header(HOST, "x");
        Request::of(&head.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn a_request_is_taken_apart() {
        let request = of("GET", "/v1/logs?plugin=echo&follow").unwrap();
        assert_eq!((&request.method, request.host.as_deref()), (&Method::GET, Some("x")));
        assert_eq!(request.path, ["v1", "logs"]);
        assert_eq!(request.query, BTreeMap::from([("plugin".into(), "echo".into()), ("follow".into(), String::new())]));
        assert_eq!((request.value("plugin"), request.value("follow")), (Some("echo"), None));
        assert_eq!(of("HEAD", "/v1/status").unwrap().method, Method::GET);
    }

    #[cfg(feature = "cluster")]
    #[test]
    fn a_request_that_is_passed_on_is_the_same_there() {
        let targets =
            ["/v1/status", "/v1/accounts/main/keys?jid=a@b", "/v1/say?account=main&text=a%26b%20%C3%A4&to=a@b"];
        for target in targets {
            for by in
                [None, Some("ann"), Some("ann juli%C3%A9t@example.org"), Some("ann main=a%2Cb@example.org,second=c@d")]
            {
                let mut head = hyper::Request::builder().method("POST").uri(target);
                if let Some(by) = by {
                    head = head.header(BY_HEADER, by);
                }
                let request = Request::of(&head.body(()).unwrap().into_parts().0).unwrap();
                assert_eq!((request.target().as_str(), request.by_header().as_deref()), (target, by));
            }
        }
    }

    #[test]
    fn a_session_is_limited_to_accounts_or_belongs_to_a_person() {
        let of = |by: &str| {
            let head = hyper::Request::builder().method("GET").uri("/v1/status").header(BY_HEADER, by);
            Request::of(&head.body(()).unwrap().into_parts().0).map(|request| request.by.unwrap())
        };
        let accounts = |all: &[(&str, &str)]| -> Option<BTreeMap<AccountName, BareJid>> {
            Some(all.iter().map(|(name, jid)| (name.parse().unwrap(), jid.parse().unwrap())).collect())
        };
        let session = |jid: Option<&str>, accounts| Session {
            name: "ann".to_owned(),
            jid: jid.map(|jid| jid.parse().unwrap()),
            accounts,
        };
        assert_eq!(of("ann").unwrap(), session(None, None));
        assert_eq!(of("ann ann@example.org").unwrap(), session(Some("ann@example.org"), None));
        let both = held_to([("main", "a,b@c"), ("second", "é=@c")].into_iter());
        assert_eq!(both, "main=a%2Cb@c,second=%C3%A9%3D@c");
        assert_eq!(
            of(&format!("ann {both}")).unwrap(),
            session(None, accounts(&[("main", "a,b@c"), ("second", "é=@c")]))
        );
        let all: Vec<_> = (0..=MOST_ACCOUNTS).map(|number| format!("a{number}=a@b")).collect();
        assert_eq!(of(&format!("ann {}", all[1..].join(","))).unwrap().accounts.unwrap().len(), MOST_ACCOUNTS);
        // Nothing that is wrong becomes a session of the whole host.
        let nobody = by_value("ann", None, Some(std::iter::empty()));
        assert!(matches!(of(nobody.trim_end()), Err(Refusal::Value(_))), "{nobody}");
        let many = format!("ann {}", all.join(","));
        for wrong in [
            "@chat ann@example.org",
            "ann ",
            "ann ,",
            "ann =",
            "ann main",
            "ann main=",
            "ann =a@b",
            "ann main=a@b,",
            "ann main=a@b,second",
            "ann Main=a@b",
            "ann main=a@b/c",
            "ann main=a@b second=a@b",
            "ann main=a@b=c",
            "ann @",
            "ann main,a@b c",
            " main=a@b",
            &many,
        ] {
            assert!(matches!(of(wrong), Err(Refusal::Value(_))), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn a_value_that_was_escaped_is_read_again(value in "\\PC{0,40}|[ -~]{0,40}") {
            prop_assert_eq!(unescaped(&escaped(&value)), Some(value));
        }
    }

    #[test]
    fn a_value_may_be_an_address() {
        let request = of("GET", "/x?about=juliet@localhost/balcony%20%26%20so").unwrap();
        assert_eq!(request.query["about"], "juliet@localhost/balcony & so");
        for wrong in ["/x?a=%2", "/x?a=%zz", "/x?a=%ff", "/x?a={", "/x?%61=b", "/%2e%2e/x", "*", "http://x/v1/status"] {
            assert!(matches!(of("GET", wrong), Err(Refusal::Target)), "{wrong}");
        }
    }
}
