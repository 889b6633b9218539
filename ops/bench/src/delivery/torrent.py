"""A BitTorrent client: seeds files, or fetches one of them into an empty folder and says how long that took."""
import json
import os
import sys
import time

import libtorrent as lt

MIB = 1 << 20


def session():
    return lt.session({
        "listen_interfaces": "127.0.0.1:0",
        "enable_dht": False,
        "enable_lsd": False,
        "enable_upnp": False,
        "enable_natpmp": False,
        "allow_multiple_connections_per_ip": True,
        # As fast as it can: TCP, no encryption, no queue of peers.
        "enable_outgoing_utp": False,
        "enable_incoming_utp": False,
        "out_enc_policy": lt.enc_policy.disabled,
        "in_enc_policy": lt.enc_policy.disabled,
        "unchoke_slots_limit": -1,
        "unchoke_interval": 1,
        "max_out_request_queue": 2000,
        "send_buffer_watermark": 16 * MIB,
        "alert_mask": lt.alert.category_t.status_notification | lt.alert.category_t.error_notification,
    })


def seed(folder, torrents):
    client = session()
    for name in sorted(os.listdir(folder)):
        files = lt.file_storage()
        lt.add_files(files, os.path.join(folder, name))
        torrent = lt.create_torrent(files, piece_size=MIB, flags=lt.create_torrent.v1_only)
        lt.set_piece_hashes(torrent, folder)
        path = os.path.join(torrents, name)
        with open(path, "wb") as out:
            out.write(lt.bencode(torrent.generate()))
        seeded = lt.add_torrent_params()
        seeded.ti, seeded.save_path = lt.torrent_info(path), folder
        seeded.flags = lt.torrent_flags.seed_mode
        client.add_torrent(seeded)
    while client.listen_port() == 0:
        time.sleep(0.01)
    print(client.listen_port(), flush=True)
    sys.stdin.read()


def get(port, torrent, folder):
    client = session()
    wanted = lt.add_torrent_params()
    wanted.ti, wanted.save_path = lt.torrent_info(torrent), folder
    # Neither queued nor paused.
    wanted.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
    began = time.monotonic()
    handle = client.add_torrent(wanted)
    handle.connect_peer(("127.0.0.1", port))
    while not handle.status().is_seeding:
        if time.monotonic() - began > 120:
            sys.exit("it took more than two minutes")
        client.wait_for_alert(5)
        client.pop_alerts()
    took = time.monotonic() - began
    times = os.times()
    print(json.dumps({"bytes": wanted.ti.total_size(), "seconds": took, "first_us": [], "cpu_s": times.user + times.system}))


if sys.argv[1] == "seed":
    seed(sys.argv[2], sys.argv[3])
else:
    get(int(sys.argv[2]), sys.argv[3], sys.argv[4])
