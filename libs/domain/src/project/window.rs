//! When syncing is allowed or denied: cron schedules, durations and their time zones.

use std::time::Duration;

use chrono::{
    Datelike, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeDelta, TimeZone, Timelike,
};
use chrono_tz::Tz;
use serde::Deserialize;
use serde_json::Value;

use super::pattern::Pattern;
use crate::clock::Timestamp;

/// How far ahead and back a schedule is looked through.
const YEAR: TimeDelta = TimeDelta::days(366);
/// How far apart a zone's clocks are read to see whether they have been set: no zone sets them twice within it.
const CLOCKS: TimeDelta = TimeDelta::days(7);

/// A window of a project, as stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Window {
    /// `allow` or `deny`.
    pub kind: String,
    /// When it opens: five fields.
    pub schedule: String,
    /// For how long.
    pub duration: String,
    /// Whose clocks the schedule goes by; UTC when empty.
    pub time_zone: String,
    /// Globs of applications.
    pub applications: Vec<Pattern>,
    /// Globs of namespaces.
    pub namespaces: Vec<Pattern>,
    /// Globs of clusters, by address or name.
    pub clusters: Vec<Pattern>,
    /// Whether all lists that it has must match, instead of any.
    pub and_operator: bool,
    /// Whether a person may sync where the window would not let them.
    pub manual_sync: bool,
    /// Whether what has begun while it let it goes on where it lets nothing begin.
    pub sync_overrun: bool,
}

/// A schedule of five fields, in minutes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The minutes of a day at which it begins, ascending; never none.
    times: Vec<u32>,
    /// The widest gap between two of them.
    widest: TimeDelta,
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
        let (minutes, hours) = (field(minute, 0, 59, &[])?, field(hour, 0, 23, &[])?);
        let times: Vec<u32> = (0..24 * 60)
            .filter(|time| has(hours, time / 60) && has(minutes, time % 60))
            .collect();
        let widest = times.windows(2).map(|pair| pair[1] - pair[0]).max();
        Ok(Self {
            times,
            widest: TimeDelta::minutes(widest.unwrap_or(0).into()),
            days: field(day, 1, 31, &[])?,
            months: field(month, 1, 12, MONTHS)?,
            weekdays: field(weekday, 0, 6, WEEKDAYS)?,
            any_day: any(day),
            any_weekday: any(weekday),
        })
    }

    /// Whether it begins at all on a day.
    fn on(&self, date: NaiveDate) -> bool {
        let day = has(self.days, date.day());
        let weekday = has(self.weekdays, date.weekday().num_days_from_sunday());
        let on_day = if self.any_day || self.any_weekday {
            day && weekday
        } else {
            day || weekday
        };
        on_day && has(self.months, date.month())
    }

    /// When it last began, at a local time or in the year before.
    fn last(&self, now: NaiveDateTime) -> Option<NaiveDateTime> {
        let today = now.date();
        let earliest = today.checked_sub_signed(YEAR)?;
        let begun = self.times.partition_point(|time| *time <= minute_of(now));
        if begun > 0 && self.on(today) {
            return at(today, self.times[begun - 1]);
        }
        let days = today.pred_opt()?.iter_days().rev();
        let mut days = days.take_while(|day| *day >= earliest);
        at(days.find(|day| self.on(*day))?, *self.times.last()?)
    }

    /// When it begins next, after a local time and within a year.
    fn next(&self, now: NaiveDateTime) -> Option<NaiveDateTime> {
        let today = now.date();
        let latest = today.checked_add_signed(YEAR)?;
        let begun = self.times.partition_point(|time| *time <= minute_of(now));
        if begun < self.times.len() && self.on(today) {
            return at(today, self.times[begun]);
        }
        let days = today.succ_opt()?.iter_days();
        let mut days = days.take_while(|day| *day <= latest);
        at(days.find(|day| self.on(*day))?, *self.times.first()?)
    }

    /// Whether a window of that length, a year at most, that began by this schedule is open at a local time.
    fn open(&self, now: NaiveDateTime, length: TimeDelta) -> bool {
        let began = self.last(now);
        began.is_some_and(|began| now.signed_duration_since(began) < length)
    }

    /// When a window of that length that is open at a local time closes; `None` when it does not within a year. One that
    /// begins again before it closes, or just then, stays open.
    fn closes(&self, now: NaiveDateTime, length: TimeDelta) -> Option<NaiveDateTime> {
        let horizon = now.checked_add_signed(YEAR)?;
        let mut began = self.last(now)?;
        while began < horizon {
            if self.widest <= length {
                // It closes nowhere within this day: the gaps of every day are the same.
                began = at(began.date(), *self.times.last()?)?;
            }
            let end = began.checked_add_signed(length)?;
            match self.next(began) {
                Some(again) if again <= end => began = again,
                _ => return Some(end),
            }
        }
        None
    }
}

fn has(set: u64, value: u32) -> bool {
    set & (1 << value) != 0
}

fn minute_of(at: NaiveDateTime) -> u32 {
    at.hour() * 60 + at.minute()
}

fn at(date: NaiveDate, minute: u32) -> Option<NaiveDateTime> {
    NaiveTime::from_hms_opt(minute / 60, minute % 60, 0).map(|time| date.and_time(time))
}

/// When a window is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hours {
    schedule: Schedule,
    length: TimeDelta,
    zone: Tz,
}

impl Hours {
    /// Whether it is open. Schedules go by the local clocks as they stand: what begins in an hour that the clocks leave
    /// out has begun when they go on, and what begins in an hour that comes twice begins twice.
    #[must_use]
    pub fn open(&self, now: Timestamp) -> bool {
        self.schedule.open(self.local(now), self.length)
    }

    /// When it opens next, if it is closed, or closes, if it is open. `None` when that is not within a year.
    #[must_use]
    pub fn changes(&self, now: Timestamp) -> Option<Timestamp> {
        let open = self.open(now);
        let horizon = now.checked_add_signed(YEAR)?;
        let mut from = now;
        while from < horizon {
            let (local, ahead) = (self.local(from), self.ahead(from));
            let change = match open {
                true => self.schedule.closes(local, self.length),
                false => self
                    .schedule
                    .next(local)
                    .filter(|_| self.length > TimeDelta::zero()),
            };
            let change = change.and_then(|local| local.and_utc().checked_sub_signed(ahead));
            let change = change.filter(|change| *change < horizon);
            // As long as the clocks run on, that is right; when they are set, all is to be judged anew.
            let Some(set) = self.clocks_set(from, change.unwrap_or(horizon)) else {
                return change;
            };
            if self.open(set) != open {
                return Some(set);
            }
            from = set;
        }
        None
    }

    /// The zone's name.
    #[must_use]
    pub fn zone(&self) -> Tz {
        self.zone
    }

    fn local(&self, now: Timestamp) -> NaiveDateTime {
        now.with_timezone(&self.zone).naive_local()
    }

    /// How far the zone's clocks are ahead of UTC.
    fn ahead(&self, now: Timestamp) -> TimeDelta {
        let offset = self.zone.offset_from_utc_datetime(&now.naive_utc());
        TimeDelta::seconds(offset.fix().local_minus_utc().into())
    }

    /// The first time after `from`, and not after `until`, at which the zone's clocks are set, to the second.
    fn clocks_set(&self, from: Timestamp, until: Timestamp) -> Option<Timestamp> {
        let before = self.ahead(from);
        let mut same = from;
        let mut other = loop {
            if same >= until {
                return None;
            }
            let further = same.checked_add_signed(CLOCKS)?.min(until);
            if self.ahead(further) != before {
                break further;
            }
            same = further;
        };
        while other.signed_duration_since(same) > TimeDelta::seconds(1) {
            let middle = same + other.signed_duration_since(same) / 2;
            match self.ahead(middle) == before {
                true => same = middle,
                false => other = middle,
            }
        }
        // They are set at whole seconds.
        other.with_nanosecond(0)
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

impl Window {
    /// When it is open.
    ///
    /// # Errors
    /// What is wrong with it, in Argo CD's words.
    pub fn hours(&self) -> Result<Hours, String> {
        let Self {
            kind,
            schedule,
            duration: length,
            ..
        } = self;
        let zone = match self.time_zone.as_str() {
            "" => "UTC",
            name => name,
        };
        let zone = zone
            .parse::<Tz>()
            .map_err(|_| format!("cannot parse '{zone}' time zone: unknown time zone {zone}"))?;
        if !matches!(kind.as_str(), "allow" | "deny") {
            return Err(format!("kind '{kind}' mismatch: can only be allow or deny"));
        }
        let bad_schedule = |why| format!("cannot parse schedule '{schedule}': {why}");
        let bad_length = |why| format!("cannot parse duration '{length}': {why}");
        let length = duration(length).map_err(bad_length);
        let schedule = Schedule::parse(schedule).map_err(bad_schedule)?;
        Ok(Hours {
            schedule,
            // No longer than is looked back: what begins every year is then always open.
            length: TimeDelta::from_std(length?).map_or(YEAR, |length| length.min(YEAR)),
            zone,
        })
    }

    /// Whether it denies, where others allow.
    #[must_use]
    pub fn denies(&self) -> bool {
        self.kind == "deny"
    }
}

/// Whether a window is open.
///
/// # Errors
/// What is wrong with it, as [`check`] tells it.
pub fn is_open(window: &Value, now: Timestamp) -> Result<bool, String> {
    Ok(read(window)?.hours()?.open(now))
}

/// Whether a window can be kept: its kind, schedule, duration and time zone.
///
/// # Errors
/// What is wrong, in Argo CD's words.
pub fn check(window: &Value) -> Result<(), String> {
    read(window)?.hours().map(|_| ())
}

fn read(window: &Value) -> Result<Window, String> {
    Window::deserialize(window).map_err(|error| format!("cannot read window: {error}"))
}

#[cfg(test)]
pub(super) mod tests {
    use rand::rngs::StdRng;
    use rand::seq::IndexedRandom;
    use rand::{Rng, SeedableRng};

    use super::*;

    fn at(day: u32, hour: u32, minute: u32) -> NaiveDateTime {
        // 1 November 2026 is a Sunday.
        NaiveDate::from_ymd_opt(2026, 11, day)
            .and_then(|date| date.and_hms_opt(hour, minute, 30))
            .unwrap()
    }

    fn open(schedule: &str, length: &str, now: NaiveDateTime) -> bool {
        let length = TimeDelta::from_std(duration(length).unwrap()).unwrap();
        Schedule::parse(schedule).unwrap().open(now, length)
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

    fn hours(schedule: &str, length: &str, zone: &str) -> Hours {
        let window = Window {
            kind: "deny".into(),
            schedule: schedule.into(),
            duration: length.into(),
            time_zone: zone.into(),
            ..Window::default()
        };
        window.hours().unwrap()
    }

    /// When a window that is looked at at `now` changes, both in UTC.
    fn changes(schedule: &str, length: &str, zone: &str, now: &str) -> Option<String> {
        let change = hours(schedule, length, zone).changes(now.parse().unwrap());
        change.map(|at| at.format("%Y-%m-%dT%H:%M:%SZ").to_string())
    }

    #[test]
    fn it_is_known_when_a_window_opens_and_closes() {
        let at = |schedule, length, now| changes(schedule, length, "", now);
        let some = |text: &str| Some(text.to_owned());
        let noon = "2026-11-28T12:00:30Z";
        assert_eq!(at("0 22 * * *", "1h", noon), some("2026-11-28T22:00:00Z"));
        assert_eq!(at("0 12 * * *", "1h", noon), some("2026-11-28T13:00:00Z"));
        assert_eq!(at("0 12 * * *", "10s", noon), some("2026-11-29T12:00:00Z"));
        // It begins again just when it would close, until midnight.
        assert_eq!(
            at("*/30 12-23 * * 6", "30m", noon),
            some("2026-11-29T00:00:00Z")
        );
        assert_eq!(
            at("*/30 * * * *", "29m", noon),
            some("2026-11-28T12:29:00Z")
        );
        assert_eq!(at("0 0 1 1 *", "1h", noon), some("2027-01-01T00:00:00Z"));
        for never in ["* * * * *", "0 0 29 2 *", "0 0 30 2 *", "0 0 * * *"] {
            assert_eq!(at(never, "24h", noon), None, "{never}");
        }
        assert_eq!(at("* * * * *", "0", noon), None, "it is never open");
        assert_eq!(at("0 0 1 1 *", "100000h", noon), None, "it is always open");
    }

    #[test]
    fn clocks_that_are_set_open_and_close_windows() {
        let at = |schedule, length, now| changes(schedule, length, "America/New_York", now);
        let some = |text: &str| Some(text.to_owned());
        // On 14 March 2027, at 07:00 UTC, 02:00 becomes 03:00; on 1 November 2026, at 06:00 UTC, 02:00 becomes 01:00.
        let spring = "2027-03-14T06:00:00Z";
        assert_eq!(at("30 2 * * *", "1h", spring), some("2027-03-14T07:00:00Z"));
        assert_eq!(
            at("30 2 * * *", "1h", "2027-03-14T07:00:00Z"),
            some("2027-03-14T07:30:00Z")
        );
        assert_eq!(
            at("30 2 * * *", "10m", spring),
            some("2027-03-15T06:30:00Z"),
            "the hour was left out"
        );
        let autumn = "2026-11-01T05:35:00Z";
        assert_eq!(
            at("30 1 * * *", "10m", autumn),
            some("2026-11-01T05:40:00Z")
        );
        assert_eq!(
            at("30 1 * * *", "10m", "2026-11-01T05:40:00Z"),
            some("2026-11-01T06:30:00Z"),
            "the hour comes twice"
        );
        assert_eq!(
            at("50 1 * * *", "1h", "2026-11-01T05:55:00Z"),
            some("2026-11-01T06:00:00Z")
        );
    }

    /// A schedule of any kind.
    fn any_schedule(random: &mut StdRng) -> String {
        let minute = ["*", "0", "30", "*/7", "10-20", "0,45", "59"];
        let hour = ["*", "0", "1-3", "2", "*/5", "22", "9-17"];
        let day = ["*", "1", "*/9", "31", "8,14"];
        let month = ["*", "3", "11", "3,10-11", "*/2"];
        let weekday = ["*", "0", "1-5", "sun", "6"];
        let fields = [&minute[..], &hour, &day, &month, &weekday];
        let any = fields.map(|fields| *fields.choose(random).unwrap());
        any.join(" ")
    }

    /// A time in the year in which clocks are set on known days, half of them close to one of these.
    pub(in crate::project) fn any_time(random: &mut StdRng) -> Timestamp {
        let set = [
            "2026-11-01T06:00:00Z",
            "2027-03-14T07:00:00Z",
            "2027-03-28T01:00:00Z",
            "2027-04-03T15:00:00Z",
        ];
        let (around, within) = match random.random_bool(0.5) {
            true => (*set.choose(random).unwrap(), 6 * 3600),
            false => ("2026-12-31T00:00:00Z", 90 * 86_400),
        };
        let around: Timestamp = around.parse().unwrap();
        around + TimeDelta::seconds(random.random_range(-within..within))
    }

    pub(in crate::project) fn any_window(random: &mut StdRng) -> Window {
        let zones = [
            "",
            "Asia/Seoul",
            "America/New_York",
            "Europe/London",
            "Australia/Lord_Howe",
        ];
        let lengths = ["1m", "10m", "1h", "90m", "8h", "24h", "30s", "200h"];
        Window {
            kind: (*["allow", "deny"].choose(random).unwrap()).into(),
            schedule: any_schedule(random),
            duration: (*lengths.choose(random).unwrap()).into(),
            time_zone: (*zones.choose(random).unwrap()).into(),
            applications: vec!["*".into()],
            manual_sync: random.random_bool(0.5),
            ..Window::default()
        }
    }

    /// The times that the minutes after `now` begin at, and the seconds before these, for two days.
    pub(in crate::project) fn moments(now: Timestamp) -> impl Iterator<Item = Timestamp> {
        let minute = now.timestamp().div_euclid(60) + 1;
        (minute..minute + 2 * 24 * 60).flat_map(|minute| {
            let at = Timestamp::from_timestamp(minute * 60, 0).unwrap();
            [at - TimeDelta::seconds(1), at]
        })
    }

    #[test]
    fn a_window_changes_when_it_is_said_to_and_not_before() {
        let mut random = StdRng::seed_from_u64(22);
        for _ in 0..200 {
            let (window, now) = (any_window(&mut random), any_time(&mut random));
            let hours = window.hours().unwrap();
            // By the rule itself, minute after minute.
            let slowly = |at: Timestamp| {
                let local = hours.local(at);
                let mut begun = at_minute(local);
                let schedule = &hours.schedule;
                while local - begun < hours.length {
                    let time = schedule.times.binary_search(&minute_of(begun));
                    if time.is_ok() && schedule.on(begun.date()) {
                        return true;
                    }
                    begun -= TimeDelta::minutes(1);
                }
                false
            };
            let (open, change) = (hours.open(now), hours.changes(now));
            assert_eq!(open, slowly(now), "{window:?} at {now}");
            for at in moments(now).take_while(|at| change.is_none_or(|change| *at < change)) {
                assert_eq!(hours.open(at), open, "{window:?} at {at}, not {change:?}");
            }
            if let Some(change) = change {
                assert_ne!(hours.open(change), open, "{window:?} at {change}");
                assert_ne!(slowly(change), open, "{window:?} at {change}");
            }
        }
    }

    fn at_minute(local: NaiveDateTime) -> NaiveDateTime {
        super::at(local.date(), minute_of(local)).unwrap()
    }
}
