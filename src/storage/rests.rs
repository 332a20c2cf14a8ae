//! The table of keys' rests: written provider by provider, read once at start. It knows rests, not the rings they are of.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use diesel::prelude::*;

use super::row::hexadecimal;
use super::schema::key_rests;
use super::{Storage, StorageError};
use crate::routing::keyring::KeptRest;
use crate::routing::outcome::{Class, RestKind};
use crate::secret::Digest;

/// Rows of one `INSERT`, far below the databases' limits of bound values.
const ROWS_PER_INSERT: usize = 500;

const BANNED: &str = "banned";
const TRANSIENT: &str = "transient";

/// Where rests are kept over restarts. Clones write one after the other: however many providers fail at once, the
/// request log loses no more than one connection to them.
#[derive(Clone)]
pub struct RestStore {
    storage: Storage,
    turn: Arc<Mutex<()>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = key_rests)]
#[diesel(check_for_backend(diesel::sqlite::Sqlite))]
struct Row {
    provider: String,
    key_hash: String,
    key_label: String,
    model: String,
    kind: String,
    why: String,
    asked: i16,
    until_ms: i64,
    step_ms: i64,
    failures: i32,
}

impl RestStore {
    /// A store in this database.
    pub fn new(storage: Storage) -> Self {
        Self {
            storage,
            turn: Arc::default(),
        }
    }

    /// Writes what rests of one provider, in place of what was written before.
    ///
    /// # Errors
    /// The database cannot be written at the moment; what was there still is.
    pub fn replace(&self, provider: &str, rests: &[KeptRest]) -> Result<(), StorageError> {
        let rows: Vec<Row> = rests.iter().map(|rest| Row::new(provider, rest)).collect();
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let connection = &mut *self.storage.connection()?;
        connection.immediate_transaction(|connection| {
            diesel::delete(key_rests::table.filter(key_rests::provider.eq(provider)))
                .execute(connection)?;
            for rows in rows.chunks(ROWS_PER_INSERT) {
                diesel::insert_into(key_rests::table)
                    .values(rows)
                    .execute(connection)?;
            }
            QueryResult::Ok(())
        })?;
        Ok(())
    }

    /// What rests at this time, with the provider. Rests that are over are deleted, as are rows that cannot be read.
    ///
    /// # Errors
    /// The database cannot be read or written.
    pub fn load(&self, now: SystemTime) -> Result<Vec<(String, KeptRest)>, StorageError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let connection = &mut *self.storage.connection()?;
        let over = key_rests::until_ms.le(since_epoch(now));
        diesel::delete(key_rests::table.filter(over)).execute(connection)?;
        let rows: Vec<Row> = key_rests::table
            .select(Row::as_select())
            .order((key_rests::provider, key_rests::key_hash, key_rests::model))
            .load(connection)?;
        Ok(rows
            .into_iter()
            .filter_map(|row| Some((row.provider.clone(), row.rest()?)))
            .collect())
    }

    /// Forgets every rest: for a gateway whose rests are switched off.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn forget(&self) -> Result<(), StorageError> {
        let connection = &mut *self.storage.connection()?;
        diesel::delete(key_rests::table).execute(connection)?;
        Ok(())
    }
}

impl Row {
    fn new(provider: &str, rest: &KeptRest) -> Self {
        let (key_hash, key_label) = match &rest.key {
            Some((digest, label)) => (hexadecimal(digest), label.clone()),
            None => (String::new(), String::new()),
        };
        Self {
            provider: provider.to_owned(),
            key_hash,
            key_label,
            model: rest.model.clone().unwrap_or_default(),
            kind: match rest.kind {
                RestKind::Banned => BANNED,
                RestKind::Transient => TRANSIENT,
            }
            .to_owned(),
            why: rest.why.name().to_owned(),
            asked: i16::from(rest.asked),
            until_ms: since_epoch(rest.until),
            step_ms: milliseconds(rest.step),
            failures: i32::try_from(rest.failures).unwrap_or(i32::MAX),
        }
    }

    /// `None` for what a later version may have written.
    fn rest(self) -> Option<KeptRest> {
        let until = Duration::from_millis(u64::try_from(self.until_ms).ok()?);
        Some(KeptRest {
            key: match self.key_hash.as_str() {
                "" => None,
                hash => Some((digest(hash)?, self.key_label)),
            },
            model: Some(self.model).filter(|model| !model.is_empty()),
            kind: match self.kind.as_str() {
                BANNED => RestKind::Banned,
                TRANSIENT => RestKind::Transient,
                _ => return None,
            },
            why: Class::from_name(&self.why)?,
            asked: self.asked != 0,
            until: UNIX_EPOCH.checked_add(until)?,
            step: Duration::from_millis(u64::try_from(self.step_ms).ok()?),
            failures: u32::try_from(self.failures).ok()?,
        })
    }
}

/// Milliseconds since 1970, rounded up: a rest that is read back ends no earlier.
fn since_epoch(time: SystemTime) -> i64 {
    milliseconds(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// Rounded up.
fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(i64::MAX)
}

fn digest(hexadecimal: &str) -> Option<Digest> {
    let mut digest = Digest::default();
    if hexadecimal.len() != 2 * digest.len() {
        return None;
    }
    for (position, byte) in digest.iter_mut().enumerate() {
        let pair = hexadecimal.get(2 * position..2 * position + 2)?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::tests::temporary;

    const NOW: Duration = Duration::from_millis(1_795_348_800_123);

    fn now() -> SystemTime {
        UNIX_EPOCH + NOW
    }

    fn rest(key: Option<u8>, model: Option<&str>, seconds: u64) -> KeptRest {
        KeptRest {
            key: key.map(|number| ([number; 32], format!("KEY_{number}"))),
            model: model.map(str::to_owned),
            kind: RestKind::Banned,
            why: Class::RateLimited,
            asked: true,
            until: now() + Duration::from_secs(seconds),
            step: Duration::ZERO,
            failures: 0,
        }
    }

    fn backoff(seconds: u64) -> KeptRest {
        KeptRest {
            kind: RestKind::Transient,
            why: Class::Transient,
            asked: false,
            step: Duration::from_secs(10),
            failures: 2,
            ..rest(Some(171), Some("m"), seconds)
        }
    }

    fn named(provider: &str, rests: &[KeptRest]) -> Vec<(String, KeptRest)> {
        let rests = rests.iter();
        rests
            .map(|rest| (provider.to_owned(), rest.clone()))
            .collect()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let (_directory, storage) = temporary();
        let store = RestStore::new(storage);
        let rests = [
            rest(None, None, 9),
            rest(Some(1), None, 60),
            rest(Some(171), Some("m"), 70),
            backoff(5),
        ];
        store.replace("acme", &rests).unwrap();
        let mut read = store.load(now()).unwrap();
        read.sort_by_key(|(_, rest)| rest.key.is_some());
        assert_eq!(read, named("acme", &rests));
    }

    #[test]
    fn a_provider_s_rests_replace_its_own_and_nobody_else_s() {
        let (_directory, storage) = temporary();
        let store = RestStore::new(storage);
        let other = [rest(Some(2), None, 30)];
        store.replace("other", &other).unwrap();
        store.replace("acme", &[rest(Some(1), None, 60)]).unwrap();
        store.replace("acme", &[]).unwrap();
        assert_eq!(store.load(now()).unwrap(), named("other", &other));
        store.forget().unwrap();
        assert!(store.load(now()).unwrap().is_empty());
    }

    #[test]
    fn what_is_over_is_deleted_when_it_is_read() {
        let (_directory, storage) = temporary();
        let store = RestStore::new(storage);
        store.replace("acme", &[rest(Some(1), None, 60)]).unwrap();
        let later = now() + Duration::from_secs(60);
        assert!(store.load(later).unwrap().is_empty());
        assert!(store.load(now()).unwrap().is_empty(), "gone for good");
    }

    #[test]
    fn a_row_that_nobody_can_read_hides_no_other() {
        let (_directory, storage) = temporary();
        let store = RestStore::new(storage.clone());
        let good = [rest(Some(1), None, 60)];
        store.replace("acme", &good).unwrap();
        for (key_hash, kind, why) in [
            ("xyz", BANNED, "quota"),
            ("", "asleep", "quota"),
            ("", BANNED, "boredom"),
        ] {
            let mut row = Row::new("zeta", &rest(None, None, 60));
            row.key_hash = key_hash.to_owned();
            row.kind = kind.to_owned();
            row.why = why.to_owned();
            let connection = &mut *storage.connection().unwrap();
            diesel::replace_into(key_rests::table)
                .values(&row)
                .execute(connection)
                .unwrap();
        }
        assert_eq!(store.load(now()).unwrap(), named("acme", &good));
    }

    #[test]
    fn a_deadline_is_rounded_up_to_milliseconds() {
        let (_directory, storage) = temporary();
        let store = RestStore::new(storage);
        let fine = KeptRest {
            until: now() + Duration::from_nanos(1),
            ..rest(Some(1), None, 0)
        };
        store.replace("acme", &[fine]).unwrap();
        let read = store.load(now()).unwrap();
        assert_eq!(read[0].1.until, now() + Duration::from_millis(1));
    }
}
