//! gRPC-web as the argocd command reads it.
//!
//! Its proxy takes the status only from the HTTP response's headers, with the message as it is (nothing is decoded), and
//! wants a success to end with a trailer frame. So the first frame of an answer is waited for: an error that comes
//! before any data goes into the headers.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::BodyExt;

use crate::front::guard::{Guard, Road};
use crate::front::plain;

const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/grpc-web+proto");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// How long the answer's first frame is waited for before the headers go out without it.
const FIRST_FRAME: Duration = Duration::from_secs(1);

type GrpcBody = tonic::body::Body;

/// Answers one gRPC-web request by calling the service over gRPC.
pub(crate) async fn call(guard: &Guard, mut request: Request<GrpcBody>) -> Response<Body> {
    if request.method() != Method::POST {
        return plain(
            StatusCode::METHOD_NOT_ALLOWED,
            "gRPC-web is spoken with POST\n",
        );
    }
    let proto = |value: &HeaderValue| {
        matches!(
            value.as_bytes(),
            b"application/grpc-web+proto" | b"application/grpc-web"
        )
    };
    if !request
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(proto)
    {
        return plain(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "only application/grpc-web+proto is spoken here\n",
        );
    }
    let headers = request.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/grpc"),
    );
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    headers.remove(header::CONTENT_LENGTH);
    translate(guard.call(request, Road::GrpcWeb).await).await
}

/// Turns a gRPC answer into a gRPC-web one.
async fn translate(response: Response<GrpcBody>) -> Response<Body> {
    let (mut parts, mut body) = response.into_parts();
    parts.headers.insert(header::CONTENT_TYPE, CONTENT_TYPE);
    if failed(&parts.headers) {
        let status = parts.headers.clone();
        return Response::from_parts(parts, Body::empty()).with_status(&status);
    }
    parts.headers.remove(GRPC_STATUS);
    parts.headers.remove(GRPC_MESSAGE);
    let first = tokio::time::timeout(FIRST_FRAME, body.frame()).await;
    let first = match first {
        Ok(Some(Ok(frame))) => match frame.into_trailers() {
            Ok(trailers) if failed(&trailers) => {
                return Response::from_parts(parts, Body::empty()).with_status(&trailers);
            }
            Ok(trailers) => Some(trailer_frame(&trailers)),
            Err(frame) => frame.into_data().ok(),
        },
        Ok(Some(Err(status))) => {
            let mut headers = HeaderMap::new();
            if status.add_header(&mut headers).is_err() {
                headers.insert(GRPC_STATUS, HeaderValue::from_static("13"));
            }
            return Response::from_parts(parts, Body::empty()).with_status(&headers);
        }
        Ok(None) | Err(_) => None,
    };
    Response::from_parts(parts, Body::new(WebBody { first, body }))
}

fn failed(headers: &HeaderMap) -> bool {
    headers.get(GRPC_STATUS).is_some_and(|status| status != "0")
}

/// Puts a status into the headers in the form that is read without decoding.
trait WithStatus {
    fn with_status(self, status: &HeaderMap) -> Self;
}

impl WithStatus for Response<Body> {
    fn with_status(mut self, status: &HeaderMap) -> Self {
        let code = status
            .get(GRPC_STATUS)
            .cloned()
            .unwrap_or(HeaderValue::from_static("2"));
        let message = status.get(GRPC_MESSAGE).map(readable);
        let headers = self.headers_mut();
        headers.insert(GRPC_STATUS, code);
        match message {
            Some(message) => headers.insert(GRPC_MESSAGE, message),
            None => headers.remove(GRPC_MESSAGE),
        };
        self
    }
}

/// A message as grpc-go writes it: spaces stay, only `%` and what is not printable ASCII is percent-encoded.
fn readable(encoded: &HeaderValue) -> HeaderValue {
    let decoded = percent_encoding::percent_decode(encoded.as_bytes());
    let mut text = String::with_capacity(encoded.len());
    for byte in decoded {
        if (0x20..=0x7e).contains(&byte) && byte != b'%' {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

/// The frame that ends an answer: flag 0x80, then the trailers as text.
fn trailer_frame(trailers: &HeaderMap) -> Bytes {
    let mut text = BytesMut::new();
    for (name, value) in trailers {
        text.put_slice(name.as_str().as_bytes());
        text.put_slice(b": ");
        if *name == GRPC_MESSAGE {
            text.put_slice(readable(value).as_bytes());
        } else {
            text.put_slice(value.as_bytes());
        }
        text.put_slice(b"\r\n");
    }
    let mut frame = BytesMut::with_capacity(5 + text.len());
    frame.put_u8(0x80);
    frame.put_u32(u32::try_from(text.len()).unwrap_or(u32::MAX));
    frame.put(text);
    frame.freeze()
}

/// The frames as they come, the trailers as a last frame of data.
struct WebBody {
    first: Option<Bytes>,
    body: GrpcBody,
}

impl http_body::Body for WebBody {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        Pin::new(&mut self.body).poll_frame(cx).map(|frame| {
            frame.map(|result| {
                result.map(|frame| match frame.into_trailers() {
                    Ok(trailers) => Frame::data(trailer_frame(&trailers)),
                    Err(frame) => frame,
                })
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.body.is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use http_body_util::StreamBody;

    use super::*;

    fn answer(frames: Vec<Result<Frame<Bytes>, tonic::Status>>) -> Response<GrpcBody> {
        Response::new(GrpcBody::new(StreamBody::new(stream::iter(frames))))
    }

    fn trailers(code: &'static str, message: &'static str) -> HeaderMap {
        let mut map = HeaderMap::new();
        map.insert(GRPC_STATUS, HeaderValue::from_static(code));
        map.insert(GRPC_MESSAGE, HeaderValue::from_static(message));
        map
    }

    #[tokio::test]
    async fn a_success_ends_with_a_trailer_frame() {
        let mut ok = HeaderMap::new();
        ok.insert(GRPC_STATUS, HeaderValue::from_static("0"));
        let data = Bytes::from_static(b"\0\0\0\0\x02ab");
        let response =
            translate(answer(vec![Ok(Frame::data(data)), Ok(Frame::trailers(ok))])).await;
        assert_eq!(
            response.headers()[header::CONTENT_TYPE],
            "application/grpc-web+proto"
        );
        assert!(response.headers().get(GRPC_STATUS).is_none());
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(&body[..], b"\0\0\0\0\x02ab\x80\0\0\0\x10grpc-status: 0\r\n");
    }

    #[tokio::test]
    async fn an_error_before_data_goes_into_the_headers_unescaped() {
        let refused = trailers("7", "permission%20denied:%20100%25");
        let response = translate(answer(vec![Ok(Frame::trailers(refused))])).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[GRPC_STATUS], "7");
        assert_eq!(
            response.headers()[GRPC_MESSAGE],
            "permission denied: 100%25"
        );
        assert!(
            response
                .into_body()
                .collect()
                .await
                .unwrap()
                .to_bytes()
                .is_empty()
        );
    }

    #[tokio::test]
    async fn an_answer_that_is_only_headers_keeps_its_status() {
        let response =
            translate(tonic::Status::unauthenticated("no session information").into_http()).await;
        assert_eq!(response.headers()[GRPC_STATUS], "16");
        assert_eq!(response.headers()[GRPC_MESSAGE], "no session information");
    }

    #[tokio::test]
    async fn an_error_after_data_travels_in_the_trailer_frame() {
        let data = Bytes::from_static(b"\0\0\0\0\0");
        let late = trailers("14", "gone");
        let body = translate(answer(vec![
            Ok(Frame::data(data)),
            Ok(Frame::trailers(late)),
        ]))
        .await
        .into_body();
        let body = body.collect().await.unwrap().to_bytes();
        assert_eq!(body[5], 0x80);
        assert!(body.ends_with(b"grpc-status: 14\r\ngrpc-message: gone\r\n"));
    }
}
