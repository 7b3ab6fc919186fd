//! Links to log in to the window with, which an account sends to one of its owners. `parlor web` makes them, and nobody but an
//! owner is sent one.

use std::path::Path;
use std::sync::Arc;

use jid::BareJid;
use parlor_base::escape::{EscapedPath as _, escape_untrusted};
use parlor_base::nearest::{nearest, suggestion};
use parlor_config::{AccountConfig, AccountName, Config, SentLinks};
use parlor_runtime::account::{Asker, Connection, Shared};
use parlor_session::SendMessage;
use parlor_session::permissions::Granted;
use parlor_stanza::types::{Draft, Extensions, Hint, MessageKind};
use parlor_store::By;

use super::audit;
use super::refusal::Refusal;
use super::request::Request;
use super::views::Said;
use crate::host::{Host, wake_one};

/// The longest link, in bytes.
const LONGEST_LINK: usize = 2 << 10;
/// The most of an address that is shown, in bytes.
const LONGEST: usize = 1 << 10;
/// The roles of sessions.
const ROLES: [&str; 3] = ["viewer", "operator", "owner"];

/// Has an account send one of its owners a link. It is encrypted if the chat is, and no plugin hears of it.
pub(super) async fn send(host: &Host, request: &Request, by: &By) -> Result<Said, Refusal> {
    let config = host.config();
    allowed(config.window.links, &config.path, is_asked(request))?;
    let to = request.value("to").ok_or_else(|| Refusal::Value("`to` is the address of an owner".to_owned()))?;
    let to = BareJid::new(to).map_err(|error| Refusal::Value(format!("`to` is no address: {error}")))?;
    let words = words(request, config.is_owned_by(&to))?;
    let owned = with_owner(&config, request.value("account"), &to)?;
    not_of_host(&config, &to)?;
    // Without that, an owner of nothing but addresses that sleep could not log in.
    wake_one(host, &owned).await;
    let account = account(host, request.value("account"), &to)?;
    let body = Some(format!("parlor, account {}: {words}", account.name));
    // A link that is used up or late is of no use to whoever finds it in an archive, and one that is not is of too much.
    let extensions = Some(Box::new(Extensions { hints: vec![Hint::NoStore], ..Extensions::default() }));
    let draft = Draft { body, extensions, is_secret: true, ..Draft::default() };
    let message = SendMessage { to: to.clone().into(), kind: MessageKind::Chat, draft };
    let sending = async {
        account.ask(Asker::Host, &Granted::HOST, message).await.map_err(|error| {
            let (name, error) = (&account.name, escape_untrusted(&error.to_string(), LONGEST));
            Refusal::NotDone(format!("account {name} could not send the link: {error}"))
        })
    };
    let id = audit::recorded(host, request, by, &[&account.name], sending).await?;
    tracing::info!(account = %account.name, owner = %to, "a link to log in to the window was sent");
    let queued = !account.snapshot().connected;
    Ok(Said { account: account.name.to_string(), to: to.to_string(), id, queued })
}

/// Returns whether somebody asked for the link on the log-in page.
fn is_asked(request: &Request) -> bool {
    request.value("asked") == Some("true")
}

/// Refuses a link that the configuration does not let anybody have sent. The window looks at it as well, but a request may have
/// waited there, and the window may go by another file.
fn allowed(links: SentLinks, file: &Path, is_asked: bool) -> Result<(), Refusal> {
    let says = match (links, is_asked) {
        (SentLinks::Page, _) | (SentLinks::Command, false) => return Ok(()),
        (SentLinks::Command, true) => "for somebody on the log-in page: `links = \"command\"` stands",
        (SentLinks::Never, _) => "to anybody: `links = \"never\"` stands",
    };
    let file = file.escaped();
    let says = format!("no link is sent {says} under [window] in {file}; `parlor web login` prints one");
    Err(Refusal::NotDone(says))
}

/// Refuses a link to an account of this host: plugins there could read it, and log in before the owner does.
fn not_of_host(config: &Config, to: &BareJid) -> Result<(), Refusal> {
    let Some(account) = config.accounts.values().find(|one| one.link.jid.to_bare() == *to) else { return Ok(()) };
    let says = format!(
        "{} is the account {} of this host, where plugins could read the link; `parlor web login` prints one",
        escape_untrusted(to.as_str(), LONGEST),
        account.name
    );
    Err(Refusal::NotDone(says))
}

/// Returns what is said to the owner. The session of an owner of some accounts reaches these alone.
fn words(request: &Request, is_of_all: bool) -> Result<String, Refusal> {
    let link = link(&request.body)?;
    let role = request.value("role").filter(|role| ROLES.contains(role));
    let role = role.ok_or_else(|| Refusal::Value(format!("`role` is one of {}", ROLES.join(", "))))?;
    let minutes =
        request.value("minutes").and_then(|minutes| minutes.parse::<u16>().ok()).filter(|minutes| *minutes > 0);
    let minutes = minutes.ok_or_else(|| Refusal::Value("`minutes` is a whole number from 1 on".to_owned()))?;
    let why = if is_asked(request) {
        "Somebody asked for it on the log-in page. If that was not you, leave it alone: nobody else has it."
    } else {
        "Somebody on the machine of the host had it sent."
    };
    let reach = if is_of_all { "" } else { ", for the accounts of which you are an owner" };
    Ok(format!(
        "this link logs you in to the window of the host, as {role}{reach}. It can be used once, within {minutes} min. {why}\n{link}"
    ))
}

/// Reads the link in a body. It is one word, so that it can say nothing else in the name of the account.
fn link(body: &[u8]) -> Result<&str, Refusal> {
    let link = std::str::from_utf8(body).ok().filter(|link| {
        let is_of_window = link.starts_with("https://") || link.starts_with("http://");
        is_of_window && link.len() <= LONGEST_LINK && link.bytes().all(|byte| byte.is_ascii_graphic())
    });
    link.ok_or_else(|| Refusal::Value("the body is the link, of letters that an address may have".to_owned()))
}

/// Returns the account that sends: the named one, or one that is connected, of those that have this owner.
fn account(host: &Host, only: Option<&str>, owner: &BareJid) -> Result<Arc<Shared>, Refusal> {
    let config = host.config();
    let names = with_owner(&config, only, owner)?;
    let mut found: Vec<_> = names.into_iter().filter_map(|name| host.account(name)).collect();
    let is_connected = |one: &Arc<Shared>| matches!(*one.connection().borrow(), Connection::Connected(_));
    let Some(at) = found.iter().position(is_connected) else {
        let names: Vec<_> = found.iter().map(|one| one.name.to_string()).collect();
        let says =
            format!("no account that has this owner is connected ({}); `parlor status` says why", names.join(", "));
        return Err(Refusal::NotDone(says));
    };
    Ok(found.swap_remove(at))
}

/// Returns the accounts of which somebody is an owner, or the named one if it is among them.
pub(super) fn with_owner<'c>(
    config: &'c Config,
    only: Option<&str>,
    owner: &BareJid,
) -> Result<Vec<&'c AccountName>, Refusal> {
    let named: Vec<_> =
        config.accounts.values().filter(|one| only.is_none_or(|only| one.name.as_str() == only)).collect();
    if let (Some(only), true) = (only, named.is_empty()) {
        return Err(Refusal::NoAccount(format!(
            "{}; `parlor status` shows those that it has",
            escape_untrusted(only, LONGEST)
        )));
    }
    let is_owner = |one: &AccountConfig| one.has_owner(owner);
    let found: Vec<_> = named.iter().filter(|one| is_owner(one)).map(|one| &one.name).collect();
    if found.is_empty() {
        let known = named.iter().flat_map(|one| &one.owners).filter(|known| *known != owner);
        let near = nearest(owner.as_str(), known.map(|known| known.as_str()));
        let of = only.map_or_else(|| "an account of this host".to_owned(), |only| format!("account {only}"));
        let jid = escape_untrusted(owner.as_str(), LONGEST);
        let file = match &named[..] {
            [one] => config.file_with(&one.name).escaped().to_string(),
            _ => config.files(),
        };
        return Err(Refusal::NoOwner { jid, of, file, suggestion: suggestion(near) });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use parlor_config::Overrides;
    use parlor_session::Secret;

    use super::*;

    fn config() -> (tempfile::TempDir, Config) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("parlor.toml");
        let text = "[settings]\nauto_login = false\n[account.main]\njid = \"bot@example.org\"\npassword_env = \"NONE\"\n\
                    owners = [\"juliet@example.org\", \"bot@example.org\"]\n\
                    [account.second]\njid = \"second@example.org\"\npassword_env = \"NONE\"\n\
                    owners = [\"juliet@example.org\", \"romeo@example.org\"]\n";
        std::fs::write(&path, text).unwrap();
        let overrides = Overrides { environment: |_| None, ..Overrides::default() };
        let config = Config::load(&path, &overrides).unwrap();
        (folder, config)
    }

    #[test]
    fn only_owners_are_sent_a_link_and_by_an_account_of_theirs() {
        let (folder, config) = config();
        let of = |only: Option<&str>, jid: &str| {
            let found = with_owner(&config, only, &BareJid::new(jid).unwrap());
            found.map(|names| names.into_iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(of(None, "juliet@example.org").unwrap(), ["main", "second"]);
        assert_eq!(of(Some("second"), "juliet@example.org").unwrap(), ["second"]);
        assert_eq!(of(None, "romeo@example.org").unwrap(), ["second"]);
        for (only, jid) in [
            (Some("main"), "romeo@example.org"),
            (None, "mallory@example.org"),
            (None, "juliet@example.com"),
            (None, "example.org"),
            // Itself.
            (None, "bot@example.org"),
        ] {
            assert!(matches!(of(only, jid), Err(Refusal::NoOwner { .. })), "{jid}");
        }
        let refused = of(None, "juliett@example.org").unwrap_err().to_string();
        assert!(
            refused.contains("is no owner of an account of this host") && refused.contains("`owners`"),
            "{refused}"
        );
        assert!(refused.ends_with("did you mean \"juliet@example.org\"?"), "{refused}");
        assert!(matches!(of(Some("third"), "juliet@example.org"), Err(Refusal::NoAccount(_))));
        let beside = folder.path().join("accounts.toml");
        let third = "[account.third]\njid = \"third@example.org\"\npassword_env = \"NONE\"\n";
        std::fs::write(&beside, third).unwrap();
        let config = config.read_again().unwrap();
        for (only, files) in [(None, config.files()), (Some("third"), beside.escaped().to_string())] {
            let refused = with_owner(&config, only, &BareJid::new("a@example.com").unwrap()).unwrap_err().to_string();
            assert!(refused.contains(&format!("of an account in {files}, or give")), "{refused}");
        }
    }

    /// Such as somebody who has plugins for their own account as well as for a bot.
    #[test]
    fn no_link_is_sent_to_where_plugins_of_the_host_could_read_it() {
        let (_folder, config) = config();
        let refused =
            |jid: &str| not_of_host(&config, &BareJid::new(jid).unwrap()).map_err(|refusal| refusal.to_string());
        let says = refused("second@example.org").unwrap_err();
        assert!(says.contains("the account second of this host") && says.contains("`parlor web login`"), "{says}");
        for jid in ["juliet@example.org", "second@example.com", "example.org"] {
            assert_eq!(refused(jid), Ok(()), "{jid}");
        }
    }

    fn request(query: &str, body: &[u8]) -> Request {
        let head = hyper::Request::builder().method("POST").uri(format!("/v1/web/link?{query}"));
        let mut request = Request::of(&head.body(()).unwrap().into_parts().0).unwrap();
        request.body = Secret::new(body.to_vec());
        request
    }

    #[test]
    fn a_message_with_a_link_says_for_what_and_how_long_and_who_wanted_it() {
        let link = b"https://bots.example.org/parlor/login/00";
        let text = words(&request("role=viewer&minutes=10", link), true).unwrap();
        assert!(text.contains("as viewer. It can be used once, within 10 min. Somebody on the machine"), "{text}");
        assert!(text.ends_with("\nhttps://bots.example.org/parlor/login/00"), "{text}");
        let asked = words(&request("role=owner&minutes=10&asked=true", link), false).unwrap();
        assert!(asked.contains("on the log-in page. If that was not you, leave it alone"), "{asked}");
        assert!(asked.contains("as owner, for the accounts of which you are an owner. It can"), "{asked}");
    }

    #[test]
    fn links_are_sent_for_those_for_whom_the_configuration_says_so() {
        for (links, of_page, of_command) in
            [(SentLinks::Page, true, true), (SentLinks::Command, false, true), (SentLinks::Never, false, false)]
        {
            for (is_asked, is_allowed) in [(true, of_page), (false, of_command)] {
                match allowed(links, Path::new("/etc/bots.toml"), is_asked) {
                    Ok(()) => assert!(is_allowed, "{links:?} {is_asked}"),
                    Err(refusal) => {
                        let says = refusal.to_string();
                        assert!(
                            !is_allowed && says.contains("`links = ") && says.contains("[window] in /etc/bots.toml"),
                            "{says}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_link_is_one_word_and_a_role_is_one_that_there_is() {
        let link = b"http://127.0.0.1:8470/login/00";
        for query in
            ["role=admin&minutes=10", "minutes=10", "role=owner", "role=owner&minutes=0", "role=owner&minutes=x"]
        {
            assert!(matches!(words(&request(query, link), true), Err(Refusal::Value(_))), "{query}");
        }
        let long = format!("https://x.example/{}", "x".repeat(LONGEST_LINK));
        for body in [
            &b""[..],
            b"javascript:alert(1)",
            b"http://x y",
            b"https://x\nand now",
            b"http://\xff",
            "https://ä".as_bytes(),
            long.as_bytes(),
        ] {
            assert!(matches!(words(&request("role=owner&minutes=10", body), true), Err(Refusal::Value(_))), "{body:?}");
        }
    }
}
