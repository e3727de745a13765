-- Dates and times. Sources: developer guide, "Date and time functions" and "Date parts".
set search_path to pg_catalog;

-- A date part by any of its names; NULL for what is none.
create function redshift_catalog.part(name text) returns text immutable
    return case lower(name)
        when 'millennium' then 'millennium' when 'millennia' then 'millennium' when 'mil' then 'millennium' when 'mils' then 'millennium'
        when 'century' then 'century' when 'centuries' then 'century' when 'c' then 'century' when 'cent' then 'century' when 'cents' then 'century'
        when 'decade' then 'decade' when 'decades' then 'decade' when 'dec' then 'decade' when 'decs' then 'decade'
        when 'epoch' then 'epoch'
        when 'year' then 'year' when 'years' then 'year' when 'y' then 'year' when 'yr' then 'year' when 'yrs' then 'year'
        when 'quarter' then 'quarter' when 'quarters' then 'quarter' when 'qtr' then 'quarter' when 'qtrs' then 'quarter'
        when 'month' then 'month' when 'months' then 'month' when 'mon' then 'month' when 'mons' then 'month'
        when 'week' then 'week' when 'weeks' then 'week' when 'w' then 'week'
        when 'dayofweek' then 'dow' when 'dow' then 'dow' when 'dw' then 'dow' when 'weekday' then 'dow'
        when 'dayofyear' then 'doy' when 'doy' then 'doy' when 'dy' then 'doy' when 'yearday' then 'doy'
        when 'day' then 'day' when 'days' then 'day' when 'd' then 'day'
        when 'hour' then 'hour' when 'hours' then 'hour' when 'h' then 'hour' when 'hr' then 'hour' when 'hrs' then 'hour'
        when 'minute' then 'minute' when 'minutes' then 'minute' when 'm' then 'minute' when 'min' then 'minute' when 'mins' then 'minute'
        when 'second' then 'second' when 'seconds' then 'second' when 's' then 'second' when 'sec' then 'second' when 'secs' then 'second'
        when 'millisecond' then 'milliseconds' when 'milliseconds' then 'milliseconds' when 'ms' then 'milliseconds'
        when 'msec' then 'milliseconds' when 'msecs' then 'milliseconds' when 'msecond' then 'milliseconds'
        when 'mseconds' then 'milliseconds' when 'millisec' then 'milliseconds' when 'millisecs' then 'milliseconds'
        when 'millisecon' then 'milliseconds'
        when 'microsecond' then 'microseconds' when 'microseconds' then 'microseconds' when 'microsec' then 'microseconds'
        when 'microsecs' then 'microseconds' when 'usecond' then 'microseconds' when 'useconds' then 'microseconds'
        when 'us' then 'microseconds' when 'usec' then 'microseconds' when 'usecs' then 'microseconds'
        when 'timezone' then 'timezone' when 'timezone_hour' then 'timezone_hour' when 'timezone_minute' then 'timezone_minute'
    end;

create function redshift_catalog.bad_part(name text, kind text) returns text language plpgsql immutable as $$
begin
    raise exception using errcode = '22023', message = kind || ' units "' || coalesce(name, 'null') || '" not recognized';
end
$$;

-- The width of a part as an interval, for the parts that have one.
create function redshift_catalog.part_interval(name text) returns interval immutable
    return case redshift_catalog.part(name)
        when 'millennium' then interval '1000 years' when 'century' then interval '100 years' when 'decade' then interval '10 years'
        when 'year' then interval '1 year' when 'quarter' then interval '3 months' when 'month' then interval '1 month'
        when 'week' then interval '7 days' when 'day' then interval '1 day' when 'hour' then interval '1 hour'
        when 'minute' then interval '1 minute' when 'second' then interval '1 second' when 'epoch' then interval '1 second'
        when 'milliseconds' then interval '1 millisecond' when 'microseconds' then interval '1 microsecond'
        else redshift_catalog.bad_part(name, 'timestamp')::interval
    end;

-- Months clamp to the month's end; a year from 29 February is 1 March.
create function redshift_catalog.date_add(part text, n bigint, x timestamp) returns timestamp immutable
    return case
        when redshift_catalog.part(part) in ('millennium', 'century', 'decade', 'year')
            and extract(month from x) = 2 and extract(day from x) = 29
            and extract(day from x + n * redshift_catalog.part_interval(part)) = 28
            then x + n * redshift_catalog.part_interval(part) + interval '1 day'
        else x + n * redshift_catalog.part_interval(part)
    end;
create function redshift_catalog.date_add(part text, n bigint, x date) returns timestamp immutable
    return redshift_catalog.date_add(part, n, x::timestamp);
create function redshift_catalog.date_add(part text, n bigint, x text) returns timestamp immutable
    return redshift_catalog.date_add(part, n, x::timestamp);
create function redshift_catalog.date_add(part text, n bigint, x time) returns time immutable
    return x + n * redshift_catalog.part_interval(part);
create function redshift_catalog.date_add(part text, n bigint, x timetz) returns timetz immutable
    return x + n * redshift_catalog.part_interval(part);
-- Without this one TIMESTAMPTZ would come in as a string.
create function redshift_catalog.date_add(part text, n bigint, x timestamptz) returns timestamp language plpgsql immutable as $$
begin
    raise exception using errcode = '42883',
        message = 'function redshift_catalog.date_add(unknown, integer, timestamp with time zone) does not exist';
end
$$;

-- Boundaries crossed. Weeks begin on Monday, as in DATE_TRUNC (the guide does not say for DATEDIFF).
create function redshift_catalog.date_diff(part text, a timestamp, b timestamp) returns bigint immutable
    return case redshift_catalog.part(part)
        when 'millennium' then extract(millennium from b)::bigint - extract(millennium from a)::bigint
        when 'century' then extract(century from b)::bigint - extract(century from a)::bigint
        when 'decade' then extract(decade from b)::bigint - extract(decade from a)::bigint
        when 'year' then extract(year from b)::bigint - extract(year from a)::bigint
        when 'quarter' then (extract(year from b)::bigint - extract(year from a)::bigint) * 4 + extract(quarter from b)::bigint - extract(quarter from a)::bigint
        when 'month' then (extract(year from b)::bigint - extract(year from a)::bigint) * 12 + extract(month from b)::bigint - extract(month from a)::bigint
        when 'week' then (date_trunc('week', b)::date - date_trunc('week', a)::date) / 7
        when 'day' then b::date - a::date
        when 'hour' then (extract(epoch from date_trunc('hour', b)) - extract(epoch from date_trunc('hour', a)))::bigint / 3600
        when 'minute' then (extract(epoch from date_trunc('minute', b)) - extract(epoch from date_trunc('minute', a)))::bigint / 60
        when 'second' then (extract(epoch from date_trunc('second', b)) - extract(epoch from date_trunc('second', a)))::bigint
        when 'epoch' then (extract(epoch from date_trunc('second', b)) - extract(epoch from date_trunc('second', a)))::bigint
        when 'milliseconds' then ((extract(epoch from date_trunc('milliseconds', b)) - extract(epoch from date_trunc('milliseconds', a))) * 1000)::bigint
        when 'microseconds' then ((extract(epoch from b) - extract(epoch from a)) * 1000000)::bigint
        else redshift_catalog.bad_part(part, 'timestamp')::bigint
    end;
create function redshift_catalog.date_diff(part text, a date, b date) returns bigint immutable
    return redshift_catalog.date_diff(part, a::timestamp, b::timestamp);
create function redshift_catalog.date_diff(part text, a text, b text) returns bigint immutable
    return redshift_catalog.date_diff(part, a::timestamp, b::timestamp);
create function redshift_catalog.date_diff(part text, a timestamptz, b timestamptz) returns bigint stable
    return redshift_catalog.date_diff(part, a::timestamp, b::timestamp);
create function redshift_catalog.date_diff(part text, a time, b time) returns bigint immutable
    return redshift_catalog.date_diff(part, date '2000-01-01' + a, date '2000-01-01' + b);
create function redshift_catalog.date_diff(part text, a timetz, b timetz) returns bigint immutable
    return redshift_catalog.date_diff(part, date '2000-01-01' + (a at time zone 'UTC')::time, date '2000-01-01' + (b at time zone 'UTC')::time);

-- DATE_PART: floating point, seconds with their fraction.
create function redshift_catalog.pgdate_part(part text, x timestamp) returns float8 immutable
    return case redshift_catalog.part(part)
        when 'decade' then floor(extract(year from x) / 10) + 1
        when 'milliseconds' then extract(milliseconds from x)::numeric % 1000
        when 'microseconds' then extract(microseconds from x)::numeric % 1000000
        else pg_catalog.date_part(coalesce(redshift_catalog.part(part), part), x)
    end;
create function redshift_catalog.pgdate_part(part text, x date) returns float8 immutable
    return redshift_catalog.pgdate_part(part, x::timestamp);
create function redshift_catalog.pgdate_part(part text, x text) returns float8 immutable
    return redshift_catalog.pgdate_part(part, x::timestamp);
create function redshift_catalog.pgdate_part(part text, x timestamptz) returns float8 stable
    return case when redshift_catalog.part(part) in ('decade', 'milliseconds', 'microseconds')
        then redshift_catalog.pgdate_part(part, x::timestamp)
        else pg_catalog.date_part(coalesce(redshift_catalog.part(part), part), x) end;
create function redshift_catalog.pgdate_part(part text, x time) returns float8 immutable
    return case redshift_catalog.part(part)
        when 'milliseconds' then extract(milliseconds from x)::numeric % 1000
        when 'microseconds' then extract(microseconds from x)::numeric % 1000000
        else pg_catalog.date_part(coalesce(redshift_catalog.part(part), part), x) end;
create function redshift_catalog.pgdate_part(part text, x timetz) returns float8 immutable
    return pg_catalog.date_part(coalesce(redshift_catalog.part(part), part), x);
create function redshift_catalog.pgdate_part(part text, x interval) returns float8 immutable
    return pg_catalog.date_part(coalesce(redshift_catalog.part(part), part), x);

-- The same under the name that SQL built at run time may use.
create function redshift_catalog.date_part(part text, x timestamp) returns float8 immutable return redshift_catalog.pgdate_part(part, x);
create function redshift_catalog.date_part(part text, x date) returns float8 immutable return redshift_catalog.pgdate_part(part, x);
create function redshift_catalog.date_part(part text, x timestamptz) returns float8 stable return redshift_catalog.pgdate_part(part, x);
create function redshift_catalog.date_part(part text, x time) returns float8 immutable return redshift_catalog.pgdate_part(part, x);
create function redshift_catalog.date_part(part text, x interval) returns float8 immutable return redshift_catalog.pgdate_part(part, x);

-- EXTRACT, with the arguments the other way round: an integer but for TIMESTAMPTZ.
create function redshift_catalog.date_part(x timestamp, part text) returns integer immutable
    return floor(redshift_catalog.pgdate_part(part, x))::integer;
create function redshift_catalog.date_part(x date, part text) returns integer immutable
    return floor(redshift_catalog.pgdate_part(part, x))::integer;
create function redshift_catalog.date_part(x time, part text) returns integer immutable
    return floor(redshift_catalog.pgdate_part(part, x))::integer;
create function redshift_catalog.date_part(x timetz, part text) returns integer immutable
    return floor(redshift_catalog.pgdate_part(part, x))::integer;
create function redshift_catalog.date_part(x interval, part text) returns integer immutable
    return floor(redshift_catalog.pgdate_part(part, x))::integer;
create function redshift_catalog.date_part(x timestamptz, part text) returns float8 stable
    return redshift_catalog.pgdate_part(part, x);
create function redshift_catalog.date_part(x text, part text) returns integer immutable
    return floor(redshift_catalog.pgdate_part(part, x::timestamp))::integer;

create function redshift_catalog.date_trunc(part text, x timestamp) returns timestamp immutable
    return pg_catalog.date_trunc(coalesce(redshift_catalog.part(part), part), x);
create function redshift_catalog.date_trunc(part text, x date) returns timestamp immutable
    return pg_catalog.date_trunc(coalesce(redshift_catalog.part(part), part), x::timestamp);
create function redshift_catalog.date_trunc(part text, x text) returns timestamp immutable
    return pg_catalog.date_trunc(coalesce(redshift_catalog.part(part), part), x::timestamp);
create function redshift_catalog.date_trunc(part text, x timestamptz) returns timestamptz stable
    return pg_catalog.date_trunc(coalesce(redshift_catalog.part(part), part), x);
create function redshift_catalog.trunc(x timestamp) returns date immutable return x::date;
create function redshift_catalog.trunc(x timestamptz) returns date stable return x::date;

create function redshift_catalog.last_day(x date) returns date immutable
    return (pg_catalog.date_trunc('month', x::timestamp) + interval '1 month - 1 day')::date;
create function redshift_catalog.last_day(x timestamp) returns date immutable return redshift_catalog.last_day(x::date);
create function redshift_catalog.last_day(x text) returns date immutable return redshift_catalog.last_day(x::timestamp);

-- The last day of a month stays the last day.
create function redshift_catalog.add_months(x timestamp, n bigint) returns timestamp immutable
    return case when x::date = redshift_catalog.last_day(x)
        then redshift_catalog.last_day(x + n * interval '1 month') + x::time
        else x + n * interval '1 month' end;
create function redshift_catalog.add_months(x date, n bigint) returns timestamp immutable
    return redshift_catalog.add_months(x::timestamp, n);
create function redshift_catalog.add_months(x text, n bigint) returns timestamp immutable
    return redshift_catalog.add_months(x::timestamp, n);

-- Whole months when both are the same day or both a month's end; else 31-day fractions.
create function redshift_catalog.months_between(a timestamp, b timestamp) returns float8 immutable
    return case
        when extract(day from a) = extract(day from b) or a::date = redshift_catalog.last_day(a) and b::date = redshift_catalog.last_day(b)
            then ((extract(year from a) - extract(year from b)) * 12 + extract(month from a) - extract(month from b))::float8
        else ((extract(year from a) - extract(year from b)) * 12 + extract(month from a) - extract(month from b))::float8
            + (extract(day from a) - extract(day from b)
               + (extract(epoch from a::time) - extract(epoch from b::time)) / 86400)::float8 / 31
    end;
create function redshift_catalog.months_between(a date, b date) returns float8 immutable
    return redshift_catalog.months_between(a::timestamp, b::timestamp);
create function redshift_catalog.months_between(a text, b text) returns float8 immutable
    return redshift_catalog.months_between(a::timestamp, b::timestamp);

-- The first such weekday after the date.
create function redshift_catalog.next_day(x date, day text) returns date language plpgsql immutable as $$
declare
    wanted int := case lower(left(day, 2)) when 'su' then 0 when 'mo' then 1 when 'tu' then 2 when 'we' then 3
        when 'th' then 4 when 'fr' then 5 when 'sa' then 6 end;
begin
    if wanted is null and day is not null then
        raise exception using errcode = '22023', message = 'invalid day of week "' || day || '"';
    end if;
    return x + 1 + (wanted - extract(dow from x + 1)::int + 7) % 7;
end
$$;

-- GETDATE: the start of the statement, whole seconds. SYSDATE: the start of the transaction, microseconds.
create function redshift_catalog."timestamp"() returns timestamp stable
    return pg_catalog.date_trunc('second', statement_timestamp()::timestamp);
create function redshift_catalog.getdate() returns timestamp stable
    return pg_catalog.date_trunc('second', statement_timestamp()::timestamp);
create function redshift_catalog.sysdate() returns timestamp stable return now()::timestamp;
-- GETDATE in a procedure, where each statement has its own time.
create function redshift_catalog.clock() returns timestamp volatile
    return pg_catalog.date_trunc('second', clock_timestamp()::timestamp);

-- A POSIX-like zone (`GMT+2`) is west in both systems.
create function redshift_catalog.convert_timezone(source text, target text, x timestamp) returns timestamp stable
    return (x at time zone source) at time zone target;
create function redshift_catalog.convert_timezone(source text, target text, x text) returns timestamp stable
    return (x::timestamp at time zone source) at time zone target;
create function redshift_catalog.convert_timezone(target text, x timestamp) returns timestamp stable
    return (x at time zone 'UTC') at time zone target;
create function redshift_catalog.convert_timezone(target text, x timestamptz) returns timestamp stable
    return x at time zone target;
create function redshift_catalog.convert_timezone(target text, x text) returns timestamp stable
    return (x::timestamp at time zone 'UTC') at time zone target;
create function redshift_catalog.convert_timezone(source text, target text, x timestamptz) returns timestamp stable
    return (x::timestamp at time zone source) at time zone target;

-- Without is_strict a day beyond the month's end runs over: '20010631' is 2001-07-01.
create function redshift_catalog.to_timestamp(x text, format text, is_strict boolean) returns timestamptz language plpgsql stable as $$
declare
    place int;
    width text;
    day int;
begin
    return pg_catalog.to_timestamp(x, format);
exception when datetime_field_overflow then
    width := pg_catalog.replace(pg_catalog.upper(format), 'HH24', 'HH');
    place := pg_catalog.strpos(width, 'DD');
    if is_strict or place = 0 or pg_catalog.substr(width, greatest(place - 1, 1), 4) like '%DDD%' then
        raise;
    end if;
    if pg_catalog.substr(x, place, 2) !~ '^[0-9]{2}$' then
        raise;
    end if;
    day := pg_catalog.substr(x, place, 2)::int;
    if day < 1 or day > 31 then
        raise;
    end if;
    return pg_catalog.to_timestamp(overlay(x placing '01' from place for 2), format) + (day - 1) * interval '1 day';
end
$$;
create function redshift_catalog.to_timestamp(x text, format text) returns timestamptz stable
    return redshift_catalog.to_timestamp(x, format, false);
create function redshift_catalog.to_date(x text, format text, is_strict boolean) returns date stable
    return redshift_catalog.to_timestamp(x, format, is_strict)::date;
create function redshift_catalog.to_date(x text, format text) returns date stable
    return redshift_catalog.to_timestamp(x, format, false)::date;

create function redshift_catalog.date_cmp(a date, b date) returns integer immutable return sign((a - b)::numeric)::integer;
create function redshift_catalog.timestamp_cmp(a timestamp, b timestamp) returns integer immutable
    return case when a < b then -1 when a > b then 1 when a = b then 0 end;
create function redshift_catalog.date_cmp_timestamp(a date, b timestamp) returns integer immutable
    return redshift_catalog.timestamp_cmp(a::timestamp, b);
create function redshift_catalog.timestamp_cmp_date(a timestamp, b date) returns integer immutable
    return redshift_catalog.timestamp_cmp(a, b::timestamp);
create function redshift_catalog.interval_cmp(a interval, b interval) returns integer immutable
    return case when a < b then -1 when a > b then 1 when a = b then 0 end;
create function redshift_catalog.date_part_year(x date) returns integer immutable return extract(year from x)::integer;
