//! From a verb, a path and JSON to a gRPC call, and from its answer back to JSON.

use axum::body::Body;
use axum::extract::State;
use bytes::Bytes;
use domain::message::Language;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header, request,
};
use http_body_util::{BodyExt, Full, Limited};
use proto::json;
use proto::routes::{self, Outcome, Route};
use serde_json::Value;
use tonic::Status;

use super::messages::{Messages, framed};
use super::{answer, cookie, stream};
use crate::front::guard::{Guard, RENEW_TOKEN, Road};
use crate::front::host::Site;
use crate::front::plain;
use crate::language;

/// The largest body that is read.
const MAX_BODY: usize = 64 << 20;
/// Headers with this beginning become metadata without it.
const METADATA: &str = "grpc-metadata-";

/// Answers one REST request.
pub(super) async fn call(State(guard): State<Guard>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    if !path.starts_with("/api/") {
        return plain(StatusCode::NOT_FOUND, "Not Found\n");
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
    let language = language::of(&parts.headers, &site.tenant);
    let message = match message(route, &parameters, &parts, body, language).await {
        Ok(message) => message,
        Err(response) => return *response,
    };
    let call = grpc_request(route, &parts, site.clone(), message);
    let (headers, messages) = match Messages::of(guard.call(call, Road::Rest).await) {
        Ok(answered) => answered,
        Err(status) => return answer::error(&status),
    };
    let query = Query::of(parts.uri.query().unwrap_or_default());
    let mut response = if route.server_streaming {
        stream::answer(route, messages, &parts.headers, query).await
    } else {
        unary(route, messages, &query, site.secure).await
    };
    if let Some(renewed) = headers
        .get(RENEW_TOKEN)
        .and_then(|token| cookie::set(token.to_str().ok()?, site.secure))
    {
        response.headers_mut().append(header::SET_COOKIE, renewed);
    }
    response
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
    body: Body,
    language: Language,
) -> Result<Vec<u8>, Box<Response<Body>>> {
    let invalid = |text: String| Box::new(answer::error(&Status::invalid_argument(text)));
    let body = match route.body {
        routes::Body::Nothing => None,
        routes::Body::Whole | routes::Body::Field(_) => {
            let collected = Limited::new(body, MAX_BODY).collect().await;
            let bytes = collected
                .map(http_body_util::Collected::to_bytes)
                .map_err(|_| {
                    Box::new(plain(
                        StatusCode::PAYLOAD_TOO_LARGE,
                        "the body is too large or broke off\n",
                    ))
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
fn grpc_request(
    route: &Route,
    parts: &request::Parts,
    site: Site,
    message: Vec<u8>,
) -> Request<tonic::body::Body> {
    let mut request = Request::new(tonic::body::Body::new(Full::new(framed(&message))));
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
    request
}

async fn unary(
    route: &Route,
    mut messages: Messages,
    query: &Query,
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
    let mut response = answer::value(StatusCode::OK, &query.project(route, value.clone()));
    if route.service == "session.SessionService" && matches!(route.method, "Create" | "Delete") {
        let token = value
            .get("token")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if let Some(cookie) = cookie::set(token, secure) {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
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
            (
                "application.ApplicationService",
                "Watch" | "WatchResourceTree" | "ManagedResources" | "PodLogs",
            )
            | ("applicationset.ApplicationSetService", "Watch")
            | ("project.ProjectService", "List") => json::project(value, &self.fields),
            _ => value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
