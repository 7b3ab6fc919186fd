//! The last denial by address, which explains a request: a name may be granted, and lead to an address that is not.

use std::net::SocketAddr;

use parlor::control::views::{Answer, Denied};
use parlor_base::permission::{Permission, ScopeKind};
use parlor_base::web_address::{Server, WebAddress};
use parlor_session::permissions::question::Outcome;
use parlor_session::permissions::{Grants, Scope};

use super::is_granted;
use crate::show::moment;

/// Takes each yes about a request to a named server back, if a name led to an address at its port that was refused and is not
/// granted yet. The record of a denial has no name.
pub(super) fn heed(answers: &mut [Answer], about: Option<&str>, denied: &[Denied], grants: &Grants) {
    let Some(port) = about.and_then(port_of_name) else { return };
    let is_it =
        |one: &&Denied| own_address(one).is_some_and(|address| address.port() == port) && !is_granted(one, grants);
    let Some(last) = denied.iter().filter(is_it).max_by_key(|one| one.at.clone()) else { return };
    let address = last.scope.as_deref().unwrap_or_default();
    for answer in answers.iter_mut().filter(|answer| answer.answer == Outcome::Yes) {
        answer.answer = Outcome::Unknown;
        answer.reason = format!(
            "{}; at {}, a request by a name at that port was refused, since it led to {address}",
            answer.reason,
            moment(&last.at)
        );
        answer.remedy = Some(last.hint.clone());
    }
}

/// Returns the port of a URL whose server is named, with or without a method before it.
fn port_of_name(about: &str) -> Option<u16> {
    let address = WebAddress::parse(about.rsplit(' ').next()?).ok()?;
    matches!(address.server(), Server::Domain(_)).then(|| address.port())
}

/// Returns the address of the owner's own network that a denial is about, if it is about one.
pub(super) fn own_address(denied: &Denied) -> Option<SocketAddr> {
    let scope = denied.scope.as_ref().filter(|_| denied.permission == Permission::HttpFetch.as_str())?;
    Scope::parse(ScopeKind::Servers, &[scope]).ok()?.own_address()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_yes_about_a_name_is_none_after_its_address_was_refused_until_that_is_granted() {
        let denied = |at: &str, scope: &str| Denied {
            at: at.to_owned(),
            permission: "http.fetch".to_owned(),
            scope: Some(scope.to_owned()),
            hint: format!("parlor plugin grant quotes http.fetch={scope}"),
        };
        let all = [
            denied("2026-11-20T08:00:00Z", "https://10.0.0.1:37443"),
            denied("2026-11-20T09:00:00Z", "https://127.0.0.1:37443"),
            denied("2026-11-20T10:00:00Z", "https://127.0.0.1:1"),
            denied("2026-11-20T10:00:00Z", "https://api.test:37443"),
        ];
        let after = |url: &str, entries: &[&str]| {
            let mut grants = Grants::default();
            grants.grant(Permission::HttpFetch, entries).unwrap();
            let (reason, remedy) = ("it is granted".to_owned(), None);
            let mut answers = [Answer { account: None, answer: Outcome::Yes, permission: None, reason, remedy }];
            heed(&mut answers, Some(url), &all, &grants);
            let [answer] = answers;
            answer
        };
        let answer = after("https://api.test:37443/quote", &["https://api.test:37443"]);
        assert_eq!(answer.answer, Outcome::Unknown);
        assert!(
            answer.reason.starts_with("it is granted; at ")
                && answer.reason.ends_with("led to https://127.0.0.1:37443")
        );
        assert_eq!(answer.remedy.as_deref(), Some("parlor plugin grant quotes http.fetch=https://127.0.0.1:37443"));
        // A star does not allow the address.
        assert_eq!(after("POST https://api.test:37443/quote", &["*"]).answer, Outcome::Unknown);
        let both = ["*", "https://127.0.0.1:37443", "https://10.0.0.1:37443"];
        assert_eq!(after("https://api.test:37443/quote", &both).answer, Outcome::Yes);
        for other in ["https://api.test/quote", "https://127.0.0.1:37443/", "alice@example.org"] {
            assert_eq!(after(other, &["*"]).answer, Outcome::Yes, "{other}");
        }
    }
}
