//! Settings: a TOML file named by `NARU_CONFIG`, then the environment (`NARU_<KEY>`, nested with `__`), read once.

use std::path::PathBuf;

use figment::Figment;
use figment::providers::{Env, Format, Toml};
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

/// Reads the settings of one binary.
///
/// # Errors
/// Every setting that is missing or malformed, each named as its environment variable.
pub fn load<C: DeserializeOwned>() -> Result<C, ConfigError> {
    let mut figment = Figment::new();
    if let Some(file) = Env::var("NARU_CONFIG") {
        figment = figment.merge(Toml::file_exact(file));
    }
    let figment = figment.merge(Env::prefixed("NARU_").ignore(&["config"]).split("__"));
    figment.extract().map_err(|error| ConfigError {
        problems: error.into_iter().map(|e| describe(&e)).collect(),
    })
}

fn describe(error: &figment::Error) -> String {
    use figment::error::Kind;
    let path = if error.path.is_empty() {
        match &error.kind {
            Kind::MissingField(field) => format!("NARU_{}", field.to_uppercase()),
            _ => "settings".to_owned(),
        }
    } else {
        let mut path = error.path.join("__");
        if let Kind::MissingField(field) = &error.kind {
            path = format!("{path}__{field}");
        }
        format!("NARU_{}", path.to_uppercase())
    };
    match &error.kind {
        Kind::MissingField(_) => format!("{path} is not set"),
        kind => format!("{path}: {kind}"),
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
