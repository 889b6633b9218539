//! How a request fails: a status, a stable word and one line.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::types::{ErrorBody, ErrorText};
use crate::node;
use crate::node::claims::step::Failure;
use crate::node::error::chained;
use crate::node::publish;
use crate::node::sender::WaitError;

/// A failed request.
#[derive(Debug)]
pub struct Failed {
    failure: Failure,
    details: Vec<String>,
}

impl Failed {
    /// With a code of [`ErrorText`] and a line.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Failure::new(code, message).into()
    }

    /// What is told about it.
    pub fn text(&self) -> ErrorText {
        ErrorText {
            details: self.details.clone(),
            ..ErrorText::from(&self.failure)
        }
    }

    /// Something is not there.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new("not_found", message)
    }

    /// The request itself is wrong.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new("bad_request", message)
    }

    /// The status that goes with the code.
    fn status(&self) -> StatusCode {
        match self.failure.code {
            "bad_request" | "bad_name" | "upload_broken" => StatusCode::BAD_REQUEST,
            "unauthorized" => StatusCode::UNAUTHORIZED,
            "forbidden_host" | "not_yours" => StatusCode::FORBIDDEN,
            "not_found" | "missing_block" => StatusCode::NOT_FOUND,
            "no_such_method" => StatusCode::METHOD_NOT_ALLOWED,
            "name_taken" | "name_reserved" | "not_enough_coins" | "refused" => StatusCode::CONFLICT,
            "too_large" => StatusCode::PAYLOAD_TOO_LARGE,
            "busy" | "stopping" => StatusCode::SERVICE_UNAVAILABLE,
            "timeout" | "unavailable" => StatusCode::GATEWAY_TIMEOUT,
            "disk_full" => StatusCode::INSUFFICIENT_STORAGE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let status = self.status();
        (status, Json(ErrorBody { error: self.text() })).into_response()
    }
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        let details = Vec::new();
        Self { failure, details }
    }
}

impl From<node::Error> for Failed {
    fn from(error: node::Error) -> Self {
        publish::failed(&error).into()
    }
}

impl From<chain::Error> for Failed {
    fn from(error: chain::Error) -> Self {
        if let chain::Error::NotEmpty { .. } = &error {
            return Self::new("exists", error.to_string());
        }
        tracing::error!("{}", chained(&error));
        Self::new("internal", error.to_string())
    }
}

impl From<chain::SubmitError> for Failed {
    fn from(error: chain::SubmitError) -> Self {
        let text = error.to_string();
        match error {
            chain::SubmitError::Chain(error) => error.into(),
            chain::SubmitError::Full { .. } => Self::new("busy", text),
            chain::SubmitError::Outbid { .. } => Self::new("outbid", text),
            chain::SubmitError::TooLarge { .. } => Self::new("too_large", text),
            chain::SubmitError::Refused(refusal) => Self::new(code_of(&refusal), text),
        }
    }
}

fn code_of(refusal: &ledger::Refusal) -> &'static str {
    use ledger::Refusal as R;
    match refusal {
        R::Balance { .. } | R::FaucetEmpty { .. } => "not_enough_coins",
        R::NameTaken { .. } => "name_taken",
        R::NameReserved { .. } => "name_reserved",
        R::NameUnknown { .. } | R::AssetUnknown { .. } | R::EscrowUnknown { .. } | R::EdgeUnknown { .. } => {
            "not_found"
        }
        R::NotOwner { .. } => "not_yours",
        R::State(_) => "internal",
        _ => "refused",
    }
}

impl From<WaitError> for Failed {
    fn from(error: WaitError) -> Self {
        match error {
            WaitError::Refused { .. } => Self::new("refused", error.to_string()),
            WaitError::Late { .. } => Self::new("timeout", error.to_string()),
            WaitError::Chain(error) => error.into(),
        }
    }
}

impl From<storage::Error> for Failed {
    fn from(error: storage::Error) -> Self {
        Self::from(&error)
    }
}

impl From<&storage::Error> for Failed {
    fn from(error: &storage::Error) -> Self {
        let failure = publish::storage_failed(error);
        match error {
            storage::Error::Missing(cid) => Self::new(
                failure.code,
                format!("block {cid} is not here, and nobody in reach is known to have it"),
            ),
            storage::Error::Unavailable { tried, .. } => Self {
                failure,
                details: tried.iter().map(ToString::to_string).collect(),
            },
            _ => failure.into(),
        }
    }
}

impl From<ledger::StateError> for Failed {
    fn from(error: ledger::StateError) -> Self {
        tracing::error!("{error}");
        Self::new("internal", error.to_string())
    }
}

impl From<tokio::task::JoinError> for Failed {
    fn from(error: tokio::task::JoinError) -> Self {
        tracing::error!(%error, "a worker broke down");
        Self::new("internal", "a worker broke down: see the node's log")
    }
}
