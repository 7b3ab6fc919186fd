//! `parlor plugin accounts`: the accounts that a plugin runs on. On further ones its grants count, too, so they are asked about.

use clap::Args;
use parlor_base::escape::EscapedPath as _;
use parlor_base::id::PluginId;
use parlor_config::{AccountName, Config, Selector};
use parlor_plugins::admin::{PluginAdmin, run_on};
use parlor_plugins::consent::listed;
use parlor_plugins::policy::Entry;
use parlor_session::permissions::Grants;
use serde_json::json;

use super::add::done;
use super::consent::{self, Request};
use crate::Ended;
use crate::ask::Terminal;
use crate::fleet::{MANY, NAMED};
use crate::places::{later, places};
use crate::show::{Put as _, print, print_json};
use crate::target::{self, Target};

/// The arguments of `parlor plugin accounts`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  parlor plugin accounts echo                  where it runs, and where not\n  parlor plugin accounts echo --add second     there, too; asked about on a terminal\n  parlor plugin accounts echo --remove second\n  parlor plugin accounts echo --add group:support     on the accounts of a group, also on later ones\n  parlor plugin accounts echo --all --yes      on all, also on those that are added later\n\nA change takes effect at once, on the running plugin. Exit codes: 0 done, or nothing to do, 3 not agreed to, 1 failed, 2 wrong usage"
)]
pub struct AccountsArgs {
    /// The plugin.
    plugin: PluginId,
    /// Let it run on this account, on group:NAME or on a pattern such as support-*, too; may be given several times.
    #[arg(long, value_name = "NAME")]
    add: Vec<Selector>,
    /// Let it run on this account, group or pattern no more; may be given several times.
    #[arg(long, value_name = "NAME")]
    remove: Vec<Selector>,
    /// Let it run on all accounts, also on those that are added later.
    #[arg(long, conflicts_with_all = ["add", "remove"])]
    all: bool,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

impl AccountsArgs {
    /// Shows the accounts, or chooses others.
    pub fn run(&self) -> anyhow::Result<()> {
        if !self.all && self.add.is_empty() && self.remove.is_empty() {
            return self.show();
        }
        let config = self.target.load_to_write()?;
        let admin = target::admin(&config);
        let id = &self.plugin;
        let entry = admin.entry(id)?;
        admin.has_accounts(&self.add)?;
        admin.has_accounts(&self.never_named(&entry))?;
        let wanted = if self.all { None } else { Some(self.wanted(&config, &entry)?) };
        if wanted.as_ref().is_some_and(Vec::is_empty) {
            let sentence =
                format!("then {id} runs on no account; `parlor plugin disable {id}` does that, so nothing was changed");
            return Err(Ended::Usage(sentence).into());
        }
        self.agree(&config, &admin, &entry, wanted.as_deref())?;
        // Another owner may have granted it more while this one was asked.
        let already = if run_on(&admin, id, wanted.as_deref(), &entry)? { "" } else { " already" };
        let on = match &wanted {
            None => "all accounts, also on those that are added later".to_owned(),
            Some(names) => some(names).unwrap_or_default(),
        };
        done(&config, id, &format!("{id} is to run on {on}{already}"), self.json)
    }

    /// Returns what is to be removed although its entry does not name it. An account that is gone may still be named there.
    fn never_named(&self, entry: &Entry) -> Vec<Selector> {
        let is_named = |selector: &Selector| entry.accounts.iter().flatten().any(|named| named == selector);
        self.remove.iter().filter(|selector| !is_named(selector)).cloned().collect()
    }

    /// Returns the accounts and groups that it is to run on. Those that are gone are left out.
    fn wanted(&self, config: &Config, entry: &Entry) -> anyhow::Result<Vec<Selector>> {
        let listed: Vec<Selector> = match &entry.accounts {
            Some(listed) => listed.iter().filter(|selector| config.has(selector)).cloned().collect(),
            None => config.accounts.keys().cloned().map(Selector::from).collect(),
        };
        let group = |name: &AccountName| config.accounts.get(name).and_then(|account| account.group.as_ref());
        let is_removed = |selector: &Selector| {
            self.remove.iter().any(|removed| match selector {
                Selector::Account(name) => removed.covers(name, group(name)),
                Selector::Group(_) | Selector::Pattern(_) => removed == selector,
            })
        };
        let mut wanted: Vec<_> = listed.into_iter().filter(|selector| !is_removed(selector)).collect();
        for selector in &self.remove {
            let Selector::Account(name) = selector else { continue };
            if let Some(other) = wanted.iter().find(|other| other.covers(name, group(name))) {
                let id = &self.plugin;
                let sentence = format!(
                    "{id} runs on {name} because its accounts name {other}, so nothing was changed: remove {other}, or take {name} out of it in {}",
                    config.file_with(name).escaped()
                );
                return Err(Ended::Usage(sentence).into());
            }
        }
        for selector in &self.add {
            if !wanted.contains(selector) {
                wanted.push(selector.clone());
            }
        }
        Ok(wanted)
    }

    /// Asks whether the grants count on accounts that it does not run on yet.
    fn agree(
        &self,
        config: &Config,
        admin: &PluginAdmin<'_>,
        entry: &Entry,
        wanted: Option<&[Selector]>,
    ) -> anyhow::Result<()> {
        let id = &self.plugin;
        let present = entry.accounts.as_deref();
        let is_new = |name: &&AccountName| config.is_chosen(name, wanted) && !config.is_chosen(name, present);
        let new: Vec<_> = config.accounts.keys().filter(is_new).cloned().map(Selector::from).collect();
        let is_known = |selector: &&Selector| present.is_none_or(|present| present.contains(selector));
        let later = match wanted {
            None => present.map(|_| "accounts that are added later".to_owned()),
            Some(wanted) => later(wanted.iter().filter(|selector| !is_known(selector))),
        };
        if self.yes || (new.is_empty() && later.is_none()) {
            return Ok(());
        }
        let what = [some(&new), later].into_iter().flatten().collect::<Vec<_>>().join(", and on ");
        let terminal = Terminal::for_consent(self.json, &format!("let {id} run on {what}"))?;
        let (manifest, before) = (admin.look(id, entry)?.manifest, Grants::default());
        let places = places(config, Some(&new));
        let request = Request::on(id, &manifest, &entry.grants, &before, &places);
        let on = if places.is_empty() { String::new() } else { format!("On {}:\n", listed(&places)) };
        consent::show(&terminal, &format!("{on}{}", request.reach()))?;
        terminal.consent(&format!("Let {id} run on {what}?"))
    }

    fn show(&self) -> anyhow::Result<()> {
        let config = self.target.load_to_look()?;
        let (id, entry) = (&self.plugin, PluginAdmin::new(&config).entry(&self.plugin)?);
        let selectors = entry.accounts.as_deref();
        let (on, off): (Vec<_>, Vec<_>) = config.accounts.keys().partition(|name| config.is_chosen(name, selectors));
        let is_later = selectors.is_none();
        let open = later(selectors.unwrap_or_default());
        if self.json {
            let names: Vec<_> = selectors.unwrap_or_default().iter().filter(|selector| selector.is_open()).collect();
            let mut shown = json!({ "plugin": id, "accounts": on, "not_on": off, "later": is_later });
            if !names.is_empty() {
                shown["selectors"] = json!(names);
            }
            return print_json(&shown);
        }
        let mut text = screen(id, &on, &off);
        if is_later {
            text.put(format_args!("{id} runs on accounts that are added later, too\n"));
        } else {
            if let Some(open) = &open {
                text.put(format_args!("{id} runs on {open}, too\n"));
            }
            let other = if open.is_some() { "other " } else { "" };
            text.put(format_args!("before {id} runs on {other}accounts that are added later, you have to agree\n"));
        }
        print(&text)
    }
}

/// Says on which accounts a plugin runs, and on which not. Of many accounts it names some.
fn screen(id: &PluginId, on: &[&AccountName], off: &[&AccountName]) -> String {
    let (mut text, all) = (String::new(), on.len() + off.len());
    if all <= MANY {
        for name in on {
            text.put(format_args!("{id} runs on {name}\n"));
        }
        for name in off {
            text.put(format_args!("{id} does not run on {name}; `parlor plugin accounts {id} --add {name}` lets it\n"));
        }
        return text;
    }
    for (verb, names) in [("runs", on), ("does not run", off)] {
        let names: Vec<_> = names.iter().map(|name| Selector::from((*name).clone())).collect();
        if let Some(shown) = some(&names) {
            text.put(format_args!("{id} {verb} on {} of {all} accounts: {shown}\n", names.len()));
        }
    }
    if !off.is_empty() {
        text.put(format_args!("`parlor plugin accounts {id} --add NAME` lets it run on another one\n"));
    }
    if on.len().max(off.len()) > NAMED {
        text.push_str("--json names all of them\n");
    }
    text
}

/// Lists the first of these accounts, and how many more there are; none if there are none.
fn some(names: &[Selector]) -> Option<String> {
    let shown = names.iter().take(NAMED).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match names.len() {
        0 => None,
        count if count > NAMED => Some(format!("{shown} and {} more", count - NAMED)),
        _ => Some(shown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_accounts_some_are_named_and_the_others_counted() {
        let name = |number: usize| format!("shop-{number}").parse::<AccountName>().unwrap();
        let names: Vec<_> = (1..=21).map(name).collect();
        let shown = |on: usize, all: usize| {
            let names: Vec<_> = names.iter().take(all).collect();
            screen(&"echo".parse().unwrap(), &names[..on], &names[on..])
        };
        assert_eq!(
            shown(1, 2),
            "echo runs on shop-1\necho does not run on shop-2; `parlor plugin accounts echo --add shop-2` lets it\n"
        );
        assert_eq!(shown(20, 20).lines().count(), 20);
        assert_eq!(
            shown(12, 21),
            "echo runs on 12 of 21 accounts: shop-1, shop-2, shop-3, shop-4, shop-5, shop-6, shop-7, shop-8, shop-9, shop-10 and 2 more\n\
             echo does not run on 9 of 21 accounts: shop-13, shop-14, shop-15, shop-16, shop-17, shop-18, shop-19, shop-20, shop-21\n\
             `parlor plugin accounts echo --add NAME` lets it run on another one\n\
             --json names all of them\n"
        );
        assert!(!shown(21, 21).contains("--add"), "it runs on all");
    }
}
