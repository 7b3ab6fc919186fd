//! Isolates the cargo that builds a plugin from a cargo that runs parlor.

use std::env;
use std::process::Command;

/// Removes the environment variables that an outer cargo, or a build script, set for the package that it builds.
///
/// Settings that users export themselves stay, such as cargo's folders, registries, proxies and job counts.
pub(super) fn forget_outer_cargo(command: &mut Command) {
    let inside_cargo = env::var_os("CARGO").is_some();
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| belongs_to_outer_cargo(name, inside_cargo)) {
            command.env_remove(name);
        }
    }
}

fn belongs_to_outer_cargo(name: &str, inside_cargo: bool) -> bool {
    const NAMES: [&str; 12] = [
        "CARGO",
        "CARGO_BUILD_TARGET",
        "CARGO_CRATE_NAME",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_MAKEFLAGS",
        "CARGO_PRIMARY_PACKAGE",
        "CARGO_TARGET_TMPDIR",
        // Flags for this machine, such as its processor, mean nothing for the target.
        "CARGO_BUILD_RUSTFLAGS",
        "RUSTFLAGS",
        "RUSTC",
        "RUSTC_WORKSPACE_WRAPPER",
        "CARGO_BUILD_RUSTC",
    ];
    const PREFIXES: [&str; 5] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CFG_", "CARGO_FEATURE_"];
    // A toolchain that the user chose counts, but one that rustup exported to cargo's children is that of another
    // folder.
    let of_rustup = inside_cargo && matches!(name, "RUSTUP_TOOLCHAIN" | "RUST_RECURSION_COUNT");
    of_rustup || NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cargo_exports_to_its_children_is_forgotten() {
        for name in ["CARGO", "CARGO_PKG_NAME", "CARGO_MANIFEST_DIR", "RUSTC", "CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS"] {
            assert!(belongs_to_outer_cargo(name, false), "{name}");
        }
        assert!(belongs_to_outer_cargo("RUSTUP_TOOLCHAIN", true));
    }

    #[test]
    fn what_people_set_for_themselves_stays() {
        for name in ["PATH", "HOME", "CARGO_HOME", "CARGO_TARGET_DIR", "CARGO_NET_OFFLINE", "RUSTUP_TOOLCHAIN"] {
            assert!(!belongs_to_outer_cargo(name, false), "{name}");
        }
        assert!(!belongs_to_outer_cargo("CARGO_REGISTRIES_MINE_TOKEN", true));
    }
}
