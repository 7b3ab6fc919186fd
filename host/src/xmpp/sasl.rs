//! Which SASL mechanism a log-in uses, and the log-in itself.
//!
//! One mechanism is chosen, and there is no falling back from it. The server has to prove that it knows the password, too.

use std::collections::BTreeSet;

use sasl::common::ChannelBinding;

use super::connect::{ConnectError, printable};

mod exchange;

pub(super) use exchange::authenticate;

/// How many of the mechanisms that a server offers an error names.
const MAX_NAMED: usize = 16;

/// What the server offers, and what this end can do.
pub(super) struct Offer<'a> {
    /// The mechanisms that the server names.
    pub(super) mechanisms: &'a BTreeSet<String>,
    /// The server says that it can bind to `tls-exporter` (XEP-0440).
    pub(super) names_exporter: bool,
    /// This end's `tls-exporter` value (RFC 9266); none before TLS 1.3.
    pub(super) exporter: Option<Vec<u8>>,
    /// The owner allows PLAIN.
    pub(super) allow_plain: bool,
}

/// A mechanism that this end speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mechanism {
    ScramSha256,
    ScramSha1,
    Plain,
}

/// The mechanism to use, and the channel that it is bound to.
pub(super) fn choose(offer: Offer<'_>) -> Result<(Mechanism, ChannelBinding), ConnectError> {
    let Offer { mechanisms, names_exporter, exporter, allow_plain } = offer;
    let offered = |sha256: &str, sha1: &str| match () {
        () if mechanisms.contains(sha256) => Some(Mechanism::ScramSha256),
        () if mechanisms.contains(sha1) => Some(Mechanism::ScramSha1),
        () => None,
    };
    let bound = offered("SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS");
    let unbound = offered("SCRAM-SHA-256", "SCRAM-SHA-1");
    // A server that offers -PLUS without naming its bindings may know only tls-unique, which TLS 1.3 has not. It is
    // tried where nothing else is left.
    if let (Some(exporter), Some(bound)) = (&exporter, bound)
        && (names_exporter || unbound.is_none())
    {
        return Ok((bound, ChannelBinding::TlsExporter(exporter.clone())));
    }
    if let Some(unbound) = unbound {
        // RFC 5802, section 6: "y" says that we could have bound, so that a server which offered -PLUS notices when
        // somebody struck it from the list.
        let binding = match exporter {
            Some(_) if bound.is_none() => ChannelBinding::Unsupported,
            _ => ChannelBinding::None,
        };
        return Ok((unbound, binding));
    }
    let plain_is_offered = mechanisms.contains("PLAIN");
    if allow_plain && plain_is_offered {
        return Ok((Mechanism::Plain, ChannelBinding::None));
    }
    Err(ConnectError::NoMechanism {
        offered: mechanisms.iter().take(MAX_NAMED).map(|name| printable(name)).collect(),
        plain_is_offered,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mechanism that is used and the gs2 flag of the binding, or a dash where there are none.
    fn pick(mechanisms: &[&str], names_exporter: bool, tls13: bool, allow_plain: bool) -> String {
        let mechanisms = mechanisms.iter().map(|name| (*name).to_owned()).collect();
        let exporter = tls13.then(|| vec![7; 32]);
        match choose(Offer { mechanisms: &mechanisms, names_exporter, exporter, allow_plain }) {
            Err(_) => "-".to_owned(),
            Ok((mechanism, binding)) => format!("{mechanism:?} {}", char::from(binding.header()[0])),
        }
    }

    #[test]
    fn plain_is_never_fallen_back_to() {
        assert_eq!(pick(&["PLAIN", "SCRAM-SHA-1"], false, true, true), "ScramSha1 y");
        assert_eq!(pick(&["PLAIN"], false, true, false), "-");
        assert_eq!(pick(&["PLAIN"], false, true, true), "Plain n");
        assert_eq!(pick(&["ANONYMOUS", "EXTERNAL", "DIGEST-MD5"], true, true, true), "-");
    }

    #[test]
    fn a_channel_is_bound_only_where_both_ends_can() {
        let all = ["PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"];
        assert_eq!(pick(&all, true, true, true), "ScramSha256 p");
        assert_eq!(pick(&all, false, true, true), "ScramSha256 n");
        assert_eq!(pick(&all, true, false, true), "ScramSha256 n");
        assert_eq!(pick(&["SCRAM-SHA-256-PLUS"], false, true, false), "ScramSha256 p");
        assert_eq!(pick(&["SCRAM-SHA-256-PLUS"], false, false, false), "-");
    }

    #[test]
    fn the_error_names_what_was_offered_and_the_setting() {
        let mechanisms = BTreeSet::from(["PLAIN".to_owned(), "X-TOKEN\nERROR forged line".to_owned()]);
        let offer = Offer { mechanisms: &mechanisms, names_exporter: false, exporter: None, allow_plain: false };
        let error = choose(offer).unwrap_err();
        assert!(error.is_final());
        let text = error.to_string();
        assert!(text.contains("X-TOKEN ERROR") && text.contains("allow_plain"), "{text}");
    }
}
