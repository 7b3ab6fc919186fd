//! The permissions of a plugin, each in words, with granting and taking back.

use std::sync::Arc;

use maud::{Markup, html};
use parlor_base::id::{Digest, PluginId};
use parlor_base::permission::{Permission, Risk, ScopeKind};
use parlor_plugins::admin::{AdminError, GrantRequest, Revoked};
use parlor_plugins::consent::{Place, Sentence, adds_high_risk, asked, beside, held, sentences};
use parlor_plugins::manifest::Manifest;
use parlor_runtime::rights::{Right, rights, shown as entries};
use parlor_session::permissions::{Grants, Scope, permission};
use parlor_window::{Form, Problem, Question, Reply, Role, Routes, stranger};

use super::host::{self, Host, Visit, apply, change, look};
use super::parts::{kept_to, reach, rooms_of, whole};
use crate::show::Put as _;

/// The field of a question with the digest of the version that it is about.
const SHOWN: &str = "shown";

/// Adds the forms.
pub(super) fn routes(routes: Routes<Arc<Host>>) -> Routes<Arc<Host>> {
    routes.form("/plugins/{id}/grant", Role::Owner, grant).form("/plugins/{id}/revoke", Role::Owner, revoke)
}

/// Shows what a plugin can reach on these accounts, and each permission that it asks for or has. Those that it can do without
/// and does not have are folded.
pub(super) fn shown(
    visit: &Visit,
    id: &PluginId,
    manifest: Option<&Manifest>,
    grants: &Grants,
    places: &[Place],
) -> Markup {
    let has = manifest.map_or_else(|| grants.clone(), |manifest| held(grants, &asked(manifest, |_| true)));
    let kept = rooms_of(grants);
    let (other, first): (Vec<_>, Vec<_>) = rights(id, manifest, grants).into_iter().partition(is_left_out);
    html! {
        @match (first.is_empty(), other.is_empty()) {
            (true, true) => { p { "It asks for nothing, and has nothing." } }
            (true, false) => { p { "It has nothing." } }
            (false, _) => {
                ul {
                    @if let Some(rooms) = &kept { li #kept { (only_in(rooms)) } }
                    @for sentence in reach(&has, places) { li { (sentence) } }
                }
                (cards(visit, id, &first))
            }
        }
        @if !other.is_empty() {
            details #more {
                summary { (other.len()) " more that it can do without, and does not have" }
                (cards(visit, id, &other))
            }
        }
    }
}

/// Says that what a plugin may counts in these rooms alone.
fn only_in(rooms: &[String]) -> Markup {
    html! { "Of all rooms it sees and acts in these alone, whatever else is said here: " (kept_to(rooms)) "." }
}

/// Returns whether a plugin does not have a permission, and can do without it.
fn is_left_out(right: &Right) -> bool {
    right.granted.is_none() && right.asked.as_ref().is_some_and(|asked| asked.optional)
}

fn cards(visit: &Visit, id: &PluginId, rights: &[Right]) -> Markup {
    html! { ul.cards { @for right in rights { li.card { (one(visit, id, right)) } } } }
}

fn one(visit: &Visit, id: &PluginId, right: &Right) -> Markup {
    html! {
        h3 { (right.permission.as_str()) " (" (right.risk) " risk)" }
        p { (right.what) }
        @match (&right.granted, &right.asked) {
            (Some(granted), Some(_)) => { p { strong { "Granted" } (scope(granted)) } }
            (Some(granted), None) => { p { "Granted" (scope(granted)) ", but it does not ask for it, so it does not get it" } }
            (None, _) => { p { strong { "Not granted" } } }
        }
        @if let Some(asked) = &right.asked {
            p { @if asked.optional { "It can use this" } @else { "It requires this" } (scope(&asked.scope)) ": " (stranger(&asked.reason)) }
        }
        @if visit.may(Role::Owner) {
            @if right.asked.is_some() { (visit.form(&format!("/plugins/{id}/grant"), &grant_fields(right))) }
            @if right.granted.is_some() { (visit.form(&format!("/plugins/{id}/revoke"), &revoke_fields(right))) }
        }
    }
}

fn scope(entries: &[String]) -> Markup {
    html! { @if !entries.is_empty() { " for " @for (at, entry) in entries.iter().enumerate() { @if at > 0 { ", " } (stranger(entry)) } } }
}

fn grant_fields(right: &Right) -> Markup {
    let name = right.permission.as_str();
    let field = format!("grant-{name}");
    html! {
        input type="hidden" name="permission" value=(name);
        @if right.permission.scope_kind() != ScopeKind::None {
            label for=(field) { "For whom or what" }
            input id=(field) name="scope" autocomplete="off" aria-describedby={ (field) "-hint" };
            p.hint id={ (field) "-hint" } { "With commas between them. Empty: as it asks." }
        }
        button.quiet type="submit" { "Grant " (name) }
    }
}

fn revoke_fields(right: &Right) -> Markup {
    let name = right.permission.as_str();
    let granted = right.granted.as_deref().unwrap_or_default();
    let field = format!("revoke-{name}");
    html! {
        input type="hidden" name="permission" value=(name);
        @if granted.len() > 1 {
            label for=(field) { "What to take back" }
            select id=(field) name="scope" {
                option value="" { "all of it" }
                @for entry in granted { option value=(entry) { (entry) } }
            }
        }
        button.quiet type="submit" { "Take back " (name) }
    }
}

/// Reads the permission and the scope of a form.
fn request(form: &Form) -> Result<GrantRequest, Problem> {
    let wrong = |error: &dyn std::fmt::Display| Problem::wrong(error.to_string());
    let permission = permission(form.need("permission")?).map_err(|error| wrong(&error))?;
    let scope: Option<Vec<_>> =
        form.get("scope").map(|text| text.split(',').map(|entry| entry.trim().to_owned()).collect());
    if let Some(entries) = &scope {
        Grants::default().grant_more(permission, entries).map_err(|error| wrong(&error))?;
    }
    Ok(GrantRequest { permission, scope })
}

async fn grant(visit: Visit, form: Form) -> Result<Reply, Problem> {
    let id = host::plugin(&visit)?;
    let request = request(&form)?;
    if !form.is_agreed() {
        return question(&visit, &id, &form, request, None).await;
    }
    let shown = form.need(SHOWN)?.parse::<Digest>().map_err(|error| Problem::wrong(error.to_string()))?;
    let (asked, name, wanted) = (id.clone(), request.permission, [request.clone()]);
    let is_granted = change(&visit, move |_, admin| match admin.grant(&asked, &wanted, shown) {
        // The question is asked again, about the version that is installed now.
        Err(AdminError::Updated(_)) => Ok(false),
        Err(error) => Err(error.into()),
        Ok(_) => Ok(true),
    });
    if !is_granted.await? {
        let updated = html! {
            strong { (id.as_str()) " was updated meanwhile, so nothing was granted." }
            " Look again: this is what you would grant to the version that is installed now."
        };
        return Ok(question(&visit, &id, &form, request, Some(updated)).await?.status(409));
    }
    apply(&visit, &id, &format!("/plugins/{id}"), format!("{id} is granted {name}")).await
}

/// Asks whether a plugin is granted more. The question is about the version that is installed, whose digest it has.
async fn question(
    visit: &Visit,
    id: &PluginId,
    form: &Form,
    request: GrantRequest,
    first: Option<Markup>,
) -> Result<Reply, Problem> {
    let asked = id.clone();
    let found = look(visit, move |_, admin| Ok(admin.comes_to(&asked, &[request])?)).await?;
    let has = &found.entry.grants;
    let said = found.more.iter().map(|(permission, scope)| in_words(*permission, scope, has));
    // Together with what it has, it may be able to do more.
    let more: Grants = found.more.iter().cloned().collect();
    let further = sentences(&beside(&more, has), has, &[]).into_iter();
    let further = further.filter(|one| one.is_together() || one.permissions.iter().any(|of| one.risk > of.risk()));
    let further = further.map(|Sentence { risk, text, .. }| {
        html! { @if risk == Risk::High { strong { "High risk: " } } (whole(&text)) }
    });
    let rooms = rooms_of(has).map(|rooms| only_in(&rooms));
    let sent = form.fields().iter().filter(|(name, _)| name != SHOWN).cloned();
    let fields: Vec<_> = sent.chain([(SHOWN.to_owned(), found.examined.digest.to_string())]).collect();
    Ok(visit.confirm(&Question {
        title: format!("Grant {id} more?"),
        sentences: first.into_iter().chain(said).chain(further).chain(rooms).collect(),
        button: format!("Grant it to {id}"),
        is_danger: adds_high_risk(&more, has),
        action: visit.path(),
        back: &format!("/plugins/{id}"),
        fields: &fields,
    }))
}

/// Describes a permission with its whole scope, and the grants before.
fn in_words(permission: Permission, granted: &Scope, has: &Grants) -> Markup {
    let before = has.get(permission).map(|scope| entries(&scope.entries()));
    let all = entries(&granted.entries());
    let everybody = all.iter().any(|entry| entry == "*");
    html! {
        strong { (permission.as_str()) } " is of " (permission.risk().to_string()) " risk: " (permission.describe())
        @if !all.is_empty() { " It is granted" (scope(&all)) }
        @if everybody {
            @match permission.scope_kind() {
                ScopeKind::Jids | ScopeKind::Messages => { " (everybody)" }
                ScopeKind::Rooms => { " (all rooms)" }
                _ => {}
            }
        }
        @match before {
            Some(before) if before.is_empty() => { ". It was granted before." }
            Some(before) => { ", beside what was granted before" (scope(&before)) "." }
            None => { ". It was not granted before." }
        }
    }
}

async fn revoke(visit: Visit, form: Form) -> Result<Reply, Problem> {
    let id = host::plugin(&visit)?;
    let request = request(&form)?;
    let (back, name) = (format!("/plugins/{id}"), request.permission);
    if !form.is_agreed() {
        let what = request.scope.as_ref().map(|entries| entries.join(", "));
        return Ok(visit.confirm(&Question {
            title: format!("Take {name} back from {id}?"),
            sentences: vec![html! {
                strong { (name.as_str()) } ": " (name.describe()) " "
                @match &what {
                    Some(what) => { "It loses it for " (stranger(what)) "." }
                    None => { "It loses all of it." }
                }
                " A plugin that cannot do without it stops."
            }],
            button: format!("Take back {name}"),
            is_danger: true,
            action: visit.path(),
            back: &back,
            fields: form.fields(),
        }));
    }
    let asked = id.clone();
    let revoked = change(&visit, move |_, admin| Ok(admin.revoke(&asked, &[request])?)).await?;
    apply(&visit, &id, &back, taken_back(&id, name, &revoked)).await
}

/// Describes the revoked entries, and the consequences. A remaining entry may cover a revoked one.
fn taken_back(id: &PluginId, name: Permission, Revoked { needed, left }: &Revoked) -> String {
    let mut sentence = format!("{name} is taken back from {id}");
    for (permission, scope) in left {
        sentence.put(format_args!("; it keeps {permission} for {}", entries(&scope.entries()).join(", ")));
    }
    if !needed.is_empty() {
        sentence.put(format_args!("; {id} cannot do without it"));
    }
    sentence
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::super::tests::{fields_of, host_in, write_version};
    use super::*;

    /// Writes a version that asks to send messages to somebody, and a policy with it and without grants.
    fn install(folder: &Path, version: &str, to: &str) {
        let digest = write_version(folder, version, to);
        let policy = format!("[plugin.echo]\nsource = \"echo.wasm\"\ndigest = \"{digest}\"\n");
        fs::write(folder.join("plugins.toml"), policy).unwrap();
    }

    #[tokio::test]
    async fn who_agrees_grants_what_was_shown_or_is_asked_again() {
        let folder = tempfile::tempdir().unwrap();
        let host = host_in(folder.path());
        let visit = || Visit::for_test(Role::Owner, "/plugins/echo/grant", Arc::clone(&host)).with_part("id", "echo");
        let policy = || fs::read_to_string(folder.path().join("plugins.toml")).unwrap();

        install(folder.path(), "0.1.0", "juliet@example.org");
        let asks = grant(visit(), Form::of(&[("permission", "messages.send")])).await.unwrap().into_text();
        assert!(asks.contains("juliet@example.org") && !asks.contains("updated meanwhile"), "{asks}");
        // Another owner updates it before this one has agreed.
        install(folder.path(), "0.2.0", "*");
        let again = grant(visit(), Form::of(&fields_of(&asks))).await.unwrap();
        assert_eq!(again.page_status(), Some(409));
        let again = again.into_text();
        assert!(again.contains("echo was updated meanwhile, so nothing was granted"), "{again}");
        assert!(again.contains("(everybody)") && !again.contains("juliet@example.org"), "{again}");
        assert!(!policy().contains("grants"), "{}", policy());
        // The second question is about the new version alone.
        let done = grant(visit(), Form::of(&fields_of(&again))).await.unwrap().into_text();
        assert_eq!(done, "/plugins/echo", "{}", policy());
        assert!(policy().contains("\"messages.send\" = [\"*\"]"), "{}", policy());
        // An answer must name the version that was shown.
        let without = [("permission", "messages.send"), ("agreed", "yes")];
        assert_eq!(grant(visit(), Form::of(&without)).await.unwrap_err().status, 400);
    }

    #[test]
    fn a_form_names_a_permission_and_its_scope() {
        let of = |fields: &[(&str, &str)]| request(&Form::of(fields));
        let sent = of(&[("permission", "messages.send"), ("scope", "juliet@example.org, @example.net")]).unwrap();
        assert_eq!(sent.permission, Permission::MessagesSend);
        assert_eq!(sent.scope.unwrap(), ["juliet@example.org", "@example.net"]);
        assert_eq!(of(&[("permission", "messages.send"), ("scope", "")]).unwrap().scope, None);
        for wrong in [&[][..], &[("permission", "x")], &[("permission", "messages.send"), ("scope", "no address@")]] {
            assert_eq!(of(wrong).unwrap_err().status, 400, "{wrong:?}");
        }
    }

    #[test]
    fn what_is_granted_is_said_with_all_of_its_scope() {
        let mut has = Grants::default();
        has.grant(Permission::MessagesSend, &["a@b.example".to_owned()]).unwrap();
        let mut more = Grants::default();
        more.grant(Permission::MessagesSend, &["*".to_owned()]).unwrap();
        let scope = more.get(Permission::MessagesSend).unwrap();
        let text = in_words(Permission::MessagesSend, scope, &has).into_string();
        assert!(text.contains("(everybody)") && text.contains("a@b.example"), "{text}");
    }
}
