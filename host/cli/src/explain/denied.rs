//! The list of calls that a plugin was denied lately.

use parlor::control::views::Denied;
use parlor_base::permission::Permission;
use parlor_session::permissions::Grants;

use super::by_address::own_address;
use super::{is_granted, to_allow};
use crate::show::{Put as _, moment};

/// Denials of the same call.
struct Same<'e> {
    /// The last of them.
    last: &'e Denied,
    times: usize,
}

/// Appends the denied calls, each once, with what would allow it.
pub(super) fn put(text: &mut String, denied: &[Denied], grants: &Grants) {
    if denied.is_empty() {
        return;
    }
    text.push_str("\ndenied lately:\n");
    for Same { last, times } in same(denied) {
        let scope = last.scope.as_ref().map(|scope| format!(" for {scope}")).unwrap_or_default();
        let times = if times > 1 { format!(", {times} times") } else { String::new() };
        let remedy = if is_granted(last, grants) { "it is granted now".to_owned() } else { to_allow(&last.hint) };
        let at = moment(&last.at);
        text.put(format_args!("  {at}  {}{scope}{times}\n      {remedy}\n", last.permission));
        // The host keeps no path, since it may contain a secret. With a path, an address would not count for names that lead there.
        let is_grant = remedy.starts_with("to allow it: parlor plugin grant") && own_address(last).is_none();
        if last.permission == Permission::HttpFetch.as_str() && is_grant {
            text.push_str("      it allows every path of that server; to allow less, write a path behind it\n");
        }
    }
}

/// Groups equal denials, in the order in which they began.
fn same(denied: &[Denied]) -> Vec<Same<'_>> {
    let mut all: Vec<Same<'_>> = Vec::new();
    for one in denied {
        let is_it = |same: &&mut Same<'_>| {
            (&same.last.permission, &same.last.scope, &same.last.hint) == (&one.permission, &one.scope, &one.hint)
        };
        match all.iter_mut().find(is_it) {
            Some(same) => (same.last, same.times) = (one, same.times + 1),
            None => all.push(Same { last: one, times: 1 }),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_denials_are_listed_once_and_a_grant_of_a_server_says_how_wide_it_is() {
        let denied = |at: usize, scope: &str| Denied {
            at: format!("2026-03-01T09:00:{at:02}Z"),
            permission: "http.fetch".to_owned(),
            scope: Some(scope.to_owned()),
            hint: format!("parlor plugin grant weather 'http.fetch={scope}'"),
        };
        let all = [
            denied(1, "GET https://api.example.org"),
            denied(2, "GET https://other.example.org"),
            denied(3, "GET https://api.example.org"),
        ];
        let mut text = String::new();
        put(&mut text, &all, &Grants::default());
        assert!(text.contains("http.fetch for GET https://api.example.org, 2 times\n"), "{text}");
        assert!(text.contains("http.fetch for GET https://other.example.org\n"), "{text}");
        assert!(text.contains("09:00:03") && !text.contains("09:00:01"), "the last time: {text}");
        assert_eq!(text.matches("it allows every path of that server").count(), 2, "{text}");
        let mut text = String::new();
        put(&mut text, &[denied(4, "https://127.0.0.1:37444")], &Grants::default());
        assert!(!text.contains("it allows every path"), "a path would make it count for no name: {text}");
        let hopeless = Denied { hint: "no grant helps: x".to_owned(), ..denied(4, "the credential key") };
        let mut text = String::new();
        put(&mut text, &[hopeless], &Grants::default());
        assert!(text.ends_with("      no grant helps: x\n"), "{text}");
    }
}
