//! When syncing is allowed or denied: cron schedules, durations and their time zones.

use std::time::Duration;

use chrono::{Datelike, NaiveDateTime, TimeDelta, Timelike};
use chrono_tz::Tz;
use serde_json::Value;

use crate::clock::Timestamp;
use crate::resource::text;

/// A schedule of five fields, in minutes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Whether the days, and whether the weekdays, are all of them: then the other alone counts.
    any_day: bool,
    any_weekday: bool,
}

const MONTHS: &[&str] = &[
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const WEEKDAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl Schedule {
    /// Reads `minute hour day month weekday`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields.as_slice() else {
            return Err(format!(
                "expected exactly 5 fields, found {}: [{}]",
                fields.len(),
                fields.join(" ")
            ));
        };
        let any = |field: &str| field.starts_with(['*', '?']);
        Ok(Self {
            minutes: field(minute, 0, 59, &[])?,
            hours: field(hour, 0, 23, &[])?,
            days: field(day, 1, 31, &[])?,
            months: field(month, 1, 12, MONTHS)?,
            weekdays: field(weekday, 0, 6, WEEKDAYS)?,
            any_day: any(day),
            any_weekday: any(weekday),
        })
    }

    /// Whether it begins in the minute of a local time.
    #[must_use]
    pub fn begins(&self, at: NaiveDateTime) -> bool {
        let has = |set: u64, value: u32| set & (1 << value) != 0;
        let day = has(self.days, at.day());
        let weekday = has(self.weekdays, at.weekday().num_days_from_sunday());
        let on_day = if self.any_day || self.any_weekday {
            day && weekday
        } else {
            day || weekday
        };
        on_day
            && has(self.minutes, at.minute())
            && has(self.hours, at.hour())
            && has(self.months, at.month())
    }

    /// Whether a window of that length that began by this schedule is open at a local time.
    #[must_use]
    pub fn open(&self, now: NaiveDateTime, length: Duration) -> bool {
        let Some(mut at) = now.with_second(0).and_then(|at| at.with_nanosecond(0)) else {
            return false;
        };
        let Some(earliest) = TimeDelta::from_std(length)
            .ok()
            .and_then(|length| now.checked_sub_signed(length))
        else {
            return false;
        };
        // A window that is longer than a year is open whenever it begins at all in one.
        let floor = now - TimeDelta::days(366);
        while at > earliest && at > floor {
            if self.begins(at) {
                return true;
            }
            at -= TimeDelta::minutes(1);
        }
        false
    }
}

fn field(text: &str, low: u32, high: u32, names: &[&str]) -> Result<u64, String> {
    let mut set = 0;
    for part in text.split(',') {
        set |= range(part, low, high, names)?;
    }
    Ok(set)
}

fn range(text: &str, low: u32, high: u32, names: &[&str]) -> Result<u64, String> {
    let number = |word: &str| -> Result<u32, String> {
        let lower = word.to_ascii_lowercase();
        if let Some(index) = names.iter().position(|name| **name == *lower) {
            return Ok(low + u32::try_from(index).unwrap_or_default());
        }
        word.parse().map_err(|_| {
            format!(
                "failed to parse int from {word}: strconv.Atoi: parsing \"{word}\": invalid syntax"
            )
        })
    };
    let (span, step) = match text.split_once('/') {
        Some((span, step)) => (span, Some(step)),
        None => (text, None),
    };
    let (from, to) = match span {
        "*" | "?" => (low, high),
        _ => match span.split_once('-') {
            Some((from, to)) => (number(from)?, number(to)?),
            None => {
                let at = number(span)?;
                (at, if step.is_some() { high } else { at })
            }
        },
    };
    let step = match step {
        None => 1,
        Some(step) => number(step)?,
    };
    if from < low {
        return Err(format!(
            "beginning of range ({from}) below minimum ({low}): {text}"
        ));
    }
    if to > high {
        return Err(format!(
            "end of range ({to}) above maximum ({high}): {text}"
        ));
    }
    if from > to {
        return Err(format!(
            "beginning of range ({from}) beyond end of range ({to}): {text}"
        ));
    }
    if step == 0 {
        return Err(format!("step of range should be a positive number: {text}"));
    }
    Ok((from..=to)
        .step_by(usize::try_from(step).unwrap_or(usize::MAX))
        .fold(0, |set, value| set | (1 << value)))
}

/// A duration as Go writes it: `1h30m`.
///
/// # Errors
/// What is wrong with it, in Go's words.
pub fn duration(text: &str) -> Result<Duration, String> {
    let invalid = || format!("time: invalid duration {text:?}");
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let number = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(|| format!("time: missing unit in duration {text:?}"))?;
        let value: f64 = rest[..number].parse().map_err(|_| invalid())?;
        rest = &rest[number..];
        let unit = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        seconds += value
            * match &rest[..unit] {
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "us" | "µs" | "μs" => 1e-6,
                "ns" => 1e-9,
                other => return Err(format!("time: unknown unit {other:?} in duration {text:?}")),
            };
        rest = &rest[unit..];
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| invalid())
}

/// The time zone of a window; UTC when it names none.
fn zone(window: &Value) -> Result<Tz, String> {
    let name = match text(window, &["timeZone"]) {
        "" => "UTC",
        name => name,
    };
    name.parse()
        .map_err(|_| format!("cannot parse '{name}' time zone: unknown time zone {name}"))
}

/// Whether a window is open.
///
/// # Errors
/// What is wrong with it, as [`check`] tells it.
pub fn is_open(window: &Value, now: Timestamp) -> Result<bool, String> {
    check(window)?;
    let schedule = Schedule::parse(text(window, &["schedule"]))?;
    let length = duration(text(window, &["duration"]))?;
    let local = now.with_timezone(&zone(window)?).naive_local();
    Ok(schedule.open(local, length))
}

/// Whether a window can be kept: its kind, schedule, duration and time zone.
///
/// # Errors
/// What is wrong, in Argo CD's words.
pub fn check(window: &Value) -> Result<(), String> {
    zone(window)?;
    let kind = text(window, &["kind"]);
    if !matches!(kind, "allow" | "deny") {
        return Err(format!("kind '{kind}' mismatch: can only be allow or deny"));
    }
    let schedule = text(window, &["schedule"]);
    Schedule::parse(schedule)
        .map_err(|why| format!("cannot parse schedule '{schedule}': {why}"))?;
    let length = text(window, &["duration"]);
    duration(length).map_err(|why| format!("cannot parse duration '{length}': {why}"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

    use super::*;

    fn at(day: u32, hour: u32, minute: u32) -> NaiveDateTime {
        // 1 November 2026 is a Sunday.
        NaiveDate::from_ymd_opt(2026, 11, day)
            .and_then(|date| date.and_hms_opt(hour, minute, 30))
            .unwrap()
    }

    fn open(schedule: &str, length: &str, now: NaiveDateTime) -> bool {
        Schedule::parse(schedule)
            .unwrap()
            .open(now, duration(length).unwrap())
    }

    #[test]
    fn a_window_is_open_from_its_begin_for_its_length() {
        assert!(open("0 22 * * *", "1h", at(2, 22, 0)));
        assert!(open("0 22 * * *", "1h", at(2, 22, 59)));
        assert!(!open("0 22 * * *", "1h", at(2, 23, 0)));
        assert!(!open("0 22 * * *", "1h", at(2, 21, 59)));
        assert!(open("0 22 * * sun", "3h", at(2, 0, 30)), "over midnight");
        assert!(!open("0 22 * * mon-fri", "1h", at(1, 22, 10)));
        assert!(open("*/15 * * * *", "5m", at(3, 7, 17)));
        assert!(open("0 0 1 * 1", "1h", at(2, 0, 5)), "a day or a weekday");
    }

    #[test]
    fn a_window_is_open_by_the_clocks_of_its_zone() {
        let window = |zone: &str| serde_json::json!({"kind": "allow", "schedule": "0 9 * * *", "duration": "1h", "timeZone": zone});
        // 00:30 in UTC is 09:30 in Seoul.
        let now = at(3, 0, 30).and_utc();
        assert_eq!(is_open(&window("Asia/Seoul"), now), Ok(true));
        assert_eq!(is_open(&window(""), now), Ok(false));
        assert_eq!(
            is_open(&window("Mars/Base"), now),
            Err("cannot parse 'Mars/Base' time zone: unknown time zone Mars/Base".to_owned())
        );
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        for bad in [
            "* * * *",
            "60 * * * *",
            "* 24 * * *",
            "a * * * *",
            "5-1 * * * *",
            "*/0 * * * *",
        ] {
            assert!(Schedule::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(duration("1h30m").unwrap(), Duration::from_secs(5_400));
        assert_eq!(
            duration("90").unwrap_err(),
            "time: missing unit in duration \"90\""
        );
        assert!(duration("").is_err() && duration("1d").is_err());
    }
}
