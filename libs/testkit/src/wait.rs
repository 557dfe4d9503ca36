//! Waiting for something to become true, with a deadline and never with a bare sleep.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

/// How often a condition is looked at.
const EVERY: Duration = Duration::from_millis(25);

/// Tries until it succeeds.
///
/// # Errors
/// The last failure, when the deadline has passed.
pub async fn until<T, F>(what: &str, within: Duration, mut attempt: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let begun = Instant::now();
    loop {
        let error = match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        if begun.elapsed() >= within {
            return Err(error.context(format!("{what}: not within {} s", within.as_secs())));
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Waits for `condition`, which answers with what it saw instead.
///
/// # Errors
/// What was seen last, when the deadline has passed.
pub async fn until_true<F>(
    what: &str,
    within: Duration,
    mut condition: impl FnMut() -> F,
) -> Result<()>
where
    F: Future<Output = Result<bool>>,
{
    until(what, within, || {
        let look = condition();
        async move {
            if look.await? {
                Ok(())
            } else {
                Err(anyhow!("it is not so yet"))
            }
        }
    })
    .await
}
