//! The text of a quantity, cut and multiplied out.

use super::{Format, UNIT};

/// The parts of a quantity as `parseQuantityString` cuts them; digits only, zeros in front cut off.
pub(super) struct Parts<'t> {
    pub(super) negative: bool,
    pub(super) whole: &'t str,
    pub(super) fraction: &'t str,
    pub(super) suffix: &'t str,
}

impl<'t> Parts<'t> {
    /// `None` where the text does not match `^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$`. Like the server's own scanner it lets pass what
    /// has no digit at all, and takes it for zero.
    pub(super) fn of(text: &'t str) -> Option<Parts<'t>> {
        if text.is_empty() {
            return None;
        }
        let negative = text.starts_with('-');
        let rest = text.strip_prefix(['+', '-']).unwrap_or(text).trim_start_matches('0');
        let (whole, rest) = split(rest, |letter| letter.is_ascii_digit());
        let (fraction, suffix) = match rest.strip_prefix('.') {
            Some(rest) => split(rest, |letter| letter.is_ascii_digit()),
            None => ("", rest),
        };
        let (_, exponent) = split(suffix, |letter| "eEinumkKMGTP".contains(letter));
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        exponent.bytes().all(|byte| byte.is_ascii_digit()).then_some(Parts { negative, whole, fraction, suffix })
    }
}

fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|letter| !belongs(letter)).unwrap_or(text.len()))
}

/// What a number is multiplied with.
pub(super) enum Scale {
    Ten(i32),
    Two(u32),
}

/// The factor that a suffix stands for, and the notation that it is of.
pub(super) fn scale(suffix: &str) -> Option<(Scale, Format)> {
    let decimal = |exponent| Some((Scale::Ten(exponent), Format::Decimal));
    let binary = |exponent| Some((Scale::Two(exponent), Format::Binary));
    match suffix {
        "" => decimal(0),
        "n" => decimal(-9),
        "u" => decimal(-6),
        "m" => decimal(-3),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(10),
        "Mi" => binary(20),
        "Gi" => binary(30),
        "Ti" => binary(40),
        "Pi" => binary(50),
        "Ei" => binary(60),
        _ => {
            let exponent: i64 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
            // No real quantity comes near; the server wraps such an exponent around to 32 bits, which nobody can mean.
            let exponent = i32::try_from(exponent.clamp(-1_000_000, 1_000_000)).ok()?;
            Some((Scale::Ten(exponent), Format::Exponent))
        }
    }
}

/// Billionths of `whole.fraction` times a power of ten, rounded up.
pub(super) fn decimal(whole: &str, fraction: &str, exponent: i32) -> i128 {
    let digits = || whole.bytes().chain(fraction.bytes()).map(|byte| i128::from(byte - b'0'));
    let shift = i64::from(exponent) + 9 - i64::try_from(fraction.len()).unwrap_or(i64::MAX);
    let length = whole.len() + fraction.len();
    let kept = if shift < 0 { usize::try_from(i64::try_from(length).unwrap_or(i64::MAX) + shift).unwrap_or(0) } else { length };
    let mut value: i128 = 0;
    for digit in digits().take(kept) {
        value = value.saturating_mul(10).saturating_add(digit);
    }
    if digits().skip(kept).any(|digit| digit != 0) {
        return value.saturating_add(1);
    }
    for _ in 0..shift {
        if value == 0 || value == i128::MAX {
            break;
        }
        value = value.saturating_mul(10);
    }
    value
}

/// Billionths of `whole.fraction` times a power of two of at most 2^60, rounded up.
pub(super) fn binary(whole: &str, fraction: &str, exponent: u32) -> i128 {
    let factor = (1_i128 << exponent) * UNIT;
    let mut value: i128 = 0;
    for byte in whole.bytes() {
        value = value.saturating_mul(10).saturating_add(i128::from(byte - b'0'));
    }
    // From the last digit to the first, so that nothing grows beyond ten times the factor.
    let (mut part, mut over) = (0, false);
    for byte in fraction.bytes().rev() {
        part += i128::from(byte - b'0') * factor;
        over |= part % 10 != 0;
        part /= 10;
    }
    value.saturating_mul(factor).saturating_add(part).saturating_add(i128::from(over))
}
