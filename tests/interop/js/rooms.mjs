// What happens in rooms: relations, threads, receipts, membership, spaces, search.

import { assert, equal, refused, until } from "./people.mjs";

const reactionTo = (event_id, key) => ({ "m.relates_to": { rel_type: "m.annotation", event_id, key } });

export async function reactions(alice, bob) {
    const room = await alice.room([bob], { encrypted: true });
    const sent = await alice.send(room, "d'accord ?");
    await bob.hearText(room, "d'accord ?");
    await bob.client.sendEvent(room, null, "m.reaction", reactionTo(sent, "👍"));
    const counted = await until(() => alice.client.getRoom(room).getUnfilteredTimelineSet().relations
        .getChildEventsForEvent(sent, "m.annotation", "m.reaction")?.getSortedAnnotationsByKey(), "the reaction");
    equal(counted.map(([key, events]) => [key, events.size]), [["👍", 1]], "the reactions");
    const listed = await alice.client.relations(room, sent, "m.annotation", "m.reaction");
    equal(listed.events.map((event) => event.getSender()), [bob.id], "the relations");
    await refused(bob.client.sendEvent(room, null, "m.reaction", reactionTo(sent, "👍")), "M_DUPLICATE_ANNOTATION");
}

export async function edits(alice, bob) {
    for (const encrypted of [true, false]) {
        const room = await alice.room([bob], { encrypted });
        const sent = await alice.send(room, "lundi");
        await bob.hearText(room, "lundi");
        const content = { msgtype: "m.text", body: "mardi" };
        const relation = { rel_type: "m.replace", event_id: sent };
        await alice.send(room, { ...content, body: "* mardi", "m.new_content": content, "m.relates_to": relation });
        await bob.hear(room, (event) => event.getId() === sent && event.getContent().body === "mardi", "the edit");
        const late = await bob.another();
        const [original] = await Promise.all([late.client.fetchRoomEvent(room, sent)]);
        assert(original.unsigned["m.relations"]["m.replace"].event_id, original);
        late.stop();
    }
}

export async function redactions(alice, bob) {
    const room = await alice.room([bob], { encrypted: true });
    const sent = await alice.send(room, "à oublier");
    await bob.hearText(room, "à oublier");
    await alice.client.redactEvent(room, sent, undefined, { reason: "erreur" });
    const gone = await bob.hear(room, (event) => event.getId() === sent && event.isRedacted(), "the redaction");
    equal(gone.getContent(), {}, "its content");
    const raw = await bob.client.fetchRoomEvent(room, sent);
    equal([raw.content, raw.unsigned.redacted_because.content.reason], [{}, "erreur"], "on the server");
}

export async function threads(alice, bob) {
    for (const encrypted of [true, false]) {
        const room = await alice.room([bob], { encrypted });
        const root = await alice.send(room, "ordre du jour");
        await bob.hearText(room, "ordre du jour");
        await bob.client.sendMessage(room, root, { msgtype: "m.text", body: "premier point" });
        await bob.client.sendMessage(room, root, { msgtype: "m.text", body: "second point" });
        const thread = await until(() => alice.client.getRoom(room).getThread(root), "the thread");
        await until(() => thread.length === 2, "both answers");
        await until(() => thread.replyToEvent?.getContent().body === "second point", "the last answer");
        const list = await alice.client.createThreadListMessagesRequest(room, null, 10);
        equal(list.chunk.map((event) => event.event_id), [root], "the list of threads");
        equal(list.chunk[0].unsigned["m.relations"]["m.thread"].count, 2, "its summary");
        const path = `/rooms/${encodeURIComponent(room)}/threads`;
        const mine = await alice.http("GET", path, { query: { include: "participated" }, prefix: "/_matrix/client/v1" });
        equal(mine.chunk.map((event) => event.event_id), [root], "mine");
        // js-sdk takes the server's counts in rooms without encryption only.
        if (!encrypted) {
            const known = alice.client.getRoom(room);
            await until(() => known.getThreadUnreadNotificationCount(root, "total") === 2, "the count of the thread");
            equal(known.getRoomUnreadNotificationCount("total"), 0, "the count of the main timeline");
            await alice.client.sendReadReceipt(thread.replyToEvent);
            await until(() => known.getThreadUnreadNotificationCount(root, "total") === 0, "the thread read");
        }
    }
}

export async function threadListInTheRoom(alice, bob) {
    const room = await alice.room([bob]);
    const roots = [];
    for (const body of ["a", "b", "c"]) {
        roots.push(await alice.send(room, body));
        await bob.client.sendMessage(room, roots.at(-1), { msgtype: "m.text", body: `re: ${body}` });
    }
    const second = await alice.another();
    try {
        const known = await until(() => second.client.getRoom(room), "the room");
        await known.createThreadsTimelineSets();
        await known.fetchRoomThreads();
        equal(known.getThreads().map((thread) => thread.id).sort(), roots.toSorted(), "the threads");
    } finally {
        second.stop();
    }
}

export async function polls(alice, bob) {
    const room = await alice.room([bob], { encrypted: true });
    const start = {
        "m.poll": { kind: "m.disclosed", max_selections: 1, question: { "m.text": "mardi ?" }, answers: [{ "m.id": "oui", "m.text": "oui" }, { "m.id": "non", "m.text": "non" }] },
        "org.matrix.msc3381.poll.start": {
            kind: "org.matrix.msc3381.poll.disclosed", max_selections: 1,
            question: { "org.matrix.msc1767.text": "mardi ?" },
            answers: [{ id: "oui", "org.matrix.msc1767.text": "oui" }, { id: "non", "org.matrix.msc1767.text": "non" }],
        },
        "org.matrix.msc1767.text": "mardi ?",
    };
    const { event_id: poll } = await alice.client.sendEvent(room, null, "org.matrix.msc3381.poll.start", start);
    await bob.hear(room, (event) => event.getType() === "org.matrix.msc3381.poll.start", "the poll");
    const relation = { rel_type: "m.reference", event_id: poll };
    await bob.client.sendEvent(room, null, "org.matrix.msc3381.poll.response", { "m.relates_to": relation, "org.matrix.msc3381.poll.response": { answers: ["oui"] } });
    const known = alice.client.getRoom(room);
    const model = await until(() => known.polls.get(poll), "the poll at alice");
    const responses = await until(async () => {
        const found = (await model.getResponses()).getRelations();
        return found.length && found;
    }, "the answer");
    equal(responses.map((event) => [event.getSender(), event.getContent()["org.matrix.msc3381.poll.response"].answers]), [[bob.id, ["oui"]]], "the votes");
    await alice.client.sendEvent(room, null, "org.matrix.msc3381.poll.end", { "m.relates_to": relation, "org.matrix.msc3381.poll.end": {}, "org.matrix.msc1767.text": "fini" });
    await until(() => model.isEnded, "the end of the poll");
}

export async function readReceiptsAndCounts(alice, bob) {
    const room = await alice.room([bob], { encrypted: true });
    await alice.send(room, "un");
    const last = await alice.send(room, "deux");
    const heard = await bob.hearText(room, "deux");
    const known = bob.client.getRoom(room);
    await until(() => known.getUnreadNotificationCount("total") === 2, "two unread");
    await bob.client.sendReadReceipt(heard);
    await until(() => known.getUnreadNotificationCount("total") === 0, "none unread");
    await until(() => alice.client.getRoom(room).getReceiptsForEvent(alice.events(room).find((event) => event.getId() === last))
        .some((receipt) => receipt.userId === bob.id), "the receipt at alice");
    const next = await alice.send(room, "trois");
    const third = await bob.hearText(room, "trois");
    await bob.client.sendReadReceipt(third, "m.read.private");
    await until(() => known.getUnreadNotificationCount("total") === 0, "read in private");
    await bob.client.setRoomReadMarkers(room, next);
    await until(() => known.getAccountData("m.fully_read")?.getContent().event_id === next, "the marker");
    assert(!alice.client.getRoom(room).getUsersReadUpTo(alice.events(room).find((event) => event.getId() === next)).includes(bob.id), "private is private");
}

export async function mentions(alice, bob) {
    const room = await alice.room([bob]);
    await alice.send(room, { msgtype: "m.text", body: "à toi", "m.mentions": { user_ids: [bob.id] } });
    await bob.hearText(room, "à toi");
    await until(() => bob.client.getRoom(room).getUnreadNotificationCount("highlight") === 1, "the highlight");
}

export async function typing(alice, bob) {
    const room = await alice.room([bob]);
    await bob.client.sendTyping(room, true, 20_000);
    await until(() => alice.client.getRoom(room).getMember(bob.id)?.typing, "typing");
    await bob.client.sendTyping(room, false, 0);
    await until(() => !alice.client.getRoom(room).getMember(bob.id).typing, "no longer typing");
}

export async function spaces(alice, bob) {
    const create = (options) => alice.client.createRoom({ preset: "public_chat", ...options });
    const space = (await create({ name: "Ministère", creation_content: { type: "m.space" } })).room_id;
    const inner = (await create({ name: "Service", creation_content: { type: "m.space" } })).room_id;
    const leaf = (await create({ name: "Salle", topic: "essai" })).room_id;
    const secret = (await alice.client.createRoom({ preset: "private_chat", name: "Secret" })).room_id;
    const via = { via: [alice.client.getDomain()] };
    await alice.client.sendStateEvent(space, "m.space.child", { ...via, order: "a" }, inner);
    await alice.client.sendStateEvent(space, "m.space.child", { ...via, order: "b" }, secret);
    await alice.client.sendStateEvent(inner, "m.space.child", { ...via, suggested: true }, leaf);
    await alice.client.sendStateEvent(inner, "m.space.child", via, space);
    const ids = (tree) => tree.rooms.map((room) => room.room_id);
    equal(ids(await bob.client.getRoomHierarchy(space, 50)), [space, inner, leaf], "what bob may see");
    equal(ids(await alice.client.getRoomHierarchy(space, 50)).sort(), [space, inner, leaf, secret].sort(), "what alice may see");
    equal(ids(await bob.client.getRoomHierarchy(space, 50, 1)), [space, inner], "one level");
    equal(ids(await bob.client.getRoomHierarchy(inner, 50, 1, true)), [inner, leaf], "suggested");
    const paged = [];
    let from;
    do {
        const page = await bob.client.getRoomHierarchy(space, 1, undefined, false, from);
        paged.push(...ids(page));
        from = page.next_batch;
    } while (from);
    equal(paged, [space, inner, leaf], "page by page");
    equal((await bob.client.getRoomSummary(leaf)).topic, "essai", "the summary");
}

export async function knocking(alice, bob) {
    const join_rules = [{ type: "m.room.join_rules", state_key: "", content: { join_rule: "knock" } }];
    const room = await alice.room([], { initial_state: join_rules });
    await bob.client.knockRoom(room, { reason: "puis-je ?" });
    await until(() => bob.client.getRoom(room)?.getMyMembership() === "knock", "my knock");
    const knock = await until(() => alice.client.getRoom(room).getMember(bob.id)?.membership === "knock"
        && alice.client.getRoom(room).getMember(bob.id), "the knock at alice");
    equal(knock.events.member.getContent().reason, "puis-je ?", "the reason");
    await alice.client.invite(room, bob.id);
    await until(() => bob.client.getRoom(room)?.getMyMembership() === "invite", "the invitation");
    await bob.client.joinRoom(room);
    await until(() => bob.client.getRoom(room)?.getMyMembership() === "join", "joined");
}

export async function restrictedRoom(alice, bob) {
    const space = await alice.room([bob], { creation_content: { type: "m.space" } });
    const allow = [{ type: "m.room_membership", room_id: space }];
    const initial_state = [{ type: "m.room.join_rules", state_key: "", content: { join_rule: "restricted", allow } }];
    const room = await alice.room([], { initial_state });
    await bob.client.joinRoom(room);
    await until(() => bob.client.getRoom(room)?.getMyMembership() === "join", "joined through the space");
    await bob.client.leave(room);
    await bob.client.leave(space);
    await refused(bob.client.joinRoom(room), "M_FORBIDDEN");
}

export async function membership(alice, bob) {
    const room = await alice.room([bob]);
    await alice.client.kick(room, bob.id, "dehors");
    await until(() => bob.client.getRoom(room).getMyMembership() === "leave", "kicked");
    await alice.client.ban(room, bob.id, "assez");
    await until(() => bob.client.getRoom(room).getMyMembership() === "ban", "banned");
    await refused(bob.client.joinRoom(room), "M_FORBIDDEN");
    await alice.client.unban(room, bob.id);
    await alice.client.invite(room, bob.id, { reason: "reviens" });
    await bob.client.joinRoom(room);
    await until(() => bob.client.getRoom(room).getMyMembership() === "join", "back");
    await bob.client.leave(room);
    await bob.client.forget(room);
    assert(!(await bob.client.getJoinedRooms()).joined_rooms.includes(room), "left");
}

export async function roomUpgrade(alice, bob) {
    const old = await alice.room([bob], { room_version: "11", name: "Avant", topic: "sujet" });
    await alice.client.setRoomTag(old, "m.favourite", { order: 0.5 });
    const { replacement_room: next } = await alice.client.upgradeRoom(old, "12");
    await until(() => alice.client.getRoom(next), "the new room");
    const tombstone = await until(() => bob.client.getRoom(old).currentState.getStateEvents("m.room.tombstone", ""), "the tombstone");
    equal(tombstone.getContent().replacement_room, next, "where it goes on");
    const room = alice.client.getRoom(next);
    equal([room.getVersion(), room.name, room.findPredecessor().roomId], ["12", "Avant", old], "the new room");
    equal(alice.client.getRoomUpgradeHistory(next, true).map((each) => each.roomId), [old, next], "the chain");
}

export async function serverSearch(alice, bob) {
    const room = await alice.room([bob]);
    for (const body of ["le budget de mardi", "rien", "budget rectifié"]) await alice.send(room, body);
    const found = await bob.client.searchRoomEvents({ term: "budget", filter: { rooms: [room] } });
    equal(found.count, 2, "the count");
    equal(found.results.map((each) => each.context.getEvent().getContent().body).sort(), ["budget rectifié", "le budget de mardi"], "the results");
}

export async function timestampToEvent(alice, bob) {
    const room = await alice.room([bob]);
    const before = Date.now();
    const sent = await alice.send(room, "à cette heure");
    const near = await bob.client.timestampToEvent(room, before, "f");
    equal(near.event_id, sent, "the next event");
}

export async function contextAndPagination(alice, bob) {
    const room = await alice.room([bob]);
    const sent = [];
    for (let n = 0; n < 40; n += 1) sent.push(await alice.send(room, `message ${n}`));
    const second = await bob.another();
    try {
        const known = await until(() => second.client.getRoom(room), "the room");
        const timeline = known.getLiveTimeline();
        while (await second.client.paginateEventTimeline(timeline, { backwards: true, limit: 9 }));
        const read = timeline.getEvents().map((event) => event.getId()).filter((id) => sent.includes(id));
        equal(read, sent, "the whole history");
        const around = await second.client.getEventTimeline(known.getUnfilteredTimelineSet(), sent[5]);
        assert(around.getEvents().some((event) => event.getId() === sent[5]), "the event in its timeline");
    } finally {
        second.stop();
    }
}

export async function publicRoomsAndAliases(alice, bob) {
    const local = `salon-${Date.now()}`;
    const alias = `#${local}:${alice.client.getDomain()}`;
    const room = await alice.room([], { preset: "public_chat", visibility: "public", name: "Salon public", room_alias_name: local, topic: "ouvert" });
    const page = await bob.client.publicRooms({ limit: 50, filter: { generic_search_term: "Salon public" } });
    const listed = page.chunk.find((each) => each.room_id === room);
    equal([listed.canonical_alias, listed.topic, listed.num_joined_members], [alias, "ouvert", 1], "in the directory");
    equal((await bob.client.getRoomIdForAlias(alias)).room_id, room, "the alias");
    equal((await alice.client.getLocalAliases(room)).aliases, [alias], "the aliases");
    await bob.client.joinRoom(alias);
    await until(() => bob.client.getRoom(room)?.getMyMembership() === "join", "joined by alias");
    await alice.client.setRoomDirectoryVisibility(room, "private");
    equal((await bob.client.getRoomDirectoryVisibility(room)).visibility, "private", "the visibility");
}

export async function peekingIntoAReadableRoom(alice, bob) {
    const initial_state = [{ type: "m.room.history_visibility", state_key: "", content: { history_visibility: "world_readable" } }];
    const room = await alice.room([], { preset: "public_chat", initial_state });
    await alice.send(room, "lisible par tous");
    const peeked = await bob.client.peekInRoom(room, 20);
    assert(peeked.getLiveTimeline().getEvents().some((event) => event.getContent().body === "lisible par tous"), "peeked");
    bob.client.stopPeeking();
}

export async function stickersAndLocation(alice, bob) {
    const room = await alice.room([bob], { encrypted: true });
    await alice.client.sendStickerMessage(room, null, "mxc://example.org/sticker", { h: 1, w: 1, mimetype: "image/png", size: 1 }, "autocollant");
    await bob.hear(room, (event) => event.getType() === "m.sticker", "the sticker");
    await alice.send(room, { msgtype: "m.location", body: "ici", geo_uri: "geo:48.85,2.35" });
    equal((await bob.hearText(room, "ici")).getContent().geo_uri, "geo:48.85,2.35", "the place");
}
