//! The versions in a repository, according to its tags (distribution specification 1.1, "Listing Tags").

use std::collections::BTreeMap;

use parlor_config::url::Url;
use parlor_https::Answer;
use semver::Version;
use serde::Deserialize;

use super::{LogIn, Reference, get, is_tag};

/// The number of tags requested per page. Some registries refuse larger pages.
const PAGE: usize = 1000;
/// The maximum size of such a page, in bytes, which suffices for that many tags of 128 letters.
const LONGEST_PAGE: usize = 256 << 10;
/// The maximum number of pages of a list that are requested.
pub(super) const MOST_PAGES: usize = 5;
/// The maximum number of versions or tags that are named.
const MOST_NAMED: usize = 10;

#[derive(Deserialize)]
struct Tags {
    tags: Option<Vec<String>>,
}

impl Reference {
    /// Returns the versions of this repository that are newer than this one, the newest first, each with its reference;
    /// `None` if the registry does not list its tags.
    pub(in crate::source) fn newer(&self, than: &Version, login: &LogIn) -> Option<Vec<(Version, Self)>> {
        let newer = |tag: String| Some((version(&tag).filter(|version| is_newer(version, than))?, tag));
        let versions: BTreeMap<_, _> =
            self.tags(login)?.into_iter().filter(|tag| is_tag(tag)).filter_map(newer).collect();
        let named = versions.into_iter().rev().take(MOST_NAMED);
        Some(named.map(|(version, tag)| (version, Self { tag: Some(tag), digest: None, ..self.clone() })).collect())
    }

    /// Returns some of the repository's tags, for an error about a missing one; `None` if the registry lists none.
    pub(super) fn known(&self, login: &LogIn) -> Option<String> {
        let tags = self.tags(login)?;
        // Tags that begin with `sha256-` are lists of referrers.
        let meant: Vec<_> =
            tags.iter().map(String::as_str).filter(|tag| is_tag(tag) && !tag.starts_with("sha256-")).collect();
        let last = &meant[meant.len().saturating_sub(MOST_NAMED)..];
        (!last.is_empty()).then(|| last.join(", "))
    }

    /// Returns the repository's tags, up to a number of pages.
    fn tags(&self, login: &LogIn) -> Option<Vec<String>> {
        let (mut answer, authorization) = self.ask(&format!("tags/list?n={PAGE}"), None, LONGEST_PAGE, login).ok()?;
        let mut all = tags(&answer)?;
        for _ in 1..MOST_PAGES {
            let Some(next) = self.next_page(&answer) else { break };
            let Ok(page) = get(&next, None, authorization.as_ref(), LONGEST_PAGE) else { break };
            all.extend(tags(&page).unwrap_or_default());
            answer = page;
        }
        Some(all)
    }

    /// Returns the address of the next page. It must be on the same server, since the same authorization is sent there.
    pub(super) fn next_page(&self, page: &Answer) -> Option<Url> {
        let mut links = page.headers.iter().filter(|(name, _)| name == "link");
        let next = page.from.to(links.find_map(|(_, value)| next(value))?).ok()?;
        next.same_server(&self.server).then_some(next)
    }
}

/// Parses the tags of one page.
fn tags(page: &Answer) -> Option<Vec<String>> {
    let page: Tags = (page.status == 200).then(|| serde_json::from_slice(&page.body).ok())??;
    page.tags
}

/// Parses a tag as a version, with or without a leading `v`.
fn version(tag: &str) -> Option<Version> {
    tag.strip_prefix('v').unwrap_or(tag).parse().ok()
}

/// Returns whether it is an update: a user of a release is not offered pre-releases.
fn is_newer(version: &Version, than: &Version) -> bool {
    version > than && (version.pre.is_empty() || !than.pre.is_empty())
}

/// Returns the address of the next page in a `link` header (RFC 8288, section 3).
fn next(links: &str) -> Option<&str> {
    let mut rest = links;
    while let Some((_, link)) = rest.split_once('<') {
        let (target, behind) = link.split_once('>')?;
        let (parameters, further) = behind.split_at(behind.find('<').unwrap_or(behind.len()));
        if parameters.split(';').any(is_next) {
            return Some(target);
        }
        rest = further;
    }
    None
}

/// Returns whether a link parameter marks the link to the next page.
fn is_next(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else { return false };
    let mut kinds = value.trim_matches([' ', '\t', ',', '"']).split_ascii_whitespace();
    name.trim().eq_ignore_ascii_case("rel") && kinds.any(|kind| kind.eq_ignore_ascii_case("next"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_may_be_a_version_to_go_on_to() {
        let newer =
            |tag: &str, than: &str| version(tag).is_some_and(|version| is_newer(&version, &than.parse().unwrap()));
        for tag in ["0.10.0", "v0.10.0", "1.0.0"] {
            assert!(newer(tag, "0.9.0"), "{tag}");
        }
        for tag in ["0.9.0", "v0.8.9", "latest", "1.0", "1", "1.0.0-rc.1", "vv1.0.0", "sha256-00", "1.0.0_1", ""] {
            assert!(!newer(tag, "0.9.0"), "{tag}");
        }
        assert!(newer("1.0.0-rc.2", "1.0.0-rc.1") && newer("1.0.0", "1.0.0-rc.1"));
    }

    #[test]
    fn the_next_page_is_what_a_link_of_that_kind_says() {
        assert_eq!(next("</v2/a/tags/list?last=b&n=2>; rel=\"next\""), Some("/v2/a/tags/list?last=b&n=2"));
        assert_eq!(next(" <https://x/y>;title=z; REL=next"), Some("https://x/y"));
        assert_eq!(next("</first>; rel=\"first\", </v2/a?last=b,c>; rel=\"next last\", </z>"), Some("/v2/a?last=b,c"));
        assert_eq!(next("</v2/a>; rel=next, </v2/b>; rel=\"last\""), Some("/v2/a"));
        for none in
            ["", "/v2/a", "</v2/a", "</v2/a>", "</v2/a>; rel=\"prev\"", "</v2/a>; rel", "</a>, </b>; rel=nextmost"]
        {
            assert_eq!(next(none), None, "{none}");
        }
    }
}
