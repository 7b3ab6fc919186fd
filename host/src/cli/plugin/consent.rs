//! The owner's consent: what a plugin asks for is shown, by risk and with its author's reasons, and granted or not.

use crate::cli::Ended;
use crate::cli::ask::{Terminal, is_yes};
use crate::cli::explain::right_lines;
use crate::cli::show::{Mark, marked};
use crate::permissions::{Grants, Permission, Risk};
use crate::plugins::PluginId;
use crate::plugins::desk::Wish;
use crate::plugins::manifest::Manifest;
use crate::plugins::rights::{Right, rights};

/// What a plugin asks for in words, the most harmful first; a sentence where it asks for nothing.
pub(super) fn asked(id: &PluginId, manifest: &Manifest, only: impl Fn(&Permission) -> bool) -> String {
    in_words(&wanted(id, manifest, only))
}

/// The same of what is installed, with what was granted of it.
pub(super) fn asked_and_granted(id: &PluginId, manifest: &Manifest, grants: &Grants) -> String {
    let rights = rights(id, Some(manifest), grants).into_iter().filter(|right| right.asked.is_some());
    in_words(&rights.collect::<Vec<_>>())
}

fn in_words(rights: &[Right]) -> String {
    if rights.is_empty() {
        return "It asks for nothing.\n".to_owned();
    }
    let mut text = format!("{}\n", marked("It asks for:", Mark::Bold));
    for right in rights {
        text.push_str(&right_lines(right));
    }
    text
}

fn wanted(id: &PluginId, manifest: &Manifest, only: impl Fn(&Permission) -> bool) -> Vec<Right> {
    rights(id, Some(manifest), &Grants::default()).into_iter().filter(|right| only(&right.permission)).collect()
}

/// Asks for each of these permissions that the owner has not decided about yet: all at once, or one by one. What is of high
/// risk is asked about by itself. `doing` is what the plugin is to become: "Install it".
pub(super) fn ask(
    terminal: &Terminal,
    doing: &str,
    id: &PluginId,
    manifest: &Manifest,
    only: impl Fn(&Permission) -> bool,
) -> anyhow::Result<Vec<Wish>> {
    let rights = wanted(id, manifest, only);
    let declined = || anyhow::Error::from(Ended::Declined("nothing was changed".to_owned()));
    if rights.is_empty() {
        return if terminal.agrees(&format!("{doing}?"))? { Ok(Vec::new()) } else { Err(declined()) };
    }
    let question = format!("{doing}, and grant all of that? [y]es, [e]ach by itself, [N]o:");
    let answer = terminal.ask(&question)?.unwrap_or_default();
    let each = ["e", "each"].contains(&answer.to_ascii_lowercase().as_str());
    if !each && !is_yes(&answer) {
        return Err(declined());
    }
    let mut wishes = Vec::new();
    for right in rights {
        let permission = right.permission;
        let asked = right.asked.as_ref();
        let mut scope = None;
        let mut granted = true;
        if each {
            let entries = asked.map(|asked| asked.scope.join(", ")).filter(|entries| !entries.is_empty());
            let what = entries.map(|entries| format!(" for {entries}")).unwrap_or_default();
            let other = if what.is_empty() { "" } else { ", or write for whom or what instead" };
            let question = format!("Grant {permission}{what}? [y/N]{other}:");
            let answer = terminal.ask(&question)?.ok_or_else(declined)?;
            granted = is_yes(&answer);
            if !granted
                && !answer.is_empty()
                && !["n", "no"].contains(&answer.to_ascii_lowercase().as_str())
                && !other.is_empty()
            {
                scope = Some(answer.split(',').map(|entry| entry.trim().to_owned()).collect());
                granted = true;
            }
        }
        if granted && permission.risk() == Risk::High {
            let name = marked(permission.as_str(), Mark::Red);
            granted = terminal.agrees(&format!("{name} is of high risk: {} Grant it?", right.what))?;
        }
        if granted {
            wishes.push(Wish { permission, scope });
        } else if asked.is_some_and(|asked| !asked.optional) {
            return Err(Ended::Declined(format!("{id} cannot do without {permission}; nothing was changed")).into());
        }
    }
    Ok(wishes)
}
