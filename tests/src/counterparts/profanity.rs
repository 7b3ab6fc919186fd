//! profanity, a client of Debian's with OTR (by libotr, version 2) and OMEMO (the older namespace), at a terminal.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use xmpp_parsers::iq::Iq;
use xmpp_parsers::minidom::Element;

use super::{AXOLOTL, SOON};
use crate::client::Client;
use crate::folder::Folder;
use crate::server::{Account, XmppServer};
use crate::terminal::Terminal;

/// Wide enough for a fingerprint in one line, and high enough for the output of a test.
const ROWS: u16 = 60;
const COLUMNS: u16 = 160;

const SETTINGS: &str = "[ui]\nsplash=false\nhistory=false\n[notifications]\nmessage=off\n[chatstates]\nenabled=false\n\
                        [otr]\npolicy=manual\n[omemo]\npolicy=manual\n";

/// A client at its terminal. Dropping it ends it.
#[derive(Debug)]
pub struct Profanity {
    // The process is ended before its folder is removed.
    terminal: Terminal,
    account: Account,
    _folder: Folder,
}

impl Profanity {
    /// Logs it in.
    pub fn start(server: &XmppServer, account: &Account) -> Result<Self> {
        let folder = Folder::new()?;
        folder.write("config/profanity/profrc", SETTINGS)?;
        let Account { jid, password } = account;
        let port = server.ports().starttls;
        // It knows no certificates but the system's, and its server is on this machine.
        let accounts = format!(
            "[{jid}]\nenabled=true\njid={jid}\nserver=127.0.0.1\nport={port}\ntls.policy=trust\nresource=profanity\n\
             password={password}\n"
        );
        folder.write("data/profanity/accounts", accounts)?;
        let mut command = Command::new("profanity");
        command.args(["-a", jid.as_str(), "-l", "INFO", "-f"]).arg(folder.join("profanity.log"));
        command.env("HOME", folder.path()).env("LC_ALL", "C.UTF-8");
        command.env("XDG_CONFIG_HOME", folder.join("config")).env("XDG_DATA_HOME", folder.join("data"));
        let terminal = Terminal::start(command).context(
            "`cargo xtask test` installs profanity on Debian and Ubuntu; elsewhere install profanity 0.13 with OTR and OMEMO",
        )?;
        terminal.resize(ROWS, COLUMNS)?;
        let client = Self { terminal, account: account.clone(), _folder: folder };
        client.shows("logged in successfully")?;
        Ok(client)
    }

    /// Types a line.
    pub fn types(&mut self, line: &str) -> Result<()> {
        // Its terminal is in raw mode, where Enter is this.
        self.terminal.presses(&format!("{line}\r"))
    }

    /// Waits until this text stands on its screen. Returns all of the screen.
    pub fn shows(&self, text: &str) -> Result<String> {
        self.terminal.shows(text, SOON)
    }

    /// Waits until its screen satisfies the predicate.
    pub fn shows_what(&self, what: &str, wanted: impl Fn(&str) -> bool, limit: Duration) -> Result<String> {
        self.terminal.shows_what(what, wanted, limit)
    }

    /// Makes a key for OTR, and returns its fingerprint: 40 digits in lower case.
    pub fn with_otr(&mut self) -> Result<String> {
        self.types("/otr gen")?;
        self.shows("Private key generation complete")?;
        self.types("/otr myfp")?;
        let screen = self.shows("Your OTR fingerprint: ")?;
        Ok(digits(after(&screen, "Your OTR fingerprint: ")?))
    }

    /// Makes keys for OMEMO and publishes them, so that everybody may read them. Returns the device and its fingerprint:
    /// 64 digits in lower case.
    ///
    /// Alone, on Prosody, it publishes keys for its contacts only, and its list not at all.
    pub async fn with_omemo(&mut self, server: &XmppServer) -> Result<(u32, String)> {
        self.types("/omemo gen")?;
        let screen = self.shows("Your Device ID is ")?;
        let device: u32 = digits(after(&screen, "Your Device ID is ")?).parse().context("a device is a number")?;
        self.types("/omemo fingerprint")?;
        let screen = self.shows("Your OMEMO fingerprint: ")?;
        let fingerprint = digits(after(&screen, "Your OMEMO fingerprint: ")?);
        let mut helper = Client::login(&server.connector()?, &self.account, "helper").await?;
        let list = format!("<list xmlns='{AXOLOTL}'><device id='{device}'/></list>");
        let options = format!("<publish-options>{}</publish-options>", open("publish-options"));
        let node = format!("{AXOLOTL}.devicelist");
        let publish = format!("<publish node='{node}'><item id='current'>{list}</item></publish>{options}");
        set(&mut helper, &format!("<pubsub xmlns='{PUBSUB}'>{publish}</pubsub>")).await?;
        let configure = format!("<configure node='{AXOLOTL}.bundles:{device}'>{}</configure>", open("node_config"));
        let configure = format!("<pubsub xmlns='{PUBSUB}#owner'>{configure}</pubsub>");
        let mut stranger = Client::login(&server.connector()?, &server.fresh_account("stranger")?, "stranger").await?;
        let items = format!("<pubsub xmlns='{PUBSUB}'><items node='{AXOLOTL}.bundles:{device}'/></pubsub>");
        // It says which id it has before its server has the bundle, on a busy machine by seconds; and when it publishes the bundle once
        // more, it closes the node again.
        let (begin, mut seen) = (Instant::now(), 0);
        while seen < LOOKS {
            let payload: Element = items.parse().context("the request is well-formed")?;
            let to = Some(self.account.jid.clone().into());
            if stranger.ask(Iq::Get { from: None, to, id: String::new(), payload }, SOON).await.is_ok() {
                seen += 1;
            } else {
                seen = 0;
                // It fails while the node is not there.
                let _ = set(&mut helper, &configure).await;
            }
            ensure!(begin.elapsed() < SOON, "profanity published no keys that a stranger could read");
            tokio::time::sleep(A_MOMENT).await;
        }
        stranger.close().await?;
        helper.close().await?;
        Ok((device, fingerprint))
    }
}

/// How often in a row a stranger must find the keys.
const LOOKS: usize = 25;
/// The time between two looks.
const A_MOMENT: Duration = Duration::from_millis(20);
const PUBSUB: &str = "http://jabber.org/protocol/pubsub";

/// A form that lets everybody read a node.
fn open(kind: &str) -> String {
    format!(
        "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>{PUBSUB}#{kind}</value></field>\
         <field var='pubsub#access_model'><value>open</value></field></x>"
    )
}

async fn set(client: &mut Client, payload: &str) -> Result<()> {
    let payload: Element = payload.parse().context("the request is well-formed")?;
    client.ask(Iq::Set { from: None, to: None, id: String::new(), payload }, SOON).await.map(drop)
}

/// Returns what stands behind a text in its line.
fn after<'s>(screen: &'s str, text: &str) -> Result<&'s str> {
    let (_, rest) = screen.rsplit_once(text).with_context(|| format!("{text} is not there:\n{screen}"))?;
    Ok(rest.lines().next().unwrap_or_default())
}

/// Returns the hexadecimal digits of a text that has them in groups.
fn digits(text: &str) -> String {
    let begin = text.chars().take_while(|one| one.is_ascii_hexdigit() || matches!(one, ' ' | '-'));
    begin.filter(char::is_ascii_hexdigit).collect::<String>().to_lowercase()
}

/// Returns a fingerprint in groups, as profanity wants it.
pub fn grouped(fingerprint: &str) -> String {
    let groups = fingerprint.as_bytes().chunks(8).map(|group| String::from_utf8_lossy(group).into_owned());
    groups.collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_read_and_written_as_they_are_shown() {
        let screen = "x\n22:23:17 ! Your OTR fingerprint: 407DD0EA 3FBEEDF7 00BF8FD5 E0EA75DE 09EF6258   \n more";
        let found = digits(after(screen, "fingerprint: ").unwrap());
        assert_eq!(found, "407dd0ea3fbeedf700bf8fd5e0ea75de09ef6258");
        assert_eq!(grouped(&found), "407dd0ea-3fbeedf7-00bf8fd5-e0ea75de-09ef6258");
        assert_eq!(digits("958960666."), "958960666");
        assert!(after("nothing", "Device").is_err());
    }
}
