//! The client with which an instance makes requests over the web.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use parlor_base::permission::Permission;
use parlor_https::trust::client_config_with;
use parlor_session::permissions::{Grants, Scope};
use parlor_stanza::error::CallError;
use parlor_web::{Client, is_public};

use super::Instance;

/// The client of an instance, once it has made a request.
#[derive(Default)]
pub(crate) struct WebClient(Mutex<Option<Box<Made>>>);

struct Made {
    /// The grants that it was made for: it dials what they allow.
    grants: Arc<Grants>,
    /// The certificates that it trusts beside the system's.
    ca_file: Option<PathBuf>,
    client: Client,
}

impl WebClient {
    /// Returns the client for requests over the web of an instance. After a change of its grants or of trusted
    /// certificates it is another one: open connections may lead to what is no longer allowed.
    pub(crate) fn of(instance: &Instance) -> Result<Client, CallError> {
        let (grants, web) = (Arc::clone(&instance.mailbox.grants()), instance.account.web.load_full());
        let mut made = instance.web.made();
        if let Some(made) =
            made.as_ref().filter(|made| Arc::ptr_eq(&made.grants, &grants) && made.ca_file == web.ca_file)
        {
            return Ok(made.client.clone());
        }
        let tls = client_config_with(web.ca_file.as_deref());
        let tls = tls.map_err(|error| CallError::Tls(error.to_string()))?;
        let allowed = Arc::clone(&grants);
        let may_dial = move |address: SocketAddr, by_name: bool| {
            let lists = |scope: &Scope| scope.lists(address, by_name);
            is_public(address.ip()) || allowed.get(Permission::HttpFetch).is_some_and(lists)
        };
        let client = Client::new(may_dial, tls, instance.account.place.runtime.clone());
        *made = Some(Box::new(Made { grants, ca_file: web.ca_file.clone(), client: client.clone() }));
        Ok(client)
    }

    /// Ends the connections, as for an instance without a guest.
    pub(super) fn shrink(&self) {
        *self.made() = None;
    }

    fn made(&self) -> MutexGuard<'_, Option<Box<Made>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
