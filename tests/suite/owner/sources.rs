//! The sources of plugins and their signers: files, the web, registries, signatures.

use parlor_tests::component::with_manifest;
use parlor_tests::host::{Finished, Home};
use parlor_tests::minisign::Key;
use parlor_tests::plugins::{built, digest_of};
use parlor_tests::web::Web;

use super::{SOON, ended, home, start};

/// Prepares a host that trusts a web server.
pub(super) async fn web() -> (Home, Web) {
    let (mut home, _) = home().await;
    let web = Web::start().await.unwrap();
    home.set_environment("SSL_CERT_FILE", web.certificate().certificate_file.to_str().unwrap());
    // The log-ins of this machine's user are not used.
    home.set_environment("REGISTRY_AUTH_FILE", home.path().join("auth.json").to_str().unwrap());
    (home, web)
}

/// Builds this version of echo.
pub(super) fn version(version: &str) -> Vec<u8> {
    let edit = |text: &str| text.replacen("version = \"0.1.0\"", &format!("version = \"{version}\""), 1);
    with_manifest(&built("echo").unwrap().bytes().unwrap(), edit).unwrap()
}

pub(super) async fn run(home: &Home, arguments: &[&str], code: i32) -> Finished {
    ended(home.run(&[&["plugin"], arguments].concat()).await.unwrap(), code)
}

pub(super) async fn add(home: &Home, source: &str, code: i32) -> Finished {
    run(home, &["add", source, "--yes", "--grant-all"], code).await
}

pub(super) fn policy(home: &Home) -> String {
    std::fs::read_to_string(home.path().join("plugins.toml")).unwrap()
}

#[track_caller]
pub(super) fn says(finished: &Finished, words: &str) {
    assert!(finished.stderr.contains(words), "no {words:?} in {}", finished.stderr);
}

#[tokio::test]
async fn a_plugin_of_the_web_is_installed_updated_and_outlives_its_source() {
    let (home, web) = web().await;
    let host = start(&home, &parlor_tests::policy::Policy::default()).await;
    web.put("/files/echo.wasm?a=b", version("0.1.0"));
    web.redirect("/latest", "files/moved");
    web.redirect("/files/moved", &web.url("/files/echo.wasm?a=b"));
    let added = add(&home, &web.url("/latest"), 0).await;
    for words in [
        format!("led to    {}\n", web.url("/files/moved")),
        format!("led to    {}\n", web.url("/files/echo.wasm?a=b")),
        "signed by nobody whom you trust\n".to_owned(),
        "echo on main is running".to_owned(),
    ] {
        assert!(added.stdout.contains(&words), "no {words:?} in {}", added.stdout);
    }
    assert!(policy(&home).contains(&format!("source = \"{}\"", web.url("/latest"))), "{}", policy(&home));
    assert!(web.requests().iter().all(|request| request.contains("accept-encoding: identity\r\n")));

    // Other bytes under the same version are not accepted as an update.
    web.put("/files/echo.wasm?a=b", [version("0.1.0"), b"\0\x02\x01x".to_vec()].concat());
    says(&run(&home, &["update", "echo", "--yes"], 1).await, "is still version 0.1.0 of echo, but other bytes");
    web.put("/files/echo.wasm?a=b", version("0.2.0"));
    assert!(run(&home, &["update", "--all", "--check"], 0).await.stdout.contains("echo: 0.1.0 → 0.2.0"));
    let wanted = format!("--digest={}", digest_of(&version("0.3.0")));
    says(&run(&home, &["update", "echo", "--yes", &wanted], 1).await, "was asked for; it was changed");
    run(&home, &["update", "echo", "--yes"], 0).await;

    web.remove("/files/echo.wasm?a=b");
    let gone = run(&home, &["update", "echo", "--yes"], 1).await;
    says(&gone, "/files/echo.wasm?a=b cannot be fetched: the server says 404 Not Found");
    // The plugin keeps running, and starts again, without its source.
    drop(host);
    let host = home.start().unwrap();
    host.wait_count("plugin running", &[("plugin", "echo")], 1, SOON).await.unwrap();
    assert!(run(&home, &["list"], 0).await.stdout.contains("echo    0.2.0    yes      all       running"));
    run(&home, &["rollback", "echo", "--yes"], 0).await;
    assert!(run(&home, &["inspect", "echo"], 0).await.stdout.contains("echo 0.1.0"));
    let store = home.path().join("data/components");
    for entry in std::fs::read_dir(store).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    says(&run(&home, &["inspect", "echo"], 1).await, "is not in the component store any more");

    // This happens if plugins.toml is restored without the data folder. Nothing was changed, so no new approval is
    // needed.
    let before = policy(&home);
    drop(host);
    let host = home.start().unwrap();
    host.wait_count("plugin refused", &[("plugin", "echo")], 1, SOON).await.unwrap();
    web.put("/files/echo.wasm?a=b", version("0.1.0"));
    let check = run(&home, &["update", "echo", "--check"], 0).await.stdout;
    assert!(check.contains("echo 0.1.0 is not in the component store any more, and would be got again"), "{check}");
    run(&home, &["inspect", "echo"], 1).await;
    let again = run(&home, &["update", "echo", "--yes"], 0).await.stdout;
    assert!(again.contains("echo 0.1.0 was lost, and is in the component store again"), "{again}");
    assert!(again.contains("echo on main is running"), "{again}");
    run(&home, &["inspect", "echo"], 0).await;
    assert_eq!(policy(&home), before);
    assert!(run(&home, &["update", "echo", "--yes"], 0).await.stdout.contains("still gives echo 0.1.0"));
}

#[tokio::test]
async fn what_a_server_of_the_web_may_try_ends_in_one_sentence() {
    let (home, web) = web().await;
    let before = policy(&home);
    web.redirect("/round", "/round");
    web.redirect("/clear", "http://example.org/echo.wasm");
    web.redirect("/file", "file:///etc/passwd");
    let ok = "HTTP/1.1 200 OK\r\n";
    web.put_raw("/huge", format!("{ok}content-length: 99999999999\r\n\r\nx"));
    web.put_raw("/zipped", format!("{ok}content-encoding: gzip\r\ncontent-length: 1\r\n\r\nx"));
    web.put_raw("/coded", format!("{ok}transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n"));
    web.put_raw("/cut", format!("{ok}content-length: 10\r\n\r\nabc"));
    web.put_raw("/chunk", format!("{ok}transfer-encoding: chunked\r\n\r\nfffffffff\r\nabc"));
    web.put_raw("/nonsense", "hello\r\n\r\n");
    web.put_raw("/angry", "HTTP/1.1 500 No\r\n\r\n");
    web.put("/page", "<html>");
    for (path, words) in [
        ("/round", "leads elsewhere more than 5 times"),
        ("/clear", "leads to http://example.org/echo.wasm, which is not followed: it has to begin with https://"),
        ("/file", "leads to file:///etc/passwd, which is not followed"),
        ("/huge", "has more than 67108864 bytes"),
        ("/zipped", "comes compressed (gzip), which is not taken"),
        ("/coded", "comes compressed (gzip, chunked)"),
        ("/cut", "did not come whole (it ends too early)"),
        ("/chunk", "did not come whole (it ends too early)"),
        ("/nonsense", "did not come whole (it is no HTTP"),
        ("/angry", "the server says 500 No"),
        ("/page", "the file is not WebAssembly"),
        ("/nothing", "the server says 404 Not Found"),
    ] {
        let refused = add(&home, &web.url(path), 1).await;
        says(&refused, words);
        assert!(!refused.stderr.contains('\x1b'), "{refused:?}");
    }
    says(&add(&home, "http://localhost/echo.wasm", 2).await, "nothing goes over the web without TLS");
    let stranger = Web::start().await.unwrap();
    stranger.put("/echo.wasm", version("0.1.0"));
    says(&add(&home, &stranger.url("/echo.wasm"), 1).await, "there is no safe connection to localhost");
    drop(web);
    drop(stranger);
    assert_eq!(policy(&home), before);
    assert!(!home.path().join("data").exists());
}

#[tokio::test]
async fn a_signature_counts_only_of_a_trusted_key_for_these_very_bytes() {
    let (home, web) = web().await;
    let (alice, old, mallory) = (Key::new(), Key::new(), Key::new());
    let policy_text = format!(
        "require_signature = true\n\n[key.alice]\npublic = \"{}\"\n\n[key.old]\npublic = \"{}\"\nuntil = 2020-12-31\n",
        alice.public(),
        old.public()
    );
    home.write("plugins.toml", &policy_text).unwrap();
    let one = version("0.1.0");
    home.install_bytes("echo", &one).unwrap();
    let sign = |signature: &str| home.write("plugins/echo.wasm.minisig", signature).unwrap();
    says(&add(&home, "plugins/echo.wasm", 1).await, "is not signed by anybody whom you trust");
    for (signature, words) in [
        (
            mallory.sign(&one, "me"),
            format!("it is signed by the key {}, which plugins.toml does not trust", mallory.id()),
        ),
        (old.sign(&one, "me"), "the key of old, which counted until 2020-12-31".to_owned()),
        (alice.sign(b"something else", "me"), "says that it is by alice, and is not".to_owned()),
        (
            alice.sign(&one, "me").replace("comment: me", "comment: you"),
            "says that it is by alice, and is not".to_owned(),
        ),
        ("nonsense".to_owned(), "is none that minisign makes".to_owned()),
        ("x".repeat(20_000), "which no signature has".to_owned()),
    ] {
        sign(&signature);
        says(&add(&home, "plugins/echo.wasm", 1).await, &words);
        let looked = run(&home, &["inspect", "plugins/echo.wasm"], 0).await.stdout;
        assert!(looked.contains("signed by nobody whom you trust: ") && looked.contains(&words), "{looked}");
    }
    let unsigned = run(&home, &["add", "plugins/echo.wasm", "--yes", "--grant-all", "--unsigned"], 1).await;
    says(&unsigned, "is not signed by anybody whom you trust");
    assert_eq!(policy(&home), policy_text);

    sign(&alice.sign(&one, "echo\x1b[2J 0.1.0"));
    let looked = run(&home, &["inspect", "plugins/echo.wasm"], 0).await.stdout;
    assert!(looked.contains("signed by alice, who says “echo\\u{1b}[2J 0.1.0”"), "{looked}");
    let looked = run(&home, &["inspect", "plugins/echo.wasm", "--json"], 0).await.json().unwrap();
    assert_eq!(looked["signer"], "alice");
    let added = add(&home, "plugins/echo.wasm", 0).await;
    assert!(added.stdout.contains("signed by alice, who says “echo\\u{1b}[2J 0.1.0”"), "{}", added.stdout);
    assert!(policy(&home).contains("signer = \"alice\"") && policy(&home).starts_with(&policy_text));
    assert!(run(&home, &["inspect", "echo"], 0).await.stdout.contains("signed by alice"));

    // Without the rule, too, a plugin that was signed must stay signed.
    home.write("plugins.toml", &policy(&home).replace("require_signature = true\n", "")).unwrap();
    let two = version("0.2.0");
    web.put("/echo.wasm", &two);
    says(&run(&home, &["update", "echo", &web.url("/echo.wasm"), "--yes"], 1).await, "echo was signed by alice");
    // Another trusted signer does not replace the first one either.
    let bob = Key::new();
    let trusted = format!("{}\n[key.bob]\npublic = \"{}\"\n", policy(&home), bob.public());
    home.write("plugins.toml", &trusted).unwrap();
    web.put("/echo.wasm.minisig", bob.sign(&two, "two"));
    let other = run(&home, &["update", "echo", &web.url("/echo.wasm"), "--yes"], 1).await;
    says(&other, "echo was signed by alice, and what is offered now is signed by bob");
    web.put("/echo.wasm.minisig", alice.sign(&two, "two"));
    run(&home, &["update", "echo", &web.url("/echo.wasm"), "--yes"], 0).await;
    run(&home, &["rollback", "echo", "--yes"], 0).await;
    assert!(policy(&home).contains("signer = \"alice\""));
    let three = version("0.3.0");
    web.put("/echo.wasm", &three);
    run(&home, &["update", "echo", &web.url("/echo.wasm"), "--yes", "--unsigned", "--downgrade"], 0).await;
    assert!(!policy(&home).contains("signer"));
}

#[tokio::test]
async fn what_would_not_be_installed_today_is_not_gone_back_to() {
    let (home, web) = web().await;
    let alice = Key::new();
    let key = |rule: &str| format!("{rule}[key.alice]\npublic = \"{}\"\n", alice.public());
    home.write("plugins.toml", &key("")).unwrap();
    for (number, is_signed) in [("0.1.0", false), ("0.2.0", true), ("0.3.0", true)] {
        let (bytes, path) = (version(number), format!("/{number}.wasm"));
        web.put(&path, &bytes);
        if is_signed {
            web.put(&format!("{path}.minisig"), alice.sign(&bytes, "echo"));
        }
        if number == "0.1.0" {
            add(&home, &web.url(&path), 0).await;
        } else {
            run(&home, &["update", "echo", &web.url(&path), "--yes"], 0).await;
        }
    }
    let decided = policy(&home);
    home.write("plugins.toml", &decided.replace(&key(""), &key("require_signature = true\n\n"))).unwrap();
    says(&run(&home, &["rollback", "echo", "--yes", "--to", "0.1.0"], 1).await, "version 0.1.0 of echo was not signed");
    run(&home, &["rollback", "echo", "--yes"], 0).await;
    run(&home, &["update", "echo", &web.url("/0.3.0.wasm"), "--yes"], 0).await;
    let expired = format!("{}until = 2020-12-31\n", key("require_signature = true\n\n"));
    home.write("plugins.toml", &decided.replace(&key(""), &expired)).unwrap();
    says(&run(&home, &["rollback", "echo", "--yes"], 1).await, "version 0.2.0 of echo was not signed");
    assert!(policy(&home).contains("version = \"0.3.0\""));
    // The installed version keeps running, and the owner is notified.
    let found = ended(home.run(&["doctor", "--offline"]).await.unwrap(), 0).stdout;
    assert!(found.contains("it may run, but was not signed by anybody whom you trust today"), "{found}");
    let listed = run(&home, &["list"], 0).await.stdout;
    assert!(listed.contains("  SIGNER  ") && listed.contains("  alice   "), "{listed}");
    // If no signature is required, a rollback to an unsigned version is allowed.
    home.write("plugins.toml", &decided).unwrap();
    run(&home, &["rollback", "echo", "--yes", "--to", "0.1.0"], 0).await;
    let found = ended(home.run(&["doctor", "--offline"]).await.unwrap(), 0).stdout;
    assert!(found.contains("it may run\n"), "{found}");
}

/// This happens if another user, without access to the data folder, runs the command.
#[tokio::test]
async fn what_is_installed_and_cannot_be_read_is_neither_changed_nor_lost() {
    let (home, _) = home().await;
    home.install_bytes("echo", &version("0.1.0")).unwrap();
    add(&home, "plugins/echo.wasm", 0).await;
    home.replace("echo", &version("0.2.0")).unwrap();
    run(&home, &["update", "echo", "--yes"], 0).await;
    home.replace("echo", &version("0.3.0")).unwrap();
    let (digest, before) = (digest_of(&version("0.2.0")), policy(&home));
    let kept = home.path().join("data/components").join(digest.trim_start_matches("sha256:")).with_extension("wasm");
    // A folder cannot be read as a file, not even by root.
    std::fs::remove_file(&kept).unwrap();
    std::fs::create_dir(&kept).unwrap();
    for arguments in [
        &["inspect", "echo"][..],
        &["config", "echo"],
        &["config", "echo", "room_prefix", "x"],
        &["update", "echo", "--check"],
    ] {
        let refused = run(&home, arguments, 1).await;
        says(&refused, "which was installed as echo, cannot be read");
        assert!(!refused.stderr.contains("is not the one that was approved"), "{refused:?}");
    }
    let notes = home.path().join("data/versions/echo.json");
    std::fs::remove_file(&notes).unwrap();
    std::fs::create_dir(&notes).unwrap();
    says(&run(&home, &["rollback", "echo", "--yes"], 1).await, "what the data folder data keeps cannot be read");
    assert_eq!(policy(&home), before);
}

#[tokio::test]
async fn a_page_in_the_place_of_a_signature_is_none() {
    let (home, web) = web().await;
    web.put("/echo.wasm", version("0.1.0"));
    let (page, html) = ("<!doctype html><title>Not here</title>", "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n");
    web.put("/missing", page);
    for answer in [
        format!("{html}Not here"),
        format!("HTTP/1.1 200 OK\r\n\r\n\n{page}"),
        format!("{html}{}", page.repeat(1_000)),
        "HTTP/1.1 302 Found\r\nlocation: /missing\r\ncontent-length: 0\r\n\r\n".to_owned(),
    ] {
        web.put_raw("/echo.wasm.minisig", answer);
        home.write("plugins.toml", "").unwrap();
        let added = add(&home, &web.url("/echo.wasm"), 0).await;
        assert!(added.stdout.contains("signed by nobody whom you trust\n"), "{}", added.stdout);
        run(&home, &["remove", "echo", "--yes"], 0).await;
        // It counts as no signature if one is required, but the digest is still checked.
        home.write("plugins.toml", "require_signature = true\n").unwrap();
        says(&add(&home, &web.url("/echo.wasm"), 1).await, "is not signed by anybody whom you trust");
        let other = format!("--digest={}", digest_of(b"other"));
        let refused = run(&home, &["add", &web.url("/echo.wasm"), "--yes", "--grant-all", &other], 1).await;
        says(&refused, "was asked for; it was changed");
    }
    home.write("plugins.toml", "").unwrap();
    web.put_raw("/echo.wasm.minisig", "HTTP/1.1 503 Not Now\r\ncontent-type: text/html\r\n\r\n");
    says(&add(&home, &web.url("/echo.wasm"), 1).await, "the server says 503 Not Now");
    web.put("/echo.wasm.minisig", "nonsense");
    says(&add(&home, &web.url("/echo.wasm"), 1).await, "is none that minisign makes");
}

#[tokio::test]
async fn what_looks_like_an_address_without_its_beginning_is_answered_with_it() {
    let (home, _) = home().await;
    for (text, meant) in [
        ("ghcr.io/example/echo:0.1.0", "oci://ghcr.io/example/echo:0.1.0"),
        ("localhost:5000/echo", "oci://localhost:5000/echo"),
        ("example.org/files/echo.wasm", "https://example.org/files/echo.wasm"),
    ] {
        let refused = add(&home, text, 1).await;
        says(&refused, &format!("give the path of a plugin's file, or write {meant}"));
    }
    for text in ["plugins/none.wasm", "../none.wasm", "./a.b/none", "none.wasm"] {
        let refused = add(&home, text, 1).await;
        says(&refused, "give the path of a plugin's file");
        assert!(!refused.stderr.contains("or write"), "{}", refused.stderr);
    }
}

#[tokio::test]
async fn names_that_look_alike_are_named_both() {
    let (home, _) = home().await;
    home.install_bytes("echo", &version("0.1.0")).unwrap();
    add(&home, "plugins/echo.wasm", 0).await;
    for near in ["ech0", "ecko", "echoo", "eho", "e-cho"] {
        let bytes =
            with_manifest(&version("0.1.0"), |text| text.replacen("name = \"echo\"", &format!("name = \"{near}\""), 1));
        home.install_bytes(near, &bytes.unwrap()).unwrap();
        let refused = add(&home, &format!("plugins/{near}.wasm"), 1).await;
        says(&refused, &format!("{near} looks like echo, which is installed"));
        says(&refused, &format!("`--id {near}`"));
    }
    run(&home, &["add", "plugins/ech0.wasm", "--yes", "--grant-all", "--id", "ech0"], 0).await;
}

#[tokio::test]
async fn a_link_stays_the_source_and_leads_to_the_next_version() {
    let (home, _) = home().await;
    let link = home.path().join("plugins/echo.wasm");
    for (number, name) in [("0.1.0", "one"), ("0.2.0", "two")] {
        home.install_bytes(name, &version(number)).unwrap();
    }
    std::os::unix::fs::symlink("one.wasm", &link).unwrap();
    add(&home, "plugins/echo.wasm", 0).await;
    assert!(policy(&home).contains("source = \"plugins/echo.wasm\""), "{}", policy(&home));
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("two.wasm", &link).unwrap();
    run(&home, &["update", "echo", "--yes"], 0).await;
    assert!(run(&home, &["inspect", "echo"], 0).await.stdout.contains("echo 0.2.0"));
}
