//! `application.links`, `resource.links`, `project.links`: addresses elsewhere that an object leads to.

use serde_json::Value as Json;

use super::{Config, yaml};
use crate::formula::expression::{self, Expression};
use crate::formula::template::{self, Template};
use crate::formula::{Budget, Fault, MAX_TEXT, Misread};
use crate::link;
use crate::message::{Message, settings as say};

/// The most links of a key.
const MAX_LINKS: usize = 100;
/// The fields of a link.
const FIELDS: [&str; 5] = ["title", "url", "description", "icon.class", "if"];

/// What the links are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linked {
    /// An application.
    Application,
    /// A project.
    Project,
    /// One of an application's objects.
    Resource,
}

impl Linked {
    /// The key that says which.
    fn key(self) -> &'static str {
        match self {
            Self::Application => "application.links",
            Self::Project => "project.links",
            Self::Resource => "resource.links",
        }
    }
}

/// A link as the settings have it.
#[derive(Clone, Debug, PartialEq)]
pub struct DeepLink {
    /// What it is called.
    pub title: String,
    /// What it is for; may be empty.
    pub description: String,
    /// The class of its icon; may be empty.
    pub icon_class: String,
    url: Template,
    condition: Option<Expression>,
}

impl DeepLink {
    /// The address that it has with these values; `None` where it is not for them. All links of an answer have one budget.
    ///
    /// # Errors
    /// When its texts are not made for them, or what they make is no address that a browser may follow.
    pub fn address(&self, values: &Json, budget: &mut Budget) -> Result<Option<String>, Fault> {
        if let Some(condition) = &self.condition
            && !condition.holds(values, budget)?
        {
            return Ok(None);
        }
        // What is shown is the address as it was judged: browsers leave out of a text what hides in it, terminals do not.
        let address = link::address(&self.url.render(values, budget)?);
        let none = || Fault::new("what it makes is no http or https address");
        address.map(Some).ok_or_else(none)
    }
}

impl Config {
    /// The links of applications, of projects, or of objects. What cannot be read says nothing: writing it is refused.
    #[must_use]
    pub fn links(&self, of: Linked) -> Vec<DeepLink> {
        let text = self.cm(of.key()).unwrap_or_default();
        let document = yaml::read(text).ok();
        let links = document.and_then(|document| read(&document).ok());
        links.unwrap_or_default()
    }
}

/// Reads all of them.
///
/// # Errors
/// What is wrong with the first that cannot be read.
pub(super) fn read(document: &Json) -> Result<Vec<DeepLink>, Message> {
    let items = match document {
        Json::Null => return Ok(Vec::new()),
        Json::Array(items) => items,
        _ => return Err(say::NOT_LIST.message()),
    };
    if items.len() > MAX_LINKS {
        return Err(say::LINKS_MANY.with("limit", MAX_LINKS));
    }
    let numbered = (1..).zip(items);
    numbered.map(|(number, item)| one(number, item)).collect()
}

fn one(number: usize, item: &Json) -> Result<DeepLink, Message> {
    let fields = item.as_object();
    let fields = fields.ok_or_else(|| say::LINK_NONE.with("number", number))?;
    if let Some((field, _)) = fields.iter().find(|(name, value)| is_unfit(name, value)) {
        return Err(say::LINK_FIELD.with("number", number).with("field", field));
    }
    let text = |field: &str| fields.get(field).and_then(Json::as_str).unwrap_or_default();
    if let Some(field) = FIELDS
        .into_iter()
        .find(|field| text(field).len() > MAX_TEXT)
    {
        return Err(misread(number, field, Misread::TooLarge));
    }
    for field in ["title", "url"] {
        if text(field).is_empty() {
            return Err(say::LINK_LACKS.with("number", number).with("field", field));
        }
    }
    let url = template::parse(text("url")).map_err(|why| misread(number, "url", why))?;
    let condition = match fields.get("if").and_then(Json::as_str) {
        Some(text) => {
            let read = expression::parse(text);
            Some(read.map_err(|why| misread(number, "if", why))?)
        }
        None => None,
    };
    Ok(DeepLink {
        title: text("title").to_owned(),
        description: text("description").to_owned(),
        icon_class: text("icon.class").to_owned(),
        url,
        condition,
    })
}

/// Whether a link has no such field, or not with such a value.
fn is_unfit(name: &str, value: &Json) -> bool {
    !FIELDS.contains(&name) || !(value.is_string() || value.is_null())
}

fn misread(number: usize, field: &str, why: Misread) -> Message {
    let message = match why {
        Misread::Word { word, at } => say::LINK_WORD.with("word", word).with("at", at),
        Misread::End => say::LINK_END.message(),
        Misread::TooLarge => say::LINK_TOO_LARGE.message(),
    };
    message.with("number", number).with("field", field)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::settings::{Object, Raw};

    fn config(text: &str) -> Config {
        let mut raw = Raw::default();
        raw.set(&Object::Cm, "application.links", text);
        Config::from_raw(raw)
    }

    #[test]
    fn a_link_is_for_what_its_condition_says() {
        let config = config(
            "- title: Logs\n  url: https://logs.example/?q={{.app.metadata.name}}\n  description: what it writes\n  icon.class: fa-book\n\
             - title: Shop\n  url: https://shop.example/\n  if: app.metadata.labels?.team == \"shop\"\n",
        );
        let links = config.links(Linked::Application);
        let values = json!({"app": {"metadata": {"name": "web"}}});
        let budget = &mut Budget::default();
        let addresses: Vec<_> = links
            .iter()
            .map(|link| link.address(&values, budget))
            .collect();
        assert_eq!(
            addresses,
            [Ok(Some("https://logs.example/?q=web".to_owned())), Ok(None)]
        );
        assert_eq!(links[0].icon_class, "fa-book");
        assert_eq!(links[0].description, "what it writes");
        assert!(config.links(Linked::Project).is_empty());
    }

    #[test]
    fn s08_what_is_no_web_address_is_no_link() {
        for url in [
            "{{ .app.x }}",
            "javascript:{{ .app.x }}",
            "java{{ .app.y }}script:alert(1)",
            "/relative",
            "https://user@{{ .app.y }}/",
            "ftp://a.example/",
        ] {
            let config = config(&format!("- title: a\n  url: '{url}'\n"));
            let values = json!({"app": {"x": "javascript:alert(1)", "y": "a.example"}});
            let links = config.links(Linked::Application);
            let address = links[0].address(&values, &mut Budget::default());
            assert!(address.is_err(), "{url}");
        }
    }

    #[test]
    fn s08_an_address_holds_nothing_but_what_was_judged() {
        let config = config("- title: a\n  url: 'https://a.example/{{ .app.x }}'\n");
        let values = json!({"app": {"x": "\u{1b}[2J a\tb\r\nc"}});
        let links = config.links(Linked::Application);
        let address = links[0].address(&values, &mut Budget::default());
        let address = address.unwrap().unwrap();
        assert!(!address.contains(char::is_control), "{address:?}");
        assert!(address.starts_with("https://a.example/%1B"), "{address}");
    }

    #[test]
    fn what_cannot_be_read_says_what_and_where() {
        let refused = |text: &str| {
            let document = yaml::read(text).unwrap();
            read(&document).map(drop).unwrap_err()
        };
        let word = |refusal: &Message, name: &str| refusal.arguments.get(name).cloned();
        let refusal = refused("- title: a\n  url: https://a/{{ env \"HOME\" }}");
        assert!(refusal.is(&say::LINK_WORD));
        assert_eq!(word(&refusal, "word").as_deref(), Some("env"));
        assert_eq!(word(&refusal, "at").as_deref(), Some("14"));
        let refusal = refused("- title: a\n  url: https://a/\n  if: all(app, b)");
        assert_eq!(word(&refusal, "field").as_deref(), Some("if"));
        assert!(refused("- title: a\n  url: https://a/{{").is(&say::LINK_END));
        let deep = format!(
            "- title: a\n  url: https://a/\n  if: \"{}\"",
            "(".repeat(100)
        );
        assert!(refused(&deep).is(&say::LINK_TOO_LARGE));
        let long = format!("- title: {}\n  url: https://a/", "a".repeat(MAX_TEXT + 1));
        assert!(refused(&long).is(&say::LINK_TOO_LARGE));
        assert!(refused("- title: a").is(&say::LINK_LACKS));
        assert!(refused("- title: 1\n  url: https://a/").is(&say::LINK_FIELD));
        assert!(refused("- title: a\n  uri: https://a/").is(&say::LINK_FIELD));
        assert!(refused("- a").is(&say::LINK_NONE));
        assert!(refused("a: b").is(&say::NOT_LIST));
        let many = "- title: a\n  url: https://a/\n".repeat(MAX_LINKS + 1);
        assert!(refused(&many).is(&say::LINKS_MANY));
    }
}
