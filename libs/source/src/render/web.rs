//! Files of web servers, which options and kustomizations name by their addresses.

use domain::cause::Cause;
use domain::message;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::reader::Reader;
use super::renderer::RenderInput;
use crate::charts;
use crate::error::{Error, Kind};

/// The largest file, as one in a repository.
const MAX_FILE: usize = 16 << 20;
/// How long a file stays what it was, in seconds: as a listing does.
const HOLDS: i64 = 180;
/// The longest address, in bytes.
const MAX_ADDRESS: usize = 2_000;

/// How the names begin under which files are seen in folders.
pub(super) const MARK: &str = "+web-";

/// A file as a render got it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct WebFile {
    /// The credential with which it was asked for.
    pub(super) scope: String,
    /// The SHA-256 of its content.
    pub(super) digest: String,
    /// When it has to be asked for again, in Unix seconds.
    pub(super) until: i64,
}

impl WebFile {
    /// Whether it need not be asked for again.
    pub(super) fn holds(&self, url: &str, input: &RenderInput) -> bool {
        let mut ways = input.remotes.iter();
        input.now < self.until
            && ways.any(|access| access.url() == url && access.scope() == self.scope)
    }
}

/// Whether a text is an address of a web server.
pub(super) fn is_address(text: &str) -> bool {
    let begins = |scheme: &str| {
        let start = text.get(..scheme.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    begins("https://") || begins("http://")
}

/// The name under which a file is seen in a folder; no file of a repository is called so by chance.
pub(super) fn name(url: &str) -> String {
    let hash = hex::encode(&Sha256::digest(url)[..16]);
    let last = url.rsplit('/').next().unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    let last: String = last.chars().filter(|c| plain(*c)).take(100).collect();
    format!("{MARK}{hash}-{last}")
}

/// Fetches files unless they are at hand. Blocks; only on a thread where that is allowed.
///
/// # Errors
/// When one cannot be had. The addresses to which there is no way are told all at once.
pub(super) fn bring<'a>(
    reader: &Reader<'_, '_>,
    urls: impl IntoIterator<Item = &'a str>,
) -> Result<(), Error> {
    let mut wanted: Vec<String> = Vec::new();
    for url in urls {
        if reader.has_web(url) || wanted.iter().any(|known| known == url) {
            continue;
        }
        if url.len() > MAX_ADDRESS {
            return Err(failed(&url[..url.floor_char_boundary(200)]));
        }
        let Some(access) = reader.trees().offered(url)? else {
            wanted.push(url.to_owned());
            continue;
        };
        let fetching = charts::file(reader.trees().mirrors(), access, MAX_FILE);
        let fetched = reader
            .trees()
            .wait(access, &message::source::WEB_FILE_TIMEOUT, fetching);
        let bytes = fetched.map_err(|error| explained(error, access.shown()))?;
        let file = WebFile {
            scope: access.scope().to_owned(),
            digest: hex::encode(Sha256::digest(&bytes)),
            until: reader.now() + HOLDS,
        };
        reader.keep_web(url, &bytes, file)?;
    }
    match wanted.first() {
        Some(first) => {
            let error = failed(&domain::repository::without_passwords(first));
            Err(error.wanting(wanted))
        }
        None => Ok(()),
    }
}

fn failed(url: &str) -> Error {
    Error::new(Kind::NotFound, message::source::WEB_FILE.with("url", url))
}

/// What speaks of chart repositories, said of a file.
fn explained(error: Error, url: &str) -> Error {
    error.map(|cause| {
        let said = &cause.message;
        if !said.code.starts_with("chart.") {
            return cause;
        }
        let argument = |name: &str| said.arguments.get(name).map_or("?", String::as_str);
        if said.is(&message::chart::TIMEOUT) {
            let late = message::source::WEB_FILE_TIMEOUT.with("url", url);
            return Cause::error(late.with("seconds", argument("seconds")));
        }
        let login = [
            &message::chart::LOGIN_NEEDED,
            &message::chart::LOGIN_REFUSED,
        ];
        let why = if login.into_iter().any(|code| said.is(code)) {
            "the server wants another login".to_owned()
        } else if said.is(&message::chart::REPOSITORY_NOT_FOUND) {
            "there is nothing at this address".to_owned()
        } else if said.is(&message::chart::REDIRECT_REFUSED) {
            let (target, reason) = (argument("target"), argument("reason"));
            format!("it leads to {target}, which is not followed: {reason}")
        } else {
            let unreachable = "the server cannot be reached".to_owned();
            cause.evidence.unwrap_or(unreachable)
        };
        Cause::error(message::source::WEB_FILE.with("url", url)).evidence(why)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_becomes_a_name_of_its_own_that_ends_as_it_does() {
        let one = name("https://h/a/values.yaml");
        assert!(
            one.starts_with("+web-") && one.ends_with("-values.yaml"),
            "{one}"
        );
        assert_ne!(one, name("https://h/b/values.yaml"));
        assert!(!name("https://h/..").contains('/'));
        assert!(is_address("HTTPS://h/x") && !is_address("oci://h/x") && !is_address("a/http://x"));
    }
}
