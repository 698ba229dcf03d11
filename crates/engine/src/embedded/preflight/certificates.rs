//! Whether registries over HTTPS can be believed: that takes the certificates of authorities, which a small Debian may
//! be without. Images from disk and from registries of this machine over plain HTTP need none.

use std::env;
use std::fs;
use std::path::PathBuf;

use super::Finding;

const NAME: &str = "certificates";

/// Where distributions keep them in one file; Debian first.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

pub(super) fn check() -> Finding {
    let named = env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let places = named.into_iter().chain(BUNDLES.map(PathBuf::from));
    if places.into_iter().any(|path| fs::metadata(path).is_ok_and(|file| file.len() > 0)) {
        return Finding::fine(NAME, "of authorities are there: registries over HTTPS can be asked");
    }
    let text = "of authorities are missing: no image can be pulled over HTTPS";
    Finding::warning(NAME, text, "apt-get install -y ca-certificates")
}
