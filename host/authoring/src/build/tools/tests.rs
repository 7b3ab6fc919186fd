//! Tests of the versions of tools, and of the cache that they are kept in.

use super::*;

#[test]
fn versions_are_compared_by_their_first_two_numbers() {
    assert_eq!(version("3.9"), Some((3, 9)));
    assert_eq!(version("v20.11.1"), Some((20, 11)));
    assert_eq!(version("three"), None);
    assert!(version("3.9") < Some(PYTHON_IN_USE.oldest) && version("3.10") >= Some(PYTHON_IN_USE.oldest));
}

#[test]
fn a_compiler_is_asked_for_what_the_sdk_is_asked_for() {
    let (oldest, said) = (RUSTC_IN_USE.oldest, RUSTC_IN_USE.oldest_said);
    // Both are of one workspace.
    assert_eq!((Some(oldest), said), (version(env!("CARGO_PKG_RUST_VERSION")), env!("CARGO_PKG_RUST_VERSION")));
}

#[test]
fn the_lines_of_a_broken_tool_are_shown_as_one() {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "echo 'error: no toolchain' >&2; echo 'help: choose one' >&2; exit 1"]);
    let checked = RUSTC_IN_USE.check_with(&mut shell, |error| BuildError::NoRust { program: "rustc", error });
    let told = checked.unwrap_err().to_string();
    assert!(told.contains("(error: no toolchain help: choose one exit status: 1)"), "{told}");
}

#[test]
fn tools_show_no_traces_of_their_own() {
    let asks = "test -z \"${RUST_BACKTRACE+x}${RUST_LIB_BACKTRACE+x}\"";
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", asks]).envs([("RUST_BACKTRACE", "1"), ("RUST_LIB_BACKTRACE", "1")]);
    assert!(!shell.status().unwrap().success());
    assert!(heard(&mut shell).unwrap().status.success());
    shell.env("RUST_BACKTRACE", "full");
    assert!(quiet(&mut shell).status().unwrap().success());
}

#[test]
fn what_does_not_work_gives_way_and_what_was_left_half_done_goes() {
    let tools = tempfile::tempdir().unwrap();
    let (home, half) = (tools.path().join("zig-1"), tools.path().join("new-abc"));
    fs::create_dir_all(half.join("it")).unwrap();
    fs::create_dir_all(home.join("bin")).unwrap();
    std::os::unix::fs::symlink("/nowhere/at/all/python3", home.join(PYTHON)).unwrap();
    let works = |home: &Path| home.join(PYTHON).is_file();
    let into = |place: &Path| {
        fs::create_dir_all(place.join("bin")).unwrap();
        fs::write(place.join(PYTHON), "").unwrap();
        Ok(())
    };
    install(&home, "zig", "plugins", works, into).unwrap();
    assert!(works(&home) && !half.exists());
    install(&home, "zig", "plugins", works, |_| panic!("it is there")).unwrap();
    assert_eq!(fs::read_dir(tools.path()).unwrap().count(), 1, "nothing is left over");
}

#[test]
fn what_cannot_be_installed_leaves_what_was_there() {
    let tools = tempfile::tempdir().unwrap();
    let home = tools.path().join("zig-1");
    fs::create_dir(&home).unwrap();
    let failed = install(&home, "zig", "plugins", |_| false, |_| Err(BuildError::NoVenv));
    assert!(failed.is_err() && home.is_dir());
    assert_eq!(fs::read_dir(tools.path()).unwrap().count(), 1);
}

#[test]
fn a_tool_goes_when_another_version_is_used_and_nobody_has_built_with_it_for_long() {
    let tools = tempfile::tempdir().unwrap();
    let ago = |days: u64| SystemTime::now() - Duration::from_hours(24 * days);
    let all = [
        ("zig-1.9.2", 31, false),
        ("zig-1.10.0", 29, true),
        ("zig-2.0.0", 400, true),
        ("zig-cache", 400, true),
        ("zigzag-1", 400, true),
        ("go-1.0", 400, true),
    ];
    for (name, days, _) in all {
        let home = tools.path().join(name);
        fs::create_dir_all(home.join("bin")).unwrap();
        File::open(&home).unwrap().set_modified(ago(days)).unwrap();
    }
    is_used(&tools.path().join("zig-2.0.0"), "zig");
    for (name, _, stays) in all {
        assert_eq!(tools.path().join(name).is_dir(), stays, "{name}");
    }
    assert_eq!(fs::read_dir(tools.path()).unwrap().count(), 5, "nothing is left over");
    let half = tools.path().join("new-abc");
    fs::create_dir_all(half.join("old")).unwrap();
    let alone = alone_in(tools.path());
    is_used(&tools.path().join("zig-2.0.0"), "zig");
    assert!(half.is_dir(), "somebody may be at work on it");
    drop(alone);
    is_used(&tools.path().join("zig-2.0.0"), "zig");
    assert!(!half.exists(), "an interrupted removal goes on");
    // The version that was just used must not be removed next.
    is_used(&tools.path().join("zig-1.10.0"), "zig");
    assert!(tools.path().join("zig-2.0.0").is_dir());
}

#[test]
fn a_cache_that_became_too_large_is_emptied_and_looked_at_once_a_day() {
    let tools = tempfile::tempdir().unwrap();
    let cache = tools.path().join("go-modules");
    let now = SystemTime::now();
    let fill = |bytes: usize| {
        fs::create_dir_all(cache.join("m@v1/deep")).unwrap();
        fs::write(cache.join("m@v1/deep/file"), vec![0; bytes]).unwrap();
    };
    fill(100);
    bound(&cache, 100, now);
    assert!(cache.join("m@v1/deep/file").is_file(), "it is no larger than it may be");
    fill(101);
    bound(&cache, 100, now);
    assert!(cache.is_dir(), "it was measured just now");
    // Go leaves module folders in this state.
    for closed in ["m@v1/deep", "m@v1"] {
        fs::set_permissions(cache.join(closed), fs::Permissions::from_mode(0o500)).unwrap();
    }
    let busy = alone_in(&cache);
    bound(&cache, 100, now + 2 * MEASURED);
    assert!(cache.is_dir(), "somebody works in it");
    drop(busy);
    let used = Cache::used(cache.clone()).unwrap();
    bound(&cache, 100, now + 2 * MEASURED);
    assert!(cache.is_dir(), "somebody builds with it");
    drop(used);
    let later = now + 4 * MEASURED;
    bound(&cache, 100, later);
    assert!(!cache.exists());
    assert_eq!(fs::read_dir(tools.path()).unwrap().count(), 0, "nothing is left over");
    bound(&cache, 100, later);
    assert!(!cache.exists(), "what is not there is not made");
}

#[test]
fn a_package_of_another_python_is_not_there() {
    let home = tempfile::tempdir().unwrap();
    let pip = Pip { package: "none==1", module: "no_such_module", serves: "nobody" };
    fs::create_dir(home.path().join("bin")).unwrap();
    let python = home.path().join(PYTHON);
    for (program, works) in [("/nowhere/python3", false), ("/bin/false", false), ("/bin/true", true)] {
        let _ = fs::remove_file(&python);
        std::os::unix::fs::symlink(program, &python).unwrap();
        assert_eq!(pip.works(home.path()), works, "{program}");
    }
}

#[test]
fn tools_lie_where_data_of_programs_lies() {
    let home = || Some(PathBuf::from("/home/juliet"));
    assert_eq!(data_home(Some("/data".into()), home()), Some("/data".into()));
    assert_eq!(data_home(Some("data".into()), home()), Some("/home/juliet/.local/share".into()));
    assert_eq!(data_home(None, None), None);
}
