//! Changes of an account's configuration while it runs.

use parlor_config::AccountConfig;
use parlor_session::{set_encryption, set_otr_people};

use super::leaving::CloseReason;
use super::order::Order;
use super::room_passwords;
use super::shared::Shared;
use super::worker::Worker;

impl Worker {
    /// Applies a new configuration. The stream stays unless the route to the server changed.
    pub(super) async fn rewrite(&mut self, config: AccountConfig) {
        let AccountConfig { name: _, group: _, link, owners, web, encryption, otr_people, settings } = config;
        self.shared.web.store(web);
        self.session.set_owners(owners);
        let now = self.shared.clock.now();
        set_otr_people(&mut self.session, otr_people);
        set_encryption(&mut self.session, self.keepers.usable(encryption), now, &mut self.effects);
        let before = std::mem::replace(&mut self.written, settings);
        // Rooms that are listed now are entered with them.
        room_passwords::read(self, None).await;
        self.session.rewritten(&before, &self.written, self.shared.clock.now(), &mut self.effects);
        let before = std::mem::replace(&mut self.settings, link);
        if self.settings.jid != before.jid && self.link.is_some() {
            // Another address means another session: this one must not be resumed later.
            self.close(CloseReason::Disconnect).await;
            self.apply();
            self.connect(None);
        } else if self.settings != before
            && let Some(link) = &mut self.link
        {
            link.follow(self.settings.clone(), &before);
        }
    }
}

impl Shared {
    /// Applies the account's new configuration. Its bare JID must be the same.
    pub async fn rewrite(&self, config: AccountConfig) {
        self.tell(|done| Order::Rewrite { config: Box::new(config), done }).await;
    }
}
