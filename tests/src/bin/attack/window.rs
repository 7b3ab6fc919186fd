//! Attacks on the owner's pages (`parlor web`), by other pages, by strangers whose texts they show, and by anyone who
//! can reach their port.

mod links;
mod load;

use anyhow::{Context as _, Result, ensure};
use parlor_tests::policy::Entry;
use parlor_tests::window::{Answer, Session, Window, crawl, forms_of};
use serde_json::{Value, json};

use crate::case::{Case, case};
use crate::cpu::remove;
use crate::stage::{PASSWORD, Plan, Stage, canary};
use crate::trial::Trial;

pub(crate) fn cases() -> Vec<Case> {
    let own = vec![
        case!(148, "forms that another page sends", forged),
        case!(149, "strangers' words on the owner's pages", words),
        case!(150, "a session that was planted in a browser", fixation),
        case!(151, "another name that leads to this machine", rebinding),
        case!(152, "paths that lead out of the pages", traversal),
        case!(153, "changes for which a role does not suffice", escalation),
        case!(154, "one-time links: used, late, guessed, looked at", links),
        case!(155, "secrets on the owner's pages", secrets),
    ];
    [own, load::cases(), links::cases()].into_iter().flatten().collect()
}

/// The pages from which links are followed.
const PAGES: [&str; 9] =
    ["/", "/accounts", "/plugins", "/rooms", "/contacts", "/keys", "/audit", "/explain", "/install"];
/// A change that an attacker wants to be made.
const RESTART: &str = "/plugins/echo/restart";

/// The pages of a host, and the session of an owner who looks at them.
struct Pages {
    window: Window,
    owner: Session,
}

impl Pages {
    async fn open(stage: &Stage) -> Result<Self> {
        let window = Window::open(&stage.home).await?;
        let owner = window.log_in(&stage.home, "owner").await?;
        Ok(Self { window, owner })
    }
}

/// Starts a host with the plugin that makes calls on order, and opens the pages.
async fn open(trial: &mut Trial, change: impl FnOnce(Entry) -> Entry) -> Result<(&mut Stage, Pages)> {
    let stage = trial.start(Plan::new()?.caller(change)?).await?;
    let pages = Pages::open(stage).await?;
    Ok((stage, pages))
}

/// Checks that nobody changed anything from the pages.
async fn nothing_changed(stage: &Stage) -> Result<()> {
    let finished = stage.home.run(&["audit", "--json", "--lines", "10000"]).await?;
    let audit = finished.json()?;
    let entries = audit["entries"].as_array().context("there are no entries")?;
    let by_web: Vec<&Value> = entries.iter().filter(|entry| entry["way"] == "parlor web").collect();
    ensure!(by_web.is_empty(), "from the pages: {by_web:?}");
    ensure!(stage.host.lines("plugin running", &[("plugin", "echo")]).len() == 1, "the neighbour was started again");
    Ok(())
}

fn is(answer: &Answer, statuses: &[u16], what: &str) -> Result<()> {
    ensure!(statuses.contains(&answer.status), "{what} is answered with {}: {answer:?}", answer.status);
    Ok(())
}

async fn forged(trial: &mut Trial) -> Result<String> {
    let (stage, Pages { window, owner }) = open(trial, |entry| entry).await?;
    let token = owner.csrf("/plugins/echo", RESTART).await?;
    let log_out = owner.csrf("/", "/logout").await?;
    let other = window.log_in(&stage.home, "owner").await?.csrf("/plugins/echo", RESTART).await?;
    let (own, evil) = (owner.origin.as_str(), "https://evil.example");
    let mut tried = 0;
    for wrong in ["", "x", log_out.as_str(), other.as_str(), &token[1..]] {
        let answer = owner.post(RESTART, &[("csrf", wrong), ("agreed", "yes")]).await?;
        is(&answer, &[403], &format!("the token {wrong:?}"))?;
        tried += 1;
    }
    // A page of a stranger cannot have the token. If it had, its origin would give it away.
    let right = [("csrf", token.as_str()), ("agreed", "yes")];
    for lines in [
        &[][..],
        &[("origin", evil)],
        &[("origin", "null"), ("sec-fetch-site", "cross-site")],
        &[("origin", "null"), ("sec-fetch-site", "same-origin")],
        &[("origin", own), ("sec-fetch-site", "cross-site")],
        &[("origin", own), ("origin", evil)],
        &[("referer", own)],
    ] {
        is(&owner.post_with(RESTART, lines, &right).await?, &[403], &format!("a form with {lines:?}"))?;
        tried += 1;
    }
    // Requests without a form: of pictures, of links, and those that a script of a stranger may send unasked.
    let query = format!("{RESTART}?csrf={token}&agreed=yes");
    for method in ["GET", "HEAD", "OPTIONS", "PUT"] {
        let answer = owner.ask(&owner.head(method, &query), b"").await?;
        is(&answer, &[403, 404, 405], method)?;
        ensure!(answer.header("access-control-allow-origin").is_empty(), "{answer:?}");
        tried += 1;
    }
    let body = format!("csrf={token}&agreed=yes&x=");
    let plain = owner.head("POST", RESTART) + &format!("origin: {own}\r\ncontent-type: text/plain\r\n");
    is(&owner.ask(&plain, body.as_bytes()).await?, &[400, 415], "a form that is plain text")?;
    stage.during().await?;
    nothing_changed(stage).await?;
    let done = owner.change("/plugins/echo", RESTART, &[]).await?;
    is(&done, &[303], "the owner's own form")?;
    drop(window);
    remove(stage).await?;
    Ok(format!("{} of them change nothing, and the owner's own does", tried + 1))
}

async fn words(trial: &mut Trial) -> Result<String> {
    const HOSTILE: &str = "x\"'><script>stolen()</script><img src=x onerror=stolen()>";
    const HARMLESS: &str = "&gt;&lt;script&gt;stolen()&lt;/script&gt;&lt;img src=x onerror=stolen()&gt;";
    const TURNS: char = '\u{202e}';
    let (stage, Pages { window, owner }) =
        open(trial, |entry| entry.grant_whole("settings.write").grant_whole("storage").set("greeting", HOSTILE))
            .await?;
    stage.open_storage().await?;
    // A plugin can write what an owner sees: its log, its storage, a setting of the host, calls that are denied.
    let line = json!({ "level": "error", "message": format!("{HOSTILE}{TURNS}") });
    stage.call("log.write", &line).await?;
    stage.call("storage.set", &json!({ "key": HOSTILE, "value": HOSTILE })).await?;
    stage.call("settings.set", &json!({ "key": "nickname", "value": HOSTILE })).await?;
    stage.call("schedules.every", &json!({ "name": HOSTILE, "milliseconds": 3_600_000 })).await?;
    stage.call("http.fetch", &json!({ "url": format!("https://{HOSTILE}/") })).await?;
    stage.during().await?;
    let pages = crawl(&owner, &PAGES).await?;
    let mut shown = 0;
    for (path, page) in &pages {
        for word in ["<script>", "<img", "javascript:", "<style", "style=\""] {
            ensure!(!page.body.contains(word), "{word} is on {path}: {}", page.body);
        }
        ensure!(!page.body.contains(TURNS), "the text of {path} is turned: {}", page.body);
        let policy = page.header("content-security-policy");
        ensure!(policy.contains("script-src 'self'") && !policy.contains("unsafe"), "{path}: {policy}");
        shown += page.body.matches(HARMLESS).count();
    }
    // The line of the log and the setting; the key and the value.
    for (path, least) in [("/plugins/caller", 2), ("/plugins/caller/storage", 2)] {
        let page = pages.get(path).with_context(|| format!("no link leads to {path}"))?;
        let found = page.body.matches(HARMLESS).count();
        ensure!(
            found >= least,
            "what the plugin wrote is {found} times on {path}, so that it was not tried: {}",
            page.body
        );
    }
    drop(window);
    remove(stage).await?;
    Ok(format!("{shown} times on {} pages, each time as words", pages.len()))
}

async fn fixation(trial: &mut Trial) -> Result<String> {
    let (stage, Pages { window, owner }) = open(trial, |entry| entry).await?;
    let (name, known) = owner.cookie.clone().context("no cookie")?;
    let made_up = "f".repeat(known.len());
    // Somebody gave the person's browser a cookie, and waits for the person to log in.
    for planted in [known.as_str(), made_up.as_str(), "x", ""] {
        let mut browser = window.guest();
        browser.cookie = Some((name.clone(), planted.to_owned()));
        let link = window.link(&stage.home, "owner").await?;
        let person = browser.clone().log_in(&link).await?;
        let (_, given) = person.cookie.clone().context("no cookie")?;
        ensure!(given != planted && !link.contains(&given), "the session is one that somebody knows");
        is(&person.get("/plugins").await?, &[200], "the person")?;
        is(&browser.get("/plugins").await?, &[303], "whoever planted the cookie")?;
    }
    let twice = owner.head("GET", "/plugins") + &format!("cookie: {name}={made_up}\r\n");
    is(&owner.ask(&twice, b"").await?, &[303], "two cookies of the same name")?;
    stage.during().await?;
    drop(window);
    remove(stage).await?;
    Ok("each log-in has a new one, and the one before is over".to_owned())
}

async fn rebinding(trial: &mut Trial) -> Result<String> {
    let (stage, Pages { window, owner }) = open(trial, |entry| entry).await?;
    let (port, token) = (window.at().port(), owner.csrf("/plugins/echo", RESTART).await?);
    let names = [
        format!("evil.example:{port}"),
        format!("evil.example.:{port}"),
        format!("127.0.0.1.evil.example:{port}"),
        format!("localhost.evil.example:{port}"),
        format!("evil.example@127.0.0.1:{port}"),
        format!("127.0.0.2:{port}"),
        format!("2130706433:{port}"),
        format!("0x7f000001:{port}"),
        format!("0.0.0.0:{port}"),
        format!("[::]:{port}"),
        "127.0.0.1".to_owned(),
        "evil.example".to_owned(),
        String::new(),
    ];
    for host in &names {
        let page = Session { host: host.clone(), origin: format!("http://{host}"), ..owner.clone() };
        for path in ["/", "/plugins/echo", "/login", "/assets/x/window.js"] {
            let answer = page.get(path).await?;
            is(&answer, &[400, 421], &format!("{path} of {host:?}"))?;
            ensure!(!answer.body.contains("echo"), "{host:?} is shown: {answer:?}");
        }
        let answer = page.post(RESTART, &[("csrf", &token), ("agreed", "yes")]).await?;
        is(&answer, &[400, 421], &format!("a form of {host:?}"))?;
    }
    stage.during().await?;
    nothing_changed(stage).await?;
    is(&owner.get("/").await?, &[200], "its own name")?;
    drop(window);
    remove(stage).await?;
    Ok(format!("{} names are not served", names.len()))
}

async fn traversal(trial: &mut Trial) -> Result<String> {
    let (stage, Pages { window, owner }) = open(trial, |entry| entry).await?;
    let ways = [
        "/../../../../../..",
        "/assets/..",
        "/assets/x/../../../..",
        "/assets/%2e%2e/%2e%2e",
        "/assets/..%2f..%2f..",
        "/..%5c..%5c",
        "/plugins/..",
        "/plugins/..%2f..",
        "/plugins/%2e%2e%2f%2e%2e",
        "/plugins/caller/..%2f..",
        "/login/../..",
        "/",
        "//",
        "/%00",
        "/.",
        "/;/",
    ];
    let files = [
        "/etc/passwd",
        "/parlor.toml",
        "/plugins.toml",
        "/main.password",
        "/data/parlor.db",
        "/data/window/sessions.json",
    ];
    for way in ways {
        for file in files {
            let path = format!("{way}{file}");
            for visitor in [&owner, &window.guest()] {
                let answer = visitor.get(&path).await?;
                is(&answer, &[303, 400, 403, 404], &path)?;
                let leaks = ["root:x:", "password_file", PASSWORD.as_str(), "SQLite format", "\"digest\""];
                let leaked = leaks.iter().find(|word| answer.body.contains(**word));
                ensure!(leaked.is_none(), "{path} shows {leaked:?}");
            }
        }
    }
    // A plugin's id in a path is read as one, and in no other way.
    for id in
        ["..", "../echo", "caller/../echo", "%2e%2e%2fecho", "caller%00", "caller%20", "CALLER", "%ff", "caller;x"]
    {
        is(&owner.get(&format!("/plugins/{id}")).await?, &[400, 404], id)?;
    }
    stage.during().await?;
    drop(window);
    remove(stage).await?;
    Ok(format!("{} paths lead nowhere", 2 * ways.len() * files.len()))
}

async fn escalation(trial: &mut Trial) -> Result<String> {
    let (stage, Pages { window, owner }) = open(trial, |entry| entry).await?;
    let changes = forms_of(&crawl(&owner, &PAGES).await?);
    ensure!(changes.len() >= 8, "the pages offer few changes: {:?}", changes.keys());
    // The role is lowered, while the person still has the forms with their tokens.
    let kept = stage.home.path().join("data/window/sessions.json");
    let text = std::fs::read_to_string(&kept)?;
    let lower = text.replace("\"owner\"", "\"viewer\"");
    ensure!(lower != text, "no role in {text}");
    std::fs::write(&kept, lower)?;
    let mut tried = 0;
    for (action, form) in changes.iter().filter(|(action, _)| *action != "/logout") {
        let mut form = form.clone();
        form.set("agreed", "yes");
        form.set("role", "owner");
        let answer = owner.send_form(&form, "/").await?;
        is(&answer, &[403], action)?;
        tried += 1;
    }
    let viewer = window.log_in(&stage.home, "viewer").await?;
    let offered = forms_of(&crawl(&viewer, &PAGES).await?);
    ensure!(offered.keys().all(|action| action == "/logout"), "a viewer is offered {:?}", offered.keys());
    stage.during().await?;
    nothing_changed(stage).await?;
    drop(window);
    remove(stage).await?;
    Ok(format!("{tried} changes, and none is made"))
}

async fn links(trial: &mut Trial) -> Result<String> {
    let (stage, Pages { window, .. }) = open(trial, |entry| entry).await?;
    let guest = window.guest();
    let link = window.link(&stage.home, "owner").await?;
    for _ in 0..20 {
        // Programs of others look at a link before its owner does.
        is(&guest.get(&link).await?, &[200], "a look at a link")?;
    }
    let person = guest.clone().log_in(&link).await?;
    is(&person.get("/").await?, &[200], "the person")?;
    let again = guest.post(&link, &[]).await?;
    let unknown = guest.post(&format!("/login/{:064x}", rand::random::<u128>()), &[]).await?;
    for answer in [&again, &unknown] {
        is(answer, &[403], "a used link, or none")?;
        ensure!(answer.cookie().is_none() && answer.body == again.body, "they are told apart: {answer:?}");
    }
    // Two press the button of one link at the same moment.
    let raced = window.link(&stage.home, "owner").await?;
    let (one, other) = tokio::join!(guest.post(&raced, &[]), guest.post(&raced, &[]));
    let let_in = [one?, other?].iter().filter(|answer| answer.cookie().is_some()).count();
    ensure!(let_in == 1, "{let_in} are let in by one link");
    // Guesses are bounded, for everybody together.
    let mut guesses = 0;
    while guest.post(&format!("/login/{:064x}", rand::random::<u128>()), &[]).await?.status != 429 {
        guesses += 1;
        ensure!(guesses <= 10, "{guesses} guesses within a minute");
    }
    is(&person.get("/").await?, &[200], "who is logged in")?;
    // They keep nobody out who has a link.
    is(&window.log_in(&stage.home, "owner").await?.get("/").await?, &[200], "an owner with a link after many guesses")?;
    stage.during().await?;
    drop(window);
    remove(stage).await?;
    Ok(format!("one is let in once; {guesses} guesses of 256 bits were left, and keep no owner out"))
}

async fn secrets(trial: &mut Trial) -> Result<String> {
    let plan = Plan::new()?;
    let [own, pass] = ["setting", "credential"].map(canary);
    let (token, kept) = (plan.home.keep_secret("token", &own)?, plan.home.keep_secret("pass", &pass)?);
    let stage = trial.start(plan.caller(|entry| entry.set("token", token).set("pass", kept))?).await?;
    let Pages { window, owner } = Pages::open(stage).await?;
    let (_, cookie) = owner.cookie.clone().context("no cookie")?;
    let link = window.link(&stage.home, "owner").await?;
    let canaries = [PASSWORD.as_str(), &own, &pass, &cookie, &link];
    let pages = crawl(&owner, &PAGES).await?;
    for (path, page) in &pages {
        let found = canaries.iter().find(|secret| page.body.contains(**secret));
        ensure!(found.is_none(), "a secret is on {path}: {}", page.body);
    }
    for file in ["sessions.json", "address"] {
        let text = std::fs::read_to_string(stage.home.path().join("data/window").join(file))?;
        ensure!(!canaries.iter().any(|secret| text.contains(*secret)), "a secret is in {file}: {text}");
    }
    let said = [window.log().all(), stage.host.log().all()].concat().join("\n");
    ensure!(!canaries.iter().any(|secret| said.contains(*secret)), "a secret is in the log");
    stage.during().await?;
    drop(window);
    remove(stage).await?;
    Ok(format!("none on {} pages, in the log, or in what is kept of sessions", pages.len()))
}
