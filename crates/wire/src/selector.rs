//! `ResourceSelector`: a JSON array of items, each with regionCode, ispCode and count, or instanceIds (ens-api.md §5,
//! `decisions.md` §1.7 and §3). Form is checked when it is read, content item by item when it is asked for,
//! because other refusals come between the two. Which codes exist is the model's to know.

use crate::entry::{JsonField, ValueType};
use crate::error::{Error, Reason};
use serde_json::{Map, Value};

/// Most items of one selector.
pub const MAX_ITEMS: usize = 100;
/// Most instances of one item.
pub const MAX_COUNT: u32 = 1_000;

/// How the catalog declares a selector, so that its form is checked in its place among the parameters.
pub(crate) const FORM: ValueType = ValueType::JsonArray { minimum_items: 1, maximum_items: MAX_ITEMS };

/// The fields of an item, as the reference tells them.
pub(crate) const FIELDS: &[JsonField] = &[
    JsonField::of(
        "[].regionCode",
        "text",
        r#""cn-shanghai-cmcc""#,
        "An edge node id, or a district code (`310100`), by RescaleLevel. Absent, empty, `All` and `100000` mean \
         the whole country.",
    )
    .or("All"),
    JsonField::of(
        "[].ispCode",
        "telecom, unicom, cmcc, cbn",
        r#""cmcc""#,
        "The carrier. Without one each instance gets the carrier of its node that the application uses least.",
    )
    .or("any"),
    JsonField::of(
        "[].count",
        "1 to 1,000",
        "4",
        "How many instances, more or fewer; a difference, never a target. A decimal string is taken too. Required \
         but with instanceIds, where it is their number.",
    ),
    JsonField::of(
        "[].instanceIds",
        "1 to 1,000 instance ids",
        r#"["i-5s9boobrmh5000kv4jmi0oeai"]"#,
        "At RescaleLevel InstanceId: exactly these; regionCode and ispCode then only confirm where they are. \
         instanceId stands for one.",
    ),
];

const ISP_CODES: [&str; 4] = ["telecom", "unicom", "cmcc", "cbn"];

/// A selector of 1 to 100 items whose content has not been looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Selector {
    /// As it is called where it stands: `ResourceSelector`, `Template.resourceSelector`.
    name: &'static str,
    items: Vec<Value>,
}

/// One item as asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// `None` = the whole country: absent, "" or `All`.
    pub region_code: Option<String>,
    /// `None` = any carrier.
    pub isp_code: Option<String>,
    /// 1 to 1,000; a difference, never a target.
    pub count: u32,
    /// Those that are named: `instanceIds`, or one as `instanceId`.
    pub instance_ids: Vec<String>,
}

/// One item of a selector that only filters: its count says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterItem {
    pub region_code: Option<String>,
    pub isp_code: Option<String>,
}

impl Selector {
    /// Takes the parameter `name` as a selector; the catalog has counted its items.
    ///
    /// # Errors
    /// `InvalidParameter.<name>` when it is no array; `MissingParameter` when there is none.
    pub fn read(name: &'static str, value: Option<&Value>) -> Result<Self, Error> {
        let value = value.ok_or_else(|| Error::missing_parameter(name))?;
        let Value::Array(items) = value else {
            return Err(Error::invalid_parameter(name, format!("{name}: it is JSON, but not an array.")));
        };
        Ok(Self { name, items: items.clone() })
    }

    /// The selector inside a template, where none and an empty one mean no resources.
    ///
    /// # Errors
    /// `InvalidParameter` when it is no array or has over 100 items.
    pub fn of_template(value: Option<&Value>) -> Result<Self, Error> {
        const NAME: &str = "Template.resourceSelector";
        let items = match value {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(items)) if items.len() <= MAX_ITEMS => items.clone(),
            Some(Value::Array(items)) => {
                return Err(Error::invalid(format!(
                    "{NAME} has {} items, at most {MAX_ITEMS} are taken",
                    items.len()
                )));
            }
            Some(_) => return Err(Error::invalid(format!("{NAME} is not an array"))),
        };
        Ok(Self { name: NAME, items })
    }

    /// # Errors
    /// `InvalidParameter` whose text names the item by its index, for the first item that is wrong.
    pub fn items(&self) -> Result<Vec<Item>, Error> {
        (0..).zip(&self.items).map(|(index, item)| self.item(index, item)).collect()
    }

    /// The items as a filter; counts are not looked at (ens-api.md §2.6).
    ///
    /// # Errors
    /// `InvalidParameter` as for [`Selector::items`].
    pub fn filter(&self) -> Result<Vec<FilterItem>, Error> {
        let place = |index| format!("{}[{index}]", self.name);
        (0..)
            .zip(&self.items)
            .map(|(index, item): (usize, &Value)| {
                let members = members(&place(index), item)?;
                Ok(FilterItem {
                    region_code: region_code(&place(index), members)?,
                    isp_code: isp_code(&place(index), members)?,
                })
            })
            .collect()
    }

    fn item(&self, index: usize, item: &Value) -> Result<Item, Error> {
        let place = format!("{}[{index}]", self.name);
        let members = members(&place, item)?;
        let instance_ids = instance_ids(&place, members)?;
        let is_counted = members.get("count").is_some_and(|count| !count.is_null());
        let count = match instance_ids.len() {
            0 => count(&place, members)?,
            _ if is_counted => count(&place, members)?,
            named => u32::try_from(named).unwrap_or(u32::MAX),
        };
        let region_code = region_code(&place, members)?;
        Ok(Item { region_code, isp_code: isp_code(&place, members)?, count, instance_ids })
    }
}

fn members<'a>(place: &str, item: &'a Value) -> Result<&'a Map<String, Value>, Error> {
    item.as_object().ok_or_else(|| Error::invalid(format!("{place} is not an object")))
}

fn region_code(place: &str, members: &Map<String, Value>) -> Result<Option<String>, Error> {
    let code = text(place, members, "regionCode")?;
    Ok(code.filter(|code| !code.is_empty() && *code != "All").map(str::to_owned))
}

fn isp_code(place: &str, members: &Map<String, Value>) -> Result<Option<String>, Error> {
    let Some(code) = text(place, members, "ispCode")?.filter(|code| !code.is_empty()) else {
        return Ok(None);
    };
    if ISP_CODES.contains(&code) {
        return Ok(Some(code.to_owned()));
    }
    let known = ISP_CODES.join(", ");
    if code == "multiCarrier" {
        let why =
            format!("{place}.ispCode multiCarrier is not a carrier; leave ispCode out or use one of {known}");
        return Err(Error::invalid(why).with_reason(Reason::NotSupported));
    }
    let code: String = code.chars().take(40).collect();
    Err(Error::invalid(format!("{place}.ispCode `{code}` is not one of {known}")))
}

fn text<'a>(place: &str, members: &'a Map<String, Value>, key: &str) -> Result<Option<&'a str>, Error> {
    match members.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Error::invalid(format!("{place}.{key} is not a string"))),
    }
}

/// `instanceIds`, or its alias `instanceId` with one.
fn instance_ids(place: &str, members: &Map<String, Value>) -> Result<Vec<String>, Error> {
    let one = text(place, members, "instanceId")?.filter(|id| !id.is_empty());
    let many = match members.get("instanceIds") {
        None | Some(Value::Null) => return Ok(one.map(str::to_owned).into_iter().collect()),
        Some(Value::Array(many)) => many,
        Some(_) => return Err(Error::invalid(format!("{place}.instanceIds is not an array"))),
    };
    if one.is_some() {
        return Err(Error::invalid(format!("{place} has both instanceIds and instanceId")));
    }
    if !(1..=MAX_COUNT as usize).contains(&many.len()) {
        let counted = many.len();
        return Err(Error::invalid(format!(
            "{place}.instanceIds has {counted} ids, 1 to {MAX_COUNT} are taken"
        )));
    }
    let id = |id: &Value| id.as_str().filter(|id| !id.is_empty()).map(str::to_owned);
    let ids: Option<Vec<String>> = many.iter().map(id).collect();
    ids.ok_or_else(|| Error::invalid(format!("{place}.instanceIds holds something that is no id")))
}

/// A whole number from 1 to 1,000; clients send it as a decimal string too.
fn count(place: &str, members: &Map<String, Value>) -> Result<u32, Error> {
    let given = match members.get("count") {
        None | Some(Value::Null) => return Err(Error::invalid(format!("{place} has no count"))),
        Some(value) => value,
    };
    let number = match given {
        Value::Number(number) => number.as_i64(),
        Value::String(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        _ => None,
    };
    let counted = number.and_then(|number| u32::try_from(number).ok());
    counted.filter(|count| (1..=MAX_COUNT).contains(count)).ok_or_else(|| {
        let given: String = given.to_string().chars().take(40).collect();
        Error::invalid(format!("{place}.count {given} is not a whole number from 1 to {MAX_COUNT}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn items(value: Value) -> Result<Vec<Item>, String> {
        Selector::read("ResourceSelector", Some(&value))
            .and_then(|selector| selector.items())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_documented_example_is_read() {
        let read = items(json!([
            { "regionCode": "cn-wuxi-telecom_unicom_cmcc-3", "ispCode": "telecom", "count": 2 },
            { "regionCode": "cn-shanghai-cmcc", "count": "4" },
        ]));

        assert_eq!(
            read.unwrap(),
            [
                Item {
                    region_code: Some("cn-wuxi-telecom_unicom_cmcc-3".into()),
                    isp_code: Some("telecom".into()),
                    count: 2,
                    instance_ids: Vec::new(),
                },
                Item {
                    region_code: Some("cn-shanghai-cmcc".into()),
                    isp_code: None,
                    count: 4,
                    instance_ids: Vec::new()
                },
            ]
        );
    }

    #[test]
    fn absent_empty_and_all_mean_the_whole_country() {
        let read = items(
            json!([{ "count": 1 }, { "regionCode": "", "ispCode": "", "count": 1 }, { "regionCode": "All", "count": 1, "vendor": 7 }]),
        );

        let expected = Item { region_code: None, isp_code: None, count: 1, instance_ids: Vec::new() };
        assert_eq!(read.unwrap(), vec![expected; 3]);
    }

    #[test]
    fn named_instances_are_counted_and_one_may_stand_alone() {
        let ids = |items: Vec<Item>| -> Vec<(u32, Vec<String>)> {
            items.into_iter().map(|item| (item.count, item.instance_ids)).collect()
        };

        let read = items(json!([
            { "instanceIds": ["i-a", "i-b"] },
            { "instanceId": "i-c" },
            { "instanceIds": ["i-d"], "count": 2 },
        ]));

        let expected = [(2, vec!["i-a", "i-b"]), (1, vec!["i-c"]), (2, vec!["i-d"])];
        let owned =
            expected.map(|(count, ids)| (count, ids.into_iter().map(str::to_owned).collect::<Vec<_>>()));
        assert_eq!(ids(read.unwrap()), owned);
    }

    #[test]
    fn wrong_content_is_named_by_its_index() {
        let message =
            |text: &str| format!("InvalidParameter: The errorMessage is {text}. Please check it again.");
        for (item, expected) in [
            (json!(7), "ResourceSelector[1] is not an object"),
            (json!({}), "ResourceSelector[1] has no count"),
            (json!({ "instanceIds": [] }), "ResourceSelector[1].instanceIds has 0 ids, 1 to 1000 are taken"),
            (json!({ "instanceIds": "i-a" }), "ResourceSelector[1].instanceIds is not an array"),
            (json!({ "instanceIds": [7] }), "ResourceSelector[1].instanceIds holds something that is no id"),
            (
                json!({ "instanceIds": ["i-a"], "instanceId": "i-a" }),
                "ResourceSelector[1] has both instanceIds and instanceId",
            ),
            (json!({ "count": 0 }), "ResourceSelector[1].count 0 is not a whole number from 1 to 1000"),
            (json!({ "count": -3 }), "ResourceSelector[1].count -3 is not a whole number from 1 to 1000"),
            (json!({ "count": 1001 }), "ResourceSelector[1].count 1001 is not a whole number from 1 to 1000"),
            (json!({ "count": 1.5 }), "ResourceSelector[1].count 1.5 is not a whole number from 1 to 1000"),
            (json!({ "count": "x" }), "ResourceSelector[1].count \"x\" is not a whole number from 1 to 1000"),
            (json!({ "count": "" }), "ResourceSelector[1].count \"\" is not a whole number from 1 to 1000"),
            (json!({ "count": true }), "ResourceSelector[1].count true is not a whole number from 1 to 1000"),
            (json!({ "regionCode": 310100, "count": 1 }), "ResourceSelector[1].regionCode is not a string"),
            (
                json!({ "ispCode": "Telecom", "count": 1 }),
                "ResourceSelector[1].ispCode `Telecom` is not one of telecom, unicom, cmcc, cbn",
            ),
            (
                json!({ "ispCode": "multiCarrier", "count": 1 }),
                "ResourceSelector[1].ispCode multiCarrier is not a carrier; leave ispCode out or use one of telecom, unicom, cmcc, cbn",
            ),
        ] {
            assert_eq!(items(json!([{ "count": 1 }, item])).unwrap_err(), message(expected));
        }
    }

    #[test]
    fn a_filter_does_not_look_at_counts() {
        let selector =
            Selector::read("ResourceSelector", Some(&json!([{ "ispCode": "cmcc", "count": -1 }]))).unwrap();

        let filter = selector.filter().unwrap();

        assert_eq!(filter, [FilterItem { region_code: None, isp_code: Some("cmcc".into()) }]);
    }
}
