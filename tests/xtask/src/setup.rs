//! Installs what the machine needs: the servers, and a Rust compiler that targets WebAssembly.
//!
//! On Debian and Ubuntu, as root, missing packages are installed. Elsewhere nothing is changed: an error says what to
//! do.

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::run::{Interrupted, Output, clock, run, run_within, send};
use crate::workspace;

/// The server of demo and tests, with the Lua modules that it needs for TLS, many connections and storage.
const SERVER: &[&str] = &["prosody", "prosody-modules", "lua-sec", "lua-event", "lua-dbi-sqlite3", "lua-unbound"];
/// The second server of the suite, with the package that stores its archive.
const EJABBERD: &[&str] = &["ejabberd", "erlang-p1-sqlite3"];
/// The package for building plugins in Python, for bots in it, and for programs that its pip installs.
const PYTHON: &str = "python3-venv";
/// The program that counts system calls, and its package.
const STRACE: &str = "strace";
/// The package for building plugins in JavaScript.
const NPM: &str = "npm";
/// The browser that looks at the owner's pages, the program that drives it, and their packages.
const BROWSER: [(&str, &str); 2] = [("chromium", "chromium"), ("chromedriver", "chromium-driver")];
/// The client that encrypts in its own way, for the suite, and its package.
const PROFANITY: &str = "profanity";
/// The store of a cluster: the program and its package.
const NATS: &str = "nats-server";
/// Its place in Debian, in a folder that is not in everybody's PATH.
const NATS_FILE: &str = "/usr/sbin/nats-server";
/// Debian's compiler with the sources of the standard library, for machines where rustup cannot get the target.
const COMPILER: &[&str] = &["rustc-web", "rust-web-src"];
/// The compilation target of plugins.
const TARGET: &str = "wasm32-unknown-unknown";
/// The timeout of rustup, which retries for minutes without a network.
const RUSTUP: Duration = Duration::from_mins(1);
/// How long a daemon may take to end.
const ENDING: Duration = Duration::from_secs(5);

/// The needs of a task besides the compiler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Only Prosody.
    Prosody,
    /// Prosody and NATS.
    Cluster,
    /// Prosody, NATS, and Python, whose pip installs a version of NATS that replicates streams.
    Servers,
    /// Prosody, Python for the bot in it, strace, and NATS.
    Bench,
    /// Prosody and ejabberd, the tools for plugins in other languages, strace, profanity, and NATS.
    Suite,
    /// Prosody, a browser that a program drives, and npm.
    Browser,
}

/// Makes sure that everything is installed.
pub(crate) fn prepare(needs: Needs) -> Result<()> {
    let system = System::detect();
    let server = missing_packages(system, needs);
    let compiler = !compiles_wasm(system);
    if server.is_empty() && !compiler {
        return Ok(());
    }
    let System::Debian { root: true } = system else {
        bail!("{}", advice(system, &server, compiler));
    };
    if !server.is_empty() {
        install(&server)?;
    }
    if compiler {
        install_compiler()?;
    }
    Ok(())
}

/// The operating system, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum System {
    /// Debian, Ubuntu, or a derivative.
    Debian { root: bool },
    /// Any other system.
    Other,
}

impl System {
    fn detect() -> Self {
        let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
        if !is_debian(&release) || find("apt-get").is_none() {
            return Self::Other;
        }
        // The owner of this process's own entry in `/proc` is its effective user.
        let root = std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
        Self::Debian { root }
    }
}

/// Returns whether `os-release` names Debian or a derivative.
fn is_debian(release: &str) -> bool {
    release
        .lines()
        .filter_map(|line| line.strip_prefix("ID=").or_else(|| line.strip_prefix("ID_LIKE=")))
        .flat_map(|value| value.trim_matches('"').split_whitespace())
        .any(|id| id == "debian" || id == "ubuntu")
}

/// Returns instructions for the user.
fn advice(system: System, server: &[&str], compiler: bool) -> String {
    let apt = |packages: &[&str]| format!("apt-get install -y --no-install-recommends {}", packages.join(" "));
    let debian = system != System::Other;
    let mut lines = vec!["something is missing on this machine".to_owned()];
    if !server.is_empty() {
        lines.push(if debian {
            format!("  run as root: {}", apt(server))
        } else {
            let mut line = String::new();
            if server.contains(&"prosody") {
                line += "  install Prosody 0.12 or newer (https://prosody.im/download) with the Lua modules luasec, luaevent, \
                         luadbi-sqlite3 and luaunbound, so that `prosody` is in the PATH";
            }
            if server.contains(&"ejabberd") {
                line += if line.is_empty() { "" } else { "\n" };
                line += "  install ejabberd 23.01 or newer with SQLite, so that `ejabberdctl` and `erl` are in the PATH";
            }
            if server.contains(&PYTHON) {
                line += if line.is_empty() { "" } else { "\n" };
                line += "  install Python 3.10 or newer with its modules venv and ensurepip, so that `python3` is in the PATH";
            }
            if server.contains(&STRACE) {
                line += if line.is_empty() { "" } else { "\n" };
                line += "  install strace, so that it is in the PATH";
            }
            if server.contains(&PROFANITY) {
                line += if line.is_empty() { "" } else { "\n" };
                line += "  install profanity 0.13 or newer with OTR and OMEMO, so that it is in the PATH";
            }
            if server.contains(&NATS) {
                line += if line.is_empty() { "" } else { "\n" };
                line += "  install nats-server 2.9.10 or newer (https://nats.io/download), so that it is in the PATH";
            }
            if BROWSER.iter().any(|(_, package)| server.contains(package)) {
                line += if line.is_empty() { "" } else { "\n" };
                line += "  install Chromium and a ChromeDriver of the same version, so that `chromium` and `chromedriver` are in the PATH";
            }
            if server.contains(&NPM) {
                line += if line.is_empty() { "" } else { "\n" };
                line += "  install Node.js 20 or newer with npm, so that `node` and `npm` are in the PATH";
            }
            line
        });
    }
    if compiler {
        lines.push(format!("  run: rustup target add {TARGET}"));
        if debian {
            lines.push(format!("  or, where rustup cannot reach its server, as root: {}", apt(COMPILER)));
        }
    }
    lines.push("  then run this again".to_owned());
    lines.join("\n")
}

/// Returns the missing packages, except those of the compiler. On a system without these packages, one name stands for
/// each server.
fn missing_packages(system: System, needs: Needs) -> Vec<&'static str> {
    let second = if needs == Needs::Suite { EJABBERD } else { &[] };
    let mut missing: Vec<&str> = match system {
        System::Debian { .. } => {
            SERVER.iter().chain(second).copied().filter(|package| !is_installed(package)).collect()
        }
        System::Other => {
            let wanted = ["prosody"].into_iter().chain(second.first().copied());
            wanted.filter(|server| find(if *server == "ejabberd" { "ejabberdctl" } else { server }).is_none()).collect()
        }
    };
    let programs = matches!(needs, Needs::Bench | Needs::Suite);
    if (programs || needs == Needs::Servers) && !has_python() {
        missing.push(PYTHON);
    }
    if programs && find(STRACE).is_none() {
        missing.push(STRACE);
    }
    let npm = matches!(needs, Needs::Suite | Needs::Browser);
    if npm && ["node", "npm"].iter().any(|program| find(program).is_none()) {
        missing.push(NPM);
    }
    if needs == Needs::Browser {
        missing.extend(BROWSER.iter().filter(|(program, _)| find(program).is_none()).map(|(_, package)| *package));
    }
    if needs == Needs::Suite && find(PROFANITY).is_none() {
        missing.push(PROFANITY);
    }
    let nats = matches!(needs, Needs::Bench | Needs::Cluster | Needs::Servers | Needs::Suite);
    if nats && find(NATS).is_none() && !Path::new(NATS_FILE).is_file() {
        missing.push(NATS);
    }
    missing
}

/// Returns whether there is a Python that can create environments with pip.
fn has_python() -> bool {
    let mut command = Command::new("python3");
    command.args(["-c", "import venv, ensurepip"]).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn compiles_wasm(system: System) -> bool {
    has_target() || (system != System::Other && COMPILER.iter().all(|package| is_installed(package)))
}

/// Returns whether the workspace's compiler has the standard library for the plugins' target.
fn has_target() -> bool {
    let mut command = Command::new("rustc");
    command.args(["--print", "target-libdir", "--target", TARGET]).current_dir(workspace::root()).stderr(Stdio::null());
    command.output().is_ok_and(|output| {
        output.status.success() && Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir()
    })
}

#[expect(clippy::print_stderr, reason = "a command shows what it does")]
fn install_compiler() -> Result<()> {
    if find("rustup").is_some() {
        let mut command = Command::new("rustup");
        command.args(["target", "add", TARGET]).current_dir(workspace::root()).env("RUSTUP_MAX_RETRIES", "0");
        let begin = Instant::now();
        match run_within(&format!("rustup target add {TARGET}"), &mut command, Output::Kept, RUSTUP) {
            Ok(()) if has_target() => {
                eprintln!("  ✓ rustup target add {TARGET} {}", clock(begin.elapsed()));
                return Ok(());
            }
            Err(error) if error.is::<Interrupted>() => return Err(error),
            _ => eprintln!("  rustup cannot get {TARGET} here; Debian's compiler will do"),
        }
    }
    install(COMPILER)
}

/// Installs packages without starting the services that they bring.
#[expect(clippy::print_stderr, reason = "a command shows what it does")]
fn install(packages: &[&str]) -> Result<()> {
    let begin = Instant::now();
    let services: Vec<&str> =
        SERVICES.iter().filter(|(_, brings)| packages.contains(brings)).map(|(service, _)| *service).collect();
    let services: Vec<&str> = services.into_iter().filter(|service| !has_service(service)).collect();
    let quiet = NoServices::ensure().context("cannot keep packages from starting services")?;
    let before = processes(is_system_server);
    let title = format!("installing {}", packages.join(" "));
    if let Err(error) = apt_install(&title, packages) {
        if error.is::<Interrupted>() {
            return Err(error);
        }
        // On a fresh machine the package lists are missing or out of date.
        run("apt-get update", &mut apt(&["update"]), Output::Kept)?;
        apt_install(&title, packages)?;
    }
    drop(quiet);
    if !services.is_empty() {
        leave_no_server(&services, &before)?;
    }
    eprintln!("  ✓ {title} {}", clock(begin.elapsed()));
    Ok(())
}

fn apt_install(title: &str, packages: &[&str]) -> Result<()> {
    let mut command = apt(&["install", "-y", "--no-install-recommends"]);
    run(title, command.args(packages), Output::Kept)
}

fn apt(arguments: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    // Another installation may hold the lock for a while.
    command.args(["-qq", "-o", "DPkg::Lock::Timeout=120"]).args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// Services that start at boot and open ports, each with the package that brings it. Erlang's port mapper comes with
/// ejabberd.
const SERVICES: &[(&str, &str)] =
    &[("prosody", "prosody"), ("ejabberd", "ejabberd"), ("epmd", "ejabberd"), ("nats-server", NATS)];

/// Returns whether the machine has this service already, so that it must be left alone.
fn has_service(service: &str) -> bool {
    Path::new("/lib/systemd/system").join(format!("{service}.service")).exists()
        || Path::new("/etc/init.d").join(service).exists()
}

/// Stops and disables the system services that the packages installed. They would start at boot and open ports to the
/// world, which nobody asked for.
fn leave_no_server(services: &[&str], before: &[u32]) -> Result<()> {
    let systemd = Path::new("/run/systemd/system").is_dir();
    for service in services {
        let steps: &[&[&str]] = if systemd {
            &[&["systemctl", "disable", "--now", service]]
        } else {
            &[&["service", service, "stop"], &["systemctl", "disable", service], &["update-rc.d", service, "disable"]]
        };
        for step in steps {
            // If there is no such service, there is nothing to stop.
            let _ = Command::new(step[0]).args(&step[1..]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        }
    }
    let new = || processes(is_system_server).into_iter().filter(|id| !before.contains(id));
    // Erlang's port mapper is started on demand by any node, as a daemon without a service, and never ends by itself.
    for id in processes(is_port_mapper).into_iter().filter(|id| new().any(|one| one == *id)) {
        end(id)?;
    }
    let started: Vec<String> = new().map(|id| id.to_string()).collect();
    if !started.is_empty() {
        bail!("the packages started a server of their own that does not stop; end it by: kill {}", started.join(" "));
    }
    Ok(())
}

/// Ends a process, and waits until it is gone.
fn end(id: u32) -> Result<()> {
    send(id, libc::SIGTERM);
    let until = Instant::now() + ENDING;
    while Path::new("/proc").join(id.to_string()).exists() {
        if Instant::now() >= until {
            bail!("Erlang's port mapper, which came with ejabberd, does not stop; end it by: kill {id}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Returns the ids of the processes whose command line satisfies the predicate.
fn processes(is_meant: fn(&str) -> bool) -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return vec![] };
    entries
        .flatten()
        .filter_map(|entry| {
            let id = entry.file_name().to_str()?.parse().ok()?;
            let line = std::fs::read(entry.path().join("cmdline")).ok()?;
            is_meant(&String::from_utf8_lossy(&line)).then_some(id)
        })
        .collect()
}

/// Returns whether a command line, its parts ended by NUL, is that of a Prosody without a configuration of ours, of an
/// ejabberd with a node name, or of NATS with the system's configuration. Our ejabberd has no node name.
fn is_system_server(line: &str) -> bool {
    let mut parts = line.split('\0').take(2);
    let prosody = parts.any(|part| part == "prosody" || part.ends_with("/prosody")) && !line.contains("--config");
    let ejabberd = line.contains("\0-sname\0ejabberd") || line.contains("\0-name\0ejabberd");
    let nats = line.starts_with(NATS_FILE) && line.contains("\0/etc/nats-server.conf\0");
    prosody || ejabberd || nats || is_port_mapper(line)
}

/// Returns whether a command line is that of Erlang's port mapper, as nodes start it.
fn is_port_mapper(line: &str) -> bool {
    let program = line.split('\0').next().unwrap_or_default();
    (program == "epmd" || program.ends_with("/epmd")) && line.contains("\0-daemon")
}

/// Keeps packages from starting services while it exists (Debian's `policy-rc.d`).
#[derive(Debug)]
struct NoServices {
    /// The policy file that was written, or `None` if there was a policy before, which is respected.
    written: Option<PathBuf>,
}

impl NoServices {
    const FILE: &str = "/usr/sbin/policy-rc.d";
    const TEXT: &str = "#!/bin/sh\n# by `cargo xtask`, for the time of one installation; may be removed\nexit 101\n";

    fn ensure() -> Result<Self> {
        use std::os::unix::fs::PermissionsExt as _;
        let file = PathBuf::from(Self::FILE);
        match std::fs::read_to_string(&file) {
            // A file that an earlier run left behind when it was killed is replaced, and removed at the end.
            Ok(text) if text != Self::TEXT => return Ok(Self { written: None }),
            _ => {}
        }
        std::fs::write(&file, Self::TEXT).with_context(|| format!("cannot write {}", file.display()))?;
        let written = Self { written: Some(file) };
        std::fs::set_permissions(Self::FILE, std::fs::Permissions::from_mode(0o755))?;
        Ok(written)
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if let Some(file) = &self.written {
            // If the file is gone already, nothing is left to do.
            let _ = std::fs::remove_file(file);
        }
    }
}

/// Returns whether a package is installed.
fn is_installed(package: &str) -> bool {
    let mut command = Command::new("dpkg-query");
    command.args(["--show", "--showformat=${db:Status-Status}", package]).stderr(Stdio::null());
    command.output().is_ok_and(|output| output.stdout == b"installed")
}

/// Finds a program in the PATH.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths::<OsStr>(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_and_its_children_are_known() {
        assert!(is_debian("NAME=\"Debian GNU/Linux\"\nID=debian\n"));
        assert!(is_debian("ID=ubuntu\nID_LIKE=debian\n"));
        assert!(is_debian("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"));
        assert!(!is_debian("ID=fedora\n"));
        assert!(!is_debian("NAME=debian\n"));
        assert!(!is_debian(""));
    }

    #[test]
    fn advice_is_what_to_type() {
        let text = advice(System::Debian { root: false }, &["prosody", "lua-sec"], true);
        assert!(text.contains("apt-get install -y --no-install-recommends prosody lua-sec\n"), "{text}");
        assert!(text.contains("rustup target add wasm32-unknown-unknown\n"), "{text}");
        assert!(text.contains("rustc-web rust-web-src\n"), "{text}");
        let text = advice(System::Other, &["prosody"], false);
        assert!(text.contains("Prosody 0.12") && !text.contains("apt-get") && !text.contains("rustup"), "{text}");
        let text = advice(System::Other, &["chromium-driver", "npm"], false);
        assert!(
            text.contains("a ChromeDriver of the same version") && text.contains("`npm` are in the PATH"),
            "{text}"
        );
    }

    #[test]
    fn only_a_server_with_the_systems_configuration_is_the_systems() {
        assert!(is_system_server("lua5.4\0/usr/bin/prosody\0-F\0"));
        assert!(is_system_server("/usr/bin/prosody\0"));
        assert!(!is_system_server("lua5.4\0/usr/bin/prosody\0--config\0x/prosody.cfg.lua\0"));
        assert!(is_system_server("/usr/lib/erlang/bin/beam.smp\0--\0-sname\0ejabberd\0-s\0ejabberd\0"));
        assert!(!is_system_server("/usr/lib/erlang/bin/beam.smp\0--\0-noinput\0-s\0ejabberd\0"));
        assert!(is_system_server("/usr/bin/epmd\0-daemon\0") && is_port_mapper("epmd\0-daemon\0"));
        assert!(is_system_server("/usr/sbin/nats-server\0-c\0/etc/nats-server.conf\0"));
        assert!(!is_system_server("/usr/sbin/nats-server\0-c\0/tmp/x/nats.conf\0-p\0-1\0"));
        assert!(!is_port_mapper("epmd\0-names\0") && !is_port_mapper("less\0-daemon\0epmd\0"));
        assert!(!is_system_server("less\0-N\0prosody\0"));
    }
}
