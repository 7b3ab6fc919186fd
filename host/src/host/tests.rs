//! Tests of a host that does not log in.

use std::path::Path;

use parlor_base::id::Digest;
use parlor_config::Overrides;
use parlor_store::{AuditKind, AuditQuery};

use super::*;

/// A host that does not log in, in a separate folder.
async fn offline_host(folder: &Path) -> Host {
    let path = folder.join("parlor.toml");
    let text = "[settings]\nauto_login = false\n[account.main]\njid = \"bot@example.org\"\npassword_env = \"NONE\"\n";
    std::fs::write(&path, text).unwrap();
    let overrides = Overrides { environment: |_| None, ..Overrides::default() };
    Host::start(Config::load(&path, &overrides).unwrap(), Compiler::ThisProcess, Threads::of_the_caller())
        .await
        .unwrap()
}

fn entry(folder: &Path, name: &str) -> (PluginId, Entry) {
    let digest = Digest::of(b"");
    let text = format!("[plugin.echo]\nsource = \"{name}\"\ndigest = \"{digest}\"\n");
    Policy::parse(&text, folder).unwrap().plugins.into_iter().next().unwrap()
}

#[tokio::test]
async fn of_two_plugins_that_come_at_once_under_one_id_one_is_refused_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let host = offline_host(folder.path()).await;
    let ((id, one), (_, two)) = (entry(folder.path(), "one.wasm"), entry(folder.path(), "two.wasm"));
    let (first, second) = tokio::join!(host.add_plugin(id.clone(), one), host.add_plugin(id, two));
    assert!(matches!(first, Err(AddError::Refused { .. })), "{first:?}");
    assert!(matches!(second, Err(AddError::Taken { .. })), "{second:?}");
    host.stop().await;
}

/// Otherwise what a plugin stores right after it was installed would be removed with what was left of an earlier one.
#[tokio::test]
async fn no_plugin_is_added_while_something_is_done_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let host = offline_host(folder.path()).await;
    let (id, one) = entry(folder.path(), "one.wasm");
    let action = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        host.plugins.has(&id).await
    };
    let (was_added, added) =
        tokio::join!(actions::without_plugin(&host, &id, action), host.add_plugin(id.clone(), one));
    assert_eq!(was_added, Some(false));
    assert!(matches!(added, Err(AddError::Refused { .. })), "{added:?}");
    assert_eq!(actions::without_plugin(&host, &id, async {}).await, None, "it is there");
    host.stop().await;
}

#[tokio::test]
async fn a_cluster_that_is_written_while_the_host_runs_is_in_the_audit_before_it_counts() {
    let folder = tempfile::tempdir().unwrap();
    let host = offline_host(folder.path()).await;
    let was = host.config();
    let text = std::fs::read_to_string(&was.path).unwrap();
    let cluster = "[cluster]\nnats = \"tls://nats.example.org\"\nname = \"bots\"\nkey_env = \"KEY\"\n";
    std::fs::write(&was.path, format!("{text}{cluster}")).unwrap();
    host.reconfigure(was.read_again().unwrap()).await;
    assert_eq!(host.config().cluster, None, "it counts when the host is started again");
    let query = AuditQuery { kinds: vec![AuditKind::Setting], most: 10, ..AuditQuery::default() };
    let entries = audit::of(&host).entries(query).await.unwrap();
    let found = entries.iter().find(|entry| entry.what == "setting cluster.name").unwrap();
    assert_eq!((found.way.as_str(), found.new.as_deref()), ("read again", Some("bots")));
    host.stop().await;
}
