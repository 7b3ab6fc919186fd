//! Which SASL mechanism a log-in uses, and the log-in itself.
//!
//! One mechanism is chosen, and there is no falling back from it. The server has to prove that it knows the password, too.

use std::collections::BTreeSet;

use xmpp_parsers::sasl_cb;

use super::connect::{ConnectError, printable};
use crate::config::Way;

mod binding;
mod exchange;
mod scram;

pub(super) use binding::{Binding, Channel, end_point};
pub(super) use exchange::authenticate;

use scram::Hash;

/// How many of the mechanisms that a server offers an error names.
const MAX_NAMED: usize = 16;

/// What the server offers, and what this end can do.
pub(super) struct Offer<'a> {
    /// How the owner wants to log in.
    pub(super) way: &'a Way,
    /// The mechanisms that the server names.
    pub(super) mechanisms: &'a BTreeSet<String>,
    /// What the server says that it can bind a log-in to (XEP-0440).
    pub(super) bindings: Option<&'a sasl_cb::SaslChannelBinding>,
    /// What this end can bind it to.
    pub(super) channel: Channel,
    /// The owner allows PLAIN.
    pub(super) allow_plain: bool,
}

/// A mechanism that this end speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mechanism {
    Scram(Hash),
    Plain,
    /// The certificate that was shown says who it is (XEP-0178).
    External,
    /// Nobody in particular (XEP-0175).
    Anonymous,
}

impl Mechanism {
    /// As it is called, with what it is bound to.
    fn name(self, binding: &Binding) -> &'static str {
        let is_bound = matches!(binding, Binding::Exporter(_) | Binding::EndPoint(_));
        match (self, is_bound) {
            (Self::Scram(Hash::Sha512), false) => "SCRAM-SHA-512",
            (Self::Scram(Hash::Sha512), true) => "SCRAM-SHA-512-PLUS",
            (Self::Scram(Hash::Sha256), false) => "SCRAM-SHA-256",
            (Self::Scram(Hash::Sha256), true) => "SCRAM-SHA-256-PLUS",
            (Self::Scram(Hash::Sha1), false) => "SCRAM-SHA-1",
            (Self::Scram(Hash::Sha1), true) => "SCRAM-SHA-1-PLUS",
            (Self::Plain, _) => "PLAIN",
            (Self::External, _) => "EXTERNAL",
            (Self::Anonymous, _) => "ANONYMOUS",
        }
    }
}

/// The mechanism to use, and what it is bound to.
pub(super) fn choose(offer: Offer<'_>) -> Result<(Mechanism, Binding), ConnectError> {
    let Offer { way, mechanisms, bindings, channel, allow_plain } = offer;
    let offers = |name: &str| mechanisms.contains(name);
    let none_of = |needed| ConnectError::NoMechanism {
        offered: mechanisms.iter().take(MAX_NAMED).map(|name| printable(name)).collect(),
        needed,
        plain_is_offered: *way == Way::Password && offers("PLAIN"),
    };
    match way {
        Way::Certificate { .. } if offers("EXTERNAL") => return Ok((Mechanism::External, Binding::None)),
        Way::Certificate { .. } => {
            return Err(none_of("EXTERNAL, which servers offer to whose certificate they trust, is needed"));
        }
        Way::Anonymous if offers("ANONYMOUS") => return Ok((Mechanism::Anonymous, Binding::None)),
        Way::Anonymous => return Err(none_of("ANONYMOUS is needed")),
        Way::Password => {}
    }
    let best = |binding: &Binding| {
        let all = [Hash::Sha512, Hash::Sha256, Hash::Sha1].map(Mechanism::Scram);
        all.into_iter().find(|mechanism| offers(mechanism.name(binding)))
    };
    let says_it_has = |binding| bindings.is_some_and(|offer| offer.types.contains(&binding));
    let unbound = best(&Binding::None);
    let wanted = match &channel {
        Channel { exporter: Some(exporter), .. } if says_it_has(sasl_cb::Type::TlsExporter) => {
            Some(Binding::Exporter(exporter.clone()))
        }
        Channel { end_point: Some(end_point), .. } if says_it_has(sasl_cb::Type::TlsServerEndPoint) => {
            Some(Binding::EndPoint(end_point.clone()))
        }
        // A server that offers -PLUS without naming its bindings may know only tls-unique, which TLS 1.3 has not. It is
        // tried where nothing else is left.
        Channel { exporter: Some(exporter), .. } if unbound.is_none() => Some(Binding::Exporter(exporter.clone())),
        Channel { .. } => None,
    };
    if let Some(binding) = wanted
        && let Some(mechanism) = best(&binding)
    {
        return Ok((mechanism, binding));
    }
    if let Some(mechanism) = unbound {
        // RFC 5802, section 6: "y" says that we could have bound, so that a server which offered -PLUS notices when
        // somebody struck it from the list.
        let offers_plus = mechanisms.iter().any(|name| name.starts_with("SCRAM-") && name.ends_with("-PLUS"));
        let could = (channel.exporter.is_some() || channel.end_point.is_some()) && !offers_plus;
        return Ok((mechanism, if could { Binding::Unsupported } else { Binding::None }));
    }
    if allow_plain && offers("PLAIN") {
        return Ok((Mechanism::Plain, Binding::None));
    }
    Err(none_of("SCRAM-SHA-1, SCRAM-SHA-256 or SCRAM-SHA-512 is needed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(mechanisms: &[&str]) -> BTreeSet<String> {
        mechanisms.iter().map(|name| (*name).to_owned()).collect()
    }

    fn shown(chosen: Result<(Mechanism, Binding), ConnectError>) -> String {
        chosen.map_or_else(
            |_| "-".to_owned(),
            |(mechanism, binding)| format!("{} {}", mechanism.name(&binding), binding.header().trim_end_matches(',')),
        )
    }

    /// The mechanism that is used and the gs2 flag of the binding, or a dash where there are none.
    fn pick(mechanisms: &[&str], named: &[sasl_cb::Type], tls13: bool, allow_plain: bool) -> String {
        let mechanisms = set(mechanisms);
        let offer = sasl_cb::SaslChannelBinding { types: named.to_vec() };
        let channel = Channel { exporter: tls13.then(|| vec![7; 32]), end_point: Some(vec![8; 32]) };
        shown(choose(Offer {
            way: &Way::Password,
            mechanisms: &mechanisms,
            bindings: Some(&offer),
            channel,
            allow_plain,
        }))
    }

    #[test]
    fn plain_is_never_fallen_back_to() {
        assert_eq!(pick(&["PLAIN", "SCRAM-SHA-1"], &[], true, true), "SCRAM-SHA-1 y");
        assert_eq!(pick(&["PLAIN"], &[], true, false), "-");
        assert_eq!(pick(&["PLAIN"], &[], true, true), "PLAIN n");
        assert_eq!(pick(&["ANONYMOUS", "EXTERNAL", "DIGEST-MD5"], &[], true, true), "-");
    }

    #[test]
    fn the_strongest_hash_is_taken() {
        let all = ["SCRAM-SHA-1", "SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"];
        assert_eq!(pick(&all, &[], true, true), "SCRAM-SHA-512 y");
        assert_eq!(pick(&["SCRAM-SHA-1", "SCRAM-SHA-256"], &[], true, true), "SCRAM-SHA-256 y");
    }

    #[test]
    fn a_channel_is_bound_only_where_both_ends_can() {
        use sasl_cb::Type::{TlsExporter, TlsServerEndPoint, TlsUnique};
        let all = ["PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"];
        assert_eq!(pick(&all, &[TlsExporter, TlsServerEndPoint], true, true), "SCRAM-SHA-256-PLUS p=tls-exporter");
        assert_eq!(
            pick(&all, &[TlsExporter, TlsServerEndPoint], false, true),
            "SCRAM-SHA-256-PLUS p=tls-server-end-point"
        );
        assert_eq!(pick(&all, &[TlsServerEndPoint], true, true), "SCRAM-SHA-256-PLUS p=tls-server-end-point");
        assert_eq!(pick(&all, &[TlsUnique], true, true), "SCRAM-SHA-256 n");
        assert_eq!(pick(&all, &[], true, true), "SCRAM-SHA-256 n");
        assert_eq!(pick(&all, &[TlsExporter], false, true), "SCRAM-SHA-256 n");
        assert_eq!(pick(&["SCRAM-SHA-256-PLUS"], &[], true, false), "SCRAM-SHA-256-PLUS p=tls-exporter");
        assert_eq!(pick(&["SCRAM-SHA-256-PLUS"], &[], false, false), "-");
    }

    /// RFC 5802, section 6.
    #[test]
    fn a_server_hears_that_a_channel_could_have_been_bound_whatever_the_version_of_tls() {
        for tls13 in [true, false] {
            assert_eq!(pick(&["SCRAM-SHA-1", "SCRAM-SHA-256"], &[], tls13, true), "SCRAM-SHA-256 y", "{tls13}");
        }
    }

    #[test]
    fn who_logs_in_without_a_password_uses_that_way_and_no_other() {
        let pick = |way: &Way, mechanisms: &[&str]| {
            let (mechanisms, channel) = (set(mechanisms), Channel::default());
            shown(choose(Offer { way, mechanisms: &mechanisms, bindings: None, channel, allow_plain: true }))
        };
        let all = ["ANONYMOUS", "EXTERNAL", "PLAIN", "SCRAM-SHA-256"];
        let certificate = Way::Certificate { chain: "cert.pem".into(), key: "key.pem".into() };
        assert_eq!(pick(&certificate, &all), "EXTERNAL n");
        assert_eq!(pick(&Way::Anonymous, &all), "ANONYMOUS n");
        assert_eq!(pick(&Way::Password, &all), "SCRAM-SHA-256 n");
        for way in [certificate, Way::Anonymous] {
            assert_eq!(pick(&way, &["PLAIN", "SCRAM-SHA-256"]), "-");
        }
    }

    #[test]
    fn the_error_names_what_was_offered_and_the_setting() {
        let mechanisms = set(&["PLAIN", "X-TOKEN\nERROR forged line"]);
        let offer = |way: &Way| {
            let channel = Channel::default();
            choose(Offer { way, mechanisms: &mechanisms, bindings: None, channel, allow_plain: false }).unwrap_err()
        };
        let error = offer(&Way::Password);
        assert!(error.is_final());
        let text = error.to_string();
        assert!(text.contains("X-TOKEN\\u{a}ERROR") && text.contains("allow_plain"), "{text}");
        let certificate = Way::Certificate { chain: "cert.pem".into(), key: "key.pem".into() };
        let text = offer(&certificate).to_string();
        assert!(text.contains("EXTERNAL") && !text.contains("allow_plain"), "{text}");
    }
}
