//! The owner's consent: says what a plugin could do, by risk and with the author's reasons, and asks for each grant.

use parlor_base::escape::escape_untrusted;
use parlor_base::id::PluginId;
use parlor_base::permission::{Permission, Risk, ScopeKind};
use parlor_config::Config;
use parlor_plugins::admin::{Difference, GrantRequest};
use parlor_plugins::consent::{self, Place, Sentence};
use parlor_plugins::manifest::Manifest;
use parlor_runtime::rights::{Right, rights, shown};
use parlor_session::permissions::{GrantChange, Grants, Scope};

use crate::Ended;
use crate::ask::{NO, TRIES, Terminal, YES, declined, found};
use crate::explain::right_lines;
use crate::pages;
use crate::show::{Mark, Put as _, error_lines, marked, print, width};
use crate::target;

/// How much of an author's reason is shown, in bytes.
const LONGEST_REASON: usize = 600;
/// How much of an entry a hint repeats, in bytes.
const LONGEST_NAME: usize = 80;
/// Words that people type when they agree or not. In the place of a scope they are typos.
const WORDS: [&str; 7] = ["yes", "no", "yep", "nope", "okay", "sure", "each"];

/// A question to an owner: may the plugin do this, too?
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) id: &'a PluginId,
    pub(super) manifest: &'a Manifest,
    /// The grants that it would get.
    pub(super) more: Grants,
    /// The grants that it has.
    pub(super) present: &'a Grants,
    /// The accounts on which that would count.
    pub(super) places: &'a [Place],
}

impl<'a> Request<'a> {
    /// Returns the question about those requests of a plugin that `only` selects.
    pub(super) fn of(
        id: &'a PluginId,
        manifest: &'a Manifest,
        only: impl Fn(Permission) -> bool,
        present: &'a Grants,
        places: &'a [Place],
    ) -> Self {
        Self { id, manifest, more: consent::asked(manifest, only), present, places }
    }

    /// Returns the question about a plugin's grants on accounts that it does not run on yet.
    pub(super) fn on(
        id: &'a PluginId,
        manifest: &'a Manifest,
        granted: &Grants,
        present: &'a Grants,
        places: &'a [Place],
    ) -> Self {
        Self { id, manifest, more: consent::held(granted, &consent::asked(manifest, |_| true)), present, places }
    }

    /// Says what the plugin could do then, the riskiest last, for a terminal.
    pub(super) fn reach(&self) -> String {
        let sentences = consent::sentences(&self.more, self.present, self.places);
        if sentences.is_empty() {
            return "It asks for nothing.\n".to_owned();
        }
        let title = format!("What {} could do, the riskiest last:", self.id);
        format!("{}\n{}", marked(&title, Mark::Bold), lines(&sentences, self.manifest))
    }

    /// Says what these grants allow together, beside those that were decided before; none if each does no more than by itself.
    fn together(&self, decided: &Grants, granted: &[GrantRequest]) -> Option<Sentence> {
        let more = with(decided, granted, self.manifest);
        consent::sentences(&more, self.present, self.places).into_iter().find(Sentence::is_together)
    }

    /// Returns whether these grants need a question about what they allow together. If one of them is of high risk by itself, the
    /// owner was asked about that; what was written by hand was not part of any sentence yet.
    fn needs_question(&self, together: &Sentence, granted: &[GrantRequest]) -> bool {
        let is_asked = granted.iter().any(|request| request.permission.risk() == Risk::High);
        let is_by_hand = granted.iter().any(|GrantRequest { permission, scope }| {
            let wished = self.more.get(*permission).map(Scope::entries);
            scope.is_some() && *scope != wished
        });
        together.risk == Risk::High && (is_by_hand || !is_asked)
    }

    /// Returns the domains of the accounts that it is about.
    fn domains(&self) -> Vec<&str> {
        self.places.iter().map(|place| place.jid.domain().as_str()).collect()
    }

    /// Returns the permissions, each with what is said of it and with its highest risk, in the order in which they are shown.
    fn by_risk(&self) -> Vec<(Permission, Risk, String)> {
        let mut all: Vec<(Permission, Risk, String)> = Vec::new();
        for Sentence { risk, text, permissions } in consent::sentences(&self.more, self.present, self.places) {
            let [permission] = permissions[..] else { continue };
            let before = all.iter().position(|(one, ..)| *one == permission).map(|at| all.remove(at));
            // The riskiest comes last, so that this is its risk.
            let text = before.map_or_else(|| text.clone(), |(_, _, before)| format!("{before} {text}"));
            all.push((permission, risk, text));
        }
        all
    }
}

/// Shows sentences with their risk, and the author's reasons.
fn lines(sentences: &[Sentence], manifest: &Manifest) -> String {
    let mut text = String::new();
    for (at, sentence) in sentences.iter().enumerate() {
        let risk = marked(&format!("{:6}", sentence.risk.to_string()), Mark::of(sentence.risk));
        text.put(format_args!("  {risk}  {}\n", sentence.text));
        let [permission] = sentence.permissions[..] else { continue };
        // The reason is behind the last sentence about a permission.
        if sentences[at + 1..].iter().any(|later| later.permissions == [permission]) {
            continue;
        }
        if let Some(asked) = manifest.permissions.get(&permission) {
            let needs = if asked.optional { "which it can do without" } else { "which it needs" };
            let reason = escape_untrusted(&asked.reason, LONGEST_REASON);
            text.put(format_args!("          {permission}, {needs}: “{reason}”\n"));
        }
    }
    text
}

/// Says what a version asks for in another way than the present one, and how to allow what is new. It is granted nothing by that.
/// `present`: the grants that stay.
pub(super) fn otherwise(id: &PluginId, difference: &Difference, present: &Grants) -> String {
    let mut text = String::new();
    for &permission in &difference.changed {
        let Some(wider) = difference.wider.get(&permission) else {
            if difference.opened.is_empty() || permission != Permission::WebhooksReceive {
                text.put(format_args!(
                    "It asks for {permission} otherwise than the present version; what was granted stays as it is.\n"
                ));
            }
            continue;
        };
        let is_granted = |entry: &&String| present.get(permission).is_some_and(|has| consent::covers_entry(has, entry));
        let (granted, open): (Vec<&String>, Vec<_>) = wider.iter().partition(is_granted);
        let named = |entries: &[&String]| {
            entries.iter().map(|entry| escape_untrusted(entry, usize::MAX)).collect::<Vec<_>>().join(", ")
        };
        if !granted.is_empty() {
            text.put(format_args!(
                "New: it asks for {permission} for {}, which is granted already.\n",
                named(&granted)
            ));
        }
        if !open.is_empty() {
            let entries = open.iter().map(|entry| (*entry).clone()).collect();
            let remedy = GrantChange::Entries(entries).remedy(id.as_str(), permission).unwrap_or_else(|why| why);
            text.put(format_args!(
                "New: it asks for {permission} for {}, which is not granted; what was granted stays as it is.\n    to allow it after the \
                 update: {remedy}\n",
                named(&open)
            ));
        }
    }
    for opened in &difference.opened {
        text.put(format_args!("More open: {opened}.\n"));
    }
    if !difference.opened.is_empty() && !present.has(Permission::WebhooksReceive) {
        text.push_str(
            "So webhooks.receive is granted anew, or not at all: by your answer, or by --grant webhooks.receive.\n",
        );
    }
    text
}

/// Returns whether a version asks for anything that the present one does not ask for.
pub(super) fn asks_more(difference: &Difference) -> bool {
    !difference.new.is_empty() || !difference.wider.is_empty() || !difference.opened.is_empty()
}

/// Describes a plugin's requests for programs and logs, with the lines of the policy that grant them, or says that
/// there are none. `present`: the grants that it has already.
pub(super) fn asked(
    id: &PluginId,
    manifest: &Manifest,
    present: &Grants,
    only: impl Fn(&Permission) -> bool,
) -> String {
    let more = consent::asked(manifest, |permission| only(&permission));
    let rights = rights(id, Some(manifest), &Grants::default()).into_iter().filter(|right| only(&right.permission));
    let together = consent::sentences(&more, present, &[]).into_iter().find(Sentence::is_together);
    in_words(&rights.collect::<Vec<_>>(), consent::own_network(&more), together)
}

/// Describes the requests of a plugin that may be installed, with the current grants.
pub(super) fn asked_and_granted(id: &PluginId, manifest: &Manifest, grants: Option<&Grants>) -> String {
    let asked = consent::asked(manifest, |_| true);
    let rights = rights(id, Some(manifest), grants.unwrap_or(&Grants::default()));
    let rights: Vec<_> = rights.into_iter().filter(|right| right.asked.is_some()).collect();
    let in_force = grants.map_or_else(|| asked.clone(), |grants| consent::held(grants, &asked));
    in_words(&rights, consent::own_network(&in_force), consent::combination(&in_force, &[]))
}

/// Describes the permissions that `only` selects, for programs and logs: those that a plugin gets, and those that it asks for and does
/// not get. The risk is that of the first ones. `present`: the grants that it has already.
pub(super) fn granted(
    id: &PluginId,
    manifest: &Manifest,
    grants: &Grants,
    present: &Grants,
    only: impl Fn(&Permission) -> bool,
) -> String {
    let rights: Vec<_> =
        rights(id, Some(manifest), grants).into_iter().filter(|right| only(&right.permission)).collect();
    if rights.is_empty() {
        return "It asks for nothing.\n".to_owned();
    }
    let (held, others): (Vec<_>, Vec<_>) = rights.into_iter().partition(Right::is_in_force);
    let mut text = if held.is_empty() { "It gets nothing.\n".to_owned() } else { list("It gets:", &held) };
    if !others.is_empty() {
        text.push_str(&list("It does not get:", &others));
    }
    let in_force = consent::held(grants, &consent::asked(manifest, |permission| only(&permission)));
    let together = consent::sentences(&in_force, present, &[]).into_iter().find(Sentence::is_together);
    text + &further(consent::own_network(&in_force), together)
}

fn in_words(rights: &[Right], own_network: Option<Sentence>, together: Option<Sentence>) -> String {
    if rights.is_empty() {
        return "It asks for nothing.\n".to_owned();
    }
    list("It asks for:", rights) + &further(own_network, together)
}

fn list(title: &str, rights: &[Right]) -> String {
    let mut text = format!("{}\n", marked(title, Mark::Bold));
    for right in rights {
        text.push_str(&right_lines(right));
    }
    text
}

/// Says what a plugin reaches in the owner's own network, and what its permissions allow together, with the risk; empty if it does neither.
fn further(own_network: Option<Sentence>, together: Option<Sentence>) -> String {
    let all = own_network.into_iter().chain(together).map(|Sentence { risk, text, .. }| {
        let risk = marked(&risk.to_string(), Mark::of(risk));
        format!("\n{} ({risk} risk)\n", text.trim_end_matches('.'))
    });
    all.collect()
}

/// Shows a text by pages. A user who quits has agreed to nothing.
pub(super) fn show(terminal: &Terminal, text: &str) -> anyhow::Result<()> {
    if pages::show(terminal, text)? { Ok(()) } else { Err(declined()) }
}

/// Returns grants with these requests. A request that the plugin does not make, or with an invalid scope, adds nothing: it is
/// refused elsewhere.
pub(super) fn with(grants: &Grants, requests: &[GrantRequest], manifest: &Manifest) -> Grants {
    let mut all = grants.clone();
    for GrantRequest { permission, scope } in requests {
        let Some(asked) = manifest.permissions.get(permission) else { continue };
        let entries = scope.clone().unwrap_or_else(|| asked.entries(*permission));
        let _ = all.grant_more(*permission, &entries);
    }
    all
}

/// Asks for each of these permissions that is still undecided: all at once, or one by one. High-risk ones are always
/// asked separately, and so is a combination of high risk. `doing` is the question's action: "Install it".
pub(super) fn ask(
    terminal: &Terminal,
    doing: &str,
    request: &Request<'_>,
    decided: &Grants,
) -> anyhow::Result<Vec<GrantRequest>> {
    let mut asked = request.by_risk();
    asked.retain(|(permission, ..)| !decided.has(*permission));
    if asked.is_empty() {
        terminal.consent(&format!("{doing}?"))?;
        return Ok(Vec::new());
    }
    let may_lack =
        |permission: Permission| request.manifest.permissions.get(&permission).is_none_or(|asked| asked.optional);
    let granted = decide(terminal, &format!("{doing}, and grant all of that?"), request, asked, may_lack)?;
    agree_together(terminal, request, decided, &granted)?;
    Ok(granted)
}

/// Asks for permissions of an installed plugin: for all at once, or one by one.
pub(super) fn choose(terminal: &Terminal, question: &str, request: &Request<'_>) -> anyhow::Result<Vec<GrantRequest>> {
    let granted = decide(terminal, question, request, request.by_risk(), |_| true)?;
    agree_together(terminal, request, &Grants::default(), &granted)?;
    Ok(granted)
}

/// Asks for all of these permissions, or for one after the other, and in any case for each of high risk. It ends with the first
/// that is declined and that the plugin may not lack.
fn decide(
    terminal: &Terminal,
    question: &str,
    request: &Request<'_>,
    asked: Vec<(Permission, Risk, String)>,
    may_lack: impl Fn(Permission) -> bool,
) -> anyhow::Result<Vec<GrantRequest>> {
    let question = format!("{question} [y]es, [e]ach by itself, [N]o:");
    let each = match terminal.choose(&question, &[YES, &["e", "each"], NO])? {
        Some(0) => false,
        Some(1) => true,
        _ => return Err(declined()),
    };
    let mut granted = Vec::new();
    for (permission, risk, what) in asked {
        let scope = request.more.get(permission);
        let all = GrantRequest { permission, scope: scope.map(Scope::entries).filter(|entries| !entries.is_empty()) };
        let mut one = if each { one(terminal, &all, &request.domains())? } else { Some(all) };
        if one.is_some() && risk == Risk::High && !is_risk_taken(terminal, permission, &what)? {
            one = None;
        }
        if one.is_none() && !may_lack(permission) {
            let sentence = format!("{} cannot do without {permission}; nothing was changed", request.id);
            return Err(Ended::Declined(sentence).into());
        }
        granted.extend(one);
    }
    Ok(granted)
}

/// Asks whether a permission of high risk is granted.
fn is_risk_taken(terminal: &Terminal, permission: Permission, what: &str) -> anyhow::Result<bool> {
    let name = marked(permission.as_str(), Mark::Red);
    print(&pages::rows(&format!("{name} is of high risk: {what}"), width()).join("\n"))?;
    Ok(terminal.agrees(&format!("Grant {permission}?"))?)
}

/// Asks whether what these grants allow together is granted, if that is of high risk and nothing was asked about it yet. It
/// says what it is in any case, if that is something else than was shown.
fn agree_together(
    terminal: &Terminal,
    request: &Request<'_>,
    decided: &Grants,
    granted: &[GrantRequest],
) -> anyhow::Result<()> {
    if granted.is_empty() {
        return Ok(());
    }
    let Some(together) = request.together(decided, granted) else { return Ok(()) };
    if request.needs_question(&together, granted) {
        let (name, what) = (marked("Together", Mark::Red), together.text.trim_start_matches("Together: "));
        print(&pages::rows(&format!("{name} is of high risk: {what}"), width()).join("\n"))?;
        return terminal.consent("Grant these together?");
    }
    let is_shown = consent::sentences(&request.more, request.present, request.places).contains(&together);
    if is_shown { Ok(()) } else { print(&pages::rows(&together.text, width()).join("\n")) }
}

/// Asks for one permission until the answer is valid. None: not granted.
fn one(terminal: &Terminal, all: &GrantRequest, domains: &[&str]) -> anyhow::Result<Option<GrantRequest>> {
    let permission = all.permission;
    let Some(entries) = &all.scope else {
        return Ok(terminal.agrees(&format!("Grant {permission}?"))?.then(|| all.clone()));
    };
    let entries = shown(entries).join(", ");
    let question = format!("Grant {permission} for {entries}? [y/N], or write for whom or what instead:");
    for _ in 0..TRIES {
        let answer = terminal.ask(&question)?.ok_or_else(declined)?;
        match found(&answer, &[YES, NO]) {
            Some(0) => return Ok(Some(all.clone())),
            Some(_) => return Ok(None),
            None => {}
        }
        match written(permission, &answer, domains) {
            Ok(scope) => {
                let granted = GrantRequest { permission, scope: Some(scope) };
                for hint in strange_domains(std::slice::from_ref(&granted), domains) {
                    terminal.says(&hint)?;
                }
                return Ok(Some(granted));
            }
            Err(error) => print(&error_lines(&error))?,
        }
    }
    Err(declined())
}

/// Reads the entries that an owner typed in place of yes or no. A word that is nearly one of those is a typo, and so is a word
/// that could only be the name of a server: whoever means a server of one word writes `@` before it.
fn written(permission: Permission, answer: &str, domains: &[&str]) -> Result<Vec<String>, String> {
    if let Some(meant) = parlor_base::nearest::nearest(&answer.to_ascii_lowercase(), WORDS) {
        return Err(format!(
            "“{}” is neither yes nor no, nor a scope; did you mean {meant}?",
            escape_untrusted(answer, 40)
        ));
    }
    let scope: Vec<_> = answer.split(',').map(|entry| entry.trim().to_owned()).collect();
    Grants::default().grant(permission, &scope).map_err(|error| error.to_string())?;
    let is_of_addresses = matches!(
        permission.scope_kind(),
        ScopeKind::Jids | ScopeKind::Messages | ScopeKind::Rooms | ScopeKind::Servers
    );
    if let Some(word) = scope.iter().filter(|_| is_of_addresses).find_map(|entry| strange_domain(entry, domains)) {
        let word = escape_untrusted(word, 40);
        return Err(format!("“{word}” is neither yes nor no, nor a whole address; write it with its domain"));
    }
    Ok(scope)
}

/// Says which entries are domains of no account, and look like names of people.
pub(super) fn hint_at_domains(requests: &[GrantRequest], config: &Config) {
    let links = config.accounts.values().map(|account| &account.link).chain(config.components.values());
    let own: Vec<_> = links.map(|link| link.jid.domain().as_str()).collect();
    for hint in strange_domains(requests, &own) {
        target::say(&hint);
    }
}

/// Returns the name in an entry that is one word, and none of these domains.
fn strange_domain<'e>(entry: &'e str, own: &[&str]) -> Option<&'e str> {
    let name = entry.strip_prefix("encrypted:").unwrap_or(entry);
    let is_domain = !name.contains(['@', '.', '*', ':', '/']) && name != "contacts";
    Some(name).filter(|_| is_domain && !own.iter().any(|domain| domain.eq_ignore_ascii_case(name)))
}

/// Returns the server of an account in an entry for rooms: there are people there, while rooms have a server of their own.
fn person_in_place_of_room<'e>(entry: &'e str, own: &[&str]) -> Option<&'e str> {
    let (name, domain) = entry.split_once('@')?;
    Some(domain).filter(|domain| !name.is_empty() && own.iter().any(|own| own.eq_ignore_ascii_case(domain)))
}

/// Returns a sentence about each entry without a dot and an @ that is none of these domains, and about each entry for rooms
/// that looks like a person.
fn strange_domains(requests: &[GrantRequest], own: &[&str]) -> Vec<String> {
    let mut hints = Vec::new();
    for GrantRequest { permission, scope } in requests {
        let is_of_rooms = permission.scope_kind() == ScopeKind::Rooms;
        if !is_of_rooms && !matches!(permission.scope_kind(), ScopeKind::Jids | ScopeKind::Messages) {
            continue;
        }
        for entry in scope.iter().flatten() {
            if let Some(domain) = person_in_place_of_room(entry, own).filter(|_| is_of_rooms) {
                let [entry, domain] = [entry.as_str(), domain].map(|text| escape_untrusted(text, LONGEST_NAME));
                hints.push(format!(
                    "{permission} for {entry}: that looks like a person, as {domain} is the server of an account here; rooms have another one, such as conference.{domain}"
                ));
            }
            let Some(name) = strange_domain(entry, own).filter(|_| !is_of_rooms) else { continue };
            let name = escape_untrusted(name, LONGEST_NAME);
            let domain = own.first().copied().unwrap_or("example.org");
            hints.push(format!(
                "{permission} for {name}: that is a domain, and no account here is of it; for a person write the whole address, such as {name}@{domain}"
            ));
        }
    }
    hints
}

#[cfg(test)]
mod tests;
