//! Formats events as lines of a transcript.

use std::collections::HashMap;

use jid::Jid;
use parlor_base::escape::escape_untrusted;
use parlor_stanza::types::{Message, MessageKind};
use tracing::Level;

use super::names::{short, short_text};
use super::notes::Happened;
use super::server::{Action, FormShown, NodeRequest, Reported};

/// The first character of each continuation line of a text.
pub(super) const FURTHER: char = '|';

/// The most bytes of an address or a body that is sent over the web.
const LONGEST: usize = 2_000;
/// The most characters of a message that are quoted to identify it.
const GIST: usize = 40;

/// Formats events as transcript lines. It remembers earlier messages, so that a reply can quote the message it answers.
#[derive(Debug, Default)]
pub struct Shown {
    said: HashMap<String, String>,
}

impl Shown {
    /// Remembers a message that somebody other than the plugin sent.
    pub fn heard(&mut self, id: String, body: &str) {
        self.said.insert(id, body.to_owned());
    }

    /// Returns the transcript lines of an event, or none if the event does not appear in transcripts.
    pub fn lines(&mut self, happened: &Happened) -> Vec<String> {
        let text = match happened {
            Happened::Did(action) => self.action(action),
            Happened::Denied { permission, scope, .. } => {
                let scope = scope.as_deref().map(|scope| format!(" for {}", short_text(scope)));
                format!("denied {permission}{}", scope.unwrap_or_default())
            }
            Happened::Logged { level, text } if *level <= Level::WARN => {
                format!("log {}: {text}", level.as_str().to_ascii_lowercase())
            }
            Happened::Logged { .. } | Happened::Runs | Happened::Computes(_) | Happened::Trace(_) => return Vec::new(),
            Happened::Warned(text) => format!("host warns: {text}"),
            Happened::Ended(why) => format!("plugin ends: {why}"),
        };
        let mut lines = text.split('\n').map(|line| line.trim_end().to_owned());
        let first = lines.next();
        first
            .into_iter()
            .chain(lines.map(|line| if line.is_empty() { FURTHER.to_string() } else { format!("{FURTHER} {line}") }))
            .collect()
    }

    fn action(&mut self, action: &Action) -> String {
        let reasoned =
            |reason: &Option<String>| reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        match action {
            Action::Said(message) => self.message(message),
            Action::Invited { room, whom, reason } => {
                format!("invites {} to {}{}", short(whom), short(&room.clone().into()), reasoned(reason))
            }
            Action::Declined { room, whom, reason } => {
                let room = short(&room.clone().into());
                format!("declines the invitation of {} to {room}{}", short(whom), reasoned(reason))
            }
            Action::Status { show, text } if text.is_empty() => format!("is {show}"),
            Action::Status { show, text } => format!("is {show}: {text}"),
            Action::Entered { room, nick } => format!("enters {} as {nick}", short(&room.clone().into())),
            Action::Left { room } => format!("leaves {}", short(&room.clone().into())),
            Action::Subscription { whom, kind } => format!("{kind} {}", short(&whom.clone().into())),
            Action::Contact { jid, removed: true, .. } => format!("removes contact {}", short_text(jid)),
            Action::Contact { jid, name, groups, .. } => {
                let name = name.as_ref().map(|name| format!(" {name:?}")).unwrap_or_default();
                let groups = if groups.is_empty() { String::new() } else { format!(" in {}", groups.join(", ")) };
                format!("keeps contact {}{name}{groups}", short_text(jid))
            }
            Action::Moderated { room, whom, role, affiliation, reason } => {
                let room = short(&room.clone().into());
                let who = if whom.contains('@') {
                    format!("{} in {room}", short_text(whom))
                } else {
                    format!("{room}/{whom}")
                };
                let what = match (role.as_deref(), affiliation.as_deref()) {
                    (Some("none"), _) => format!("kicks {who}"),
                    (_, Some("outcast")) => format!("bans {who}"),
                    (Some(role), _) => format!("makes {who} {role}"),
                    (None, Some(affiliation)) => format!("makes {who} {affiliation}"),
                    (None, None) => format!("changes {who}"),
                };
                what + &reasoned(reason)
            }
            Action::Retracted { room, id, reason } => {
                format!("retracts {} in {}{}", self.gist(id), short(&room.clone().into()), reasoned(reason))
            }
            Action::Voice { room, nick: None, .. } => format!("asks for voice in {}", short(&room.clone().into())),
            Action::Voice { room, nick: Some(nick), allow } => {
                let what = if *allow { "gives" } else { "refuses" };
                format!("{what} voice to {}/{nick}", short(&room.clone().into()))
            }
            Action::Registered { room, nick: Some(nick) } => {
                format!("registers with {} as {nick}", short(&room.clone().into()))
            }
            Action::Registered { room, nick: None } => {
                format!("ends its registration with {}", short(&room.clone().into()))
            }
            Action::Blocked { jid, ends, report } => {
                let report = report.as_ref().map(|report| self.report(report)).unwrap_or_default();
                format!("{} {}{report}", if *ends { "unblocks" } else { "blocks" }, short_text(jid))
            }
            Action::Room { room, what } => format!("{what} {}", short(&room.clone().into())),
            Action::Requested { method, url, headers, body } => {
                let url = escape_untrusted(url, LONGEST);
                format!("requests {method} {url}{}{}", with_headers(headers), written(Some(body)))
            }
            Action::Answered { webhook, status, body } => format!("answers {webhook} {status}{}", written(Some(body))),
            Action::Form { to, shows } => form(&short(to), shows),
            Action::Asked { to, set, name, namespace } => {
                let to = somebody(to.as_ref());
                format!("{} {to}: <{name} xmlns='{namespace}'>", if *set { "tells" } else { "asks" })
            }
            Action::Replied { to, payload } => {
                format!("answers {}{}", somebody(to.as_ref()), written(payload.as_deref()))
            }
            Action::Refused { to, condition, text } => refusal(&somebody(to.as_ref()), condition, text.as_deref()),
            Action::Node { at, node, request } => about_node(at.as_ref(), node, request),
        }
    }

    fn message(&mut self, message: &Message) -> String {
        let to =
            if message.kind == MessageKind::Groupchat { Jid::from(message.to.to_bare()) } else { message.to.clone() };
        let to = short(&to);
        if let (Some(subject), None) = (&message.subject, &message.body) {
            return format!("subject of {to}: {subject}");
        }
        let mut about = Vec::new();
        if matches!(message.kind, MessageKind::Normal | MessageKind::Headline | MessageKind::Error) {
            about.push(message.kind.to_string());
        }
        if let Some(extensions) = &message.extensions {
            let gist = |id: &String| self.gist(id);
            about.extend(extensions.reply.as_ref().map(|reply| format!("re {}", gist(&reply.id))));
            about.extend(extensions.replace.as_ref().map(|id| format!("instead of {}", gist(id))));
            about.extend(extensions.retract.as_ref().map(|id| format!("retracts {}", gist(id))));
            about.extend(extensions.reactions.as_ref().map(|one| reacted(&one.emojis, &gist(&one.id))));
            about.extend(extensions.receipt.as_ref().map(|id| format!("received {}", gist(id))));
            let marker = extensions.marker.as_ref().zip(extensions.marked.as_ref());
            about.extend(marker.map(|(marker, id)| format!("{marker} {}", gist(id))));
            about.extend(extensions.chat_state.clone());
            about.extend(extensions.spoiler.as_deref().map(hidden));
            about.extend(extensions.unstyled.then(|| "unstyled".to_owned()));
            about.extend(extensions.previews.iter().map(|one| format!("preview of {}", one.url)));
        }
        let about = if about.is_empty() { String::new() } else { format!(" ({})", about.join(", ")) };
        if let Some(body) = &message.body {
            // In a room, other occupants refer to the message by the id that the room assigned.
            self.said.extend(message.id.iter().chain(&message.stanza_id).map(|id| (id.clone(), body.clone())));
        }
        match &message.body {
            Some(body) => format!("to {to}{about}: {body}"),
            None => format!("to {to}{about}"),
        }
    }

    /// Formats the report for which somebody is blocked.
    fn report(&self, report: &Reported) -> String {
        let Reported { kind, text, ids } = report;
        let about: Vec<_> = ids.iter().map(|id| self.gist(id)).collect();
        let about = if about.is_empty() { String::new() } else { format!(" for {}", about.join(", ")) };
        let text = text.as_deref().map(|text| format!(" ({})", escape_untrusted(text, LONGEST))).unwrap_or_default();
        format!(": {kind}{about}{text}")
    }

    fn gist(&self, id: &str) -> String {
        let Some(body) = self.said.get(id) else { return "what nobody said".to_owned() };
        let first = body.lines().next().unwrap_or_default();
        let cut: String = first.chars().take(GIST).collect();
        format!("\"{cut}{}\"", if cut.len() < body.len() { "…" } else { "" })
    }
}

/// Returns the short name of an address; without one, it is the account's server.
fn somebody(jid: Option<&Jid>) -> String {
    jid.map_or_else(|| "the server".to_owned(), short)
}

/// Formats what was written into a request or an answer, if anything was, behind a colon.
fn written(text: Option<&str>) -> String {
    match text {
        None | Some("") => String::new(),
        Some(text) => format!(": {}", escape_untrusted(text, LONGEST)),
    }
}

/// Formats the headers of a request over the web as the steps of a test have them: values of several words stand in quotes.
fn with_headers(headers: &[(String, String)]) -> String {
    let header = |(name, value): &(String, String)| {
        let value = escape_untrusted(value, LONGEST);
        if value.contains([' ', ',', ':']) { format!("{name}: \"{value}\"") } else { format!("{name}: {value}") }
    };
    match headers {
        [] => String::new(),
        some => format!(" with {}", some.iter().map(header).collect::<Vec<_>>().join(", ")),
    }
}

/// Formats the refusal of a request.
fn refusal(to: &str, condition: &str, text: Option<&str>) -> String {
    let text = text.map(|text| format!(" ({})", escape_untrusted(text, LONGEST))).unwrap_or_default();
    format!("refuses {to}: {condition}{text}")
}

/// Formats a request about a node.
fn about_node(at: Option<&Jid>, node: &str, request: &NodeRequest) -> String {
    let at = at.map(|at| format!(" at {}", short(at))).unwrap_or_default();
    let node = format!("{}{at}", escape_untrusted(node, LONGEST));
    let plain = |text: &str| escape_untrusted(text, LONGEST);
    let with = |options: &[(&'static str, String)]| {
        let options = options.iter().map(|(option, value)| format!("{option} = {}", plain(value))).collect::<Vec<_>>();
        if options.is_empty() { String::new() } else { format!(" with {}", options.join(", ")) }
    };
    match request {
        NodeRequest::Publish { id, options, xml } => {
            let item = id.as_ref().map(|id| format!("item {} of ", plain(id))).unwrap_or_default();
            format!("publishes {item}{node}{}{}", with(options), written(Some(xml)))
        }
        NodeRequest::Retract(id) => format!("retracts item {} of {node}", plain(id)),
        NodeRequest::Subscribe => format!("subscribes to {node}"),
        NodeRequest::Unsubscribe => format!("unsubscribes from {node}"),
        NodeRequest::Items { max, after } => {
            let max = max.as_ref().map(|max| format!("{} ", plain(max))).unwrap_or_default();
            let after = after.as_ref().map(|after| format!(" after {}", plain(after))).unwrap_or_default();
            format!("asks for {max}items of {node}{after}")
        }
        NodeRequest::Item(id) => format!("asks for item {} of {node}", plain(id)),
        NodeRequest::Create(options) => format!("creates {node}{}", with(options)),
        NodeRequest::Configure(options) => format!("configures {node}{}", with(options)),
        NodeRequest::Purge => format!("purges {node}"),
        NodeRequest::Delete => format!("deletes {node}"),
    }
}

/// Formats what a form shows to somebody.
fn form(to: &str, shows: &FormShown) -> String {
    match shows {
        FormShown::Page { title, step, fields, wrong } => {
            let step = step.as_ref().map(|step| format!(" ({step})")).unwrap_or_default();
            let field = |(name, value): &(String, String)| {
                if value.is_empty() { name.clone() } else { format!("{name} = {value}") }
            };
            let fields = fields.iter().map(field).collect::<Vec<_>>().join(", ");
            let wrong = wrong.as_ref().map(|wrong| format!("\n{wrong}")).unwrap_or_default();
            format!("shows {to} the form \"{title}\"{step}: {fields}{wrong}")
        }
        FormShown::Note { is_over: false, text, .. } => format!("goes on in the form of {to}: {text}"),
        FormShown::Note { is_error: true, text, .. } => format!("fails in the form of {to}: {text}"),
        FormShown::Note { text, .. } => format!("answers {to} in the form: {text}"),
        FormShown::Cancelled => format!("ends the form of {to}"),
        FormShown::Refused(why) => format!("refuses the form of {to}: {why}"),
    }
}

/// Formats the hint of a spoiler.
fn hidden(hint: &str) -> String {
    if hint.is_empty() { "spoiler".to_owned() } else { format!("spoiler \"{hint}\"") }
}

/// Formats reactions to a message. An empty list retracts earlier reactions.
fn reacted(emojis: &[String], gist: &str) -> String {
    let emojis = if emojis.is_empty() { "nothing".to_owned() } else { emojis.join(" ") };
    format!("{emojis} for {gist}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_shown_with_its_fields_and_what_is_wrong() {
        let fields = vec![("count".to_owned(), "7".to_owned()), ("secret".to_owned(), String::new())];
        let (title, step) = ("Rolls dice".to_owned(), Some("Step 1 of 2".to_owned()));
        let page = FormShown::Page { title, step, fields, wrong: Some("COUNT: no".to_owned()) };
        let shown = "shows alice the form \"Rolls dice\" (Step 1 of 2): count = 7, secret\nCOUNT: no";
        assert_eq!(form("alice", &page), shown);
        let note = |is_over, is_error| FormShown::Note { is_over, is_error, text: "5".to_owned() };
        assert_eq!(form("alice", &note(true, false)), "answers alice in the form: 5");
        assert_eq!(form("alice", &note(true, true)), "fails in the form of alice: 5");
        assert_eq!(form("alice", &note(false, false)), "goes on in the form of alice: 5");
    }

    #[test]
    fn a_request_over_the_web_is_shown_with_the_headers_for_credentials() {
        let shown = |headers: &[(&str, &str)], body: &str| {
            let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let (method, url) = ("POST".to_owned(), "https://api.example.org/x".to_owned());
            Shown::default().lines(&Happened::Did(Action::Requested { method, url, headers, body: body.to_owned() }))
        };
        assert_eq!(shown(&[], ""), ["requests POST https://api.example.org/x"]);
        let bearer = ("authorization", "Bearer {{api_key}}");
        assert_eq!(
            shown(&[bearer, ("x-key", "{{api_key}}")], "tea"),
            [
                r#"requests POST https://api.example.org/x with authorization: "Bearer {{api_key}}", x-key: {{api_key}}: tea"#
            ]
        );
    }

    #[test]
    fn reactions_that_are_taken_back_are_shown_as_nothing() {
        let two = ["👍".to_owned(), "🍕".to_owned()];
        assert_eq!(reacted(&two, "\"Pizza\""), "👍 🍕 for \"Pizza\"");
        assert_eq!(reacted(&[], "\"Pizza\""), "nothing for \"Pizza\"");
    }
}
