-- Casts, lengths in bytes, comparison without trailing blanks, `+` on strings. Sources: developer guide, "Character types",
-- "Type compatibility and conversion", "Boolean type".
-- PostgreSQL's own casts cannot be replaced by CREATE CAST: their rows in pg_cast are changed.
set search_path to pg_catalog;

-- VARCHAR(n) counts bytes. A store that is too long fails unless the excess is blanks; an explicit cast cuts.
create function redshift_catalog.cut_varchar(x varchar, typmod integer, is_explicit boolean) returns varchar
language plpgsql immutable strict as $$
declare
    room constant int := typmod - 4;
    kept text := pg_catalog.left(x::text, room);
begin
    if not is_explicit and pg_catalog.octet_length(pg_catalog.rtrim(x::text, ' ')) > room then
        raise exception using errcode = '22001', message = 'value too long for type character varying(' || room::text || ')';
    end if;
    while pg_catalog.octet_length(kept) > room loop
        kept := pg_catalog.left(kept, -1);
    end loop;
    return kept;
end
$$;
create function redshift_catalog.varchar_length(x varchar, typmod integer, is_explicit boolean) returns varchar immutable
    return case when typmod < 4 or octet_length(x) <= typmod - 4 then x
        else redshift_catalog.cut_varchar(x, typmod, is_explicit) end;
-- CHAR(n) holds single-byte characters only.
create function redshift_catalog.char_length(x bpchar, typmod integer, is_explicit boolean) returns bpchar
language plpgsql immutable strict as $$
begin
    if pg_catalog.octet_length(x) <> pg_catalog.char_length(x || 'x') - 1 and pg_catalog.octet_length(x::text) <> pg_catalog.char_length(x::text) then
        raise exception using errcode = 'XX000', message = 'Multibyte character not supported for CHAR (Hint: Try using VARCHAR).';
    end if;
    return pg_catalog.bpchar(x, typmod, is_explicit);
end
$$;
update pg_cast set castfunc = 'redshift_catalog.varchar_length(varchar, integer, boolean)'::regprocedure
    where castsource = 'varchar'::regtype and casttarget = 'varchar'::regtype;
update pg_cast set castfunc = 'redshift_catalog.char_length(bpchar, integer, boolean)'::regprocedure
    where castsource = 'bpchar'::regtype and casttarget = 'bpchar'::regtype;

-- BOOLEAN does not become a string; integers and BOOLEAN convert both ways without being asked.
create function redshift_catalog.boolean_text(x boolean) returns text language plpgsql immutable as $$
begin
    raise exception using errcode = '42846', message = 'cannot cast type boolean to character varying';
end
$$;
update pg_cast set castfunc = 'redshift_catalog.boolean_text(boolean)'::regprocedure
    where castsource = 'bool'::regtype and casttarget in ('text'::regtype, 'varchar'::regtype, 'bpchar'::regtype);
-- Only one way may be implicit, or `true = 1` would be ambiguous.
update pg_cast set castcontext = 'i' where castsource = 'int4'::regtype and casttarget = 'bool'::regtype;
update pg_cast set castcontext = 'a' where castsource = 'bool'::regtype and casttarget = 'int4'::regtype;
create function redshift_catalog.int8_boolean(x bigint) returns boolean immutable return x <> 0;
create function redshift_catalog.int2_boolean(x smallint) returns boolean immutable return x <> 0;
create function redshift_catalog.boolean_int8(x boolean) returns bigint immutable return x::int::bigint;
create function redshift_catalog.boolean_int2(x boolean) returns smallint immutable return x::int::smallint;
create cast (bigint as boolean) with function redshift_catalog.int8_boolean(bigint) as assignment;
create cast (smallint as boolean) with function redshift_catalog.int2_boolean(smallint) as assignment;
create cast (boolean as bigint) with function redshift_catalog.boolean_int8(boolean) as assignment;
create cast (boolean as smallint) with function redshift_catalog.boolean_int2(boolean) as assignment;

-- Numbers become strings, dates and strings convert both ways, without being asked. Not DECIMAL: beside a string Redshift
-- makes a DECIMAL of the string, PostgreSQL would compare strings; it stays an error.
do $do$
declare
    kind text;
begin
    foreach kind in array array['smallint', 'integer', 'bigint', 'real', 'float8', 'date', 'timestamp', 'timestamptz'] loop
        execute format('create cast (%1$s as text) with inout as implicit', kind);
    end loop;
end
$do$;
create cast (text as date) with inout as implicit;
create cast (text as timestamp) with inout as implicit;
create cast (varchar as date) with inout as implicit;
create cast (varchar as timestamp) with inout as implicit;

-- SUPER to string: a string without its quotes.
create function redshift_catalog.super_text(x jsonb) returns text immutable
    return case jsonb_typeof(x) when 'null' then null when 'string' then x #>> '{}' else redshift_catalog.json_serialize(x) end;
create function redshift_catalog.super_varchar(x jsonb) returns varchar immutable return redshift_catalog.super_text(x)::varchar;
create cast (jsonb as text) with function redshift_catalog.super_text(jsonb);
create cast (jsonb as varchar) with function redshift_catalog.super_varchar(jsonb);

-- SUPER to other types: what does not fit is NULL (guide, "Lax semantics").
do $do$
declare
    kind record;
begin
    for kind in select * from (values
        ('int2', -32768::numeric, 32767::numeric), ('int4', -2147483648, 2147483647),
        ('int8', -9223372036854775808, 9223372036854775807), ('numeric', null, null), ('float4', null, null),
        ('float8', null, null)) as kinds(name, least, most) loop
        execute format($f$
            create function redshift_catalog.super_%1$s(x jsonb) returns %1$s immutable
                return case when jsonb_typeof(x) = 'number' and coalesce((x #>> '{}')::numeric between %2$s and %3$s, true)
                    then (x #>> '{}')::numeric::%1$s end;
            update pg_cast set castfunc = 'redshift_catalog.super_%1$s(jsonb)'::regprocedure
                where castsource = 'jsonb'::regtype and casttarget = '%1$s'::regtype;
            $f$, kind.name, coalesce(kind.least::text, 'null'), coalesce(kind.most::text, 'null'));
    end loop;
end
$do$;
create function redshift_catalog.super_bool(x jsonb) returns boolean immutable
    return case when jsonb_typeof(x) = 'boolean' then (x #>> '{}')::boolean end;
update pg_cast set castfunc = 'redshift_catalog.super_bool(jsonb)'::regprocedure
    where castsource = 'jsonb'::regtype and casttarget = 'bool'::regtype;

-- Trailing blanks do not count in comparisons of VARCHAR. The functions are inlined, so that joins still hash.
do $do$
declare
    op text;
begin
    foreach op in array array['=', '<>', '<', '<=', '>', '>='] loop
        execute format($f$
            create function redshift_catalog.%2$s(a text, b text) returns boolean immutable
                return rtrim(a, ' ') operator(pg_catalog.%1$s) rtrim(b, ' ');
            $f$, op, case op when '=' then 'text_eq' when '<>' then 'text_ne' when '<' then 'text_lt' when '<=' then 'text_le'
                when '>' then 'text_gt' else 'text_ge' end);
    end loop;
end
$do$;
create operator redshift_catalog.= (leftarg = text, rightarg = text, function = redshift_catalog.text_eq,
    commutator = operator(redshift_catalog.=), negator = operator(redshift_catalog.<>), restrict = eqsel, join = eqjoinsel, hashes, merges);
create operator redshift_catalog.<> (leftarg = text, rightarg = text, function = redshift_catalog.text_ne,
    commutator = operator(redshift_catalog.<>), negator = operator(redshift_catalog.=), restrict = neqsel, join = neqjoinsel);
create operator redshift_catalog.< (leftarg = text, rightarg = text, function = redshift_catalog.text_lt,
    commutator = operator(redshift_catalog.>), negator = operator(redshift_catalog.>=), restrict = scalarltsel, join = scalarltjoinsel);
create operator redshift_catalog.<= (leftarg = text, rightarg = text, function = redshift_catalog.text_le,
    commutator = operator(redshift_catalog.>=), negator = operator(redshift_catalog.>), restrict = scalarlesel, join = scalarlejoinsel);
create operator redshift_catalog.> (leftarg = text, rightarg = text, function = redshift_catalog.text_gt,
    commutator = operator(redshift_catalog.<), negator = operator(redshift_catalog.<=), restrict = scalargtsel, join = scalargtjoinsel);
create operator redshift_catalog.>= (leftarg = text, rightarg = text, function = redshift_catalog.text_ge,
    commutator = operator(redshift_catalog.<=), negator = operator(redshift_catalog.<), restrict = scalargesel, join = scalargejoinsel);

-- Row comparisons ask for a btree class, hashed subplans for a hash class.
create function redshift_catalog.text_cmp(a text, b text) returns integer immutable return bttextcmp(rtrim(a, ' '), rtrim(b, ' '));
create function redshift_catalog.text_hash(a text) returns integer immutable return hashtext(rtrim(a, ' '));
create operator class redshift_catalog.text_ops for type text using btree as
    operator 1 redshift_catalog.<, operator 2 redshift_catalog.<=, operator 3 redshift_catalog.=,
    operator 4 redshift_catalog.>=, operator 5 redshift_catalog.>, function 1 redshift_catalog.text_cmp(text, text);
create operator class redshift_catalog.text_ops for type text using hash as
    operator 1 redshift_catalog.=, function 1 redshift_catalog.text_hash(text);

-- `+` joins strings. On VARCHAR, to which numbers do not convert unasked: a string and a number stay an error.
create function redshift_catalog.text_plus(a varchar, b varchar) returns varchar immutable return a || b;
create operator redshift_catalog.+ (leftarg = varchar, rightarg = varchar, function = redshift_catalog.text_plus);
do $do$
declare
    kind text;
begin
    -- With implicit casts to string `||` needs its own operators: else PostgreSQL's three are equally good, or a DECIMAL
    -- goes by way of DOUBLE PRECISION. BOOLEAN fails, as its cast does.
    foreach kind in array array['boolean', 'smallint', 'integer', 'bigint', 'numeric', 'real', 'float8', 'date', 'timestamp', 'timestamptz'] loop
        execute format($f$
            create function redshift_catalog.text_join(a text, b %1$s) returns text stable return a operator(pg_catalog.||) b::text;
            create function redshift_catalog.text_join(a %1$s, b text) returns text stable return a::text operator(pg_catalog.||) b;
            create operator redshift_catalog.|| (leftarg = text, rightarg = %1$s, function = redshift_catalog.text_join);
            create operator redshift_catalog.|| (leftarg = %1$s, rightarg = text, function = redshift_catalog.text_join);
            $f$, kind);
    end loop;
end
$do$;

-- A date or timestamp beside a string: the string becomes the date.
do $do$
declare
    kind text;
    op text;
begin
    foreach kind in array array['date', 'timestamp', 'timestamptz'] loop
        foreach op in array array['=', '<>', '<', '<=', '>', '>='] loop
            execute format($f$
                create function redshift_catalog.%3$s(a %1$s, b text) returns boolean stable
                    return a operator(pg_catalog.%2$s) b::%1$s;
                create function redshift_catalog.%3$s(a text, b %1$s) returns boolean stable
                    return a::%1$s operator(pg_catalog.%2$s) b;
                create operator redshift_catalog.%2$s (leftarg = %1$s, rightarg = text, function = redshift_catalog.%3$s);
                create operator redshift_catalog.%2$s (leftarg = text, rightarg = %1$s, function = redshift_catalog.%3$s);
                $f$, kind, op, case op when '=' then 'text_eq' when '<>' then 'text_ne' when '<' then 'text_lt'
                    when '<=' then 'text_le' when '>' then 'text_gt' else 'text_ge' end);
        end loop;
    end loop;
end
$do$;

-- A scalar in SUPER beside a plain value: other types are not equal, and not comparable.
do $do$
declare
    kind text;
    op text;
    name text;
    value text;
    wanted text;
    other text;
begin
    foreach kind in array array['smallint', 'integer', 'bigint', 'numeric', 'float8', 'text', 'boolean'] loop
        wanted := case kind when 'text' then 'string' when 'boolean' then 'boolean' else 'number' end;
        foreach op in array array['=', '<>', '<', '<=', '>', '>='] loop
            name := case op when '=' then 'super_eq' when '<>' then 'super_ne' when '<' then 'super_lt' when '<=' then 'super_le'
                when '>' then 'super_gt' else 'super_ge' end;
            value := format('(%%s #>> ''{}'')::%s', kind);
            other := case op when '=' then 'case when jsonb_typeof(%s) <> ''null'' then false end' else 'null::boolean' end;
            execute format($f$
                create function redshift_catalog.%1$s(a jsonb, b %2$s) returns boolean immutable
                    return case when jsonb_typeof(a) = '%3$s' then %4$s operator(pg_catalog.%5$s) b else %6$s end;
                create function redshift_catalog.%1$s(a %2$s, b jsonb) returns boolean immutable
                    return case when jsonb_typeof(b) = '%3$s' then a operator(pg_catalog.%5$s) %7$s else %8$s end;
                create operator redshift_catalog.%5$s (leftarg = jsonb, rightarg = %2$s, function = redshift_catalog.%1$s);
                create operator redshift_catalog.%5$s (leftarg = %2$s, rightarg = jsonb, function = redshift_catalog.%1$s);
                $f$, name, kind, wanted, format(value, 'a'), op, format(other, 'a'), format(value, 'b'), format(other, 'b'));
        end loop;
    end loop;
end
$do$;
