// What js-sdk calls beyond the release: sliding sync, delayed and sticky events, RTC transports, OAuth.

import * as sdk from "matrix-js-sdk";
import { SlidingSync } from "matrix-js-sdk/lib/sliding-sync.js";
import { BASE, Device, assert, equal, until } from "./people.mjs";

export async function slidingSync(alice, bob) {
    const rooms = [];
    for (const name of ["une", "deux", "trois"]) rooms.push(await alice.room([bob], { name, encrypted: name === "trois" }));
    const lists = new Map([["all", { ranges: [[0, 19]], timeline_limit: 5, required_state: [["m.room.name", ""], ["m.room.encryption", ""], ["m.room.member", "$LAZY"], ["m.room.member", "$ME"]] }]]);
    const bare = sdk.createClient({ baseUrl: BASE });
    const account = await bare.loginRequest({ type: "m.login.password", identifier: { type: "m.id.user", user: bob.id }, password: "Correct-Horse-7-Battery" });
    const lens = new SlidingSync(BASE, lists, {}, sdk.createClient({ baseUrl: BASE, userId: bob.id, accessToken: account.access_token, deviceId: account.device_id }), 10_000);
    const second = await Device.start(account, new Map(), { slidingSync: lens, threadSupport: true });
    try {
        await until(() => rooms.every((room) => second.client.getRoom(room)?.getMyMembership() === "join"), "the rooms");
        equal(second.client.getRoom(rooms[0]).name, "une", "the name");
        await alice.send(rooms[0], "par la fenêtre");
        await second.hearText(rooms[0], "par la fenêtre");
        await alice.send(rooms[2], "chiffré");
        await second.hearText(rooms[2], "chiffré");
        await second.send(rooms[2], "bien reçu");
        await alice.hearText(rooms[2], "bien reçu");
        await alice.client.sendTyping(rooms[1], true, 20_000);
        await until(() => second.client.getRoom(rooms[1]).getMember(alice.id)?.typing, "typing");
        equal(lens.getListData("all").joinedCount, 3, "the length of the list");
    } finally {
        second.stop();
    }
}

export async function delayedEvents(alice, bob) {
    const room = await alice.room([bob]);
    const later = (body, delay) => alice.client._unstable_sendDelayedEvent(room, { delay }, null, "m.room.message", { msgtype: "m.text", body });
    await later("plus tard", 500);
    await bob.hearText(room, "plus tard");
    const { delay_id: one } = await later("jamais", 60_000);
    await alice.client._unstable_restartScheduledDelayedEvent(one);
    await alice.client._unstable_cancelScheduledDelayedEvent(one);
    const { delay_id: two } = await later("tout de suite", 60_000);
    await alice.client._unstable_sendScheduledDelayedEvent(two);
    await bob.hearText(room, "tout de suite");
    assert(!bob.events(room).some((event) => event.getContent().body === "jamais"), "cancelled");
    await alice.client._unstable_sendDelayedStateEvent(room, { delay: 500 }, "m.room.topic", { topic: "changé" }, "");
    await until(() => bob.client.getRoom(room).currentState.getStateEvents("m.room.topic", "")?.getContent().topic === "changé", "the state");
}

export async function stickyEvents(alice, bob) {
    const room = await alice.room([bob]);
    const body = { msgtype: "m.text", body: "collant", msc4354_sticky_key: "cle" };
    // By hand: `_unstable_sendStickyEvent` of js-sdk 43.0 leaves the duration out of its request.
    const query = { "org.matrix.msc4354.sticky_duration_ms": 60_000 };
    await alice.http("PUT", `/rooms/${encodeURIComponent(room)}/send/m.room.message/collant`, { query, body });
    equal((await bob.hearText(room, "collant")).unstableStickyInfo.duration_ms, 60_000, "sticky");
}

export async function rtcTransports(alice) {
    assert(Array.isArray(await alice.client._unstable_getRTCTransports()), "a list");
}

export async function oauthMetadata(alice) {
    const metadata = await alice.client.getAuthMetadata();
    assert(metadata.authorization_endpoint && metadata.code_challenge_methods_supported.includes("S256"), metadata);
    const registered = await fetch(metadata.registration_endpoint, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({
            client_name: "essai", client_uri: "https://client.example/", application_type: "web", redirect_uris: ["https://client.example/back"],
            grant_types: ["authorization_code", "refresh_token"], response_types: ["code"], token_endpoint_auth_method: "none",
        }),
    });
    assert(registered.ok && (await registered.json()).client_id, `registration: ${registered.status}`);
}
