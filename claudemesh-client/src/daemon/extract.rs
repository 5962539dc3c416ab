//! What comes in and goes out: queries and bodies that are refused with a typed error, and errors as responses.

use axum::Json;
use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;

use crate::api;
use crate::error::{Error, ErrorKind};
use crate::local::BODY_LIMIT;

/// A body above the limit is read to this size before it is refused, so that its sender can read the answer.
const DRAIN_LIMIT: usize = 16 * 1024 * 1024;

/// An error as a response.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    error: Error,
}

impl ApiError {
    /// An error of the request itself, with the HTTP status that says it best.
    pub(super) fn usage(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, error: Error::new(ErrorKind::Usage, message) }
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let status = match error.kind() {
            ErrorKind::Usage => StatusCode::BAD_REQUEST,
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::Ambiguous | ErrorKind::Conflict => StatusCode::CONFLICT,
            ErrorKind::Refused => StatusCode::FORBIDDEN,
            ErrorKind::Expired => StatusCode::GONE,
            ErrorKind::Timeout => StatusCode::GATEWAY_TIMEOUT,
            ErrorKind::Unreachable => StatusCode::BAD_GATEWAY,
            ErrorKind::Locked => StatusCode::LOCKED,
            ErrorKind::Unwritable => StatusCode::INSUFFICIENT_STORAGE,
            ErrorKind::Internal | ErrorKind::Corrupt => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self { status, error }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(api::ErrorBody::from(&self.error))).into_response()
    }
}

/// The query of a request.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(params)) => Ok(Self(params)),
            Err(rejection) => Err(ApiError::usage(StatusCode::BAD_REQUEST, rejection.body_text())),
        }
    }
}

/// The JSON body of a request.
pub(super) struct Payload<T>(pub(super) T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Payload<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let bytes = read(request.into_body()).await?;
        let value = serde_json::from_slice(&bytes).map_err(|error| {
            ApiError::usage(StatusCode::BAD_REQUEST, format!("the body is not the JSON this route takes: {error}"))
        })?;
        Ok(Self(value))
    }
}

async fn read(body: Body) -> Result<Vec<u8>, ApiError> {
    let mut chunks = body.into_data_stream();
    let (mut bytes, mut size) = (Vec::new(), 0_usize);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| ApiError::usage(StatusCode::BAD_REQUEST, "the body was cut off"))?;
        size = size.saturating_add(chunk.len());
        if size <= BODY_LIMIT {
            bytes.extend_from_slice(&chunk);
        } else if size > DRAIN_LIMIT {
            break;
        }
    }
    if size > BODY_LIMIT {
        let message = format!("the body is larger than the {BODY_LIMIT} bytes permitted");
        return Err(ApiError::usage(StatusCode::PAYLOAD_TOO_LARGE, message));
    }
    Ok(bytes)
}
