//! The log-in for a registry: one that the owner gives, or one that another registry tool stores, found in the same way
//! as that tool does.
//!
//! No error and no `Debug` here shows a password, a token, or a helper's output.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use parlor_base::child::{self, NOWHERE};
use parlor_base::document::{self, ReadError};
use parlor_base::escape::{EscapedPath as _, escape_untrusted};
use parlor_config::Hidden;
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

/// The maximum size of a file of log-ins, in bytes.
const LARGEST: u64 = 1 << 20;
/// The maximum length of a helper's answer, in bytes.
const LONGEST: usize = 64 << 10;
/// The timeout of a helper.
const PATIENCE: Duration = Duration::from_secs(30);
/// The one registry whose stored log-in has another name than its server: its names, and the name that tools use.
const HUB: (&[&str], &str) = (&["docker.io", "index.docker.io", "registry-1.docker.io"], "https://index.docker.io/v1/");

/// The origin of a log-in, in case a registry requires one.
#[derive(Debug, Clone, Default)]
pub enum LogIn {
    /// The log-ins that other tools store: Only `$REGISTRY_AUTH_FILE` if it is set; otherwise podman's `auth.json` of
    /// this session, then that of this user, and then docker's `config.json`.
    #[default]
    Stored,
    /// A log-in from the owner.
    Given {
        /// The user name.
        user: String,
        /// The password, or a token in its place.
        password: Hidden<String>,
    },
}

/// Credentials for a registry.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Credentials {
    /// A user name and a password.
    Password { user: String, password: String },
    /// A token that is exchanged for others (`identitytoken`).
    Identity(String),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// The reason why the log-in cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LogInError {
    /// A file exists and cannot be read.
    #[error(
        "the log-ins of registries in {} cannot be read ({cause}); correct it, or give --username and --password-file",
        path.escaped()
    )]
    File {
        /// The file's path.
        path: PathBuf,
        /// The reason.
        cause: String,
    },
    /// The helper that the file names does not return a log-in.
    #[error("docker-credential-{name}, which {} names, {cause}; or give --username and --password-file", path.escaped())]
    Helper {
        /// The helper's name.
        name: String,
        /// The file's path.
        path: PathBuf,
        /// The reason.
        cause: String,
    },
}

/// A file of log-ins, as docker, podman, oras and others store it. Some write `null` for an empty value.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LoginFile {
    auths: Option<BTreeMap<String, StoredLogin>>,
    cred_helpers: Option<BTreeMap<String, String>>,
    creds_store: Option<String>,
}

#[derive(Deserialize)]
struct StoredLogin {
    auth: Option<String>,
    identitytoken: Option<String>,
    /// Used in place of `auth` in files that people write and in secrets made for clusters.
    username: Option<String>,
    password: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Helped {
    username: String,
    secret: String,
}

impl LogIn {
    /// Returns the credentials for a repository and a description of their origin for errors.
    pub(super) fn find(&self, registry: &str, name: &str) -> Result<Option<(Credentials, String)>, LogInError> {
        match self {
            Self::Given { user, password: Hidden(password) } => {
                let credentials = Credentials::Password { user: user.clone(), password: password.clone() };
                Ok(Some((credentials, "the log-in that was given".to_owned())))
            }
            Self::Stored => {
                let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
                for path in files(variable, rustix::process::getuid().as_raw()) {
                    if let Some(found) = find_in(&path, registry, name)? {
                        return Ok(Some((found, format!("the log-in in {}", path.escaped()))));
                    }
                }
                Ok(None)
            }
        }
    }
}

/// Returns the files to search for a user's log-ins, as podman does (containers-auth.json(5)).
fn files(variable: impl Fn(&str) -> Option<PathBuf>, user: u32) -> Vec<PathBuf> {
    if let Some(file) = variable("REGISTRY_AUTH_FILE") {
        return vec![file];
    }
    let home = |folder: &str| variable("HOME").map(|home| home.join(folder));
    let session = variable("XDG_RUNTIME_DIR").map(|folder| folder.join("containers"));
    // A user without a session has no such folder, except root, for instance under sudo. Other users may not even look
    // into root's.
    let session = session.or_else(|| (user == 0).then(|| PathBuf::from("/run/containers/0")));
    let user = variable("XDG_CONFIG_HOME").or_else(|| home(".config")).map(|folder| folder.join("containers"));
    let podman = [session, user].into_iter().flatten().map(|folder| folder.join("auth.json"));
    let docker = variable("DOCKER_CONFIG").or_else(|| home(".docker"));
    podman.chain(docker.map(|folder| folder.join("config.json"))).collect()
}

/// Looks up a repository in a file: through its helper for this registry, its helper for all, or in the file itself.
fn find_in(path: &Path, registry: &str, name: &str) -> Result<Option<Credentials>, LogInError> {
    let wrong = |cause: String| LogInError::File { path: path.to_owned(), cause };
    let text = match document::read(path, LARGEST) {
        Ok(Some(text)) => text,
        Ok(None) => return Ok(None),
        Err(ReadError::Unreadable(cause)) => return Err(wrong(cause.to_string())),
        Err(ReadError::TooLong) => return Err(wrong(format!("it has more than {LARGEST} bytes"))),
    };
    // Reports the position of the parser's error but not its text, which may contain a secret.
    let unreadable = |error: serde_json::Error| wrong(format!("line {}, column {}", error.line(), error.column()));
    let kept: LoginFile = serde_json::from_str(&text).map_err(unreadable)?;
    let (names, server) = HUB;
    let (registry, server) = if names.contains(&registry) { ("index.docker.io", server) } else { (registry, registry) };
    let helper = kept
        .cred_helpers
        .iter()
        .flatten()
        .find(|(key, _)| plain(key).eq_ignore_ascii_case(registry))
        .map(|(_, helper)| helper);
    if let Some(helper) = helper.or(kept.creds_store.as_ref()).filter(|name| !name.is_empty()) {
        let asked = ask(helper, server);
        let failed = |cause| LogInError::Helper { name: escape_untrusted(helper, 64), path: path.to_owned(), cause };
        if let Some(found) = asked.map_err(failed)? {
            return Ok(Some(found));
        }
    }
    // The most specific entry counts: `registry/folder/name`, `registry/folder`, `registry`.
    let whole = format!("{registry}/{name}");
    let ends = whole.match_indices('/').map(|(at, _)| at).chain([whole.len()]);
    let found = ends
        .rev()
        .find_map(|end| kept.auths.iter().flatten().find(|(key, _)| plain(key).eq_ignore_ascii_case(&whole[..end])));
    let Some((key, auth)) = found else { return Ok(None) };
    if let Some(token) = auth.identitytoken.clone().filter(|token| !token.is_empty()) {
        return Ok(Some(Credentials::Identity(token)));
    }
    let Some(auth) = auth.auth.as_ref().filter(|auth| !auth.is_empty()) else {
        let both = auth.username.clone().zip(auth.password.clone()).filter(|(user, _)| !user.is_empty());
        return Ok(both.map(|(user, password)| Credentials::Password { user, password }));
    };
    let bad = || wrong(format!("`auth` of {} is not the base64 of name:password", escape_untrusted(key, 200)));
    let decoded = BASE64_STANDARD.decode(auth.trim()).map_err(|_| bad())?;
    let text = String::from_utf8(decoded).map_err(|_| bad())?;
    let (user, password) = text.trim_end_matches('\0').split_once(':').ok_or_else(bad)?;
    Ok(Some(Credentials::Password { user: user.to_owned(), password: password.to_owned() }))
}

/// Returns the registry's name from the forms in which files write it.
fn plain(key: &str) -> &str {
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let key = key.trim_end_matches('/');
    key.strip_suffix("/v1").or_else(|| key.strip_suffix("/v2")).unwrap_or(key)
}

/// Asks a helper for a log-in (the protocol of docker-credential-helpers); `None` if the helper has none.
fn ask(helper: &str, server: &str) -> Result<Option<Credentials>, String> {
    if !helper.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)) {
        return Err("is no name of a helper".to_owned());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot be run ({error})"))?;
    let (success, bytes) = runtime
        .block_on(async { tokio::time::timeout(PATIENCE, run(helper, server)).await })
        .map_err(|_| format!("did not answer within {} s", PATIENCE.as_secs()))?
        .map_err(|error| format!("cannot be run ({error}); install it, or take it out of the file"))?;
    if !success {
        // This failure means that the helper has no log-in (`credentials.NewErrCredentialsNotFound`).
        let none = String::from_utf8_lossy(&bytes).contains("credentials not found");
        return if none { Ok(None) } else { Err("gives no log-in".to_owned()) };
    }
    let known: Helped = serde_json::from_slice(&bytes).map_err(|_| "answers what is no log-in".to_owned())?;
    Ok(Some(if known.username == "<token>" {
        Credentials::Identity(known.secret)
    } else {
        Credentials::Password { user: known.username, password: known.secret }
    }))
}

async fn run(helper: &str, server: &str) -> io::Result<(bool, Vec<u8>)> {
    let mut child = Command::from(child::command(format!("docker-credential-{helper}"), NOWHERE))
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // If the helper does not read its input, its exit status tells.
        let _ = input.write_all(server.as_bytes()).await;
    }
    let mut bytes = Vec::new();
    if let Some(output) = child.stdout.take() {
        output.take(LONGEST as u64).read_to_end(&mut bytes).await?;
    }
    Ok((child.wait().await?.success(), bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(text: &str, registry: &str) -> Result<Option<Credentials>, LogInError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        std::fs::write(&path, text).unwrap();
        find_in(&path, registry, "plugins/echo")
    }

    fn password(user: &str, password: &str) -> Credentials {
        Credentials::Password { user: user.to_owned(), password: password.to_owned() }
    }

    #[test]
    fn a_log_in_is_found_as_docker_finds_it() {
        let of = |key: &str, pair: &str| format!("\"{key}\":{{\"auth\":\"{}\"}}", BASE64_STANDARD.encode(pair));
        let text = format!(
            "{{\"auths\":{{{},{},{},{},\"t.example\":{{\"auth\":\"eDp5\",\"identitytoken\":\"i\"}}}}}}",
            of("r.example", "a:1:2"),
            of("https://s.example:5000/v2/", "b:2"),
            of("https://index.docker.io/v1/", "c:3"),
            of("r.example/plugins/echo", "d:4"),
        );
        assert_eq!(find(&text, "r.example").unwrap(), Some(password("d", "4")), "the narrowest counts");
        let other = text.replace("/plugins/echo", "/plugins/other");
        assert_eq!(find(&other, "r.example").unwrap(), Some(password("a", "1:2")));
        assert_eq!(find(&text, "s.example:5000").unwrap(), Some(password("b", "2")));
        assert_eq!(find(&text, "docker.io").unwrap(), Some(password("c", "3")));
        let large = text.replace("r.example", "R.Example");
        assert_eq!(find(&large, "r.example").unwrap(), Some(password("d", "4")), "a host has one name in any letters");
        assert_eq!(find(&text, "t.example").unwrap(), Some(Credentials::Identity("i".to_owned())));
        for other in ["example", "r.example.evil", "s.example", "evil.example"] {
            assert_eq!(find(&text, other).unwrap(), None, "{other}");
        }
        assert_eq!(find("{}", "r.example").unwrap(), None);
        for none in
            ["null", "{\"r.example\":{}}", "{\"r.example\":{\"auth\":\"\",\"username\":\"\",\"password\":\"\"}}"]
        {
            let text = format!("{{\"auths\":{none},\"credHelpers\":null,\"credsStore\":null}}");
            assert_eq!(find(&text, "r.example").unwrap(), None, "{none}");
        }
        let both = "\"username\":\"e\",\"password\":\"5\"";
        let plain =
            |auth: &str| find(&format!("{{\"auths\":{{\"r.example\":{{{auth}{both}}}}}}}"), "r.example").unwrap();
        assert_eq!(plain(""), Some(password("e", "5")));
        assert_eq!(plain("\"auth\":\"ZDo0\","), Some(password("d", "4")), "`auth` counts before them");
    }

    #[test]
    fn what_cannot_be_read_is_named_without_what_is_in_it() {
        for (text, words) in [
            ("{\"auths\":{\"r.example\":{\"auth\":7}}}", "line 1, column"),
            ("{\"auths\": canary", "line 1, column"),
            ("{\"auths\":{\"r.example\":{\"auth\":\"canary!\"}}}", "`auth` of r.example is not the base64"),
            ("{\"credsStore\":\"../canary\"}", "is no name of a helper"),
            ("{\"credHelpers\":{\"r.example\":\"parlor-has-none\"}}", "cannot be run"),
        ] {
            let error = find(text, "r.example").unwrap_err().to_string();
            assert!(error.contains(words), "{words}: {error}");
            assert!(!error.replace("../canary", "").contains("canary"), "{error}");
        }
        let given = LogIn::Given { user: "me".to_owned(), password: Hidden("canary".to_owned()) };
        let found = given.find("r.example", "a").unwrap();
        assert!(!format!("{given:?} {found:?}").contains("canary"));
    }

    #[test]
    fn one_file_that_is_named_is_the_only_one() {
        let all = |name: &str| Some(PathBuf::from(format!("/{name}")));
        assert_eq!(files(all, 7), [Path::new("/REGISTRY_AUTH_FILE")]);
    }

    #[test]
    fn log_ins_are_looked_for_where_podman_and_docker_keep_them() {
        let all = |name: &str| Some(PathBuf::from(format!("/{name}")));
        let usual = |name: &str| (name != "REGISTRY_AUTH_FILE").then(|| all(name)).flatten();
        let expected = [
            "/XDG_RUNTIME_DIR/containers/auth.json",
            "/XDG_CONFIG_HOME/containers/auth.json",
            "/DOCKER_CONFIG/config.json",
        ];
        assert_eq!(files(usual, 7), expected.map(PathBuf::from));
        let least = |name: &str| (name == "HOME").then(|| all(name)).flatten();
        let expected = ["/HOME/.config/containers/auth.json", "/HOME/.docker/config.json"];
        assert_eq!(files(least, 7), expected.map(PathBuf::from));
        assert_eq!(files(|_| None, 0), [Path::new("/run/containers/0/auth.json")]);
    }
}
