//! Accounts, and what they may do.

use std::sync::Arc;

use proto::argocd::account as wire;
use proto::argocd::account::account_service_server::AccountService;
use tonic::{Request, Response, Status};

use crate::failure;
use crate::grpc::not_served;
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

/// An account may always look at itself.
fn may_see(actor: &Actor, account: &str) -> Result<(), Status> {
    if actor.account == account {
        Ok(())
    } else {
        permit::require(actor, Resource::Accounts, Action::Get, account)
    }
}

fn account(row: store::accounts::Account) -> wire::Account {
    wire::Account {
        name: row.name,
        enabled: row.enabled,
        capabilities: vec!["login".to_owned()],
        tokens: Vec::new(),
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
            .filter(|row| may_see(&actor, &row.name).is_ok())
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
        may_see(&actor, &name)?;
        let row = self
            .shared
            .store
            .tenant(actor.tenant.id)
            .accounts()
            .find(&name)
            .await
            .map_err(failure::store)?;
        let row =
            row.ok_or_else(|| Status::not_found(format!("account '{name}' does not exist")))?;
        Ok(Response::new(account(row)))
    }

    not_served! {
        "AccountService";
        update_password(wire::UpdatePasswordRequest) -> wire::UpdatePasswordResponse,
        create_token(wire::CreateTokenRequest) -> wire::CreateTokenResponse,
        delete_token(wire::DeleteTokenRequest) -> wire::EmptyResponse,
    }
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
        if permit::allows(actor, resource, action, &asked.subresource) {
            "yes"
        } else {
            "no"
        },
    )
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
