//! Which functions of the core a handler calls, read from its source.

use std::collections::{BTreeMap, BTreeSet};

use pli_api::router::Route;
use syn::visit::Visit;

use super::sources::{Source, sources};

/// Handler → the functions of the core behind it, such as `Rooms::join`.
pub fn core_functions(routes: &[Route]) -> BTreeMap<&'static str, BTreeSet<String>> {
    let sources: Vec<Source> =
        sources().into_iter().filter(|source| source.crate_name() == "pli-api").collect();
    let areas = areas(&sources);
    let files: BTreeMap<String, BTreeMap<String, syn::ItemFn>> =
        sources.into_iter().map(|source| (source.path, functions(source.syntax.items))).collect();
    let mut out = BTreeMap::new();
    for route in routes {
        let (module, name) = route.handler.rsplit_once("::").unwrap_or_default();
        let module = module.split("::").skip(1).collect::<Vec<_>>().join("/");
        let paths = ["", "/mod"].map(|end| format!("homeserver/api/src/{module}{end}.rs"));
        let Some(functions) = paths.iter().find_map(|path| files.get(path)) else { continue };
        let mut calls =
            Calls { functions, areas: &areas, seen: BTreeSet::new(), found: BTreeSet::new() };
        calls.follow(name);
        out.insert(route.handler, calls.whole());
    }
    out
}

/// The areas of the core: what handlers take as `State<…>`, but for what decides nothing.
fn areas(sources: &[Source]) -> BTreeSet<String> {
    const NOT_THE_CORE: [&str; 3] = ["AppState", "ServerInfo", "Stopping"];
    let text: String = sources.iter().map(|source| source.code()).collect();
    let types = text.split("State<").skip(1).filter_map(|rest| rest.split('>').next());
    let names = types.filter_map(|path| path.rsplit("::").next()).map(str::trim);
    names.filter(|name| !NOT_THE_CORE.contains(name)).map(str::to_owned).collect()
}

/// The functions of a file, those that its macros write included.
fn functions(all: Vec<syn::Item>) -> BTreeMap<String, syn::ItemFn> {
    let mut out = BTreeMap::new();
    let mut macros: BTreeMap<String, String> = BTreeMap::new();
    let mut items: Vec<syn::Item> = Vec::new();
    for item in all {
        let syn::Item::Macro(item) = item else {
            items.push(item);
            continue;
        };
        if let Some(name) = &item.ident {
            macros.insert(name.to_string(), item.mac.tokens.to_string());
        } else if let Some(name) = item.mac.path.get_ident()
            && let Some(rules) = macros.get(&name.to_string())
        {
            let written = expanded(rules, &item.mac.tokens.to_string());
            items.extend(written.map(|file| file.items).unwrap_or_default());
        }
    }
    for item in items {
        if let syn::Item::Fn(function) = item {
            out.insert(function.sig.ident.to_string(), function);
        }
    }
    out
}

/// A macro of one rule whose parameters stand between commas, with its arguments filled in.
fn expanded(rules: &str, arguments: &str) -> Option<syn::File> {
    let (pattern, body) = rules.split_once("=>")?;
    let body = body.trim().strip_prefix('{')?;
    let mut body = body.get(..body.rfind('}')?)?.to_owned();
    let names = pattern.split('$').skip(1).filter_map(|part| part.split(':').next());
    let arguments = arguments.split([',', '|']).map(str::trim).filter(|text| !text.is_empty());
    let mut filled: Vec<(&str, &str)> = names.map(str::trim).zip(arguments).collect();
    filled.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    for (name, value) in filled {
        body = body.replace(&format!("$ {name}"), value).replace(&format!("${name}"), value);
    }
    syn::parse_str(&body).ok()
}

/// Follows a handler through the functions of its file.
struct Calls<'a> {
    functions: &'a BTreeMap<String, syn::ItemFn>,
    areas: &'a BTreeSet<String>,
    seen: BTreeSet<String>,
    found: BTreeSet<String>,
}

impl Calls<'_> {
    fn follow(&mut self, name: &str) {
        let Some(function) = self.functions.get(name) else { return };
        if self.seen.insert(name.to_owned()) {
            let variables = variables(&function.sig, self.areas);
            let mut body = Body { variables, found: BTreeSet::new(), called: BTreeSet::new() };
            body.visit_block(&function.block);
            self.found.extend(body.found);
            for called in body.called {
                self.follow(&called);
            }
        }
    }

    /// What was found, without `Accounts::policy` beside `Accounts::policy().homeserver_for`.
    fn whole(self) -> BTreeSet<String> {
        let is_start = |name: &str| {
            let start = format!("{name}().");
            self.found.iter().any(|other| other.starts_with(&start))
        };
        self.found.iter().filter(|name| !is_start(name)).cloned().collect()
    }
}

/// The arguments that are areas of the core: variable → type.
fn variables(signature: &syn::Signature, areas: &BTreeSet<String>) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for input in &signature.inputs {
        let syn::FnArg::Typed(input) = input else { continue };
        let name = match &*input.pat {
            syn::Pat::Ident(pattern) => Some(pattern.ident.to_string()),
            syn::Pat::TupleStruct(pattern) => match pattern.elems.first() {
                Some(syn::Pat::Ident(pattern)) => Some(pattern.ident.to_string()),
                _ => None,
            },
            _ => None,
        };
        let kind = type_name(&input.ty).filter(|kind| areas.contains(kind) || kind == "AppState");
        if let (Some(name), Some(kind)) = (name, kind) {
            out.insert(name, kind);
        }
    }
    out
}

/// `Rooms` for `State<Rooms>`, `&Rooms`, `Rooms`.
fn type_name(kind: &syn::Type) -> Option<String> {
    match kind {
        syn::Type::Reference(reference) => type_name(&reference.elem),
        syn::Type::Path(path) => {
            let last = path.path.segments.last()?;
            match &last.arguments {
                syn::PathArguments::AngleBracketed(inner) if last.ident == "State" => {
                    inner.args.iter().find_map(|argument| match argument {
                        syn::GenericArgument::Type(kind) => type_name(kind),
                        _ => None,
                    })
                }
                _ => Some(last.ident.to_string()),
            }
        }
        _ => None,
    }
}

/// The calls of one function.
struct Body {
    variables: BTreeMap<String, String>,
    found: BTreeSet<String>,
    called: BTreeSet<String>,
}

impl Body {
    /// `Accounts::policy().homeserver_for` for `accounts.policy().homeserver_for(…)`.
    fn chain(&self, expression: &syn::Expr) -> Option<String> {
        let mut names = Vec::new();
        let mut expression = expression;
        loop {
            match expression {
                syn::Expr::MethodCall(call) => {
                    names.push(call.method.to_string());
                    expression = &call.receiver;
                }
                syn::Expr::Reference(reference) => expression = &reference.expr,
                syn::Expr::Field(field) => {
                    let syn::Expr::Path(path) = &*field.base else { return None };
                    let variable = path.path.get_ident()?.to_string();
                    let syn::Member::Named(member) = &field.member else { return None };
                    let is_state = self.variables.get(&variable)? == "AppState";
                    return is_state.then(|| joined(&camel(&member.to_string()), names));
                }
                syn::Expr::Path(path) => {
                    let kind = self.variables.get(&path.path.get_ident()?.to_string())?;
                    return (kind != "AppState").then(|| joined(kind, names));
                }
                _ => return None,
            }
        }
    }
}

fn joined(kind: &str, mut names: Vec<String>) -> String {
    names.reverse();
    format!("{kind}::{}", names.join("()."))
}

fn camel(field: &str) -> String {
    let words = field.split('_').map(|word| {
        let (first, rest) = word.split_at(word.len().min(1));
        format!("{}{rest}", first.to_uppercase())
    });
    words.collect()
}

impl<'ast> Visit<'ast> for Body {
    fn visit_expr_await(&mut self, waiting: &'ast syn::ExprAwait) {
        if matches!(&*waiting.base, syn::Expr::MethodCall(_)) {
            self.found.extend(self.chain(&waiting.base));
        }
        syn::visit::visit_expr_await(self, waiting);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        if let Some(root) = self.chain(&call.receiver).filter(|root| root.ends_with("::")) {
            self.found.insert(format!("{root}{}", call.method));
        }
        syn::visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        if let syn::Expr::Path(path) = &*call.func
            && let Some(name) = path.path.get_ident()
        {
            self.called.insert(name.to_string());
        }
        syn::visit::visit_expr_call(self, call);
    }
}
