//! Attacks on files: uploads to other places than the account's server, and addresses that lead elsewhere.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use parlor_tests::peer::Request;
use parlor_tests::policy::Entry;
use parlor_tests::web::Web;
use serde_json::{Value, json};
use xmpp_parsers::minidom::Element;

use crate::case::{Case, case};
use crate::cpu::remove;
use crate::report::short;
use crate::stage::{JULIET, MALLORY, Plan, SOON, Stage};
use crate::trial::Trial;
use crate::web::servers::Server;
use crate::web::{fails, fast};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(95, "an upload past its limit or to another place", uploads),
        case!(96, "a file that no message carried", unseen_files),
        case!(113, "a file whose server redirects elsewhere", redirected_files),
    ]
}

/// The service that takes uploads at the scripted server (XEP-0363).
const SERVICE: &str = "upload.localhost";
/// The namespace of the service.
const UPLOAD: &str = "urn:xmpp:http:upload:0";

/// The answer of the service to a request for a place, as XML.
type Slot = Arc<Mutex<String>>;

/// Returns a place with this URL for the upload, and with these headers.
fn slot(put: &str, get: &str, headers: &str) -> String {
    format!("<slot xmlns='{UPLOAD}'><put url='{put}'>{headers}</put><get url='{get}'/></slot>")
}

/// Answers as a server with such a service.
fn service(slot: Slot) -> impl FnMut(&Request) -> Option<Vec<Element>> + Send + 'static {
    move |request| {
        let to = request.to.as_ref().map(ToString::to_string).unwrap_or_default();
        let payload = match (to.as_str(), request.payload.ns().as_str()) {
            ("localhost", "http://jabber.org/protocol/disco#info") => {
                "<query xmlns='http://jabber.org/protocol/disco#info'>\
                 <feature var='http://jabber.org/protocol/disco#items'/></query>"
                    .to_owned()
            }
            ("localhost", "http://jabber.org/protocol/disco#items") => {
                format!("<query xmlns='http://jabber.org/protocol/disco#items'><item jid='{SERVICE}'/></query>")
            }
            (SERVICE, "http://jabber.org/protocol/disco#info") => format!(
                "<query xmlns='http://jabber.org/protocol/disco#info'><feature var='{UPLOAD}'/>\
                 <x xmlns='jabber:x:data' type='result'>\
                 <field var='FORM_TYPE' type='hidden'><value>{UPLOAD}</value></field>\
                 <field var='max-file-size'><value>1000000</value></field></x></query>"
            ),
            (SERVICE, UPLOAD) => slot.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            _ => return None,
        };
        let payload = payload.parse::<Element>().ok()?;
        Some(vec![Element::from(request.result(Some(payload)))])
    }
}

/// Plans a host that may send files to this server and fetch them from there, with a plugin that may do so.
fn plan(web: &Web, change: impl FnOnce(Entry) -> Entry) -> Result<Plan> {
    let mut plan = Plan::new()?;
    plan.home.set_web("ca_file", web.certificate().certificate_file.display().to_string())?;
    let port = web.host().replace("localhost:", "");
    plan.home.set_web("local_files", ["127.0.0.1", "[::1]"].map(|host| format!("{host}:{port}")).to_vec())?;
    plan.caller(|entry| change(fast(entry)))
}

/// Has the plugin begin an upload. Returns the answer.
async fn begin(stage: &mut Stage, name: &str, kind: &str, size: u64) -> Result<Value> {
    stage.call("files.upload", &json!({ "name": name, "media-type": kind, "size": size })).await
}

/// Has the plugin begin an upload that must be granted a place. Returns the arguments for further calls.
async fn begun(stage: &mut Stage, size: u64) -> Result<Value> {
    let answer = begin(stage, "a.txt", "text/plain", size).await?;
    ensure!(answer["ok"].is_u64(), "the upload does not begin: {}", short(&answer));
    Ok(json!({ "transfer": answer["ok"] }))
}

/// Writes this text to a file that is uploaded. Returns the answer.
async fn write(stage: &mut Stage, file: &Value, part: &str) -> Result<Value> {
    stage.call("files.write", &json!({ "transfer": file["transfer"], "part": part })).await
}

async fn uploads(trial: &mut Trial) -> Result<String> {
    let (web, lure) = (Web::start().await?, Server::lure().await?);
    web.put("/up", "");
    let get = web.url("/up");
    let place = Slot::new(Mutex::new(slot(&get, &get, "")));
    let grants = |entry: Entry| entry.grant("files.send", &["image/* 1 KiB", "text/plain"]);
    let stage = trial.start(plan(&web, grants)?.answering(service(Arc::clone(&place)))).await?;
    stage.allow(&format!("iq:{SERVICE}"));
    // The host discovers the service some time after it has connected.
    let deadline = Instant::now() + SOON;
    let first = loop {
        let answer = begin(stage, "a.txt", "text/plain", 0).await?;
        if answer["ok"].is_u64() {
            break json!({ "transfer": answer["ok"] });
        }
        ensure!(Instant::now() < deadline, "the host does not find the service: {}", short(&answer));
        stage.answers().await?;
    };
    stage.call("files.finish", &first).await?;
    for (name, kind, size, case) in [
        ("a.png", "image/png", 1_025, "denied"),
        ("a.mp4", "video/mp4", 1, "denied"),
        ("a", "application/octet-stream", 1, "denied"),
        ("a.txt", "text/plain; charset=utf-8", 1, "invalid"),
        ("a.txt", "*/*", 1, "invalid"),
        ("a.txt", "text/plain\r\nevil: 1", 1, "invalid"),
        ("../a.txt", "text/plain", 1, "invalid"),
        ("a\r\nevil", "text/plain", 1, "invalid"),
        ("", "text/plain", 1, "invalid"),
        ("a.txt", "text/plain", 1_000_001, "unsupported"),
        ("a.txt", "text/plain", u64::MAX, "unsupported"),
    ] {
        let answer = begin(stage, name, kind, size).await?;
        ensure!(answer["err"]["case"] == case, "{name:?} of {kind} with {size} bytes: {}", short(&answer));
    }
    let before = web.requests().len();
    wrong_sizes(stage).await?;
    ensure!(web.requests().len() == before, "something was uploaded: {:?}", web.requests());
    let places = other_places(stage, &web, &lure, &place).await?;
    refused_early(stage, &web, &place).await?;
    // With a place at the server that the owner lists, it works.
    let evil = "<header name='Authorization'>one&#13;&#10;Evil: 1</header><header name='Host'>evil.example</header>\
                <header name='Content-Length'>99</header><header name='Evil'>1</header>";
    *place.lock().unwrap_or_else(PoisonError::into_inner) = slot(&get, &get, evil);
    let file = begun(stage, 5).await?;
    write(stage, &file, "hello").await?;
    let sent = stage.call("files.finish", &file).await?;
    ensure!(sent["ok"]["url"] == get, "the upload fails: {}", short(&sent));
    stage.during().await?;
    let request = web.requests().pop().context("nothing was uploaded")?.to_lowercase();
    let is_one = request.starts_with("put /up ") && request.ends_with("\r\n\r\nhello");
    ensure!(is_one && !request.contains("\r\nevil") && !request.contains("evil.example"), "{request}");
    ensure!(lure.visits() == 0, "an upload went to another place");
    remove(stage).await?;
    Ok(format!("denied or invalid; {places} other places are not dialed, and headers stay on their lines"))
}

/// Writes other numbers of bytes than an upload was begun for.
async fn wrong_sizes(stage: &mut Stage) -> Result<()> {
    let file = begun(stage, 5).await?;
    for part in ["123456", &"x".repeat(10_000)] {
        let answer = write(stage, &file, part).await?;
        ensure!(answer["err"]["case"] == "invalid", "more is written than was said: {}", short(&answer));
    }
    write(stage, &file, "123").await?;
    fails(stage, "files.finish", &file, &["invalid"]).await?;
    let answer = write(stage, &file, "456").await?;
    ensure!(answer["err"]["case"] == "invalid", "more is written than was said: {}", short(&answer));
    stage.call("files.close", &file).await?;
    fails(stage, "files.finish", &file, &["not-found"]).await
}

/// Lets the server refuse a file of which it has nothing: the plugin is told that, and not that bytes are missing.
async fn refused_early(stage: &mut Stage, web: &Web, place: &Slot) -> Result<()> {
    web.put_early("/early", "HTTP/1.1 413 Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    *place.lock().unwrap_or_else(PoisonError::into_inner) = slot(&web.url("/early"), &web.url("/up"), "");
    let (file, deadline) = (begun(stage, 5).await?, Instant::now() + SOON);
    loop {
        let answer = stage.call("files.finish", &file).await?;
        if answer["err"]["case"] == "protocol" {
            ensure!(answer.to_string().contains("413"), "the status is not told: {}", short(&answer));
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "the refusal is not told: {}", short(&answer));
    }
}

/// Lets the service name places that are not the account's server. Returns how many.
async fn other_places(stage: &mut Stage, web: &Web, lure: &Server, place: &Slot) -> Result<usize> {
    let (get, port) = (web.url("/up"), lure.port());
    web.redirect("/moved", &format!("https://127.0.0.1:{port}/"));
    let set = |put: &str| *place.lock().unwrap_or_else(PoisonError::into_inner) = slot(put, &get, "");
    // These slots are not within TLS.
    let without = [
        lure.url("/"),
        "ftp://localhost/".to_owned(),
        "file:///etc/passwd".to_owned(),
        web.url("/up").replace("https://", "https://user@"),
        String::new(),
    ];
    for put in &without {
        set(put);
        let answer = begin(stage, "a.txt", "text/plain", 0).await?;
        ensure!(answer["err"]["case"] == "protocol", "{put}: {}", short(&answer));
    }
    let dialed = [
        format!("https://127.0.0.1:{port}/"),
        format!("https://localhost:{port}/"),
        format!("https://0177.0.0.1:{port}/"),
        format!("https://[::ffff:127.0.0.1]:{port}/"),
        "https://169.254.169.254/".to_owned(),
        "https://10.0.0.1/".to_owned(),
    ];
    for put in &dialed {
        set(put);
        let file = begun(stage, 0).await?;
        fails(stage, "files.finish", &file, &["denied"]).await?;
    }
    // A redirect of an upload is not followed.
    set(&web.url("/moved"));
    let file = begun(stage, 0).await?;
    fails(stage, "files.finish", &file, &["protocol"]).await?;
    Ok(without.len() + dialed.len() + 1)
}

/// Returns a message with a file outside of XMPP (XEP-0066).
fn with_file(from: &str, body: &str, url: &str) -> String {
    let from = format!("from='{from}/place' to='bot@localhost/parlor'");
    let file = format!("<x xmlns='jabber:x:oob'><url>{url}</url></x>");
    format!("<message xmlns='jabber:client' type='chat' {from} id='file'><body>{body}</body>{file}</message>")
}

/// Shows the plugin a file, in a message that has it make a call.
async fn show(stage: &mut Stage, url: &str) -> Result<()> {
    let order = json!({ "n": 1, "call": "user.jid", "args": {} });
    stage.raw(with_file(MALLORY, &format!("call {order}"), url)).await?;
    while !stage.answer().await?.starts_with("done ") {}
    Ok(())
}

async fn unseen_files(trial: &mut Trial) -> Result<String> {
    let (web, lure) = (Web::start().await?, Server::lure().await?);
    web.put("/seen", "hello");
    let grants = |entry: Entry| {
        let entry = entry.grant_whole("files.read").grant("files.send", &["*"]);
        entry.grant("messages.read", &[MALLORY]).set("listens", "messageSend")
    };
    let stage = trial.start(plan(&web, grants)?).await?;
    show(stage, &web.url("/seen")).await?;
    // A message to the neighbour, which this plugin may not read.
    stage.raw(with_file(JULIET, "a file", &web.url("/juliets"))).await?;
    ensure!(stage.hear(JULIET).await? == "a file", "the neighbour does not get it");
    // The plugin's own message, which it gets.
    let own = json!({ "jid": MALLORY, "extensions": { "files": [{ "url": web.url("/own") }] } });
    let sent = stage.call("chats.send", &own).await?;
    ensure!(sent["err"].is_null(), "it cannot send a file: {}", short(&sent));
    for url in [
        web.url("/juliets"),
        web.url("/own"),
        web.url("/none"),
        web.url("/seen?more"),
        web.url("/seen/"),
        web.url("/seen#more"),
        web.url("/./seen"),
        web.url("/SEEN"),
        web.url("/seen").replace("localhost", "127.0.0.1"),
        web.url("/seen").replace("https", "http"),
        format!("https://127.0.0.1:{}/", lure.port()),
        "https://169.254.169.254/".to_owned(),
    ] {
        fails(stage, "files.open", &json!({ "url": url }), &["denied"]).await?;
    }
    for url in ["", "file:///etc/passwd", "https://user@localhost/", "seen", "javascript:1"] {
        fails(stage, "files.open", &json!({ "url": url }), &["denied", "invalid"]).await?;
    }
    stage.during().await?;
    ensure!(web.requests().is_empty() && lure.visits() == 0, "one was fetched: {:?}", web.requests());
    // The one that it was shown can be fetched, which proves that the others could be reached.
    let opened = stage.call("files.open", &json!({ "url": web.url("/seen") })).await?;
    let read = stage.call("files.read", &json!({ "transfer": opened["ok"]["transfer"] })).await?;
    ensure!(read["ok"]["part"] == "hello", "{} and {}", short(&opened), short(&read));
    remove(stage).await?;
    Ok("denied, but what a message of somebody else showed to this plugin".to_owned())
}

async fn redirected_files(trial: &mut Trial) -> Result<String> {
    let (web, lure) = (Web::start().await?, Server::lure().await?);
    web.put("/file", "hello");
    let stage = trial.start(plan(&web, |entry| entry.grant_whole("files.read"))?).await?;
    let go = json!({ "url": web.url("/go") });
    show(stage, &web.url("/go")).await?;
    let at = |host: &str| format!("https://{host}:{}/", lure.port());
    let hosts = ["127.0.0.1", "localhost", "0177.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "user@localhost"];
    let mut places = Vec::from(hosts.map(at));
    places.extend([lure.url("/"), web.url("/file").replace("https", "http"), web.url("/go")]);
    let others = ["https://169.254.169.254/", "https://[fd00:ec2::254]/", "ftp://localhost/", "file:///etc/passwd"];
    places.extend(others.map(str::to_owned));
    for place in &places {
        web.redirect("/go", place);
        fails(stage, "files.open", &go, &["denied", "protocol"]).await?;
    }
    // An address in a message gives no further access.
    for url in [at("127.0.0.1"), at("localhost"), lure.url("/"), "https://169.254.169.254/".to_owned()] {
        show(stage, &url).await?;
        fails(stage, "files.open", &json!({ "url": url }), &["denied", "protocol"]).await?;
    }
    stage.during().await?;
    ensure!(lure.visits() == 0, "a file led to a server that may not be dialed, {} times", lure.visits());
    web.redirect("/go", "/file");
    let opened = stage.call("files.open", &go).await?;
    ensure!(opened["ok"]["size"] == 5, "a redirect to where it may go is not followed: {}", short(&opened));
    remove(stage).await?;
    Ok(format!("{} places denied or refused; no connection was made", places.len() + 4))
}
