//! The settings of a plugin, as a form of its schema. Secrets can be written here but are never shown: each has a
//! separate form, whose values are not repeated in a question.

use std::collections::BTreeMap;
use std::sync::Arc;

use maud::{Markup, html};
use parlor_base::escape::escape_untrusted;
use parlor_base::id::{Digest, PluginId};
use parlor_plugins::admin::{AdminError, SettingChange, change_settings};
use parlor_plugins::manifest::Manifest;
use parlor_plugins::policy::{RoomSettings, SettingValues};
use parlor_plugins::setting::{Setting, SettingKind};
use parlor_window::{Form, Page, Problem, Question, Reply, Role, Routes, stranger};
use serde_json::Value;

use super::host::{self, Host, Visit, apply, change, look};
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
    routes.form("/plugins/{id}/settings", Role::Owner, set).form("/plugins/{id}/secret", Role::Owner, secret)
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
        @if visit.may(Role::Owner) {
            @if !open.is_empty() { (visit.form(&format!("/plugins/{id}/settings"), &fields(schema, values, None))) }
            @for (name, setting) in &secrets {
                (visit.form(&format!("/plugins/{id}/secret"), &secret_fields(name, setting, values.0.contains_key(*name))))
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

/// Returns the manifest of a plugin, and the values of its settings.
async fn known(visit: &Visit, id: &PluginId) -> Result<(Arc<Manifest>, SettingValues), Problem> {
    let own = id.clone();
    let known = look(visit, move |_, admin| {
        let entry = admin.entry(&own)?;
        Ok((admin.look(&own, &entry)?.manifest, entry.settings))
    });
    known.await
}

/// Says why a form was refused, with the form as it was sent: nobody types everything once more because of one field.
fn refused(
    visit: &Visit,
    id: &PluginId,
    (manifest, values): &(Arc<Manifest>, SettingValues),
    form: &Form,
    problem: &Problem,
) -> Reply {
    let below = html! {
        (visit.form(&format!("/plugins/{id}/settings"), &fields(&manifest.settings, values, Some(form))))
        p { a href=(visit.link(&format!("/plugins/{id}"))) { "Change nothing, and go back to the plugin" } }
    };
    Page::of(problem, &below).into()
}

async fn set(visit: Visit, form: Form) -> Result<Reply, Problem> {
    let id = host::plugin(&visit)?;
    let back = format!("/plugins/{id}");
    let known = known(&visit, &id).await?;
    let changes = match changed(&id, &known.0.settings, &known.1, &form) {
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
    let own = id.clone();
    if let Err(problem) = change(&visit, move |_, admin| Ok(change_settings(admin, &own, &changes)?)).await {
        // Somebody else may have changed one of them at the same moment.
        let Ok(known) = self::known(&visit, &id).await else { return Err(problem) };
        return Ok(refused(&visit, &id, &known, &form, &problem));
    }
    apply(&visit, &id, &back, format!("changed for {id}: {names}")).await
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
mod tests {
    use serde_json::json;

    use super::*;

    fn setting(kind: SettingKind) -> Setting {
        Setting { kind, default: None, description: "<b>what for".to_owned(), required: false }
    }

    fn schema() -> Schema {
        let choice = SettingKind::Choice(vec!["red".to_owned(), "blue".to_owned()]);
        let all = [
            ("text", SettingKind::String),
            ("number", SettingKind::Number),
            ("on", SettingKind::Boolean),
            ("colour", choice),
            ("list", SettingKind::List),
            ("key", SettingKind::Secret),
        ];
        all.into_iter().map(|(name, kind)| (name.to_owned(), setting(kind))).collect()
    }

    /// Returns the form of a page that shows these values, with these fields.
    fn sent(shown: &SettingValues, fields: &[(&str, &str)]) -> Form {
        let marks = marks(&schema(), shown);
        Form::of(&[&[(SHOWN, marks.as_str())][..], fields].concat())
    }

    fn changes(values: &SettingValues, form: &Form) -> Result<Vec<SettingChange>, Problem> {
        changed(&"echo".parse().unwrap(), &schema(), values, form)
    }

    #[test]
    fn what_another_owner_changed_meanwhile_is_not_undone() {
        let values = |number: u8| {
            SettingValues([("text".to_owned(), json!("a\nb")), ("number".to_owned(), json!(number))].into())
        };
        let shown = values(5);
        let touches_text = sent(&shown, &[("set.text", "c"), ("set.number", "5"), ("set.on", "")]);
        let text = SettingChange { name: "text".to_owned(), shown: Some(json!("a\nb")), new: Some(json!("c")) };
        for now in [5, 6] {
            // Fields that were not touched change nothing, whatever counts by now.
            assert_eq!(changes(&values(now), &touches_text).unwrap(), std::slice::from_ref(&text), "{now}");
        }
        let touches_both = sent(&shown, &[("set.text", "c"), ("set.number", "7")]);
        assert_eq!(changes(&shown, &touches_both).unwrap().len(), 2);
        for now in [values(6), SettingValues([("text".to_owned(), json!("a\nb"))].into())] {
            let problem = changes(&now, &touches_both).unwrap_err();
            assert!(problem.status == 409 && problem.sentence.contains("number of echo was changed"), "{problem:?}");
        }
        let sets_what_was_set = sent(&shown, &[("set.on", "true")]);
        let mut now = values(5);
        now.0.insert("on".to_owned(), json!(false));
        assert_eq!(changes(&now, &sets_what_was_set).unwrap_err().status, 409);
        // Somebody else has done the same already.
        assert!(changes(&values(7), &sent(&shown, &[("set.number", "7")])).unwrap().is_empty());
        // Browsers send other line ends.
        assert!(changes(&shown, &sent(&shown, &[("set.text", "a\r\nb")])).unwrap().is_empty());
        // A form that does not say what it showed may be about other values.
        assert_eq!(changes(&shown, &Form::of(&[("set.text", "c")])).unwrap_err().status, 400);
    }

    #[test]
    fn a_form_changes_what_was_changed_in_it() {
        let values = SettingValues([("text".to_owned(), json!("say ")), ("number".to_owned(), json!(5))].into());
        let form = sent(
            &values,
            &[
                ("set.text", "say "),
                ("set.number", ""),
                ("set.on", "true"),
                ("set.colour", "blue"),
                ("set.list", "a\r\n\r\n b \r\n"),
                ("set.key", "secret"),
            ],
        );
        let all = changes(&values, &form).unwrap();
        let short: Vec<_> = all.iter().map(|change| (change.name.as_str(), change.new.clone())).collect();
        assert_eq!(
            short,
            [
                ("colour", Some(json!("blue"))),
                ("list", Some(json!(["a", "b"]))),
                ("number", None),
                ("on", Some(json!(true))),
            ]
        );
        for wrong in [("set.number", "many"), ("set.on", "maybe"), ("set.colour", "green")] {
            assert_eq!(changes(&values, &sent(&values, &[wrong])).unwrap_err().status, 400, "{wrong:?}");
        }
    }

    #[test]
    fn a_form_that_was_refused_keeps_what_was_typed_and_no_secret() {
        let before = SettingValues([("number".to_owned(), json!(5)), ("on".to_owned(), json!(false))].into());
        let typed = [
            ("set.text", "<b>mine\""),
            ("set.number", "many"),
            ("set.on", "false"),
            ("set.list", "a\r\nb"),
            ("set.key", "hunter2"),
        ];
        let form = sent(&before, &typed);
        // Meanwhile another owner has changed a setting that this form leaves as it was.
        let mut now = before;
        now.0.insert("on".to_owned(), json!(true));
        let problem = changes(&now, &form).unwrap_err();
        let text = "[plugin]\nname = \"echo\"\nversion = \"0.1.0\"\napi = \"0.1.0\"\ndescription = \"X\"\n";
        let manifest = Manifest { settings: schema(), ..Manifest::parse(text).unwrap() };
        let visit = Visit::for_test(Role::Owner, "/", Arc::new(Host::new(super::super::tests::target())));
        let known = (Arc::new(manifest), now.clone());
        let reply = refused(&visit, &"echo".parse().unwrap(), &known, &form, &problem);
        assert_eq!(reply.page_status(), Some(400));
        let page = reply.into_text();
        for words in [
            "id=\"problem\"",
            "the setting number does not fit",
            "action=\"/plugins/echo/settings\"",
            "value=\"&lt;b&gt;mine&quot;\"",
            "value=\"many\"",
            "a\r\nb</textarea>",
            "<option value=\"true\" selected>",
        ] {
            assert!(page.contains(words), "no {words} in {page}");
        }
        assert!(!page.contains("hunter2") && !page.contains("<b>"), "{page}");
        // Sent once more with a number, it changes what was typed, and undoes nothing.
        let again = sent(&now, &[typed[0], ("set.number", "7"), ("set.on", "true"), typed[3]]);
        let names: Vec<_> = changes(&now, &again).unwrap().into_iter().map(|change| change.name).collect();
        assert_eq!(names, ["list", "number", "text"]);
    }

    #[test]
    fn values_in_single_rooms_are_shown_without_secrets() {
        let mut all = RoomSettings::default();
        all.put("a@m.example", "text", json!("<b>hello"));
        all.put("a@m.example", "key", json!({ "file": "/secret/place" }));
        all.put("b@m.example", "gone", json!("secret of before"));
        let text = values_in_rooms(&"echo".parse().unwrap(), &schema(), &all).into_string();
        assert!(text.contains("a@m.example") && text.contains("b@m.example") && text.contains("hello"), "{text}");
        for hidden in ["/secret/place", "secret of before", "<b>"] {
            assert!(!text.contains(hidden), "{text}");
        }
        assert_eq!(text.matches("set, and not shown").count(), 2, "{text}");
        assert_eq!(values_in_rooms(&"echo".parse().unwrap(), &schema(), &RoomSettings::default()).into_string(), "");
    }

    #[test]
    fn a_secret_is_never_shown() {
        let values = SettingValues([("key".to_owned(), json!({ "file": "/secret/place" }))].into());
        let host = || Arc::new(Host::new(super::super::tests::target()));
        for role in Role::ALL {
            let visit = Visit::for_test(role, "/plugins/echo", host());
            let text =
                shown(&visit, &"echo".parse().unwrap(), &schema(), &values, &RoomSettings::default()).into_string();
            assert!(!text.contains("/secret/place") && text.contains("set, and not shown"), "{text}");
            assert!(!text.contains("<b>"), "{text}");
            assert_eq!(text.contains("type=\"password\""), role == Role::Owner);
        }
    }
}
