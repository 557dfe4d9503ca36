//! The TLS settings of the public port: a given certificate, or one made on the spot.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::config::Tls;

/// Why the certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// Only one of the two is given.
    #[error("NARU_TLS__CERT and NARU_TLS__KEY go together: set both, or neither")]
    Half,
    /// A file cannot be read or is not PEM.
    #[error("cannot read `{file}` as PEM: {cause}")]
    File {
        /// Which.
        file: String,
        /// Why.
        cause: rustls::pki_types::pem::Error,
    },
    /// They do not fit each other.
    #[error("the certificate and key in NARU_TLS__* do not fit each other: {0}")]
    Mismatch(#[from] rustls::Error),
    /// None could be made.
    #[error("cannot make a certificate for {hosts:?}: {cause}")]
    Make {
        /// For which hosts.
        hosts: Vec<String>,
        /// Why.
        cause: rcgen::Error,
    },
}

/// The settings, or `None` where the port speaks in clear. `hosts` are put into a certificate made here.
///
/// # Errors
/// When the files cannot be used.
pub(crate) fn server_config(
    tls: &Tls,
    hosts: &[String],
) -> Result<Option<Arc<ServerConfig>>, TlsError> {
    let (chain, key) = match (&tls.cert, &tls.key) {
        (Some(cert), Some(key)) => (read_chain(cert)?, read_key(key)?),
        (None, None) if tls.self_signed => self_signed(hosts)?,
        (None, None) => return Ok(None),
        _ => return Err(TlsError::Half),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Some(Arc::new(config)))
}

fn read_chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|cause| TlsError::File {
            file: file.display().to_string(),
            cause,
        })
}

fn read_key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(file).map_err(|cause| TlsError::File {
        file: file.display().to_string(),
        cause,
    })
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn self_signed(hosts: &[String]) -> Result<Identity, TlsError> {
    let mut names: Vec<String> = vec![
        "localhost".to_owned(),
        "127.0.0.1".to_owned(),
        "::1".to_owned(),
    ];
    names.extend(hosts.iter().cloned());
    names.sort();
    names.dedup();
    let made =
        rcgen::generate_simple_self_signed(names.clone()).map_err(|cause| TlsError::Make {
            hosts: names,
            cause,
        })?;
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    Ok((vec![made.cert.der().clone()], key.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_made_when_none_is_given_and_asked_for() {
        let made = server_config(
            &Tls {
                self_signed: true,
                ..Tls::default()
            },
            &["127.0.1.1".to_owned()],
        )
        .unwrap()
        .unwrap();
        assert_eq!(made.alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);
        assert!(server_config(&Tls::default(), &[]).unwrap().is_none());
        let half = Tls {
            cert: Some("x".into()),
            ..Tls::default()
        };
        assert!(matches!(server_config(&half, &[]), Err(TlsError::Half)));
    }
}
