//! Listens for requests to webhooks of plugins, while there are any and the configuration says where.
//!
//! Requests to unknown webhooks, requests without a valid signature, and requests that are too long get the same answer
//! after the same work. So no one can find out which addresses exist. While a plugin with webhooks is not running yet,
//! all of these get the answer to retry.

mod address;
mod counts;
#[cfg(feature = "cluster")]
mod elsewhere;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use jiff::Timestamp;
use parlor_config::Web;
use parlor_plugins::webhook::{Given, Once, Unverified, Verification};
use parlor_runtime::supervisor::{Door, Reply as Outcome};
use parlor_store::WebhookRequest;
use parlor_web::server::{Arrived, Listen, Memory, NoBody, Reply, Server, certificate};
use parlor_web::{HeaderMap, header};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use self::address::parts;
#[cfg(feature = "cluster")]
use self::elsewhere::Place;
#[cfg(feature = "cluster")]
use crate::cluster::Serving;
use crate::host::{Host, webhooks};

pub use counts::Counts;

/// How much is read of a request that reaches no webhook, in bytes: as much as most webhooks take.
const STRANGERS: usize = 1 << 20;
/// The pause before it is tried again to listen.
const PAUSE: Duration = Duration::from_secs(10);
/// The longest query and header that a plugin gets, in bytes. A request with a longer one is refused: without it, the plugin
/// would not know that anything is missing.
const LONGEST: usize = 8 << 10;

/// The task that listens.
pub struct Listener {
    task: JoinHandle<()>,
    enough: oneshot::Sender<()>,
    /// Hears other nodes of the cluster.
    #[cfg(feature = "cluster")]
    serving: Option<Serving>,
}

impl Listener {
    /// Begins to listen as soon as it is needed.
    pub fn start(host: Arc<Host>) -> Self {
        let (enough, stops) = oneshot::channel();
        #[cfg(feature = "cluster")]
        let serving = elsewhere::serve(&host);
        Self {
            task: tokio::spawn(listen(host, stops)),
            enough,
            #[cfg(feature = "cluster")]
            serving,
        }
    }

    /// Takes no more requests, and lets those that have begun end. When this returns, it holds nothing of the host.
    pub async fn stop(self) {
        let _ = self.enough.send(());
        #[cfg(feature = "cluster")]
        if let Some(serving) = self.serving {
            let _ = tokio::join!(self.task, serving.finish(elsewhere::ANSWER));
            return;
        }
        let _ = self.task.await;
    }
}

/// Listens where the configuration says, while any plugin has webhooks.
async fn listen(host: Arc<Host>, mut stops: oneshot::Receiver<()>) {
    let (mut wanted, mut web) = (host.listening.wanted(), host.listening.section());
    let mut running: Option<(Listen, Server)> = None;
    let mut reported = Reported::default();
    loop {
        let (is_wanted, now) = (*wanted.borrow_and_update() > 0, web.borrow_and_update().clone());
        // A node also takes requests for the webhooks of other nodes.
        let is_wanted = is_wanted || (host.config().cluster.is_some() && now.listen.is_some());
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
            changed = wanted.changed() => if changed.is_err() { break },
            changed = web.changed() => {
                // Whoever has the configuration read again looks for the outcome in the log.
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

/// Answers a request.
async fn answer(host: &Host, arrived: Arrived) -> Reply {
    let counts = host.listening.counts();
    // This is asked before the search: a webhook that the search misses may be known a moment later. An account that is
    // counted here has begun to start its plugins.
    #[cfg(feature = "cluster")]
    let own = elsewhere::accounts(host);
    let are_all_known = webhooks::are_all_known(host).await;
    let door = match parts(&arrived.path) {
        Some((plugin, name, token)) => webhooks::find(host, &plugin, name, &token).await,
        None => None,
    };
    #[cfg(feature = "cluster")]
    let are_all_known = match elsewhere::find(host, door.is_some(), own, &arrived.path).await {
        Place::At(node, most) => return elsewhere::pass(host, arrived, &node, most).await,
        Place::Nowhere => are_all_known,
        Place::Unknown => false,
    };
    // A sender whose plugin is not running yet should retry. All senders get this answer, so it does not reveal which
    // addresses exist.
    let refuse = || if are_all_known { refused(counts) } else { busy(counts) };
    let (most, memory) = match &door {
        Some(door) => (door.longest_body(), Memory::Addressed),
        None => (STRANGERS, Memory::Strangers),
    };
    let mut passage = Passage { counts, door: door.as_ref(), end: End::Abandoned, received: 0, sent: 0 };
    let head = Head::of(&arrived);
    // Nothing of the body was read until here: only a path with the right token leads to a webhook, and to its share of the
    // memory. The room is held until the answer is there: until then the plugin, or the store, has the body as well.
    let (body, _room) = match arrived.body(most, memory).await {
        Ok(read) => read,
        Err(NoBody::NoRoom) => {
            passage.end = End::Delayed;
            return busy(counts);
        }
        Err(NoBody::TooLong | NoBody::Broken | NoBody::Late) => {
            passage.end = End::Refused;
            return refuse();
        }
    };
    take(counts, are_all_known, passage, &head, body).await
}

/// Answers a request whose body has come.
async fn take(counts: &Counts, are_all_known: bool, mut passage: Passage<'_>, head: &Head, body: Vec<u8>) -> Reply {
    let refuse = || if are_all_known { refused(counts) } else { busy(counts) };
    passage.received = body.len();
    let given = Given { header: &|name| single(&head.headers, name), body: &body, now: Timestamp::now() };
    let Ok((to, once)) = verify(passage.door, head, given) else {
        passage.end = End::Refused;
        return refuse();
    };
    // The sender is one that the owner knows, and is told what is wrong.
    if let Some(status) = head.too_long(to) {
        passage.end = End::Refused;
        counts.refused.fetch_add(1, Relaxed);
        return Reply::empty(status);
    }
    let request = head.request(to, body);
    let outcome = to.pass(request, once).await;
    let passed = match outcome {
        Outcome::Stored => Reply::empty(202),
        Outcome::Answer(answer) => Reply { status: answer.status, headers: answer.headers, body: answer.body },
        Outcome::NoAnswer(status) => Reply::empty(status),
        Outcome::Again => {
            passage.end = End::Refused;
            return refused(counts);
        }
        Outcome::Busy | Outcome::Failed => {
            passage.end = End::Delayed;
            return busy(counts);
        }
    };
    (passage.end, passage.sent) = (End::Accepted, passed.body.len());
    counts.passed.fetch_add(1, Relaxed);
    passed
}

/// A request on its way. It is recorded when this is dropped: if its sender disconnects, nothing else ends it.
struct Passage<'h> {
    counts: &'h Counts,
    door: Option<&'h Door>,
    end: End,
    /// The bytes of its body.
    received: usize,
    /// The bytes of the answer's body.
    sent: usize,
}

/// How a request to a webhook ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Accepted,
    Refused,
    Delayed,
    Abandoned,
}

impl End {
    /// Returns the word for it in the audit.
    fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Delayed => "delayed",
            Self::Abandoned => "abandoned",
        }
    }
}

impl Drop for Passage<'_> {
    fn drop(&mut self) {
        let Self { counts, door, end, received, sent } = &*self;
        counts.received.fetch_add(*received as u64, Relaxed);
        counts.sent.fetch_add(*sent as u64, Relaxed);
        if *end == End::Abandoned {
            counts.abandoned.fetch_add(1, Relaxed);
        }
        if let Some(door) = door {
            door.ended(end.as_str(), *received, *sent);
        }
    }
}

/// Verifies a request to a webhook. A request to an unknown webhook takes as long.
fn verify<'d>(door: Option<&'d Door>, head: &Head, given: Given<'_>) -> Result<(&'d Door, Once), Unverified> {
    /// The header of the signature that is computed for an unknown address.
    const ANY: &str = "x-hub-signature-256";
    match door {
        Some(door) if door.takes(&head.method) => {
            let once = door.verify(given)?;
            Ok((door, once))
        }
        Some(_) | None => {
            let wrong = "sha256=0000000000000000000000000000000000000000000000000000000000000000";
            let header = |name: &str| (name == ANY).then_some(wrong.as_bytes());
            let _ = Verification::github().check("nobody's secret", Given { header: &header, ..given });
            Err(Unverified)
        }
    }
}

/// Returns the answer to every request that is refused. Discord signs some requests wrongly on purpose, and removes an
/// address that answers those with anything but 401. A 401 names a way to identify oneself (RFC 9110, section 15.5.2);
/// browsers ask nobody for a password because of this one.
fn refused(counts: &Counts) -> Reply {
    counts.refused.fetch_add(1, Relaxed);
    Reply { headers: vec![("www-authenticate".to_owned(), "Bearer".to_owned())], ..Reply::empty(401) }
}

fn busy(counts: &Counts) -> Reply {
    counts.busy.fetch_add(1, Relaxed);
    Reply { headers: vec![("retry-after".to_owned(), "30".to_owned())], ..Reply::empty(503) }
}

/// The head of a request, as far as plugins get it.
struct Head {
    method: String,
    query: Option<String>,
    sender: String,
    headers: HeaderMap,
}

impl Head {
    fn of(arrived: &Arrived) -> Self {
        Self {
            method: arrived.method.as_str().to_owned(),
            query: arrived.query.clone(),
            sender: arrived.from.to_string(),
            headers: arrived.headers.clone(),
        }
    }

    /// Returns the status for a request of which the plugin would get too much.
    fn too_long(&self, door: &Door) -> Option<u16> {
        if self.query.as_ref().is_some_and(|query| query.len() > LONGEST) {
            return Some(414);
        }
        let mut shown = self.headers.iter().filter(|(name, _)| door.passes_on(name.as_str()));
        shown.any(|(_, value)| value.len() > LONGEST).then_some(431)
    }

    fn request(&self, door: &Door, body: Vec<u8>) -> WebhookRequest {
        let shown = self.headers.iter().filter(|(name, _)| door.passes_on(name.as_str()));
        let text = |(name, value): (&header::HeaderName, &header::HeaderValue)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        WebhookRequest {
            webhook: String::new(),
            sender: self.sender.clone(),
            method: self.method.clone(),
            query: self.query.clone(),
            headers: shown.map(text).collect(),
            body,
        }
    }
}

/// Returns the value of a header that occurs exactly once: of two, it is unknown which one was signed.
fn single<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h [u8]> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { Some(value.as_bytes()) }
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

    #[test]
    fn a_header_that_comes_twice_has_no_value() {
        let mut headers = HeaderMap::new();
        headers.append("x-a", header::HeaderValue::from_static("1"));
        headers.append("x-b", header::HeaderValue::from_static("1"));
        headers.append("x-b", header::HeaderValue::from_static("1"));
        assert_eq!(
            (single(&headers, "x-a"), single(&headers, "x-b"), single(&headers, "x-c")),
            (Some(&b"1"[..]), None, None)
        );
    }
}
