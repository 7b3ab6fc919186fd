//! The layout of every page: its head, the navigation, and the logged-in person.

use maud::{DOCTYPE, Markup, html};
use parlor_base::escape::escape_untrusted;

use crate::assets::{SCRIPT, STYLE};
use crate::form::TOKEN;
use crate::role::Access;
use crate::text::{stranger, stranger_text};
use crate::visit::Seen;

/// The most of the sentence about a change that the title of the next page has, in bytes.
const LONGEST_NEWS: usize = 120;

/// A page to go to from every page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Its path.
    pub path: &'static str,
    /// The text of the link.
    pub name: &'static str,
    /// The requirement of the page. Sessions that do not meet it are not led there.
    pub access: Access,
}

impl Entry {
    /// Returns whether a path is that of the page, or of one below it.
    fn is_at(&self, path: &str) -> bool {
        let below = path.strip_prefix(self.path);
        path == self.path || self.path != "/" && below.is_some_and(|rest| rest.starts_with('/'))
    }
}

/// Returns a page of a session.
pub(crate) fn page(seen: &Seen, entries: &[Entry], title: &str, notice: Option<&str>, content: &Markup) -> Markup {
    let base = seen.base.as_str();
    let log_out = "/logout";
    let inner = html! {
        a.skip href="#main" { "Skip to the content" }
        header.top {
            a.brand href={ (base) "/" } { "parlor" }
            nav aria-label="Pages" {
                ul {
                    @for entry in entries.iter().filter(|entry| seen.session.may(entry.access)) {
                        li {
                            a href={ (base) (entry.path) } aria-current=[entry.is_at(&seen.path).then_some("page")] {
                                (entry.name)
                            }
                        }
                    }
                }
            }
        }
        main #main tabindex="-1" {
            h1 { (stranger_text(title)) }
            @if let Some(notice) = notice {
                div #notice role="status" { (stranger(notice)) }
            }
            // The script shows it where something changes by itself: a screen reader would lose its place in the page.
            button.quiet #pause type="button" aria-pressed="false" hidden { "Pause updates" }
            (content)
        }
        footer {
            p {
                "Logged in as " (seen.session.name.as_str()) " (" (seen.session.role.as_str()) ")"
                @if let Some(jid) = &seen.session.jid { ", by a link to " (stranger(jid)) }
                @match &seen.session.accounts {
                    Some(accounts) => { ", for the accounts " (accounts.keys().map(String::as_str).collect::<Vec<_>>().join(", ")) }
                    None if seen.session.is_limited() => { ", for the accounts of which that is an owner" }
                    None => {}
                }
            }
            form method="post" action={ (base) (log_out) } {
                input type="hidden" name=(TOKEN) value=(seen.secret.form_token(log_out));
                button type="submit" { "Log out" }
            }
        }
    };
    // A screen reader reads the title first. It says nothing of a status that a page has from its beginning.
    let news = notice.map(|notice| format!("{} · {title}", escape_untrusted(notice, LONGEST_NEWS)));
    whole(base, news.as_deref().unwrap_or(title), &inner)
}

/// Returns a page for somebody who is not logged in.
pub(crate) fn outside(base: &str, title: &str, content: &Markup) -> Markup {
    let inner = html! {
        header.top { span.brand { "parlor" } }
        main #main {
            h1 { (stranger_text(title)) }
            (content)
        }
    };
    whole(base, title, &inner)
}

fn whole(base: &str, title: &str, inner: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                title { (stranger_text(title)) " · parlor" }
                link rel="stylesheet" href={ (base) (STYLE.path()) };
                script defer src={ (base) (SCRIPT.path()) } {}
            }
            body data-base=(base) { (inner) }
        }
    }
}
