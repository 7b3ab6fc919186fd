//! Registries, played by a scripted server: pulling, logging in, and signatures that refer to an artifact.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use parlor_tests::host::Home;
use parlor_tests::minisign::Key;
use parlor_tests::plugins::digest_of;
use parlor_tests::web::Web;
use serde_json::{Value, json};

use super::ended;
use super::sources::{add, policy, run, says, version, web};

const MANIFESTS: &str = "/v2/plugins/echo/manifests";
const BLOBS: &str = "/v2/plugins/echo/blobs";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const SIGNATURE: &str = "application/vnd.minisign";
/// A password that only its token service may see, in any encoding.
const PASSWORD: &str = "s3cr3t-2210";

fn reference(web: &Web, what: &str) -> String {
    format!("oci://{}/plugins/echo{what}", web.host())
}

/// Builds a manifest of these layers, each a type and its bytes, and serves the layers.
fn manifest(web: &Web, layers: &[(&str, &[u8])], more: &Value) -> Vec<u8> {
    let layers = layers.iter().map(|(kind, bytes)| {
        web.put(&format!("{BLOBS}/{}", digest_of(bytes)), bytes);
        json!({ "mediaType": kind, "digest": digest_of(bytes), "size": bytes.len() })
    });
    let mut whole = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": {}, "layers": layers.collect::<Vec<_>>(),
    });
    whole.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    whole.to_string().into_bytes()
}

/// Serves echo as `0.1.0`, and returns the digest of its manifest.
fn push(web: &Web, bytes: &[u8]) -> String {
    web.push("plugins/echo", "0.1.0", bytes)
}

fn basic(password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("me:{password}")))
}

/// Serves echo to clients with a token, and a token to clients with the password.
fn private(web: &Web) {
    push(web, &version("0.1.0"));
    let challenge = format!("Bearer realm=\"{}\",service=\"a registry\",scope=\"x\"", web.url("/token"));
    web.guard("/v2/", "Bearer t0k3n", &challenge);
    web.guard("/token", &basic(PASSWORD), "Basic realm=\"x\"");
    web.put("/token?scope=repository:plugins/echo:pull&service=a%20registry", "{\"token\":\"t0k3n\"}");
}

/// Stores a log-in as docker does.
fn keep(home: &Home, auths: &Value) -> PathBuf {
    home.write("auth.json", &auths.to_string()).unwrap()
}

fn auth(password: &str) -> Value {
    json!({ "auth": BASE64_STANDARD.encode(format!("me:{password}")) })
}

/// Removes echo, so that it can be installed again.
async fn remove(home: &Home) {
    run(home, &["remove", "echo", "--yes"], 0).await;
}

#[tokio::test]
async fn a_component_is_pulled_from_a_registry_and_held_to_its_digests() {
    let (home, web) = web().await;
    let echo = version("0.1.0");
    let digest = digest_of(&echo);
    let of = |layers: &str| {
        format!(
            "{{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"config\":{{}},\"layers\":[{layers}]}}"
        )
    };
    let layer = |kind: &str, digest: &str, size: usize| {
        format!("{{\"mediaType\":\"{kind}\",\"digest\":\"{digest}\",\"size\":{size}}}")
    };
    let whole = of(&layer("application/wasm", &digest, echo.len()));
    web.put(&format!("{MANIFESTS}/0.1.0"), &whole);
    web.put(&format!("{MANIFESTS}/{}", digest_of(whole.as_bytes())), &whole);
    web.put(&format!("{BLOBS}/{digest}"), &echo);
    let reference = |what: &str| reference(&web, what);
    add(&home, &reference(":0.1.0"), 0).await;
    assert!(policy(&home).contains(&format!("source = \"{}\"", reference(":0.1.0"))));
    run(&home, &["remove", "echo", "--yes"], 0).await;
    add(&home, &reference(&format!("@{}", digest_of(whole.as_bytes()))), 0).await;
    run(&home, &["remove", "echo", "--yes"], 0).await;

    // The tag moves, so it no longer matches the pinned digest.
    let zeros = format!("sha256:{}", "0".repeat(64));
    web.put(&format!("{MANIFESTS}/{zeros}"), &whole);
    says(
        &add(&home, &reference(&format!(":0.1.0@{zeros}")), 1).await,
        "was asked for; whoever runs the registry changed it",
    );
    web.put(&format!("{BLOBS}/{digest}"), version("6.6.6"));
    says(&add(&home, &reference(":0.1.0"), 1).await, "whoever runs the registry changed it");
    let two = format!("{0},{0}", layer("application/wasm", &digest, 1));
    for (text, words) in [
        (of(&two), "has not just one layer of the type application/wasm"),
        (of(&layer("application/tar", &digest, 1)), "has not just one layer"),
        (of(&layer("application/wasm", "md5:x", 1)), "a digest begins with `sha256:`"),
        (of(&layer("application/wasm", &digest, 1 << 40)), "has more than 67108864 bytes"),
        ("{}".to_owned(), "has not just one layer"),
        ("<html>".to_owned(), "its manifest cannot be read"),
        (whole.replace("image.manifest.v1", "image.manifest.v7"), "its manifest is of the type"),
    ] {
        web.put(&format!("{MANIFESTS}/bad"), text);
        says(&add(&home, &reference(":bad"), 1).await, words);
    }
    // Lists are accepted, so that the registry sends them, and refused with a message. The owner must choose an entry.
    let one = digest_of(whole.as_bytes());
    let several = |kind: &str| {
        let entry = |digest: &str| json!({ "mediaType": MANIFEST, "digest": digest, "size": 1, "annotations": null });
        json!({ "mediaType": kind, "manifests": [entry(&one), entry(&zeros)] }).to_string()
    };
    for kind in [INDEX, "application/vnd.docker.distribution.manifest.list.v2+json"] {
        web.put(&format!("{MANIFESTS}/bad"), several(kind));
        let refused = add(&home, &reference(":bad"), 1).await;
        says(&refused, "it is a list of 2 manifests");
        says(&refused, &format!("such as {}", reference(&format!("@{one}"))));
        let request = web.requests().into_iter().rfind(|request| request.contains("/bad ")).unwrap();
        assert!(request.contains(kind), "{request}");
    }
    assert!(!policy(&home).contains("[plugin.echo"));
    for bad in ["oci://", "oci://localhost", "oci://localhost/UPPER", "oci://localhost/a@sha256:1"] {
        says(&add(&home, bad, 2).await, "is not a reference of a registry");
    }
}

#[tokio::test]
async fn what_other_tools_push_is_taken_and_long_ways_are_gone() {
    let (home, web) = web().await;
    let echo = version("0.1.0");
    for kind in [
        "application/vnd.wasm.content.layer.v1+wasm",
        "application/vnd.module.wasm.content.layer.v1+wasm",
        "application/vnd.bytecodealliance.wasm.component.layer.v0+wasm",
    ] {
        web.put(&format!("{MANIFESTS}/0.1.0"), manifest(&web, &[(kind, &echo)], &json!({})));
        add(&home, &reference(&web, ":0.1.0"), 0).await;
        remove(&home).await;
    }
    // `oras push registry/x:1 echo.wasm` creates this, which has no more than the file's name.
    let layer = json!({
        "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest_of(&echo), "size": echo.len(),
        "annotations": { "org.opencontainers.image.title": "echo.wasm" },
    });
    web.put(&format!("{MANIFESTS}/0.1.0"), manifest(&web, &[], &json!({ "layers": [layer] })));
    // Registries in a cloud redirect to their storage like this.
    let token = "x".repeat(3_000);
    web.redirect(&format!("{BLOBS}/{}", digest_of(&echo)), &web.url(&format!("/blob?token={token}")));
    web.put(&format!("/blob?token={token}"), &echo);
    let added = add(&home, &reference(&web, ":0.1.0"), 0).await;
    assert!(added.stdout.contains(&format!("led to    {}?…\n", web.url("/blob"))), "{}", added.stdout);
}

#[tokio::test]
async fn who_is_known_to_a_registry_is_said_to_its_token_service_and_the_token_to_the_registry_alone() {
    let (home, web) = web().await;
    let cdn = Web::start_as(web.certificate()).await.unwrap();
    private(&web);
    // The blob itself is on another host, as with most registries.
    let blob = format!("{BLOBS}/{}", digest_of(&version("0.1.0")));
    web.redirect(&blob, &cdn.url("/blob"));
    cdn.put("/blob", version("0.1.0"));
    let source = reference(&web, ":0.1.0");
    says(&add(&home, &source, 1).await, "to nobody without a log-in: let `docker login localhost");
    keep(&home, &json!({ "auths": { "example.org": auth(PASSWORD), "localhost": auth(PASSWORD) } }));
    says(&add(&home, &source, 1).await, "to nobody without a log-in");
    assert!(!web.requests().iter().any(|request| request.contains("Basic")), "it is for another registry");

    let file = keep(&home, &json!({ "auths": { web.host(): auth(PASSWORD) } }));
    let added = add(&home, &source, 0).await;
    for request in web.requests() {
        let target = request.split(' ').nth(1).unwrap().to_owned();
        assert_eq!(request.contains(&basic(PASSWORD)), request.contains("Basic"), "{request}");
        assert!(!request.contains("Basic") || target.starts_with("/token?"), "{request}");
        assert!(!request.contains("t0k3n") || target.starts_with("/v2/"), "{request}");
    }
    assert!(!cdn.requests().is_empty());
    assert!(cdn.requests().iter().all(|request| !request.contains("authorization")), "{:?}", cdn.requests());
    for shown in [&added.stdout, &added.stderr, &policy(&home)] {
        assert!(!shown.contains(PASSWORD) && !shown.contains("t0k3n"), "{shown}");
    }
    remove(&home).await;

    keep(&home, &json!({ "auths": { web.host(): auth("wrong-2210") } }));
    let refused = add(&home, &source, 1).await;
    says(&refused, &format!("does not give plugins/echo to the log-in in {}", file.display()));
    assert!(!refused.stderr.contains("2210"), "{refused:?}");
    // The log-in that the owner gives takes precedence over the stored one.
    let given = home.write("password", &format!("{PASSWORD}\n")).unwrap();
    let with = |file: &str| {
        ["add", &source, "--yes", "--grant-all", "--username", "me", "--password-file", file].map(str::to_owned)
    };
    let call = async |file: &str, input: &str, code: i32| {
        let arguments = with(file);
        let arguments: Vec<_> = ["plugin"].into_iter().chain(arguments.iter().map(String::as_str)).collect();
        ended(home.run_with(&arguments, input).await.unwrap(), code)
    };
    std::fs::set_permissions(&given, std::fs::Permissions::from_mode(0o644)).unwrap();
    says(&call("password", "", 1).await, "others on this machine may read the password: chmod 600 password");
    std::fs::set_permissions(&given, std::fs::Permissions::from_mode(0o600)).unwrap();
    call("password", "", 0).await;
    remove(&home).await;
    call("-", &format!("{PASSWORD}\n"), 0).await;
    remove(&home).await;
    says(&call("-", "", 1).await, "there is no password in -");
    says(&call("-", &"x".repeat(70_000), 1).await, "has more than 65536 bytes");
    says(&call("-", "wrong-2210\n", 1).await, "does not give plugins/echo to the log-in that was given");
    run(&home, &["add", &source, "--username", "me"], 2).await;
    run(&home, &["update", "--all", "--username", "me", "--password-file", "password"], 2).await;
}

#[tokio::test]
async fn a_log_in_is_not_sent_to_where_a_registry_leads() {
    let (home, web) = web().await;
    let other = Web::start_as(web.certificate()).await.unwrap();
    private(&web);
    keep(&home, &json!({ "auths": { web.host(): auth(PASSWORD), other.host(): auth(PASSWORD) } }));
    let challenge = |url: &str| format!("Bearer realm=\"{url}\",service=\"a registry\"");
    // The registry redirects to another host that asks for a log-in.
    web.guard("/v2/", "nothing", &challenge(&other.url("/token")));
    web.redirect(&format!("/open{MANIFESTS}/0.1.0"), &other.url("/v2/x"));
    other.guard("/v2/", "nothing", &challenge(&other.url("/token")));
    let leading = Web::start_as(web.certificate()).await.unwrap();
    leading.redirect(&format!("{MANIFESTS}/0.1.0"), &other.url("/v2/x"));
    keep(&home, &json!({ "auths": { leading.host(): auth(PASSWORD), other.host(): auth(PASSWORD) } }));
    let led = add(&home, &reference(&leading, ":0.1.0"), 1).await;
    says(&led, &format!("leads to {}, which wants a log-in; none is sent", other.host()));
    // Its token service redirects to another host.
    keep(&home, &json!({ "auths": { web.host(): auth(PASSWORD) } }));
    web.guard("/v2/", "Bearer t0k3n", &challenge(&web.url("/moved")));
    web.redirect("/moved?scope=repository:plugins/echo:pull&service=a%20registry", &other.url("/token"));
    says(&add(&home, &reference(&web, ":0.1.0"), 1).await, "does not give plugins/echo");
    // Its token service is not reached within TLS.
    web.guard("/v2/", "Bearer t0k3n", &challenge("http://localhost/token"));
    says(&add(&home, &reference(&web, ":0.1.0"), 1).await, "nothing goes over the web without TLS");
    assert!(other.requests().iter().all(|request| !request.contains("authorization")), "{:?}", other.requests());
}

#[tokio::test]
async fn log_ins_are_kept_in_each_way_that_docker_keeps_them() {
    let (mut home, web) = web().await;
    private(&web);
    let source = reference(&web, ":0.1.0");
    // A helper, which receives the registry on its standard input.
    let helper = format!(
        "#!/bin/sh\nread -r server\n[ \"$1\" = get ] && [ \"$server\" = {} ] || {{ echo credentials not found in native keychain; exit 1; }}\n\
         echo '{{\"ServerURL\":\"x\",\"Username\":\"me\",\"Secret\":\"{PASSWORD}\"}}'\n",
        web.host()
    );
    let path = home.write("bin/docker-credential-scripted", &helper).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let silent = home.write("bin/docker-credential-silent", "#!/bin/sh\necho s3cr3t-2210; exit 1\n").unwrap();
    std::fs::set_permissions(&silent, std::fs::Permissions::from_mode(0o755)).unwrap();
    let programs = format!("{}:{}", home.path().join("bin").display(), std::env::var("PATH").unwrap());
    home.set_environment("PATH", &programs);
    for kept in [
        json!({ "credHelpers": { web.host(): "scripted" }, "credsStore": "silent" }),
        json!({ "credsStore": "scripted", "auths": { web.host(): {} } }),
    ] {
        keep(&home, &kept);
        add(&home, &source, 0).await;
        remove(&home).await;
    }
    keep(&home, &json!({ "credHelpers": { "example.org": "scripted" } }));
    says(&add(&home, &source, 1).await, "to nobody without a log-in");
    for (helper, words) in
        [("silent", "gives no log-in"), ("absent", "cannot be run"), ("../x", "is no name of a helper")]
    {
        keep(&home, &json!({ "credsStore": helper }));
        let refused = add(&home, &source, 1).await;
        says(&refused, &format!("docker-credential-{helper}"));
        says(&refused, words);
        assert!(!refused.stderr.contains(PASSWORD), "{refused:?}");
    }
    home.write("auth.json", "{\"auths\": s3cr3t-2210").unwrap();
    let broken = add(&home, &source, 1).await;
    says(&broken, "cannot be read (line 1, column");
    assert!(!broken.stderr.contains(PASSWORD), "{broken:?}");

    // An identity token is exchanged for a token that may pull.
    keep(&home, &json!({ "auths": { web.host(): { "identitytoken": "ident+ity" } } }));
    let challenge = format!("Bearer realm=\"{}\",service=\"r\"", web.url("/exchange"));
    web.guard("/v2/", "Bearer t0k3n", &challenge);
    web.put("/exchange", "{\"token\":\"\",\"access_token\":\"t0k3n\"}");
    add(&home, &source, 0).await;
    let posted = web.requests().into_iter().find(|request| request.starts_with("POST /exchange ")).unwrap();
    let form = "grant_type=refresh_token&client_id=parlor&scope=repository:plugins/echo:pull&service=r&refresh_token=ident%2Bity";
    assert!(posted.ends_with(form), "{posted}");
    remove(&home).await;

    // This registry requires the password itself.
    keep(&home, &json!({ "auths": { format!("https://{}/v2/", web.host()): auth(PASSWORD) } }));
    web.guard("/v2/", &basic(PASSWORD), "Basic realm=\"x\"");
    add(&home, &source, 0).await;
}

#[tokio::test]
async fn a_signature_is_an_artifact_that_refers_to_the_component() {
    let (home, web) = web().await;
    let (alice, mallory) = (Key::new(), Key::new());
    let keys = format!("require_signature = true\n\n[key.alice]\npublic = \"{}\"\n", alice.public());
    home.write("plugins.toml", &keys).unwrap();
    let one = version("0.1.0");
    let subject = push(&web, &one);
    let source = reference(&web, ":0.1.0");
    let unsigned = "is not signed by anybody whom you trust";
    let refused = add(&home, &source, 1).await;
    says(&refused, unsigned);
    says(&refused, "a signature is an artifact of the type application/vnd.minisign that refers to it");

    let listed = format!("/v2/plugins/echo/referrers/{subject}?artifactType={SIGNATURE}");
    let tagged = format!("{MANIFESTS}/{}", subject.replace(':', "-"));
    let refers =
        |to: &str| json!({ "artifactType": SIGNATURE, "subject": { "mediaType": MANIFEST, "digest": to, "size": 1 } });
    // Builds an artifact as `oras attach` does, and returns its entry in the list.
    let attach = |kind: &str, files: &[&str], to: &str| {
        let files: Vec<_> =
            files.iter().map(|text| ("application/vnd.oci.image.layer.v1.tar", text.as_bytes())).collect();
        let bytes = manifest(&web, &files, &refers(to));
        web.put(&format!("{MANIFESTS}/{}", digest_of(&bytes)), &bytes);
        json!({ "mediaType": MANIFEST, "artifactType": kind, "digest": digest_of(&bytes), "size": bytes.len() })
    };
    let index = |all: &[Value]| json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": all }).to_string();
    let good = alice.sign(&one, "echo 0.1.0");
    let wrong = alice.sign(b"something else", "x");
    let foreign = mallory.sign(&one, "x");
    for (all, words) in [
        (vec![], unsigned.to_owned()),
        (vec![attach("application/vnd.example.sbom", &[&good], &subject)], unsigned.to_owned()),
        (
            vec![attach(SIGNATURE, &[&foreign], &subject)],
            format!("signed by the key {}, which plugins.toml does not trust", mallory.id()),
        ),
        (vec![attach(SIGNATURE, &[&wrong], &subject)], "says that it is by alice, and is not".to_owned()),
        (vec![attach(SIGNATURE, &["nonsense"], &subject)], "is none that minisign makes".to_owned()),
        (vec![attach(SIGNATURE, &[&"x".repeat(20_000)], &subject)], "has more than 16384 bytes".to_owned()),
        (vec![attach(SIGNATURE, &[&good, &good], &subject)], "has not just one file".to_owned()),
        (vec![attach(SIGNATURE, &[&good], &digest_of(b"other"))], "refers to something else".to_owned()),
    ] {
        web.put(&listed, index(&all));
        says(&add(&home, &source, 1).await, &words);
    }
    web.put(&listed, "[]");
    says(&add(&home, &source, 1).await, "the list of what refers to it cannot be read");
    assert_eq!(policy(&home), keys);

    // One valid signature is enough, with any other attachments.
    let both = [attach(SIGNATURE, &[&foreign], &subject), attach(SIGNATURE, &[&good], &subject)];
    web.put(&listed, index(&both));
    let added = add(&home, &source, 0).await;
    assert!(added.stdout.contains("signed by alice, who says “echo 0.1.0”"), "{}", added.stdout);
    assert!(policy(&home).contains("signer = \"alice\""));
    remove(&home).await;
    // An entry that was deleted or is invalid does not hinder either. The list may have several pages.
    let gone = json!({ "mediaType": MANIFEST, "artifactType": SIGNATURE, "digest": digest_of(b"gone"), "size": 1 });
    let link = format!("</v2/plugins/echo/referrers/{subject}?page=1>; rel=\"prev\", <?page=2>; rel=\"next\"");
    let first = index(&[gone, attach(SIGNATURE, &[&good, &good], &subject)]);
    web.put_raw(&listed, format!("HTTP/1.1 200 OK\r\nlink: {link}\r\n\r\n{first}"));
    let second = format!("/v2/plugins/echo/referrers/{subject}?page=2");
    web.put(&second, index(&both));
    add(&home, &source, 0).await;
    assert!(policy(&home).contains("signer = \"alice\""));
    remove(&home).await;
    web.put_raw(&second, "HTTP/1.1 503 Not Now\r\n\r\n");
    says(&add(&home, &source, 1).await, "is signed cannot be seen");
    // A registry without such lists has one under a tag.
    web.remove(&listed);
    says(&add(&home, &source, 1).await, unsigned);
    web.put(&tagged, index(&both));
    add(&home, &source, 0).await;
    // An unsigned update does not replace a signed version.
    push(&web, &version("0.2.0"));
    says(&run(&home, &["update", "echo", "--yes"], 1).await, unsigned);
    home.write("plugins.toml", &policy(&home).replace("require_signature = true\n", "")).unwrap();
    says(&run(&home, &["update", "echo", "--yes"], 1).await, "echo was signed by alice");
}

#[tokio::test]
async fn a_registry_that_lists_nothing_that_refers_to_a_component_gives_one_without_signatures() {
    let (home, web) = web().await;
    let elsewhere = Web::start_as(web.certificate()).await.unwrap();
    let gone = Web::start_as(web.certificate()).await.unwrap();
    let nobody_there = gone.url("/x");
    drop(gone);
    let one = version("0.1.0");
    let subject = push(&web, &one);
    let source = reference(&web, ":0.1.0");
    let pinned = reference(&web, &format!(":0.1.0@sha256:{}", "0".repeat(64)));
    web.put(
        &format!("{MANIFESTS}/sha256:{}", "0".repeat(64)),
        manifest(&web, &[("application/wasm", &one)], &json!({})),
    );
    let listed = format!("/v2/plugins/echo/referrers/{subject}?artifactType={SIGNATURE}");
    let tagged = format!("{MANIFESTS}/{}", subject.replace(':', "-"));
    elsewhere.put_raw("/busy", "HTTP/1.1 429 Too Many Requests\r\n\r\n");
    elsewhere.put_raw("/page", "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n<!doctype html>");
    let answers = |web: &Web, answer: &str| web.put_raw(&listed, answer.to_owned());
    let led = |to: &str| format!("HTTP/1.1 303 See Other\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n");

    let alice = Key::new();
    let key = format!("[key.alice]\npublic = \"{}\"\n", alice.public());
    let signature = alice.sign(&one, "echo 0.1.0");
    let refers =
        json!({ "artifactType": SIGNATURE, "subject": { "mediaType": MANIFEST, "digest": subject, "size": 1 } });
    let attached = manifest(&web, &[("application/vnd.oci.image.layer.v1.tar", signature.as_bytes())], &refers);
    web.put(&format!("{MANIFESTS}/{}", digest_of(&attached)), &attached);
    let entry = json!({ "mediaType": MANIFEST, "artifactType": SIGNATURE, "digest": digest_of(&attached), "size": attached.len() });
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [entry] }).to_string();

    for answer in [
        // GitHub's redirect leads to pages that are overloaded, Google's to a log-in page.
        led(&elsewhere.url("/busy")),
        led(&elsewhere.url("/page")),
        led(&nobody_there),
        led("http://localhost/login"),
        led(&listed),
        "HTTP/1.1 406 Not Acceptable\r\n\r\n".to_owned(),
        "HTTP/1.1 501 Not Implemented\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n<!doctype html>".to_owned(),
        "HTTP/1.1 200 OK\r\n\r\n{\"schemaVersion\":2,\"manifests\":null}".to_owned(),
        "HTTP/1.1 200 OK\r\n\r\n{}".to_owned(),
    ] {
        answers(&web, &answer);
        home.write("plugins.toml", &key).unwrap();
        let added = add(&home, &source, 0).await;
        assert!(added.stdout.contains("signed by nobody whom you trust\n"), "{answer}: {}", added.stdout);
        remove(&home).await;
        // If a signature is required, such an answer causes a refusal. The digest is always checked, with any other
        // answers of the registry.
        home.write("plugins.toml", &format!("require_signature = true\n\n{key}")).unwrap();
        says(&add(&home, &source, 1).await, "is not signed by anybody whom you trust");
        says(&add(&home, &pinned, 1).await, "was asked for; whoever runs the registry changed it");
        // A list under a tag counts there.
        web.put(&tagged, &index);
        add(&home, &source, 0).await;
        assert!(policy(&home).contains("signer = \"alice\""), "{answer}");
        remove(&home).await;
        web.remove(&tagged);
    }

    // A registry that is broken or overloaded may have a signature that cannot be seen at the moment.
    for status in ["429 Too Many Requests", "503 Service Unavailable"] {
        answers(&web, &format!("HTTP/1.1 {status}\r\n\r\n"));
        home.write("plugins.toml", &key).unwrap();
        let refused = add(&home, &source, 1).await;
        says(&refused, &format!("whether {source} is signed cannot be seen", source = &source[6..]));
        says(&refused, &format!("the server says {status}; try again later"));
        assert_eq!(policy(&home), key);
        run(&home, &["add", &source, "--yes", "--grant-all", "--unsigned"], 0).await;
        remove(&home).await;
        home.write("plugins.toml", &format!("require_signature = true\n\n{key}")).unwrap();
        says(&add(&home, &source, 1).await, "is signed cannot be seen");
        let unsigned = run(&home, &["add", &source, "--yes", "--grant-all", "--unsigned"], 1).await;
        says(&unsigned, "is not signed by anybody whom you trust");
        web.put(&tagged, &index);
        add(&home, &source, 0).await;
        remove(&home).await;
        web.remove(&tagged);
    }
}

#[tokio::test]
async fn what_a_registry_gives_to_everybody_needs_no_log_in_that_can_be_had() {
    let (home, web) = web().await;
    push(&web, &version("0.1.0"));
    let source = reference(&web, ":0.1.0");
    // On GitHub and Docker nothing is served without a token, and everybody gets a token.
    web.guard("/v2/", "Bearer t0k3n", &format!("Bearer realm=\"{}\",service=\"r\"", web.url("/token")));
    web.put("/token?scope=repository:plugins/echo:pull&service=r", "{\"token\":\"t0k3n\"}");
    keep(&home, &json!({ "credsStore": "absent" }));
    add(&home, &source, 0).await;
    remove(&home).await;
    home.write("auth.json", "{\"auths\": s3cr3t-2210").unwrap();
    add(&home, &source, 0).await;
    remove(&home).await;
    home.write("auth.json", "{}").unwrap();
    // Of several authentication schemes, the anonymous one is chosen.
    for between in ["\r\nwww-authenticate: ", ", "] {
        let both = format!("Basic realm=\"x\"{between}Bearer realm=\"{}\",service=\"r\"", web.url("/token"));
        web.guard("/v2/", "Bearer t0k3n", &both);
        add(&home, &source, 0).await;
        remove(&home).await;
    }
    // A token service that is broken or overloaded does not ask for a log-in.
    for status in ["429 Too Many Requests", "503 Service Unavailable"] {
        web.put_raw(
            "/token?scope=repository:plugins/echo:pull&service=r",
            format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n"),
        );
        let refused = add(&home, &source, 1).await;
        says(&refused, &format!("cannot be fetched: the server says {status}"));
        assert!(!refused.stderr.contains("docker login"), "{refused:?}");
    }
    home.write("auth.json", "{\"auths\": s3cr3t-2210").unwrap();
    // If there is no anonymous access, the error is about the log-in.
    web.remove("/token?scope=repository:plugins/echo:pull&service=r");
    says(&add(&home, &source, 1).await, "cannot be read (line 1, column");
    web.guard("/v2/", &basic(PASSWORD), "Basic realm=\"x\"");
    says(&add(&home, &source, 1).await, "cannot be read (line 1, column");
}

#[tokio::test]
async fn newer_versions_that_a_registry_has_beside_a_fixed_tag_are_named() {
    let (home, web) = web().await;
    private(&web);
    keep(&home, &json!({ "auths": { web.host(): auth(PASSWORD) } }));
    let source = reference(&web, ":0.1.0");
    add(&home, &source, 0).await;
    let tags = "/v2/plugins/echo/tags/list?n=1000";
    let still = format!("{source} still gives echo 0.1.0");
    let json = async || run(&home, &["update", "echo", "--json"], 0).await.json().unwrap();
    // The registry has no list, or an invalid one.
    let none = json().await;
    assert_eq!((&none["changed"], &none["newer"]), (&json!(false), &Value::Null));
    for answer in ["<html>", "{\"tags\":7}", &"x".repeat(2 << 20)] {
        web.put(tags, answer);
        assert_eq!(run(&home, &["update", "echo"], 0).await.stdout, format!("{still}\n"));
    }
    let list = |tags: &[&str]| json!({ "name": "plugins/echo", "tags": tags }).to_string();
    web.put(tags, list(&["0.1.0", "0.0.9", "latest", "sha256-00", "0.2.0-rc.1", "1.0", "0.3.0\u{1b}[2J"]));
    assert_eq!(run(&home, &["update", "echo"], 0).await.stdout, format!("{still}\n"));
    assert_eq!(json().await["newer"], json!([]));

    // The list may have several pages, but redirects to another host are not followed.
    let other = Web::start_as(web.certificate()).await.unwrap();
    let page =
        |next: &str, tags: &[&str]| format!("HTTP/1.1 200 OK\r\nlink: <{next}>; rel=\"next\"\r\n\r\n{}", list(tags));
    web.put_raw(tags, page("/v2/plugins/echo/tags/list?n=1000&last=v0.10.0", &["0.1.0", "v0.10.0"]));
    web.put_raw(
        "/v2/plugins/echo/tags/list?n=1000&last=v0.10.0",
        page(&other.url("/v2/plugins/echo/tags/list"), &["0.9.0", "0.2.0-rc.1"]),
    );
    let newest = reference(&web, ":v0.10.0");
    for arguments in [&["update", "echo"][..], &["update", "echo", "--check"], &["update", "--all"]] {
        assert_eq!(
            run(&home, arguments, 0).await.stdout,
            format!(
                "{still}, and its registry has newer ones: 0.10.0, 0.9.0\nto take the newest: parlor plugin update echo {newest}\n"
            )
        );
    }
    let named = json().await;
    let expected =
        json!([{ "version": "0.10.0", "source": newest }, { "version": "0.9.0", "source": reference(&web, ":0.9.0") }]);
    assert_eq!((&named["changed"], &named["version"], &named["newer"]), (&json!(false), &json!("0.1.0"), &expected));
    assert!(other.requests().is_empty(), "{:?}", other.requests());

    // None of this changes the plugin's source. An update to an explicit reference does.
    assert!(policy(&home).contains(&format!("source = \"{source}\"")), "{}", policy(&home));
    let whole = manifest(&web, &[("application/wasm", &version("0.10.0"))], &json!({}));
    web.put(&format!("{MANIFESTS}/v0.10.0"), &whole);
    run(&home, &["update", "echo", &newest, "--yes"], 0).await;
    assert!(policy(&home).contains(&format!("source = \"{newest}\"")), "{}", policy(&home));
    assert_eq!(run(&home, &["update", "echo"], 0).await.stdout, format!("{newest} still gives echo 0.10.0\n"));

    // An endless list is not read to its end.
    web.put_raw(tags, page(tags, &["0.11.0"]));
    let before = web.requests().len();
    assert_eq!(json().await["newer"][0]["version"], "0.11.0");
    let asked = web.requests()[before..].iter().filter(|request| request.contains("/tags/list")).count();
    assert!(asked < 10, "{asked}");
}

#[tokio::test]
async fn a_tag_that_is_not_there_is_answered_with_those_that_are() {
    let (home, web) = web().await;
    push(&web, &version("0.1.0"));
    let source = reference(&web, "");
    says(&add(&home, &source, 1).await, "the server says 404 Not Found");
    let tags = json!({ "name": "plugins/echo", "tags": ["0.0.9", "0.1.0", "sha256-00", "x\u{1b}[2J"] });
    web.put("/v2/plugins/echo/tags/list?n=1000", tags.to_string());
    let words = format!("{}:latest is not there; of that name its registry has 0.0.9, 0.1.0\n", &source[6..]);
    says(&add(&home, &source, 1).await, &words);
    says(&add(&home, &reference(&web, &format!("@{}", digest_of(b"x"))), 1).await, "the server says 404 Not Found");
}
