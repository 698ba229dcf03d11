//! ResourceSelector: whatever is accepted is within its bounds, is accepted the same from how we would write it, and
//! is a filter as well.

use crate::refusal::{self, Quotes};
use ensemble_wire::action::rescale_application::ENTRY;
use ensemble_wire::parameters::{Parameters, RawParameters};
use ensemble_wire::selector::{Item, MAX_COUNT, MAX_ITEMS, Selector};
use serde_json::{Map, Value, json};

const NAME: &str = "ResourceSelector";

/// The text of the parameter.
pub fn check(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let raw: RawParameters = [("AppId", "a"), ("RescaleType", "Add"), (NAME, text)].into_iter().collect();
    let checked = match ENTRY.check(&raw) {
        Ok(checked) => checked,
        Err(error) => return refusal::is_sound(&error, Quotes::Little),
    };
    let Some(items) = items(&checked) else { return };

    assert!((1..=MAX_ITEMS).contains(&items.len()), "{} items", items.len());
    for item in &items {
        assert!((1..=MAX_COUNT).contains(&item.count), "a count of {}", item.count);
        assert_ne!(item.region_code.as_deref(), Some(""), "an empty code means the whole country");
        assert_ne!(item.region_code.as_deref(), Some("All"), "`All` means the whole country");
    }
    let written = Value::Array(items.iter().map(written).collect());
    let again = Selector::read(NAME, Some(&written)).and_then(|selector| selector.items());
    assert_eq!(again.as_ref(), Ok(&items), "read differently: {written}");
}

fn items(checked: &Parameters) -> Option<Vec<Item>> {
    let selector = Selector::read(NAME, checked.json(NAME)).expect("the catalog let it through");
    let filter = selector.filter();
    match selector.items() {
        Ok(items) => {
            let filter = filter.expect("a selector is a filter that also counts");
            let filtered = filter.iter().map(|item| (&item.region_code, &item.isp_code));
            assert!(filtered.eq(items.iter().map(|item| (&item.region_code, &item.isp_code))));
            Some(items)
        }
        Err(error) => {
            refusal::is_sound(&error, Quotes::Little);
            if let Err(error) = filter {
                refusal::is_sound(&error, Quotes::Little);
            }
            None
        }
    }
}

fn written(item: &Item) -> Value {
    let mut members = Map::new();
    members.extend(item.region_code.as_ref().map(|code| ("regionCode".to_owned(), json!(code))));
    members.extend(item.isp_code.as_ref().map(|code| ("ispCode".to_owned(), json!(code))));
    members.insert("count".to_owned(), json!(item.count));
    Value::Object(members)
}
