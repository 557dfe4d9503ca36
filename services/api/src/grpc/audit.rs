//! Reading the record of who did what: for a tenant's own administrators, and for the operator.

use std::sync::Arc;

use domain::clock::Timestamp;
use domain::message;
use futures::StreamExt;
use proto::naru::v1 as wire;
use proto::naru::v1::audit_service_server::AuditService;
use serde_json::{Value, json};
use store::TenantScope;
use store::audit::chain::Link;
use store::audit::{Filter, Recorded, Seal};
use tonic::{Code, Request, Response, Status};

use crate::failure::{self, say};
use crate::grpc::Parts;
use crate::identity;
use crate::permit::{self, Actor};
use crate::shared::Shared;

/// What a page has where nothing is asked, and the most it has.
const USUAL: i64 = 100;
const MOST: i64 = 1000;
/// The same, as entries are counted.
const MOST_AT_ONCE: usize = 1000;
/// The result of a call whose end is not known.
const UNFINISHED: &str = "unfinished";

/// The service.
pub(crate) struct Records {
    shared: Arc<Shared>,
}

impl Records {
    /// Serves with these means.
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::clone(shared),
        }
    }

    /// Whose record, if the caller may read it: it shows what everybody in the tenant did.
    async fn scope(&self, actor: &Actor, named: &str) -> Result<TenantScope, Status> {
        let tenant = permit::tenant_of(&self.shared, actor, named).await?;
        if tenant.id == actor.tenant.id {
            permit::require_administrator(actor)?;
        }
        Ok(self.shared.store.tenant(tenant.id))
    }
}

#[tonic::async_trait]
impl AuditService for Records {
    async fn query(
        &self,
        request: Request<wire::AuditQuery>,
    ) -> Result<Response<wire::AuditPage>, Status> {
        let actor = identity::actor(&request)?;
        let asked = request.into_inner();
        let scope = self.scope(&actor, &asked.tenant).await?;
        let limit = match asked.limit {
            ..=0 => USUAL,
            limit => limit.min(MOST),
        };
        let filter = filter(asked)?;
        let found = scope
            .audit()
            .query(&filter, limit)
            .await
            .map_err(failure::store)?;
        let whole = i64::try_from(found.len()).unwrap_or(i64::MAX) == limit;
        let next = found.last().filter(|_| whole).map(|last| last.id);
        Ok(Response::new(wire::AuditPage {
            items: found.into_iter().map(shown).collect(),
            next: next.map(|id| id.to_string()).unwrap_or_default(),
        }))
    }

    type ExportStream = Parts<wire::AuditLine>;

    async fn export(
        &self,
        request: Request<wire::AuditExportRequest>,
    ) -> Result<Response<Self::ExportStream>, Status> {
        let actor = identity::actor(&request)?;
        let scope = self.scope(&actor, &request.into_inner().tenant).await?;
        // A seal after the entries that it closes, then what no seal closes yet.
        let begin = Some((scope, 0_i64, i64::MIN));
        let pages =
            futures::stream::try_unfold(begin, |at: Option<(TenantScope, i64, i64)>| async move {
                let Some((scope, seq, after)) = at else {
                    return Ok::<_, Status>(None);
                };
                let audit = scope.audit();
                let seal = audit.seals(seq, 1).await.map_err(failure::store)?.pop();
                let up_to = seal.as_ref().map_or(i64::MAX, |seal| seal.to_id);
                let entries = audit
                    .links(after, up_to, MOST)
                    .await
                    .map_err(failure::store)?;
                let mut lines: Vec<Value> = entries.iter().map(entry_line).collect();
                let next = match (&seal, entries.last()) {
                    // A page of what is not sealed, or of what somebody put in between.
                    (_, Some(last)) if entries.len() == MOST_AT_ONCE && last.id < up_to => {
                        Some((seq, last.id))
                    }
                    (Some(seal), _) => {
                        lines.push(seal_line(seal));
                        Some((seal.seq, seal.to_id))
                    }
                    (None, _) => None,
                };
                let next = next.map(|(seq, after)| (scope.clone(), seq, after));
                Ok(Some((lines, next)))
            });
        let lines = pages.flat_map(|page| {
            let lines: Vec<Result<wire::AuditLine, Status>> = match page {
                Ok(lines) => lines
                    .into_iter()
                    .map(|line| {
                        Ok(wire::AuditLine {
                            line: line.to_string(),
                        })
                    })
                    .collect(),
                Err(status) => vec![Err(status)],
            };
            futures::stream::iter(lines)
        });
        Ok(Response::new(Box::pin(lines)))
    }

    async fn verify(
        &self,
        request: Request<wire::AuditVerifyRequest>,
    ) -> Result<Response<wire::AuditVerification>, Status> {
        let actor = identity::actor(&request)?;
        let asked = request.into_inner();
        let scope = self.scope(&actor, &asked.tenant).await?;
        let known = (asked.known_seal > 0).then_some((asked.known_seal, asked.known_hash.as_str()));
        let found = scope.audit().verify(known).await.map_err(failure::store)?;
        let (last_seal, last_hash) = found.last.unwrap_or_default();
        let broken = found.broken.as_ref();
        Ok(Response::new(wire::AuditVerification {
            intact: broken.is_none(),
            seals: found.seals,
            entries: found.entries,
            unsealed: found.unsealed,
            last_seal,
            last_hash,
            broken_seal: broken.map_or(0, |broken| broken.seq),
            broken_entry: broken.and_then(|broken| broken.id).unwrap_or_default(),
            broken_why: broken
                .map(|broken| broken.why.as_str().to_owned())
                .unwrap_or_default(),
        }))
    }
}

fn filter(asked: wire::AuditQuery) -> Result<Filter, Status> {
    let given = |text: String| Some(text).filter(|text| !text.is_empty());
    let time = |field: &str, text: String| match given(text) {
        None => Ok(None),
        Some(text) => match chrono::DateTime::parse_from_rfc3339(&text) {
            Ok(time) => Ok(Some(time.with_timezone(&chrono::Utc))),
            Err(_) => Err(not_understood(field, &text)),
        },
    };
    let before = match given(asked.cursor) {
        None => None,
        Some(cursor) => Some(
            cursor
                .parse()
                .map_err(|_| not_understood("cursor", &cursor))?,
        ),
    };
    Ok(Filter {
        from: time("from", asked.from)?,
        until: time("until", asked.until)?,
        actor: given(asked.actor),
        action: given(asked.action),
        object: given(asked.object),
        result: given(asked.result).map(|result| match result.as_str() {
            UNFINISHED => String::new(),
            _ => result,
        }),
        before,
    })
}

fn not_understood(field: &str, value: &str) -> Status {
    say(
        Code::InvalidArgument,
        &message::tenant::QUERY_INVALID
            .with("field", field)
            .with("value", value),
    )
}

fn written(time: Timestamp) -> String {
    time.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
}

fn shown(call: Recorded) -> wire::AuditEntry {
    let Recorded {
        id,
        at,
        ended_at,
        entry,
        outcome,
    } = call;
    let particulars = |value: &Value| value.as_object().is_some_and(|fields| !fields.is_empty());
    let details = if particulars(&outcome) {
        outcome
    } else {
        entry.details
    };
    wire::AuditEntry {
        id,
        at: written(at),
        ended_at: ended_at.map(written).unwrap_or_default(),
        actor: entry.actor,
        actor_kind: entry.actor_kind,
        action: entry.action,
        object: entry.object,
        source: entry.source,
        result: if entry.result.is_empty() {
            UNFINISHED.to_owned()
        } else {
            entry.result
        },
        request_id: entry.request_id,
        details: if particulars(&details) {
            details.to_string()
        } else {
            String::new()
        },
    }
}

fn entry_line(link: &Link) -> Value {
    json!({"entry": {
        "id": link.id, "at": link.at, "about": link.about, "actor": link.actor, "actorKind": link.actor_kind,
        "action": link.action, "object": link.object, "source": link.source, "result": link.result,
        "requestId": link.request_id, "details": link.details,
    }})
}

fn seal_line(seal: &Seal) -> Value {
    json!({"seal": {
        "seq": seal.seq, "fromId": seal.from_id, "toId": seal.to_id, "count": seal.count,
        "digests": hex::encode(&seal.digests), "hash": hex::encode(&seal.hash), "previous": hex::encode(&seal.previous),
        "sealedAt": written(seal.sealed_at),
    }})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_that_is_not_understood_is_refused_by_its_field() {
        let bad = wire::AuditQuery {
            from: "yesterday".into(),
            ..Default::default()
        };
        let refused = filter(bad).unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().contains("from"));
        let good = wire::AuditQuery {
            from: "2026-01-01T00:00:00Z".into(),
            result: UNFINISHED.into(),
            cursor: "7".into(),
            ..Default::default()
        };
        let good = filter(good).unwrap();
        assert_eq!(good.result.as_deref(), Some(""));
        assert_eq!((good.before, good.actor), (Some(7), None));
        assert!(good.from.is_some());
    }
}
