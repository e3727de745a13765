//! Who asks, and whom a policy's `Principal` means.

use serde_json::Value;

use crate::Error;

/// Who makes a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Principal {
    /// A session of an assumed role.
    Session {
        /// `arn:P:iam::ACCOUNT:role/[PATH/]NAME`
        role: String,
        /// `arn:P:sts::ACCOUNT:assumed-role/NAME/SESSION`
        session: String,
    },
    /// An IAM user, by ARN.
    User(String),
    /// The root user of an account, by account id.
    Root(String),
    /// A service, such as `events.amazonaws.com`.
    Service(String),
}

impl Principal {
    /// The ARN, or a service's name: as error messages have it.
    pub fn name(&self) -> &str {
        match self {
            Self::Session { session, .. } => session,
            Self::User(arn) => arn,
            Self::Root(account) => account,
            Self::Service(name) => name,
        }
    }

    /// The account that it belongs to; services belong to none.
    pub fn account(&self) -> Option<&str> {
        match self {
            Self::Session { role, .. } => role.split(':').nth(4),
            Self::User(arn) => arn.split(':').nth(4),
            Self::Root(account) => Some(account),
            Self::Service(_) => None,
        }
    }
}

/// How an entry of `Principal` means a caller. The order is that of what it grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Meant {
    /// By its account: the account's identity policies decide.
    Account,
    /// By the role whose session it is.
    Role,
    /// Itself, or everybody.
    Directly,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    Anyone,
    Account(String),
    Arn(String),
    Service(String),
    /// Federated and canonical users, who never call here.
    Other,
}

/// A `Principal` or `NotPrincipal` element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Principals {
    entries: Vec<Entry>,
    negated: bool,
}

impl Principals {
    pub(crate) fn parse(value: &Value, negated: bool, at: &str) -> Result<Self, Error> {
        let malformed = |problem: String| Error::Malformed { at: at.to_owned(), problem };
        let mut entries = Vec::new();
        match value {
            Value::String(text) if text == "*" => entries.push(Entry::Anyone),
            Value::Object(kinds) => {
                for (kind, names) in kinds {
                    let names = match names {
                        Value::Array(names) => names.iter().collect(),
                        one => vec![one],
                    };
                    for name in names {
                        let Some(name) = name.as_str() else {
                            return Err(malformed(format!("{kind} must have texts")));
                        };
                        entries.push(match kind.as_str() {
                            "AWS" => aws(name).ok_or_else(|| malformed(format!("{name} is no principal")))?,
                            "Service" if name == "*" || name.contains('.') => Entry::Service(name.to_owned()),
                            "Service" => return Err(malformed(format!("{name} is no service principal"))),
                            "Federated" | "CanonicalUser" => Entry::Other,
                            other => return Err(Error::Element { at: at.to_owned(), name: other.to_owned() }),
                        });
                    }
                }
            }
            _ => return Err(malformed("must be * or an object".into())),
        }
        if entries.is_empty() {
            return Err(malformed("names nobody".into()));
        }
        Ok(Self { entries, negated })
    }

    /// How the element means this caller, if it does.
    pub(crate) fn mean(&self, caller: &Principal) -> Option<Meant> {
        if !self.negated {
            return self.entries.iter().filter_map(|entry| entry.means(caller)).max();
        }
        // "NotPrincipal": every form that the caller has must be listed to be left out.
        let listed = |meant: Meant| self.entries.iter().any(|entry| entry.means(caller) == Some(meant));
        let forms: &[Meant] = match caller {
            Principal::Session { .. } => &[Meant::Directly, Meant::Role, Meant::Account],
            Principal::User(_) => &[Meant::Directly, Meant::Account],
            Principal::Root(_) => &[Meant::Account],
            Principal::Service(_) => &[Meant::Directly],
        };
        if forms.iter().all(|form| listed(*form)) { None } else { Some(Meant::Directly) }
    }
}

impl Entry {
    fn means(&self, caller: &Principal) -> Option<Meant> {
        match (self, caller) {
            (Self::Anyone, Principal::Service(_)) => Some(Meant::Directly),
            (Self::Anyone, _) => Some(Meant::Directly),
            (Self::Account(account), _) => (caller.account() == Some(account)).then_some(Meant::Account),
            (Self::Arn(arn), Principal::Session { role, session }) => {
                if arn == session {
                    Some(Meant::Directly)
                } else {
                    (arn == role).then_some(Meant::Role)
                }
            }
            (Self::Arn(arn), Principal::User(user)) => (arn == user).then_some(Meant::Directly),
            (Self::Service(name), Principal::Service(caller)) => {
                (name == "*" || name == caller).then_some(Meant::Directly)
            }
            _ => None,
        }
    }
}

/// An entry of `AWS`. Only a whole `*` is a wildcard there.
fn aws(name: &str) -> Option<Entry> {
    let is_account = |text: &str| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    if name == "*" {
        return Some(Entry::Anyone);
    }
    if is_account(name) {
        return Some(Entry::Account(name.to_owned()));
    }
    let parts: Vec<&str> = name.splitn(6, ':').collect();
    match parts[..] {
        ["arn", _, "iam", "", account, "root"] if is_account(account) => Some(Entry::Account(account.to_owned())),
        ["arn", _, "iam" | "sts", "", account, rest] if is_account(account) && !rest.contains(['*', '?']) => {
            let known = ["role/", "user/", "assumed-role/", "federated-user/"];
            known.iter().any(|kind| rest.starts_with(kind)).then(|| Entry::Arn(name.to_owned()))
        }
        // What CloudFormation leaves of a principal that was deleted.
        [id] if id.starts_with("AROA") || id.starts_with("AIDA") => Some(Entry::Other),
        _ => None,
    }
}
