//! Pages show the words of strangers as words, and no secret.

use std::time::Instant;

use parlor_tests::client::Client;
use parlor_tests::component::with_manifest;
use parlor_tests::plugins::built;
use parlor_tests::policy::Policy;
use parlor_tests::window::{Answer, text_of};
use xmpp_parsers::iq::Iq;

use super::super::{SOON, ended, home, juliet};
use super::{House, all_pages};
use crate::test_host::{A_MOMENT, prosody};

/// The words of a stranger who wants to take over the owner's browser, or to have the page read otherwise.
const HOSTILE: &str = "x\"'><script>stolen(1)</script><img src=x onerror=stolen(2)>&lt;b&gt;";
/// How it stands in the HTML of a page, as far as nothing follows from an apostrophe.
const HARMLESS: &str = "&gt;&lt;script&gt;stolen(1)&lt;/script&gt;&lt;img src=x onerror=stolen(2)&gt;&amp;lt;b&amp;gt;";

/// Has the account kicked out of a room, by somebody and for a reason with these words.
async fn kick(juliet: &mut Client, house: &House) -> String {
    let room = prosody().await.fresh_room();
    juliet.join(&room, &format!("Juliet {HOSTILE}"), SOON).await.unwrap();
    juliet.unlock(&room, SOON).await.unwrap();
    ended(house.home.run(&["rooms", "join", room.as_str(), "--nick", "Bot"]).await.unwrap(), 0);
    let reason = HOSTILE.replace('&', "&amp;").replace('<', "&lt;");
    let item = format!("<item nick='Bot' role='none'><reason>{reason}</reason></item>");
    let query = format!("<query xmlns='http://jabber.org/protocol/muc#admin'>{item}</query>");
    let set = Iq::Set { from: None, to: Some(room.clone().into()), id: String::new(), payload: query.parse().unwrap() };
    juliet.ask(set, SOON).await.unwrap();
    let line = "the account was put out of a room";
    house.host.wait_count(line, &[("room", room.as_str())], 1, SOON).await.unwrap();
    room.to_string()
}

/// Checks that a page has no part of the code that would run.
#[track_caller]
fn is_harmless(path: &str, page: &Answer) {
    let body = &page.body;
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
    let owner = house.log_in("owner").await;
    let said = ended(house.home.run(&["plugin", "config", "echo", "room_prefix", HOSTILE]).await.unwrap(), 0);
    assert!(!said.stdout.is_empty());
    let mut all = all_pages(&owner).await;
    for odd in
        ["/plugins/%3Cscript%3Estolen(1)", "/audit?plugin=%3Cscript%3E", "/explain?plugin=echo&what=%3Cscript%3E"]
    {
        all.insert(odd.to_owned(), owner.get(odd).await.unwrap());
    }
    for (path, page) in &all {
        is_harmless(path, page);
    }
    let shown = |begins: &str| {
        let found: Vec<_> = all.iter().filter(|(path, _)| path.starts_with(begins)).collect();
        found.iter().any(|(_, page)| page.body.contains(HARMLESS))
    };
    for page in ["/plugins/echo", "/audit", "/rooms", "/accounts/show"] {
        assert!(shown(page), "nobody sees on {page} what a stranger wrote: {:#?}", all.keys());
    }
    let plugin = &all["/plugins/echo"].body;
    assert!(text_of(plugin).contains(HOSTILE), "a person does not see it as it was written: {plugin}");
    assert!(plugin.contains("class=\"stranger\"") && plugin.contains("<bdi>"), "{plugin}");
    assert!(all.values().any(|page| page.body.contains(&room)), "{room} is on no page");
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
