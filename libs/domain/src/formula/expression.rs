//! Conditions as expr-lang writes them: `app.spec.project == "default" and "team" in app.metadata.labels`.
//!
//! There are names and members (`a.b`, `a["b"]`, `a?.b`), texts, numbers, lists, `true`, `false`, `nil`; `==`, `!=`, `<`, `<=`, `>`,
//! `>=`, `in`, `contains`, `startsWith`, `endsWith`, `matches` (each also after `not`), `and`, `or`, `not`, `&&`, `||`, `!`, `??`, `? :`,
//! `+`, `-`, and some functions. A name that there is not is `nil`; a member of `nil` is a fault.

use std::borrow::Cow;

use serde_json::Value;

use super::values::{equal, joined, length, order, pattern, print, row, text};
use super::words::{Token, Word, words};
use super::{Budget, Fault, MAX_DEPTH, MAX_GIVEN, Misread, short};

/// The functions, and how many values each takes.
const FUNCTIONS: &[(&str, usize)] = &[
    ("first", 1),
    ("hasPrefix", 2),
    ("hasSuffix", 2),
    ("join", 2),
    ("keys", 1),
    ("last", 1),
    ("len", 1),
    ("lower", 1),
    ("replace", 3),
    ("split", 2),
    ("string", 1),
    ("trim", 1),
    ("trimPrefix", 2),
    ("trimSuffix", 2),
    ("upper", 1),
];

/// An expression that is understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression(Node);

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Literal(Value),
    Name(String),
    /// A value, and the members that lead on from it; each with whether `nil` ends the way without a fault.
    Way(Box<Self>, Vec<(Self, bool)>),
    List(Vec<Self>),
    Not(Box<Self>),
    Negative(Box<Self>),
    Both(Box<Self>, Box<Self>),
    Either(Box<Self>, Box<Self>),
    Else(Box<Self>, Box<Self>),
    Compared(Comparison, Box<Self>, Box<Self>),
    Choice(Box<Self>, Box<Self>, Box<Self>),
    Call(&'static str, Vec<Self>),
}

/// What two values are put together by.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Comparison {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    More,
    MoreOrEqual,
    In,
    Contains,
    StartsWith,
    EndsWith,
    Matches,
    Plus,
    Minus,
}

/// A sign or a word between two values.
#[derive(Clone, Copy)]
enum Operator {
    Or,
    And,
    Else,
    Compared(Comparison),
}

impl Operator {
    /// What binds more closely has the greater one.
    fn closeness(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And => 2,
            Self::Compared(Comparison::Plus | Comparison::Minus) => 4,
            Self::Compared(_) => 3,
            Self::Else => 6,
        }
    }

    fn of(token: &Token) -> Option<Self> {
        let compared = match token {
            Token::Sign("||") => return Some(Self::Or),
            Token::Sign("&&") => return Some(Self::And),
            Token::Sign("??") => return Some(Self::Else),
            Token::Sign("==") => Comparison::Equal,
            Token::Sign("!=") => Comparison::Unequal,
            Token::Sign("<") => Comparison::Less,
            Token::Sign("<=") => Comparison::LessOrEqual,
            Token::Sign(">") => Comparison::More,
            Token::Sign(">=") => Comparison::MoreOrEqual,
            Token::Sign("+") => Comparison::Plus,
            Token::Sign("-") => Comparison::Minus,
            Token::Name(name) => match name.as_str() {
                "or" => return Some(Self::Or),
                "and" => return Some(Self::And),
                other => Self::word(other)?,
            },
            _ => return None,
        };
        Some(Self::Compared(compared))
    }

    /// The comparisons that are words, which `not` may stand before.
    fn word(name: &str) -> Option<Comparison> {
        Some(match name {
            "in" => Comparison::In,
            "contains" => Comparison::Contains,
            "startsWith" => Comparison::StartsWith,
            "endsWith" => Comparison::EndsWith,
            "matches" => Comparison::Matches,
            _ => return None,
        })
    }
}

/// What `not` and `!` bind as closely as.
const NOT: u8 = 5;
/// What a minus before a value binds as closely as.
const MINUS: u8 = 7;

/// Reads an expression.
///
/// # Errors
/// At the first word that is not understood.
pub fn parse(text: &str) -> Result<Expression, Misread> {
    let words = words(text, 0, text.len(), &['"', '\'', '`'])?;
    let mut parser = Parser {
        text,
        words,
        at: 0,
        depth: 0,
    };
    let node = parser.choice()?;
    match parser.words.get(parser.at) {
        None => Ok(Expression(node)),
        Some(word) => Err(parser.misread(word)),
    }
}

struct Parser<'t> {
    text: &'t str,
    words: Vec<Word>,
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn misread(&self, word: &Word) -> Misread {
        let written = self.text.get(word.from..word.to).unwrap_or_default();
        Misread::word(self.text, word.from, written)
    }

    fn token(&self) -> Option<&Token> {
        self.words.get(self.at).map(|word| &word.token)
    }

    fn next(&mut self) -> Result<Word, Misread> {
        let word = self.words.get(self.at).cloned().ok_or(Misread::End)?;
        self.at += 1;
        Ok(word)
    }

    /// Goes on where that sign is next.
    fn takes(&mut self, sign: &str) -> bool {
        let there = matches!(self.token(), Some(Token::Sign(next)) if *next == sign);
        self.at += usize::from(there);
        there
    }

    fn needs(&mut self, sign: &str) -> Result<(), Misread> {
        if self.takes(sign) {
            return Ok(());
        }
        let word = self.next()?;
        Err(self.misread(&word))
    }

    /// `a ? b : c`, or anything that binds more closely.
    fn choice(&mut self) -> Result<Node, Misread> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Misread::TooLarge);
        }
        let mut node = self.joined(0)?;
        if self.takes("?") {
            let then = self.choice()?;
            self.needs(":")?;
            let otherwise = self.choice()?;
            node = Node::Choice(Box::new(node), Box::new(then), Box::new(otherwise));
        }
        self.depth -= 1;
        Ok(node)
    }

    /// Values that are put together by what binds at least so closely.
    fn joined(&mut self, closeness: u8) -> Result<Node, Misread> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Misread::TooLarge);
        }
        let mut node = self.single()?;
        // A long row is as deep as it is long once it is put together.
        let mut row = self.depth;
        while let Some((operator, negated)) = self.operator(closeness) {
            row += 1;
            if row > MAX_DEPTH {
                return Err(Misread::TooLarge);
            }
            self.at += 1 + usize::from(negated);
            let right = Box::new(self.joined(operator.closeness() + 1)?);
            let left = Box::new(node);
            node = match operator {
                Operator::Or => Node::Either(left, right),
                Operator::And => Node::Both(left, right),
                Operator::Else => Node::Else(left, right),
                Operator::Compared(by) => Node::Compared(by, left, right),
            };
            if negated {
                node = Node::Not(Box::new(node));
            }
        }
        self.depth -= 1;
        Ok(node)
    }

    /// The operator that is next, if it binds at least so closely, and whether `not` stands before it.
    fn operator(&self, closeness: u8) -> Option<(Operator, bool)> {
        let token = self.token()?;
        let (operator, negated) = match token {
            Token::Name(name) if name == "not" => {
                let Token::Name(after) = &self.words.get(self.at + 1)?.token else {
                    return None;
                };
                (Operator::Compared(Operator::word(after)?), true)
            }
            token => (Operator::of(token)?, false),
        };
        (operator.closeness() >= closeness).then_some((operator, negated))
    }

    /// A value, with what stands before and behind it.
    fn single(&mut self) -> Result<Node, Misread> {
        let word = self.next()?;
        let node = match &word.token {
            Token::Sign("!") => return Ok(Node::Not(Box::new(self.joined(NOT)?))),
            Token::Sign("-") => return Ok(Node::Negative(Box::new(self.joined(MINUS)?))),
            Token::Name(name) if name == "not" => {
                return Ok(Node::Not(Box::new(self.joined(NOT)?)));
            }
            Token::Sign("(") => {
                let node = self.choice()?;
                self.needs(")")?;
                node
            }
            Token::Sign("[") => Node::List(self.row("]")?),
            Token::Whole(number) => Node::Literal((*number).into()),
            Token::Fraction(number) => Node::Literal((*number).into()),
            Token::Text(text) => Node::Literal(text.as_str().into()),
            Token::Name(name) => self.named(&word, name)?,
            Token::Sign(_) => return Err(self.misread(&word)),
        };
        self.way(node)
    }

    fn named(&mut self, word: &Word, name: &str) -> Result<Node, Misread> {
        if self.takes("(") {
            let function = FUNCTIONS.iter().find(|function| function.0 == name);
            let &(name, takes) = function.ok_or_else(|| self.misread(word))?;
            let values = self.row(")")?;
            return match values.len() == takes {
                true => Ok(Node::Call(name, values)),
                false => Err(self.misread(word)),
            };
        }
        if Operator::of(&word.token).is_some() {
            return Err(self.misread(word));
        }
        Ok(match name {
            "true" => Node::Literal(true.into()),
            "false" => Node::Literal(false.into()),
            "nil" => Node::Literal(Value::Null),
            name => Node::Name(name.to_owned()),
        })
    }

    /// Values with commas between them, as far as that sign.
    fn row(&mut self, end: &str) -> Result<Vec<Node>, Misread> {
        let mut values = Vec::new();
        while !self.takes(end) {
            if !values.is_empty() {
                self.needs(",")?;
            }
            values.push(self.choice()?);
        }
        Ok(values)
    }

    /// The members that stand behind a value.
    fn way(&mut self, from: Node) -> Result<Node, Misread> {
        let mut members = Vec::new();
        loop {
            let optional = self.takes("?.");
            if !optional && self.takes("[") {
                members.push((self.choice()?, false));
                self.needs("]")?;
            } else if optional || self.takes(".") {
                let word = self.next()?;
                let Token::Name(name) = &word.token else {
                    return Err(self.misread(&word));
                };
                members.push((Node::Literal(name.as_str().into()), optional));
            } else {
                break;
            }
        }
        Ok(match members.is_empty() {
            true => from,
            false => Node::Way(Box::new(from), members),
        })
    }
}

impl Expression {
    /// Whether it holds of these values.
    ///
    /// # Errors
    /// When it is not made for them, or is neither true nor false.
    pub fn holds(&self, values: &Value, budget: &mut Budget) -> Result<bool, Fault> {
        let mut run = Run { values, budget };
        run.truth(&self.0)
    }
}

struct Run<'v, 'b> {
    values: &'v Value,
    budget: &'b mut Budget,
}

/// A value that was given, or was made.
type Made<'v> = Cow<'v, Value>;

const NIL: &Value = &Value::Null;

impl<'v> Run<'v, '_> {
    fn truth(&mut self, node: &'v Node) -> Result<bool, Fault> {
        let made = self.value(node)?;
        let neither = || Fault::new("what has to be true or false is neither");
        made.as_bool().ok_or_else(neither)
    }

    fn value(&mut self, node: &'v Node) -> Result<Made<'v>, Fault> {
        self.budget.spend(1)?;
        let made = match node {
            Node::Literal(value) => return Ok(Cow::Borrowed(value)),
            Node::Name(name) => return Ok(Cow::Borrowed(self.values.get(name).unwrap_or(NIL))),
            Node::Way(from, members) => return self.way(from, members),
            Node::Choice(condition, then, otherwise) => {
                let chosen = if self.truth(condition)? {
                    then
                } else {
                    otherwise
                };
                return self.value(chosen);
            }
            Node::Else(node, otherwise) => match self.value(node)? {
                made if made.is_null() => return self.value(otherwise),
                made => return Ok(made),
            },
            Node::List(nodes) => Value::Array(self.items(nodes)?),
            Node::Not(node) => Value::Bool(!self.truth(node)?),
            Node::Negative(node) => {
                let made = self.value(node)?;
                added(&Value::from(0), &made, true)?
            }
            Node::Both(one, other) => Value::Bool(self.truth(one)? && self.truth(other)?),
            Node::Either(one, other) => Value::Bool(self.truth(one)? || self.truth(other)?),
            Node::Compared(by, one, other) => {
                let (one, other) = (self.value(one)?, self.value(other)?);
                self.budget.work([&one, &other])?;
                compared(*by, &one, &other, self.budget)?
            }
            Node::Call(name, nodes) => {
                let values: Result<Vec<Made<'v>>, Fault> =
                    nodes.iter().map(|node| self.value(node)).collect();
                let values = values?;
                self.budget.work(&values)?;
                called(name, &values, self.budget)?
            }
        };
        Ok(Cow::Owned(made))
    }

    /// The values of a list, which are copied, and so may not weigh more together than anything is done with.
    fn items(&mut self, nodes: &'v [Node]) -> Result<Vec<Value>, Fault> {
        let (mut items, mut left) = (Vec::new(), MAX_GIVEN);
        for node in nodes {
            let made = self.value(node)?;
            self.budget.weigh(&made, &mut left)?;
            items.push(made.into_owned());
        }
        Ok(items)
    }

    fn way(&mut self, from: &'v Node, members: &'v [(Node, bool)]) -> Result<Made<'v>, Fault> {
        let mut made = self.value(from)?;
        for (member, optional) in members {
            if *optional && made.is_null() {
                return Ok(Cow::Borrowed(NIL));
            }
            let name = self.value(member)?;
            made = match made {
                Cow::Borrowed(value) => Cow::Borrowed(below(value, &name)?),
                Cow::Owned(value) => Cow::Owned(self.budget.copy(below(&value, &name)?)?),
            };
        }
        Ok(made)
    }
}

/// The member of a value: of a list by its place, from the end where that is negative.
fn below<'v>(value: &'v Value, name: &Value) -> Result<&'v Value, Fault> {
    match (value, name) {
        (Value::Object(map), Value::String(name)) => Ok(map.get(name).unwrap_or(NIL)),
        (Value::Array(items), Value::Number(place)) => {
            let count = i64::try_from(items.len()).unwrap_or(i64::MAX);
            let place = place.as_i64().unwrap_or(count);
            let place = if place < 0 { place + count } else { place };
            let item = usize::try_from(place).ok().and_then(|at| items.get(at));
            item.ok_or_else(|| Fault::new("a list is shorter"))
        }
        (_, Value::String(name)) => Err(Fault::new(format!("nothing has a member `{name}`"))),
        _ => Err(Fault::new("nothing has such a member")),
    }
}

fn compared(
    by: Comparison,
    one: &Value,
    other: &Value,
    budget: &mut Budget,
) -> Result<Value, Fault> {
    let nothing = one.is_null() || other.is_null();
    Ok(Value::Bool(match by {
        Comparison::Equal => same(one, other, budget)?,
        Comparison::Unequal => !same(one, other, budget)?,
        Comparison::Less => order(one, other)?.is_lt(),
        Comparison::LessOrEqual => order(one, other)?.is_le(),
        Comparison::More => order(one, other)?.is_gt(),
        Comparison::MoreOrEqual => order(one, other)?.is_ge(),
        Comparison::In => within(one, other)?,
        Comparison::Plus => return added(one, other, false),
        Comparison::Minus => return added(one, other, true),
        _ if nothing => false,
        Comparison::Contains => text(one)?.contains(text(other)?),
        Comparison::StartsWith => text(one)?.starts_with(text(other)?),
        Comparison::EndsWith => text(one)?.ends_with(text(other)?),
        Comparison::Matches => {
            let within = text(one)?;
            pattern(text(other)?, within, budget)?.is_match(within)
        }
    }))
}

/// Whether two values are the same. Two lists, or two maps, are compared member by member: one of them may not be larger than
/// anything is done with.
fn same(one: &Value, other: &Value, budget: &mut Budget) -> Result<bool, Fault> {
    let as_many = match (one, other) {
        (Value::Array(one), Value::Array(other)) => one.len() == other.len(),
        (Value::Object(one), Value::Object(other)) => one.len() == other.len(),
        _ => return Ok(equal(one, other)),
    };
    if !as_many {
        return Ok(false);
    }
    let less = budget.weigh(one, &mut { MAX_GIVEN });
    less.or_else(|_| budget.weigh(other, &mut { MAX_GIVEN }))?;
    Ok(equal(one, other))
}

fn within(item: &Value, all: &Value) -> Result<bool, Fault> {
    match all {
        Value::Null => Ok(false),
        Value::Array(_) if !(item.is_string() || item.is_number() || item.is_boolean()) => {
            Ok(false)
        }
        Value::Array(items) => {
            let mut items = row(items.len(), items.iter())?;
            Ok(items.any(|one| equal(one, item)))
        }
        Value::Object(map) => Ok(map.contains_key(text(item)?)),
        _ => Err(Fault::new("nothing is in a value that has no members")),
    }
}

fn added(one: &Value, other: &Value, minus: bool) -> Result<Value, Fault> {
    if let (Value::String(one), Value::String(other), false) = (one, other, minus) {
        return Ok(short(format!("{one}{other}"))?.into());
    }
    let whole = one.as_i64().zip(other.as_i64());
    let sum = whole.and_then(|(one, other)| match minus {
        true => one.checked_sub(other),
        false => one.checked_add(other),
    });
    if let Some(sum) = sum {
        return Ok(sum.into());
    }
    match one.as_f64().zip(other.as_f64()) {
        Some((one, other)) => Ok((if minus { one - other } else { one + other }).into()),
        None => Err(Fault::new("what is no number is added to")),
    }
}

fn list(value: &Value) -> Result<&[Value], Fault> {
    match value {
        Value::Array(items) => row(items.len(), items.as_slice()),
        _ => Err(Fault::new(
            "a value that is no list stands where a list has to",
        )),
    }
}

fn called(name: &str, values: &[Made<'_>], budget: &mut Budget) -> Result<Value, Fault> {
    let value = |at: usize| values.get(at).map_or(NIL, Cow::as_ref);
    let of = |at: usize| text(value(at));
    Ok(match name {
        "first" => budget.copy(list(value(0))?.first().unwrap_or(NIL))?,
        "hasPrefix" => of(0)?.starts_with(of(1)?).into(),
        "hasSuffix" => of(0)?.ends_with(of(1)?).into(),
        "join" => {
            let items = list(value(0))?;
            for item in items {
                text(item)?;
            }
            joined(items, of(1)?)?.into()
        }
        "keys" => match value(0) {
            Value::Object(map) => {
                let keys = row(map.len(), map.keys())?.map(String::as_str);
                if map.keys().map(String::len).sum::<usize>() > MAX_GIVEN {
                    return Err(Fault::new("keys are longer than anything is done with"));
                }
                keys.collect()
            }
            _ => return Err(Fault::new("a value has no keys")),
        },
        "last" => budget.copy(list(value(0))?.last().unwrap_or(NIL))?,
        "len" => match value(0) {
            Value::String(_) => of(0)?.chars().count().into(),
            other => length(other)?.into(),
        },
        "lower" => of(0)?.to_lowercase().into(),
        "replace" => short(replaced(of(0)?, of(1)?, of(2)?)?)?.into(),
        "split" => {
            let parts = of(0)?.split(of(1)?);
            row(parts.clone().count(), parts)?.collect()
        }
        "string" => print(value(0))?.into(),
        "trim" => of(0)?.trim().into(),
        "trimPrefix" => of(0)?.strip_prefix(of(1)?).unwrap_or(of(0)?).into(),
        "trimSuffix" => of(0)?.strip_suffix(of(1)?).unwrap_or(of(0)?).into(),
        "upper" => of(0)?.to_uppercase().into(),
        _ => return Err(Fault::new("a function is not there")),
    })
}

/// A text with one part in the place of another; bounded before it is made, since each letter may become many.
pub(super) fn replaced(text: &str, from: &str, to: &str) -> Result<String, Fault> {
    let times = text.matches(from).count();
    let made = times.saturating_mul(to.len()).saturating_add(text.len());
    if made > super::MAX_MADE * 4 {
        return Err(Fault::new("a text becomes longer than it may be"));
    }
    Ok(text.replace(from, to))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn values() -> Value {
        json!({
            "app": {"metadata": {"name": "web", "labels": {"team": "shop"}}, "spec": {"project": "default", "sources": [{"repoURL": "a"}, {"repoURL": "b"}]}},
            "count": 3, "half": 1.5, "none": null, "yes": true,
        })
    }

    fn holds(text: &str) -> Result<bool, Fault> {
        parse(text)
            .unwrap()
            .holds(&values(), &mut Budget::default())
    }

    #[test]
    fn conditions_hold_or_do_not() {
        for text in [
            "app.spec.project == \"default\"",
            "app[\"spec\"]['project'] == `default`",
            "app.metadata.labels.team in [\"shop\", \"sales\"]",
            "\"team\" in app.metadata.labels && not (\"owner\" in app.metadata.labels)",
            "\"owner\" not in app.metadata.labels",
            "app.metadata.labels.owner == nil",
            "app.metadata?.annotations?.owner == nil",
            "(app.metadata.annotations?.owner ?? \"nobody\") == \"nobody\"",
            "app.metadata.name matches \"^w.b$\" and app.metadata.name contains \"e\"",
            "app.metadata.name startsWith \"w\" and app.metadata.name endsWith \"b\"",
            "app.metadata.name not startsWith \"x\"",
            "not (none contains \"x\") and not (none matches \"(\")",
            "len(app.spec.sources) == 2 and app.spec.sources[-1].repoURL == \"b\"",
            "len(app.spec.sources) >= count - 1 or false",
            "count == 3.0 and half > 1 and count <= 3 and -count < 0",
            "upper(app.metadata.name) + \"!\" == \"WEB!\"",
            "yes ? count != 4 : nothing.at.all",
            "yes or nothing.at.all",
            "join(split(\"a,b\", \",\"), \"+\") == \"a+b\"",
            "trimPrefix(\"v1\", \"v\") == string(1)",
            "nothing == nil",
            "keys(app.metadata.labels) == [\"team\"]",
        ] {
            assert_eq!(holds(text), Ok(true), "{text}");
        }
        for text in [
            "app.spec.project != \"default\"",
            "\"x\" in none",
            "!yes",
            "1 == \"1\"",
            "yes and count > 3",
        ] {
            assert_eq!(holds(text), Ok(false), "{text}");
        }
    }

    #[test]
    fn what_is_not_made_for_the_values_is_a_fault() {
        for text in [
            "app.metadata.annotations.owner == \"x\"",
            "app.metadata.name",
            "count",
            "count contains 1",
            "count < \"a\"",
            "app.spec.sources[2] == nil",
            "count and yes",
            "app.metadata.name matches \"(\"",
            "len(count) == 1",
            "yes in count",
            "nothing.at.all",
        ] {
            assert!(holds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_not_understood_is_named() {
        let word = |word: &str, at| {
            Err(Misread::Word {
                word: word.to_owned(),
                at,
            })
        };
        for (text, why) in [
            ("app.name == # ", word("#", 13)),
            ("all(app.spec, x)", word("all", 1)),
            ("len(1, 2)", word("len", 1)),
            ("a b", word("b", 3)),
            ("a and or b", word("or", 7)),
            ("a..b", word(".", 3)),
            ("a | lower()", word("|", 3)),
            ("한글 = 1", word("=", 4)),
            ("\"a\\q\"", word("\\q", 3)),
            ("1x", word("1x", 1)),
            ("", Err(Misread::End)),
            ("(a", Err(Misread::End)),
            ("\"a", Err(Misread::End)),
            ("a ? b", Err(Misread::End)),
        ] {
            assert_eq!(parse(text).map(drop), why, "{text}");
        }
    }

    #[test]
    fn s01_nothing_is_too_deep_too_long_or_too_much() {
        for text in [
            "(".repeat(2_000),
            "!".repeat(2_000),
            "-".repeat(2_000),
            "[".repeat(2_000),
            "a?".repeat(1_000),
            format!("a{}", " and a".repeat(500)),
            "a".repeat(super::super::MAX_TEXT + 1),
        ] {
            assert_eq!(parse(&text).map(drop), Err(Misread::TooLarge), "{text}");
        }
        let long = json!({"a": "x".repeat(10_000)});
        let grows = parse("replace(a, \"x\", a) == \"\"").unwrap();
        let budget = &mut Budget::default();
        assert!(grows.holds(&long, budget).is_err());
        let twice = parse("a + a == \"\"").unwrap();
        assert!(twice.holds(&long, budget).is_err());
        let matches = parse("a matches \"y\"").unwrap();
        let left = (0..).find(|_| matches.holds(&long, budget).is_err());
        assert!(left.is_some_and(|times| times < 60), "{left:?}");
        let budget = &mut Budget::default();
        let large = json!({"a": "x".repeat(1 << 20), "l": vec![0; 100_000]});
        for text in [
            "a contains \"y\"",
            "len(a) == 1",
            "l == l",
            "1 in l",
            "first(l) == 0",
            "join(split(a, \"x\"), \"\") == a",
        ] {
            let condition = parse(text).unwrap();
            assert!(condition.holds(&large, budget).is_err(), "{text}");
        }
    }

    #[test]
    fn s01_what_is_copied_may_not_be_large_and_takes_steps() {
        let large: Vec<Value> = vec![json!({"data": "x".repeat(50_000)}); 100];
        let values = json!({"resource": {"all": large, "one": {"data": "x".repeat(50_000)}},
            "row": vec![0; 60_000], "keys": {"a".repeat(40_000): 1, "b".repeat(40_000): 2}});
        let holds = |text: &str| parse(text).unwrap().holds(&values, &mut Budget::default());
        for text in [
            format!("len([{}]) == 1", ["resource"; 400].join(",")),
            "[resource][0] != nil".to_owned(),
            "len([resource.one, resource.one]) == 2".to_owned(),
            "first([resource.all]) != nil".to_owned(),
            "keys(keys) != nil".to_owned(),
            format!("resource.one.data matches \"{}\"", "x?".repeat(129)),
            // Each by itself is small enough.
            format!("len([{}]) == 30", ["len([row])"; 30].join(",")),
            format!("len([{}]) == 30", ["row == row"; 30].join(",")),
            format!(
                "len([{}]) == 30",
                ["resource.one.data contains \"y\""; 30].join(",")
            ),
            format!(
                "len([{}]) == 30",
                ["\"y\" matches \"^yyyyyyyyyyyyyyyyyyyy$\""; 30].join(",")
            ),
        ] {
            assert!(holds(&text).is_err(), "{text}");
        }
        for text in [
            "len(resource.all) == 100 and resource.all[0] == resource.one",
            "first(resource.all) == resource.one and last([1, resource.one]).data != \"\"",
            "[resource.one][0].data == resource.one.data",
            "resource.all != [resource.one] and resource != nil",
        ] {
            assert_eq!(holds(text), Ok(true), "{text}");
        }
    }
}
