use std::collections::BTreeSet;

use super::*;

fn caller(program: &str, environment: &[(&str, &str)]) -> Caller {
    let environment = environment.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    Caller { program: program.into(), environment }
}

fn file(caller: &Caller, path: &str) -> Value {
    let files = render(caller).unwrap();
    serde_json::from_str(&files.iter().find(|(other, _)| *other == path).unwrap().1).unwrap()
}

#[test]
fn every_file_of_the_folder_is_in_the_program() {
    fn below(folder: &Path, root: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                below(&path, root, found);
            } else {
                found.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugin");
    let mut found = BTreeSet::new();
    below(&root, &root, &mut found);
    let known: BTreeSet<String> = FILES.iter().map(|(path, _)| (*path).to_owned()).collect();
    // Only who has the sources installs from them as from a marketplace.
    found.remove(".claude-plugin/marketplace.json");
    assert_eq!(found, known);
}

#[test]
fn the_manifest_is_of_this_version_and_name() {
    let manifest = file(&caller("/bin/claudemesh", &[]), MANIFEST);
    assert_eq!((&manifest["name"], &manifest["version"]), (&json!(PLUGIN), &json!(env!("CARGO_PKG_VERSION"))));
    let source: Value = serde_json::from_str(FILES.iter().find(|(path, _)| *path == MANIFEST).unwrap().1).unwrap();
    assert_eq!(source["version"], env!("CARGO_PKG_VERSION"), "what is installed from the sources, too");
}

#[test]
fn servers_and_hooks_name_this_program_and_home() {
    let caller = caller("/opt/my tools/claudemesh", &[("CLAUDEMESH_HOME", "/home/a b/it's")]);
    let server = &file(&caller, SERVERS)["mcpServers"]["mesh"];
    assert_eq!(server["command"], "/opt/my tools/claudemesh");
    assert_eq!(server["env"], json!({ "CLAUDEMESH_HOME": "/home/a b/it's" }));
    assert_eq!(server["args"][0], "mcp");
    let hooks = file(&caller, HOOKS);
    let lines: Vec<&str> = hooks["hooks"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|groups| groups.as_array().unwrap())
        .flat_map(|group| group["hooks"].as_array().unwrap())
        .filter(|hook| hook["type"] == "command")
        .map(|hook| hook["command"].as_str().unwrap())
        .collect();
    assert!(!lines.is_empty());
    for line in lines {
        let words = shlex::split(line).unwrap();
        assert_eq!(words[..3], ["CLAUDEMESH_HOME=/home/a b/it's", "/opt/my tools/claudemesh", "hook"], "{line}");
        assert_eq!(own_words(line).unwrap()[0], "hook");
    }
}

#[test]
fn the_usual_home_needs_no_variable() {
    let caller = caller("/usr/bin/claudemesh", &[]);
    assert_eq!(caller.line("statusline").unwrap(), "/usr/bin/claudemesh statusline");
    assert!(file(&caller, SERVERS)["mcpServers"]["mesh"].get("env").is_none());
}

#[test]
fn only_our_own_command_lines_are_ours() {
    assert_eq!(own_words("claudemesh statusline"), Some(vec!["statusline".into()]));
    assert_eq!(own_words("CLAUDEMESH_HOME='/a b' '/x y/claudemesh' statusline"), Some(vec!["statusline".into()]));
    assert_eq!(own_words("XDG_DATA_HOME=/d /bin/claudemesh statusline").unwrap(), ["statusline"]);
    for line in [
        "",
        "'",
        "mine.sh",
        "mine.sh claudemesh statusline",
        "A=b claudemesh statusline",
        "/bin/claudemeshx statusline",
    ] {
        assert_eq!(own_words(line), None, "{line}");
    }
    assert_ne!(own_words("claudemesh statusline | mine").unwrap(), ["statusline"]);
}
