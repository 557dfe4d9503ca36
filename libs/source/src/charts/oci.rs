//! An OCI registry: its tags, the manifests that tags and digests name, and the archives of those.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use domain::cause::Cause;
use domain::message;
use domain::repository::is_digest;
use reqwest::StatusCode;
use reqwest::header::{ACCEPT, HeaderName, HeaderValue, LINK, WWW_AUTHENTICATE};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use sha2::{Digest, Sha256};
use url::Url;

use super::http::{Answer, Get, get, refusal};
use crate::error::{Error, Kind};
use crate::git::{Access, Clients};

/// The most bytes of a manifest, of a page of tags, of a token.
const MAX_DOCUMENT: usize = 4 << 20;
/// The most pages of tags, and the most tags.
const MAX_PAGES: usize = 100;
const MAX_TAGS: usize = 100_000;
/// The longest tag, in bytes, as the distribution specification has it.
const MAX_TAG: usize = 128;
/// What a chart's archive is called in a manifest, now and once.
const CHART_LAYERS: [&str; 2] = [
    "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
    "application/tar+gzip",
];
/// Lists of manifests too: that one stands there is to be said, not that nothing does.
const MANIFESTS: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json, \
                         application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json";
/// In which a registry says what a tag is.
const DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// A registry, spoken to with one login, and a token that it gave for it.
pub(super) struct Registry<'a> {
    clients: &'a Clients,
    access: &'a Access,
    /// `charts/web` of `registry.example.com/charts/web`; empty for the registry itself.
    name: String,
    authorization: Option<HeaderValue>,
}

#[derive(Deserialize)]
struct Tags {
    tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

/// What a tag or a digest names.
#[derive(Debug, Deserialize)]
pub(super) struct Manifest {
    #[serde(default)]
    pub(super) layers: Vec<Layer>,
    /// Those that a list of manifests names.
    #[serde(default)]
    manifests: Vec<IgnoredAny>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

/// An archive, or another part of an image.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Layer {
    pub(super) media_type: String,
    digest: String,
    pub(super) size: u64,
}

impl Manifest {
    /// Whether it only names others, one for each platform.
    pub(super) fn is_list(&self) -> bool {
        self.layers.is_empty() && !self.manifests.is_empty()
    }

    /// A note of whoever published it; empty where there is none.
    pub(super) fn note(&self, name: &str) -> String {
        let notes = self.annotations.as_ref();
        notes
            .and_then(|notes| notes.get(name))
            .cloned()
            .unwrap_or_default()
    }
}

impl Layer {
    /// The SHA-256 of its bytes; `None` where it is named by something else.
    pub(super) fn sha256(&self) -> Option<String> {
        let hex = self.digest.strip_prefix("sha256:")?;
        let right = hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit());
        right.then(|| hex.to_ascii_lowercase())
    }
}

/// What to ask a registry for.
#[derive(Clone, Copy)]
struct Question<'q> {
    path: &'q str,
    accept: &'q str,
    head: bool,
    limit: usize,
    what: &'q str,
}

impl<'q> Question<'q> {
    fn document(path: &'q str, what: &'q str) -> Self {
        Self {
            path,
            accept: "",
            head: false,
            limit: MAX_DOCUMENT,
            what,
        }
    }
}

impl<'a> Registry<'a> {
    /// The repository of a chart below the address that is connected.
    pub(super) fn new(
        clients: &'a Clients,
        access: &'a Access,
        chart: &str,
    ) -> Result<Self, Error> {
        let base = Url::parse(access.url()).map_err(Error::internal)?;
        let mut name = base.path().trim_matches('/').to_owned();
        if !chart.is_empty() {
            if !name.is_empty() {
                name.push('/');
            }
            name.push_str(chart);
        }
        if !name.is_empty() && !is_name(&name) {
            return Err(Error::new(
                Kind::Invalid,
                message::chart::NAME_REFUSED.with("chart", chart),
            ));
        }
        let bearer = access.login.credentials.bearer_token.as_ref();
        let authorization =
            bearer.and_then(|token| sensitive(&format!("Bearer {}", token.expose_str())));
        Ok(Self {
            clients,
            access,
            name,
            authorization,
        })
    }

    /// Whether the registry lets this login in.
    pub(super) async fn ping(&mut self) -> Result<(), Error> {
        let answer = self.ask(Question::document("/v2/", "an answer")).await?;
        match answer.status {
            StatusCode::OK => Ok(()),
            status => Err(refusal(self.access, status)),
        }
    }

    /// The versions: the tags, with `+` where the registry has to write `_`.
    pub(super) async fn tags(&mut self) -> Result<Vec<String>, Error> {
        let mut path = format!("/v2/{}/tags/list", self.name);
        let mut all: Vec<String> = Vec::new();
        for _ in 0..MAX_PAGES {
            let question = Question::document(&path, "a list of tags");
            let answer = self.ask(question).await?;
            let page: Tags = self.document(&answer)?;
            let tags = page.tags.unwrap_or_default();
            // A longer one is none that could be asked for.
            let tags = tags.iter().filter(|tag| tag.len() <= MAX_TAG);
            all.extend(tags.map(|tag| tag.replace('_', "+")));
            if all.len() > MAX_TAGS {
                let message = message::source::TOO_LARGE
                    .with("what", "the list of tags")
                    .with("limit", MAX_TAGS);
                return Err(Error::new(Kind::TooLarge, message));
            }
            match next(&answer, self.access) {
                Some(next) => path = next,
                None => break,
            }
        }
        Ok(all)
    }

    /// The digest and size of the archive of a version.
    pub(super) async fn layer(&mut self, version: &str) -> Result<(String, u64), Error> {
        let tag = tag(version).ok_or_else(|| {
            let reason = format!("`{version}` cannot be a tag");
            self.broken(&reason)
        })?;
        let (manifest, _) = self.manifest(&tag).await?;
        let layer = manifest
            .layers
            .into_iter()
            .find(|layer| CHART_LAYERS.contains(&layer.media_type.as_str()))
            .ok_or_else(|| self.broken("the manifest has no chart in it"))?;
        let digest = layer
            .sha256()
            .ok_or_else(|| self.broken("the manifest names the chart by no SHA-256"))?;
        Ok((digest, layer.size))
    }

    /// What a tag or a digest names, and the SHA-256 of that.
    pub(super) async fn manifest(&mut self, reference: &str) -> Result<(Manifest, String), Error> {
        let path = format!("/v2/{}/manifests/{reference}", self.name);
        let question = Question {
            accept: MANIFESTS,
            ..Question::document(&path, "a manifest")
        };
        let answer = self.ask(question).await?;
        let manifest = self.document(&answer)?;
        Ok((manifest, hex::encode(Sha256::digest(&answer.body))))
    }

    /// The digest that a tag is now; `None` where there is no such tag.
    pub(super) async fn digest(&mut self, tag: &str) -> Result<Option<String>, Error> {
        let path = format!("/v2/{}/manifests/{tag}", self.name);
        let question = Question {
            accept: MANIFESTS,
            // Asking what it is costs nothing of the quota that many registries have for fetching it.
            head: true,
            ..Question::document(&path, "a manifest")
        };
        let answer = self.ask(question).await?;
        match answer.status {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            status => return Err(refusal(self.access, status)),
        }
        let said = answer.headers.get(DIGEST);
        let said = said.and_then(|value| value.to_str().ok()).map(str::trim);
        if let Some(digest) = said.filter(|digest| is_digest(digest)) {
            return Ok(Some(digest.to_owned()));
        }
        let (_, digest) = self.manifest(tag).await?;
        Ok(Some(format!("sha256:{digest}")))
    }

    /// A blob by its digest; whether it is that blob is for the caller to see.
    pub(super) async fn blob(&mut self, digest: &str, limit: usize) -> Result<Bytes, Error> {
        let path = format!("/v2/{}/blobs/sha256:{digest}", self.name);
        let question = Question {
            limit,
            ..Question::document(&path, "an archive")
        };
        let answer = self.ask(question).await?;
        match answer.status {
            StatusCode::OK => Ok(answer.body),
            status => Err(refusal(self.access, status)),
        }
    }

    fn document<T: DeserializeOwned>(&self, answer: &Answer) -> Result<T, Error> {
        if answer.status != StatusCode::OK {
            return Err(refusal(self.access, answer.status));
        }
        serde_json::from_slice(&answer.body).map_err(|error| self.broken(&error.to_string()))
    }

    fn broken(&self, reason: &str) -> Error {
        let message = message::chart::REGISTRY_BROKEN
            .with("url", self.access.shown())
            .with("reason", reason);
        Error::new(Kind::Invalid, message)
    }

    /// Asks; where the registry wants a login, once more with one.
    async fn ask(&mut self, question: Question<'_>) -> Result<Answer, Error> {
        let answer = self.once(question).await?;
        // What the registry sends on to somebody else is not theirs to ask a login for.
        if answer.status != StatusCode::UNAUTHORIZED || !answer.at_home {
            return Ok(answer);
        }
        let challenges = answer.headers.get_all(WWW_AUTHENTICATE);
        let challenges: Vec<String> = challenges
            .iter()
            .filter_map(|value| value.to_str().ok().map(str::to_owned))
            .collect();
        let Some(authorization) = self.answer(&challenges).await? else {
            return Ok(answer);
        };
        self.authorization = Some(authorization);
        self.once(question).await
    }

    async fn once(&self, question: Question<'_>) -> Result<Answer, Error> {
        let Question {
            path,
            accept,
            head,
            limit,
            what,
        } = question;
        let base = Url::parse(self.access.url()).map_err(Error::internal)?;
        let url = base.join(path).map_err(Error::internal)?;
        let accept = (!accept.is_empty()).then(|| (ACCEPT, accept.to_owned()));
        let asked = Get {
            url,
            head,
            headers: accept.into_iter().collect(),
            authorization: self.authorization.clone(),
            limit,
            what,
        };
        get(self.clients, self.access, asked).await
    }

    /// What a challenge wants: the login itself, or a token that is asked for where it says.
    async fn answer(&self, challenges: &[String]) -> Result<Option<HeaderValue>, Error> {
        let login = self.access.basic();
        for challenge in challenges {
            let (scheme, rest) = challenge.split_once(' ').unwrap_or((challenge, ""));
            if scheme.eq_ignore_ascii_case("basic") {
                return Ok(login);
            }
            if !scheme.eq_ignore_ascii_case("bearer") {
                continue;
            }
            let asked = parameters(rest);
            let value = |name: &str| {
                let found = asked.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
                found.map(|(_, value)| value.as_str())
            };
            let realm = value("realm").and_then(|realm| Url::parse(realm).ok());
            let Some(mut realm) = realm else {
                return Err(self.broken("it asks for a token and does not say where"));
            };
            let secure = self.access.url().starts_with("https://");
            if !matches!(realm.scheme(), "https" | "http") || (secure && realm.scheme() != "https")
            {
                return Err(self.broken("it asks for a token where there is no TLS"));
            }
            let scope = format!("repository:{}:pull", self.name);
            {
                let mut query = realm.query_pairs_mut();
                if let Some(service) = value("service") {
                    query.append_pair("service", service);
                }
                let asked = value("scope").map(str::to_owned);
                if let Some(scope) = asked.or((!self.name.is_empty()).then_some(scope)) {
                    query.append_pair("scope", &scope);
                }
            }
            let asked = Get {
                url: realm,
                head: false,
                headers: Vec::new(),
                authorization: login,
                limit: MAX_DOCUMENT,
                what: "a token",
            };
            let answer = get(self.clients, self.access, asked).await?;
            let token: Token = self.document(&answer)?;
            let token = token.token.or(token.access_token).unwrap_or_default();
            return sensitive(&format!("Bearer {token}"))
                .map(Some)
                .ok_or_else(|| self.broken("its token is none"));
        }
        Ok(None)
    }
}

impl Access {
    /// The login of a repository over HTTP: its token, or as basic authentication sends it.
    pub(super) fn login_header(&self) -> Option<HeaderValue> {
        match &self.login.credentials.bearer_token {
            Some(token) => sensitive(&format!("Bearer {}", token.expose_str())),
            None => self.basic(),
        }
    }

    /// The login as basic authentication sends it; `None` where there is none.
    pub(super) fn basic(&self) -> Option<HeaderValue> {
        let credentials = &self.login.credentials;
        if credentials.username.is_empty() && credentials.password.is_none() {
            return None;
        }
        let password = credentials.password.as_ref();
        let password = password.map_or("", |password| password.expose_str());
        let pair = format!("{}:{password}", credentials.username);
        sensitive(&format!("Basic {}", BASE64_STANDARD.encode(pair)))
    }
}

/// A header's value that no log shows.
pub(super) fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The next page, of the same registry.
fn next(answer: &Answer, access: &Access) -> Option<String> {
    let link = answer.headers.get(LINK)?.to_str().ok()?;
    let (target, relation) = link.strip_prefix('<')?.split_once('>')?;
    if !relation.contains("next") {
        return None;
    }
    let base = Url::parse(access.url()).ok()?;
    let next = base.join(target).ok()?;
    let query = next.query().map(|query| format!("?{query}"));
    // Two slashes would begin with another host.
    (next.origin() == base.origin() && !next.path().starts_with("//"))
        .then(|| format!("{}{}", next.path(), query.unwrap_or_default()))
}

/// `key="value", key=value`.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut rest = text;
    while let Some((key, after)) = rest.split_once('=') {
        let key = key.trim_matches([' ', ',']).to_owned();
        let (value, behind) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(',').unwrap_or((after, "")),
        };
        all.push((key, value.to_owned()));
        rest = behind;
    }
    all
}

/// The tag of a version, with `_` where a version has `+`; `None` for what can be no tag.
pub(super) fn tag(version: &str) -> Option<String> {
    let tag = version.replace('+', "_");
    let first = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let word = |b: u8| first(b) || matches!(b, b'.' | b'-');
    let right =
        tag.len() <= MAX_TAG && tag.bytes().next().is_some_and(first) && tag.bytes().all(word);
    right.then_some(tag)
}

/// Whether it is a repository's name as registries have it.
pub(super) fn is_name(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let part = |part: &str| {
        let bytes = part.as_bytes();
        bytes.first().copied().is_some_and(plain)
            && bytes.last().copied().is_some_and(plain)
            && bytes
                .iter()
                .all(|b| plain(*b) || matches!(b, b'.' | b'_' | b'-'))
            && !part.contains("..")
    };
    text.len() <= 255 && text.split('/').all(part)
}

/// Whether bytes are those of a digest.
pub(super) fn is_digest_of(digest: &str, bytes: &[u8]) -> bool {
    let digest = digest.strip_prefix("sha256:").unwrap_or(digest);
    hex::encode(Sha256::digest(bytes)).eq_ignore_ascii_case(digest)
}

/// A failure of a registry at a chart: where there is no repository, there is no such chart.
pub(super) fn of_chart(error: Error, access: &Access, chart: &str) -> Error {
    if error.kind() != Kind::NotFound {
        return error;
    }
    let message = message::chart::NOT_FOUND
        .with("url", access.shown())
        .with("chart", chart);
    Error::of(Kind::NotFound, Cause::error(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_repositories_are_those_of_registries() {
        for good in ["web", "team/charts/web", "a.b/c-d/e_f/g__h"] {
            assert!(is_name(good), "{good}");
        }
        for bad in [
            "", "Web", "../x", "a/../b", "a..b", "a//b", "a/", "a b", "a?b", "a%2e", "-a", "a:b",
        ] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn a_tag_is_what_registries_take_for_one() {
        assert_eq!(tag("1.0.0+a").as_deref(), Some("1.0.0_a"));
        assert_eq!(tag("_x").as_deref(), Some("_x"));
        for bad in [
            "",
            ".x",
            "-x",
            "a/b",
            "a:b",
            "../x",
            "a b",
            "sha256:00",
            "%2e",
        ] {
            assert_eq!(tag(bad), None, "{bad}");
        }
        assert_eq!(tag(&"a".repeat(129)), None);
    }

    #[test]
    fn challenges_are_read_with_and_without_quotes() {
        let read = parameters(r#"realm="https://auth/token?x=1",service="reg, one", scope=pull"#);
        let shown: Vec<(&str, &str)> = read.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(
            shown,
            [
                ("realm", "https://auth/token?x=1"),
                ("service", "reg, one"),
                ("scope", "pull")
            ]
        );
    }
}
