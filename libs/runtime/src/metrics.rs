//! Metrics: one registry per process, written out in the OpenMetrics text form that Prometheus reads.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::{Metric, Registry as Inner};

/// The metrics of a process. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Registry(Arc<Mutex<Inner>>);

impl Registry {
    /// An empty registry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a metric and gives it back, so that a field can be filled in one expression.
    pub fn add<M: Metric + Clone>(&self, name: &str, help: &str, metric: M) -> M {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .register(name, help, metric.clone());
        metric
    }

    /// Adds whatever computes itself when it is read.
    pub fn add_collector(&self, collector: Box<dyn prometheus_client::collector::Collector>) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .register_collector(collector);
    }

    /// Everything, as text.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::new();
        let registry = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Writing to a String fails only where a metric's own encoder does; what was written so far is still of use.
        let _ = encode(&mut text, &registry);
        text
    }
}
