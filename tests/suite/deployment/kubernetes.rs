//! The manifests for Kubernetes: their fields, what they agree about, and what their pod may do.

use std::collections::BTreeSet;

use parlor_config::{Config, Overrides, PasswordSource};
use parlor_runtime::compiler::Bounds;
use parlor_tests::conformance::root;
use parlor_tests::folder::Folder;
use yaml_rust2::Yaml;

use super::{PAGE, compose, documents, fields, is_command, keys, port, text, texts, value};

/// The kinds of objects, with the version of the interface that has each.
const KINDS: [(&str, &str); 4] =
    [("ConfigMap", "v1"), ("PodDisruptionBudget", "policy/v1"), ("Service", "v1"), ("StatefulSet", "apps/v1")];

/// Returns all objects of the manifests.
fn objects() -> Vec<Yaml> {
    let mut files: Vec<_> = std::fs::read_dir(root().join("dist/kubernetes")).unwrap().map(Result::unwrap).collect();
    files.sort_by_key(std::fs::DirEntry::file_name);
    let names = files.into_iter().map(|file| file.file_name().into_string().unwrap());
    names.flat_map(|name| documents(&format!("dist/kubernetes/{name}"))).collect()
}

/// Returns the objects of one kind.
fn of(kind: &str) -> Vec<Yaml> {
    let found: Vec<_> = objects().into_iter().filter(|object| object["kind"].as_str() == Some(kind)).collect();
    assert!(!found.is_empty(), "there is no {kind}");
    found
}

/// Returns the only object of one kind.
fn only(kind: &str) -> Yaml {
    let mut found = of(kind);
    assert_eq!(found.len(), 1, "{kind}");
    found.remove(0)
}

/// Returns the entry of a list with this name.
fn entry<'a>(list: &'a Yaml, name: &str) -> &'a Yaml {
    let found = list.as_vec().unwrap().iter().find(|one| one["name"].as_str() == Some(name));
    found.unwrap_or_else(|| panic!("there is no {name} in {list:?}"))
}

/// Returns the folder at which a container has a volume.
fn mounted<'a>(container: &'a Yaml, volume: &str) -> &'a str {
    entry(&container["volumeMounts"], volume)["mountPath"].as_str().unwrap()
}

#[test]
fn the_manifests_have_the_fields_of_their_kinds() {
    let (mut faults, mut kinds, mut names) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for object in objects() {
        let (kind, name) = (object["kind"].as_str().unwrap(), object["metadata"]["name"].as_str().unwrap());
        let version = KINDS.iter().find(|(known, _)| *known == kind).map(|(_, version)| *version);
        assert_eq!(object["apiVersion"].as_str(), version, "{kind}");
        faults.extend(fields::faults(kind, &object, &format!("{kind} {name}")));
        assert!(names.insert((kind.to_owned(), name.to_owned())), "{kind} {name} is there twice");
        kinds.insert(kind.to_owned());
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(KINDS.iter().all(|(kind, _)| kinds.contains(*kind)), "{kinds:?}");
}

#[test]
fn one_pod_at_a_time_is_found_by_all_that_look_for_it() {
    let set = only("StatefulSet");
    let spec = &set["spec"];
    // Two hosts would use keys of encrypted messages twice.
    assert_eq!(spec["replicas"].as_i64(), Some(1));
    let labels = &spec["template"]["metadata"]["labels"];
    assert_eq!(&spec["selector"]["matchLabels"], labels);
    let budget = only("PodDisruptionBudget");
    assert_eq!(&budget["spec"]["selector"]["matchLabels"], labels);
    // With 0 no node could be drained.
    assert_eq!(budget["spec"]["maxUnavailable"].as_i64(), Some(1));
    let (services, containers) = (of("Service"), &spec["template"]["spec"]["containers"]);
    let ports: Vec<&Yaml> =
        containers.as_vec().unwrap().iter().flat_map(|one| one["ports"].as_vec().unwrap()).collect();
    for service in &services {
        assert_eq!(&service["spec"]["selector"], labels, "{service:?}");
        for served in service["spec"]["ports"].as_vec().unwrap() {
            let target = ports.iter().find(|one| one["name"] == served["targetPort"]);
            assert_eq!(target.unwrap()["containerPort"], served["port"], "{served:?}");
        }
    }
    let governing = services.iter().find(|one| one["metadata"]["name"] == spec["serviceName"]).unwrap();
    assert_eq!(governing["spec"]["clusterIP"].as_str(), Some("None"));
    let scraped = &governing["metadata"]["annotations"];
    assert_eq!(scraped["prometheus.io/port"].as_str(), Some(value(&text("dist/metrics.conf"), "listen ")));
    assert_eq!(scraped["prometheus.io/path"].as_str(), Some("/metrics"));
}

#[test]
fn the_pod_has_no_rights_and_its_secrets_are_files() {
    let set = only("StatefulSet");
    let pod = &set["spec"]["template"]["spec"];
    let security = &pod["securityContext"];
    let user = text("dist/Dockerfile").lines().find_map(|line| Some(line.strip_prefix("USER ")?.to_owned())).unwrap();
    let [own, group] = ["runAsUser", "runAsGroup"].map(|key| security[key].as_i64().unwrap());
    assert_eq!(format!("{own}:{group}"), user);
    assert_eq!(security["runAsNonRoot"].as_bool(), Some(true));
    assert_eq!(security["fsGroup"].as_i64(), Some(group));
    // Otherwise the group could read the secrets in the data folder at each start, and the host refuses those.
    assert_eq!(security["fsGroupChangePolicy"].as_str(), Some("OnRootMismatch"));
    assert_eq!(security["seccompProfile"]["type"].as_str(), Some("RuntimeDefault"));
    assert_eq!(pod["automountServiceAccountToken"].as_bool(), Some(false));
    for container in pod["containers"].as_vec().unwrap() {
        let security = &container["securityContext"];
        assert_eq!(security["allowPrivilegeEscalation"].as_bool(), Some(false), "{container:?}");
        assert_eq!(security["readOnlyRootFilesystem"].as_bool(), Some(true), "{container:?}");
        assert_eq!(texts(&security["capabilities"]["drop"]), ["ALL"], "{container:?}");
        for mount in container["volumeMounts"].as_vec().unwrap() {
            let name = mount["name"].as_str().unwrap();
            let claims = set["spec"]["volumeClaimTemplates"].as_vec().unwrap();
            if claims.iter().all(|claim| claim["metadata"]["name"].as_str() != Some(name)) {
                let volume = entry(&pod["volumes"], name);
                let is_empty = !volume["emptyDir"].is_badvalue();
                assert_eq!(mount["readOnly"].as_bool().unwrap_or(false), !is_empty, "{mount:?}");
            }
        }
        let variables = container["env"].as_vec().map(Vec::as_slice).unwrap_or_default();
        let secret = |one: &&Yaml| one["name"].as_str().unwrap().starts_with("PARLOR_PASSWORD");
        assert_eq!(variables.iter().find(secret), None);
    }
    let (parlor, metrics) = (entry(&pod["containers"], "parlor"), entry(&pod["containers"], "metrics"));
    assert_ne!(metrics["securityContext"]["runAsUser"].as_i64(), Some(own), "nginx can read nothing of parlor's");
    let secret = &entry(&pod["volumes"], "secrets")["secret"];
    assert_eq!(secret["defaultMode"].as_i64(), Some(0o440), "no other user reads them");
    let page = text(PAGE);
    assert!(page.contains(&format!("create secret generic {} --from-file", secret["secretName"].as_str().unwrap())));
    assert!(page.contains(&format!("`{}`", mounted(parlor, "secrets"))));
    assert!(metrics["volumeMounts"].as_vec().unwrap().iter().all(|mount| mount["name"].as_str() != Some("secrets")));
}

#[test]
fn the_pod_runs_what_the_image_and_the_compose_file_run() {
    let (set, compose, dockerfile) = (only("StatefulSet"), compose(), text("dist/Dockerfile"));
    let pod = &set["spec"]["template"]["spec"];
    for name in ["parlor", "metrics"] {
        assert_eq!(entry(&pod["containers"], name)["image"], compose["services"][name]["image"]);
    }
    let (parlor, metrics) = (entry(&pod["containers"], "parlor"), entry(&pod["containers"], "metrics"));
    // The image's own command is what the pod runs.
    let args = texts(&parlor["args"]);
    let whole: Vec<_> = std::iter::once("parlor").chain(args.iter().copied()).collect();
    is_command(&whole);
    let words = |line: &str| serde_json::from_str::<Vec<String>>(value(&dockerfile, line)).unwrap();
    assert_eq!(words("CMD "), args);
    assert_eq!(words("ENTRYPOINT "), ["parlor"]);
    let (_, health) = value(&dockerfile, "HEALTHCHECK ").split_once("CMD ").unwrap();
    let health: Vec<String> = serde_json::from_str(health).unwrap();
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        let command = texts(&parlor[probe]["exec"]["command"]);
        is_command(&command);
        assert_eq!(command, health, "{probe}");
    }
    let unit = text("dist/parlor.service");
    let probe = &parlor["startupProbe"];
    let most = probe["periodSeconds"].as_i64().unwrap() * probe["failureThreshold"].as_i64().unwrap();
    assert_eq!(format!("{}min", most / 60), value(&unit, "TimeoutStartSec="));
    let grace = pod["terminationGracePeriodSeconds"].as_i64().unwrap();
    assert_eq!(grace.to_string(), value(&unit, "TimeoutStopSec="));
    assert_eq!(
        metrics["command"].as_vec().unwrap().len(),
        compose["services"]["metrics"]["command"].as_vec().unwrap().len()
    );
    // If the limit had no room for the compiler, a plugin could end the host each time that it is compiled.
    let limit = parlor["resources"]["limits"]["memory"].as_str().unwrap();
    let limit: u64 = limit.strip_suffix("Gi").unwrap().parse().unwrap();
    assert!(limit << 30 >= Bounds::default().memory.0 + (512 << 20), "{limit} GiB");
    assert_eq!(compose["services"]["parlor"]["mem_limit"].as_str(), Some(format!("{limit}g").as_str()));
}

#[test]
fn the_host_takes_its_configuration_and_finds_its_places() {
    let (config, set) = (only("ConfigMap"), only("StatefulSet"));
    let pod = &set["spec"]["template"]["spec"];
    let parlor = entry(&pod["containers"], "parlor");
    let files = &config["data"];
    assert_eq!(files["metrics.conf"].as_str(), Some(text("dist/metrics.conf").as_str()));
    for volume in pod["volumes"].as_vec().unwrap().iter().filter(|volume| !volume["configMap"].is_badvalue()) {
        assert_eq!(volume["configMap"]["name"], config["metadata"]["name"]);
        for item in volume["configMap"]["items"].as_vec().unwrap() {
            assert!(keys(files).contains(&item["key"].as_str().unwrap()), "{item:?}");
        }
    }
    // The password's file has to be there, so it is put elsewhere for the test.
    let (folder, secrets) = (Folder::new().unwrap(), mounted(parlor, "secrets"));
    let here = folder.path().to_str().unwrap();
    std::fs::write(folder.path().join("bot.password"), "secret\n").unwrap();
    assert!(text(PAGE).contains("--from-file bot.password\n"));
    let written = files["parlor.toml"].as_str().unwrap().replace(secrets, here);
    let overrides = Overrides { environment: |_| None, variables: Vec::new, ..Overrides::default() };
    let variable = |name: &str| entry(&parlor["env"], name)["value"].as_str().unwrap();
    let path = std::path::Path::new(variable("PARLOR_CONFIG"));
    assert!(path.starts_with(mounted(parlor, "config")), "{}", path.display());
    let read = Config::parse(path, &written, &overrides).unwrap();
    for account in read.accounts.values() {
        let PasswordSource::File(file) = &account.link.password else { panic!("{account:?}") };
        assert!(file.starts_with(folder.path()), "{}", file.display());
    }
    // The files that commands and the host write are on the volume.
    let volume = mounted(parlor, "data");
    assert!(
        read.plugins.starts_with(volume) && variable("PARLOR_DATA").starts_with(volume),
        "{}",
        read.plugins.display()
    );
    let listens = read.web.listen.unwrap();
    assert!(listens.ip().is_unspecified(), "{listens}");
    let ports = &parlor["ports"];
    assert_eq!(entry(ports, "webhooks")["containerPort"].as_i64(), Some(i64::from(listens.port())));
    let published = compose();
    assert_eq!(port(texts(&published["services"]["parlor"]["ports"])[0]), listens.port().to_string());
    assert!(text(PAGE).contains(&format!("listen = \"{listens}\"")));
    // Each variable is one that the program reads.
    let pages = text("docs/reference/cli.md") + &text("docs/reference/config.md");
    for one in parlor["env"].as_vec().unwrap() {
        let name = one["name"].as_str().unwrap();
        assert!(pages.contains(name), "{name} is no variable of the program");
    }
    assert_eq!(value(&text("dist/metrics.conf"), "proxy_pass "), format!("http://{}", variable("PARLOR_METRICS")));
}

#[test]
fn the_pods_are_nodes_of_a_cluster_with_the_section_that_the_page_shows() {
    let (set, page, folder) = (only("StatefulSet"), text(PAGE), Folder::new().unwrap());
    let parlor = entry(&set["spec"]["template"]["spec"]["containers"], "parlor").clone();
    let (secrets, here) = (mounted(&parlor, "secrets"), folder.path().to_str().unwrap());
    let mut sections = page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let section = sections.find(|text| text.starts_with("[cluster]")).unwrap();
    for line in section.lines().filter_map(|line| line.split_once(&format!("{secrets}/"))) {
        let file = line.1.trim_end_matches('"');
        assert!(page.contains(&format!("--from-file {file}")), "{file} is in the Secret");
        std::fs::write(folder.path().join(file), "secret\n").unwrap();
    }
    std::fs::write(folder.path().join("bot.password"), "secret\n").unwrap();
    let config = only("ConfigMap")["data"]["parlor.toml"].as_str().unwrap().to_owned();
    let written = format!("{config}\n{section}").replace(secrets, here);
    let overrides = Overrides { environment: |_| None, variables: Vec::new, ..Overrides::default() };
    let read = Config::parse(std::path::Path::new("/etc/parlor/parlor.toml"), &written, &overrides).unwrap();
    // The name of the machine is that of the pod.
    assert_eq!(read.cluster.unwrap().node, None);
}
