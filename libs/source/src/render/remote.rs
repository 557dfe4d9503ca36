//! The addresses with which a kustomization takes a folder of another repository, read as kustomize reads them.
//!
//! Three things differ on purpose: nothing leads out of its repository, an address has no password, and GitHub over SSH is
//! asked as `git` where nobody is named.

#[cfg(test)]
mod parity;

/// A folder of another repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Remote {
    /// The repository's address.
    pub(super) repository: String,
    /// The folder in it, clean; empty for the root.
    pub(super) path: String,
    /// Branch, tag or commit; empty for HEAD.
    pub(super) revision: String,
}

/// How many segments of a path without any mark are the repository's.
const USUAL_SEGMENTS: usize = 2;

/// Reads an entry; `None` for one that is no address, leaves its repository, or is a web server's file, which is not taken.
pub(super) fn parse(entry: &str) -> Option<Remote> {
    if entry.starts_with('/') || is_file(entry) {
        return None;
    }
    let (place, query) = entry.split_once('?').unwrap_or((entry, ""));
    let (host, rest, local) = host(place)?;
    let (repository, path) = parts(rest, local)?;
    if repository.is_empty() {
        return None;
    }
    let mut clean: Vec<&str> = Vec::new();
    for part in path.split('/').filter(|part| !matches!(*part, "" | ".")) {
        match part {
            ".." => drop(clean.pop()?),
            part => clean.push(part),
        }
    }
    Some(Remote {
        repository: format!("{host}{repository}"),
        path: clean.join("/"),
        revision: revision(query),
    })
}

/// Whether an address is a file's of a web server: nothing in it says that it is Git's, and it ends as manifests do.
/// Kustomize asks the server, and takes for a repository what it does not give.
pub(super) fn is_file(entry: &str) -> bool {
    let http = cut(entry, "https://").or_else(|| cut(entry, "http://"));
    let Some(rest) = http.filter(|rest| !rest.contains('?')) else {
        return false;
    };
    let marked = ["_git/", "//", ".git"];
    let ends = [".yaml", ".yml", ".json"];
    !marked.iter().any(|mark| rest.contains(mark)) && ends.iter().any(|end| rest.ends_with(end))
}

/// Everything up to the path, the path, and whether it is a file's address.
fn host(place: &str) -> Option<(String, &str, bool)> {
    let place = cut(place, "git::").unwrap_or(place);
    let schemes = ["ssh://", "https://", "http://", "file://"];
    let found = schemes
        .iter()
        .find_map(|scheme| Some((*scheme, cut(place, scheme)?)));
    let (scheme, rest) = found.unwrap_or(("", place));
    if scheme == "file://" {
        return Some((scheme.to_owned(), rest, true));
    }
    let named = rest.split_once('@').filter(|(user, _)| {
        user.starts_with(|c: char| c.is_ascii_alphabetic())
            && user.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    });
    let (user, rest) = named.map_or((String::new(), rest), |(user, rest)| {
        (format!("{user}@"), rest)
    });
    let lower = rest.to_ascii_lowercase();
    let github = lower.starts_with("github.com/") || lower.starts_with("github.com:");
    let scp = scheme.is_empty() && (!user.is_empty() || github);
    if scheme.is_empty() && !scp {
        return None;
    }
    let slash = rest.find('/');
    let colon = rest
        .find(':')
        .filter(|at| scp && slash.is_none_or(|slash| *at > 0 && *at < slash));
    let end = colon.or(slash)? + 1;
    let (host, rest) = rest.split_at(end);
    if github {
        // Whatever is written, one of two forms is meant.
        return Some(match scheme == "ssh://" || !user.is_empty() {
            true if user.is_empty() => ("git@github.com:".to_owned(), rest, false),
            true => (format!("{user}github.com:"), rest, false),
            false => ("https://github.com/".to_owned(), rest, false),
        });
    }
    // A password, which is none to write into a file.
    if host.contains('@') {
        return None;
    }
    Some((format!("{scheme}{user}{host}"), rest, false))
}

/// The repository's part of a path and the folder's: at a mark, or else where it usually is.
fn parts(path: &str, local: bool) -> Option<(&str, &str)> {
    if let Some(at) = path.find("_git/") {
        let behind = at + "_git/".len();
        let end = path[behind..]
            .find('/')
            .map_or(path.len(), |end| behind + end);
        return Some(path.split_at(end));
    }
    if let Some(at) = path.find("//") {
        return Some((&path[..at], &path[at + 2..]));
    }
    if let Some(at) = path.find(".git") {
        return Some(path.split_at(at + ".git".len()));
    }
    if local {
        return Some((path, ""));
    }
    let mut slashes = path.match_indices('/').map(|(at, _)| at);
    match slashes.nth(USUAL_SEGMENTS - 1) {
        Some(at) => Some(path.split_at(at)),
        None => (path.split('/').count() == USUAL_SEGMENTS).then_some((path, "")),
    }
}

/// `ref` of a query, else `version`; nothing of a query of which a part cannot be read.
fn revision(query: &str) -> String {
    let is_hex = |escape: &str| {
        let digits = escape.as_bytes().get(..2);
        digits.is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit))
    };
    if query.contains(';') || !query.split('%').skip(1).all(is_hex) {
        return String::new();
    }
    let value = |name: &str| {
        let mut pairs = url::form_urlencoded::parse(query.as_bytes());
        let found = pairs.find(|(key, _)| key == name);
        found
            .map(|(_, value)| value.into_owned())
            .unwrap_or_default()
    };
    Some(value("ref"))
        .filter(|found| !found.is_empty())
        .unwrap_or_else(|| value("version"))
}

/// The rest of a text that begins so, whatever the case.
fn cut<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let begins = text.get(..prefix.len())?.eq_ignore_ascii_case(prefix);
    begins.then(|| &text[prefix.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Entries, and the repository, path and revision that each of them names.
    pub(super) const READ: &[(&str, &str, &str, &str)] = &[
        (
            "https://git-codecommit.us-east-2.amazonaws.com/someorg/somerepo/somedir?ref=testbranch",
            "https://git-codecommit.us-east-2.amazonaws.com/someorg/somerepo",
            "somedir",
            "testbranch",
        ),
        (
            "http://github.com/someorg/somerepo/somedir",
            "https://github.com/someorg/somerepo",
            "somedir",
            "",
        ),
        ("gitHub.com/a/b", "https://github.com/a/b", "", ""),
        ("github.com:a/b", "https://github.com/a/b", "", ""),
        (
            "git@github.com:someorg/somerepo/somedir",
            "git@github.com:someorg/somerepo",
            "somedir",
            "",
        ),
        (
            "git@github.com/someorg/somerepo/somepath",
            "git@github.com:someorg/somerepo",
            "somepath",
            "",
        ),
        (
            "org-12345@github.com/a/b",
            "org-12345@github.com:a/b",
            "",
            "",
        ),
        (
            "http://github.com/someorg/somerepo.git/somedir",
            "https://github.com/someorg/somerepo.git",
            "somedir",
            "",
        ),
        (
            "git@gitlab2.sqtools.ru:infra/kubernetes/thanos-base.git?ref=v0.1.0",
            "git@gitlab2.sqtools.ru:infra/kubernetes/thanos-base.git",
            "",
            "v0.1.0",
        ),
        (
            "git@bitbucket.org/company/project.git//path?ref=branch",
            "git@bitbucket.org/company/project.git",
            "path",
            "branch",
        ),
        (
            "ssh://git@bitbucket.org/company/project.git//path?ref=branch",
            "ssh://git@bitbucket.org/company/project.git",
            "path",
            "branch",
        ),
        (
            "https://itfs.mycompany.com/collection/project/_git/somerepos/somedir?version=v1.0.0",
            "https://itfs.mycompany.com/collection/project/_git/somerepos",
            "somedir",
            "v1.0.0",
        ),
        (
            "git::https://itfs.mycompany.com/collection/project/_git/somerepos",
            "https://itfs.mycompany.com/collection/project/_git/somerepos",
            "",
            "",
        ),
        (
            "ssh://git-codecommit.us-east-2.amazonaws.com/someorg/somerepo/somepath",
            "ssh://git-codecommit.us-east-2.amazonaws.com/someorg/somerepo",
            "somepath",
            "",
        ),
        (
            "https://github.com/kubernetes-sigs/kustomize//examples/multibases/dev/?ref=v1.0.6",
            "https://github.com/kubernetes-sigs/kustomize",
            "examples/multibases/dev",
            "v1.0.6",
        ),
        (
            "ssh://git@github.com/kubernetes-sigs/kustomize//examples/multibases/dev?ref=v1.0.6",
            "git@github.com:kubernetes-sigs/kustomize",
            "examples/multibases/dev",
            "v1.0.6",
        ),
        (
            "file:///a/b/c/someRepo//somepath?ref=someBranch",
            "file:///a/b/c/someRepo",
            "somepath",
            "someBranch",
        ),
        (
            "file:///a/b/c/someRepo.git/somepath",
            "file:///a/b/c/someRepo.git",
            "somepath",
            "",
        ),
        (
            "file:///a/b/c/someRepo?ref=x",
            "file:///a/b/c/someRepo",
            "",
            "x",
        ),
        (
            "https://example.org/path/to/repo//examples/multibases/dev",
            "https://example.org/path/to/repo",
            "examples/multibases/dev",
            "",
        ),
        (
            "https://authority/org/repo/?ref=includes_git/for_some_reason",
            "https://authority/org/repo",
            "",
            "includes_git/for_some_reason",
        ),
        (
            "https://authority/org/repo?ref=a&version=b&timeout=1",
            "https://authority/org/repo",
            "",
            "a",
        ),
        (
            "http://git@home.com/path/to/repository.git//path?ref=branch",
            "http://git@home.com/path/to/repository.git",
            "path",
            "branch",
        ),
        ("https://h/a/b//x/./y/../z", "https://h/a/b", "x/z", ""),
        (
            "https://h/a/b?version=v2&ref=&x=y",
            "https://h/a/b",
            "",
            "v2",
        ),
        ("https://h/a/b?ref=v%2F1+x", "https://h/a/b", "", "v/1 x"),
        ("https://h/a/b?ref=v1&x=%zz", "https://h/a/b", "", ""),
        ("https://h/a/b?ref=v1;x", "https://h/a/b", "", ""),
    ];

    /// Entries that name none, or none that is taken.
    pub(super) const NONE: &[&str] = &[
        "",
        "/abs/path",
        "base",
        "../base",
        "../../tree/1/base",
        "https://",
        "https://authority",
        "https://h/org",
        "ftp://h/a/b",
        "htxxxtp://github.com/a/b",
        "https://h/a/b//../c",
        "https://h/a/b.git/../../c",
        "x@y",
        "github.com",
        "https://raw.example/org/repo/main/a.yaml",
        "http://h/a/b/c.json",
        "https://me:secret@h/a/b",
        "git::base",
        "iauhsdiuashduas",
        "ssh://",
        "file://",
    ];

    #[test]
    fn addresses_are_read_as_kustomize_reads_them() {
        for (entry, repository, path, revision) in READ {
            let expected = Remote {
                repository: (*repository).into(),
                path: (*path).into(),
                revision: (*revision).into(),
            };
            assert_eq!(parse(entry), Some(expected), "{entry}");
        }
        for entry in NONE {
            assert_eq!(parse(entry), None, "{entry}");
        }
    }
}
