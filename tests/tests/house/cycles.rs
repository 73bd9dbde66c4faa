//! No circles between the top-level modules of a crate.

use std::collections::{BTreeMap, BTreeSet};

use syn::visit::Visit;

use super::sources::{CRATES, Source, sources};

type Graph = BTreeMap<String, BTreeSet<String>>;

/// Collects `crate::module` in every path and `use`.
#[derive(Default)]
struct Uses(BTreeSet<String>);

impl<'ast> Visit<'ast> for Uses {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        let mut segments = path.segments.iter();
        if segments.next().is_some_and(|first| first.ident == "crate")
            && let Some(module) = segments.next()
        {
            self.0.insert(module.ident.to_string());
        }
        syn::visit::visit_path(self, path);
    }

    fn visit_use_path(&mut self, path: &'ast syn::UsePath) {
        if path.ident == "crate" {
            self.roots(&path.tree);
        }
        syn::visit::visit_use_path(self, path);
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !is_test(&module.attrs) {
            syn::visit::visit_item_mod(self, module);
        }
    }
}

impl Uses {
    fn roots(&mut self, tree: &syn::UseTree) {
        match tree {
            syn::UseTree::Path(path) => drop(self.0.insert(path.ident.to_string())),
            syn::UseTree::Name(name) => drop(self.0.insert(name.ident.to_string())),
            syn::UseTree::Rename(rename) => drop(self.0.insert(rename.ident.to_string())),
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.roots(item)),
            syn::UseTree::Glob(_) => {}
        }
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Ident>().is_ok_and(|ident| ident == "test")
    })
}

fn module_of(path: &str, dir: &str) -> Option<String> {
    let inside = path.strip_prefix(&format!("{dir}/src/"))?;
    if inside.ends_with("tests.rs") {
        return None;
    }
    let first = inside.split('/').next()?;
    let name = first.strip_suffix(".rs").unwrap_or(first);
    (name != "lib" && name != "main").then(|| name.to_owned())
}

/// What the crate's root re-exports: name → module it comes from.
fn reexports(
    sources: &[Source],
    dir: &str,
    modules: &BTreeSet<String>,
) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    let roots = [format!("{dir}/src/lib.rs"), format!("{dir}/src/main.rs")];
    for source in sources.iter().filter(|source| roots.contains(&source.path)) {
        for item in &source.syntax.items {
            let syn::Item::Use(item) = item else { continue };
            let syn::UseTree::Path(path) = &item.tree else { continue };
            let module = path.ident.to_string();
            if modules.contains(&module) {
                let mut names = Uses::default();
                names.roots(&path.tree);
                out.extend(names.0.into_iter().map(|name| (name, module.clone())));
            }
        }
    }
    out
}

fn graph(sources: &[Source], dir: &str) -> Graph {
    let modules: BTreeSet<String> =
        sources.iter().filter_map(|source| module_of(&source.path, dir)).collect();
    let names = reexports(sources, dir, &modules);
    let mut graph = Graph::new();
    for source in sources {
        let Some(from) = module_of(&source.path, dir) else { continue };
        let mut uses = Uses::default();
        uses.visit_file(&source.syntax);
        let to = uses.0.into_iter().filter_map(|name| {
            if modules.contains(&name) { Some(name) } else { names.get(&name).cloned() }
        });
        let to: Vec<String> = to.filter(|to| *to != from).collect();
        graph.entry(from).or_default().extend(to);
    }
    graph
}

/// Removes modules that use nothing left until none is left or only circles are.
fn circles(mut graph: Graph) -> Vec<String> {
    let leaf = |graph: &Graph| graph.iter().find(|(_, to)| to.is_empty()).map(|(n, _)| n.clone());
    while let Some(leaf) = leaf(&graph) {
        graph.remove(&leaf);
        for to in graph.values_mut() {
            to.remove(&leaf);
        }
    }
    graph.iter().map(|(from, to)| format!("{from} → {to:?}")).collect()
}

#[test]
fn modules_of_a_crate_form_no_circles() {
    let sources = sources();
    for (name, dir) in CRATES {
        let left = circles(graph(&sources, dir));
        assert!(left.is_empty(), "{name}: modules in a circle (or above one): {left:#?}");
    }
}
