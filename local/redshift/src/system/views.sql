-- System tables and views with the columns of the Database Developer Guide (pages r_<NAME> for STL, STV, SVL, SVCS and
-- SVV, SYS_<NAME> for SYS). They are empty unless the Data API was started with a seed: what a seed holds lies in one
-- table, a JSON array of rows for each view, so that a database without a seed costs no table and no file for them.
-- The views of COPY and UNLOAD are in the prelude; a seed fills the tables behind them.
-- CHAR columns come blank-padded, as they do from Redshift.
set search_path to pg_catalog;

create table redshift_catalog.seed (relation text primary key, content jsonb not null);

-- Nodes, storage, queues: provisioned only.
create view redshift_catalog.stv_slices as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'stv_slices')) as t(
    node integer, slice integer, localslice integer, type char(1));
create view redshift_catalog.stv_node_storage_capacity as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'stv_node_storage_capacity')) as t(
    node integer, used integer, capacity integer);
create view redshift_catalog.stv_partitions as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'stv_partitions')) as t(
    owner integer, host integer, diskno integer, part_begin bigint, part_end bigint, used integer, tossed integer,
    capacity integer, reads bigint, writes bigint, seek_forward integer, seek_back integer, is_san integer,
    failed integer, mbps integer, mount char(256));
create view redshift_catalog.stv_wlm_service_class_config as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'stv_wlm_service_class_config')) as t(
    service_class integer, queueing_strategy char(32), num_query_tasks integer, target_num_query_tasks integer,
    evictable char(8), eviction_threshold bigint, query_working_mem integer, target_query_working_mem integer,
    min_step_mem integer, name char(64), max_execution_time bigint, user_group_wild_card boolean,
    query_group_wild_card boolean, concurrency_scaling char(20), query_priority char(20), user_role_wild_card boolean);
create view redshift_catalog.stv_wlm_classification_config as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'stv_wlm_classification_config')) as t(
    id integer, condition char(128), action_seq integer, action char(64), action_service_class integer);
create view redshift_catalog.stv_wlm_qmr_config as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'stv_wlm_qmr_config')) as t(
    service_class integer, rule_name char(256), action char(256), metric_name char(256), metric_operator char(256),
    metric_value double precision, action_value char(256));
create view redshift_catalog.stv_wlm_service_class_state as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'stv_wlm_service_class_state')) as t(
    service_class integer, num_queued_queries integer, num_executing_queries integer, num_serviced_queries integer,
    num_executed_queries integer, num_evicted_queries integer, num_concurrency_scaling_queries integer);
create view redshift_catalog.stv_wlm_query_state as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'stv_wlm_query_state')) as t(
    xid integer, task integer, query integer, service_class integer, slot_count integer, wlm_start_time timestamp,
    state char(16), queue_time bigint, exec_time bigint, query_priority char(20));
create view redshift_catalog.stv_inflight as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'stv_inflight')) as t(
    userid integer, slice integer, query integer, label char(320), xid bigint, pid integer, starttime timestamp,
    text char(100), suspended integer, insert_pristine integer, concurrency_scaling_status integer);
create view redshift_catalog.stv_recents as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'stv_recents')) as t(
    userid integer, status char(20), starttime timestamp, duration integer, user_name char(50), db_name char(50),
    query char(600), pid integer);
create view redshift_catalog.stv_sessions as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'stv_sessions')) as t(
    starttime timestamp, process integer, user_name char(50), db_name char(50), timeout_sec integer);
create view redshift_catalog.stv_locks as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'stv_locks')) as t(
    table_id bigint, last_commit timestamp, last_update timestamp, lock_owner bigint, lock_owner_pid bigint,
    lock_owner_start_ts timestamp, lock_owner_end_ts timestamp, lock_status char(22));
create view redshift_catalog.stv_tbl_perm as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'stv_tbl_perm')) as t(
    slice integer, id integer, name char(72), rows bigint, sorted_rows bigint, temp integer, db_id integer,
    insert_pristine integer, delete_pristine integer, backup integer, dist_style integer, block_count integer);
create view redshift_catalog.stv_blocklist as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'stv_blocklist')) as t(
    slice integer, col integer, tbl integer, blocknum integer, num_values integer, extended_limits integer,
    minvalue bigint, maxvalue bigint, sb_pos integer, pinned integer, on_disk integer, modified integer,
    hdr_modified integer, unsorted integer, tombstone integer, preferred_diskno integer, temporary integer,
    newblock integer, num_readers integer, flags integer);
create view redshift_catalog.stv_mv_info as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'stv_mv_info')) as t(
    db_name char(128), schema char(128), name char(128), updated_upto_xid bigint, is_stale char(1),
    owner_user_name char(128), state integer, autorewrite char(1), autorefresh char(1));

-- The logs of a cluster: provisioned only.
create view redshift_catalog.stl_query as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'stl_query')) as t(
    userid integer, query integer, label char(320), xid bigint, pid integer, database char(32), querytxt char(4000),
    starttime timestamp, endtime timestamp, aborted integer, insert_pristine integer,
    concurrency_scaling_status integer);
create view redshift_catalog.stl_alert_event_log as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'stl_alert_event_log')) as t(
    userid integer, query integer, slice integer, segment integer, step integer, pid integer, xid bigint,
    event char(1024), solution char(1024), event_time timestamp);
create view redshift_catalog.stl_wlm_query as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'stl_wlm_query')) as t(
    userid integer, xid integer, task integer, query integer, service_class integer, slot_count integer,
    service_class_start_time timestamp, queue_start_time timestamp, queue_end_time timestamp,
    total_queue_time bigint, exec_start_time timestamp, exec_end_time timestamp, total_exec_time bigint,
    service_class_end_time timestamp, final_state char(16), est_peak_mem bigint, query_priority char(20),
    service_class_name char(64));
create view redshift_catalog.stl_wlm_rule_action as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'stl_wlm_rule_action')) as t(
    userid integer, query integer, service_class integer, rule char(256), action char(256), recordtime timestamp,
    action_value char(256), service_class_name char(64));
create view redshift_catalog.stl_wlm_error as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'stl_wlm_error')) as t(
    userid integer, recordtime timestamp, pid integer, error_string char(256));
create view redshift_catalog.stl_commit_stats as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'stl_commit_stats')) as t(
    xid bigint, node integer, startqueue timestamp, startwork timestamp, endflush timestamp, endstage timestamp,
    endlocal timestamp, startglobal timestamp, endtime timestamp, queuelen bigint, permblocks bigint,
    newblocks bigint, dirtyblocks bigint, headers bigint, numxids integer, oldestxid bigint, extwritelatency bigint,
    metadatawritten integer, tombstonedblocks bigint, tossedblocks bigint, batched_by bigint);
create view redshift_catalog.stl_error as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'stl_error')) as t(
    userid integer, process char(12), recordtime timestamp, pid integer, errcode integer, file char(90),
    linenum integer, context char(100), error char(512));
create view redshift_catalog.stl_tr_conflict as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'stl_tr_conflict')) as t(
    xact_id bigint, process_id bigint, xact_start_ts timestamp, abort_time timestamp, table_id bigint);
create view redshift_catalog.stl_scan as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'stl_scan')) as t(
    userid integer, query integer, slice integer, segment integer, step integer, starttime timestamp,
    endtime timestamp, tasknum integer, rows bigint, bytes bigint, fetches bigint, type integer, tbl integer,
    is_rrscan char(1), is_delayed_scan char(1), rows_pre_filter bigint, rows_pre_user_filter bigint,
    perm_table_name char(136), is_rlf_scan char(1), is_rlf_scan_reason integer, num_em_blocks integer,
    checksum bigint, runtime_filtering char(1));
create view redshift_catalog.stl_save as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'stl_save')) as t(
    userid integer, query integer, slice integer, segment integer, step integer, starttime timestamp,
    endtime timestamp, tasknum integer, rows bigint, bytes bigint, tbl integer, is_diskbased char(1), workmem bigint);
create view redshift_catalog.stl_return as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'stl_return')) as t(
    userid integer, query integer, slice integer, segment integer, step integer, starttime timestamp,
    endtime timestamp, tasknum integer, rows bigint, bytes bigint, packets integer, checksum bigint);
create view redshift_catalog.stl_vacuum as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'stl_vacuum')) as t(
    userid integer, xid bigint, table_id integer, status char(30), rows bigint, sortedrows integer, blocks integer,
    max_merge_partitions integer, eventtime timestamp, reclaimable_rows bigint, reclaimable_space_mb bigint,
    cutoff_xid bigint, is_recluster integer);
create view redshift_catalog.stl_analyze as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'stl_analyze')) as t(
    userid integer, xid bigint, database char(30), table_id integer, status char(15), rows double precision,
    modified_rows double precision, threshold_percent integer, is_auto char(1), starttime timestamp,
    endtime timestamp, prevtime timestamp, num_predicate_cols integer, num_new_predicate_cols integer,
    is_background char(1), auto_analyze_phase char(100), schema_name char(128), table_name char(136));
create view redshift_catalog.stl_connection_log as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'stl_connection_log')) as t(
    event char(50), recordtime timestamp, remotehost char(45), remoteport char(32), pid integer, dbname char(50),
    username char(50), authmethod char(32), duration integer, sslversion char(50), sslcipher char(128), mtu integer,
    sslcompression char(64), sslexpansion char(64), iamauthguid char(36), application_name char(250),
    os_version char(64), driver_version char(64), plugin_name char(32), protocol_version integer, sessionid char(36),
    compression char(16));
create view redshift_catalog.stl_s3client as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'stl_s3client')) as t(
    userid integer, query integer, slice integer, recordtime timestamp, pid integer, http_method char(64),
    bucket char(64), key char(256), transfer_size bigint, data_size bigint, start_time bigint, end_time bigint,
    transfer_time bigint, compression_time bigint, connect_time bigint, app_connect_time bigint, retries bigint,
    request_id char(32), extended_request_id char(128), ip_address char(64), is_partial integer, start_offset bigint,
    query_uuid char(36));
create view redshift_catalog.stl_ddltext as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'stl_ddltext')) as t(
    userid integer, xid bigint, pid integer, label char(320), starttime timestamp, endtime timestamp,
    sequence integer, text char(200));
create view redshift_catalog.stl_utilitytext as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'stl_utilitytext')) as t(
    userid integer, xid bigint, pid integer, label char(320), starttime timestamp, endtime timestamp,
    sequence integer, text char(200));
create view redshift_catalog.stl_explain as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'stl_explain')) as t(
    userid integer, query integer, nodeid integer, parentid integer, plannode char(400), info char(400),
    user_query_id bigint, child_query_sequence integer, query_uuid char(36));
create view redshift_catalog.stl_userlog as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'stl_userlog')) as t(
    userid integer, username char(50), oldusername char(50), action char(10), usecreatedb integer, usesuper integer,
    usecatupd integer, valuntil timestamp, pid integer, xid bigint, recordtime timestamp);
create view redshift_catalog.svl_query_summary as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'svl_query_summary')) as t(
    userid integer, query integer, stm integer, seg integer, step integer, maxtime bigint, avgtime bigint,
    rows bigint, bytes bigint, rate_row double precision, rate_byte double precision, label text,
    is_diskbased char(1), workmem bigint, is_rrscan char(1), is_delayed_scan char(1), rows_pre_filter bigint);
create view redshift_catalog.svl_query_report as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'svl_query_report')) as t(
    userid integer, query integer, slice integer, segment integer, step integer, start_time timestamp,
    end_time timestamp, elapsed_time bigint, rows bigint, bytes bigint, label char(256), is_diskbased char(1),
    workmem bigint, is_rrscan char(1), is_delayed_scan char(1), rows_pre_filter bigint);
create view redshift_catalog.svl_query_metrics_summary as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'svl_query_metrics_summary')) as t(
    userid integer, query integer, service_class integer, query_cpu_time bigint, query_blocks_read bigint,
    query_execution_time bigint, query_cpu_usage_percent numeric(38, 2), query_temp_blocks_to_disk bigint,
    segment_execution_time bigint, cpu_skew numeric(38, 2), io_skew numeric(38, 2), scan_row_count bigint,
    join_row_count bigint, nested_loop_join_row_count bigint, return_row_count bigint,
    spectrum_scan_row_count bigint, spectrum_scan_size_mb bigint, query_queue_time bigint);
create view redshift_catalog.svl_compile as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'svl_compile')) as t(
    userid integer, xid bigint, pid integer, query integer, segment integer, locus integer, starttime timestamp,
    endtime timestamp, compile integer);
create view redshift_catalog.svl_stored_proc_call as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'svl_stored_proc_call')) as t(
    userid integer, session_userid integer, query integer, label char(320), xid bigint, pid integer,
    database char(32), querytxt char(4000), starttime timestamp, endtime timestamp, aborted integer,
    from_sp_call integer);
create view redshift_catalog.svl_auto_worker_action as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'svl_auto_worker_action')) as t(
    table_id integer, type char(32), status char(128), eventtime timestamp, sequence integer, previous_state char(200));
create view redshift_catalog.svl_mv_refresh_status as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'svl_mv_refresh_status')) as t(
    db_name char(128), userid bigint, schema_name char(128), mv_name char(128), xid bigint, starttime timestamp,
    endtime timestamp, status text, refresh_type char(32), consumer_account char(12), consumer_region char(32),
    consumer_namespace char(36));
create view redshift_catalog.svl_s3query_summary as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'svl_s3query_summary')) as t(
    userid integer, query integer, xid bigint, pid integer, segment integer, step integer, starttime timestamp,
    endtime timestamp, elapsed integer, aborted integer, external_table_name char(136), file_format char(16),
    is_partitioned char(1), is_rrscan char(1), is_nested char(1), s3_scanned_rows bigint, s3_scanned_bytes bigint,
    s3query_returned_rows bigint, s3query_returned_bytes bigint, files integer, files_max integer, files_avg integer,
    splits integer, splits_max integer, splits_avg integer, total_split_size bigint, max_split_size bigint,
    avg_split_size bigint, total_retries integer, max_retries integer, max_request_duration integer,
    avg_request_duration double precision, max_request_parallelism integer, avg_request_parallelism double precision,
    total_slowdown_count bigint, max_slowdown_count integer);
create view redshift_catalog.svl_s3partition_summary as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'svl_s3partition_summary')) as t(
    query integer, segment integer, assignment char(1), min_starttime timestamp, max_endtime timestamp,
    min_duration bigint, max_duration bigint, avg_duration bigint, total_partitions integer,
    qualified_partitions integer, min_assigned_partitions integer, max_assigned_partitions integer,
    avg_assigned_partitions bigint);
create view redshift_catalog.svl_datashare_usage_consumer as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'svl_datashare_usage_consumer')) as t(
    userid integer, pid integer, xid bigint, request_id varchar(50), request_type varchar(25),
    transaction_uid varchar(50), recordtime timestamp, status integer, error varchar(512));
create view redshift_catalog.svl_datashare_usage_producer as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'svl_datashare_usage_producer')) as t(
    share_id integer, share_name varchar(128), request_id varchar(50), request_type varchar(25),
    object_type varchar(64), object_oid integer, object_name varchar(128), consumer_account varchar(16),
    consumer_namespace varchar(64), consumer_transaction_uid varchar(50), recordtime timestamp, status integer,
    error varchar(512), consumer_region char(64));
create view redshift_catalog.svcs_concurrency_scaling_usage as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'svcs_concurrency_scaling_usage')) as t(
    start_time timestamp, end_time timestamp, queries bigint, usage_in_seconds numeric(27, 0));
create view redshift_catalog.svv_vacuum_summary as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'svv_vacuum_summary')) as t(
    table_name text, xid bigint, sort_partitions bigint, merge_increments bigint, elapsed_time bigint,
    row_delta bigint, sortedrow_delta bigint, block_delta integer, max_merge_partitions integer);
create view redshift_catalog.svv_diskusage as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'svv_diskusage')) as t(
    db_id integer, name char(72), slice integer, col integer, tbl integer, blocknum integer, num_values integer,
    minvalue bigint, maxvalue bigint, sb_pos integer, pinned integer, on_disk integer, modified integer,
    hdr_modified integer, unsorted integer, tombstone integer, preferred_diskno integer, temporary integer,
    newblock integer);
create view redshift_catalog.svv_interleaved_columns as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'svv_interleaved_columns')) as t(
    tbl integer, col integer, interleaved_skew numeric(19, 2), last_reindex timestamp);

-- On clusters and workgroups.
create view redshift_catalog.svv_table_info as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'svv_table_info')) as t(
    database text, schema text, table_id oid, "table" text, encoded text, diststyle text, sortkey1 text,
    max_varchar integer, sortkey1_enc char(32), sortkey_num integer, size bigint, pct_used numeric(10, 4),
    empty bigint, unsorted numeric(5, 2), stats_off numeric(5, 2), tbl_rows numeric(38, 0),
    skew_sortkey1 numeric(19, 2), skew_rows numeric(19, 2), estimated_visible_rows numeric(38, 0), risk_event text,
    vacuum_sort_benefit numeric(12, 2), create_time timestamp);
create view redshift_catalog.svv_redshift_columns as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'svv_redshift_columns')) as t(
    database_name varchar(128), schema_name varchar(128), table_name varchar(128), column_name varchar(128),
    ordinal_position integer, data_type varchar(32), column_default varchar(4000), is_nullable varchar(3),
    encoding varchar(128), distkey boolean, sortkey integer, column_acl varchar(128), remarks varchar(256));
create view redshift_catalog.svv_alter_table_recommendations as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'svv_alter_table_recommendations')) as t(
    type char(30), database char(128), table_id integer, group_id integer, ddl char(1024), auto_eligible char(1));
create view redshift_catalog.svv_mv_info as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'svv_mv_info')) as t(
    database_name char(128), schema_name char(128), user_name char(128), name char(128), is_stale char(1),
    state integer, autorewrite char(1), autorefresh char(1));
create view redshift_catalog.svv_datashares as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'svv_datashares')) as t(
    share_name varchar(128), share_id integer, share_owner integer, source_database varchar(128),
    consumer_database varchar(128), share_type varchar(8), createdate timestamp, is_publicaccessible boolean,
    share_acl varchar(256), producer_account varchar(16), producer_namespace varchar(64), managed_by varchar(64));
create view redshift_catalog.svv_datashare_objects as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'svv_datashare_objects')) as t(
    share_type varchar(8), share_name varchar(128), object_type varchar(64), object_name varchar(512),
    producer_account varchar(16), producer_namespace varchar(64), include_new boolean);
create view redshift_catalog.svv_transactions as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'svv_transactions')) as t(
    txn_owner text, txn_db text, xid bigint, pid integer, txn_start timestamp, lock_mode text,
    lockable_object_type text, relation integer, granted boolean);
create view redshift_catalog.svv_external_tables as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'svv_external_tables')) as t(
    redshift_database_name text, schemaname text, tablename text, tabletype text, location text, input_format text,
    output_format text, serialization_lib text, serde_parameters text, compressed integer, parameters text);
create view redshift_catalog.svv_external_schemas as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'svv_external_schemas')) as t(
    esoid oid, eskind smallint, schemaname text, esowner integer, databasename text, esoptions text);
create view redshift_catalog.sys_query_history as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'sys_query_history')) as t(
    user_id integer, query_id bigint, query_label char(320), transaction_id bigint, session_id integer,
    database_name char(128), query_type char(32), status char(10), result_cache_hit boolean, start_time timestamp,
    end_time timestamp, elapsed_time bigint, queue_time bigint, execution_time bigint, error_message char(512),
    returned_rows bigint, returned_bytes bigint, query_text char(4000), redshift_version char(256),
    usage_limit char(150), compute_type varchar(32), compile_time bigint, planning_time bigint,
    lock_wait_time bigint, service_class_id integer, service_class_name char(64), query_priority char(20),
    short_query_accelerated char(10), user_query_hash char(40), generic_query_hash char(40),
    query_hash_version integer, result_cache_query_id bigint, username char(128));
create view redshift_catalog.sys_query_detail as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'sys_query_detail')) as t(
    user_id integer, query_id bigint, child_query_sequence integer, stream_id integer, segment_id integer,
    step_id integer, step_name text, table_id integer, table_name char(136), is_rrscan char(1), start_time timestamp,
    end_time timestamp, duration bigint, alert text, input_bytes bigint, input_rows bigint, output_bytes bigint,
    output_rows bigint, blocks_read bigint, blocks_write bigint, local_read_io bigint, remote_read_io bigint,
    source text, data_skewness integer, time_skewness integer, is_active char(1), spilled_block_local_disk bigint,
    spilled_block_remote_disk bigint, step_attribute text, metrics_level text, plan_parent_id integer,
    plan_node_id integer);
create view redshift_catalog.sys_load_detail as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'sys_load_detail')) as t(
    user_id integer, query_id bigint, file_name char(256), bytes_scanned integer, lines_scanned integer,
    record_time timestamp, splits_scanned integer, start_time timestamp, end_time timestamp, file_etag char(256),
    file_last_modified timestamp);
create view redshift_catalog.sys_external_query_detail as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'sys_external_query_detail')) as t(
    user_id integer, query_id bigint, transaction_id bigint, child_query_sequence integer, segment_id integer,
    source_type char(32), start_time timestamp, end_time timestamp, duration bigint, total_partitions integer,
    qualified_partitions integer, scanned_files bigint, returned_rows bigint, returned_bytes bigint,
    file_format text, file_location text, external_query_text text, warning_message char(4000), table_name char(136),
    is_recursive char(1), is_nested char(1), s3list_time bigint, get_partition_time bigint, query_uuid char(36));
create view redshift_catalog.sys_transaction_history as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'sys_transaction_history')) as t(
    user_id integer, transaction_id bigint, isolation_level text, status text, transaction_start_time timestamp,
    commit_start_time timestamp, commit_end_time timestamp, blocks_committed bigint, undo_transaction_id bigint);
create view redshift_catalog.sys_serverless_usage as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'sys_serverless_usage')) as t(
    start_time timestamp, end_time timestamp, compute_seconds double precision, compute_capacity double precision,
    data_storage integer, cross_region_transferred_data integer, charged_seconds integer,
    charged_extra_compute_for_automatic_optimization_seconds integer);
create view redshift_catalog.sys_mv_refresh_history as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'sys_mv_refresh_history')) as t(
    user_id integer, session_id integer, transaction_id bigint, database_name char(128), schema_name char(128),
    mv_id bigint, mv_name char(128), refresh_type char(32), status text, start_time timestamp, end_time timestamp,
    duration bigint, consumer_account char(12), consumer_region char(32), consumer_namespace char(36));
create view redshift_catalog.sys_mv_state as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'sys_mv_state')) as t(
    user_id bigint, transaction_id bigint, database_name char(128), event_desc char(500), start_time timestamp,
    base_table_database_name char(128), base_table_schema char(128), base_table_name char(128), mv_schema char(128),
    mv_name char(128), state char(32));
create view redshift_catalog.sys_auto_table_optimization as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'sys_auto_table_optimization')) as t(
    transaction_id bigint, session_id integer, table_id integer, alter_table_type char(32), status char(128),
    event_time timestamp, alter_from char(200));
create view redshift_catalog.sys_datashare_usage_consumer as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'sys_datashare_usage_consumer')) as t(
    user_id integer, session_id integer, transaction_id bigint, request_id varchar(50), request_type varchar(25),
    transaction_uid varchar(50), record_time timestamp, status integer, error varchar(512));
create view redshift_catalog.sys_datashare_usage_producer as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'sys_datashare_usage_producer')) as t(
    share_id integer, share_name varchar(128), request_id varchar(50), request_type varchar(25),
    object_type varchar(64), object_oid integer, object_name varchar(128), consumer_account varchar(16),
    consumer_namespace varchar(64), consumer_transaction_uid varchar(50), record_time timestamp, status integer,
    error varchar(512), consumer_region char(64));
create view redshift_catalog.sys_vacuum_history as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'sys_vacuum_history')) as t(
    user_id integer, transaction_id bigint, query_id bigint, database_name text, schema_name text, table_name text,
    table_id integer, vacuum_type text, is_automatic boolean, status text, start_time timestamp, end_time timestamp,
    record_time timestamp, duration integer, rows_before_vacuum bigint, size_before_vacuum integer,
    reclaimable_rows bigint, reclaimed_rows bigint, reclaimed_blocks bigint, sortedrows_before_vacuum integer,
    sortedrows_after_vacuum integer);
create view redshift_catalog.sys_analyze_history as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'sys_analyze_history')) as t(
    user_id integer, transaction_id bigint, database_name char(30), schema_name char(128), table_name char(30),
    table_id integer, is_automatic char(1), status char(15), start_time timestamp, end_time timestamp,
    rows double precision, modified_rows double precision, analyze_threshold_percent integer,
    last_analyze_time timestamp);
create view redshift_catalog.sys_connection_log as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'sys_connection_log')) as t(
    event char(50), record_time timestamp, remote_host char(45), remote_port char(32), session_id integer,
    database_name char(50), user_name char(50), auth_method char(32), duration integer, ssl_version char(50),
    ssl_cipher char(128), mtu integer, ssl_compression char(64), ssl_expansion char(64), iam_auth_guid char(36),
    application_name char(250), driver_version char(64), os_version char(64), plugin_name char(32),
    protocol_version integer, global_session_id char(36));
create view redshift_catalog.sys_session_history as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'sys_session_history')) as t(
    user_id char(50), session_id integer, database_name char(50), status text, session_timeout integer,
    start_time timestamp, end_time timestamp);
create view redshift_catalog.sys_procedure_call as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'sys_procedure_call')) as t(
    session_user_id integer, security_user_id integer, query_id integer, query_text char(4000), start_time timestamp,
    end_time timestamp, status char(10), caller_procedure_query_id integer, query_uuid char(36));
create view redshift_catalog.sys_userlog as
    select * from jsonb_to_recordset((select content from redshift_catalog.seed where relation = 'sys_userlog')) as t(
    user_id integer, user_name char(50), original_user_name char(50), action char(10), has_create_db_privs integer,
    is_superuser integer, has_update_catalog_privs integer, password_expiration timestamp, session_id integer,
    transaction_id bigint, record_time timestamp);

-- The login itself is real; in a database with a seed it is no superuser, and its role is the seed's to say.
create view redshift_catalog.svv_user_info as
    select u.usename::text as user_name, u.usesysid::integer as user_id, u.usecreatedb as createdb,
        u.usesuper and not exists (select 1 from redshift_catalog.seed) as superuser,
        false as catalog_update, 'UNLIMITED'::text as connection_limit, 'RESTRICTED'::text as syslog_access,
        null::timestamp as last_ddl_timestamp, 0 as session_timeout, null::text as external_user_id
    from pg_user u where u.usename = current_user or (select usesuper from pg_user where usename = current_user);
create view redshift_catalog.svv_user_grants as
    select u.usesysid::integer as user_id, u.usename::text as user_name, t.role_id, t.role_name, t.admin_option
    from pg_user u, jsonb_to_recordset((
        select content from redshift_catalog.seed where relation = 'svv_user_grants')) as t(role_id integer, role_name text, admin_option boolean)
    where u.usename = current_user;

-- Other forms of what is above.
create view redshift_catalog.svl_qlog as
    select userid, query, xid, pid, starttime, endtime, (extract(epoch from endtime - starttime) * 1000000)::bigint as elapsed,
        aborted, label, left(querytxt, 60)::char(60) as substring, null::integer as source_query,
        'Main cluster'::text as concurrency_scaling_status_txt, null::integer as from_sp_call
    from redshift_catalog.stl_query;
create view redshift_catalog.svl_statementtext as
    select userid, xid, pid, label, starttime, endtime, part as sequence, 'QUERY'::varchar(10) as type,
        substr(querytxt, part * 200 + 1, 200)::char(200) as text
    from redshift_catalog.stl_query, generate_series(0, greatest(length(querytxt) - 1, 0) / 200) as part;
create view redshift_catalog.sys_query_text as
    select user_id, query_id, transaction_id, session_id, start_time, 0 as sequence, query_text as text,
        null::char(36) as query_uuid
    from redshift_catalog.sys_query_history;

-- What the server itself knows.
create view redshift_catalog.svv_tables as
    select table_catalog::text, table_schema::text, table_name::text, table_type::text, null::text as remarks
    from information_schema.tables
    where table_schema not in ('redshift_catalog', 'pg_catalog', 'information_schema');
create view redshift_catalog.svv_columns as
    select table_catalog::text, table_schema::text, table_name::text, column_name::text, ordinal_position::integer,
        column_default::text, is_nullable::text, data_type::text, character_maximum_length::integer, numeric_precision::integer,
        numeric_precision_radix::integer, numeric_scale::integer, datetime_precision::integer, interval_type::text,
        interval_precision::text, character_set_catalog::text, character_set_schema::text, character_set_name::text,
        collation_catalog::text, collation_schema::text, collation_name::text, domain_name::text, null::text as remarks
    from information_schema.columns
    where table_schema not in ('redshift_catalog', 'pg_catalog', 'information_schema');

do $$
declare
    name text;
begin
    for name in select c.relname from pg_class c
        where c.relnamespace = 'redshift_catalog'::regnamespace and c.relkind = 'v' loop
        execute format('grant select on redshift_catalog.%I to public', name);
    end loop;
end
$$;
