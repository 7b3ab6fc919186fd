//! Accounts that have moved into a cluster, or are on their way: a host that is alone must not go on with them.
//!
//! States of OMEMO that go on at two places use keys of messages twice, and both would answer.

use jid::BareJid;
use parlor_base::escape::EscapedPath as _;
use parlor_config::Config;
use parlor_store::{DataError, DataFile, Mark, Stage};

use super::StartError;

/// Checks that nothing of this configuration runs where it would run elsewhere, too.
pub(super) fn check(config: &Config) -> Result<(), StartError> {
    let Some(file) = DataFile::open(&config.data)? else { return Ok(()) };
    let marks = file.marks()?;
    for account in config.accounts.values() {
        let jid = account.link.jid.to_bare();
        if let Some(mark) = marks.get(&jid).filter(|mark| !may_run(config, mark)) {
            return Err(StartError::Moved(reason(config, &jid, mark)));
        }
        if config.cluster.is_some() && !marks.contains_key(&jid) && file.has_rows_of(&jid)? {
            tracing::warn!(
                %jid,
                "this host keeps data of its own that the cluster does not have, and it is not used: stop the host and run `parlor cluster import`"
            );
        }
    }
    Ok(())
}

/// Returns why an account that comes while the host runs alone must not run, if so.
pub(super) fn keeps_from_running(config: &Config, jid: &BareJid) -> Result<Option<String>, DataError> {
    let Some(file) = DataFile::open(&config.data)? else { return Ok(None) };
    Ok(file.mark(jid)?.filter(|mark| !may_run(config, mark)).map(|mark| reason(config, jid, &mark)))
}

fn may_run(config: &Config, mark: &Mark) -> bool {
    let is_there = mark.stage == Stage::Left && config.cluster.as_ref().is_some_and(|own| own.name == mark.cluster);
    is_there || mark.stage.may_run()
}

fn reason(config: &Config, jid: &BareJid, Mark { stage, cluster, .. }: &Mark) -> String {
    let file = config.path.escaped();
    let again = |what: &str| {
        format!(
            "a move of {jid} was interrupted: with [cluster] and the name {cluster} in {file}, run `parlor cluster {what}` again"
        )
    };
    match stage {
        Stage::Leaving => again("import"),
        Stage::Coming => again("export"),
        Stage::Left | Stage::Came => format!(
            "{jid} has moved into the cluster {cluster}, with all that this host kept of it: put [cluster] with that name back into {file}, and start the host, or take the account out by `parlor cluster export`"
        ),
    }
}

#[cfg(test)]
mod tests {
    use parlor_config::Overrides;

    use super::*;

    fn config(folder: &std::path::Path, more: &str) -> Config {
        let path = folder.join("parlor.toml");
        let account = "[account.main]\njid = \"bot@example.org\"\npassword_env = \"NONE\"\n";
        let text = format!("[settings]\nauto_login = false\n{account}{more}");
        std::fs::write(&path, text).unwrap();
        Config::load(&path, &Overrides { environment: |_| None, ..Overrides::default() }).unwrap()
    }

    #[test]
    fn an_account_runs_where_its_data_is_and_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        let alone = config(folder.path(), "");
        let of = |name: &str| {
            config(
                folder.path(),
                &format!("[cluster]\nnats = \"nats://127.0.0.1:1\"\nname = \"{name}\"\nkey_env = \"KEY\"\n"),
            )
        };
        let (own, other) = (of("bots"), of("others"));
        assert!(check(&alone).is_ok(), "there is no file");
        std::fs::create_dir_all(&alone.data).unwrap();
        let mut file = DataFile::create(&alone.data).unwrap();
        let jid: BareJid = "bot@example.org".parse().unwrap();
        let runs = |file: &mut DataFile, stage| {
            let mark = Mark { stage, cluster: "bots".to_owned(), mark: "a1".to_owned() };
            file.set_mark(&jid, Some(&mark)).unwrap();
            [&alone, &own, &other].map(|config| check(config).is_ok())
        };
        assert_eq!(runs(&mut file, Stage::Leaving), [false; 3]);
        assert_eq!(runs(&mut file, Stage::Left), [false, true, false]);
        assert_eq!(runs(&mut file, Stage::Coming), [false; 3]);
        assert_eq!(runs(&mut file, Stage::Came), [true; 3]);
        runs(&mut file, Stage::Left);
        let said = keeps_from_running(&alone, &jid).unwrap().unwrap();
        assert!(said.contains("has moved into the cluster bots") && said.contains("cluster export"), "{said}");
        assert!(said.contains(&format!("back into {}, and", alone.path.escaped())), "{said}");
        assert_eq!(check(&alone).unwrap_err().to_string(), said);
        assert_eq!(keeps_from_running(&own, &jid).unwrap(), None);
        file.set_mark(&jid, None).unwrap();
        assert_eq!(keeps_from_running(&alone, &jid).unwrap(), None);
    }
}
