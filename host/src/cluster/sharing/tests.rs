//! Two hosts in this process and a real NATS server, without a server for their accounts.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use parlor_config::Overrides;
use parlor_nats::{Cluster as Name, KeyRing, Link, Login, Settings};
use parlor_plugins::components::Components;
use parlor_runtime::compiler::Compiler;
use parlor_runtime::threads::Threads;
use tempfile::TempDir;

use super::*;
use crate::cluster::{Cluster, reloaded};

const COMPONENT: &[u8] = b"the bytes of a component";

/// A NATS server on a free port. Dropping it ends the process.
struct Server {
    child: Child,
    port: u16,
    _folder: TempDir,
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("nats.conf");
        std::fs::write(&config, "host: 127.0.0.1\njetstream: {}\n").unwrap();
        // Debian has it where not everybody looks for programs.
        let installed = Path::new("/usr/sbin/nats-server");
        let mut command = Command::new(if installed.is_file() { installed } else { Path::new("nats-server") });
        // -1 is a free port.
        command.arg("-c").arg(config).args(["-p", "-1"]).arg("-sd").arg(folder.path().join("data"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("nats-server is installed; `cargo xtask` says how");
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let mut port = None;
        for line in lines.by_ref() {
            if let Some((_, at)) = line.split_once("Listening for client connections on 127.0.0.1:") {
                port = at.parse().ok();
            }
            if line.contains("Server is ready") {
                break;
            }
        }
        // A full pipe would hold it up.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, port: port.unwrap(), _folder: folder }
    }

    fn address(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Returns the shared texts of the nodes, as another program sees them.
    async fn shared(&self) -> (State, Shared) {
        let (servers, login) = (vec![self.address()], Login::Nothing);
        let settings = Settings { servers, login, ca_file: None, allow_unencrypted: false, replicas: 1 };
        let link = Link::connect(&settings).await.unwrap();
        let cluster = Name::new("bots", KeyRing::parse(KEY).unwrap()).unwrap();
        let state = State::open(&link, &cluster, parlor_cluster::Timing::default()).await.unwrap();
        let shared = Shared::open(&state, SharedText::Plugins).await.unwrap();
        (state, shared)
    }

    /// Writes a message as another program does, and returns once the server has it.
    fn publish(&self, subject: &str, body: &str) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(stream, "CONNECT {{\"verbose\":false}}\r\nPUB {subject} {}\r\n{body}\r\nPING\r\n", body.len()).unwrap();
        let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
        assert!(lines.any(|line| line == "PONG"), "the server answers");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be ended already.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// The key of the cluster.
const KEY: &str = "e6389e9e3f211b20 0101010101010101010101010101010101010101010101010101010101010101\n";

/// The folder of a node.
struct Home(TempDir);

impl Home {
    fn new(server: &Server, node: &str) -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        let text = format!(
            "watch = false\n[cluster]\nnats = \"{}\"\nname = \"bots\"\nkey_file = \"cluster.key\"\nnode = \"{node}\"\n[settings]\nauto_login = false\n\
             [account.main]\njid = \"bot@example.org\"\npassword_env = \"NONE\"\n",
            server.address()
        );
        std::fs::write(home.0.path().join("parlor.toml"), text).unwrap();
        let key = home.0.path().join("cluster.key");
        std::fs::write(&key, KEY).unwrap();
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
        home
    }

    fn policy(&self) -> PathBuf {
        self.0.path().join("plugins.toml")
    }

    fn accounts_file(&self) -> PathBuf {
        self.0.path().join("accounts.toml")
    }

    fn read_accounts(&self) -> String {
        std::fs::read_to_string(self.accounts_file()).unwrap_or_default()
    }

    fn write_accounts(&self, text: &str) {
        std::fs::write(self.accounts_file(), text).unwrap();
    }

    fn read(&self) -> String {
        std::fs::read_to_string(self.policy()).unwrap_or_default()
    }

    fn write(&self, text: &str) {
        std::fs::write(self.policy(), text).unwrap();
    }

    /// Returns the component as this node keeps it.
    fn component(&self) -> Option<Vec<u8>> {
        std::fs::read(Components::new(&self.0.path().join("data")).path(&Digest::of(COMPONENT))).ok()
    }

    async fn start(&self) -> Node {
        let overrides = Overrides { environment: |_| None, ..Overrides::default() };
        let config = Config::load(&self.0.path().join("parlor.toml"), &overrides).unwrap();
        let host =
            Host::start(config, Compiler::ThisProcess { optimized: false }, Threads::of_the_caller()).await.unwrap();
        let host = Arc::new(host);
        let cluster = Cluster::start(&host).await.unwrap().unwrap();
        Node { host, cluster }
    }
}

/// A node that runs.
struct Node {
    host: Arc<Host>,
    cluster: Cluster,
}

impl Node {
    fn sharing(&self) -> &Sharing {
        self.sharing_of(SharedText::Plugins)
    }

    fn sharing_of(&self, of: SharedText) -> &Sharing {
        self.host.cluster.get().unwrap().sharing.iter().find(|sharing| sharing.of == of).unwrap()
    }

    /// Takes accounts of other nodes that are new.
    async fn look_for_accounts(&self) {
        self.sharing_of(SharedText::Accounts).look(&self.host).await;
    }

    /// Has the host read its configuration, as a command does.
    async fn reload_accounts(&self) -> Result<(), SharingError> {
        read_configuration_again(&self.host).await?;
        reloaded(&self.host).await
    }

    /// Returns the names of the accounts in force.
    fn accounts(&self) -> Vec<String> {
        self.host.config().accounts.keys().map(ToString::to_string).collect()
    }

    /// Has the host read its file, as a command does.
    async fn reload(&self) -> Result<(), SharingError> {
        self.host.reload().await?;
        reloaded(&self.host).await
    }

    async fn stop(self) {
        self.cluster.leave().await;
        Arc::into_inner(self.host).unwrap().stop().await;
    }
}

/// Returns a policy with a plugin whose file lies beside it on one node.
fn policy(more: &str) -> String {
    let digest = Digest::of(COMPONENT);
    format!("[plugin.echo]\nsource = \"echo.wasm\"\ndigest = \"{digest}\"\nversion = \"0.1.0\"\n{more}")
}

/// Returns a home with a policy and the component that it names.
fn with_plugin(server: &Server, node: &str) -> Home {
    let home = Home::new(server, node);
    home.write(&policy(""));
    std::fs::write(home.0.path().join("echo.wasm"), COMPONENT).unwrap();
    home
}

/// Returns what each of so many nodes says of its policy: the number of its version, and its trouble.
async fn standings<const N: usize>(state: &State) -> [(Option<u64>, Option<String>); N] {
    let all = async {
        loop {
            // A node may not have its session yet.
            let rows: Result<[_; N], _> = state.overview().await.unwrap().nodes.try_into();
            if let Ok(rows) = rows {
                return rows;
            }
        }
    };
    let rows = tokio::time::timeout(Duration::from_mins(1), all).await.expect("all nodes are there within a minute");
    rows.map(|row| standing(&row.standings, SharedText::Plugins))
}

fn standing(all: &BTreeMap<SharedText, Standing>, of: SharedText) -> (Option<u64>, Option<String>) {
    all.get(&of).map(|standing| (standing.number, standing.trouble.clone())).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_on_one_node_counts_on_the_other_with_its_component() {
    let server = Server::start();
    let (one_home, two_home) = (with_plugin(&server, "one"), Home::new(&server, "two"));
    let one = one_home.start().await;
    two_home.write("");
    std::fs::set_permissions(two_home.policy(), std::fs::Permissions::from_mode(0o640)).unwrap();
    let two = two_home.start().await;
    assert_eq!((two_home.read(), two_home.component()), (policy(""), Some(COMPONENT.to_vec())));
    assert_eq!(two_home.policy().metadata().unwrap().permissions().mode() & 0o777, 0o640);

    one_home.write(&policy("enabled = false\n"));
    one.reload().await.unwrap();
    two.sharing().look(&two.host).await;
    assert_eq!(two_home.read(), policy("enabled = false\n"));
    assert_eq!(in_force(&two.host), Some(Digest::of(two_home.read().as_bytes())), "the host has read it");
    // The other way round, and to no plugin at all.
    two_home.write("");
    two.reload().await.unwrap();
    one.sharing().look(&one.host).await;
    assert_eq!(one_home.read(), "");
    let (state, shared) = server.shared().await;
    let version = shared.version().await.unwrap().unwrap();
    assert_eq!((version.number, version.node.as_str()), (3, "two"));
    assert_eq!(state.overview().await.unwrap().shared, BTreeMap::from([(SharedText::Plugins, version)]));
    assert_eq!(standings(&state).await, [(Some(3), None), (Some(3), None)]);
    one.stop().await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_changes_at_once_the_second_is_put_aside_and_its_owner_is_told() {
    let server = Server::start();
    let (one_home, two_home) = (with_plugin(&server, "one"), Home::new(&server, "two"));
    let (one, two) = (one_home.start().await, two_home.start().await);
    two_home.write(&policy("# of two\n"));
    one_home.write(&policy("# of one\n"));
    one.reload().await.unwrap();
    let error = two.reload().await.unwrap_err();
    assert!(matches!(&error, SharingError::Conflict { node, number: 2, .. } if node == "one"), "{error}");
    assert!(error.to_string().contains("yours is in") && error.to_string().contains("plugins.toml.mine"), "{error}");
    assert_eq!(two_home.read(), policy("# of one\n"));
    let aside = two_home.policy().with_file_name("plugins.toml.mine");
    assert_eq!(std::fs::read_to_string(aside).unwrap(), policy("# of two\n"));
    // It is told once, and the next change counts.
    two_home.write(&policy("# of two, again\n"));
    two.reload().await.unwrap();
    one.sharing().look(&one.host).await;
    assert_eq!(one_home.read(), policy("# of two, again\n"));
    one.stop().await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_down_has_the_present_version_before_it_takes_accounts() {
    let server = Server::start();
    let (one_home, two_home) = (with_plugin(&server, "one"), Home::new(&server, "two"));
    let (one, two) = (one_home.start().await, two_home.start().await);
    two.stop().await;
    one_home.write(&policy("enabled = false\n"));
    one.reload().await.unwrap();
    let two = two_home.start().await;
    assert_eq!(two_home.read(), policy("enabled = false\n"));
    assert_eq!(std::fs::read_dir(two_home.0.path()).unwrap().filter(is_aside).count(), 0);
    two.stop().await;
    // It was changed while it was down, and nobody else changed anything.
    two_home.write(&policy("# of two\n"));
    let two = two_home.start().await;
    one.sharing().look(&one.host).await;
    assert_eq!(one_home.read(), policy("# of two\n"));
    two.stop().await;
    // An empty file is what a full disk leaves.
    two_home.write("");
    let two = two_home.start().await;
    assert_eq!(two_home.read(), policy("# of two\n"));
    one.stop().await;
    two.stop().await;
}

fn is_aside(file: &std::io::Result<std::fs::DirEntry>) -> bool {
    file.as_ref().is_ok_and(|file| file.file_name().to_string_lossy().contains(".mine"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_counts_without_a_component_that_is_not_to_be_had() {
    let server = Server::start();
    let (state, shared) = server.shared().await;
    shared.publish(&policy(""), Next::of(None), "other", "0.1.0").await.unwrap().unwrap();
    let home = Home::new(&server, "one");
    let node = home.start().await;
    assert_eq!((home.read(), home.component()), (policy(""), None));
    let [(Some(1), Some(trouble))] = standings(&state).await else { panic!("no trouble") };
    assert!(trouble.contains("does not have the component of echo"), "{trouble}");
    shared.keep(COMPONENT).await.unwrap();
    node.sharing().start(&node.host).await.unwrap();
    assert_eq!(home.component().as_deref(), Some(COMPONENT));
    assert_eq!(standings(&state).await, [(Some(1), None)]);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_cannot_be_used_changes_nothing_and_a_mistake_goes_nowhere() {
    let server = Server::start();
    let home = with_plugin(&server, "one");
    let node = home.start().await;
    let (state, shared) = server.shared().await;
    // A mistake stays on its node.
    home.write("[plugin.echo\n");
    assert!(node.reload().await.is_err());
    node.sharing().look(&node.host).await;
    assert_eq!(shared.version().await.unwrap().unwrap().number, 1);
    home.write(&policy(""));
    node.reload().await.unwrap();

    let settings = "[plugin.echo.settings]\nkey = { command = \"touch canary\" }\n";
    for (text, cause) in
        [("[plugin.echo]\nnewer = true\n".to_owned(), "plugin.echo.newer"), (policy(settings), "command")]
    {
        let version = shared.version().await.unwrap();
        shared.publish(&text, Next::of(version.as_ref()), "other", "9.0.0").await.unwrap().unwrap();
        node.sharing().look(&node.host).await;
        assert_eq!(home.read(), policy(""));
        let [(Some(1), Some(trouble))] = standings(&state).await else { panic!("no trouble") };
        assert!(trouble.contains(cause) && trouble.contains("parlor 9.0.0"), "{trouble}");
        assert!(!trouble.contains("canary"), "{trouble}");
    }
    // Its own change does not undo what it cannot read.
    let newest = shared.version().await.unwrap();
    home.write(&policy("enabled = false\n"));
    let error = node.reload().await.unwrap_err();
    assert!(matches!(error, SharingError::Unusable { .. }), "{error}");
    assert_eq!((shared.version().await.unwrap(), home.read()), (newest, policy("enabled = false\n")));
    node.stop().await;
}

/// By somebody who has the key, but not by parlor: a program that only logs in to NATS can put back what it has seen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_version_that_was_put_back_changes_nothing_until_an_owner_decides() {
    let server = Server::start();
    let home = with_plugin(&server, "one");
    let node = home.start().await;
    let disabled = policy("enabled = false\n");
    home.write(&disabled);
    node.reload().await.unwrap();
    let (state, shared) = server.shared().await;
    let revoked = shared.version().await.unwrap().unwrap();
    assert_eq!(revoked.number, 2);
    let next = Next { after: revoked.revision, number: 1 };
    shared.publish(&policy(""), next, "other", "0.1.0").await.unwrap().unwrap();
    node.sharing().look(&node.host).await;
    assert_eq!(home.read(), disabled);
    let [(Some(2), Some(trouble))] = standings(&state).await else { panic!("no trouble") };
    assert!(trouble.contains("had version 2") && trouble.contains("parlor reload"), "{trouble}");
    // Also after a restart.
    node.stop().await;
    let node = home.start().await;
    assert_eq!(home.read(), disabled);
    node.reload().await.unwrap();
    let version = shared.version().await.unwrap().unwrap();
    assert_eq!((version.number, version.digest), (3, Digest::of(disabled.as_bytes())));
    assert_eq!(standings(&state).await, [(Some(3), None)]);
    node.stop().await;
}

/// Otherwise `parlor cluster status` would show what the node had before, until something changes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_that_failed_is_made_again() {
    let server = Server::start();
    let home = Home::new(&server, "one");
    let node = home.start().await;
    let (state, shared) = server.shared().await;
    // No record is written for a node without a name.
    let mut sharing = Sharing::new(shared, &node.host.config(), "bots", "");
    let (mut progress, trouble) = (Progress::default(), Some("of the test".to_owned()));
    sharing.tell(&mut progress, trouble.clone()).await;
    assert_eq!((&progress.told, &progress.logged), (&None, &trouble));
    sharing.node = "one".to_owned();
    sharing.tell(&mut progress, trouble.clone()).await;
    assert_eq!(standings(&state).await, [(None, trouble.clone())]);
    assert_eq!(progress.told.map(|told| told.trouble), Some(trouble));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_and_commands_stay_on_their_node() {
    let server = Server::start();
    let (state, shared) = server.shared().await;
    let home = with_plugin(&server, "one");
    home.write(&policy("[plugin.echo.settings]\nkey = { command = \"pass canary\" }\n"));
    let node = home.start().await;
    assert_eq!(shared.version().await.unwrap(), None);
    let [(None, Some(trouble))] = standings(&state).await else { panic!("no trouble") };
    assert!(trouble.contains("`key` of echo comes from a command") && !trouble.contains("canary"), "{trouble}");
    node.stop().await;
}

/// Returns the table of an account.
fn account(name: &str) -> String {
    format!("[account.{name}]\njid = \"{name}@example.org\"\npassword_env = \"NONE\"\n")
}

/// The accounts as another program sees them.
async fn shared_accounts(server: &Server) -> (State, Shared) {
    let (state, plugins) = server.shared().await;
    (state, plugins.about(SharedText::Accounts))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_is_added_or_removed_on_one_node_is_so_on_the_other() {
    let server = Server::start();
    let (one_home, two_home) = (Home::new(&server, "one"), Home::new(&server, "two"));
    one_home.write_accounts(&account("second"));
    let (one, two) = (one_home.start().await, two_home.start().await);
    assert_eq!(two_home.read_accounts(), account("second"));
    assert_eq!(two_home.accounts_file().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(two.accounts(), ["main", "second"]);
    // One more, from the other node.
    let both = account("second") + &account("third");
    two_home.write_accounts(&both);
    two.reload_accounts().await.unwrap();
    one.look_for_accounts().await;
    assert_eq!((one_home.read_accounts(), one.accounts().len()), (both, 3));
    // A node that is down takes the removal before it takes accounts.
    two.stop().await;
    one_home.write_accounts(&account("third"));
    one.reload_accounts().await.unwrap();
    let two = two_home.start().await;
    assert_eq!(
        (two_home.read_accounts(), two.accounts()),
        (account("third"), vec!["main".to_owned(), "third".to_owned()])
    );
    // Also all of them.
    two_home.write_accounts("# none\n");
    two.reload_accounts().await.unwrap();
    one.look_for_accounts().await;
    assert_eq!(one.accounts(), ["main"]);
    let (state, shared) = shared_accounts(&server).await;
    assert_eq!(shared.version().await.unwrap().unwrap().number, 4);
    for row in state.overview().await.unwrap().nodes {
        assert_eq!(standing(&row.standings, SharedText::Accounts), (Some(4), None), "{}", row.name);
    }
    one.stop().await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_without_an_account_takes_those_of_the_others() {
    let server = Server::start();
    let (one_home, two_home) = (Home::new(&server, "one"), Home::new(&server, "two"));
    one_home.write_accounts(&account("second"));
    let path = two_home.0.path().join("parlor.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.split_once("[account.main]").unwrap().0).unwrap();
    let two = two_home.start().await;
    assert!(two.accounts().is_empty());
    let one = one_home.start().await;
    two.look_for_accounts().await;
    assert_eq!(two.accounts(), ["second"]);
    one.stop().await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_changes_of_accounts_at_once_the_second_is_put_aside() {
    let server = Server::start();
    let (one_home, two_home) = (Home::new(&server, "one"), Home::new(&server, "two"));
    one_home.write_accounts(&account("second"));
    let (one, two) = (one_home.start().await, two_home.start().await);
    two_home.write_accounts(&account("of-two"));
    one_home.write_accounts(&account("of-one"));
    one.reload_accounts().await.unwrap();
    let error = two.reload_accounts().await.unwrap_err();
    assert!(matches!(&error, SharingError::Conflict { file: "accounts.toml", node, .. } if node == "one"), "{error}");
    assert!(error.to_string().contains("accounts.toml.mine"), "{error}");
    assert_eq!(
        (two_home.read_accounts(), two.accounts()),
        (account("of-one"), vec!["main".to_owned(), "of-one".to_owned()])
    );
    assert_eq!(std::fs::read_to_string(two_home.0.path().join("accounts.toml.mine")).unwrap(), account("of-two"));
    one.stop().await;
    two.stop().await;
}

/// Otherwise one damaged record would keep all nodes from starting, and accounts behind it from being added.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_starts_although_the_record_of_an_account_cannot_be_read() {
    let server = Server::start();
    let (state, _) = server.shared().await;
    let damaged = Digest::of(b"main@example.org").to_hex();
    server.publish(&format!("parlor.bots.state.account.{damaged}"), "damaged");
    let home = Home::new(&server, "one");
    home.write_accounts(&account("main").replace("account.main", "account.damaged"));
    let node = home.start().await;
    // Those of a later configuration are added as well.
    home.write_accounts(&(account("main").replace("account.main", "account.damaged") + &account("second")));
    node.reload_accounts().await.unwrap();
    let added = async {
        loop {
            let accounts = state.overview().await.unwrap().accounts;
            if accounts.len() == 2 {
                return accounts;
            }
        }
    };
    let added = tokio::time::timeout(Duration::from_mins(1), added).await.expect("they are added within a minute");
    let added: Vec<_> = added.into_iter().map(|row| row.account).collect();
    assert_eq!(added, ["bot@example.org", "second@example.org"]);
    node.stop().await;
}

/// By somebody who has the key, but not by this parlor; and by somebody who puts back what he has seen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_that_cannot_be_used_change_nothing() {
    let server = Server::start();
    let home = Home::new(&server, "one");
    home.write_accounts(&account("second"));
    let node = home.start().await;
    let present = account("second") + "# two\n";
    home.write_accounts(&present);
    node.reload_accounts().await.unwrap();
    let (state, shared) = shared_accounts(&server).await;
    let trouble = async || {
        node.look_for_accounts().await;
        assert_eq!((home.read_accounts(), node.accounts().len()), (present.clone(), 2));
        let rows = state.overview().await.unwrap().nodes;
        standing(&rows[0].standings, SharedText::Accounts).1.unwrap()
    };
    let command = account("third").replace("password_env = \"NONE\"", "password_command = \"touch canary\"");
    for (text, cause) in [
        (account("main"), "out of one of the two files"),
        ("[settings]\npriority = 1\n".to_owned(), "unknown key"),
        ("[account.third\n".to_owned(), "accounts.toml:1:"),
        (command.clone(), "nodes run no program"),
    ] {
        let version = shared.version().await.unwrap();
        shared.publish(&text, Next::of(version.as_ref()), "other", "9.0.0").await.unwrap().unwrap();
        let trouble = trouble().await;
        assert!(trouble.contains(cause) && trouble.contains("parlor 9.0.0"), "{trouble}");
        assert!(trouble.contains("of accounts.toml") && !trouble.contains("canary"), "{trouble}");
    }
    // An earlier number, until the owner decides.
    let version = shared.version().await.unwrap().unwrap();
    let next = Next { after: version.revision, number: 1 };
    shared.publish(&account("third"), next, "other", "0.1.0").await.unwrap().unwrap();
    let older = trouble().await;
    assert!(older.contains("version 1 of accounts.toml") && older.contains("had version 2"), "{older}");
    node.reload_accounts().await.unwrap();
    let version = shared.version().await.unwrap().unwrap();
    assert_eq!((version.number, version.digest), (3, Digest::of(present.as_bytes())));
    // Its own commands stay here.
    home.write_accounts(&command);
    let error = node.reload_accounts().await.unwrap_err();
    assert!(matches!(&error, SharingError::Accounts(_)), "{error}");
    assert_eq!(node.accounts(), ["main", "third"], "they count on this node");
    node.stop().await;
}
