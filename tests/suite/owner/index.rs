//! Indexes of plugins: adding, searching, installing, and attacks by their publishers and servers.

use parlor_tests::host::{Finished, Home};
use parlor_tests::minisign::Key;
use parlor_tests::plugins::{built, digest_of};
use parlor_tests::policy::Policy;
use parlor_tests::terminal::Terminal;
use parlor_tests::web::Web;
use xtask::listing;

use super::page::{compare, page};
use super::sources::{policy, says, version, web};
use super::{SOON, ended, start};

/// The words before the fields of an index on the page.
const INDEX: &str = "An entry of `parlor index list --json`";
/// The requests of echo.
const ASKS: [&str; 3] = ["messages.read", "messages.send", "rooms.send"];

async fn run(home: &Home, arguments: &[&str], code: i32) -> Finished {
    ended(home.run(arguments).await.unwrap(), code)
}

async fn add(home: &Home, name: &str, code: i32) -> Finished {
    run(home, &["plugin", "add", name, "--yes", "--grant-all"], code).await
}

/// Writes an index with this serial number.
fn index(key: &Key, serial: u32, plugins: &str) -> String {
    let key = key.public();
    format!("format = 1\nname = \"examples\"\nserial = {serial}\ndescription = \"Some\"\nkey = \"{key}\"\n{plugins}")
}

/// Writes the entry of echo in this version, which is next to the index.
fn echo(number: &str, bytes: &[u8], more: &str, asks: &[&str]) -> String {
    let digest = digest_of(bytes);
    format!(
        "[plugin.echo]\ndescription = \"Says \\u00bbit\\u00ab again\"\nlanguage = \"Rust\"\n{more}\
         [plugin.echo.version.\"{number}\"]\nsource = \"echo-{number}.wasm\"\ndigest = \"{digest}\"\npermissions = {asks:?}\n"
    )
}

/// Serves an index, with its signature.
fn publish(web: &Web, key: &Key, text: &str) {
    web.put("/all/index.toml", text);
    web.put("/all/index.toml.minisig", key.sign(text.as_bytes(), "an index"));
}

/// Serves this version of echo, signed by this key, and returns its bytes.
fn put(web: &Web, key: &Key, number: &str) -> Vec<u8> {
    let (bytes, path) = (version(number), format!("/all/echo-{number}.wasm"));
    web.put(&path, &bytes);
    web.put(&format!("{path}.minisig"), key.sign(&bytes, number));
    bytes
}

/// Prepares a host with an index that has echo 0.1.0.
pub(super) async fn prepared() -> (Home, Web, Key) {
    let ((home, web), key) = (web().await, Key::new());
    home.set_policy(&Policy::default()).unwrap();
    let bytes = put(&web, &key, "0.1.0");
    publish(&web, &key, &index(&key, 1, &echo("0.1.0", &bytes, "", &ASKS)));
    let (url, public) = (web.url("/all/index.toml"), key.public());
    let added = run(&home, &["index", "add", &url, "--key", &public, "--json"], 0).await.json().unwrap();
    compare(&page(), INDEX, &added);
    (home, web, key)
}

#[tokio::test]
async fn an_index_is_added_searched_and_installed_from() {
    let (home, web, key) = prepared().await;
    let _host = start(&home, &Policy::default()).await;
    let listed = run(&home, &["index", "list", "--json"], 0).await.json().unwrap();
    assert_eq!((&listed[0]["index"], &listed[0]["serial"]), (&"examples".into(), &1.into()));
    let page = page();
    compare(&page, INDEX, &listed);
    let found = run(&home, &["search", "echo"], 0).await.stdout;
    let sheet = "examples/echo 0.1.0  Rust\n  Says »it« again\n  asks for messages.read+send, rooms.send\n";
    assert_eq!(found, sheet);
    assert!(run(&home, &["search", "nothing"], 0).await.stdout.starts_with("nothing was found"));
    let found = run(&home, &["search", "rooms.send", "--json"], 0).await.json().unwrap();
    assert_eq!((&found[0]["name"], &found[0]["key"]), (&"echo".into(), &key.public().into()));
    compare(&page, "An entry of `parlor search --json`", &found);

    let added = add(&home, "echo", 0).await.stdout;
    assert!(added.contains("signed by its publisher") && added.contains("echo on main is running"), "{added}");
    assert!(added.contains(&format!("publisher {} (examples/echo)", key.public())), "{added}");
    for line in ["index = \"examples/echo\"".to_owned(), format!("publisher = \"{}\"", key.public())] {
        assert!(policy(&home).contains(&line), "no {line} in {}", policy(&home));
    }
    let inspected = run(&home, &["plugin", "inspect", "echo"], 0).await.stdout;
    for line in ["  signed by its publisher", "  index     examples/echo\n", &format!("  publisher {}\n", key.public())]
    {
        assert!(inspected.contains(line), "no {line} in {inspected}");
    }
    assert!(run(&home, &["search"], 0).await.stdout.contains("installed as echo"));
    let audit = run(&home, &["audit", "--kind", "pin", "--json"], 0).await.stdout;
    assert!(audit.contains("key of the index examples") && audit.contains("key of the publisher"), "{audit}");

    // A newer version comes with a newer index, and only when the owner asks for it.
    let bytes = put(&web, &key, "0.2.0");
    publish(&web, &key, &index(&key, 2, &echo("0.2.0", &bytes, "", &ASKS)));
    let still = run(&home, &["plugin", "update", "echo", "--yes"], 0).await.stdout;
    assert!(still.contains("still gives echo 0.1.0"), "{still}");
    let refreshed = run(&home, &["index", "refresh"], 0).await.stdout;
    assert_eq!(refreshed, "examples: 1 → 2, 1 plugin\n");
    let mut refreshed = run(&home, &["index", "refresh", "--json"], 0).await.json().unwrap();
    assert_eq!(refreshed[0].as_object_mut().unwrap().remove("was"), Some(2.into()));
    compare(&page, INDEX, &refreshed);
    run(&home, &["plugin", "update", "echo", "--yes"], 0).await;
    assert!(policy(&home).contains("version = \"0.2.0\"") && policy(&home).contains("index = \"examples/echo\""));
    run(&home, &["plugin", "rollback", "echo", "--yes"], 0).await;
    assert!(policy(&home).contains("version = \"0.1.0\"") && policy(&home).contains("publisher = \""));

    // An installed plugin stays when the index is removed, and so does its publisher.
    run(&home, &["index", "remove", "examples"], 0).await;
    web.put("/other.wasm", version("0.3.0"));
    let refused = run(&home, &["plugin", "update", "echo", &web.url("/other.wasm"), "--yes"], 1).await;
    says(&refused, &format!("its updates have to be signed by the key {}", key.public()));
    run(&home, &["plugin", "update", "echo", &web.url("/other.wasm"), "--yes", "--downgrade"], 0).await;
    assert!(!policy(&home).contains("publisher"), "{}", policy(&home));
    assert!(run(&home, &["index", "list"], 0).await.stdout.starts_with("no indexes"));
}

#[tokio::test]
async fn what_the_task_index_writes_is_added_searched_and_installed_from() {
    let ((home, web), key) = (web().await, Key::new());
    home.set_policy(&Policy::default()).unwrap();
    let pages = "https://example.org/plugins";
    let mut text = listing::head(7, &key.public(), Some(pages));
    for name in ["echo", "greeter", "guard"] {
        let built = built(name).unwrap();
        let told = run(&home, &["plugin", "inspect", "--json", &built.file.to_string_lossy()], 0).await.json().unwrap();
        let (entry, file) = listing::entry(&told, Some(pages)).unwrap();
        let (bytes, path) = (built.bytes().unwrap(), format!("/all/{file}"));
        web.put(&path, &bytes);
        web.put(&format!("{path}.minisig"), key.sign(&bytes, name));
        text.push_str(&entry);
    }
    publish(&web, &key, &text);
    let (url, public) = (web.url("/all/index.toml"), key.public());
    let added = run(&home, &["index", "add", &url, "--key", &public, "--json"], 0).await.json().unwrap();
    assert_eq!((&added["index"], &added["serial"], &added["plugins"]), (&"examples".into(), &7.into(), &3.into()));
    assert_eq!(added["homepage"], pages, "{added}");
    let found = run(&home, &["search", "greeter", "--json"], 0).await.json().unwrap();
    assert_eq!((&found[0]["name"], &found[0]["language"]), (&"greeter".into(), &"Rust".into()), "{found}");
    assert_eq!(found[0]["homepage"], format!("{pages}/greeter"), "{found}");
    add(&home, "greeter", 0).await;
    assert!(policy(&home).contains("index = \"examples/greeter\""), "{}", policy(&home));
}

/// The web server has a separate thread, since a terminal keeps one busy.
#[tokio::test(flavor = "multi_thread")]
async fn an_index_is_trusted_by_its_key_alone() {
    let ((home, web), key, mallory) = (web().await, Key::new(), Key::new());
    home.set_policy(&Policy::default()).unwrap();
    let (url, text) = (web.url("/all/index.toml"), index(&key, 1, ""));
    web.put("/all/index.toml", &text);
    let refused = async |arguments: &[&str], code: i32, words: &str| {
        says(&run(&home, &[&["index", "add", &url], arguments].concat(), code).await, words);
    };
    let public = key.public();
    refused(&["--key", &public], 1, "is not signed; the signature of an index lies beside it").await;
    web.put("/all/index.toml.minisig", mallory.sign(text.as_bytes(), "me"));
    refused(&["--key", &public], 1, "is not signed by the key").await;
    // It claims a key that did not sign it, so no question is asked.
    refused(&[], 1, "is not signed by the key").await;
    web.put("/all/index.toml.minisig", key.sign(text.replace("Some", "More").as_bytes(), "me"));
    refused(&["--key", &public], 1, "is not signed by the key").await;
    publish(&web, &key, &text);
    refused(&[], 3, "nobody can be asked here whether that is the right one").await;
    refused(&["--key", "x"], 2, "is not a public key of minisign").await;
    refused(&["--key", &mallory.public()], 1, "is not signed by the key").await;
    publish(&web, &key, &text.replace("format = 1", "format = 9"));
    refused(&["--key", &public], 1, "has a format that this parlor does not know").await;
    let wild = text.replace("description = \"Some\"", "description = 1\n\"\\u001b[2J\" = 2");
    publish(&web, &key, &wild);
    let said = run(&home, &["index", "add", &url, "--key", &public], 1).await;
    assert!(!said.stderr.contains('\x1b'), "{said:?}");
    let ok = "HTTP/1.1 200 OK\r\n";
    web.put_raw("/all/index.toml", format!("{ok}content-length: 99999999\r\n\r\nx"));
    refused(&["--key", &public], 1, "has more than 4194304 bytes").await;
    let nothing = run(&home, &["index", "add", "nofile.toml"], 1).await;
    assert!(!nothing.stderr.contains("plugins.toml"), "it is no plugin: {nothing:?}");
    says(&nothing, "give the path of an index");
    says(&run(&home, &["index", "add", "oci://localhost/x:1"], 1).await, "a registry has no indexes");
    says(&run(&home, &["index", "add", "http://localhost/x"], 2).await, "nothing goes over the web without TLS");
    assert!(run(&home, &["index", "list"], 0).await.stdout.starts_with("no indexes"));

    // A key that the owner trusts anyway needs no question, and at a terminal a person decides.
    publish(&web, &key, &text);
    home.write("plugins.toml", &format!("[key.alice]\npublic = \"{public}\"\n")).unwrap();
    run(&home, &["index", "add", &url], 0).await;
    says(&run(&home, &["index", "add", &url], 1).await, "there is an index examples already");
    run(&home, &["index", "remove", "examples"], 0).await;
    home.set_policy(&Policy::default()).unwrap();
    let mut terminal = Terminal::start(home.command(["index", "add", &url, "--name", "mine"]).unwrap()).unwrap();
    terminal.sees("Trust it for this index?", SOON).unwrap();
    terminal.types("y").unwrap();
    assert_eq!(terminal.ended(SOON).unwrap().0, Some(0));
    assert!(run(&home, &["index", "list"], 0).await.stdout.contains("mine"));
}

#[tokio::test]
async fn an_older_index_and_one_of_another_key_are_not_taken() {
    let (home, web, key) = prepared().await;
    let bytes = version("0.1.0");
    let of = |serial| index(&key, serial, &echo("0.1.0", &bytes, "", &ASKS));
    publish(&web, &key, &of(5));
    run(&home, &["index", "refresh", "examples"], 0).await;
    for (text, words) in [
        (of(4), "has the serial number 4, but 5 is known"),
        (of(5).replace("Some", "More"), "has other contents under the same serial number 5"),
        (of(6).replace("name = \"examples\"", "name = \"others\""), "calls itself others"),
    ] {
        publish(&web, &key, &text);
        let refused = run(&home, &["index", "refresh"], 1).await;
        says(&refused, "parlor: examples: ");
        says(&refused, words);
        assert!(!refused.stdout.contains(words), "{words:?} is told twice: {refused:?}");
    }
    let mallory = Key::new();
    publish(&web, &mallory, &index(&mallory, 7, ""));
    says(&run(&home, &["index", "refresh"], 1).await, "is not signed by the key");
    let listed = run(&home, &["index", "list", "--json"], 0).await.json().unwrap();
    assert_eq!((&listed[0]["serial"], &listed[0]["key"]), (&5.into(), &key.public().into()));
    assert!(run(&home, &["search"], 0).await.stdout.contains("examples/echo"));
}

#[tokio::test]
async fn a_file_that_is_not_what_the_index_says_is_not_installed() {
    let (home, web, key) = prepared().await;
    let before = policy(&home);
    let mut serial = 1;
    let mut issue = |plugins: String| {
        serial += 1;
        publish(&web, &key, &index(&key, serial, &plugins));
    };
    // Other bytes, but signed by the publisher.
    let other = [version("0.1.0"), b"\0\x02\x01x".to_vec()].concat();
    web.put("/all/echo-0.1.0.wasm", &other);
    web.put("/all/echo-0.1.0.wasm.minisig", key.sign(&other, "other"));
    says(&add(&home, "echo", 1).await, "was asked for; it was changed");
    // The bytes of the index, signed by another key, and unsigned.
    let mallory = Key::new();
    put(&web, &mallory, "0.1.0");
    says(&add(&home, "examples/echo", 1).await, "is not signed by its publisher");
    web.remove("/all/echo-0.1.0.wasm.minisig");
    says(&add(&home, "examples/echo", 1).await, "is not signed by its publisher");
    let unsigned = ["plugin", "add", "echo", "--yes", "--grant-all", "--unsigned"];
    says(&run(&home, &unsigned, 2).await, "what an index names has to be signed");
    // The index says less than the component asks for, or has it under another version.
    let bytes = put(&web, &key, "0.1.0");
    issue(echo("0.1.0", &bytes, "", &ASKS[..1]));
    run(&home, &["index", "refresh"], 0).await;
    says(&add(&home, "echo", 1).await, "asks for messages.send, rooms.send, which the index does not say");
    web.put("/all/echo-9.0.0.wasm", &bytes);
    web.put("/all/echo-9.0.0.wasm.minisig", key.sign(&bytes, "9"));
    issue(echo("9.0.0", &bytes, "", &ASKS));
    run(&home, &["index", "refresh"], 0).await;
    says(&add(&home, "echo", 1).await, "but the component is echo 0.1.0");
    issue(echo("0.1.0", &bytes, "", &["messages.read", "fly.high"]));
    run(&home, &["index", "refresh"], 0).await;
    says(&add(&home, "echo", 1).await, "asks for fly.high, which this parlor does not know");
    says(&add(&home, "ehco", 1).await, "did you mean \"echo\"?");
    says(&add(&home, "other/echo", 1).await, "there is no index other");
    assert_eq!(policy(&home), before);
    // With a rule about signatures, a publisher's key is not enough.
    issue(echo("0.1.0", &bytes, "", &ASKS));
    run(&home, &["index", "refresh"], 0).await;
    home.write("plugins.toml", "require_signature = true\n").unwrap();
    says(&add(&home, "echo", 1).await, "is not signed by anybody whom you trust");
    let trusted = format!("require_signature = true\n\n[key.alice]\npublic = \"{}\"\n", key.public());
    home.write("plugins.toml", &trusted).unwrap();
    add(&home, "echo", 0).await;
    assert!(policy(&home).contains("signer = \"alice\""), "{}", policy(&home));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_key_of_a_publisher_always_asks_a_person() {
    let (home, web, key) = prepared().await;
    add(&home, "echo", 0).await;
    let mallory = Key::new();
    let bytes = put(&web, &mallory, "0.2.0");
    let theirs = format!("key = \"{}\"\n", mallory.public());
    publish(&web, &key, &index(&key, 2, &echo("0.2.0", &bytes, &theirs, &ASKS)));
    let refreshed = run(&home, &["index", "refresh"], 0).await.stdout;
    assert!(refreshed.contains("echo is by another key than before"), "{refreshed}");
    assert!(run(&home, &["search"], 0).await.stdout.contains("by another key than when it was first seen"));
    let before = policy(&home);
    let words = format!("by another key than before, {} instead of {}", mallory.public(), key.public());
    for arguments in [
        &["plugin", "update", "echo", "--yes"][..],
        &["plugin", "update", "echo", "--yes", "--downgrade"],
        &["plugin", "update", "echo", "--yes", "--json"],
        &["plugin", "add", "echo", "--id", "again", "--yes", "--grant-all"],
    ] {
        says(&run(&home, arguments, 3).await, &words);
    }
    says(&run(&home, &["plugin", "update", "echo", "--check"], 0).await, &words);
    // Removed and added again, the index forgets what it had first; the installed plugin does not.
    let url = web.url("/all/index.toml");
    run(&home, &["index", "remove", "examples"], 0).await;
    run(&home, &["index", "add", &url, "--key", &key.public()], 0).await;
    says(&run(&home, &["plugin", "update", "echo", "--yes"], 3).await, &words);
    assert_eq!(policy(&home), before);
    for (answer, code) in [("n", 3), ("y", 0)] {
        let command = home.command(["plugin", "update", "echo", "--yes"]).unwrap();
        let mut terminal = Terminal::start(command).unwrap();
        terminal.sees("Take the new key?", SOON).unwrap();
        terminal.types(answer).unwrap();
        let (ended, screen) = terminal.ended(SOON).unwrap();
        assert_eq!(ended, Some(code), "{screen}");
    }
    let publisher = format!("publisher = \"{}\"", mallory.public());
    assert!(policy(&home).contains(&publisher) && policy(&home).contains("version = \"0.2.0\""), "{}", policy(&home));
}

#[tokio::test]
async fn a_log_in_goes_to_no_registry_that_an_index_chose() {
    let (home, web, key) = prepared().await;
    add(&home, "examples/echo", 0).await;
    let before = policy(&home);
    let mallory = Web::start_as(web.certificate()).await.unwrap();
    mallory.guard("/v2/", "nothing", "Basic realm=\"x\"");
    let source = format!("oci://{}/plugins/echo:0.2.0", mallory.host());
    let entry = echo("0.2.0", &version("0.2.0"), "", &ASKS).replace("echo-0.2.0.wasm", &source);
    publish(&web, &key, &index(&key, 2, &entry));
    run(&home, &["index", "refresh"], 0).await;
    home.write("password", "s3cr3t-7141\n").unwrap();
    let login = ["--username", "me", "--password-file", "password"];
    let call = async |arguments: &[&str], code: i32| run(&home, &[arguments, &login[..]].concat(), code).await;
    let words =
        format!("an index says that examples/echo is at {source}, and a password goes only to a registry that you");
    for arguments in [
        &["plugin", "add", "examples/echo", "--id", "again", "--yes", "--grant-all"][..],
        &["plugin", "update", "echo", "--yes"],
        &["plugin", "update", "echo", "--check"],
        &["plugin", "update", "echo", "examples/echo", "--yes"],
    ] {
        let refused = call(arguments, 2).await;
        says(&refused, &words);
        says(&refused, &format!("leave out --username, or give {source} if the password is for it"));
    }
    assert!(mallory.requests().is_empty(), "{:?}", mallory.requests());
    assert_eq!(policy(&home), before);

    // It goes to a registry that the owner names, and to the one that the installed plugin is from.
    let known = || mallory.requests().iter().filter(|request| request.contains("authorization: Basic ")).count();
    let refused = call(&["plugin", "update", "echo", &source, "--yes"], 1).await;
    says(&refused, "does not give plugins/echo to the log-in that was given");
    assert_eq!(known(), 1);
    let from_there = before.replace(&web.url("/all/echo-0.1.0.wasm"), &source.replace("0.2.0", "0.1.0"));
    assert_ne!(from_there, before);
    home.write("plugins.toml", &from_there).unwrap();
    let refused = call(&["plugin", "update", "echo", "--yes"], 1).await;
    says(&refused, "does not give plugins/echo to the log-in that was given");
    assert_eq!(known(), 2);
}

/// A folder needs no server, and a file of the name comes before the index.
#[tokio::test]
async fn an_index_in_a_folder_leads_to_files_below_it_alone() {
    let ((home, _web), key) = (web().await, Key::new());
    home.set_policy(&Policy::default()).unwrap();
    let bytes = version("0.1.0");
    let folder = home.path().join("all");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("echo-0.1.0.wasm"), &bytes).unwrap();
    std::fs::write(folder.join("echo-0.1.0.wasm.minisig"), key.sign(&bytes, "echo")).unwrap();
    let issue = |text: &str| {
        std::fs::write(folder.join("index.toml"), text).unwrap();
        std::fs::write(folder.join("index.toml.minisig"), key.sign(text.as_bytes(), "index")).unwrap();
    };
    let text = index(&key, 1, &echo("0.1.0", &bytes, "", &ASKS));
    let public = key.public();
    let arguments = ["index", "add", "all/index.toml", "--key", public.as_str()];
    issue(&text.replace("source = \"", "source = \"../"));
    says(&run(&home, &arguments, 1).await, "it leads out of the folder of the index");
    issue(&text);
    run(&home, &arguments, 0).await;
    home.write("echo", "not a plugin").unwrap();
    says(&add(&home, "echo", 1).await, "the file is not WebAssembly");
    add(&home, "examples/echo", 0).await;
    assert!(policy(&home).contains("source = \"all/echo-0.1.0.wasm\""), "{}", policy(&home));
}
