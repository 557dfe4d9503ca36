//! The watch of one kind, in a namespace or everywhere: list it as a stream, follow it, begin again where that is needed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf as _, BytesMut};
use domain::resource::{GroupKind, ResourceKey};
use futures::StreamExt as _;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::sync::{Notify, mpsc, oneshot};

use super::Change;
use super::entry::{MAX_NAME, MAX_VERSION, Reader, is_metadata_only, version_number};
use super::named::Named;
use super::rights::Rights;
use super::watched::{Events, Held, Pages};
use crate::budget::{Budget, Share};
use crate::discovery::ApiKind;
use crate::error::{Error, Refusal};
use crate::transport::{Identity, Sent, Transport};
use crate::url::{Query, collection};

/// A watch is asked to last this long and up to a minute more; then it goes on where it stopped.
const WATCH_SECONDS: usize = 290;
/// A server that sends bookmarks sends one a minute; a longer silence is a dead connection.
const SILENCE: Duration = Duration::from_secs(130);
/// Inside a listing, this much silence means that its end is not going to be told.
const LISTING_SILENCE: Duration = Duration::from_secs(20);
/// An API server that has just started refuses, for a moment, what it serves: it does not know its rights and its defined
/// kinds yet. A kind that was listed is therefore given up only when it has been refused for this long.
const REFUSED_FOR: Duration = Duration::from_secs(60);
/// In a cluster that a tenant has added the rights may be as new as that, as long as nothing else was let through in the same
/// place. Nothing is known of the cluster meanwhile, and most credentials lack some kind for good: it is not for long, and over
/// when a kind is refused that was asked for after another one had been let through.
const REFUSED_AT_FIRST: Duration = Duration::from_secs(5);
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// A watch that ends sooner than this has gone badly, whatever it has told: a server that tells something and hangs up must not be
/// asked in a tight loop either.
const SHORTEST: Duration = Duration::from_secs(1);
/// A buffer that an event has made larger than this is not kept for the next.
const LARGE_BUFFER: usize = 64 << 10;
/// What says where a listing goes on names the next object, encoded twice: it is longer than a name, and shorter than this.
const MAX_CONTINUE: usize = 4 * MAX_NAME;
/// A listing ends with so many pages in a row that name nothing new. Some do not: who stands before a server and shows each only
/// what is theirs has empty pages, and of some objects no entry is made.
const MAX_BARREN: usize = 500;

const FULL: &str = "application/json";
const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

/// Follows one kind.
pub(super) struct Watcher {
    pub(super) transport: Transport,
    pub(super) reader: Arc<Reader>,
    pub(super) changes: mpsc::Sender<Change>,
    /// Told when a watch fails, so that the connection is looked at.
    pub(super) trouble: Arc<Notify>,
    /// Told when there is more than may be.
    pub(super) full: Arc<Notify>,
    /// Where any watch was let through, shared by all.
    pub(super) rights: Arc<Rights>,
    /// Whether it is a cluster that a tenant has added.
    pub(super) strange: bool,
    pub(super) kind: ApiKind,
    /// Whether the kind was listed there in another version until now.
    pub(super) listed: bool,
    /// Where; the empty one is everywhere.
    pub(super) namespace: Box<str>,
    /// What may be held of events.
    pub(super) events: Arc<Events>,
    /// What may be held of listings by pages.
    pub(super) pages: Arc<Pages>,
    /// What listings name counts here, and objects that the keeper has not taken in yet.
    pub(super) budget: Arc<Budget>,
    /// How many objects are asked for at once where they are listed by pages.
    pub(super) page: usize,
}

/// What follows the end of a stream.
enum Next {
    /// Go on from the version reached.
    Resume,
    /// List again: the server no longer has the versions between.
    Relist,
    /// The server does not list as a stream.
    ListByPages,
    /// The kind is gone, or may not be watched; as this code says.
    Stop(u16),
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize)]
struct Page {
    metadata: PageMetadata,
    #[serde(default)]
    items: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageMetadata {
    #[serde(default)]
    resource_version: String,
    #[serde(default)]
    r#continue: String,
}

/// Where a watch stands.
struct Position {
    /// Follow from here; list first when empty.
    resource_version: String,
    /// What the listing in progress has named so far.
    listing: Option<Named>,
    by_pages: bool,
    /// Whether the server has let it through, or listed the kind, since the last end.
    answered: bool,
    /// Whether a listing of the kind has ended well.
    listed: bool,
}

impl Position {
    /// Whether it has gone well until it ended, after so long. Whether anything happened, and how it ended, says nothing: a proxy
    /// that is tired of a quiet kind cuts the connection, and to wait longer after each of these would make news late.
    fn went_well(&self, lasted: Duration) -> bool {
        self.answered && lasted >= SHORTEST
    }
}

impl Watcher {
    /// Runs until the kind is gone or nobody takes its changes.
    pub(super) async fn run(self) {
        let mut at = Position {
            resource_version: String::new(),
            listing: None,
            by_pages: false,
            answered: false,
            listed: self.listed,
        };
        let mut wait = FIRST_WAIT;
        let mut refused_since = None;
        while !self.changes.is_closed() {
            // Before it is asked: what was refused earlier than that says nothing of rights that came in between.
            let known = self.rights.are_known(&self.namespace);
            let begun = Instant::now();
            let next = self.follow(&mut at).await;
            let well = at.went_well(begun.elapsed());
            at.answered = false;
            if well {
                wait = FIRST_WAIT;
            }
            if !matches!(next, Ok(Next::Stop(_))) {
                refused_since = None;
            }
            match next {
                Ok(Next::Resume) => {}
                Ok(Next::Relist) => at.resource_version.clear(),
                Ok(Next::ListByPages) => {
                    at.by_pages = true;
                    at.resource_version.clear();
                    continue;
                }
                Ok(Next::Stop(code))
                    if refused_since.get_or_insert_with(Instant::now).elapsed()
                        < patience(code, at.listed, self.strange && !known) => {}
                Ok(Next::Stop(_)) => return self.leave().await,
                Err(error) => {
                    self.trouble.notify_one();
                    self.rights.doubt(&self.namespace);
                    tracing::debug!(kind = %self.kind.group_kind(), %error, "a watch ended");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(LONGEST_WAIT);
                    continue;
                }
            }
            // A server that ends every stream at once must not be asked in a tight loop.
            if !well {
                match known {
                    true => tokio::time::sleep(wait).await,
                    false => self.rights.pause(&self.namespace, wait).await,
                }
                wait = (wait * 2).min(LONGEST_WAIT);
            }
        }
    }

    /// Says that nothing of it is to be seen there, and ends when that is known: the word of a watch that has ended would count for
    /// the one after it.
    async fn leave(&self) {
        let (done, known) = oneshot::channel();
        let refused = Change::Refused {
            kind: self.kind.group_kind(),
            namespace: self.namespace.clone(),
            version: self.kind.version.as_str().into(),
            done,
        };
        if self.changes.send(refused).await.is_ok() {
            let _ = known.await;
        }
    }

    async fn follow(&self, at: &mut Position) -> Result<Next, Error> {
        let listing = at.resource_version.is_empty();
        if listing && at.by_pages {
            match self.list().await {
                Ok(resource_version) => {
                    at.resource_version = resource_version;
                    at.answered = true;
                    at.listed = true;
                }
                // There is no other way to list it.
                Err(Error::Refused(refusal)) => return refused(&refusal, false),
                Err(error) => return Err(error),
            }
        }
        let streamed = listing && !at.by_pages;
        at.listing = streamed.then(|| Named::new(&self.budget));
        // Spread by name, so that not all of them begin anew in the same second.
        let seconds = WATCH_SECONDS + self.kind.plural.bytes().map(usize::from).sum::<usize>() % 60;
        let path = Query::new(&collection(&self.kind, &self.namespace))
            .set("watch", "1")
            .set("allowWatchBookmarks", "true")
            .set("timeoutSeconds", &seconds.to_string())
            .set_if(streamed, "sendInitialEvents", "true")
            .set_if(streamed, "resourceVersionMatch", "NotOlderThan")
            .set_if(!streamed, "resourceVersion", &at.resource_version)
            .build();
        let accept = if self.is_metadata_only() {
            METADATA
        } else {
            FULL
        };
        let (sent, mut stream) = match self
            .transport
            .stream(&Identity::default(), &path, accept)
            .await
        {
            Ok(opened) => opened,
            Err(Error::Refused(refusal)) => return refused(&refusal, streamed),
            Err(error) => return Err(error),
        };
        self.rights.seen(&self.namespace);
        at.answered = true;
        let mut buffer = BytesMut::new();
        let mut searched = 0;
        let mut held = Held::new(&self.events);
        loop {
            let patience = if at.listing.is_some() {
                LISTING_SILENCE
            } else {
                SILENCE
            };
            let chunk = match tokio::time::timeout(patience, stream.next()).await {
                Ok(Some(chunk)) => chunk?,
                Ok(None) => return Ok(Next::Resume),
                // A server that ignores `sendInitialEvents` never says that its listing has ended.
                Err(_) if at.listing.is_some() => return Ok(Next::ListByPages),
                Err(_) => return Err(sent.unreachable("the watch has been silent for too long")),
            };
            buffer.extend_from_slice(&chunk);
            while let Some(end) = buffer[searched..]
                .iter()
                .position(|byte| *byte == b'\n')
                .map(|end| searched + end)
            {
                if let Some(next) = self.event(&buffer[..end], at, &sent).await? {
                    return Ok(next);
                }
                buffer.advance(end + 1);
                searched = 0;
            }
            searched = buffer.len();
            if buffer.is_empty() && buffer.capacity() > LARGE_BUFFER {
                buffer = BytesMut::new();
            }
            if !held.hold(buffer.len()) {
                return Err(Error::NotUnderstood("events larger than any object".into()));
            }
        }
    }

    /// Takes one event in.
    async fn event(
        &self,
        line: &[u8],
        at: &mut Position,
        sent: &Sent,
    ) -> Result<Option<Next>, Error> {
        if line.is_empty() {
            return Ok(None);
        }
        let broken = |error: serde_json::Error| {
            Error::NotUnderstood(sent.clean(format!("a watch event: {error}")))
        };
        let event: Event<'_> = serde_json::from_slice(line).map_err(broken)?;
        if event.kind == "ERROR" {
            let status = event.object.get();
            let refusal = sent.refusal(code_of(status), status.as_bytes());
            // A list that takes the server too long and a version that it no longer has are both told here.
            return match refusal.code {
                404 | 405 | 410 => Ok(Some(Next::Relist)),
                _ => Err(Error::Refused(Box::new(refusal))),
            };
        }
        let object: Value = serde_json::from_str(event.object.get()).map_err(broken)?;
        let resource_version = domain::resource::text(&object, &["metadata", "resourceVersion"]);
        let resource_version = sane_version(resource_version)?.to_owned();
        let number = version_number(&resource_version);
        match event.kind {
            "BOOKMARK" => {
                let ended = domain::resource::annotation(&object, "k8s.io/initial-events-end")
                    == Some("true");
                if ended && let Some(named) = at.listing.take() {
                    at.listed = true;
                    self.send(Change::Listed {
                        kind: self.kind.group_kind(),
                        namespace: self.namespace.clone(),
                        resource_version: number,
                        named,
                    })
                    .await?;
                }
            }
            "DELETED" => {
                if let Some(key) = self.key(&object) {
                    if let Some(named) = &mut at.listing {
                        named.remove(&key);
                    }
                    self.send(Change::Gone {
                        key,
                        resource_version: number,
                    })
                    .await?;
                }
            }
            _ => {
                if let Some(key) = self.seen(object).await?
                    && let Some(named) = &mut at.listing
                {
                    self.name(named, key)?;
                }
            }
        }
        // Inside a listing the objects' versions are in no order; only its end gives one to go on from.
        if at.listing.is_none() && !resource_version.is_empty() {
            at.resource_version = resource_version;
        }
        Ok(None)
    }

    async fn seen(&self, object: Value) -> Result<Option<ResourceKey>, Error> {
        let version: Arc<str> = self.kind.version.as_str().into();
        let read = self
            .reader
            .read(&object, &self.kind.group, &self.kind.kind, &version);
        // Many times the size of its text, and the keeper may be long in coming.
        drop(object);
        let Some(entry) = read else {
            return Ok(None);
        };
        let mut share = Share::of_bytes(&self.budget);
        if !share.hold(entry.weight) {
            return Err(self.too_much());
        }
        let key = entry.key.clone();
        self.send(Change::Seen {
            entry: Arc::new(entry),
            _counted: share,
        })
        .await?;
        Ok(Some(key))
    }

    /// Notes that a listing has named an object.
    fn name(&self, named: &mut Named, key: ResourceKey) -> Result<(), Error> {
        match named.insert(key) {
            true => Ok(()),
            false => Err(self.too_much()),
        }
    }

    /// That there is no room; the whole cluster is left alone then.
    fn too_much(&self) -> Error {
        self.full.notify_one();
        Error::NotUnderstood("a listing of more than may be held".into())
    }

    /// Lists by pages, for servers that do not list as a stream.
    async fn list(&self) -> Result<String, Error> {
        let mut named = Named::new(&self.budget);
        let mut more = String::new();
        let mut barren = 0;
        let accept = if self.is_metadata_only() {
            METADATA_LIST
        } else {
            FULL
        };
        loop {
            let path = Query::new(&collection(&self.kind, &self.namespace))
                .set("limit", &self.page.to_string())
                .set_if(!more.is_empty(), "continue", &more)
                .build();
            let _turn = self.pages.turn().await.ok_or_else(|| self.too_much())?;
            let page: Page = self
                .transport
                .get(&Identity::default(), &path, accept)
                .await?
                .json()?;
            self.rights.seen(&self.namespace);
            let before = named.keys().len();
            for item in &page.items {
                let object: Value = serde_json::from_str(item.get())
                    .map_err(|error| Error::NotUnderstood(error.to_string()))?;
                if let Some(key) = self.seen(object).await? {
                    self.name(&mut named, key)?;
                }
            }
            more = page.metadata.r#continue;
            barren = match named.keys().len() == before {
                true => barren + 1,
                false => 0,
            };
            let endless = !more.is_empty() && barren >= MAX_BARREN;
            if more.len() > MAX_CONTINUE || endless {
                return Err(Error::NotUnderstood("where a listing goes on".into()));
            }
            if more.is_empty() {
                let reached = sane_version(&page.metadata.resource_version)?;
                let resource_version = version_number(reached);
                self.send(Change::Listed {
                    kind: self.kind.group_kind(),
                    namespace: self.namespace.clone(),
                    resource_version,
                    named,
                })
                .await?;
                return Ok(page.metadata.resource_version);
            }
        }
    }

    fn is_metadata_only(&self) -> bool {
        is_metadata_only(&self.kind.group, &self.kind.kind)
    }

    fn key(&self, object: &Value) -> Option<ResourceKey> {
        let part = |name: &str| domain::resource::text(object, &["metadata", name]).to_owned();
        let GroupKind { group, kind } = self.kind.group_kind();
        let key = ResourceKey {
            group,
            kind,
            namespace: part("namespace"),
            name: part("name"),
        };
        // Of what is longer no entry was made, nor is its deletion remembered.
        let sane = key.name.len() <= MAX_NAME && key.namespace.len() <= MAX_NAME;
        (sane && !key.name.is_empty()).then_some(key)
    }

    async fn send(&self, change: Change) -> Result<(), Error> {
        self.changes
            .send(change)
            .await
            .map_err(|_| Error::NotUnderstood("nobody takes the changes".into()))
    }
}

/// What a refused watch or list means.
fn refused(refusal: &Refusal, streamed: bool) -> Result<Next, Error> {
    match refusal.code {
        400 | 422 if streamed => Ok(Next::ListByPages),
        410 => Ok(Next::Relist),
        code @ 403..=405 => Ok(Next::Stop(code)),
        _ => Err(Error::Refused(Box::new(refusal.clone()))),
    }
}

/// For how long a kind that is refused with that code may be served in a moment; the rights there may be `new`.
fn patience(code: u16, listed: bool, new: bool) -> Duration {
    match listed {
        true => REFUSED_FOR,
        false if new && code == 403 => REFUSED_AT_FIRST,
        false => Duration::ZERO,
    }
}

/// A resourceVersion, if it is as short as one is: it is held for as long as the watch.
fn sane_version(resource_version: &str) -> Result<&str, Error> {
    match resource_version.len() <= MAX_VERSION {
        true => Ok(resource_version),
        false => Err(Error::NotUnderstood("a resourceVersion".into())),
    }
}

fn code_of(status: &str) -> u16 {
    #[derive(Deserialize)]
    struct Code {
        #[serde(default)]
        code: u16,
    }
    serde_json::from_str::<Code>(status)
        .map(|status| status.code)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::gate::{AlwaysMayWrite, WriteGate};
    use crate::index::Watched;
    use crate::resolver::Resolver;
    use crate::transport::{Limits, Way};

    /// One of pods in a cluster that does not answer, whose word counts in that budget.
    fn watcher(budget: &Arc<Budget>) -> (Watcher, mpsc::Receiver<Change>) {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let config = kube::Config::new(http::Uri::from_static("http://127.0.0.1:1"));
        let gate: Arc<dyn WriteGate> = Arc::new(AlwaysMayWrite);
        let client = crate::gated::client(&config, Resolver::default(), Arc::clone(&gate)).unwrap();
        let way = Way {
            client,
            redactor: None,
        };
        let limits = Limits {
            read: SILENCE,
            write: SILENCE,
            answer: 1 << 20,
        };
        let watched = Watched::default();
        let (changes, inbox) = mpsc::channel(watched.queue);
        let watcher = Watcher {
            transport: Transport::new(way, "strange", limits, gate),
            reader: Arc::new(Reader::new([0; 32], true)),
            changes,
            trouble: Arc::default(),
            full: Arc::default(),
            rights: Arc::default(),
            strange: true,
            kind: ApiKind {
                group: String::new(),
                version: "v1".into(),
                kind: "Pod".into(),
                plural: "pods".into(),
                namespaced: true,
                verbs: Vec::new(),
                status_apart: true,
            },
            listed: false,
            namespace: Box::default(),
            events: watched.events,
            pages: watched.pages,
            budget: Arc::clone(budget),
            page: watched.page,
        };
        (watcher, inbox)
    }

    #[tokio::test]
    async fn what_waits_for_the_keeper_counts() {
        let pod = json!({"metadata":
            {"name": "a", "namespace": "web", "uid": "u", "resourceVersion": "5"}});
        let reader = Reader::new([0; 32], true);
        let read = reader.read(&pod, "", "Pod", &"v1".into());
        let budget = Budget::new(2 * read.unwrap().weight, 0, None);
        let (watcher, mut inbox) = watcher(&budget);
        let seen = || watcher.seen(pod.clone());
        assert!(seen().await.is_ok() && seen().await.is_ok());
        assert!(seen().await.is_err(), "two wait");
        watcher.full.notified().await;
        assert!(inbox.recv().await.is_some());
        assert!(seen().await.is_ok(), "one was taken in");
    }

    #[test]
    fn a_refused_kind_may_come_where_it_was_listed_or_the_rights_may_be_new() {
        for (code, listed, new, long) in [
            (403, false, false, Duration::ZERO),
            (403, false, true, REFUSED_AT_FIRST),
            (404, false, true, Duration::ZERO),
            (404, true, false, REFUSED_FOR),
        ] {
            assert_eq!(patience(code, listed, new), long, "{code} {listed}");
        }
    }

    #[test]
    fn a_watch_that_was_let_through_and_lasted_has_gone_well() {
        let went_well = |answered, lasted| {
            let at = Position {
                resource_version: "5".to_owned(),
                listing: None,
                by_pages: false,
                answered,
                listed: true,
            };
            at.went_well(lasted)
        };
        assert!(went_well(true, SHORTEST));
        assert!(!went_well(true, SHORTEST / 2), "it told and hung up");
        assert!(!went_well(false, SILENCE), "nobody answered for long");
    }

    #[test]
    fn a_version_is_as_short_as_one_is() {
        assert_eq!(sane_version("12").ok(), Some("12"));
        assert!(sane_version(&"1".repeat(MAX_VERSION + 1)).is_err());
    }
}
