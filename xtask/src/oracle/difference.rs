//! In what two answers to the same step differ: line by line, member by member.

use serde_json::Value;

/// What a step came to, on one side.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Said {
    /// A command ended.
    Command {
        code: i32,
        stdout: Text,
        stderr: String,
    },
    /// A request was answered.
    Answer { status: u16, body: Value },
    /// It prepared something, or failed to.
    Done(Result<(), String>),
}

/// What a command printed.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Text {
    Lines(String),
    Document(Value),
}

/// One difference.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Difference {
    /// `grpc/app-get`.
    pub(super) step: String,
    /// `exit code`, `stdout`, `stderr`, `status`, `body.metadata.name`.
    pub(super) at: String,
    pub(super) argo_cd: Option<String>,
    pub(super) naru: Option<String>,
}

/// All of them; with `only_end` the exit code's or the status's alone.
pub(super) fn between(step: &str, argo_cd: &Said, naru: &Said, only_end: bool) -> Vec<Difference> {
    let mut found = Finding {
        step,
        found: Vec::new(),
    };
    match (argo_cd, naru) {
        (
            Said::Command {
                code: a,
                stdout: a_out,
                stderr: a_err,
            },
            Said::Command {
                code: b,
                stdout: b_out,
                stderr: b_err,
            },
        ) => {
            found.scalar("exit code", &a.to_string(), &b.to_string());
            if !only_end {
                match (a_out, b_out) {
                    (Text::Lines(a), Text::Lines(b)) => found.lines("stdout", a, b),
                    (Text::Document(a), Text::Document(b)) => found.values("stdout", a, b),
                    (a, b) => found.scalar("stdout", &format!("{a:?}"), &format!("{b:?}")),
                }
                found.lines("stderr", a_err, b_err);
            }
        }
        (
            Said::Answer {
                status: a,
                body: a_body,
            },
            Said::Answer {
                status: b,
                body: b_body,
            },
        ) => {
            found.scalar("status", &a.to_string(), &b.to_string());
            if !only_end {
                found.values("body", a_body, b_body);
            }
        }
        (a, b) => found.scalar("outcome", &format!("{a:?}"), &format!("{b:?}")),
    }
    found.found
}

struct Finding<'a> {
    step: &'a str,
    found: Vec<Difference>,
}

impl Finding<'_> {
    fn add(&mut self, at: &str, argo_cd: Option<String>, naru: Option<String>) {
        self.found.push(Difference {
            step: self.step.to_owned(),
            at: at.to_owned(),
            argo_cd,
            naru,
        });
    }

    fn scalar(&mut self, at: &str, argo_cd: &str, naru: &str) {
        if argo_cd != naru {
            self.add(at, Some(argo_cd.to_owned()), Some(naru.to_owned()));
        }
    }

    fn lines(&mut self, at: &str, argo_cd: &str, naru: &str) {
        let (a, b): (Vec<&str>, Vec<&str>) = (argo_cd.lines().collect(), naru.lines().collect());
        for (removed, added) in hunks(&a, &b) {
            for n in 0..removed.len().max(added.len()) {
                let one = |side: &[&str]| side.get(n).map(|line| (*line).to_owned());
                self.add(at, one(&removed), one(&added));
            }
        }
    }

    fn values(&mut self, at: &str, argo_cd: &Value, naru: &Value) {
        match (argo_cd, naru) {
            (Value::Object(a), Value::Object(b)) => {
                for (name, member) in a {
                    let at = format!("{at}.{name}");
                    match b.get(name) {
                        Some(other) => self.values(&at, member, other),
                        None => self.add(&at, Some(member.to_string()), None),
                    }
                }
                for (name, member) in b.iter().filter(|(name, _)| !a.contains_key(*name)) {
                    self.add(&format!("{at}.{name}"), None, Some(member.to_string()));
                }
            }
            (Value::Array(a), Value::Array(b)) => {
                for n in 0..a.len().max(b.len()) {
                    let at = format!("{at}[{n}]");
                    match (a.get(n), b.get(n)) {
                        (Some(a), Some(b)) => self.values(&at, a, b),
                        (a, b) => self.add(&at, a.map(Value::to_string), b.map(Value::to_string)),
                    }
                }
            }
            (a, b) if a == b => {}
            (Value::String(a), Value::String(b)) if a.contains('\n') || b.contains('\n') => {
                self.lines(at, a, b);
            }
            (a, b) => self.add(at, Some(a.to_string()), Some(b.to_string())),
        }
    }
}

type Hunk<'a> = (Vec<&'a str>, Vec<&'a str>);

/// The runs of lines that only one has, between those that both have, as long as can be.
fn hunks<'a>(a: &[&'a str], b: &[&'a str]) -> Vec<Hunk<'a>> {
    let mut longest = vec![vec![0_usize; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            longest[i][j] = match a[i] == b[j] {
                true => longest[i + 1][j + 1] + 1,
                false => longest[i + 1][j].max(longest[i][j + 1]),
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut hunks: Vec<Hunk<'a>> = Vec::new();
    let mut open = false;
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            (i, j, open) = (i + 1, j + 1, false);
            continue;
        }
        if !open {
            hunks.push(Hunk::default());
            open = true;
        }
        let Some((removed, added)) = hunks.last_mut() else {
            break;
        };
        if j == b.len() || (i < a.len() && longest[i + 1][j] >= longest[i][j + 1]) {
            removed.push(a[i]);
            i += 1;
        } else {
            added.push(b[j]);
            j += 1;
        }
    }
    hunks
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn command(code: i32, stdout: &str) -> Said {
        Said::Command {
            code,
            stdout: Text::Lines(stdout.into()),
            stderr: String::new(),
        }
    }

    #[test]
    fn lines_are_paired_between_equal_ones() {
        let found = between(
            "s",
            &command(0, "a\nb\nc\nd"),
            &command(1, "a\nx\nc\nd\ne"),
            false,
        );
        let seen: Vec<_> = found
            .iter()
            .map(|one| (one.at.as_str(), one.argo_cd.as_deref(), one.naru.as_deref()))
            .collect();
        assert_eq!(
            seen,
            [
                ("exit code", Some("0"), Some("1")),
                ("stdout", Some("b"), Some("x")),
                ("stdout", None, Some("e")),
            ]
        );
        assert_eq!(
            between("s", &command(0, "a"), &command(0, "b"), true),
            [],
            "how it ended is the same"
        );
    }

    #[test]
    fn members_are_told_by_their_place() {
        let answer = |body| Said::Answer { status: 200, body };
        let found = between(
            "s",
            &answer(json!({"items": [{"a": 1, "b": null}], "same": "x"})),
            &answer(json!({"items": [{"a": 2}, {}], "same": "x", "more": []})),
            false,
        );
        let seen: Vec<_> = found
            .iter()
            .map(|one| (one.at.as_str(), one.argo_cd.as_deref(), one.naru.as_deref()))
            .collect();
        assert_eq!(
            seen,
            [
                ("body.items[0].a", Some("1"), Some("2")),
                ("body.items[0].b", Some("null"), None),
                ("body.items[1]", None, Some("{}")),
                ("body.more", None, Some("[]")),
            ]
        );
    }
}
