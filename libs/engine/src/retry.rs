//! When to try again.

use chrono::TimeDelta;
use domain::application::Retry;
use domain::clock::Timestamp;

/// A sync by itself is retried this often where the application does not say.
pub const AUTOMATED_LIMIT: i64 = 5;

const FIRST: TimeDelta = TimeDelta::seconds(5);
const LONGEST: TimeDelta = TimeDelta::minutes(3);
const FACTOR: i64 = 2;
/// No sooner than this, whatever the application says: without end and without a wait it would be all that is done.
const SHORTEST: TimeDelta = TimeDelta::seconds(1);

/// The next try of an operation that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Again {
    /// The number of the try that comes.
    pub attempt: i64,
    /// When it comes.
    pub at: Timestamp,
    /// The time that the operation's message names: one step earlier, as Argo CD has it.
    pub announced: Timestamp,
}

/// Whether and when an operation that failed at `finished` after `retried` retries is tried again.
#[must_use]
pub fn again(retry: &Retry, retried: i64, finished: Timestamp) -> Option<Again> {
    if retry.limit == 0 || (retry.limit > 0 && retried >= retry.limit) {
        return None;
    }
    let at = |count| finished.checked_add_signed(wait(retry, count));
    let attempt = retried.saturating_add(1);
    Some(Again {
        attempt,
        at: at(attempt)?,
        announced: at(retried)?,
    })
}

/// `duration * factor ^ count`, at most the longest, and never less than the shortest.
fn wait(retry: &Retry, count: i64) -> TimeDelta {
    let backoff = retry.backoff.as_ref();
    let read = |text: Option<&str>, otherwise| text.and_then(duration).unwrap_or(otherwise);
    let first = read(backoff.map(|b| b.duration.as_str()), FIRST);
    let longest = read(backoff.map(|b| b.max_duration.as_str()), LONGEST);
    let factor = backoff.and_then(|b| b.factor).unwrap_or(FACTOR).max(1);
    let mut wait = first;
    for _ in 0..count.clamp(0, 64) {
        let factor = i32::try_from(factor).unwrap_or(i32::MAX);
        wait = wait.checked_mul(factor).unwrap_or(longest);
        if wait >= longest {
            break;
        }
    }
    wait.min(longest).max(SHORTEST)
}

/// A duration as Go writes it (`300ms`, `1m30s`, `2h`), or a bare number of seconds; `None` when it is none.
#[must_use]
pub fn duration(text: &str) -> Option<TimeDelta> {
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    if let Ok(seconds) = text.parse::<i64>() {
        return TimeDelta::try_seconds(seconds).filter(|d| *d >= TimeDelta::zero());
    }
    let mut rest = text;
    let mut nanos = 0.0_f64;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(end);
        let end = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let unit = match unit {
            "ns" => 1.0,
            "us" | "µs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return None,
        };
        nanos += number.parse::<f64>().ok()? * unit;
        rest = tail;
    }
    if !(0.0..9e18).contains(&nanos) {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the range was just checked"
    )]
    Some(TimeDelta::nanoseconds(nanos as i64))
}

#[cfg(test)]
mod tests {
    use domain::application::Backoff;

    use super::*;

    fn after(retry: &Retry, retried: i64) -> Option<(i64, i64)> {
        let finished = Timestamp::UNIX_EPOCH;
        again(retry, retried, finished).map(|a| (a.at.timestamp(), a.announced.timestamp()))
    }

    #[test]
    fn waits_double_up_to_three_minutes_and_the_message_is_one_step_behind() {
        let retry = Retry {
            limit: 7,
            ..Retry::default()
        };
        let waits: Vec<_> = (0..8).map(|retried| after(&retry, retried)).collect();
        let expected = [
            (10, 5),
            (20, 10),
            (40, 20),
            (80, 40),
            (160, 80),
            (180, 160),
            (180, 180),
        ];
        assert_eq!(waits[..7], expected.map(Some));
        assert_eq!(waits[7], None);
        assert_eq!(after(&Retry::default(), 0), None);
        assert!(
            after(
                &Retry {
                    limit: -1,
                    ..Retry::default()
                },
                1000
            )
            .is_some()
        );
    }

    #[test]
    fn the_applications_backoff_is_followed() {
        let backoff = Backoff {
            duration: "1m30s".into(),
            factor: Some(3),
            max_duration: "10m".into(),
        };
        let retry = Retry {
            limit: 5,
            backoff: Some(backoff),
            refresh: false,
        };
        assert_eq!(after(&retry, 0), Some((270, 90)));
        assert_eq!(after(&retry, 1), Some((600, 270)));
    }

    #[test]
    fn nothing_is_tried_again_at_once() {
        let said = |duration: &str, longest: &str| Retry {
            limit: -1,
            backoff: Some(Backoff {
                duration: duration.into(),
                factor: Some(1),
                max_duration: longest.into(),
            }),
            refresh: false,
        };
        for (duration, longest) in [("0", ""), ("0s", "1h"), ("1ns", "5m"), ("5s", "0s")] {
            assert_eq!(
                after(&said(duration, longest), 9),
                Some((1, 1)),
                "{duration}"
            );
        }
    }

    #[test]
    fn durations_are_gos() {
        assert_eq!(duration("1h2m3.5s"), TimeDelta::try_milliseconds(3_723_500));
        assert_eq!(duration("5"), TimeDelta::try_seconds(5));
        for bad in ["", "5x", "m", "-5s", "1e9h"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }
}
