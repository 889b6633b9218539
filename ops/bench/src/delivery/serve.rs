//! The node that has the content, and the floor that has the same blocks.

use std::io::Read as _;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::Bytes;
use cid::Cid;
use clap::Args;
use iroh::endpoint::{RecvStream, SendStream, presets};
use iroh::{Endpoint, RelayMode};
use ledger::{Amount, SecretKey};
use serde::{Deserialize, Serialize};
use storage::ddp::{Config, Congestion, Delivery};
use storage::{Profile, Store, Walk};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use super::ledger::{CHAIN, Coins, Guide, Wallet};

/// What to serve.
#[derive(Args)]
pub struct Wanted {
    /// A folder of files.
    files: PathBuf,
    /// A folder for the store.
    store: PathBuf,
    /// The price of a MiB in units; 0 serves for nothing.
    price: u64,
    /// Which of several providers this is.
    #[arg(long, default_value_t = 0)]
    number: u8,
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1")]
    listen: IpAddr,
    /// The congestion control of the node.
    #[arg(long, value_parser = congestion, default_value = "auto")]
    congestion: Congestion,
}

fn congestion(name: &str) -> Result<Congestion, String> {
    match name {
        "auto" => Ok(Congestion::Auto),
        "cubic" => Ok(Congestion::Cubic),
        "bbr3" => Ok(Congestion::Bbr3),
        _ => Err("auto, cubic or bbr3".to_owned()),
    }
}

/// Where it is served.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Place {
    /// The node key, in hex.
    pub node: String,
    pub address: SocketAddr,
    /// Where the floor has the same blocks, and its key.
    pub floor: SocketAddr,
    pub floor_node: String,
    /// Where whoever connects by TCP gets bytes without end.
    pub tcp: SocketAddr,
    /// Each file and its CID.
    pub roots: Vec<(String, String)>,
}

/// The protocol of the floor: a number of 4 bytes names a file; the answer is that of its blocks, each of 4 bytes for its
/// length, 1 for that of its CID, the CID and the block.
pub const FLOOR_ALPN: &[u8] = b"ddn/floor/1";
/// The protocol of the floor for one byte and back.
pub const PING: u32 = u32::MAX;
/// Who may pay.
pub const PAYERS: u8 = 100;

pub fn payer(number: u8) -> SecretKey {
    SecretKey::from_seed([number; 32])
}

/// Serves, says where on the first line of its output, and ends with its input.
pub fn serve(wanted: &Wanted) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let store = Store::open(&wanted.store)?;
        let roots = import(&store, &wanted.files)?;
        let key = SecretKey::from_seed([200 + wanted.number; 32]);
        let listen = SocketAddr::new(wanted.listen, 0);
        let mut config = Config::new(key.clone(), CHAIN, listen, key.address());
        config.congestion = wanted.congestion;
        config.sessions_max = 1024;
        config.price = Amount::from_units(wanted.price);
        let delivery = Delivery::start(
            config,
            store.clone(),
            Guide::new(Vec::new()),
            Arc::new(Wallet(key.clone())),
            Arc::new(Coins::new((0..PAYERS).map(payer))),
            &mut Default::default(),
        )
        .await?;
        let floor = floor(listen, &store, &roots).await?;
        let tcp = tcp(listen).await?;
        let place = Place {
            node: key.public().to_string(),
            address: delivery.local_addr(),
            floor: floor.0.bound_sockets()[0],
            floor_node: hex(floor.1.as_bytes()),
            tcp,
            roots: roots
                .iter()
                .map(|(name, root)| (name.clone(), root.to_string()))
                .collect(),
        };
        println!("{}", serde_json::to_string(&place)?);
        tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
        delivery.shutdown().await;
        anyhow::Ok(())
    })
}

fn import(store: &Store, files: &Path) -> Result<Vec<(String, Cid)>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(files)? {
        names.push(entry?.file_name().into_string().ok().context("a strange name")?);
    }
    names.sort();
    let import = |name: String| {
        let imported = store.import_path(&files.join(&name), Profile::V1_2025, &mut |_| {})?;
        Ok((name, imported.root))
    };
    names.into_iter().map(import).collect()
}

/// The blocks of a file.
type File = Vec<(Cid, Bytes)>;

/// The same blocks from memory, on the same transport.
async fn floor(
    listen: SocketAddr,
    store: &Store,
    roots: &[(String, Cid)],
) -> Result<(Endpoint, iroh::EndpointId)> {
    let key = iroh::SecretKey::from_bytes(&[201; 32]);
    let id = key.public();
    let endpoint = Endpoint::builder(presets::Minimal)
        .secret_key(key)
        .alpns(vec![FLOOR_ALPN.to_vec()])
        .relay_mode(RelayMode::Disabled)
        .clear_ip_transports()
        .bind_addr(listen)?
        .bind()
        .await?;
    let mut files: Vec<File> = Vec::new();
    for (_, root) in roots {
        let blocks: Result<Vec<_>, _> = Walk::new(store, &[*root]).collect();
        files.push(blocks?);
    }
    let (accepting, files) = (endpoint.clone(), Arc::new(files));
    tokio::spawn(async move {
        while let Some(incoming) = accepting.accept().await {
            let files = Arc::clone(&files);
            tokio::spawn(async move {
                let Ok(connection) = incoming.await else { return };
                while let Ok((send, recv)) = connection.accept_bi().await {
                    tokio::spawn(answer(Arc::clone(&files), send, recv));
                }
            });
        }
    });
    Ok((endpoint, id))
}

async fn answer(files: Arc<Vec<File>>, mut send: SendStream, mut recv: RecvStream) -> Result<()> {
    let mut number = [0; 4];
    while recv.read_exact(&mut number).await.is_ok() {
        let number = u32::from_be_bytes(number);
        if number == PING {
            send.write_all(&[0]).await?;
            continue;
        }
        let blocks = files.get(number as usize).context("no such file")?;
        send.write_all(&(blocks.len() as u32).to_be_bytes()).await?;
        for (cid, block) in blocks.iter() {
            let cid = cid.to_bytes();
            let head = [&(block.len() as u32).to_be_bytes()[..], &[cid.len() as u8], &cid].concat();
            send.write_all(&head).await?;
            send.write_chunk(block.clone()).await?;
        }
    }
    send.finish()?;
    Ok(())
}

/// A plain copy: bytes until the other side has enough.
async fn tcp(listen: SocketAddr) -> Result<SocketAddr> {
    let listener = TcpListener::bind(listen).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        let bytes = vec![7; 256 << 10];
        while let Ok((mut stream, _)) = listener.accept().await {
            while stream.write_all(&bytes).await.is_ok() {}
        }
    });
    Ok(address)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
