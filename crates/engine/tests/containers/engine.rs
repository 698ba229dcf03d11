//! The whole embedded engine on this machine: wishes in, containers and observations out, across crashes.

use crate::fixture::machine::Machine;
use crate::need_root;

#[tokio::test(flavor = "multi_thread")]
async fn instances_come_and_go_as_wanted() {
    need_root!("instances_come_and_go_as_wanted");
    let mut machine = Machine::new().await;

    machine.converge(vec![machine.cell(&["polite"], &["i-a", "i-b", "i-c"])]).await;
    machine.until_ready(3).await;
    assert_eq!(machine.group_names(), ["i-a", "i-b", "i-c"]);

    machine.converge(vec![machine.cell(&["polite"], &["i-b"])]).await;
    machine.until_gone(&["i-a", "i-c"]).await;
    assert_eq!(machine.group_names(), ["i-b"]);
    assert_eq!(machine.wholes, 1);
}
