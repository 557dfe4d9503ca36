//! What is written down about a started process.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::{Spec, proc_fs};
use crate::paths;

/// One file per name; readable by its owner only, since the environment may hold passwords.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) pid: i32,
    pub(super) started: u64,
    /// Start times count from the machine's start; this tells which one.
    boot: String,
    program: Stamp,
    pub(super) spec: Spec,
}

/// Tells one build of a program from the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    size: u64,
    seconds: i64,
    nanoseconds: i64,
}

impl Stamp {
    fn of(program: &Path) -> Option<Self> {
        let meta = fs::metadata(program).ok()?;
        Some(Self {
            size: meta.size(),
            seconds: meta.mtime(),
            nanoseconds: meta.mtime_nsec(),
        })
    }
}

fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .unwrap_or_default()
        .trim()
        .to_owned()
}

impl Record {
    pub(super) fn of(pid: i32, spec: &Spec) -> Result<Self> {
        Ok(Self {
            pid,
            started: proc_fs::started(pid)
                .with_context(|| format!("{} ended at once", spec.name))?,
            boot: boot(),
            program: Stamp::of(&spec.program)
                .with_context(|| format!("cannot read {}", spec.program.display()))?,
            spec: spec.clone(),
        })
    }

    /// What was written; of another start of the machine, with an id that no process can have.
    pub(super) fn read(path: &Path) -> Option<Self> {
        let mut record: Self = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        if record.boot != boot() {
            record.started = u64::MAX;
        }
        Some(record)
    }

    pub(super) fn write(&self, path: &Path) -> Result<()> {
        paths::private_file(path, &serde_json::to_vec_pretty(self)?)
    }

    /// Whether the program on the disk is the one that was started.
    pub(super) fn is_current(&self) -> bool {
        Stamp::of(&self.spec.program).as_ref() == Some(&self.program)
    }
}
