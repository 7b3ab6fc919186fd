//! `parlor plugin accounts`: the accounts that a plugin runs on. On further ones its grants count, too, so they are asked about.

use clap::Args;
use parlor_base::id::PluginId;
use parlor_config::{AccountName, Config};
use parlor_plugins::admin::{PluginAdmin, run_on};
use parlor_plugins::consent::listed;
use parlor_plugins::policy::Entry;
use parlor_session::permissions::Grants;
use serde_json::json;

use super::add::done;
use super::consent::{self, Request};
use super::places::places;
use crate::Ended;
use crate::ask::Terminal;
use crate::show::{Put as _, print, print_json};
use crate::target::{self, Target};

/// The arguments of `parlor plugin accounts`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  parlor plugin accounts echo                  where it runs, and where not\n  parlor plugin accounts echo --add second     there, too; asked about on a terminal\n  parlor plugin accounts echo --remove second\n  parlor plugin accounts echo --all --yes      on all, also on those that are added later\n\nIt counts at once, on the running plugin. Exit codes: 0 done, or nothing to do, 3 not agreed to, 1 failed, 2 wrong usage"
)]
pub struct AccountsArgs {
    /// The plugin.
    plugin: PluginId,
    /// Let it run on this account, too; may be given several times.
    #[arg(long, value_name = "NAME")]
    add: Vec<AccountName>,
    /// Let it run on this account no more; may be given several times.
    #[arg(long, value_name = "NAME")]
    remove: Vec<AccountName>,
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
        let wanted = if self.all { None } else { Some(self.wanted(&config, &entry)) };
        if wanted.as_ref().is_some_and(Vec::is_empty) {
            let sentence =
                format!("then {id} runs on no account; `parlor plugin disable {id}` does that, so nothing was changed");
            return Err(Ended::Usage(sentence).into());
        }
        self.agree(&config, &admin, &entry, wanted.as_deref())?;
        let already = if run_on(&admin, id, wanted.as_deref())? { "" } else { " already" };
        let on = match &wanted {
            None => "all accounts, also on those that are added later".to_owned(),
            Some(names) => names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        };
        done(&config, id, &format!("{id} is to run on {on}{already}"), self.json)
    }

    /// Returns the accounts that it should run on. Accounts that no longer exist are left out.
    fn wanted(&self, config: &Config, entry: &Entry) -> Vec<AccountName> {
        let present = config.accounts.keys().filter(|name| is_on(entry, name));
        let mut names: Vec<_> = present.filter(|name| !self.remove.contains(name)).cloned().collect();
        for name in &self.add {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }

    /// Asks whether the grants count on accounts that it does not run on yet.
    fn agree(
        &self,
        config: &Config,
        admin: &PluginAdmin<'_>,
        entry: &Entry,
        wanted: Option<&[AccountName]>,
    ) -> anyhow::Result<()> {
        let id = &self.plugin;
        let is_wanted = |name: &AccountName| wanted.is_none_or(|names| names.contains(name));
        let is_new = |name: &&AccountName| is_wanted(name) && !is_on(entry, name);
        let new: Vec<_> = config.accounts.keys().filter(is_new).cloned().collect();
        let later = wanted.is_none() && entry.accounts.is_some();
        if self.yes || (new.is_empty() && !later) {
            return Ok(());
        }
        let names = new.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let what = match (new.is_empty(), later) {
            (false, false) => names,
            (false, true) => format!("{names}, and on accounts that are added later"),
            (true, _) => "accounts that are added later".to_owned(),
        };
        let Some(terminal) = Terminal::open_unless(self.json) else {
            let sentence =
                format!("nobody can be asked here, so nothing was changed; give --yes to let {id} run on {what}");
            return Err(Ended::Declined(sentence).into());
        };
        let (manifest, present) = (admin.look(id, entry)?.manifest, Grants::default());
        let places = places(config, Some(&new));
        let request = Request::on(id, &manifest, &entry.grants, &present, &places);
        let on = if places.is_empty() { String::new() } else { format!("On {}:\n", listed(&places)) };
        consent::show(&terminal, &format!("{on}{}", request.reach()))?;
        if terminal.agrees(&format!("Let {id} run on {what}?"))? { Ok(()) } else { Err(consent::declined()) }
    }

    fn show(&self) -> anyhow::Result<()> {
        let config = self.target.load_to_look()?;
        let (id, entry) = (&self.plugin, PluginAdmin::new(&config).entry(&self.plugin)?);
        let (on, off): (Vec<_>, Vec<_>) = config.accounts.keys().partition(|name| is_on(&entry, name));
        let later = entry.accounts.is_none();
        if self.json {
            return print_json(&json!({ "plugin": id, "accounts": on, "not_on": off, "later": later }));
        }
        let mut text = String::new();
        for name in on {
            text.put(format_args!("{id} runs on {name}\n"));
        }
        for name in off {
            text.put(format_args!("{id} does not run on {name}; `parlor plugin accounts {id} --add {name}` lets it\n"));
        }
        if later {
            text.put(format_args!("{id} runs on accounts that are added later, too\n"));
        } else {
            text.put(format_args!("before {id} runs on accounts that are added later, you have to agree\n"));
        }
        print(&text)
    }
}

/// Returns whether an entry lets its plugin run on an account.
fn is_on(entry: &Entry, name: &AccountName) -> bool {
    entry.accounts.as_ref().is_none_or(|names| names.contains(name))
}
