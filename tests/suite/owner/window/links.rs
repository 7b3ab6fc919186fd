//! Links that an account sends to an owner: by the command, and for somebody who asks on the log-in page.

use std::time::Instant;

use jid::BareJid;
use parlor_tests::client::{Client, body};
use parlor_tests::host::{Home, Host};
use parlor_tests::log::Mark;
use parlor_tests::window::{Answer, Window, link as link_of, link_in, read};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio_xmpp::Stanza;

use super::super::chat::owned;
use super::super::page::{compare, compare_with_sentence, page};
use super::super::{SOON, ended, juliet};
use super::refused;

/// A host with echo, whose owner has a client online, and whose pages are open.
struct Lodge {
    window: Window,
    host: Host,
    home: Home,
    bot: BareJid,
    owner: Client,
}

impl Lodge {
    async fn open() -> Self {
        let owner = juliet().await;
        let (home, host, bot) = owned(&owner.jid().to_bare()).await;
        host.wait_count("plugin running", &[("plugin", "echo")], 1, SOON).await.unwrap();
        let window = Window::open(&home).await.unwrap();
        Self { window, host, home, bot: bot.into_bare(), owner }
    }

    fn jid(&self) -> String {
        self.owner.jid().to_bare().to_string()
    }

    /// Waits for a message with a link, and returns its text and the path of the link.
    async fn sent(&mut self) -> (String, String) {
        let pick = |text: &str| link_in(text).map(|link| (text.to_owned(), link));
        self.owner.wait_text("a link to log in with", &self.bot, SOON, pick).await.unwrap()
    }

    /// Returns how many links came so far, once so many have come: the page answers before they are sent.
    async fn count(&mut self, least: usize) -> usize {
        let link = |stanza: &&Stanza| match stanza {
            Stanza::Message(message) => body(message).is_some_and(|text| text.contains("/login/")),
            _ => false,
        };
        let until = Instant::now() + SOON;
        loop {
            // It claims no message: `sent` still finds the links.
            self.owner.catch_up(SOON).await.unwrap();
            let count = self.owner.received().iter().filter(link).count();
            if count >= least {
                return count;
            }
            assert!(Instant::now() < until, "{count} links came, and not {least}");
        }
    }

    /// Returns the links that wait to be used.
    fn waiting(&self) -> Vec<Value> {
        let kept = std::fs::read(self.home.path().join("data/window/sessions.json")).unwrap_or_default();
        let kept: Value = serde_json::from_slice(&kept).unwrap_or_default();
        kept["links"].as_array().cloned().unwrap_or_default()
    }

    /// Writes into the configuration who can have links sent, and has the host read it.
    async fn let_send(&self, who: &str) {
        let config = std::fs::read_to_string(self.home.path().join("parlor.toml")).unwrap();
        let before = config.split("\n[window]").next().unwrap();
        self.home.write("parlor.toml", &format!("{before}\n[window]\nlinks = \"{who}\"\n")).unwrap();
        ended(self.home.run(&["reload"]).await.unwrap(), 0);
    }

    /// Returns the entries of the audit that say this.
    async fn audit(&self, says: &str) -> Vec<Value> {
        let shown = self.home.run(&["audit", "--json", "--kind", "host", "--lines", "1000"]).await.unwrap();
        let entries = ended(shown, 0).json().unwrap()["entries"].as_array().unwrap().clone();
        entries.into_iter().filter(|entry| entry["what"].as_str().unwrap().contains(says)).collect()
    }

    /// Waits until the window's log says this once more.
    async fn logs(&self, says: &str, from: &mut Mark) {
        let seen = |line: &str| line.contains(says).then_some(());
        self.window.log().wait(says, from, SOON, seen).await.unwrap();
    }
}

#[tokio::test]
async fn an_owner_is_sent_a_link_that_logs_in_once_and_the_audit_says_whom() {
    let mut lodge = Lodge::open().await;
    let (jid, local) = (lodge.jid(), lodge.owner.jid().node().unwrap().to_string());
    let arguments = ["web", "link", "--to", &jid, "--role", "operator", "--minutes", "5", "--json"];
    let said = ended(lodge.home.run(&arguments).await.unwrap(), 0);
    let json = said.json().unwrap();
    assert_eq!(
        (&json["account"], &json["to"], &json["role"]),
        (&"main".into(), &jid.as_str().into(), &"operator".into())
    );
    assert_eq!((&json["name"], &json["minutes"]), (&local.as_str().into(), &5.into()), "{json}");
    assert!(!said.stdout.contains("/login/"), "the command shows the link: {said:?}");
    let page_of_fields = page();
    compare_with_sentence(&page_of_fields, "parlor web link", &json);
    let (text, link) = lodge.sent().await;
    assert!(text.contains("as operator") && text.contains("once, within 5 min"), "{text}");
    assert!(text.contains(&format!("http://{}/login/", lodge.window.at())), "{text}");
    // The server is asked to keep no copy.
    assert!(lodge.owner.received_xml().iter().any(|xml| xml.contains(&link) && xml.contains("no-store")));

    // The client shows a preview.
    let guest = lodge.window.guest();
    for _ in 0..3 {
        refused(&guest.get(&link).await.unwrap(), 200);
        refused(&guest.ask(&guest.head("HEAD", &link), b"").await.unwrap(), 200);
    }
    assert_eq!(lodge.waiting().len(), 1);
    let session = guest.clone().log_in(&link).await.unwrap();
    let page = session.page("/").await.unwrap();
    assert!(page.body.contains("(operator)") && page.body.contains(&jid), "{page:?}");
    refused(&guest.post(&link, &[]).await.unwrap(), 403);

    let sent = lodge.audit("a link to log in to the window was sent to").await;
    assert_eq!(sent.len(), 1, "{sent:?}");
    let what = sent[0]["what"].as_str().unwrap();
    assert!(what.ends_with(&format!("{jid} as operator")), "{sent:?}");
    let began = lodge.audit("somebody logged in to the window, as operator").await;
    let who = began[0]["who"].as_str().unwrap();
    assert!(began.len() == 1 && who.ends_with(&format!(" web:{local} jid:{jid}")), "{began:?}");
    // So do the changes of the session.
    session.change("/plugins/echo", "/plugins/echo/restart", &[]).await.unwrap();
    let shown = ended(lodge.home.run(&["audit", "--json", "--plugin", "echo"]).await.unwrap(), 0).json().unwrap();
    let entries = shown["entries"].as_array().unwrap();
    let restarted = entries.iter().rev().find(|entry| entry["what"] == "restarted").unwrap();
    assert_eq!(restarted["who"], who, "{restarted}");
    // It is behind that one in the list.
    let limited = link_of(&lodge.home, &["--account", "main", "--name", "zoe"]).await.unwrap();
    guest.clone().log_in(&limited).await.unwrap();
    let sessions = ended(lodge.home.run(&["web", "sessions", "--json"]).await.unwrap(), 0).json().unwrap();
    assert_eq!(
        (&sessions[0]["name"], &sessions[0]["jid"]),
        (&local.as_str().into(), &jid.as_str().into()),
        "{sessions}"
    );
    let printed = ended(lodge.home.run(&["web", "login", "--json"]).await.unwrap(), 0).json().unwrap();
    compare_with_sentence(&page_of_fields, "parlor web login", &printed);
    compare(&page_of_fields, "An entry of `parlor web sessions --json`", &sessions);
    let log = [lodge.window.log().all(), lodge.host.log().all()].concat().join("\n");
    assert!(!log.contains(&link), "{log}");
}

#[tokio::test]
async fn the_command_sends_nobody_else_a_link() {
    let mut lodge = Lodge::open().await;
    let stranger = juliet().await;
    let other = stranger.jid().to_bare().to_string();
    for jid in [other.as_str(), lodge.bot.as_str(), "nobody@localhost", "localhost"] {
        let refused = ended(lodge.home.run(&["web", "link", "--to", jid]).await.unwrap(), 1).stderr;
        assert!(refused.contains("is no owner of") && refused.contains("`owners`"), "{jid}: {refused}");
    }
    assert_eq!(lodge.waiting(), Vec::<Value>::new(), "a link that was not sent is still good");
    let jid = lodge.jid();
    for wrong in [
        &["web", "link"][..],
        &["web", "link", "--to", "a@b/c"],
        &["web", "link", "--to", &jid, "--role", "admin"],
        &["web", "link", "--to", &jid, "--minutes", "0"],
    ] {
        ended(lodge.home.run(wrong).await.unwrap(), 2);
    }
    let unknown = ended(lodge.home.run(&["web", "link", "--to", &jid, "--account", "second"]).await.unwrap(), 1).stderr;
    assert!(unknown.contains("no account second"), "{unknown}");
    assert_eq!(lodge.count(0).await, 0);
    assert!(lodge.audit("a link to log in").await.is_empty());
    // Without a host nobody can send it, and without a window it leads nowhere.
    assert!(lodge.host.stop(SOON).await.unwrap().success());
    let stopped = ended(lodge.home.run(&["web", "link", "--to", &jid]).await.unwrap(), 4).stderr;
    assert!(stopped.contains("no host runs"), "{stopped}");
    assert!(lodge.window.close().await.unwrap().success());
    let closed = ended(lodge.home.run(&["web", "link", "--to", &jid]).await.unwrap(), 1).stderr;
    assert!(closed.contains("`parlor web` does not run"), "{closed}");
}

/// Returns an answer without what differs between any two.
fn told(answer: &Answer) -> (u16, String, Vec<(String, String)>) {
    let headers = answer.headers.iter().filter(|(name, _)| name != "date").cloned();
    (answer.status, answer.body.clone(), headers.collect())
}

#[tokio::test]
async fn whoever_asks_on_the_page_is_told_the_same_and_only_an_owner_is_sent_a_link() {
    let mut lodge = Lodge::open().await;
    let stranger = juliet().await;
    let (jid, other) = (lodge.jid(), stranger.jid().to_bare().to_string());
    let guest = lodge.window.guest();
    let form = guest.form("/login", "/login").await.unwrap();
    assert_eq!(form.fields, [("jid".to_owned(), String::new())]);
    let mut mark = lodge.window.log().mark();
    let mut answers = Vec::new();
    for asked in [other.as_str(), "nobody@localhost", "<script>alert(1)</script>", "", jid.as_str()] {
        let answer = guest.ask_for_link(asked).await.unwrap();
        refused(&answer, 200);
        assert!(
            answer.body.contains("If this is the JID of an owner") && !answer.body.contains("localhost"),
            "{answer:?}"
        );
        answers.push(told(&answer));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "an owner and a stranger are told apart: {answers:?}");
    lodge.logs("a link to the window was sent", &mut mark).await;
    let (text, link) = lodge.sent().await;
    assert!(text.contains("as owner") && text.contains("asked for it on the log-in page"), "{text}");
    assert_eq!(lodge.waiting().len(), 1, "others were sent one as well");
    assert_eq!(lodge.waiting()[0]["jid"], jid.as_str());
    let sent = lodge.audit("for somebody on the log-in page").await;
    assert!(sent.len() == 1 && sent[0]["what"].as_str().unwrap().contains(&jid), "{sent:?}");
    let session = guest.clone().log_in(&link).await.unwrap();
    assert!(session.page("/").await.unwrap().body.contains("(owner)"));

    // From a page elsewhere nobody can ask.
    for lines in [&[][..], &[("origin", "https://evil.example")], &[("origin", "null")]] {
        refused(&guest.post_with("/login", lines, &[("jid", &jid)]).await.unwrap(), 403);
    }
    assert_eq!(lodge.count(1).await, 1);
    assert!(lodge.host.stop(SOON).await.unwrap().success());
    let mut without = Vec::new();
    for asked in [&other, &jid] {
        let answer = guest.ask_for_link(asked).await.unwrap();
        refused(&answer, 503);
        assert!(answer.body.contains("the host does not answer"), "{answer:?}");
        without.push(told(&answer));
    }
    assert_eq!(without[0], without[1]);
}

#[tokio::test]
async fn the_configuration_says_for_whom_links_are_sent() {
    let mut lodge = Lodge::open().await;
    let (jid, guest) = (lodge.jid(), lodge.window.guest());
    for (who, code) in [("command", 0), ("never", 1)] {
        lodge.let_send(who).await;
        let page = guest.page("/login").await.unwrap().body;
        assert!(!page.contains("<form") && page.contains("parlor web login"), "{page}");
        let mut answers = Vec::new();
        for asked in [jid.as_str(), "nobody@localhost", "<script>alert(1)</script>", ""] {
            let answer = guest.ask_for_link(asked).await.unwrap();
            refused(&answer, 404);
            answers.push(told(&answer));
        }
        answers.dedup();
        assert_eq!(answers.len(), 1, "an owner and a stranger are told apart: {answers:?}");
        let said = ended(lodge.home.run(&["web", "link", "--to", &jid]).await.unwrap(), code);
        assert_eq!(said.stderr.contains("`links = \"never\"`"), code == 1, "{said:?}");
    }
    // The command's, and no link of the page. One that was refused is taken back.
    assert_eq!((lodge.count(1).await, lodge.waiting().len()), (1, 1));
    lodge.window.log_in(&lodge.home, "owner").await.unwrap();
    lodge.let_send("page").await;
    let mut mark = lodge.window.log().mark();
    assert_eq!(guest.ask_for_link(&jid).await.unwrap().status, 200);
    lodge.logs("a link to the window was sent", &mut mark).await;
    assert_eq!(lodge.count(2).await, 2);
}

#[tokio::test]
async fn links_are_asked_for_within_bounds() {
    let mut lodge = Lodge::open().await;
    let (jid, guest) = (lodge.jid(), lodge.window.guest());
    let mut mark = lodge.window.log().mark();
    // However it is written.
    for spelled in [jid.clone(), jid.to_uppercase(), format!("{jid}/phone"), jid.clone()] {
        assert_eq!(guest.ask_for_link(&spelled).await.unwrap().status, 200);
    }
    lodge.logs("an owner is sent no further link", &mut mark).await;
    assert_eq!(lodge.count(3).await, 3);
    for _ in 4..10 {
        assert_eq!(guest.ask_for_link("nobody@localhost").await.unwrap().status, 200);
    }
    let refusal = guest.ask_for_link(&jid).await.unwrap();
    refused(&refusal, 429);
    assert_eq!(refusal.header("retry-after"), "60");
    // Log-ins go on meanwhile, and the command sends links.
    let (_, link) = lodge.sent().await;
    guest.clone().log_in(&link).await.unwrap();
    ended(lodge.home.run(&["web", "link", "--to", &jid]).await.unwrap(), 0);
    assert_eq!(lodge.count(4).await, 4);
}

#[tokio::test]
async fn somebody_who_is_taken_out_of_the_owners_is_logged_out() {
    let mut lodge = Lodge::open().await;
    let jid = lodge.jid();
    for _ in 0..2 {
        ended(lodge.home.run(&["web", "link", "--to", &jid]).await.unwrap(), 0);
    }
    let ((_, used), (_, unused)) = (lodge.sent().await, lodge.sent().await);
    let guest = lodge.window.guest();
    let session = guest.clone().log_in(&used).await.unwrap();
    let printed = lodge.window.log_in(&lodge.home, "viewer").await.unwrap();
    let token = session.csrf("/plugins/echo", "/plugins/echo/restart").await.unwrap();
    let mut live = session.connect().await.unwrap();
    let request = session.head("GET", "/live") + "connection: close\r\n\r\n";
    live.write_all(request.as_bytes()).await.unwrap();

    // A file that cannot be read says nothing of anybody.
    let file = lodge.home.path().join("parlor.toml");
    let whole = std::fs::read_to_string(&file).unwrap();
    for broken in ["", "[account.main", "account = 1"] {
        lodge.home.write("parlor.toml", broken).unwrap();
        assert_eq!(session.get("/plugins").await.unwrap().status, 200, "{broken}");
    }
    std::fs::remove_file(&file).unwrap();
    assert_eq!(session.get("/plugins").await.unwrap().status, 200);
    assert!(whole.contains(&format!("owners = [\"{jid}\"]")), "{whole}");
    lodge.home.write("parlor.toml", &whole.replace(&format!("\"{jid}\""), "")).unwrap();

    // The page that is open notices it first.
    let told = read(&mut live).await.unwrap();
    assert!(told.status == 200 && told.body.contains("event: ended"), "{told:?}");
    let out = session.get("/plugins").await.unwrap();
    assert_eq!((out.status, out.header("location")), (303, "/login"), "{out:?}");
    refused(&session.post("/plugins/echo/restart", &[("csrf", &token), ("agreed", "yes")]).await.unwrap(), 403);
    refused(&guest.post(&unused, &[]).await.unwrap(), 403);
    assert_eq!(lodge.waiting(), Vec::<Value>::new());
    assert_eq!(printed.get("/plugins").await.unwrap().status, 200, "a printed link is nobody's in particular");
    let gone = lodge.audit("is no owner any more").await;
    assert!(gone.len() == 1 && gone[0]["what"].as_str().unwrap().starts_with(&jid), "{gone:?}");
    assert_eq!(gone[0]["who"], "file:parlor.toml", "{gone:?}");

    // An owner once more has to log in once more.
    lodge.home.write("parlor.toml", &whole).unwrap();
    assert_eq!(session.get("/plugins").await.unwrap().status, 303);
}

#[tokio::test]
async fn a_link_has_the_address_by_which_it_was_asked_for() {
    let mut lodge = Lodge::open().await;
    let more = ["--origin", "https://bots.example.org", "--path", "/parlor/"];
    let public = Window::open_with(&lodge.home, &more).await.unwrap();
    let mut guest = public.guest();
    "bots.example.org".clone_into(&mut guest.host);
    "https://bots.example.org".clone_into(&mut guest.origin);
    let mut form = guest.form("/parlor/login", "/parlor/login").await.unwrap();
    form.set("jid", &lodge.jid());
    assert_eq!(guest.send_form(&form, "/parlor/login").await.unwrap().status, 200);
    let (text, link) = lodge.sent().await;
    assert!(text.contains("\nhttps://bots.example.org/parlor/login/"), "{text}");
    guest.log_in(&link).await.unwrap();
    // A name that a request made up is in no link.
    let mut forged = lodge.window.guest();
    "evil.example".clone_into(&mut forged.host);
    "http://evil.example".clone_into(&mut forged.origin);
    refused(&forged.ask_for_link(&lodge.jid()).await.unwrap(), 421);
    assert_eq!(lodge.count(1).await, 1);
}
