//! `files`: uploads, and the files of messages (rows 144–146 of `tests/conformance.toml`).

use parlor_tests::client::Client;
use parlor_tests::component::with_credentials_for;
use parlor_tests::plugins;
use parlor_tests::policy::Entry;
use parlor_tests::web::Web;
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_xmpp::Stanza;

use crate::test_host::{Plan, SOON, TestHost, friend, granted, software};
use crate::trace;

const ID: &str = "sharer";
/// A credential of the plugin.
const TOKEN: &str = "canary-8d1f/+token";
/// Much more than the host may hold for a plugin.
const MUCH: usize = 100 << 20;
/// How much of it is sent and read by one order.
const STEP: usize = 10 << 20;

async fn host() -> TestHost {
    let plan = Plan::new().await.with_files().await;
    let wide = |entry| granted(entry).limit("http_bytes_per_second", "1024 MiB").limit("cpu_share", 1.0);
    let host = plan.caller(ID, wide).start().await;
    knows_its_uploads(&host).await;
    host
}

/// Waits until the server's service for uploads has answered. It is asked once the server has named it, and none of the
/// host's promises waits for that.
pub(crate) async fn knows_its_uploads(host: &TestHost) {
    let wait = async {
        while host.shared().snapshot().known.uploads().is_none() {
            tokio::time::sleep(crate::test_host::A_MOMENT).await;
        }
    };
    assert!(
        timeout(SOON, wait).await.is_ok(),
        "{} names no service for uploads within {SOON:?}\n{}",
        software(),
        trace::tail(host.name())
    );
}

/// Uploads a number of bytes of one letter, and returns the file.
async fn upload(host: &TestHost, size: usize) -> Value {
    let args = json!({ "name": "a b.png", "media-type": "image/PNG", "size": size });
    let transfer = host.call(ID, "files.upload", args).await.ok();
    // Each call has a separate time limit.
    for at in (0..size).step_by(STEP) {
        let part = json!({ "transfer": transfer, "size": STEP.min(size - at), "fill": "a" });
        host.call(ID, "files.write", part).await.ok();
    }
    host.call(ID, "files.finish", json!({ "transfer": transfer })).await.ok()
}

fn case(answer: &Result<Value, Value>) -> &str {
    answer.as_ref().expect_err("an error")["case"].as_str().unwrap()
}

/// Sends a message with this file outside of XMPP, as clients do.
pub(crate) async fn share(friend: &mut Client, host: &TestHost, url: &str) {
    friend.share(&host.account().jid, url).await.unwrap();
}

/// Rows 144 and 145.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_uploaded_sent_and_read_by_whoever_gets_it() {
    let host = host().await;
    let mut juliet = friend("juliet").await;
    let to = juliet.jid().to_bare().to_string();
    let file = upload(&host, 200_000).await;
    assert_eq!(
        (&file["name"], &file["media-type"], &file["size"]),
        (&json!("a b.png"), &json!("image/png"), &json!(200_000))
    );
    let url = file["url"].as_str().unwrap();
    assert!(url.starts_with("https://localhost:"), "{url}");
    // As a message, it has the address as its body and in both forms.
    let own = host.listen(ID, "messageSend").await;
    let args = json!({ "jid": to, "extensions": { "files": [file.clone()] } });
    host.call(ID, "chats.send", args).await.ok();
    let (sender, expected) = (host.account().jid.clone(), url.to_owned());
    let got = juliet.wait_for("the file", SOON, |stanza| {
        let Stanza::Message(message) = stanza else { return None };
        let is_it = message.from.as_ref().is_some_and(|from| from.to_bare() == sender);
        (is_it && message.bodies.values().any(|body| *body == expected)).then(|| message.clone())
    });
    let got = got.await.unwrap();
    let texts: Vec<String> = got.payloads.iter().map(String::from).collect();
    let texts = texts.concat();
    for part in
        ["jabber:x:oob", "urn:xmpp:sfs:0", "<media-type>image/png</media-type>", "<size>200000</size>", "a b.png"]
    {
        assert!(texts.contains(part), "no {part} in {texts}");
    }
    // The plugin gets its own message, by which it could have made the host fetch anything.
    assert_eq!(host.heard(ID, own).await["payload"]["message"]["extensions"]["files"][0]["url"], url);
    assert_eq!(case(&host.call(ID, "files.open", json!({ "url": url })).await.result), "denied");
    let heard = host.listen(ID, "message").await;
    share(&mut juliet, &host, url).await;
    let event = host.heard(ID, heard).await;
    assert_eq!(event["payload"]["message"]["extensions"]["files"][0]["url"], url, "{event}");
    let opened = host.call(ID, "files.open", json!({ "url": url })).await.ok();
    assert_eq!(opened["size"], 200_000);
    let read = host.call(ID, "files.read", json!({ "transfer": opened["transfer"], "drain": true })).await.ok();
    assert_eq!(read["total"], 200_000);
    assert!(read["largest"].as_u64().unwrap() <= 64 << 10, "{read}");
    let again = host.call(ID, "files.read", json!({ "transfer": opened["transfer"] })).await.result;
    assert_eq!(case(&again), "not-found");
    // A transfer that is closed before its end is not read further.
    let opened = host.call(ID, "files.open", json!({ "url": url })).await.ok();
    host.call(ID, "files.close", json!({ "transfer": opened["transfer"] })).await.ok();
    let closed = host.call(ID, "files.read", json!({ "transfer": opened["transfer"] })).await.result;
    assert_eq!(case(&closed), "not-found");
    host.stop().await;
}

/// Row 144: what was granted, and what a file can be called.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_over_the_grant_or_of_another_kind_is_not_begun() {
    let plan = Plan::new().await.with_files().await;
    let entry = |entry: Entry| granted(entry).grant("files.send", &["image/* 1 KiB", "text/plain"]).limit("files", 2);
    let host = plan.caller(ID, entry).start().await;
    knows_its_uploads(&host).await;
    let upload = async |name: &str, kind: &str, size: u64| {
        let args = json!({ "name": name, "media-type": kind, "size": size });
        host.call(ID, "files.upload", args).await.result
    };
    for (kind, size) in [("image/png", 1_025), ("video/mp4", 1), ("application/octet-stream", 1)] {
        assert_eq!(case(&upload("a", kind, size).await), "denied", "{kind} {size}");
    }
    for (name, kind) in [
        ("", "text/plain"),
        ("../a", "text/plain"),
        ("a\\b", "text/plain"),
        ("a\nb", "text/plain"),
        ("a", "text"),
        ("a", "*/*"),
    ] {
        assert_eq!(case(&upload(name, kind, 1).await), "invalid", "{name:?} {kind}");
    }
    assert_eq!(case(&upload("a", "text/plain", u64::MAX).await), "unsupported", "the server takes none so large");
    let first = upload("a", "image/png", 1_024).await.unwrap();
    let more = host.call(ID, "files.write", json!({ "transfer": first, "part": "x".repeat(1_025) })).await.result;
    assert_eq!(case(&more), "invalid");
    host.call(ID, "files.write", json!({ "transfer": first, "part": "x" })).await.ok();
    assert_eq!(
        case(&host.call(ID, "files.finish", json!({ "transfer": first })).await.result),
        "invalid",
        "bytes are missing"
    );
    upload("b", "text/plain", 1).await.unwrap();
    assert_eq!(case(&upload("c", "text/plain", 1).await), "over-limit");
    host.call(ID, "files.close", json!({ "transfer": first })).await.ok();
    upload("c", "text/plain", 1).await.unwrap();
    host.stop().await;
}

/// Row 145: an address that a stranger sends leads nowhere but where the owner lets it.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_in_a_message_is_dialed_only_where_anybody_may() {
    let host = host().await;
    let mut juliet = friend("juliet").await;
    let heard = host.listen(ID, "message").await;
    for (url, expected) in [
        ("http://example.org/a", "protocol"),
        ("https://127.0.0.1:1/a", "denied"),
        ("https://localhost:1/a", "denied"),
        ("https://169.254.169.254/latest/meta-data", "denied"),
        ("https://[::ffff:127.0.0.1]:1/a", "denied"),
    ] {
        share(&mut juliet, &host, url).await;
        host.heard(ID, heard).await;
        let opened = host.call(ID, "files.open", json!({ "url": url })).await.result;
        assert_eq!(case(&opened), expected, "{url}: {opened:?}");
    }
    for url in ["file:///etc/passwd", "javascript:x", "https://", "https://user@example.org/"] {
        share(&mut juliet, &host, url).await;
        let event = host.heard(ID, heard).await;
        assert!(event["payload"]["message"]["extensions"]["files"].as_array().is_none_or(Vec::is_empty), "{event}");
    }
    host.stop().await;
}

/// Row 145. A request of the plugin may have left its credential at the server of the file.
#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_of_a_file_takes_no_credential_to_another_server() {
    let web = Web::start().await.unwrap();
    let other = Web::start_as(web.certificate()).await.unwrap();
    let caller = plugins::built("caller").unwrap().bytes().unwrap();
    let caller = with_credentials_for(&caller, &web.host()).unwrap();
    let plan = Plan::new().await.trusting(web.certificate()).with_files_at(&[web.port(), other.port()]);
    let token = plan.keep_secret("token", TOKEN);
    let given = |entry: Entry| granted(entry).set("name", ID).set("pass", token);
    let host = plan.bytes(ID, &caller, given).start().await;
    let mut juliet = friend("juliet").await;
    let heard = host.listen(ID, "message").await;
    let encoded = TOKEN.replace('/', "%2F").replace('+', "%2B");
    other.put("/file", "hello");
    web.redirect("/moved", &other.url("/file"));
    web.redirect("/query", &other.url(&format!("/file?key={encoded}")));
    web.redirect("/path", &other.url(&format!("/{TOKEN}/file")));
    let mut opened = Vec::new();
    for path in ["/moved", "/query", "/path"] {
        let url = web.url(path);
        share(&mut juliet, &host, &url).await;
        host.heard(ID, heard).await;
        opened.push(host.call(ID, "files.open", json!({ "url": url })).await.result);
    }
    let file = opened[0].as_ref().unwrap();
    let read = host.call(ID, "files.read", json!({ "transfer": file["transfer"], "drain": true })).await.ok();
    assert_eq!((&file["size"], &read["total"]), (&json!(5), &json!(5)));
    for refused in &opened[1..] {
        assert_eq!(case(refused), "denied", "{refused:?}");
        assert_eq!(refused.as_ref().unwrap_err()["permission"], "files.read", "{refused:?}");
        assert!(!format!("{refused:?}").contains("canary"), "{refused:?}");
    }
    // The other server got the request without a credential alone, and nobody reads one in the log.
    let sent = other.requests();
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert!(sent[0].starts_with("GET /file HTTP/1.1\r\n") && !sent[0].contains("authorization"), "{sent:?}");
    assert!(!web.requests().concat().contains("canary"));
    assert!(!trace::tail(host.name()).contains("canary"));
    host.stop().await;
}

/// Row 144. The owner does not list the address of this server, so nothing is sent there.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_fails_before_its_last_part_says_why() {
    let host = Plan::new().await.caller(ID, granted).start().await;
    knows_its_uploads(&host).await;
    let args = json!({ "name": "a.png", "media-type": "image/png", "size": MUCH });
    let transfer = host.call(ID, "files.upload", args).await.ok();
    let part = json!({ "transfer": transfer, "part": "x" });
    let mut written = Ok(Value::Null);
    // The first parts are taken before the request has failed.
    for _ in 0..1_000 {
        written = host.call(ID, "files.write", part.clone()).await.result;
        if written.is_err() {
            break;
        }
        tokio::time::sleep(crate::test_host::A_MOMENT).await;
    }
    assert_eq!(case(&written), "denied", "{written:?}");
    assert_eq!(written.unwrap_err()["permission"], "files.send");
    host.stop().await;
}

/// Row 146. `host_memory` is 16 MiB: the host's buffers for them are counted.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_mebibytes_go_both_ways() {
    let host = host().await;
    let mut juliet = friend("juliet").await;
    let heard = host.listen(ID, "message").await;
    let file = upload(&host, MUCH).await;
    let url = file["url"].as_str().unwrap();
    share(&mut juliet, &host, url).await;
    host.heard(ID, heard).await;
    let opened = host.call(ID, "files.open", json!({ "url": url })).await.ok();
    let mut total = 0;
    loop {
        let args = json!({ "transfer": opened["transfer"], "drain": true, "size": STEP });
        let read = host.call(ID, "files.read", args).await.ok()["total"].as_u64().unwrap();
        total += read;
        if read < STEP as u64 {
            break;
        }
    }
    assert_eq!(total, MUCH as u64);
    host.stop().await;
}
