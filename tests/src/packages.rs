//! The packages of the host: their libraries and folders, and the names of their unit tests.

/// A package of the host.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    /// The name of its library, as cargo and Rust know it.
    pub library: &'static str,
    /// Its folder, from the workspace's root.
    pub folder: &'static str,
}

/// The package that programs embed. A unit test without the name of a library in front is one of its.
pub const HOST: Package = Package { library: "parlor", folder: "host" };

/// All packages of the host.
pub const ALL: [Package; 18] = [
    HOST,
    Package { library: "parlor_authoring", folder: "host/authoring" },
    Package { library: "parlor_base", folder: "host/base" },
    Package { library: "parlor_cli", folder: "host/cli" },
    Package { library: "parlor_cluster", folder: "host/cluster" },
    Package { library: "parlor_config", folder: "host/config" },
    Package { library: "parlor_e2ee", folder: "host/e2ee" },
    Package { library: "parlor_https", folder: "host/https" },
    Package { library: "parlor_nats", folder: "host/nats" },
    Package { library: "parlor_plugins", folder: "host/plugins" },
    Package { library: "parlor_runtime", folder: "host/runtime" },
    Package { library: "parlor_schedules", folder: "host/schedules" },
    Package { library: "parlor_session", folder: "host/session" },
    Package { library: "parlor_stanza", folder: "host/stanza" },
    Package { library: "parlor_store", folder: "host/store" },
    Package { library: "parlor_web", folder: "host/web" },
    Package { library: "parlor_window", folder: "host/window" },
    Package { library: "parlor_xmpp", folder: "host/xmpp" },
];

impl Package {
    /// Returns the folder of its sources, from the workspace's root.
    pub fn sources(&self) -> String {
        format!("{}/src", self.folder)
    }

    /// Returns the full name of one of its unit tests: `parlor_base::fair::tests::a_test`.
    pub fn test(&self, name: &str) -> String {
        if *self == HOST { name.to_owned() } else { format!("{}::{name}", self.library) }
    }
}

/// Splits the full name of a unit test into its package and the name that the package's test program knows.
pub fn of_test(name: &str) -> (&'static Package, &str) {
    let found = ALL.iter().find_map(|package| {
        let rest = name.strip_prefix(package.library)?.strip_prefix("::")?;
        Some((package, rest))
    });
    found.unwrap_or((&ALL[0], name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_unit_test_leads_to_its_package_and_back() {
        for package in &ALL {
            assert_eq!(of_test(&package.test("fair::tests::a")), (package, "fair::tests::a"));
        }
    }

    /// Otherwise its sources would be held to no rule.
    #[test]
    fn every_package_of_the_host_is_listed() {
        let manifest = std::fs::read_to_string(crate::conformance::root().join("Cargo.toml")).unwrap();
        let members: toml::Table = manifest.parse().unwrap();
        let members = members["workspace"]["members"].as_array().unwrap();
        let mut there: Vec<_> = members.iter().filter_map(|one| one.as_str()).collect();
        there.retain(|folder| *folder == "host" || folder.starts_with("host/") && *folder != "host/stringprep");
        assert_eq!(there, ALL.map(|package| package.folder));
    }
}
