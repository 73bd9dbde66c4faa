//! An authority of certificates for the servers of a test process, so that they speak TLS to each other.

use std::{net::TcpListener, path::Path, sync::LazyLock};

use pli_schema::config::Config;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

/// What all servers of the process use: PEM of the authority, of a certificate for `localhost` and
/// `127.0.0.1`, and of its key.
struct Authority {
    root: String,
    certificate: String,
    key: String,
}

static AUTHORITY: LazyLock<Authority> =
    LazyLock::new(|| make().unwrap_or_else(|error| panic!("certificates for tests: {error}")));

fn make() -> Result<Authority, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(names)?.signed_by(&key, &root)?;
    Ok(Authority { root: root.pem(), certificate: certificate.pem(), key: key.serialize_pem() })
}

/// Lets a server take part in federation, on a free port that is also in its name.
pub fn federate(config: &mut Config, dir: &Path) {
    let write = |name: &str, content: &str| {
        let path = dir.join(name);
        std::fs::write(&path, content).unwrap_or_else(|error| panic!("{name}: {error}"));
        Some(path.display().to_string())
    };
    config.federation.enabled = true;
    config.federation.open = true;
    config.federation.allow_private_addresses = true;
    config.federation.extra_ca_file = write("root.pem", &AUTHORITY.root);
    config.federation.certificate_file = write("certificate.pem", &AUTHORITY.certificate);
    config.federation.private_key_file = write("key.pem", &AUTHORITY.key);
    let port = free_port();
    config.federation.listen.0 = vec![format!("127.0.0.1:{port}")];
    config.server.server_name = format!("localhost:{port}");
}

/// A port that was free just now.
fn free_port() -> u16 {
    let bound = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    bound.unwrap_or_else(|error| panic!("a free port: {error}")).port()
}
