//! Values as JSON, which has no numbers that are not finite: `serde_json` writes `null` in their place.

use std::fmt;

use serde::ser::{self, Error as _, Serialize, Serializer};
use serde_json::Value;

/// Writes a value as a text. The error names a number that JSON does not have, and its place.
pub(crate) fn text(value: &(impl Serialize + ?Sized)) -> serde_json::Result<String> {
    check(value)?;
    serde_json::to_string(value)
}

/// Writes a value as bytes, as [`text`] does.
pub(crate) fn bytes(value: &(impl Serialize + ?Sized)) -> serde_json::Result<Vec<u8>> {
    check(value)?;
    serde_json::to_vec(value)
}

/// Returns a value as a tree, as [`text`] does.
pub(crate) fn tree(value: &(impl Serialize + ?Sized)) -> serde_json::Result<Value> {
    check(value)?;
    serde_json::to_value(value)
}

fn check(value: &(impl Serialize + ?Sized)) -> serde_json::Result<()> {
    match value.serialize(Finite) {
        Err(Odd::Number { number, place }) => {
            let place = if place.is_empty() { "the value" } else { &place };
            Err(serde_json::Error::custom(format_args!("{place} is {number}, which JSON does not have")))
        }
        // Another fault is found again, and named, when the value is written.
        Ok(()) | Err(Odd::Other) => Ok(()),
    }
}

type Checked = Result<(), Odd>;

/// The reason why a value cannot be written.
#[derive(Debug)]
enum Odd {
    /// A number that is not finite.
    Number { number: f64, place: String },
    /// Something else.
    Other,
}

impl Odd {
    /// Adds a name or an index before the place.
    fn within(self, outer: &str) -> Self {
        match self {
            Self::Number { number, place } => {
                let between = if place.is_empty() || place.starts_with('[') { "" } else { "." };
                Self::Number { number, place: format!("{outer}{between}{place}") }
            }
            Self::Other => Self::Other,
        }
    }
}

impl fmt::Display for Odd {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{self:?}")
    }
}

impl std::error::Error for Odd {}

impl ser::Error for Odd {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::Other
    }
}

/// Writes nothing, and fails at the first number that is not finite.
struct Finite;

macro_rules! accepts {
    ($($method:ident($of:ty)),+ $(,)?) => {
        $(fn $method(self, _: $of) -> Checked {
            Ok(())
        })+
    };
}

impl Serializer for Finite {
    type Ok = ();
    type Error = Odd;
    type SerializeSeq = Parts;
    type SerializeTuple = Parts;
    type SerializeTupleStruct = Parts;
    type SerializeTupleVariant = Parts;
    type SerializeMap = Parts;
    type SerializeStruct = Parts;
    type SerializeStructVariant = Parts;

    accepts! {
        serialize_bool(bool),
        serialize_i8(i8),
        serialize_i16(i16),
        serialize_i32(i32),
        serialize_i64(i64),
        serialize_i128(i128),
        serialize_u8(u8),
        serialize_u16(u16),
        serialize_u32(u32),
        serialize_u64(u64),
        serialize_u128(u128),
        serialize_char(char),
        serialize_str(&str),
        serialize_bytes(&[u8]),
        serialize_unit_struct(&'static str),
    }

    fn serialize_f32(self, number: f32) -> Checked {
        self.serialize_f64(f64::from(number))
    }

    fn serialize_f64(self, number: f64) -> Checked {
        if number.is_finite() { Ok(()) } else { Err(Odd::Number { number, place: String::new() }) }
    }

    fn serialize_none(self) -> Checked {
        Ok(())
    }

    fn serialize_unit(self) -> Checked {
        Ok(())
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Checked {
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Checked {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Checked {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Checked {
        value.serialize(self).map_err(|odd| odd.within(variant))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Parts, Odd> {
        Ok(Parts::default())
    }

    fn serialize_tuple(self, _: usize) -> Result<Parts, Odd> {
        Ok(Parts::default())
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Parts, Odd> {
        Ok(Parts::default())
    }

    fn serialize_tuple_variant(self, _: &'static str, _: u32, variant: &'static str, _: usize) -> Result<Parts, Odd> {
        Ok(Parts { variant, ..Parts::default() })
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Parts, Odd> {
        Ok(Parts::default())
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Parts, Odd> {
        Ok(Parts::default())
    }

    fn serialize_struct_variant(self, _: &'static str, _: u32, variant: &'static str, _: usize) -> Result<Parts, Odd> {
        Ok(Parts { variant, ..Parts::default() })
    }
}

/// The parts of a list, a map or a record.
#[derive(Default)]
struct Parts {
    /// The number of those that were checked.
    count: usize,
    /// The name around them, or empty.
    variant: &'static str,
}

impl Parts {
    fn next<T: Serialize + ?Sized>(&mut self, value: &T) -> Checked {
        let at = self.count;
        self.count += 1;
        self.named(|| format!("[{at}]"), value)
    }

    fn named<T: Serialize + ?Sized>(&self, name: impl FnOnce() -> String, value: &T) -> Checked {
        value.serialize(Finite).map_err(|odd| {
            let odd = odd.within(&name());
            if self.variant.is_empty() { odd } else { odd.within(self.variant) }
        })
    }
}

macro_rules! checks_in_order {
    ($($kind:ident $method:ident),+ $(,)?) => {
        $(impl ser::$kind for Parts {
            type Ok = ();
            type Error = Odd;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Checked {
                self.next(value)
            }

            fn end(self) -> Checked {
                Ok(())
            }
        })+
    };
}

checks_in_order! {
    SerializeSeq serialize_element,
    SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field,
    SerializeTupleVariant serialize_field,
}

macro_rules! checks_by_name {
    ($($kind:ident),+ $(,)?) => {
        $(impl ser::$kind for Parts {
            type Ok = ();
            type Error = Odd;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Checked {
                self.named(|| name.to_owned(), value)
            }

            fn end(self) -> Checked {
                Ok(())
            }
        })+
    };
}

checks_by_name! { SerializeStruct, SerializeStructVariant }

impl ser::SerializeMap for Parts {
    type Ok = ();
    type Error = Odd;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, _: &T) -> Checked {
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Checked {
        self.next(value)
    }

    fn serialize_entry<K: Serialize + ?Sized, V: Serialize + ?Sized>(&mut self, key: &K, value: &V) -> Checked {
        let name = || match serde_json::to_value(key) {
            Ok(Value::String(name)) => name,
            Ok(other) => other.to_string(),
            Err(_) => String::new(),
        };
        self.named(name, value)
    }

    fn end(self) -> Checked {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(serde::Serialize)]
    struct Price {
        low: f64,
        high: Option<f32>,
    }

    #[derive(serde::Serialize)]
    enum Kept {
        None,
        One(f64),
        Two(f64, f64),
        Named { price: Price },
    }

    fn reason(value: &impl Serialize) -> String {
        let reason = text(value).unwrap_err().to_string();
        assert_eq!(bytes(value).unwrap_err().to_string(), reason);
        assert_eq!(tree(value).unwrap_err().to_string(), reason);
        reason
    }

    #[test]
    fn a_number_that_is_not_finite_is_refused_with_its_place() {
        let odd = || Price { low: 1.0, high: Some(f32::INFINITY) };
        assert_eq!(reason(&f64::NAN), "the value is NaN, which JSON does not have");
        assert_eq!(reason(&odd()), "high is inf, which JSON does not have");
        let prices = BTreeMap::from([("tea", vec![odd()])]);
        assert_eq!(reason(&prices), "tea[0].high is inf, which JSON does not have");
        assert_eq!(reason(&[[1.0, f64::NEG_INFINITY]]), "[0][1] is -inf, which JSON does not have");
        assert_eq!(reason(&Kept::One(f64::NAN)), "One is NaN, which JSON does not have");
        assert_eq!(reason(&Kept::Two(0.0, f64::NAN)), "Two[1] is NaN, which JSON does not have");
        assert_eq!(reason(&Kept::Named { price: odd() }), "Named.price.high is inf, which JSON does not have");
    }

    #[test]
    fn other_values_are_written_as_they_are() {
        let fine = (Price { low: 0.5, high: None }, Kept::None, (), "\"null\"", Some(u64::MAX), Kept::One(2.0));
        let written = r#"[{"low":0.5,"high":null},"None",null,"\"null\"",18446744073709551615,{"One":2.0}]"#;
        assert_eq!(text(&fine).unwrap(), written);
        assert_eq!(bytes(&fine).unwrap(), written.as_bytes());
        assert_eq!(tree(&fine).unwrap().to_string().len(), written.len());
        // The reason of another fault is that of `serde_json`.
        let by_list = BTreeMap::from([(vec![1], 1)]);
        assert_eq!(text(&by_list).unwrap_err().to_string(), "key must be a string");
    }
}
