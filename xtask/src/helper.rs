//! The small servers that only stand in for the outside.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use testkit::git::{GitHome, server};
use testkit::ingress;
use testkit::kube::Kube;

/// `git-server`.
#[derive(Args)]
pub(crate) struct GitServer {
    /// The folder of repositories (`<tenant>/<name>.git`) and logins
    #[arg(long)]
    root: PathBuf,
    /// The address to listen on
    #[arg(long)]
    listen: SocketAddr,
    /// The address by which clients know it
    #[arg(long)]
    public_url: Option<String>,
    /// A certificate to serve over TLS with, PEM
    #[arg(long, requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its key, PEM
    #[arg(long, requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

impl GitServer {
    pub(crate) async fn run(self) -> Result<()> {
        let tls = self.tls_cert.zip(self.tls_key);
        let home = GitHome::open(&self.root)?;
        server::serve(server::Options {
            home,
            listen: self.listen,
            public_url: self.public_url,
            tls,
            client_ca: None,
        })
        .await
    }
}

/// `ingress-status`.
#[derive(Args)]
pub(crate) struct IngressStatus {
    /// The Kubernetes API
    #[arg(long)]
    server: String,
    /// The authority that signed its certificate, PEM
    #[arg(long)]
    ca: PathBuf,
    /// A file with a bearer token
    #[arg(long)]
    token_file: PathBuf,
    /// Which class of Ingresses
    #[arg(long, default_value = "traefik")]
    class: String,
    /// The address to publish
    #[arg(long, default_value = "203.0.113.10")]
    address: String,
}

impl IngressStatus {
    pub(crate) async fn run(self) -> Result<()> {
        let token = std::fs::read_to_string(&self.token_file).context("cannot read the token")?;
        let kube = Kube::new(&self.server, &self.ca, token.trim())?;
        match ingress::fill_status(&kube, &self.class, &self.address).await? {}
    }
}

/// `guard`.
#[derive(Args)]
pub(crate) struct Guard {
    /// The folder of the test run
    #[arg(long)]
    pub(crate) dir: PathBuf,
}
