//! Finds the servers of a domain: by SRV records (RFC 6120, section 3.2; XEP-0368), or else the domain itself.

use std::fmt;

use futures_util::future::BoxFuture;
use hickory_resolver::proto::rr::RData;
use hickory_resolver::{ResolverBuilder, TokioResolver};
use parlor_config::{Endpoint, TlsMode};

/// The maximum number of servers that are tried for one domain.
pub(super) const MAX_SERVERS: usize = 8;

/// A server to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
    /// When TLS begins on a connection to it.
    pub(super) tls: TlsMode,
}

/// Returns the servers to try, in order. `domain` is in its ASCII form. If no TLS mode is given, records of both kinds
/// are looked up, and mixed by priority (XEP-0368, section 3).
pub(super) async fn servers(
    domain: &str,
    named: Option<&Endpoint>,
    tls: Option<TlsMode>,
    resolver: &dyn Resolve,
) -> Vec<Server> {
    // Port 5223 was reserved for TLS before there was another way.
    let is_for_tls = named.is_some_and(|named| named.port == Some(usual_port(TlsMode::Direct)));
    let mode = tls.unwrap_or(if is_for_tls { TlsMode::Direct } else { TlsMode::StartTls });
    if let Some(named) = named {
        return vec![Server { host: named.host.clone(), port: named.port.unwrap_or(usual_port(mode)), tls: mode }];
    }
    let itself = || vec![Server { host: domain.to_owned(), port: usual_port(mode), tls: mode }];
    if domain.parse::<std::net::IpAddr>().is_ok() {
        return itself();
    }
    let mut records = if let Some(mode) = tls {
        look_up(domain, mode, resolver).await
    } else {
        let (direct, other) =
            tokio::join!(look_up(domain, TlsMode::Direct, resolver), look_up(domain, TlsMode::StartTls, resolver));
        direct.into_iter().chain(other).collect()
    };
    // The absence of direct TLS says nothing about STARTTLS (RFC 6120, section 3.2.1).
    let has_usual = tls.is_some() || records.iter().any(|record| record.tls == TlsMode::StartTls);
    if records.is_empty() || (!has_usual && records.iter().all(Record::is_none)) {
        return itself();
    }
    sort(&mut records, rand::random);
    // A single record with the root as its target says that the service is not available (RFC 2782). The domain itself
    // is then no better.
    records.into_iter().filter(|record| !record.is_none()).take(MAX_SERVERS).map(Record::into_server).collect()
}

fn usual_port(tls: TlsMode) -> u16 {
    match tls {
        TlsMode::StartTls => 5222,
        TlsMode::Direct => 5223,
    }
}

/// An SRV record (RFC 2782).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SrvRecord {
    /// The priority; the lowest is tried first.
    pub priority: u16,
    /// The weight among records of one priority.
    pub weight: u16,
    /// The host, as DNS spells it.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// Looks up SRV records.
pub trait Resolve: fmt::Debug + Send + Sync {
    /// Returns the records of this name. Treat an error like an empty answer: try the domain itself.
    fn records<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Vec<SrvRecord>>;
}

/// The resolver of the system.
#[derive(Debug)]
pub(super) struct SystemDns;

impl Resolve for SystemDns {
    fn records<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Vec<SrvRecord>> {
        Box::pin(ask_system(name))
    }
}

async fn ask_system(name: &str) -> Vec<SrvRecord> {
    let resolver = match TokioResolver::builder_tokio().and_then(ResolverBuilder::build) {
        Ok(resolver) => resolver,
        Err(error) => {
            tracing::debug!(%error, "no resolver for SRV records");
            return Vec::new();
        }
    };
    let answer = match resolver.srv_lookup(name).await {
        Ok(answer) => answer,
        Err(error) => {
            tracing::debug!(%name, %error, "no SRV records");
            return Vec::new();
        }
    };
    let records = answer.answers().iter().filter_map(|record| match &record.data {
        RData::SRV(srv) => {
            let host = srv.target.to_ascii();
            Some(SrvRecord { priority: srv.priority, weight: srv.weight, host, port: srv.port })
        }
        _ => None,
    });
    records.collect()
}

/// A record, and when TLS begins on a connection to its server.
#[derive(Debug, Clone)]
struct Record {
    srv: SrvRecord,
    tls: TlsMode,
}

impl Record {
    /// Returns whether the record says that the service is not available (RFC 2782).
    fn is_none(&self) -> bool {
        self.srv.host == "."
    }

    fn into_server(self) -> Server {
        let SrvRecord { host, port, .. } = self.srv;
        Server { host: host.trim_end_matches('.').to_owned(), port, tls: self.tls }
    }
}

async fn look_up(domain: &str, tls: TlsMode, resolver: &dyn Resolve) -> Vec<Record> {
    let service = match tls {
        TlsMode::StartTls => "_xmpp-client._tcp",
        TlsMode::Direct => "_xmpps-client._tcp",
    };
    let records = resolver.records(&format!("{service}.{domain}.")).await;
    records.into_iter().map(|srv| Record { srv, tls }).collect()
}

/// Sorts records by ascending priority, and randomly by weight within one priority. `random` returns numbers in [0, 1).
fn sort(records: &mut [Record], random: impl Fn() -> f64) {
    // This is the usual weighted shuffle: the record with the smallest exponential draw goes first.
    records.sort_by_cached_key(|record| {
        let draw = -(1.0 - random()).ln() / f64::from(record.srv.weight).max(0.01);
        // Non-negative floats order as their bits do.
        (record.srv.priority, draw.max(0.0).to_bits())
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mock_server::dns::ScriptedDns;

    const STARTTLS: &str = "_xmpp-client._tcp.example.org.";
    const DIRECT: &str = "_xmpps-client._tcp.example.org.";

    fn record(priority: u16, weight: u16, host: &str) -> Record {
        let srv = SrvRecord { priority, weight, host: host.to_owned(), port: 5222 };
        Record { srv, tls: TlsMode::StartTls }
    }

    fn server(host: &str, port: u16, tls: TlsMode) -> Server {
        Server { host: host.to_owned(), port, tls }
    }

    #[tokio::test]
    async fn a_named_server_is_not_looked_up() {
        let named = Endpoint { host: "xmpp.example".to_owned(), port: None };
        let found = servers("example.org", Some(&named), Some(TlsMode::Direct), &SystemDns).await;
        assert_eq!(found, [server("xmpp.example", 5223, TlsMode::Direct)]);
        let found = servers("example.org", Some(&named), None, &SystemDns).await;
        assert_eq!(found, [server("xmpp.example", 5222, TlsMode::StartTls)]);
        let of_old = Endpoint { port: Some(5223), ..named };
        for (tls, expected) in [(None, TlsMode::Direct), (Some(TlsMode::StartTls), TlsMode::StartTls)] {
            let found = servers("example.org", Some(&of_old), tls, &SystemDns).await;
            assert_eq!(found, [server("xmpp.example", 5223, expected)]);
        }
        let found = servers("127.0.0.1", None, None, &SystemDns).await;
        assert_eq!(found, [server("127.0.0.1", 5222, TlsMode::StartTls)]);
    }

    /// XEP-0368, section 3.
    #[tokio::test]
    async fn both_kinds_of_records_are_mixed_by_their_priorities_unless_the_owner_chose_one() {
        use TlsMode::{Direct, StartTls};
        let dns = ScriptedDns::of(&[
            (STARTTLS, 10, "b.example.", 5222),
            (STARTTLS, 30, "d.example.", 5222),
            (DIRECT, 5, "a.example.", 443),
            (DIRECT, 20, "c.example.", 5223),
        ]);
        let [a, b, c, d] = [
            server("a.example", 443, Direct),
            server("b.example", 5222, StartTls),
            server("c.example", 5223, Direct),
            server("d.example", 5222, StartTls),
        ];
        assert_eq!(servers("example.org", None, None, &dns).await, [a.clone(), b.clone(), c.clone(), d.clone()]);
        assert_eq!(servers("example.org", None, Some(Direct), &dns).await, [a, c]);
        assert_eq!(servers("example.org", None, Some(StartTls), &dns).await, [b, d]);
        let dns = ScriptedDns::of(&[(DIRECT, 5, "a.example.", 443), (STARTTLS, 0, ".", 0)]);
        assert_eq!(servers("example.org", None, None, &dns).await, [server("a.example", 443, Direct)]);
        let dns = ScriptedDns::of(&[(DIRECT, 0, ".", 0)]);
        let usual = [server("example.org", 5222, StartTls)];
        assert_eq!(servers("example.org", None, None, &dns).await, usual, "it has no direct TLS");
        let dns = ScriptedDns::of(&[(DIRECT, 0, ".", 0), (STARTTLS, 0, ".", 0)]);
        assert_eq!(servers("example.org", None, None, &dns).await, [], "it says that it has no service");
        let dns = ScriptedDns::of(&[]);
        assert_eq!(servers("example.org", None, None, &dns).await, [server("example.org", 5222, StartTls)]);
    }

    #[test]
    fn priority_goes_before_weight_and_weight_before_chance() {
        let mut records = [record(20, 60000, "last"), record(10, 1, "second"), record(10, 100, "first")];
        sort(&mut records, || 0.5);
        assert_eq!(records.map(|record| record.srv.host), ["first", "second", "last"]);
    }
}
