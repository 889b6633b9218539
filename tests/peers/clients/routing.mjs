// Finds a provider by delegated routing, and reads from what it finds: ROUTER CID FOLDER. No gateway is known to Helia
// here; what it reads must be what the folder has.

import { readFile } from 'node:fs/promises'
import { delegatedRoutingV1HttpApiClient } from '@helia/delegated-routing-v1-http-api-client'
import { withHTTP } from '@helia/http'
import { unixfs } from '@helia/unixfs'
import { createHeliaLight } from 'helia'
import { CID } from 'multiformats/cid'

const [router, cid, folder] = process.argv.slice(2)
const root = CID.parse(cid)
const local = { allowInsecure: true, allowLocal: true }
const helia = await withHTTP(createHeliaLight(), { delegatedRouters: [router], recursiveGateways: [], ...local }).start()

const client = delegatedRoutingV1HttpApiClient({ url: router })(helia)
const providers = []
for await (const provider of client.getProviders(root)) {
  if (provider.Protocols.includes('transport-ipfs-gateway-http')) providers.push(provider)
}
if (providers.length === 0) throw new Error(`the router knows no HTTP provider of ${cid}`)

const chunks = []
for await (const chunk of unixfs(helia).cat(root, { path: 'big.bin' })) chunks.push(chunk)
const found = Buffer.concat(chunks)
if (!found.equals(await readFile(`${folder}/big.bin`))) {
  throw new Error(`big.bin: ${found.length} bytes that are not those of the file`)
}
console.log(JSON.stringify({ providers: providers.length, bytes: found.length }))
process.exit(0)
