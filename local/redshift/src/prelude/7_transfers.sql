-- What COPY and UNLOAD leave behind in system tables. The base tables are written by the Data API itself; the views have
-- the columns of the developer guide (STL_LOAD_ERRORS, STL_LOAD_COMMITS, STL_UNLOAD_LOG, SYS_LOAD_ERROR_DETAIL,
-- SYS_LOAD_HISTORY, SYS_UNLOAD_HISTORY, SYS_UNLOAD_DETAIL). Text that comes from a file may be in any script, so it is VARCHAR
-- where the guide says CHAR. There is one slice here that writes them, and no transaction ids.
set search_path to pg_catalog;

create table redshift_catalog.load_error (
    userid integer, query bigint, session integer, database_name varchar, tbl integer, starttime timestamp,
    filename varchar, line_number bigint, colname varchar, type varchar, col_length varchar, position integer,
    raw_line varchar, raw_field_value varchar, err_code integer, err_reason varchar
);
create table redshift_catalog.load (
    userid integer, query bigint, session integer, database_name varchar, status varchar, table_name varchar,
    starttime timestamp, endtime timestamp, data_source varchar, file_format varchar, loaded_rows bigint,
    file_count bigint, file_bytes bigint, error_count bigint
);
create table redshift_catalog.load_file (
    userid integer, query bigint, name varchar, filename varchar, lines_scanned integer, errors integer,
    curtime timestamp, file_format varchar
);
create table redshift_catalog.unload (
    userid integer, query bigint, session integer, database_name varchar, status varchar, starttime timestamp,
    endtime timestamp, file_format varchar, compression_type varchar, unloaded_location varchar, unloaded_rows bigint,
    unloaded_files_count bigint, unloaded_files_size bigint, error_message varchar
);
create table redshift_catalog.unload_file (
    userid integer, query bigint, session integer, slice integer, path varchar, starttime timestamp, endtime timestamp,
    line_count bigint, transfer_size bigint, file_format varchar
);

-- Superusers see everything, others what they did.
create function redshift_catalog.sees(userid integer) returns boolean stable
    return exists (select 1 from pg_user u where u.usename = current_user and (u.usesuper or u.usesysid = userid::oid));

create view redshift_catalog.stl_load_errors as
    select userid, 0 as slice, tbl, starttime, session, query::integer as query, filename::varchar(256) as filename, line_number,
        colname::varchar(127) as colname, type::char(10) as type, col_length::char(10) as col_length, position,
        raw_line::varchar(1024) as raw_line, raw_field_value::varchar(1024) as raw_field_value, err_code,
        err_reason::varchar(100) as err_reason, 0 as is_partial, 0::bigint as start_offset, 0::bigint as copy_job_id
    from redshift_catalog.load_error where redshift_catalog.sees(userid);
create view redshift_catalog.sys_load_error_detail as
    select userid as user_id, query as query_id, 0::bigint as transaction_id, session as session_id, database_name,
        tbl as table_id, starttime as start_time, filename::varchar(256) as file_name, line_number,
        colname::varchar(127) as column_name, type::char(10) as column_type, col_length::char(10) as column_length, position,
        err_code as error_code, err_reason::varchar(512) as error_message
    from redshift_catalog.load_error where redshift_catalog.sees(userid);
create view redshift_catalog.sys_load_history as
    select userid as user_id, query as query_id, 0::bigint as transaction_id, session as session_id, database_name, status,
        table_name, starttime as start_time, endtime as end_time,
        (extract(epoch from endtime - starttime) * 1000000)::bigint as duration, data_source, file_format, loaded_rows,
        file_bytes as loaded_bytes, file_count as source_file_count, file_bytes as source_file_bytes,
        file_count as file_count_scanned, file_bytes as file_bytes_scanned, error_count, 0::bigint as copy_job_id
    from redshift_catalog.load where redshift_catalog.sees(userid);
create view redshift_catalog.stl_load_commits as
    select userid, query::integer as query, 0 as slice, name::varchar(256) as name, filename::varchar(256) as filename,
        0 as byte_offset, lines_scanned, errors, curtime, 1 as status, file_format::char(16) as file_format, 0 as is_partial,
        0::bigint as start_offset, 0::bigint as copy_job_id
    from redshift_catalog.load_file where redshift_catalog.sees(userid);
create view redshift_catalog.stl_unload_log as
    select userid, query::integer as query, slice, session as pid, path::varchar(1280) as path, starttime as start_time,
        endtime as end_time, line_count, transfer_size, file_format::char(10) as file_format, query as user_query_id,
        0::bigint as transaction_id
    from redshift_catalog.unload_file where redshift_catalog.sees(userid);
create view redshift_catalog.sys_unload_detail as
    select userid as user_id, query as query_id, session as session_id, 0::bigint as transaction_id,
        path::varchar(1280) as file_name, starttime as start_time, endtime as end_time, line_count, transfer_size,
        file_format::char(10) as file_format
    from redshift_catalog.unload_file where redshift_catalog.sees(userid);
create view redshift_catalog.sys_unload_history as
    select userid as user_id, query as query_id, 0::bigint as transaction_id, session as session_id, database_name, status,
        starttime as start_time, endtime as end_time,
        (extract(epoch from endtime - starttime) * 1000000)::bigint as duration, file_format, compression_type,
        unloaded_location, unloaded_rows, unloaded_files_count, unloaded_files_size, error_message
    from redshift_catalog.unload where redshift_catalog.sees(userid);
grant select on redshift_catalog.stl_load_errors, redshift_catalog.sys_load_error_detail, redshift_catalog.sys_load_history,
    redshift_catalog.stl_load_commits, redshift_catalog.stl_unload_log, redshift_catalog.sys_unload_detail,
    redshift_catalog.sys_unload_history to public;

-- Of this session; the Data API sets them.
create function redshift_catalog.last_transfer(setting text, otherwise bigint) returns bigint stable
    return coalesce(nullif(current_setting('redshift_catalog.' || setting, true), '')::bigint, otherwise);
create function redshift_catalog.pg_last_copy_count() returns bigint stable return redshift_catalog.last_transfer('copy_count', 0);
create function redshift_catalog.pg_last_copy_id() returns integer stable return redshift_catalog.last_transfer('copy_id', -1)::integer;
create function redshift_catalog.pg_last_unload_count() returns bigint stable return redshift_catalog.last_transfer('unload_count', 0);
create function redshift_catalog.pg_last_unload_id() returns integer stable return redshift_catalog.last_transfer('unload_id', -1)::integer;
