//! Leases and heartbeats by the database's clock.

use std::time::Duration;

use domain::cluster::{Cluster, Login};
use domain::shard::Unit;
use store::{Controller, OpeningKeys, TenantScope, Verdict};
use testkit::wait;

use crate::World;

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_has_one_holder_and_its_fence_grows_with_each() {
    World::with(async |world| {
        let platform = world.controller.platform();
        let short = Duration::from_millis(300);
        let first = platform
            .acquire_lease("x", "a", short, Duration::ZERO)
            .await
            .unwrap()
            .unwrap();
        assert!(first.remaining() <= short);
        assert!(
            platform
                .acquire_lease("x", "b", MINUTE, Duration::ZERO)
                .await
                .unwrap()
                .is_none()
        );
        let kept = platform.renew_lease(&first, short).await.unwrap().unwrap();
        assert_eq!(kept.fence, first.fence);
        assert_eq!(
            platform
                .acquire_lease("x", "a", short, Duration::ZERO)
                .await
                .unwrap()
                .unwrap()
                .fence,
            first.fence
        );

        // It ends; a successor with a margin waits longer than one without.
        wait::until_true("the lease to end", Duration::from_secs(10), || async {
            Ok(platform.lease_owner("x").await?.is_none() && kept.remaining().is_zero())
        })
        .await
        .unwrap();
        assert!(
            platform
                .acquire_lease("x", "b", MINUTE, MINUTE)
                .await
                .unwrap()
                .is_none()
        );
        let second = wait::until("the successor", Duration::from_secs(10), || async {
            let taken = platform
                .acquire_lease("x", "b", MINUTE, Duration::ZERO)
                .await?;
            taken.ok_or_else(|| std::io::Error::other("not yet").into())
        })
        .await
        .unwrap();
        assert_eq!(second.fence, first.fence + 1);
        assert!(platform.renew_lease(&kept, MINUTE).await.unwrap().is_none());
        assert!(!platform.release_lease(&kept).await.unwrap());

        // Given up in good order, nobody waits.
        assert!(platform.release_lease(&second).await.unwrap());
        let third = platform
            .acquire_lease("x", "c", MINUTE, MINUTE)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(third.fence, second.fence + 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_finds_the_controller_that_holds_a_lease() {
    World::with(async |world| {
        let platform = world.controller.platform();
        let here = Controller {
            id: "c1".into(),
            address: "https://127.0.0.1:1".into(),
        };
        platform.heartbeat(&here).await.unwrap();
        platform.heartbeat(&here).await.unwrap();
        let lease = platform
            .acquire_lease("cluster/0", "c1", MINUTE, MINUTE)
            .await
            .unwrap()
            .unwrap();
        let api = world.api.platform();
        assert_eq!(
            api.lease_owner("cluster/0").await.unwrap().as_ref(),
            Some(&here)
        );
        assert_eq!(api.controllers(MINUTE).await.unwrap(), [here]);
        assert!(api.controllers(Duration::ZERO).await.unwrap().is_empty());
        // What the api needs not, it may not.
        assert!(
            api.acquire_lease("cluster/0", "api", MINUTE, MINUTE)
                .await
                .is_err()
        );
        assert!(api.publish(&[], "cluster/0", 1).await.unwrap().is_empty());
        platform.release_lease(&lease).await.unwrap();
        platform.retire_controller("c1").await.unwrap();
        assert_eq!(api.lease_owner("cluster/0").await.unwrap(), None);
    })
    .await;
}

/// Adds a cluster to a tenant.
async fn add(api: &TenantScope, server: &str, name: &str) -> Unit {
    let keys = OpeningKeys::from_base64(&OpeningKeys::generate()).unwrap();
    let cluster = Cluster {
        server: server.into(),
        name: name.into(),
        ..Cluster::default()
    };
    let clusters = api.clusters();
    let sealed = clusters
        .seal(&keys.sealing(), server, &Login::default())
        .unwrap();
    clusters.put(&cluster, Some(&sealed)).await.unwrap();
    Unit::of(api.tenant(), Some(&cluster))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_cluster_is_a_unit_with_a_lease_of_its_own() {
    World::with(async |world| {
        let platform = world.controller.platform();
        let scope = world.scope("user01").await;
        let far = add(&scope, "https://far.example", "far").await;
        add(&scope, "https://kubernetes.default.svc", "here").await;
        let units = || async {
            let mut units = platform.cluster_units(MINUTE).await.unwrap();
            units.sort();
            units
        };
        assert_eq!(units().await, [(Unit::Shared, None), (far.clone(), None)]);
        let shared = platform
            .acquire_lease(&Unit::Shared.item(), "a", MINUTE, MINUTE)
            .await
            .unwrap()
            .unwrap();
        let lease = platform
            .acquire_lease(&far.item(), "b", Duration::ZERO, MINUTE)
            .await
            .unwrap()
            .unwrap();
        let held = |unit: &Unit, by: &str| (unit.clone(), Some(by.to_owned()));
        let both = [held(&Unit::Shared, "a"), held(&far, "b")];
        assert_eq!(units().await, both, "within the margin it is its holder's");
        let free = platform.cluster_units(Duration::ZERO).await.unwrap();
        assert!(free.contains(&(far.clone(), None)));

        // A holder keeps what is its own in one statement, and hears of what is not.
        let foreign = store::Lease {
            fence: lease.fence + 1,
            ..lease.clone()
        };
        let renewed = platform
            .renew_leases("b", &[lease.clone(), foreign, shared], MINUTE)
            .await
            .unwrap();
        assert_eq!(renewed.len(), 1);
        assert_eq!(
            (&renewed[0].item, renewed[0].fence),
            (&lease.item, lease.fence)
        );
        assert!(renewed[0].remaining() > Duration::from_secs(30));
        assert!(
            platform
                .renew_leases("b", &[], MINUTE)
                .await
                .unwrap()
                .is_empty()
        );
        let again = platform.cluster_units(Duration::ZERO).await.unwrap();
        assert!(again.contains(&held(&far, "b")));

        // One that the tenant takes away is no work any more.
        scope
            .clusters()
            .delete("https://far.example")
            .await
            .unwrap();
        assert_eq!(units().await, [held(&Unit::Shared, "a")]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_is_one_holders_work_at_a_time() {
    World::with(async |world| {
        let platform = world.controller.platform();
        let scope = world.scope("user01").await;
        let tenant = scope.tenant();
        let seen = scope
            .applications()
            .create(&crate::app("hello", 1))
            .await
            .unwrap();
        let work = async || {
            let found = scope.applications().find_at_work("hello").await.unwrap();
            found.unwrap().1
        };
        let lease = async |item: &str, holder: &str| {
            let lease = platform
                .acquire_lease(item, holder, MINUTE, Duration::ZERO)
                .await;
            lease.unwrap().unwrap()
        };
        let (one, two) = (lease("one", "a").await, lease("two", "b").await);
        let publish = async |lease: &store::Lease, status| {
            let write = store::StatusWrite::status(tenant, &seen, status);
            let done = platform.publish(&[write], &lease.item, lease.fence).await;
            done.unwrap()[0].verdict
        };
        let status = |revision: &str| domain::status::Status {
            revisions: vec![revision.to_owned()],
            ..domain::status::Status::default()
        };
        let claim = async |lease: &store::Lease| {
            let term = (lease.item.as_str(), lease.fence);
            platform
                .claim_application(term, tenant, "hello", Duration::ZERO)
                .await
        };
        assert_eq!(work().await, None);
        assert_eq!(publish(&one, status("1")).await, Verdict::Written);
        assert_eq!(work().await.as_deref(), Some("one"));

        // Another's results are refused until the first one has let it go.
        assert!(!claim(&two).await.unwrap());
        assert_eq!(publish(&two, status("2")).await, Verdict::Superseded);
        let term = (one.item.as_str(), one.fence);
        let let_go = async || platform.release_application(term, tenant, "hello").await;
        assert!(let_go().await.unwrap());
        assert!(!let_go().await.unwrap(), "it is nobody's");
        assert!(claim(&two).await.unwrap());
        assert_eq!(publish(&one, status("3")).await, Verdict::Superseded);
        assert_eq!(publish(&two, status("3")).await, Verdict::Written);

        // One holder of both has nobody to wait for, nor has anybody for one who is gone.
        let three = lease("three", "b").await;
        assert!(claim(&three).await.unwrap());
        assert!(!claim(&one).await.unwrap());
        platform.release_lease(&three).await.unwrap();
        assert!(claim(&one).await.unwrap());
        let stale = claim(&three).await.unwrap_err();
        assert_eq!(stale.code(), store::Code::Stale);
    })
    .await;
}
