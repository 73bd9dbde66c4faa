//! Arrows between crates: only those of docs/architecture.md.

use std::{collections::BTreeSet, process::Command};

use super::sources::top;

/// Which crate may use which.
const ALLOWED: [(&str, &[&str]); 8] = [
    ("pli-schema", &[]),
    ("pli-federation", &["pli-schema"]),
    ("pli-store", &["pli-schema"]),
    ("pli-core", &["pli-schema", "pli-federation", "pli-store"]),
    ("pli-api", &["pli-schema", "pli-core"]),
    ("pli-homeserver", &["pli-schema", "pli-federation", "pli-store", "pli-core", "pli-api"]),
    ("pli-cli", &["pli-schema"]),
    (
        "pli-tests",
        &["pli-schema", "pli-federation", "pli-store", "pli-core", "pli-api", "pli-homeserver"],
    ),
];

#[test]
fn crates_use_only_the_crates_below_them() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(top())
        .output()
        .expect("cargo metadata");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    assert_eq!(packages.len(), ALLOWED.len(), "a new crate needs a line here and a reason");
    for package in packages {
        let name = package["name"].as_str().expect("name");
        let (_, allowed) = ALLOWED.iter().find(|(n, _)| *n == name).expect("a known crate");
        let allowed: BTreeSet<&str> = allowed.iter().copied().collect();
        let used: BTreeSet<&str> = package["dependencies"]
            .as_array()
            .expect("dependencies")
            .iter()
            .filter_map(|dependency| dependency["name"].as_str())
            .filter(|dependency| dependency.starts_with("pli-"))
            .collect();
        let new: Vec<_> = used.difference(&allowed).collect();
        assert!(new.is_empty(), "{name} may not use {new:?}");
    }
}

#[test]
fn every_dependency_comes_from_the_workspace_table() {
    for (_, dir) in super::sources::CRATES {
        let path = top().join(dir).join("Cargo.toml");
        let manifest = std::fs::read_to_string(&path).expect("Cargo.toml");
        let mut in_dependencies = false;
        for line in manifest.lines() {
            if line.starts_with('[') {
                in_dependencies = line.contains("dependencies");
            } else if in_dependencies && !line.trim().is_empty() && !line.starts_with('#') {
                assert!(
                    line.contains(".workspace = true") || line.contains("workspace = true"),
                    "{dir}: `{line}`: one version and one feature set of each, in the workspace"
                );
            }
        }
    }
}
