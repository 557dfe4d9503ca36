//! How much of a body is read: little of a stranger's, and nobody may take for ever over it.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body::Frame;
use tonic::Status;

/// The most that is read from whom nobody knows, and of a login.
pub(crate) const STRANGER: usize = 64 << 10;
/// The most that REST reads.
pub(crate) const REST: usize = 64 << 20;
/// The most that gRPC reads.
pub(crate) const GRPC: usize = 200 << 20;
/// How long a body of REST may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// How long a stranger may take over a body.
pub(crate) const STRANGERS_PATIENCE: Duration = Duration::from_secs(10);

/// A body that ends with an error where it grows too large, or comes too slowly while it is being read.
pub(crate) struct Limited {
    inner: tonic::body::Body,
    left: usize,
    deadline: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Limited {
    /// At most `most` bytes, within `patience`.
    pub(crate) fn new(inner: tonic::body::Body, most: usize, patience: Option<Duration>) -> Self {
        Self {
            inner,
            left: most,
            deadline: patience.map(|patience| Box::pin(tokio::time::sleep(patience))),
        }
    }
}

impl http_body::Body for Limited {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(deadline) = &mut self.deadline
            && deadline.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Some(Err(Status::deadline_exceeded(
                "the request's body came too slowly",
            ))));
        }
        let frame = std::task::ready!(Pin::new(&mut self.inner).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            match self.left.checked_sub(data.remaining()) {
                Some(left) => self.left = left,
                None => {
                    return Poll::Ready(Some(Err(Status::resource_exhausted(
                        "the request's body is too large",
                    ))));
                }
            }
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

    #[tokio::test(start_paused = true)]
    async fn a_body_is_bounded_in_size_and_time() {
        let body =
            |bytes: &'static [u8]| tonic::body::Body::new(Full::new(Bytes::from_static(bytes)));
        let read = Limited::new(body(b"abc"), 3, None).collect().await.unwrap();
        assert_eq!(&read.to_bytes()[..], b"abc");
        let refused = Limited::new(body(b"abcd"), 3, None)
            .collect()
            .await
            .unwrap_err();
        assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
        let silent = StreamBody::new(futures::stream::pending::<Result<Frame<Bytes>, Status>>());
        let silent = tonic::body::Body::new(silent);
        let refused = Limited::new(silent, 3, Some(STRANGERS_PATIENCE))
            .collect()
            .await
            .unwrap_err();
        assert_eq!(refused.code(), tonic::Code::DeadlineExceeded);
    }
}
