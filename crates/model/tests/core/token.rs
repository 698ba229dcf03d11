//! Client tokens and nonces of accepted writes (`decisions.md` §2.11, §4.1).

use crate::house::{House, SHANGHAI, item, rescale};
use ensemble_model::command::{Change, ClientToken, Command, Direction, Nonce};
use ensemble_model::id::Digest;
use ensemble_model::refusal::Refusal;
use ensemble_model::time::WallTime;

fn with_token(house: &House, fingerprint: &str) -> Command {
    let mut command = house.command(Change::Rescale(rescale(Direction::Add, vec![item(SHANGHAI, None, 1)])));
    command.request.client_token =
        Some(ClientToken { token: "once".into(), fingerprint: Digest::new(fingerprint) });
    command
}

#[test]
fn the_same_token_and_parameters_get_the_first_answer_and_change_nothing() {
    let mut house = House::with_ready(1);
    let command = with_token(&house, "a");
    let first = house.call(command).unwrap();
    let records = house.records.len();

    let command = with_token(&house, "a");
    let again = house.call(command).unwrap();

    assert_eq!(again, first, "although the application is busy by now");
    assert_eq!(house.records.len(), records);
}

#[test]
fn the_same_token_with_other_parameters_is_refused() {
    let mut house = House::with_ready(1);
    let command = with_token(&house, "a");
    house.call(command).unwrap();

    let command = with_token(&house, "b");

    assert_eq!(house.call(command).unwrap_err(), Refusal::TokenReused { token: "once".into() });
}

#[test]
fn a_token_is_forgotten_after_a_day_and_belongs_to_one_action() {
    let mut house = House::with_ready(1);
    let command = with_token(&house, "a");
    house.call(command).unwrap();
    house.ready(&house.held());

    let mut other = with_token(&house, "b");
    other.request.action = "AnotherAction".into();
    house.call(other).unwrap();
    house.ready(&house.held());

    house.pass(24 * 3_600 + 1);
    let command = with_token(&house, "b");
    house.call(command).unwrap();
}

#[test]
fn a_token_that_is_used_again_after_its_day_counts_for_another() {
    let mut house = House::with_ready(1);
    let command = with_token(&house, "a");
    house.call(command).unwrap();
    house.ready(&house.held());
    house.pass(24 * 3_600 + 1);
    let command = with_token(&house, "b");
    let second = house.call(command).unwrap();
    house.ready(&house.held());

    let command = with_token(&house, "b");
    let again = house.call(command).unwrap();

    assert_eq!(again, second);
}

#[test]
fn a_refused_call_leaves_no_token() {
    let mut house = House::with_ready(1);
    let mut command = with_token(&house, "a");
    command.change = Change::Rescale(rescale(Direction::Add, vec![item(SHANGHAI, None, 900)]));
    house.call(command).unwrap_err();

    let command = with_token(&house, "b");
    house.call(command).unwrap();
}

#[test]
fn a_nonce_of_an_accepted_write_is_refused_also_after_a_restart() {
    let mut house = House::with_ready(1);
    let nonce = Nonce { key_id: "key".into(), nonce: "n-1".into(), stamp: WallTime(house.now.wall.0) };
    let mut command = with_token(&house, "a");
    command.request.nonce = Some(nonce.clone());
    house.call(command).unwrap();
    let mut house = house.restarted();

    let mut command = with_token(&house, "a");
    command.request.nonce = Some(nonce.clone());

    assert_eq!(house.call(command).unwrap_err(), Refusal::NonceUsed { nonce: "n-1".into() });
    assert_eq!(house.state().nonces().collect::<Vec<_>>(), [nonce]);
}
