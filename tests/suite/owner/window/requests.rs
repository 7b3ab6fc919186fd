//! Requests that no page of ours made: forged forms, other names for this machine, and paths that lead elsewhere.

use parlor_tests::window::{Answer, Session, Window};

use super::super::{ended, home};
use super::{House, PAGES, refused};

/// The headers of each answer.
const HEADERS: [(&str, &str); 5] = [
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cache-control", "no-store"),
];
/// The parts of the policy that says what pages may load.
const POLICY: [&str; 8] = [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "form-action 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
];
/// The change that is tried again and again.
const RESTART: &str = "/plugins/echo/restart";

#[track_caller]
fn has_headers(answer: &Answer) {
    for (name, value) in HEADERS {
        assert_eq!(answer.header(name), value, "{name}: {answer:?}");
    }
    has_policy(answer);
    assert_eq!((answer.header("server"), answer.header("x-powered-by")), ("", ""), "{answer:?}");
    assert_eq!(answer.header("access-control-allow-origin"), "", "{answer:?}");
}

#[track_caller]
fn has_policy(answer: &Answer) {
    let mut policy: Vec<_> = answer.header("content-security-policy").split(';').map(str::trim).collect();
    policy.retain(|part| !part.is_empty());
    let mut expected = POLICY.to_vec();
    policy.sort_unstable();
    expected.sort_unstable();
    assert_eq!(policy, expected, "{answer:?}");
}

#[tokio::test]
async fn each_answer_has_the_headers_that_bind_a_browser() {
    let house = House::open().await;
    let (owner, guest) = (house.log_in("owner").await, house.window.guest());
    for page in PAGES {
        has_headers(&owner.page(page).await.unwrap());
    }
    for (answer, status) in [
        (owner.get("/nothing").await.unwrap(), 404),
        (owner.get("/plugins/nobody").await.unwrap(), 404),
        (owner.post(RESTART, &[]).await.unwrap(), 403),
        (guest.get("/plugins").await.unwrap(), 303),
        (guest.get("/nothing").await.unwrap(), 303),
        (guest.get("/login").await.unwrap(), 200),
        (guest.post("/plugins/echo/restart", &[]).await.unwrap(), 403),
    ] {
        has_headers(&answer);
        assert_eq!(answer.status, status, "{answer:?}");
    }
    // The files that pages load are the same for everybody, and a browser keeps them by the digest in their names.
    let home = owner.page("/").await.unwrap().body;
    let quoted = home.split('"').filter(|part| part.contains("/assets/"));
    let assets: Vec<_> = quoted.map(str::to_owned).collect();
    let names: Vec<_> = assets.iter().filter_map(|path| path.rsplit('/').next()).collect();
    assert!(names.contains(&"window.css") && names.contains(&"window.js"), "{home}");
    for path in assets {
        let asset = guest.page(&path).await.unwrap();
        has_policy(&asset);
        assert!(asset.header("cache-control").contains("immutable"), "{asset:?}");
        assert_eq!(asset.header("x-content-type-options"), "nosniff");
        let kind = asset.header("content-type");
        assert!(kind.starts_with("text/css") || kind.starts_with("text/javascript"), "{kind}");
    }
}

#[tokio::test]
async fn forms_that_no_page_of_the_session_has_sent_change_nothing() {
    let house = House::open().await;
    let (owner, other) = (house.log_in("owner").await, house.log_in("owner").await);
    let token = owner.csrf("/plugins/echo", RESTART).await.unwrap();
    let elsewhere = owner.csrf("/", "/logout").await.unwrap();
    let others = other.csrf("/plugins/echo", RESTART).await.unwrap();
    let cut = &token[..token.len() - 2];
    for wrong in ["", "0", cut, &"0".repeat(64), &elsewhere, &others] {
        let answer = owner.post(RESTART, &[("csrf", wrong), ("agreed", "yes")]).await.unwrap();
        assert_eq!(answer.status, 403, "the token {wrong:?}: {answer:?}");
    }
    refused(&owner.post(RESTART, &[("agreed", "yes")]).await.unwrap(), 403);
    let query = format!("{RESTART}?csrf={token}&agreed=yes");
    refused(&owner.post(&query, &[("agreed", "yes")]).await.unwrap(), 403);
    let right = [("csrf", token.as_str()), ("agreed", "yes")];

    let own = owner.origin.clone();
    let (upper, port) = (own.to_uppercase(), own.replace("127.0.0.1", "127.0.0.2"));
    let (own, upper, port) = (own.as_str(), upper.as_str(), port.as_str());
    for lines in [
        &[][..],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[("origin", "null"), ("sec-fetch-site", "same-origin")],
        &[("origin", port)],
        &[("origin", "http://localhost")],
        &[("origin", upper)],
        &[("origin", own), ("origin", "https://evil.example")],
        &[("origin", own), ("sec-fetch-site", "cross-site")],
        &[("origin", own), ("sec-fetch-site", "same-site")],
        &[("origin", own), ("sec-fetch-site", "none")],
        &[("sec-fetch-site", "none")],
        &[("referer", own)],
    ] {
        let answer = owner.post_with(RESTART, lines, &right).await.unwrap();
        assert_eq!(answer.status, 403, "{lines:?}: {answer:?}");
    }
    // A form of another kind, which a page of a stranger could send without being asked first.
    let body = format!("csrf={token}&agreed=yes\r\n");
    for kind in ["text/plain", "application/json", "application/xml", "x"] {
        let head = owner.head("POST", RESTART) + &format!("origin: {own}\r\ncontent-type: {kind}\r\n");
        let answer = owner.ask(&head, body.as_bytes()).await.unwrap();
        assert!((400..500).contains(&answer.status), "{kind}: {answer:?}");
    }
    for method in ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "post"] {
        let answer = owner.ask(&owner.head(method, &query), b"").await.unwrap();
        assert!((400..500).contains(&answer.status), "{method}: {answer:?}");
    }
    assert_eq!(house.restarts().await, 0);

    // As a browser sends it, it asks first.
    let asks = owner.post(RESTART, &[("csrf", &token)]).await.unwrap();
    assert!(asks.status == 200 && asks.body.contains("id=\"confirm\""), "{asks:?}");
    assert_eq!(house.restarts().await, 0);
    let done = owner.change("/plugins/echo", RESTART, &[]).await.unwrap();
    assert_eq!(done.status, 303, "{done:?}");
    assert_eq!(house.restarts().await, 1);
}

#[tokio::test]
async fn another_name_for_this_machine_is_not_served() {
    let house = House::open().await;
    let owner = house.log_in("owner").await;
    let port = house.window.at().port();
    for host in [
        format!("evil.example:{port}"),
        format!("127.0.0.1.evil.example:{port}"),
        format!("127.0.0.2:{port}"),
        format!("127.1:{port}"),
        format!("0.0.0.0:{port}"),
        "127.0.0.1".to_owned(),
        "127.0.0.1:1".to_owned(),
        format!("user@127.0.0.1:{port}"),
        format!("localhost.:{port}"),
        String::new(),
    ] {
        let session = Session { host: host.clone(), origin: format!("http://{host}"), ..owner.clone() };
        for path in ["/", "/plugins", "/login", "/login/x"] {
            let answer = session.get(path).await.unwrap();
            assert!([400, 421].contains(&answer.status), "{host} {path}: {answer:?}");
            assert!(!answer.body.contains("<html") && answer.cookie().is_none(), "{host} {path}: {answer:?}");
        }
    }
    let own = owner.head("GET", "/");
    let twice = own.clone() + "host: evil.example\r\n";
    let missing = own.replacen(&format!("host: {}\r\n", owner.host), "", 1);
    let absolute = own.replacen("GET / ", "GET http://evil.example/ ", 1);
    for head in [twice, missing, absolute] {
        let answer = owner.ask(&head, b"").await.unwrap();
        assert!([400, 421].contains(&answer.status), "{head}: {answer:?}");
    }
    for name in ["localhost", "LOCALHOST", "127.0.0.1"] {
        let session = Session { host: format!("{name}:{port}"), ..owner.clone() };
        assert_eq!(session.get("/").await.unwrap().status, 200, "{name}");
    }
}

#[tokio::test]
async fn paths_lead_to_pages_and_nowhere_else() {
    let house = House::open().await;
    let owner = house.log_in("owner").await;
    let files = ["etc/passwd", "parlor.toml", "main.password", "data/window/sessions.json"];
    let ways = [
        "/../",
        "/../../../../../../",
        "/assets/../",
        "/assets/x/../../",
        "/assets/..%2f..%2f",
        "/assets/%2e%2e/%2e%2e/",
        "/..%5c",
        "/plugins/../",
        "/plugins/..%2f..%2f",
        "/plugins/%2e%2e/",
        "/plugins/echo/../../",
        "//",
        "/%2f",
        "/./",
        "/assets/..;/",
        "/login/../",
        "/%00/",
        "/file:///",
    ];
    for way in ways {
        for file in files {
            let path = format!("{way}{file}");
            let answer = owner.get(&path).await.unwrap();
            assert!([400, 403, 404].contains(&answer.status), "{path}: {answer:?}");
            for word in ["root:", "[account", &house.account.password, "\"sessions\""] {
                assert!(!answer.body.contains(word), "{path}: {answer:?}");
            }
        }
    }
    for odd in
        ["/plugins/%3Cscript%3E", "/plugins/%00", "/plugins/%ff", "/plugins/echo%2f..", "/plugins/ECHO", "/plugins/.."]
    {
        let answer = owner.get(odd).await.unwrap();
        assert!([400, 404].contains(&answer.status), "{odd}: {answer:?}");
        assert!(!answer.body.contains("<script>"), "{odd}: {answer:?}");
    }
}

#[tokio::test]
async fn behind_a_proxy_it_has_the_proxys_name_and_path_and_secure_cookies() {
    let house = House::open().await;
    let more = ["--origin", "https://bots.example.org", "--path", "/parlor/"];
    let window = Window::open_with(&house.home, &more).await.unwrap();
    let mut guest = window.guest();
    "bots.example.org".clone_into(&mut guest.host);
    "https://bots.example.org".clone_into(&mut guest.origin);
    let link = window.link(&house.home, "owner").await.unwrap();
    assert!(link.starts_with("/parlor/login/"), "{link}");
    let session = guest.clone().log_in(&link).await.unwrap();
    let (name, _) = session.cookie.clone().unwrap();
    assert_eq!(name, "__Secure-parlor");
    let form = session.form("/parlor/", "/parlor/logout").await.unwrap();
    assert!(form.value("csrf").is_some());
    assert_eq!(session.get("/plugins").await.unwrap().status, 404);
    assert_eq!(session.page("/parlor/plugins").await.unwrap().status, 200);
    for (host, origin) in [("127.0.0.1", "http://127.0.0.1"), ("evil.example", "https://evil.example")] {
        let other = Session { host: host.to_owned(), origin: origin.to_owned(), ..session.clone() };
        assert_eq!(other.get("/parlor/").await.unwrap().status, 421, "{host}");
    }
    let http = Session { origin: "http://bots.example.org".to_owned(), ..session.clone() };
    assert_eq!(http.send_form(&form, "/parlor/").await.unwrap().status, 403);
    assert_eq!(session.send_form(&form, "/parlor/").await.unwrap().status, 303);
}

#[tokio::test]
async fn it_listens_where_nobody_else_can_reach_it_unless_it_is_told_its_name() {
    let (home, _) = home().await;
    for arguments in [
        &["--listen", "0.0.0.0:0"][..],
        &["--listen", "[::]:0"],
        &["--listen", "192.0.2.1:0"],
        &["--origin", "http://bots.example.org"],
        &["--origin", "https://bots.example.org/path"],
        &["--origin", "https://bots.example.org", "--path", "/../"],
    ] {
        let finished = home.run(&[&["web"], arguments].concat()).await.unwrap();
        assert!(finished.code.is_some_and(|code| code != 0), "{arguments:?}: {finished:?}");
        assert!(!finished.stderr.contains("panicked") && finished.stdout.is_empty(), "{arguments:?}: {finished:?}");
    }
    let refused = ended(home.run(&["web", "sessions", "--json"]).await.unwrap(), 0);
    assert_eq!(refused.json().unwrap(), serde_json::json!([]));
}
