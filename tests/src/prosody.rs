//! Prosody: its configuration, and how accounts are added.

use std::process::Command;

use anyhow::{Context as _, Result};
use jid::BareJid;

use crate::certificate::Certificate;
use crate::folder::Folder;
use crate::server::{BOTS, BOTS_SECRET, Components, LIBRARIAN, Software, Way, XmppServer};

// Re-exported for callers from before there was a second server.
pub use crate::server::{Account, Archive, DOMAIN, Ports, ROOMS};

/// The domain for anonymous log-ins.
pub const ANONYMOUS: &str = "anonymous.localhost";

/// The account that logs in by certificate alone, with `account.pem` and `account.key` of the server's folder.
pub const HOLDER: &str = "holder@certificate.localhost";

/// Starts Prosody.
#[derive(Debug, Clone, Copy)]
pub enum Prosody {}

impl Prosody {
    /// Starts a server and returns once it accepts connections.
    pub async fn start() -> Result<XmppServer> {
        Self::start_with(Archive::Everything).await
    }

    /// Starts a server that archives what `archive` says.
    pub async fn start_with(archive: Archive) -> Result<XmppServer> {
        XmppServer::start(&WAY, archive, Components::None).await
    }

    /// Starts a server that has the domain [`BOTS`] as a component.
    pub(crate) async fn start_with_component() -> Result<XmppServer> {
        XmppServer::start(&WAY, Archive::Everything, Components::Bots).await
    }
}

static WAY: Way = Way {
    software: Software::Prosody,
    command,
    port_taken: "Failed to open server port",
    add_account,
    install: "`cargo xtask demo` installs it on Debian and Ubuntu; elsewhere install Prosody 0.12 or newer, with its community modules",
};

fn command(folder: &Folder, certificate: &Certificate, ports: Ports, archive: Archive) -> Result<Command> {
    let holder = BareJid::new(HOLDER).context("a bad address")?;
    let client = Certificate::of_account(folder, &holder)?;
    let config = folder.write("prosody.cfg.lua", config(folder, certificate, &client, ports, archive))?;
    let mut command = Command::new("prosody");
    command.arg("--config").arg(config).arg("-F");
    Ok(command)
}

/// Adds an account by writing its file, which the server reads at log-in. Its own command takes 0.3 s.
fn add_account(server: &XmppServer, name: &str, password: &str) -> Result<()> {
    let entry = format!("return {{ [\"password\"] = \"{password}\" }};\n");
    server.write(&account_file(name), entry)
}

/// Returns whether the server, which is Prosody, has an account of this name. It writes the file when it makes one.
pub fn has_account(server: &XmppServer, name: &str) -> bool {
    server.path().join(account_file(name)).exists()
}

/// Returns the path of an account's file in the server's folder.
fn account_file(name: &str) -> String {
    format!("data/{DOMAIN}/accounts/{name}.dat")
}

/// Writes the configuration: no limits, and storage in memory if no data must last, since files make it twenty times
/// slower. Nagle's algorithm is off, since its delays would be measured.
fn config(folder: &Folder, certificate: &Certificate, client: &Certificate, ports: Ports, archive: Archive) -> String {
    let Ports { starttls, direct, http, files, component } = ports;
    let (component_ports, bots) = match component {
        Some(port) => (port.to_string(), format!("\nComponent \"{BOTS}\"\n  component_secret = \"{BOTS_SECRET}\"\n")),
        None => (String::new(), String::new()),
    };
    let archived = archive == Archive::Everything;
    let data = lua(&folder.join("data").display().to_string());
    let cert = lua(&certificate.certificate_file.display().to_string());
    let key = lua(&certificate.key_file.display().to_string());
    let clients = lua(&client.certificate_file.display().to_string());
    format!(
        r#"run_as_root = true
daemonize = false
pidfile = {pid}
data_path = {data}
log = {{ {{ levels = {{ min = "info" }}, to = "console" }} }}
interfaces = {{ "127.0.0.1" }}
local_interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {starttls} }}
c2s_direct_tls_ports = {{ {direct} }}
s2s_ports = {{}}
s2s_direct_tls_ports = {{}}
http_ports = {{ {http} }}
component_ports = {{ {component_ports} }}
https_ports = {{ {files} }}
https_ssl = {{ certificate = {cert}, key = {key} }}
network_settings = {{ nagle = false }}
ssl = {{ certificate = {cert}, key = {key} }}
c2s_direct_tls_ssl = {{ certificate = {cert}, key = {key} }}
modules_enabled = {{
  "disco", "roster", "saslauth", "tls", "carbons", "pep", "private", "blocklist", "bookmarks", "smacks", "vcard4",
  "vcard_legacy", "ping", "time", "version", "lastactivity", "register", "mam", "csi_simple", "bosh", "websocket", "posix",
  "offline",
}}
modules_disabled = {{ "s2s" }}
c2s_require_encryption = true
consider_bosh_secure = true
consider_websocket_secure = true
authentication = "internal_plain"
allow_registration = true
storage = {{ archive = "memory", muc_log = "memory", offline = "memory", pep = "memory" }}
default_archive_policy = {archived}
smacks_hibernation_time = 60

VirtualHost "{DOMAIN}"

VirtualHost "{ANONYMOUS}"
  authentication = "anonymous"

VirtualHost "certificate.localhost"
  authentication = "ccert"
  certificate_match = "xmppaddr"
  c2s_ssl = {{
    certificate = {cert}, key = {key}, cafile = {clients}, capath = false,
    verify = {{ "peer", "client_once" }}, verifyext = {{ lsec_ignore_purpose = false }},
  }}

Component "{ROOMS}" "muc"
  modules_enabled = {{ "muc_mam", "muc_moderation" }}
  restrict_room_creation = false

Component "pubsub.{DOMAIN}" "pubsub"
  admins = {{ "{LIBRARIAN}@{DOMAIN}" }}
  expose_publisher = true

Component "upload.{DOMAIN}" "http_file_share"
  http_host = "{DOMAIN}"
  http_external_url = "https://{DOMAIN}:{files}/"
  http_file_share_size_limit = 200 * 1024 * 1024
  http_file_share_daily_quota = 100 * 1024 * 1024 * 1024
{bots}"#,
        pid = lua(&folder.join("prosody.pid").display().to_string()),
    )
}

/// Quotes a string for Lua.
fn lua(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn lua_strings_cannot_break_out() {
        assert_eq!(super::lua("a\"b\\c\nd"), r#""a\"b\\c\nd""#);
    }
}
