//! From a kubeconfig, or the pod we run in, to a [`Cluster`].

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use domain::clock::{Clock, Timestamp};
use domain::cluster::Login;
use domain::egress::Egress;
use http::header::{HeaderName, HeaderValue, USER_AGENT};
use kube::config::{KubeConfigOptions, Kubeconfig};
use tokio::sync::watch;

use crate::account::Account;
use crate::added::{Refused, redactor_of};
use crate::budget::Budget;
use crate::discovery::{ApiKind, Discoverer, Discovery};
use crate::error::Error;
use crate::gate::WriteGate;
use crate::index::{Index, Keeper, Watched};
use crate::resolver::Resolver;
use crate::schemas::Schemas;
use crate::transport::{Identity, Limits, Transport, Way};

/// How to reach a cluster.
pub struct ConnectOptions {
    /// What people call it (`in-cluster`).
    pub name: String,
    /// The kubeconfig file; without one, the service account of the pod that this runs in.
    pub kubeconfig: Option<PathBuf>,
    /// The context of that file; its current one when absent.
    pub context: Option<String>,
    /// How this process deals with it.
    pub terms: Terms,
}

/// How this process deals with a cluster, whichever it is.
#[derive(Clone)]
pub struct Terms {
    /// The longest that a read may take.
    pub request_timeout: Duration,
    /// The longest that a write may take; must be below the margin that the lease's holder keeps.
    pub write_timeout: Duration,
    /// Whether this process may write.
    pub gate: Arc<dyn WriteGate>,
    /// Keys the fingerprints, so that they say nothing about contents to others. The same key gives the same
    /// fingerprints after a restart.
    pub fingerprint_key: [u8; 32],
    /// For [`Connection::since`].
    pub clock: Arc<dyn Clock>,
}

/// Whether the cluster answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Whether it answered when last asked. Before the first answer, no.
    pub reachable: bool,
    /// What went wrong; empty while reachable.
    pub message: String,
    /// Since when it is so.
    pub since: Timestamp,
    /// Whether it has answered before, and then did not: the watches begin anew after that, and what is known is behind until
    /// they have.
    pub broken: bool,
}

/// One Kubernetes cluster. Clones are handles to the same one.
#[derive(Clone)]
pub struct Cluster {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) name: String,
    pub(crate) server: String,
    pub(crate) transport: Transport,
    pub(crate) discoverer: Discoverer,
    pub(crate) schemas: Schemas,
    pub(crate) index: Index,
    pub(crate) keeper: tokio::sync::Mutex<Keeper>,
    pub(crate) connection: watch::Sender<Connection>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) watched: Watched,
    gate: Arc<dyn WriteGate>,
    added: bool,
}

impl Cluster {
    /// Reads the configuration. Nothing is sent: a cluster that is down is found out by [`Cluster::run`].
    ///
    /// # Errors
    /// [`Error::Configuration`] when the kubeconfig or the pod's service account cannot be used.
    pub async fn connect(options: ConnectOptions) -> Result<Self, Error> {
        let config = configuration(&options).await?;
        let server = config.cluster_url.to_string();
        let gate = Arc::clone(&options.terms.gate);
        let way = Way {
            client: crate::gated::client(&config, Resolver::default(), gate)?,
            redactor: None,
        };
        let everything = Watched::default();
        Ok(Self::new(
            &options.name,
            &server,
            way,
            everything,
            options.terms,
        ))
    }

    /// A cluster that a tenant has added, reached with what the tenant gave, and only where `egress` allows. Nothing is
    /// sent. What it says is a stranger's word: it is bounded, also by the budget that it shares with others, and holds nothing
    /// that it was told.
    ///
    /// # Errors
    /// When a certificate, a key or the address is none, or the address is not allowed.
    pub fn added(
        added: &domain::cluster::Cluster,
        login: &Login,
        egress: &Arc<Egress>,
        budget: &Arc<Budget>,
        terms: Terms,
    ) -> Result<Self, Refused> {
        let way = way_into(&added.server, login, egress, &terms.gate)?;
        let watched = Watched::of(added, budget);
        Ok(Self::new(&added.name, &added.server, way, watched, terms))
    }

    /// Goes on with other credentials of the same cluster, without a gap: open watches stay open, and what was refused is tried
    /// again.
    ///
    /// # Errors
    /// As [`Cluster::added`]; those in use stay then.
    pub fn log_in_with(&self, login: &Login, egress: &Arc<Egress>) -> Result<(), Refused> {
        let way = way_into(self.server(), login, egress, &self.inner.gate)?;
        self.inner.transport.replace(way);
        // What the others might not see these may.
        self.inner.discoverer.tell();
        Ok(())
    }

    fn new(name: &str, server: &str, way: Way, watched: Watched, terms: Terms) -> Self {
        let added = way.redactor.is_some();
        let limits = Limits {
            read: terms.request_timeout,
            write: terms.write_timeout,
            answer: watched.largest_answer,
        };
        let transport = Transport::new(way, name, limits, Arc::clone(&terms.gate));
        let (index, keeper) = crate::index::create(terms.fingerprint_key, &watched);
        let since = terms.clock.now();
        let (connection, _) = watch::channel(Connection {
            reachable: false,
            message: String::new(),
            since,
            broken: false,
        });
        Self {
            inner: Arc::new(Inner {
                name: name.to_owned(),
                server: server.trim_end_matches('/').to_owned(),
                discoverer: Discoverer::new(transport.clone()),
                schemas: Schemas::new(transport.clone()),
                transport,
                index,
                keeper: tokio::sync::Mutex::new(keeper),
                connection,
                clock: terms.clock,
                watched,
                gate: terms.gate,
                added,
            }),
        }
    }

    /// Keeps kinds, index and connection state true until it is dropped; never ends by itself. Run it once: a second
    /// one waits for the first to be dropped.
    pub async fn run(self) {
        crate::index::run(self).await;
    }

    /// What people call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Its address, as configured.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.inner.server
    }

    /// Whether a tenant has added it: it is reached with what that tenant gave.
    #[must_use]
    pub fn is_added(&self) -> bool {
        self.inner.added
    }

    /// Whether it answers, and changes of that.
    #[must_use]
    pub fn connection(&self) -> watch::Receiver<Connection> {
        self.inner.connection.subscribe()
    }

    /// What lives in it.
    #[must_use]
    pub fn index(&self) -> &Index {
        &self.inner.index
    }

    /// Ends when every kind has been listed once.
    pub async fn ready(&self) {
        self.inner.index.ready().await;
    }

    /// The kinds it has, as last asked. Empty before the first answer.
    #[must_use]
    pub fn discovery(&self) -> Arc<Discovery> {
        self.inner.discoverer.current()
    }

    /// Asks for its kinds anew, and once for all who ask at the same time.
    ///
    /// # Errors
    /// When the cluster does not answer.
    pub async fn refresh_discovery(&self) -> Result<Arc<Discovery>, Error> {
        let fresh = self.inner.discoverer.refresh().await?;
        self.inner.schemas.expire();
        Ok(fresh)
    }

    /// A kind, in the version named or else in the preferred one; asks the cluster again when it is not known.
    ///
    /// # Errors
    /// [`Error::UnknownKind`] when the cluster has no such kind, or when it does not answer.
    pub async fn resolve(
        &self,
        group: &str,
        version: Option<&str>,
        kind: &str,
    ) -> Result<ApiKind, Error> {
        if let Some(known) = self.discovery().resolve(group, version, kind) {
            return Ok(known.clone());
        }
        let fresh = self.inner.discoverer.refresh_unless_recent().await?;
        self.inner.schemas.expire();
        fresh.resolve(group, version, kind).cloned().ok_or_else(|| {
            let version = version.map_or_else(
                || group.to_owned(),
                |version| match group {
                    "" => version.to_owned(),
                    group => format!("{group}/{version}"),
                },
            );
            Error::UnknownKind {
                version,
                kind: kind.to_owned(),
            }
        })
    }

    /// The field trees of these groups and versions (`("apps", "v1")`), and of all that were loaded before. Only
    /// what changed since is asked for. Versions that the cluster does not have are absent from the answer.
    ///
    /// # Errors
    /// When the cluster does not answer and nothing is cached.
    pub async fn schemas(
        &self,
        wanted: &[(String, String)],
    ) -> Result<Arc<domain::schema::SchemaSet>, Error> {
        self.inner.schemas.load(wanted).await
    }

    /// Requests as a service account, on the shared connections. In a cluster that a tenant has added whether that may be is
    /// for the credentials to say that it gave.
    ///
    /// # Errors
    /// When the names are no names.
    pub fn as_account(&self, namespace: &str, service_account: &str) -> Result<Account, Error> {
        let identity = Identity::service_account(namespace, service_account)?;
        Ok(Account::new(self.clone(), identity))
    }

    /// Requests as whoever the credentials are of. On the platform's cluster that is Naru itself, and never for anything
    /// that a tenant's input causes; on one that a tenant has added it is whom the tenant gave.
    #[must_use]
    pub fn as_platform(&self) -> Account {
        Account::new(self.clone(), Identity::default())
    }

    pub(crate) fn set_connection(&self, failure: Option<String>) {
        let now = self.inner.clock.now();
        let message = failure.clone().unwrap_or_default();
        self.inner.connection.send_if_modified(|state| {
            if state.reachable == failure.is_none() && state.message == message {
                return false;
            }
            if state.reachable == failure.is_some() {
                tracing::info!(cluster = %self.inner.name, reachable = failure.is_none(), %message, "cluster connection");
                state.since = now;
                state.broken |= state.reachable;
            }
            state.reachable = failure.is_none();
            state.message.clone_from(&message);
            true
        });
    }
}

/// The connections into a cluster that a tenant has added.
fn way_into(
    server: &str,
    login: &Login,
    egress: &Arc<Egress>,
    gate: &Arc<dyn WriteGate>,
) -> Result<Way, Refused> {
    let redactor = redactor_of(login);
    let mut config = crate::added::configuration(server, login, egress)?;
    config.headers.push(user_agent());
    let client = crate::gated::client(&config, Resolver::within(egress), Arc::clone(gate))
        .map_err(|error| Refused::Said(redactor.redact(&error.to_string())))?;
    Ok(Way {
        client,
        redactor: Some(redactor),
    })
}

fn user_agent() -> (HeaderName, HeaderValue) {
    (USER_AGENT, HeaderValue::from_static("naru-controller"))
}

async fn configuration(options: &ConnectOptions) -> Result<kube::Config, Error> {
    // Somebody else may have chosen the same provider before; there is only one in this build.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let broken = |error: &dyn std::fmt::Display| Error::Configuration(error.to_string());
    let mut config = match &options.kubeconfig {
        Some(path) => {
            let path = path.clone();
            let read = tokio::task::spawn_blocking(move || Kubeconfig::read_from(path)).await;
            let kubeconfig = read
                .map_err(|error| broken(&error))?
                .map_err(|error| broken(&error))?;
            let chosen = KubeConfigOptions {
                context: options.context.clone(),
                ..KubeConfigOptions::default()
            };
            kube::Config::from_custom_kubeconfig(kubeconfig, &chosen)
                .await
                .map_err(|error| broken(&error))?
        }
        None => kube::Config::incluster().map_err(|error| broken(&error))?,
    };
    config.headers.push(user_agent());
    Ok(config)
}

#[cfg(test)]
mod tests {
    use domain::cluster::Cluster as Added;
    use domain::resource::GroupKind;
    use domain::secret::Secret;
    use serde_json::{Value, json};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;

    use super::*;
    use crate::gate::AlwaysMayWrite;

    struct Clockwork;

    impl Clock for Clockwork {
        fn now(&self) -> Timestamp {
            chrono::DateTime::UNIX_EPOCH
        }
    }

    /// A server that repeats what it is let in with, in all that is passed on of an answer.
    #[expect(clippy::disallowed_methods, reason = "lives as long as the test")]
    async fn echo() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut asked = vec![0; 8192];
                let read = stream.read(&mut asked).await.unwrap();
                let asked = String::from_utf8_lossy(&asked[..read]).into_owned();
                let mut words = asked.lines().filter_map(|line| line.split_once("Basic "));
                let told = words.next().map_or("nothing", |(_, told)| told);
                let status = match asked.starts_with("GET /refused") {
                    true => "403 Forbidden",
                    false => "200 OK",
                };
                let body = json!({"reason": told, "message": format!("no {told}"),
                    "details": {"causes": [{"reason": told, "message": told, "field": told}]}})
                .to_string();
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status}\r\nWarning: 299 - \"{told}\"\r\nConnection: close\r\n\
                     Content-Length: {length}\r\n\r\n{body}"
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        server
    }

    /// What a server says.
    enum Said {
        /// With this code, and then it is done.
        Once(u16, Value),
        /// That all is well, and no more.
        Nothing,
        /// These lines, and it goes on.
        Watch(Vec<Value>),
        /// These lines, and it hangs up.
        Ends(Vec<Value>),
    }

    /// A server that says of each path what `say` does. What it says of itself and of the core group goes without.
    #[expect(clippy::disallowed_methods, reason = "lives as long as the test")]
    async fn serve(mut say: impl FnMut(&str) -> Said + Send + 'static) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            // Watches go on.
            let mut open = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut asked = vec![0; 8192];
                let read = stream.read(&mut asked).await.unwrap();
                let asked = String::from_utf8_lossy(&asked[..read]).into_owned();
                let said = match asked.split(' ').nth(1).unwrap_or_default() {
                    "/version" => {
                        let version = json!({"major": "1", "minor": "36", "gitVersion": "v1.36.0"});
                        Said::Once(200, version)
                    }
                    "/api" => Said::Once(200, json!({"items": []})),
                    path => say(path),
                };
                let answer = match &said {
                    Said::Once(status, body) => {
                        let body = body.to_string();
                        let length = body.len();
                        format!(
                            "HTTP/1.1 {status} Said\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
                        )
                    }
                    Said::Nothing => {
                        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
                            .to_owned()
                    }
                    Said::Watch(lines) | Said::Ends(lines) => {
                        let mut answer = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_owned();
                        for line in lines {
                            answer.push_str(&line.to_string());
                            answer.push('\n');
                        }
                        answer
                    }
                };
                stream.write_all(answer.as_bytes()).await.unwrap();
                if matches!(said, Said::Watch(_)) {
                    open.push(stream);
                }
            }
        });
        server
    }

    /// What discovery says of a version that has these kinds.
    fn version(name: &str, kinds: &[(&str, &str)]) -> Value {
        let kinds = kinds.iter().map(|(resource, kind)| {
            json!({"resource": resource, "responseKind": {"kind": kind},
                "scope": "Namespaced", "verbs": ["list", "watch"]})
        });
        json!({"version": name, "resources": kinds.collect::<Vec<_>>()})
    }

    fn group(versions: &[Value]) -> Value {
        json!({"items": [{"metadata": {"name": "example.com"}, "versions": versions}]})
    }

    fn refused(code: u16) -> Said {
        Said::Once(code, json!({"kind": "Status", "code": code}))
    }

    /// The end of a listing.
    fn all_named() -> Value {
        json!({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "5",
            "annotations": {"k8s.io/initial-events-end": "true"}}}})
    }

    /// A server that lists its one kind from the second time on that it is asked.
    async fn late() -> String {
        let mut groups = json!({"items": []});
        serve(move |path| match path {
            "/apis" => {
                let then = group(&[version("v1", &[("lamps", "Lamp")])]);
                Said::Once(200, std::mem::replace(&mut groups, then))
            }
            _ => refused(404),
        })
        .await
    }

    /// A server that lists one of its two kinds and refuses the other one, however often that is asked for; it tells each time.
    async fn partial(asked: mpsc::UnboundedSender<()>) -> String {
        serve(move |path| match path {
            "/apis" => {
                let kinds = [("lamps", "Lamp"), ("bulbs", "Bulb")];
                Said::Once(200, group(&[version("v1", &kinds)]))
            }
            lamps if lamps.starts_with("/apis/example.com/v1/lamps") => {
                Said::Watch(vec![all_named()])
            }
            bulbs if bulbs.starts_with("/apis/example.com/v1/bulbs") => {
                let _ = asked.send(());
                refused(403)
            }
            _ => refused(404),
        })
        .await
    }

    /// A server that lists one object of its one kind, and from the second time on that it is asked prefers another version, which
    /// it refuses once; it tells when that is asked for again.
    async fn turning(again: mpsc::UnboundedSender<()>) -> String {
        let lamp = || {
            json!({"type": "ADDED", "object": {"metadata":
                {"name": "desk", "namespace": "web", "uid": "u", "resourceVersion": "4"}}})
        };
        let (mut asked, mut refusals) = (0, 0);
        serve(move |path| match path {
            "/apis" => {
                asked += 1;
                let versions = ["v2", "v1"].map(|name| version(name, &[("lamps", "Lamp")]));
                let known = if asked == 1 {
                    &versions[1..]
                } else {
                    &versions[..]
                };
                Said::Once(200, group(known))
            }
            older if older.starts_with("/apis/example.com/v1/lamps") => {
                Said::Watch(vec![lamp(), all_named()])
            }
            newer if newer.starts_with("/apis/example.com/v2/lamps") && refusals == 0 => {
                refusals += 1;
                refused(403)
            }
            newer if newer.starts_with("/apis/example.com/v2/lamps") => {
                let _ = again.send(());
                Said::Watch(vec![lamp(), all_named()])
            }
            _ => refused(404),
        })
        .await
    }

    fn login() -> Login {
        Login {
            username: "me".into(),
            password: Some(Secret::from("hunter2hunter2")),
            insecure: true,
            ..Login::default()
        }
    }

    fn egress() -> Arc<Egress> {
        Arc::new(Egress {
            allow: vec!["127.0.0.0/8".parse().unwrap()],
            ..Egress::default()
        })
    }

    fn strange(server: String) -> Cluster {
        let added = Added {
            server,
            name: "strange".into(),
            ..Added::default()
        };
        let terms = Terms {
            request_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(10),
            gate: Arc::new(AlwaysMayWrite),
            fingerprint_key: [7; 32],
            clock: Arc::new(Clockwork),
        };
        let budget = Budget::unbounded();
        Cluster::added(&added, &login(), &egress(), &budget, terms).unwrap()
    }

    #[tokio::test]
    async fn a_connection_is_broken_once_a_cluster_that_answered_does_not() {
        let cluster = strange("http://127.0.0.1:1".to_owned());
        let broken = || cluster.connection().borrow().broken;
        cluster.set_connection(Some("refused".into()));
        cluster.set_connection(None);
        assert!(!broken(), "it has never answered before");
        cluster.set_connection(Some("refused".into()));
        assert!(broken());
        cluster.set_connection(None);
        assert!(broken(), "it is back");
    }

    #[tokio::test]
    async fn a_kind_that_is_listed_late_is_found_though_nothing_happens_any_more() {
        let cluster = strange(late().await);
        let mut wakes = cluster.index().subscribe();
        let found = async {
            let lamp = || {
                cluster
                    .discovery()
                    .resolve("example.com", None, "Lamp")
                    .cloned()
            };
            while lamp().is_none() {
                wakes.next().await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(40), async {
            tokio::select! {
                () = cluster.clone().run() => {}
                () = found => {}
            }
        });
        assert!(in_time.await.is_ok());
    }

    #[tokio::test]
    async fn a_kind_that_credentials_lack_holds_back_no_cluster_that_lists_another() {
        let cluster = strange(partial(mpsc::unbounded_channel().0).await);
        let listed = async {
            cluster.ready().await;
            ["Lamp", "Bulb"].map(|kind| {
                let kind = GroupKind::new("example.com", kind);
                cluster.index().is_synced(&kind)
            })
        };
        // Where the rights might be new it would take five seconds at least.
        let listed = tokio::time::timeout(Duration::from_secs(4), async {
            tokio::select! {
                () = cluster.clone().run() => [false; 2],
                listed = listed => listed,
            }
        });
        assert_eq!(listed.await.unwrap(), [true, false]);
    }

    #[tokio::test]
    async fn a_kind_that_is_refused_once_more_is_no_news() {
        let (asked, mut asks) = mpsc::unbounded_channel();
        let cluster = strange(partial(asked).await);
        let told = async {
            cluster.ready().await;
            let mut wakes = cluster.index().subscribe();
            while asks.try_recv().is_ok() {}
            cluster.inner.discoverer.tell();
            asks.recv().await.unwrap();
            // Whatever is told of a new watch has been told before that asks.
            tokio::select! {
                biased;
                wake = wakes.next() => Some(wake),
                () = std::future::ready(()) => None,
            }
        };
        let told = tokio::time::timeout(Duration::from_secs(40), async {
            tokio::select! {
                () = cluster.clone().run() => None,
                told = told => told,
            }
        });
        assert_eq!(told.await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_kind_that_is_refused_in_another_version_for_a_moment_stays() {
        let (again, mut asked) = mpsc::unbounded_channel();
        let cluster = strange(turning(again).await);
        let lamps = GroupKind::new("example.com", "Lamp");
        let stays = async {
            cluster.ready().await;
            cluster.refresh_discovery().await.unwrap();
            asked.recv().await.unwrap();
            // It has been refused, and the answer to this is not there yet.
            cluster.index().of_kind(&lamps).len()
        };
        let stays = tokio::time::timeout(Duration::from_secs(40), async {
            tokio::select! {
                () = cluster.clone().run() => 0,
                stays = stays => stays,
            }
        });
        assert_eq!(stays.await.unwrap(), 1);
    }

    #[tokio::test]
    async fn whoever_finds_another_kind_has_it_watched() {
        let cluster = strange(late().await);
        let mut news = cluster.inner.discoverer.news();
        for (answer, told) in [("none", true), ("one", true), ("the same", false)] {
            let before = cluster.discovery();
            let now = cluster.refresh_discovery().await.unwrap();
            assert_eq!(news.has_changed().unwrap(), told, "{answer}");
            assert_eq!(Arc::ptr_eq(&before, &now), !told, "{answer}");
            assert!(Arc::ptr_eq(&cluster.discovery(), &now), "{answer}");
            news.mark_unchanged();
        }
    }

    #[tokio::test]
    async fn a_schema_that_has_changed_since_it_was_listed_is_read_as_it_is() {
        let say = |path: &str| match path {
            "/openapi/v3" => {
                let listed =
                    json!({"serverRelativeURL": "/openapi/v3/apis/example.com/v1?hash=FORMER"});
                Said::Once(200, json!({"paths": {"apis/example.com/v1": listed}}))
            }
            "/openapi/v3/apis/example.com/v1" => {
                let names = json!([{"group": "example.com", "version": "v1", "kind": "Lamp"}]);
                let lamp = json!({"type": "object", "x-kubernetes-group-version-kind": names});
                Said::Once(200, json!({"components": {"schemas": {"Lamp": lamp}}}))
            }
            // The address of what it is now, which a stranger might say is anywhere.
            _ => Said::Once(301, json!({})),
        };
        let cluster = strange(serve(say).await);
        let wanted = [("example.com".to_owned(), "v1".to_owned())];
        let schemas = cluster.schemas(&wanted).await.unwrap();
        assert!(schemas.root("example.com", "v1", "Lamp").is_some());
    }

    #[tokio::test]
    async fn a_schema_that_comes_back_empty_leaves_the_known_one() {
        let (tell, mut emptied) = mpsc::unbounded_channel();
        let mut listings = 0;
        let say = move |path: &str| match path {
            "/openapi/v3" => {
                listings += 1;
                let address = format!("/openapi/v3/apis/example.com/v1?hash={listings}");
                let listed = json!({"serverRelativeURL": address});
                Said::Once(200, json!({"paths": {"apis/example.com/v1": listed}}))
            }
            "/openapi/v3/apis/example.com/v1?hash=1" => {
                let names = json!([{"group": "example.com", "version": "v1", "kind": "Lamp"}]);
                let lamp = json!({"type": "object", "x-kubernetes-group-version-kind": names});
                Said::Once(200, json!({"components": {"schemas": {"Lamp": lamp}}}))
            }
            _ => {
                let _ = tell.send(());
                Said::Nothing
            }
        };
        let cluster = strange(serve(say).await);
        let wanted = [("example.com".to_owned(), "v1".to_owned())];
        cluster.schemas(&wanted).await.unwrap();
        // The list is fresh for a minute.
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(61)).await;
        tokio::time::resume();
        let schemas = cluster.schemas(&wanted).await.unwrap();
        assert!(emptied.try_recv().is_ok(), "it was asked for");
        assert!(schemas.root("example.com", "v1", "Lamp").is_some());
        let schemas = cluster.schemas(&wanted).await.unwrap();
        assert!(emptied.try_recv().is_err(), "not with every look");
        assert!(schemas.root("example.com", "v1", "Lamp").is_some());
    }

    #[tokio::test]
    async fn a_server_that_hangs_up_is_not_asked_in_a_tight_loop() {
        let hangs_up: fn() -> Said = || {
            let lamp = json!({"metadata":
                {"name": "desk", "namespace": "web", "uid": "u", "resourceVersion": "4"}});
            Said::Ends(vec![json!({"type": "ADDED", "object": lamp})])
        };
        // Neither as a stream nor by pages.
        let refuses: fn() -> Said = || refused(400);
        for say in [hangs_up, refuses] {
            let (tell, mut asked) = mpsc::unbounded_channel();
            let server = serve(move |path| match path {
                "/apis" => Said::Once(200, group(&[version("v1", &[("lamps", "Lamp")])])),
                lamps if lamps.starts_with("/apis/example.com/v1/lamps") => {
                    let _ = tell.send(());
                    say()
                }
                _ => refused(404),
            });
            let cluster = strange(server.await);
            let begun = std::time::Instant::now();
            let often = async {
                for _ in 0..5 {
                    asked.recv().await.unwrap();
                }
            };
            tokio::select! {
                () = cluster.clone().run() => {}
                () = often => {}
            }
            assert!(begun.elapsed() >= Duration::from_millis(1_400));
        }
    }

    #[tokio::test]
    async fn a_watch_goes_on_from_its_last_bookmark_and_lists_nothing_anew() {
        let (tell, mut asked) = mpsc::unbounded_channel();
        let server = serve(move |path| match path {
            "/apis" => Said::Once(200, group(&[version("v1", &[("lamps", "Lamp")])])),
            lamps if lamps.starts_with("/apis/example.com/v1/lamps") => {
                let _ = tell.send(lamps.to_owned());
                let later =
                    json!({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "9"}}});
                Said::Ends(vec![all_named(), later])
            }
            _ => refused(404),
        });
        let cluster = strange(server.await);
        let twice = async { (asked.recv().await.unwrap(), asked.recv().await.unwrap()) };
        let (first, then) = tokio::select! {
            () = cluster.clone().run() => panic!("it keeps nothing true any more"),
            both = twice => both,
        };
        assert!(first.contains("sendInitialEvents=true"), "{first}");
        assert!(first.contains("allowWatchBookmarks=true"), "{first}");
        assert!(then.contains("resourceVersion=9"), "{then}");
        assert!(!then.contains("sendInitialEvents"), "{then}");
    }

    /// A page of a listing, and where that goes on.
    fn page(more: &str, names: &[&str]) -> Said {
        let lamps = names.iter().map(|name| {
            json!({"metadata":
                {"name": name, "namespace": "web", "uid": name, "resourceVersion": "4"}})
        });
        let metadata = json!({"resourceVersion": "5", "continue": more});
        Said::Once(
            200,
            json!({"metadata": metadata, "items": lamps.collect::<Vec<_>>()}),
        )
    }

    #[tokio::test]
    async fn of_a_listing_by_pages_some_may_be_empty() {
        let server = serve(move |path| match path {
            "/apis" => Said::Once(200, group(&[version("v1", &[("lamps", "Lamp")])])),
            streamed if streamed.contains("sendInitialEvents") => refused(400),
            watched if watched.contains("watch=1") => Said::Watch(Vec::new()),
            third if third.contains("continue=third") => page("", &["desk"]),
            second if second.contains("continue=second") => page("third", &[]),
            first if first.starts_with("/apis/example.com/v1/lamps?") => page("second", &[]),
            _ => refused(404),
        });
        let cluster = strange(server.await);
        tokio::select! {
            () = cluster.clone().run() => {}
            () = cluster.index().ready() => {}
        }
        assert_eq!(cluster.index().len(), 1);
    }

    #[tokio::test]
    async fn a_listing_that_names_nothing_for_ever_begins_anew() {
        let (tell, mut begun) = mpsc::unbounded_channel();
        let server = serve(move |path| match path {
            "/apis" => Said::Once(200, group(&[version("v1", &[("lamps", "Lamp")])])),
            streamed if streamed.contains("sendInitialEvents") => refused(400),
            lamps if lamps.starts_with("/apis/example.com/v1/lamps?") => {
                if !lamps.contains("continue=") {
                    let _ = tell.send(());
                }
                page("on", &["desk"])
            }
            _ => refused(404),
        });
        let cluster = strange(server.await);
        let twice = async {
            for _ in 0..2 {
                begun.recv().await.unwrap();
            }
        };
        let often = tokio::time::timeout(Duration::from_secs(60), twice);
        tokio::select! {
            () = cluster.clone().run() => {}
            often = often => assert!(often.is_ok(), "it goes on for ever"),
        }
    }

    #[tokio::test]
    async fn a_list_that_says_for_ever_that_there_is_more_ends() {
        let page = |large: &str| json!({"metadata": {"continue": "on"}, "items": [{"x": large}]});
        for (large, pages) in [("", 200), (&*"x".repeat(2 << 20), 16)] {
            let answer = page(large);
            let listed = strange(
                serve(move |path| match path {
                    "/apis" => Said::Once(200, group(&[version("v1", &[("lamps", "Lamp")])])),
                    _ => Said::Once(200, answer.clone()),
                })
                .await,
            );
            let account = listed.as_platform();
            let lamps = account.list("example.com", "Lamp", "", "").await.unwrap();
            assert_eq!(lamps.len(), pages);
        }
    }

    #[tokio::test]
    async fn with_other_credentials_what_was_refused_is_tried_again() {
        let cluster = strange("http://127.0.0.1:1".to_owned());
        let news = cluster.inner.discoverer.news();
        cluster.log_in_with(&login(), &egress()).unwrap();
        assert!(news.has_changed().unwrap());
    }

    #[tokio::test]
    async fn what_a_strange_cluster_repeats_is_hidden() {
        let cluster = strange(echo().await);
        let transport = &cluster.inner.transport;
        let (nobody, accept) = (Identity::default(), "application/json");
        let refused = transport.get(&nobody, "/refused", accept).await;
        let refused = refused.err().unwrap();
        // "me:hunter2hunter2", as basic authentication says it.
        assert!(
            !format!("{refused:?}").contains("bWU6aHVudGVy"),
            "{refused:?}"
        );
        assert_eq!(refused.refusal().unwrap().message, "no ++++++++");
        let answer = transport.get(&nobody, "/", accept).await.unwrap();
        assert_eq!(answer.warnings, ["++++++++"]);
    }
}
