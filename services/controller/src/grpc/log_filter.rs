//! Which lines of a pod's log are wanted.

/// A line must contain a text, or must not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LogFilter {
    text: String,
    negated: bool,
    match_case: bool,
}

impl LogFilter {
    /// The filter that a query's `filter` and `matchCase` ask for; `None` takes every line.
    ///
    /// A leading `!` turns it round. Letters of either case are equal unless `match_case` says otherwise.
    #[must_use]
    pub(super) fn parse(filter: &str, match_case: bool) -> Option<Self> {
        let (negated, text) = filter
            .strip_prefix('!')
            .map_or((false, filter), |text| (true, text));
        if text.is_empty() {
            return None;
        }
        let text = if match_case {
            text.to_owned()
        } else {
            text.to_lowercase()
        };
        Some(Self {
            text,
            negated,
            match_case,
        })
    }

    /// Whether a line is wanted.
    #[must_use]
    pub(super) fn wants(&self, line: &str) -> bool {
        let found = if self.match_case {
            line.contains(&self.text)
        } else {
            line.to_lowercase().contains(&self.text)
        };
        found != self.negated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leading_exclamation_mark_turns_the_filter_round() {
        assert!(LogFilter::parse("", false).is_none());
        assert!(LogFilter::parse("!", false).is_none());
        let plain = LogFilter::parse("Error", false).unwrap();
        assert!(plain.wants("an ERROR here") && !plain.wants("fine"));
        let exact = LogFilter::parse("Error", true).unwrap();
        assert!(exact.wants("Error") && !exact.wants("error"));
        let negated = LogFilter::parse("!error", false).unwrap();
        assert!(negated.wants("fine") && !negated.wants("Error"));
    }
}
