//! Reading JSON text into a [`Tree`] with serde_json, borrowed where the text has no escapes.

use std::fmt;

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};

use super::{NodeId, Text, Tree, Value};

/// The longest object whose members are compared pair by pair; longer ones are sorted to find a duplicate.
const PAIRWISE: usize = 24;

/// Reads a whole JSON text.
///
/// # Errors
/// What serde_json says of text that is not JSON, nests deeper than 127, or has a member twice.
pub fn parse(text: &str) -> Result<Tree<'_>, serde_json::Error> {
    let mut tree = Tree::with_capacity(text.len() / 24 + 8);
    let mut reader = serde_json::Deserializer::from_str(text);
    TreeSeed { tree: &mut tree, parent: None, key: Text::Borrowed(""), skip: &[] }.deserialize(&mut reader)?;
    reader.end()?;
    Ok(tree)
}

/// Says that an object has a member twice.
#[derive(Debug, thiserror::Error)]
#[error("the member {0:?} is there twice")]
pub struct Duplicate(pub String);

/// Reads one value into a tree, as a child of `parent`.
#[derive(Debug)]
pub struct TreeSeed<'t, 'a> {
    /// Where to.
    pub tree: &'t mut Tree<'a>,
    /// Below which node; `None` for the root.
    pub parent: Option<NodeId>,
    /// Under which key, where the parent is an object.
    pub key: Text<'a>,
    /// Members that are not read: pairs of the key of the object and the member, where "" is the value itself.
    pub skip: &'t [(&'static str, &'static str)],
}

impl<'a> DeserializeSeed<'a> for TreeSeed<'_, 'a> {
    type Value = NodeId;

    fn deserialize<D: de::Deserializer<'a>>(self, deserializer: D) -> Result<NodeId, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> TreeSeed<'_, 'a> {
    fn scalar<E>(self, value: Value<'a>) -> Result<NodeId, E> {
        Ok(self.tree.push(self.parent, self.key, value))
    }

    fn written<E>(self, number: &str) -> Result<NodeId, E> {
        let text = self.tree.keep(number);
        self.scalar(Value::Number(text))
    }
}

impl<'a> Visitor<'a> for TreeSeed<'_, 'a> {
    type Value = NodeId;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<NodeId, E> {
        self.scalar(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<NodeId, E> {
        self.scalar(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<NodeId, E> {
        self.scalar(Value::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<NodeId, E> {
        match i64::try_from(value) {
            Ok(value) => self.scalar(Value::Int(value)),
            Err(_) => self.written(&value.to_string()),
        }
    }

    fn visit_f64<E>(self, value: f64) -> Result<NodeId, E> {
        // serde_json's own notation, so that what is written can be read again.
        let text = serde_json::Number::from_f64(value).map_or_else(|| value.to_string(), |number| number.to_string());
        self.written(&text)
    }

    fn visit_borrowed_str<E>(self, value: &'a str) -> Result<NodeId, E> {
        self.scalar(Value::String(Text::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<NodeId, E> {
        let text = self.tree.keep(value);
        self.scalar(Value::String(text))
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut entries: A) -> Result<NodeId, A::Error> {
        let list = self.tree.push(self.parent, self.key, Value::List);
        while entries
            .next_element_seed(TreeSeed { tree: &mut *self.tree, parent: Some(list), key: Text::Borrowed(""), skip: self.skip })?
            .is_some()
        {}
        Ok(list)
    }

    fn visit_map<A: MapAccess<'a>>(self, mut members: A) -> Result<NodeId, A::Error> {
        let object = self.tree.push(self.parent, self.key, Value::Object);
        let mut count = 0;
        let mut skipped = 0_u32;
        while let Some(key) = members.next_key_seed(KeySeed { tree: &mut *self.tree })? {
            if let Some(place) = self.skipped(key) {
                if skipped & (1 << place) != 0 {
                    return Err(de::Error::custom(Duplicate(self.tree.text(key).to_owned())));
                }
                skipped |= 1 << place;
                members.next_value::<Unread>()?;
                continue;
            }
            members.next_value_seed(TreeSeed { tree: &mut *self.tree, parent: Some(object), key, skip: self.skip })?;
            count += 1;
        }
        match duplicate(self.tree, object, count) {
            Some(key) => Err(de::Error::custom(Duplicate(key))),
            None => Ok(object),
        }
    }
}

impl TreeSeed<'_, '_> {
    /// Which of the members that are not read this is.
    fn skipped(&self, member: Text<'_>) -> Option<usize> {
        if self.skip.is_empty() {
            return None;
        }
        let member = self.tree.text(member);
        // Only the value itself and its own members: the same name further down is somebody else's.
        let Text::Borrowed(own) = self.key else { return None };
        let depth_one = self.parent.is_none_or(|parent| self.tree.parent(parent).is_none());
        let here = |(object, name): &(&str, &str)| *name == member && (*object == own || (object.is_empty() && self.parent.is_none()));
        self.skip.iter().position(here).filter(|_| depth_one)
    }
}

/// A value that is read over. Unlike [`de::IgnoredAny`], which serde_json reads over without recursion, it may not nest deeper than what is read.
#[derive(Clone, Copy, Debug)]
pub struct Unread;

impl<'de> de::Deserialize<'de> for Unread {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Unread, D::Error> {
        deserializer.deserialize_any(Unread)
    }
}

impl<'de> Visitor<'de> for Unread {
    type Value = Unread;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Unread, E> {
        Ok(Unread)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Unread, E> {
        Ok(Unread)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Unread, E> {
        Ok(Unread)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Unread, E> {
        Ok(Unread)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Unread, E> {
        Ok(Unread)
    }

    fn visit_str<E>(self, _: &str) -> Result<Unread, E> {
        Ok(Unread)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Unread, A::Error> {
        while entries.next_element::<Unread>()?.is_some() {}
        Ok(Unread)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Unread, A::Error> {
        while members.next_entry::<de::IgnoredAny, Unread>()?.is_some() {}
        Ok(Unread)
    }
}

pub(super) fn duplicate(tree: &Tree<'_>, object: NodeId, count: usize) -> Option<String> {
    if count <= PAIRWISE {
        let mut members = tree.children(object);
        while let Some(member) = members.next() {
            let key = tree.key(member);
            if members.clone().any(|later| tree.key(later) == key) {
                return Some(key.to_owned());
            }
        }
        return None;
    }
    let mut keys: Vec<&str> = tree.children(object).map(|member| tree.key(member)).collect();
    keys.sort_unstable();
    keys.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0].to_owned())
}

struct KeySeed<'t, 'a> {
    tree: &'t mut Tree<'a>,
}

impl<'a> DeserializeSeed<'a> for KeySeed<'_, 'a> {
    type Value = Text<'a>;

    fn deserialize<D: de::Deserializer<'a>>(self, deserializer: D) -> Result<Text<'a>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'a> Visitor<'a> for KeySeed<'_, 'a> {
    type Value = Text<'a>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a member's name")
    }

    fn visit_borrowed_str<E>(self, value: &'a str) -> Result<Text<'a>, E> {
        Ok(Text::Borrowed(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Text<'a>, E> {
        Ok(self.tree.keep(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_twice_is_refused_in_short_and_long_objects() {
        let long: Vec<String> = (0..40).map(|n| format!("\"k{n}\":{n}")).collect();
        assert!(parse(&format!("{{{}}}", long.join(","))).is_ok());
        assert!(parse(&format!("{{{},\"k7\":0}}", long.join(","))).unwrap_err().to_string().contains("k7"));
        assert!(parse(r#"{"a":{"x":1,"x":1}}"#).unwrap_err().to_string().contains("\"x\""));
    }

    #[test]
    fn nesting_of_127_is_read_and_128_is_not() {
        assert!(parse(&("[".repeat(127) + &"]".repeat(127))).is_ok());
        assert!(parse(&("[".repeat(128) + &"]".repeat(128))).is_err());
    }

    #[test]
    fn what_is_to_be_skipped_is_skipped_where_it_is_meant() {
        let text = r#"{"metadata":{"managedFields":[1],"name":"a"},"status":{},"spec":{"status":1,"metadata":{"managedFields":2}}}"#;
        let mut tree = Tree::new();
        let mut reader = serde_json::Deserializer::from_str(text);
        let skip = &[("metadata", "managedFields"), ("", "status")];
        TreeSeed { tree: &mut tree, parent: None, key: Text::Borrowed(""), skip }.deserialize(&mut reader).unwrap();
        let mut out = String::new();
        tree.write(NodeId::ROOT, &mut out);
        assert_eq!(out, r#"{"metadata":{"name":"a"},"spec":{"status":1,"metadata":{"managedFields":2}}}"#);
    }

    #[test]
    fn what_is_read_over_may_not_nest_deeper_either() {
        let unread = |depth: usize| serde_json::from_str::<Unread>(&format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
        assert!(unread(127).is_ok() && unread(128).is_err());
        assert!(serde_json::from_str::<Unread>(r#"{"a":[null,true,-1,2,1.5,"x\ny"],"a":{}}"#).is_ok());
    }
}
