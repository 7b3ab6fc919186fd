//! ejabberd: its configuration, and how accounts are added.
//!
//! It runs as a plain Erlang program without a node name. So it needs neither the port mapper nor a distribution port,
//! and reads and writes nothing of the system's own ejabberd.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::certificate::Certificate;
use crate::folder::Folder;
use crate::server::{Archive, BOTS, BOTS_SECRET, Components, DOMAIN, PUBSUB, Ports, ROOMS, Software, Way, XmppServer};

/// The timeout for adding an account, which usually takes ten milliseconds.
const ADDED: Duration = Duration::from_secs(20);

/// Starts ejabberd.
#[derive(Debug, Clone, Copy)]
pub enum Ejabberd {}

impl Ejabberd {
    /// Starts a server that archives what `archive` says, and returns once it accepts connections.
    pub async fn start_with(archive: Archive) -> Result<XmppServer> {
        XmppServer::start(&WAY, archive, Components::None).await
    }

    /// Starts a server that has the domain [`BOTS`] as a component.
    pub(crate) async fn start_with_component() -> Result<XmppServer> {
        XmppServer::start(&WAY, Archive::Everything, Components::Bots).await
    }

    /// Returns whether ejabberd is installed.
    pub fn is_installed() -> bool {
        libraries().is_some()
    }
}

static WAY: Way = Way {
    software: Software::Ejabberd,
    command,
    port_taken: "Failed to open socket",
    add_account,
    install: "`cargo xtask api` installs it on Debian and Ubuntu; elsewhere install ejabberd 23.01 or newer",
};

fn command(folder: &Folder, certificate: &Certificate, ports: Ports, archive: Archive) -> Result<Command> {
    let libraries = libraries().context("there is no ejabberd below /usr/lib")?;
    let pem = |path: &Path| std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()));
    let both = pem(&certificate.certificate_file)? + &pem(&certificate.key_file)?;
    folder.write("both.pem", both)?;
    let file = folder.write("ejabberd.yml", config(folder, ports, archive))?;
    let mut command = Command::new("erl");
    // Busy-waiting schedulers would take the cores from processes that have work.
    command.args(["+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none", "-noinput"]);
    command.args(["-mnesia", "dir", &quoted(&folder.join("data"))]).args(["-s", "ejabberd"]);
    // Otherwise the first archive query would fail.
    command.arg("-eval").arg(format!("ok = ejabberd_sql_sup:start(<<\"{DOMAIN}\">>)."));
    command.env("ERL_LIBS", libraries).env("HOME", folder.path()).env("ERL_CRASH_DUMP", "/dev/null");
    command.env("EJABBERD_CONFIG_PATH", file).env("EJABBERD_LOG_PATH", folder.join("ejabberd.log"));
    Ok(command)
}

/// Returns the folder that holds `ejabberd-VERSION`, where Debian installs it for its architecture.
fn libraries() -> Option<PathBuf> {
    let holds = |folder: &Path| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).any(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("ejabberd-") && path.join("ebin/ejabberd.app").is_file()
        })
    };
    let entries = std::fs::read_dir("/usr/lib").ok()?;
    let folders = entries.flatten().map(|entry| entry.path());
    folders.chain([PathBuf::from("/usr/lib/erlang/lib")]).find(|folder| holds(folder))
}

/// Adds an account through the server's HTTP interface, which listens on loopback only. Its own command takes a second.
fn add_account(server: &XmppServer, name: &str, password: &str) -> Result<()> {
    // The name is alphanumeric and the password hexadecimal, so nothing needs to be escaped.
    let body = format!(r#"{{"user":"{name}","host":"{DOMAIN}","password":"{password}"}}"#);
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.ports().http))?;
    stream.set_read_timeout(Some(ADDED))?;
    stream.write_all(
        format!(
            "POST /api/register HTTP/1.1\r\nHost: {DOMAIN}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
        .as_bytes(),
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    ensure!(answer.starts_with("HTTP/1.1 200"), "ejabberd refused: {answer}");
    Ok(())
}

/// Writes a configuration without limits and without requests to other hosts. Rooms and archives are as in Prosody.
///
/// `mod_http_upload` needs an explicit `access`: by default it uses the rule `local`, and a missing rule denies each
/// upload.
fn config(folder: &Folder, ports: Ports, archive: Archive) -> String {
    let Ports { http, files, .. } = ports;
    let (archived, pem) = (if archive == Archive::Everything { "always" } else { "never" }, folder.join("both.pem"));
    // Its own database rewrites all data of a user for each message, and accepts nothing more at 2 GB.
    let (database, uploads) = (quoted(&folder.join("archive.sqlite")), quoted(&folder.join("uploads")));
    let mut text = format!(
        r#"hosts: ["{DOMAIN}"]
loglevel: info
hide_sensitive_log_data: true
certfiles: [{pem}]
auth_method: [mnesia]
auth_password_format: plain
auth_use_cache: false
sql_type: sqlite
sql_database: {database}
disable_sasl_mechanisms: ["DIGEST-MD5", "X-OAUTH2", "PLAIN"]
s2s_access: none
access_rules: {{everybody: {{allow: all}}}}
listen:
"#,
        pem = quoted(&pem),
    );
    text += &listeners(ports);
    let _ = write!(
        text,
        r"  - port: {http}
    ip: 127.0.0.1
    module: ejabberd_http
    request_handlers: {{/http-bind: mod_bosh, /xmpp-websocket: ejabberd_http_ws, /api: mod_http_api}}
  - port: {files}
    ip: 127.0.0.1
    module: ejabberd_http
    tls: true
    request_handlers: {{/upload: mod_http_upload}}
api_permissions:
  harness: {{who: {{access: {{allow: {{ip: 127.0.0.1/32}}}}}}, what: [register]}}
modules:
  mod_adhoc: {{}}
  mod_blocking: {{}}
  mod_bosh: {{}}
  mod_caps: {{}}
  mod_carboncopy: {{}}
  mod_client_state: {{}}
  mod_disco: {{}}
  mod_http_upload:
    host: upload.{DOMAIN}
    put_url: https://{DOMAIN}:{files}/upload
    docroot: {uploads}
    max_size: 209715200
    access: everybody
  mod_last: {{}}
  mod_mam: {{db_type: sql, default: {archived}, assume_mam_usage: true}}
  mod_muc:
    host: {ROOMS}
    access: everybody
    access_create: everybody
    access_persistent: everybody
    access_mam: everybody
    access_admin: none
    default_room_options: {{mam: true}}
  mod_offline: {{}}
  mod_ping: {{}}
  mod_privacy: {{}}
  mod_private: {{}}
  mod_pubsub: {{host: {PUBSUB}, plugins: [flat, pep], last_item_cache: false, max_items_node: 1000}}
  mod_roster: {{versioning: true}}
  mod_stream_mgmt: {{max_ack_queue: infinity, resend_on_timeout: true, resume_timeout: 60}}
  mod_time: {{}}
  mod_vcard: {{search: false}}
  mod_vcard_xupdate: {{}}
  mod_version: {{}}
"
    );
    text
}

/// Returns the ports for clients and, if one is asked for, for a component.
fn listeners(ports: Ports) -> String {
    let Ports { starttls, direct, component, .. } = ports;
    let mut text = String::new();
    for (port, tls) in [(starttls, "starttls_required"), (direct, "tls")] {
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "  - {{port: {port}, ip: 127.0.0.1, module: ejabberd_c2s, {tls}: true, max_stanza_size: 1048576}}"
        );
    }
    if let Some(port) = component {
        let _ = writeln!(
            text,
            "  - {{port: {port}, ip: 127.0.0.1, module: ejabberd_service, hosts: {{\"{BOTS}\": {{password: \"{BOTS_SECRET}\"}}}}}}"
        );
    }
    text
}

/// Quotes a path for Erlang and YAML.
fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.display().to_string().replace('\\', "\\\\").replace('"', "\\\""))
}
