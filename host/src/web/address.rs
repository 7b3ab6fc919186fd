//! The addresses of webhooks, as requests name them.

use parlor_base::id::PluginId;
use parlor_plugins::webhook::{below, is_name};
use parlor_runtime::webhooks::GivenToken;

/// The address of a webhook, as the path of a request names it.
#[derive(Debug)]
pub(super) struct Address<'p> {
    pub(super) plugin: PluginId,
    pub(super) name: &'p str,
    pub(super) token: GivenToken,
    /// The part of the path below the address, decoded.
    pub(super) below: Option<String>,
}

/// Splits the path of a webhook. Any other path, also one that is only spelled differently, is none, and no webhook is looked for.
pub(super) fn parts(path: &str) -> Option<Address<'_>> {
    let mut parts = path.strip_prefix("/hooks/")?.splitn(4, '/');
    let (plugin, name, token) = (parts.next()?, parts.next()?, parts.next()?);
    let written = parts.next();
    if !is_name(name) {
        return None;
    }
    let (plugin, token) = (plugin.parse().ok()?, GivenToken::of(token)?);
    let below = match written {
        Some(written) => Some(below(written)?),
        None => None,
    };
    Some(Address { plugin, name, token, below })
}

/// Returns the part of the path of a webhook that is its address: all requests below it share its memory.
pub(super) fn address(path: &str) -> &str {
    path.match_indices('/').nth(4).map_or(path, |(end, _)| &path[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn only_one_spelling_of_a_path_leads_to_a_webhook() {
        let whole = |path: &str| {
            let path = path.replace("TOKEN", TOKEN);
            parts(&path).map(|Address { plugin, name, below, .. }| format!("{plugin} {name} {below:?}"))
        };
        assert_eq!(whole("/hooks/forge/github/TOKEN").as_deref(), Some("forge github None"));
        assert_eq!(whole("/hooks/forge/github/TOKEN/x/%79").as_deref(), Some("forge github Some(\"x/y\")"));
        for path in [
            "",
            "/",
            "/hooks",
            "/hooks/forge/github",
            "/hooks/forge/github/",
            "/hooks/forge/github/TOKEN/",
            "/hooks/forge/github/TOKEN//",
            "/hooks/forge/github/TOKEN//x",
            "/hooks/forge/github/TOKEN/x/",
            "/hooks/forge/github/TOKEN/..",
            "/hooks/forge/github/TOKEN/x/%2e%2e",
            "/hooks/forge/github/TOKEN/x%2fy",
            "/hooks/forge/github/TOKEN%2fx",
            "//hooks/forge/github/TOKEN",
            "/hooks//forge/github/TOKEN",
            "/HOOKS/forge/github/TOKEN",
            "/hooks/Forge/github/TOKEN",
            "/hooks/../forge/github/TOKEN",
            "/hooks/%66orge/github/TOKEN",
            "/hooks/forge/..%2fgithub/TOKEN",
            "/hooks/forge//TOKEN",
            "/x/hooks/forge/github/TOKEN",
        ] {
            assert_eq!(whole(path), None, "{path}");
        }
    }

    #[test]
    fn a_path_that_no_webhook_can_have_is_none_however_long_it_is() {
        let is_one = |name: &str, token: &str| parts(&format!("/hooks/forge/{name}/{token}")).is_some();
        assert!(is_one(&"x".repeat(32), TOKEN));
        let long = "a".repeat(65_000);
        for (name, token) in [
            ("github", &TOKEN[1..]),
            ("github", &format!("{TOKEN}0")),
            ("github", &TOKEN.to_uppercase()),
            ("github", &TOKEN.replace('0', "%30")),
            ("github", &long),
            (&"x".repeat(33), TOKEN),
            (&long, TOKEN),
            ("GitHub", TOKEN),
        ] {
            assert!(!is_one(name, token), "{name} {token}");
        }
        assert!(parts(&format!("/hooks/{long}/github/{TOKEN}")).is_none());
    }

    #[test]
    fn requests_below_an_address_share_what_it_has() {
        let whole = format!("/hooks/forge/github/{TOKEN}");
        for path in [whole.clone(), format!("{whole}/x"), format!("{whole}/x/y")] {
            assert_eq!(address(&path), whole);
        }
        assert_eq!((address("/"), address("/hooks/x")), ("/", "/hooks/x"));
    }
}
