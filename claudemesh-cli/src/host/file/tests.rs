use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn change(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    Found::read(path)?.stage(bytes)?.commit()
}

fn listed(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_file_is_replaced_and_keeps_its_mode() {
    let folder = folder();
    let path = folder.path().join("settings.json");
    for mode in [0o644, 0o600, 0o664] {
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        change(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, mode);
    }
    assert_eq!(listed(folder.path()), ["settings.json"]);
}

#[test]
fn a_new_file_is_for_its_owner_only() {
    let folder = folder();
    let path = folder.path().join("settings.json");
    change(&path, b"new").unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
}

#[test]
fn links_stay_and_what_they_lead_to_changes() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("dotfiles")).unwrap();
    fs::write(at("dotfiles/real.json"), "old").unwrap();
    symlink("dotfiles/real.json", at("first")).unwrap();
    symlink(at("first"), at("settings.json")).unwrap();
    change(&at("settings.json"), b"new").unwrap();
    assert_eq!(fs::read(at("dotfiles/real.json")).unwrap(), b"new");
    assert_eq!(fs::read_link(at("settings.json")).unwrap(), at("first"));
    assert_eq!(listed(&at("dotfiles")), ["real.json"]);

    symlink("dotfiles/later.json", at("dangling")).unwrap();
    assert!(!Found::read(&at("dangling")).unwrap().exists());
    change(&at("dangling"), b"made").unwrap();
    assert_eq!(fs::read(at("dotfiles/later.json")).unwrap(), b"made");

    symlink("b", at("a")).unwrap();
    symlink("a", at("b")).unwrap();
    assert_eq!(Found::read(&at("a")).unwrap_err().kind(), ErrorKind::Unwritable);
}

#[test]
fn a_read_only_file_is_left_alone_also_by_those_who_could() {
    let folder = folder();
    let path = folder.path().join("settings.json");
    fs::write(&path, "old").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o444)).unwrap();
    let error = change(&path, b"new").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unwritable);
    assert!(error.message().contains("read-only"), "{error}");
    assert_eq!(Found::read(&path).unwrap().remove().unwrap_err().kind(), ErrorKind::Unwritable);
    assert_eq!((fs::read(&path).unwrap(), listed(folder.path())), (b"old".to_vec(), vec!["settings.json".to_owned()]));
}

#[test]
fn what_another_program_changes_meanwhile_is_not_overwritten() {
    let folder = folder();
    let path = folder.path().join("settings.json");
    fs::write(&path, "old").unwrap();
    let found = Found::read(&path).unwrap();
    let staged = found.stage(b"new").unwrap();
    fs::write(&path, "theirs").unwrap();
    assert_eq!(staged.commit().unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(found.remove().unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(
        (fs::read(&path).unwrap(), listed(folder.path())),
        (b"theirs".to_vec(), vec!["settings.json".to_owned()])
    );

    let absent = folder.path().join("absent.json");
    let found = Found::read(&absent).unwrap();
    let staged = found.stage(b"new").unwrap();
    fs::write(&absent, "theirs").unwrap();
    assert_eq!(staged.commit().unwrap_err().kind(), ErrorKind::Conflict);
}

#[test]
fn only_files_are_read() {
    let folder = folder();
    assert_eq!(Found::read(folder.path()).unwrap_err().kind(), ErrorKind::Conflict);
}
