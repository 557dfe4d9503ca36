//! Durations as Go writes them, and the days that Argo CD also takes.

use std::time::Duration;

/// The duration of a text such as `24h`, `1h30m` or `300ms`; `0` needs no unit, and none is negative here.
#[must_use]
pub fn go_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut nanos = 0_f64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .filter(|cut| *cut > 0)?;
        let number: f64 = rest[..digits].parse().ok()?;
        let unit_end = rest[digits..]
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .map_or(rest.len(), |cut| digits + cut);
        nanos += number
            * match &rest[digits..unit_end] {
                "ns" => 1.0,
                "us" | "µs" | "μs" => 1e3,
                "ms" => 1e6,
                "s" => 1e9,
                "m" => 60e9,
                "h" => 3_600e9,
                "d" => 86_400e9,
                _ => return None,
            };
        rest = &rest[unit_end..];
    }
    // Go counts in 64 bits of nanoseconds, some 292 years.
    (nanos < 9.2e18).then(|| Duration::from_secs_f64(nanos / 1e9))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        let read = |text| go_duration(text).map(|d| d.as_millis());
        assert_eq!(read("24h"), Some(86_400_000));
        assert_eq!(read("1h30m"), Some(5_400_000));
        assert_eq!(read("1.5s"), Some(1_500));
        assert_eq!(read("300ms"), Some(300));
        assert_eq!(read("0"), Some(0));
        assert_eq!(read("2d"), Some(172_800_000));
        for bad in ["", "5", "5 m", "-1h", "1x", "h", "1h.", "99999999999h"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
