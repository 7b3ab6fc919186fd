//! A plugin that could be installed, as its owner sees it before deciding: its description, its author, and its
//! requests.

use std::fmt;

use maud::{Markup, html};
use parlor_base::permission::{Permission, ScopeKind};
use parlor_plugins::admin::Offer;
use parlor_plugins::component::Examined;
use parlor_plugins::consent::{Place, asked};
use parlor_plugins::manifest::{Manifest, Request};
use parlor_window::{Form, Problem, stranger};

use super::super::parts::{field, reach, rows, table, tick, whole};
use super::decision::scope_field;
use crate::plugin::from_index::Chosen;
use crate::plugin::inspect::webhook_in_words;
use crate::show::size;

/// The field with the digest of the file that a decision is about.
const SHOWN: &str = "shown";

/// A file that was fetched and examined. Nothing of it has run.
pub(in crate::web) struct Offered {
    pub(super) offer: Offer,
    pub(super) chosen: Chosen,
    pub(super) sheet: Sheet,
}

/// Shows it without the bytes of the file.
impl fmt::Debug for Offered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Offered").field("sheet", &self.sheet).finish_non_exhaustive()
    }
}

/// The information about an offered file.
#[derive(Debug)]
pub(super) struct Sheet {
    source: String,
    /// The redirects of its download.
    redirects: Vec<String>,
    signer: Option<String>,
    /// The comment of its signer.
    comment: Option<String>,
    /// The publisher's key, and the plugin's name in the index.
    publisher: Option<(String, Option<String>)>,
    examined: Examined,
    /// The accounts that there are.
    pub(super) places: Vec<Place>,
    /// How many entries an earlier plugin of this name has left.
    kept: usize,
}

impl Sheet {
    /// Returns what is known of an offer.
    pub(super) fn of(offer: &Offer, places: Vec<Place>, kept: usize) -> Self {
        let publisher = offer.publisher.as_ref();
        Self {
            source: offer.source.clone(),
            redirects: offer.redirects.iter().map(ToString::to_string).collect(),
            signer: offer.signer.as_ref().map(ToString::to_string),
            comment: offer.comment.clone(),
            publisher: publisher.map(|one| (one.key.to_string(), one.index.as_ref().map(ToString::to_string))),
            examined: offer.examined.clone(),
            places,
            kept,
        }
    }

    pub(super) fn manifest(&self) -> &Manifest {
        &self.examined.manifest
    }

    /// Refuses a form about another file. A page may have been open since before `parlor web` was started again, and numbers of installs
    /// begin anew then.
    pub(super) fn is_shown_by(&self, form: &Form) -> Result<(), Problem> {
        if form.need(SHOWN)? == self.examined.digest.to_string() {
            return Ok(());
        }
        let sentence = "this form is about another file, so nothing was installed: load the page of the install again, and decide there";
        Err(Problem::new(409, sentence))
    }

    /// Shows all that is known of it.
    pub(super) fn shown(&self) -> Markup {
        let manifest = self.manifest();
        let reach = reach(&asked(manifest, |_| true), &self.places);
        html! {
            p.lead {
                strong { (manifest.name.as_str()) " " (manifest.version.to_string()) }
                ": " (stranger(&manifest.description))
            }
            p { "Nothing of it has run, and it has been granted nothing. What it says of itself is its author's word." }
            (self.origin())
            (self.contents())
            h2 { "What it could reach" }
            @if reach.is_empty() {
                p { "It asks for nothing." }
            } @else {
                p { "With all that it asks for:" }
                ul { @for sentence in reach { li { (sentence) } } }
            }
            @if self.kept > 0 {
                p {
                    "It would find what an earlier plugin called " (manifest.name.as_str()) " has kept (entries: " (self.kept)
                    "). With another id it begins without."
                }
            }
        }
    }

    /// Shows its source and its signer.
    fn origin(&self) -> Markup {
        let Self { source, redirects, signer, comment, publisher, examined, .. } = self;
        let manifest = self.manifest();
        html! {
            h2 { "What it is" }
            dl.facts {
                dt { "Source" } dd { (whole(source)) }
                @for url in redirects { dt { "Led to" } dd { (stranger(url)) } }
                dt { "Digest" } dd { code { (examined.digest.to_string()) } }
                dt { "Signed by" }
                dd {
                    @match (signer, publisher) {
                        (Some(signer), _) => (signer),
                        (None, Some(_)) => "its publisher, whom plugins.toml does not trust by name",
                        (None, None) => "nobody whom you trust",
                    }
                    @if let Some(comment) = comment { ", who says “" (stranger(comment)) "”" }
                }
                @if let Some((key, index)) = publisher {
                    dt { "Publisher" }
                    dd { code { (key) } @if let Some(index) = index { " (" (index) ")" } }
                }
                dt { "Size" } dd { (size(u64::try_from(examined.size).unwrap_or(u64::MAX))) }
                dt { "Language" } dd { (stranger(examined.language.as_deref().unwrap_or("unknown"))) }
                dt { "Contract" } dd { (manifest.api.to_string()) }
                @if !manifest.authors.is_empty() { dt { "Authors" } dd { (stranger(&manifest.authors.join(", "))) } }
                @if let Some(license) = &manifest.license { dt { "License" } dd { (stranger(license)) } }
                @if let Some(change) = manifest.changes.get(&manifest.version) { dt { "New" } dd { (stranger(change)) } }
            }
        }
    }

    /// Shows what it brings: settings, webhooks, and plugins that it needs.
    fn contents(&self) -> Markup {
        let manifest = self.manifest();
        let settings = rows(&manifest.settings, |(name, setting)| {
            html! {
                tr {
                    th scope="row" { (stranger(name)) }
                    td { (stranger(&setting.kind.to_string())) }
                    td { (stranger(&setting.description)) }
                }
            }
        });
        let webhooks = rows(&manifest.webhooks, |(name, webhook)| {
            html! {
                tr {
                    th scope="row" { (stranger(name)) }
                    td { (stranger(&webhook_in_words(webhook))) }
                    td { (stranger(&webhook.description)) }
                }
            }
        });
        let needs = rows(&manifest.dependencies, |(name, dependency)| {
            html! {
                tr {
                    th scope="row" { (name.as_str()) }
                    td { (stranger(&dependency.version.to_string())) }
                    td { @if dependency.optional { "no" } @else { "yes" } }
                }
            }
        });
        html! {
            @if !manifest.settings.is_empty() {
                (table("Its settings", &["Setting", "Type", "What for"], &settings))
            }
            @if !manifest.webhooks.is_empty() {
                (table("Its webhooks", &["Webhook", "How", "What for"], &webhooks))
            }
            @if !manifest.dependencies.is_empty() {
                (table("Plugins that it works with", &["Plugin", "Version", "Necessary"], &needs))
            }
        }
    }

    /// Returns the fields of the decision.
    pub(super) fn fields(&self) -> Markup {
        let manifest = self.manifest();
        html! {
            input type="hidden" name=(SHOWN) value=(self.examined.digest.to_string());
            (field("id", "Id on this host", manifest.name.as_str(), "1 to 64 of a-z, 0-9, _ and -"))
            fieldset {
                legend { "Accounts that it runs on" }
                @for (number, place) in self.places.iter().enumerate() {
                    @let id = format!("account-{number}");
                    p {
                        input type="checkbox" id=(id) name="account" value=(place.account.as_str()) checked;
                        " "
                        label for=(id) { (whole(&place.to_string())) }
                    }
                }
                (tick("later", "Also on accounts that are added later, without being asked again"))
            }
            @if !manifest.permissions.is_empty() {
                (tick("all", "Grant all that it asks for, as it asks for it; or decide about each:"))
            }
            @for (number, (permission, request)) in manifest.permissions.iter().enumerate() {
                (permission_field(number, *permission, request))
            }
            (tick("disabled", "Install it without letting it run"))
            button type="submit" { "Go on" }
            p.hint { "The next page says what would be done, and asks." }
        }
    }
}

/// Shows a permission that is asked for, with a box to tick, and a field for a narrower scope.
fn permission_field(number: usize, permission: Permission, request: &Request) -> Markup {
    let entries = request.entries(permission);
    let (id, about, scope) = (format!("grant-{number}"), format!("about-{number}"), scope_field(permission));
    html! {
        fieldset {
            legend { (permission.as_str()) ", " (permission.risk().to_string()) " risk" }
            p id=(about) {
                (permission.describe())
                @if !entries.is_empty() { " For: " (whole(&entries.join(", "))) "." }
                " The author says: “" (whole(&request.reason)) "”"
            }
            p {
                input type="checkbox" id=(id) name="grant" value=(permission.as_str()) aria-describedby=(about);
                " "
                label for=(id) {
                    "Grant " (permission.as_str())
                    @if request.optional { " (it also runs without)" } @else { " (it does not run without)" }
                }
            }
            @if permission.scope_kind() != ScopeKind::None {
                (field(&scope, &format!("Instead, {permission} only for"), "",
                    "Entries with commas between them; empty: as it asks"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parlor_base::id::Digest;
    use parlor_plugins::component::Needs;

    use super::*;

    const EVIL: &str = "<script>alert(1)</script>";

    fn of(manifest: &str) -> Sheet {
        let examined = Examined {
            digest: Digest::of(b""),
            size: 7,
            manifest: Arc::new(Manifest::parse(manifest).unwrap()),
            language: Some(EVIL.to_owned()),
            imports: Vec::new(),
            needs: Needs::default(),
        };
        Sheet {
            source: EVIL.to_owned(),
            redirects: vec![EVIL.to_owned()],
            signer: None,
            comment: Some(EVIL.to_owned()),
            publisher: None,
            examined,
            places: vec![Place {
                account: "main".parse().unwrap(),
                jid: "bot@example.org".parse().unwrap(),
                rooms: None,
            }],
            kept: 3,
        }
    }

    fn head() -> String {
        format!("[plugin]\nname = \"echo\"\nversion = \"0.1.0\"\napi = \"0.1.0\"\ndescription = \"{EVIL}\"\n")
    }

    #[test]
    fn a_plugin_without_requests_asks_for_nothing() {
        let offered = of(&head());
        let (page, fields) = (offered.shown().into_string(), offered.fields().into_string());
        assert!(page.contains("It asks for nothing.") && page.contains("(entries: 3)"), "{page}");
        assert!(page.contains("nobody whom you trust"), "{page}");
        assert!(!fields.contains("name=\"grant\"") && !fields.contains("name=\"all\""), "{fields}");
        assert!(fields.contains("name=\"account\" value=\"main\" checked"), "{fields}");
    }

    #[test]
    fn nothing_is_ticked_that_grants_something() {
        let offered = of(&format!(
            "{}[permissions]\n\"messages.send\" = {{ scope = [\"*\"], reason = \"{EVIL}\" }}\n\
             \"contacts.read\" = {{ reason = \"x\", optional = true }}\n",
            head()
        ));
        let fields = offered.fields().into_string();
        assert_eq!(fields.matches(" checked").count(), 1, "the account: {fields}");
        assert!(fields.contains("name=\"scope.messages.send\"") && !fields.contains("scope.contacts.read"), "{fields}");
        assert!(fields.contains("it does not run without") && fields.contains("it also runs without"), "{fields}");
        // No id is there twice.
        let mut ids: Vec<_> = fields.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count, "{fields}");
    }

    #[test]
    fn a_form_is_about_the_file_that_it_showed() {
        let offered = of(&head());
        let digest = offered.examined.digest.to_string();
        let fields = offered.fields().into_string();
        assert!(fields.contains(&format!("name=\"shown\" value=\"{digest}\"")), "{fields}");
        assert_eq!(offered.is_shown_by(&Form::of(&[("shown", &digest)])), Ok(()));
        let other = Digest::of(b"another file").to_string();
        for (fields, status) in [([("shown", other.as_str())], 409), ([("all", "true")], 400)] {
            assert_eq!(offered.is_shown_by(&Form::of(&fields)).unwrap_err().status, status, "{fields:?}");
        }
    }

    #[test]
    fn no_text_of_strangers_is_markup() {
        let more = format!(
            "authors = [\"{EVIL}\"]\nlicense = \"{EVIL}\"\n[settings]\nname = {{ type = \"string\", description = \"{EVIL}\" }}\n\
             [permissions]\n\"contacts.read\" = {{ reason = \"{EVIL}\" }}\n"
        );
        let offered = of(&(head() + &more));
        for page in [offered.shown(), offered.fields()] {
            let page = page.into_string();
            assert!(!page.contains("<script") && page.contains("&lt;script&gt;"), "{page}");
        }
    }
}
