//! What tenants' settings have written in Lua and jq, run over objects of a cluster.
//!
//! Scripts are strangers' programs. They run in a child that is the service's own binary with [`ARGUMENT`]: before it reads
//! anything it gives up files, network, other programs and all but some memory. It is killed when a job takes too long, and
//! ends with the jobs that it was started for, so that nothing of one tenant's is there for the next. Why not in the
//! service itself: neither language can be stopped in the middle of a search or of a growing text, and there both would
//! take everybody's memory. Why not a pool of children that live on, as the renderer has: a start costs some
//! milliseconds, what came out is remembered by whoever asked, and so it is rare.
//!
//! # Reading order
//! [`Job`], [`Answer`], [`Refusal`], [`Scripts`], [`serve`].

mod jq;
mod lua;
mod run;
mod serve;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use run::Scripts;
pub use serve::serve;

/// The argument by which a service's binary becomes the child.
pub const ARGUMENT: &str = "script";

/// Something to run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Job {
    /// Which places of an object jq expressions name.
    Places {
        /// The expressions.
        expressions: Vec<String>,
        /// The object.
        object: Value,
    },
    /// How an object fares by a script that reads `obj` and returns a table with `status` and `message`.
    Health {
        /// In Lua.
        script: String,
        /// The object.
        object: Value,
    },
    /// Which actions an object has by a script that reads `obj` and returns a table of them by name.
    Actions {
        /// In Lua.
        script: String,
        /// The object.
        object: Value,
    },
    /// What an action makes of an object, by a script that reads `obj` and `actionParams`.
    Act {
        /// In Lua.
        script: String,
        /// The object.
        object: Value,
        /// The parameters given.
        parameters: BTreeMap<String, String>,
    },
}

/// What came out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    /// JSON pointers (RFC 6901) of the places, those that there are none of included.
    Places(Vec<String>),
    /// What the script says; `None` where it says nothing.
    Health(Option<Verdict>),
    /// By name.
    Actions(Vec<Offer>),
    /// What the script returned.
    Changed(Vec<Changed>),
}

/// What a health script says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// In a word, as the script wrote it.
    pub status: String,
    /// In a sentence.
    pub message: String,
}

/// An action that a discovery script lists.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Its name.
    pub name: String,
    /// Whether there is nothing for it to do now.
    pub disabled: bool,
    /// The parameters that it takes.
    pub parameters: Vec<String>,
    /// The class of the icon by which clients draw it.
    pub icon: String,
    /// What clients call it.
    pub title: String,
}

/// An object that an action has changed, or made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Changed {
    /// Whether it is to be made.
    pub create: bool,
    /// The whole object.
    pub object: Value,
}

/// Why nothing came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// The script cannot be read, or it failed; in the language's own words, which may quote the object.
    Failed(String),
    /// It computed for longer than a second.
    TooLong,
    /// It computed for less than that, and had not answered for long all the same: the machine is busy.
    Late,
    /// It took more memory than it may, or broke the child in another way.
    TooMuch,
    /// It broke a limit a moment ago, or there was no time left for it: it is to be asked for again.
    NotNow,
    /// The child could not be started.
    Unavailable,
}

impl Refusal {
    /// Whether the same job may have another outcome later, without anybody changing anything.
    #[must_use]
    pub fn passes(&self) -> bool {
        !matches!(self, Self::Failed(_))
    }

    /// Whether that is none of the script's: nothing that it did keeps it from an answer in a moment.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        matches!(self, Self::Late | Self::Unavailable)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What the child would do, here: what it is asked in these tests is none of a stranger's.
    fn run(job: Job) -> Result<Answer, Refusal> {
        serve::answer(&job)
    }

    fn places(expression: &str, object: Value) -> Result<Answer, Refusal> {
        let expressions = vec![expression.to_owned()];
        run(Job::Places {
            expressions,
            object,
        })
    }

    fn health(script: &str, object: Value) -> Result<Answer, Refusal> {
        let script = script.to_owned();
        run(Job::Health { script, object })
    }

    fn verdict(status: &str, message: &str) -> Result<Answer, Refusal> {
        Ok(Answer::Health(Some(Verdict {
            status: status.to_owned(),
            message: message.to_owned(),
        })))
    }

    #[test]
    fn jq_names_places() {
        let object =
            json!({"spec": {"a/b": 1, "list": [{"name": "x", "v": 1}, {"name": "y", "v": 2}]}});
        for (expression, expected) in [
            (".spec.replicas", &["/spec/replicas"][..]),
            (".spec[\"a/b\"]", &["/spec/a~1b"]),
            (
                ".spec.list[] | select(.name == \"y\") | .v",
                &["/spec/list/1/v"],
            ),
            (".spec.list[].v", &["/spec/list/0/v", "/spec/list/1/v"]),
            (".spec.list[1:]", &["/spec/list/1"]),
            (".spec.list[:-1]", &["/spec/list/0"]),
            (
                ".spec | .. | .name?",
                &["/spec/name", "/spec/list/0/name", "/spec/list/1/name"],
            ),
            // What cannot be iterated names nothing.
            (".spec.none[].v", &[]),
            (".spec | length", &[]),
        ] {
            let expected = expected.iter().map(|place| (*place).to_owned()).collect();
            assert_eq!(
                places(expression, object.clone()),
                Ok(Answer::Places(expected)),
                "{expression}"
            );
        }
        for broken in [".spec[", "nothing_of_that_name", ".a) | (.b", ""] {
            let outcome = places(broken, object.clone());
            assert!(
                matches!(outcome, Err(Refusal::Failed(_))),
                "{broken}: {outcome:?}"
            );
        }
    }

    #[test]
    fn lua_says_how_an_object_fares() {
        let object = json!({"metadata": {"name": "a"}, "status": {"ready": true, "count": 3, "list": [], "none": null}});
        let simple = "hs = {}\nif obj.status ~= nil and obj.status.ready then\n  hs.status = \"Healthy\"\n  \
                      hs.message = obj.metadata.name .. \" \" .. obj.status.count\nend\nreturn hs";
        assert_eq!(health(simple, object.clone()), verdict("Healthy", "a 3"));
        assert_eq!(
            health("return nil", object.clone()),
            Ok(Answer::Health(None))
        );
        assert_eq!(
            health("return {}", object.clone()),
            Ok(Answer::Health(None))
        );
        let libraries = "local os = require(\"os\")\nlocal s = string.find(\"abc\", \"b\")\n\
                         return {status = \"Progressing\", message = tostring(s) .. type(os.time()) .. #obj.status.list}";
        assert_eq!(
            health(libraries, object.clone()),
            verdict("Progressing", "2number0")
        );
        for broken in [
            "return 1",
            "x = = 1",
            "error(\"no\")",
            "return obj.none.more",
        ] {
            let outcome = health(broken, object.clone());
            assert!(
                matches!(outcome, Err(Refusal::Failed(_))),
                "{broken}: {outcome:?}"
            );
        }
    }

    #[test]
    fn lua_has_no_way_out() {
        for gone in [
            "io",
            "debug",
            "dofile",
            "loadfile",
            "load",
            "loadstring",
            "print",
            "os.execute",
            "os.getenv",
            "os.exit",
            "os.remove",
            "os.rename",
            "os.tmpname",
            "string.dump",
            "package",
            "module",
            "getfenv",
            "newproxy",
        ] {
            let script = format!("return {{status = tostring({gone})}}");
            assert_eq!(health(&script, json!({})), verdict("nil", ""), "{gone}");
        }
        let outcome = health("return {status = require(\"socket\")}", json!({}));
        assert!(matches!(outcome, Err(Refusal::Failed(_))), "{outcome:?}");
    }

    #[test]
    fn lua_lists_actions_and_carries_them_out() {
        let object =
            json!({"kind": "A", "metadata": {"name": "a", "finalizers": []}, "spec": {"size": 1}});
        let script = "local a = {}\na[\"grow\"] = {[\"disabled\"] = obj.spec.size > 9, [\"params\"] = {{[\"name\"] = \"by\"}}}\n\
                      a[\"a\"] = {[\"displayName\"] = \"An A\", [\"iconClass\"] = \"fa\"}\nreturn a"
            .to_owned();
        let job = Job::Actions {
            script,
            object: object.clone(),
        };
        let (a, grow) = (
            Offer {
                name: "a".into(),
                title: "An A".into(),
                icon: "fa".into(),
                ..Offer::default()
            },
            Offer {
                name: "grow".into(),
                parameters: vec!["by".into()],
                ..Offer::default()
            },
        );
        assert_eq!(run(job), Ok(Answer::Actions(vec![a, grow])));

        let act = |script: &str| {
            run(Job::Act {
                script: script.to_owned(),
                object: object.clone(),
                parameters: BTreeMap::from([("by".to_owned(), "2".to_owned())]),
            })
        };
        let grown =
            json!({"kind": "A", "metadata": {"name": "a", "finalizers": []}, "spec": {"size": 3}});
        let changed = |create, object| Ok(Answer::Changed(vec![Changed { create, object }]));
        let grow = "obj.spec.size = obj.spec.size + tonumber(actionParams[\"by\"])\nreturn obj";
        assert_eq!(act(grow), changed(false, grown));
        let make = "return {{operation = \"create\", resource = {kind = \"B\", metadata = {name = obj.metadata.name}}}}";
        assert_eq!(
            act(make),
            changed(true, json!({"kind": "B", "metadata": {"name": "a"}}))
        );
        for broken in [
            "return 1",
            "return {{operation = \"delete\", resource = obj}}",
            "return {1}",
        ] {
            let outcome = act(broken);
            assert!(
                matches!(outcome, Err(Refusal::Failed(_))),
                "{broken}: {outcome:?}"
            );
        }
    }
}
