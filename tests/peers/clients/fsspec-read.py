"""Reads a published folder with ipfsspec: GATEWAY CID FOLDER. What it reads must be what the folder has."""

import json
import sys
from pathlib import Path

import fsspec

gateway, cid, folder = sys.argv[1:]
folder = Path(folder)
fs = fsspec.filesystem("ipfs", gateway_addr=gateway)


def same(what, left, right):
    if left != right:
        raise SystemExit(f"{what}: {str(left)[:200]} is not {str(right)[:200]}")


total = 0
for file in ["index.html", "docs/guide.html", "docs/\u0105.txt", "empty.txt", "big.bin"]:
    content = fs.cat(f"{cid}/{file}")
    same(file, content, (folder / file).read_bytes())
    same(f"size of {file}", fs.info(f"{cid}/{file}")["size"], len(content))
    total += len(content)
# The root has a sharded folder in it, which this client does not read.
listed = {entry["name"].rsplit("/", 1)[-1] for entry in fs.ls(f"{cid}/docs")}
same("the listing", listed, {entry.name for entry in (folder / "docs").iterdir()})
with fs.open(f"{cid}/big.bin") as big:
    big.seek(3_000_000)
    same("a range", big.read(1000), (folder / "big.bin").read_bytes()[3_000_000:3_001_000])
print(json.dumps({"entries": len(listed), "bytes": total}))
