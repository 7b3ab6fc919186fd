//! Where an account's server listens: SRV records (RFC 6120, section 3.2; XEP-0368), else the domain itself.

use hickory_resolver::TokioResolver;
use hickory_resolver::proto::rr::RData;

use crate::config::{Endpoint, TlsMode};

/// How many servers of one domain are tried.
const MAX_SERVERS: usize = 8;

/// A server to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
}

/// The servers to try, in order. `domain` is in its ASCII form.
pub(super) async fn servers(domain: &str, named: Option<&Endpoint>, tls: TlsMode) -> Vec<Server> {
    let (service, port) = match tls {
        TlsMode::StartTls => ("_xmpp-client._tcp", 5222),
        TlsMode::Direct => ("_xmpps-client._tcp", 5223),
    };
    if let Some(named) = named {
        return vec![Server { host: named.host.clone(), port: named.port.unwrap_or(port) }];
    }
    let itself = || vec![Server { host: domain.to_owned(), port }];
    if domain.parse::<std::net::IpAddr>().is_ok() {
        return itself();
    }
    let mut records = look_up(&format!("{service}.{domain}.")).await;
    if records.is_empty() {
        return itself();
    }
    sort(&mut records, rand::random);
    // A single record that points at the root says that the service is decidedly not there (RFC 2782); the domain itself
    // is then no better.
    records.into_iter().filter(|record| record.host != ".").take(MAX_SERVERS).map(Record::into_server).collect()
}

struct Record {
    priority: u16,
    weight: u16,
    host: String,
    port: u16,
}

impl Record {
    fn into_server(self) -> Server {
        Server { host: self.host.trim_end_matches('.').to_owned(), port: self.port }
    }
}

/// No answer and no records are the same: the domain itself is tried.
async fn look_up(name: &str) -> Vec<Record> {
    let resolver = match TokioResolver::builder_tokio().and_then(|builder| builder.build()) {
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
            Some(Record { priority: srv.priority, weight: srv.weight, host: srv.target.to_ascii(), port: srv.port })
        }
        _ => None,
    });
    records.collect()
}

/// Lower priorities first; within one, at random by weight. `random` gives numbers in [0, 1).
fn sort(records: &mut [Record], random: impl Fn() -> f64) {
    // The classic trick for a weighted shuffle: the record with the smallest exponential draw goes first.
    records.sort_by_cached_key(|record| {
        let draw = -(1.0 - random()).ln() / f64::from(record.weight).max(0.01);
        // Non-negative floats order as their bits do.
        (record.priority, draw.max(0.0).to_bits())
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(priority: u16, weight: u16, host: &str) -> Record {
        Record { priority, weight, host: host.to_owned(), port: 5222 }
    }

    #[tokio::test]
    async fn a_named_server_is_not_looked_up() {
        let named = Endpoint { host: "xmpp.example".to_owned(), port: None };
        let found = servers("example.org", Some(&named), TlsMode::Direct).await;
        assert_eq!(found, [Server { host: "xmpp.example".to_owned(), port: 5223 }]);
        let found = servers("127.0.0.1", None, TlsMode::StartTls).await;
        assert_eq!(found, [Server { host: "127.0.0.1".to_owned(), port: 5222 }]);
    }

    #[test]
    fn priority_goes_before_weight_and_weight_before_chance() {
        let mut records = [record(20, 60000, "last"), record(10, 1, "second"), record(10, 100, "first")];
        sort(&mut records, || 0.5);
        assert_eq!(records.map(|record| record.host), ["first", "second", "last"]);
    }
}
