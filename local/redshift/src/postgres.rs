//! A throw-away PostgreSQL server: found, initialised in a temporary folder, reached through a Unix socket only.
//!
//! What must never happen: a TCP listener, a server or its folder that outlives this process (a watchdog shell holds the
//! other end of a pipe: when the pipe closes, for whatever reason, it stops the server and removes the folder), SQL text
//! in the server's log.

use crate::dialect;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::OnceCell;
use tokio_postgres::NoTls;

/// The bootstrap superuser; Redshift's has this name.
pub const ADMINISTRATOR: &str = "rdsdb";

/// Oldest major version that has what the dialect builds on (MERGE came with 15).
const OLDEST: u32 = 15;
/// Where packages put their versions: Debian, Homebrew on Apple and on Intel, the PostgreSQL project's own for Fedora.
const PACKAGED: [&str; 4] = ["/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt", "/usr"];
/// How long the server may take to accept its first connection.
const START: Duration = Duration::from_secs(60);
/// SQLSTATEs of CREATE ROLE for one that exists: found, or met in the catalog's index by two at once.
const DUPLICATE: [&str; 2] = ["42710", "23505"];

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
        Self::find_in(&path, &PACKAGED.map(Path::new))
    }

    /// `packaged` are folders with a folder per version (`17`, `postgresql@17`, `pgsql-17`), each with `bin` in it.
    fn find_in(path: &OsStr, packaged: &[&Path]) -> Result<Self, Error> {
        let mut folders: Vec<PathBuf> = std::env::split_paths(path).filter(|folder| folder.is_absolute()).collect();
        let mut versions = Vec::new();
        for entry in packaged.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let version = name.trim_start_matches("postgresql@").trim_start_matches("pgsql-");
            // Homebrew has its newest without a number too.
            let version = if name == "postgresql" { Some(0) } else { version.parse::<u32>().ok() };
            versions.extend(version.map(|version| (version, entry.path().join("bin"))));
        }
        versions.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
        folders.extend(versions.into_iter().map(|(_, folder)| folder));

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

/// Starts the server, then waits for it or for the end of the pipe on its standard input, and cleans up. Standard output
/// is closed when the server is gone: what is left then, the removal of the folder, takes long on a slow disk and nobody
/// has to wait for it. `$1` is the folder, the rest the server's command line.
const WATCHDOG: &str = r#"
folder=$1; shift
exec 3<&0
"$@" </dev/null >/dev/null 3<&- &
server=$!
trap 'kill -QUIT $server 2>/dev/null' HUP INT TERM
( trap '' HUP INT; exec >&-; read -r _ <&3; kill -QUIT $server 2>/dev/null ) &
watch=$!
exec 3<&-
wait $server
code=$?
while kill -0 $server 2>/dev/null; do wait $server; done
kill $watch 2>/dev/null
exec >&-
cd / && rm -rf "$folder"
exit $code
"#;

/// A running server. Dropping it stops the server (without waiting for it).
pub struct Server {
    folder: PathBuf,
    watchdog: Mutex<Option<Child>>,
    /// Databases made or being made.
    databases: Mutex<HashMap<String, Arc<OnceCell<()>>>>,
    /// The database that initdb leaves has not been given away yet.
    spare: AtomicBool,
    /// The watchdog has been told to end: the folder is its affair.
    stopped: AtomicBool,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}

impl Server {
    /// Initialises and starts a server that takes `connections` sessions at once.
    ///
    /// # Errors
    /// [`Error`]: programs missing, no user to run as, or a program that failed, with what it printed.
    pub async fn start(connections: usize) -> Result<Self, Error> {
        let server = tokio::task::spawn_blocking(move || Self::spawn(connections))
            .await
            .map_err(|e| Error::Io { what: "starting PostgreSQL".to_owned(), source: std::io::Error::other(e) })??;
        server.ready().await?;
        Ok(server)
    }

    fn spawn(connections: usize) -> Result<Self, Error> {
        let programs = Programs::find()?;
        let (folder, user) = temporary_folder()?;
        // From here on the server's Drop (or the watchdog) removes the folder.
        let server = Self {
            folder: folder.clone(),
            watchdog: Mutex::new(None),
            databases: Mutex::default(),
            spare: true.into(),
            stopped: false.into(),
        };
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
            .stdout(Stdio::piped())
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

    /// Waits for the first session.
    async fn ready(&self) -> Result<(), Error> {
        let end = Instant::now() + START;
        loop {
            match self.administrator().await {
                Ok(_) => return Ok(()),
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

    /// A session for administration. Not in a user's database, so that none is held open by it.
    async fn administrator(&self) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
        self.connect("template1", ADMINISTRATOR).await
    }

    /// Makes a database that speaks Redshift, once; later calls, also concurrent ones, wait for the first.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn create_database(&self, name: &str) -> Result<(), Error> {
        let made = {
            let mut databases = self.databases.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(databases.entry(name.to_owned()).or_default())
        };
        made.get_or_try_init(|| async {
            let administrator = self.administrator().await?;
            // initdb has just written one: a new name costs nothing, a copy up to 300 ms on a slow disk.
            let how = if self.spare.swap(false, Ordering::Relaxed) {
                format!("alter database postgres rename to {}", quote(name))
            } else {
                // Not from template1, where administrators' sessions are: a template must be free.
                format!("create database {} template template0", quote(name))
            };
            administrator.batch_execute(&how).await?;
            let database = self.connect(name, ADMINISTRATOR).await?;
            for script in dialect::prelude() {
                database.batch_execute(script).await?;
            }
            Ok(())
        })
        .await
        .copied()
    }

    /// Makes a database user who may do everything, unless a user of that name exists: then it stays as it is, so that
    /// users made by SQL have the rights that SQL gave them.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn ensure_user(&self, name: &str) -> Result<(), Error> {
        let made =
            self.administrator().await?.batch_execute(&format!("create role {} login superuser", quote(name))).await;
        match made {
            Err(error) if error.code().is_some_and(|code| DUPLICATE.contains(&code.code())) => Ok(()),
            made => Ok(made?),
        }
    }

    /// Stops the server at once, as what it holds is thrown away, and waits until it is gone. Its folder goes right after,
    /// also when this process ends before.
    pub async fn stop(&self) {
        let Some(mut child) = self.child().take() else { return };
        self.stopped.store(true, Ordering::Relaxed);
        drop(child.stdin.take());
        let (gone, ended) = tokio::sync::oneshot::channel();
        // A thread of its own: the end of a runtime would wait for one of the runtime's.
        std::thread::spawn(move || {
            if let Some(mut output) = child.stdout.take() {
                let _ = output.read_to_end(&mut Vec::new());
            }
            // Nobody waits any more where the caller was dropped.
            let _ = gone.send(());
            let ended = child.wait();
            tracing::debug!(?ended, "PostgreSQL's folder is removed");
        });
        let _ = ended.await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        match self.child().take() {
            // Closing the pipe is what the watchdog waits for; it removes the folder.
            Some(mut child) => drop(child.stdin.take()),
            None if self.stopped.load(Ordering::Relaxed) => {}
            // Never started: nothing may be left.
            None => drop(std::fs::remove_dir_all(&self.folder)),
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// Two programs that only know their version.
    fn install(folder: &Path, version: &str) {
        std::fs::create_dir_all(folder).unwrap();
        for program in ["initdb", "postgres"] {
            let file = folder.join(program);
            std::fs::write(&file, format!("#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n")).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    #[test]
    fn the_path_comes_first_then_the_newest_package() {
        let root = tempfile::tempdir().unwrap();
        let (path, packages) = (root.path().join("path"), root.path().join("packages"));
        install(&packages.join("postgresql@16/bin"), "16.2 (Homebrew)");
        install(&packages.join("18/bin"), "18beta1");
        install(&packages.join("9/bin"), "9.6.1");
        let found = Programs::find_in(path.as_os_str(), &[&packages]).unwrap();
        assert_eq!((found.version, found.initdb), (18, packages.join("18/bin/initdb")));
        install(&path, "15.7");
        let found = Programs::find_in(path.as_os_str(), &[&packages]).unwrap();
        assert_eq!((found.version, found.postgres), (15, path.join("postgres")));
    }

    #[test]
    fn what_is_missing_is_said_with_how_to_install_it() {
        let root = tempfile::tempdir().unwrap();
        let nothing = Programs::find_in(root.path().as_os_str(), &[]).unwrap_err().to_string();
        assert!(nothing.contains("not found") && nothing.contains("apt-get install postgresql"), "{nothing}");
        install(root.path(), "14.11");
        let old = Programs::find_in(root.path().as_os_str(), &[]).unwrap_err().to_string();
        assert!(old.contains("postgres is version 14"), "{old}");
    }
}
