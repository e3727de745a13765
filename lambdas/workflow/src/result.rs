//! Results in the Data API's typed JSON, one object: `{"ColumnMetadata":[…],"TotalNumRows":n,"Records":[[{…}]]}`. Written and
//! read a row at a time, so that 500 MB need no more memory than a row; the count of rows is checked on both ways, so that
//! nothing is cut short in silence.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, Read, Write};

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::field::{Column, Field};

/// A result that is not complete or not readable.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The number of rows is not the statement's. Its name as an error of a query is `RowCountMismatch`.
    #[error("the result has {found} rows, the statement had {expected}")]
    RowCount {
        /// What the statement said.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// The text is not such a result, or ends too early.
    #[error("the result cannot be read: {0}")]
    Unreadable(String),
    /// A row has more or fewer cells than there are columns.
    #[error("row {row} has {cells} cells, there are {columns} columns")]
    Cells {
        /// The row, from 1.
        row: u64,
        /// Its cells.
        cells: usize,
        /// The columns.
        columns: usize,
    },
    /// The reader or writer below, or whoever takes the rows.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Error {
    /// The error's name in a status.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::RowCount { .. } | Self::Cells { .. } => "RowCountMismatch",
            Self::Unreadable(_) => "ResultUnreadable",
            Self::Io(_) => "ResultNotWritten",
        }
    }
}

/// Writes a result as its pages come.
pub struct Writer<W> {
    to: W,
    columns: usize,
    rows: u64,
    expected: u64,
}

impl<W: Write> Writer<W> {
    /// Starts a result. `total` is the number of rows that the statement says it has.
    ///
    /// # Errors
    /// Those of the writer below.
    pub fn new(mut to: W, columns: &[Column], total: u64) -> Result<Self, Error> {
        to.write_all(b"{\"ColumnMetadata\":")?;
        serde_json::to_writer(&mut to, columns).map_err(io::Error::from)?;
        write!(to, ",\"TotalNumRows\":{total},\"Records\":[")?;
        Ok(Self { to, columns: columns.len(), rows: 0, expected: total })
    }

    /// Writes a row.
    ///
    /// # Errors
    /// [`Error::Cells`], and those of the writer below.
    pub fn row(&mut self, cells: &[Field]) -> Result<(), Error> {
        if cells.len() != self.columns {
            return Err(Error::Cells { row: self.rows + 1, cells: cells.len(), columns: self.columns });
        }
        self.to.write_all(if self.rows == 0 { b"\n" } else { b",\n" })?;
        serde_json::to_writer(&mut self.to, cells).map_err(io::Error::from)?;
        self.rows += 1;
        Ok(())
    }

    /// Ends the result and checks that every row came.
    ///
    /// # Errors
    /// [`Error::RowCount`], and those of the writer below.
    pub fn finish(mut self) -> Result<W, Error> {
        if self.rows != self.expected {
            return Err(Error::RowCount { expected: self.expected, found: self.rows });
        }
        self.to.write_all(b"\n]}\n")?;
        self.to.flush()?;
        Ok(self.to)
    }
}

/// Takes the parts of a result as they are read.
pub trait Sink {
    /// The columns; called once, before any row.
    ///
    /// # Errors
    /// An error ends the reading.
    fn columns(&mut self, columns: &[Column]) -> io::Result<()>;

    /// A row; it has as many cells as there are columns.
    ///
    /// # Errors
    /// An error ends the reading.
    fn row(&mut self, cells: &[Field]) -> io::Result<()>;
}

/// Reads a result from start to end. `expected` is the number of rows that the statement's description says, where it is
/// known; the result's own `TotalNumRows` is checked always. Gives the number of rows.
///
/// # Errors
/// See [`Error`]; what the sink has taken by then is not complete and must not be used as if it were.
pub fn read(from: impl Read, expected: Option<u64>, sink: &mut dyn Sink) -> Result<u64, Error> {
    let failed = RefCell::new(None);
    let mut json = serde_json::Deserializer::from_reader(io::BufReader::with_capacity(64 * 1024, from));
    let read = Document { sink, failed: &failed }.deserialize(&mut json).and_then(|read| json.end().map(|()| read));
    let (rows, total) = match (read, failed.into_inner()) {
        (_, Some(error)) => return Err(error),
        (Err(error), None) if error.is_io() => return Err(Error::Io(error.into())),
        (Err(error), None) => return Err(Error::Unreadable(error.to_string())),
        (Ok(read), None) => read,
    };
    for expected in [total, expected].into_iter().flatten() {
        if rows != expected {
            return Err(Error::RowCount { expected, found: rows });
        }
    }
    Ok(rows)
}

/// Reads a result and writes it as CSV. Gives the number of rows.
///
/// # Errors
/// As [`read`].
pub fn to_csv(from: impl Read, to: impl Write, expected: Option<u64>) -> Result<u64, Error> {
    struct Csv<W: Write> {
        to: Option<W>,
        writer: Option<crate::csv::Writer<W>>,
    }
    impl<W: Write> Sink for Csv<W> {
        fn columns(&mut self, columns: &[Column]) -> io::Result<()> {
            if let Some(to) = self.to.take() {
                self.writer = Some(crate::csv::Writer::new(to, columns)?);
            }
            Ok(())
        }

        fn row(&mut self, cells: &[Field]) -> io::Result<()> {
            self.writer.as_mut().map_or(Ok(()), |writer| writer.row(cells))
        }
    }
    let mut csv = Csv { to: Some(to), writer: None };
    let rows = read(from, expected, &mut csv)?;
    if let Some(writer) = csv.writer {
        writer.finish()?;
    }
    Ok(rows)
}

/// The whole object; answers with the rows read and `TotalNumRows`.
struct Document<'s> {
    sink: &'s mut dyn Sink,
    failed: &'s RefCell<Option<Error>>,
}

impl<'de> DeserializeSeed<'de> for Document<'_> {
    type Value = (u64, Option<u64>);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Document<'_> {
    type Value = (u64, Option<u64>);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a result: an object with ColumnMetadata and Records")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut columns = None;
        let mut rows = None;
        let mut total = None;
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "ColumnMetadata" if columns.is_none() => {
                    let list: Vec<Column> = map.next_value()?;
                    self.sink.columns(&list).map_err(|error| keep(self.failed, error.into()))?;
                    columns = Some(list.len());
                }
                "TotalNumRows" => total = Some(map.next_value()?),
                "Records" if rows.is_none() => {
                    let Some(columns) = columns else {
                        return Err(de::Error::custom("Records come before ColumnMetadata"));
                    };
                    rows = Some(map.next_value_seed(Rows { sink: self.sink, failed: self.failed, columns })?);
                }
                "ColumnMetadata" | "Records" => return Err(de::Error::custom(format!("{name} stands twice"))),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        match rows {
            Some(rows) => Ok((rows, total)),
            None => Err(de::Error::missing_field("Records")),
        }
    }
}

struct Rows<'s> {
    sink: &'s mut dyn Sink,
    failed: &'s RefCell<Option<Error>>,
    columns: usize,
}

impl<'de> DeserializeSeed<'de> for Rows<'_> {
    type Value = u64;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u64, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Rows<'_> {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<u64, A::Error> {
        let mut rows = 0;
        while let Some(cells) = seq.next_element::<Vec<Field>>()? {
            rows += 1;
            if cells.len() != self.columns {
                return Err(keep(self.failed, Error::Cells { row: rows, cells: cells.len(), columns: self.columns }));
            }
            self.sink.row(&cells).map_err(|error| keep(self.failed, error.into()))?;
        }
        Ok(rows)
    }
}

/// Puts our own error beside serde's, which would only keep its text.
fn keep<E: de::Error>(failed: &RefCell<Option<Error>>, error: Error) -> E {
    let text = error.to_string();
    *failed.borrow_mut() = Some(error);
    E::custom(text)
}
