//! What happens to invitations by address.

use pli_schema::records::accounts::EmailOwnerRecord;
use ruma::{OwnedRoomId, RoomVersionId};

use super::*;
use crate::{
    clock::Clock,
    records::Membership,
    rooms::testing::{public_room, rooms, user},
};

fn invitations(rooms: &Rooms) -> Invitations {
    let name = rooms.server_name().to_owned();
    let policy = Policy::new(rooms.store().clone(), Clock::system(), name, true);
    Invitations::new(rooms.clone(), policy, Random::seeded(3), "https://pli.example".to_owned())
}

async fn invite(invitations: &Invitations, room_id: &OwnedRoomId, address: &str) -> Result<()> {
    let sender = &user("alice");
    invitations.invite(ByAddress { sender, room_id, medium: "email", address }).await
}

async fn own(rooms: &Rooms, name: &str, address: &str) {
    let key = &EmailOwnerKey { address: address.to_owned() };
    let record = &EmailOwnerRecord { user_id: user(name), validated_at_ms: 1, added_at_ms: 1 };
    let write = rooms.store().write(|tx| async move {
        tx.put(key, record)?;
        Ok::<_, Error>(())
    });
    write.await.unwrap();
}

#[tokio::test]
async fn an_address_that_gets_an_owner_is_invited_in_every_version() {
    for version in [RoomVersionId::V1, RoomVersionId::V6, RoomVersionId::V11, RoomVersionId::V12] {
        let rooms = rooms();
        let invitations = invitations(&rooms);
        let room = public_room(&rooms, version.clone()).await;
        invite(&invitations, &room, " Bob@Agents.example ").await.unwrap();
        // Twice is once.
        invite(&invitations, &room, "bob@agents.example").await.unwrap();
        let number = rooms.room_number(&room).await.unwrap().unwrap();
        let state = rooms.head(number).await.unwrap().state;
        let waiting = rooms.state_events_of_type(state, THIRD_PARTY_INVITE).await.unwrap();
        assert_eq!(waiting.len(), 1);
        assert!(
            !waiting[0].record.json.contains("agents.example\",")
                || !waiting[0].record.json.contains("bob@")
        );
        let mails = Scan::<InviteMailKey>::prefix(());
        assert_eq!(rooms.store().scan(&mails).await.unwrap().len(), 1);
        assert_eq!(invitations.accept_all().await.unwrap(), 0);
        own(&rooms, "bob", "bob@agents.example").await;
        assert_eq!(invitations.accept_all().await.unwrap(), 1, "{version}");
        assert_eq!(invitations.accept_all().await.unwrap(), 0);
        let bob = rooms.member(number, &user("bob")).await.unwrap().unwrap();
        assert_eq!(bob.membership, Membership::Invite, "{version}");
        rooms.join(&user("bob"), &room, None).await.unwrap();
        // Whoever is known is invited at once.
        own(&rooms, "carol", "carol@agents.example").await;
        invite(&invitations, &room, "carol@agents.example").await.unwrap();
        let carol = rooms.member(number, &user("carol")).await.unwrap().unwrap();
        assert_eq!(carol.membership, Membership::Invite);
    }
}

#[tokio::test]
async fn what_was_taken_back_or_is_too_much_is_not_done() {
    let rooms = rooms();
    let invitations = invitations(&rooms);
    let room = public_room(&rooms, RoomVersionId::V12).await;
    invite(&invitations, &room, "bob@agents.example").await.unwrap();
    let number = rooms.room_number(&room).await.unwrap().unwrap();
    let state = rooms.head(number).await.unwrap().state;
    let waiting = rooms.state_events_of_type(state, THIRD_PARTY_INVITE).await.unwrap();
    let token = waiting[0].pdu().unwrap().state_key.clone().unwrap();
    let empty = crate::rooms::testing::state("alice", THIRD_PARTY_INVITE, &token, &json!({}));
    rooms.append(&room, empty, None).await.unwrap();
    own(&rooms, "bob", "bob@agents.example").await;
    assert_eq!(invitations.accept_all().await.unwrap(), 0);
    assert!(rooms.member(number, &user("bob")).await.unwrap().is_none());
    for n in 0..WAITING_OF_USER_MAX {
        invite(&invitations, &room, &format!("p{n}@agents.example")).await.unwrap();
    }
    let refused = invite(&invitations, &room, "one@more.example").await;
    assert!(matches!(refused, Err(Error::LimitExceeded { .. })), "{refused:?}");
    for (medium, address) in [("msisdn", "33600000000"), ("email", "a@b@c"), ("email", "")] {
        let sender = &user("alice");
        let wish = ByAddress { sender, room_id: &room, medium, address };
        assert!(matches!(invitations.invite(wish).await, Err(Error::InvalidParam(_))));
    }
    let sender = &user("mallory");
    let wish = ByAddress { sender, room_id: &room, medium: "email", address: "x@y.example" };
    assert!(matches!(invitations.invite(wish).await, Err(Error::Forbidden(_))));
}
