use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

/// A user with a home for us and a folder of the host's.
struct User {
    folder: TempDir,
    home: Home,
    place: Place,
    caller: Caller,
}

const NONE: Wishes = Wishes { status_line: false, allow_tools: false };
const BOTH: Wishes = Wishes { status_line: true, allow_tools: true };

impl User {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path().join("mesh")).unwrap();
        let place = Place::at(&folder.path().join("claude"));
        let caller = Caller { program: "/bin/claudemesh".into(), environment: Vec::new() };
        Self { folder, home, place, caller }
    }

    /// With these settings.
    fn with(settings: &[u8]) -> Self {
        let user = Self::new();
        fs::create_dir(user.place.folder()).unwrap();
        fs::write(user.place.settings(), settings).unwrap();
        user
    }

    fn install(&self, wishes: Wishes) -> Result<Vec<Change>, Error> {
        let plan = install(&self.home, &self.place, &self.caller, wishes)?;
        let changes = plan.changes();
        plan.carry_out().map(|()| changes)
    }

    fn uninstall(&self) -> Result<Vec<Change>, Error> {
        let plan = uninstall(&self.home, &self.place)?;
        let changes = plan.changes();
        plan.carry_out().map(|()| changes)
    }

    fn settings(&self) -> Value {
        settings::understood(&fs::read(self.place.settings()).unwrap(), &self.place.settings()).unwrap()
    }

    /// Everything below the host's folder: kinds, modes, bytes and targets of links.
    fn everything(&self) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
        let mut all = BTreeMap::new();
        look(self.place.folder(), &mut all);
        look(&self.folder.path().join("dotfiles"), &mut all);
        all
    }

    /// What we keep in our own home besides the folders of every home.
    fn own(&self) -> bool {
        record::folder(&self.home).exists()
    }
}

fn look(path: &Path, all: &mut BTreeMap<PathBuf, (u32, Vec<u8>)>) {
    let Ok(metadata) = fs::symlink_metadata(path) else { return };
    let bytes = match metadata.file_type() {
        kind if kind.is_symlink() => fs::read_link(path).unwrap().into_os_string().into_encoded_bytes(),
        kind if kind.is_dir() => {
            for entry in fs::read_dir(path).unwrap() {
                look(&entry.unwrap().path(), all);
            }
            Vec::new()
        }
        _ => fs::read(path).unwrap(),
    };
    all.insert(path.to_owned(), (metadata.mode(), bytes));
}

/// Settings as people have them: hooks and a plugin of others, comments, odd forms.
const SETTINGS: &[&str] = &[
    "",
    "{}",
    "{}\n",
    "{\"model\":\"opus\"}",
    "{\n  \"model\": \"opus\",\n  \"permissions\": {\n    \"allow\": [\"Bash(ls:*)\"],\n    \"deny\": []\n  }\n}\n",
    "{\n\t\"hooks\": {\n\t\t\"Stop\": [{ \"hooks\": [{ \"type\": \"command\", \"command\": \"say done\" }] }],\n\t\t\"SessionStart\": []\n\t}\n}",
    "// mine\r\n{\r\n  /* theirs */ \"enabledPlugins\": { \"other@market\": true, },\r\n  \"permissions\": {}\r\n}\r\n",
    "\u{feff}{ \"env\":{\"KEY\":\"é\"} , \"permissions\":{\"allow\":[]} }",
    "\n\n{   \"a\":1.50e3,\"a/b\":\"\\u00e9\\/\" , \"permissions\": { \"defaultMode\": \"plan\" }\n     }   \n\n\n",
];

#[test]
fn what_was_installed_is_undone_to_the_byte() {
    for settings in SETTINGS {
        for wishes in [NONE, BOTH] {
            let user = User::with(settings.as_bytes());
            let before = user.everything();
            user.install(wishes).unwrap();
            assert_ne!(user.everything(), before);
            user.uninstall().unwrap();
            assert_eq!(user.everything(), before, "{settings}");
            assert!(!user.own());
        }
    }
}

#[test]
fn a_user_without_any_settings_has_none_afterwards() {
    let user = User::new();
    user.install(BOTH).unwrap();
    assert!(user.place.settings().exists());
    user.uninstall().unwrap();
    assert!(!user.place.folder().exists() && !user.own());
}

#[test]
fn the_empty_folder_that_the_host_makes_for_the_plugin_goes_with_it() {
    for kept in [false, true] {
        let user = User::new();
        user.install(NONE).unwrap();
        let data = user.place.plugin_data();
        fs::create_dir_all(&data).unwrap();
        if kept {
            fs::write(data.join("theirs"), "").unwrap();
        }
        user.uninstall().unwrap();
        assert_eq!(data.exists(), kept);
    }
}

#[test]
fn without_a_wish_no_settings_are_touched() {
    let user = User::with(b"not JSON at all");
    let changes = user.install(NONE).unwrap();
    assert_eq!(changes.iter().map(|change| change.action.as_str()).collect::<Vec<_>>(), ["create"]);
    assert_eq!(fs::read_link(link(&user.place)).unwrap(), record::plugin(&user.home));
    assert_eq!(fs::read(user.place.settings()).unwrap(), b"not JSON at all");
    user.uninstall().unwrap();
    assert_eq!(fs::read(user.place.settings()).unwrap(), b"not JSON at all");
}

#[test]
fn a_second_time_changes_nothing() {
    for settings in SETTINGS {
        let user = User::with(settings.as_bytes());
        user.install(BOTH).unwrap();
        let (once, copy) = (user.everything(), fs::metadata(user.place.settings()).unwrap().ino());
        for wishes in [BOTH, NONE] {
            assert!(install(&user.home, &user.place, &user.caller, wishes).unwrap().is_empty());
        }
        user.install(BOTH).unwrap();
        assert_eq!((user.everything(), fs::metadata(user.place.settings()).unwrap().ino()), (once, copy));
    }
    let user = User::new();
    assert!(user.uninstall().unwrap().is_empty() && !user.folder.path().join("mesh").exists());
}

#[test]
fn a_newer_version_replaces_ours_and_the_undo_stays_exact() {
    let user = User::with(SETTINGS[5].as_bytes());
    let before = user.everything();
    user.install(BOTH).unwrap();
    let plugin = record::plugin(&user.home);
    fs::write(plugin.join("skills/mesh/SKILL.md"), "of an older version").unwrap();
    fs::write(plugin.join("retired.json"), "{}").unwrap();
    let mut known = Record::read(&user.home).unwrap();
    known.files.push("retired.json".into());
    fs::write(record::file(&user.home), serde_json::to_vec(&known).unwrap()).unwrap();

    let moved = Caller { program: "/opt/bin/claudemesh".into(), environment: Vec::new() };
    install(&user.home, &user.place, &moved, NONE).unwrap().carry_out().unwrap();
    assert_eq!(user.settings()["statusLine"]["command"], "/opt/bin/claudemesh statusline");
    assert!(fs::read_to_string(plugin.join("skills/mesh/SKILL.md")).unwrap().starts_with("---\nname: mesh"));
    assert!(!plugin.join("retired.json").exists());
    user.uninstall().unwrap();
    assert_eq!(user.everything(), before);
    assert!(!user.own());
}

#[test]
fn settings_changed_since_lose_ours_and_nothing_else() {
    let user = User::with(SETTINGS[4].as_bytes());
    user.install(BOTH).unwrap();
    let text = fs::read_to_string(user.place.settings()).unwrap();
    let text = text.replace("\"model\": \"opus\"", "\"model\": \"sonnet\", // cheaper\n  \"hooks\": {}");
    fs::write(user.place.settings(), &text).unwrap();
    user.uninstall().unwrap();
    let allow = json!({ "allow": ["Bash(ls:*)"], "deny": [] });
    assert_eq!(user.settings(), json!({ "model": "sonnet", "hooks": {}, "permissions": allow }));
    let back = fs::read_to_string(user.place.settings()).unwrap();
    assert!(back.contains("// cheaper") && back.contains("    \"deny\": []\n"), "{back}");
    assert_eq!(fs::read_dir(user.place.folder()).unwrap().count(), 1, "no copy, no link, no folder is left");
}

#[test]
fn settings_changed_between_two_installs_are_given_back_as_they_were_then() {
    let user = User::with(b"{\n  \"model\": \"opus\"\n}\n");
    user.install(BOTH).unwrap();
    let text = fs::read_to_string(user.place.settings()).unwrap().replace("opus", "sonnet");
    fs::write(user.place.settings(), text).unwrap();
    user.install(BOTH).unwrap();
    assert_eq!(user.settings()["model"], "sonnet");
    user.uninstall().unwrap();
    assert_eq!(user.settings()["model"], "sonnet");
    assert!(user.settings().get("statusLine").is_none());
}

#[test]
fn what_the_user_took_out_by_hand_is_not_put_back() {
    let user = User::with(b"{\n  \"model\": \"opus\"\n}\n");
    let before = user.everything();
    user.install(BOTH).unwrap();
    fs::write(user.place.settings(), "{\n  \"model\": \"opus\"\n}\n").unwrap();
    user.install(NONE).unwrap();
    assert_eq!(user.settings(), json!({ "model": "opus" }));
    user.uninstall().unwrap();
    assert_eq!(user.everything(), before);
}

#[test]
fn another_status_line_stays() {
    let theirs = b"{ \"statusLine\": { \"type\": \"command\", \"command\": \"~/bin/line.sh\" } }";
    let user = User::with(theirs);
    let before = user.everything();
    let error = user.install(BOTH).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.hint().unwrap().contains("/bin/claudemesh statusline"), "{error}");
    assert_eq!((user.everything(), user.own()), (before, false));
    // One that took the place of ours stays when ours goes.
    let user = User::with(b"{}");
    user.install(BOTH).unwrap();
    fs::write(user.place.settings(), theirs).unwrap();
    user.uninstall().unwrap();
    assert_eq!(fs::read(user.place.settings()).unwrap(), theirs);
}

#[test]
fn links_to_settings_are_kept() {
    let user = User::new();
    let dotfiles = user.folder.path().join("dotfiles");
    fs::create_dir(&dotfiles).unwrap();
    fs::create_dir(user.place.folder()).unwrap();
    fs::create_dir(dotfiles.join("skills")).unwrap();
    fs::write(dotfiles.join("settings.json"), "{\"a\":1}").unwrap();
    symlink(dotfiles.join("settings.json"), user.place.settings()).unwrap();
    symlink("../dotfiles/skills", user.place.skills()).unwrap();
    let before = user.everything();
    user.install(BOTH).unwrap();
    assert!(fs::symlink_metadata(user.place.settings()).unwrap().is_symlink());
    assert_eq!(user.settings()["a"], 1);
    assert!(fs::symlink_metadata(dotfiles.join("skills/claudemesh")).unwrap().is_symlink());
    user.uninstall().unwrap();
    assert_eq!(user.everything(), before);
}

#[test]
fn read_only_settings_are_refused_before_anything_changes() {
    let user = User::with(b"{}");
    fs::set_permissions(user.place.settings(), fs::Permissions::from_mode(0o444)).unwrap();
    let before = user.everything();
    let error = user.install(BOTH).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unwritable);
    assert_eq!((user.everything(), user.own()), (before, false));
    // What needs no change of them goes.
    user.install(NONE).unwrap();
}

#[test]
fn settings_that_cannot_be_understood_are_refused_before_anything_changes() {
    for settings in [&b"{"[..], b"[]", b"\xff\xfe", b"{\"permissions\": 1}", b"{\"permissions\": {\"allow\": {}}}"] {
        let user = User::with(settings);
        let before = user.everything();
        assert_eq!(user.install(BOTH).unwrap_err().kind(), ErrorKind::Corrupt, "{settings:?}");
        assert_eq!((user.everything(), user.own()), (before, false));
    }
    // With ours in them, nobody knows what undoing would mean.
    let user = User::with(b"{}");
    user.install(BOTH).unwrap();
    fs::write(user.place.settings(), "{ \"statusLine\": ").unwrap();
    let before = user.everything();
    assert_eq!(user.uninstall().unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(user.everything(), before);
}

#[test]
fn what_others_put_in_the_plugin_s_place_stays() {
    for link_to in [None, Some("/elsewhere"), Some(".")] {
        let user = User::new();
        fs::create_dir_all(user.place.skills()).unwrap();
        match link_to {
            None => fs::create_dir(link(&user.place)).unwrap(),
            Some(target) => symlink(target, link(&user.place)).unwrap(),
        }
        let before = user.everything();
        assert_eq!(user.install(NONE).unwrap_err().kind(), ErrorKind::Conflict, "{link_to:?}");
        user.uninstall().unwrap();
        assert_eq!(user.everything(), before);
    }
}

#[test]
fn a_home_that_is_gone_gives_way_to_another() {
    let user = User::with(b"{}");
    user.install(BOTH).unwrap();
    fs::remove_dir_all(user.folder.path().join("mesh")).unwrap();
    let other = Home::at(user.folder.path().join("other")).unwrap();
    install(&other, &user.place, &user.caller, NONE).unwrap().carry_out().unwrap();
    assert_eq!(fs::read_link(link(&user.place)).unwrap(), record::plugin(&other));
    // It is known by its words: the record went with the home.
    uninstall(&other, &user.place).unwrap().carry_out().unwrap();
    assert_eq!(user.settings(), json!({ "permissions": { "allow": [] } }));
}

#[test]
fn two_folders_of_the_host_are_installed_and_undone_one_by_one() {
    let user = User::new();
    let second = Place::at(&user.folder.path().join("work"));
    user.install(NONE).unwrap();
    install(&user.home, &second, &user.caller, BOTH).unwrap().carry_out().unwrap();
    user.uninstall().unwrap();
    assert!(!user.place.folder().exists() && link(&second).exists());
    uninstall(&user.home, &second).unwrap().carry_out().unwrap();
    assert!(!second.folder().exists() && !user.own());
}

#[test]
fn what_others_lay_into_our_folders_is_not_deleted() {
    let user = User::new();
    user.install(NONE).unwrap();
    let theirs = [record::plugin(&user.home).join("skills/mine.md"), user.place.skills().join("mine.md")];
    for path in &theirs {
        fs::write(path, "mine").unwrap();
    }
    user.uninstall().unwrap();
    assert!(theirs.iter().all(|path| path.exists()));
}

#[test]
fn a_copy_that_somebody_changed_is_left_alone() {
    let user = User::with(b"{\"a\": 1}");
    user.install(BOTH).unwrap();
    let copy = user.place.folder().join("settings.json.before-claudemesh");
    assert_eq!(fs::read(&copy).unwrap(), b"{\"a\": 1}");
    fs::write(&copy, "{\"a\": 2}").unwrap();
    user.uninstall().unwrap();
    assert_eq!(user.settings(), json!({ "a": 1 }));
    assert_eq!(fs::read(&copy).unwrap(), b"{\"a\": 2}");
}
