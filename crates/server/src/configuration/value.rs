//! Reads single values of the configuration: sizes, durations, counts, names of registries. Pure functions of text.

use super::Fault;
use ensemble_model::suggestion::quoted;
use std::time::Duration;
use tracing_subscriber::EnvFilter;

/// The units of a size, the longest first, since the shorter are ends of them.
const SIZES: [(&str, u64); 9] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
];

/// The units of a duration in milliseconds, the longest first.
const DURATIONS: [(&str, u64); 4] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];

/// Nothing that the server waits for waits longer.
const LONGEST: Duration = Duration::from_hours(24);

/// Bytes: `10GiB`.
pub(super) fn size(text: &str) -> Result<u64, Fault> {
    let wrong = || Fault::new(format!("{} is no size", quoted(text))).hint("such as 10GiB, 500MB or 4096B");
    measured(text, &SIZES).filter(|bytes| *bytes > 0).ok_or_else(wrong)
}

/// `10s`; more than nothing, and at most a day.
pub(super) fn duration(text: &str) -> Result<Duration, Fault> {
    let wrong = || {
        Fault::new(format!("{} is no duration", quoted(text))).hint("such as 10s, 500ms or 2m; at most 24h")
    };
    let read = measured(text, &DURATIONS).map(Duration::from_millis).ok_or_else(wrong)?;
    if read.is_zero() || read > LONGEST { Err(wrong()) } else { Ok(read) }
}

/// A whole number from 1 to `most`.
pub(super) fn count(text: &str, most: u32) -> Result<usize, Fault> {
    match text.parse::<u32>() {
        Ok(count) if (1..=most).contains(&count) => Ok(count as usize),
        Ok(_) | Err(_) => {
            Err(Fault::new(format!("{} must be a whole number from 1 to {most}", quoted(text))))
        }
    }
}

/// `host` or `host:port`, as images name it.
pub(super) fn check_registry(text: &str) -> Result<(), Fault> {
    let (host, port) = text.rsplit_once(':').unwrap_or((text, "443"));
    let host_is_sound = !host.is_empty()
        && host.chars().all(|letter| {
            letter.is_ascii_lowercase()
                || letter.is_ascii_digit()
                || matches!(letter, '.' | '-' | '[' | ']' | ':')
        });
    if host_is_sound && port.parse::<u16>().is_ok_and(|port| port > 0) {
        return Ok(());
    }
    Err(Fault::new(format!("{} is no registry", quoted(text)))
        .hint("a host in lower case, with a port if it has one: registry.example:5000"))
}

/// What `tracing_subscriber` takes for a filter, less what it takes by accident: a misspelt level is a target to it.
pub(super) fn check_log_level(text: &str) -> Result<(), Fault> {
    let wrong = |reason: String| Fault::new(reason).hint("such as info, or info,ensemble_engine=debug");
    EnvFilter::try_new(text).map_err(|error| wrong(format!("{} is no log level: {error}", quoted(text))))?;
    let levels = ["off", "error", "warn", "info", "debug", "trace"];
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    for part in parts.filter(|part| !part.contains('=') && !part.contains('[')) {
        if !levels.contains(&part.to_ascii_lowercase().as_str()) {
            return Err(wrong(format!("{} is no log level", quoted(part))));
        }
    }
    Ok(())
}

fn measured(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let (number, unit) = units.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit)))?;
    number.trim_end().parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_both_families_of_units() {
        for (text, expected) in [
            ("10GiB", Some(10 << 30)),
            ("500MB", Some(500_000_000)),
            ("4096B", Some(4_096)),
            ("1 TiB", Some(1 << 40)),
            ("10", None),
            ("10G", None),
            ("-1GiB", None),
            ("1.5GiB", None),
            ("0B", None),
            ("99999999999TiB", None),
            ("", None),
        ] {
            assert_eq!(size(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn durations_have_a_unit_and_a_bound() {
        for (text, expected) in [
            ("10s", Some(10_000)),
            ("500ms", Some(500)),
            ("2m", Some(120_000)),
            ("24h", Some(86_400_000)),
            ("25h", None),
            ("0s", None),
            ("10", None),
            ("s", None),
        ] {
            assert_eq!(duration(text).ok().map(|read| read.as_millis()), expected, "{text}");
        }
    }

    #[test]
    fn a_registry_is_a_host_with_or_without_a_port() {
        for sound in ["registry.example", "registry.example:5000", "127.0.0.1:5000", "[::1]:5000"] {
            assert!(check_registry(sound).is_ok(), "{sound}");
        }
        for wrong in
            ["", "https://registry.example", "registry.example/team", "Registry.example", "host:0", "host:x"]
        {
            assert!(check_registry(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_misspelt_level_is_not_taken_for_the_name_of_a_part() {
        for sound in ["info", "WARN", "info,ensemble_engine=debug", "off"] {
            assert!(check_log_level(sound).is_ok(), "{sound}");
        }
        for wrong in ["inof", "info,debgu", "ensemble_engine=loud"] {
            assert!(check_log_level(wrong).is_err(), "{wrong}");
        }
    }
}
