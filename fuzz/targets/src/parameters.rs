//! Request parameters: a form or query, a JSON body, and what the catalog makes of them. Whatever is read is read the
//! same once more from how we would write it, and both canonical forms agree, so no two readers can differ.

use crate::refusal::{self, Quotes};
use ensemble_wire::catalog::{ACTIONS, API_VERSION, find};
use ensemble_wire::parameters::{MAX_PARAMETERS, RawParameters, encode_pairs};
use serde_json::{Map, Value};

/// The same bytes as a form and as a JSON object.
pub fn check(input: &[u8]) {
    match RawParameters::from_encoded(input) {
        Ok(parameters) => hold(&parameters),
        Err(error) => refusal::is_sound(&error, Quotes::Little),
    }
    match RawParameters::from_json_object(input) {
        Ok(parameters) => {
            hold(&parameters);
            same_again_from_json(&parameters);
        }
        Err(error) => refusal::is_sound(&error, Quotes::Little),
    }
}

fn hold(parameters: &RawParameters) {
    assert!(parameters.iter().count() <= MAX_PARAMETERS, "more parameters than there may be");
    let encoded = encode_pairs(parameters.iter());
    let again = RawParameters::from_encoded(encoded.as_bytes()).expect("what we write we read");
    // A pair without name or value is written as nothing, and reads as nothing.
    let written = |(name, value): &(&str, &str)| !(name.is_empty() && value.is_empty());
    assert!(
        again.iter().filter(written).eq(parameters.iter().filter(written)),
        "read differently: {encoded}"
    );

    let canonical = parameters.canonical(None);
    let sorted = RawParameters::from_encoded(canonical.as_bytes()).expect("what is signed is read");
    assert_eq!(sorted.canonical(None), canonical, "the canonical form of a canonical form is itself");
    for (name, value) in sorted.iter().filter(written) {
        assert_eq!(parameters.get(name), Some(value), "what is signed is not what is read");
    }

    for action in ACTIONS {
        match action.check(parameters) {
            Ok(checked) => {
                let again = action.check(&sorted).expect("accepted once, accepted again");
                assert_eq!(again, checked, "{} accepts the same call twice differently", action.name);
                let members = checked.to_value();
                assert!(members.as_object().is_some(), "a history of {} without parameters", action.name);
            }
            Err(error) => refusal::is_sound(&error, Quotes::Little),
        }
    }
    for (name, _) in parameters.iter() {
        if let Err(error) = find(name, API_VERSION) {
            refusal::is_sound(&error, Quotes::Little);
        }
    }
}

/// As a JSON body of strings.
fn same_again_from_json(parameters: &RawParameters) {
    let members: Map<String, Value> =
        parameters.iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    let body = Value::Object(members).to_string();
    let again = RawParameters::from_json_object(body.as_bytes()).expect("what we write we read");
    assert_eq!(again, *parameters, "read differently: {body}");
}
