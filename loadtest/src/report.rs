//! Figures, for people and for programs.

use serde_json::{Map, Value, json};

/// The figures of one run, in the order in which they were taken.
#[derive(Default)]
pub(crate) struct Report {
    scenario: &'static str,
    section: String,
    figures: Vec<(String, Value)>,
}

impl Report {
    pub(crate) fn new(scenario: &'static str) -> Self {
        Self {
            scenario,
            ..Self::default()
        }
    }

    /// What the figures that follow are about, where a run has several parts: each is named after its part.
    pub(crate) fn section(&mut self, name: impl Into<String>) {
        self.section = name.into();
    }

    pub(crate) fn add(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        let mut name = name.into();
        if !self.section.is_empty() {
            name = format!("{}: {name}", self.section);
        }
        self.figures.push((name, value.into()));
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
            println!("  {name:<60} {text}");
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

/// What a floor is of a cost, or a rate of its floor, in percent.
pub(crate) fn percent(part: f64, whole: f64) -> f64 {
    part / whole * 100.0
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

    #[test]
    fn a_figure_is_named_after_its_part() {
        let mut report = Report::new("S1b");
        report.add("floor", 1);
        report.section("Helm");
        report.add("seconds", 2);
        let names: Vec<&str> = report
            .figures
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(names, ["floor", "Helm: seconds"]);
    }
}
