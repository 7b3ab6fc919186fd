//! The pages of `parlor web`, by requests with exact bytes on the wire: log-ins, refusals, and that no page shows
//! forbidden data.

mod bounds;
mod changes;
mod customers;
mod install;
mod links;
mod requests;
mod roles;
mod sessions;
mod webhooks;
mod words;

use std::collections::BTreeMap;

use parlor_tests::host::{Home, Host};
use parlor_tests::policy::Policy;
use parlor_tests::server::Account;
use parlor_tests::window::{Answer, Session, Window, crawl};
use serde_json::Value;

use super::{SOON, echo, ended, home, start};

/// The links that are followed first.
const PAGES: [&str; 10] =
    ["/", "/accounts", "/plugins", "/plugins/echo", "/rooms", "/contacts", "/keys", "/audit", "/explain", "/install"];

/// A host with echo, with open pages.
struct House {
    window: Window,
    host: Host,
    home: Home,
    account: Account,
}

impl House {
    async fn open() -> Self {
        let (home, account) = home().await;
        let policy = Policy::default().with("echo", echo(&home));
        Self::open_as_it_is(home, account, &policy).await
    }

    async fn open_as_it_is(home: Home, account: Account, policy: &Policy) -> Self {
        let host = start(&home, policy).await;
        host.wait_count("plugin running", &[("plugin", "echo")], 1, SOON).await.unwrap();
        let window = Window::open(&home).await.unwrap();
        Self { window, host, home, account }
    }

    async fn log_in(&self, role: &str) -> Session {
        self.window.log_in(&self.home, role).await.unwrap()
    }

    /// Returns the file with links and sessions.
    fn kept(&self) -> std::path::PathBuf {
        self.home.path().join("data/window/sessions.json")
    }

    /// Changes the file with links and sessions, as time or an administrator might.
    fn edit(&self, edit: impl FnOnce(&mut Value)) {
        let mut kept = serde_json::from_slice(&std::fs::read(self.kept()).unwrap()).unwrap();
        edit(&mut kept);
        std::fs::write(self.kept(), kept.to_string()).unwrap();
    }

    /// Returns the entries of the audit about echo.
    async fn audit(&self) -> Vec<Value> {
        let shown = self.home.run(&["audit", "--json", "--plugin", "echo", "--lines", "1000"]).await.unwrap();
        ended(shown, 0).json().unwrap()["entries"].as_array().unwrap().clone()
    }

    /// Returns how often a person had echo restarted.
    async fn restarts(&self) -> usize {
        self.audit().await.iter().filter(|entry| entry["what"] == "restarted").count()
    }
}

/// Follows the links of all pages, beginning with the usual ones. Only an owner sees all of them.
async fn pages(session: &Session) -> BTreeMap<String, Answer> {
    crawl(session, &PAGES).await.unwrap()
}

/// Returns the pages that an owner sees, which are all there are.
async fn all_pages(owner: &Session) -> BTreeMap<String, Answer> {
    let pages = pages(owner).await;
    assert!(pages.values().all(|page| page.status == 200), "{pages:#?}");
    pages
}

/// Checks that an answer is a refusal with this status, and that it tells nothing more.
#[track_caller]
fn refused(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.cookie(), None, "{answer:?}");
}
