//! Passwords: bcrypt, off the async threads, a few at a time, and every tenant in its turn.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use domain::secret::Secret;
use domain::tenant::TenantId;
use parking_lot::Mutex;
use rand::Rng;
use tokio::sync::{Semaphore, SemaphorePermit};

/// bcrypt's work factor, as Argo CD has it: some 60 ms of one processor.
pub(crate) const COST: u32 = 10;
/// What bcrypt looks at; it would pass over the rest in silence.
pub(crate) const MAX_BYTES: usize = 72;
/// How many are worked on at once: a flood of logins must not take every processor.
const WORKING: usize = 4;
/// How many of one tenant stand in the common line at a time, hence the most that another waits for.
const OF_ONE: usize = 2;
/// How many of one tenant may wait, and how many in all.
const WAITING_OF_ONE: usize = 50;
const WAITING: usize = 500;
/// The hash of nothing anybody knows, checked where there is no account so that the answer takes as long.
const NOBODY: &str = "$2b$10$C6UzMDM.H6dfI/f/IKcEeO7ZFVb0Yv0eQ1uJ0pY1o8aB0vJ0yQ9bK";

/// Why a password could not be worked on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PasswordError {
    /// bcrypt refused.
    #[error("the password cannot be hashed")]
    Hash(#[source] bcrypt::BcryptError),
    /// The worker is gone.
    #[error("the password worker stopped")]
    Stopped,
    /// Too many are waiting.
    #[error("too many passwords are waiting to be checked")]
    Busy,
}

/// Where passwords wait for their turn.
struct Desk {
    common: Semaphore,
    lines: Mutex<Lines>,
}

#[derive(Default)]
struct Lines {
    of: HashMap<TenantId, Line>,
    waiting: usize,
}

struct Line {
    turns: Arc<Semaphore>,
    waiting: usize,
}

static DESK: LazyLock<Desk> = LazyLock::new(|| Desk {
    common: Semaphore::new(WORKING),
    lines: Mutex::default(),
});

/// A place in a line; leaving it is dropping it.
struct Place<'a> {
    desk: &'a Desk,
    tenant: TenantId,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut lines = self.desk.lines.lock();
        lines.waiting -= 1;
        if let Some(line) = lines.of.get_mut(&self.tenant) {
            line.waiting -= 1;
            if line.waiting == 0 {
                lines.of.remove(&self.tenant);
            }
        }
    }
}

impl Desk {
    fn enter(&self, tenant: TenantId) -> Result<(Place<'_>, Arc<Semaphore>), PasswordError> {
        let mut lines = self.lines.lock();
        let there = lines.of.get(&tenant).map_or(0, |line| line.waiting);
        if lines.waiting >= WAITING || there >= WAITING_OF_ONE {
            return Err(PasswordError::Busy);
        }
        lines.waiting += 1;
        let line = lines.of.entry(tenant).or_insert_with(|| Line {
            turns: Arc::new(Semaphore::new(OF_ONE)),
            waiting: 0,
        });
        line.waiting += 1;
        let turns = Arc::clone(&line.turns);
        drop(lines);
        Ok((Place { desk: self, tenant }, turns))
    }

    async fn work<T: Send + 'static>(
        &self,
        tenant: TenantId,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PasswordError> {
        let (_place, turns) = self.enter(tenant)?;
        let _own = turns.acquire().await.map_err(|_| PasswordError::Stopped)?;
        let _turn: SemaphorePermit<'_> = self
            .common
            .acquire()
            .await
            .map_err(|_| PasswordError::Stopped)?;
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|_| PasswordError::Stopped)
    }
}

/// The hash to store.
///
/// # Errors
/// When it cannot be made, or too many wait.
pub(crate) async fn hash(tenant: TenantId, password: Secret) -> Result<Secret, PasswordError> {
    DESK.work(tenant, move || bcrypt::hash(password.expose(), COST))
        .await?
        .map(Secret::from)
        .map_err(PasswordError::Hash)
}

/// Whether the password is the account's, by any form of bcrypt hash: `$2a$`, `$2b$`, `$2x$` and `$2y$`. Without an
/// account the same work is done, and the answer is no.
///
/// # Errors
/// When too many wait.
pub(crate) async fn verify(
    tenant: TenantId,
    password: Secret,
    hash: Option<Secret>,
) -> Result<bool, PasswordError> {
    DESK.work(tenant, move || {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| Secret::from(NOBODY));
        bcrypt::verify(password.expose(), hash.expose_str()).unwrap_or(false) && known
    })
    .await
}

/// A new random password, in letters and digits that are not mistaken for each other.
pub(crate) fn random() -> Secret {
    const LETTERS: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    let mut rng = rand::rng();
    Secret::new(
        (0..20)
            .map(|_| LETTERS[rng.random_range(0..LETTERS.len())])
            .collect::<Vec<u8>>(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(n: u128) -> TenantId {
        TenantId(uuid::Uuid::from_u128(n))
    }

    #[tokio::test]
    async fn the_right_password_and_no_other() {
        let of = tenant(1);
        let hash = hash(of, Secret::from("hunter2")).await.unwrap();
        let check =
            async |password: &str, hash| verify(of, Secret::from(password), hash).await.unwrap();
        assert!(check("hunter2", Some(hash.clone())).await);
        assert!(!check("hunter3", Some(hash)).await);
        assert!(!check("hunter2", None).await);
    }

    #[tokio::test]
    async fn every_form_of_hash_is_read() {
        let current = bcrypt::hash("hunter2", 4).unwrap();
        let body = current.split_at(4).1;
        for form in ["$2a$", "$2b$", "$2y$"] {
            let hash = Secret::from(format!("{form}{body}"));
            let right = verify(tenant(1), Secret::from("hunter2"), Some(hash)).await;
            assert!(right.unwrap(), "{form}");
        }
        for nonsense in ["", "hunter2", "$1$abc$def"] {
            let hash = Some(Secret::from(nonsense));
            let right = verify(tenant(1), Secret::from("hunter2"), hash).await;
            assert!(!right.unwrap(), "{nonsense}");
        }
    }

    #[test]
    fn the_hash_of_nobody_costs_as_much_as_any() {
        assert!(
            bcrypt::verify("x", NOBODY).is_ok(),
            "it parses, so the work is done"
        );
        assert!(NOBODY.starts_with(&format!("$2b${COST}$")));
    }

    #[test]
    fn a_full_line_refuses_its_own_tenant_and_nobody_else() {
        let desk = Desk {
            common: Semaphore::new(1),
            lines: Mutex::default(),
        };
        let places: Vec<_> = (0..WAITING_OF_ONE)
            .map(|_| desk.enter(tenant(1)).unwrap())
            .collect();
        assert!(matches!(desk.enter(tenant(1)), Err(PasswordError::Busy)));
        assert!(desk.enter(tenant(2)).is_ok());
        drop(places);
        assert!(desk.enter(tenant(1)).is_ok());
        assert_eq!(desk.lines.lock().waiting, 0);
        assert!(desk.lines.lock().of.is_empty());
    }
}
