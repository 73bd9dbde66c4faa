// Encryption, verification, backup and recovery, encrypted attachments.

import { webcrypto } from "node:crypto";
import { assert, equal, refused, until } from "./people.mjs";

const subtle = webcrypto.subtle;

export async function messagesBothWays(alice, bob) {
    const room = await alice.room([bob], { encrypted: true });
    const sent = await alice.send(room, "bonjour");
    const heard = await bob.hearText(room, "bonjour");
    assert(heard.isEncrypted() && heard.getSender() === alice.id, "encrypted and from alice");
    await bob.send(room, "salut");
    assert((await alice.hearText(room, "salut")).isEncrypted(), "the answer is encrypted");
    const raw = await bob.client.fetchRoomEvent(room, sent);
    equal([raw.type, raw.content.body], ["m.room.encrypted", undefined], "what the server has");
}

export async function crossSigningAndSecretStorage(alice) {
    await alice.bootstrap();
    assert(await alice.crypto.isCrossSigningReady(), "cross-signing is ready");
    assert(await alice.crypto.isSecretStorageReady(), "secret storage is ready");
    const status = await alice.crypto.getDeviceVerificationStatus(alice.id, alice.client.getDeviceId());
    assert(status.crossSigningVerified && status.signedByOwner, "the device is cross-signed");
    const check = await alice.crypto.checkKeyBackupAndEnable();
    assert(check?.trustInfo.trusted, "the backup is trusted");
}

export async function recoveryKeyReadsHistory(alice, bob) {
    const recovery = await alice.bootstrap();
    const room = await alice.room([bob], { encrypted: true });
    const bodies = ["un", "deux", "trois"];
    for (const body of bodies) {
        await bob.send(room, body);
        await alice.hearText(room, body);
    }
    await until(async () => (await alice.http("GET", "/room_keys/version")).count >= 1, "the backup");
    const second = await alice.another();
    try {
        await second.hear(room, (event) => event.isEncrypted(), "the history");
        const restored = await second.recover(recovery);
        assert(restored.imported >= 1, restored);
        for (const body of bodies) await second.hearText(room, body);
        const status = await alice.crypto.getDeviceVerificationStatus(alice.id, second.client.getDeviceId());
        assert(status?.crossSigningVerified ?? await until(async () => (await alice.crypto
            .getDeviceVerificationStatus(alice.id, second.client.getDeviceId()))?.crossSigningVerified, "its signature"), "signed");
    } finally {
        second.stop();
    }
}

/** Both sides of a short authentication string until both are done; the emojis are the same. */
async function sas(request, answer) {
    await answer.accept();
    await until(() => request.phase === 3, "ready on the first device");
    const one = await request.startVerification("m.sas.v1");
    const shown = [];
    const ready = (verifier) => new Promise((done) => verifier.on("show_sas", (callbacks) => {
        shown.push(callbacks.sas.emoji.map(([emoji]) => emoji).join(""));
        done(callbacks);
    }));
    const first = ready(one);
    const firstDone = one.verify();
    const other = await until(() => answer.verifier, "the verifier of the second device");
    const second = other.getShowSasCallbacks() ? Promise.resolve(other.getShowSasCallbacks()) : ready(other);
    const secondDone = other.verify();
    const [a, b] = await Promise.all([first, second]);
    equal(a.sas.emoji, b.sas.emoji, "the emojis");
    await Promise.all([a.confirm(), b.confirm()]);
    await Promise.all([firstDone, secondDone]);
}

export async function secondDeviceVerifiedByEmojis(alice, bob) {
    await alice.bootstrap();
    const room = await alice.room([bob], { encrypted: true });
    await bob.send(room, "avant");
    await alice.hearText(room, "avant");
    await until(async () => (await alice.http("GET", "/room_keys/version")).count >= 1, "the backup");
    const second = await alice.another();
    try {
        await until(() => second.crypto.userHasCrossSigningKeys(alice.id, true), "the keys of alice");
        const request = await second.crypto.requestOwnUserVerification();
        const answer = await until(() => alice.requests.at(-1), "the request");
        await sas(request, answer);
        await until(async () => (await alice.crypto.getDeviceVerificationStatus(alice.id, second.client.getDeviceId()))
            ?.crossSigningVerified, "the signature on the second device");
        // The secrets are gossiped to the verified device: it signs for alice and reads her backup.
        await until(() => second.crypto.isCrossSigningReady(), "cross-signing on the second device");
        await until(() => second.crypto.getSessionBackupPrivateKey(), "the key of the backup");
        await second.hearText(room, "avant");
    } finally {
        second.stop();
    }
}

export async function anotherPersonVerifiedInTheRoom(alice, bob) {
    await alice.bootstrap();
    await bob.bootstrap();
    const room = await alice.room([bob], { encrypted: true, is_direct: true });
    await alice.send(room, "vérifions-nous");
    await bob.hearText(room, "vérifions-nous");
    await until(() => alice.crypto.userHasCrossSigningKeys(bob.id, true), "the keys of bob");
    const request = await alice.crypto.requestVerificationDM(bob.id, room);
    const answer = await until(() => bob.requests.at(-1), "the request in the room");
    await sas(request, answer);
    for (const [one, other] of [[alice, bob], [bob, alice]]) {
        await until(async () => (await one.crypto.getUserVerificationStatus(other.id)).isCrossSigningVerified(), "trust");
    }
}

export async function encryptedAttachment(alice, bob) {
    const room = await alice.room([bob], { encrypted: true });
    const content = webcrypto.getRandomValues(new Uint8Array(60_000));
    const key = await subtle.generateKey({ name: "AES-CTR", length: 256 }, true, ["encrypt", "decrypt"]);
    const counter = webcrypto.getRandomValues(new Uint8Array(16)).fill(0, 8);
    const sealed = await subtle.encrypt({ name: "AES-CTR", counter, length: 64 }, key, content);
    const { content_uri: url } = await alice.client.uploadContent(new Blob([sealed]), { includeFilename: false });
    const base64 = (bytes) => Buffer.from(bytes).toString("base64").replaceAll("=", "");
    const hashes = { sha256: base64(await subtle.digest("SHA-256", sealed)) };
    const file = { v: "v2", url, key: await subtle.exportKey("jwk", key), iv: base64(counter), hashes };
    await alice.send(room, { msgtype: "m.file", body: "rapport.pdf", file, info: { size: content.length } });
    const heard = (await bob.hearText(room, "rapport.pdf")).getContent().file;
    const address = bob.client.mxcUrlToHttp(heard.url, undefined, undefined, undefined, false, true, true);
    const there = await fetch(address, { headers: { Authorization: `Bearer ${bob.client.getAccessToken()}` } });
    const bytes = await there.arrayBuffer();
    equal(base64(await subtle.digest("SHA-256", bytes)), heard.hashes.sha256, "the hash");
    const theirs = await subtle.importKey("jwk", heard.key, "AES-CTR", true, ["decrypt"]);
    const plain = await subtle.decrypt({ name: "AES-CTR", counter: Buffer.from(heard.iv, "base64"), length: 64 }, theirs, bytes);
    assert(Buffer.from(plain).equals(Buffer.from(content)), "the content");
}

export async function keysExportedAndImported(alice, bob) {
    const room = await alice.room([bob], { encrypted: true });
    await bob.send(room, "exporté");
    await alice.hearText(room, "exporté");
    const keys = await alice.crypto.exportRoomKeysAsJson();
    const second = await alice.another();
    try {
        await second.crypto.importRoomKeysAsJson(keys);
        await second.hearText(room, "exporté");
    } finally {
        second.stop();
    }
}

export async function backupDeletedAndMadeAgain(alice) {
    await alice.bootstrap();
    const first = await alice.crypto.getActiveSessionBackupVersion();
    await alice.crypto.resetKeyBackup();
    const second = await until(async () => {
        const version = await alice.crypto.getActiveSessionBackupVersion();
        return version !== first && version;
    }, "the new version");
    await alice.crypto.deleteKeyBackupVersion(second);
    await refused(alice.http("GET", "/room_keys/version"), "M_NOT_FOUND");
}

export async function dehydratedDevice(alice, bob) {
    const recovery = await alice.bootstrap();
    assert(await alice.crypto.isDehydrationSupported(), "the server says it has dehydrated devices");
    await alice.crypto.startDehydration();
    const room = await alice.room([bob], { encrypted: true });
    // Alice's only device goes; what bob says now is kept by the dehydrated one.
    await alice.client.logout(true);
    await bob.send(room, "pendant l'absence");
    const back = await alice.another();
    try {
        await back.recover(recovery).catch(() => undefined);
        await back.crypto.startDehydration();
        await back.hearText(room, "pendant l'absence");
    } finally {
        back.stop();
    }
}
