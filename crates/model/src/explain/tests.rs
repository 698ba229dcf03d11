//! The words themselves: what a person reads in a plan and in a refusal.

use super::{Asked, Explanation, Names, explain, shortage};
use crate::id::{AccountId, SpecName, VersionName};
use crate::instance::PodStatus;
use crate::placement::fixture::{
    account, adding, app, builtin_state, instance, item, put, put_application, put_many, releasing,
};
use crate::placement::{Excluded, Exclusion, pick_victims, place};
use crate::selector::SelectorItem;
use crate::state::State;
use crate::time::WallTime;

fn named(account: &AccountId, check: impl FnOnce(&Names<'_>) -> String) -> String {
    check(&Names { account, app: "hello", spec: &SpecName::new("ens.sn1.tiny") })
}

/// One line per placement and per group of nodes left out.
fn lines(explanation: &Explanation) -> String {
    let mut lines = vec![format!("{} to {}", explanation.before, explanation.after)];
    for item in &explanation.items {
        lines.push(format!("item {}: {} of {}", item.index, item.placed, item.wanted));
        for placement in &item.placements {
            let (before, after) = (placement.before, placement.after);
            let (node, isp, reason) = (&placement.node, &placement.isp, &placement.reason);
            lines.push(format!("+ {node} {isp} {before} to {after}: {reason}"));
        }
        for group in &item.not_chosen {
            let nodes: Vec<&str> = group.nodes.iter().map(|node| node.as_str()).collect();
            lines.push(format!(". {} ({}): {}", nodes.join(" "), group.count, group.reason));
        }
    }
    lines.join("\n")
}

fn words_of_add(state: &State, items: &[SelectorItem], excluded: &Excluded) -> String {
    let hello = app("hello");
    let request = adding(Some(&hello), items, excluded);
    let plan = place(state, &request).expect("the selector is sound");
    named(&account(), |names| {
        lines(&explain(state, &Asked::Add(request), names, &plan).expect("the selector is sound"))
    })
}

fn refusal_of_add(state: &State, asking: &AccountId, items: &[SelectorItem]) -> String {
    let (hello, excluded) = (app("hello"), Excluded::new());
    let request = adding(Some(&hello), items, &excluded);
    let plan = place(state, &request).expect("the selector is sound");
    named(asking, |names| shortage(state, &Asked::Add(request), names, &plan).unwrap_or_default())
}

/// `cn-shanghai-cmcc` with 3 of 12 free: 6 of hello, 3 of video.
fn crowded() -> State {
    let mut state = builtin_state();
    for (name, first, count) in [("hello", 0, 6), ("video", 100, 3)] {
        put_application(&mut state, &app(name));
        put_many(&mut state, &app(name), first, count, "cn-shanghai-cmcc", "cmcc");
    }
    state
}

#[test]
fn a_plan_says_why_each_node_got_what_it_got_and_why_the_others_got_nothing() {
    let excluded = Excluded::from([(
        crate::id::EdgeNodeId::new("cn-shanghai-cmcc-4"),
        Exclusion::Draining { since: WallTime(50_520_000) },
    )]);

    let words = words_of_add(&crowded(), &[item("310100", Some("cmcc"), 2)], &excluded);

    assert_eq!(
        words,
        "6 to 8\n\
         item 0: 2 of 2\n\
         + cn-shanghai-cmcc cmcc 6 to 8: fewest of hello; 3 of 12 free\n\
         . cn-shanghai-cmcc-4 (1): draining since 1970-01-01 14:02:00 UTC\n\
         . cn-shanghai-telecom-2 cn-shanghai-unicom (2): no carrier cmcc"
    );
}

#[test]
fn a_plan_over_the_country_says_of_every_other_node_why_not() {
    let words = words_of_add(&crowded(), &[item("100000", None, 1)], &Excluded::new());

    let lines: Vec<&str> = words.lines().collect();
    assert_eq!(
        lines[..3],
        [
            "6 to 7",
            "item 0: 1 of 1",
            "+ cn-beijing-15 telecom 0 to 1: fewest of hello; 12 of 12 free; carrier telecom had fewest",
        ]
    );
    assert!(
        lines[3].ends_with(" (64): not needed: comes later by free room and the fleet's order"),
        "{words}"
    );
    assert_eq!(lines[3].matches(" cn-").count(), 64, "each by its name");
    assert_eq!(lines[4], ". cn-shanghai-cmcc (1): not needed: has 6 of hello already");
}

#[test]
fn a_shortage_says_how_much_is_free_who_uses_it_and_what_would_fit() {
    let words = refusal_of_add(&crowded(), &account(), &[item("cn-shanghai-cmcc", Some("cmcc"), 4)]);

    assert_eq!(
        words,
        "4 instances do not fit on cn-shanghai-cmcc (carrier cmcc): 3 free of 12, spec ens.sn1.tiny; \
         used by: hello 6, video 3; would fit: cn-shanghai-cmcc-4 (12 free) · cn-fuzhou-23 (12 free) · \
         district 310100 (15 free) · district 310100, any carrier (39 free); or: with spec ens.sn1.stiny (6 fit)"
    );
}

#[test]
fn applications_of_other_accounts_are_counted_and_not_named() {
    let stranger = AccountId::new("9999999999999999");

    let words = refusal_of_add(&crowded(), &stranger, &[item("cn-shanghai-cmcc", None, 4)]);

    assert!(words.contains("; used by: others 9;"), "{words}");
    assert!(!words.contains("video"), "{words}");
}

#[test]
fn what_fits_nowhere_says_so_without_alternatives() {
    let words = refusal_of_add(&builtin_state(), &account(), &[item("", None, 793)]);

    assert_eq!(
        words,
        "793 instances do not fit in the country: 792 free of 792, spec ens.sn1.tiny; or: with spec ens.sn1.stiny (1584 fit)"
    );
}

#[test]
fn many_short_items_are_counted_after_the_third() {
    let items: Vec<SelectorItem> = (0..5).map(|_| item("cn-shanghai-cmcc", None, 13)).collect();

    let words = refusal_of_add(&builtin_state(), &account(), &items);

    assert_eq!(words.lines().count(), 4);
    assert!(words.ends_with("\n2 more items do not fit"), "{words}");
}

#[test]
fn a_plan_that_fits_has_no_shortage_to_word() {
    assert_eq!(refusal_of_add(&crowded(), &account(), &[item("cn-shanghai-cmcc", None, 3)]), "");
}

#[test]
fn a_release_says_what_is_wrong_with_the_instances_it_takes() {
    let (hello, stable, excluded) = (app("hello"), VersionName::new("v1"), Excluded::new());
    let mut state = builtin_state();
    put_many(&mut state, &hello, 0, 3, "cn-shanghai-cmcc", "cmcc");
    put_many(&mut state, &hello, 10, 1, "cn-shanghai-unicom", "unicom");
    let mut failed = instance(&hello, 20, "cn-shanghai-cmcc-4", "cmcc");
    failed.pods[0].status = PodStatus::Failed;
    put(&mut state, failed);
    let items = [item("310100", None, 2)];
    let request = releasing(&hello, &stable, &items, &excluded);

    let plan = pick_victims(&state, &request).expect("the selector is sound");

    let words = named(&account(), |names| {
        lines(&explain(&state, &Asked::Del(request), names, &plan).expect("the selector is sound"))
    });
    assert_eq!(
        words,
        "5 to 3\n\
         item 0: 2 of 2\n\
         + cn-shanghai-cmcc-4 cmcc 1 to 0: 1 failed\n\
         + cn-shanghai-cmcc cmcc 3 to 2: 1 newest where hello has most\n\
         . cn-shanghai-unicom (1): keeps its 1 of hello"
    );
}

#[test]
fn a_release_of_more_than_there_is_says_how_many_there_are_and_where_others_are() {
    let (hello, stable, excluded) = (app("hello"), VersionName::new("v1"), Excluded::new());
    let mut state = builtin_state();
    put_many(&mut state, &hello, 0, 2, "cn-shanghai-cmcc", "cmcc");
    put_many(&mut state, &hello, 10, 4, "cn-shanghai-unicom", "unicom");
    let items = [item("cn-shanghai-cmcc", None, 3)];
    let request = releasing(&hello, &stable, &items, &excluded);

    let plan = pick_victims(&state, &request).expect("the selector is sound");

    let words =
        named(&account(), |names| shortage(&state, &Asked::Del(request), names, &plan).unwrap_or_default());
    assert_eq!(
        words,
        "cannot release 3 instances of hello on cn-shanghai-cmcc: only 2 are there; \
         hello also has: cn-shanghai-unicom/unicom (4 there)"
    );
}
