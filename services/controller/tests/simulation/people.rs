//! What people do: they commit, ask for syncs, edit what is live, delete, and had things in the cluster before.

use domain::application::{Application, IN_CLUSTER_SERVER, RESOURCES_FINALIZER};
use domain::manifest::Manifest;
use domain::operation::{Initiator, Operation, OperationState, Phase, SyncRequest};
use domain::resource::{INSTALLATION_ID, ResourceKey, TRACKING_ID};
use domain::status::Status;
use serde_json::{Value, json};

use crate::cluster::{Request, Verb};
use crate::plane::SLOW;
use crate::world::{World, name_of};

/// What a hook's annotation may say of when its object goes. With the last ones a hook is applied onto the one of an earlier
/// sync, which may have failed for good.
const POLICIES: [&str; 6] = [
    "",
    "BeforeHookCreation",
    "HookSucceeded,BeforeHookCreation",
    "HookFailed,BeforeHookCreation",
    "HookSucceeded",
    "HookFailed",
];
/// How many of them have what was there deleted first.
const ANEW: usize = 4;

/// An object of an application in Git.
fn object(app: &str, version: &str, kind: &str, name: &str, annotations: Value) -> Value {
    json!({"apiVersion": version, "kind": kind,
        "metadata": {"name": format!("{app}-{name}"), "annotations": annotations}})
}

fn in_wave(wave: usize) -> Value {
    let word = ["-1", "0", "1", "2"][wave % 4];
    json!({"argocd.argoproj.io/sync-wave": word})
}

impl World {
    /// An application: every third one is kept back by a window, every fifth syncs by hand alone.
    pub(crate) fn found(&mut self, number: usize) {
        let windowed = if number.is_multiple_of(3) { "w" } else { "a" };
        let app = format!("{windowed}{number:05}");
        let tenant = self.tenants[number % 2].as_str().to_owned();
        let mut options = vec![];
        for (every, option) in [
            (4, "PruneLast=true"),
            (5, "ApplyOutOfSyncOnly=true"),
            (6, "FailOnSharedResource=true"),
            (7, "PrunePropagationPolicy=background"),
        ] {
            if number % every == 1 {
                options.push(option);
            }
        }
        let automated = json!({"prune": true, "selfHeal": true, "allowEmpty": true});
        let automated = if number % 5 == 4 {
            Value::Null
        } else {
            automated
        };
        let spec = json!({"project": "default",
            "source": {"repoURL": format!("https://git.example.com/{app}"), "path": "app"},
            "destination": {"server": IN_CLUSTER_SERVER, "namespace": tenant},
            "syncPolicy": {"automated": automated, "syncOptions": options}});
        let metadata = json!({"name": app, "uid": format!("app-{number}"), "generation": 1,
            "finalizers": [RESOURCES_FINALIZER]});
        let row = Application {
            metadata,
            spec,
            operation: None,
            status: Status::default(),
            resource_version: 1,
        };
        self.rows.insert(app.clone(), row);
        self.bystanders(&app, &tenant);
        self.push(&app, false);
    }

    /// Objects that are there first, and are nobody's, or somebody else's.
    fn bystanders(&mut self, app: &str, tenant: &str) {
        let map = |name: &str, annotations: Value| {
            let mut map = object(app, "v1", "ConfigMap", name, annotations);
            map["metadata"]["namespace"] = json!(tenant);
            map["data"] = json!({"value": "theirs"});
            map
        };
        let marks = |of: &str, name: &str, installation: &str| {
            let mut marks = json!({});
            marks[TRACKING_ID] = json!(format!("{of}:/ConfigMap:{tenant}/{app}-{name}"));
            marks[INSTALLATION_ID] = json!(installation);
            marks
        };
        self.make(&map("plain", json!({})));
        self.make(&map("copied", marks(app, "m0", tenant)));
        self.make(&map("elsewhere", marks(app, "elsewhere", "another")));
        let neighbours = marks("neighbour", "neighbours", tenant);
        self.make(&map("neighbours", neighbours));
    }

    /// A commit. One that shall do has no fault of its own.
    pub(crate) fn push(&mut self, app: &str, good: bool) {
        let number = self.git.get(app).map_or(0, Vec::len);
        let about = format!("git {app}");
        let shares = self.options(app).fail_on_shared;
        let mut objects = self.maps(app, &about);
        objects.extend(self.workload(app, &about, good));
        for (moment, percent) in [
            ("PreSync", 35),
            ("Sync", 15),
            ("PostSync", 25),
            ("SyncFail", 20),
        ] {
            if self.dice.chance(&about, percent) {
                objects.push(self.hook(app, &about, moment, good));
            }
        }
        if !good && self.dice.chance(&about, 6) {
            let theirs = match self.dice.chance(&about, 50) && shares {
                true => "neighbours",
                false => "elsewhere",
            };
            let mut map = object(app, "v1", "ConfigMap", theirs, json!({}));
            map["data"] = json!({"value": "ours"});
            objects.push(map);
        }
        let count = objects.len();
        self.tell(format_args!("{app}: revision {number} of {count} objects"));
        let manifests = objects
            .into_iter()
            .map(|object| Manifest::new(object, None));
        let revisions = self.git.entry(app.to_owned()).or_default();
        revisions.push(manifests.collect());
        self.wake(app);
    }

    fn maps(&mut self, app: &str, about: &str) -> Vec<Value> {
        let mut maps = Vec::new();
        for at in 0..self.size.maps {
            if !self.dice.chance(about, 75) {
                continue;
            }
            let mut map = object(app, "v1", "ConfigMap", &format!("m{at}"), in_wave(at));
            map["data"] = json!({"value": self.dice.below(about, 3).to_string()});
            if self.dice.chance(about, 30) {
                map["data"]["more"] = json!("yes");
            }
            maps.push(map);
        }
        maps
    }

    fn workload(&mut self, app: &str, about: &str, good: bool) -> Option<Value> {
        if !self.dice.chance(about, 60) {
            return None;
        }
        let image = match !good && self.dice.chance(about, 10) {
            true => "broken".to_owned(),
            false => format!("app:{}", self.dice.below(about, 3)),
        };
        let wave = in_wave(self.dice.below(about, 3));
        let mut workload = object(app, "apps/v1", "Deployment", "web", wave);
        let labels = json!({"app": format!("{app}-web")});
        workload["spec"] = json!({"replicas": 1, "selector": {"matchLabels": labels}, "template": {
            "metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": image}]}}});
        Some(workload)
    }

    fn hook(&mut self, app: &str, about: &str, moment: &str, good: bool) -> Value {
        let choice = if good { ANEW } else { POLICIES.len() };
        let policy = POLICIES[self.dice.below(about, choice)];
        let mut annotations = json!({"argocd.argoproj.io/hook": moment});
        if !policy.is_empty() {
            annotations["argocd.argoproj.io/hook-delete-policy"] = json!(policy);
        }
        let name = moment.to_lowercase();
        let mut job = object(app, "batch/v1", "Job", &name, annotations);
        if !good && self.dice.chance(about, 15) {
            job["metadata"]["labels"]["fails"] = json!("true");
        }
        job["spec"] = json!({"template": {"spec": {"restartPolicy": "Never",
            "containers": [{"name": "main", "image": "job:1"}]}}});
        job
    }

    /// Somebody who is neither Git nor a controller does something.
    pub(crate) fn meddle(&mut self) {
        let apps: Vec<String> = self.rows.keys().cloned().collect();
        let at = self.dice.below("whose", apps.len());
        let Some(app) = apps.get(at) else {
            return;
        };
        match self.dice.below("meddle", 22) {
            0..7 => self.push(app, false),
            7..11 => self.edit(app, json!({"data": {"value": "edited"}})),
            11 => self.edit(app, json!({"data": {"foreign": "kept"}})),
            12 => self.edit(app, json!({"metadata": {"finalizers": [SLOW]}})),
            13..15 => self.remove(app),
            15..18 => self.sync(app),
            18 | 19 => self.terminate(app),
            20 => self.retire(app),
            // Some are given up for that.
            _ if self.link.away.is_some() => self.retire(app),
            _ => {}
        }
    }

    /// One of an application's own objects of some kinds.
    fn some(&mut self, app: &str, kinds: &[&str]) -> Option<ResourceKey> {
        let own = [format!("{app}-m"), format!("{app}-web")];
        let is_own = |key: &ResourceKey| own.iter().any(|own| key.name.starts_with(own.as_str()));
        let keys: Vec<ResourceKey> = self
            .objects_of(app)
            .map(|(key, _)| key)
            .filter(|key| kinds.contains(&key.kind.as_str()) && is_own(key))
            .cloned()
            .collect();
        let at = self.dice.below("which", keys.len());
        keys.get(at).cloned()
    }

    fn edit(&mut self, app: &str, patch: Value) {
        let Some(key) = self.some(app, &["ConfigMap"]) else {
            return;
        };
        self.tell(format_args!("somebody edits {key}: {patch}"));
        self.api.serve(&Request {
            verb: Verb::Merge,
            key,
            body: patch,
            manager: "kubectl-edit".to_owned(),
            dry_run: false,
        });
    }

    fn remove(&mut self, app: &str) {
        let Some(key) = self.some(app, &["ConfigMap", "Deployment", "ReplicaSet"]) else {
            return;
        };
        self.tell(format_args!("somebody deletes {key}"));
        self.api.serve(&Request {
            verb: Verb::Delete,
            key,
            body: json!({"propagationPolicy": "Background"}),
            manager: "kubectl".to_owned(),
            dry_run: false,
        });
    }

    /// Somebody asks for a sync, which names the commit.
    pub(crate) fn sync(&mut self, app: &str) {
        let revision = name_of(self.revision(app, ""));
        let Some(row) = self.rows.get_mut(app) else {
            return;
        };
        if row.operation.is_some() || row.deleting() {
            return;
        }
        let policy = row.view().ok().and_then(|spec| spec.sync_policy);
        row.operation = Some(Operation {
            sync: SyncRequest {
                revision,
                prune: true,
                sync_options: policy.map(|policy| policy.sync_options).unwrap_or_default(),
                ..SyncRequest::default()
            },
            initiated_by: Initiator {
                username: "admin".to_owned(),
                automated: false,
            },
            ..Operation::default()
        });
        row.status.operation = None;
        self.tell(format_args!("{app}: somebody asks for a sync"));
        self.wake(app);
    }

    /// Somebody stops what is asked for, whether or not it is said to have begun.
    fn terminate(&mut self, app: &str) {
        let now = self.now();
        let Some(row) = self.rows.get_mut(app) else {
            return;
        };
        let Some(asked) = &row.operation else {
            return;
        };
        let recorded = row.status.operation.as_mut();
        let under_way =
            recorded.filter(|state| !state.phase.completed() && state.operation == *asked);
        if let Some(state) = under_way {
            state.phase = Phase::Terminating;
        } else {
            let begun = engine::operation::begin(asked.clone(), now);
            row.status.operation = Some(OperationState {
                phase: Phase::Terminating,
                ..begun
            });
            self.stopped.insert(app.to_owned());
        }
        self.tell(format_args!("{app}: somebody stops its operation"));
        self.wake(app);
    }

    /// Somebody asks for a sync and at once stops it, while a controller is about to write what it has found.
    pub(crate) fn ask_and_stop(&mut self, app: &str) {
        let row = self.rows.get(app);
        if row.is_some_and(|row| row.operation.is_none()) {
            self.sync(app);
        }
        self.terminate(app);
    }

    /// Somebody deletes an application with all that it has; few do.
    fn retire(&mut self, app: &str) {
        let left = self.rows.values().filter(|row| !row.deleting()).count();
        if !self.dice.chance("retire", 25) || left * 2 < self.size.apps {
            return;
        }
        let now = self.now().to_rfc3339();
        if let Some(row) = self.rows.get_mut(app).filter(|row| !row.deleting()) {
            row.metadata["deletionTimestamp"] = json!(now);
            self.tell(format_args!("{app}: somebody deletes it"));
            self.wake(app);
        }
    }
}
