//! How manifests were come by: an earlier render held, or why it did not.

use std::fmt;

/// The longest name of what changed, in bytes.
const MAX_NAME: usize = 300;

/// What a render may have read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// A file, a folder, a link, or a place where nothing was.
    Path,
    /// Another source or repository, as a whole.
    Source,
    /// A variable of the tenant's.
    Variable,
    /// A build variable, as `ARGOCD_APP_NAME`.
    BuildVariable,
    /// What the cluster says of itself.
    Cluster,
    /// A chart of another place.
    Chart,
    /// A file of a web server.
    WebFile,
    /// The application that it was for, or its own file of options.
    Application,
}

impl Read {
    const ALL: [Self; 8] = [
        Self::Path,
        Self::Source,
        Self::Variable,
        Self::BuildVariable,
        Self::Cluster,
        Self::Chart,
        Self::WebFile,
        Self::Application,
    ];

    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Source => "source",
            Self::Variable => "variable",
            Self::BuildVariable => "build-variable",
            Self::Cluster => "cluster",
            Self::Chart => "chart",
            Self::WebFile => "web-file",
            Self::Application => "application",
        }
    }

    /// What a word on the wire stands for.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|read| read.as_str() == word)
    }
}

/// The first of what a render read that is another now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// What it is.
    pub what: Read,
    /// Which one: a path, a name, an address. Never a value.
    pub name: String,
}

impl Changed {
    /// What is called so; a long name is cut.
    #[must_use]
    pub fn new(what: Read, name: &str) -> Self {
        let end = name.floor_char_boundary(MAX_NAME);
        Self {
            what,
            name: name[..end].to_owned(),
        }
    }
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.what.as_str(), self.name)
    }
}

/// How a manifest set was come by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answered {
    /// All that an earlier render read is what it was.
    Hit,
    /// It was rendered: nothing was remembered of such a source.
    First,
    /// It was rendered: something is not what it was.
    Changed(Changed),
    /// It was rendered, whatever was remembered.
    Bypassed,
    /// It was rendered of what somebody sent.
    Local,
}

impl Answered {
    /// The word on the wire, and the label of metrics.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::First => "first",
            Self::Changed(_) => "changed",
            Self::Bypassed => "bypassed",
            Self::Local => "local",
        }
    }

    /// What changed, if that is why.
    #[must_use]
    pub fn changed(&self) -> Option<&Changed> {
        match self {
            Self::Changed(changed) => Some(changed),
            Self::Hit | Self::First | Self::Bypassed | Self::Local => None,
        }
    }

    /// What words on the wire stand for: how, and what changed under which name. Nothing where they say nothing that is
    /// known here.
    #[must_use]
    pub fn parse(how: &str, what: &str, name: &str) -> Option<Self> {
        match how {
            "hit" => Some(Self::Hit),
            "first" => Some(Self::First),
            "changed" => Some(Self::Changed(Changed::new(Read::parse(what)?, name))),
            "bypassed" => Some(Self::Bypassed),
            "local" => Some(Self::Local),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_on_the_wire_is_understood() {
        let mut all = vec![
            Answered::Hit,
            Answered::First,
            Answered::Bypassed,
            Answered::Local,
        ];
        let changed = |what| Answered::Changed(Changed::new(what, "a/b.yaml"));
        all.extend(Read::ALL.map(changed));
        for answered in all {
            let changed = answered.changed();
            let (what, name) = changed.map_or(("", ""), |changed| {
                (changed.what.as_str(), changed.name.as_str())
            });
            let understood = Answered::parse(answered.as_str(), what, name);
            assert_eq!(understood, Some(answered.clone()));
        }
        assert_eq!(Answered::parse("expired", "", ""), None);
        assert_eq!(Answered::parse("changed", "mood", "a"), None);
    }

    #[test]
    fn a_long_name_is_cut_between_letters() {
        let name = "가".repeat(MAX_NAME);
        let changed = Changed::new(Read::Path, &name);
        assert!(changed.name.len() <= MAX_NAME && name.starts_with(&changed.name));
    }
}
