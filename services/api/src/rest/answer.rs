//! Answers as JSON, errors included.

use axum::body::Body;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};
use tonic::{Code, Status};

/// A value with its content type.
pub(super) fn value(status: StatusCode, value: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}

/// An error: its text twice, and its gRPC code.
pub(super) fn error(status: &Status) -> Response<Body> {
    let text = status.message();
    let mut response = value(
        http_status(status.code()),
        &json!({"error": text, "code": i32::from(status.code()), "message": text}),
    );
    if let Some(after) = retry_after(status) {
        response.headers_mut().insert(header::RETRY_AFTER, after);
    }
    response
}

/// When to come again, which is a header on every road.
pub(super) fn retry_after(status: &Status) -> Option<HeaderValue> {
    let value = status.metadata().get(header::RETRY_AFTER.as_str())?;
    HeaderValue::from_bytes(value.as_bytes()).ok()
}

/// The HTTP status of a code.
pub(super) fn http_status(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => {
            StatusCode::BAD_REQUEST
        }
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::Cancelled => StatusCode::REQUEST_TIMEOUT,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn an_error_says_it_twice_and_keeps_its_code() {
        let response = error(&Status::permission_denied("permission denied"));
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            body,
            json!({"error": "permission denied", "code": 7, "message": "permission denied"})
        );
    }
}
