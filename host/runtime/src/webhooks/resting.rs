//! The addresses of webhooks whose plugins may not run, such as disabled ones: their senders are told to try again.

use std::collections::BTreeMap;

use parlor_base::id::PluginId;

use super::token::{GivenToken, Token};

/// The webhooks of plugins that may not run. Each may have an address on each account.
#[derive(Debug, Default)]
pub struct RestingWebhooks(BTreeMap<PluginId, BTreeMap<String, Vec<Token>>>);

impl RestingWebhooks {
    /// Returns those with these addresses: the plugin, the name of the webhook, and the secret part.
    pub fn of(addresses: impl IntoIterator<Item = (PluginId, String, String)>) -> Self {
        let mut all = BTreeMap::<PluginId, BTreeMap<String, Vec<Token>>>::new();
        for (plugin, name, token) in addresses {
            all.entry(plugin).or_default().entry(name).or_default().push(Token::new(token));
        }
        Self(all)
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether there is one with this address. Without the secret part, nobody learns which names there are.
    pub fn has(&self, plugin: &PluginId, name: &str, given: &GivenToken) -> bool {
        let tokens = self.0.get(plugin).and_then(|webhooks| webhooks.get(name));
        tokens.is_some_and(|tokens| tokens.iter().any(|token| given.is(Some(token))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_is_known_by_its_whole_address_alone() {
        let [one, two] = ["0", "1"].map(|digit| digit.repeat(48));
        let id = |id: &str| id.parse::<PluginId>().unwrap();
        let given = |token: &str| GivenToken::of(token).unwrap();
        let all = RestingWebhooks::of([
            (id("forge"), "ci".to_owned(), one.clone()),
            (id("forge"), "ci".to_owned(), two.clone()),
            (id("shop"), "order".to_owned(), one.clone()),
        ]);
        assert!(all.has(&id("forge"), "ci", &given(&one)) && all.has(&id("forge"), "ci", &given(&two)));
        assert!(!all.has(&id("shop"), "order", &given(&two)) && !all.has(&id("shop"), "ci", &given(&one)));
        assert!(
            !all.has(&id("absent"), "ci", &given(&one)) && !all.is_empty() && RestingWebhooks::default().is_empty()
        );
    }
}
