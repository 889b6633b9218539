//! The types that settings have: how each is read from TOML and shown as TOML, and what is said when it does not fit.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use gateway::{Network, Redirect, Style};
use ledger::Amount;
use named::mesh::{NoWeb, Web};
use storage::ddp::Congestion;
use toml::Value;

/// A type of setting.
pub(super) trait Setting: Sized {
    /// From TOML; the error says what is right.
    fn read(value: &Value) -> Result<Self, String>;
    /// As TOML.
    fn show(&self) -> Value;
}

/// A whole number from `MIN` to `MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whole<const MIN: u64, const MAX: u64>(u64);

impl<const MIN: u64, const MAX: u64> Whole<MIN, MAX> {
    /// A number that is known to be in range; out of range does not compile in a constant.
    pub const fn new(number: u64) -> Self {
        assert!(MIN <= number && number <= MAX);
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The number as a size; ranges of sizes fit all platforms.
    pub fn size(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    /// The number as seconds.
    pub const fn seconds(self) -> Duration {
        Duration::from_secs(self.0)
    }
}

impl<const MIN: u64, const MAX: u64> Setting for Whole<MIN, MAX> {
    fn read(value: &Value) -> Result<Self, String> {
        let number = value.as_integer().and_then(|number| u64::try_from(number).ok());
        let fits = number.filter(|number| (MIN..=MAX).contains(number));
        fits.map(Self)
            .ok_or_else(|| format!("give a whole number from {MIN} to {MAX}"))
    }

    fn show(&self) -> Value {
        Value::Integer(i64::try_from(self.0).unwrap_or(i64::MAX))
    }
}

/// An amount of coins. It is text, since a TOML number with a point would be rounded to a binary fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coins(Amount);

impl Coins {
    /// From base units, of which a coin has 10^8.
    pub const fn from_units(units: u64) -> Self {
        Self(Amount::from_units(units))
    }

    /// The amount.
    pub const fn get(self) -> Amount {
        self.0
    }
}

impl Setting for Coins {
    fn read(value: &Value) -> Result<Self, String> {
        let amount = match value {
            Value::String(text) => Amount::parse_coins(text).ok(),
            Value::Integer(coins) => u64::try_from(*coins).ok().and_then(Amount::from_coins),
            _ => None,
        };
        amount
            .map(Self)
            .ok_or_else(|| "give coins as text, at most 8 decimals, for example \"0.0001\"".to_owned())
    }

    fn show(&self) -> Value {
        Value::String(self.0.coins())
    }
}

impl Setting for bool {
    fn read(value: &Value) -> Result<Self, String> {
        value.as_bool().ok_or_else(|| "give true or false".to_owned())
    }

    fn show(&self) -> Value {
        Value::Boolean(*self)
    }
}

impl Setting for SocketAddr {
    fn read(value: &Value) -> Result<Self, String> {
        let address = value.as_str().and_then(|text| text.parse().ok());
        address.ok_or_else(|| {
            "give an IP address and a port, for example \"127.0.0.1:8080\"; port 0 takes a free one"
                .to_owned()
        })
    }

    fn show(&self) -> Value {
        Value::String(self.to_string())
    }
}

impl Setting for Redirect {
    fn read(value: &Value) -> Result<Self, String> {
        match value.as_str() {
            Some("off") => Ok(Self::Off),
            Some("on") => Ok(Self::On),
            Some("all") => Ok(Self::All),
            _ => Err("give \"off\", \"on\" or \"all\"".to_owned()),
        }
    }

    fn show(&self) -> Value {
        let text = match self {
            Self::Off => "off",
            Self::On => "on",
            Self::All => "all",
        };
        Value::String(text.to_owned())
    }
}

/// A listener that only this machine can reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loopback(SocketAddr);

impl Loopback {
    /// The address 127.0.0.1 with a port.
    pub const fn new(port: u16) -> Self {
        Self(SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), port))
    }

    /// The address.
    pub const fn get(self) -> SocketAddr {
        self.0
    }
}

impl Setting for Loopback {
    fn read(value: &Value) -> Result<Self, String> {
        let address = SocketAddr::read(value)?;
        if !address.ip().is_loopback() {
            return Err(
                "this listener is for this machine only: give an address such as \"127.0.0.1:4100\"".into(),
            );
        }
        Ok(Self(address))
    }

    fn show(&self) -> Value {
        self.0.show()
    }
}

/// A domain and the content path that it stands for: `example.org=/ipfs/CID/path`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainPath {
    /// The domain, lower case.
    pub domain: String,
    /// The content path.
    pub path: String,
}

impl Setting for DomainPath {
    fn read(value: &Value) -> Result<Self, String> {
        let pair = value.as_str().and_then(|text| text.split_once('='));
        pair.filter(|(domain, path)| domain.contains('.') && is_content_path(path))
            .map(|(domain, path)| Self {
                domain: domain.trim().trim_end_matches('.').to_ascii_lowercase(),
                path: path.trim().to_owned(),
            })
            .ok_or_else(|| {
                "give domains with content paths, for example [\"example.org=/ipns/alice.ddn\", \
                 \"docs.example.org=/ipfs/bafy…\"]"
                    .to_owned()
            })
    }

    fn show(&self) -> Value {
        Value::String(format!("{}={}", self.domain, self.path))
    }
}

fn is_content_path(path: &str) -> bool {
    let root = |rest: &str| rest.split('/').next().unwrap_or_default().to_owned();
    match path.trim() {
        path if path.starts_with("/ipfs/") => cid::Cid::try_from(root(&path[6..]).as_str()).is_ok(),
        path => path
            .strip_prefix("/ipns/")
            .is_some_and(|rest| !root(rest).is_empty()),
    }
}

/// A chain that the node does not follow, and who is asked for its names: `GENESIS_FILE URL…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherChain {
    /// Its genesis file.
    pub genesis: PathBuf,
    /// Gateways of nodes that follow it, at least one: URLs without a slash at their ends.
    pub gateways: Vec<String>,
}

impl Setting for OtherChain {
    fn read(value: &Value) -> Result<Self, String> {
        let mut words = value.as_str().unwrap_or_default().split_whitespace();
        let genesis = words.next().map(PathBuf::from);
        let gateways: Option<Vec<String>> = words.map(gateway).collect();
        match (genesis, gateways) {
            (Some(genesis), Some(gateways)) if !gateways.is_empty() => Ok(Self { genesis, gateways }),
            _ => Err(
                "give for each chain its genesis file and gateways of its nodes, for example [\"mmt.genesis.json \
                 https://gateway.example http://192.0.2.7:8080\"]"
                    .to_owned(),
            ),
        }
    }

    fn show(&self) -> Value {
        let genesis = self.genesis.display();
        Value::String(format!("{genesis} {}", self.gateways.join(" ")))
    }
}

/// The URL of an HTTP server, and of nothing on it.
fn gateway(text: &str) -> Option<String> {
    let url = reqwest::Url::parse(text).ok()?;
    let is_server = matches!(url.scheme(), "http" | "https")
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty();
    is_server.then(|| url.as_str().trim_end_matches('/').to_owned())
}

impl Setting for Network {
    fn read(value: &Value) -> Result<Self, String> {
        let network = value.as_str().and_then(|text| text.parse().ok());
        network.ok_or_else(|| "give networks, for example [\"192.0.2.0/24\", \"2001:db8::/32\"]".to_owned())
    }

    fn show(&self) -> Value {
        Value::String(self.to_string())
    }
}

/// The look of the access log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogStyle(Style);

impl LogStyle {
    /// The look.
    pub const fn get(self) -> Style {
        self.0
    }
}

impl Setting for LogStyle {
    fn read(value: &Value) -> Result<Self, String> {
        match value.as_str() {
            Some("combined") => Ok(Self(Style::Combined)),
            Some("json") => Ok(Self(Style::Json)),
            _ => Err("give \"combined\" or \"json\"".to_owned()),
        }
    }

    fn show(&self) -> Value {
        let text = match self.0 {
            Style::Combined => "combined",
            Style::Json => "json",
        };
        Value::String(text.to_owned())
    }
}

impl Setting for Congestion {
    fn read(value: &Value) -> Result<Self, String> {
        match value.as_str() {
            Some("auto") => Ok(Self::Auto),
            Some("bbr3") => Ok(Self::Bbr3),
            Some("cubic") => Ok(Self::Cubic),
            _ => Err("give \"auto\", \"bbr3\" or \"cubic\"".to_owned()),
        }
    }

    fn show(&self) -> Value {
        let text = match self {
            Self::Auto => "auto",
            Self::Bbr3 => "bbr3",
            Self::Cubic => "cubic",
        };
        Value::String(text.to_owned())
    }
}

/// When a node has itself reached through a relay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RelayUse {
    /// When peers do not reach its port.
    #[default]
    Auto,
    Always,
    Never,
}

impl Setting for RelayUse {
    fn read(value: &Value) -> Result<Self, String> {
        match value.as_str() {
            Some("auto") => Ok(Self::Auto),
            Some("always") => Ok(Self::Always),
            Some("never") => Ok(Self::Never),
            _ => Err("give \"auto\", \"always\" or \"never\"".to_owned()),
        }
    }

    fn show(&self) -> Value {
        let text = match self {
            Self::Auto => "auto",
            Self::Always => "always",
            Self::Never => "never",
        };
        Value::String(text.to_owned())
    }
}

impl Setting for String {
    fn read(value: &Value) -> Result<Self, String> {
        value
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| "give a text".to_owned())
    }

    fn show(&self) -> Value {
        Value::String(self.clone())
    }
}

impl Setting for IpAddr {
    fn read(value: &Value) -> Result<Self, String> {
        let address = value.as_str().and_then(|text| text.parse().ok());
        address.ok_or_else(|| "give IP addresses, for example [\"127.0.0.1\"]".to_owned())
    }

    fn show(&self) -> Value {
        Value::String(self.to_string())
    }
}

/// What may be absent: an empty text, since TOML has no other word for it.
impl<T: Setting> Setting for Option<T> {
    fn read(value: &Value) -> Result<Self, String> {
        match value.as_str() {
            Some("") => Ok(None),
            _ => T::read(value)
                .map(Some)
                .map_err(|reason| format!("{reason}; \"\" for none")),
        }
    }

    fn show(&self) -> Value {
        self.as_ref()
            .map_or_else(|| Value::String(String::new()), T::show)
    }
}

impl Setting for Web {
    fn read(value: &Value) -> Result<Self, String> {
        let web = value.as_str().ok_or(NoWeb).and_then(str::parse);
        web.map_err(|error| error.to_string())
    }

    fn show(&self) -> Value {
        Value::String(self.to_string())
    }
}

/// A list; where only text can be given (`--set`, the environment), its parts are separated by commas.
impl<T: Setting> Setting for Vec<T> {
    fn read(value: &Value) -> Result<Self, String> {
        match value {
            Value::Array(parts) => parts.iter().map(T::read).collect(),
            Value::String(text) => {
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                parts
                    .map(|part| T::read(&Value::String(part.to_owned())))
                    .collect()
            }
            _ => Err("give a list, for example [\"a\", \"b\"]".to_owned()),
        }
    }

    fn show(&self) -> Value {
        Value::Array(self.iter().map(T::show).collect())
    }
}
