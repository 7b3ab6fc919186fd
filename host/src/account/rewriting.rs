//! What the owner writes anew about an account while it lives.

use super::leaving::Farewell;
use super::{Order, Shared, Worker};
use crate::config::AccountConfig;

impl Worker {
    /// Goes by what is written now. Its stream stays unless the way to the server is another one.
    pub(super) async fn rewrite(&mut self, config: AccountConfig) {
        let AccountConfig { link, owners, settings, .. } = config;
        self.session.set_owners(owners);
        let before = std::mem::replace(&mut self.written, settings);
        self.session.rewritten(&before, &self.written, self.shared.clock.now(), &mut self.effects);
        let before = std::mem::replace(&mut self.settings, link);
        if self.settings.jid != before.jid && self.link.is_some() {
            // Another address is another session: nothing of this one is to wait for anybody.
            self.close(Farewell::Disconnect).await;
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
    /// Lets it go by what the owner has written about it now. Its address without a resource is the same.
    pub(crate) async fn rewrite(&self, config: AccountConfig) {
        self.tell(|done| Order::Rewrite { config: Box::new(config), done }).await;
    }
}
