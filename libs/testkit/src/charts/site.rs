//! A chart repository over HTTP: files behind a login, and whatever else a server may answer.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, ETAG, IF_NONE_MATCH, LINK, LOCATION, WWW_AUTHENTICATE};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::command::output;
use crate::git::Login;
use crate::git::server::spawn;

/// What a path answers.
#[derive(Clone, Debug)]
pub enum Reply {
    /// A file.
    File(Vec<u8>),
    /// A redirect to an address.
    Redirect(String),
    /// 401 with a challenge, and the file to whoever answers it with that authorization.
    Guarded {
        /// What is asked for.
        challenge: String,
        /// What opens it.
        authorization: String,
        /// What is behind it.
        file: Vec<u8>,
    },
    /// A file that says where the next page of it is.
    Linked {
        /// Where.
        next: String,
        /// What is on this one.
        file: Vec<u8>,
    },
    /// Nothing, ever.
    Silence,
}

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The path and its query.
    pub path: String,
    /// The authorization that came with it.
    pub authorization: Option<String>,
    /// What was answered; 0 for nothing.
    pub status: u16,
}

#[derive(Debug, Default)]
struct State {
    replies: BTreeMap<String, Reply>,
    asked: Vec<Asked>,
    login: Option<Login>,
}

/// A running chart repository. It ends with its value.
#[derive(Debug)]
pub struct Site {
    /// Its address.
    pub url: String,
    state: Arc<Mutex<State>>,
    _stop: DropGuard,
}

impl Site {
    /// Starts one on a free port, without any file; with a login it answers to nobody else.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn start(login: Option<Login>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let state = Arc::new(Mutex::new(State {
            login,
            ..State::default()
        }));
        let stop = CancellationToken::new();
        let (serving, stopped) = (Arc::clone(&state), stop.clone());
        spawn(async move {
            loop {
                let accepted = tokio::select! {
                    () = stopped.cancelled() => return,
                    accepted = listener.accept() => accepted,
                };
                let Ok((stream, _)) = accepted else { return };
                let (state, stopped) = (Arc::clone(&serving), stopped.clone());
                spawn(async move {
                    let service = hyper::service::service_fn(move |request| {
                        let state = Arc::clone(&state);
                        async move { Ok::<_, Infallible>(answer(&state, &request).await) }
                    });
                    let builder = auto::Builder::new(TokioExecutor::new());
                    let connection = builder.serve_connection(TokioIo::new(stream), service);
                    tokio::select! {
                        () = stopped.cancelled() => {}
                        // A client that goes away is nobody's concern.
                        _ = connection => {}
                    }
                });
            }
        });
        Ok(Self {
            url,
            state,
            _stop: stop.drop_guard(),
        })
    }

    /// Answers a path so from now on.
    pub fn put(&self, path: &str, reply: Reply) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.replies.insert(path.to_owned(), reply);
    }

    /// What was asked so far; it is forgotten by being told.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut state.asked)
    }

    /// Offers the archives of a folder, with the index that `helm repo index` makes of them.
    ///
    /// # Errors
    /// What helm said.
    pub async fn publish(&self, work: &Path) -> Result<()> {
        let mut index = super::helm(work).await?;
        index.args(["repo", "index"]).arg(work);
        output(&mut index).await?;
        for entry in std::fs::read_dir(work)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.ends_with(".tgz") || name == "index.yaml" {
                self.put(&format!("/{name}"), Reply::File(std::fs::read(&path)?));
            }
        }
        Ok(())
    }
}

async fn answer(state: &Mutex<State>, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let path = request.uri().path().to_owned();
    let header = |name| {
        let value = request.headers().get(name)?;
        value.to_str().ok().map(str::to_owned)
    };
    let authorization = header(AUTHORIZATION);
    let (reply, login) = {
        let state = state.lock().unwrap_or_else(PoisonError::into_inner);
        (state.replies.get(&path).cloned(), state.login.clone())
    };
    let expected = login.map(|login| {
        let pair = format!("{}:{}", login.user, login.password);
        format!("Basic {}", BASE64_STANDARD.encode(pair))
    });
    let plain = |status: StatusCode, body: Vec<u8>| {
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = status;
        response
    };
    let with = |mut response: Response<Full<Bytes>>, name, value: &str| {
        if let Ok(value) = value.parse() {
            response.headers_mut().insert(name, value);
        }
        response
    };
    let silent = matches!(reply, Some(Reply::Silence));
    let response = match reply {
        _ if expected.is_some() && expected != authorization => {
            let refused = plain(StatusCode::UNAUTHORIZED, b"who are you?".to_vec());
            with(refused, WWW_AUTHENTICATE, "Basic realm=\"charts\"")
        }
        None => plain(StatusCode::NOT_FOUND, b"not found".to_vec()),
        Some(Reply::File(file)) => {
            let tag = format!("\"{}\"", hex::encode(Sha256::digest(&file)));
            match header(IF_NONE_MATCH) == Some(tag.clone()) {
                true => plain(StatusCode::NOT_MODIFIED, Vec::new()),
                false => with(plain(StatusCode::OK, file), ETAG, &tag),
            }
        }
        Some(Reply::Redirect(target)) => {
            with(plain(StatusCode::FOUND, Vec::new()), LOCATION, &target)
        }
        Some(Reply::Guarded {
            challenge,
            authorization: wanted,
            file,
        }) => match authorization.as_deref() == Some(wanted.as_str()) {
            true => plain(StatusCode::OK, file),
            false => with(
                plain(StatusCode::UNAUTHORIZED, Vec::new()),
                WWW_AUTHENTICATE,
                &challenge,
            ),
        },
        Some(Reply::Linked { next, file }) => {
            let link = format!("<{next}>; rel=\"next\"");
            with(plain(StatusCode::OK, file), LINK, &link)
        }
        Some(Reply::Silence) => plain(StatusCode::OK, Vec::new()),
    };
    let query = request.uri().query().map(|query| format!("?{query}"));
    {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        state.asked.push(Asked {
            path: format!("{path}{}", query.unwrap_or_default()),
            authorization,
            status: if silent {
                0
            } else {
                response.status().as_u16()
            },
        });
    }
    if silent {
        std::future::pending::<()>().await;
    }
    response
}
