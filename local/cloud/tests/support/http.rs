//! HTTP as a client without any library speaks it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

/// One request on a connection of its own; head and body of the answer.
pub fn http(host: &str, method: &str, path: &str, headers: &[&str], body: &str) -> (String, String) {
    let mut stream = TcpStream::connect(host).unwrap();
    let mut request =
        format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    for header in headers {
        request.push_str(header);
        request.push_str("\r\n");
    }
    write!(stream, "{request}\r\n{body}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("an HTTP answer has a head");
    (head.to_owned(), body.to_owned())
}
