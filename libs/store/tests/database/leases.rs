//! Leases and heartbeats by the database's clock.

use std::time::Duration;

use store::Controller;
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
