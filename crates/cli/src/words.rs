//! Numbers, times and long names as people read them.

use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};
use serde_json::Value;

/// `1 instance`, `6 instances`.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// `3s`, `2m`, `5h`, `3d`: the largest unit that is not zero.
pub(crate) fn age(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds @ 60..3_600 => format!("{}m", seconds / 60),
        seconds @ 3_600..86_400 => format!("{}h", seconds / 3_600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

/// Whole percent of a `Pulled` payload; nothing where nothing is pulled.
pub(crate) fn pulled_percent(pulled: &Value) -> Option<u64> {
    let (bytes, total) = (pulled["Bytes"].as_u64()?, pulled["TotalBytes"].as_u64()?);
    bytes.saturating_mul(100).checked_div(total).map(|percent| percent.min(100))
}

/// `512 B`, `3.4 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1_024 {
        return format!("{bytes} B");
    }
    // Exact enough for one decimal.
    let (mut value, mut unit) = (bytes as f64 / 1_024.0, 0);
    while value >= 1_024.0 && unit + 1 < UNITS.len() {
        value /= 1_024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// `4 min 57 s`, `57 s`.
pub(crate) fn minutes(seconds: i64) -> String {
    let seconds = seconds.max(0);
    if seconds < 60 { format!("{seconds} s") } else { format!("{} min {} s", seconds / 60, seconds % 60) }
}

/// Seconds since a time of any payload: `2026-11-24 20:01:02` and `2026-11-24T20:01:02Z` are both UTC.
pub(crate) fn seconds_since(text: &str, now: Timestamp) -> Option<i64> {
    let then = instant(text)?;
    Some(now.duration_since(then).as_secs())
}

/// Seconds until a time of any payload; negative once it is past.
pub(crate) fn seconds_until(text: &str, now: Timestamp) -> Option<i64> {
    seconds_since(text, now).map(|seconds| -seconds)
}

fn instant(text: &str) -> Option<Timestamp> {
    if let Ok(timestamp) = text.parse() {
        return Some(timestamp);
    }
    let civil: DateTime = text.trim_end_matches('Z').replacen(' ', "T", 1).parse().ok()?;
    TimeZone::UTC.to_timestamp(civil).ok()
}

/// `5m`, `90s`, `2h`, `1d` or a number of seconds, as a duration.
pub(crate) fn duration(text: &str) -> Result<SignedDuration, String> {
    let (digits, unit) = match text.char_indices().find(|(_, letter)| !letter.is_ascii_digit()) {
        Some((at, _)) => text.split_at(at),
        None => (text, "s"),
    };
    let number: i64 = digits.parse().map_err(|_| format!("`{text}` is no duration; try `5m` or `30s`"))?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(format!("`{unit}` is no unit; use s, m, h or d")),
    };
    number.checked_mul(seconds).map(SignedDuration::from_secs).ok_or_else(|| format!("`{text}` is too long"))
}

/// Shortens a long name in the middle, keeping both ends: `cn-wuxi-…_cmcc-3`.
pub(crate) fn shortened(name: &str, width: usize) -> String {
    let letters: Vec<char> = name.chars().collect();
    if letters.len() <= width || width < 3 {
        return name.to_owned();
    }
    let head = (width - 1) / 2;
    let tail = width - 1 - head;
    letters[..head].iter().chain(&['…']).chain(&letters[letters.len() - tail..]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pull_of_nothing_has_no_percentage() {
        let percent = |bytes: u64, total: u64| {
            pulled_percent(&serde_json::json!({"Bytes": bytes, "TotalBytes": total}))
        };

        assert_eq!(percent(62, 100), Some(62));
        assert_eq!(percent(0, 0), None);
        assert_eq!(pulled_percent(&Value::Null), None);
    }

    #[test]
    fn times_of_every_payload_are_read() {
        let now: Timestamp = "2026-11-24T20:00:10Z".parse().unwrap();

        for text in ["2026-11-24 20:00:00", "2026-11-24T20:00:00Z", "2026-11-24T20:00:00"] {
            assert_eq!(seconds_since(text, now), Some(10), "{text}");
        }
        assert_eq!(seconds_since("2026-11-24T20:00Z", now), Some(10));
        assert_eq!(seconds_since("soon", now), None);
    }

    #[test]
    fn ages_have_one_unit() {
        for (seconds, expected) in [(-3, "0s"), (3, "3s"), (120, "2m"), (7_300, "2h"), (200_000, "2d")] {
            assert_eq!(age(seconds), expected);
        }
    }

    #[test]
    fn sizes_have_one_decimal() {
        for (bytes, expected) in [(0, "0 B"), (1_023, "1023 B"), (1_536, "1.5 KiB"), (10 << 30, "10.0 GiB")] {
            assert_eq!(size(bytes), expected);
        }
    }

    #[test]
    fn durations_are_read() {
        assert_eq!(duration("5m"), Ok(SignedDuration::from_secs(300)));
        assert_eq!(duration("90"), Ok(SignedDuration::from_secs(90)));
        assert!(duration("5w").is_err());
        assert!(duration("m").is_err());
        assert!(duration("9223372036854775807d").is_err());
    }

    #[test]
    fn long_names_keep_both_ends() {
        assert_eq!(shortened("cn-wuxi-telecom_unicom_cmcc-3", 16), "cn-wuxi…m_cmcc-3");
        assert_eq!(shortened("short", 16), "short");
    }
}
