//! Schedule expressions (EventBridge guide, "Using cron and rate expressions"), in UTC with a granularity of a minute.
//!
//! Pure: the next time is computed from the one before. An expression that EventBridge refuses is refused.

use chrono::{DateTime, Datelike as _, Days, NaiveDate, NaiveTime, TimeDelta, Timelike as _, Utc};

/// The last year that cron expressions know.
const LAST_YEAR: i32 = 2199;

/// When a rule runs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Schedule {
    Rate(TimeDelta),
    Cron(Box<Cron>),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cron {
    minutes: Vec<u32>,
    hours: Vec<u32>,
    months: Vec<u32>,
    years: Vec<u32>,
    days: DaySet,
}

/// Days are given by the month or by the week, never both.
#[derive(Debug, Clone, PartialEq)]
enum DaySet {
    OfMonth(Vec<u32>),
    LastOfMonth,
    /// The weekday nearest to this day.
    WeekdayNearest(u32),
    /// 1 is Sunday.
    OfWeek(Vec<u32>),
    LastOfWeek(u32),
    /// The nth of this weekday in the month.
    NthOfWeek(u32, u32),
}

const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

impl Schedule {
    /// Reads `rate(…)` or `cron(…)`; `None` for anything else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let inside = |name: &str| text.strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')');
        if let Some(rate) = inside("rate") {
            let (count, unit) = rate.split_once(' ')?;
            let count = count.parse::<i64>().ok().filter(|count| *count > 0)?;
            // One minute, two minutes: EventBridge is strict about it.
            let minutes = match (unit, count) {
                ("minute", 1) | ("minutes", 2..) => 1,
                ("hour", 1) | ("hours", 2..) => 60,
                ("day", 1) | ("days", 2..) => 24 * 60,
                _ => return None,
            };
            return TimeDelta::try_minutes(count.checked_mul(minutes)?).map(Self::Rate);
        }
        let fields: Vec<&str> = inside("cron")?.split_whitespace().collect();
        let [minutes, hours, day_of_month, months, day_of_week, years] = fields[..] else {
            return None;
        };
        let days = match (day_of_month, day_of_week) {
            ("?", "?") => return None,
            (month, "?") => days_of_month(month)?,
            ("?", week) => days_of_week(week)?,
            // A star in one of both says nothing about it only when the other is a question mark.
            _ => return None,
        };
        Some(Self::Cron(Box::new(Cron {
            minutes: set(minutes, 0, 59, &[])?,
            hours: set(hours, 0, 23, &[])?,
            months: set(months, 1, 12, &MONTHS)?,
            years: set(years, 1970, 2199, &[])?,
            days,
        })))
    }

    /// The first time after `last`; `None` when a cron expression has no more.
    pub(crate) fn next(&self, last: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::Rate(interval) => last.checked_add_signed(*interval),
            Self::Cron(cron) => cron.next(last),
        }
    }
}

impl Cron {
    fn next(&self, last: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let first = last.checked_add_signed(TimeDelta::minutes(1))?;
        let (mut date, mut hour, mut minute) = (first.date_naive(), first.hour(), first.minute());
        while date.year() <= LAST_YEAR {
            let year = u32::try_from(date.year()).ok()?;
            if !self.years.contains(&year) {
                date = NaiveDate::from_ymd_opt(date.year() + 1, 1, 1)?;
            } else if !self.months.contains(&date.month()) {
                date = next_month(date)?;
            } else if self.days.contain(date) {
                for h in self.hours.iter().filter(|h| **h >= hour) {
                    let from = if *h == hour { minute } else { 0 };
                    if let Some(m) = self.minutes.iter().find(|m| **m >= from) {
                        return Some(date.and_time(NaiveTime::from_hms_opt(*h, *m, 0)?).and_utc());
                    }
                }
                date = date.checked_add_days(Days::new(1))?;
            } else {
                date = date.checked_add_days(Days::new(1))?;
            }
            (hour, minute) = (0, 0);
        }
        None
    }
}

impl DaySet {
    fn contain(&self, date: NaiveDate) -> bool {
        let weekday = date.weekday().number_from_sunday();
        let last = last_day(date);
        match self {
            Self::OfMonth(days) => days.contains(&date.day()),
            Self::LastOfMonth => date.day() == last,
            Self::WeekdayNearest(day) => nearest_weekday(date, *day) == Some(date.day()),
            Self::OfWeek(days) => days.contains(&weekday),
            Self::LastOfWeek(day) => weekday == *day && date.day() + 7 > last,
            Self::NthOfWeek(day, nth) => weekday == *day && (date.day() - 1) / 7 + 1 == *nth,
        }
    }
}

fn next_month(date: NaiveDate) -> Option<NaiveDate> {
    match date.month() {
        12 => NaiveDate::from_ymd_opt(date.year() + 1, 1, 1),
        month => NaiveDate::from_ymd_opt(date.year(), month + 1, 1),
    }
}

fn last_day(date: NaiveDate) -> u32 {
    next_month(date).and_then(|next| next.pred_opt()).map_or(31, |last| last.day())
}

/// The weekday nearest to a day without leaving its month.
fn nearest_weekday(date: NaiveDate, day: u32) -> Option<u32> {
    let wanted = date.with_day(day)?;
    let last = last_day(date);
    Some(match wanted.weekday().number_from_sunday() {
        1 if day == last => day - 2,
        1 => day + 1,
        7 if day == 1 => day + 2,
        7 => day - 1,
        _ => day,
    })
}

fn days_of_month(text: &str) -> Option<DaySet> {
    match text {
        "L" => Some(DaySet::LastOfMonth),
        _ => match text.strip_suffix('W') {
            Some(day) => number(day, 1, 31, &[]).map(DaySet::WeekdayNearest),
            None => set(text, 1, 31, &[]).map(DaySet::OfMonth),
        },
    }
}

fn days_of_week(text: &str) -> Option<DaySet> {
    if text == "L" {
        return Some(DaySet::OfWeek(vec![7]));
    }
    if let Some((day, nth)) = text.split_once('#') {
        return Some(DaySet::NthOfWeek(number(day, 1, 7, &WEEKDAYS)?, number(nth, 1, 5, &[])?));
    }
    match text.strip_suffix('L') {
        Some(day) => number(day, 1, 7, &WEEKDAYS).map(DaySet::LastOfWeek),
        None => set(text, 1, 7, &WEEKDAYS).map(DaySet::OfWeek),
    }
}

/// A field of numbers, names, ranges and steps, as the sorted numbers it stands for.
fn set(text: &str, least: u32, most: u32, names: &[&str]) -> Option<Vec<u32>> {
    let mut numbers = Vec::new();
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(number(step, 1, most, &[])?)),
            None => (part, None),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (least, most),
            Some((from, to)) => (number(from, least, most, names)?, number(to, least, most, names)?),
            None => {
                let one = number(range, least, most, names)?;
                // `5/10` means from 5 on.
                (one, if step.is_some() { most } else { one })
            }
        };
        let step = usize::try_from(step.unwrap_or(1)).ok()?;
        if from <= to {
            numbers.extend((from..=to).step_by(step));
        } else {
            // `FRI-MON` goes around.
            numbers.extend((from..=most).chain(least..=to).step_by(step));
        }
    }
    numbers.sort_unstable();
    numbers.dedup();
    Some(numbers)
}

fn number(text: &str, least: u32, most: u32, names: &[&str]) -> Option<u32> {
    let named = names.iter().position(|name| name.eq_ignore_ascii_case(text));
    let number = match named {
        Some(at) => u32::try_from(at).ok()? + least,
        None => text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))?,
    };
    (least..=most).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_follow() {
        for (expression, last, next) in [
            ("rate(1 minute)", "2026-01-31T23:59:30Z", "2026-02-01T00:00:30Z"),
            ("rate(12 hours)", "2026-01-01T00:00:00Z", "2026-01-01T12:00:00Z"),
            ("rate(7 days)", "2026-01-01T00:00:00Z", "2026-01-08T00:00:00Z"),
            ("cron(0 12 * * ? *)", "2026-01-01T12:00:00Z", "2026-01-02T12:00:00Z"),
            ("cron(0 12 * * ? *)", "2026-01-01T11:59:59Z", "2026-01-01T12:00:00Z"),
            ("cron(0/15 * * * ? *)", "2026-01-01T00:07:00Z", "2026-01-01T00:15:00Z"),
            ("cron(5/20 8-9 ? * MON-FRI *)", "2026-01-02T09:45:00Z", "2026-01-05T08:05:00Z"),
            ("cron(0 8 1 * ? *)", "2026-01-01T08:00:00Z", "2026-02-01T08:00:00Z"),
            ("cron(0 0 L * ? *)", "2028-02-01T00:00:00Z", "2028-02-29T00:00:00Z"),
            ("cron(0 0 29 FEB ? *)", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
            ("cron(0 10 ? * 6L *)", "2026-01-01T00:00:00Z", "2026-01-30T10:00:00Z"),
            ("cron(0 10 ? * TUE#2 *)", "2026-01-01T00:00:00Z", "2026-01-13T10:00:00Z"),
            // The first of August 2026 is a Saturday; its nearest weekday in the month is Monday the third.
            ("cron(0 0 1W AUG ? *)", "2026-01-01T00:00:00Z", "2026-08-03T00:00:00Z"),
            // The last of May 2026 is a Sunday.
            ("cron(0 0 31W MAY ? *)", "2026-01-01T00:00:00Z", "2026-05-29T00:00:00Z"),
            ("cron(30 4 ? JAN,JUL SUN 2027)", "2026-01-01T00:00:00Z", "2027-01-03T04:30:00Z"),
            ("cron(0 0 ? * FRI-MON *)", "2026-01-05T00:00:00Z", "2026-01-09T00:00:00Z"),
        ] {
            let schedule = Schedule::parse(expression).unwrap_or_else(|| panic!("{expression}"));
            let last: DateTime<Utc> = last.parse().unwrap();
            let got = schedule.next(last).unwrap_or_else(|| panic!("{expression} has no next"));
            assert_eq!(got, next.parse::<DateTime<Utc>>().unwrap(), "{expression}");
        }
        let past = Schedule::parse("cron(0 0 1 1 ? 2020)").unwrap();
        assert_eq!(past.next("2026-01-01T00:00:00Z".parse().unwrap()), None);
    }

    #[test]
    fn expressions_that_are_refused() {
        for expression in [
            "",
            "every minute",
            "rate(1 minutes)",
            "rate(5 minute)",
            "rate(0 minutes)",
            "rate(1 second)",
            "rate(9223372036854775807 days)",
            "cron(0 12 * * ?)",
            "cron(0 12 * * * *)",
            "cron(0 12 ? * ? *)",
            "cron(60 12 * * ? *)",
            "cron(0 12 32 * ? *)",
            "cron(0 12 ? * 8 *)",
            "cron(0 12 ? * MON#6 *)",
            "cron(+1 12 * * ? *)",
            "at(2026-01-01T00:00:00)",
        ] {
            assert_eq!(Schedule::parse(expression), None, "{expression}");
        }
    }
}
