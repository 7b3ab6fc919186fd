//! The settings of a plugin, as a form of its schema. Secrets can be written here but are never shown: each has a
//! separate form, whose values are not repeated in a question.

use std::collections::BTreeMap;
use std::sync::Arc;

use maud::{Markup, html};
use parlor::control::views::{NewSetting, PluginSetting, Status};
use parlor_base::escape::escape_untrusted;
use parlor_base::id::{Digest, PluginId};
use parlor_plugins::admin::{AdminError, SettingChange, change_settings};
use parlor_plugins::policy::{RoomSettings, SettingValues};
use parlor_plugins::setting::{Setting, SettingKind};
use parlor_window::{Form, Page, Problem, Question, Reply, Role, Routes, stranger};
use serde_json::Value;

use super::host::{self, Host, Visit, apply, ask, change, look};
use super::parts::{cell, rows, table};
use crate::plugin::secret_files::to_copy;

/// The prefix of a field that holds a setting.
const FIELD: &str = "set.";
/// The field with a mark of each value that the form showed.
const SHOWN: &str = "shown";
/// The longest secret, in bytes, as for the command.
const LONGEST_SECRET: usize = 16 << 10;

type Schema = BTreeMap<String, Setting>;

/// Adds the forms.
pub(super) fn routes(routes: Routes<Arc<Host>>) -> Routes<Arc<Host>> {
    routes.form("/plugins/{id}/settings", Role::Owner.of_accounts(), set).form(
        "/plugins/{id}/secret",
        Role::Owner,
        secret,
    )
}

/// Shows the settings, as a form for owners, and the values that differ in single rooms.
pub(super) fn shown(
    visit: &Visit,
    id: &PluginId,
    schema: &Schema,
    values: &SettingValues,
    in_rooms: &RoomSettings,
) -> Markup {
    let (secrets, open): (Vec<_>, Vec<_>) = schema.iter().partition(|(_, setting)| setting.kind.is_secret());
    html! {
        @if schema.is_empty() { p { "It has none." } }
        @if visit.may(Role::Owner.of_accounts()) {
            @if !open.is_empty() { (visit.form(&format!("/plugins/{id}/settings"), &fields(schema, values, None))) }
            @for (name, setting) in &secrets {
                @let is_set = values.0.contains_key(*name);
                @if visit.may(Role::Owner) {
                    (visit.form(&format!("/plugins/{id}/secret"), &secret_fields(name, setting, is_set)))
                } @else {
                    p { (stranger(name)) @if is_set { " is set, and not shown." } @else { " is a secret that is not set." } }
                }
            }
        } @else {
            dl.facts {
                @for (name, setting) in schema {
                    dt { (stranger(name)) }
                    dd {
                        @match values.0.get(name) {
                            Some(_) if setting.kind.is_secret() => { "set, and not shown" }
                            Some(value) => { (stranger(&as_text(value))) }
                            None => { "not set" }
                        }
                    }
                }
            }
        }
        (values_in_rooms(id, schema, in_rooms))
    }
}

/// Shows the values in single rooms. One whose setting is not known may be a secret of another version.
fn values_in_rooms(id: &PluginId, schema: &Schema, all: &RoomSettings) -> Markup {
    let values: Vec<_> = all.iter().collect();
    let row = |(room, name, value): (&str, &str, &Value)| {
        let is_open = schema.get(name).is_some_and(|setting| !setting.kind.is_secret());
        html! {
            tr {
                th scope="row" { (cell(room)) }
                td { (cell(name)) }
                td { @if is_open { (cell(&as_text(value))) } @else { "set, and not shown" } }
            }
        }
    };
    html! {
        @if !values.is_empty() {
            h3 #rooms-settings { "In single rooms" }
            (table("Values that count in one room", &["Room", "Setting", "Value"], &rows(values, row)))
            p.hint { code { "parlor plugin config " (id.as_str()) " --room ROOM" } " changes them." }
        }
    }
}

/// Shows the fields of the settings that are no secrets. `refused`: a form whose changes stay in their fields.
fn fields(schema: &Schema, values: &SettingValues, refused: Option<&Form>) -> Markup {
    let open = schema.iter().filter(|(_, setting)| !setting.kind.is_secret());
    html! {
        input type="hidden" name=(SHOWN) value=(marks(schema, values));
        @for (name, setting) in open {
            @let typed = refused.and_then(|form| typed(form, name));
            @let now = typed.map_or_else(|| values.0.get(name).map(as_text).unwrap_or_default(), str::to_owned);
            (field(name, setting, &now))
        }
        div.actions { button type="submit" { "Change the settings" } }
    }
}

/// Shows a field with this text in it.
fn field(name: &str, setting: &Setting, now: &str) -> Markup {
    let key = format!("{FIELD}{name}");
    let hint = format!("{key}-hint");
    let default = setting.default.as_ref().map(as_text);
    let options: Vec<&str> = match &setting.kind {
        SettingKind::Choice(choices) => choices.iter().map(String::as_str).collect(),
        SettingKind::Boolean => vec!["true", "false"],
        _ => Vec::new(),
    };
    let is_long = matches!(setting.kind, SettingKind::List) || now.contains('\n');
    html! {
        label for=(key) { (stranger(name)) @if setting.required { " (required)" } }
        @if !options.is_empty() {
            select id=(key) name=(key) aria-describedby=(hint) {
                option value="" { "as its author set it" }
                @for option in options { option value=(option) selected[option == now] { (escape_untrusted(option, 200)) } }
            }
        } @else if is_long {
            textarea id=(key) name=(key) aria-describedby=(hint) { "\n" (now) }
        } @else {
            input id=(key) name=(key) value=(now) autocomplete="off" aria-describedby=(hint);
        }
        p.hint id=(hint) {
            (stranger(&setting.description)) " (" (setting.kind.to_string())
            @if matches!(setting.kind, SettingKind::List) { ", one on each line" }
            @if let Some(default) = default { ", by default " (stranger(&default)) }
            ")"
        }
    }
}

fn secret_fields(name: &str, setting: &Setting, is_set: bool) -> Markup {
    let key = format!("secret-{name}");
    html! {
        fieldset {
            legend { (stranger(name)) @if is_set { " (set, and not shown)" } @else { " (not set)" } }
            input type="hidden" name="name" value=(name);
            label for=(key) { "The new secret" }
            input id=(key) name="secret" type="password" autocomplete="new-password" required aria-describedby={ (key) "-hint" };
            p.hint id={ (key) "-hint" } { (stranger(&setting.description)) " It is kept in a file that only the host's user can read." }
            label {
                input type="checkbox" name="agreed" value="yes" required;
                " Replace what is there now"
            }
            div.actions { button type="submit" { "Keep the secret" } }
        }
    }
}

/// Shows a value in a field: a list with one item a line, and a text without quotes.
fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n")
        }
        other => other.to_string(),
    }
}

/// Returns a mark of each value as the form shows it, so that the form says later what it showed.
fn marks(schema: &Schema, values: &SettingValues) -> String {
    let open = schema.iter().filter(|(_, setting)| !setting.kind.is_secret());
    open.map(|(name, _)| format!("{name}={}", mark(values.0.get(name)))).collect::<Vec<_>>().join(" ")
}

/// Returns the mark of a value; an empty one if none is set.
fn mark(value: Option<&Value>) -> String {
    value.map(|value| mark_of(&as_text(value))).unwrap_or_default()
}

fn mark_of(text: &str) -> String {
    // Browsers send line ends as two characters.
    Digest::of(text.replace("\r\n", "\n").as_bytes()).short()
}

/// Returns the marks of the values that a form showed, by the names of the settings.
fn shown_by(form: &Form) -> BTreeMap<&str, &str> {
    form.sent(SHOWN).unwrap_or_default().split(' ').filter_map(|one| one.split_once('=')).collect()
}

/// Returns whether a field has the text that it showed. It may show a value in another form than it was written in.
fn is_as_shown(text: &str, shown: &str) -> bool {
    mark_of(text) == shown || (text.is_empty() && shown.is_empty())
}

/// Returns the text that somebody put into the field of a setting; none if it is as it was shown. It then gets the present value, which
/// somebody else may have set meanwhile.
fn typed<'f>(form: &'f Form, name: &str) -> Option<&'f str> {
    let text = form.sent(&format!("{FIELD}{name}"))?;
    let is_changed = shown_by(form).get(name).is_none_or(|shown| !is_as_shown(text, shown));
    is_changed.then_some(text)
}

/// Reads the value in a field. None: the field is empty, so the default counts.
fn value(setting: &Setting, text: &str) -> Option<Value> {
    // Browsers send line ends as two characters.
    let text = text.replace("\r\n", "\n");
    let plain = text.trim();
    if plain.is_empty() {
        return None;
    }
    Some(match &setting.kind {
        SettingKind::List => {
            text.lines().map(str::trim).filter(|item| !item.is_empty()).map(Value::from).collect::<Vec<_>>().into()
        }
        // The schema refuses a text that is none of these, and states the requirement.
        SettingKind::Number | SettingKind::Boolean => {
            serde_json::from_str(plain).unwrap_or_else(|_| Value::from(plain))
        }
        SettingKind::Duration => plain.parse::<u64>().map_or_else(|_| Value::from(plain), Value::from),
        SettingKind::Choice(_) | SettingKind::Jid => Value::from(plain),
        SettingKind::String | SettingKind::Secret | SettingKind::Credential(_) => Value::from(text),
    })
}

/// Returns the settings that a form changes: those whose fields do not have the value any more that they showed. Invalid values
/// are reported before the question, and so is a setting that somebody changed since the form was shown.
fn changed(id: &PluginId, schema: &Schema, values: &SettingValues, form: &Form) -> Result<Vec<SettingChange>, Problem> {
    let marks = shown_by(form);
    let mut all = Vec::new();
    for (name, setting) in schema.iter().filter(|(_, setting)| !setting.kind.is_secret()) {
        let Some(text) = form.sent(&format!("{FIELD}{name}")) else { continue };
        let Some(shown) = marks.get(name.as_str()).copied() else {
            let sentence =
                format!("the form does not say what it showed of {name}: load the page again, and change it there");
            return Err(Problem::wrong(sentence));
        };
        let (old, new) = (values.0.get(name).cloned(), value(setting, text));
        if is_as_shown(text, shown) || old == new {
            continue;
        }
        if mark(old.as_ref()) != shown {
            let error = AdminError::SettingChanged { id: id.clone(), name: name.clone() };
            return Err(Problem::new(409, error.to_string()));
        }
        if let Some(new) = &new {
            setting.check(new).map_err(|why| Problem::wrong(format!("the setting {name} does not fit: {why}")))?;
        }
        all.push(SettingChange { name: name.clone(), shown: old, new });
    }
    Ok(all)
}

/// Shows the settings of a plugin to a session of some accounts, as the host tells them.
pub(super) fn own(visit: &Visit, id: &PluginId, settings: Vec<PluginSetting>) -> Markup {
    let (schema, values) = told(settings);
    shown(visit, id, &schema, &values, &RoomSettings::default())
}

/// Returns the schema and the values that the host tells.
fn told(all: Vec<PluginSetting>) -> (Schema, SettingValues) {
    let (mut schema, mut values) = (Schema::new(), SettingValues::default());
    for PluginSetting { name, kind, choices, description, required, default, value, is_set } in all {
        let kind = match kind.as_str() {
            "number" => SettingKind::Number,
            "boolean" => SettingKind::Boolean,
            "choice" => SettingKind::Choice(choices),
            "list" => SettingKind::List,
            "jid" => SettingKind::Jid,
            "duration" => SettingKind::Duration,
            "secret" | "credential" => SettingKind::Secret,
            _ => SettingKind::String,
        };
        // Of a secret it is only known that it is set.
        let value = if kind.is_secret() { is_set.then_some(Value::Null) } else { value };
        values.0.extend(value.map(|value| (name.clone(), value)));
        schema.insert(name, Setting { kind, default, description, required });
    }
    (schema, values)
}

/// Returns the settings of a plugin, and their values.
async fn known(visit: &Visit, id: &PluginId) -> Result<(Schema, SettingValues), Problem> {
    if visit.is_limited() {
        let target = format!("/v1/plugins/{id}/settings");
        return Ok(told(ask(visit, move |client| Ok(client.get(&target)?)).await?));
    }
    let own = id.clone();
    let known = look(visit, move |_, admin| {
        let entry = admin.entry(&own)?;
        Ok((admin.look(&own, &entry)?.manifest.settings.clone(), entry.settings))
    });
    known.await
}

/// Writes changes to the policy, or has the host write them for a session of some accounts.
async fn write(visit: &Visit, id: &PluginId, changes: Vec<SettingChange>) -> Result<(), Problem> {
    if !visit.is_limited() {
        let own = id.clone();
        return change(visit, move |_, admin| Ok(change_settings(admin, &own, &changes)?)).await;
    }
    let target = format!("/v1/plugins/{id}/settings");
    let new = |SettingChange { name, shown, new }| NewSetting { name, shown, new };
    let body: Vec<_> = changes.into_iter().map(new).collect();
    let asked = ask(visit, move |client| {
        let _: Status = client.post_secret(&target, &serde_json::to_vec(&body)?)?;
        Ok(())
    });
    asked.await
}

/// Says why a form was refused, with the form as it was sent: nobody types everything once more because of one field.
fn refused(
    visit: &Visit,
    id: &PluginId,
    (schema, values): &(Schema, SettingValues),
    form: &Form,
    problem: &Problem,
) -> Reply {
    let below = html! {
        (visit.form(&format!("/plugins/{id}/settings"), &fields(schema, values, Some(form))))
        p { a href=(visit.link(&format!("/plugins/{id}"))) { "Change nothing, and go back to the plugin" } }
    };
    Page::of(problem, &below).into()
}

async fn set(visit: Visit, form: Form) -> Result<Reply, Problem> {
    let id = host::plugin(&visit)?;
    let back = format!("/plugins/{id}");
    let known = known(&visit, &id).await?;
    let changes = match changed(&id, &known.0, &known.1, &form) {
        Ok(changes) => changes,
        Err(problem) => return Ok(refused(&visit, &id, &known, &form, &problem)),
    };
    if changes.is_empty() {
        return Ok(visit.done(&back, "nothing was changed: all settings have these values already"));
    }
    if !form.is_agreed() {
        let in_words = |value: Option<&Value>| value.map_or_else(|| "the default".to_owned(), as_text);
        let line = |SettingChange { name, shown, new }: &SettingChange| {
            let [old, new] = [shown.as_ref(), new.as_ref()].map(in_words);
            html! { (stranger(name)) ": " (stranger(&old)) " → " (stranger(&new)) }
        };
        return Ok(visit.confirm(&Question {
            title: format!("Change the settings of {id}?"),
            sentences: changes.iter().map(line).collect(),
            button: "Change them".to_owned(),
            is_danger: false,
            action: visit.path(),
            back: &back,
            fields: form.fields(),
        }));
    }
    let names = changes.iter().map(|change| change.name.as_str()).collect::<Vec<_>>().join(", ");
    if let Err(problem) = write(&visit, &id, changes).await {
        // Somebody else may have changed one of them at the same moment.
        let Ok(known) = self::known(&visit, &id).await else { return Err(problem) };
        return Ok(refused(&visit, &id, &known, &form, &problem));
    }
    let sentence = format!("changed for {id}: {names}");
    if visit.is_limited() { Ok(visit.done(&back, sentence)) } else { apply(&visit, &id, &back, sentence).await }
}

async fn secret(visit: Visit, form: Form) -> Result<Reply, Problem> {
    let id = host::plugin(&visit)?;
    let (name, text) = (form.need("name")?.to_owned(), form.need("secret")?.to_owned());
    if !form.is_agreed() {
        return Err(Problem::wrong("nothing was changed: tick that the secret may be replaced"));
    }
    if text.len() > LONGEST_SECRET {
        return Err(Problem::wrong(format!("a secret has at most {LONGEST_SECRET} bytes")));
    }
    let (own, of) = (id.clone(), name.clone());
    let is_secret = look(&visit, move |_, admin| {
        let manifest = admin.look(&own, &admin.entry(&own)?)?.manifest;
        Ok(manifest.settings.get(&of).is_some_and(|setting| setting.kind.is_secret()))
    });
    if !is_secret.await? {
        return Err(Problem::wrong(format!("{id} has no secret {name}")));
    }
    let (own, of) = (id.clone(), name.clone());
    let kept = change(&visit, move |config, admin| {
        admin.keep_secret(&own, None, &of, &text)?;
        Ok(to_copy(config, admin.entry(&own)?.settings.0.get(&of)))
    });
    let nodes = kept.await?.map(|says| format!("; {says}")).unwrap_or_default();
    let says = format!("{name} of {id} is kept, where only the host's user can read it{nodes}");
    apply(&visit, &id, &format!("/plugins/{id}"), says).await
}

#[cfg(test)]
mod tests;
