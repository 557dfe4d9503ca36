//! Free loopback ports.

use std::collections::BTreeSet;
use std::fs;
use std::sync::{Mutex, PoisonError};

use anyhow::{Result, bail};
use rand::Rng;

/// Below the range from which the kernel takes the ports of outgoing connections: a port found free here is still
/// free when a killed server is started on it again.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

/// Those handed out by this process, which their servers may not have bound yet.
static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// Whether nobody listens on this port, on any address.
///
/// Read from the kernel's table and not found out by listening: a process forked at that moment would hold the port
/// for an instant longer, and whoever then wants it would find it taken.
#[must_use]
pub fn is_free(port: u16) -> bool {
    let local = format!(":{port:04X}");
    let listens = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().take(4).collect();
        fields.len() == 4 && fields[1].ends_with(&local) && fields[3] == "0A"
    };
    let table = |name: &str| fs::read_to_string(format!("/proc/net/{name}")).unwrap_or_default();
    !["tcp", "tcp6"]
        .into_iter()
        .any(|name| table(name).lines().any(listens))
}

/// A port on which nobody listens.
///
/// # Errors
/// When there seems to be none.
pub fn free() -> Result<u16> {
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut random = rand::rng();
    for _ in 0..2_000 {
        let port = random.random_range(RANGE);
        if !given.contains(&port) && is_free(port) {
            given.insert(port);
            return Ok(port);
        }
    }
    bail!(
        "no free port between {} and {}: stop what holds them",
        RANGE.start,
        RANGE.end
    )
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    #[tokio::test]
    async fn a_port_on_which_somebody_listens_is_not_free() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(!super::is_free(port));
        drop(listener);
        let free = || async { Ok(super::is_free(port)) };
        crate::wait::until_true("it is free again", std::time::Duration::from_secs(5), free)
            .await
            .unwrap();
    }
}
