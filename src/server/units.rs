//! Durations and sizes as flags and Kubernetes write them: `15s`, `500ms`, `1m30s`; `7MiB`, `65536`.

use std::time::Duration;

/// Reads a duration as Go writes it: one or more of a decimal number and a unit (`h`, `m`, `s`, `ms`, `us`, `ns`), or `0`.
///
/// Source of the form: Go's `time.ParseDuration`, which kube-apiserver uses to write the `timeout` parameter of a call.
///
/// # Errors
/// A sentence for whoever wrote it.
pub fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "write a duration such as 15s, 500ms or 1m30s".to_owned())
}

/// Reads a number of bytes: a whole number, with one of the units `KiB`, `MiB`, `GiB` (`Ki`, `Mi`, `Gi` are the same) or none.
///
/// # Errors
/// A sentence for whoever wrote it.
pub fn size(text: &str) -> Result<usize, String> {
    parse_size(text).ok_or_else(|| "write a number of bytes such as 7340032, 512KiB or 7MiB".to_owned())
}

/// Writes a duration in the form that [`duration`] reads.
#[must_use]
pub fn written(duration: Duration) -> String {
    if duration.subsec_nanos() == 0 {
        return format!("{}s", duration.as_secs());
    }
    if duration.subsec_nanos().is_multiple_of(1_000_000) {
        return format!("{}ms", duration.as_millis());
    }
    format!("{}us", duration.as_micros())
}

fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut total = 0.0_f64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|letter: char| letter.is_ascii_digit() || letter == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let number: f64 = number.parse().ok()?;
        total += number
            * match unit {
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "us" | "\u{b5}s" | "\u{3bc}s" => 1e-6,
                "ns" => 1e-9,
                _ => return None,
            };
        rest = tail;
    }
    if text.is_empty() { None } else { Duration::try_from_secs_f64(total).ok() }
}

fn parse_size(text: &str) -> Option<usize> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: usize = number.parse().ok()?;
    let unit: usize = match unit {
        "" => 1,
        "KiB" | "Ki" => 1 << 10,
        "MiB" | "Mi" => 1 << 20,
        "GiB" | "Gi" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_go_writes_them() {
        for (text, expected) in [
            ("15s", Some(15_000)),
            ("500ms", Some(500)),
            ("1m30s", Some(90_000)),
            ("1m0s", Some(60_000)),
            ("1.5s", Some(1_500)),
            ("0s", Some(0)),
            ("0", Some(0)),
            ("2h", Some(7_200_000)),
            ("", None),
            ("15", None),
            ("s", None),
            ("-1s", None),
            ("1.2.3s", None),
            ("15 s", None),
            ("1d", None),
            ("99999999999999999999h", None),
        ] {
            assert_eq!(duration(text).ok(), expected.map(Duration::from_millis), "{text:?}");
        }
    }

    #[test]
    fn durations_are_written_as_they_are_read() {
        for text in ["15s", "500ms", "0s", "120s", "250us"] {
            assert_eq!(written(duration(text).unwrap()), text);
        }
    }

    #[test]
    fn sizes_with_and_without_a_unit() {
        for (text, expected) in [
            ("7MiB", Some(7 << 20)),
            ("7Mi", Some(7 << 20)),
            ("64KiB", Some(64 << 10)),
            ("1024", Some(1024)),
            ("0", Some(0)),
            ("", None),
            ("MiB", None),
            ("7MB", None),
            ("-1", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(size(text).ok(), expected, "{text:?}");
        }
    }
}
