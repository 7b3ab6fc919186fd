//! The keys of a cluster.

use super::{Key, NONE, key};

/// The keys under `[cluster]`, ordered by name.
pub const CLUSTER: &[Key] = &[
    key(
        "allow_unencrypted",
        "true or false",
        Some("false"),
        "Connect to NATS on another machine without TLS. Anybody on the network path can then see the log-in at NATS, the addresses of accounts, and when each of them changes something.",
    ),
    key(
        "ca_file",
        "a file",
        NONE,
        "Trust the authorities in this file (PEM) for NATS, in place of the system's authorities.",
    ),
    key(
        "capacity",
        "a whole number",
        Some("1"),
        "How many accounts this node takes in relation to the others, 1 to 1,000: one with `2` takes twice as many as one with `1`.",
    ),
    key(
        "certificate",
        "a file",
        NONE,
        "Log in at NATS with this certificate (PEM, with those between it and its authority behind it). It goes with `certificate_key`.",
    ),
    key(
        "certificate_key",
        "a file",
        NONE,
        "The private key of `certificate` (PEM). One that others can read is refused: `chmod 600`.",
    ),
    key("key_command", "text", NONE, "A line for the shell that prints what `key_file` would have, within 10 s."),
    key("key_env", "text", NONE, "The name of the variable of the environment that holds what `key_file` would have."),
    key(
        "key_file",
        "a file",
        NONE,
        "The file with the keys that encrypt the data of accounts in NATS, readable by you alone and the same on all nodes: `parlor cluster key` makes it. One of `key_file`, `key_command` and `key_env` is required.",
    ),
    key(
        "name",
        "a name",
        None,
        "The name of the cluster, 1 to 32 of `a`-`z`, `0`-`9` and `-`, the same on all nodes. Several clusters can share one NATS.",
    ),
    key(
        "nats",
        "an address, or a list",
        None,
        "The servers of NATS, such as `\"tls://nats.example.org:4222\"`, or `\"nats://127.0.0.1:4222\"` without TLS on this machine.",
    ),
    key(
        "node",
        "a name",
        Some("the machine's name"),
        "The name of this node, which must differ on each node. Also `PARLOR_NODE`, so that all nodes can have the same file.",
    ),
    key("password_command", "text", NONE, "A line for the shell that prints the password for NATS, within 10 s."),
    key("password_env", "text", NONE, "The name of the variable of the environment that holds the password for NATS."),
    key(
        "password_file",
        "a file",
        NONE,
        "The file with the password for NATS, readable by you alone. Without `user` it is a token.",
    ),
    key(
        "replicas",
        "1, 3 or 5",
        Some("1"),
        "How many servers of NATS keep everything, the same on all nodes. More than 1 needs as many servers, of version 2.11 or newer.",
    ),
    key(
        "share_plugins",
        "true or false",
        Some("true"),
        "Share `plugins.toml`, the components of plugins and `accounts.toml` with the other nodes: a change on one of them counts on all. With `false` this node uses its own files.",
    ),
    key("user", "text", NONE, "The name to log in with at NATS. It goes with a password."),
];
