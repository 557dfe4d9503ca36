//! The ground on which parts stand: one folder with its processes, and what was once chosen for it (ports, passwords),
//! so that a second start finds everything as the first one left it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rand::Rng;
use rand::distr::Alphanumeric;
use serde::{Deserialize, Serialize};

use crate::lock;
use crate::paths;
use crate::ports;
use crate::process::{Process, Supervisor};
use crate::progress::Progress;

/// What was chosen.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Chosen {
    ports: BTreeMap<String, u16>,
    secrets: BTreeMap<String, String>,
}

fn read(dir: &Path) -> Result<Chosen> {
    let file = dir.join("chosen.json");
    match fs::read(&file) {
        Ok(text) => serde_json::from_slice(&text)
            .with_context(|| format!("{} is damaged: remove it", file.display())),
        Err(_) => Ok(Chosen::default()),
    }
}

/// One folder and everything in it.
pub struct Ground {
    dir: PathBuf,
    chosen: Chosen,
    /// The processes.
    pub supervisor: Supervisor,
    /// Who is told what happens.
    pub progress: Progress,
}

impl Ground {
    /// Opens a folder, making it where it is missing.
    ///
    /// # Errors
    /// When it cannot be made, or what was written there cannot be read.
    pub fn open(dir: &Path, progress: Progress) -> Result<Self> {
        let supervisor = Supervisor::open(dir)?;
        Ok(Self {
            dir: dir.to_owned(),
            chosen: read(dir)?,
            supervisor,
            progress,
        })
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A folder within it that only its owner reads, made where it is missing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let dir = self.dir.join(name);
        paths::private_dir(&dir)?;
        Ok(dir)
    }

    /// Writes down what was chosen, keeping what another process has chosen meanwhile.
    fn save(&mut self) -> Result<()> {
        let _lock = lock::wait_exclusive(&self.dir.join("chosen.lock"))?;
        let mut all: Chosen = read(&self.dir)?;
        all.ports.append(&mut self.chosen.ports);
        all.secrets.append(&mut self.chosen.secrets);
        self.chosen = all;
        paths::private_file(
            &self.dir.join("chosen.json"),
            &serde_json::to_vec_pretty(&self.chosen)?,
        )
    }

    /// The port called `name`, on which the process `owner` listens or is going to: the one asked for, else the one it
    /// had before, else a free one.
    ///
    /// # Errors
    /// When the one asked for is taken by somebody else.
    pub fn port(&mut self, name: &str, owner: &str, wanted: Option<u16>) -> Result<u16> {
        let before = self.chosen.ports.get(name).copied();
        let ours = self.supervisor.find(owner).is_some();
        let port = match (wanted, before) {
            (Some(wanted), Some(before)) if wanted == before && ours => wanted,
            (Some(wanted), _) if ports::is_free(wanted) => wanted,
            (Some(wanted), _) => bail!(
                "port {wanted} is taken: stop what listens there (`ss -ltnp sport = :{wanted}`), or choose another with --{name}-port"
            ),
            (None, Some(before)) if ours || ports::is_free(before) => before,
            (None, _) => ports::free()?,
        };
        if before != Some(port) {
            self.chosen.ports.insert(name.to_owned(), port);
            self.save()?;
        }
        Ok(port)
    }

    /// The password called `name`: made once, kept from then on.
    ///
    /// # Errors
    /// When it cannot be written down.
    pub fn secret(&mut self, name: &str) -> Result<String> {
        if let Some(known) = self.chosen.secrets.get(name) {
            return Ok(known.clone());
        }
        let made: String = rand::rng()
            .sample_iter(Alphanumeric)
            .take(24)
            .map(char::from)
            .collect();
        self.remember(name, &made)?;
        Ok(made)
    }

    /// A secret that somebody else made, if it was written down.
    #[must_use]
    pub fn known_secret(&self, name: &str) -> Option<String> {
        self.chosen.secrets.get(name).cloned()
    }

    /// Writes a secret down that somebody else made.
    ///
    /// # Errors
    /// When it cannot be written down.
    pub fn remember(&mut self, name: &str, secret: &str) -> Result<()> {
        self.chosen
            .secrets
            .insert(name.to_owned(), secret.to_owned());
        self.save()
    }

    /// The running process of that name.
    #[must_use]
    pub fn running(&self, name: &str) -> Option<Process> {
        self.supervisor.find(name)
    }
}

/// In which order a folder's processes stop: those first that lean on the others.
const STOP_ORDER: &[&str] = &[
    "naru-api",
    "naru-controller",
    "naru-repo-server",
    "ingress-status",
    "git-server",
    "git-ssh",
    "kwok",
    "kube-scheduler",
    "kube-controller-manager",
    "kube-apiserver",
    "etcd",
    "redis",
    "postgres",
];

/// Stops every process of a folder and tells which there were.
///
/// # Errors
/// When one cannot be stopped; the others are, nevertheless.
pub async fn stop_all(supervisor: &Supervisor) -> Result<Vec<String>> {
    let place = |name: &str| {
        STOP_ORDER
            .iter()
            .position(|known| name.starts_with(known))
            .unwrap_or(0)
    };
    let mut processes = supervisor.all();
    processes.sort_by_key(|process| place(process.name()));
    let mut stopped = Vec::new();
    let mut failed = Ok(());
    for process in processes {
        match process.stop().await {
            Ok(()) => stopped.push(process.name().to_owned()),
            Err(error) => failed = Err(error),
        }
    }
    failed.map(|()| stopped)
}
