//! The source files of the workspace, parsed.

use std::path::{Path, PathBuf};

/// A source file.
pub struct Source {
    /// Path from the top of the repository, with `/`.
    pub path: String,
    /// The text.
    pub text: String,
    /// The syntax tree.
    pub syntax: syn::File,
}

/// The directories with source code, by crate.
pub const CRATES: [(&str, &str); 8] = [
    ("pli-schema", "schema"),
    ("pli-federation", "federation"),
    ("pli-store", "homeserver/store"),
    ("pli-core", "homeserver/core"),
    ("pli-api", "homeserver/api"),
    ("pli-homeserver", "homeserver"),
    ("pli-cli", "client-cli"),
    ("pli-tests", "tests"),
];

/// The top of the repository.
pub fn top() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("tests/ has a parent").to_path_buf()
}

/// Every `src/` file of every crate. (Syntax trees cannot be shared between the threads of tests.)
pub fn sources() -> Vec<Source> {
    let mut out = Vec::new();
    for (_, dir) in CRATES {
        collect(&top().join(dir).join("src"), &mut out);
    }
    assert!(out.len() > 40, "only {} source files were found", out.len());
    out
}

fn collect(dir: &Path, out: &mut Vec<Source>) {
    let entries = std::fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("entry").path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(&path, out);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            let text = std::fs::read_to_string(&path).expect("source file");
            let name = path.strip_prefix(top()).expect("below the top").display().to_string();
            let syntax = syn::parse_file(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
            out.push(Source { path: name, text, syntax });
        }
    }
}

impl Source {
    /// Whether the whole file is tests.
    pub fn is_tests(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        let inside = self.path.split_once("/src/").is_some_and(|(_, p)| p.contains("tests/"));
        inside || name.ends_with("tests.rs") || name == "testing.rs"
    }

    /// The text before the tests at the end of the file; nothing of files that are all tests.
    pub fn code(&self) -> &str {
        if self.is_tests() {
            return "";
        }
        let end = self.text.find("\n#[cfg(test)]\nmod ").unwrap_or(self.text.len());
        &self.text[..end]
    }

    /// The crate this file belongs to.
    pub fn crate_name(&self) -> &'static str {
        CRATES
            .iter()
            .filter(|(_, dir)| self.path.starts_with(&format!("{dir}/src/")))
            .map(|(name, _)| *name)
            .next()
            .expect("a crate")
    }
}
