//! HTTPS: reads the certificate chain and its key, and checks that they belong together. Serving is `gateway::listen`'s.
//! Must not let a key into a log or an error.

use crate::configuration::settings::TlsFiles;
use crate::named_file;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("could not read `{path}`")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("`{path}` is not readable as PEM")]
    Pem {
        path: PathBuf,
        #[source]
        source: pem::Error,
    },
    #[error("`{path}` holds no certificate")]
    NoCertificate { path: PathBuf },
    #[error(
        "the private key `{path}` can be read by everybody (mode {mode:04o}); `chmod 600 {path}` mends it"
    )]
    TooOpen { path: PathBuf, mode: u32 },
    #[error("certificate and key cannot be served together")]
    Unusable(#[source] rustls::Error),
}

/// What HTTPS is served with.
///
/// # Errors
/// A file that cannot be read or is no PEM, a key open to everybody, a key of another certificate.
pub(crate) fn load(files: &TlsFiles) -> Result<Arc<ServerConfig>, Error> {
    let text = read(&files.certificate)?;
    let not_pem = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Pem { path, source }
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(not_pem(&files.certificate))?;
    if chain.is_empty() {
        return Err(Error::NoCertificate { path: files.certificate.clone() });
    }
    let key = PrivateKeyDer::from_pem_slice(&read(&files.key)?).map_err(not_pem(&files.key))?;
    refuse_open(&files.key)?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(Error::Unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(Error::Unusable)?;
    Ok(Arc::new(config))
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    named_file::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })
}

/// A group may hold it (`ssl-cert` on Debian does); everybody may not.
fn refuse_open(path: &Path) -> Result<(), Error> {
    let metadata = std::fs::metadata(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o007 != 0 { Err(Error::TooOpen { path: path.to_owned(), mode }) } else { Ok(()) }
}
