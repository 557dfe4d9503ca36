//! Policies of rights: whether one can be read, and which line of it decides.

use std::sync::Arc;

use domain::project::Project;
use domain::rbac::{Enforcer, Explanation, Origin, Policy, Problem, Subject};
use proto::naru::v1 as wire;
use proto::naru::v1::rbac_service_server::RbacService;
use tonic::{Request, Response, Status};

use crate::failure;
use crate::identity;
use crate::language;
use crate::permit::{self, Action, Actor, Resource};
use crate::shared::Shared;

/// The service.
pub(crate) struct Rbac {
    shared: Arc<Shared>,
}

impl Rbac {
    /// Serves with these means.
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::clone(shared),
        }
    }

    /// The rights in force, or those that a draft would make.
    async fn rights(
        &self,
        actor: &Actor,
        draft: Option<&wire::PolicyDraft>,
    ) -> Result<Arc<Enforcer>, Status> {
        let Some(draft) = draft else {
            return Ok(Arc::clone(&actor.rights));
        };
        let given = draft.clone();
        let policy = beside(move || {
            Policy::parse(
                &given.policy_csv,
                &given.policy_default,
                &given.scopes,
                &given.match_mode,
            )
        })
        .await?
        .map_err(|problems| {
            let told: Vec<String> = problems
                .iter()
                .map(|problem| {
                    let text = problem.message.render(language::current());
                    format!("{}: {text}", problem.line)
                })
                .collect();
            Status::invalid_argument(told.join("\n"))
        })?;
        let scope = self.shared.store.tenant(actor.tenant.id);
        let projects = scope.projects().list().await.map_err(failure::store)?;
        let projects: Vec<_> = projects.iter().map(Project::policy).collect();
        beside(move || Arc::new(Enforcer::compile(&policy, &projects).0)).await
    }
}

#[tonic::async_trait]
impl RbacService for Rbac {
    async fn validate(
        &self,
        request: Request<wire::ValidatePolicyRequest>,
    ) -> Result<Response<wire::ValidatePolicyResponse>, Status> {
        identity::actor(&request)?;
        let draft = request.into_inner().policy.unwrap_or_default();
        let problems = beside(move || {
            Policy::check(
                &draft.policy_csv,
                &draft.policy_default,
                &draft.scopes,
                &draft.match_mode,
            )
        })
        .await?;
        Ok(Response::new(wire::ValidatePolicyResponse {
            valid: problems.iter().all(|problem| !problem.fatal),
            problems: problems.into_iter().map(problem).collect(),
        }))
    }

    async fn explain(
        &self,
        request: Request<wire::ExplainRightRequest>,
    ) -> Result<Response<wire::ExplainRightResponse>, Status> {
        let actor = identity::actor(&request)?;
        let asked = request.into_inner();
        let own = asked.subject.is_empty() || asked.subject == actor.subject.name();
        let mut subject = if own {
            actor.subject.clone()
        } else {
            permit::require(&actor, Resource::Accounts, Action::Get, &asked.subject)?;
            Subject::parse(&asked.subject)
        };
        if let Subject::Account { groups, .. } = &mut subject
            && !own
        {
            *groups = asked.groups;
        }
        let rights = self.rights(&actor, asked.policy.as_ref()).await?;
        let told = rights.explain(&subject, &asked.resource, &asked.action, &asked.object);
        Ok(Response::new(explained(as_seen_by(&actor, told))))
    }
}

/// Reads a draft beside the calls: what somebody just wrote may be as long as a policy may be, and full of expressions.
pub(super) async fn beside<T: Send + 'static>(
    read: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Status> {
    tokio::task::spawn_blocking(read)
        .await
        .map_err(|_| Status::internal("reading the policy stopped"))
}

fn problem(problem: Problem) -> wire::PolicyProblem {
    wire::PolicyProblem {
        line: problem.line,
        message: problem.message.render(language::current()),
        code: problem.message.code,
        fatal: problem.fatal,
    }
}

/// What the actor is told: of a line that is a project's, or reached through one, only what it comes to, unless the actor
/// sees the project. A token of the project's role is told of its own.
fn as_seen_by(actor: &Actor, told: Explanation) -> Explanation {
    let sees = |project: &str| {
        matches!(&actor.subject, Subject::ProjectRole { project: own, .. } if own == project)
            || permit::allows(actor, Resource::Projects, Action::Get, project)
    };
    let by_line = match &told.origin {
        Some(Origin::Role { project, .. }) => sees(project),
        _ => true,
    };
    let by_path = told.path.iter().all(|name| match Subject::parse(name) {
        Subject::ProjectRole { project, .. } => sees(&project),
        _ => true,
    });
    if by_line && by_path {
        return told;
    }
    Explanation {
        origin: None,
        rule: String::new(),
        path: Vec::new(),
        ..told
    }
}

fn explained(told: Explanation) -> wire::ExplainRightResponse {
    let mut answer = wire::ExplainRightResponse {
        allowed: told.allowed,
        rule: told.rule,
        path: told.path,
        ..Default::default()
    };
    match told.origin {
        None => {}
        Some(Origin::BuiltIn) => "built-in".clone_into(&mut answer.origin),
        Some(Origin::Policy(line)) => {
            "policy.csv".clone_into(&mut answer.origin);
            answer.line = line;
        }
        Some(Origin::Role {
            project,
            role,
            position,
        }) => {
            "project".clone_into(&mut answer.origin);
            answer.line = position.unwrap_or_default();
            answer.project = project;
            answer.role = role;
        }
    }
    answer
}
