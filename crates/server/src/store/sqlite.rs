//! The log store on SQLite: WAL, `synchronous=FULL`, one row a record, so one sync an append.
//! Must not be opened by two servers at once; `data_dir` sees to that, and the epoch to what slips through.

use super::{Error, LogStore, Record};
use ensemble_model::wanted::Epoch;
use sqlx::Row;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

/// Of the tables below; written to `user_version`.
const LAYOUT: i64 = 1;

/// Long enough for a snapshot of a million instances to be written beside; an append that waits longer fails,
/// and a failed append is final.
const BUSY_TIMEOUT: Duration = Duration::from_secs(60);

/// One for the writer, one for snapshots, two for readers.
const CONNECTIONS: u32 = 4;

/// More starts than a server has between a backup and its restore.
const EPOCHS_SKIPPED: i64 = 1 << 20;

const TABLES: &str = "
    CREATE TABLE log      (sequence INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, record BLOB NOT NULL) STRICT;
    CREATE TABLE snapshot (sequence INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, bytes  BLOB NOT NULL) STRICT;
    CREATE TABLE leader   (one INTEGER PRIMARY KEY CHECK (one = 1), epoch INTEGER NOT NULL) STRICT;
    INSERT INTO leader VALUES (1, 0);
    PRAGMA user_version = 1;
";

/// A clone is the same store.
#[derive(Clone)]
pub struct SqliteStore {
    pool: SqlitePool,
}

impl SqliteStore {
    /// Opens the log at `path`, or makes an empty one.
    ///
    /// # Errors
    /// [`Error::Open`] when it cannot be read, [`Error::Layout`] when another version made it.
    pub async fn open(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Open { path: path.to_owned(), source };
        // SQLite gives the files beside it the rights of this one.
        let made = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
        made.map_err(|source| failed(sqlx::Error::Io(source)))?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT);
        let opened = SqlitePoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(BUSY_TIMEOUT)
            .connect_with(options)
            .await;
        let store = Self { pool: opened.map_err(failed)? };
        let found = store.layout().await.map_err(failed)?;
        if found != LAYOUT {
            store.pool.close().await;
            return Err(Error::Layout { path: path.to_owned(), found, known: LAYOUT });
        }
        Ok(store)
    }

    /// Opens the log at `path` for reading beside the server that writes it.
    ///
    /// # Errors
    /// [`Error::Open`] when there is none, [`Error::Layout`] when another version made it.
    pub async fn open_to_read(path: &Path) -> Result<Self, Error> {
        let options = SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(BUSY_TIMEOUT);
        let failed = |source| Error::Open { path: path.to_owned(), source };
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.map_err(failed)?;
        let found = sqlx::query("PRAGMA user_version").fetch_one(&pool).await.and_then(|row| row.try_get(0));
        match found.map_err(failed)? {
            LAYOUT => Ok(Self { pool }),
            found => Err(Error::Layout { path: path.to_owned(), found, known: LAYOUT }),
        }
    }

    /// Copies the log as it is at this moment into a new file, while others read and write it.
    ///
    /// # Errors
    /// [`Error::Database`] when it cannot be read, or the file is there already or cannot be written.
    pub async fn copy_to(&self, path: &Path) -> Result<(), Error> {
        let failed = |source| Error::Database { action: "copy", source };
        let text = path
            .to_str()
            .ok_or_else(|| failed(sqlx::Error::Protocol("the path of the copy is no text".to_owned())))?;
        sqlx::query("VACUUM INTO $1").bind(text).execute(&self.pool).await.map_err(failed)?;
        Ok(())
    }

    /// Lets the next server begin far above every epoch that this log's own server may have reached since it was copied.
    ///
    /// # Errors
    /// [`Error::Database`] when it cannot be written.
    pub async fn skip_epochs(&self) -> Result<(), Error> {
        sqlx::query("UPDATE leader SET epoch = epoch + $1")
            .bind(EPOCHS_SKIPPED)
            .execute(&self.pool)
            .await
            .map_err(|source| Error::Database { action: "raise the epoch of", source })?;
        Ok(())
    }

    /// The layout of the tables, after making them in an empty database.
    async fn layout(&self) -> Result<i64, sqlx::Error> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let found: i64 = sqlx::query("PRAGMA user_version").fetch_one(&mut *transaction).await?.try_get(0)?;
        let tables: i64 = sqlx::query("SELECT count(*) FROM sqlite_schema")
            .fetch_one(&mut *transaction)
            .await?
            .try_get(0)?;
        if found == 0 && tables == 0 {
            sqlx::raw_sql(TABLES).execute(&mut *transaction).await?;
            transaction.commit().await?;
            return Ok(LAYOUT);
        }
        transaction.rollback().await?;
        Ok(found)
    }

    /// Waits until every connection is closed, and leaves one file that can be copied; what was appended is durable
    /// with or without it.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

impl LogStore for SqliteStore {
    async fn append(&self, epoch: Epoch, sequence: u64, record: &[u8]) -> Result<(), Error> {
        let written = sqlx::query(
            "INSERT INTO log (sequence, epoch, record) SELECT $1, $2, $3 FROM leader WHERE epoch = $2",
        )
        .bind(number(sequence)?)
        .bind(number(epoch.0)?)
        .bind(record)
        .execute(&self.pool)
        .await
        .map_err(|source| match &source {
            sqlx::Error::Database(error) if error.is_unique_violation() => Error::Taken { sequence },
            _ => Error::Database { action: "append to", source },
        })?;
        if written.rows_affected() == 0 { Err(Error::Fenced { epoch }) } else { Ok(()) }
    }

    async fn read_from(&self, sequence: u64, at_most: u32) -> Result<Vec<Record>, Error> {
        let rows =
            sqlx::query("SELECT sequence, record FROM log WHERE sequence >= $1 ORDER BY sequence LIMIT $2")
                .bind(number(sequence)?)
                .bind(i64::from(at_most))
                .fetch_all(&self.pool)
                .await
                .and_then(|rows| rows.iter().map(record).collect());
        rows.map_err(|source| Error::Database { action: "read", source })
    }

    async fn put_snapshot(&self, epoch: Epoch, sequence: u64, bytes: &[u8]) -> Result<(), Error> {
        let failed = |source| Error::Database { action: "put a snapshot into", source };
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        let written = sqlx::query(
            "INSERT OR REPLACE INTO snapshot (sequence, epoch, bytes) SELECT $1, $2, $3 FROM leader WHERE epoch = $2",
        )
        .bind(number(sequence)?)
        .bind(number(epoch.0)?)
        .bind(bytes)
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
        if written.rows_affected() == 0 {
            return Err(Error::Fenced { epoch });
        }
        for cut in [
            "DELETE FROM snapshot WHERE sequence NOT IN (SELECT sequence FROM snapshot ORDER BY sequence DESC LIMIT 2)",
            "DELETE FROM log WHERE sequence <= (SELECT min(sequence) FROM snapshot) AND 2 = (SELECT count(*) FROM snapshot)",
        ] {
            sqlx::query(cut).execute(&mut *transaction).await.map_err(failed)?;
        }
        transaction.commit().await.map_err(failed)
    }

    async fn get_snapshot(&self) -> Result<Option<Record>, Error> {
        sqlx::query("SELECT sequence, bytes FROM snapshot ORDER BY sequence DESC LIMIT 1")
            .fetch_optional(&self.pool)
            .await
            .and_then(|row| row.as_ref().map(record).transpose())
            .map_err(|source| Error::Database { action: "read a snapshot from", source })
    }

    async fn fence(&self) -> Result<Epoch, Error> {
        let failed = |source| Error::Database { action: "take over", source };
        // A statement by itself that returns rows is committed after the first of them, when nobody asks any more
        // whether that worked.
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        let epoch: i64 = sqlx::query("UPDATE leader SET epoch = epoch + 1 RETURNING epoch")
            .fetch_one(&mut *transaction)
            .await
            .and_then(|row| row.try_get(0))
            .map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(Epoch(epoch.unsigned_abs()))
    }
}

fn record(row: &SqliteRow) -> Result<Record, sqlx::Error> {
    let sequence: i64 = row.try_get(0)?;
    Ok(Record { sequence: sequence.unsigned_abs(), bytes: row.try_get(1)? })
}

/// SQLite's integers are signed.
fn number(number: u64) -> Result<i64, Error> {
    i64::try_from(number).map_err(|_| Error::OutOfRange { number })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::suite;

    #[tokio::test]
    async fn sqlite_is_a_log_store() {
        suite::check_all(async |dir| SqliteStore::open(&dir.join("log.sqlite")).await.unwrap()).await;
    }

    #[tokio::test]
    async fn every_connection_syncs_each_append() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&dir.path().join("log.sqlite")).await.unwrap();

        for _ in 0..CONNECTIONS {
            let mut connection = store.pool.acquire().await.unwrap().detach();
            let row = sqlx::query("PRAGMA synchronous").fetch_one(&mut connection).await.unwrap();
            assert_eq!(row.get::<i64, _>(0), 2);
            let row = sqlx::query("PRAGMA journal_mode").fetch_one(&mut connection).await.unwrap();
            assert_eq!(row.get::<String, _>(0), "wal");
        }
    }

    #[tokio::test]
    async fn an_epoch_that_could_not_be_kept_is_not_given() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&dir.path().join("log.sqlite")).await.unwrap();
        // Whether the epoch is in the other table is checked at the commit, and no earlier.
        let commits_fail = "
            DROP TABLE leader;
            CREATE TABLE allowed (epoch INTEGER PRIMARY KEY);
            INSERT INTO allowed VALUES (1);
            CREATE TABLE leader (epoch INTEGER REFERENCES allowed DEFERRABLE INITIALLY DEFERRED);
            INSERT INTO leader VALUES (1);
        ";
        sqlx::raw_sql(commits_fail).execute(&store.pool).await.unwrap();

        let fenced = store.fence().await;

        assert!(matches!(fenced, Err(Error::Database { action: "take over", .. })), "{fenced:?}");
        let kept = sqlx::query("SELECT epoch FROM leader").fetch_one(&store.pool).await.unwrap();
        assert_eq!(kept.get::<i64, _>(0), 1);
    }

    #[tokio::test]
    async fn tables_of_another_layout_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.sqlite");
        let store = SqliteStore::open(&path).await.unwrap();
        sqlx::query("PRAGMA user_version = 7").execute(&store.pool).await.unwrap();
        store.close().await;

        let Err(error) = SqliteStore::open(&path).await else { panic!("opened") };

        assert!(matches!(error, Error::Layout { found: 7, known: 1, .. }), "{error}");
    }

    #[tokio::test]
    async fn a_file_that_is_no_database_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.sqlite");
        std::fs::write(&path, "something else entirely, and long enough not to be a header").unwrap();

        let Err(error) = SqliteStore::open(&path).await else { panic!("opened") };

        assert!(matches!(error, Error::Open { .. }), "{error}");
    }
}
