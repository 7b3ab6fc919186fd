//! Tests of the configuration that `parlor init` writes, and of its refusals.

use parlor_config::keys::{ACCOUNT, CLUSTER, COMPONENT, ENCRYPTION, Key, TOP};
use parlor_config::{Config, Overrides};

use super::*;

fn overrides() -> Overrides {
    Overrides { environment: |_| None, ..Overrides::default() }
}

/// Writes a configuration to fill in.
fn init(path: &Path, jid: Option<&str>) -> anyhow::Result<Vec<PathBuf>> {
    InitArgs { config: path.to_owned(), ..InitArgs::default() }.to_fill_in(jid)
}

#[test]
fn what_it_writes_is_accepted_once_the_password_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/parlor.toml");
    let written = init(&path, Some("Bot@Example.org/bot")).unwrap();
    assert_eq!(written, [path.clone(), folder.path().join("new/plugins.toml")]);
    let password = folder.path().join("new/bot.password");
    fs::write(&password, "secret\n").unwrap();
    fs::set_permissions(&password, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let config = Config::load(&path, &overrides()).unwrap();
    assert_eq!(config.warnings, [""; 0]);
    assert_eq!(config.accounts.values().next().unwrap().link.jid.as_str(), "bot@example.org/bot");
    assert_eq!(config.plugins, written[1]);
}

/// The commented lines are valid, so removing the `#` is enough.
#[test]
fn its_commented_lines_are_accepted_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("parlor.toml");
    init(&path, None).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let lines = text.lines().map(|line| match line.strip_prefix("# ") {
        Some(rest) if rest.contains(" = ") || rest.starts_with('[') => rest,
        _ => line,
    });
    // An account has one password, and none if it has a certificate or is on a component. A cluster has one place of its key.
    // Addresses of a component cannot be in a cluster.
    let others =
        ["password_command", "password_env", "certificate", "component", "key_command", "key_env", "new_addresses"];
    let without = |line: &&str| !others.iter().any(|key| line.starts_with(key));
    let text: Vec<_> = lines.filter(without).collect();
    fs::write(&path, text.join("\n")).unwrap();
    for file in ["ca.pem", "web.pem", "nats-ca.pem"] {
        fs::write(folder.path().join(file), "").unwrap();
    }
    for file in ["bot.password", "bots.secret", "nats.password", "cluster.key", "den.password"] {
        fs::write(folder.path().join(file), "").unwrap();
    }
    let config = Config::load(&path, &overrides()).unwrap();
    assert_eq!(config.components.len(), 1);
    assert_eq!(config.cluster.as_ref().and_then(|cluster| cluster.node.as_deref()), Some("one"));
    assert_eq!((config.settings.auto_join_rooms.len(), config.settings.room_passwords().len()), (2, 1));
    assert_eq!(config.settings.default_status_message.as_deref(), Some("Type !help"));
    let main = config.accounts.values().next().unwrap();
    assert_eq!(main.settings.nickname.as_deref(), Some("bot"));
    assert!(main.link.server.is_some() && main.link.ca_file.is_some());
    assert_eq!(config.web.ca_file, Some(folder.path().join("web.pem")));
    assert!(config.web.outbound_proxy.is_some() && config.web.nat64);
    let lines: Vec<_> = PLUGINS.lines().skip(2).map(|line| line.trim_start_matches(['#', ' '])).collect();
    let policy: toml::Table = lines
        .join(
            "
",
        )
        .parse()
        .unwrap();
    let grants = policy["plugin"]["echo"]["grants"].as_table().unwrap();
    assert!(parlor_session::permissions::Grants::from_table(grants).is_ok());
}

/// They exclude a cluster, which the other lines have.
#[test]
fn its_lines_about_new_addresses_are_accepted() {
    let lines =
        CONFIG.lines().filter_map(|line| line.strip_prefix("# ").filter(|line| line.starts_with("new_addresses")));
    let lines = lines.collect::<Vec<_>>().join("\n");
    let text = format!(
        "[group.support]\n[component.bots]\ndomain = \"bots.example.org\"\npassword_env = \"SECRET\"\n{lines}\n"
    );
    let config = Config::parse(Path::new("parlor.toml"), &text, &overrides()).unwrap();
    let new = config.new_addresses.values().next().unwrap();
    assert!(new.group.is_some() && !new.from.is_empty() && new.limit == 1_000);
}

/// The template lists every key.
#[test]
fn every_key_is_among_its_lines() {
    let has = |begin: &str| CONFIG.lines().any(|line| line.trim_start_matches("# ").starts_with(begin));
    for Key { name, .. } in TOP {
        assert!(has(&format!("{name} = ")) || has(&format!("[{name}")), "{name}");
    }
    for Key { name, .. } in ACCOUNT {
        assert!(has(&format!("{name} = ")) || has(&format!("[account.main.{name}]")), "{name}");
    }
    for Key { name, .. } in ENCRYPTION.iter().chain(CLUSTER).chain(COMPONENT) {
        assert!(has(&format!("{name} = ")), "{name}");
    }
}

#[test]
fn it_writes_over_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("parlor.toml");
    fs::write(&path, "mine").unwrap();
    let error = init(&path, None).unwrap_err().to_string();
    assert!(error.ends_with("parlor.toml is there already: move it away, or name another file"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    assert!(!folder.path().join(POLICY).exists());

    fs::write(folder.path().join(POLICY), "mine").unwrap();
    let other = folder.path().join("other.toml");
    assert_eq!(init(&other, None).unwrap(), [other]);
    assert_eq!(fs::read_to_string(folder.path().join(POLICY)).unwrap(), "mine");
}

#[test]
fn what_is_no_account_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("parlor.toml");
    for jid in ["example.org", "a@b@c", ""] {
        assert!(init(&path, Some(jid)).is_err(), "{jid}");
        assert!(!path.exists());
    }
}

/// Nobody types a password for nothing.
#[test]
fn a_folder_that_cannot_be_written_is_named_before_anything_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    assert!(can_write(folder.path()).is_ok() && can_write(&folder.path().join("new/folder")).is_ok());
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = InitArgs { config: file.join("new/parlor.toml"), ..InitArgs::default() }.run().unwrap_err().to_string();
    let says =
        format!("nothing can be written in the folder {} (not a directory): run this in a folder", file.display());
    assert!(error.starts_with(&says) && error.ends_with("--config FOLDER/parlor.toml"), "{error}");
    // Root writes everywhere.
    if !rustix::process::geteuid().is_root() {
        fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o500)).unwrap();
        let error = can_write(&folder.path().join("new")).unwrap_err().to_string();
        assert!(error.contains(&format!("{} (Permission denied ", folder.path().display())), "{error}");
        fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    }
}

/// A server's address that was asked for is written like one that a flag gave.
#[test]
fn the_address_of_the_server_is_written() {
    let arguments = InitArgs { config: "parlor.toml".into(), ..InitArgs::default() };
    let server = "localhost:5222".parse().unwrap();
    let text = arguments.text("bot@house", None, Some(&server)).unwrap();
    assert!(text.contains("\nserver = \"localhost:5222\""), "{text}");
    assert!(!arguments.text("bot@house", None, None).unwrap().contains("\nserver = "));
    assert_eq!(arguments.command(), "parlor init");
    let other = InitArgs { config: "my bot.toml".into(), ..InitArgs::default() };
    assert_eq!(other.command(), "parlor init --config 'my bot.toml'");
}
