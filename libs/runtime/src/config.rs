//! Settings: a TOML file named by `NARU_CONFIG`, then the environment (`NARU_<KEY>`, nested with `__`), read once.

use std::collections::BTreeMap;
use std::path::PathBuf;

use domain::egress::{Egress, Network, NotANetwork};
use figment::Figment;
use figment::error::Kind;
use figment::providers::{Env, Format, Toml};
use figment::value::Value;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

/// The exit code for bad settings or arguments (`EX_USAGE` of sysexits.h).
pub const EX_USAGE: u8 = 64;

/// What is wrong with the settings: every problem, by the name of its setting.
#[derive(Debug, thiserror::Error)]
#[error("{}", problems.join("\n"))]
pub struct ConfigError {
    /// One line per problem, with what to set.
    pub problems: Vec<String>,
}

/// The settings of one binary.
pub trait Settings: DeserializeOwned {
    /// What each setting without a default is for, by its environment variable.
    const PURPOSES: &'static [(&'static str, &'static str)];
}

/// What the settings in [`MutualTls`] are for.
pub const IDENTITY: [(&str, &str); 3] = [
    (
        "NARU_INTERNAL__CA",
        "the PEM file of the authority that signs every component's certificate",
    ),
    (
        "NARU_INTERNAL__CERT",
        "the PEM file of this component's certificate chain",
    ),
    (
        "NARU_INTERNAL__KEY",
        "the PEM file of the key of this component's certificate",
    ),
];

/// Reads the settings of one binary.
///
/// # Errors
/// Every setting that is missing or malformed, each named as its environment variable.
pub fn load<C: Settings>() -> Result<C, ConfigError> {
    let mut figment = Figment::new();
    if let Some(file) = Env::var("NARU_CONFIG") {
        figment = figment.merge(Toml::file_exact(file));
    }
    read(figment.merge(Env::prefixed("NARU_").ignore(&["config"]).split("__")))
}

/// What is said of settings of which none is given: every one without a default.
#[must_use]
pub fn required<C: Settings>() -> Vec<String> {
    match read::<C>(Figment::new()) {
        Ok(_) => Vec::new(),
        Err(error) => error.problems,
    }
}

fn read<C: Settings>(figment: Figment) -> Result<C, ConfigError> {
    figment.extract().map_err(|error| ConfigError {
        problems: every_problem::<C>(figment, error),
    })
}

/// A reader stops at the first problem: with something in its place that reads well, the next one comes to light.
fn every_problem<C: Settings>(mut figment: Figment, first: figment::Error) -> Vec<String> {
    let mut problems: Vec<(String, String)> = Vec::new();
    let mut error = Some(first);
    while let Some(now) = error.take() {
        let key = key(&now);
        if key.is_empty() || problems.iter().any(|(known, _)| *known == key) {
            let said = now.to_string();
            problems.push((key, format!("the settings cannot be read: {said}")));
            break;
        }
        problems.push((key.clone(), describe::<C>(&now, &key)));
        let group = BTreeMap::<String, String>::new();
        let stand_ins: [(bool, Value); 5] = [
            (false, Value::from("https://localhost:1")),
            (false, Value::from(1_u32)),
            (false, Value::from(true)),
            (false, Value::from(Vec::<String>::new())),
            (true, Value::from(group)),
        ];
        for (is_group, stand_in) in stand_ins {
            let tried = figment.clone().merge((key.as_str(), stand_in));
            let next = tried.extract::<C>().err();
            if next.as_ref().is_some_and(|next| self::key(next) == key) {
                continue;
            }
            if is_group {
                // Its parts are named instead.
                problems.pop();
            }
            (figment, error) = (tried, next);
            break;
        }
    }
    problems.into_iter().map(|(_, problem)| problem).collect()
}

/// Which setting an error is about, with dots.
fn key(error: &figment::Error) -> String {
    let mut path = error.path.clone();
    if let Kind::MissingField(field) = &error.kind
        && path.last().is_none_or(|last| *last != **field)
    {
        path.push(field.clone().into_owned());
    }
    path.join(".")
}

/// Says what to set. What was given instead is not repeated: it may be a secret in the wrong place.
fn describe<C: Settings>(error: &figment::Error, key: &str) -> String {
    let name = format!("NARU_{}", key.replace('.', "__").to_uppercase());
    let purpose = C::PURPOSES
        .iter()
        .find(|(of, _)| *of == name)
        .map_or_else(String::new, |(_, purpose)| format!(": {purpose}"));
    match &error.kind {
        Kind::MissingField(_) => format!("{name} is not set{purpose}"),
        Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected) => {
            format!("{name} must be {expected}{purpose}")
        }
        Kind::Message(why) => format!("{name} cannot be used: {why}{purpose}"),
        kind => format!("{name}: {kind}{purpose}"),
    }
}

/// Mutual TLS between the services: one identity per component, in a URI subject alternative name
/// `spiffe://naru/<component>`.
#[derive(Clone, Debug, Deserialize)]
pub struct MutualTls {
    /// The authority that signs every component's certificate, PEM.
    pub ca: PathBuf,
    /// This component's certificate chain, PEM.
    pub cert: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
}

/// Logs and traces.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Telemetry {
    /// What to log, in `tracing`'s directive syntax; `info` when empty.
    pub log: String,
    /// `json` (the default) or `text`.
    pub log_format: String,
    /// Where to send traces (OTLP over gRPC); none are sent when empty.
    pub otlp_endpoint: String,
}

/// Where a service connects on a tenant's word: networks (`10.96.0.0/12`), with commas.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct EgressRules {
    /// `NARU_EGRESS__ALLOW`: allowed, whatever else says no.
    #[serde(deserialize_with = "comma_list")]
    pub allow: Vec<String>,
    /// `NARU_EGRESS__DENY`: refused besides this machine, this link and the clouds' metadata: the cluster's pods and
    /// services, the platform's own parts.
    #[serde(deserialize_with = "comma_list")]
    pub deny: Vec<String>,
}

impl EgressRules {
    /// The networks.
    ///
    /// # Errors
    /// The first that is none.
    pub fn parse(&self) -> Result<Egress, NotANetwork> {
        let networks = |texts: &[String]| -> Result<Vec<Network>, NotANetwork> {
            texts.iter().map(|text| text.parse()).collect()
        };
        Ok(Egress {
            allow: networks(&self.allow)?,
            deny: networks(&self.deny)?,
        })
    }
}

/// A list that the environment gives with commas and a file as an array.
///
/// # Errors
/// When it is neither.
pub fn comma_list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum List {
        Text(String),
        Items(Vec<String>),
        Number(i64),
    }
    Ok(match List::deserialize(deserializer)? {
        List::Text(text) => text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(str::to_owned)
            .collect(),
        List::Items(items) => items,
        List::Number(number) => vec![number.to_string()],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Sample {
        #[expect(dead_code, reason = "only whether it reads well counts here")]
        listen: String,
        #[expect(dead_code, reason = "only whether it reads well counts here")]
        internal: MutualTls,
        #[expect(dead_code, reason = "only whether it reads well counts here")]
        workers: u32,
        #[serde(deserialize_with = "comma_list")]
        peers: Vec<String>,
        #[expect(dead_code, reason = "only whether it reads well counts here")]
        #[serde(default)]
        telemetry: Telemetry,
    }

    impl Settings for Sample {
        const PURPOSES: &'static [(&'static str, &'static str)] = &[
            ("NARU_LISTEN", "where to listen"),
            IDENTITY[0],
            IDENTITY[1],
            IDENTITY[2],
        ];
    }

    #[test]
    fn every_missing_setting_is_named_with_what_it_is_for() {
        assert_eq!(
            required::<Sample>(),
            [
                "NARU_LISTEN is not set: where to listen",
                "NARU_INTERNAL__CA is not set: the PEM file of the authority that signs every component's certificate",
                "NARU_INTERNAL__CERT is not set: the PEM file of this component's certificate chain",
                "NARU_INTERNAL__KEY is not set: the PEM file of the key of this component's certificate",
                "NARU_WORKERS is not set",
                "NARU_PEERS is not set",
            ]
        );
    }

    #[test]
    fn bad_and_missing_settings_are_named_together_and_nothing_given_is_repeated() {
        let file = "workers = 'hunter2'\npeers = 'a, b'\n[internal]\nca = 'ca'\nkey = 5\n";
        let problems = read::<Sample>(Figment::new().merge(Toml::string(file)))
            .unwrap_err()
            .problems;
        let named: Vec<&str> = problems
            .iter()
            .filter_map(|problem| problem.split([' ', ':']).next())
            .collect();
        for name in [
            "NARU_LISTEN",
            "NARU_INTERNAL__CERT",
            "NARU_INTERNAL__KEY",
            "NARU_WORKERS",
        ] {
            assert!(named.contains(&name), "{name} in {problems:?}");
        }
        assert_eq!(problems.len(), 4, "{problems:?}");
        assert!(!problems.concat().contains("hunter2"), "{problems:?}");
    }

    #[test]
    fn good_settings_are_read() {
        let file = "listen = 'a:1'\nworkers = 2\npeers = 'a, b'\n[internal]\nca = 'ca'\ncert = 'c'\nkey = 'k'\n";
        let sample = read::<Sample>(Figment::new().merge(Toml::string(file))).unwrap();
        assert_eq!(sample.peers, ["a", "b"]);
    }

    #[test]
    fn a_table_is_read_from_one_variable() {
        // As a variable's text is read; names may begin with a digit and have hyphens.
        let text: Value = "{2nd=1,team-a=3}".parse().unwrap();
        let figment = Figment::new().merge(("weights", text));
        let weights: BTreeMap<String, u32> = figment.extract_inner("weights").unwrap();
        let wanted = [("2nd".to_owned(), 1), ("team-a".to_owned(), 3)];
        assert_eq!(weights, BTreeMap::from(wanted));
    }

    #[test]
    fn an_address_of_ipv6_in_a_variable_is_no_list() {
        let text: Value = "[::]:8080".parse().unwrap();
        let figment = Figment::new().merge(("listen", text));
        let listen: String = figment.extract_inner("listen").unwrap();
        assert_eq!(listen, "[::]:8080");
    }
}
