//! Tests of addresses that become accounts.

use futures_util::FutureExt as _;
use parlor_base::atomic::{lock_beside, try_alone_in};
use parlor_config::Overrides;
use parlor_plugins::sample;
use parlor_runtime::compiler::Compiler;
use parlor_runtime::threads::Threads;
use parlor_store::{AuditKind, AuditQuery, By};

use super::*;

const BOTS: &str = "[settings]\nauto_login = false\n[group.bots]\n[component.bots]\ndomain = \"bots.example.org\"\n\
    password_env = \"SECRET\"\nnew_addresses = [\"*@bots.example.org\"]\nnew_addresses_group = \"bots\"\n";

fn overrides() -> Overrides {
    Overrides { environment: |_| None, variables: Vec::new, ..Overrides::default() }
}

/// A folder with this configuration.
fn place(more: &str) -> (tempfile::TempDir, Config) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("parlor.toml");
    std::fs::write(&path, format!("{BOTS}{more}")).unwrap();
    let config = Config::load(&path, &overrides()).unwrap();
    (folder, config)
}

fn newcomer(jid: &str) -> Newcomer {
    ("bots".parse().unwrap(), jid.parse().unwrap())
}

fn name(text: &str) -> AccountName {
    text.parse().unwrap()
}

fn text(folder: &tempfile::TempDir) -> String {
    std::fs::read_to_string(folder.path().join("accounts.toml")).unwrap()
}

/// Returns the names of accounts.
fn names(made: &Made) -> Vec<&str> {
    made.accounts.keys().map(AccountName::as_str).collect()
}

#[test]
fn addresses_become_accounts_of_their_component_and_group_once() {
    let (folder, config) = place("[account.help]\njid = \"bot@example.org\"\npassword_env = \"NONE\"\n");
    let coming = ["shop@bots.example.org", "help@bots.example.org", "o.neill@bots.example.org"].map(newcomer);
    let made = write(&config, coming.to_vec()).unwrap();
    assert_eq!((made.accounts.len(), made.surplus.len(), made.unfit.len()), (3, 0, 0));
    let new = config.read_again().unwrap();
    let of_component: Vec<_> = new.accounts.values().filter(|one| one.link.component().is_some()).collect();
    assert_eq!(of_component.len(), 3);
    assert!(of_component.iter().all(|one| one.group.as_ref().is_some_and(|group| group.as_str() == "bots")));
    assert_eq!(new.accounts[&name("bots--shop")].link.jid.as_str(), "shop@bots.example.org");
    assert_eq!(new.accounts[&name("help")].link.jid.as_str(), "bot@example.org", "it keeps its name");
    let before = text(&folder);
    assert!(before.starts_with(HEAD), "{before}");
    let again = write(&config, coming.to_vec()).unwrap();
    assert_eq!(
        (names(&again), text(&folder)),
        (names(&made), before),
        "an older configuration does not write them again"
    );
    let made = write(&new, coming.to_vec()).unwrap();
    assert!(made.accounts.is_empty(), "they are about to log in: {made:?}");
}

#[test]
fn a_component_has_so_many_accounts_at_most_and_then_no_file_is_read() {
    let (folder, config) = place("new_addresses_limit = 2\n");
    let coming = ["one", "two", "three"].map(|name| newcomer(&format!("{name}@bots.example.org")));
    let made = write(&config, coming.to_vec()).unwrap();
    assert_eq!((made.accounts.len(), made.surplus), (2, vec![coming[2].clone()]));
    let full = config.read_again().unwrap();
    std::fs::write(folder.path().join("parlor.toml"), "no toml").unwrap();
    let made = write(&full, coming[2..].to_vec()).unwrap();
    assert_eq!((made.accounts.len(), made.surplus), (0, coming[2..].to_vec()));
}

#[test]
fn what_others_wrote_stays_and_a_file_with_a_mistake_is_not_written() {
    let (folder, config) = place("");
    let file = folder.path().join("accounts.toml");
    std::fs::write(&file, "# Mine.\n[account.mine]\njid = \"mine@bots.example.org\"\ncomponent = \"bots\"\n").unwrap();
    let coming = vec![newcomer("new@bots.example.org")];
    write(&config, coming.clone()).unwrap();
    let after = text(&folder);
    assert!(after.starts_with("# Mine.\n[account.mine]") && after.contains("[account.bots--new]"), "{after}");
    let was = config.read_again().unwrap();
    let more = vec![newcomer("more@bots.example.org")];
    std::fs::write(&file, "[account.mine").unwrap();
    assert!(write(&config, coming).unwrap_err().contains("accounts.toml"));
    assert_eq!(text(&folder), "[account.mine");
    // A full disk or an editor may leave this behind.
    std::fs::write(&file, "").unwrap();
    assert!(write(&was, more.clone()).unwrap_err().contains("accounts.toml"));
    assert_eq!(text(&folder), "", "the accounts that were in it would seem to be removed");
    std::fs::remove_file(&file).unwrap();
    write(&was, more).unwrap_err();
    assert!(!file.exists());
}

#[test]
fn a_command_that_changes_the_accounts_holds_nothing_up() {
    let (folder, config) = place("");
    let _held = lock_beside(&folder.path().join("accounts.toml"), LOCKED, || ()).unwrap();
    let why = write(&config, vec![newcomer("new@bots.example.org")]).unwrap_err();
    assert!(why.contains("another command is changing the accounts"), "{why}");
}

/// Other users of the machine can open the folder, and lock it.
#[test]
fn nobody_who_can_open_the_folder_keeps_addresses_from_becoming_accounts() {
    let (folder, config) = place("");
    let _held = try_alone_in(folder.path());
    let made = write(&config, vec![newcomer("new@bots.example.org")]).unwrap();
    assert_eq!(made.accounts.len(), 1);
}

#[test]
fn strangers_choose_no_name_that_an_owner_may_have_in_mind() {
    let of = |jid: &str, taken: &[AccountName]| {
        name_of(&name("bots"), &jid.parse().unwrap(), |name| taken.contains(name)).unwrap()
    };
    assert_eq!(of("ops@bots.example.org", &[]), name("bots--ops"), "a plugin on ops-* does not run there");
    // Somebody computes the name that follows from another address, and has an account that is called so.
    let mut taken = Vec::<AccountName>::new();
    for _ in 0..3 {
        let free = of("o.neill@bots.example.org", &taken);
        assert_eq!(free.as_str().len(), AccountName::LONGEST);
        taken.push(free);
    }
    let long: AccountName = name(&"x".repeat(AccountName::LONGEST));
    let own = name_of(&long, &"ops@bots.example.org".parse().unwrap(), |_| false).unwrap();
    assert!(own.as_str().starts_with("xxxxxxxxxxxx--"), "{own}");
}

#[test]
fn no_pattern_or_name_of_another_account_means_what_a_stranger_makes() {
    let of = |component: &str, node: &str| {
        let jid = format!("{node}@bots.example.org").parse().unwrap();
        name_of(&name(component), &jid, |_| false).unwrap()
    };
    let means = |selector: &str, name: &AccountName| selector.parse::<Selector>().unwrap().covers(name, None);
    // Another component, accounts of the owner, and one that was removed.
    for (component, node, selector) in [
        ("shop", "a-x", "shop-a-*"),
        ("team", "admin-x", "team-admin-*"),
        ("bots", "desk", "bots-desk"),
        ("bots", "x", "bots-*"),
    ] {
        let made = of(component, node);
        assert!(!means(selector, &made), "{selector} {made}");
    }
    // Grinding an address so that its digits begin like a pattern is of no use either.
    assert!((0..200).all(|number| !means("team-a*", &of("team", &format!("a.{number}")))));
    // Each component has names of its own.
    for ((one, node), (other, of_other)) in [(("a", "b--x"), ("a--b", "x")), (("a", "-x"), ("a-", "x"))] {
        assert_ne!(of(one, node), of(other, of_other));
    }
}

#[test]
fn an_address_that_fits_no_more_keeps_no_other_one_from_becoming_an_account() {
    let (folder, config) = place("");
    let path = folder.path().join("parlor.toml");
    std::fs::write(&path, BOTS.replace("\"*@bots", "\"shop-*@bots")).unwrap();
    let coming = ["ops@bots.example.org", "shop-1@other.example.org", "shop-2@bots.example.org"].map(newcomer);
    let made = write(&config, coming.to_vec()).unwrap();
    assert_eq!((names(&made), &made.unfit[..]), (vec!["bots--shop-2"], &coming[..2]));
}

#[tokio::test]
async fn edits_of_the_owner_do_not_count_because_a_stranger_writes() {
    let (folder, config) = place("");
    let path = folder.path().join("parlor.toml");
    let host = Host::start(config, Compiler::ThisProcess { optimized: false }, Threads::of_the_caller()).await.unwrap();
    let more = "[account.later]\njid = \"later@example.org\"\npassword_env = \"NONE\"\n";
    std::fs::write(&path, format!("{BOTS}{more}").replace("auto_login = false", "auto_login = false\npriority = 7"))
        .unwrap();
    let (_, why) = make(&host, vec![newcomer("new@bots.example.org")]).await;
    assert_eq!(why, None);
    let now = host.config();
    assert_eq!(now.accounts.keys().map(AccountName::as_str).collect::<Vec<_>>(), ["bots--new"]);
    assert_ne!(now.settings, now.read_again().unwrap().settings);
    let account = host.account(&name("bots--new")).unwrap();
    assert_eq!(account.own.to_string(), "new@bots.example.org");
    let query = AuditQuery { kinds: vec![AuditKind::Account], most: 10, ..AuditQuery::default() };
    let entries = audit::of(&host).entries(query).await.unwrap();
    let found: Vec<_> = entries.iter().map(|entry| (entry.what.as_str(), entry.who.as_str())).collect();
    assert_eq!(found, [("added", "host")]);
    host.stop().await;
}

#[tokio::test]
async fn what_a_command_has_recorded_stays_its_own_if_a_stranger_writes_before_the_host_reads_it() {
    let account = |name: &str| format!("[account.{name}]\njid = \"{name}@example.org\"\npassword_env = \"NONE\"\n");
    let (folder, before) = place(&account("old"));
    let host = Host::start(before.clone(), Compiler::ThisProcess { optimized: false }, Threads::of_the_caller())
        .await
        .unwrap();
    std::fs::write(folder.path().join("parlor.toml"), format!("{BOTS}{}", account("later"))).unwrap();
    let after = before.read_again().unwrap();
    let by = By::user(7, "parlor account");
    audit::record_accounts(&before, &after, &[&name("later"), &name("old")], &by).unwrap();
    let (_, why) = make(&host, vec![newcomer("new@bots.example.org")]).await;
    assert_eq!(why, None);
    host.reconfigure(host.config().read_again().unwrap()).await;
    let query = AuditQuery { kinds: vec![AuditKind::Account], most: 10, ..AuditQuery::default() };
    let entries = audit::of(&host).entries(query).await.unwrap();
    let one = |entry: &parlor_store::AuditEntry| {
        format!("{} {} by {}", entry.account.as_deref().unwrap_or_default(), entry.what, entry.who)
    };
    let found: Vec<_> = entries.iter().map(one).collect();
    assert_eq!(found, ["later added by uid:7", "old removed by uid:7", "bots--new added by host"]);
    host.stop().await;
}

#[tokio::test]
async fn a_host_goes_on_for_addresses_that_nobody_has_written_to_yet() {
    let main = "[account.main]\njid = \"bot@example.org\"\npassword_env = \"PARLOR_NO_SUCH_PASSWORD\"\n";
    let (_folder, config) = place(&format!("{main}[account.main.settings]\nauto_login = true\n"));
    let host = Host::start(config, Compiler::ThisProcess { optimized: false }, Threads::of_the_caller()).await.unwrap();
    let mut connection = host.account(&name("main")).unwrap().connection();
    let failed = connection.wait_for(|connection| connection.over().is_some());
    tokio::time::timeout(Duration::from_secs(30), failed).await.expect("it fails soon").unwrap();
    assert!(host.all_over().now_or_never().is_none(), "the component may connect");
    host.stop().await;
}

/// Nobody answered a person who wrote soon after a new version of parlor started.
#[tokio::test]
async fn an_address_whose_plugin_waits_for_the_compiler_becomes_an_account_after_that() {
    let (folder, config) = place("[group.other]\n");
    let manifest = "[plugin]\nname = \"guest\"\nversion = \"0.1.0\"\napi = \"0.1.0\"\ndescription = \"Waits\"\n";
    let bytes = wat::parse_str(sample::plugin_with(manifest)).unwrap();
    std::fs::write(folder.path().join("guest.wasm"), &bytes).unwrap();
    let write_policy = |accounts: &str| {
        let (digest, source) = (Digest::of(&bytes), "source = \"guest.wasm\"");
        let policy = format!("[plugin.guest]\n{source}\ndigest = \"{digest}\"\n{accounts}\n");
        std::fs::write(folder.path().join("plugins.toml"), policy).unwrap();
    };
    let coming = || vec![newcomer("new@bots.example.org")];
    for (accounts, is_awaited) in
        [("", true), ("accounts = [\"group:other\"]", false), ("accounts = [\"group:bots\"]", true)]
    {
        write_policy(accounts);
        // Nobody compiles the plugin while the host is not tended.
        let compiler = Compiler::ThisProcess { optimized: false };
        let host = Host::start_at_once(config.clone(), compiler, Threads::of_the_caller()).await.unwrap();
        assert_eq!(ready(&host, coming()).await.is_empty(), is_awaited, "{accounts}");
        assert_eq!(awaited(&*host.plugins.lock().await).len(), 1, "it waits for the compiler");
        if is_awaited && accounts.contains("group") {
            let is_done = async {
                while !awaited(&*host.plugins.lock().await).is_empty() {
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! {
                biased;
                () = is_done => {}
                never = host.tend() => match never {},
            }
            assert_eq!(ready(&host, coming()).await, coming());
        }
        host.stop().await;
    }
}
