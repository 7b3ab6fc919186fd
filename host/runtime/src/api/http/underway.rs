//! A request that was sent: it and its bytes are counted while they pass, and its end is logged and recorded for the owner.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use parlor_base::web_address::WebAddress;
use parlor_store::{TallyKind, Traffic};
use parlor_web::{Hop, Method, WebError};

use crate::instance::Instance;

/// A request that was sent. It ends when this is dropped, whoever gave it up.
pub(crate) struct Underway {
    instance: Arc<Instance>,
    method: Method,
    /// The server, without what may be a secret: path and query.
    server: String,
    status: Option<u16>,
    /// The error by which it ended.
    error: Option<String>,
    traffic: Traffic,
    /// Whether it counts among the requests of the plugin already.
    is_counted: bool,
    /// Whether nothing was sent, since the plugin may not connect to the address.
    is_refused: bool,
}

impl Underway {
    /// Begins to count the bytes of a request.
    pub(crate) fn begin(instance: &Arc<Instance>, method: &Method, to: &WebAddress) -> Self {
        Self {
            instance: Arc::clone(instance),
            method: method.clone(),
            server: to.origin(),
            status: None,
            error: None,
            traffic: Traffic::default(),
            is_counted: false,
            is_refused: false,
        }
    }

    /// Counts bytes of its body.
    pub(crate) fn sends(&mut self, bytes: usize) {
        self.traffic.add(Traffic { sent: bytes as u64, received: 0 });
        self.instance.counters.web().sent.fetch_add(bytes as u64, Relaxed);
    }

    /// Counts bytes of its answer.
    pub(crate) fn receives(&mut self, bytes: usize) {
        self.traffic.add(Traffic { sent: 0, received: bytes as u64 });
        self.instance.counters.web().received.fetch_add(bytes as u64, Relaxed);
    }

    /// Notes the status of its answer.
    pub(crate) fn answered(&mut self, status: u16) {
        self.status = Some(status);
        self.count();
    }

    /// Ends it by a redirect, and begins to count the request that follows.
    pub(crate) fn redirected(&mut self, hop: &Hop<'_>) {
        self.answered(hop.status);
        *self = Self::begin(&self.instance, hop.method, hop.to);
    }

    /// Notes that nothing was sent, if this is why it ended: the owner is shown the denial, and no request.
    pub(crate) fn refused_by(&mut self, error: &WebError) {
        self.is_refused |= matches!(error, WebError::Refused { .. });
    }

    /// Counts it, and notes its server for the owner. A request counts once, however often the plugin goes on with it.
    fn count(&mut self) {
        if self.is_counted || self.is_refused {
            return;
        }
        self.is_counted = true;
        self.instance.counters.web().requests.fetch_add(1, Relaxed);
        self.instance.lasting.record.reached(TallyKind::Server, &self.server, self.instance.account.clock.now());
    }

    /// Notes the error by which it ended.
    pub(crate) fn failed(&mut self, error: &dyn std::fmt::Display) {
        self.error = Some(error.to_string());
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        self.count();
        let Self { instance, method, server, status, error, traffic, is_counted: _, is_refused } = &*self;
        let (plugin, account, Traffic { sent, received: bytes }) = (&instance.plugin, &instance.account.name, *traffic);
        let class = match (status, error) {
            (Some(status), None) => {
                let status = *status;
                tracing::debug!(%plugin, %account, %method, server, status, sent, bytes, "plugin made a request");
                format!("{}xx", status / 100)
            }
            (_, error) => {
                let error = error.as_deref().unwrap_or("it was given up");
                tracing::debug!(%plugin, %account, %method, server, error, sent, bytes, "request of a plugin failed");
                "failed".to_owned()
            }
        };
        if *is_refused {
            return;
        }
        let name = format!("{method} {server} {class}");
        instance.lasting.record.passed(TallyKind::Request, &name, instance.account.clock.now(), *traffic);
    }
}

#[cfg(test)]
mod tests {
    use parlor_plugins::limits::Limits;

    use super::*;

    #[tokio::test]
    async fn a_request_counts_once_and_one_to_an_address_that_is_not_allowed_does_not() {
        let (instance, _mailbox) = crate::instance::tests::instance("", Limits::default());
        let begin = |url: &str| Underway::begin(&instance, &Method::GET, &WebAddress::parse(url).unwrap());
        let mut sent = begin("https://api.example.org/x");
        sent.receives(5);
        sent.answered(200);
        sent.receives(5);
        assert_eq!(instance.counters.web().requests.load(Relaxed), 1, "it counts while its answer is read");
        sent.answered(200);
        drop(sent);
        let mut failed = begin("https://api.example.org/x");
        failed.failed(&"nothing listens there");
        drop(failed);
        let error = WebError::Refused {
            server: "home.example".to_owned(),
            address: "10.0.0.1:443".parse().unwrap(),
            scheme: "https",
        };
        let mut refused = begin("https://home.example/x");
        refused.refused_by(&error);
        refused.failed(&error);
        drop(refused);
        assert_eq!(instance.counters.web().requests.load(Relaxed), 2);
        let activity = instance.lasting.record.take_activity(&instance.plugin, &instance.account.name).unwrap();
        let mut tallies: Vec<_> = activity.tallies.into_iter().map(|one| (one.kind, one.what, one.count)).collect();
        tallies.sort();
        let mut expected = [
            (TallyKind::Server, "https://api.example.org".to_owned(), 2),
            (TallyKind::Request, "GET https://api.example.org 2xx".to_owned(), 1),
            (TallyKind::Request, "GET https://api.example.org failed".to_owned(), 1),
        ];
        expected.sort();
        assert_eq!(tallies, expected);
    }
}
