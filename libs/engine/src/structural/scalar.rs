//! Single values: the same thing in two spellings.

use domain::schema::{Scalar, Type};
use serde_json::Value;

/// Whether two single values mean the same to the cluster.
#[must_use]
pub fn same(want: &Value, got: &Value, kind: Option<&Type>) -> bool {
    if want == got || numbers_equal(want, got) {
        return true;
    }
    let Some(Type::Scalar(scalar)) = kind else {
        return false;
    };
    let (Some(a), Some(b)) = (spelled(want), spelled(got)) else {
        return false;
    };
    match scalar {
        Scalar::IntOrString => a == b,
        Scalar::Quantity => a == b || quantity(&a).is_some_and(|a| quantity(&b) == Some(a)),
        Scalar::Time => {
            let instant = |text: &str| chrono::DateTime::parse_from_rfc3339(text).ok();
            instant(&a).is_some_and(|a| instant(&b) == Some(a))
        }
        Scalar::Bytes => {
            let plain = |text: &str| text.split_ascii_whitespace().collect::<String>();
            plain(&a) == plain(&b)
        }
        Scalar::String | Scalar::Integer | Scalar::Number | Scalar::Boolean => false,
    }
}

/// Whether nothing but the very same value means the same, so that it can be looked up.
pub(super) fn has_one_spelling(value: &Value, kind: Option<&Type>) -> bool {
    let plain = matches!(kind, None | Some(Type::Scalar(Scalar::String)));
    plain && value.is_string()
}

fn numbers_equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64() && a.as_f64().is_some(),
        _ => false,
    }
}

fn spelled(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// An amount as a whole number of billionths (`500m` is 500,000,000), rounded up as the cluster does; `None` when it is
/// none or too large.
#[must_use]
pub fn quantity(text: &str) -> Option<i128> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (digits, suffix) = text.split_at(end);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() || whole.len() + fraction.len() > 30 {
        return None;
    }
    let mantissa: i128 = format!("0{whole}{fraction}").parse().ok()?;
    let decimals = i32::try_from(fraction.len()).ok()?;
    // mantissa * 10^(9 - decimals + power) * 2^shift
    let (power, shift): (i32, u32) = match suffix {
        "" => (0, 0),
        "n" => (-9, 0),
        "u" => (-6, 0),
        "m" => (-3, 0),
        "k" => (3, 0),
        "M" => (6, 0),
        "G" => (9, 0),
        "T" => (12, 0),
        "P" => (15, 0),
        "E" => (18, 0),
        "Ki" => (0, 10),
        "Mi" => (0, 20),
        "Gi" => (0, 30),
        "Ti" => (0, 40),
        "Pi" => (0, 50),
        "Ei" => (0, 60),
        other => (
            other
                .strip_prefix(['e', 'E'])?
                .parse()
                .ok()
                .filter(|p| (-30..=30).contains(p))?,
            0,
        ),
    };
    let shifted = mantissa.checked_mul(1_i128.checked_shl(shift)?)?;
    let exponent = 9 - decimals + power;
    let factor = 10_i128.checked_pow(exponent.unsigned_abs())?;
    let value = if exponent >= 0 {
        shifted.checked_mul(factor)?
    } else {
        divide(shifted, factor)
    };
    Some(if negative { -value } else { value })
}

/// Rounded up; neither side is negative.
fn divide(value: i128, by: i128) -> i128 {
    value / by + i128::from(value % by != 0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn amounts_compare_by_value() {
        for (a, b) in [
            ("1", "1000m"),
            ("0.5", "500m"),
            ("1Gi", "1024Mi"),
            ("1e3", "1k"),
            ("1.5Gi", "1536Mi"),
            ("-1", "-1000m"),
        ] {
            assert_eq!(quantity(a), quantity(b), "{a} {b}");
            assert!(quantity(a).is_some(), "{a}");
        }
        assert_ne!(quantity("1G"), quantity("1Gi"));
        for bad in ["", "m", "1x", "e3", "1e99", "--1", "1.2.3"] {
            assert_eq!(quantity(bad), None, "{bad}");
        }
    }

    #[test]
    fn spelling_matters_only_where_the_type_says_so() {
        let scalar = |s| Type::Scalar(s);
        assert!(same(
            &json!("80"),
            &json!(80),
            Some(&scalar(Scalar::IntOrString))
        ));
        assert!(!same(
            &json!("80"),
            &json!(80),
            Some(&scalar(Scalar::String))
        ));
        assert!(same(
            &json!(1),
            &json!("1000m"),
            Some(&scalar(Scalar::Quantity))
        ));
        assert!(same(&json!(1), &json!(1.0), None));
        assert!(!same(&json!("1"), &json!("1000m"), None));
    }
}
