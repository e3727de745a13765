//! A throw-away PostgreSQL server: found, initialised in a temporary folder, reached through a Unix socket only.
//!
//! What must never happen: a TCP listener, a server or its folder that outlives this process (a watchdog shell holds the
//! other end of a pipe: when the pipe closes, for whatever reason, it stops the server and removes the folder), SQL text
//! in the server's log.

use crate::dialect;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio_postgres::NoTls;

/// The bootstrap superuser; Redshift's has this name.
pub const ADMINISTRATOR: &str = "rdsdb";

/// Oldest major version that has what the dialect builds on (MERGE came with 15).
const OLDEST: u32 = 15;
/// How long the server may take to accept its first connection.
const START: Duration = Duration::from_secs(60);
/// SQLSTATEs of CREATE … for something that exists.
const DUPLICATES: [&str; 3] = ["42P04", "42710", "23505"];

/// Why there is no server, or why it refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No PostgreSQL server programs on this machine.
    #[error(
        "PostgreSQL {OLDEST} or later is needed and not found (looked for initdb and postgres on PATH, in \
         /usr/lib/postgresql/*/bin and in Homebrew's folders){found}. Install it: `apt-get install postgresql` on \
         Debian or Ubuntu, `dnf install postgresql-server` on Fedora, `brew install postgresql@17` on macOS"
    )]
    Missing {
        /// What was found and is too old, if anything.
        found: String,
    },
    /// PostgreSQL does not run as root and there is no other user to run it as.
    #[error("PostgreSQL does not run as root, and there is neither a user `postgres` nor `nobody` to run it as")]
    Root,
    /// A file or a process could not be made.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A server program ended with an error.
    #[error("{program} failed: {output}")]
    Program {
        /// Which program.
        program: &'static str,
        /// What it printed.
        output: String,
    },
    /// The server does not answer.
    #[error("PostgreSQL did not accept a connection within {} s", START.as_secs())]
    Silent,
    /// The server refused a connection or an administrative statement.
    #[error("PostgreSQL: {}", describe(.0))]
    Server(#[from] tokio_postgres::Error),
}

fn describe(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), |e| e.message().to_owned())
}

fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Error {
    let what = what.into();
    move |source| Error::Io { what, source }
}

/// The two programs that a server needs, of one installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    /// Makes the data folder.
    pub initdb: PathBuf,
    /// The server.
    pub postgres: PathBuf,
    /// Major version.
    pub version: u32,
}

impl Programs {
    /// Finds an installation: PATH first, then the folders packages use, newest first.
    ///
    /// # Errors
    /// [`Error::Missing`] when there is none of a usable version.
    pub fn find() -> Result<Self, Error> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut folders: Vec<PathBuf> = std::env::split_paths(&path).filter(|folder| folder.is_absolute()).collect();
        let mut packaged = Vec::new();
        for (parent, suffix) in
            [("/usr/lib/postgresql", "bin"), ("/opt/homebrew/opt", "bin"), ("/usr/local/opt", "bin"), ("/usr", "bin")]
        {
            let Ok(entries) = std::fs::read_dir(parent) else { continue };
            for entry in entries.flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                let version = name.trim_start_matches("postgresql@").trim_start_matches("pgsql-");
                if let Ok(version) = version.parse::<u32>() {
                    packaged.push((version, entry.path().join(suffix)));
                } else if name == "postgresql" {
                    packaged.push((0, entry.path().join(suffix)));
                }
            }
        }
        packaged.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
        folders.extend(packaged.into_iter().map(|(_, folder)| folder));

        let mut found = String::new();
        for folder in folders {
            let (initdb, postgres) = (folder.join("initdb"), folder.join("postgres"));
            if !initdb.is_file() || !postgres.is_file() {
                continue;
            }
            match version(&postgres) {
                Some(version) if version >= OLDEST => return Ok(Self { initdb, postgres, version }),
                Some(version) => found = format!("; {} is version {version}", postgres.display()),
                None => found = format!("; {} does not run", postgres.display()),
            }
        }
        Err(Error::Missing { found })
    }
}

fn version(postgres: &Path) -> Option<u32> {
    let output = Command::new(postgres).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let number = text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// The user that the server runs as when this process is root.
#[derive(Debug, Clone, Copy)]
struct Unprivileged {
    uid: u32,
    gid: u32,
}

impl Unprivileged {
    /// None when this process is not root.
    fn needed(folder: &Path) -> Result<Option<Self>, Error> {
        let owner = std::fs::metadata(folder).map_err(io("reading the temporary folder"))?.uid();
        if owner != 0 {
            return Ok(None);
        }
        let users = std::fs::read_to_string("/etc/passwd").map_err(io("reading /etc/passwd"))?;
        let named = |name: &str| {
            users.lines().find_map(|line| {
                let mut fields = line.split(':');
                (fields.next()? == name).then_some(())?;
                let uid = fields.nth(1)?.parse().ok()?;
                let gid = fields.next()?.parse().ok()?;
                Some(Self { uid, gid })
            })
        };
        named("postgres").or_else(|| named("nobody")).map(Some).ok_or(Error::Root)
    }

    fn apply(user: Option<Self>, command: &mut Command) -> &mut Command {
        match user {
            Some(user) => command.uid(user.uid).gid(user.gid),
            None => command,
        }
    }
}

/// Starts the server, then waits for it or for the end of the pipe on its standard input, and cleans up.
/// `$1` is the folder, the rest the server's command line.
const WATCHDOG: &str = r#"
folder=$1; shift
exec 3<&0
"$@" </dev/null 3<&- &
server=$!
trap 'kill -QUIT $server 2>/dev/null' HUP INT TERM
( trap '' HUP INT; read -r _ <&3; kill -QUIT $server 2>/dev/null ) &
watch=$!
exec 3<&-
wait $server
code=$?
while kill -0 $server 2>/dev/null; do wait $server; done
kill $watch 2>/dev/null
cd / && rm -rf "$folder"
exit $code
"#;

/// A running server. Dropping it stops the server (without waiting for it).
pub struct Server {
    folder: PathBuf,
    watchdog: Mutex<Option<Child>>,
    /// What the prelude set for its database: name and value.
    session_settings: Vec<(String, String)>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}

impl Server {
    /// Initialises and starts a server that takes `connections` sessions at once, with the dialect's prelude in the
    /// template, so that every database made later has it.
    ///
    /// # Errors
    /// [`Error`]: programs missing, no user to run as, or a program that failed, with what it printed.
    pub async fn start(connections: usize) -> Result<Self, Error> {
        let server = tokio::task::spawn_blocking(move || Self::spawn(connections))
            .await
            .map_err(|e| Error::Io { what: "starting PostgreSQL".to_owned(), source: std::io::Error::other(e) })??;
        let mut server = server;
        let administrator = server.first_connection().await?;
        for script in dialect::prelude() {
            administrator.batch_execute(script).await?;
        }
        drop(administrator);
        // A second session: it has what the prelude set for the database.
        server.session_settings = server.read_session_settings().await?;
        Ok(server)
    }

    async fn read_session_settings(&self) -> Result<Vec<(String, String)>, Error> {
        let template = self.connect("template1", ADMINISTRATOR).await?;
        let rows = template
            .query(
                "select name, pg_catalog.current_setting(name) from (\
                   select pg_catalog.split_part(setting, '=', 1) as name from pg_catalog.pg_db_role_setting s \
                   join pg_catalog.pg_database d on d.oid = s.setdatabase, pg_catalog.unnest(s.setconfig) setting \
                   where d.datname = 'template1' and s.setrole = 0) as names",
                &[],
            )
            .await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    fn spawn(connections: usize) -> Result<Self, Error> {
        let programs = Programs::find()?;
        let (folder, user) = temporary_folder()?;
        // From here on the server's Drop (or the watchdog) removes the folder.
        let server = Self { folder: folder.clone(), watchdog: Mutex::new(None), session_settings: Vec::new() };
        let data = folder.join("data");
        let mut initdb = Command::new(&programs.initdb);
        initdb
            .arg("--pgdata")
            .arg(&data)
            .args(["--no-sync", "--no-instructions", "--auth=trust", "--encoding=UTF8", "--locale=C", "--username"])
            .arg(ADMINISTRATOR)
            .current_dir("/")
            .stdin(Stdio::null());
        let output = Unprivileged::apply(user, &mut initdb).output().map_err(io("running initdb"))?;
        if !output.status.success() {
            let output = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(Error::Program { program: "initdb", output });
        }

        let log = std::fs::File::create(folder.join("log")).map_err(io("making the server's log"))?;
        let mut watchdog = Command::new("/bin/sh");
        watchdog.args(["-c", WATCHDOG, "tasker-postgres"]).arg(&folder).arg(&programs.postgres).arg("-D").arg(&data);
        for setting in settings(&folder, connections) {
            watchdog.arg("-c").arg(setting);
        }
        watchdog
            .current_dir("/")
            .env_remove("PGDATA")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            // Its own group: a Ctrl-C in the terminal is for us, and we stop the server in order.
            .process_group(0);
        let child = Unprivileged::apply(user, &mut watchdog).spawn().map_err(io("starting the server"))?;
        *server.child() = Some(child);
        Ok(server)
    }

    fn child(&self) -> std::sync::MutexGuard<'_, Option<Child>> {
        self.watchdog.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn first_connection(&self) -> Result<tokio_postgres::Client, Error> {
        let end = Instant::now() + START;
        loop {
            match self.connect("template1", ADMINISTRATOR).await {
                Ok(client) => return Ok(client),
                Err(error) if Instant::now() > end => {
                    return Err(if error.as_db_error().is_some() { error.into() } else { Error::Silent });
                }
                Err(_) => {}
            }
            if let Some(child) = self.child().as_mut()
                && child.try_wait().map_err(io("watching the server"))?.is_some()
            {
                let mut output = String::new();
                // The watchdog has removed the folder with the log in it, unless it could not.
                if let Ok(mut log) = std::fs::File::open(self.folder.join("log")) {
                    let _ = log.read_to_string(&mut output);
                }
                return Err(Error::Program { program: "postgres", output });
            }
            tokio::time::sleep(Duration::from_millis(4)).await;
        }
    }

    /// The connection settings of a session.
    #[must_use]
    pub fn session(&self, database: &str, user: &str) -> tokio_postgres::Config {
        let mut config = tokio_postgres::Config::new();
        config.host_path(&self.folder).port(5432).dbname(database).user(user).application_name("redshift-data");
        config
    }

    /// Opens a session; its traffic runs on the current tokio runtime.
    ///
    /// # Errors
    /// The server's refusal, for example SQLSTATE 3D000 for a database that does not exist.
    pub async fn connect(&self, database: &str, user: &str) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
        let (client, connection) = self.session(database, user).connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// Makes a database with the dialect's prelude and its settings; one that exists is left as it is.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn create_database(&self, name: &str) -> Result<(), Error> {
        // Not from template1: nobody may be connected to a template while it is copied.
        let administrator = self.connect("postgres", ADMINISTRATOR).await?;
        let made = administrator.batch_execute(&format!("create database {}", quote(name))).await;
        tolerate_duplicate(made)?;
        self.settle(&administrator, name).await
    }

    /// Gives a database the session settings that the prelude made for the template: PostgreSQL does not copy them.
    async fn settle(&self, administrator: &tokio_postgres::Client, name: &str) -> Result<(), Error> {
        for (setting, value) in &self.session_settings {
            administrator.query_one("select pg_catalog.set_config($1, $2, false)", &[setting, value]).await?;
            administrator.batch_execute(&format!("alter database {} set {setting} from current", quote(name))).await?;
        }
        Ok(())
    }

    /// Makes a database user who may do everything, unless a user of that name exists: then it stays as it is, so that
    /// users made by SQL have the rights that SQL gave them.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn ensure_user(&self, name: &str) -> Result<(), Error> {
        let administrator = self.connect("postgres", ADMINISTRATOR).await?;
        tolerate_duplicate(administrator.batch_execute(&format!("create role {} login superuser", quote(name))).await)
    }

    /// Stops the server and waits until it is gone.
    pub async fn stop(&self) {
        let child = self.child().take();
        if let Some(mut child) = child {
            drop(child.stdin.take());
            let ended = tokio::task::spawn_blocking(move || child.wait()).await;
            tracing::debug!(?ended, "PostgreSQL stopped");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        match self.child().take() {
            // Closing the pipe is what the watchdog waits for; it removes the folder.
            Some(mut child) => drop(child.stdin.take()),
            // Never started, or stopped: nothing may be left.
            None => drop(std::fs::remove_dir_all(&self.folder)),
        }
    }
}

fn tolerate_duplicate(made: Result<(), tokio_postgres::Error>) -> Result<(), Error> {
    match made {
        Err(error) if error.code().is_some_and(|code| DUPLICATES.contains(&code.code())) => Ok(()),
        other => Ok(other?),
    }
}

/// A folder that the server's user can reach, with a path short enough for a socket in it (103 bytes on macOS), and who
/// that user is when it is not the current one.
fn temporary_folder() -> Result<(PathBuf, Option<Unprivileged>), Error> {
    let make = |parent: &Path| {
        tempfile::Builder::new()
            .prefix("redshift-")
            .tempdir_in(parent)
            .map_err(io(format!("making a temporary folder in {}", parent.display())))
    };
    let preferred = std::env::temp_dir();
    let mut folder = make(&preferred)?;
    let user = Unprivileged::needed(folder.path())?;
    let open = |folder: &Path| std::fs::metadata(folder).is_ok_and(|m| m.mode() & 0o001 != 0);
    let reachable = user.is_none() || preferred.ancestors().all(open);
    if !reachable || folder.path().as_os_str().len() > 85 {
        folder = make(Path::new("/tmp"))?;
    }
    if let Some(user) = user {
        std::os::unix::fs::chown(folder.path(), Some(user.uid), Some(user.gid))
            .map_err(io("giving the folder to the server's user"))?;
    }
    Ok((folder.keep(), user))
}

fn settings(folder: &Path, connections: usize) -> Vec<String> {
    let mut settings: Vec<String> = [
        "listen_addresses=",
        "unix_socket_permissions=0700",
        // The data is thrown away: nothing has to survive a crash.
        "fsync=off",
        "full_page_writes=off",
        "synchronous_commit=off",
        "wal_level=minimal",
        "max_wal_senders=0",
        "autovacuum=off",
        // Redshift's defaults.
        "timezone=UTC",
        "datestyle=ISO, MDY",
        "standard_conforming_strings=on",
        // Compiling a short query costs more than it saves.
        "jit=off",
        "logging_collector=off",
        // SQL text never reaches a log.
        "log_min_messages=fatal",
        "log_min_error_statement=panic",
        "log_statement=none",
    ]
    .map(str::to_owned)
    .to_vec();
    settings.push(format!("unix_socket_directories={}", folder.display()));
    settings.push(format!("max_connections={connections}"));
    settings
}

/// An identifier in double quotes.
fn quote(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}
