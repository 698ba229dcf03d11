//! The time formats of the API, all UTC, each field in the format of its own example (ens-api.md §1.2).
//! Nothing here reads a clock: times are milliseconds since 1970 that come in as arguments.

use crate::error::{Code, Error};
use jiff::Timestamp;
use jiff::civil::Date;

/// `2021-08-18 14:46:45`: inside `Application`, `AppInfo` and `StatusDescrip`.
pub fn spaced(wall_ms: i64) -> String {
    format(wall_ms, "%Y-%m-%d %H:%M:%S")
}

/// `2021-12-28T16:00:00Z`: our own actions and the typed answers of the data actions.
pub fn iso(wall_ms: i64) -> String {
    format(wall_ms, "%Y-%m-%dT%H:%M:%SZ")
}

/// `2022-03-03T03:42:11`: DescribeDeviceService's `AppMetaData.CreateTime`.
pub fn iso_without_zone(wall_ms: i64) -> String {
    format(wall_ms, "%Y-%m-%dT%H:%M:%S")
}

/// `2021-01-26T05:04Z`: DescribeDeviceService's `UpdateTime` and `ResourceInfos.CreateTime`.
pub fn iso_minutes(wall_ms: i64) -> String {
    format(wall_ms, "%Y-%m-%dT%H:%MZ")
}

/// `2022-02-15`: what `MinDate` and `MaxDate` compare with.
pub fn date(wall_ms: i64) -> String {
    format(wall_ms, "%Y-%m-%d")
}

/// Whether `text` is a date of the form `yyyy-MM-dd` that the calendar knows.
pub fn is_date(text: &str) -> bool {
    text.len() == 10 && Date::strptime("%Y-%m-%d", text).is_ok()
}

/// Reads what [`spaced`] writes: `2021-02-19 08:00:00`, as if it were UTC.
pub fn parse_spaced(text: &str) -> Option<i64> {
    let read = jiff::civil::DateTime::strptime("%Y-%m-%d %H:%M:%S", text).ok()?;
    jiff::tz::TimeZone::UTC.to_timestamp(read).ok().map(Timestamp::as_millisecond)
}

/// A point in time as `DescribeInstanceLogs.Since` takes it: `yyyy-MM-ddTHH:mm:ss[.fff]Z`.
pub fn parse_iso(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
}

/// Reads a signature's time stamp: exactly `yyyy-MM-ddTHH:mm:ssZ`.
///
/// # Errors
/// `InvalidTimeStamp.Format`.
pub fn parse_stamp(text: &str) -> Result<Timestamp, Error> {
    let malformed = || Error::new(Code::InvalidTimeStampFormat);
    let shaped = text.len() == 20 && text.as_bytes()[10] == b'T' && text.ends_with('Z');
    if !shaped {
        return Err(malformed());
    }
    text.parse::<Timestamp>().map_err(|_| malformed())
}

fn format(wall_ms: i64, shape: &str) -> String {
    let stamp = Timestamp::from_millisecond(wall_ms).unwrap_or(Timestamp::UNIX_EPOCH);
    stamp.strftime(shape).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_is_that_of_its_example() {
        let wall = 1_629_298_005_007;

        assert_eq!(spaced(wall), "2021-08-18 14:46:45");
        assert_eq!(iso(wall), "2021-08-18T14:46:45Z");
        assert_eq!(iso_without_zone(wall), "2021-08-18T14:46:45");
        assert_eq!(iso_minutes(wall), "2021-08-18T14:46Z");
        assert_eq!(date(wall), "2021-08-18");
        assert_eq!(parse_iso("2021-08-18T14:46:45.007Z"), Some(wall));
    }

    #[test]
    fn a_stamp_has_exactly_one_form() {
        assert_eq!(parse_stamp("2026-03-27T08:00:00Z").unwrap().as_second(), 1_774_598_400);
        for malformed in [
            "",
            "2026-03-27 08:00:00Z",
            "2026-03-27T08:00:00+00",
            "2026-03-27T08:00Z",
            "2026-13-27T08:00:00Z",
        ] {
            assert!(parse_stamp(malformed).is_err(), "{malformed}");
        }
    }

    #[test]
    fn a_date_is_one_of_the_calendar() {
        for (text, expected) in [
            ("2022-02-15", true),
            ("2022-02-30", false),
            ("2022-2-15", false),
            ("20220215", false),
            ("", false),
        ] {
            assert_eq!(is_date(text), expected, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_time_and_no_text_panics(wall: i64, text: String) {
            drop(spaced(wall));
            drop(parse_stamp(&text));
            let _ = is_date(&text);
        }
    }
}
