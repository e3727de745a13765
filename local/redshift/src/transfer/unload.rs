//! UNLOAD: look at the destination, write the rows of the query into files, put the files and the manifest. Must never
//! put a file before the query has ended well.

use super::field::Column;
use super::writer::File;
use super::{Site, history};
use crate::connection::{Error, failure};
use crate::dialect::transfer::{Existing, Location, Unload, UnloadFormat};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use tokio_postgres::Client;

/// Slices that write at once, as a cluster with one small node has.
const SLICES: usize = 2;
/// Hive's name of the partition without a value.
const NO_VALUE: &str = "__HIVE_DEFAULT_PARTITION__";

/// The rows on their way into files.
pub(crate) struct Output<'a> {
    unload: &'a Unload,
    /// Columns in the files.
    columns: Vec<Column>,
    /// Places of those columns in the query.
    kept: Vec<usize>,
    /// Partition columns: name and place.
    keys: Vec<(String, usize)>,
    /// By the partition's path, empty without partitions.
    partitions: BTreeMap<String, Partition>,
    finished: Vec<Finished>,
    pub(crate) rows: i64,
}

#[derive(Default)]
struct Partition {
    slices: Vec<Slice>,
    next: usize,
}

#[derive(Default)]
struct Slice {
    file: Option<File>,
    part: usize,
}

/// A whole file.
struct Finished {
    slice: usize,
    partition: String,
    key: String,
    bytes: Vec<u8>,
    rows: u64,
}

/// Where the files go: with partitions into folders.
fn prefix(unload: &Unload) -> String {
    let key = &unload.destination.key;
    let folder = unload.partition.is_some() && !key.ends_with('/') && !key.is_empty();
    if folder { format!("{key}/") } else { key.clone() }
}

/// Looks at the destination before the query runs. CLEANPATH waits until the query has ended well.
pub(crate) async fn prepare<'a>(
    unload: &'a Unload,
    site: &Site<'_>,
) -> Result<impl FnOnce(Vec<Column>) -> Result<Output<'a>, Error> + use<'a>, Error> {
    let destination = &unload.destination;
    let found = site.objects()?.list(&destination.bucket, &prefix(unload)).await;
    let found = found.map_err(|error| site.s3(&error, destination))?;
    if unload.existing == Existing::Refuse && !found.is_empty() {
        return Err(site.compute(
            "Specified unload destination on S3 is not empty. Consider using a different bucket / prefix, manually \
             removing the target files in S3, or using the ALLOWOVERWRITE option.",
            "8001",
            "",
        ));
    }
    let query_id = site.query_id;
    let refuse = move |text: String| Error::Transfer(crate::dialect::compute_error(&text, "8001", "", query_id));
    Ok(move |columns: Vec<Column>| Output::new(unload, columns).map_err(refuse))
}

impl<'a> Output<'a> {
    fn new(unload: &'a Unload, columns: Vec<Column>) -> Result<Self, String> {
        if unload.format == UnloadFormat::Json {
            let mut names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
            names.sort_unstable();
            if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
                return Err(format!("UNLOAD to JSON needs unique column names: {}", twice[0]));
            }
        }
        let mut keys = Vec::new();
        let (names, include) = unload.partition.clone().unwrap_or_default();
        for name in names {
            let place = columns.iter().position(|column| column.name == name);
            let place = place.ok_or_else(|| format!("Partition column {name} is not a column of the query"))?;
            keys.push((name, place));
        }
        let kept: Vec<usize> =
            (0..columns.len()).filter(|place| include || keys.iter().all(|(_, key)| key != place)).collect();
        if kept.is_empty() {
            return Err("At least one column must not be a partition column".to_owned());
        }
        let columns: Vec<Column> = kept.iter().map(|place| columns[*place].clone()).collect();
        // Says now what the format cannot hold.
        File::new(&unload.format, &columns)?;
        Ok(Self { unload, columns, kept, keys, partitions: BTreeMap::new(), finished: Vec::new(), rows: 0 })
    }

    /// Adds a row of the query.
    pub(crate) fn row(&mut self, cells: &[Option<&str>]) -> Result<(), String> {
        let mut path = String::new();
        for (name, place) in &self.keys {
            let value = cells.get(*place).copied().flatten().unwrap_or(NO_VALUE);
            path.push_str(&format!("{name}={}/", folder(value)));
        }
        let kept: Vec<Option<&str>> = self.kept.iter().map(|place| cells.get(*place).copied().flatten()).collect();
        let partition = self.partitions.entry(path.clone()).or_default();
        if partition.slices.is_empty() {
            partition.slices.resize_with(if self.unload.parallel { SLICES } else { 1 }, Slice::default);
        }
        let index = partition.next % partition.slices.len();
        partition.next += 1;
        let slice = &mut partition.slices[index];
        let mut file = match slice.file.take() {
            Some(file) => file,
            None => File::new(&self.unload.format, &self.columns)?,
        };
        file.row(&self.unload.format, &self.columns, &kept)?;
        if file.size() >= self.unload.max_file_bytes {
            let part = slice.part;
            slice.part += 1;
            self.finish(file, &path, index, part)?;
        } else {
            slice.file = Some(file);
        }
        self.rows += 1;
        Ok(())
    }

    fn finish(&mut self, file: File, partition: &str, slice: usize, part: usize) -> Result<(), String> {
        let number = if self.unload.parallel { format!("{slice:04}_part_{part:02}") } else { format!("{part:03}") };
        let extension = match (&self.unload.extension, &self.unload.format) {
            (Some(given), _) => given.clone(),
            (None, UnloadFormat::Parquet) => ".parquet".to_owned(),
            (None, _) if self.unload.gzip => ".gz".to_owned(),
            (None, _) => String::new(),
        };
        let dot = if extension.is_empty() || extension.starts_with('.') { "" } else { "." };
        let rows = file.rows();
        let mut bytes = file.finish()?;
        if self.unload.gzip {
            let mut packed = GzEncoder::new(Vec::new(), Compression::default());
            packed.write_all(&bytes).map_err(|error| error.to_string())?;
            bytes = packed.finish().map_err(|error| error.to_string())?;
        }
        self.finished.push(Finished {
            slice,
            partition: partition.to_owned(),
            key: format!("{}{partition}{number}{dot}{extension}", prefix(self.unload)),
            bytes,
            rows,
        });
        Ok(())
    }

    /// The query has ended: puts the files.
    pub(crate) async fn put(mut self, client: &Client, site: &Site<'_>) -> Result<(), Error> {
        let failed = |text: String| site.compute(&text, "8001", "");
        for (path, partition) in std::mem::take(&mut self.partitions) {
            for (index, slice) in partition.slices.into_iter().enumerate() {
                if let Some(file) = slice.file {
                    self.finish(file, &path, index, slice.part).map_err(failed)?;
                }
            }
        }
        // No rows: text formats leave an empty file.
        if self.finished.is_empty() && self.keys.is_empty() && self.unload.format != UnloadFormat::Parquet {
            let file = File::new(&self.unload.format, &self.columns).map_err(failed)?;
            self.finish(file, "", 0, 0).map_err(failed)?;
        }
        let bucket = &self.unload.destination.bucket;
        let objects = site.objects()?;
        if self.unload.existing == Existing::Delete {
            let prefix = prefix(self.unload);
            let mut old = objects.list(bucket, &prefix).await.map_err(|e| site.s3(&e, &self.unload.destination))?;
            // With partitions only the folders that get new files are cleaned.
            if !self.keys.is_empty() {
                let fresh: Vec<String> = self.finished.iter().map(|f| format!("{prefix}{}", f.partition)).collect();
                old.retain(|key| fresh.iter().any(|folder| key.starts_with(folder.as_str())));
            }
            for key in old {
                let location = Location { bucket: bucket.clone(), key };
                objects.delete(bucket, &location.key).await.map_err(|error| site.s3(&error, &location))?;
            }
        }
        let mut written = Vec::with_capacity(self.finished.len());
        for file in std::mem::take(&mut self.finished) {
            let location = Location { bucket: bucket.clone(), key: file.key };
            let size = file.bytes.len();
            objects
                .put(bucket, &location.key, Bytes::from(file.bytes))
                .await
                .map_err(|error| site.s3(&error, &location))?;
            written.push((location, size, file.rows, file.slice));
        }
        if let Some(verbose) = self.unload.manifest {
            let location = Location { bucket: bucket.clone(), key: format!("{}manifest", prefix(self.unload)) };
            let manifest = self.manifest(&written, verbose);
            let bytes = serde_json::to_vec_pretty(&manifest).map_err(|error| failed(error.to_string()))?;
            objects.put(bucket, &location.key, bytes.into()).await.map_err(|error| site.s3(&error, &location))?;
        }
        self.remember(client, &written, site).await
    }

    /// `{"entries": […]}`; with VERBOSE also columns, counts and the author.
    fn manifest(&self, files: &[(Location, usize, u64, usize)], verbose: bool) -> Value {
        let entry = |(location, size, rows, _): &(Location, usize, u64, usize)| {
            let mut entry = json!({ "url": location.to_string() });
            if verbose {
                entry["meta"] = json!({ "content_length": size, "record_count": rows });
            }
            entry
        };
        let entries: Vec<Value> = files.iter().map(entry).collect();
        if !verbose {
            return json!({ "entries": entries });
        }
        let element = |column: &Column| {
            let (base, more) = match (column.length(), column.decimal()) {
                (Some(length), _) => (column.type_name(), json!({ "max_length": length })),
                (None, Some((precision, scale))) => ("numeric", json!({ "precision": precision, "scale": scale })),
                (None, None) => (column.type_name(), json!({})),
            };
            let base = match base {
                "int2" => "smallint",
                "int4" => "integer",
                "int8" => "bigint",
                "bool" => "boolean",
                "float4" => "real",
                "float8" => "double precision",
                "varchar" => "character varying",
                "char" => "character",
                other => other,
            };
            let mut ty = json!({ "base": base });
            if let (Some(ty), Value::Object(more)) = (ty.as_object_mut(), more) {
                ty.extend(more);
            }
            json!({ "name": column.name, "type": ty })
        };
        json!({
            "entries": entries,
            "schema": { "elements": self.columns.iter().map(element).collect::<Vec<_>>() },
            "meta": {
                "content_length": files.iter().map(|file| file.1).sum::<usize>(),
                "record_count": files.iter().map(|file| file.2).sum::<u64>(),
            },
            "author": { "name": "Amazon Redshift", "version": "1.0.0" },
        })
    }

    async fn remember(
        &self,
        client: &Client,
        files: &[(Location, usize, u64, usize)],
        site: &Site<'_>,
    ) -> Result<(), Error> {
        let noted = "select pg_catalog.set_config('redshift_catalog.unload_count', $1, false), \
                     pg_catalog.set_config('redshift_catalog.unload_id', $2, false), \
                     (select usesysid from pg_catalog.pg_user where usename = current_user)";
        let values = [self.rows.to_string(), site.query_id.to_string()];
        let row = client
            .query_one(noted, &[&values[0], &values[1]])
            .await
            .and_then(|row| row.try_get::<_, u32>(2))
            .map_err(|error| failure(&error, site.query_id))?;
        let now = json!(site.now.naive_utc().to_string());
        let format = match &self.unload.format {
            UnloadFormat::Text { csv: true, .. } => "CSV",
            UnloadFormat::Text { .. } => "TEXT",
            UnloadFormat::Json => "JSON",
            UnloadFormat::Parquet => "PARQUET",
        };
        let whole = json!({
            "userid": row, "query": site.query_id, "session": site.pid, "database_name": site.database,
            "status": "completed", "starttime": now, "endtime": now, "file_format": format,
            "compression_type": if self.unload.gzip { "gzip" } else { "" },
            "unloaded_location": self.unload.destination.to_string(), "unloaded_rows": self.rows,
            "unloaded_files_count": files.len(), "unloaded_files_size": files.iter().map(|file| file.1).sum::<usize>(),
            "error_message": "",
        });
        let each = files.iter().map(|(location, size, rows, slice)| {
            json!({
                "userid": row, "query": site.query_id, "session": site.pid, "slice": slice,
                "path": history::cut(&location.to_string(), 1280), "starttime": now, "endtime": now, "line_count": rows,
                "transfer_size": size, "file_format": format,
            })
        });
        history::write(site, &[("unload", vec![whole]), ("unload_file", each.collect())]).await
    }
}

/// A partition's value as the name of a folder: what a path or Hive reads otherwise is written as `%XX`.
fn folder(value: &str) -> String {
    let mut out = String::new();
    for c in value.chars() {
        if c.is_ascii_control() || "\"#%'*/:=?\\{[]^".contains(c) {
            out.push_str(&format!("%{:02X}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}
