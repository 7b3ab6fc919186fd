//! The addresses of webhooks, as requests name them.

use parlor_base::id::PluginId;
use parlor_plugins::webhook::is_name;
use parlor_runtime::webhooks::GivenToken;

/// Splits the path of a webhook into the plugin, the name and the token. Any other path, also one that is only spelled
/// differently, is none, and no webhook is looked for.
pub(super) fn parts(path: &str) -> Option<(PluginId, &str, GivenToken)> {
    let mut parts = path.strip_prefix("/hooks/")?.split('/');
    let (plugin, name, token) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || !is_name(name) {
        return None;
    }
    Some((plugin.parse().ok()?, name, GivenToken::of(token)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn only_one_spelling_of_a_path_leads_to_a_webhook() {
        let whole = |path: &str| {
            let path = path.replace("TOKEN", TOKEN);
            parts(&path).map(|(plugin, name, _)| format!("{plugin} {name}"))
        };
        assert_eq!(whole("/hooks/forge/github/TOKEN").as_deref(), Some("forge github"));
        for path in [
            "",
            "/",
            "/hooks",
            "/hooks/forge/github",
            "/hooks/forge/github/",
            "/hooks/forge/github/TOKEN/",
            "/hooks/forge/github/TOKEN/x",
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
}
