//! The documents speak of things that exist.

use std::{collections::BTreeSet, path::PathBuf};

use super::sources::top;

fn read(path: &str) -> String {
    std::fs::read_to_string(top().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn defines(path: &str, function: &str) -> bool {
    let text = read(path);
    let name = function.rsplit("::").next().expect("a name");
    text.contains(&format!("fn {name}(")) || text.contains(&format!("fn {name}<"))
}

/// The `` `path/to/file.rs::function` `` references of a document.
fn references(text: &str) -> Vec<(String, String)> {
    text.split('`')
        .filter_map(|piece| piece.split_once(".rs::"))
        .filter(|(path, name)| !path.contains(char::is_whitespace) && !name.is_empty())
        .map(|(path, name)| (format!("{path}.rs"), name.trim_end_matches("()").to_owned()))
        .collect()
}

fn documents(dir: PathBuf, out: &mut Vec<String>) {
    for entry in std::fs::read_dir(&dir).expect("docs") {
        let path = entry.expect("entry").path();
        if path.is_dir() {
            documents(path, out);
        } else if path.extension().is_some_and(|ext| ext == "md") {
            out.push(path.strip_prefix(top()).expect("below the top").display().to_string());
        }
    }
}

#[test]
fn functions_that_documents_name_exist() {
    let mut paths = vec!["README.md".to_owned()];
    documents(top().join("docs"), &mut paths);
    let mut missing = Vec::new();
    for document in &paths {
        for (path, function) in references(&read(document)) {
            if !top().join(&path).is_file() || !defines(&path, &function) {
                missing.push(format!("{document}: {path}::{function}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn walkthroughs_lead_through_the_code_step_by_step() {
    for walkthrough in ["send-a-message.md", "register-an-agent.md"] {
        let text = read(&format!("docs/walkthroughs/{walkthrough}"));
        let mut step = String::new();
        let mut steps = Vec::new();
        for line in text.lines() {
            let numbered = line.split_once(". ").is_some_and(|(n, _)| n.parse::<u32>().is_ok());
            if numbered && !step.is_empty() {
                steps.push(std::mem::take(&mut step));
            }
            if numbered || (!step.is_empty() && line.starts_with(' ')) {
                step.push_str(line);
            }
        }
        steps.push(step);
        assert!(steps.len() >= 6, "{walkthrough} has only {} steps", steps.len());
        for step in steps {
            assert!(!references(&step).is_empty(), "{walkthrough}: no `file::function` in: {step}");
        }
    }
}

#[test]
fn each_of_the_ten_invariants_names_its_tests() {
    let text = read("docs/architecture.md");
    let section = text.split("## Invariants").nth(1).expect("## Invariants");
    let section = section.split("\n## ").next().expect("a section");
    let rows: Vec<&str> = section.lines().filter(|line| line.starts_with("| ")).collect();
    let numbered: BTreeSet<u32> =
        rows.iter().filter_map(|row| row.split('|').nth(1)?.trim().parse().ok()).collect();
    assert_eq!(numbered, (1..=10).collect());
    for row in rows.iter().filter(|row| row.contains(".rs")) {
        assert!(!references(row).is_empty(), "no test named in: {row}");
    }
    assert_eq!(rows.iter().filter(|row| row.contains(".rs::")).count(), 10, "a row names no test");
}
