//! TLS from PEM files, which may be changed while the server runs.

use std::{io, path::Path, sync::Arc};

use parking_lot::RwLock;
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// Why the TLS files cannot be used. The text names the file.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate file.
    #[error("the certificate file {path}: {source}")]
    Certificate {
        /// The file.
        path: String,
        /// What is wrong.
        source: rustls_pki_types::pem::Error,
    },
    /// The key file.
    #[error("the private key file {path}: {source}")]
    Key {
        /// The file.
        path: String,
        /// What is wrong.
        source: rustls_pki_types::pem::Error,
    },
    /// They do not fit together.
    #[error("certificate and private key: {0}")]
    Pair(#[from] rustls::Error),
}

/// The TLS of a listener. Clones share it.
#[derive(Clone)]
pub struct Tls(Arc<RwLock<Arc<ServerConfig>>>);

impl Tls {
    /// TLS from a certificate chain and a private key (PKCS#8, EC or RSA), both PEM.
    ///
    /// # Errors
    /// [`TlsError`] if a file cannot be read or the two do not fit together.
    pub fn from_files(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        Ok(Self(Arc::new(RwLock::new(config(certificate, key)?))))
    }

    /// Reads the files again; the old ones stay in use if the new ones are not good.
    ///
    /// # Errors
    /// As [`Self::from_files`].
    pub fn reload(&self, certificate: &Path, key: &Path) -> Result<(), TlsError> {
        let new = config(certificate, key)?;
        *self.0.write() = new;
        Ok(())
    }

    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let config = self.0.read().clone();
        TlsAcceptor::from(config).accept(stream).await
    }
}

fn config(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let shown = |path: &Path| path.display().to_string();
    let wrong_certificate = |source| TlsError::Certificate { path: shown(certificate), source };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(wrong_certificate)?;
    let key = PrivateKeyDer::from_pem_file(key)
        .map_err(|source| TlsError::Key { path: shown(key), source })?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
