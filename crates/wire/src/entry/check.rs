//! Checks a request's parameters against an action's entry: first what is missing, then the form of what is there,
//! in the entry's order (`decisions.md` §3). Content (does the node exist?) is not form.

use super::{Action, Parameter, Presence, ValueType, nearest};
use crate::error::{Error, Reason};
use crate::parameters::{Checked, Flag, Parameters, RawParameters};
use crate::time::is_date;
use serde_json::Value;

impl Action {
    /// Parameters the entry does not declare are left out: SDKs send some, and the common ones come along.
    ///
    /// # Errors
    /// `MissingParameter` for a required parameter that is absent or empty, then `InvalidParameter.<Name>`.
    pub fn check(&self, raw: &RawParameters) -> Result<Parameters, Error> {
        let missing = self.parameters.iter().find(|parameter| {
            parameter.presence == Presence::Required && raw.filled(parameter.name).is_none()
        });
        if let Some(parameter) = missing {
            return Err(self.missing(parameter.name));
        }
        let mut checked = Parameters::default();
        for parameter in self.parameters {
            if let ValueType::Family { keys, at_most } = parameter.value {
                parameter
                    .check_family(raw, (keys, at_most))
                    .map(|found| checked.insert(parameter.name, found))?;
                continue;
            }
            let given = raw.filled(parameter.name).filter(|value| !parameter.is_nothing(value));
            if let Some(value) = given.or(parameter.default) {
                checked.insert(parameter.name, parameter.check(value)?);
            }
        }
        Ok(checked)
    }

    /// In the sentence of the action's own table, where that differs from the usual one.
    fn missing(&self, name: &str) -> Error {
        let mut error = Error::missing_parameter(name);
        if let Some(published) = self.errors.iter().find(|error| error.code == "MissingParameter") {
            published.message.clone_into(&mut error.message);
        }
        error
    }
}

impl Parameter {
    /// A list that was never filled: the official Python SDK sends one of its own accord, and it promises nothing.
    fn is_nothing(&self, text: &str) -> bool {
        matches!(self.value, ValueType::Refused { .. }) && text == "[]"
    }

    fn check(&self, text: &str) -> Result<Checked, Error> {
        if self.unbuilt.contains(&text) {
            let detail = format!("{}: {text} is not built yet.", self.name);
            return Err(Error::invalid_parameter(self.name, detail).with_reason(Reason::NotSupported));
        }
        match self.value {
            ValueType::Text { max_bytes } if text.len() > max_bytes => {
                Err(self.refuse(format!("it has {} bytes, at most {max_bytes} are taken", text.len())))
            }
            ValueType::Text { .. } => Ok(Checked::Text(text.to_owned())),
            ValueType::Enum(values) if values.contains(&text) => Ok(Checked::Text(text.to_owned())),
            ValueType::Enum(values) => Err(self.refuse_choice(text, values)),
            ValueType::Integer { minimum, maximum, .. } => self.check_integer(text, minimum, maximum),
            ValueType::Flag => match text {
                "true" => Ok(Checked::Flag(Flag::Yes)),
                "false" => Ok(Checked::Flag(Flag::No)),
                _ => Err(self.refuse(format!("`{}` is neither true nor false", shortened(text)))),
            },
            ValueType::JsonArray { minimum_items, maximum_items } => {
                let checked = self.check_json(text, "array", Value::is_array)?;
                match &checked {
                    Checked::Json(Value::Array(items))
                        if !(minimum_items..=maximum_items).contains(&items.len()) =>
                    {
                        let counted = items.len();
                        Err(self.refuse(format!(
                            "it has {counted} items; {minimum_items} to {maximum_items} are taken"
                        )))
                    }
                    _ => Ok(checked),
                }
            }
            ValueType::JsonObject => self.check_json(text, "object", Value::is_object),
            ValueType::Family { .. } => Err(self.refuse("it is written with a number and a key".to_owned())),
            ValueType::Refused { why } => {
                let detail = format!("{}: {why}.", self.name);
                Err(Error::invalid_parameter(self.name, detail).with_reason(Reason::NotSupported))
            }
            ValueType::Date if is_date(text) => Ok(Checked::Text(text.to_owned())),
            ValueType::Date => {
                Err(self.refuse(format!("`{}` is not a date like 2022-02-15", shortened(text))))
            }
        }
    }

    /// `Tag.1.Key`, `Tag.1.Value`, `Tag.2.Key`, …, numbered from 1, with gaps or without.
    fn check_family(&self, raw: &RawParameters, (keys, at_most): (&[&str], usize)) -> Result<Checked, Error> {
        let beyond =
            raw.iter().filter_map(|(name, _)| name.strip_prefix(self.name)?.strip_prefix('.')).any(|rest| {
                let number = rest.split('.').next().and_then(|number| number.parse::<usize>().ok());
                !number.is_some_and(|number| (1..=at_most).contains(&number))
            });
        if beyond {
            return Err(self.refuse(format!("they are numbered from 1 to {at_most}")));
        }
        let member = |number: usize| {
            let given = keys.iter().filter_map(|key| {
                let value = raw.filled(&format!("{}.{number}.{key}", self.name))?;
                Some(((*key).to_owned(), Value::from(value)))
            });
            let object: serde_json::Map<String, Value> = given.collect();
            (!object.is_empty()).then_some(Value::Object(object))
        };
        Ok(Checked::Json((1..=at_most).filter_map(member).collect()))
    }

    fn check_integer(&self, text: &str, minimum: i64, maximum: i64) -> Result<Checked, Error> {
        let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        let number: i64 = match text.parse() {
            Ok(number) if is_decimal => number,
            _ => return Err(self.refuse(format!("`{}` is not a whole number", shortened(text)))),
        };
        if (minimum..=maximum).contains(&number) {
            Ok(Checked::Integer(number))
        } else {
            Err(self.refuse(format!("{number} is not between {minimum} and {maximum}")))
        }
    }

    fn check_json(&self, text: &str, kind: &str, is_kind: fn(&Value) -> bool) -> Result<Checked, Error> {
        match serde_json::from_str::<Value>(text) {
            Ok(value) if is_kind(&value) => Ok(Checked::Json(value)),
            Ok(_) => Err(self.refuse(format!("it is JSON, but not an {kind}"))),
            Err(error) => Err(self.refuse(format!("it is not a JSON {kind} ({error})"))),
        }
    }

    fn refuse_choice(&self, text: &str, values: &[&'static str]) -> Error {
        let suggestion =
            nearest(text, values.iter().copied()).map(|value| format!("; did you mean {value}?"));
        self.refuse(format!(
            "`{}` is not one of {}{}",
            shortened(text),
            values.join(", "),
            suggestion.unwrap_or_default()
        ))
    }

    fn refuse(&self, why: String) -> Error {
        let stop = if why.ends_with('?') { "" } else { "." };
        Error::invalid_parameter(self.name, format!("{}: {why}{stop}", self.name))
    }
}

/// Keeps an answer short whatever was sent.
fn shortened(text: &str) -> String {
    const LONGEST: usize = 60;
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    text.chars().take(LONGEST).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_built_is_refused_in_its_turn() {
        const LEVEL: Parameter = Parameter::choice("Level", &["Near", "Far"], "Near").without(&["Far"]);

        assert!(LEVEL.check("Near").is_ok());
        let error = LEVEL.check("Far").unwrap_err();
        assert_eq!(error.detail.as_deref(), Some("Level: Far is not built yet."));
    }
    use crate::action::rescale_application::ENTRY;

    const APP: (&str, &str) = ("AppId", "474bdef0-d149-4695-abfb-52912d9143f0");
    const TYPE: (&str, &str) = ("RescaleType", "Add");
    const SELECTOR: (&str, &str) = ("ResourceSelector", r#"[{"count":1}]"#);

    fn check(pairs: &[(&str, &str)]) -> Result<Parameters, String> {
        let raw: RawParameters = pairs.iter().copied().collect();
        ENTRY.check(&raw).map_err(|error| error.code.as_text().into_owned())
    }

    #[test]
    fn what_is_missing_comes_before_what_is_malformed() {
        for (pairs, expected) in [
            (&[][..], "MissingParameter"),
            (&[APP, ("RescaleType", ""), SELECTOR][..], "MissingParameter"),
            (&[("RescaleType", "add"), SELECTOR][..], "MissingParameter"),
            (&[APP, ("RescaleType", "add"), ("ResourceSelector", "x")][..], "InvalidParameter.RescaleType"),
            (
                &[APP, TYPE, ("ResourceSelector", "x"), ("Timeout", "x")][..],
                "InvalidParameter.ResourceSelector",
            ),
            (&[APP, TYPE, ("ResourceSelector", "{}")][..], "InvalidParameter.ResourceSelector"),
            (
                &[APP, TYPE, ("ResourceSelector", "[]"), ("Timeout", "x")][..],
                "InvalidParameter.ResourceSelector",
            ),
            (&[APP, TYPE, SELECTOR, ("RescaleLevel", "Region")][..], "InvalidParameter.RescaleLevel"),
            (&[APP, TYPE, SELECTOR, ("Timeout", "0")][..], "InvalidParameter.Timeout"),
            (&[APP, TYPE, SELECTOR, ("Timeout", "-5")][..], "InvalidParameter.Timeout"),
            (&[APP, TYPE, SELECTOR, ("Timeout", "86401")][..], "InvalidParameter.Timeout"),
            (&[APP, TYPE, SELECTOR, ("Timeout", "1.5")][..], "InvalidParameter.Timeout"),
            (&[APP, TYPE, SELECTOR, ("Timeout", "+5")][..], "InvalidParameter.Timeout"),
            (&[APP, TYPE, SELECTOR, ("AllowPartial", "yes")][..], "InvalidParameter.AllowPartial"),
            (&[APP, TYPE, SELECTOR, ("IfRevision", "-1")][..], "InvalidParameter.IfRevision"),
        ] {
            assert_eq!(check(pairs).unwrap_err(), expected, "{pairs:?}");
        }
    }

    #[test]
    fn a_selector_has_one_to_a_hundred_items() {
        for (number, expected) in [(0, false), (1, true), (100, true), (101, false)] {
            let selector = format!("[{}]", vec![r#"{"count":1}"#; number].join(","));

            let checked = check(&[APP, TYPE, ("ResourceSelector", &selector)]);

            let refused = checked.err();
            assert_eq!(refused.as_deref(), (!expected).then_some("InvalidParameter.ResourceSelector"));
        }
    }

    #[test]
    fn defaults_are_filled_in_and_an_empty_optional_parameter_is_absent() {
        let checked = check(&[APP, TYPE, SELECTOR, ("Timeout", ""), ("ToAppVersion", "")]).unwrap();

        assert_eq!(checked.integer::<u32>("Timeout"), Some(300));
        assert_eq!(checked.text("RescaleLevel"), Some("AreaIspCode"));
        assert_eq!(checked.text("ToAppVersion"), None);
    }

    #[test]
    fn what_promises_too_much_is_refused_but_as_an_empty_list() {
        for (disks, expected) in [("[]", None), (r#"[{"Size":20}]"#, Some("InvalidParameter.DataDisk"))] {
            let pairs = [
                ("InstanceType", "ens.sn1.tiny"),
                ("ScheduleAreaLevel", "Region"),
                ("EnsRegionId", "cn-shanghai-cmcc"),
                ("DataDisk", disks),
            ];

            let checked = crate::action::run_instances::ENTRY.check(&pairs.into_iter().collect());

            let refused = checked.err().map(|error| error.code.as_text().into_owned());
            assert_eq!(refused.as_deref(), expected, "{disks}");
        }
    }

    #[test]
    fn undeclared_parameters_are_left_out() {
        let checked = check(&[APP, TYPE, SELECTOR, ("RegionId", "cn-hangzhou"), ("Vendor", "x")]).unwrap();

        assert_eq!(checked.text("RegionId"), None);
        assert_eq!(checked.text("Vendor"), None);
    }

    #[test]
    fn a_wrong_choice_is_answered_with_the_nearest() {
        let raw: RawParameters = [APP, ("RescaleType", "add"), SELECTOR].into_iter().collect();

        let error = ENTRY.check(&raw).unwrap_err();

        assert_eq!(
            error.detail.as_deref(),
            Some("RescaleType: `add` is not one of Add, Del; did you mean Add?")
        );
    }
}
