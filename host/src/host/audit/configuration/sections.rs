//! The sections `[audit]`, `[window]`, `[web]`, `[component.NAME]` and `[cluster]` as the audit keeps them, key by key.

use parlor_base::quantity::show_duration;
use parlor_config::keys::{self, Key};
use parlor_config::{
    AccountName, Audit, Cluster, ClusterLogin, Config, LinkSettings, NewAddresses, PasswordSource, SentLinks, TlsMode,
    Web, Window,
};

use super::{Field, place};

/// Returns the keys whose values differ from the usual ones, as `SECTION.KEY`.
pub(super) fn sections(config: &Config) -> Vec<(String, Field)> {
    let of_the_host = of_the_host(config).into_iter().map(|(key, value)| (key.to_owned(), Field::open(&value)));
    let of_components = config.components.iter().flat_map(|(name, link)| {
        let new = of_new_addresses(name, config.new_addresses.get(name));
        let sleeps = config.sleep_after.get(name).map(|after| Field::open(&show_duration(*after)));
        let sleeps = sleeps.map(|field| (format!("component.{name}.sleep_after"), field));
        of_component(name, link).into_iter().chain(new).chain(sleeps)
    });
    let of_cluster = config.cluster.iter().flat_map(of_cluster);
    let all = of_the_host.chain(of_components).chain(of_cluster);
    all.filter(|(key, field)| usual(key).is_none_or(|usual| field.mark != Field::open(&usual).mark)).collect()
}

/// Returns the value of a key that is left out.
pub(super) fn usual(key: &str) -> Option<String> {
    match key {
        "audit.days" => Some(Audit::default().days.to_string()),
        "audit.size" => Some(Audit::default().size.to_string()),
        "window.links" => Some(SentLinks::default().as_str().to_owned()),
        "web.nat64" | "web.outbound_proxy_resolves" => Some(false.to_string()),
        _ => match key.split_once('.')? {
            ("component", of_one) => default_of(keys::COMPONENT, of_one.split_once('.')?.1),
            ("cluster", name) => default_of(keys::CLUSTER, name),
            _ => None,
        },
    }
}

/// Returns the default of one of these keys.
fn default_of(all: &[Key], name: &str) -> Option<String> {
    let key = all.iter().find(|key| key.name == name)?;
    let default = key.default.filter(|_| key.default != keys::NONE)?;
    Some(default.trim_matches('"').to_owned())
}

/// Returns the values of the sections that each host has.
fn of_the_host(config: &Config) -> Vec<(&'static str, String)> {
    let (Audit { days, size }, Window { links }) = (config.audit, config.window);
    let Web {
        listen,
        address,
        certificate,
        proxies,
        local_files,
        ca_file,
        nat64,
        outbound_proxy,
        outbound_proxy_resolves,
    } = &config.web;
    let all = [
        ("audit.days", Some(days.to_string())),
        ("audit.size", Some(size.to_string())),
        ("window.links", Some(links.as_str().to_owned())),
        ("web.listen", listen.map(|listen| listen.to_string())),
        ("web.address", address.as_ref().map(|address| address.as_str().to_owned())),
        ("web.certificate", certificate.as_ref().map(|(certificate, _)| place(certificate))),
        ("web.certificate_key", certificate.as_ref().map(|(_, key)| place(key))),
        ("web.proxies", list(proxies)),
        ("web.local_files", list(local_files)),
        ("web.ca_file", ca_file.as_deref().map(place)),
        ("web.nat64", Some(nat64.to_string())),
        ("web.outbound_proxy", outbound_proxy.as_ref().map(|proxy| proxy.as_str().to_owned())),
        ("web.outbound_proxy_resolves", Some(outbound_proxy_resolves.to_string())),
    ];
    all.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}

fn list<T: ToString>(all: &[T]) -> Option<String> {
    (!all.is_empty()).then(|| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
}

/// Returns the keys of a component. The others of a link are the same for all components, or follow from `[settings]`.
fn of_component(name: &AccountName, link: &LinkSettings) -> Vec<(String, Field)> {
    let LinkSettings { jid, password, server, tls, ca_file, keep_unsent, .. } = link;
    let tls = tls.map(|tls| match tls {
        TlsMode::Direct => "direct",
        TlsMode::StartTls => "starttls",
    });
    let open = [
        ("domain", Some(jid.to_string())),
        ("server", server.as_ref().map(ToString::to_string)),
        ("tls", tls.map(str::to_owned)),
        ("ca_file", ca_file.as_deref().map(place)),
        ("keep_unsent", Some(show_duration(*keep_unsent))),
    ];
    let open = open.into_iter().filter_map(|(key, value)| Some((key.to_owned(), Field::open(&value?))));
    let all = open.chain(secret("password", password));
    all.map(|(key, field)| (format!("component.{name}.{key}"), field)).collect()
}

/// Returns the keys of a component about addresses that become accounts.
fn of_new_addresses(name: &AccountName, new: Option<&NewAddresses>) -> Vec<(String, Field)> {
    let Some(NewAddresses { patterns, from, group, limit }) = new else { return Vec::new() };
    let all = [
        ("new_addresses", list(patterns)),
        ("new_addresses_from", list(from)),
        ("new_addresses_group", group.as_ref().map(ToString::to_string)),
        ("new_addresses_limit", Some(limit.to_string())),
    ];
    let given = all.into_iter().filter_map(|(key, value)| Some((key, Field::open(&value?))));
    given.map(|(key, field)| (format!("component.{name}.{key}"), field)).collect()
}

/// Returns the keys of the cluster.
fn of_cluster(cluster: &Cluster) -> Vec<(String, Field)> {
    let Cluster { nats, name, node, key, login, ca_file, allow_unencrypted, replicas, capacity, share_plugins } =
        cluster;
    let (user, certificate, password) = match login {
        ClusterLogin::Nothing => (None, None, None),
        ClusterLogin::Password { user, password } => (Some(user.clone()), None, Some(password)),
        ClusterLogin::Token(token) => (None, None, Some(token)),
        ClusterLogin::Certificate { certificate, key } => (None, Some((place(certificate), place(key))), None),
    };
    let (certificate, certificate_key) = certificate.unzip();
    let open = [
        ("name", Some(name.clone())),
        ("node", node.clone()),
        ("user", user),
        ("certificate", certificate),
        ("certificate_key", certificate_key),
        ("ca_file", ca_file.as_deref().map(place)),
        ("allow_unencrypted", Some(allow_unencrypted.to_string())),
        ("replicas", Some(replicas.to_string())),
        ("capacity", Some(capacity.to_string())),
        ("share_plugins", Some(share_plugins.to_string())),
    ];
    let open = open.into_iter().filter_map(|(key, value)| Some((key.to_owned(), Field::open(&value?))));
    let secrets = secret("key", key).into_iter().chain(password.and_then(|password| secret("password", password)));
    let all = open.chain([("nats".to_owned(), addresses(nats))]).chain(secrets);
    all.map(|(key, field)| (format!("cluster.{key}"), field)).collect()
}

/// Returns the servers of NATS. They are checked only when the host connects. Until then, what is more than a scheme, a
/// name and a port may be a password, such as in `nats://me:secret@a.example` or `tls://a.example?token=secret`.
fn addresses(servers: &[String]) -> Field {
    let all = servers.join(", ");
    let is_plain = |one: char| one.is_ascii_alphanumeric() || "-_.:/[], ".contains(one);
    if all.chars().all(is_plain) { Field::open(&all) } else { Field::hidden(&all) }
}

/// Returns the key that says where this secret is, such as `password_file`. Its value is not shown: a command may contain
/// the secret.
fn secret(what: &str, source: &PasswordSource) -> Option<(String, Field)> {
    let (way, value) = match source {
        PasswordSource::File(file) => ("file", place(file)),
        PasswordSource::Command(line) => ("command", line.clone()),
        PasswordSource::Environment(variable) => ("env", variable.clone()),
        PasswordSource::Web(_) | PasswordSource::Nowhere => return None,
    };
    Some((format!("{what}_{way}"), Field::hidden(&value)))
}
