//! Logging in and out, the offers for each role, and the keyboard.

use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use parlor_tests::clerk::ID;
use parlor_tests::host::Server;
use parlor_tests::window::link_in;
use serde_json::Value;

use crate::changes::{button, by_web, is_in_the_audit};
use crate::stage::{RECEIVER, SOON, Stage};
use crate::steps::{Act, act};

/// Every act with its name.
pub(crate) const ALL: &[(&str, Act)] = &[
    act!("a viewer logs in by a link, is offered no change, and logs out", viewer),
    act!("a session that is ended from the command line is over at once", ended),
    act!("an owner has a link sent, and logs in by it; nobody else is sent one", sent),
    act!("a customer sees and changes what is of the own account, and nothing of another's", customer),
    act!("the keyboard skips to the content, and each page says where one is", keyboard),
    act!("a plugin is restarted by the keyboard alone", by_keyboard),
];

/// The paths of pages that offer changes to those who may make them.
const PAGES: [&str; 7] = ["/plugins/clerk", "/accounts", "/rooms", "/contacts", "/keys", "/plugins", "/"];

async fn viewer(stage: &mut Stage) -> Result<String> {
    stage.browser.set_cookies(&stage.url("/"), &[]).await?;
    stage.open("/").await?;
    ensure!(stage.browser.address().await?.ends_with("/login"), "a stranger is shown a page");
    let link = stage.link("viewer").await?;
    // Somebody's chat client looks at the link before a person does.
    stage.open(&link).await?;
    stage.browser.is_well_made().await?;
    stage.enter(&link).await?;
    for page in PAGES {
        stage.open(page).await?;
        let forms = stage.browser.count("main form[method=post]").await?;
        ensure!(forms == 0, "a viewer is offered {forms} changes at {page}");
    }
    let before = stage.browser.cookies().await?;
    stage.browser.press("form[action$='/logout'] button").await?;
    stage.browser.leads_to("/login").await.context("logging out")?;
    // Neither the cookie nor the link is worth anything now.
    stage.browser.set_cookies(&stage.url("/"), &before).await?;
    stage.open("/plugins").await?;
    ensure!(stage.browser.address().await?.ends_with("/login"), "a session that was ended goes on");
    stage.open(&link).await?;
    stage.browser.press("main form button").await?;
    stage.browser.has("#problem").await.context("a link works twice")?;
    Ok(format!("{} pages", PAGES.len()))
}

async fn ended(stage: &mut Stage) -> Result<String> {
    let name = format!("guest-{:08x}", rand::random::<u32>());
    let link = parlor_tests::window::link(&stage.home, &["--role", "operator", "--name", &name]).await?;
    // A log-in ends the browser's session, and that is the owner's.
    stage.browser.set_cookies(&stage.url("/"), &[]).await?;
    stage.enter(&link).await?;
    ensure!(stage.browser.source().await?.contains(&name), "the page does not say who is logged in");
    let sessions = stage.parlor(&["web", "sessions"]).await?;
    ensure!(sessions.contains(&name) && sessions.contains("operator"), "{sessions}");
    stage.parlor(&["web", "sessions", "end", &name]).await?;
    stage.browser.reload().await?;
    ensure!(stage.browser.address().await?.ends_with("/login"), "a session that was ended goes on");
    Ok(name)
}

async fn sent(stage: &mut Stage) -> Result<String> {
    let owner = stage.juliet.jid().to_bare().to_string();
    let mut answers = Vec::new();
    for jid in ["mallory@localhost", owner.as_str()] {
        stage.browser.set_cookies(&stage.url("/"), &[]).await?;
        stage.open("/login").await?;
        stage.browser.fill("#jid", jid).await?;
        stage.browser.press("#send").await?;
        stage.browser.shows(&["If this is the JID of an owner"]).await?;
        stage.browser.is_well_made().await?;
        answers.push(stage.browser.text().await?);
    }
    ensure!(answers[0] == answers[1], "an owner and a stranger are told apart: {answers:?}");
    let bot = stage.bot.clone();
    let link = stage.juliet.wait_text("a link to log in with", &bot, SOON, link_in).await?;
    // Her client shows a preview.
    stage.open(&link).await?;
    stage.enter(&link).await?;
    let source = stage.browser.source().await?;
    ensure!(source.contains(&owner) && source.contains("(owner)"), "the page does not say who is logged in");
    let sessions = stage.parlor(&["web", "sessions"]).await?;
    ensure!(sessions.contains(&owner), "{sessions}");
    Ok(owner)
}

/// The pages of a customer, each with something that it shows.
const OWN: [(&str, &str); 8] = [
    ("/", "main"),
    ("/accounts", "1 to 1 of 1"),
    ("/plugins", ID),
    ("/plugins/clerk", "are changed by sessions of the whole host"),
    ("/rooms", "joined"),
    ("/contacts", "juliet"),
    ("/keys", "main"),
    ("/audit", "main"),
];

/// Another customer has an account on the host for this long.
async fn customer(stage: &mut Stage) -> Result<String> {
    let blue = stage.prosody.fresh_account("neighbour")?;
    let bound = [("account", "blue")];
    let before = stage.host.lines("account connected", &bound).len();
    let way = Server::StartTls(stage.prosody.ports().starttls, stage.prosody.certificate());
    stage.home.add_account("blue", &blue, way)?;
    stage.host.wait_count("account connected", &bound, before + 1, SOON).await?;
    let seen = as_customer(stage, &blue.jid.to_string()).await;
    stage.home.remove_account("blue")?;
    let begin = Instant::now();
    while stage.parlor(&["status", "--json"]).await?.contains("\"blue\"") {
        ensure!(begin.elapsed() < SOON, "the other account does not leave");
    }
    seen
}

async fn as_customer(stage: &Stage, other: &str) -> Result<String> {
    let arguments = ["--role", "owner", "--account", "main", "--name", "ann"];
    let link = parlor_tests::window::link(&stage.home, &arguments).await?;
    stage.browser.set_cookies(&stage.url("/"), &[]).await?;
    stage.enter(&link).await?;
    for (page, words) in OWN {
        stage.open(page).await?;
        stage.browser.shows(&[words]).await?;
        let source = stage.browser.source().await?;
        ensure!(!source.contains(other) && !source.contains("blue"), "{page} shows the account of another customer");
        ensure!(source.contains("for the accounts main"), "{page} does not say how far the session reaches");
        stage.browser.is_well_made().await?;
    }
    let hosts = stage.browser.count("nav a[href='/install'], nav a[href='/explain'], nav a[href='/doctor']").await?;
    ensure!(hosts == 0, "a customer is led to {hosts} pages of the whole host");
    for page in ["/install", "/plugins/clerk/storage", "/accounts/show?account=blue"] {
        stage.open(page).await?;
        stage.browser.has("#problem").await.with_context(|| format!("a customer is shown {page}"))?;
        // The status of such a page is an error of the network, for Chromium.
        stage.browser.forget_console().await?;
        stage.browser.is_well_made().await?;
    }
    // This plugin also runs for the other customer.
    stage.open(&format!("/plugins/{RECEIVER}")).await?;
    stage.browser.press(&button(&format!("/plugins/{RECEIVER}/restart"))).await?;
    stage.agrees(&[RECEIVER]).await?;
    stage.browser.shows(&["accounts that are not yours"]).await?;
    stage.browser.forget_console().await?;
    // Rooms are those of the own account.
    stage.open("/rooms").await?;
    let choices = stage.browser.count("form[action='/rooms/join'] select[name=account] option").await?;
    ensure!(choices == 1, "a customer chooses among {choices} accounts");
    Ok(format!("{} pages", OWN.len()))
}

async fn keyboard(stage: &mut Stage) -> Result<String> {
    let pages = ["/", "/accounts", "/plugins", "/rooms", "/contacts", "/audit"].map(|path| (path, path));
    for (page, nav) in pages.into_iter().chain([("/accounts/show?account=main", "/accounts")]) {
        stage.open(page).await?;
        // The first stop of the tab key skips the navigation.
        stage.browser.type_into("body", TAB).await?;
        let first = stage.browser.run("return document.activeElement.className").await?;
        ensure!(first == "skip", "the first stop at {page} is {first}");
        let outline = stage.browser.run("return getComputedStyle(document.activeElement).outlineStyle").await?;
        ensure!(outline != "none", "the focus at {page} cannot be seen");
        stage.browser.type_into("a.skip", ENTER).await?;
        stage.browser.leads_to("#main").await.context("the first stop")?;
        let current = stage.browser.run("return document.querySelector('nav a[aria-current=page]')?.pathname").await?;
        ensure!(current == nav, "the navigation at {page} says {current}");
    }
    stage.open(&format!("/plugins/{ID}")).await?;
    let unnamed = "return [...document.querySelectorAll('main input:not([type=hidden]), main select, main textarea')]
        .filter(field => !field.labels.length && !field.getAttribute('aria-label')).map(field => field.name)";
    let unnamed = stage.browser.run(unnamed).await?;
    ensure!(unnamed.as_array().is_some_and(Vec::is_empty), "fields without a label: {unnamed}");
    Ok("skips to #main".to_owned())
}

/// Presses the tab key until the focus is on what matches, and can be seen there.
async fn tab_to(stage: &Stage, css: &str) -> Result<()> {
    let is_there = format!("return document.activeElement?.matches({}) ?? false", Value::from(css));
    for _ in 0..MOST_STOPS {
        stage.browser.keys(TAB).await?;
        if stage.browser.run(&is_there).await? == true {
            let outline = stage.browser.run("return getComputedStyle(document.activeElement).outlineStyle").await?;
            ensure!(outline != "none", "the focus on {css} cannot be seen");
            return Ok(());
        }
    }
    bail!("{MOST_STOPS} stops of the tab key do not lead to {css}")
}

/// Nothing is pressed by a pointer on the way.
async fn by_keyboard(stage: &mut Stage) -> Result<String> {
    let before = by_web(stage, "restarted").await?;
    stage.open("/").await?;
    tab_to(stage, "nav a[href='/plugins']").await?;
    stage.browser.keys(ENTER).await?;
    stage.browser.leads_to("/plugins").await?;
    let plugin = format!("main a[href='/plugins/{ID}']");
    stage.browser.has(&plugin).await?;
    tab_to(stage, &plugin).await?;
    stage.browser.keys(ENTER).await?;
    stage.browser.leads_to(&format!("/plugins/{ID}")).await?;
    let restart = button(&format!("/plugins/{ID}/restart"));
    stage.browser.has(&restart).await?;
    tab_to(stage, &restart).await?;
    stage.browser.keys(ENTER).await?;
    stage.browser.has("#confirm").await?;
    tab_to(stage, "#confirm").await?;
    stage.browser.keys(ENTER).await?;
    let says = stage.notice().await?;
    is_in_the_audit(stage, "restarted", before).await?;
    Ok(says)
}

/// The most stops of the tab key on a page, before it counts as one that leads nowhere.
const MOST_STOPS: usize = 300;
/// The keys, as the driver takes them.
const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";
