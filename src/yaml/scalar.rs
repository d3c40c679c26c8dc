//! What a YAML scalar means to kubectl: the rules of go-yaml v2 (`resolve.go`), which are those of YAML 1.1, and the way sigs.k8s.io/yaml
//! writes the outcome as JSON.

use std::fmt::Write;

/// A scalar that was understood.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Int(i64),
    /// Any other number, as JSON text.
    Number(String),
    /// A number that JSON has not.
    NotJson,
    Text(String),
    /// `<<`, not in quotes.
    Merge,
}

/// The text of tags of YAML's own types.
const CORE: &str = "tag:yaml.org,2002:";

/// What a scalar means. `tag` is the whole tag, "" for none.
///
/// # Errors
/// A sentence, where the tag asks for something that the text is not.
pub(super) fn resolve(text: &str, plain: bool, tag: &str) -> Result<Scalar, String> {
    let short = tag.strip_prefix(CORE);
    let wanted = match short {
        None if tag.is_empty() && plain => return Ok(guess(text)),
        // In quotes, or of a type that only its author knows: the text.
        None | Some("str" | "timestamp") => return Ok(Scalar::Text(text.to_owned())),
        Some("binary") => return binary(text),
        Some("merge") => return Ok(Scalar::Merge),
        Some(wanted) => wanted,
    };
    let found = guess(text);
    match (wanted, &found) {
        ("bool", Scalar::Bool(_)) | ("null", Scalar::Null) => Ok(found),
        ("int", Scalar::Int(_)) => Ok(found),
        ("int", Scalar::Number(number)) if number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') => Ok(found),
        ("float", Scalar::Int(_) | Scalar::Number(_) | Scalar::NotJson) => Ok(found),
        ("bool" | "null" | "int" | "float", _) => {
            Err(format!("the tag !!{wanted} stands before something else: remove the tag or correct the value"))
        }
        _ => Ok(Scalar::Text(text.to_owned())),
    }
}

/// What a plain scalar without a tag means.
fn guess(text: &str) -> Scalar {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Scalar::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => return Scalar::Bool(false),
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf" | "-.Inf" | "-.INF" => {
            return Scalar::NotJson;
        }
        "<<" => return Scalar::Merge,
        _ => {}
    }
    match text.as_bytes().first() {
        Some(b'.') => float(text),
        Some(b'0'..=b'9' | b'+' | b'-') if !is_timestamp(text) => {
            let digits: String = text.chars().filter(|character| *character != '_').collect();
            integer(&digits).or_else(|| float(&digits))
        }
        _ => None,
    }
    .unwrap_or_else(|| Scalar::Text(text.to_owned()))
}

/// An integer as Go's `strconv.ParseInt(text, 0, 64)` takes it, or one too long for that in decimal.
fn integer(text: &str) -> Option<Scalar> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = radix(digits);
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    match i128::from_str_radix(digits, radix) {
        Ok(value) => {
            let value = if negative { -value } else { value };
            if let Ok(value) = i64::try_from(value) {
                return Some(Scalar::Int(value));
            }
            (radix == 10 || u64::try_from(value).is_ok()).then(|| Scalar::Number(value.to_string()))
        }
        // Longer than any type: the digits themselves.
        Err(_) => (radix == 10).then(|| Scalar::Number(format!("{}{digits}", if negative { "-" } else { "" }))),
    }
}

fn radix(digits: &str) -> (u32, &str) {
    let bytes = digits.as_bytes();
    match (bytes.first(), bytes.get(1)) {
        (Some(b'0'), Some(b'x' | b'X')) => (16, &digits[2..]),
        (Some(b'0'), Some(b'o' | b'O')) => (8, &digits[2..]),
        (Some(b'0'), Some(b'b' | b'B')) => (2, &digits[2..]),
        (Some(b'0'), Some(_)) => (8, &digits[1..]),
        _ => (10, digits),
    }
}

/// `^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`, where the value is a float64.
fn float(text: &str) -> Option<Scalar> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let well_formed = all_digits(whole) && all_digits(part) && !(whole.is_empty() && part.is_empty());
    if !well_formed || exponent.is_some_and(|exponent| exponent.is_empty() || !all_digits(exponent)) {
        return None;
    }
    let value: f64 = text.parse().ok()?;
    value.is_finite().then(|| match value.to_string().parse() {
        Ok(value) => Scalar::Int(value),
        Err(_) => Scalar::Number(json_float(value)),
    })
}

/// A float as Go's encoding/json writes it.
fn json_float(value: f64) -> String {
    if value != 0.0 && (value.abs() < 1e-6 || value.abs() >= 1e21) { with_exponent(&format!("{value:e}"), 1) } else { value.to_string() }
}

/// A key that is a float, as sigs.k8s.io/yaml writes it: `strconv.FormatFloat(value, 'g', -1, 32)`.
pub(super) fn key_float(number: &str) -> String {
    let Ok(value) = number.parse::<f32>() else { return number.to_owned() };
    let text = format!("{value:e}");
    let exponent: i32 = text.split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or(0);
    if (-4..6).contains(&exponent) { value.to_string() } else { with_exponent(&text, 2) }
}

/// Go's form of an exponent: a sign always, and at least so many digits.
fn with_exponent(text: &str, digits: usize) -> String {
    let Some((mantissa, exponent)) = text.split_once('e') else { return text.to_owned() };
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
    let mut out = String::new();
    // Writing to a String does not fail.
    let _ = write!(out, "{mantissa}e{sign}{exponent:0>digits$}");
    out
}

/// Whether go-yaml takes a scalar for a timestamp, which it then leaves as a string: a date, or a date with a time.
fn is_timestamp(text: &str) -> bool {
    let mut rest = text;
    let mut number = |longest: usize, end: &str, shortest: usize, (low, high): (u32, u32)| -> Option<()> {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits < shortest || digits > longest {
            return None;
        }
        let value: u32 = rest[..digits].parse().ok()?;
        rest = rest[digits..].strip_prefix(end)?;
        (low..=high).contains(&value).then_some(())
    };
    let date = number(4, "-", 4, (0, 9999)).and_then(|()| number(2, "-", 1, (1, 12))).and_then(|()| number(2, "", 1, (1, 31)));
    // With a time, the text is no number in any case.
    date.is_some()
}

/// `!!binary`: the bytes, where they are text.
fn binary(text: &str) -> Result<Scalar, String> {
    use base64::Engine as _;
    let compact: String = text.chars().filter(|character| !character.is_whitespace()).collect();
    let bytes = base64::engine::general_purpose::STANDARD.decode(compact).map_err(|_| "!!binary holds no valid base64".to_owned())?;
    String::from_utf8(bytes).map(Scalar::Text).map_err(|_| "!!binary holds no text, and JSON has no other strings".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_mean_what_they_mean_to_kubectl() {
        let text = |text: &str| Scalar::Text(text.to_owned());
        let number = |text: &str| Scalar::Number(text.to_owned());
        for (written, expected) in [
            ("", Scalar::Null),
            ("~", Scalar::Null),
            ("Null", Scalar::Null),
            ("nULL", text("nULL")),
            ("y", Scalar::Bool(true)),
            ("yes", Scalar::Bool(true)),
            ("On", Scalar::Bool(true)),
            ("N", Scalar::Bool(false)),
            ("off", Scalar::Bool(false)),
            ("oN", text("oN")),
            ("0", Scalar::Int(0)),
            ("-0", Scalar::Int(0)),
            ("+12", Scalar::Int(12)),
            ("0644", Scalar::Int(420)),
            ("-0644", Scalar::Int(-420)),
            ("0o644", Scalar::Int(420)),
            ("0x1F", Scalar::Int(31)),
            ("0b101", Scalar::Int(5)),
            ("089", Scalar::Int(89)),
            ("1_000", Scalar::Int(1000)),
            ("_1", text("_1")),
            ("9223372036854775807", Scalar::Int(i64::MAX)),
            ("9223372036854775808", number("9223372036854775808")),
            ("-9223372036854775808", Scalar::Int(i64::MIN)),
            ("123456789012345678901234567890123456789012", number("123456789012345678901234567890123456789012")),
            ("0xFFFFFFFFFFFFFFFF", number("18446744073709551615")),
            ("0x1FFFFFFFFFFFFFFFF", text("0x1FFFFFFFFFFFFFFFF")),
            ("0.5", number("0.5")),
            (".5", number("0.5")),
            ("1.50", number("1.5")),
            ("80.0", Scalar::Int(80)),
            ("1.", Scalar::Int(1)),
            ("1e3", Scalar::Int(1000)),
            ("1e21", number("1e+21")),
            ("1e-7", number("1e-7")),
            ("1e400", text("1e400")),
            ("-.inf", Scalar::NotJson),
            (".NaN", Scalar::NotJson),
            ("inf", text("inf")),
            ("1.2.3", text("1.2.3")),
            ("100m", text("100m")),
            ("1Gi", text("1Gi")),
            ("12:30", text("12:30")),
            ("2020-01-01", text("2020-01-01")),
            ("2020-1-1T00:00:00Z", text("2020-1-1T00:00:00Z")),
            ("-", text("-")),
            ("+", text("+")),
            (".", text(".")),
            ("0x", text("0x")),
            ("<<", Scalar::Merge),
        ] {
            assert_eq!(resolve(written, true, "").unwrap(), expected, "{written:?}");
            assert_eq!(resolve(written, false, "").unwrap(), text(written), "{written:?} in quotes");
        }
    }

    #[test]
    fn tags_are_obeyed() {
        let core = |tag: &str| format!("{CORE}{tag}");
        assert_eq!(resolve("5432", true, &core("str")).unwrap(), Scalar::Text("5432".into()));
        assert_eq!(resolve("5432", false, &core("int")).unwrap(), Scalar::Int(5432));
        assert_eq!(resolve("5", true, &core("float")).unwrap(), Scalar::Int(5));
        assert_eq!(resolve("aGk=", true, &core("binary")).unwrap(), Scalar::Text("hi".into()));
        assert_eq!(resolve("yes", true, "!own").unwrap(), Scalar::Text("yes".into()));
        assert!(resolve("abc", true, &core("int")).is_err());
        assert!(resolve("1.5", true, &core("int")).is_err());
        assert!(resolve("/w==", true, &core("binary")).is_err());
    }

    #[test]
    fn keys_that_are_floats_are_written_as_go_does() {
        for (number, key) in [("1.5", "1.5"), ("0.1", "0.1"), ("1000000.5", "1.0000005e+06"), ("0.00001", "1e-05")] {
            assert_eq!(key_float(number), key);
        }
    }
}
