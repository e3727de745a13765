//! Numbers, dates and addresses in conditions. A value of a policy that cannot be read is an error of the policy; one of
//! a request matches nothing.

use std::net::IpAddr;

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};

use super::Compare;
use crate::pattern::Pattern;
use crate::{Context, Error};

/// A value of a policy must be of the operator's type, unless a variable decides that.
pub(super) fn check(compare: Compare, wanted: &Pattern, at: &str) -> Result<(), Error> {
    let Some(text) = wanted.text(&Context::new()) else { return Ok(()) };
    let good = match compare {
        Compare::Number(_) => number(&text).is_some(),
        Compare::Date(_) => date(&text).is_some(),
        Compare::Flag | Compare::Null => text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false"),
        Compare::Address => range(&text).is_some(),
        _ => true,
    };
    if good {
        return Ok(());
    }
    Err(Error::Malformed { at: at.to_owned(), problem: format!("{text} is no value for this operator") })
}

pub(super) fn number(text: &str) -> Option<f64> {
    text.trim().parse::<f64>().ok().filter(|number| number.is_finite())
}

/// ISO 8601, to the day at least, or seconds since 1970.
pub(super) fn date(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(date) = DateTime::parse_from_rfc3339(text) {
        return Some(date.with_timezone(&Utc));
    }
    if let Ok(date) = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S") {
        return Some(date.and_utc());
    }
    if let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return day.and_hms_opt(0, 0, 0).map(|date| date.and_utc());
    }
    DateTime::from_timestamp(text.parse().ok()?, 0)
}

/// An address and how many leading bits of it count.
fn range(text: &str) -> Option<(IpAddr, u32)> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address.parse::<IpAddr>().ok()?, Some(bits.parse::<u32>().ok()?)),
        None => (text.parse::<IpAddr>().ok()?, None),
    };
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.unwrap_or(most);
    (bits <= most).then_some((address, bits))
}

pub(super) fn in_range(given: &str, wanted: &str) -> bool {
    let Some((network, bits)) = range(wanted) else { return false };
    match (given.parse::<IpAddr>(), network) {
        (Ok(IpAddr::V4(given)), IpAddr::V4(network)) => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            given.to_bits() & mask == network.to_bits() & mask
        }
        (Ok(IpAddr::V6(given)), IpAddr::V6(network)) => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            given.to_bits() & mask == network.to_bits() & mask
        }
        _ => false,
    }
}
