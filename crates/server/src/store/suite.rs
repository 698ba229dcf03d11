//! What every log store must do, whatever it is made of. An implementation's own tests call [`check_all`] with a
//! way of opening it in a directory; opening a second time there must find what the first left.

use super::{Error, LogStore, Record};
use ensemble_model::wanted::Epoch;
use std::path::Path;

pub(super) async fn check_all<S: LogStore>(open: impl AsyncFn(&Path) -> S) {
    records_come_back_in_order_and_in_pages(&open).await;
    an_empty_store_has_nothing(&open).await;
    a_sequence_is_written_once(&open).await;
    an_older_epoch_is_shut_out(&open).await;
    the_newest_snapshot_counts_and_the_one_before_stays_usable(&open).await;
    any_bytes_are_kept_as_they_are(&open).await;
}

async fn records_come_back_in_order_and_in_pages<S: LogStore>(open: impl AsyncFn(&Path) -> S) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let epoch = store.fence().await.unwrap();
    for sequence in 1..=5 {
        store.append(epoch, sequence, format!("record {sequence}").as_bytes()).await.unwrap();
    }
    drop(store);

    let store = open(dir.path()).await;

    assert_eq!(sequences(&store.read_from(1, 100).await.unwrap()), [1, 2, 3, 4, 5]);
    assert_eq!(sequences(&store.read_from(2, 3).await.unwrap()), [2, 3, 4]);
    assert_eq!(sequences(&store.read_from(6, 3).await.unwrap()), [0; 0]);
    let third = Record { sequence: 3, bytes: b"record 3".to_vec() };
    assert_eq!(store.read_from(3, 1).await.unwrap(), [third]);
}

async fn an_empty_store_has_nothing<S: LogStore>(open: impl AsyncFn(&Path) -> S) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;

    assert_eq!(store.read_from(0, 10).await.unwrap(), []);
    assert_eq!(store.get_snapshot().await.unwrap(), None);
}

async fn a_sequence_is_written_once<S: LogStore>(open: impl AsyncFn(&Path) -> S) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let epoch = store.fence().await.unwrap();
    store.append(epoch, 1, b"first").await.unwrap();

    let again = store.append(epoch, 1, b"second").await;

    assert!(matches!(again, Err(Error::Taken { sequence: 1 })), "{again:?}");
    assert_eq!(store.read_from(1, 10).await.unwrap(), [Record { sequence: 1, bytes: b"first".to_vec() }]);
}

async fn an_older_epoch_is_shut_out<S: LogStore>(open: impl AsyncFn(&Path) -> S) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let older = store.fence().await.unwrap();
    store.append(older, 1, b"in time").await.unwrap();
    let newer = store.fence().await.unwrap();

    let late = store.append(older, 2, b"late").await;
    let late_snapshot = store.put_snapshot(older, 1, b"late").await;
    let never = store.append(Epoch(newer.0 + 1), 2, b"from the future").await;

    assert!(newer > older);
    assert!(matches!(late, Err(Error::Fenced { .. })), "{late:?}");
    assert!(matches!(late_snapshot, Err(Error::Fenced { .. })), "{late_snapshot:?}");
    assert!(matches!(never, Err(Error::Fenced { .. })), "{never:?}");
    assert_eq!(store.get_snapshot().await.unwrap(), None);
    store.append(newer, 2, b"the new writer's").await.unwrap();
    assert_eq!(sequences(&store.read_from(1, 10).await.unwrap()), [1, 2]);
}

async fn the_newest_snapshot_counts_and_the_one_before_stays_usable<S: LogStore>(
    open: impl AsyncFn(&Path) -> S,
) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let epoch = store.fence().await.unwrap();
    for sequence in 1..=9 {
        store.append(epoch, sequence, b"record").await.unwrap();
    }

    store.put_snapshot(epoch, 3, b"at 3").await.unwrap();
    assert_eq!(sequences(&store.read_from(1, 100).await.unwrap()), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    store.put_snapshot(epoch, 6, b"at 6").await.unwrap();
    assert_eq!(sequences(&store.read_from(1, 100).await.unwrap()), [4, 5, 6, 7, 8, 9]);
    store.put_snapshot(epoch, 8, b"at 8").await.unwrap();

    assert_eq!(sequences(&store.read_from(1, 100).await.unwrap()), [7, 8, 9]);
    let newest = Record { sequence: 8, bytes: b"at 8".to_vec() };
    assert_eq!(store.get_snapshot().await.unwrap(), Some(newest));
}

async fn any_bytes_are_kept_as_they_are<S: LogStore>(open: impl AsyncFn(&Path) -> S) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let epoch = store.fence().await.unwrap();
    let every_byte: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
    store.append(epoch, 1, &every_byte).await.unwrap();
    store.append(epoch, 2, b"").await.unwrap();

    let found = store.read_from(1, 10).await.unwrap();

    assert_eq!(found[0].bytes, every_byte);
    assert_eq!(found[1].bytes, b"");
}

fn sequences(records: &[Record]) -> Vec<u64> {
    records.iter().map(|record| record.sequence).collect()
}
