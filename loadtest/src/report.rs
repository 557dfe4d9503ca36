//! Figures, for people and for programs.

use serde_json::{Map, Value, json};

/// The figures of one run, in the order in which they were taken.
#[derive(Default)]
pub(crate) struct Report {
    scenario: &'static str,
    figures: Vec<(String, Value)>,
}

impl Report {
    pub(crate) fn new(scenario: &'static str) -> Self {
        Self {
            scenario,
            figures: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        self.figures.push((name.into(), value.into()));
    }

    #[expect(clippy::print_stdout, reason = "the report is this program's output")]
    pub(crate) fn print(&self, as_json: bool) {
        if as_json {
            let figures: Map<String, Value> = self.figures.iter().cloned().collect();
            println!("{}", json!({"scenario": self.scenario, "figures": figures}));
            return;
        }
        println!("{}", self.scenario);
        for (name, value) in &self.figures {
            let text = value.as_f64().filter(|_| value.is_f64()).map_or_else(
                || {
                    value
                        .as_str()
                        .map_or_else(|| value.to_string(), str::to_owned)
                },
                |number| format!("{number:.3}"),
            );
            println!("  {name:<44} {text}");
        }
    }
}

/// The value below which `share` of the samples lie (nearest rank). `samples` must be sorted.
pub(crate) fn percentile(samples: &[f64], share: f64) -> f64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "small counts"
    )]
    let rank = (share * samples.len() as f64).ceil().max(1.0) as usize;
    samples.get(rank - 1).copied().unwrap_or(f64::NAN)
}

/// Says on standard error what is being done.
#[expect(clippy::print_stderr, reason = "progress, apart from the report")]
pub(crate) fn progress(text: &str) {
    eprintln!("{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let samples: Vec<f64> = (1..=200).map(f64::from).collect();
        assert!((percentile(&samples, 0.5) - 100.0).abs() < f64::EPSILON);
        assert!((percentile(&samples, 0.95) - 190.0).abs() < f64::EPSILON);
        assert!((percentile(&samples, 1.0) - 200.0).abs() < f64::EPSILON);
    }
}
