//! Pages show the words of strangers as words, and no secret.

use std::time::Instant;

use parlor_tests::client::Client;
use parlor_tests::component::with_manifest;
use parlor_tests::host::Home;
use parlor_tests::minisign::Key;
use parlor_tests::plugins::{built, digest_of};
use parlor_tests::policy::Policy;
use parlor_tests::web::Web;
use parlor_tests::window::{Answer, Window, crawl, encoded, text_of};
use tokio_xmpp::Stanza;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::minidom::Element;

use super::super::sources::{version, web};
use super::super::{SOON, ended, home, juliet, start};
use super::install::{begin, settled};
use super::{House, all_pages};
use crate::test_host::{A_MOMENT, prosody};

/// The words of a stranger who wants to take over the owner's browser, or to have the page read otherwise.
pub(super) const HOSTILE: &str = "x\"'><script>stolen(1)</script><img src=x onerror=stolen(2)>&lt;b&gt;";
/// How it stands in the HTML of a page, as far as nothing follows from an apostrophe.
pub(super) const HARMLESS: &str =
    "&gt;&lt;script&gt;stolen(1)&lt;/script&gt;&lt;img src=x onerror=stolen(2)&gt;&amp;lt;b&amp;gt;";
/// Characters that turn the direction of the text after them.
const TURNS: [char; 2] = ['\u{202e}', '\u{2066}'];

/// Returns a text as XML has it, also between apostrophes.
fn in_xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('\'', "&apos;")
}

/// Has the account kicked out of a room, by somebody and for a reason with these words.
async fn kick(juliet: &mut Client, house: &House) -> String {
    let room = prosody().await.fresh_room();
    juliet.join(&room, &format!("Juliet {HOSTILE}"), SOON).await.unwrap();
    juliet.unlock(&room, SOON).await.unwrap();
    ended(house.home.run(&["rooms", "join", room.as_str(), "--nick", "Bot"]).await.unwrap(), 0);
    let words = in_xml(HOSTILE);
    let subject =
        format!("<message xmlns='jabber:client' type='groupchat' to='{room}'><subject>{words}</subject></message>");
    juliet.send(Stanza::try_from(subject.parse::<Element>().unwrap()).unwrap()).await.unwrap();
    let item = format!("<item nick='Bot' role='none'><reason>{words}</reason></item>");
    let query = format!("<query xmlns='http://jabber.org/protocol/muc#admin'>{item}</query>");
    let set = Iq::Set { from: None, to: Some(room.clone().into()), id: String::new(), payload: query.parse().unwrap() };
    juliet.ask(set, SOON).await.unwrap();
    let line = "the account was put out of a room";
    house.host.wait_count(line, &[("room", room.as_str())], 1, SOON).await.unwrap();
    room.to_string()
}

/// Puts a contact with these words as its name and its group into the account's list, by another client of the account.
async fn befriend(house: &House, juliet: &Client) {
    let mut phone = Client::login(&prosody().await.connector().unwrap(), &house.account, "phone").await.unwrap();
    let (jid, name) = (juliet.jid().to_bare(), in_xml(HOSTILE));
    let group = format!("{name}{}", TURNS.iter().collect::<String>());
    let item = format!("<item jid='{jid}' name='{name}'><group>{group}</group></item>");
    let payload = format!("<query xmlns='jabber:iq:roster'>{item}</query>").parse().unwrap();
    phone.ask(Iq::Set { from: None, to: None, id: String::new(), payload }, SOON).await.unwrap();
    let deadline = Instant::now() + SOON;
    while !ended(house.home.run(&["contacts", "--json"]).await.unwrap(), 0).stdout.contains("stolen(1)") {
        assert!(Instant::now() < deadline, "the contact does not arrive");
    }
    phone.close().await.unwrap();
}

/// Checks that a page has no part of the code that would run, and nothing that turns the text after it.
#[track_caller]
pub(super) fn is_harmless(path: &str, page: &Answer) {
    let body = &page.body;
    assert!(!body.contains(TURNS), "the text of {path} is turned: {body}");
    for word in ["<script>", "<img", "onerror=stolen(2)>", "<b>stolen", "javascript:", " style=", "<style"] {
        assert!(!body.contains(word), "{word} is on {path}: {body}");
    }
    // The only scripts are files of ours.
    for script in body.split("<script").skip(1) {
        assert!(script.split('>').next().is_some_and(|tag| tag.contains("/assets/")), "{path}: {body}");
    }
    let inside_tags = body.split('<').filter_map(|part| part.split('>').next());
    for tag in inside_tags {
        // Values are quoted.
        let mut names = tag.split('"').step_by(2).flat_map(str::split_whitespace);
        let is_handler = names.any(|name| name.starts_with("on") && name.ends_with('='));
        assert!(!is_handler, "{tag:?} on {path}");
    }
}

#[tokio::test]
async fn no_word_of_a_stranger_is_markup() {
    let (home, account) = home().await;
    let quoted = HOSTILE.replace('"', "\\\"");
    let bytes = with_manifest(&built("echo").unwrap().bytes().unwrap(), |text| {
        let text =
            text.replacen("Says what others say", &quoted, 1).replacen("to say it again in the same chat", &quoted, 1);
        text.replacen("How a message in a room begins", &quoted, 1)
    });
    let entry = home.install_bytes("echo", &bytes.unwrap()).unwrap();
    let entry = entry.grant("messages.read", &["*"]).grant("messages.send", &["*"]).grant("rooms.send", &["*"]);
    let policy = Policy::default().with("echo", entry);
    let house = House::open_as_it_is(home, account, &policy).await;
    let mut juliet = juliet().await;
    let room = kick(&mut juliet, &house).await;
    befriend(&house, &juliet).await;
    let owner = house.log_in("owner").await;
    let said = ended(house.home.run(&["plugin", "config", "echo", "room_prefix", HOSTILE]).await.unwrap(), 0);
    assert!(!said.stdout.is_empty());
    let all = all_pages(&owner).await;
    for (path, page) in &all {
        is_harmless(path, page);
    }
    for odd in [
        "/plugins/WORDS",
        "/plugins/echo/storage?account=WORDS",
        "/plugins/echo/storage/value?account=main&key=WORDS",
        "/accounts?words=WORDS",
        "/accounts/show?account=WORDS",
        "/rooms?words=WORDS&account=WORDS",
        "/rooms/show?room=WORDS&account=WORDS",
        "/contacts?words=WORDS&state=WORDS",
        "/keys?jid=WORDS",
        "/keys?account=WORDS",
        "/keys/show?account=main&jid=WORDS&fingerprint=WORDS",
        "/audit?plugin=WORDS&account=WORDS",
        "/audit?since=WORDS",
        "/explain?plugin=echo&what=WORDS&about=WORDS",
        "/install?source=WORDS",
        "/install?q=WORDS",
        "/install/WORDS",
        "/login/WORDS",
        "/WORDS",
    ] {
        let page = owner.get(&odd.replace("WORDS", &encoded(HOSTILE))).await.unwrap();
        assert!((200..500).contains(&page.status), "{odd}: {page:?}");
        is_harmless(odd, &page);
    }
    let shown = |begins: &str| {
        let found: Vec<_> = all.iter().filter(|(path, _)| path.starts_with(begins)).collect();
        found.iter().any(|(_, page)| page.body.contains(HARMLESS))
    };
    for page in ["/plugins/echo", "/audit", "/rooms", "/accounts/show", "/contacts"] {
        assert!(shown(page), "nobody sees on {page} what a stranger wrote: {:#?}", all.keys());
    }
    let plugin = &all["/plugins/echo"].body;
    assert!(text_of(plugin).contains(HOSTILE), "a person does not see it as it was written: {plugin}");
    assert!(plugin.contains("class=\"stranger\"") && plugin.contains("<bdi>"), "{plugin}");
    assert!(all.values().any(|page| page.body.contains(&room)), "{room} is on no page");
}

/// Serves an index whose publisher describes a plugin with hostile words, and signs it with them. The plugin gives them as a reason.
async fn hostile_index(home: &Home, web: &Web) {
    let (key, quoted) = (Key::new(), HOSTILE.replace('"', "\\\""));
    let public = key.public();
    let bytes = with_manifest(&version("0.1.0"), |text| {
        let text = text.replacen("Says what others say", &quoted, 1).replacen("to hear what people say", &quoted, 1);
        text.replacen("The parlor developers", &quoted, 1)
    });
    let bytes = bytes.unwrap();
    let text = format!(
        "format = 1\nname = \"examples\"\nserial = 1\ndescription = \"{quoted}\"\nkey = \"{public}\"\n\
         [plugin.echo]\ndescription = \"{quoted}\"\nlanguage = \"Rust\"\n\
         [plugin.echo.version.\"0.1.0\"]\nsource = \"echo.wasm\"\ndigest = \"{}\"\n\
         permissions = [\"messages.read\", \"messages.send\", \"rooms.send\"]\n",
        digest_of(&bytes)
    );
    for (path, content) in [("/all/index.toml", text.as_bytes()), ("/all/echo.wasm", bytes.as_slice())] {
        web.put(path, content);
        web.put(&format!("{path}.minisig"), key.sign(content, HOSTILE));
    }
    ended(home.run(&["index", "add", &web.url("/all/index.toml"), "--key", &public]).await.unwrap(), 0);
}

#[tokio::test]
async fn no_word_of_those_who_offer_plugins_is_markup() {
    let (home, web) = web().await;
    let _host = start(&home, &Policy::default()).await;
    hostile_index(&home, &web).await;
    let window = Window::open(&home).await.unwrap();
    let owner = window.log_in(&home, "owner").await.unwrap();
    let found = owner.page("/install?q=echo").await.unwrap();
    is_harmless("the index", &found);
    assert!(found.body.contains(HARMLESS), "the words of the index are not shown: {}", found.body);
    let path = begin(&owner, "/install", &[("source", "examples/echo")]).await;
    let offered = settled(&owner, &path).await;
    is_harmless("the offered plugin", &offered);
    // Its description, its author, and its reason at least.
    assert!(offered.body.matches(HARMLESS).count() >= 3, "its words are not shown: {}", offered.body);

    // A server answers with such words, leads there, or serves a file whose manifest has them in place of a name.
    let head = "content-length: 0\r\nconnection: close\r\n\r\n";
    web.put_raw("/refused", format!("HTTP/1.1 404 {HOSTILE}\r\n{head}"));
    web.put_raw("/led", format!("HTTP/1.1 302 Found\r\nlocation: https://localhost/{HOSTILE}\r\n{head}"));
    web.put("/page", HOSTILE);
    let named = |text: &str| text.replacen("name = \"echo\"", &format!("name = '''{HOSTILE}'''"), 1);
    web.put("/named", with_manifest(&version("0.1.0"), named).unwrap());
    for from in ["/refused", "/led", "/page", "/named"] {
        let path = begin(&owner, "/install", &[("source", &web.url(from))]).await;
        let failed = settled(&owner, &path).await;
        assert!(failed.body.contains("Nothing was installed"), "{from}: {}", failed.body);
        is_harmless(from, &failed);
    }
    for typed in [HOSTILE.to_owned(), format!("https://localhost/{HOSTILE}"), format!("oci://{HOSTILE}")] {
        let answer = owner.change("/install", "/install/fetch", &[("source", &typed)]).await.unwrap();
        is_harmless(&typed, &answer);
    }
    for (path, page) in &crawl(&owner, &["/", "/install", "/audit"]).await.unwrap() {
        is_harmless(path, page);
    }
}

#[tokio::test]
async fn no_page_has_a_secret() {
    let (home, account) = home().await;
    let schema = "[settings.key]\ntype = \"secret\"\ndescription = \"the key\"\n[settings.pass]\ntype = \"credential\"\n\
                  description = \"the password\"\nhosts = [\"https://api.example.org\"]\n";
    let bytes = with_manifest(&built("echo").unwrap().bytes().unwrap(), |text| format!("{text}\n{schema}")).unwrap();
    let [pass, command] = ["pass", "command"].map(|what| format!("canary-{what}-{:016x}", rand::random::<u64>()));
    let entry = home.install_bytes("echo", &bytes).unwrap().grant("messages.read", &["*"]);
    let entry = entry.grant("messages.send", &["*"]).grant("rooms.send", &["*"]);
    let house = House::open_as_it_is(home, account, &Policy::default().with("echo", entry)).await;
    let owner = house.log_in("owner").await;
    for (name, secret) in [("pass", &pass), ("key", &command)] {
        let given = house.home.run_with(&["plugin", "config", "echo", name], &format!("{secret}\n")).await.unwrap();
        ended(given, 0);
    }
    let (_, cookie) = owner.cookie.clone().unwrap();
    let waiting = house.window.link(&house.home, "owner").await.unwrap();
    let all = all_pages(&owner).await;
    let secrets = [&pass, &command, &house.account.password, &cookie, &waiting];
    for (path, page) in &all {
        for secret in secrets {
            assert!(!page.body.contains(secret.as_str()), "a secret is on {path}: {}", page.body);
            assert!(page.headers.iter().all(|(_, value)| !value.contains(secret.as_str())), "{path}: {page:?}");
        }
    }
    let plugin = &all["/plugins/echo"].body;
    assert!(plugin.contains("key") && plugin.contains("pass"), "{plugin}");
    let log = house.window.log().all().join("\n");
    assert!(!secrets.iter().any(|secret| log.contains(secret.as_str())), "{log}");
    // Nor does a page of a stopped host, which says why it shows nothing.
    drop(house.host);
    let stopped = owner.get("/").await.unwrap();
    assert!([200, 503].contains(&stopped.status), "{stopped:?}");
    assert!(!secrets.iter().any(|secret| stopped.body.contains(secret.as_str())), "{stopped:?}");
}

/// The counts of the host are on its disk. Without it, the page must not say that a plugin has no schedules, webhooks and log.
#[tokio::test]
async fn the_page_of_a_plugin_without_a_host_has_its_counts_and_says_what_is_not_known() {
    let house = House::open().await;
    let owner = house.log_in("owner").await;
    // To show the counts, the host writes them.
    let running = text_of(&owner.page("/plugins/echo").await.unwrap().body);
    assert!(running.contains("It has none.") && !running.contains("no host runs"), "{running}");
    drop(house.host);
    let deadline = Instant::now() + SOON;
    let mut page = owner.get("/plugins/echo").await.unwrap();
    // It may be stopping still.
    while page.status != 200 && Instant::now() < deadline {
        tokio::time::sleep(A_MOMENT).await;
        page = owner.get("/plugins/echo").await.unwrap();
    }
    let text = text_of(&page.body);
    let (_, did) = text.split_once("What it did").unwrap();
    assert!(did.contains("starts") && !did.contains("Nothing was counted yet"), "{text}");
    assert_eq!(did.matches("Not known: no host runs.").count(), 3, "schedules, webhooks and log: {text}");
}
