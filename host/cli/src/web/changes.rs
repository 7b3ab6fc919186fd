//! Changes by one press: restart, enable, disable and remove, schedules, and webhooks. Each asks first.

use std::sync::Arc;

use maud::{Markup, html};
use parlor::control::client::escaped;
use parlor::control::views::{Plugin, Schedules, Status, Webhooks};
use parlor_base::id::PluginId;
use parlor_plugins::policy::Entry;
use parlor_window::{Form, Problem, Question, Reply, Role, Routes, stranger};

use super::host::{self, Host, Visit, apply, ask, change};

/// Adds the forms.
pub(super) fn routes(routes: Routes<Arc<Host>>) -> Routes<Arc<Host>> {
    routes
        .form("/plugins/{id}/restart", Role::Operator.of_accounts(), restart)
        .form("/plugins/{id}/enable", Role::Operator.of_accounts(), enable)
        .form("/plugins/{id}/disable", Role::Operator.of_accounts(), disable)
        .form("/plugins/{id}/remove", Role::Owner, remove)
        .form("/plugins/{id}/schedule", Role::Operator.of_accounts(), schedule)
        .form("/plugins/{id}/rotate", Role::Owner.of_accounts(), rotate)
        .form("/plugins/{id}/replay", Role::Operator.of_accounts(), replay)
        .form("/plugins/{id}/drop", Role::Operator.of_accounts(), discard)
}

/// Shows the buttons of a plugin, as far as the session may press them.
pub(super) fn buttons(visit: &Visit, id: &PluginId, entry: &Entry) -> Markup {
    html! {
        @if visit.may(Role::Operator) {
            div.actions {
                (switches(visit, id, entry.enabled))
                @if visit.may(Role::Owner) { (button(visit, id, "remove", "Remove")) }
            }
        }
    }
}

/// Shows the buttons of a plugin in these places, also to an operator of some accounts. Whether it runs on these alone is for the
/// host to say.
pub(super) fn own_buttons(visit: &Visit, id: &PluginId, places: &[Plugin]) -> Markup {
    let is_disabled = places.iter().any(|plugin| plugin.state == "disabled");
    html! {
        @if visit.may(Role::Operator.of_accounts()) { div.actions { (switches(visit, id, !is_disabled)) } }
    }
}

fn switches(visit: &Visit, id: &PluginId, is_enabled: bool) -> Markup {
    html! {
        @if is_enabled {
            (button(visit, id, "restart", "Restart"))
            (button(visit, id, "disable", "Disable"))
        } @else {
            (button(visit, id, "enable", "Enable"))
        }
    }
}

fn button(visit: &Visit, id: &PluginId, path: &str, text: &str) -> Markup {
    visit.form(&format!("/plugins/{id}/{path}"), &html! { button.quiet type="submit" { (text) } })
}

/// Asks a question about a plugin. Cancelling returns to the plugin's page.
fn asked(visit: &Visit, id: &PluginId, form: &Form, (title, button): (String, String), sentence: Markup) -> Reply {
    visit.confirm(&Question {
        title,
        sentences: vec![sentence],
        button,
        is_danger: false,
        action: visit.path(),
        back: &format!("/plugins/{id}"),
        fields: form.fields(),
    })
}

async fn restart(visit: Visit, form: Form) -> Result<Reply, Problem> {
    let id = host::plugin(&visit)?;
    if !form.is_agreed() {
        let sentence = html! { "It ends and starts again on each of its accounts. What it keeps stays." };
        return Ok(asked(&visit, &id, &form, (format!("Restart {id}?"), format!("Restart {id}")), sentence));
    }
    let target = format!("/v1/plugins/{id}/restart");
    let status: Status = ask(&visit, move |client| Ok(client.post(&target)?)).await?;
    Ok(visit.done(&format!("/plugins/{id}"), now(&id, "restarted", &status)))
}

/// Says what was done to a plugin, and its state if it does not run somewhere.
fn now(id: &PluginId, done: &str, status: &Status) -> String {
    let mut own = status.plugins.iter().filter(|plugin| plugin.id == id.as_str());
    match own.find(|plugin| !plugin.runs() && plugin.state != done) {
        None => format!("{id} is {done}"),
        Some(plugin) => format!("{id} is {done}, and is {}", plugin.state),
    }
}

async fn enable(visit: Visit, form: Form) -> Result<Reply, Problem> {
    let id = host::plugin(&visit)?;
    if !form.is_agreed() {
        let sentence = html! { "It may run again, with the grants that it has." };
        return Ok(asked(&visit, &id, &form, (format!("Enable {id}?"), format!("Enable {id}")), sentence));
    }
    switch(&visit, &id, true).await
}

async fn disable(visit: Visit, form: Form) -> Result<Reply, Problem> {
    let id = host::plugin(&visit)?;
    if !form.is_agreed() {
        let sentence = html! { "It stops, and does not run until it is enabled again. What it keeps stays." };
        return Ok(asked(&visit, &id, &form, (format!("Disable {id}?"), format!("Disable {id}")), sentence));
    }
    switch(&visit, &id, false).await
}

async fn switch(visit: &Visit, id: &PluginId, enabled: bool) -> Result<Reply, Problem> {
    let (step, state) = if enabled { ("enable", "enabled") } else { ("disable", "disabled") };
    if visit.is_limited() {
        let target = format!("/v1/plugins/{id}/{step}");
        let status: Status = ask(visit, move |client| Ok(client.post(&target)?)).await?;
        return Ok(visit.done(&format!("/plugins/{id}"), now(id, state, &status)));
    }
    let own = id.clone();
    change(visit, move |_, admin| Ok(admin.enable(&own, enabled)?)).await?;
    apply(visit, id, &format!("/plugins/{id}"), format!("{id} is {state}")).await
}

async fn remove(visit: Visit, form: Form) -> Result<Reply, Problem> {
    let id = host::plugin(&visit)?;
    if !form.is_agreed() {
        return Ok(visit.confirm(&Question {
            title: format!("Remove {id}?"),
            sentences: vec![html! {
                "Its grants, its settings and its earlier versions are gone then. What it keeps stays on the machine; "
                code { "parlor plugin remove " (id.as_str()) " --with-data" } " removes that, too."
            }],
            button: format!("Remove {id}"),
            is_danger: true,
            action: visit.path(),
            back: &format!("/plugins/{id}"),
            fields: form.fields(),
        }));
    }
    let own = id.clone();
    change(&visit, move |_, admin| Ok(admin.remove(&own)?)).await?;
    apply(&visit, &id, "/plugins", format!("{id} is removed")).await
}

async fn schedule(visit: Visit, form: Form) -> Result<Reply, Problem> {
    let id = host::plugin(&visit)?;
    let (name, account) = (form.need("schedule")?.to_owned(), form.need("account")?.to_owned());
    let (verb, done) = match form.need("do")? {
        "pause" => ("Pause", "pauses"),
        "resume" => ("Let go on", "goes on"),
        _ => return Err(Problem::wrong("a schedule is paused or let go on")),
    };
    if !form.is_agreed() {
        let sentence = html! { "The schedule " (stranger(&name)) " on " (stranger(&account)) " " (done) " then." };
        return Ok(asked(&visit, &id, &form, (format!("{verb}: {name} of {id}?"), verb.to_owned()), sentence));
    }
    let path = if done == "pauses" { "pause" } else { "resume" };
    let query = format!("schedule={}&account={}", escaped(&name), escaped(&account));
    let target = format!("/v1/plugins/{id}/schedules/{path}?{query}");
    let _: Vec<Schedules> = ask(&visit, move |client| Ok(client.post(&target)?)).await?;
    Ok(visit.done(&format!("/plugins/{id}"), format!("the schedule {name} {done}")))
}

async fn rotate(visit: Visit, form: Form) -> Result<Reply, Problem> {
    let id = host::plugin(&visit)?;
    let (name, account) = (form.need("webhook")?.to_owned(), form.need("account")?.to_owned());
    if !form.is_agreed() {
        let sentence = html! {
            "The present address of the webhook " (stranger(&name)) " leads nowhere then: whoever sends requests to it has to be told the new one."
        };
        let title = format!("Give the webhook {name} of {id} another address?");
        return Ok(asked(&visit, &id, &form, (title, "Give it another address".to_owned()), sentence));
    }
    let query = format!("webhook={}&account={}", escaped(&name), escaped(&account));
    let target = format!("/v1/plugins/{id}/webhooks/rotate?{query}");
    let _: Vec<Webhooks> = ask(&visit, move |client| Ok(client.post(&target)?)).await?;
    Ok(visit.done(&format!("/plugins/{id}"), format!("the webhook {name} has another address")))
}

async fn replay(visit: Visit, form: Form) -> Result<Reply, Problem> {
    let id = host::plugin(&visit)?;
    let number: i64 = form.need("request")?.parse().map_err(|_| Problem::wrong("a request has a number"))?;
    let account = form.need("account")?.to_owned();
    if !form.is_agreed() {
        let sentence = html! { (id.as_str()) " is told of the request " (number) " as if it came now." };
        let title = format!("Tell {id} of the request {number} again?");
        return Ok(asked(&visit, &id, &form, (title, "Tell it again".to_owned()), sentence));
    }
    let target = format!("/v1/plugins/{id}/webhooks/replay?request={number}&account={}", escaped(&account));
    let _: Vec<Webhooks> = ask(&visit, move |client| Ok(client.post(&target)?)).await?;
    Ok(visit.done(&format!("/plugins/{id}"), format!("{id} is told of the request {number} again")))
}

async fn discard(visit: Visit, form: Form) -> Result<Reply, Problem> {
    let id = host::plugin(&visit)?;
    let number: i64 = form.need("request")?.parse().map_err(|_| Problem::wrong("a request has a number"))?;
    let account = form.need("account")?.to_owned();
    if !form.is_agreed() {
        let sentence =
            html! { (id.as_str()) " is not told of the request " (number) " again, and those behind it are next." };
        let title = format!("Drop the request {number} to {id}?");
        return Ok(asked(&visit, &id, &form, (title, "Drop it".to_owned()), sentence));
    }
    let target = format!("/v1/plugins/{id}/webhooks/drop?request={number}&account={}", escaped(&account));
    let _: Vec<Webhooks> = ask(&visit, move |client| Ok(client.post(&target)?)).await?;
    Ok(visit.done(&format!("/plugins/{id}"), format!("the request {number} to {id} is dropped")))
}
