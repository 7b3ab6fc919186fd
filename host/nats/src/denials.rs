//! The subjects that NATS does not permit the log-in. A server says so beside the request, which it leaves without an answer. A log-in
//! that it does not accept any more is tried again without end.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use async_nats::{ClientError, ConnectErrorKind, Event, ServerError};

/// How many are kept.
const KEPT: usize = 32;
/// The beginning of what a server says.
const DENIED: &str = "permissions violation for ";

/// The denials of a connection. Copies share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Denials(Arc<Mutex<Heard>>);

/// The denials since the connection was made.
#[derive(Debug, Default)]
struct Heard {
    all: Vec<(Instant, Denial)>,
    /// Why the last attempt to connect failed.
    failed: Option<String>,
}

/// Something that the log-in may not do.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Denial {
    /// Whether it is to receive messages, and not to send one.
    is_subscription: bool,
    subject: String,
}

impl Denials {
    /// Takes in what the server or the library says of the connection.
    pub(crate) fn heard(&self, event: &Event) {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Heard { all, failed } = &mut *heard;
        match event {
            // The rights may be others now.
            Event::Connected => *heard = Heard::default(),
            Event::ClientError(ClientError::Other(says)) => *failed = Some(says.clone()),
            Event::ServerError(ServerError::Other(says)) => {
                if let Some(denial) = denial(says) {
                    all.retain(|(_, one)| *one != denial);
                    if all.len() == KEPT {
                        all.remove(0);
                    }
                    all.push((Instant::now(), denial));
                }
            }
            _ => {}
        }
    }

    /// Returns the right that the log-in lacked for a request on a subject that begins with this, since this moment.
    pub(crate) fn missing(&self, begin: &str, since: Instant) -> Option<String> {
        let heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Without a right to hear answers, no request has one. The subscription may be older than the request.
        let is_cause = |(at, one): &&(Instant, Denial)| {
            if one.is_subscription {
                one.subject.starts_with("_INBOX.")
            } else {
                *at >= since && one.subject.starts_with(begin)
            }
        };
        heard.all.iter().rev().find(is_cause).map(|(_, one)| one.right())
    }

    /// Returns why the server refused the last log-in; `None` if it did not, or if none was needed.
    pub(crate) fn refused(&self) -> Option<String> {
        // The library says no more than the kind of its error.
        let kind = ConnectErrorKind::AuthorizationViolation.to_string();
        self.failed().filter(|says| *says == kind)
    }

    /// Returns why the last attempt to connect failed; `None` if there was none since the last connection.
    pub(crate) fn failed(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).failed.clone()
    }

    /// Returns the right to receive what comes on this subject, if it was denied.
    pub(crate) fn unheard(&self, subject: &str) -> Option<String> {
        let heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard.all.iter().find(|(_, one)| one.is_subscription && one.subject == subject).map(|(_, one)| one.right())
    }
}

impl Denial {
    fn right(&self) -> String {
        let does = if self.is_subscription { "subscribe to" } else { "publish to" };
        format!("{does} {:?}", self.subject)
    }
}

/// Reads what a server says, such as `Permissions Violation for Publish to "a.b"`.
fn denial(says: &str) -> Option<Denial> {
    let begin = says.get(..DENIED.len())?;
    let (kind, rest) = says[DENIED.len()..].split_once(" to ").filter(|_| begin.eq_ignore_ascii_case(DENIED))?;
    let subject: String = rest.split('"').nth(1)?.chars().take(256).collect();
    Some(Denial { is_subscription: kind.eq_ignore_ascii_case("subscription"), subject })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_right_is_missing_where_the_server_has_said_so_meanwhile() {
        let denials = Denials::default();
        let hear = |says: &str| denials.heard(&Event::ServerError(ServerError::Other(says.to_owned())));
        let began = Instant::now();
        hear("Permissions Violation for Publish to \"parlor.c.state.pulse\"");
        hear("something else");
        hear("ä");
        let right = Some("publish to \"parlor.c.state.pulse\"".to_owned());
        assert_eq!(denials.missing("parlor.c.state.pulse", began), right);
        assert_eq!(denials.missing("parlor.c.log", began), None);
        assert_eq!(denials.missing("parlor", Instant::now() + Duration::from_secs(1)), None, "that was before");
        hear("Permissions Violation for Subscription to \"parlor.c.node.7.control\" using queue \"q\"");
        assert_eq!(denials.missing("parlor.c.log", began), None, "answers come all the same");
        assert!(denials.unheard("parlor.c.node.7.control").is_some() && denials.unheard("parlor").is_none());
        hear("Permissions Violation for Subscription to \"_INBOX.7.*\"");
        let inbox = Some("subscribe to \"_INBOX.7.*\"".to_owned());
        assert_eq!(denials.missing("parlor.c.log", Instant::now() + Duration::from_secs(1)), inbox);
        denials.heard(&Event::Connected);
        assert_eq!(denials.missing("parlor", began), None);
    }

    #[test]
    fn a_log_in_is_refused_until_another_one_is_accepted_or_cannot_be_tried() {
        let denials = Denials::default();
        let fails = |kind: ConnectErrorKind| denials.heard(&Event::ClientError(ClientError::Other(kind.to_string())));
        for is_back in [true, false] {
            fails(ConnectErrorKind::Io);
            assert_eq!(denials.refused(), None, "nobody is there");
            assert_eq!(denials.failed(), Some(ConnectErrorKind::Io.to_string()));
            fails(ConnectErrorKind::AuthorizationViolation);
            assert_eq!(denials.refused().as_deref(), Some("authorization violation"));
            if is_back {
                denials.heard(&Event::Connected);
            } else {
                fails(ConnectErrorKind::TimedOut);
            }
            assert_eq!(denials.refused(), None);
            assert_eq!(denials.failed().is_none(), is_back);
        }
    }
}
