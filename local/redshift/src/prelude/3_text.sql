-- Strings, regular expressions, hashes, numbers. Sources: developer guide, "String functions", "Hash functions".
set search_path to pg_catalog;

create function redshift_catalog.len(x text) returns integer immutable return pg_catalog.length(x);
-- Trailing blanks of CHAR do not count.
create function redshift_catalog.len(x bpchar) returns integer immutable return pg_catalog.length(x);
create function redshift_catalog.textlen(x text) returns integer immutable return pg_catalog.length(x);
create function redshift_catalog.charindex(part text, whole text) returns integer immutable return pg_catalog.strpos(whole, part);
create function redshift_catalog.replicate(x text, n integer) returns text immutable return pg_catalog.repeat(x, n);

-- Exactly two arguments; NULL if one is NULL.
create function redshift_catalog.concat(a text, b text) returns text immutable return a || b;
-- PostgreSQL's own takes any number of arguments and skips NULL.
create function redshift_catalog.concat(a text, b text, c text, variadic more text[] default '{}') returns text language plpgsql as $$
begin
    raise exception using errcode = '42883', message = 'function concat(text, text, text) does not exist';
end
$$;

create function redshift_catalog.split_part(x text, delimiter text, n integer) returns text language plpgsql immutable strict as $$
begin
    if n < 1 then
        raise exception using errcode = '22023', message = 'field position must be greater than zero';
    end if;
    return pg_catalog.split_part(x, delimiter, n);
end
$$;

create function redshift_catalog.strtol(x text, base integer) returns bigint language plpgsql immutable strict as $$
declare
    digits text := pg_catalog.lower(pg_catalog.ltrim(x));
    negative boolean := false;
    result numeric := 0;
    digit int;
begin
    if base < 2 or base > 36 then
        raise exception using errcode = '22023', message = 'base must be between 2 and 36';
    end if;
    if pg_catalog.left(digits, 1) in ('-', '+') then
        negative := pg_catalog.left(digits, 1) = '-';
        digits := pg_catalog.substr(digits, 2);
    end if;
    if base = 16 and pg_catalog.left(digits, 2) = '0x' then
        digits := pg_catalog.substr(digits, 3);
    end if;
    for i in 1 .. pg_catalog.length(digits) loop
        digit := pg_catalog.strpos('0123456789abcdefghijklmnopqrstuvwxyz', pg_catalog.substr(digits, i, 1)) - 1;
        if digit < 0 or digit >= base then
            raise exception using errcode = '22P02',
                message = 'The input ' || x || ' is not valid to be converted to base ' || base::text;
        end if;
        result := result * base + digit;
    end loop;
    return case when negative then -result else result end;
end
$$;

-- Regular expressions. `p` asks for PCRE, which PostgreSQL's advanced expressions mostly are.
create function redshift_catalog.regexp_flags(parameters text) returns text language plpgsql immutable as $$
begin
    if parameters ~ '[^ceip]' then
        raise exception using errcode = '22023', message = 'invalid regular expression parameter "' || parameters || '"';
    end if;
    return case when pg_catalog.strpos(parameters, 'i') > 0 then 'i' else 'c' end;
end
$$;
create function redshift_catalog.regexp_substr(x text, pattern text, place integer default 1, occurrence integer default 1, parameters text default 'c')
returns text language plpgsql immutable strict as $$
declare
    found text;
begin
    if place < 1 then
        raise exception using errcode = '22023', message = 'position must be positive';
    end if;
    if place > pg_catalog.length(x) then
        return '';
    end if;
    found := pg_catalog.regexp_substr(x, pattern, place, occurrence, redshift_catalog.regexp_flags(parameters),
        case when pg_catalog.strpos(parameters, 'e') > 0 then 1 else 0 end);
    if found is null and pg_catalog.regexp_count(x, pattern, place, redshift_catalog.regexp_flags(parameters)) = 0 then
        return '';
    end if;
    -- Too large an occurrence is NULL.
    return found;
end
$$;
create function redshift_catalog.regexp_replace(x text, pattern text, replacement text, place integer, parameters text)
returns text language plpgsql immutable strict as $$
begin
    if place < 1 then
        raise exception using errcode = '22023', message = 'position must be positive';
    end if;
    if place > pg_catalog.length(x) then
        return x;
    end if;
    if pg_catalog.strpos(parameters, 'p') > 0 then
        replacement := pg_catalog.regexp_replace(replacement, E'\\$([0-9])', E'\\\\\\1', 'g');
    end if;
    return pg_catalog.left(x, place - 1)
        || pg_catalog.regexp_replace(pg_catalog.substr(x, place), pattern, replacement, 'g' || redshift_catalog.regexp_flags(parameters));
end
$$;
-- Hides PostgreSQL's own, which takes flags as its fourth argument and replaces the first match only.
create function redshift_catalog.regexp_replace(x text, pattern text, replacement text, parameters text)
returns text language plpgsql immutable strict as $$
begin
    raise exception using errcode = '42883', message = 'function regexp_replace(text, text, text, text) does not exist';
end
$$;
create function redshift_catalog.regexp_replace(x text, pattern text, replacement text, place integer)
returns text immutable return redshift_catalog.regexp_replace(x, pattern, replacement, place, 'c');
create function redshift_catalog.regexp_replace(x text, pattern text)
returns text immutable return redshift_catalog.regexp_replace(x, pattern, '', 1, 'c');
create function redshift_catalog.regexp_replace(x text, pattern text, replacement text)
returns text immutable return redshift_catalog.regexp_replace(x, pattern, replacement, 1, 'c');
create function redshift_catalog.regexp_count(x text, pattern text, place integer default 1, parameters text default 'c')
returns integer language plpgsql immutable strict as $$
begin
    if place > pg_catalog.length(x) then
        return 0;
    end if;
    return pg_catalog.regexp_count(x, pattern, place, redshift_catalog.regexp_flags(parameters));
end
$$;
create function redshift_catalog.regexp_instr(x text, pattern text, place integer default 1, occurrence integer default 1, option integer default 0, parameters text default 'c')
returns integer language plpgsql immutable strict as $$
begin
    if place > pg_catalog.length(x) then
        return 0;
    end if;
    return pg_catalog.regexp_instr(x, pattern, place, occurrence, option, redshift_catalog.regexp_flags(parameters),
        case when pg_catalog.strpos(parameters, 'e') > 0 then 1 else 0 end);
end
$$;

create function redshift_catalog.sha1(x text) returns text language plpgsql immutable strict as $$
declare
    message bytea := pg_catalog.convert_to(x, 'UTF8');
    length bigint := pg_catalog.octet_length(message);
    mask constant bigint := 4294967295;
    h0 bigint := 1732584193; h1 bigint := 4023233417; h2 bigint := 2562383102; h3 bigint := 271733878; h4 bigint := 3285377520;
    a bigint; b bigint; c bigint; d bigint; e bigint; f bigint; k bigint; t bigint;
    w bigint[];
begin
    message := message || '\x80'::bytea;
    while pg_catalog.octet_length(message) % 64 <> 56 loop
        message := message || '\x00'::bytea;
    end loop;
    message := message || pg_catalog.int8send(length * 8);
    for chunk in 0 .. pg_catalog.octet_length(message) / 64 - 1 loop
        for i in 0 .. 15 loop
            w[i] := (pg_catalog.get_byte(message, chunk * 64 + i * 4)::bigint << 24) | (pg_catalog.get_byte(message, chunk * 64 + i * 4 + 1) << 16)
                | (pg_catalog.get_byte(message, chunk * 64 + i * 4 + 2) << 8) | pg_catalog.get_byte(message, chunk * 64 + i * 4 + 3);
        end loop;
        for i in 16 .. 79 loop
            t := w[i - 3] # w[i - 8] # w[i - 14] # w[i - 16];
            w[i] := ((t << 1) | (t >> 31)) & mask;
        end loop;
        a := h0; b := h1; c := h2; d := h3; e := h4;
        for i in 0 .. 79 loop
            if i < 20 then
                f := (b & c) | ((~b) & mask & d); k := 1518500249;
            elsif i < 40 then
                f := b # c # d; k := 1859775393;
            elsif i < 60 then
                f := (b & c) | (b & d) | (c & d); k := 2400959708;
            else
                f := b # c # d; k := 3395469782;
            end if;
            t := ((((a << 5) | (a >> 27)) & mask) + f + e + k + w[i]) & mask;
            e := d; d := c; c := ((b << 30) | (b >> 2)) & mask; b := a; a := t;
        end loop;
        h0 := (h0 + a) & mask; h1 := (h1 + b) & mask; h2 := (h2 + c) & mask; h3 := (h3 + d) & mask; h4 := (h4 + e) & mask;
    end loop;
    return pg_catalog.lpad(pg_catalog.to_hex(h0), 8, '0') || pg_catalog.lpad(pg_catalog.to_hex(h1), 8, '0') || pg_catalog.lpad(pg_catalog.to_hex(h2), 8, '0')
        || pg_catalog.lpad(pg_catalog.to_hex(h3), 8, '0') || pg_catalog.lpad(pg_catalog.to_hex(h4), 8, '0');
end
$$;
create function redshift_catalog.sha(x text) returns text immutable return redshift_catalog.sha1(x);
create function redshift_catalog.func_sha1(x text) returns text immutable return redshift_catalog.sha1(x);
create function redshift_catalog.sha2(x text, bits integer) returns text language plpgsql immutable strict as $$
begin
    return pg_catalog.encode(case bits
        when 0 then pg_catalog.sha256(pg_catalog.convert_to(x, 'UTF8')) when 256 then pg_catalog.sha256(pg_catalog.convert_to(x, 'UTF8'))
        when 224 then pg_catalog.sha224(pg_catalog.convert_to(x, 'UTF8')) when 384 then pg_catalog.sha384(pg_catalog.convert_to(x, 'UTF8'))
        when 512 then pg_catalog.sha512(pg_catalog.convert_to(x, 'UTF8')) end, 'hex');
end
$$;
create function redshift_catalog.crc32(x text) returns text language plpgsql immutable strict as $$
declare
    bytes bytea := pg_catalog.convert_to(x, 'UTF8');
    crc bigint := 4294967295;
begin
    for i in 0 .. pg_catalog.octet_length(bytes) - 1 loop
        crc := crc # pg_catalog.get_byte(bytes, i);
        for bit in 1 .. 8 loop
            crc := case when crc & 1 = 1 then (crc >> 1) # 3988292384 else crc >> 1 end;
        end loop;
    end loop;
    return pg_catalog.lpad(pg_catalog.to_hex(crc # 4294967295), 8, '0');
end
$$;
-- FNV-1a, 64 bit, over the bytes of the value (integers little-endian).
create function redshift_catalog.fnv_bytes(bytes bytea, seed bigint) returns bigint language plpgsql immutable strict as $$
declare
    size constant numeric := 18446744073709551616;
    h numeric := case when seed < 0 then seed + 18446744073709551616 else seed end;
    low int;
begin
    for i in 0 .. pg_catalog.octet_length(bytes) - 1 loop
        low := (h % 256)::int;
        h := ((h - low + (low # pg_catalog.get_byte(bytes, i))) * 1099511628211) % size;
    end loop;
    return case when h >= 9223372036854775808 then h - size else h end;
end
$$;
create function redshift_catalog.fnv_hash(x text, seed bigint default -3750763034362895579) returns bigint stable
    return redshift_catalog.fnv_bytes(convert_to(x, 'UTF8'), seed);
create function redshift_catalog.reversed(x bytea) returns bytea language plpgsql immutable strict as $$
declare
    result bytea := '';
begin
    for i in reverse pg_catalog.octet_length(x) - 1 .. 0 loop
        result := result || pg_catalog.substr(x, i + 1, 1);
    end loop;
    return result;
end
$$;
create function redshift_catalog.fnv_hash(x integer, seed bigint default -3750763034362895579) returns bigint immutable
    return redshift_catalog.fnv_bytes(redshift_catalog.reversed(int4send(x)), seed);
create function redshift_catalog.fnv_hash(x bigint, seed bigint default -3750763034362895579) returns bigint immutable
    return redshift_catalog.fnv_bytes(redshift_catalog.reversed(int8send(x)), seed);
create function redshift_catalog.fnv_hash(x smallint, seed bigint default -3750763034362895579) returns bigint immutable
    return redshift_catalog.fnv_bytes(redshift_catalog.reversed(int2send(x)), seed);

create function redshift_catalog.dexp(x float8) returns float8 immutable return exp(x);
create function redshift_catalog.dlog1(x float8) returns float8 immutable return ln(x);
create function redshift_catalog.dlog10(x float8) returns float8 immutable return log(x);
-- PostgreSQL rounds to a number of digits only what is numeric.
create function redshift_catalog.round(x float8, digits integer) returns float8 immutable return round(x::numeric, digits)::float8;
create function redshift_catalog.trunc(x float8, digits integer) returns float8 immutable return trunc(x::numeric, digits)::float8;
