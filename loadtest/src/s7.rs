//! S7: two controllers share clusters, and one of them is killed.
//!
//! The clusters are the shared one and others that the tenant adds: all are the same apiserver, each added one at an address and
//! with a namespace of its own, so that each is a unit of work. Behind those addresses this program passes on what comes.
//!
//! t0 is just before kill -9. At t0 + 0.1 s somebody writes into an object of an application that the dead controller held, and a
//! commit is pushed that changes another application of the same cluster. Three times are taken from t0: until leases of the
//! other controller are seen in PostgreSQL for all that the dead one held, looked at every 25 ms; until a watch of the apiserver
//! shows the object as Git has it; until the application is reported Synced at the commit. The clusters take their turn, and
//! whoever holds the one whose turn it is is killed. Before the next kill the dead one is started again, the clusters are divided,
//! every application is compared by whoever has it now, and nothing is written for ten seconds.
//!
//! It ends with an error where two controllers wrote: a lease had another holder and no higher fence, something was written into the
//! cluster before its lease was another's, an object had another version than the drift, its repair and the commit's, or the
//! commit was synced more than once.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use clap::Args;
use reqwest::Method;
use serde_json::json;
use testkit::process::{Process, Spec, Supervisor};
use testkit::unruly::Unruly;
use testkit::{ports, services};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::client::{Client, IN_CLUSTER, each};
use crate::kube::Kube;
use crate::leases::Leases;
use crate::report::{Report, percentile, progress};
use crate::s1::{payload, push_apps};
use crate::s2::settle;
use crate::s4::synced;
use crate::{Target, git, s8};

/// How much of it.
#[derive(Args)]
pub(crate) struct Options {
    /// Clusters: the shared one, and added ones.
    #[arg(long, default_value_t = 4)]
    clusters: usize,
    /// Applications in each.
    #[arg(long, default_value_t = 50)]
    apps: usize,
    /// ConfigMaps per application.
    #[arg(long, default_value_t = 20)]
    objects: usize,
    /// Kills.
    #[arg(long, default_value_t = 30)]
    kills: usize,
    /// The folder of `up`, which knows how the controller was started; the clone's own by default.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// What the controller is called there; the other one is called after it.
    #[arg(long, default_value = "naru-controller")]
    name: String,
    /// PostgreSQL, as a role that sees every row.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: String,
}

const PREFIX: &str = "s7-";
/// What the objects of all applications are found by.
const LABEL: &str = "loadtest=app";
/// After so long from a kill the drift is made and the commit is pushed.
const LATER: Duration = Duration::from_millis(100);
/// How often is looked whether all are at rest.
const LOOK: Duration = Duration::from_millis(200);
/// So long is waited for what follows from a kill, and for what follows from a start.
const PATIENCE: Duration = Duration::from_secs(120);

/// A cluster, and what is there.
struct Cluster {
    /// The address by which the platform knows it.
    server: String,
    /// What the name of its work item ends with.
    lease: String,
    namespace: String,
    apps: Vec<String>,
    /// What stands behind the address; the connections end with it.
    _way: Option<Unruly>,
}

/// A controller that was started.
struct Controller {
    process: Process,
    /// Where others reach it.
    address: String,
    metrics: String,
}

impl Controller {
    fn of(process: Process) -> anyhow::Result<Self> {
        let setting = |name: &str| {
            let value = process.spec().env.get(name);
            value.with_context(|| format!("{} has no {name}", process.name()))
        };
        let address = setting("NARU_ADVERTISE")?.clone();
        let metrics = format!("http://{}/metrics", setting("NARU_METRICS_LISTEN")?);
        Ok(Self {
            process,
            address,
            metrics,
        })
    }
}

/// A change of an object that the watch showed.
struct Change {
    object: String,
    payload: String,
    at: Instant,
}

/// What one kill led to, in seconds from t0.
struct Kill {
    /// The cluster whose turn it was.
    server: String,
    /// The clusters that the dead one held.
    units: usize,
    taken: f64,
    repaired: f64,
    synced: f64,
}

/// One of them.
type Figure = fn(&Kill) -> f64;

/// Everything that a run has at hand.
struct Run {
    supervisor: Supervisor,
    client: Client,
    kube: Kube,
    clone: git::Clone,
    leases: Leases,
    clusters: Vec<Cluster>,
    controllers: Vec<Controller>,
}

pub(crate) async fn run(target: &Target, options: &Options) -> anyhow::Result<Report> {
    ensure!(
        options.clusters > 0 && options.apps > 1 && options.objects > 0 && options.kills > 0,
        "--apps is at least two, --clusters, --objects and --kills are at least one"
    );
    let supervisor = s8::supervisor(options.folder.as_deref())?;
    let first = s8::running(&supervisor, &options.name)?;
    let client = Client::login(target).await?;
    // Whoever makes clusters, and drift, may do everything there.
    let kube = Kube::new(&Target {
        impersonate: String::new(),
        ..target.clone()
    })?;
    let mut run = Run {
        clone: git::Clone::of(target).await?,
        leases: Leases::open(&options.database_url).await?,
        clusters: clusters(target, options, &client, &kube).await?,
        controllers: vec![Controller::of(first)?],
        supervisor,
        client,
        kube,
    };
    let measured = run.measure(target, options).await;
    let cleared = run.clear(options).await;
    let kills = measured?;
    cleared?;
    let mut report = Report::new("S7");
    add(&mut report, options, &kills, run.leases.passed());
    progress("a controller may be another process now: `cargo xtask up` writes .naru/env anew");
    Ok(report)
}

/// The shared cluster, and so many others that are added now.
async fn clusters(
    target: &Target,
    options: &Options,
    client: &Client,
    kube: &Kube,
) -> anyhow::Result<Vec<Cluster>> {
    let apps = |cluster: usize| -> Vec<String> {
        (0..options.apps)
            .map(|n| format!("{PREFIX}{cluster}-{n:04}"))
            .collect()
    };
    let mut clusters = vec![Cluster {
        server: IN_CLUSTER.to_owned(),
        lease: "cluster/shared/0".to_owned(),
        namespace: target.namespace.clone(),
        apps: apps(0),
        _way: None,
    }];
    let behind: SocketAddr = kube
        .server()
        .trim_start_matches("https://")
        .parse()
        .context("the apiserver is not at an address of this machine")?;
    for number in 1..options.clusters {
        let name = format!("{PREFIX}{number}");
        let token = kube.guest(&name).await?;
        let way = Unruly::start(behind).await?;
        let server = format!("https://{}", way.address);
        let cluster = json!({
            "server": server, "name": name, "namespaces": [name],
            "config": {"bearerToken": token, "tlsClientConfig": {"insecure": true}},
        });
        client
            .call(Method::POST, "/api/v1/clusters?upsert=true", Some(&cluster))
            .await?;
        clusters.push(Cluster {
            lease: format!("/{server}/0"),
            server,
            namespace: name,
            apps: apps(number),
            _way: Some(way),
        });
    }
    Ok(clusters)
}

/// The second controller: as the first, at ports of its own.
fn second(options: &Options, first: &Spec) -> anyhow::Result<Spec> {
    let (port, metrics) = (ports::free()?, ports::free()?);
    let spec = Spec {
        name: second_name(options),
        ..first.clone()
    };
    Ok(spec
        .env("NARU_LISTEN", format!("127.0.0.1:{port}"))
        .env("NARU_ADVERTISE", format!("https://127.0.0.1:{port}"))
        .env("NARU_METRICS_LISTEN", format!("127.0.0.1:{metrics}")))
}

fn second_name(options: &Options) -> String {
    format!("{}-2", options.name)
}

impl Run {
    async fn measure(&mut self, target: &Target, options: &Options) -> anyhow::Result<Vec<Kill>> {
        progress("making the applications and waiting for them");
        let names = self.apps();
        push_apps(&self.clone, &names, options.objects).await?;
        for cluster in &self.clusters {
            let there = Target {
                namespace: cluster.namespace.clone(),
                ..target.clone()
            };
            each(&cluster.apps, 32, |name| {
                let (client, there, server) = (&self.client, &there, &cluster.server);
                async move {
                    let path = format!("load/{name}");
                    client.put_app_at(server, there, name, &path, true).await
                }
            })
            .await?;
        }
        settle(&self.client, PREFIX, names.len()).await?;
        progress("starting the second controller");
        // One that a run has left behind which was broken off.
        let process = match self.supervisor.find(&second_name(options)) {
            Some(running) => running,
            None => {
                let spec = second(options, self.controllers[0].process.spec())?;
                self.supervisor.start(&spec)?
            }
        };
        services::ready(&process).await?;
        self.controllers.push(Controller::of(process)?);
        within("the clusters are divided", self.rest()).await?;
        let mut kills = Vec::with_capacity(options.kills);
        for number in 0..options.kills {
            let kill = self.kill(number).await;
            let kill = kill.with_context(|| format!("kill {}", number + 1))?;
            progress(&format!(
                "kill {}: {} clusters held again after {:.3} s; in {} drift repaired after {:.3} s, Synced after {:.3} s",
                number + 1,
                kill.units,
                kill.taken,
                kill.server,
                kill.repaired,
                kill.synced
            ));
            kills.push(kill);
        }
        Ok(kills)
    }

    fn apps(&self) -> Vec<String> {
        let apps = self.clusters.iter().flat_map(|cluster| &cluster.apps);
        apps.cloned().collect()
    }

    /// Waits until the controllers have divided the clusters, each has compared what is its own, and nothing happens any more.
    async fn rest(&mut self) -> anyhow::Result<()> {
        let apps = self.apps().len();
        let mut looks = tokio::time::interval(LOOK);
        loop {
            looks.tick().await;
            self.leases.look().await?;
            if !self.is_divided() || self.shown().await? != apps {
                continue;
            }
            settle(&self.client, PREFIX, apps).await?;
            self.leases.look().await?;
            // What had to move has moved meanwhile.
            if self.is_divided() && self.shown().await? == apps {
                return Ok(());
            }
        }
    }

    /// Whether each cluster is held, and each controller has its share.
    fn is_divided(&self) -> bool {
        let shares: Vec<usize> = self.controllers.iter().map(|one| self.share(one)).collect();
        let least = self.clusters.len() / shares.len();
        shares.iter().sum::<usize>() == self.clusters.len()
            && shares.iter().all(|share| *share >= least)
    }

    /// How many of the clusters a controller holds.
    fn share(&self, controller: &Controller) -> usize {
        let Some(id) = self.leases.controller(&controller.address) else {
            return 0;
        };
        let clusters = self.clusters.iter();
        clusters
            .filter(|cluster| self.leases.holder(&cluster.lease) == Some(id))
            .count()
    }

    /// How many applications the controllers show as Synced, each its own.
    async fn shown(&self) -> anyhow::Result<usize> {
        let mut shown = 0;
        for controller in &self.controllers {
            let answer = reqwest::get(&controller.metrics).await?;
            shown += s8::shown(&answer.error_for_status()?.text().await?, PREFIX);
        }
        Ok(shown)
    }

    /// Kills whoever holds the cluster whose turn it is, and starts it again when everything is taken over.
    async fn kill(&mut self, number: usize) -> anyhow::Result<Kill> {
        let cluster = &self.clusters[number % self.clusters.len()];
        // Others each time, as long as there are any.
        let turn = number / self.clusters.len() * 2;
        let [drifted, pushed] =
            [turn, turn + 1].map(|app| cluster.apps[app % cluster.apps.len()].as_str());
        let (kube, clone, namespace) = (&self.kube, &self.clone, &cluster.namespace);
        let object = format!("{drifted}-0");
        let wanted = kube.payload(namespace, &object).await?;
        let drift = format!("drift-{number}");
        let news = payload(&format!("{pushed}-push-{number}"));
        write(clone, pushed, &news)?;
        clone.commit(&format!("after kill {}", number + 1)).await?;
        let commit = clone.head().await?;
        let mut changes = kube.watch_payloads(namespace, LABEL).await?;
        let mut events = self.client.watch().await?;
        self.leases.look().await?;
        let holder = self.leases.holder(&cluster.lease);
        let holder = holder
            .with_context(|| format!("nobody holds {}", cluster.server))?
            .to_owned();
        let item = self.leases.item(&cluster.lease)?;
        let theirs = self.clusters.iter().map(|one| &one.lease);
        let theirs: Vec<String> = theirs
            .filter(|lease| self.leases.holder(lease) == Some(holder.as_str()))
            .map(|lease| self.leases.item(lease))
            .collect::<anyhow::Result<_>>()?;
        let at = self.controllers.iter().position(|one| {
            let id = self.leases.controller(&one.address);
            id == Some(holder.as_str())
        });
        let at = at.with_context(|| format!("{holder} is none of the two controllers"))?;
        let dead = &self.controllers[at].process;

        let leases = &mut self.leases;
        let began = Instant::now();
        let disturb = async {
            tokio::time::sleep_until((began + LATER).into()).await;
            tokio::try_join!(kube.set_payload(namespace, &object, &drift), clone.send())
        };
        let mut shown = Vec::new();
        let (_, _, taken, repaired, synced) = tokio::try_join!(
            dead.kill(),
            disturb,
            within("all is another's", leases.taken(&theirs, &holder)),
            within(
                "the drift is repaired and the commit is in the cluster",
                repaired(
                    &mut changes,
                    &mut shown,
                    (object.as_str(), [drift.as_str(), wanted.as_str()]),
                    &news
                ),
            ),
            within("the commit is Synced", async {
                synced(&mut events, pushed, &commit).await?;
                Ok(Instant::now())
            }),
        )?;
        let not_before = leases.not_before(&item)?;

        let again = self.supervisor.start(dead.spec())?;
        services::ready(&again).await?;
        let kill = Kill {
            server: cluster.server.clone(),
            units: theirs.len(),
            taken: (taken - began).as_secs_f64(),
            repaired: (repaired - began).as_secs_f64(),
            synced: (synced - began).as_secs_f64(),
        };
        let pushed = pushed.to_owned();
        self.controllers[at] = Controller::of(again)?;
        within("the clusters are divided again", self.rest()).await?;
        while let Ok((object, payload, at)) = changes.try_recv() {
            shown.push(Change {
                object,
                payload,
                at,
            });
        }
        let other = format!("{pushed}-0");
        by_one(
            &shown,
            (object.as_str(), [drift.as_str(), wanted.as_str()]),
            (other.as_str(), news.as_str()),
            not_before,
        )?;
        self.synced_once(&pushed, &commit).await?;
        Ok(kill)
    }

    /// Refuses a commit that was synced more than once, or not at all.
    async fn synced_once(&self, app: &str, commit: &str) -> anyhow::Result<()> {
        let path = format!("/api/v1/applications/{app}");
        let app = self.client.call(Method::GET, &path, None).await?;
        let history = app["status"]["history"].as_array();
        let syncs = history
            .into_iter()
            .flatten()
            .filter(|entry| entry["revision"] == commit)
            .count();
        ensure!(
            syncs == 1,
            "two may write: {commit} was synced {syncs} times"
        );
        Ok(())
    }

    /// Leaves the platform as it was, with one controller.
    async fn clear(&mut self, options: &Options) -> anyhow::Result<()> {
        // Where a kill went wrong.
        if self.supervisor.find(&options.name).is_none() {
            let process = self.supervisor.restart(&options.name).await?;
            services::ready(&process).await?;
        }
        progress("deleting the applications and the clusters");
        let names = self.apps();
        self.client.delete_apps(&names).await?;
        for cluster in &self.clusters {
            if cluster.server == IN_CLUSTER {
                continue;
            }
            let escaped = cluster.server.replace(':', "%3A").replace('/', "%2F");
            let path = format!("/api/v1/clusters/{escaped}");
            self.client.call(Method::DELETE, &path, None).await?;
            self.kube.delete_namespace(&cluster.namespace).await?;
        }
        if let Some(second) = self.supervisor.find(&second_name(options)) {
            second.stop().await?;
        }
        self.clone.remove(&names).await
    }
}

/// What must have come after a while.
async fn within<T>(what: &str, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(done) => done.with_context(|| what.to_owned()),
        Err(_) => bail!("{what}: not within {} s", PATIENCE.as_secs()),
    }
}

/// Writes another payload into the first object of an application.
fn write(clone: &git::Clone, app: &str, payload: &str) -> anyhow::Result<()> {
    let file = clone.path().join("load").join(app).join("configmap-0.yaml");
    fs::write(
        file,
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {app}-0\n  labels:\n    loadtest: app\ndata:\n  payload: {payload}\n"
        ),
    )?;
    Ok(())
}

/// Takes in what a watch shows until an object has drifted and is as it was, and another one has what is new: the moment of the
/// repair.
async fn repaired(
    changes: &mut UnboundedReceiver<(String, String, Instant)>,
    shown: &mut Vec<Change>,
    (object, [drift, wanted]): (&str, [&str; 2]),
    news: &str,
) -> anyhow::Result<Instant> {
    let (mut drifted, mut repaired, mut pushed) = (false, None, false);
    loop {
        let change = changes.recv().await;
        let (name, payload, at) = change.context("the watch of the cluster ended")?;
        if name == object {
            drifted |= payload == drift;
            if drifted && payload == wanted {
                repaired = repaired.or(Some(at));
            }
        }
        pushed |= payload == news;
        shown.push(Change {
            object: name,
            payload,
            at,
        });
        if let (Some(at), true) = (repaired, pushed) {
            return Ok(at);
        }
    }
}

/// Refuses what one controller alone does not write: anything else than these versions of these two objects, in this order, or
/// any but the first, which is somebody else's, before the cluster was its holder's.
fn by_one(
    shown: &[Change],
    (drifted, [drift, wanted]): (&str, [&str; 2]),
    (pushed, news): (&str, &str),
    not_before: Instant,
) -> anyhow::Result<()> {
    for (object, versions) in [(drifted, vec![drift, wanted]), (pushed, vec![news])] {
        let changes = shown.iter().filter(|change| change.object == object);
        let seen: Vec<&str> = changes.map(|change| change.payload.as_str()).collect();
        ensure!(
            seen == versions,
            "two may write: {object} became {seen:?}, not {versions:?}"
        );
    }
    let others = shown
        .iter()
        .find(|change| change.object != drifted && change.object != pushed);
    if let Some(other) = others {
        bail!(
            "two may write: nobody had a reason to write {}",
            other.object
        );
    }
    let mut ours = shown.iter().filter(|change| change.payload != drift);
    if let Some(early) = ours.find(|change| change.at < not_before) {
        bail!(
            "two may write: {} was written while the lease was still the dead one's",
            early.object
        );
    }
    Ok(())
}

fn add(report: &mut Report, options: &Options, kills: &[Kill], passed: usize) {
    report.add("clusters", options.clusters);
    report.add("applications of each", options.apps);
    report.add("objects of each", options.apps * options.objects);
    report.add("kills", kills.len());
    let figures: [(&str, Figure); 3] = [
        ("all clusters held again", |kill| kill.taken),
        ("drift repaired", |kill| kill.repaired),
        ("pushed commit Synced", |kill| kill.synced),
    ];
    for (what, figure) in figures {
        let mut samples: Vec<f64> = kills.iter().map(figure).collect();
        samples.sort_by(f64::total_cmp);
        for (name, share) in [("p50", 0.5), ("max", 1.0)] {
            report.add(
                format!("{name} s, kill to {what}"),
                percentile(&samples, share),
            );
        }
    }
    let units: usize = kills.iter().map(|kill| kill.units).sum();
    report.add("clusters taken over", units);
    report.add("leases that passed on, each with a higher fence", passed);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(changes: &[(&str, &str, u64)], start: Instant) -> Vec<Change> {
        let change = |(object, payload, ms): &(&str, &str, u64)| Change {
            object: (*object).to_owned(),
            payload: (*payload).to_owned(),
            at: start + Duration::from_millis(*ms),
        };
        changes.iter().map(change).collect()
    }

    #[test]
    fn what_a_second_writer_leaves_behind_is_seen() {
        let start = Instant::now();
        let held = start + Duration::from_millis(50);
        let judge = |changes: &[(&str, &str, u64)]| {
            let shown = shown(changes, start);
            by_one(&shown, ("a", ["drift", "git"]), ("b", "new"), held).is_ok()
        };
        let drift = ("a", "drift", 10);
        assert!(judge(&[drift, ("b", "new", 60), ("a", "git", 70)]));
        for bad in [
            // Before the lease was its holder's.
            &[drift, ("b", "new", 40), ("a", "git", 70)][..],
            // Twice, or over a newer one.
            &[drift, ("b", "new", 60), ("a", "git", 70), ("a", "git", 80)],
            &[drift, ("b", "new", 60), ("b", "old", 65), ("a", "git", 70)],
            // What was neither changed in Git nor drifted.
            &[drift, ("b", "new", 60), ("a", "git", 70), ("c", "git", 80)],
            // Not at all.
            &[drift, ("a", "git", 70)],
        ] {
            assert!(!judge(bad), "{bad:?}");
        }
    }

    #[tokio::test]
    async fn a_repair_counts_from_the_drift_on_and_the_commit_is_waited_for() {
        let (sender, mut changes) = tokio::sync::mpsc::unbounded_channel();
        let start = Instant::now();
        for change in shown(
            &[
                ("a", "git", 1),
                ("a", "drift", 2),
                ("a", "git", 3),
                ("b", "new", 4),
                ("a", "git", 5),
            ],
            start,
        ) {
            let change = (change.object, change.payload, change.at);
            sender.send(change).unwrap();
        }
        let mut seen = Vec::new();
        let at = repaired(&mut changes, &mut seen, ("a", ["drift", "git"]), "new");
        assert_eq!(at.await.unwrap(), start + Duration::from_millis(3));
        assert_eq!(seen.len(), 4);
    }
}
