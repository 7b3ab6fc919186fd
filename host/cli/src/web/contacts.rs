//! The contacts of accounts, page by page and by account, group, status and words. Nothing can be changed here.

use std::sync::Arc;

use maud::{Markup, html};
use parlor::control::views::{Account, People, Person, Status};
use parlor_session::Contact;
use parlor_window::{Page, Problem, Reply, Role, Routes, stranger};

use super::accounts;
use super::host::{Host, Visit, ask};
use super::lists::{Asked, Look, groups, values};
use super::parts::{cell, lacking, maybe};
use super::rooms::{of_account, of_accounts};
use crate::contacts::subscription;
use crate::fleet::first;

/// The path of the list, and its choices. `state` is the status of a contact.
const PATH: &str = "/contacts";
const CHOICES: [&str; 3] = ["account", "group", "state"];

/// Adds the page.
pub(super) fn routes(routes: Routes<Arc<Host>>) -> Routes<Arc<Host>> {
    routes.page("/contacts", Role::Viewer, list)
}

async fn list(visit: Visit) -> Result<Reply, Problem> {
    let asked = Asked::of(PATH, &CHOICES, |name| visit.query(name));
    let asked = asked.and_then(|asked| asked.in_a_state(&Contact::CHAT_STATUSES)).map_err(Problem::wrong)?;
    let query = of_account(asked.chosen("account"));
    let (people, accounts, lacks) = ask(&visit, move |client| {
        let people: Vec<People> = client.get(&format!("/v1/contacts{query}"))?;
        let status: Status = client.get("/v1/status")?;
        Ok((people, status.accounts, client.incomplete()))
    })
    .await?;
    let link = |path: &str| visit.link(path);
    Ok(Page::new("Contacts", all(&link, &asked, &people, &accounts, lacks.as_deref())).into())
}

/// A contact, with the account that has it.
type Listed<'a> = (&'a People, &'a Person);

fn all(
    link: &dyn Fn(&str) -> String,
    asked: &Asked,
    people: &[People],
    accounts: &[Account],
    lacks: Option<&str>,
) -> Markup {
    let groups = groups(accounts);
    let is_picked = |(people, person): &Listed<'_>| {
        asked.picks("account", Some(people.account.as_str()))
            && asked.picks("group", groups.get(people.account.as_str()).copied())
            && asked.picks("state", Some(person.status.as_str()))
            && asked.has_words(&format!("{} {} {}", person.jid, person.name, person.groups.join(" ")))
    };
    let contacts = || people.iter().flat_map(|one| one.contacts.iter().map(move |person| (one, person)));
    let picked: Vec<Listed<'_>> = contacts().filter(is_picked).collect();
    let has_nodes = people.iter().any(|one| one.node.is_some());
    let mut heads = vec!["Contact", "Name", "Account"];
    heads.extend(has_nodes.then_some("Node"));
    heads.extend(["Status", "Subscription", "Groups"]);
    let none = if contacts().next().is_none() { "No contacts." } else { "No contact is like that." };
    let look = Look { name: "contacts", none, caption: "Contacts", heads: &heads };
    let mut choices = of_accounts(asked, accounts);
    choices.push(asked.choice("state", "Status", values(Contact::CHAT_STATUSES)));
    let hint = "Parts of the address, of the name, or of a group in the list of contacts.";
    html! {
        (asked.form(link, ("Contact", hint), &choices))
        div data-live id="contacts" {
            (lacking(lacks))
            (unknown(people))
            (asked.shown(link, &look, &picked, |contact| row(link, contact, has_nodes)))
        }
    }
}

/// Names the accounts whose contacts have not come from the server.
fn unknown(people: &[People]) -> Markup {
    let (names, more) = first(people.iter().filter(|one| !one.known).map(|one| one.account.clone()));
    html! {
        @if !names.is_empty() {
            p.warning role="note" {
                "The contacts of these accounts have not come from the server yet: "
                @for (at, name) in names.iter().enumerate() { @if at > 0 { ", " } (stranger(name)) }
                @if more > 0 { " and " (more) " more" }
                "."
            }
        }
    }
}

fn row(link: &dyn Fn(&str) -> String, (people, person): Listed<'_>, has_nodes: bool) -> Markup {
    let groups = Some(person.groups.join(", ")).filter(|groups| !groups.is_empty());
    html! {
        tr {
            th scope="row" { (cell(&person.jid)) }
            td { (cell(&person.name)) }
            td { a href=(link(&accounts::address(&people.account))) { (cell(&people.account)) } }
            @if has_nodes { td { (maybe(people.node.as_deref())) } }
            td { (cell(&person.status)) }
            td { (cell(&subscription(person))) }
            td { (maybe(groups.as_deref())) }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::lists::tests::asked;
    use super::super::rooms::tests::account;
    use super::super::tests::host_in;
    use super::*;

    const EVIL: &str = "<script>alert(1)</script>\u{202e}";

    fn person(jid: &str) -> Person {
        Person {
            jid: jid.to_owned(),
            name: format!("Name of {jid}"),
            subscription: "both".to_owned(),
            status: "online".to_owned(),
            asks: false,
            groups: vec!["Friends".to_owned()],
        }
    }

    fn of(account: &str, contacts: Vec<Person>) -> People {
        People { account: account.to_owned(), node: None, known: true, contacts }
    }

    fn page(query: &str, people: &[People], accounts: &[Account]) -> String {
        let link = |path: &str| format!("/base{path}");
        all(&link, &asked(PATH, &CHOICES, query).unwrap(), people, accounts, None).into_string()
    }

    #[test]
    fn contacts_are_found_by_account_group_status_and_words() {
        let accounts = [account("main", Some("support")), account("second", None)];
        let away = Person { status: "away".to_owned(), groups: Vec::new(), ..person("Romeo@example.net") };
        let asks = Person { subscription: "none".to_owned(), asks: true, ..person("paris@example.com") };
        let people = [of("main", vec![person("juliet@example.org")]), of("second", vec![away, asks])];
        for (query, says) in [
            ("", "1 to 3 of 3."),
            ("account=second", "1 to 2 of 2."),
            ("group=support", "1 to 1 of 1."),
            ("state=away", "1 to 1 of 1."),
            ("words=friends PARIS", "1 to 1 of 1."),
            ("words=friends romeo", "No contact is like that."),
            ("group=gone", "No contact is like that."),
        ] {
            let text = page(query, &people, &accounts);
            assert!(text.contains(says), "{query}: no {says} in {text}");
        }
        let text = page("", &people, &accounts);
        for words in
            ["none, asks", "href=\"/base/accounts/show?account=second\"", "Name of juliet@example.org", "Friends"]
        {
            assert!(text.contains(words), "no {words} in {text}");
        }
        assert!(!text.contains("method=\"post\"") && !text.contains(">Node<"), "{text}");
    }

    #[test]
    fn accounts_without_contacts_and_those_whose_contacts_are_not_known_are_told_apart() {
        let text = page("", &[of("main", Vec::new())], &[account("main", None)]);
        assert!(text.contains("No contacts.") && !text.contains("have not come"), "{text}");
        let new = |number: usize| People { known: false, ..of(&format!("new{number}"), Vec::new()) };
        let people: Vec<_> = (0..12).map(new).collect();
        let text = page("", &people, &[]);
        assert!(text.contains("have not come from the server yet") && text.contains(" and 2 more."), "{text}");
        assert!(text.contains("new9") && !text.contains("new10"), "{text}");
    }

    #[test]
    fn each_of_ten_thousand_contacts_is_on_one_page() {
        let of_one = |number: usize| {
            of(&format!("a{number}"), (0..100).map(|one| person(&format!("{number}-{one}@x.y"))).collect())
        };
        let people: Vec<_> = (0..100).map(of_one).collect();
        let mut seen = BTreeSet::new();
        for number in 1..=100 {
            let text = page(&format!("limit=100&page={number}"), &people, &[]);
            assert!(text.len() < 128 << 10 && text.contains(" of 10000."), "{} bytes", text.len());
            let rows = text.split("<th scope=\"row\">").skip(1);
            seen.extend(rows.map(|rest| rest.split("</th>").next().unwrap().to_owned()));
        }
        assert_eq!(seen.len(), 10_000);
    }

    #[test]
    fn no_text_of_strangers_is_markup() {
        let evil = || EVIL.to_owned();
        let person = Person {
            jid: evil(),
            name: evil(),
            subscription: evil(),
            status: evil(),
            asks: true,
            groups: vec![evil(), evil()],
        };
        let people =
            |known: bool| People { account: evil(), node: Some(evil()), known, contacts: vec![person.clone()] };
        let accounts = [account(EVIL, Some(EVIL)), account("main", None)];
        let asked = asked(PATH, &CHOICES, "").unwrap();
        let text = all(&str::to_owned, &asked, &[people(true), people(false)], &accounts, Some(EVIL)).into_string();
        assert!(!text.contains("<script") && text.contains("&lt;script&gt;"), "{text}");
        assert!(text.contains("Not all is shown") && text.contains(">Node<") && !text.contains("style="), "{text}");
    }

    #[tokio::test]
    async fn a_query_that_is_wrong_is_refused_and_without_a_host_there_is_no_list() {
        let folder = tempfile::tempdir().unwrap();
        let visit = |path: &str| Visit::for_test(Role::Viewer, path, host_in(folder.path()));
        for wrong in ["page=0", "state=x", "state=Away"] {
            assert_eq!(list(visit(&format!("/contacts?{wrong}"))).await.unwrap_err().status, 400, "{wrong}");
        }
        assert_eq!(list(visit("/contacts")).await.unwrap_err().status, 503);
    }
}
