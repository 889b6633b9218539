// Reads a published folder with Helia's verified-fetch: GATEWAY CID FOLDER. It takes single blocks from the gateway and
// checks each by itself; what it reads must be what the folder has.

import { readFile, readdir } from 'node:fs/promises'
import { withHTTP } from '@helia/http'
import { unixfs } from '@helia/unixfs'
import { createVerifiedFetchWithHelia } from '@helia/verified-fetch'
import { createHeliaLight } from 'helia'
import { CID } from 'multiformats/cid'

const [gateway, cid, folder] = process.argv.slice(2)
const local = { allowInsecure: true, allowLocal: true }
const helia = await withHTTP(createHeliaLight(), { delegatedRouters: [gateway], recursiveGateways: [gateway], ...local }).start()
const fetch = await createVerifiedFetchWithHelia(helia)

const files = ['index.html', 'docs/guide.html', 'empty.txt', 'big.bin', 'many/2718-' + 'x'.repeat(60) + '.txt']
let bytes = 0
for (const file of files) {
  const answer = await fetch(`ipfs://${cid}/${file}`)
  const found = Buffer.from(await answer.arrayBuffer())
  if (!answer.ok || !found.equals(await readFile(`${folder}/${file}`))) {
    throw new Error(`${file}: ${answer.status}, ${found.length} bytes that are not those of the file`)
  }
  bytes += found.length
}

const part = await fetch(`ipfs://${cid}/big.bin`, { headers: { range: 'bytes=1048570-1048580' } })
const expected = (await readFile(`${folder}/big.bin`)).subarray(1048570, 1048581)
if (part.status !== 206 || !Buffer.from(await part.arrayBuffer()).equals(expected)) {
  throw new Error(`a range: ${part.status}`)
}

const entries = []
for await (const entry of unixfs(helia).ls(CID.parse(cid), { path: 'many' })) entries.push(entry.name)
if (entries.sort().join() !== (await readdir(`${folder}/many`)).sort().join()) {
  throw new Error(`${entries.length} entries of the sharded folder that are not those of the folder`)
}
console.log(JSON.stringify({ files: files.length, bytes, entries: entries.length }))
process.exit(0)
