//! A folder that somebody sends, rendered in place of a repository. What it takes from elsewhere is only for those who may
//! read that.

use std::iter;

use bytes::Bytes;
use domain::message;
use domain::rbac::object;
use domain::repository::normalize_url;
use futures::stream::{self, Stream};
use proto::naru::internal::v1::{
    RenderLocalRequest, RenderRequest, RenderResponse, RepositoryAccess,
};
use tonic::{Code, Status};

use super::{MAX_ROUNDS, Order, Trouble, dependencies, request, ways_into};
use crate::failure;
use crate::permit::{self, Action, Actor, Resource};
use crate::shared::Shared;

/// How many bytes of an archive travel at once: a repo-server takes 8 MiB.
const CHUNK: usize = 1 << 20;

/// The manifests of a source whose repository's files are in an archive that the actor sends; the order's commit is not looked
/// at. The actor decides what is read, so whatever is not in the archive is asked for as the actor.
///
/// # Errors
/// Why there are none.
pub(crate) async fn render_local(
    shared: &Shared,
    actor: &Actor,
    access: &RepositoryAccess,
    order: Order<'_>,
    archive: Bytes,
) -> Result<RenderResponse, Status> {
    let tenant = &*actor.tenant;
    let project = order.project.to_owned();
    let app = format!("{project}/{}", order.app);
    let referred = order.references.iter();
    for way in referred.filter_map(|one| one.repository.as_ref()) {
        may_take(actor, &app, way)?;
    }
    let mut request = request(shared, tenant, access, order).await?;
    let _turn = shared.repo_servers.turn_to_send(&access.tenant).await;
    for _ in 0..MAX_ROUNDS {
        let asked = shared.repo_servers.ask(access, |mut client| {
            let parts = parts(request.clone(), archive.clone());
            async move { client.render_local(parts).await }
        });
        let answer = asked.await.map_err(|status| Trouble::of(&status))?;
        if answer.wanted.is_empty() && answer.needs.is_empty() {
            return Ok(answer);
        }
        let remotes = ways_into(shared, tenant, &project, &answer.wanted).await?;
        let charts = dependencies(shared, tenant, &project, answer.needs).await?;
        // Nothing is read where there is no way.
        let ways = charts.values().filter(|way| !way.url.is_empty());
        for way in remotes.iter().chain(ways) {
            may_take(actor, &app, way)?;
        }
        request.remotes.extend(remotes);
        request.dependencies.extend(charts);
    }
    Err(failure::internal())
}

/// Demands what lets an actor have files of a repository written into manifests: to see it, and where a login of the tenant's
/// opens it what lets bring manifests to the application.
fn may_take(actor: &Actor, app: &str, way: &RepositoryAccess) -> Result<(), Status> {
    let sees = |name: &str| permit::allows(actor, Resource::Repositories, Action::Get, name);
    let project = app.split('/').next().unwrap_or_default();
    let seen = match way.credential_scope.split_once('/') {
        None => sees(&way.url) || sees(&object(project, &way.url)),
        // A template's: no project is called so.
        Some(("*", _)) => sees(&normalize_url(&way.url)),
        Some((owner, connected)) => sees(&object(owner, connected)),
    };
    if !seen {
        let message = message::app::LOCAL_UNSEEN.message();
        return Err(failure::say(Code::PermissionDenied, &message));
    }
    let opened = !way.credential_scope.is_empty();
    if opened && !permit::allows(actor, Resource::Applications, Action::Override, app) {
        let message = message::app::LOCAL_OPENED.with("repository", &way.url);
        let message = message.with("application", app);
        return Err(failure::say(Code::PermissionDenied, &message));
    }
    Ok(())
}

/// What to render, and then the archive that it is in.
fn parts(
    source: RenderRequest,
    archive: Bytes,
) -> impl Stream<Item = RenderLocalRequest> + Send + 'static {
    let first = RenderLocalRequest {
        source: Some(source),
        chunk: Vec::new(),
    };
    let starts = (0..archive.len()).step_by(CHUNK);
    let chunks = starts.map(move |start| RenderLocalRequest {
        source: None,
        chunk: archive[start..archive.len().min(start + CHUNK)].to_vec(),
    });
    stream::iter(iter::once(first).chain(chunks))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use domain::rbac::{Enforcer, Policy};
    use futures::{FutureExt, StreamExt};

    use super::*;

    #[test]
    fn an_archive_travels_after_what_is_to_be_rendered_in_parts_that_are_taken() {
        let archive: Bytes = (0..=CHUNK).map(|n| n as u8).collect();
        let source = RenderRequest {
            app_name: "app".to_owned(),
            ..RenderRequest::default()
        };
        let sent: Vec<_> = parts(source.clone(), archive.clone())
            .collect::<Vec<_>>()
            .now_or_never()
            .unwrap();
        assert_eq!(sent[0].source, Some(source));
        assert!(sent[1..].iter().all(|part| part.source.is_none()));
        let sizes: Vec<usize> = sent.iter().map(|part| part.chunk.len()).collect();
        assert_eq!(sizes, [0, CHUNK, 1]);
        let chunks: Vec<&[u8]> = sent.iter().map(|part| &part.chunk[..]).collect();
        assert_eq!(chunks.concat(), archive);
    }

    #[test]
    fn what_is_not_in_the_folder_is_for_who_may_read_it() {
        let way = |scope: &str, url: &str| RepositoryAccess {
            credential_scope: scope.to_owned(),
            url: url.to_owned(),
            ..RepositoryAccess::default()
        };
        let taken = |policy: &str, way: &RepositoryAccess| {
            let policy = Policy::parse(policy, "", "", "").unwrap();
            let mut actor = permit::tests::actor("user01", "bob", false);
            actor.rights = Arc::new(Enforcer::compile(&policy, &[]).0);
            may_take(&actor, "default/app", way).map_err(|status| status.message().to_owned())
        };
        let (open, own) = (
            way("", "https://x/a"),
            way("/https://x/A.git", "https://x/a"),
        );
        let alias = way("team/https://x/secret", "https://x/secret");
        let get = "p, bob, applications, get, */*, allow\n";
        for way in [&open, &own, &alias] {
            let refused = taken(get, way).unwrap_err();
            assert!(refused.contains("repositories, get"), "{refused}");
            assert!(!refused.contains("https://"), "{refused}");
        }
        let sees = format!("{get}p, bob, repositories, get, *, allow\n");
        taken(&sees, &open).unwrap();
        for way in [&own, &alias, &way("*/https://x", "https://x/b")] {
            let refused = taken(&sees, way).unwrap_err();
            assert!(refused.contains("applications, override"), "{refused}");
        }
        let brings = format!("{sees}p, bob, applications, override, default/app, allow\n");
        taken(&brings, &own).unwrap();
        // As it is connected, however it is written.
        let all_but = format!("{brings}p, bob, repositories, get, https://x/A.git, deny\n");
        taken(&all_but, &own).unwrap_err();
    }
}
