// People on matrix-js-sdk with its Rust cryptography: what the scenes share.

import * as sdk from "matrix-js-sdk";
import { decodeRecoveryKey } from "matrix-js-sdk/lib/crypto-api/index.js";
import { logger } from "matrix-js-sdk/lib/logger.js";

if (!process.env.PLI_JS_VERBOSE) {
    logger.setLevel("silent", false);
    for (const name of ["debug", "log", "info", "warn", "error"]) console[name] = () => undefined;
}

export const PASSWORD = "Correct-Horse-7-Battery";
export const BASE = process.argv[2];

export function say(line) {
    process.stdout.write(`${line}\n`);
}

export function assert(condition, what) {
    if (!condition) throw new Error(typeof what === "string" ? what : `not so: ${JSON.stringify(what)}`);
}

export function equal(one, other, what = "") {
    const [a, b] = [JSON.stringify(one), JSON.stringify(other)];
    assert(a === b, `${what}: ${a} is not ${b}`);
}

/** Waits until `test` answers something true; that. */
export async function until(test, what, seconds = 30) {
    const end = Date.now() + seconds * 1000;
    for (;;) {
        const found = await test();
        if (found) return found;
        if (Date.now() > end) throw new Error(`waited in vain for ${what}`);
        await new Promise((done) => setTimeout(done, 50));
    }
}

/** Runs `call` and expects this errcode. */
export async function refused(call, errcode) {
    try {
        await call;
    } catch (error) {
        equal(error.errcode, errcode, "the errcode");
        return error;
    }
    throw new Error(`not refused with ${errcode}`);
}

/** One device of somebody. */
export class Device {
    static async register(name) {
        const bare = sdk.createClient({ baseUrl: BASE });
        const account = await bare.registerRequest({
            username: name,
            password: PASSWORD,
            initial_device_display_name: `${name} on js-sdk`,
            auth: { type: "m.login.dummy" },
        });
        return Device.start(account, new Map());
    }

    /** A further device of the same person, which knows the recovery key if `keys` is given. */
    async another(keys = new Map()) {
        const bare = sdk.createClient({ baseUrl: BASE });
        const account = await bare.loginRequest({
            type: "m.login.password",
            identifier: { type: "m.id.user", user: this.id },
            password: PASSWORD,
            initial_device_display_name: "another",
        });
        return Device.start(account, keys);
    }

    static async start(account, keys, options = {}) {
        const self = new Device();
        self.keys = keys;
        self.client = sdk.createClient({
            baseUrl: BASE,
            userId: account.user_id,
            deviceId: account.device_id,
            accessToken: account.access_token,
            timelineSupport: true,
            cryptoCallbacks: {
                getSecretStorageKey: async ({ keys: wanted }) => {
                    const id = Object.keys(wanted).find((each) => self.keys.has(each));
                    return id ? [id, self.keys.get(id)] : null;
                },
                cacheSecretStorageKey: (id, _info, key) => self.keys.set(id, key),
            },
        });
        self.account = account;
        self.requests = [];
        self.client.on("crypto.verificationRequestReceived", (request) => self.requests.push(request));
        await self.client.initRustCrypto({ useIndexedDB: false });
        await self.client.startClient({ lazyLoadMembers: true, threadSupport: true, initialSyncLimit: 20, ...options });
        await until(() => self.client.isInitialSyncComplete(), "the initial sync");
        return self;
    }

    get id() {
        return this.client.getUserId();
    }

    get crypto() {
        return this.client.getCrypto();
    }

    /** Cross-signing, secret storage with a recovery key, and a key backup; the recovery key. */
    async bootstrap() {
        let recovery;
        await this.crypto.bootstrapCrossSigning({
            authUploadDeviceSigningKeys: (request) => this.withPassword(request),
        });
        await this.crypto.bootstrapSecretStorage({
            createSecretStorageKey: async () => (recovery = await this.crypto.createRecoveryKeyFromPassphrase()),
            setupNewSecretStorage: true,
            setupNewKeyBackup: true,
        });
        return recovery.encodedPrivateKey;
    }

    /** Interactive authentication as an application does it: without first, then with the password. */
    async withPassword(request) {
        try {
            return await request(null);
        } catch (error) {
            if (!error.data?.flows) throw error;
            return request({
                type: "m.login.password",
                session: error.data.session,
                identifier: { type: "m.id.user", user: this.id },
                password: PASSWORD,
            });
        }
    }

    /** Opens secret storage with the recovery key: this device becomes verified and reads the backup. */
    async recover(recovery) {
        const id = await this.client.secretStorage.getDefaultKeyId();
        this.keys.set(id, decodeRecoveryKey(recovery));
        await until(() => this.crypto.userHasCrossSigningKeys(this.id, true), "the keys of the person");
        await this.crypto.bootstrapCrossSigning({});
        await this.crypto.loadSessionBackupPrivateKeyFromSecretStorage();
        return this.crypto.restoreKeyBackup();
    }

    /** A room of these people; everybody has joined and knows it. */
    async room(others = [], { encrypted = false, ...options } = {}) {
        const initial_state = [...(options.initial_state ?? [])];
        if (encrypted) {
            initial_state.push({ type: "m.room.encryption", state_key: "", content: { algorithm: "m.megolm.v1.aes-sha2" } });
        }
        const invite = others.map((other) => other.id);
        const made = await this.client.createRoom({ preset: "private_chat", ...options, invite, initial_state });
        for (const other of others) await other.client.joinRoom(made.room_id);
        for (const each of [this, ...others]) {
            await until(() => {
                const room = each.client.getRoom(made.room_id);
                return room?.getMyMembership() === "join" && room.getJoinedMemberCount() === 1 + others.length;
            }, "the room");
        }
        return made.room_id;
    }

    async send(room, body) {
        const content = typeof body === "string" ? { msgtype: "m.text", body } : body;
        return (await this.client.sendMessage(room, null, content)).event_id;
    }

    events(room) {
        const known = this.client.getRoom(room);
        if (!known) return [];
        return [...known.getLiveTimeline().getEvents(), ...known.getThreads().flatMap((thread) => thread.events)];
    }

    /** The first event of the room for which this holds. */
    hear(room, test, what) {
        return until(() => this.events(room).find((event) => test(event)), `${what} at ${this.id}`);
    }

    hearText(room, body) {
        return this.hear(room, (event) => event.getContent().body === body && !event.isDecryptionFailure(), body);
    }

    http(method, path, { query, body, prefix = "/_matrix/client/v3" } = {}) {
        return this.client.http.authedRequest(method, path, query, body, { prefix });
    }

    stop() {
        this.client.stopClient();
    }
}
