//! The way of a request to a webhook: whether it gets in, and how it ends.

use std::sync::Arc;

use parlor_base::permission::Permission;
use parlor_config::AccountName;
use parlor_plugins::webhook::{
    Given, Mode, Once, SENDER_HEADER, TrialAnswer, Unverified, Verification, Webhook, once_of,
};
use parlor_store::{Acceptance, TallyKind, Traffic, WebhookRequest};

use super::super::{Shared, Supervised};
use super::reply::{Reply, queued};
use super::{answering, storing};
use crate::instance::WebhookAnswer;
use crate::webhooks::{GivenToken, Webhooks};

/// A plugin on one account that may have the webhook that a request names.
pub struct Candidate(Arc<Shared>);

/// How a request was verified.
pub struct Verified {
    once: Once,
    /// The answer to a request by which its sender only tries the address.
    trial: Option<TrialAnswer>,
    /// The sender by whose own secret it was verified.
    sender: Option<String>,
}

/// A webhook of a running plugin, for requests to it.
#[derive(Clone)]
pub struct Door {
    shared: Arc<Shared>,
    webhooks: Arc<Webhooks>,
    webhook: Webhook,
    name: String,
    /// The part of the path below the webhook's address.
    path: Option<String>,
}

impl Supervised {
    /// Returns it as one that may have the webhook that a request names; `None` if it declares no webhooks.
    pub fn candidate(&self) -> Option<Candidate> {
        self.shared.webhooks.is_some().then(|| Candidate(Arc::clone(&self.shared)))
    }

    /// Returns its webhooks, if it declares any.
    pub fn webhooks(&self) -> Option<Arc<Webhooks>> {
        self.shared.webhooks.clone()
    }
}

impl Candidate {
    /// Returns the webhook with this name and secret, if the plugin has it and may hear requests. `path`: the part of the path below
    /// its address, which few webhooks take.
    pub fn door(&self, name: &str, token: &GivenToken, path: Option<&str>) -> Option<Door> {
        let shared = &self.0;
        let webhooks = shared.webhooks.as_ref()?;
        // Also of a webhook that is not there: the time must not tell which ones are.
        let is_right = token.is(webhooks.tokens.load().get(name));
        let may_hear = shared.grants.load().has(Permission::WebhooksReceive);
        let takes = |webhook: &Webhook| is_right && may_hear && (path.is_none() || webhook.paths);
        let webhook = webhooks.declared().get(name).filter(|webhook| takes(webhook))?;
        Some(Door {
            shared: Arc::clone(shared),
            webhooks: Arc::clone(webhooks),
            webhook: webhook.clone(),
            name: name.to_owned(),
            path: path.map(str::to_owned),
        })
    }
}

impl Door {
    /// Returns the account whose plugin gets the requests.
    pub fn account(&self) -> &AccountName {
        &self.shared.account.name
    }

    /// Returns the largest body that it takes, in bytes.
    pub fn longest_body(&self) -> usize {
        /// The most that the rest of an event may take.
        const BESIDE: usize = 64 << 10;
        let limits = &self.webhooks.admitted.limits;
        limits.webhook_body.as_usize().min(limits.hostcall_bytes.as_usize().saturating_sub(BESIDE))
    }

    /// Returns whether it takes requests of this method.
    pub fn takes(&self, method: &str) -> bool {
        self.webhook.methods.iter().any(|one| one == method)
    }

    /// Returns whether the plugin gets this header. The name must be in lower case. It never gets the one with the
    /// secret.
    pub fn passes_on(&self, header: &str) -> bool {
        if matches!(&self.webhook.verification, Verification::Token { header: secret } if secret == header) {
            return false;
        }
        header == "content-type" || self.webhook.headers.iter().any(|one| one == header)
    }

    /// Returns whether the plugin gets this header as the sender wrote it. The name of a sender is the host's to write: otherwise one
    /// sender could pass for another.
    pub fn takes_header(&self, header: &str) -> bool {
        header != SENDER_HEADER && self.passes_on(header)
    }

    /// Returns how the sender of a refused request is told to identify itself.
    pub fn challenge(&self) -> &'static str {
        self.webhook.verification.challenge()
    }

    /// Returns the status of the answer to a request that is stored.
    pub fn status_of_stored(&self) -> u16 {
        self.webhook.verification.status_of_stored()
    }

    /// Verifies a request by the secret that the owner has given, by that of a single sender, or by a former one while that counts.
    pub fn verify(&self, given: Given<'_>) -> Result<Verified, Unverified> {
        let secrets = self.webhooks.secrets(&self.webhook, given.now);
        let (once, by) = self.webhook.verification.check_any(&secrets, |secret| secret.text.as_str(), given)?;
        if by.is_former {
            let (plugin, account) = (&self.webhooks.admitted.id, &self.shared.account.name);
            let sender = by.sender.as_deref();
            tracing::info!(%plugin, %account, webhook = %self.name, sender, "a sender still uses the former secret");
        }
        let trial = self.webhook.verification.answer_to_trial(&by.text, given.body);
        Ok(Verified { once: once_of(once, by.sender.as_deref()), trial, sender: by.sender.clone() })
    }

    /// Takes a request with this body as if it had been verified, for the tests of authors.
    pub fn trust(&self, body: &[u8]) -> Verified {
        let secret = self.webhooks.secret(&self.webhook).unwrap_or_default();
        Verified { once: None, trial: self.webhook.verification.answer_to_trial(&secret, body), sender: None }
    }

    /// Records for the owner how a request to it ended, in one word, and the bytes of its body and of the answer's.
    pub fn ended(&self, how: &str, received: usize, sent: usize) {
        let traffic = Traffic { sent: sent as u64, received: received as u64 };
        let at = self.shared.account.clock.now();
        self.shared.lasting.record.passed(TallyKind::Webhook, &format!("{} {how}", self.name), at, traffic);
    }

    /// Passes a verified request on. Returns when it is stored, or with the plugin's answer. The host answers a request by which a
    /// sender only tries the address.
    pub async fn pass(&self, request: WebhookRequest, verified: Verified) -> Reply {
        let Verified { once, trial, sender } = verified;
        if let Some(trial) = trial {
            let headers = vec![("content-type".to_owned(), trial.media_type.to_owned())];
            return Reply::Answer(WebhookAnswer { status: 200, headers, body: trial.body.into_bytes() });
        }
        let mut request = WebhookRequest { webhook: self.name.clone(), path: self.path.clone(), ..request };
        let sender = sender.filter(|_| self.passes_on(SENDER_HEADER));
        request.headers.extend(sender.map(|name| (SENDER_HEADER.to_owned(), name)));
        let limits = &self.webhooks.admitted.limits;
        let acceptance = Acceptance {
            waits: self.webhook.mode == Mode::Queue,
            once,
            most: limits.webhook_queue,
            most_bytes: limits.webhook_bytes.0,
        };
        match self.webhook.mode {
            Mode::Queue => self.store(request, acceptance).await,
            Mode::Answer => answering::answer(&self.shared, &self.webhooks, request, acceptance).await,
        }
    }

    /// Stores a request, and wakes the task that delivers it. If the sender disconnects in between, or it takes too long, the
    /// request is stored all the same, and the plugin must get it.
    async fn store(&self, request: WebhookRequest, acceptance: Acceptance) -> Reply {
        let (webhooks, runtime) = (Arc::clone(&self.webhooks), &self.shared.account.place.runtime);
        let Some(place) = storing::place(&webhooks.unstored, &request) else { return Reply::Busy };
        let accepting = async move {
            let _place = place;
            let accepted = webhooks.stored.accept(request, acceptance).await;
            webhooks.queue.arrived.notify_waiters();
            accepted
        };
        let accepted = storing::in_time(runtime, accepting).await;
        queued(&accepted)
    }
}
