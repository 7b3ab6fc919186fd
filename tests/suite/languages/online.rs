//! The example plugins that use the web, as they were built, against servers on loopback and a real XMPP server.
//!
//! The tests that build an example call these functions, so that it is built once. The plugins in Go and Rust ask servers
//! that their sources name. The host reaches these through a proxy, which leads each name to a server of the test.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use jid::BareJid;
use parlor_tests::certificate::Certificate;
use parlor_tests::client::Client;
use parlor_tests::folder::Folder;
use parlor_tests::host::{Home, Server};
use parlor_tests::policy::{Entry, Policy};
use parlor_tests::server::ROOMS;
use parlor_tests::tunnel::Tunnel;
use parlor_tests::web::Web;
use parlor_tests::webhooks::{self, github, post_with};
use parlor_tests::{memories, ports};
use serde_json::json;

use crate::files::{knows_its_uploads, share};
use crate::test_host::{FULL, Plan, SOON, friend, granted, prosody, running};
use crate::trace;

/// The timeout of a start of the program with a plugin that it has to compile.
const COMPILED: Duration = Duration::from_mins(3);

/// A feed with these entries, the newest first.
fn feed(titles: &[&str]) -> String {
    let item = |title: &&str| format!("<item><title>{title}</title><guid>{title}</guid></item>");
    let items: Vec<String> = titles.iter().map(item).collect();
    format!("<rss version=\"2.0\"><channel><title>Garden News</title>{}</channel></rss>", items.concat())
}

/// Has the plugin in Python fetch a feed from a server that answers with 304 while it is the same, also after a restart.
pub(super) async fn feeds_are_fetched_if_they_changed(feeds: &[u8]) {
    let web = Web::start().await.unwrap();
    let url = web.url("/feed.xml");
    web.put_tagged("/feed.xml", "\"v1\"", feed(&["Peas"]));
    let grants = |entry: Entry| {
        let entry = entry.grant("http.fetch", &[&web.url("/"), &web.address()]).grant("messages.send", &["*"]);
        entry.grant("storage", &["4 MiB"]).set("everybody", true)
    };
    let host = Plan::new().await.trusting(web.certificate()).bytes("feeds", feeds, grants).start().await;
    running(&host, "feeds").await;
    let mut juliet = friend("juliet").await;
    let bot = host.account().jid.clone();
    let knows = |tag: &str| {
        let requests = web.requests();
        let last = requests.last().unwrap();
        assert!(last.contains(&format!("if-none-match: {tag}\r\n")), "{last}");
    };
    juliet.chat(bot.clone(), &format!("!feed add {url}")).await.unwrap();
    juliet.wait_body(&bot, "Added Garden News.", SOON).await.unwrap();
    assert!(!web.requests().concat().contains("if-none-match"), "nothing was known of it before");
    juliet.chat(bot.clone(), "!feed check").await.unwrap();
    juliet.wait_body(&bot, "Nothing new.", SOON).await.unwrap();
    knows("\"v1\"");
    web.put_tagged("/feed.xml", "\"v2\"", feed(&["Beans", "Peas"]));
    juliet.chat(bot.clone(), "!feed check").await.unwrap();
    juliet.wait_body(&bot, "Garden News: Beans", SOON).await.unwrap();
    knows("\"v1\"");
    let host = host.restart().await;
    running(&host, "feeds").await;
    juliet.chat(bot.clone(), "!feed check").await.unwrap();
    juliet.wait_body(&bot, "Nothing new.", SOON).await.unwrap();
    knows("\"v2\"");
    assert_eq!(web.requests().len(), 4, "{:?}", web.requests());
    host.stop().await;
}

/// The secrets that the plugin in TypeScript has for GitHub, GitLab and Gitea.
const SECRET: &str = "canary-secret-of-github";
const TOKEN: &str = "canary-token-of-gitlab";
const OTHER: &str = "canary-secret-of-gitea";

/// Sends the plugin in TypeScript events that forges signed. It tells a room that it enters for that.
pub(super) async fn signed_events_are_told_to_a_room(forge: &[u8]) {
    let issue = "https://github.com/juliet/garden/issues/5";
    let body = json!({
        "action": "opened",
        "issue": { "number": 5, "title": "Slugs!", "html_url": issue },
        "repository": { "full_name": "juliet/garden" },
        "sender": { "login": "romeo" },
    });
    let body = body.to_string();
    let server = prosody().await;
    let room: BareJid = format!("forge{:016x}@{ROOMS}", rand::random::<u64>()).parse().unwrap();
    let mut juliet = friend("juliet").await;
    juliet.join(&room, "juliet", SOON).await.unwrap();
    juliet.unlock(&room, SOON).await.unwrap();
    let mut home = Home::new().unwrap();
    let way = Server::StartTls(server.ports().starttls, server.certificate());
    home.add_account("main", &server.fresh_account("forge").unwrap(), way).unwrap();
    home.set_web("listen", format!("127.0.0.1:{}", ports::free().unwrap())).unwrap();
    let place = room.to_string();
    let secrets = [("github_secret", SECRET), ("gitlab_token", TOKEN), ("gitea_secret", OTHER)];
    let entry = home.install_bytes("forge", forge).unwrap().set("room", place.as_str());
    let entry = secrets.into_iter().fold(entry, |entry, (name, secret)| {
        let kept = home.keep_secret(name, secret).unwrap();
        entry.set(name, kept)
    });
    let entry = entry.grant_whole("webhooks.receive").grant("storage", &["64 KiB"]);
    let entry = entry.grant("rooms.send", &[&place]).grant("rooms.join", &[&place]);
    home.set_policy(&Policy::default().with("forge", entry)).unwrap();
    let mut host = home.start().unwrap();
    let at: SocketAddr =
        host.wait("webhooks are listened for", &[], COMPILED).await.unwrap().get("at").parse().unwrap();
    host.wait_count("plugin running", &[], 1, COMPILED).await.unwrap();
    let shown = home.run(&["plugin", "hooks", "forge", "--json"]).await.unwrap().json().unwrap();
    let paths = webhooks::paths(&shown[0]);
    let path = &paths["github"];
    let event = "x-github-event: issues\r\ncontent-type: application/json\r\n";
    for (secret, expected) in [("another secret", 401), (SECRET, 202)] {
        let lines = format!("{event}{}", github(secret, &body));
        assert_eq!(post_with(at, path, &lines, &body).await.unwrap(), expected);
    }
    let told = format!("[juliet/garden] romeo opened issue #5: Slugs! {issue}");
    juliet.wait_body(&room, &told, SOON).await.unwrap();
    // The forged one was told to nobody: the next event comes at once.
    let second = body.replace("opened", "closed");
    let lines = format!("{event}{}", github(SECRET, &second));
    assert_eq!(post_with(at, path, &lines, &second).await.unwrap(), 202);
    let said = juliet.wait_text("the next event", &room, SOON, |text| Some(text.to_owned())).await.unwrap();
    assert_eq!(said, told.replace("opened", "closed"));
    other_forges(at, &paths, &mut juliet, &room).await;
    let secrets = secrets.map(|(_, secret)| secret);
    assert_eq!(memories::found(host.id(), &secrets).unwrap(), [""; 0], "in the memory of plugins");
    host.stop(SOON).await.unwrap();
    let log = host.log().all().concat();
    assert!(!secrets.iter().any(|secret| log.contains(secret)), "{log}");
}

/// Sends the same plugin an event of GitLab, which has the secret itself, and one that Gitea signed; before each, a forged one.
async fn other_forges(at: SocketAddr, paths: &BTreeMap<String, String>, juliet: &mut Client, room: &BareJid) {
    let gitlab = json!({
        "object_kind": "issue",
        "user": { "username": "romeo" },
        "object_attributes": { "iid": 6, "title": "Snails!", "url": "https://gitlab.com/6", "action": "open" },
        "project": { "path_with_namespace": "juliet/garden", "web_url": "https://gitlab.com/juliet/garden" },
    });
    let gitea = json!({
        "action": "reopened",
        "number": 7,
        "issue": { "number": 7, "title": "Moles!", "html_url": "https://git.example.org/7", "pull_request": null },
        "repository": { "full_name": "juliet/garden" },
        "sender": { "login": "romeo" },
    });
    let (gitlab, gitea) = (gitlab.to_string(), gitea.to_string());
    let token = |secret: &str| format!("x-gitlab-event: Issue Hook\r\nx-gitlab-token: {secret}\r\n");
    let signed = |secret: &str| format!("x-gitea-event: issues\r\n{}", webhooks::gitea(secret, &gitea));
    for (forge, lines, body, told) in [
        ("gitlab", [token(OTHER), token(TOKEN)], &gitlab, "romeo opened issue #6: Snails! https://gitlab.com/6"),
        ("gitea", [signed(TOKEN), signed(OTHER)], &gitea, "romeo reopened issue #7: Moles! https://git.example.org/7"),
    ] {
        for (lines, expected) in lines.iter().zip([401, 202]) {
            assert_eq!(post_with(at, &paths[forge], lines, body).await.unwrap(), expected, "{forge}");
        }
        let said = juliet.wait_text("the next event", room, SOON, |text| Some(text.to_owned())).await.unwrap();
        assert_eq!(said, format!("[juliet/garden] {told}"));
    }
}

/// Has the plugin in Go ask its service with a key, through a proxy that leads to a server of this test.
pub(super) async fn the_weather_is_asked_for_with_a_key(weather: &[u8]) {
    const SERVICE: &str = "api.openweathermap.org";
    let key = format!("canary{:016x}", rand::random::<u64>());
    let folder = Folder::new().unwrap();
    let certificate = Certificate::make_for(&folder, &[SERVICE]).unwrap();
    let web = Web::start_as(&certificate).await.unwrap();
    let tunnel = Tunnel::to(web.port()).await.unwrap();
    let report = json!({ "name": "Verona", "main": { "temp": 21.4 }, "weather": [{ "description": "clear sky" }] });
    web.put(&format!("/data/2.5/weather?units=metric&q=Verona&appid={key}"), report.to_string());
    let plan = Plan::new().await.trusting(&certificate).through_proxy(&tunnel.url());
    let kept = plan.keep_secret("key", &key);
    let scope = format!("GET https://{SERVICE}/data/2.5/weather");
    let grants =
        |entry: Entry| entry.grant("http.fetch", &[&scope]).grant("messages.send", &["*"]).set("api_key", kept);
    let host = plan.bytes("weather", weather, grants).start().await;
    running(&host, "weather").await;
    let mut juliet = friend("juliet").await;
    let bot = host.account().jid.clone();
    juliet.chat(bot.clone(), "!weather Verona").await.unwrap();
    juliet.wait_body(&bot, "Verona: 21 \u{b0}C, clear sky", SOON).await.unwrap();
    juliet.chat(bot.clone(), "!weather Nowhere").await.unwrap();
    juliet.wait_body(&bot, "The weather service does not know Nowhere.", SOON).await.unwrap();
    let requests = web.requests();
    assert_eq!(requests.len(), 2, "{requests:?}");
    for request in requests {
        assert!(request.contains(&key) && request.contains(&format!("\r\nhost: {SERVICE}\r\n")), "{request}");
    }
    assert_eq!(memories::found(std::process::id(), &[key.as_str()]).unwrap(), [""; 0], "in the memory of plugins");
    assert!(!trace::tail(host.name()).contains(&key));
    host.stop().await;
}

/// The plugin in Rust fetches a picture, and uploads it to the account's server in the same parts.
#[tokio::test(flavor = "multi_thread")]
async fn a_picture_is_fetched_and_uploaded_to_the_accounts_server() {
    const SERVICE: &str = "robohash.org";
    let folder = Folder::new().unwrap();
    let certificate = Certificate::make_for(&folder, &[SERVICE]).unwrap();
    let web = Web::start_as(&certificate).await.unwrap();
    let tunnel = Tunnel::to(web.port()).await.unwrap();
    let picture: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    let answer = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: image/png\r\ncontent-length: ";
    let answer = format!("{answer}{}\r\n\r\n", picture.len());
    web.put_raw("/Juliet", [answer.as_bytes(), &picture].concat());
    let plan = Plan::new().await.with_files().await.through_proxy(&tunnel.url());
    let plan = plan.trusting_each(&[&certificate, prosody().await.certificate()]);
    let granted_to_share = |entry: Entry| {
        let entry = entry
            .grant("http.fetch", &["GET https://robohash.org/"])
            .grant("messages.send", &["*"])
            .grant("rooms.send", &["*"]);
        entry.grant("files.send", &["image/png 2 MiB"])
    };
    let host = plan.caller(FULL, granted).plugin("share", "share", granted_to_share).start().await;
    knows_its_uploads(&host).await;
    running(&host, "share").await;
    let mut juliet = friend("juliet").await;
    let bot = host.account().jid.clone();
    juliet.chat(bot.clone(), "!robot Juliet").await.unwrap();
    let url = juliet.wait_text("the picture", &bot, SOON, |text| Some(text.to_owned())).await.unwrap();
    let at_server = format!("https://localhost:{}/", prosody().await.ports().files);
    assert!(url.starts_with(&at_server) && url.ends_with("/Juliet.png"), "{url}");
    assert_eq!(web.requests().len(), 1, "{:?}", web.requests());
    // Another plugin reads it, once juliet has sent it back.
    let heard = host.listen(FULL, "message").await;
    share(&mut juliet, &host, &url).await;
    host.heard(FULL, heard).await;
    let opened = host.call(FULL, "files.open", json!({ "url": url })).await.ok();
    assert_eq!(opened["size"], picture.len());
    let read = host.call(FULL, "files.read", json!({ "transfer": opened["transfer"], "drain": true })).await.ok();
    let checksum = picture
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    assert_eq!((&read["total"], &read["checksum"]), (&json!(picture.len()), &json!(format!("{checksum:016x}"))));
    host.stop().await;
}
