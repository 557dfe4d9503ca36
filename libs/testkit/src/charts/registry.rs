//! An OCI registry: the CNCF's, on loopback over TLS, behind a login.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::header::{CONTENT_TYPE, LOCATION};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::process::Child;
use url::Url;

use super::login;
use crate::certs::Authority;
use crate::command::{command, output, output_of_input};
use crate::progress::Progress;
use crate::{http, ports, tools, wait};

/// The login's password as `htpasswd` keeps it.
const HASH: &str = "$2a$04$xv0EzIdoImKzzKby7MD/U.S0CqanAsDdNLV9U9PprhFa7B.ZxtP5S";

/// A running registry. It ends with its value.
#[derive(Debug)]
pub struct Registry {
    /// Host and port.
    pub address: String,
    /// The authority of its certificate.
    pub ca: PathBuf,
    folder: TempDir,
    _process: Child,
}

impl Registry {
    /// Starts one on a free port, empty.
    ///
    /// # Errors
    /// When it cannot be built or started.
    pub async fn start() -> Result<Self> {
        let program = tools::path("registry", &Progress::silent()).await?;
        let folder = tempfile::Builder::new().prefix("registry-").tempdir()?;
        let address = format!("127.0.0.1:{}", ports::free()?);
        let authority = Authority::open(&folder.path().join("certs"))?;
        let identity = authority.server("registry", &["127.0.0.1"])?;
        let (passwords, config) = (
            folder.path().join("htpasswd"),
            folder.path().join("config.yaml"),
        );
        std::fs::write(&passwords, format!("{}:{HASH}\n", login().user))?;
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: {address}, secret: charts, tls: {{certificate: {}, key: {}}}}}\n\
             auth: {{htpasswd: {{realm: charts, path: {}}}}}\n",
            folder.path().join("data").display(),
            identity.cert.display(),
            identity.key.display(),
            passwords.display()
        );
        std::fs::write(&config, text)?;
        let log = std::fs::File::create(folder.path().join("log"))?;
        let mut serve = command(program);
        serve
            .arg("serve")
            .arg(&config)
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdout(Stdio::null())
            .stderr(log);
        let process = serve.spawn().context("cannot start the registry")?;
        let client = http::trusting(&identity.ca)?;
        let probe = || async {
            let answer = client.get(format!("https://{address}/v2/")).send().await?;
            match answer.status().as_u16() {
                401 => Ok(()),
                status => bail!("the registry answers {status}"),
            }
        };
        wait::until("the registry answers", Duration::from_secs(30), probe).await?;
        Ok(Self {
            address,
            ca: identity.ca,
            folder,
            _process: process,
        })
    }

    /// Pushes an archive below a path.
    ///
    /// # Errors
    /// What helm said.
    pub async fn push(&self, archive: &Path, below: &str) -> Result<()> {
        let login = login();
        let mut sign_in = super::helm(self.folder.path()).await?;
        sign_in
            .args(["registry", "login", &self.address, "--ca-file"])
            .arg(&self.ca)
            .args(["--username", &login.user, "--password-stdin"]);
        output_of_input(&mut sign_in, &login.password).await?;
        let mut push = super::helm(self.folder.path()).await?;
        push.arg("push")
            .arg(archive)
            .arg(format!("oci://{}/{below}", self.address))
            .arg("--ca-file")
            .arg(&self.ca);
        output(&mut push).await.map(drop)
    }

    /// Publishes the files of a folder as an artifact of one layer, as `oras push` does; answers its digest.
    ///
    /// # Errors
    /// What tar or the registry said.
    pub async fn publish(&self, name: &str, tag: &str, folder: &Path) -> Result<String> {
        let archive = self.folder.path().join("layer.tar.gz");
        let mut tar = command("tar");
        tar.arg("-czf").arg(&archive).arg("-C").arg(folder).arg(".");
        output(&mut tar).await?;
        let layer = std::fs::read(&archive)?;
        let notes = json!({"org.opencontainers.image.title": name});
        self.publish_layers(name, tag, &[(LAYER, layer)], &notes)
            .await
    }

    /// Publishes an artifact of these layers, each with its media type, and notes; answers its digest.
    ///
    /// # Errors
    /// What the registry said.
    pub async fn publish_layers(
        &self,
        name: &str,
        tag: &str,
        layers: &[(&str, Vec<u8>)],
        notes: &Value,
    ) -> Result<String> {
        let client = http::trusting(&self.ca)?;
        let login = login();
        let base = Url::parse(&format!("https://{}/v2/{name}/", self.address))?;
        let mut described = Vec::new();
        let config = (CONFIG, b"{}".to_vec());
        for (media_type, bytes) in [&config].into_iter().chain(layers) {
            let digest = digest(bytes);
            let begun = client
                .post(base.join("blobs/uploads/")?)
                .basic_auth(&login.user, Some(&login.password))
                .send()
                .await?
                .error_for_status()?;
            let place = begun.headers().get(LOCATION).context("no place to go on")?;
            let mut place = base.join(place.to_str()?)?;
            place.query_pairs_mut().append_pair("digest", &digest);
            client
                .put(place)
                .basic_auth(&login.user, Some(&login.password))
                .body(bytes.clone())
                .send()
                .await?
                .error_for_status()?;
            described.push(json!({"mediaType": media_type, "digest": digest, "size": bytes.len()}));
        }
        let layers = described.split_off(1);
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": described[0],
            "layers": layers,
            "annotations": notes,
        });
        let manifest = serde_json::to_vec(&manifest)?;
        let digest = digest(&manifest);
        client
            .put(base.join(&format!("manifests/{tag}"))?)
            .basic_auth(&login.user, Some(&login.password))
            .header(CONTENT_TYPE, MANIFEST)
            .body(manifest)
            .send()
            .await?
            .error_for_status()?;
        Ok(digest)
    }
}

/// The media types of an artifact's parts.
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.empty.v1+json";
/// The media type of a layer of files.
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}
