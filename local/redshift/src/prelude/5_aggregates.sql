-- Aggregates. Sources: developer guide, "Aggregate functions", "Window functions".
set search_path to pg_catalog;

-- AVG of integers is a truncated BIGINT.
create function redshift_catalog.avg_integer(state bigint[]) returns bigint immutable
    return case when state[1] > 0 then state[2] / state[1] end;
create aggregate redshift_catalog.avg(smallint) (sfunc = int2_avg_accum, stype = bigint[], initcond = '{0,0}', finalfunc = redshift_catalog.avg_integer);
create aggregate redshift_catalog.avg(integer) (sfunc = int4_avg_accum, stype = bigint[], initcond = '{0,0}', finalfunc = redshift_catalog.avg_integer);
create function redshift_catalog.avg_bigint(state numeric[], x bigint) returns numeric[] language plpgsql immutable strict as $$
begin
    return array[state[1] + 1, state[2] + x];
end
$$;
create function redshift_catalog.avg_bigint_end(state numeric[]) returns bigint immutable
    return case when state[1] > 0 then trunc(state[2] / state[1])::bigint end;
create aggregate redshift_catalog.avg(bigint) (sfunc = redshift_catalog.avg_bigint, stype = numeric[], initcond = '{0,0}', finalfunc = redshift_catalog.avg_bigint_end);
-- AVG of decimals keeps the scale.
create function redshift_catalog.avg_numeric(state numeric[], x numeric) returns numeric[] language plpgsql immutable strict as $$
begin
    return array[state[1] + 1, state[2] + x];
end
$$;
create function redshift_catalog.avg_numeric_end(state numeric[]) returns numeric immutable
    return case when state[1] > 0 then round(state[2] / state[1], scale(state[2])) end;
create aggregate redshift_catalog.avg(numeric) (sfunc = redshift_catalog.avg_numeric, stype = numeric[], initcond = '{0,0}', finalfunc = redshift_catalog.avg_numeric_end);

-- SUM of BIGINT is BIGINT; SUM of REAL is DOUBLE PRECISION.
create aggregate redshift_catalog.sum(bigint) (sfunc = int8pl, stype = bigint, combinefunc = int8pl, parallel = safe);
create function redshift_catalog.sum_real(state float8, x real) returns float8 language plpgsql immutable as $$
begin
    return case when x is null then state else coalesce(state, 0) + x end;
end
$$;
create aggregate redshift_catalog.sum(real) (sfunc = redshift_catalog.sum_real, stype = float8);

create function redshift_catalog.first_of(state anyelement, x anyelement) returns anyelement language sql immutable strict as $$ select state $$;
create aggregate redshift_catalog.any_value(anyelement) (sfunc = redshift_catalog.first_of, stype = anyelement);

-- IGNORE NULLS: over what ARRAY_AGG gathered from the rows the function looks at.
create function redshift_catalog.first_value_not_null(xs anyarray) returns anyelement language sql immutable as $$
    select (array_remove(xs, null))[1] $$;
create function redshift_catalog.last_value_not_null(xs anyarray) returns anyelement language sql immutable as $$
    select (array_remove(xs, null))[cardinality(array_remove(xs, null))] $$;
create function redshift_catalog.nth_value_not_null(xs anyarray, n integer) returns anyelement language sql immutable as $$
    select (array_remove(xs, null))[n] $$;
create function redshift_catalog.lag_not_null(xs anyarray, n integer default 1) returns anyelement language sql immutable as $$
    select (array_remove(xs, null))[cardinality(array_remove(xs, null)) - n + 1] $$;
create function redshift_catalog.lead_not_null(xs anyarray, n integer default 1) returns anyelement language sql immutable as $$
    select (array_remove(xs, null))[n] $$;

-- LISTAGG skips NULL and the empty string.
create function redshift_catalog.listagg_text(state text, x text, delimiter text) returns text language plpgsql immutable as $$
begin
    if x is null or x operator(pg_catalog.=) '' then
        return state;
    end if;
    return case when state is null then x else state || coalesce(delimiter, '') || x end;
end
$$;
create function redshift_catalog.listagg_text(state text, x text) returns text immutable
    return redshift_catalog.listagg_text(state, x, '');
create function redshift_catalog.listagg_end(state text) returns varchar language plpgsql immutable as $$
begin
    if pg_catalog.octet_length(state) > 65535 then
        raise exception using errcode = 'XX000', message = 'Result size exceeds LISTAGG limit';
    end if;
    return state;
end
$$;
create aggregate redshift_catalog.listagg(text, text) (sfunc = redshift_catalog.listagg_text, stype = text, finalfunc = redshift_catalog.listagg_end);
create aggregate redshift_catalog.listagg(text) (sfunc = redshift_catalog.listagg_text, stype = text, finalfunc = redshift_catalog.listagg_end);

do $do$
declare
    kind text;
begin
    foreach kind in array array['smallint', 'integer', 'bigint', 'numeric', 'real', 'float8', 'date', 'timestamp', 'timestamptz'] loop
        execute format($f$
            create function redshift_catalog.listagg_text(state text, x %1$s, delimiter text) returns text stable
                return redshift_catalog.listagg_text(state, x::text, delimiter);
            create function redshift_catalog.listagg_text(state text, x %1$s) returns text stable
                return redshift_catalog.listagg_text(state, x::text, '');
            create aggregate redshift_catalog.listagg(%1$s, text)
                (sfunc = redshift_catalog.listagg_text, stype = text, finalfunc = redshift_catalog.listagg_end);
            create aggregate redshift_catalog.listagg(%1$s)
                (sfunc = redshift_catalog.listagg_text, stype = text, finalfunc = redshift_catalog.listagg_end);
            $f$, kind);
    end loop;
end
$do$;

create function redshift_catalog.ratio_to_report(x float8, total float8) returns float8 immutable return x / nullif(total, 0);

-- MEDIAN, PERCENTILE_CONT and PERCENTILE_DISC over what ARRAY_AGG gathered: PostgreSQL takes no ordered-set aggregate as a
-- window function. Integers and decimals give DECIMAL, floating point DOUBLE, dates and times keep their type.
do $do$
declare
    kind text;
    result text;
    between_ text;
begin
    foreach kind in array array['smallint', 'integer', 'bigint', 'numeric', 'real', 'float8', 'date', 'timestamp', 'timestamptz'] loop
        result := case
            when kind in ('smallint', 'integer', 'bigint', 'numeric') then 'numeric'
            when kind in ('real', 'float8') then 'float8'
            else kind end;
        between_ := case result
            when 'numeric' then 'low + (high - low) * share::numeric'
            when 'date' then 'low + round((high - low) * share)::int'
            else 'low + (high - low) * share' end;
        execute format($f$
            create function redshift_catalog.percentile_cont(p float8, xs %1$s[]) returns %2$s language plpgsql immutable as $$
            declare
                sorted %1$s[] := (select array_agg(x order by x) from unnest(xs) as u(x) where x is not null);
                place float8;
                share float8;
                low %2$s;
                high %2$s;
            begin
                if p < 0 or p > 1 then
                    raise exception using errcode = '22003', message = 'percentile value ' || p::text || ' is not between 0 and 1';
                end if;
                place := p * (cardinality(sorted) - 1) + 1;
                low := sorted[floor(place)::int];
                high := sorted[ceil(place)::int];
                share := place - floor(place);
                return case when share = 0 then low else %3$s end;
            end
            $$;
            create function redshift_catalog.median(xs %1$s[]) returns %2$s immutable
                return redshift_catalog.percentile_cont(0.5, xs);
            $f$, kind, result, between_);
    end loop;
end
$do$;
create function redshift_catalog.percentile_disc(p float8, xs anyarray) returns anyelement language plpgsql immutable as $$
declare
    sorted xs%type := (select array_agg(x order by x) from unnest(xs) as u(x) where x is not null);
begin
    return sorted[greatest(ceil(p * cardinality(sorted))::int, 1)];
end
$$;
