//! Every key of the configuration, declared once: its form, default, variable, flag, meaning, and how it gets into
//! [`Settings`]. Parsing, `ensemble config show` and the configuration reference are made from this table.
//! Must not read anything; the layers are `configuration`'s.

use super::settings::{self, Settings};
use super::{Fault, Given};

/// One key of the configuration.
#[derive(Debug)]
pub struct Key {
    /// As the file has it, with its table: `log.level`. [`REGISTRY_CREDENTIALS`] stands for one key per registry.
    pub name: &'static str,
    pub form: Form,
    /// As one would write it; empty where there is none.
    pub default: &'static str,
    /// The environment variable, where there is one.
    pub environment: Option<&'static str>,
    /// The flag of `ensemble serve`, where there is one.
    pub flag: Option<&'static str>,
    pub takes_effect: TakesEffect,
    /// A sentence or two for the reference, in Markdown.
    pub meaning: &'static str,
    /// Puts a value where the server reads it, or says what is wrong with it.
    pub(super) set: fn(&mut Settings, &Given) -> Result<(), Fault>,
}

/// What a value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Text,
    /// Relative to the file that names it, or to the working directory.
    Path,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A whole number from 1 to this.
    Count(u32),
    /// Bytes: `10GiB`, `500MB`, `4096B`.
    Size,
    /// `10s`, `500ms`, `2m`, `1h`.
    Duration,
    /// An array of strings in the file, separated by commas elsewhere.
    List,
}

/// When a changed value is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakesEffect {
    /// At a reload (SIGHUP).
    AtReload,
    /// When the server starts.
    AtStart,
}

impl Form {
    /// For people: `a duration, such as 10s`.
    pub fn describe(self) -> String {
        match self {
            Self::Text => "text".into(),
            Self::Path => "a path".into(),
            Self::Choice(words) => words.join(", "),
            Self::Count(most) => format!("a whole number from 1 to {most}"),
            Self::Size => "a size, such as `10GiB`".into(),
            Self::Duration => "a duration, such as `10s`".into(),
            Self::List => "a list of texts".into(),
        }
    }
}

/// The key of which there is one for each registry.
pub const REGISTRY_CREDENTIALS: &str = "registries.\"HOST\".credentials";

/// All keys, in the order of the reference.
pub const KEYS: &[Key] = &[
    Key {
        name: "data_dir",
        form: Form::Path,
        default: "$XDG_DATA_HOME/ensemble or ~/.local/share/ensemble",
        environment: Some("ENSEMBLE_DATA_DIR"),
        flag: Some("--data-dir"),
        takes_effect: TakesEffect::AtStart,
        meaning: "The directory of the log, the access key, images and container records. One server at a time.",
        set: settings::data_dir,
    },
    Key {
        name: "listen",
        form: Form::Text,
        default: "127.0.0.1:8420",
        environment: Some("ENSEMBLE_LISTEN"),
        flag: Some("--listen"),
        takes_effect: TakesEffect::AtStart,
        meaning: "The address and port of the API. Port 0 picks a free one.",
        set: settings::listen,
    },
    Key {
        name: "fleet",
        form: Form::Path,
        default: "builtin",
        environment: Some("ENSEMBLE_FLEET"),
        flag: Some("--fleet"),
        takes_effect: TakesEffect::AtReload,
        meaning: "The edge nodes: `builtin` (70 nodes known from ENS), or the path of a fleet file. A fleet that lacks \
                  a node which carries instances is refused; an engine that is new needs a restart.",
        set: settings::fleet,
    },
    Key {
        name: "engine",
        form: Form::Choice(&["embedded", "simulated"]),
        default: "embedded",
        environment: Some("ENSEMBLE_ENGINE"),
        flag: Some("--engine"),
        takes_effect: TakesEffect::AtStart,
        meaning: "What runs the built-in fleet: `embedded` runs containers on this machine, `simulated` does \
                  everything but that. A fleet file names its own engines.",
        set: settings::engine,
    },
    Key {
        name: "pod_network",
        form: Form::Text,
        default: "10.80.0.0/16",
        environment: Some("ENSEMBLE_POD_NETWORK"),
        flag: Some("--pod-network"),
        takes_effect: TakesEffect::AtStart,
        meaning: "The address range of pods. Parts of it that this machine already routes are left alone.",
        set: settings::pod_network,
    },
    Key {
        name: "faults",
        form: Form::Path,
        default: "",
        environment: Some("ENSEMBLE_FAULTS"),
        flag: Some("--faults"),
        takes_effect: TakesEffect::AtStart,
        meaning: "For exercises: a TOML file, `unreachable = [\"cn-shanghai-cmcc\"]`, whose edge nodes are cut off from the \
                  server while their containers run on. It is read again whenever it changes.",
        set: settings::faults,
    },
    Key {
        name: "log.level",
        form: Form::Text,
        default: "info",
        environment: Some("ENSEMBLE_LOG"),
        flag: Some("--log"),
        takes_effect: TakesEffect::AtReload,
        meaning: "What is logged: `error`, `warn`, `info`, `debug` or `trace`, also for one part: \
                  `info,ensemble_engine=debug`. Reads are logged at `debug`, writes and refusals at `info`.",
        set: settings::log_level,
    },
    Key {
        name: "log.format",
        form: Form::Choice(&["auto", "text", "json"]),
        default: "auto",
        environment: Some("ENSEMBLE_LOG_FORMAT"),
        flag: None,
        takes_effect: TakesEffect::AtStart,
        meaning: "How the log on stderr looks. `auto` is text on a terminal, JSON otherwise.",
        set: settings::log_format,
    },
    Key {
        name: "images.cache_size",
        form: Form::Size,
        default: "10GiB",
        environment: Some("ENSEMBLE_IMAGES_CACHE_SIZE"),
        flag: None,
        takes_effect: TakesEffect::AtReload,
        meaning: "How large the image cache may become before images that no version is pinned to are removed. \
                  Pinned ones never are.",
        set: settings::cache_size,
    },
    Key {
        name: "images.plain_http",
        form: Form::List,
        default: "",
        environment: Some("ENSEMBLE_IMAGES_PLAIN_HTTP"),
        flag: None,
        takes_effect: TakesEffect::AtReload,
        meaning: "Registries (`host` or `host:port`) that are asked over plain HTTP. Those on loopback always are.",
        set: settings::plain_http,
    },
    Key {
        name: REGISTRY_CREDENTIALS,
        form: Form::Path,
        default: "",
        environment: None,
        flag: None,
        takes_effect: TakesEffect::AtReload,
        meaning: "The file that holds `username` and `password` for this registry, readable by its owner alone \
                  (mode 0600).",
        set: settings::registry,
    },
    Key {
        name: "tls.certificate",
        form: Form::Path,
        default: "",
        environment: Some("ENSEMBLE_TLS_CERTIFICATE"),
        flag: None,
        takes_effect: TakesEffect::AtReload,
        meaning: "The certificate chain, PEM. With it the API is served over HTTPS only. Turning HTTPS on or off \
                  takes a restart, new files a reload.",
        set: settings::tls_certificate,
    },
    Key {
        name: "tls.key",
        form: Form::Path,
        default: "",
        environment: Some("ENSEMBLE_TLS_KEY"),
        flag: None,
        takes_effect: TakesEffect::AtReload,
        meaning: "The private key of the certificate, PEM, readable by its owner alone.",
        set: settings::tls_key,
    },
    Key {
        name: "metrics.serve_to",
        form: Form::Choice(&["loopback", "all", "nobody"]),
        default: "loopback",
        environment: Some("ENSEMBLE_METRICS_SERVE_TO"),
        flag: None,
        takes_effect: TakesEffect::AtReload,
        meaning: "Who may read `/metrics`, which is not signed: this machine, everybody who reaches the port, or \
                  nobody.",
        set: settings::metrics_serve_to,
    },
    Key {
        name: "limits.connections",
        form: Form::Count(1_000_000),
        default: "1024",
        environment: Some("ENSEMBLE_LIMITS_CONNECTIONS"),
        flag: None,
        takes_effect: TakesEffect::AtReload,
        meaning: "Connections at the same time; more wait until one ends.",
        set: settings::connections,
    },
    Key {
        name: "limits.headers_within",
        form: Form::Duration,
        default: "10s",
        environment: Some("ENSEMBLE_LIMITS_HEADERS_WITHIN"),
        flag: None,
        takes_effect: TakesEffect::AtReload,
        meaning: "From the first byte of a request to the end of its headers; then the connection is closed.",
        set: settings::headers_within,
    },
    Key {
        name: "limits.body_within",
        form: Form::Duration,
        default: "30s",
        environment: Some("ENSEMBLE_LIMITS_BODY_WITHIN"),
        flag: None,
        takes_effect: TakesEffect::AtReload,
        meaning: "From the end of the headers to the end of the body; then the request is refused.",
        set: settings::body_within,
    },
    Key {
        name: "limits.idle_within",
        form: Form::Duration,
        default: "75s",
        environment: Some("ENSEMBLE_LIMITS_IDLE_WITHIN"),
        flag: None,
        takes_effect: TakesEffect::AtReload,
        meaning: "How long a connection without a request is kept open for the next one.",
        set: settings::idle_within,
    },
    Key {
        name: "limits.commands",
        form: Form::Count(10_000),
        default: "32",
        environment: Some("ENSEMBLE_LIMITS_COMMANDS"),
        flag: None,
        takes_effect: TakesEffect::AtReload,
        meaning: "Commands of `ensemble exec` that run at the same time; more are refused.",
        set: settings::commands,
    },
    Key {
        name: "limits.command_idle_within",
        form: Form::Duration,
        default: "1h",
        environment: Some("ENSEMBLE_LIMITS_COMMAND_IDLE_WITHIN"),
        flag: None,
        takes_effect: TakesEffect::AtReload,
        meaning: "How long a command of `ensemble exec` may run without a byte to or from it; then it is ended.",
        set: settings::command_idle_within,
    },
];

/// The key of this name.
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}
