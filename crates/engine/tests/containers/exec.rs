//! Commands in running containers: they are the container's own in every respect, and nothing of them outlives who
//! asked for them.

#![expect(clippy::unwrap_used, reason = "the words of these tests fail by panicking")]

use crate::fixture::machine::Machine;
use crate::fixture::{PATIENCE, until};
use crate::need_root;
use ensemble_engine::exec::{Descriptor, Ended, ExecOrder, Execution, Stdin, WindowSize};
use ensemble_engine::{Engine, Error};
use ensemble_model::id::{InstanceId, VersionName};
use ensemble_model::observation::{InstanceObservation, Presence};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

const SIZE: WindowSize = WindowSize { rows: 33, columns: 111 };

fn order(words: &[&str]) -> ExecOrder {
    ExecOrder {
        instance: InstanceId::new("i-a"),
        workload: "web".to_owned(),
        index: 0,
        container: "main".to_owned(),
        command: words.iter().map(|word| (*word).to_owned()).collect(),
        stdin: Stdin::Closed,
        terminal: None,
    }
}

async fn one_container() -> Machine {
    let mut machine = Machine::new().await;
    machine.converge(vec![machine.cell(&["polite"], &["i-a"])]).await;
    machine.until_ready(1).await;
    machine
}

fn is_ready(one: Option<&InstanceObservation>) -> bool {
    one.is_some_and(|one| matches!(one.presence, Presence::Here { ready: true, .. }))
}

async fn begin(machine: &Machine, order: ExecOrder) -> Result<Execution, Error> {
    machine.engine.as_ref().unwrap().exec(order).await
}

/// To the end of the output: of a command that leaves nobody who holds it.
async fn whole(descriptor: &mut Descriptor) -> String {
    let mut bytes = Vec::new();
    timeout(PATIENCE, descriptor.read_to_end(&mut bytes)).await.unwrap().unwrap();
    String::from_utf8(bytes).unwrap()
}

async fn read_until(descriptor: &mut Descriptor, wanted: &str) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !text.contains(wanted) {
        let length = timeout(PATIENCE, descriptor.read(&mut buffer)).await.expect(wanted).unwrap();
        assert_ne!(length, 0, "it ended after {text:?}");
        text.push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commands_output_comes_apart_and_so_does_its_code() {
    need_root!("a_commands_output_comes_apart_and_so_does_its_code");
    let machine = one_container().await;

    let mut execution = begin(&machine, order(&["/program", "both"])).await.unwrap();

    assert_eq!(whole(&mut execution.stdout).await, "out\n");
    assert_eq!(whole(execution.stderr.as_mut().unwrap()).await, "err\n");
    assert_eq!(execution.ending.ended().await, Ended { code: 7, cause: None });
    let left = std::fs::read_dir(machine.container_directory("i-a").join("work/bundle")).unwrap();
    let left: Vec<_> = left.flatten().filter(|entry| entry.file_name() != "state").collect();
    assert_eq!(left.len(), 1, "only the spec is left: {left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_megabyte_goes_in_and_comes_out() {
    need_root!("a_megabyte_goes_in_and_comes_out");
    let machine = one_container().await;
    let bytes: Vec<u8> = (0..1_u32 << 20).map(|number| (number % 251) as u8).collect();

    let asked = ExecOrder { stdin: Stdin::Open, ..order(&["/program", "cat"]) };
    let Execution { stdin, mut stdout, ending, .. } = begin(&machine, asked).await.unwrap();
    let mut stdin = stdin.unwrap();
    let sent = bytes.clone();
    let sending = tokio::spawn(async move { stdin.write_all(&sent).await });
    let mut came = Vec::new();
    timeout(PATIENCE, stdout.read_to_end(&mut came)).await.unwrap().unwrap();

    sending.await.unwrap().unwrap();
    assert!(came == bytes, "{} bytes came back", came.len());
    assert_eq!(ending.ended().await.code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_bound_as_its_container_is() {
    need_root!("a_command_is_bound_as_its_container_is");
    let mut machine = Machine::new().await;
    let mut looking = machine.cell(&["look"], &["i-b"]);
    looking.key.version = VersionName::new("v2");
    machine.converge(vec![looking, machine.cell(&["polite"], &["i-a"])]).await;
    machine.until("both to run", |seen| is_ready(seen.get(&InstanceId::new("i-a")))).await;
    machine.until_message("exited 0").await;

    let look = async |words: &[&str]| {
        let mut execution = begin(&machine, order(words)).await.unwrap();
        let text = whole(&mut execution.stdout).await;
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let own = look(&["/program", "look"]).await;
    let log = machine.log_of("i-b").await.unwrap();
    let blocked = look(&["/program", "blocked"]).await;

    let of = |lines: &[String], name: &str| lines.iter().find(|line| line.starts_with(name)).cloned();
    for name in ["user", "cwd", "CapEff", "CapBnd", "NoNewPrivs", "Seccomp:", "SigBlk", "oom", "descriptors"]
    {
        assert!(of(&own, name).is_some(), "{own:?}");
        assert_eq!(of(&own, name), of(&log, name));
    }
    assert_eq!(of(&own, "Seccomp:").as_deref(), Some("Seccomp: 2"));
    assert!(of(&own, "env").unwrap().contains("ENS_INSTANCE_ID=i-a"));
    assert_eq!(blocked, ["clone3 -1 38", "mount -1 1", "bpf -1 1", "keyctl -1 1", "unshare -1 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_has_a_name_and_a_size_that_changes() {
    need_root!("a_terminal_has_a_name_and_a_size_that_changes");
    let machine = one_container().await;

    let asked = ExecOrder { terminal: Some(SIZE), ..order(&["/program", "terminal"]) };
    let mut execution = begin(&machine, asked).await.unwrap();
    let text = whole(&mut execution.stdout).await;

    let lines: Vec<&str> = text.lines().collect();
    let expected =
        ["terminal 0 1", "terminal 1 1", "terminal 2 1", "/dev/pts/0", "size 0 33 111", "own true"];
    assert_eq!(lines, expected);
    assert!(execution.stderr.is_none());
    assert_eq!(execution.ending.ended().await.code, 0);

    let asked = ExecOrder { terminal: Some(SIZE), stdin: Stdin::Open, ..order(&["/program", "sizes"]) };
    let mut execution = begin(&machine, asked).await.unwrap();
    read_until(&mut execution.stdout, "ready").await;
    execution.window.as_ref().unwrap().resize(WindowSize { rows: 50, columns: 200 });
    read_until(&mut execution.stdout, "size 0 50 200").await;
    // What Ctrl-C sends on a terminal.
    execution.stdin.as_mut().unwrap().write_all(&[3]).await.unwrap();
    let ended = timeout(PATIENCE, execution.ending.ended()).await.unwrap();
    assert_eq!(ended, Ended { code: 130, cause: Some("killed by signal 2".to_owned()) });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_ends_though_its_child_holds_the_output() {
    need_root!("a_command_ends_though_its_child_holds_the_output");
    let machine = one_container().await;

    let mut execution = begin(&machine, order(&["/program", "background"])).await.unwrap();
    let ended = timeout(Duration::from_secs(10), execution.ending.ended()).await.unwrap();

    assert_eq!(ended.code, 4);
    assert_eq!(read_until(&mut execution.stdout, "left\n").await, "left\n");
    drop(execution);
    assert_eq!(machine.programs_with("background"), 1, "what a command leaves running stays");
    until("its group to be gone", || machine.exec_groups().is_empty().then_some(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_goes_takes_the_command_and_all_it_began_along() {
    need_root!("who_goes_takes_the_command_and_all_it_began_along");
    let machine = one_container().await;

    for word in ["deaf", "forks"] {
        let mut execution = begin(&machine, order(&["/program", word])).await.unwrap();
        read_until(&mut execution.stdout, "ready").await;
        assert_ne!(machine.programs_with(word), 0);

        drop(execution);

        until("it to end", || (machine.programs_with(word) == 0).then_some(()));
    }
    until("its group to be gone", || machine.exec_groups().is_empty().then_some(()));
    assert_eq!(machine.programs_with("polite"), 1, "the container goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_run_is_refused_and_leaves_nothing() {
    need_root!("what_cannot_run_is_refused_and_leaves_nothing");
    let machine = one_container().await;

    for (program, reason) in [
        ("absent", "the image has no executable `absent`"),
        ("/etc/hosts", "`/etc/hosts` is not an executable file"),
    ] {
        for terminal in [None, Some(SIZE)] {
            let refused = begin(&machine, ExecOrder { terminal, ..order(&[program]) }).await;
            let Err(Error::NoProgram { reason: told }) = refused else {
                panic!("{program} was not refused as a program: {:?}", refused.err());
            };
            assert_eq!(told, reason);
        }
    }
    for wrong in [
        ExecOrder { instance: InstanceId::new("i-none"), ..order(&["/program"]) },
        ExecOrder { container: "none".to_owned(), ..order(&["/program"]) },
    ] {
        assert!(matches!(begin(&machine, wrong).await, Err(Error::NotRunning { .. })));
    }
    until("groups to be gone", || machine.exec_groups().is_empty().then_some(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_ends_with_its_container() {
    need_root!("a_command_ends_with_its_container");
    let mut machine = one_container().await;
    let mut execution = begin(&machine, order(&["/program", "deaf"])).await.unwrap();
    read_until(&mut execution.stdout, "ready").await;

    machine.converge(vec![machine.cell(&["polite"], &[])]).await;
    let ended = timeout(PATIENCE, execution.ending.ended()).await.unwrap();

    assert_eq!(ended, Ended { code: 137, cause: Some("killed by signal 9".to_owned()) });
    machine.until_gone(&["i-a"]).await;
}
