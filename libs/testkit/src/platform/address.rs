//! Loopback addresses, one per tenant: the `argocd` command finds a tenant by its host and knows no other way to say it.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::{Context, Result};

use crate::lock;

const COUNT: u8 = 250;
/// When fewer are left than this, a run that begins starts over.
const SPARE: u8 = 100;

/// The operator's address and the tenants'.
pub(super) fn all() -> Vec<Ipv4Addr> {
    std::iter::once(Ipv4Addr::LOCALHOST)
        .chain((1..=COUNT).map(at))
        .collect()
}

fn at(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 2, number)
}

fn taken(dir: &Path) -> u8 {
    fs::read_to_string(dir.join("addresses"))
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(0)
}

/// An address that no tenant of this run has had.
pub(super) fn take(dir: &Path) -> Result<Ipv4Addr> {
    let _lock = lock::wait_exclusive(&dir.join("addresses.lock"))?;
    let next = taken(dir).checked_add(1).filter(|next| *next <= COUNT);
    let next =
        next.context("this run's addresses are used up: stop it with `cargo xtask down --tests`")?;
    fs::write(dir.join("addresses"), next.to_string())?;
    Ok(at(next))
}

/// Whether a run that begins had better start over.
pub(super) fn is_worn(dir: &Path) -> bool {
    taken(dir) > COUNT - SPARE
}
