//! A script: one step per line, read from the committed files in `scripts`.
//!
//! A line is `name: action`. A name states the fact that is compared and occurs once; `-` is a step that prepares and is
//! not compared; a name that ends in `~` is compared by exit code alone, since what is printed depends on when one looks;
//! one that ends in `*` prints its lines in any order. `as reader` before an action does it with the token that
//! `keep reader ...` kept, instead of the admin's.

use anyhow::{Context, Result, bail, ensure};
use reqwest::Method;

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Step {
    /// What is compared; empty where the step only prepares.
    pub(super) name: String,
    /// Whether only how it ended is compared.
    pub(super) only_end: bool,
    /// Whether its lines come in any order.
    pub(super) any_order: bool,
    /// Whose kept token it is done with; the admin's where none is named.
    pub(super) actor: Option<String>,
    pub(super) action: Action,
}

/// What a step does, with `{placeholders}` for what the two sides call differently.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Action {
    /// `argocd app list`: the unmodified command.
    Argocd(Vec<String>),
    /// `GET /api/v1/applications [json]`: what curl would do.
    Rest(Method, String, Option<String>),
    /// `keep word /json/pointer GET /path [json]`: from now on `{word}` is what an answer holds there.
    Keep(String, String, Method, String, Option<String>),
    /// `push file 'old text' 'new text'`: a commit in the repository.
    Push(String, String, String),
    /// `settle app [sync] [health]`: until nothing is under way and the application is so.
    Settle(String, Vec<String>),
    /// `gone app`: until there is no such application.
    Gone(String),
    /// `set argocd-cm key ['value']`: what the settings hold there; nothing, where no value is given.
    Set(String, String, Option<String>),
    /// `kube GET /api/v1/... [json]`: what somebody with every right does in the cluster. `PUT` applies, `PATCH` merges.
    Kube(Method, String, Option<String>),
    /// `edit app 'old text' 'new text'`: `argocd app edit`, where the editor puts one in the other's place.
    Edit(String, String, String),
    /// `shows 'text' argocd app list`: until the command prints that.
    Shows(String, Vec<String>),
}

/// Reads a script.
pub(super) fn parse(text: &str) -> Result<Vec<Step>> {
    let mut steps: Vec<Step> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let step = step(line).with_context(|| format!("line {}: {line}", number + 1))?;
        ensure!(
            step.name.is_empty() || steps.iter().all(|other| other.name != step.name),
            "line {}: `{}` is there twice",
            number + 1,
            step.name
        );
        steps.push(step);
    }
    Ok(steps)
}

fn step(line: &str) -> Result<Step> {
    let (name, rest) = line.split_once(": ").context("a step is `name: action`")?;
    let (only_end, any_order) = (name.ends_with('~'), name.ends_with('*'));
    let name = if name == "-" { "" } else { name };
    let name = name.trim_end_matches(['~', '*']);
    let (actor, rest) = match rest.strip_prefix("as ") {
        Some(rest) => {
            let (actor, rest) = rest.split_once(' ').context("`as` takes a name")?;
            (Some(actor.to_owned()), rest)
        }
        None => (None, rest),
    };
    let (verb, rest) = rest.split_once(' ').context("an action has words")?;
    let action = match verb {
        "argocd" => Action::Argocd(words(rest)?),
        "GET" | "POST" | "PUT" | "PATCH" | "DELETE" => {
            let (path, body) = path_and_body(rest);
            Action::Rest(verb.parse()?, path, body)
        }
        "keep" => {
            let mut words = rest.splitn(4, ' ');
            let mut word = || {
                words
                    .next()
                    .context("keep takes a word, a place and a request")
            };
            let (name, place, method) = (word()?, word()?, word()?.parse()?);
            let (path, body) = path_and_body(word()?);
            Action::Keep(name.to_owned(), place.to_owned(), method, path, body)
        }
        "push" => match <[String; 3]>::try_from(words(rest)?) {
            Ok([file, from, to]) => Action::Push(file, from, to),
            Err(_) => bail!("push takes a file, what is there and what shall be"),
        },
        "settle" => {
            let mut words = words(rest)?.into_iter();
            let app = words.next().context("settle takes an application")?;
            Action::Settle(app, words.collect())
        }
        "gone" => Action::Gone(rest.to_owned()),
        "set" => {
            let mut words = words(rest)?.into_iter();
            match (words.next(), words.next(), words.next(), words.next()) {
                (Some(object), Some(key), value, None) => Action::Set(object, key, value),
                _ => bail!("set takes an object, a key and perhaps a value"),
            }
        }
        "kube" => {
            let (method, rest) = rest.split_once(' ').context("kube takes a path")?;
            ensure!(
                ["GET", "PUT", "PATCH", "DELETE"].contains(&method),
                "nobody can `kube {method}`"
            );
            let (path, body) = path_and_body(rest);
            Action::Kube(method.parse()?, path, body)
        }
        "edit" => match <[String; 3]>::try_from(words(rest)?) {
            Ok([app, from, to]) => Action::Edit(app, from, to),
            Err(_) => bail!("edit takes an application, what is there and what shall be"),
        },
        "shows" => {
            let mut words = words(rest)?.into_iter();
            let text = words.next().context("shows takes a text")?;
            ensure!(
                words.next().as_deref() == Some("argocd"),
                "shows takes a command"
            );
            Action::Shows(text, words.collect())
        }
        other => bail!("nobody can `{other}`"),
    };
    Ok(Step {
        name: name.to_owned(),
        only_end,
        any_order,
        actor,
        action,
    })
}

fn path_and_body(text: &str) -> (String, Option<String>) {
    match text.split_once(' ') {
        Some((path, body)) => (path.to_owned(), Some(body.to_owned())),
        None => (text.to_owned(), None),
    }
}

/// Words as a shell has them, with single quotes and nothing else.
fn words(text: &str) -> Result<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    for letter in text.chars() {
        match letter {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' if !quoted => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    ensure!(!quoted, "a quote is not closed");
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_named_action() {
        let steps = parse(
            "# a remark\n\nlists~: argocd app list -o 'a b' ''\n-: settle app Synced Healthy\nmade*: POST /x {\"a\": 1}\n",
        )
        .unwrap();
        let list = ["app", "list", "-o", "a b", ""].map(str::to_owned).to_vec();
        assert_eq!((steps[0].name.as_str(), steps[0].only_end), ("lists", true));
        assert_eq!(steps[0].action, Action::Argocd(list));
        assert_eq!((steps[2].name.as_str(), steps[2].any_order), ("made", true));
        let wanted = vec!["Synced".to_owned(), "Healthy".to_owned()];
        assert_eq!(steps[1].action, Action::Settle("app".into(), wanted));
        assert_eq!(
            steps[2].action,
            Action::Rest(Method::POST, "/x".into(), Some("{\"a\": 1}".into()))
        );
        let steps =
            parse("-: keep reader /token POST /x {\"a\": 1}\nseen: as reader GET /y\n").unwrap();
        let body = Some("{\"a\": 1}".to_owned());
        assert_eq!(
            steps[0].action,
            Action::Keep(
                "reader".into(),
                "/token".into(),
                Method::POST,
                "/x".into(),
                body
            )
        );
        assert_eq!(steps[1].actor.as_deref(), Some("reader"));
        assert_eq!(
            steps[1].action,
            Action::Rest(Method::GET, "/y".into(), None)
        );
        let steps = parse(
            "-: set argocd-cm a.b 'c d'\n-: set argocd-cm a.b\n-: kube PATCH /z {\"a\": 1}\n-: edit app 'a b' c\n\
             -: shows 'a b' argocd app list\n",
        )
        .unwrap();
        let actions: Vec<Action> = steps.into_iter().map(|step| step.action).collect();
        let (object, key) = ("argocd-cm".to_owned(), "a.b".to_owned());
        let list = ["app", "list"].map(str::to_owned).to_vec();
        assert_eq!(
            actions,
            [
                Action::Set(object.clone(), key.clone(), Some("c d".into())),
                Action::Set(object, key, None),
                Action::Kube(Method::PATCH, "/z".into(), Some("{\"a\": 1}".into())),
                Action::Edit("app".into(), "a b".into(), "c".into()),
                Action::Shows("a b".into(), list),
            ]
        );
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for wrong in [
            "a: GET /\na: GET /",
            "a: fly away",
            "a: argocd 'x",
            "a GET /",
            "a: push x y",
            "a: as reader",
            "a: keep x /y GET",
            "a: set argocd-cm",
            "a: set argocd-cm a b c",
            "a: kube POST /x {}",
            "a: kube GET",
            "a: edit app x",
            "a: shows x kubectl get",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
