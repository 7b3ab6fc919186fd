//! WASI: what a language's runtime may ask for, and a plugin through it.

use anyhow::{Result, ensure};
use parlor_tests::component::graft_importing;
use parlor_tests::plugins;
use wasm_encoder::{ComponentValType, InstanceType, PrimitiveValType};

use crate::case::{Case, case};
use crate::stage::{Plan, Stage};
use crate::trial::{Absent, Trial};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(46, "huge random requests", huge_random),
        case!(47, "clocks as side channel", clocks),
        case!(48, "exit", exit),
    ]
}

/// A component that calls the one function of its import when it starts, with its memory and room for what comes back.
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

/// The host with a plugin in it that does this when it starts.
async fn house<'t>(trial: &'t mut Trial, interface: &str, ty: &InstanceType, probe: &[u8]) -> Result<&'t mut Stage> {
    let mut bytes = plugins::built("unruly")?.bytes()?;
    graft_importing(&mut bytes, interface, ty, probe)?;
    let stage = trial.start(Plan::new()?.bytes("grafted", &bytes, |entry| entry)?).await?;
    stage.during().await?;
    Ok(stage)
}

async fn huge_random(trial: &mut Trial) -> Result<String> {
    let ty = || {
        let mut ty = InstanceType::new();
        ty.ty().defined_type().list(PrimitiveValType::U8);
        let function = ty.ty();
        function.function().params([("len", PrimitiveValType::U64)]).result(Some(ComponentValType::Type(0)));
        ty.export("get-random-bytes", wasm_encoder::ComponentTypeRef::Func(1));
        ty
    };
    let ask = |bytes: &str| {
        let call = format!("i64.const {bytes} i32.const 16 call $call");
        probe("get-random-bytes", "(param \"len\" u64) (result (list u8))", "(param i64 i32)", &call)
    };
    let name = "wasi:random/random@0.2.6";
    // What is no more than it may carry it gets.
    let stage = house(trial, name, &ty(), &ask("1024")?).await?;
    stage.logged("plugin running", "grafted").await?;
    for bytes in ["1099511627776", "-1"] {
        let stage = house(trial, name, &ty(), &ask(bytes)?).await?;
        stage.logged("plugin quarantined", "grafted").await?;
    }
    Ok("1 KiB is given, 1 TiB ends it before the host has made any of it".to_owned())
}

async fn clocks(_: &mut Trial) -> Result<String> {
    Err(Absent("the host promises nothing about side channels; see SECURITY.md").into())
}

async fn exit(trial: &mut Trial) -> Result<String> {
    let mut ty = InstanceType::new();
    ty.ty().defined_type().result(None, None);
    ty.ty().function().params([("status", ComponentValType::Type(0))]).result(None);
    ty.export("exit", wasm_encoder::ComponentTypeRef::Func(1));
    let probe = probe("exit", "(param \"status\" (result))", "(param i32)", "i32.const 0 call $call")?;
    let stage = house(trial, "wasi:cli/exit@0.2.6", &ty, &probe).await?;
    let reason = stage.logged("plugin quarantined", "grafted").await?.get("reason");
    ensure!(stage.host.lines("plugin ended", &[("plugin", "echo")]).is_empty(), "it took the neighbour along");
    Ok(format!("ends that plugin alone: {reason}"))
}
