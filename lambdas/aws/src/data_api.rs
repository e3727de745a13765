//! The Redshift Data API.

use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_redshiftdata::primitives::DateTime;
use aws_sdk_redshiftdata::types::{
    ColumnMetadata, ExecutionMode, Field, QueryRecords, ResultFormatString, SqlParameter, StatusString,
    SubStatementData,
};
use serde_json::{Map, Value, json};
use statement::ports::{Cell, DataApi, Description, FailureKind, Listed, Outcome, Page, Submission, Submitted};
use statement::request::{Format, Mode};
use statement::target::{Login, Place};

use crate::clients::Clients;
use crate::failure;

const SERVICE: &str = "redshift-data";
/// Pages of ListStatements read for one name (100 statements each); one name has one statement.
const LIST_PAGES: usize = 10;

pub(crate) struct RedshiftData {
    pub(crate) clients: Arc<Clients>,
}

/// Sets what single statements and batches have in common.
macro_rules! common {
    ($call:expr, $submission:expr) => {{
        let submission: &Submission = $submission;
        let mut call = $call
            .with_event(true)
            .statement_name(&submission.statement_name)
            .client_token(&submission.client_token)
            .set_parameters(parameters(submission))
            .set_session_id(submission.session_id.clone())
            .set_session_keep_alive_seconds(submission.session_keep_alive.and_then(|s| i32::try_from(s).ok()))
            .set_result_format(submission.format.map(result_format));
        if let Some(target) = &submission.target {
            call = call.database(&target.database);
            call = match &target.place {
                Place::Cluster(name) => call.cluster_identifier(name),
                Place::Workgroup(name) => call.workgroup_name(name),
            };
            call = match &target.login {
                Login::Identity => call,
                Login::User(user) => call.db_user(user),
                Login::Secret(arn) => call.secret_arn(arn),
            };
        }
        let answer = call.send().await.map_err(|error| failure::of(SERVICE, &error))?;
        match answer.id {
            Some(id) => Ok(Submitted { id, session_id: answer.session_id, db_user: answer.db_user }),
            None => Err(failure::ours(SERVICE, FailureKind::Unknown, "answer", "the submit answered without an id")),
        }
    }};
}

#[async_trait]
impl DataApi for RedshiftData {
    async fn submit(&self, submission: &Submission) -> Outcome<Submitted> {
        let client = self.clients.redshift_data();
        match (submission.batch, submission.statements.first()) {
            (Some(mode), _) => {
                let call = client.batch_execute_statement().set_sqls(Some(submission.statements.clone()));
                // TRANSACTION is the API's default and older endpoints do not know the member.
                let call = match mode {
                    Mode::Transaction => call,
                    Mode::AutoCommit => call.execution_mode(ExecutionMode::AutoCommit),
                };
                common!(call, submission)
            }
            (None, Some(sql)) => common!(client.execute_statement().sql(sql), submission),
            (None, None) => Err(failure::ours(SERVICE, FailureKind::Refused, "request", "no statement")),
        }
    }

    async fn describe(&self, id: &str) -> Outcome<Description> {
        let d = self
            .clients
            .redshift_data()
            .describe_statement()
            .id(id)
            .send()
            .await
            .map_err(|error| failure::of(SERVICE, &error))?;
        Ok(Description {
            status: d.status.as_ref().map(|s| s.as_str().to_owned()).unwrap_or_default(),
            error: d.error,
            duration_ns: known(d.duration),
            rows: known(d.result_rows),
            bytes: known(d.result_size),
            query_id: known(d.redshift_query_id).filter(|n| *n > 0),
            pid: known(d.redshift_pid).filter(|n| *n > 0),
            has_result_set: d.has_result_set.unwrap_or(false),
            db_user: d.db_user,
            database: d.database,
            cluster: d.cluster_identifier,
            workgroup: d.workgroup_name,
            session_id: d.session_id,
            format: d.result_format.map(|f| f.as_str().to_owned()),
            created_at: millis(d.created_at),
            updated_at: millis(d.updated_at),
            statements: d.sub_statements.unwrap_or_default().into_iter().map(sub_statement).collect(),
            id: d.id,
        })
    }

    async fn result(&self, id: &str, next: Option<&str>, format: Format) -> Outcome<Page> {
        let client = self.clients.redshift_data();
        let next = next.map(str::to_owned);
        match format {
            Format::Json => {
                let page = client
                    .get_statement_result()
                    .id(id)
                    .set_next_token(next)
                    .send()
                    .await
                    .map_err(|error| failure::of(SERVICE, &error))?;
                let records = page.records.into_iter().map(|record| record.into_iter().map(cell).collect()).collect();
                Ok(Page {
                    columns: columns(page.column_metadata.unwrap_or_default()),
                    records,
                    csv: Vec::new(),
                    total: known(Some(page.total_num_rows)),
                    next: page.next_token,
                })
            }
            Format::Csv => {
                let page = client
                    .get_statement_result_v2()
                    .id(id)
                    .set_next_token(next)
                    .send()
                    .await
                    .map_err(|error| failure::of(SERVICE, &error))?;
                let csv = page.records.into_iter().filter_map(|record| match record {
                    QueryRecords::CsvRecords(text) => Some(text),
                    _ => None,
                });
                Ok(Page {
                    columns: columns(page.column_metadata.unwrap_or_default()),
                    records: Vec::new(),
                    csv: csv.collect(),
                    total: known(Some(page.total_num_rows)),
                    next: page.next_token,
                })
            }
        }
    }

    async fn cancel(&self, id: &str) -> Outcome<bool> {
        let cancelled = self.clients.redshift_data().cancel_statement().id(id).send().await;
        cancelled.map(|answer| answer.status.unwrap_or(false)).map_err(|error| failure::of(SERVICE, &error))
    }

    async fn list(&self, name_prefix: &str) -> Outcome<Vec<Listed>> {
        let mut listed = Vec::new();
        let mut next = None;
        for _ in 0..LIST_PAGES {
            let call =
                self.clients.redshift_data().list_statements().statement_name(name_prefix).status(StatusString::All);
            let page = call
                .max_results(100)
                .set_next_token(next)
                .send()
                .await
                .map_err(|error| failure::of(SERVICE, &error))?;
            listed.extend(page.statements.into_iter().map(|s| Listed {
                id: s.id,
                name: s.statement_name.unwrap_or_default(),
                status: s.status.map(|s| s.as_str().to_owned()).unwrap_or_default(),
            }));
            next = page.next_token;
            if next.is_none() {
                break;
            }
        }
        Ok(listed)
    }
}

fn parameters(submission: &Submission) -> Option<Vec<SqlParameter>> {
    let parameters: Vec<SqlParameter> = submission
        .parameters
        .iter()
        .filter_map(|(name, value)| SqlParameter::builder().name(name).value(value).build().ok())
        .collect();
    // The API refuses an empty list.
    (!parameters.is_empty()).then_some(parameters)
}

fn result_format(format: Format) -> ResultFormatString {
    match format {
        Format::Json => ResultFormatString::Json,
        Format::Csv => ResultFormatString::Csv,
    }
}

/// The API says -1 for what it does not know.
fn known(number: impl Into<Option<i64>>) -> Option<i64> {
    number.into().filter(|n| *n >= 0)
}

fn millis(time: Option<DateTime>) -> Option<i64> {
    time.and_then(|t| t.to_millis().ok())
}

fn sub_statement(s: SubStatementData) -> Description {
    Description {
        status: s.status.as_ref().map(|s| s.as_str().to_owned()).unwrap_or_default(),
        error: s.error,
        duration_ns: known(s.duration),
        rows: known(s.result_rows),
        bytes: known(s.result_size),
        query_id: known(s.redshift_query_id).filter(|n| *n > 0),
        has_result_set: s.has_result_set.unwrap_or(false),
        created_at: millis(s.created_at),
        updated_at: millis(s.updated_at),
        id: s.id,
        ..Description::default()
    }
}

fn cell(field: Field) -> Cell {
    match field {
        Field::BooleanValue(truth) => Cell::Bool(truth),
        Field::LongValue(number) => Cell::Long(number),
        Field::DoubleValue(number) => Cell::Double(number),
        Field::StringValue(text) => Cell::Text(text),
        Field::BlobValue(bytes) => Cell::Blob(bytes.into_inner()),
        _ => Cell::Null,
    }
}

fn columns(columns: Vec<ColumnMetadata>) -> Vec<Map<String, Value>> {
    let to_map = |c: ColumnMetadata| {
        let fields = [
            ("name", c.name.map(Value::from)),
            ("label", c.label.map(Value::from)),
            ("typeName", c.type_name.map(Value::from)),
            ("nullable", Some(json!(c.nullable))),
            ("precision", Some(json!(c.precision))),
            ("scale", Some(json!(c.scale))),
            ("length", Some(json!(c.length))),
            ("isCaseSensitive", Some(json!(c.is_case_sensitive))),
            ("isCurrency", Some(json!(c.is_currency))),
            ("isSigned", Some(json!(c.is_signed))),
            ("schemaName", c.schema_name.map(Value::from)),
            ("tableName", c.table_name.map(Value::from)),
            ("columnDefault", c.column_default.map(Value::from)),
        ];
        fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    };
    columns.into_iter().map(to_map).collect()
}
