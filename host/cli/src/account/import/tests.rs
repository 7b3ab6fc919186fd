//! Tests of imports of accounts.

use std::os::unix::fs::PermissionsExt as _;

use parlor_config::Overrides;

use super::*;

const CONFIG: &str = "# Mine.\n[group.shop]\n[group.support]\n\n[account.main]\njid = \"main@example.org\"\npassword_env = \"X\"\ngroup = \"shop\"\n";

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        place.write("parlor.toml", CONFIG);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn config(&self) -> Config {
        Config::load(&self.path("parlor.toml"), &Overrides::default()).unwrap()
    }

    fn import(&self, csv: &str) -> Result<(), String> {
        self.run(csv, false)
    }

    fn run(&self, csv: &str, dry_run: bool) -> Result<(), String> {
        self.write("accounts.csv", csv);
        let target = Target { config: Some(self.path("parlor.toml")), data: None, plugins: None };
        let args = ImportArgs { file: self.path("accounts.csv"), dry_run, json: false, target };
        args.run().map_err(|error| format!("{error:#}"))
    }

    fn text(&self) -> String {
        fs::read_to_string(self.path("parlor.toml")).unwrap()
    }
}

#[test]
fn accounts_are_added_once_with_their_passwords_apart_and_comments_stay() {
    let place = Place::new();
    let csv = "jid,name,group,password,password_env\none@example.org,,support,s3cr3t,\ntwo@example.org,second,,,TWO\n\
               main@example.org,,shop,ignored,\n";
    place.run(csv, true).unwrap();
    assert_eq!(place.text(), CONFIG);
    assert!(!place.path("one.password").exists());
    place.import(csv).unwrap();
    let text = place.text();
    assert!(text.starts_with(CONFIG) && !text.contains("s3cr3t"), "{text}");
    let mode = place.path("one.password").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(fs::read_to_string(place.path("one.password")).unwrap(), "s3cr3t\n");
    let config = place.config();
    let group = |name: &str| config.accounts[&name.parse().unwrap()].group.as_ref().map(ToString::to_string);
    assert_eq!((config.accounts.len(), group("one").as_deref(), group("second")), (3, Some("support"), None));
    assert!(!place.path("main.password").exists(), "an account that is there stays as it is");
    // The same file again changes nothing.
    place.import(csv).unwrap();
    assert_eq!(place.text(), text);
}

#[test]
fn one_bad_line_changes_nothing_and_all_are_named() {
    let place = Place::new();
    place.write("taken.password", "another\n");
    let csv = "jid,name,group,password,password_file\n\
               one@example.org,,support,s3cr3t,\n\
               two@example.org,,nowhere,s3cr3t,\n\
               three@example.org,main,,s3cr3t,\n\
               taken@example.org,,,s3cr3t,\n\
               four@example.org,,,,gone.password\n\
               main@example.org,other,shop,s3cr3t,\n\
               main@example.org/x,,support,s3cr3t,\n\
               five@example.org,,,,\n\
               six@example.org,shared,,s3cr3t,\n\
               shared@example.org,another,,s3cr3t,\n";
    place.write("accounts.toml", "[account.shared]\njid = \"shared@example.org\"\npassword_env = \"X\"\n");
    let error = place.import(csv).unwrap_err();
    assert!(error.starts_with("nothing was changed, because of 9 bad lines in "), "{error}");
    let short = error.replace(&format!("{}/", place.folder.path().display()), "");
    for words in [
        "line 3: there is no such group in parlor.toml or accounts.toml: write a table [group.NAME] for it into accounts.toml first; the groups are shop, support",
        "line 4: parlor.toml has another account of its name",
        "line 5: the file for its password, taken.password, is there already",
        "line 6: its password_file: ",
        "line 7: its account is in parlor.toml already, with another name",
        "line 8: its account is that of line 7",
        "line 9: the account five has no password: ",
        "line 10: accounts.toml has another account of its name",
        "line 11: its account is in accounts.toml already, with another name",
    ] {
        assert!(short.contains(words), "no {words:?} in {short}");
    }
    assert!(!error.contains("s3cr3t"), "{error}");
    assert_eq!(place.text(), CONFIG);
    assert!(!place.path("one.password").exists() && !place.path("data").exists());
}

#[test]
fn a_line_that_is_there_twice_blames_the_second_one_alone() {
    let place = Place::new();
    let twice = "jid,group,password\nnew@example.org,support,s3cr3t\nnew@example.org,support,other\n";
    let error = place.import(twice).unwrap_err();
    assert!(error.contains("because of 1 bad line in "), "{error}");
    assert!(error.ends_with("\nline 3: its account is that of line 2"), "{error}");
    let names = "jid,name,password\none@example.org,new,s3cr3t\ntwo@example.org,new,s3cr3t\n";
    let error = place.import(names).unwrap_err();
    assert!(error.contains("1 bad line") && error.contains("\nline 3: its name is that of line 2"), "{error}");
}

#[test]
fn the_first_account_is_imported_into_files_that_have_none() {
    let place = Place::new();
    place.write("parlor.toml", "# Mine.\n");
    place.write("accounts.toml", "[group.cl]\n");
    place.import("jid,group,password\nfirst@example.org,cl,s3cr3t\n").unwrap();
    let config = place.config();
    assert_eq!(config.accounts.len(), 1);
    assert!(place.text() == "# Mine.\n" && place.path("first.password").exists());
    // For all other commands, a host needs one.
    place.write("accounts.toml", "[group.cl]\n");
    let target = Target { config: Some(place.path("parlor.toml")), data: None, plugins: None };
    assert!(target.load_to_write().unwrap_err().to_string().contains("there is no account: write [account.main]"));
    assert!(target.load_to_add().unwrap().accounts.is_empty());
}

#[test]
fn what_only_the_configuration_finds_names_its_line() {
    let place = Place::new();
    let lines = (0..40).map(|number| match number {
        // These have no password.
        7 | 21 => format!("a{number}@example.org,\n"),
        _ => format!("a{number}@example.org,s3cr3t\n"),
    });
    let error = place.import(&std::iter::once("jid,password\n".to_owned()).chain(lines).collect::<String>());
    let error = error.unwrap_err();
    assert!(error.contains("because of 2 bad lines in "), "{error}");
    // The file has no such line to name.
    for words in ["\nline 9: the account a7 has no password", "\nline 23: the account a21 has no password"] {
        assert!(error.contains(words), "no {words:?} in {error}");
    }
    assert_eq!(place.text(), CONFIG);
}

#[test]
fn a_group_that_is_missing_is_said_once_with_its_lines_and_one_like_it() {
    let place = Place::new();
    let mut lines = "jid,group,password\n".to_owned();
    for number in 0..30 {
        lines.put(format_args!("a{number}@example.org,suport,s3cr3t\n"));
    }
    let error = place.import(&lines).unwrap_err();
    assert!(
        error.contains("\nlines 2, 3, 4, ") && error.contains(", 21 and 10 more: there is no such group"),
        "{error}"
    );
    assert!(error.ends_with(", did you mean \"support\"?") && error.lines().count() == 2, "{error}");
    assert_eq!(without_place("parlor.toml:256:1: it: is"), "it: is");
    assert_eq!(without_place("the account: is"), "the account: is");
}

#[test]
fn an_import_that_was_ended_goes_on() {
    let place = Place::new();
    place.write("one.password", "s3cr3t\n");
    place.import("jid,password\none@example.org,s3cr3t\ntwo@example.org,s3cr3t\n").unwrap();
    assert_eq!(place.config().accounts.len(), 3);
    let secrets = Secrets(vec![place.path("one.password")]);
    drop(secrets);
    assert!(!place.path("one.password").exists(), "what nobody names is taken away");
}

#[test]
fn addresses_of_a_component_are_imported_without_passwords() {
    let place = Place::new();
    let component = "[component.bots]\ndomain = \"bots.example.org\"\npassword_env = \"SECRET\"\n";
    place.write("parlor.toml", &format!("{CONFIG}{component}"));
    let csv = "jid,group,component\none@bots.example.org,shop,bots\ntwo@bots.example.org,shop,bots\n";
    place.import(csv).unwrap();
    let config = place.config();
    let component = |name: &str| config.accounts[&name.parse().unwrap()].link.component().map(ToString::to_string);
    assert_eq!(["one", "two"].map(component), [Some("bots".to_owned()), Some("bots".to_owned())]);
    assert!(!place.path("one.password").exists());
    let text = place.text();
    let error = place.import("jid,component\nthree@bots.example.org,s3cr3t\n").unwrap_err();
    assert!(error.contains("parlor.toml has no such component") && !error.contains("s3cr3t"), "{error}");
    let error = place.import("jid,component\nthree@example.org,bots\n").unwrap_err();
    assert!(error.contains("line 2: its jid is no address of its component, which has the domain bots"), "{error}");
    let error = place.import("jid,component\nthree@example.org,bots\nfour@bots.example.org,bot\n").unwrap_err();
    assert!(error.contains("2 bad lines") && error.contains("line 2: ") && error.contains("line 3: "), "{error}");
    assert_eq!(place.text(), text);
}
