//! What a node keeps of its chain: blocks, certificates, state, its Merkle tree, and what is proposed but undecided.
//!
//! A committed block is one atomic, synced write: after a crash the store is at a height as a whole, never between
//! two. The store knows nothing of the engine and checks no rule: it keeps what `execute` found good.

mod columns;
mod db;
mod prune;
mod recent;
mod snapshot;
mod submitted;
mod tree;
mod undecided;
mod view;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

use cid::Cid;
use ledger::{Block, Body, Certificate, Genesis, Hash, Header, Label, Tx, ValidatorSet};
use rocksdb::WriteBatch;

use columns::{
    BODIES, CERTIFICATES, HEADERS, INDEX, META, NODES, Place, SET_CHANGES, STALE, STATE, Stale, VALUES,
};
use db::Db;
use recent::Recent;
use tree::Tree;

pub(crate) use snapshot::{read as read_snapshot, write as write_snapshot};
pub(crate) use submitted::Submitted;
pub(crate) use tree::{Changes, Proof};
pub(crate) use undecided::Undecided;
pub(crate) use view::Version;
pub use view::View;

use crate::{Error, Tip};

/// The version of the layout in `columns`. A folder of another one is refused.
const FORMAT: &str = "1";
const META_FORMAT: &[u8] = b"format";
const META_CHAIN: &[u8] = b"chain";
const META_GENESIS: &[u8] = b"genesis";
const META_GENESIS_CID: &[u8] = b"genesis-cid";

/// The result of running a block: what changed, and the tree that follows from it.
#[derive(Clone, Debug)]
pub(crate) struct Executed {
    /// Keys that the block changed.
    pub(crate) changes: Changes,
    /// State root after the block.
    pub(crate) root: Hash,
    tree: jmt::storage::TreeUpdateBatch,
}

/// The chain store of one folder.
#[derive(Debug)]
pub(crate) struct Store {
    db: Arc<Db>,
    tip: RwLock<Tip>,
    recent: Recent,
    /// Those of the genesis.
    first_voters: ValidatorSet,
    /// Versions behind the tip that stay provable.
    kept: u64,
    /// What is stale since a version below this is deleted.
    pruned: AtomicU64,
}

impl Store {
    /// Opens the folder of a chain, or makes it from the genesis.
    pub(crate) fn open(dir: &Path, genesis: &Genesis) -> Result<Store, Error> {
        let db = Arc::new(Db::open(dir)?);
        match db.get(META, META_FORMAT)? {
            None => write_genesis(&db, genesis)?,
            Some(format) => check_identity(&db, &format, genesis)?,
        }
        let tip = read_tip(&db, genesis)?;
        let first_voters = genesis.validators().map_err(|e| Error::genesis(genesis, e))?;
        Ok(Store {
            db,
            first_voters,
            recent: Recent::new(tip.height),
            tip: RwLock::new(tip),
            kept: prune::KEPT_VERSIONS,
            pruned: AtomicU64::new(0),
        })
    }

    /// The newest committed block.
    pub(crate) fn tip(&self) -> Tip {
        self.tip.read().expect("no panic while the tip is set").clone()
    }

    /// The height of the tip, without a lock.
    pub(crate) fn height(&self) -> u64 {
        self.recent.height()
    }

    /// The labels of names that blocks above `since` have changed, if that is still known.
    pub(crate) fn names_changed(&self, since: u64) -> Option<Vec<Label>> {
        self.recent.changed_since(since)
    }

    /// The state at the tip.
    pub(crate) fn view(&self) -> View {
        View::new(Arc::clone(&self.db), self.tip())
    }

    /// The state after the block of an earlier height, of the last 1000.
    pub(crate) fn version(&self, height: u64) -> Version {
        Version {
            db: Arc::clone(&self.db),
            height,
        }
    }

    /// The heights of which the state is here.
    pub(crate) fn kept(&self) -> std::ops::RangeInclusive<u64> {
        let tip = self.height();
        tip.saturating_sub(self.kept)..=tip
    }

    /// What `changes` make of the state at the tip.
    pub(crate) fn execute(&self, changes: Changes) -> Result<Executed, Error> {
        let (root, tree) = Tree(&self.db).update(&changes, self.tip().height + 1)?;
        Ok(Executed {
            changes,
            root: Hash(root),
            tree,
        })
    }

    /// Keeps a decided block. The block must be the one that `executed` is of, and follow the tip.
    pub(crate) fn commit(
        &self,
        block: &Block,
        cert: &Certificate,
        executed: &Executed,
    ) -> Result<Tip, Error> {
        let height = block.header.height;
        let mut batch = WriteBatch::default();
        // Deletions first: a key may come back in the block that drops its tombstone.
        let horizon = height.saturating_sub(self.kept);
        let pruned = prune::stage(&self.db, &mut batch, horizon, self.pruned.load(Ordering::Relaxed))?;
        self.put_block(&mut batch, block, cert)?;
        self.put_state(&mut batch, executed, height)?;
        undecided::stage_removal(&self.db, &mut batch, height)?;
        self.db.write("a block", batch)?;
        self.pruned.store(pruned, Ordering::Relaxed);
        let tip = Tip::of(&block.header);
        self.recent
            .note(height, executed.changes.keys().map(Vec::as_slice));
        let mut newest = self.tip.write().expect("no panic while the tip is set");
        *newest = tip.clone();
        // Under the lock: who sees the height reads this state or a newer one, and who read the state sees the height.
        self.recent.reach(height);
        drop(newest);
        Ok(tip)
    }

    /// Replaces the certificate of the tip by one with more signatures.
    pub(crate) fn replace_certificate(&self, cert: &Certificate) -> Result<(), Error> {
        let mut batch = WriteBatch::default();
        batch.put_cf(
            self.db.table(CERTIFICATES)?,
            cert.height.to_be_bytes(),
            ledger::encode(cert),
        );
        self.db.write("a certificate", batch)
    }

    /// The header of a height.
    pub(crate) fn header(&self, height: u64) -> Result<Option<Header>, Error> {
        self.decoded(HEADERS, height)
    }

    /// Those who vote on a height: any up to the one above the tip.
    pub(crate) fn voters(&self, height: u64) -> Result<ValidatorSet, Error> {
        let before = height.saturating_sub(1).to_be_bytes();
        match self.db.at_or_before(SET_CHANGES, &before)? {
            Some((_, set)) => ledger::decode(&set).map_err(|e| Error::damaged(SET_CHANGES, e.to_string())),
            None => Ok(self.first_voters.clone()),
        }
    }

    /// The heights after which other validators vote, below `end`, oldest first, and who they are.
    pub(crate) fn set_changes(&self, end: u64) -> Result<Vec<(u64, ValidatorSet)>, Error> {
        let mut changes = Vec::new();
        for row in self.db.rows_from(SET_CHANGES, &[])? {
            let (height, set) = row?;
            let height = <[u8; 8]>::try_from(&*height).map(u64::from_be_bytes);
            let height = height.map_err(|_| Error::damaged(SET_CHANGES, "a height of another length"))?;
            if height >= end {
                break;
            }
            let set = ledger::decode(&set).map_err(|e| Error::damaged(SET_CHANGES, e.to_string()))?;
            changes.push((height, set));
        }
        Ok(changes)
    }

    /// The body of a height.
    pub(crate) fn body(&self, height: u64) -> Result<Option<Body>, Error> {
        self.decoded(BODIES, height)
    }

    /// The certificate of a height.
    pub(crate) fn certificate(&self, height: u64) -> Result<Option<Certificate>, Error> {
        self.decoded(CERTIFICATES, height)
    }

    /// A block with its certificate; none before a snapshot.
    pub(crate) fn block(&self, height: u64) -> Result<Option<(Block, Certificate)>, Error> {
        let Some(header) = self.header(height)? else {
            return Ok(None);
        };
        // Of blocks before a snapshot there are some headers.
        let Some(body) = self.body(height)? else {
            return Ok(None);
        };
        let cert = self
            .certificate(height)?
            .ok_or_else(|| missing("certificate", height))?;
        Ok(Some((Block { header, body }, cert)))
    }

    /// Header, body and certificate of a height, as they were hashed and signed.
    pub(crate) fn encoded(&self, height: u64) -> Result<Option<[Vec<u8>; 3]>, Error> {
        let key = height.to_be_bytes();
        let Some(header) = self.db.get(HEADERS, &key)? else {
            return Ok(None);
        };
        let Some(body) = self.db.get(BODIES, &key)? else {
            return Ok(None);
        };
        let certificate = self.db.get(CERTIFICATES, &key)?;
        let certificate = certificate.ok_or_else(|| missing("certificate", height))?;
        Ok(Some([header, body, certificate]))
    }

    /// The height of the block that holds a transaction.
    pub(crate) fn height_of(&self, tx: &Cid) -> Result<Option<u64>, Error> {
        Ok(match self.place(tx)? {
            Some(Place::Tx(height, _)) => Some(height),
            _ => None,
        })
    }

    /// A committed transaction and its height.
    pub(crate) fn transaction(&self, cid: &Cid) -> Result<Option<(Tx, u64)>, Error> {
        let Some(Place::Tx(height, position)) = self.place(cid)? else {
            return Ok(None);
        };
        let mut body = self.body(height)?.ok_or_else(|| missing("body", height))?;
        if position as usize >= body.txs.len() {
            return Err(Error::damaged(
                INDEX,
                format!("no transaction {position} at height {height}"),
            ));
        }
        Ok(Some((body.txs.swap_remove(position as usize), height)))
    }

    /// The bytes of a header, a body, a transaction or the genesis, by CID.
    pub(crate) fn object(&self, cid: &Cid) -> Result<Option<Vec<u8>>, Error> {
        let bytes = match self.place(cid)? {
            Some(Place::Header(height)) => self.db.get(HEADERS, &height.to_be_bytes())?,
            Some(Place::Body(height)) => self.db.get(BODIES, &height.to_be_bytes())?,
            Some(Place::Tx(..)) => self.transaction(cid)?.map(|(tx, _)| ledger::encode(&tx)),
            None => self.genesis_object(cid)?,
        };
        // The index goes by digest: a CID of another codec with that digest is another object.
        Ok(bytes.filter(|bytes| ledger::cid_of(bytes) == *cid))
    }

    /// Copies all tables into a new folder, as of one moment; files that do not change are shared where the disk allows.
    pub(crate) fn backup(&self, dir: &Path) -> Result<(), Error> {
        self.db.checkpoint(dir)
    }

    /// The value of a key at the tip with its proof.
    pub(crate) fn prove(&self, key: &[u8], height: u64) -> Result<(Option<Vec<u8>>, Proof), Error> {
        Tree(&self.db).prove(key, height)
    }

    fn genesis_object(&self, cid: &Cid) -> Result<Option<Vec<u8>>, Error> {
        let own = self.db.get(META, META_GENESIS_CID)?;
        if own.as_deref() == Some(&cid.to_bytes()) {
            self.db.get(META, META_GENESIS)
        } else {
            Ok(None)
        }
    }

    fn place(&self, cid: &Cid) -> Result<Option<Place>, Error> {
        let Some(bytes) = self.db.get(INDEX, cid.hash().digest())? else {
            return Ok(None);
        };
        Place::decode(&bytes)
            .map(Some)
            .ok_or_else(|| Error::damaged(INDEX, cid.to_string()))
    }

    fn decoded<T>(&self, table: &'static str, height: u64) -> Result<Option<T>, Error>
    where
        T: serde::Serialize + serde::de::DeserializeOwned,
    {
        let Some(bytes) = self.db.get(table, &height.to_be_bytes())? else {
            return Ok(None);
        };
        ledger::decode(&bytes)
            .map(Some)
            .map_err(|e| Error::damaged(table, format!("height {height}: {e}")))
    }

    fn put_block(&self, batch: &mut WriteBatch, block: &Block, cert: &Certificate) -> Result<(), Error> {
        let height = block.header.height;
        let (header, body) = (ledger::encode(&block.header), ledger::encode(&block.body));
        self.put_place(batch, &ledger::cid_of(&header), Place::Header(height))?;
        self.put_place(batch, &ledger::cid_of(&body), Place::Body(height))?;
        for (position, tx) in (0u32..).zip(&block.body.txs) {
            self.put_place(batch, &tx.cid(), Place::Tx(height, position))?;
        }
        batch.put_cf(self.db.table(HEADERS)?, height.to_be_bytes(), header);
        batch.put_cf(self.db.table(BODIES)?, height.to_be_bytes(), body);
        batch.put_cf(
            self.db.table(CERTIFICATES)?,
            height.to_be_bytes(),
            ledger::encode(cert),
        );
        Ok(())
    }

    fn put_place(&self, batch: &mut WriteBatch, cid: &Cid, place: Place) -> Result<(), Error> {
        batch.put_cf(self.db.table(INDEX)?, cid.hash().digest(), place.encode());
        Ok(())
    }

    fn put_state(&self, batch: &mut WriteBatch, executed: &Executed, version: u64) -> Result<(), Error> {
        if let Some(Some(set)) = executed.changes.get(&ledger::key::validators()) {
            batch.put_cf(self.db.table(SET_CHANGES)?, version.to_be_bytes(), set);
        }
        stage_state(&self.db, batch, &executed.changes, version)?;
        stage_tree(&self.db, batch, &executed.tree, version)
    }
}

/// The newest state by raw key.
fn stage_state(db: &Db, batch: &mut WriteBatch, changes: &Changes, version: u64) -> Result<(), Error> {
    for (key, value) in changes {
        let row = [&version.to_be_bytes()[..], &tree::encode_value(value.as_deref())].concat();
        batch.put_cf(db.table(STATE)?, key, row);
        if value.is_none() {
            batch.put_cf(db.table(STALE)?, Stale::Key.row(version, key), []);
        }
    }
    Ok(())
}

/// Tree nodes, versioned values, and which older ones they make stale.
fn stage_tree(
    db: &Db,
    batch: &mut WriteBatch,
    update: &jmt::storage::TreeUpdateBatch,
    version: u64,
) -> Result<(), Error> {
    for (key, node) in update.node_batch.nodes() {
        batch.put_cf(db.table(NODES)?, tree::node_key(key), tree::encode_node(node));
    }
    for ((_, hash), value) in update.node_batch.values() {
        let row = tree::value_key(*hash, version);
        if let Some((old, _)) = Tree(db).value_at(*hash, version)? {
            batch.put_cf(
                db.table(STALE)?,
                Stale::Value.row(version, &tree::value_key(*hash, old)),
                [],
            );
        }
        if value.is_none() {
            batch.put_cf(db.table(STALE)?, Stale::Value.row(version, &row), []);
        }
        batch.put_cf(db.table(VALUES)?, row, tree::encode_value(value.as_deref()));
    }
    for stale in &update.stale_node_index_batch {
        let row = Stale::Node.row(stale.stale_since_version, &tree::node_key(&stale.node_key));
        batch.put_cf(db.table(STALE)?, row, []);
    }
    Ok(())
}

fn write_genesis(db: &Db, genesis: &Genesis) -> Result<(), Error> {
    let entries = genesis.initial_state().map_err(|e| Error::genesis(genesis, e))?;
    let changes: Changes = entries
        .into_iter()
        .map(|(key, value)| (key, Some(value)))
        .collect();
    let (_, update) = Tree(db).update(&changes, 0)?;
    let mut batch = WriteBatch::default();
    stage_state(db, &mut batch, &changes, 0)?;
    stage_tree(db, &mut batch, &update, 0)?;
    write_identity(db, &mut batch, genesis)?;
    db.write("the genesis", batch)
}

/// Which chain a folder is of.
fn write_identity(db: &Db, batch: &mut WriteBatch, genesis: &Genesis) -> Result<(), Error> {
    let meta = db.table(META)?;
    batch.put_cf(meta, META_FORMAT, FORMAT);
    batch.put_cf(meta, META_CHAIN, &genesis.chain_id);
    batch.put_cf(meta, META_GENESIS, ledger::encode(genesis));
    batch.put_cf(meta, META_GENESIS_CID, genesis.cid().to_bytes());
    Ok(())
}

fn check_identity(db: &Db, format: &[u8], genesis: &Genesis) -> Result<(), Error> {
    if format != FORMAT.as_bytes() {
        let found = String::from_utf8_lossy(format).into_owned();
        return Err(Error::Format {
            dir: db.dir().to_owned(),
            found,
            wanted: FORMAT,
        });
    }
    let chain = db.get(META, META_CHAIN)?.unwrap_or_default();
    let found = String::from_utf8_lossy(&chain).into_owned();
    if found != genesis.chain_id {
        let wanted = genesis.chain_id.clone();
        return Err(Error::OtherChain {
            dir: db.dir().to_owned(),
            found,
            wanted,
        });
    }
    let cid = db.get(META, META_GENESIS_CID)?.unwrap_or_default();
    if cid != genesis.cid().to_bytes() {
        let found = Cid::try_from(cid).map(|cid| cid.to_string()).unwrap_or_default();
        let (chain, wanted) = (genesis.chain_id.clone(), genesis.cid().to_string());
        return Err(Error::OtherGenesis {
            dir: db.dir().to_owned(),
            chain,
            found,
            wanted,
        });
    }
    Ok(())
}

fn read_tip(db: &Db, genesis: &Genesis) -> Result<Tip, Error> {
    match db.at_or_before(HEADERS, &u64::MAX.to_be_bytes())? {
        Some((_, bytes)) => {
            let header: Header =
                ledger::decode(&bytes).map_err(|e| Error::damaged(HEADERS, e.to_string()))?;
            Ok(Tip::of(&header))
        }
        None => Ok(Tip::genesis(genesis, Hash(Tree(db).root(0)?))),
    }
}

fn missing(what: &'static str, height: u64) -> Error {
    Error::damaged(what, format!("nothing at height {height}, which has a header"))
}
