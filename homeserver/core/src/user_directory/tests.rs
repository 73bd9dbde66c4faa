//! Searches over a store in memory.

use pli_schema::{
    Language, Topic,
    records::accounts::{AccountRecord, ProfileKey, ProfileRecord},
};
use ruma::RoomVersionId;

use super::*;
use crate::{
    Error,
    rooms::testing::{public_room, rooms, user},
};

async fn account(rooms: &Rooms, name: &str, display_name: &str, change: fn(&mut AccountRecord)) {
    let mut record = AccountRecord {
        password_hash: None,
        kind: AccountKind::Agent,
        admin: false,
        from_email: false,
        created_ms: 0,
        language: Language::default(),
        deactivated: false,
        erased: false,
        locked: false,
        suspended: false,
    };
    change(&mut record);
    let (record, user_id) = (&record, &user(name));
    let json = &serde_json::Value::from(display_name).to_string();
    let write = rooms.store().write(|tx| async move {
        tx.put(&AccountKey { user_id: user_id.clone() }, record)?;
        let field = "displayname".to_owned();
        let key = ProfileKey { user_id: user_id.clone(), field };
        tx.put(&key, &ProfileRecord { json: json.clone() })?;
        tx.wake(Topic::User(user_id.clone()));
        Ok::<_, Error>(())
    });
    write.await.unwrap();
}

async fn found(directory: &UserDirectory, asker: &str, term: &str) -> Vec<String> {
    let page = directory.search(&user(asker), term, 10).await.unwrap();
    page.users.iter().map(|found| found.user_id.localpart().to_owned()).collect()
}

#[tokio::test]
async fn names_are_found_by_their_parts_and_follow_their_changes() {
    let rooms = rooms();
    let directory = UserDirectory::new(rooms.clone(), DirectoryScope::All);
    account(&rooms, "alice", "Alice", |_| {}).await;
    account(&rooms, "elodie", "Élodie Lefèvre", |_| {}).await;
    account(&rooms, "jp", "Jean-Pierre Élo", |_| {}).await;
    account(&rooms, "gone", "Élodie Partie", |account| account.deactivated = true).await;
    account(&rooms, "locked", "Élodie Fermée", |account| account.locked = true).await;
    assert_eq!(found(&directory, "alice", "ELO").await, ["elodie", "jp"]);
    assert_eq!(found(&directory, "alice", "lefe elod").await, ["elodie"]);
    assert_eq!(found(&directory, "alice", "odie").await, ["elodie"]);
    assert_eq!(found(&directory, "alice", "@jp").await, ["jp"]);
    assert_eq!(found(&directory, "alice", user("jp").as_str()).await, ["jp"]);
    assert!(found(&directory, "alice", " ").await.is_empty());
    account(&rooms, "elodie", "Madame X", |_| {}).await;
    account(&rooms, "locked", "Élodie Fermée", |_| {}).await;
    account(&rooms, "jp", "Jean", |account| account.locked = true).await;
    assert_eq!(found(&directory, "alice", "lod").await, ["locked", "elodie"]);
    assert_eq!(found(&directory, "alice", "madame").await, ["elodie"]);
    assert!(found(&directory, "alice", "jean").await.is_empty());
    let page = directory.search(&user("alice"), "e", 1).await.unwrap();
    assert_eq!((page.users.len(), page.limited), (1, true));
}

#[tokio::test]
async fn without_a_directory_of_all_those_are_seen_whom_rooms_show() {
    let rooms = rooms();
    let directory = UserDirectory::new(rooms.clone(), DirectoryScope::Rooms);
    for name in ["alice", "bob", "carol"] {
        account(&rooms, name, "Same Name", |_| {}).await;
    }
    account(&rooms, "eve", "Same Name", |account| account.kind = AccountKind::Guest).await;
    assert!(found(&directory, "alice", "same").await.is_empty());
    // Made by alice, open to everyone.
    let open = public_room(&rooms, RoomVersionId::V12).await;
    assert_eq!(found(&directory, "carol", "same").await, ["alice"]);
    assert!(found(&directory, "eve", "same").await.is_empty());
    rooms.join(&user("eve"), &open, None).await.unwrap();
    assert_eq!(found(&directory, "eve", "same").await, ["alice"]);
    rooms.join(&user("bob"), &open, None).await.unwrap();
    rooms.leave(&user("eve"), &open, None).await.unwrap();
    assert_eq!(found(&directory, "carol", "same").await, ["alice", "bob"]);
    rooms.leave(&user("bob"), &open, None).await.unwrap();
    assert_eq!(found(&directory, "carol", "same").await, ["alice"]);
}
