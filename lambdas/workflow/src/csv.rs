//! Results as CSV: RFC 4180 with a header, CRLF line ends and quotes only where they are needed, with the one difference
//! that readers rely on to tell them apart: NULL is nothing at all, an empty text is `""`. Written as it comes, a row at a
//! time; nothing is left out or shortened.

use std::io::{self, Write};

use crate::field::{Column, Field};

/// Writes rows as CSV.
pub struct Writer<W> {
    to: W,
    columns: usize,
    rows: u64,
}

impl<W: Write> Writer<W> {
    /// Starts with the header.
    ///
    /// # Errors
    /// Those of the writer below.
    pub fn new(mut to: W, columns: &[Column]) -> io::Result<Self> {
        for (at, column) in columns.iter().enumerate() {
            if at > 0 {
                to.write_all(b",")?;
            }
            text(&mut to, column.title())?;
        }
        to.write_all(b"\r\n")?;
        Ok(Self { to, columns: columns.len(), rows: 0 })
    }

    /// Writes a row.
    ///
    /// # Errors
    /// Those of the writer below, and `InvalidData` where the row has another number of cells than the header.
    pub fn row(&mut self, cells: &[Field]) -> io::Result<()> {
        if cells.len() != self.columns {
            let message = format!("row {} has {} cells, the header has {}", self.rows + 1, cells.len(), self.columns);
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        for (at, cell) in cells.iter().enumerate() {
            if at > 0 {
                self.to.write_all(b",")?;
            }
            match cell {
                Field::Null => {}
                Field::Boolean(value) => self.to.write_all(if *value { b"true" } else { b"false" })?,
                Field::Long(value) => write!(self.to, "{value}")?,
                Field::Double(value) => self.to.write_all(double(*value).as_bytes())?,
                Field::Text(value) | Field::Blob(value) => text(&mut self.to, value)?,
            }
        }
        self.to.write_all(b"\r\n")?;
        self.rows += 1;
        Ok(())
    }

    /// How many rows were written.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Flushes, and gives the writer below back.
    ///
    /// # Errors
    /// Those of the writer below.
    pub fn finish(mut self) -> io::Result<W> {
        self.to.flush()?;
        Ok(self.to)
    }
}

/// The shortest text that reads back as the same number. Infinity and NaN as Redshift prints them.
fn double(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "Infinity".to_owned() } else { "-Infinity".to_owned() }
    } else if value != 0.0 && !(1e-5..1e16).contains(&value.abs()) {
        format!("{value:e}")
    } else {
        value.to_string()
    }
}

fn text(to: &mut impl Write, value: &str) -> io::Result<()> {
    // A blank at an end is safe unquoted by the RFC, but readers trim it.
    let quoted = value.is_empty()
        || value.contains(['"', ',', '\r', '\n'])
        || value.starts_with(char::is_whitespace)
        || value.ends_with(char::is_whitespace);
    if !quoted {
        return to.write_all(value.as_bytes());
    }
    to.write_all(b"\"")?;
    for (at, part) in value.split('"').enumerate() {
        if at > 0 {
            to.write_all(b"\"\"")?;
        }
        to.write_all(part.as_bytes())?;
    }
    to.write_all(b"\"")
}
