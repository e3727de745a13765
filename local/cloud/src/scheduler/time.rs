//! When a schedule of EventBridge Scheduler is due: `rate`, `cron` and `at`, in a time zone (its user guide, "Schedule
//! types" and "Daylight saving time"). Pure.

use chrono::offset::LocalResult;
use chrono::{DateTime, NaiveDateTime, TimeZone as _, Utc};
use chrono_tz::Tz;

use crate::events::schedule::Schedule as Expression;

/// An expression in a time zone, between two dates.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Schedule {
    when: When,
    zone: Tz,
    starts: Option<DateTime<Utc>>,
    ends: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, PartialEq)]
enum When {
    Once(NaiveDateTime),
    Again(Expression),
}

impl Schedule {
    /// Reads an expression; what is wrong with it, otherwise.
    pub(super) fn parse(
        expression: &str,
        zone: &str,
        starts: Option<&str>,
        ends: Option<&str>,
    ) -> Result<Self, (&'static str, String)> {
        let wrong = |property: &'static str, text: &str| (property, format!("is not valid: {text}"));
        let zone: Tz = zone.parse().map_err(|_| wrong("ScheduleExpressionTimezone", zone))?;
        let when = match expression.strip_prefix("at(").and_then(|rest| rest.strip_suffix(')')) {
            Some(time) => NaiveDateTime::parse_from_str(time, "%Y-%m-%dT%H:%M:%S").ok().map(When::Once),
            None => Expression::parse(expression).map(When::Again),
        };
        let date = |property: &'static str, text: Option<&str>| {
            text.map(|text| text.parse::<DateTime<Utc>>().map_err(|_| wrong(property, text))).transpose()
        };
        Ok(Self {
            when: when.ok_or_else(|| wrong("ScheduleExpression", expression))?,
            zone,
            starts: date("StartDate", starts)?,
            ends: date("EndDate", ends)?,
        })
    }

    /// The first time after `last`; nothing when there is none any more.
    pub(super) fn next(&self, last: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let next = match &self.when {
            // A time that the zone's clocks skip is skipped, one that they show twice is meant once.
            When::Once(time) => self.on_the_clock(*time).filter(|time| *time > last),
            When::Again(rate @ Expression::Rate(_)) => match self.starts.filter(|starts| *starts > last) {
                Some(starts) => Some(starts),
                None => rate.next(last),
            },
            When::Again(cron) => {
                let from = self.starts.map_or(last, |starts| last.max(starts - chrono::TimeDelta::minutes(1)));
                // The expression knows no zones: it is asked in what the zone's clocks show.
                let mut shown = from.with_timezone(&self.zone).naive_local();
                loop {
                    shown = cron.next(shown.and_utc())?.naive_utc();
                    match self.on_the_clock(shown) {
                        Some(time) if time > last => break Some(time),
                        _ => {}
                    }
                }
            }
        };
        next.filter(|next| self.ends.is_none_or(|ends| *next <= ends))
    }

    fn on_the_clock(&self, shown: NaiveDateTime) -> Option<DateTime<Utc>> {
        match self.zone.from_local_datetime(&shown) {
            LocalResult::Single(time) | LocalResult::Ambiguous(time, _) => Some(time.with_timezone(&Utc)),
            LocalResult::None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(expression: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
        let schedule = Schedule::parse(expression, zone, None, None).unwrap();
        let mut last: DateTime<Utc> = from.parse().unwrap();
        let mut found = Vec::new();
        while found.len() < count
            && let Some(next) = schedule.next(last)
        {
            found.push(next.format("%m-%dT%H:%M").to_string());
            last = next;
        }
        found
    }

    #[test]
    fn expressions_are_meant_in_their_zone() {
        let weekly = "cron(0 6 ? * MON *)";
        assert_eq!(times(weekly, "UTC", "2026-03-18T00:00:00Z", 1), ["03-23T06:00"]);
        // The clocks of Berlin go forward on 29 March and back on 25 October 2026.
        assert_eq!(times(weekly, "Europe/Berlin", "2026-03-18T00:00:00Z", 2), ["03-23T05:00", "03-30T04:00"]);
        assert_eq!(
            times("rate(90 minutes)", "Europe/Berlin", "2026-03-18T00:00:00Z", 2),
            ["03-18T01:30", "03-18T03:00"]
        );
        let once = "at(2026-07-01T12:00:00)";
        assert_eq!(times(once, "America/New_York", "2026-03-18T00:00:00Z", 5), ["07-01T16:00"]);
        assert_eq!(times(once, "America/New_York", "2026-08-18T00:00:00Z", 5), [""; 0]);
    }

    #[test]
    fn a_time_that_does_not_exist_is_skipped_and_one_that_comes_twice_counts_once() {
        let half_past_two = "cron(30 2 * * ? *)";
        assert_eq!(
            times(half_past_two, "Europe/Berlin", "2026-03-27T12:00:00Z", 3),
            ["03-28T01:30", "03-30T00:30", "03-31T00:30"]
        );
        assert_eq!(times(half_past_two, "Europe/Berlin", "2026-10-24T12:00:00Z", 2), ["10-25T00:30", "10-26T01:30"]);
    }

    #[test]
    fn nothing_before_the_start_and_nothing_after_the_end() {
        let (start, end) = (Some("2026-01-10T00:00:00Z"), Some("2026-01-11T06:00:00Z"));
        for (expression, wanted) in [
            ("cron(0 6 * * ? *)", ["2026-01-10T06:00:00Z", "2026-01-11T06:00:00Z"]),
            ("cron(0 0 * * ? *)", ["2026-01-10T00:00:00Z", "2026-01-11T00:00:00Z"]),
            ("rate(1 day)", ["2026-01-10T00:00:00Z", "2026-01-11T00:00:00Z"]),
        ] {
            let schedule = Schedule::parse(expression, "UTC", start, end).unwrap();
            let mut last: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().unwrap();
            for wanted in wanted {
                last = schedule.next(last).unwrap();
                assert_eq!(last, wanted.parse::<DateTime<Utc>>().unwrap(), "{expression}");
            }
            assert_eq!(schedule.next(last), None, "{expression}");
        }
    }

    #[test]
    fn what_aws_refuses_is_refused_by_name() {
        for (expression, zone, start, named) in [
            ("every day", "UTC", None, "ScheduleExpression"),
            ("at(tomorrow)", "UTC", None, "ScheduleExpression"),
            ("rate(1 minutes)", "UTC", None, "ScheduleExpression"),
            ("rate(1 minute)", "Europe/Atlantis", None, "ScheduleExpressionTimezone"),
            ("rate(1 minute)", "UTC", Some("soon"), "StartDate"),
        ] {
            assert_eq!(Schedule::parse(expression, zone, start, None).unwrap_err().0, named);
        }
    }
}
