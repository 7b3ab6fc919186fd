//! Which SASL mechanisms a log-in may use. Pure.
//!
//! The library takes the best of what it is allowed, so what is left out here cannot be fallen back to.

use std::collections::BTreeSet;

use sasl::common::ChannelBinding;

use super::connect::ConnectError;

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

/// The mechanisms that may be used, and the channel that they are bound to.
pub(super) fn choose(offer: Offer<'_>) -> Result<(BTreeSet<String>, ChannelBinding), ConnectError> {
    let Offer { mechanisms, names_exporter, exporter, allow_plain } = offer;
    let offered = |wanted: &[&str]| -> BTreeSet<String> {
        wanted.iter().filter(|name| mechanisms.contains(**name)).map(|name| (*name).to_owned()).collect()
    };
    let bound = offered(&["SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS"]);
    let unbound = offered(&["SCRAM-SHA-256", "SCRAM-SHA-1"]);
    let server_can_bind = !bound.is_empty();
    // A server that offers -PLUS without naming its bindings may know only tls-unique, which TLS 1.3 has not. It is
    // tried where nothing else is left.
    if let Some(exporter) = &exporter
        && server_can_bind
        && (names_exporter || unbound.is_empty())
    {
        return Ok((bound, ChannelBinding::TlsExporter(exporter.clone())));
    }
    if !unbound.is_empty() {
        // RFC 5802, section 6: "y" says that we could have bound, so that a server which offered -PLUS notices when
        // somebody struck it from the list.
        let binding = match exporter {
            Some(_) if !server_can_bind => ChannelBinding::Unsupported,
            _ => ChannelBinding::None,
        };
        return Ok((unbound, binding));
    }
    let plain = offered(&["PLAIN"]);
    if allow_plain && !plain.is_empty() {
        return Ok((plain, ChannelBinding::None));
    }
    Err(ConnectError::NoMechanism {
        offered: mechanisms.iter().cloned().collect(),
        plain_is_offered: !plain.is_empty(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pick(
        mechanisms: &[&str],
        names_exporter: bool,
        tls13: bool,
        allow_plain: bool,
    ) -> Option<(String, &'static str)> {
        let mechanisms = mechanisms.iter().map(|name| (*name).to_owned()).collect();
        let exporter = tls13.then(|| vec![7; 32]);
        let (allowed, binding) =
            choose(Offer { mechanisms: &mechanisms, names_exporter, exporter, allow_plain }).ok()?;
        let binding = match binding {
            ChannelBinding::None => "n",
            ChannelBinding::Unsupported => "y",
            ChannelBinding::TlsUnique(_) | ChannelBinding::TlsExporter(_) => "p",
        };
        Some((allowed.into_iter().collect::<Vec<_>>().join(" "), binding))
    }

    fn picked(names: &str, binding: &'static str) -> Option<(String, &'static str)> {
        Some((names.to_owned(), binding))
    }

    #[test]
    fn plain_is_never_fallen_back_to() {
        assert_eq!(pick(&["PLAIN", "SCRAM-SHA-1"], false, true, true), picked("SCRAM-SHA-1", "y"));
        assert_eq!(pick(&["PLAIN"], false, true, false), None);
        assert_eq!(pick(&["PLAIN"], false, true, true), picked("PLAIN", "n"));
        assert_eq!(pick(&["ANONYMOUS", "EXTERNAL", "DIGEST-MD5"], true, true, true), None);
    }

    #[test]
    fn a_channel_is_bound_only_where_both_ends_can() {
        let all = ["PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"];
        assert_eq!(pick(&all, true, true, true), picked("SCRAM-SHA-1-PLUS SCRAM-SHA-256-PLUS", "p"));
        assert_eq!(pick(&all, false, true, true), picked("SCRAM-SHA-1 SCRAM-SHA-256", "n"));
        assert_eq!(pick(&all, true, false, true), picked("SCRAM-SHA-1 SCRAM-SHA-256", "n"));
        assert_eq!(pick(&["SCRAM-SHA-256-PLUS"], false, true, false), picked("SCRAM-SHA-256-PLUS", "p"));
        assert_eq!(pick(&["SCRAM-SHA-256-PLUS"], false, false, false), None);
    }

    #[test]
    fn the_error_names_what_was_offered_and_the_setting() {
        let mechanisms = BTreeSet::from(["PLAIN".to_owned(), "X-TOKEN".to_owned()]);
        let offer = Offer { mechanisms: &mechanisms, names_exporter: false, exporter: None, allow_plain: false };
        let error = choose(offer).unwrap_err();
        assert!(error.is_final());
        let text = error.to_string();
        assert!(text.contains("X-TOKEN") && text.contains("allow_plain"), "{text}");
    }
}
