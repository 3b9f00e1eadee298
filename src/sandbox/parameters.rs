//! The parameters of one call, merged as Graph merges them: the query first, then the body over it.
//!
//! A parameter whose text is a JSON object or array is taken as that value, wherever it stood: that is how forms carry `template` and
//! `batch`. Of repeated names the last counts, and `text[body]=…` nests, as in PHP.

use std::collections::HashMap;

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::errors::GraphError;
use super::multipart::{Event, Multipart, boundary};

/// How deep the name of a form's parameter may nest: values are dropped recursively.
const DEEPEST: usize = 16;

/// The parameters by name.
#[derive(Default)]
pub(super) struct Parameters(HashMap<String, Value>);

impl Parameters {
    /// Reads a query string or a form.
    pub(super) fn absorb_form(&mut self, form: &str) {
        for pair in form.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            self.set_nested(&form_text(name), Value::String(form_text(value)));
        }
    }

    /// Reads a body by its content type, or as JSON where it looks like JSON.
    pub(super) fn absorb_body(&mut self, content_type: &str, body: &[u8]) -> Result<(), GraphError> {
        let looks_like_json = body.trim_ascii_start().starts_with(b"{");
        let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if body.trim_ascii().is_empty() {
            return Ok(());
        }
        if kind == "multipart/form-data" {
            return self.absorb_multipart(content_type, body);
        }
        if kind == "application/x-www-form-urlencoded" && !looks_like_json {
            self.absorb_form(&String::from_utf8_lossy(body));
            return Ok(());
        }
        self.absorb_json(body)
    }

    fn absorb_json(&mut self, body: &[u8]) -> Result<(), GraphError> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(object)) => self.absorb_object(object),
            Ok(_) | Err(_) => return Err(GraphError::unreadable()),
        }
        Ok(())
    }

    /// Takes every member of an object.
    pub(super) fn absorb_object(&mut self, object: Map<String, Value>) {
        for (name, value) in object {
            self.set(name, value);
        }
    }

    fn absorb_multipart(&mut self, content_type: &str, body: &[u8]) -> Result<(), GraphError> {
        let boundary = boundary(content_type).ok_or_else(GraphError::unreadable)?;
        let mut parser = Multipart::new(&boundary);
        let mut part: Option<(String, Vec<u8>)> = None;
        let complete = parser.feed(body, &mut |event| match event {
            Event::Part(head) => part = Some((head.name, Vec::new())),
            Event::Data(bytes) => {
                if let Some((_, value)) = &mut part {
                    value.extend_from_slice(bytes);
                }
            }
            Event::End => {
                if let Some((name, value)) = part.take() {
                    self.set_nested(&name, Value::String(String::from_utf8_lossy(&value).into_owned()));
                }
            }
        });
        complete.and_then(|()| parser.finish()).map_err(|_| GraphError::unreadable())
    }

    /// Sets a parameter of a form, whose name may say where inside a value it belongs.
    fn set_nested(&mut self, name: &str, value: Value) {
        let (name, keys) = name.split_once('[').unwrap_or((name, ""));
        let mut slot = self.0.entry(name.trim_start().replace(['.', ' '], "_")).or_default();
        for key in keys.split('[').filter_map(|key| key.strip_suffix(']')).take(DEEPEST) {
            let Some(child) = child(slot, key) else { return };
            slot = child;
        }
        *slot = unfolded(value);
    }

    /// Sets one parameter.
    pub(super) fn set(&mut self, name: String, value: Value) {
        self.0.insert(name, unfolded(value));
    }

    pub(super) fn value(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A string or a number as text; `None` if it is absent, empty or something else.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        scalar(self.value(name)?)
    }

    pub(super) fn object(&self, name: &str) -> Option<&Map<String, Value>> {
        self.value(name)?.as_object()
    }
}

/// The member that a key in brackets names; an empty key appends to a list.
fn child<'a>(slot: &'a mut Value, key: &str) -> Option<&'a mut Value> {
    if key.is_empty() {
        if !slot.is_array() {
            *slot = Value::Array(Vec::new());
        }
    } else if !slot.is_object() {
        *slot = Value::Object(Map::new());
    }
    match slot {
        Value::Array(list) => {
            list.push(Value::Null);
            list.last_mut()
        }
        Value::Object(object) => Some(object.entry(key).or_insert(Value::Null)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

/// A non-empty string, or a number as text.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The value that a text of JSON stands for.
fn unfolded(value: Value) -> Value {
    let Value::String(text) = &value else { return value };
    if !text.trim_start().starts_with(['{', '[']) {
        return value;
    }
    serde_json::from_str(text).unwrap_or(value)
}

fn form_text(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}
