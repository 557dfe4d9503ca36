//! Submodules: folders that are another repository's at a commit, entered when a render looks at something in them.
//!
//! Their addresses come from the `.gitmodules` of the tree that they are in. Each repository is one that the project permits
//! and is opened with its own login, as a folder that a kustomization takes by its address is.

use domain::cause::Location;
use domain::message;
use domain::repository::without_passwords;

use super::reader::Reader;
use super::trees::Trees;
use crate::error::{Error, Kind};
use crate::git::Node;

/// Where the addresses are.
const FILE: &str = ".gitmodules";
/// The largest such file, in bytes.
const MAX_FILE: u64 = 64 << 10;
/// The longest address, in bytes.
const MAX_ADDRESS: usize = 2_000;

/// A submodule that a look came to.
#[derive(Clone, Debug)]
pub(super) struct Submodule {
    /// Where it is, without links.
    pub(super) path: String,
    /// The commit of its repository.
    pub(super) commit: String,
}

/// Does a piece of work, and again each time that it came to a submodule, which is open from then on. Blocks; only on a
/// thread where that is allowed.
///
/// # Errors
/// What the work says, or why a submodule cannot be had.
pub(super) fn through<T>(
    reader: &Reader<'_, '_>,
    work: impl Fn() -> Result<T, Error>,
) -> Result<T, Error> {
    loop {
        reader.trees().in_time()?;
        let result = work();
        match reader.take_submodule() {
            Some(submodule) => submodule.open(reader)?,
            None => return result,
        }
    }
}

impl Submodule {
    /// That it is not open.
    pub(super) fn closed(&self, trees: &Trees) -> Error {
        self.without_way(trees, "?")
    }

    fn without_way(&self, trees: &Trees, url: &str) -> Error {
        let message = message::source::SUBMODULE
            .with("path", trees.shown(&self.path))
            .with("url", url);
        Error::new(Kind::NotFound, message)
    }

    fn open(&self, reader: &Reader<'_, '_>) -> Result<(), Error> {
        let trees = reader.trees();
        let (tree, within) = trees.place(&self.path);
        let root = &self.path[..self.path.len() - within.len()];
        let file = format!("{root}{FILE}");
        let located = |error: Error| {
            error.map(|cause| match cause.location {
                Some(_) => cause,
                None => cause.located(Some(Location {
                    path: trees.shown(&file),
                    line: 0,
                })),
            })
        };
        let refused = || {
            let message = message::source::SUBMODULE_ADDRESS;
            let shown = trees.shown(&self.path);
            located(Error::new(Kind::Invalid, message.with("path", shown)))
        };
        let found = reader.find(&file)?;
        // Git follows no link there either.
        let blob = match &found.node {
            Node::File(blob) if found.path == file => blob,
            _ => return Err(refused()),
        };
        let text = reader.within(&file, |files, _| files.blob(blob, MAX_FILE));
        let settings = trees.settings(&text.map_err(located)?).map_err(located)?;
        let name = named(&settings, within).ok_or_else(refused)?;
        if last(&settings, name, ".update") == Some("none") {
            // As `git submodule update` leaves it: an empty folder.
            trees.leave_out(&self.path);
            return Ok(());
        }
        let url = last(&settings, name, ".url").filter(|url| !url.is_empty());
        let url = url.ok_or_else(refused)?;
        let url = absolute(&trees.url(tree), url).ok_or_else(refused)?;
        if url.len() > MAX_ADDRESS || url.contains('?') || without_passwords(&url) != url {
            return Err(refused());
        }
        let name = Trees::remote_name(&url, &self.commit);
        match trees.number(&name).map_err(located)? {
            Some(number) => trees.enter(&self.path, number),
            None => Err(located(self.without_way(trees, &url)).wanting(vec![url])),
        }
    }
}

/// What a submodule's key says; of several values the last, as in Git.
fn last<'a>(settings: &'a [(String, String)], name: &str, key: &str) -> Option<&'a str> {
    let mut found = settings.iter().rev();
    found.find_map(|(known, value)| {
        let rest = known.strip_prefix("submodule.")?.strip_suffix(key)?;
        (rest == name).then_some(value.as_str())
    })
}

/// The name of the submodule at a path.
fn named<'a>(settings: &'a [(String, String)], path: &str) -> Option<&'a str> {
    let is_there = |value: &str| value.trim_end_matches('/') == path;
    let mut names = settings.iter().rev().filter_map(|(key, value)| {
        let name = key.strip_prefix("submodule.")?.strip_suffix(".path")?;
        is_there(value).then_some(name)
    });
    names.find(|name| last(settings, name, ".path").is_some_and(is_there))
}

/// An address that may be relative to the repository's own, as `git submodule` takes it; `None` where it leads out of what
/// the other has.
fn absolute(own: &str, url: &str) -> Option<String> {
    if !url.starts_with("./") && !url.starts_with("../") {
        return Some(url.to_owned());
    }
    let (mut base, mut rest, mut between) = (own.trim_end_matches('/'), url, '/');
    loop {
        if let Some(below) = rest.strip_prefix("../") {
            rest = below;
            let slash = base.rfind('/').map(|at| (at, '/'));
            // The path of a host as SSH writes it.
            let cut = slash.or_else(|| base.rfind(':').map(|at| (at, ':')));
            let (at, sign) = cut.filter(|(at, _)| *at > 0)?;
            // Not beyond the host.
            if base[..at].ends_with('/') || between == ':' {
                return None;
            }
            (base, between) = (&base[..at], sign);
        } else if let Some(below) = rest.strip_prefix("./") {
            rest = below;
        } else {
            break;
        }
    }
    let rest = rest.trim_end_matches('/');
    match rest {
        "" => Some(base.to_owned()),
        rest => Some(format!("{base}{between}{rest}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_address_is_taken_as_git_takes_it() {
        for (own, url, expected) in [
            ("https://h/a/b.git", "https://x/y", Some("https://x/y")),
            ("https://h/a/b.git", "../c.git", Some("https://h/a/c.git")),
            ("https://h/a/b.git/", "../../x/c", Some("https://h/x/c")),
            ("https://h/a/b", "./c", Some("https://h/a/b/c")),
            ("https://h/a/b", ".././../c/", Some("https://h/c")),
            ("git@h:a/b.git", "../c.git", Some("git@h:a/c.git")),
            ("git@h:a/b.git", "../../c.git", Some("git@h:c.git")),
            ("git@h:b.git", "../c.git", Some("git@h:c.git")),
            ("ssh://h:22/a/b", "../c", Some("ssh://h:22/a/c")),
            (
                "file:///srv/a/.git",
                "../../b/.git",
                Some("file:///srv/b/.git"),
            ),
            ("https://h/a", "../../c", None),
            ("https://h/a", "../../../c", None),
            ("git@h:a", "../../c", None),
            ("git@h:a/b", "../../../c", None),
        ] {
            assert_eq!(absolute(own, url).as_deref(), expected, "{own} {url}");
        }
    }

    #[test]
    fn the_last_address_that_is_written_for_a_path_counts() {
        let set = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            let pairs = pairs.iter();
            pairs
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect()
        };
        let settings = set(&[
            ("submodule.a.path", "lib/a"),
            ("submodule.a.url", "one"),
            ("submodule.a.url", "two"),
            ("submodule.b.c.path", "b/"),
            ("submodule.b.c.url", "three"),
            ("submodule.moved.path", "old"),
            ("submodule.moved.path", "new"),
            ("submodule.moved.url", "four"),
            ("submodule.none.path", "none"),
            ("submodule.empty.path", "empty"),
            ("submodule.empty.url", ""),
            ("core.path", "core"),
        ]);
        let written = |path: &str| {
            let name = named(&settings, path)?;
            last(&settings, name, ".url")
        };
        assert_eq!(written("lib/a"), Some("two"));
        assert_eq!(written("b"), Some("three"));
        assert_eq!(written("new"), Some("four"));
        assert_eq!(written("empty"), Some(""));
        for path in ["old", "none", "core", "lib", ""] {
            assert_eq!(written(path), None, "{path}");
        }
    }
}
