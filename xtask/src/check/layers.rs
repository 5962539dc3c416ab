//! Which crate of the workspace may depend on which. Data flows one way: frontends, client and broker, core.

use crate::failure::Outcome;
use crate::process::root;
use crate::report::Note;
use crate::source;

use super::verdict;

/// Each crate with the crates of the workspace it may name, in any kind of dependency.
const ALLOWED: &[(&str, &[&str])] = &[
    ("claudemesh-core", &[]),
    ("claudemesh-client", &["claudemesh-core"]),
    ("claudemesh-broker", &["claudemesh-core"]),
    ("claudemesh-cli", &["claudemesh-core", "claudemesh-client", "claudemesh-broker"]),
    ("claudemesh-py", &["claudemesh-core", "claudemesh-client", "claudemesh-broker"]),
    ("claudemesh-tests", &["claudemesh-core", "claudemesh-client", "claudemesh-broker", "claudemesh-cli"]),
    ("claudemesh-fuzz", &["claudemesh-core", "claudemesh-client"]),
    ("xtask", &[]),
];

pub(super) fn check() -> Outcome<Note> {
    let manifests = source::files(root(), &["Cargo.toml"])?;
    let findings: Vec<String> = manifests.iter().flat_map(|manifest| violations(&manifest.text)).collect();
    verdict("crates depend on what they may not", &findings, format!("{} manifests", manifests.len()))
}

/// What one manifest names and may not.
fn violations(manifest: &str) -> Vec<String> {
    let parsed = parse(manifest);
    // The workspace's own manifest has no package.
    let Some(package) = parsed.package else { return Vec::new() };
    let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == package) else {
        return vec![format!("{package} has no place in the layers; give it one in xtask/src/check/layers.rs")];
    };
    parsed
        .dependencies
        .iter()
        .filter(|dependency| dependency.starts_with("claudemesh") || *dependency == "xtask")
        // A crate may take itself with more features, for its tests.
        .filter(|dependency| **dependency != package && !allowed.contains(&dependency.as_str()))
        .map(|dependency| format!("{package} must not depend on {dependency}"))
        .collect()
}

#[derive(Default)]
struct Manifest {
    package: Option<String>,
    dependencies: Vec<String>,
}

/// Reads the package's name and its dependencies: the few forms of TOML that manifests use for them.
fn parse(text: &str) -> Manifest {
    let mut manifest = Manifest::default();
    let mut section = String::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(header) = line.strip_prefix('[') {
            section = header.split(']').next().unwrap_or_default().trim().to_owned();
            if let Some((table, name)) = section.rsplit_once('.')
                && is_dependency_table(table)
            {
                manifest.dependencies.push(unquoted(name));
            }
            continue;
        }
        let Some((key, value)) = line.split_once('=') else { continue };
        if section == "package" && key.trim() == "name" {
            manifest.package = Some(unquoted(value));
        }
        if is_dependency_table(&section) {
            manifest.dependencies.push(unquoted(key.split('.').next().unwrap_or_default()));
        }
        let in_dependency = is_dependency_table(&section)
            || section.rsplit_once('.').is_some_and(|(table, _)| is_dependency_table(table));
        if in_dependency && let Some(renamed) = renamed(line) {
            manifest.dependencies.push(renamed);
        }
    }
    manifest
}

fn is_dependency_table(section: &str) -> bool {
    let kind = section.rsplit('.').next().unwrap_or_default();
    !section.starts_with("workspace") && matches!(kind, "dependencies" | "dev-dependencies" | "build-dependencies")
}

/// The real name in `alias = { package = "name" }`.
fn renamed(line: &str) -> Option<String> {
    let (before, after) = line.split_once("package")?;
    let value = after.trim_start().strip_prefix('=')?;
    let starts_a_key = before.trim_end().is_empty() || before.trim_end().ends_with(['{', ',']);
    starts_a_key.then(|| unquoted(value.split([',', '}']).next().unwrap_or_default()))
}

fn unquoted(text: &str) -> String {
    text.trim().trim_matches(['"', '\'']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(package: &str, dependencies: &str) -> String {
        format!("[package]\nname = \"{package}\"\nversion.workspace = true\n\n{dependencies}\n")
    }

    #[test]
    fn downward_dependencies_are_allowed() {
        let core = "[dependencies]\nclaudemesh-core.workspace = true\nserde = \"1\"";
        assert!(violations(&manifest("claudemesh-client", core)).is_empty());
        let all = "[dependencies]\nclaudemesh-client = { workspace = true, features = [\"daemon\"] }\nclaudemesh-broker.workspace = true";
        assert!(violations(&manifest("claudemesh-cli", all)).is_empty());
    }

    #[test]
    fn client_and_broker_never_meet() {
        for form in [
            "[dependencies]\nclaudemesh-broker.workspace = true",
            "[dev-dependencies]\nclaudemesh-broker = { path = \"../claudemesh-broker\" }",
            "[target.'cfg(unix)'.dependencies]\nclaudemesh-broker = \"1\"",
            "[dependencies.claudemesh-broker]\nworkspace = true",
            "[dependencies]\nhidden = { path = \"..\", package = \"claudemesh-broker\" }",
            "[dependencies.hidden]\npackage = \"claudemesh-broker\"",
        ] {
            assert_eq!(
                violations(&manifest("claudemesh-client", form)),
                ["claudemesh-client must not depend on claudemesh-broker"],
                "{form}"
            );
        }
        let client = "[dependencies]\nclaudemesh-client.workspace = true";
        assert_eq!(violations(&manifest("claudemesh-broker", client)).len(), 1);
    }

    #[test]
    fn core_depends_on_none() {
        let client = "[dev-dependencies]\nclaudemesh-client.workspace = true";
        assert_eq!(violations(&manifest("claudemesh-core", client)).len(), 1);
    }

    #[test]
    fn a_new_crate_must_be_given_a_place() {
        assert_eq!(violations(&manifest("claudemesh-extra", "")).len(), 1);
    }

    #[test]
    fn the_workspace_manifest_is_no_crate() {
        assert!(
            violations("[workspace]\nmembers = []\n[workspace.dependencies]\nclaudemesh-core = { path = \"x\" }")
                .is_empty()
        );
    }
}
