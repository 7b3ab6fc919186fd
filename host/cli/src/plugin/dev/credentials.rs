//! The credentials that an author gives a plugin to try it: read before anything else, and never shown.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context as _, bail};
use parlor_authoring::plugin_test::ByHand;
use parlor_base::escape::{EscapedPath as _, escape_untrusted};
use parlor_base::nearest::{nearest, suggestion};
use parlor_plugins::manifest::Manifest;
use parlor_plugins::secret::SecretSource;
use parlor_plugins::setting::SettingKind;
use parlor_session::permissions::Scope;

use crate::ask::Terminal;
use crate::wait_for;

/// How much of a name is shown, in bytes.
const SHOWN: usize = 128;

/// A credential as an argument names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    name: String,
    /// The file with its value; `None`: the author types it.
    file: Option<PathBuf>,
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, file) = text.split_once('=').map_or((text, None), |(name, file)| (name, Some(file)));
        if name.is_empty() || file.is_some_and(str::is_empty) {
            return Err(
                "write the name of the setting, as in api_key, or the file with it, as in api_key=key.txt".to_owned()
            );
        }
        Ok(Self { name: name.to_owned(), file: file.map(PathBuf::from) })
    }
}

/// Reads the values, from their files or the terminal. Must be called outside of a runtime.
pub(super) fn read(all: &[Named]) -> anyhow::Result<BTreeMap<String, String>> {
    all.iter().map(|one| Ok((one.name.clone(), one.value()?))).collect()
}

impl Named {
    fn value(&self) -> anyhow::Result<String> {
        let name = escape_untrusted(&self.name, SHOWN);
        let value = match (&self.file, Terminal::open()) {
            (Some(file), _) => {
                let read = wait_for(SecretSource::File(file.clone()).open())?;
                read.with_context(|| format!("the credential {name} in {}", file.escaped()))?
            }
            (None, Some(terminal)) => {
                let typed = terminal.ask_hidden(&format!("The credential {name}, which is not shown:"))?;
                typed.with_context(|| format!("no credential {name} was typed"))?
            }
            (None, None) => {
                bail!(
                    "nobody can be asked for the credential {name} here: write --credential {name}=FILE, with its value in the file"
                )
            }
        };
        if !SettingKind::Credential(None).is_long_enough(&value) {
            bail!(
                "the credential {name} has fewer than 8 bytes: a shorter one would be found in answers that do not contain it"
            );
        }
        Ok(value)
    }
}

/// Says to which servers each credential of a plugin goes, and what is missing or goes nowhere.
pub(super) fn remarks(manifest: &Manifest, by_hand: &ByHand) -> Vec<String> {
    let bound = |(name, servers): (&str, &Scope)| {
        let servers = servers.entries().join(", ");
        if by_hand.credentials.contains_key(name) {
            return format!("the credential {name} goes to {servers} alone, in requests of the plugin that name it");
        }
        format!(
            "the credential {name} is not given, so requests that name it fail with `not-found`; to send it to {servers}, begin \
             with --credential {name}, which asks for it"
        )
    };
    let mut all: Vec<_> = bindings(manifest).map(bound).collect();
    let names = || secrets(manifest);
    for name in by_hand.credentials.keys().filter(|name| names().all(|known| known != name.as_str())) {
        let near = suggestion(nearest(name, names()));
        all.push(format!(
            "plugin.toml has no credential {}{near}; its value goes nowhere",
            escape_untrusted(name, SHOWN)
        ));
    }
    all
}

/// Returns the credentials of a plugin that go to servers, with those.
fn bindings(manifest: &Manifest) -> impl Iterator<Item = (&str, &Scope)> {
    manifest.settings.iter().filter_map(|(name, setting)| match &setting.kind {
        SettingKind::Credential(Some(binding)) => Some((name.as_str(), binding.servers())),
        _ => None,
    })
}

/// Returns the names of all credentials of a plugin.
pub(super) fn secrets(manifest: &Manifest) -> impl Iterator<Item = &str> {
    let all = manifest.settings.iter().filter(|(_, setting)| matches!(setting.kind, SettingKind::Credential(_)));
    all.map(|(name, _)| name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLUGIN: &str = r#"
[plugin]
name = "weather"
version = "0.1.0"
api = "0.1.0"
description = "d"

[permissions]
"http.fetch" = { scope = ["https://api.example.org"], reason = "r" }

[settings.api_key]
type = "credential"
hosts = ["https://api.example.org"]
description = "d"
"#;

    fn given(name: &str) -> ByHand {
        ByHand { credentials: [(name.to_owned(), "no-secret-of-anybody".to_owned())].into(), ca_file: None }
    }

    #[test]
    fn a_credential_is_named_alone_or_with_its_file() {
        let named = |text: &str| text.parse::<Named>();
        assert_eq!(named("api_key"), Ok(Named { name: "api_key".to_owned(), file: None }));
        assert_eq!(named("api_key=a=b"), Ok(Named { name: "api_key".to_owned(), file: Some("a=b".into()) }));
        assert!(named("").is_err() && named("=x").is_err() && named("api_key=").is_err());
    }

    #[test]
    fn an_author_reads_where_a_credential_goes_and_which_one_is_missing() {
        let manifest = Manifest::parse(PLUGIN).unwrap();
        let said = |by_hand: ByHand| remarks(&manifest, &by_hand);
        let given_one = said(given("api_key"));
        let [one] = &given_one[..] else { panic!("{given_one:?}") };
        assert!(one.starts_with("the credential api_key goes to https://api.example.org alone"), "{one}");
        assert!(!one.contains("no-secret"), "{one}");
        let nothing = said(ByHand::default());
        let [one] = &nothing[..] else { panic!("{nothing:?}") };
        assert!(one.contains("`not-found`") && one.contains("--credential api_key"), "{one}");
        let misspelt = said(given("api_kye"));
        let [_, other] = &misspelt[..] else { panic!("{misspelt:?}") };
        assert_eq!(other, "plugin.toml has no credential api_kye, did you mean \"api_key\"?; its value goes nowhere");
    }
}
