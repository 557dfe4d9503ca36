//! Whether a tenant is let in at all: its state, and how many calls a minute it has left.

use std::collections::HashMap;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use domain::message;
use domain::quota::Quota;
use domain::tenant::{Tenant, TenantId};
use http::HeaderMap;
use http_body::Frame;
use parking_lot::Mutex;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

use crate::failure::say;
use crate::language;

/// The most tenants whose calls are counted at once.
const MOST: usize = 20_000;
const MINUTE: Duration = Duration::from_secs(60);

/// Who is let in. One per process.
pub(crate) struct Standing {
    calls: Mutex<HashMap<TenantId, Calls>>,
    open: Mutex<HashMap<TenantId, Open>>,
}

/// How many calls a tenant has left: a bucket that fills over a minute.
#[derive(Clone, Copy)]
struct Calls {
    left: f64,
    at: Instant,
}

/// The streams of one tenant.
struct Open {
    streams: usize,
    ended: CancellationToken,
}

impl Standing {
    /// Nobody has called yet.
    pub(crate) fn new() -> Self {
        Self {
            calls: Mutex::default(),
            open: Mutex::default(),
        }
    }

    /// Lets one call of a tenant in.
    ///
    /// # Errors
    /// That the tenant is closed, or has no call left in this minute.
    pub(crate) fn admit(&self, tenant: &Tenant) -> Result<(), Status> {
        if let Some(closed) = tenant.standing.state.closed() {
            return Err(say(Code::PermissionDenied, &closed));
        }
        let Some(allowed) = tenant.allowed(Quota::Calls) else {
            return Ok(());
        };
        let Some(wait) = self.take(tenant.id, allowed, Instant::now()) else {
            return Ok(());
        };
        let seconds = wait.as_secs() + 1;
        let words = message::tenant::RATE_REACHED
            .with("quota", Quota::Calls.as_str())
            .with("used", allowed)
            .with("allowed", allowed)
            .with("seconds", seconds)
            .render(language::current());
        let mut headers = HeaderMap::new();
        headers.insert(http::header::RETRY_AFTER, seconds.into());
        let metadata = MetadataMap::from_headers(headers);
        Err(Status::with_metadata(
            Code::ResourceExhausted,
            words,
            metadata,
        ))
    }

    /// `None`, or after how long there is a call again.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a quota is far below what a float counts exactly"
    )]
    fn take(&self, tenant: TenantId, allowed: u64, now: Instant) -> Option<Duration> {
        let allowed = allowed as f64;
        let mut calls = self.calls.lock();
        if calls.len() >= MOST && !calls.contains_key(&tenant) {
            // Whoever has not called for a minute has a full bucket, which is the same as none.
            calls.retain(|_, calls| now.duration_since(calls.at) < MINUTE);
        }
        let bucket = calls.entry(tenant).or_insert(Calls {
            left: allowed,
            at: now,
        });
        let filled = now.duration_since(bucket.at).as_secs_f64() / MINUTE.as_secs_f64() * allowed;
        bucket.left = (bucket.left + filled).min(allowed);
        bucket.at = now;
        if bucket.left >= 1.0 {
            bucket.left -= 1.0;
            return None;
        }
        let missing = 1.0 - bucket.left;
        Some(MINUTE.mul_f64((missing / allowed).clamp(0.0, 1.0)))
    }

    /// How many calls of a minute's allowance a tenant has used here.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a quota is far below what a float counts exactly, and the bucket never holds more"
    )]
    pub(crate) fn calls_used(&self, tenant: TenantId, allowed: u64) -> u64 {
        let now = Instant::now();
        self.calls.lock().get(&tenant).map_or(0, |bucket| {
            let filled =
                now.duration_since(bucket.at).as_secs_f64() / MINUTE.as_secs_f64() * allowed as f64;
            (allowed as f64 - bucket.left - filled).max(0.0).ceil() as u64
        })
    }

    /// The tenants with open streams.
    pub(crate) fn streaming(&self) -> Vec<TenantId> {
        self.open.lock().keys().copied().collect()
    }

    /// Ends the streams of every tenant that has some and is not among these.
    pub(crate) fn end_all_but(&self, active: &[TenantId]) {
        for (tenant, open) in self.open.lock().iter() {
            if !active.contains(tenant) {
                open.ended.cancel();
            }
        }
    }

    /// An answer's body that ends when its tenant is closed.
    pub(crate) fn stream(
        self: &std::sync::Arc<Self>,
        tenant: TenantId,
        body: tonic::body::Body,
    ) -> tonic::body::Body {
        let mut all = self.open.lock();
        let open = all.entry(tenant).or_insert_with(|| Open {
            streams: 0,
            ended: CancellationToken::new(),
        });
        if open.ended.is_cancelled() {
            // It was closed and is open again; the streams of before are still on their way out.
            open.ended = CancellationToken::new();
        }
        open.streams += 1;
        let ended = Box::pin(open.ended.clone().cancelled_owned());
        drop(all);
        tonic::body::Body::new(Ending {
            body: Some(body),
            ended,
            words: message::tenant::SUSPENDED
                .message()
                .render(language::current()),
            _counted: Counted {
                standing: std::sync::Arc::clone(self),
                tenant,
            },
        })
    }
}

/// One stream among its tenant's.
struct Counted {
    standing: std::sync::Arc<Standing>,
    tenant: TenantId,
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut all = self.standing.open.lock();
        if let Some(open) = all.get_mut(&self.tenant) {
            open.streams -= 1;
            if open.streams == 0 {
                all.remove(&self.tenant);
            }
        }
    }
}

struct Ending {
    body: Option<tonic::body::Body>,
    ended: Pin<Box<WaitForCancellationFutureOwned>>,
    words: String,
    _counted: Counted,
}

impl http_body::Body for Ending {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        // What the stream was about is let go of at once.
        if self.body.is_some() && self.ended.as_mut().poll(cx).is_ready() {
            self.body = None;
            let mut trailers = HeaderMap::new();
            let status = Status::new(Code::PermissionDenied, self.words.clone());
            let _ = status.add_header(&mut trailers);
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body
            .as_ref()
            .is_none_or(http_body::Body::is_end_stream)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[test]
    fn calls_come_back_over_a_minute_and_never_more_than_allowed() {
        let standing = Standing::new();
        let tenant = TenantId(uuid::Uuid::from_u128(1));
        let begun = Instant::now();
        for _ in 0..60 {
            assert_eq!(standing.take(tenant, 60, begun), None);
        }
        let wait = standing.take(tenant, 60, begun).unwrap();
        assert!(wait <= Duration::from_secs(1) && wait > Duration::from_millis(900));
        assert_eq!(
            standing.take(tenant, 60, begun + Duration::from_secs(1)),
            None
        );
        assert!(
            standing
                .take(tenant, 60, begun + Duration::from_secs(1))
                .is_some()
        );
        let later = begun + Duration::from_secs(3600);
        for _ in 0..60 {
            assert_eq!(standing.take(tenant, 60, later), None);
        }
        assert!(standing.take(tenant, 60, later).is_some());
        let other = TenantId(uuid::Uuid::from_u128(2));
        assert_eq!(standing.take(other, 60, later), None, "each has its own");
    }

    #[tokio::test]
    async fn a_stream_ends_when_its_tenant_is_closed_and_leaves_nothing_behind() {
        let standing = std::sync::Arc::new(Standing::new());
        let (a, b) = (
            TenantId(uuid::Uuid::from_u128(1)),
            TenantId(uuid::Uuid::from_u128(2)),
        );
        let silent = || {
            let silence = http_body_util::StreamBody::new(futures::stream::pending::<
                Result<Frame<Bytes>, Status>,
            >());
            tonic::body::Body::new(silence)
        };
        let mut first = standing.stream(a, silent());
        let second = standing.stream(b, silent());
        standing.end_all_but(&[b]);
        let frame = first.frame().await.unwrap().unwrap();
        assert_eq!(frame.trailers_ref().unwrap()["grpc-status"], "7");
        assert!(first.frame().await.is_none());
        assert_eq!(standing.streaming().len(), 2);
        drop((first, second));
        assert!(standing.streaming().is_empty());
    }
}
