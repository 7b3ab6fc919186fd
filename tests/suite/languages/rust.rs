//! Rust, outside of parlor's own workspace.

use std::fs;

use parlor_tests::folder::Folder;

use super::{begins_and_answers, is_refused, rust_place};

#[tokio::test(flavor = "multi_thread")]
async fn a_new_plugin_in_rust_builds_at_once_and_answers_and_a_mistake_is_shown_where_it_is() {
    let folder = Folder::new().unwrap();
    let (_alone, place) = rust_place().await;
    let plugin = place.join("parrot");
    begins_and_answers("rust", &place, &folder).await;

    let lib = plugin.join("src/lib.rs");
    let text = fs::read_to_string(&lib).unwrap();
    fs::write(&lib, text.replace("Ok(())\n}\n", "Ok(1)\n}\n")).unwrap();
    is_refused(&plugin, &folder, &["src/lib.rs:", "parrot did not compile"]).await;

    // Who takes away what the plugin declares is told which call needs it.
    fs::write(&lib, text).unwrap();
    let manifest = fs::read_to_string(plugin.join("plugin.toml")).unwrap();
    let without: Vec<_> = manifest.lines().filter(|line| !line.starts_with("\"messages.send\"")).collect();
    fs::write(plugin.join("plugin.toml"), without.join("\n")).unwrap();
    is_refused(&plugin, &folder, &["chats.send needs messages.send", "plugin.toml does not declare"]).await;
}
