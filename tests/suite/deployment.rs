//! The compose file, the manifests for Kubernetes, nginx's configuration and the dashboard in `dist/`, and their page.
//! No container is started: this tests that the files are well formed, agree with one another, and name what exists.

mod dashboard;
mod fields;
mod kubernetes;

use std::path::Path;

use clap::CommandFactory as _;
pub(crate) use dashboard::figures;
use parlor_tests::conformance::root;
use yaml_rust2::{Yaml, YamlLoader};

/// The page that says how these files are used.
const PAGE: &str = "docs/owner/containers.md";

fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn documents(path: &str) -> Vec<Yaml> {
    YamlLoader::load_from_str(&text(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn compose() -> Yaml {
    documents("dist/compose.yaml").remove(0)
}

/// Returns the texts of a list.
fn texts(list: &Yaml) -> Vec<&str> {
    list.as_vec().unwrap_or_else(|| panic!("{list:?} is no list")).iter().map(|one| one.as_str().unwrap()).collect()
}

/// Returns the keys of a mapping.
fn keys(mapping: &Yaml) -> Vec<&str> {
    let mapping = mapping.as_hash().unwrap_or_else(|| panic!("{mapping:?} is no mapping"));
    mapping.keys().map(|key| key.as_str().unwrap()).collect()
}

/// Returns the value in the first line that begins so.
fn value<'a>(text: &'a str, begin: &str) -> &'a str {
    let found = text.lines().find_map(|line| line.trim().strip_prefix(begin));
    found.unwrap_or_else(|| panic!("no line begins with {begin:?} in {text}")).trim_end_matches(';')
}

/// Asserts that the program accepts a command, which begins with its name.
fn is_command(words: &[&str]) {
    assert_eq!(words.first(), Some(&"parlor"), "{words:?}");
    if let Err(error) = parlor_cli::Arguments::command().try_get_matches_from(words) {
        panic!("{words:?}: {error}");
    }
}

/// Returns the port at the end of an address.
fn port(address: &str) -> &str {
    address.rsplit(':').next().unwrap()
}

#[test]
fn the_compose_file_takes_all_rights_and_agrees_with_the_image() {
    let (compose, dockerfile) = (compose(), text("dist/Dockerfile"));
    let services = &compose["services"];
    assert_eq!(keys(services), ["parlor", "metrics"]);
    for name in keys(services) {
        let service = &services[name];
        assert_eq!(service["read_only"].as_bool(), Some(true), "{name}");
        assert_eq!(texts(&service["cap_drop"]), ["ALL"], "{name}");
        assert_eq!(texts(&service["security_opt"]), ["no-new-privileges:true"], "{name}");
        assert!(service["mem_limit"].as_str().is_some(), "{name}");
        assert!(service["privileged"].is_badvalue() && service["cap_add"].is_badvalue(), "{name}");
    }
    let parlor = &services["parlor"];
    assert_eq!(parlor["user"].as_str(), Some(value(&dockerfile, "USER ")));
    assert_ne!(services["metrics"]["user"], parlor["user"], "nginx can read nothing of parlor's");
    assert_eq!(parlor["image"].as_str(), Some(concat!("parlor:", env!("CARGO_PKG_VERSION"))));
    let built = Path::new("dist").join(parlor["build"]["context"].as_str().unwrap());
    assert!(root().join(built).join(parlor["build"]["dockerfile"].as_str().unwrap()).is_file());
    let folders = texts(&parlor["volumes"]).into_iter().map(|volume| volume.split_once(':').unwrap());
    for (volume, folder) in folders {
        assert!(value(&dockerfile, "VOLUME ").contains(&format!("\"{folder}\"")), "{folder}");
        assert!(keys(&compose["volumes"]).contains(&volume), "{volume}");
    }
    let unit = text("dist/parlor.service");
    let grace = format!("{}s", value(&unit, "TimeoutStopSec="));
    assert_eq!(parlor["stop_grace_period"].as_str(), Some(grace.as_str()));
    assert_eq!(keys(&parlor["environment"]), ["PARLOR_METRICS"], "no secret is in the environment");
    let (secret, page) = (texts(&parlor["secrets"]), text(PAGE));
    assert_eq!(secret, keys(&compose["secrets"]));
    assert!(page.contains(&format!("--password-file /run/secrets/{}", secret[0])), "{secret:?}");
    let file = format!("dist/{}", compose["secrets"][secret[0]]["file"].as_str().unwrap());
    assert!(page.contains(&format!(" {file}\n")), "{file}");
    assert!(text(".gitignore").contains(&format!("/{file}\n")), "{file} could be committed");
}

#[test]
fn figures_leave_the_container_by_nginx_alone() {
    let (compose, nginx) = (compose(), text("dist/metrics.conf"));
    let (parlor, metrics) = (&compose["services"]["parlor"], &compose["services"]["metrics"]);
    let served = parlor["environment"]["PARLOR_METRICS"].as_str().unwrap();
    assert_eq!(value(&nginx, "proxy_pass "), format!("http://{served}"));
    // The host refuses requests that name another one.
    assert_eq!(value(&nginx, "proxy_set_header "), "Host localhost");
    assert_eq!(value(&nginx, "location ~ "), "^/(metrics|health)$ {");
    assert!(nginx.contains("location / {\n            return 404;\n"), "{nginx}");
    // The image's own files cannot be written.
    for line in nginx.lines().filter(|line| line.contains("_path ") || line.starts_with("pid ")) {
        assert!(line.contains(" /tmp/"), "{line}");
    }
    let config = texts_of_first(&metrics["configs"], "source");
    let file = compose["configs"][config]["file"].as_str().unwrap();
    assert_eq!(file, "metrics.conf");
    assert!(texts(&metrics["command"]).contains(&texts_of_first(&metrics["configs"], "target")));
    assert_eq!(metrics["network_mode"].as_str(), Some("service:parlor"));
    let published = texts(&parlor["ports"]);
    assert!(published.iter().all(|one| one.starts_with("127.0.0.1:")), "{published:?}");
    assert_eq!(port(published[1]), value(&nginx, "listen "));
}

fn texts_of_first<'a>(list: &'a Yaml, key: &str) -> &'a str {
    list[0][key].as_str().unwrap()
}

/// Returns the commands of parlor on a line of the page that a container runs.
fn within(line: &str) -> Option<Vec<&str>> {
    let words: Vec<&str> = line.strip_prefix("$ ")?.split_whitespace().take_while(|word| *word != ">").collect();
    let (begin, is_whole) = match words[..] {
        ["docker", "compose", ..] => {
            let service = words.iter().position(|word| *word == "parlor")?;
            (service, words.contains(&"exec"))
        }
        ["kubectl", ..] => (words.iter().position(|word| *word == "--")?, true),
        _ => return None,
    };
    // `exec` names the program, and `run` is given to it as its arguments.
    let command = if is_whole { &words[begin + 1..] } else { &words[begin..] };
    (command.first() == Some(&"parlor")).then(|| command.to_vec())
}

#[test]
fn the_page_uses_commands_that_exist() {
    let page = text(PAGE);
    let commands: Vec<_> = page.lines().filter_map(within).collect();
    assert!(commands.len() >= 7, "{commands:?}");
    for command in commands {
        is_command(&command);
    }
    // A wrong one would be noticed.
    let wrong = within("$ kubectl exec parlor-0 --container parlor -- parlor staus").unwrap();
    assert_eq!(wrong, ["parlor", "staus"]);
    assert!(parlor_cli::Arguments::command().try_get_matches_from(wrong).is_err());
    assert_eq!(within("$ docker compose run --rm parlor init --jid a@b").unwrap(), ["parlor", "init", "--jid", "a@b"]);
    assert_eq!(within("$ docker compose exec -T parlor cat /etc/parlor/parlor.toml"), None);
}
