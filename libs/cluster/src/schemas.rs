//! The cluster's OpenAPI documents, fetched when first needed and again only when their hash changes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use domain::schema::{Document, SchemaSet};
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::time::Instant;

use crate::error::Error;
use crate::transport::{Answer, Identity, Transport};

const JSON: &str = "application/json";
/// The list of documents is asked for again after this long.
const FRESH: Duration = Duration::from_secs(60);
/// Kinds are published some time before their documents: while they change, or when one is missing, this long.
const RESTLESS: Duration = Duration::from_millis(500);
/// What could not be renewed is not asked for again so long: every look asks for schemas, one after the other.
const UNREAD: Duration = Duration::from_secs(5);
/// All documents that are kept are no larger than so many of the largest answers.
const LARGEST_ANSWERS: usize = 4;
/// How long after a change of kinds their documents may still change.
const SETTLING: Duration = Duration::from_secs(10);

pub(crate) struct Schemas {
    transport: Transport,
    /// Until when documents may change at any moment.
    settling: Mutex<Option<Instant>>,
    state: tokio::sync::Mutex<State>,
}

#[derive(Default)]
struct State {
    /// `apis/apps/v1` -> its address, whose query is a hash of the content.
    addresses: HashMap<String, String>,
    asked: Option<Instant>,
    loaded: HashMap<(String, String), Loaded>,
    /// How many have asked for schemas.
    asks: u64,
    /// The address that another one of these could not be read from, and when.
    unread: HashMap<(String, String), (String, Instant)>,
    set: Arc<SchemaSet>,
}

/// A document that is kept.
struct Loaded {
    /// Where it came from.
    address: String,
    /// How large it was.
    bytes: usize,
    /// Who wanted it last.
    wanted: u64,
}

impl State {
    /// Makes room for a document of so many bytes, by forgetting those first that nobody has wanted for longest: what every
    /// application wants is not to be read anew for each. `false` where only such are left as are wanted now.
    fn make_room(&mut self, bytes: usize, most: usize) -> bool {
        let kept: usize = self.loaded.values().map(|one| one.bytes).sum();
        let mut needed = kept.saturating_add(bytes);
        let mut unwanted: Vec<(u64, (String, String))> = self
            .loaded
            .iter()
            .filter(|(_, one)| one.wanted < self.asks)
            .map(|(key, one)| (one.wanted, key.clone()))
            .collect();
        unwanted.sort_unstable();
        for (_, key) in unwanted {
            if needed <= most {
                break;
            }
            needed = needed.saturating_sub(self.forget(&key));
        }
        needed <= most
    }

    /// Notes that these are wanted now.
    fn want(&mut self, wanted: &[(String, String)]) {
        self.asks += 1;
        for key in wanted {
            if let Some(loaded) = self.loaded.get_mut(key) {
                loaded.wanted = self.asks;
            }
        }
    }

    /// Forgets a document; how large it was.
    fn forget(&mut self, key: &(String, String)) -> usize {
        let Some(forgotten) = self.loaded.remove(key) else {
            return 0;
        };
        Arc::make_mut(&mut self.set).remove(&key.0, &key.1);
        forgotten.bytes
    }
}

#[derive(Deserialize)]
struct Listing {
    paths: HashMap<String, Listed>,
}

#[derive(Deserialize)]
struct Listed {
    #[serde(rename = "serverRelativeURL")]
    address: String,
}

impl Schemas {
    pub(crate) fn new(transport: Transport) -> Self {
        Self {
            transport,
            settling: Mutex::default(),
            state: tokio::sync::Mutex::default(),
        }
    }

    /// Kinds changed: the next callers ask again.
    pub(crate) fn expire(&self) {
        *self.settling.lock() = Some(Instant::now() + SETTLING);
    }

    pub(crate) async fn load(&self, wanted: &[(String, String)]) -> Result<Arc<SchemaSet>, Error> {
        let mut state = self.state.lock().await;
        let settling = self
            .settling
            .lock()
            .is_some_and(|until| Instant::now() < until);
        let missing = wanted
            .iter()
            .any(|(group, version)| !state.addresses.contains_key(&path(group, version)));
        let patience = if settling || missing { RESTLESS } else { FRESH };
        if state.asked.is_none_or(|asked| asked.elapsed() > patience) {
            match self.listing().await {
                Ok(addresses) => {
                    state.addresses = addresses;
                    state.asked = Some(Instant::now());
                }
                Err(error) if state.asked.is_none() => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, "the cluster's schemas could not be checked, the known ones stay");
                }
            }
        }
        state.want(wanted);
        for (group, version) in wanted {
            self.ensure(&mut state, group, version).await?;
        }
        Ok(Arc::clone(&state.set))
    }

    async fn listing(&self) -> Result<HashMap<String, String>, Error> {
        let listing: Listing = self
            .transport
            .get(&Identity::default(), "/openapi/v3", JSON)
            .await?
            .json()?;
        Ok(listing
            .paths
            .into_iter()
            .map(|(path, listed)| (path, listed.address))
            .collect())
    }

    /// A document as it is now. An address names the content that was listed, and the server gives no other one there; by the
    /// path alone it gives whatever there is. To list anew would not help at once: a server that lists for others does so a
    /// moment later than they change.
    async fn document(&self, address: &str) -> Result<Answer, Error> {
        let nobody = Identity::default();
        let asked = self.transport.get(&nobody, address, JSON).await;
        match (asked, address.split_once('?')) {
            (Err(error), Some((path, _))) if has_moved(&error) => {
                self.transport.get(&nobody, path, JSON).await
            }
            (asked, _) => asked,
        }
    }

    /// A document as it is read, and how large it was.
    async fn read(&self, address: &str) -> Result<(Document, usize), Error> {
        let body = self.document(address).await?.body;
        let bytes = body.len();
        // A large document takes tens of milliseconds; the workers have other things to do.
        let parsed = tokio::task::spawn_blocking(move || Document::from_open_api(&body)).await;
        let document = parsed
            .map_err(|error| Error::NotUnderstood(error.to_string()))?
            .map_err(|error| Error::NotUnderstood(error.to_string()))?;
        Ok((document, bytes))
    }

    async fn ensure(&self, state: &mut State, group: &str, version: &str) -> Result<(), Error> {
        let key = (group.to_owned(), version.to_owned());
        let Some(address) = state.addresses.get(&path(group, version)).cloned() else {
            state.unread.remove(&key);
            state.forget(&key);
            return Ok(());
        };
        if state.loaded.get(&key).map(|loaded| &loaded.address) == Some(&address) {
            return Ok(());
        }
        let unread = state.unread.get(&key).filter(|(from, _)| *from == address);
        if unread.is_some_and(|(_, tried)| tried.elapsed() < UNREAD) {
            return Ok(());
        }
        let (document, bytes) = match self.read(&address).await {
            Ok(document) => document,
            Err(error) if state.loaded.contains_key(&key) => {
                tracing::warn!(%error, group, version, "a schema could not be renewed, the known one stays");
                state.unread.insert(key, (address, Instant::now()));
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let most = LARGEST_ANSWERS.saturating_mul(self.transport.largest_answer());
        // The one in its place goes in any case.
        state.forget(&key);
        if !state.make_room(bytes, most) {
            return Err(Error::NotUnderstood("more schemas than are kept".into()));
        }
        Arc::make_mut(&mut state.set).insert(group, version, Arc::new(document));
        state.unread.remove(&key);
        let wanted = state.asks;
        let loaded = Loaded {
            address,
            bytes,
            wanted,
        };
        state.loaded.insert(key, loaded);
        Ok(())
    }
}

/// Whether it is asked for elsewhere.
fn has_moved(error: &Error) -> bool {
    error.code().is_some_and(|code| (301..=308).contains(&code))
}

/// What the list calls a group's version.
fn path(group: &str, version: &str) -> String {
    if group.is_empty() {
        format!("api/{version}")
    } else {
        format!("apis/{group}/{version}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_has_wanted_for_longest_goes_first() {
        let key = |version: &str| ("example.com".to_owned(), version.to_owned());
        let mut state = State::default();
        for version in ["v1", "v2", "v3"] {
            let (group, version) = key(version);
            Arc::make_mut(&mut state.set).insert(&group, &version, Arc::default());
            let loaded = Loaded {
                address: String::new(),
                bytes: 30,
                wanted: 0,
            };
            state.loaded.insert((group, version), loaded);
        }
        state.want(&[key("v1"), key("v3")]);
        state.want(&[key("v1"), key("v4")]);
        let left =
            |state: &State| ["v1", "v2", "v3"].map(|version| state.set.has("example.com", version));
        assert!(state.make_room(10, 100));
        assert_eq!(left(&state), [true; 3], "there was room");
        assert!(state.make_room(11, 100));
        assert_eq!(left(&state), [true, false, true], "no more than needed");
        assert!(state.make_room(70, 100));
        assert_eq!(left(&state), [true, false, false]);
        assert!(!state.make_room(71, 100), "it is wanted now");
        assert_eq!(
            (left(&state), state.loaded.len()),
            ([true, false, false], 1)
        );
    }
}
