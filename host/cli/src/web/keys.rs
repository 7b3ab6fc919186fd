//! Keys for encrypted messages: the own fingerprints of accounts, and the decisions about keys of others.

use std::sync::Arc;

use maud::{Markup, html};
use parlor::control::client::escaped;
use parlor::control::views::{Comparison, Key, Keys, shown};
use parlor_config::AccountName;
use parlor_window::{Form, Page, Problem, Question, Reply, Role, Routes, segment, stranger};

use super::host::{Host, Visit, ask};
use super::parts::{cell, field, lacking, maybe, rows, table, when};

/// The longest list of accounts with their keys, in bytes. Other people decide how many keys they have.
const LONGEST: usize = 1 << 20;

/// Adds the pages.
pub(super) fn routes(routes: Routes<Arc<Host>>) -> Routes<Arc<Host>> {
    routes
        .page("/keys", Role::Viewer.of_accounts(), list)
        .page("/keys/show", Role::Viewer.of_accounts(), show)
        .form("/keys/trust", Role::Owner.of_accounts(), trust)
        .form("/keys/distrust", Role::Owner.of_accounts(), distrust)
        .form("/keys/reset", Role::Owner.of_accounts(), reset)
}

async fn list(visit: Visit) -> Result<Reply, Problem> {
    let jid = visit.query("jid").unwrap_or_default().trim().to_owned();
    let query = if jid.is_empty() { String::new() } else { format!("?jid={}", escaped(&jid)) };
    let account = visit.query("account").map(str::parse::<AccountName>).transpose();
    let account = account.map_err(|error| Problem::wrong(format!("{error}")))?;
    let of = account.as_ref().map_or_else(|| "/v1/keys".to_owned(), |name| format!("/v1/accounts/{name}/keys"));
    let (all, lacks) = ask(&visit, move |client| {
        let all: Vec<Keys> = client.get(&format!("{of}{query}"))?;
        Ok((all, client.incomplete()))
    })
    .await?;
    let link = |path: &str| visit.link(path);
    let reset = |account: &str| {
        let fields = html! {
            input type="hidden" name="account" value=(account);
            button.danger type="submit" { "Make new keys for " (account) }
        };
        visit.may(Role::Owner.of_accounts()).then(|| visit.form("/keys/reset", &fields))
    };
    let content = content(&link, (account.as_ref(), &jid), &all, &reset);
    Ok(Page::new("Keys", html! { (lacking(lacks.as_deref())) (content) }).into())
}

/// Shows keys. They may be those of one account, or of one person.
fn content(
    link: &dyn Fn(&str) -> String,
    (of, jid): (Option<&AccountName>, &str),
    all: &[Keys],
    reset: &dyn Fn(&str) -> Option<Markup>,
) -> Markup {
    let (mut sections, mut bytes) = (Vec::new(), 0);
    for on in all {
        let one = account(link, on, reset);
        bytes += one.0.len();
        if bytes > LONGEST {
            break;
        }
        sections.push(one);
    }
    let left = all.len() - sections.len();
    html! {
        p.lead { "Nothing on this page is secret: fingerprints are for others to compare." }
        form method="get" action=(link("/keys")) {
            @if let Some(name) = of { input type="hidden" name="account" value=(name.as_str()); }
            (field("jid", "Person", jid, "An address; empty: everybody whose keys are known."))
            button type="submit" { "Show" }
        }
        @if of.is_some() { p { a href=(link("/keys")) { "The keys of all accounts" } } }
        @if all.is_empty() { p { "No accounts." } }
        @for section in sections { (section) }
        @if left > 0 {
            p { (left) " more accounts have no room here; " code { "parlor keys NAME" } " shows one." }
        }
    }
}

/// Shows what there is of an account.
fn account(link: &dyn Fn(&str) -> String, on: &Keys, reset: &dyn Fn(&str) -> Option<Markup>) -> Markup {
    html! {
        h2 { (stranger(&on.account)) }
        (own(on))
        (others(link, on))
        (comparisons(on))
        @if let Some(reset) = reset(&on.account) { (reset) }
    }
}

/// Shows the fingerprints of an account, which it reads out to others.
fn own(on: &Keys) -> Markup {
    html! {
        dl.facts {
            dt { "Address" } dd { (stranger(&on.jid)) }
            dt { "Trust" } dd { (on.policy) @if let Some(says) = on.otr_says() { ", " (says) } }
            dt { "OMEMO" }
            dd {
                @if let Some(own) = &on.omemo {
                    "device " (own.device)
                    @if !own.published { ", not published: nobody can write to it encrypted yet" }
                    br;
                    code { (shown(&own.fingerprint)) }
                } @else { "no key, or it is off" }
            }
            dt { "OTR" }
            dd {
                @if let Some(own) = &on.otr { code { (shown(own)) } } @else {
                    "no key; the first conversation makes one, unless OTR is off"
                }
            }
        }
    }
}

fn others(link: &dyn Fn(&str) -> String, on: &Keys) -> Markup {
    let row = |key: &Key| {
        html! {
            tr {
                th scope="row" { (cell(&key.jid)) }
                td { (key.name()) @if !is_in_use(key) { ", not in use" } }
                td { (maybe(key.label.as_deref())) }
                td { code { (shown(&key.fingerprint)) } }
                td { (key.trust) }
                td { (when(&key.last_seen)) }
                td { a href=(link(&address(&on.account, key))) { "Compare " (key.name()) } }
            }
        }
    };
    let caption = format!("Keys of others that {} knows", on.account);
    let heads = ["Person", "Key", "Name", "Fingerprint", "Trust", "Last seen", "Decide"];
    html! {
        @if on.keys.is_empty() { p { "No keys of others are known." } } @else {
            (table(&caption, &heads, &rows(&on.keys, row)))
        }
    }
}

/// Shows who waits for a secret. It is answered on the machine itself: a browser keeps what is typed into it.
fn comparisons(on: &Keys) -> Markup {
    let row = |open: &Comparison| {
        html! {
            tr {
                th scope="row" { (cell(&open.jid)) }
                td { (maybe(open.question.as_deref())) }
                td { (when(&open.since)) }
                td { @if open.asked { "waits for an answer" } @else { "was asked" } }
            }
        }
    };
    let caption = format!("Comparisons of secrets of {} without a result yet", on.account);
    html! {
        @if !on.comparisons.is_empty() {
            (table(&caption, &["Person", "Question", "Since", "State"], &rows(&on.comparisons, row)))
            p { code { "parlor keys " (on.account) " answer JID" } " answers on the machine, where the secret is not kept." }
        }
    }
}

fn is_in_use(key: &Key) -> bool {
    key.listed || key.kind != "omemo"
}

/// Returns the address of the page of a key.
fn address(account: &str, key: &Key) -> String {
    let (account, jid, digits) = (segment(account), segment(&key.jid), segment(&key.fingerprint));
    format!("/keys/show?account={account}&jid={jid}&fingerprint={digits}")
}

async fn show(visit: Visit) -> Result<Reply, Problem> {
    let value = |name: &str| visit.query(name).filter(|value| !value.is_empty());
    let (Some(account), Some(jid), Some(digits)) = (value("account"), value("jid"), value("fingerprint")) else {
        return Err(Problem::wrong("name the account, the person and the fingerprint"));
    };
    let target = format!("/v1/accounts/{}/keys?jid={}", segment(account), escaped(jid));
    let all: Vec<Keys> = ask(&visit, move |client| Ok(client.get(&target)?)).await?;
    let found = all.iter().find_map(|on| Some((on, on.keys.iter().find(|key| key.fingerprint == digits)?)));
    let (on, key) = found.ok_or_else(|| Problem::missing("no such key is known of that person"))?;
    let forms = visit.may(Role::Owner.of_accounts()).then(|| forms(&visit, on, key));
    let link = |path: &str| visit.link(path);
    Ok(Page::new("A key", one(&link, on, key, forms.as_ref())).into())
}

fn one(link: &dyn Fn(&str) -> String, on: &Keys, key: &Key, forms: Option<&Markup>) -> Markup {
    html! {
        p.lead { (key.name()) " of " (stranger(&key.jid)) ", as " (stranger(&on.account)) " knows it" }
        dl.facts {
            dt { "Fingerprint" } dd { code { (shown(&key.fingerprint)) } }
            @if let Some(label) = &key.label { dt { "Name" } dd { (stranger(label)) } }
            dt { "Trust" } dd { (key.trust) ": " (meaning(&key.trust)) }
            dt { "In use" } dd { @if is_in_use(key) { "yes" } @else { "no" } }
            dt { "First seen" } dd { (when(&key.first_seen)) }
            dt { "Last seen" } dd { (when(&key.last_seen)) }
        }
        @if let Some(forms) = forms { (forms) }
        p { a href=(link("/keys")) { "All keys" } }
    }
}

/// Says what follows from a decision.
fn meaning(trust: &str) -> &'static str {
    match trust {
        "trusted" => "an owner compared it",
        "distrusted" => "it gets no messages, and what it sends is refused",
        "blind" => "it gets messages until a key of that person is compared",
        _ => "it gets no messages until somebody decides",
    }
}

fn forms(visit: &Visit, on: &Keys, key: &Key) -> Markup {
    let person = html! {
        input type="hidden" name="account" value=(on.account);
        input type="hidden" name="jid" value=(key.jid);
    };
    let fields = html! {
        (person)
        input type="hidden" name="fingerprint" value=(key.fingerprint);
    };
    html! {
        h2 { "Decide" }
        p {
            "Compare the fingerprint with that person's client by another way than this account: in person, or by telephone. "
            "All of it has to be the same."
        }
        div.actions {
            @if key.trust != "trusted" {
                (visit.form("/keys/trust", &html! { (fields) button type="submit" { "Trust it" } }))
            }
            @if key.trust != "distrusted" {
                (visit.form("/keys/distrust", &html! { (fields) button.danger type="submit" { "Distrust it" } }))
            }
            (visit.form("/keys/distrust", &html! {
                (person)
                button.danger type="submit" { "Distrust all keys of that person" }
            }))
        }
    }
}

async fn trust(visit: Visit, form: Form) -> Result<Reply, Problem> {
    let digits = form.need("fingerprint")?.to_owned();
    decide(&visit, &form, "trust", Some(&digits)).await
}

async fn distrust(visit: Visit, form: Form) -> Result<Reply, Problem> {
    let digits = form.get("fingerprint").map(str::to_owned);
    decide(&visit, &form, "distrust", digits.as_deref()).await
}

/// Decides about a key of a person, or about all of them, after asking.
async fn decide(visit: &Visit, form: &Form, what: &str, digits: Option<&str>) -> Result<Reply, Problem> {
    let (account, jid) = (form.need("account")?.to_owned(), form.need("jid")?.to_owned());
    let action = format!("/keys/{what}");
    if !form.is_agreed() {
        return Ok(visit.confirm(&question(what, &account, &jid, digits, &action, form.fields())));
    }
    let key = digits.map(|digits| format!("&fingerprint={}", escaped(digits))).unwrap_or_default();
    let target = format!("/v1/accounts/{}/keys/{what}?jid={}{key}", segment(&account), escaped(&jid));
    let _: Vec<Keys> = ask(visit, move |client| Ok(client.post(&target)?)).await?;
    let which = digits.map_or_else(|| "all keys".to_owned(), |digits| format!("the key {}", shown(digits)));
    let keys = format!("/keys?jid={}", segment(&jid));
    Ok(visit.done(&keys, format!("{account} {what}s {which} of {jid}")))
}

fn question<'q>(
    what: &str,
    account: &str,
    jid: &str,
    digits: Option<&str>,
    action: &'q str,
    fields: &'q [(String, String)],
) -> Question<'q> {
    let is_trust = what == "trust";
    let which = html! {
        @if let Some(digits) = digits { "the key " code { (shown(digits)) } } @else { "all keys" }
    };
    let then = if is_trust {
        "Keys of that person that appear later get no messages until somebody decides about them."
    } else {
        "What is distrusted gets no messages, and what it sends is refused."
    };
    let (title, button) = if is_trust { ("Trust the key?", "Trust it") } else { ("Distrust?", "Distrust") };
    Question {
        title: title.to_owned(),
        sentences: vec![
            html! { (stranger(account)) " " (what) "s " (which) " of " (stranger(jid)) "." },
            html! { (then) },
        ],
        button: button.to_owned(),
        is_danger: !is_trust,
        action,
        back: "/keys",
        fields,
    }
}

async fn reset(visit: Visit, form: Form) -> Result<Reply, Problem> {
    let account = form.need("account")?.to_owned();
    if !form.is_agreed() {
        let question = Question {
            title: "Make new keys?".to_owned(),
            sentences: vec![
                html! {
                    (stranger(&account))
                    " gets new keys. Everybody who compared a fingerprint of it has to compare the new one."
                },
                html! {
                    "Messages that were encrypted for the former keys and have not come yet cannot be read any more. OTR "
                    "conversations end. Decisions about keys of others stay."
                },
            ],
            button: "Make new keys".to_owned(),
            is_danger: true,
            action: "/keys/reset",
            back: "/keys",
            fields: form.fields(),
        };
        return Ok(visit.confirm(&question));
    }
    let target = format!("/v1/accounts/{}/keys/reset", segment(&account));
    let _: Vec<Keys> = ask(&visit, move |client| Ok(client.post(&target)?)).await?;
    Ok(visit.done("/keys", format!("{account} has new keys")))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use parlor::control::views::OwnOmemo;

    use super::*;
    use crate::web::rooms::tests::visit;

    const EVIL: &str = "<script>alert(1)</script>";

    fn key(jid: &str, trust: &str) -> Key {
        Key {
            jid: jid.to_owned(),
            kind: "omemo".to_owned(),
            device: Some(31_415),
            fingerprint: "0123abcd".repeat(8),
            label: Some("a telephone".to_owned()),
            trust: trust.to_owned(),
            first_seen: "2026-11-20T08:00:00Z".to_owned(),
            last_seen: "2026-11-26T08:00:00Z".to_owned(),
            listed: false,
        }
    }

    fn on(keys: Vec<Key>) -> Keys {
        Keys {
            account: "main".to_owned(),
            node: None,
            jid: "bot@example.org".to_owned(),
            policy: "blind".to_owned(),
            omemo: Some(OwnOmemo { device: 27_183, fingerprint: "f".repeat(64), published: false }),
            otr: None,
            otr_policy: "allow".to_owned(),
            otr_people: BTreeMap::new(),
            keys,
            comparisons: Vec::new(),
        }
    }

    fn page(all: &[Keys], reset: Option<&str>) -> String {
        let reset = |_: &str| reset.map(|text| html! { (text) });
        content(&|path| format!("/base{path}"), (None, ""), all, &reset).into_string()
    }

    #[test]
    fn own_fingerprints_and_keys_of_others_are_shown() {
        let text = page(&[on(vec![key("juliet@example.org", "blind")])], None);
        assert!(text.contains("not published") && text.contains("<code>ffffffff ffffffff "), "{text}");
        assert!(text.contains("OMEMO device 31415, not in use") && text.contains("a telephone"), "{text}");
        assert!(
            text.contains("/base/keys/show?account=main&amp;jid=juliet%40example.org&amp;fingerprint=0123abcd"),
            "{text}"
        );
        assert!(!text.contains("new keys"), "{text}");
        assert!(page(&[on(Vec::new())], Some("new keys")).contains("new keys"));
        assert!(page(&[], None).contains("No accounts."));
        assert!(page(&[on(Vec::new())], None).contains("No keys of others are known."));
    }

    #[tokio::test]
    async fn the_keys_of_one_account_are_asked_for_by_a_name_that_an_account_can_have() {
        let name = "main".parse().unwrap();
        let text = content(&str::to_owned, (Some(&name), ""), &[on(Vec::new())], &|_| None).into_string();
        assert!(
            text.contains("name=\"account\" value=\"main\"") && text.contains("The keys of all accounts"),
            "{text}"
        );
        for odd in ["..%2Fstatus", "main%3Fx", EVIL] {
            let refused = list(visit(Role::Viewer, &format!("/keys?account={odd}"))).await.unwrap_err();
            assert_eq!(refused.status, 400, "{odd}");
        }
    }

    #[test]
    fn ten_thousand_keys_fit_on_a_page() {
        let text = page(&[on(vec![key(&"x".repeat(900), "blind"); 10_000])], None);
        assert!(text.len() < 128 << 10 && text.contains("more are not shown."), "{} bytes", text.len());
    }

    #[test]
    fn the_keys_of_many_accounts_are_shown_as_long_as_there_is_room() {
        let all: Vec<_> = (0..40).map(|_| on(vec![key(&"x".repeat(900), "blind"); 500])).collect();
        let text = page(&all, None);
        assert!(text.len() < 1_100 << 10, "{} bytes", text.len());
        assert!(text.contains("more accounts have no room here;"), "{}", text.len());
    }

    #[test]
    fn each_decision_says_what_follows() {
        let digits = "ab".repeat(20);
        let trusted = question("trust", "main", "a@b", Some(&digits), "/keys/trust", &[]);
        let sentences: String = trusted.sentences.into_iter().map(Markup::into_string).collect();
        assert!(
            sentences.contains(" trusts the key <code>ABABABAB ") && sentences.contains("that appear later"),
            "{sentences}"
        );
        assert!(!trusted.is_danger);
        let none = question("distrust", "main", "a@b", None, "/keys/distrust", &[]);
        assert!(none.is_danger && none.sentences[0].0.contains(" distrusts all keys of "));
    }

    #[tokio::test]
    async fn nothing_is_decided_before_it_was_asked() {
        let owner = |path: &str| visit(Role::Owner, path);
        let fields = [("account", EVIL), ("jid", EVIL), ("fingerprint", EVIL)];
        let text = trust(owner("/keys/trust"), Form::of(&fields)).await.unwrap().into_text();
        assert!(text.contains("Trust the key?") && !text.contains("<script"), "{text}");
        let text = distrust(owner("/keys/distrust"), Form::of(&fields[..2])).await.unwrap().into_text();
        assert!(text.contains("all keys") && text.contains("name=\"agreed\""), "{text}");
        let text = reset(owner("/keys/reset"), Form::of(&fields)).await.unwrap().into_text();
        assert!(text.contains("gets new keys") && !text.contains("<script"), "{text}");
        assert_eq!(trust(owner("/keys/trust"), Form::of(&fields[..2])).await.unwrap_err().status, 400);
        assert_eq!(show(owner("/keys/show?account=main")).await.unwrap_err().status, 400);
        let forms = forms(&owner("/keys/show"), &on(Vec::new()), &key(EVIL, "blind")).into_string();
        assert_eq!(forms.matches("name=\"csrf\"").count(), 3, "{forms}");
        assert!(!forms.contains("<script"), "{forms}");
    }

    #[test]
    fn no_text_of_strangers_is_markup() {
        let mut theirs = key(EVIL, EVIL);
        (theirs.label, theirs.fingerprint) = (Some(EVIL.to_owned()), EVIL.to_owned());
        (theirs.first_seen, theirs.last_seen) = (EVIL.to_owned(), EVIL.to_owned());
        let mut all = on(vec![theirs.clone()]);
        (all.account, all.jid, all.policy, all.otr) =
            (EVIL.to_owned(), EVIL.to_owned(), EVIL.to_owned(), Some(EVIL.to_owned()));
        all.comparisons = vec![Comparison {
            number: 1,
            jid: EVIL.to_owned(),
            fingerprint: EVIL.to_owned(),
            question: Some(EVIL.to_owned()),
            asked: true,
            since: EVIL.to_owned(),
        }];
        assert!(comparisons(&all).into_string().contains("waits for an answer"));
        let asked = question("trust", EVIL, EVIL, Some(EVIL), "/keys/trust", &[]);
        let asked = asked.sentences.into_iter().next().unwrap();
        let link = |path: &str| path.to_owned();
        for text in
            [page(std::slice::from_ref(&all), None), one(&link, &all, &theirs, None).into_string(), asked.into_string()]
        {
            assert!(!text.contains("<script") && text.contains("&lt;script&gt;"), "{text}");
        }
    }
}
