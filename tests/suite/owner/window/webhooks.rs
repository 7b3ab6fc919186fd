//! Webhooks on the pages: their deliveries, another address, and a request that is told again.

use std::net::{Ipv4Addr, SocketAddr};

use parlor_tests::host::{Home, Host};
use parlor_tests::log::Mark;
use parlor_tests::plugins::built;
use parlor_tests::policy::Policy;
use parlor_tests::ports;
use parlor_tests::webhooks;
use parlor_tests::window::{Form, Session, Window, crawl, text_of};
use serde_json::Value;

use super::super::{SOON, ended, home, start};
use super::words::{HARMLESS, HOSTILE, is_harmless};

const SECRET: &str = "canary-of-the-sender";
/// The page of the plugin.
const PAGE: &str = "/plugins/receiver";

/// Waits until the plugin has logged this about a delivery.
async fn told(host: &Host, text: &str) {
    let pick = |line: &str| line.contains(&format!("told {text}")).then_some(());
    host.log().wait(text, &mut Mark::default(), SOON, pick).await.unwrap();
}

/// Returns the path of the webhook `queue`, as the command shows it.
async fn path(home: &Home) -> String {
    path_of(home, "queue").await
}

/// Returns the path of a webhook in the same way.
async fn path_of(home: &Home, webhook: &str) -> String {
    let shown = ended(home.run(&["plugin", "hooks", "receiver", "--json"]).await.unwrap(), 0).json().unwrap();
    webhooks::paths(&shown[0]).remove(webhook).unwrap()
}

/// Starts a host with the plugin that notes requests, at the address that is returned for these, and opens the window.
async fn open() -> (Home, SocketAddr, Host, Window) {
    let (mut home, _) = home().await;
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free().unwrap()));
    home.set_web("listen", at.to_string()).unwrap();
    let secret = home.keep_secret("secret", SECRET).unwrap();
    let receiver = home.install("receiver", &built("receiver").unwrap()).unwrap();
    let receiver = receiver.grant_whole("storage").grant_whole("webhooks.receive").set("secret", secret);
    let host = start(&home, &Policy::default().with("receiver", receiver)).await;
    host.wait_count("webhooks are listened for", &[], 1, SOON).await.unwrap();
    host.wait_count("plugin running", &[("plugin", "receiver")], 1, SOON).await.unwrap();
    let window = Window::open(&home).await.unwrap();
    (home, at, host, window)
}

/// Returns the form of the plugin's page with this action and this value of a field.
async fn form(session: &Session, action: &str, (name, value): (&str, &str)) -> Option<Form> {
    let body = session.page(PAGE).await.unwrap().body;
    let is_it = |form: &Form| form.is_post() && form.leads_to(PAGE) == action && form.value(name) == Some(value);
    Form::all(&body).into_iter().find(is_it)
}

/// Returns the part of the plugin's page about webhooks. The plugin itself writes its address into its log, which is on the page, too.
fn part(page: &str) -> &str {
    let (_, rest) = page.split_once("id=\"webhooks\"").unwrap();
    rest.split("id=\"versions\"").next().unwrap()
}

/// Presses the button of a form, agrees to the question with these words, and returns the text of the page with the outcome.
async fn agree(session: &Session, form: &Form, words: &str) -> String {
    let asks = session.send_form(form, PAGE).await.unwrap();
    assert!(text_of(&asks.body).contains(words), "no {words:?}: {asks:?}");
    let question = Form::all(&asks.body).into_iter().find(Form::confirms);
    let question = question.unwrap_or_else(|| panic!("nothing asks: {asks:?}"));
    let done = session.send_form(&question, PAGE).await.unwrap();
    assert_eq!((done.status, done.header("location")), (303, PAGE), "{done:?}");
    session.page(PAGE).await.unwrap().body
}

/// Returns the entries of the audit with this text that were made from the pages.
async fn by_web(home: &Home, what: &str) -> usize {
    let audit = ended(home.run(&["audit", "--json", "--plugin", "receiver"]).await.unwrap(), 0).json().unwrap();
    let is_it = |entry: &&Value| entry["way"] == "parlor web" && entry["what"].as_str().unwrap().contains(what);
    audit["entries"].as_array().unwrap().iter().filter(is_it).count()
}

#[tokio::test]
async fn a_webhook_is_given_another_address_and_a_request_is_told_again() {
    let (home, at, host, window) = open().await;
    let owner = window.log_in(&home, "owner").await.unwrap();
    let operator = window.log_in(&home, "operator").await.unwrap();

    // A delivery is on the page, and an operator has the plugin told of it again.
    let former = path(&home).await;
    assert_eq!(webhooks::post(at, &former, SECRET, "hello").await.unwrap(), 202);
    told(&host, "queue 1 1 POST").await;
    let shown = operator.page(PAGE).await.unwrap().body;
    for words in ["The last requests on main", "127.0.0.1", "told", "Tell it again", "only owners see it"] {
        assert!(text_of(&shown).contains(words), "no {words:?}: {shown}");
    }
    assert!(!part(&shown).contains(&former), "an operator sees the address: {shown}");
    let replay = format!("{PAGE}/replay");
    let again = Form::all(&shown).into_iter().find(|form| form.leads_to(PAGE) == replay).unwrap();
    let number = again.value("request").unwrap().to_owned();
    let page = agree(&operator, &again, &format!("receiver is told of the request {number} as if it came now.")).await;
    assert!(text_of(&page).contains(&format!("receiver is told of the request {number} again")), "{page}");
    told(&host, "queue 1 2 POST").await;
    assert_eq!(by_web(&home, &format!("request {number} is told once more")).await, 1);

    // Only an owner sees the address, and gives another one.
    let rotate = format!("{PAGE}/rotate");
    assert_eq!(form(&operator, &rotate, ("webhook", "queue")).await, None);
    assert!(part(&owner.page(PAGE).await.unwrap().body).contains(&former));
    let other = form(&owner, &rotate, ("webhook", "queue")).await.unwrap();
    let asks = owner.send_form(&other, PAGE).await.unwrap();
    assert!(asks.status == 200 && path(&home).await == former, "the question alone changes it: {asks:?}");
    let page =
        agree(&owner, &other, "leads nowhere then: whoever sends requests to it has to be told the new one").await;
    let present = path(&home).await;
    assert_ne!(present, former);
    assert!(text_of(&page).contains("the webhook queue has another address"), "{page}");
    assert!(part(&page).contains(&present) && !part(&page).contains(&former), "{page}");
    assert_eq!(webhooks::post(at, &former, SECRET, "late").await.unwrap(), 401);
    assert_eq!(webhooks::post(at, &present, SECRET, "again").await.unwrap(), 202);
    assert_eq!(by_web(&home, "webhook queue has another address").await, 1);
    assert!(!page.contains(SECRET), "{page}");
}

/// A sender decides about the body, the headers, the query and, for some webhooks, the end of the path.
#[tokio::test]
async fn no_word_of_a_sender_is_markup() {
    let (home, at, host, window) = open().await;
    let owner = window.log_in(&home, "owner").await.unwrap();
    let queue = path(&home).await;
    let lines =
        webhooks::github(SECRET, HOSTILE) + &format!("x-github-event: {HOSTILE}\r\nx-forwarded-for: {HOSTILE}\r\n");
    assert_eq!(webhooks::post_with(at, &queue, &lines, HOSTILE).await.unwrap(), 202);
    told(&host, "queue 1 1 POST").await;
    // Such paths may be refused; what is kept of them is shown as words.
    let open = path_of(&home, "open").await;
    for end in ["/%3Cscript%3Estolen(1)%3C/script%3E", "/<script>stolen(1)</script>?<img src=x onerror=stolen(2)>"] {
        let _ = webhooks::post_with(at, &format!("{open}{end}"), "", HOSTILE).await;
    }
    // It fails over this one, and is told again.
    let failing = format!("fail {HOSTILE}");
    assert_eq!(webhooks::post(at, &queue, SECRET, &failing).await.unwrap(), 202);
    told(&host, "queue 1 1 POST None [] fail").await;
    let mut shown = 0;
    for (path, page) in &crawl(&owner, &["/", PAGE, "/audit"]).await.unwrap() {
        is_harmless(path, page);
        shown += page.body.matches(HARMLESS).count();
    }
    assert!(shown >= 2, "what a sender wrote is on no page, so that nothing was tried");
}
