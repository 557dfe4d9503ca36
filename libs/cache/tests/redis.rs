//! Tests against a real Redis of their own.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::time::{Duration, Instant};

use cache::Cache;
use domain::secret::Secret;
use domain::tenant::TenantId;
use testkit::ground::Ground;
use testkit::progress::Progress;
use testkit::redis::Redis;
use testkit::wait;
use uuid::Uuid;

const HOUR: Duration = Duration::from_secs(3600);

struct World {
    ground: Ground,
    redis: Redis,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut ground = Ground::open(folder.path(), Progress::silent()).unwrap();
        let redis = Redis::start(&mut ground, None).await.unwrap();
        Self {
            ground,
            redis,
            _folder: folder,
        }
    }

    async fn end(self) {
        testkit::ground::stop_all(&self.ground.supervisor)
            .await
            .unwrap();
    }

    fn cache(&self, prefix: &str) -> Cache {
        Cache::connect(&self.redis.url, prefix).unwrap()
    }

    async fn command(&self, command: &redis::Cmd) -> redis::Value {
        let client = redis::Client::open(self.redis.url.as_str()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        command.query_async(&mut connection).await.unwrap()
    }
}

fn tenant(n: u128) -> (TenantId, Secret) {
    (
        TenantId(Uuid::from_u128(n)),
        Secret::new([u8::try_from(n).unwrap(); 32]),
    )
}

#[tokio::test]
async fn an_entry_is_its_tenants_alone_and_only_genuine() {
    let world = World::new().await;
    let cache = world.cache("t:");
    let ((a, a_key), (b, b_key)) = (tenant(1), tenant(2));
    cache.put(a, &a_key, "manifests", "k", b"a's", HOUR).await;
    cache.put(b, &b_key, "manifests", "k", b"b's", HOUR).await;
    assert_eq!(
        cache.get(a, &a_key, "manifests", "k").await.as_deref(),
        Some(b"a's".as_slice())
    );
    assert_eq!(
        cache.get(b, &b_key, "manifests", "k").await.as_deref(),
        Some(b"b's".as_slice())
    );
    assert_eq!(cache.get(a, &b_key, "manifests", "k").await, None);
    assert_eq!(cache.get(a, &a_key, "trees", "k").await, None);
    assert_eq!(
        world.cache("other:").get(a, &a_key, "manifests", "k").await,
        None
    );

    // Somebody with access to Redis puts a's entry in b's place, writes nonsense, and reads what is there.
    let redis::Value::Array(names) = world.command(redis::cmd("KEYS").arg("*")).await else {
        panic!()
    };
    let names: Vec<String> = names
        .into_iter()
        .map(|name| redis::from_redis_value(name).unwrap())
        .collect();
    let name = |id: TenantId| {
        names
            .iter()
            .find(|name| name.contains(&id.to_string()))
            .unwrap()
    };
    let redis::Value::BulkString(sealed) = world.command(redis::cmd("GET").arg(name(a))).await
    else {
        panic!()
    };
    assert!(!sealed.windows(3).any(|part| part == b"a's"));
    world
        .command(redis::cmd("COPY").arg(name(a)).arg(name(b)).arg("REPLACE"))
        .await;
    assert_eq!(cache.get(b, &b_key, "manifests", "k").await, None);
    assert_eq!(cache.get(b, &a_key, "manifests", "k").await, None);
    world.command(redis::cmd("SET").arg(name(a)).arg("x")).await;
    assert_eq!(cache.get(a, &a_key, "manifests", "k").await, None);
    world.command(redis::cmd("DEL").arg(name(a))).await;
    world
        .command(redis::cmd("LPUSH").arg(name(a)).arg("x"))
        .await;
    assert_eq!(
        cache.get(a, &a_key, "manifests", "k").await,
        None,
        "an entry of another type is a miss"
    );
    world.end().await;
}

#[tokio::test]
async fn entries_end_and_are_forgotten_under_their_prefix_only() {
    let world = World::new().await;
    let (a, key) = tenant(1);
    let (ours, theirs) = (world.cache("t[1]:"), world.cache("t1:"));
    for n in 0..2500 {
        ours.put(a, &key, "x", &n.to_string(), b"v", HOUR).await;
    }
    theirs.put(a, &key, "x", "k", b"v", HOUR).await;
    ours.forget_all().await;
    assert_eq!(ours.get(a, &key, "x", "1").await, None);
    assert!(theirs.get(a, &key, "x", "k").await.is_some());
    theirs.forget(a, "x", "k").await;
    assert_eq!(theirs.get(a, &key, "x", "k").await, None);
    ours.put(a, &key, "x", "short", b"v", Duration::from_millis(50))
        .await;
    wait::until_true("the entry to end", Duration::from_secs(5), || async {
        Ok(ours.get(a, &key, "x", "short").await.is_none())
    })
    .await
    .unwrap();
    world.end().await;
}

#[tokio::test]
async fn a_tenant_is_forgotten_whole_and_nobody_else_is() {
    let world = World::new().await;
    let (cache, other) = (world.cache("a:"), world.cache("b:"));
    let key = Secret::from("0123456789abcdef0123456789abcdef");
    let (a, b) = (TenantId(Uuid::from_u128(1)), TenantId(Uuid::from_u128(2)));
    for n in 0..30 {
        for (cache, tenant) in [(&cache, a), (&cache, b), (&other, a)] {
            let name = format!("k{n}");
            cache
                .put(tenant, &key, "manifests", &name, b"x", HOUR)
                .await;
        }
    }
    assert_eq!(cache.forget_tenant(a).await, Some(0));
    assert!(cache.get(a, &key, "manifests", "k7").await.is_none());
    assert!(cache.get(b, &key, "manifests", "k7").await.is_some());
    assert!(other.get(a, &key, "manifests", "k7").await.is_some());
    world.end().await;
}

#[tokio::test]
async fn without_redis_everything_is_a_quick_miss_until_it_is_back() {
    let mut world = World::new().await;
    let (a, key) = tenant(1);
    let cache = world.cache("t:");
    cache.put(a, &key, "x", "k", b"v", HOUR).await;
    assert!(cache.ping().await);
    world.ground.running("redis").unwrap().stop().await.unwrap();
    let begun = Instant::now();
    for _ in 0..100 {
        assert_eq!(cache.get(a, &key, "x", "k").await, None);
        cache.put(a, &key, "x", "k", b"v", HOUR).await;
    }
    assert!(
        begun.elapsed() < Duration::from_secs(3),
        "{:?}",
        begun.elapsed()
    );
    Redis::start(&mut world.ground, None).await.unwrap();
    wait::until_true(
        "the cache to work again",
        Duration::from_secs(10),
        || async {
            cache.put(a, &key, "x", "k", b"v", HOUR).await;
            Ok(cache.get(a, &key, "x", "k").await.is_some())
        },
    )
    .await
    .unwrap();
    world.end().await;
}
