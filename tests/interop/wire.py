"""A recording proxy between clients and a server: what is asked, and how it is answered.

wire.py PORT TARGET_PORT FILE

Listens on 127.0.0.1:PORT, hands everything to 127.0.0.1:TARGET_PORT and appends one JSON line per
request to FILE: method, path without query, status, errcode. Bodies and tokens are not written. The
suites read the file when they end: no 5xx, and which paths the server does not know.
"""

import asyncio
import json
import sys

from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector, web

HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host", "upgrade"}


def errcode(body):
    try:
        return json.loads(body).get("errcode", "")
    except (ValueError, AttributeError):
        return ""


async def serve(port, target_port, file):
    lines = open(file, "a", buffering=1)
    session = ClientSession(
        connector=TCPConnector(limit=0), timeout=ClientTimeout(total=None), auto_decompress=False,
        cookie_jar=DummyCookieJar(),
    )

    async def hand_on(request):
        headers = [(k, v) for k, v in request.headers.items() if k.lower() not in HOP]
        headers.append(("Host", request.headers.get("Host", f"127.0.0.1:{port}")))
        body = await request.read()
        url = f"http://127.0.0.1:{target_port}{request.raw_path}"
        try:
            async with session.request(
                request.method, url, headers=headers, data=body or None, allow_redirects=False,
            ) as answer:
                content = await answer.read()
                status = answer.status
                back = [(k, v) for k, v in answer.headers.items() if k.lower() not in HOP]
        except OSError:
            status, content, back = 502, b"", []
        seen = {"method": request.method, "path": request.raw_path.split("?")[0], "status": status}
        if status >= 400:
            seen["errcode"] = errcode(content)
        lines.write(json.dumps(seen) + "\n")
        response = web.Response(status=status, body=content)
        response.headers.popall("Content-Type", None)
        for name, value in back:
            response.headers.add(name, value)
        return response

    app = web.Application(client_max_size=200_000_000)
    app.router.add_route("*", "/{path:.*}", hand_on)
    runner = web.AppRunner(app, access_log=None, auto_decompress=False, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
