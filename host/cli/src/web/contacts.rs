//! The contacts of accounts, page by page and by account, group, status and words, and answers to people who ask.

use std::sync::Arc;

use maud::{Markup, html};
use parlor::control::client::escaped;
use parlor::control::views::{Account, People, Person, Status};
use parlor_window::{Form, Page, Problem, Question, Reply, Role, Routes, stranger};

use super::accounts;
use super::host::{Host, Visit, ask};
use super::lists::{Asked, Look, groups, values};
use super::parts::{cell, label, lacking, maybe};
use super::rooms::of_accounts;
use crate::contacts::subscription;
use crate::fleet::first;
use crate::target::with_account;

/// The path of the list, and its choices. `state` is the status of a contact.
const PATH: &str = "/contacts";
const CHOICES: [&str; 3] = ["account", "group", "state"];

/// Adds the page and its forms.
pub(super) fn routes(routes: Routes<Arc<Host>>) -> Routes<Arc<Host>> {
    let routes = routes.page("/contacts", Role::Viewer.of_accounts(), list);
    routes.form("/contacts/accept", Role::Operator.of_accounts(), accept).form(
        "/contacts/deny",
        Role::Operator.of_accounts(),
        deny,
    )
}

async fn list(visit: Visit) -> Result<Reply, Problem> {
    let asked = Asked::of(PATH, &CHOICES, |name| visit.query(name));
    let asked = asked.and_then(|asked| asked.in_a_state(&Person::STATUSES)).map_err(Problem::wrong)?;
    let target = with_account("/v1/contacts", Some(asked.chosen("account")));
    let (people, accounts, lacks) = ask(&visit, move |client| {
        let people: Vec<People> = client.get(&target)?;
        let status: Status = client.get("/v1/status")?;
        Ok((people, status.accounts, client.incomplete()))
    })
    .await?;
    let link = |path: &str| visit.link(path);
    let each = |account: &str, jid: &str| buttons(&visit, account, jid);
    let buttons: Option<Buttons<'_>> = if visit.may(Role::Operator.of_accounts()) { Some(&each) } else { None };
    Ok(Page::new("Contacts", all(&link, &asked, &people, &accounts, lacks.as_deref(), buttons)).into())
}

/// A contact, with the account that has it.
type Listed<'a> = (&'a People, &'a Person);
/// Shows the buttons for the request of a person, by the account and the address of the person.
type Buttons<'a> = &'a dyn Fn(&str, &str) -> Markup;

/// The columns that only some lists have.
#[derive(Clone, Copy)]
struct Columns<'a> {
    /// The node of the account, in a cluster.
    has_nodes: bool,
    /// The plugins that added or changed the contact, if any did.
    has_plugins: bool,
    /// The buttons, if somebody asks whom the session may answer.
    buttons: Option<Buttons<'a>>,
}

fn all(
    link: &dyn Fn(&str) -> String,
    asked: &Asked,
    people: &[People],
    accounts: &[Account],
    lacks: Option<&str>,
    buttons: Option<Buttons<'_>>,
) -> Markup {
    let groups = groups(accounts);
    let is_picked = |(people, person): &Listed<'_>| {
        asked.picks("account", Some(people.account.as_str()))
            && asked.picks("group", groups.get(people.account.as_str()).copied())
            && asked.picks("state", Some(person.status.as_str()))
            && asked.has_words(&words(person))
    };
    let contacts = || people.iter().flat_map(|one| one.contacts.iter().map(move |person| (one, person)));
    let mut picked: Vec<Listed<'_>> = contacts().filter(is_picked).collect();
    // Those who wait for an answer are on the first page.
    picked.sort_by_key(|(_, person)| !person.asks);
    let columns = Columns {
        has_nodes: people.iter().any(|one| one.node.is_some()),
        has_plugins: contacts().any(|(_, person)| !person.plugins.is_empty()),
        buttons: buttons.filter(|_| picked.iter().any(|(_, person)| person.asks)),
    };
    let mut heads = vec!["Contact", "Name", "Account"];
    heads.extend(columns.has_nodes.then_some("Node"));
    heads.extend(["Status", "Subscription", "Groups"]);
    heads.extend(columns.has_plugins.then_some("Plugins"));
    heads.extend(columns.buttons.map(|_| "Request"));
    let none = if contacts().next().is_none() { "No contacts." } else { "No contact is like that." };
    let look = Look { name: "contacts", none, caption: "Contacts", heads: &heads };
    let mut choices = of_accounts(asked, accounts);
    choices.push(asked.choice("state", "Status", values(Person::STATUSES)));
    let hint = "Parts of the address, of the name, of a group in the list of contacts, or of a plugin that changed the contact.";
    html! {
        (asked.form(link, ("Contact", hint), &choices))
        div data-live id="contacts" {
            (lacking(lacks))
            (unknown(people))
            @if columns.has_plugins {
                p { "What the plugins made of a contact that they added or changed lets nobody give a command." }
            }
            (asked.shown(link, &look, &picked, |contact| row(link, contact, columns)))
        }
    }
}

/// Returns what the words that are looked for occur in.
fn words(person: &Person) -> String {
    format!("{} {} {} {}", person.jid, person.name, person.groups.join(" "), person.plugins.join(" "))
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

fn row(link: &dyn Fn(&str) -> String, (people, person): Listed<'_>, columns: Columns<'_>) -> Markup {
    let [groups, plugins] =
        [&person.groups, &person.plugins].map(|names| Some(names.join(", ")).filter(|names| !names.is_empty()));
    html! {
        tr {
            th scope="row" { (cell(&person.jid)) }
            td { (cell(&person.name)) }
            td { a href=(link(&accounts::address(&people.account))) { (cell(&people.account)) } }
            @if columns.has_nodes { td { (maybe(people.node.as_deref())) } }
            td { (cell(&person.status)) }
            td { (cell(&subscription(person))) }
            td { (maybe(groups.as_deref())) }
            @if columns.has_plugins { td { (maybe(plugins.as_deref())) } }
            @if let Some(buttons) = columns.buttons {
                td { @if person.asks { (buttons(&people.account, &person.jid)) } }
            }
        }
    }
}

/// Shows the forms that answer the request of a person.
fn buttons(visit: &Visit, account: &str, jid: &str) -> Markup {
    let form = |path: &str, text: &str| {
        let fields = html! {
            input type="hidden" name="account" value=(account);
            input type="hidden" name="jid" value=(jid);
            button.quiet type="submit" aria-label=(label(text, jid, account)) { (text) }
        };
        visit.form(path, &fields)
    };
    html! { div.actions { (form("/contacts/accept", "Accept")) (form("/contacts/deny", "Deny")) } }
}

async fn accept(visit: Visit, form: Form) -> Result<Reply, Problem> {
    let then = "That person sees it then, and is a contact: permissions for contacts count for that person, too.";
    answer(&visit, &form, "accept", ("Accept", "accepts"), then).await
}

async fn deny(visit: Visit, form: Form) -> Result<Reply, Problem> {
    let then = "That person does not see it then, and can ask again.";
    answer(&visit, &form, "deny", ("Deny", "denies"), then).await
}

/// Answers the request of a person, after a question that says what happens `then`.
async fn answer(
    visit: &Visit,
    form: &Form,
    step: &str,
    (verb, does): (&str, &str),
    then: &str,
) -> Result<Reply, Problem> {
    let (account, jid) = (form.need("account")?.to_owned(), form.need("jid")?.to_owned());
    if !form.is_agreed() {
        let action = format!("/contacts/{step}");
        let question = Question {
            title: format!("{verb} the request?"),
            sentences: vec![
                html! { (stranger(&jid)) " asks to see when the account " (stranger(&account)) " is online." },
                html! { (then) },
            ],
            button: format!("{verb} the request"),
            is_danger: false,
            action: &action,
            back: PATH,
            fields: form.fields(),
        };
        return Ok(visit.confirm(&question));
    }
    let target = format!("/v1/contacts/{step}?jid={}&account={}", escaped(&jid), escaped(&account));
    let _: Vec<People> = ask(visit, move |client| Ok(client.post(&target)?)).await?;
    Ok(visit.done(PATH, format!("{account} {does} the request of {jid}")))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixListener;
    use std::path::Path;
    use std::thread::JoinHandle;

    use super::super::lists::tests::asked;
    use super::super::rooms::tests::{account, visit};
    use super::super::tests::host_in;
    use super::*;
    use crate::target::Target;

    const EVIL: &str = "<script>alert(1)</script>\u{202e}";

    fn person(jid: &str) -> Person {
        Person {
            jid: jid.to_owned(),
            name: format!("Name of {jid}"),
            subscription: "both".to_owned(),
            status: "online".to_owned(),
            asks: false,
            groups: vec!["Friends".to_owned()],
            plugins: Vec::new(),
        }
    }

    fn of(account: &str, contacts: Vec<Person>) -> People {
        People { account: account.to_owned(), node: None, known: true, contacts }
    }

    fn page(query: &str, people: &[People], accounts: &[Account]) -> String {
        page_with(query, people, accounts, None)
    }

    fn page_with(query: &str, people: &[People], accounts: &[Account], buttons: Option<Buttons<'_>>) -> String {
        let link = |path: &str| format!("/base{path}");
        all(&link, &asked(PATH, &CHOICES, query).unwrap(), people, accounts, None, buttons).into_string()
    }

    /// Answers one change as a host does, and returns the first line of its request.
    fn one_change(folder: &Path) -> JoinHandle<String> {
        let listener = UnixListener::bind(folder.join("control.sock")).unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, mut asked) = (stream.unwrap(), [0; 4_096]);
                let length = stream.read(&mut asked).unwrap_or_default();
                let line = std::str::from_utf8(&asked[..length]).unwrap().lines().next().unwrap_or_default();
                // Some connections only check that the host listens.
                if line.starts_with("POST ") {
                    let answer = "HTTP/1.1 200 OK\r\nparlor-control: 1\r\ncontent-length: 2\r\n\r\n[]";
                    stream.write_all(answer.as_bytes()).unwrap();
                    return line.to_owned();
                }
            }
            String::new()
        })
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
    fn plugins_that_added_or_changed_a_contact_are_named_beside_it() {
        let welcomed = |jid: &str| Person { plugins: vec!["greet".to_owned(), "welcome".to_owned()], ..person(jid) };
        let both = [of("main", vec![person("juliet@example.org"), welcomed("romeo@example.net")])];
        let text = page("", &both, &[]);
        assert!(text.contains(">Plugins<") && text.contains("lets nobody give a command"), "{text}");
        let [juliet, romeo] = ["juliet", "romeo"].map(|name| {
            text.split("<tr>").find(|row| row.contains(&format!("{name}@"))).unwrap().split("</tr>").next().unwrap()
        });
        assert!(romeo.contains("greet, welcome") && !juliet.contains("welcome"), "{text}");
        assert_eq!(juliet.matches("<td").count(), romeo.matches("<td").count(), "{text}");
        for (query, says) in [
            ("words=welcome", "1 to 1 of 1."),
            ("words=greet juliet", "No contact is like that."),
            ("state=online", "1 to 2 of 2."),
        ] {
            let text = page(query, &both, &[]);
            assert!(text.contains(says) && text.contains("lets nobody give a command"), "{query}: {text}");
        }
        let text = page("", &[of("main", vec![person("juliet@example.org")])], &[]);
        assert!(!text.contains(">Plugins<") && !text.contains("lets nobody"), "{text}");
    }

    #[test]
    fn those_who_ask_come_first_with_buttons_for_a_role_that_may_answer() {
        let visit = visit(Role::Operator, "/contacts");
        let each = |account: &str, jid: &str| buttons(&visit, account, jid);
        let asks = |jid: &str| Person { subscription: "none".to_owned(), asks: true, ..person(jid) };
        let mut many: Vec<_> = (0..30).map(|number| person(&format!("{number:02}@x.y"))).collect();
        many.push(asks("paris@example.com"));
        let people = [of("main", many)];
        let text = page_with("", &people, &[], Some(&each));
        let first = text.split("<th scope=\"row\">").nth(1).unwrap();
        assert!(first.contains("paris@example.com") && text.contains(">Request<"), "{text}");
        for action in ["/contacts/accept", "/contacts/deny"] {
            assert_eq!(text.matches(&format!("action=\"{action}\"")).count(), 1, "{text}");
        }
        assert_eq!(text.matches("name=\"csrf\"").count(), 2, "{text}");
        assert_eq!(first.matches("name=\"jid\" value=\"paris@example.com\"").count(), 2, "{first}");
        assert_eq!(first.matches("name=\"account\" value=\"main\"").count(), 2, "{first}");
        for text in ["Accept", "Deny"] {
            let button = format!("aria-label=\"{text}: paris@example.com on main\">{text}</button>");
            assert!(first.contains(&button), "no {button} in {first}");
        }
        // A viewer, and a page on which nobody asks.
        for text in [page("", &people, &[]), page_with("words=00", &people, &[], Some(&each))] {
            assert!(!text.contains("method=\"post\"") && !text.contains(">Request<"), "{text}");
        }
        let long = [of("main", (0..100).map(|_| asks(&format!("{}@x.y", "\"".repeat(900)))).collect())];
        let text = page_with("limit=100", &long, &[], Some(&each));
        assert!(text.len() < 128 << 10 && text.contains("more of this page had no room"), "{} bytes", text.len());
    }

    #[tokio::test]
    async fn a_request_is_answered_on_its_account_after_somebody_agreed() {
        let fields = [("account", EVIL), ("jid", EVIL)];
        let question = accept(visit(Role::Operator, "/contacts/accept"), Form::of(&fields)).await.unwrap().into_text();
        assert!(question.contains("Accept the request?") && question.contains("is a contact"), "{question}");
        assert!(question.contains("name=\"agreed\"") && !question.contains("<script"), "{question}");
        assert!(question.contains("action=\"/contacts/accept\""), "{question}");
        let question = deny(visit(Role::Operator, "/contacts/deny"), Form::of(&fields)).await.unwrap().into_text();
        assert!(question.contains("Deny the request?") && question.contains("action=\"/contacts/deny\""), "{question}");
        for missing in [[("account", "main"), ("jid", "")], [("account", ""), ("jid", "a@b")]] {
            let refused = deny(visit(Role::Operator, "/contacts/deny"), Form::of(&missing)).await.unwrap_err();
            assert_eq!(refused.status, 400, "{missing:?}");
        }
        let agreed = Form::of(&[("account", "main"), ("jid", "a&b@example.org"), ("agreed", "yes")]);
        for step in ["accept", "deny"] {
            let folder = tempfile::tempdir().unwrap();
            let config = folder.path().join("parlor.toml");
            std::fs::write(&config, "[account.main]\njid = \"bot@example.org\"\npassword_env = \"NONE\"\n").unwrap();
            let target = Target { config: Some(config), data: Some(folder.path().to_owned()), plugins: None };
            let host = one_change(folder.path());
            let visit = Visit::for_test(Role::Operator, "/contacts", Arc::new(Host::new(target)));
            let (visitor, form) = (visit.clone(), agreed.clone());
            let reply = if step == "accept" { accept(visitor, form).await } else { deny(visitor, form).await };
            assert_eq!(reply.unwrap().into_text(), "/contacts");
            let asked = host.join().unwrap();
            let wanted = format!("POST /v1/contacts/{step}?jid=a%26b@example.org&account=main ");
            assert!(asked.starts_with(&wanted), "{asked}");
            let notice = visit.notice().unwrap();
            assert!(notice.starts_with("main ") && notice.ends_with(" the request of a&b@example.org"), "{notice}");
        }
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
            plugins: vec![evil()],
        };
        let people =
            |known: bool| People { account: evil(), node: Some(evil()), known, contacts: vec![person.clone()] };
        let accounts = [account(EVIL, Some(EVIL)), account("main", None)];
        let asked = asked(PATH, &CHOICES, "").unwrap();
        let visit = visit(Role::Operator, "/contacts");
        let each = |account: &str, jid: &str| buttons(&visit, account, jid);
        let people = [people(true), people(false)];
        let text = all(&str::to_owned, &asked, &people, &accounts, Some(EVIL), Some(&each)).into_string();
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
