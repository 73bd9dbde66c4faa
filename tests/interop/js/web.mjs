// web.mjs BASE_URL CINNY SCREENSHOTS: Cinny, built into the directory CINNY, in a real Chromium against the
// homeserver at BASE_URL. Alice and Bob have a browser of their own each, Alice a second one later.
//
// One line per scene, "ok   web: …" or "FAIL web: …", and a picture of both browsers after each in the
// directory SCREENSHOTS. The scenes build on each other: the first that fails ends the run.

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { deflateSync, crc32 } from "node:zlib";
import { chromium } from "playwright-core";
import { serve } from "./site.mjs";

const [BASE, CINNY, SCREENSHOTS] = process.argv.slice(2);
const PASSWORD = "Correct-Horse-7-Battery";
const ROOM = "Salle chiffrée";
const say = (line) => process.stdout.write(`${line}\n`);

function png(side) {
    const chunk = (kind, data) => {
        const body = Buffer.concat([Buffer.from(kind), data]);
        const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
        length.writeUInt32BE(data.length);
        sum.writeUInt32BE(crc32(body));
        return Buffer.concat([length, body, sum]);
    };
    const head = Buffer.alloc(13);
    head.writeUInt32BE(side, 0);
    head.writeUInt32BE(side, 4);
    head.set([8, 2, 0, 0, 0], 8);
    const rows = Buffer.concat(Array.from({ length: side }, (_, y) => Buffer.from([0, ...Array.from({ length: side }, (__, x) => [x % 256, y % 256, 128]).flat()])));
    return Buffer.concat([Buffer.from("89504e470d0a1a0a", "hex"), chunk("IHDR", head), chunk("IDAT", deflateSync(rows)), chunk("IEND", Buffer.alloc(0))]);
}

async function register(username) {
    const answer = await fetch(`${BASE}/_matrix/client/v3/register`, {
        method: "POST", body: JSON.stringify({ username, password: PASSWORD, auth: { type: "m.login.dummy" } }),
    });
    return (await answer.json()).user_id;
}

await mkdir(SCREENSHOTS, { recursive: true });
const site = await serve(CINNY, {
    defaultHomeserver: 0, homeserverList: [BASE], allowCustomHomeservers: true, hashRouter: { enabled: false, basename: "/" },
    featuredCommunities: { openAsDefault: false, spaces: [], rooms: [], servers: [] },
});
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });
const pages = new Map();
let number = 0;

async function picture(scene) {
    number += 1;
    for (const [name, page] of pages) {
        await page.screenshot({ path: join(SCREENSHOTS, `${String(number).padStart(2, "0")}-${scene.replaceAll(" ", "-")}-${name}.png`) });
    }
}

async function open(name, user) {
    const context = await browser.newContext({ viewport: { width: 1200, height: 800 }, acceptDownloads: true });
    const page = await context.newPage();
    page.setDefaultTimeout(30_000);
    pages.set(name, page);
    await page.goto(`${site}/login/`);
    await page.fill('input[name="usernameInput"]', user);
    await page.fill('input[name="passwordInput"]', PASSWORD);
    await page.click('button[type="submit"]');
    await page.waitForSelector("text=Create Room", { timeout: 60_000 });
    return page;
}

async function write(page, text) {
    const editor = page.locator('[contenteditable="true"]').last();
    await editor.click();
    await page.keyboard.type(text);
    await page.keyboard.press("Enter");
}

const timeline = (page, text) => page.locator("[data-message-id]").filter({ hasText: text }).last();
const shown = (page, text) => timeline(page, text).waitFor();

async function choose(page, text, item) {
    await timeline(page, text).getByText(text).last().click({ button: "right" });
    await page.getByText(item, { exact: true }).last().click();
}

async function redrawn(page, text) {
    for (let at = 0; at < 5; at += 1) {
        await page.reload();
        await page.waitForSelector('[contenteditable="true"]');
        const there = await timeline(page, text).waitFor({ timeout: 6_000 }).then(() => true, () => false);
        if (there) return;
    }
    await shown(page, text);
}

async function security(page) {
    // The picture of the person at the lower left, which has no name.
    await page.mouse.click(33, 767);
    await page.getByText("Security", { exact: true }).last().click();
}

const bobId = await register("bob");
await register("alice");
let alice;
let bob;
let second;
let key;

const scenes = {
    async "sign in with two browsers"() {
        alice = await open("alice", "alice");
        bob = await open("bob", "bob");
    },
    async "create an encrypted room"() {
        await alice.click("text=Create Room");
        await alice.fill('.create-room__form input[name="name"]', ROOM);
        await alice.click('.create-room__form button[type="submit"]');
        await alice.waitForSelector('[contenteditable="true"]');
    },
    async "invite and accept"() {
        await alice.click("text=Invite Member");
        await alice.locator(".invite-user__form input").fill(bobId);
        await alice.locator(".invite-user__form button").click();
        await alice.locator(".invite-user__content, .invite-user").getByRole("button", { name: "Invite", exact: true }).click();
        await alice.getByText("Invited", { exact: true }).waitFor();
        await alice.locator(".pw button").filter({ hasNotText: /\w/ }).first().click();
        await alice.locator(".invite-user").waitFor({ state: "detached" });
        await bob.goto(`${site}/inbox/invites/`);
        await bob.getByRole("button", { name: "Accept" }).click();
        await bob.waitForTimeout(500);
        await bob.goto(`${site}/home/`);
        await bob.getByText(ROOM).first().click();
        await bob.waitForSelector('[contenteditable="true"]');
        await alice.getByText("bob joined the room").waitFor();
    },
    async "messages both ways"() {
        await write(alice, "bonjour de Cinny");
        await shown(bob, "bonjour de Cinny");
        await write(bob, "salut, bien reçu");
        await shown(alice, "salut, bien reçu");
    },
    async "read receipt"() {
        await alice.getByText("bob is following the conversation").waitFor();
    },
    async "reaction"() {
        await choose(bob, "bonjour de Cinny", "Add Reaction");
        await bob.locator('button[aria-label$=" emoji"]').first().click();
        await timeline(alice, "bonjour de Cinny").locator("button[data-reaction-key], [data-reaction-key]").first().waitFor();
    },
    async "reply"() {
        await choose(bob, "bonjour de Cinny", "Reply");
        await write(bob, "je te réponds");
        await shown(alice, "je te réponds");
        await timeline(alice, "je te réponds").getByText("bonjour de Cinny").first().waitFor();
    },
    async "edit"() {
        await write(alice, "rendez-vous lundi");
        await shown(bob, "rendez-vous lundi");
        await choose(alice, "rendez-vous lundi", "Edit Message");
        const editor = timeline(alice, "rendez-vous lundi").locator('[contenteditable="true"]');
        await editor.click();
        await alice.keyboard.press("Control+A");
        await alice.keyboard.type("rendez-vous mardi");
        await alice.keyboard.press("Enter");
        await timeline(alice, "rendez-vous mardi").getByText("(edited)").waitFor();
        // Cinny 4.2.2 draws an edit of another person with a later redraw only, on Synapse as well.
        await redrawn(bob, "rendez-vous mardi");
        await timeline(bob, "rendez-vous mardi").getByText("(edited)").waitFor();
    },
    async "redaction"() {
        await write(alice, "à supprimer");
        await shown(bob, "à supprimer");
        await choose(alice, "à supprimer", "Delete");
        await alice.getByRole("button", { name: "Delete" }).last().click();
        await timeline(bob, "à supprimer").waitFor({ state: "detached" });
    },
    async "image upload"() {
        const file = join(SCREENSHOTS, "image.png");
        await writeFile(file, png(200));
        const chooser = alice.waitForEvent("filechooser");
        await alice.locator('[contenteditable="true"]').last().locator("xpath=ancestor::div[2]").locator("xpath=..").locator("button").first().click();
        await (await chooser).setFiles(file);
        await alice.getByRole("button", { name: /Send/ }).first().click();
        const image = bob.locator('[data-message-id] img[alt="image.png"], [data-message-id] img[title="image.png"]');
        await image.first().waitFor({ timeout: 30_000 });
        await bob.waitForFunction(() => [...document.querySelectorAll("[data-message-id] img")].some((each) => each.naturalWidth === 200));
    },
    async "cross-signing and key backup"() {
        await security(alice);
        await alice.locator("text=Cross signing").locator("xpath=ancestor::*[contains(@class,'setting-tile')]").getByRole("button", { name: "Setup" }).click();
        await alice.getByRole("button", { name: "Generate Key", exact: true }).click();
        const password = alice.locator('.auth-request input[name="password"]');
        const done = alice.locator(".cross-signing__key-text");
        await Promise.race([password.waitFor(), done.waitFor()]);
        if (await password.count()) {
            await password.fill(PASSWORD);
            await alice.locator(".auth-request button").click();
        }
        await done.waitFor();
        key = (await done.textContent()).trim();
        if (!/^E[A-Za-z]/.test(key)) throw new Error("no recovery key");
        await alice.keyboard.press("Escape");
    },
    async "second browser verified with the key reads the history"() {
        second = await open("second", "alice");
        await second.getByText(ROOM).first().click();
        await second.waitForSelector('[contenteditable="true"]');
        await security(second);
        await second.getByRole("button", { name: "Verify" }).first().click();
        await second.locator('.secret-storage-access input[name="password"]').fill(key);
        await second.locator(".secret-storage-access button").first().click();
        await second.getByText("No unverified sessions").waitFor();
        await second.locator("text=Encrypted messages backup").locator("xpath=ancestor::*[contains(@class,'setting-tile')]").locator("button").first().click();
        await second.getByText("Successfully restored backup keys").waitFor();
        await redrawn(second, "rendez-vous mardi");
        await shown(second, "salut, bien reçu");
    },
};

let failed = false;
for (const [name, scene] of Object.entries(scenes)) {
    try {
        await scene();
        say(`ok   web: ${name}`);
    } catch (error) {
        failed = true;
        say(`FAIL web: ${name}: ${error.message.split("\n").slice(0, 3).join(" ")}`);
    }
    await picture(failed ? `FAILED-${name}` : name);
    if (failed) {
        for (const [name, page] of pages) {
            say(`note web: ${name} sees ${JSON.stringify(await page.locator("[data-message-id]").allInnerTexts())}`);
        }
        break;
    }
}
await browser.close();
process.exit(failed ? 1 : 0);
