//! Compiling untrusted code: in a process that has few resources and ends with the host, and only once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use parlor::host::{AddError, Host, PluginStatus};
use parlor_base::id::PluginId;
use parlor_base::quantity::Bytes;
use parlor_config::{Config, Overrides};
use parlor_plugins::policy::{Entry as Decided, Policy as Decisions};
use parlor_runtime::account::Connection;
use parlor_runtime::compiler::{Bounds, Compiler};
use parlor_runtime::supervisor::State;
use parlor_runtime::threads::Threads;
use parlor_runtime::traces::Traces;
use parlor_tests::component::{graft, heavy_module, with_manifest};
use parlor_tests::host::{Home, Server};
use parlor_tests::plugins::{built, program};
use parlor_tests::policy::{Entry, Policy};
use parlor_tests::process::{Signal, children, exists};
use tokio::time::{Instant, timeout};

use crate::test_host::prosody;

const SOON: Duration = Duration::from_secs(30);

/// Creates a folder for a host that does not log in.
fn home() -> Home {
    let home = Home::new().unwrap();
    let text = "[settings]\nauto_login = false\n[account.main]\njid = \"bot@example.org\"\npassword_env = \"NONE\"\n";
    home.write("parlor.toml", text).unwrap();
    home
}

fn unruly(home: &Home) -> Entry {
    home.install("unruly", &built("unruly").unwrap()).unwrap().grant("messages.read", &["*"])
}

/// A plugin with this many functions of almost a MiB each, which take long to compile.
fn heavy(home: &Home, functions: u32) -> Entry {
    let mut bytes = built("unruly").unwrap().bytes().unwrap();
    graft(&mut bytes, &heavy_module(functions, 1_000_000)).unwrap();
    home.install_bytes("heavy", &bytes).unwrap()
}

/// Returns the command line of a process.
fn arguments(process: u32) -> String {
    fs::read(format!("/proc/{process}/cmdline"))
        .map_or_else(|_| String::new(), |line| String::from_utf8_lossy(&line).replace('\0', " "))
}

/// Waits for a compiler process of this parent with this argument.
async fn compiler_of(parent: u32, argument: &str) -> u32 {
    let deadline = Instant::now() + SOON;
    loop {
        let found = children(parent).into_iter().find(|child| arguments(*child).contains(argument));
        if let Some(found) = found {
            return found;
        }
        assert!(Instant::now() < deadline, "no compiler was started");
        tokio::time::sleep(crate::test_host::A_MOMENT).await;
    }
}

async fn gone(process: u32) {
    let deadline = Instant::now() + SOON;
    while exists(process) {
        assert!(Instant::now() < deadline, "{process} goes on: {}", arguments(process));
        tokio::time::sleep(crate::test_host::A_MOMENT).await;
    }
}

#[tokio::test]
async fn a_second_start_compiles_nothing() {
    let home = home();
    home.set_policy(&Policy::default().with("unruly", unruly(&home))).unwrap();
    let run = async |compiled: usize| {
        let mut host = home.start_with(&["--log", "debug"]).unwrap();
        host.wait_count("plugin running", &[("plugin", "unruly")], 1, SOON).await.unwrap();
        let found = host.lines("plugin found in the compile cache", &[("plugin", "unruly")]).len();
        assert_eq!(host.lines("plugin compiled", &[]).len(), compiled, "{}", host.log().tail());
        assert_eq!(found + compiled, 1, "{}", host.log().tail());
        host.stop(SOON).await.unwrap();
    };
    run(1).await;
    run(0).await;
    // An attacker cannot bring code in by a known key or by changed bytes.
    let data = home.path().join("data");
    let entries: Vec<PathBuf> = fs::read_dir(data.join("compiled")).unwrap().map(|one| one.unwrap().path()).collect();
    assert_eq!(entries.len(), 1, "{entries:?}");
    let mut bytes = fs::read(&entries[0]).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&entries[0], bytes).unwrap();
    run(1).await;
    run(0).await;
    fs::write(data.join("compiled.key"), [7; 32]).unwrap();
    run(1).await;
    // Entries of removed plugins are deleted.
    home.set_policy(&Policy::default()).unwrap();
    let mut host = home.start().unwrap();
    let deadline = Instant::now() + SOON;
    while fs::read_dir(data.join("compiled")).unwrap().count() > 0 {
        assert!(Instant::now() < deadline, "it is kept for ever");
        tokio::time::sleep(crate::test_host::A_MOMENT).await;
    }
    host.stop(SOON).await.unwrap();
}

#[tokio::test]
async fn a_compiler_has_nothing_of_the_host_and_ends_with_it() {
    let mut home = home();
    home.set_environment("NONE", "canary-password");
    home.set_policy(&Policy::default().with("heavy", heavy(&home, 40))).unwrap();
    let mut host = home.start().unwrap();
    // A message explains why the account is not connected yet.
    host.wait("compiling plugin, which may take a while", &[("plugin", "heavy")], SOON).await.unwrap();
    let compiler = compiler_of(host.id(), "compile-component").await;
    let of = |what: &str| format!("/proc/{compiler}/{what}");
    let limit = |limits: &str, name: &str| {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
        line[name.len()..].split_whitespace().next().unwrap().to_owned()
    };
    let deadline = Instant::now() + SOON;
    let limits = loop {
        let limits = fs::read_to_string(of("limits")).unwrap();
        if limit(&limits, "Max open files") == "0" {
            break limits;
        }
        assert!(Instant::now() < deadline, "it keeps what it has: {limits}");
        tokio::time::sleep(crate::test_host::A_MOMENT).await;
    };
    assert_eq!(limit(&limits, "Max address space"), (3_u64 << 30).to_string());
    assert_eq!(limit(&limits, "Max cpu time"), "120");
    assert_eq!(limit(&limits, "Max file size"), "0");
    assert_eq!(limit(&limits, "Max core file size"), "0");
    // The filter of system calls is installed last.
    let status = loop {
        let status = fs::read_to_string(of("status")).unwrap();
        if status.contains("Seccomp:\t2\n") {
            break status;
        }
        assert!(Instant::now() < deadline, "its system calls are not filtered: {status}");
        tokio::time::sleep(crate::test_host::A_MOMENT).await;
    };
    assert!(status.contains("NoNewPrivs:\t1\n"), "{status}");
    let environment = fs::read_to_string(of("environ")).unwrap();
    assert!(environment.starts_with("RAYON_NUM_THREADS=") && environment.matches('=').count() == 1, "{environment}");
    let files: BTreeSet<_> =
        fs::read_dir(of("fd")).unwrap().map(|one| one.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(files, BTreeSet::from(["0", "1", "2"].map(str::to_owned)));
    assert_eq!(fs::read_link(of("cwd")).unwrap(), PathBuf::from("/"));
    host.signal(Signal::Kill).unwrap();
    host.ended(SOON).await.unwrap();
    gone(compiler).await;
}

/// Runs the escape attempts of a compiler process in its sandbox, and returns each with the system's error.
fn tried() -> BTreeMap<String, Option<i32>> {
    let bounds = Bounds::default();
    let ended = Command::new(program("parlor").unwrap())
        .args(["compile-component", "--look"])
        .arg(format!("--memory={}", bounds.memory.0))
        .arg(format!("--cpu={}", bounds.cpu.as_secs()))
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let mut said = serde_json::Deserializer::from_slice(&ended.stdout).into_iter::<serde_json::Value>();
    let (found, last) = (said.next(), said.next());
    let found = found.and_then(Result::ok).unwrap_or_else(|| panic!("{ended:?}"));
    for layer in found["layers"].as_array().unwrap() {
        let is_there = layer["missing"].is_null();
        // Kernels may have been built without it.
        assert!(is_there || layer["name"] == "landlock", "{layer}");
    }
    let tried: Vec<(String, Option<i32>)> = serde_json::from_value(found["tried"].clone()).unwrap();
    // A process that was replaced by another program does not report.
    let last = last.map(|last| serde_json::from_value(last.unwrap()).unwrap());
    tried.into_iter().chain(last).collect()
}

/// Code that has taken over a compiler can use only its pipes.
#[test]
fn a_compiler_that_is_taken_over_reaches_no_file_no_socket_and_no_program() {
    const ACCESS: i32 = 13;
    const PERMISSION: i32 = 1;
    let tried = tried();
    for (what, expected) in [
        // Only Landlock, if the kernel has it.
        ("landlock: read a file", ACCESS),
        ("landlock: write a file", ACCESS),
        ("landlock: run a program", ACCESS),
        ("read a file", PERMISSION),
        ("write a file", PERMISSION),
        ("open a socket", PERMISSION),
        ("start a process", PERMISSION),
        ("become a program", PERMISSION),
    ] {
        match tried.get(what) {
            Some(found) => assert_eq!(*found, Some(expected), "{what}"),
            None => assert!(what.starts_with("landlock: "), "nobody tried to {what}"),
        }
    }
}

/// Starts a host in this process that compiles with this program, within these bounds.
async fn embedding(home: &Home, program: PathBuf, bounds: Bounds) -> Host {
    let overrides = Overrides { environment: |_| None, ..Overrides::default() };
    let config = Config::load(&home.path().join("parlor.toml"), &overrides).unwrap();
    Host::start(config, Compiler::Process { program, bounds, traces: Traces::Functions }, Threads::of_the_caller())
        .await
        .unwrap()
}

async fn state(host: &Host, id: &str) -> Option<State> {
    host.status().await.into_iter().find(|one| one.id.as_str() == id).map(|one| one.state)
}

/// Waits for a plugin's state, while the host's background work runs.
async fn becomes(host: &Host, id: &str, wanted: State) {
    let looks = async {
        while state(host, id).await.as_ref() != Some(&wanted) {
            tokio::time::sleep(crate::test_host::A_MOMENT).await;
        }
    };
    let looked = async {
        tokio::select! {
            never = host.tend() => match never {},
            () = looks => {}
        }
    };
    let is_in_time = timeout(4 * SOON, looked).await.is_ok();
    assert!(is_in_time, "{id}: {:?}", state(host, id).await);
}

/// The compiler does not start before [`Host::tend`] is polled.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_connected_while_its_plugins_are_still_compiled() {
    let mut home = Home::new().unwrap();
    let account = prosody().await.fresh_account("early").unwrap();
    let server = Server::StartTls(prosody().await.ports().starttls, prosody().await.certificate());
    home.add_account("main", &account, server).unwrap();
    home.set_policy(&Policy::default().with("unruly", unruly(&home))).unwrap();
    let config = || {
        let overrides = Overrides { environment: |_| None, ..Overrides::default() };
        Config::load(&home.path().join("parlor.toml"), &overrides).unwrap()
    };
    let host = timeout(
        SOON,
        Host::start_at_once(config(), Compiler::ThisProcess { optimized: false }, Threads::of_the_caller()),
    )
    .await
    .unwrap()
    .unwrap();
    let mut connection = host.accounts()[0].connection();
    let connected = connection.wait_for(|now| matches!(now, Connection::Connected(_)));
    timeout(SOON, connected).await.unwrap().unwrap();
    assert_eq!(state(&host, "unruly").await, Some(State::Compiling));
    becomes(&host, "unruly", State::Running).await;
    host.stop().await;
    // A plugin that is in the cache starts before the log-in, as usual.
    let host = Host::start_at_once(config(), Compiler::ThisProcess { optimized: false }, Threads::of_the_caller())
        .await
        .unwrap();
    host.settled().await;
    assert_eq!(state(&host, "unruly").await, Some(State::Running));
    host.stop().await;
}

/// A plugin waits for its dependency, whichever of the two is compiled first.
#[tokio::test(flavor = "multi_thread")]
async fn what_depends_on_a_plugin_that_is_still_compiled_waits_for_it() {
    let home = home();
    let bytes = built("echo").unwrap().bytes().unwrap();
    let needs = |manifest: &str| format!("{manifest}\n[dependencies]\nunruly = {{ version = \"*\" }}\n");
    let needing = with_manifest(&bytes, needs).unwrap();
    let entry = home.install_bytes("echo", &needing).unwrap().grant("rooms.send", &["*"]);
    let entry = entry.grant("messages.read", &["*"]).grant("messages.send", &["*"]);
    let policy = Policy::default().with("echo", entry);
    let overrides = Overrides { environment: |_| None, ..Overrides::default() };
    let config = || Config::load(&home.path().join("parlor.toml"), &overrides).unwrap();
    home.set_policy(&policy).unwrap();
    Host::start(config(), Compiler::ThisProcess { optimized: false }, Threads::of_the_caller())
        .await
        .unwrap()
        .stop()
        .await;
    home.set_policy(&policy.with("unruly", unruly(&home))).unwrap();
    let host = Host::start_at_once(config(), Compiler::ThisProcess { optimized: false }, Threads::of_the_caller())
        .await
        .unwrap();
    for late in ["echo", "unruly"] {
        assert_eq!(state(&host, late).await, Some(State::Compiling), "{late}");
    }
    becomes(&host, "echo", State::Running).await;
    assert_eq!(state(&host, "unruly").await, Some(State::Running));
    host.stop().await;
}

/// The owner's decision takes effect although the plugin is being compiled.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_is_removed_while_it_waits_for_the_compiler_does_not_begin() {
    let home = home();
    home.set_policy(&Policy::default().with("unruly", unruly(&home))).unwrap();
    let overrides = Overrides { environment: |_| None, ..Overrides::default() };
    let config = Config::load(&home.path().join("parlor.toml"), &overrides).unwrap();
    let host = Host::start_at_once(config, Compiler::ThisProcess { optimized: false }, Threads::of_the_caller())
        .await
        .unwrap();
    assert_eq!(state(&host, "unruly").await, Some(State::Compiling));
    assert!(host.remove_plugin(&"unruly".parse().unwrap()).await);
    home.set_policy(&Policy::default()).unwrap();
    host.reload().await.unwrap();
    assert_eq!(state(&host, "unruly").await, None);
    host.stop().await;
}

fn decided(home: &Home, id: &str, entry: Entry) -> (PluginId, Decided) {
    let text = Policy::default().with(id, entry).to_toml().unwrap();
    Decisions::parse(&text, home.path()).unwrap().plugins.pop_first().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_too_much_to_compile_is_refused_with_what_was_too_much() {
    let usual = Bounds::default();
    for (bounds, reason) in [
        (Bounds { memory: Bytes::mib(96), ..usual }, "the compiler, which may use 96 MiB of memory, ended with"),
        (
            Bounds { cpu: Duration::from_secs(1), ..usual },
            "compiling it took more than 1 s, which no honest file takes",
        ),
        (Bounds { time: Duration::from_millis(100), ..usual }, "compiling it was not done within 100 ms"),
    ] {
        let home = home();
        let host = embedding(&home, program("parlor").unwrap(), bounds).await;
        let (id, entry) = decided(&home, "heavy", heavy(&home, 40));
        let refused = timeout(4 * SOON, host.add_plugin(id, entry)).await.unwrap().unwrap_err();
        assert!(matches!(&refused, AddError::Refused { reason: got, .. } if got.contains(reason)), "{refused}");
        host.stop().await;
    }
    // An honest compiler stays within these bounds.
    let home = home();
    let host = embedding(&home, program("parlor").unwrap(), usual).await;
    let (id, entry) = decided(&home, "unruly", unruly(&home));
    timeout(SOON, host.add_plugin(id, entry)).await.unwrap().unwrap();
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compiler_whose_result_nobody_waits_for_ends() {
    let home = home();
    // The compiler is recognized among others by this unusual number.
    let bounds = Bounds { memory: Bytes((3 << 30) + 4096), ..Bounds::default() };
    let host = embedding(&home, program("parlor").unwrap(), bounds).await;
    let (id, entry) = decided(&home, "heavy", heavy(&home, 40));
    let argument = format!("--memory={}", bounds.memory.0);
    let compiler = tokio::select! {
        done = host.add_plugin(id, entry) => panic!("compiled: {done:?}"),
        compiler = compiler_of(std::process::id(), &argument) => compiler,
    };
    gone(compiler).await;
    host.stop().await;
}

/// Reads the policy again, and returns the plugin's status at the moment when its compiler runs.
async fn while_it_compiles(home: &Home, host: &Host, bounds: Bounds, policy: &Policy) -> PluginStatus {
    home.set_policy(policy).unwrap();
    let argument = format!("--memory={}", bounds.memory.0);
    let shown = async {
        compiler_of(std::process::id(), &argument).await;
        host.status().await.remove(0)
    };
    tokio::select! {
        done = host.reload() => panic!("compiled: {done:?}"),
        shown = shown => shown,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_not_shown_while_the_repaired_plugin_is_compiled() {
    let home = home();
    let policy = Policy::default().with("heavy", heavy(&home, 40));
    let bytes = fs::read(home.path().join("plugins/heavy.wasm")).unwrap();
    home.replace("heavy", b"something else").unwrap();
    home.set_policy(&policy).unwrap();
    // Its compiler is recognized among others by this unusual number.
    let bounds = Bounds { memory: Bytes((3 << 30) + 8192), ..Bounds::default() };
    let host = embedding(&home, program("parlor").unwrap(), bounds).await;
    assert!(matches!(state(&host, "heavy").await, Some(State::Refused(_))));
    home.replace("heavy", &bytes).unwrap();
    assert_eq!(while_it_compiles(&home, &host, bounds, &policy).await.state, State::Compiling);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn why_a_version_did_not_start_is_not_shown_while_the_next_one_is_compiled() {
    let home = home();
    let version = |entry: Entry| Policy::default().with("heavy", entry);
    home.set_policy(&version(unruly(&home))).unwrap();
    let bounds = Bounds { memory: Bytes((3 << 30) + 12_288), ..Bounds::default() };
    let host = embedding(&home, program("parlor").unwrap(), bounds).await;
    host.settled().await;
    home.set_policy(&version(home.install_bytes("broken", b"no component").unwrap())).unwrap();
    host.reload().await.unwrap();
    assert!(host.status().await[0].not_replaced.is_some());
    let shown = while_it_compiles(&home, &host, bounds, &version(heavy(&home, 40))).await;
    assert_eq!((shown.state, shown.not_replaced), (State::Running, None));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compiler_that_is_none_is_named() {
    for (program, reason) in [
        ("/nowhere/parlor", "the compiler /nowhere/parlor cannot be run"),
        ("/bin/true", "the compiler made code that does not run here"),
        ("/bin/false", "the compiler, which may use 3 GiB of memory, ended with exit status: 1"),
    ] {
        let home = home();
        let host = embedding(&home, program.into(), Bounds::default()).await;
        let (id, entry) = decided(&home, "unruly", unruly(&home));
        let refused = timeout(SOON, host.add_plugin(id, entry)).await.unwrap().unwrap_err();
        assert!(refused.to_string().contains(reason), "{refused}");
        host.stop().await;
    }
}
