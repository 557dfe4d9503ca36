//! Tests against a real Redis of their own.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::time::{Duration, Instant};

use cache::{Cache, Unusable};
use domain::secret::Secret;
use domain::tenant::TenantId;
use testkit::certs::Authority;
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
        Cache::connect(&self.redis.url, None, prefix).unwrap()
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

impl World {
    /// The names of all entries.
    async fn names(&self) -> Vec<String> {
        let redis::Value::Array(names) = self.command(redis::cmd("KEYS").arg("*")).await else {
            panic!("no list of keys")
        };
        names
            .into_iter()
            .map(|name| redis::from_redis_value(name).unwrap())
            .collect()
    }

    /// The name of a tenant's only entry.
    async fn name(&self, id: TenantId) -> String {
        let names = self.names().await;
        let mut own = names.iter().filter(|name| name.contains(&id.to_string()));
        let name = own.next().unwrap().clone();
        assert_eq!(own.next(), None, "one entry");
        name
    }

    async fn bytes(&self, name: &str) -> Vec<u8> {
        let redis::Value::BulkString(bytes) = self.command(redis::cmd("GET").arg(name)).await
        else {
            panic!("{name} holds no text")
        };
        bytes
    }
}

#[tokio::test]
async fn s12_an_entry_is_its_tenants_alone() {
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
    assert_eq!(cache.get(b, &a_key, "manifests", "k").await, None);
    for name in world.names().await {
        let sealed = world.bytes(&name).await;
        assert!(!sealed.windows(2).any(|part| part == b"'s"), "{name}");
    }
    world.end().await;
}

#[tokio::test]
async fn s12_an_entry_that_was_changed_in_any_bit_is_a_miss() {
    let world = World::new().await;
    let cache = world.cache("t:");
    let (a, key) = tenant(1);
    cache.put(a, &key, "manifests", "k", b"a's", HOUR).await;
    let name = world.name(a).await;
    let sealed = world.bytes(&name).await;
    let set = async |bytes: &[u8]| {
        let set = redis::cmd("SET").arg(&name).arg(bytes).clone();
        world.command(&set).await;
        cache.get(a, &key, "manifests", "k").await
    };
    for bit in 0..sealed.len() * 8 {
        let mut bent = sealed.clone();
        bent[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(set(&bent).await, None, "bit {bit}");
    }
    for length in 0..sealed.len() {
        assert_eq!(set(&sealed[..length]).await, None, "cut to {length}");
    }
    let mut longer = sealed.clone();
    longer.push(0);
    assert_eq!(set(&longer).await, None);
    assert_eq!(set(b"x").await, None);
    assert_eq!(
        set(&sealed).await.as_deref(),
        Some(b"a's".as_slice()),
        "as it was it is read"
    );
    world.command(redis::cmd("DEL").arg(&name)).await;
    world.command(redis::cmd("LPUSH").arg(&name).arg("x")).await;
    assert_eq!(
        cache.get(a, &key, "manifests", "k").await,
        None,
        "an entry of another type is a miss"
    );
    world.end().await;
}

#[tokio::test]
async fn s12_an_entry_replayed_from_another_tenant_is_a_miss() {
    let world = World::new().await;
    let cache = world.cache("t:");
    let ((a, a_key), (b, b_key)) = (tenant(1), tenant(2));
    cache.put(a, &a_key, "manifests", "k", b"a's", HOUR).await;
    cache.put(b, &b_key, "manifests", "k", b"b's", HOUR).await;
    let (from, to) = (world.name(a).await, world.name(b).await);
    world
        .command(redis::cmd("COPY").arg(from).arg(to).arg("REPLACE"))
        .await;
    assert_eq!(cache.get(b, &b_key, "manifests", "k").await, None);
    assert_eq!(
        cache.get(b, &a_key, "manifests", "k").await,
        None,
        "not even under the key that sealed it"
    );
    world.end().await;
}

/// What a render depends on besides its content (policy, parameters, who is impersonated) is in the key; an entry of one
/// key is worth nothing at another.
#[tokio::test]
async fn s12_an_entry_replayed_under_other_parameters_is_a_miss() {
    let world = World::new().await;
    let (a, key) = tenant(1);
    let cache = world.cache("t:");
    let put = async |cache: &Cache, kind: &str, name: &str| {
        let before = world.names().await;
        cache.put(a, &key, kind, name, b"v", HOUR).await;
        let mut names = world.names().await;
        names.retain(|name| !before.contains(name));
        assert_eq!(names.len(), 1, "an entry of its own");
        names.remove(0)
    };
    let from = put(&cache, "manifests", "path=a,policy=strict").await;
    let other = world.cache("other:");
    for (cache, kind, name) in [
        (&cache, "manifests", "path=a,policy=lax"),
        (&cache, "manifests", "path=a,policy=strict,as=admin"),
        (&cache, "trees", "path=a,policy=strict"),
        (&other, "manifests", "path=a,policy=strict"),
    ] {
        assert_eq!(cache.get(a, &key, kind, name).await, None, "never put");
        let to = put(cache, kind, name).await;
        let copy = redis::cmd("COPY").arg(&from).arg(to).arg("REPLACE").clone();
        world.command(&copy).await;
        assert_eq!(cache.get(a, &key, kind, name).await, None, "{kind} {name}");
    }
    assert!(
        cache
            .get(a, &key, "manifests", "path=a,policy=strict")
            .await
            .is_some()
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

#[tokio::test]
async fn over_tls_entries_are_kept_by_a_redis_of_the_named_authority_alone() {
    let folder = tempfile::tempdir().unwrap();
    let authority = |name: &str| Authority::open(&folder.path().join(name)).unwrap();
    let (own, other) = (authority("own"), authority("other"));
    let mut ground = Ground::open(folder.path(), Progress::silent()).unwrap();
    let identity = own.server("redis", &["127.0.0.1"]).unwrap();
    let redis = Redis::start_over_tls(&mut ground, &identity).await.unwrap();
    let (a, key) = tenant(1);

    let ca = own.certificate();
    let trusting = Cache::connect(&redis.url, Some(ca.as_path()), "t:").unwrap();
    trusting.put(a, &key, "manifests", "k", b"a's", HOUR).await;
    let kept = trusting.get(a, &key, "manifests", "k").await;
    assert_eq!(kept.as_deref(), Some(b"a's".as_slice()));

    let (namesake, clear) = (
        other.certificate(),
        redis.url.replacen("rediss", "redis", 1),
    );
    // The same server by a name that its certificate does not have.
    let renamed = redis.url.replacen("127.0.0.1", "localhost", 1);
    for (url, authority) in [
        (&redis.url, Some(namesake.as_path())),
        (&redis.url, None),
        (&renamed, Some(ca.as_path())),
        (&clear, None),
    ] {
        let cache = Cache::connect(url, authority, "t:").unwrap();
        assert!(!cache.ping().await, "{authority:?}");
    }
    // Redis is there all the while.
    assert!(trusting.ping().await);
    testkit::ground::stop_all(&ground.supervisor).await.unwrap();
}

#[tokio::test]
async fn a_redis_whose_certificate_would_not_be_checked_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let own = Authority::open(&folder.path().join("own")).unwrap();
    let text = std::fs::read_to_string(own.certificate()).unwrap();
    let usable = file("usable.pem", &format!("# ours\n{text}"));
    // As it comes out of a document in which it was a block.
    let indented = text.lines().map(|line| format!("  {line}\n"));
    let cut_off: Vec<&str> = text.lines().take(3).collect();
    let files = [
        file("empty.pem", ""),
        file(
            "damaged.pem",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ),
        file("indented.pem", &indented.collect::<String>()),
        file("cut-off.pem", &cut_off.join("\n")),
    ];
    let connect = |url: &str, authority: Option<&std::path::Path>| {
        Cache::connect(url, authority, "t:").unwrap_err()
    };
    let (clear, tls) = ("redis://127.0.0.1:6379/0", "rediss://127.0.0.1:6379/0");
    let missing = folder.path().join("missing.pem");
    let unchecked = connect("rediss://127.0.0.1:6379/0#insecure", None);
    assert!(matches!(unchecked, Unusable::Unchecked), "{unchecked:?}");
    let in_clear = connect(clear, Some(&usable));
    assert!(matches!(in_clear, Unusable::InClear), "{in_clear:?}");
    let absent = connect(tls, Some(&missing));
    assert!(matches!(absent, Unusable::NoAuthority(_)), "{absent:?}");
    for file in &files {
        let none = connect(tls, Some(file.as_path()));
        assert!(matches!(none, Unusable::Authority(_)), "{none:?}");
    }
    assert!(Cache::connect(tls, Some(usable.as_path()), "t:").is_ok());
    // What is wrong with an address is said without its password.
    for url in [
        "rediss://:hunter2@127.0.0.1:6379/zero",
        "rediss://:hunter2@127.0.0.1:port/0",
        "rediss://:hunter2@127.0.0.1:6379/0#unchecked",
        "rediss://:hunter2@127.0.0.1:6379/0#insecure",
    ] {
        let refused = connect(url, None);
        let source = std::error::Error::source(&refused).map(ToString::to_string);
        let said = format!("{refused} {refused:?} {source:?}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}
