//! The versions of a plugin: the changes of an update, and rollbacks to earlier versions.

use std::sync::Arc;

use maud::{Markup, html};
use parlor_base::id::{Digest, PluginId};
use parlor_base::permission::Risk;
use parlor_config::Config;
use parlor_plugins::admin::{Carried, GivenSecrets, GrantRequest, Offer, Older, Plan, PluginAdmin, Replacement};
use parlor_plugins::components::KeptVersion;
use parlor_plugins::consent::{Sentence, asked, sentences};
use parlor_plugins::manifest::Manifest;
use parlor_plugins::policy::Entry;
use parlor_runtime::rights::{Right, rights};
use parlor_session::permissions::{Grants, permission};
use parlor_window::{Form, Page, Problem, Question, Reply, Role, Routes, scroll, stranger};

use super::host::{self, Host, Visit, apply, change, look};
use super::parts::whole;
use crate::Ended;
use crate::plugin::from_index::{Asking, Installed, choose};
use crate::plugin::origin::Origin;
use crate::show::second;

/// Adds the forms.
pub(super) fn routes(routes: Routes<Arc<Host>>) -> Routes<Arc<Host>> {
    routes.form("/plugins/{id}/update", Role::Owner, update).form("/plugins/{id}/rollback", Role::Owner, rollback)
}

/// Shows the kept versions, and the actions that change the version.
pub(super) fn shown(visit: &Visit, id: &PluginId, entry: &Entry, versions: &[KeptVersion]) -> Markup {
    let back = |kept: &KeptVersion| {
        let fields = html! {
            input type="hidden" name="to" value=(kept.digest.to_string());
            button.quiet type="submit" { "Go back to " (kept.version.to_string()) }
        };
        visit.form(&format!("/plugins/{id}/rollback"), &fields)
    };
    let table = html! {
        table {
            caption { "The versions that are kept" }
            thead { tr { @for head in ["Version", "Digest", "Installed first", "Signed by", "Go back"] { th scope="col" { (head) } } } }
            tbody {
                @for kept in versions.iter().rev() {
                    tr {
                        th scope="row" { (kept.version.to_string()) }
                        td { (kept.digest.short()) }
                        td { (second(&kept.at)) }
                        td { @if let Some(signer) = &kept.signer { (stranger(&signer.to_string())) } @else { "nobody" } }
                        td {
                            @if kept.digest == entry.digest { "the present one" }
                            @else if visit.may(Role::Owner) { (back(kept)) }
                        }
                    }
                }
            }
        }
    };
    let look = html! { button.quiet type="submit" { "Look for another version" } };
    html! {
        @if !versions.is_empty() { (scroll("Versions", &table)) }
        @if visit.may(Role::Owner) { (visit.form(&format!("/plugins/{id}/update"), &look)) }
    }
}

/// The changes that an offer makes, in words.
struct Change {
    was: String,
    new: String,
    digest: String,
    /// The author's words about the new versions.
    news: Vec<(String, String)>,
    /// The permissions that are asked for newly.
    more: Vec<Right>,
    /// The permissions whose requests changed, each with the entries that are asked for newly.
    otherwise: Vec<(Right, Vec<String>)>,
    /// The ways in which its webhooks are more open.
    opened: Vec<String>,
    /// The sentence about all of that together, with the present grants.
    together: Option<Sentence>,
    gone: Vec<String>,
    settings: Vec<String>,
}

impl Change {
    fn of(id: &PluginId, entry: &Entry, offer: &Offer, plan: &Replacement<'_>) -> Self {
        let manifest = offer.manifest();
        let all = rights(id, Some(manifest), &Grants::default());
        let (more, rest): (Vec<_>, Vec<_>) = all
            .into_iter()
            .partition(|right| plan.difference.new.contains(&right.permission) && !plan.counting.has(right.permission));
        let is_new = |version: &semver::Version| match plan.version() {
            Some(present) => version > present && *version <= manifest.version,
            None => *version == manifest.version,
        };
        let otherwise = |right: Right| {
            let wider = plan.difference.wider.get(&right.permission).cloned().unwrap_or_default();
            plan.difference.changed.contains(&right.permission).then_some((right, wider))
        };
        let news = manifest.changes.iter().filter(|entry| is_new(entry.0));
        Self {
            was: plan.version().map_or_else(|| entry.digest.short(), ToString::to_string),
            new: manifest.version.to_string(),
            digest: offer.examined.digest.to_string(),
            news: news.map(|(version, words)| (version.to_string(), words.clone())).collect(),
            otherwise: rest.into_iter().filter_map(otherwise).collect(),
            opened: plan.difference.opened.clone(),
            together: together(manifest, &more, &plan.counting),
            more,
            gone: plan.difference.gone.iter().map(ToString::to_string).collect(),
            settings: carried(&plan.carried),
        }
    }
}

/// Says what these permissions allow together, with the present grants.
fn together(manifest: &Manifest, more: &[Right], present: &Grants) -> Option<Sentence> {
    let wished = asked(manifest, |permission| more.iter().any(|right| right.permission == permission));
    sentences(&wished, present, &[]).into_iter().find(Sentence::is_together)
}

/// Names the settings that are put aside or restored.
fn carried(carried: &Carried) -> Vec<String> {
    let [aside, back] = carried.names();
    let aside = aside.into_iter().map(|name| match carried.further.get(name) {
        Some(why) => format!("The setting {name} is put aside: {why}. Set it again if you agree."),
        None => format!("The setting {name} is put aside: it has no place in that version."),
    });
    aside.chain(back.into_iter().map(|name| format!("The setting {name} is set again, as it was before."))).collect()
}

/// Finds another version at the plugin's source.
fn offer(config: &Config, admin: &PluginAdmin<'_>, id: &PluginId, entry: &Entry) -> anyhow::Result<Offer> {
    let installed = Installed { entry, older: Older::Refused };
    // There is no terminal for questions. If one were needed, this returns an error.
    let chosen = choose(config, None, &Origin::default(), Some(&installed), Asking { json: true, check: false })?;
    let offer = admin.offer(&chosen.source, &chosen.expected).map_err(|error| chosen.explained(error, id))?;
    chosen.is_as_listed(offer.manifest())?;
    Ok(offer)
}

async fn update(visit: Visit, form: Form) -> Result<Reply, Problem> {
    let id = host::plugin(&visit)?;
    if !form.is_agreed() {
        return ask_about_update(&visit, &id, None).await;
    }
    let shown = form.need("digest")?.parse::<Digest>().map_err(|error| Problem::wrong(error.to_string()))?;
    let requests = form.all("grant").map(request).collect::<Result<Vec<_>, _>>()?;
    let own = id.clone();
    let sentence = change(&visit, move |config, admin| {
        let entry = admin.entry(&own)?;
        let offer = offer(config, admin, &own, &entry)?;
        // The question is asked again, about the file that is there now.
        if offer.examined.digest != shown {
            return Ok(None);
        }
        replaced(admin, &own, &entry, &offer, Older::Refused, &requests).map(Some)
    });
    if let Some(sentence) = sentence.await? {
        return apply(&visit, &id, &format!("/plugins/{id}"), sentence).await;
    }
    let changed = html! {
        strong { "The file of " (id.as_str()) " changed at its source meanwhile, so nothing was changed here." }
        " Look again: this is what is there now."
    };
    Ok(ask_about_update(&visit, &id, Some(changed)).await?.status(409))
}

/// Asks about the version that is at the plugin's source now. `first`: what is said before the changes.
async fn ask_about_update(visit: &Visit, id: &PluginId, first: Option<Markup>) -> Result<Reply, Problem> {
    let (own, back) = (id.clone(), format!("/plugins/{id}"));
    let found = look(visit, move |config, admin| {
        let entry = admin.entry(&own)?;
        let offer = offer(config, admin, &own, &entry)?;
        Ok(match admin.plan(&own, &entry, &offer, Older::Refused)? {
            Plan::Nothing | Plan::Restore => None,
            Plan::Replace(plan) => Some(Change::of(&own, &entry, &offer, &plan)),
        })
    });
    match found.await? {
        None => Ok(visit.done(&back, format!("there is no other version of {id} where it came from"))),
        Some(change) => Ok(question(visit, id, &change, first.as_ref(), &back)),
    }
}

/// Reads a permission that is granted as it is asked for.
fn request(name: &str) -> Result<GrantRequest, Problem> {
    let permission = permission(name).map_err(|error| Problem::wrong(error.to_string()))?;
    Ok(GrantRequest { permission, scope: None })
}

/// Replaces a version, and says so.
fn replaced(
    admin: &PluginAdmin<'_>,
    id: &PluginId,
    entry: &Entry,
    offer: &Offer,
    older: Older,
    requests: &[GrantRequest],
) -> anyhow::Result<String> {
    let Plan::Replace(plan) = admin.plan(id, entry, offer, older)? else {
        let sentence = format!("that version of {id} is the present one, so nothing was changed");
        return Err(Ended::Declined(sentence).into());
    };
    let settings = carried(&admin.replace(&plan, requests, &GivenSecrets::new())?);
    let was = plan.version().map_or_else(|| entry.digest.short(), ToString::to_string);
    let sentence = format!("{id} {was} is replaced by {}", offer.manifest().version);
    Ok(std::iter::once(sentence).chain(settings).collect::<Vec<_>>().join(". "))
}

/// Asks about an update. Each new permission is granted separately.
fn question(visit: &Visit, id: &PluginId, change: &Change, first: Option<&Markup>, back: &str) -> Reply {
    let Change { was, new, digest, news, more, otherwise, opened, together, gone, settings } = change;
    let asks_more = !opened.is_empty() || otherwise.iter().any(|(_, wider)| !wider.is_empty());
    let is_high = together.as_ref().is_some_and(|together| together.risk == Risk::High)
        || more.iter().any(|right| right.permission.risk() == Risk::High);
    let fields = html! {
        input type="hidden" name="digest" value=(digest);
        input type="hidden" name="agreed" value="yes";
        @if more.is_empty() && !asks_more {
            p { "It asks for nothing that the present version does not ask for." }
        } @else if !more.is_empty() {
            fieldset {
                legend { "It asks for more than the present version" }
                @for right in more { (new_right(right)) }
                @if let Some(together) = together {
                    p { @if together.risk == Risk::High { strong { "High risk: " } } (whole(&together.text)) }
                }
            }
        }
        div.actions {
            button #confirm type="submit" class=[is_high.then_some("danger")] {
                "Replace " (was) " by " (new)
            }
            a #back href=(visit.link(back)) { "No, go back" }
        }
    };
    let content = html! {
        div.question {
            @if let Some(first) = first { p { (first) } }
            p { (id.as_str()) ": " (was) " → " (new) }
            p.hint { "Digest " (digest) }
            @for (version, words) in news { p { (version) ": " (stranger(words)) } }
            @for (right, wider) in otherwise {
                p {
                    "It asks otherwise than before for " strong { (right.permission.as_str()) }
                    @if !wider.is_empty() { ", newly for " (whole(&wider.join(", "))) }
                    ". What was granted stays as it is; its page grants more."
                }
            }
            @for opened in opened { p { "More open: " (stranger(opened)) "." } }
            @if !gone.is_empty() { p { "It does not ask any more for " (gone.join(", ")) "." } }
            @for setting in settings { p { (stranger(setting)) } }
            (visit.form(visit.path(), &fields))
        }
    };
    Page::new(format!("Update {id}?"), content).into()
}

fn new_right(right: &Right) -> Markup {
    let name = right.permission.as_str();
    let key = format!("grant-{name}");
    html! {
        p {
            input type="checkbox" id=(key) name="grant" value=(name);
            label for=(key) { "Grant " (name) " (" (right.risk) " risk)" }
        }
        p { (right.what) }
        @if let Some(asked) = &right.asked {
            p.hint {
                @if asked.optional { "It runs without it, too. " } @else { "It does not run without it. " }
                @if !asked.scope.is_empty() { "For " (stranger(&asked.scope.join(", "))) ". " }
                (stranger(&asked.reason))
            }
        }
    }
}

async fn rollback(visit: Visit, form: Form) -> Result<Reply, Problem> {
    let id = host::plugin(&visit)?;
    let (back, to) = (format!("/plugins/{id}"), form.need("to")?.to_owned());
    let own = id.clone();
    if form.is_agreed() {
        let sentence = change(&visit, move |_, admin| {
            let (entry, offer) = (admin.entry(&own)?, admin.earlier(&own, Some(&to))?);
            replaced(admin, &own, &entry, &offer, Older::Had, &[])
        });
        return apply(&visit, &id, &back, sentence.await?).await;
    }
    let found = look(&visit, move |_, admin| {
        let (entry, offer) = (admin.entry(&own)?, admin.earlier(&own, Some(&to))?);
        Ok(match admin.plan(&own, &entry, &offer, Older::Had)? {
            Plan::Nothing | Plan::Restore => None,
            Plan::Replace(plan) => Some(Change::of(&own, &entry, &offer, &plan)),
        })
    });
    let Some(change) = found.await? else {
        return Ok(visit.done(&back, format!("{id} has that version already")));
    };
    let mut sentences =
        vec![html! { (id.as_str()) ": " (change.was) " → " (change.new) ". The grants stay as they are." }];
    sentences.extend(change.settings.iter().map(|setting| stranger(setting)));
    Ok(visit.confirm(&Question {
        title: format!("Go back to {id} {}?", change.new),
        sentences,
        button: format!("Go back to {}", change.new),
        is_danger: false,
        action: visit.path(),
        back: &back,
        fields: form.fields(),
    }))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::tests::{fields_of, host_in, write_version};
    use super::*;

    #[test]
    fn what_is_new_may_be_of_high_risk_with_what_was_granted_before() {
        let text = "[plugin]\nname = \"echo\"\nversion = \"0.2.0\"\napi = \"0.1.0\"\ndescription = \"Says it\"\n[permissions]\n\
                    \"messages.read\" = { scope = [\"*\"], reason = \"x\" }\n\
                    \"messages.send\" = { scope = [\"*\"], reason = \"x\" }\n";
        let manifest = Manifest::parse(text).unwrap();
        let all = rights(&"echo".parse().unwrap(), Some(&manifest), &Grants::default());
        let (more, before): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|right| right.permission.as_str() == "messages.send");
        assert_eq!(together(&manifest, &more, &Grants::default()), None);
        let present = asked(&manifest, |permission| before.iter().any(|right| right.permission == permission));
        assert_eq!(together(&manifest, &more, &present).unwrap().risk, Risk::High);
    }

    #[tokio::test]
    async fn who_agrees_installs_what_was_shown_or_is_asked_again() {
        let folder = tempfile::tempdir().unwrap();
        let host = host_in(folder.path());
        let visit = || Visit::for_test(Role::Owner, "/plugins/echo/update", Arc::clone(&host)).with_part("id", "echo");
        let policy = || fs::read_to_string(folder.path().join("plugins.toml")).unwrap();
        let agreed = |page: &str| {
            let mut fields = fields_of(page);
            fields.push(("grant", "messages.send"));
            Form::of(&fields)
        };

        let installed = write_version(folder.path(), "0.1.0", "nurse@example.org");
        let before = format!("[plugin.echo]\nsource = \"echo.wasm\"\ndigest = \"{installed}\"\n");
        fs::write(folder.path().join("plugins.toml"), &before).unwrap();
        write_version(folder.path(), "0.2.0", "juliet@example.org");
        let asks = update(visit(), Form::of(&[])).await.unwrap().into_text();
        assert!(asks.contains("juliet@example.org") && !asks.contains("meanwhile"), "{asks}");
        // Its author publishes another file before the owner has agreed.
        let last = write_version(folder.path(), "0.3.0", "romeo@example.org");
        let again = update(visit(), agreed(&asks)).await.unwrap();
        assert_eq!(again.page_status(), Some(409));
        let again = again.into_text();
        assert!(again.contains("The file of echo changed at its source meanwhile"), "{again}");
        assert!(again.contains("0.3.0") && again.contains("romeo@example.org"), "{again}");
        assert!(!again.contains("juliet@example.org"), "{again}");
        assert_eq!(policy(), before);
        // The second question is about the new file alone.
        let done = update(visit(), agreed(&again)).await.unwrap().into_text();
        assert_eq!(done, "/plugins/echo", "{}", policy());
        let policy = policy();
        assert!(policy.contains(&last.to_string()) && policy.contains("romeo@example.org"), "{policy}");
        assert_eq!(update(visit(), agreed(&again)).await.unwrap_err().status, 409, "it is the present one");
        // An answer must name the file that was shown.
        for wrong in [&[("agreed", "yes")][..], &[("agreed", "yes"), ("digest", "sha256:00")]] {
            assert_eq!(update(visit(), Form::of(wrong)).await.unwrap_err().status, 400, "{wrong:?}");
        }
    }

    #[test]
    fn an_update_asks_for_each_new_permission_and_believes_no_author() {
        let manifest = "[plugin]\nname = \"echo\"\nversion = \"0.2.0\"\napi = \"0.1.0\"\ndescription = \"X\"\n[permissions]\n\
                        \"messages.send\" = { scope = [\"*\"], reason = \"<script>because\" }\n";
        let manifest = Manifest::parse(manifest).unwrap();
        let id: PluginId = "echo".parse().unwrap();
        let change = Change {
            was: "0.1.0".to_owned(),
            new: "0.2.0".to_owned(),
            digest: "sha256:00".to_owned(),
            news: vec![("0.2.0".to_owned(), "<b>new".to_owned())],
            more: rights(&id, Some(&manifest), &Grants::default()),
            otherwise: Vec::new(),
            opened: Vec::new(),
            together: None,
            gone: vec!["rooms.read".to_owned()],
            settings: Vec::new(),
        };
        let host = Arc::new(Host::new(super::super::tests::target()));
        let visit = Visit::for_test(Role::Owner, "/plugins/echo/update", host);
        let text = question(&visit, &id, &change, None, "/plugins/echo").into_text();
        assert!(text.contains("name=\"grant\" value=\"messages.send\"") && !text.contains("checked"), "{text}");
        assert!(text.contains("&lt;script&gt;because") && !text.contains("<b>new"), "{text}");
        assert!(text.contains("name=\"csrf\"") && text.contains("name=\"digest\" value=\"sha256:00\""), "{text}");
    }
}
