//! Files with secrets of plugins, which no node of a cluster gets from another.

use parlor_base::escape::EscapedPath as _;
use parlor_config::Config;
use parlor_plugins::secret::SecretSource;
use serde_json::Value;

use crate::target;

/// Tells which files with these secrets the other nodes of a cluster need, too.
pub(super) fn tell_of_nodes<'v>(config: &Config, values: impl IntoIterator<Item = &'v Value>) {
    if let Some(says) = to_copy(config, values) {
        target::say(&format!("parlor: {says}"));
    }
}

/// Says which files with a secret the other nodes of a cluster need, too: they get the names of these files alone.
pub(crate) fn to_copy<'v>(config: &Config, values: impl IntoIterator<Item = &'v Value>) -> Option<String> {
    config.cluster.as_ref().filter(|cluster| cluster.share_plugins)?;
    let file = |source| match source {
        SecretSource::File(file) => Some(file.escaped().to_string()),
        SecretSource::Command(_) => None,
    };
    let files: Vec<_> = values.into_iter().flat_map(SecretSource::all_of).filter_map(file).collect();
    let says = "on each other node of the cluster, the plugin is refused without the same file: copy";
    (!files.is_empty()).then(|| format!("{says} {}, and run `parlor reload --all`", files.join(" and ")))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use parlor_config::Overrides;
    use serde_json::json;

    use super::*;

    #[test]
    fn in_a_cluster_the_file_that_other_nodes_need_is_named() {
        let says = |more: &str, value: &Value| {
            let text = format!("[account.main]\njid = \"bot@example.org\"\npassword_env = \"NONE\"\n{more}");
            let overrides = Overrides { environment: |_| None, ..Overrides::default() };
            to_copy(&Config::parse(Path::new("parlor.toml"), &text, &overrides).unwrap(), [value])
        };
        let cluster = "[cluster]\nnats = \"nats://127.0.0.1:4222\"\nname = \"bots\"\nkey_env = \"KEY\"\n";
        let kept = json!({ "file": "/srv/data/secrets/echo/key" });
        let told = says(cluster, &kept).unwrap();
        assert!(told.contains("copy /srv/data/secrets/echo/key, and run `parlor reload --all`"), "{told}");
        assert_eq!(says("", &kept), None, "there are no other nodes");
        assert_eq!(says(&format!("{cluster}share_plugins = false\n"), &kept), None, "each node has its own policy");
        assert_eq!(says(cluster, &json!({ "command": "pass show key" })), None);
    }
}
