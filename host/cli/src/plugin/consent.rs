//! The owner's consent: shows a plugin's requests, by risk and with the author's reasons, and asks for each grant.

use parlor_base::id::PluginId;
use parlor_base::permission::{Permission, Risk};
use parlor_plugins::admin::GrantRequest;
use parlor_plugins::manifest::Manifest;
use parlor_runtime::rights::{Right, rights};
use parlor_session::permissions::Grants;

use crate::Ended;
use crate::ask::{Terminal, is_yes};
use crate::explain::right_lines;
use crate::show::{Mark, error_lines, marked, print};

/// Describes a plugin's requests, the riskiest first, or says that there are none.
pub(super) fn asked(id: &PluginId, manifest: &Manifest, only: impl Fn(&Permission) -> bool) -> String {
    in_words(&wanted(id, manifest, only))
}

/// Describes the requests of an installed plugin, with the current grants.
pub(super) fn asked_and_granted(id: &PluginId, manifest: &Manifest, grants: &Grants) -> String {
    let rights = rights(id, Some(manifest), grants).into_iter().filter(|right| right.asked.is_some());
    in_words(&rights.collect::<Vec<_>>())
}

fn in_words(rights: &[Right]) -> String {
    if rights.is_empty() {
        return "It asks for nothing.\n".to_owned();
    }
    let mut text = format!("{}\n", marked("It asks for:", Mark::Bold));
    for right in rights {
        text.push_str(&right_lines(right));
    }
    text + &together(rights)
}

/// The permissions to read, each with its object.
const READS: [(Permission, &str); 6] = [
    (Permission::MessagesRead, "messages"),
    (Permission::ArchiveRead, "archives"),
    (Permission::StanzaRead, "stanzas"),
    (Permission::ContactsRead, "contacts"),
    (Permission::RoomsRead, "rooms"),
    (Permission::VcardRead, "cards"),
];

/// Says what requests allow together and none of them alone: what is read can be sent to servers of the web.
fn together(rights: &[Right]) -> String {
    let of = |permission: Permission| rights.iter().find(|right| right.permission == permission)?.asked.as_ref();
    let Some(web) = of(Permission::HttpFetch) else { return String::new() };
    let reads: Vec<_> = READS.into_iter().filter(|(one, _)| of(*one).is_some()).map(|(_, what)| what).collect();
    let (last, servers) = (reads.split_last(), web.scope.join(", "));
    let what = match last {
        None => return String::new(),
        Some((only, [])) => (*only).to_owned(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    };
    format!("\nTogether: it reads {what}, and can send them to {servers}.\n")
}

fn wanted(id: &PluginId, manifest: &Manifest, only: impl Fn(&Permission) -> bool) -> Vec<Right> {
    rights(id, Some(manifest), &Grants::default()).into_iter().filter(|right| only(&right.permission)).collect()
}

/// Asks for each of these permissions that is still undecided: all at once, or one by one. High-risk ones are always
/// asked separately. `doing` is the question's action: "Install it".
pub(super) fn ask(
    terminal: &Terminal,
    doing: &str,
    id: &PluginId,
    manifest: &Manifest,
    only: impl Fn(&Permission) -> bool,
) -> anyhow::Result<Vec<GrantRequest>> {
    let rights = wanted(id, manifest, only);
    if rights.is_empty() {
        return if terminal.agrees(&format!("{doing}?"))? { Ok(Vec::new()) } else { Err(declined()) };
    }
    let question = format!("{doing}, and grant all of that? [y]es, [e]ach by itself, [N]o:");
    let answer = terminal.ask(&question)?.unwrap_or_default();
    let each = ["e", "each"].contains(&answer.to_ascii_lowercase().as_str());
    if !each && !is_yes(&answer) {
        return Err(declined());
    }
    let mut requests = Vec::new();
    for right in rights {
        let permission = right.permission;
        let mut request = if each { one(terminal, &right)? } else { Some(GrantRequest { permission, scope: None }) };
        if request.is_some() && permission.risk() == Risk::High {
            let name = marked(permission.as_str(), Mark::Red);
            let question = format!("{name} is of high risk: {} Grant it?", right.what);
            request = if terminal.agrees(&question)? { request } else { None };
        }
        match request {
            Some(request) => requests.push(request),
            None if right.asked.as_ref().is_some_and(|asked| !asked.optional) => {
                let sentence = format!("{id} cannot do without {permission}; nothing was changed");
                return Err(Ended::Declined(sentence).into());
            }
            None => {}
        }
    }
    Ok(requests)
}

/// Asks for one permission until the answer is valid. None: not granted.
fn one(terminal: &Terminal, right: &Right) -> anyhow::Result<Option<GrantRequest>> {
    let permission = right.permission;
    let entries = right.asked.as_ref().map(|asked| asked.scope.join(", ")).filter(|entries| !entries.is_empty());
    let what = entries.map(|entries| format!(" for {entries}")).unwrap_or_default();
    let other = if what.is_empty() { "" } else { ", or write for whom or what instead" };
    let question = format!("Grant {permission}{what}? [y/N]{other}:");
    loop {
        let answer = terminal.ask(&question)?.ok_or_else(declined)?;
        if is_yes(&answer) {
            return Ok(Some(GrantRequest { permission, scope: None }));
        }
        let is_no = answer.is_empty() || ["n", "no"].contains(&answer.to_ascii_lowercase().as_str());
        if is_no || other.is_empty() {
            return Ok(None);
        }
        let scope: Vec<_> = answer.split(',').map(|entry| entry.trim().to_owned()).collect();
        match Grants::default().grant(permission, &scope) {
            Ok(()) => return Ok(Some(GrantRequest { permission, scope: Some(scope) })),
            Err(error) => print(&error_lines(&error.to_string()))?,
        }
    }
}

fn declined() -> anyhow::Error {
    Ended::Declined("nothing was changed".to_owned()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet(permissions: &str) -> String {
        let plugin =
            "[plugin]\nname = \"x\"\nversion = \"0.1.0\"\napi = \"0.1.0\"\ndescription = \"X\"\n[permissions]\n";
        let manifest = Manifest::parse(&format!("{plugin}{permissions}")).unwrap();
        asked(&"x".parse().unwrap(), &manifest, |_| true)
    }

    #[test]
    fn what_a_plugin_reads_it_can_send_to_the_servers_that_it_asks() {
        let web = "\"http.fetch\" = { scope = [\"api.example.org\", \"GET *.example.org/a\"], reason = \"r\" }\n";
        let messages = "\"messages.read\" = { scope = [\"*\"], reason = \"r\" }\n";
        let contacts = "\"contacts.read\" = { reason = \"r\" }\n";
        assert!(!sheet(web).contains("Together") && !sheet(messages).contains("Together"));
        let both = sheet(&format!("{web}{messages}{contacts}"));
        let servers = "https://api.example.org, GET https://*.example.org/a";
        assert!(
            both.ends_with(&format!("\nTogether: it reads messages and contacts, and can send them to {servers}.\n")),
            "{both}"
        );
    }
}
