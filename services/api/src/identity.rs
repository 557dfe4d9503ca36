//! Who calls: passwords become sessions, and sessions become actors.

pub(crate) mod client;
mod configs;
pub(crate) mod credentials;
mod limiter;
pub(crate) mod login;
pub(crate) mod password;
mod sessions;
mod token;

use tonic::{Request, Status};

pub(crate) use configs::Configs;
pub(crate) use login::Logins;
pub(crate) use sessions::Sessions;

use crate::permit::Actor;

/// The outcome of authentication, in the extensions of every request that reaches a service.
#[derive(Clone, Debug)]
pub(crate) struct Caller(pub(crate) Result<Actor, Status>);

impl Caller {
    /// Whether it is somebody whom a tenant knows, rather than anybody.
    pub(crate) fn is_known(&self) -> bool {
        self.0.as_ref().is_ok_and(|actor| !actor.is_stranger())
    }
}

/// Who calls.
///
/// # Errors
/// Why nobody does, on the methods that are open to everybody.
pub(crate) fn actor<T>(request: &Request<T>) -> Result<Actor, Status> {
    match request.extensions().get::<Caller>() {
        Some(Caller(outcome)) => outcome.clone(),
        None => Err(Status::unauthenticated(NO_SESSION)),
    }
}

/// What a caller without a token is told.
pub(crate) const NO_SESSION: &str = "no session information";
