-- JSON in text, and SUPER (as jsonb). Sources: developer guide, "JSON functions", "SUPER type information functions".
set search_path to pg_catalog;

create function redshift_catalog.json_or_null(x text, null_if_invalid boolean) returns json language plpgsql immutable strict as $$
begin
    return x::json;
exception when invalid_text_representation then
    if null_if_invalid then
        return null;
    end if;
    raise exception using errcode = 'XX000', message = 'JSON parsing error';
end
$$;

-- A missing path is the empty string.
create function redshift_catalog.json_path_text(x text, keys text[], null_if_invalid boolean) returns text language plpgsql immutable strict as $$
declare
    document json := redshift_catalog.json_or_null(x, null_if_invalid);
    key text;
begin
    if document is null then
        return null;
    end if;
    foreach key in array keys loop
        -- Keys only lead through objects: an array is not indexed by a number in the path.
        if document is null or json_typeof(document) <> 'object' then
            return '';
        end if;
        document := document -> key;
    end loop;
    return coalesce(document #>> '{}', '');
end
$$;
create function redshift_catalog.json_extract_path_text(x text, variadic keys text[]) returns text immutable
    return redshift_catalog.json_path_text(x, keys, false);
create function redshift_catalog.json_extract_path_text(x text, a text, n boolean) returns text immutable
    return redshift_catalog.json_path_text(x, array[a], n);
create function redshift_catalog.json_extract_path_text(x text, a text, b text, n boolean) returns text immutable
    return redshift_catalog.json_path_text(x, array[a, b], n);
create function redshift_catalog.json_extract_path_text(x text, a text, b text, c text, n boolean) returns text immutable
    return redshift_catalog.json_path_text(x, array[a, b, c], n);
create function redshift_catalog.json_extract_path_text(x text, a text, b text, c text, d text, n boolean) returns text immutable
    return redshift_catalog.json_path_text(x, array[a, b, c, d], n);
create function redshift_catalog.json_extract_path_text(x text, a text, b text, c text, d text, e text, n boolean) returns text immutable
    return redshift_catalog.json_path_text(x, array[a, b, c, d, e], n);

create function redshift_catalog.json_extract_array_element_text(x text, place integer, null_if_invalid boolean default false)
returns text language plpgsql immutable strict as $$
declare
    document json := redshift_catalog.json_or_null(x, null_if_invalid);
begin
    if document is null or place < 0 then
        return null;
    end if;
    if json_typeof(document) <> 'array' then
        if null_if_invalid then
            return null;
        end if;
        raise exception using errcode = 'XX000', message = 'JSON parsing error';
    end if;
    return document ->> place;
end
$$;
create function redshift_catalog.json_array_length(x text, null_if_invalid boolean default false)
returns integer language plpgsql immutable strict as $$
declare
    document json := redshift_catalog.json_or_null(x, null_if_invalid);
begin
    if document is not null and json_typeof(document) <> 'array' then
        if null_if_invalid then
            return null;
        end if;
        raise exception using errcode = 'XX000', message = 'JSON parsing error';
    end if;
    return pg_catalog.json_array_length(document);
end
$$;
create function redshift_catalog.is_valid_json(x text) returns boolean immutable
    return case when x is null then null else redshift_catalog.json_or_null(x, true) is not null end;
create function redshift_catalog.is_valid_json_array(x text) returns boolean immutable
    return case when x is null then null else coalesce(json_typeof(redshift_catalog.json_or_null(x, true)) = 'array', false) end;
create function redshift_catalog.can_json_parse(x text) returns boolean immutable return redshift_catalog.is_valid_json(x);
create function redshift_catalog.json_parse(x text) returns jsonb immutable
    return redshift_catalog.json_or_null(x, false)::jsonb;

-- Unnesting in FROM: an array's values, the same with their index from 0, an object's values with their names. What is no
-- array or object has none.
create function redshift_catalog.super_values(x jsonb) returns setof jsonb immutable
begin atomic
    select jsonb_array_elements(case when jsonb_typeof(x) = 'array' then x else '[]' end);
end;
create function redshift_catalog.super_items(x jsonb) returns table (item jsonb, place bigint) immutable
begin atomic
    select e, n - 1 from jsonb_array_elements(case when jsonb_typeof(x) = 'array' then x else '[]' end) with ordinality as a(e, n);
end;
create function redshift_catalog.super_members(x jsonb) returns table (item jsonb, name varchar) immutable
begin atomic
    select v, k::varchar from jsonb_each(case when jsonb_typeof(x) = 'object' then x else '{}' end) as o(k, v);
end;

-- Compact text, as Redshift prints SUPER.
create function redshift_catalog.json_serialize(x jsonb) returns text language plpgsql immutable strict as $$
begin
    return case jsonb_typeof(x)
        when 'array' then '[' || coalesce((select pg_catalog.string_agg(redshift_catalog.json_serialize(e), ',' order by place)
            from jsonb_array_elements(x) with ordinality as a(e, place)), '') || ']'
        when 'object' then '{' || coalesce((select pg_catalog.string_agg(pg_catalog.to_json(k)::text || ':' || redshift_catalog.json_serialize(v), ',')
            from jsonb_each(x) as o(k, v)), '') || '}'
        else pg_catalog.format('%s', x)
    end;
end
$$;
create function redshift_catalog.json_size(x jsonb) returns integer immutable return octet_length(redshift_catalog.json_serialize(x));
create function redshift_catalog.json_typeof(x jsonb) returns text immutable return jsonb_typeof(x);
create function redshift_catalog.is_array(x jsonb) returns boolean immutable return jsonb_typeof(x) = 'array';
create function redshift_catalog.is_object(x jsonb) returns boolean immutable return jsonb_typeof(x) = 'object';
create function redshift_catalog.is_scalar(x jsonb) returns boolean immutable return jsonb_typeof(x) not in ('array', 'object');
create function redshift_catalog.is_boolean(x jsonb) returns boolean immutable return jsonb_typeof(x) = 'boolean';
create function redshift_catalog.is_varchar(x jsonb) returns boolean immutable return jsonb_typeof(x) = 'string';
create function redshift_catalog.is_integer(x jsonb) returns boolean immutable
    return jsonb_typeof(x) = 'number' and x #>> '{}' ~ '^-?[0-9]+$';
create function redshift_catalog.array_concat(a jsonb, b jsonb) returns jsonb immutable
    return case when jsonb_typeof(a) = 'array' and jsonb_typeof(b) = 'array' then a || b end;
create function redshift_catalog.get_array_length(x jsonb) returns integer immutable
    return case when jsonb_typeof(x) = 'array' then jsonb_array_length(x) end;
create function redshift_catalog.subarray(x jsonb, first integer, length integer) returns jsonb language plpgsql immutable strict as $$
begin
    return (select coalesce(jsonb_agg(e order by place), '[]') from jsonb_array_elements(x) with ordinality as a(e, place)
        where place > first and place <= first + length);
end
$$;
create function redshift_catalog.split_to_array(x text, delimiter text default ',') returns jsonb immutable
    return to_jsonb(string_to_array(x, delimiter));
create function redshift_catalog.array_flatten(x jsonb) returns jsonb language plpgsql immutable strict as $$
begin
    return (select coalesce(jsonb_agg(inside order by place, inner_place), '[]')
        from jsonb_array_elements(x) with ordinality as a(e, place),
        lateral jsonb_array_elements(case when jsonb_typeof(e) = 'array' then e else jsonb_build_array(e) end) with ordinality as b(inside, inner_place));
end
$$;
