//! A plugin that looks for information about the machine, through the WASI that language runtimes receive.
//!
//! On the chat message `see PORT` it tries everything, with a server of the machine at that port. On `sockets` it takes
//! as many sockets as it gets, on `pollables` as many pollables, and on `clocks` it reports the resolution of its
//! clocks.

#[expect(clippy::pedantic, reason = "generated code, which nobody edits or reads")]
mod bindings;

use parlor_sdk::prelude::*;

use bindings::wasi::cli::{environment, stdin};
use bindings::wasi::clocks::{monotonic_clock, wall_clock};
use bindings::wasi::filesystem::preopens;
use bindings::wasi::io::streams::StreamError;
use bindings::wasi::sockets::instance_network::instance_network;
use bindings::wasi::sockets::ip_name_lookup::resolve_addresses;
use bindings::wasi::sockets::network::{IpAddressFamily, IpSocketAddress, Ipv4SocketAddress};
use bindings::wasi::sockets::tcp_create_socket::create_tcp_socket;
use bindings::wasi::sockets::udp_create_socket::create_udp_socket;

parlor_sdk::plugin!(start);

async fn start() -> Result<()> {
    on("message").run(|message: Message| async move {
        let answer = match message.body.as_deref().and_then(|body| body.split_once(' ')) {
            Some(("see", port)) => see(port.parse().unwrap_or_default()),
            Some(("sockets", _)) => sockets(),
            Some(("pollables", _)) => pollables(),
            Some(("clocks", _)) => clocks(),
            _ => return Ok(()),
        };
        chats::reply(&message, answer).await.map(drop)
    })?;
    Ok(())
}

/// Tries everything, and returns the results as text.
fn see(port: u16) -> String {
    let network = instance_network();
    let address = |port| IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address: (127, 0, 0, 1) });
    let tcp = create_tcp_socket(IpAddressFamily::Ipv4).and_then(|socket| {
        socket.start_bind(&network, address(0))?;
        socket.start_connect(&network, address(port))
    });
    let connect = create_tcp_socket(IpAddressFamily::Ipv4).and_then(|one| one.start_connect(&network, address(port)));
    let udp = create_udp_socket(IpAddressFamily::Ipv4).and_then(|socket| socket.start_bind(&network, address(0)));
    let name = resolve_addresses(&network, "localhost").map(drop);
    let input = match stdin::get_stdin().blocking_read(1) {
        Ok(bytes) => format!("{} bytes", bytes.len()),
        Err(StreamError::Closed) => "closed".to_owned(),
        Err(StreamError::LastOperationFailed(_)) => "broken".to_owned(),
    };
    format!(
        "environment {} arguments {} folder {} directories {} input {input} listen {} connect {} datagram {} name {}",
        environment::get_environment().len(),
        environment::get_arguments().len(),
        environment::initial_cwd().unwrap_or_else(|| "none".to_owned()),
        preopens::get_directories().len(),
        outcome(&tcp),
        outcome(&connect),
        outcome(&udp),
        outcome(&name),
    )
}

fn outcome<E>(result: &std::result::Result<(), E>) -> &'static str {
    if result.is_ok() { "done" } else { "refused" }
}

/// Creates as many sockets as it gets, and keeps them all.
fn sockets() -> String {
    let tcp: Vec<_> = (0..2_000).map_while(|_| create_tcp_socket(IpAddressFamily::Ipv4).ok()).collect();
    let udp: Vec<_> = (0..2_000).map_while(|_| create_udp_socket(IpAddressFamily::Ipv6).ok()).collect();
    let got = tcp.len() + udp.len();
    // Leaked on purpose.
    std::mem::forget((tcp, udp));
    format!("got {got} sockets")
}

/// Creates as many pollables as it gets, and keeps them all.
fn pollables() -> String {
    const HOUR: u64 = 3_600_000_000_000;
    for _ in 0..100_000 {
        // Leaked on purpose.
        std::mem::forget(monotonic_clock::subscribe_duration(HOUR));
    }
    "got 100000 pollables".to_owned()
}

/// Returns the smallest step of each clock, in nanoseconds, and the monotonic clock's value.
fn clocks() -> String {
    let wall = || {
        let now = wall_clock::now();
        now.seconds * 1_000_000_000 + u64::from(now.nanoseconds)
    };
    let uptime = monotonic_clock::now();
    format!("monotonic {} wall {} since {uptime}", smallest_step(monotonic_clock::now), smallest_step(wall))
}

fn smallest_step(clock: impl Fn() -> u64) -> u64 {
    let (mut last, mut smallest) = (clock(), u64::MAX);
    let mut steps = 0;
    while steps < 20 {
        let now = clock();
        if now != last {
            smallest = smallest.min(now.abs_diff(last));
            last = now;
            steps += 1;
        }
    }
    smallest
}
