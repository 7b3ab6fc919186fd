//! The text of an index of plugins (`docs/author/publishing.md`). The suite gives it to `parlor index add`.

use std::fmt::Write as _;

use serde_json::Value;

/// Returns what comes before the plugins. `public` is the second line of a `minisign.pub`.
pub fn head(serial: u64, public: &str, homepage: Option<&str>) -> String {
    let mut text = format!(
        "format = 1\nname = \"examples\"\nserial = {serial}\ndescription = \"The example plugins of parlor\"\nkey = {}\n",
        quoted(public)
    );
    if let Some(homepage) = homepage {
        // Writing into a String cannot fail, here and below.
        let _ = writeln!(text, "homepage = {}", quoted(homepage));
    }
    text
}

/// Returns a plugin's part of the index, and the name of its file beside it. `told` is what `parlor plugin inspect --json` says;
/// the plugin's page is below that of the index.
pub fn entry(told: &Value, homepage: Option<&str>) -> Option<(String, String)> {
    let of = |key: &str| told[key].as_str();
    let (name, version) = (of("name")?, of("version")?);
    let file = format!("{name}-{version}.wasm");
    let permissions = told["permissions"].as_array()?.iter().map(|one| one["permission"].as_str().map(quoted));
    let permissions = permissions.collect::<Option<Vec<_>>>()?.join(", ");
    let mut text = format!("\n[plugin.{name}]\ndescription = {}\n", quoted(of("description")?));
    if let Some(language) = of("language") {
        let _ = writeln!(text, "language = {}", quoted(language));
    }
    if let Some(homepage) = homepage {
        let _ = writeln!(text, "homepage = {}", quoted(&format!("{}/{name}", homepage.trim_end_matches('/'))));
    }
    let (source, digest) = (quoted(&file), quoted(of("digest")?));
    let _ = write!(
        text,
        "\n[plugin.{name}.version.{}]\nsource = {source}\ndigest = {digest}\npermissions = [{permissions}]\n",
        quoted(version)
    );
    Some((text, file))
}

/// Returns a text as TOML writes it.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_plugin_is_becomes_its_part_of_the_index() {
        let told = json!({
            "name": "echo", "version": "0.1.0", "description": "Says \"it\" again", "language": "Rust",
            "digest": "sha256:00", "permissions": [{ "permission": "messages.read" }, { "permission": "rooms.send" }],
        });
        let homepage = Some("https://example.org/plugins/");
        let (text, file) = entry(&told, homepage).unwrap();
        assert_eq!(file, "echo-0.1.0.wasm");
        let table: toml::Table = format!("{}{text}", head(7, "RWQ", homepage)).parse().unwrap();
        assert_eq!((table["serial"].as_integer(), table["homepage"].as_str()), (Some(7), homepage));
        let echo = &table["plugin"]["echo"];
        assert_eq!(echo["description"].as_str(), Some("Says \"it\" again"));
        assert_eq!(echo["homepage"].as_str(), Some("https://example.org/plugins/echo"));
        let version = &echo["version"]["0.1.0"];
        let is = |key: &str| version[key].as_str();
        assert_eq!((is("source"), is("digest")), (Some("echo-0.1.0.wasm"), Some("sha256:00")));
        assert_eq!(version["permissions"][1].as_str(), Some("rooms.send"));
        assert_eq!(entry(&json!({ "name": "echo" }), None), None);
        assert!(!entry(&told, None).unwrap().0.contains("homepage") && !head(7, "RWQ", None).contains("homepage"));
    }
}
