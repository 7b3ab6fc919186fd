//! A request that was sent: its bytes are counted while they pass, and its end is logged and recorded for the owner.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use parlor_base::web_address::WebAddress;
use parlor_store::{TallyKind, Traffic};
use parlor_web::{Hop, Method};

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
        }
    }

    /// Counts bytes of its body.
    pub(crate) fn sends(&mut self, bytes: usize) {
        self.traffic.add(Traffic { sent: bytes as u64, received: 0 });
        self.instance.counters.web_sent.fetch_add(bytes as u64, Relaxed);
    }

    /// Counts bytes of its answer.
    pub(crate) fn receives(&mut self, bytes: usize) {
        self.traffic.add(Traffic { sent: 0, received: bytes as u64 });
        self.instance.counters.web_received.fetch_add(bytes as u64, Relaxed);
    }

    /// Notes the status of its answer.
    pub(crate) fn answered(&mut self, status: u16) {
        self.status = Some(status);
    }

    /// Ends it by a redirect, and begins to count the request that follows.
    pub(crate) fn redirected(&mut self, hop: &Hop<'_>) {
        self.answered(hop.status);
        *self = Self::begin(&self.instance, hop.method, hop.to);
    }

    /// Notes the error by which it ended.
    pub(crate) fn failed(&mut self, error: &dyn std::fmt::Display) {
        self.error = Some(error.to_string());
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        let Self { instance, method, server, status, error, traffic } = &*self;
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
        let name = format!("{method} {server} {class}");
        instance.record.passed(TallyKind::Request, &name, instance.account.clock.now(), *traffic);
    }
}
