//! Attacks through WASI: requests of a language's runtime, and of a plugin through it.

use std::net::{TcpListener, UdpSocket};

use anyhow::{Result, bail, ensure};
use parlor_tests::component::graft_importing;
use parlor_tests::plugins;
use wasm_encoder::{ComponentValType, InstanceType, PrimitiveValType};

use crate::case::{Case, case};
use crate::stage::{Plan, Stage};
use crate::trial::Trial;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(45, "environment, arguments, folders, sockets, names", surroundings),
        case!(46, "huge random requests", huge_random),
        case!(47, "clocks as side channel", clocks),
        case!(48, "exit", exit),
    ]
}

/// Builds a component that calls its one imported function when it starts. It has memory, with room for the result.
fn probe(function: &str, signature: &str, core: &str, call: &str) -> Result<Vec<u8>> {
    let text = format!(
        r#"(component
            (import "from" (instance $from (export "{function}" (func {signature}))))
            (core module $libc
                (memory (export "memory") 32)
                (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 65536))
            (core instance $libc (instantiate $libc))
            (alias export $from "{function}" (func $function))
            (alias core export $libc "memory" (core memory $memory))
            (alias core export $libc "realloc" (core func $realloc))
            (core func $lowered (canon lower (func $function) (memory $memory) (realloc $realloc)))
            (core module $start
                (import "from" "call" (func $call {core}))
                (import "libc" "memory" (memory 1))
                (func $start {call})
                (start $start))
            (core instance (instantiate $start
                (with "from" (instance (export "call" (func $lowered))))
                (with "libc" (instance $libc)))))"#
    );
    Ok(wat::parse_str(text)?)
}

/// Starts a host with a plugin that contains this probe.
async fn stage_of<'t>(trial: &'t mut Trial, interface: &str, ty: &InstanceType, probe: &[u8]) -> Result<&'t mut Stage> {
    let mut bytes = plugins::built("unruly")?.bytes()?;
    graft_importing(&mut bytes, interface, ty, probe)?;
    let stage = trial.start(Plan::new()?.bytes("grafted", &bytes, |entry| entry)?).await?;
    stage.during().await?;
    Ok(stage)
}

async fn huge_random(trial: &mut Trial) -> Result<String> {
    for (interface, function) in
        [("wasi:random/random@0.2.6", "get-random-bytes"), ("wasi:random/insecure@0.2.6", "get-insecure-random-bytes")]
    {
        let ty = || {
            let mut ty = InstanceType::new();
            ty.ty().defined_type().list(PrimitiveValType::U8);
            let signature = ty.ty();
            signature.function().params([("len", PrimitiveValType::U64)]).result(Some(ComponentValType::Type(0)));
            ty.export(function, wasm_encoder::ComponentTypeRef::Func(1));
            ty
        };
        let ask = |bytes: &str| {
            let call = format!("i64.const {bytes} i32.const 16 call $call");
            probe(function, "(param \"len\" u64) (result (list u8))", "(param i64 i32)", &call)
        };
        // A request within the limit is served.
        let stage = stage_of(trial, interface, &ty(), &ask("1024")?).await?;
        stage.logged("plugin running", "grafted").await?;
        for bytes in ["1099511627776", "-1"] {
            let stage = stage_of(trial, interface, &ty(), &ask(bytes)?).await?;
            let reason = stage.logged("plugin quarantined", "grafted").await?.get("reason");
            ensure!(reason.contains("exceeds limit"), "it was ended for something else: {reason}");
        }
    }
    Ok("1 KiB is given, 1 TiB ends it before the host has made any of it".to_owned())
}

async fn surroundings(trial: &mut Trial) -> Result<String> {
    let (server, datagrams) = (TcpListener::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    server.set_nonblocking(true)?;
    datagrams.set_nonblocking(true)?;
    let mut plan = Plan::new()?.named("intruder", "intruder", |entry| entry)?;
    plan.home.set_environment("CANARY", "canary-environment-2c9a10fe");
    let stage = trial.start(plan).await?;
    stage.order(&format!("see {}", server.local_addr()?.port())).await?;
    stage.during().await?;
    let found = stage.answer().await?;
    let nothing = "environment 0 arguments 0 folder none directories 0 input closed listen refused connect refused datagram refused name refused";
    ensure!(found == nothing, "it found: {found}");
    let came = server.accept().map(drop).or_else(|_| datagrams.recv(&mut [0]).map(drop));
    ensure!(came.is_err(), "something came from it");
    // Even a useless socket would be an open file of the host's.
    stage.order("sockets all").await?;
    stage.during().await?;
    let got = stage.answer().await?;
    ensure!(got == "got 0 sockets", "{got}");
    Ok("nothing there: no environment, arguments, folders, input, sockets or names".to_owned())
}

/// A millisecond, in nanoseconds.
const STEP: u64 = 1_000_000;

async fn clocks(trial: &mut Trial) -> Result<String> {
    let stage = trial.start(Plan::new()?.named("intruder", "intruder", |entry| entry)?).await?;
    stage.order("clocks all").await?;
    stage.during().await?;
    let found = stage.answer().await?;
    let numbers: Vec<u64> = found.split(' ').filter_map(|word| word.parse().ok()).collect();
    let [monotonic, wall, since] = numbers[..] else { bail!("it says: {found}") };
    ensure!(monotonic >= STEP && monotonic % STEP == 0, "a clock goes in steps of {monotonic} ns");
    ensure!(wall >= STEP && wall % STEP == 0, "the clock on the wall goes in steps of {wall} ns");
    // The machine's own clock would show how long the machine has been running.
    ensure!(since < 60_000 * STEP, "its clock began {since} ns ago, and it itself did not");
    Ok("no clock is finer than a millisecond, which tells nothing of caches; see SECURITY.md for what it may"
        .to_owned())
}

async fn exit(trial: &mut Trial) -> Result<String> {
    let mut ty = InstanceType::new();
    ty.ty().defined_type().result(None, None);
    ty.ty().function().params([("status", ComponentValType::Type(0))]).result(None);
    ty.export("exit", wasm_encoder::ComponentTypeRef::Func(1));
    let probe = probe("exit", "(param \"status\" (result))", "(param i32)", "i32.const 0 call $call")?;
    let stage = stage_of(trial, "wasi:cli/exit@0.2.6", &ty, &probe).await?;
    let reason = stage.logged("plugin quarantined", "grafted").await?.get("reason");
    ensure!(reason.contains("it called exit"), "it was ended for something else: {reason}");
    ensure!(stage.host.lines("plugin ended", &[("plugin", "echo")]).is_empty(), "it took the neighbour along");
    Ok(format!("ends that plugin alone: {reason}"))
}
