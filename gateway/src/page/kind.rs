//! What an entry of a folder is, in a word and a picture.

use storage::codec;

use crate::media;

/// What an entry seems to be. Its codec and its name tell; its block need not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Another folder.
    Folder,
    /// A symbolic link.
    Link,
    /// A page for browsers.
    Page,
    /// A picture.
    Picture,
    /// A film.
    Film,
    /// Something to listen to.
    Sound,
    /// Something to read.
    Text,
    /// Source or script.
    Code,
    /// Several files in one.
    Archive,
    /// An object of IPLD.
    Object,
    /// Any other file.
    File,
}

impl Kind {
    /// Of the entry `name` that links to an object of `codec`. None if it is a file or a folder, and only its block tells.
    pub(crate) fn of(name: &str, codec: u64) -> Option<Self> {
        match (codec, media::by_name(name)) {
            (codec::RAW | codec::DAG_PB, Some(media)) => Some(Self::of_media(media)),
            (codec::DAG_PB, None) => None,
            (codec::RAW, None) => Some(Self::File),
            _ => Some(Self::Object),
        }
    }

    fn of_media(media: &str) -> Self {
        match media.split_once('/').unwrap_or_default() {
            ("text", "html") | ("application", "xhtml+xml") => Self::Page,
            ("text", "css" | "javascript") | ("application", "wasm" | "json" | "xml" | "toml") => Self::Code,
            ("text", "plain" | "markdown") | ("application", "pdf" | "epub+zip") => Self::Text,
            ("text", sub) if sub.starts_with("x-") => Self::Code,
            ("text", _) => Self::Text,
            ("image", _) => Self::Picture,
            ("video", _) => Self::Film,
            ("audio", _) => Self::Sound,
            ("application", sub) if ARCHIVES.iter().any(|word| sub.contains(word)) => Self::Archive,
            _ => Self::File,
        }
    }

    /// The word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Folder => "Folder",
            Self::Link => "Link",
            Self::Page => "Page",
            Self::Picture => "Picture",
            Self::Film => "Film",
            Self::Sound => "Sound",
            Self::Text => "Text",
            Self::Code => "Code",
            Self::Archive => "Archive",
            Self::Object => "Object",
            Self::File => "File",
        }
    }

    /// Its picture, which [`pictures`] draws.
    pub(crate) fn icon(self) -> String {
        let word = self.word();
        format!("<svg class=\"{word}\" aria-hidden=\"true\"><use href=\"#{word}\"/></svg>")
    }
}

const ARCHIVES: [&str; 6] = ["zip", "tar", "compressed", "7z", "rar", "ipld.car"];

/// All pictures, to be put once into a page that shows some. Drawn in a square of 16 units.
pub(crate) fn pictures() -> String {
    let symbol = |(kind, path): &(Kind, &str)| {
        format!(
            "<symbol id=\"{}\" viewBox=\"0 0 16 16\"><path d=\"{path}\"/></symbol>",
            kind.word()
        )
    };
    let symbols: String = PICTURES.iter().map(symbol).collect();
    format!("<svg class=\"hidden\" aria-hidden=\"true\">{symbols}</svg>\n")
}

const PICTURES: [(Kind, &str); 11] = [
    (Kind::Folder, "M1.5 12.5v-9h4l1.5 2h7.5v7z"),
    (
        Kind::Link,
        "M6.5 9.5l3-3M7 4.5l1.5-1.5a2.8 2.8 0 0 1 4 4L11 8.5M9 11.5 7.5 13a2.8 2.8 0 0 1-4-4L5 7.5",
    ),
    (Kind::Page, "M1.5 3.5h13v9h-13zM1.5 6h13"),
    (
        Kind::Picture,
        "M1.5 3h13v10h-13zM2 12l4-4.5 3 3 2-2 3.5 3.5M11 5.7v.1",
    ),
    (Kind::Film, "M1.5 3h13v10h-13zM6.5 5.7v4.6l4-2.3z"),
    (
        Kind::Sound,
        "M6 12V3l7-1.5v9M6 12a1.9 1.6 0 1 1-3.8 0A1.9 1.6 0 1 1 6 12zM13 10.5a1.9 1.6 0 1 1-3.8 0 1.9 1.6 0 1 1 3.8 0z",
    ),
    (Kind::Text, "M3.5 14.5v-13h6l3 3v10zM9.5 1.5v3h3M5.5 8h5M5.5 11h5"),
    (Kind::Code, "M5.5 4.5 2 8l3.5 3.5M10.5 4.5 14 8l-3.5 3.5"),
    (Kind::Archive, "M2 2.5h12v3H2zM3 5.5v8h10v-8M6.5 8.5h3"),
    (
        Kind::Object,
        "M8 1.5l5.5 3.200v6.600L8 14.5l-5.5-3.200V4.700zM8 8v6.5M8 8 2.5 4.700M8 8l5.5-3.300",
    ),
    (Kind::File, "M3.5 14.5v-13h6l3 3v10zM9.5 1.5v3h3"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_name_and_codec() {
        for (name, codec, expected) in [
            ("a", codec::DAG_PB, None),
            (".hidden", codec::DAG_PB, None),
            ("a", codec::RAW, Some(Kind::File)),
            ("a.html", codec::RAW, Some(Kind::Page)),
            ("a.HTML", codec::DAG_PB, Some(Kind::Page)),
            ("a.png", codec::RAW, Some(Kind::Picture)),
            ("a.mp4", codec::DAG_PB, Some(Kind::Film)),
            ("a.mp3", codec::RAW, Some(Kind::Sound)),
            ("a.txt", codec::RAW, Some(Kind::Text)),
            ("a.md", codec::RAW, Some(Kind::Text)),
            ("a.pdf", codec::RAW, Some(Kind::Text)),
            ("a.js", codec::RAW, Some(Kind::Code)),
            ("a.json", codec::RAW, Some(Kind::Code)),
            ("a.tar.gz", codec::RAW, Some(Kind::Archive)),
            ("a.zip", codec::RAW, Some(Kind::Archive)),
            ("a.bin", codec::RAW, Some(Kind::File)),
            ("a", codec::DAG_CBOR, Some(Kind::Object)),
        ] {
            assert_eq!(Kind::of(name, codec), expected, "{name}");
        }
    }
}
