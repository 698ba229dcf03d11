//! `ensemble exec` in real containers: what goes in and comes out, how it ends, and that nothing of a command outlives
//! who asked for it, whichever of the two goes first.

use crate::{SETTLED_AT_MOST, add};
use ensemble_tests::client::{Client, instances};
use ensemble_tests::containers_can_run;
use ensemble_tests::image;
use ensemble_tests::server::Engine;
use ensemble_tests::site::Site;
use ensemble_wire::payload::exec::{Frame, PROTOCOL};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const ONE: &str = r#"[{"regionCode":"cn-shanghai-cmcc","count":1}]"#;
const SOON: Duration = Duration::from_secs(20);

/// A site with one instance whose container idles, and its id.
async fn one_instance(site: &Site) -> String {
    let layout = site.path("image");
    if !layout.exists() {
        image::of_machine(&["cat", "sleep", "stty", "tty"]).unwrap().write_layout(&layout).unwrap();
    }
    let client = site.client().unwrap();
    let idle = "trap 'exit 0' TERM; while :; do sleep 0.2; done";
    let app_id = site.create_of(&format!("oci:{}", layout.display()), &["-c", idle]).await.unwrap();
    client.ask("RescaleApplication", &add(&app_id, ONE)).await.unwrap();
    let settled = client.settled(&app_id, SETTLED_AT_MOST).await.unwrap();
    assert_eq!(settled["AppStatus"]["Phase"], "RUNNING", "{settled:#}");
    instances(&settled)[0]["InstanceId"].as_str().unwrap().to_owned()
}

fn exec(site: &Site, arguments: &[&str]) -> Output {
    site.command(&[&["exec"], arguments].concat()).stdin(Stdio::null()).output().unwrap()
}

fn begin(site: &Site, arguments: &[&str]) -> Child {
    let mut command = site.command(&[&["exec"], arguments].concat());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn told(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// Processes of the machine that sleep for so many seconds, whoever's they are.
fn sleepers(seconds: &str) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    lines
        .filter(|line| {
            line.split(|byte| *byte == 0).collect::<Vec<_>>().starts_with(&[b"sleep", seconds.as_bytes()])
        })
        .count()
}

fn until(what: &str, condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < SOON, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// So many seconds as nobody else sleeps on this machine.
fn own_seconds(number: u32) -> String {
    format!("{}{number}", 1_000_000 + std::process::id())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_run_as_if_it_were_here() {
    if !containers_can_run() {
        return;
    }
    let mut site = Site::start(Engine::Embedded).unwrap();
    let id = one_instance(&site).await;

    let apart = exec(&site, &[&id, "--", "sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!(told(&apart), (Some(7), "out\n".to_owned(), "err\n".to_owned()));

    let own = exec(&site, &[&id, "--", "sh", "-c", "echo $ENS_INSTANCE_ID $$; kill -KILL $$"]);
    assert_eq!(own.status.code(), Some(137));
    assert!(told(&own).1.starts_with(&id), "{own:?}");

    let bytes: Vec<u8> = (0..1_u32 << 20).map(|number| (number % 251) as u8).collect();
    let mut through = site.command(&["exec", "-i", &id, "--", "cat"]);
    let mut through = through.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut stdin, sent) = (through.stdin.take().unwrap(), bytes.clone());
    let sending = std::thread::spawn(move || stdin.write_all(&sent));
    let came = through.wait_with_output().unwrap();
    sending.join().unwrap().unwrap();
    assert!(came.status.success() && came.stdout == bytes, "{} bytes came back", came.stdout.len());

    let nothing = exec(&site, &[&id, "--", "cat"]);
    assert_eq!(told(&nothing), (Some(0), String::new(), String::new()), "without -i there is no input");
    site.clean().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_here_is_a_terminal_there() {
    if !containers_can_run() {
        return;
    }
    let mut site = Site::start(Engine::Embedded).unwrap();
    let id = one_instance(&site).await;
    let binary = ensemble_tests::server::binary();
    let (binary, data_dir) = (binary.display(), site.data_dir());
    let line = format!(
        "stty rows 41 cols 103; {binary} --data-dir {} exec -it {id} -- sh -c 'tty; stty size; exit 9'; echo code $?; stty -a",
        data_dir.display()
    );

    let mut command = Command::new("script");
    ensemble_tests::server::without_key(&mut command);
    let output = command.args(["-qec", &line, "/dev/null"]).stdin(Stdio::null()).output().unwrap();

    let (_, text, _) = told(&output);
    for wanted in ["/dev/pts/0", "41 103", "code 9", " icanon", " echo "] {
        assert!(text.contains(wanted), "no `{wanted}` in {text}");
    }
    let refused = exec(&site, &["-it", &id, "--", "sh"]);
    assert_eq!(refused.status.code(), Some(2), "there is no terminal here: {refused:?}");
    site.clean().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_ends_when_it_ends_and_with_who_asked_for_it() {
    if !containers_can_run() {
        return;
    }
    let mut site = Site::start(Engine::Embedded).unwrap();
    let id = one_instance(&site).await;
    let (left, cut, stopped) = (own_seconds(1), own_seconds(2), own_seconds(3));

    let began = Instant::now();
    let background = exec(&site, &[&id, "--", "sh", "-c", &format!("sleep {left} & echo left; exit 3")]);
    let took = began.elapsed();
    println!("a command that left a child behind took {took:?}");
    assert_eq!(told(&background), (Some(3), "left\n".to_owned(), String::new()));
    assert!(took < Duration::from_secs(10), "it took {took:?}");
    assert_eq!(sleepers(&left), 1, "what a command leaves running stays");

    let script = format!("sleep {cut} & sleep {cut}");
    let mut client = begin(&site, &[&id, "--", "sh", "-c", &script]);
    until("it to run", || sleepers(&cut) == 2);
    client.kill().unwrap();
    client.wait().unwrap();
    until("it to end with its client", || sleepers(&cut) == 0);

    let client = begin(&site, &[&id, "--", "sleep", &stopped]);
    until("it to run", || sleepers(&stopped) == 1);
    let ended = site.take_server().terminate().unwrap();
    let client = client.wait_with_output().unwrap();
    assert!(ended.status.success());
    assert_eq!(client.status.code(), Some(7));
    assert!(told(&client).2.contains("the server is stopping"), "{client:?}");
    until("it to end with the server", || sleepers(&stopped) == 0);

    site.restart().unwrap();
    let client = begin(&site, &[&id, "--", "sleep", &stopped]);
    until("it to run", || sleepers(&stopped) == 1);
    site.take_server().kill().unwrap();
    assert_eq!(client.wait_with_output().unwrap().status.code(), Some(7));
    until("it to end with a server that was killed", || sleepers(&stopped) == 0);
    site.restart().unwrap();
    assert_eq!(sleepers(&left), 1, "and nothing else");
    site.clean().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_run_is_refused_with_what_there_is() {
    if !containers_can_run() {
        return;
    }
    let limits = "[limits]\ncommands = 1\ncommand_idle_within = \"2s\"\n";
    let mut site = Site::configured(Engine::Embedded, limits).unwrap();
    let id = one_instance(&site).await;

    for (arguments, code, words) in [
        (&[id.as_str(), "--", "absent"][..], 127, "the image has no executable `absent`"),
        (&[&id, "--container", "none", "--", "sh"], 3, "the pod has the containers web"),
        (&["i-none", "--", "sh"], 3, "There is no instance i-none in this account"),
    ] {
        let refused = exec(&site, arguments);
        assert_eq!(refused.status.code(), Some(code), "{refused:?}");
        assert!(told(&refused).2.contains(words), "{refused:?}");
    }
    let client = site.client().unwrap();
    let parameters = [("InstanceId", id.as_str()), ("Command", r#"["sh"]"#)];
    let plain = client.call("ExecInstance", &parameters).await.unwrap().unwrap_err();
    assert!(plain.body["Detail"].as_str().unwrap().contains("Upgrade: ensemble-exec"), "{plain:?}");

    let seconds = own_seconds(4);
    let idle = begin(&site, &[&id, "--", "sleep", &seconds]);
    until("it to run", || sleepers(&seconds) == 1);
    let second = exec(&site, &[&id, "--", "sh", "-c", "exit 0"]);
    assert_eq!(second.status.code(), Some(3));
    assert!(told(&second).2.contains("limits.commands"), "{second:?}");
    let idle = idle.wait_with_output().unwrap();
    assert!(told(&idle).2.contains("nothing was sent to it or by it for too long"), "{idle:?}");
    until("it to end", || sleepers(&seconds) == 0);

    hostile_frames(&client, &id).await;
    let log = std::fs::read_to_string(site.data_dir().with_extension("log")).unwrap();
    assert!(log.contains("runs [\\\"sleep\\\""), "who ran what is told: {log}");
    assert!(log.contains("ended with code") || log.contains("was ended"), "and how it ended");
    site.clean().unwrap();
}

/// What is no frame ends the command, and only that.
async fn hostile_frames(client: &Client, id: &str) {
    let parameters = [("InstanceId", id), ("Command", r#"["cat"]"#), ("Stdin", "true")];
    for bytes in [&[0, 255, 255, 255, 255][..], &[77, 0, 0, 0, 0], &[3, 0, 0, 0, 1, 0], &[4, 0, 0, 0, 10]] {
        let patience = Instant::now();
        let mut connection = loop {
            // The one before gives its place back when it has ended.
            match client.upgrade("ExecInstance", &parameters, PROTOCOL).await {
                Ok(connection) => break connection,
                Err(error) => assert!(patience.elapsed() < SOON, "{error:?}"),
            }
        };
        connection.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        let ended = tokio::time::timeout(SOON, connection.read_to_end(&mut answer)).await;
        // It may be reset as well: there was more to read than was read.
        let _ = ended.expect("the server ends it");
        if let Ok(Some((frame, _))) = Frame::decode(&answer) {
            assert!(matches!(frame, Frame::Closing(_)), "{frame:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_runs_nothing_says_so() {
    let site = Site::start(Engine::Simulated).unwrap();
    let client = site.client().unwrap();
    let app_id = site.create(&[]).await.unwrap();
    client.ask("RescaleApplication", &add(&app_id, ONE)).await.unwrap();
    client.settled(&app_id, SETTLED_AT_MOST).await.unwrap();

    let refused = exec(&site, &[&app_id, "--", "sh"]);

    assert_eq!(refused.status.code(), Some(3), "{refused:?}");
    assert!(told(&refused).2.contains("--engine embedded"), "{refused:?}");
    let several = r#"[{"regionCode":"cn-shanghai-cmcc","count":2}]"#;
    client.ask("RescaleApplication", &add(&app_id, several)).await.unwrap();
    client.settled(&app_id, SETTLED_AT_MOST).await.unwrap();
    assert_eq!(exec(&site, &[&app_id, "--", "sh"]).status.code(), Some(2), "one has to be named");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_accounts_instance_is_not_there() {
    let mut site = Site::start(Engine::Simulated).unwrap();
    let client = site.client().unwrap();
    let app_id = site.create(&[]).await.unwrap();
    client.ask("RescaleApplication", &add(&app_id, ONE)).await.unwrap();
    let settled = client.settled(&app_id, SETTLED_AT_MOST).await.unwrap();
    let id = instances(&settled)[0]["InstanceId"].as_str().unwrap().to_owned();
    site.take_server().terminate().unwrap();
    change_account(&site.data_dir().join("credentials.toml"));
    site.restart().unwrap();

    let refused = exec(&site, &[&id, "--", "sh"]);

    assert_eq!(refused.status.code(), Some(3), "{refused:?}");
    assert!(told(&refused).2.contains(&format!("There is no instance {id} in this account")), "{refused:?}");
}

fn change_account(credentials: &Path) {
    let text = std::fs::read_to_string(credentials).unwrap();
    let lines = text.lines().map(|line| match line.starts_with("account_id") {
        true => "account_id = \"9999999999999999\"".to_owned(),
        false => line.to_owned(),
    });
    std::fs::write(credentials, lines.collect::<Vec<_>>().join("\n") + "\n").unwrap();
}
