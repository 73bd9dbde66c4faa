// Accounts: devices, profiles, account data, push rules, presence, directory.

import * as sdk from "matrix-js-sdk";
import { BASE, PASSWORD, assert, equal, refused, until } from "./people.mjs";

export async function serverFacts(alice) {
    const versions = await alice.client.getVersions();
    assert(versions.versions.includes("v1.19"), versions);
    const capabilities = await alice.client.getCapabilities();
    assert(capabilities["m.room_versions"].available["12"], capabilities);
    assert((await alice.client.getMediaConfig(true))["m.upload.size"] > 1_000_000, "the limit of uploads");
    assert((await alice.client.loginFlows()).flows.some((flow) => flow.type === "m.login.password"), "password sign-in");
    // Without a TURN server there is nothing to tell; js-sdk goes on without.
    await refused(alice.client.turnServer(), "M_NOT_FOUND");
    await alice.client.getThirdpartyProtocols();
    equal((await alice.client.whoami()).device_id, alice.client.getDeviceId(), "whoami");
}

export async function nameTaken(alice) {
    const name = alice.client.getUserIdLocalpart();
    const bare = sdk.createClient({ baseUrl: BASE });
    assert(await bare.isUsernameAvailable(`${name}-free`), "free");
    assert(!(await bare.isUsernameAvailable(name).catch((error) => {
        equal(error.errcode, "M_USER_IN_USE", "taken");
        return false;
    })), "taken");
    await refused(bare.registerRequest({ username: name, password: PASSWORD, auth: { type: "m.login.dummy" } }), "M_USER_IN_USE");
    await refused(bare.loginWithPassword(alice.id, "faux"), "M_FORBIDDEN");
}

export async function devices(alice) {
    const second = await alice.another();
    const device = second.client.getDeviceId();
    await alice.client.setDeviceDetails(device, { display_name: "renommé" });
    equal((await alice.client.getDevice(device)).display_name, "renommé", "the name");
    await alice.withPassword((auth) => alice.client.deleteDevice(device, auth ?? undefined));
    assert(!(await alice.client.getDevices()).devices.some((each) => each.device_id === device), "gone");
    await refused(second.client.whoami(), "M_UNKNOWN_TOKEN");
    second.stop();
}

export async function refreshTokens(alice) {
    const bare = sdk.createClient({ baseUrl: BASE });
    const account = await bare.loginRequest({
        type: "m.login.password", identifier: { type: "m.id.user", user: alice.id }, password: PASSWORD, refresh_token: true,
    });
    assert(account.refresh_token && account.expires_in_ms > 0, account);
    const fresh = await bare.refreshToken(account.refresh_token);
    assert(fresh.access_token !== account.access_token, "another token");
    const again = sdk.createClient({ baseUrl: BASE, accessToken: fresh.access_token, userId: alice.id });
    equal((await again.whoami()).user_id, alice.id, "whoami with the new token");
}

export async function loginToken(alice) {
    const { login_token: token } = await alice.withPassword((auth) => alice.client.requestLoginToken(auth ?? undefined));
    const bare = sdk.createClient({ baseUrl: BASE });
    equal((await bare.loginRequest({ type: "m.login.token", token })).user_id, alice.id, "signed in by token");
    await refused(bare.loginRequest({ type: "m.login.token", token }), "M_FORBIDDEN");
}

export async function passwordChanged(alice) {
    const other = "Autre-Cheval-8-Batterie";
    await alice.withPassword((auth) => alice.client.http.authedRequest("POST", "/account/password", undefined, {
        auth: auth ?? undefined, new_password: other, logout_devices: false,
    }));
    const bare = sdk.createClient({ baseUrl: BASE });
    await refused(bare.loginWithPassword(alice.id, PASSWORD), "M_FORBIDDEN");
    equal((await bare.loginWithPassword(alice.id, other)).user_id, alice.id, "the new password");
}

export async function profiles(alice, bob) {
    const room = await alice.room([bob]);
    await alice.client.setDisplayName("Alice Martin");
    await alice.client.setAvatarUrl("mxc://example.org/portrait");
    const shown = await bob.client.getProfileInfo(alice.id);
    equal([shown.displayname, shown.avatar_url], ["Alice Martin", "mxc://example.org/portrait"], "the profile");
    await until(() => bob.client.getRoom(room).getMember(alice.id)?.name === "Alice Martin", "the name in the room");
    assert(await alice.client.doesServerSupportExtendedProfiles(), "profile fields");
    await alice.client.setExtendedProfileProperty("m.tz", "Europe/Paris");
    equal(await bob.client.getExtendedProfileProperty(alice.id, "m.tz"), "Europe/Paris", "the time zone");
    await alice.client.deleteExtendedProfileProperty("m.tz");
    await refused(bob.http("GET", `/profile/${encodeURIComponent(alice.id)}/m.tz`), "M_NOT_FOUND");
}

export async function accountData(alice) {
    await alice.client.setAccountDataRaw("eu.pli.essai", { valeur: 1 });
    equal(await alice.client.getAccountDataFromServer("eu.pli.essai"), { valeur: 1 }, "account data");
    await until(() => alice.client.getAccountData("eu.pli.essai")?.getContent().valeur === 1, "in sync");
    const room = await alice.room();
    await alice.client.setRoomAccountData(room, "eu.pli.essai", { valeur: 2 });
    await until(() => alice.client.getRoom(room).getAccountData("eu.pli.essai")?.getContent().valeur === 2, "of the room");
    await alice.client.setRoomTag(room, "m.favourite", { order: 0.25 });
    equal((await alice.client.getRoomTags(room)).tags, { "m.favourite": { order: 0.25 } }, "the tags");
    await until(() => alice.client.getRoom(room).tags["m.favourite"]?.order === 0.25, "the tag in sync");
    await alice.client.deleteRoomTag(room, "m.favourite");
    await until(() => !alice.client.getRoom(room).tags["m.favourite"], "no tag");
}

export async function accountDataDeleted(alice) {
    await alice.client.setAccountDataRaw("eu.pli.essai", { valeur: 1 });
    await until(() => alice.client.getAccountData("eu.pli.essai"), "in sync");
    await alice.client.deleteAccountData("eu.pli.essai");
    const there = await alice.client.getAccountDataFromServer("eu.pli.essai");
    assert(there === null || Object.keys(there).length === 0, there);
}

export async function ignoredPeople(alice, bob) {
    const room = await alice.room([bob]);
    await alice.client.setIgnoredUsers([bob.id]);
    await until(() => alice.client.isUserIgnored(bob.id), "ignored");
    await bob.send(room, "entends-tu ?");
    const last = await alice.send(room, "personne");
    await alice.hear(room, (event) => event.getId() === last, "my own");
    assert(!alice.events(room).some((event) => event.getContent().body === "entends-tu ?"), "not heard");
}

export async function pushRulesAndPushers(alice, bob) {
    await alice.client.addPushRule("global", "content", "projet", { pattern: "projet", actions: ["notify", { set_tweak: "highlight" }] });
    const rule = async () => (await alice.client.getPushRules()).global.content.find((each) => each.rule_id === "projet");
    equal((await rule()).pattern, "projet", "the rule");
    await alice.client.setPushRuleEnabled("global", "content", "projet", false);
    equal((await rule()).enabled, false, "off");
    await alice.client.setPushRuleEnabled("global", "content", "projet", true);
    await alice.client.setPushRuleActions("global", "content", "projet", ["notify", { set_tweak: "highlight", value: true }]);
    const room = await alice.room([bob]);
    await bob.send(room, "le projet avance");
    await until(() => alice.client.getRoom(room)?.getUnreadNotificationCount("highlight") === 1, "the highlight");
    await alice.client.deletePushRule("global", "content", "projet");
    equal(await rule(), undefined, "no rule");
    const pusher = {
        kind: "http", app_id: "eu.pli.essai", pushkey: "cle", app_display_name: "essai", device_display_name: "essai",
        lang: "fr", data: { url: "https://127.0.0.1:9/_matrix/push/v1/notify" },
    };
    await alice.client.setPusher(pusher);
    equal((await alice.client.getPushers()).pushers.map((each) => each.pushkey), ["cle"], "the pusher");
    await alice.client.removePusher("cle", "eu.pli.essai");
    equal((await alice.client.getPushers()).pushers, [], "no pusher");
}

export async function presence(alice, bob) {
    await alice.room([bob]);
    await alice.client.setPresence({ presence: "unavailable", status_msg: "en réunion" });
    const told = await bob.client.getPresence(alice.id);
    equal([told.presence, told.status_msg], ["unavailable", "en réunion"], "the presence");
    await until(() => bob.client.getUser(alice.id)?.presenceStatusMsg === "en réunion", "in sync");
}

export async function userDirectory(alice, bob) {
    await alice.client.setDisplayName("Annuaire Unique");
    await alice.room([bob]);
    const found = await until(async () => {
        const page = await bob.client.searchUserDirectory({ term: "annuaire unique", limit: 5 });
        return page.results.length && page;
    }, "the person");
    equal(found.results[0], { user_id: alice.id, display_name: "Annuaire Unique" }, "found");
}

export async function mutualRooms(alice, bob) {
    const room = await alice.room([bob]);
    equal(await alice.client._unstable_getSharedRooms(bob.id), [room], "rooms of both");
}

export async function openId(alice) {
    const token = await alice.client.getOpenIdToken();
    const answer = await fetch(`${BASE}/_matrix/federation/v1/openid/userinfo?access_token=${token.access_token}`);
    equal((await answer.json()).sub, alice.id, "who it is");
}

export async function reports(alice, bob) {
    const room = await alice.room([bob]);
    const sent = await alice.send(room, "déplacé");
    await bob.hearText(room, "déplacé");
    await bob.client.reportEvent(room, sent, -100, "déplacé");
    await bob.client.reportRoom(room, "déplacée");
    await bob.http("POST", `/users/${encodeURIComponent(alice.id)}/report`, { body: { reason: "déplacée" } });
}

export async function media(alice, bob) {
    const bytes = new Uint8Array(5_000).map((_, at) => at % 251);
    const { content_uri: url } = await alice.client.uploadContent(new Blob([bytes], { type: "text/plain" }), { name: "notes été.txt", type: "text/plain" });
    const address = bob.client.mxcUrlToHttp(url, undefined, undefined, undefined, false, true, true);
    const there = await fetch(address, { headers: { Authorization: `Bearer ${bob.client.getAccessToken()}` } });
    assert(Buffer.from(await there.arrayBuffer()).equals(Buffer.from(bytes)), "the bytes");
    assert(/filename\*=utf-8''notes%20%C3%A9t%C3%A9.txt/i.test(there.headers.get("content-disposition")), there.headers.get("content-disposition"));
    equal((await fetch(address)).status, 401, "without a token");
}

export async function deactivation(alice, bob) {
    const room = await alice.room([bob]);
    await bob.withPassword((auth) => bob.client.deactivateAccount(auth ?? undefined, false));
    await until(() => alice.client.getRoom(room).getMember(bob.id)?.membership === "leave", "bob is out");
    // Whether the account is said to be closed (M_USER_DEACTIVATED) is up to the server.
    const closed = await sdk.createClient({ baseUrl: BASE }).loginWithPassword(bob.id, PASSWORD).catch((error) => error);
    equal(closed.httpStatus, 403, "no sign-in");
}

export async function logoutEverywhere(alice) {
    const second = await alice.another();
    await alice.http("POST", "/logout/all");
    await refused(second.client.whoami(), "M_UNKNOWN_TOKEN");
    second.stop();
}
