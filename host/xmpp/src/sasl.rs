//! Chooses the SASL mechanism of a log-in, and runs the log-in.
//!
//! One mechanism is chosen, without a fallback. With SCRAM, the server must prove that it knows the password, too.

use std::collections::BTreeSet;

use parlor_base::escape::printable;
use parlor_config::Way;
use xmpp_parsers::sasl_cb::{self, Type};

use super::error::{ConnectError, WhyBound};
use super::pins::Refused;

mod binding;
mod downgrade;
mod exchange;
mod scram;

pub(super) use binding::{Binding, Channel, end_point};
pub(super) use downgrade::Advertised;
pub(super) use exchange::{authenticate, may_be_about_binding};

use scram::Hash;

/// The maximum number of offered mechanisms that an error lists.
const MAX_NAMED: usize = 16;

/// The server's offer, and the features of this end.
pub(super) struct Offer<'a> {
    /// How the owner wants to log in.
    pub(super) way: &'a Way,
    /// The mechanisms that the server offers.
    pub(super) mechanisms: &'a BTreeSet<String>,
    /// The channel-binding types that the server announces (XEP-0440).
    pub(super) bindings: Option<&'a sasl_cb::SaslChannelBinding>,
    /// The channel-binding data that this end has.
    pub(super) channel: Channel,
    /// The channel binding that the log-in requires.
    pub(super) demand: Demand,
    /// Whether the owner allows PLAIN.
    pub(super) allow_plain: bool,
    /// The account's domain.
    pub(super) domain: &'a str,
}

/// The channel binding that a log-in with a password requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Demand {
    /// No binding, since the owner disabled it.
    Never,
    /// The best binding that both ends support, or none, except what the server refused before.
    IfPossible(Refused),
    /// Any binding, since an earlier log-in of the account was bound.
    AsBefore,
    /// Any binding, since the owner requires it.
    Always,
}

impl Demand {
    /// Returns the reason that a binding is required; `None` if it is optional.
    pub(super) fn reason(self) -> Option<WhyBound> {
        match self {
            Self::AsBefore => Some(WhyBound::Pinned),
            Self::Always => Some(WhyBound::Required),
            Self::Never | Self::IfPossible(_) => None,
        }
    }
}

/// The mechanism and channel binding of a log-in.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) mechanism: Mechanism,
    pub(super) binding: Binding,
    /// Whether the server does not announce this binding.
    pub(super) is_guess: bool,
    /// Whether the server offers an unbound log-in as well.
    pub(super) has_other: bool,
}

impl Choice {
    /// Creates a choice without channel binding.
    fn unbound(mechanism: Mechanism, binding: Binding) -> Self {
        Self { mechanism, binding, is_guess: false, has_other: false }
    }
}

/// A mechanism that this end supports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mechanism {
    Scram(Hash),
    Plain,
    /// EXTERNAL: the client certificate identifies the account (XEP-0178).
    External,
    /// ANONYMOUS: the server assigns a temporary account (XEP-0175).
    Anonymous,
}

impl Mechanism {
    /// Returns the mechanism's registered name, with `-PLUS` if the log-in is bound.
    fn name(self, binding: &Binding) -> &'static str {
        match (self, binding.is_bound()) {
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

/// Chooses the mechanism and its channel binding.
pub(super) fn choose(offer: Offer<'_>) -> Result<Choice, ConnectError> {
    let Offer { way, mechanisms, bindings, channel, demand, allow_plain, domain } = offer;
    let offers = |name: &str| mechanisms.contains(name);
    let none_of = |needed| ConnectError::NoMechanism {
        offered: mechanisms.iter().take(MAX_NAMED).map(|name| printable(name)).collect(),
        needed,
        plain_is_offered: *way == Way::Password && offers("PLAIN"),
    };
    match way {
        Way::Certificate { .. } if offers("EXTERNAL") => {
            return Ok(Choice::unbound(Mechanism::External, Binding::None));
        }
        Way::Certificate { .. } => {
            return Err(none_of("EXTERNAL, which servers offer to whose certificate they trust, is needed"));
        }
        Way::Anonymous if offers("ANONYMOUS") => return Ok(Choice::unbound(Mechanism::Anonymous, Binding::None)),
        Way::Anonymous => return Err(none_of("ANONYMOUS is needed")),
        // A component has no part in this.
        Way::Password | Way::Component(_) => {}
    }
    let best = |binding: &Binding| {
        let all = [Hash::Sha512, Hash::Sha256, Hash::Sha1].map(Mechanism::Scram);
        all.into_iter().find(|mechanism| offers(mechanism.name(binding)))
    };
    let unbound = best(&Binding::None);
    if let Some((binding, is_guess)) = bindable(&channel, bindings, demand, unbound.is_some())
        && let Some(mechanism) = best(&binding)
    {
        return Ok(Choice { mechanism, binding, is_guess, has_other: unbound.is_some() });
    }
    let offers_plus = mechanisms.iter().any(|name| name.starts_with("SCRAM-") && name.ends_with("-PLUS"));
    let can_bind = channel != Channel::default();
    if let Some(why) = demand.reason() {
        let cause = match (can_bind, offers_plus) {
            (false, _) => "there is no single connection with TLS to bind it to",
            (true, false) => "the server offers no SCRAM mechanism for that, whose name ends in -PLUS",
            (true, true) => "the server offers it in no way that is known here",
        };
        return Err(ConnectError::NoChannelBinding { domain: domain.to_owned(), cause: cause.into(), why });
    }
    if let Some(mechanism) = unbound {
        // RFC 5802, section 6: "y" says that this end supports channel binding. A server that offered -PLUS then
        // notices if somebody removed it from the list.
        let may_say = match demand {
            Demand::IfPossible(refused) => !refused.could_flag,
            Demand::Never | Demand::AsBefore | Demand::Always => false,
        };
        let could = can_bind && !offers_plus && may_say;
        return Ok(Choice::unbound(mechanism, if could { Binding::Unsupported } else { Binding::None }));
    }
    if allow_plain && offers("PLAIN") {
        return Ok(Choice::unbound(Mechanism::Plain, Binding::None));
    }
    Err(none_of("SCRAM-SHA-1, SCRAM-SHA-256 or SCRAM-SHA-512 is needed"))
}

/// Returns the binding to use if the server has a mechanism for it, and whether it is a guess because the server does
/// not announce it.
///
/// A man in the middle can change the announced list (XEP-0440). So `tls-exporter`, which servers with TLS 1.3 should
/// support (RFC 9266), is tried in any case. A server that supports only `tls-unique`, which TLS 1.3 lacks, refuses it.
fn bindable(
    channel: &Channel,
    named: Option<&sasl_cb::SaslChannelBinding>,
    demand: Demand,
    has_other: bool,
) -> Option<(Binding, bool)> {
    let is_named = |binding| named.is_some_and(|named| named.types.contains(&binding));
    let exporter = channel.exporter.clone().map(Binding::Exporter);
    let end_point = channel.end_point.clone().map(Binding::EndPoint);
    match (exporter, end_point) {
        _ if demand == Demand::Never => None,
        (Some(exporter), _) if is_named(Type::TlsExporter) => Some((exporter, false)),
        (_, Some(end_point)) if is_named(Type::TlsServerEndPoint) => Some((end_point, false)),
        (Some(_), _) if has_other && matches!(demand, Demand::IfPossible(Refused { guess: true, .. })) => None,
        (Some(exporter), _) => Some((exporter, true)),
        (None, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANYTHING: Demand = Demand::IfPossible(Refused { guess: false, could_flag: false });
    const NO_GUESS: Demand = Demand::IfPossible(Refused { guess: true, could_flag: false });
    const NO_FLAG: Demand = Demand::IfPossible(Refused { guess: false, could_flag: true });
    const NEITHER: Demand = Demand::IfPossible(Refused { guess: true, could_flag: true });

    fn set(mechanisms: &[&str]) -> BTreeSet<String> {
        mechanisms.iter().map(|name| (*name).to_owned()).collect()
    }

    fn shown(chosen: Result<Choice, ConnectError>) -> String {
        match chosen {
            Ok(Choice { mechanism, binding, .. }) => {
                format!("{} {}", mechanism.name(&binding), binding.header().trim_end_matches(','))
            }
            Err(ConnectError::NoChannelBinding { .. }) => "unbound".to_owned(),
            Err(_) => "-".to_owned(),
        }
    }

    /// Returns the chosen mechanism and the gs2 flag of its binding, or a dash if there is none.
    fn pick(mechanisms: &[&str], named: &[Type], tls13: bool, allow_plain: bool) -> String {
        demanded(ANYTHING, mechanisms, Some(named), tls13, allow_plain)
    }

    /// Same as `pick`, for this demand, and optionally with no announced bindings at all.
    fn demanded(demand: Demand, mechanisms: &[&str], named: Option<&[Type]>, tls13: bool, allow_plain: bool) -> String {
        let channel = Channel { exporter: tls13.then(|| vec![7; 32]), end_point: Some(vec![8; 32]) };
        let bindings = named.map(|types| sasl_cb::SaslChannelBinding { types: types.to_vec() });
        shown(choose(Offer {
            way: &Way::Password,
            mechanisms: &set(mechanisms),
            bindings: bindings.as_ref(),
            channel,
            demand,
            allow_plain,
            domain: "house",
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
        use Type::{TlsExporter, TlsServerEndPoint, TlsUnique};
        let all = ["PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"];
        assert_eq!(pick(&all, &[TlsExporter, TlsServerEndPoint], true, true), "SCRAM-SHA-256-PLUS p=tls-exporter");
        assert_eq!(
            pick(&all, &[TlsExporter, TlsServerEndPoint], false, true),
            "SCRAM-SHA-256-PLUS p=tls-server-end-point"
        );
        assert_eq!(pick(&all, &[TlsServerEndPoint], true, true), "SCRAM-SHA-256-PLUS p=tls-server-end-point");
        assert_eq!(pick(&all, &[TlsUnique], false, true), "SCRAM-SHA-256 n");
        assert_eq!(pick(&all, &[], false, true), "SCRAM-SHA-256 n");
        assert_eq!(pick(&all, &[TlsExporter], false, true), "SCRAM-SHA-256 n");
        assert_eq!(pick(&["SCRAM-SHA-256-PLUS"], &[], true, false), "SCRAM-SHA-256-PLUS p=tls-exporter");
        assert_eq!(pick(&["SCRAM-SHA-256-PLUS"], &[], false, false), "-");
    }

    /// Somebody in between may have removed or changed the announced types.
    #[test]
    fn what_a_server_does_not_name_is_tried_unless_it_was_refused() {
        let all = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"];
        let stripped: [Option<&[Type]>; 3] = [None, Some(&[]), Some(&[Type::TlsUnique])];
        for named in stripped {
            let pick = |demand| demanded(demand, &all, named, true, true);
            for demand in [ANYTHING, NO_FLAG, Demand::AsBefore, Demand::Always] {
                assert_eq!(pick(demand), "SCRAM-SHA-256-PLUS p=tls-exporter", "{named:?} {demand:?}");
            }
            for demand in [NO_GUESS, NEITHER, Demand::Never] {
                assert_eq!(pick(demand), "SCRAM-SHA-256 n", "{named:?} {demand:?}");
            }
        }
        assert_eq!(demanded(NO_GUESS, &all[2..], None, true, true), "SCRAM-SHA-256-PLUS p=tls-exporter");
    }

    #[test]
    fn an_unbound_log_in_is_refused_where_a_bound_one_is_demanded() {
        let unbound = ["PLAIN", "SCRAM-SHA-512"];
        for (demand, remedy) in [(Demand::AsBefore, "never"), (Demand::Always, "auto")] {
            assert_eq!(demanded(demand, &unbound, None, true, true), "unbound");
            assert_eq!(demanded(demand, &unbound[..1], None, true, true), "unbound", "PLAIN least of all");
            assert_eq!(demanded(demand, &["SCRAM-SHA-1", "SCRAM-SHA-1-PLUS"], None, false, true), "unbound");
            let bindings = sasl_cb::SaslChannelBinding { types: vec![Type::TlsExporter] };
            let over_bosh = choose(Offer {
                way: &Way::Password,
                mechanisms: &set(&["SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"]),
                bindings: Some(&bindings),
                channel: Channel::default(),
                demand,
                allow_plain: true,
                domain: "house",
            });
            let error = over_bosh.unwrap_err();
            let remedy = format!("set channel_binding = \"{remedy}\" for this account");
            assert!(error.is_final() && error.to_string().ends_with(&remedy), "{error}");
        }
        assert_eq!(demanded(Demand::Never, &unbound, None, true, true), "SCRAM-SHA-512 n");
    }

    /// RFC 5802, section 6.
    #[test]
    fn a_server_hears_that_a_channel_could_have_been_bound_whatever_the_version_of_tls() {
        for tls13 in [true, false] {
            assert_eq!(pick(&["SCRAM-SHA-1", "SCRAM-SHA-256"], &[], tls13, true), "SCRAM-SHA-256 y", "{tls13}");
        }
    }

    #[test]
    fn the_flag_is_left_out_only_for_a_server_that_refused_the_flag_itself() {
        for (demand, flag) in [(ANYTHING, "y"), (NO_GUESS, "y"), (NO_FLAG, "n"), (NEITHER, "n"), (Demand::Never, "n")] {
            let picked = demanded(demand, &["SCRAM-SHA-256"], None, true, true);
            assert_eq!(picked, format!("SCRAM-SHA-256 {flag}"), "{demand:?}");
        }
    }

    #[test]
    fn who_logs_in_without_a_password_uses_that_way_and_no_other() {
        let pick = |way: &Way, mechanisms: &[&str]| {
            let (mechanisms, channel) = (set(mechanisms), Channel::default());
            let (mechanisms, demand, domain) = (&mechanisms, Demand::Always, "house");
            shown(choose(Offer { way, mechanisms, bindings: None, channel, demand, allow_plain: true, domain }))
        };
        let all = ["ANONYMOUS", "EXTERNAL", "PLAIN", "SCRAM-SHA-256"];
        let certificate = Way::Certificate { chain: "cert.pem".into(), key: "key.pem".into() };
        assert_eq!(pick(&certificate, &all), "EXTERNAL n");
        assert_eq!(pick(&Way::Anonymous, &all), "ANONYMOUS n");
        assert_eq!(pick(&Way::Password, &all), "unbound");
        for way in [certificate, Way::Anonymous] {
            assert_eq!(pick(&way, &["PLAIN", "SCRAM-SHA-256"]), "-");
        }
    }

    #[test]
    fn the_error_names_what_was_offered_and_the_setting() {
        let mechanisms = set(&["PLAIN", "X-TOKEN\nERROR forged line"]);
        let offer = |way: &Way| {
            let channel = Channel::default();
            let (mechanisms, demand, domain) = (&mechanisms, ANYTHING, "house");
            choose(Offer { way, mechanisms, bindings: None, channel, demand, allow_plain: false, domain }).unwrap_err()
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
