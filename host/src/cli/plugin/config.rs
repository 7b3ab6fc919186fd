//! `parlor plugin config`: a plugin's own settings, by the schema that its author wrote.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _, Read as _};
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::{Value, json};

use super::add::done;
use crate::cli::ask::Terminal;
use crate::cli::place::{self, Place};
use crate::cli::show::{print, print_json, table};
use crate::harmless::{EscapedPath as _, harmless};
use crate::nearest::{nearest, suggestion};
use crate::plugins::PluginId;
use crate::plugins::secret::SecretSource;
use crate::plugins::setting::{Setting, SettingKind};

/// How much of an author's words or of a value is shown, in bytes.
const SHOWN: usize = 200;
/// How long a secret may be, in bytes.
const LONGEST_SECRET: u64 = 16 << 10;
/// How long a secret on standard input is waited for without a word.
const QUIET: Duration = Duration::from_secs(1);

/// What is shown or set.
#[derive(Debug, Args)]
#[command(
    after_help = "A value is JSON where the schema wants no text, such as 5, true or [\"a\", \"b\"]. A secret is asked for, or read from standard input, so that it stands in no list of processes; it is kept in a file of the data folder that only you can read, or wherever --file or --command say, and is never shown. To name one is to set it; without a name all are shown, and which secrets are there. What is set counts at once, on the running plugin.\n\nExamples:\n  parlor plugin config echo                       its settings, with their defaults\n  parlor plugin config echo room_prefix 'say '    set one\n  parlor plugin config echo --unset room_prefix   back to the default\n  pass show key | parlor plugin config weather api_key\n  parlor plugin config weather api_key --command 'pass show key'\n\nExit codes: 0 done, 1 it does not fit and nothing has changed, or it is set and the plugin does not run with it, 2 wrong usage"
)]
pub struct ConfigArgs {
    /// The plugin.
    plugin: PluginId,
    /// The setting.
    setting: Option<String>,
    /// Its new value.
    #[arg(allow_negative_numbers = true)]
    value: Option<String>,
    /// The file that holds the secret; only its owner may be able to read it.
    #[arg(long, value_name = "FILE", requires = "setting", conflicts_with = "value")]
    file: Option<PathBuf>,
    /// The command that prints the secret. It can ask nobody: whatever it reads has to be unlocked.
    #[arg(long, value_name = "COMMAND", requires = "setting", conflicts_with_all = ["value", "file"])]
    command: Option<String>,
    /// Take the owner's value back.
    #[arg(long, value_name = "SETTING", conflicts_with_all = ["setting", "value"])]
    unset: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

impl ConfigArgs {
    /// Shows or sets them.
    pub fn run(&self) -> anyhow::Result<()> {
        let config = self.place.load()?;
        let desk = place::desk(&config);
        let id = &self.plugin;
        let entry = desk.entry(id)?;
        let examined = desk.look(id, &entry)?;
        let schema = &examined.manifest.settings;
        if self.changes(schema) {
            place::is_own_house(&config)?;
        }
        if let Some(name) = &self.unset {
            // What an earlier version had may still be written there.
            if !schema.contains_key(name) && !entry.settings.0.contains_key(name) {
                bail!(unknown(id, name, schema));
            }
            desk.set(id, name, None)?;
            let has_default = schema.get(name).is_some_and(|setting| setting.default.is_some());
            let how = if has_default { "has its default again" } else { "is not set any more" };
            return done(&config, id, &format!("{name} of {id} {how}"), self.json);
        }
        let Some(name) = &self.setting else {
            let shown = |(name, setting): (&String, &Setting)| {
                (name.clone(), setting.clone(), entry.settings.0.get(name).cloned())
            };
            let all: Vec<_> = schema.iter().map(shown).collect();
            return if self.json { print_json(&as_json(&all)) } else { print(&screen(id, &all)) };
        };
        let kind = schema.get(name).map(|setting| &setting.kind);
        let source = match (&self.file, &self.command) {
            (Some(file), _) => {
                Some(SecretSource::File(file.canonicalize().with_context(|| format!("{}", file.escaped()))?))
            }
            (None, Some(command)) => Some(SecretSource::Command(command.clone())),
            (None, None) => None,
        };
        let value = match (kind, &self.value) {
            (Some(SettingKind::Secret), Some(_)) => {
                bail!("{name} is a secret: give it on standard input, where nobody else can read it")
            }
            (Some(SettingKind::Secret), None) => {
                let set = entry.settings.0.get(name);
                let Some(source) = source else {
                    // Nobody gives one there: whoever asks wants to know whether it is set.
                    if let (true, true, Some(setting)) = (self.json, io::stdin().is_terminal(), schema.get(name)) {
                        return print_json(&one_as_json(&(name.clone(), setting.clone(), set.cloned())));
                    }
                    desk.keep_secret(id, name, &secret(id, name, set, self.json)?)?;
                    return done(
                        &config,
                        id,
                        &format!("{name} of {id} is kept, where only you can read it"),
                        self.json,
                    );
                };
                source.written()
            }
            (Some(_), _) if source.is_some() => bail!("{name} is no secret: give its value"),
            (_, None) => {
                let Some(setting) = schema.get(name) else { bail!(unknown(id, name, schema)) };
                let set = entry.settings.0.get(name);
                if self.json {
                    return print_json(&one_as_json(&(name.clone(), setting.clone(), set.cloned())));
                }
                let value = set.or(setting.default.as_ref());
                return print(&value.map_or_else(|| "not set".to_owned(), |value| harmless(&value.to_string(), SHOWN)));
            }
            (Some(SettingKind::Number), Some(text)) => number(text),
            // What is neither is refused by the schema, which says what it has to be.
            (Some(SettingKind::Boolean), Some(text)) => {
                serde_json::from_str(text).unwrap_or_else(|_| Value::from(text.as_str()))
            }
            (Some(SettingKind::List), Some(text)) => serde_json::from_str(text)
                .with_context(|| format!("the value of {name} is no list: write one as '[\"a\", \"b\"]'"))?,
            (Some(SettingKind::Duration), Some(text)) => {
                text.parse::<u64>().map_or_else(|_| Value::from(text.as_str()), Value::from)
            }
            (Some(SettingKind::String | SettingKind::Choice(_) | SettingKind::Jid) | None, Some(text)) => {
                Value::from(text.as_str())
            }
        };
        desk.set(id, name, Some(&value))?;
        done(&config, id, &format!("{name} of {id} is set"), self.json)
    }

    /// Whether something is to be set. A secret is asked for where none is given.
    fn changes(&self, schema: &BTreeMap<String, Setting>) -> bool {
        let is_secret = |name: &String| schema.get(name).is_some_and(|setting| setting.kind == SettingKind::Secret);
        let is_given = self.value.is_some() || self.file.is_some() || self.command.is_some() || self.unset.is_some();
        is_given || self.setting.as_ref().is_some_and(is_secret)
    }
}

/// A number, also as JSON does not have it: `.5`, `+5`. What is none stays the text that it is.
fn number(text: &str) -> Value {
    let json = serde_json::from_str::<Value>(text).ok();
    let whole = || text.parse::<i64>().ok().map(Value::from);
    let broken = || text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::from);
    json.or_else(whole).or_else(broken).unwrap_or_else(|| Value::from(text))
}

/// That a plugin has no such setting, and which was meant.
fn unknown(id: &PluginId, name: &str, schema: &BTreeMap<String, Setting>) -> String {
    let near = suggestion(nearest(name, schema.keys().map(String::as_str)));
    format!("{id} has no setting {name:?}{near}")
}

/// A secret from whoever sits at the terminal, or from standard input, without the line's end. `present` refers to the one that is
/// set already.
fn secret(id: &PluginId, name: &str, present: Option<&Value>, as_json: bool) -> anyhow::Result<String> {
    if let Some(terminal) = Terminal::open_unless(as_json) {
        // Who only wants to know whether there is one must not lose it.
        let question = match present {
            None => format!("The secret {name}, which is not shown:"),
            Some(present) => {
                let present = harmless(&kept(present), SHOWN);
                format!("The secret {name} {present}; a new one, which is not shown, or nothing to leave it:")
            }
        };
        let typed = terminal.ask_hidden(&question)?;
        return typed.filter(|typed| !typed.is_empty()).context("nothing was typed, so nothing was changed");
    }
    let advice = format!(
        "such as `pass show key | parlor plugin config {id} {name}`; or say where it is by --file or --command"
    );
    if io::stdin().is_terminal() {
        bail!("{name} is a secret: give it on standard input, {advice}");
    }
    let (sender, given) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // Room for a line's end, and for one more, so that what is too long is seen to be, and not cut.
        let read = io::stdin().lock().take(LONGEST_SECRET + 3).read_to_end(&mut bytes);
        let _ = sender.send(read.map(|_| bytes));
    });
    let read = match given.recv_timeout(QUIET) {
        Err(RecvTimeoutError::Timeout) => {
            place::say(&format!("waiting for the secret {name} on standard input, {advice}"));
            given.recv().context("standard input")?
        }
        read => read.context("standard input")?,
    };
    let mut bytes = read.context("standard input")?;
    let end = bytes.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |last| last + 1);
    bytes.truncate(end);
    match bytes.len() as u64 {
        0 => bail!("{name} is a secret, and there is nothing on standard input: give it there, {advice}"),
        1..=LONGEST_SECRET => String::from_utf8(bytes).context("standard input"),
        _ => {
            bail!("there are more than {LONGEST_SECRET} bytes on standard input, which is more than a secret may have")
        }
    }
}

type Shown = (String, Setting, Option<Value>);

fn screen(id: &PluginId, all: &[Shown]) -> String {
    if all.is_empty() {
        return format!("{id} has no settings");
    }
    let rows: Vec<_> = all
        .iter()
        .map(|(name, setting, value)| {
            let text = |value: &Value| harmless(&value.to_string(), SHOWN);
            let value = match (&setting.kind, value) {
                (_, None) => "-".to_owned(),
                (SettingKind::Secret, Some(value)) => kept(value),
                (_, Some(value)) => text(value),
            };
            let default = setting.default.as_ref().map_or_else(|| "-".to_owned(), text);
            vec![name.clone(), setting.kind.to_string(), value, default, harmless(&setting.description, SHOWN)]
        })
        .collect();
    table(&["SETTING", "TYPE", "VALUE", "DEFAULT", "WHAT FOR"], &rows)
}

/// Where a secret is, for people; never what it is, nor a command, which may hold another.
pub(super) fn kept(reference: &Value) -> String {
    match SecretSource::read(reference) {
        Ok(SecretSource::File(path)) if path.is_file() => format!("(present, in {})", path.escaped()),
        Ok(SecretSource::File(path)) => format!("(absent: there is no {})", path.escaped()),
        Ok(SecretSource::Command(_)) => "(from a command)".to_owned(),
        Err(_) => "(no reference)".to_owned(),
    }
}

fn as_json(all: &[Shown]) -> Vec<Value> {
    all.iter().map(one_as_json).collect()
}

fn one_as_json((name, setting, value): &Shown) -> Value {
    let is_secret = setting.kind == SettingKind::Secret;
    let shown = if is_secret { None } else { value.as_ref() };
    json!({
        "name": name, "type": setting.kind.to_string(), "set": value.is_some(), "value": shown,
        "default": setting.default, "description": harmless(&setting.description, SHOWN),
    })
}
