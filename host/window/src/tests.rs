//! Requests to a window of a few pages, from the first byte of the head to the last of the answer.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::{
    ALLOW, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, HOST, LOCATION, ORIGIN, REFRESH, RETRY_AFTER,
    SET_COOKIE, TRANSFER_ENCODING,
};
use axum::http::{HeaderMap, HeaderName, Request};
use http_body_util::BodyExt as _;
use jiff::{SignedDuration, Timestamp};
use maud::html;
use tokio::sync::watch;

use super::*;
use crate::server::answer;

const ENTRIES: &[Entry] = &[
    Entry { path: "/", name: "Home", access: Role::Viewer.of_accounts() },
    Entry { path: "/plugins", name: "Plugins", access: Role::Viewer.of_host() },
    Entry { path: "/secret", name: "Secret", access: Role::Owner.of_host() },
];

/// An owner of some accounts.
const SOME: &str = "some@example.org";

/// A window, with the folder of its sessions.
struct Rig {
    site: Site,
    frame: Arc<Frame<()>>,
    router: Router,
    store: Store,
    _folder: tempfile::TempDir,
    changes: watch::Sender<u64>,
    /// The requests for links, and the sessions that began.
    told: Told,
    /// Whether nobody can be told.
    is_deaf: Arc<AtomicBool>,
    /// Whether the log-in page has no links sent.
    is_mute: Arc<AtomicBool>,
    /// Somebody who is no owner any more.
    former: Arc<Mutex<Option<&'static str>>>,
    /// The former owners whose sessions and links ended, and how many of these.
    gone: Gone,
}

type Gone = Arc<Mutex<Vec<(String, usize)>>>;

type Told = Arc<Mutex<(Vec<LinkRequest>, Vec<Session>)>>;

/// An answer: its status, headers and text.
type Answered = (u16, HeaderMap, String);

async fn first(visit: Visit<()>) -> Result<Reply, Problem> {
    if visit.query("fail").is_some() {
        return Err(Problem::missing("<script>alert(1)</script>"));
    }
    if visit.query("start").is_some() {
        return Err(Problem::new(503, "it starts").refreshing(7));
    }
    let form = visit.form("/plugins/echo/restart", &html! { button { "Restart" } });
    Ok(Page::new("Home", html! { p { (stranger(visit.query("name").unwrap_or_default())) } (form) }).into())
}

async fn restart(visit: Visit<()>, form: Form) -> Result<Reply, Problem> {
    let id = visit.part("id").to_owned();
    if !form.is_agreed() {
        return Ok(visit.confirm(&Question {
            title: format!("Restart {id}?"),
            sentences: vec![html! { "It starts again." }],
            button: format!("Restart {id}"),
            is_danger: false,
            action: visit.path(),
            back: "/",
            fields: form.fields(),
        }));
    }
    Ok(visit.done("/", format!("{id} is restarted {}", form.get("how").unwrap_or("so"))))
}

async fn sent(visit: Visit<()>, upload: Upload) -> Result<Reply, Problem> {
    let size = upload.file("file").map_or(0, |file| file.size);
    Ok(visit.done("/", format!("{size} bytes are here")))
}

async fn long(_: Visit<()>) -> Result<Reply, Problem> {
    Ok(Page::new("Long", html! { p { ("x".repeat(4 << 20)) } }).into())
}

fn heard(is_deaf: &AtomicBool) -> Result<(), Problem> {
    if is_deaf.load(Ordering::Relaxed) { Err(Problem::new(503, "nobody hears")) } else { Ok(()) }
}

fn start_at(site: Site) -> Rig {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path());
    let (changes, seen) = watch::channel(0);
    let (told, is_deaf) = (Told::default(), Arc::new(AtomicBool::new(false)));
    let (former, gone) = (Arc::<Mutex<Option<&str>>>::default(), Gone::default());
    let (not, noted) = (Arc::clone(&former), Arc::clone(&gone));
    let standing = move |(): &(), jid: &str| match (*not.lock().unwrap(), jid) {
        (Some(former), jid) if former == jid => Standing::Nobody,
        (_, SOME) => Standing::OfSome,
        _ => Standing::OfAll,
    };
    let ended = move |(): &(), jid: &str, many| noted.lock().unwrap().push((jid.to_owned(), many));
    let frame = Arc::new(Frame::new((), site.clone(), store.clone(), ENTRIES, seen, standing, ended));
    let (asked, began) = (Arc::clone(&told), Arc::clone(&told));
    let (deaf, deaf_too) = (Arc::clone(&is_deaf), Arc::clone(&is_deaf));
    let send = move |(), request| {
        asked.lock().unwrap().0.push(request);
        std::future::ready(heard(&deaf))
    };
    let log_in = move |(), session| {
        began.lock().unwrap().1.push(session);
        std::future::ready(heard(&deaf_too))
    };
    let is_mute = Arc::new(AtomicBool::new(false));
    let mute = Arc::clone(&is_mute);
    let offers = move |(): &()| !mute.load(Ordering::Relaxed);
    let routes = Routes::new(offers, send, log_in)
        .page("/", Role::Viewer.of_accounts(), first)
        .page("/long", Role::Viewer, long)
        .page("/secret", Role::Owner, first)
        .form("/plugins/{id}/restart", Role::Operator, restart)
        .upload("/file", Role::Operator, sent);
    Rig {
        site,
        router: routes.within(Arc::clone(&frame)),
        frame,
        store,
        _folder: folder,
        changes,
        told,
        is_deaf,
        is_mute,
        former,
        gone,
    }
}

fn start() -> Rig {
    start_at(Site::local("127.0.0.1:8470".parse().unwrap()))
}

impl Rig {
    async fn send(&self, method: &str, path: &str, headers: &[(HeaderName, &str)], body: &str) -> Answered {
        let mut request = Request::builder().method(method).uri(path);
        if headers.iter().all(|(name, _)| name != HOST) {
            request = request.header(HOST, "localhost:8470");
        }
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let answered = answer(&self.site, self.router.clone(), request).await;
        let (head, body) = answered.into_parts();
        let text = body.collect().await.unwrap().to_bytes();
        (head.status.as_u16(), head.headers, String::from_utf8(text.to_vec()).unwrap())
    }

    async fn get(&self, path: &str, cookie: &str) -> Answered {
        self.send("GET", path, &[(COOKIE, cookie)], "").await
    }

    /// Sends a form as a browser does.
    async fn post(&self, path: &str, cookie: &str, body: &str) -> Answered {
        let form = "application/x-www-form-urlencoded";
        let headers = [(COOKIE, cookie), (ORIGIN, "http://localhost:8470"), (CONTENT_TYPE, form)];
        self.send("POST", path, &headers, body).await
    }

    /// Logs in, and returns the cookie.
    async fn log_in(&self, role: Role) -> String {
        let link = self.link(role);
        let (status, headers, _) = self.post(&format!("/login/{link}"), "", "").await;
        assert_eq!((status, headers[LOCATION].to_str().unwrap()), (303, "/"));
        headers[SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned()
    }

    /// Sends a link to somebody.
    fn send_to(&self, jid: &str) -> String {
        let sent = self.store.issue_to(jid, Role::Owner, Duration::from_mins(1), Timestamp::now());
        sent.unwrap().1.expose().to_owned()
    }

    /// Logs in by a link, and returns the cookie.
    async fn use_link(&self, link: &str) -> String {
        let (_, headers, _) = self.post(&format!("/login/{link}"), "", "").await;
        headers[SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned()
    }

    fn link(&self, role: Role) -> String {
        let link = self.store.issue("ann".parse().unwrap(), role, Duration::from_mins(1), Timestamp::now());
        link.unwrap().expose().to_owned()
    }
}

/// Returns the token of the form that is sent to this path.
fn token(page: &str, action: &str) -> String {
    let (_, form) = page.split_once(&format!("action=\"{action}\"")).unwrap();
    let (_, rest) = form.split_once("name=\"csrf\" value=\"").unwrap();
    rest.split_once('"').unwrap().0.to_owned()
}

#[tokio::test]
async fn nobody_sees_a_page_without_a_session() {
    let rig = start();
    for path in ["/", "/secret", "/none", "/live", "/plugins/echo"] {
        let (status, headers, _) = rig.get(path, "").await;
        assert_eq!((status, headers[LOCATION].to_str().unwrap()), (303, "/login"), "{path}");
    }
    let made_up = format!("parlor-8470={}", "0".repeat(64));
    assert_eq!(rig.get("/", &made_up).await.0, 303);
    assert_eq!(rig.post("/plugins/echo/restart", "", "agreed=yes").await.0, 403);
    let (status, _, text) = rig.get("/login", "").await;
    assert!(status == 200 && text.contains("parlor web login"));
}

#[tokio::test]
async fn a_link_is_shown_as_often_as_one_likes_and_used_once() {
    let rig = start();
    let link = rig.link(Role::Viewer);
    let path = format!("/login/{link}");
    for _ in 0..3 {
        let (status, headers, text) = rig.get(&path, "").await;
        assert!(status == 200 && !headers.contains_key(SET_COOKIE) && text.contains("id=\"confirm\""), "{text}");
    }
    let elsewhere = [(ORIGIN, "http://evil.example")];
    assert_eq!(rig.send("POST", &path, &elsewhere, "").await.0, 403);
    let (status, headers, _) = rig.post(&path, "", "").await;
    let cookie = headers[SET_COOKIE].to_str().unwrap();
    assert!(status == 303 && cookie.contains("; HttpOnly; SameSite=Strict") && !cookie.contains(&link), "{cookie}");
    assert_eq!(rig.post(&path, "", "").await.0, 403);
    assert_eq!(rig.get("/login/short", "").await.0, 403);
}

#[tokio::test]
async fn whoever_logs_in_gets_a_session_of_their_own_and_ends_the_former() {
    let rig = start();
    let before = rig.log_in(Role::Viewer).await;
    let link = rig.link(Role::Viewer);
    let (_, headers, _) = rig.post(&format!("/login/{link}"), &before, "").await;
    let after = headers[SET_COOKIE].to_str().unwrap().split(';').next().unwrap();
    assert_ne!(after, before);
    assert_eq!((rig.get("/", &before).await.0, rig.get("/", after).await.0), (303, 200));
}

#[tokio::test]
async fn log_ins_fail_ten_times_a_minute_and_keep_nobody_out() {
    let rig = start();
    let wrong = format!("/login/{}", "0".repeat(64));
    for _ in 0..attempts::MOST {
        assert_eq!(rig.post(&wrong, "", "").await.0, 403);
    }
    for path in [wrong.as_str(), "/login/short"] {
        let (status, headers, _) = rig.post(path, "", "").await;
        assert_eq!((status, headers[RETRY_AFTER].to_str().unwrap()), (429, "60"));
    }
    // They keep nobody out who has a link, however many log in.
    for _ in 0..=attempts::MOST {
        rig.log_in(Role::Viewer).await;
    }
    assert_eq!(rig.post(&wrong, "", "").await.0, 429);
}

#[tokio::test]
async fn whoever_asks_for_a_link_is_told_the_same() {
    let rig = start();
    let (_, _, page) = rig.get("/login", "").await;
    assert!(page.contains("<form method=\"post\" action=\"/login\">") && page.contains("name=\"jid\""), "{page}");
    let mut answers = Vec::new();
    for body in ["jid=ann%40example.org", "jid=nobody%40example.org", "jid=%3Cscript%3E", "jid=", "x=y", ""] {
        let (status, headers, text) = rig.post("/login", "", body).await;
        assert!(status == 200 && !headers.contains_key(SET_COOKIE) && text.contains("id=\"sent\""), "{body}: {text}");
        answers.push(text);
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    {
        let told = rig.told.lock().unwrap();
        assert_eq!((told.0[0].jid.as_str(), told.0[0].address.as_str()), ("ann@example.org", "http://127.0.0.1:8470/"));
        assert_eq!((told.0.len(), told.1.len()), (6, 0));
    }
    let elsewhere = [(ORIGIN, "http://evil.example"), (CONTENT_TYPE, "application/x-www-form-urlencoded")];
    assert_eq!(rig.send("POST", "/login", &elsewhere, "jid=ann%40example.org").await.0, 403);
    assert_eq!(rig.told.lock().unwrap().0.len(), 6);
    rig.is_deaf.store(true, Ordering::Relaxed);
    let (status, _, text) = rig.post("/login", "", "jid=ann%40example.org").await;
    assert!(status == 503 && text.contains("nobody hears"), "{text}");
}

#[tokio::test]
async fn links_are_asked_for_ten_times_a_minute_and_log_ins_go_on() {
    let rig = start();
    for _ in 0..attempts::MOST {
        assert_eq!(rig.post("/login", "", "jid=ann%40example.org").await.0, 200);
    }
    let (status, headers, _) = rig.post("/login", "", "jid=ann%40example.org").await;
    assert_eq!((status, headers[RETRY_AFTER].to_str().unwrap()), (429, "60"));
    assert_eq!(rig.told.lock().unwrap().0.len(), attempts::MOST);
    rig.log_in(Role::Viewer).await;
}

#[tokio::test]
async fn a_page_that_has_no_links_sent_offers_and_takes_none() {
    let rig = start();
    rig.is_mute.store(true, Ordering::Relaxed);
    let (status, _, page) = rig.get("/login", "").await;
    assert!(status == 200 && !page.contains("<form") && page.contains("parlor web login"), "{page}");
    let mut answers = Vec::new();
    // More often than links can be asked for: these requests use none of that up.
    for body in ["jid=ann%40example.org", "jid=nobody%40example.org", "x=y"].repeat(attempts::MOST) {
        let (status, _, text) = rig.post("/login", "", body).await;
        assert_eq!(status, 404, "{body}");
        answers.push(text);
    }
    answers.dedup();
    assert!(answers.len() == 1 && rig.told.lock().unwrap().0.is_empty(), "{answers:?}");
    rig.is_mute.store(false, Ordering::Relaxed);
    assert_eq!(rig.post("/login", "", "jid=ann%40example.org").await.0, 200);
}

#[tokio::test]
async fn a_session_that_nobody_can_be_told_of_does_not_begin() {
    let rig = start();
    let link = rig.store.issue_to("ann@example.org", Role::Owner, Duration::from_mins(1), Timestamp::now()).unwrap().1;
    rig.is_deaf.store(true, Ordering::Relaxed);
    let (status, headers, _) = rig.post(&format!("/login/{}", link.expose()), "", "").await;
    assert!(status == 503 && !headers.contains_key(SET_COOKIE), "{status}");
    let began = rig.told.lock().unwrap().1.clone();
    assert_eq!((began.len(), began[0].jid.as_deref()), (1, Some("ann@example.org")));
    assert_eq!(rig.store.sessions(Timestamp::now()).unwrap(), []);
}

#[tokio::test]
async fn a_session_says_to_whom_its_link_was_sent() {
    let rig = start();
    let link = rig.store.issue_to("ann@example.org", Role::Owner, Duration::from_mins(1), Timestamp::now()).unwrap().1;
    let path = format!("/login/{}", link.expose());
    // A client shows a preview.
    assert_eq!(rig.get(&path, "").await.0, 200);
    assert_eq!(rig.send("HEAD", &path, &[], "").await.0, 200);
    let (_, headers, _) = rig.post(&path, "", "").await;
    let cookie = headers[SET_COOKIE].to_str().unwrap().split(';').next().unwrap();
    let (_, _, page) = rig.get("/", cookie).await;
    assert!(page.contains("Logged in as ann (owner), by a link to ") && page.contains("ann@example.org"), "{page}");
    assert_eq!(rig.post(&path, "", "").await.0, 403);
}

#[tokio::test]
async fn somebody_who_is_no_owner_any_more_is_logged_out() {
    let rig = start();
    let [ann, bob] = ["ann@example.org", "bob@example.org"];
    let (read, write) = (rig.use_link(&rig.send_to(ann)).await, rig.use_link(&rig.send_to(ann)).await);
    let (other, printed) = (rig.use_link(&rig.send_to(bob)).await, rig.log_in(Role::Viewer).await);
    let body = format!("agreed=yes&csrf={}", token(&rig.get("/", &write).await.2, "/plugins/echo/restart"));
    let unused = rig.send_to(ann);
    *rig.former.lock().unwrap() = Some(ann);
    // The first request of theirs ends all that they have.
    assert_eq!(rig.post("/plugins/echo/restart", &write, &body).await.0, 403);
    assert_eq!(*rig.gone.lock().unwrap(), [(ann.to_owned(), 3)]);
    *rig.former.lock().unwrap() = None;
    assert_eq!((rig.get("/", &read).await.0, rig.get("/", &write).await.0), (303, 303));
    let (status, headers, _) = rig.post(&format!("/login/{unused}"), "", "").await;
    assert!(status == 403 && !headers.contains_key(SET_COOKIE), "{status}");
    assert_eq!((rig.get("/", &other).await.0, rig.get("/", &printed).await.0), (200, 200));
}

/// Otherwise somebody who is about to lose the session could begin a form, and go on with it afterwards.
#[tokio::test]
async fn a_form_that_comes_after_its_session_has_ended_changes_nothing() {
    let rig = start();
    let (form, file) =
        (("/plugins/echo/restart", "application/x-www-form-urlencoded"), "multipart/form-data; boundary=x");
    let part = |rest: &str| format!("--x\r\nContent-Disposition: form-data; name={rest}\r\n");
    for (path, media) in [form, ("/file", file)] {
        for is_ended in [false, true] {
            let cookie = rig.use_link(&rig.send_to("ann@example.org")).await;
            let (_, secret) = cookie.split_once('=').unwrap();
            let token = Secret::parse(secret).unwrap().form_token(path);
            let parts = [
                part(&format!("\"csrf\"\r\n\r\n{token}")),
                part("\"file\"; filename=\"a.wasm\"\r\n\r\ncomponent"),
                "--x--\r\n".to_owned(),
            ];
            let body = if media == file { parts.concat() } else { format!("agreed=yes&csrf={token}") };
            let former = Arc::clone(&rig.former);
            let late = futures_util::stream::once(async move {
                *former.lock().unwrap() = is_ended.then_some("ann@example.org");
                Ok::<_, std::io::Error>(body)
            });
            let request = Request::builder().method("POST").uri(path).header(HOST, "localhost:8470");
            let request = request.header(COOKIE, &cookie).header(ORIGIN, "http://localhost:8470");
            let request = request.header(CONTENT_TYPE, media).body(Body::from_stream(late)).unwrap();
            let answered = answer(&rig.site, rig.router.clone(), request).await;
            assert_eq!(answered.status().as_u16(), if is_ended { 403 } else { 303 }, "{path}");
            *rig.former.lock().unwrap() = None;
        }
    }
    assert_eq!(*rig.gone.lock().unwrap(), [("ann@example.org".to_owned(), 2), ("ann@example.org".to_owned(), 2)]);
}

#[tokio::test]
async fn a_link_that_was_sent_to_an_owner_lets_no_former_one_in() {
    let rig = start();
    let link = rig.send_to("ann@example.org");
    *rig.former.lock().unwrap() = Some("ann@example.org");
    let (status, headers, _) = rig.post(&format!("/login/{link}"), "", "").await;
    assert!(status == 403 && !headers.contains_key(SET_COOKIE), "{status}");
    // Nobody is told of a session that does not begin.
    assert_eq!((rig.told.lock().unwrap().1.len(), rig.gone.lock().unwrap().len()), (0, 1));
    assert_eq!(rig.store.sessions(Timestamp::now()).unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn an_open_page_ends_when_its_owner_is_none_any_more() {
    let rig = start();
    let cookie = rig.use_link(&rig.send_to("ann@example.org")).await;
    let request = Request::builder().uri("/live").header(HOST, "localhost:8470").header(COOKIE, &cookie);
    let answered = answer(&rig.site, rig.router.clone(), request.body(Body::empty()).unwrap()).await;
    let mut body = answered.into_body();
    let mut next = async || Some(body.frame().await?.unwrap().into_data().unwrap());
    assert_eq!(next().await.unwrap(), ": still here\n\n");
    *rig.former.lock().unwrap() = Some("ann@example.org");
    assert_eq!(next().await.unwrap(), "event: ended\ndata: 0\n\n");
    assert_eq!(next().await, None);
    assert_eq!(rig.get("/", &cookie).await.0, 303);
}

#[tokio::test]
async fn a_form_is_taken_from_its_own_page_and_asks_first() {
    let rig = start();
    let cookie = rig.log_in(Role::Operator).await;
    let (_, _, page) = rig.get("/", &cookie).await;
    let (action, token) = ("/plugins/echo/restart", token(&page, "/plugins/echo/restart"));
    let body = format!("csrf={token}&how=%3Cb%3E");
    let (status, _, question) = rig.post(action, &cookie, &body).await;
    assert!(status == 200 && question.contains("name=\"agreed\" value=\"yes\"") && question.contains("id=\"back\""));
    assert!(question.contains("name=\"how\" value=\"&lt;b&gt;\"") && !question.contains("<b>"), "{question}");
    let agreed = format!("{body}&agreed=yes");
    let (status, headers, _) = rig.post(action, &cookie, &agreed).await;
    assert_eq!((status, headers[LOCATION].to_str().unwrap()), (303, "/"));
    let (_, _, page) = rig.get("/", &cookie).await;
    assert!(page.contains("id=\"notice\"") && page.contains("echo is restarted &lt;b&gt;"), "{page}");
    // A screen reader says the title, and nothing of a status that is there from the beginning.
    assert!(page.contains("<title>echo is restarted &lt;b&gt; · Home · parlor</title>"), "{page}");
    assert!(!rig.get("/", &cookie).await.2.contains("id=\"notice\""), "it is told once");
    // Of another path, of another session, and from elsewhere.
    assert_eq!(rig.post("/plugins/other/restart", &cookie, &agreed).await.0, 403);
    let other = rig.log_in(Role::Operator).await;
    assert_eq!(rig.post(action, &other, &agreed).await.0, 403);
    assert_eq!(rig.post(action, &cookie, "agreed=yes").await.0, 403);
    let form = (CONTENT_TYPE, "application/x-www-form-urlencoded");
    for headers in [
        vec![(COOKIE, cookie.as_str()), form.clone()],
        vec![(COOKIE, cookie.as_str()), form.clone(), (ORIGIN, "http://evil.example")],
        vec![(COOKIE, cookie.as_str()), form.clone(), (ORIGIN, "null")],
    ] {
        assert_eq!(rig.send("POST", action, &headers, &agreed).await.0, 403, "{headers:?}");
    }
    // A change is not a link.
    let (status, headers, _) = rig.get(&format!("{action}?{agreed}"), &cookie).await;
    assert!(status == 405 && headers[ALLOW] == "POST", "{status}");
}

#[tokio::test]
async fn somebody_who_opens_the_address_of_a_form_is_told_where_to_go_on() {
    let rig = start_at(Site::public("https://bots.example.org", "/parlor/").unwrap());
    let host = [(HOST, "bots.example.org")];
    for (method, path, allowed) in [
        ("GET", "/parlor/plugins/echo/restart", "POST"),
        ("PUT", "/parlor/secret", "GET,HEAD"),
        ("OPTIONS", "/parlor/live", "GET,HEAD"),
    ] {
        let (status, headers, text) = rig.send(method, path, &host, "").await;
        assert_eq!((status, headers[ALLOW].to_str().unwrap()), (405, allowed), "{path}");
        assert!(text.contains("<h1>Not in this way</h1>") && text.contains("href=\"/parlor/\""), "{text}");
        assert!(headers.contains_key(CONTENT_SECURITY_POLICY), "{path}");
    }
    // So is somebody whose session has ended.
    let headers = [(HOST, "bots.example.org"), (ORIGIN, "https://bots.example.org")];
    let (status, _, text) = rig.send("POST", "/parlor/plugins/echo/restart", &headers, "").await;
    assert!(status == 403 && text.contains("href=\"/parlor/\""), "{text}");
}

#[tokio::test]
async fn a_role_may_what_it_may() {
    let rig = start();
    let viewer = rig.log_in(Role::Viewer).await;
    let (_, _, page) = rig.get("/", &viewer).await;
    let body = format!("agreed=yes&csrf={}", token(&page, "/plugins/echo/restart"));
    let (status, _, text) = rig.post("/plugins/echo/restart", &viewer, &body).await;
    assert!(status == 403 && text.contains("this takes the role operator"), "{text}");
    assert_eq!(rig.get("/secret", &viewer).await.0, 403);
    let owner = rig.log_in(Role::Owner).await;
    assert_eq!(rig.get("/secret", &owner).await.0, 200);
    // Nobody is led where they may not go.
    let leads = |page: &str| page.contains("href=\"/secret\"");
    assert!(!leads(&page) && leads(&rig.get("/", &owner).await.2), "{page}");
}

/// Whether its link was printed for some accounts, or sent to an owner of some.
#[tokio::test]
async fn a_session_of_some_accounts_gets_no_page_of_the_whole_host() {
    let rig = start();
    let accounts = Some([("main".to_owned(), "bot@example.org".to_owned())].into());
    let life = Duration::from_mins(1);
    let printed = rig.store.issue_for("bob".parse().unwrap(), Role::Owner, accounts, life, Timestamp::now()).unwrap();
    for (link, says) in [(printed.expose().to_owned(), "for the accounts main"), (rig.send_to(SOME), "by a link to")] {
        let cookie = rig.use_link(&link).await;
        let (status, _, page) = rig.get("/", &cookie).await;
        assert!(status == 200 && page.contains("(owner)") && page.contains(says), "{page}");
        assert!(!page.contains("href=\"/secret\"") && !page.contains("href=\"/plugins\""), "{page}");
        for path in ["/secret", "/long"] {
            let (status, _, text) = rig.get(path, &cookie).await;
            assert!(status == 403 && text.contains("is limited to some accounts"), "{path}: {text}");
        }
        let body = format!("agreed=yes&csrf={}", token(&page, "/plugins/echo/restart"));
        let (status, _, text) = rig.post("/plugins/echo/restart", &cookie, &body).await;
        assert!(status == 403 && text.contains("is limited to some accounts"), "{text}");
    }
    let whole = rig.use_link(&rig.send_to("ann@example.org")).await;
    assert_eq!(rig.get("/secret", &whole).await.0, 200);
}

#[tokio::test]
async fn log_out_ends_the_session() {
    let rig = start();
    let cookie = rig.log_in(Role::Viewer).await;
    let (_, _, page) = rig.get("/", &cookie).await;
    assert!(page.contains("Logged in as ann (viewer)"), "{page}");
    assert_eq!(rig.post("/logout", &cookie, "csrf=0").await.0, 403);
    let (status, headers, _) = rig.post("/logout", &cookie, &format!("csrf={}", token(&page, "/logout"))).await;
    assert!(status == 303 && headers[SET_COOKIE].to_str().unwrap().contains("Max-Age=0"));
    assert_eq!(rig.get("/", &cookie).await.0, 303);
}

/// The answer goes to anybody who makes up a cookie or a link.
#[tokio::test]
async fn strangers_are_not_told_what_is_wrong_with_the_file_of_sessions() {
    let rig = start();
    let link = format!("/login/{}", rig.link(Role::Viewer));
    std::fs::write(rig.store.folder.join("sessions.json"), "{").unwrap();
    let made_up = format!("parlor-8470={}", "0".repeat(64));
    for (status, _, text) in [rig.get("/", &made_up).await, rig.post(&link, "", "").await] {
        assert!(status == 500 && text.contains("the log of `parlor web` says why"), "{status}: {text}");
        assert!(!text.contains("sessions.json") && !text.contains("line 1"), "{text}");
    }
}

/// Counts the errors that are logged.
struct Errors(Arc<AtomicUsize>);

impl tracing::Subscriber for Errors {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::ERROR
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

/// Anybody can make up sessions, and send as many as they like.
#[tokio::test]
async fn a_file_of_sessions_that_is_broken_leaves_one_line_in_the_log() {
    let rig = start();
    rig.link(Role::Viewer);
    std::fs::write(rig.store.folder.join("sessions.json"), "{").unwrap();
    let errors = Arc::new(AtomicUsize::new(0));
    let _logged = tracing::subscriber::set_default(Errors(Arc::clone(&errors)));
    let made_up = format!("parlor-8470={}", "0".repeat(64));
    for _ in 0..20 {
        assert_eq!(rig.get("/", &made_up).await.0, 500);
    }
    assert_eq!(errors.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn another_host_is_not_served() {
    let rig = start();
    let cookie = rig.log_in(Role::Owner).await;
    for host in ["evil.example", "localhost:80", "127.0.0.1.evil.example:8470"] {
        let (status, _, text) = rig.send("GET", "/", &[(HOST, host), (COOKIE, &cookie)], "").await;
        assert!(status == 421 && !text.contains('<'), "{host}: {text}");
    }
}

/// RFC 9112, sections 6.1 and 11.2: a proxy could see another end of the body, and take the next request for a part of it.
#[tokio::test]
async fn a_body_in_a_coding_but_chunks_is_refused_and_ends_the_connection() {
    let rig = start();
    let cookie = rig.log_in(Role::Owner).await;
    for codings in [&["gzip, chunked"][..], &["chunked, chunked"], &["xchunked"], &["identity", "chunked"]] {
        let mut headers = vec![(COOKIE, cookie.as_str())];
        headers.extend(codings.iter().map(|coding| (TRANSFER_ENCODING, *coding)));
        let (status, answered, text) = rig.send("GET", "/", &headers, "").await;
        assert!(status == 400 && !text.contains('<'), "{codings:?}: {text}");
        assert_eq!(answered[CONNECTION], "close", "{codings:?}");
    }
    let (status, answered, _) = rig.send("GET", "/", &[(COOKIE, &cookie), (TRANSFER_ENCODING, "Chunked")], "").await;
    assert!(status == 200 && !answered.contains_key(CONNECTION), "{status}");
}

#[tokio::test]
async fn every_answer_has_the_rules_for_browsers() {
    let rig = start();
    let cookie = rig.log_in(Role::Viewer).await;
    for path in ["/", "/?fail=1", "/login", "/none", "/secret", "/assets/0/x", "/long"] {
        let (_, headers, text) = rig.get(path, &cookie).await;
        let policy = headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'") && !policy.contains("unsafe"), "{path}");
        assert_eq!(headers["cache-control"], "no-store", "{path}");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["x-frame-options"], "DENY");
        assert!(
            !text.contains("<script>") && !text.contains(" style=") && !text.contains(" onclick"),
            "{path}: {text}"
        );
    }
    let (status, headers, text) = rig.get(assets::STYLE.path(), "").await;
    assert!(status == 200 && headers["cache-control"].to_str().unwrap().contains("immutable") && text.contains('{'));
}

#[tokio::test]
async fn words_of_strangers_are_words() {
    let rig = start();
    let cookie = rig.log_in(Role::Viewer).await;
    let (_, _, page) = rig.get("/?name=%3Cscript%3Ealert(1)%3C/script%3E%22%E2%80%AE", &cookie).await;
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;\\u{202e}"), "{page}");
    let (status, _, page) = rig.get("/?fail=1", &cookie).await;
    assert!(status == 404 && page.contains("&lt;script&gt;alert(1)"), "{page}");
}

#[tokio::test]
async fn a_page_that_is_too_long_is_not_sent() {
    let rig = start();
    let cookie = rig.log_in(Role::Viewer).await;
    let (status, _, page) = rig.get("/long", &cookie).await;
    assert!(status == 500 && page.len() < 8 << 10, "{status}");
}

#[tokio::test]
async fn a_window_below_a_path_links_below_it() {
    let rig = start_at(Site::public("https://bots.example.org", "/parlor/").unwrap());
    let host = (HOST, "bots.example.org");
    let origin = (ORIGIN, "https://bots.example.org");
    let path = format!("/parlor/login/{}", rig.link(Role::Viewer));
    let (_, headers, _) = rig.send("POST", &path, &[host.clone(), origin], "").await;
    let cookie = headers[SET_COOKIE].to_str().unwrap();
    assert!(
        cookie.starts_with("__Secure-parlor=") && cookie.contains("; Path=/parlor/; ") && cookie.ends_with("; Secure")
    );
    assert_eq!(headers[LOCATION], "/parlor/");
    let cookie = cookie.split(';').next().unwrap();
    let (status, _, page) = rig.send("GET", "/parlor/", &[host.clone(), (COOKIE, cookie)], "").await;
    assert!(
        status == 200
            && page.contains("action=\"/parlor/plugins/echo/restart\"")
            && page.contains("href=\"/parlor/plugins\"")
    );
    assert_eq!(rig.send("GET", "/parlor", std::slice::from_ref(&host), "").await.0, 303);
    assert_eq!(rig.send("GET", "/", &[host], "").await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn a_browser_is_told_of_changes_until_its_session_ends() {
    let rig = start();
    let cookie = rig.log_in(Role::Viewer).await;
    let request = Request::builder().uri("/live").header(HOST, "localhost:8470").header(COOKIE, &cookie);
    let answered = answer(&rig.site, rig.router.clone(), request.body(Body::empty()).unwrap()).await;
    assert_eq!(answered.headers()[CONTENT_TYPE], "text/event-stream");
    let mut body = answered.into_body();
    let mut next = async || Some(body.frame().await?.unwrap().into_data().unwrap());
    assert_eq!(next().await.unwrap(), ": still here\n\n");
    rig.changes.send_replace(1);
    assert_eq!(next().await.unwrap(), "event: changed\ndata: 0\n\n");
    rig.store.end(None, Timestamp::now()).unwrap();
    assert_eq!(next().await.unwrap(), "event: ended\ndata: 0\n\n");
    assert_eq!(next().await, None);
}

/// A change may be one of an account of others.
#[tokio::test(start_paused = true)]
async fn a_browser_of_a_session_of_some_accounts_is_told_by_the_clock() {
    let rig = start();
    let cookie = rig.use_link(&rig.send_to(SOME)).await;
    let request = Request::builder().uri("/live").header(HOST, "localhost:8470").header(COOKIE, &cookie);
    let mut body = answer(&rig.site, rig.router.clone(), request.body(Body::empty()).unwrap()).await.into_body();
    let mut next = async || body.frame().await.unwrap().unwrap().into_data().unwrap();
    for number in 1..4 {
        let began = tokio::time::Instant::now();
        rig.changes.send_replace(number);
        assert_eq!(next().await, "event: changed\ndata: 0\n\n");
        assert!((20..22).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_that_follows_what_happens_does_not_delay_the_end_of_the_server() {
    let rig = start();
    let cookie = rig.log_in(Role::Viewer).await;
    let request = Request::builder().uri("/live").header(HOST, "localhost:8470").header(COOKIE, &cookie);
    let answered = answer(&rig.site, rig.router.clone(), request.body(Body::empty()).unwrap()).await;
    let mut body = answered.into_body();
    rig.frame.stopping.send_replace(true);
    assert!(body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_only_open_keeps_no_session_alive() {
    let rig = start();
    let before = Timestamp::now() - SignedDuration::from_mins(20);
    let link = rig.store.issue("ann".parse().unwrap(), Role::Viewer, Duration::from_mins(1), before).unwrap();
    let (secret, _) = rig.store.redeem(&link, before).unwrap().unwrap();
    let cookie = format!("parlor-8470={}", secret.expose());
    let used = || rig.store.sessions(Timestamp::now()).unwrap()[0].used;
    let by_itself = [(COOKIE, cookie.as_str()), (HeaderName::from_static("parlor-by-itself"), "1")];
    assert_eq!(rig.send("GET", "/", &by_itself, "").await.0, 200);
    let request = Request::builder().uri("/live").header(HOST, "localhost:8470").header(COOKIE, &cookie);
    let live = answer(&rig.site, rig.router.clone(), request.body(Body::empty()).unwrap()).await;
    assert_eq!((live.status().as_u16(), used()), (200, before));
    // A person's action counts as use, whatever else the request says.
    let [cookie, header] = by_itself;
    let headers = [cookie, header, (ORIGIN, "http://localhost:8470")];
    assert_eq!(rig.send("POST", "/logout", &headers, "").await.0, 400);
    assert!(used() > before);
}

#[tokio::test]
async fn what_was_done_is_told_to_a_person_and_not_to_a_page_that_loads_itself() {
    let rig = start();
    let cookie = rig.log_in(Role::Operator).await;
    let action = "/plugins/echo/restart";
    let token = token(&rig.get("/", &cookie).await.2, action);
    assert_eq!(rig.post(action, &cookie, &format!("csrf={token}&agreed=yes")).await.0, 303);
    let by_itself = [(COOKIE, cookie.as_str()), (HeaderName::from_static("parlor-by-itself"), "1")];
    let (status, _, page) = rig.send("GET", "/", &by_itself, "").await;
    assert!(status == 200 && !page.contains("id=\"notice\""), "{page}");
    // Nobody reads the head of a page.
    assert_eq!(rig.send("HEAD", "/", &by_itself[..1], "").await.0, 200);
    // The page itself follows in a moment.
    let (status, headers, page) = rig.get("/?start=1", &cookie).await;
    assert!(status == 503 && headers[REFRESH] == "7" && page.contains("it starts"), "{page}");
    assert!(!page.contains("id=\"notice\""), "{page}");
    // Nor is it lost where there is no room for one more open page.
    let look = async || {
        let request = Request::builder().uri("/live").header(HOST, "localhost:8470").header(COOKIE, &cookie);
        answer(&rig.site, rig.router.clone(), request.body(Body::empty()).unwrap()).await
    };
    let mut open = Vec::new();
    while open.len() < 100 {
        let answered = look().await;
        if answered.status().as_u16() != 200 {
            break;
        }
        open.push(answered);
    }
    assert_eq!(open.len(), 8);
    let (_, _, page) = rig.get("/", &cookie).await;
    assert!(page.contains("id=\"notice\"") && page.contains("echo is restarted"), "{page}");
}

#[tokio::test(start_paused = true)]
async fn a_session_asks_for_so_many_pages_and_the_others_go_on() {
    let rig = start();
    let (one, other) = (rig.log_in(Role::Viewer).await, rig.log_in(Role::Viewer).await);
    let mut served = 0;
    let refused = loop {
        let (status, headers, text) = rig.get("/none", &one).await;
        if status != 404 {
            break (status, headers, text);
        }
        served += 1;
        assert!(served < 2_000, "there is no end");
    };
    assert!(refused.0 == 429 && refused.1.contains_key(RETRY_AFTER) && served >= 600, "{served}: {}", refused.2);
    assert_eq!(rig.get("/", &other).await.0, 200);
}

/// Whoever breaks off a request can send the next one at once.
#[tokio::test]
async fn requests_that_were_broken_off_count_until_their_work_is_done() {
    let visit = Visit::for_test(Role::Viewer, "/", ());
    let (begun, (open, gate)) = (Arc::new(AtomicUsize::new(0)), std::sync::mpsc::channel::<()>());
    let gate = Arc::new(Mutex::new(gate));
    for _ in 0..100 {
        let (begun, gate) = (Arc::clone(&begun), Arc::clone(&gate));
        let work = visit.blocking(move |(), _| {
            begun.fetch_add(1, Ordering::Relaxed);
            // Until the gate is open.
            let _ = gate.lock().unwrap().recv();
            Ok(())
        });
        assert!(tokio::time::timeout(Duration::from_millis(1), work).await.is_err());
    }
    let begun = begun.load(Ordering::Relaxed);
    assert!(begun <= shares::MOST_WORK, "{begun}");
    drop(open);
    assert_eq!(visit.blocking(|(), _| Ok(7)).await, Ok(7));
}

#[tokio::test]
async fn a_session_takes_no_places_of_others_for_live_pages() {
    let rig = start();
    let (one, other) = (rig.log_in(Role::Viewer).await, rig.log_in(Role::Owner).await);
    let look = async |cookie: &str| {
        let request = Request::builder().uri("/live").header(HOST, "localhost:8470").header(COOKIE, cookie);
        answer(&rig.site, rig.router.clone(), request.body(Body::empty()).unwrap()).await
    };
    let mut open = Vec::new();
    while open.len() < 100 {
        let answered = look(&one).await;
        if answered.status().as_u16() != 200 {
            assert_eq!(answered.status().as_u16(), 503);
            break;
        }
        open.push(answered);
    }
    assert_eq!((open.len(), look(&other).await.status().as_u16()), (8, 200));
    open.pop();
    assert_eq!(look(&one).await.status().as_u16(), 200);
}

/// It takes more than a dozen sessions to take all places.
#[tokio::test]
async fn a_few_sessions_take_no_places_of_all_others_for_live_pages() {
    let rig = start();
    let (mut open, mut counts) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        let (cookie, before) = (rig.log_in(Role::Viewer).await, open.len());
        for _ in 0..10 {
            let request = Request::builder().uri("/live").header(HOST, "localhost:8470").header(COOKIE, &cookie);
            let answered = answer(&rig.site, rig.router.clone(), request.body(Body::empty()).unwrap()).await;
            if answered.status().as_u16() == 200 {
                open.push(answered);
            }
        }
        counts.push(open.len() - before);
    }
    assert_eq!(counts, [8, 4, 1, 1, 1]);
}

#[tokio::test]
async fn a_person_can_stop_the_changes_of_a_page() {
    let rig = start();
    let cookie = rig.log_in(Role::Viewer).await;
    let (_, _, page) = rig.get("/", &cookie).await;
    // The script shows the button: without it, nothing changes by itself.
    assert!(page.contains("id=\"pause\" type=\"button\" aria-pressed=\"false\" hidden>Pause updates<"), "{page}");
    assert!(!rig.get("/login", "").await.2.contains("id=\"pause\""));
    let (_, _, script) = rig.get(assets::SCRIPT.path(), "").await;
    assert!(script.contains("getElementById(\"pause\")") && script.contains("\"parlor-by-itself\": \"1\""));
}

/// Some browsers keep pages of `http:` for the button "Back", also those that they are not to store.
#[tokio::test]
async fn a_page_that_a_browser_kept_is_asked_for_again() {
    let (_, _, script) = start().get(assets::SCRIPT.path(), "").await;
    let (_, shown) = script.split_once("addEventListener(\"pageshow\", (event) => {").unwrap();
    let (shown, _) = shown.split_once("});").unwrap();
    assert!(shown.contains("if (event.persisted) renew();"), "{shown}");
}

/// A page may be the answer to a form, which a reload would send again.
#[tokio::test]
async fn no_page_sends_its_form_again_by_itself() {
    let (_, _, script) = start().get(assets::SCRIPT.path(), "").await;
    let (_, renew) = script.split_once("function renew() {\n").unwrap();
    assert!(renew.trim_start().starts_with("location.replace(location.pathname + location.search);\n  }"), "{renew}");
    // Once the session has ended, and where another page came in place of this one.
    assert!(script.contains("(\"ended\", renew)") && script.contains("if (answer.redirected) {\n        renew();"));
    assert!(!script.contains("reload("), "{script}");
}
