//! When certificates end, as the metrics tell it: in seconds since 1970, so that whoever watches needs no calendar.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::config::MutualTls;
use crate::metrics::Registry;
use crate::mtls::{MutualTlsError, certificates};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    kind: &'static str,
    name: String,
}

/// The ends of a process' certificates. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Expiry {
    ends: Family<Labels, Gauge>,
    /// The names that are told of, by kind.
    told: Arc<Mutex<HashMap<&'static str, Vec<String>>>>,
}

impl Expiry {
    /// None is known yet.
    #[must_use]
    pub fn new(registry: &Registry) -> Self {
        Self {
            ends: registry.add(
                "naru_certificate_expiration_timestamp_seconds",
                "When a certificate ends, in seconds since 1970",
                Family::default(),
            ),
            told: Arc::default(),
        }
    }

    /// Tells of the certificates of a kind by their names, and of no others of the kind any more.
    pub fn tell(&self, kind: &'static str, ends: &BTreeMap<String, i64>) {
        let mut told = self.told.lock();
        let before = told.insert(kind, ends.keys().cloned().collect());
        for (name, end) in ends {
            let labels = Labels {
                kind,
                name: name.clone(),
            };
            self.ends.get_or_create(&labels).set(*end);
        }
        for name in before.unwrap_or_default() {
            if !ends.contains_key(&name) {
                self.ends.remove(&Labels { kind, name });
            }
        }
    }

    /// Tells of the identity that a process has among the services: its own certificate and their authority, as they are
    /// when it starts.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn tell_internal(&self, files: &MutualTls) -> Result<(), MutualTlsError> {
        let mut ends = BTreeMap::new();
        for (name, file) in [("own", &files.cert), ("authority", &files.ca)] {
            if let Some(end) = end_of(&certificates(file)?) {
                ends.insert(name.to_owned(), end);
            }
        }
        self.tell("internal", &ends);
        Ok(())
    }
}

/// When the first of a chain's certificates ends, in seconds since 1970; nothing where none can be read.
#[must_use]
pub fn end_of(chain: &[CertificateDer<'_>]) -> Option<i64> {
    let ends = chain.iter().filter_map(|der| {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        Some(certificate.validity().not_after.timestamp())
    });
    ends.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_of_a_kind_no_more_is_told_of_no_more() {
        let registry = Registry::new();
        let expiry = Expiry::new(&registry);
        let told = || -> Vec<String> {
            let text = registry.encode();
            let name = "naru_certificate_expiration_timestamp_seconds{";
            let lines = text.lines().filter_map(|line| line.strip_prefix(name));
            let mut told: Vec<String> = lines.map(str::to_owned).collect();
            told.sort();
            told
        };
        let ends = |names: &[(&str, i64)]| -> BTreeMap<String, i64> {
            let owned = names.iter().map(|(name, end)| ((*name).to_owned(), *end));
            owned.collect()
        };
        expiry.tell("internal", &ends(&[("own", 1)]));
        expiry.tell("given", &ends(&[("a", 2), ("b", 3)]));
        expiry.tell("given", &ends(&[("b", 4), ("c", 5)]));
        assert_eq!(
            told(),
            [
                "kind=\"given\",name=\"b\"} 4",
                "kind=\"given\",name=\"c\"} 5",
                "kind=\"internal\",name=\"own\"} 1",
            ]
        );
        expiry.tell("given", &ends(&[]));
        assert_eq!(told(), ["kind=\"internal\",name=\"own\"} 1"]);
    }

    #[test]
    fn what_is_no_certificate_has_no_end() {
        assert_eq!(end_of(&[]), None);
        let nonsense = CertificateDer::from(b"no certificate".as_slice());
        assert_eq!(end_of(&[nonsense]), None);
    }
}
