//! HTTP clients.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::{Certificate, Client, ClientBuilder};

/// A client's settings: no proxy (everything is on this machine), rustls.
pub fn builder() -> ClientBuilder {
    // A second call finds it installed, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .no_proxy()
        .connect_timeout(Duration::from_secs(5))
}

/// A client that trusts the authority in `ca`, and nobody else.
///
/// # Errors
/// When the file is no certificate.
pub fn trusting(ca: &Path) -> Result<Client> {
    let pem = std::fs::read(ca).with_context(|| format!("cannot read {}", ca.display()))?;
    Ok(builder()
        .tls_certs_only(Certificate::from_pem_bundle(&pem)?)
        .build()?)
}

/// A client that asks for no certificate: for servers on loopback that made theirs themselves.
///
/// # Errors
/// When TLS cannot be set up.
pub fn unchecked() -> Result<Client> {
    Ok(builder().tls_danger_accept_invalid_certs(true).build()?)
}

/// An error's sources on one line.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
