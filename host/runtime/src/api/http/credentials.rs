//! Credentials in requests: the host writes them where the plugin wrote their names, and takes them out of answers.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use jid::BareJid;
use memchr::{memchr_iter, memmem};
use parlor_base::escape::escape_untrusted;
use parlor_base::permission::Permission;
use parlor_base::web_address::{WebAddress, encoded};
use parlor_plugins::binding::{Binding, Part};
use parlor_plugins::setting::SettingKind;
use parlor_session::permissions::Target;
use parlor_stanza::error::CallError;
use parlor_web::Method;

use crate::instance::Instance;
use crate::settings::{Hidden, Mask};

/// The maximum number of credentials in one request.
const MOST: usize = 8;
/// The most bytes that credentials may add to a part of a request: a name takes few bytes, and may occur in it often.
const MOST_ADDED: usize = 64 << 10;

/// The credentials that a request uses, and all that its answer must not show.
pub(crate) struct Credentials {
    pub(super) used: Vec<Credential>,
    /// All credentials, including those that this request does not use: one request could store a credential somewhere,
    /// and another one fetch it.
    pub(super) hidden: Arc<Hidden>,
}

pub(super) struct Credential {
    name: String,
    /// The text that stands for it, such as `{{token}}`.
    place: Vec<u8>,
    /// The servers that it is bound to, and the parts of a request that it is written into.
    binding: Binding,
    /// Never shown, not even in an error.
    value: String,
}

/// A credential that is not bound to a server.
pub(super) struct Unbound {
    name: String,
    servers: Vec<String>,
}

impl Unbound {
    /// Returns the denial, counted and logged.
    pub(super) fn denied(self, instance: &Instance, to: &WebAddress) -> CallError {
        let Self { name, servers } = self;
        let hint = format!("no grant helps: the manifest binds {name} to {}", servers.join(", "));
        instance.deny_for_good(Permission::HttpFetch, format!("the credential {name} towards {}", to.origin()), hint)
    }
}

/// Returns the argument of the call that a part of a request is in.
fn argument(part: Part<'_>) -> &'static str {
    match part {
        Part::Header(_) => "request.headers",
        Part::Query => "request.url",
        Part::Body => "request.body",
    }
}

impl Credential {
    pub(super) fn new(name: String, value: String, binding: Binding) -> Self {
        Self { place: format!("{{{{{name}}}}}").into(), name, binding, value }
    }
}

impl Credentials {
    /// Finds the credentials with these names among the plugin's settings, as they are in a room.
    pub(crate) fn of(instance: &Instance, room: Option<&BareJid>, names: Vec<String>) -> Result<Self, CallError> {
        let invalid = |reason: String| CallError::invalid("request.credentials", reason);
        if names.len() > MOST {
            return Err(invalid(format!("at most {MOST} of them")));
        }
        let (values, hidden) = instance.settings.credentials(room, &names);
        let find = |(name, value): (String, Option<String>)| {
            let Some(SettingKind::Credential(Some(binding))) = instance.settings.kind(&name) else {
                return Err(invalid("each is the name of a setting of the type credential with `hosts`".to_owned()));
            };
            let value = value.ok_or_else(|| CallError::NotFound(name.clone()))?;
            Ok(Credential::new(name, value, binding.clone()))
        };
        Ok(Self { used: names.into_iter().zip(values).map(find).collect::<Result<_, _>>()?, hidden })
    }

    /// Checks that each is bound to the server, and that the request goes over TLS.
    pub(super) fn may_go_to(&self, method: &Method, to: &WebAddress) -> Result<(), Unbound> {
        let target = Target::Web { method: method.as_str(), address: to };
        let is_bound = |one: &Credential| one.binding.servers().covers(target, &|_| false);
        let unbound = self.used.iter().find(|one| !to.is_secure() || !is_bound(one));
        match unbound {
            None => Ok(()),
            Some(one) => Err(Unbound { name: one.name.clone(), servers: one.binding.servers().entries() }),
        }
    }

    /// Checks an address that a server redirects to: it must have no credential but those that the request uses. A server that knows
    /// one may have kept it in the address, at a request of the plugin. The server there would get it, and its name would be in
    /// errors, in the log, and in questions to name servers.
    pub(crate) fn may_be_in(
        &self,
        instance: &Instance,
        permission: Permission,
        to: &WebAddress,
    ) -> Result<(), CallError> {
        if !self.are_named_by(&to.origin()) && !self.others_are_shown_by(to.as_str()) {
            return Ok(());
        }
        let hint = "no grant helps: a server that this plugin asked redirects to it".to_owned();
        Err(instance.deny_for_good(permission, "an address with a credential in it".to_owned(), hint))
    }

    /// Returns how many bytes they may add to a request.
    pub(super) fn growth(&self) -> usize {
        if self.used.is_empty() { 0 } else { 2 * MOST_ADDED }
    }

    /// Writes those that are for this header or the body where their names stand.
    pub(super) fn fill<'a>(&self, part: Part<'_>, text: &'a [u8]) -> Result<Cow<'a, [u8]>, CallError> {
        self.filled(part, text, |value| value.as_bytes().into())
    }

    /// Does the same in the query of an address.
    pub(super) fn fill_query(&self, to: &WebAddress) -> Result<WebAddress, CallError> {
        let Some(query) = to.query() else { return Ok(to.clone()) };
        match self.filled(Part::Query, query.as_bytes(), |value| encoded(value).into_bytes().into())? {
            Cow::Borrowed(_) => Ok(to.clone()),
            Cow::Owned(filled) => to
                .with_query(&String::from_utf8_lossy(&filled))
                .map_err(|error| CallError::invalid("request.url", error.to_string())),
        }
    }

    /// Refuses a place for one of them before the query of an address: the server would get the name itself.
    pub(super) fn refuse_in_path(&self, url: &str) -> Result<(), CallError> {
        let path = url.split(['?', '#']).next().unwrap_or_default();
        let stands = |one: &&Credential| memmem::find(path.as_bytes(), &one.place).is_some();
        match self.used.iter().find(stands).map(|one| &one.name) {
            None => Ok(()),
            Some(name) => Err(CallError::invalid(
                "request.url",
                format!(
                    "the host writes no credential into a path: write {{{{{name}}}}} in a part that insert_in lists"
                ),
            )),
        }
    }

    /// Warns about a place for a credential, in the address or in a header, that is none of these: the server gets the name
    /// itself.
    pub(super) fn warn_of_others<'a>(&self, instance: &Instance, url: &'a str, headers: impl Iterator<Item = &'a str>) {
        let Some(credential) = std::iter::once(url).chain(headers).find_map(|text| self.other(text)) else { return };
        if !instance.may_log() {
            return;
        }
        let is_credential = |name: &&str| matches!(instance.settings.kind(name), Some(SettingKind::Credential(_)));
        if is_credential(&credential) {
            tracing::warn!(
                plugin = %instance.plugin, account = %instance.account.name, credential,
                "a request has a place for a credential, and does not list it among its credentials"
            );
            return;
        }
        let nearest = instance.settings.nearest(credential).filter(is_credential);
        let credential = escape_untrusted(credential, 128);
        tracing::warn!(
            plugin = %instance.plugin, account = %instance.account.name, credential, nearest,
            "a request has a place for a credential that it does not name"
        );
    }

    /// Warns about a place for one of them in a part that it is not for: the server gets the name itself. The author may have meant it,
    /// or a person wrote it.
    pub(super) fn warn_of_left<'a>(&self, instance: &Instance, mut parts: impl Iterator<Item = (Part<'a>, &'a [u8])>) {
        let left = |(part, text): (Part<'a>, &[u8])| {
            let is_left = |one: &&Credential| !one.binding.is_for(part) && memmem::find(text, &one.place).is_some();
            Some((part, &self.used.iter().find(is_left)?.name))
        };
        let Some((part, credential)) = parts.find_map(left) else { return };
        if instance.may_log() {
            tracing::warn!(
                plugin = %instance.plugin, account = %instance.account.name, credential, argument = argument(part),
                "a place for a credential is sent as it stands: insert_in in plugin.toml does not list this part of a request"
            );
        }
    }

    /// Returns the first name in `{{` and `}}` that is none of theirs. A text with other characters between them is no name.
    pub(super) fn other<'a>(&self, text: &'a str) -> Option<&'a str> {
        let is_part = |letter: u8| letter.is_ascii_alphanumeric() || letter == b'_' || letter == b'-';
        let is_name = |name: &&str| !name.is_empty() && name.bytes().all(is_part);
        let places = text.split("{{").skip(1).filter_map(|rest| rest.split_once("}}")).map(|(name, _)| name);
        places.filter(is_name).find(|name| self.used.iter().all(|one| one.name != **name))
    }

    /// Returns a credential for bodies whose name occurs in a part of a body. Names there are not replaced: the server would get the
    /// name itself. `before` is the end of the parts before it, as [`Credentials::end_of`] keeps it.
    pub(super) fn stands_in(&self, before: &[u8], part: &[u8]) -> Option<&str> {
        let is_in = |one: &&Credential| {
            let across = [before, &part[..part.len().min(one.place.len())]].concat();
            memmem::find(&across, &one.place).is_some() || memmem::find(part, &one.place).is_some()
        };
        self.used.iter().filter(|one| one.binding.is_for(Part::Body)).find(is_in).map(|one| one.name.as_str())
    }

    /// Adds a part to the end of the parts before it, as far as the name of a credential could begin there.
    pub(super) fn end_of(&self, before: &mut Vec<u8>, part: &[u8]) {
        let longest = self.used.iter().map(|one| one.place.len().saturating_sub(1)).max().unwrap_or(0);
        before.extend_from_slice(&part[part.len().saturating_sub(longest)..]);
        before.drain(..before.len().saturating_sub(longest));
    }

    fn filled<'a>(
        &self,
        part: Part<'_>,
        text: &'a [u8],
        written: impl Fn(&str) -> Cow<'_, [u8]>,
    ) -> Result<Cow<'a, [u8]>, CallError> {
        if self.used.is_empty() {
            return Ok(text.into());
        }
        let (mut filled, mut done) = (Vec::new(), 0);
        for at in memchr_iter(b'{', text).filter(|at| text[*at..].starts_with(b"{{")) {
            let here = |one: &&Credential| at >= done && one.binding.is_for(part) && text[at..].starts_with(&one.place);
            let Some(one) = self.used.iter().find(here) else { continue };
            filled.extend_from_slice(&text[done..at]);
            filled.extend_from_slice(&written(&one.value));
            done = at + one.place.len();
            if filled.len() > done + MOST_ADDED {
                let reason = format!("the credentials would add more than {MOST_ADDED} bytes");
                return Err(CallError::invalid(argument(part), reason));
            }
        }
        if done == 0 {
            return Ok(text.into());
        }
        filled.extend_from_slice(&text[done..]);
        Ok(filled.into())
    }

    /// Replaces each credential that a server repeats by asterisks.
    pub(crate) fn hide(&self, text: &mut [u8]) {
        self.hidden.hide(text);
    }

    /// Returns what takes them out of an answer that comes in parts.
    pub(crate) fn mask(&self) -> Mask {
        Mask::new(Arc::clone(&self.hidden))
    }

    /// Returns whether a text repeats one that the request does not use. Such a one may be a part of one that it uses, and is
    /// then known to the server; or it may be longer, and is not.
    pub(super) fn others_are_shown_by(&self, text: &str) -> bool {
        let used = Hidden::of(self.used.iter().map(|one| one.value.as_str())).places(text.as_bytes());
        let is_of_used = |place: &Range<usize>| used.iter().any(|of| of.start <= place.start && place.end <= of.end);
        self.hidden.places(text.as_bytes()).iter().any(|place| !is_of_used(place))
    }

    /// Returns whether a text repeats one.
    pub(super) fn are_shown_by(&self, text: &str) -> bool {
        self.hidden.are_in(text)
    }

    /// Returns whether the name of a server or of a header contains a credential. Such names are in lower case, and
    /// most are too short.
    pub(super) fn are_named_by(&self, name: &str) -> bool {
        self.hidden.are_in_name(name)
    }

    /// Returns whether the plugin has any.
    pub(super) fn are_there(&self) -> bool {
        !self.hidden.is_empty()
    }
}
