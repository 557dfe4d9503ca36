//! Accounts, their passwords and tokens, and what they may do.

mod password;
mod token;

use std::sync::Arc;

use domain::application::CONTROL_PLANE_NAMESPACE;
use domain::settings;
use proto::argocd::account as wire;
use proto::argocd::account::account_service_server::AccountService;
use tonic::{Request, Response, Status};

use crate::failure;
use crate::front::host::Peer;
use crate::identity;
use crate::permit::{self, Action, Actor, Resource};
use crate::shared::Shared;

/// The service.
pub(crate) struct Accounts {
    shared: Arc<Shared>,
}

impl Accounts {
    /// Serves with these means.
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::clone(shared),
        }
    }
}

/// An account may always do with itself what it may.
fn may(actor: &Actor, action: Action, account: &str) -> Result<(), Status> {
    if actor.is_account() && actor.account == account {
        return Ok(());
    }
    permit::require(actor, Resource::Accounts, action, account)
}

fn account(found: settings::Account) -> wire::Account {
    wire::Account {
        name: found.name,
        enabled: found.enabled,
        capabilities: found
            .capabilities
            .iter()
            .map(|capability| capability.as_str().to_owned())
            .collect(),
        tokens: found
            .tokens
            .into_iter()
            .map(|token| wire::Token {
                id: token.id,
                issued_at: token.issued_at,
                expires_at: token.expires_at,
            })
            .collect(),
    }
}

#[tonic::async_trait]
impl AccountService for Accounts {
    async fn can_i(
        &self,
        request: Request<wire::CanIRequest>,
    ) -> Result<Response<wire::CanIResponse>, Status> {
        let actor = identity::actor(&request)?;
        let asked = request.into_inner();
        Ok(Response::new(wire::CanIResponse {
            value: can(&actor, &asked)?.to_owned(),
        }))
    }

    async fn list_accounts(
        &self,
        request: Request<wire::ListAccountRequest>,
    ) -> Result<Response<wire::AccountsList>, Status> {
        let actor = identity::actor(&request)?;
        let rows = self
            .shared
            .store
            .tenant(actor.tenant.id)
            .accounts()
            .list()
            .await
            .map_err(failure::store)?;
        let items = rows
            .into_iter()
            .map(|row| row.settings)
            .filter(|found| may(&actor, Action::Get, &found.name).is_ok())
            .map(account)
            .collect();
        Ok(Response::new(wire::AccountsList { items }))
    }

    async fn get_account(
        &self,
        request: Request<wire::GetAccountRequest>,
    ) -> Result<Response<wire::Account>, Status> {
        let actor = identity::actor(&request)?;
        let name = request.into_inner().name;
        may(&actor, Action::Get, &name)?;
        let row = self
            .shared
            .store
            .tenant(actor.tenant.id)
            .accounts()
            .find(&name)
            .await
            .map_err(failure::store)?
            .ok_or_else(|| missing(&name))?;
        Ok(Response::new(account(row.settings)))
    }

    async fn update_password(
        &self,
        request: Request<wire::UpdatePasswordRequest>,
    ) -> Result<Response<wire::UpdatePasswordResponse>, Status> {
        let actor = identity::actor(&request)?;
        let source = request.extensions().get::<Peer>().map(|peer| peer.0);
        password::update(&self.shared, &actor, source, request.into_inner()).await?;
        Ok(Response::new(wire::UpdatePasswordResponse {}))
    }

    async fn create_token(
        &self,
        request: Request<wire::CreateTokenRequest>,
    ) -> Result<Response<wire::CreateTokenResponse>, Status> {
        let actor = identity::actor(&request)?;
        let token = token::create(&self.shared, &actor, request.into_inner()).await?;
        Ok(Response::new(wire::CreateTokenResponse { token }))
    }

    async fn delete_token(
        &self,
        request: Request<wire::DeleteTokenRequest>,
    ) -> Result<Response<wire::EmptyResponse>, Status> {
        let actor = identity::actor(&request)?;
        token::delete(&self.shared, &actor, request.into_inner()).await?;
        Ok(Response::new(wire::EmptyResponse {}))
    }
}

/// What is said of an account that there is not.
fn missing(name: &str) -> Status {
    Status::not_found(format!("account '{name}' does not exist"))
}

/// `yes` or `no`; a word that no right has is refused with those that there are.
fn can(actor: &Actor, asked: &wire::CanIRequest) -> Result<&'static str, Status> {
    let unknown = |words: &[&str], word: &str| {
        Status::invalid_argument(format!("[{}] does not contain {word}", words.join(" ")))
    };
    let action =
        Action::parse(&asked.action).ok_or_else(|| unknown(Action::WORDS, &asked.action))?;
    let resource = Resource::parse(&asked.resource)
        .ok_or_else(|| unknown(Resource::WORDS, &asked.resource))?;
    Ok(
        if permit::allows(
            actor,
            resource,
            action,
            &named(resource, &asked.subresource),
        ) {
            "yes"
        } else {
            "no"
        },
    )
}

/// An object as rights name it: `<project>/argocd/<name>` is `<project>/<name>`, for there is no other namespace.
fn named(resource: Resource, object: &str) -> String {
    let scoped = matches!(
        resource,
        Resource::Applications
            | Resource::ApplicationSets
            | Resource::Logs
            | Resource::Exec
            | Resource::Clusters
            | Resource::Repositories
    );
    match object.split('/').collect::<Vec<_>>().as_slice() {
        [project, CONTROL_PLANE_NAMESPACE, name] if scoped => format!("{project}/{name}"),
        _ => object.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::permit::tests::actor;

    fn ask(account: &str, resource: &str, action: &str) -> Result<&'static str, Status> {
        let asked = wire::CanIRequest {
            resource: resource.into(),
            action: action.into(),
            subresource: "default/a".into(),
        };
        can(&actor("user01", account, false), &asked)
    }

    #[test]
    fn the_answer_is_the_permit_functions() {
        assert_eq!(ask("admin", "applications", "sync").unwrap(), "yes");
        assert_eq!(ask("somebody", "applications", "sync").unwrap(), "no");
    }

    #[test]
    fn unknown_words_are_refused_with_the_known_ones() {
        let refusal = ask("admin", "applications", "frobnicate").unwrap_err();
        assert_eq!(refusal.code(), tonic::Code::InvalidArgument);
        assert_eq!(
            refusal.message(),
            "[get create update delete sync override action invoke] does not contain frobnicate"
        );
        assert!(
            ask("admin", "pods", "get")
                .unwrap_err()
                .message()
                .starts_with("[clusters projects applications ")
        );
    }
}
