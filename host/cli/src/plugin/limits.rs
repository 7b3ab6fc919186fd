//! `parlor plugin limits`: the resources that a plugin may use.

use anyhow::bail;
use clap::Args;
use parlor_base::id::PluginId;
use parlor_base::nearest::{nearest, suggestion};
use parlor_plugins::limits::{Limits, Row};
use parlor_plugins::policy::Entry;
use serde_json::json;
use toml::Value;

use super::add::done;
use crate::show::{print, print_json, table};
use crate::target::{self, Target};

/// The arguments of `parlor plugin limits`.
#[derive(Debug, Args)]
#[command(
    after_help = "A size is written such as \"32 MiB\", a time such as \"500 ms\". A new limit takes effect at once, on the running plugin. `parlor status` shows how much of its limits a plugin uses, and `parlor top` does so live.\n\nExamples:\n  parlor plugin limits echo                                    those in force, and defaults\n  parlor plugin limits echo memory='64 MiB' mailbox=512        set some, all or none\n  parlor plugin limits echo --unset memory                     back to the default\n\nExit codes: 0 done, or nothing to do, 1 it does not fit and nothing has changed, or it is set and the plugin does not run with it, 2 wrong usage"
)]
pub struct LimitsArgs {
    /// The plugin.
    plugin: PluginId,
    /// Limits to set.
    #[arg(value_name = "NAME=VALUE", value_parser = pair)]
    limits: Vec<(String, Value)>,
    /// Return a limit to its default; may be given several times.
    #[arg(long, value_name = "NAME")]
    unset: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// Splits `NAME=VALUE`. A value that is not a number is a text, as for sizes and times.
fn pair(text: &str) -> Result<(String, Value), &'static str> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE, such as memory='64 MiB'")?;
    let whole = value.parse::<i64>().map(Value::from);
    let number = whole.or_else(|_| value.parse::<f64>().map(Value::from));
    Ok((name.to_owned(), number.unwrap_or_else(|_| value.into())))
}

impl LimitsArgs {
    /// Shows the limits, or changes some.
    pub fn run(&self) -> anyhow::Result<()> {
        let id = &self.plugin;
        if self.limits.is_empty() && self.unset.is_empty() {
            let config = self.target.load()?;
            let entry = target::admin(&config).entry(id)?;
            return self.show(&entry);
        }
        let config = self.target.load_to_write()?;
        let admin = target::admin(&config);
        let mut tried = Limits::clone(&admin.entry(id)?.limits);
        for (name, value) in &self.limits {
            if let Err(error) = tried.set(name, value) {
                bail!("nothing has changed: {error}");
            }
        }
        let usual = Limits::table();
        if let Some(name) = self.unset.iter().find(|name| !usual.iter().any(|row| row.name == name.as_str())) {
            let near = suggestion(nearest(name, usual.iter().map(|row| row.name)));
            bail!("there is no limit {name:?}{near}; `parlor plugin limits {id}` shows all");
        }
        let set = self.limits.iter().map(|(name, value)| (name.clone(), Some(value.clone())));
        let all: Vec<_> = set.chain(self.unset.iter().map(|name| (name.clone(), None))).collect();
        let names: Vec<_> = all.iter().map(|(name, _)| name.as_str()).collect();
        let end = if admin.limit(id, &all)? { "" } else { " already" };
        done(&config, id, &values(id, &names, &admin.entry(id)?.limits, end), self.json)
    }

    fn show(&self, entry: &Entry) -> anyhow::Result<()> {
        let rows: Vec<(Row, String)> =
            Limits::table().into_iter().zip(entry.limits.shown()).map(|(row, (_, value, _))| (row, value)).collect();
        if self.json {
            let one = |(row, value): &(Row, String)| {
                let Row { name, about, default, least, most, .. } = row;
                json!({ "name": name, "value": value, "default": default, "least": least, "most": most, "about": about })
            };
            return print_json(&rows.iter().map(one).collect::<Vec<_>>());
        }
        print(&screen(rows))
    }
}

/// Says which values these limits have now, whether they are set or defaults.
fn values(id: &PluginId, names: &[&str], limits: &Limits, end: &str) -> String {
    let shown = limits.shown().into_iter().filter(|(name, ..)| names.contains(name));
    let values: Vec<_> = shown.map(|(name, value, _)| format!("{name} of {id} is {value}{end}")).collect();
    values.join(", ")
}

/// Shows limits, each with its value in force.
fn screen(rows: Vec<(Row, String)>) -> String {
    let is_any_set = rows.iter().any(|(row, value)| *value != row.default);
    let cells = |(row, value): (Row, String)| {
        let mark = if value == row.default { "" } else { " *" };
        vec![row.name.to_owned(), format!("{value}{mark}"), row.default, row.least, row.most]
    };
    let text = table(&["LIMIT", "VALUE", "DEFAULT", "LEAST", "MOST"], &rows.into_iter().map(cells).collect::<Vec<_>>());
    let mark = if is_any_set { "* set by you; " } else { "" };
    // Owners of a binary have no pages.
    format!("{text}\n{mark}`about` of --json says what each bounds")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_explained_where_there_is_one() {
        let rows = |value: Option<&str>| {
            let row = |row: Row| {
                let value = value.unwrap_or(&row.default).to_owned();
                (row, value)
            };
            Limits::table().into_iter().take(1).map(row).collect::<Vec<_>>()
        };
        let [usual, set] = [None, Some("7 MiB")].map(|value| screen(rows(value)));
        assert!(!usual.contains('*') && usual.ends_with("\n`about` of --json says what each bounds"), "{usual}");
        assert!(set.contains("7 MiB *") && set.contains("\n* set by you; `about` of --json"), "{set}");
    }

    #[test]
    fn a_limit_that_was_changed_or_is_so_already_is_told_with_its_value() {
        let said = |end| values(&"echo".parse().unwrap(), &["memory", "mailbox"], &Limits::default(), end);
        assert_eq!(said(""), "memory of echo is 64 MiB, mailbox of echo is 256");
        assert!(said(" already").starts_with("memory of echo is 64 MiB already, "));
    }

    #[test]
    fn a_limit_is_a_number_or_a_text() {
        for (typed, value) in [
            ("mailbox=512", Value::Integer(512)),
            ("cpu_share=0.25", Value::Float(0.25)),
            ("memory=64 MiB", Value::String("64 MiB".to_owned())),
            ("call_time=none", Value::String("none".to_owned())),
        ] {
            let (name, _) = typed.split_once('=').unwrap();
            assert_eq!(pair(typed).unwrap(), (name.to_owned(), value), "{typed}");
        }
        assert!(pair("memory").is_err());
    }
}
