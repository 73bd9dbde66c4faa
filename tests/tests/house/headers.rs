//! Endpoint files begin with the method and path they serve.

use super::sources::sources;

#[test]
fn endpoint_files_begin_with_method_and_path() {
    let mut found = Vec::new();
    for source in &sources() {
        let is_endpoint = ["client/", "admin/", "server/"]
            .iter()
            .any(|dir| source.path.starts_with(&format!("homeserver/api/src/{dir}")));
        if !is_endpoint || !source.text.contains("pub fn routes") || source.path.ends_with("mod.rs")
        {
            continue;
        }
        let header: String =
            source.text.lines().take_while(|line| line.starts_with("//!")).collect();
        let methods = ["`GET /", "`POST /", "`PUT /", "`DELETE /"];
        if !methods.iter().any(|method| header.contains(method)) {
            found.push(source.path.clone());
        }
    }
    assert!(found.is_empty(), "no `METHOD /path` in the header: {found:#?}");
}

#[test]
fn every_file_says_what_it_is() {
    let silent: Vec<String> = sources()
        .into_iter()
        .filter(|source| !source.text.starts_with("//!"))
        .map(|source| source.path)
        .collect();
    assert!(silent.is_empty(), "files without a `//!` header: {silent:#?}");
}
