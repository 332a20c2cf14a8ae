//! The database's address in SQLAlchemy's spelling, as far as we serve it. It opens nothing.
//! No error repeats the address: it may hold a password.

use std::fmt;
use std::path::{Path, PathBuf};

/// Where the request log is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// A SQLite file; a relative path is relative to the working directory.
    Sqlite(PathBuf),
}

/// Why an address cannot be used, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseUrlError {
    /// It does not begin with `scheme://`.
    #[error("not a database address; write sqlite:///relative/path or sqlite:////absolute/path")]
    NoScheme,
    /// Every connection of a pool would see a database of its own.
    #[error("a database in memory is not supported; name a file, such as sqlite:///model-proxy.db")]
    InMemory,
    /// SQLite has no hosts: usually a slash is missing.
    #[error(
        "sqlite takes three slashes before a relative path and four before an absolute one, \
         such as sqlite:///model-proxy.db"
    )]
    SqliteHost,
    /// We would have to guess what they mean.
    #[error("options after `?` are not supported; remove them")]
    Options,
    /// A C string ends there.
    #[error("the path holds a NUL character")]
    Nul,
    /// Announced, but not there.
    #[error("postgresql comes later; use sqlite:///model-proxy.db until then")]
    Postgres,
    /// Some other database.
    #[error("{0} is not supported; use sqlite:///model-proxy.db")]
    UnknownScheme(String),
}

impl DatabaseUrl {
    /// Reads the value of `DATABASE_URL`. A driver, as in `sqlite+pysqlite`, is ignored.
    pub fn parse(text: &str) -> Result<Self, DatabaseUrlError> {
        let (scheme, rest) = text
            .trim()
            .split_once("://")
            .ok_or(DatabaseUrlError::NoScheme)?;
        let dialect = scheme.split_once('+').map_or(scheme, |(name, _)| name);
        match dialect.to_ascii_lowercase().as_str() {
            "sqlite" => sqlite(rest),
            "postgres" | "postgresql" => Err(DatabaseUrlError::Postgres),
            name if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
                Err(DatabaseUrlError::UnknownScheme(name.to_owned()))
            }
            _ => Err(DatabaseUrlError::NoScheme),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        match self {
            Self::Sqlite(path) => path,
        }
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "sqlite:///{}", self.path().display())
    }
}

/// What follows `sqlite://`: nothing, or a slash and the path.
fn sqlite(rest: &str) -> Result<DatabaseUrl, DatabaseUrlError> {
    if rest.is_empty() {
        return Err(DatabaseUrlError::InMemory);
    }
    let path = rest.strip_prefix('/').ok_or(DatabaseUrlError::SqliteHost)?;
    if path.is_empty() || path.starts_with(":memory:") {
        Err(DatabaseUrlError::InMemory)
    } else if path.contains('?') {
        Err(DatabaseUrlError::Options)
    } else if path.contains('\0') {
        Err(DatabaseUrlError::Nul)
    } else {
        Ok(DatabaseUrl::Sqlite(PathBuf::from(path)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> PathBuf {
        DatabaseUrl::parse(text).unwrap().path().to_owned()
    }

    #[test]
    fn three_slashes_are_relative_and_four_are_absolute() {
        assert_eq!(path("sqlite:///./a.db"), Path::new("./a.db"));
        assert_eq!(path(" sqlite:///data/a.db\n"), Path::new("data/a.db"));
        assert_eq!(path("sqlite:////var/a b.db"), Path::new("/var/a b.db"));
        assert_eq!(path("SQLite+pysqlite:///a.db"), Path::new("a.db"));
    }

    #[test]
    fn an_address_prints_as_it_is_written() {
        for text in ["sqlite:///a.db", "sqlite:////var/a.db"] {
            assert_eq!(DatabaseUrl::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_cannot_be_served_says_what_to_write_instead() {
        for (text, expected) in [
            ("", DatabaseUrlError::NoScheme),
            ("model-proxy.db", DatabaseUrlError::NoScheme),
            ("user:secret@host://x", DatabaseUrlError::NoScheme),
            ("sqlite://", DatabaseUrlError::InMemory),
            ("sqlite:///", DatabaseUrlError::InMemory),
            ("sqlite:///:memory:", DatabaseUrlError::InMemory),
            ("sqlite://a.db", DatabaseUrlError::SqliteHost),
            ("sqlite:///a.db?mode=ro", DatabaseUrlError::Options),
            ("sqlite:///a\0.db", DatabaseUrlError::Nul),
            ("postgres://u:secret@h/d", DatabaseUrlError::Postgres),
            (
                "postgresql+psycopg2://u:secret@h/d",
                DatabaseUrlError::Postgres,
            ),
            (
                "mysql://u:secret@h/d",
                DatabaseUrlError::UnknownScheme("mysql".to_owned()),
            ),
        ] {
            let error = DatabaseUrl::parse(text).unwrap_err();
            assert_eq!(error, expected, "{text}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
