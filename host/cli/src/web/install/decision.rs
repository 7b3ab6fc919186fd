//! The owner's decision about an offer: reads and checks the form, and describes the decision in the question.

use maud::{Markup, html};
use parlor_base::id::PluginId;
use parlor_base::permission::Permission;
use parlor_config::AccountName;
use parlor_plugins::admin::accounts_value;
use parlor_plugins::consent::{Place, adds_high_risk};
use parlor_plugins::manifest::Manifest;
use parlor_session::permissions::Grants;
use toml::Table;

use super::super::parts::{reach, whole};

/// A decision.
#[derive(Debug)]
pub(super) struct Decision {
    pub(super) id: PluginId,
    pub(super) grants: Grants,
    /// The accounts that it runs on; none: all of them, also later ones.
    accounts: Option<Vec<AccountName>>,
    is_disabled: bool,
}

impl Decision {
    /// Reads what a form says about a plugin.
    pub(super) fn of(fields: &[(String, String)], manifest: &Manifest, places: &[Place]) -> Result<Self, String> {
        let id = match one(fields, "id") {
            Some(id) => id.parse::<PluginId>().map_err(|error| error.to_string())?,
            None => manifest.name.clone(),
        };
        let is_all = one(fields, "all").is_some();
        let mut grants = Grants::default();
        for (&permission, request) in &manifest.permissions {
            let is_granted = is_all || all(fields, "grant").any(|name| name == permission.as_str());
            if !is_granted && !request.optional {
                return Err(format!("{id} cannot do without {permission}: grant it, or do not install the plugin"));
            }
            if is_granted {
                let narrower = one(fields, &scope_field(permission)).filter(|_| !is_all);
                let narrower = narrower.map(|text| text.split(',').map(|entry| entry.trim().to_owned()).collect());
                let entries: Vec<String> = narrower.unwrap_or_else(|| request.entries(permission));
                grants.grant_more(permission, &entries).map_err(|error| error.to_string())?;
            }
        }
        let chosen = places.iter().filter(|place| all(fields, "account").any(|name| name == place.account.as_str()));
        let chosen: Vec<_> = chosen.map(|place| place.account.clone()).collect();
        let accounts = Some(chosen).filter(|_| one(fields, "later").is_none());
        if accounts.as_ref().is_some_and(Vec::is_empty) {
            return Err("choose an account for it to run on".to_owned());
        }
        Ok(Self { id, grants, accounts, is_disabled: one(fields, "disabled").is_some() })
    }

    /// Returns the keys of its entry in the policy.
    pub(super) fn table(&self) -> Table {
        let mut table = Table::new();
        table.insert("grants".to_owned(), self.grants.to_table().into());
        if let Some(accounts) = &self.accounts {
            table.insert("accounts".to_owned(), accounts_value(accounts));
            // The list says who was asked about. An account that is removed later takes nothing from the others.
            table.insert("missing_accounts".to_owned(), "skip".into());
        }
        if self.is_disabled {
            table.insert("enabled".to_owned(), false.into());
        }
        table
    }

    /// Returns whether it grants something of high risk.
    pub(super) fn is_danger(&self) -> bool {
        adds_high_risk(&self.grants, &Grants::default())
    }

    /// Says what would be done. `looks_like` is an installed plugin with a similar id.
    pub(super) fn words(&self, manifest: &Manifest, places: &[Place], looks_like: Option<&PluginId>) -> Vec<Markup> {
        let places: Vec<Place> = places.iter().filter(|place| self.runs_on(place)).cloned().collect();
        let mut all = Vec::new();
        if let Some(other) = looks_like {
            all.push(html! {
                strong { (self.id.as_str()) " looks like " (other.as_str()) ", which is installed." }
                " It may be meant to be taken for that."
            });
        }
        all.push(html! {
            (manifest.name.as_str()) " " (manifest.version.to_string()) " is installed as " strong { (self.id.as_str()) }
            ", on "
            @if self.accounts.is_none() { "all accounts, also on those that are added later" } @else {
                @for (number, place) in places.iter().enumerate() {
                    @if number > 0 { ", " }
                    (whole(&place.to_string()))
                }
            }
            @if self.is_disabled { ", and does not run before it is enabled" }
            "."
        });
        if self.grants.is_empty() {
            all.push(html! { "It is granted nothing." });
        }
        all.extend(reach(&self.grants, &places));
        all
    }

    fn runs_on(&self, place: &Place) -> bool {
        self.accounts.as_ref().is_none_or(|accounts| accounts.contains(&place.account))
    }
}

/// Returns the values of a field.
fn all<'f>(fields: &'f [(String, String)], name: &str) -> impl Iterator<Item = &'f str> {
    fields.iter().filter(move |(own, _)| own == name).map(|(_, value)| value.trim())
}

/// Returns the first value of a field that is not empty.
fn one<'f>(fields: &'f [(String, String)], name: &str) -> Option<&'f str> {
    all(fields, name).find(|value| !value.is_empty())
}

/// Returns the name of the field with a narrower scope.
pub(super) fn scope_field(permission: Permission) -> String {
    format!("scope.{permission}")
}

#[cfg(test)]
mod tests {
    use parlor_base::permission::Risk;

    use super::*;

    fn manifest() -> Manifest {
        let text = "[plugin]\nname = \"echo\"\nversion = \"0.1.0\"\napi = \"0.1.0\"\ndescription = \"Says it\"\n[permissions]\n\
                    \"messages.send\" = { scope = [\"*\"], reason = \"x\" }\n\
                    \"contacts.read\" = { reason = \"x\", optional = true }\n";
        Manifest::parse(text).unwrap()
    }

    fn places() -> Vec<Place> {
        let place = |name: &str| Place {
            account: name.parse().unwrap(),
            jid: format!("{name}@example.org").parse().unwrap(),
            rooms: None,
        };
        vec![place("main"), place("second")]
    }

    fn decided(fields: &[(&str, &str)]) -> Result<Decision, String> {
        let fields: Vec<_> = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Decision::of(&fields, &manifest(), &places())
    }

    #[test]
    fn only_what_was_ticked_is_granted() {
        let decision = decided(&[("account", "main"), ("grant", "messages.send")]).unwrap();
        assert!(decision.grants.has(Permission::MessagesSend) && !decision.grants.has(Permission::ContactsRead));
        assert_eq!(
            (decision.id.as_str(), decision.is_danger()),
            ("echo", Permission::MessagesSend.risk() == Risk::High)
        );
        let table = decision.table();
        assert_eq!(table["accounts"].to_string(), "[\"main\"]");
        assert_eq!(table["missing_accounts"].as_str(), Some("skip"));
        assert!(!table.contains_key("enabled"));
        let all = decided(&[("all", "true"), ("later", "true"), ("disabled", "true"), ("id", " echo2 ")]).unwrap();
        assert!(all.grants.has(Permission::ContactsRead) && all.id.as_str() == "echo2");
        let table = all.table();
        assert!(!table.contains_key("accounts") && table["enabled"].as_bool() == Some(false), "{table}");
    }

    #[test]
    fn a_scope_may_be_narrower_than_it_was_asked_for() {
        let fields = [("account", "main"), ("grant", "messages.send"), ("scope.messages.send", "a@b, @example.org")];
        let entries = decided(&fields).unwrap().grants.get(Permission::MessagesSend).unwrap().entries();
        assert_eq!(entries.len(), 2, "{entries:?}");
        assert!(entries.contains(&"a@b".to_owned()), "{entries:?}");
        // A grant of everything as requested must be chosen explicitly.
        let all = decided(&[&fields[..], &[("all", "true")]].concat()).unwrap();
        assert_eq!(all.grants.get(Permission::MessagesSend).unwrap().entries(), ["*"]);
    }

    #[test]
    fn a_decision_that_does_not_fit_is_refused() {
        for fields in [
            &[("account", "main")][..],
            &[("account", "main"), ("grant", "contacts.read")],
            &[("all", "true")],
            &[("all", "true"), ("account", "third")],
            &[("all", "true"), ("account", "main"), ("id", "../x")],
            &[("account", "main"), ("grant", "messages.send"), ("scope.messages.send", "no address at all")],
        ] {
            assert!(decided(fields).is_err(), "{fields:?}");
        }
    }

    #[test]
    fn the_question_says_what_would_be_done() {
        let decision = decided(&[("account", "second"), ("all", "true"), ("disabled", "true")]).unwrap();
        let other = "ech0".parse().unwrap();
        let words: Vec<_> =
            decision.words(&manifest(), &places(), Some(&other)).into_iter().map(Markup::into_string).collect();
        assert!(words[0].contains("looks like ech0"), "{words:?}");
        assert!(words[1].contains("second@example.org") && !words[1].contains("main@example.org"), "{words:?}");
        assert!(words[1].contains("does not run before it is enabled"), "{words:?}");
        assert!(words.len() >= 4, "a sentence for each permission: {words:?}");
        let later = decided(&[("later", "true"), ("grant", "messages.send")]).unwrap();
        let words: String = later.words(&manifest(), &places(), None).into_iter().map(Markup::into_string).collect();
        assert!(words.contains("also on those that are added later") && !words.contains("looks like"), "{words}");
    }
}
