//! `parlor plugin config`: a plugin's own settings, by the schema in its manifest.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use jid::BareJid;
use jiff::{SignedDuration, Timestamp, Unit};
use parlor_base::escape::{EscapedPath as _, escape_untrusted};
use parlor_base::id::PluginId;
use parlor_base::nearest::{nearest, suggestion};
use parlor_base::quantity;
use parlor_plugins::admin::{
    NewSecret, PluginAdmin, check_secret, end_former, remove_sender, rotate_secret, set_sender,
};
use parlor_plugins::policy::Entry;
use parlor_plugins::secret::{Former, SecretName, SecretSource, sender_names};
use parlor_plugins::setting::{Setting, SettingKind};
use parlor_plugins::webhook;
use serde_json::{Value, json};

use super::add::{done, done_as_wanted};
use super::given::{refuse_unfit, secret, secret_file};
use super::room_names;
use super::secret_files::tell_of_nodes;
use crate::show::{Put as _, fitted, print, print_json, second, terminal_width};
use crate::target::{self, Target};

/// How much of an author's text or of a value is shown, in bytes.
const SHOWN: usize = 200;
/// The longest time for which a former secret counts.
const LONGEST_OVERLAP: Duration = Duration::from_hours(90 * 24);

/// The arguments of `parlor plugin config`.
#[derive(Debug, Args)]
#[command(
    after_help = "A value is JSON where the schema wants no text, such as 5, true or [\"a\", \"b\"]. To set a secret, name it: the command asks for it or reads standard input, so that no list of processes shows it. It stores the secret in a file of the data folder that only you can read, or uses --file or --command, and never shows it. Without a name, the command shows all settings, and which secrets are set. A value takes effect at once, on the running plugin. With --former-for, the former secret of a webhook also verifies requests for that time, so that no request is refused until its senders have the new one. With --sender, a sender of a webhook has its own secret beside that of the setting, such as a repository; at most 15 have one.\n\nExamples:\n  parlor plugin config echo                       its settings, with their defaults\n  parlor plugin config echo room_prefix 'say '    set one\n  parlor plugin config echo --unset room_prefix   back to the default\n  pass show key | parlor plugin config weather api_key\n  parlor plugin config weather api_key --command 'pass show key'\n  parlor plugin config forge github_secret --former-for 1d\n  parlor plugin config forge --end-former github_secret\n  parlor plugin config forge github_secret --sender garden\n  parlor plugin config forge --unset github_secret --sender garden\n  parlor plugin config echo room_prefix 'hey ' --room lounge@conference.example.org\n\nExit codes: 0 done, 1 it does not fit and nothing has changed, or it is set and the plugin does not run with it, 2 wrong usage"
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
    /// The command that prints the secret. It cannot ask anything: unlock what it reads beforehand.
    #[arg(long, value_name = "COMMAND", requires = "setting", conflicts_with_all = ["value", "file"])]
    command: Option<String>,
    /// How long the former secret of a webhook counts beside the new one, such as 30min, 12h or 7d; at most 90d.
    #[arg(long, value_name = "TIME", requires = "setting", conflicts_with_all = ["value", "room"], value_parser = overlap)]
    former_for: Option<Duration>,
    /// End the former secret of this setting.
    #[arg(long, value_name = "SETTING", conflicts_with_all = ["setting", "value", "room"])]
    end_former: Option<String>,
    /// The sender of a webhook whose own secret it is, such as the name of a repository.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["value", "room"], value_parser = sender)]
    sender: Option<String>,
    /// Remove the owner's value.
    #[arg(long, value_name = "SETTING", conflicts_with_all = ["setting", "value", "end_former"])]
    unset: Option<String>,
    /// The room in which it counts, in place of the value for everywhere.
    #[arg(long, value_name = "ROOM", value_parser = room_names::room)]
    room: Option<BareJid>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

impl ConfigArgs {
    /// Shows or changes settings.
    pub fn run(&self) -> anyhow::Result<()> {
        let config = self.target.load()?;
        let admin = target::admin(&config);
        let id = &self.plugin;
        let entry = admin.entry(id)?;
        let examined = admin.look(id, &entry)?;
        let schema = &examined.manifest.settings;
        if self.changes(schema) {
            target::is_own_host(&config)?;
        }
        self.hint(&entry);
        if let (Some(name), Some(sender)) = (&self.unset, &self.sender) {
            remove_sender(&admin, id, name, sender)?;
            return done(&config, id, &format!("{} counts no longer", self.words(name)), self.json);
        }
        if let Some(name) = &self.unset {
            let how = self.unset(&admin, name, &entry, schema)?;
            let sentence = format!("{} {how}", self.words(name));
            if self.room.is_none() && schema.get(name).is_some_and(|setting| setting.required) {
                let sentence = format!("{sentence}; {id} cannot do without it, so it does not run any more");
                // The end of the plugin is the intended effect, not a failure.
                return done_as_wanted(&config, id, &sentence, self.json);
            }
            return done(&config, id, &sentence, self.json);
        }
        if let Some(name) = &self.end_former {
            end_former(&admin, id, self.secret_name(name))?;
            return done(&config, id, &format!("the former {} counts no longer", self.words(name)), self.json);
        }
        let Some(name) = &self.setting else {
            if self.sender.is_some() {
                bail!("name the setting with the secret of the webhook, too");
            }
            return self.show(&entry, schema);
        };
        let kind = schema.get(name).map(|setting| &setting.kind);
        let source = match (&self.file, &self.command) {
            (Some(file), _) => Some(secret_file(name, file)?),
            (None, Some(command)) => Some(SecretSource::Command(command.clone())),
            (None, None) => None,
        };
        let value = match (kind, &self.value) {
            (Some(kind @ (SettingKind::Secret | SettingKind::Credential(_))), Some(_)) => {
                bail!("{name} is a {kind}: give it on standard input, where nobody else can read it")
            }
            (Some(SettingKind::Secret | SettingKind::Credential(_)), None) => {
                let set = self.value(&entry, name).and_then(|whole| self.secret_name(name).of(whole));
                // A terminal with `--json` supplies no secret: the user wants to know whether one is set.
                let is_asked_for = self.json && source.is_none() && self.former_for.is_none();
                if let (true, true, Some(setting)) = (is_asked_for, io::stdin().is_terminal(), schema.get(name)) {
                    return print_json(&self.shown(&entry, name, setting).as_json());
                }
                let sentence = self.keep(&admin, name, source.as_ref(), set.as_ref())?;
                tell_of_nodes(&config, self.value(&admin.entry(id)?, name));
                return done(&config, id, &sentence, self.json);
            }
            (Some(_), _) if source.is_some() => bail!("{name} is no secret: give its value"),
            (Some(_), _) if self.former_for.is_some() => bail!("{name} is no secret, and has no former one"),
            (Some(_), _) if self.sender.is_some() => bail!("{name} is no secret, so no sender has its own"),
            (_, None) => {
                let Some(setting) = schema.get(name) else { bail!(unknown(id, name, schema)) };
                return self.show_one(&entry, name, setting);
            }
            (Some(SettingKind::Number), Some(text)) => number(text),
            // The schema refuses an invalid value, and states the requirement.
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
        fits(id, name, schema.get(name), &value)?;
        admin.set(id, self.room.as_ref(), name, Some(&value))?;
        done(&config, id, &format!("{} is set", self.words(name)), self.json)
    }

    /// Hints at a room in which no value has an effect.
    fn hint(&self, entry: &Entry) {
        let room = self.room.as_ref().filter(|_| self.unset.is_none());
        let hint = room.and_then(|room| room_names::without_effect(&self.plugin, room, entry.grants.rooms()));
        if let Some(hint) = hint {
            target::say(&format!("parlor: {hint}"));
        }
    }

    /// Sets a secret: at this place, or as it is typed. Returns what is told.
    fn keep(
        &self,
        admin: &PluginAdmin<'_>,
        name: &str,
        source: Option<&SecretSource>,
        present: Option<&Value>,
    ) -> anyhow::Result<String> {
        let (id, words) = (&self.plugin, self.words(name));
        if let Some(source) = source {
            refuse_unfit(source, |text| check_secret(admin, id, name, text))?;
        }
        let advice = format!(
            "such as `pass show key | parlor plugin config {id} {name}`; or say where it is by --file or --command"
        );
        let now = present.map(|present| escape_untrusted(&kept(present), SHOWN));
        let text = if source.is_none() { Some(secret(name, now.as_deref(), self.json, &advice)?) } else { None };
        let new = match (source, &text) {
            (Some(source), _) => NewSecret::At(source),
            (None, text) => NewSecret::Text(text.as_deref().unwrap_or_default()),
        };
        if let Some(time) = self.former_for {
            let until = Timestamp::now().checked_add(SignedDuration::try_from(time)?)?.round(Unit::Second)?;
            rotate_secret(admin, id, self.secret_name(name), new, until)?;
            let until = second(&until.to_string());
            return Ok(format!("{words} is another one, and the former one counts, too, until {until} UTC"));
        }
        if let Some(sender) = &self.sender {
            set_sender(admin, id, name, sender, new)?;
            return Ok(format!("{words} is set, and verifies requests beside that of {name}"));
        }
        match new {
            NewSecret::At(source) => {
                admin.set(id, self.room.as_ref(), name, Some(&source.written()))?;
                Ok(format!("{words} is set"))
            }
            NewSecret::Text(text) => {
                admin.keep_secret(id, self.room.as_ref(), name, text)?;
                Ok(format!("{words} is kept, where only you can read it"))
            }
        }
    }

    /// Returns the owner's value of a setting, in the room if one is named.
    fn value<'e>(&self, entry: &'e Entry, name: &str) -> Option<&'e Value> {
        match &self.room {
            Some(room) => entry.settings_in.get(room.as_str(), name),
            None => entry.settings.0.get(name),
        }
    }

    fn shown<'e>(&self, entry: &'e Entry, name: &'e str, setting: &'e Setting) -> Shown<'e> {
        let everywhere = self.room.as_ref().and_then(|_| entry.settings.0.get(name));
        let in_rooms =
            entry.settings_in.0.iter().filter(|(_, values)| self.room.is_none() && values.0.contains_key(name));
        let rooms = in_rooms.map(|(room, _)| room.as_str()).collect();
        Shown { name, setting, value: self.value(entry, name), everywhere, rooms }
    }

    /// Returns the secret that is meant: that of a setting, or that of a single sender.
    fn secret_name<'a>(&'a self, setting: &'a str) -> SecretName<'a> {
        SecretName { setting, sender: self.sender.as_deref() }
    }

    /// Names a setting in a sentence.
    fn words(&self, name: &str) -> String {
        let place = self.room.as_ref().map(|room| format!(" in {}", escape_untrusted(room.as_str(), usize::MAX)));
        format!("{} of {}{}", self.secret_name(name), self.plugin, place.unwrap_or_default())
    }

    /// Shows a setting, and which rooms have another value.
    fn show_one(&self, entry: &Entry, name: &str, setting: &Setting) -> anyhow::Result<()> {
        let shown = self.shown(entry, name, setting);
        if self.json {
            return print_json(&shown.as_json());
        }
        if let Some(rooms) = others_in(&shown.rooms) {
            target::say(&format!("parlor: {rooms}"));
        }
        let value = shown.value.or_else(|| entry.settings.0.get(name)).or(setting.default.as_ref());
        print(&value.map_or_else(|| "not set".to_owned(), |value| escape_untrusted(&value.to_string(), SHOWN)))
    }

    /// Shows all settings, and which rooms have values of their own.
    fn show(&self, entry: &Entry, schema: &BTreeMap<String, Setting>) -> anyhow::Result<()> {
        let all: Vec<_> = schema.iter().map(|(name, setting)| self.shown(entry, name, setting)).collect();
        if self.json {
            return print_json(&all.iter().map(Shown::as_json).collect::<Vec<_>>());
        }
        let mut text = screen(&self.plugin, &all);
        if self.room.is_none() {
            for (room, values) in entry.settings_in.0.iter().filter(|(_, values)| !values.0.is_empty()) {
                let names: Vec<_> = values.0.keys().map(String::as_str).collect();
                let room = escape_untrusted(room, usize::MAX);
                text.put(format_args!(
                    "\nin {room} there are other values of {}; --room {room} shows them",
                    names.join(", ")
                ));
            }
        }
        print(&text)
    }

    /// Removes the value of a setting. Returns what holds from now on.
    fn unset(
        &self,
        admin: &PluginAdmin<'_>,
        name: &str,
        entry: &Entry,
        schema: &BTreeMap<String, Setting>,
    ) -> anyhow::Result<&'static str> {
        // A setting of an earlier version may still be in the policy.
        if !schema.contains_key(name) && self.value(entry, name).is_none() {
            bail!(unknown(&self.plugin, name, schema));
        }
        admin.set(&self.plugin, self.room.as_ref(), name, None)?;
        if self.room.is_some() {
            return Ok("has the same value as everywhere again");
        }
        let has_default = schema.get(name).is_some_and(|setting| setting.default.is_some());
        Ok(if has_default { "has its default again" } else { "is not set any more" })
    }

    /// Returns whether something would change. A secret without a value is prompted for, so it counts.
    fn changes(&self, schema: &BTreeMap<String, Setting>) -> bool {
        let is_secret = |name: &String| schema.get(name).is_some_and(|setting| setting.kind.is_secret());
        let is_given = self.value.is_some() || self.file.is_some() || self.command.is_some();
        is_given || self.unset.is_some() || self.end_former.is_some() || self.setting.as_ref().is_some_and(is_secret)
    }
}

/// Parses how long a former secret counts.
fn overlap(text: &str) -> Result<Duration, String> {
    let time = quantity::duration(text).map_err(|error| error.to_string())?;
    match time {
        Duration::ZERO => Err("the former secret would end at once; leave the flag out".to_owned()),
        time if time > LONGEST_OVERLAP => Err("a former secret counts for 90 d at most".to_owned()),
        time => Ok(time),
    }
}

/// Parses the name of a sender.
fn sender(text: &str) -> Result<String, String> {
    if webhook::is_name(text) {
        return Ok(text.to_owned());
    }
    Err("a sender's name has 1 to 32 of a-z, 0-9, _ and -, the first one a letter".to_owned())
}

/// Parses a number, also in forms that JSON lacks: `.5`, `+5`. Any other text stays a text.
fn number(text: &str) -> Value {
    let json = serde_json::from_str::<Value>(text).ok();
    let whole = || text.parse::<i64>().ok().map(Value::from);
    let broken = || text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::from);
    json.or_else(whole).or_else(broken).unwrap_or_else(|| Value::from(text))
}

/// Refuses a value that does not fit its setting. The refusal of the policy names a line of `plugins.toml`, where it is not.
fn fits(id: &PluginId, name: &str, setting: Option<&Setting>, value: &Value) -> anyhow::Result<()> {
    let Some(Err(why)) = setting.map(|setting| setting.check(value)) else { return Ok(()) };
    let value = escape_untrusted(&value.to_string(), SHOWN);
    bail!("{value} does not fit the setting {name} of {id}: {why}; nothing was changed")
}

/// Returns the error for an unknown setting, with a suggestion.
fn unknown(id: &PluginId, name: &str, schema: &BTreeMap<String, Setting>) -> String {
    let near = suggestion(nearest(name, schema.keys().map(String::as_str)));
    format!("{id} has no setting {name:?}{near}")
}

/// A setting as it is shown.
struct Shown<'e> {
    name: &'e str,
    setting: &'e Setting,
    /// The owner's value: in the room, if one was named.
    value: Option<&'e Value>,
    /// The owner's value for everywhere, if a room was named. It counts there unless the room has a value.
    everywhere: Option<&'e Value>,
    /// The rooms with another value, if none was named.
    rooms: Vec<&'e str>,
}

impl Shown<'_> {
    /// Describes the value that the owner gave, for people.
    fn words(&self) -> String {
        let text = |value: &Value| {
            if self.setting.kind.is_secret() { kept(value) } else { escape_untrusted(&value.to_string(), SHOWN) }
        };
        match (self.value, self.everywhere) {
            (Some(value), _) => text(value),
            (None, Some(value)) => format!("{}, as everywhere", text(value)),
            (None, None) => "-".to_owned(),
        }
    }

    fn row(&self) -> Vec<String> {
        let Self { name, setting, .. } = self;
        let default = setting.default.as_ref();
        let default = default.map_or_else(|| "-".to_owned(), |value| escape_untrusted(&value.to_string(), SHOWN));
        let what_for = escape_untrusted(&setting.description, SHOWN);
        vec![(*name).to_owned(), setting.kind.to_string(), self.words(), default, what_for]
    }

    fn as_json(&self) -> Value {
        let Self { name, setting, value, everywhere, rooms } = self;
        let open = |value: Option<&Value>| value.filter(|_| !setting.kind.is_secret()).cloned();
        let rooms: Vec<_> = rooms.iter().map(|room| escape_untrusted(room, usize::MAX)).collect();
        json!({
            "name": name, "type": setting.kind.to_string(), "set": value.is_some(), "value": open(*value), "rooms": rooms,
            "counts": open(value.or(*everywhere).or(setting.default.as_ref())),
            "default": setting.default, "description": escape_untrusted(&setting.description, SHOWN),
        })
    }
}

/// Says in which rooms another value counts than the one that is shown.
fn others_in(rooms: &[&str]) -> Option<String> {
    let names: Vec<_> = rooms.iter().map(|room| escape_untrusted(room, usize::MAX)).collect();
    (!names.is_empty()).then(|| format!("another value counts in {}; --room ROOM shows it", names.join(", ")))
}

fn screen(id: &PluginId, all: &[Shown<'_>]) -> String {
    if all.is_empty() {
        return format!("{id} has no settings");
    }
    let rows: Vec<_> = all.iter().map(Shown::row).collect();
    fitted(&["SETTING", "TYPE", "VALUE", "DEFAULT", "WHAT FOR"], &rows, terminal_width())
}

/// Describes where a secret is, for people. It shows neither the secret nor a command, which may contain another.
pub(super) fn kept(reference: &Value) -> String {
    let former = Former::of(reference).map(|former| format!("; the former one until {}", former.until));
    let mut beside = former.unwrap_or_default();
    let senders = sender_names(reference);
    if !senders.is_empty() {
        beside.put(format_args!("; senders with their own: {}", senders.join(", ")));
    }
    match SecretSource::read(reference) {
        Ok(SecretSource::File(path)) if path.is_file() => format!("(present, in {}{beside})", path.escaped()),
        Ok(SecretSource::File(path)) => format!("(absent: there is no {}{beside})", path.escaped()),
        Ok(SecretSource::Command(_)) => format!("(from a command{beside})"),
        Err(_) => "(no reference)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_value_that_does_not_fit_is_named_and_no_line_of_the_policy() {
        let late = Setting { kind: SettingKind::Boolean, default: None, description: String::new(), required: false };
        let fits = |setting: Option<&Setting>, value: Value| {
            fits(&"echo".parse().unwrap(), "answer_late", setting, &value).map_err(|error| error.to_string())
        };
        assert_eq!(
            fits(Some(&late), "maybe".into()).unwrap_err(),
            "\"maybe\" does not fit the setting answer_late of echo: it has to be true or false; nothing was changed"
        );
        assert!(fits(Some(&late), true.into()).is_ok());
        // An unknown setting has an error of its own.
        assert!(fits(None, "maybe".into()).is_ok());
    }

    #[test]
    fn rooms_with_a_value_of_their_own_are_named() {
        #[derive(Debug, clap::Parser)]
        struct Typed {
            #[command(flatten)]
            args: ConfigArgs,
        }
        let policy = "[plugin.guard]\nsource = \"x.wasm\"\ndigest = \"sha256:DIGEST\"\n[plugin.guard.settings]\nstrikes = 4\n\
            [plugin.guard.settings_in.\"hall@muc.example.org\"]\nstrikes = 5\n";
        let policy = policy.replace("DIGEST", &"0".repeat(64));
        let policy = parlor_plugins::policy::Policy::parse(&policy, Path::new("/x")).unwrap();
        let entry = policy.plugins.values().next().unwrap();
        let strikes = Setting { kind: SettingKind::Number, default: None, description: String::new(), required: false };
        let json = |flags: &[&str]| {
            let typed = ["config", "guard"].into_iter().chain(flags.iter().copied());
            let typed = <Typed as clap::Parser>::try_parse_from(typed).unwrap();
            typed.args.shown(entry, "strikes", &strikes).as_json()
        };
        let everywhere = json(&[]);
        assert_eq!((&everywhere["value"], &everywhere["rooms"]), (&json!(4), &json!(["hall@muc.example.org"])));
        let there = json(&["--room", "hall@muc.example.org"]);
        assert_eq!((&there["value"], &there["rooms"]), (&json!(5), &json!([])));
        let says = others_in(&["hall@muc.example.org"]);
        assert_eq!(says.as_deref(), Some("another value counts in hall@muc.example.org; --room ROOM shows it"));
        assert_eq!(others_in(&[]), None);
    }

    #[test]
    fn in_a_room_the_value_that_counts_there_is_shown() {
        let strikes =
            Setting { kind: SettingKind::Number, default: Some(3.into()), description: String::new(), required: false };
        let (four, five) = (Value::from(4), Value::from(5));
        let shown =
            |value, everywhere| Shown { name: "strikes", setting: &strikes, value, everywhere, rooms: Vec::new() };
        for (value, everywhere, words, is_set, counts) in [
            (None, None, "-", false, 3),
            (None, Some(&four), "4, as everywhere", false, 4),
            (Some(&five), Some(&four), "5", true, 5),
        ] {
            let (words_shown, json) = (shown(value, everywhere).words(), shown(value, everywhere).as_json());
            assert_eq!((words_shown.as_str(), &json["set"], &json["counts"]), (words, &is_set.into(), &counts.into()));
            assert_eq!(json["value"], value.cloned().unwrap_or_default(), "{json}");
        }
        let key = Setting { kind: SettingKind::Secret, default: None, description: String::new(), required: false };
        let place = Value::from("/x");
        let json =
            Shown { name: "key", setting: &key, value: None, everywhere: Some(&place), rooms: Vec::new() }.as_json();
        assert_eq!((&json["value"], &json["counts"]), (&Value::Null, &Value::Null));
    }
}
