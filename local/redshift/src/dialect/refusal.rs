//! What PostgreSQL would run and Redshift refuses, in expressions and queries.
//! Must never refuse what Redshift runs: when in doubt a construct is left to PostgreSQL.

use super::Error;
use super::expression::Scope;
use super::token::{Node, Shape, split};

/// Functions that PostgreSQL has and Redshift lists as unsupported (developer guide, "Unsupported PostgreSQL functions").
/// A call is renamed so that PostgreSQL itself answers `function … does not exist` with the argument types.
const UNSUPPORTED: &[&str] = &[
    "string_agg",
    "array_agg",
    "every",
    "xmlagg",
    "xml_agg",
    "corr",
    "covar_pop",
    "covar_samp",
    "regr_avgx",
    "regr_avgy",
    "regr_count",
    "regr_intercept",
    "regr_r2",
    "regr_slope",
    "regr_sxx",
    "regr_sxy",
    "regr_syy",
    "clock_timestamp",
    "statement_timestamp",
    "justify_days",
    "justify_hours",
    "justify_interval",
    "pg_sleep",
    "pg_sleep_for",
    "pg_sleep_until",
    "transaction_timestamp",
    "div",
    "setseed",
    "width_bucket",
    "generate_subscripts",
    "bit_length",
    "convert_from",
    "convert_to",
    "encode",
    "format",
    "quote_nullable",
    "regexp_matches",
    "regexp_match",
    "regexp_split_to_array",
    "regexp_split_to_table",
    "regexp_like",
    "array_append",
    "array_cat",
    "array_dims",
    "array_fill",
    "array_length",
    "array_lower",
    "array_ndims",
    "array_position",
    "array_positions",
    "array_prepend",
    "array_remove",
    "array_replace",
    "array_to_string",
    "string_to_array",
    "string_to_table",
    "cardinality",
    "trim_array",
    "pg_advisory_lock",
    "pg_advisory_unlock",
    "pg_advisory_xact_lock",
    "pg_try_advisory_lock",
    "pg_try_advisory_xact_lock",
    "nextval",
    "currval",
    "setval",
    "lastval",
    "to_tsvector",
    "to_tsquery",
    "inet_client_addr",
    "inet_client_port",
    "inet_server_addr",
    "inet_server_port",
    "pg_conf_load_time",
    "pg_is_other_temp_schema",
    "pg_listening_channels",
    "pg_my_temp_schema",
    "pg_postmaster_start_time",
    "pg_trigger_depth",
    "current_query",
    "gen_random_uuid",
    "json_agg",
    "jsonb_agg",
    "json_object_agg",
    "jsonb_object_agg",
    "json_build_object",
    "json_build_array",
    "jsonb_build_object",
    "jsonb_build_array",
    "row_to_json",
    "to_json",
    "to_jsonb",
    "json_each",
    "jsonb_each",
    "json_array_elements",
    "jsonb_array_elements",
    "json_populate_record",
    "jsonb_set",
    "make_date",
    "make_time",
    "make_timestamp",
    "make_timestamptz",
    "make_interval",
    "date_bin",
    "num_nulls",
    "num_nonnulls",
    "pg_read_file",
    "pg_ls_dir",
    "lo_import",
    "query_to_xml",
    "starts_with",
    "xmlparse",
    "xmlelement",
    "sha224",
    "sha256",
    "sha384",
    "sha512",
    "gcd",
    "lcm",
    "min_scale",
    "trim_scale",
    "erf",
    "log10",
    "concat_ws",
    "parse_ident",
    "unistr",
    "normalize",
    "to_regclass",
    "pg_get_function_result",
    "dblink",
    "overlay",
    "has_any_column_privilege",
    "has_column_privilege",
    "has_function_privilege",
    "has_sequence_privilege",
    "has_server_privilege",
    "has_tablespace_privilege",
    "has_foreign_data_wrapper_privilege",
    "has_language_privilege",
    "has_type_privilege",
    "has_parameter_privilege",
    "pg_has_role",
    "pg_advisory_lock_shared",
    "pg_advisory_unlock_all",
    "pg_advisory_unlock_shared",
    "pg_advisory_xact_lock_shared",
    "pg_try_advisory_lock_shared",
    "pg_try_advisory_xact_lock_shared",
    "pg_backup_start",
    "pg_backup_stop",
    "pg_create_restore_point",
    "pg_current_wal_lsn",
    "pg_switch_wal",
    "pg_is_in_recovery",
    "pg_wal_replay_pause",
    "pg_wal_replay_resume",
    "col_description",
    "obj_description",
    "shobj_description",
    "pg_relation_filenode",
    "pg_relation_filepath",
    "pg_column_size",
    "pg_database_size",
    "pg_indexes_size",
    "pg_relation_size",
    "pg_size_pretty",
    "pg_table_size",
    "pg_tablespace_size",
    "pg_total_relation_size",
    "enum_first",
    "enum_last",
    "enum_range",
    "isempty",
    "lower_inc",
    "lower_inf",
    "range_merge",
    "upper_inc",
    "upper_inf",
    "pg_collation_is_visible",
    "pg_conversion_is_visible",
    "pg_function_is_visible",
    "pg_opclass_is_visible",
    "pg_operator_is_visible",
    "pg_opfamily_is_visible",
    "pg_table_is_visible",
    "pg_ts_config_is_visible",
    "pg_type_is_visible",
    "pg_reload_conf",
    "pg_rotate_logfile",
    "pg_export_snapshot",
    "pg_get_functiondef",
    "pg_get_function_arguments",
    "pg_get_ruledef",
    "pg_get_triggerdef",
    "pg_get_serial_sequence",
    "pg_typeof",
    "pg_current_xact_id",
    "txid_current",
    "txid_current_snapshot",
    "txid_status",
    "plainto_tsquery",
    "phraseto_tsquery",
    "setweight",
    "strip",
    "ts_headline",
    "ts_rank",
    "ts_rank_cd",
    "ts_rewrite",
    "pg_read_binary_file",
    "pg_stat_file",
    "array_upper",
    "query_to_xml_and_xmlschema",
    "table_to_xml",
    "xmlcomment",
    "xmlconcat",
    "xmlforest",
    "xmlpi",
    "xpath",
    "xpath_exists",
];

/// Families of functions that came after PostgreSQL 8.0 or are listed as a group.
const PREFIXES: &[&str] = &[
    "jsonb_",
    "json_build",
    "json_each",
    "json_object",
    "json_populate",
    "json_to_",
    "json_array_elements",
    "json_strip",
    "pg_advisory",
    "pg_try_advisory",
    "pg_ls_",
    "pg_wal",
    "lo_",
    "ts_",
    "xml",
    "inet_",
    "enum_",
    "range_",
    "txid_",
    "regr_",
];

/// Marks a function name as unknown to Redshift. PostgreSQL quotes the name it does not find together with the argument
/// types; [`super::error_text`] takes the mark away. U+2060 (word joiner) is an identifier character to PostgreSQL and
/// in nobody's SQL.
pub(super) const UNKNOWN_MARK: char = '\u{2060}';

/// Redshift does not have this function.
pub(super) fn unsupported_function(name: &str) -> bool {
    UNSUPPORTED.contains(&name)
        || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || name.starts_with("array_") && !matches!(name, "array_concat" | "array_flatten")
}

/// Functions Redshift has and this stand-in does not.
const UNABLE: &[&str] = &[
    "unnest",
    "farmfingerprint64",
    "soundex",
    "difference",
    "to_varbyte",
    "from_varbyte",
    "from_hex",
    "to_geohash",
    "geometrytype",
    "object_transform",
    "text_to_int_alt",
    "text_to_numeric_alt",
    "hll_create_sketch",
    "hll_cardinality",
    "hll_combine",
    "hll_combine_sketches",
    "explain_model",
    "murmur3_32_hash",
    "interval_to_text",
    "json_extract_path",
    "getbit",
    "pg_last_query_id",
    "last_user_query_id",
    "pg_get_late_binding_view_cols",
    "pg_get_cols",
    "mv_refresh_summary",
    "collate",
];

/// Redshift has this function, this stand-in does not.
pub(super) fn unable_function(name: &str) -> bool {
    UNABLE.contains(&name) || name.starts_with("st_")
}

/// Refusals that one node and its neighbours decide.
pub(super) fn expression(node: &Node, before: Option<&Node>, rest: &[Node]) -> Result<(), Error> {
    let next = rest.first();
    let after_alias = before.is_some_and(|before| before.is("as"));
    match node.lower().as_str() {
        "distinct" if before.is_some_and(|b| b.is_any(&["is", "not"])) && next.is_some_and(|n| n.is("from")) => {
            Err(Error::near("distinct"))
        }
        "array" if next.is_some_and(|next| next.text == "[") => Err(Error::near("[")),
        "row" if !after_alias && next.is_some_and(Node::is_group) => Err(Error::near("row")),
        "filter"
            if before.is_some_and(Node::is_group)
                && next.is_some_and(|group| group.is_group() && group.body.first().is_some_and(|n| n.is("where"))) =>
        {
            Err(Error::near("("))
        }
        "current_catalog" if !after_alias => Err(Error::near("current_catalog")),
        "over" if before.is_some_and(Node::is_group) && next.is_some_and(|next| next.shape == Shape::Word) => {
            Err(Error::near(&next.map(|next| next.text.clone()).unwrap_or_default()))
        }
        _ if node.is_symbol("=>") => Err(Error::near("=>")),
        _ if node.is_group() && node.body.len() == 1 && node.body[0].is_symbol("+") => {
            Err(Error::unable("outer join operator (+)"))
        }
        _ => Ok(()),
    }
}

/// Window functions that take no frame.
const RANKING: &[&str] = &["rank", "dense_rank", "row_number", "ntile", "percent_rank", "cume_dist", "lag", "lead"];

/// The window specification of `function`: only ROWS frames, and aggregates with ORDER BY need one.
pub(super) fn window(function: &str, specification: &Node) -> Result<(), Error> {
    let body = &specification.body;
    for (index, node) in body.iter().enumerate() {
        if node.is_any(&["range", "groups"])
            && body
                .get(index + 1)
                .is_some_and(|next| next.is_any(&["between", "unbounded", "current"]) || next.shape == Shape::Number)
        {
            return Err(Error::near(&node.text));
        }
        if node.is("exclude") {
            return Err(Error::near(&node.text));
        }
    }
    let ordered = body.windows(2).any(|pair| pair[0].is("order") && pair[1].is("by"));
    let framed = body.iter().any(|node| node.is("rows"));
    if ordered && !framed && !RANKING.contains(&function) {
        return Err(Error::refused("Aggregate window functions with an ORDER BY clause require a frame clause"));
    }
    if framed && RANKING.contains(&function) {
        return Err(Error::refused(format!("Window function {function} does not support a frame clause")));
    }
    Ok(())
}

/// Refusals in INSERT, UPDATE, DELETE.
pub(super) fn write(nodes: &[Node]) -> Result<(), Error> {
    for (index, node) in nodes.iter().enumerate() {
        if node.is("returning")
            && !nodes.get(index.wrapping_sub(1)).is_some_and(|before| before.is_symbol(".") || before.is("as"))
        {
            return Err(Error::near(&node.text));
        }
        if node.is("on") && nodes.get(index + 1).is_some_and(|next| next.is("conflict")) {
            return Err(Error::near(&node.text));
        }
    }
    for (index, node) in nodes.iter().enumerate() {
        let next = nodes.get(index + 1);
        let only = node.is("only")
            && next.is_some_and(Node::is_name)
            && index.checked_sub(1).is_some_and(|at| nodes[at].is_any(&["from", "update", "into"]));
        let rows = node.is("set") && next.is_some_and(Node::is_group);
        if only || node.is("overriding") || node.is("current") && next.is_some_and(|next| next.is("of")) {
            return Err(Error::near(&node.text));
        }
        if rows {
            return Err(Error::near("("));
        }
    }
    if let Some(at) = nodes.iter().position(|node| node.is("values")) {
        let rows = split(&nodes[at + 1..], ",");
        let subquery = |row: &[Node]| row.iter().any(|group| group.body.iter().any(Node::is_query));
        if rows.len() > 1 && rows.iter().any(|row| subquery(row)) {
            return Err(Error::refused("can't use subqueries in multi-row VALUES"));
        }
    }
    Ok(())
}

/// Functions that only the leader node has: not together with a user table.
const LEADER_ONLY: &[&str] = &[
    "now",
    "age",
    "isfinite",
    "current_schema",
    "current_schemas",
    "has_database_privilege",
    "has_schema_privilege",
    "has_table_privilege",
    "version",
    "generate_series",
    "to_ascii",
    "get_byte",
    "set_byte",
    "set_bit",
];

/// The same without brackets.
const LEADER_ONLY_WORDS: &[&str] =
    &["current_timestamp", "localtime", "localtimestamp", "current_time", "current_schema"];

/// How the names of catalogs and system views begin.
const CATALOGS: &[&str] = &["pg_", "stl_", "stv_", "svl_", "svv_", "svcs_", "sys_", "information_schema"];

/// A SELECT that reads a user table cannot call functions of the leader node.
pub(super) fn leader_only(nodes: &[Node], scope: &Scope<'_>) -> Result<(), Error> {
    let Some(from) = nodes.iter().position(|node| node.is("from")) else {
        return Ok(());
    };
    let user_table = (from + 1..nodes.len()).any(|index| {
        let (node, before) = (&nodes[index], &nodes[index - 1]);
        let relation = before.is_any(&["from", "join"]) || before.is_symbol(",");
        let name = node.name();
        relation
            && node.is_name()
            && !nodes.get(index + 1).is_some_and(Node::is_group)
            && !CATALOGS.iter().any(|prefix| name.starts_with(prefix))
            && !scope.common.borrow().contains(&name)
    });
    if user_table { leader_call(nodes) } else { Ok(()) }
}

fn leader_call(nodes: &[Node]) -> Result<(), Error> {
    for (index, node) in nodes.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|at| nodes.get(at));
        if before.is_some_and(|before| before.is_symbol(".") || before.is("as")) {
            continue;
        }
        let called = nodes.get(index + 1).is_some_and(Node::is_group);
        if called && node.is("substr") {
            return Err(Error::refused("SUBSTR() function is not supported (Hint: use SUBSTRING instead)"));
        }
        if called && node.is_any(LEADER_ONLY) || !called && node.is_any(LEADER_ONLY_WORDS) {
            return Err(Error::refused(
                "Specified types or functions (one per INFO message) not supported on Redshift tables.",
            ));
        }
        if node.shape == Shape::Group && !node.is_query() {
            leader_call(&node.body)?;
        }
    }
    Ok(())
}
