//! What can go wrong, and what it means to the caller.

use domain::message::{self, Message};

/// The store's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a caller can do about an [`Error`]. Deliberately few.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The thing is not there.
    NotFound,
    /// The thing, or its name, is there already.
    AlreadyExists,
    /// The caller's picture was old; read again and retry.
    Conflict,
    /// The lease has passed on; stop.
    Stale,
    /// The values cannot be stored as they are.
    Invalid,
    /// The tenant has as many as it may.
    Exhausted,
    /// It is not for whoever asks.
    Denied,
    /// The database cannot be reached or is busy; retry later.
    Unavailable,
    /// The installation is set up wrongly; a person has to act.
    Misconfigured,
    /// Anything else; a defect.
    Internal,
}

/// Which unique name of the installation is somebody else's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// A tenant's name.
    Tenant,
    /// A host.
    Host,
    /// A namespace.
    Namespace,
}

/// What went wrong. The text names the operation, [`std::error::Error::source`] the cause.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The thing is not there.
    #[error("there is no {what} `{name}`")]
    NotFound {
        /// The noun.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The thing is there already.
    #[error("the {what} `{name}` exists already")]
    AlreadyExists {
        /// The noun.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A name that is unique across the installation is another tenant's.
    #[error("the {kind:?} `{name}` is taken")]
    Taken {
        /// Which.
        kind: Taken,
        /// The name.
        name: String,
    },
    /// The thing was written since the caller looked.
    #[error("the {what} `{name}` was changed meanwhile")]
    Conflict {
        /// The noun.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The lease has passed on.
    #[error("the lease `{item}` has passed on from fence {fence}")]
    Stale {
        /// The work item.
        item: String,
        /// The fence that the write carried.
        fence: i64,
    },
    /// A value cannot be stored.
    #[error("the {what} cannot be stored: {why}")]
    Invalid {
        /// The noun.
        what: &'static str,
        /// Why not.
        why: String,
    },
    /// The tenant has as many as it may.
    #[error("quota of {quota} reached: {used} of {allowed}")]
    Quota {
        /// Of what.
        quota: String,
        /// How many it has.
        used: u64,
        /// How many it may have.
        allowed: u64,
    },
    /// The account has the operator grant, and who changes it has not.
    #[error("the account `{name}` runs the platform: only an operator may change it")]
    Operators {
        /// The account.
        name: String,
    },
    /// A sealed value does not open: it was changed, moved, or sealed under another key.
    #[error("the sealed {what} does not open under the tenant's key")]
    Sealed {
        /// The noun.
        what: &'static str,
    },
    /// The key file cannot be used.
    #[error("the key file cannot be used: {0}")]
    KeyFile(String),
    /// The database role is not one that a service may run as.
    #[error("refusing to run as database role `{role}`: {why}")]
    Role {
        /// The role.
        role: String,
        /// What is wrong with it.
        why: String,
    },
    /// The database has another schema than this program.
    #[error(
        "the database's schema is at version {found}, this program needs {wanted}; run `naru-api migrate`"
    )]
    Schema {
        /// The newest migration in the database.
        found: i64,
        /// The newest migration of this program.
        wanted: i64,
    },
    /// A migration did not go through.
    #[error("the migration did not go through")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    /// The database went away while migrations ran. Each has gone through, or nothing of it stays.
    #[error("the database went away while migrations ran; they may be run again")]
    CutOff(#[source] sqlx::migrate::MigrateError),
    /// Others held on to what a migration changes.
    #[error(
        "migration {version} was tried {tries} times and did not get its tables: a long query or an open transaction holds on to \
         them (pg_stat_activity, pg_locks); nothing of it stays, and it may be run again"
    )]
    Hindered {
        /// Which.
        version: i64,
        /// How often it was tried.
        tries: u32,
        /// What the database said last.
        #[source]
        source: sqlx::Error,
    },
    /// The database cannot be reached, or is too busy.
    #[error("the database cannot be reached")]
    Unavailable(#[source] sqlx::Error),
    /// The database refused a statement.
    #[error("the database refused a statement")]
    Database(#[source] sqlx::Error),
    /// What went wrong for several callers at once.
    #[error(transparent)]
    Shared(std::sync::Arc<Self>),
}

impl Error {
    /// What the caller can do.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::NotFound { .. } => Code::NotFound,
            Self::AlreadyExists { .. } | Self::Taken { .. } => Code::AlreadyExists,
            Self::Conflict { .. } => Code::Conflict,
            Self::Stale { .. } => Code::Stale,
            Self::Invalid { .. } => Code::Invalid,
            Self::Quota { .. } => Code::Exhausted,
            Self::Operators { .. } => Code::Denied,
            Self::Unavailable(_) | Self::CutOff(_) | Self::Hindered { .. } => Code::Unavailable,
            Self::KeyFile(_) | Self::Role { .. } | Self::Schema { .. } | Self::Migrate(_) => {
                Code::Misconfigured
            }
            Self::Sealed { .. } | Self::Database(_) => Code::Internal,
            Self::Shared(error) => error.code(),
        }
    }

    /// What to tell a person, where the catalogue has it.
    #[must_use]
    pub fn message(&self) -> Option<Message> {
        Some(match self {
            Self::NotFound {
                what: "tenant",
                name,
            } => message::tenant::NOT_FOUND.with("name", name),
            Self::Taken {
                kind: Taken::Tenant,
                name,
            } => message::tenant::EXISTS.with("name", name),
            Self::Taken {
                kind: Taken::Host,
                name,
            } => message::tenant::HOST_TAKEN.with("host", name),
            Self::Taken {
                kind: Taken::Namespace,
                name,
            } => message::tenant::NAMESPACE_TAKEN.with("namespace", name),
            Self::Shared(error) => return error.message(),
            Self::Quota {
                quota,
                used,
                allowed,
            } => message::tenant::QUOTA_REACHED
                .with("quota", quota)
                .with("used", used)
                .with("allowed", allowed),
            Self::Operators { name } => message::account::OPERATORS.with("name", name),
            _ => return None,
        })
    }

    pub(crate) fn not_found(what: &'static str, name: impl Into<String>) -> Self {
        Self::NotFound {
            what,
            name: name.into(),
        }
    }

    /// What is waited for no longer: nobody knows what becomes of it.
    pub(crate) fn late() -> Self {
        let late = std::io::Error::from(std::io::ErrorKind::TimedOut);
        Self::Unavailable(sqlx::Error::Io(late))
    }

    pub(crate) fn invalid(what: &'static str, why: impl ToString) -> Self {
        Self::Invalid {
            what,
            why: why.to_string(),
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let state = sql_state(&error);
        if is_away(&error, state.as_deref()) {
            return Self::Unavailable(error);
        }
        match (&error, state.as_deref()) {
            // Too many connections or too little room, time-outs, deadlock, serialisation.
            (_, Some(state))
                if state.starts_with("53")
                    || matches!(state, "55P03" | "57014" | "40P01" | "40001") =>
            {
                Self::Unavailable(error)
            }
            // Text that PostgreSQL cannot hold: NUL, or an escape that is no character.
            (_, Some("22021" | "22P05")) => {
                Self::invalid("text", "it holds a NUL or an invalid character")
            }
            // A touch or an entry of the record without its tenant: that was destroyed meanwhile.
            (_, Some("NR003")) => Self::not_found("tenant", ""),
            // Sealed under a key that was dropped meanwhile.
            (_, Some("NR004")) => Self::Conflict {
                what: "key of the tenant",
                name: String::new(),
            },
            (_, Some("NR005")) => quota(&error).unwrap_or(Self::Database(error)),
            (sqlx::Error::Database(said), Some("NR006")) => Self::Operators {
                name: said.message().to_owned(),
            },
            _ => Self::Database(error),
        }
    }
}

impl From<sqlx::migrate::MigrateError> for Error {
    fn from(error: sqlx::migrate::MigrateError) -> Self {
        use sqlx::migrate::MigrateError::{Execute, ExecuteMigration};
        let away = match &error {
            Execute(cause) | ExecuteMigration(cause, _) => {
                is_away(cause, sql_state(cause).as_deref())
            }
            _ => false,
        };
        match away {
            true => Self::CutOff(error),
            false => Self::Migrate(error),
        }
    }
}

/// Whether the connection is gone, or is refused by a server that stops or starts.
fn is_away(error: &sqlx::Error, state: Option<&str>) -> bool {
    match state {
        Some(state) => state.starts_with("08") || state.starts_with("57P") || state == "25P03",
        None => matches!(
            error,
            sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed
                | sqlx::Error::BeginFailed
                | sqlx::Error::Protocol(_)
        ),
    }
}

/// What the trigger says of a quota: its name, how many there are, how many are allowed.
fn quota(error: &sqlx::Error) -> Option<Error> {
    let mut words = error.as_database_error()?.message().split(' ');
    Some(Error::Quota {
        quota: words.next()?.to_owned(),
        used: words.next()?.parse().ok()?,
        allowed: words.next()?.parse().ok()?,
    })
}

pub(crate) fn sql_state(error: &sqlx::Error) -> Option<String> {
    error
        .as_database_error()
        .and_then(|e| e.code())
        .map(std::borrow::Cow::into_owned)
}

/// Says `AlreadyExists` for a unique violation, and what [`Error::from`] says for anything else.
pub(crate) fn unless_unique(error: sqlx::Error, what: &'static str, name: &str) -> Error {
    if error
        .as_database_error()
        .is_some_and(sqlx::error::DatabaseError::is_unique_violation)
    {
        Error::AlreadyExists {
            what,
            name: name.to_owned(),
        }
    } else {
        error.into()
    }
}

/// The one row that a write must have touched.
pub(crate) fn exactly_one(touched: u64, what: &'static str, name: &str) -> Result<()> {
    if touched == 1 {
        Ok(())
    } else {
        Err(Error::not_found(what, name))
    }
}

#[cfg(test)]
mod tests {
    use sqlx::migrate::MigrateError;

    use super::*;

    #[test]
    fn a_migration_whose_connection_broke_may_be_run_again_and_one_that_is_refused_is_for_a_person()
    {
        let broke = || sqlx::Error::Io(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
        for error in [
            MigrateError::Execute(broke()),
            MigrateError::ExecuteMigration(broke(), 22),
        ] {
            assert_eq!(Error::from(error).code(), Code::Unavailable);
        }
        for error in [
            MigrateError::ExecuteMigration(sqlx::Error::RowNotFound, 22),
            MigrateError::VersionMismatch(22),
        ] {
            assert_eq!(Error::from(error).code(), Code::Misconfigured);
        }
    }
}
