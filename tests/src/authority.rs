//! An authority of certificates for the servers of a test process, so that they speak TLS to each other.

use std::{
    net::TcpListener,
    path::Path,
    sync::{Arc, LazyLock},
};

use pli_schema::config::Config;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

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

/// The authority's certificate, PEM.
#[must_use]
pub fn root() -> &'static str {
    &AUTHORITY.root
}

/// Speaks TLS as the servers do.
#[must_use]
pub fn acceptor() -> TlsAcceptor {
    let made = || -> Result<ServerConfig, Box<dyn std::error::Error>> {
        let chain = CertificateDer::from_pem_slice(AUTHORITY.certificate.as_bytes())?;
        let key = PrivateKeyDer::from_pem_slice(AUTHORITY.key.as_bytes())?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions()?.with_no_client_auth();
        Ok(builder.with_single_cert(vec![chain], key)?)
    };
    let config = made().unwrap_or_else(|error| panic!("TLS for tests: {error}"));
    TlsAcceptor::from(Arc::new(config))
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
