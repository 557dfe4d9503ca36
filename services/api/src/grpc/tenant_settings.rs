//! The settings of a tenant: for its admin, and for the operator, who names the tenant.

mod shown;

use std::sync::Arc;
use std::time::Duration;

use domain::message;
use domain::rbac;
use domain::settings::{Change, Config, Object, Problem, catalogue};
use domain::tenant::Tenant;
use proto::naru::v1 as wire;
use proto::naru::v1::settings_service_server::SettingsService;
use serde_json::json;
use tonic::{Code, Request, Response, Status};

use super::rbac::beside;
use crate::audit;
use crate::failure::{self, Refused, say};
use crate::identity;
use crate::language;
use crate::permit;
use crate::shared::Shared;

/// The longest that a replaced signing key may count.
const LONGEST_GRACE: i64 = 90 * 86_400;

/// The service.
pub(crate) struct TenantSettings {
    shared: Arc<Shared>,
}

impl TenantSettings {
    /// Serves with these means.
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::clone(shared),
        }
    }

    /// The tenant that a request is about, if the caller may read and change what it has set.
    async fn tenant<T>(&self, request: &Request<T>, named: &str) -> Result<Arc<Tenant>, Status> {
        let actor = identity::actor(request)?;
        let tenant = permit::tenant_of(&self.shared, &actor, named).await?;
        if tenant.id == actor.tenant.id {
            permit::require_administrator(&actor)?;
        }
        Ok(tenant)
    }

    async fn load(&self, tenant: &Tenant) -> Result<Config, Status> {
        let scope = self.shared.store.tenant(tenant.id);
        scope.config().load().await.map_err(failure::store)
    }

    /// Says in the record what was changed, by object and key. A secret's hash, which whoever reads the record could try
    /// passwords against, is there only as a mark under the tenant's key.
    async fn record(
        &self,
        tenant: &Tenant,
        changed: &[wire::ChangedSetting],
    ) -> Result<(), Status> {
        let scope = self.shared.store.tenant(tenant.id);
        let (mut before, mut after) = (json!({}), json!({}));
        for setting in changed {
            for (into, value) in [(&mut before, &setting.before), (&mut after, &setting.after)] {
                if value.is_empty() {
                    continue;
                }
                into[&setting.object][&setting.key] = match value.starts_with(shown::HASH) {
                    true => scope
                        .audit()
                        .mark(value.as_bytes())
                        .await
                        .map_err(failure::store)?,
                    false => value.clone(),
                }
                .into();
            }
        }
        audit::changed(before, after);
        Ok(())
    }
}

#[tonic::async_trait]
impl SettingsService for TenantSettings {
    async fn get(
        &self,
        request: Request<wire::GetSettingsRequest>,
    ) -> Result<Response<wire::Settings>, Status> {
        let tenant = self.tenant(&request, &request.get_ref().tenant).await?;
        let config = self.load(&tenant).await?;
        Ok(Response::new(shown::settings(&tenant, &config)))
    }

    async fn update(
        &self,
        request: Request<wire::UpdateSettingsRequest>,
    ) -> Result<Response<wire::UpdateSettingsResponse>, Status> {
        let tenant = self.tenant(&request, &request.get_ref().tenant).await?;
        let actor = identity::actor(&request)?;
        let asked = request.into_inner();
        let changes = changes(asked.changes);
        let now = self.shared.clock.now();
        let change = |current: &Config| {
            let version = current.raw().version();
            if !asked.resource_version.is_empty() && asked.resource_version != version {
                let changed = message::settings::CHANGED.with("expected", &asked.resource_version);
                return Err(Refused(say(Code::Aborted, &changed)));
            }
            current
                .apply(&changes)
                .map(|after| after.stamped(current, now))
                .map_err(|problems| Refused(refusal(&problems)))
        };
        let (before, after) = if asked.dry_run {
            let before = self.load(&tenant).await?;
            let after = change(&before)?;
            (before, after)
        } else {
            let scope = self.shared.written_by(&actor, tenant.id);
            let done = scope.config().update(change).await;
            // In force on the next call: here at once, elsewhere by the change feed.
            self.shared.caches().forget(Some(tenant.id));
            let done = done?;
            (done.before, done.after)
        };
        let changed = shown::changed(&tenant, &before, &after);
        if !asked.dry_run && !changed.is_empty() {
            let keys: Vec<&str> = changed.iter().map(|changed| changed.key.as_str()).collect();
            tracing::info!(tenant = %tenant.name, ?keys, "settings were changed");
            self.record(&tenant, &changed).await?;
        }
        Ok(Response::new(wire::UpdateSettingsResponse {
            settings: Some(shown::settings(&tenant, &after)),
            changed,
        }))
    }

    async fn validate(
        &self,
        request: Request<wire::ValidateSettingsRequest>,
    ) -> Result<Response<wire::ValidateSettingsResponse>, Status> {
        let tenant = self.tenant(&request, &request.get_ref().tenant).await?;
        let config = self.load(&tenant).await?;
        let changes = changes(request.into_inner().changes);
        let about_rights = changes
            .iter()
            .any(|change| change.object == Object::Rbac.name());
        let problems = match config.apply(&changes) {
            Err(problems) => problems,
            Ok(after) if about_rights => suspicions(after).await?,
            Ok(_) => Vec::new(),
        };
        let problems = problems
            .into_iter()
            .map(|problem| wire::SettingProblem {
                message: problem.message.render(language::current()),
                code: problem.message.code,
                object: problem.object,
                key: problem.key,
            })
            .collect();
        Ok(Response::new(wire::ValidateSettingsResponse { problems }))
    }

    async fn describe(
        &self,
        request: Request<wire::DescribeSettingsRequest>,
    ) -> Result<Response<wire::DescribeSettingsResponse>, Status> {
        identity::actor(&request)?;
        let wanted = &request.get_ref().object;
        let objects: Vec<Object> = if wanted.is_empty() {
            Object::FIXED.into()
        } else {
            let known = Object::parse(wanted).ok_or_else(|| {
                let known = Object::FIXED.map(|object| object.name().to_owned());
                let unknown = message::settings::UNKNOWN_OBJECT
                    .with("object", wanted)
                    .with("key", "")
                    .with("known", known.join(", "));
                say(Code::InvalidArgument, &unknown)
            })?;
            vec![known]
        };
        let keys = objects
            .iter()
            .flat_map(|object| {
                catalogue::keys(object)
                    .iter()
                    .map(|key| shown::key(object, key))
            })
            .collect();
        Ok(Response::new(wire::DescribeSettingsResponse { keys }))
    }

    async fn rotate_signing_key(
        &self,
        request: Request<wire::RotateSigningKeyRequest>,
    ) -> Result<Response<wire::RotateSigningKeyResponse>, Status> {
        let tenant = self.tenant(&request, &request.get_ref().tenant).await?;
        let grace = request.get_ref().grace_seconds.clamp(0, LONGEST_GRACE);
        let grace = Duration::from_secs(grace.unsigned_abs());
        let scope = self.shared.store.tenant(tenant.id);
        let rotated = scope.keys().rotate(grace).await;
        self.shared.caches().forget(Some(tenant.id));
        let key_id = rotated.map_err(failure::store)?;
        tracing::info!(tenant = %tenant.name, key_id, grace = grace.as_secs(), "the signing key was replaced");
        Ok(Response::new(wire::RotateSigningKeyResponse { key_id }))
    }
}

fn changes(asked: Vec<wire::SettingChange>) -> Vec<Change> {
    asked
        .into_iter()
        .map(|change| Change {
            object: change.object,
            key: change.key,
            value: (!change.remove).then_some(change.value),
        })
        .collect()
}

/// What can be used as a policy and is surely not meant, by the key and the line that it stands in.
async fn suspicions(config: Config) -> Result<Vec<Problem>, Status> {
    beside(move || {
        let set = config.rbac();
        let problem = |found: rbac::Problem| Problem {
            object: Object::Rbac.name().to_owned(),
            key: match set.place(usize::try_from(found.line).unwrap_or(usize::MAX)) {
                (key, 0) => key.to_owned(),
                (key, line) => format!("{key}:{line}"),
            },
            message: found.message,
        };
        set.problems().into_iter().map(problem).collect()
    })
    .await
}

/// Every problem, one after the other: a status has one line.
fn refusal(problems: &[Problem]) -> Status {
    let lines: Vec<String> = problems
        .iter()
        .map(|problem| problem.message.render(language::current()))
        .collect();
    Status::invalid_argument(lines.join("; "))
}
