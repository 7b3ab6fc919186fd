//! The work outside of the window when somebody asks for a link on its log-in page, and when somebody logs in.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, bail};
use parlor::control::client::{self, try_get};
use parlor::control::views::Status;
use parlor_base::escape::{EscapedPath as _, escape_untrusted};
use parlor_runtime::audited::retention;
use parlor_store::{AuditFile, AuditKind, By, NewAuditEntry};
use parlor_window::{LinkRequest, Problem, Role, Session, Standing, Store};
use tokio::task::spawn_blocking;

use super::host::{Host, by, problem};
use super::links::{Letter, MINUTES, for_accounts};

/// The most of an address that is shown, in bytes.
const LONGEST: usize = 1 << 10;

/// Returns whether the log-in page has links sent. With a configuration that cannot be read it does not: that may be the one that
/// turns them off.
pub(super) fn offers(host: &Arc<Host>) -> bool {
    host.sends_links()
}

/// Has a link sent, if it is for an owner, and answers before that: nobody learns from the answer or its time who is one.
pub(super) async fn ask(host: Arc<Host>, request: LinkRequest) -> Result<(), Problem> {
    let looked = Arc::clone(&host);
    let state = spawn_blocking(move || {
        let config = looked.config().ok()?;
        if !offers(&looked) {
            return Some(Err(LinkRequest::not_offered()));
        }
        Some(Ok(can_send(&try_get(&config.data, "/v1/status")?)))
    });
    match state.await.unwrap_or_default().transpose()? {
        None => {
            let says =
                "the host does not answer, so nobody can be sent a link: see whether `parlor run` runs on its machine";
            return Err(Problem::new(503, says));
        }
        Some(false) => {
            let says = "no account of the host is connected, so nobody can be sent a link: `parlor status` says why, on its machine";
            return Err(Problem::new(503, says));
        }
        Some(true) => {}
    }
    if !host.links.put(request) {
        tracing::warn!("a request for a link to the window was dropped: too many wait");
    }
    Ok(())
}

fn can_send(status: &Status) -> bool {
    status.accounts.iter().any(|account| account.connection == "connected")
}

/// Carries out the requests for links, one after the other.
pub(super) async fn send_all(host: Arc<Host>) {
    let Some(mut waiting) = host.links.take() else { return };
    while let Some(request) = waiting.recv().await {
        let host = Arc::clone(&host);
        match spawn_blocking(move || send(&host, &request)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!("a link to the window was not sent: {error:#}"),
            Err(error) => tracing::error!(%error, "a link to the window was not sent"),
        }
    }
}

/// Sends a link, if it is for an owner. Owners have no lesser role than that.
fn send(host: &Arc<Host>, request: &LinkRequest) -> anyhow::Result<()> {
    let config = host.config()?;
    // It may have waited since before that was changed.
    if !offers(host) {
        bail!("`links` under [window] in {} does not let the log-in page have any sent", config.path.escaped());
    }
    let Some(owner) = host.links.owner(&config, request, Instant::now()) else { return Ok(()) };
    let client = client::find(&config.data, || {})?.context("the host has stopped")?;
    let (role, minutes, is_asked) = (Role::Owner, MINUTES, true);
    let letter = Letter { address: &request.address, to: &owner, role, minutes, account: None, is_asked };
    let (said, name) = letter.send(&client, &Store::new(&config.data))?;
    tracing::info!(account = %said.account, %owner, session = %name, "a link to the window was sent");
    Ok(())
}

/// Records that a session began.
pub(super) async fn began(host: Arc<Host>, session: Session) -> Result<(), Problem> {
    let record = move || {
        let config = host.config()?;
        let what =
            format!("somebody logged in to the window, as {}{}", session.role, for_accounts(session.accounts.as_ref()));
        let by = By { way: "log-in page".to_owned(), ..by(&session) };
        let entry = NewAuditEntry::new(AuditKind::Host, &by, &what);
        AuditFile::create(&config.data, retention(&config))?.add(&[entry])?;
        anyhow::Ok(())
    };
    let recorded = spawn_blocking(record).await;
    recorded.unwrap_or_else(|error| Err(error.into())).map_err(|error| {
        tracing::error!("nobody can log in to the window, since that cannot be recorded: {error:#}");
        let Problem { status, .. } = problem(&error);
        Problem::new(status, "you were not let in, since the audit cannot be written: the log of `parlor web` says why")
    })
}

/// Returns which accounts somebody is still an owner of to whom a link was sent.
pub(super) fn standing(host: &Arc<Host>, jid: &str) -> Standing {
    host.standing(jid)
}

/// Records that sessions and links ended, since they were those of somebody who is no owner any more.
pub(super) fn ended(host: &Arc<Host>, jid: &str, count: usize) {
    let shown = escape_untrusted(jid, LONGEST);
    tracing::info!(jid = %shown, count, "sessions and links of somebody who is no owner any more ended");
    let record = || {
        let config = host.config()?;
        let what = format!("{shown} is no owner any more: {count} sessions and links of the window ended");
        let entry =
            NewAuditEntry::new(AuditKind::Host, &By::file("parlor.toml", &config.path, "read by the window"), &what);
        AuditFile::create(&config.data, retention(&config))?.add(&[entry])?;
        anyhow::Ok(())
    };
    if let Err(error) = record() {
        tracing::error!("the audit does not say that {shown} was logged out: {error:#}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn without_a_host_it_is_said_that_nobody_can_be_sent_a_link() {
        let host = Arc::new(Host::new(super::super::tests::target()));
        let request = LinkRequest { jid: "ann@example.org".to_owned(), address: "http://127.0.0.1:8470/".to_owned() };
        let problem = ask(host, request).await.unwrap_err();
        assert!(problem.status == 503 && problem.sentence.contains("the host does not answer"), "{problem:?}");
    }
}
