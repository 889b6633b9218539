"""Reads a published folder over HTTP/3 with aioquic: ADDRESS HOST CERTIFICATE FOLDER. Several requests share one
connection; each body must be what the file in the folder is."""

import asyncio
import json
import sys
from pathlib import Path

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration


class Client(QuicConnectionProtocol):
    """One connection."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.http = H3Connection(self._quic)
        self.answers = {}

    async def get(self, host, path):
        """The status and the body."""
        stream = self._quic.get_next_available_stream_id()
        fields = {":method": "GET", ":scheme": "https", ":authority": host, ":path": path}
        fields = [(name.encode(), value.encode()) for name, value in fields.items()]
        done = asyncio.get_running_loop().create_future()
        self.answers[stream] = [0, bytearray(), done]
        self.http.send_headers(stream, fields, end_stream=True)
        self.transmit()
        return await asyncio.wait_for(done, 60)

    def quic_event_received(self, event):
        for part in self.http.handle_event(event):
            answer = self.answers.get(getattr(part, "stream_id", None))
            if answer is None:
                continue
            if isinstance(part, HeadersReceived):
                answer[0] = int(dict(part.headers)[b":status"])
            elif isinstance(part, DataReceived):
                answer[1] += part.data
            if part.stream_ended and not answer[2].done():
                answer[2].set_result((answer[0], bytes(answer[1])))


async def main(address, host, certificate, folder):
    ip, port = address.rsplit(":", 1)
    configuration = QuicConfiguration(is_client=True, alpn_protocols=H3_ALPN, server_name=host)
    configuration.load_verify_locations(certificate)
    files = ["index.html", "big.bin", "docs/guide.html", "empty.txt"]
    async with connect(ip, int(port), configuration=configuration, create_protocol=Client) as client:
        answers = await asyncio.gather(*(client.get(f"{host}:{port}", f"/{file}") for file in files))
        alpn = client._quic.tls.alpn_negotiated
    for file, (status, body) in zip(files, answers):
        if status != 200 or body != (Path(folder) / file).read_bytes():
            raise SystemExit(f"{file}: {status}, {len(body)} bytes that are not those of the file")
    print(json.dumps({"alpn": alpn, "requests": len(files), "bytes": sum(len(body) for _, body in answers)}))


asyncio.run(main(*sys.argv[1:]))
