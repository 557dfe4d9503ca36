//! One request to `git http-backend`, which speaks CGI.

use std::process::Stdio;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin};
use tokio::sync::mpsc;

use super::server::{Body, Target, spawn};
use super::{GitHome, git};

/// Streams the request in and the answer out; `finished` runs after the answer has ended.
pub(super) async fn run<F>(
    home: &GitHome,
    target: &Target,
    request: Request<Incoming>,
    finished: impl FnOnce() -> F + Send + 'static,
) -> Result<Response<Body>>
where
    F: Future<Output = ()> + Send,
{
    let mut child = start(home, target, &request)?;
    let stdin = child.stdin.take().context("a pipe to git")?;
    spawn(feed(request.into_body(), stdin));
    let mut out =
        BufReader::with_capacity(64 * 1024, child.stdout.take().context("a pipe from git")?);
    let mut response = Response::builder();
    let mut any = false;
    loop {
        let mut line = String::new();
        if out.read_line(&mut line).await? == 0 {
            if !any {
                bail!("git http-backend gave no answer");
            }
            break;
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        any = true;
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        let value = value.trim();
        if name.eq_ignore_ascii_case("status") {
            let code = value.split(' ').next().and_then(|code| code.parse().ok());
            response = response.status(code.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR.as_u16()));
        } else {
            response = response.header(
                HeaderName::from_bytes(name.as_bytes())?,
                HeaderValue::from_str(value)?,
            );
        }
    }
    let (to_client, answer) = mpsc::channel::<std::io::Result<Frame<Bytes>>>(8);
    spawn(async move {
        pump(&mut out, &to_client).await;
        let _ = child.wait().await;
        drop(to_client);
        finished().await;
    });
    let frames = futures::stream::unfold(answer, |mut answer| async {
        answer.recv().await.map(|frame| (frame, answer))
    });
    Ok(response.body(BodyExt::boxed(StreamBody::new(frames)))?)
}

fn start(home: &GitHome, target: &Target, request: &Request<Incoming>) -> Result<Child> {
    let header = |name: &str| {
        request
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    };
    let mut backend = git();
    backend.arg("http-backend");
    backend
        .env("GIT_PROJECT_ROOT", home.dir())
        .env("GIT_HTTP_EXPORT_ALL", "1");
    backend.env(
        "PATH_INFO",
        format!(
            "/{}/{}.git/{}",
            target.tenant, target.repository, target.rest
        ),
    );
    backend.env("QUERY_STRING", request.uri().query().unwrap_or_default());
    backend.env("REQUEST_METHOD", request.method().as_str());
    backend
        .env("CONTENT_TYPE", header("content-type"))
        .env("REMOTE_USER", &target.tenant)
        .env("REMOTE_ADDR", "127.0.0.1");
    if let Some(protocol) = Some(header("git-protocol")).filter(|text| !text.is_empty()) {
        backend.env("GIT_PROTOCOL", protocol);
    }
    if let Some(encoding) = Some(header("content-encoding")).filter(|text| !text.is_empty()) {
        backend.env("HTTP_CONTENT_ENCODING", encoding);
    }
    // Without a length it reads until the end of its input, which is right for chunked requests.
    if let Some(length) = Some(header("content-length")).filter(|text| !text.is_empty()) {
        backend.env("CONTENT_LENGTH", length);
    }
    backend
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit());
    backend.spawn().context("cannot run git http-backend")
}

async fn feed(body: Incoming, mut stdin: ChildStdin) {
    let mut parts = body.into_data_stream();
    while let Some(Ok(part)) = parts.next().await {
        if stdin.write_all(&part).await.is_err() {
            return;
        }
    }
    let _ = stdin.shutdown().await;
}

async fn pump(
    out: &mut (impl AsyncReadExt + Unpin),
    to_client: &mpsc::Sender<std::io::Result<Frame<Bytes>>>,
) {
    loop {
        let mut part = bytes::BytesMut::with_capacity(64 * 1024);
        let frame = match out.read_buf(&mut part).await {
            Ok(0) => return,
            Ok(_) => Ok(Frame::data(part.freeze())),
            Err(error) => Err(error),
        };
        let ended = frame.is_err();
        if to_client.send(frame).await.is_err() || ended {
            return;
        }
    }
}
