//! Joining again: a new membership takes the place of one that ended, and what the user has of the mesh stays.
//!
//! Until the broker has taken the new one, the old one lies aside, under the negative number of its mesh.

use claudemesh_core::session::MessageState;
use rusqlite::{Connection, params};

use super::query::{MeshRow, NewMesh, insert_roster, not_free};
use super::{Store, db_error, log};
use crate::error::Error;

/// What belongs to a device, and not to its user.
const OF_THE_DEVICE: [&str; 7] = ["value", "roster", "record", "outbox", "next_seq", "seen", "invite"];

impl Store {
    /// Puts a new membership, with its device key, in the place of the one that ended in its row.
    pub(crate) async fn replace_mesh(&self, new: NewMesh) -> Result<(), Error> {
        self.run(move |store| {
            let tx = store.db.transaction().map_err(db_error)?;
            move_all(&tx, new.row.row, -new.row.row).map_err(db_error)?;
            update(&tx, &new.row).map_err(not_free)?;
            insert_roster(&tx, new.row.row, &new.roster)?;
            tx.commit().map_err(db_error)?;
            store.seen = Default::default();
            store.logs.clear();
            Ok(())
        })
        .await
    }

    /// The new membership came to nothing: all is as it was.
    pub(crate) async fn restore_mesh(&self, old: MeshRow) -> Result<(), Error> {
        self.run(move |store| {
            let tx = store.db.transaction().map_err(db_error)?;
            delete(&tx, "= ?1", old.row).map_err(db_error)?;
            move_all(&tx, -old.row, old.row).map_err(db_error)?;
            update(&tx, &old).map_err(db_error)?;
            tx.commit().map_err(db_error)?;
            store.seen = Default::default();
            store.logs.clear();
            Ok(())
        })
        .await
    }

    /// The new membership stands: forgets the old one, its keys first of all.
    pub(crate) async fn settle_meshes(&self) -> Result<(), Error> {
        self.run(|store| settle(&mut store.db)).await
    }
}

/// Forgets whatever lies aside. What its device had under way, nobody will hear of any more.
pub(super) fn settle(db: &mut Connection) -> Result<(), Error> {
    let tx = db.transaction().map_err(db_error)?;
    tx.execute(
        "UPDATE sent SET state = ?1, reason = NULL
         WHERE state < ?2 AND mesh IN (SELECT DISTINCT -mesh FROM roster WHERE mesh < 0)",
        params![MessageState::Expired.rank(), MessageState::Delivered.rank()],
    )
    .map_err(db_error)?;
    delete(&tx, "< ?1", 0).map_err(db_error)?;
    tx.commit().map_err(db_error)
}

fn move_all(tx: &Connection, from: i64, to: i64) -> rusqlite::Result<()> {
    OF_THE_DEVICE.iter().chain(&log::TABLES).try_for_each(|table| {
        tx.execute(&format!("UPDATE {table} SET mesh = ?2 WHERE mesh = ?1"), [from, to]).map(drop)
    })
}

fn delete(tx: &Connection, which: &str, mesh: i64) -> rusqlite::Result<()> {
    log::forget(tx, which, mesh)?;
    OF_THE_DEVICE
        .iter()
        .try_for_each(|table| tx.execute(&format!("DELETE FROM {table} WHERE mesh {which}"), [mesh]).map(drop))
}

fn update(tx: &Connection, row: &MeshRow) -> rusqlite::Result<()> {
    tx.execute(
        "UPDATE mesh SET device_seed = ?2, label = ?3, name = ?4, broker_url = ?5, broker_key = ?6, insecure = ?7,
            embedded = ?8, state = ?9, hints = ?10 WHERE id = ?1",
        params![
            row.row,
            &row.device_seed[..],
            row.label,
            row.name,
            row.broker_url,
            row.broker_key,
            row.insecure,
            row.embedded,
            row.state,
            row.hints
        ],
    )
    .map(drop)
}

#[cfg(test)]
mod tests {
    use claudemesh_core::codec::Bytes;
    use claudemesh_core::session::Change;
    use claudemesh_core::{DeviceId, MemberId, MeshId, MessageId, Millis};

    use super::*;
    use crate::error::ErrorKind;

    const MESH: MeshId = MeshId::from_bytes([1; 32]);

    fn mesh(label: &str, seed: u8) -> NewMesh {
        let row = MeshRow {
            row: 0,
            mesh: [seed; 32],
            device_seed: zeroize::Zeroizing::new([seed; 32]),
            label: label.into(),
            name: "bob".into(),
            broker_url: "ws://127.0.0.1:1".into(),
            broker_key: [3; 32],
            insecure: false,
            embedded: false,
            state: "left".into(),
            selected: false,
            hints: Vec::new(),
        };
        NewMesh { row, roster: vec![vec![seed]] }
    }

    /// A mesh that was left: the broker has taken a message, and nobody has said more of it.
    async fn left() -> (Store, MeshRow) {
        let store = Store::open(None).unwrap();
        let mut old = mesh("main", 1);
        old.row.row = store.add_mesh(mesh("main", 1)).await.unwrap();
        let (device, member) = (DeviceId::from_bytes([5; 32]), MemberId::from_bytes([6; 32]));
        let [unknown, known] = [(7, MessageState::Accepted), (8, MessageState::Delivered)].map(|(id, state)| {
            let id = MessageId::from_bytes([id; 16]);
            Change::State { id, device, member, state, at: Millis(1), visible: true }
        });
        let own = Change::OwnStatus { status: Bytes(vec![9]) };
        store.commit(old.row.row, vec![unknown, known, own], Vec::new(), true).await.unwrap();
        (store, old.row)
    }

    async fn states(store: &Store, row: i64) -> Vec<MessageState> {
        let mut states = Vec::new();
        for id in [7, 8] {
            states.extend(store.message(row, [id; 16]).await.unwrap().into_iter().map(|message| message.state));
        }
        states
    }

    fn again(old: &MeshRow) -> NewMesh {
        let mut new = mesh("main", 1);
        new.row =
            MeshRow { row: old.row, device_seed: zeroize::Zeroizing::new([2; 32]), state: "active".into(), ..new.row };
        new.roster = vec![vec![1], vec![2]];
        new
    }

    #[tokio::test]
    async fn a_new_membership_begins_anew_beside_what_was_sent() {
        let (store, old) = left().await;
        store.replace_mesh(again(&old)).await.unwrap();
        store.settle_meshes().await.unwrap();
        let meshes = store.meshes().await.unwrap();
        assert_eq!((meshes.len(), meshes[0].row, &meshes[0].device_seed[..]), (1, old.row, &[2; 32][..]));
        let snapshot = store.load(old.row, MESH).await.unwrap();
        assert_eq!((snapshot.roster.len(), snapshot.own_status), (2, None));
        assert_eq!(states(&store, old.row).await, [MessageState::Expired, MessageState::Delivered]);
        let aside = store.load(-old.row, MESH).await.unwrap();
        assert!(aside.roster.is_empty() && aside.own_status.is_none(), "nothing is left of the old one");
    }

    #[tokio::test]
    async fn a_refused_membership_leaves_everything_as_it_was() {
        let (store, old) = left().await;
        store.replace_mesh(again(&old)).await.unwrap();
        store.restore_mesh(old.clone()).await.unwrap();
        store.settle_meshes().await.unwrap();
        let meshes = store.meshes().await.unwrap();
        assert_eq!((&meshes[0].device_seed[..], meshes[0].state.as_str()), (&[1; 32][..], "left"));
        let snapshot = store.load(old.row, MESH).await.unwrap();
        assert_eq!((snapshot.roster.len(), snapshot.own_status), (1, Some(Bytes(vec![9]))));
        assert_eq!(states(&store, old.row).await, [MessageState::Accepted, MessageState::Delivered]);
    }

    #[tokio::test]
    async fn a_label_of_another_mesh_changes_nothing() {
        let (store, old) = left().await;
        store.add_mesh(mesh("work", 4)).await.unwrap();
        let mut new = again(&old);
        new.row.label = "work".into();
        assert_eq!(store.replace_mesh(new).await.unwrap_err().kind(), ErrorKind::Conflict);
        assert_eq!(store.load(old.row, MESH).await.unwrap().own_status, Some(Bytes(vec![9])));
    }

    #[tokio::test]
    async fn a_crash_in_between_is_settled_at_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let store = Store::open(Some(&path)).unwrap();
        let mut old = mesh("main", 1).row;
        old.row = store.add_mesh(mesh("main", 1)).await.unwrap();
        store.replace_mesh(again(&old)).await.unwrap();
        store.close().await;
        let store = Store::open(Some(&path)).unwrap();
        assert!(store.load(-old.row, MESH).await.unwrap().roster.is_empty());
        assert_eq!(store.load(old.row, MESH).await.unwrap().roster.len(), 2);
    }
}
