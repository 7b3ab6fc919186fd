//! `parlor search`: finds plugins in the indexes that the owner added. It fetches nothing.

use std::collections::BTreeMap;

use clap::Args;
use parlor_base::escape::escape_untrusted;
use parlor_base::permission::{Permission, Risk};
use parlor_plugins::admin::PluginAdmin;
use parlor_plugins::index::{Hit, Indexes, search};
use parlor_plugins::listing::Listing;
use parlor_plugins::policy::Policy;
use serde_json::{Value, json};

use super::show::{Mark, Put as _, marked, print, print_json, width, wrapped};
use super::target::Target;

/// The most of a publisher's text that is shown, in bytes.
const LONGEST: usize = 500;

/// The arguments of `parlor search`.
#[derive(Debug, Args)]
#[command(
    after_help = "A word may be in the name, in the description, or at the beginning of a permission; plugins with the word in their name come first. The publisher of the index wrote these entries: `parlor plugin add` shows the permissions of the component itself, and asks you.\n\nExamples:\n  parlor search                   everything that the indexes have\n  parlor search rss feeds\n  parlor search http.fetch        plugins that ask for that\n  parlor search --json weather | jq -r '.[].name'\n\nExit codes: 0 shown, also if nothing was found, 1 failed, 2 wrong usage"
)]
pub struct SearchArgs {
    /// Each of these words has to occur.
    words: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

impl SearchArgs {
    /// Shows what was found.
    pub fn run(&self) -> anyhow::Result<()> {
        let config = self.target.load_to_look()?;
        let all = Indexes::new(&config.data).all()?;
        let policy = PluginAdmin::new(&config).policy().unwrap_or_default();
        let hits = search(&all, &self.words);
        if self.json {
            return print_json(&hits.iter().map(|hit| as_json(hit, &policy)).collect::<Vec<_>>());
        }
        if hits.is_empty() {
            return print(if all.is_empty() {
                "no indexes; `parlor index add URL` adds one"
            } else {
                "nothing was found; `parlor index refresh` gets the indexes anew"
            });
        }
        print(&hits.iter().map(|hit| sheet(hit, &policy)).collect::<Vec<_>>().join("\n"))
    }
}

/// Describes a plugin in a few lines.
fn sheet(hit: &Hit<'_>, policy: &Policy) -> String {
    let (listing, listed) = (listing(hit), hit.listed);
    let mut text = marked(&listing.to_string(), Mark::Bold);
    if let Some((version, _)) = listed.newest() {
        text.put(format_args!(" {version}"));
    }
    if let Some(language) = &listed.language {
        text.put(format_args!("  {}", escape_untrusted(language, LONGEST)));
    }
    let installed = installed(policy, &listing);
    if !installed.is_empty() {
        text.put(format_args!("  installed as {}", installed.join(", ")));
    }
    let width = width().saturating_sub(2);
    text.put(format_args!("\n  {}\n", wrapped(&escape_untrusted(&listed.description, LONGEST), width)));
    match listed.newest() {
        None => text.push_str("  no version of it is for this parlor; a newer one may be\n"),
        Some((_, release)) if release.permissions.is_empty() => text.push_str("  asks for nothing\n"),
        Some((_, release)) => {
            let is_high = |permission: &&Permission| permission.risk() == Risk::High;
            let (high, others): (Vec<_>, Vec<_>) = release.permissions.iter().partition(is_high);
            let mut all = Vec::new();
            if !high.is_empty() {
                all.push(format!("{} (high risk)", marked(&short(&high), Mark::Red)));
            }
            all.extend(Some(short(&others)).filter(|others| !others.is_empty()));
            text.put(format_args!("  asks for {}\n", all.join(", ")));
        }
    }
    if let Some(homepage) = &listed.homepage {
        text.put(format_args!("  {}\n", escape_untrusted(&homepage.to_string(), LONGEST)));
    }
    if hit.known.has_other_key(hit.plugin) {
        let warning = marked("by another key than when it was first seen", Mark::Red);
        text.put(format_args!("  {warning}\n"));
    }
    text
}

/// Names permissions in short: `messages.read+send, storage`.
fn short(permissions: &[&Permission]) -> String {
    let mut groups = BTreeMap::<&str, Vec<&str>>::new();
    for permission in permissions {
        let (group, rest) = permission.as_str().split_once('.').unwrap_or((permission.as_str(), ""));
        groups.entry(group).or_default().extend(Some(rest).filter(|rest| !rest.is_empty()));
    }
    let name = |(group, rest): (&str, Vec<&str>)| {
        if rest.is_empty() { group.to_owned() } else { format!("{group}.{}", rest.join("+")) }
    };
    groups.into_iter().map(name).collect::<Vec<_>>().join(", ")
}

fn listing(hit: &Hit<'_>) -> Listing {
    Listing { index: hit.known.name.clone(), plugin: hit.plugin.clone() }
}

/// Returns the ids under which a plugin of an index is installed.
fn installed<'p>(policy: &'p Policy, listing: &Listing) -> Vec<&'p str> {
    let of_it = policy.plugins.iter().filter(|(_, entry)| entry.index.as_ref() == Some(listing));
    of_it.map(|(id, _)| id.as_str()).collect()
}

fn as_json(hit: &Hit<'_>, policy: &Policy) -> Value {
    let (listing, listed) = (listing(hit), hit.listed);
    let named = |permission: &Permission| json!({ "permission": permission, "risk": permission.risk().to_string() });
    let versions = listed.versions.iter().map(|(version, release)| {
        json!({
            "version": version, "digest": release.digest, "source": release.source,
            "permissions": release.permissions.iter().map(named).collect::<Vec<_>>(), "unknown": release.unknown,
        })
    });
    json!({
        "index": listing.index, "name": listing.plugin, "description": listed.description, "language": listed.language,
        "homepage": listed.homepage.as_ref().map(ToString::to_string), "key": listed.key,
        "other_key": hit.known.has_other_key(hit.plugin), "newest": listed.newest().map(|(version, _)| version),
        "versions": versions.collect::<Vec<_>>(), "installed": installed(policy, &listing),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_named_in_short() {
        let all = [Permission::MessagesRead, Permission::MessagesSend, Permission::RoomsSend, Permission::Storage];
        assert_eq!(short(&all.iter().collect::<Vec<_>>()), "messages.read+send, rooms.send, storage");
        assert_eq!(short(&[]), "");
    }
}
