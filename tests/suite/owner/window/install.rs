//! Installing from the pages: from an address, from a registry and by a name in an index, with the progress, the consent, and what is refused.

use std::time::Duration;

use parlor_tests::plugins::digest_of;
use parlor_tests::policy::Policy;
use parlor_tests::ports;
use parlor_tests::window::{Answer, Form, Session, Window, text_of};
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::super::index::prepared;
use super::super::sources::{policy, version, web};
use super::super::{SOON, ended, start};

/// The requests of echo, all of which it needs.
const NEEDS: [&str; 3] = ["messages.read", "messages.send", "rooms.send"];
/// The pause between two looks at a page: a session may ask for only so many pages.
const PAUSE: Duration = Duration::from_millis(50);

/// Sends the form for an address or a name, and returns the path of the page that waits for it.
pub(super) async fn begin(owner: &Session, page: &str, fields: &[(&str, &str)]) -> String {
    let answer = owner.change(page, "/install/fetch", fields).await.unwrap();
    assert_eq!(answer.status, 303, "{fields:?}: {answer:?}");
    answer.header("location").to_owned()
}

/// Follows the page of an install, as a browser does by itself, until nothing is on the way any more.
pub(super) async fn settled(owner: &Session, path: &str) -> Answer {
    let deadline = Instant::now() + SOON;
    loop {
        let page = owner.page(path).await.unwrap();
        if page.header("refresh").is_empty() {
            return page;
        }
        assert!(page.body.contains("This page looks again every few seconds."), "{}", page.body);
        assert!(Instant::now() < deadline, "it is still on the way: {}", page.body);
        tokio::time::sleep(PAUSE).await;
    }
}

/// Fetches from an address or by a name, which must fail with these words.
async fn fails(owner: &Session, fields: &[(&str, &str)], words: &str) {
    let path = begin(owner, "/install", fields).await;
    let text = text_of(&settled(owner, &path).await.body);
    assert!(text.contains("Nothing was installed") && text.contains(words), "{fields:?}, no {words:?}: {text}");
}

/// Returns the form with the decision about an offered plugin. Nothing in it is granted yet.
async fn offered(owner: &Session, path: &str) -> Form {
    let page = settled(owner, path).await;
    for words in ["messages.read, ", "Nothing of it has run", "to hear what people say", "(it does not run without)"] {
        assert!(text_of(&page.body).contains(words), "no {words:?}: {}", page.body);
    }
    let form = Form::all(&page.body).into_iter().find(|form| form.is_post() && form.leads_to(path) == path);
    let form = form.unwrap_or_else(|| panic!("no decision: {}", page.body));
    assert_eq!((form.value("grant"), form.value("all")), (None, None), "something is granted before anybody said so");
    form
}

/// Grants all that it needs, agrees to the question, and returns the text of the page once it is installed.
async fn agree(owner: &Session, path: &str, mut form: Form) -> String {
    form.fields.extend(NEEDS.map(|permission| ("grant".to_owned(), permission.to_owned())));
    let asks = owner.send_form(&form, path).await.unwrap();
    let question = Form::all(&asks.body).into_iter().find(Form::confirms);
    let question = question.unwrap_or_else(|| panic!("nothing asks: {asks:?}"));
    let answer = owner.send_form(&question, path).await.unwrap();
    assert_eq!((answer.status, answer.header("location")), (303, path), "{answer:?}");
    text_of(&settled(owner, path).await.body)
}

#[tokio::test]
async fn a_plugin_is_installed_from_an_address_after_consent() {
    let (home, web) = web().await;
    let host = start(&home, &Policy::default()).await;
    let window = Window::open(&home).await.unwrap();
    let owner = window.log_in(&home, "owner").await.unwrap();
    let bytes = version("0.1.0");
    web.put("/files/echo.wasm", &bytes);
    web.redirect("/latest", "files/echo.wasm");
    let (url, digest) = (web.url("/latest"), digest_of(&bytes));
    let before = policy(&home);

    let path = begin(&owner, "/install", &[("source", &url), ("digest", &digest)]).await;
    let form = offered(&owner, &path).await;
    let shown = text_of(&owner.page(&path).await.unwrap().body);
    for words in [url.as_str(), &web.url("/files/echo.wasm"), &digest, "nobody whom you trust"] {
        assert!(shown.contains(words), "no {words:?}: {shown}");
    }
    // Without a decision about what it needs, and without agreeing to the question, nothing is installed.
    let refused = owner.send_form(&form, &path).await.unwrap();
    assert!(refused.status == 400 && refused.body.contains("cannot do without"), "{refused:?}");
    let mut granted = form.clone();
    granted.set("all", "true");
    let asks = owner.send_form(&granted, &path).await.unwrap();
    assert!(asks.status == 200 && asks.body.contains("id=\"confirm\""), "{asks:?}");
    // A page about another file, which had this number before the window was started again, decides nothing about this one.
    let mut stale = granted.clone();
    stale.set("shown", &digest_of(&version("0.2.0")));
    stale.set("agreed", "yes");
    let refused = owner.send_form(&stale, &path).await.unwrap();
    assert!(refused.status == 409 && refused.body.contains("another file"), "{refused:?}");
    assert_eq!(policy(&home), before);
    // Another session of an owner decides nothing about it.
    let other = window.log_in(&home, "owner").await.unwrap();
    assert_eq!(other.get(&path).await.unwrap().status, 404);

    let done = agree(&owner, &path, form).await;
    assert!(done.contains("echo 0.1.0 is installed"), "{done}");
    host.wait_count("plugin running", &[("plugin", "echo")], 1, SOON).await.unwrap();
    assert!(policy(&home).contains(&format!("source = \"{url}\"")), "{}", policy(&home));
    let audit = ended(home.run(&["audit", "--json", "--plugin", "echo"]).await.unwrap(), 0).json().unwrap();
    let entries = audit["entries"].as_array().unwrap();
    assert!(entries.iter().any(|entry| entry["way"] == "parlor web" && entry["what"] == "installed"), "{audit}");
    // It is decided about once.
    assert_eq!(owner.get(&path).await.unwrap().status, 200);
    assert!(owner.form(&path, &path).await.is_err());
}

#[tokio::test]
async fn a_plugin_is_installed_from_a_registry_after_consent() {
    let (home, web) = web().await;
    let host = start(&home, &Policy::default()).await;
    let window = Window::open(&home).await.unwrap();
    let owner = window.log_in(&home, "owner").await.unwrap();
    let bytes = version("0.1.0");
    let manifest = web.push("plugins/echo", "0.1.0", &bytes);
    let of = |what: &str| format!("oci://{}/plugins/echo{what}", web.host());
    fails(&owner, &[("source", &of(":9.9.9"))], "404").await;
    // The registry has another version there than the owner looked at.
    let other = web.push("plugins/echo", "0.2.0", &version("0.2.0"));
    fails(&owner, &[("source", &of(&format!(":0.1.0@{other}"))), ("digest", &digest_of(&bytes))], "was asked for")
        .await;
    let refused = owner.change("/install", "/install/fetch", &[("source", "oci://localhost/UPPER")]).await.unwrap();
    assert_eq!(refused.status, 400, "{refused:?}");
    assert!(!policy(&home).contains("[plugin.echo"), "{}", policy(&home));

    let source = of(&format!(":0.1.0@{manifest}"));
    let path = begin(&owner, "/install", &[("source", &source)]).await;
    let form = offered(&owner, &path).await;
    let shown = text_of(&owner.page(&path).await.unwrap().body);
    for words in [source.as_str(), &digest_of(&bytes), "nobody whom you trust"] {
        assert!(shown.contains(words), "no {words:?}: {shown}");
    }
    let done = agree(&owner, &path, form).await;
    assert!(done.contains("echo 0.1.0 is installed"), "{done}");
    host.wait_count("plugin running", &[("plugin", "echo")], 1, SOON).await.unwrap();
    assert!(policy(&home).contains(&format!("source = \"{source}\"")), "{}", policy(&home));
}

#[tokio::test]
async fn what_is_not_as_it_was_asked_for_or_not_there_installs_nothing_and_says_why() {
    let (home, web) = web().await;
    let _host = start(&home, &Policy::default()).await;
    let window = Window::open(&home).await.unwrap();
    let owner = window.log_in(&home, "owner").await.unwrap();
    let before = policy(&home);
    web.put("/echo.wasm", version("0.1.0"));
    web.put("/page", "<html><script>alert(1)</script>");
    let (url, other) = (web.url("/echo.wasm"), digest_of(&version("0.2.0")));
    let url = url.as_str();
    fails(&owner, &[("source", url), ("digest", &other)], "was asked for; it was changed").await;
    let nowhere = format!("https://localhost:{}/echo.wasm", ports::free().unwrap());
    fails(&owner, &[("source", &nowhere)], "cannot be reached").await;
    fails(&owner, &[("source", &web.url("/nothing"))], "the server says 404 Not Found").await;
    fails(&owner, &[("source", &web.url("/page"))], "the file is not WebAssembly").await;
    fails(&owner, &[("source", "examples/echo")], "there is no index examples").await;
    for fields in [
        &[("source", "/etc/passwd")][..],
        &[("source", "http://localhost/echo.wasm")],
        &[("source", url), ("digest", "sha256:no")],
        &[],
    ] {
        let refused = owner.change("/install", "/install/fetch", fields).await.unwrap();
        assert_eq!(refused.status, 400, "{fields:?}: {refused:?}");
    }

    // A server that takes the connection, and never answers: the page says so, looks again, and lets it be given up.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let slow = format!("https://localhost:{}/echo.wasm", silent.local_addr().unwrap().port());
    let path = begin(&owner, "/install", &[("source", &slow)]).await;
    let page = owner.page(&path).await.unwrap();
    assert!(page.body.contains("The file is fetched and examined."), "{}", page.body);
    assert_eq!(page.header("refresh"), "2", "{page:?}");
    let begun = owner.page("/install").await.unwrap();
    assert!(begun.body.contains(&format!("href=\"{path}\"")), "{}", begun.body);
    let cancel = format!("{path}/cancel");
    let given_up = owner.change(&path, &cancel, &[]).await.unwrap();
    assert_eq!((given_up.status, given_up.header("location")), (303, "/install"), "{given_up:?}");
    assert!(owner.page("/install").await.unwrap().body.contains("nothing was installed"));
    assert_eq!(owner.get(&path).await.unwrap().status, 404);
    assert_eq!(policy(&home), before);
}

#[tokio::test]
async fn a_plugin_of_an_index_is_found_and_installed_with_the_key_of_its_publisher() {
    let (home, _web, key) = prepared().await;
    let host = start(&home, &Policy::default()).await;
    let window = Window::open(&home).await.unwrap();
    let owner = window.log_in(&home, "owner").await.unwrap();
    let found = owner.page("/install?q=echo").await.unwrap();
    assert!(text_of(&found.body).contains("Says »it« again"), "{}", found.body);
    let choose = "/install?source=examples%2Fecho";
    assert!(found.body.contains(&format!("href=\"{choose}\"")), "{}", found.body);
    // The link fills in the name. The person only presses the button.
    let form = owner.form(choose, "/install/fetch").await.unwrap();
    assert_eq!(form.value("source"), Some("examples/echo"));

    let path = begin(&owner, choose, &[]).await;
    let form = offered(&owner, &path).await;
    let shown = text_of(&owner.page(&path).await.unwrap().body);
    for words in [key.public().as_str(), "(examples/echo)", "its publisher, whom plugins.toml does not trust by name"] {
        assert!(shown.contains(words), "no {words:?}: {shown}");
    }
    let done = agree(&owner, &path, form).await;
    assert!(done.contains("echo 0.1.0 is installed"), "{done}");
    host.wait_count("plugin running", &[("plugin", "echo")], 1, SOON).await.unwrap();
    for line in ["index = \"examples/echo\"".to_owned(), format!("publisher = \"{}\"", key.public())] {
        assert!(policy(&home).contains(&line), "no {line} in {}", policy(&home));
    }
    let again = text_of(&owner.page("/install?q=echo").await.unwrap().body);
    assert!(again.contains("installed as echo"), "{again}");
    fails(&owner, &[("source", "examples/ehco")], "did you mean \"echo\"?").await;
}
