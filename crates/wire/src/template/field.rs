//! A value inside a JSON parameter together with its path, so that every refusal says where: the path reads
//! `Template.workload[0].podSpec.containers[1].image`. Null counts as absent.

use crate::error::Error;
use serde_json::{Map, Value};

#[derive(Clone, Debug)]
pub(super) struct Field<'a> {
    pub(super) path: String,
    pub(super) value: &'a Value,
}

impl<'a> Field<'a> {
    pub(super) fn root(path: &str, value: &'a Value) -> Self {
        Self { path: path.to_owned(), value }
    }

    pub(super) fn refuse(&self, why: &str) -> Error {
        Error::invalid(format!("{} {why}", self.path))
    }

    pub(super) fn members(&self) -> Result<&'a Map<String, Value>, Error> {
        self.value.as_object().ok_or_else(|| self.refuse("is not an object"))
    }

    pub(super) fn child(&self, key: &str) -> Result<Option<Self>, Error> {
        let value = self.members()?.get(key).filter(|value| !value.is_null());
        Ok(value.map(|value| Self { path: format!("{}.{key}", self.path), value }))
    }

    pub(super) fn required(&self, key: &str) -> Result<Self, Error> {
        self.child(key)?.ok_or_else(|| Error::invalid(format!("{}.{key} is required", self.path)))
    }

    pub(super) fn items(&self, most: usize) -> Result<Vec<Self>, Error> {
        let items = self.value.as_array().ok_or_else(|| self.refuse("is not an array"))?;
        if items.len() > most {
            return Err(self.refuse(&format!("has {} items, at most {most} are taken", items.len())));
        }
        let paths = (0..items.len()).map(|index| format!("{}[{index}]", self.path));
        Ok(paths.zip(items).map(|(path, value)| Self { path, value }).collect())
    }

    /// The items of an optional array; an absent one has none.
    pub(super) fn children(&self, key: &str, most: usize) -> Result<Vec<Self>, Error> {
        self.child(key)?.map_or(Ok(Vec::new()), |child| child.items(most))
    }

    pub(super) fn text(&self) -> Result<&'a str, Error> {
        let text = self.value.as_str().ok_or_else(|| self.refuse("is not a string"))?;
        if text.contains('\0') { Err(self.refuse("contains a NUL character")) } else { Ok(text) }
    }

    pub(super) fn text_or(&self, key: &str, default: &str) -> Result<String, Error> {
        let child = self.child(key)?;
        child.map_or(Ok(default), |child| child.text()).map(str::to_owned)
    }

    /// One of `choices`, compared with case; absent or "" is the first of them.
    pub(super) fn choice(&self, key: &str, choices: &[&'static str]) -> Result<&'static str, Error> {
        let first = choices.first().copied().unwrap_or_default();
        let Some(child) = self.child(key)? else { return Ok(first) };
        let text = child.text()?;
        if text.is_empty() {
            return Ok(first);
        }
        let found = choices.iter().find(|choice| **choice == text).copied();
        found.ok_or_else(|| {
            let nearest = crate::entry::nearest(text, choices.iter().copied());
            let hint = nearest.map(|choice| format!("; did you mean {choice}?")).unwrap_or_default();
            child.refuse(&format!("`{}` is not one of {}{hint}", short(text), choices.join(", ")))
        })
    }

    pub(super) fn integer(&self, minimum: u32, maximum: u32) -> Result<u32, Error> {
        let number = self.value.as_u64().and_then(|number| u32::try_from(number).ok());
        number.filter(|number| (minimum..=maximum).contains(number)).ok_or_else(|| {
            let given = short(&self.value.to_string());
            self.refuse(&format!("{given} is not a whole number from {minimum} to {maximum}"))
        })
    }

    pub(super) fn integer_or(&self, key: &str, range: (u32, u32), default: u32) -> Result<u32, Error> {
        self.child(key)?.map_or(Ok(default), |child| child.integer(range.0, range.1))
    }

    /// An object that is kept as it is.
    pub(super) fn object(&self, key: &str) -> Result<Option<Value>, Error> {
        let Some(child) = self.child(key)? else { return Ok(None) };
        child.members()?;
        Ok(Some(child.value.clone()))
    }

    /// A DNS label: it becomes part of pod names.
    pub(super) fn label(&self) -> Result<String, Error> {
        let text = self.text()?;
        let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let shaped = (1..=63).contains(&text.len())
            && text.bytes().all(inside)
            && !text.starts_with('-')
            && !text.ends_with('-');
        if shaped {
            Ok(text.to_owned())
        } else {
            let why = "is not 1 to 63 lower-case letters, digits and inner hyphens";
            Err(self.refuse(&format!("`{}` {why}", short(text))))
        }
    }
}

/// Keeps an answer short whatever was sent.
pub(super) fn short(text: &str) -> String {
    text.chars().take(60).collect()
}
