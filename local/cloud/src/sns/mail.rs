//! An e-mail as a file that every mail program opens (RFC 5322).
//!
//! Nothing that was published can become a header: what goes there is checked or quoted.

use chrono::{DateTime, Utc};

/// Whether this can stand in a `To` header as it is. Looser than RFC 5321, as SNS is, but without anything that ends a
/// header or begins another address.
pub(super) fn is_address(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_graphic() && !"<>()[],;:\\\"".contains(c);
    let parts = text.split_once('@');
    text.len() <= 254
        && text.chars().all(plain)
        && parts.is_some_and(|(local, domain)| {
            !local.is_empty() && domain.contains('.') && !domain.contains('@') && !domain.starts_with('.')
        })
}

/// What the e-mail is about.
pub(super) struct Mail<'a> {
    /// The topic's display name.
    pub(super) from: Option<&'a str>,
    pub(super) to: &'a str,
    pub(super) subject: &'a str,
    pub(super) id: &'a str,
    pub(super) at: DateTime<Utc>,
    pub(super) text: &'a str,
    /// The last paragraph, as SNS adds it.
    pub(super) footer: Option<String>,
}

impl Mail<'_> {
    /// The file's bytes.
    pub(super) fn written(&self) -> String {
        // Printable ASCII without what quotes need: the name is for people, and a header must stay one line.
        let quotable = |c: &char| (c.is_ascii_graphic() || *c == ' ') && !"\"\\".contains(*c);
        let from: String = self.from.unwrap_or("AWS Notifications").chars().filter(quotable).collect();
        let subject: String = self.subject.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').collect();
        let mut text = format!(
            "From: \"{from}\" <no-reply@sns.amazonaws.com>\nTo: {}\nSubject: {subject}\nDate: {}\n\
             Message-ID: <{}@sns.amazonaws.com>\nMIME-Version: 1.0\nContent-Type: text/plain; charset=UTF-8\n\
             Content-Transfer-Encoding: 8bit\n\n{}\n",
            self.to,
            self.at.to_rfc2822(),
            self.id,
            self.text
        );
        if let Some(footer) = &self.footer {
            text.push_str(&format!("\n--\n{footer}\n"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for good in ["a@b.example", "first.last+tag@mail.b.example"] {
            assert!(is_address(good), "{good}");
        }
        for bad in ["", "a", "@b.c", "a@b", "a@@b.c", "a b@c.d", "a@b.c\nBcc: x@y.z", "a@b.c,d@e.f", "<a@b.c>", "ä@b.c"]
        {
            assert!(!is_address(bad), "{bad}");
        }
    }

    #[test]
    fn what_was_published_cannot_become_a_header() {
        let mail = Mail {
            from: Some("Night \"run\"\r\nBcc: x@y.z"),
            to: "a@b.example",
            subject: "failed\nX-Other: 1",
            id: "id",
            at: DateTime::from_timestamp(0, 0).unwrap(),
            text: "Bcc: in the body\nzwölf",
            footer: Some("the end".into()),
        };
        let written = mail.written();
        let (head, body) = written.split_once("\n\n").unwrap();
        let names: Vec<&str> = head.lines().map(|line| line.split(':').next().unwrap()).collect();
        assert_eq!(
            names,
            [
                "From",
                "To",
                "Subject",
                "Date",
                "Message-ID",
                "MIME-Version",
                "Content-Type",
                "Content-Transfer-Encoding"
            ]
        );
        assert!(head.contains("\"Night runBcc: x@y.z\" <no-reply@sns.amazonaws.com>"), "{head}");
        assert!(head.contains("Date: Thu, 1 Jan 1970 00:00:00 +0000"), "{head}");
        assert_eq!(body, "Bcc: in the body\nzwölf\n\n--\nthe end\n");
    }
}
