//! How much of a body is read: little of a stranger's, of everybody's what its call can need, and nobody may take for ever
//! over it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use domain::manifest::MAX_LOCAL;
use domain::message;
use http_body::Frame;
use tokio::time::Instant;
use tonic::{Code, Status};

use crate::failure::{self, say};
use crate::front::bodies::Place;

/// The most that is read from whom nobody knows.
pub(crate) const STRANGER: usize = 64 << 10;
/// The most that is read of a login: a name and a password.
pub(crate) const LOGIN: usize = 8 << 10;
/// The most that is read of a call that names something or carries one object or policy: Kubernetes, and so Argo CD, keeps
/// none that is larger than 1.5 MiB.
pub(crate) const OBJECT: usize = 4 << 20;
/// The most that is read of a call that carries manifests: what Argo CD lets through.
pub(crate) const MANIFESTS: usize = 200 << 20;
/// The most that is read of a call that carries a folder: a quarter more than is taken, so that whoever sends somewhat too
/// much still hears why. What is too large is read on and not kept, yet counted.
pub(crate) const FOLDER: usize = MAX_LOCAL + MAX_LOCAL / 4;
/// The most that REST reads.
pub(crate) const REST: usize = 64 << 20;
/// How long a stranger may take over a body.
pub(crate) const STRANGERS_PATIENCE: Duration = Duration::from_secs(10);
/// How many bytes are worth one second more: a large body is waited for on a slow line, a silent one is not.
const WORTH_A_SECOND: usize = 1 << 20;
/// When to come again after there was no room.
const FULL_FOR: Duration = Duration::from_secs(1);

/// What may come of a body.
#[derive(Clone)]
pub(crate) struct Allowance {
    /// How many bytes.
    pub(crate) most: usize,
    /// Within how long, besides what its size is worth.
    pub(crate) patience: Duration,
    /// Where its bytes are counted.
    pub(crate) place: Option<Arc<Place>>,
}

/// A body that ends with an error where it grows too large, comes too slowly while it is being read, or finds no room.
pub(crate) struct Limited {
    inner: tonic::body::Body,
    allowance: Allowance,
    read: usize,
    began: Instant,
    deadline: Pin<Box<tokio::time::Sleep>>,
}

impl Limited {
    /// What `allowance` lets through.
    pub(crate) fn new(inner: tonic::body::Body, allowance: Allowance) -> Self {
        let began = Instant::now();
        Self {
            inner,
            deadline: Box::pin(tokio::time::sleep_until(began + allowance.patience)),
            allowance,
            read: 0,
            began,
        }
    }

    /// Counts what came.
    fn take(&mut self, more: usize) -> Result<(), Status> {
        self.read = self.read.saturating_add(more);
        if self.read > self.allowance.most {
            let large = message::api::BODY_TOO_LARGE.with("limit", self.allowance.most);
            return Err(say(Code::ResourceExhausted, &large));
        }
        if let Some(place) = &self.allowance.place {
            let grown = place.grow(more);
            grown.map_err(|full| failure::come_again(&full.message(), FULL_FOR))?;
        }
        let worth = Duration::from_secs((self.read / WORTH_A_SECOND) as u64);
        let deadline = self.began + self.allowance.patience + worth;
        if worth > Duration::ZERO && self.deadline.deadline() != deadline {
            self.deadline.as_mut().reset(deadline);
        }
        Ok(())
    }
}

impl http_body::Body for Limited {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.deadline.as_mut().poll(cx).is_ready() {
            let slow = message::api::BODY_SLOW.with("seconds", self.began.elapsed().as_secs());
            return Poll::Ready(Some(Err(say(Code::DeadlineExceeded, &slow))));
        }
        let frame = std::task::ready!(Pin::new(&mut self.inner).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
            && let Err(refused) = self.take(data.remaining())
        {
            return Poll::Ready(Some(Err(refused)));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Full, StreamBody};

    use super::*;

    fn allow(most: usize) -> Allowance {
        Allowance {
            most,
            patience: STRANGERS_PATIENCE,
            place: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_is_bounded_in_size_and_time() {
        let body =
            |bytes: &'static [u8]| tonic::body::Body::new(Full::new(Bytes::from_static(bytes)));
        let read = Limited::new(body(b"abc"), allow(3)).collect().await;
        assert_eq!(&read.unwrap().to_bytes()[..], b"abc");
        let refused = Limited::new(body(b"abcd"), allow(3)).collect().await;
        assert_eq!(refused.unwrap_err().code(), Code::ResourceExhausted);
        let silent = StreamBody::new(futures::stream::pending::<Result<Frame<Bytes>, Status>>());
        let silent = tonic::body::Body::new(silent);
        let refused = Limited::new(silent, allow(3)).collect().await;
        assert_eq!(refused.unwrap_err().code(), Code::DeadlineExceeded);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_large_is_waited_for_as_long_as_it_comes() {
        let mib = || Ok::<_, Status>(Frame::data(Bytes::from(vec![0; 1 << 20])));
        let slowly = |pause: Duration, count: usize| {
            let frames = futures::stream::unfold(0, move |n| async move {
                tokio::time::sleep(pause).await;
                (n < count).then(|| (mib(), n + 1))
            });
            tonic::body::Body::new(StreamBody::new(frames))
        };
        let most = allow(100 << 20);
        let enough = slowly(Duration::from_millis(900), 60);
        let read = Limited::new(enough, most.clone()).collect().await;
        assert_eq!(read.unwrap().to_bytes().len(), 60 << 20);
        let dribbling = slowly(Duration::from_secs(2), 60);
        let refused = Limited::new(dribbling, most).collect().await;
        assert_eq!(refused.unwrap_err().code(), Code::DeadlineExceeded);
    }
}
