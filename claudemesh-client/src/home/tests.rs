use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use super::*;

fn variables(pairs: &[(&str, &str)]) -> impl Fn(&str) -> Option<OsString> {
    move |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).into())
}

#[test]
fn one_variable_puts_everything_below_it() {
    let home = Home::from_variables(variables(&[("CLAUDEMESH_HOME", "/h"), ("XDG_DATA_HOME", "/x")])).unwrap();
    assert_eq!(home.root(), Some(Path::new("/h")));
    assert_eq!(home.data_dir(), Path::new("/h/data"));
    assert_eq!(home.broker_dir(), Path::new("/h/broker"));
    assert_eq!(home.config_dir(), Path::new("/h/config"));
    assert_eq!(home.log_file(), Path::new("/h/daemon.log"));
    assert_eq!(home.lock, Path::new("/h/lock"));
    assert_eq!(home.socket_path(), Path::new("/h/run/daemon.sock"));
}

#[test]
fn without_it_the_xdg_folders_are_used_and_relative_ones_ignored() {
    let home = Home::from_variables(variables(&[
        ("HOME", "/u"),
        ("XDG_STATE_HOME", "/s"),
        ("XDG_DATA_HOME", "not/absolute"),
        ("XDG_RUNTIME_DIR", "/run/user/7"),
    ]))
    .unwrap();
    assert_eq!(home.root(), None);
    assert_eq!(home.data_dir(), Path::new("/u/.local/share/claudemesh"));
    assert_eq!(home.config_dir(), Path::new("/u/.config/claudemesh"));
    assert_eq!(home.log_file(), Path::new("/s/claudemesh/daemon.log"));
    assert_eq!(home.socket_path(), Path::new("/run/user/7/claudemesh/daemon.sock"));
    let home = Home::from_variables(variables(&[("HOME", "/u")])).unwrap();
    assert_eq!(home.socket_path(), Path::new("/u/.local/state/claudemesh/run/daemon.sock"));
}

#[test]
fn a_tilde_is_the_users_folder_and_relative_paths_become_absolute() {
    let home = Home::below(Path::new("~/mesh"), variables(&[("HOME", "/u")])).unwrap();
    assert_eq!(home.root(), Some(Path::new("/u/mesh")));
    assert!(Home::at("relative").unwrap().root().unwrap().is_absolute());
    assert_eq!(Home::at("").unwrap_err().kind(), ErrorKind::Usage);
}

#[test]
fn a_socket_path_that_is_too_long_is_shortened_and_stays_the_same() {
    let long = format!("/{}", "d".repeat(120));
    let plain = Home::below(Path::new(&long), variables(&[])).unwrap();
    let short = plain.socket_path();
    assert!(short.as_os_str().len() <= SOCKET_PATH_MAX);
    assert!(short.starts_with(format!("/tmp/claudemesh-{}", own_uid())));
    assert_eq!(short, Home::below(Path::new(&long), variables(&[])).unwrap().socket_path());
    assert_ne!(short, Home::below(Path::new(&format!("{long}e")), variables(&[])).unwrap().socket_path());
    let runtime = Home::below(Path::new(&long), variables(&[("XDG_RUNTIME_DIR", "/run/user/7")])).unwrap();
    assert!(runtime.socket_path().starts_with("/run/user/7/claudemesh"));
}

#[test]
fn folders_and_files_are_the_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::at(folder.path().join("h")).unwrap();
    let _lock = home.lock(Holder::Program).unwrap();
    drop(home.open_log().unwrap());
    home.prepare_socket().unwrap();
    let mode = |path: &Path| path.metadata().unwrap().mode() & 0o777;
    for path in [home.root().unwrap(), home.data_dir(), &home.run] {
        assert_eq!(mode(path), 0o700, "{}", path.display());
    }
    assert_eq!(mode(&home.lock), 0o600);
    assert_eq!(mode(&home.log_file()), 0o600);
}

#[test]
fn a_second_holder_is_refused_until_the_first_lets_go() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::at(folder.path()).unwrap();
    let lock = home.lock(Holder::Daemon).unwrap();
    let clone = lock.clone();
    drop(lock);
    let error = home.lock(Holder::Daemon).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert!(error.message().contains(&std::process::id().to_string()));
    drop(clone);
    home.lock(Holder::Program).unwrap();
}

#[test]
fn what_the_lock_file_says_is_no_proof_that_it_is_held() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::at(folder.path()).unwrap();
    for text in ["", "garbage", r#"{"pid":1,"holder":"daemon","socket":"/nowhere"}"#] {
        std::fs::write(&home.lock, text).unwrap();
        assert_eq!(home.find_socket().unwrap_err().kind(), ErrorKind::Unreachable);
        drop(home.lock(Holder::Daemon).unwrap());
    }
}

#[test]
fn a_home_that_is_a_file_is_unwritable() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let home = Home::at(file.path()).unwrap();
    assert_eq!(home.lock(Holder::Program).unwrap_err().kind(), ErrorKind::Unwritable);
    assert_eq!(home.create().unwrap_err().kind(), ErrorKind::Unwritable);
}

#[test]
fn the_daemons_note_leads_to_its_socket() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::at(folder.path()).unwrap();
    let lock = home.lock(Holder::Daemon).unwrap();
    let elsewhere = folder.path().join("elsewhere.sock");
    let _listener = UnixListener::bind(&elsewhere).unwrap();
    lock.note_socket(&elsewhere).unwrap();
    assert_eq!(home.find_socket().unwrap(), elsewhere);
}

#[test]
fn a_shared_folder_that_is_a_link_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("real")).unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(folder.path().join("real"), &link).unwrap();
    assert_eq!(private_dir(&link, Care::Secluded).unwrap_err().kind(), ErrorKind::Unwritable);
    private_dir(&link, Care::Own).unwrap();
}

#[test]
fn a_folder_that_others_can_write_to_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::at(folder.path()).unwrap();
    std::fs::create_dir(home.data_dir()).unwrap();
    std::fs::set_permissions(home.data_dir(), PermissionsExt::from_mode(0o777)).unwrap();
    assert_eq!(home.create().unwrap_err().kind(), ErrorKind::Unwritable);
    assert_eq!(home.data_dir().metadata().unwrap().mode() & 0o777, 0o777);
}

#[test]
fn a_large_log_is_put_aside_and_emptied() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::at(folder.path()).unwrap();
    let mut open = home.open_log().unwrap();
    open.write_all(&vec![b'x'; LOG_LIMIT as usize + 1]).unwrap();
    home.trim_log();
    assert_eq!(home.log_file().metadata().unwrap().len(), 0);
    open.write_all(b"next").unwrap();
    assert_eq!(std::fs::read(home.log_file()).unwrap(), b"next");
    assert_eq!(folder.path().join("daemon.log.1").metadata().unwrap().len(), LOG_LIMIT + 1);
}
