//! The API keys of an account.

use domain::message;
use domain::settings::{AccountToken, Capability};
use proto::argocd::account as wire;
use tonic::{Code, Status};

use super::{may, missing};
use crate::failure;
use crate::permit::{Action, Actor};
use crate::shared::Shared;

/// The longest a key may last: what lasts longer never ends.
const LONGEST: i64 = 100 * 366 * 86_400;

/// Makes a key, and remembers its id.
pub(super) async fn create(
    shared: &Shared,
    actor: &Actor,
    request: wire::CreateTokenRequest,
) -> Result<String, Status> {
    let name = request.name;
    may(actor, Action::Update, &name)?;
    let what = "failed to update account with new token";
    let scope = shared.written_by(actor, actor.tenant.id);
    let account = scope
        .accounts()
        .find(&name)
        .await
        .map_err(failure::store)?
        .ok_or_else(|| missing(&name))?
        .settings;
    if !(0..=LONGEST).contains(&request.expires_in) {
        let told = message::account::TOKEN_EXPIRY.with("seconds", request.expires_in);
        return Err(failure::say(Code::InvalidArgument, &told));
    }
    let id = match request.id.as_str() {
        "" => shared.ids.id().to_string(),
        given if is_id(given) => given.to_owned(),
        _ => {
            let told = message::account::TOKEN_ID.message();
            return Err(failure::say(Code::InvalidArgument, &told));
        }
    };
    let taken = || Status::unknown(format!("{what}: account already has token with id '{id}'"));
    if account.token(&id).is_some() {
        return Err(taken());
    }
    if !account.can(Capability::ApiKey) {
        return Err(Status::unknown(format!(
            "{what}: account '{name}' does not have apiKey capability"
        )));
    }
    let now = shared.clock.now();
    let lifetime = lifetime(request.expires_in);
    let signed = shared
        .sessions
        .sign_api_key(actor.tenant.id, &account, &id, now, lifetime)
        .await?;
    let token = AccountToken {
        id: id.clone(),
        issued_at: now.timestamp(),
        expires_at: lifetime.map_or(0, |lifetime| {
            now.timestamp().saturating_add(lifetime.num_seconds())
        }),
    };
    match scope.accounts().add_token(&name, &token).await {
        Ok(()) => {}
        Err(error) if error.code() == store::Code::AlreadyExists => return Err(taken()),
        Err(error) => return Err(failure::store(error)),
    }
    shared.caches().forget_identity(Some(actor.tenant.id));
    tracing::info!(tenant = %actor.tenant.name, account = name, id, by = actor.account, "a token was made");
    Ok(signed)
}

/// Ends a key.
pub(super) async fn delete(
    shared: &Shared,
    actor: &Actor,
    request: wire::DeleteTokenRequest,
) -> Result<(), Status> {
    let name = request.name;
    may(actor, Action::Update, &name)?;
    let scope = shared.written_by(actor, actor.tenant.id);
    if scope
        .accounts()
        .find(&name)
        .await
        .map_err(failure::store)?
        .is_none()
    {
        return Err(missing(&name));
    }
    let deleted = scope.accounts().delete_token(&name, &request.id).await;
    shared.caches().forget_identity(Some(actor.tenant.id));
    match deleted {
        Ok(()) => Ok(()),
        Err(error) if error.code() == store::Code::NotFound => Err(Status::not_found(format!(
            "token with id '{}' does not exist",
            request.id
        ))),
        Err(error) => Err(failure::store(error)),
    }
}

fn is_id(text: &str) -> bool {
    (1..=253).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-:".contains(&b))
}

/// How long a token counts; `None` for ever, as for longer than can be told.
fn lifetime(seconds: i64) -> Option<chrono::TimeDelta> {
    (seconds > 0)
        .then(|| chrono::TimeDelta::try_seconds(seconds))
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_lasts_longer_than_can_be_told_lasts_for_ever() {
        assert_eq!(lifetime(60), chrono::TimeDelta::try_minutes(1));
        for none in [0, -1, i64::MIN, i64::MAX] {
            assert_eq!(lifetime(none), None, "{none}");
        }
    }
}
