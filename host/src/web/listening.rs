//! The task that listens for requests to webhooks, while there are any and the configuration says where.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parlor_config::Web;
use parlor_runtime::webhooks::RestingWebhooks;
use parlor_web::server::{Listen, Server, certificate};
use tokio::sync::{oneshot, watch};

use super::answer;
use crate::host::{Host, webhooks};

/// The pause before it is tried again to listen.
const PAUSE: Duration = Duration::from_secs(10);

/// Listens where the configuration says, while any plugin has webhooks.
pub(super) async fn listen(host: Arc<Host>, mut stops: oneshot::Receiver<()>) {
    let mut web = host.listening.section();
    let mut needs = Needs { wanted: host.listening.wanted(), resting: host.listening.resting() };
    let mut running: Option<(Listen, Server)> = None;
    let mut reported = Reported::default();
    loop {
        let now = web.borrow_and_update().clone();
        // A node also takes requests for the webhooks of other nodes.
        let is_node = host.config().cluster.is_some() && now.listen.is_some();
        let mut is_wanted = needs.are_there() || is_node;
        if !is_wanted && running.is_some() {
            // A plugin that is disabled or replaced goes before its webhooks are noted, or those of the next version.
            tokio::select! {
                biased;
                _ = &mut stops => break,
                () = webhooks::change_is_over(&host) => {}
            }
            is_wanted = needs.are_there();
        }
        let settled = settle(&host, &mut running, is_wanted, &now).await;
        let fault = settled.as_ref().err().map(|error| fault(error, running.as_ref().map(|(listen, _)| listen.at)));
        let is_new = reported.is_new(fault.as_deref());
        if let Err(error) = &settled
            && is_new
        {
            report(error, running.is_some());
        }
        host.listening.note_fault(fault);
        tokio::select! {
            biased;
            _ = &mut stops => break,
            changed = needs.change() => if changed.is_err() { break },
            changed = web.changed() => {
                // An owner who has the configuration read again looks for the outcome in the log.
                reported = Reported::default();
                if changed.is_err() { break }
            },
            () = tokio::time::sleep(PAUSE), if settled.is_err() => {}
        }
    }
    if let Some((_, server)) = running {
        server.stop().await;
    }
}

/// The webhooks for which a listener is needed.
struct Needs {
    /// The number of plugins with webhooks.
    wanted: watch::Receiver<usize>,
    /// The webhooks of plugins that may not run.
    resting: watch::Receiver<Arc<RestingWebhooks>>,
}

impl Needs {
    fn are_there(&mut self) -> bool {
        // Both count as seen.
        let (wanted, is_idle) = (*self.wanted.borrow_and_update(), self.resting.borrow_and_update().is_empty());
        wanted > 0 || !is_idle
    }

    async fn change(&mut self) -> Result<(), watch::error::RecvError> {
        tokio::select! {
            changed = self.wanted.changed() => changed,
            changed = self.resting.changed() => changed,
        }
    }
}

/// Returns why the settings are not in force, for owners. `former`: where the host listens with the former settings.
fn fault(error: &str, former: Option<SocketAddr>) -> String {
    let until =
        former.map(|at| format!("; until that is corrected, the host listens at {at} with the former settings"));
    format!("{error}{}", until.unwrap_or_default())
}

/// The fault that the log has last: a retry every ten seconds that fails for the same cause is no news.
#[derive(Default)]
struct Reported(Option<String>);

impl Reported {
    fn is_new(&mut self, fault: Option<&str>) -> bool {
        let is_new = self.0.as_deref() != fault;
        self.0 = fault.map(str::to_owned);
        is_new
    }
}

/// Writes into the log why the settings are not in force.
fn report(error: &str, is_running: bool) {
    if is_running {
        tracing::error!(
            %error,
            "webhooks are listened for as before, without the new settings: correct `listen`, `certificate` and `certificate_key` under [web], or the files that they name; this is tried again"
        );
    } else {
        tracing::error!(%error, "webhooks cannot be listened for; this is tried again");
    }
}

/// Runs a server according to the configuration, or none. A running server at the same address continues: a restart would
/// refuse requests, and interrupt connections.
async fn settle(
    host: &Arc<Host>,
    running: &mut Option<(Listen, Server)>,
    is_wanted: bool,
    web: &Web,
) -> Result<(), String> {
    // The certificate is read before anything is stopped: a server with the former one is better than none.
    let wanted = if is_wanted { wanted(web)? } else { None };
    if is_wanted && wanted.is_none() {
        tracing::warn!(
            "plugins have webhooks, and nobody listens for them: set `listen` under [web] in the configuration"
        );
    }
    if running.as_ref().map(|(listen, _)| listen) == wanted.as_ref() {
        return Ok(());
    }
    let Some(wanted) = wanted else {
        if let Some((_, server)) = running.take() {
            end(server).await;
        }
        return Ok(());
    };
    match running.take() {
        Some((former, server)) if former.at == wanted.at => {
            warn_without_tls(&wanted);
            server.change(wanted.tls.clone(), wanted.proxies.clone());
            tracing::info!(at = %server.address(), "webhooks are listened for with the new settings");
            *running = Some((wanted, server));
            Ok(())
        }
        Some((former, server)) => relocate(host, running, (former, server), wanted).await,
        None => {
            *running = Some(begin(host, wanted)?);
            Ok(())
        }
    }
}

/// Runs a server at another address. It listens before the former server ends, which takes until its last request is
/// answered. If it cannot listen, the former server continues.
async fn relocate(
    host: &Arc<Host>,
    running: &mut Option<(Listen, Server)>,
    (former, mut server): (Listen, Server),
    wanted: Listen,
) -> Result<(), String> {
    // `[::]:8080` includes `127.0.0.1:8080`, so only one of both can be listened at.
    let is_any = former.at.ip().is_unspecified() || wanted.at.ip().is_unspecified();
    let is_shared = is_any && former.at.port() == wanted.at.port();
    if !is_shared {
        return match begin(host, wanted) {
            Ok(begun) => {
                *running = Some(begun);
                end(server).await;
                Ok(())
            }
            Err(error) => {
                *running = Some((former, server));
                Err(error)
            }
        };
    }
    server.close().await;
    let (now, settled) = match begin(host, wanted) {
        Ok(begun) => (Some(begun), Ok(())),
        Err(error) => (begin(host, former).ok(), Err(error)),
    };
    *running = now;
    end(server).await;
    settled
}

/// Starts a server, and logs that.
fn begin(host: &Arc<Host>, listen: Listen) -> Result<(Listen, Server), String> {
    let server = start(host, listen.clone())?;
    warn_without_tls(&listen);
    tracing::info!(at = %server.address(), "webhooks are listened for");
    Ok((listen, server))
}

/// Lets the requests of a server end, and ends it.
async fn end(server: Server) {
    let at = server.address();
    server.stop().await;
    tracing::info!(%at, "webhooks are no longer listened for");
}

/// Reads the configuration of the listener for webhooks; `None` if it names no address.
fn wanted(web: &Web) -> Result<Option<Listen>, String> {
    let Some(at) = web.listen else { return Ok(None) };
    let tls = web.certificate.as_ref().map(|(chain, key)| certificate(chain, key)).transpose();
    let tls = tls.map_err(|error| error.to_string())?;
    Ok(Some(Listen { at, tls, proxies: web.proxies.clone() }))
}

/// Starts a server.
fn start(host: &Arc<Host>, listen: Listen) -> Result<Server, String> {
    let at = listen.at;
    let host = Arc::clone(host);
    let server = Server::start(listen, move |arrived| {
        let host = Arc::clone(&host);
        async move { answer(&host, arrived).await }
    });
    server.map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => {
            format!("another program listens at {at}: name another address in `listen` under [web]")
        }
        _ => format!("{at}: {error}"),
    })
}

/// Warns if other machines reach a server without TLS.
fn warn_without_tls(listen: &Listen) {
    let at = listen.at;
    if listen.tls.is_none() && !at.ip().is_loopback() {
        tracing::warn!(%at, "webhooks are listened for without TLS where other machines reach them: put a proxy before it, or set `certificate` under [web]");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_says_whether_the_former_settings_are_in_force() {
        assert_eq!(fault("it is taken", None), "it is taken");
        let says = "it is taken; until that is corrected, the host listens at 127.0.0.1:8080 with the former settings";
        assert_eq!(fault("it is taken", Some("127.0.0.1:8080".parse().unwrap())), says);
    }

    #[test]
    fn a_fault_is_reported_once_and_again_when_it_changes() {
        let mut reported = Reported::default();
        let news = ["taken", "taken", "no certificate", "taken"].map(|fault| reported.is_new(Some(fault)));
        assert_eq!(news, [true, false, true, true]);
        assert!(reported.is_new(None) && reported.is_new(Some("taken")));
    }
}
