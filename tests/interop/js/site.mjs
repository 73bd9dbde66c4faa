// A built web application on loopback: files from a directory, the rest is index.html, and a config.json
// that names the homeserver.

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join, normalize } from "node:path";

const TYPES = {
    ".css": "text/css", ".html": "text/html", ".js": "text/javascript", ".json": "application/json", ".mjs": "text/javascript",
    ".png": "image/png", ".svg": "image/svg+xml", ".ttf": "font/ttf", ".wasm": "application/wasm", ".woff2": "font/woff2",
};

/** Serves `directory`; the address, once it listens. */
export async function serve(directory, config) {
    const server = createServer(async (request, response) => {
        const path = normalize(decodeURIComponent(new URL(request.url, "http://site").pathname));
        if (path === "/config.json") {
            response.setHeader("Content-Type", "application/json");
            return response.end(JSON.stringify(config));
        }
        // Cinny asks for its WebAssembly beside the script that loads it and keeps it at the root.
        const wasm = extname(path) === ".wasm" && `/${path.split("/").at(-1)}`;
        const file = wasm || (extname(path) ? path : "/index.html");
        try {
            const content = await readFile(join(directory, file));
            response.setHeader("Content-Type", TYPES[extname(file)] ?? "application/octet-stream");
            return response.end(content);
        } catch {
            response.statusCode = 404;
            return response.end();
        }
    });
    await new Promise((done) => server.listen(0, "127.0.0.1", done));
    return `http://127.0.0.1:${server.address().port}`;
}
