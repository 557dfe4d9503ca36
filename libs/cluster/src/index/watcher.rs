//! The watch of one kind, in a namespace or everywhere: list it as a stream, follow it, begin again where that is needed.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf as _, BytesMut};
use domain::resource::{GroupKind, ResourceKey};
use futures::StreamExt as _;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use super::Change;
use super::entry::{Reader, is_metadata_only, version_number};
use super::watched::{Events, Held};
use crate::discovery::ApiKind;
use crate::error::{Error, Refusal};
use crate::transport::{Identity, Transport};
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
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// A buffer that an event has made larger than this is not kept for the next.
const LARGE_BUFFER: usize = 64 << 10;

const FULL: &str = "application/json";
const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

/// Follows one kind.
pub(super) struct Watcher {
    pub(super) transport: Transport,
    pub(super) reader: Arc<Reader>,
    pub(super) changes: mpsc::Sender<Change>,
    /// Told when a watch fails, so that the connection is looked at.
    pub(super) trouble: Arc<tokio::sync::Notify>,
    pub(super) kind: ApiKind,
    /// Where; the empty one is everywhere.
    pub(super) namespace: Box<str>,
    /// What may be held of events.
    pub(super) events: Arc<Events>,
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
    /// The kind is gone, or may not be watched.
    Stop,
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
    listing: Option<HashSet<ResourceKey>>,
    by_pages: bool,
    /// Whether anything came since the last failure.
    lively: bool,
    /// Whether a listing has ended well since the watch began.
    listed: bool,
}

impl Watcher {
    /// Runs until the kind is gone or nobody takes its changes.
    pub(super) async fn run(self) {
        let mut at = Position {
            resource_version: String::new(),
            listing: None,
            by_pages: false,
            lively: false,
            listed: false,
        };
        let mut wait = FIRST_WAIT;
        let mut refused_since = None;
        while !self.changes.is_closed() {
            let next = self.follow(&mut at).await;
            if !matches!(next, Ok(Next::Stop)) {
                refused_since = None;
            }
            match next {
                Ok(Next::Resume) => wait = FIRST_WAIT,
                Ok(Next::Relist) => at.resource_version.clear(),
                Ok(Next::ListByPages) => {
                    at.by_pages = true;
                    at.resource_version.clear();
                    continue;
                }
                Ok(Next::Stop)
                    if at.listed
                        && refused_since.get_or_insert_with(Instant::now).elapsed()
                            < REFUSED_FOR => {}
                Ok(Next::Stop) => {
                    let _ = self.changes.send(self.nothing()).await;
                    return;
                }
                Err(error) => {
                    self.trouble.notify_one();
                    tracing::debug!(kind = %self.kind.group_kind(), %error, "a watch ended");
                    if at.lively {
                        wait = FIRST_WAIT;
                    }
                    at.lively = false;
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(LONGEST_WAIT);
                    continue;
                }
            }
            // A server that ends every stream at once must not be asked in a tight loop.
            if !at.lively {
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(LONGEST_WAIT);
            }
            at.lively = false;
        }
    }

    /// That there is nothing of it to be seen. In one namespace that says nothing of the others.
    fn nothing(&self) -> Change {
        let kind = self.kind.group_kind();
        match self.namespace.is_empty() {
            true => Change::Dropped { kind },
            false => Change::Listed {
                kind,
                namespace: self.namespace.clone(),
                resource_version: u64::MAX,
                keys: HashSet::new(),
            },
        }
    }

    async fn follow(&self, at: &mut Position) -> Result<Next, Error> {
        let listing = at.resource_version.is_empty();
        if listing && at.by_pages {
            match self.list().await {
                Ok(resource_version) => {
                    at.resource_version = resource_version;
                    at.lively = true;
                    at.listed = true;
                }
                Err(Error::Refused(refusal)) => return refused(&refusal, listing),
                Err(error) => return Err(error),
            }
        }
        let streamed = listing && !at.by_pages;
        at.listing = streamed.then(HashSet::new);
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
        let mut stream = match self
            .transport
            .stream(&Identity::default(), &path, accept)
            .await
        {
            Ok(stream) => stream,
            Err(Error::Refused(refusal)) => return refused(&refusal, streamed),
            Err(error) => return Err(error),
        };
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
                Err(_) => {
                    return Err(self
                        .transport
                        .unreachable("the watch has been silent for too long"));
                }
            };
            buffer.extend_from_slice(&chunk);
            while let Some(end) = buffer[searched..]
                .iter()
                .position(|byte| *byte == b'\n')
                .map(|end| searched + end)
            {
                if let Some(next) = self.event(&buffer[..end], at).await? {
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
    async fn event(&self, line: &[u8], at: &mut Position) -> Result<Option<Next>, Error> {
        if line.is_empty() {
            return Ok(None);
        }
        let broken =
            |error: serde_json::Error| Error::NotUnderstood(format!("a watch event: {error}"));
        let event: Event<'_> = serde_json::from_slice(line).map_err(broken)?;
        if event.kind == "ERROR" {
            let refusal = Refusal::read(code_of(event.object.get()), event.object.get().as_bytes());
            // A list that takes the server too long and a version that it no longer has are both told here.
            return match refusal.code {
                404 | 405 | 410 => Ok(Some(Next::Relist)),
                _ => Err(Error::Refused(Box::new(refusal))),
            };
        }
        at.lively = true;
        let object: Value = serde_json::from_str(event.object.get()).map_err(broken)?;
        let resource_version = domain::resource::text(&object, &["metadata", "resourceVersion"]);
        let number = version_number(resource_version);
        match event.kind {
            "BOOKMARK" => {
                let ended = domain::resource::annotation(&object, "k8s.io/initial-events-end")
                    == Some("true");
                if ended && let Some(keys) = at.listing.take() {
                    at.listed = true;
                    self.send(Change::Listed {
                        kind: self.kind.group_kind(),
                        namespace: self.namespace.clone(),
                        resource_version: number,
                        keys,
                    })
                    .await?;
                }
            }
            "DELETED" => {
                if let Some(key) = self.key(&object) {
                    if let Some(keys) = &mut at.listing {
                        keys.remove(&key);
                    }
                    self.send(Change::Gone {
                        key,
                        resource_version: number,
                    })
                    .await?;
                }
            }
            _ => {
                if let Some(key) = self.seen(&object).await?
                    && let Some(keys) = &mut at.listing
                {
                    keys.insert(key);
                }
            }
        }
        // Inside a listing the objects' versions are in no order; only its end gives one to go on from.
        if at.listing.is_none() && !resource_version.is_empty() {
            at.resource_version = resource_version.to_owned();
        }
        Ok(None)
    }

    async fn seen(&self, object: &Value) -> Result<Option<ResourceKey>, Error> {
        let version: Arc<str> = self.kind.version.as_str().into();
        let Some(entry) = self
            .reader
            .read(object, &self.kind.group, &self.kind.kind, &version)
        else {
            return Ok(None);
        };
        let key = entry.key.clone();
        self.send(Change::Seen(Arc::new(entry))).await?;
        Ok(Some(key))
    }

    /// Lists by pages, for servers that do not list as a stream.
    async fn list(&self) -> Result<String, Error> {
        let mut keys = HashSet::new();
        let mut more = String::new();
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
            let page: Page = self
                .transport
                .get(&Identity::default(), &path, accept)
                .await?
                .json()?;
            for item in &page.items {
                let object: Value = serde_json::from_str(item.get())
                    .map_err(|error| Error::NotUnderstood(error.to_string()))?;
                keys.extend(self.seen(&object).await?);
            }
            more = page.metadata.r#continue;
            if more.is_empty() {
                let resource_version = version_number(&page.metadata.resource_version);
                self.send(Change::Listed {
                    kind: self.kind.group_kind(),
                    namespace: self.namespace.clone(),
                    resource_version,
                    keys,
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
        (!key.name.is_empty()).then_some(key)
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
        403..=405 => Ok(Next::Stop),
        _ => Err(Error::Refused(Box::new(refusal.clone()))),
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
