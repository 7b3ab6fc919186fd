//! `parlor plugin inspect`: shows what a plugin is, before or after it is installed.

use anyhow::bail;
use clap::Args;
use parlor_base::escape::{escape_untrusted, quoted_untrusted};
use parlor_base::id::PluginId;
use parlor_config::url::Url;
use parlor_plugins::admin::{Offer, PluginAdmin};
use parlor_plugins::component::Examined;
use parlor_plugins::manifest::Manifest;
use parlor_plugins::policy::Entry;
use parlor_plugins::policy::hooks::{OnFailure, OrderName};
use parlor_plugins::setting::{Setting, SettingKind};
use parlor_plugins::signature::KeyName;
use parlor_plugins::source::{Downloaded, LogIn, Source};
use parlor_plugins::webhook::{Mode, Webhook};
use parlor_runtime::rights::rights;
use parlor_session::permissions::Grants;
use semver::Version;
use serde_json::{Map, Value, json};

use super::consent;
use crate::Ended;
use crate::show::{Mark, Put as _, marked, print, print_json, size};
use crate::target::Target;

/// How much of an author's text is shown, in bytes.
pub(super) const LONGEST: usize = 1_000;
/// The longest query of an address that is shown in full, in bytes.
const LONGEST_QUERY: usize = 100;

/// The signer of a file without a valid signature by a trusted key.
const NOBODY: &str = "nobody whom you trust";

/// The signer of a file that only its publisher has signed.
const BY_PUBLISHER: &str = "its publisher, whom plugins.toml does not trust by name";

/// The arguments of `parlor plugin inspect`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  parlor plugin inspect echo.wasm    a file, before it is installed\n  parlor plugin inspect https://example.org/echo.wasm\n  parlor plugin inspect echo         what is installed under this id\n\nNothing of it is run. Exit codes: 0 shown, 1 it is not fit to run, 2 wrong usage"
)]
pub struct InspectArgs {
    /// The id of an installed plugin, or a source as for `add`.
    what: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

impl InspectArgs {
    /// Prints the plugin's properties.
    pub fn run(&self) -> anyhow::Result<()> {
        let (is_file, read) = (self.what.contains(['/', '.']), self.what.parse::<PluginId>());
        // A file can be inspected without a configuration.
        let (examined, source, id, (signer, by_whom), entry) = match read {
            Ok(id) if !is_file => {
                let config = self.target.load()?;
                let admin = PluginAdmin::new(&config);
                let entry = admin.entry(&id)?;
                let signer = (entry.signer.clone(), by_whom(&entry));
                (admin.look(&id, &entry)?, entry.source.to_string(), id, signer, Some(entry))
            }
            read => {
                let source = super::add::source(&self.what).map_err(|error| Ended::Usage(error.to_string()))?;
                if let (Err(error), Source::File(path)) = (read, &source)
                    && !is_file
                    && !path.exists()
                {
                    bail!(Ended::Usage(error.to_string()));
                }
                super::add::is_no_folder(&source)?;
                let fetched = source.fetch(&LogIn::Stored)?;
                let signer = self.signer(&source, &fetched);
                let offer = Offer::of(self.what.clone(), fetched.bytes)?;
                let id = offer.manifest().name.clone();
                (offer.examined, self.what.clone(), id, signer, None)
            }
        };
        if self.json {
            let signer = signer.as_ref().map(ToString::to_string);
            return print_json(&as_json(&id, &examined, &source, signer.as_deref(), entry.as_ref()));
        }
        print(&sheet(&examined, &source))?;
        for (name, _) in examined.manifest.settings.iter().filter(|(_, one)| one.kind.is_secret()) {
            if let Some(entry) = &entry {
                let where_ = entry.settings.0.get(name).map_or_else(|| "(absent)".to_owned(), super::config::kept);
                print(&format!("  {:9} {name} {}", "secret", escape_untrusted(&where_, LONGEST)))?;
            }
        }
        if let Some(by_whom) = by_whom {
            print(&format!("  {:9} {by_whom}", "signed by"))?;
        }
        if let Some(text) = entry.as_ref().map(published).filter(|text| !text.is_empty()) {
            print(&text)?;
        }
        print(&consent::asked_and_granted(&id, &examined.manifest, entry.as_ref().map(|entry| &entry.grants)))?;
        if is_a_hook(&examined.manifest) { print(&as_a_hook(self.rule_of_hooks())) } else { Ok(()) }
    }

    /// Returns the owner's rule for hooks that cannot answer. Without a configuration, none is written.
    fn rule_of_hooks(&self) -> Option<OnFailure> {
        let config = self.target.load().ok()?;
        PluginAdmin::new(&config).policy().ok()?.hooks.on_failure()
    }

    /// Returns the signer of a file that is not installed, and a description, or the reason why there is none. The
    /// policy lists the trusted keys; without a configuration, both are none.
    fn signer(&self, source: &Source, fetched: &Downloaded) -> (Option<KeyName>, Option<String>) {
        let Ok(config) = self.target.load() else { return (None, None) };
        match PluginAdmin::new(&config).signer(source, fetched) {
            Ok(signer) => {
                let (signer, comment) = signer.map(|signer| (signer.key, signer.comment)).unzip();
                let words = signed_by(signer.as_ref(), comment.as_deref());
                (signer, Some(words))
            }
            Err(error) => (None, Some(format!("{NOBODY}: {}", escape_untrusted(&error.to_string(), LONGEST)))),
        }
    }
}

/// Returns whether a plugin asks to be a hook.
fn is_a_hook(manifest: &Manifest) -> bool {
    OrderName::ALL.iter().any(|order| manifest.permissions.contains_key(&order.permission()))
}

/// Says what happens when the plugin cannot answer as a hook.
fn as_a_hook(rule: Option<OnFailure>) -> String {
    format!("As a hook: {}.\n", OnFailure::in_words(rule))
}

/// Returns who signed an installed plugin, if anybody did whose key the policy has.
fn by_whom(entry: &Entry) -> Option<String> {
    let by_publisher = || entry.publisher.as_ref().map(|_| BY_PUBLISHER.to_owned());
    entry.signer.as_ref().map(ToString::to_string).or_else(by_publisher)
}

/// Describes the index and the publisher of an installed plugin; empty if it has neither.
fn published(entry: &Entry) -> String {
    let index = entry.index.as_ref().map(|index| format!("  {:9} {index}", "index"));
    let publisher = entry.publisher.as_ref().map(|publisher| format!("  {:9} {publisher}", "publisher"));
    index.into_iter().chain(publisher).collect::<Vec<_>>().join("\n")
}

/// Describes the signer.
fn signed_by(signer: Option<&KeyName>, comment: Option<&str>) -> String {
    let comment =
        comment.map(|comment| format!(", who says {}", quoted_untrusted(comment, usize::MAX))).unwrap_or_default();
    signer.map_or_else(|| NOBODY.to_owned(), ToString::to_string) + &comment
}

/// Describes an offered plugin, with its redirects and its signer.
pub(super) fn offered(offer: &Offer) -> String {
    let mut text = sheet(&offer.examined, &offer.source);
    for url in &offer.redirects {
        text.put(format_args!("  {:9} {}\n", "led to", escape_untrusted(&without_token(url), LONGEST)));
    }
    let by_whom = match (&offer.signer, &offer.publisher) {
        (None, Some(_)) => BY_PUBLISHER.to_owned(),
        (signer, _) => signed_by(signer.as_ref(), offer.comment.as_deref()),
    };
    text.put(format_args!("  {:9} {by_whom}\n", "signed by"));
    if let Some(publisher) = &offer.publisher {
        let index = publisher.index.as_ref().map(|index| format!(" ({index})")).unwrap_or_default();
        text.put(format_args!("  {:9} {}{index}\n", "publisher", publisher.key));
    }
    text
}

/// Returns the address without a long query: it may hold a token that lets any reader fetch the file while it is valid.
fn without_token(url: &Url) -> String {
    match url.path().split_once('?') {
        Some((path, query)) if query.len() > LONGEST_QUERY => format!("https://{}{path}?…", url.authority()),
        _ => url.to_string(),
    }
}

/// Describes a plugin, with untrusted text escaped.
pub(super) fn sheet(examined: &Examined, source: &str) -> String {
    let manifest = &examined.manifest;
    let title = marked(&format!("{} {}", manifest.name, manifest.version), Mark::Bold);
    let mut text = format!("{title}  {}\n", escape_untrusted(&manifest.description, LONGEST));
    let mut line = |name: &str, value: &str| text.put(format_args!("  {name:9} {value}\n"));
    line("source", &escape_untrusted(source, LONGEST));
    line("digest", &examined.digest.to_string());
    line("size", &size(examined.size as u64));
    line("language", examined.language.as_deref().unwrap_or("unknown"));
    line("contract", &manifest.api.to_string());
    if !manifest.authors.is_empty() {
        line("authors", &escape_untrusted(&manifest.authors.join(", "), LONGEST));
    }
    if let Some(license) = &manifest.license {
        line("license", &escape_untrusted(license, LONGEST));
    }
    if let Some(change) = manifest.changes.get(&manifest.version) {
        line("new", &format!("“{}”", escape_untrusted(change, LONGEST)));
    }
    if examined.needs.wasi {
        line("WASI", "its language wants one, and gets an empty one");
    }
    for (name, dependency) in &manifest.dependencies {
        let optional = if dependency.optional { ", if it is there" } else { "" };
        line("needs", &format!("{name} {}{optional}", dependency.version));
    }
    for (name, setting) in &manifest.settings {
        let what = escape_untrusted(&setting.description, LONGEST);
        line("setting", &format!("{name} ({}): {what}", setting_in_words(setting)));
    }
    for (name, webhook) in &manifest.webhooks {
        let what = escape_untrusted(&webhook.description, LONGEST);
        line("webhook", &format!("{name} ({}): {what}", webhook_in_words(webhook)));
    }
    text
}

/// Describes the type of a setting, where a secret goes, and whether the owner has to give a value.
fn setting_in_words(setting: &Setting) -> String {
    let secret = match &setting.kind {
        SettingKind::Secret => ", which reaches the plugin".to_owned(),
        SettingKind::Credential(Some(binding)) => {
            let servers = binding.servers().entries().join(", ");
            format!(
                ", which only goes to {}, in {}",
                escape_untrusted(&servers, LONGEST),
                binding.places().join(" and ")
            )
        }
        // The manifest's reader refuses one that no webhook names.
        SettingKind::Credential(None) => ", which only verifies requests to webhooks".to_owned(),
        _ => String::new(),
    };
    let required = if setting.required { ", required" } else { "" };
    let default = setting.default.as_ref().map(|value| escape_untrusted(&value.to_string(), LONGEST));
    let default = default.map(|value| format!(", {value} by default")).unwrap_or_default();
    format!("{}{secret}{required}{default}", setting.kind)
}

/// Describes who may send requests to a webhook, which ones, who answers, and what the plugin gets.
pub(crate) fn webhook_in_words(webhook: &Webhook) -> String {
    let answers = match webhook.mode {
        Mode::Queue => "the host answers",
        Mode::Answer => "the plugin answers",
    };
    let secret = webhook.secret.as_ref().map(|name| format!(" by {name}")).unwrap_or_default();
    let headers = match &webhook.headers[..] {
        [] => String::new(),
        some => format!(", the plugin gets the headers {}", escape_untrusted(&some.join(", "), LONGEST)),
    };
    let paths = if webhook.paths { ", also at paths below its address" } else { "" };
    format!(
        "takes {}{paths}, verified by {}{secret}, {answers}{headers}",
        escape_untrusted(&webhook.methods.join(", "), LONGEST),
        escape_untrusted(&webhook.verification.about(), LONGEST)
    )
}

/// Returns the changes of these versions in the author's words, for programs.
pub(super) fn changes<'m>(changes: impl Iterator<Item = (&'m Version, &'m String)>) -> Value {
    changes
        .map(|(version, change)| (version.to_string(), escape_untrusted(change, LONGEST).into()))
        .collect::<Map<_, _>>()
        .into()
}

fn as_json(id: &PluginId, examined: &Examined, source: &str, signer: Option<&str>, entry: Option<&Entry>) -> Value {
    let manifest = &examined.manifest;
    let setting = |(name, setting): (&String, &Setting)| {
        let description = escape_untrusted(&setting.description, LONGEST);
        let is_set = entry.is_some_and(|entry| entry.settings.0.contains_key(name));
        json!({
            "name": name, "type": setting.kind.to_string(), "default": setting.default, "set": is_set,
            "required": setting.required, "description": description,
        })
    };
    let webhook = |(name, webhook): (&String, &Webhook)| {
        json!({
            "name": name, "mode": webhook.mode.as_str(), "verification": webhook.verification.about(),
            "secret": webhook.secret, "methods": webhook.methods, "paths": webhook.paths, "headers": webhook.headers,
            "description": escape_untrusted(&webhook.description, LONGEST),
        })
    };
    json!({
        "id": id,
        "installed": entry.is_some(),
        "name": manifest.name,
        "version": manifest.version,
        "contract": manifest.api,
        "description": escape_untrusted(&manifest.description, LONGEST),
        "authors": manifest.authors.iter().map(|author| escape_untrusted(author, LONGEST)).collect::<Vec<_>>(),
        "changes": changes(manifest.changes.iter()),
        "license": manifest.license.as_deref().map(|license| escape_untrusted(license, LONGEST)),
        "source": escape_untrusted(source, LONGEST),
        "signer": signer,
        "index": entry.and_then(|entry| entry.index.as_ref()),
        "publisher": entry.and_then(|entry| entry.publisher.as_ref()),
        "digest": examined.digest,
        "size": examined.size,
        "language": examined.language,
        "wasi": examined.needs.wasi,
        "permissions": rights(id, Some(manifest), entry.map_or(&Grants::default(), |entry| &entry.grants)),
        "settings": manifest.settings.iter().map(setting).collect::<Vec<_>>(),
        "webhooks": manifest.webhooks.iter().map(webhook).collect::<Vec<_>>(),
        "calls": examined.imports.iter().map(|import| format!("{}.{}", import.grouping, import.function)).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use parlor_base::id::Digest;
    use parlor_plugins::policy::Policy;

    use super::*;

    #[test]
    fn an_installed_plugin_shows_its_index_its_publisher_and_who_signed_it() {
        const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
        let entry = |more: &str| {
            let digest = Digest::of(b"");
            let text =
                format!("[plugin.echo]\nsource = \"https://example.org/echo.wasm\"\ndigest = \"{digest}\"\n{more}");
            let policy = Policy::parse(&text, Path::new("/x")).unwrap();
            policy.plugins.into_values().next().unwrap()
        };
        let listed = entry(&format!("index = \"examples/echo\"\npublisher = \"{KEY}\"\n"));
        assert_eq!(published(&listed), format!("  index     examples/echo\n  publisher {KEY}"));
        assert_eq!(by_whom(&listed).as_deref(), Some(BY_PUBLISHER));
        let plain = entry("");
        assert_eq!((published(&plain), by_whom(&plain)), (String::new(), None));
    }

    #[test]
    fn an_owner_reads_what_is_required_where_secrets_go_and_what_a_webhook_takes() {
        let manifest: Manifest = r#"
[plugin]
name = "forge"
version = "0.1.0"
api = "0.1.0"
description = "d"

[permissions]
"webhooks.receive" = { reason = "r" }

[settings.secret]
type = "credential"
required = true
description = "d"

[settings.api_key]
type = "credential"
hosts = ["https://api.example.org", "*.example.net"]
description = "d"

[settings.seed]
type = "secret"
description = "d"

[webhook.github]
description = "d"
verify = "github"
secret = "secret"
methods = ["POST", "PUT"]
headers = ["x-github-event"]

[webhook.wide]
description = "d"
verify = "github"
secret = "secret"
paths = true
"#
        .parse()
        .unwrap();
        let words = |name: &str| setting_in_words(&manifest.settings[name]);
        assert_eq!(words("secret"), "credential, which only verifies requests to webhooks, required");
        let key = words("api_key");
        assert!(key.starts_with("credential, which only goes to "), "{key}");
        assert!(key.contains("https://api.example.org") && key.contains("*.example.net"), "{key}");
        assert_eq!(words("seed"), "secret, which reaches the plugin");
        let webhook = webhook_in_words(&manifest.webhooks["github"]);
        assert!(webhook.starts_with("takes POST, PUT, verified by ") && webhook.contains(" by secret, "), "{webhook}");
        assert!(webhook.ends_with(", the host answers, the plugin gets the headers x-github-event"), "{webhook}");
        assert!(!webhook.contains("paths"), "{webhook}");
        let below = webhook_in_words(&manifest.webhooks["wide"]);
        assert!(below.starts_with("takes POST, also at paths below its address, verified by "), "{below}");
    }

    #[test]
    fn a_plugin_that_asks_to_be_a_hook_shows_what_happens_when_it_cannot_answer() {
        let manifest = |permission: &str| {
            let head = "[plugin]\nname = \"echo\"\nversion = \"0.1.0\"\napi = \"0.1.0\"\ndescription = \"Says it\"";
            let asks = format!("{head}\n[permissions]\n\"{permission}\" = {{ scope = [\"*\"], reason = \"x\" }}\n");
            Manifest::parse(&asks).unwrap()
        };
        assert!(is_a_hook(&manifest("hooks.incoming")) && !is_a_hook(&manifest("messages.read")));
        assert!(
            as_a_hook(None).starts_with("As a hook: if it cannot answer, messages and commands pass without it, but")
        );
        assert!(as_a_hook(Some(OnFailure::Stop)).contains("are stopped, by `on_failure = \"stop\"`"));
    }
}
