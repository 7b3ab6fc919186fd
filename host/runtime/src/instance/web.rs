//! The clients with which an instance makes requests over the web, and sends and fetches files.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use parlor_base::permission::Permission;
use parlor_base::public_network::{is_public, is_public_with_nat64};
use parlor_config::Web;
use parlor_https::trust::client_config_with;
use parlor_session::permissions::{Grants, Scope};
use parlor_stanza::error::CallError;
use parlor_web::{Client, Proxy};

use super::Instance;

/// The clients of an instance, once it has made a request.
#[derive(Default)]
pub(crate) struct WebClient(Mutex<Option<Box<Clients>>>);

#[derive(Default)]
struct Clients {
    /// For the plugin's own requests.
    requests: Option<Made>,
    /// For files.
    files: Option<Made>,
}

struct Made {
    /// The grants that it was made for: it dials what they allow.
    grants: Arc<Grants>,
    /// The configuration that it was made for.
    web: Arc<Web>,
    client: Client,
}

impl WebClient {
    /// Returns the client for requests over the web of an instance. After a change of its grants or of trusted
    /// certificates the client is replaced: open connections may lead to servers that are no longer allowed.
    pub(crate) async fn of(instance: &Instance) -> Result<Client, CallError> {
        may_act(instance).await?;
        let (grants, web) = (Arc::clone(&instance.mailbox.grants()), instance.account.web.load_full());
        let mut clients = instance.seldom.web.clients();
        let made = &mut clients.get_or_insert_default().requests;
        if let Some(made) = made.as_ref().filter(|made| Arc::ptr_eq(&made.grants, &grants) && made.web == web) {
            return Ok(made.client.clone());
        }
        let tls = client_config_with(web.ca_file.as_deref());
        let tls = tls.map_err(|error| CallError::Tls(error.to_string()))?;
        let (allowed, is_public) = (Arc::clone(&grants), rule(&web));
        let may_dial = move |address: SocketAddr, by_name: bool| {
            let lists = |scope: &Scope| scope.lists(address, by_name);
            is_public(address.ip()) || allowed.get(Permission::HttpFetch).is_some_and(lists)
        };
        let client = Client::new(may_dial, proxy(&web), tls, instance.account.place.runtime.clone());
        let client = bound_to(instance, client);
        *made = Some(Made { grants, web, client: client.clone() });
        Ok(client)
    }

    /// Returns the client for files: those that messages refer to, and uploads to the account's server. In addition to
    /// the public network, it connects to the addresses that the owner lists under `[web]`.
    pub(crate) async fn for_files(instance: &Instance) -> Result<Client, CallError> {
        may_act(instance).await?;
        let (grants, web) = (Arc::clone(&instance.mailbox.grants()), instance.account.web.load_full());
        let mut clients = instance.seldom.web.clients();
        let made = &mut clients.get_or_insert_default().files;
        if let Some(made) = made.as_ref().filter(|made| made.web == web) {
            return Ok(made.client.clone());
        }
        let tls = client_config_with(web.ca_file.as_deref()).map_err(|error| CallError::Tls(error.to_string()))?;
        let (local, is_public) = (web.local_files.clone(), rule(&web));
        let may_dial = move |address: SocketAddr, _by_name: bool| is_public(address.ip()) || local.contains(&address);
        let client = Client::new(may_dial, proxy(&web), tls, instance.account.place.runtime.clone());
        let client = bound_to(instance, client);
        *made = Some(Made { grants, web, client: client.clone() });
        Ok(client)
    }

    /// Ends the connections, as for an instance without a guest.
    pub(super) fn shrink(&self) {
        *self.clients() = None;
    }

    fn clients(&self) -> MutexGuard<'_, Option<Box<Clients>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets a client make requests only as long as the account may act. This includes redirects and repeated requests, and the
/// latter count like any others.
fn bound_to(instance: &Instance, client: Client) -> Client {
    let (may_act, lasting) = (instance.account.may_act.clone(), Arc::clone(&instance.lasting));
    client.only_while(move || may_act.now()).counting_repeats(move |bytes| lasting.budgets.owe_request(bytes))
}

/// Waits until the account may act. If another node may have it, a request over the web would be one too many: the next holder repeats it.
async fn may_act(instance: &Instance) -> Result<(), CallError> {
    if instance.account.may_act.now_or_confirmed().await { Ok(()) } else { Err(CallError::Stopped) }
}

/// Returns the rule for addresses of the public network.
fn rule(web: &Web) -> fn(IpAddr) -> bool {
    if web.nat64 { is_public_with_nat64 } else { is_public }
}

/// Returns the proxy that the owner named. Addresses outside of the public network are those that the owner allowed one by
/// one: they are not behind it.
fn proxy(web: &Web) -> Option<Proxy> {
    let (to, is_public) = (web.outbound_proxy.as_ref()?, rule(web));
    Some(Proxy {
        host: to.host().to_owned(),
        port: to.port(),
        resolves: web.outbound_proxy_resolves,
        reaches: Arc::new(move |address| is_public(address.ip())),
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::that_may_act;
    use super::*;

    /// A machine that was suspended goes on in the middle of a handler.
    #[tokio::test]
    async fn nothing_goes_over_the_web_once_the_account_may_not_act() {
        for may in [true, false] {
            let (instance, _mailbox) = that_may_act(may);
            let clients = [WebClient::of(&instance).await, WebClient::for_files(&instance).await];
            for client in clients {
                assert_eq!(client.err(), (!may).then_some(CallError::Stopped));
            }
        }
    }

    #[test]
    fn addresses_that_stand_for_others_are_public_only_if_the_owner_says_that_the_network_translates() {
        let is_public = |nat64: bool, address: &str| rule(&Web { nat64, ..Web::default() })(address.parse().unwrap());
        assert!(is_public(true, "64:ff9b::8.8.8.8") && !is_public(true, "64:ff9b::10.0.0.1"));
        assert!(!is_public(false, "64:ff9b::8.8.8.8") && is_public(false, "8.8.8.8"));
    }
}
