//! One file, one subject; functions one can see whole.

use syn::{spanned::Spanned, visit::Visit};

use super::sources::{Source, sources};

/// Lines of a function, signature and braces included.
const FUNCTION_LINES: usize = 70;
/// Lines of a file without its tests.
const FILE_LINES: usize = 500;
/// Arguments of a function.
const ARGUMENTS: usize = 7;

struct Functions<'a> {
    source: &'a Source,
    lengths: Vec<usize>,
    found: Vec<String>,
}

impl Functions<'_> {
    fn look(&mut self, signature: &syn::Signature, span: proc_macro2::Span) {
        let lines = span.end().line - signature.span().start().line + 1;
        self.lengths.push(lines);
        if lines > FUNCTION_LINES {
            self.found.push(format!("{}::{} has {lines} lines", self.source.path, signature.ident));
        }
        if signature.inputs.len() > ARGUMENTS {
            self.found.push(format!(
                "{}::{} has {} arguments",
                self.source.path,
                signature.ident,
                signature.inputs.len()
            ));
        }
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.look(&item.sig, item.block.span());
        syn::visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.look(&item.sig, item.block.span());
        syn::visit::visit_impl_item_fn(self, item);
    }
}

#[test]
fn functions_can_be_seen_whole() {
    let mut found = Vec::new();
    let mut lengths = Vec::new();
    for source in &sources() {
        let mut functions = Functions { source, lengths: Vec::new(), found: Vec::new() };
        functions.visit_file(&source.syntax);
        found.append(&mut functions.found);
        lengths.append(&mut functions.lengths);
    }
    assert!(found.is_empty(), "{found:#?}");
    lengths.sort_unstable();
    let p90 = lengths[lengths.len() * 9 / 10];
    assert!(p90 <= 30, "nine functions of ten have at most {p90} lines, the goal is 30");
}

#[test]
fn files_have_one_subject() {
    let mut lengths: Vec<usize> = Vec::new();
    let mut found = Vec::new();
    for source in &sources() {
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
