//! The webhooks of a plugin on an account: requests wait for the plugin, and are delivered in order.
//!
//! A task for each webhook of the mode `queue` tells the plugin of one request after the other. It reads the next one
//! from the store once the plugin has handled the one before, so nothing waits in memory.

pub(crate) mod listening;
pub(crate) mod queue;
mod resting;
mod token;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use parlor_base::id::PluginId;
use parlor_base::permission::Permission;
use parlor_plugins::admission::Admitted;
use parlor_plugins::secret::{FormerSecret, SenderSecret};
use parlor_plugins::webhook::{Mode, Verification, Webhook};
use parlor_session::permissions::Grants;
use parlor_store::{Owner, ShownRequest, StoreError};
use rand::RngExt as _;
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::account;
use crate::settings::OwnSettings;
use listening::{Counted, Listening, Tokens};
use queue::Queue;
use token::Token;

pub use queue::FailedAttempt;
pub use resting::RestingWebhooks;
pub use token::GivenToken;

/// The most bytes of requests of one plugin that wait for the store. While the log of its account takes nothing, their senders go
/// away after a while, and others come.
pub(crate) const MOST_UNSTORED: usize = 32 << 20;

/// Returns the address of a webhook below this one.
pub fn address(base: &str, plugin: &PluginId, name: &str, token: &str) -> String {
    format!("{base}/hooks/{plugin}/{name}/{token}")
}

/// The webhooks of a plugin on one account.
pub struct Webhooks {
    pub(crate) admitted: Arc<Admitted>,
    settings: Arc<OwnSettings>,
    account: Arc<account::Shared>,
    pub(crate) stored: parlor_store::Webhooks,
    /// Has a permit for each byte that may still wait for the store.
    pub(crate) unstored: Arc<Semaphore>,
    /// A version that replaces another one shares its addresses: the owner may end one while both are there.
    pub(crate) tokens: Tokens,
    /// The instances before and after this one share its queue.
    pub(crate) queue: Arc<Queue>,
    /// Present while the plugin may get requests: it counts among the plugins that need a listener.
    listened_for: Mutex<Option<Counted>>,
    /// Present until all addresses are read: an unknown address may be one of them.
    unread: Mutex<Option<Counted>>,
    listening: Listening,
}

impl Webhooks {
    /// Creates them, with the addresses of the version that this one will replace; `None` if the plugin declares none.
    pub(crate) fn of(
        admitted: &Arc<Admitted>,
        settings: &Arc<OwnSettings>,
        account: &Arc<account::Shared>,
        listening: &Listening,
        tokens: Tokens,
    ) -> Option<Arc<Self>> {
        if admitted.manifest.webhooks.is_empty() {
            return None;
        }
        let owner = Owner { account: account.own.clone(), plugin: admitted.id.clone() };
        let webhooks = Self {
            admitted: Arc::clone(admitted),
            settings: Arc::clone(settings),
            account: Arc::clone(account),
            stored: account.data().webhooks(owner),
            unstored: Arc::new(Semaphore::new(MOST_UNSTORED)),
            tokens,
            queue: Arc::clone(account.records.of(&admitted.id).webhook_queue()),
            listened_for: Mutex::default(),
            unread: Mutex::new(Some(listening.one_unread())),
            listening: listening.clone(),
        };
        webhooks.granted(&admitted.grants);
        Some(Arc::new(webhooks))
    }

    /// Notes the plugin's grants: a listener is needed only while it may get requests.
    pub(crate) fn granted(&self, grants: &Grants) {
        let mut listened_for = self.listened_for.lock().unwrap_or_else(PoisonError::into_inner);
        if !grants.has(Permission::WebhooksReceive) {
            *listened_for = None;
        } else if listened_for.is_none() {
            *listened_for = Some(self.listening.one_more());
        }
    }

    /// Returns the names of the webhooks whose requests are queued for the plugin.
    fn queued(&self) -> Vec<String> {
        let queued = self.declared().iter().filter(|(_, webhook)| webhook.mode == Mode::Queue);
        queued.map(|(name, _)| name.clone()).collect()
    }

    /// Gives up the requests that wait for webhooks that the plugin has no longer. Returns how many these were.
    pub(crate) async fn give_up_others(&self) -> Result<usize, StoreError> {
        self.stored.give_up_others(self.queued()).await
    }

    pub(crate) fn declared(&self) -> &BTreeMap<String, Webhook> {
        &self.admitted.manifest.webhooks
    }

    /// Returns the secret of a webhook, if it needs one and the owner has given one of the right form. The author's default is none, since
    /// everybody who has the manifest knows it.
    pub(crate) fn secret(&self, webhook: &Webhook) -> Option<String> {
        let given = self.settings.given(webhook.secret.as_ref()?)?;
        // A file of the owner may have any text.
        let fits = self.is_secret(webhook, &given) && webhook.verification.wanted_form(&given).is_none();
        fits.then_some(given)
    }

    /// Returns the former secret of a webhook, while it counts.
    pub(crate) fn former_secret(&self, webhook: &Webhook, now: Timestamp) -> Option<FormerSecret> {
        let former = self.settings.former(webhook.secret.as_ref()?)?;
        (former.counts_at(now) && self.is_secret(webhook, former.text())).then_some(former)
    }

    /// Returns the secrets that single senders of a webhook have, if they are of the right form.
    fn senders(&self, webhook: &Webhook) -> Vec<SenderSecret> {
        let Some(setting) = &webhook.secret else { return Vec::new() };
        let fits = |text: &str| self.is_secret(webhook, text) && webhook.verification.wanted_form(text).is_none();
        self.settings.senders(setting).into_iter().filter(|one| fits(one.text())).collect()
    }

    /// Returns all secrets that verify requests to a webhook now: that of the setting first, which is empty if there is none, and the
    /// former one; then those of single senders, and their former ones.
    pub(crate) fn secrets(&self, webhook: &Webhook, now: Timestamp) -> Vec<WebhookSecret> {
        let one = |text: &str, is_former, sender| WebhookSecret { text: text.to_owned(), is_former, sender };
        let mut all = vec![one(&self.secret(webhook).unwrap_or_default(), false, None)];
        all.extend(self.former_secret(webhook, now).map(|former| one(former.text(), true, None)));
        for sender in self.senders(webhook) {
            let name = || Some(sender.name().to_owned());
            all.push(one(sender.text(), false, name()));
            all.extend(sender.former_at(now).map(|former| one(former.text(), true, name())));
        }
        all
    }

    fn is_secret(&self, webhook: &Webhook, given: &str) -> bool {
        let setting = webhook.secret.as_ref().and_then(|name| self.admitted.manifest.settings.get(name));
        let default = setting.and_then(|setting| setting.default.as_ref()).and_then(Value::as_str);
        // Discord's is a public key, which cannot create signatures.
        webhook.verification == Verification::Discord || default != Some(given)
    }

    /// Reads the addresses of these webhooks. A webhook without an address gets a new one; with `anew`, each webhook does.
    pub(crate) async fn read_tokens(&self, names: impl Iterator<Item = &String>, anew: bool) -> Result<(), StoreError> {
        let mut generator = self.account.rng.generator();
        let fresh = names.map(|name| (name.clone(), hex::encode(generator.random::<[u8; token::BYTES]>()))).collect();
        let read = self.stored.tokens(fresh, anew).await?;
        let read: BTreeMap<_, _> = read.into_iter().map(|(name, text)| (name, Token::new(text))).collect();
        self.tokens.rcu(|tokens| {
            let mut tokens = BTreeMap::clone(tokens);
            for (name, token) in &read {
                // One that is there is not older: the owner may have ended the one that was read.
                if anew || !tokens.contains_key(name) {
                    tokens.insert(name.clone(), token.clone());
                }
            }
            tokens
        });
        let tokens = self.tokens.load();
        if self.declared().keys().all(|name| tokens.contains_key(name)) {
            *self.unread.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        Ok(())
    }

    /// Returns them as owners are shown them.
    pub fn states(&self) -> Vec<WebhookState> {
        let (tokens, base) = (self.tokens.load(), self.account.web.load().public_address());
        let now = self.account.clock.now();
        let former = |webhook: &Webhook| {
            let until = self.former_secret(webhook, now)?.until();
            Some((webhook.secret.clone()?, until))
        };
        let state = |(name, webhook): (&String, &Webhook)| WebhookState {
            name: name.clone(),
            address: base
                .as_ref()
                .zip(tokens.get(name))
                .map(|(base, token)| address(base, &self.admitted.id, name, token.text())),
            mode: webhook.mode,
            verification: webhook.verification.about(),
            lacks_secret: webhook.secret.clone().filter(|_| self.secret(webhook).is_none()),
            former_secret: former(webhook),
            senders: self.senders(webhook).iter().map(|one| SenderState::of(one, now)).collect(),
        };
        self.declared().iter().map(state).collect()
    }

    /// Returns the secret part of a webhook's address.
    pub fn token(&self, name: &str) -> Option<String> {
        self.tokens.load().get(name).map(|token| token.text().to_owned())
    }

    /// Returns the last requests to them, the newest first, and how many wait.
    pub async fn requests(&self, most: u32) -> Result<(Vec<ShownRequest>, u64), StoreError> {
        Ok((self.stored.last(most).await?, self.stored.waiting().await?))
    }

    /// Queues a completed request again. Returns false if there is none with this id, if it still waits, or if its
    /// webhook is not in the mode `queue`: then it would not be delivered, or its sender no longer waits for the
    /// answer.
    pub async fn replay(&self, id: i64) -> Result<bool, StoreError> {
        let queue = &self.queue;
        // Otherwise it would count as dropped at once, if it was dropped before its turn came.
        queue.is_waiting_again(id);
        let replayed = self.stored.replay(id, self.queued()).await?;
        queue.arrived.notify_waiters();
        Ok(replayed.is_some())
    }

    /// Returns whether the plugin answers requests to this webhook by itself.
    pub fn is_answered_by_plugin(&self, name: &str) -> bool {
        self.declared().get(name).is_some_and(|webhook| webhook.mode == Mode::Answer)
    }

    /// Returns the last failed attempt of each request that waits for the next one.
    pub fn failed_attempts(&self) -> BTreeMap<i64, FailedAttempt> {
        self.queue.failed_attempts()
    }

    /// Drops a request that waits, so that those behind it are delivered. Returns false if there is none with this id.
    pub async fn discard(&self, id: i64) -> Result<bool, StoreError> {
        let is_dropped = self.stored.discard(id).await?;
        if is_dropped {
            self.queue.drop_request(id);
        }
        Ok(is_dropped)
    }

    /// Gives a webhook another address, and ends the present one. Returns false if there is none of this name.
    pub async fn rotate(&self, name: &str) -> Result<bool, StoreError> {
        let Some((name, _)) = self.declared().get_key_value(name) else { return Ok(false) };
        self.read_tokens(std::iter::once(name), true).await?;
        Ok(true)
    }
}

/// A webhook as owners are shown it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookState {
    /// Its name.
    pub name: String,
    /// Its address; `None` if the host listens nowhere, or does not know it yet.
    pub address: Option<String>,
    /// How requests are answered.
    pub mode: Mode,
    /// How they are verified.
    pub verification: String,
    /// The setting with the secret, if the owner has not given one of the right form: then each request is refused.
    pub lacks_secret: Option<String>,
    /// The setting whose former secret verifies requests, too, and when that ends.
    pub former_secret: Option<(String, Timestamp)>,
    /// The senders with their own secret.
    pub senders: Vec<SenderState>,
}

/// A sender with its own secret, as owners are shown it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SenderState {
    /// Its name.
    pub name: String,
    /// When its former secret ends, if it has one that counts.
    pub former_until: Option<Timestamp>,
}

impl SenderState {
    fn of(secret: &SenderSecret, now: Timestamp) -> Self {
        Self { name: secret.name().to_owned(), former_until: secret.former_at(now).map(FormerSecret::until) }
    }
}

/// A secret that verifies requests to a webhook.
pub(crate) struct WebhookSecret {
    /// The secret itself.
    pub(crate) text: String,
    /// Whether another one has replaced it.
    pub(crate) is_former: bool,
    /// The sender, if it is the secret of a single one.
    pub(crate) sender: Option<String>,
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use parlor_plugins::limits::Limits;

    use super::*;
    use crate::instance::tests::{account_config, admitted};
    use crate::threads::Place;

    const MANIFEST: &str = "[plugin]\nname = \"echo\"\nversion = \"0.1.0\"\napi = \"0.1.0\"\n\
        description = \"Hears\"\n[permissions]\n\"webhooks.receive\" = { reason = \"to hear\" }\n\
        [webhook.hook]\ndescription = \"What comes\"\nverify = \"none\"\n";

    fn begun(account: &Arc<account::Shared>) -> Arc<Webhooks> {
        let admitted = Arc::new(admitted("echo", MANIFEST, Grants::default(), Limits::default()));
        let (owner, in_rooms) = (admitted.settings.0.clone(), admitted.settings_in.clone());
        let settings = Arc::new(OwnSettings::new(Arc::clone(&admitted.manifest), owner, in_rooms));
        Webhooks::of(&admitted, &settings, account, &Listening::default(), Tokens::default()).unwrap()
    }

    /// The task that reads it may come to keep it only after the owner has ended it.
    #[tokio::test]
    async fn an_address_that_is_read_late_does_not_bring_back_one_that_has_ended() {
        let account = account::Account::start(account_config(), parlor_store::Store::in_memory(), Place::here());
        let (webhooks, name) = (begun(account.shared()), "hook".to_owned());
        webhooks.read_tokens(std::iter::once(&name), false).await.unwrap();
        let newer = "0".repeat(2 * token::BYTES);
        webhooks.tokens.store(Arc::new(BTreeMap::from([(name.clone(), Token::new(newer.clone()))])));
        webhooks.read_tokens(std::iter::once(&name), false).await.unwrap();
        assert_eq!(webhooks.token("hook"), Some(newer.clone()));
        assert!(webhooks.rotate("hook").await.unwrap());
        assert_ne!(webhooks.token("hook"), Some(newer));
    }

    /// Its body may come so slowly that the plugin is restarted meanwhile.
    #[tokio::test]
    async fn a_request_that_is_stored_for_an_instance_that_has_ended_wakes_the_task_of_the_next_one() {
        let account = account::Account::start(account_config(), parlor_store::Store::in_memory(), Place::here());
        let (before, next) = (begun(account.shared()), begun(account.shared()));
        let mut arrives = std::pin::pin!(next.queue.arrived.notified());
        arrives.as_mut().enable();
        before.queue.arrived.notify_waiters();
        assert!(arrives.now_or_never().is_some(), "it would wait for the next request");
    }
}
