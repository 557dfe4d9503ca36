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
}

impl State {
    /// Makes room for a document of so many bytes, by forgetting those that nobody wants now. `false` where that does not help.
    fn make_room(&mut self, bytes: usize, wanted: &[(String, String)], most: usize) -> bool {
        let kept = |state: &Self| state.loaded.values().map(|one| one.bytes).sum::<usize>();
        if kept(self).saturating_add(bytes) > most {
            let unwanted = self.loaded.keys().filter(|key| !wanted.contains(key));
            for key in unwanted.cloned().collect::<Vec<_>>() {
                self.forget(&key);
            }
        }
        kept(self).saturating_add(bytes) <= most
    }

    fn forget(&mut self, key: &(String, String)) {
        if self.loaded.remove(key).is_some() {
            Arc::make_mut(&mut self.set).remove(&key.0, &key.1);
        }
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
        for (group, version) in wanted {
            self.ensure(&mut state, wanted, group, version).await?;
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

    async fn ensure(
        &self,
        state: &mut State,
        wanted: &[(String, String)],
        group: &str,
        version: &str,
    ) -> Result<(), Error> {
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
        if !state.make_room(bytes, wanted, most) {
            return Err(Error::NotUnderstood("more schemas than are kept".into()));
        }
        Arc::make_mut(&mut state.set).insert(group, version, Arc::new(document));
        state.unread.remove(&key);
        state.loaded.insert(key, Loaded { address, bytes });
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
    fn there_is_room_for_so_many_documents() {
        let key = |version: &str| ("example.com".to_owned(), version.to_owned());
        let mut state = State::default();
        for version in ["v1", "v2"] {
            let (group, version) = key(version);
            Arc::make_mut(&mut state.set).insert(&group, &version, Arc::default());
            let address = String::new();
            let loaded = Loaded { address, bytes: 40 };
            state.loaded.insert((group, version), loaded);
        }
        assert!(state.make_room(20, &[key("v3")], 100));
        assert_eq!(state.loaded.len(), 2, "there was room");
        let all = [key("v1"), key("v2"), key("v3")];
        assert!(!state.make_room(21, &all, 100), "all are wanted");
        assert!(state.make_room(21, &[key("v2"), key("v3")], 100));
        assert!(state.set.has("example.com", "v2") && !state.set.has("example.com", "v1"));
    }
}
