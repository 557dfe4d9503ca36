//! What a plain HTTP request gets on a port that speaks TLS: the way to https.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;

use crate::front::browser;

/// Answers one request and closes.
pub(super) async fn serve(stream: TcpStream) {
    let service =
        hyper::service::service_fn(|request| async move { Ok::<_, Infallible>(answer(&request)) });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(10))
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a plain request on a TLS port could not be answered");
    }
}

fn answer(request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    let location = location(request.headers().get(header::HOST), request.uri());
    match location.and_then(|to| header::HeaderValue::try_from(to).ok()) {
        Some(to) => {
            *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
            response.headers_mut().insert(header::LOCATION, to);
        }
        None => *response.status_mut() = StatusCode::BAD_REQUEST,
    }
    browser::harden(&mut response, false);
    response
}

fn location(host: Option<&header::HeaderValue>, uri: &http::Uri) -> Option<String> {
    let host = host?.to_str().ok()?;
    // Only what can stand in an authority: the answer must not send anybody elsewhere.
    let fine = !host.is_empty()
        && host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b".-:[]_".contains(&b));
    fine.then(|| {
        format!(
            "https://{host}{}",
            uri.path_and_query()
                .map_or("/", http::uri::PathAndQuery::as_str)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_leads_to_the_same_host_and_path() {
        let host = header::HeaderValue::from_static("user01.example:8443");
        let uri: http::Uri = "/api/version?x=1".parse().unwrap();
        assert_eq!(
            location(Some(&host), &uri).unwrap(),
            "https://user01.example:8443/api/version?x=1"
        );
        assert_eq!(
            location(Some(&header::HeaderValue::from_static("a/@evil")), &uri),
            None
        );
        assert_eq!(location(None, &uri), None);
    }
}
