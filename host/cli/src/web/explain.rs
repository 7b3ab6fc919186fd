//! "May this plugin do that to them?": the answer, the rule that decides, and the change that would reverse it.

use std::sync::Arc;

use maud::{Markup, html};
use parlor::control::views::Denied;
use parlor_base::id::PluginId;
use parlor_base::permission::Permission;
use parlor_runtime::rights::Right;
use parlor_session::permissions::Grants;
use parlor_window::{Page, Problem, Reply, Role, Routes, segment, stranger};

use super::host::{Host, Visit, look};
use super::parts::{cell, choice, rows, table, when};
use crate::explain::{About, Asking, Down, Explanation, Withheld, is_granted};

/// The most accounts that are listed where there may be one for each.
const MOST: usize = 50;

/// Adds the page.
pub(super) fn routes(routes: Routes<Arc<Host>>) -> Routes<Arc<Host>> {
    routes.page("/explain", Role::Viewer, page)
}

/// The values from the form.
#[derive(Debug, Default)]
struct Typed {
    plugin: String,
    what: String,
    about: String,
}

async fn page(visit: Visit) -> Result<Reply, Problem> {
    let value = |name: &str| visit.query(name).unwrap_or_default().trim().to_owned();
    let typed = Typed { plugin: value("plugin"), what: value("what"), about: value("about") };
    let asking = typed.asking()?;
    let (ids, explained) = look(&visit, move |config, admin| {
        let ids: Vec<String> = admin.policy()?.plugins.keys().map(ToString::to_string).collect();
        Ok((ids, asking.map(|asking| asking.explained(config)).transpose()?))
    })
    .await?;
    let link = |path: &str| visit.link(path);
    let answer = explained.map(|(explanation, grants)| answer(&link, &explanation, &grants));
    Ok(Page::new("Explain", content(&link, &typed, &ids, answer.as_ref())).into())
}

impl Typed {
    /// Returns the question; none if there is none yet.
    fn asking(&self) -> Result<Option<Asking>, Problem> {
        if self.plugin.is_empty() {
            return Ok(None);
        }
        let plugin = self.plugin.parse::<PluginId>().map_err(|error| Problem::wrong(error.to_string()))?;
        let some = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        let call = some(&self.what);
        let about = some(&self.about).filter(|_| call.is_some());
        Ok(Some(Asking { plugin, call, about }))
    }
}

fn content(link: &dyn Fn(&str) -> String, typed: &Typed, ids: &[String], answer: Option<&Markup>) -> Markup {
    let options: Vec<_> = ids.iter().take(super::parts::MOST_ROWS).map(|id| (id.clone(), id.clone())).collect();
    html! {
        p.lead { "May a plugin do something, to somebody, or does it hear of something?" }
        form method="get" action=(link("/explain")) {
            @if options.is_empty() {
                p { "No plugins are installed." }
            } @else {
                (choice("plugin", "Plugin", &options, &typed.plugin))
                p {
                    label for="what" { "Call, event or permission" }
                    input type="text" id="what" name="what" value=(typed.what) maxlength="2048" autocomplete="off"
                        list="permissions" aria-describedby="what-hint";
                    span.hint id="what-hint" {
                        "Such as chats.send, message or messages.send; empty: all that it may."
                    }
                    datalist id="permissions" {
                        @for permission in Permission::ALL { option value=(permission.as_str()) {} }
                    }
                }
                (super::parts::field("about", "Person, room or address", &typed.about,
                    "Whom it is about: a JID, or the URL of a request. It may be empty."))
                button type="submit" { "Explain" }
            }
        }
        @if let Some(answer) = answer { (answer) }
    }
}

/// Shows an explanation.
fn answer(link: &dyn Fn(&str) -> String, explanation: &Explanation, grants: &Grants) -> Markup {
    let (id, withheld) = (explanation.plugin.as_str(), Withheld::alike(&explanation.withheld));
    html! {
        h2 { a href=(link(&format!("/plugins/{}", segment(id)))) { (id) } }
        (states(explanation))
        @if let Some(about) = &explanation.about { (answers(about)) } @else { (permissions(explanation)) }
        @if !withheld.is_empty() {
            h3 { "What it was not shown" }
            ul {
                @for (alike, events) in withheld.iter().take(MOST) {
                    li {
                        (events) " events"
                        @if let Some(accounts) = alike.names() { " on " (cell(&accounts)) }
                        ", since the host started, " (cell(&alike.first.why(&explanation.plugin)))
                    }
                }
            }
            (more(withheld.len()))
        }
        @if !explanation.denied.is_empty() {
            h3 { "What it was denied lately" }
            (table("Denied calls", &["Time", "Permission", "For", "What would allow it"],
                &rows(&explanation.denied, |denied| denied_row(denied, grants))))
        }
        @if !explanation.asked.is_empty() { (before(explanation)) }
    }
}

/// Says how many of a list are not shown.
fn more(count: usize) -> Markup {
    html! { @if count > MOST { p { (count - MOST) " more are not shown; " code { "parlor explain --json" } " has all." } } }
}

fn states(explanation: &Explanation) -> Markup {
    let down = Down::alike(&explanation.down);
    html! {
        @if !explanation.enabled { p { "It is disabled and does nothing." } }
        @for alike in down.iter().take(MOST) {
            p {
                "It does not run"
                @if let Some(accounts) = alike.names() { " on " (cell(&accounts)) }
                ", it is " (cell(&alike.first.state))
                @if let Some(reason) = &alike.first.reason { ": " (cell(reason)) }
            }
        }
        (more(down.len()))
        @if let Some(rooms) = &explanation.rooms {
            p { "It is kept to rooms, and sees and does nothing in others: " (stranger(&rooms.join(", "))) }
        }
        @if explanation.trouble.is_some() {
            p {
                "What it asks for is not known"
                @if let Some(trouble) = explanation.untold_trouble() { ": " (stranger(trouble)) } @else { ", for this reason." }
            }
        }
        @if explanation.otherwise {
            p { "The host goes by other grants than plugins.toml has now; its page of status says why." }
        }
        @if !explanation.running { p { "The host is stopped, so it cannot say what was denied lately." } }
    }
}

/// Shows the answer on each account, or on many with the same; a single one if all are the same.
fn answers(about: &About) -> Markup {
    let (all, is_one) = about.alike();
    html! {
        h3 { "Answer" }
        dl.facts {
            dt { "Question" } dd { (stranger(&about.what)) }
            @if let Some(permission) = about.permission {
                dt { "Permission" } dd { (permission.as_str()) ": " (permission.describe()) }
            }
        }
        ul.answers {
            @for alike in all.iter().take(MOST) {
                li {
                    strong { (alike.first.answer.to_string()) }
                    @if let Some(accounts) = alike.names().filter(|_| !is_one) { " on " (cell(&accounts)) }
                    ": " (stranger(&alike.first.reason))
                    @if let Some(remedy) = &alike.first.remedy { br; "To allow it: " code { (stranger(remedy)) } }
                }
            }
        }
        (more(all.len()))
    }
}

fn permissions(explanation: &Explanation) -> Markup {
    if explanation.trouble.is_some() {
        return granted(&explanation.permissions);
    }
    let (may, may_not): (Vec<&Right>, Vec<&Right>) =
        explanation.permissions.iter().partition(|right| right.is_in_force());
    html! {
        @if explanation.permissions.is_empty() {
            p { "It asks for nothing, and may do nothing but what every plugin may." }
        }
        @if !may.is_empty() { h3 { "It may" } (rights("What it may", &may)) }
        @if !may_not.is_empty() {
            h3 { "It may not, although it asks or was granted" }
            (rights("What it may not", &may_not))
        }
    }
}

/// Shows the grants of a plugin whose file is not known. Whether it asks for them is not known, either.
fn granted(rights: &[Right]) -> Markup {
    let row = |right: &Right| {
        html! {
            tr {
                th scope="row" { (right.permission.as_str()) }
                td { (right.risk) }
                td { (right.what) }
                td { (cell(&scope(right.granted.as_deref().unwrap_or_default()))) }
            }
        }
    };
    html! {
        @if !rights.is_empty() {
            h3 { "It was granted, as far as it asks for it" }
            (table("What it was granted", &["Permission", "Risk", "What it lets it do", "Granted for"], &rows(rights, row)))
        }
    }
}

fn rights(caption: &str, rights: &[&Right]) -> Markup {
    let row = |right: &&Right| {
        html! {
            tr {
                th scope="row" { (right.permission.as_str()) }
                td { (right.risk) }
                td { (right.what) }
                td { @if let Some(granted) = &right.granted { (cell(&scope(granted))) } @else { "nothing" } }
                td {
                    @if let Some(asked) = &right.asked {
                        (cell(&scope(&asked.scope))) @if asked.optional { ", optional" }
                        ": “" (cell(&asked.reason)) "”"
                    } @else { "it does not ask for it, so it does not get it" }
                }
            }
        }
    };
    table(caption, &["Permission", "Risk", "What it lets it do", "Granted for", "Asked for"], &rows(rights, row))
}

/// Writes a scope; one without entries covers all.
fn scope(entries: &[String]) -> String {
    if entries.is_empty() { "all".to_owned() } else { entries.join(", ") }
}

fn denied_row(denied: &Denied, grants: &Grants) -> Markup {
    html! {
        tr {
            th scope="row" { (when(&denied.at)) }
            td { (cell(&denied.permission)) }
            td { @if let Some(scope) = &denied.scope { (cell(scope)) } @else { "–" } }
            td { @if is_granted(denied, grants) { "It is granted now." } @else { (cell(&denied.hint)) } }
        }
    }
}

/// Shows how often it was allowed or denied before.
fn before(explanation: &Explanation) -> Markup {
    let rows = rows(&explanation.asked, |one| {
        html! {
            tr {
                th scope="row" { (cell(&one.what)) }
                td { (one.outcome) }
                td { (cell(&one.account)) }
                td { (one.count) }
                td { (when(&one.first)) }
                td { (when(&one.last)) }
            }
        }
    });
    html! {
        h3 { "What came of it before" }
        (table("By the audit", &["What", "Outcome", "Account", "Times", "First", "Last"], &rows))
    }
}

#[cfg(test)]
mod tests {
    use parlor::control::views::Answer;
    use parlor_plugins::manifest::Manifest;
    use parlor_runtime::rights::rights as rights_of;
    use parlor_session::permissions::question::Outcome;

    use super::*;

    const EVIL: &str = "<script>alert(1)</script>";

    fn explanation() -> Explanation {
        Explanation {
            plugin: "echo".parse().unwrap(),
            enabled: true,
            trouble: None,
            running: true,
            down: Vec::new(),
            rooms: None,
            otherwise: false,
            permissions: Vec::new(),
            about: None,
            denied: Vec::new(),
            withheld: Vec::new(),
            asked: Vec::new(),
        }
    }

    fn one(account: &str, answer: Outcome, text: &str) -> Answer {
        let (account, permission) = (Some(account.to_owned()), None);
        Answer { account, answer, permission, reason: text.to_owned(), remedy: Some(text.to_owned()) }
    }

    fn about(answers: Vec<Answer>) -> About {
        About { what: EVIL.to_owned(), permission: Some(Permission::MessagesSend), allowed: false, answers }
    }

    fn page(explanation: &Explanation) -> String {
        answer(&|path| format!("/base{path}"), explanation, &Grants::default()).into_string()
    }

    #[test]
    fn a_plugin_on_thousands_of_accounts_is_explained_on_one_page() {
        let down = |number: usize| Down {
            account: Some(format!("a{number}")),
            state: "quarantined".to_owned(),
            reason: Some("\"".repeat(4 << 10)),
        };
        let withheld = |number: usize| Withheld {
            account: format!("a{number}"),
            permission: "messages.read".to_owned(),
            events: 7,
        };
        let (down, withheld) = ((0..5_000).map(down).collect(), (0..5_000).map(withheld).collect());
        let text = page(&Explanation { down, withheld, ..explanation() });
        assert!(text.len() < 256 << 10 && !text.contains("not shown;"), "{} bytes", text.len());
        assert_eq!(text.matches("5000 accounts (a0, a1, a2, …)").count(), 2, "{text}");
        assert!(text.contains("35000 events"), "{text}");
    }

    #[test]
    fn no_account_is_left_out_of_the_answers_without_a_word() {
        let granted = (0..4_999).map(|number| one(&format!("a{number}"), Outcome::Yes, "it is granted"));
        let answers = granted.chain([one("last", Outcome::No, "it is not connected")]).collect();
        let text = page(&Explanation { about: Some(about(answers)), ..explanation() });
        assert!(text.contains("4999 accounts (a0, a1, a2, …)") && text.contains("last"), "{text}");
        assert!(!text.contains("not shown;"), "{text}");
        let different = (0..5_000).map(|number| one(&format!("a{number}"), Outcome::No, &format!("reason {number}")));
        let different = Explanation {
            down: (0..5_000)
                .map(|number| Down {
                    account: Some(format!("a{number}")),
                    state: "quarantined".to_owned(),
                    reason: Some(format!("reason {number}")),
                })
                .collect(),
            about: Some(about(different.collect())),
            ..explanation()
        };
        assert_eq!(page(&different).matches("4950 more are not shown;").count(), 2, "each says how many are not shown");
    }

    #[test]
    fn the_form_keeps_what_was_typed() {
        let typed = Typed { plugin: "echo".to_owned(), what: EVIL.to_owned(), about: EVIL.to_owned() };
        let ids = ["dice", "echo"].map(str::to_owned);
        let form = content(&|path| format!("/base{path}"), &typed, &ids, None).into_string();
        assert!(form.contains("<option value=\"echo\" selected>") && form.contains("/base/explain"), "{form}");
        assert!(!form.contains("<script") && form.contains("messages.send"), "{form}");
        let none = content(&|path| path.to_owned(), &Typed::default(), &[], None).into_string();
        assert!(none.contains("No plugins are installed.") && !none.contains("<button"), "{none}");
    }

    #[test]
    fn without_a_plugin_nothing_is_asked_and_an_address_alone_is_no_question() {
        assert!(Typed::default().asking().unwrap().is_none());
        let typed = |plugin: &str, what: &str| {
            Typed { plugin: plugin.to_owned(), what: what.to_owned(), about: "a@b".to_owned() }.asking()
        };
        let asking = typed("echo", "").unwrap().unwrap();
        assert_eq!((asking.call, asking.about), (None, None));
        let asking = typed("echo", "message").unwrap().unwrap();
        assert_eq!((asking.call.as_deref(), asking.about.as_deref()), (Some("message"), Some("a@b")));
        assert_eq!(typed("<b>", "message").unwrap_err().status, 400);
    }

    #[test]
    fn the_same_answer_on_all_accounts_is_given_once() {
        let two = |second| about(vec![one("main", Outcome::No, "no"), one("second", second, "no")]);
        let same = page(&Explanation { about: Some(two(Outcome::No)), ..explanation() });
        assert!(same.matches("To allow it").count() == 1 && !same.contains("second"), "{same}");
        let other = page(&Explanation { about: Some(two(Outcome::Yes)), ..explanation() });
        assert!(other.matches("To allow it").count() == 2 && other.contains("second"), "{other}");
    }

    #[test]
    fn what_it_may_is_told_from_what_it_may_not() {
        let manifest = "[plugin]\nname = \"echo\"\nversion = \"0.1.0\"\napi = \"0.1.0\"\ndescription = \"Says it\"\n[permissions]\n\
                        \"messages.send\" = { scope = [\"*\"], reason = \"<script>\" }\n\"contacts.read\" = { reason = \"x\" }\n";
        let manifest = Manifest::parse(manifest).unwrap();
        let mut grants = Grants::default();
        grants.grant(Permission::MessagesSend, &["*"]).unwrap();
        let permissions = rights_of(&"echo".parse().unwrap(), Some(&manifest), &grants);
        let text = page(&Explanation { permissions, ..explanation() });
        let (may, may_not) = text.split_once("It may not, although").unwrap();
        assert!(may.contains("messages.send") && may_not.contains("contacts.read"), "{text}");
        assert!(!text.contains("<script"), "{text}");
        assert!(page(&explanation()).contains("It asks for nothing"));
    }

    #[test]
    fn grants_of_a_file_that_is_not_the_approved_one_are_not_judged() {
        let mut grants = Grants::default();
        grants.grant(Permission::MessagesSend, &["*"]).unwrap();
        let permissions = rights_of(&"echo".parse().unwrap(), None, &grants);
        let text = page(&Explanation { permissions, trouble: Some("another digest".to_owned()), ..explanation() });
        assert!(text.contains("another digest") && text.contains("messages.send"), "{text}");
        assert!(!text.contains("does not ask") && !text.contains("It may not"), "{text}");
    }

    #[test]
    fn thousands_of_denied_calls_fit_on_a_page_and_none_is_markup() {
        let denied = Denied {
            at: "2026-11-20T08:00:00Z".to_owned(),
            permission: EVIL.to_owned(),
            scope: Some(EVIL.repeat(30)),
            hint: EVIL.repeat(30),
        };
        let text = page(&Explanation {
            about: Some(about(vec![one(EVIL, Outcome::No, EVIL)])),
            denied: vec![denied; 5_000],
            trouble: Some(EVIL.to_owned()),
            ..explanation()
        });
        assert!(text.len() < 128 << 10 && text.contains("more are not shown."), "{} bytes", text.len());
        assert!(!text.contains("<script") && text.contains("&lt;script&gt;"), "{text}");
    }
}
