//! Stream errors: their meanings and the reactions to them, in one table (RFC 6120, section 4.9.3).

/// When to reconnect to a server that ended a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Return {
    /// Reconnect as soon as possible.
    #[default]
    AtOnce,
    /// Reconnect at a random time within a second.
    Soon,
    /// Reconnect at a random time within a few seconds, since all other clients reconnect, too.
    Spread,
    /// Reconnect after a longer wait, since the server complained of too much load.
    Slowly,
}

/// The rule for one condition.
struct Rule {
    condition: &'static str,
    returns: Return,
    /// The advice for the user.
    remedy: &'static str,
}

const fn rule(condition: &'static str, returns: Return, remedy: &'static str) -> Rule {
    Rule { condition, returns, remedy }
}

/// The advice for errors that cannot be corrected on this side.
const A_BUG: &str = "this should not happen, please report it with the server's software and version";

/// The rules for all defined conditions.
const RULES: &[Rule] = &[
    rule("bad-format", Return::AtOnce, A_BUG),
    rule("bad-namespace-prefix", Return::AtOnce, A_BUG),
    rule(
        "conflict",
        Return::AtOnce,
        "somebody else logged in with the same full JID: end it, or give this account a resource of its own",
    ),
    rule(
        "connection-timeout",
        Return::AtOnce,
        "it had not heard from this account for too long: check the network, or lower ping_interval",
    ),
    rule("host-gone", Return::Spread, "it no longer serves the account's domain: ask who runs it"),
    rule(
        "host-unknown",
        Return::Spread,
        "it does not serve the account's domain: check the jid, and the server that is named for it",
    ),
    rule("improper-addressing", Return::AtOnce, A_BUG),
    rule("internal-server-error", Return::Spread, "its log says what failed; ask who runs it"),
    rule("invalid-from", Return::AtOnce, A_BUG),
    rule("invalid-namespace", Return::AtOnce, A_BUG),
    rule("invalid-xml", Return::AtOnce, A_BUG),
    rule("not-authorized", Return::AtOnce, "check the account's password, and whether the account still exists"),
    rule("not-well-formed", Return::AtOnce, A_BUG),
    rule(
        "policy-violation",
        Return::Slowly,
        "it has rules that this account broke, often a limit of bytes or stanzas: ask who runs it, or lower messages_per_second",
    ),
    rule("remote-connection-failed", Return::Spread, "it cannot reach what it needs behind it: ask who runs it"),
    rule("reset", Return::AtOnce, "its own settings have changed; nothing is to be done"),
    rule("resource-constraint", Return::Slowly, "it has no room for this account: ask who runs it"),
    rule("restricted-xml", Return::AtOnce, A_BUG),
    rule(
        "see-other-host",
        Return::AtOnce,
        "it sends this account to another server; name that one as `server` in the configuration",
    ),
    rule("system-shutdown", Return::Spread, "it goes down and is come back to; nothing is to be done"),
    rule("undefined-condition", Return::AtOnce, "its log says more; ask who runs it"),
    rule("unsupported-encoding", Return::AtOnce, A_BUG),
    rule(
        "unsupported-feature",
        Return::AtOnce,
        "it wants something of this account that is not there: ask who runs it",
    ),
    rule("unsupported-stanza-type", Return::AtOnce, A_BUG),
    rule("unsupported-version", Return::AtOnce, "it speaks no XMPP 1.0: it has to be updated"),
];

/// The conditions that no stanza of ours can cause.
const ABOUT_STREAMS: [&str; 12] = [
    "conflict",
    "connection-timeout",
    "host-gone",
    "host-unknown",
    "not-authorized",
    "remote-connection-failed",
    "reset",
    "resource-constraint",
    "see-other-host",
    "system-shutdown",
    "unsupported-feature",
    "unsupported-version",
];

/// The text of ejabberd's `policy-violation` if it has sent too many stanzas that were not acknowledged (XEP-0198).
const SENT_TOO_MUCH: &str = "Too many unacked stanzas";

/// The conditions for data that the server's parser rejects.
const ABOUT_SYNTAX: [&str; 5] =
    ["bad-format", "bad-namespace-prefix", "invalid-xml", "not-well-formed", "restricted-xml"];

/// Returns whether the server could not parse what we wrote.
pub fn is_about_syntax(condition: &str) -> bool {
    ABOUT_SYNTAX.contains(&condition)
}

/// Returns whether a stanza of ours may have ended the stream. An unknown condition may be about one.
pub fn is_about_a_stanza(condition: &str, text: Option<&str>) -> bool {
    !ABOUT_STREAMS.contains(&condition) && text != Some(SENT_TOO_MUCH)
}

fn find(condition: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.condition == condition)
}

/// Returns when to reconnect.
pub fn returns(condition: &str) -> Return {
    find(condition).map_or(Return::AtOnce, |rule| rule.returns)
}

/// Returns the advice for the user.
pub fn remedy(condition: &str) -> &'static str {
    find(condition).map_or("its log says more; ask who runs it", |rule| rule.remedy)
}

/// Returns one sentence: the server ended the stream, the reason, and the advice.
pub fn sentence(condition: &str, text: Option<&str>) -> String {
    format!("the server ended the stream: {condition}{}; {}", words(text), remedy(condition))
}

/// Returns the server's explanation, formatted for the middle of a sentence.
pub fn words(text: Option<&str>) -> String {
    text.map(|text| format!(" ({text})")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;

    use xmpp_parsers::stream_error::DefinedCondition;

    use super::*;

    /// Each condition of the RFC is in the table, spelled as on the wire, with advice.
    #[test]
    fn each_condition_says_what_to_do() {
        assert_eq!(RULES.len(), 25);
        assert!(RULES.is_sorted_by(|one, next| one.condition < next.condition));
        for rule in RULES {
            let xml = format!(
                "<stream:error xmlns:stream='http://etherx.jabber.org/streams'>\
                 <{} xmlns='urn:ietf:params:xml:ns:xmpp-streams'>elsewhere</{}></stream:error>",
                rule.condition, rule.condition
            );
            let element = minidom::Element::from_str(&xml).unwrap();
            let read = xmpp_parsers::stream_error::StreamError::try_from(element);
            if rule.condition == "see-other-host" {
                assert!(matches!(read.unwrap().condition, DefinedCondition::SeeOtherHost(_)));
            }
            let sentence = sentence(rule.condition, Some("so it goes"));
            assert!(sentence.starts_with(&format!("the server ended the stream: {} (so it goes); ", rule.condition)));
            assert!(rule.remedy.len() > 20 && !rule.remedy.ends_with('.'), "{sentence}");
        }
    }

    #[test]
    fn what_nobody_knows_says_what_to_do_as_well() {
        assert_eq!(
            sentence("new-one", None),
            "the server ended the stream: new-one; its log says more; ask who runs it"
        );
        assert_eq!(returns("new-one"), Return::AtOnce);
    }

    #[test]
    fn a_stanza_may_be_the_reason_of_what_is_not_known_to_be_about_the_stream() {
        assert!(ABOUT_STREAMS.iter().all(|condition| find(condition).is_some()));
        assert!(!is_about_a_stanza("conflict", None) && !is_about_a_stanza("system-shutdown", None));
        for condition in ["not-well-formed", "policy-violation", "undefined-condition", "new-one"] {
            assert!(is_about_a_stanza(condition, None), "{condition}");
        }
        assert!(is_about_a_stanza("policy-violation", Some("Too many messages")));
        assert!(!is_about_a_stanza("policy-violation", Some("Too many unacked stanzas")), "those are its own");
    }
}
