// suite.mjs BASE_URL: matrix-js-sdk against the homeserver at BASE_URL.
//
// One line per scene, "ok   js: …" or "FAIL js: …"; ends with 1 if one failed. Each scene has two people
// of its own, so that they do not depend on each other.

import { BASE, Device, say } from "./people.mjs";
import * as encryption from "./encryption.mjs";
import * as rooms from "./rooms.mjs";
import * as accounts from "./accounts.mjs";
import * as beyond from "./beyond.mjs";

const only = process.argv.slice(3);
let failed = 0;
let passed = 0;
const run = Date.now().toString(36);

for (const [module, scenes] of Object.entries({ encryption, rooms, accounts, beyond })) {
    for (const [key, scene] of Object.entries(scenes)) {
        if (only.length && !only.includes(key)) continue;
        const name = `${module}: ${key.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)}`;
        const slug = `js-${key.toLowerCase()}-${run}`;
        let people = [];
        try {
            people = [await Device.register(`${slug}-alice`), await Device.register(`${slug}-bob`)];
            let timer;
            const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error("took 90 seconds")), 90_000); });
            await Promise.race([scene(...people), late]).finally(() => clearTimeout(timer));
            passed += 1;
            say(`ok   js: ${name}`);
        } catch (error) {
            failed += 1;
            say(`FAIL js: ${name}: ${process.env.PLI_JS_VERBOSE ? error.stack : error.message}`);
        }
        for (const person of people) person.stop();
    }
}
say(`== js: ${passed} scenes passed, ${failed} failed at ${BASE}`);
process.exit(failed ? 1 : 0);
