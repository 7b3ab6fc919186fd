//! The harness of the suite, the demo and the benchmarks: a real server, a real client, and the host as a user starts
//! it.
//!
//! Each part is a handle that cleans up after itself. Processes end with it, also when this process is killed. Ports
//! are free ones of the loopback interface, and files are in a temporary folder. Every wait has a deadline, and its
//! error says what was waited for and shows the last lines of the log. Nothing here looks into the host, which is
//! driven from outside: by its command line, its files, its log and its XMPP stream.

pub mod archive;
pub mod certificate;
pub mod clerk;
pub mod client;
pub mod compiled;
pub mod component;
pub mod conformance;
pub mod connector;
pub mod counterparts;
pub mod docs;
pub mod echo_bot;
pub mod ejabberd;
pub mod endurance;
pub mod faults;
pub mod folder;
pub mod front;
pub mod host;
pub mod interrupt;
pub mod kills;
pub mod log;
pub mod memories;
pub mod minisign;
pub mod nats;
pub mod nats_servers;
pub mod omemo;
pub mod packages;
pub mod partition;
pub mod peer;
pub mod pip;
pub mod plugins;
pub mod policy;
pub mod ports;
pub mod process;
pub mod programs;
pub mod prosody;
pub mod server;
pub mod system_calls;
pub mod terminal;
pub mod transport;
pub mod tunnel;
pub mod usage;
pub mod web;
pub mod webhooks;
pub mod window;
