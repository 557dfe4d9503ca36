//! The committed list of differences (`differences.toml`), each with its reason, and the page made from it.

use anyhow::{Context, Result};
use figment::Figment;
use figment::providers::{Format, Toml};
use serde::Deserialize;
use testkit::paths;

use super::difference::Difference;

const LIST: &str = "xtask/src/oracle/differences.toml";

/// The list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listed {
    /// Those that the scripts show.
    #[serde(default)]
    difference: Vec<Entry>,
    /// Those that no script shows.
    #[serde(default)]
    beyond: Vec<Told>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    what: String,
    argo_cd: String,
    naru: String,
    why: String,
    /// Where it is seen; each of these must be, but for those that are seen at times.
    seen: Vec<Pattern>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    what: String,
    argo_cd: String,
    naru: String,
    why: String,
}

/// Which differences are meant; `*` stands for anything.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pattern {
    /// `app-get*`, or with the transport: `web/app-get*`.
    steps: String,
    #[serde(default = "anything")]
    at: String,
    /// The text there; absent where that side says nothing of it or it does not matter.
    argo_cd: Option<String>,
    naru: Option<String>,
    /// Whether it is seen only at times: what one side says then hangs on when its own clock made it look.
    #[serde(default)]
    at_times: bool,
}

fn anything() -> String {
    "*".to_owned()
}

impl Listed {
    pub(super) fn load() -> Result<Self> {
        let file = paths::clone_root()?.join(LIST);
        Figment::from(Toml::file(&file))
            .extract()
            .with_context(|| format!("{LIST} cannot be read"))
    }

    /// The differences that are not listed, and the listed ones that were not seen.
    pub(super) fn judge<'a>(&self, found: &'a [Difference]) -> (Vec<&'a Difference>, Vec<String>) {
        let patterns = || {
            self.difference
                .iter()
                .flat_map(|entry| entry.seen.iter().map(move |pattern| (entry, pattern)))
        };
        let unlisted = found
            .iter()
            .filter(|one| !patterns().any(|(_, pattern)| pattern.means(one)))
            .collect();
        let unseen = patterns()
            .filter(|(_, pattern)| !pattern.at_times && !found.iter().any(|one| pattern.means(one)))
            .map(|(entry, pattern)| format!("{}: {pattern:?}", entry.what))
            .collect();
        (unlisted, unseen)
    }

    /// How many are listed.
    pub(super) fn len(&self) -> usize {
        self.difference.len()
    }

    /// `docs/differences.md`, as it must be.
    pub(super) fn page(&self) -> String {
        let row = |cells: [&str; 4]| format!("| {} |\n", cells.join(" | "));
        let head = "| what | Argo CD | Naru | why |\n|---|---|---|---|\n";
        let seen: String = self
            .difference
            .iter()
            .map(|one| row([&one.what, &one.argo_cd, &one.naru, &one.why]))
            .collect();
        let told: String = self
            .beyond
            .iter()
            .map(|one| row([&one.what, &one.argo_cd, &one.naru, &one.why]))
            .collect();
        format!(
            "# Differences from Argo CD 3.2.11\n\n\
             Where the `argocd` command or a REST client sees something else than Argo CD would show, and why.\n\
             This page is made from `xtask/src/oracle/differences.toml` by a test of xtask; edit that list.\n\n\
             ## Seen by running both\n\n\
             `cargo xtask oracle --compare` (part of `cargo xtask test --full`) runs the scripts in `xtask/src/oracle/scripts` against Argo CD\n\
             itself and against tenants of the test platform, at their hosts and at the operator's. A difference that is not listed is an error, and so is a listed\n\
             one that is no longer seen. Times, ids, hashes, commits and addresses are replaced by a word before comparing; of a\n\
             running operation's progress only the end is compared.\n\n\
             {head}{seen}\n\
             ## Not shown by the scripts\n\n\
             {head}{told}"
        )
    }
}

impl Pattern {
    fn means(&self, one: &Difference) -> bool {
        let step = match self.steps.contains('/') {
            true => one.step.as_str(),
            false => one
                .step
                .split_once('/')
                .map_or(one.step.as_str(), |(_, name)| name),
        };
        let text = |wanted: &Option<String>, is: &Option<String>| {
            wanted
                .as_ref()
                .is_none_or(|wanted| is.as_ref().is_some_and(|is| fits(wanted, is)))
        };
        fits(&self.steps, step)
            && fits(&self.at, &one.at)
            && text(&self.argo_cd, &one.argo_cd)
            && text(&self.naru, &one.naru)
    }
}

/// Whether a text is as a pattern says, in which `*` stands for anything and `|` for or.
fn fits(pattern: &str, text: &str) -> bool {
    pattern
        .split('|')
        .any(|one| fits_one(one.as_bytes(), text.as_bytes()))
}

fn fits_one(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where the last star stands, and how much of the text it takes so far.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p, t));
            p += 1;
        } else if pattern.get(p) == Some(&text[t]) {
            p += 1;
            t += 1;
        } else if let Some((at, taken)) = star {
            star = Some((at, taken + 1));
            p = at + 1;
            t = taken + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|letter| *letter == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_that_of_the_list() {
        let page = Listed::load().unwrap().page();
        let file = paths::clone_root().unwrap().join("docs/differences.md");
        let is = std::fs::read_to_string(&file).unwrap_or_default();
        if is != page {
            std::fs::write(&file, &page).unwrap();
        }
        assert_eq!(is, page, "rewritten now: commit it");
    }

    #[test]
    fn a_star_is_anything() {
        assert!(fits("app-*-json", "app-get-json") && fits("*", "") && fits("a|b*", "bc"));
        assert!(!fits("app-*", "proj-app-") && !fits("a", "ab"));
    }

    #[test]
    fn the_unlisted_and_the_unseen_are_told() {
        let listed: Listed = Figment::from(Toml::string(
            "[[difference]]\nwhat = 'a'\nargo_cd = ''\nnaru = ''\nwhy = ''\nseen = [{steps = 's*', at = 'stdout', naru = 'x*'}, {steps = 'web/t'}, {steps = 'never', at_times = true}]",
        ))
        .extract()
        .unwrap();
        let one = |step: &str, naru: &str| Difference {
            step: step.into(),
            at: "stdout".into(),
            argo_cd: None,
            naru: Some(naru.into()),
        };
        let found = [
            one("grpc/s1", "xy"),
            one("grpc/s1", "y"),
            one("grpc/t", "x"),
        ];
        let (unlisted, unseen) = listed.judge(&found);
        assert_eq!(unlisted, [&found[1], &found[2]]);
        assert_eq!(unseen.len(), 1, "{unseen:?}");
    }
}
