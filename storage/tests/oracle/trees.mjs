// Generates trees, imports each with ipfs-unixfs-importer under both profiles, and writes trees and CIDs as JSON.
//
//   npm ci --ignore-scripts && npm run fixture
//
// The result depends on nothing but this file and the importer: the same trees, in the same order, every time.
// A tree is a list of entries, each with a path below the root ("" is the root itself):
//
//   ["path", "file", bytes, seed]              contents: see contents()
//   ["path", "dir"]
//   ["path", "link", "target"]
//   ["path", "many", count, name_bytes, seed]  a folder of `count` files, named and filled as manyName() says

import { writeFile } from 'node:fs/promises'
import { importer } from 'ipfs-unixfs-importer'

const PROFILES = ['unixfs-v1-2025', 'unixfs-v0-2015']
const KIB = 1024
const MIB = 1024 * KIB

/** A 32-bit linear congruential generator; its upper bits are used. */
function generator (seed) {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state
  }
}

function contents (bytes, seed) {
  const next = generator(seed)
  return Uint8Array.from({ length: bytes }, () => next() >>> 24)
}

/** `count` names of `bytes` characters; the last eight are the number in hex, so they differ. */
function manyName (next, at, bytes) {
  let name = ''
  while (name.length < bytes - 8) name += 'abcdefghijklmnopqrstuvwxyz012345'[next() >>> 27]
  return name + at.toString(16).padStart(8, '0')
}

function many (path, count, nameBytes, seed) {
  const next = generator(seed)
  return Array.from({ length: count }, (_, at) => {
    const name = manyName(next, at, nameBytes)
    return { path: `${path}/${name}`, content: contents(at % 200, at) }
  })
}

function candidates ([path, kind, ...rest]) {
  const full = path === '' ? 'root' : `root/${path}`
  switch (kind) {
    case 'file': return [{ path: full, content: contents(...rest) }]
    case 'dir': return [{ path: full }]
    case 'link': return [{ path: full, link: rest[0] }]
    case 'many': return many(full, ...rest)
  }
}

async function root (tree, profile) {
  const sink = { put: async (cid) => cid }
  let found
  const source = tree.flatMap(candidates)
  for await (const entry of importer(source, sink, { profile, wrapWithDirectory: false })) {
    if (entry.path === 'root') found = entry.cid.toString()
  }
  return found
}

const NAMES = [
  'a', 'b', 'index.html', 'README.md', 'style.css', 'img', 'docs', 'src', 'ä', 'ß.txt', 'é', 'e\u0301', '日本語',
  'Ελληνικά', 'עברית', '🦀', '👩‍🚀.png', 'with space', '%20', "it's", '"quoted"', 'back\\slash', 'colon:', 'tab\there',
  'new\nline', '~tilde', '-dash', '+plus', '#hash', '?query', '*', '0', '00', '10', '9', 'A', 'Z', 'z', 'a.b', 'a-b',
  'ab', 'a b', '\u00ff', '\uffee', '\u{10348}', 'x'.repeat(100), 'y'.repeat(101), 'z'.repeat(255), 'ü'.repeat(127)
]
const EDGES = [
  0, 1, 2, 127, 128, 255, 256, 16383, 16384, 65535,
  256 * KIB - 1, 256 * KIB, 256 * KIB + 1, 2 * 256 * KIB, 2 * 256 * KIB + 1,
  MIB - 1, MIB, MIB + 1
]
const TARGETS = ['a', '../b', '/etc/hostname', './with space/日本語', 'dangling', '..', 't'.repeat(101), 'u'.repeat(300)]

/** A folder of up to `width` entries, nested up to `depth`. */
function folder (next, path, depth, width) {
  const pick = (list) => list[next() % list.length]
  const names = new Set(Array.from({ length: (next() >>> 8) % (width + 1) }, () => pick(NAMES)))
  const entries = [...names].flatMap((name) => {
    const below = path === '' ? name : `${path}/${name}`
    const roll = (next() >>> 16) % 100
    if (roll < 25 && depth > 0) return folder(next, below, depth - 1, width)
    if (roll < 35) return [[below, 'link', pick(TARGETS)]]
    if (roll < 45) return [[below, 'dir']]
    const bytes = roll < 50 ? pick(EDGES) : (next() >>> 8) % 3000
    return [[below, 'file', bytes, next()]]
  })
  return [[path, 'dir'], ...entries]
}

function trees () {
  const found = []
  for (const bytes of EDGES) found.push([['', 'file', bytes, bytes]])
  for (const bytes of [5 * MIB - 1, 5 * MIB, 5 * MIB + 1]) found.push([['', 'file', bytes, bytes]])
  // A third level of the file tree under the profile with 174 links.
  found.push([['', 'file', 174 * 256 * KIB + 256 * KIB + 1, 7]])
  for (const target of TARGETS) found.push([['', 'link', target]])
  for (const name of NAMES) found.push([['', 'dir'], [name, 'file', 3, 3]])
  const deep = Array.from({ length: 60 }, (_, at) => `d${at}`)
  found.push([[deep.join('/'), 'file', 1, 1]], [[deep.join('/'), 'dir']])
  for (let seed = 1; seed <= 260; seed++) {
    const next = generator(seed * 2654435761)
    found.push(folder(next, '', seed % 5, 3 + seed % 12))
  }
  // Around the thresholds of both profiles, and far above; 5,500 names share slots of the root shard everywhere.
  for (const [count, nameBytes] of [
    [4090, 30], [4095, 30], [4096, 30], [4097, 30], [4100, 30], [4032, 31], [4033, 31], [4600, 12], [4650, 12],
    [4680, 12], [4700, 12], [4720, 12], [4750, 12], [4800, 12], [900, 255], [5500, 8]
  ]) {
    found.push([['', 'many', count, nameBytes, count]])
  }
  found.push([['', 'dir'], ['small', 'file', 5, 5], ['large', 'many', 5000, 24, 1], ['large/sub', 'dir'],
    ['large/sub/x', 'file', 10, 10], ['large/link', 'link', 'sub/x'], ['other', 'many', 20, 9, 2]])
  return found
}

const cases = []
for (const tree of trees()) {
  const cids = {}
  for (const profile of PROFILES) cids[profile] = await root(tree, profile)
  cases.push({ tree, cids })
}
const lines = cases.map((found) => JSON.stringify(found))
await writeFile(process.argv[2], `[\n${lines.join(',\n')}\n]\n`)
console.log(`${cases.length} trees`)
