//! The pages, each as somebody sees it who only looks.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use futures_util::future::LocalBoxFuture;
use parlor_tests::clerk::{self, ID, KEPT};
use parlor_tests::plugins;
use serde_json::Value;

use crate::browser::View;
use crate::stage::{HOSTILE, QUEUE, Stage};

/// A page.
pub(crate) struct Look {
    /// Its name, also in the names of pictures.
    pub(crate) name: &'static str,
    way: Way,
    /// The words that it must show.
    words: &'static [&'static str],
    /// Whether it shows what a stranger wrote.
    is_hostile: bool,
}

/// How somebody gets to a page.
#[derive(Clone, Copy)]
enum Way {
    /// By its path, as the owner.
    Path(&'static str),
    /// The same, of a list that is empty then. The documentation has no picture of it.
    Empty(&'static str),
    /// By its path, without a session.
    Outside(&'static str),
    /// By links and buttons of other pages, as the owner.
    Led(Lead),
    /// The same, without a session.
    LedOutside(Lead),
}

/// Goes to a page.
type Lead = for<'s> fn(&'s Stage) -> LocalBoxFuture<'s, Result<()>>;

const fn look(name: &'static str, path: &'static str, words: &'static [&'static str]) -> Look {
    Look { name, way: Way::Path(path), words, is_hostile: false }
}

const fn led(name: &'static str, way: Way, words: &'static [&'static str]) -> Look {
    Look { name, way, words, is_hostile: false }
}

/// Every page. The clerk is described in [`clerk`].
pub(crate) const ALL: &[Look] = &[
    look("home", "/", &["main", "clerk", "echo", "The last day", "Messages", "at most"]),
    look("accounts", "/accounts", &["main", "connected", "1 to 1 of 1", "2 rooms"]),
    Look {
        name: "account",
        way: Way::Path("/accounts/show?account=main"),
        words: &["connected", ID, "joined", "out"],
        is_hostile: true,
    },
    led("accounts-like-that", Way::Empty("/accounts?state=failed&words=nobody"), &["No account is like that."]),
    look("plugins", "/plugins", &["clerk", "echo", "running"]),
    Look {
        name: "plugin",
        way: Way::Path("/plugins/clerk"),
        words: &["clerk", "messages.send", "0.1.0"],
        is_hostile: true,
    },
    Look {
        name: "webhooks",
        way: Way::Path("/plugins/receiver"),
        words: &[QUEUE, "The last requests on main", "127.0.0.1", "Tell it again"],
        is_hostile: true,
    },
    led("plugins-like-that", Way::Empty("/plugins?state=attention&words=nobody"), &["No plugin is like that."]),
    look("rooms", "/rooms", &["joined", "out", "1 to 2 of 2"]),
    led("rooms-like-that", Way::Empty("/rooms?state=joining&words=nobody"), &["No room is like that."]),
    look("contacts", "/contacts", &["juliet", "main", "1 to 1 of 1"]),
    led("contacts-like-that", Way::Empty("/contacts?state=xa&words=nobody"), &["No contact is like that."]),
    look("keys", "/keys", &["main"]),
    look("audit", "/audit", &["parlor plugin add"]),
    look("audit-of-a-plugin", "/audit?plugin=clerk", &["It wrote to", "It was denied", clerk::STRANGER]),
    look("explain", "/explain", &["Plugin"]),
    look("explained", "/explain?plugin=clerk&what=chats.send&about=stranger%40nowhere.invalid", &["messages.send"]),
    look("install", "/install", &["Install"]),
    look("doctor", "/doctor", &["Doctor"]),
    look("not-found", "/plugins/nobody", &["nobody"]),
    led("login", Way::Outside("/login"), &["Send me a link", "parlor web login"]),
    led("room", Way::Led(|stage| Box::pin(room(stage))), &["joined", ID, "rooms.send"]),
    led("key", Way::Led(|stage| Box::pin(key(stage))), &["A key", "nurse"]),
    look("storage", "/plugins/clerk/storage", &KEPT),
    led("value", Way::Led(|stage| Box::pin(value(stage))), &KEPT),
    led("install-begun", Way::Led(|stage| Box::pin(install(stage))), &["messages.read", "to hear what people say"]),
    led("question", Way::Led(|stage| Box::pin(asks(stage, "restart"))), &["Restart clerk?", "No, go back"]),
    led("question-of-a-removal", Way::Led(|stage| Box::pin(asks(stage, "remove"))), &[ID, "No, go back"]),
    led("question-of-a-grant", Way::Led(|stage| Box::pin(asks_for_more(stage))), &["contact list", "No, go back"]),
    led("link", Way::LedOutside(|stage| Box::pin(link(stage))), &["This link can be used once."]),
    led("sent", Way::LedOutside(|stage| Box::pin(sent(stage))), &["If this is the JID of an owner"]),
];

/// Opens the page to which a link of this page leads.
async fn follow(stage: &Stage, css: &str) -> Result<()> {
    let script = format!("return document.querySelector({})?.href ?? ''", Value::from(css));
    let is_there = |found: &Value| found.as_str().is_some_and(|found| !found.is_empty());
    stage.browser.waits(&script, is_there).await.with_context(|| format!("no {css}"))?;
    let found = stage.browser.run(&script).await?;
    stage.browser.open(found.as_str().unwrap_or_default()).await
}

async fn room(stage: &Stage) -> Result<()> {
    stage.open("/rooms").await?;
    let room = stage.clerk.room.to_string();
    let name = room.split('@').next().unwrap_or_default();
    follow(stage, &format!("main a[href*='{name}']")).await
}

async fn key(stage: &Stage) -> Result<()> {
    stage.open("/keys").await?;
    follow(stage, "main a[href^='/keys/show']").await
}

async fn value(stage: &Stage) -> Result<()> {
    stage.open("/plugins/clerk/storage").await?;
    follow(stage, &format!("main a[href*='key={}']", KEPT[0])).await
}

/// Goes to an install that nobody has decided yet, and begins it the first time.
async fn install(stage: &Stage) -> Result<()> {
    stage.open("/install").await?;
    let begun = "main a[href^='/install/']";
    if stage.browser.count(begun).await? > 0 {
        return follow(stage, begun).await;
    }
    let file = stage.home.path().join("undecided.wasm");
    std::fs::write(&file, plugins::built("echo")?.bytes()?)?;
    stage.browser.type_into("input[type=file]", &file.display().to_string()).await?;
    stage.browser.press("form[action='/install/file'] button[type=submit]").await
}

/// Presses a button of the clerk's page, which asks first.
async fn asks(stage: &Stage, change: &str) -> Result<()> {
    stage.open("/plugins/clerk").await?;
    stage.browser.press(&format!("form[action='/plugins/clerk/{change}'] button[type=submit]")).await
}

async fn asks_for_more(stage: &Stage) -> Result<()> {
    stage.open("/plugins/clerk").await?;
    // The permissions that it does not have are folded.
    stage.browser.press("#more > summary").await?;
    let form = "form[action='/plugins/clerk/grant']:has(input[value='contacts.read'])";
    stage.browser.press(&format!("{form} button[type=submit]")).await
}

async fn link(stage: &Stage) -> Result<()> {
    let link = stage.link("viewer").await?;
    stage.open(&link).await
}

async fn sent(stage: &Stage) -> Result<()> {
    stage.open("/login").await?;
    stage.browser.fill("#jid", "mallory@localhost").await?;
    stage.browser.press("#send").await
}

/// Looks at a page in one way; with `keeps`, also keeps a picture of it.
pub(crate) async fn look_at(stage: &Stage, look: &Look, view: View, keeps: bool) -> Result<String> {
    let browser = &stage.browser;
    browser.view(view).await?;
    match look.way {
        Way::Path(_) | Way::Empty(_) | Way::Led(_) => stage.be_owner().await?,
        Way::Outside(_) | Way::LedOutside(_) => browser.set_cookies(&stage.url("/"), &[]).await?,
    }
    browser.forget_console().await?;
    match look.way {
        Way::Path(path) | Way::Empty(path) | Way::Outside(path) => stage.open(path).await?,
        Way::Led(lead) | Way::LedOutside(lead) => lead(stage).await?,
    }
    browser.shows(look.words).await?;
    if look.is_hostile {
        let text = browser.text().await?;
        ensure!(text.contains(HOSTILE), "what a stranger wrote is not shown as it is written:\n{text}");
        ensure!(browser.count(".stranger").await? > 0, "what a stranger wrote is not marked as such");
    }
    if look.name == "home" {
        // Each of the three has a gap.
        let lines = browser.count("figure.plot svg[role=img] polyline").await?;
        ensure!(lines >= 6, "the plots of the last day have {lines} lines");
    }
    if look.name == "not-found" {
        // The status of such a page is an error of the network, for Chromium.
        browser.forget_console().await?;
    }
    stage.keeps_secrets().await?;
    browser.is_well_made().await?;
    let has_path = matches!(look.way, Way::Path(_) | Way::Outside(_));
    if keeps && has_path && is_for_docs(view) {
        let file = file(look, view);
        std::fs::create_dir_all(file.parent().context("a picture lies in a folder")?)?;
        std::fs::write(&file, browser.picture().await?).with_context(|| format!("cannot write {}", file.display()))?;
        return Ok(format!("kept as {}", file.display()));
    }
    Ok(look.name.to_owned())
}

/// Returns whether a picture is kept of a page that is looked at in this way: of each one, wide and light, and of what is on a
/// phone in the dark.
fn is_for_docs(view: View) -> bool {
    view.scripts && (view.width > 700) != view.dark
}

/// Returns the file of a picture.
fn file(look: &Look, view: View) -> PathBuf {
    let size = if view.width > 700 { "" } else { "-narrow" };
    parlor_tests::docs::folder().join("owner/images").join(format!("{}{size}.png", look.name))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// A new page has its pictures taken: `cargo xtask web --screens`.
    #[test]
    fn each_page_has_its_pictures_in_the_documentation_and_no_other_is_there() {
        let looks = ALL.iter().filter(|look| matches!(look.way, Way::Path(_) | Way::Outside(_)));
        let ways: Vec<_> = View::all().filter(|view| is_for_docs(*view)).collect();
        let wanted: BTreeSet<_> = looks.flat_map(|look| ways.iter().map(|view| file(look, *view))).collect();
        let folder = parlor_tests::docs::folder().join("owner/images");
        let there: BTreeSet<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(there, wanted);
    }
}
