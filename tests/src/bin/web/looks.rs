//! The pages, each as somebody sees it who only looks.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use parlor_tests::clerk;

use crate::browser::View;
use crate::stage::{HOSTILE, Stage};

/// A page.
#[derive(Debug)]
pub(crate) struct Look {
    /// Its name, also in the names of pictures.
    pub(crate) name: &'static str,
    path: &'static str,
    /// The words that it must show.
    words: &'static [&'static str],
    /// Whether it shows what a stranger wrote.
    is_hostile: bool,
}

const fn look(name: &'static str, path: &'static str, words: &'static [&'static str]) -> Look {
    Look { name, path, words, is_hostile: false }
}

/// Every page. The clerk is described in [`clerk`].
pub(crate) const ALL: &[Look] = &[
    look("home", "/", &["main", "clerk", "echo"]),
    look("plugins", "/plugins", &["clerk", "echo", "running"]),
    Look { name: "plugin", path: "/plugins/clerk", words: &["clerk", "messages.send", "0.1.0"], is_hostile: true },
    look("rooms", "/rooms", &["joined", "out"]),
    look("keys", "/keys", &["main"]),
    look("audit", "/audit", &["parlor plugin add"]),
    look("audit-of-a-plugin", "/audit?plugin=clerk", &["It wrote to", "It was denied", clerk::STRANGER]),
    look("explain", "/explain", &["Plugin"]),
    look("explained", "/explain?plugin=clerk&what=chats.send&about=stranger%40nowhere.invalid", &["messages.send"]),
    look("install", "/install", &["Install"]),
    look("doctor", "/doctor", &["Doctor"]),
    look("not-found", "/plugins/nobody", &["nobody"]),
    look("login", "/login", &["Send me a link", "parlor web login"]),
];

/// Looks at a page in one way; with `keeps`, also keeps a picture of it.
pub(crate) async fn look_at(stage: &mut Stage, look: &Look, view: View, keeps: bool) -> Result<String> {
    let browser = &stage.browser;
    browser.view(view).await?;
    if look.path == "/login" {
        browser.set_cookies(&stage.url("/"), &[]).await?;
    } else {
        stage.be_owner().await?;
    }
    browser.forget_console().await?;
    stage.open(look.path).await?;
    browser.shows(look.words).await?;
    if look.is_hostile {
        let text = browser.text().await?;
        ensure!(text.contains(HOSTILE), "what a stranger wrote is not shown as it is written:\n{text}");
        ensure!(browser.count(".stranger").await? > 0, "what a stranger wrote is not marked as such");
    }
    if look.name == "not-found" {
        // The status of such a page is an error of the network, for Chromium.
        browser.forget_console().await?;
    }
    stage.keeps_secrets().await?;
    browser.is_well_made().await?;
    if keeps && is_for_docs(view) {
        let file = file(look, view);
        std::fs::create_dir_all(file.parent().context("a picture lies in a folder")?)?;
        std::fs::write(&file, browser.picture().await?).with_context(|| format!("cannot write {}", file.display()))?;
        return Ok(format!("kept as {}", file.display()));
    }
    Ok(look.path.to_owned())
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
