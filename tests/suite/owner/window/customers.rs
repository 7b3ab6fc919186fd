//! Sessions of some accounts, on a host with accounts of several customers: they see and change nothing of the others.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use jid::BareJid;
use parlor_tests::host::{Home, Host};
use parlor_tests::policy::{Entry, Policy};
use parlor_tests::server::Account;
use parlor_tests::window::{Form, Session, Window, crawl, forms_of, link, link_in};

use super::super::accounts::another;
use super::super::{SOON, echo, ended, home, juliet, start};
use super::refused;

/// The pages that a session of some accounts is led to.
const OWN: [&str; 7] = ["/", "/accounts", "/plugins", "/rooms", "/contacts", "/keys", "/audit"];
/// Pages of the whole host, and of files.
const WHOLE: [&str; 4] = ["/explain", "/install", "/doctor", "/plugins/bobs/storage"];

/// A host with the accounts of two customers, `main` and `blue`: the plugin `own` runs on the first, `bobs` on the second, and
/// `shared` on both.
struct Inn {
    window: Window,
    host: Host,
    home: Home,
    blue: Account,
}

impl Inn {
    async fn open() -> Self {
        let (mut home, _) = home().await;
        let blue = another(&mut home, "blue").await;
        let on = |account: &str| Entry { accounts: Some(vec![account.to_owned()]), ..echo(&home) };
        let policy = Policy::default().with("own", on("main")).with("bobs", on("blue")).with("shared", echo(&home));
        let host = start(&home, &policy).await;
        host.wait_count("plugin running", &[], 4, SOON).await.unwrap();
        host.wait_count("account connected", &[], 2, SOON).await.unwrap();
        let window = Window::open(&home).await.unwrap();
        Self { window, host, home, blue }
    }

    /// Logs in by a link for the first customer's account.
    async fn customer(&self, role: &str) -> Session {
        let path = link(&self.home, &["--role", role, "--account", "main", "--name", "ann"]).await.unwrap();
        self.window.guest().log_in(&path).await.unwrap()
    }

    /// Checks that a page has nothing of the other customer.
    #[track_caller]
    fn is_own(&self, path: &str, body: &str) {
        let local = self.blue.jid.node().unwrap().to_string();
        for word in ["blue", "bobs", local.as_str()] {
            assert!(!body.contains(word), "{word} is on {path}: {body}");
        }
    }

    /// Returns how often plugins were started on the other customer's account.
    fn starts(&self) -> usize {
        self.host.lines("plugin running", &[("account", "blue")]).len()
    }
}

#[tokio::test]
async fn a_session_of_some_accounts_sees_nothing_of_the_others() {
    let inn = Inn::open().await;
    for role in ["viewer", "operator", "owner"] {
        let session = inn.customer(role).await;
        let pages = crawl(&session, &OWN).await.unwrap();
        for (path, page) in &pages {
            assert_eq!(page.status, 200, "a {role} is led to {path}: {page:?}");
            inn.is_own(path, &page.body);
        }
        let home = &pages["/"].body;
        assert!(home.contains("for the accounts main") && !home.contains("of memory"), "{home}");
        for (path, says) in [
            ("/plugins", "shared"),
            ("/plugins/own", "messages.read"),
            ("/plugins/own", "plugin running"),
            ("/plugins/own", "room_prefix"),
            ("/plugins/shared", "plugin running"),
            ("/accounts", "main"),
            ("/keys", "main"),
        ] {
            assert!(pages[path].body.contains(says), "{path} does not say {says}: {:?}", pages[path]);
        }
        for path in WHOLE {
            let page = session.get(path).await.unwrap();
            assert_eq!(page.status, 403, "{role} {path}: {page:?}");
        }
    }
    // A session of the whole host has it all.
    let whole = inn.window.log_in(&inn.home, "owner").await.unwrap();
    assert!(whole.page("/accounts").await.unwrap().body.contains("blue"));
}

/// Things that are not there and things of others are answered alike, but for the name that was asked for.
#[tokio::test]
async fn addresses_of_the_others_lead_to_nothing() {
    let inn = Inn::open().await;
    let session = inn.customer("owner").await;
    for path in [
        "/plugins/NAME",
        "/accounts/show?account=NAME",
        "/audit?account=NAME",
        "/audit?account=main&plugin=NAME",
        "/rooms?account=NAME",
        "/rooms/show?room=hall@rooms.localhost&account=NAME",
        "/contacts?account=NAME",
        "/keys?account=NAME",
        "/keys/show?account=NAME&jid=juliet@localhost&fingerprint=00",
        "/plugins/NAME/storage?account=main",
        "/plugins/shared/storage?account=NAME",
        "/plugins/shared/storage/value?account=NAME&key=a",
        "/plugins/NAME/storage/download?account=main&key=a",
    ] {
        let mut answers = Vec::new();
        for (there, absent) in [("blue", "green"), ("bobs", "nobs")] {
            for name in [there, absent] {
                let page = session.get(&path.replace("NAME", name)).await.unwrap();
                let body = page.body.replace(name, "NAME");
                inn.is_own(path, &body);
                answers.push((page.status, body));
            }
        }
        answers.dedup();
        assert_eq!(answers.len(), 1, "{path} tells them apart: {answers:?}");
    }
}

#[tokio::test]
async fn a_session_of_some_accounts_changes_nothing_of_the_others() {
    let inn = Inn::open().await;
    let before = inn.starts();
    let session = inn.customer("owner").await;
    let forms = forms_of(&crawl(&session, &OWN).await.unwrap());
    let send = async |action: &str, fields: &[(&str, &str)]| {
        let mut form: Form = forms.get(action).unwrap_or_else(|| panic!("no {action} in {:?}", forms.keys())).clone();
        for (name, value) in fields.iter().chain(&[("agreed", "yes")]) {
            form.set(name, value);
        }
        session.send_form(&form, "/").await.unwrap()
    };
    for (action, fields) in [
        ("/keys/reset", &[("account", "blue")][..]),
        ("/rooms/join", &[("account", "blue"), ("room", "hall@rooms.localhost")]),
        ("/rooms/join", &[("account", ""), ("room", "hall@rooms.localhost")]),
        // It runs on the account of the other customer as well.
        ("/plugins/shared/restart", &[]),
        ("/plugins/shared/disable", &[]),
    ] {
        let answer = send(action, fields).await;
        let is_refused = answer.status == 403 || answer.status == 400 && fields.contains(&("account", ""));
        assert!(is_refused, "{action} {fields:?}: {answer:?}");
    }
    // A token is for one path, and there is none for the forms of pages that are not shown.
    let token = session.csrf("/plugins/own", "/plugins/own/restart").await.unwrap();
    for path in
        ["/plugins/bobs/restart", "/plugins/own/disable", "/plugins/own/grant", "/plugins/own/remove", "/doctor"]
    {
        refused(&session.post(path, &[("csrf", &token), ("agreed", "yes")]).await.unwrap(), 403);
    }
    assert_eq!(inn.starts(), before, "{}", inn.host.log().tail());
    let shown = ended(inn.home.run(&["audit", "--json", "--account", "blue"]).await.unwrap(), 0).json().unwrap();
    let by_web = shown["entries"].as_array().unwrap().iter().filter(|entry| entry["way"] == "parlor web");
    assert_eq!(by_web.count(), 0, "{shown}");

    // The own plugin is restarted.
    let done = send("/plugins/own/restart", &[]).await;
    assert_eq!(done.status, 303, "{done:?}");
    inn.host.wait_count("plugin running", &[("plugin", "own")], 2, SOON).await.unwrap();
    let shown = session.page("/audit?account=main&plugin=own").await.unwrap().body;
    assert!(shown.contains("restarted"), "{shown}");

    // Its settings are changed, and those of a plugin that runs elsewhere as well are not shown.
    let sets = [("set.room_prefix", "so say I: ")];
    let done = session.change("/plugins/own", "/plugins/own/settings", &sets).await.unwrap();
    assert_eq!(done.status, 303, "{done:?}");
    assert!(session.page("/plugins/own").await.unwrap().body.contains("so say I: "));
    assert!(!forms.contains_key("/plugins/shared/settings"), "{:?}", forms.keys());

    // It is disabled, which the page knows, and enabled again.
    assert_eq!(send("/plugins/own/disable", &[]).await.status, 303);
    let done = session.change("/plugins/own", "/plugins/own/enable", &[]).await.unwrap();
    assert_eq!(done.status, 303, "{done:?}");
    let page = session.page("/plugins/own").await.unwrap().body;
    assert!(page.contains("/plugins/own/disable") && !page.contains("/plugins/own/enable"), "{page}");
    assert_eq!(inn.starts(), before, "{}", inn.host.log().tail());
}

/// A plugin that runs for both customers stores something for each.
#[tokio::test]
async fn the_storage_of_a_shared_plugin_is_that_of_the_own_account() {
    let inn = Inn::open().await;
    for (account, key) in [("main", "mine"), ("blue", "of-bob")] {
        let hex = hex::encode(format!("stored for {account}"));
        let target = format!("/v1/plugins/shared/data/import?account={account}&quota=1024");
        let done = import(&inn.home, &target, &format!("[{{\"key\":\"{key}\",\"hex\":\"{hex}\"}}]"));
        assert!(done.starts_with("HTTP/1.1 200"), "{done}");
    }
    let session = inn.customer("operator").await;
    let list = session.page("/plugins/shared/storage").await.unwrap().body;
    assert!(list.contains("mine") && list.contains("stored for main"), "{list}");
    let value = session.page("/plugins/shared/storage/value?account=main&key=mine").await.unwrap().body;
    assert!(value.contains("stored for main"), "{value}");
    let absent = session.get("/plugins/shared/storage/value?account=main&key=of-bob").await.unwrap();
    assert_eq!(absent.status, 404, "{absent:?}");
    for (path, body) in [("list", &list), ("value", &value), ("absent", &absent.body.replace("of-bob", ""))] {
        inn.is_own(path, body);
        assert!(!body.contains("of-bob"), "{body}");
    }
    refused(&inn.customer("viewer").await.get("/plugins/shared/storage").await.unwrap(), 403);
}

/// Sends a request with a body to the control socket of a host.
fn import(home: &Home, target: &str, body: &str) -> String {
    let mut stream = UnixStream::connect(home.path().join("data/control.sock")).unwrap();
    let head = format!("POST {target} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// A customer leaves, and the next one gets the name of the account.
#[tokio::test]
async fn a_session_is_not_for_an_account_that_got_the_name_later() {
    let mut inn = Inn::open().await;
    let session = inn.customer("owner").await;
    session.page("/accounts/show?account=main").await.unwrap();
    let unused = link(&inn.home, &["--account", "main", "--name", "bob"]).await.unwrap();
    let next = another(&mut inn.home, "main").await;
    let bound = [("account", "main")];
    inn.host.wait_count("account connected", &bound, 2, SOON).await.unwrap();
    let local = next.jid.node().unwrap().to_string();
    for session in [session, inn.window.guest().log_in(&unused).await.unwrap()] {
        for (path, status) in [
            ("/", 200),
            ("/plugins", 200),
            ("/accounts/show?account=main", 404),
            ("/rooms?account=main", 403),
            ("/audit?account=main", 403),
            ("/keys?account=main", 403),
            ("/plugins/own", 403),
        ] {
            let page = session.get(path).await.unwrap();
            assert_eq!(page.status, status, "{path}: {page:?}");
            assert!(!page.body.contains(&local), "{path} shows the next customer: {page:?}");
        }
    }
    let session = inn.customer("owner").await;
    assert!(session.page("/accounts/show?account=main").await.unwrap().body.contains(&local));
}

#[tokio::test]
async fn an_owner_of_one_account_is_sent_a_link_for_that_account() {
    let mut owner = juliet().await;
    let mut inn = Inn::open().await;
    let jid = owner.jid().to_bare().to_string();
    inn.home.amend("main", "owners", Some(vec![jid.clone()].into())).unwrap();
    ended(inn.home.run(&["reload"]).await.unwrap(), 0);
    let line = &inn.host.lines("account connected", &[("account", "main")])[0];
    let bot = line.get("jid").parse::<jid::Jid>().unwrap().to_bare();
    let guest = inn.window.guest();
    assert_eq!(guest.ask_for_link(&jid).await.unwrap().status, 200);
    let text = sent(&mut owner, &bot).await;
    assert!(text.contains("for the accounts of which you are an owner"), "{text}");
    let session = guest.log_in(&link_in(&text).unwrap()).await.unwrap();
    for (path, page) in crawl(&session, &OWN).await.unwrap() {
        assert_eq!(page.status, 200, "{path}: {page:?}");
        inn.is_own(&path, &page.body);
    }
    refused(&session.get("/install").await.unwrap(), 403);

    // An owner of each account has the whole host, also in a session that has begun before.
    inn.home.amend("blue", "owners", Some(vec![jid].into())).unwrap();
    ended(inn.home.run(&["reload"]).await.unwrap(), 0);
    let until = std::time::Instant::now() + SOON;
    while session.get("/install").await.unwrap().status != 200 {
        assert!(std::time::Instant::now() < until, "the session stays limited");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    assert!(session.page("/accounts").await.unwrap().body.contains("blue"));
}

/// Waits for a message with a link, and returns its text.
async fn sent(owner: &mut parlor_tests::client::Client, bot: &BareJid) -> String {
    let pick = |text: &str| link_in(text).map(|_| text.to_owned());
    owner.wait_text("a link to log in with", bot, SOON, pick).await.unwrap()
}

#[tokio::test]
async fn a_link_is_made_for_accounts_that_the_host_has() {
    let inn = Inn::open().await;
    let wrong = ended(inn.home.run(&["web", "login", "--account", "bleu"]).await.unwrap(), 1).stderr;
    assert!(wrong.contains("there is no account bleu") && wrong.contains("\"blue\""), "{wrong}");
    ended(inn.home.run(&["web", "login", "--account", "a b"]).await.unwrap(), 2);
    let made = ended(inn.home.run(&["web", "login", "--account", "main", "--json"]).await.unwrap(), 0).json().unwrap();
    assert_eq!(made["accounts"], serde_json::json!(["main"]), "{made}");
    inn.customer("operator").await;
    let shown = ended(inn.home.run(&["web", "sessions"]).await.unwrap(), 0).stdout;
    assert!(shown.lines().any(|line| line.starts_with("ann ") && line.trim_end().ends_with(" main")), "{shown}");
}
