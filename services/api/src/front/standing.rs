//! Whether a tenant is let in at all: its state, and how many calls a minute it has left.

use std::collections::HashMap;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use domain::message;
use domain::quota::{PerMinute, Quota};
use domain::tenant::{Tenant, TenantId};
use http::HeaderMap;
use http_body::Frame;
use parking_lot::Mutex;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::{Code, Status};

use crate::failure::{self, say};
use crate::language;

/// The most tenants whose calls are told apart at once.
const MOST: usize = 20_000;

/// Who is let in. One per process.
pub(crate) struct Standing {
    calls: Mutex<PerMinute<TenantId>>,
    open: Mutex<HashMap<TenantId, Open>>,
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
            calls: Mutex::new(PerMinute::new(MOST)),
            open: Mutex::default(),
        }
    }

    /// Lets one call of a tenant in. One of a stranger's is none of the tenant's: what strangers may is bounded per source
    /// ([`crate::front::strangers`]).
    ///
    /// # Errors
    /// That the tenant is closed, or has no call left in this minute.
    pub(crate) fn admit(&self, tenant: &Tenant, stranger: bool) -> Result<(), Status> {
        if let Some(closed) = tenant.standing.state.closed() {
            return Err(say(Code::PermissionDenied, &closed));
        }
        if stranger {
            return Ok(());
        }
        let allowed = tenant.allowed(Quota::Calls).unwrap_or_default();
        let taken = self.calls.lock().take(tenant.id, allowed, Instant::now());
        taken.map_err(|wait| failure::come_again(&Quota::Calls.reached(allowed, wait), wait))
    }

    /// How many calls of a minute's allowance a tenant has used here.
    pub(crate) fn calls_used(&self, tenant: TenantId, allowed: u64) -> u64 {
        self.calls.lock().used(&tenant, allowed, Instant::now())
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
        tonic::body::Body::new(Ending {
            body: Some(body),
            stay: self.stay(tenant),
            words: message::tenant::SUSPENDED
                .message()
                .render(language::current()),
        })
    }

    /// Something long that is to end when its tenant is closed.
    pub(crate) fn stay(self: &std::sync::Arc<Self>, tenant: TenantId) -> Stay {
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
        Stay {
            ended,
            _counted: Counted {
                standing: std::sync::Arc::clone(self),
                tenant,
            },
        }
    }
}

/// For how long something may go on, as far as its tenant is concerned.
pub(crate) struct Stay {
    ended: Pin<Box<WaitForCancellationFutureOwned>>,
    _counted: Counted,
}

impl Stay {
    /// Waits until the tenant is closed.
    pub(crate) async fn ended(&mut self) {
        self.ended.as_mut().await;
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
    stay: Stay,
    words: String,
}

impl http_body::Body for Ending {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        // What the stream was about is let go of at once.
        if self.body.is_some() && self.stay.ended.as_mut().poll(cx).is_ready() {
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
