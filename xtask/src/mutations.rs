//! `cargo xtask mutations`: whether the engine's cases would notice its mistakes.
//!
//! `libs/engine/tests/mutations.toml` names mistakes, each with the cases that have to turn red by it. One after the other is
//! made in a copy of the sources, and the cases are run against that.
//!
//! # Invariants
//! - The clone itself is only read.
//! - Each mistake is made in sources that have no other.

mod copy;

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::Args;
use figment::Figment;
use figment::providers::{Format, Toml};
use serde::Deserialize;
use testkit::paths;
use testkit::progress::Progress;

use crate::say;
use copy::{Outcome, Sources};

/// The list.
const TABLE: &str = "libs/engine/tests/mutations.toml";
/// Where mistakes are made.
const PURE: [&str; 2] = ["libs/engine/src/", "libs/domain/src/"];
/// So many cases are named that turn red besides.
const SHOWN: usize = 6;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Only mistakes whose name contains this, or those that the case of this name has to notice
    name: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    mutation: Vec<Mutation>,
}

/// A mistake.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mutation {
    /// What it is, in words.
    name: String,
    /// Where it is made.
    file: String,
    /// What stands there, once.
    from: String,
    /// What stands there instead.
    to: String,
    /// The cases that turn red.
    cases: BTreeSet<String>,
}

pub(crate) async fn run(arguments: &Arguments) -> Result<()> {
    let progress = Progress::terminal();
    let root = paths::clone_root()?;
    let table = Table::load(&root)?;
    let chosen = table.chosen(arguments.name.as_deref())?;
    let laying = Sources::lay(&root);
    let sources = progress.step("copying the sources", laying).await?;
    let as_is = progress.step("the cases as they are", sources.cases());
    match as_is.await? {
        Outcome::Red(red) if red.is_empty() => {}
        other => bail!(
            "without any mistake: {}; `cargo test -p engine` has to pass first",
            other.told()
        ),
    }
    let mut tally = Tally::default();
    for (position, mutation) in chosen.iter().enumerate() {
        let what = format!("{}/{} {}", position + 1, chosen.len(), mutation.name);
        let outcome = progress.step(&what, sources.with(mutation)).await?;
        tally.note(mutation, &outcome);
    }
    let Tally { red, green, untold } = tally;
    say::line(&format!(
        "{red} red as named, {green} with cases that stayed green, {untold} that could not be tried"
    ));
    if green + untold > 0 {
        bail!("not every mistake is noticed as {TABLE} says");
    }
    Ok(())
}

/// What came of it so far.
#[derive(Default)]
struct Tally {
    red: usize,
    green: usize,
    untold: usize,
}

impl Tally {
    fn note(&mut self, mutation: &Mutation, outcome: &Outcome) {
        let name = &mutation.name;
        let Outcome::Red(red) = outcome else {
            self.untold += 1;
            say::line(&format!("ERROR  {name}: {}", outcome.told()));
            return;
        };
        let green = listed(mutation.cases.difference(red), usize::MAX);
        let besides = listed(red.difference(&mutation.cases), SHOWN);
        if green.is_empty() {
            self.red += 1;
            let named = listed(mutation.cases.iter(), usize::MAX);
            let besides = match besides.as_str() {
                "" => String::new(),
                besides => format!("; besides: {besides}"),
            };
            say::line(&format!("red as named  {name}: {named}{besides}"));
        } else {
            self.green += 1;
            let besides = match besides.as_str() {
                "" => "nothing",
                besides => besides,
            };
            say::line(&format!(
                "ERROR  {name}: {green} stayed green; red besides: {besides}"
            ));
        }
    }
}

/// Names, and how many more there are.
fn listed<'a>(names: impl Iterator<Item = &'a String>, most: usize) -> String {
    let names: Vec<&str> = names.map(String::as_str).collect();
    let shown = names.iter().take(most).copied().collect::<Vec<_>>();
    match names.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

impl Table {
    fn load(root: &Path) -> Result<Self> {
        Figment::from(Toml::file(root.join(TABLE)))
            .extract()
            .with_context(|| format!("{TABLE} cannot be read"))
    }

    fn chosen(&self, name: Option<&str>) -> Result<Vec<&Mutation>> {
        let is_meant = |mutation: &&Mutation| {
            name.is_none_or(|name| mutation.name.contains(name) || mutation.cases.contains(name))
        };
        let chosen: Vec<&Mutation> = self.mutation.iter().filter(is_meant).collect();
        if chosen.is_empty() {
            let name = name.unwrap_or_default();
            bail!(
                "{TABLE} has no mistake whose name contains `{name}`, and none for a case `{name}`"
            );
        }
        Ok(chosen)
    }
}

impl Mutation {
    /// A source with the mistake.
    fn made(&self, text: &str) -> Result<String> {
        let Self { name, file, .. } = self;
        if !PURE.iter().any(|src| file.starts_with(src)) || file.contains("..") {
            bail!("{name}: {file} is no source of {}", PURE.join(" or "));
        }
        match text.matches(&self.from).count() {
            1 => Ok(text.replace(&self.from, &self.to)),
            count => bail!(
                "{name}: {file} has `{}` {count} times and not once; correct {TABLE}",
                self.from
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Mutation, listed};

    fn mutation(file: &str) -> Mutation {
        Mutation {
            name: "a".to_owned(),
            file: file.to_owned(),
            from: "<".to_owned(),
            to: "<=".to_owned(),
            cases: ["b".to_owned()].into(),
        }
    }

    #[test]
    fn a_mistake_is_made_at_one_place_of_a_pure_source() {
        let pure = mutation("libs/engine/src/plan.rs");
        assert_eq!(pure.made("a < b").unwrap(), "a <= b");
        assert!(pure.made("a < b < c").is_err());
        assert!(pure.made("a").is_err());
        for file in ["/etc/hosts", "xtask/src/main.rs", "libs/engine/src/../a.rs"] {
            assert!(mutation(file).made("a < b").is_err(), "{file}");
        }
    }

    #[test]
    fn long_lists_are_cut() {
        let names = ["a", "b", "c"].map(str::to_owned);
        assert_eq!(listed(names.iter(), 2), "a, b and 1 more");
        assert_eq!(listed(names.iter(), 3), "a, b, c");
    }
}
