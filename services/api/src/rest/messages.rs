//! The messages of a gRPC answer, one by one.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{HeaderMap, Response};
use http_body_util::BodyExt;
use tonic::Status;

/// Cuts an answer's body into its messages.
pub(super) struct Messages {
    body: tonic::body::Body,
    buffer: BytesMut,
    over: bool,
}

impl Messages {
    /// The messages of an answer, and its headers.
    ///
    /// # Errors
    /// The status, when the answer is nothing else.
    pub(super) fn of(response: Response<tonic::body::Body>) -> Result<(HeaderMap, Self), Status> {
        let (parts, body) = response.into_parts();
        match Status::from_header_map(&parts.headers) {
            Some(status) if status.code() != tonic::Code::Ok => Err(status),
            _ => Ok((
                parts.headers,
                Self {
                    body,
                    buffer: BytesMut::new(),
                    over: false,
                },
            )),
        }
    }

    /// The next message; `None` when the answer ended well.
    pub(super) async fn next(&mut self) -> Option<Result<Bytes, Status>> {
        loop {
            if let Some(message) = self.buffered() {
                return Some(Ok(message));
            }
            if self.over {
                return None;
            }
            let frame = match self.body.frame().await {
                Some(Ok(frame)) => frame,
                Some(Err(status)) => {
                    self.over = true;
                    return Some(Err(status));
                }
                None => {
                    self.over = true;
                    return None;
                }
            };
            match frame.into_data() {
                Ok(data) => self.buffer.extend_from_slice(&data),
                Err(frame) => {
                    self.over = true;
                    let trailers = frame.into_trailers().unwrap_or_default();
                    if let Some(status) = Status::from_header_map(&trailers)
                        && status.code() != tonic::Code::Ok
                    {
                        return Some(Err(status));
                    }
                }
            }
        }
    }

    fn buffered(&mut self) -> Option<Bytes> {
        let length = self.buffer.get(1..5)?;
        let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]) as usize;
        if self.buffer.len() < 5 + length {
            return None;
        }
        self.buffer.advance(5);
        Some(self.buffer.split_to(length).freeze())
    }
}

/// One message as a request's body.
pub(super) fn framed(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(5 + message.len());
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.put_slice(message);
    frame.freeze()
}

#[cfg(test)]
mod tests {
    use http_body::Frame;
    use http_body_util::StreamBody;

    use super::*;

    #[tokio::test]
    async fn messages_are_found_wherever_the_frames_are_cut() {
        let whole = [framed(b"ab"), framed(b""), framed(b"c")].concat();
        let pieces = whole
            .chunks(3)
            .map(|piece| Ok(Frame::data(Bytes::copy_from_slice(piece))))
            .collect::<Vec<_>>();
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", http::HeaderValue::from_static("14"));
        let frames = pieces
            .into_iter()
            .chain([Ok::<_, Status>(Frame::trailers(trailers))]);
        let body = tonic::body::Body::new(StreamBody::new(futures::stream::iter(frames)));
        let (_, mut messages) = Messages::of(Response::new(body)).unwrap();
        for wanted in [&b"ab"[..], b"", b"c"] {
            assert_eq!(messages.next().await.unwrap().unwrap(), wanted);
        }
        assert_eq!(
            messages.next().await.unwrap().unwrap_err().code(),
            tonic::Code::Unavailable
        );
        assert!(messages.next().await.is_none());
    }
}
