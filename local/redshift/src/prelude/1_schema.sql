-- The schema of the prelude, the database's settings, and what rewritten statements and procedure bodies call.
-- Functions with RETURN are parsed here and now, so that no session's search path can change what they mean.
set search_path to pg_catalog;
create schema redshift_catalog;
grant usage on schema redshift_catalog to public;
-- Redshift lets every user create in `public`.
grant create, usage on schema public to public;

do $$
begin
    -- The user's schemas first, as in Redshift; then ours, so that it wins over PostgreSQL's own functions.
    execute format('alter database %I set search_path to "$user", public, redshift_catalog, pg_catalog', current_database());
    execute format('alter database %I set datestyle to ''ISO, MDY''', current_database());
    execute format('alter database %I set timezone to ''UTC''', current_database());
    execute format('alter database %I set extra_float_digits to 0', current_database());
    execute format('alter database %I set escape_string_warning to off', current_database());
end
$$;

-- What a statement built as text inside a procedure is refused for, raised when it would run.
create function redshift_catalog.refuse(code text, message text) returns text language plpgsql as $$
begin
    raise exception using errcode = code, message = message;
end
$$;

-- The relation is there.
create function redshift_catalog.exists(relation regclass) returns void language plpgsql as $$
begin
    null;
end
$$;

-- ALTER TABLE … ADD PRIMARY KEY: the columns must be NOT NULL already; nothing else is enforced.
create function redshift_catalog.require_not_null(relation regclass, columns text[]) returns void language plpgsql as $$
declare
    key text;
    required boolean;
begin
    foreach key in array columns loop
        select attnotnull into required from pg_catalog.pg_attribute
            where attrelid = relation and attname = key::name and not attisdropped;
        if required is null then
            raise exception using errcode = '42703', message = format('column "%s" named in key does not exist', key);
        elsif not required then
            raise exception using errcode = '42P16', message = format('column "%s" must be NOT NULL to be part of a primary key', key);
        end if;
    end loop;
end
$$;

-- DROP PROCEDURE by input types: OUT arguments became INOUT arguments with a default, behind all others.
create function redshift_catalog.drop_procedure(target text, inputs text[], if_exists boolean) returns void language plpgsql as $$
declare
    parts text[] := parse_ident(target);
    found oid;
begin
    select p.oid into found
    from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
    where p.prokind = 'p'
      and p.proname::text = parts[cardinality(parts)]
      and (cardinality(parts) = 1 and pg_catalog.pg_function_is_visible(p.oid) or n.nspname::text = parts[cardinality(parts) - 1])
      and (select coalesce(array_agg(t::oid order by place), '{}')
           from unnest(p.proargtypes) with ordinality as a(t, place)
           where place <= p.pronargs - p.pronargdefaults)
          = (select coalesce(array_agg(i::regtype::oid order by place), '{}') from unnest(inputs) with ordinality as b(i, place));
    if found is not null then
        execute 'drop procedure ' || found::regprocedure;
    elsif not if_exists then
        raise exception using errcode = '42883',
            message = format('procedure %s(%s) does not exist', target, array_to_string(inputs, ', '));
    end if;
end
$$;

-- True inside a transaction block: the CALL has said so.
create function redshift_catalog.atomic() returns boolean stable
    return coalesce(current_setting('redshift_catalog.atomic', true), '') = 'on';

-- TRUNCATE commits, also in a procedure.
create procedure redshift_catalog.truncate_commit() language plpgsql as $$
begin
    commit;
end
$$;

-- A statement of a NONATOMIC procedure, or a handler, ends: commit unless a block is open around the CALL.
create procedure redshift_catalog.commit_statement() language plpgsql as $$
begin
    if not redshift_catalog.atomic() then
        commit;
    end if;
end
$$;

-- A handler begins: Redshift has rolled back the transaction and runs the handler in a new one.
create procedure redshift_catalog.handle() language plpgsql as $$
begin
    if not redshift_catalog.atomic() then
        rollback;
    end if;
end
$$;

create function redshift_catalog.version() returns text immutable
    return 'PostgreSQL 8.0.2 on i686-pc-linux-gnu, compiled by GCC gcc (GCC) 3.4.2 20041017 (Red Hat 3.4.2-6.fc3), Redshift 1.0.12103';
