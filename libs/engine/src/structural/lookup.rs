//! Where the elements of a list are, by the steps that lead to them. Each table is made once, so that a long list costs no
//! more than its length.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use domain::schema::Node;
use serde_json::{Map, Value};

use crate::fields::{Element, keys_of};

/// The tables of one list, made when they are first asked for: elements may change or be added meanwhile, but not move.
pub(super) struct Lookup<'a> {
    list: Option<Node<'a>>,
    tables: HashMap<By, HashMap<String, usize>>,
}

/// What tells elements apart.
#[derive(PartialEq, Eq, Hash)]
enum By {
    /// The keys that the schema names.
    Schema,
    /// Just these fields, for lists whose schema is not known.
    Fields(Vec<String>),
    /// The whole value.
    Value,
}

impl<'a> Lookup<'a> {
    pub(super) fn new(list: Option<Node<'a>>) -> Self {
        Self {
            list,
            tables: HashMap::new(),
        }
    }

    /// The first element that a step leads to.
    pub(super) fn find<'v>(
        &mut self,
        items: &'v [Value],
        step: &Element,
    ) -> Option<(usize, &'v Value)> {
        let position = match step {
            Element::Key(keys) => self.position(items, By::Schema, keys).or_else(|| {
                let fields = serde_json::from_str::<Map<String, Value>>(keys).ok()?;
                let names = fields.keys().cloned().collect();
                self.position(items, By::Fields(names), keys)
            }),
            Element::Item(text) => self.position(items, By::Value, text),
            Element::Field(_) => None,
        }?;
        Some((position, items.get(position)?))
    }

    fn position(&mut self, items: &[Value], by: By, name: &str) -> Option<usize> {
        let table = match self.tables.entry(by) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let made = table(items, new.key(), self.list);
                new.insert(made)
            }
        };
        table.get(name).copied()
    }
}

fn table(items: &[Value], by: &By, list: Option<Node<'_>>) -> HashMap<String, usize> {
    let mut table = HashMap::with_capacity(items.len());
    for (position, item) in items.iter().enumerate() {
        if let Some(name) = by.name(item, list) {
            table.entry(name).or_insert(position);
        }
    }
    table
}

impl By {
    /// How a step names an element; `None` where it has not what tells it apart.
    fn name(&self, item: &Value, list: Option<Node<'_>>) -> Option<String> {
        match self {
            Self::Schema => keys_of(item, list),
            Self::Fields(names) => {
                let fields = names
                    .iter()
                    .map(|name| Some((name.clone(), item.get(name)?.clone())));
                let fields: Option<Map<String, Value>> = fields.collect();
                fields.map(|fields| crate::canonical::text(&Value::Object(fields)))
            }
            Self::Value => Some(crate::canonical::text(item)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn without_a_schema_an_element_is_what_has_the_fields_that_a_step_names() {
        let items = [
            json!("x"),
            json!({"name": "a", "port": 1}),
            json!({"name": "a", "port": 2}),
        ];
        let mut lookup = Lookup::new(None);
        let mut at = |step: Element| lookup.find(&items, &step).map(|(position, _)| position);
        assert_eq!(at(Element::Key("{\"name\":\"a\"}".into())), Some(1));
        let both = Element::Key("{\"name\":\"a\",\"port\":2}".into());
        assert_eq!(at(both), Some(2));
        assert_eq!(at(Element::Key("{\"name\":\"b\"}".into())), None);
        assert_eq!(at(Element::Item("\"x\"".into())), Some(0));
        assert_eq!(at(Element::Field("name".into())), None);
    }
}
