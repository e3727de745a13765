//! A CloudFormation that says what a test wants: an answer for each action, in the query protocol.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What a call says: its action and everything else.
pub type Form = BTreeMap<String, String>;

/// Status and the inside of the action's result.
pub type Answer = (u16, String);

pub struct StandIn {
    pub endpoint: String,
    calls: Arc<Mutex<Vec<Form>>>,
}

impl StandIn {
    /// Answers by `script`, which is also told how often the action was called on the same stack before.
    pub fn start(script: impl Fn(&str, &Form, usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let calls = Arc::new(Mutex::new(Vec::new()));
        let (script, seen) = (Arc::new(script), Arc::clone(&calls));
        // Ends with the test's process; so do the connections.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (script, seen) = (Arc::clone(&script), Arc::clone(&seen));
                std::thread::spawn(move || answer(&stream.unwrap(), &*script, &seen));
            }
        });
        Self { endpoint, calls }
    }

    /// The actions that were called, in order.
    pub fn actions(&self) -> Vec<String> {
        self.calls.lock().unwrap().iter().map(|form| form["Action"].clone()).collect()
    }

    /// The first call of an action.
    pub fn call(&self, action: &str) -> Form {
        self.calls.lock().unwrap().iter().find(|form| form["Action"] == action).unwrap().clone()
    }
}

fn answer(stream: &TcpStream, script: &dyn Fn(&str, &Form, usize) -> Answer, seen: &Mutex<Vec<Form>>) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let form: Form = form_urlencoded::parse(&body).into_owned().collect();
        let action = form["Action"].clone();
        let before = {
            let mut seen = seen.lock().unwrap();
            let same = |other: &&Form| other["Action"] == action && other.get("StackName") == form.get("StackName");
            let before = seen.iter().filter(same).count();
            seen.push(form.clone());
            before
        };
        let (status, inside) = script(&action, &form, before);
        let xmlns = "http://cloudformation.amazonaws.com/doc/2010-05-15/";
        let body = if status == 200 {
            format!("<{action}Response xmlns=\"{xmlns}\"><{action}Result>{inside}</{action}Result></{action}Response>")
        } else {
            format!("<ErrorResponse xmlns=\"{xmlns}\"><Error>{inside}</Error></ErrorResponse>")
        };
        let head = format!("HTTP/1.1 {status} x\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n\r\n", body.len());
        let mut writer = stream;
        if writer.write_all((head + &body).as_bytes()).is_err() {
            return;
        }
    }
}

/// `<name>value</name>` for each; a list's entry where the name is `member`.
pub fn xml(pairs: &[(&str, &str)]) -> String {
    pairs.iter().map(|(name, value)| format!("<{name}>{value}</{name}>")).collect()
}

/// A list of entries.
pub fn list(name: &str, entries: &[String]) -> String {
    let entries: String = entries.iter().map(|entry| format!("<member>{entry}</member>")).collect();
    format!("<{name}>{entries}</{name}>")
}

/// A refusal.
pub fn refused(message: &str) -> Answer {
    (400, xml(&[("Type", "Sender"), ("Code", "ValidationError"), ("Message", message)]))
}
