//! What is told of manifests, bounded while it is gathered: each of a hundred thousand objects may have ten words that are none.

use domain::cause::{Cause, Severity};
use domain::message;

/// No application shows more warnings of its manifests than this; the rest are counted in one.
const MAX_WARNINGS: usize = 100;

/// Every error, of which an object has one at most, and the first warnings.
#[derive(Default)]
pub(super) struct Told {
    causes: Vec<Cause>,
    /// How many there were, told or not.
    warnings: usize,
}

impl Told {
    pub(super) fn push(&mut self, cause: Cause) {
        match cause.severity {
            Severity::Warning => self.warn(|| cause),
            Severity::Error | Severity::Reason => self.causes.push(cause),
        }
    }

    /// A warning, which is made only where it is told.
    pub(super) fn warn(&mut self, cause: impl FnOnce() -> Cause) {
        self.warnings += 1;
        if self.warnings <= MAX_WARNINGS {
            self.causes.push(cause());
        }
    }

    /// All of it, and how many more warnings there were.
    pub(super) fn causes(self) -> Vec<Cause> {
        let Self {
            mut causes,
            warnings,
        } = self;
        let more = warnings.saturating_sub(MAX_WARNINGS);
        if more > 0 {
            causes.push(Cause::warning(message::lint::MORE.with("count", more)));
        }
        causes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warning(number: usize) -> Cause {
        Cause::warning(message::lint::NULL_TIMESTAMP.with("field", number))
    }

    fn error() -> Cause {
        Cause::error(message::sync::INVALID_OBJECT.with("field", "kind"))
    }

    #[test]
    fn as_many_as_are_told_are_told_in_their_order() {
        let mut told = Told::default();
        let mut all = vec![error()];
        told.push(error());
        for number in 0..MAX_WARNINGS {
            all.push(warning(number));
            told.push(warning(number));
        }
        all.push(error());
        told.push(error());
        assert_eq!(told.causes(), all);
    }

    #[test]
    fn very_many_warnings_are_not_even_gathered_and_crowd_out_no_error() {
        let mut told = Told::default();
        for number in 0..50 * MAX_WARNINGS {
            told.push(warning(number));
            assert!(told.causes.len() <= MAX_WARNINGS);
        }
        told.push(error());
        told.warn(|| unreachable!("nobody is told of it"));
        let causes = told.causes();
        assert_eq!(causes[..MAX_WARNINGS].last(), Some(&warning(99)));
        let rest = &causes[MAX_WARNINGS..];
        let more = Cause::warning(message::lint::MORE.with("count", 49 * MAX_WARNINGS + 1));
        assert_eq!(rest, [error(), more]);
    }
}
