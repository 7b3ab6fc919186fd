//! Attacks on loading: files that are not plugins, or that pretend to be others.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result, anyhow, ensure};
use parlor_tests::component::{graft, heavy_module, with_manifest, with_text};
use parlor_tests::plugins;
use parlor_tests::policy::Entry;

use crate::case::{Case, case};
use crate::stage::{Plan, SOON, Stage};
use crate::trial::Trial;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(21, "malformed wasm", malformed),
        case!(22, "precompiled code handed in as wasm", precompiled),
        case!(23, "one giant function", giant_function),
        case!(24, "50,000 functions or types", many_functions),
        case!(25, "deep component nesting", nesting),
        case!(26, "a compressed bomb", compressed),
        case!(27, "unknown imports", unknown_imports),
        case!(28, "permissions that differ from the imports", undeclared),
        case!(29, "a lie about the API version", version),
        case!(30, "the file swapped after approval", swapped),
        case!(31, "names like `../x`, twins, reserved names", names),
        case!(32, "symlinks", symlinks),
        case!(33, "a poisoned compile cache", cache),
    ]
}

impl Stage {
    /// Gives the running host a file with these bytes, which it must refuse for this reason.
    async fn refuses(&mut self, id: &str, bytes: &[u8], reason: &str) -> Result<()> {
        let entry = self.home.install_bytes(id, bytes)?;
        self.refuses_entry(id, entry, reason).await
    }

    async fn refuses_entry(&mut self, id: &str, entry: Entry, reason: &str) -> Result<()> {
        let with = self.policy.clone().with(id, entry);
        self.home.set_policy(&with)?;
        self.host.reload()?;
        // Runs while the host examines the file.
        self.during().await?;
        let got = self.host.wait_count("plugin refused", &[("plugin", id)], 1, SOON).await?.get("reason");
        ensure!(!got.is_empty() && got.contains(reason), "{id} has to be refused for {reason:?}, but: {got:?}");
        ensure!(self.host.lines("plugin running", &[("plugin", id)]).is_empty(), "{id} ran");
        let without = self.policy.clone();
        self.reload(without).await
    }
}

async fn malformed(trial: &mut Trial) -> Result<String> {
    let stage = trial.start(Plan::new()?).await?;
    let good = plugins::built("unruly")?.bytes()?;
    stage.refuses("cut", &good[..good.len() / 2], "malformed at byte").await?;
    // With some bits flipped, a file is either refused or an ordinary plugin.
    let mut refused = 0;
    for round in 0_u64..40 {
        let mut bytes = good.clone();
        for step in 0..8 {
            let at = (round * 7_919 + step * 104_729).wrapping_mul(2_654_435_761) % u64::try_from(bytes.len())?;
            bytes[usize::try_from(at)?] ^= 1 << (step % 8);
        }
        let id = format!("bits{round}");
        let entry = stage.home.install_bytes(&id, &bytes)?;
        let with = stage.policy.clone().with(&id, entry);
        let without = stage.policy.clone();
        stage.reload(with).await?;
        refused += stage.host.lines("plugin refused", &[("plugin", &id)]).len();
        stage.reload(without).await?;
    }
    ensure!(refused >= 20, "only {refused} of 40 broken files were refused");
    stage.during().await?;
    Ok(format!("refused: cut short, and {refused} of 40 with bits turned over; the others ran as plugins do"))
}

async fn precompiled(trial: &mut Trial) -> Result<String> {
    let stage = trial.start(Plan::new()?).await?;
    let engine = wasmtime::Engine::default();
    let good = plugins::built("echo")?.bytes()?;
    let why = "precompiled machine code, which is never trusted";
    let component = engine.precompile_component(&good).map_err(|error| anyhow!("{error:#}"))?;
    let module = engine.precompile_module(b"\0asm\x01\0\0\0").map_err(|error| anyhow!("{error:#}"))?;
    stage.refuses("compiled", &component, why).await?;
    stage.refuses("module", &module, why).await?;
    stage.refuses("elf", b"\x7fELF\x02\x01\x01", why).await?;
    Ok("refused, before anything of it was read".to_owned())
}

/// Adds a module in the text format to the otherwise passive plugin.
fn with_module(text: &str) -> Result<Vec<u8>> {
    let mut bytes = plugins::built("unruly")?.bytes()?;
    graft(&mut bytes, &wat::parse_str(text)?)?;
    Ok(bytes)
}

async fn giant_function(trial: &mut Trial) -> Result<String> {
    let stage = trial.start(Plan::new()?).await?;
    let giant = |bytes: usize| with_module(&format!("(module (func {}))", "i32.const 1 drop ".repeat(bytes / 3)));
    stage.refuses("giant", &giant(1_200_000)?, "bytes of one function").await?;
    // A module within the limits is compiled along with the others.
    let entry = stage.home.install_bytes("large", &giant(900_000)?)?;
    let policy = stage.policy.clone().with("large", entry);
    stage.home.set_policy(&policy)?;
    stage.host.reload()?;
    stage.during().await?;
    stage.host.wait_count("plugin running", &[("plugin", "large")], 1, 4 * SOON).await?;
    let without = stage.policy.clone();
    stage.reload(without).await?;
    // Eight modules at once that keep every core busy for seconds are compiled as well.
    let mut heavy = plugins::built("unruly")?.bytes()?;
    graft(&mut heavy, &heavy_module(8, 1_000_000))?;
    let entry = stage.home.install_bytes("heavy", &heavy)?;
    let policy = stage.policy.clone().with("heavy", entry);
    stage.home.set_policy(&policy)?;
    stage.host.reload()?;
    stage.during().await?;
    stage.host.wait_count("plugin running", &[("plugin", "heavy")], 1, 4 * SOON).await?;
    let without = stage.policy.clone();
    stage.reload(without).await?;
    Ok("refused past 1 MiB; below it they compile in a process of their own, beside the others".to_owned())
}

async fn many_functions(trial: &mut Trial) -> Result<String> {
    let stage = trial.start(Plan::new()?).await?;
    let functions = format!("(module {})", "(func)".repeat(50_000));
    stage.refuses("functions", &with_module(&functions)?, "more functions than the 40000").await?;
    let types: String = (0..50_000).map(|_| "(type (func (param i32 i64)))").collect();
    stage.refuses("types", &with_module(&format!("(module {types})"))?, "more types than the 20000").await?;
    let wide = format!("(module (func (param {})))", "i32 ".repeat(900));
    stage.refuses("wide", &with_module(&wide)?, "parameters and results of one function").await?;
    Ok("refused before anything was compiled".to_owned())
}

async fn nesting(trial: &mut Trial) -> Result<String> {
    let stage = trial.start(Plan::new()?).await?;
    for (id, depth) in [("deep", 20), ("deeper", 2_000)] {
        let nested = nested(depth);
        stage.refuses(id, &nested, "levels of nested components").await?;
    }
    stage.refuses("types", &nested_types(20_000), "nested types").await?;
    // With a resource in it, each instance has a separate type, which is as large as all of its exports.
    let copies = "(instance (instantiate $c))".repeat(900);
    let instances =
        format!("(component (component $c (type $r (resource (rep i32))) (export \"r\" (type $r))) {copies})");
    stage.refuses("instances", &wat::parse_str(instances)?, "instances of components").await?;
    Ok("refused, without recursion".to_owned())
}

/// Nests components this deep. The bytes are written by hand, since text-format tools do not nest that deep either.
fn nested(depth: usize) -> Vec<u8> {
    let mut inner = b"\0asm\x0d\0\x01\0".to_vec();
    for _ in 1..depth {
        let mut outer = b"\0asm\x0d\0\x01\0\x04".to_vec();
        put_length(&mut outer, inner.len());
        outer.append(&mut inner);
        inner = outer;
    }
    inner
}

/// Nests component types this deep.
fn nested_types(depth: usize) -> Vec<u8> {
    let mut section = vec![1];
    section.extend([0x41, 1, 1].repeat(depth));
    section.extend([0x41, 0]);
    let mut component = b"\0asm\x0d\0\x01\0\x07".to_vec();
    put_length(&mut component, section.len());
    component.append(&mut section);
    component
}

fn put_length(out: &mut Vec<u8>, mut length: usize) {
    while length >= 0x80 {
        out.push(u8::try_from(length & 0x7f).expect("seven bits") | 0x80);
        length >>= 7;
    }
    out.push(u8::try_from(length).expect("seven bits"));
}

async fn compressed(trial: &mut Trial) -> Result<String> {
    let stage = trial.start(Plan::new()?).await?;
    stage.refuses("gzip", b"\x1f\x8b\x08\0\0\0\0\0\0\x03", "not WebAssembly").await?;
    stage.refuses("zstd", b"\x28\xb5\x2f\xfd\x04\0", "not WebAssembly").await?;
    stage.refuses("zip", b"PK\x03\x04", "not WebAssembly").await?;
    // Run-length encoding of WebAssembly: a few bytes declare a huge number of locals.
    let locals = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x0a\x0a\x01\x08\x01\xff\xff\xff\xff\x0f\x7f\x0b";
    let mut bytes = plugins::built("unruly")?.bytes()?;
    graft(&mut bytes, locals)?;
    stage.refuses("locals", &bytes, "malformed").await?;
    let sparse = vec![0_u8; 65 << 20];
    stage.refuses("huge", &sparse, "a plugin may have at most 67108864").await?;
    Ok("refused: nothing is unpacked".to_owned())
}

async fn unknown_imports(trial: &mut Trial) -> Result<String> {
    let stage = trial.start(Plan::new()?).await?;
    let good = plugins::built("unruly")?.bytes()?;
    let foreign = with_text(&good, "parlor:plugin/promises@0.1.0", "parlor:plugin/sockets7@0.1.0");
    stage.refuses("foreign", &foreign, "which is not in the contract").await?;
    let other = with_text(&good, "parlor:plugin/promises@", "wasi_x:plugin/promises@");
    stage.refuses("other", &other, "malformed").await?;
    let other = with_text(&good, "parlor:plugin/promises@", "parlor:plugim/promises@");
    stage.refuses("alike", &other, "nothing but parlor:plugin and an empty WASI").await?;
    Ok("refused, each import named".to_owned())
}

async fn undeclared(trial: &mut Trial) -> Result<String> {
    let stage = trial.start(Plan::new()?).await?;
    let sly = with_manifest(&plugins::built("unruly")?.bytes()?, |manifest| {
        let lines = manifest.lines().filter(|line| !line.starts_with("\"messages.send\""));
        lines.collect::<Vec<_>>().join("\n")
    })?;
    let entry = stage.home.install_bytes("sly", &sly)?.grant("messages.read", &["*"]);
    stage.refuses_entry("sly", entry, "calls what its manifest does not ask for").await?;
    // A grant for a permission that the manifest does not name does not help either.
    let entry = stage.home.install_bytes("sly2", &sly)?.grant("messages.send", &["*"]);
    stage.refuses_entry("sly2", entry, "calls what its manifest does not ask for").await?;
    Ok("refused, the call named".to_owned())
}

async fn version(trial: &mut Trial) -> Result<String> {
    let stage = trial.start(Plan::new()?).await?;
    let good = plugins::built("unruly")?.bytes()?;
    let declared = with_manifest(&good, |manifest| manifest.replace("api = \"0.1.0\"", "api = \"0.9.0\""))?;
    stage.refuses("declared", &declared, "version 0.9.0 of the contract, this host serves 0.1.x").await?;
    let imported = with_text(&good, "@0.1.0", "@0.9.0");
    stage.refuses("imported", &imported, "version 0.9.0 of the contract, this host serves 0.1.x").await?;
    Ok("refused with both numbers".to_owned())
}

async fn swapped(trial: &mut Trial) -> Result<String> {
    let stage = trial.start(Plan::new()?).await?;
    let entry = stage.home.install("swapped", &plugins::built("snoop")?)?;
    stage.home.replace("swapped", &plugins::built("unruly")?.bytes()?)?;
    stage.refuses_entry("swapped", entry, "the file is not the one that was approved").await?;
    // The same change to the file of a running plugin stops it when the policy is read next.
    let entry = stage.home.install("later", &plugins::built("unruly")?)?;
    let policy = stage.policy.clone().with("later", entry);
    let without = stage.policy.clone();
    stage.reload(policy.clone()).await?;
    stage.host.wait_count("plugin running", &[("plugin", "later")], 1, SOON).await?;
    stage.home.replace("later", &plugins::built("snoop")?.bytes()?)?;
    stage.reload(policy).await?;
    let reason = stage.host.wait_count("plugin refused", &[("plugin", "later")], 1, SOON).await?.get("reason");
    ensure!(reason.contains("the file is not the one that was approved"), "{reason}");
    stage.reload(without).await?;
    Ok("refused; one that ran does not go on".to_owned())
}

async fn names(trial: &mut Trial) -> Result<String> {
    let stage = trial.start(Plan::new()?).await?;
    let good = stage.home.install("x", &plugins::built("unruly")?)?;
    let ids = [
        "../x",
        "/x",
        "x/y",
        "Echo",
        "ECHO",
        "echo\u{301}",
        "\u{435}cho",
        "echo ",
        ".x",
        "-x",
        "",
        "all",
        "host",
        "parlor",
        "x\n",
        "x\u{202e}",
    ];
    for id in ids {
        let refused = stage.home.write("plugins.toml", &stage.policy.clone().with(id, good.clone()).to_toml()?)?;
        ensure!(refused.exists());
        let before = stage.errors();
        stage.host.reload()?;
        stage.wait_errors(before + 1).await?;
    }
    let twin = stage.home.run(&["plugin", "add", "plugins/x.wasm", "--yes", "--grant-all", "--id", "ech0"]).await?;
    stage.home.set_policy(&stage.policy)?;
    ensure!(twin.code != Some(0) || twin.stderr.contains("echo") || twin.stdout.contains("echo"), "{twin:?}");
    stage.during().await?;
    let policy = stage.policy.clone();
    stage.reload(policy).await?;
    Ok(format!("{} ids refused, and nothing else changed", ids.len()))
}

async fn symlinks(trial: &mut Trial) -> Result<String> {
    let stage = trial.start(Plan::new()?).await?;
    // The link's target is not a plugin: its bytes are examined, and never shown.
    let secret = stage.home.password_file("main");
    std::os::unix::fs::symlink(&secret, stage.home.path().join("plugins/link.wasm"))?;
    let digest = plugins::digest(&secret)?;
    let entry = Entry::new("plugins/link.wasm", digest);
    stage.refuses_entry("link", entry, "not WebAssembly").await?;
    // The link's target is changed after approval.
    let good = stage.home.install("real", &plugins::built("unruly")?)?;
    std::os::unix::fs::symlink("real.wasm", stage.home.path().join("plugins/moving.wasm"))?;
    let entry = Entry { source: "plugins/moving.wasm".to_owned(), ..good };
    std::fs::remove_file(stage.home.path().join("plugins/moving.wasm"))?;
    std::os::unix::fs::symlink("/dev/zero", stage.home.path().join("plugins/moving.wasm"))?;
    stage.refuses_entry("moving", entry, "it is not a file").await?;
    for line in stage.host.log().all() {
        ensure!(!line.contains(crate::stage::PASSWORD.as_str()), "the log shows what a link leads to: {line}");
    }
    Ok("refused; devices are not read, and nothing is shown of them".to_owned())
}

async fn cache(trial: &mut Trial) -> Result<String> {
    let stage = trial.start(Plan::new()?.unruly(|entry| entry)?).await?;
    let folder = stage.home.path().join("data/compiled");
    let entry =
        |name: &str| -> Result<PathBuf> { Ok(folder.join(plugins::built(name)?.digest.trim_start_matches("sha256:"))) };
    let (target, echo) = (entry("unruly")?, std::fs::read(entry("echo")?)?);
    let good = std::fs::read(&target).context("it was not kept")?;
    let foreign = wasmtime::Engine::default()
        .precompile_component(&plugins::built("snoop")?.bytes()?)
        .map_err(|error| anyhow!("{error:#}"))?;
    // This is another plugin's code under this one's name and fingerprint, authenticated with a key that is not this
    // host's.
    let trailer = &good[good.len() - 96..good.len() - 32];
    let mut forged = [foreign.as_slice(), trailer].concat();
    let tag = ring::hmac::sign(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &[0; 32]), &forged);
    forged.extend(tag.as_ref());
    let turned = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        bytes
    };
    let mut poisons = vec![
        ("a bit of its code turned over", turned(good.len() / 2)),
        ("the end of its code", turned(good.len() - 97)),
        ("its digest", turned(good.len() - 90)),
        ("its tag", turned(good.len() - 1)),
        ("cut short", good[..good.len() / 2].to_vec()),
        ("empty", Vec::new()),
        ("another plugin's entry", echo),
        ("code without a tag", foreign),
        ("code with a forged tag", forged),
    ];
    let count = poisons.len() + 2;
    while let Some((what, poison)) = poisons.pop() {
        std::fs::write(&target, poison)?;
        compiles_anew(stage, 1).await.context(what)?;
    }
    std::fs::remove_file(&target)?;
    std::os::unix::fs::symlink("/dev/zero", &target)?;
    compiles_anew(stage, 1).await.context("a link to what has no end")?;
    // A key that others could have read proves nothing.
    let key = stage.home.path().join("data/compiled.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644))?;
    compiles_anew(stage, 2).await.context("a key that others could read")?;
    let kept = std::fs::metadata(&key)?.permissions().mode() & 0o777;
    ensure!(kept == 0o600, "the key has mode {kept:o}");
    // Unmodified entries are used.
    stage.kill_and_start().await?;
    let compiled = stage.host.lines("plugin compiled", &[]).len();
    ensure!(compiled == 0, "{compiled} compiled, though all of it was there");
    stage.during().await?;
    Ok(format!("{count} entries and keys not believed: dropped, and compiled anew"))
}

/// Checks that the next start trusts none of the spoiled entries, and runs the approved plugins.
async fn compiles_anew(stage: &mut Stage, plugins: usize) -> Result<()> {
    stage.kill_and_start().await?;
    stage.order("do ping").await?;
    ensure!(stage.answer().await? == "pong", "something else runs");
    let compiled = stage.host.lines("plugin compiled", &[]).len();
    ensure!(compiled == plugins, "{compiled} compiled, and {plugins} had to be");
    Ok(())
}
