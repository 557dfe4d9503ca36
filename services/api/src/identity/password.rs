//! Passwords: bcrypt, off the async threads, a few at a time.

use domain::secret::Secret;
use rand::Rng;
use tokio::sync::Semaphore;

/// bcrypt's work factor, as Argo CD has it.
const COST: u32 = 10;
/// How many are worked on at once: a flood of logins must not take every processor.
static WORKING: Semaphore = Semaphore::const_new(4);
/// The hash of nothing anybody knows, checked where there is no account so that the answer takes as long.
const NOBODY: &str = "$2b$10$C6UzMDM.H6dfI/f/IKcEeO7ZFVb0Yv0eQ1uJ0pY1o8aB0vJ0yQ9bK";

/// Why a password could not be hashed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PasswordError {
    /// bcrypt refused.
    #[error("the password cannot be hashed")]
    Hash(#[source] bcrypt::BcryptError),
    /// The worker is gone.
    #[error("the password worker stopped")]
    Stopped,
}

/// The hash to store.
///
/// # Errors
/// When it cannot be made.
pub(crate) async fn hash(password: Secret) -> Result<Secret, PasswordError> {
    let _turn = WORKING
        .acquire()
        .await
        .map_err(|_| PasswordError::Stopped)?;
    tokio::task::spawn_blocking(move || bcrypt::hash(password.expose(), COST))
        .await
        .map_err(|_| PasswordError::Stopped)?
        .map(Secret::from)
        .map_err(PasswordError::Hash)
}

/// Whether the password is the account's. Without an account the same work is done, and the answer is no.
pub(crate) async fn verify(password: Secret, hash: Option<Secret>) -> bool {
    let Ok(_turn) = WORKING.acquire().await else {
        return false;
    };
    let checked = tokio::task::spawn_blocking(move || {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| Secret::from(NOBODY));
        bcrypt::verify(password.expose(), hash.expose_str()).unwrap_or(false) && known
    });
    checked.await.unwrap_or(false)
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

    #[tokio::test]
    async fn the_right_password_and_no_other() {
        let hash = hash(Secret::from("hunter2")).await.unwrap();
        assert!(verify(Secret::from("hunter2"), Some(hash.clone())).await);
        assert!(!verify(Secret::from("hunter3"), Some(hash)).await);
        assert!(!verify(Secret::from("hunter2"), None).await);
    }

    #[test]
    fn the_hash_of_nobody_costs_as_much_as_any() {
        assert!(
            bcrypt::verify("x", NOBODY).is_ok(),
            "it parses, so the work is done"
        );
        assert!(NOBODY.starts_with("$2b$10$"));
    }
}
