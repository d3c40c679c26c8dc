//! `resource.Quantity` by value: what `1Gi`, `0.1`, `100m` and `1e3` mean to Kubernetes (apimachinery `pkg/api/resource`).

mod read;

use std::cmp::Ordering;
use std::fmt;

use crate::tree::View;
use read::{Parts, Scale, binary, decimal, scale};

/// An amount in billionths, rounded up where it was finer. Two of them are equal where their values are, however they were written.
///
/// Kubernetes holds decimal amounts of any size; here they end at `i128::MAX` billionths (1.7e29).
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    billionths: i128,
    format: Format,
}

/// How a quantity was written; it is written the same way again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Decimal,
    Exponent,
    Binary,
}

const UNIT: i128 = 1_000_000_000;
const MILLI: i128 = 1_000_000;
/// 2^63 - 1 units, where binary quantities end.
const BINARY_MAX: i128 = i64::MAX as i128 * UNIT;

impl Quantity {
    /// Nothing.
    pub const ZERO: Quantity = Quantity { billionths: 0, format: Format::Decimal };

    /// Reads a quantity as `Quantity.UnmarshalJSON` does: blanks around it are cut off, and what is finer than a billionth is rounded away
    /// from zero. `None` where the API server would refuse the text.
    ///
    /// ```
    /// use podgraft::quantity::Quantity;
    /// assert_eq!(Quantity::parse("0.1"), Quantity::parse("100m"));
    /// assert_eq!(Quantity::parse("1 Gi"), None);
    /// ```
    #[must_use]
    pub fn parse(text: &str) -> Option<Quantity> {
        // In JSON a control character can only be written as an escape, and the server reads the text between the quotes as it is.
        let text = text.trim_matches(|letter: char| letter.is_whitespace() && letter >= ' ');
        let parts = Parts::of(text)?;
        let (scale, format) = scale(parts.suffix)?;
        let positive = match scale {
            Scale::Ten(exponent) => decimal(parts.whole, parts.fraction, exponent),
            Scale::Two(exponent) => binary(parts.whole, parts.fraction, exponent).min(BINARY_MAX),
        };
        let billionths = if parts.negative { -positive } else { positive };
        let format = if format == Format::Binary && positive < UNIT { Format::Decimal } else { format };
        Some(Quantity { billionths, format })
    }

    /// The quantity that a JSON value is: a text, or a number as it was written. `None` for everything else, null too.
    #[must_use]
    pub fn of(view: View<'_>) -> Option<Quantity> {
        match view {
            View::Int(value) => Some(Quantity { billionths: i128::from(value) * UNIT, format: Format::Decimal }),
            View::Number(text) | View::String(text) => Quantity::parse(text),
            _ => None,
        }
    }

    /// Rounded away from zero to thousandths, as the API server does in limits, requests and overhead (`SetDefaults_ResourceList`).
    #[must_use]
    pub fn round_up_to_milli(self) -> Self {
        let over = self.billionths % MILLI;
        let billionths = if over == 0 { self.billionths } else { (self.billionths - over).saturating_add(MILLI * over.signum()) };
        Quantity { billionths, ..self }
    }

    /// The sum, in the notation of the first that is not zero.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "it saturates, and `+` does not say so")]
    pub fn add(self, other: Quantity) -> Quantity {
        let format = if self.billionths == 0 { other.format } else { self.format };
        Quantity { billionths: self.billionths.saturating_add(other.billionths), format }
    }

    /// Whether it is nothing.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.billionths == 0
    }

    /// Whether it is less than nothing, which is valid nowhere in a Pod.
    #[must_use]
    pub fn is_negative(self) -> bool {
        self.billionths < 0
    }

    /// Whether it is a whole number of units, as extended resources have to be.
    #[must_use]
    pub fn is_whole(self) -> bool {
        self.billionths % UNIT == 0
    }

    /// Whether it is a multiple of another, as huge pages have to be of their page's size.
    #[must_use]
    pub fn is_multiple_of(self, other: Quantity) -> bool {
        self.billionths.checked_rem(other.billionths) == Some(0)
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.billionths == other.billionths
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.billionths.cmp(&other.billionths)
    }
}

impl fmt::Display for Quantity {
    /// The canonical form: no fraction, the largest suffix that is exact, of the kind that was read (`Quantity.CanonicalizeBytes`).
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.billionths == 0 {
            return formatter.write_str("0");
        }
        let whole = self.billionths % UNIT == 0;
        if self.format == Format::Binary && whole && self.billionths.abs() >= 1024 * UNIT {
            let (mantissa, steps) = reduced(self.billionths / UNIT, 1024, 6);
            return write!(formatter, "{mantissa}{}", ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"][steps]);
        }
        let exponential = self.format == Format::Exponent;
        // Decimal suffixes end at E, exponents don't.
        let (mantissa, steps) = reduced(self.billionths, 1000, if exponential { usize::MAX } else { 9 });
        match (exponential, steps) {
            (_, 3) => write!(formatter, "{mantissa}"),
            (false, steps) => write!(formatter, "{mantissa}{}", ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"][steps]),
            (true, 0..3) => write!(formatter, "{mantissa}e-{}", 9 - 3 * steps),
            (true, steps) => write!(formatter, "{mantissa}e{}", 3 * steps - 9),
        }
    }
}

/// Divides by `base` as long as nothing is left over, at most `most` times.
fn reduced(mut value: i128, base: i128, most: usize) -> (i128, usize) {
    let mut steps = 0;
    while steps < most && value % base == 0 {
        value /= base;
        steps += 1;
    }
    (value, steps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{NodeId, parse};
    use proptest::prelude::*;

    fn quantity(text: &str) -> Quantity {
        Quantity::parse(text).unwrap_or_else(|| panic!("{text}"))
    }

    /// The tree a recorded `sent` stands for: a text, or a bare JSON token after `JSON `.
    fn sent(text: &str) -> Option<Quantity> {
        let json = text.strip_prefix("JSON ").map_or_else(|| format!("{text:?}"), str::to_owned);
        let tree = parse(&json).unwrap();
        Quantity::of(tree.view(NodeId::ROOT))
    }

    #[test]
    fn every_recorded_answer_is_met() {
        let recorded: serde_json::Value = serde_json::from_str(include_str!("../kubernetes/pod-values.json")).unwrap();
        let mut rows = 0;
        for (name, values) in recorded["values"].as_object().unwrap() {
            let Some(of) = name.strip_prefix("quantity ") else { continue };
            for row in values.as_array().unwrap() {
                rows += 1;
                let text = row["sent"].as_str().unwrap();
                let Some(returned) = row["returned"].as_str() else {
                    // What is no quantity at all, and what is one and not allowed here.
                    let refused = row["refused"].as_str().unwrap();
                    let form = refused.starts_with("quantities must") || refused.starts_with("unable to parse");
                    assert_eq!(sent(text).is_none(), form, "{name} {text}");
                    continue;
                };
                let mut value = sent(text).unwrap_or_else(|| panic!("{name} {text}"));
                if of != "sizeLimit" && !of.starts_with("divisor") {
                    value = value.round_up_to_milli();
                }
                if returned == "same" {
                    assert_eq!(value, quantity(text), "{name} {text}");
                    continue;
                }
                assert_eq!(value, quantity(returned), "{name} {text}");
                // The server keeps the notation of JSON numbers, and of some texts it has not to round.
                if !text.starts_with("JSON ") {
                    assert_eq!(value.to_string(), returned, "{name} {text}");
                }
            }
        }
        assert!(rows > 100, "{rows}");
    }

    #[test]
    fn values_beyond_the_table() {
        for (text, same) in [
            ("1Ei", "1152921504606846976"),
            ("8Ei", "9223372036854775807"),
            ("123456789012345678901234567890Ki", "9223372036854775807"),
            ("0.0000000001", "1n"),
            ("1.0000000000000000000000000000000000000000001", "1000000001n"),
            ("0.00000000000000000000000000000000000001Ei", "1n"),
            ("0.3Ki", "307200m"),
            ("0.33333333333333333333Gi", "357913941333333334n"),
            ("1e30", "1e31"),
            ("0e99", "0"),
            ("1e-400", "1n"),
            ("1 ", "1"),
            ("-1.5", "-1500m"),
            ("-0.0000000001", "-1n"),
            // The server's scanner takes these.
            (".", "0"),
            ("m", "0"),
            ("+", "0"),
        ] {
            assert_eq!(quantity(text), quantity(same), "{text}");
        }
        for text in ["", " ", "e", "1e", "1e3.5", "1.5.5", "1m5", "1-3", "1KI", "1Kii", "--1", "1e99999999999999999999", "\t1", "1\n", "½"]
        {
            assert_eq!(Quantity::parse(text), None, "{text}");
        }
    }

    #[test]
    fn rounding_and_sums() {
        assert_eq!(quantity("1n").round_up_to_milli(), quantity("1m"));
        assert_eq!(quantity("-1n").round_up_to_milli(), quantity("-1m"));
        assert_eq!(quantity("1e40").round_up_to_milli(), quantity("1e40"));
        assert_eq!(Quantity::ZERO.add(quantity("1Gi")).add(quantity("512Mi")).to_string(), "1536Mi");
        assert_eq!(quantity("250m").add(quantity("0.75")).to_string(), "1");
        assert_eq!(quantity("1e3").add(quantity("500")).to_string(), "1500");
        assert_eq!(quantity("1e40").add(quantity("1e40")), quantity("1e40"));
        assert!(quantity("4Mi").is_multiple_of(quantity("2Mi")) && !quantity("3Mi").is_multiple_of(quantity("2Mi")));
        assert!(!quantity("4Mi").is_multiple_of(Quantity::ZERO));
        assert_eq!(Quantity::of(View::Null), None);
        assert_eq!(Quantity::of(View::Bool(true)), None);
    }

    proptest! {
        #[test]
        fn what_is_displayed_reads_back_as_the_same_value(text in "[+-]?[0-9]{0,12}(\\.[0-9]{0,9})?(n|u|m|k|M|G|T|Ki|Mi|Gi|Ti|e[+-]?[0-9])?") {
            if let Some(value) = Quantity::parse(&text) {
                prop_assert_eq!(quantity(&value.to_string()), value);
                prop_assert_eq!(quantity(&value.to_string()).to_string(), value.to_string());
            }
        }

        #[test]
        fn no_text_is_too_much(text in "[-+0-9.eEinumkKMGTP ]{0,60}") {
            let _ = Quantity::parse(&text).map(|value| value.round_up_to_milli().to_string());
        }
    }
}
