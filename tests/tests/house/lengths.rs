//! One file, one subject; functions one can see whole.
//!
//! The sources are formatted by rustfmt, so a function ends at the first closing brace that stands as
//! far in as its `fn` line.

use super::sources::{Source, sources};

/// Lines of a function, from its `fn` to its last brace.
const FUNCTION_LINES: usize = 70;
/// Lines of a file without its tests.
const FILE_LINES: usize = 500;
/// Arguments of a function.
const ARGUMENTS: usize = 7;

struct Function {
    name: String,
    lines: usize,
    arguments: usize,
}

fn functions(source: &Source) -> Vec<Function> {
    let lines: Vec<&str> = source.code().lines().collect();
    let mut out = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else { continue };
        let indent = line.len() - line.trim_start().len();
        let closing = format!("{}}}", " ".repeat(indent));
        let head: Vec<&str> =
            lines[start..].iter().copied().take_while(|line| !line.ends_with('{')).collect();
        if head.iter().any(|line| line.ends_with(';')) || line.ends_with('}') {
            continue;
        }
        let length = lines[start..].iter().position(|line| *line == closing).map_or(1, |n| n + 1);
        let signature = format!("{}{}", head.join(" "), lines[start + head.len()]);
        out.push(Function { name, lines: length, arguments: arguments(&signature) });
    }
    out
}

fn function_name(line: &str) -> Option<String> {
    let text = line.trim_start();
    let before = text.split("fn ").next()?;
    let words = ["pub", "pub(crate)", "pub(super)", "const", "async", "extern", "default"];
    let is_signature = before.split_whitespace().all(|word| words.contains(&word));
    let name = text.strip_prefix(before)?.strip_prefix("fn ")?;
    let end = name.find(['(', '<'])?;
    is_signature.then(|| name[..end].to_owned())
}

/// Top-level colons between the parentheses of a signature: one for each named argument.
fn arguments(signature: &str) -> usize {
    let (mut depth, mut count, mut chars) = (0_i32, 0, signature.chars().peekable());
    while let Some(c) = chars.next() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' => {
                depth -= 1;
                if depth == 0 && c == ')' {
                    break;
                }
            }
            ':' if chars.peek() == Some(&':') => drop(chars.next()),
            ':' if depth == 1 => count += 1,
            _ => {}
        }
    }
    count
}

#[test]
fn functions_can_be_seen_whole() {
    let mut found = Vec::new();
    let mut lengths = Vec::new();
    for source in &sources() {
        for Function { name, lines, arguments } in functions(source) {
            lengths.push(lines);
            if lines > FUNCTION_LINES {
                found.push(format!("{}::{name} has {lines} lines", source.path));
            }
            if arguments > ARGUMENTS {
                found.push(format!("{}::{name} has {arguments} arguments", source.path));
            }
        }
    }
    assert!(lengths.len() > 300, "only {} functions were found", lengths.len());
    assert!(found.is_empty(), "{found:#?}");
    lengths.sort_unstable();
    let p90 = lengths[lengths.len() * 9 / 10];
    assert!(p90 <= 30, "nine functions of ten have at most {p90} lines, the goal is 30");
}

#[test]
fn files_have_one_subject() {
    let mut lengths: Vec<usize> = Vec::new();
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| !source.is_tests()) {
        let lines = source.code().lines().count();
        lengths.push(lines);
        if lines > FILE_LINES {
            found.push(format!("{} has {lines} lines", source.path));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
    lengths.sort_unstable();
    let median = lengths[lengths.len() / 2];
    assert!(median <= 150, "the median file has {median} lines, the goal is 150");
}
