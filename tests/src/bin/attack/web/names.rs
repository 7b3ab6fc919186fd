//! An attack on names: one that resolves to another address with each look-up.

use std::fs::{File, OpenOptions};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::FileExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use parlor_tests::host::Surroundings;
use serde_json::json;
use tokio::task::JoinHandle;

use super::fast;
use super::servers::{Answer, Server};
use crate::case::{Case, case};
use crate::cpu::remove;
use crate::report::short;
use crate::stage::{Plan, Stage};
use crate::trial::{Absent, Trial};

pub(super) fn cases() -> Vec<Case> {
    vec![case!(89, "a name that leads elsewhere at the next look-up", two_answers)]
}

/// The address that the owner allows, and one that is not allowed.
const ALLOWED: Ipv4Addr = Ipv4Addr::LOCALHOST;
const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// The names of the machine. The first address changes, the last two are of one name.
const HOSTS: &str = "127.0.0.1 twice.example\n127.0.0.2 both.example\n127.0.0.1 both.example\n127.0.0.1 localhost\n";
/// The place of the digit in it that differs between the two addresses.
const DIGIT: u64 = 8;
/// How often the name is asked for while it changes.
const REQUESTS: usize = 200;

/// Lets the name lead to the address with this last digit. A reader sees one or the other, since it is one byte.
fn lead(hosts: &File, digit: u8) -> Result<()> {
    hosts.write_all_at(&[digit], DIGIT).context("the names of the machine cannot be changed")
}

/// Changes the name all the time.
fn flip(hosts: File) -> JoinHandle<Result<()>> {
    tokio::spawn(async move {
        loop {
            for digit in [b'2', b'1'] {
                lead(&hosts, digit)?;
                tokio::time::sleep(Duration::from_micros(300)).await;
            }
        }
    })
}

/// Has the plugin ask for this URL. Returns whether the server answered; otherwise the request was denied.
async fn is_answered(stage: &mut Stage, url: &str) -> Result<bool> {
    let answer = stage.call("http.fetch", &json!({ "url": url, "timeout": 10_000 })).await?;
    let is_denied = answer["err"]["case"] == "denied";
    ensure!(is_denied || answer["ok"]["status"] == 200, "{url}: {}", short(&answer));
    Ok(!is_denied)
}

async fn two_answers(trial: &mut Trial) -> Result<String> {
    let mut mount = Command::new("unshare");
    mount.args(["--user", "--map-root-user", "--mount", "mount", "--bind", "/etc/hosts", "/etc/hosts"]);
    if !mount.stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
        return Err(Absent("this system lets no user mount a file with other names").into());
    }
    let allowed = Server::start(|_| Answer::body("hello")).await?;
    let other = Server::start_at(SocketAddr::from((OTHER, allowed.port())), |_| Answer::body("lured")).await;
    let other = other.map_err(|_| Absent("this system has one loopback address alone"))?;
    let (twice, both) = ["twice", "both"].map(|name| format!("http://{name}.example:{}", allowed.port())).into();
    let listed = format!("http://{ALLOWED}:{}", allowed.port());
    let plan = Plan::new()?.caller(|entry| fast(entry).grant("http.fetch", &[&twice, &both, &listed]))?;
    let path = plan.home.write("hosts", HOSTS)?;
    let hosts = OpenOptions::new().write(true).open(&path)?;
    let stage = trial.start(plan.surroundings(Surroundings::Names(path))).await?;
    let first = stage.call("http.fetch", &json!({ "url": twice })).await?;
    if first["err"]["case"] == "unreachable" {
        return Err(Absent("this system does not read the names of the machine").into());
    }
    ensure!(first["ok"]["status"] == 200, "the granted name does not lead to the allowed address: {}", short(&first));
    lead(&hosts, b'2')?;
    ensure!(!is_answered(stage, &twice).await?, "it was answered from an address that nobody allowed");
    // Of two addresses, the one that is not allowed is left out.
    is_answered(stage, &both).await?;
    let flips = flip(hosts);
    let mut answered = 0;
    for _ in 0..REQUESTS {
        answered += usize::from(is_answered(stage, &twice).await?);
    }
    ensure!(!flips.is_finished(), "the name did not change all the time");
    flips.abort();
    stage.during().await?;
    ensure!(other.visits() == 0, "the address that nobody allowed was visited {} times", other.visits());
    remove(stage).await?;
    Ok(format!("looked up once: {answered} of {REQUESTS} went to the allowed address, the others were denied"))
}
