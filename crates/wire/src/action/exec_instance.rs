//! ExecInstance, ours: runs a command in a container of an instance (`decisions.md` §9.12). The request is signed as
//! any other and has no body; answered with 101, the connection then speaks the frames of `payload::exec`.

use super::{BOTH, owned};
use crate::entry::{Access, Action, Group, Kind, Parameter, PublishedError, ValueType};
use crate::error::Error;
use crate::parameters::{Flag, Parameters};
use serde_json::Value;

pub static ENTRY: Action = Action {
    name: "ExecInstance",
    title: "Run a command in a container",
    summary: "Runs a command in a running container of an instance, as its user, within its limits. The request carries \
              `Connection: Upgrade` and `Upgrade: ensemble-exec`, the answer is 101, and from there on the connection \
              carries frames: one byte for the kind, four for the length of the payload (big-endian, at most 65,536), \
              and the payload. The client sends 0 (standard input; an empty one ends it) and 3 (the size of its \
              terminal: rows and columns, two bytes each); the server sends 1 (standard output), 2 (standard error), 6 \
              (still here, empty, every 15 s), and as its last frame 4 (the command has ended: `{\"Code\":0}`) or 5 \
              (the server ends it: `{\"Reason\":\"…\"}`). When the command ends, the answer ends, whatever it has left \
              running; when the client goes, the command and all it has begun are ended.",
    group: Group::Extension,
    kind: Kind::Stream,
    methods: BOTH,
    path: "/",
    ram_action: "ens:ExecInstance",
    access: Access::Update,
    parameters: &[
        Parameter::text("InstanceId", "i-5s9boobrmh5000kv4jmi0oeai").required().about("The instance."),
        Parameter::of(
            "Command",
            ValueType::JsonArray { minimum_items: 1, maximum_items: 1_000 },
            r#"["sh","-c","ls /"]"#,
        )
        .required()
        .about(
            "The program and its arguments: a JSON array of texts. No shell takes part unless it names one.",
        ),
        Parameter::text("PodName", "hello-web-v1-zjzmcyaw-0")
            .about("The device; needed only where the instance has more than one."),
        Parameter::text("ContainerName", "web")
            .about("The container; needed only where the pod has more than one."),
        Parameter::of("Stdin", ValueType::Flag, "true")
            .or("false")
            .about("The command reads what the client sends; otherwise it has no input."),
        Parameter::of("Tty", ValueType::Flag, "true")
            .or("false")
            .about("Gives the command a terminal; all it writes is then standard output."),
        Parameter::integer("Rows", 1, u16::MAX as i64, "24").or("24").about("Of the terminal."),
        Parameter::integer("Columns", 1, u16::MAX as i64, "80").or("80").about("Of the terminal."),
    ],
    response: &[],
    errors: PublishedError::SIX,
    example: "HTTP/1.1 101 Switching Protocols\nConnection: Upgrade\nUpgrade: ensemble-exec\n",
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub instance_id: String,
    pub pod_name: Option<String>,
    pub container_name: Option<String>,
    /// At least the program.
    pub command: Vec<String>,
    pub stdin: Flag,
    pub tty: Flag,
    pub rows: u16,
    pub columns: u16,
}

impl Request {
    /// Reads what `ENTRY.check` let through.
    ///
    /// # Errors
    /// `InvalidParameter.Command` for what cannot be executed.
    pub fn read(parameters: &Parameters) -> Result<Self, Error> {
        Ok(Self {
            instance_id: parameters.required("InstanceId")?.to_owned(),
            pod_name: owned(parameters, "PodName"),
            container_name: owned(parameters, "ContainerName"),
            command: command(parameters)?,
            stdin: parameters.flag("Stdin"),
            tty: parameters.flag("Tty"),
            rows: parameters.integer("Rows").unwrap_or(24),
            columns: parameters.integer("Columns").unwrap_or(80),
        })
    }
}

/// Arguments may be empty, the program may not; nothing may hold what ends a text for the kernel.
fn command(parameters: &Parameters) -> Result<Vec<String>, Error> {
    let wrong = |what: &str| Error::invalid_parameter("Command", format!("Command: {what}."));
    let Some(Value::Array(given)) = parameters.json("Command") else {
        return Err(Error::missing_parameter("Command"));
    };
    let texts: Option<Vec<String>> = given.iter().map(|text| text.as_str().map(str::to_owned)).collect();
    let texts = texts.ok_or_else(|| wrong("it holds something that is no text"))?;
    if texts.first().is_none_or(String::is_empty) {
        return Err(wrong("it names no program"));
    }
    if texts.iter().any(|text| text.contains('\0')) {
        return Err(wrong("it holds a NUL character"));
    }
    Ok(texts)
}
