//! Tokens of projects' roles: signed here, counted while the project remembers them.

use domain::project::Project;
use domain::resource::text;
use proto::argocd::project as wire;
use serde_json::{Value, json};
use tonic::{Code, Status};

use super::{not_found, write};
use crate::failure;
use crate::permit::{self, Action, Actor, Resource};
use crate::shared::Shared;

/// How often a change is tried again that somebody else came before.
const TRIES: usize = 5;

/// Makes a token of a role.
pub(super) async fn create(
    shared: &Shared,
    actor: &Actor,
    request: wire::ProjectTokenCreateRequest,
) -> Result<wire::ProjectTokenResponse, Status> {
    let (name, role) = (request.project.as_str(), request.role.as_str());
    if request.expires_in < 0 {
        // Argo CD makes a token of it that never expires, which nobody means.
        return Err(Status::invalid_argument(
            "expiresIn must not be negative; leave it out, or give 0, for a token that does not expire",
        ));
    }
    for _ in 0..TRIES {
        let mut project = changeable(shared, actor, name, role).await?;
        let version = project.resource_version;
        let Some(tokens) = tokens_of(&mut project, role) else {
            return Err(Status::not_found(format!(
                "project '{name}' does not have role '{role}'"
            )));
        };
        let taken = |token: &Value| text(token, &["id"]) == request.id;
        if !request.id.is_empty() && tokens.iter().any(taken) {
            return Err(Status::invalid_argument(format!(
                "rpc error: code = InvalidArgument desc = Token id '{}' has been used. ",
                request.id
            )));
        }
        let id = match request.id.as_str() {
            "" => shared.ids.id().to_string(),
            given => given.to_owned(),
        };
        let now = shared.clock.now();
        let lifetime = (request.expires_in > 0)
            .then(|| chrono::TimeDelta::try_seconds(request.expires_in))
            .flatten();
        let mut token = json!({"iat": now.timestamp(), "id": id});
        if let Some(lifetime) = lifetime {
            token["exp"] = json!(now.timestamp().saturating_add(lifetime.num_seconds()));
        }
        tokens.insert(0, token);
        let signed = shared
            .sessions
            .sign_project_token(actor.tenant.id, (name, role), &id, now, lifetime)
            .await?;
        match write::store(shared, actor, &project, Some(version)).await {
            Ok(_) => return Ok(wire::ProjectTokenResponse { token: signed }),
            Err(status) if status.code() == Code::Aborted => {}
            Err(status) => return Err(status),
        }
    }
    Err(Status::aborted("the project keeps changing; try again"))
}

/// Forgets a token, by its id or else by when it was issued. One that is not there is no mistake.
pub(super) async fn delete(
    shared: &Shared,
    actor: &Actor,
    request: wire::ProjectTokenDeleteRequest,
) -> Result<wire::EmptyResponse, Status> {
    let (name, role) = (request.project.as_str(), request.role.as_str());
    for _ in 0..TRIES {
        let mut project = changeable(shared, actor, name, role).await?;
        let version = project.resource_version;
        let Some(tokens) = tokens_of(&mut project, role) else {
            return Ok(wire::EmptyResponse {});
        };
        let by_id = |token: &Value| !request.id.is_empty() && text(token, &["id"]) == request.id;
        let by_time = |token: &Value| token.get("iat").and_then(Value::as_i64) == Some(request.iat);
        let found = tokens
            .iter()
            .position(by_id)
            .or_else(|| tokens.iter().position(by_time));
        let Some(found) = found else {
            return Ok(wire::EmptyResponse {});
        };
        tokens.remove(found);
        match write::store(shared, actor, &project, Some(version)).await {
            Ok(_) => {
                return Ok(wire::EmptyResponse {});
            }
            Err(status) if status.code() == Code::Aborted => {}
            Err(status) => return Err(status),
        }
    }
    Err(Status::aborted("the project keeps changing; try again"))
}

/// The project, for who may change it or is in a group of the role.
async fn changeable(
    shared: &Shared,
    actor: &Actor,
    name: &str,
    role: &str,
) -> Result<Project, Status> {
    let scope = shared.store.tenant(actor.tenant.id);
    let found = scope.projects().find(name).await.map_err(failure::store)?;
    if let Err(refusal) = permit::require(actor, Resource::Projects, Action::Update, name) {
        let policy = found.as_ref().map(Project::policy).unwrap_or_default();
        let member = policy.roles.iter().any(|one| {
            one.name == role
                && one
                    .groups
                    .iter()
                    .any(|group| actor.subject.groups().contains(group))
        });
        if !member {
            return Err(refusal);
        }
    }
    found.ok_or_else(|| not_found(name))
}

fn tokens_of<'a>(project: &'a mut Project, role: &str) -> Option<&'a mut Vec<Value>> {
    let roles = project.spec.get_mut("roles")?.as_array_mut()?;
    let role = roles.iter_mut().find(|one| text(one, &["name"]) == role)?;
    let fields = role.as_object_mut()?;
    let tokens = fields.entry("jwtTokens").or_insert_with(|| json!([]));
    if !tokens.is_array() {
        *tokens = json!([]);
    }
    tokens.as_array_mut()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_without_tokens_gets_a_list_and_no_role_gets_none() {
        let mut project = Project {
            metadata: json!({"name": "p"}),
            spec: json!({"roles": [{"name": "ci", "jwtTokens": null}]}),
            resource_version: 1,
        };
        tokens_of(&mut project, "ci")
            .unwrap()
            .push(json!({"iat": 1}));
        assert_eq!(project.spec["roles"][0]["jwtTokens"][0]["iat"], 1);
        assert!(tokens_of(&mut project, "cd").is_none());
    }
}
