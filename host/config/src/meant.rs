//! The account that somebody means who names none that there is.

use jid::BareJid;
use parlor_base::nearest::nearest;

use crate::{AccountName, Config};

impl Config {
    /// Returns the account that is probably meant by a text that names none: the one with this address, or the only one whose
    /// address begins like this, as the host chooses names for new addresses of components; or else the one of the nearest name.
    pub fn meant_by(&self, text: &str) -> Option<&AccountName> {
        let address = BareJid::new(text).ok();
        let by_address = self.accounts.values().find(|one| address.as_ref() == Some(&one.link.jid.to_bare()));
        let mut alike =
            self.accounts.values().filter(|one| one.link.jid.node().is_some_and(|node| node.as_str() == text));
        let by_node = alike.next().filter(|_| alike.next().is_none());
        by_address.or(by_node).map(|one| &one.name).or_else(|| {
            let near = nearest(text, self.accounts.keys().map(AccountName::as_str))?;
            self.accounts.keys().find(|name| name.as_str() == near)
        })
    }
}
