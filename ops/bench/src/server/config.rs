//! What each server is told: the settings in which it is fastest, as far as they give the same answers.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Result;

/// Makes a certificate for this machine, `cert.pem` and `key.pem` in `work`. Of P-256, which all of them know.
pub fn certificate(work: &Path) -> Result<()> {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names)?;
    fs::write(work.join("cert.pem"), made.cert.pem())?;
    fs::write(work.join("key.pem"), made.signing_key.serialize_pem())?;
    Ok(())
}

pub fn nginx(files: &Path, work: &Path, home: &Path, [sendfile, plain, tls]: [SocketAddr; 3]) -> String {
    let (files, work, home) = (files.display(), work.display(), home.display());
    format!(
        "daemon off;
master_process off;
pid {home}/nginx.pid;
worker_rlimit_nofile 20000;
events {{ worker_connections 16384; }}
http {{
    access_log off;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    default_type application/octet-stream;
    root {files};
    keepalive_requests 1000000000;
    keepalive_timeout 3600s;
    open_file_cache max=1000 inactive=3600s;
    open_file_cache_valid 3600s;
    server {{
        listen {sendfile} backlog=4096;
        sendfile on;
        tcp_nopush on;
    }}
    server {{
        listen {plain} backlog=4096;
        sendfile off;
        output_buffers 2 1m;
    }}
    server {{
        listen {tls} ssl http2 backlog=4096;
        sendfile off;
        output_buffers 2 1m;
        ssl_certificate {work}/cert.pem;
        ssl_certificate_key {work}/key.pem;
        ssl_protocols TLSv1.3;
        http2_max_concurrent_streams 256;
    }}
}}
"
    )
}

pub fn caddy(files: &Path, work: &Path, [plain, tls]: [SocketAddr; 2]) -> String {
    let (files, work) = (files.display(), work.display());
    format!(
        "{{
    admin off
    auto_https off
    default_sni localhost
}}
http://:{} {{
    bind 127.0.0.1
    root * {files}
    file_server
}}
https://:{} {{
    bind 127.0.0.1
    tls {work}/cert.pem {work}/key.pem
    root * {files}
    file_server
}}
",
        plain.port(),
        tls.port()
    )
}

/// The settings of the node: one worker, room for as much as is measured, and no questions to a DNS that may not be there.
/// All else is as a user has it.
pub fn node(work: &Path, tls: SocketAddr, memory_mib: u64) -> Vec<String> {
    let work = work.display();
    vec![
        "gateway.workers=1".into(),
        "gateway.dnslink=false".into(),
        format!("gateway.memory_mib={memory_mib}"),
        format!("gateway.tls_listen={tls}"),
        format!("gateway.certificates=[\"{work}/cert.pem:{work}/key.pem\"]"),
        "gateway.connections_max=16384".into(),
        "gateway.connections_per_prefix_max=16384".into(),
        // Idle connections are to stay while they are counted.
        "gateway.head_timeout_s=3600".into(),
    ]
}
