//! Sentences for owners about what a plugin can reach. Pure: a terminal, a page or a message may show them.
//!
//! Each permission has a separate sentence, and servers in the owner's own network have one of their own. If one
//! permission lets a plugin learn something and another one lets it pass that on, a further sentence says so, since the
//! combination is the risk.

mod place;
mod sentence;
mod together;
mod words;

use parlor_base::permission::{Permission, Risk};
use parlor_session::permissions::{Grants, Scope};

use self::words::Words;
use crate::manifest::Manifest;

pub use place::Place;

/// How many accounts a sentence lists.
const LISTED: usize = 10;

/// Lists accounts: `main (bot@example.org) and other (it@example.org)`. Of many it lists the first, and counts the others.
pub fn listed(places: &[Place]) -> String {
    let more = places.len().saturating_sub(LISTED);
    let more = (more > 0).then(|| format!("{more} more"));
    words::listed(places.iter().take(LISTED).map(ToString::to_string).chain(more))
}

/// An ability of a plugin. Untrusted text in it is escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sentence {
    /// How much harm a malicious plugin can do with it.
    pub risk: Risk,
    /// The sentence.
    pub text: String,
    /// The permission that it is about; several, if it says what they allow together.
    pub permissions: Vec<Permission>,
}

impl Sentence {
    /// Returns whether it says what several permissions allow together.
    pub fn is_together(&self) -> bool {
        self.permissions.len() > 1
    }
}

/// Returns what a plugin asks for, of these permissions, with the scopes that its author wrote.
pub fn asked(manifest: &Manifest, only: impl Fn(Permission) -> bool) -> Grants {
    let mut grants = Grants::default();
    for (&permission, request) in manifest.permissions.iter().filter(|(permission, _)| only(**permission)) {
        // The manifest was parsed by the same rules, so this cannot fail.
        let _ = grants.grant(permission, &request.entries(permission));
    }
    grants
}

/// Returns the grants that count: of permissions that the plugin asks for.
pub fn held(grants: &Grants, asked: &Grants) -> Grants {
    let held = grants.iter().filter(|(permission, _)| asked.has(*permission));
    held.map(|(permission, scope)| (permission, scope.clone())).collect()
}

/// Returns whether a scope covers this entry, for any roster. None covers an invalid one.
pub fn covers_entry(scope: &Scope, entry: &str) -> bool {
    Scope::parse(scope.kind(), &[entry]).is_ok_and(|one| scope.includes(&one))
}

/// Returns those of these grants that allow more than the present ones.
pub fn beside(more: &Grants, present: &Grants) -> Grants {
    let is_covered =
        |permission: Permission, scope: &Scope| present.get(permission).is_some_and(|has| has.includes(scope));
    let left = more.iter().filter(|(permission, scope)| !is_covered(*permission, scope));
    left.map(|(permission, scope)| (permission, scope.clone())).collect()
}

/// Returns whether these grants add a high risk to the present ones: by themselves, or together with them.
pub fn adds_high_risk(more: &Grants, present: &Grants) -> bool {
    sentences(&beside(more, present), present, &[]).iter().any(|sentence| sentence.risk == Risk::High)
}

/// Says what a plugin can do with `more` on these accounts, beside what it was granted before. The riskiest comes last, right
/// before the question that an owner is asked.
///
/// It says only what is new. A combination is new if one of these permissions takes part in it.
pub fn sentences(more: &Grants, present: &Grants, places: &[Place]) -> Vec<Sentence> {
    let words = Words::of(places);
    let mut all: Vec<_> = more.iter().flat_map(|(permission, scope)| each_of(permission, scope, &words)).collect();
    all.extend(together::sentence(&both(more, present), |permission| more.has(permission), &words));
    all.sort_by_key(|sentence| (sentence.risk, sentence.is_together()));
    all
}

/// Says what the grants allow together, on these accounts, that none of them allows alone.
pub fn combination(grants: &Grants, places: &[Place]) -> Option<Sentence> {
    together::sentence(grants, |_| true, &Words::of(places))
}

/// Says which servers in the owner's own network a plugin reaches with these grants.
pub fn own_network(grants: &Grants) -> Option<Sentence> {
    let scope = grants.get(Permission::HttpFetch)?;
    let text = sentence::of_own_network(scope)?;
    Some(Sentence { risk: Risk::High, text, permissions: vec![Permission::HttpFetch] })
}

/// Returns the sentences about a permission: servers in the owner's own network have one of their own, with its risk.
fn each_of(permission: Permission, scope: &Scope, words: &Words) -> Vec<Sentence> {
    let own = sentence::of_own_network(scope);
    let others = (!sentence::is_in_own_network(scope)).then(|| of(permission, scope, words));
    let own = own.map(|text| Sentence { risk: Risk::High, text, permissions: vec![permission] });
    others.into_iter().chain(own).collect()
}

fn of(permission: Permission, scope: &Scope, words: &Words) -> Sentence {
    let text = sentence::of(permission, scope, words);
    Sentence { risk: permission.risk(), text, permissions: vec![permission] }
}

/// Returns both grants as one.
fn both(more: &Grants, present: &Grants) -> Grants {
    let mut both = present.clone();
    for (permission, scope) in more.iter() {
        let entries = scope.entries();
        if both.grant_more(permission, &entries).is_err() {
            // Together they are too many, and could not be granted either.
            let _ = both.grant(permission, &entries);
        }
    }
    both
}

#[cfg(test)]
mod tests;
