use std::fs;

use super::*;

fn load(file: &str, environment: &[(&str, &str)], set: &[&str]) -> Result<Config, ConfigError> {
    let dir = tempfile::tempdir().expect("a folder");
    if !file.is_empty() {
        fs::write(dir.path().join(FILE_NAME), file).expect("a file");
    }
    let environment: Vec<_> = environment
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    let set = set.iter().map(|argument| (*argument).to_owned()).collect();
    let sources = Sources {
        data: dir.path().to_owned(),
        file: None,
        set,
    };
    Config::resolve(&sources, &environment)
}

/// The text of the error, with the folder of the file left out.
fn error(file: &str, environment: &[(&str, &str)], set: &[&str]) -> String {
    let text = load(file, environment, set).expect_err("a mistake").to_string();
    match text.find("config.toml") {
        Some(at) => format!("…{}", &text[at..]),
        None => text,
    }
}

fn value(config: &Config, key: &str) -> (String, String) {
    let report = config.report();
    let setting = report
        .settings
        .into_iter()
        .find(|setting| setting.key == key)
        .expect("a key");
    (setting.value, setting.origin)
}

#[test]
fn the_defaults_are_the_documented_ports() {
    let settings = load("", &[], &[]).expect("defaults").settings;
    assert_eq!(settings.gateway.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.dns.listen.to_string(), "127.0.0.1:5300");
    assert_eq!(settings.admin.listen.get().to_string(), "127.0.0.1:4100");
    assert_eq!(settings.mesh.listen.to_string(), "127.0.0.1:4101");
    assert_eq!(settings.delivery.listen.to_string(), "127.0.0.1:4102");
    assert_eq!(settings.engine.listen.to_string(), "127.0.0.1:4103");
}

#[test]
fn later_sources_win_and_the_origin_is_known() {
    let file = "[dns]\nttl_s = 1\nlisten = \"127.0.0.1:1\"\nalias_zones = [\"a.example\"]\n";
    let environment = [
        ("DDN_DNS_TTL_S", "2"),
        ("DDN_DNS_LISTEN", "127.0.0.1:2"),
        ("DDN_DATA", "/x"),
    ];
    let config = load(
        file,
        &environment,
        &["dns.ttl_s=3", "gateway.hosts=a.example, b.example"],
    )
    .expect("good");
    assert_eq!(value(&config, "dns.ttl_s"), ("3".into(), "--set".into()));
    assert_eq!(
        value(&config, "dns.listen"),
        ("\"127.0.0.1:2\"".into(), "environment DDN_DNS_LISTEN".into())
    );
    let (zones, origin) = value(&config, "dns.alias_zones");
    assert!(
        zones == "[\"a.example\"]" && origin.starts_with("file "),
        "{zones} {origin}"
    );
    assert_eq!(config.settings.gateway.hosts, ["a.example", "b.example"]);
    assert_eq!(value(&config, "dns.tcp_idle_s"), ("10".into(), "default".into()));
}

#[test]
fn port_0_is_taken_everywhere() {
    let set = ["gateway", "dns", "admin", "engine", "mesh", "delivery"]
        .map(|section| format!("{section}.listen=127.0.0.1:0"));
    let settings = load("", &[], &set.each_ref().map(String::as_str))
        .expect("good")
        .settings;
    assert_eq!(
        settings.gateway.listen.port() + settings.admin.listen.get().port(),
        0
    );
}

#[test]
fn mistakes_are_named_with_their_place_and_the_remedy() {
    for (file, environment, set, expected) in [
        (
            "[gateway]\nlisen = \"127.0.0.1:1\"\n",
            [].as_slice(),
            [].as_slice(),
            "…config.toml: there is no setting `gateway.lisen`, the nearest is `gateway.listen`",
        ),
        (
            "listen = 1\n",
            &[],
            &[],
            "…config.toml: there is no setting `listen`, the nearest is `dns.listen`",
        ),
        (
            "[gatway]\n",
            &[],
            &[],
            "…config.toml: there is no setting `gatway`, the nearest is `gateway.http3`",
        ),
        (
            "[dns]\nttl_s = \"long\"\n",
            &[],
            &[],
            "…config.toml: dns.ttl_s = \"long\": give a whole number from 0 to 86400",
        ),
        (
            "[dns]\nttl_s = -1\n",
            &[],
            &[],
            "…config.toml: dns.ttl_s = -1: give a whole number from 0 to 86400",
        ),
        (
            "[dns]\nttl_s 5\n",
            &[],
            &[],
            "…config.toml, line 2: key with no value, expected `=`",
        ),
        (
            "",
            &[("DDN_GATEWAY_LISTN", "x")],
            &[],
            "environment DDN_GATEWAY_LISTN: there is no setting `gateway.listn`, the nearest is `gateway.listen`",
        ),
        (
            "",
            &[],
            &["gateway.listen=8080"],
            "--set: gateway.listen = 8080: give an IP address and a port, for example \"127.0.0.1:8080\"; \
             port 0 takes a free one",
        ),
        (
            "",
            &[],
            &["admin.listen=0.0.0.0:4100"],
            "--set: admin.listen = \"0.0.0.0:4100\": this listener is for this machine only: give an address such as \
             \"127.0.0.1:4100\"",
        ),
        (
            "",
            &[],
            &["gateway.listen"],
            "--set gateway.listen: write it as SECTION.KEY=VALUE, for example --set gateway.listen=127.0.0.1:0",
        ),
        (
            "",
            &[],
            &["mash.listen=1"],
            "--set: there is no setting `mash.listen`, the nearest is `mesh.listen`",
        ),
        (
            "",
            &[],
            &["node.faucet=maybe"],
            "--set: node.faucet = \"maybe\": give true or false",
        ),
        (
            "[delivery]\nprice = 0.0001\n",
            &[],
            &[],
            "…config.toml: delivery.price = 0.0001: give coins as text, at most 8 decimals, for example \"0.0001\"",
        ),
        (
            "",
            &[],
            &["delivery.float=-1"],
            "--set: delivery.float = -1: give coins as text, at most 8 decimals, for example \"0.0001\"",
        ),
        (
            "",
            &[],
            &["gateway.dnslinks=example.org=/ipfs/nonsense"],
            "--set: gateway.dnslinks = \"example.org=/ipfs/nonsense\": give domains with content paths, for example \
             [\"example.org=/ipns/alice.ddn\", \"docs.example.org=/ipfs/bafy…\"]",
        ),
        (
            "",
            &[("DDN_DELIVERY_TIMEOUT_S", "1")],
            &[],
            "environment DDN_DELIVERY_TIMEOUT_S: delivery.timeout_s = 1: give a whole number from 2 to 600",
        ),
    ] {
        assert_eq!(error(file, environment, set), expected);
    }
}

#[test]
fn domains_have_content_paths() {
    let set = ["gateway.dnslinks=A.example.org=/ipns/alice.ddn/x, b.example=/ipfs/bafkqaaa"];
    let links = load("", &[], &set).expect("good").settings.gateway.dnslinks;
    let links: Vec<_> = links
        .iter()
        .map(|link| (link.domain.as_str(), link.path.as_str()))
        .collect();
    assert_eq!(
        links,
        [
            ("a.example.org", "/ipns/alice.ddn/x"),
            ("b.example", "/ipfs/bafkqaaa")
        ]
    );
}

#[test]
fn coins_keep_every_digit() {
    for (file, set, expected) in [
        ("", [].as_slice(), "0.0001"),
        ("[delivery]\nprice = \"0.00000001\"\n", &[], "0.00000001"),
        ("[delivery]\nprice = 3\n", &[], "3"),
        ("", &["delivery.price=0.00000001"], "0.00000001"),
        (
            "",
            &["delivery.price=184467440737.09551615"],
            "184467440737.09551615",
        ),
        ("", &["delivery.price=\"1.50\""], "1.5"),
    ] {
        let price = load(file, &[], set).expect("good").settings.delivery.price;
        assert_eq!(price.get().coins(), expected);
    }
}

#[test]
fn a_file_that_was_asked_for_must_be_there() {
    let file = Some(PathBuf::from("/nowhere/ddn.toml"));
    let sources = Sources {
        file,
        ..Sources::default()
    };
    let error = Config::resolve(&sources, &[]).expect_err("not there").to_string();
    assert!(
        error.starts_with("cannot read the configuration /nowhere/ddn.toml: No such file"),
        "{error}"
    );
}

#[test]
fn every_setting_is_documented_and_its_default_is_read_back() {
    for setting in load("", &[], &[]).expect("defaults").report().settings {
        assert!(
            setting.help.ends_with('.') && setting.help.len() > 20,
            "{}",
            setting.key
        );
        let argument = format!("{}={}", setting.key, setting.default);
        let back = load("", &[], &[&argument]).unwrap_or_else(|error| panic!("{argument}: {error}"));
        assert_eq!(value(&back, &setting.key), (setting.default, "--set".into()));
    }
}
