//! From a verb, a path and JSON to a gRPC call, and from its answer back to JSON.

use axum::body::Body;
use axum::extract::State;
use bytes::Bytes;
use domain::message::Language;
use http::header::RETRY_AFTER;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header, request,
};
use http_body_util::{BodyExt, Full};
use proto::json::{self, Projection};
use proto::routes::{self, Outcome, Route};
use serde_json::Value;
use tonic::{Code, Status};

use super::messages::{Messages, framed};
use super::{answer, cookie, stream};
use crate::front::guard::{Guard, RENEW_TOKEN, Road};
use crate::front::host::{Peer, Site};
use crate::front::{limit, plain};
use crate::identity::credentials;
use crate::language;

/// Headers with this beginning become metadata without it.
const METADATA: &str = "grpc-metadata-";

/// Answers one REST request.
pub(super) async fn call(State(guard): State<Guard>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    if !path.starts_with("/api/") {
        return plain(StatusCode::NOT_FOUND, no_pages(path));
    }
    // A page of another site can make a browser send forms and plain text, but not JSON.
    if parts.method != Method::GET && !is_json(&parts.headers) {
        return plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Invalid content type\n");
    }
    let (route, parameters) = match routes::find(parts.method.as_str(), path) {
        Outcome::Found(route, parameters) => (route, parameters),
        Outcome::OtherVerb => return plain(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n"),
        Outcome::Unknown => return plain(StatusCode::NOT_FOUND, "Not Found\n"),
    };
    let Some(site) = parts.extensions.get::<Site>().cloned() else {
        return plain(
            StatusCode::INTERNAL_SERVER_ERROR,
            "a request came without its host\n",
        );
    };
    let mut call = grpc_request(route, &parts, site.clone());
    let rpc = call.uri().path();
    let admission = guard.admit(rpc, call.headers(), &site, Road::Rest).await;
    let allowance = admission.allowance().clone();
    // Of a call that is refused nothing is read: it goes on without a body, to be refused and counted like any other.
    if allowance.most > 0 {
        let body = limit::Limited::new(tonic::body::Body::new(body), allowance);
        let language = language::of(&parts.headers, &site.tenant);
        let read = message(route, &parameters, &parts, body, language);
        match language::scope(language, read).await {
            Ok(message) => {
                *call.body_mut() = tonic::body::Body::new(Full::new(framed(&message)));
            }
            Err(response) => return *response,
        }
    }
    call.extensions_mut().insert(admission);
    let (headers, messages) = match Messages::of(guard.call(call, Road::Rest).await) {
        Ok(answered) => answered,
        Err(status) => return answer::error(&status),
    };
    let query = Query::of(parts.uri.query().unwrap_or_default());
    let mut response = if route.server_streaming {
        stream::answer(route, messages, &parts.headers, query).await
    } else {
        unary(route, messages, &query, &parts.headers, site.secure).await
    };
    if let Some(renewed) = headers
        .get(RENEW_TOKEN)
        .and_then(|token| token.to_str().ok())
    {
        // A token that came in a header goes back in one: no cookie is set for who does not use cookies.
        if credentials::has_cookie(&parts.headers) {
            for cookie in cookie::set(renewed, site.secure) {
                response.headers_mut().append(header::SET_COOKIE, cookie);
            }
        }
        if let Ok(renewed) = HeaderValue::try_from(renewed) {
            response.headers_mut().insert(RENEW_TOKEN, renewed);
        }
    }
    response
}

/// What a browser gets, of an application's address too, which `argocd app get` shows: what shows the same.
fn no_pages(path: &str) -> String {
    let named = path
        .strip_prefix("/applications/")
        .and_then(|rest| rest.rsplit('/').next());
    // Only what may be a name is repeated, and nothing that the command takes for an option.
    let is_name = |name: &&str| {
        let small = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let mut bytes = name.bytes();
        bytes.next().is_some_and(small)
            && bytes.all(|byte| small(byte) || matches!(byte, b'-' | b'.'))
    };
    let name = named.filter(is_name).unwrap_or("NAME");
    format!(
        "Not Found: there are no web pages here. In a shell, `argocd app get {name}` shows an application.\n"
    )
}

fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| {
            value
                .split(';')
                .next()
                .unwrap_or_default()
                .trim()
                .eq_ignore_ascii_case("application/json")
        })
}

/// The request message's bytes.
async fn message(
    route: &Route,
    parameters: &routes::Parameters,
    parts: &request::Parts,
    body: limit::Limited,
    language: Language,
) -> Result<Vec<u8>, Box<Response<Body>>> {
    let invalid = |text: String| Box::new(answer::error(&Status::invalid_argument(text)));
    let body = match route.body {
        routes::Body::Nothing => None,
        routes::Body::Whole | routes::Body::Field(_) => {
            let collected = body.collect().await;
            let bytes = collected
                .map(http_body_util::Collected::to_bytes)
                .map_err(|refused| {
                    // What has room later says when; what never has is another thing over HTTP.
                    let later = refused.metadata().contains_key(RETRY_AFTER.as_str());
                    let mut response = answer::error(&refused);
                    *response.status_mut() = match refused.code() {
                        Code::DeadlineExceeded => StatusCode::REQUEST_TIMEOUT,
                        Code::ResourceExhausted if later => StatusCode::TOO_MANY_REQUESTS,
                        _ => StatusCode::PAYLOAD_TOO_LARGE,
                    };
                    Box::new(response)
                })?;
            match bytes.trim_ascii().is_empty() {
                true => None,
                false => Some(
                    serde_json::from_slice(&bytes)
                        .map_err(|problem| invalid(problem.to_string()))?,
                ),
            }
        }
    };
    let query = parts.uri.query().unwrap_or_default();
    route
        .fill(parameters, query, body)
        .map_err(|problem| invalid(problem.message().render(language)))
}

/// The call, with what of the headers means something to it.
fn grpc_request(route: &Route, parts: &request::Parts, site: Site) -> Request<tonic::body::Body> {
    let mut request = Request::new(tonic::body::Body::empty());
    *request.method_mut() = Method::POST;
    // Paths of the table are paths.
    *request.uri_mut() = route.grpc_path().parse().unwrap_or_default();
    let headers = request.headers_mut();
    for (name, value) in &parts.headers {
        if let Some(Ok(name)) = name
            .as_str()
            .strip_prefix(METADATA)
            .map(HeaderName::try_from)
        {
            headers.append(name, value.clone());
        }
    }
    for name in [
        header::AUTHORIZATION,
        header::COOKIE,
        header::ACCEPT_LANGUAGE,
        HeaderName::from_static("traceparent"),
    ] {
        if let Some(value) = parts.headers.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/grpc"),
    );
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    request.extensions_mut().insert(site);
    if let Some(peer) = parts.extensions.get::<Peer>() {
        request.extensions_mut().insert(*peer);
    }
    request
}

async fn unary(
    route: &Route,
    mut messages: Messages,
    query: &Query,
    sent: &HeaderMap,
    secure: bool,
) -> Response<Body> {
    let bytes = match messages.next().await {
        Some(Ok(bytes)) => bytes,
        Some(Err(status)) => return answer::error(&status),
        None => Bytes::new(),
    };
    // An error may still follow the message.
    if let Some(Err(status)) = messages.next().await {
        return answer::error(&status);
    }
    let value = match json::encode(&route.response, &bytes) {
        Ok(value) => value,
        Err(error) => {
            tracing::error!(%error, route = route.path, "an answer cannot be written as JSON");
            return answer::error(&crate::failure::internal());
        }
    };
    let cookies = match (route.service, route.method) {
        ("session.SessionService", "Create") => {
            let token = value.get("token").and_then(Value::as_str);
            cookie::set(token.unwrap_or_default(), secure)
        }
        ("session.SessionService", "Delete") => cookie::remove(sent, secure),
        _ => Vec::new(),
    };
    let mut response = answer::value(StatusCode::OK, &query.project(route, value));
    for cookie in cookies {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// What of the query is for the answer rather than for the call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Query {
    /// The parts of the answer that are wanted; empty for all.
    fields: String,
    /// Whether logs are to be saved as a file.
    pub(super) download: bool,
}

impl Query {
    fn of(query: &str) -> Self {
        let mut found = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "fields" => found.fields = value.into_owned(),
                "download" => found.download = value == "true",
                _ => {}
            }
        }
        found
    }

    /// What the parameter `fields` leaves, on the routes that heed it.
    pub(super) fn project(&self, route: &Route, value: Value) -> Value {
        if self.fields.is_empty() {
            return value;
        }
        match (route.service, route.method) {
            ("application.ApplicationService", "List") => {
                json::project_applications(value, &self.fields)
            }
            _ if is_projected(route) => json::project(value, &self.fields),
            _ => value,
        }
    }

    /// The same for each message of a stream, which stands in `within`, where that takes some of it away.
    pub(super) fn projection(&self, route: &Route, within: &str) -> Option<Projection> {
        is_projected(route)
            .then(|| Projection::of(&route.response, within, &self.fields))
            .flatten()
    }
}

/// Whether the parameter `fields` names any path of the answer.
fn is_projected(route: &Route) -> bool {
    matches!(
        (route.service, route.method),
        (
            "application.ApplicationService",
            "Watch" | "WatchResourceTree" | "ManagedResources" | "PodLogs",
        ) | ("applicationset.ApplicationSetService", "Watch")
            | ("project.ProjectService", "List")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_page_would_be_the_command_is_named() {
        for (path, named) in [
            ("/", "NAME"),
            ("/applications", "NAME"),
            ("/applications/", "NAME"),
            ("/applications/hello", "hello"),
            ("/applications/argocd/hello-2.a", "hello-2.a"),
            ("/applications/<script>", "NAME"),
            ("/applications/a%0Ab", "NAME"),
            ("/applications/--plaintext", "NAME"),
            ("/projects/hello", "NAME"),
        ] {
            let text = no_pages(path);
            assert!(text.contains("no web pages"), "{text}");
            let command = format!("`argocd app get {named}`");
            assert!(text.contains(&command), "{path}: {text}");
        }
    }

    #[test]
    fn only_json_comes_in() {
        let with = |text: &'static str| {
            is_json(
                &[(header::CONTENT_TYPE, HeaderValue::from_static(text))]
                    .into_iter()
                    .collect(),
            )
        };
        assert!(with("application/json") && with("Application/JSON; charset=utf-8"));
        assert!(!with("text/plain") && !with("application/x-www-form-urlencoded"));
        assert!(!is_json(&HeaderMap::new()));
    }

    #[test]
    fn the_query_says_what_of_the_answer_is_wanted() {
        let query = Query::of("fields=items.metadata.name%2Citems.spec&download=true&x=1");
        assert_eq!(
            query,
            Query {
                fields: "items.metadata.name,items.spec".into(),
                download: true
            }
        );
    }
}
