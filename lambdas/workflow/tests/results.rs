//! Results: typed JSON in and out, CSV, and that nothing is ever cut short in silence.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{self, Read};

use workflow::field::{Column, Field};
use workflow::result::{self, Error, Sink};

fn column(name: &str, type_name: &str) -> Column {
    Column { name: name.into(), type_name: type_name.into(), label: None, precision: None, scale: None }
}

fn text(value: &str) -> Field {
    Field::Text(value.into())
}

fn csv_of(columns: &[Column], rows: &[Vec<Field>]) -> String {
    let mut writer = workflow::csv::Writer::new(Vec::new(), columns).unwrap();
    for row in rows {
        writer.row(row).unwrap();
    }
    assert_eq!(writer.rows(), rows.len() as u64);
    String::from_utf8(writer.finish().unwrap()).unwrap()
}

#[test]
fn cells_as_csv() {
    let cases: Vec<(Field, &str)> = vec![
        (Field::Null, ""),
        (text(""), "\"\""),
        (text("plain"), "plain"),
        (text("a,b"), "\"a,b\""),
        (text("say \"hi\""), "\"say \"\"hi\"\"\""),
        (text("\""), "\"\"\"\""),
        (text("two\r\nlines"), "\"two\r\nlines\""),
        (text("\n"), "\"\n\""),
        (text(" padded "), "\" padded \""),
        (text("NULL"), "NULL"),
        (text("empty"), "empty"),
        (text("ünïcode 🜁"), "ünïcode 🜁"),
        (Field::Boolean(true), "true"),
        (Field::Boolean(false), "false"),
        (Field::Long(i64::MIN), "-9223372036854775808"),
        (Field::Long(0), "0"),
        (Field::Double(0.1), "0.1"),
        (Field::Double(-0.0), "-0"),
        (Field::Double(3.0), "3"),
        (Field::Double(1.0e300), "1e300"),
        (Field::Double(1.5e-7), "1.5e-7"),
        (Field::Double(f64::NAN), "NaN"),
        (Field::Double(f64::NEG_INFINITY), "-Infinity"),
        (Field::Blob("AAH/".into()), "AAH/"),
    ];
    for (field, expected) in &cases {
        let rows = [vec![field.clone(), text("x")]];
        let csv = csv_of(&[column("a", "x"), column("b", "x")], &rows);
        assert_eq!(csv, format!("a,b\r\n{expected},x\r\n"), "{field:?}");
        // A cell survives the typed JSON too.
        let json = serde_json::to_string(field).unwrap();
        let back: Field = serde_json::from_str(&json).unwrap();
        assert_eq!(format!("{back:?}"), format!("{field:?}"), "{json}");
        if let Field::Double(value) = field
            && value.is_finite()
        {
            assert_eq!(expected.parse::<f64>().unwrap().to_bits(), value.to_bits());
        }
    }
}

#[test]
fn others_read_our_csv() {
    let columns = [column("id", "int8"), column("a \"name\", with", "varchar")];
    let rows: Vec<Vec<Field>> = vec![
        vec![Field::Long(1), text("a,b\r\nc\"d\"")],
        vec![Field::Null, text("")],
        vec![Field::Long(3), Field::Null],
    ];
    let csv = csv_of(&columns, &rows);
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    assert_eq!(reader.headers().unwrap(), &csv::StringRecord::from(vec!["id", "a \"name\", with"]));
    let read: Vec<Vec<String>> =
        reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect();
    assert_eq!(read, [vec!["1", "a,b\r\nc\"d\""], vec!["", ""], vec!["3", ""]]);
    // What that reader cannot tell apart, the bytes do.
    assert!(csv.ends_with("\r\n,\"\"\r\n3,\r\n"), "{csv:?}");
}

#[test]
fn a_row_of_another_width_is_an_error() {
    let mut writer = workflow::csv::Writer::new(Vec::new(), &[column("a", "x")]).unwrap();
    let error = writer.row(&[Field::Null, Field::Null]).unwrap_err();
    assert_eq!(error.to_string(), "row 1 has 2 cells, the header has 1");
}

#[derive(Default)]
struct Kept {
    columns: Vec<Column>,
    rows: Vec<Vec<Field>>,
    fail: bool,
}

impl Sink for Kept {
    fn columns(&mut self, columns: &[Column]) -> io::Result<()> {
        self.columns = columns.to_vec();
        Ok(())
    }

    fn row(&mut self, cells: &[Field]) -> io::Result<()> {
        if self.fail {
            return Err(io::Error::other("the disk is full"));
        }
        self.rows.push(cells.to_vec());
        Ok(())
    }
}

fn written(rows: &[Vec<Field>], total: u64) -> Result<Vec<u8>, Error> {
    let columns = [column("a", "int8"), Column { label: Some("B".into()), ..column("b", "numeric") }];
    let mut writer = result::Writer::new(Vec::new(), &columns, total)?;
    for row in rows {
        writer.row(row)?;
    }
    writer.finish()
}

fn sample() -> Vec<Vec<Field>> {
    vec![
        vec![Field::Long(1), text("1.50")],
        vec![Field::Null, Field::Boolean(true)],
        vec![Field::Double(0.5), Field::Blob("AA==".into())],
    ]
}

#[test]
fn a_result_is_written_and_read() {
    for rows in [sample(), Vec::new()] {
        let total = rows.len() as u64;
        let bytes = written(&rows, total).unwrap();
        let whole: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(whole["TotalNumRows"], total);
        assert_eq!(whole["Records"].as_array().unwrap().len(), rows.len());
        let mut kept = Kept::default();
        assert_eq!(result::read(bytes.as_slice(), Some(total), &mut kept).unwrap(), total);
        assert_eq!(kept.rows, rows);
        assert_eq!(kept.columns[1].title(), "B");
    }
    let mut csv = Vec::new();
    result::to_csv(written(&sample(), 3).unwrap().as_slice(), &mut csv, Some(3)).unwrap();
    assert_eq!(String::from_utf8(csv).unwrap(), "a,B\r\n1,1.50\r\n,true\r\n0.5,AA==\r\n");
}

#[test]
fn what_is_not_complete_is_an_error() {
    let bytes = written(&sample(), 3).unwrap();
    let text = String::from_utf8(bytes.clone()).unwrap();
    // Cut anywhere, it is never taken for whole.
    for end in 0..text.trim_end().len() {
        assert!(result::read(&bytes[..end], None, &mut Kept::default()).is_err(), "cut at {end}");
    }
    let error = |text: &str, expected: Option<u64>| {
        result::read(text.as_bytes(), expected, &mut Kept::default()).unwrap_err().to_string()
    };
    assert_eq!(error(&text, Some(4)), "the result has 3 rows, the statement had 4");
    assert_eq!(
        error(&text.replace("\"TotalNumRows\":3", "\"TotalNumRows\":120"), None),
        "the result has 3 rows, the statement had 120"
    );
    assert_eq!(error(&text.replace(",{\"stringValue\":\"1.50\"}", ""), None), "row 1 has 1 cells, there are 2 columns");
    for (wrong, says) in [
        (text.replace("booleanValue", "boolValue"), "unknown field `boolValue`"),
        (text.replace("{\"isNull\":true}", "{}"), "the cell has no member"),
        (text.replace("{\"isNull\":true}", "{\"isNull\":false}"), "isNull: false"),
        (text.replace("{\"isNull\":true}", "{\"isNull\":true,\"longValue\":1}"), "a second member"),
        (text.replace("\"Records\"", "\"Record\""), "missing field `Records`"),
        (r#"{"Records":[],"ColumnMetadata":[]}"#.to_owned(), "Records come before ColumnMetadata"),
        ("[]".to_owned(), "a result: an object"),
        (format!("{text}x"), "trailing characters"),
    ] {
        let told = error(&wrong, None);
        assert!(told.contains(says), "{says}: {told}");
    }
    assert!(matches!(written(&sample(), 2).unwrap_err(), Error::RowCount { expected: 2, found: 3 }));
    assert!(matches!(written(&[vec![Field::Null]], 1).unwrap_err(), Error::Cells { row: 1, cells: 1, columns: 2 }));
    let full = result::read(bytes.as_slice(), None, &mut Kept { fail: true, ..Kept::default() }).unwrap_err();
    assert!(matches!(full, Error::Io(_)) && full.to_string() == "the disk is full", "{full:?}");
    assert_eq!(Error::RowCount { expected: 1, found: 0 }.name(), "RowCountMismatch");
}

#[test]
fn a_large_result_passes_through_without_being_held() {
    /// Makes rows as they are asked for.
    struct Endless {
        rows: u64,
        made: u64,
        buffer: Vec<u8>,
        at: usize,
    }
    impl Read for Endless {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            if self.at == self.buffer.len() {
                self.buffer.clear();
                self.at = 0;
                if self.made < self.rows {
                    let comma = if self.made == 0 { "" } else { "," };
                    self.buffer.extend(
                        format!("{comma}[{{\"longValue\":{}}},{{\"stringValue\":\"a,b\"}}]", self.made).bytes(),
                    );
                    self.made += 1;
                } else if self.made == self.rows {
                    self.buffer.extend(b"]}");
                    self.made += 1;
                }
            }
            let some = to.len().min(self.buffer.len() - self.at);
            to[..some].copy_from_slice(&self.buffer[self.at..self.at + some]);
            self.at += some;
            Ok(some)
        }
    }
    /// Counts and forgets, and sees that nothing is written in large pieces.
    struct Counting(u64, usize);
    impl io::Write for Counting {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len() as u64;
            self.1 = self.1.max(bytes.len());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let rows = 50_000;
    let start = br#"{"ColumnMetadata":[{"name":"n","typeName":"int8"},{"name":"t","typeName":"varchar"}],"Records":["#;
    let from = start.chain(Endless { rows, made: 0, buffer: Vec::new(), at: 0 });
    let mut to = Counting(0, 0);
    assert_eq!(result::to_csv(from, &mut to, Some(rows)).unwrap(), rows);
    assert!(to.0 > rows * 8 && to.1 < 64, "{} bytes, {} at once", to.0, to.1);
}
