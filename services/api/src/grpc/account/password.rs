//! A new password, for oneself or for another.

use std::net::IpAddr;

use domain::message;
use domain::secret::Secret;
use domain::settings;
use proto::argocd::account as wire;
use tonic::{Code, Status};

use super::missing;
use crate::failure;
use crate::identity::{self, password};
use crate::permit::{self, Action, Actor, Means, Resource};
use crate::shared::Shared;

/// Sets a password. Everybody gives their own current one, whoever's is set.
pub(super) async fn update(
    shared: &Shared,
    actor: &Actor,
    source: Option<IpAddr>,
    request: wire::UpdatePasswordRequest,
) -> Result<(), Status> {
    let current = Secret::from(request.current_password);
    let new = Secret::from(request.new_password);
    let name = match request.name.as_str() {
        "" => actor.account.clone(),
        other => other.to_owned(),
    };
    let own = name == actor.account && actor.is_account();
    if actor.means == Means::Anonymous {
        return Err(Status::unauthenticated(identity::NO_SESSION));
    }
    if !own && !request.name.is_empty() {
        permit::require(actor, Resource::Accounts, Action::Update, &name)?;
    }
    if actor.must_change_password && !own {
        let first = message::account::MUST_CHANGE.with("name", &actor.account);
        return Err(failure::say(Code::FailedPrecondition, &first));
    }
    if actor.means == Means::ProjectRole {
        let text = format!(
            "password can only be changed for local users, not user {:?}",
            actor.account
        );
        return Err(Status::invalid_argument(text));
    }
    let same = current == new;
    shared
        .logins
        .verify(&actor.tenant, &actor.account, current, source)
        .await
        .map_err(|refusal| match refusal.code() {
            Code::Unauthenticated | Code::InvalidArgument => {
                Status::invalid_argument("current password does not match")
            }
            _ => refusal,
        })?;
    if same && actor.must_change_password {
        let told = message::account::PASSWORD_SAME.with("name", &actor.account);
        return Err(failure::say(Code::InvalidArgument, &told));
    }
    fits(shared, actor, &new).await?;
    let hash = password::hash(actor.tenant.id, new)
        .await
        .map_err(identity::login::busy)?;
    let set = shared
        .written_by(actor, actor.tenant.id)
        .accounts()
        .set_password(&name, &hash, shared.clock.now(), own)
        .await;
    shared.caches().forget_identity(Some(actor.tenant.id));
    match set {
        Ok(()) => {}
        Err(error) if error.code() == store::Code::NotFound => {
            return Err(missing(&name));
        }
        Err(error) => return Err(failure::store(error)),
    }
    tracing::info!(tenant = %actor.tenant.name, account = name, by = actor.account, "a password was set");
    Ok(())
}

/// Whether a new password looks as the tenant wants it.
async fn fits(shared: &Shared, actor: &Actor, new: &Secret) -> Result<(), Status> {
    let config = shared
        .configs
        .of(actor.tenant.id)
        .await
        .map_err(failure::store)?;
    let pattern = config.password_pattern();
    let wanted = settings::password_pattern(pattern);
    if !wanted.is_some_and(|wanted| wanted.is_match(new.expose_str())) {
        return Err(Status::unknown(format!(
            "new password does not match the following expression: {pattern}"
        )));
    }
    if new.expose().len() > password::MAX_BYTES {
        return Err(failure::say(
            Code::InvalidArgument,
            &message::account::PASSWORD_TOO_LONG.message(),
        ));
    }
    Ok(())
}
